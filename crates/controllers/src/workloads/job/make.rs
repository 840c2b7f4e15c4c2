//! Making and deleting a Job's pods (`manageJob`, job_controller.go; `firstPendingIndexes` and others, indexed_job_utils.go).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodTemplateSpec};

use crate::workloads::BURST;
use crate::workloads::claims::controller_reference;
use crate::workloads::names::{Numbers, drawn};
use crate::workloads::pods::{created_at, is_ready, node_of, of_template, phase, restarts};
use crate::workloads::retries::{Retry, check_at};
use crate::workloads::writes::{create_and_tell, event, name_of, uid_of};
use crate::{Action, Context, EventKind, Key};

use super::policies::{Verdict, verdict};
use super::sync::{Sync, index_path};
use super::{FINALIZER, INDEX, backoff, index_of, is_tracked, release};

/// How often an index failed before this pod: what counts, and what the policy ignores.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// The two counts that a pod carries.
pub(super) fn failures_of(pod: &Pod) -> (i32, i32) {
    let annotations = pod.metadata.annotations.as_ref();
    let count = |name: &str| {
        annotations
            .and_then(|annotations| annotations.get(name))
            .and_then(|count| count.parse().ok())
            .unwrap_or(0)
    };
    (count(FAILURES), count(IGNORED_FAILURES))
}

impl<'a> Sync<'a> {
    pub(super) fn manage(&mut self, key: &Key, numbers: &Numbers) {
        let parallelism = self.spec.parallelism.unwrap_or(1);
        let active = self.active_count;
        let wanted = if self.is_suspended() {
            0
        } else {
            match self.completions() {
                None if self.succeeded > 0 => active,
                None => parallelism,
                Some(completions) => (completions - self.succeeded).min(parallelism).max(0),
            }
        };
        let surplus = self.surplus(usize::try_from(active - wanted).unwrap_or(0));
        if !surplus.is_empty() || self.is_suspended() {
            // Either deletions or creations in one round.
            for pod in surplus.into_iter().take(BURST) {
                self.give_up(pod);
            }
            return;
        }
        let terminating = if self.waits_for_the_end() {
            self.terminating
        } else {
            0
        };
        let missing = usize::try_from(wanted - terminating - active).unwrap_or(0);
        if missing > 0 {
            self.make(key, numbers, missing.min(BURST));
        }
    }

    /// A pod that is not wanted any more is not counted as failed: its finalizer goes first (`deleteJobPods`).
    fn give_up(&mut self, pod: &Pod) {
        let deleted = self.deletion(pod);
        let action = match release(pod) {
            Some(release) => Action::InTurn(vec![release, deleted]),
            None => deleted,
        };
        self.outcome.actions.push(action);
        self.active_count -= 1;
        self.terminating += 1;
        self.ready -= i32::from(is_ready(pod));
    }

    /// Pods of no or of the same index, and so many more, those in the earliest stages first (`activePodsForRemoval`).
    fn surplus(&self, at_least: usize) -> Vec<&'a Pod> {
        let mut left: Vec<&Pod> = self.active.clone();
        left.sort_by_cached_key(|pod| {
            (
                node_of(pod).is_some(),
                match phase(pod) {
                    "Pending" => 0,
                    "Unknown" => 1,
                    _ => 2,
                },
                is_ready(pod),
                Reverse(restarts(pod)),
                Reverse(created_at(&pod.metadata)),
                uid_of(&pod.metadata).to_owned(),
            )
        });
        let mut gone = Vec::new();
        if self.is_indexed() {
            let mut best: BTreeMap<i32, &str> = BTreeMap::new();
            for pod in &left {
                if let Some(index) = index_of(pod).filter(|_| self.has_valid_index(pod)) {
                    best.insert(index, uid_of(&pod.metadata));
                }
            }
            let stays = |pod: &&Pod| {
                index_of(pod).and_then(|index| best.get(&index)) == Some(&uid_of(&pod.metadata))
            };
            gone = left.iter().copied().filter(|pod| !stays(pod)).collect();
            left.retain(stays);
        }
        let more = at_least.saturating_sub(gone.len());
        gone.extend(left.into_iter().take(more));
        gone
    }

    fn make(&mut self, key: &Key, numbers: &Numbers, missing: usize) {
        let Context { view, now, .. } = self.context;
        if self.spec.backoff_limit_per_index.is_none()
            && let Some(at) = self.backoff().filter(|at| *at > now)
        {
            self.outcome = std::mem::take(&mut self.outcome).again_at(at);
            return;
        }
        let indexes = self.is_indexed().then(|| self.next_indexes(missing));
        let missing = indexes.as_ref().map_or(missing, Vec::len);
        if missing == 0 {
            return;
        }
        let retry = Retry::of(view, uid_of(&self.job.metadata), now);
        let count = retry.allowed(missing);
        match &retry {
            Retry::Clear => {}
            Retry::Wait(_, at) => {
                self.outcome = std::mem::take(&mut self.outcome).again_at(*at);
                return;
            }
            Retry::Again(refusal) => {
                let message = format!("Error creating: {}", refusal.message);
                let told = event(self.job, EventKind::Warning, "FailedCreate", message);
                self.outcome.actions.push(told);
            }
        }
        match indexes {
            Some(indexes) => {
                for index in indexes.into_iter().take(count) {
                    let pod = self.indexed_pod(key, index);
                    self.create(&pod);
                }
            }
            None => {
                let prefix = format!("{}-", key.name);
                let uid = uid_of(&self.job.metadata);
                let is_taken =
                    |name: &str| view.pods.get(&Key::new(&key.namespace, name)).is_some();
                for name in numbers.next(key, uid, &prefix, count, is_taken) {
                    let pod = self.pod(name, &prefix, self.spec.template.clone());
                    self.create(&pod);
                }
            }
        }
        self.outcome = std::mem::take(&mut self.outcome).again_at(check_at(now));
    }

    fn create(&mut self, pod: &Pod) {
        let message = format!("Created pod: {}", name_of(&pod.metadata));
        let told = event(self.job, EventKind::Normal, "SuccessfulCreate", message);
        self.outcome.actions.push(create_and_tell(pod, told));
        self.active_count += 1;
    }

    /// Until when failures hold the Job up.
    fn backoff(&self) -> Option<Timestamp> {
        let ended = self.pods.iter().filter_map(|pod| {
            let success = phase(pod) == "Succeeded";
            let failure = phase(pod) == "Failed" || (is_tracked(pod) && self.has_failed(pod));
            (success || failure).then(|| (backoff::finished_at(pod), success))
        });
        backoff::of_job(ended.collect(), self.context.pace)
    }

    /// The first indexes that neither ended nor run, those that must still wait left out (`getPodCreationInfoForIndependentIndexes`).
    fn next_indexes(&mut self, count: usize) -> Vec<i32> {
        let Context { now, pace, .. } = self.context;
        let taken = self.taken_indexes();
        let succeeded = self.succeeded_indexes.clone().unwrap_or_default();
        let failed = self.failed_indexes.clone().unwrap_or_default();
        let free = (0..self.completions().unwrap_or(0))
            .filter(|index| !taken.contains(index) && !succeeded.has(*index) && !failed.has(*index))
            .take(count);
        let mut next = Vec::new();
        let mut soonest: Option<Timestamp> = None;
        for index in free {
            let until = self.delayed.get(&index).and_then(|pod| {
                let (counted, ignored) = failures_of(pod);
                backoff::until(counted + ignored + 1, backoff::finished_at(pod), pace)
            });
            match until.filter(|at| *at > now) {
                Some(at) => soonest = Some(soonest.map_or(at, |other| other.min(at))),
                None => next.push(index),
            }
        }
        if let Some(at) = soonest {
            self.outcome = std::mem::take(&mut self.outcome).again_at(at);
        }
        next
    }

    fn indexed_pod(&self, key: &Key, index: i32) -> Pod {
        let prefix = format!("{}-{index}-", key.name);
        let last = self
            .pods
            .iter()
            .filter(|pod| index_of(pod) == Some(index))
            .max_by_key(|pod| (created_at(&pod.metadata), uid_of(&pod.metadata)))
            .map_or("", |pod| uid_of(&pod.metadata));
        let number = index.to_string();
        let name = drawn(&prefix, &[uid_of(&self.job.metadata), &number, last]);
        let mut template = self.spec.template.clone();
        let metadata = template.metadata.get_or_insert_default();
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(INDEX.to_owned(), number.clone());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(INDEX.to_owned(), number);
        if self.spec.backoff_limit_per_index.is_some() {
            let (counted, ignored) = self.failures_before(index);
            annotations.insert(FAILURES.to_owned(), counted.to_string());
            if ignored > 0 {
                annotations.insert(IGNORED_FAILURES.to_owned(), ignored.to_string());
            }
        }
        let spec = template.spec.get_or_insert_default();
        spec.hostname = Some(format!("{}-{index}", key.name));
        let env = EnvVar {
            name: "JOB_COMPLETION_INDEX".to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: None,
                    field_path: index_path(),
                }),
                ..EnvVarSource::default()
            }),
        };
        let init_containers = spec.init_containers.iter_mut().flatten();
        for container in init_containers.chain(&mut spec.containers) {
            let known = container.env.get_or_insert_default();
            if known.iter().all(|other| other.name != env.name) {
                known.push(env.clone());
            }
        }
        self.pod(name, &prefix, template)
    }

    /// The counts for the pod that comes after the delayed one of its index (`getNewIndexFailureCounts`).
    fn failures_before(&self, index: i32) -> (i32, i32) {
        let Some(pod) = self.delayed.get(&index) else {
            return (0, 0);
        };
        let (counted, ignored) = failures_of(pod);
        match verdict(self.spec, pod) {
            Verdict::Ignore => (counted, ignored + 1),
            _ => (counted + 1, ignored),
        }
    }

    fn pod(&self, name: String, prefix: &str, template: PodTemplateSpec) -> Pod {
        let metadata = &self.job.metadata;
        let mut pod = of_template(
            &template,
            metadata.namespace.as_deref().unwrap_or_default(),
            name,
            Some(prefix.to_owned()),
            controller_reference(self.job),
        );
        let finalizers = pod.metadata.finalizers.get_or_insert_default();
        if finalizers.iter().all(|finalizer| finalizer != FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        // The API server puts these on the template of a Job that it gives a selector.
        if self.spec.manual_selector != Some(true) {
            let labels = pod.metadata.labels.get_or_insert_default();
            for (label, value) in [
                ("batch.kubernetes.io/controller-uid", uid_of(metadata)),
                ("batch.kubernetes.io/job-name", name_of(metadata)),
                ("controller-uid", uid_of(metadata)),
                ("job-name", name_of(metadata)),
            ] {
                labels
                    .entry(label.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        }
        pod
    }
}
