//! Which pods go first when there are too many (`ActivePodsWithRanks`, controller/controller_utils.go).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use crate::View;
use crate::document::controller_of;
use crate::workloads::pods::{
    created_at, is_active, is_ready, node_of, phase, ready_since, restarts,
};
use crate::workloads::writes::uid_of;

/// The annotation by which a user says what losing a pod costs.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// `count` of the active pods, those that matter least first: without a node, not running, not ready, cheap, next to others of
/// the same workload, young, restarted often.
///
/// Ages are compared by their order of magnitude (`LogarithmicScaleDown`). Where Kubernetes then decides by uid at once, here
/// restarts are looked at before: its rule is no order that a sort can rely on.
pub(super) fn to_delete<'a>(
    set: &ReplicaSet,
    active: &[&'a Pod],
    count: usize,
    view: &View,
    now: Timestamp,
) -> Vec<&'a Pod> {
    if count >= active.len() {
        return active.to_vec();
    }
    let crowds = crowds(set, view);
    let mut pods: Vec<&Pod> = active.to_vec();
    pods.sort_by_cached_key(|pod| {
        let node = node_of(pod);
        let ready = is_ready(pod);
        (
            node.is_some(),
            match phase(pod) {
                "Pending" => 0,
                "Unknown" => 1,
                _ => 2,
            },
            ready,
            cost(pod),
            Reverse(node.and_then(|node| crowds.get(node)).copied().unwrap_or(0)),
            if ready {
                magnitude(ready_since(pod), now)
            } else {
                0
            },
            Reverse(restarts(pod)),
            magnitude(Some(created_at(&pod.metadata)), now),
            uid_of(&pod.metadata).to_owned(),
        )
    });
    pods.truncate(count);
    pods
}

/// How many active pods of the same workload each node has: those of this set, and of all that the same Deployment owns
/// (`getIndirectlyRelatedPods`).
fn crowds<'a>(set: &ReplicaSet, view: &'a View) -> BTreeMap<&'a str, usize> {
    let mut uids = vec![uid_of(&set.metadata)];
    if let Some(owner) = controller_of(&set.metadata) {
        uids = view
            .replica_sets
            .owned_by(&owner.uid)
            .map(|(_, related)| uid_of(&related.metadata))
            .collect();
    }
    let mut crowds = BTreeMap::new();
    for uid in uids {
        for (_, pod) in view.pods.owned_by(uid) {
            if let (true, Some(node)) = (is_active(pod), node_of(pod)) {
                *crowds.entry(node).or_default() += 1;
            }
        }
    }
    crowds
}

fn cost(pod: &Pod) -> i32 {
    pod.metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(COST))
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0)
}

/// The binary logarithm of an age in nanoseconds; an unknown age is the oldest of all.
fn magnitude(since: Option<Timestamp>, now: Timestamp) -> i64 {
    let Some(since) = since else { return i64::MAX };
    let age = now.duration_since(since).as_nanos();
    if age > 0 { i64::from(age.ilog2()) } else { -1 }
}
