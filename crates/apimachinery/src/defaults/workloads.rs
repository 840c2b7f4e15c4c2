//! What runs pods: the kinds of `apps`, `batch` and `autoscaling`.

use serde_json::{Value as Json, json};

use super::put::{child, child_or_new, has_entries, items, put, set, set_text};
use super::{cluster, pods};

/// The spec of a workload, with the defaults of its pods put in.
fn spec_with_pods(object: &mut Json) -> &mut Json {
    let spec = child_or_new(object, "spec");
    if let Some(template) = child(spec, "template") {
        pods::template(template);
    }
    spec
}

pub(super) fn deployment(object: &mut Json) {
    let spec = spec_with_pods(object);
    set(spec, "replicas", 1);
    let strategy = child_or_new(spec, "strategy");
    set_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = child_or_new(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", "25%");
        set(rolling, "maxSurge", "25%");
    }
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
}

pub(super) fn replica_set(object: &mut Json) {
    set(spec_with_pods(object), "replicas", 1);
}

pub(super) fn replication_controller(object: &mut Json) {
    let spec = spec_with_pods(object);
    set(spec, "replicas", 1);
    let labels = spec["template"]["metadata"]["labels"].clone();
    if has_entries(&labels) {
        if !has_entries(&spec["selector"]) {
            put(spec, "selector", labels.clone());
        }
        label_like_template(object, labels);
    }
}

pub(super) fn stateful_set(object: &mut Json) {
    let spec = spec_with_pods(object);
    set_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = child_or_new(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        set(child_or_new(strategy, "rollingUpdate"), "partition", 0);
    }
    let retention = child_or_new(spec, "persistentVolumeClaimRetentionPolicy");
    set_text(retention, "whenDeleted", "Retain");
    set_text(retention, "whenScaled", "Retain");
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    for template in items(spec, "volumeClaimTemplates") {
        set_text(template, "apiVersion", "v1");
        set_text(template, "kind", "PersistentVolumeClaim");
        cluster::claim(template);
    }
}

pub(super) fn daemon_set(object: &mut Json) {
    let spec = spec_with_pods(object);
    let strategy = child_or_new(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = child_or_new(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", 1);
        set(rolling, "maxSurge", 0);
    }
    set(spec, "revisionHistoryLimit", 10);
}

pub(super) fn job(object: &mut Json) {
    let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
    let name = object["metadata"]["name"].as_str().map(str::to_owned);
    let spec = spec_with_pods(object);
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let patient = !spec["backoffLimitPerIndex"].is_null();
    set(spec, "backoffLimit", if patient { i32::MAX } else { 6 });
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    let replaced = match spec["podFailurePolicy"].is_null() {
        true => "TerminatingOrFailed",
        false => "Failed",
    };
    set(spec, "podReplacementPolicy", replaced);
    if let Some(policy) = child(spec, "podFailurePolicy") {
        for rule in items(policy, "rules") {
            for pattern in items(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
    let labels = spec["template"]["metadata"]["labels"].clone();
    if spec["manualSelector"] != true
        && let (Some(uid), Some(name)) = (uid, name)
    {
        own_pods(spec, &uid, &name);
    }
    label_like_template(object, labels);
}

/// The selector and labels by which a Job knows its pods, unless it says them itself.
fn own_pods(spec: &mut Json, uid: &str, name: &str) {
    let labels = child_or_new(
        child_or_new(child_or_new(spec, "template"), "metadata"),
        "labels",
    );
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
        ("controller-uid", uid),
        ("job-name", name),
    ] {
        set(labels, key, value);
    }
    let selector = child_or_new(child_or_new(spec, "selector"), "matchLabels");
    set(selector, "batch.kubernetes.io/controller-uid", uid);
}

/// An object without labels has those of its pods.
fn label_like_template(object: &mut Json, labels: Json) {
    if has_entries(&labels) && !has_entries(&object["metadata"]["labels"]) {
        put(child_or_new(object, "metadata"), "labels", labels);
    }
}

pub(super) fn cron_job(object: &mut Json) {
    let spec = child_or_new(object, "spec");
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = child(spec, "jobTemplate")
        && let Some(job) = child(job, "spec")
        && let Some(template) = child(job, "template")
    {
        pods::template(template);
    }
}

pub(super) fn autoscaler(object: &mut Json, version: &str) {
    let spec = child_or_new(object, "spec");
    set(spec, "minReplicas", 1);
    if version == "v1" {
        set(spec, "targetCPUUtilizationPercentage", 80);
        return;
    }
    if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
        let cpu = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }]);
        put(spec, "metrics", cpu);
    }
    if let Some(behavior) = child(spec, "behavior") {
        let up = child_or_new(behavior, "scaleUp");
        set(up, "stabilizationWindowSeconds", 0);
        set(up, "selectPolicy", "Max");
        set(
            up,
            "policies",
            json!([
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ]),
        );
        let down = child_or_new(behavior, "scaleDown");
        set(down, "selectPolicy", "Max");
        set(
            down,
            "policies",
            json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]),
        );
    }
}
