//! Volumes, roles, webhooks, definitions: what belongs to the cluster rather than to an application.

use serde_json::{Map, Value as Json, json};

use super::put::{add_missing, child, child_or_new, items, put, set, set_number, set_text};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Of the groups that have few defaults.
pub(super) fn of(group: &str, kind: &str, object: &mut Json) {
    match (group, kind) {
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => role_binding(object),
        ("storage.k8s.io", "StorageClass") => {
            set(object, "reclaimPolicy", "Delete");
            set(object, "volumeBindingMode", "Immediate");
        }
        ("storage.k8s.io", "CSIDriver") => csi_driver(child_or_new(object, "spec")),
        ("scheduling.k8s.io", "PriorityClass") => {
            set(object, "preemptionPolicy", "PreemptLowerPriority");
        }
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            for webhook in items(object, "webhooks") {
                self::webhook(webhook);
                set(webhook, "reinvocationPolicy", "Never");
            }
        }
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            items(object, "webhooks").for_each(webhook);
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => {
            let spec = child_or_new(object, "spec");
            set(spec, "failurePolicy", "Fail");
            if let Some(constraints) = child(spec, "matchConstraints") {
                match_resources(constraints);
            }
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            if let Some(spec) = child(object, "spec")
                && let Some(resources) = child(spec, "matchResources")
            {
                match_resources(resources);
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => {
            if let Some(spec) = child(object, "spec")
                && let Some(service) = child(spec, "service")
            {
                set(service, "port", 443);
            }
        }
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => {
            set_number(child_or_new(object, "spec"), "matchingPrecedence", 1000);
        }
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            priority_level(child_or_new(object, "spec"));
        }
        _ => {}
    }
}

pub(super) fn volume(object: &mut Json) {
    let spec = child_or_new(object, "spec");
    set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    set(spec, "volumeMode", "Filesystem");
    if let Some(path) = child(spec, "hostPath") {
        set(path, "type", "");
    }
    if let Some(iscsi) = child(spec, "iscsi") {
        set_text(iscsi, "iscsiInterface", "default");
    }
    set_text(child_or_new(object, "status"), "phase", "Pending");
}

pub(super) fn claim(object: &mut Json) {
    set(child_or_new(object, "spec"), "volumeMode", "Filesystem");
    set_text(child_or_new(object, "status"), "phase", "Pending");
}

pub(super) fn limit_range(object: &mut Json) {
    let Some(spec) = child(object, "spec") else {
        return;
    };
    for limit in items(spec, "limits") {
        if limit["type"] == "Container" {
            let max = limit["max"].clone();
            add_missing(limit, "default", &max);
            let default = limit["default"].clone();
            add_missing(limit, "defaultRequest", &default);
            let min = limit["min"].clone();
            add_missing(limit, "defaultRequest", &min);
        }
    }
}

fn role_binding(object: &mut Json) {
    if let Some(role) = child(object, "roleRef") {
        set_text(role, "apiGroup", RBAC);
    }
    for subject in items(object, "subjects") {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set_text(subject, "apiGroup", RBAC);
        }
    }
}

fn csi_driver(spec: &mut Json) {
    set(spec, "attachRequired", true);
    set(spec, "podInfoOnMount", false);
    set(spec, "storageCapacity", false);
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec["volumeLifecycleModes"]
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        put(spec, "volumeLifecycleModes", json!(["Persistent"]));
    }
    set(spec, "requiresRepublish", false);
    set(spec, "seLinuxMount", false);
}

fn webhook(webhook: &mut Json) {
    set(webhook, "failurePolicy", "Fail");
    set(webhook, "matchPolicy", "Equivalent");
    set(webhook, "namespaceSelector", Map::new());
    set(webhook, "objectSelector", Map::new());
    set(webhook, "timeoutSeconds", 10);
    if let Some(client) = child(webhook, "clientConfig")
        && let Some(service) = child(client, "service")
    {
        set(service, "port", 443);
    }
    for rule in items(webhook, "rules") {
        set(rule, "scope", "*");
    }
}

fn match_resources(resources: &mut Json) {
    set(resources, "matchPolicy", "Equivalent");
    set(resources, "namespaceSelector", Map::new());
    set(resources, "objectSelector", Map::new());
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in items(resources, list) {
            set(rule, "scope", "*");
        }
    }
}

fn definition(object: &mut Json) {
    let spec = child_or_new(object, "spec");
    let conversion = child_or_new(spec, "conversion");
    set_text(conversion, "strategy", "None");
    if let Some(webhook) = child(conversion, "webhook")
        && let Some(client) = child(webhook, "clientConfig")
        && let Some(service) = child(client, "service")
    {
        set(service, "port", 443);
    }
    let names = child_or_new(spec, "names");
    if let Some(kind) = names["kind"].as_str().map(str::to_owned) {
        set_text(names, "singular", &kind.to_lowercase());
        set_text(names, "listKind", &format!("{kind}List"));
    }
}

fn priority_level(spec: &mut Json) {
    if let Some(exempt) = child(spec, "exempt") {
        set(exempt, "nominalConcurrencyShares", 0);
        set(exempt, "lendablePercent", 0);
    }
    if let Some(limited) = child(spec, "limited") {
        set(limited, "nominalConcurrencyShares", 30);
        set(limited, "lendablePercent", 0);
        if let Some(response) = child(limited, "limitResponse")
            && let Some(queuing) = child(response, "queuing")
        {
            set_number(queuing, "queues", 64);
            set_number(queuing, "handSize", 8);
            set_number(queuing, "queueLengthLimit", 50);
        }
    }
}
