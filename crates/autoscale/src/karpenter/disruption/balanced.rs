//! The `Balanced` policy: whether savings are worth the disruption.

use super::{Candidate, Command};
use crate::instances::MicroUsd;
use crate::world::{PoolId, World};
use objects::karpenter::ConsolidationPolicy;

/// How many times the share of disruption may exceed the share of savings (`pkg/apis/v1/nodepool.go` `BalancedK`).
pub const BALANCED_K: u32 = 2;

/// What a pool costs and what moving all its pods would.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PoolTotals {
    /// Its nodes' prices.
    pub cost: MicroUsd,
    /// Its nodes' rescheduling costs, those of nodes that are no candidates too.
    pub disruption: f64,
}

/// How a move compares to its pool (`types.go:93` `ScoreResult`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// The share of the pool's cost that it saves.
    pub savings: f64,
    /// The share of the pool's disruption cost that it takes.
    pub disruption: f64,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "prices are far below 2^53 micro-dollars"
)]
fn dollars(price: MicroUsd) -> f64 {
    price.0 as f64
}

impl Score {
    /// Of a move (`balanced.go:108` `ScoreMove`).
    #[must_use]
    pub fn of(savings: f64, disruption: f64, totals: PoolTotals) -> Self {
        if totals.cost.0 <= 0 || totals.disruption <= 0.0 {
            return Self::default();
        }
        Self {
            savings: savings / dollars(totals.cost),
            disruption: disruption / totals.disruption,
        }
    }

    /// Savings over disruption; 0 without savings (`types.go:101`).
    #[must_use]
    pub fn score(&self) -> f64 {
        if self.savings <= 0.0 {
            0.0
        } else if self.disruption == 0.0 {
            f64::INFINITY
        } else {
            self.savings / self.disruption
        }
    }

    /// The least score that is worth it: 1/k.
    #[must_use]
    pub fn threshold() -> f64 {
        1.0 / f64::from(BALANCED_K)
    }

    /// Whether it is worth it.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.score() >= Self::threshold()
    }
}

/// Scores a move for each `Balanced` pool that it takes nodes from; savings across pools are shared by what the nodes cost
/// (`balanced.go:130` `EvaluateBalancedMove`).
pub(super) fn scores(
    world: &World,
    totals: &[PoolTotals],
    candidates: &[&Candidate],
    command: &Command,
) -> Vec<(PoolId, Score)> {
    let mut pools: Vec<PoolId> = candidates.iter().map(|candidate| candidate.pool).collect();
    pools.sort_unstable();
    pools.dedup();
    let several = pools.len() > 1;
    pools
        .into_iter()
        .filter(|pool| is_balanced(world, *pool))
        .map(|pool| {
            let own = || candidates.iter().filter(move |other| other.pool == pool);
            let disruption = own().map(|candidate| candidate.rescheduling).sum();
            let cost: i64 = own().map(|candidate| candidate.price.0).sum();
            let mut savings = dollars(command.savings);
            if several && command.before.0 > 0 {
                savings *= dollars(MicroUsd(cost)) / dollars(command.before);
            }
            (
                pool,
                Score::of(savings, disruption, totals[pool.0 as usize]),
            )
        })
        .collect()
}

/// The best that taking a node away can score: that of deleting it (`balanced.go:287` `CanPassThreshold`); none where nothing
/// is asked.
pub(super) fn best(world: &World, totals: &[PoolTotals], candidate: &Candidate) -> Option<Score> {
    let totals = totals[candidate.pool.0 as usize];
    if !is_balanced(world, candidate.pool) || totals.cost.0 <= 0 {
        return None;
    }
    Some(Score::of(
        dollars(candidate.price),
        candidate.rescheduling,
        totals,
    ))
}

fn is_balanced(world: &World, pool: PoolId) -> bool {
    world.pool(pool).consolidation_policy == ConsolidationPolicy::Balanced
}
