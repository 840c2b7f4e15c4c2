//! One look at a DaemonSet (`syncDaemonSet`, `manage`, `updateDaemonSetStatus`; daemon/daemon_controller.go).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::workloads::claims::{claim, controller_reference};
use crate::workloads::history::{History, Labels};
use crate::workloads::names::drawn;
use crate::workloads::pods::{
    Availability, availability, created_at, has_ended, is_ready, is_terminating, node_of,
    of_template, phase,
};
use crate::workloads::retries::{Retry, check_at};
use crate::workloads::selector::Selector;
use crate::workloads::writes::{create_and_tell, delete, event, name_of, uid_of, update_status};
use crate::{Action, Context, EventKind, Outcome};

use super::nodes::{Daemon, aim, target};
use super::{BURST, REVISION, Seen};

/// The first wait after a failure, and the longest (`flowcontrol.NewBackOff(1s, 15min)`, daemon_controller.go).
const FIRST_WAIT: f64 = 1.0;
const LONGEST_WAIT: f64 = 900.0;

pub(super) struct Sync<'a> {
    pub(super) set: &'a DaemonSet,
    pub(super) spec: &'a DaemonSetSpec,
    pub(super) context: Context<'a>,
    history: History,
    /// The hash of the present template.
    pub(super) hash: String,
    /// By node, the oldest first; what ended and is being deleted is left out.
    pub(super) pods: BTreeMap<&'a str, Vec<&'a Pod>>,
    /// By node: whether it should have a pod, and whether it may keep one.
    pub(super) places: BTreeMap<&'a str, (bool, bool)>,
    seen: &'a mut BTreeMap<String, Seen>,
    outcome: Outcome,
}

/// What is to be made and to go.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) create: Vec<&'a str>,
    pub(super) delete: Vec<&'a Pod>,
}

pub(super) fn hash_of(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()?
        .get(REVISION)
        .map(String::as_str)
}

impl<'a> Sync<'a> {
    pub(super) fn of(
        set: &'a DaemonSet,
        spec: &'a DaemonSetSpec,
        selector: &Selector,
        context: Context<'a>,
        seen: &'a mut BTreeMap<String, Seen>,
    ) -> Self {
        let claims = claim(
            &context.view.pods,
            set,
            |pod| selector.matches(&pod.metadata),
            |_| true,
        );
        let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in claims.owned {
            if let Some(node) = target(pod)
                && !(is_terminating(pod) && has_ended(pod))
            {
                pods.entry(node).or_default().push(pod);
            }
        }
        for here in pods.values_mut() {
            // The bound ones before the others, then by age (`podByCreationTimestampAndPhase`).
            here.sort_by_key(|pod| {
                (
                    node_of(pod).is_none(),
                    created_at(&pod.metadata),
                    name_of(&pod.metadata),
                )
            });
        }
        let daemon = Daemon::of(set);
        let places = context
            .view
            .nodes
            .iter()
            .map(|(key, node)| {
                let place = daemon
                    .as_ref()
                    .map_or((false, false), |one| one.place(node));
                (&*key.name, place)
            })
            .collect();
        let mut history = History::of(
            context.view,
            set,
            selector,
            &spec.template,
            set.status
                .as_ref()
                .and_then(|status| status.collision_count),
            Labels { hash: REVISION },
        );
        let labels = history.present.metadata.labels.as_ref();
        let hash = labels.and_then(|labels| labels.get(REVISION)).cloned();
        let mut outcome = Outcome::of(claims.actions);
        outcome.actions.append(&mut history.actions);
        Self {
            set,
            spec,
            context,
            history,
            hash: hash.unwrap_or_default(),
            pods,
            places,
            seen,
            outcome,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        self.look();
        if self.set.metadata.deletion_timestamp.is_none() {
            let mut plan = self.manage();
            let strategy = self.spec.update_strategy.as_ref();
            let rolls = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
            if rolls && plan.create.is_empty() && plan.delete.is_empty() {
                plan = self.roll();
            }
            self.carry_out(plan);
            let mut live: BTreeSet<String> = BTreeSet::new();
            let hashes: BTreeSet<&str> = self
                .pods
                .values()
                .flatten()
                .filter_map(|pod| hash_of(pod))
                .collect();
            for revision in &self.history.revisions {
                let labels = revision.metadata.labels.as_ref();
                let hash = labels.and_then(|labels| labels.get(REVISION));
                if hash.is_some_and(|hash| *hash == self.hash || hashes.contains(hash.as_str())) {
                    live.insert(name_of(&revision.metadata).to_owned());
                }
            }
            self.history
                .truncate(self.spec.revision_history_limit, &live);
            self.outcome.actions.append(&mut self.history.actions);
        }
        let status = self.status();
        if self.set.status.as_ref() != Some(&status) {
            let mut changed = self.set.clone();
            changed.status = Some(status);
            self.outcome.actions.push(update_status(&changed));
        }
        self.outcome
    }

    /// Remembers which pod each node had last.
    fn look(&mut self) {
        for (node, pods) in &self.pods {
            let newest = pods
                .iter()
                .max_by_key(|pod| (created_at(&pod.metadata), uid_of(&pod.metadata)));
            if let Some(newest) = newest {
                let seen = self.seen.entry((*node).to_owned()).or_default();
                uid_of(&newest.metadata).clone_into(&mut seen.last);
                if is_ready(newest) {
                    seen.failures = 0;
                }
            }
        }
        let (pods, places) = (&self.pods, &self.places);
        self.seen.retain(|node, _| {
            places.contains_key(node.as_str()) || pods.contains_key(node.as_str())
        });
    }

    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        self.availability(pod) == Availability::Available
    }

    fn availability(&self, pod: &Pod) -> Availability {
        let Context { now, pace, .. } = self.context;
        availability(pod, self.spec.min_ready_seconds.unwrap_or(0), now, pace)
    }

    /// `podsShouldBeOnNode`, for all nodes; and pods for nodes that are gone.
    fn manage(&mut self) -> Plan<'a> {
        let mut plan = Plan::default();
        let places = self.places.clone();
        for (node, (should_run, may_stay)) in places {
            let here = self.pods.get(node).cloned().unwrap_or_default();
            if should_run && here.is_empty() {
                plan.create.push(node);
            } else if may_stay {
                let mut running = Vec::new();
                for pod in here.into_iter().filter(|pod| !is_terminating(pod)) {
                    if has_ended(pod) {
                        if self.may_replace(node, pod) {
                            plan.delete.push(pod);
                        }
                    } else {
                        running.push(pod);
                    }
                }
                plan.delete.extend(self.surplus(&running));
            } else {
                plan.delete
                    .extend(here.into_iter().filter(|pod| !is_terminating(pod)));
            }
        }
        for (node, pods) in &self.pods {
            if !self.places.contains_key(node) {
                let lost = pods
                    .iter()
                    .filter(|pod| !is_terminating(pod) && node_of(pod).is_none());
                plan.delete.extend(lost);
            }
        }
        plan
    }

    /// Whether a pod that ended is to go now. One that failed waits, longer each time.
    fn may_replace(&mut self, node: &str, pod: &Pod) -> bool {
        let Context { now, pace, .. } = self.context;
        let place = format!(
            "{}/{} on node {node}",
            self.set.metadata.namespace.as_deref().unwrap_or_default(),
            name_of(&pod.metadata)
        );
        if phase(pod) == "Succeeded" {
            let message = format!("Found succeeded daemon pod {place}, will try to delete it");
            self.tell(EventKind::Normal, "SucceededDaemonPod", message);
            return true;
        }
        let seen = self.seen.entry(node.to_owned()).or_default();
        if seen.failures > 0 {
            let doublings = i32::try_from(seen.failures - 1).unwrap_or(i32::MAX).min(10);
            let wait = (FIRST_WAIT * 2f64.powi(doublings)).min(LONGEST_WAIT);
            let at = pace.after(ended_at(pod), wait);
            if now < at {
                self.outcome = std::mem::take(&mut self.outcome).again_at(at);
                return false;
            }
        }
        seen.failures += 1;
        let message = format!("Found failed daemon pod {place}, will try to kill it");
        self.tell(EventKind::Warning, "FailedDaemonPod", message);
        true
    }

    /// All but the oldest; with a surge, all but the oldest of the present template and the oldest of former ones.
    fn surplus(&self, running: &[&'a Pod]) -> Vec<&'a Pod> {
        if running.len() <= 1 {
            return Vec::new();
        }
        if self.limits().surge == 0 {
            return running[1..].to_vec();
        }
        let present = |pod: &&&Pod| hash_of(pod) == Some(&self.hash);
        let new = running.iter().find(present);
        let old = running.iter().find(|pod| !present(pod) && is_ready(pod));
        let keep: Vec<&str> = [new, old]
            .into_iter()
            .flatten()
            .map(|pod| uid_of(&pod.metadata))
            .collect();
        running
            .iter()
            .filter(|pod| !keep.contains(&uid_of(&pod.metadata)))
            .copied()
            .collect()
    }

    /// `syncNodes`.
    fn carry_out(&mut self, mut plan: Plan<'a>) {
        let Context { view, now, .. } = self.context;
        let retry = Retry::of(view, uid_of(&self.set.metadata), now);
        plan.delete.truncate(BURST);
        plan.create
            .truncate(retry.allowed(plan.create.len().min(BURST)));
        match &retry {
            Retry::Wait(_, at) => self.outcome = std::mem::take(&mut self.outcome).again_at(*at),
            Retry::Again(refusal) if !plan.create.is_empty() => {
                let message = format!("Error creating: {}", refusal.message);
                self.tell(EventKind::Warning, "FailedCreate", message);
            }
            _ => {}
        }
        if !plan.create.is_empty() {
            self.outcome = std::mem::take(&mut self.outcome).again_at(check_at(now));
        }
        // A node that is free again makes room in a surge: what goes, goes first.
        for pod in plan.delete {
            let message = format!("Deleted pod: {}", name_of(&pod.metadata));
            let told = event(self.set, EventKind::Normal, "SuccessfulDelete", message);
            let gone = delete(pod, None);
            self.outcome.actions.push(Action::InTurn(vec![gone, told]));
        }
        for node in plan.create {
            let pod = self.pod(node);
            let message = format!("Created pod: {}", name_of(&pod.metadata));
            let told = event(self.set, EventKind::Normal, "SuccessfulCreate", message);
            self.outcome.actions.push(create_and_tell(&pod, told));
        }
    }

    fn pod(&self, node: &str) -> Pod {
        let metadata = &self.set.metadata;
        let prefix = format!("{}-", name_of(metadata));
        let last = self.seen.get(node).map_or("", |seen| seen.last.as_str());
        let name = drawn(&prefix, &[uid_of(metadata), node, &self.hash, last]);
        let mut pod = of_template(
            &self.spec.template,
            metadata.namespace.as_deref().unwrap_or_default(),
            name,
            Some(prefix),
            controller_reference(self.set),
        );
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(REVISION.to_owned(), self.hash.clone());
        // What API servers of before apps/v1 counted (`TemplateGeneration`).
        let annotations = metadata.annotations.as_ref();
        if let Some(generation) =
            annotations.and_then(|them| them.get("deprecated.daemonset.template.generation"))
        {
            labels.insert("pod-template-generation".to_owned(), generation.clone());
        }
        aim(pod.spec.get_or_insert_default(), node);
        pod
    }

    fn status(&mut self) -> DaemonSetStatus {
        let (mut desired, mut current, mut misscheduled) = (0, 0, 0);
        let (mut ready, mut available, mut updated) = (0, 0, 0);
        for (node, (should_run, _)) in &self.places {
            let first = self.pods.get(node).and_then(|pods| pods.first());
            desired += i32::from(*should_run);
            let Some(pod) = first else { continue };
            if !should_run {
                misscheduled += 1;
                continue;
            }
            current += 1;
            match self.availability(pod) {
                Availability::Available => {
                    ready += 1;
                    available += 1;
                }
                Availability::From(_) => ready += 1,
                Availability::NotReady => {}
            }
            updated += i32::from(hash_of(pod) == Some(&self.hash));
        }
        // In a surge the second of a node's pods is waited for, too.
        let next = self
            .pods
            .values()
            .flatten()
            .filter_map(|pod| match self.availability(pod) {
                Availability::From(at) => Some(at),
                _ => None,
            });
        if let Some(at) = next.min() {
            self.outcome = std::mem::take(&mut self.outcome).again_at(at);
        }
        let some = |number: i32| (number != 0).then_some(number);
        DaemonSetStatus {
            observed_generation: self.set.metadata.generation,
            desired_number_scheduled: desired,
            current_number_scheduled: current,
            number_misscheduled: misscheduled,
            number_ready: ready,
            number_available: some(available),
            number_unavailable: some(desired - available),
            updated_number_scheduled: some(updated),
            collision_count: self.history.collisions,
            conditions: self
                .set
                .status
                .as_ref()
                .and_then(|status| status.conditions.clone()),
        }
    }

    fn tell(&mut self, kind: EventKind, reason: &str, message: String) {
        let told = event(self.set, kind, reason, message);
        self.outcome.actions.push(told);
    }
}

/// When its last container ended, or when it was made.
fn ended_at(pod: &Pod) -> Timestamp {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses
        .into_iter()
        .flatten()
        .filter_map(|status| {
            status
                .state
                .as_ref()?
                .terminated
                .as_ref()?
                .finished_at
                .as_ref()
        })
        .map(|time| time.0)
        .max()
        .unwrap_or_else(|| created_at(&pod.metadata))
}
