//! How many pods of which kind are where, kept up to date pod by pod.
//!
//! A *counter* counts pods that something looks at (a selector, a workload, pods that carry a term), by node. A *sum* adds
//! a counter up over the domains of a topology key, of all nodes or of those that a spread constraint includes. Counters are
//! kept at every change; sums only while nodes stay as they are, and are added up again when they are next looked at.

use rustc_hash::FxHashMap;

use super::domains::{Domains, NOWHERE, TopologyId};
use super::fixed::FixedId;
use crate::names::{Key, Value};
use crate::shape::{AffinityTerm, Namespaces, PodShape, Selector};
use crate::world::World;

/// Which counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CounterId(pub u32);

/// Which sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SumId(pub u32);

/// The pods of one controller: namespace and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Controller {
    pub namespace: Value,
    pub name: Value,
    pub stateful: bool,
}

/// Which pods a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    /// Those of a namespace that a spread constraint selects; not those on their way out (`podtopologyspread/common.go`
    /// `countPodsMatchSelector`).
    Selected(Value, Selector),
    /// Those of a controller, for the default constraints; not those on their way out.
    Owned(Controller),
    /// Those that all of these terms match (`interpodaffinity/filtering.go` `podMatchesAllAffinityTerms`).
    Matching(Vec<(Selector, Namespaces)>),
    /// Those that carry this required anti-affinity term.
    Repelling(AffinityTerm),
    /// Those that prefer or require this term, by weight: positive for affinity, negative for anti-affinity.
    Preferring(AffinityTerm),
}

impl Counted {
    /// Whether pods on their way out are left out.
    pub(super) fn only_staying(&self) -> bool {
        matches!(self, Self::Selected(..) | Self::Owned(_))
    }

    /// The one namespace that it looks at, if it is one.
    fn namespace(&self) -> Option<Value> {
        match self {
            Self::Selected(namespace, _) => Some(*namespace),
            Self::Owned(controller) => Some(controller.namespace),
            Self::Matching(terms) => terms.first().and_then(|(_, of)| only_namespace(of)),
            Self::Repelling(_) | Self::Preferring(_) => None,
        }
    }

    /// How much a pod adds. What a pod carries is known when its class is made, so it isn't asked for here.
    fn weight(&self, world: &World, shape: &PodShape, controller: Option<Controller>) -> i32 {
        let counts = match self {
            Self::Selected(namespace, selector) => {
                *namespace == shape.namespace && selector.matches(&shape.labels)
            }
            Self::Owned(owner) => Some(*owner) == controller,
            Self::Matching(terms) => terms.iter().all(|(selector, namespaces)| {
                selector.matches(&shape.labels) && world.in_namespaces(namespaces, shape.namespace)
            }),
            Self::Repelling(_) | Self::Preferring(_) => false,
        };
        i32::from(counts)
    }
}

/// The only namespace that a term looks at, if it is one by name.
pub(super) fn only_namespace(namespaces: &Namespaces) -> Option<Value> {
    match (namespaces.names.as_slice(), &namespaces.selector) {
        ([one], None) => Some(*one),
        _ => None,
    }
}

#[derive(Debug)]
struct Counter {
    counted: Counted,
    by_node: Vec<i32>,
    sums: Vec<SumId>,
}

/// Which nodes a spread constraint includes (`podtopologyspread/common.go` `matchNodeInclusionPolicies`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Inclusion {
    /// What the pod says of nodes.
    pub fixed: FixedId,
    /// Nodes must match its selector and required affinity.
    pub honor_affinity: bool,
    /// It must tolerate the nodes' taints.
    pub honor_taints: bool,
    /// Labels that nodes must have.
    pub topologies: Vec<TopologyId>,
}

/// A counter added up by domain.
#[derive(Debug)]
pub(super) struct Sum {
    counter: CounterId,
    topology: TopologyId,
    inclusion: Option<Inclusion>,
    /// The pods in each domain.
    pub by_domain: Vec<i64>,
    /// Which nodes are included, where there is an inclusion.
    included: Vec<bool>,
    /// How many included domains there are.
    pub domains: u32,
    /// The pods that were counted in all domains together.
    pub total: i64,
    /// How many included domains have each count.
    histogram: Vec<u32>,
    least: usize,
    /// For which state of the nodes this holds.
    epoch: u64,
}

impl Sum {
    /// The least count of any included domain; 0 without any.
    pub(super) fn least(&self) -> i64 {
        if self.domains == 0 {
            return 0;
        }
        i64::try_from(self.least).unwrap_or(i64::MAX)
    }

    fn shift(&mut self, domain: usize, by: i64) {
        let before = self.by_domain[domain];
        let after = before + by;
        self.by_domain[domain] = after;
        self.total += by;
        if self.inclusion.is_none() {
            return;
        }
        let slot = |count: i64| usize::try_from(count).unwrap_or(0);
        let (before, after) = (slot(before), slot(after));
        if after >= self.histogram.len() {
            self.histogram.resize(after + 1, 0);
        }
        self.histogram[before] -= 1;
        self.histogram[after] += 1;
        if after < self.least {
            self.least = after;
        } else if before == self.least && self.histogram[before] == 0 {
            while self.histogram[self.least] == 0 {
                self.least += 1;
            }
        }
    }
}

/// All counters and sums.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counters: Vec<Counter>,
    ids: FxHashMap<Counted, CounterId>,
    by_namespace: FxHashMap<Value, Vec<CounterId>>,
    wide: Vec<CounterId>,
    sums: Vec<Sum>,
    sum_ids: FxHashMap<(CounterId, TopologyId, Option<Inclusion>), SumId>,
    nodes: usize,
}

/// Which counters a class of pods has been held against.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    own: usize,
    wide: usize,
}

impl Counts {
    /// Makes room for nodes.
    pub(super) fn grow(&mut self, nodes: usize) {
        if nodes > self.nodes {
            self.nodes = nodes;
            for counter in &mut self.counters {
                counter.by_node.resize(nodes, 0);
            }
        }
    }

    /// The counter of these pods; whether it is new, and so has to be told of the pods that are there.
    pub(super) fn intern(&mut self, counted: Counted) -> (CounterId, bool) {
        if let Some(id) = self.ids.get(&counted) {
            return (*id, false);
        }
        let id = CounterId(u32::try_from(self.counters.len()).unwrap_or(u32::MAX));
        match (&counted, counted.namespace()) {
            (Counted::Repelling(_) | Counted::Preferring(_), _) => {}
            (_, Some(namespace)) => self.by_namespace.entry(namespace).or_default().push(id),
            (_, None) => self.wide.push(id),
        }
        self.ids.insert(counted.clone(), id);
        self.counters.push(Counter {
            counted,
            by_node: vec![0; self.nodes],
            sums: Vec::new(),
        });
        (id, true)
    }

    pub(super) fn counted(&self, id: CounterId) -> &Counted {
        &self.counters[id.0 as usize].counted
    }

    /// Adds the counters that are new since `seen` and count pods of a shape.
    pub(super) fn held_against(
        &self,
        world: &World,
        shape: &PodShape,
        controller: Option<Controller>,
        seen: &mut Seen,
        found: &mut Vec<(CounterId, i32)>,
    ) {
        let own = self
            .by_namespace
            .get(&shape.namespace)
            .map_or(&[][..], Vec::as_slice);
        for id in own[seen.own..].iter().chain(&self.wide[seen.wide..]) {
            let weight = self.counted(*id).weight(world, shape, controller);
            if weight != 0 {
                found.push((*id, weight));
            }
        }
        *seen = Seen {
            own: own.len(),
            wide: self.wide.len(),
        };
    }

    /// How much pods of a shape add to a counter.
    pub(super) fn weight(
        &self,
        world: &World,
        id: CounterId,
        shape: &PodShape,
        controller: Option<Controller>,
    ) -> i32 {
        self.counted(id).weight(world, shape, controller)
    }

    /// Counts pods on a node, or no longer.
    pub(super) fn add(
        &mut self,
        id: CounterId,
        node: usize,
        weight: i32,
        domains: &Domains,
        epoch: u64,
    ) {
        let counter = &mut self.counters[id.0 as usize];
        counter.by_node[node] += weight;
        for sum in &counter.sums {
            let sum = &mut self.sums[sum.0 as usize];
            if sum.epoch != epoch || !sum.included.is_empty() && !sum.included[node] {
                continue;
            }
            let domain = domains.get(sum.topology).of_node[node];
            if domain != NOWHERE {
                sum.shift(domain as usize, i64::from(weight));
            }
        }
    }

    /// The pods by node.
    pub(super) fn by_node(&self, id: CounterId) -> &[i32] {
        &self.counters[id.0 as usize].by_node
    }

    /// A counter's sum over the domains of a topology key.
    pub(super) fn sum_of(
        &mut self,
        counter: CounterId,
        topology: TopologyId,
        inclusion: Option<Inclusion>,
    ) -> SumId {
        let next = SumId(u32::try_from(self.sums.len()).unwrap_or(u32::MAX));
        let id = *self
            .sum_ids
            .entry((counter, topology, inclusion.clone()))
            .or_insert(next);
        if id == next {
            self.sums.push(Sum {
                counter,
                topology,
                inclusion,
                by_domain: Vec::new(),
                included: Vec::new(),
                domains: 0,
                total: 0,
                histogram: Vec::new(),
                least: 0,
                epoch: 0,
            });
            self.counters[counter.0 as usize].sums.push(id);
        }
        id
    }

    pub(super) fn sum(&self, id: SumId) -> &Sum {
        &self.sums[id.0 as usize]
    }

    pub(super) fn topology_of(&self, id: SumId) -> TopologyId {
        self.sum(id).topology
    }

    /// What must be known to bring a sum up to date; none where it is.
    pub(super) fn stale(&self, id: SumId, epoch: u64) -> Option<Option<Inclusion>> {
        let sum = self.sum(id);
        (sum.epoch != epoch).then(|| sum.inclusion.clone())
    }

    /// Adds a sum up again. `includes` says of each node whether a spread constraint includes it.
    pub(super) fn rebuild(
        &mut self,
        id: SumId,
        domains: &Domains,
        epoch: u64,
        includes: Option<Vec<bool>>,
    ) {
        let sum = &mut self.sums[id.0 as usize];
        let topology = domains.get(sum.topology);
        let by_node = &self.counters[sum.counter.0 as usize].by_node;
        sum.epoch = epoch;
        sum.by_domain.clear();
        sum.by_domain.resize(topology.len(), 0);
        sum.total = 0;
        sum.included = includes.unwrap_or_default();
        let mut there = vec![false; topology.len()];
        for (node, domain) in topology.of_node.iter().enumerate() {
            if *domain == NOWHERE || !sum.included.is_empty() && !sum.included[node] {
                continue;
            }
            there[*domain as usize] = true;
            let pods = i64::from(by_node.get(node).copied().unwrap_or(0));
            sum.by_domain[*domain as usize] += pods;
            sum.total += pods;
        }
        if sum.inclusion.is_none() {
            return;
        }
        sum.histogram.clear();
        sum.domains = 0;
        sum.least = usize::MAX;
        for (count, _) in sum
            .by_domain
            .iter()
            .zip(&there)
            .filter(|(_, there)| **there)
        {
            let count = usize::try_from(*count).unwrap_or(0);
            if count >= sum.histogram.len() {
                sum.histogram.resize(count + 1, 0);
            }
            sum.histogram[count] += 1;
            sum.domains += 1;
            sum.least = sum.least.min(count);
        }
    }
}

/// Terms that pods carry, found by the pods that they match.
#[derive(Debug, Default)]
pub(super) struct Carried {
    by_namespace: FxHashMap<Value, Vec<(AffinityTerm, SumId)>>,
    wide: Vec<(AffinityTerm, SumId)>,
}

impl Carried {
    pub(super) fn push(&mut self, term: &AffinityTerm, sum: SumId) {
        let entry = (term.clone(), sum);
        match only_namespace(&term.namespaces) {
            Some(namespace) => self.by_namespace.entry(namespace).or_default().push(entry),
            None => self.wide.push(entry),
        }
    }

    /// Adds the terms that are new since `seen` and match pods of a shape.
    pub(super) fn matching(
        &self,
        world: &World,
        shape: &PodShape,
        seen: &mut Seen,
        found: &mut Vec<SumId>,
    ) {
        let own = self
            .by_namespace
            .get(&shape.namespace)
            .map_or(&[][..], Vec::as_slice);
        for (term, sum) in own[seen.own..].iter().chain(&self.wide[seen.wide..]) {
            if term.selector.matches(&shape.labels)
                && world.in_namespaces(&term.namespaces, shape.namespace)
            {
                found.push(*sum);
            }
        }
        *seen = Seen {
            own: own.len(),
            wide: self.wide.len(),
        };
    }
}

/// A topology key that stands for the node itself.
pub(super) fn is_host(key: Key) -> bool {
    key == Key::HOSTNAME
}
