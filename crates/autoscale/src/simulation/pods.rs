//! How pods come and go: what their owners do, and daemons.

use crate::names::Value;
use crate::resources::Resources;
use crate::shape::{Effect, PodShape, Taint, untolerated};
use crate::world::{NodeId, OwnerKind, Phase, Pod, PodId, World};

/// What makes a pod that is neither a daemon's nor a StatefulSet's: kind and name, of the outermost owner that is known. The
/// snapshot need not have ReplicaSets; their names end in a hash of their template then.
pub(super) fn controller(world: &World, pod: PodId) -> (&'static str, String) {
    let entry = world.pod(pod);
    let namespace = world.shape_of(pod).namespace;
    let own = world
        .workloads
        .iter()
        .find(|workload| workload.namespace == namespace && workload.name == entry.owner_name);
    let name = world.names.value_text(entry.owner_name);
    if let Some(workload) = own {
        return match workload.owner {
            Some(above) if workload.kind == "ReplicaSet" => {
                ("Deployment", world.names.value_text(above).into_owned())
            }
            _ => (workload.kind, name.into_owned()),
        };
    }
    match without_hash(&name) {
        Some(above) => ("Deployment", above.to_owned()),
        None => ("ReplicaSet", name.into_owned()),
    }
}

/// `web` of `web-7d4b9c6f5d`: a Deployment's ReplicaSets have six to ten letters of a hash in Kubernetes' alphabet.
fn without_hash(name: &str) -> Option<&str> {
    let (above, hash) = name.rsplit_once('-')?;
    let is_hash = (6..=10).contains(&hash.len())
        && hash
            .bytes()
            .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
        && hash.bytes().any(|byte| byte.is_ascii_digit());
    is_hash.then_some(above)
}

/// The pod that an owner makes in the place of one that goes.
pub(super) fn successor(world: &World, pod: PodId, name: String, now: jiff::Timestamp) -> Pod {
    let old = world.pod(pod);
    Pod {
        uid: format!("{name}@{now}").into(),
        name: name.into(),
        node: None,
        phase: Phase::Pending,
        unschedulable: false,
        unready: false,
        preempting: false,
        created: Some(now),
        started: None,
        deleting: None,
        removed: false,
        ..old.clone()
    }
}

/// Whether a daemon runs on a node: taints, selector, affinity (`pkg/controller/daemon/daemon_controller.go` `NodeShouldRunDaemonPod`
/// with the tolerations that the controller adds itself).
pub(super) fn daemon_suits(world: &World, shape: &PodShape, node: NodeId) -> bool {
    let node = world.node(node);
    let taints: Vec<Taint> = node
        .taints
        .iter()
        .copied()
        .filter(|taint| {
            let key = world.names.key_text(taint.key);
            taint.effect != Effect::PreferNoSchedule
                && !matches!(
                    key,
                    "node.kubernetes.io/not-ready"
                        | "node.kubernetes.io/unreachable"
                        | "node.kubernetes.io/disk-pressure"
                        | "node.kubernetes.io/memory-pressure"
                        | "node.kubernetes.io/pid-pressure"
                        | "node.kubernetes.io/unschedulable"
                        | "karpenter.sh/disrupted"
                )
        })
        .collect();
    untolerated(&taints, &shape.tolerations).is_none()
        && shape
            .node_selector
            .iter()
            .all(|(key, value)| node.label(*key) == Some(*value))
        && (!shape.has_required_affinity
            || shape
                .required_terms
                .iter()
                .any(|term| term.matches(&node.labels, node.name, &world.names)))
}

/// The daemons that a node lacks and has room for, and those it has no room for.
pub(super) fn missing_daemons(world: &World, node: NodeId) -> (Vec<usize>, Vec<usize>) {
    let mut free: Resources = world.node(node).allocatable - world.used(node);
    let mut missing = (Vec::new(), Vec::new());
    for (index, set) in world.daemon_sets.iter().enumerate() {
        let shape = world.shape(set.shape);
        let full = world.names.value_text(set.name);
        let name = full.rsplit_once('/').map_or(&*full, |(_, name)| name);
        let there = world.node(node).pods.iter().any(|pod| {
            let entry = world.pod(*pod);
            entry.owner == OwnerKind::DaemonSet
                && world.shape_of(*pod).namespace == shape.namespace
                && world.names.value_text(entry.owner_name) == name
        });
        if there || !daemon_suits(world, shape, node) {
            continue;
        }
        if shape.requests.fit(&free) {
            free -= shape.requests;
            missing.0.push(index);
        } else {
            missing.1.push(index);
        }
    }
    missing
}

/// A daemon's pod.
pub(super) fn daemon(world: &mut World, set: usize, suffix: &str, now: jiff::Timestamp) -> Pod {
    let shape = world.daemon_sets[set].shape;
    let full = world
        .names
        .value_text(world.daemon_sets[set].name)
        .into_owned();
    let own = full.rsplit_once('/').map_or(&*full, |(_, name)| name);
    let owner_name: Value = world.names.value(own);
    let name = format!("{own}-{suffix}");
    Pod {
        uid: format!("{name}@{now}").into(),
        name: name.into(),
        shape,
        node: None,
        owner: OwnerKind::DaemonSet,
        owner_name,
        phase: Phase::Running,
        unschedulable: false,
        unready: false,
        preempting: false,
        created: Some(now),
        started: Some(now),
        deleting: None,
        deletion_cost: 0,
        do_not_disrupt: None,
        grace_seconds: 30,
        removed: false,
    }
}
