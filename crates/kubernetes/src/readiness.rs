//! When an object is as it was asked for to be.
//!
//! The rules are those of kstatus (`sigs.k8s.io/cli-utils/pkg/kstatus`, its README and `status/core.go`), which Helm 4 and
//! kpt wait by, with two differences: a Job is ready when it is complete, not when it has begun, and a Service of the type
//! LoadBalancer when it has an address.

use serde_json::Value as Json;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is there.
    Ready,
    /// It is on the way; what is missing.
    Progressing(String),
    /// It will not get there by itself; why.
    Failed(String),
}

use Readiness::{Failed, Progressing, Ready};

/// How far an object is, by its kind and its status.
pub(crate) fn readiness(object: &Json) -> Readiness {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Progressing("it is being deleted".to_owned());
    }
    if let (Some(observed), Some(generation)) = (
        object["status"]["observedGeneration"].as_i64(),
        object["metadata"]["generation"].as_i64(),
    ) && observed < generation
    {
        return Progressing("its controller has not seen the change yet".to_owned());
    }
    let group = object["apiVersion"]
        .as_str()
        .and_then(|version| version.split_once('/'))
        .map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => phase(object, "Bound"),
        ("", "Namespace") => phase(object, "Active"),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => needs_condition(object, "Available"),
        _ => by_conditions(object),
    }
}

fn number(value: &Json) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn wanted(object: &Json) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// A condition's status, reason and message.
fn condition<'a>(object: &'a Json, of_type: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|one| one["type"] == of_type)?;
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    Some((text("status"), text("reason"), text("message")))
}

fn because(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", "") => "no reason was given".to_owned(),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Every controller's own word, where it has one: `Reconciling`, `Stalled`, `Ready`.
fn by_conditions(object: &Json) -> Readiness {
    if let Some(("True", reason, message)) = condition(object, "Stalled") {
        return Failed(because(reason, message));
    }
    if let Some(("True", reason, message)) = condition(object, "Reconciling") {
        return Progressing(because(reason, message));
    }
    match condition(object, "Ready") {
        Some(("True", ..)) | None => Ready,
        Some((_, reason, message)) => Progressing(because(reason, message)),
    }
}

fn needs_condition(object: &Json, of_type: &str) -> Readiness {
    match condition(object, of_type) {
        Some(("True", ..)) => Ready,
        Some((_, reason, message)) => Progressing(because(reason, message)),
        None => Progressing(format!("it is not {of_type} yet")),
    }
}

fn phase(object: &Json, wanted: &str) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some(phase) if phase == wanted => Ready,
        Some(phase) => Progressing(format!("it is {phase}, not {wanted}")),
        None => Progressing(format!("it is not {wanted} yet")),
    }
}

/// Says which of some counts is the first that is not what it should be.
fn counted(counts: &[(i64, i64, &str)]) -> Readiness {
    for (present, wanted, what) in counts {
        if present < wanted {
            return Progressing(format!("{present} of {wanted} {what}"));
        }
    }
    Ready
}

fn is_unseen(object: &Json) -> bool {
    object["status"]["observedGeneration"].is_null()
}

fn unseen() -> Readiness {
    Progressing("its controller has not seen it yet".to_owned())
}

fn deployment(object: &Json) -> Readiness {
    if let Some(("False", "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        return Failed(because("ProgressDeadlineExceeded", message));
    }
    if let Some(("True", reason, message)) = condition(object, "ReplicaFailure") {
        return Progressing(because(reason, message));
    }
    if is_unseen(object) {
        return unseen();
    }
    let (status, wanted) = (&object["status"], wanted(object));
    let updated = number(&status["updatedReplicas"]);
    let old = number(&status["replicas"]) - updated;
    match counted(&[(updated, wanted, "replicas are updated")]) {
        Ready if old > 0 => Progressing(format!("{old} old replicas are still there")),
        Ready => counted(&[available(status, wanted), ready(status, wanted)]),
        other => other,
    }
}

/// How many replicas are available, of how many.
fn available(status: &Json, wanted: i64) -> (i64, i64, &'static str) {
    (
        number(&status["availableReplicas"]),
        wanted,
        "replicas are available",
    )
}

/// How many are ready.
fn ready(status: &Json, wanted: i64) -> (i64, i64, &'static str) {
    (
        number(&status["readyReplicas"]),
        wanted,
        "replicas are ready",
    )
}

fn replica_set(object: &Json) -> Readiness {
    if let Some(("True", reason, message)) = condition(object, "ReplicaFailure") {
        return Progressing(because(reason, message));
    }
    let (status, wanted) = (&object["status"], wanted(object));
    counted(&[
        (number(&status["replicas"]), wanted, "replicas are there"),
        available(status, wanted),
        ready(status, wanted),
    ])
}

fn stateful_set(object: &Json) -> Readiness {
    let (spec, status) = (&object["spec"], &object["status"]);
    if spec["updateStrategy"]["type"] == "OnDelete" {
        return Ready;
    }
    if is_unseen(object) {
        return unseen();
    }
    let wanted = wanted(object);
    let there = counted(&[
        (number(&status["replicas"]), wanted, "replicas are there"),
        ready(status, wanted),
    ]);
    if there != Ready {
        return there;
    }
    let partition = number(&spec["updateStrategy"]["rollingUpdate"]["partition"]);
    if partition > 0 {
        let after = (wanted - partition).max(0);
        return counted(&[(
            number(&status["updatedReplicas"]),
            after,
            "replicas are updated",
        )]);
    }
    if status["currentRevision"] != status["updateRevision"] {
        let updated = number(&status["updatedReplicas"]);
        return Progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    Ready
}

fn daemon_set(object: &Json) -> Readiness {
    if is_unseen(object) {
        return unseen();
    }
    let status = &object["status"];
    let wanted = number(&status["desiredNumberScheduled"]);
    let counts = [
        (
            number(&status["currentNumberScheduled"]),
            wanted,
            "pods are there",
        ),
        (
            number(&status["updatedNumberScheduled"]),
            wanted,
            "pods are updated",
        ),
        (
            number(&status["numberAvailable"]),
            wanted,
            "pods are available",
        ),
        (number(&status["numberReady"]), wanted, "pods are ready"),
    ];
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return counted(&counts[2..]);
    }
    counted(&counts)
}

fn job(object: &Json) -> Readiness {
    if let Some(("True", reason, message)) = condition(object, "Failed") {
        return Failed(because(reason, message));
    }
    if let Some(("True", ..)) = condition(object, "Complete") {
        return Ready;
    }
    if object["spec"]["suspend"] == true {
        return Ready;
    }
    let status = &object["status"];
    Progressing(format!(
        "{} pods have succeeded, {} have failed, {} are running",
        number(&status["succeeded"]),
        number(&status["failed"]),
        number(&status["active"])
    ))
}

fn pod(object: &Json) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Ready,
        Some("Failed") => {
            let text = |name: &str| object["status"][name].as_str().unwrap_or_default();
            Failed(because(text("reason"), text("message")))
        }
        Some("Running") => needs_condition(object, "Ready"),
        _ => match condition(object, "PodScheduled") {
            Some(("False", reason, message)) => Progressing(because(reason, message)),
            _ => Progressing("it does not run yet".to_owned()),
        },
    }
}

fn service(object: &Json) -> Readiness {
    let spec = &object["spec"];
    if spec["type"] != "LoadBalancer" {
        return Ready;
    }
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array();
    if ingress.is_some_and(|ingress| !ingress.is_empty()) {
        Ready
    } else {
        Progressing("its load balancer has no address yet".to_owned())
    }
}

fn definition(object: &Json) -> Readiness {
    if let Some(("False", reason, message)) = condition(object, "NamesAccepted") {
        return Failed(because(reason, message));
    }
    needs_condition(object, "Established")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(api_version: &str, kind: &str, rest: Json) -> Readiness {
        let mut object = rest;
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        readiness(&object)
    }

    fn is_progressing(readiness: &Readiness, words: &str) -> bool {
        matches!(readiness, Progressing(text) if text.contains(words))
    }

    #[test]
    fn a_deployment_is_ready_when_all_its_replicas_are_new_and_available() {
        let with = |generation: i64, updated: i64, replicas: i64, available: i64| {
            of(
                "apps/v1",
                "Deployment",
                json!({
                    "metadata": {"generation": generation}, "spec": {"replicas": 2},
                    "status": {
                        "observedGeneration": 2, "updatedReplicas": updated, "replicas": replicas,
                        "availableReplicas": available, "readyReplicas": available,
                    },
                }),
            )
        };
        assert_eq!(with(2, 2, 2, 2), Ready);
        assert!(is_progressing(&with(3, 2, 2, 2), "has not seen"));
        assert!(is_progressing(
            &with(2, 1, 2, 2),
            "1 of 2 replicas are updated"
        ));
        assert!(is_progressing(&with(2, 2, 3, 2), "1 old replicas"));
        assert!(is_progressing(
            &with(2, 2, 2, 1),
            "1 of 2 replicas are available"
        ));
        let fresh = of("apps/v1", "Deployment", json!({"spec": {"replicas": 0}}));
        assert!(is_progressing(&fresh, "has not seen"));
        let late = of(
            "apps/v1",
            "Deployment",
            json!({
                "status": {"conditions": [{
                    "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out",
                }]},
            }),
        );
        assert_eq!(
            late,
            Failed("ProgressDeadlineExceeded: timed out".to_owned())
        );
    }

    #[test]
    fn every_kind_has_its_own_sign() {
        let status = |kind: &str, api_version: &str, status: Json| {
            of(api_version, kind, json!({"status": status}))
        };
        let condition = |of_type: &str, status: &str| json!({"conditions": [{"type": of_type, "status": status}]});
        assert_eq!(status("Namespace", "v1", json!({"phase": "Active"})), Ready);
        assert!(is_progressing(
            &status("PersistentVolumeClaim", "v1", json!({"phase": "Pending"})),
            "Pending"
        ));
        assert_eq!(
            status("Job", "batch/v1", condition("Complete", "True")),
            Ready
        );
        assert!(matches!(
            status("Job", "batch/v1", condition("Failed", "True")),
            Failed(_)
        ));
        assert!(is_progressing(
            &status("Job", "batch/v1", json!({"active": 1})),
            "1 are running"
        ));
        let crd = "apiextensions.k8s.io/v1";
        assert_eq!(
            status(
                "CustomResourceDefinition",
                crd,
                condition("Established", "True")
            ),
            Ready
        );
        assert!(is_progressing(
            &status("CustomResourceDefinition", crd, json!({})),
            "Established"
        ));
        assert_eq!(status("ConfigMap", "v1", json!({})), Ready);
        assert_eq!(
            status("NodePool", "karpenter.sh/v1", condition("Ready", "True")),
            Ready
        );
        assert!(is_progressing(
            &status("NodePool", "karpenter.sh/v1", condition("Ready", "False")),
            "no reason"
        ));
        let service =
            |service_type: &str| of("v1", "Service", json!({"spec": {"type": service_type}}));
        assert_eq!(service("ClusterIP"), Ready);
        assert!(is_progressing(&service("LoadBalancer"), "address"));
        let daemons = json!({
            "observedGeneration": 1, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
            "updatedNumberScheduled": 2, "numberAvailable": 1, "numberReady": 1,
        });
        assert!(is_progressing(
            &status("DaemonSet", "apps/v1", daemons),
            "1 of 2 pods are available"
        ));
    }

    #[test]
    fn a_stateful_set_waits_for_its_revision_or_its_partition() {
        let with = |partition: i64, updated: i64, same: bool| {
            of(
                "apps/v1",
                "StatefulSet",
                json!({
                    "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": partition}}},
                    "status": {
                        "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "updatedReplicas": updated,
                        "currentRevision": "a", "updateRevision": if same { "a" } else { "b" },
                    },
                }),
            )
        };
        assert_eq!(with(0, 3, true), Ready);
        assert!(is_progressing(&with(0, 2, false), "2 of 3"));
        assert_eq!(with(2, 1, false), Ready);
        assert!(is_progressing(&with(2, 0, false), "0 of 1"));
    }
}
