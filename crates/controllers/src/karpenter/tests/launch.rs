//! From pods that wait to nodes that they run on, and what keeps that from happening.

use k8s_openapi::api::core::v1::{Node, Pod};
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::NodePool;
use serde_json::json;

use super::lab::Lab;
use crate::document::Named;

#[test]
fn pods_get_a_node() {
    let mut lab = Lab::new();
    lab.replicas("web", 3, "1", "1Gi", json!({}));
    lab.run_for(5);
    let claim = lab.claim();
    assert!(lab.is(&claim, "Launched"));
    assert!(!lab.is(&claim, "Registered"));
    // EC2 is asked once, for the cheapest first, with what the class found.
    assert_eq!(lab.launches.len(), 1);
    let launch = &lab.launches[0];
    assert!(!launch.spot);
    assert_eq!(launch.role, "nodes");
    assert_eq!(launch.security_groups, ["sg-1"]);
    assert_eq!(launch.tags["karpenter.sh/nodepool"], "general");
    assert_eq!(launch.tags["kubernetes.io/cluster/shop"], "owned");
    let kinds: std::collections::BTreeSet<&str> = launch
        .offerings
        .iter()
        .map(|(kind, ..)| kind.as_str())
        .collect();
    assert!(kinds.len() > 20 && kinds.len() <= 60, "{}", kinds.len());
    let (first, zone, subnet) = &launch.offerings[0];
    assert!(first.ends_with(".xlarge"), "{first}");
    assert_eq!(subnet, &format!("subnet-{}", &zone[9..]));
    assert_eq!(
        claim.label("node.kubernetes.io/instance-type"),
        Some(&**first)
    );
    assert_eq!(claim.label("topology.kubernetes.io/zone"), Some(&**zone));
    assert_eq!(claim.label("karpenter.sh/capacity-type"), Some("on-demand"));
    let requests = &claim.spec.resources.requests;
    assert_eq!(
        (requests["cpu"].0.as_str(), requests["pods"].0.as_str()),
        ("3", "3")
    );
    for pod in lab.cluster.list::<Pod>("shop") {
        let told = lab
            .cluster
            .told(&format!("Pod/{}", pod.name()), "Nominated");
        let wanted = format!("Pod should schedule on: nodeclaim/{}", claim.name());
        assert_eq!(told, [wanted]);
    }
    assert!(lab.run_until(120, |lab| lab.is(&claim, "Registered")));
    assert!(
        !lab.is(&claim, "Initialized"),
        "its kubelet isn't ready yet"
    );
    assert!(lab.run_until(120, |lab| lab.is(&claim, "Initialized")));
    assert!(lab.is(&claim, "Ready"));
    assert!(lab.run_until(120, |lab| lab.running("web") == 3));
    let node = lab.nodes().remove(0);
    for label in ["karpenter.sh/registered", "karpenter.sh/initialized"] {
        assert_eq!(node.label(label), Some("true"), "{label}");
    }
    assert_eq!(node.label("team"), Some("shop"));
    assert!(node.has_finalizer("karpenter.sh/termination"));
    let taints = node.spec.as_ref().unwrap().taints.as_ref();
    assert_eq!(taints, None);
    let owner = &node.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str()),
        ("NodeClaim", claim.uid())
    );
    assert_eq!(
        claim.metadata.owner_references.as_ref().unwrap()[0].kind,
        "NodePool"
    );
    lab.run_for(30);
    let pool = lab.cluster.get::<NodePool>("", "general").status.unwrap();
    assert_eq!(pool.nodes, Some(1));
    assert_eq!(pool.node_class_observed_generation, Some(1));
    let is = |type_: &str| {
        let found = pool.conditions.iter().find(|one| one.type_ == type_);
        found.map(|one| one.status.as_str())
    };
    assert_eq!(
        (is("Ready"), is("NodeRegistrationHealthy")),
        (Some("True"), Some("True"))
    );
    assert_eq!(pool.resources.as_ref().unwrap()["cpu"].0, "4");
    lab.assert_settled();
    assert_eq!(lab.claims().len(), 1);
}

#[test]
fn a_class_finds_what_it_selects() {
    let mut lab = Lab::new();
    let class = lab.cluster.get::<Ec2NodeClass>("", "general");
    let status = class.status.unwrap();
    let subnets: Vec<&str> = status.subnets.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(subnets, ["subnet-a", "subnet-b"]);
    assert_eq!(status.security_groups[0].id.as_deref(), Some("sg-1"));
    assert!(status.amis.len() >= 4);
    let ready = |lab: &Lab| {
        let class = lab.cluster.get::<Ec2NodeClass>("", "general");
        let conditions = class.status.unwrap().conditions;
        let ready = conditions.into_iter().find(|one| one.type_ == "Ready");
        let ready = ready.unwrap();
        (ready.status, ready.message.unwrap_or_default())
    };
    assert_eq!(ready(&lab).0, "True");
    // What it selects goes: no nodes are launched with it.
    lab.change(|cloud| cloud.network.subnets.clear());
    lab.settle();
    assert_eq!(
        ready(&lab),
        (
            "False".to_owned(),
            "SubnetsReady=False, ValidationSucceeded=False".to_owned()
        )
    );
    let pool = lab.cluster.get::<NodePool>("", "general").status.unwrap();
    let of_class = pool
        .conditions
        .iter()
        .find(|one| one.type_ == "NodeClassReady");
    assert_eq!(of_class.unwrap().status, "False");
    lab.replicas("web", 1, "1", "1Gi", json!({}));
    lab.run_for(60);
    assert_eq!(lab.claims(), []);
    lab.assert_settled();
}

#[test]
fn what_has_no_capacity_is_left_out_for_three_minutes() {
    let mut lab = Lab::new();
    lab.patch_pool("general", json!({"template": {"spec": {"requirements": [
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m6i.large", "m6i.xlarge"]},
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand", "spot"]},
    ]}}}));
    for kind in ["m6i.large", "m6i.xlarge"] {
        for zone in ["eu-west-1a", "eu-west-1b"] {
            lab.full.insert((kind.to_owned(), zone.to_owned(), true));
        }
    }
    lab.replicas("web", 1, "1", "1Gi", json!({}));
    lab.run_for(5);
    assert!(lab.launches[0].spot);
    // The claim went; pods that wait are looked at again after ten seconds, and on-demand is left.
    assert!(lab.run_until(60, |lab| lab.running("web") == 0
        && lab.machines() == ["m6i.large"]));
    assert_eq!(lab.launches.len(), 2);
    assert!(!lab.launches[1].spot);
    let failed: Vec<_> = lab
        .cluster
        .events
        .iter()
        .filter(|told| told.reason == "InsufficientCapacityError")
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    // Another pod gets on-demand at once, and spot after a while.
    lab.replicas("more", 1, "1500m", "6Gi", json!({}));
    assert!(lab.run_until(30, |lab| lab.launches.len() == 3));
    assert!(!lab.launches[2].spot);
    lab.run_for(180);
    lab.full.clear();
    lab.replicas("later", 1, "3", "10Gi", json!({}));
    assert!(lab.run_until(30, |lab| lab.launches.len() == 4));
    assert!(lab.launches[3].spot);
}

#[test]
fn a_launch_that_is_wrong_is_tried_again_and_given_up_after_five_minutes() {
    let mut lab = Lab::new();
    lab.refuses = Some((
        "InvalidGroup.NotFound",
        "The security group 'sg-1' does not exist",
    ));
    lab.replicas("web", 1, "1", "1Gi", json!({}));
    lab.run_for(10);
    let claim = lab.claim();
    let launched = lab.condition(&claim, "Launched").unwrap();
    assert_eq!(launched.status, "Unknown");
    assert_eq!(launched.reason.as_deref(), Some("LaunchFailed"));
    assert!(launched.message.unwrap().contains("does not exist"));
    lab.run_for(100);
    assert_eq!(lab.claim().name(), claim.name());
    let tries = lab.launches.len();
    assert!((5..=7).contains(&tries), "{tries} launches in 110 seconds");
    assert!(lab.run_until(300, |lab| {
        !lab.is_there::<objects::karpenter::NodeClaim>(claim.name())
    }));
    lab.refuses = None;
    assert!(lab.run_until(120, |lab| lab.running("web") == 1));
}

#[test]
fn limits_hold() {
    let mut lab = Lab::new();
    lab.patch_pool("general", json!({"limits": {"cpu": "4"}}));
    lab.replicas("web", 3, "1500m", "1Gi", json!({}));
    lab.run_for(120);
    assert_eq!(lab.running("web"), 2);
    assert_eq!(lab.claims().len(), 1);
    let left = lab.cluster.list::<Pod>("shop").into_iter().find(|pod| {
        let spec = pod.spec.as_ref().unwrap();
        spec.node_name.is_none()
    });
    let told = lab
        .cluster
        .told(&format!("Pod/{}", left.unwrap().name()), "FailedScheduling")
        .into_iter()
        .filter(|message| message.contains("Failed to schedule pod"))
        .count();
    assert_eq!(told, 1);
    lab.assert_settled();
    // More is allowed: the pod is looked at again by itself.
    lab.patch_pool("general", json!({"limits": {"cpu": "100"}}));
    assert!(lab.run_until(120, |lab| lab.running("web") == 3));
}

#[test]
fn a_pod_that_fits_nowhere_gets_nothing_and_costs_nothing() {
    let mut lab = Lab::new();
    let more = json!({"spec": {"nodeSelector": {"team": "other"}}});
    lab.replicas("web", 1, "1", "1Gi", more);
    lab.run_for(60);
    assert_eq!(lab.claims(), []);
    let before = lab.cluster.reconciled_by["karpenter"];
    lab.run_for(600);
    let looks = lab.cluster.reconciled_by["karpenter"] - before;
    assert!(looks <= 61, "{looks} looks in ten minutes");
    assert_eq!(lab.launches, []);
}

#[test]
fn startup_taints_keep_a_node_from_being_initialised() {
    let mut lab = Lab::new();
    let taint = json!({"key": "example.com/agent", "effect": "NoSchedule"});
    lab.patch_pool(
        "general",
        json!({"template": {"spec": {"startupTaints": [taint]}}}),
    );
    lab.replicas("web", 1, "1", "1Gi", json!({}));
    lab.run_for(120);
    let claim = lab.claim();
    assert!(lab.is(&claim, "Registered"));
    let initialized = lab.condition(&claim, "Initialized").unwrap();
    assert_eq!(initialized.reason.as_deref(), Some("StartupTaintsExist"));
    assert_eq!(lab.claims().len(), 1, "the pod has its node");
    let node = lab.nodes().remove(0);
    lab.cluster
        .patch::<Node>("", node.name(), &json!({"spec": {"taints": null}}));
    lab.settle();
    assert!(lab.is(&claim, "Initialized"));
    assert!(lab.run_until(60, |lab| lab.running("web") == 1));
}

#[test]
fn a_node_that_does_not_come_is_given_up_after_fifteen_minutes() {
    let mut lab = Lab::new();
    lab.replicas("web", 1, "1", "1Gi", json!({}));
    lab.run_for(5);
    let claim = lab.claim();
    // Its kubelet never starts.
    lab.change(|cloud| {
        for instance in cloud.instances.values_mut() {
            instance.state = crate::cloud::InstanceState::Pending;
        }
    });
    lab.run_for(890);
    assert!(lab.is_there::<objects::karpenter::NodeClaim>(claim.name()));
    assert!(lab.run_until(120, |lab| lab.running("web") == 1));
    assert_ne!(lab.claim().name(), claim.name());
    assert_eq!(lab.machines().len(), 1);
}

#[test]
fn without_a_replica_karpenter_does_nothing() {
    let mut lab = Lab::bare();
    lab.karpenter(0);
    lab.node_class("general");
    lab.pool("general", json!({}));
    lab.replicas("web", 1, "1", "1Gi", json!({}));
    let before = lab.versions();
    lab.run_for(600);
    assert_eq!(lab.claims(), []);
    let own = |versions: Vec<(String, Option<String>)>| {
        versions
            .into_iter()
            .filter(|(name, _)| name == "general")
            .collect::<Vec<_>>()
    };
    assert_eq!(own(lab.versions()), own(before));
    // It comes up, and goes down again in the middle of its work.
    lab.karpenter(1);
    assert!(lab.run_until(60, |lab| !lab.launches.is_empty()));
    lab.karpenter(0);
    lab.run_for(300);
    let claim = lab.claim();
    assert!(!lab.is(&claim, "Registered"));
    assert_eq!(lab.running("web"), 0);
    let looks = lab.cluster.reconciled_by["karpenter"];
    lab.run_for(3600);
    let more = lab.cluster.reconciled_by["karpenter"] - looks;
    assert!(more <= 2, "only what it had set itself rings: {more}");
    lab.karpenter(1);
    assert!(lab.run_until(120, |lab| lab.running("web") == 1));
    assert_eq!(lab.claim().name(), claim.name());
}
