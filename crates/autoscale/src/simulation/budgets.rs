//! What pod disruption budgets allow as pods come and go (`pkg/controller/disruption/disruption.go` of Kubernetes).

use rustc_hash::FxHashSet;

use crate::world::{Phase, PodId, World};

/// Fills in what budgets allow that have no status yet: those from a file that no cluster has seen. `budgets` are
/// `namespace/name`.
pub fn unreported(world: &mut World, budgets: &FxHashSet<String>) {
    if budgets.is_empty() {
        return;
    }
    let allowed: Vec<Option<i32>> = (0..world.disruption_budgets.len())
        .map(|index| {
            let budget = &world.disruption_budgets[index];
            let namespace = world.names.value_text(budget.namespace);
            budgets
                .contains(&format!("{namespace}/{}", budget.name))
                .then(|| allowed(world, index))
        })
        .collect();
    for (budget, allowed) in world.disruption_budgets.iter_mut().zip(allowed) {
        if let Some(allowed) = allowed {
            budget.disruptions_allowed = allowed;
        }
    }
}

fn selected(world: &World, index: usize) -> impl Iterator<Item = PodId> + '_ {
    let budget = &world.disruption_budgets[index];
    world
        .live_pods()
        .filter(|(_, pod)| pod.phase != Phase::Terminal)
        .map(|(id, _)| id)
        .filter(|id| {
            let shape = world.shape_of(*id);
            shape.namespace == budget.namespace && budget.selector.matches(&shape.labels)
        })
}

/// How many pods are well that a budget selects.
fn healthy(world: &World, index: usize) -> i32 {
    let count = selected(world, index)
        .filter(|id| is_healthy(world, *id))
        .count();
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn is_healthy(world: &World, id: PodId) -> bool {
    let pod = world.pod(id);
    pod.node.is_some() && pod.phase == Phase::Running && pod.deleting.is_none() && !pod.unready
}

/// What a budget allows by its own words: the pods that are well above those that have to be.
fn allowed(world: &World, index: usize) -> i32 {
    let budget = &world.disruption_budgets[index];
    let expected = selected(world, index)
        .filter(|id| world.pod(*id).deleting.is_none())
        .count();
    let expected = i64::try_from(expected).unwrap_or(i64::MAX);
    let wanted = match (&budget.min_available, &budget.max_unavailable) {
        (Some(least), _) => amount(least, expected),
        (None, Some(most)) => (expected - amount(most, expected)).max(0),
        (None, None) => 0,
    };
    let left = i64::from(healthy(world, index)) - wanted;
    i32::try_from(left.max(0)).unwrap_or(i32::MAX)
}

/// A number, or a percentage of pods, rounded up (`intstr.GetScaledValueFromIntOrPercent(…, true)`).
fn amount(text: &str, of: i64) -> i64 {
    match text.strip_suffix('%') {
        Some(percent) => percent
            .parse::<i64>()
            .map_or(of, |percent| (of * percent + 99) / 100),
        None => text.parse().unwrap_or(of),
    }
}

/// What budgets allowed, and how many pods were well, at the beginning.
#[derive(Debug, Default)]
pub(super) struct Baseline(Vec<(i32, i32)>);

impl Baseline {
    pub fn of(world: &World) -> Self {
        Self(
            world
                .disruption_budgets
                .iter()
                .enumerate()
                .map(|(index, budget)| (budget.disruptions_allowed, healthy(world, index)))
                .collect(),
        )
    }

    /// Sets what the budgets of a pod allow now: as many more or less as pods are well. How many have to be stays as it was.
    pub fn refresh(&self, world: &mut World, pod: PodId) {
        for (index, (allowed, before)) in self.0.iter().enumerate() {
            let shape = world.shape_of(pod);
            let budget = &world.disruption_budgets[index];
            if shape.namespace != budget.namespace || !budget.selector.matches(&shape.labels) {
                continue;
            }
            // A budget that allowed nothing may have lacked more than one pod; its status does not say how many.
            let now = allowed.saturating_add(healthy(world, index).saturating_sub(*before));
            world.disruption_budgets[index].disruptions_allowed = now.max(0);
        }
    }
}
