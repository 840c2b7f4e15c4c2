//! EC2's instance types as decisions see them: those of the catalogue, sized as a node class sets them up.

use std::collections::BTreeMap;

use catalog::ids::Region;
use catalog::instance_types::{
    self as facts, AmiFamily, EvictionHard, NodeSettings, Offerings, PodLimits, Reservation,
    SpotRatio, Table, Threshold,
};
use objects::Quantity;
use objects::ec2nodeclass::{Ec2NodeClass, Kubelet};

use crate::instances::{CapacityType, InstanceType, MicroUsd, Offering};
use crate::names::Key;
use crate::requirement::{Requirement, Requirements};
use crate::resources::{Resource, Resources};
use crate::world::World;

/// What is known of a cluster that decides what its types are.
#[derive(Debug)]
pub struct Place<'a> {
    /// The types and their prices.
    pub table: &'a Table,
    /// What was fetched of zones and prices; without it every type is in every zone.
    pub offerings: Option<&'a Offerings>,
    /// Where the cluster is.
    pub region: Region,
    /// Zones in which nodes are, for classes that don't say theirs.
    pub zones: Vec<String>,
    /// The memory that nodes of a type report: Karpenter takes it in the place of its estimate.
    pub memory: BTreeMap<String, i64>,
    /// Spot prices as a share of the on-demand price, where nobody knows them.
    pub spot_ratio: SpotRatio,
}

/// The instance types of a node class; the default settings where there is none.
pub fn of_class(
    world: &mut World,
    class: Option<&Ec2NodeClass>,
    place: &Place<'_>,
) -> Vec<InstanceType> {
    let settings = class.map_or_else(NodeSettings::default, settings);
    let mut zones: Vec<String> = class
        .and_then(|class| class.status.as_ref())
        .into_iter()
        .flat_map(|status| &status.subnets)
        .map(|subnet| subnet.zone.clone())
        .collect();
    if zones.is_empty() {
        zones.clone_from(&place.zones);
    }
    zones.sort_unstable();
    zones.dedup();
    place
        .table
        .types()
        .iter()
        .filter_map(|of| one(world, of, &settings, &zones, place))
        .collect()
}

fn one(
    world: &mut World,
    of: &catalog::instance_types::InstanceType,
    settings: &NodeSettings,
    zones: &[String],
    place: &Place<'_>,
) -> Option<InstanceType> {
    let sold = sold(of, zones, place);
    if sold.is_empty() {
        return None;
    }
    let size = of.node_size(settings);
    let mut capacity = resources(&size.capacity);
    if let Some(memory) = place.memory.get(of.name()) {
        capacity[Resource::MEMORY] = *memory;
    }
    for (name, amount) in of.extended_resources() {
        if let Some(resource) = world.resources.find(name) {
            capacity[resource] = i64::from(amount);
        }
    }
    let names = &mut world.names;
    let mut requirements = Requirements::default();
    for (key, value) in of.labels() {
        let key = names.key(key);
        let value = names.value(&value);
        requirements.set(Requirement::is(key, value));
    }
    let region = names.value(place.region.as_str());
    requirements.set(Requirement::is(Key::REGION, region));
    let offerings: Vec<Offering> = sold
        .iter()
        .map(|(zone, capacity_type, price)| Offering {
            zone: names.value(zone),
            capacity_type: *capacity_type,
            price: *price,
            available: true,
        })
        .collect();
    let zones = offerings.iter().map(|offering| offering.zone).collect();
    requirements.set(Requirement::one_of(Key::ZONE, zones));
    let bought = offerings
        .iter()
        .map(|offering| offering.capacity_type.value())
        .collect();
    requirements.set(Requirement::one_of(Key::CAPACITY_TYPE, bought));
    Some(InstanceType {
        name: names.value(of.name()),
        requirements,
        capacity,
        overhead: resources(&size.overhead()),
        offerings,
        exotic: of.is_exotic(),
    })
}

/// Where and how a type can be had, and for how much: as it was fetched, else in every zone at the list price. A Spot price that
/// nobody knows is estimated.
fn sold<'a>(
    of: &facts::InstanceType,
    zones: &'a [String],
    place: &Place<'a>,
) -> Vec<(&'a str, CapacityType, MicroUsd)> {
    let micro =
        |price: facts::HourlyPrice| MicroUsd(i64::try_from(price.micro_usd()).unwrap_or(i64::MAX));
    let listed = place
        .table
        .on_demand(of, &place.region)
        .map(|price| price.per_hour());
    let estimate = listed.map(|price| price.spot_estimate(place.spot_ratio));
    if let Some(offerings) = place.offerings {
        return offerings
            .of(of.name())
            .iter()
            .filter(|offering| zones.iter().any(|zone| **zone == *offering.zone))
            .filter_map(|offering| {
                let (kind, otherwise) = match offering.capacity_type {
                    facts::CapacityType::OnDemand => (CapacityType::OnDemand, listed),
                    facts::CapacityType::Spot => (CapacityType::Spot, estimate),
                };
                let price = offering.price.or(otherwise)?;
                Some((&*offering.zone, kind, micro(price)))
            })
            .collect();
    }
    let (Some(listed), Some(estimate)) = (listed, estimate) else {
        return Vec::new();
    };
    zones
        .iter()
        .flat_map(|zone| {
            [
                (zone.as_str(), CapacityType::Spot, micro(estimate)),
                (zone.as_str(), CapacityType::OnDemand, micro(listed)),
            ]
        })
        .collect()
}

fn resources(of: &catalog::instance_types::Resources) -> Resources {
    let mut all = Resources::new(of.cpu_milli, of.memory_bytes, of.pods);
    all[Resource::EPHEMERAL_STORAGE] = of.ephemeral_storage_bytes;
    all
}

/// How a class sets its nodes up.
fn settings(class: &Ec2NodeClass) -> NodeSettings {
    let spec = &class.spec;
    let family = spec.ami_family.clone().or_else(|| {
        let mut terms = spec.ami_selector_terms.iter();
        terms.find_map(|term| term.alias.clone())
    });
    let bottlerocket =
        family.is_some_and(|family| family.to_ascii_lowercase().starts_with("bottlerocket"));
    let defaults = NodeSettings::default();
    let kubelet = spec.kubelet.clone().unwrap_or_default();
    let root = spec
        .block_device_mappings
        .iter()
        .find(|mapping| mapping.root_volume)
        .or_else(|| {
            let device = if bottlerocket {
                "/dev/xvdb"
            } else {
                "/dev/xvda"
            };
            spec.block_device_mappings
                .iter()
                .find(|mapping| mapping.device_name.as_deref() == Some(device))
        })
        .and_then(|mapping| mapping.ebs.as_ref()?.volume_size.as_ref())
        .and_then(|size| size.0.parse::<Quantity>().ok())
        .map(|size| size.units());
    NodeSettings {
        ami_family: if bottlerocket {
            AmiFamily::Bottlerocket
        } else {
            AmiFamily::Al2023
        },
        pods: PodLimits {
            max_pods: kubelet.max_pods.and_then(|pods| u32::try_from(pods).ok()),
            pods_per_core: kubelet
                .pods_per_core
                .and_then(|pods| u32::try_from(pods).ok()),
            ..PodLimits::default()
        },
        kube_reserved: reservation(&kubelet.kube_reserved),
        system_reserved: reservation(&kubelet.system_reserved),
        eviction_hard: eviction(&kubelet),
        root_volume_bytes: root.unwrap_or(defaults.root_volume_bytes),
        local_disks_as_raid0: spec.instance_store_policy.as_deref() == Some("RAID0"),
        ..defaults
    }
}

fn reservation(list: &objects::karpenter::ResourceList) -> Reservation {
    let quantity = |name: &str| list.get(name)?.0.parse::<Quantity>().ok();
    Reservation {
        cpu_milli: quantity("cpu").map(|quantity| quantity.milli()),
        memory_bytes: quantity("memory").map(|quantity| quantity.units()),
        ephemeral_storage_bytes: quantity("ephemeral-storage").map(|quantity| quantity.units()),
    }
}

fn eviction(kubelet: &Kubelet) -> EvictionHard {
    let threshold = |signal: &str| {
        let text = kubelet.eviction_hard.get(signal)?;
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Threshold::Percent),
            None => {
                let quantity: Quantity = text.parse().ok()?;
                Some(Threshold::Bytes(quantity.units()))
            }
        }
    };
    EvictionHard {
        memory_available: threshold("memory.available"),
        nodefs_available: threshold("nodefs.available"),
    }
}
