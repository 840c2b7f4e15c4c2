//! A slow, plain scheduler of the same rules: everything is looked up in the world, pod by pod and node by node, nothing is
//! kept. The fast one has to decide exactly as this one does.

use std::collections::{BTreeMap, BTreeSet};

use super::lab::text;
use crate::names::{Key, Value};
use crate::resources::Resource;
use crate::scheduler::random::{Choice, pick};
use crate::scheduler::{Options, Outcome};
use crate::shape::{AffinityTerm, Effect, PodShape, Selector, Spread};
use crate::world::{Node, NodeId, OwnerKind, PodId, VolumeFault, World};

/// Words, and whether taking pods away may help.
type Why = (Vec<String>, bool);

pub(super) struct Reference {
    options: Options,
    start: usize,
    nominated: BTreeMap<PodId, NodeId>,
    evicted: BTreeSet<PodId>,
}

fn hopeless(text: impl Into<String>) -> Option<Why> {
    Some((vec![text.into()], false))
}

fn helpable(text: impl Into<String>) -> Option<Why> {
    Some((vec![text.into()], true))
}

fn pods_on(world: &World, node: NodeId) -> Vec<PodId> {
    let there = world.node(node).pods.iter().copied();
    there.filter(|pod| world.pod(*pod).takes_room()).collect()
}

fn nodes(world: &World) -> Vec<NodeId> {
    let mut zones: Vec<(Option<Value>, Vec<NodeId>)> = Vec::new();
    for (id, node) in world.live_nodes() {
        let zone = node.label(Key::ZONE);
        match zones.iter_mut().find(|(other, _)| *other == zone) {
            Some((_, nodes)) => nodes.push(id),
            None => zones.push((zone, vec![id])),
        }
    }
    let mut order = Vec::new();
    for turn in 0.. {
        let before = order.len();
        order.extend(zones.iter().filter_map(|(_, nodes)| nodes.get(turn)));
        if order.len() == before {
            return order;
        }
    }
    order
}

fn tolerates(shape: &PodShape, taint: &crate::shape::Taint) -> bool {
    shape
        .tolerations
        .iter()
        .any(|toleration| toleration.tolerates(taint))
}

fn node_matches(world: &World, shape: &PodShape, node: &Node) -> bool {
    let selector = &shape.node_selector;
    selector
        .iter()
        .all(|(key, value)| node.label(*key) == Some(*value))
        && (!shape.has_required_affinity
            || shape
                .required_terms
                .iter()
                .any(|term| term.matches(&node.labels, node.name, &world.names)))
}

fn hard_taint<'a>(shape: &PodShape, node: &'a Node) -> Option<&'a crate::shape::Taint> {
    let taints = node.taints.iter();
    taints
        .filter(|taint| taint.effect != Effect::PreferNoSchedule)
        .find(|taint| !tolerates(shape, taint))
}

fn matches_term(world: &World, term: &AffinityTerm, shape: &PodShape) -> bool {
    term.selector.matches(&shape.labels) && world.in_namespaces(&term.namespaces, shape.namespace)
}

/// Pods in the same domain as a node by a key.
fn neighbours(world: &World, node: NodeId, key: Key) -> Option<Vec<PodId>> {
    let domain = world.node(node).label(key)?;
    let same = world
        .live_nodes()
        .filter(|(_, other)| other.label(key) == Some(domain));
    Some(same.flat_map(|(id, _)| pods_on(world, id)).collect())
}

fn everyone(world: &World) -> Vec<PodId> {
    world
        .live_nodes()
        .flat_map(|(id, _)| pods_on(world, id))
        .collect()
}

/// How many pods a constraint counts in each domain, by the domain's value.
fn domains(
    world: &World,
    shape: &PodShape,
    all: &[&Spread],
    spread: &Spread,
    counts: &dyn Fn(PodId) -> bool,
    needs_all: bool,
) -> BTreeMap<Option<Value>, i64> {
    let mut domains = BTreeMap::new();
    for (id, node) in world.live_nodes() {
        if needs_all
            && all
                .iter()
                .any(|other| node.label(other.topology_key).is_none())
        {
            continue;
        }
        if spread.honor_affinity && !node_matches(world, shape, node)
            || spread.honor_taints && hard_taint(shape, node).is_some()
        {
            continue;
        }
        let pods = pods_on(world, id);
        let count = pods.iter().filter(|pod| counts(**pod)).count();
        *domains.entry(node.label(spread.topology_key)).or_insert(0) +=
            i64::try_from(count).unwrap();
    }
    domains
}

fn selected(world: &World, shape: &PodShape, selector: &Selector, pod: PodId) -> bool {
    let other = world.shape_of(pod);
    world.pod(pod).deleting.is_none()
        && other.namespace == shape.namespace
        && selector.matches(&other.labels)
}

/// The filters, in order.
fn filter(world: &World, pod: PodId, id: NodeId) -> Option<Why> {
    let shape = world.shape_of(pod);
    let node = world.node(id);
    let there = pods_on(world, id);
    let cordon = crate::shape::Taint {
        key: Key::UNSCHEDULABLE,
        value: Value::EMPTY,
        effect: Effect::NoSchedule,
    };
    if node.unschedulable && !tolerates(shape, &cordon) {
        return hopeless("node(s) were unschedulable");
    }
    if let Some(taint) = hard_taint(shape, node) {
        let (key, value) = (
            world.names.key_text(taint.key),
            world.names.value_text(taint.value),
        );
        return hopeless(format!("node(s) had untolerated taint {{{key}: {value}}}"));
    }
    if !node_matches(world, shape, node) {
        return hopeless("node(s) didn't match Pod's node affinity/selector");
    }
    let taken = there.iter().flat_map(|other| &world.shape_of(*other).ports);
    if taken
        .clone()
        .any(|port| shape.ports.iter().any(|own| own.conflicts(port)))
    {
        return helpable("node(s) didn't have free ports for the requested pod ports");
    }
    let used = world.used(id);
    let mut short = Vec::new();
    let mut resolvable = true;
    for (resource, wanted) in shape.requests.iter().filter(|(_, wanted)| *wanted > 0) {
        if wanted > node.allocatable[resource] - used[resource] {
            let name = world.resources.name(resource);
            if resource == Resource::PODS {
                short.push("Too many pods".to_owned());
            } else {
                short.push(format!("Insufficient {name}"));
                resolvable &= wanted <= node.allocatable[resource];
            }
        }
    }
    if !short.is_empty() {
        return Some((short, resolvable));
    }
    filter_volumes(world, shape, id)
        .or_else(|| filter_spread(world, shape, id))
        .or_else(|| filter_affinity(world, shape, id))
}

fn filter_volumes(world: &World, shape: &PodShape, id: NodeId) -> Option<Why> {
    let node = world.node(id);
    let users = |claim: &Value| {
        let mut users = everyone(world);
        users.retain(|other| world.shape_of(*other).claims.contains(claim));
        users
    };
    let claims = &shape.claims;
    if claims
        .iter()
        .any(|claim| world.volumes[claim].exclusive && !users(claim).is_empty())
    {
        return helpable(
            "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
        );
    }
    for (driver, limit) in &node.volume_limits {
        let of_driver = |claim: &&Value| world.volumes[*claim].driver == Some(*driver);
        let pods = pods_on(world, id);
        let old: BTreeSet<&Value> = pods
            .iter()
            .flat_map(|other| &world.shape_of(*other).claims)
            .filter(of_driver)
            .collect();
        let new: BTreeSet<&Value> = claims.iter().filter(of_driver).collect();
        if new.difference(&old).count() > 0 && old.union(&new).count() > *limit as usize {
            return helpable("node(s) exceed max volume count");
        }
    }
    for claim in claims {
        let volume = &world.volumes[claim];
        if volume.fault == Some(VolumeFault::NoVolume) {
            return hopeless(
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
            );
        }
        let reaches = volume.alternatives.is_empty()
            || volume.alternatives.iter().any(|all| {
                all.iter().all(|one| match node.label(one.key) {
                    Some(value) => one.has(&world.names, value),
                    None => one.allows_absence(),
                })
            });
        let on_host = volume
            .hosts
            .as_ref()
            .is_none_or(|hosts| hosts.contains(&node.hostname()));
        if volume.bound && !(reaches && on_host) {
            return hopeless("node(s) didn't match PersistentVolume's node affinity");
        }
        let zone_of = |user: &PodId| world.node(world.pod(*user).node?).label(Key::ZONE);
        let zones: Vec<Value> = users(claim).iter().filter_map(zone_of).collect();
        let own = node.label(Key::ZONE);
        let elsewhere = !zones.is_empty() && !own.is_some_and(|own| zones.contains(&own));
        if !volume.bound && (!(reaches && on_host) || elsewhere) {
            return hopeless("node(s) didn't find available persistent volumes to bind");
        }
    }
    None
}

fn filter_spread(world: &World, shape: &PodShape, id: NodeId) -> Option<Why> {
    const TEXT: &str = "node(s) didn't match pod topology spread constraints";
    let hard: Vec<&Spread> = shape
        .spread
        .iter()
        .filter(|spread| spread.required)
        .collect();
    for spread in &hard {
        let Some(domain) = world.node(id).label(spread.topology_key) else {
            return hopeless(format!("{TEXT} (missing required label)"));
        };
        let counted = |pod| selected(world, shape, &spread.selector, pod);
        let domains = domains(world, shape, &hard, spread, &counted, true);
        let least = if domains.len() < spread.min_domains.unwrap_or(1) as usize {
            0
        } else {
            domains.values().copied().min().unwrap_or(0)
        };
        let own = i64::from(spread.selector.matches(&shape.labels));
        let pods = domains.get(&Some(domain)).copied().unwrap_or(0);
        if pods + own - least > i64::from(spread.max_skew) {
            return helpable(TEXT);
        }
    }
    None
}

fn filter_affinity(world: &World, shape: &PodShape, id: NodeId) -> Option<Why> {
    let terms = &shape.affinity.required;
    let all = |other: &PodId| {
        terms
            .iter()
            .all(|term| matches_term(world, term, world.shape_of(*other)))
    };
    if !terms.is_empty() {
        let mut together = true;
        for term in terms {
            match neighbours(world, id, term.topology_key) {
                None => return hopeless("node(s) didn't match pod affinity rules"),
                Some(pods) => together &= pods.iter().any(all),
            }
        }
        let counted = everyone(world).into_iter().filter(all).any(|other| {
            let node = world.pod(other).node.unwrap();
            terms
                .iter()
                .any(|term| world.node(node).label(term.topology_key).is_some())
        });
        let own = terms.iter().all(|term| matches_term(world, term, shape));
        if !together && (counted || !own) {
            return hopeless("node(s) didn't match pod affinity rules");
        }
    }
    for term in &shape.anti_affinity.required {
        let pods = neighbours(world, id, term.topology_key).unwrap_or_default();
        if pods
            .iter()
            .any(|other| matches_term(world, term, world.shape_of(*other)))
        {
            return helpable("node(s) didn't match pod anti-affinity rules");
        }
    }
    for other in everyone(world) {
        for term in &world.shape_of(other).anti_affinity.required {
            let home = world.pod(other).node.unwrap();
            let domain = world.node(home).label(term.topology_key);
            if domain.is_some()
                && world.node(id).label(term.topology_key) == domain
                && matches_term(world, term, shape)
            {
                return helpable("node(s) didn't satisfy existing pods anti-affinity rules");
            }
        }
    }
    None
}

/// Scores of nodes, normalised and weighted.
fn scores(world: &World, pod: PodId, nodes: &[NodeId], options: Options) -> Vec<i64> {
    let shape = world.shape_of(pod);
    let mut totals = vec![0; nodes.len()];
    let mut add = |weight: i64, scores: Vec<i64>| {
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += weight * score;
        }
    };
    let by_most = |raw: Vec<i64>, reverse: bool| -> Vec<i64> {
        let most = raw.iter().copied().max().unwrap_or(0);
        raw.into_iter()
            .map(|score| match (most, reverse) {
                (0, true) => 100,
                (0, false) => 0,
                (_, true) => 100 - 100 * score / most,
                (_, false) => 100 * score / most,
            })
            .collect()
    };
    let soft_taints = |id: &NodeId| {
        let taints = world.node(*id).taints.iter();
        let bad = taints
            .filter(|taint| taint.effect == Effect::PreferNoSchedule && !tolerates(shape, taint));
        i64::try_from(bad.count()).unwrap()
    };
    add(3, by_most(nodes.iter().map(soft_taints).collect(), true));
    let preferred = |id: &NodeId| {
        let node = world.node(*id);
        let terms = shape.preferred_terms.iter();
        let good = terms.filter(|(_, term)| term.matches(&node.labels, node.name, &world.names));
        good.map(|(weight, _)| i64::from(*weight)).sum()
    };
    add(2, by_most(nodes.iter().map(preferred).collect(), false));
    add(
        1,
        nodes
            .iter()
            .map(|id| resources(world, shape, *id))
            .collect(),
    );
    add(2, spread_scores(world, pod, nodes, options));
    add(2, affinity_scores(world, shape, nodes));
    totals
}

fn resources(world: &World, shape: &PodShape, id: NodeId) -> i64 {
    let all = world.node(id).allocatable;
    let used = world.used(id);
    let mut scored = shape.scored;
    for other in pods_on(world, id) {
        let (cpu, memory) = world.shape_of(other).scored;
        scored = (scored.0 + cpu, scored.1 + memory);
    }
    let left = |wanted: i64, all: i64| {
        if wanted > all {
            0
        } else {
            (all - wanted) * 100 / all
        }
    };
    let least = (left(scored.0, all[Resource::CPU]) + left(scored.1, all[Resource::MEMORY])) / 2;
    if shape.requests[Resource::CPU] == 0 && shape.requests[Resource::MEMORY] == 0 {
        return least;
    }
    let share = |resource| {
        let sum = used[resource] + shape.requests[resource];
        (sum as f64 / all[resource] as f64).min(1.0)
    };
    let deviation = ((share(Resource::CPU) - share(Resource::MEMORY)) / 2.0).abs();
    least + ((1.0 - deviation) * 100.0) as i64
}

fn spread_scores(world: &World, pod: PodId, nodes: &[NodeId], options: Options) -> Vec<i64> {
    let shape = world.shape_of(pod);
    let owner = |pod: PodId| {
        let pod = world.pod(pod);
        (pod.owner, pod.owner_name)
    };
    let by_default = shape.spread.is_empty()
        && options.default_spread
        && matches!(owner(pod).0, OwnerKind::ReplicaSet | OwnerKind::StatefulSet);
    let default = |key, max_skew| Spread {
        max_skew,
        topology_key: key,
        required: false,
        selector: Selector::Nothing,
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    };
    let defaults = [default(Key::HOSTNAME, 3), default(Key::ZONE, 5)];
    let soft: Vec<&Spread> = if by_default {
        defaults.iter().collect()
    } else {
        shape
            .spread
            .iter()
            .filter(|spread| !spread.required)
            .collect()
    };
    if soft.is_empty() {
        return vec![0; nodes.len()];
    }
    let counts = |spread: &Spread, other: PodId| {
        if by_default {
            world.pod(other).deleting.is_none()
                && world.shape_of(other).namespace == shape.namespace
                && owner(other) == owner(pod)
        } else {
            selected(world, shape, &spread.selector, other)
        }
    };
    let ignored = |id: &NodeId| {
        !by_default
            && soft
                .iter()
                .any(|spread| world.node(*id).label(spread.topology_key).is_none())
    };
    let taken: Vec<&NodeId> = nodes.iter().filter(|id| !ignored(id)).collect();
    let mut sums = vec![0.0; nodes.len()];
    for spread in &soft {
        let counted = |other| counts(spread, other);
        let values: BTreeSet<Option<Value>> = taken
            .iter()
            .map(|id| world.node(**id).label(spread.topology_key))
            .collect();
        let host = spread.topology_key == Key::HOSTNAME;
        let size = if host { taken.len() } else { values.len() };
        let weight = ((size + 2) as f64).ln();
        let domains = domains(world, shape, &soft, spread, &counted, !by_default);
        for (sum, id) in sums.iter_mut().zip(nodes) {
            let Some(value) = world.node(*id).label(spread.topology_key) else {
                continue;
            };
            let pods = if host {
                let pods = pods_on(world, *id);
                pods.iter().filter(|other| counted(**other)).count() as f64
            } else {
                domains.get(&Some(value)).copied().unwrap_or(0) as f64
            };
            *sum += pods * weight + f64::from(spread.max_skew - 1);
        }
    }
    let raw: Vec<i64> = sums.iter().map(|sum: &f64| sum.round() as i64).collect();
    let valid = || {
        raw.iter()
            .zip(nodes)
            .filter(|(_, id)| !ignored(id))
            .map(|(raw, _)| *raw)
    };
    let (most, least) = (valid().max().unwrap_or(0), valid().min().unwrap_or(0));
    raw.iter()
        .zip(nodes)
        .map(|(raw, id)| match (ignored(id), most) {
            (true, _) => 0,
            (false, 0) => 100,
            (false, most) => 100 * (most + least - raw) / most,
        })
        .collect()
}

fn affinity_scores(world: &World, shape: &PodShape, nodes: &[NodeId]) -> Vec<i64> {
    let raw: Vec<i64> = nodes
        .iter()
        .map(|id| {
            let mut score = 0;
            let near = |term: &AffinityTerm, other: PodId| {
                let home = world.pod(other).node.unwrap();
                let domain = world.node(home).label(term.topology_key);
                domain.is_some() && domain == world.node(*id).label(term.topology_key)
            };
            for other in everyone(world) {
                let there = world.shape_of(other);
                for (sign, mine, theirs) in [
                    (1, &shape.affinity, &there.affinity),
                    (-1, &shape.anti_affinity, &there.anti_affinity),
                ] {
                    for (weight, term) in &mine.preferred {
                        if near(term, other) && matches_term(world, term, there) {
                            score += sign * i64::from(*weight);
                        }
                    }
                    for (weight, term) in &theirs.preferred {
                        if near(term, other) && matches_term(world, term, shape) {
                            score += sign * i64::from(*weight);
                        }
                    }
                }
                for term in &there.affinity.required {
                    score += i64::from(near(term, other) && matches_term(world, term, shape));
                }
            }
            score
        })
        .collect();
    let (least, most) = (raw.iter().min().unwrap(), raw.iter().max().unwrap());
    raw.iter()
        .map(|score| {
            if most == least {
                0
            } else {
                (100.0 * ((score - least) as f64 / (most - least) as f64)) as i64
            }
        })
        .collect()
}

impl Reference {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            start: 0,
            nominated: BTreeMap::new(),
            evicted: BTreeSet::new(),
        }
    }

    /// Forgets promises that no longer mean anything.
    pub(super) fn sync(&mut self, world: &World) {
        self.nominated.retain(|pod, node| {
            let there = world.pod(*pod);
            !there.removed && there.node.is_none() && !world.node(*node).removed
        });
        self.evicted.retain(|pod| !world.pod(*pod).removed);
    }

    /// Schedules pods in order and applies what comes out to the world; the outcomes as texts.
    pub(super) fn schedule(&mut self, world: &mut World, pods: &[PodId]) -> Vec<String> {
        let mut queue = pods.to_vec();
        queue.sort_by_key(|pod| (-world.shape_of(*pod).priority, world.pod(*pod).created));
        queue.into_iter().map(|pod| self.one(world, pod)).collect()
    }

    fn with_nominated(&self, world: &World, pod: PodId, node: NodeId) -> Option<Why> {
        let priority = world.shape_of(pod).priority;
        let mut crowded = world.clone();
        for (other, promised) in &self.nominated {
            if *promised == node && *other != pod && world.shape_of(*other).priority >= priority {
                crowded.bind(*other, node);
            }
        }
        filter(&crowded, pod, node).or_else(|| filter(world, pod, node))
    }

    fn one(&mut self, world: &mut World, pod: PodId) -> String {
        let all = nodes(world);
        if all.is_empty() {
            return "no nodes available to schedule pods".to_owned();
        }
        let total = all.len();
        let shape = world.shape_of(pod).clone();
        let fault = shape
            .claims
            .iter()
            .find_map(|claim| match world.volumes[claim].fault {
                Some(VolumeFault::Immediate) => {
                    Some("pod has unbound immediate PersistentVolumeClaims".to_owned())
                }
                _ => None,
            });
        let mut rejections: Vec<(NodeId, Why)> = Vec::new();
        if fault.is_none() {
            if let Some(node) = self.nominated.get(&pod).copied()
                && self.with_nominated(world, pod, node).is_none()
            {
                return self.bind(world, pod, node);
            }
            let enough = self.options.sampling.enough(total);
            let mut feasible = Vec::new();
            let mut looked_at = 0;
            for index in 0..total {
                let node = all[(self.start + index) % total];
                match self.with_nominated(world, pod, node) {
                    None if feasible.len() == enough => break,
                    None => feasible.push(node),
                    Some(_) => {}
                }
                looked_at += 1;
            }
            self.start = (self.start + looked_at) % total;
            if feasible.len() == 1 {
                return self.bind(world, pod, feasible[0]);
            }
            if !feasible.is_empty() {
                let scores = scores(world, pod, &feasible, self.options);
                let best = scores.iter().max().unwrap();
                let equals: Vec<NodeId> = feasible
                    .iter()
                    .zip(&scores)
                    .filter(|(_, score)| *score == best)
                    .map(|(node, _)| *node)
                    .collect();
                let choice = pick(self.options.seed, pod, Choice::Node, equals.len());
                return self.bind(world, pod, equals[choice]);
            }
            for node in &all {
                rejections.push((*node, self.with_nominated(world, pod, *node).unwrap()));
            }
        }
        let reasons = match &fault {
            Some(text) => text.clone(),
            None => tally(rejections.iter().flat_map(|(_, (texts, _))| texts.clone())),
        };
        let message = format!("0/{total} nodes are available: {reasons}.");
        match self.preempt(world, pod, &rejections, total) {
            Ok((node, victims)) => {
                let outcome = self.evict(world, pod, node, &victims);
                format!("{outcome}: {message}")
            }
            Err(why) => format!("{message} preemption: {why}"),
        }
    }

    fn bind(&mut self, world: &mut World, pod: PodId, node: NodeId) -> String {
        self.nominated.remove(&pod);
        world.bind(pod, node);
        text(world, &Outcome::Bound(node))
    }

    fn evict(&mut self, world: &mut World, pod: PodId, node: NodeId, victims: &[PodId]) -> String {
        for victim in victims {
            self.evicted.insert(*victim);
            world.pods[victim.0 as usize].deleting = Some(jiff::Timestamp::UNIX_EPOCH);
        }
        let priority = world.shape_of(pod).priority;
        self.nominated.retain(|other, promised| {
            *promised != node || world.shape_of(*other).priority >= priority
        });
        self.nominated.insert(pod, node);
        let names: Vec<String> = victims.iter().map(|pod| world.pod_name(*pod)).collect();
        let name = world.names.value_text(world.node(node).name);
        format!("nominated to {name} for {}", names.join(" "))
    }

    fn preempt(
        &mut self,
        world: &World,
        pod: PodId,
        rejections: &[(NodeId, Why)],
        total: usize,
    ) -> Result<(NodeId, Vec<PodId>), String> {
        let shape = world.shape_of(pod);
        if !shape.preempts {
            return Err("not eligible due to preemptionPolicy=Never.".to_owned());
        }
        if let Some(node) = self.nominated.get(&pod)
            && rejections
                .iter()
                .any(|(other, (_, helpable))| other == node && *helpable)
            && pods_on(world, *node).iter().any(|other| {
                self.evicted.contains(other) && world.shape_of(*other).priority < shape.priority
            })
        {
            return Err("not eligible due to a terminating pod on the nominated node.".to_owned());
        }
        let hopeful: Vec<NodeId> = rejections
            .iter()
            .filter(|(_, (_, helpable))| *helpable)
            .map(|(node, _)| *node)
            .collect();
        let offset = pick(self.options.seed, pod, Choice::Offset, hopeful.len());
        let mut texts: Vec<String> =
            vec!["Preemption is not helpful for scheduling".to_owned(); total - hopeful.len()];
        let mut candidates = Vec::new();
        for index in 0..hopeful.len() {
            let node = hopeful[(offset + index) % hopeful.len()];
            match self.victims(world, pod, node) {
                Ok((victims, violations)) => candidates.push((node, victims, violations)),
                Err(why) => texts.extend(why),
            }
        }
        candidates.sort_by_key(|(_, _, violations)| *violations > 0);
        let priority = |pod: &PodId| world.shape_of(*pod).priority;
        let started = |pod: &PodId| world.pod(*pod).started.unwrap_or(jiff::Timestamp::MAX);
        let best = candidates
            .into_iter()
            .min_by_key(|(_, victims, violations)| {
                let highest = victims.iter().map(priority).max().unwrap();
                let sum: i64 = victims
                    .iter()
                    .map(|pod| i64::from(priority(pod)) + (1_i64 << 31))
                    .sum();
                let leaders = victims.iter().filter(|pod| priority(pod) == highest);
                let start = leaders.map(started).min().unwrap();
                (
                    *violations,
                    highest,
                    sum,
                    victims.len(),
                    std::cmp::Reverse(start),
                )
            });
        match best {
            Some((node, victims, _)) => Ok((node, victims)),
            None => {
                self.nominated.remove(&pod);
                Err(format!(
                    "0/{total} nodes are available: {}.",
                    tally(texts.into_iter())
                ))
            }
        }
    }

    fn victims(
        &self,
        world: &World,
        pod: PodId,
        node: NodeId,
    ) -> Result<(Vec<PodId>, usize), Vec<String>> {
        let priority = world.shape_of(pod).priority;
        let mut lesser = pods_on(world, node);
        lesser.retain(|other| world.shape_of(*other).priority < priority);
        if lesser.is_empty() {
            return Err(vec![
                "No preemption victims found for incoming pod".to_owned(),
            ]);
        }
        let mut trial = world.clone();
        for other in &lesser {
            trial.unbind(*other);
        }
        if let Some((texts, _)) = self.with_nominated(&trial, pod, node) {
            return Err(texts);
        }
        let important = |other: &PodId| {
            let started = world.pod(*other).started.unwrap_or(jiff::Timestamp::MAX);
            (-world.shape_of(*other).priority, started)
        };
        lesser.sort_by_key(important);
        let mut allowed: Vec<i32> = world
            .disruption_budgets
            .iter()
            .map(|budget| budget.disruptions_allowed)
            .collect();
        let guarded: BTreeSet<PodId> = lesser
            .iter()
            .copied()
            .filter(|other| {
                let shape = world.shape_of(*other);
                let mut guarded = false;
                for (budget, allowed) in world.disruption_budgets.iter().zip(&mut allowed) {
                    if budget.namespace == shape.namespace && budget.selector.matches(&shape.labels)
                    {
                        *allowed -= 1;
                        guarded |= *allowed < 0;
                    }
                }
                guarded
            })
            .collect();
        let (mut victims, mut violations) = (Vec::new(), 0);
        for first in [true, false] {
            for other in lesser
                .iter()
                .filter(|other| guarded.contains(other) == first)
            {
                trial.bind(*other, node);
                if self.with_nominated(&trial, pod, node).is_some() {
                    trial.unbind(*other);
                    victims.push(*other);
                    violations += usize::from(first);
                }
            }
        }
        victims.sort_by_key(important);
        Ok((victims, violations))
    }
}

/// `2 a, 1 b`, sorted as texts.
fn tally(texts: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut lines: Vec<String> = counts
        .iter()
        .map(|(text, count)| format!("{count} {text}"))
        .collect();
    lines.sort();
    lines.join(", ")
}
