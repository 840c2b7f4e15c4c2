//! The cluster as an answer shows it.

use crate::answer::{Amounts, Cost, NodePicture, Phase, Picture, PodPicture};
use crate::instances::{CapacityType, MicroUsd};
use crate::names::Key;
use crate::resources::{Resource, Resources};
use crate::world::{NodeId, OwnerKind, PodId, Stage, World};

/// Hours of a month, as AWS counts them.
const HOURS: f64 = 730.0;

/// What nodes cost together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spending {
    /// Of those whose price is known.
    pub price: MicroUsd,
    /// How many nodes have no known price.
    pub without_price: usize,
}

/// US dollars of a price.
#[allow(clippy::cast_precision_loss)]
pub(super) fn usd(price: MicroUsd) -> f64 {
    price.0 as f64 / 1e6
}

/// What a node costs an hour. Nodes of EKS's managed groups say in a label of their own how they were bought.
pub(super) fn price(world: &World, id: NodeId) -> Option<MicroUsd> {
    world.price(id).or_else(|| {
        let node = world.node(id);
        let bought = node.label(world.names.find_key("eks.amazonaws.com/capacityType")?)?;
        let bought = match &*world.names.value_text(bought) {
            "ON_DEMAND" => CapacityType::OnDemand,
            "SPOT" => CapacityType::Spot,
            _ => return None,
        };
        let (name, zone) = (node.label(Key::INSTANCE_TYPE)?, node.label(Key::ZONE)?);
        world
            .type_sets
            .iter()
            .find_map(|types| types.get(types.find(name)?).price(zone, bought))
    })
}

pub(super) fn spending(world: &World) -> Spending {
    let mut all = Spending::default();
    for (id, _) in world.live_nodes() {
        match price(world, id) {
            Some(price) => all.price.0 += price.0,
            None => all.without_price += 1,
        }
    }
    all
}

pub(super) fn cost(before: Spending, after: Spending, spot_is_estimated: bool) -> Cost {
    let (before_hour, after_hour) = (usd(before.price), usd(after.price));
    Cost {
        before_usd_per_hour: before_hour,
        after_usd_per_hour: after_hour,
        before_usd_per_month: before_hour * HOURS,
        after_usd_per_month: after_hour * HOURS,
        nodes_without_price: before.without_price.max(after.without_price),
        spot_is_estimated,
    }
}

/// The cluster as it is.
#[must_use]
pub fn picture(world: &World) -> Picture {
    let mut nodes: Vec<NodePicture> = world.live_nodes().map(|(id, _)| node(world, id)).collect();
    nodes.sort_by(|a, b| (&a.nodepool, &a.name).cmp(&(&b.nodepool, &b.name)));
    let mut pending: Vec<PodPicture> = world
        .live_pods()
        .filter(|(_, pod)| pod.node.is_none() && pod.is_active())
        .map(|(id, _)| pod(world, id))
        .collect();
    pending.sort_by(|a, b| a.name.cmp(&b.name));
    Picture { nodes, pending }
}

fn node(world: &World, id: NodeId) -> NodePicture {
    let node = world.node(id);
    let text = |key| {
        node.label(key)
            .map(|value| world.names.value_text(value).into_owned())
    };
    let mut requested = Resources::ZERO;
    let mut daemons = Resources::ZERO;
    let mut pods = Vec::new();
    for pod_id in &node.pods {
        let entry = world.pod(*pod_id);
        if !entry.takes_room() {
            continue;
        }
        let requests = world.shape_of(*pod_id).requests;
        requested += requests;
        if entry.owner == OwnerKind::DaemonSet {
            daemons += requests;
        }
        pods.push(pod(world, *pod_id));
    }
    pods.sort_by(|a, b| {
        (a.daemon, -a.cpu_milli, -a.memory_bytes, &a.name).cmp(&(
            b.daemon,
            -b.cpu_milli,
            -b.memory_bytes,
            &b.name,
        ))
    });
    NodePicture {
        name: world.names.value_text(node.name).into_owned(),
        nodepool: text(Key::NODE_POOL),
        instance_type: text(Key::INSTANCE_TYPE),
        zone: text(Key::ZONE),
        capacity_type: text(Key::CAPACITY_TYPE),
        usd_per_hour: price(world, id).map(usd),
        phase: if node.deleting {
            Phase::Deleting
        } else if node.stage != Stage::Initialized {
            Phase::Launching
        } else if node.unschedulable || !node.ready {
            Phase::Closed
        } else {
            Phase::Ready
        },
        allocatable: amounts(&node.allocatable),
        requested: amounts(&requested),
        daemons: amounts(&daemons),
        pods,
    }
}

fn amounts(all: &Resources) -> Amounts {
    Amounts {
        cpu_milli: all[Resource::CPU],
        memory_bytes: all[Resource::MEMORY],
        pods: all[Resource::PODS],
    }
}

fn pod(world: &World, id: PodId) -> PodPicture {
    let entry = world.pod(id);
    let requests = &world.shape_of(id).requests;
    PodPicture {
        name: world.pod_name(id),
        owner: owner(world, id),
        daemon: entry.owner == OwnerKind::DaemonSet,
        cpu_milli: requests[Resource::CPU],
        memory_bytes: requests[Resource::MEMORY],
    }
}

/// `Deployment/web`: the outermost owner that is known.
pub(super) fn owner(world: &World, id: PodId) -> Option<String> {
    let entry = world.pod(id);
    let name = world.names.value_text(entry.owner_name);
    Some(match entry.owner {
        OwnerKind::None => return None,
        OwnerKind::DaemonSet => format!("DaemonSet/{name}"),
        OwnerKind::StatefulSet => format!("StatefulSet/{name}"),
        OwnerKind::Node => format!("Node/{name}"),
        _ => {
            let (kind, name) = super::pods::controller(world, id);
            format!("{kind}/{name}")
        }
    })
}
