//! Karpenter, as its core 1.14 (`kubernetes-sigs/karpenter` 2266468) and its AWS provider (`aws/karpenter-provider-aws` 1d92708)
//! behave: node classes are resolved, nodes launched for pods that wait, kept as their pools say, and taken away again.
//!
//! It acts only while its own controller runs in the cluster ([`settings`]). What to launch and what to disrupt is decided by
//! [`autoscale::karpenter`]; here are the objects, conditions and events that come of it. All controllers share a [`Memory`]:
//! what Karpenter itself keeps in memory only, and loses with a restart.

mod claims;
mod conditions;
mod disruption;
mod garbage;
mod hash;
mod images;
mod interruption;
mod lifecycle;
mod memory;
mod new_claim;
mod node_class;
mod node_pool;
mod offer;
mod picture;
mod provisioning;
mod settings;
mod termination;
#[cfg(test)]
mod tests;

use crate::Controller;
use memory::Memory;

/// The name of what Karpenter writes, and the source of its events.
const NAME: &str = "karpenter";
/// The finalizer of nodes and claims.
const FINALIZER: &str = "karpenter.sh/termination";
/// The taint of nodes that are going.
const DISRUPTED: &str = "karpenter.sh/disrupted";
/// The taint of nodes that Karpenter has not seen yet.
const UNREGISTERED: &str = "karpenter.sh/unregistered";
/// The label that names a node's pool.
const POOL: &str = "karpenter.sh/nodepool";

/// Karpenter's controllers.
#[must_use]
pub fn all() -> Vec<Box<dyn Controller>> {
    let memory = Memory::default();
    vec![
        Box::new(node_class::NodeClasses::new(&memory)),
        Box::new(node_pool::NodePools::new(&memory)),
        Box::new(provisioning::Provisioner::new(&memory)),
        Box::new(lifecycle::Lifecycle::new(&memory)),
        Box::new(termination::Termination::new(&memory)),
        Box::new(disruption::Disruption::new(&memory)),
        Box::new(interruption::Interruptions::new(&memory)),
        Box::new(garbage::GarbageCollection::new(&memory)),
    ]
}
