//! Runs a cluster's controllers: tells them what changed, and does what they want done, one thing after the other. It is the
//! only writer that they have.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use apimachinery::status::Reason;
use apimachinery::{GroupResource, Status};
use apiserver::Clock;
use apiserver::registry::{About, DeleteOptions, Local, Noted, Propagation};
use apiserver::store::{Change as Written, ChangeKind, Revision};
use controllers::cloud::Refusal;
use controllers::{Action, Change, Context, Controller, EventKind, Key, Pace, Reference, View};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::addons::{Addons, Installed};
use super::cloud::{self, Performed};
use super::load::METRIC_RESOLUTION;
use super::time::ClusterTime;
use crate::aws::account::Account;

/// The waits before a key that failed is looked at again: doubling up to this many seconds of the cluster's time.
const LONGEST_BACKOFF: i64 = 64;
/// When what EKS makes is tried again that was refused, in seconds of the cluster's time.
const EKS_RETRY: f64 = 5.0;
/// What passes at the least until a key is looked at again, of the cluster's time.
const MOMENT: SignedDuration = SignedDuration::from_millis(1);
/// When AWS is looked at again that could not be looked at at the start, on the wall.
const LOOK_RETRY: std::time::Duration = std::time::Duration::from_secs(1);
/// How many steps are made at one time of the cluster; after that it goes on even if there is more to do, so that what never ends does
/// not stop all others' clock.
const CROWD: usize = 200_000;
/// How many steps are made before the world is looked at again.
const STEPS: usize = 256;

/// What came of one reconciliation's actions.
#[derive(Default)]
struct Round {
    failed: bool,
    /// Whether AWS was asked for something.
    cloud: bool,
    /// The owners of what could not be created.
    refused: BTreeSet<String>,
}

/// The controllers of one cluster and what they look at.
pub(super) struct Runtime {
    cluster: String,
    account: Arc<Account>,
    time: ClusterTime,
    controllers: Vec<Box<dyn Controller>>,
    /// A client a controller, under its name.
    locals: Vec<Local>,
    view: View,
    seen: Revision,
    queue: VecDeque<(usize, Key)>,
    queued: BTreeSet<(usize, Key)>,
    due: BTreeSet<(Timestamp, usize, Key)>,
    due_at: BTreeMap<(usize, Key), Timestamp>,
    failures: BTreeMap<(usize, Key), u32>,
    refusals: BTreeMap<String, Refusal>,
    addons: Addons,
    /// When AWS changes by itself next.
    cloud_due: Option<f64>,
    metrics_due: Timestamp,
    pace: Option<Pace>,
    /// How many steps were made since there was nothing to do, and how many there may be before time goes on even so.
    steps: usize,
    crowd: usize,
}

impl Runtime {
    pub(super) fn new(
        cluster: &str,
        account: Arc<Account>,
        time: ClusterTime,
        local: &Local,
        controllers: Vec<Box<dyn Controller>>,
        addons: Addons,
    ) -> Self {
        let locals = controllers
            .iter()
            .map(|controller| local.as_manager(controller.name()))
            .collect();
        Self {
            cluster: cluster.to_owned(),
            account,
            time,
            controllers,
            locals,
            view: View::default(),
            seen: Revision(0),
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            due: BTreeSet::new(),
            due_at: BTreeMap::new(),
            failures: BTreeMap::new(),
            refusals: BTreeMap::new(),
            addons,
            cloud_due: None,
            metrics_due: Timestamp::MIN,
            pace: None,
            steps: 0,
            crowd: CROWD,
        }
    }

    /// Works until told to stop, and waits in between for something to happen.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let Some(store) = self
            .locals
            .first()
            .map(|local| local.registry().store().subscribe())
        else {
            return;
        };
        let mut store = store;
        let mut world = self.account.changes();
        self.relist();
        // Without a look at AWS all machines would be gone.
        while !self.look_at_cloud() {
            tokio::select! {
                () = tokio::time::sleep(LOOK_RETRY) => {}
                _ = stop.changed() => return,
            }
        }
        while !*stop.borrow() {
            store.borrow_and_update();
            if world.has_changed().unwrap_or(false) {
                world.borrow_and_update();
                self.look_at_cloud();
            }
            self.step();
            if !self.queue.is_empty() {
                // Others of this process have their turn.
                tokio::task::yield_now().await;
                continue;
            }
            let wait = self.wait();
            tokio::select! {
                _ = store.changed() => {}
                _ = world.changed() => world.mark_changed(),
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// When the next thing is due.
    fn next_due(&self) -> Option<Timestamp> {
        let due = self.due.first().map(|(at, ..)| *at);
        let cloud = self.cloud_due.map(|modelled| self.time.at(modelled));
        let metrics =
            (!self.view.horizontal_pod_autoscalers.is_empty()).then_some(self.metrics_due);
        [due, cloud, metrics].into_iter().flatten().min()
    }

    /// Until something is due.
    fn wait(&self) -> std::time::Duration {
        let longest = std::time::Duration::from_secs(60);
        self.next_due()
            .map_or(longest, |at| self.time.until(at).min(longest))
            // A clock that is read twice may be a hair behind.
            .max(std::time::Duration::from_millis(1))
    }

    /// Does what there is to do. Time goes from one thing that is due to the next and stands still while one is done: all that
    /// it leads to comes before what is due later.
    fn step(&mut self) {
        self.time.up_to(Some(self.time.now()));
        self.notice_pace();
        for _ in 0..STEPS {
            self.take_changes();
            let idle = self.queue.is_empty();
            if idle {
                self.steps = 0;
            }
            if idle || self.steps >= self.crowd {
                let next = self.next_due();
                self.time.up_to(next);
                if next.is_some_and(|at| at <= self.time.now()) {
                    self.ring();
                } else if idle {
                    return;
                }
                if !idle {
                    self.time.up_to(Some(self.time.now()));
                    self.steps = self.steps.saturating_sub(STEPS);
                }
            }
            if let Some((controller, key)) = self.queue.pop_front() {
                self.steps += 1;
                self.queued.remove(&(controller, key.clone()));
                self.reconcile(controller, key, self.time.now());
            }
        }
    }

    /// At another pace other dates are due: everybody reckons anew.
    fn notice_pace(&mut self) {
        let pace = self.time.pace();
        if self.pace.replace(pace).is_some_and(|before| before != pace) {
            for (_, controller, key) in std::mem::take(&mut self.due) {
                self.enqueue(controller, key);
            }
            self.due_at.clear();
        }
    }

    /// Turns to everything that is due by now.
    fn ring(&mut self) {
        let now = self.time.now();
        if self
            .cloud_due
            .is_some_and(|modelled| self.time.at(modelled) <= now)
        {
            self.look_at_cloud();
        }
        self.measure(now);
        while let Some((at, controller, key)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            self.due_at.remove(&(controller, key.clone()));
            self.enqueue(controller, key);
        }
    }

    fn reconcile(&mut self, index: usize, key: Key, now: Timestamp) {
        let context = Context {
            view: &self.view,
            now,
            pace: self.time.pace(),
        };
        let outcome = self.controllers[index].reconcile(&key, context);
        let mut round = Round::default();
        for action in outcome.actions {
            self.attempt(index, &key, action, now, &mut round);
        }
        let Round { failed, cloud, .. } = round;
        if cloud {
            self.look_at_cloud();
        }
        let entry = (index, key);
        let mut again = outcome.again;
        if failed {
            let count = self.failures.entry(entry.clone()).or_default();
            let seconds = (1_i64 << (*count).min(6)).min(LONGEST_BACKOFF);
            *count += 1;
            let retry = now
                .saturating_add(SignedDuration::from_secs(seconds))
                .unwrap_or(now);
            again = Some(again.map_or(retry, |at| at.min(retry)));
        } else {
            self.failures.remove(&entry);
        }
        if let Some(before) = self.due_at.remove(&entry) {
            self.due.remove(&(before, entry.0, entry.1.clone()));
        }
        // Who looks again at once sees another time.
        let soonest = now.saturating_add(MOMENT).unwrap_or(now);
        if let Some(at) = again.map(|at| at.max(soonest)) {
            self.due.insert((at, entry.0, entry.1.clone()));
            self.due_at.insert(entry, at);
        }
    }

    fn enqueue(&mut self, controller: usize, key: Key) {
        if self.queued.insert((controller, key.clone())) {
            self.queue.push_back((controller, key));
        }
    }

    fn tell(&mut self, change: &Change) {
        for index in 0..self.controllers.len() {
            for key in self.controllers[index].concerns(change, &self.view) {
                self.enqueue(index, key);
            }
        }
    }

    fn take(&mut self, resource: &GroupResource, key: &Key, json: Option<&[u8]>) {
        match self
            .view
            .apply(&resource.group, &resource.resource, key, json)
        {
            Ok(change) => self.tell(&change),
            Err(unreadable) => {
                tracing::warn!(cluster = self.cluster, %unreadable, "left out of the controllers' view");
            }
        }
    }

    /// Takes in what was written since the last time.
    fn take_changes(&mut self) {
        let Some(local) = self.locals.first().cloned() else {
            return;
        };
        loop {
            match local.changes(self.seen, |_| true) {
                Ok(changes) => {
                    let done = changes.items.is_empty() && changes.revision == self.seen;
                    for Written { kind, object, .. } in &changes.items {
                        let key = Key::new(&object.key.namespace, &object.key.name);
                        let json = (*kind != ChangeKind::Deleted).then_some(&object.bytes[..]);
                        self.take(&object.key.resource, &key, json);
                    }
                    let more = changes.revision != self.seen;
                    self.seen = changes.revision;
                    if done || !more {
                        return;
                    }
                }
                Err(_) => {
                    self.relist();
                    return;
                }
            }
        }
    }

    /// Begins anew with all that there is, and tells of what is there no more.
    fn relist(&mut self) {
        let Some(local) = self.locals.first().cloned() else {
            return;
        };
        let mut gone: BTreeSet<(GroupResource, Key)> = self
            .view
            .places()
            .map(|(group, resource, key)| (GroupResource::new(group, resource), key.clone()))
            .collect();
        let registry = local.registry();
        // Before the lists: what is written meanwhile is told of twice, which harms nobody.
        self.seen = *registry.store().subscribe().borrow();
        let places: BTreeSet<GroupResource> = registry
            .resources()
            .iter()
            .map(|resource| registry.place(resource))
            .collect();
        for place in places {
            for object in registry.store().list(&place, None).items {
                let key = Key::new(&object.key.namespace, &object.key.name);
                self.take(&place, &key, Some(&object.bytes));
                gone.remove(&(place.clone(), key));
            }
        }
        for (place, key) in gone {
            self.take(&place, &key, None);
        }
    }

    /// Whether AWS could be looked at.
    fn look_at_cloud(&mut self) -> bool {
        let claims = &self.view.node_claims;
        self.refusals
            .retain(|claim, _| claims.get(&Key::cluster(claim)).is_some());
        let queue = interruption_queue(&self.view);
        let seen = cloud::look(
            &self.account,
            &self.cluster,
            queue.as_deref(),
            &self.time,
            &self.refusals,
        );
        let could = seen.is_ok();
        match seen {
            Ok(seen) => {
                self.cloud_due = seen.changes_at;
                if seen.cloud != self.view.cloud {
                    let change = self.view.set_cloud(seen.cloud);
                    self.tell(&change);
                }
            }
            Err(error) => {
                tracing::warn!(
                    cluster = self.cluster,
                    error = error.message,
                    "AWS can't be looked at"
                );
            }
        }
        self.keep_addons();
        could
    }

    /// Has EKS put into the cluster what AWS says that it has of add-ons.
    fn keep_addons(&mut self) {
        let cluster = &self.cluster;
        let installed = self
            .account
            .session(|session| Ok(Installed::of(session.world(), cluster)));
        if let Ok(Some(installed)) = installed
            && !self.addons.keep(&installed)
        {
            let again = self.account.time().0 + EKS_RETRY;
            self.cloud_due = Some(self.cloud_due.map_or(again, |due| due.min(again)));
        }
    }

    /// Asks the load model what pods use, where an autoscaler wants to know.
    fn measure(&mut self, now: Timestamp) {
        if now < self.metrics_due || self.view.horizontal_pod_autoscalers.is_empty() {
            return;
        }
        self.metrics_due = now
            .saturating_add(SignedDuration::from_secs(METRIC_RESOLUTION))
            .unwrap_or(now);
        super::load::measure(&mut self.view, now);
    }

    /// Does one thing; whether it was done.
    fn attempt(
        &mut self,
        index: usize,
        key: &Key,
        action: Action,
        now: Timestamp,
        round: &mut Round,
    ) -> bool {
        if let Action::InTurn(actions) = action {
            return actions
                .into_iter()
                .all(|action| self.attempt(index, key, action, now, round));
        }
        round.cloud |= matches!(action, Action::Cloud(_));
        let owner = match &action {
            Action::Create(object) => owner_of(object),
            _ => None,
        };
        let status = match self.perform(index, action, now) {
            Ok(()) => {
                if let Some(owner) = owner
                    && !round.refused.contains(&owner)
                {
                    self.view.refusals.remove(&owner);
                }
                return true;
            }
            Err(status) => status,
        };
        let name = self.controllers[index].name();
        // What changed in between is told of by itself; what is there already was meant to be.
        match status.reason {
            Reason::AlreadyExists => return false,
            Reason::NotFound => {
                tracing::debug!(controller = name, %key, %status, "in vain");
                return false;
            }
            Reason::Conflict | Reason::TooManyRequests => {
                tracing::debug!(controller = name, %key, %status, "again later");
            }
            _ => {
                tracing::warn!(controller = name, cluster = self.cluster, %key, %status, "refused");
            }
        }
        round.failed = true;
        if let Some(owner) = owner
            && round.refused.insert(owner.clone())
        {
            let rounds = self
                .view
                .refusals
                .get(&owner)
                .map_or(0, |known| known.rounds);
            let refusal = controllers::Refusal {
                message: status.message,
                at: now,
                rounds: rounds + 1,
            };
            self.view.refusals.insert(owner, refusal);
        }
        false
    }

    fn perform(&mut self, index: usize, action: Action, now: Timestamp) -> Result<(), Status> {
        let local = &self.locals[index];
        match action {
            // Taken apart before.
            Action::InTurn(_) => Ok(()),
            Action::Create(object) => local.create(object).map(drop),
            Action::Update(object) => local.update(object).map(drop),
            Action::UpdateStatus(object) => local.update_status(object).map(drop),
            Action::Patch {
                of,
                subresource,
                patch,
            } => local.merge_patch(about(&of), subresource, patch).map(drop),
            Action::Delete {
                of,
                uid,
                grace,
                propagation,
            } => {
                let options = DeleteOptions {
                    grace_period: grace,
                    propagation: propagation.and_then(Propagation::parse),
                    uid: Some(uid),
                    ..DeleteOptions::default()
                };
                local.delete(about(&of), &options).map(drop)
            }
            Action::Bind { pod, node } => local.bind(&pod.namespace, &pod.name, &node),
            Action::Evict { pod, uid } => local.evict(&pod.namespace, &pod.name, Some(&uid)),
            Action::Event {
                about,
                kind,
                reason,
                message,
            } => local.event(Noted {
                about: &about,
                kind: match kind {
                    EventKind::Normal => "Normal",
                    EventKind::Warning => "Warning",
                },
                reason: &reason,
                message: &message,
            }),
            Action::Cloud(action) => {
                // AWS forgets nothing: what it is asked for must not be for the sake of what the cluster forgets in a sudden end.
                let store = local.registry().store();
                store.wait_until_synced(store.revision())?;
                let performed =
                    cloud::perform(&self.account, &self.cluster, &action, &self.time, now)
                        .map_err(|error| Status::new(Reason::InternalError, error.message))?;
                if let Performed::Refused {
                    node_claim,
                    refusal,
                } = performed
                {
                    self.refusals.insert(node_claim, refusal);
                }
                Ok(())
            }
        }
    }
}

/// The uid of the controller that an object names as its owner.
fn owner_of(object: &serde_json::Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let controller = owners.iter().find(|owner| owner["controller"] == true)?;
    controller["uid"].as_str().map(str::to_owned)
}

fn about(reference: &Reference) -> About<'_> {
    About {
        group: &reference.group,
        resource: &reference.resource,
        namespace: &reference.key.namespace,
        name: &reference.key.name,
    }
}

/// The queue that the cluster's Karpenter is told to read: its Deployment's environment says so.
fn interruption_queue(view: &View) -> Option<String> {
    view.deployments.iter().find_map(|(_, deployment)| {
        let template = deployment.spec.as_ref()?.template.spec.as_ref()?;
        let variables = template
            .containers
            .iter()
            .flat_map(|container| container.env.iter().flatten());
        variables
            .filter(|variable| variable.name == "INTERRUPTION_QUEUE")
            .find_map(|variable| variable.value.clone())
    })
}
