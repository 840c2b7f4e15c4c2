//! One object in several versions: what is stored is in one of them.
//!
//! The versions of a custom resource differ in their schemas only (conversion strategy `None`). HorizontalPodAutoscalers are
//! stored as `autoscaling/v2`, Events as the core group's.

use apimachinery::Resource;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::document::{map, metadata, part};
use crate::store::Stored;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// The names of an Event's fields in `events.k8s.io/v1` and in the core group.
const EVENT: [(&str, &str); 8] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedSource", "source"),
    ("reportingController", "reportingComponent"),
    ("reportingInstance", "reportingInstance"),
];

fn converts(shown: &Resource, stored: &Resource) -> bool {
    shown.kind != stored.kind
}

/// An object of a resource as it is stored.
pub(super) fn to_stored(shown: &Resource, stored: &Resource, mut object: Json) -> Json {
    if !converts(shown, stored) {
        return object;
    }
    match &*shown.kind.group {
        "events.k8s.io" => rename(&mut object, EVENT),
        "autoscaling" => to_v2(&mut object),
        _ => {}
    }
    map(&mut object).insert("apiVersion".to_owned(), stored.kind.api_version().into());
    object
}

/// A stored object in the version of a resource.
pub(super) fn to_shown(shown: &Resource, stored: &Resource, mut object: Json) -> Json {
    if !converts(shown, stored) {
        return object;
    }
    match &*shown.kind.group {
        "events.k8s.io" => rename(&mut object, EVENT.map(|(shown, stored)| (stored, shown))),
        "autoscaling" => to_v1(&mut object),
        _ => {}
    }
    map(&mut object).insert("apiVersion".to_owned(), shown.kind.api_version().into());
    object
}

/// The bytes of a stored object in the version of a resource.
pub(super) fn present(shown: &Resource, target: &Resource, stored: &Stored) -> Bytes {
    let version = shown.kind.api_version();
    // The keys of a stored object are in order, and no other key comes before this one.
    let says = stored
        .bytes
        .strip_prefix(b"{\"apiVersion\":\"")
        .and_then(|rest| rest.strip_prefix(version.as_bytes()));
    if says.is_some_and(|rest| rest.first() == Some(&b'"')) {
        return stored.bytes.clone();
    }
    let object = to_shown(shown, target, stored.json());
    let mut object = object;
    map(&mut object).insert("apiVersion".to_owned(), version.into());
    object.to_string().into()
}

fn rename<const N: usize>(object: &mut Json, names: [(&str, &str); N]) {
    let object = map(object);
    for (from, to) in names {
        if from != to
            && let Some(value) = object.remove(from)
        {
            object.insert(to.to_owned(), value);
        }
    }
}

fn is_cpu(metric: &Json) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

fn annotation(object: &Json, name: &str) -> Option<Json> {
    serde_json::from_str(object["metadata"]["annotations"][name].as_str()?).ok()
}

fn annotate(object: &mut Json, name: &str, value: Option<&Json>) {
    let annotations = map(metadata(object)
        .entry("annotations")
        .or_insert_with(|| Json::Object(Map::new())));
    match value {
        Some(value) => annotations.insert(name.to_owned(), value.to_string().into()),
        None => annotations.remove(name),
    };
    if annotations.is_empty() {
        metadata(object).remove("annotations");
    }
}

fn to_v2(object: &mut Json) {
    let mut metrics: Vec<Json> = annotation(object, METRICS)
        .and_then(|metrics| metrics.as_array().cloned())
        .unwrap_or_default();
    let behavior = annotation(object, BEHAVIOR);
    let current = annotation(object, CURRENT_METRICS);
    let conditions = annotation(object, CONDITIONS);
    for name in [METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS] {
        annotate(object, name, None);
    }
    let spec = part(object, "spec");
    if let Some(percentage) = spec.remove("targetCPUUtilizationPercentage") {
        metrics.insert(
            0,
            json!({
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": { "type": "Utilization", "averageUtilization": percentage },
                },
            }),
        );
    }
    if !metrics.is_empty() {
        spec.insert("metrics".to_owned(), metrics.into());
    }
    if let Some(behavior) = behavior {
        spec.insert("behavior".to_owned(), behavior);
    }
    if !object["status"].is_object() {
        return;
    }
    let status = part(object, "status");
    let percentage = status.remove("currentCPUUtilizationPercentage");
    let mut current: Vec<Json> = current
        .and_then(|current| current.as_array().cloned())
        .unwrap_or_default();
    if let Some(percentage) = percentage
        && !current.iter().any(is_cpu)
    {
        current.insert(
            0,
            json!({
                "type": "Resource",
                "resource": { "name": "cpu", "current": { "averageUtilization": percentage } },
            }),
        );
    }
    if !current.is_empty() {
        status.insert("currentMetrics".to_owned(), current.into());
    }
    if let Some(conditions) = conditions {
        status.insert("conditions".to_owned(), conditions);
    }
}

fn to_v1(object: &mut Json) {
    let spec = part(object, "spec");
    let mut metrics: Vec<Json> = match spec.remove("metrics") {
        Some(Json::Array(metrics)) => metrics,
        _ => Vec::new(),
    };
    let cpu = metrics.iter().position(|metric| {
        is_cpu(metric) && metric["resource"]["target"]["averageUtilization"].is_number()
    });
    if let Some(cpu) = cpu {
        let cpu = metrics.remove(cpu);
        spec.insert(
            "targetCPUUtilizationPercentage".to_owned(),
            cpu["resource"]["target"]["averageUtilization"].clone(),
        );
    }
    let behavior = spec.remove("behavior");
    let (mut current, mut conditions) = (None, None);
    if object["status"].is_object() {
        let status = part(object, "status");
        current = status.remove("currentMetrics");
        conditions = status.remove("conditions");
        let percentage = current
            .as_ref()
            .and_then(Json::as_array)
            .and_then(|all| all.iter().find(|metric| is_cpu(metric)))
            .map(|metric| metric["resource"]["current"]["averageUtilization"].clone())
            .filter(Json::is_number);
        if let Some(percentage) = percentage {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percentage);
        }
    }
    if !metrics.is_empty() {
        annotate(object, METRICS, Some(&metrics.into()));
    }
    for (name, value) in [
        (BEHAVIOR, behavior),
        (CURRENT_METRICS, current),
        (CONDITIONS, conditions),
    ] {
        if let Some(value) = value {
            annotate(object, name, Some(&value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_survives_the_way_through_v1() {
        let v2 = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": "web" },
            "spec": {
                "maxReplicas": 9,
                "metrics": [
                    { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } },
                    { "type": "Resource", "resource": { "name": "memory", "target": { "type": "Utilization", "averageUtilization": 60 } } },
                ],
                "behavior": { "scaleDown": { "stabilizationWindowSeconds": 60 } },
            },
            "status": { "currentReplicas": 1, "desiredReplicas": 2, "conditions": [{ "type": "AbleToScale", "status": "True" }] },
        });
        let mut object = v2.clone();
        to_v1(&mut object);
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 70);
        assert!(object["spec"].get("metrics").is_none());
        to_v2(&mut object);
        assert_eq!(object, v2);
    }
}
