//! How long the controllers take for a cluster of many pods, without an API server: the scheduler alone, and with the kubelets.
//!
//! `cargo run --release -p seaworthy-controllers --example cluster_speed -- 2000 100`

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a program for measuring"
)]

use std::time::Instant;

use jiff::Timestamp;
use seaworthy_controllers::kubelet::Kubelets;
use seaworthy_controllers::scheduler::PodScheduler;
use seaworthy_controllers::{Action, Context, Controller, Key, Pace, View};
use serde_json::{Value as Json, json};

/// Takes an object into the view and tells the controllers.
fn write(
    view: &mut View,
    controllers: &mut [&mut dyn Controller],
    resource: &str,
    json: &Json,
) -> Vec<Vec<Key>> {
    let text = |pointer: &str| {
        json.pointer(pointer)
            .and_then(Json::as_str)
            .unwrap_or_default()
    };
    let key = Key::new(text("/metadata/namespace"), text("/metadata/name"));
    let bytes = serde_json::to_vec(json).unwrap();
    let change = view.apply("", resource, &key, Some(&bytes)).unwrap();
    controllers
        .iter()
        .map(|controller| controller.concerns(&change, view))
        .collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        arguments
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (pods, nodes) = (number(2_000), number(100));
    let now: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    let mut view = View::default();
    let mut scheduler = PodScheduler::new(0);
    let mut kubelets = Kubelets::default();
    for number in 0..nodes {
        let name = format!("node-{number}");
        let zone = ["a", "b", "c"][number % 3];
        let node = json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}},
            "spec": {}, "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"}, "addresses": [{"type": "InternalIP", "address": format!("10.{}.{}.{}", number / 16, (number % 16) * 16, 10)}]}});
        write(
            &mut view,
            &mut [&mut scheduler, &mut kubelets],
            "nodes",
            &node,
        );
    }
    let mut stored: Vec<Json> = (0..pods)
        .map(|number| {
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("web-{number}"), "namespace": "shop", "uid": format!("uid-{number}"), "resourceVersion": "1",
                    "creationTimestamp": "2026-01-05T00:00:00Z", "labels": {"app": "web", "pod-template-hash": "abc"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "rs", "controller": true}]},
                "spec": {"containers": [{"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}],
                    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]},
                "status": {"phase": "Pending"}})
        })
        .collect();
    for pod in &stored {
        write(&mut view, &mut [&mut scheduler, &mut kubelets], "pods", pod);
    }
    let pace = Pace::Immediate;
    let key = Key::cluster("pods");
    let start = Instant::now();
    let mut bound: Vec<(Key, String)> = Vec::new();
    loop {
        let context = Context {
            view: &view,
            now,
            pace,
        };
        let outcome = scheduler.reconcile(&key, context);
        let before = bound.len();
        for action in outcome.actions {
            match action {
                Action::Bind { pod, node } => bound.push((pod, node)),
                Action::InTurn(actions) => {
                    bound.extend(actions.into_iter().filter_map(|action| match action {
                        Action::Bind { pod, node } => Some((pod, node)),
                        _ => None,
                    }))
                }
                _ => {}
            }
        }
        if bound.len() == before {
            break;
        }
    }
    println!(
        "scheduler: {} of {pods} pods on {nodes} nodes in {:.1} ms",
        bound.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    let index = |key: &Key| -> usize { key.name.trim_start_matches("web-").parse().unwrap() };
    // The bindings as they are seen, one by one, with a turn of the scheduler after each.
    let start = Instant::now();
    let mut turns = 0;
    for (pod, node) in &bound {
        let json = &mut stored[index(pod)];
        json["spec"]["nodeName"] = json!(node);
        json["metadata"]["resourceVersion"] = json!("2");
        let json = json.clone();
        let concerned = write(
            &mut view,
            &mut [&mut scheduler, &mut kubelets],
            "pods",
            &json,
        );
        if !concerned[0].is_empty() {
            let context = Context {
                view: &view,
                now,
                pace,
            };
            assert!(scheduler.reconcile(&key, context).actions.is_empty());
            turns += 1;
        }
    }
    println!(
        "scheduler: {turns} turns for what it has decided itself in {:.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    let start = Instant::now();
    let mut writes = 0;
    for (pod, _) in &bound {
        let context = Context {
            view: &view,
            now,
            pace,
        };
        writes += kubelets.reconcile(pod, context).actions.len();
    }
    println!(
        "kubelets: {writes} statuses in {:.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
}
