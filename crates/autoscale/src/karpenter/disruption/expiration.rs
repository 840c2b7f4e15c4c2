//! Nodes that have lived long enough.
//!
//! Expiration looks at no budget and launches nothing first: the claim is deleted, and provisioning reacts to its pods.

use jiff::{SignedDuration, Timestamp};

use crate::world::{Node, NodeId, World};

/// When a node's claim expires: made plus the claim's own `expireAfter` (`nodeclaim/expiration/controller.go:72`). A pool's
/// `expireAfter` holds for claims that are made from it later.
#[must_use]
pub fn expires_at(node: &Node) -> Option<Timestamp> {
    let claim = node.claim.as_ref()?;
    let after = SignedDuration::try_from(claim.expire_after?.duration()?).ok()?;
    claim.created.or(node.created)?.checked_add(after).ok()
}

/// The nodes whose time is over and that are not going yet, those whose time was over first in front.
#[must_use]
pub fn expired(world: &World, now: Timestamp) -> Vec<(NodeId, Timestamp)> {
    let mut all: Vec<(NodeId, Timestamp)> = world
        .live_nodes()
        .filter(|(_, node)| !node.deleting)
        .filter_map(|(id, node)| Some((id, expires_at(node)?)))
        .filter(|(_, at)| *at <= now)
        .collect();
    all.sort_by_key(|(id, at)| (*at, *id));
    all
}

/// The next moment at which a node expires after now.
#[must_use]
pub fn next(world: &World, now: Timestamp) -> Option<Timestamp> {
    world
        .live_nodes()
        .filter(|(_, node)| !node.deleting)
        .filter_map(|(_, node)| expires_at(node))
        .filter(|at| *at > now)
        .min()
}
