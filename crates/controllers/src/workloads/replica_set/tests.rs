use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value as Json, json};

use super::ReplicaSets;
use crate::testing::Cluster;

fn cluster() -> Cluster {
    Cluster::new(vec![Box::new(ReplicaSets::default())])
}

fn set(replicas: usize) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web", "tier": "front"}},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        }},
    })
}

fn pod(name: &str, labels: Json) -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]}})
}

fn status(cluster: &Cluster) -> k8s_openapi::api::apps::v1::ReplicaSetStatus {
    cluster
        .get::<ReplicaSet>("default", "web")
        .status
        .unwrap_or_default()
}

/// replicaset/replica_set.go `manageReplicas`; replica_set_utils.go `calculateStatus`.
#[test]
fn it_makes_what_is_missing_and_says_what_there_is() {
    let mut cluster = cluster();
    cluster.create(set(3));
    cluster.settle();
    let pods = cluster.list::<Pod>("default");
    assert_eq!(pods.len(), 3);
    for pod in &pods {
        let owner = &pod.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller),
            ("ReplicaSet", Some(true))
        );
        assert_eq!(pod.metadata.generate_name.as_deref(), Some("web-"));
        assert!(
            cluster.told("ReplicaSet/web", "SuccessfulCreate").contains(
                &format!("Created pod: {}", pod.metadata.name.as_deref().unwrap()).as_str()
            )
        );
    }
    let before = status(&cluster);
    assert_eq!((before.replicas, before.ready_replicas), (3, None));
    assert_eq!(before.fully_labeled_replicas, Some(3));
    cluster.settle_with_kubelet();
    let after = status(&cluster);
    assert_eq!(
        (after.ready_replicas, after.available_replicas),
        (Some(3), Some(3))
    );
    assert_eq!(after.observed_generation, Some(1));
}

#[test]
fn a_deleted_pod_is_replaced_by_one_of_another_name() {
    // Where it was the only one, nothing that is left tells that it was there.
    for replicas in [1, 2] {
        let mut cluster = cluster();
        cluster.create(set(replicas));
        cluster.settle_with_kubelet();
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let before = cluster.list::<Pod>("default");
            let gone = before[0].metadata.name.clone().unwrap();
            cluster.delete::<Pod>("default", &gone);
            assert!(names.insert(gone), "a name comes again");
            cluster.settle_with_kubelet();
            assert_eq!(cluster.list::<Pod>("default").len(), replicas);
        }
    }
}

/// controller_utils.go `IsPodActive`: what failed is replaced and stays.
#[test]
fn a_failed_pod_is_replaced() {
    let mut cluster = cluster();
    cluster.create(set(1));
    cluster.settle_with_kubelet();
    let name = cluster.list::<Pod>("default")[0]
        .metadata
        .name
        .clone()
        .unwrap();
    cluster.exit("default", &name, 1);
    cluster.settle();
    assert_eq!(cluster.list::<Pod>("default").len(), 2);
    assert_eq!(status(&cluster).replicas, 1);
}

/// controller_utils.go `ActivePodsWithRanks.Less`.
#[test]
fn the_least_wanted_go_first() {
    let mut cluster = cluster();
    cluster.create(set(4));
    cluster.settle();
    let names: Vec<String> = cluster
        .list::<Pod>("default")
        .into_iter()
        .map(|pod| pod.metadata.name.unwrap())
        .collect();
    cluster.run("default", &names[0], true);
    cluster.run("default", &names[1], true);
    cluster.run("default", &names[2], false);
    // Ready, but cheap; the fourth has no node.
    cluster.patch::<Pod>(
        "default",
        &names[1],
        &json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}}),
    );
    cluster.settle();
    for (replicas, gone) in [(3, &names[3]), (2, &names[2]), (1, &names[1])] {
        cluster.patch::<ReplicaSet>("default", "web", &json!({"spec": {"replicas": replicas}}));
        cluster.settle();
        cluster.finish_terminating(|_| true);
        cluster.settle();
        assert!(cluster.find::<Pod>("default", gone).is_none(), "{replicas}");
        assert_eq!(cluster.list::<Pod>("default").len(), replicas);
    }
    let told = cluster.told("ReplicaSet/web", "SuccessfulDelete");
    assert_eq!(told.len(), 3);
}

/// controller_utils.go `getPodsRankedByRelatedPodsOnSameNode`: of two on one node, one goes.
#[test]
fn of_pods_that_share_a_node_one_goes() {
    let mut cluster = cluster();
    cluster.create(set(3));
    cluster.settle();
    let names: Vec<String> = cluster
        .list::<Pod>("default")
        .into_iter()
        .map(|pod| pod.metadata.name.unwrap())
        .collect();
    for (name, node) in names.iter().zip(["a", "b", "b"]) {
        cluster.patch::<Pod>("default", name, &json!({"spec": {"nodeName": node}}));
        cluster.run("default", name, true);
    }
    cluster.patch::<ReplicaSet>("default", "web", &json!({"spec": {"replicas": 2}}));
    cluster.settle();
    let left: Vec<_> = cluster
        .list::<Pod>("default")
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| pod.spec.unwrap().node_name.unwrap())
        .collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&"a".to_owned()), "{left:?}");
}

/// controller_ref_manager.go `ClaimObject`.
#[test]
fn orphans_are_adopted_and_strangers_left() {
    let mut cluster = cluster();
    cluster.create(pod("orphan", json!({"app": "web"})));
    cluster.create(pod("other", json!({"app": "db"})));
    let mut owned = pod("theirs", json!({"app": "web"}));
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "u", "controller": true}]);
    cluster.create(owned);
    cluster.create(set(2));
    cluster.settle();
    let owner = |cluster: &Cluster, name: &str| {
        cluster
            .get::<Pod>("default", name)
            .metadata
            .owner_references
            .map(|owners| owners[0].name.clone())
    };
    assert_eq!(owner(&cluster, "orphan").as_deref(), Some("web"));
    assert_eq!(owner(&cluster, "other"), None);
    assert_eq!(owner(&cluster, "theirs").as_deref(), Some("x"));
    assert_eq!(status(&cluster).replicas, 2);
    assert_eq!(status(&cluster).fully_labeled_replicas, Some(1));
    // The label goes: so does the pod, and another takes its place.
    cluster.patch::<Pod>(
        "default",
        "orphan",
        &json!({"metadata": {"labels": {"app": "debug"}}}),
    );
    cluster.settle();
    assert_eq!(owner(&cluster, "orphan"), None);
    assert_eq!(cluster.list::<Pod>("default").len(), 5);
}

/// replica_set.go `syncReplicaSet`: a set that is being deleted makes nothing.
#[test]
fn a_set_that_goes_makes_nothing() {
    let mut cluster = cluster();
    let mut going = set(2);
    going["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    cluster.create(going);
    cluster.delete::<ReplicaSet>("default", "web");
    cluster.settle();
    assert!(cluster.list::<Pod>("default").is_empty());
}

/// replica_set_utils.go: a pod is available when it has been ready for `minReadySeconds`.
#[test]
fn availability_takes_its_seconds() {
    let mut cluster = cluster();
    let mut slow = set(1);
    slow["spec"]["minReadySeconds"] = json!(10);
    cluster.create(slow);
    cluster.settle_with_kubelet();
    assert_eq!(status(&cluster).available_replicas, None);
    cluster.run_for(9);
    assert_eq!(status(&cluster).available_replicas, None);
    cluster.run_for(1);
    assert_eq!(status(&cluster).available_replicas, Some(1));
}

/// replica_set_utils.go: `ReplicaFailure` comes with a refusal and goes with it.
#[test]
fn a_quota_is_told_of_and_waited_for() {
    let mut cluster = cluster();
    cluster.pod_quota = Some(2);
    cluster.create(set(5));
    cluster.run_for(5);
    let failed = status(&cluster);
    assert_eq!(failed.replicas, 2);
    let condition = &failed.conditions.unwrap()[0];
    assert_eq!(condition.type_, "ReplicaFailure");
    assert_eq!(condition.reason.as_deref(), Some("FailedCreate"));
    assert!(
        condition
            .message
            .as_ref()
            .unwrap()
            .contains("exceeded quota")
    );
    assert!(!cluster.told("ReplicaSet/web", "FailedCreate").is_empty());
    cluster.pod_quota = None;
    cluster.run_for(60);
    let healed = status(&cluster);
    assert_eq!((healed.replicas, healed.conditions), (5, None));
}

#[test]
fn nothing_is_made_twice_however_late_writes_are_seen() {
    for seed in 0..40 {
        let mut cluster = cluster();
        cluster.late = Some(seed);
        cluster.create(set(30));
        cluster.settle();
        assert_eq!(cluster.list::<Pod>("default").len(), 30, "seed {seed}");
        cluster.patch::<ReplicaSet>("default", "web", &json!({"spec": {"replicas": 45}}));
        cluster.settle_with_kubelet();
        assert_eq!(cluster.list::<Pod>("default").len(), 45, "seed {seed}");
        assert_eq!(status(&cluster).replicas, 45);
    }
}

#[test]
fn two_thousand_replicas_take_few_rounds() {
    let mut cluster = cluster();
    cluster.create(set(2000));
    cluster.settle_with_kubelet();
    assert_eq!(status(&cluster).available_replicas, Some(2000));
    // Four bursts, and the rounds that see them.
    assert!(cluster.reconciled < 30, "{}", cluster.reconciled);
    cluster.patch::<ReplicaSet>("default", "web", &json!({"spec": {"replicas": 0}}));
    cluster.settle_with_kubelet();
    assert_eq!(cluster.list::<Pod>("default").len(), 0);
    assert!(cluster.reconciled < 60, "{}", cluster.reconciled);
}

#[test]
fn the_name_of_a_pod_that_was_taken_out_is_not_drawn_again() {
    let mut cluster = cluster();
    cluster.create(set(2));
    cluster.settle();
    let told = cluster.told("ReplicaSet/web", "SuccessfulCreate");
    let last = told[1].strip_prefix("Created pod: ").unwrap().to_owned();
    let labels = json!({"metadata": {"labels": {"app": "quarantine"}}});
    cluster.patch::<Pod>("default", &last, &labels);
    cluster.restart(vec![Box::new(ReplicaSets::default())]);
    cluster.settle();
    assert_eq!(cluster.list::<Pod>("default").len(), 3);
    assert_eq!(status(&cluster).replicas, 2);
}

#[test]
fn a_refusal_is_forgotten_with_its_owner() {
    let mut cluster = cluster();
    cluster.pod_quota = Some(0);
    cluster.create(set(2));
    cluster.settle();
    assert_eq!(cluster.view.refusals.len(), 1);
    cluster.delete::<ReplicaSet>("default", "web");
    cluster.settle();
    assert!(cluster.view.refusals.is_empty());
}
