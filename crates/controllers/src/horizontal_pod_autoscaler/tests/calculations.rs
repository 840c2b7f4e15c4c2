//! The calculator's rules, one by one (replica_calculator.go).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value as Json, json};

use super::super::Settings;
use super::super::calculator::{Calculation, Calculator, Reading, Readings, Tolerance};

fn now() -> Timestamp {
    "2026-01-05T01:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A pod that requests 1,000m, started and last changed its readiness so long ago.
fn pod(name: &str, phase: &str, ready: bool, started: i64, changed: i64) -> Pod {
    let json: Json = json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {"phase": phase, "startTime": ago(started).to_string(), "conditions": [
            {"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": ago(changed).to_string()}]},
    });
    serde_json::from_value(json).unwrap()
}

fn old(name: &str) -> Pod {
    pod(name, "Running", true, 3600, 3500)
}

fn reading(milli: i64) -> Reading {
    Reading {
        milli,
        at: ago(10),
        window: SignedDuration::from_secs(30),
    }
}

struct Scene {
    pods: Vec<Pod>,
    readings: Vec<(&'static str, i64)>,
    current: i32,
}

impl Scene {
    /// So many pods `p0`, `p1`, …, each with a value.
    fn of(values: &[i64]) -> Self {
        const NAMES: [&str; 8] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];
        Self {
            pods: NAMES[..values.len()].iter().map(|name| old(name)).collect(),
            readings: NAMES.into_iter().zip(values.iter().copied()).collect(),
            current: i32::try_from(values.len()).unwrap(),
        }
    }

    fn with(mut self, pod: Pod, value: Option<i64>) -> Self {
        let name: &'static str = Box::leak(pod.metadata.name.clone().unwrap().into_boxed_str());
        self.readings.extend(value.map(|value| (name, value)));
        self.pods.push(pod);
        self.current += 1;
        self
    }

    fn calculate<T>(&self, ask: impl FnOnce(&Calculator<'_>, Readings<'_>) -> T) -> T {
        let pods: Vec<&Pod> = self.pods.iter().collect();
        let calculator = Calculator {
            pods: &pods,
            current: self.current,
            tolerance: Tolerance { down: 0.1, up: 0.1 },
            settings: Settings::default(),
            now: now(),
        };
        let readings = self
            .readings
            .iter()
            .map(|(name, value)| (*name, reading(*value)))
            .collect();
        ask(&calculator, readings)
    }

    fn utilization(&self, target: i32) -> Result<Calculation, String> {
        let pods: Vec<&Pod> = self.pods.iter().collect();
        let calculator = Calculator {
            pods: &pods,
            current: self.current,
            tolerance: Tolerance { down: 0.1, up: 0.1 },
            settings: Settings::default(),
            now: now(),
        };
        let readings = self
            .readings
            .iter()
            .map(|(name, value)| (*name, reading(*value)))
            .collect();
        calculator.of_utilization(readings, target, "cpu", None)
    }

    fn replicas(&self, target: i32) -> i32 {
        self.utilization(target).unwrap().replicas
    }
}

/// `GetResourceReplicas`: percentages are cut off, replicas are rounded up.
#[test]
fn the_ratio_gives_the_size() {
    let up = Scene::of(&[300, 500, 700]);
    assert_eq!(
        up.utilization(30),
        Ok(Calculation {
            replicas: 5,
            utilization: 50,
            average: 500
        })
    );
    assert_eq!(Scene::of(&[100, 300, 500, 250, 250]).replicas(50), 3);
    // 109.9 % of the target is cut to 109: within the tolerance.
    assert_eq!(
        Scene::of(&[1099, 1099]).utilization(100).unwrap().replicas,
        2
    );
    assert_eq!(Scene::of(&[1110, 1110]).replicas(100), 3);
    assert_eq!(Scene::of(&[910, 910, 910]).replicas(100), 3);
    assert_eq!(Scene::of(&[0, 0, 0]).replicas(50), 0);
}

/// Pods without a sample: as if at 100 % when shrinking, as if idle when growing.
#[test]
fn missing_pods_damp_the_change() {
    // 20 % of 50 would be two fifths; with the missing one at 100 % it is 40 of 50, and no change of direction.
    let down = Scene::of(&[200, 200, 200]).with(old("gone"), None);
    assert_eq!(down.replicas(50), 4);
    // Up: 90 % of 50 with three, 67.5 % with four.
    let up = Scene::of(&[900, 900, 900]).with(old("gone"), None);
    assert_eq!(up.replicas(50), 6);
    // Up, but with the missing one it would be down: nothing.
    let turned = Scene::of(&[600]).with(old("gone"), None);
    assert_eq!(turned.replicas(50), 2);
    // A target above 100 % is what missing pods are taken for.
    let above = Scene::of(&[200, 200]).with(old("gone"), None);
    assert_eq!(above.replicas(200), 2);
}

/// Pods that start use a lot: they do not make the workload grow.
#[test]
fn unready_pods_count_nothing_when_growing() {
    let starting = pod("new", "Running", false, 60, 50);
    let scene = Scene::of(&[900, 900, 900]).with(starting.clone(), Some(5000));
    assert_eq!(scene.replicas(50), 6);
    // And are left out otherwise.
    let scene = Scene::of(&[300, 300, 300]).with(starting, Some(5000));
    assert_eq!(scene.replicas(60), 2);
    let pending = pod("new", "Pending", false, 60, 50);
    assert_eq!(
        Scene::of(&[900, 900, 900]).with(pending, None).replicas(50),
        6
    );
}

/// `groupPods`.
#[test]
fn pods_are_sorted_by_what_they_are_worth() {
    let cases = [
        ("ready", pod("x", "Running", true, 3600, 3000), Some(1)),
        ("missing", pod("x", "Running", true, 3600, 3000), None),
        ("unready", pod("x", "Pending", false, 3600, 3000), Some(1)),
        ("ignored", pod("x", "Failed", false, 3600, 3000), Some(1)),
        // In its first five minutes: not ready, or not yet measured for a window since it is.
        ("unready", pod("x", "Running", false, 200, 100), Some(1)),
        ("unready", pod("x", "Running", true, 200, 35), Some(1)),
        ("ready", pod("x", "Running", true, 200, 45), Some(1)),
        // After them: not ready counts if it was ready once, that is if it changed later than 30 s after its start.
        ("ready", pod("x", "Running", false, 3600, 3000), Some(1)),
        ("unready", pod("x", "Running", false, 3600, 3580), Some(1)),
    ];
    for (at, (expected, pod, value)) in cases.into_iter().enumerate() {
        let scene = Scene {
            pods: vec![],
            readings: vec![],
            current: 0,
        }
        .with(pod, value);
        let found = scene.calculate(|calculator, readings| {
            let groups = calculator.group(&readings, true);
            match groups {
                groups if groups.ready == 1 => "ready",
                groups if groups.unready.len() == 1 => "unready",
                groups if groups.missing.len() == 1 => "missing",
                groups if groups.ignored.len() == 1 => "ignored",
                _ => "nothing",
            }
        });
        assert_eq!(found, expected, "case {at}");
    }
    let mut deleted = old("x");
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!(now().to_string())).unwrap();
    let scene = Scene::of(&[500]).with(deleted, Some(5000));
    assert_eq!(
        scene.calculate(|calculator, readings| calculator.group(&readings, true).ignored.len()),
        1
    );
}

/// Memory is believed from the start: only CPU has a settling time.
#[test]
fn memory_has_no_settling_time() {
    let scene = Scene::of(&[]).with(pod("new", "Running", false, 60, 50), Some(1));
    assert_eq!(
        scene.calculate(|calculator, readings| calculator.group(&readings, false).ready),
        1
    );
}

#[test]
fn what_cannot_be_said_is_an_error() {
    assert_eq!(
        Scene::of(&[]).utilization(50),
        Err("no pods returned by selector while calculating replica count".to_owned())
    );
    let unready = Scene::of(&[]).with(pod("new", "Pending", false, 1, 1), None);
    assert_eq!(
        unready.utilization(50),
        Err("did not receive metrics for targeted pods (pods might be unready)".to_owned())
    );
    let mut bare = old("bare");
    bare.spec.as_mut().unwrap().containers[0].resources = None;
    assert_eq!(
        Scene::of(&[]).with(bare, Some(1)).utilization(50),
        Err("missing request for cpu in container c of Pod bare".to_owned())
    );
}

/// `GetMetricReplicas`: the average of values, missing pods at the target when shrinking.
#[test]
fn averages_give_the_size() {
    let average = |scene: &Scene, target: i64| {
        scene.calculate(|calculator, readings| {
            // The readings outlive the call only by their names, which are static.
            let readings = readings.into_iter().collect();
            calculator
                .of_average(readings, target, false)
                .map(|found| (found.replicas, found.average))
        })
    };
    assert_eq!(
        average(&Scene::of(&[20_000, 10_000, 30_000]), 15_000),
        Ok((4, 20_000))
    );
    assert_eq!(
        average(&Scene::of(&[15_500, 15_500]), 15_000),
        Ok((2, 15_500))
    );
    let down = Scene::of(&[4_000, 4_000]).with(old("gone"), None);
    assert_eq!(average(&down, 10_000), Ok((2, 4_000)));
}

/// `GetExternalMetricReplicas`, `GetExternalPerPodMetricReplicas`.
#[test]
fn values_of_the_whole_give_the_size() {
    let scene = Scene::of(&[1, 1, 1]);
    let value = |usage| scene.calculate(|calculator, _| calculator.of_value(usage, 4_400));
    assert_eq!(value(8_600), Ok(6));
    assert_eq!(value(4_600), Ok(3));
    let share = |usage| scene.calculate(|calculator, _| calculator.of_share(usage, 2_000, 3));
    assert_eq!(share(8_600), (5, 2_867));
    assert_eq!(share(6_100), (3, 2_034));
    let none = Scene {
        pods: vec![],
        readings: vec![],
        current: 0,
    };
    assert_eq!(
        none.calculate(|calculator, _| calculator.of_value(8_600, 4_400)),
        Ok(2)
    );
}
