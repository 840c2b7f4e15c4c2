//! What has changed since the scheduler last looked, and whether that may let a pod in that had no place.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::document::Named;
use crate::{Change, Key, Kind, Object};

/// The keys of what changed, by kind. Only the last state of each matters.
#[derive(Debug, Default)]
pub(super) struct News {
    pub pods: BTreeSet<Key>,
    /// Those of them without a node that ask for something else than before.
    pub edited: BTreeSet<Key>,
    pub nodes: BTreeSet<Key>,
    pub csi_nodes: BTreeSet<Key>,
    pub claims: BTreeSet<Key>,
    pub volumes: BTreeSet<Key>,
    pub classes: BTreeSet<Key>,
    pub namespaces: BTreeSet<Key>,
    pub budgets: BTreeSet<Key>,
}

impl News {
    /// Takes a change down; whether the scheduler has to look at it now, or when it looks next.
    pub(super) fn note(&mut self, change: &Change) -> bool {
        let key = change.key.clone();
        match change.kind {
            Some(Kind::Pod) => {
                if is_edited(change) {
                    self.edited.insert(key.clone());
                }
                self.pods.insert(key);
                pod_matters(change)
            }
            Some(Kind::Node) => {
                let matters = node_matters(change);
                if matters {
                    self.nodes.insert(key);
                }
                matters
            }
            Some(Kind::CSINode) => self.csi_nodes.insert(key),
            Some(Kind::PersistentVolumeClaim) => {
                self.claims.insert(key);
                true
            }
            Some(Kind::PersistentVolume) => {
                self.volumes.insert(key);
                true
            }
            Some(Kind::StorageClass) => self.classes.insert(key),
            Some(Kind::Namespace) => {
                self.namespaces.insert(key);
                false
            }
            Some(Kind::PodDisruptionBudget) => {
                self.budgets.insert(key);
                false
            }
            _ => false,
        }
    }

    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            pods,
            edited: _,
            nodes,
            csi_nodes,
            claims,
            volumes,
            classes,
            namespaces,
            budgets,
        } = self;
        [
            pods, nodes, csi_nodes, claims, volumes, classes, namespaces, budgets,
        ]
        .iter()
        .all(|keys| keys.is_empty())
    }
}

pub(super) fn node_name(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// Done or failed.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A pod that waits for a node may have changed in any way; of one that has a node it matters that it came, ended, began to go, went or
/// has other labels.
fn pod_matters(change: &Change) -> bool {
    let pod = |object: &Option<Object>| match object {
        Some(Object::Pod(pod)) => Some(pod.clone()),
        _ => None,
    };
    let (before, after) = (pod(&change.before), pod(&change.after));
    let (Some(before), Some(after)) = (&before, &after) else {
        return true;
    };
    node_name(after).is_none()
        || node_name(before) != node_name(after)
        || has_ended(before) != has_ended(after)
        || before.is_deleting() != after.is_deleting()
        || before.metadata.labels != after.metadata.labels
        || before.uid() != after.uid()
}

fn is_edited(change: &Change) -> bool {
    let (Some(Object::Pod(before)), Some(Object::Pod(after))) = (&change.before, &change.after)
    else {
        return false;
    };
    node_name(after).is_none()
        && (before.spec != after.spec || before.metadata.labels != after.metadata.labels)
}

/// Heartbeats of nodes don't matter.
fn node_matters(change: &Change) -> bool {
    let node = |object: &Option<Object>| match object {
        Some(Object::Node(node)) => Some(node.clone()),
        _ => None,
    };
    match (node(&change.before), node(&change.after)) {
        (Some(before), Some(after)) => facts(&before) != facts(&after),
        _ => true,
    }
}

type Amounts =
    std::collections::BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

/// A node's labels, its spec, what it can give, and which one it is.
type Facts<'a> = (
    Option<&'a std::collections::BTreeMap<String, String>>,
    Option<&'a k8s_openapi::api::core::v1::NodeSpec>,
    Option<&'a Amounts>,
    &'a str,
);

fn facts(node: &Node) -> Facts<'_> {
    (
        node.metadata.labels.as_ref(),
        node.spec.as_ref(),
        node.status
            .as_ref()
            .and_then(|status| status.allocatable.as_ref()),
        node.uid(),
    )
}
