//! What a user should hear about pools, budgets and pods that keep nodes from ever going.

use std::collections::BTreeMap;

use jiff::Timestamp;
use objects::budget::DisruptionReason;

use super::pdb::{self, Guards, Hindrance};
use super::{budgets, expiration};
use crate::world::{DoNotDisrupt, NodeId, PodId, PoolId, World};

/// Something that keeps nodes from going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// `consolidateAfter: Never`.
    NeverConsolidates {
        /// The pool.
        pool: PoolId,
    },
    /// A budget without a schedule, or with one that never ends, that lets nothing go.
    BudgetZero {
        /// The pool.
        pool: PoolId,
        /// For which reasons; none means all.
        reasons: Vec<DisruptionReason>,
    },
    /// A budget with a duration but no schedule: everything of the pool is stopped.
    BudgetBroken {
        /// The pool.
        pool: PoolId,
    },
    /// A pod disruption budget that allows nothing.
    Pdb {
        /// The budget (a place in [`World::disruption_budgets`]).
        budget: usize,
        /// Whether it never will, however many pods are well.
        always: bool,
        /// The pools whose nodes it keeps, none for nodes of no pool.
        pools: Vec<Option<PoolId>>,
        /// How many nodes.
        nodes: usize,
        /// How many pods.
        pods: usize,
    },
    /// Several budgets select the same pods, so nothing can evict them.
    SeveralPdbs {
        /// The budgets.
        budgets: Vec<usize>,
        /// How many nodes.
        nodes: usize,
        /// How many pods.
        pods: usize,
    },
    /// `karpenter.sh/do-not-disrupt` on pods.
    DoNotDisrupt {
        /// The pool.
        pool: PoolId,
        /// How many nodes.
        nodes: usize,
        /// The pods.
        pods: Vec<PodId>,
        /// Those of them for which it never ends.
        forever: usize,
    },
    /// `karpenter.sh/do-not-disrupt` on nodes.
    NodeDoNotDisrupt {
        /// The pool.
        pool: PoolId,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// Nodes that expire, with pods that can't be evicted and no `terminationGracePeriod`: they will be stuck half gone.
    ExpiresButBlocked {
        /// The pool.
        pool: PoolId,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
}

impl Finding {
    /// A sentence.
    #[must_use]
    pub fn display(&self, world: &World) -> String {
        let name = |pool: PoolId| world.names.value_text(world.pool(pool).name).into_owned();
        let pool_names = |pools: &[Option<PoolId>]| {
            let names: Vec<String> = pools
                .iter()
                .map(|pool| pool.map_or("nodes without a pool".to_owned(), name))
                .collect();
            names.join(", ")
        };
        match self {
            Self::NeverConsolidates { pool } => format!(
                "pool `{}` never consolidates: its consolidateAfter is Never",
                name(*pool)
            ),
            Self::BudgetZero { pool, reasons } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                let of = if reasons.is_empty() {
                    "whatever the reason".to_owned()
                } else {
                    reasons.join(", ")
                };
                format!(
                    "pool `{}` has a budget that lets no node go ({of})",
                    name(*pool)
                )
            }
            Self::BudgetBroken { pool } => format!(
                "pool `{}` has a budget with a duration but no schedule: Karpenter lets none of its nodes go",
                name(*pool)
            ),
            Self::Pdb {
                budget,
                always,
                pools,
                nodes,
                pods,
            } => {
                let what = if *always {
                    "can never be consolidated"
                } else {
                    "can't be consolidated now"
                };
                format!(
                    "{nodes} nodes of {} {what}: PodDisruptionBudget {} of {pods} pods on them allows no disruption",
                    pool_names(pools),
                    pdb::name(world, *budget)
                )
            }
            Self::SeveralPdbs {
                budgets,
                nodes,
                pods,
            } => {
                let names: Vec<String> = budgets
                    .iter()
                    .map(|budget| pdb::name(world, *budget))
                    .collect();
                format!(
                    "{nodes} nodes can never be consolidated: {pods} pods on them have more than one PodDisruptionBudget ({}), which evictions don't support",
                    names.join(", ")
                )
            }
            Self::DoNotDisrupt {
                pool,
                nodes,
                pods,
                forever,
            } => format!(
                "{nodes} nodes of pool `{}` are kept by {} pods with karpenter.sh/do-not-disrupt ({forever} of them for as long as they run), the first is {}",
                name(*pool),
                pods.len(),
                pods.first()
                    .map(|pod| world.pod_name(*pod))
                    .unwrap_or_default()
            ),
            Self::NodeDoNotDisrupt { pool, nodes } => format!(
                "{} nodes of pool `{}` have karpenter.sh/do-not-disrupt",
                nodes.len(),
                name(*pool)
            ),
            Self::ExpiresButBlocked { pool, nodes } => format!(
                "{} nodes of pool `{}` will expire with pods on them that can't be evicted, and have no terminationGracePeriod: they will stay half drained",
                nodes.len(),
                name(*pool)
            ),
        }
    }
}

/// What a user should hear, pools first, each kind in a fixed order.
#[must_use]
pub fn findings(world: &World, now: Timestamp) -> Vec<Finding> {
    let mut all = Vec::new();
    for (index, pool) in (0_u32..).zip(&world.pools) {
        let id = PoolId(index);
        if pool.consolidate_after.duration().is_none() {
            all.push(Finding::NeverConsolidates { pool: id });
        }
        for budget in &pool.budgets {
            if budgets::is_active(budget, now).is_err() {
                all.push(Finding::BudgetBroken { pool: id });
            } else if budget.schedule.is_none() && budgets::scaled(budget.nodes, 100) == 0 {
                all.push(Finding::BudgetZero {
                    pool: id,
                    reasons: budget.reasons.clone(),
                });
            }
        }
    }
    all.extend(of_pods(world, now));
    all
}

#[derive(Default)]
struct Kept {
    pools: Vec<Option<PoolId>>,
    nodes: Vec<NodeId>,
    pods: Vec<PodId>,
}

impl Kept {
    fn add(&mut self, pool: Option<PoolId>, node: NodeId, pod: PodId) {
        if !self.pools.contains(&pool) {
            self.pools.push(pool);
        }
        // Nodes come one after the other.
        if self.nodes.last() != Some(&node) {
            self.nodes.push(node);
        }
        self.pods.push(pod);
    }
}

fn of_pods(world: &World, now: Timestamp) -> Vec<Finding> {
    let guards = Guards::new(world);
    let mut by_budgets: BTreeMap<Vec<usize>, Kept> = BTreeMap::new();
    let mut protected: BTreeMap<PoolId, Kept> = BTreeMap::new();
    let mut nodes: BTreeMap<PoolId, Vec<NodeId>> = BTreeMap::new();
    let mut expiring: BTreeMap<PoolId, Vec<NodeId>> = BTreeMap::new();
    for (id, node) in world.live_nodes() {
        let Some(claim) = &node.claim else {
            continue;
        };
        if let Some(pool) = node.pool.filter(|_| node.do_not_disrupt) {
            nodes.entry(pool).or_default().push(id);
        }
        let mut held = false;
        for pod in &node.pods {
            match guards.hindrance(world, *pod, now) {
                None => continue,
                Some(Hindrance::DoNotDisrupt) => {
                    held |= world.pod(*pod).do_not_disrupt == Some(DoNotDisrupt::Always);
                    if let Some(pool) = node.pool {
                        protected.entry(pool).or_default().add(node.pool, id, *pod);
                    }
                }
                Some(Hindrance::Budget(budget)) => {
                    held |= pdb::never_allows(&world.disruption_budgets[budget]);
                    by_budgets
                        .entry(vec![budget])
                        .or_default()
                        .add(node.pool, id, *pod);
                }
                Some(Hindrance::Budgets(budgets)) => {
                    held = true;
                    by_budgets
                        .entry(budgets)
                        .or_default()
                        .add(node.pool, id, *pod);
                }
            }
        }
        let endless = claim.termination_grace_period.is_none();
        if let Some(pool) = node
            .pool
            .filter(|_| held && endless && expiration::expires_at(node).is_some())
        {
            expiring.entry(pool).or_default().push(id);
        }
    }
    let mut all: Vec<Finding> = by_budgets
        .into_iter()
        .map(|(budgets, kept)| match budgets[..] {
            [budget] => Finding::Pdb {
                budget,
                always: pdb::never_allows(&world.disruption_budgets[budget]),
                pools: kept.pools,
                nodes: kept.nodes.len(),
                pods: kept.pods.len(),
            },
            _ => Finding::SeveralPdbs {
                budgets,
                nodes: kept.nodes.len(),
                pods: kept.pods.len(),
            },
        })
        .collect();
    all.extend(protected.into_iter().map(|(pool, kept)| {
        let forever = kept
            .pods
            .iter()
            .filter(|pod| world.pod(**pod).do_not_disrupt == Some(DoNotDisrupt::Always))
            .count();
        Finding::DoNotDisrupt {
            pool,
            nodes: kept.nodes.len(),
            pods: kept.pods,
            forever,
        }
    }));
    all.extend(
        nodes
            .into_iter()
            .map(|(pool, nodes)| Finding::NodeDoNotDisrupt { pool, nodes }),
    );
    all.extend(
        expiring
            .into_iter()
            .map(|(pool, nodes)| Finding::ExpiresButBlocked { pool, nodes }),
    );
    all
}
