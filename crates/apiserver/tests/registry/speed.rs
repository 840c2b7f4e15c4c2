//! How long things take. The bounds are for a debug build on a slow machine; the figures are printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apimachinery::GroupResource;
use seaworthy_apiserver::UserInfo;
use seaworthy_apiserver::registry::{About, Call, Noted};
use serde_json::json;

use crate::cluster::{Cluster, config_map, pod};

fn about(name: &str) -> About<'_> {
    About {
        group: "",
        resource: "pods",
        namespace: "default",
        name,
    }
}

/// What 500 pods cost the controllers, from creation to readiness.
#[test]
fn controllers_bring_up_pods() {
    const PODS: usize = 500;
    let cluster = Cluster::new();
    let local = cluster.registry.local("kubelet");
    let names: Vec<String> = (0..PODS).map(|number| format!("web-{number}")).collect();
    let begin = Instant::now();
    let step = |what: &str, act: &dyn Fn(&str)| {
        let begin = Instant::now();
        for name in &names {
            act(name);
        }
        println!("{what}: {:?} each", begin.elapsed() / 500);
    };
    step("create", &|name| drop(local.create(pod(name)).unwrap()));
    step("bind", &|name| {
        local.bind("default", name, "node-1").unwrap()
    });
    step("status", &|name| {
        let status = json!({ "status": {
            "phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.0.0.2", "startTime": "2026-01-02T03:04:05Z",
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Initialized", "status": "True" }],
            "containerStatuses": [{ "name": "web", "image": "nginx", "imageID": "x", "ready": true, "restartCount": 0, "state": { "running": { "startedAt": "2026-01-02T03:04:05Z" } } }],
        } });
        local
            .merge_patch(about(name), Some("status"), status)
            .unwrap();
    });
    step("event", &|name| {
        let pod = local.get(about(name)).unwrap().json();
        local
            .event(Noted {
                about: &pod,
                kind: "Normal",
                reason: "Started",
                message: "Started container web",
            })
            .unwrap();
    });
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// Many clients, each waiting for the disk.
#[test]
fn clients_write_together() {
    const CLIENTS: usize = 64;
    const EACH: usize = 20;
    let cluster = Arc::new(Cluster::new());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let begin = Instant::now();
    runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let registry = cluster.registry.clone();
                tokio::spawn(async move {
                    let user = UserInfo::default();
                    let catalogue = registry.resources();
                    let resource = catalogue.find("", "v1", "configmaps").unwrap();
                    for number in 0..EACH {
                        let call = Call::of(resource, &user).named("default", "");
                        let body = config_map(&format!("c{client}-{number}"));
                        registry.create(&call, body).await.unwrap();
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
    let took = begin.elapsed();
    let count = u32::try_from(CLIENTS * EACH).unwrap();
    println!(
        "{count} acknowledged writes: {took:?}, {:?} each",
        took / count
    );
    let listing = cluster
        .registry
        .store()
        .list(&GroupResource::new("", "configmaps"), None);
    assert_eq!(listing.items.len(), CLIENTS * EACH);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// A large cluster: ten thousand pods are listed in a moment, and cost about what their JSON costs.
#[test]
fn ten_thousand_pods_are_listed() {
    const PODS: usize = 10_000;
    let cluster = Cluster::new();
    let local = cluster.registry.local("replicaset-controller");
    let begin = Instant::now();
    for number in 0..PODS {
        local.create(pod(&format!("web-{number}"))).unwrap();
    }
    let made = begin.elapsed();
    let mut body = Vec::new();
    // Other tests run beside this one: the best of a few counts.
    let listed = (0..5)
        .map(|_| {
            let begin = Instant::now();
            body.clear();
            cluster.call("pods", |call| {
                let listing = cluster.registry.list(&call);
                assert_eq!(listing.items.len(), PODS);
                for stored in &listing.items {
                    body.extend_from_slice(&cluster.registry.present(call.resource, stored));
                }
            });
            begin.elapsed()
        })
        .min()
        .unwrap();
    println!(
        "10,000 pods: made in {made:?}, listed ({} bytes) in {listed:?}",
        body.len()
    );
    assert!(listed < Duration::from_millis(150), "{listed:?}");
}
