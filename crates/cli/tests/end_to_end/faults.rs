//! What AWS does on a bad day, and what the deploy makes of it.

use serde_json::json;

use crate::lab::{Lab, same_world};

fn with_faults(preset: &str, scale: &str, faults: &serde_json::Value) -> Lab {
    let lab = Lab::running(preset, scale);
    std::fs::write(lab.path("faults.json"), faults.to_string()).unwrap();
    let file = lab.path("faults.json");
    lab.run(&["sandbox", "faults", file.to_str().unwrap()]).ok();
    lab
}

#[test]
fn a_bad_day_ends_well() {
    let lab = Lab::running("ekb", "120");
    lab.deploy("dev").ok();
    let expected = lab.world();
    drop(lab);
    let faults = json!({
        "seed": 7,
        "iam_propagation_seconds": 10.0,
        "rules": [
            { "rate": 0.01, "operations": ["CreateResource", "UpdateResource", "DeleteResource"], "error": "NotStabilized" },
            { "rate": 0.20, "error": "ThrottlingException" },
            { "rate": 0.05, "error": "ServiceInternalErrorException" },
        ],
    });
    let lab = with_faults("ekb", "120", &faults);
    lab.deploy("dev").ok();
    same_world(&lab.world(), &expected, "the world");
    lab.destroy("dev").ok();
}

#[test]
fn a_terminal_error_stops_only_what_depends_on_it_and_says_where_why_and_what_next() {
    let rule = json!({
        "types": ["AWS::SQS::Queue"], "operations": ["CreateResource"], "nth": 1,
        "error": "InvalidRequest", "message": "the queue is not to be",
    });
    let lab = with_faults("accelerator", "max", &json!({ "rules": [rule] }));
    let said = lab.deploy("dev").fails(1);
    let all = format!("{}{}", said.stdout, said.stderr);
    for text in [
        "karpenter/",
        "InvalidRequest",
        "the queue is not to be",
        "deploy",
    ] {
        assert!(all.contains(text), "{text} is not in {all}");
    }
    let status = lab.run(&["status", "-e", "dev", "-o", "json"]).ok().json();
    let resources = status["resources"].as_array().unwrap();
    let missing: Vec<&str> = resources
        .iter()
        .filter(|resource| resource["status"] == "notDeployed")
        .map(|resource| resource["address"].as_str().unwrap())
        .collect();
    assert!(
        !missing.is_empty()
            && missing
                .iter()
                .all(|address| address.starts_with("karpenter/")),
        "{missing:?}"
    );
    lab.run(&["sandbox", "faults", "--clear"]).ok();
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
}

#[test]
fn a_certificate_says_which_records_it_waits_for() {
    let lab = Lab::new("ekb");
    lab.run(&[
        "sandbox",
        "start",
        "--port",
        "0",
        "--time-scale",
        "120",
        "--no-external-dns",
    ])
    .ok();
    let child = lab.spawn(&["deploy", "-e", "dev", "--yes"]);
    let pid = child.id();
    // Everything that needs no certificate comes, and what needs one does not.
    let needs_it = |resource: &serde_json::Value| {
        let address = resource["address"].as_str().unwrap();
        ["certificate/", "rabbitmq/", "redis/"]
            .iter()
            .any(|place| address.starts_with(place))
    };
    let missing = || {
        let status = lab.run(&["status", "-e", "dev", "-o", "json"]).ok().json();
        let resources = status["resources"].as_array().unwrap().clone();
        let is_missing =
            |resource: &serde_json::Value| resource["status"] != "deployed" && !needs_it(resource);
        resources.into_iter().filter(is_missing).collect::<Vec<_>>()
    };
    let begun = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(2));
    while !missing().is_empty() && begun.elapsed().as_secs() < 90 {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    std::process::Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::process::Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .unwrap();
    crate::lab::wait(child)
        .fails(130)
        .says("CNAME")
        .says("acm-validations.aws");
    let missing = missing();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_secret_is_written_anywhere() {
    let lab = Lab::running("ekb", "max");
    let said = lab.deploy("dev").ok();
    let plan = lab.run(&["plan", "-e", "dev", "-o", "json", "--all"]).ok();
    let show = lab
        .run(&["state", "show", "-e", "dev", "rabbitmq/broker"])
        .ok();
    let secrets = crate::outside::secrets(&lab);
    assert!(secrets.len() >= 2, "Redis's token and RabbitMQ's password");
    let mut texts: Vec<(String, String)> = lab
        .written()
        .into_iter()
        .map(|(path, text)| (path.display().to_string(), text))
        .collect();
    for (what, said) in [("deploy", said), ("plan", plan), ("state show", show)] {
        texts.push((what.to_owned(), format!("{}{}", said.stdout, said.stderr)));
    }
    let log = lab.path("home/seaworthy/sandbox/sandbox.log");
    texts.push((
        "the sandbox's log".to_owned(),
        std::fs::read_to_string(log).unwrap_or_default(),
    ));
    for secret in &secrets {
        for (place, text) in &texts {
            assert!(!text.contains(secret), "a secret is in {place}");
        }
    }
}
