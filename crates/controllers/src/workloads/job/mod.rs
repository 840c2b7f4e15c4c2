//! The Job controller (`pkg/controller/job`): pods until enough have succeeded or too many failed. Each pod is counted once: it
//! has a finalizer until its end is in the status.

mod backoff;
mod indexes;
mod make;
mod policies;
mod sync;
#[cfg(test)]
mod tests;
mod track;
mod ttl;

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::document::controller_of;
use crate::workloads::names::Numbers;
use crate::workloads::selector::Selector;
use crate::workloads::writes::{patch, uid_of};
use crate::{Action, Change, Context, Controller, Key, Object, Outcome, View};

pub use ttl::FinishedJobs;

/// What holds a pod until it is counted (`JobTrackingFinalizer`, batch/v1/types.go).
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The annotation and the label of a pod with its index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The value of `spec.managedBy` that is this controller.
const MANAGED_BY: &str = "kubernetes.io/job-controller";

/// The controller.
#[derive(Debug, Default)]
pub struct Jobs {
    numbers: Numbers,
}

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        let namespace = &change.key.namespace;
        for object in [&change.before, &change.after].into_iter().flatten() {
            match object {
                Object::Job(job) => {
                    keys.push(change.key.clone());
                    if change.after.is_none() {
                        keys.push(stray(namespace, uid_of(&job.metadata)));
                    }
                }
                Object::Pod(pod) => keys.extend(concerned(pod, namespace, view)),
                _ => {}
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        if let Some(uid) = key.name.strip_prefix('/') {
            return release_strays(&key.namespace, uid, context.view);
        }
        let Some(job) = context.view.jobs.get(key) else {
            self.numbers.forget(key);
            return Outcome::settled();
        };
        let Some(spec) = &job.spec else {
            return Outcome::settled();
        };
        if spec
            .managed_by
            .as_deref()
            .is_some_and(|by| by != MANAGED_BY)
        {
            return Outcome::settled();
        }
        if finished(job).is_some() {
            let owned = context.view.pods.owned_by(uid_of(&job.metadata));
            return Outcome::of(owned.filter_map(|(_, pod)| release(pod)).collect());
        }
        let selector = match spec.selector.as_ref().map(Selector::of) {
            Some(Ok(selector)) => Some(selector),
            Some(Err(_)) => return Outcome::settled(),
            None => None,
        };
        sync::Sync::of(job, spec, selector.as_ref(), context).run(key, &mut self.numbers)
    }
}

/// The key of pods whose Job is gone: no Job's name has a slash.
fn stray(namespace: &str, uid: &str) -> Key {
    Key::new(namespace, &format!("/{uid}"))
}

fn concerned(pod: &Pod, namespace: &str, view: &View) -> Vec<Key> {
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "Job" => {
            let key = Key::new(namespace, &owner.name);
            let lives = view
                .jobs
                .get(&key)
                .is_some_and(|job| uid_of(&job.metadata) == owner.uid);
            if lives {
                vec![key]
            } else if is_tracked(pod) {
                vec![stray(namespace, &owner.uid)]
            } else {
                Vec::new()
            }
        }
        Some(_) => Vec::new(),
        None => {
            let mut keys: Vec<Key> = view
                .jobs
                .in_namespace(namespace)
                .filter(|(_, job)| could_adopt(job, pod))
                .map(|(key, _)| key.clone())
                .collect();
            if is_tracked(pod) && keys.is_empty() {
                keys.push(stray(namespace, ""));
            }
            keys
        }
    }
}

fn could_adopt(job: &Job, pod: &Pod) -> bool {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        Selector::of(selector)
            .is_ok_and(|selector| !selector.is_everything() && selector.matches(&pod.metadata))
    })
}

/// Takes the finalizers off pods whose Job is gone (`syncOrphanPod`).
fn release_strays(namespace: &str, uid: &str, view: &View) -> Outcome {
    if uid.is_empty() {
        let orphans = view.pods.orphans_in(namespace).filter(|(_, pod)| {
            !view
                .jobs
                .in_namespace(namespace)
                .any(|(_, job)| could_adopt(job, pod))
        });
        return Outcome::of(orphans.filter_map(|(_, pod)| release(pod)).collect());
    }
    if view.all.contains_key(uid) {
        return Outcome::settled();
    }
    let pods = view.pods.owned_by(uid);
    Outcome::of(pods.filter_map(|(_, pod)| release(pod)).collect())
}

fn is_tracked(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// Takes the finalizer off a pod that has it.
fn release(pod: &Pod) -> Option<Action> {
    if !is_tracked(pod) {
        return None;
    }
    let finalizers = pod.metadata.finalizers.iter().flatten();
    let left: Vec<&String> = finalizers.filter(|one| *one != FINALIZER).collect();
    let left = if left.is_empty() {
        serde_json::Value::Null
    } else {
        json!(left)
    };
    Some(patch(pod, json!({"metadata": {"finalizers": left}})))
}

/// The condition that says that a Job is over (`IsJobFinished`).
pub(super) fn finished(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}

/// The index of a pod of an indexed Job.
fn index_of(pod: &Pod) -> Option<i32> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations
        .get(INDEX)?
        .parse()
        .ok()
        .filter(|index| *index >= 0)
}
