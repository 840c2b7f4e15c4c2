//! The sandbox dies while its clusters are in use. What was acknowledged is there when it is back, and clients go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::inside::{Inside, root, tool};
use crate::lab::wait;
use crate::times;

const SOON: Duration = Duration::from_secs(60);

/// Objects by name, with the version in which they were acknowledged.
type Acknowledged = BTreeMap<String, (String, String)>;

fn of(map: &ConfigMap) -> (String, String) {
    (map.uid().unwrap(), map.resource_version().unwrap())
}

/// Makes objects one after another until told to stop, and says which were acknowledged.
async fn write(client: Client, turn: usize, stop: Arc<AtomicBool>) -> Acknowledged {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut acknowledged = Acknowledged::new();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let labels = json!({"about": "kills"});
        let made = json!({"metadata": {"name": format!("turn-{turn}-{n}"), "labels": labels}});
        let made: ConfigMap = serde_json::from_value(made).unwrap();
        match maps.create(&PostParams::default(), &made).await {
            Ok(made) => {
                acknowledged.insert(made.name_any(), of(&made));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_killed_in_an_upgrade_has_lost_nothing_and_helm_goes_on() {
    let inside = Inside::deployed();
    let client = inside.client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let chart = root().join("scripts/kubernetes/chart");
    let chart = chart.to_str().unwrap();
    let upgrade = |replicas: &str| {
        let replicas = format!("replicas={replicas}");
        [
            "upgrade",
            "--install",
            "demo",
            chart,
            "--wait",
            "--timeout",
            "60s",
            "--set",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([replicas])
        .collect::<Vec<String>>()
    };
    let helm = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        inside.helm(&arguments)
    };
    helm(&upgrade("1")).ok();
    // An operator, who looks on all the time.
    let config = watcher::Config::default().labels("about=kills");
    let mut events = Box::pin(watcher(maps.clone(), config));
    let follow = tokio::spawn(async move {
        let (mut seen, mut fresh) = (Acknowledged::new(), Acknowledged::new());
        let mut ended = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => fresh.clear(),
                Ok(Event::InitApply(map)) => {
                    fresh.insert(map.name_any(), of(&map));
                }
                Ok(Event::InitDone) => seen = std::mem::take(&mut fresh),
                Ok(Event::Apply(map)) => {
                    seen.insert(map.name_any(), of(&map));
                }
                Ok(Event::Delete(map)) => {
                    seen.remove(&map.name_any());
                }
                // It comes back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            ended = ended.or_else(|| seen.contains_key("the-last").then_some(()));
            if ended.is_some() {
                break;
            }
        }
        seen
    });
    let mut acknowledged = Acknowledged::new();
    let turns = times(3, 20);
    let port = inside.lab.sandbox_port();
    for turn in 0..turns {
        let before = maps.list(&ListParams::default()).await.unwrap();
        let before = before.metadata.resource_version.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writing = tokio::spawn(write(client.clone(), turn, stop.clone()));
        let replicas = (turn % 3 + 2).to_string();
        let arguments = upgrade(&replicas);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = inside.command(&tool("helm"), &arguments).spawn().unwrap();
        // Spread over what an upgrade takes on an idle machine.
        let share = (turn as f64 + 0.5) / turns as f64;
        tokio::time::sleep(Duration::from_secs_f64(0.3 + 1.5 * share)).await;
        inside.lab.kill_sandbox();
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.store(true, Ordering::Relaxed);
        let written = writing.await.unwrap();
        assert!(!written.is_empty(), "turn {turn} has written nothing");
        acknowledged.extend(written);
        inside.lab.start_where_it_was(port, "max");
        // It ends, well or not: its server was gone for a moment.
        let said = tokio::task::spawn_blocking(move || wait(child))
            .await
            .unwrap();
        assert!(said.code == Some(0) || !said.stderr.is_empty(), "{said:?}");

        let client = inside.client().await;
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let found = maps
            .list(&ListParams::default().labels("about=kills"))
            .await
            .unwrap();
        let after: u64 = found
            .metadata
            .resource_version
            .clone()
            .unwrap()
            .parse()
            .unwrap();
        let found: Acknowledged = found
            .items
            .iter()
            .map(|map| (map.name_any(), of(map)))
            .collect();
        for (name, version) in &acknowledged {
            assert_eq!(found.get(name), Some(version), "{name} was acknowledged");
            assert!(after >= version.1.parse().unwrap(), "revisions only grow");
        }
        // Who wants to know what happened since before is told to begin again.
        let since = WatchParams::default();
        let mut watch = Box::pin(maps.watch(&since, &before).await.unwrap());
        let first = tokio::time::timeout(SOON, watch.next()).await.unwrap();
        let Some(Ok(WatchEvent::Error(status))) = first else {
            panic!("{first:?}");
        };
        assert_eq!((status.code, &*status.reason), (410, "Expired"));
        assert!(status.message.contains("too old resource version"));
        assert!(watch.next().await.is_none(), "and that is the end of it");

        // A Helm whose server has died leaves what any interrupted Helm leaves, and is gone on with in the same ways.
        let mut again = helm(&upgrade(&replicas));
        if again.code != Some(0) {
            again = again.says("another operation (install/upgrade/rollback) is in progress");
            drop(again);
            helm(&["rollback", "demo", "--wait", "--timeout", "60s"].map(str::to_owned)).ok();
            again = helm(&upgrade(&replicas));
        }
        again.ok().says("STATUS: deployed");
        let ready = "jsonpath={.status.readyReplicas}";
        let ready = inside.kubectl(&["get", "deployment", "demo", "-o", ready]);
        assert_eq!(ready.ok().stdout, replicas);
    }
    // How many depends on the disk.
    assert!(acknowledged.len() > turns, "{}", acknowledged.len());
    let last = json!({"metadata": {"name": "the-last", "labels": {"about": "kills"}}});
    let last: ConfigMap = serde_json::from_value(last).unwrap();
    let client = inside.client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    maps.create(&PostParams::default(), &last).await.unwrap();
    let seen = tokio::time::timeout(SOON, follow).await.unwrap().unwrap();
    let found = maps
        .list(&ListParams::default().labels("about=kills"))
        .await
        .unwrap();
    let found: Acknowledged = found
        .items
        .iter()
        .map(|map| (map.name_any(), of(map)))
        .collect();
    assert_eq!(seen, found, "who looked on has seen it all");
    // And the platform is what it was.
    inside
        .lab
        .run(&["drift", "-e", "dev", "--detailed-exitcode"])
        .ok();
}
