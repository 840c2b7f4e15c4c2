//! Nodes that are launched in a simulation.

use jiff::Timestamp;

use crate::instances::CapacityType;
use crate::karpenter::launch::Launch;
use crate::karpenter::provisioning::NewClaim;
use crate::names::{Key, Labels, Value};
use crate::requirement::Requirements;
use crate::world::{Claim, Node, Stage, World};

/// The letters of Kubernetes' generated names (`k8s.io/apimachinery` `rand.String`): no vowels, nothing that looks like another.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A suffix of five letters for the `number`th name of a run.
pub(super) fn suffix(seed: u64, number: u64) -> String {
    let mut mixed = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(number.wrapping_mul(0xd134_2543_de82_ef95))
        .wrapping_add(0x2545_f491_4f6c_dd1d);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (0..5)
        .map(|_| {
            let letter = LETTERS[usize::try_from(mixed % 27).unwrap_or(0)];
            mixed /= 27;
            char::from(letter)
        })
        .collect()
}

/// The node that a claim becomes with what is launched for it (`pkg/cloudprovider` `instanceToNodeClaim` of the AWS provider,
/// `nodeclaimtemplate.go:109`).
pub(super) fn launched(
    world: &mut World,
    claim: &NewClaim,
    launch: &Launch,
    requirements: Requirements,
    name: &str,
    now: Timestamp,
) -> Node {
    let value = world.names.value(name);
    let pool = world.pool(claim.pool).clone();
    let kind = world.type_sets[claim.type_set.0 as usize]
        .get(launch.kind)
        .clone();
    let mut labels: Labels = pool.labels.clone();
    let of_claim = claim.requirements.iter();
    for requirement in of_claim.chain(kind.requirements.iter()) {
        if let Some(single) = requirement.single() {
            labels.set(requirement.key, single);
        }
    }
    labels.set(Key::NODE_POOL, pool.name);
    labels.set(Key::INSTANCE_TYPE, launch.instance_type);
    labels.set(Key::ZONE, launch.zone);
    labels.set(Key::CAPACITY_TYPE, launch.capacity_type.value());
    labels.set(Key::HOSTNAME, value);
    Node {
        name: value,
        pool: Some(claim.pool),
        stage: Stage::Launched,
        labels,
        taints: pool.taints.clone(),
        unschedulable: false,
        ready: false,
        capacity: kind.capacity,
        allocatable: kind.allocatable(),
        volume_limits: volume_limits(world, claim),
        pods: Vec::new(),
        claim: Some(Claim {
            name: name.to_owned(),
            created: Some(now),
            expire_after: Some(pool.expire_after),
            termination_grace_period: pool.termination_grace_period,
            requirements,
            startup_taints: pool.startup_taints.clone(),
            pool_hash: pool.hash.clone(),
            class_hash: pool.class_hash.clone(),
            ..Claim::default()
        }),
        deleting: false,
        do_not_disrupt: false,
        nominated_until: None,
        created: Some(now),
        removed: false,
    }
}

/// A new node takes as many volumes as the least of its pool's nodes does: the type's own limit is known to its CSI driver only.
fn volume_limits(world: &World, claim: &NewClaim) -> Vec<(Value, u32)> {
    let mut limits: Vec<(Value, u32)> = Vec::new();
    for (_, node) in world.live_nodes() {
        if node.pool != Some(claim.pool) {
            continue;
        }
        for (driver, limit) in &node.volume_limits {
            match limits.iter_mut().find(|(other, _)| other == driver) {
                Some((_, least)) => *least = (*least).min(*limit),
                None => limits.push((*driver, *limit)),
            }
        }
    }
    limits
}

/// The words for a capacity type.
pub(super) fn capacity_type(kind: CapacityType) -> String {
    kind.to_string()
}
