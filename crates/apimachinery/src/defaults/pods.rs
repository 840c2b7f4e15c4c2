//! Pods and pod templates.

use serde_json::{Map, Value as Json};

use super::field_reference;
use super::put::{add_missing, child, child_or_new, items, set, set_number, set_text};
use crate::quantity::Quantity;

/// A pod, which has some that a template has not: requests from limits, host ports, service links.
pub(super) fn pod(object: &mut Json) {
    let Some(spec) = child(object, "spec") else {
        return;
    };
    self::spec(spec);
    let host_network = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            if let Some(resources) = child(container, "resources") {
                let limits = resources["limits"].clone();
                add_missing(resources, "requests", &limits);
            }
            if host_network {
                for port in items(container, "ports") {
                    let number = port["containerPort"].as_i64().unwrap_or(0);
                    set_number(port, "hostPort", number);
                }
            }
        }
    }
    set(spec, "enableServiceLinks", true);
}

/// `metadata` and `spec` of a pod to be.
pub(super) fn template(template: &mut Json) {
    if let Some(spec) = child(template, "spec") {
        self::spec(spec);
    }
}

fn spec(spec: &mut Json) {
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set(spec, "securityContext", Map::new());
    set(spec, "terminationGracePeriodSeconds", 30);
    set_text(spec, "schedulerName", "default-scheduler");
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(spec, list) {
            self::container(container);
        }
    }
    for volume in items(spec, "volumes") {
        self::volume(volume);
    }
}

fn container(container: &mut Json) {
    let policy = pull_policy(container["image"].as_str().unwrap_or_default());
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    // A struct, which Go always writes.
    set(container, "resources", Map::new());
    super::protocols(container, "ports");
    for variable in items(container, "env") {
        if let Some(source) = child(variable, "valueFrom") {
            field_reference(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = child(container, probe) {
            set_number(probe, "timeoutSeconds", 1);
            set_number(probe, "periodSeconds", 10);
            set_number(probe, "successThreshold", 1);
            set_number(probe, "failureThreshold", 3);
            http_get(probe);
            if let Some(grpc) = child(probe, "grpc") {
                set(grpc, "service", "");
            }
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = child(lifecycle, hook) {
                http_get(hook);
            }
        }
    }
}

fn http_get(handler: &mut Json) {
    if let Some(http) = child(handler, "httpGet") {
        set_text(http, "path", "/");
        set_text(http, "scheme", "HTTP");
    }
}

/// `Always` of what may change under its name.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let digest = last.contains('@');
    let tag = last.split('@').next().and_then(|it| it.split_once(':'));
    match tag {
        _ if image.is_empty() => "IfNotPresent",
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn volume(volume: &mut Json) {
    if let Json::Object(map) = volume
        && map
            .iter()
            .all(|(name, value)| name == "name" || value.is_null())
    {
        map.insert("emptyDir".into(), Map::new().into());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, source) {
            set(source, "defaultMode", 0o644);
        }
    }
    if let Some(path) = child(volume, "hostPath") {
        set(path, "type", "");
    }
    if let Some(downward) = child(volume, "downwardAPI") {
        items(downward, "items").for_each(field_reference);
    }
    if let Some(projected) = child(volume, "projected") {
        for source in items(projected, "sources") {
            if let Some(token) = child(source, "serviceAccountToken") {
                set(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = child(source, "downwardAPI") {
                items(downward, "items").for_each(field_reference);
            }
        }
    }
    if let Some(ephemeral) = child(volume, "ephemeral")
        && let Some(template) = child(ephemeral, "volumeClaimTemplate")
    {
        set(child_or_new(template, "spec"), "volumeMode", "Filesystem");
    }
    if let Some(iscsi) = child(volume, "iscsi") {
        set_text(iscsi, "iscsiInterface", "default");
    }
}

/// The quality of service of a pod: `Guaranteed` if every container has the same limits and requests of CPU and memory,
/// `BestEffort` if none has any, else `Burstable`.
#[must_use]
pub fn qos_class(pod: &Json) -> &'static str {
    let mut some = false;
    let mut guaranteed = true;
    let lists = ["containers", "initContainers"];
    let containers = lists
        .iter()
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten();
    for container in containers {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let amount = |of: &str| {
                Quantity::of(&resources[of][name]).filter(|amount| *amount > Quantity::ZERO)
            };
            let (request, limit) = (amount("requests"), amount("limits"));
            some |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (some, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
