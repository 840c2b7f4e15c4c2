//! The cluster as kube-scheduler's cache holds it: what each node has left, and what is counted where.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::class::{Class, ClassId, clamped};
use super::counts::{Carried, Controller, Counts, SumId};
use super::domains::{Domains, NOWHERE};
use super::fixed::{Columns, Gate};
use super::score::Scores;
use crate::names::{Key, Labels, Value};
use crate::resources::Resources;
use crate::shape::{Effect, HostPort, ShapeId, Taint};
use crate::world::{Node, NodeId, PodId, Stage, World};

/// Where a pod is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub node: NodeId,
    pub class: ClassId,
    /// On its way out: it takes room and isn't spread against.
    pub leaving: bool,
}

/// A claim's volume on a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attached {
    pub claim: Value,
    pub driver: Option<Value>,
    uses: u32,
}

#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub exists: Vec<bool>,
    labels: Vec<Labels>,
    pub gates: Vec<Gate>,
    pub allocatable: Vec<Resources>,
    /// What is left of it.
    pub free: Vec<Resources>,
    /// What the pods there take by the scores' count.
    pub scored: Vec<(i64, i64)>,
    /// Changes whenever the two above do.
    pub revision: Vec<u32>,
    /// The pods there, in the order in which they came.
    pub pods: Vec<Vec<PodId>>,
    /// How many pods of each priority are there.
    pub priorities: Vec<Vec<(i32, u32)>>,
    pub ports: Vec<Vec<HostPort>>,
    pub volumes: Vec<Vec<Attached>>,
    /// The nodes in the order in which they are looked at.
    pub order: Vec<NodeId>,
    order_holds: bool,

    pub placed: Vec<Option<Placed>>,
    /// How many pods of each priority there are.
    pub all_priorities: BTreeMap<i32, u32>,
    /// Where each claim is used, once for each pod.
    pub claims: FxHashMap<Value, Vec<NodeId>>,

    pub class_ids: FxHashMap<(ShapeId, Option<Controller>), ClassId>,
    pub classes: Vec<Class>,
    pub domains: Domains,
    pub counts: Counts,
    pub repelling: Carried,
    pub preferring: Carried,
    pub columns: Columns,
    pub scores: Scores,
    pub default_spread: bool,

    /// Which nodes changed, in order.
    pub log: Vec<NodeId>,
    /// Counts changes of nodes.
    pub epoch: u64,
    /// Counts changes of anything.
    pub state: u64,
}

/// Whether kube-scheduler knows a node.
fn is_known(node: &Node) -> bool {
    !node.removed && node.stage != Stage::Launched
}

/// A node's taints as its object has them. Until it is initialised its start-up taints are there, and the node life-cycle
/// controller's while it isn't ready; Karpenter taints the nodes that it takes away.
fn gate(node: &Node) -> Gate {
    let mut taints = node.taints.clone();
    let mut add = |taint: Taint| {
        if !taints
            .iter()
            .any(|other| (other.key, other.effect) == (taint.key, taint.effect))
        {
            taints.push(taint);
        }
    };
    let of_key = |key| Taint {
        key,
        value: Value::EMPTY,
        effect: Effect::NoSchedule,
    };
    if let Some(claim) = &node.claim {
        if node.stage == Stage::Registered {
            claim.startup_taints.iter().copied().for_each(&mut add);
            if !node.ready {
                add(of_key(Key::NOT_READY));
            }
        }
        if node.deleting {
            add(of_key(Key::DISRUPTED));
        }
    }
    Gate {
        cordoned: node.unschedulable,
        taints,
    }
}

impl Cluster {
    pub(super) fn new(default_spread: bool) -> Self {
        Self {
            default_spread,
            epoch: 1,
            ..Self::default()
        }
    }

    fn grow(&mut self, nodes: usize) {
        if nodes <= self.exists.len() {
            return;
        }
        self.exists.resize(nodes, false);
        self.labels.resize(nodes, Labels::default());
        self.gates.resize(nodes, Gate::default());
        self.allocatable.resize(nodes, Resources::ZERO);
        self.free.resize(nodes, Resources::ZERO);
        self.scored.resize(nodes, (0, 0));
        self.revision.resize(nodes, 1);
        self.pods.resize(nodes, Vec::new());
        self.priorities.resize(nodes, Vec::new());
        self.ports.resize(nodes, Vec::new());
        self.volumes.resize(nodes, Vec::new());
        self.counts.grow(nodes);
    }

    /// Takes a node over as the world has it now. Its pods go with it if it is gone.
    pub(super) fn sync_node(&mut self, world: &World, id: NodeId) {
        self.grow(world.nodes.len());
        let at = id.0 as usize;
        let node = world.node(id);
        let known = is_known(node);
        let turned = known != self.exists[at];
        if turned {
            for pod in std::mem::take(&mut self.pods[at]) {
                self.count(world, pod, false);
                self.placed[pod.0 as usize] = None;
            }
            self.exists[at] = known;
            self.order_holds = false;
        } else if !known {
            return;
        }
        let gate = gate(node);
        let allocatable = clamped(&node.allocatable);
        let labels_changed = self.labels[at] != node.labels;
        if !turned
            && !labels_changed
            && self.gates[at] == gate
            && self.allocatable[at] == allocatable
        {
            return;
        }
        self.state += 1;
        self.revision[at] = self.revision[at].wrapping_add(1);
        let used = self.allocatable[at] - self.free[at];
        self.allocatable[at] = allocatable;
        self.free[at] = allocatable - used;
        if labels_changed {
            self.labels[at] = node.labels.clone();
            self.order_holds = false;
        }
        self.gates[at] = gate;
        self.domains.update(world, id, known);
        self.log.push(id);
        self.epoch += 1;
    }

    /// Takes a pod over as the world has it now.
    pub(super) fn sync_pod(&mut self, world: &World, id: PodId) {
        let pod = world.pod(id);
        let wanted = match pod.node {
            Some(node) if pod.takes_room() && self.is_known(node) => Some(Placed {
                node,
                class: self.class_of(world, id),
                leaving: pod.deleting.is_some(),
            }),
            _ => None,
        };
        if self.placed_at(id) != wanted {
            self.place(world, id, wanted);
        }
    }

    pub(super) fn is_known(&self, node: NodeId) -> bool {
        self.exists.get(node.0 as usize).copied().unwrap_or(false)
    }

    pub(super) fn placed_at(&self, pod: PodId) -> Option<Placed> {
        self.placed.get(pod.0 as usize).copied().flatten()
    }

    /// Puts a pod somewhere, or nowhere.
    pub(super) fn place(&mut self, world: &World, id: PodId, wanted: Option<Placed>) {
        self.state += 1;
        let index = id.0 as usize;
        let there = self.placed_at(id);
        if let Some(old) = there {
            self.count(world, id, false);
            let at = old.node.0 as usize;
            self.revision[at] = self.revision[at].wrapping_add(1);
            if wanted.is_none_or(|new| new.node != old.node) {
                self.pods[at].retain(|other| *other != id);
            }
        }
        if index >= self.placed.len() {
            self.placed.resize(index + 1, None);
        }
        self.placed[index] = wanted;
        if let Some(new) = wanted {
            self.count(world, id, true);
            let at = new.node.0 as usize;
            self.revision[at] = self.revision[at].wrapping_add(1);
            if there.is_none_or(|old| old.node != new.node) {
                self.pods[at].push(id);
            }
        }
    }

    /// Counts a pod where it is placed, or no longer. What a trial takes away it puts back, so neither lists nor revisions
    /// change here.
    pub(super) fn count(&mut self, world: &World, id: PodId, come: bool) {
        let Some(placed) = self.placed_at(id) else {
            return;
        };
        self.count_as(world, placed, come);
    }

    /// Counts a pod as if it were placed so.
    pub(super) fn count_as(&mut self, world: &World, placed: Placed, come: bool) {
        self.refresh_class(world, placed.class);
        let at = placed.node.0 as usize;
        let class = &self.classes[placed.class.0 as usize];
        let sign = if come { 1 } else { -1 };
        let (cpu, memory) = class.scored;
        if come {
            self.free[at] -= class.request;
        } else {
            self.free[at] += class.request;
        }
        let scored = &mut self.scored[at];
        *scored = (
            scored.0.saturating_add(sign * cpu),
            scored.1.saturating_add(sign * memory),
        );
        for (counter, weight) in &class.counted {
            if placed.leaving && self.counts.counted(*counter).only_staying() {
                continue;
            }
            let weight = if come { *weight } else { -*weight };
            self.counts
                .add(*counter, at, weight, &self.domains, self.epoch);
        }
        let priority = class.shape.priority;
        shift(&mut self.priorities[at], priority, come);
        let all = self.all_priorities.entry(priority).or_insert(0);
        *all = if come {
            *all + 1
        } else {
            all.saturating_sub(1)
        };
        if *all == 0 {
            self.all_priorities.remove(&priority);
        }
        for port in &class.shape.ports {
            if come {
                self.ports[at].push(*port);
            } else if let Some(index) = self.ports[at].iter().position(|other| other == port) {
                self.ports[at].swap_remove(index);
            }
        }
        for claim in &class.shape.claims {
            let driver = world.volumes.get(claim).and_then(|volume| volume.driver);
            let attached = &mut self.volumes[at];
            let users = self.claims.entry(*claim).or_default();
            let found = attached.iter().position(|other| other.claim == *claim);
            match (come, found) {
                (true, Some(index)) => attached[index].uses += 1,
                (true, None) => attached.push(Attached {
                    claim: *claim,
                    driver,
                    uses: 1,
                }),
                (false, Some(index)) if attached[index].uses > 1 => attached[index].uses -= 1,
                (false, Some(index)) => {
                    attached.swap_remove(index);
                }
                (false, None) => {}
            }
            if come {
                users.push(placed.node);
            } else if let Some(index) = users.iter().position(|other| *other == placed.node) {
                users.swap_remove(index);
            }
        }
    }

    /// Brings a sum up to date with the nodes.
    pub(super) fn refresh_sum(&mut self, world: &World, sum: SumId) {
        let Some(inclusion) = self.counts.stale(sum, self.epoch) else {
            return;
        };
        let includes = inclusion.map(|inclusion| {
            let fixed = inclusion.fixed;
            self.columns
                .refresh(world, fixed, &self.gates, &self.exists, &self.log);
            let verdicts = self.columns.verdicts(fixed);
            let known = self.exists.iter().enumerate();
            known
                .map(|(node, exists)| {
                    *exists
                        && inclusion
                            .topologies
                            .iter()
                            .all(|key| self.domains.get(*key).of_node[node] != NOWHERE)
                        && !(inclusion.honor_affinity && verdicts[node].mismatched)
                        && !(inclusion.honor_taints && verdicts[node].tainted)
                })
                .collect()
        });
        self.counts
            .rebuild(sum, &self.domains, self.epoch, includes);
    }

    /// The order in which nodes are looked at (`backend/cache/node_tree.go`): zone by zone in turn, zones and the nodes of a
    /// zone in the order in which they came.
    pub(super) fn refresh_order(&mut self) {
        if self.order_holds {
            return;
        }
        self.order_holds = true;
        let mut zones: Vec<Vec<NodeId>> = Vec::new();
        let mut by_zone: FxHashMap<(Option<Value>, Option<Value>), usize> = FxHashMap::default();
        for (id, labels) in (0_u32..).map(NodeId).zip(&self.labels) {
            if !self.is_known(id) {
                continue;
            }
            let zone = (labels.get(Key::REGION), labels.get(Key::ZONE));
            let index = *by_zone.entry(zone).or_insert_with(|| {
                zones.push(Vec::new());
                zones.len() - 1
            });
            zones[index].push(id);
        }
        self.order.clear();
        let longest = zones.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            let in_turn = zones.iter().filter_map(|zone| zone.get(turn));
            self.order.extend(in_turn.copied());
        }
    }
}

fn shift(counts: &mut Vec<(i32, u32)>, priority: i32, come: bool) {
    let found = counts.iter().position(|(other, _)| *other == priority);
    match (come, found) {
        (true, Some(index)) => counts[index].1 += 1,
        (true, None) => counts.push((priority, 1)),
        (false, Some(index)) if counts[index].1 > 1 => counts[index].1 -= 1,
        (false, Some(index)) => {
            counts.swap_remove(index);
        }
        (false, None) => {}
    }
}
