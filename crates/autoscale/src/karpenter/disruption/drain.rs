//! What becomes of the pods of a node that is going.
//!
//! Models `pkg/controllers/node/termination/terminator` at 2266468. [`step`] is one look at a node: who is evicted, who is deleted,
//! and what the rest wait for. [`plan`] plays the steps of one node alone, with assumptions about how long pods take.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

use super::pdb::Guards;
use crate::world::{NodeId, OwnerKind, Phase, PodId, World};

/// The least time that a drain takes, so that pods that come at the last moment are seen (`node/termination/controller.go:62`).
pub const MIN_DRAIN: Duration = Duration::from_secs(5);

/// How often a drain is looked at (`controller.go:205`), and how long an eviction that was refused waits at most
/// (`eviction.go:58`).
pub const RECHECK: Duration = Duration::from_secs(1);

/// How long after its time a pod that doesn't end is no longer waited for (`scheduling.go:172` `IsStuckTerminating`).
const STUCK_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// From this priority on a pod is critical: that of `system-cluster-critical`.
const CRITICAL: i32 = 2_000_000_000;

/// The order in which pods go; one begins when the one before is through (`terminator.go:138` `groupPodsByPriority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wave {
    /// Not critical, of no daemon set.
    Pods,
    /// Not critical, of a daemon set.
    Daemons,
    /// Critical, of no daemon set.
    CriticalPods,
    /// Critical, of a daemon set.
    CriticalDaemons,
}

/// What a pod waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// It is ending.
    Ending,
    /// The wave before it.
    Wave(Wave),
    /// A budget (a place in [`World::disruption_budgets`]) allows no eviction now.
    Budget(usize),
    /// More than one budget selects it, which the eviction API refuses for good.
    Budgets,
    /// `karpenter.sh/do-not-disrupt`.
    DoNotDisrupt,
}

/// One look at a node that is going.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Pods that are evicted now, each with its own grace period.
    pub evict: Vec<PodId>,
    /// Pods that are deleted now, past budgets and annotations, with the seconds they are left.
    pub delete: Vec<(PodId, u32)>,
    /// The rest, and what they wait for.
    pub waiting: Vec<(PodId, Waiting)>,
}

impl Step {
    /// Whether no pod is waited for any more.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.evict.is_empty() && self.delete.is_empty() && self.waiting.is_empty()
    }
}

/// Which wave a pod is in.
#[must_use]
pub fn wave(world: &World, pod: PodId) -> Wave {
    let daemon = world.pod(pod).owner == OwnerKind::DaemonSet;
    match (world.shape_of(pod).priority >= CRITICAL, daemon) {
        (false, false) => Wave::Pods,
        (false, true) => Wave::Daemons,
        (true, false) => Wave::CriticalPods,
        (true, true) => Wave::CriticalDaemons,
    }
}

/// By when a node has to be gone: its claim's deletion plus its `terminationGracePeriod`.
#[must_use]
pub fn deadline(world: &World, node: NodeId, deleted: Timestamp) -> Option<Timestamp> {
    let claim = world.node(node).claim.as_ref()?;
    let grace = SignedDuration::try_from(claim.termination_grace_period?).ok()?;
    deleted.checked_add(grace).ok()
}

/// When a pod that still runs is deleted by force, so that its own grace period ends with the node's (`eviction.go:226`
/// `needsForceDelete`).
#[must_use]
pub fn forced_at(world: &World, pod: PodId, deadline: Timestamp) -> Timestamp {
    let grace = SignedDuration::from_secs(i64::from(world.pod(pod).grace_seconds));
    deadline.checked_sub(grace).unwrap_or(Timestamp::MIN)
}

/// One look at a node that is going (`terminator.go:94` `Drain`). `allowed` is how many more disruptions each budget allows; it is
/// taken from. `deadline` is by when the node has to be gone, if ever.
pub fn step(
    world: &World,
    guards: &Guards,
    node: NodeId,
    now: Timestamp,
    deadline: Option<Timestamp>,
    allowed: &mut [i32],
) -> Step {
    let mut step = Step::default();
    let mut graceful: Vec<PodId> = Vec::new();
    for pod in &world.node(node).pods {
        let entry = world.pod(*pod);
        let stuck = entry
            .deleting
            .is_some_and(|by| now.duration_since(by) > STUCK_AFTER);
        if entry.removed
            || entry.phase == Phase::Terminal
            || entry.owner == OwnerKind::Node
            || guards.tolerates_disruption(entry.shape)
            || stuck
        {
            continue;
        }
        let forced = deadline.filter(|deadline| match entry.deleting {
            Some(by) => by > *deadline,
            None => now > forced_at(world, *pod, *deadline),
        });
        match forced {
            Some(deadline) => {
                let left = deadline.duration_since(now).as_secs().max(1);
                step.delete
                    .push((*pod, u32::try_from(left).unwrap_or(u32::MAX)));
            }
            None => graceful.push(*pod),
        }
    }
    let Some(first) = graceful.iter().map(|pod| wave(world, *pod)).min() else {
        return step;
    };
    for pod in graceful {
        let entry = world.pod(pod);
        let budgets = guards.budgets(entry.shape);
        let wait = if wave(world, pod) != first {
            Waiting::Wave(first)
        } else if entry.deleting.is_some() {
            Waiting::Ending
        } else if Guards::is_protected(world, pod, now) {
            Waiting::DoNotDisrupt
        } else if budgets.len() > 1 {
            Waiting::Budgets
        } else if let Some(budget) = budgets.first() {
            let unready = world.disruption_budgets[*budget].always_allow_unhealthy && entry.unready;
            if unready {
                step.evict.push(pod);
                continue;
            }
            match allowed.get_mut(*budget) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    step.evict.push(pod);
                    continue;
                }
                _ => Waiting::Budget(*budget),
            }
        } else {
            step.evict.push(pod);
            continue;
        };
        step.waiting.push((pod, wait));
    }
    step
}

/// How long pods take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a pod takes to end, at most its own grace period.
    pub end: Duration,
    /// How long after an eviction its budget allows one more, because another pod is ready; never where there is none.
    pub recovery: Option<Duration>,
}

/// A pod's end in a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// The pod.
    pub pod: PodId,
    /// Its wave.
    pub wave: Wave,
    /// When it is evicted or deleted.
    pub at: Timestamp,
    /// When it is gone.
    pub gone: Timestamp,
    /// Whether it was deleted past budgets and annotations.
    pub forced: bool,
}

/// What becomes of the pods of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Pods in the order in which they go.
    pub departures: Vec<Departure>,
    /// Pods that never go by themselves, and what they wait for.
    pub stuck: Vec<(PodId, Waiting)>,
    /// When the node is drained, if ever.
    pub drained: Option<Timestamp>,
}

/// Plays the drain of one node from its claim's deletion on. Other nodes take nothing from the budgets meanwhile. Refused evictions
/// are tried again each second.
#[must_use]
pub fn plan(
    world: &World,
    node: NodeId,
    deleted: Timestamp,
    deadline: Option<Timestamp>,
    timing: Timing,
) -> Plan {
    let mut scratch = world.clone();
    let guards = Guards::new(world);
    let mut allowed: Vec<i32> = world
        .disruption_budgets
        .iter()
        .map(|budget| budget.disruptions_allowed)
        .collect();
    // When budgets allow one more, and which.
    let mut returns: Vec<(Timestamp, usize)> = Vec::new();
    let mut ends: Vec<(Timestamp, PodId)> = Vec::new();
    let mut plan = Plan::default();
    let mut now = deleted;
    let span =
        |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let later =
        |from: Timestamp, by: SignedDuration| from.checked_add(by).unwrap_or(Timestamp::MAX);
    loop {
        ends.retain(|(at, pod)| {
            if *at <= now {
                scratch.remove_pod(*pod);
            }
            *at > now
        });
        returns.retain(|(at, budget)| {
            if *at <= now {
                allowed[*budget] += 1;
            }
            *at > now
        });
        let step = step(&scratch, &guards, node, now, deadline, &mut allowed);
        if step.is_drained() {
            plan.drained = Some(now.max(later(deleted, span(MIN_DRAIN))));
            return plan;
        }
        let mut depart = |pod: PodId, most: u32, forced: bool| {
            let takes = span(timing.end).min(SignedDuration::from_secs(i64::from(most)));
            let gone = later(now, takes);
            // A pod that ends sooner anyway is left to it.
            if ends.iter().any(|(at, other)| *other == pod && *at <= gone) {
                return;
            }
            scratch.pods[pod.0 as usize].deleting = Some(gone);
            plan.departures.push(Departure {
                pod,
                wave: wave(world, pod),
                at: now,
                gone,
                forced,
            });
            ends.retain(|(_, other)| *other != pod);
            ends.push((gone, pod));
        };
        for pod in &step.evict {
            depart(*pod, world.pod(*pod).grace_seconds, false);
            let budget = guards.budgets(world.pod(*pod).shape).first();
            if let (Some(recovery), Some(budget)) = (timing.recovery, budget) {
                returns.push((later(now, span(recovery)), *budget));
            }
        }
        for (pod, left) in &step.delete {
            depart(*pod, *left, true);
        }
        // What happens next by itself: an end, a budget that allows one more, a protection that ends, the deadline.
        let forced = deadline.into_iter().flat_map(|deadline| {
            let waiting = step.waiting.iter();
            waiting.map(move |(pod, _)| later(forced_at(world, *pod, deadline), span(RECHECK)))
        });
        let protections = step.waiting.iter().filter_map(|(pod, _)| {
            let pod = world.pod(*pod);
            match (pod.do_not_disrupt, pod.started) {
                (Some(crate::world::DoNotDisrupt::For(time)), Some(start)) => {
                    Some(later(start, span(time)))
                }
                _ => None,
            }
        });
        let others = ends
            .iter()
            .map(|(at, _)| *at)
            .chain(returns.iter().map(|(at, _)| *at));
        let next = others
            .chain(forced)
            .chain(protections)
            .filter(|at| *at > now)
            .min();
        match next {
            Some(next) => now = next,
            None => {
                plan.stuck = step.waiting;
                return plan;
            }
        }
    }
}
