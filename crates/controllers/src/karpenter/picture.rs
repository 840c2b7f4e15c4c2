//! From the view to the world that decisions are made on.

use std::collections::BTreeMap;

use autoscale::ec2_types::{self, Place};
use autoscale::instances::{CapacityType, InstanceType};
use autoscale::names::Names;
use autoscale::resources::ResourceNames;
use autoscale::version::KarpenterVersion;
use autoscale::world::{Builder, World};
use catalog::ids::Region;
use catalog::instance_types::{SPOT_RATIO, table};
use jiff::Timestamp;
use objects::snapshot::Object;

use super::memory::Kept;
use crate::View;
use crate::document::Named;

/// The names that worlds have in common: what was decided on one still means the same on the next.
#[derive(Debug, Default)]
pub(super) struct Painter {
    names: Names,
    resources: ResourceNames,
    /// The instance types of node classes, by the class' name.
    types: BTreeMap<String, Types>,
}

/// Instance types as they were made, and of what.
#[derive(Debug)]
struct Types {
    class: Option<String>,
    /// How many names of resources there were: another one may be what a type has.
    resources: usize,
    memory: BTreeMap<String, i64>,
    made: Vec<InstanceType>,
}

/// Where instance types come from in this cluster.
pub(super) fn place(view: &View) -> Option<Place<'static>> {
    Some(Place {
        table: table(),
        offerings: None,
        region: Region::new(&view.cloud.region).ok()?,
        zones: Vec::new(),
        memory: memory(view),
        spot_ratio: SPOT_RATIO,
    })
}

/// The memory that Karpenter's nodes report, by type: it takes it in the place of its estimate.
fn memory(view: &View) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for (_, node) in view.nodes.iter() {
        let (Some(kind), Some(_)) = (
            node.label("node.kubernetes.io/instance-type"),
            node.label(super::POOL),
        ) else {
            continue;
        };
        let bytes = node
            .status
            .as_ref()
            .and_then(|status| status.capacity.as_ref()?.get("memory"))
            .and_then(|text| text.0.parse::<objects::Quantity>().ok())
            .map(objects::Quantity::units);
        if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
            let known = all.entry(kind.to_owned()).or_insert(bytes);
            *known = (*known).min(bytes);
        }
    }
    all
}

/// How a capacity type is bought.
pub(super) fn capacity_type(spot: bool) -> CapacityType {
    if spot {
        CapacityType::Spot
    } else {
        CapacityType::OnDemand
    }
}

impl Painter {
    /// The world as it is now.
    pub(super) fn paint(&mut self, view: &View, kept: &mut Kept, now: Timestamp) -> World {
        let mut world = World::new(KarpenterVersion::NEWEST);
        world.names = std::mem::take(&mut self.names);
        world.resources = std::mem::take(&mut self.resources);
        let mut builder = Builder::from_world(world);
        for (_, object) in view.namespaces.iter() {
            builder.add(Object::Namespace(Box::new((**object).clone())));
        }
        for (_, object) in view.priority_classes.iter() {
            builder.add(Object::PriorityClass(Box::new((**object).clone())));
        }
        for (_, object) in view.storage_classes.iter() {
            builder.add(Object::StorageClass(Box::new((**object).clone())));
        }
        for (_, object) in view.persistent_volumes.iter() {
            builder.add(Object::PersistentVolume(Box::new((**object).clone())));
        }
        for (_, object) in view.persistent_volume_claims.iter() {
            builder.add(Object::PersistentVolumeClaim(Box::new((**object).clone())));
        }
        for (_, object) in view.csi_nodes.iter() {
            builder.add(Object::CsiNode(Box::new((**object).clone())));
        }
        for (_, object) in view.daemon_sets.iter() {
            builder.add_daemon_set(object);
        }
        for (_, object) in view.pod_disruption_budgets.iter() {
            builder.add_disruption_budget(object);
        }
        for (_, object) in view.ec2_node_classes.iter() {
            builder.add(Object::Ec2NodeClass(Box::new((**object).clone())));
        }
        for (_, object) in view.node_pools.iter() {
            builder.add(Object::NodePool(Box::new((**object).clone())));
        }
        for (_, object) in view.node_claims.iter() {
            builder.add(Object::NodeClaim(Box::new((**object).clone())));
        }
        for (_, object) in view.nodes.iter() {
            builder.add(Object::Node(Box::new((**object).clone())));
        }
        for (_, object) in view.pods.iter() {
            builder.add_pod(object);
        }
        let place = place(view);
        let known = &mut self.types;
        let (mut world, _) = builder.finish(&mut |world, class| {
            let (class, place) = (class.object?, place.as_ref()?);
            let version = class.metadata.resource_version.clone();
            let resources = world.resources.len();
            let types = known.get(class.name()).filter(|types| {
                (&types.class, types.resources) == (&version, resources)
                    && types.memory == place.memory
            });
            if let Some(types) = types {
                return Some(types.made.clone());
            }
            let made = ec2_types::of_class(world, Some(class), place);
            let types = Types {
                class: version,
                resources: world.resources.len(),
                memory: place.memory.clone(),
                made: made.clone(),
            };
            known.insert(class.name().to_owned(), types);
            Some(made)
        });
        for (kind, zone, spot) in &kept.unavailable(now) {
            set_available(&mut world, kind, zone, *spot);
        }
        let nominated = kept.nominated(now);
        let names = &world.names;
        for node in &mut world.nodes {
            let name = names.value_text(node.name);
            let claim = node.claim.as_ref().map(|claim| claim.name.as_str());
            node.nominated_until = nominated
                .get(&*name)
                .into_iter()
                .chain(claim.and_then(|claim| nominated.get(claim)))
                .copied()
                .max();
            node.deleting |= claim.is_some_and(|claim| kept.holds(claim));
        }
        self.names.clone_from(&world.names);
        self.resources.clone_from(&world.resources);
        world
    }
}

fn set_available(world: &mut World, kind: &str, zone: &str, spot: bool) {
    let (Some(kind), Some(zone)) = (world.names.find_value(kind), world.names.find_value(zone))
    else {
        return;
    };
    for types in &mut world.type_sets {
        types.set_available(kind, zone, capacity_type(spot), false);
    }
}
