//! One look at a Job (`syncJob`, job_controller.go).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::document::controller_of;
use crate::workloads::claims::claim;
use crate::workloads::names::Numbers;
use crate::workloads::pods::{has_ended, is_active, is_ready, is_terminating, phase};
use crate::workloads::selector::Selector;
use crate::workloads::writes::{delete, event, name_of, uid_of};
use crate::{Action, Context, EventKind, Key, Outcome};

use super::indexes::Indexes;
use super::policies::{Verdict, succeeds, verdict};
use super::{INDEX, index_of, is_tracked};

pub(super) struct Sync<'a> {
    pub(super) job: &'a Job,
    pub(super) spec: &'a JobSpec,
    pub(super) context: Context<'a>,
    pub(super) status: JobStatus,
    pub(super) pods: Vec<&'a Pod>,
    pub(super) active: Vec<&'a Pod>,
    /// Set for indexed Jobs.
    pub(super) succeeded_indexes: Option<Indexes>,
    /// Set for Jobs with a limit for each index.
    pub(super) failed_indexes: Option<Indexes>,
    /// Failed pods of indexes that are tried again: they keep their finalizer until the next pod has their count.
    pub(super) delayed: BTreeMap<i32, &'a Pod>,
    pub(super) succeeded: i32,
    /// Pods that are being deleted and have not ended.
    pub(super) terminating: i32,
    pub(super) ready: i32,
    /// Pods that will be active after this.
    pub(super) active_count: i32,
    pub(super) outcome: Outcome,
}

pub(super) fn condition_of<'b>(status: &'b JobStatus, kind: &str) -> Option<&'b JobCondition> {
    let conditions = status.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == "True")
}

pub(super) fn new_condition(
    kind: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> JobCondition {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    JobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: text(reason),
        message: text(message),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

impl<'a> Sync<'a> {
    pub(super) fn of(
        job: &'a Job,
        spec: &'a JobSpec,
        selector: Option<&Selector>,
        context: Context<'a>,
    ) -> Self {
        let uid = uid_of(&job.metadata);
        let claims = claim(
            &context.view.pods,
            job,
            |pod| match selector {
                Some(selector) => selector.matches(&pod.metadata),
                None => controller_of(&pod.metadata).is_some_and(|owner| owner.uid == uid),
            },
            |_| true,
        );
        let pods: Vec<&Pod> = claims.owned.into_iter().map(|pod| pod.as_ref()).collect();
        let active: Vec<&Pod> = pods.iter().copied().filter(|pod| is_active(pod)).collect();
        let mut status = job.status.clone().unwrap_or_default();
        status.uncounted_terminated_pods.get_or_insert_default();
        let count = |which: fn(&Pod) -> bool, among: &[&Pod]| {
            i32::try_from(among.iter().filter(|pod| which(pod)).count()).unwrap_or(i32::MAX)
        };
        Self {
            job,
            spec,
            context,
            status,
            succeeded_indexes: None,
            failed_indexes: None,
            delayed: BTreeMap::new(),
            succeeded: 0,
            terminating: count(|pod| is_terminating(pod) && !has_ended(pod), &pods),
            ready: count(is_ready, &active),
            active_count: i32::try_from(active.len()).unwrap_or(i32::MAX),
            pods,
            active,
            outcome: Outcome::of(claims.actions),
        }
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    /// How many pods must succeed; nothing if any one will do.
    pub(super) fn completions(&self) -> Option<i32> {
        // apis/batch/v1/defaults.go: with neither given, one of one.
        match (self.spec.completions, self.spec.parallelism) {
            (None, None) => Some(1),
            (completions, _) => completions,
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    pub(super) fn backoff_limit(&self) -> i32 {
        let default = if self.spec.backoff_limit_per_index.is_some() {
            i32::MAX
        } else {
            6
        };
        self.spec.backoff_limit.unwrap_or(default)
    }

    /// Whether a pod that is being deleted is replaced only when it has ended (`onlyReplaceFailedPods`).
    pub(super) fn waits_for_the_end(&self) -> bool {
        self.spec.pod_replacement_policy.as_deref() == Some("Failed")
            || self.spec.pod_failure_policy.is_some()
    }

    /// `isPodFailed`: one that is being deleted may never get to say that it failed.
    pub(super) fn has_failed(&self, pod: &Pod) -> bool {
        phase(pod) == "Failed"
            || (!self.waits_for_the_end() && is_terminating(pod) && phase(pod) != "Succeeded")
    }

    pub(super) fn has_valid_index(&self, pod: &Pod) -> bool {
        let end = self.completions().unwrap_or(0);
        index_of(pod).is_some_and(|index| index < end)
    }

    fn uncounted(
        &self,
        which: fn(&UncountedTerminatedPods) -> &Option<Vec<String>>,
    ) -> BTreeSet<String> {
        let uncounted = self.status.uncounted_terminated_pods.as_ref();
        uncounted
            .and_then(|uncounted| which(uncounted).as_ref())
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn uncounted_succeeded(&self) -> BTreeSet<String> {
        self.uncounted(|uncounted| &uncounted.succeeded)
    }

    pub(super) fn uncounted_failed(&self) -> BTreeSet<String> {
        self.uncounted(|uncounted| &uncounted.failed)
    }

    /// Pods that ended and are not in the status yet (`getValidPodsWithFilter`).
    fn uncounted_pods(
        &self,
        uncounted: &BTreeSet<String>,
        which: impl Fn(&Pod) -> bool,
    ) -> Vec<&'a Pod> {
        self.pods
            .iter()
            .copied()
            .filter(|pod| {
                is_tracked(pod)
                    && !uncounted.contains(uid_of(&pod.metadata))
                    && (!self.is_indexed() || self.has_valid_index(pod))
                    && which(pod)
            })
            .collect()
    }

    pub(super) fn run(mut self, key: &Key, numbers: &mut Numbers) -> Outcome {
        let Context { now, .. } = self.context;
        let there_are = self.pods.iter().map(|pod| name_of(&pod.metadata));
        let prefix = format!("{}-", key.name);
        numbers.see(key, uid_of(&self.job.metadata), &prefix, there_are);
        let failed = self.count();
        if self.status.start_time.is_none() && !self.is_suspended() {
            self.status.start_time = Some(Time(now));
        }
        let mut finish = self.verdict(failed);
        if let Some(indexes) = self.calculate_indexes(finish.is_some()) {
            finish = Some(indexes);
        }
        if finish.is_some() {
            self.delete_active();
        } else {
            let managed = self.job.metadata.deletion_timestamp.is_none();
            if managed {
                self.manage(key, numbers);
            }
            let done = match self.completions() {
                None => self.succeeded > 0,
                Some(completions) => self.succeeded >= completions,
            };
            if done && self.active_count == 0 {
                finish = Some(new_condition(
                    "SuccessCriteriaMet",
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                    now,
                ));
            } else if managed {
                self.tell_suspension();
            }
        }
        self.status.active = (self.active_count != 0).then_some(self.active_count);
        self.status.ready = Some(self.ready);
        self.status.terminating = Some(self.terminating);
        self.track(finish);
        self.outcome
    }

    /// Takes stock of what succeeded; gives how many pods failed.
    fn count(&mut self) -> i32 {
        let uncounted = self.uncounted_succeeded();
        let new = self
            .uncounted_pods(&uncounted, |pod| phase(pod) == "Succeeded")
            .len();
        self.succeeded = self.status.succeeded.unwrap_or(0)
            + i32::try_from(new + uncounted.len()).unwrap_or(i32::MAX);
        let uncounted = self.uncounted_failed();
        let new = self.uncounted_pods(&uncounted, |pod| self.has_failed(pod));
        let counting = new
            .iter()
            .filter(|pod| verdict(self.spec, pod) != Verdict::Ignore)
            .count();
        self.status.failed.unwrap_or(0)
            + i32::try_from(counting + uncounted.len()).unwrap_or(i32::MAX)
    }

    /// Why the Job is to end, if it is, its indexes apart.
    fn verdict(&mut self, failed: i32) -> Option<JobCondition> {
        let Context { now, .. } = self.context;
        if let Some(known) = condition_of(&self.status, "SuccessCriteriaMet") {
            return Some(known.clone());
        }
        if let Some(known) = condition_of(&self.status, "FailureTarget") {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (reason, message) = (text(&known.reason), text(&known.message));
            return Some(new_condition("Failed", &reason, &message, now));
        }
        let fail =
            |reason, message: &str| Some(new_condition("FailureTarget", reason, message, now));
        let fatal = self
            .pods
            .iter()
            .filter(|pod| self.has_failed(pod))
            .find_map(|pod| match verdict(self.spec, pod) {
                Verdict::FailJob(message) => Some(message),
                _ => None,
            });
        if let Some(message) = fatal {
            return fail("PodFailurePolicy", &message);
        }
        if failed > self.backoff_limit() || self.restarts_exceed_limit() {
            return fail(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            );
        }
        let (Some(seconds), Some(since)) = (
            self.spec
                .active_deadline_seconds
                .filter(|_| !self.is_suspended()),
            self.status.start_time.as_ref(),
        ) else {
            return None;
        };
        let end = since.0.saturating_add(SignedDuration::from_secs(seconds));
        let end = end.unwrap_or(Timestamp::MAX);
        if end <= now {
            return fail(
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            );
        }
        self.outcome = std::mem::take(&mut self.outcome).again_at(end);
        None
    }

    /// `pastBackoffLimitOnFailure`: containers that are started again in their pods count too.
    fn restarts_exceed_limit(&self) -> bool {
        let template = self.spec.template.spec.as_ref();
        if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
            return false;
        }
        let restarts: i64 = self
            .pods
            .iter()
            .filter(|pod| matches!(phase(pod), "Running" | "Pending"))
            .filter_map(|pod| pod.status.as_ref())
            .flat_map(|status| {
                let init_containers = status.init_container_statuses.iter().flatten();
                init_containers.chain(status.container_statuses.iter().flatten())
            })
            .map(|container| i64::from(container.restart_count))
            .sum();
        let limit = i64::from(self.backoff_limit());
        if limit == 0 {
            restarts > 0
        } else {
            restarts >= limit
        }
    }

    /// The indexes that succeeded and failed, and what that means for the Job.
    fn calculate_indexes(&mut self, ends: bool) -> Option<JobCondition> {
        if !self.is_indexed() {
            return None;
        }
        let Context { now, .. } = self.context;
        let completions = self.completions().unwrap_or(0);
        let known = self.status.completed_indexes.as_deref().unwrap_or_default();
        let new = self
            .pods
            .iter()
            .filter(|pod| is_tracked(pod) && phase(pod) == "Succeeded" && self.has_valid_index(pod))
            .filter_map(|pod| index_of(pod));
        let succeeded = Indexes::read(known, completions).with(new);
        self.succeeded = succeeded.total();
        let fail = |reason, message| Some(new_condition("FailureTarget", reason, message, now));
        let mut finish = None;
        if let Some(limit) = self.spec.backoff_limit_per_index {
            let known = self.status.failed_indexes.as_deref().unwrap_or_default();
            let new = self
                .pods
                .iter()
                .filter(|pod| is_tracked(pod) && self.has_valid_index(pod))
                .filter(|pod| self.has_failed(pod) && self.fails_index(pod, limit))
                .filter_map(|pod| index_of(pod));
            let failed = Indexes::read(known, completions).with(new);
            let most = self.spec.max_failed_indexes;
            if most.is_some_and(|most| failed.total() > most) {
                finish = fail(
                    "MaxFailedIndexesExceeded",
                    "Job has exceeded the specified maximal number of failed indexes",
                );
            } else if failed.total() > 0 && failed.total() + succeeded.total() >= completions {
                finish = fail("FailedIndexes", "Job has failed indexes");
            }
            self.delayed = self.find_delayed(&succeeded, &failed);
            self.failed_indexes = Some(failed);
        }
        if finish.is_none()
            && let Some(message) = succeeds(self.spec, completions, &succeeded)
        {
            finish = Some(new_condition(
                "SuccessCriteriaMet",
                "SuccessPolicy",
                &message,
                now,
            ));
        }
        self.succeeded_indexes = Some(succeeded);
        finish.filter(|_| !ends)
    }

    /// `isIndexFailed`.
    fn fails_index(&self, pod: &Pod, limit: i32) -> bool {
        match verdict(self.spec, pod) {
            Verdict::FailIndex => true,
            Verdict::Ignore => false,
            Verdict::Count | Verdict::FailJob(_) => super::make::failures_of(pod).0 >= limit,
        }
    }

    /// The last failed pod of each index that is to be tried again (`getPodsWithDelayedDeletionPerIndex`).
    fn find_delayed(&self, succeeded: &Indexes, failed: &Indexes) -> BTreeMap<i32, &'a Pod> {
        let running: BTreeSet<i32> = self.active.iter().filter_map(|pod| index_of(pod)).collect();
        let mut delayed: BTreeMap<i32, &Pod> = BTreeMap::new();
        for pod in self.pods.iter().copied() {
            let Some(index) = index_of(pod).filter(|_| self.has_valid_index(pod)) else {
                continue;
            };
            if !is_tracked(pod)
                || !self.has_failed(pod)
                || running.contains(&index)
                || succeeded.has(index)
                || failed.has(index)
            {
                continue;
            }
            let total = |pod: &Pod| {
                let (counted, ignored) = super::make::failures_of(pod);
                counted + ignored
            };
            match delayed.get(&index) {
                Some(known) if total(known) >= total(pod) => {}
                _ => {
                    delayed.insert(index, pod);
                }
            }
        }
        delayed
    }

    /// The Job ends: its pods do too, and keep their finalizers until they are counted (`deleteActivePods`).
    fn delete_active(&mut self) {
        for pod in std::mem::take(&mut self.active) {
            let deleted = self.deletion(pod);
            self.outcome.actions.push(deleted);
            self.terminating += 1;
        }
        self.active_count = 0;
        self.ready = 0;
    }

    pub(super) fn deletion(&self, pod: &Pod) -> Action {
        let message = format!("Deleted pod: {}", name_of(&pod.metadata));
        let told = event(self.job, EventKind::Normal, "SuccessfulDelete", message);
        Action::InTurn(vec![delete(pod, None), told])
    }

    /// The condition `Suspended`, and the events.
    fn tell_suspension(&mut self) {
        let Context { now, .. } = self.context;
        let suspended = self.is_suspended();
        let (status, reason, message, told) = if suspended {
            ("True", "JobSuspended", "Job suspended", "Suspended")
        } else {
            ("False", "JobResumed", "Job resumed", "Resumed")
        };
        let conditions = self.status.conditions.get_or_insert_default();
        let known = conditions.iter().position(|one| one.type_ == "Suspended");
        match known {
            Some(at) if conditions[at].status == status => return,
            None if !suspended => return,
            Some(at) => {
                conditions.remove(at);
            }
            None => {}
        }
        let mut condition = new_condition("Suspended", reason, message, now);
        status.clone_into(&mut condition.status);
        conditions.push(condition);
        if !suspended {
            self.status.start_time = Some(Time(now));
        }
        let told = event(self.job, EventKind::Normal, told, message.to_owned());
        self.outcome.actions.push(told);
    }

    /// Indexes of active pods, and of those that must end before they are replaced.
    pub(super) fn taken_indexes(&self) -> BTreeSet<i32> {
        let waits = self.waits_for_the_end();
        self.pods
            .iter()
            .filter(|pod| is_active(pod) || (waits && is_terminating(pod) && !has_ended(pod)))
            .filter_map(|pod| index_of(pod))
            .collect()
    }
}

/// The path by which a container is told its index.
pub(super) fn index_path() -> String {
    format!("metadata.labels['{INDEX}']")
}
