use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{DaemonSets, REVISION};
use crate::testing::{Cluster, name_of};
use crate::workloads::pods::{is_active, is_ready};

fn set(strategy: Json) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "updateStrategy": strategy,
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}}},
    })
}

fn add_node(cluster: &mut Cluster, name: &str, labels: Json, taints: Json) {
    cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}));
}

fn cluster(nodes: usize, strategy: Json) -> Cluster {
    let mut cluster = Cluster::new(vec![Box::new(DaemonSets::default())]);
    for node in 0..nodes {
        add_node(&mut cluster, &format!("n{node}"), json!({}), json!([]));
    }
    cluster.create(set(strategy));
    settle(&mut cluster);
    cluster
}

/// The scheduler binds each pod to the node that it is for; then the kubelet.
fn bind(cluster: &mut Cluster) {
    for pod in cluster.list::<Pod>("default") {
        if pod.spec.as_ref().unwrap().node_name.is_none() {
            let node = super::nodes::target(&pod).unwrap().to_owned();
            cluster.patch::<Pod>(
                "default",
                name_of(&pod),
                &json!({"spec": {"nodeName": node}}),
            );
        }
    }
}

fn settle(cluster: &mut Cluster) {
    loop {
        cluster.settle();
        bind(cluster);
        if cluster.make_ready(|_| true) == 0 {
            cluster.settle();
            return;
        }
    }
}

fn status(cluster: &Cluster) -> DaemonSetStatus {
    cluster.get::<DaemonSet>("default", "agent").status.unwrap()
}

fn set_image(cluster: &mut Cluster, image: &str) {
    cluster.patch::<DaemonSet>(
        "default",
        "agent",
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}),
    );
}

fn nodes(cluster: &Cluster) -> Vec<String> {
    let mut nodes: Vec<String> = cluster
        .list::<Pod>("default")
        .into_iter()
        .filter_map(|pod| pod.spec.unwrap().node_name)
        .collect();
    nodes.sort();
    nodes
}

/// What `kubectl rollout status` waits for (polymorphichelpers/rollout_status.go, `DaemonSetStatusViewer`).
#[track_caller]
fn assert_rolled_out(cluster: &Cluster, nodes: i32) {
    let status = status(cluster);
    let set = cluster.get::<DaemonSet>("default", "agent");
    assert_eq!(status.observed_generation, set.metadata.generation);
    assert_eq!(status.desired_number_scheduled, nodes);
    assert_eq!(status.current_number_scheduled, nodes);
    assert_eq!(status.number_ready, nodes);
    assert_eq!(status.updated_number_scheduled.unwrap_or(0), nodes);
    assert_eq!(status.number_available.unwrap_or(0), nodes);
    assert_eq!(status.number_unavailable, None);
    assert_eq!(status.number_misscheduled, 0);
}

/// daemon/daemon_controller.go `podsShouldBeOnNode`; util/daemonset_util.go `ReplaceDaemonSetPodNodeNameNodeAffinity`.
#[test]
fn each_node_has_one() {
    let mut cluster = cluster(3, json!({}));
    assert_rolled_out(&cluster, 3);
    assert_eq!(nodes(&cluster), ["n0", "n1", "n2"]);
    add_node(&mut cluster, "n3", json!({}), json!([]));
    settle(&mut cluster);
    assert_rolled_out(&cluster, 4);
    let pod = &cluster.list::<Pod>("default")[0];
    let tolerations = pod.spec.as_ref().unwrap().tolerations.as_ref().unwrap();
    assert_eq!(tolerations.len(), 6);
    let revision = &cluster.list::<ControllerRevision>("default")[0];
    let hash = &revision.metadata.labels.as_ref().unwrap()[REVISION];
    assert_eq!(name_of(revision), format!("agent-{hash}"));
    assert_eq!(&pod.metadata.labels.as_ref().unwrap()[REVISION], hash);
}

/// daemon_controller.go `NodeShouldRunDaemonPod`.
#[test]
fn taints_and_selectors_keep_it_away() {
    let mut cluster = cluster(1, json!({}));
    let gpu = |effect: &str| json!([{"key": "gpu", "value": "1", "effect": effect}]);
    add_node(&mut cluster, "tainted", json!({}), gpu("NoSchedule"));
    add_node(
        &mut cluster,
        "cordoned",
        json!({}),
        json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]),
    );
    settle(&mut cluster);
    assert_eq!(nodes(&cluster), ["cordoned", "n0"]);
    // A NoSchedule taint that comes later leaves the pod, a NoExecute taint does not.
    cluster.patch::<Node>("", "n0", &json!({"spec": {"taints": gpu("NoSchedule")}}));
    settle(&mut cluster);
    assert_eq!(nodes(&cluster), ["cordoned", "n0"]);
    assert_eq!(status(&cluster).number_misscheduled, 1);
    cluster.patch::<Node>("", "n0", &json!({"spec": {"taints": gpu("NoExecute")}}));
    settle(&mut cluster);
    assert_eq!(nodes(&cluster), ["cordoned"]);
    cluster.patch::<DaemonSet>(
        "default",
        "agent",
        &json!({"spec": {"template": {"spec": {"nodeSelector": {"x": "y"}}}}}),
    );
    settle(&mut cluster);
    assert!(nodes(&cluster).is_empty());
    cluster.patch::<Node>("", "cordoned", &json!({"metadata": {"labels": {"x": "y"}}}));
    settle(&mut cluster);
    assert_eq!(nodes(&cluster), ["cordoned"]);
}

/// A heartbeat concerns nobody.
#[test]
fn a_heartbeat_changes_nothing() {
    let mut cluster = cluster(2, json!({}));
    let before = cluster.reconciled;
    cluster.patch_status::<Node>("", "n0", &json!({"status": {"phase": "x"}}));
    cluster.settle();
    assert_eq!(cluster.reconciled, before);
}

/// daemon/update.go `rollingUpdate`.
#[test]
fn an_update_replaces_as_many_as_may_be_away() {
    let mut cluster = cluster(
        4,
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}),
    );
    set_image(&mut cluster, "a:2");
    cluster.settle();
    let going = cluster
        .list::<Pod>("default")
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_some())
        .count();
    assert_eq!(going, 2);
    settle(&mut cluster);
    assert_rolled_out(&cluster, 4);
    assert_eq!(cluster.list::<ControllerRevision>("default").len(), 2);
}

#[test]
fn a_surge_brings_the_new_one_first() {
    let mut cluster = cluster(
        3,
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
    );
    set_image(&mut cluster, "a:2");
    cluster.settle();
    let pods = cluster.list::<Pod>("default");
    assert_eq!(pods.len(), 4);
    assert!(
        pods.iter()
            .all(|pod| pod.metadata.deletion_timestamp.is_none())
    );
    settle(&mut cluster);
    assert_rolled_out(&cluster, 3);
    assert_eq!(cluster.list::<Pod>("default").len(), 3);
}

#[test]
fn a_surge_goes_on_when_a_new_pod_has_been_ready_for_long_enough() {
    let mut cluster = cluster(
        3,
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
    );
    let patient = json!({"spec": {"minReadySeconds": 10}});
    cluster.patch::<DaemonSet>("default", "agent", &patient);
    settle(&mut cluster);
    cluster.run_for(20);
    set_image(&mut cluster, "a:2");
    for _ in 0..3 {
        settle(&mut cluster);
        cluster.run_for(10);
    }
    settle(&mut cluster);
    cluster.run_for(10);
    assert_rolled_out(&cluster, 3);
    assert_eq!(cluster.list::<Pod>("default").len(), 3);
}

#[test]
fn on_delete_waits_to_be_told() {
    let mut cluster = cluster(2, json!({"type": "OnDelete"}));
    set_image(&mut cluster, "a:2");
    settle(&mut cluster);
    assert_eq!(status(&cluster).updated_number_scheduled, None);
    let name = name_of(&cluster.list::<Pod>("default")[0]).to_owned();
    cluster.delete::<Pod>("default", &name);
    settle(&mut cluster);
    assert_eq!(status(&cluster).updated_number_scheduled, Some(1));
}

/// daemon_controller.go: a failed daemon is killed, later each time.
#[test]
fn a_failing_pod_is_replaced_ever_more_slowly() {
    let mut cluster = cluster(1, json!({}));
    let mut waits = Vec::new();
    for _ in 0..4 {
        bind(&mut cluster);
        cluster.settle();
        let name = name_of(&cluster.list::<Pod>("default")[0]).to_owned();
        cluster.exit("default", &name, 1);
        cluster.settle();
        let mut waited = 0;
        while cluster.find::<Pod>("default", &name).is_some() {
            cluster.run_for(1);
            waited += 1;
            assert!(waited < 100);
        }
        waits.push(waited);
    }
    assert_eq!(waits, [0, 1, 2, 4]);
    assert!(
        cluster.told("DaemonSet/agent", "FailedDaemonPod")[0]
            .starts_with("Found failed daemon pod default/agent-")
    );
}

#[test]
fn a_pod_for_a_node_that_is_gone_goes_too() {
    let mut cluster = cluster(1, json!({}));
    add_node(&mut cluster, "late", json!({}), json!([]));
    cluster.settle();
    assert_eq!(cluster.list::<Pod>("default").len(), 2);
    cluster.delete::<Node>("", "late");
    settle(&mut cluster);
    assert_eq!(cluster.list::<Pod>("default").len(), 1);
}

#[test]
fn nothing_is_made_twice_however_late_writes_are_seen() {
    for seed in 0..30 {
        let mut cluster = Cluster::new(vec![Box::new(DaemonSets::default())]);
        cluster.late = Some(seed);
        let most = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = most.clone();
        cluster.watch = Some(Box::new(move |cluster| {
            seen.set(seen.get().max(cluster.list::<Pod>("default").len()))
        }));
        cluster.create(set(json!({})));
        for node in 0..12 {
            add_node(&mut cluster, &format!("n{node}"), json!({}), json!([]));
        }
        settle(&mut cluster);
        assert_rolled_out(&cluster, 12);
        assert_eq!(most.get(), 12, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Never fewer than `maxUnavailable` below are ready, never more than `maxSurge` above are there.
    #[test]
    fn an_update_keeps_its_limits(
        nodes in 1usize..8, limit in 1usize..4, surges in any::<bool>(), late in proptest::option::of(any::<u64>()),
        images in proptest::collection::vec(1u8..4, 1..4),
    ) {
        let rolling = if surges { json!({"maxSurge": limit, "maxUnavailable": 0}) } else { json!({"maxUnavailable": limit}) };
        let mut cluster = cluster(nodes, json!({"type": "RollingUpdate", "rollingUpdate": rolling}));
        cluster.late = late;
        let (above, below) = if surges { (limit, 0) } else { (0, limit) };
        cluster.watch = Some(Box::new(move |cluster| {
            let pods = cluster.list::<Pod>("default");
            let active = pods.iter().filter(|pod| is_active(pod)).count();
            let ready = pods.iter().filter(|pod| is_active(pod) && is_ready(pod)).count();
            assert!(active <= nodes + above, "{active} of {nodes}");
            assert!(ready + below >= nodes, "{ready} of {nodes}");
        }));
        for number in images {
            set_image(&mut cluster, &format!("a:{number}"));
            settle(&mut cluster);
        }
        assert_rolled_out(&cluster, i32::try_from(nodes).unwrap());
    }
}
