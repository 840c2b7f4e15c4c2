//! How fast kube-scheduler's rules are followed: Deployments of 50 pods on nodes of 32 vCPU and 128 GiB in three zones.
//!
//! Of 20 Deployments 8 are plain (their ReplicaSets are spread by default), 4 have a required spread over zones with a
//! preferred one over nodes, 3 prefer and 2 require that no two of their pods share a node, 2 require to be in one zone
//! together, 1 prefers some nodes by label. Their pods come in turn, so that neighbours in the queue are never alike. Prints
//! pods a second and the peak of memory of the process so far, the world included.
//!
//! Then an hour in steps of a second on 1,000 nodes with 20,000 pods: in each, 20 pods go and 20 come, and every tenth a node
//! goes with its pods and a new one comes. Last, pods that fit nowhere, and pods that take the place of others.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::time::Instant;

use seaworthy_autoscale::names::{Key, Labels, Value};
use seaworthy_autoscale::requirement::Operator;
use seaworthy_autoscale::resources::Resources;
use seaworthy_autoscale::scheduler::{Options, Outcome, Sampling, Scheduler};
use seaworthy_autoscale::shape::{
    AffinityTerm, Expression, Namespaces, NodeTerm, PodShape, Selector, Spread,
};
use seaworthy_autoscale::version::KarpenterVersion;
use seaworthy_autoscale::world::{Node, NodeId, OwnerKind, PodId, Stage, World};

const REPLICAS: usize = 50;

fn select(key: Key, value: Value) -> Expression {
    Expression {
        key,
        operator: Operator::In,
        values: vec![value],
    }
}

fn add_nodes(world: &mut World, nodes: usize) {
    let tier = world.names.key("tier");
    for index in 0..nodes {
        let name = world.names.value(&format!("node-{index}"));
        let zone = world.names.value(&format!("zone-{}", index % 3));
        let region = world.names.value("region");
        let level = world.names.value(&(index % 4).to_string());
        let allocatable = Resources::new(31_850, 125 << 30, 250);
        world.add_node(Node {
            name,
            pool: None,
            stage: Stage::Initialized,
            labels: Labels::new([
                (Key::HOSTNAME, name),
                (Key::ZONE, zone),
                (Key::REGION, region),
                (tier, level),
            ]),
            taints: Vec::new(),
            unschedulable: false,
            ready: true,
            capacity: allocatable,
            allocatable,
            volume_limits: Vec::new(),
            pods: Vec::new(),
            claim: None,
            deleting: false,
            do_not_disrupt: false,
            nominated_until: None,
            created: None,
            removed: false,
        });
    }
}

/// What the pods of a Deployment ask for.
fn shape(world: &mut World, deployment: usize) -> PodShape {
    let app = world.names.key("app");
    let tier = world.names.key("tier");
    let name = world.names.value(&format!("app-{deployment}"));
    let namespace = world.names.value(&format!("team-{}", deployment % 50));
    let cpu = [50, 100, 250, 250, 500][deployment % 5];
    let memory = [128_i64, 256, 512, 1024][deployment % 4] << 20;
    let labels = Labels::new([(app, name)]);
    let mut shape = PodShape::plain(namespace, labels, Resources::new(cpu, memory, 1));
    let own = Selector::All(vec![select(app, name)]);
    let term = |key| AffinityTerm {
        selector: own.clone(),
        namespaces: Namespaces {
            names: vec![namespace],
            selector: None,
        },
        topology_key: key,
    };
    let spread = |key, required| Spread {
        max_skew: 1,
        topology_key: key,
        required,
        selector: own.clone(),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    };
    match deployment % 20 {
        0..8 => {}
        8..12 => shape.spread = vec![spread(Key::ZONE, true), spread(Key::HOSTNAME, false)],
        12..15 => shape.anti_affinity.preferred = vec![(100, term(Key::HOSTNAME))],
        15..17 => shape.anti_affinity.required = vec![term(Key::HOSTNAME)],
        17..19 => shape.affinity.required = vec![term(Key::ZONE)],
        _ => {
            let level = world.names.value("1");
            shape.preferred_terms = vec![(
                50,
                NodeTerm {
                    expressions: vec![select(tier, level)],
                    names: Vec::new(),
                },
            )];
        }
    }
    shape
}

fn add_pods(world: &mut World, pods: usize) -> Vec<PodId> {
    let deployments = pods.div_ceil(REPLICAS);
    let owners: Vec<_> = (0..deployments)
        .map(|deployment| {
            let shape = shape(world, deployment);
            let owner = world.names.value(&format!("app-{deployment}-5d4f8"));
            (world.intern_shape(shape), owner)
        })
        .collect();
    (0..pods)
        .map(|index| {
            let (shape, owner) = owners[index % deployments];
            let pod = world.add_pending(&format!("pod-{index}"), shape);
            world.pods[pod.0 as usize].owner = OwnerKind::ReplicaSet;
            world.pods[pod.0 as usize].owner_name = owner;
            pod
        })
        .collect()
}

/// The most memory that this process had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn table() {
    println!("    pods  nodes  sampling    bound  seconds    pods/s  peak MiB");
    for (pods, nodes, sampling, text) in [
        (1_000, 1_000, Sampling::Adaptive, "adaptive"),
        (5_000, 1_000, Sampling::Adaptive, "adaptive"),
        (20_000, 1_000, Sampling::Adaptive, "adaptive"),
        (100_000, 1_000, Sampling::Adaptive, "adaptive"),
        (100_000, 1_000, Sampling::All, "all"),
        (100_000, 5_000, Sampling::Adaptive, "adaptive"),
    ] {
        let mut world = World::new(KarpenterVersion::NEWEST);
        add_nodes(&mut world, nodes);
        let queue = add_pods(&mut world, pods);
        let began = Instant::now();
        let options = Options {
            sampling,
            ..Options::default()
        };
        let mut scheduler = Scheduler::new(&world, options);
        let decisions = scheduler.schedule(&world, &queue);
        let took = began.elapsed().as_secs_f64();
        let bound = decisions
            .iter()
            .filter(|decision| matches!(decision.outcome, Outcome::Bound(_)))
            .count();
        println!(
            "{pods:>8}  {nodes:>5}  {text:<8}  {bound:>7}  {took:>7.2}  {:>8.0}  {:>8}",
            f64::from(u32::try_from(pods).unwrap_or(u32::MAX)) / took,
            peak_mib()
        );
    }
}

/// Schedules, tells the world and the scheduler, and says how many pods were placed.
fn step(world: &mut World, scheduler: &mut Scheduler, queue: &[PodId]) -> usize {
    let mut bound = 0;
    for decision in scheduler.schedule(world, queue) {
        if let Outcome::Bound(node) = decision.outcome {
            world.bind(decision.pod, node);
            scheduler.sync_pod(world, decision.pod);
            bound += 1;
        }
    }
    bound
}

fn hour() {
    const STEPS: usize = 3_600;
    let mut world = World::new(KarpenterVersion::NEWEST);
    add_nodes(&mut world, 1_000);
    let queue = add_pods(&mut world, 20_000);
    let mut scheduler = Scheduler::new(&world, Options::default());
    step(&mut world, &mut scheduler, &queue);
    let mut oldest = 0;
    let (mut placed, mut waiting) = (0, Vec::new());
    let began = Instant::now();
    for second in 0..STEPS {
        if second % 10 == 0 {
            let node = NodeId(u32::try_from(second / 10).unwrap_or(0));
            let pods = world.node(node).pods.clone();
            world.remove_node(node);
            scheduler.sync_node(&world, node);
            waiting.extend(pods);
            let new = world.nodes.len();
            add_nodes(&mut world, 1);
            world.nodes[new].name = world.names.value(&format!("new-{second}"));
            let name = world.nodes[new].name;
            world.nodes[new].labels.set(Key::HOSTNAME, name);
            scheduler.sync_node(&world, NodeId(u32::try_from(new).unwrap_or(0)));
        }
        for _ in 0..20 {
            let old = PodId(oldest);
            oldest += 1;
            let shape = world.pod(old).shape;
            let (owner, owner_name) = (world.pod(old).owner, world.pod(old).owner_name);
            world.remove_pod(old);
            scheduler.sync_pod(&world, old);
            let new = world.add_pending("again", shape);
            world.pods[new.0 as usize].owner = owner;
            world.pods[new.0 as usize].owner_name = owner_name;
            waiting.push(new);
        }
        placed += step(&mut world, &mut scheduler, &waiting);
        waiting.retain(|pod| world.pod(*pod).node.is_none() && world.pod(*pod).is_active());
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "an hour in {STEPS} steps: {placed} pods placed, {} left, {took:.2} s",
        waiting.len()
    );
}

fn crowd() {
    let mut world = World::new(KarpenterVersion::NEWEST);
    add_nodes(&mut world, 1_000);
    let queue = add_pods(&mut world, 100_000);
    for node in &mut world.nodes {
        node.allocatable = Resources::new(1_000, 4 << 30, 10);
    }
    let mut scheduler = Scheduler::new(&world, Options::default());
    let began = Instant::now();
    let bound = step(&mut world, &mut scheduler, &queue);
    let took = began.elapsed().as_secs_f64();
    println!("100000 pods on nodes for a tenth: {bound} placed, {took:.2} s");
    let shape = world.shape_of(PodId(0)).clone();
    let important = world.intern_shape(PodShape {
        priority: 1_000,
        ..shape
    });
    let queue: Vec<PodId> = (0..1_000)
        .map(|index| world.add_pending(&format!("vip-{index}"), important))
        .collect();
    let began = Instant::now();
    let decisions = scheduler.schedule(&world, &queue);
    let took = began.elapsed().as_secs_f64();
    let nominated = decisions
        .iter()
        .filter(|decision| matches!(decision.outcome, Outcome::Nominated { .. }))
        .count();
    println!("1000 pods that take the place of others: {nominated} nominated, {took:.2} s");
}

fn main() {
    table();
    hour();
    crowd();
}
