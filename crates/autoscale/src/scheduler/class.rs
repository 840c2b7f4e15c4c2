//! Pods that are alike share a class: what they need, what they look at and what they are counted in.

use std::sync::Arc;

use super::cluster::Cluster;
use super::counts::{Controller, Counted, CounterId, Inclusion, Seen, SumId};
use super::domains::TopologyId;
use super::fixed::{Fixed, FixedId};
use super::score::ScoreId;
use crate::names::{Key, Value};
use crate::resources::{Resource, Resources};
use crate::shape::{AffinityTerm, NodeTerm, PodShape, Spread};
use crate::world::{OwnerKind, Pod, PodId, World};

/// The weight of a required affinity term of a pod that is there (`hardPodAffinityWeight`, `apis/config/v1/defaults.go`).
const HARD_AFFINITY_WEIGHT: i32 = 1;

/// The default constraints (`podtopologyspread/plugin.go` `systemDefaultConstraints`).
const DEFAULT_SPREAD: [(Key, u32); 2] = [(Key::HOSTNAME, 3), (Key::ZONE, 5)];

/// The most that counts of any resource: more than any machine has, and little enough that sums and hundredfolds don't overflow.
pub(super) const MOST_AMOUNT: i64 = 1 << 52;

/// The greatest weight of a preference (`pkg/apis/core/validation`): nothing greater is taken from a file.
const MOST_WEIGHT: i32 = 100;

fn weight(of: i32) -> i32 {
    of.clamp(0, MOST_WEIGHT)
}

/// Amounts as they count.
pub(super) fn clamped(amounts: &Resources) -> Resources {
    let mut clamped = *amounts;
    for (resource, amount) in amounts.iter() {
        clamped[resource] = amount.min(MOST_AMOUNT);
    }
    clamped
}

/// Which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClassId(pub u32);

/// Pods of one shape and one controller.
#[derive(Debug)]
pub(super) struct Class {
    pub shape: Arc<PodShape>,
    pub controller: Option<Controller>,
    /// What a pod takes; `pods` is 1.
    pub request: Resources,
    /// What it takes by the scores' count: CPU and memory.
    pub scored: (i64, i64),
    /// The resources that it needs any of.
    pub needs: Vec<(Resource, i64)>,
    pub fixed: FixedId,
    pub named: Named,
    pub score: Option<ScoreId>,
    /// The counters that a pod is counted in.
    pub counted: Vec<(CounterId, i32)>,
    seen: Seen,
    plan: Option<Box<Plan>>,
}

/// Which nodes a pod names (`nodeaffinity/node_affinity.go` `PreFilter`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Any.
    Any,
    /// Only these.
    Only(Vec<Value>),
    /// Names that contradict each other.
    Conflict,
}

/// What a pod to be placed looks at.
#[derive(Debug)]
pub(super) struct Plan {
    pub hard: Vec<HardSpread>,
    pub soft: Vec<SoftSpread>,
    /// Whether nodes that lack a label of a soft constraint are left out of that score.
    pub soft_needs_all: bool,
    pub affinity: Vec<SumId>,
    /// Whether the pod matches its own affinity terms.
    pub matches_itself: bool,
    pub anti_affinity: Vec<SumId>,
    /// Anti-affinity terms of other pods that match this one.
    pub repelled_by: Vec<SumId>,
    repelled_seen: Seen,
    /// What pulls and pushes, by weight.
    pub pulls: Vec<(SumId, i64)>,
    pulled_by: Vec<SumId>,
    pulled_seen: Seen,
}

#[derive(Debug)]
pub(super) struct HardSpread {
    pub sum: SumId,
    pub topology: TopologyId,
    pub max_skew: i64,
    pub min_domains: u32,
    /// 1 if the pod counts itself.
    pub own: i64,
}

#[derive(Debug)]
pub(super) struct SoftSpread {
    pub counter: CounterId,
    pub sum: SumId,
    pub topology: TopologyId,
    /// Counted by node, not by the label's value.
    pub by_host: bool,
    pub max_skew: u32,
}

impl Plan {
    /// Every sum that is looked at.
    pub(super) fn sums(&self) -> Vec<SumId> {
        let hard = self.hard.iter().map(|spread| spread.sum);
        let soft = self.soft.iter().filter(|spread| !spread.by_host);
        hard.chain(soft.map(|spread| spread.sum))
            .chain(self.affinity.iter().copied())
            .chain(self.anti_affinity.iter().copied())
            .chain(self.repelled_by.iter().copied())
            .chain(self.pulls.iter().map(|(sum, _)| *sum))
            .chain(self.pulled_by.iter().copied())
            .collect()
    }

    /// What pulls and pushes, with the terms of pods that are there.
    pub(super) fn all_pulls(&self) -> impl Iterator<Item = (SumId, i64)> + '_ {
        let by_others = self.pulled_by.iter().map(|sum| (*sum, 1));
        self.pulls.iter().copied().chain(by_others)
    }
}

impl Cluster {
    /// A pod's class.
    pub(super) fn class_of(&mut self, world: &World, pod: PodId) -> ClassId {
        let pod = world.pod(pod);
        let shape = world.shape(pod.shape);
        let controller = controller(pod, shape);
        if let Some(id) = self.class_ids.get(&(pod.shape, controller)) {
            return *id;
        }
        let id = ClassId(u32::try_from(self.classes.len()).unwrap_or(u32::MAX));
        let shape = Arc::clone(&world.shapes[pod.shape.0 as usize]);
        let mut request = clamped(&shape.requests);
        request[Resource::PODS] = 1;
        let mut class = Class {
            controller,
            needs: request.iter().filter(|(_, amount)| *amount > 0).collect(),
            request,
            scored: (
                shape.scored.0.min(MOST_AMOUNT),
                shape.scored.1.min(MOST_AMOUNT),
            ),
            fixed: self.columns.intern(Fixed::of(&shape)),
            named: named(&shape),
            score: self.scores.intern(&shape),
            counted: Vec::new(),
            seen: Seen::default(),
            plan: None,
            shape,
        };
        self.carry(world, &mut class);
        self.class_ids.insert((pod.shape, controller), id);
        self.classes.push(class);
        id
    }

    /// Enters the terms that pods of a class carry.
    fn carry(&mut self, world: &World, class: &mut Class) {
        let shape = Arc::clone(&class.shape);
        for term in &shape.anti_affinity.required {
            let counter = self.carried(world, term, Counted::Repelling(term.clone()));
            class.counted.push((counter, 1));
        }
        let required = shape.affinity.required.iter();
        let required = required.map(|term| (HARD_AFFINITY_WEIGHT, term));
        let wanted = shape.affinity.preferred.iter();
        let wanted = wanted.map(|(of, term)| (weight(*of), term));
        let unwanted = shape.anti_affinity.preferred.iter();
        let unwanted = unwanted.map(|(of, term)| (-weight(*of), term));
        for (weight, term) in required.chain(wanted).chain(unwanted) {
            let counter = self.carried(world, term, Counted::Preferring(term.clone()));
            class.counted.push((counter, weight));
        }
    }

    fn carried(&mut self, world: &World, term: &AffinityTerm, counted: Counted) -> CounterId {
        let repels = matches!(counted, Counted::Repelling(_));
        let (counter, new) = self.counts.intern(counted);
        if new {
            let topology = self.domains.intern(world, term.topology_key, &self.exists);
            let sum = self.counts.sum_of(counter, topology, None);
            let list = if repels {
                &mut self.repelling
            } else {
                &mut self.preferring
            };
            list.push(term, sum);
        }
        counter
    }

    /// Brings up to date which counters a class is counted in.
    pub(super) fn refresh_class(&mut self, world: &World, id: ClassId) {
        let class = &mut self.classes[id.0 as usize];
        self.counts.held_against(
            world,
            &class.shape,
            class.controller,
            &mut class.seen,
            &mut class.counted,
        );
    }

    /// Takes a class's plan, up to date with the terms that pods carry by now, and its sums with the nodes.
    pub(super) fn take_plan(&mut self, world: &World, id: ClassId) -> Box<Plan> {
        let mut plan = match self.classes[id.0 as usize].plan.take() {
            Some(plan) => plan,
            None => Box::new(self.plan(world, id)),
        };
        let shape = Arc::clone(&self.classes[id.0 as usize].shape);
        let repelled = &mut plan.repelled_by;
        self.repelling
            .matching(world, &shape, &mut plan.repelled_seen, repelled);
        self.preferring
            .matching(world, &shape, &mut plan.pulled_seen, &mut plan.pulled_by);
        for sum in plan.sums() {
            self.refresh_sum(world, sum);
        }
        plan
    }

    pub(super) fn put_plan(&mut self, id: ClassId, plan: Box<Plan>) {
        self.classes[id.0 as usize].plan = Some(plan);
    }

    fn plan(&mut self, world: &World, id: ClassId) -> Plan {
        let class = &self.classes[id.0 as usize];
        let (shape, controller, fixed) = (Arc::clone(&class.shape), class.controller, class.fixed);
        let topologies = |cluster: &mut Self, required: bool| -> Vec<TopologyId> {
            let keys = shape
                .spread
                .iter()
                .filter(|spread| spread.required == required);
            keys.map(|spread| cluster.topology(world, spread.topology_key))
                .collect()
        };
        let inclusion = |spread: &Spread, topologies: &[TopologyId]| Inclusion {
            fixed,
            honor_affinity: spread.honor_affinity,
            honor_taints: spread.honor_taints,
            topologies: topologies.to_vec(),
        };
        let mut plan = Plan {
            hard: Vec::new(),
            soft: Vec::new(),
            soft_needs_all: true,
            affinity: Vec::new(),
            matches_itself: false,
            anti_affinity: Vec::new(),
            repelled_by: Vec::new(),
            repelled_seen: Seen::default(),
            pulls: Vec::new(),
            pulled_by: Vec::new(),
            pulled_seen: Seen::default(),
        };
        let hard = topologies(self, true);
        let soft = topologies(self, false);
        for spread in &shape.spread {
            let counted = Counted::Selected(shape.namespace, spread.selector.clone());
            let counter = self.counter(world, counted);
            let topology = self.topology(world, spread.topology_key);
            let all = if spread.required { &hard } else { &soft };
            let within = Some(inclusion(spread, all));
            let sum = self.counts.sum_of(counter, topology, within);
            if spread.required {
                plan.hard.push(HardSpread {
                    sum,
                    topology,
                    max_skew: i64::from(spread.max_skew),
                    min_domains: spread.min_domains.unwrap_or(1),
                    own: i64::from(spread.selector.matches(&shape.labels)),
                });
            } else {
                plan.soft.push(SoftSpread {
                    counter,
                    sum,
                    topology,
                    by_host: super::counts::is_host(spread.topology_key),
                    max_skew: spread.max_skew,
                });
            }
        }
        if let Some(controller) = controller
            && shape.spread.is_empty()
            && self.default_spread
        {
            plan.soft_needs_all = false;
            let counter = self.counter(world, Counted::Owned(controller));
            for (key, max_skew) in DEFAULT_SPREAD {
                let topology = self.topology(world, key);
                let within = Inclusion {
                    fixed,
                    honor_affinity: true,
                    honor_taints: false,
                    topologies: Vec::new(),
                };
                plan.soft.push(SoftSpread {
                    counter,
                    sum: self.counts.sum_of(counter, topology, Some(within)),
                    topology,
                    by_host: super::counts::is_host(key),
                    max_skew,
                });
            }
        }
        self.plan_affinity(world, &shape, &mut plan);
        plan
    }

    fn plan_affinity(&mut self, world: &World, shape: &PodShape, plan: &mut Plan) {
        let parts = |term: &AffinityTerm| (term.selector.clone(), term.namespaces.clone());
        let required = &shape.affinity.required;
        if !required.is_empty() {
            let all = Counted::Matching(required.iter().map(parts).collect());
            let counter = self.counter(world, all);
            plan.matches_itself = self.counts.weight(world, counter, shape, None) != 0;
            for term in required {
                let topology = self.topology(world, term.topology_key);
                plan.affinity
                    .push(self.counts.sum_of(counter, topology, None));
            }
        }
        let mut sum_of = |term: &AffinityTerm| {
            let counter = self.counter(world, Counted::Matching(vec![parts(term)]));
            let topology = self.topology(world, term.topology_key);
            self.counts.sum_of(counter, topology, None)
        };
        plan.anti_affinity = shape
            .anti_affinity
            .required
            .iter()
            .map(&mut sum_of)
            .collect();
        for (of, term) in &shape.affinity.preferred {
            plan.pulls.push((sum_of(term), i64::from(weight(*of))));
        }
        for (of, term) in &shape.anti_affinity.preferred {
            plan.pulls.push((sum_of(term), -i64::from(weight(*of))));
        }
    }

    fn topology(&mut self, world: &World, key: Key) -> TopologyId {
        self.domains.intern(world, key, &self.exists)
    }

    /// The counter of these pods, told of those that are there.
    fn counter(&mut self, world: &World, counted: Counted) -> CounterId {
        let (id, new) = self.counts.intern(counted);
        if !new {
            return id;
        }
        let only_staying = self.counts.counted(id).only_staying();
        let mut weights: Vec<Option<i32>> = vec![None; self.classes.len()];
        for index in 0..self.placed.len() {
            let Some(placed) = self.placed[index] else {
                continue;
            };
            if only_staying && placed.leaving {
                continue;
            }
            let slot = &mut weights[placed.class.0 as usize];
            let weight = *slot.get_or_insert_with(|| {
                let class = &self.classes[placed.class.0 as usize];
                self.counts
                    .weight(world, id, &class.shape, class.controller)
            });
            if weight != 0 {
                let node = placed.node.0 as usize;
                self.counts.add(id, node, weight, &self.domains, self.epoch);
            }
        }
        id
    }
}

fn controller(pod: &Pod, shape: &PodShape) -> Option<Controller> {
    let stateful = match pod.owner {
        OwnerKind::ReplicaSet => false,
        OwnerKind::StatefulSet => true,
        _ => return None,
    };
    Some(Controller {
        namespace: shape.namespace,
        name: pod.owner_name,
        stateful,
    })
}

fn named(shape: &PodShape) -> Named {
    if !shape.has_required_affinity || shape.required_terms.is_empty() {
        return Named::Any;
    }
    let mut all: Vec<Value> = Vec::new();
    for term in &shape.required_terms {
        match names_of(term) {
            None => return Named::Any,
            Some(names) => all.extend(names),
        }
    }
    all.sort_unstable();
    all.dedup();
    if all.is_empty() {
        Named::Conflict
    } else {
        Named::Only(all)
    }
}

/// The names that a term allows, if it names any.
fn names_of(term: &NodeTerm) -> Option<Vec<Value>> {
    let mut fields = term.names.iter().filter(|(within, _)| *within);
    let mut names = fields.next()?.1.clone();
    for (_, others) in fields {
        names.retain(|name| others.contains(name));
    }
    Some(names)
}
