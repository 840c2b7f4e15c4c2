//! The defaults that the API server gives to the fields of built-in kinds (`pkg/apis/*/v1/defaults.go` of Kubernetes 1.33,
//! features in their default state), and the status that an object is created with.
//!
//! Not here: what admission puts in (service account, limit ranges, priority, storage class, tolerations) and what is
//! allocated (cluster IPs, node ports, IP families).

mod cluster;
mod pods;
mod put;
mod services;
mod workloads;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};

use crate::crd;
use crate::resource::Resource;
use put::{child, child_or_new, items, put, set, set_text};

pub use pods::qos_class;

/// Puts in what the object leaves out. Applying it again changes nothing. Of custom resources, the defaults of their schema.
///
/// A Job whose `metadata.uid` is known gets its selector and the labels that go with it.
pub fn apply(resource: &Resource, object: &mut Json) {
    if !object.is_object() {
        return;
    }
    if resource.custom {
        crd::default(&resource.schema, object);
        return;
    }
    match (&*resource.kind.group, &*resource.kind.kind) {
        ("", kind) => core(kind, object),
        ("apps", "Deployment") => workloads::deployment(object),
        ("apps", "ReplicaSet") => workloads::replica_set(object),
        ("apps", "StatefulSet") => workloads::stateful_set(object),
        ("apps", "DaemonSet") => workloads::daemon_set(object),
        ("batch", "Job") => workloads::job(object),
        ("batch", "CronJob") => workloads::cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            workloads::autoscaler(object, &resource.kind.version);
        }
        ("networking.k8s.io", "NetworkPolicy") => services::network_policy(object),
        ("networking.k8s.io", "IngressClass") => services::ingress_class(object),
        ("discovery.k8s.io", "EndpointSlice") => services::endpoint_slice(object),
        ("authentication.k8s.io", "TokenRequest") => {
            set(child_or_new(object, "spec"), "expirationSeconds", 3600);
        }
        (group, kind) => cluster::of(group, kind, object),
    }
}

/// Of a kind of the core group.
fn core(kind: &str, object: &mut Json) {
    match kind {
        "Pod" => pods::pod(object),
        "PodTemplate" => {
            if let Some(template) = child(object, "template") {
                pods::template(template);
            }
        }
        "ReplicationController" => workloads::replication_controller(object),
        "Service" => services::service(object),
        "Endpoints" => services::endpoints(object),
        "Secret" => secret(object),
        "PersistentVolume" => cluster::volume(object),
        "PersistentVolumeClaim" => cluster::claim(object),
        "LimitRange" => cluster::limit_range(object),
        "Namespace" => {
            if let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) {
                let labels = child_or_new(child_or_new(object, "metadata"), "labels");
                put(labels, "kubernetes.io/metadata.name", name);
            }
            set_text(child_or_new(object, "status"), "phase", "Active");
        }
        "Node" => {
            if let Some(status) = child(object, "status") {
                let capacity = status["capacity"].clone();
                if capacity.is_object() {
                    set(status, "allocatable", capacity);
                }
            }
        }
        _ => {}
    }
}

/// What is written as text in `stringData` is kept as data.
fn secret(object: &mut Json) {
    set_text(object, "type", "Opaque");
    let Json::Object(map) = object else { return };
    if let Some(Json::Object(texts)) = map.remove("stringData")
        && !texts.is_empty()
    {
        let data = child_or_new(object, "data");
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            put(data, &key, BASE64.encode(text));
        }
    }
}

/// The status that an object has when it was just created: what a client sends as one is put aside. Nothing of kinds that
/// have no status, or whose status is taken as it is sent (reviews, nodes).
#[must_use]
pub fn initial_status(resource: &Resource, object: &Json) -> Option<Json> {
    if &*resource.kind.kind == "Node" && resource.kind.group.is_empty() {
        return None;
    }
    resource.subresource("status")?;
    Some(match (&*resource.kind.group, &*resource.kind.kind) {
        ("", "Pod") => json!({"phase": "Pending", "qosClass": qos_class(object)}),
        ("", "Namespace") => json!({"phase": "Active"}),
        ("", "PersistentVolume" | "PersistentVolumeClaim") => json!({"phase": "Pending"}),
        ("", "Service") | ("networking.k8s.io", "Ingress") => json!({"loadBalancer": {}}),
        ("", "ReplicationController") | ("apps", "ReplicaSet") => json!({"replicas": 0}),
        ("apps", "StatefulSet") => json!({"replicas": 0, "availableReplicas": 0}),
        ("apps", "DaemonSet") => json!({
            "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
        }),
        ("autoscaling", "HorizontalPodAutoscaler") if &*resource.kind.version == "v1" => {
            json!({"currentReplicas": 0, "desiredReplicas": 0})
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            json!({"currentMetrics": null, "desiredReplicas": 0})
        }
        ("policy", "PodDisruptionBudget") => json!({
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
        }),
        ("storage.k8s.io", "VolumeAttachment") => json!({"attached": false}),
        _ if resource.custom => return None,
        _ => json!({}),
    })
}

/// Field references (`fieldRef`), which speak of version v1 of the pod.
fn field_reference(holder: &mut Json) {
    if let Some(reference) = child(holder, "fieldRef") {
        set_text(reference, "apiVersion", "v1");
    }
}

/// `protocol: TCP` of each port of a list.
fn protocols(holder: &mut Json, list: &str) {
    for port in items(holder, list) {
        set_text(port, "protocol", "TCP");
    }
}

#[cfg(test)]
#[path = "defaults/tests.rs"]
mod tests;
