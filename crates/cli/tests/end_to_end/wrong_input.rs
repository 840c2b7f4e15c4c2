//! What people get wrong, and what they are told.

use crate::lab::Lab;

#[test]
fn every_mistake_in_a_spec_is_told_at_once_with_its_place() {
    let lab = Lab::new("ekb");
    lab.edit("platform.yaml", "redis:", "rediss:");
    lab.append("environments/dev.yaml", "systemNodes:\n  min: 5\n  max: 2");
    let said = lab
        .run(&["validate", "-e", "dev"])
        .fails(1)
        .says("rediss")
        .says("did you mean");
    assert!(
        said.stderr.contains("platform.yaml:") && said.stderr.contains("dev.yaml:"),
        "{}",
        said.stderr
    );
    let report = lab
        .run(&["validate", "-e", "dev", "-o", "json"])
        .fails(1)
        .json();
    assert_eq!(report["valid"], false);
    assert!(
        report["errors"]
            .as_array()
            .unwrap()
            .iter()
            .all(|error| error["line"].is_u64()),
        "{report}"
    );
    lab.run(&["plan", "-e", "dev"]).fails(1);
}

#[test]
fn wrong_usage_is_1_and_what_is_not_allowed_is_3() {
    let lab = Lab::running("accelerator", "max");
    lab.run(&["dance"]).fails(1);
    lab.run(&["plan"]).fails(1).says("--environment");
    lab.run(&["plan", "-e", "staging"])
        .fails(1)
        .says("dev, prod");
    lab.run(&["deploy", "-e", "dev"]).fails(3).says("--yes");
    lab.run(&["plan", "-e", "dev", "--detailed-exitcode"])
        .fails(2);
    lab.deploy("prod").ok();
    lab.run(&["destroy", "-e", "prod", "--yes"])
        .fails(3)
        .says("--confirm shop-prod");
    lab.run(&["destroy", "-e", "prod", "--confirm", "shop-dev", "--yes"])
        .fails(3)
        .says("shop-prod");
    lab.run(&["plan", "-e", "prod", "--destroy", "--out", "p.json"])
        .ok();
    lab.run(&["deploy", "-e", "prod", "--plan", "p.json", "--yes"])
        .fails(3)
        .says("plan to destroy");
    lab.run(&["drift", "-e", "prod", "--detailed-exitcode"])
        .ok();
    lab.run(&["-C", "/", "plan", "-e", "dev"])
        .fails(1)
        .says("platform.yaml")
        .says("seaworthy init");
    lab.run(&["init", ".", "--preset", "ekb", "--name", "shop"])
        .fails(1)
        .says("there already");
    lab.run(&["state", "show", "-e", "prod", "network/vcp"])
        .fails(1)
        .says("no resource");
}

#[test]
fn a_wrong_account_region_or_key_is_refused_before_anything_is_made() {
    let mut lab = Lab::running("accelerator", "max");
    lab.edit(
        "platform.yaml",
        "aws:\n",
        "aws:\n  account: \"999988887777\"\n",
    );
    lab.deploy("dev").fails(3).says("999988887777");
    lab.edit("platform.yaml", "  account: \"999988887777\"\n", "");
    let endpoint = lab.run(&["sandbox", "status", "-o", "json"]).ok().json()["endpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.set("AWS_ENDPOINT_URL", &endpoint);
    lab.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    lab.set("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    lab.run(&["deploy", "-e", "dev", "--yes", "--target", "aws"])
        .fails(1)
        .says("credentials");
    assert!(lab.world().is_empty());
}

#[test]
fn a_port_in_use_is_named() {
    let lab = Lab::new("accelerator");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    lab.run(&["sandbox", "start", "--port", &port])
        .fails(1)
        .says(&port);
}

#[test]
fn a_sandbox_that_dies_in_the_middle_is_said_and_the_deploy_carries_on() {
    let lab = Lab::running("accelerator", "100");
    let child = lab.spawn(&["deploy", "-e", "dev", "--yes"]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    lab.kill_sandbox();
    crate::lab::wait(child)
        .fails(1)
        .says("run the same command again");
    // It is started again on demand.
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
}

#[test]
fn every_command_has_help() {
    let lab = Lab::new("accelerator");
    let help = lab.run(&["--help"]).ok().stdout;
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let mut seen = 0;
    for command in commands.filter_map(|line| line.split_whitespace().next()) {
        lab.run(&[command, "--help"]).ok().says("Usage:");
        seen += 1;
    }
    assert!(seen >= 15, "{help}");
}
