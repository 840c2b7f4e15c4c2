//! The kinds that are read.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::node::{Context, Fault, Node, Reader};
use crate::ec2nodeclass::Ec2NodeClass;
use crate::karpenter::{NodeClaim, NodePool};

macro_rules! kinds {
    ($($variant:ident($type:ty) = $group:literal $kind:literal;)*) => {
        /// An object of a cluster. Each variant is boxed: a pod has some thousand bytes.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object {
            $(
                #[doc = concat!("`", $group, "` `", $kind, "`.")]
                $variant(Box<$type>),
            )*
        }

        impl Object {
            /// Its metadata.
            #[must_use]
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$variant(object) => &object.metadata,)*
                }
            }

            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                }
            }

            /// Its API version, as it is applied: all of these have one version.
            #[must_use]
            pub fn api_version(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => if $group.is_empty() { "v1" } else { concat!($group, "/v1") },)*
                }
            }

            /// As a manifest: what is not set is not there.
            ///
            /// # Errors
            ///
            /// None that is known: it is for values that JSON can't hold.
            pub fn manifest(&self) -> Result<serde_json::Value, serde_json::Error> {
                let mut manifest = match self {
                    $(Self::$variant(object) => serde_json::to_value(object)?,)*
                };
                if let Some(fields) = manifest.as_object_mut() {
                    fields.insert("apiVersion".to_owned(), self.api_version().into());
                    fields.insert("kind".to_owned(), self.kind().into());
                    fields.remove("status");
                }
                without_nothing(&mut manifest);
                Ok(manifest)
            }

            /// `None` when the kind is not read.
            pub(super) fn from_node(
                api_version: &str,
                kind: &str,
                node: Node,
                context: &mut Context,
            ) -> Result<Option<Self>, Fault> {
                let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
                let reader = Reader::new(node, context);
                Ok(Some(match (group, kind) {
                    $(($group, $kind) => Self::$variant(Box::new(<$type>::deserialize(reader)?)),)*
                    _ => return Ok(None),
                }))
            }
        }
    };
}

/// Removes nulls and empty objects: to an API server they say nothing.
fn without_nothing(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.values_mut().for_each(without_nothing);
            fields.retain(|_, value| {
                !value.is_null() && value.as_object().is_none_or(|inner| !inner.is_empty())
            });
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

kinds! {
    Pod(core::Pod) = "" "Pod";
    Node(core::Node) = "" "Node";
    Namespace(core::Namespace) = "" "Namespace";
    PersistentVolumeClaim(core::PersistentVolumeClaim) = "" "PersistentVolumeClaim";
    PersistentVolume(core::PersistentVolume) = "" "PersistentVolume";
    StorageClass(StorageClass) = "storage.k8s.io" "StorageClass";
    CsiNode(CSINode) = "storage.k8s.io" "CSINode";
    DaemonSet(DaemonSet) = "apps" "DaemonSet";
    Deployment(Deployment) = "apps" "Deployment";
    ReplicaSet(ReplicaSet) = "apps" "ReplicaSet";
    StatefulSet(StatefulSet) = "apps" "StatefulSet";
    Job(Job) = "batch" "Job";
    PodDisruptionBudget(PodDisruptionBudget) = "policy" "PodDisruptionBudget";
    PriorityClass(PriorityClass) = "scheduling.k8s.io" "PriorityClass";
    NodePool(NodePool) = "karpenter.sh" "NodePool";
    NodeClaim(NodeClaim) = "karpenter.sh" "NodeClaim";
    Ec2NodeClass(Ec2NodeClass) = "karpenter.k8s.aws" "EC2NodeClass";
}
