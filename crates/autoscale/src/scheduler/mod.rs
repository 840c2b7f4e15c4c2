//! kube-scheduler's default profile, over a [`World`].
//!
//! A [`Scheduler`] keeps what kube-scheduler's cache keeps, in arrays by node, and follows the world change by change: tell it
//! which pods and nodes changed ([`Scheduler::sync_pod`], [`Scheduler::sync_node`]) or let it look for itself
//! ([`Scheduler::sync`]). Telling it twice does no harm. It only reads the world. Whoever plays time applies its decisions:
//! binds the pods that are [`Outcome::Bound`], deletes the victims of [`Outcome::Nominated`]; until then the scheduler
//! assumes that this happens, as kube-scheduler does. Claims of volumes and disruption budgets are read anew for every pod;
//! the labels of namespaces when pods of a kind are first met, so a scheduler does not outlive a change of those.
//!
//! What is modelled is kube-scheduler 1.34 (`kubernetes/kubernetes`, `pkg/scheduler`; paths in comments are relative to it or
//! to its `framework/plugins`): the plugins of the default profile in their order and with their weights, sampling of nodes,
//! preemption, nominated nodes and the words of its messages. Where kube-scheduler leaves the order to chance (equal scores,
//! where preemption starts to look) the seed and the pod decide. kube-scheduler filters nodes on 16 threads and so may pass
//! over a different handful of nodes each time; here nodes are looked at one after the other, which is one of its outcomes.
//!
//! Messages are worded as 1.34 words them (1.35 no longer names the taint), without what the dynamic resources plugin puts before
//! `preemption:` where it is on.
//!
//! Not modelled, because a [`World`] does not have it: images on nodes, scheduling gates, dynamic resource claims, Services as
//! a source of default spread constraints (the ReplicaSet's or StatefulSet's own selector, which is narrower, is), zone
//! labels of volumes (their node affinity says the same on AWS), sizes of local volumes, other profiles and extenders.
//! `status.nominatedNodeName` of a snapshot is not taken over.

mod class;
mod cluster;
mod counts;
mod domains;
mod filter;
mod fixed;
mod preempt;
mod random;
mod reason;
mod score;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::world::{NodeId, Phase, PodId, World};
use class::{ClassId, Named, Plan};
use cluster::{Cluster, Placed};
use filter::{Rejection, Sieve, up_front};
use preempt::Nominations;
use random::{Choice, pick};
use score::Scratch;

pub use reason::{Failure, Preemption, Reason, Tally};

/// The fewest nodes that are scored if that many pass (`schedule_one.go` `minFeasibleNodesToFind`).
const FEWEST_NODES: usize = 100;

/// How many of the nodes that can take a pod are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sampling {
    /// As kube-scheduler does unless it is told otherwise (`percentageOfNodesToScore: 0`): 50% of 100 nodes down to 5% of
    /// 5,600 and more, never fewer than 100. The search goes on where the last one ended.
    #[default]
    Adaptive,
    /// `percentageOfNodesToScore`: this share, never fewer than 100.
    Percent(u8),
    /// All of them, whatever it takes.
    All,
}

impl Sampling {
    /// How many nodes that pass are enough (`schedule_one.go` `numFeasibleNodesToFind`).
    #[must_use]
    pub fn enough(self, nodes: usize) -> usize {
        let percent = match self {
            Self::All => 100,
            Self::Percent(percent) if percent > 0 => usize::from(percent.min(100)),
            Self::Adaptive | Self::Percent(_) => 50_usize.saturating_sub(nodes / 125).max(5),
        };
        if nodes < FEWEST_NODES {
            nodes
        } else {
            (nodes * percent / 100).max(FEWEST_NODES)
        }
    }
}

/// How to schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// Decides among equals.
    pub seed: u64,
    /// How many nodes are scored.
    pub sampling: Sampling,
    /// Whether pods may take the place of others (`DefaultPreemption`).
    pub preemption: bool,
    /// Whether pods of ReplicaSets and StatefulSets without spread constraints are spread by default
    /// (`PodTopologySpreadArgs` `defaultingType: System`).
    pub default_spread: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            sampling: Sampling::Adaptive,
            preemption: true,
            default_spread: true,
        }
    }
}

/// What became of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to this node.
    Bound(NodeId),
    /// It waits for room on this node; these pods, the more important ones first, are to be deleted for it.
    Nominated {
        /// The node.
        node: NodeId,
        /// The pods.
        victims: Vec<PodId>,
        /// Why there was no room.
        failure: Arc<Failure>,
    },
    /// There is no place for it.
    Unschedulable(Arc<Failure>),
}

/// What became of which pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The pod.
    pub pod: PodId,
    /// What became of it.
    pub outcome: Outcome,
}

/// kube-scheduler, between two changes of the world.
#[derive(Debug)]
pub struct Scheduler {
    options: Options,
    cluster: Cluster,
    nominations: Nominations,
    /// Pods that were taken away for others and may still be there.
    evicted: FxHashSet<PodId>,
    /// Where the next search begins (`schedule_one.go` `nextStartNodeIndex`).
    start: usize,
    scratch: Scratch,
    /// The last failure of a class and the state of the cluster that it holds for.
    failures: FxHashMap<ClassId, (u64, Arc<Failure>)>,
}

impl Scheduler {
    /// A scheduler that knows the world's nodes and running pods.
    #[must_use]
    pub fn new(world: &World, options: Options) -> Self {
        let mut scheduler = Self {
            options,
            cluster: Cluster::new(options.default_spread),
            nominations: Nominations::default(),
            evicted: FxHashSet::default(),
            start: 0,
            scratch: Scratch::default(),
            failures: FxHashMap::default(),
        };
        scheduler.sync(world);
        scheduler
    }

    /// Looks at every node and pod for changes. Decisions that the world has not applied are forgotten.
    pub fn sync(&mut self, world: &World) {
        for index in 0_u32.. {
            if index as usize >= world.nodes.len() {
                break;
            }
            self.sync_node(world, NodeId(index));
        }
        for index in 0_u32.. {
            if index as usize >= world.pods.len() {
                break;
            }
            self.sync_pod(world, PodId(index));
        }
    }

    /// Takes over a node that came, changed or went.
    pub fn sync_node(&mut self, world: &World, node: NodeId) {
        self.cluster.sync_node(world, node);
        if !self.cluster.is_known(node) {
            self.nominations.remove_node(node);
        }
    }

    /// Takes over a pod that came, changed, was bound or went. An assumed binding that the world doesn't have is undone.
    pub fn sync_pod(&mut self, world: &World, pod: PodId) {
        self.cluster.sync_pod(world, pod);
        let there = world.pod(pod);
        if there.removed || there.node.is_some() {
            self.nominate(pod, None);
        }
        if there.removed {
            self.evicted.remove(&pod);
        }
    }

    /// Where a pod waits for others to make room.
    #[must_use]
    pub fn nominated(&self, pod: PodId) -> Option<NodeId> {
        self.nominations.of(pod)
    }

    /// Where a pod is, as far as the scheduler knows or assumes.
    #[must_use]
    pub fn node_of(&self, pod: PodId) -> Option<NodeId> {
        self.cluster.placed_at(pod).map(|placed| placed.node)
    }

    fn nominate(&mut self, pod: PodId, node: Option<NodeId>) {
        if self.nominations.set(pod, node) {
            self.cluster.state += 1;
        }
    }

    /// Schedules pods, one after the other: more important ones first, then older ones, then in the order given
    /// (`queuesort/priority_sort.go`; a pod's age stands for the time at which it was queued). Pods that run, are done or on
    /// their way out are left out.
    pub fn schedule(&mut self, world: &World, pods: &[PodId]) -> Vec<Decision> {
        let mut queue: Vec<PodId> = pods
            .iter()
            .copied()
            .filter(|pod| {
                let pod = world.pod(*pod);
                pod.node.is_none() && pod.is_active() && pod.phase == Phase::Pending
            })
            .collect();
        queue.sort_by_key(|pod| {
            (
                Reverse(world.shape_of(*pod).priority),
                world.pod(*pod).created,
            )
        });
        queue
            .into_iter()
            .map(|pod| Decision {
                pod,
                outcome: self.schedule_one(world, pod),
            })
            .collect()
    }

    /// Schedules one pod.
    pub fn schedule_one(&mut self, world: &World, pod: PodId) -> Outcome {
        if let Some(placed) = self.cluster.placed_at(pod) {
            return Outcome::Bound(placed.node);
        }
        self.cluster.refresh_order();
        let class = self.cluster.class_of(world, pod);
        let nominated = self.nominations.of(pod);
        if nominated.is_none()
            && let Some((state, failure)) = self.failures.get(&class)
            && *state == self.cluster.state
        {
            return Outcome::Unschedulable(Arc::clone(failure));
        }
        let plan = self.cluster.take_plan(world, class);
        let outcome = self.attempt(world, pod, class, &plan);
        self.cluster.put_plan(class, plan);
        match &outcome {
            Outcome::Bound(node) => {
                let placed = Placed {
                    node: *node,
                    class,
                    leaving: false,
                };
                self.cluster.place(world, pod, Some(placed));
                self.nominate(pod, None);
            }
            // What a claim waits for may change without a word.
            Outcome::Unschedulable(failure)
                if nominated.is_none()
                    && self.cluster.classes[class.0 as usize]
                        .shape
                        .claims
                        .is_empty() =>
            {
                let entry = (self.cluster.state, Arc::clone(failure));
                self.failures.insert(class, entry);
            }
            Outcome::Unschedulable(_) | Outcome::Nominated { .. } => {}
        }
        outcome
    }

    fn attempt(&mut self, world: &World, pod: PodId, class: ClassId, plan: &Plan) -> Outcome {
        let total = self.cluster.order.len();
        let named = self.cluster.classes[class.0 as usize].named.clone();
        let up_front = match named {
            Named::Conflict => Some(Reason::Conflict),
            _ => up_front(world, &self.cluster.classes[class.0 as usize]),
        };
        if total == 0 || up_front.is_some() {
            return self.fail(world, pod, class, plan, Vec::new(), up_front);
        }
        let nodes = match &named {
            Named::Only(names) => {
                let all = self.cluster.order.iter().copied();
                all.filter(|node| names.contains(&world.node(*node).name))
                    .collect()
            }
            _ => {
                self.refresh_column(world, class);
                std::mem::take(&mut self.cluster.order)
            }
        };
        let outcome = self.search(world, pod, class, plan, &nodes, total);
        if named == Named::Any {
            self.cluster.order = nodes;
        }
        match outcome {
            Ok(node) => Outcome::Bound(node),
            Err(rejections) => self.fail(world, pod, class, plan, rejections, None),
        }
    }

    fn refresh_column(&mut self, world: &World, class: ClassId) {
        let cluster = &mut self.cluster;
        let fixed = cluster.classes[class.0 as usize].fixed;
        cluster
            .columns
            .refresh(world, fixed, &cluster.gates, &cluster.exists, &cluster.log);
    }

    /// Whether a class's verdicts are kept by node; a pod that names its nodes is looked at node by node.
    fn has_column(&self, class: ClassId) -> bool {
        self.cluster.classes[class.0 as usize].named == Named::Any
    }

    /// The best node for a pod (`schedule_one.go` `schedulePod`), or why each one won't do.
    fn search(
        &mut self,
        world: &World,
        pod: PodId,
        id: ClassId,
        plan: &Plan,
        nodes: &[NodeId],
        total: usize,
    ) -> Result<NodeId, Vec<(NodeId, Rejection)>> {
        let verdicts = self.with_nominated(world, pod, id, plan);
        let column = self.has_column(id);
        let score = self.cluster.classes[id.0 as usize].score;
        let mut scores = self.cluster.scores.take(score);
        let class = &self.cluster.classes[id.0 as usize];
        let sieve = Sieve::new(world, &self.cluster, class, plan, column);
        let passes = |node: NodeId| match verdicts.get(&node) {
            Some(rejection) => rejection.is_none(),
            None => sieve.passes(node),
        };
        // The node that was promised comes first and alone (`evaluateNominatedNode`).
        if let Some(node) = self.nominations.of(pod)
            && nodes.contains(&node)
            && passes(node)
        {
            self.cluster.scores.put(score, scores);
            return Ok(node);
        }
        let enough = self.options.sampling.enough(nodes.len());
        let scratch = &mut self.scratch;
        scratch.feasible.clear();
        let mut looked_at = 0;
        let from = if nodes.is_empty() {
            0
        } else {
            self.start % nodes.len()
        };
        for node in nodes[from..].iter().chain(&nodes[..from]) {
            if passes(*node) {
                if scratch.feasible.len() == enough {
                    break;
                }
                scratch.feasible.push(*node);
            }
            looked_at += 1;
        }
        self.start = (self.start + looked_at) % total;
        let found = match scratch.feasible.as_slice() {
            [] => {
                let why = |node: NodeId| match verdicts.get(&node) {
                    Some(rejection) => rejection.clone(),
                    None => sieve.reject(node),
                };
                let all = nodes.iter();
                let all = all.filter_map(|node| why(*node).map(|why| (*node, why)));
                Err(all.collect())
            }
            [only] => Ok(*only),
            _ => {
                let verdict = |node: NodeId| sieve.verdict(node);
                self.cluster
                    .best(class, plan, &verdict, scores.as_mut(), scratch);
                let choice = pick(self.options.seed, pod, Choice::Node, scratch.best.len());
                Ok(scratch.best[choice])
            }
        };
        self.cluster.scores.put(score, scores);
        found
    }
}
