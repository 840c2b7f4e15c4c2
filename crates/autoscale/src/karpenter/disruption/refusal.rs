//! Why a node is left alone, in Karpenter's own words.

use jiff::Timestamp;
use objects::budget::DisruptionReason;

use super::balanced::Score;
use super::{SPOT_TO_SPOT_TYPES, pdb};
use crate::karpenter::provisioning::{PodError, TemplateError};
use crate::names::{Key, Value};
use crate::world::{NodeId, PodId, PoolId, World};

/// How many pods a message names (`scheduler.go:404`).
const NAMED_PODS: usize = 5;

/// Why a pod of a candidate has nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// It fits nowhere.
    Error(PodError),
    /// It would go to a node that may never come up (`helpers.go:136`).
    Uninitialized(NodeId),
}

/// Why a node is left alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// Karpenter doesn't manage it.
    NotManaged,
    /// Its claim has no node yet.
    NoNode,
    /// It is still starting.
    NotInitialized,
    /// It is going already.
    Deleting,
    /// A pending pod is on its way to it.
    Nominated {
        /// Until when.
        until: Timestamp,
    },
    /// `karpenter.sh/do-not-disrupt` on the node.
    NodeDoNotDisrupt,
    /// It has no label of a pool.
    NoPoolLabel,
    /// Its pool isn't there, or has no instance types.
    PoolNotFound(Value),
    /// `karpenter.sh/do-not-disrupt` on a pod.
    PodDoNotDisrupt(PodId),
    /// A pod's budget (a place in [`World::disruption_budgets`]) allows no disruption.
    Pdb {
        /// The pod.
        pod: PodId,
        /// The budget.
        budget: usize,
    },
    /// Several budgets select one pod.
    Pdbs {
        /// The pod.
        pod: PodId,
        /// The budgets.
        budgets: Vec<usize>,
    },
    /// Its pool has a fixed number of nodes.
    StaticPool(PoolId),
    /// Its pool has none.
    DynamicPool(PoolId),
    /// Its type is none of its pool's.
    TypeNotFound(Option<Value>),
    /// A label is missing without which it has no price.
    NoLabel(Key),
    /// `consolidateAfter: Never`.
    ConsolidationDisabled(PoolId),
    /// It isn't empty, and its pool lets only empty nodes go.
    WhenEmpty(PoolId),
    /// It is empty: that is for emptiness to act on.
    Empty,
    /// It is not empty: nothing for emptiness.
    NotEmpty,
    /// Its pods changed not long enough ago, or it has no `Consolidatable` condition.
    NotConsolidatable {
        /// When it will be, if that is known.
        from: Option<Timestamp>,
    },
    /// It is as its pool wants it.
    NotDrifted,
    /// The budgets of its pool let no more nodes go.
    Budget {
        /// The pool.
        pool: PoolId,
        /// For which reason.
        reason: DisruptionReason,
        /// What they allow in all.
        allowed: u32,
        /// What is going or not ready already.
        disrupting: u32,
    },
    /// A pool with a fixed number of nodes has more than that, or its limit leaves no room.
    StaticLimit(PoolId),
    /// Pods would have nowhere to go.
    Unschedulable(Vec<(PodId, Stuck)>),
    /// More than one new node would be needed.
    ManyClaims(usize),
    /// Nothing that its pods fit on is cheaper.
    NotCheaper,
    /// What is cheaper has too few values of labels that must stay flexible.
    MinValues(Vec<(Key, u32)>),
    /// The feature gate is off.
    SpotToSpotDisabled,
    /// Too few cheaper types, so that nodes would be replaced again and again.
    SpotFlexibility {
        /// How many there are.
        cheaper: usize,
    },
    /// Only a type that is kept anyway would do (`multinodeconsolidation.go:209`).
    SameType,
    /// `Balanced`: the savings aren't worth the disruption.
    NotWorthIt {
        /// The pool.
        pool: PoolId,
        /// By how much.
        score: Score,
    },
}

impl Refusal {
    /// Whether it is a pod that blocks: what drift goes past on nodes with a `terminationGracePeriod` (`types.go:190`).
    #[must_use]
    pub const fn is_pod_block(&self) -> bool {
        matches!(
            self,
            Self::PodDoNotDisrupt(_) | Self::Pdb { .. } | Self::Pdbs { .. }
        )
    }

    /// The reason as Karpenter's events have it; where it is silent, in the same manner.
    #[must_use]
    pub fn display(&self, world: &World) -> String {
        let text = |value: Value| world.names.value_text(value).into_owned();
        let pool = |pool: PoolId| text(world.pool(pool).name);
        match self {
            Self::NotManaged => "Node isn't managed by karpenter".to_owned(),
            Self::NoNode => "Nodeclaim does not have an associated node".to_owned(),
            Self::NotInitialized => "Node isn't initialized".to_owned(),
            Self::Deleting => "Node is deleting or marked for deletion".to_owned(),
            Self::Nominated { until } => {
                format!("Node is nominated for a pending pod (until {until})")
            }
            Self::NodeDoNotDisrupt => {
                "Disruption is blocked through the \"karpenter.sh/do-not-disrupt\" annotation"
                    .to_owned()
            }
            Self::NoPoolLabel => {
                "Node doesn't have required label (label=karpenter.sh/nodepool)".to_owned()
            }
            Self::PoolNotFound(name) => format!("NodePool not found (NodePool={})", text(*name)),
            Self::PodDoNotDisrupt(pod) => format!(
                "Pod has \"karpenter.sh/do-not-disrupt\" annotation (Pod={})",
                world.pod_name(*pod)
            ),
            Self::Pdb { pod, budget } => format!(
                "Pdb prevents pod evictions (PodDisruptionBudget=[{}], Pod={})",
                pdb::name(world, *budget),
                world.pod_name(*pod)
            ),
            Self::Pdbs { pod, budgets } => {
                let names: Vec<String> = budgets
                    .iter()
                    .map(|budget| pdb::name(world, *budget))
                    .collect();
                format!(
                    "Eviction does not support multiple PDBs (PodDisruptionBudget(s)=[{}], Pod={})",
                    names.join(" "),
                    world.pod_name(*pod)
                )
            }
            Self::StaticPool(id) => {
                format!("NodePool {:?} has a fixed number of replicas", pool(*id))
            }
            Self::DynamicPool(id) => {
                format!("NodePool {:?} has no fixed number of replicas", pool(*id))
            }
            Self::TypeNotFound(name) => format!(
                "Instance Type {:?} not found",
                name.map(text).unwrap_or_default()
            ),
            Self::NoLabel(key) => {
                format!("Node does not have label {:?}", world.names.key_text(*key))
            }
            Self::ConsolidationDisabled(id) => {
                format!("NodePool {:?} has consolidation disabled", pool(*id))
            }
            Self::WhenEmpty(id) if world.version.sorts_by_savings() => format!(
                "NodePool {:?} has consolidation policy WhenEmpty, but node is not empty",
                pool(*id)
            ),
            Self::WhenEmpty(id) => format!(
                "NodePool {:?} has non-empty consolidation disabled",
                pool(*id)
            ),
            Self::Empty => "Node is empty".to_owned(),
            Self::NotEmpty => "Node is not empty".to_owned(),
            Self::NotConsolidatable { from: Some(from) } => {
                format!("consolidateAfter window not yet elapsed (until {from})")
            }
            Self::NotConsolidatable { from: None } => {
                "Nodeclaim is not marked consolidatable".to_owned()
            }
            Self::NotDrifted => "Nodeclaim is not drifted".to_owned(),
            Self::Budget {
                pool: id,
                reason,
                allowed,
                disrupting,
            } => format!(
                "No allowed disruptions for disruption reason {reason} due to blocking budget (NodePool={}, allowed {allowed}, disrupting {disrupting})",
                pool(*id)
            ),
            Self::StaticLimit(id) => format!(
                "NodePool {:?} has more nodes than replicas, or its nodes limit is reached",
                pool(*id)
            ),
            Self::Unschedulable(pods) => unschedulable(world, pods),
            Self::ManyClaims(claims) => {
                format!("Can't remove without creating {claims} candidates")
            }
            Self::NotCheaper => "Can't replace with a cheaper node".to_owned(),
            Self::MinValues(lacking) => format!(
                "Filtering by price: {}",
                TemplateError::MinValues(lacking.clone()).display(world)
            ),
            Self::SpotToSpotDisabled => {
                "SpotToSpotConsolidation is disabled, can't replace a spot node with a spot node"
                    .to_owned()
            }
            Self::SpotFlexibility { cheaper } => format!(
                "SpotToSpotConsolidation requires {SPOT_TO_SPOT_TYPES} cheaper instance type options than the current candidate to consolidate, got {cheaper}"
            ),
            Self::SameType => {
                "Can't replace with a cheaper node than one of the same type that is there already"
                    .to_owned()
            }
            Self::NotWorthIt { pool: id, score } => format!(
                "score {:.2} < threshold {:.2} (k: {}, savings {:.1}%, disruption {:.1}%, NodePool={})",
                score.score(),
                Score::threshold(),
                super::BALANCED_K,
                score.savings * 100.0,
                score.disruption * 100.0,
                pool(*id)
            ),
        }
    }
}

/// `scheduler.go:395` `NonPendingPodSchedulingErrors`.
fn unschedulable(world: &World, pods: &[(PodId, Stuck)]) -> String {
    let mut message = "Not all pods would schedule, ".to_owned();
    let named: Vec<String> = pods
        .iter()
        .take(NAMED_PODS)
        .map(|(pod, stuck)| {
            let why = match stuck {
                Stuck::Error(error) => error.display(world),
                Stuck::Uninitialized(node) => {
                    let node = world.node(*node);
                    let mut names = Vec::new();
                    if let Some(claim) = &node.claim {
                        names.push(format!("nodeclaim/{}", claim.name));
                    }
                    if node.stage != crate::world::Stage::Launched {
                        names.push(format!("node/{}", world.names.value_text(node.name)));
                    }
                    format!("would schedule against uninitialized {}", names.join(", "))
                }
            };
            format!("{} => {why}", world.pod_name(*pod))
        })
        .collect();
    message.push_str(&named.join(" "));
    if pods.len() > NAMED_PODS {
        message.push_str(&format!(" and {} other(s)", pods.len() - NAMED_PODS));
    }
    message
}
