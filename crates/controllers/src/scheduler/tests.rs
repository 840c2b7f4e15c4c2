use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value as Json, json};

use super::{NAME, PodScheduler};
use crate::Pace;
use crate::cluster::aws::{cluster, launch, pod, run_for, settle};
use crate::cluster::{Options, all};
use crate::document::Named;
use crate::testing::Cluster;

fn start(nodes: usize) -> Cluster {
    let mut cluster = cluster(Options::default());
    cluster.pace = Pace::Immediate;
    launch(&mut cluster, nodes, "m5.large");
    settle(&mut cluster);
    cluster.pace = Pace::Modelled;
    cluster
}

fn asking(name: &str, cpu: &str, more: Json) -> Json {
    let mut json = pod(
        name,
        json!({"spec": {"containers": [{"name": "app", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}]}}),
    );
    if let (Json::Object(spec), Json::Object(more)) = (&mut json["spec"], more) {
        spec.extend(more);
    }
    json
}

fn node_of(cluster: &Cluster, name: &str) -> Option<String> {
    cluster.get::<Pod>("shop", name).spec.unwrap().node_name
}

fn why(cluster: &Cluster, name: &str) -> String {
    let conditions = cluster
        .get::<Pod>("shop", name)
        .status
        .unwrap()
        .conditions
        .unwrap_or_default();
    let scheduled = conditions
        .into_iter()
        .find(|condition| condition.type_ == "PodScheduled");
    scheduled
        .and_then(|scheduled| scheduled.message)
        .unwrap_or_default()
}

#[test]
fn why_not_is_told_in_kubernetes_words_and_once() {
    let mut cluster = start(3);
    let name = cluster.list::<Node>("")[0].name().to_owned();
    cluster.patch::<Node>("", &name, &json!({"spec": {"unschedulable": true}}));
    cluster.create(asking("big", "8", json!({})));
    run_for(&mut cluster, 30);
    let message = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    assert_eq!(why(&cluster, "big"), message);
    let told = cluster
        .events
        .iter()
        .find(|told| told.about == "Pod/big" && told.reason == "FailedScheduling")
        .unwrap();
    assert_eq!((told.message.as_str(), told.count), (message, 1));
    let before = cluster.reconciled;
    run_for(&mut cluster, 30);
    assert!(
        cluster.reconciled - before < 10,
        "nothing happens, so nothing is tried"
    );
}

#[test]
fn room_that_comes_is_taken() {
    let mut cluster = start(1);
    cluster.create(asking("first", "1500m", json!({})));
    cluster.create(asking("second", "1500m", json!({})));
    run_for(&mut cluster, 5);
    let (one, two) = (node_of(&cluster, "first"), node_of(&cluster, "second"));
    assert!(one.is_some() != two.is_some());
    let (placed, waits) = if one.is_some() {
        ("first", "second")
    } else {
        ("second", "first")
    };
    cluster.delete::<Pod>("shop", placed);
    run_for(&mut cluster, 12);
    assert!(node_of(&cluster, waits).is_some());
    cluster.create(asking("third", "1500m", json!({})));
    run_for(&mut cluster, 3);
    assert_eq!(node_of(&cluster, "third"), None);
    launch(&mut cluster, 1, "m5.large");
    run_for(&mut cluster, 75);
    assert!(node_of(&cluster, "third").is_some());
}

#[test]
fn the_important_take_the_place_of_others() {
    let mut cluster = start(1);
    cluster.create(asking("low", "1500m", json!({"priority": 0})));
    run_for(&mut cluster, 10);
    cluster.create(asking("high", "1500m", json!({"priority": 1000})));
    settle(&mut cluster);
    let high = cluster.get::<Pod>("shop", "high").status.unwrap();
    assert_eq!(high.nominated_node_name, node_of(&cluster, "low"));
    let low = cluster.get::<Pod>("shop", "low");
    assert!(low.is_deleting());
    let target = low
        .status
        .unwrap()
        .conditions
        .unwrap()
        .into_iter()
        .find(|condition| condition.type_ == "DisruptionTarget")
        .unwrap();
    assert_eq!(target.reason.as_deref(), Some("PreemptionByScheduler"));
    assert_eq!(cluster.told("Pod/low", "Preempted").len(), 1);
    run_for(&mut cluster, 12);
    assert!(node_of(&cluster, "high").is_some());
    assert!(cluster.find::<Pod>("shop", "low").is_none());
}

#[test]
fn gates_others_schedulers_and_neighbours() {
    let mut cluster = start(2);
    cluster.create(asking(
        "gated",
        "100m",
        json!({"schedulingGates": [{"name": "quota"}]}),
    ));
    cluster.create(asking("others", "100m", json!({"schedulerName": "mine"})));
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}]}}});
    cluster.create(asking("near", "100m", near));
    run_for(&mut cluster, 3);
    for name in ["gated", "others", "near"] {
        assert_eq!(node_of(&cluster, name), None, "{name}");
    }
    assert_eq!(
        why(&cluster, "gated"),
        "Scheduling is blocked due to non-empty scheduling gates"
    );
    let mut db = asking("db", "100m", json!({}));
    db["metadata"]["labels"] = json!({"app": "db"});
    cluster.create(db);
    cluster.patch::<Pod>("shop", "gated", &json!({"spec": {"schedulingGates": null}}));
    run_for(&mut cluster, 12);
    assert!(node_of(&cluster, "gated").is_some());
    assert_eq!(node_of(&cluster, "near"), node_of(&cluster, "db"));
    assert!(node_of(&cluster, "db").is_some());
}

#[test]
fn a_replaced_pod_is_another() {
    let mut cluster = start(1);
    cluster.create(asking("web-0", "1500m", json!({})));
    run_for(&mut cluster, 3);
    for _ in 0..3 {
        cluster.delete::<Pod>("shop", "web-0");
        run_for(&mut cluster, 2);
        assert!(cluster.find::<Pod>("shop", "web-0").is_none());
        cluster.create(asking("web-0", "1500m", json!({})));
        run_for(&mut cluster, 2);
        assert!(node_of(&cluster, "web-0").is_some());
    }
}

#[test]
fn a_pod_that_is_edited_is_tried_again() {
    let mut cluster = start(1);
    let name = cluster.list::<Node>("")[0].name().to_owned();
    let taints = json!([{"key": "work", "effect": "NoSchedule"}]);
    cluster.patch::<Node>("", &name, &json!({"spec": {"taints": taints}}));
    cluster.create(asking("web", "100m", json!({})));
    run_for(&mut cluster, 20);
    assert_eq!(node_of(&cluster, "web"), None);
    let tolerations = json!([{"key": "work", "operator": "Exists"}]);
    cluster.patch::<Pod>(
        "shop",
        "web",
        &json!({"spec": {"tolerations": tolerations}}),
    );
    run_for(&mut cluster, 12);
    assert!(node_of(&cluster, "web").is_some());
}

#[test]
fn room_is_seen_when_the_world_is_made_anew() {
    let mut cluster = start(1);
    let mut controllers = all(Options::default());
    for controller in controllers.iter_mut().filter(|one| one.name() == NAME) {
        *controller = Box::new(PodScheduler {
            removed_up_to: 0,
            ..PodScheduler::new(0)
        });
    }
    cluster.restart(controllers);
    cluster.create(asking("first", "1500m", json!({})));
    settle(&mut cluster);
    cluster.create(asking("second", "1500m", json!({})));
    let gates = json!({"schedulingGates": [{"name": "quota"}]});
    for name in ["a", "b", "c"] {
        cluster.create(asking(name, "100m", gates.clone()));
    }
    run_for(&mut cluster, 1);
    // Three are gone for two that are there, and then for one.
    for name in ["a", "b", "c"] {
        cluster.delete::<Pod>("shop", name);
    }
    run_for(&mut cluster, 20);
    assert_eq!(node_of(&cluster, "second"), None);
    cluster.delete::<Pod>("shop", "first");
    run_for(&mut cluster, 15);
    assert!(node_of(&cluster, "second").is_some());
}

#[test]
fn a_node_that_the_provisioner_gives_back_is_chosen_anew() {
    let mut cluster = start(1);
    let name = cluster.list::<Node>("")[0].name().to_owned();
    let zone = |zone: Json| json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
    cluster.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"},
        "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete"}));
    cluster.create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "8Gi"}}},
        "status": {"phase": "Pending"}}));
    cluster.patch::<Node>("", &name, &zone(Json::Null));
    let volumes =
        json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    cluster.create(asking("db", "100m", volumes));
    settle(&mut cluster);
    cluster.patch::<Node>("", &name, &zone(json!("eu-west-1a")));
    run_for(&mut cluster, 5);
    assert!(node_of(&cluster, "db").is_some());
}
