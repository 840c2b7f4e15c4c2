//! Pods: grace, bindings, evictions.

use seaworthy_apiserver::registry::DeleteOptions;
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, pod};

fn bind(cluster: &Cluster, name: &str, node: &str) -> Result<Json, apimachinery::Status> {
    cluster.post(
        &format!("pods/{name}"),
        "binding",
        json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name }, "target": { "kind": "Node", "name": node } }),
    )
}

fn run(cluster: &Cluster, name: &str) {
    cluster.create(pod(name));
    bind(cluster, name, "node-1").unwrap();
    cluster.merge_status(
        &format!("pods/{name}"),
        json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }),
    );
}

#[test]
fn a_pod_is_bound_once() {
    let cluster = Cluster::new();
    cluster.create(pod("web"));
    bind(&cluster, "web", "node-1").unwrap();
    let bound = cluster.get("pods/web").unwrap();
    assert_eq!(bound["spec"]["nodeName"], "node-1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let error = bind(&cluster, "web", "node-2").unwrap_err();
    assert_eq!(error.code, 409);
    assert_eq!(
        error.message,
        "Operation cannot be fulfilled on pods/binding \"web\": pod web is already assigned to node \"node-1\""
    );
    assert_eq!(bind(&cluster, "none", "node-1").unwrap_err().code, 404);
}

#[test]
fn a_running_pod_has_its_grace() {
    let cluster = Cluster::new();
    cluster.create(pod("waiting"));
    assert!(
        cluster
            .delete("pods/waiting", &DeleteOptions::default())
            .unwrap()
            .gone
    );

    run(&cluster, "web");
    let deleted = cluster
        .delete("pods/web", &DeleteOptions::default())
        .unwrap();
    assert!(!deleted.gone);
    let dying = cluster.get("pods/web").unwrap();
    assert_eq!(
        dying["metadata"]["deletionTimestamp"],
        "2026-01-02T03:04:35Z"
    );
    assert_eq!(dying["metadata"]["deletionGracePeriodSeconds"], 30);
    // Longer is no longer possible, shorter is.
    let grace = |seconds| DeleteOptions {
        grace_period: Some(seconds),
        ..DeleteOptions::default()
    };
    cluster.delete("pods/web", &grace(60)).unwrap();
    assert_eq!(cluster.get("pods/web").unwrap(), dying);
    cluster.delete("pods/web", &grace(5)).unwrap();
    let dying = cluster.get("pods/web").unwrap();
    assert_eq!(
        dying["metadata"]["deletionTimestamp"],
        "2026-01-02T03:04:10Z"
    );
    assert!(cluster.delete("pods/web", &grace(0)).unwrap().gone);
    assert!(cluster.get("pods/web").is_none());
}

#[test]
fn a_finalizer_outlives_the_grace() {
    let cluster = Cluster::new();
    let mut object = pod("web");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.create(object);
    let now = DeleteOptions {
        grace_period: Some(0),
        ..DeleteOptions::default()
    };
    assert!(!cluster.delete("pods/web", &now).unwrap().gone);
    cluster.merge("pods/web", json!({ "metadata": { "finalizers": [] } }));
    assert!(cluster.get("pods/web").is_none());
}

fn budget(cluster: &Cluster, allowed: i64) {
    cluster.create(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
        "spec": { "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } },
    }));
    cluster.merge_status(
        "poddisruptionbudgets.policy/web",
        json!({
            "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2, "observedGeneration": 1,
        }),
    );
}

fn evict(cluster: &Cluster, name: &str) -> Result<Json, apimachinery::Status> {
    cluster.post(
        &format!("pods/{name}"),
        "eviction",
        json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name } }),
    )
}

#[test]
fn a_budget_forbids_an_eviction() {
    let cluster = Cluster::new();
    run(&cluster, "web");
    budget(&cluster, 0);
    let error = evict(&cluster, "web").unwrap_err();
    assert_eq!(error.code, 429);
    assert_eq!(
        error.message,
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    let causes = error.details.unwrap().causes;
    assert_eq!(causes[0].reason, "DisruptionBudget");
    assert_eq!(
        causes[0].message,
        "The disruption budget web needs 2 healthy pods and has 2 currently"
    );
    assert!(
        cluster.get("pods/web").unwrap()["metadata"]
            .get("deletionTimestamp")
            .is_none()
    );
    // A change of the budget that its controller hasn't seen: try again later.
    cluster.merge(
        "poddisruptionbudgets.policy/web",
        json!({ "spec": { "minAvailable": 1 } }),
    );
    let error = evict(&cluster, "web").unwrap_err();
    assert_eq!(error.details.unwrap().retry_after_seconds, Some(10));
}

#[test]
fn an_allowed_eviction_spends_the_budget() {
    let cluster = Cluster::new();
    run(&cluster, "a");
    run(&cluster, "b");
    budget(&cluster, 1);
    evict(&cluster, "a").unwrap();
    let pod = cluster.get("pods/a").unwrap();
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let condition = conditions
        .iter()
        .find(|one| one["type"] == "DisruptionTarget")
        .unwrap();
    assert_eq!(condition["reason"], "EvictionByEvictionAPI");
    let budget = cluster.get("poddisruptionbudgets.policy/web").unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert_eq!(
        budget["status"]["disruptedPods"]["a"],
        "2026-01-02T03:04:05Z"
    );
    assert_eq!(evict(&cluster, "b").unwrap_err().code, 429);
    // What isn't ready doesn't count while enough are.
    cluster.merge_status(
        "pods/b",
        json!({ "conditions": [{ "type": "Ready", "status": "False" }] }),
    );
    evict(&cluster, "b").unwrap();
    // Neither does what doesn't run yet.
    cluster.create(crate::cluster::pod("c"));
    evict(&cluster, "c").unwrap();
    assert!(cluster.get("pods/c").is_none());
    assert_eq!(evict(&cluster, "c").unwrap_err().code, 404);
}
