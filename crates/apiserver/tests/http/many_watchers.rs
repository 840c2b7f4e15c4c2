//! Many watchers at once, and one that does not keep up.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, drain};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// How many watchers and events; `WATCHERS=100 EVENTS=10000` measures the full load.
fn size(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_of_everything_in_order() {
    let cluster = Cluster::new();
    let (watchers, events) = (size("WATCHERS", 20), size("EVENTS", 200));
    let mut readers = Vec::new();
    for _ in 0..watchers {
        let mut body = cluster
            .watch(&format!("{MAPS}?watch=true&labelSelector=app"))
            .await
            .into_body();
        readers.push(tokio::spawn(async move {
            let (mut seen, mut last) = (0, Vec::new());
            while seen < events {
                let frame = tokio::time::timeout(Duration::from_secs(60), body.frame())
                    .await
                    .expect("something happens within a minute")
                    .expect("the watch goes on")
                    .unwrap();
                let data = frame.into_data().unwrap();
                seen += data.iter().filter(|byte| **byte == b'\n').count();
                last = data.to_vec();
            }
            let last = last.split(|byte| *byte == b'\n').rev().nth(1).unwrap();
            let last: Json = serde_json::from_slice(last).unwrap();
            (seen, last["object"]["data"]["a"].clone())
        }));
    }
    let began = Instant::now();
    cluster.config_map("a", "web").await;
    let local = cluster.server.local("test");
    let about = seaworthy_apiserver::registry::About {
        group: "",
        resource: "configmaps",
        namespace: "default",
        name: "a",
    };
    for round in 1..events {
        local
            .merge_patch(
                about,
                None,
                json!({"data": {"a": format!("round {round}")}}),
            )
            .unwrap();
    }
    let written = began.elapsed();
    for reader in readers {
        let (seen, last) = reader.await.unwrap();
        assert_eq!(
            (seen, last),
            (events, json!(format!("round {}", events - 1)))
        );
    }
    let heard = began.elapsed();
    println!(
        "{watchers} watchers, {events} events: written in {written:?}, heard by all in {heard:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_cut_off() {
    let cluster = Cluster::new();
    let watch = cluster
        .watch(&format!("{MAPS}?watch=true&labelSelector=app"))
        .await;
    cluster.config_map("a", "web").await;
    let local = cluster.server.local("test");
    let about = seaworthy_apiserver::registry::About {
        group: "",
        resource: "configmaps",
        namespace: "default",
        name: "a",
    };
    let long = "x".repeat(50_000);
    for round in 0..40 {
        let patch = json!({"data": {"a": format!("{round} {long}")}});
        local.merge_patch(about, None, patch).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let length = drain(watch.into_body(), |_| {}).await;
    assert!(
        length > 0 && length < 20 * 50_000,
        "{length} bytes waited for it"
    );
}
