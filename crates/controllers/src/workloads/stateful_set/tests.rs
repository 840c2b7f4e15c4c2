use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{REVISION, StatefulSets};
use crate::testing::{Cluster, name_of};

fn set(replicas: i32, more: Json) -> Json {
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {"replicas": replicas, "serviceName": "db-headless", "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "pg:1"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}],
        },
    });
    for (key, value) in more.as_object().unwrap() {
        set["spec"][key] = value.clone();
    }
    set
}

fn cluster(replicas: i32, more: Json) -> Cluster {
    let mut cluster = Cluster::new(vec![Box::new(StatefulSets)]);
    cluster.create(set(replicas, more));
    cluster.settle();
    cluster
}

fn running(replicas: i32, more: Json) -> Cluster {
    let mut cluster = cluster(replicas, more);
    cluster.settle_with_kubelet();
    cluster
}

fn status(cluster: &Cluster) -> StatefulSetStatus {
    cluster.get::<StatefulSet>("default", "db").status.unwrap()
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster
        .list::<Pod>("default")
        .iter()
        .map(|pod| name_of(pod).to_owned())
        .collect()
}

fn image(cluster: &Cluster, name: &str) -> String {
    let spec = cluster.get::<Pod>("default", name).spec.unwrap();
    spec.containers[0].image.clone().unwrap()
}

fn patch(cluster: &mut Cluster, spec: Json) {
    cluster.patch::<StatefulSet>("default", "db", &json!({"spec": spec}));
}

fn set_image(cluster: &mut Cluster, image: &str) {
    patch(
        cluster,
        json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}),
    );
}

/// What `kubectl rollout status` waits for (polymorphichelpers/rollout_status.go, `StatefulSetStatusViewer`).
#[track_caller]
fn assert_rolled_out(cluster: &Cluster, replicas: i32) {
    let status = status(cluster);
    let set = cluster.get::<StatefulSet>("default", "db");
    assert_eq!(status.observed_generation, set.metadata.generation);
    assert_eq!(status.replicas, replicas);
    assert_eq!(status.ready_replicas.unwrap_or(0), replicas);
    assert_eq!(status.available_replicas.unwrap_or(0), replicas);
    assert_eq!(status.current_replicas.unwrap_or(0), replicas);
    assert_eq!(status.updated_replicas.unwrap_or(0), replicas);
    assert_eq!(status.current_revision, status.update_revision);
}

/// stateful_set_control.go `processReplica`: each pod waits for the one before it.
#[test]
fn pods_come_one_after_another() {
    let mut cluster = cluster(3, json!({}));
    assert_eq!(names(&cluster), ["db-0"]);
    cluster.run("default", "db-0", false);
    cluster.settle();
    assert_eq!(names(&cluster), ["db-0"]);
    cluster.run("default", "db-0", true);
    cluster.settle();
    assert_eq!(names(&cluster), ["db-0", "db-1"]);
    cluster.settle_with_kubelet();
    assert_eq!(names(&cluster), ["db-0", "db-1", "db-2"]);
    assert_rolled_out(&cluster, 3);
    assert_eq!(
        cluster.told("StatefulSet/db", "SuccessfulCreate")[..2],
        [
            "create Claim data-db-0 Pod db-0 in StatefulSet db success",
            "create Pod db-0 in StatefulSet db successful"
        ]
    );
}

/// stateful_set_utils.go `newStatefulSetPod`, `updateIdentity`, `updateStorage`.
#[test]
fn a_pod_knows_who_it_is() {
    let cluster = running(2, json!({"ordinals": {"start": 5}}));
    assert_eq!(names(&cluster), ["db-5", "db-6"]);
    let pod = cluster.get::<Pod>("default", "db-6");
    let labels = pod.metadata.labels.unwrap();
    assert_eq!(labels[super::POD_NAME], "db-6");
    assert_eq!(labels[super::POD_INDEX], "6");
    assert_eq!(
        Some(&labels[REVISION]),
        status(&cluster).update_revision.as_ref()
    );
    let spec = pod.spec.unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("db-6"));
    assert_eq!(spec.subdomain.as_deref(), Some("db-headless"));
    let volume = spec.volumes.unwrap().remove(0);
    assert_eq!(
        (
            volume.name.as_str(),
            volume.persistent_volume_claim.unwrap().claim_name.as_str()
        ),
        ("data", "data-db-6")
    );
    let claim = cluster.get::<PersistentVolumeClaim>("default", "data-db-6");
    assert_eq!(claim.metadata.labels.unwrap()["app"], "db");
    assert_eq!(claim.metadata.owner_references, None);
}

/// stateful_set_control.go `processCondemned`: the last goes first; the claims stay.
#[test]
fn scaling_down_goes_backwards() {
    let mut cluster = running(3, json!({}));
    patch(&mut cluster, json!({"replicas": 1}));
    cluster.settle();
    let going = |cluster: &Cluster| -> Vec<String> {
        cluster
            .list::<Pod>("default")
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some())
            .map(|pod| name_of(pod).to_owned())
            .collect()
    };
    assert_eq!(going(&cluster), ["db-2"]);
    cluster.settle_with_kubelet();
    assert_eq!(names(&cluster), ["db-0"]);
    assert_rolled_out(&cluster, 1);
    assert_eq!(cluster.list::<PersistentVolumeClaim>("default").len(), 3);
    let told = cluster.told("StatefulSet/db", "SuccessfulDelete");
    assert_eq!(
        told,
        [
            "delete Pod db-2 in StatefulSet db successful",
            "delete Pod db-1 in StatefulSet db successful"
        ]
    );
}

#[test]
fn parallel_sets_wait_for_nobody() {
    let mut cluster = cluster(4, json!({"podManagementPolicy": "Parallel"}));
    assert_eq!(names(&cluster).len(), 4);
    patch(&mut cluster, json!({"replicas": 0}));
    cluster.settle();
    assert!(names(&cluster).is_empty());
}

/// stateful_set_control.go: from the last to the first, one at a time, as each becomes healthy.
#[test]
fn an_update_goes_backwards_one_by_one() {
    let mut cluster = running(3, json!({}));
    set_image(&mut cluster, "pg:2");
    cluster.settle();
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert_eq!(image(&cluster, "db-2"), "pg:2");
    // Not ready yet: the next one is left alone.
    assert_eq!(image(&cluster, "db-1"), "pg:1");
    assert!(
        cluster
            .get::<Pod>("default", "db-1")
            .metadata
            .deletion_timestamp
            .is_none()
    );
    let half = status(&cluster);
    assert_eq!(
        (half.current_replicas, half.updated_replicas),
        (Some(2), Some(1))
    );
    assert_ne!(half.current_revision, half.update_revision);
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 3);
    assert_eq!(image(&cluster, "db-0"), "pg:2");
    assert_eq!(cluster.list::<ControllerRevision>("default").len(), 2);
}

/// stateful_set_utils.go `newVersionedStatefulSetPod`: below the partition, the old template stays, for new pods too.
#[test]
fn a_partition_holds_the_first_pods() {
    let mut cluster = running(3, json!({}));
    patch(
        &mut cluster,
        json!({"updateStrategy": {"rollingUpdate": {"partition": 2}}}),
    );
    set_image(&mut cluster, "pg:2");
    cluster.settle_with_kubelet();
    let images: Vec<String> = (0..3)
        .map(|n| image(&cluster, &format!("db-{n}")))
        .collect();
    assert_eq!(images, ["pg:1", "pg:1", "pg:2"]);
    cluster.delete::<Pod>("default", "db-0");
    cluster.settle_with_kubelet();
    assert_eq!(image(&cluster, "db-0"), "pg:1");
    assert_ne!(
        status(&cluster).current_revision,
        status(&cluster).update_revision
    );
    patch(
        &mut cluster,
        json!({"updateStrategy": {"rollingUpdate": {"partition": 0}}}),
    );
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 3);
}

#[test]
fn on_delete_waits_to_be_told() {
    let mut cluster = running(2, json!({"updateStrategy": {"type": "OnDelete"}}));
    set_image(&mut cluster, "pg:2");
    cluster.settle_with_kubelet();
    assert_eq!(image(&cluster, "db-1"), "pg:1");
    cluster.delete::<Pod>("default", "db-1");
    cluster.settle_with_kubelet();
    assert_eq!(
        (image(&cluster, "db-0"), image(&cluster, "db-1")),
        ("pg:1".into(), "pg:2".into())
    );
}

/// history/controller_history.go: `kubectl rollout undo` sends the data of a revision as a strategic merge patch.
#[test]
fn revisions_say_what_to_go_back_to() {
    let mut cluster = running(1, json!({}));
    let first = status(&cluster).update_revision.unwrap();
    let data = cluster
        .get::<ControllerRevision>("default", &first)
        .data
        .unwrap()
        .0;
    assert_eq!(data["spec"]["template"]["$patch"], "replace");
    assert_eq!(
        data["spec"]["template"]["spec"]["containers"][0]["image"],
        "pg:1"
    );
    set_image(&mut cluster, "pg:2");
    cluster.settle_with_kubelet();
    set_image(&mut cluster, "pg:1");
    cluster.settle_with_kubelet();
    assert_eq!(status(&cluster).update_revision, Some(first.clone()));
    assert_eq!(
        cluster
            .get::<ControllerRevision>("default", &first)
            .revision,
        3
    );
    assert_rolled_out(&cluster, 1);
}

#[test]
fn history_is_as_long_as_it_may_be() {
    let mut cluster = running(1, json!({"revisionHistoryLimit": 1}));
    for number in 2..6 {
        set_image(&mut cluster, &format!("pg:{number}"));
        cluster.settle_with_kubelet();
    }
    let mut numbers: Vec<i64> = cluster
        .list::<ControllerRevision>("default")
        .iter()
        .map(|one| one.revision)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [4, 5]);
}

/// stateful_set_control.go `processReplica`: what ended is deleted and made again.
#[test]
fn a_failed_pod_comes_again() {
    let mut cluster = running(2, json!({}));
    let before = cluster.get::<Pod>("default", "db-1").metadata.uid;
    cluster.exit("default", "db-1", 1);
    cluster.settle_with_kubelet();
    assert_ne!(cluster.get::<Pod>("default", "db-1").metadata.uid, before);
    assert_rolled_out(&cluster, 2);
    assert_eq!(
        cluster.told("StatefulSet/db", "RecreatingFailedPod"),
        ["StatefulSet default/db is recreating failed Pod db-1"]
    );
}

/// stateful_set_utils.go `updateClaimOwnerRefForSetAndPod`.
#[test]
fn claims_go_when_the_policy_says_so() {
    let both = json!({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Delete"}});
    let mut cluster = running(3, both);
    patch(&mut cluster, json!({"replicas": 2}));
    cluster.settle_with_kubelet();
    let claims: Vec<String> = cluster
        .list::<PersistentVolumeClaim>("default")
        .iter()
        .map(|one| name_of(one).to_owned())
        .collect();
    assert_eq!(claims, ["data-db-0", "data-db-1"]);
    cluster.delete::<StatefulSet>("default", "db");
    cluster.settle_with_kubelet();
    assert!(cluster.list::<PersistentVolumeClaim>("default").is_empty());
    assert!(cluster.list::<Pod>("default").is_empty());
    assert!(cluster.list::<ControllerRevision>("default").is_empty());
}

#[test]
fn min_ready_seconds_hold_the_next_pod() {
    let mut cluster = cluster(2, json!({"minReadySeconds": 30}));
    cluster.run("default", "db-0", true);
    cluster.run_for(29);
    assert_eq!(names(&cluster), ["db-0"]);
    cluster.run_for(1);
    assert_eq!(names(&cluster), ["db-0", "db-1"]);
}

#[test]
fn a_refused_pod_is_tried_again() {
    let mut cluster = Cluster::new(vec![Box::new(StatefulSets)]);
    cluster.pod_quota = Some(0);
    cluster.create(set(2, json!({"podManagementPolicy": "Parallel"})));
    cluster.run_for(10);
    assert!(names(&cluster).is_empty());
    assert!(cluster.told("StatefulSet/db", "FailedCreate")[0].contains("exceeded quota"));
    cluster.pod_quota = None;
    cluster.run_with_kubelet_for(60);
    assert_rolled_out(&cluster, 2);
}

#[test]
fn orphans_with_the_right_name_are_adopted() {
    let mut cluster = running(2, json!({}));
    cluster.orphan::<StatefulSet>("default", "db");
    let before = cluster.get::<Pod>("default", "db-1").metadata.uid;
    cluster.create(set(2, json!({})));
    cluster.settle_with_kubelet();
    assert_eq!(cluster.get::<Pod>("default", "db-1").metadata.uid, before);
    assert_rolled_out(&cluster, 2);
    assert_eq!(cluster.list::<ControllerRevision>("default").len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// However late writes are seen, an update has at most one pod away at a time.
    #[test]
    fn an_update_takes_one_pod_at_a_time(late in proptest::option::of(any::<u64>()), replicas in 1i32..6, images in proptest::collection::vec(1u8..4, 1..4)) {
        let mut cluster = running(replicas, json!({}));
        cluster.late = late;
        let least = usize::try_from(replicas - 1).unwrap();
        cluster.watch = Some(Box::new(move |cluster| {
            let ready = cluster.list::<Pod>("default").iter()
                .filter(|pod| crate::workloads::pods::is_active(pod) && crate::workloads::pods::is_ready(pod))
                .count();
            assert!(ready >= least, "{ready}");
        }));
        for number in images {
            set_image(&mut cluster, &format!("pg:{number}"));
            cluster.settle_with_kubelet();
        }
        assert_rolled_out(&cluster, replicas);
    }
}
