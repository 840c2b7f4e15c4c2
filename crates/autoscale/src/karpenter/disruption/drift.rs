//! Whether a node is still what its pool asks for.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::instances::CapacityType;
use crate::names::Key;
use crate::requirement::{Requirements, Undefined};
use crate::world::{Node, NodeId, PoolId, SpecHash, World};

/// How often a claim is looked at (`nodeclaim/disruption/drift.go:82`).
pub const RECHECK: Duration = Duration::from_secs(300);

/// How old a claim has to be before a missing instance type counts (`drift.go:97`).
const TYPES_AFTER: Duration = Duration::from_secs(3600);

/// Why a node is drifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftReason {
    /// The pool's template changed.
    NodePool,
    /// The pool's requirements don't allow the node's labels any more.
    Requirements,
    /// Its instance type isn't offered any more.
    InstanceTypeNotFound,
    /// The node class changed.
    NodeClass,
    /// What only the cloud can tell (`AMIDrift`, `SubnetDrift`, …), as the snapshot has it.
    Other(String),
}

impl fmt::Display for DriftReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodePool => "NodePoolDrifted",
            Self::Requirements => "RequirementsDrifted",
            Self::InstanceTypeNotFound => "InstanceTypeNotFound",
            Self::NodeClass => "NodeClassDrift",
            Self::Other(reason) => reason,
        })
    }
}

impl DriftReason {
    /// Those that are told from the objects alone; the snapshot's word on them is not needed.
    fn is_told(text: &str) -> bool {
        [
            Self::NodePool,
            Self::Requirements,
            Self::InstanceTypeNotFound,
            Self::NodeClass,
        ]
        .iter()
        .any(|reason| reason.to_string() == text)
    }
}

/// Why a node is drifted, if it is (`nodeclaim/disruption/drift.go:86` `isDrifted`): the first reason that holds.
#[must_use]
pub fn reason(world: &World, id: NodeId, now: Timestamp) -> Option<DriftReason> {
    let node = world.node(id);
    let claim = node.claim.as_ref()?;
    let pool = node.pool?;
    let entry = world.pool(pool);
    if differ(entry.hash.as_ref(), claim.pool_hash.as_ref()) {
        return Some(DriftReason::NodePool);
    }
    if requirements_drifted(world, pool, node) {
        return Some(DriftReason::Requirements);
    }
    let age = claim
        .created
        .or(node.created)
        .map(|created| now.duration_since(created));
    if age.is_some_and(|age| !age.is_negative() && age.unsigned_abs() > TYPES_AFTER)
        && type_not_found(world, pool, node)
    {
        return Some(DriftReason::InstanceTypeNotFound);
    }
    if differ(entry.class_hash.as_ref(), claim.class_hash.as_ref()) {
        return Some(DriftReason::NodeClass);
    }
    claim
        .drifted
        .as_ref()
        .filter(|reason| !DriftReason::is_told(reason))
        .map(|reason| DriftReason::Other(reason.clone()))
}

/// Only hashes of the same version are compared (`drift.go:154` `areStaticFieldsDrifted`, AWS `drift.go:181`).
fn differ(wanted: Option<&SpecHash>, there: Option<&SpecHash>) -> bool {
    match (wanted, there) {
        (Some(wanted), Some(there)) => wanted.version == there.version && wanted.hash != there.hash,
        _ => false,
    }
}

/// The pool's requirements against the node's labels; labels that aren't there are denied (`drift.go:170`). The pool's own labels
/// are part of its hash instead.
fn requirements_drifted(world: &World, pool: PoolId, node: &Node) -> bool {
    let pool = world.pool(pool);
    let asked = Requirements::new(
        &world.names,
        pool.requirements
            .iter()
            .filter(|requirement| pool.labels.get(requirement.key).is_none())
            .cloned(),
    );
    Requirements::of_labels(&node.labels)
        .compatible(&asked, &world.names, Undefined::Denied)
        .is_err()
}

/// `drift.go:127` `instanceTypeNotFound`: whether it is available plays no role, and a reserved node may become on-demand.
fn type_not_found(world: &World, pool: PoolId, node: &Node) -> bool {
    let Some(types) = world.types_of(pool) else {
        return false;
    };
    let Some(index) = node
        .label(Key::INSTANCE_TYPE)
        .and_then(|name| types.find(name))
    else {
        return true;
    };
    let zone = node.label(Key::ZONE);
    let bought = node.capacity_type();
    !types.get(index).offerings.iter().any(|offering| {
        let suits = bought.is_none_or(|bought| {
            bought == offering.capacity_type
                || (bought == CapacityType::Reserved
                    && offering.capacity_type == CapacityType::OnDemand)
        });
        suits && zone.is_none_or(|zone| zone == offering.zone)
    })
}
