//! What a pod's status means to those who own it (`pkg/api/v1/pod/util.go`, `pkg/controller/controller_utils.go`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::Pace;

/// The phase; a pod without one waits.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(crate) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Neither ended nor being deleted (`IsPodActive`).
pub(crate) fn is_active(pod: &Pod) -> bool {
    !has_ended(pod) && !is_terminating(pod)
}

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == kind)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Since when it is ready, if it is.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

pub(crate) fn created_at(metadata: &ObjectMeta) -> Timestamp {
    metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0)
}

pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec
        .as_ref()?
        .node_name
        .as_deref()
        .filter(|node| !node.is_empty())
}

/// How often its containers were started again: the most of any (`maxContainerRestarts`).
pub(crate) fn restarts(pod: &Pod) -> i32 {
    let Some(status) = &pod.status else { return 0 };
    status
        .container_statuses
        .iter()
        .flatten()
        .map(|container| container.restart_count)
        .max()
        .unwrap_or(0)
}

/// Whether a ready pod has been so for `minReadySeconds`, and if not, when it will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    Available,
    /// It will be at this time, if it stays ready.
    From(Timestamp),
    NotReady,
}

/// `IsPodAvailable`. The wait is one that pace shortens.
pub(crate) fn availability(
    pod: &Pod,
    min_ready_seconds: i32,
    now: Timestamp,
    pace: Pace,
) -> Availability {
    if !is_ready(pod) {
        return Availability::NotReady;
    }
    if min_ready_seconds <= 0 {
        return Availability::Available;
    }
    let since = ready_since(pod).unwrap_or(now);
    let from = pace.after(since, f64::from(min_ready_seconds));
    if from <= now {
        Availability::Available
    } else {
        Availability::From(from)
    }
}

/// How many pods of a set are what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) ready: i32,
    pub(crate) available: i32,
    /// When the next one becomes available.
    pub(crate) next: Option<Timestamp>,
}

impl Count {
    pub(crate) fn add(
        &mut self,
        pod: &Pod,
        min_ready_seconds: i32,
        now: Timestamp,
        pace: Pace,
    ) -> Availability {
        let availability = availability(pod, min_ready_seconds, now, pace);
        match availability {
            Availability::Available => {
                self.ready += 1;
                self.available += 1;
            }
            Availability::From(at) => {
                self.ready += 1;
                self.next = Some(self.next.map_or(at, |next| next.min(at)));
            }
            Availability::NotReady => {}
        }
        availability
    }
}

/// A pod of a template (`GetPodFromTemplate`, controller_utils.go): its labels, annotations and finalizers, and the owner.
pub(crate) fn of_template(
    template: &PodTemplateSpec,
    namespace: &str,
    name: String,
    generate_name: Option<String>,
    owner: OwnerReference,
) -> Pod {
    let metadata = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            generate_name,
            namespace: Some(namespace.to_owned()),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}
