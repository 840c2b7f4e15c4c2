//! The status and how far a rollout has come (`pkg/controller/deployment/progress.go`, `calculateStatus` of sync.go).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::workloads::writes::name_of;

use super::{Rollout, Sized};

/// A condition to be set.
pub(super) struct Told<'a> {
    pub(super) kind: &'static str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: String,
}

pub(super) fn condition<'a>(
    status: &'a DeploymentStatus,
    kind: &str,
) -> Option<&'a DeploymentCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind)
}

/// Sets a condition; one with the same status and reason stays as it is (`SetDeploymentCondition`).
pub(super) fn set_condition(status: &mut DeploymentStatus, told: &Told<'_>, now: Timestamp) {
    let known = condition(status, told.kind);
    if known.is_some_and(|known| {
        known.status == told.status && known.reason.as_deref() == Some(told.reason)
    }) {
        return;
    }
    replace_condition(status, told, now);
}

/// The same, renewing its `lastUpdateTime` whatever it was. The `lastTransitionTime` stays when the status does.
fn replace_condition(status: &mut DeploymentStatus, told: &Told<'_>, now: Timestamp) {
    let since = condition(status, told.kind)
        .filter(|known| known.status == told.status)
        .and_then(|known| known.last_transition_time.clone());
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != told.kind);
    conditions.push(DeploymentCondition {
        type_: told.kind.to_owned(),
        status: told.status.to_owned(),
        reason: Some(told.reason.to_owned()),
        message: Some(told.message.clone()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(since.unwrap_or(Time(now))),
    });
}

fn remove_condition(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
}

impl Rollout<'_> {
    /// `progressDeadlineSeconds`, if there is one: the greatest number is none (`HasProgressDeadline`).
    pub(super) fn deadline(&self) -> Option<i32> {
        let spec = self.deployment.spec.as_ref()?;
        let seconds = spec.progress_deadline_seconds.unwrap_or(600);
        (seconds != i32::MAX).then_some(seconds)
    }

    /// `checkPausedConditions`.
    pub(super) fn check_paused(&mut self, paused: bool) {
        if self.deadline().is_none() {
            return;
        }
        let reason = condition(&self.status, "Progressing").and_then(|known| known.reason.clone());
        if reason.as_deref() == Some("ProgressDeadlineExceeded") {
            return;
        }
        let told = reason.as_deref() == Some("DeploymentPaused");
        if paused && !told {
            self.set_progressing("Unknown", "DeploymentPaused", "Deployment is paused".into());
        } else if !paused && told {
            self.set_progressing(
                "Unknown",
                "DeploymentResumed",
                "Deployment is resumed".into(),
            );
        }
    }

    pub(super) fn calculate_status(&self) -> DeploymentStatus {
        let sum = |count: fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> i32| -> i32 {
            self.all()
                .filter_map(|set| set.set.status.as_ref().map(count))
                .sum()
        };
        let replicas = sum(|status| status.replicas);
        let available = sum(|status| status.available_replicas.unwrap_or(0));
        let updated = self
            .new
            .as_ref()
            .and_then(|new| new.set.status.as_ref())
            .map_or(0, |status| status.replicas);
        let some = |number: i32| (number != 0).then_some(number);
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: some(replicas),
            updated_replicas: some(updated),
            ready_replicas: some(sum(|status| status.ready_replicas.unwrap_or(0))),
            available_replicas: some(available),
            unavailable_replicas: some((self.wanted() - available).max(0)),
            collision_count: self.status.collision_count,
            conditions: self.status.conditions.clone(),
            terminating_replicas: self.status.terminating_replicas,
        };
        let told = if available >= self.limits.least_available() {
            Told {
                kind: "Available",
                status: "True",
                reason: "MinimumReplicasAvailable",
                message: "Deployment has minimum availability.".to_owned(),
            }
        } else {
            Told {
                kind: "Available",
                status: "False",
                reason: "MinimumReplicasUnavailable",
                message: "Deployment does not have minimum availability.".to_owned(),
            }
        };
        set_condition(&mut status, &told, self.context.now);
        status
    }

    /// How many replicas the sets want together (`GetReplicaCountForReplicaSets`).
    fn wanted(&self) -> i32 {
        self.all().map(|set| set.replicas).sum()
    }

    /// `DeploymentComplete` (deployment_util.go).
    pub(super) fn is_complete(&self, status: &DeploymentStatus) -> bool {
        let wanted = self.limits.replicas;
        status.updated_replicas.unwrap_or(0) == wanted
            && status.replicas.unwrap_or(0) == wanted
            && status.available_replicas.unwrap_or(0) == wanted
            && status.observed_generation >= self.deployment.metadata.generation
    }

    /// `syncRolloutStatus`.
    pub(super) fn progress(&mut self) -> DeploymentStatus {
        let now = self.context.now;
        let mut status = self.calculate_status();
        let Some(deadline) = self.deadline() else {
            remove_condition(&mut status, "Progressing");
            self.promote_failure(&mut status);
            return status;
        };
        let known = condition(&self.status, "Progressing").cloned();
        let reason = known.as_ref().and_then(|known| known.reason.as_deref());
        let done =
            status.replicas == status.updated_replicas && reason == Some("NewReplicaSetAvailable");
        if !done {
            let subject = match &self.new {
                Some(new) => format!("ReplicaSet \"{}\"", name_of(&new.set.metadata)),
                None => format!("Deployment \"{}\"", name_of(&self.deployment.metadata)),
            };
            let told = |status, reason, what: &str| Told {
                kind: "Progressing",
                status,
                reason,
                message: format!("{subject} {what}"),
            };
            if self.is_complete(&status) {
                let told = told(
                    "True",
                    "NewReplicaSetAvailable",
                    "has successfully progressed.",
                );
                set_condition(&mut status, &told, now);
            } else if self.has_progressed(&status) {
                let told = told("True", "ReplicaSetUpdated", "is progressing.");
                replace_condition(&mut status, &told, now);
            } else if timed_out(known.as_ref(), deadline, now) {
                let told = told(
                    "False",
                    "ProgressDeadlineExceeded",
                    "has timed out progressing.",
                );
                set_condition(&mut status, &told, now);
            }
        }
        self.promote_failure(&mut status);
        self.look_again(&status, deadline);
        status
    }

    /// Whether anything moved since the stored status (`DeploymentProgressing`).
    fn has_progressed(&self, status: &DeploymentStatus) -> bool {
        let before = self.deployment.status.clone().unwrap_or_default();
        let of = |number: Option<i32>| number.unwrap_or(0);
        of(status.updated_replicas) > of(before.updated_replicas)
            || of(status.replicas) - of(status.updated_replicas)
                < of(before.replicas) - of(before.updated_replicas)
            || of(status.ready_replicas) > of(before.ready_replicas)
            || of(status.available_replicas) > of(before.available_replicas)
    }

    /// The new set's failure, or else an old one's, is the Deployment's (`getReplicaFailures`).
    fn promote_failure(&self, status: &mut DeploymentStatus) {
        let failure = |set: &Sized| {
            let conditions = set.set.status.as_ref()?.conditions.as_ref()?;
            conditions
                .iter()
                .find(|condition| condition.type_ == "ReplicaFailure")
                .cloned()
        };
        let found = self
            .new
            .as_ref()
            .and_then(failure)
            .or_else(|| self.old.iter().find_map(failure));
        match found {
            Some(found) => {
                let told = Told {
                    kind: "ReplicaFailure",
                    status: &found.status,
                    reason: found.reason.as_deref().unwrap_or_default(),
                    message: found.message.unwrap_or_default(),
                };
                set_condition(status, &told, self.context.now);
            }
            None => remove_condition(status, "ReplicaFailure"),
        }
    }

    /// When to see whether the deadline is over (`requeueStuckDeployment`).
    fn look_again(&mut self, status: &DeploymentStatus, deadline: i32) {
        let Some(known) = condition(status, "Progressing") else {
            return;
        };
        if self.is_complete(status) || known.reason.as_deref() == Some("ProgressDeadlineExceeded") {
            return;
        }
        if let Some(since) = &known.last_update_time {
            let wait = SignedDuration::from_secs(i64::from(deadline) + 1);
            let at = since.0.saturating_add(wait).unwrap_or(Timestamp::MAX);
            if at > self.context.now {
                self.outcome = std::mem::take(&mut self.outcome).again_at(at);
            }
        }
    }
}

/// `DeploymentTimedOut`.
fn timed_out(known: Option<&DeploymentCondition>, deadline: i32, now: Timestamp) -> bool {
    let Some(known) = known else { return false };
    match known.reason.as_deref() {
        Some("NewReplicaSetAvailable") => return false,
        Some("ProgressDeadlineExceeded") => return true,
        _ => {}
    }
    let Some(since) = &known.last_update_time else {
        return false;
    };
    let wait = SignedDuration::from_secs(i64::from(deadline));
    since.0.saturating_add(wait).is_ok_and(|end| end < now)
}
