//! The whole of it: from machines to pods that run, and back to nothing.

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use serde_json::json;

use super::aws::{change, cluster, launch, pod, run_for, settle};
use super::*;
use crate::Pace;
use crate::document::Named;
use crate::testing::Cluster;

fn phases(cluster: &Cluster) -> std::collections::BTreeMap<String, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for pod in cluster.list::<Pod>("shop") {
        let phase = pod
            .status
            .and_then(|status| status.phase)
            .unwrap_or_default();
        *counts.entry(phase).or_insert(0) += 1;
    }
    counts
}

#[test]
fn from_a_machine_to_a_running_pod_and_back() {
    let mut cluster = cluster(Options::default());
    cluster.create(pod("web", json!({})));
    settle(&mut cluster);
    let waiting = cluster.get::<Pod>("shop", "web").status.unwrap();
    let scheduled = waiting.conditions.unwrap()[0].clone();
    assert_eq!(scheduled.reason.as_deref(), Some("Unschedulable"));
    assert_eq!(
        cluster.told("Pod/web", "FailedScheduling"),
        ["no nodes available to schedule pods"]
    );
    launch(&mut cluster, 1, "m5.large");
    run_for(&mut cluster, 120);
    let status = cluster.get::<Pod>("shop", "web").status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"), "{status:?}");
    let container = &status.container_statuses.as_ref().unwrap()[0];
    assert!(container.ready && container.started == Some(true));
    assert_eq!(container.image, "docker.io/library/busybox:latest");
    for reason in ["Scheduled", "Pulling", "Pulled", "Created", "Started"] {
        assert_eq!(cluster.told("Pod/web", reason).len(), 1, "{reason}");
    }
    assert_eq!(cluster.list::<Node>("").len(), 1);
    // The namespace goes: its pod is told to stop, stops, and nothing is left.
    cluster.delete::<Namespace>("", "shop");
    run_for(&mut cluster, 3);
    assert!(cluster.find::<Pod>("shop", "web").is_none());
    assert!(cluster.find::<Namespace>("", "shop").is_none());
}

#[test]
fn hundreds_of_pods_at_once() {
    let mut cluster = cluster(Options::default());
    cluster.pace = Pace::Immediate;
    launch(&mut cluster, 20, "m5.2xlarge");
    for number in 0..300 {
        cluster.create(pod(&format!("web-{number}"), json!({})));
    }
    settle(&mut cluster);
    assert_eq!(phases(&cluster)["Running"], 300, "{:?}", phases(&cluster));
    let addresses: std::collections::BTreeSet<_> = cluster
        .list::<Pod>("shop")
        .into_iter()
        .map(|pod| pod.status.unwrap().pod_ip)
        .collect();
    assert_eq!(addresses.len(), 300);
    // Each pod was written thrice: made, bound, running.
    let writes = cluster.get::<Pod>("shop", "web-7").metadata.generation;
    assert!(writes.is_some());
    // Half of the machines go: their nodes go with them, and then their pods.
    change(&mut cluster, |cloud| {
        let ids: Vec<String> = cloud.instances.keys().take(10).cloned().collect();
        for id in ids {
            cloud.instances.remove(&id);
        }
    });
    settle(&mut cluster);
    assert_eq!(cluster.list::<Node>("").len(), 10);
    let left = cluster.list::<Pod>("shop");
    assert!(left.len() < 300 && left.len() > 50, "{}", left.len());
    let nodes: std::collections::BTreeSet<String> = cluster
        .list::<Node>("")
        .iter()
        .map(|node| node.name().to_owned())
        .collect();
    assert!(
        left.iter()
            .all(|pod| nodes.contains(pod.spec.as_ref().unwrap().node_name.as_ref().unwrap()))
    );
}

#[test]
fn whatever_is_seen_late_comes_to_the_same() {
    for seed in 0..12 {
        let mut cluster = cluster(Options::default());
        cluster.pace = Pace::Immediate;
        cluster.late = Some(seed);
        launch(&mut cluster, 3, "m5.large");
        for number in 0..20 {
            cluster.create(pod(&format!("web-{number}"), json!({})));
        }
        settle(&mut cluster);
        assert_eq!(phases(&cluster)["Running"], 20, "seed {seed}");
        cluster.restart(all(Options::default()));
        let before: Vec<Option<String>> = cluster
            .list::<Pod>("shop")
            .into_iter()
            .map(|pod| pod.metadata.resource_version)
            .collect();
        settle(&mut cluster);
        let after: Vec<Option<String>> = cluster
            .list::<Pod>("shop")
            .into_iter()
            .map(|pod| pod.metadata.resource_version)
            .collect();
        assert_eq!(before, after, "seed {seed}: a restart changes nothing");
    }
}
