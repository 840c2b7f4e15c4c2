//! Nodes that are there, as pods are tried on them.

use super::templates::daemon_terms;
use crate::names::{Key, Value};
use crate::requirement::{Requirement, Requirements, Undefined};
use crate::resources::Resources;
use crate::shape::{HostPort, untolerated};
use crate::world::{NodeId, OwnerKind, Stage, World};

/// A node that is there (`existingnode.go:46`).
#[derive(Debug)]
pub(super) struct NodeState {
    pub id: NodeId,
    /// What is left after its pods and the daemons that are still to come.
    pub free: Resources,
    pub ports: Vec<HostPort>,
    /// Claims that are mounted, by driver.
    pub volumes: Vec<(Value, Value)>,
}

/// The requirements of every node of the world: its labels and its host name.
pub(super) fn requirements(world: &World) -> Vec<Requirements> {
    world
        .nodes
        .iter()
        .map(|node| {
            let mut all = Requirements::of_labels(&node.labels);
            all.set(Requirement::is(Key::HOSTNAME, node.hostname()));
            all
        })
        .collect()
}

/// The nodes in the order in which pods are tried on them: initialised ones first, then by name (`scheduler.go:845`).
pub(super) fn nodes(world: &World, requirements: &[Requirements]) -> Vec<NodeState> {
    let mut order: Vec<(bool, String, NodeId)> = world
        .live_nodes()
        .filter(|(_, node)| !node.deleting)
        .map(|(id, node)| {
            let name = world.names.value_text(node.name).into_owned();
            (node.stage != Stage::Initialized, name, id)
        })
        .collect();
    order.sort_unstable();
    order
        .into_iter()
        .map(|(_, _, id)| state(world, id, &requirements[id.0 as usize]))
        .collect()
}

fn state(world: &World, id: NodeId, requirements: &Requirements) -> NodeState {
    let node = world.node(id);
    let mut daemons = Resources::ZERO;
    for daemon in &world.daemon_sets {
        let shape = world.shape(daemon.shape);
        let suits = untolerated(&node.taints, &shape.tolerations).is_none()
            && daemon_terms(world, shape).first().is_some_and(|term| {
                requirements
                    .compatible(term, &world.names, Undefined::Denied)
                    .is_ok()
            });
        if suits {
            daemons += shape.requests;
        }
    }
    let mut used = Resources::ZERO;
    let mut ports = Vec::new();
    let mut volumes = Vec::new();
    for pod in &node.pods {
        if !world.pod(*pod).takes_room() {
            continue;
        }
        let shape = world.shape_of(*pod);
        used += shape.requests;
        if world.pod(*pod).owner == OwnerKind::DaemonSet {
            daemons -= shape.requests;
        }
        ports.extend_from_slice(&shape.ports);
        volumes.extend(mounts(world, &shape.claims));
    }
    // Daemons that came unexpectedly make no room (`existingnode.go:55`).
    NodeState {
        id,
        free: node.allocatable - used - daemons.clamped(),
        ports,
        volumes,
    }
}

/// The claims that a driver counts.
pub(super) fn mounts<'a>(
    world: &'a World,
    claims: &'a [Value],
) -> impl Iterator<Item = (Value, Value)> + 'a {
    claims
        .iter()
        .filter_map(|claim| Some((world.volumes.get(claim)?.driver?, *claim)))
}

/// Whether a node takes these claims besides those it has (`volumeusage.go:190` `ExceedsLimits`).
pub(super) fn takes_volumes(world: &World, node: &NodeState, claims: &[Value]) -> bool {
    if claims.is_empty() {
        return true;
    }
    world
        .node(node.id)
        .volume_limits
        .iter()
        .all(|(driver, limit)| {
            let mut all: Vec<Value> = node
                .volumes
                .iter()
                .copied()
                .chain(mounts(world, claims))
                .filter(|(of, _)| of == driver)
                .map(|(_, claim)| claim)
                .collect();
            all.sort_unstable();
            all.dedup();
            all.len() <= *limit as usize
        })
}
