//! Nodes that may be disrupted, and everything that keeps others from it.

use jiff::{SignedDuration, Timestamp};

use super::pdb::{Guards, Hindrance};
use super::{Refusal, costs};
use crate::instances::{CapacityType, MicroUsd};
use crate::names::{Key, Value};
use crate::world::{Node, NodeId, PodId, PoolId, Stage, World};

/// A node that may be disrupted (`types.go:68` `Candidate`).
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Its pool.
    pub pool: PoolId,
    /// Its instance type, if its pool's types have it.
    pub instance_type: Option<Value>,
    /// How it was bought.
    pub capacity_type: Option<CapacityType>,
    /// Its pods that need room elsewhere.
    pub pods: Vec<PodId>,
    /// What it costs an hour; 0 where that is not known.
    pub price: MicroUsd,
    /// What moving its pods costs.
    pub rescheduling: f64,
    /// The cost by which versions up to 1.13 order nodes.
    pub lifetime_cost: f64,
    /// Whether pods block it: then only drift looks at it, and only with a `terminationGracePeriod`.
    pub blocked_by_pods: bool,
}

impl Candidate {
    /// What it saves for each unit of disruption.
    #[must_use]
    pub fn savings_ratio(&self) -> f64 {
        costs::savings_ratio(self.price, self.rescheduling)
    }
}

/// Everything that keeps a node from being a candidate (`statenode.go:212` `ValidateNodeDisruptable`, `types.go:161`
/// `NewCandidate`). Karpenter reports the first.
pub(super) fn blockers(world: &World, guards: &Guards, id: NodeId, now: Timestamp) -> Vec<Refusal> {
    let node = world.node(id);
    let mut all = Vec::new();
    if node.claim.is_none() {
        all.push(Refusal::NotManaged);
        return all;
    }
    match node.stage {
        Stage::Launched => all.push(Refusal::NoNode),
        Stage::Registered => all.push(Refusal::NotInitialized),
        Stage::Initialized => {}
    }
    if node.deleting {
        all.push(Refusal::Deleting);
    }
    if let Some(until) = node.nominated_until.filter(|until| *until > now) {
        all.push(Refusal::Nominated { until });
    }
    if node.do_not_disrupt {
        all.push(Refusal::NodeDoNotDisrupt);
    }
    match (node.label(Key::NODE_POOL), node.pool) {
        (None, None) => all.push(Refusal::NoPoolLabel),
        (Some(name), None) => all.push(Refusal::PoolNotFound(name)),
        (_, Some(pool)) => {
            if world.types_of(pool).is_none_or(|types| types.is_empty()) {
                all.push(Refusal::PoolNotFound(world.pool(pool).name));
            }
        }
    }
    for pod in &node.pods {
        match guards.hindrance(world, *pod, now) {
            None => {}
            Some(Hindrance::DoNotDisrupt) => all.push(Refusal::PodDoNotDisrupt(*pod)),
            Some(Hindrance::Budget(budget)) => all.push(Refusal::Pdb { pod: *pod, budget }),
            Some(Hindrance::Budgets(budgets)) => all.push(Refusal::Pdbs { pod: *pod, budgets }),
        }
    }
    all
}

/// A node that nothing keeps, or only its pods.
pub(super) fn candidate(
    world: &World,
    id: NodeId,
    now: Timestamp,
    blockers: &[Refusal],
) -> Option<Candidate> {
    if !blockers.iter().all(Refusal::is_pod_block) {
        return None;
    }
    let node = world.node(id);
    let pool = node.pool?;
    let types = world.types_of(pool)?;
    let kind = node
        .label(Key::INSTANCE_TYPE)
        .and_then(|name| types.find(name))
        .map(|index| types.get(index));
    let price = kind
        .zip(node.label(Key::ZONE).zip(node.capacity_type()))
        .and_then(|(kind, (zone, capacity_type))| kind.price(zone, capacity_type));
    let pods: Vec<PodId> = node
        .pods
        .iter()
        .copied()
        .filter(|pod| world.pod(*pod).is_reschedulable())
        .collect();
    Some(Candidate {
        node: id,
        pool,
        instance_type: kind.map(|kind| kind.name),
        capacity_type: node.capacity_type(),
        price: price.unwrap_or_default(),
        rescheduling: costs::rescheduling(world, &pods),
        lifetime_cost: costs::with_lifetime(world, node, now),
        pods,
        blocked_by_pods: !blockers.is_empty(),
    })
}

/// When a node's pods last changed, as `consolidateAfter` counts: the last pod event, else when it was initialised
/// (`disruption.go:88`).
fn counts_from(node: &Node) -> Option<Timestamp> {
    let claim = node.claim.as_ref()?;
    claim.last_pod_event.or(claim.initialized_at)
}

/// From when on a node may be consolidated; none where that isn't known or never is.
#[must_use]
pub(super) fn consolidatable_from(world: &World, node: &Node) -> Option<Timestamp> {
    let after = world.pool(node.pool?).consolidate_after.duration()?;
    let after = SignedDuration::try_from(after).ok()?;
    counts_from(node)?.checked_add(after).ok()
}

/// Whether a node is `Consolidatable` (`nodeclaim/disruption/consolidation.go:40`). Where no times are known, the snapshot's own
/// condition decides.
pub(super) fn is_consolidatable(world: &World, node: &Node, now: Timestamp) -> bool {
    let Some(pool) = node.pool else {
        return false;
    };
    let Some(after) = world.pool(pool).consolidate_after.duration() else {
        return false;
    };
    if node.stage != Stage::Initialized {
        return false;
    }
    if after.is_zero() {
        return true;
    }
    match consolidatable_from(world, node) {
        Some(from) => now >= from,
        None => node
            .claim
            .as_ref()
            .and_then(|claim| claim.consolidatable)
            .unwrap_or(false),
    }
}

/// Whether pods that are moved are kept off a node, because its own changed not long ago (`disruption.go:79`
/// `IsUnderConsolidateAfter`).
pub(super) fn is_shielded(world: &World, node: &Node, now: Timestamp) -> bool {
    node.stage == Stage::Initialized
        && node.claim.is_some()
        && node
            .pool
            .and_then(|pool| world.pool(pool).consolidate_after.duration())
            .is_some_and(|after| !after.is_zero())
        && consolidatable_from(world, node).is_some_and(|from| now < from)
}
