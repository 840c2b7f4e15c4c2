//! Making room by taking less important pods away, and the nodes that are promised to pods meanwhile.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use super::class::{ClassId, Plan};
use super::cluster::Placed;
use super::filter::{Rejection, Sieve};
use super::random::{Choice, pick};
use super::reason::{Failure, Preemption, Reason, Tally};
use super::{Outcome, Scheduler};
use crate::shape::{PodShape, Selector};
use crate::world::{NodeId, PodId, World};

/// `DefaultPreemptionArgs` (`apis/config/v1/defaults.go`): how many nodes are tried.
const CANDIDATES_PERCENT: usize = 10;
const FEWEST_CANDIDATES: usize = 100;

/// Which pods wait for room where (`backend/queue/nominator.go`).
#[derive(Debug, Default)]
pub(super) struct Nominations {
    by_pod: FxHashMap<PodId, NodeId>,
    by_node: FxHashMap<NodeId, Vec<PodId>>,
}

impl Nominations {
    pub(super) fn of(&self, pod: PodId) -> Option<NodeId> {
        self.by_pod.get(&pod).copied()
    }

    /// Promises a node to a pod, or none; whether anything changed.
    pub(super) fn set(&mut self, pod: PodId, node: Option<NodeId>) -> bool {
        if self.of(pod) == node {
            return false;
        }
        if let Some(old) = self.by_pod.remove(&pod)
            && let Some(pods) = self.by_node.get_mut(&old)
        {
            pods.retain(|other| *other != pod);
            if pods.is_empty() {
                self.by_node.remove(&old);
            }
        }
        if let Some(node) = node {
            self.by_pod.insert(pod, node);
            self.by_node.entry(node).or_default().push(pod);
        }
        true
    }

    pub(super) fn remove_node(&mut self, node: NodeId) {
        for pod in self.by_node.remove(&node).unwrap_or_default() {
            self.by_pod.remove(&pod);
        }
    }

    fn on(&self, node: NodeId) -> &[PodId] {
        self.by_node.get(&node).map_or(&[], Vec::as_slice)
    }
}

/// Pods whose removal makes room on a node.
struct Candidate {
    node: NodeId,
    /// The more important first.
    victims: Vec<PodId>,
    /// How many of them no disruption budget allows to go.
    violations: usize,
}

/// How a pod compares with others that could be taken away (`util/utils.go` `MoreImportantPod`): less is more important. A pod
/// that hasn't started counts as starting now.
fn importance(world: &World, pod: PodId) -> (Reverse<i32>, Timestamp) {
    let started = world.pod(pod).started.unwrap_or(Timestamp::MAX);
    (Reverse(world.shape_of(pod).priority), started)
}

impl Scheduler {
    /// The verdict on each node that is promised to other pods, which count there if they are as important
    /// (`framework/runtime/framework.go` `RunFilterPluginsWithNominatedPods`).
    pub(super) fn with_nominated(
        &mut self,
        world: &World,
        pod: PodId,
        class: ClassId,
        plan: &Plan,
    ) -> FxHashMap<NodeId, Option<Rejection>> {
        if self.nominations.by_node.is_empty() {
            return FxHashMap::default();
        }
        let nodes: Vec<NodeId> = self.nominations.by_node.keys().copied().collect();
        nodes
            .into_iter()
            .map(|node| (node, self.reject(world, pod, class, plan, node)))
            .collect()
    }

    /// Why a node doesn't pass, with the pods that it is promised to and without.
    fn reject(
        &mut self,
        world: &World,
        pod: PodId,
        class: ClassId,
        plan: &Plan,
        node: NodeId,
    ) -> Option<Rejection> {
        let priority = world.shape_of(pod).priority;
        let promised = self.nominations.on(node).iter().copied();
        let weighty: Vec<PodId> = promised
            .filter(|other| *other != pod && world.shape_of(*other).priority >= priority)
            .collect();
        let guests: Vec<Placed> = weighty
            .into_iter()
            .map(|other| Placed {
                node,
                class: self.cluster.class_of(world, other),
                leaving: false,
            })
            .collect();
        for guest in &guests {
            self.cluster.count_as(world, *guest, true);
        }
        let crowded = self.reject_now(world, class, plan, node);
        for guest in &guests {
            self.cluster.count_as(world, *guest, false);
        }
        if crowded.is_some() || guests.is_empty() {
            return crowded;
        }
        self.reject_now(world, class, plan, node)
    }

    fn reject_now(
        &self,
        world: &World,
        class: ClassId,
        plan: &Plan,
        node: NodeId,
    ) -> Option<Rejection> {
        let column = self.has_column(class);
        let class = &self.cluster.classes[class.0 as usize];
        Sieve::new(world, &self.cluster, class, plan, column).reject(node)
    }

    /// What becomes of a pod that no node can take.
    pub(super) fn fail(
        &mut self,
        world: &World,
        pod: PodId,
        class: ClassId,
        plan: &Plan,
        rejections: Vec<(NodeId, Rejection)>,
        up_front: Option<Reason>,
    ) -> Outcome {
        let total = u32::try_from(self.cluster.order.len()).unwrap_or(u32::MAX);
        let mut reasons = Tally::default();
        for reason in rejections.iter().flat_map(|(_, why)| &why.reasons) {
            reasons.add(*reason, 1);
        }
        let looked_at = u32::try_from(rejections.len()).unwrap_or(u32::MAX);
        if up_front.is_none() && looked_at < total {
            reasons.add(Reason::NamedNodes, total - looked_at);
        }
        let mut failure = Failure {
            nodes: total,
            up_front,
            reasons,
            preemption: Preemption::Off,
        };
        if !self.options.preemption || total == 0 {
            return Outcome::Unschedulable(Arc::new(failure));
        }
        let candidate = match self.eligible(world, pod, &rejections) {
            Ok(()) => self.candidate(world, pod, class, plan, &rejections, total),
            Err(preemption) => {
                failure.preemption = preemption;
                return Outcome::Unschedulable(Arc::new(failure));
            }
        };
        match candidate {
            Ok(candidate) => {
                failure.preemption = Preemption::Found;
                self.evict(world, pod, &candidate);
                Outcome::Nominated {
                    node: candidate.node,
                    victims: candidate.victims,
                    failure: Arc::new(failure),
                }
            }
            Err(tally) => {
                failure.preemption = Preemption::Useless(tally);
                self.nominate(pod, None);
                Outcome::Unschedulable(Arc::new(failure))
            }
        }
    }

    /// `default_preemption.go` `PodEligibleToPreemptOthers`.
    fn eligible(
        &self,
        world: &World,
        pod: PodId,
        rejections: &[(NodeId, Rejection)],
    ) -> Result<(), Preemption> {
        let shape = world.shape_of(pod);
        if !shape.preempts {
            return Err(Preemption::Never);
        }
        let Some(node) = self.nominations.of(pod) else {
            return Ok(());
        };
        let why = rejections.iter().find(|(other, _)| *other == node);
        if why.is_none_or(|(_, why)| !why.resolvable) {
            return Ok(());
        }
        let waits = self.cluster.pods[node.0 as usize].iter().any(|other| {
            self.evicted.contains(other) && world.shape_of(*other).priority < shape.priority
        });
        if waits {
            Err(Preemption::Waiting)
        } else {
            Ok(())
        }
    }

    /// The best node to make room on (`preemption.go` `Preempt`), or why there is none.
    fn candidate(
        &mut self,
        world: &World,
        pod: PodId,
        class: ClassId,
        plan: &Plan,
        rejections: &[(NodeId, Rejection)],
        total: u32,
    ) -> Result<Candidate, Tally> {
        let hopeful: Vec<NodeId> = rejections
            .iter()
            .filter(|(_, why)| why.resolvable)
            .map(|(node, _)| *node)
            .collect();
        let priority = world.shape_of(pod).priority;
        let mut tally = Tally::default();
        let hopeless = total - u32::try_from(hopeful.len()).unwrap_or(total);
        let lowest = self.cluster.all_priorities.keys().next();
        if lowest.is_none_or(|lowest| *lowest >= priority) {
            let hopeful = total - hopeless;
            if hopeful > 0 {
                tally.add(Reason::NoVictims, hopeful);
            }
            if hopeless > 0 {
                tally.add(Reason::NotHelpful, hopeless);
            }
            return Err(tally);
        }
        let enough = (hopeful.len() * CANDIDATES_PERCENT / 100)
            .max(FEWEST_CANDIDATES)
            .min(hopeful.len());
        let offset = pick(self.options.seed, pod, Choice::Offset, hopeful.len());
        let (mut clean, mut violating) = (Vec::new(), Vec::new());
        for node in hopeful[offset..].iter().chain(&hopeful[..offset]) {
            match self.victims(world, pod, class, plan, *node) {
                Ok(candidate) if candidate.violations == 0 => clean.push(candidate),
                Ok(candidate) => violating.push(candidate),
                Err(why) => why.reasons.iter().for_each(|reason| tally.add(*reason, 1)),
            }
            if !clean.is_empty() && clean.len() + violating.len() >= enough {
                break;
            }
        }
        clean.append(&mut violating);
        let best = clean
            .into_iter()
            .enumerate()
            .min_by_key(|(index, candidate)| (cost(world, candidate), *index));
        match best {
            Some((_, candidate)) => Ok(candidate),
            None => {
                if hopeless > 0 {
                    tally.add(Reason::NotHelpful, hopeless);
                }
                Err(tally)
            }
        }
    }

    /// The fewest pods to take from a node so that a pod fits (`default_preemption.go` `SelectVictimsOnNode`).
    fn victims(
        &mut self,
        world: &World,
        pod: PodId,
        class: ClassId,
        plan: &Plan,
        node: NodeId,
    ) -> Result<Candidate, Rejection> {
        let priority = world.shape_of(pod).priority;
        let at = node.0 as usize;
        let lower = |counts: &[(i32, u32)]| counts.iter().any(|(other, _)| *other < priority);
        let no_victims = Rejection {
            reasons: vec![Reason::NoVictims],
            resolvable: false,
        };
        if !lower(&self.cluster.priorities[at]) {
            return Err(no_victims);
        }
        let there = self.cluster.pods[at].iter().copied();
        let mut lesser: Vec<PodId> = there
            .filter(|other| world.shape_of(*other).priority < priority)
            .collect();
        for other in &lesser {
            self.cluster.count(world, *other, false);
        }
        if let Some(why) = self.reject(world, pod, class, plan, node) {
            for other in &lesser {
                self.cluster.count(world, *other, true);
            }
            return Err(why);
        }
        lesser.sort_by_key(|other| importance(world, *other));
        let (violating, others) = by_budgets(world, &lesser);
        let mut victims = Vec::new();
        let mut violations = 0;
        for (index, other) in violating.iter().chain(&others).enumerate() {
            self.cluster.count(world, *other, true);
            if self.reject(world, pod, class, plan, node).is_some() {
                self.cluster.count(world, *other, false);
                victims.push(*other);
                violations += usize::from(index < violating.len());
            }
        }
        for other in &victims {
            self.cluster.count(world, *other, true);
        }
        victims.sort_by_key(|other| importance(world, *other));
        if victims.is_empty() {
            // With everything back the node is as it was when it was rejected, so this does not happen; kube-scheduler calls it
            // an error and goes on with the other nodes, too.
            return Err(no_victims);
        }
        Ok(Candidate {
            node,
            victims,
            violations,
        })
    }

    /// Takes pods away and promises their node (`preemption.go` `prepareCandidate`). Less important pods lose their promise of it.
    fn evict(&mut self, world: &World, pod: PodId, candidate: &Candidate) {
        for victim in &candidate.victims {
            self.evicted.insert(*victim);
            if let Some(placed) = self.cluster.placed_at(*victim)
                && !placed.leaving
            {
                let leaving = Placed {
                    leaving: true,
                    ..placed
                };
                self.cluster.place(world, *victim, Some(leaving));
            }
        }
        let priority = world.shape_of(pod).priority;
        let lesser: Vec<PodId> = self.nominations.on(candidate.node).to_vec();
        for other in lesser {
            if world.shape_of(other).priority < priority {
                self.nominate(other, None);
            }
        }
        self.nominate(pod, Some(candidate.node));
    }
}

/// What is least on the node that is chosen (`preemption.go` `pickOneNodeForPreemption`): budgets violated, the highest
/// priority, the sum of priorities (all made positive), the number of pods, and then the latest start of the highest.
fn cost(world: &World, candidate: &Candidate) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
    let priority = |pod: &PodId| world.shape_of(*pod).priority;
    let victims = &candidate.victims;
    let highest = victims.iter().map(priority).max().unwrap_or(i32::MIN);
    let sum = victims
        .iter()
        .map(|pod| i64::from(priority(pod)) + i64::from(i32::MAX) + 1)
        .sum();
    let started = victims
        .iter()
        .filter(|pod| priority(pod) == highest)
        .map(|pod| importance(world, *pod).1)
        .min();
    let started = Reverse(started.unwrap_or(Timestamp::MAX));
    (candidate.violations, highest, sum, victims.len(), started)
}

/// Parts pods by whether a disruption budget keeps them, in their order (`default_preemption.go`
/// `filterPodsWithPDBViolation`). A pod without labels and a budget without a selector have nothing to do with each other.
fn by_budgets(world: &World, pods: &[PodId]) -> (Vec<PodId>, Vec<PodId>) {
    let budgets = &world.disruption_budgets;
    let mut allowed: Vec<i32> = budgets
        .iter()
        .map(|budget| budget.disruptions_allowed)
        .collect();
    pods.iter().partition(|pod| {
        let shape: &PodShape = world.shape_of(**pod);
        let mut violates = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            let selects = match &budget.selector {
                Selector::All(all) if all.is_empty() => false,
                selector => selector.matches(&shape.labels),
            };
            if budget.namespace == shape.namespace
                && shape.labels.iter().next().is_some()
                && selects
            {
                *allowed = allowed.saturating_sub(1);
                violates |= *allowed < 0;
            }
        }
        violates
    })
}
