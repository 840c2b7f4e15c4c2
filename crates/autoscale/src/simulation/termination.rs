//! Nodes that go: they are tainted, their pods are evicted as budgets allow, then the instance ends
//! (`pkg/controllers/node/termination`, `pkg/controllers/node/termination/terminator`).

use std::time::Duration;

use super::clock::later;
use super::picture;
use super::pods;
use super::run::{Event, Run};
use crate::answer::{Decision, Kind, Method};
use crate::karpenter::disruption::{Guards, drain};
use crate::names::{Key, Value};
use crate::shape::{Effect, Taint};
use crate::world::{NodeId, OwnerKind, PodId};

/// How long an eviction that was refused waits at most (`eviction.go` `evictionQueueMaxDelay`).
const RETRY: Duration = Duration::from_secs(10);
/// The taint of nodes that go.
const DISRUPTED: &str = "karpenter.sh/disrupted";

impl Run<'_> {
    /// Deletes a node's claim, with a decision of its own.
    pub(super) fn delete_node(&mut self, node: NodeId, method: Method, reason: String) {
        if self.world.node(node).deleting || self.world.node(node).removed {
            return;
        }
        let decision = self.deletion(node, method, reason);
        self.decisions.push(decision);
        self.mark(node);
        self.terminate(node);
    }

    fn deletion(&self, node: NodeId, method: Method, reason: String) -> Decision {
        let entry = self.world.node(node);
        let text = |key| entry.label(key).map(|value: Value| self.text(value));
        Decision {
            at: self.now().to_string(),
            kind: Kind::Delete,
            method,
            reason,
            nodepool: text(Key::NODE_POOL),
            nodes: vec![self.node_name(node)],
            instance_types: Vec::new(),
            chosen: None,
            zone: text(Key::ZONE),
            capacity_type: text(Key::CAPACITY_TYPE),
            usd_per_hour: self.world.price(node).map(picture::usd),
            pods: self.movers(&[node]),
        }
    }

    /// The pods of nodes that need room elsewhere, by name.
    pub(super) fn movers(&self, nodes: &[NodeId]) -> Vec<String> {
        let mut all: Vec<String> = nodes
            .iter()
            .flat_map(|node| &self.world.node(*node).pods)
            .filter(|pod| self.world.pod(**pod).is_reschedulable())
            .map(|pod| self.world.pod_name(*pod))
            .collect();
        all.sort_unstable();
        all
    }

    /// Taints a node and marks it for deletion.
    pub(super) fn mark(&mut self, node: NodeId) {
        let taint = self.disrupted();
        let entry = &mut self.world.nodes[node.0 as usize];
        entry.deleting = true;
        if !entry.taints.contains(&taint) {
            entry.taints.push(taint);
        }
        self.refused.remove(&node);
        self.changes += 1;
    }

    /// Takes a mark back: what was to come in the node's place did not.
    pub(super) fn unmark(&mut self, node: NodeId) {
        let taint = self.disrupted();
        let entry = &mut self.world.nodes[node.0 as usize];
        entry.deleting = false;
        entry.taints.retain(|other| *other != taint);
        self.changes += 1;
    }

    fn disrupted(&mut self) -> Taint {
        Taint {
            key: self.world.names.exact_key(DISRUPTED),
            value: Value::EMPTY,
            effect: Effect::NoSchedule,
        }
    }

    /// Begins to drain a node that is marked.
    pub(super) fn terminate(&mut self, node: NodeId) {
        let now = self.now();
        let entry = &mut self.world.nodes[node.0 as usize];
        let pool = entry.label(Key::NODE_POOL);
        let mut grace = None;
        if let Some(claim) = &mut entry.claim {
            claim.deleted = Some(now);
            grace = claim.termination_grace_period;
        }
        if self.made.contains(&node)
            && let Some(pool) = pool
        {
            *self.churn.entry(pool).or_default() += 1;
        }
        if let Some(grace) = grace {
            self.clock.after(grace, Event::Force(node));
        }
        self.clock.after(Duration::ZERO, Event::Drain(node));
        // The pods that leave need room: a node with a disrupted taint opens a batch.
        let moves = self
            .world
            .node(node)
            .pods
            .iter()
            .any(|pod| self.world.pod(*pod).is_reschedulable());
        if moves {
            self.trigger();
        }
    }

    /// A node that was going when the snapshot was taken.
    pub(super) fn resume_termination(&mut self, node: NodeId) {
        self.mark(node);
        let entry = self.world.node(node);
        if let Some(claim) = &entry.claim
            && let (Some(deleted), Some(grace)) = (claim.deleted, claim.termination_grace_period)
        {
            self.clock.at(later(deleted, grace), Event::Force(node));
        }
        self.clock.after(Duration::ZERO, Event::Drain(node));
    }

    /// Evicts what may be evicted now; the instance ends once nothing is left that has to be waited for.
    pub(super) fn drain(&mut self, node: NodeId) {
        let entry = self.world.node(node);
        if entry.removed || self.ending.contains(&node) {
            return;
        }
        let now = self.now();
        let deleted = entry.claim.as_ref().and_then(|claim| claim.deleted);
        let deadline = deleted.and_then(|deleted| drain::deadline(&self.world, node, deleted));
        let mut allowed: Vec<i32> = self
            .world
            .disruption_budgets
            .iter()
            .map(|budget| budget.disruptions_allowed)
            .collect();
        let guards = Guards::new(&self.world);
        let step = drain::step(&self.world, &guards, node, now, deadline, &mut allowed);
        if step.is_drained() {
            self.ending.insert(node);
            self.stuck.remove(&node);
            let since = deleted.unwrap_or(now);
            let least = later(since, drain::MIN_DRAIN).max(now);
            self.clock.at(
                later(least, self.question.delays.terminate),
                Event::NodeGone(node),
            );
            return;
        }
        let moving = !step.evict.is_empty()
            || !step.delete.is_empty()
            || (step.waiting.iter()).any(|(_, waiting)| *waiting == drain::Waiting::Ending);
        for pod in step.evict {
            self.evict(pod, true);
        }
        for (pod, seconds) in step.delete {
            let entry = &mut self.world.pods[pod.0 as usize];
            entry.grace_seconds = entry.grace_seconds.min(seconds);
            self.evict(pod, true);
        }
        if moving {
            self.stuck.remove(&node);
        } else {
            self.stuck.insert(node);
        }
        self.clock.after(RETRY, Event::Drain(node));
    }

    /// Drains that wait try again: something has changed.
    pub(super) fn drain_on(&mut self) {
        let mut nodes: Vec<NodeId> = self.stuck.iter().copied().collect();
        nodes.sort_unstable();
        for node in nodes {
            self.clock.after(Duration::ZERO, Event::Drain(node));
        }
    }

    /// Ends a pod within its grace period. `again` is whether its owner makes it again; a pod without an owner is lost.
    pub(super) fn evict(&mut self, pod: PodId, again: bool) {
        let now = self.now();
        let entry = self.world.pod(pod);
        if entry.removed || entry.deleting.is_some() {
            return;
        }
        let owner = entry.owner;
        let node = entry.node;
        let grace = Duration::from_secs(u64::from(entry.grace_seconds));
        let stop = self.question.delays.pod_stop.min(grace);
        self.world.pods[pod.0 as usize].deleting = Some(later(now, grace));
        if let Some(node) = node {
            self.pod_event(pod, node);
        }
        self.waiting.remove(&pod);
        self.baseline.refresh(&mut self.world, pod);
        self.changes += 1;
        if node.is_none() {
            self.world.remove_pod(pod);
        } else {
            self.clock.after(stop, Event::PodGone(pod));
        }
        if !again {
            self.world.pods[pod.0 as usize].owner_name = Value::EMPTY;
            self.world.pods[pod.0 as usize].owner = OwnerKind::Node;
            return;
        }
        match owner {
            OwnerKind::None => {
                let name = self.world.pod_name(pod);
                self.warn(
                    format!("Pod/{name}"),
                    "it has no owner: once it is evicted nothing makes it again".to_owned(),
                );
            }
            // Their pods are bound to the node; a StatefulSet waits until the old one is gone.
            OwnerKind::DaemonSet | OwnerKind::Node | OwnerKind::StatefulSet => {}
            _ => self.make_again(pod),
        }
    }

    fn make_again(&mut self, pod: PodId) {
        let now = self.now();
        let name = if self.world.pod(pod).owner == OwnerKind::StatefulSet {
            self.world.pod(pod).name.to_string()
        } else {
            let owner = self.text(self.world.pod(pod).owner_name);
            format!("{owner}-{}", self.suffix())
        };
        let next = pods::successor(&self.world, pod, name, now);
        self.world.add_pod(next);
        self.changes += 1;
        self.schedule_soon();
    }

    pub(super) fn pod_gone(&mut self, pod: PodId) {
        if self.world.pod(pod).removed {
            return;
        }
        let node = self.world.pod(pod).node;
        let owner = self.world.pod(pod).owner;
        self.world.remove_pod(pod);
        if owner == OwnerKind::StatefulSet {
            self.make_again(pod);
        }
        if let Some(node) = node {
            let claim_too = self.world.pod(pod).owner != OwnerKind::DaemonSet;
            if claim_too {
                self.pod_event(pod, node);
            }
            if self.world.node(node).deleting && !self.ending.contains(&node) {
                self.clock.after(Duration::ZERO, Event::Drain(node));
            }
        }
        self.baseline.refresh(&mut self.world, pod);
        self.changes += 1;
        self.schedule_soon();
    }

    /// A node's time is up: whatever is left on it ends, whatever budgets say.
    pub(super) fn force(&mut self, node: NodeId) {
        let entry = self.world.node(node);
        if entry.removed || !entry.deleting || self.ending.contains(&node) {
            return;
        }
        let left: Vec<PodId> = entry
            .pods
            .iter()
            .copied()
            .filter(|id| {
                let pod = self.world.pod(*id);
                pod.is_active() && !matches!(pod.owner, OwnerKind::Node | OwnerKind::DaemonSet)
            })
            .collect();
        if !left.is_empty() {
            let name = self.node_name(node);
            let pods: Vec<String> = left.iter().map(|pod| self.world.pod_name(*pod)).collect();
            let now = self.now();
            self.warn(
                format!("Node/{name}"),
                format!(
                    "at {now} its time is up and {} end with it without an eviction: {}",
                    count(pods.len(), "pod"),
                    named(&pods)
                ),
            );
        }
        for pod in left {
            self.evict(pod, true);
        }
        self.ending.insert(node);
        self.stuck.remove(&node);
        self.clock
            .after(self.question.delays.terminate, Event::NodeGone(node));
    }

    pub(super) fn node_gone(&mut self, node: NodeId) {
        if self.world.node(node).removed {
            return;
        }
        for pod in self.world.node(node).pods.clone() {
            if self.world.pod(pod).owner == OwnerKind::StatefulSet {
                self.make_again(pod);
            }
            self.world.remove_pod(pod);
            self.baseline.refresh(&mut self.world, pod);
        }
        self.world.remove_node(node);
        self.stuck.remove(&node);
        self.starting.remove(&node);
        for waiting in self.waiting.values_mut() {
            if waiting.planned == Some(node) {
                waiting.planned = None;
            }
        }
        self.changes += 1;
        self.schedule_soon();
    }
}

/// `1 pod`, `2 pods`.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}

/// The first few of a list.
pub(super) fn named(all: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = all
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if all.len() > SHOWN {
        text.push_str(&format!(" and {} more", all.len() - SHOWN));
    }
    text
}
