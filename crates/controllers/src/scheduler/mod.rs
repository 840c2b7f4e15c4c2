//! kube-scheduler: pods get nodes.
//!
//! The decisions are those of [`autoscale::scheduler`], over a world that follows the cluster change by change. Here is the rest of
//! kube-scheduler 1.33 (`pkg/scheduler`): who is tried when, back-off, volumes that are made where their first pod goes, what
//! preemption takes away, and what is told.
//!
//! A pod that found no place is tried again when something happened that may let it in (a node came or changed, a pod went, a claim was
//! bound, a pod came that it wants to be near), after a back-off of 1 second that doubles up to 10, and after 5 minutes anyway. Its
//! condition is rewritten when the reason changes, at most every [`RETELL_SECONDS`] seconds.

mod news;
mod queue;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeSet;

use autoscale::scheduler::{Options, Outcome as Decision, Scheduler};
use autoscale::world::{Live, PodId};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value as Json, json};

use crate::document::{Named, seconds};
use crate::kubelet::EVENTS_UP_TO;
use crate::node_lifecycle::disrupted;
use crate::volumes::{SELECTED_NODE, claims};
use crate::{Action, Change, Context, Controller, EventKind, Key, Outcome, View};
use news::{News, has_ended, node_name};
use queue::{Assumed, Chances, Failed, Queue, Wants};

/// The name that pods ask for by default.
const NAME: &str = "default-scheduler";
/// How many pods are tried before others get their turn.
const AT_ONCE: usize = 1_000;
/// How many pods that are gone the world may still know, besides twice as many as there are.
const REMOVED_UP_TO: usize = 10_000;
/// `bindTimeoutSeconds`: how long volumes may take, in seconds of the clock.
const VOLUMES_SECONDS: i64 = 600;
/// How long a binding may take until it is taken to have been refused, in seconds of the clock.
const BINDING_SECONDS: i64 = 30;
/// How often a changed reason is written, in seconds of the clock: with many pods and nodes every one of the nodes would change it.
const RETELL_SECONDS: i64 = 30;

/// Places pods. It has one key.
pub struct PodScheduler {
    options: Options,
    news: RefCell<News>,
    running: Option<Running>,
    queue: Queue,
    removed_up_to: usize,
}

/// The world and the scheduler that follows it.
struct Running {
    live: Live,
    scheduler: Scheduler,
}

fn plus(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

impl PodScheduler {
    /// One that decides among equals by this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            options: Options {
                seed,
                ..Options::default()
            },
            news: RefCell::default(),
            running: None,
            queue: Queue::default(),
            removed_up_to: REMOVED_UP_TO,
        }
    }
}

/// Whether a pod is this scheduler's to place.
fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    node_name(pod).is_none()
        && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
        && !pod.is_deleting()
        && !has_ended(pod)
}

fn is_gated(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.scheduling_gates.as_ref())
        .is_some_and(|gates| !gates.is_empty())
}

impl Controller for PodScheduler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        let matters = self.news.borrow_mut().note(change);
        matters.then(|| Key::cluster("pods")).into_iter().collect()
    }

    fn reconcile(&mut self, _key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let news = std::mem::take(self.news.get_mut());
        let mut touched: BTreeSet<Key> = BTreeSet::new();
        let most = self.removed_up_to + 2 * view.pods.len();
        let running = self.running.as_ref();
        let stale = running.is_some_and(|running| running.live.removed_pods() > most);
        let mut running = match self.running.take() {
            Some(mut running) if !stale => {
                if !news.is_empty() {
                    touched.clone_from(&news.pods);
                    let chances = self.absorb(&mut running, news, context);
                    self.queue.wake(chances);
                }
                running
            }
            _ => {
                touched.extend(view.pods.iter().map(|(key, _)| key.clone()));
                let running = self.begin(context);
                // What the news was is not looked at: it may have let any of them in.
                self.queue.wake(Chances {
                    room: true,
                    ..Chances::default()
                });
                running
            }
        };
        running.live.sync(&mut running.scheduler);
        let (mut actions, again) = self.bind_assumed(&mut running, context);
        running.live.sync(&mut running.scheduler);
        let more = self.place(&mut running, context, &mut actions, &mut touched);
        for key in &touched {
            actions.extend(self.tell(key, context));
        }
        self.running = Some(running);
        let mut outcome = Outcome::of(actions);
        if more {
            outcome = outcome.again_at(context.now);
        }
        let next = self.queue.next(context.now);
        [again, next]
            .into_iter()
            .flatten()
            .fold(outcome, Outcome::again_at)
    }
}

impl PodScheduler {
    /// The world as it is now.
    fn begin(&mut self, context: Context<'_>) -> Running {
        let view = context.view;
        let mut live = Live::default();
        for (key, namespace) in view.namespaces.iter() {
            live.set_namespace(&key.name, Some(namespace));
        }
        for (key, node) in view.csi_nodes.iter() {
            live.set_csi_node(&key.name, Some(node));
        }
        for (_, node) in view.nodes.iter() {
            live.set_node(node);
        }
        for (key, class) in view.storage_classes.iter() {
            live.set_storage_class(&key.name, Some(class));
        }
        for (key, volume) in view.persistent_volumes.iter() {
            live.set_volume(&key.name, Some(volume));
        }
        for (key, claim) in view.persistent_volume_claims.iter() {
            live.set_claim(&key.namespace, &key.name, Some(claim));
        }
        for (_, budget) in view.pod_disruption_budgets.iter() {
            live.set_disruption_budget(budget);
        }
        self.queue.retain(|key, waiting| {
            view.pods
                .get(key)
                .is_some_and(|pod| pod.uid() == waiting.uid)
        });
        for (key, pod) in view.pods.iter() {
            self.set_pod(&mut live, key, pod, context);
        }
        let scheduler = Scheduler::new(live.world(), self.options);
        Running { live, scheduler }
    }

    /// Takes a pod as it is now: into the world if it has a node or is to get one, and onto the list of those that wait.
    fn set_pod(&mut self, live: &mut Live, key: &Key, pod: &Pod, context: Context<'_>) {
        let assumed = self
            .queue
            .assumed(key)
            .is_some_and(|assumed| assumed.uid == pod.uid() && node_name(pod).is_none());
        if !assumed {
            self.queue.drop_assumed(key);
        }
        if !is_ours(pod) {
            self.queue.remove(key);
            if node_name(pod).is_some() {
                live.set_pod(pod);
            } else {
                live.remove_pod(&key.namespace, &key.name);
            }
            return;
        }
        let Some(id) = live.set_pod(pod) else {
            return;
        };
        if let Some(assumed) = self.queue.assumed(key) {
            live.assume(id, &assumed.node);
        }
        let shape = live.world().shape_of(id);
        let wants = Wants {
            claims: !shape.claims.is_empty(),
            neighbours: !shape.affinity.required.is_empty()
                || shape.spread.iter().any(|one| one.required),
        };
        self.queue
            .add(key, pod.uid(), is_gated(pod), wants, context.now);
    }

    /// Takes in what changed.
    fn absorb(&mut self, running: &mut Running, news: News, context: Context<'_>) -> Chances {
        let view = context.view;
        let live = &mut running.live;
        let mut chances = Chances::default();
        for key in &news.csi_nodes {
            let node = view.csi_nodes.get(key);
            live.set_csi_node(&key.name, node.map(|node| &**node));
            chances.room = true;
        }
        for key in &news.nodes {
            match view.nodes.get(key) {
                Some(node) => {
                    live.set_node(node);
                }
                None => live.remove_node(&key.name),
            }
            chances.room = true;
        }
        for key in &news.classes {
            let class = view.storage_classes.get(key);
            live.set_storage_class(&key.name, class.map(|class| &**class));
            chances.claims = true;
        }
        for key in &news.volumes {
            let volume = view.persistent_volumes.get(key);
            live.set_volume(&key.name, volume.map(|volume| &**volume));
            chances.claims = true;
        }
        for key in &news.claims {
            let claim = view.persistent_volume_claims.get(key);
            live.set_claim(&key.namespace, &key.name, claim.map(|claim| &**claim));
            chances.claims = true;
        }
        for key in &news.budgets {
            match view.pod_disruption_budgets.get(key) {
                Some(budget) => live.set_disruption_budget(budget),
                None => live.remove_disruption_budget(&key.namespace, &key.name),
            }
        }
        let mut relabelled = false;
        for key in &news.namespaces {
            let namespace = view.namespaces.get(key);
            relabelled |= live.set_namespace(&key.name, namespace.map(|namespace| &**namespace));
        }
        for key in &news.pods {
            let known = live
                .pod(&key.namespace, &key.name)
                .map(|id| live.world().pod(id));
            let took_room = known.is_some_and(autoscale::world::Pod::takes_room);
            match view.pods.get(key) {
                Some(pod) => {
                    let takes_room = node_name(pod).is_some() && !has_ended(pod);
                    chances.room |= took_room && !takes_room;
                    chances.neighbours |= takes_room;
                    self.set_pod(live, key, pod, context);
                    if news.edited.contains(key) {
                        self.queue.activate(key);
                    }
                }
                None => {
                    chances.room |= took_room;
                    self.queue.remove(key);
                    self.queue.drop_assumed(key);
                    live.remove_pod(&key.namespace, &key.name);
                }
            }
        }
        if relabelled {
            live.sync(&mut running.scheduler);
            running.scheduler = Scheduler::new(live.world(), self.options);
            chances.room = true;
        }
        chances
    }

    /// Binds the pods whose volumes are there by now, and takes back what nobody has done in time. When to look again, if some can't
    /// be judged yet.
    fn bind_assumed(
        &mut self,
        running: &mut Running,
        context: Context<'_>,
    ) -> (Vec<Action>, Option<Timestamp>) {
        let view = context.view;
        let mut again: Option<Timestamp> = None;
        let mut actions = Vec::new();
        let mut forgotten = self.queue.overdue(context.now);
        for key in self.queue.reserved.clone() {
            let (Some(pod), Some(assumed)) = (view.pods.get(&key), self.queue.assumed(&key)) else {
                continue;
            };
            let mut bound = true;
            let mut refused = false;
            for claim in claims(pod) {
                let claim = view.persistent_volume_claims.get(&claim);
                let is_bound = claim.is_some_and(|claim| {
                    let status = claim.status.as_ref();
                    status.and_then(|status| status.phase.as_deref()) == Some("Bound")
                });
                bound &= is_bound;
                // The provisioner gave the node back: another one is needed. At first the claim does not say a node because nobody
                // has written it yet.
                let asked_by = plus(assumed.until, 1 - VOLUMES_SECONDS);
                let selected = claim.is_some_and(|claim| claim.annotation(SELECTED_NODE).is_some());
                if is_bound || selected {
                    continue;
                }
                if asked_by <= context.now {
                    refused = true;
                } else {
                    again = Some(again.map_or(asked_by, |other| other.min(asked_by)));
                }
            }
            if bound {
                actions.push(bind(view, pod, &assumed.node));
                let assumed = Assumed {
                    volumes: false,
                    until: plus(context.now, BINDING_SECONDS),
                    ..assumed.clone()
                };
                self.queue.assume(&key, assumed);
            } else if refused {
                forgotten.push(key);
            }
        }
        for key in forgotten {
            self.queue.drop_assumed(&key);
            self.queue.activate(&key);
            if let Some(id) = running.live.pod(&key.namespace, &key.name) {
                running.live.forget(id);
            }
        }
        (actions, again)
    }

    /// Tries the pods whose turn it is. Whether there are more.
    fn place(
        &mut self,
        running: &mut Running,
        context: Context<'_>,
        actions: &mut Vec<Action>,
        touched: &mut BTreeSet<Key>,
    ) -> bool {
        let view = context.view;
        let mut queue: Vec<(Reverse<i32>, Option<Timestamp>, Key, PodId)> = self
            .queue
            .due(context.now)
            .into_iter()
            .filter_map(|key| {
                let id = running.live.pod(&key.namespace, &key.name)?;
                let world = running.live.world();
                let priority = Reverse(world.shape_of(id).priority);
                Some((priority, world.pod(id).created, key, id))
            })
            .collect();
        queue.sort();
        let more = queue.len() > AT_ONCE;
        queue.truncate(AT_ONCE);
        let mut placed = false;
        for (_, _, key, id) in queue {
            let Some(pod) = view.pods.get(&key) else {
                continue;
            };
            let decision = running.scheduler.schedule_one(running.live.world(), id);
            let world = running.live.world();
            let named = |node| {
                let node = world.node(node);
                world.names.value_text(node.name).into_owned()
            };
            match decision {
                Decision::Bound(node) => {
                    let node = named(node);
                    placed = true;
                    running.live.assume(id, &node);
                    actions.extend(self.assume(view, &key, pod, node, context.now));
                }
                Decision::Nominated {
                    node,
                    victims,
                    failure,
                } => {
                    let node = named(node);
                    let names: Vec<String> = victims
                        .iter()
                        .map(|victim| world.pod_name(*victim))
                        .collect();
                    let message = failure.message(world);
                    let nominated = Some(node.clone());
                    self.queue.fail(
                        &key,
                        Failed { message, nominated },
                        context.now,
                        context.pace,
                    );
                    touched.insert(key);
                    actions.extend(preempt(view, pod, &node, &names, context.now));
                }
                Decision::Unschedulable(failure) => {
                    let message = failure.message(world);
                    let failed = Failed {
                        message,
                        nominated: None,
                    };
                    self.queue.fail(&key, failed, context.now, context.pace);
                    touched.insert(key);
                }
            }
        }
        if placed {
            self.queue.wake(Chances {
                neighbours: true,
                ..Chances::default()
            });
        }
        more
    }

    /// A pod has a node: it is bound to it, once its volumes are there.
    fn assume(
        &mut self,
        view: &View,
        key: &Key,
        pod: &Pod,
        node: String,
        now: Timestamp,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut volumes = false;
        for claim in claims(pod) {
            let Some(claim) = view.persistent_volume_claims.get(&claim) else {
                continue;
            };
            let is_bound = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.volume_name.as_deref())
                .is_some_and(|name| !name.is_empty());
            if is_bound {
                continue;
            }
            volumes = true;
            if claim.annotation(SELECTED_NODE) != Some(&node) {
                actions
                    .push(claim.patch(json!({"metadata": {"annotations": {SELECTED_NODE: node}}})));
            }
        }
        if !volumes {
            actions.push(bind(view, pod, &node));
        }
        let until = if volumes {
            VOLUMES_SECONDS
        } else {
            BINDING_SECONDS
        };
        self.queue.assume(
            key,
            Assumed {
                uid: pod.uid().to_owned(),
                node,
                volumes,
                until: plus(now, until),
            },
        );
        actions
    }

    /// Writes why a pod has no node, if that isn't what it says.
    fn tell(&mut self, key: &Key, context: Context<'_>) -> Option<Action> {
        let pod = context.view.pods.get(key)?;
        if self.queue.assumed(key).is_some() {
            return None;
        }
        let waiting = self
            .queue
            .get_mut(key)
            .filter(|waiting| waiting.uid == pod.uid())?;
        let (reason, message, nominated) = if waiting.gated {
            let message = "Scheduling is blocked due to non-empty scheduling gates";
            ("SchedulingGated", message.to_owned(), None)
        } else {
            let failed = waiting.failure.clone()?;
            ("Unschedulable", failed.message, failed.nominated)
        };
        let status = pod.status.as_ref();
        let conditions = status
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        let known = conditions
            .iter()
            .find(|condition| condition.type_ == "PodScheduled");
        let old_nominated = status.and_then(|status| status.nominated_node_name.clone());
        let same_reason = known.is_some_and(|known| {
            known.status == "False" && known.reason.as_deref() == Some(reason)
        });
        let same_message =
            same_reason && known.and_then(|known| known.message.as_ref()) == Some(&message);
        if same_message && old_nominated == nominated {
            return None;
        }
        if same_reason
            && old_nominated == nominated
            && waiting
                .told
                .is_some_and(|told| plus(told, RETELL_SECONDS) > context.now)
        {
            return None;
        }
        waiting.told = Some(context.now);
        let since = known
            .filter(|known| known.status == "False")
            .and_then(|known| known.last_transition_time.as_ref())
            .map_or(context.now, |time| time.0);
        let mut written: Vec<Json> = conditions
            .iter()
            .filter(|condition| condition.type_ != "PodScheduled")
            .map(|condition| json!(condition))
            .collect();
        written.push(
            json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message,
            "lastTransitionTime": seconds(since)}),
        );
        let mut patch =
            pod.patch_status(json!({"conditions": written, "nominatedNodeName": nominated}));
        if let Action::Patch { patch, .. } = &mut patch {
            patch["metadata"]["resourceVersion"] = json!(pod.metadata.resource_version);
        }
        if reason == "SchedulingGated" {
            return Some(patch);
        }
        Some(Action::InTurn(vec![
            patch,
            pod.tell(EventKind::Warning, "FailedScheduling", message),
        ]))
    }
}

fn bind(view: &View, pod: &Pod, node: &str) -> Action {
    let bind = Action::Bind {
        pod: pod.key(),
        node: node.to_owned(),
    };
    if view.pods.len() > EVENTS_UP_TO {
        return bind;
    }
    let message = format!("Successfully assigned {} to {node}", pod.key());
    Action::InTurn(vec![
        bind,
        pod.tell(EventKind::Normal, "Scheduled", message),
    ])
}

/// Takes pods away so that another fits.
fn preempt(view: &View, pod: &Pod, node: &str, victims: &[String], now: Timestamp) -> Vec<Action> {
    victims
        .iter()
        .filter_map(|name| {
            let (namespace, name) = name.split_once('/')?;
            let victim = view.pods.get(&Key::new(namespace, name))?;
            (!victim.is_deleting()).then(|| {
                let message = "default-scheduler: preempting to accommodate a higher priority pod";
                Action::InTurn(vec![
                    disrupted(victim, "PreemptionByScheduler", message, now),
                    victim.tell(
                        EventKind::Normal,
                        "Preempted",
                        format!("Preempted by pod {} on node {node}", pod.uid()),
                    ),
                    victim.delete(None),
                ])
            })
        })
        .collect()
}
