//! Which claim belongs to which instance, node and class.

use k8s_openapi::api::core::v1::Node;
use objects::karpenter::{LooseCondition, NodeClaim, NodePool, condition};

use crate::cloud::{Instance, InstanceState, Origin};
use crate::document::Named;
use crate::{Key, View};

/// What makes up a claim's `Ready`.
pub(super) const PARTS: &[&str] = &["Launched", "Registered", "Initialized"];

pub(super) fn conditions(claim: &NodeClaim) -> &[LooseCondition] {
    claim
        .status
        .as_ref()
        .map_or(&[], |status| &status.conditions)
}

pub(super) fn is_true(claim: &NodeClaim, type_: &str) -> bool {
    condition(conditions(claim), type_).is_some_and(|condition| condition.status == "True")
}

pub(super) fn provider_id(claim: &NodeClaim) -> Option<&str> {
    claim.status.as_ref()?.provider_id.as_deref()
}

/// The instance's ID in a provider ID.
pub(super) fn instance_of(provider_id: &str) -> Option<&str> {
    provider_id
        .rsplit('/')
        .next()
        .filter(|id| id.starts_with("i-"))
}

/// An instance's provider ID.
pub(super) fn id_of(instance: &Instance) -> String {
    format!("aws:///{}/{}", instance.zone, instance.id)
}

/// Whether an instance is there and not on its way out.
pub(super) fn is_up(instance: &Instance) -> bool {
    matches!(
        instance.state,
        InstanceState::Pending | InstanceState::Running
    )
}

/// The instance of a claim: the one that its status names, else the one that was launched for it.
pub(super) fn instance<'a>(view: &'a View, claim: &NodeClaim) -> Option<&'a Instance> {
    match provider_id(claim) {
        Some(id) => view.cloud.instances.get(instance_of(id)?),
        None => launched_for(view, claim.name()),
    }
}

/// The instance that was launched for a claim.
fn launched_for<'a>(view: &'a View, claim: &str) -> Option<&'a Instance> {
    view.cloud.instances.values().find(|instance| {
        is_up(instance) && matches!(&instance.origin, Origin::NodeClaim(name) if name == claim)
    })
}

/// The node of a claim.
pub(super) fn node<'a>(view: &'a View, claim: &NodeClaim) -> Option<&'a Node> {
    let id = provider_id(claim)?;
    let known = claim
        .status
        .as_ref()
        .and_then(|status| status.node_name.as_deref());
    let expected = instance(view, claim).map(|instance| instance.private_dns_name.as_str());
    known
        .into_iter()
        .chain(expected)
        .filter_map(|name| view.nodes.get(&Key::cluster(name)))
        .find(|node| {
            node.spec
                .as_ref()
                .and_then(|spec| spec.provider_id.as_deref())
                == Some(id)
        })
        .map(AsRef::as_ref)
}

/// The name of a node's claim: its owner, else the one that its instance was launched for.
pub(super) fn name_of_node(view: &View, node: &Node) -> Option<String> {
    let owner = node
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == "NodeClaim");
    if let Some(owner) = owner {
        return Some(owner.name.clone());
    }
    let id = instance_of(node.spec.as_ref()?.provider_id.as_deref()?)?;
    match &view.cloud.instances.get(id)?.origin {
        Origin::NodeClaim(name) => Some(name.clone()),
        Origin::NodeGroup { .. } => None,
    }
}

/// A node's claim.
pub(super) fn of_node<'a>(view: &'a View, node: &Node) -> Option<&'a NodeClaim> {
    let name = name_of_node(view, node)?;
    let claim = view.node_claims.get(&Key::cluster(&name))?;
    Some(claim)
}

/// A claim's pool.
pub(super) fn pool<'a>(view: &'a View, claim: &NodeClaim) -> Option<&'a NodePool> {
    let name = claim.label(super::POOL)?;
    Some(view.node_pools.get(&Key::cluster(name))?)
}

/// Whether a node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    node.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
