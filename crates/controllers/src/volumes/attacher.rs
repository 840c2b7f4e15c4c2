//! Volumes follow the pods that use them to their machines.
//!
//! As the attach-detach controller (`pkg/controller/volume/attachdetach`) with the CSI external attacher beside the EBS driver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde_json::json;

use super::{Driver, attaches, attachment_name, claims, has_ended};
use crate::cloud::{CloudAction, InstanceState};
use crate::document::Named;
use crate::kubelet::instance_id;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, View};

/// What the external attacher keeps a VolumeAttachment by.
const FINALIZER: &str = "external-attacher/ebs-csi-aws-com";

/// Attaches and detaches volumes. A key is a node.
#[derive(Debug, Default)]
pub struct Attacher {
    driver: Driver,
    /// What has been told by the node that it is of: a pod, by its uid, and a volume.
    pub(super) told: BTreeMap<Key, BTreeSet<(String, String)>>,
}

impl Attacher {
    #[must_use]
    pub fn new(driver: Driver) -> Self {
        Self {
            driver,
            told: BTreeMap::new(),
        }
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// The nodes of the pods that use a claim.
fn nodes_of_claim(view: &View, claim: &Key) -> Vec<Key> {
    view.pods
        .in_namespace(&claim.namespace)
        .filter(|(_, pod)| claims(pod).any(|other| other == *claim))
        .filter_map(|(_, pod)| node_of(pod).map(Key::cluster))
        .collect()
}

fn nodes_of_volume(view: &View, name: &str) -> Vec<Key> {
    let claim = view
        .persistent_volumes
        .get(&Key::cluster(name))
        .and_then(|volume| volume.spec.as_ref()?.claim_ref.as_ref())
        .map(|claim| {
            Key::new(
                claim.namespace.as_deref().unwrap_or_default(),
                claim.name.as_deref().unwrap_or_default(),
            )
        });
    claim.map_or_else(Vec::new, |claim| nodes_of_claim(view, &claim))
}

impl Controller for Attacher {
    fn name(&self) -> &'static str {
        "attachdetach-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match change.kind {
            Some(Kind::Pod) => {
                let facts = |object: &Option<Object>| match object {
                    Some(Object::Pod(pod)) if claims(pod).next().is_some() => {
                        node_of(pod).map(|node| (node.to_owned(), has_ended(pod)))
                    }
                    _ => None,
                };
                let (before, after) = (facts(&change.before), facts(&change.after));
                if before == after {
                    return Vec::new();
                }
                [before, after]
                    .into_iter()
                    .flatten()
                    .map(|(node, _)| Key::cluster(&node))
                    .collect()
            }
            Some(Kind::PersistentVolumeClaim) => nodes_of_claim(view, &change.key),
            Some(Kind::VolumeAttachment) => {
                let mut keys = Vec::new();
                for object in [&change.before, &change.after].into_iter().flatten() {
                    if let Object::VolumeAttachment(attachment) = object {
                        keys.push(Key::cluster(&attachment.spec.node_name));
                    }
                }
                // Once it is gone the volume may go where else it is wanted.
                if let (Some(Object::VolumeAttachment(before)), None) =
                    (&change.before, &change.after)
                    && let Some(volume) = &before.spec.source.persistent_volume_name
                {
                    keys.extend(nodes_of_volume(view, volume));
                }
                keys
            }
            // What AWS has changed, or the driver came.
            Some(Kind::Cloud | Kind::DaemonSet) => unfinished(view),
            None if change.resource == "csidrivers" => unfinished(view),
            Some(Kind::Node) if change.before.is_none() || change.after.is_none() => {
                vec![change.key.clone()]
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let node = &*key.name;
        let mut wanted: BTreeMap<String, (&PersistentVolume, Vec<&Arc<Pod>>)> = BTreeMap::new();
        for (_, pod) in view.pods_on(node).filter(|(_, pod)| !has_ended(pod)) {
            for claim in claims(pod) {
                let volume = view
                    .persistent_volume_claims
                    .get(&claim)
                    .and_then(|claim| claim.spec.as_ref()?.volume_name.as_deref())
                    .and_then(|name| view.persistent_volumes.get(&Key::cluster(name)));
                if let Some(volume) = volume
                    && let Some(source) = attaches(volume)
                {
                    let name = attachment_name(source, node);
                    wanted
                        .entry(name)
                        .or_insert_with(|| (volume, Vec::new()))
                        .1
                        .push(pod);
                }
            }
        }
        if let Some(told) = self.told.get_mut(key) {
            let here: BTreeSet<&str> = view.pods_on(node).map(|(_, pod)| pod.uid()).collect();
            told.retain(|(pod, _)| here.contains(pod.as_str()));
            if told.is_empty() {
                self.told.remove(key);
            }
        }
        let mut actions = Vec::new();
        let there: Vec<&Arc<VolumeAttachment>> = view
            .volume_attachments
            .iter()
            .map(|(_, attachment)| attachment)
            .filter(|attachment| attachment.spec.node_name == node)
            .collect();
        for attachment in &there {
            let users = wanted.get(attachment.name());
            if users.is_none() && !attachment.is_deleting() {
                actions.push(attachment.delete(None));
            } else {
                let pods = users.map_or(&[][..], |(_, pods)| pods);
                actions.extend(self.work_on(view, attachment, pods));
            }
        }
        if view.nodes.get(key).is_some() {
            for (name, (volume, pods)) in &wanted {
                if view.volume_attachments.get(&Key::cluster(name)).is_none() {
                    actions.extend(self.attach(view, node, name, volume, pods));
                }
            }
        }
        Outcome::of(actions)
    }
}

/// The nodes of the attachments that aren't yet as they should be.
fn unfinished(view: &View) -> Vec<Key> {
    view.volume_attachments
        .iter()
        .filter(|(_, attachment)| attachment.is_deleting() || !is_attached(attachment))
        .map(|(_, attachment)| Key::cluster(&attachment.spec.node_name))
        .collect()
}

/// The instance that an attachment is to.
fn instance_of(attachment: &VolumeAttachment) -> Option<&String> {
    let annotations = attachment.metadata.annotations.as_ref()?;
    annotations.get("csi.alpha.kubernetes.io/node-id")
}

/// Whether there is an attachment of a PersistentVolume to an instance.
fn is_wanted_on(view: &View, volume: &str, instance: &String) -> bool {
    view.volume_attachments.iter().any(|(_, attachment)| {
        attachment.spec.source.persistent_volume_name.as_deref() == Some(volume)
            && instance_of(attachment) == Some(instance)
    })
}

fn is_attached(attachment: &VolumeAttachment) -> bool {
    attachment
        .status
        .as_ref()
        .is_some_and(|status| status.attached)
}

impl Attacher {
    /// Asks for a volume on a node, unless it is still on another.
    fn attach(
        &mut self,
        view: &View,
        node: &str,
        name: &str,
        volume: &PersistentVolume,
        pods: &[&Arc<Pod>],
    ) -> Vec<Action> {
        let Some(source) = attaches(volume) else {
            return Vec::new();
        };
        let elsewhere = view.volume_attachments.iter().any(|(_, other)| {
            other.spec.source.persistent_volume_name.as_deref() == Some(volume.name())
                && other.spec.node_name != node
        });
        if elsewhere {
            let message = format!(
                "Multi-Attach error for volume \"{}\" Volume is already exclusively attached to one node and can't be attached to another",
                volume.name()
            );
            let told = self.told.entry(Key::cluster(node)).or_default();
            return pods
                .iter()
                .filter(|pod| told.insert((pod.uid().to_owned(), volume.name().to_owned())))
                .map(|pod| pod.tell(EventKind::Warning, "FailedAttachVolume", message.clone()))
                .collect();
        }
        vec![Action::Create(json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": name, "finalizers": [FINALIZER], "annotations": {"csi.alpha.kubernetes.io/node-id": view.nodes
                .get(&Key::cluster(node)).and_then(|node| instance_id(node)).unwrap_or_default()}},
            "spec": {"attacher": source.driver, "nodeName": node, "source": {"persistentVolumeName": volume.name()}},
        }))]
    }

    /// Has AWS do what an attachment says.
    fn work_on(
        &self,
        view: &View,
        attachment: &VolumeAttachment,
        pods: &[&Arc<Pod>],
    ) -> Vec<Action> {
        if !self.driver.is_there(view, &attachment.spec.attacher) {
            return Vec::new();
        }
        let name = attachment
            .spec
            .source
            .persistent_volume_name
            .as_deref()
            .unwrap_or_default();
        let volume = view
            .persistent_volumes
            .get(&Key::cluster(name))
            .and_then(|volume| attaches(volume))
            .and_then(|source| view.cloud.volumes.get(&source.volume_handle));
        let instance = instance_of(attachment);
        if attachment.is_deleting() {
            return match volume {
                Some(volume)
                    if volume.attached_to.is_some() && volume.attached_to.as_ref() == instance =>
                {
                    vec![Action::Cloud(CloudAction::Detach {
                        volume: volume.id.clone(),
                    })]
                }
                _ if attachment.has_finalizer(FINALIZER) => {
                    vec![attachment.without_finalizer(FINALIZER)]
                }
                _ => Vec::new(),
            };
        }
        let (Some(volume), Some(instance)) = (volume, instance) else {
            return Vec::new();
        };
        let runs = view
            .cloud
            .instances
            .get(instance)
            .is_some_and(|instance| instance.state == InstanceState::Running);
        match &volume.attached_to {
            None if runs => vec![Action::Cloud(CloudAction::Attach {
                volume: volume.id.clone(),
                instance: instance.clone(),
            })],
            Some(there) if there == instance && !is_attached(attachment) => {
                let mut writes = vec![attachment.patch_status(json!({"attached": true}))];
                writes.extend(pods.iter().map(|pod| {
                    pod.tell(
                        EventKind::Normal,
                        "SuccessfulAttachVolume",
                        format!("AttachVolume.Attach succeeded for volume \"{name}\""),
                    )
                }));
                vec![Action::InTurn(writes)]
            }
            // Its attachment there was lost: nobody else would detach it.
            Some(there) if there != instance && !is_wanted_on(view, name, there) => {
                vec![Action::Cloud(CloudAction::Detach {
                    volume: volume.id.clone(),
                })]
            }
            None | Some(_) => Vec::new(),
        }
    }
}
