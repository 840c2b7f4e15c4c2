//! What is special about a resource when its objects are written (the strategies of `pkg/registry` in Kubernetes).

use apimachinery::{Resource, defaults};
use serde_json::{Value as Json, json};

use super::document::{is_deleting, list, map, metadata, number, part, take_over};

/// Whether objects of a resource count the changes of their specs.
pub(super) fn has_generation(resource: &Resource) -> bool {
    resource.custom
        || matches!(
            (&*resource.kind.group, &*resource.plural),
            ("", "pods" | "replicationcontrollers")
                | (
                    "apps",
                    "deployments" | "replicasets" | "statefulsets" | "daemonsets"
                )
                | ("batch", "jobs" | "cronjobs")
                | (
                    "networking.k8s.io",
                    "ingresses" | "networkpolicies" | "ingressclasses"
                )
                | ("policy", "poddisruptionbudgets")
                | ("discovery.k8s.io", "endpointslices")
                | ("scheduling.k8s.io", "priorityclasses")
                | ("apiextensions.k8s.io", "customresourcedefinitions")
                | (
                    "admissionregistration.k8s.io" | "flowcontrol.apiserver.k8s.io",
                    _
                )
        )
}

pub(super) fn has_status(resource: &Resource) -> bool {
    resource.subresource("status").is_some()
}

/// Whether PUT creates what isn't there (`AllowCreateOnUpdate`).
pub(super) fn creates_on_update(resource: &Resource) -> bool {
    matches!(
        (&*resource.kind.group, &*resource.plural),
        (
            "",
            "endpoints" | "events" | "limitranges" | "resourcequotas" | "services" | "podtemplates"
        ) | ("coordination.k8s.io", "leases")
            | ("rbac.authorization.k8s.io", _)
    )
}

/// Whether an update has to say which version it is of (not `AllowUnconditionalUpdate`).
pub(super) fn needs_version(resource: &Resource) -> bool {
    resource.custom
        || matches!(
            (&*resource.kind.group, &*resource.plural),
            ("apiextensions.k8s.io", "customresourcedefinitions")
                | ("policy", "poddisruptionbudgets")
                | ("discovery.k8s.io", "endpointslices")
                | ("coordination.k8s.io", "leases")
                | ("apiregistration.k8s.io", _)
                | ("admissionregistration.k8s.io", _)
        )
}

/// Fields that an endpoint can't change: nobody comes to own them through it.
pub(super) fn reset_fields(
    resource: &Resource,
    subresource: Option<&str>,
) -> &'static [&'static str] {
    match subresource {
        None if has_status(resource) => &["status"],
        Some("status") => &["spec"],
        _ => &[],
    }
}

/// What the server itself says of a new object.
pub(super) fn prepare_create(resource: &Resource, object: &mut Json) {
    let group = &*resource.kind.group;
    if has_generation(resource) {
        metadata(object).insert("generation".to_owned(), 1.into());
    } else {
        metadata(object).remove("generation");
    }
    if group.is_empty() && &*resource.plural == "namespaces" {
        part(object, "spec").insert("finalizers".to_owned(), json!(["kubernetes"]));
    }
    if group == "batch" && &*resource.plural == "jobs" {
        // Its selector is made of its uid.
        defaults::apply(resource, object);
    }
    match defaults::initial_status(resource, object) {
        Some(status) => {
            map(object).insert("status".to_owned(), status);
        }
        None if resource.custom && has_status(resource) => {
            map(object).remove("status");
        }
        None => {}
    }
}

/// What an update through an endpoint leaves of what the client sent: the rest is as it was.
pub(super) fn restore(resource: &Resource, subresource: Option<&str>, old: &Json, new: &mut Json) {
    match subresource {
        None => {
            if has_status(resource) {
                take_over(old, map(new), "status");
            }
            if resource.kind.group.is_empty() && &*resource.plural == "namespaces" {
                let finalizers = old["spec"].clone();
                take_over(&finalizers, part(new, "spec"), "finalizers");
            }
            restore_metadata(old, new);
        }
        Some(subresource) => {
            let sent = std::mem::replace(new, old.clone());
            let kept: &[&str] = if resource.custom {
                &["managedFields", "resourceVersion"]
            } else {
                &["managedFields", "resourceVersion", "labels", "annotations"]
            };
            for name in kept {
                take_over(&sent["metadata"], metadata(new), name);
            }
            match subresource {
                "status" => take_over(&sent, map(new), "status"),
                "finalize" => take_over(&sent["spec"], part(new, "spec"), "finalizers"),
                "approval" => take_over(&sent["status"], part(new, "status"), "conditions"),
                "ephemeralcontainers" => {
                    take_over(&sent["spec"], part(new, "spec"), "ephemeralContainers");
                }
                "resize" => resize(&sent, new),
                "scale" => {
                    *new = sent;
                    restore_metadata(old, new);
                }
                _ => {}
            }
        }
    }
}

/// What clients can't change of an object's metadata.
fn restore_metadata(old: &Json, new: &mut Json) {
    let metadata = metadata(new);
    for name in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "namespace",
        "name",
    ] {
        take_over(&old["metadata"], metadata, name);
    }
    metadata.remove("selfLink");
}

fn resize(sent: &Json, new: &mut Json) {
    for lists in ["containers", "initContainers"] {
        let Some(containers) = new["spec"].get_mut(lists).and_then(Json::as_array_mut) else {
            continue;
        };
        for container in containers {
            let with = list(sent, &format!("/spec/{lists}"))
                .iter()
                .find(|one| one["name"] == container["name"]);
            if let Some(with) = with {
                take_over(with, map(container), "resources");
                take_over(with, map(container), "resizePolicy");
            }
        }
    }
}

/// Whether two versions of an object differ in what its generation counts.
pub(super) fn spec_differs(resource: &Resource, old: &Json, new: &Json) -> bool {
    let counted = |object: &Json, name: &str| -> Option<Json> {
        let counts = match name {
            "metadata" | "apiVersion" | "kind" => false,
            "status" => !has_status(resource),
            _ => true,
        };
        counts.then(|| object.get(name).cloned()).flatten()
    };
    let names = |object: &Json| -> Vec<String> {
        object
            .as_object()
            .map(|fields| fields.keys().cloned().collect())
            .unwrap_or_default()
    };
    names(old)
        .iter()
        .chain(&names(new))
        .any(|name| counted(old, name) != counted(new, name))
}

/// Whether nothing holds a deleted object any more but its finalizers.
pub(super) fn may_go(resource: &Resource, object: &Json) -> bool {
    let grace = number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or_default();
    let namespace = resource.kind.group.is_empty() && &*resource.plural == "namespaces";
    let held = !list(object, "/metadata/finalizers").is_empty()
        || namespace && !list(object, "/spec/finalizers").is_empty();
    is_deleting(object) && grace == 0 && !held
}
