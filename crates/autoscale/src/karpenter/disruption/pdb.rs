//! Whether pods may be evicted: budgets and annotations.

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use crate::names::Value;
use crate::shape::{Effect, ShapeId, Taint};
use crate::world::{DisruptionBudget, DoNotDisrupt, OwnerKind, PodId, World};

/// The taint of nodes that are going (`pkg/apis/v1/taints.go` `DisruptedNoScheduleTaint`).
const DISRUPTED: &str = "karpenter.sh/disrupted";

/// What stands in the way of an eviction. Budgets are places in [`World::disruption_budgets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// `karpenter.sh/do-not-disrupt`.
    DoNotDisrupt,
    /// A budget that allows no disruption.
    Budget(usize),
    /// More than one budget selects the pod, which the eviction API refuses.
    Budgets(Vec<usize>),
}

/// Which budgets select which pods, and who tolerates a node's end.
#[derive(Debug)]
pub struct Guards {
    by_shape: Vec<Vec<usize>>,
    tolerates: Vec<bool>,
}

impl Guards {
    /// Those of a world.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let mut by_namespace: FxHashMap<Value, Vec<usize>> = FxHashMap::default();
        for (index, budget) in world.disruption_budgets.iter().enumerate() {
            by_namespace
                .entry(budget.namespace)
                .or_default()
                .push(index);
        }
        let none = Vec::new();
        let by_shape = world
            .shapes
            .iter()
            .map(|shape| {
                let candidates = by_namespace.get(&shape.namespace).unwrap_or(&none);
                candidates
                    .iter()
                    .copied()
                    .filter(|index| {
                        world.disruption_budgets[*index]
                            .selector
                            .matches(&shape.labels)
                    })
                    .collect()
            })
            .collect();
        let taint = world.names.find_key(DISRUPTED).map(|key| Taint {
            key,
            value: Value::EMPTY,
            effect: Effect::NoSchedule,
        });
        let tolerates = world
            .shapes
            .iter()
            .map(|shape| {
                shape.tolerations.iter().any(|toleration| match &taint {
                    Some(taint) => toleration.tolerates(taint),
                    // Nobody names the key: only those that tolerate every key are left.
                    None => {
                        toleration.key.is_none()
                            && toleration.value.is_none_or(|value| value == Value::EMPTY)
                            && toleration
                                .effect
                                .is_none_or(|effect| effect == Effect::NoSchedule)
                    }
                })
            })
            .collect();
        Self {
            by_shape,
            tolerates,
        }
    }

    /// The budgets that select a shape.
    #[must_use]
    pub fn budgets(&self, shape: ShapeId) -> &[usize] {
        self.by_shape.get(shape.0 as usize).map_or(&[], |all| all)
    }

    /// Whether a pod stays on a node that is going (`scheduling.go:254` `ToleratesDisruptedNoScheduleTaint`).
    #[must_use]
    pub fn tolerates_disruption(&self, shape: ShapeId) -> bool {
        self.tolerates.get(shape.0 as usize).copied() == Some(true)
    }

    /// Whether the annotation protects a pod now (`scheduling.go:211` `IsDoNotDisruptActive`). A duration counts from the pod's
    /// start; without a start it protects.
    #[must_use]
    pub fn is_protected(world: &World, pod: PodId, now: Timestamp) -> bool {
        let pod = world.pod(pod);
        match pod.do_not_disrupt {
            None => false,
            Some(DoNotDisrupt::Always) => true,
            Some(DoNotDisrupt::For(_)) if !world.version.reads_do_not_disrupt_durations() => false,
            Some(DoNotDisrupt::For(span)) => pod.started.is_none_or(|start| {
                let age = now.duration_since(start);
                age.is_negative() || age.unsigned_abs() < span
            }),
        }
    }

    /// Whether Karpenter evicts a pod at all (`scheduling.go:60` `IsEvictable`).
    #[must_use]
    pub fn is_evictable(&self, world: &World, pod: PodId, now: Timestamp) -> bool {
        let entry = world.pod(pod);
        entry.is_active()
            && !self.tolerates_disruption(entry.shape)
            && entry.owner != OwnerKind::Node
            && !Self::is_protected(world, pod, now)
    }

    /// Everything that keeps a node from being a candidate because of one of its pods (`statenode.go:244`
    /// `ValidatePodsDisruptable`, `pkg/utils/pdb/pdb.go:88` `isEvictable`).
    #[must_use]
    pub fn hindrance(&self, world: &World, pod: PodId, now: Timestamp) -> Option<Hindrance> {
        let entry = world.pod(pod);
        if entry.is_active() && Self::is_protected(world, pod, now) {
            return Some(Hindrance::DoNotDisrupt);
        }
        if !self.is_evictable(world, pod, now) {
            return None;
        }
        match self.budgets(entry.shape) {
            [] => None,
            [one] => {
                let budget = &world.disruption_budgets[*one];
                let goes_unready = budget.always_allow_unhealthy && entry.unready;
                (!goes_unready && budget.disruptions_allowed == 0)
                    .then_some(Hindrance::Budget(*one))
            }
            several => Some(Hindrance::Budgets(several.to_vec())),
        }
    }

    /// Whether Karpenter makes room for a pod of a node that goes (`pdb.go:138` `IsCurrentlyReschedulable`): those that will
    /// never be evicted get none.
    #[must_use]
    pub fn is_currently_reschedulable(&self, world: &World, pod: PodId, now: Timestamp) -> bool {
        let entry = world.pod(pod);
        if !entry.is_reschedulable() {
            return false;
        }
        if entry.is_active() && Self::is_protected(world, pod, now) {
            return false;
        }
        if !self.is_evictable(world, pod, now) {
            return true;
        }
        match self.budgets(entry.shape) {
            [] => true,
            [one] => {
                let budget = &world.disruption_budgets[*one];
                (budget.always_allow_unhealthy && entry.unready) || !never_allows(budget)
            }
            _ => false,
        }
    }
}

/// Whether a budget never allows anything, however many pods are well (`pdb.go:171` `isFullyBlocking`).
#[must_use]
pub fn never_allows(budget: &DisruptionBudget) -> bool {
    matches!(budget.max_unavailable.as_deref(), Some("0" | "0%"))
        || budget.min_available.as_deref() == Some("100%")
}

/// `namespace/name` of a budget.
#[must_use]
pub fn name(world: &World, index: usize) -> String {
    let budget = &world.disruption_budgets[index];
    let namespace = world.names.value_text(budget.namespace);
    format!("{namespace}/{}", budget.name)
}
