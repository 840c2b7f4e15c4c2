//! A full consolidation pass over 1,000 nodes and 20,000 pods: one look by every method, then what each node alone would come to.
//! Once with room on the nodes, so that nearly everything can go, and once with full nodes, so that each question ends with a new
//! node. Prints milliseconds and the peak of memory. `cargo run --release --example consolidation_speed [NODES]`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use jiff::Timestamp;
use objects::snapshot;
use seaworthy_autoscale::instance_csv;
use seaworthy_autoscale::karpenter::disruption::{Decision, Method, Round, Settings};
use seaworthy_autoscale::karpenter::provisioning::{Options, Planner};
use seaworthy_autoscale::version::KarpenterVersion;
use seaworthy_autoscale::world::{Builder, OwnerKind, World};

/// 120 types: five families of three generations in eight sizes, in three zones, on demand and spot.
fn types() -> String {
    let mut table = "instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,spot_usd_per_hour,labels\n".to_owned();
    for (family, gib) in [("c", 2), ("m", 4), ("r", 8), ("t", 4), ("d", 6)] {
        for generation in 5..8_u32 {
            for size in [2_u32, 4, 8, 12, 16, 24, 32, 48] {
                let price = f64::from(size)
                    * (0.03 + 0.004 * f64::from(gib))
                    * (1.0 + 0.01 * f64::from(generation));
                let _ = writeln!(
                    table,
                    "{family}{generation}.{size},amd64,linux,a;b;c,{size},{},{},{},{},{price:.4},{:.4},family={family}",
                    size * 1024 * gib,
                    (size * 15).min(110),
                    60 + size * 3,
                    600 + size * 20,
                    price * 0.35,
                );
            }
        }
    }
    table
}

/// Nodes of 8 and 16 cores in two pools with 20 pods each of 100 deployments; a third of those are spread over zones, a tenth keep
/// apart by host, half have a budget. With `full` they take all but a few hundredths of their nodes, otherwise three quarters.
fn world(nodes: usize, full: bool) -> World {
    let mut text = String::new();
    for pool in ["general", "batch"] {
        let _ = write!(
            text,
            "---\napiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: {pool}}}\nspec:\n  disruption: {{consolidateAfter: 0s, budgets: [{{nodes: 100%}}]}}\n  template: {{spec: {{nodeClassRef: {{group: g, kind: K, name: default}}, requirements: [{{key: kubernetes.io/arch, operator: In, values: [amd64]}}, {{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}}]}}}}\n"
        );
    }
    for app in (0..100).step_by(2) {
        let _ = write!(
            text,
            "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: a{app}, namespace: shop}}\nspec: {{maxUnavailable: 10%, selector: {{matchLabels: {{app: a{app}}}}}}}\nstatus: {{disruptionsAllowed: 20, currentHealthy: 200, desiredHealthy: 180, expectedPods: 200}}\n"
        );
    }
    for index in 0..nodes {
        let zone = ["a", "b", "c"][index % 3];
        let pool = ["general", "batch"][index % 2];
        let (kind, cores) = if index % 4 == 0 {
            ("m6.16", 16)
        } else {
            ("m5.8", 8)
        };
        let labels = format!(
            "kubernetes.io/hostname: n{index:04}, topology.kubernetes.io/zone: {zone}, kubernetes.io/arch: amd64, kubernetes.io/os: linux, node.kubernetes.io/instance-type: {kind}, karpenter.sh/capacity-type: on-demand, karpenter.sh/nodepool: {pool}, karpenter.sh/registered: 'true', karpenter.sh/initialized: 'true'"
        );
        let _ = write!(
            text,
            "---\napiVersion: karpenter.sh/v1\nkind: NodeClaim\nmetadata: {{name: c{index:04}, creationTimestamp: '2026-01-01T00:00:00Z', labels: {{{labels}}}}}\nspec: {{nodeClassRef: {{group: g, kind: K, name: default}}, requirements: [], expireAfter: 720h}}\nstatus: {{nodeName: n{index:04}, conditions: [{{type: Initialized, status: 'True', lastTransitionTime: '2026-01-01T00:01:00Z'}}]}}\n---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{index:04}, labels: {{{labels}}}}}\nstatus: {{capacity: {{cpu: {cores}, memory: {}Gi, pods: 110}}, allocatable: {{cpu: {}m, memory: {}Gi, pods: 110}}, conditions: [{{type: Ready, status: 'True'}}]}}\n",
            cores * 4,
            cores * 1000 - 100,
            cores * 4 - 1,
        );
        for place in 0..20 {
            let app = (index * 20 + place * 7) % 100;
            let spec = match app % 30 {
                0 | 10 | 20 => format!(
                    "affinity: {{podAntiAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 10, podAffinityTerm: {{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: a{app}}}}}}}}}]}}}},"
                ),
                n if n % 3 == 1 => format!(
                    "topologySpreadConstraints: [{{maxSkew: 5, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {{matchLabels: {{app: a{app}}}}}}}],"
                ),
                _ => String::new(),
            };
            let share = match (full, cores) {
                (false, _) => 36,
                (true, 16) => 48,
                (true, _) => 46,
            };
            let milli = cores * share + app % 10 * 5;
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{index}-{place}, namespace: shop, labels: {{app: a{app}}}, ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: a{app}, uid: x, controller: true}}]}}\nspec: {{nodeName: n{index:04}, {spec} containers: [{{name: c, resources: {{requests: {{cpu: {milli}m, memory: {}Mi}}}}}}]}}\nstatus: {{phase: Running, startTime: '2026-01-01T00:02:00Z'}}\n",
                milli * 3
            );
        }
    }
    let mut builder = Builder::new(KarpenterVersion::NEWEST);
    let summary = snapshot::read(&text, &mut |located| builder.add(located.object));
    assert!(summary.errors.is_empty(), "{:?}", summary.errors);
    let table = types();
    let (world, findings) =
        builder.finish(&mut |world, _| instance_csv::parse(&table, &mut world.names).ok());
    assert!(findings.is_empty(), "{findings:?}");
    world
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

fn main() {
    let nodes = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    for full in [false, true] {
        measure(&world(nodes, full), full);
    }
}

fn measure(world: &World, full: bool) {
    assert!(
        world
            .pods
            .iter()
            .all(|pod| pod.owner != OwnerKind::DaemonSet)
    );
    let now: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
    println!(
        "{} nodes, {} pods, {}",
        world.nodes.len(),
        world.pods.len(),
        if full { "full" } else { "with room" }
    );
    let begin = Instant::now();
    let mut planner = Planner::new(world, Options::default());
    let round = Round::new(world, now, Settings::default());
    println!("{:>10.1} ms to look at the world", ms(begin));
    for method in Method::ORDER {
        let start = Instant::now();
        let pass = round.pass(method, &mut planner);
        let found = pass
            .commands
            .first()
            .map_or("nothing".to_owned(), |command| {
                format!(
                    "{:?} of {} nodes, saves {} an hour",
                    command.decision(),
                    command.candidates.len(),
                    command.savings
                )
            });
        println!("{:>10.1} ms for {method}: {found}", ms(start));
    }
    let start = Instant::now();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, answer) in round.each(&mut planner) {
        let answer = match answer {
            Ok(command) => match command.decision() {
                Decision::Delete => "delete".to_owned(),
                Decision::Replace => "replace".to_owned(),
            },
            Err(refusal) => {
                let text = refusal.display(world);
                text.split(',').next().unwrap_or_default().to_owned()
            }
        };
        *counts.entry(answer).or_default() += 1;
    }
    println!("{:>10.1} ms for every node alone: {counts:?}", ms(start));
    println!("{:>10.1} ms in all, {} MiB at most", ms(begin), peak_mib());
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
