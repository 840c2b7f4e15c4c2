//! Time and the controllers.

use std::sync::Mutex;
use std::time::Duration;

use apiserver::ApiServer;
use controllers::Outcome;
use serde_json::json;

use super::*;
use crate::Settings;
use crate::aws::account::AccountOptions;
use crate::aws::faults::Faults;
use crate::clock::{ManualClock, TimeScale};
use crate::kubernetes::endpoints::Unserved;
use crate::kubernetes::load::{SimulatedLogs, SimulatedMetrics};

/// Which ConfigMap was looked at when.
type Seen = Arc<Mutex<Vec<(String, Timestamp)>>>;

/// Looks at `first` when it comes, 10 seconds later, when it makes `second`, and 600 seconds later; at `second` when it comes and 20
/// seconds later. Of `hasty` it wants to know at once how it goes on, four times; `restless` it changes whenever that changes.
struct Watchmaker {
    seen: Seen,
    begun: Option<Timestamp>,
}

impl Controller for Watchmaker {
    fn name(&self) -> &'static str {
        "watchmaker"
    }

    fn concerns(&self, change: &Change, _: &View) -> Vec<Key> {
        match change.resource.as_str() {
            "configmaps" => vec![change.key.clone()],
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let now = context.now;
        let mut seen = self.seen.lock().unwrap();
        let times = seen.iter().filter(|(name, _)| *name == *key.name).count();
        seen.push((key.name.to_string(), now));
        let after = |seconds| now + SignedDuration::from_secs(seconds);
        let begun = *self.begun.get_or_insert(now);
        match (&*key.name, times) {
            ("first", 0) => Outcome::settled().again_at(after(10)),
            ("first", 1) => Outcome::of(vec![Action::Create(config_map("second"))])
                .again_at(begun + SignedDuration::from_secs(600)),
            ("second", 0) => Outcome::settled().again_at(after(20)),
            ("restless", _) => {
                let mut changed = config_map("restless");
                changed["data"] = json!({"times": times.to_string()});
                Outcome::of(vec![Action::Update(changed)])
            }
            ("hasty", 0..3) => Outcome::settled().again_at(now),
            _ => Outcome::settled(),
        }
    }
}

fn config_map(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}

struct Bench {
    clock: Arc<ManualClock>,
    runtime: Runtime,
    local: Local,
    time: ClusterTime,
    seen: Seen,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let account = Account::open(
        folder.path(),
        AccountOptions {
            endpoints: Arc::new(Unserved),
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            settings: Settings::default(),
            time_scale: TimeScale::Times(1.0),
            seed: Some(1),
            faults: Faults::default(),
            wall: clock.clone(),
            on_stop: Box::new(|| ()),
        },
    );
    let account = Arc::new(account.unwrap());
    let time = ClusterTime::open(folder.path(), account.clone()).unwrap();
    let server = ApiServer::open(apiserver::Options {
        folder: folder.path().join("store"),
        version: "v1.33.0-eks-seaworthy".to_owned(),
        service_cidr: "172.20.0.0/16".to_owned(),
        issuer: "https://oidc.example/id".to_owned(),
        audiences: Vec::new(),
        clock: Arc::new(time.clone()),
        authenticators: Vec::new(),
        logs: Arc::new(SimulatedLogs),
        metrics: Arc::new(SimulatedMetrics::new(time.clone())),
    });
    let local = server.unwrap().local("test");
    let seen = Seen::default();
    let watchmaker = Watchmaker {
        seen: seen.clone(),
        begun: None,
    };
    let mut runtime = Runtime::new(
        "shop",
        account,
        time.clone(),
        &local,
        vec![Box::new(watchmaker)],
        Addons::new(&local, "PEM".to_owned()),
    );
    runtime.relist();
    runtime.step();
    seen.lock().unwrap().clear();
    Bench {
        clock,
        runtime,
        local,
        time,
        seen,
        _folder: folder,
    }
}

impl Bench {
    /// Who was looked at, and how many milliseconds after the first time.
    fn seen(&self) -> Vec<(String, i128)> {
        let seen = self.seen.lock().unwrap();
        let first = seen[0].1;
        seen.iter()
            .map(|(name, at)| (name.clone(), at.duration_since(first).as_millis()))
            .collect()
    }
}

#[test]
fn an_hour_that_is_missed_is_made_up_for_in_order() {
    let mut bench = bench();
    bench.local.create(config_map("first")).unwrap();
    bench.runtime.step();
    bench.clock.advance(Duration::from_secs(3600));
    // Whoever asks before the controllers have come so far is told of the time that they have come to.
    let before = bench.time.now();
    bench.runtime.step();
    let expected = [
        ("first", 0),
        ("first", 10_000),
        ("second", 10_000),
        ("second", 30_000),
        ("first", 600_000),
    ];
    assert_eq!(
        bench.seen(),
        expected.map(|(name, at)| (name.to_owned(), at))
    );
    let begun = bench.seen.lock().unwrap()[0].1;
    assert_eq!(before.duration_since(begun).as_secs(), 10);
    let made = bench
        .local
        .registry()
        .store()
        .list(&GroupResource::new("", "configmaps"), None);
    let made = made.items.iter().find(|item| *item.key.name == *"second");
    let made: serde_json::Value = serde_json::from_slice(&made.unwrap().bytes).unwrap();
    let made: Timestamp = made["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        (made.duration_since(begun).as_secs() - 10).abs() <= 1,
        "{made}"
    );
    // With nothing due, time is the world's.
    assert_eq!(bench.time.now(), bench.time.of_world());
    assert!(bench.time.now().duration_since(begun).as_secs() >= 3600);
}

#[test]
fn who_looks_again_at_once_sees_time_go_on() {
    let mut bench = bench();
    bench.local.create(config_map("hasty")).unwrap();
    bench.runtime.step();
    bench.clock.advance(Duration::from_secs(1));
    bench.runtime.step();
    let times: Vec<i128> = bench.seen().iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [0, 1, 2, 3]);
}

#[test]
fn what_never_ends_does_not_stop_the_clock_of_others() {
    let mut bench = bench();
    bench.runtime.crowd = 1000;
    bench.local.create(config_map("restless")).unwrap();
    bench.local.create(config_map("first")).unwrap();
    bench.runtime.step();
    bench.clock.advance(Duration::from_secs(3600));
    for _ in 0..10 {
        bench.runtime.step();
    }
    let seen = bench.seen();
    let of_others: Vec<i128> = seen
        .iter()
        .filter(|(name, _)| name == "first")
        .map(|(_, at)| at / 1000)
        .collect();
    assert_eq!(of_others, [0, 10, 600]);
    assert!(seen.len() > 1000, "{}", seen.len());
}

#[test]
fn a_cluster_goes_on_from_what_it_has_stored() {
    let bench = bench();
    bench.clock.advance(Duration::from_secs(500));
    bench.local.create(config_map("first")).unwrap();
    let written = bench.time.now();
    bench.clock.advance(Duration::from_secs(3600));
    let after = bench.time.of_cluster(false);
    after.go_on(bench.local.registry().store());
    let behind = after.now().duration_since(written).as_secs();
    assert!((-1..=0).contains(&behind), "{behind}");
}

#[test]
fn what_went_unseen_is_told_of() {
    let mut bench = bench();
    bench.local.create(config_map("second")).unwrap();
    bench.runtime.step();
    let about = About {
        group: "",
        resource: "configmaps",
        namespace: "default",
        name: "second",
    };
    bench
        .local
        .delete(about, &DeleteOptions::default())
        .unwrap();
    bench.seen.lock().unwrap().clear();
    bench.runtime.relist();
    bench.runtime.step();
    assert_eq!(bench.seen(), [("second".to_owned(), 0)]);
}

#[test]
fn each_cluster_waits_for_its_own_controllers() {
    let bench = bench();
    let other = bench.time.of_cluster(true);
    bench.time.up_to(Some(bench.time.now()));
    let before = bench.time.now();
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.time.now(), before);
    assert_eq!(other.now().duration_since(before).as_secs(), 60);
    bench.time.up_to(None);
    assert_eq!(bench.time.now().duration_since(before).as_secs(), 60);
}
