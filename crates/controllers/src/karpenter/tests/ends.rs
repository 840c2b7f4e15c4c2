//! How nodes end: drained, by force, with their pool; and what is swept up.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::{NodeClaim, NodePool};
use serde_json::json;

use super::lab::Lab;
use crate::cloud::{Instance, InstanceState, Origin};
use crate::document::{Named, seconds};

#[test]
fn nodes_expire() {
    let mut lab = Lab::new();
    lab.patch_pool(
        "general",
        json!({"template": {"spec": {"expireAfter": "1h"}}, "disruption": {"budgets": [{"nodes": "0"}]}}),
    );
    lab.run("web", 2, "1", "1Gi", json!({}));
    let old = lab.claim();
    let age = lab
        .cluster
        .now
        .duration_since(old.metadata.creation_timestamp.as_ref().unwrap().0);
    lab.run_for(3599 - age.as_secs());
    assert!(!lab.claim().is_deleting());
    lab.run_for(2);
    assert!(lab.cluster.get::<NodeClaim>("", old.name()).is_deleting());
    assert!(lab.run_until(300, |lab| !lab.is_there::<NodeClaim>(old.name())));
    assert!(lab.run_until(120, |lab| lab.running("web") == 2));
    assert_eq!(lab.launches.len(), 2);
}

#[test]
fn a_grace_period_ends_what_nobody_may_end() {
    let mut lab = Lab::new();
    lab.patch_pool(
        "general",
        json!({"template": {"spec": {"terminationGracePeriod": "5m"}}}),
    );
    let keep = json!({"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}});
    lab.run("web", 1, "1", "1Gi", keep);
    lab.budget("web", 0);
    let claim = lab.claim();
    let node = lab.nodes().remove(0);
    let pod = lab.places("web").remove(0).0;
    lab.cluster.delete::<NodeClaim>("", claim.name());
    let start = lab.cluster.now;
    lab.run_for(60);
    let going: NodeClaim = lab.cluster.get("", claim.name());
    let by = going.annotation("karpenter.sh/nodeclaim-termination-timestamp");
    assert_eq!(
        by,
        Some(seconds(start + SignedDuration::from_mins(5)).as_str())
    );
    assert_eq!(lab.condition(&claim, "Drained").unwrap().status, "Unknown");
    assert!(lab.cluster.get::<Node>("", node.name()).is_deleting());
    // The pod has thirty seconds of its own, which have to fit in.
    lab.run_for(205);
    assert!(!lab.cluster.get::<Pod>("shop", &pod).is_deleting());
    lab.run_for(10);
    let pod = lab.cluster.find::<Pod>("shop", &pod);
    assert!(pod.is_none_or(|pod| pod.is_deleting()));
    assert!(lab.run_until(90, |lab| !lab.is_there::<NodeClaim>(claim.name())));
    assert!(lab.run_until(120, |lab| lab.running("web") == 1));
}

#[test]
fn a_budget_holds_a_drain_as_long_as_it_likes() {
    let mut lab = Lab::new();
    lab.run("web", 3, "1", "1Gi", json!({}));
    lab.budget("web", 0);
    let claim = lab.claim();
    lab.cluster.delete::<NodeClaim>("", claim.name());
    lab.run_for(120);
    let looks = lab.cluster.reconciled_by["karpenter"];
    lab.run_for(3600);
    assert_eq!(lab.places("web").len(), 3);
    assert!(lab.cluster.get::<NodeClaim>("", claim.name()).is_deleting());
    assert_eq!(
        lab.claims().len(),
        1,
        "who can't be moved needs no other place"
    );
    let looks = lab.cluster.reconciled_by["karpenter"] - looks;
    assert!(looks < 1500, "{looks} looks in an hour");
    let node = lab
        .nodes()
        .into_iter()
        .find(|node| node.is_deleting())
        .unwrap();
    let told = lab
        .cluster
        .told(&format!("Node/{}", node.name()), "FailedDraining");
    assert!(told.iter().any(|told| told.contains("PDB")), "{told:?}");
    // One at a time, then.
    let one = json!({"spec": {"maxUnavailable": 1}});
    lab.cluster
        .patch::<PodDisruptionBudget>("shop", "web", &one);
    let done = lab.run_until(600, |lab| {
        assert!(lab.running("web") >= 2);
        !lab.is_there::<NodeClaim>(claim.name())
    });
    assert!(done);
    assert!(lab.run_until(60, |lab| lab.running("web") == 3));
    assert_eq!(lab.claims().len(), 1);
    lab.assert_settled();
}

#[test]
fn a_pool_takes_its_nodes_with_it() {
    let mut lab = Lab::new();
    lab.run("web", 3, "1", "1Gi", json!({}));
    let node = lab.nodes().remove(0);
    lab.cluster.delete::<NodePool>("", "general");
    assert!(lab.run_until(30, |lab| {
        lab.cluster.get::<Node>("", node.name()).is_deleting()
    }));
    assert!(lab.run_until(300, |lab| lab.claims().is_empty()));
    assert_eq!((lab.nodes(), lab.machines().len()), (Vec::new(), 0));
    lab.run_for(300);
    assert_eq!(lab.claims(), [], "there is no pool to launch from");
    assert_eq!(lab.running("web"), 0);
    lab.assert_settled();
}

#[test]
fn a_class_waits_for_its_claims() {
    let mut lab = Lab::new();
    lab.run("web", 1, "1", "1Gi", json!({}));
    let claim = lab.claim();
    lab.cluster.delete::<Ec2NodeClass>("", "general");
    lab.run_for(60);
    assert!(lab.is_there::<Ec2NodeClass>("general"));
    let told = lab
        .cluster
        .told("EC2NodeClass/general", "WaitingOnNodeClaimTermination");
    let wanted = format!("Waiting on NodeClaim termination for {}", claim.name());
    assert_eq!(told, [wanted]);
    let pool = lab.cluster.get::<NodePool>("", "general").status.unwrap();
    let ready = pool
        .conditions
        .iter()
        .find(|one| one.type_ == "NodeClassReady")
        .unwrap();
    assert_eq!(ready.reason.as_deref(), Some("NodeClassTerminating"));
    lab.assert_settled();
    lab.cluster.delete::<NodeClaim>("", claim.name());
    assert!(lab.run_until(300, |lab| !lab.is_there::<Ec2NodeClass>("general")));
    assert_eq!((lab.claims(), lab.machines().len()), (Vec::new(), 0));
}

#[test]
fn a_node_that_is_deleted_is_drained_first() {
    let mut lab = Lab::new();
    lab.run("web", 2, "1", "1Gi", json!({}));
    let (claim, node) = (lab.claim(), lab.nodes().remove(0));
    lab.cluster.delete::<Node>("", node.name());
    lab.settle();
    assert!(lab.cluster.get::<NodeClaim>("", claim.name()).is_deleting());
    let going: Node = lab.cluster.get("", node.name());
    let taints = going.spec.unwrap().taints.unwrap();
    assert!(
        taints
            .iter()
            .any(|taint| taint.key == "karpenter.sh/disrupted")
    );
    for pod in lab.cluster.list::<Pod>("shop") {
        if pod.spec.as_ref().unwrap().node_name.is_some() {
            let told = lab.cluster.told(&format!("Pod/{}", pod.name()), "Evicted");
            assert_eq!(told, ["Evicted pod: Forceful Termination"]);
        }
    }
    assert!(lab.run_until(300, |lab| !lab.is_there::<Node>(node.name())));
    assert!(lab.run_until(300, |lab| lab.running("web") == 2
        && lab.claims().len() == 1));
    assert_eq!(lab.launches.len(), 2);
    lab.run_for(60);
    lab.assert_settled();
}

#[test]
fn a_claim_whose_machine_is_gone_goes_and_is_replaced() {
    let mut lab = Lab::new();
    lab.run("web", 1, "1", "1Gi", json!({}));
    let claim = lab.claim();
    lab.change(|cloud| cloud.instances.clear());
    assert!(lab.run_until(300, |lab| !lab.is_there::<NodeClaim>(claim.name())));
    assert!(lab.run_until(300, |lab| lab.nodes().len() == 1 && lab.running("web") == 1));
    assert_eq!(lab.claims().len(), 1);
    assert_eq!(lab.launches.len(), 2);
}

#[test]
fn volumes_are_let_go_of_before_the_machine() {
    let mut lab = Lab::new();
    lab.cluster.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"},
        "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete"}));
    lab.cluster.create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "8Gi"}}},
        "status": {"phase": "Pending"}}));
    let volume = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    lab.run("db", 1, "1", "1Gi", json!({"spec": {"volumes": volume}}));
    let old = lab.claim();
    assert_eq!(lab.cluster.list::<VolumeAttachment>("").len(), 1);
    lab.cluster.delete::<NodeClaim>("", old.name());
    let id = old.status.as_ref().unwrap().provider_id.clone().unwrap();
    let id = id.rsplit('/').next().unwrap().to_owned();
    let done = lab.run_until(600, |lab| {
        let cloud = &lab.cluster.view.cloud;
        let up = cloud.instances.get(&id);
        let up = up.is_some_and(|instance| instance.state == InstanceState::Running);
        let attached = cloud.volumes.values().next().unwrap().attached_to.as_ref();
        assert!(up || attached != Some(&id), "its volume first");
        if !up {
            let detached = lab.condition(&old, "VolumesDetached");
            assert!(detached.is_none_or(|detached| detached.status == "True"));
        }
        !lab.is_there::<NodeClaim>(old.name())
    });
    assert!(done);
    assert!(lab.run_until(300, |lab| lab.running("db") == 1));
    let new = lab.claim();
    let zone = |claim: &NodeClaim| {
        claim
            .label("topology.kubernetes.io/zone")
            .unwrap()
            .to_owned()
    };
    assert_eq!(zone(&new), zone(&old), "a volume stays in its zone");
}

fn leaked(lab: &Lab) -> Instance {
    Instance {
        id: "i-0000000000000dead".to_owned(),
        instance_type: "m6i.large".to_owned(),
        zone: "eu-west-1a".to_owned(),
        spot: false,
        private_dns_name: "ip-10-9-9-9.eu-west-1.compute.internal".to_owned(),
        private_ip: "10.9.9.9".to_owned(),
        image: "ami-1".to_owned(),
        subnet: "subnet-a".to_owned(),
        security_groups: Vec::new(),
        state: InstanceState::Running,
        launched_at: lab.cluster.now,
        origin: Origin::NodeClaim("general-nobody".to_owned()),
        tags: std::collections::BTreeMap::new(),
    }
}

#[test]
fn a_machine_that_nobody_wants_is_ended() {
    let mut lab = Lab::new();
    let machine = leaked(&lab);
    lab.change(|cloud| drop(cloud.instances.insert(machine.id.clone(), machine)));
    lab.run_for(25);
    assert_eq!(
        lab.machines(),
        ["m6i.large"],
        "it may be too young to be known"
    );
    lab.run_for(10);
    assert_eq!(lab.machines().len(), 0);
    lab.run_for(60);
    assert!(lab.cluster.view.cloud.instances.is_empty());
    assert_eq!(lab.nodes(), []);
    lab.assert_settled();
}
