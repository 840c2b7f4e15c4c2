//! What a simulation came to.

use super::{PodError, Relaxation};
use crate::bits::Bits;
use crate::instances::TypeSetId;
use crate::requirement::Requirements;
use crate::resources::Resources;
use crate::world::{NodeId, PodId, PoolId};

/// What a simulation came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Pods that fit on nodes that are there, in the order they were placed.
    pub placements: Vec<Placement>,
    /// Nodes that would be launched, in the order they were opened.
    pub claims: Vec<NewClaim>,
    /// Pods that fit nowhere, in the queue's order.
    pub unschedulable: Vec<Unschedulable>,
    /// What pods gave up to be placed; pods that gave up nothing are not in it.
    pub relaxed: Vec<(PodId, Vec<Relaxation>)>,
}

impl Outcome {
    /// Whether every pod that runs somewhere found a place (`scheduler.go:331` `AllNonPendingPodsScheduled`).
    #[must_use]
    pub fn all_placed(&self) -> bool {
        self.unschedulable.is_empty()
    }
}

/// A pod and the node that it fits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The pod.
    pub pod: PodId,
    /// The node.
    pub node: NodeId,
}

/// A node that would be launched: a set of possible types, narrowed by the pods on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClaim {
    /// Its pool.
    pub pool: PoolId,
    /// The pods it is for, in the order they were put there.
    pub pods: Vec<PodId>,
    /// What is required of it, without the host name.
    pub requirements: Requirements,
    /// Which set [`Self::types`] are of.
    pub type_set: TypeSetId,
    /// The types that are still possible, as places in the type set.
    pub types: Bits,
    /// What its pods and the least of its daemons request.
    pub requests: Resources,
    /// Whether `minValues` was given up for it.
    pub min_values_relaxed: bool,
}

/// A pod that fits nowhere, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unschedulable {
    /// The pod.
    pub pod: PodId,
    /// Why.
    pub error: PodError,
}
