//! The API server's own rules for built-in kinds (`pkg/apis/*/validation` of Kubernetes 1.33): those that people meet. What a
//! rule needs to know of other objects is none of them.

mod configuration;
mod found;
mod metadata;
mod pods;
mod selector;
mod services;
mod storage;
mod workloads;

use serde_json::Value as Json;

use crate::resource::Resource;
use crate::status::Cause;
use found::Found;

/// The rules for an object that has its defaults, on creation (`old` is none) or update. Empty if all hold; otherwise
/// `Status::invalid` makes the failure of them.
///
/// Of custom resources this looks at `metadata` only; [`crate::crd::check`] looks at the rest, and [`crate::crd::validate`] at
/// definitions. Kinds without rules here: reviews, events, nodes, webhook configurations and admission policies, flow schemas,
/// runtime classes, certificate requests, API services.
#[must_use]
pub fn object(resource: &Resource, new: &Json, old: Option<&Json>) -> Vec<Cause> {
    let mut found = Found::default();
    if resource.verbs.contains(&crate::resource::Verb::Update) {
        metadata::check(resource, new, old, &mut found);
    }
    if !resource.custom {
        of_kind(resource, new, old, &mut found);
    }
    found.causes
}

fn of_kind(resource: &Resource, new: &Json, old: Option<&Json>, found: &mut Found) {
    match (&*resource.kind.group, &*resource.kind.kind) {
        ("", "Pod") => pods::pod(new, old, found),
        ("", "Service") => services::service(new, old, found),
        ("", "ConfigMap") => configuration::config_map(new, old, found),
        ("", "Secret") => configuration::secret(new, old, found),
        ("", "LimitRange") => configuration::limit_range(new, found),
        ("", "ResourceQuota") => configuration::quota(new, found),
        ("", "PersistentVolumeClaim") => storage::claim(new, old, found),
        ("", "PersistentVolume") => storage::volume(new, old, found),
        ("", "ReplicationController") => workloads::replication_controller(new, found),
        ("apps", "Deployment") => workloads::deployment(new, old, found),
        ("apps", "ReplicaSet") => workloads::replica_set(new, old, found),
        ("apps", "StatefulSet") => workloads::stateful_set(new, old, found),
        ("apps", "DaemonSet") => workloads::daemon_set(new, old, found),
        ("batch", "Job") => workloads::job(new, old, found),
        ("batch", "CronJob") => workloads::cron_job(new, found),
        ("autoscaling", "HorizontalPodAutoscaler") => workloads::autoscaler(new, found),
        ("policy", "PodDisruptionBudget") => workloads::disruption_budget(new, found),
        ("networking.k8s.io", "Ingress") => services::ingress(new, found),
        ("networking.k8s.io", "NetworkPolicy") => services::network_policy(new, found),
        ("discovery.k8s.io", "EndpointSlice") => services::endpoint_slice(new, old, found),
        ("rbac.authorization.k8s.io", kind @ ("Role" | "ClusterRole")) => {
            configuration::role(kind, new, found);
        }
        ("rbac.authorization.k8s.io", kind @ ("RoleBinding" | "ClusterRoleBinding")) => {
            configuration::role_binding(kind, new, old, found);
        }
        ("storage.k8s.io", "StorageClass") => storage::class(new, old, found),
        ("scheduling.k8s.io", "PriorityClass") => configuration::priority_class(new, old, found),
        ("coordination.k8s.io", "Lease") => configuration::lease(new, found),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            found.causes.extend(crate::crd::validate(new, old));
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "object/tests.rs"]
mod tests;
