//! What holds of every schedule, tried on random small worlds that change.

use proptest::prelude::*;

use super::lab::{GIB, Lab, is, taint, text, tolerate, within};
use super::reference::Reference;
use crate::names::{Key, Names, Value};
use crate::requirement::{Operator, Requirement, Requirements};
use crate::resources::Resources;
use crate::scheduler::{Options, Outcome, Sampling, Scheduler};
use crate::shape::{
    AffinityTerm, Effect, HostPort, Namespaces, NodeTerm, PodShape, Selector, ShapeId, Spread,
};
use crate::world::{DisruptionBudget, NodeId, OwnerKind, PodId, Volume, VolumeFault, World};

/// Random choices from one number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

const ZONES: [&str; 3] = ["z1", "z2", ""];
const APPS: [&str; 3] = ["web", "db", "job"];
const SPACES: [&str; 2] = ["default", "other"];

fn add_node(lab: &mut Lab, dice: &mut Dice, index: usize) -> NodeId {
    let zone = dice.of(&ZONES);
    lab.node_with(&format!("n{index}"), zone, |node, names| {
        if dice.chance(70) {
            node.labels
                .set(names.key("tier"), names.value(dice.of(&["1", "2"])));
        }
        for effect in [
            Effect::NoSchedule,
            Effect::PreferNoSchedule,
            Effect::NoExecute,
        ] {
            if dice.chance(12) {
                node.taints
                    .push(taint(names, dice.of(&["dedicated", "spot"]), "x", effect));
            }
        }
        node.unschedulable = dice.chance(7);
        let cpu = dice.of(&[1000, 2000, 4000]);
        node.allocatable = Resources::new(cpu, dice.of(&[2, 4, 8]) * GIB, dice.of(&[3, 5, 8]));
        if dice.chance(40) {
            node.volume_limits = vec![(names.value("ebs"), dice.of(&[1, 2]))];
        }
    })
}

fn selector(dice: &mut Dice, names: &mut Names) -> Selector {
    let app = dice.of(&APPS);
    Selector::All(match dice.below(5) {
        0 => Vec::new(),
        1 => vec![is(names, "app", Operator::NotIn, &[app])],
        _ => vec![is(names, "app", Operator::In, &[app])],
    })
}

fn term(dice: &mut Dice, names: &mut Names) -> AffinityTerm {
    let namespaces = match dice.below(4) {
        0 => Namespaces {
            names: vec![names.value("other")],
            selector: None,
        },
        1 => Namespaces {
            names: Vec::new(),
            selector: Some(Selector::All(vec![is(
                names,
                "team",
                Operator::In,
                &["blue"],
            )])),
        },
        _ => Namespaces {
            names: vec![names.value("default")],
            selector: None,
        },
    };
    AffinityTerm {
        selector: selector(dice, names),
        namespaces,
        topology_key: dice.of(&[Key::ZONE, Key::HOSTNAME, names.key("tier")]),
    }
}

fn spread(dice: &mut Dice, names: &mut Names) -> Spread {
    Spread {
        max_skew: dice.of(&[1, 1, 2]),
        topology_key: dice.of(&[Key::ZONE, Key::HOSTNAME, names.key("tier")]),
        required: dice.chance(50),
        selector: selector(dice, names),
        min_domains: dice.of(&[None, None, Some(2), Some(3)]),
        honor_affinity: dice.chance(70),
        honor_taints: dice.chance(40),
    }
}

fn shape(dice: &mut Dice, names: &mut Names, claims: &[Value]) -> PodShape {
    let namespace = names.value(dice.of(&SPACES));
    let app = names.value(dice.of(&APPS));
    let labels = crate::names::Labels::new([(names.key("app"), app)]);
    let cpu = dice.of(&[0, 100, 500, 900]);
    let memory = dice.of(&[0, GIB / 4, GIB]);
    let mut shape = PodShape::plain(namespace, labels, Resources::new(cpu, memory, 1));
    if dice.chance(15) {
        shape.node_selector = vec![(names.key("tier"), names.value("1"))];
    }
    if dice.chance(15) {
        shape.has_required_affinity = true;
        for _ in 0..=dice.below(2) {
            let term = match dice.below(3) {
                0 => within(names, "topology.kubernetes.io/zone", &["z1"]),
                1 => NodeTerm {
                    expressions: vec![is(names, "tier", Operator::Gt, &["1"])],
                    names: Vec::new(),
                },
                _ => NodeTerm {
                    expressions: vec![is(names, "tier", Operator::DoesNotExist, &[])],
                    names: vec![(false, vec![names.value("n0")])],
                },
            };
            shape.required_terms.push(term);
        }
    }
    if dice.chance(20) {
        shape.preferred_terms = vec![
            (dice.of(&[1, 30]), within(names, "tier", &["2"])),
            (7, within(names, "topology.kubernetes.io/zone", &["z2"])),
        ];
    }
    if dice.chance(35) {
        let key = dice.of(&["dedicated", "spot"]);
        shape.tolerations = vec![tolerate(names, key, dice.of(&[None, Some("x")]))];
    }
    if dice.chance(35) {
        for _ in 0..=dice.below(2) {
            shape.spread.push(spread(dice, names));
        }
    }
    for list in [&mut shape.affinity, &mut shape.anti_affinity] {
        if dice.chance(15) {
            for _ in 0..=dice.below(2) {
                list.required.push(term(dice, names));
            }
        }
        if dice.chance(25) {
            for _ in 0..=dice.below(2) {
                list.preferred.push((dice.of(&[1, 10]), term(dice, names)));
            }
        }
    }
    if dice.chance(8) {
        shape.ports = vec![HostPort {
            ip: None,
            port: 80,
            protocol: names.value("TCP"),
        }];
    }
    if dice.chance(15) {
        shape.claims = vec![dice.of(claims)];
    }
    shape.priority = dice.of(&[0, 0, 0, 10, 100]);
    shape.preempts = dice.chance(85);
    shape
}

fn volumes(lab: &mut Lab, dice: &mut Dice) -> Vec<Value> {
    let names = &mut lab.world.names;
    let zones = ["z1", "z2"].map(|zone| names.value(zone));
    let driver = names.value("ebs");
    (0..4)
        .map(|index| {
            let names = &mut lab.world.names;
            let claim = names.value(&format!("default/c{index}"));
            let zone = Requirement::is(Key::ZONE, dice.of(&zones));
            let volume = Volume {
                driver: dice.chance(80).then_some(driver),
                alternatives: if dice.chance(50) {
                    vec![Requirements::new(names, [zone])]
                } else {
                    Vec::new()
                },
                hosts: dice.chance(10).then(|| vec![names.value("n1")]),
                bound: dice.chance(60),
                exclusive: dice.chance(20),
                fault: match dice.below(12) {
                    0 => Some(VolumeFault::Immediate),
                    1 => Some(VolumeFault::NoVolume),
                    _ => None,
                },
            };
            lab.world.volumes.insert(claim, volume);
            claim
        })
        .collect()
}

struct Play {
    lab: Lab,
    dice: Dice,
    shapes: Vec<ShapeId>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut lab = Lab::default();
        let mut dice = Dice(seed);
        for index in 0..1 + dice.below(6) {
            add_node(&mut lab, &mut dice, index);
        }
        let names = &mut lab.world.names;
        let (other, team, blue) = (names.value("other"), names.key("team"), names.value("blue"));
        let labels = crate::names::Labels::new([(team, blue)]);
        lab.world.namespaces.insert(other, labels);
        let claims = volumes(&mut lab, &mut dice);
        let shapes = (0..2 + dice.below(5))
            .map(|_| {
                let shape = shape(&mut dice, &mut lab.world.names, &claims);
                lab.world.intern_shape(shape)
            })
            .collect();
        for index in 0..dice.below(3) {
            let names = &mut lab.world.names;
            let budget = DisruptionBudget {
                namespace: names.value("default"),
                name: format!("b{index}"),
                selector: Selector::All(vec![is(names, "app", Operator::In, &[dice.of(&APPS)])]),
                disruptions_allowed: dice.of(&[0, 1]),
                min_available: None,
                max_unavailable: None,
                always_allow_unhealthy: false,
            };
            lab.world.disruption_budgets.push(budget);
        }
        let mut play = Self { lab, dice, shapes };
        for _ in 0..play.dice.below(8) {
            let pod = play.add_pod();
            let nodes = play.lab.world.nodes.len();
            let node = NodeId(u32::try_from(play.dice.below(nodes)).unwrap());
            play.lab.world.bind(pod, node);
        }
        play
    }

    fn add_pod(&mut self) -> PodId {
        let shape = self.dice.of(&self.shapes);
        let name = format!("p{}", self.lab.world.pods.len());
        let pod = self.lab.world.add_pending(&name, shape);
        let owner = self.lab.world.names.value(self.dice.of(&["rs-a", "rs-b"]));
        let entry = &mut self.lab.world.pods[pod.0 as usize];
        entry.owner = self.dice.of(&[
            OwnerKind::ReplicaSet,
            OwnerKind::StatefulSet,
            OwnerKind::Other,
        ]);
        entry.owner_name = owner;
        let time = |dice: &mut Dice| {
            let second = i64::try_from(dice.below(5)).unwrap();
            jiff::Timestamp::from_second(second).ok()
        };
        entry.created = time(&mut self.dice);
        entry.started = if self.dice.chance(70) {
            time(&mut self.dice)
        } else {
            None
        };
        pod
    }

    fn pending(&self) -> Vec<PodId> {
        self.lab
            .world
            .live_pods()
            .filter(|(_, pod)| pod.node.is_none() && pod.is_active())
            .map(|(id, _)| id)
            .collect()
    }

    /// Something happens; the scheduler is told of each thing.
    fn change(&mut self, scheduler: &mut Scheduler) {
        let world = &mut self.lab.world;
        let pods: Vec<PodId> = world.live_pods().map(|(id, _)| id).collect();
        for pod in pods {
            let goes = world.pod(pod).deleting.is_some() && self.dice.chance(70);
            if goes || self.dice.chance(8) {
                world.remove_pod(pod);
                scheduler.sync_pod(world, pod);
            }
        }
        let nodes: Vec<NodeId> = world.live_nodes().map(|(id, _)| id).collect();
        for node in nodes {
            let at = node.0 as usize;
            match self.dice.below(12) {
                0 => world.remove_node(node),
                1 => world.nodes[at].unschedulable ^= true,
                2 => world.nodes[at]
                    .labels
                    .set(Key::ZONE, world.names.value("z1")),
                3 => world.nodes[at].allocatable = Resources::new(3000, 6 * GIB, 6),
                _ => continue,
            }
            scheduler.sync_node(world, node);
        }
        if self.dice.chance(40) {
            let index = self.lab.world.nodes.len();
            let node = add_node(&mut self.lab, &mut self.dice, index);
            scheduler.sync_node(&self.lab.world, node);
        }
        for _ in 0..self.dice.below(6) {
            self.add_pod();
        }
    }
}

/// Applies what was decided.
fn apply(world: &mut World, scheduler: &mut Scheduler, pod: PodId, outcome: &Outcome) {
    match outcome {
        Outcome::Bound(node) => {
            world.bind(pod, *node);
            scheduler.sync_pod(world, pod);
        }
        Outcome::Nominated { victims, .. } => {
            for victim in victims {
                world.pods[victim.0 as usize].deleting = Some(jiff::Timestamp::UNIX_EPOCH);
                scheduler.sync_pod(world, *victim);
            }
        }
        Outcome::Unschedulable(_) => {}
    }
}

fn lines(
    world: &World,
    scheduler: &mut Scheduler,
    pods: &[PodId],
) -> Vec<(PodId, Outcome, String)> {
    scheduler
        .schedule(world, pods)
        .into_iter()
        .map(|decision| {
            let text = text(world, &decision.outcome);
            (decision.pod, decision.outcome, text)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The fast scheduler decides as the slow one does, message for message, however the world changes in between.
    #[test]
    fn it_decides_as_the_plain_one_does(seed: u64, default_spread: bool) {
        let options = Options { seed, default_spread, ..Options::default() };
        let mut play = Play::new(seed);
        let mut scheduler = Scheduler::new(&play.lab.world, options);
        let mut reference = Reference::new(options);
        for _ in 0..4 {
            for _ in 0..play.dice.below(8) {
                play.add_pod();
            }
            let pending = play.pending();
            let mut other = play.lab.world.clone();
            let expected = reference.schedule(&mut other, &pending);
            let found = lines(&play.lab.world, &mut scheduler, &pending);
            for ((pod, outcome, line), expected) in found.iter().zip(&expected) {
                prop_assert_eq!(line, expected, "{}", play.lab.world.pod_name(*pod));
                apply(&mut play.lab.world, &mut scheduler, *pod, outcome);
            }
            prop_assert_eq!(found.len(), expected.len());
            play.change(&mut scheduler);
            reference.sync(&play.lab.world);
        }
    }

    /// After any changes the scheduler knows what a new one would know: nothing is lost or counted twice.
    #[test]
    fn what_it_keeps_is_what_there_is(seed: u64) {
        let options = Options { seed, ..Options::default() };
        let mut play = Play::new(seed);
        let mut scheduler = Scheduler::new(&play.lab.world, options);
        for _ in 0..3 {
            let pending = play.pending();
            for (pod, outcome, _) in lines(&play.lab.world, &mut scheduler, &pending) {
                apply(&mut play.lab.world, &mut scheduler, pod, &outcome);
            }
            play.change(&mut scheduler);
            let fresh = Scheduler::new(&play.lab.world, options);
            let (kept, new) = (&scheduler.cluster, &fresh.cluster);
            for (id, node) in play.lab.world.live_nodes() {
                let at = id.0 as usize;
                prop_assert_eq!(kept.free[at], new.free[at]);
                prop_assert_eq!(kept.scored[at], new.scored[at]);
                prop_assert_eq!(kept.free[at], node.allocatable - play.lab.world.used(id));
                prop_assert_eq!(kept.ports[at].len(), new.ports[at].len());
                prop_assert_eq!(kept.volumes[at].len(), new.volumes[at].len());
            }
            prop_assert_eq!(&kept.all_priorities, &new.all_priorities);
        }
    }

    /// No pod goes to a node that can't hold it, and a pod that goes nowhere has a reason for each node.
    #[test]
    fn no_node_is_overfull(seed: u64) {
        let mut play = Play::new(seed);
        for _ in 0..20 {
            play.add_pod();
        }
        let mut scheduler = Scheduler::new(&play.lab.world, Options { seed, ..Options::default() });
        let nodes = u32::try_from(play.lab.world.live_nodes().count()).unwrap();
        for decision in scheduler.schedule(&play.lab.world, &play.pending()) {
            match decision.outcome {
                Outcome::Bound(node) => {
                    let world = &mut play.lab.world;
                    let left = world.node(node).allocatable - world.used(node);
                    let wanted = world.shape_of(decision.pod).requests;
                    let holds = wanted
                        .iter()
                        .all(|(resource, amount)| amount == 0 || amount <= left[resource]);
                    prop_assert!(holds);
                    world.bind(decision.pod, node);
                }
                Outcome::Nominated { victims, .. } => prop_assert!(!victims.is_empty()),
                Outcome::Unschedulable(failure) => {
                    let reasons: u32 = failure.reasons.iter().map(|(_, count)| count).sum();
                    prop_assert!(failure.up_front.is_some() || reasons >= nodes);
                }
            }
        }
    }

    /// A required spread over zones is never exceeded by a placement.
    #[test]
    fn spreads_are_kept(seed: u64, skew in 1_u32..3, pods in 1_usize..40) {
        let mut dice = Dice(seed);
        let mut lab = Lab::default();
        for index in 0..3 + dice.below(6) {
            lab.node_with(&format!("n{index}"), ["a", "b", "c"][index % 3], |node, _| {
                node.allocatable = Resources::new(dice.of(&[300, 800, 2000]), 64 * GIB, 50);
            });
        }
        let pods: Vec<PodId> = (0..pods)
            .map(|index| {
                lab.pod_with(&format!("p{index}"), "web", |shape, names| {
                    let mut zonal = super::lab::spread(names, "web", Key::ZONE, true);
                    zonal.max_skew = skew;
                    shape.spread = vec![zonal];
                })
            })
            .collect();
        let options = Options { seed, ..Options::default() };
        let mut counts = [0_u32; 3];
        for decision in Scheduler::new(&lab.world, options).schedule(&lab.world, &pods) {
            if let Outcome::Bound(node) = decision.outcome {
                counts[node.0 as usize % 3] += 1;
                let (most, least) = (counts.iter().max(), counts.iter().min());
                prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= skew));
            }
        }
    }

    /// Same world, same seed, same answer.
    #[test]
    fn same_seed_same_answer(seed: u64) {
        let answer = || {
            let mut play = Play::new(seed);
            for _ in 0..15 {
                play.add_pod();
            }
            let options = Options { seed, sampling: Sampling::All, ..Options::default() };
            let mut scheduler = Scheduler::new(&play.lab.world, options);
            scheduler.schedule(&play.lab.world, &play.pending())
        };
        prop_assert_eq!(answer(), answer());
    }
}

/// Sampling decides as the plain scheduler does, too, where there are nodes enough to sample.
#[test]
fn sampling_decides_as_the_plain_one_does() {
    for seed in 0..3 {
        let mut play = Play::new(seed);
        for index in 100..240 {
            add_node(&mut play.lab, &mut play.dice, index);
        }
        let options = Options {
            seed,
            ..Options::default()
        };
        for _ in 0..12 {
            play.add_pod();
        }
        let pending = play.pending();
        let mut scheduler = Scheduler::new(&play.lab.world, options);
        let found = lines(&play.lab.world, &mut scheduler, &pending);
        let found: Vec<String> = found.into_iter().map(|(_, _, line)| line).collect();
        let mut other = play.lab.world.clone();
        assert_eq!(
            found,
            Reference::new(options).schedule(&mut other, &pending)
        );
    }
}
