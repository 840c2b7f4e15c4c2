//! What is known of the types that live in a cluster, Kubernetes objects and Helm releases: what their property documents
//! look like, and what of them can't be changed on an existing one.
//!
//! A Kubernetes object's document is `{Cluster, Manifest}`, with `Adopt` and `Force` where they are wanted; a release's is
//! `{Cluster, Namespace, Name, Chart, Version, Values}` with `Repository`, `CreateNamespace` and `TimeoutSeconds`.

use serde_json::Value;

use crate::property_path::PropertyPath;
use crate::type_name::{Realm, TypeName};

/// The cluster's name in AWS: which cluster it lives in.
pub const CLUSTER: &str = "Cluster";
/// A Kubernetes object as it is applied.
pub const MANIFEST: &str = "Manifest";
/// `true`: an object that is there already and is nobody's is taken over, instead of being an error.
pub const ADOPT: &str = "Adopt";
/// `true`: fields that another manager has set otherwise are taken over, instead of being an error.
pub const FORCE: &str = "Force";
/// How a release stands. Always `deployed`: anything else is drift.
pub const STATUS: &str = "Status";

/// Whose an object in a cluster is, as labels and an annotation: what owner tags are in AWS.
pub mod owner_labels {
    /// Kubernetes' own label for the tool that manages an object.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Its value on what is ours.
    pub const SEAWORTHY: &str = "seaworthy";
    /// The platform that an object belongs to.
    pub const PLATFORM: &str = "seaworthy.dev/platform";
    /// The environment that it belongs to.
    pub const ENVIRONMENT: &str = "seaworthy.dev/environment";
    /// An annotation, since a label can't hold it: its address in the platform.
    pub const ADDRESS: &str = "seaworthy.dev/address";
    /// An annotation by which whoever owns an object hands it over: its value is the environment's name in AWS
    /// (`shop-dev`).
    pub const ADOPT: &str = "seaworthy.dev/adopt";
}

/// The paths of a document that can't be changed on an existing resource: another value is another resource.
///
/// Sources: the types' validation of updates in Kubernetes 1.33 (`pkg/apis/*/validation`): "field is immutable".
#[must_use]
pub fn create_only(type_name: &TypeName) -> Vec<PropertyPath> {
    let path = |text: &str| PropertyPath::from_segments(text.split('.'));
    if type_name.realm() == Realm::Helm {
        return ["Cluster", "Namespace", "Name"].map(path).to_vec();
    }
    let fixed: &[&str] = match type_name.resource() {
        "ClusterRoleBinding" | "RoleBinding" => &["roleRef"],
        "DaemonSet" | "Deployment" | "ReplicaSet" => &["spec.selector"],
        "IngressClass" => &["spec.controller"],
        "Job" => &[
            "spec.completionMode",
            "spec.completions",
            "spec.selector",
            "spec.template",
        ],
        "PersistentVolumeClaim" => &[
            "spec.accessModes",
            "spec.dataSource",
            "spec.selector",
            "spec.storageClassName",
            "spec.volumeMode",
            "spec.volumeName",
        ],
        "PriorityClass" => &["preemptionPolicy", "value"],
        "RuntimeClass" => &["handler"],
        "Secret" => &["type"],
        "StatefulSet" => &[
            "spec.podManagementPolicy",
            "spec.selector",
            "spec.serviceName",
            "spec.volumeClaimTemplates",
        ],
        "StorageClass" => &[
            "parameters",
            "provisioner",
            "reclaimPolicy",
            "volumeBindingMode",
        ],
        _ => &[],
    };
    let object = ["metadata.name", "metadata.namespace"];
    std::iter::once(path(CLUSTER))
        .chain(
            object
                .iter()
                .chain(fixed)
                .map(|text| path(&format!("{MANIFEST}.{text}"))),
        )
        .collect()
}

/// Whether two types are versions of one: an object of `policy/v1beta1` is the same as that of `policy/v1`.
#[must_use]
pub fn same_kind(one: &TypeName, other: &TypeName) -> bool {
    let group = |name: &TypeName| {
        let version = name.service().to_owned();
        version
            .split_once('/')
            .map_or_else(String::new, |(group, _)| group.to_owned())
    };
    one.realm() == Realm::Kubernetes
        && other.realm() == Realm::Kubernetes
        && one.resource() == other.resource()
        && group(one) == group(other)
}

/// What identifies a resource: `cluster|namespace|name`, the namespace empty where an object is in none. None when its
/// document does not say yet.
#[must_use]
pub fn identifier(type_name: &TypeName, properties: &Value) -> Option<String> {
    let cluster = properties.get(CLUSTER)?.as_str()?;
    let (namespace, name) = match type_name.realm() {
        Realm::Helm => (properties.get("Namespace"), properties.get("Name")),
        Realm::Kubernetes => {
            let metadata = properties.get(MANIFEST)?.get("metadata")?;
            (metadata.get("namespace"), metadata.get("name"))
        }
        Realm::Aws => return None,
    };
    let namespace = match namespace {
        None | Some(Value::Null) => "",
        Some(namespace) => namespace.as_str()?,
    };
    Some(format!("{cluster}|{namespace}|{}", name?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_identified_by_cluster_namespace_and_name() {
        let namespace = TypeName::kubernetes("v1", "Namespace").unwrap();
        let document =
            |metadata: Value| json!({"Cluster": "shop-dev", "Manifest": {"metadata": metadata}});
        assert_eq!(
            identifier(&namespace, &document(json!({"name": "web"}))).as_deref(),
            Some("shop-dev||web")
        );
        let unknown = json!({"name": {"$unknown": "x"}});
        assert_eq!(identifier(&namespace, &document(unknown)), None);
        let release = json!({"Cluster": "c", "Namespace": "kube-system", "Name": "karpenter"});
        assert_eq!(
            identifier(&crate::HELM_RELEASE, &release).as_deref(),
            Some("c|kube-system|karpenter")
        );
    }

    #[test]
    fn versions_of_a_group_are_one_kind() {
        let name = |version: &str, kind: &str| TypeName::kubernetes(version, kind).unwrap();
        assert!(same_kind(
            &name("policy/v1beta1", "PodDisruptionBudget"),
            &name("policy/v1", "PodDisruptionBudget")
        ));
        assert!(!same_kind(
            &name("v1", "Event"),
            &name("events.k8s.io/v1", "Event")
        ));
    }
}
