//! Which nodes Karpenter launches for which pods.
//!
//! Models `pkg/controllers/provisioning/scheduling` at 2266468. A [`Planner`] is built once over a [`World`] and asked as often as
//! wanted: [`Planner::simulate`] answers for any pods on the cluster without any nodes, and leaves the planner as it was. What
//! it learns on the way (which shapes suit which nodes, counts by topology, intersections of requirements) is kept.

mod claims;
mod nodes;
mod on_claims;
mod on_nodes;
mod outcome;
mod planner;
mod queue;
mod reasons;
mod shapes;
mod states;
mod templates;
mod variants;

#[cfg(test)]
mod tests;

pub use outcome::{NewClaim, Outcome, Placement, Unschedulable};
pub use planner::Planner;
pub use reasons::{PodError, TemplateError};
pub use variants::Relaxation;

pub use crate::topology::GroupKind;

use crate::world::{NodeId, PodId, World};

/// What to do with preferences (`PREFERENCE_POLICY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PreferencePolicy {
    /// They hold until a pod fits nowhere with them.
    #[default]
    Respect,
    /// They are left out.
    Ignore,
}

/// What to do where too few values are left of a label (`MIN_VALUES_POLICY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MinValuesPolicy {
    /// The claim is not made.
    #[default]
    Strict,
    /// The claim is made with what is left.
    BestEffort,
}

/// Settings of a planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Options {
    /// What to do with preferences.
    pub preferences: PreferencePolicy,
    /// What to do where too few values are left of a label.
    pub min_values: MinValuesPolicy,
    /// Breaks ties that Karpenter leaves to chance (which of equal zones); 0 is by name.
    pub seed: u64,
}

/// A question to a planner.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The pods to place. Those that run somewhere are moved: they count nowhere until they are placed again.
    pub pods: &'a [PodId],
    /// Nodes that are not there: candidates of a disruption. Nodes that are being deleted are left out anyway.
    pub without: &'a [NodeId],
    /// Nodes that moved pods may not land on (within their `consolidateAfter`); pending pods and pods of deleting nodes may.
    pub shielded: &'a [NodeId],
}

/// The pods of a provisioning pass: the pending ones, then those that have to leave nodes that are being deleted
/// (`provisioner.go:362` `Schedule`). Those that may not be evicted are for the caller to leave out.
#[must_use]
pub fn pods_to_provision(world: &World) -> Vec<PodId> {
    let pending = world
        .live_pods()
        .filter(|(_, pod)| pod.is_provisionable())
        .map(|(id, _)| id);
    let leaving = world
        .live_nodes()
        .filter(|(_, node)| node.deleting)
        .flat_map(|(_, node)| node.pods.iter().copied())
        .filter(|pod| world.pod(*pod).is_reschedulable());
    pending.chain(leaving).collect()
}
