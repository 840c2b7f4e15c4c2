//! What the interruption queue says of machines.

use objects::karpenter::NodeClaim;
use serde_json::{Value as Json, json};

use super::lab::Lab;
use crate::document::Named;

/// A cluster with one spot node, and the ID of its machine.
fn with_a_node() -> (Lab, NodeClaim, String) {
    let mut lab = Lab::new();
    lab.patch_pool(
        "general",
        json!({"template": {"spec": {"requirements": [
        {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["m6i", "m7i"]},
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}]}}}),
    );
    lab.run("web", 1, "1", "1Gi", json!({}));
    let claim = lab.claim();
    let id = lab
        .cluster
        .view
        .cloud
        .instances
        .keys()
        .next()
        .unwrap()
        .clone();
    (lab, claim, id)
}

/// Sends a message; whether the node goes because of it, and is replaced.
fn interrupts(source: &str, kind: &str, detail: impl Fn(&str) -> Json, reason: &str) -> bool {
    let (mut lab, claim, id) = with_a_node();
    let body = detail(&id);
    lab.send(source, kind, body.clone());
    lab.settle();
    assert!(
        lab.cluster.view.cloud.messages.is_empty(),
        "{kind} is taken off the queue"
    );
    assert_eq!(lab.deleted.len(), 1);
    let about = format!("NodeClaim/{}", claim.name());
    assert_eq!(
        lab.cluster.told(&about, reason).len(),
        1,
        "{kind}: {:#?}",
        lab.cluster.events
    );
    let goes = lab.cluster.get::<NodeClaim>("", claim.name()).is_deleting();
    let told = lab.cluster.told(&about, "TerminatingOnInterruption").len();
    assert_eq!(told, usize::from(goes));
    // The same again, as SQS may do it, is nothing new.
    lab.send(source, kind, body);
    lab.settle();
    assert_eq!(lab.deleted.len(), 2);
    let told = lab.cluster.told(&about, "TerminatingOnInterruption").len();
    assert_eq!(told, usize::from(goes));
    if goes {
        assert!(lab.run_until(300, |lab| !lab.is_there::<NodeClaim>(claim.name())));
        assert!(lab.run_until(120, |lab| lab.running("web") == 1));
        assert_eq!(lab.launches.len(), 2);
        if reason == "SpotInterrupted" {
            let (kind, zone) = (
                claim.label("node.kubernetes.io/instance-type").unwrap(),
                claim.label("topology.kubernetes.io/zone").unwrap(),
            );
            let again = |(k, z, _): &(String, String, String)| k == kind && z == zone;
            assert!(lab.launches[0].offerings.iter().any(again));
            assert!(
                !lab.launches[1].offerings.iter().any(again),
                "not there again"
            );
        }
    } else {
        lab.run_for(60);
        assert_eq!(lab.claim().name(), claim.name());
        assert_eq!(lab.running("web"), 1);
    }
    lab.run_for(60);
    lab.assert_settled();
    goes
}

#[test]
fn spot_interruptions() {
    assert!(interrupts(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        |id| json!({"instance-id": id, "instance-action": "terminate"}),
        "SpotInterrupted",
    ));
}

#[test]
fn rebalance_recommendations_are_told_only() {
    assert!(!interrupts(
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
        |id| json!({"instance-id": id}),
        "SpotRebalanceRecommendation",
    ));
}

#[test]
fn scheduled_changes() {
    assert!(interrupts(
        "aws.health",
        "AWS Health Event",
        |id| json!({"service": "EC2", "eventTypeCategory": "scheduledChange", "affectedEntities": [{"entityValue": id}]}),
        "InstanceUnhealthy",
    ));
}

#[test]
fn state_changes() {
    for (state, reason) in [
        ("stopping", "InstanceStopping"),
        ("stopped", "InstanceStopping"),
        ("shutting-down", "InstanceTerminating"),
        ("terminated", "InstanceTerminating"),
    ] {
        assert!(interrupts(
            "aws.ec2",
            "EC2 Instance State-change Notification",
            |id| json!({"instance-id": id, "state": state}),
            reason,
        ));
    }
}

#[test]
fn capacity_reservations() {
    assert!(interrupts(
        "aws.ec2",
        "EC2 Capacity Reservation Instance Interruption Warning",
        |id| json!({"instance-id": id}),
        "CapacityReservationInstanceInterrupted",
    ));
}

#[test]
fn other_messages_are_taken_off_the_queue() {
    let (mut lab, claim, id) = with_a_node();
    lab.send(
        "aws.ec2",
        "EC2 Instance State-change Notification",
        json!({"instance-id": id, "state": "running"}),
    );
    lab.send("aws.s3", "Object Created", json!({"bucket": {"name": "b"}}));
    lab.send(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        json!({}),
    );
    lab.send(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        json!({"instance-id": "i-0000000000of0thers"}),
    );
    lab.settle();
    assert_eq!(lab.deleted.len(), 4);
    assert!(lab.cluster.view.cloud.messages.is_empty());
    lab.run_for(60);
    assert_eq!(lab.claim().name(), claim.name());
    assert!(!lab.claim().is_deleting());
}

#[test]
fn without_a_queue_nobody_reads() {
    let (mut lab, claim, id) = with_a_node();
    lab.cluster.patch::<k8s_openapi::api::apps::v1::Deployment>(
        "kube-system",
        "karpenter",
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "controller", "image": "karpenter"}]}}}}),
    );
    lab.send(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        json!({"instance-id": id}),
    );
    lab.run_for(60);
    assert_eq!(lab.cluster.view.cloud.messages.len(), 1);
    assert_eq!(lab.claim().name(), claim.name());
}
