//! Nodes that are empty, dearer than need be or out of date, and what protects them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::NodeClaim;
use serde_json::{Value as Json, json};

use super::lab::Lab;
use crate::document::Named;

/// One pod a node.
fn apart() -> Json {
    json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"apart": "yes"}}}]}}},
        "metadata": {"labels": {"apart": "yes"}}})
}

fn consolidate(lab: &mut Lab, after: &str) {
    lab.patch_pool(
        "general",
        json!({"disruption": {"consolidateAfter": after}}),
    );
}

fn is_marked(node: &Node) -> bool {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .into_iter()
        .any(|taint| taint.key == "karpenter.sh/disrupted")
}

fn message(lab: &Lab, about: &str, reason: &str) -> String {
    lab.cluster.told(about, reason).join("; ")
}

#[test]
fn an_empty_node_goes_after_its_time() {
    let mut lab = Lab::new();
    consolidate(&mut lab, "1m");
    lab.run("web", 2, "1", "1Gi", json!({}));
    let claim = lab.claim();
    lab.run_for(300);
    assert!(lab.is(&claim, "Consolidatable"));
    assert_eq!(lab.claim().name(), claim.name(), "it is as cheap as can be");
    lab.assert_settled();
    let told = message(
        &lab,
        &format!("NodeClaim/{}", claim.name()),
        "Unconsolidatable",
    );
    assert!(!told.is_empty());
    lab.scale("web", 0);
    lab.run_for(60);
    assert!(
        !lab.is(&claim, "DisruptionReason"),
        "a minute, and fifteen seconds to think"
    );
    assert!(lab.run_until(60, |lab| lab.is(&claim, "DisruptionReason")));
    let about = format!("NodeClaim/{}", claim.name());
    let told = message(&lab, &about, "DisruptionTerminating");
    assert_eq!(told, "Disrupting NodeClaim: Empty");
    assert!(lab.run_until(120, |lab| lab.claims().is_empty()));
    assert_eq!((lab.nodes(), lab.machines().len()), (Vec::new(), 0));
    assert_eq!(lab.launches.len(), 1);
    // And then there is nothing more to look at.
    lab.run_for(60);
    let looks = lab.cluster.reconciled_by["karpenter"];
    lab.run_for(3600);
    assert_eq!(lab.cluster.reconciled_by["karpenter"], looks);
}

#[test]
fn a_node_that_is_too_large_is_replaced_by_a_smaller_one() {
    let mut lab = Lab::new();
    lab.run("web", 6, "1", "1Gi", json!({}));
    lab.scale("web", 1);
    let old = lab.claim();
    assert_eq!(lab.machines().len(), 1);
    assert!(
        lab.machines()[0].ends_with(".2xlarge"),
        "{:?}",
        lab.machines()
    );
    consolidate(&mut lab, "0s");
    assert!(lab.run_until(60, |lab| lab.is(&old, "DisruptionReason")));
    let old_node = lab.nodes().remove(0);
    assert!(is_marked(&old_node));
    // What comes in its place is up before it goes, and the pod runs all the while.
    let gone = lab.run_until(300, |lab| {
        let other = lab
            .claims()
            .into_iter()
            .find(|one| one.name() != old.name());
        let up = other.is_some_and(|one| lab.is(&one, "Initialized"));
        let old: Option<NodeClaim> = lab.cluster.find("", old.name());
        let going = old.is_none_or(|old| old.is_deleting());
        assert!(up || !going, "first the new one");
        going
    });
    assert!(gone);
    assert!(lab.run_until(300, |lab| lab.claims().len() == 1
        && lab.running("web") == 1));
    assert!(
        lab.machines()[0].ends_with(".large"),
        "{:?}",
        lab.machines()
    );
    lab.run_for(600);
    assert_eq!(lab.launches.len(), 2);
    lab.assert_settled();
}

#[test]
fn pods_move_together_and_what_is_left_goes() {
    let mut lab = Lab::new();
    lab.run("one", 3, "1", "1Gi", json!({}));
    lab.run("two", 3, "1", "1Gi", json!({}));
    assert_eq!(lab.machines().len(), 2);
    lab.scale("one", 1);
    lab.scale("two", 1);
    consolidate(&mut lab, "0s");
    assert!(lab.run_until(600, |lab| lab.claims().len() == 1));
    assert!(lab.run_until(120, |lab| lab.running("one") + lab.running("two") == 2));
    assert_eq!(lab.launches.len(), 2, "one node was room enough");
    assert_eq!(lab.nodes().len(), 1);
    lab.run_for(300);
    lab.assert_settled();
}

#[test]
fn budgets_are_kept() {
    let mut lab = Lab::new();
    lab.run("web", 3, "1", "1Gi", apart());
    assert_eq!(lab.claims().len(), 3);
    lab.patch_pool(
        "general",
        json!({"disruption": {"consolidateAfter": "0s", "budgets": [{"nodes": "0"}]}}),
    );
    lab.scale("web", 0);
    lab.run_for(300);
    assert_eq!(lab.claims().len(), 3);
    let told = message(&lab, "NodePool/general", "DisruptionBlocked");
    assert_eq!(
        told,
        "No allowed disruptions for disruption reason Empty due to blocking budget"
    );
    lab.assert_settled();
    lab.patch_pool(
        "general",
        json!({"disruption": {"budgets": [{"nodes": "1"}]}}),
    );
    let done = lab.run_until(900, |lab| {
        // Machines that shut down are not counted any more.
        let claims = lab.claims();
        let going = claims
            .iter()
            .filter(|claim| claim.is_deleting() && !lab.is(claim, "InstanceTerminating"))
            .count();
        assert!(going <= 1, "{going} at once");
        lab.claims().is_empty()
    });
    assert!(done);
}

#[test]
fn budgets_of_pods_and_their_annotations_protect_nodes() {
    let mut lab = Lab::new();
    lab.run("web", 6, "1", "1Gi", json!({}));
    lab.budget("web", 0);
    lab.scale("web", 1);
    consolidate(&mut lab, "0s");
    let claim = lab.claim();
    lab.run_for(300);
    assert_eq!(lab.claim().name(), claim.name());
    let about = format!("NodeClaim/{}", claim.name());
    let told = message(&lab, &about, "DisruptionBlocked");
    assert!(told.contains("shop/web"), "{told}");
    lab.assert_settled();
    // The budget goes, but the pod doesn't want to.
    let pod = lab.places("web").remove(0).0;
    let keep =
        |keep: Json| json!({"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": keep}}});
    lab.cluster.patch::<Pod>("shop", &pod, &keep(json!("true")));
    lab.cluster.delete::<PodDisruptionBudget>("shop", "web");
    lab.run_for(300);
    assert_eq!(lab.claim().name(), claim.name());
    lab.cluster.patch::<Pod>("shop", &pod, &keep(Json::Null));
    // Nor does the node.
    let node = lab.nodes().remove(0);
    lab.cluster
        .patch::<Node>("", node.name(), &keep(json!("true")));
    lab.run_for(300);
    assert_eq!(lab.claim().name(), claim.name());
    lab.cluster
        .patch::<Node>("", node.name(), &keep(Json::Null));
    assert!(lab.run_until(600, |lab| !lab.is_there::<NodeClaim>(claim.name())));
    assert!(lab.run_until(60, |lab| lab.running("web") == 1));
}

/// What is changed, and the reason that its nodes are given.
fn drifts(change: impl FnOnce(&mut Lab), reason: &str) {
    let mut lab = Lab::new();
    lab.run("web", 2, "1", "1Gi", json!({}));
    let old = lab.claim();
    lab.run_for(60);
    assert_eq!(lab.condition(&old, "Drifted"), None);
    lab.patch_pool(
        "general",
        json!({"disruption": {"budgets": [{"nodes": "0", "reasons": ["Drifted"]}]}}),
    );
    change(&mut lab);
    lab.run_for(60);
    let drifted = lab.condition(&old, "Drifted").expect(reason);
    assert_eq!(drifted.reason.as_deref(), Some(reason));
    assert_eq!(lab.claims().len(), 1, "{reason}: its budget forbids it");
    lab.patch_pool(
        "general",
        json!({"disruption": {"budgets": [{"nodes": "1"}]}}),
    );
    assert!(lab.run_until(60, |lab| lab.claims().len() == 2), "{reason}");
    assert!(
        lab.run_until(600, |lab| !lab.is_there::<NodeClaim>(old.name())),
        "{reason}"
    );
    assert!(lab.run_until(60, |lab| lab.running("web") == 2), "{reason}");
    lab.run_for(60);
    let new = lab.claim();
    assert_eq!(lab.condition(&new, "Drifted"), None, "{reason}");
    assert_eq!(lab.launches.len(), 2, "{reason}");
    let told = message(
        &lab,
        &format!("NodeClaim/{}", old.name()),
        "DisruptionTerminating",
    );
    assert_eq!(told, "Disrupting NodeClaim: Drifted");
    lab.assert_settled();
}

#[test]
fn nodes_of_a_changed_pool_are_replaced() {
    drifts(
        |lab| {
            lab.patch_pool(
                "general",
                json!({"template": {"metadata": {"labels": {"team": "other"}}}}),
            )
        },
        "NodePoolDrifted",
    );
    drifts(
        |lab| {
            lab.patch_pool("general", json!({"template": {"spec": {"requirements": [
                {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["x"]}]}}}));
        },
        "RequirementsDrifted",
    );
}

#[test]
fn nodes_of_a_changed_class_are_replaced() {
    let class = |lab: &mut Lab, spec: Json| {
        lab.cluster
            .patch::<Ec2NodeClass>("", "general", &json!({"spec": spec}));
    };
    drifts(
        |lab| class(lab, json!({"tags": {"cost": "1"}})),
        "NodeClassDrift",
    );
    let alias = json!({"amiSelectorTerms": [{"alias": "al2023@v20251201"}]});
    drifts(|lab| class(lab, alias), "AMIDrift");
    drifts(
        |lab| {
            lab.change(|cloud| {
                let mut group = cloud.network.security_groups[0].clone();
                group.id = "sg-2".to_owned();
                cloud.network.security_groups.push(group);
            });
        },
        "SecurityGroupDrift",
    );
}

#[test]
fn a_replacement_that_does_not_come_leaves_the_node_as_it_was() {
    let mut lab = Lab::new();
    lab.run("web", 6, "1", "1Gi", json!({}));
    lab.scale("web", 1);
    let old = lab.claim();
    lab.refuses = Some(("InsufficientInstanceCapacity", "none left"));
    consolidate(&mut lab, "0s");
    assert!(lab.run_until(60, |lab| lab.is(&old, "DisruptionReason")));
    assert!(lab.run_until(60, |lab| !lab.is(&old, "DisruptionReason")));
    lab.run_for(15);
    let node = lab.cluster.list::<Node>("").remove(0);
    assert!(!node.is_deleting() && lab.running("web") == 1);
    assert!(!lab.cluster.get::<NodeClaim>("", old.name()).is_deleting());
}

#[test]
fn spot_nodes_are_not_replaced_by_spot_ones() {
    let mut lab = Lab::new();
    lab.patch_pool(
        "general",
        json!({"template": {"spec": {"requirements": [
        {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["m6i", "m7i"]},
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}]}}}),
    );
    lab.run("web", 6, "1", "1Gi", json!({}));
    lab.scale("web", 1);
    let old = lab.claim();
    consolidate(&mut lab, "0s");
    lab.run_for(300);
    assert_eq!(lab.claim().name(), old.name());
    let told = message(
        &lab,
        &format!("NodeClaim/{}", old.name()),
        "Unconsolidatable",
    );
    assert!(told.contains("SpotToSpotConsolidation"), "{told}");
}

#[test]
fn nobody_is_disrupted_twice() {
    let mut lab = Lab::new();
    consolidate(&mut lab, "0s");
    lab.run("web", 4, "1", "1Gi", apart());
    lab.scale("web", 0);
    assert!(lab.run_until(600, |lab| lab.claims().is_empty()));
    let told: Vec<_> = lab
        .cluster
        .events
        .iter()
        .filter(|told| told.reason == "DisruptionTerminating")
        .collect();
    assert_eq!(told.len(), 8, "four nodes and four claims");
    assert!(told.iter().all(|told| told.count == 1), "{told:#?}");
    let about: BTreeSet<_> = told.iter().map(|told| &told.about).collect();
    assert_eq!(about.len(), 8);
}
