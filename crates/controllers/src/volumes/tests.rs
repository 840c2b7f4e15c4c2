use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde_json::{Value as Json, json};

use super::*;
use crate::cluster::aws::{change, cluster, launch, pod, run_for, settle};
use crate::cluster::{Options, all};
use crate::testing::{Cluster, show};
use crate::{Pace, View, cloud::InstanceState};

fn class(cluster: &mut Cluster, mode: &str, policy: &str) {
    cluster.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"},
        "provisioner": EBS, "volumeBindingMode": mode, "reclaimPolicy": policy, "allowVolumeExpansion": true,
        "parameters": {"type": "gp3", "encrypted": "true"}}));
}

fn claim(cluster: &mut Cluster, name: &str, more: Json) -> Json {
    let mut json = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "8Gi"}}},
        "status": {"phase": "Pending"}});
    if let (Json::Object(spec), Json::Object(more)) = (&mut json["spec"], more) {
        spec.extend(more);
    }
    cluster.create(json)
}

fn with_claim(name: &str, claim: &str) -> Json {
    pod(
        name,
        json!({"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]}}),
    )
}

fn phase(cluster: &Cluster, name: &str) -> String {
    let claim = cluster.get::<PersistentVolumeClaim>("shop", name);
    claim.status.unwrap().phase.unwrap()
}

fn running(cluster: &Cluster, name: &str) -> bool {
    let pod = cluster.get::<Pod>("shop", name);
    pod.status.unwrap().phase.as_deref() == Some("Running")
}

fn start() -> Cluster {
    let mut cluster = cluster(Options::default());
    cluster.pace = Pace::Immediate;
    launch(&mut cluster, 2, "m5.large");
    settle(&mut cluster);
    cluster
}

#[test]
fn a_volume_is_made_where_its_first_pod_goes() {
    let mut cluster = start();
    class(&mut cluster, "WaitForFirstConsumer", "Delete");
    claim(&mut cluster, "data", json!({}));
    settle(&mut cluster);
    assert_eq!(phase(&cluster, "data"), "Pending");
    assert_eq!(
        cluster.told("PersistentVolumeClaim/data", "WaitForFirstConsumer"),
        ["waiting for first consumer to be created before binding"]
    );
    assert!(cluster.view.cloud.volumes.is_empty());
    cluster.create(with_claim("db", "data"));
    settle(&mut cluster);
    assert_eq!(phase(&cluster, "data"), "Bound");
    assert!(
        running(&cluster, "db"),
        "{:?}",
        cluster.get::<Pod>("shop", "db").status
    );
    let volume = cluster.list::<PersistentVolume>("").pop().unwrap();
    let made = cluster.view.cloud.volumes.values().next().unwrap().clone();
    let db = cluster.get::<Pod>("shop", "db");
    let node = db.spec.unwrap().node_name.unwrap();
    let on = cluster
        .view
        .nodes
        .get(&Key::cluster(&node))
        .unwrap()
        .clone();
    assert_eq!(
        on.label("topology.kubernetes.io/zone"),
        Some(made.zone.as_str())
    );
    assert_eq!(
        made.attached_to.as_deref(),
        crate::kubelet::instance_id(&on)
    );
    assert_eq!(
        (made.gib, made.encrypted, made.volume_type.as_str()),
        (8, true, "gp3")
    );
    assert_eq!(made.tags["kubernetes.io/created-for/pvc/name"], "data");
    assert_eq!(made.tags["KubernetesCluster"], "shop-dev");
    assert_eq!(attaches(&volume).unwrap().volume_handle, made.id);
    assert_eq!(cluster.told("Pod/db", "SuccessfulAttachVolume").len(), 1);
    // In use: the claim stays until the pod is gone; then everything goes.
    cluster.delete::<PersistentVolumeClaim>("shop", "data");
    settle(&mut cluster);
    assert!(
        cluster
            .get::<PersistentVolumeClaim>("shop", "data")
            .is_deleting()
    );
    cluster.delete::<Pod>("shop", "db");
    settle(&mut cluster);
    assert!(
        cluster
            .find::<PersistentVolumeClaim>("shop", "data")
            .is_none()
    );
    assert!(cluster.list::<PersistentVolume>("").is_empty());
    assert!(cluster.list::<VolumeAttachment>("").is_empty());
    assert!(cluster.view.cloud.volumes.is_empty());
}

#[test]
fn what_is_retained_stays_and_grows() {
    let mut cluster = start();
    class(&mut cluster, "Immediate", "Retain");
    claim(&mut cluster, "data", json!({}));
    settle(&mut cluster);
    assert_eq!(phase(&cluster, "data"), "Bound", "at once, in any zone");
    cluster.patch::<PersistentVolumeClaim>(
        "shop",
        "data",
        &json!({"spec": {"resources": {"requests": {"storage": "20Gi"}}}}),
    );
    settle(&mut cluster);
    let status = cluster
        .get::<PersistentVolumeClaim>("shop", "data")
        .status
        .unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "20Gi");
    assert_eq!(cluster.view.cloud.volumes.values().next().unwrap().gib, 20);
    cluster.delete::<PersistentVolumeClaim>("shop", "data");
    settle(&mut cluster);
    let volume = cluster.list::<PersistentVolume>("").pop().unwrap();
    assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Released"));
    assert_eq!(cluster.view.cloud.volumes.len(), 1);
}

#[test]
fn a_volume_keeps_its_pod_in_its_zone() {
    let mut cluster = start();
    class(&mut cluster, "WaitForFirstConsumer", "Delete");
    claim(&mut cluster, "data", json!({}));
    cluster.create(with_claim("db", "data"));
    settle(&mut cluster);
    let zone = cluster
        .view
        .cloud
        .volumes
        .values()
        .next()
        .unwrap()
        .zone
        .clone();
    cluster.delete::<Pod>("shop", "db");
    settle(&mut cluster);
    change(&mut cluster, |cloud| {
        cloud.instances.retain(|_, instance| instance.zone != zone);
    });
    settle(&mut cluster);
    cluster.create(with_claim("db", "data"));
    settle(&mut cluster);
    assert!(!running(&cluster, "db"));
    let why = cluster.told("Pod/db", "FailedScheduling").join(" ");
    assert!(
        why.contains("1 node(s) didn't match PersistentVolume's node affinity"),
        "{why}"
    );
}

#[test]
fn a_volume_leaves_a_machine_before_it_goes_to_another() {
    let mut cluster = start();
    launch(&mut cluster, 2, "m5.large");
    class(&mut cluster, "WaitForFirstConsumer", "Delete");
    claim(&mut cluster, "data", json!({}));
    cluster.create(with_claim("db", "data"));
    settle(&mut cluster);
    let first = cluster
        .get::<Pod>("shop", "db")
        .spec
        .unwrap()
        .node_name
        .unwrap();
    // The same claim on the other node of the zone.
    cluster.patch::<k8s_openapi::api::core::v1::Node>(
        "",
        &first,
        &json!({"spec": {"unschedulable": true}}),
    );
    cluster.create(with_claim("db2", "data"));
    settle(&mut cluster);
    assert!(!running(&cluster, "db2"));
    assert_eq!(cluster.told("Pod/db2", "FailedAttachVolume").len(), 1);
    cluster.delete::<Pod>("shop", "db");
    settle(&mut cluster);
    assert!(running(&cluster, "db2"));
    assert_eq!(cluster.list::<VolumeAttachment>("").len(), 1);
}

#[test]
fn without_its_driver_a_claim_stays_pending() {
    let options = Options {
        ebs_driver: Driver::WhenInstalled,
        ..Options::default()
    };
    let mut cluster = cluster(options.clone());
    cluster.pace = Pace::Immediate;
    launch(&mut cluster, 1, "m5.large");
    class(&mut cluster, "Immediate", "Delete");
    claim(&mut cluster, "data", json!({}));
    settle(&mut cluster);
    assert_eq!(phase(&cluster, "data"), "Pending");
    assert_eq!(
        cluster
            .told("PersistentVolumeClaim/data", "ExternalProvisioning")
            .len(),
        1
    );
    cluster.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": EBS}, "spec": {}}));
    settle(&mut cluster);
    assert_eq!(phase(&cluster, "data"), "Bound");
    let csi = cluster
        .list::<k8s_openapi::api::storage::v1::CSINode>("")
        .pop()
        .unwrap();
    assert_eq!(csi.spec.drivers.len(), 1, "the node has it now, too");
    cluster.restart(all(options));
    settle(&mut cluster);
    assert_eq!(cluster.list::<PersistentVolume>("").len(), 1);
}

#[test]
fn volumes_by_hand_and_claims_that_fit() {
    let mut cluster = start();
    for (name, size) in [("large", "100Gi"), ("small", "10Gi")] {
        cluster.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "", "hostPath": {"path": "/d"}}}));
    }
    claim(&mut cluster, "data", json!({"storageClassName": ""}));
    settle(&mut cluster);
    let bound = cluster.get::<PersistentVolumeClaim>("shop", "data");
    assert_eq!(bound.spec.unwrap().volume_name.as_deref(), Some("small"));
    let volume = cluster.get::<PersistentVolume>("", "large");
    assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Available"));
    claim(
        &mut cluster,
        "more",
        json!({"storageClassName": "", "resources": {"requests": {"storage": "1Ti"}}}),
    );
    settle(&mut cluster);
    assert_eq!(phase(&cluster, "more"), "Pending");
    assert_eq!(
        cluster.told("PersistentVolumeClaim/more", "FailedBinding"),
        ["no persistent volumes available for this claim and no storage class is set"]
    );
    // A volume that is deleted under its claim is lost.
    cluster.patch::<PersistentVolume>("", "small", &json!({"metadata": {"finalizers": null}}));
    cluster.late = None;
    cluster.delete::<PersistentVolume>("", "small");
    settle(&mut cluster);
    assert_ne!(phase(&cluster, "data"), "Pending");
}

#[test]
fn a_machine_that_dies_gives_its_volumes_back() {
    let mut cluster = start();
    launch(&mut cluster, 2, "m5.large");
    cluster.pace = Pace::Modelled;
    class(&mut cluster, "WaitForFirstConsumer", "Delete");
    claim(&mut cluster, "data", json!({}));
    run_for(&mut cluster, 70);
    let mut wanted = with_claim("db", "data");
    wanted["spec"]["tolerations"] = json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]);
    cluster.create(wanted.clone());
    run_for(&mut cluster, 30);
    assert!(running(&cluster, "db"));
    let machine = cluster
        .view
        .cloud
        .volumes
        .values()
        .next()
        .unwrap()
        .attached_to
        .clone()
        .unwrap();
    change(&mut cluster, |cloud| {
        cloud.instances.get_mut(&machine).unwrap().state = InstanceState::ShuttingDown;
    });
    run_for(&mut cluster, 60);
    assert!(
        !cluster.get::<Pod>("shop", "db").is_deleting(),
        "tolerated for 30 seconds"
    );
    run_for(&mut cluster, 40);
    assert!(cluster.get::<Pod>("shop", "db").is_deleting());
    change(&mut cluster, |cloud| {
        cloud.instances.remove(&machine);
        for volume in cloud.volumes.values_mut() {
            volume.attached_to = None;
        }
    });
    run_for(&mut cluster, 60);
    assert!(
        cluster.find::<Pod>("shop", "db").is_none(),
        "nobody is left to stop it"
    );
    cluster.create(wanted);
    run_for(&mut cluster, 30);
    assert!(running(&cluster, "db"));
}

/// The nodes in the zone of the only volume.
fn nodes_of_the_volume(cluster: &Cluster) -> Vec<String> {
    let zone = &cluster.view.cloud.volumes.values().next().unwrap().zone;
    let nodes = cluster.view.nodes.iter();
    nodes
        .filter(|(_, node)| node.label("topology.kubernetes.io/zone") == Some(zone))
        .map(|(key, _)| key.name.to_string())
        .collect()
}

#[test]
fn a_volume_comes_off_a_machine_that_nothing_says_it_is_on() {
    let mut cluster = start();
    class(&mut cluster, "Immediate", "Delete");
    claim(&mut cluster, "data", json!({}));
    settle(&mut cluster);
    launch(&mut cluster, 2, "m5.large");
    let zone = cluster
        .view
        .cloud
        .volumes
        .values()
        .next()
        .unwrap()
        .zone
        .clone();
    change(&mut cluster, |cloud| {
        let there = cloud.instances.values().rfind(|one| one.zone == zone);
        let there = there.unwrap().id.clone();
        for volume in cloud.volumes.values_mut() {
            volume.attached_to = Some(there.clone());
        }
    });
    let mut db = with_claim("db", "data");
    db["spec"]["nodeName"] = json!(nodes_of_the_volume(&cluster)[0]);
    cluster.create(db);
    settle(&mut cluster);
    assert!(running(&cluster, "db"));
}

#[test]
fn what_is_to_be_attached_waits_for_the_driver() {
    let options = Options {
        ebs_driver: Driver::WhenInstalled,
        ..Options::default()
    };
    let mut cluster = cluster(options);
    cluster.pace = Pace::Immediate;
    launch(&mut cluster, 2, "m5.large");
    let driver = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": EBS}, "spec": {}});
    cluster.create(driver.clone());
    class(&mut cluster, "Immediate", "Delete");
    claim(&mut cluster, "data", json!({}));
    settle(&mut cluster);
    cluster.delete::<k8s_openapi::api::storage::v1::CSIDriver>("", EBS);
    let mut db = with_claim("db", "data");
    db["spec"]["nodeName"] = json!(nodes_of_the_volume(&cluster)[0]);
    cluster.create(db);
    settle(&mut cluster);
    assert_eq!(cluster.list::<VolumeAttachment>("").len(), 1);
    assert!(!running(&cluster, "db"));
    cluster.create(driver);
    settle(&mut cluster);
    assert!(running(&cluster, "db"));
}

#[test]
fn what_was_told_of_a_claim_or_a_pod_is_forgotten_with_it() {
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"}, "provisioner": EBS});
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop", "uid": "u", "annotations": {PROVISIONER: EBS}},
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "gp3", "resources": {"requests": {"storage": "8Gi"}}}});
    let (mut binder, mut provisioner) = (Binder::default(), Provisioner::default());
    let mut view = View::default();
    show(&mut binder, &mut view, &claim, true);
    show(&mut binder, &mut view, &class, true);
    show(&mut provisioner, &mut view, &claim, true);
    assert!(!binder.told.is_empty() && !provisioner.told.is_empty());
    show(&mut binder, &mut view, &claim, false);
    assert!(binder.told.is_empty());
    show(&mut provisioner, &mut view, &claim, true);
    show(&mut provisioner, &mut view, &claim, false);
    assert!(provisioner.told.is_empty());

    // The volume is on another node.
    claim["spec"]["volumeName"] = json!("v");
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
        "spec": {"csi": {"driver": EBS, "volumeHandle": "vol-1"}}});
    let attachment = json!({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "a"},
        "spec": {"attacher": EBS, "nodeName": "other", "source": {"persistentVolumeName": "v"}}});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    let mut db = with_claim("db", "data");
    db["spec"]["nodeName"] = json!("n");
    let mut attacher = Attacher::default();
    for object in [&claim, &volume, &attachment, &node, &db] {
        show(&mut attacher, &mut view, object, true);
    }
    assert_eq!(attacher.told.len(), 1);
    show(&mut attacher, &mut view, &db, false);
    assert!(attacher.told.is_empty());
}
