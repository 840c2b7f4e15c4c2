//! `export`, as somebody types it: what is written, what is refused, and what is left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::lab::Lab;

const FORMATS: [&str; 3] = ["cloudformation", "terraform", "eksctl"];

/// Every file below a folder with its text.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let short = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(short, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn every_preset_goes_out_in_every_format_and_the_second_time_nothing_changes() {
    for preset in ["ekb", "gitops", "accelerator"] {
        let lab = Lab::new(preset);
        for format in FORMATS {
            let out = lab.path(format);
            let arguments = ["export", format, "-e", "all", "-o", out.to_str().unwrap()];
            lab.run(&arguments).ok().says("written").says("Next:");
            let first = tree(&out);
            assert!(first.len() > 2, "{preset} {format}: {:?}", first.keys());
            for (path, text) in &first {
                let made_by = path.ends_with(".json") || text.contains("Made by `seaworthy export");
                assert!(
                    made_by,
                    "{preset} {format}: {path} does not say how it was made"
                );
            }
            lab.run(&arguments).ok().says("up to date");
            assert_eq!(tree(&out), first, "{preset} {format}");
        }
    }
}

#[test]
fn one_environment_is_the_same_alone_as_among_all() {
    let lab = Lab::new("gitops");
    for format in FORMATS {
        let (all, one) = (lab.path("all"), lab.path("one"));
        lab.run(&["export", format, "-e", "all", "-o", all.to_str().unwrap()])
            .ok();
        lab.run(&["export", format, "-e", "prod", "-o", one.to_str().unwrap()])
            .ok();
        let all = tree(&all);
        for (path, text) in tree(&one) {
            if !path.ends_with(".json") {
                assert_eq!(all.get(&path), Some(&text), "{format}: {path}");
            }
        }
    }
}

#[test]
fn the_folder_follows_the_spec_and_keeps_what_is_somebody_elses() {
    let lab = Lab::new("ekb");
    let out = lab.path("out");
    let arguments = [
        "export",
        "cloudformation",
        "-e",
        "dev",
        "-o",
        out.to_str().unwrap(),
    ];
    lab.run(&arguments).ok();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let before = tree(&out);
    let data = before
        .iter()
        .find(|(_, text)| text.contains("AWS::ElastiCache::ReplicationGroup"));
    let (path, _) = data.expect("ekb has Redis");

    lab.edit(
        "environments/dev.yaml",
        "redis:\n",
        "redis:\n  enabled: false\n",
    );
    let said = lab.run(&arguments);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    let after = tree(&out);
    assert!(
        after
            .get(path)
            .is_none_or(|text| !text.contains("ReplicationGroup"))
    );
    assert_eq!(after["notes.txt"], "mine");
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let lab = Lab::new("ekb");
    let out = lab.path("out");
    let out_name = out.to_str().unwrap();
    lab.run(&["export", "pulumi", "-e", "dev", "-o", out_name])
        .fails(1)
        .says("cloudformation")
        .says("terraform")
        .says("eksctl");
    lab.run(&["export", "terraform", "-e", "dev"])
        .fails(1)
        .says("--output");
    lab.run(&["export", "terraform", "-o", out_name])
        .fails(1)
        .says("--environment");
    for format in FORMATS {
        lab.run(&["export", format, "-e", "staging", "-o", out_name])
            .fails(1)
            .says("dev, prod");
    }
    lab.run(&["export", "eksctl", "-e", "shared", "-o", out_name])
        .fails(1)
        .says("eksctl");

    // A read-only disk.
    lab.run(&["export", "eksctl", "-e", "dev", "-o", "/proc/export"])
        .fails(1)
        .says("could not write /proc/export");

    lab.edit("environments/prod.yaml", "redis:", "rediss:");
    for format in FORMATS {
        lab.run(&["export", format, "-e", "all", "-o", out_name])
            .fails(1)
            .says("environments/prod.yaml:")
            .says("rediss");
    }
    // The modules serve all environments; a template serves one.
    lab.run(&["export", "terraform", "-e", "dev", "-o", out_name])
        .fails(1)
        .says("rediss");
    assert!(!out.exists());
    lab.run(&["export", "cloudformation", "-e", "dev", "-o", out_name])
        .ok();
}

#[test]
fn other_peoples_files_and_edits_are_never_written_over() {
    let lab = Lab::new("accelerator");
    for format in FORMATS {
        let out = lab.path(format);
        let arguments = ["export", format, "-e", "dev", "-o", out.to_str().unwrap()];
        lab.run(&arguments).ok();
        let paths: Vec<String> = tree(&out).into_keys().collect();
        let path = paths.iter().find(|path| !path.ends_with(".json")).unwrap();

        fs::write(out.join(path), "edited").unwrap();
        let before = tree(&out);
        lab.run(&arguments).fails(3).says(path).says("--overwrite");
        assert_eq!(tree(&out), before);
        lab.run(&[&arguments[..], &["--overwrite"]].concat()).ok();

        fs::remove_file(out.join(".seaworthy-export.json")).unwrap();
        let before = tree(&out);
        lab.run(&arguments)
            .fails(3)
            .says("no export has written")
            .says(path);
        assert_eq!(tree(&out), before);
    }
}

#[test]
fn a_file_of_the_shared_scopes_name_is_no_environment() {
    let lab = Lab::new("ekb");
    for format in ["cloudformation", "terraform"] {
        let (before, after) = (lab.path("before"), lab.path("after"));
        lab.run(&[
            "export",
            format,
            "-e",
            "all",
            "-o",
            before.to_str().unwrap(),
        ])
        .ok();
        let file = lab.platform().join("environments/shared.yaml");
        fs::copy(lab.platform().join("environments/dev.yaml"), &file).unwrap();
        lab.run(&["export", format, "-e", "all", "-o", after.to_str().unwrap()])
            .ok();
        fs::remove_file(file).unwrap();
        assert_eq!(tree(&after), tree(&before), "{format}");
    }
}

#[test]
fn of_exports_at_once_each_is_whole_or_refused() {
    let lab = Lab::new("ekb");
    let out = lab.path("out");
    let arguments = [
        "export",
        "terraform",
        "-e",
        "all",
        "-o",
        out.to_str().unwrap(),
    ];
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| lab.run(&arguments)))
            .collect();
        let mut done = 0;
        for run in runs {
            let said = run.join().unwrap();
            match said.code {
                Some(0) => done += 1,
                _ => {
                    said.fails(3).says("another export");
                }
            }
        }
        assert!(done > 0);
    });
    lab.run(&arguments).ok().says("up to date");
}
