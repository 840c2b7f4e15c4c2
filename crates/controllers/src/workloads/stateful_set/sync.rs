//! One look at a StatefulSet (`updateStatefulSet`, stateful_set_control.go).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    ControllerRevision, StatefulSet, StatefulSetSpec, StatefulSetStatus,
};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use serde_json::json;

use crate::workloads::BURST;
use crate::workloads::claims::claim;
use crate::workloads::history::{History, Labels, template_of};
use crate::workloads::pods::{Availability, availability, is_ready, is_terminating, phase};
use crate::workloads::retries::{Retry, check_at};
use crate::workloads::selector::Selector;
use crate::workloads::writes::{
    create_and_tell, delete, event, name_of, patch, uid_of, update_status,
};
use crate::{Action, Context, EventKind, Key, Outcome};

use super::{REVISION, identity, retention};

/// The label of a revision with its hash (`ControllerRevisionHashLabel`, history/controller_history.go:41).
const LABELS: Labels = Labels {
    hash: "controller.kubernetes.io/hash",
};

pub(super) struct Sync<'a> {
    set: &'a StatefulSet,
    spec: &'a StatefulSetSpec,
    context: Context<'a>,
    history: History,
    current: Arc<ControllerRevision>,
    /// The pods by ordinal.
    pods: BTreeMap<i32, &'a Pod>,
    first: i32,
    end: i32,
    outcome: Outcome,
    /// How many pods may still be made or deleted in this round.
    budget: usize,
}

/// Whether to go on with the next pod.
#[derive(PartialEq)]
enum Next {
    GoOn,
    Wait,
}

fn revision_of(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()?
        .get(REVISION)
        .map(String::as_str)
}

impl<'a> Sync<'a> {
    pub(super) fn of(
        set: &'a StatefulSet,
        spec: &'a StatefulSetSpec,
        selector: &Selector,
        context: Context<'a>,
    ) -> Self {
        let claims = claim(
            &context.view.pods,
            set,
            |pod| selector.matches(&pod.metadata) && identity::ordinal(set, pod).is_some(),
            |_| true,
        );
        let pods = claims
            .owned
            .into_iter()
            .filter_map(|pod| Some((identity::ordinal(set, pod)?, pod.as_ref())))
            .collect();
        let status = set.status.as_ref();
        let mut history = History::of(
            context.view,
            set,
            selector,
            &spec.template,
            status.and_then(|status| status.collision_count),
            LABELS,
        );
        let current = status
            .and_then(|status| status.current_revision.as_deref())
            .and_then(|name| history.find(name))
            .unwrap_or(&history.present)
            .clone();
        let mut outcome = Outcome::of(claims.actions);
        outcome.actions.append(&mut history.actions);
        let first = spec
            .ordinals
            .as_ref()
            .and_then(|them| them.start)
            .unwrap_or(0);
        Self {
            set,
            spec,
            context,
            history,
            current,
            pods,
            first,
            end: first.saturating_add(spec.replicas.unwrap_or(1)),
            outcome,
            budget: BURST,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        let status = self.status();
        if self.set.metadata.deletion_timestamp.is_none() {
            self.arrange();
        }
        let live: BTreeSet<String> = self
            .pods
            .values()
            .filter_map(|pod| revision_of(pod))
            .chain([
                name_of(&self.current.metadata),
                name_of(&self.history.present.metadata),
            ])
            .map(str::to_owned)
            .collect();
        self.history
            .truncate(self.spec.revision_history_limit, &live);
        self.outcome.actions.append(&mut self.history.actions);
        if self.set.status.as_ref() != Some(&status) {
            let mut changed = self.set.clone();
            changed.status = Some(status);
            self.outcome.actions.push(update_status(&changed));
        }
        self.outcome
    }

    fn is_monotonic(&self) -> bool {
        self.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    fn availability(&self, pod: &Pod) -> Availability {
        if phase(pod) != "Running" {
            return Availability::NotReady;
        }
        let Context { now, pace, .. } = self.context;
        availability(pod, self.spec.min_ready_seconds.unwrap_or(0), now, pace)
    }

    /// Running, ready and staying (`isHealthy`).
    fn is_healthy(pod: &Pod) -> bool {
        phase(pod) == "Running" && is_ready(pod) && !is_terminating(pod)
    }

    /// `updateStatus` and `completeRollingUpdate`.
    fn status(&mut self) -> StatefulSetStatus {
        let present = name_of(&self.history.present.metadata).to_owned();
        let current = name_of(&self.current.metadata).to_owned();
        let (mut ready, mut available, mut at_current, mut at_present) = (0, 0, 0, 0);
        let mut next: Option<Timestamp> = None;
        for pod in self.pods.values() {
            match self.availability(pod) {
                Availability::Available => {
                    ready += 1;
                    available += 1;
                }
                Availability::From(at) => {
                    ready += 1;
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
                Availability::NotReady => {}
            }
            if !is_terminating(pod) {
                at_current += i32::from(revision_of(pod) == Some(&current));
                at_present += i32::from(revision_of(pod) == Some(&present));
            }
        }
        if let Some(at) = next {
            self.outcome = std::mem::take(&mut self.outcome).again_at(at);
        }
        let replicas = i32::try_from(self.pods.len()).unwrap_or(i32::MAX);
        let wanted = self.end - self.first;
        let mut status = StatefulSetStatus {
            observed_generation: self.set.metadata.generation,
            replicas,
            ready_replicas: (ready != 0).then_some(ready),
            available_replicas: Some(available),
            current_replicas: (at_current != 0).then_some(at_current),
            updated_replicas: (at_present != 0).then_some(at_present),
            current_revision: Some(current),
            update_revision: Some(present),
            // Kubernetes always writes the count.
            collision_count: Some(self.history.collisions.unwrap_or(0)),
            conditions: self
                .set
                .status
                .as_ref()
                .and_then(|status| status.conditions.clone()),
        };
        if self.rolls() && replicas == wanted && at_present == wanted && ready == wanted {
            status.current_replicas = status.updated_replicas;
            status.current_revision.clone_from(&status.update_revision);
        }
        status
    }

    fn rolls(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
    }

    fn partition(&self) -> i32 {
        let strategy = self.spec.update_strategy.as_ref();
        strategy
            .and_then(|strategy| strategy.rolling_update.as_ref()?.partition)
            .unwrap_or(0)
    }

    /// The pods that are wanted, from the first; then those that are too many, from the last; then those of an old revision.
    fn arrange(&mut self) {
        for ordinal in self.first..self.end {
            if self.budget == 0 || self.tend(ordinal) == Next::Wait {
                return;
            }
        }
        let condemned: Vec<(i32, &Pod)> = self
            .pods
            .iter()
            .rev()
            .filter(|(ordinal, _)| **ordinal < self.first || **ordinal >= self.end)
            .map(|(ordinal, pod)| (*ordinal, *pod))
            .collect();
        for (_, pod) in &condemned {
            self.adjust_claims(pod);
        }
        // The first that is not healthy, the wanted ones before the condemned.
        let unhealthy = (self.first..self.end)
            .filter_map(|ordinal| self.pods.get(&ordinal))
            .chain(condemned.iter().rev().map(|(_, pod)| pod))
            .find(|pod| !Self::is_healthy(pod))
            .copied();
        for (_, pod) in condemned {
            if self.condemn(pod, unhealthy) == Next::Wait {
                return;
            }
        }
        if self.rolls() {
            self.update();
        }
    }

    /// `processReplica`.
    fn tend(&mut self, ordinal: i32) -> Next {
        let monotonic = self.is_monotonic();
        let stop = if monotonic { Next::Wait } else { Next::GoOn };
        let Some(pod) = self.pods.get(&ordinal).copied() else {
            return match self.make(ordinal) {
                Next::GoOn => stop,
                Next::Wait => Next::Wait,
            };
        };
        if matches!(phase(pod), "Failed" | "Succeeded") {
            self.replace_ended(pod);
            return Next::Wait;
        }
        if phase(pod) == "Pending" {
            self.make_claims(ordinal, name_of(&pod.metadata));
        }
        if monotonic
            && (is_terminating(pod)
                || !Self::is_healthy(pod)
                || self.availability(pod) != Availability::Available)
        {
            return Next::Wait;
        }
        self.adjust_identity(ordinal, pod);
        self.adjust_claims(pod);
        Next::GoOn
    }

    /// The pod of an ordinal is made of the present revision, or below the partition of the current one
    /// (`newVersionedStatefulSetPod`).
    fn make(&mut self, ordinal: i32) -> Next {
        let Context { view, now, .. } = self.context;
        match Retry::of(view, uid_of(&self.set.metadata), now) {
            Retry::Clear => {}
            Retry::Wait(_, at) => {
                self.outcome = std::mem::take(&mut self.outcome).again_at(at);
                return Next::Wait;
            }
            Retry::Again(refusal) => {
                let pod = identity::pod_name(self.set, ordinal);
                let message = format!(
                    "create Pod {pod} in StatefulSet {} failed error: {}",
                    name_of(&self.set.metadata),
                    refusal.message
                );
                self.tell(EventKind::Warning, "FailedCreate", message);
                self.budget = 1;
            }
        }
        let name = identity::pod_name(self.set, ordinal);
        if !self.make_claims(ordinal, &name) {
            return Next::Wait;
        }
        let below = self.rolls() && ordinal < self.first + self.partition();
        let (revision, template): (&str, PodTemplateSpec) = if below {
            let template = template_of(&self.current);
            (
                name_of(&self.current.metadata),
                template.unwrap_or_else(|| self.spec.template.clone()),
            )
        } else {
            (
                name_of(&self.history.present.metadata),
                self.spec.template.clone(),
            )
        };
        let pod = identity::pod(self.set, self.spec, &template, ordinal, revision);
        let told = event(
            self.set,
            EventKind::Normal,
            "SuccessfulCreate",
            format!(
                "create Pod {name} in StatefulSet {} successful",
                name_of(&self.set.metadata)
            ),
        );
        self.outcome.actions.push(create_and_tell(&pod, told));
        self.outcome = std::mem::take(&mut self.outcome).again_at(check_at(now));
        self.budget = self.budget.saturating_sub(1);
        Next::GoOn
    }

    /// Makes the claims that a pod lacks; false while one of them is still being deleted (`createPersistentVolumeClaims`).
    fn make_claims(&mut self, ordinal: i32, pod: &str) -> bool {
        let mut free = true;
        for claim in identity::claims(self.set, self.spec, ordinal) {
            let name = name_of(&claim.metadata);
            let key = Key::new(
                claim.metadata.namespace.as_deref().unwrap_or_default(),
                name,
            );
            let set = name_of(&self.set.metadata);
            match self.context.view.persistent_volume_claims.get(&key) {
                Some(known) if known.metadata.deletion_timestamp.is_some() => {
                    free = false;
                    let message = format!(
                        "create Claim {name} for Pod {pod} in StatefulSet {set} failed error: pvc {name} is being deleted"
                    );
                    self.tell(EventKind::Warning, "FailedCreate", message);
                }
                Some(_) => {}
                None => {
                    let told = event(
                        self.set,
                        EventKind::Normal,
                        "SuccessfulCreate",
                        format!("create Claim {name} Pod {pod} in StatefulSet {set} success"),
                    );
                    self.outcome.actions.push(create_and_tell(&claim, told));
                }
            }
        }
        free
    }

    fn replace_ended(&mut self, pod: &Pod) {
        if is_terminating(pod) {
            return;
        }
        let place = format!(
            "StatefulSet {}/{}",
            self.set.metadata.namespace.as_deref().unwrap_or_default(),
            name_of(&self.set.metadata)
        );
        let name = name_of(&pod.metadata);
        if phase(pod) == "Failed" {
            let message = format!("{place} is recreating failed Pod {name}");
            self.tell(EventKind::Warning, "RecreatingFailedPod", message);
        } else {
            let message = format!("{place} is recreating terminated Pod {name}");
            self.tell(EventKind::Normal, "RecreatingTerminatedPod", message);
        }
        self.delete_pod(pod);
    }

    fn delete_pod(&mut self, pod: &Pod) {
        let message = format!(
            "delete Pod {} in StatefulSet {} successful",
            name_of(&pod.metadata),
            name_of(&self.set.metadata)
        );
        let told = event(self.set, EventKind::Normal, "SuccessfulDelete", message);
        let gone = delete(pod, None);
        self.outcome.actions.push(Action::InTurn(vec![gone, told]));
        self.budget = self.budget.saturating_sub(1);
    }

    /// `UpdateStatefulPod`: an adopted pod gets the labels that tell which one it is.
    fn adjust_identity(&mut self, ordinal: i32, pod: &Pod) {
        let wanted = identity::own_labels(self.set, ordinal);
        let theirs = pod.metadata.labels.clone().unwrap_or_default();
        if wanted
            .iter()
            .any(|(key, value)| theirs.get(key) != Some(value))
        {
            let change = patch(pod, json!({"metadata": {"labels": wanted}}));
            self.outcome.actions.push(change);
        }
    }

    fn adjust_claims(&mut self, pod: &Pod) {
        let Some(ordinal) = identity::ordinal(self.set, pod) else {
            return;
        };
        let in_range = (self.first..self.end).contains(&ordinal);
        for claim in identity::claims(self.set, self.spec, ordinal) {
            let key = crate::workloads::writes::key_of(&claim.metadata);
            if let Some(known) = self.context.view.persistent_volume_claims.get(&key) {
                let change = retention::adjust(self.set, self.spec, pod, in_range, known);
                self.outcome.actions.extend(change);
            }
        }
    }

    /// `processCondemned`.
    fn condemn(&mut self, pod: &Pod, unhealthy: Option<&Pod>) -> Next {
        let monotonic = self.is_monotonic();
        let stop = if monotonic { Next::Wait } else { Next::GoOn };
        if is_terminating(pod) {
            return stop;
        }
        let is_the_unhealthy =
            unhealthy.is_some_and(|other| other.metadata.uid == pod.metadata.uid);
        if monotonic
            && !is_the_unhealthy
            && (!Self::is_healthy(pod) || self.availability(pod) != Availability::Available)
        {
            return Next::Wait;
        }
        if self.budget == 0 {
            return Next::Wait;
        }
        self.delete_pod(pod);
        stop
    }

    /// From the last pod down to the partition: one that is not of the present revision goes, unless one above it is not healthy.
    fn update(&mut self) {
        let from = self.first.saturating_add(self.partition());
        let present = name_of(&self.history.present.metadata).to_owned();
        for ordinal in (from..self.end).rev() {
            let Some(pod) = self.pods.get(&ordinal).copied() else {
                return;
            };
            if revision_of(pod) != Some(&present) && !is_terminating(pod) {
                self.delete_pod(pod);
                return;
            }
            if !Self::is_healthy(pod) {
                return;
            }
        }
    }

    fn tell(&mut self, kind: EventKind, reason: &str, message: String) {
        let told = event(self.set, kind, reason, message);
        self.outcome.actions.push(told);
    }
}
