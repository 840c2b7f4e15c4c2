//! Karpenter's own benchmark mix (`scheduling_benchmark_test.go` at 2266468): 400 types, one pool, five equal classes of pods.
//! Prints pods a second and the peak of memory for 1k, 5k, 20k and 100k pods.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use seaworthy_autoscale::instances::{
    CapacityType, InstanceType, Limits, MicroUsd, Offering, TypeSet,
};
use seaworthy_autoscale::karpenter::provisioning::{Options, Planner, Request};
use seaworthy_autoscale::names::{Key, Labels, Value};
use seaworthy_autoscale::requirement::{Operator, Requirement, Requirements};
use seaworthy_autoscale::resources::Resources;
use seaworthy_autoscale::shape::{
    AffinityTerm, Expression, Namespaces, PodShape, Selector, Spread,
};
use seaworthy_autoscale::version::KarpenterVersion;
use seaworthy_autoscale::world::{Pool, World};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn types(world: &mut World) -> Vec<InstanceType> {
    let zones: Vec<Value> = (1..=3)
        .map(|zone| world.names.value(&format!("test-zone-{zone}")))
        .collect();
    (0..400_i64)
        .map(|index| {
            let name = world.names.value(&format!("fake-it-{index}"));
            let size = index + 1;
            let price = MicroUsd(size * 50_000);
            let mut offerings = Vec::new();
            for (capacity_type, count) in [(CapacityType::Spot, 2), (CapacityType::OnDemand, 3)] {
                offerings.extend(zones[..count].iter().map(|zone| Offering {
                    zone: *zone,
                    capacity_type,
                    price,
                    available: true,
                }));
            }
            let amd64 = world.names.value("amd64");
            let requirements = [
                Requirement::is(Key::INSTANCE_TYPE, name),
                Requirement::is(Key::ARCH, amd64),
                Requirement::is(Key::OS, Value::LINUX),
                Requirement::one_of(Key::ZONE, zones.clone()),
                Requirement::one_of(Key::CAPACITY_TYPE, vec![Value::SPOT, Value::ON_DEMAND]),
            ];
            InstanceType {
                name,
                requirements: Requirements::new(&world.names, requirements),
                capacity: Resources::new(size * 1000, size * (2 << 30), size * 10),
                overhead: Resources::new(100, 10 << 20, 0),
                offerings,
                exotic: false,
            }
        })
        .collect()
}

/// Karpenter's benchmark allows 10 million cores; 100,000 pods need more, as every new node is counted with the largest type.
fn pool(world: &mut World, pods: usize) -> Pool {
    let room = if pods > 20_000 { 100 } else { 1 };
    let name = world.names.value("default");
    let types = types(world);
    let types = world.add_types(TypeSet::new(types));
    let labels = Labels::new([(Key::NODE_POOL, name)]);
    Pool {
        name,
        weight: 0,
        types: Some(types),
        requirements: Requirements::of_labels(&labels),
        labels,
        taints: Vec::new(),
        startup_taints: Vec::new(),
        limits: Limits::new(
            vec![
                (
                    seaworthy_autoscale::resources::Resource::CPU,
                    room * 10_000_000_000,
                ),
                (
                    seaworthy_autoscale::resources::Resource::MEMORY,
                    room * (10_000_000 << 30),
                ),
            ],
            None,
        ),
        replicas: None,
        ready: true,
        consolidation_policy: Default::default(),
        consolidate_after: "0s".parse().unwrap(),
        budgets: Vec::new(),
        expire_after: "720h".parse().unwrap(),
        termination_grace_period: None,
        hash: None,
        class_hash: None,
    }
}

fn world(pods: usize) -> World {
    let mut world = World::new(KarpenterVersion::NEWEST);
    let pool = pool(&mut world, pods);
    world.add_pool(pool);
    let mut random = Random(42);
    let namespace = world.names.value("default");
    let (label, affinity, app) = (
        world.names.key("my-label"),
        world.names.key("my-affininity"),
        world.names.key("app"),
    );
    let letters: Vec<Value> = "abcdefg"
        .chars()
        .map(|c| world.names.value(&c.to_string()))
        .collect();
    let nginx = world.names.value("nginx");
    let select = |key, value| {
        Selector::All(vec![Expression {
            key,
            operator: Operator::In,
            values: vec![value],
        }])
    };
    let own = Namespaces {
        names: vec![namespace],
        selector: None,
    };
    for index in 0..pods {
        let cpu = [100, 250, 500, 1000, 1500][random.below(5) as usize];
        let memory = [100_i64, 256, 512, 1024, 2048, 4096][random.below(6) as usize] << 20;
        let mut letter = || letters[random.below(7) as usize];
        let (first, second) = (letter(), letter());
        let class = if index >= pods / 5 * 5 {
            0
        } else {
            index * 5 / pods.max(1)
        };
        let labels = match class {
            3 => Labels::new([(affinity, first)]),
            4 => Labels::new([(app, nginx)]),
            _ => Labels::new([(label, first)]),
        };
        let mut shape = PodShape::plain(namespace, labels, Resources::new(cpu, memory, 1));
        let spread = |key| Spread {
            max_skew: 1,
            topology_key: key,
            required: true,
            selector: select(label, second),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        };
        let term = |selector, key| AffinityTerm {
            selector,
            namespaces: own.clone(),
            topology_key: key,
        };
        match class {
            1 => shape.spread.push(spread(Key::ZONE)),
            2 => shape.spread.push(spread(Key::HOSTNAME)),
            3 => shape
                .affinity
                .required
                .push(term(select(affinity, first), Key::ZONE)),
            4 => shape
                .anti_affinity
                .required
                .push(term(select(app, nginx), Key::HOSTNAME)),
            _ => {}
        }
        let shape = world.intern_shape(shape);
        world.add_pending(&format!("pod-{index}"), shape);
    }
    world
}

/// The most memory that this process had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .unwrap_or(0)
        / 1024
}

fn main() {
    println!(
        "{:>8} {:>8} {:>10} {:>12} {:>10}",
        "pods", "nodes", "ms", "pods/s", "peak MiB"
    );
    for count in [1000, 5000, 20_000, 100_000] {
        let world = world(count);
        let pods: Vec<_> = world.live_pods().map(|(id, _)| id).collect();
        let mut best = Duration::MAX;
        let mut nodes = 0;
        for _ in 0..3 {
            let start = Instant::now();
            let mut planner = Planner::new(&world, Options::default());
            let outcome = planner.simulate(&Request {
                pods: &pods,
                ..Request::default()
            });
            best = best.min(start.elapsed());
            nodes = outcome.claims.len();
            assert!(
                outcome.unschedulable.is_empty(),
                "{} pods don't fit: {}",
                outcome.unschedulable.len(),
                outcome.unschedulable[0].error.display(&world)
            );
        }
        let speed = count as f64 / best.as_secs_f64();
        println!(
            "{count:>8} {nodes:>8} {:>10.1} {speed:>12.0} {:>10}",
            best.as_secs_f64() * 1000.0,
            peak_mib()
        );
    }
}
