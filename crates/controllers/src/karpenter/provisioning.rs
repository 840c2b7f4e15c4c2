//! Pods without a place get nodes: pods are batched, a plan is made, claims are created (`pkg/controllers/provisioning`).

use autoscale::karpenter::disruption::Guards;
use autoscale::karpenter::launch::truncate;
use autoscale::karpenter::provisioning::{Planner, Request, pods_to_provision};
use autoscale::world::{NodeId, PodId, Stage, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value as Json, json};

use super::memory::{Kept, Memory, Telling, pause};
use super::picture::Painter;
use super::settings::Settings;
use super::{DISRUPTED, NAME, new_claim};
use crate::document::Named;
use crate::{
    Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, Pace, View,
};

/// How often a pod that waits, and a node that is going, are looked at again, in seconds (`provisioning/controller.go`).
const RETRY: f64 = 10.0;

/// Makes claims for pods that wait. It has one key.
pub(super) struct Provisioner {
    memory: Memory,
    painter: Painter,
    /// The batch that is open: its first and its last trigger.
    window: Option<(Timestamp, Timestamp)>,
    /// What was known at the end of the last pass.
    seen: Option<u64>,
    /// When pods that wait are looked at again.
    retry_at: Option<Timestamp>,
}

impl Provisioner {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            painter: Painter::default(),
            window: None,
            seen: None,
            retry_at: None,
        }
    }
}

/// Whether Karpenter looks for room for a pod (`pkg/utils/pod/scheduling.go` `IsProvisionable`).
fn is_provisionable(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let unbound = spec.is_some_and(|spec| spec.node_name.as_deref().unwrap_or_default().is_empty());
    let status = pod.status.as_ref();
    unbound
        && !pod.is_deleting()
        && status.is_some_and(|status| {
            status.conditions.iter().flatten().any(|condition| {
                condition.type_ == "PodScheduled"
                    && condition.reason.as_deref() == Some("Unschedulable")
            })
        })
}

/// Whether a node carries the taint of those that go.
fn is_leaving(node: &Node) -> bool {
    node.spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .any(|taint| taint.key == DISRUPTED)
}

fn batch(settings: &Settings, pace: Pace) -> (SignedDuration, SignedDuration) {
    match pace {
        Pace::Modelled => {
            let span = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
            (span(settings.batch_idle), span(settings.batch_longest))
        }
        Pace::Immediate => (
            SignedDuration::from_millis(100),
            SignedDuration::from_secs(1),
        ),
    }
}

impl Controller for Provisioner {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, _: &View) -> Vec<Key> {
        let own = self.memory.note(change);
        let waits = |object: &Option<Object>| match object {
            Some(Object::Pod(pod)) => is_provisionable(pod),
            _ => false,
        };
        let leaves = |object: &Option<Object>| match object {
            Some(Object::Node(node)) => is_leaving(node),
            _ => false,
        };
        let triggers = own
            || match change.kind {
                Some(Kind::Pod) => waits(&change.after) && !waits(&change.before),
                Some(Kind::Node) => leaves(&change.after) && !leaves(&change.before),
                _ => false,
            };
        if triggers {
            vec![Key::cluster("provisioner")]
        } else {
            Vec::new()
        }
    }

    fn reconcile(&mut self, _: &Key, context: Context<'_>) -> Outcome {
        let Some(settings) = self.memory.settings(context.view) else {
            self.window = None;
            self.retry_at = None;
            return Outcome::settled();
        };
        let now = context.now;
        let (idle, longest) = batch(&settings, context.pace);
        let Some((first, last)) = self.window else {
            if self.retry_at.take().is_some_and(|at| at <= now) {
                if !is_asked(context.view) {
                    return Outcome::settled();
                }
                let mut kept = self.memory.lock();
                kept.unavailable(now);
                let changes = kept.changes;
                drop(kept);
                if self.seen == Some(changes) {
                    // Nothing has changed: it would come to the same.
                    return self.retry(context);
                }
            }
            self.window = Some((now, now));
            return Outcome::settled().again_at(now + idle);
        };
        let ends = (last + idle).min(first + longest);
        if now < ends {
            self.window = Some((first, now));
            return Outcome::settled().again_at((now + idle).min(first + longest));
        }
        let memory = self.memory.clone();
        let mut kept = memory.lock();
        if !kept.synced(context.view, now) {
            return Outcome::settled().again_at(now + pause(context.pace, 1.0));
        }
        self.window = None;
        if !is_asked(context.view) {
            return Outcome::settled();
        }
        let actions = self.provision(context, &mut kept, &settings);
        self.seen = Some(kept.changes);
        let mut outcome = self.retry(context);
        outcome.actions = actions;
        outcome
    }
}

/// Whether pods wait for room, or nodes are going whose pods will.
fn is_asked(view: &View) -> bool {
    view.pods.iter().any(|(_, pod)| is_provisionable(pod))
        || view.nodes.iter().any(|(_, node)| is_leaving(node))
}

/// What an Event about a pod of a world is about.
pub(super) fn subject(world: &World, pod: PodId) -> Json {
    let entry = world.pod(pod);
    let namespace = world.names.value_text(world.shape_of(pod).namespace);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": namespace,
        "name": entry.name,
        "uid": entry.uid,
    })
}

/// Nominates a node for pods and tells of it.
pub(super) fn nominate(
    world: &World,
    kept: &mut Kept,
    node: NodeId,
    pod: PodId,
    context: Context<'_>,
    settings: &Settings,
) -> Option<Action> {
    let entry = world.node(node);
    let name = world.names.value_text(entry.name);
    let mut on = Vec::new();
    if let Some(claim) = &entry.claim {
        kept.nominate(&claim.name, context, settings);
        on.push(format!("nodeclaim/{}", claim.name));
    } else {
        kept.nominate(&name, context, settings);
    }
    if entry.stage != Stage::Launched {
        on.push(format!("node/{name}"));
    }
    let uid = world.pod(pod).uid.clone();
    let message = format!("Pod should schedule on: {}", on.join(", "));
    kept.tell_nomination(context.now, subject(world, pod), &uid, message)
}

impl Provisioner {
    /// Looks again in a while.
    fn retry(&mut self, context: Context<'_>) -> Outcome {
        let at = context.now + pause(context.pace, RETRY);
        self.retry_at = Some(at);
        Outcome::settled().again_at(at)
    }

    /// One pass.
    fn provision(
        &mut self,
        context: Context<'_>,
        kept: &mut Kept,
        settings: &Settings,
    ) -> Vec<Action> {
        let now = context.now;
        let world = self.painter.paint(context.view, kept, now);
        let guards = Guards::new(&world);
        let mut pods = pods_to_provision(&world);
        pods.retain(|pod| {
            world.pod(*pod).node.is_none() || guards.is_currently_reschedulable(&world, *pod, now)
        });
        if pods.is_empty() {
            return Vec::new();
        }
        let mut planner = Planner::new(&world, settings.provisioning());
        let mut outcome = planner.simulate(&Request {
            pods: &pods,
            ..Request::default()
        });
        truncate(&world, &mut outcome, settings.min_values);
        let mut actions = Vec::new();
        for placement in &outcome.placements {
            actions.extend(nominate(
                &world,
                kept,
                placement.node,
                placement.pod,
                context,
                settings,
            ));
        }
        for stuck in &outcome.unschedulable {
            if world.pod(stuck.pod).node.is_some() {
                continue;
            }
            actions.extend(self::failed(
                &world,
                kept,
                stuck.pod,
                &stuck.error.display(&world),
                now,
            ));
        }
        for (index, claim) in outcome.claims.iter().enumerate() {
            if new_claim::over_limit(&world, claim).is_some() {
                continue;
            }
            let Some((name, document)) =
                new_claim::document(&world, context.view, claim, index, now)
            else {
                continue;
            };
            kept.expect(&name, now);
            kept.nominate(&name, context, settings);
            let mut turn = vec![Action::Create(document)];
            for pod in &claim.pods {
                let uid = world.pod(*pod).uid.clone();
                let message = format!("Pod should schedule on: nodeclaim/{name}");
                turn.extend(kept.tell_nomination(now, subject(&world, *pod), &uid, message));
            }
            actions.push(Action::InTurn(turn));
        }
        actions
    }
}

/// Tells that a pod fits nowhere.
fn failed(
    world: &World,
    kept: &mut Kept,
    pod: PodId,
    error: &str,
    now: Timestamp,
) -> Option<Action> {
    let uid = world.pod(pod).uid.clone();
    kept.tell(
        now,
        Telling {
            about: subject(world, pod),
            kind: EventKind::Warning,
            reason: "FailedScheduling",
            message: format!("Failed to schedule pod, {error}"),
            same: &[&uid],
            seconds: 300,
        },
    )
}
