//! What every cluster has from the beginning.

use std::sync::Arc;

use apimachinery::Status;
use serde_json::{Value as Json, json};

use super::Registry;

/// Makes what isn't there. Roles and bindings are not among it: who may do what is the server's matter.
///
/// # Errors
/// When the store can't be written.
pub(super) fn bootstrap(registry: &Arc<Registry>) -> Result<(), Status> {
    let local = registry.local("kube-apiserver");
    for object in objects(registry) {
        local.ensure(object)?;
    }
    Ok(())
}

fn objects(registry: &Registry) -> Vec<Json> {
    let namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];
    let mut objects: Vec<Json> = namespaces
        .into_iter()
        .map(
            |name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
        )
        .collect();
    let classes = [
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ];
    objects.extend(classes.into_iter().map(|(name, value, description)| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
            "value": value, "description": description,
        })
    }));
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": [registry.settings.service_cidr] },
    }));
    objects.push(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "clusterIP": registry.services.own().to_string(),
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 443 }],
        },
    }));
    objects
}
