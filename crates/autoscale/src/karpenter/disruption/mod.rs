//! Which nodes Karpenter takes away, and what it puts in their place.
//!
//! Models `pkg/controllers/disruption` at 2266468. A [`Round`] is one look at a world at one moment; it answers what each
//! [`Method`] would do, and why a node is left alone. Nothing is carried out here: whoever plays time waits for
//! [`Method::validation_delay`], makes a new round of the world as it is by then, asks [`Round::validate`], and executes the
//! command. What a command's pods need is asked of a [`Simulate`], which is a
//! [`Planner`](super::provisioning::Planner) over the same world.
//!
//! Also here: what drift is ([`drift`]), when nodes expire ([`expiration`]), what interruptions do ([`interruption`]), how a node
//! is drained ([`drain`]), and what a user should hear ([`findings`]).
//!
//! Ties that Karpenter leaves to chance (the order of a map, an unstable sort) are broken by name. Its timeouts (a minute for
//! several nodes, three for one) are not modelled: a pass here always looks at everything.

mod balanced;
pub mod budgets;
mod candidate;
mod command;
mod consolidation;
pub mod costs;
pub mod drain;
pub mod drift;
pub mod expiration;
pub mod findings;
pub mod interruption;
mod pdb;
mod refusal;
mod round;
mod validation;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use objects::budget::DisruptionReason;

pub use balanced::{BALANCED_K, PoolTotals, Score};
pub use candidate::Candidate;
pub use command::{Command, Decision};
pub use pdb::{Guards, Hindrance};
pub use refusal::{Refusal, Stuck};
pub use round::{Explanation, Pass, Round};
pub use validation::Abandoned;

use super::provisioning::{self, Outcome, Planner, Request};

/// How many cheaper types a single spot node needs to be replaced by spot (`consolidation.go:47`).
pub const SPOT_TO_SPOT_TYPES: usize = 15;

/// How many nodes one command takes away at most, less one (`multinodeconsolidation.go:84`).
pub const MULTI_NODE_BATCH: usize = 100;

/// How often Karpenter looks for something to disrupt when it found nothing (`controller.go:70`).
pub const POLLING_PERIOD: Duration = Duration::from_secs(10);

/// How long a command of consolidation waits before it is looked at again (`consolidation.go:44`).
pub const VALIDATION_DELAY: Duration = Duration::from_secs(15);

/// The ways in which nodes are disrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Nodes without pods that need room go, all that budgets allow at once.
    Emptiness,
    /// Drifted nodes of pools with a fixed number of nodes are replaced.
    StaticDrift,
    /// A drifted node is replaced by whatever its pods need.
    Drift,
    /// Several nodes go, or become one cheaper node.
    MultiNode,
    /// One node goes, or becomes a cheaper one.
    SingleNode,
}

impl Method {
    /// In the order in which they are tried; the first that acts ends the round (`controller.go:98` `NewMethods`).
    pub const ORDER: [Self; 5] = [
        Self::Emptiness,
        Self::StaticDrift,
        Self::Drift,
        Self::MultiNode,
        Self::SingleNode,
    ];

    /// The reason whose budgets hold for it.
    #[must_use]
    pub const fn reason(self) -> DisruptionReason {
        match self {
            Self::Emptiness => DisruptionReason::Empty,
            Self::StaticDrift | Self::Drift => DisruptionReason::Drifted,
            Self::MultiNode | Self::SingleNode => DisruptionReason::Underutilized,
        }
    }

    /// Whether it goes past pods that may not be evicted on nodes with a `terminationGracePeriod` (`types.go:47`
    /// `EventualDisruptionClass`).
    #[must_use]
    pub const fn is_eventual(self) -> bool {
        matches!(self, Self::StaticDrift | Self::Drift)
    }

    /// How long its commands wait before they are validated; none are not validated at all.
    #[must_use]
    pub const fn validation_delay(self) -> Option<Duration> {
        match self {
            Self::Emptiness | Self::MultiNode | Self::SingleNode => Some(VALIDATION_DELAY),
            Self::StaticDrift | Self::Drift => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emptiness => "emptiness",
            Self::StaticDrift => "static drift",
            Self::Drift => "drift",
            Self::MultiNode => "multi-node consolidation",
            Self::SingleNode => "single-node consolidation",
        })
    }
}

/// Settings of Karpenter that disruption looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The feature gate `SpotToSpotConsolidation`.
    pub spot_to_spot: bool,
    /// `MIN_VALUES_POLICY`, for the cut of long lists of types.
    pub min_values: provisioning::MinValuesPolicy,
}

/// Answers where pods would go.
pub trait Simulate {
    /// Where the pods of a request would go.
    fn simulate(&mut self, request: &Request<'_>) -> Outcome;
}

impl Simulate for Planner<'_> {
    fn simulate(&mut self, request: &Request<'_>) -> Outcome {
        Planner::simulate(self, request)
    }
}
