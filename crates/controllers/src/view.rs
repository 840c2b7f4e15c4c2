//! Everything that the controllers look at: the cluster's objects, typed, and what AWS has for it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::{NodeClaim, NodePool};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cloud::Cloud;
use crate::document::controller_of;
use crate::metrics::Metrics;
use crate::shelf::{Key, Shelf};

/// An object that can't be read as its type. It is left out of the view.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{resource} {key}: {error}")]
pub struct Unreadable {
    pub resource: String,
    pub key: Key,
    pub error: String,
}

/// Why an object was not created: not for its name being taken, which is no refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The Status' message.
    pub message: String,
    /// When it was last refused.
    pub at: jiff::Timestamp,
    /// How many rounds of creating in a row ended so; one reconciliation's creates are one round.
    pub rounds: u32,
}

/// What every object has, whatever its kind: for the garbage collector and the namespace controller.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    pub group: String,
    pub resource: String,
    pub kind: String,
    pub uid: String,
    pub resource_version: String,
    pub owners: Vec<OwnerEdge>,
    pub finalizers: Vec<String>,
    pub deleting: bool,
}

/// An owner reference.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnerEdge {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
    pub block_owner_deletion: bool,
    pub controller: bool,
}

/// An object that changed: what it was and what it is.
#[derive(Debug, Clone)]
pub struct Change {
    /// Of which kind, if the view has it typed.
    pub kind: Option<Kind>,
    pub group: String,
    pub resource: String,
    pub key: Key,
    pub before: Option<Object>,
    pub after: Option<Object>,
    pub metadata_before: Option<Arc<Metadata>>,
    pub metadata_after: Option<Arc<Metadata>>,
    /// Of a change of the cloud: the IDs of the instances that came, went, or are in another state.
    pub machines: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    kind: String,
    metadata: HeadMetadata,
}

/// Of an object's metadata what [`Metadata`] has. Most of the rest is managedFields, which are longer than many an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    uid: Option<String>,
    resource_version: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
    deletion_timestamp: Option<IgnoredAny>,
}

/// Gives back the room that a pod's lists have for growing: there are many pods, and lists that were read have room for four
/// of what they mostly have one of.
fn shrink(pod: &mut Pod) {
    fn fit<T>(list: &mut Option<Vec<T>>) {
        if let Some(list) = list {
            list.shrink_to_fit();
        }
    }
    fit(&mut pod.metadata.owner_references);
    fit(&mut pod.metadata.finalizers);
    if let Some(spec) = &mut pod.spec {
        spec.containers.shrink_to_fit();
        fit(&mut spec.init_containers);
        let containers = spec.containers.iter_mut();
        for container in containers.chain(spec.init_containers.iter_mut().flatten()) {
            fit(&mut container.args);
            fit(&mut container.command);
            fit(&mut container.env);
            fit(&mut container.env_from);
            fit(&mut container.ports);
            fit(&mut container.volume_mounts);
        }
        fit(&mut spec.image_pull_secrets);
        fit(&mut spec.tolerations);
        fit(&mut spec.topology_spread_constraints);
        fit(&mut spec.volumes);
        for volume in spec.volumes.iter_mut().flatten() {
            if let Some(projected) = &mut volume.projected {
                fit(&mut projected.sources);
                for source in projected.sources.iter_mut().flatten() {
                    if let Some(map) = &mut source.config_map {
                        fit(&mut map.items);
                    }
                    if let Some(fields) = &mut source.downward_api {
                        fit(&mut fields.items);
                    }
                }
            }
        }
    }
    if let Some(status) = &mut pod.status {
        fit(&mut status.conditions);
        fit(&mut status.container_statuses);
        fit(&mut status.init_container_statuses);
        fit(&mut status.host_ips);
        fit(&mut status.pod_ips);
    }
}

macro_rules! kinds {
    ($($group:literal / $resource:literal: $kind:ident as $shelf:ident),+ $(,)?) => {
        /// The kinds that the view has typed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($kind),+, /// What AWS has: its changes have no objects.
            Cloud }

        /// An object of a typed kind.
        #[derive(Debug, Clone)]
        pub enum Object { $($kind(Arc<$kind>)),+ }

        /// What there is.
        #[derive(Debug, Default)]
        pub struct View {
            $(pub $shelf: Shelf<$kind>,)+
            /// Every object of every kind, by uid.
            pub all: BTreeMap<String, (Key, Arc<Metadata>)>,
            /// The uids of the objects that name this uid as an owner.
            pub dependents: BTreeMap<String, BTreeSet<String>>,
            pub cloud: Cloud,
            /// What the metrics APIs say.
            pub metrics: Metrics,
            /// What the API server last refused to create, by the uid of the controller (`ownerReferences[].controller`) that the
            /// refused object names. An entry goes when an object of this owner is created, or when the owner goes.
            pub refusals: BTreeMap<String, Refusal>,
            uids: BTreeMap<(String, String, Key), String>,
            /// The uids of what is in a namespace.
            namespaced: BTreeMap<Arc<str>, BTreeSet<String>>,
            /// The pods of each node, by the name that they are bound to.
            bound: BTreeMap<String, BTreeSet<Key>>,
        }

        impl View {
            /// Takes in that an object was written (its JSON), or deleted (none).
            ///
            /// # Errors
            /// When it is not of its type. It is then as good as absent, but for [`View::all`].
            pub fn apply(
                &mut self,
                group: &str,
                resource: &str,
                key: &Key,
                json: Option<&[u8]>,
            ) -> Result<Change, Unreadable> {
                let unreadable = |error: serde_json::Error| Unreadable {
                    resource: resource.to_owned(),
                    key: key.clone(),
                    error: error.to_string(),
                };
                let head: Option<Head> =
                    json.map(serde_json::from_slice).transpose().map_err(unreadable)?;
                let (metadata_before, metadata_after) = self.note(group, resource, key, head);
                let mut change = Change {
                    kind: None,
                    group: group.to_owned(),
                    resource: resource.to_owned(),
                    key: key.clone(),
                    before: None,
                    after: None,
                    machines: BTreeSet::new(),
                    metadata_before,
                    metadata_after,
                };
                match (group, resource) {
                    $(($group, $resource) => {
                        let read = json.map(serde_json::from_slice::<$kind>).transpose();
                        let (object, failed) = match read {
                            Ok(object) => {
                                let kept = |mut object: $kind| {
                                    // Nobody here asks who wrote what.
                                    object.metadata.managed_fields = None;
                                    if let Some(pod) = (&mut object as &mut dyn Any).downcast_mut() {
                                        shrink(pod);
                                    }
                                    Arc::new(object)
                                };
                                (object.map(kept), None)
                            }
                            Err(error) => (None, Some(unreadable(error))),
                        };
                        let before = self.$shelf.set(key, object.clone(), |object| controller_of(&object.metadata).map(|owner| owner.uid.clone()));
                        change.kind = Some(Kind::$kind);
                        change.before = before.map(Object::$kind);
                        change.after = object.map(Object::$kind);
                        self.note_node(&change);
                        failed.map_or(Ok(change), Err)
                    })+
                    _ => Ok(change),
                }
            }
        }
    };
}

kinds! {
    ""/"pods": Pod as pods,
    ""/"nodes": Node as nodes,
    ""/"namespaces": Namespace as namespaces,
    ""/"services": Service as services,
    ""/"endpoints": Endpoints as endpoints,
    ""/"events": Event as events,
    ""/"secrets": Secret as secrets,
    ""/"serviceaccounts": ServiceAccount as service_accounts,
    ""/"persistentvolumes": PersistentVolume as persistent_volumes,
    ""/"persistentvolumeclaims": PersistentVolumeClaim as persistent_volume_claims,
    ""/"resourcequotas": ResourceQuota as resource_quotas,
    ""/"limitranges": LimitRange as limit_ranges,
    "apps"/"deployments": Deployment as deployments,
    "apps"/"replicasets": ReplicaSet as replica_sets,
    "apps"/"controllerrevisions": ControllerRevision as controller_revisions,
    "apps"/"statefulsets": StatefulSet as stateful_sets,
    "apps"/"daemonsets": DaemonSet as daemon_sets,
    "batch"/"jobs": Job as jobs,
    "batch"/"cronjobs": CronJob as cron_jobs,
    "autoscaling"/"horizontalpodautoscalers": HorizontalPodAutoscaler as horizontal_pod_autoscalers,
    "policy"/"poddisruptionbudgets": PodDisruptionBudget as pod_disruption_budgets,
    "scheduling.k8s.io"/"priorityclasses": PriorityClass as priority_classes,
    "storage.k8s.io"/"storageclasses": StorageClass as storage_classes,
    "storage.k8s.io"/"csinodes": CSINode as csi_nodes,
    "storage.k8s.io"/"volumeattachments": VolumeAttachment as volume_attachments,
    "discovery.k8s.io"/"endpointslices": EndpointSlice as endpoint_slices,
    "networking.k8s.io"/"ingresses": Ingress as ingresses,
    "karpenter.sh"/"nodepools": NodePool as node_pools,
    "karpenter.sh"/"nodeclaims": NodeClaim as node_claims,
    "karpenter.k8s.aws"/"ec2nodeclasses": Ec2NodeClass as ec2_node_classes,
}

impl View {
    /// Takes in what AWS has now.
    pub fn set_cloud(&mut self, cloud: Cloud) -> Change {
        let before = std::mem::replace(&mut self.cloud, cloud);
        let ids = before.instances.keys().chain(self.cloud.instances.keys());
        let state = |cloud: &Cloud, id: &str| cloud.instances.get(id).map(|known| known.state);
        let machines = ids
            .filter(|id| state(&before, id) != state(&self.cloud, id))
            .cloned()
            .collect();
        Change {
            machines,
            kind: Some(Kind::Cloud),
            group: String::new(),
            resource: String::new(),
            key: Key::cluster("aws"),
            before: None,
            after: None,
            metadata_before: None,
            metadata_after: None,
        }
    }

    /// What every object has, of one that is found by its place.
    #[must_use]
    pub fn metadata(&self, group: &str, resource: &str, key: &Key) -> Option<&Arc<Metadata>> {
        let place = (group.to_owned(), resource.to_owned(), key.clone());
        let (_, metadata) = self.all.get(self.uids.get(&place)?)?;
        Some(metadata)
    }

    /// Every object of every kind by its group, its resource and its key.
    pub fn places(&self) -> impl Iterator<Item = (&str, &str, &Key)> {
        let places = self.uids.keys();
        places.map(|(group, resource, key)| (group.as_str(), resource.as_str(), key))
    }

    /// Every object of every kind in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &(Key, Arc<Metadata>)> {
        self.namespaced
            .get(namespace)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.all.get(uid))
    }

    /// The pods that are bound to a node of this name, whether or not it is there.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = (&Key, &Arc<Pod>)> {
        self.bound
            .get(node)
            .into_iter()
            .flatten()
            .filter_map(|key| Some((key, self.pods.get(key)?)))
    }

    /// The names that pods are bound to.
    pub fn bound_nodes(&self) -> impl Iterator<Item = &str> {
        self.bound.keys().map(String::as_str)
    }

    /// Keeps [`View::pods_on`].
    fn note_node(&mut self, change: &Change) {
        let node = |object: &Option<Object>| match object {
            Some(Object::Pod(pod)) => {
                let name = pod.spec.as_ref()?.node_name.clone()?;
                (!name.is_empty()).then_some(name)
            }
            _ => None,
        };
        let (before, after) = (node(&change.before), node(&change.after));
        if before == after {
            return;
        }
        if let Some(node) = before
            && let Some(pods) = self.bound.get_mut(&node)
        {
            pods.remove(&change.key);
            if pods.is_empty() {
                self.bound.remove(&node);
            }
        }
        if let Some(node) = after {
            self.bound
                .entry(node)
                .or_default()
                .insert(change.key.clone());
        }
    }

    /// Keeps [`View::all`], [`View::dependents`] and [`View::in_namespace`].
    fn note(
        &mut self,
        group: &str,
        resource: &str,
        key: &Key,
        head: Option<Head>,
    ) -> (Option<Arc<Metadata>>, Option<Arc<Metadata>>) {
        let place = (group.to_owned(), resource.to_owned(), key.clone());
        let before = self
            .uids
            .remove(&place)
            .and_then(|uid| self.all.remove(&uid))
            .map(|(_, metadata)| metadata);
        if let Some(metadata) = &before {
            if let Some(there) = self.namespaced.get_mut(&key.namespace) {
                there.remove(&metadata.uid);
                if there.is_empty() {
                    self.namespaced.remove(&key.namespace);
                }
            }
            for owner in &metadata.owners {
                if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                    dependents.remove(&metadata.uid);
                    if dependents.is_empty() {
                        self.dependents.remove(&owner.uid);
                    }
                }
            }
        }
        let after = head.map(|head| {
            let metadata = head.metadata;
            Arc::new(Metadata {
                group: group.to_owned(),
                resource: resource.to_owned(),
                kind: head.kind,
                uid: metadata.uid.unwrap_or_default(),
                resource_version: metadata.resource_version.unwrap_or_default(),
                owners: metadata
                    .owner_references
                    .into_iter()
                    .flatten()
                    .map(|owner| OwnerEdge {
                        api_version: owner.api_version,
                        kind: owner.kind,
                        name: owner.name,
                        uid: owner.uid,
                        block_owner_deletion: owner.block_owner_deletion.unwrap_or_default(),
                        controller: owner.controller.unwrap_or_default(),
                    })
                    .collect(),
                finalizers: metadata.finalizers.unwrap_or_default(),
                deleting: metadata.deletion_timestamp.is_some(),
            })
        });
        if let Some(metadata) = &before
            && after.as_ref().is_none_or(|after| after.uid != metadata.uid)
        {
            self.refusals.remove(&metadata.uid);
        }
        if let Some(metadata) = &after {
            for owner in &metadata.owners {
                self.dependents
                    .entry(owner.uid.clone())
                    .or_default()
                    .insert(metadata.uid.clone());
            }
            if !key.namespace.is_empty() {
                self.namespaced
                    .entry(key.namespace.clone())
                    .or_default()
                    .insert(metadata.uid.clone());
            }
            self.uids.insert(place, metadata.uid.clone());
            self.all
                .insert(metadata.uid.clone(), (key.clone(), metadata.clone()));
        }
        (before, after)
    }
}
