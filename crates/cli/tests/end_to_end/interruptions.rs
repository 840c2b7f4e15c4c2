//! Deaths at points spread over a deploy and a destroy. Whatever dies, the same command carries on, and the world is
//! what it would have been: nothing twice, nothing orphaned.

use std::time::{Duration, Instant};

use crate::lab::{Lab, kill, same_world, wait};
use crate::times;

/// Slow enough that kills fall into the middle of things, fast enough to do it often.
const SCALE: &str = "120";

#[derive(Clone, Copy, PartialEq, Debug)]
enum Victim {
    Client,
    Sandbox,
    Both,
}

/// A command under way, until it is killed.
fn killed(lab: &Lab, arguments: &[&str], after: Duration, victim: Victim) {
    let sandbox = lab.sandbox_pid();
    let child = lab.spawn(arguments);
    std::thread::sleep(after);
    if victim != Victim::Sandbox {
        kill(child.id());
    }
    if victim != Victim::Client {
        kill(sandbox);
    }
    // A client whose sandbox has died says so and ends.
    wait(child);
}

fn fresh(lab: &Lab) {
    lab.start(SCALE);
    lab.run(&["sandbox", "reset", "--yes"]).ok();
    let _ = std::fs::remove_dir_all(lab.platform().join(".seaworthy/state"));
}

fn at_points(few: usize, full: usize) {
    let lab = Lab::running("accelerator", SCALE);
    let start = Instant::now();
    lab.deploy("dev").ok();
    let deploy_takes = start.elapsed();
    let expected = lab.world();
    let start = Instant::now();
    lab.destroy("dev").ok();
    let destroy_takes = start.elapsed();
    let left = lab.world();
    let points = times(few, full);
    for point in 0..points {
        let victim = [Victim::Client, Victim::Sandbox, Victim::Both][point % 3];
        let share = (point as f64 + 0.5) / points as f64;
        fresh(&lab);
        killed(
            &lab,
            &["deploy", "-e", "dev", "--yes"],
            deploy_takes.mul_f64(share),
            victim,
        );
        lab.start(SCALE);
        lab.deploy("dev").ok();
        same_world(
            &lab.world(),
            &expected,
            &format!("{victim:?} died at {share:.2} of a deploy"),
        );
        lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
            .ok();
        let destroy = ["destroy", "-e", "dev", "--confirm", "shop-dev", "--yes"];
        killed(&lab, &destroy, destroy_takes.mul_f64(share), victim);
        lab.start(SCALE);
        lab.destroy("dev").ok();
        same_world(
            &lab.world(),
            &left,
            &format!("{victim:?} died at {share:.2} of a destroy"),
        );
    }
}

#[test]
fn killed_anywhere_the_same_command_carries_on() {
    at_points(10, 300);
}

#[test]
fn what_goes_on_and_ends_without_the_client_is_found_again() {
    let lab = Lab::running("accelerator", SCALE);
    lab.deploy("dev").ok();
    let expected = lab.world();
    fresh(&lab);
    killed(
        &lab,
        &["deploy", "-e", "dev", "--yes"],
        Duration::from_millis(2300),
        Victim::Client,
    );
    // At this scale whatever was under way has ended by now.
    std::thread::sleep(Duration::from_secs(10));
    lab.deploy("dev").ok();
    same_world(&lab.world(), &expected, "after the resumed deploy");
}

#[test]
fn ctrl_c_waits_for_what_runs_and_a_second_one_stops_at_once() {
    let lab = Lab::running("accelerator", "100");
    let signal = |pid: u32| {
        std::process::Command::new("kill")
            .args(["-INT", &pid.to_string()])
            .status()
            .unwrap();
    };
    let child = lab.spawn(&["deploy", "-e", "dev", "--yes"]);
    let pid = child.id();
    std::thread::sleep(Duration::from_millis(1500));
    signal(pid);
    let said = wait(child).fails(130);
    assert!(
        said.stderr.contains("deploy") || said.stdout.contains("deploy"),
        "how to go on: {said:?}"
    );
    let status = lab.run(&["status", "-e", "dev", "-o", "json"]).ok().json();
    let creating = |status: &serde_json::Value| {
        let resources = status["resources"].as_array().unwrap();
        resources
            .iter()
            .filter(|resource| resource["status"] == "creating")
            .count()
    };
    assert_eq!(creating(&status), 0, "what ran was waited for");
    let child = lab.spawn(&["deploy", "-e", "dev", "--yes"]);
    let pid = child.id();
    std::thread::sleep(Duration::from_millis(1500));
    signal(pid);
    std::thread::sleep(Duration::from_millis(100));
    let second = Instant::now();
    signal(pid);
    wait(child).fails(130);
    assert!(
        second.elapsed() < Duration::from_secs(2),
        "{:?}",
        second.elapsed()
    );
    lab.deploy("dev").ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .ok();
}
