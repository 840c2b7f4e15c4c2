//! What an autoscaler scales.

use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{Key, View};

/// The scale of a workload.
pub(super) struct Target {
    pub(super) resource: &'static str,
    /// `spec.replicas`.
    pub(super) replicas: i32,
    /// `status.replicas`.
    pub(super) there_are: i32,
    pub(super) selector: LabelSelector,
}

impl Target {
    /// The scale that a reference of an autoscaler leads to.
    ///
    /// # Errors
    /// When there is no such object, or when it cannot be scaled; the text is the API server's.
    pub(super) fn of(
        view: &View,
        scaler: &Key,
        reference: &CrossVersionObjectReference,
    ) -> Result<Self, String> {
        let key = Key::new(&scaler.namespace, &reference.name);
        let version = reference.api_version.as_deref().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let resource = match (group, reference.kind.as_str()) {
            ("apps", "Deployment") => "deployments",
            ("apps", "ReplicaSet") => "replicasets",
            ("apps", "StatefulSet") => "statefulsets",
            (group, kind) => {
                return Err(format!(
                    "no matches for kind \"{kind}\" in group \"{group}\""
                ));
            }
        };
        // Whole specs are large, and others' targets are looked at for each autoscaler: only what is needed is copied.
        let found = match resource {
            "deployments" => view.deployments.get(&key).map(|object| {
                let spec = object.spec.as_ref();
                let status = object.status.as_ref();
                (
                    spec.and_then(|spec| spec.replicas),
                    status.and_then(|status| status.replicas),
                    spec.map(|spec| spec.selector.clone()),
                )
            }),
            "replicasets" => view.replica_sets.get(&key).map(|object| {
                let spec = object.spec.as_ref();
                let status = object.status.as_ref();
                (
                    spec.and_then(|spec| spec.replicas),
                    status.map(|status| status.replicas),
                    spec.map(|spec| spec.selector.clone()),
                )
            }),
            _ => view.stateful_sets.get(&key).map(|object| {
                let spec = object.spec.as_ref();
                let status = object.status.as_ref();
                (
                    spec.and_then(|spec| spec.replicas),
                    status.map(|status| status.replicas),
                    spec.map(|spec| spec.selector.clone()),
                )
            }),
        };
        let (replicas, there_are, selector) =
            found.ok_or_else(|| format!("{resource}.apps \"{}\" not found", reference.name))?;
        let selector = selector.unwrap_or_default();
        Ok(Self {
            resource,
            replicas: replicas.unwrap_or(1),
            there_are: there_are.unwrap_or(0),
            selector,
        })
    }
}
