//! Whether a command still holds after the wait.

use super::candidate::Candidate;
use super::consolidation::types_of;
use super::round::Round;
use super::{Command, Method, Refusal, Simulate, budgets};
use crate::karpenter::provisioning::NewClaim;
use crate::world::World;

/// Why a command is abandoned (`validation.go`).
#[derive(Debug, Clone, PartialEq)]
pub enum Abandoned {
    /// Candidates are none any more: their pods changed, something protects them, a pod is on its way to them.
    Churn {
        /// How many.
        candidates: usize,
    },
    /// Budgets don't allow it any more.
    Budget,
    /// Pods would have nowhere to go.
    Scheduling(Refusal),
    /// The simulation comes to something else.
    NewResults,
}

impl Abandoned {
    /// In Karpenter's words.
    #[must_use]
    pub fn display(&self, world: &World) -> String {
        match self {
            Self::Churn { candidates } => format!("{candidates} candidates are no longer valid"),
            Self::Budget => {
                "a candidate can no longer be disrupted without violating budgets".to_owned()
            }
            Self::Scheduling(refusal) => refusal.display(world),
            Self::NewResults => "scheduling simulation produced new results".to_owned(),
        }
    }

    /// The class that Karpenter's `ConsolidationRejected` event names (`validation.go:345`).
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Churn { .. } => "churn",
            Self::Budget => "budget",
            Self::Scheduling(_) | Self::NewResults => "scheduling",
        }
    }
}

impl Round<'_> {
    /// Looks at a command of an earlier round again. Emptiness keeps the nodes that are still valid; consolidation is all or
    /// nothing and its replacement's types must be among what a fresh simulation would launch (`validation.go:134`, `:192`).
    /// Commands of drift hold as they are.
    ///
    /// # Errors
    ///
    /// The command is abandoned.
    pub fn validate(
        &self,
        command: &Command,
        planner: &mut impl Simulate,
    ) -> Result<Command, Abandoned> {
        let method = command.method;
        if method.validation_delay().is_none() {
            return Ok(command.clone());
        }
        let still: Vec<&Candidate> = command
            .candidates
            .iter()
            .filter_map(|node| {
                self.candidates()
                    .iter()
                    .find(|candidate| candidate.node == *node)
            })
            .filter(|candidate| self.objections(method, candidate).is_empty())
            .collect();
        let gone = command.candidates.len() - still.len();
        let whole = method != Method::Emptiness;
        if still.is_empty() || (whole && gone > 0) {
            return Err(Abandoned::Churn { candidates: gone });
        }
        let mut left = budgets::allowances(self.world, self.now, method.reason());
        let mut valid = Vec::with_capacity(still.len());
        for candidate in still {
            let allowance = &mut left[candidate.pool.0 as usize];
            if allowance.left() > 0 {
                allowance.disrupting += 1;
                valid.push(candidate);
            } else if whole {
                return Err(Abandoned::Budget);
            }
        }
        if valid.is_empty() {
            return Err(Abandoned::Budget);
        }
        let mut result = command.clone();
        if !whole {
            result.candidates = valid.iter().map(|candidate| candidate.node).collect();
            result.pods = valid
                .iter()
                .flat_map(|candidate| candidate.pods.iter().copied())
                .collect();
            result.before = super::round::total(&valid);
            result.savings = result.before;
            return Ok(result);
        }
        let outcome = self
            .outcome(planner, &valid, true)
            .map_err(Abandoned::Scheduling)?;
        match (&outcome.claims[..], &command.replacements[..]) {
            ([], []) => {}
            ([fresh], [planned]) if is_subset(self.world, planned, fresh) => {}
            _ => return Err(Abandoned::NewResults),
        }
        result.placements = outcome.placements;
        Ok(result)
    }
}

/// Whether a claim's types are all among another's, by name (`helpers.go:178` `instanceTypesAreSubset`).
fn is_subset(world: &World, planned: &NewClaim, fresh: &NewClaim) -> bool {
    if planned.type_set == fresh.type_set {
        return planned.types.iter().all(|index| fresh.types.has(index));
    }
    let (own, others) = (types_of(world, planned), types_of(world, fresh));
    planned.types.iter().all(|index| {
        others
            .find(own.get(index).name)
            .is_some_and(|index| fresh.types.has(index))
    })
}
