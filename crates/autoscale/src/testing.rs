//! Small worlds for tests, from YAML and a table of types.

use objects::snapshot;

use crate::instance_csv;
use crate::version::KarpenterVersion;
use crate::world::{Builder, PodId, World};

/// Five types: s, m, l of 2, 4 and 8 cores in zones a, b and c, spot at half the price; a GPU-less metal and an arm one.
pub const TYPES: &str = "instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,spot_usd_per_hour,labels
s,amd64,linux,a;b;c,2,8192,20,100,512,0.10,0.05,size=2;family=x
m,amd64,linux,a;b;c,4,16384,40,100,512,0.20,0.10,size=4;family=x
l,amd64,linux,a;b;c,8,32768,80,100,512,0.40,0.20,size=8;family=y
big.metal,amd64,linux,a,64,262144,200,100,512,0.30,0.01,size=64;family=z
arm,arm64,linux,a;b,4,16384,40,100,512,0.16,0.08,size=4;family=g
";

pub const POOL: &str = "apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements:
      - {key: kubernetes.io/arch, operator: In, values: [amd64]}
";

/// A world of YAML documents.
pub fn world(yaml: &str) -> World {
    let mut builder = Builder::new(KarpenterVersion::NEWEST);
    let summary = snapshot::read(yaml, &mut |located| builder.add(located.object));
    assert_eq!(summary.errors, [], "{yaml}");
    assert_eq!(summary.findings, [], "{yaml}");
    let (world, findings) =
        builder.finish(&mut |world, _| instance_csv::parse(TYPES, &mut world.names).ok());
    assert_eq!(findings, []);
    world
}

/// A pending pod with more of a spec (flow style, without braces) and labels `app: <app>`.
pub fn pod(name: &str, app: &str, cpu: &str, spec: &str) -> String {
    let spec = if spec.is_empty() {
        String::new()
    } else {
        format!(", {spec}")
    };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}\nspec: {{containers: [{{name: c, resources: {{requests: {{cpu: {cpu}, memory: 100Mi}}}}}}]{spec}}}\nstatus: {{phase: Pending, conditions: [{{type: PodScheduled, status: 'False', reason: Unschedulable}}]}}\n"
    )
}

/// A node of 4 cores in a zone, with more labels (flow style) and more of its spec.
pub fn node(name: &str, zone: &str, labels: &str, spec: &str) -> String {
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!(", {labels}")
    };
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{kubernetes.io/hostname: {name}, topology.kubernetes.io/zone: {zone}, kubernetes.io/arch: amd64, kubernetes.io/os: linux, node.kubernetes.io/instance-type: m, karpenter.sh/capacity-type: on-demand, karpenter.sh/nodepool: general{labels}}}}}\nspec: {{{spec}}}\nstatus: {{capacity: {{cpu: 4, memory: 16Gi, pods: 40}}, allocatable: {{cpu: 3900m, memory: 15Gi, pods: 40}}, conditions: [{{type: Ready, status: 'True'}}]}}\n"
    )
}

/// A pod that runs on a node.
pub fn running(name: &str, app: &str, cpu: &str, node: &str, spec: &str) -> String {
    let more = if spec.is_empty() {
        String::new()
    } else {
        format!(", {spec}")
    };
    pod(name, app, cpu, &format!("nodeName: {node}{more}")).replace(
        "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable}]}",
        "status: {phase: Running}",
    )
}

/// Every pod that waits.
pub fn pending(world: &World) -> Vec<PodId> {
    crate::karpenter::provisioning::pods_to_provision(world)
}

pub fn spread(key: &str, app: &str, when: &str) -> String {
    format!(
        "topologySpreadConstraints: [{{maxSkew: 1, topologyKey: {key}, whenUnsatisfiable: {when}, labelSelector: {{matchLabels: {{app: {app}}}}}}}]"
    )
}

pub fn anti_affinity(key: &str, app: &str) -> String {
    format!(
        "affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: {key}, labelSelector: {{matchLabels: {{app: {app}}}}}}}]}}}}"
    )
}

pub fn affinity(key: &str, app: &str) -> String {
    anti_affinity(key, app).replace("podAntiAffinity", "podAffinity")
}
