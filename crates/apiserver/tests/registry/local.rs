//! The client for controllers.

use seaworthy_apiserver::registry::{About, DeleteOptions, Noted};
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, config_map, deployment, pod, wait};

fn about<'a>(group: &'a str, resource: &'a str, name: &'a str) -> About<'a> {
    About {
        group,
        resource,
        namespace: "default",
        name,
    }
}

#[test]
fn a_controller_writes_in_its_own_name() {
    let cluster = Cluster::new();
    let local = cluster.registry.local("deployment-controller");
    let made = local.create(deployment("web")).unwrap();
    let mut object = made.json();
    assert_eq!(
        object["metadata"]["managedFields"][0]["manager"],
        "deployment-controller"
    );
    object["status"] = json!({ "replicas": 1 });
    let told = local.update_status(object.clone()).unwrap();
    assert_eq!(told.json()["status"]["replicas"], 1);
    // It was read before that.
    object["spec"]["replicas"] = json!(9);
    assert_eq!(local.update(object).unwrap_err().code, 409);
    let patched = local
        .merge_patch(
            about("apps", "deployments", "web"),
            Some("status"),
            json!({ "status": { "replicas": 2 } }),
        )
        .unwrap();
    assert_eq!(patched.json()["status"]["replicas"], 2);
    let seen = local
        .changes(made.revision, |change| &*change.object.key.name == "web")
        .unwrap();
    assert_eq!(seen.items.len(), 2);
    assert!(
        local
            .delete(
                about("apps", "deployments", "web"),
                &DeleteOptions::default()
            )
            .unwrap()
    );
    assert!(local.get(about("apps", "deployments", "web")).is_none());
    local.ensure(config_map("a")).unwrap();
    local.ensure(config_map("a")).unwrap();
    wait(cluster.registry.synced(cluster.registry.store().revision())).unwrap();
}

#[test]
fn pods_are_bound_and_evicted() {
    let cluster = Cluster::new();
    let local = cluster.registry.local("kube-scheduler");
    let made = local.create(pod("web")).unwrap();
    local.bind("default", "web", "node-1").unwrap();
    assert_eq!(
        local.bind("default", "web", "node-1").unwrap_err().code,
        409
    );
    assert_eq!(
        local
            .get(about("", "pods", "web"))
            .unwrap()
            .field("spec.nodeName"),
        "node-1"
    );
    assert_eq!(
        local
            .evict("default", "web", Some("another"))
            .unwrap_err()
            .code,
        409
    );
    local.evict("default", "web", Some(&made.uid)).unwrap();
    let now = DeleteOptions {
        grace_period: Some(0),
        ..DeleteOptions::default()
    };
    assert!(local.delete(about("", "pods", "web"), &now).unwrap());
}

#[test]
fn events_are_counted_and_forgotten() {
    let cluster = Cluster::new();
    let local = cluster.registry.local("kubelet");
    let pod = local.create(pod("web")).unwrap().json();
    let noted = Noted {
        about: &pod,
        kind: "Normal",
        reason: "Pulled",
        message: "it is there",
    };
    local.event(noted).unwrap();
    cluster.pass(10);
    local.event(noted).unwrap();
    local
        .event(Noted {
            reason: "Started",
            ..noted
        })
        .unwrap();
    let events = |cluster: &Cluster| -> Vec<Json> {
        let local = cluster.registry.local("kubelet");
        let items = local.list("", "events", Some("default")).items;
        items.iter().map(|stored| stored.json()).collect()
    };
    let all = events(&cluster);
    assert_eq!(all.len(), 2);
    let pulled = all
        .iter()
        .find(|event| event["reason"] == "Pulled")
        .unwrap();
    assert_eq!(pulled["count"], 2);
    assert_eq!(pulled["firstTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(pulled["lastTimestamp"], "2026-01-02T03:04:15Z");
    assert_eq!(pulled["involvedObject"]["uid"], pod["metadata"]["uid"]);
    assert_eq!(pulled["source"]["component"], "kubelet");
    // Half an hour later one is told again; after the hour the other is gone.
    cluster.pass(1800);
    local.event(noted).unwrap();
    cluster.pass(1900);
    local
        .event(Noted {
            reason: "Other",
            ..noted
        })
        .unwrap();
    let mut reasons: Vec<String> = events(&cluster)
        .iter()
        .map(|event| event["reason"].as_str().unwrap().to_owned())
        .collect();
    reasons.sort();
    assert_eq!(reasons, ["Other", "Pulled"]);
}
