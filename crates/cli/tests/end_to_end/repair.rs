//! A state that is locked, lost or damaged, and the way back.

use std::path::PathBuf;
use std::time::Duration;

use crate::lab::{Lab, same_world, wait};

fn state_file(lab: &Lab, name: &str) -> PathBuf {
    let mut folders = vec![lab.platform().join(".seaworthy/state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() == name {
                return path;
            }
        }
    }
    panic!("there is no {name}")
}

#[test]
fn of_two_deploys_at_once_the_second_names_the_first_and_changes_nothing() {
    let lab = Lab::running("accelerator", "100");
    let first = lab.spawn(&["deploy", "-e", "dev", "--yes"]);
    let pid = first.id().to_string();
    std::thread::sleep(Duration::from_millis(1500));
    lab.deploy("dev").fails(3).says("locked by").says(&pid);
    let status = lab.run(&["status", "-e", "dev"]).ok();
    assert!(
        status.stdout.contains(&pid) || status.stderr.contains(&pid),
        "{status:?}"
    );
    wait(first).ok();
    lab.deploy("dev").ok().says("Nothing to do");
}

#[test]
fn a_lock_that_is_taken_away_refuses_its_first_holder() {
    let lab = Lab::running("accelerator", "100");
    let first = lab.spawn(&["deploy", "-e", "dev", "--yes"]);
    std::thread::sleep(Duration::from_millis(1500));
    lab.run(&["state", "unlock", "-e", "dev", "--yes"]).ok();
    wait(first).fails(1).says("lock");
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
}

#[test]
fn a_damaged_state_is_said_and_rolled_back_and_the_next_deploy_finds_what_is_there() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    let expected = lab.world();
    let head = state_file(&lab, "head");
    let folder = head.parent().unwrap();
    let snapshots = folder.join("snapshots");
    let newest = std::fs::read_dir(&snapshots)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let whole = std::fs::read(&newest).unwrap();
    for (what, bytes) in [
        ("truncated", &whole[..whole.len() / 2]),
        ("changed", &[&whole[..40], b"x", &whole[41..]].concat()[..]),
    ] {
        std::fs::write(&newest, bytes).unwrap();
        let said = lab.deploy("dev");
        assert_ne!(said.code, Some(0), "{what}");
        said.says("damaged").says("state rollback");
        lab.run(&["plan", "-e", "dev"]).fails(1).says("damaged");
        assert_eq!(
            std::fs::read(&newest).unwrap(),
            bytes,
            "{what}: nothing is overwritten"
        );
    }
    lab.run(&["state", "rollback", "-e", "dev", "--yes"]).ok();
    lab.deploy("dev").ok();
    same_world(&lab.world(), &expected, "found again, not made twice");
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
    lab.destroy("dev").ok();
}

#[test]
fn a_lost_state_is_found_again_in_aws() {
    let lab = Lab::running("gitops", "max");
    lab.deploy("dev").ok();
    let expected = lab.world();
    lab.run(&["state", "history", "-e", "dev"])
        .ok()
        .says("deploy");
    std::fs::remove_dir_all(lab.platform().join(".seaworthy/state")).unwrap();
    lab.run(&["state", "rollback", "-e", "dev", "--yes"]).ok();
    lab.deploy("dev").ok();
    same_world(&lab.world(), &expected, "the world");
}

#[test]
fn retained_resources_are_taken_up_again_by_the_next_deploy() {
    let lab = Lab::running("accelerator", "max");
    lab.append("environments/dev.yaml", "audit:\n  cloudTrail: true");
    lab.deploy("dev").ok();
    let expected = lab.world();
    lab.destroy("dev").ok();
    lab.deploy("dev").ok();
    let keys = |world: &[String]| {
        world
            .iter()
            .filter(|line| !line.starts_with("AWS::KMS::Key "))
            .cloned()
            .collect::<Vec<_>>()
    };
    same_world(&keys(&lab.world()), &keys(&expected), "deployed again");
}

#[test]
fn a_retained_zone_is_taken_up_again_and_not_doubled() {
    let lab = Lab::running("gitops", "max");
    lab.deploy("dev").ok();
    for _ in 0..2 {
        lab.destroy("dev").ok();
        lab.deploy("dev").ok();
    }
    let zones = lab.world();
    let zones = zones
        .iter()
        .filter(|line| line.starts_with("AWS::Route53::HostedZone "));
    assert_eq!(zones.count(), 1);
}
