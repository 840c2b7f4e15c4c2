//! What is to be done.

use super::{Method, Score};
use crate::instances::MicroUsd;
use crate::karpenter::provisioning::{NewClaim, Placement};
use crate::world::{NodeId, PodId, PoolId};

/// What a command does with its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// They go.
    Delete,
    /// They go once their replacements are up.
    Replace,
}

/// Nodes that go, and what comes first (`types.go:228` `Command`).
///
/// Once a command starts, its nodes are to be marked as [`deleting`](crate::world::Node::deleting): their pods look for room in
/// every simulation from then on, and nothing new lands on them. They are drained once every replacement is initialised
/// (`queue.go`).
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// How it was found.
    pub method: Method,
    /// The nodes that go.
    pub candidates: Vec<NodeId>,
    /// What is launched before they go, with the types that are left to choose from.
    pub replacements: Vec<NewClaim>,
    /// The pods that move.
    pub pods: Vec<PodId>,
    /// Those that fit on nodes that are there, pending ones of the same simulation among them.
    pub placements: Vec<Placement>,
    /// What the nodes cost an hour together.
    pub before: MicroUsd,
    /// What they save an hour: less than nothing where drift makes it dearer. Replacements count by their cheapest offering
    /// (`types.go:364` `EstimatedSavings`).
    pub savings: MicroUsd,
    /// `Balanced` pools: what made it worth it.
    pub scores: Vec<(PoolId, Score)>,
}

impl Command {
    /// What it does.
    #[must_use]
    pub fn decision(&self) -> Decision {
        if self.replacements.is_empty() {
            Decision::Delete
        } else {
            Decision::Replace
        }
    }
}
