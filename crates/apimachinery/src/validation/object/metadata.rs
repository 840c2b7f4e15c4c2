//! `metadata`, which all kinds have.

use serde_json::Value as Json;

use super::found::{Found, entries, list, text};
use crate::resource::Resource;
use crate::validation::names;

/// All annotations together.
const MOST_ANNOTATIONS: usize = 256 * 1024;

pub(super) fn check(resource: &Resource, new: &Json, old: Option<&Json>, found: &mut Found) {
    let meta = &new["metadata"];
    name(resource, meta, found);
    if resource.namespaced {
        if found.has_text("metadata.namespace", &meta["namespace"]) {
            found.named(
                "metadata.namespace",
                &meta["namespace"],
                names::dns_1123_label,
            );
        }
    } else if !text(&meta["namespace"]).is_empty() {
        found.forbidden("metadata.namespace", "not allowed on this type");
    }
    labels("metadata.labels", &meta["labels"], found);
    annotations("metadata.annotations", &meta["annotations"], found);
    owners(meta, found);
    for (index, finalizer) in list(&meta["finalizers"]).iter().enumerate() {
        for why in names::qualified(text(finalizer)) {
            found.invalid(format!("metadata.finalizers[{index}]"), finalizer, why);
        }
    }
    if let Some(old) = old {
        let old = &old["metadata"];
        for field in ["name", "namespace", "uid", "creationTimestamp"] {
            // What an update leaves out stays.
            if !meta[field].is_null() && !old[field].is_null() {
                found.fixed(&format!("metadata.{field}"), &meta[field], &old[field]);
            }
        }
        if !old["deletionTimestamp"].is_null() {
            let before = list(&old["finalizers"]);
            let added: Vec<String> = list(&meta["finalizers"])
                .iter()
                .filter(|one| !before.contains(one))
                .map(|one| format!("{one}"))
                .collect();
            if !added.is_empty() {
                let why = format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.join(", ")
                );
                found.forbidden("metadata.finalizers", &why);
            }
        }
    }
}

fn name(resource: &Resource, meta: &Json, found: &mut Found) {
    let kind = (&*resource.kind.group, &*resource.kind.kind);
    let rule: fn(&str) -> Option<String> = match kind {
        ("", "Namespace") => names::dns_1123_label,
        ("", "Service") => names::dns_1035_label,
        ("rbac.authorization.k8s.io", _) | ("storage.k8s.io", "VolumeAttachment") => {
            names::path_segment
        }
        // The name is that of an address, which has colons in IPv6.
        ("networking.k8s.io", "IPAddress") => names::path_segment,
        _ => names::dns_subdomain,
    };
    if text(&meta["name"]).is_empty() {
        if text(&meta["generateName"]).is_empty() {
            found.required("metadata.name", "name or generateName is required");
        }
        return;
    }
    found.named("metadata.name", &meta["name"], rule);
    if kind == ("batch", "CronJob") && text(&meta["name"]).len() > 52 {
        found.invalid(
            "metadata.name",
            &meta["name"],
            "must be no more than 52 characters",
        );
    }
}

/// Labels of an object, or a selector by labels.
pub(super) fn labels(path: &str, labels: &Json, found: &mut Found) {
    for (key, value) in entries(labels) {
        for why in names::qualified(key) {
            found.invalid(path, &key.as_str().into(), why);
        }
        if let Some(why) = names::label_value(text(value)) {
            found.invalid(path, value, why);
        }
    }
}

pub(super) fn annotations(path: &str, annotations: &Json, found: &mut Found) {
    let mut size = 0;
    for (key, value) in entries(annotations) {
        size += key.len() + text(value).len();
        for why in names::qualified(&key.to_lowercase()) {
            found.invalid(path, &key.as_str().into(), why);
        }
    }
    if size > MOST_ANNOTATIONS {
        found.too_long(path, MOST_ANNOTATIONS as u64);
    }
}

fn owners(meta: &Json, found: &mut Found) {
    let mut controller: Option<&str> = None;
    for (index, owner) in list(&meta["ownerReferences"]).iter().enumerate() {
        let path = |field: &str| format!("metadata.ownerReferences[{index}].{field}");
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(&owner[field]).is_empty() {
                found.invalid(path(field), &"".into(), why);
            }
        }
        if owner["controller"] == true {
            let name = text(&owner["name"]);
            if let Some(first) = controller {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                found.invalid("metadata.ownerReferences", &meta["ownerReferences"], why);
            }
            controller = Some(name);
        }
    }
}
