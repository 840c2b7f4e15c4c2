//! The ReplicaSet controller (`pkg/controller/replicaset/replica_set.go`): so many pods of one template, no more and no fewer.

mod ranking;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::document::controller_of;
use crate::workloads::BURST;
use crate::workloads::claims::{claim, controller_reference};
use crate::workloads::names::Numbers;
use crate::workloads::pods::{Count, is_active, of_template};
use crate::workloads::retries::{Retry, check_at};
use crate::workloads::selector::Selector;
use crate::workloads::writes::{create_and_tell, delete, event, name_of, uid_of, update_status};
use crate::{Action, Change, Context, Controller, EventKind, Key, Object, Outcome, View};

/// The controller.
#[derive(Debug, Default)]
pub struct ReplicaSets {
    numbers: Numbers,
}

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        match (&change.before, &change.after) {
            (Some(Object::ReplicaSet(_)), _) | (_, Some(Object::ReplicaSet(_))) => {
                keys.push(change.key.clone());
            }
            (before, after) => {
                for object in [before, after].into_iter().flatten() {
                    if let Object::Pod(pod) = object {
                        keys.extend(owner_of(pod, view));
                    }
                }
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(set) = context.view.replica_sets.get(key) else {
            self.numbers.forget(key);
            return Outcome::settled();
        };
        let Some(Ok(selector)) = set.spec.as_ref().map(|spec| Selector::of(&spec.selector)) else {
            return Outcome::settled();
        };
        self.sync(key, set, &selector, context)
    }
}

/// What the names of a set's pods begin with.
fn prefix(set: &ReplicaSet) -> String {
    format!("{}-", name_of(&set.metadata))
}

/// The sets that a pod concerns: the one that owns it, or all that could adopt it.
fn owner_of(pod: &Arc<Pod>, view: &View) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "ReplicaSet" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => view
            .replica_sets
            .in_namespace(namespace)
            .filter(|(_, set)| {
                set.spec.as_ref().is_some_and(|spec| {
                    Selector::of(&spec.selector)
                        .is_ok_and(|selector| selector.matches(&pod.metadata))
                })
            })
            .map(|(key, _)| key.clone())
            .collect(),
    }
}

impl ReplicaSets {
    fn sync(
        &mut self,
        key: &Key,
        set: &ReplicaSet,
        selector: &Selector,
        context: Context<'_>,
    ) -> Outcome {
        let Context { view, now, pace } = context;
        let claims = claim(
            &view.pods,
            set,
            |pod| selector.matches(&pod.metadata),
            is_active,
        );
        let prefix = prefix(set);
        let names = claims.owned.iter().map(|pod| name_of(&pod.metadata));
        self.numbers.see(key, uid_of(&set.metadata), &prefix, names);
        let active: Vec<&Pod> = claims
            .owned
            .iter()
            .map(|pod| pod.as_ref())
            .filter(|pod| is_active(pod))
            .collect();
        let mut outcome = Outcome::of(claims.actions);
        let retry = Retry::of(view, uid_of(&set.metadata), now);
        let mut failure = None;
        if set.metadata.deletion_timestamp.is_none() {
            let spec = set.spec.as_ref();
            let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
            let wanted = usize::try_from(wanted).unwrap_or(0);
            if active.len() < wanted {
                failure = retry.refusal().map(|refusal| refusal.message.clone());
                let missing = (wanted - active.len()).min(BURST);
                self.create(key, set, missing, &retry, context, &mut outcome);
            } else if active.len() > wanted {
                let surplus = (active.len() - wanted).min(BURST);
                let doomed = ranking::to_delete(set, &active, surplus, view, now);
                outcome.actions.extend(doomed.into_iter().map(|pod| {
                    Action::InTurn(vec![
                        delete(pod, None),
                        event(
                            set,
                            EventKind::Normal,
                            "SuccessfulDelete",
                            format!("Deleted pod: {}", name_of(&pod.metadata)),
                        ),
                    ])
                }));
            }
        }
        let (status, next) = status(set, &active, failure, now, pace);
        if let Some(at) = next {
            outcome = outcome.again_at(at);
        }
        if set.status.as_ref() != Some(&status) {
            let mut changed = set.clone();
            changed.status = Some(status);
            outcome.actions.push(update_status(&changed));
        }
        outcome
    }

    fn create(
        &self,
        key: &Key,
        set: &ReplicaSet,
        missing: usize,
        retry: &Retry<'_>,
        Context { view, now, .. }: Context<'_>,
        outcome: &mut Outcome,
    ) {
        match retry {
            Retry::Clear => {}
            Retry::Wait(_, at) => {
                *outcome = std::mem::take(outcome).again_at(*at);
                return;
            }
            Retry::Again(refusal) => outcome.actions.push(event(
                set,
                EventKind::Warning,
                "FailedCreate",
                format!("Error creating: {}", refusal.message),
            )),
        }
        let Some(template) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else {
            return;
        };
        let prefix = prefix(set);
        let uid = uid_of(&set.metadata);
        let is_taken = |name: &str| view.pods.get(&Key::new(&key.namespace, name)).is_some();
        let count = retry.allowed(missing);
        let names = self.numbers.next(key, uid, &prefix, count, is_taken);
        for name in names {
            let told = event(
                set,
                EventKind::Normal,
                "SuccessfulCreate",
                format!("Created pod: {name}"),
            );
            let pod = of_template(
                template,
                &key.namespace,
                name,
                Some(prefix.clone()),
                controller_reference(set),
            );
            outcome.actions.push(create_and_tell(&pod, told));
        }
        *outcome = std::mem::take(outcome).again_at(check_at(now));
    }
}

/// `calculateStatus` (replicaset/replica_set_utils.go), and when it changes by itself.
fn status(
    set: &ReplicaSet,
    active: &[&Pod],
    failure: Option<String>,
    now: Timestamp,
    pace: crate::Pace,
) -> (ReplicaSetStatus, Option<Timestamp>) {
    let spec = set.spec.as_ref();
    let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let labels = spec
        .and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    let mut count = Count::default();
    let mut labelled = 0;
    for pod in active {
        let theirs = pod.metadata.labels.as_ref();
        let all = labels
            .iter()
            .all(|(key, value)| theirs.and_then(|labels| labels.get(key)) == Some(value));
        labelled += i32::from(all);
        count.add(pod, min_ready, now, pace);
    }
    let before = set.status.clone().unwrap_or_default();
    let mut conditions = before.conditions.clone().unwrap_or_default();
    let known = conditions
        .iter()
        .position(|condition| condition.type_ == "ReplicaFailure");
    match (failure, known) {
        (Some(message), None) => conditions.push(ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some("FailedCreate".to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        }),
        (None, Some(at)) => {
            conditions.remove(at);
        }
        _ => {}
    }
    let some = |number: i32| (number != 0).then_some(number);
    let status = ReplicaSetStatus {
        replicas: i32::try_from(active.len()).unwrap_or(i32::MAX),
        fully_labeled_replicas: some(labelled),
        ready_replicas: some(count.ready),
        available_replicas: some(count.available),
        observed_generation: set.metadata.generation,
        conditions: (!conditions.is_empty()).then_some(conditions),
        terminating_replicas: before.terminating_replicas,
    };
    (status, count.next)
}
