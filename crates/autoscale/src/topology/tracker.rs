//! All groups: their counts in the cluster, and the changes of one simulation.

use rustc_hash::FxHashMap;

use super::group::{Definition, Domain, Group, GroupId, GroupKind, Hosts};
use super::universe::Universe;
use crate::names::{Key, Value};
use crate::requirement::Requirements;
use crate::shape::{PodShape, ShapeId, Taint};
use crate::world::{NodeId, World};

/// Where a pod counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spot {
    /// On a node, by its number.
    Node(usize),
    /// On a claim of the simulation.
    Claim(usize),
}

/// The groups that concern a shape.
#[derive(Debug, Clone, Default)]
struct Concerns {
    /// How many groups were looked at.
    checked: usize,
    /// Groups that select it and count it.
    counted: Vec<GroupId>,
    /// Inverse groups that select it and may keep it away, over labels and over hosts.
    kept_away_labels: Vec<GroupId>,
    kept_away_hosts: Vec<GroupId>,
    /// Inverse groups that it owns.
    owned_inverse: Option<Vec<GroupId>>,
}

enum Change {
    Node(GroupId, u32),
    Claim(GroupId, u32),
    /// A domain's count and nodes before.
    Domain(GroupId, u32, u32, u32),
    /// A pod taken out of the counts of a node.
    Excluded(GroupId, u32),
    /// A domain that was added.
    Added(GroupId),
}

pub(crate) struct Tracker {
    groups: Vec<Group>,
    ids: FxHashMap<Definition, GroupId>,
    concerns: Vec<Concerns>,
    /// For each shape, the nodes of its pods that count.
    placed: Vec<Vec<NodeId>>,
    node_requirements: Vec<Requirements>,
    /// What pools may launch, by key, with the taints under which.
    launchable: Universe,
    seed: u64,
    journal: Vec<Change>,
    epoch: u64,
    excluded: Vec<(ShapeId, NodeId)>,
    removed: Vec<NodeId>,
    claims: usize,
}

impl Tracker {
    pub fn new(
        world: &World,
        node_requirements: Vec<Requirements>,
        launchable: Universe,
        seed: u64,
    ) -> Self {
        let mut placed = vec![Vec::new(); world.shapes.len()];
        for (_, pod) in world.live_pods() {
            if let Some(node) = pod.node
                && pod.counts_for_topology()
            {
                placed[pod.shape.0 as usize].push(node);
            }
        }
        let mut tracker = Self {
            groups: Vec::new(),
            ids: FxHashMap::default(),
            concerns: vec![Concerns::default(); world.shapes.len()],
            placed,
            node_requirements,
            launchable,
            seed,
            journal: Vec::new(),
            epoch: 0,
            excluded: Vec::new(),
            removed: Vec::new(),
            claims: 0,
        };
        // Required anti-affinity of the cluster's pods keeps others away (`topology.go:314` `updateInverseAffinities`).
        for index in 0..world.shapes.len() {
            if !tracker.placed[index].is_empty() {
                tracker.owned_inverse(world, ShapeId(u32::try_from(index).unwrap_or(u32::MAX)));
            }
        }
        tracker
    }

    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.0 as usize]
    }

    pub fn selects(&self, world: &World, id: GroupId, shape: &PodShape) -> bool {
        let definition = &self.group(id).definition;
        world.in_namespaces(&definition.namespaces, shape.namespace)
            && definition.selector.matches(&shape.labels)
    }

    /// Begins a simulation: these pods count nowhere, these nodes are not there.
    pub fn begin(&mut self, world: &World, excluded: Vec<(ShapeId, NodeId)>, removed: Vec<NodeId>) {
        self.epoch += 1;
        self.excluded = excluded;
        self.removed = removed;
        self.claims = 0;
        for index in 0..self.groups.len() {
            // Forward groups join when a pod that has them comes; those of the cluster's pods are there from the start.
            if self.groups[index].definition.inverse && self.has_any(index) {
                self.activate(world, GroupId(u32::try_from(index).unwrap_or(u32::MAX)));
            }
        }
    }

    fn has_any(&self, index: usize) -> bool {
        let group = &self.groups[index];
        group.hosts.occupied > 0 || group.domains.iter().any(|domain| domain.count > 0)
    }

    /// Takes all changes of the simulation back.
    pub fn end(&mut self) {
        while let Some(change) = self.journal.pop() {
            match change {
                Change::Node(id, node) => {
                    let hosts = &mut self.groups[id.0 as usize].hosts;
                    hosts.nodes[node as usize] -= 1;
                    hosts.occupied -= u32::from(hosts.nodes[node as usize] == 0);
                }
                Change::Excluded(id, node) => {
                    let hosts = &mut self.groups[id.0 as usize].hosts;
                    hosts.occupied += u32::from(hosts.nodes[node as usize] == 0);
                    hosts.nodes[node as usize] += 1;
                }
                Change::Claim(id, claim) => {
                    let hosts = &mut self.groups[id.0 as usize].hosts;
                    hosts.claims[claim as usize] -= 1;
                    hosts.occupied -= u32::from(hosts.claims[claim as usize] == 0);
                }
                Change::Domain(id, domain, count, nodes) => {
                    let group = &mut self.groups[id.0 as usize];
                    group.domains[domain as usize].count = count;
                    group.domains[domain as usize].nodes = nodes;
                    group.version += 1;
                }
                Change::Added(id) => {
                    let group = &mut self.groups[id.0 as usize];
                    group.domains.pop();
                    group.version += 1;
                }
            }
        }
        for group in &mut self.groups {
            group.hosts.claims.clear();
        }
    }

    /// The number of a group; its counts of the cluster are made when it is new (`topology.go:361` `countDomains`).
    pub fn register(
        &mut self,
        world: &World,
        definition: Definition,
        min_domains: Option<u32>,
    ) -> GroupId {
        if let Some(id) = self.ids.get(&definition) {
            return *id;
        }
        let id = GroupId(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let is_host = definition.key == Key::HOSTNAME;
        let trivial_filter = definition.filter.is_trivial();
        let mut group = Group {
            min_domains,
            is_host,
            trivial_filter,
            hosts: Hosts::default(),
            domains: Vec::new(),
            version: 0,
            active: 0,
            definition,
        };
        if is_host {
            group.hosts.nodes = vec![0; world.nodes.len()];
        } else {
            self.add_domains(world, &mut group);
        }
        for (index, shape) in world.shapes.iter().enumerate() {
            if self.placed[index].is_empty() {
                continue;
            }
            let counts = if group.definition.inverse {
                owns(&group.definition, shape)
            } else {
                world.in_namespaces(&group.definition.namespaces, shape.namespace)
                    && group.definition.selector.matches(&shape.labels)
            };
            if counts {
                for node in &self.placed[index] {
                    if self.node_counts(world, &group, *node) {
                        count(world, &mut group, *node);
                    }
                }
            }
        }
        self.ids.insert(group.definition.clone(), id);
        self.groups.push(group);
        id
    }

    fn node_counts(&self, world: &World, group: &Group, node: NodeId) -> bool {
        group.trivial_filter
            || group.definition.filter.matches(
                &world.node(node).taints,
                &self.node_requirements[node.0 as usize],
                &world.names,
            )
    }

    fn add_domains(&self, world: &World, group: &mut Group) {
        let mut domains: FxHashMap<Value, Domain> = FxHashMap::default();
        let blank = |value| Domain {
            value,
            count: 0,
            nodes: 0,
            launchable: false,
        };
        let honor = group.definition.filter.honor_taints;
        for (value, taints) in self
            .launchable
            .get(&group.definition.key)
            .into_iter()
            .flatten()
        {
            let tolerated = !honor
                || taints.iter().any(|taints| {
                    crate::shape::untolerated(taints, &group.definition.filter.tolerations)
                        .is_none()
                });
            if tolerated {
                domains
                    .entry(*value)
                    .or_insert_with(|| blank(*value))
                    .launchable = true;
            }
        }
        for (id, node) in world.live_nodes() {
            if node.deleting || node.stage == crate::world::Stage::Launched {
                continue;
            }
            if let Some(value) = node.label(group.definition.key)
                && self.node_counts(world, group, id)
            {
                domains.entry(value).or_insert_with(|| blank(value)).nodes += 1;
            }
        }
        // Pods may also count where no live node is.
        for (_, node) in world.live_nodes() {
            if let Some(value) = node.label(group.definition.key) {
                domains.entry(value).or_insert_with(|| blank(value));
            }
        }
        group.domains = domains.into_values().collect();
        let seed = self.seed;
        group.domains.sort_by_cached_key(|domain| {
            let text = world.names.value_text(domain.value).into_owned();
            let mix = if seed == 0 { 0 } else { scramble(seed, &text) };
            (mix, text)
        });
    }

    /// Lets a group take part in the simulation, without the pods and nodes that are left out.
    pub fn activate(&mut self, world: &World, id: GroupId) {
        let index = id.0 as usize;
        if self.groups[index].active == self.epoch {
            return;
        }
        self.groups[index].active = self.epoch;
        if self.groups[index].is_host {
            self.groups[index].hosts.claims.resize(self.claims, 0);
        }
        let excluded = std::mem::take(&mut self.excluded);
        for (shape, node) in &excluded {
            let shape = world.shape(*shape);
            let counts = if self.groups[index].definition.inverse {
                owns(&self.groups[index].definition, shape)
            } else {
                self.selects(world, id, shape)
            };
            if counts && self.node_counts(world, &self.groups[index], *node) {
                self.exclude(world, id, *node);
            }
        }
        self.excluded = excluded;
        if self.groups[index].is_host {
            return;
        }
        let removed = std::mem::take(&mut self.removed);
        for node in &removed {
            let entry = world.node(*node);
            let counted = !entry.deleting && entry.stage != crate::world::Stage::Launched;
            if counted
                && let Some(value) = entry.label(self.groups[index].definition.key)
                && self.node_counts(world, &self.groups[index], *node)
            {
                self.change_domain(id, value, 0, -1);
            }
        }
        self.removed = removed;
    }

    fn exclude(&mut self, world: &World, id: GroupId, node: NodeId) {
        let group = &mut self.groups[id.0 as usize];
        if group.is_host {
            let count = &mut group.hosts.nodes[node.0 as usize];
            if *count > 0 {
                *count -= 1;
                group.hosts.occupied -= u32::from(*count == 0);
                self.journal.push(Change::Excluded(id, node.0));
            }
        } else if let Some(value) = world.node(node).label(group.definition.key) {
            self.change_domain(id, value, -1, 0);
        }
    }

    fn change_domain(&mut self, id: GroupId, value: Value, count: i32, nodes: i32) {
        let group = &mut self.groups[id.0 as usize];
        let index = match group
            .domains
            .iter()
            .position(|domain| domain.value == value)
        {
            Some(index) => index,
            None if count <= 0 => return,
            None => {
                group.domains.push(Domain {
                    value,
                    count: 0,
                    nodes: 0,
                    launchable: false,
                });
                self.journal.push(Change::Added(id));
                group.domains.len() - 1
            }
        };
        let domain = &mut group.domains[index];
        self.journal.push(Change::Domain(
            id,
            u32::try_from(index).unwrap_or(u32::MAX),
            domain.count,
            domain.nodes,
        ));
        domain.count = domain.count.saturating_add_signed(count);
        domain.nodes = domain.nodes.saturating_add_signed(nodes);
        group.version += 1;
    }

    fn record_host(&mut self, id: GroupId, spot: Spot) {
        let hosts = &mut self.groups[id.0 as usize].hosts;
        match spot {
            Spot::Node(node) => {
                hosts.occupied += u32::from(hosts.nodes[node] == 0);
                hosts.nodes[node] += 1;
                self.journal
                    .push(Change::Node(id, u32::try_from(node).unwrap_or(u32::MAX)));
            }
            Spot::Claim(claim) => {
                if hosts.claims.len() <= claim {
                    hosts.claims.resize(claim + 1, 0);
                }
                hosts.occupied += u32::from(hosts.claims[claim] == 0);
                hosts.claims[claim] += 1;
                self.journal
                    .push(Change::Claim(id, u32::try_from(claim).unwrap_or(u32::MAX)));
            }
        }
    }

    /// How many of a group's pods a host has.
    pub fn host_count(&self, id: GroupId, spot: Spot) -> u32 {
        let hosts = &self.group(id).hosts;
        match spot {
            Spot::Node(node) => hosts.nodes.get(node),
            Spot::Claim(claim) => hosts.claims.get(claim),
        }
        .copied()
        .unwrap_or(0)
    }

    /// Tells how many claims there are.
    pub fn set_claims(&mut self, claims: usize) {
        self.claims = claims;
    }

    fn refresh(&mut self, world: &World, shape: ShapeId) {
        let index = shape.0 as usize;
        if self.concerns.len() <= index {
            self.concerns.resize(index + 1, Concerns::default());
        }
        let from = self.concerns[index].checked;
        if from == self.groups.len() {
            return;
        }
        let of = world.shape(shape);
        let mut concerns = std::mem::take(&mut self.concerns[index]);
        for number in from..self.groups.len() {
            let id = GroupId(u32::try_from(number).unwrap_or(u32::MAX));
            if !self.selects(world, id, of) {
                continue;
            }
            let group = self.group(id);
            match (group.definition.inverse, group.is_host) {
                (false, _) => concerns.counted.push(id),
                (true, false) => concerns.kept_away_labels.push(id),
                (true, true) => concerns.kept_away_hosts.push(id),
            }
        }
        concerns.checked = self.groups.len();
        self.concerns[index] = concerns;
    }

    /// Inverse groups that may keep a shape away: over labels, over hosts. Only those that take part matter.
    pub fn kept_away(&mut self, world: &World, shape: ShapeId) -> (&[GroupId], &[GroupId]) {
        self.refresh(world, shape);
        let concerns = &self.concerns[shape.0 as usize];
        (&concerns.kept_away_labels, &concerns.kept_away_hosts)
    }

    /// The same without looking for new groups.
    pub fn kept_away_known(&self, shape: u32) -> (&[GroupId], &[GroupId]) {
        let concerns = &self.concerns[shape as usize];
        (&concerns.kept_away_labels, &concerns.kept_away_hosts)
    }

    pub fn is_active(&self, id: GroupId) -> bool {
        self.group(id).active == self.epoch
    }

    /// The inverse groups of a shape's required anti-affinity (`topology.go:330` `updateInverseAntiAffinity`).
    pub fn owned_inverse(&mut self, world: &World, shape: ShapeId) -> Vec<GroupId> {
        let index = shape.0 as usize;
        if self.concerns.len() <= index {
            self.concerns.resize(index + 1, Concerns::default());
        }
        if let Some(known) = &self.concerns[index].owned_inverse {
            return known.clone();
        }
        let ids: Vec<GroupId> = world
            .shape(shape)
            .anti_affinity
            .required
            .iter()
            .map(|term| self.register(world, inverse(term), None))
            .collect();
        self.concerns[index].owned_inverse = Some(ids.clone());
        ids
    }

    /// Counts a pod where it was placed (`topology.go:183` `Record`). `requirements` are those of the claim or the node after it.
    pub fn record(
        &mut self,
        world: &World,
        shape: ShapeId,
        spot: Spot,
        taints: &[Taint],
        requirements: &Requirements,
    ) {
        self.refresh(world, shape);
        let counted = std::mem::take(&mut self.concerns[shape.0 as usize].counted);
        for id in &counted {
            let group = self.group(*id);
            if group.active != self.epoch {
                continue;
            }
            if !group.trivial_filter
                && !group
                    .definition
                    .filter
                    .matches(taints, requirements, &world.names)
            {
                continue;
            }
            self.record_in(
                *id,
                spot,
                requirements,
                group.definition.kind == GroupKind::AntiAffinity,
            );
        }
        self.concerns[shape.0 as usize].counted = counted;
        let Some(owned) = self.concerns[shape.0 as usize].owned_inverse.take() else {
            return;
        };
        for id in &owned {
            self.record_in(*id, spot, requirements, true);
        }
        self.concerns[shape.0 as usize].owned_inverse = Some(owned);
    }

    /// Anti-affinity blocks every domain that is still possible; the others count only a domain that is settled.
    fn record_in(&mut self, id: GroupId, spot: Spot, requirements: &Requirements, every: bool) {
        let group = self.group(id);
        if group.is_host {
            self.record_host(id, spot);
            return;
        }
        let Some(requirement) = requirements.get(group.definition.key) else {
            return;
        };
        if every {
            for value in &requirement.values {
                self.change_domain(id, *value, 1, 0);
            }
        } else if let Some(value) = requirement.single() {
            self.change_domain(id, value, 1, 0);
        }
    }
}

fn count(world: &World, group: &mut Group, node: NodeId) {
    if group.is_host {
        let count = &mut group.hosts.nodes[node.0 as usize];
        group.hosts.occupied += u32::from(*count == 0);
        *count += 1;
    } else if let Some(value) = world.node(node).label(group.definition.key)
        && let Some(domain) = group
            .domains
            .iter_mut()
            .find(|domain| domain.value == value)
    {
        domain.count += 1;
    }
}

fn inverse(term: &crate::shape::AffinityTerm) -> Definition {
    Definition {
        kind: GroupKind::AntiAffinity,
        key: term.topology_key,
        namespaces: term.namespaces.clone(),
        selector: term.selector.clone(),
        max_skew: u32::MAX,
        filter: super::NodeFilter::default(),
        inverse: true,
    }
}

fn owns(definition: &Definition, shape: &PodShape) -> bool {
    shape.anti_affinity.required.iter().any(|term| {
        term.topology_key == definition.key
            && term.selector == definition.selector
            && term.namespaces == definition.namespaces
    })
}

/// An order of texts by a seed (the finaliser of SplitMix64 over FNV-1a).
fn scramble(seed: u64, text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
