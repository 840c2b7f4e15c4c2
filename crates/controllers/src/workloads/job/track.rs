//! Counting the pods that ended (`trackJobStatusAndRemoveFinalizers`, `enactJobFinished`; job_controller.go).
//!
//! First a pod's uid is in the status, then its finalizer goes, then the counter has it: so each is counted once, whatever is
//! lost on the way. The finalizers are patched only if the status was written.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::Pod;

use crate::workloads::pods::phase;
use crate::workloads::writes::{event, uid_of, update_status};
use crate::{Action, Context, EventKind};

use super::policies::{Verdict, verdict};
use super::sync::{Sync, new_condition};
use super::{index_of, is_tracked, release};

/// How many uids the status may have at a time (`MaxUncountedPods`).
const MOST_UNCOUNTED: usize = 500;

impl Sync<'_> {
    /// Moves the uids of pods without a finalizer into the counters (`cleanUncountedPodsWithoutFinalizers`).
    fn settle_counts(&mut self) {
        let tracked: BTreeSet<&str> = self
            .pods
            .iter()
            .filter(|pod| is_tracked(pod))
            .map(|pod| uid_of(&pod.metadata))
            .collect();
        let uncounted = self
            .status
            .uncounted_terminated_pods
            .get_or_insert_default();
        for (uids, counter) in [
            (&mut uncounted.succeeded, &mut self.status.succeeded),
            (&mut uncounted.failed, &mut self.status.failed),
        ] {
            let list = uids.take().unwrap_or_default();
            let before = list.len();
            let left: Vec<String> = list
                .into_iter()
                .filter(|uid| tracked.contains(uid.as_str()))
                .collect();
            let settled = i32::try_from(before - left.len()).unwrap_or(i32::MAX);
            if settled > 0 {
                *counter = Some(counter.unwrap_or(0) + settled);
            }
            *uids = (!left.is_empty()).then_some(left);
        }
    }

    /// `canRemoveFinalizer`.
    fn may_release(&self, pod: &Pod, ends: bool) -> bool {
        if ends || self.job.metadata.deletion_timestamp.is_some() || phase(pod) == "Succeeded" {
            return true;
        }
        let delayed = index_of(pod)
            .and_then(|index| self.delayed.get(&index))
            .is_some_and(|delayed| delayed.metadata.uid == pod.metadata.uid);
        self.has_failed(pod) && !delayed
    }

    /// Writes the status and releases the pods that are in it.
    pub(super) fn track(&mut self, finish: Option<JobCondition>) {
        self.settle_counts();
        let (mut succeeded, mut failed) = (self.uncounted_succeeded(), self.uncounted_failed());
        let indexed = self.is_indexed();
        let success = finish
            .as_ref()
            .is_some_and(|one| one.type_ == "SuccessCriteriaMet");
        let mut released = Vec::new();
        let mut full = false;
        let mut pods = self.pods.clone();
        pods.sort_by_key(|pod| index_of(pod));
        let mut new_indexes = 0;
        for pod in pods {
            if !is_tracked(pod) || !self.may_release(pod, finish.is_some()) {
                continue;
            }
            released.push(pod);
            let uid = uid_of(&pod.metadata).to_owned();
            if phase(pod) == "Succeeded" && !failed.contains(&uid) {
                // Of an indexed Job the index is enough.
                if indexed {
                    new_indexes += 1;
                } else {
                    succeeded.insert(uid);
                }
            } else if (self.has_failed(pod) || (finish.is_some() && !success))
                && (!indexed || self.has_valid_index(pod))
                && verdict(self.spec, pod) != Verdict::Ignore
            {
                failed.insert(uid);
            }
            if new_indexes + succeeded.len() + failed.len() >= MOST_UNCOUNTED {
                full = true;
                break;
            }
        }
        let list = |uids: &BTreeSet<String>| {
            (!uids.is_empty()).then(|| uids.iter().cloned().collect::<Vec<String>>())
        };
        let uncounted = self
            .status
            .uncounted_terminated_pods
            .get_or_insert_default();
        (uncounted.succeeded, uncounted.failed) = (list(&succeeded), list(&failed));
        let pending = succeeded.len() + failed.len();
        self.write_indexes();
        let mut told = None;
        if let Some(finish) = finish {
            let last = self.interim(finish);
            if !full && pending == 0 && self.terminating == 0 {
                told = Some(self.finish(last));
            }
        }
        self.status.conditions = self
            .status
            .conditions
            .take()
            .filter(|conditions| !conditions.is_empty());
        let releases = released.into_iter().filter_map(release);
        if self.job.status.as_ref() == Some(&self.status) {
            self.outcome.actions.extend(releases);
            return;
        }
        let mut changed = self.job.clone();
        changed.status = Some(self.status.clone());
        let mut actions = vec![update_status(&changed)];
        actions.extend(told);
        actions.extend(releases);
        self.outcome.actions.push(Action::InTurn(actions));
    }

    fn write_indexes(&mut self) {
        if let Some(indexes) = &self.succeeded_indexes {
            let total = indexes.total();
            self.status.succeeded = (total != 0).then_some(total);
            let text = indexes.to_string();
            self.status.completed_indexes = (!text.is_empty()).then_some(text);
        }
        if let Some(indexes) = &self.failed_indexes {
            self.status.failed_indexes = Some(indexes.to_string());
        }
    }

    /// Notes that the Job will end, and gives the condition that says that it has.
    fn interim(&mut self, finish: JobCondition) -> JobCondition {
        let Context { now, .. } = self.context;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (reason, message) = (text(&finish.reason), text(&finish.message));
        let last = match finish.type_.as_str() {
            "FailureTarget" => "Failed",
            "SuccessCriteriaMet" => "Complete",
            // It was noted before.
            _ => return finish,
        };
        let conditions = self.status.conditions.get_or_insert_default();
        if conditions.iter().all(|one| one.type_ != finish.type_) {
            conditions.push(finish);
        }
        new_condition(last, &reason, &message, now)
    }

    fn finish(&mut self, last: JobCondition) -> Action {
        let (kind, reason, message) = if last.type_ == "Complete" {
            self.status
                .completion_time
                .clone_from(&last.last_transition_time);
            (
                EventKind::Normal,
                "Completed".to_owned(),
                "Job completed".to_owned(),
            )
        } else {
            (
                EventKind::Warning,
                last.reason.clone().unwrap_or_default(),
                last.message.clone().unwrap_or_default(),
            )
        };
        self.status.conditions.get_or_insert_default().push(last);
        event(self.job, kind, &reason, message)
    }
}
