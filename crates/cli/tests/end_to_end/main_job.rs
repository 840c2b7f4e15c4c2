//! The main job: every preset is planned, deployed, planned again, looked at, and destroyed.

use crate::lab::Lab;

fn count(document: &serde_json::Value, action: &str) -> u64 {
    document["summary"][action].as_u64().unwrap()
}

fn through_its_life(preset: &str) {
    let lab = Lab::running(preset, "max");
    for environment in ["dev", "prod"] {
        lab.run(&["validate", "-e", environment])
            .ok()
            .says("is valid");
        let plan = lab
            .run(&["plan", "-e", environment, "-o", "json"])
            .ok()
            .json();
        let wanted = count(&plan, "create");
        assert!(wanted > 50, "{preset} {environment}: {wanted}");
        for change in plan["changes"].as_array().unwrap() {
            for key in ["address", "type", "action", "reason"] {
                assert!(change[key].is_string(), "{key} of {change}");
            }
        }
        lab.run(&["plan", "-e", environment, "--detailed-exitcode"])
            .fails(2);
        lab.deploy(environment).ok();
        lab.run(&["plan", "-e", environment, "--detailed-exitcode"])
            .ok();
        lab.run(&[
            "plan",
            "-e",
            environment,
            "--refresh",
            "--detailed-exitcode",
        ])
        .ok();
        let again = lab
            .run(&["plan", "-e", environment, "-o", "json"])
            .ok()
            .json();
        assert_eq!(count(&again, "unchanged"), wanted, "{preset} {environment}");
        lab.deploy(environment).ok().says("Nothing to do");
        let status = lab
            .run(&["status", "-e", environment, "-o", "json"])
            .ok()
            .json();
        let resources = status["resources"].as_array().unwrap();
        assert_eq!(resources.len() as u64, wanted);
        for resource in resources {
            assert_eq!(resource["status"], "deployed", "{resource}");
            assert!(
                resource["id"].is_string() && resource["type"].is_string(),
                "{resource}"
            );
        }
        let drift = lab
            .run(&["drift", "-e", environment, "-o", "json"])
            .ok()
            .json();
        assert_eq!(
            drift["drifted"].as_array().unwrap().len(),
            0,
            "{preset} {environment}: {drift}"
        );
    }
    let both = lab.world();
    lab.destroy("dev").ok();
    // What was prod's is as it was.
    lab.run(&["drift", "-e", "prod", "--detailed-exitcode"])
        .ok();
    lab.run(&["plan", "-e", "prod", "--refresh", "--detailed-exitcode"])
        .ok();
    assert!(lab.world().len() < both.len());
    lab.destroy("prod").ok();
    let left = lab.world();
    // AWS deletes keys later; buckets with logs, vaults and zones are retained unless the spec says otherwise.
    let stays = [
        "AWS::KMS::Key ",
        "AWS::S3::Bucket",
        "AWS::Backup::BackupVault ",
        "AWS::Route53::HostedZone ",
    ];
    // ACM leaves its validation records in a zone that is retained, as it does at AWS.
    let stays_too = |line: &str| {
        line.starts_with("AWS::Route53::RecordSet ") && line.contains("acm-validations.aws")
    };
    let unexpected: Vec<&String> = left
        .iter()
        .filter(|line| !stays.iter().any(|stay| line.starts_with(stay)) && !stays_too(line))
        .collect();
    assert!(unexpected.is_empty(), "{preset}: {unexpected:#?}");
}

#[test]
fn the_ekb_preset_lives_and_dies() {
    through_its_life("ekb");
}

#[test]
fn the_gitops_preset_lives_and_dies() {
    through_its_life("gitops");
}

#[test]
fn the_accelerator_preset_lives_and_dies() {
    through_its_life("accelerator");
}

#[test]
fn the_shared_scope_survives_its_environments() {
    let lab = Lab::running("gitops", "max");
    lab.run(&["bootstrap", "--yes"]).ok();
    let shared = lab.world();
    assert!(
        shared
            .iter()
            .any(|line| line.starts_with("AWS::ECR::Repository ")),
        "{shared:#?}"
    );
    lab.deploy("dev").ok();
    lab.destroy("dev").ok();
    for line in &shared {
        assert!(lab.world().contains(line), "{line}");
    }
    lab.run(&["bootstrap", "--yes"]).ok().says("Nothing to do");
}

#[test]
fn a_kept_plan_is_applied_as_it_is_and_refused_when_it_is_stale() {
    let lab = Lab::running("accelerator", "max");
    lab.run(&["plan", "-e", "dev", "--out", "plan.json"]).ok();
    lab.run(&["plan", "-e", "dev", "--out", "later.json"]).ok();
    lab.run(&["deploy", "-e", "dev", "--plan", "plan.json", "--yes"])
        .ok();
    lab.run(&["deploy", "-e", "dev", "--plan", "later.json", "--yes"])
        .fails(3)
        .says("stale");
    lab.run(&["deploy", "-e", "prod", "--plan", "later.json", "--yes"])
        .fails(3)
        .says("not for shop-prod");
    lab.run(&["plan", "-e", "dev", "--detailed-exitcode"]).ok();
}

#[test]
fn a_change_of_the_spec_changes_what_it_must_and_nothing_else() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    lab.append(
        "environments/dev.yaml",
        "waf:\n  enabled: true\n  rateLimit: 500",
    );
    let plan = lab.run(&["plan", "-e", "dev", "-o", "json"]).ok().json();
    assert_eq!(
        (
            count(&plan, "create"),
            count(&plan, "update"),
            count(&plan, "replace")
        ),
        (1, 0, 0),
        "{plan}"
    );
    lab.deploy("dev").ok();
    lab.edit("environments/dev.yaml", "rateLimit: 500", "rateLimit: 700");
    let plan = lab.run(&["plan", "-e", "dev", "-o", "json"]).ok().json();
    assert_eq!(
        (
            count(&plan, "create"),
            count(&plan, "update"),
            count(&plan, "replace")
        ),
        (0, 1, 0),
        "{plan}"
    );
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
    lab.edit(
        "environments/dev.yaml",
        "enabled: true\n  rateLimit: 700",
        "enabled: false",
    );
    let plan = lab.run(&["plan", "-e", "dev", "-o", "json"]).ok().json();
    assert_eq!(count(&plan, "delete"), 1, "{plan}");
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
}

#[test]
fn a_larger_disk_rolls_through_the_launch_template_to_the_nodes_in_one_deploy() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    lab.append("environments/dev.yaml", "systemNodes:\n  diskGib: 77");
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
}

#[test]
fn variables_of_the_documents_override_the_spec_and_the_plan_says_so() {
    let mut lab = Lab::new("ekb");
    let with = count(
        &lab.run(&["plan", "-e", "prod", "-o", "json"]).ok().json(),
        "create",
    );
    lab.set("ENABLE_AWS_SERVICES", "false");
    let said = lab
        .run(&["plan", "-e", "prod"])
        .ok()
        .says("ENABLE_AWS_SERVICES");
    assert!(
        !said.stdout.contains("redis/replication-group"),
        "{}",
        said.stdout
    );
    let without = count(
        &lab.run(&["plan", "-e", "prod", "-o", "json"]).ok().json(),
        "create",
    );
    assert!(without < with, "{without} {with}");
    lab.set("ENABLE_SIGNOZ", "true");
    lab.run(&["plan", "-e", "prod"])
        .fails(1)
        .says("not built yet");
}
