//! What it costs to disturb pods, and what a node that goes is worth.

use jiff::Timestamp;

use crate::instances::MicroUsd;
use crate::world::{Node, OwnerKind, Pod, PodId, World};

/// The cost of draining any node (`types.go:135` `PerNodeBaseDisruptionCost`).
pub const NODE_COST: f64 = 1.0;

/// What evicting a pod costs: 1, more or less by its deletion cost and its priority, within −10 and 10
/// (`pkg/utils/disruption/disruption.go:48` `EvictionCost`).
#[must_use]
pub fn eviction(pod: &Pod, priority: i32) -> f64 {
    let cost = 1.0
        + f64::from(pod.deletion_cost) / f64::from(1 << 27)
        + f64::from(priority) / f64::from(1 << 25);
    cost.clamp(-10.0, 10.0)
}

fn of_pod(world: &World, pod: PodId) -> f64 {
    eviction(world.pod(pod), world.shape_of(pod).priority)
}

/// What moving a node's pods costs: 1 and what each eviction costs, none less than 0 (`types.go:137`
/// `computeRescheduleDisruptionCost`).
#[must_use]
pub fn rescheduling(world: &World, pods: &[PodId]) -> f64 {
    NODE_COST
        + pods
            .iter()
            .map(|pod| of_pod(world, *pod).max(0.0))
            .sum::<f64>()
}

/// The same for a node that is no candidate: all its pods but those of daemon sets count (`statenode.go:478`).
#[must_use]
pub fn of_node(world: &World, node: &Node) -> f64 {
    let pods: Vec<PodId> = node
        .pods
        .iter()
        .copied()
        .filter(|pod| {
            let pod = world.pod(*pod);
            pod.takes_room() && pod.owner != OwnerKind::DaemonSet
        })
        .collect();
    rescheduling(world, &pods)
}

/// Up to 1.13: the sum over all pods, daemons too, times the share of its life that a node has left (`types.go:211`
/// `DisruptionCost`).
#[must_use]
pub fn with_lifetime(world: &World, node: &Node, now: Timestamp) -> f64 {
    let pods: f64 = node.pods.iter().map(|pod| of_pod(world, *pod)).sum();
    pods * lifetime_remaining(node, now)
}

/// The share of its life that a node has left: 1 without `expireAfter` (`disruption.go:36` `LifetimeRemaining`).
#[must_use]
pub fn lifetime_remaining(node: &Node, now: Timestamp) -> f64 {
    let Some(claim) = &node.claim else {
        return 1.0;
    };
    let total = claim.expire_after.and_then(|after| after.duration());
    let (Some(total), Some(created)) = (total, claim.created.or(node.created)) else {
        return 1.0;
    };
    let age = now.duration_since(created).as_secs_f64();
    let total = total.as_secs_f64();
    // An expireAfter of 0s divides 0 by 0 in Karpenter; nothing is left of such a life.
    if total <= 0.0 {
        return 0.0;
    }
    ((total - age) / total).clamp(0.0, 1.0)
}

/// Dollars saved for each unit of disruption (`types.go:145` `SavingsRatio`).
#[must_use]
pub fn savings_ratio(price: MicroUsd, rescheduling: f64) -> f64 {
    #[allow(
        clippy::cast_precision_loss,
        reason = "prices are far below 2^53 micro-dollars"
    )]
    let price = price.0 as f64;
    price / rescheduling
}
