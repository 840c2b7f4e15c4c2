//! Small clusters of managed nodes.

use jiff::Timestamp;
use objects::snapshot;

use crate::instance_csv;
use crate::karpenter::disruption::{Command, Method, Pass, Refusal, Round, Settings};
use crate::karpenter::provisioning::{Options, Planner};
use crate::testing::running;
use crate::version::KarpenterVersion;
use crate::world::{Builder, World};

const HEADER: &str = "instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,spot_usd_per_hour,labels\n";

/// 2, 4, 8 and 16 cores for 0.10, 0.20, 0.40 and 0.80 dollars an hour, spot at half of it.
pub const TYPES: &str = "s,amd64,linux,a;b;c,2,8192,20,100,512,0.10,0.05,
m,amd64,linux,a;b;c,4,16384,40,100,512,0.20,0.10,
l,amd64,linux,a;b;c,8,32768,80,100,512,0.40,0.20,
xl,amd64,linux,a;b;c,16,65536,110,100,512,0.80,0.40,
";

/// Monday noon.
pub fn noon() -> Timestamp {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

/// A pool with more of its disruption section and of its requirements, both in flow style.
pub fn pool(name: &str, disruption: &str, requirements: &str) -> String {
    format!(
        "---\napiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: {name}}}\nspec:\n  disruption: {{{disruption}}}\n  template: {{spec: {{nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}, requirements: [{requirements}]}}}}\n"
    )
}

/// A pool whose budgets let everything go at once.
pub fn open(name: &str) -> String {
    pool(
        name,
        "consolidateAfter: 0s, budgets: [{nodes: 100%}]",
        ON_DEMAND,
    )
}

pub const ON_DEMAND: &str = "{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}";
pub const SPOT: &str = "{key: karpenter.sh/capacity-type, operator: In, values: [spot]}";

/// An initialised node of a pool, made and initialised a day ago, in zone a.
pub fn node(name: &str, pool: &str, kind: &str) -> String {
    managed(name, pool, kind, "on-demand", "")
}

/// The same by capacity type and with more of the claim's spec.
pub fn managed(name: &str, pool: &str, kind: &str, bought: &str, spec: &str) -> String {
    let cores = match kind {
        "s" => 2,
        "l" => 8,
        "xl" => 16,
        kind if kind.starts_with('t') => 2,
        _ => 4,
    };
    let labels = format!(
        "kubernetes.io/hostname: {name}, topology.kubernetes.io/zone: a, kubernetes.io/arch: amd64, kubernetes.io/os: linux, node.kubernetes.io/instance-type: {kind}, karpenter.sh/capacity-type: {bought}, karpenter.sh/nodepool: {pool}, karpenter.sh/registered: 'true', karpenter.sh/initialized: 'true'"
    );
    format!(
        "---\napiVersion: karpenter.sh/v1\nkind: NodeClaim\nmetadata: {{name: {name}, creationTimestamp: '2026-01-04T12:00:00Z', labels: {{{labels}}}}}\nspec: {{nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}, requirements: []{spec}}}\nstatus: {{nodeName: {name}, conditions: [{{type: Initialized, status: 'True', lastTransitionTime: '2026-01-04T12:00:00Z'}}]}}\n---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\nstatus: {{capacity: {{cpu: {cores}, memory: {}Gi, pods: 110}}, allocatable: {{cpu: {}m, memory: {}Mi, pods: 110}}, conditions: [{{type: Ready, status: 'True'}}]}}\n",
        cores * 4,
        cores * 1000 - 100,
        cores * 4096 - 512,
    )
}

/// A pod of a ReplicaSet on a node; `spec` is more of its spec, in flow style.
pub fn on(node: &str, name: &str, app: &str, cpu: &str, spec: &str) -> String {
    running(name, app, cpu, node, spec).replace(
        &format!("labels: {{app: {app}}}}}\n"),
        &format!(
            "labels: {{app: {app}}}, ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {app}, uid: u, controller: true}}]}}\n"
        ),
    )
}

/// The same with annotations.
pub fn noted(node: &str, name: &str, app: &str, cpu: &str, annotations: &str) -> String {
    on(node, name, app, cpu, "").replace(
        "namespace: shop,",
        &format!("namespace: shop, annotations: {{{annotations}}},"),
    )
}

/// A budget of the pods of an app.
pub fn pdb(name: &str, app: &str, spec: &str, allowed: u32) -> String {
    format!(
        "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}, selector: {{matchLabels: {{app: {app}}}}}}}\nstatus: {{disruptionsAllowed: {allowed}, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3}}\n"
    )
}

/// `count` types of 2 cores, t01 for 0.02 dollars, each dearer than the one before; spot at half of it.
pub fn ladder(count: usize) -> String {
    (1..=count)
        .map(|index| {
            format!(
                "t{index:02},amd64,linux,a;b;c,2,8192,20,100,512,{:.3},{:.4},\n",
                0.02 * index as f64,
                0.01 * index as f64
            )
        })
        .collect()
}

pub fn with_types(yaml: &str, types: &str, version: &str) -> World {
    let mut builder = Builder::new(version.parse::<KarpenterVersion>().unwrap());
    let summary = snapshot::read(yaml, &mut |located| builder.add(located.object));
    assert_eq!(summary.errors, [], "{yaml}");
    assert_eq!(summary.findings, [], "{yaml}");
    let table = format!("{HEADER}{types}");
    let (world, findings) = builder.finish(&mut |world, _| {
        Some(instance_csv::parse(&table, &mut world.names).expect("a table"))
    });
    assert_eq!(findings, []);
    world
}

pub fn world(parts: &[String]) -> World {
    with_types(&parts.concat(), TYPES, "1.14")
}

pub fn world_of(version: &str, parts: &[String]) -> World {
    with_types(&parts.concat(), TYPES, version)
}

pub fn pass_at(world: &World, method: Method, now: Timestamp, settings: Settings) -> Pass {
    let mut planner = Planner::new(world, Options::default());
    Round::new(world, now, settings).pass(method, &mut planner)
}

pub fn pass(world: &World, method: Method) -> Pass {
    pass_at(world, method, noon(), Settings::default())
}

/// The first method that does something, with its first command.
pub fn first(world: &World) -> Option<Command> {
    let mut planner = Planner::new(world, Options::default());
    Round::new(world, noon(), Settings::default())
        .next(Method::Emptiness, &mut planner)
        .ok()
        .map(|mut pass| pass.commands.remove(0))
}

pub fn names(world: &World, command: &Command) -> Vec<String> {
    command
        .candidates
        .iter()
        .map(|node| world.names.value_text(world.node(*node).name).into_owned())
        .collect()
}

/// The names of the types that a command's only replacement may be, in the table's order.
pub fn types(world: &World, command: &Command) -> Vec<String> {
    let [claim] = &command.replacements[..] else {
        panic!("{} replacements", command.replacements.len());
    };
    let set = &world.type_sets[claim.type_set.0 as usize];
    claim
        .types
        .iter()
        .map(|index| world.names.value_text(set.get(index).name).into_owned())
        .collect()
}

pub fn refusal(world: &World, pass: &Pass, node: &str) -> Refusal {
    let id = world.find_node(node).unwrap();
    let found = pass.refusals.iter().find(|(other, _)| *other == id);
    found
        .unwrap_or_else(|| panic!("{node}: {pass:?}"))
        .1
        .clone()
}

/// Why a node is left alone by a method, in words.
pub fn why(world: &World, method: Method, node: &str) -> String {
    refusal(world, &pass(world, method), node).display(world)
}

/// All that blocks a node, in words.
pub fn blockers(world: &World, node: &str) -> Vec<String> {
    let id = world.find_node(node).unwrap();
    Round::new(world, noon(), Settings::default())
        .blocked()
        .iter()
        .filter(|(other, _)| *other == id)
        .flat_map(|(_, all)| all.iter().map(|refusal| refusal.display(world)))
        .collect()
}
