//! What an export does to a folder, and what it leaves alone.

use std::path::Path;

use export::Format;
use tempfile::TempDir;

use super::*;

fn name(text: &str) -> EnvironmentName {
    EnvironmentName::new(text).unwrap()
}

fn files(of: &[(&str, &str, &str)]) -> Files {
    let mut files = Files::new();
    for (path, scope, text) in of {
        let owner = match *scope {
            "" => Owner::All,
            scope => Owner::Scope(name(scope)),
        };
        files.add(*path, owner, *text);
    }
    files
}

/// Exports files as Terraform, of all scopes or of one.
fn run(folder: &Path, scope: Option<&str>, of: &[(&str, &str, &str)]) -> Result<Exported, Error> {
    run_as(folder, scope, of, "shop", false)
}

fn run_as(
    folder: &Path,
    scope: Option<&str>,
    of: &[(&str, &str, &str)],
    platform: &str,
    overwrite: bool,
) -> Result<Exported, Error> {
    let export = Export {
        format: Format::Terraform,
        scopes: scope.map_or(Scopes::All, |scope| Scopes::One(name(scope))),
        into: folder,
        overwrite,
    };
    let wanted: Vec<_> = scope.into_iter().map(name).collect();
    write(
        &export,
        &PlatformName::new(platform).unwrap(),
        &files(of),
        &wanted,
    )
}

fn text(folder: &Path, path: &str) -> String {
    fs::read_to_string(folder.join(path)).unwrap()
}

/// Every file below a folder with its text, the record too.
fn all(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
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

const BOTH: [(&str, &str, &str); 3] = [
    ("modules/network/main.tf", "", "network"),
    ("environments/dev/env.hcl", "dev", "dev"),
    ("environments/prod/env.hcl", "prod", "prod"),
];

#[test]
fn a_second_export_changes_only_what_has_changed() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("deep/out");
    let first = run(&out, None, &BOTH).unwrap();
    assert_eq!(first.written.len(), 3);
    let before = all(&out);
    assert_eq!(before.len(), 4, "three files and the record");

    let second = run(&out, None, &BOTH).unwrap();
    assert_eq!((second.written.len(), second.unchanged.len()), (0, 3));
    assert_eq!(all(&out), before);

    let third = run(&out, None, &[("modules/network/main.tf", "", "network 2")]).unwrap();
    assert_eq!(third.written, ["modules/network/main.tf"]);
    assert_eq!(
        third.removed,
        ["environments/dev/env.hcl", "environments/prod/env.hcl"]
    );
    assert!(!out.join("environments").exists(), "empty folders go too");
    assert_eq!(text(&out, "modules/network/main.tf"), "network 2");
}

#[test]
fn files_of_somebody_else_stop_it_before_anything_is_written() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("modules/network")).unwrap();
    fs::write(folder.path().join("modules/network/main.tf"), "mine").unwrap();
    let before = all(folder.path());
    for overwrite in [false, true] {
        let error = run_as(folder.path(), None, &BOTH, "shop", overwrite).unwrap_err();
        assert!(error.is_refusal());
        assert!(
            error.to_string().contains("modules/network/main.tf"),
            "{error}"
        );
        assert_eq!(all(folder.path()), before);
    }
    // What is not in the way stays.
    fs::remove_file(folder.path().join("modules/network/main.tf")).unwrap();
    fs::write(folder.path().join("modules/notes.txt"), "mine").unwrap();
    run(folder.path(), None, &BOTH).unwrap();
    run(folder.path(), None, &[]).unwrap();
    assert_eq!(text(folder.path(), "modules/notes.txt"), "mine");
    assert!(!folder.path().join("modules/network").exists());
}

#[test]
fn a_folder_or_a_file_where_the_other_should_be_stops_it() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("environments/dev/env.hcl")).unwrap();
    fs::write(folder.path().join("modules"), "a file").unwrap();
    let before = all(folder.path());
    let error = run(folder.path(), None, &BOTH).unwrap_err().to_string();
    assert!(error.contains("modules/network/main.tf"), "{error}");
    assert!(error.contains("environments/dev/env.hcl"), "{error}");
    assert_eq!(all(folder.path()), before);
}

#[test]
fn edits_are_lost_only_when_that_is_asked_for() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), None, &BOTH).unwrap();
    fs::write(folder.path().join("environments/dev/env.hcl"), "edited").unwrap();
    for of in [&BOTH[..], &BOTH[..1]] {
        let error = run(folder.path(), None, of).unwrap_err();
        assert!(error.is_refusal());
        assert!(
            error.to_string().contains("environments/dev/env.hcl"),
            "{error}"
        );
        assert!(error.help().unwrap().contains("--overwrite"));
        assert_eq!(text(folder.path(), "environments/dev/env.hcl"), "edited");
    }
    run_as(folder.path(), None, &BOTH, "shop", true).unwrap();
    assert_eq!(text(folder.path(), "environments/dev/env.hcl"), "dev");
}

#[test]
fn one_environment_leaves_the_files_of_others_alone() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), None, &BOTH).unwrap();
    let prod = [BOTH[0], ("environments/prod/other.hcl", "prod", "prod")];
    let done = run(folder.path(), Some("prod"), &prod).unwrap();
    assert_eq!(done.removed, ["environments/prod/env.hcl"]);
    assert_eq!(text(folder.path(), "environments/dev/env.hcl"), "dev");
    // An export of everything takes what is left over.
    let done = run(folder.path(), None, &prod).unwrap();
    assert_eq!(done.removed, ["environments/dev/env.hcl"]);
}

#[test]
fn the_folder_of_another_platform_or_with_a_broken_record_is_refused() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), None, &BOTH).unwrap();
    let error = run_as(folder.path(), None, &BOTH, "other", false).unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("`shop`"),
        "{error}"
    );
    fs::write(folder.path().join(RECORD), "{").unwrap();
    let error = run(folder.path(), None, &BOTH).unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains(RECORD),
        "{error}"
    );
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = run(&folder.path().join("file/out"), None, &BOTH).unwrap_err();
    assert!(!error.is_refusal());
    assert_eq!(all(folder.path()).len(), 1);
    // A folder that nothing can be made in, whoever asks.
    assert!(run(Path::new("/proc/self/export"), None, &BOTH).is_err());
}

#[test]
fn an_export_that_was_killed_is_carried_on() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), None, &BOTH).unwrap();
    // As it is between the renames: the record knows both texts, one file is new and another still old.
    let path = folder.path().join(RECORD);
    let mut record: Record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (path, new) in [
        ("environments/dev/env.hcl", "dev 2"),
        ("environments/prod/env.hcl", "prod 2"),
    ] {
        let written = record
            .exports
            .get_mut("terraform")
            .unwrap()
            .get_mut(path)
            .unwrap();
        written
            .checksums
            .insert(0, journal::checksum(new.as_bytes()));
    }
    write_record(folder.path(), &record).unwrap();
    fs::write(folder.path().join("environments/dev/env.hcl"), "dev 2").unwrap();
    fs::create_dir(folder.path().join(STAGED)).unwrap();

    let next = [
        BOTH[0],
        ("environments/dev/env.hcl", "dev", "dev 3"),
        ("environments/prod/env.hcl", "prod", "prod 3"),
    ];
    let done = run(folder.path(), None, &next).unwrap();
    assert_eq!(done.written.len(), 2);
    assert!(!folder.path().join(STAGED).exists());
    assert_eq!(text(folder.path(), "environments/dev/env.hcl"), "dev 3");
    let record: Record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(
        record.exports["terraform"]
            .values()
            .all(|written| written.checksums.len() == 1)
    );
}

#[test]
fn what_a_killed_export_left_goes_with_the_next_even_when_nothing_has_changed() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), None, &BOTH).unwrap();
    let before = all(folder.path());
    // Killed after its last rename, before it tidied up.
    fs::create_dir_all(folder.path().join(STAGED).join("modules")).unwrap();
    fs::write(folder.path().join(STAGED).join("modules/x"), "").unwrap();
    assert_eq!(run(folder.path(), None, &BOTH).unwrap().written.len(), 0);
    assert_eq!(all(folder.path()), before);
    assert!(!folder.path().join(STAGED).exists());
}

#[test]
fn of_two_at_once_one_is_refused_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let first = Held::open(&out).unwrap();
    let error = run(&out, None, &BOTH).unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("another export"),
        "{error}"
    );
    assert_eq!(all(&out).len(), 0);
    drop(first);
    assert!(!out.exists(), "it made the folder, and left nothing in it");
    run(&out, None, &BOTH).unwrap();
    assert_eq!(all(&out).len(), 4);
}

#[test]
fn a_file_in_the_folders_place_is_said_to_be_one() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let error = run(&file, None, &BOTH).unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("is a file"),
        "{error}"
    );
    assert_eq!(text(folder.path(), "file"), "mine");
}

#[test]
fn an_export_of_nothing_makes_no_folder() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("deep/out");
    assert_eq!(run(&out, None, &[]).unwrap(), Exported::default());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
