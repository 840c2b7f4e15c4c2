//! Nodes that go: they are tainted, their pods evicted in waves, their volumes waited for, their machines ended
//! (`pkg/controllers/node/termination`).

use std::collections::BTreeMap;

use autoscale::karpenter::disruption::Guards;
use autoscale::karpenter::disruption::drain::{self, MIN_DRAIN, Waiting};
use autoscale::version::KarpenterVersion;
use autoscale::world::{Builder, PodId, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use objects::karpenter::{NodeClaim, condition};
use objects::snapshot::Object as Given;
use serde_json::{Value as Json, json};

use super::claims::{self, PARTS};
use super::conditions::Conditions;
use super::memory::{Memory, Telling, pause};
use super::node_class::status_as_seen;
use super::{DISRUPTED, FINALIZER, NAME};
use crate::cloud::InstanceState;
use crate::document::Named;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, View};

const TERMINATES_AT: &str = "karpenter.sh/nodeclaim-termination-timestamp";
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// How long a drain that asks for nothing is left to itself, in seconds.
const PATIENCE: f64 = 10.0;

/// Finalises nodes. A key is a node's name.
pub(super) struct Termination {
    memory: Memory,
    /// When a pod's eviction was last asked for, by uid.
    evicted: BTreeMap<String, Timestamp>,
}

impl Termination {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            evicted: BTreeMap::new(),
        }
    }
}

/// Its taints with Karpenter's.
pub(super) fn disrupted(node: &Node) -> Option<Json> {
    let there: &[Taint] = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let is = |taint: &Taint| taint.key == DISRUPTED && taint.effect == "NoSchedule";
    if there.iter().any(is) {
        return None;
    }
    let mut all: Vec<Json> = there
        .iter()
        .filter(|taint| taint.key != DISRUPTED)
        .map(|taint| json!(taint))
        .collect();
    all.push(json!({"key": DISRUPTED, "effect": "NoSchedule"}));
    Some(json!(all))
}

impl Controller for Termination {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let going = || {
            view.nodes
                .iter()
                .filter(|(_, node)| node.is_deleting() && node.has_finalizer(FINALIZER))
                .map(|(key, _)| key.clone())
        };
        if self.memory.note(change) {
            return going().collect();
        }
        match change.kind {
            Some(Kind::Node) => vec![change.key.clone()],
            Some(Kind::Cloud | Kind::PodDisruptionBudget) => going().collect(),
            Some(Kind::NodeClaim) => {
                let ((Some(Object::NodeClaim(claim)), _) | (None, Some(Object::NodeClaim(claim)))) =
                    (&change.after, &change.before)
                else {
                    return Vec::new();
                };
                let name = claim
                    .status
                    .as_ref()
                    .and_then(|status| status.node_name.as_deref());
                name.map(Key::cluster).into_iter().collect()
            }
            Some(Kind::Pod) => {
                let ((_, Some(Object::Pod(pod))) | (Some(Object::Pod(pod)), None)) =
                    (&change.before, &change.after)
                else {
                    return Vec::new();
                };
                let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
                name.map(Key::cluster)
                    .filter(|key| view.nodes.get(key).is_some_and(|node| node.is_deleting()))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let Some(node) = view.nodes.get(key) else {
            return Outcome::settled();
        };
        if !node.is_deleting()
            || !node.has_finalizer(FINALIZER)
            || self.memory.settings(view).is_none()
        {
            return Outcome::settled();
        }
        let claim = claims::of_node(view, node);
        if let Some(claim) = claim
            && !claim.is_deleting()
        {
            return Outcome::of(vec![claim.delete(None)]);
        }
        // Karpenter also waits until the node isn't ready; no kubelet outlives its machine here.
        if is_gone(view, node) {
            return Outcome::of(vec![node.without_finalizer(FINALIZER)]);
        }
        let tainted = disrupted(node);
        if tainted.is_some() || node.label(EXCLUDE) != Some(NAME) {
            let mut patch = json!({"metadata": {"labels": {(EXCLUDE): NAME}}});
            if let Some(taints) = tainted {
                patch["spec"] = json!({"taints": taints});
            }
            return Outcome::of(vec![node.patch_as_seen(patch)]);
        }
        self.go_on(node, claim, context)
    }
}

/// Whether a node's machine is not there any more.
fn is_gone(view: &View, node: &Node) -> bool {
    let id = node
        .spec
        .as_ref()
        .and_then(|spec| claims::instance_of(spec.provider_id.as_deref()?));
    id.and_then(|id| view.cloud.instances.get(id))
        .is_none_or(|instance| instance.state == InstanceState::Terminated)
}

/// Everything that a look at a node says.
struct Look<'a> {
    node: &'a Node,
    claim: Option<&'a NodeClaim>,
    context: Context<'a>,
    conditions: Option<Conditions>,
    /// When all that is left ends by force.
    deadline: Option<Timestamp>,
    actions: Vec<Action>,
}

impl Look<'_> {
    fn set(&mut self, change: impl FnOnce(&mut Conditions)) {
        if let Some(conditions) = &mut self.conditions {
            change(conditions);
        }
    }

    /// The actions, the claim's status among them.
    fn finish(mut self) -> Outcome {
        if let (Some(claim), Some(conditions)) = (self.claim, self.conditions) {
            let made = conditions.finish();
            if made != claims::conditions(claim) {
                self.actions
                    .push(status_as_seen(claim, json!({"conditions": made})));
            }
        }
        Outcome::of(self.actions)
    }
}

impl Termination {
    fn go_on(&mut self, node: &Node, claim: Option<&NodeClaim>, context: Context<'_>) -> Outcome {
        let now = context.now;
        let soon = now + pause(context.pace, 1.0);
        let ends = claim.and_then(|claim| claim.annotation(TERMINATES_AT));
        let mut look = Look {
            node,
            claim,
            context,
            conditions: claim.map(|claim| {
                Conditions::of(
                    claims::conditions(claim),
                    PARTS,
                    claim.metadata.generation,
                    now,
                )
            }),
            deadline: ends.and_then(|text| text.parse().ok()),
            actions: Vec::new(),
        };
        if let Some(ends) = ends {
            let event = self.memory.lock().tell(
                now,
                Telling {
                    about: node.subject(),
                    kind: EventKind::Warning,
                    reason: "TerminationGracePeriodExpiring",
                    message: format!("All pods will be deleted by {ends}"),
                    same: &[node.name()],
                    seconds: 120,
                },
            );
            look.actions.extend(event);
        }
        look.set(|conditions| {
            if conditions.get("Drained").is_none() {
                conditions.unknown("Drained", "Draining", "Draining");
            }
        });
        if let Some(again) = self.drain(&mut look) {
            return look.finish().again_at(again);
        }
        // Pods that come at the last moment are seen.
        let since = claim
            .and_then(|claim| condition(claims::conditions(claim), "Drained"))
            .map(|drained| {
                let at = drained.last_transition_time.as_ref().map(|time| time.0);
                (drained.status.clone(), at)
            });
        match since {
            None if claim.is_some() => return look.finish().again_at(soon),
            Some((status, Some(at))) if status == "Unknown" => {
                let least = context.pace.after(at, MIN_DRAIN.as_secs_f64());
                if least > now {
                    return look.finish().again_at(least);
                }
            }
            _ => {}
        }
        look.set(|conditions| conditions.yes("Drained"));
        if !self.volumes_detached(&mut look) {
            return look.finish().again_at(soon);
        }
        let Some(claim) = claim else {
            let node = node.without_finalizer(FINALIZER);
            let mut outcome = look.finish();
            outcome.actions.push(node);
            return outcome;
        };
        look.set(|conditions| conditions.yes("InstanceTerminating"));
        let ending = claims::instance(context.view, claim)
            .and_then(|instance| self.memory.lock().end(instance, context));
        let Some((action, again)) = ending else {
            return look.finish();
        };
        look.actions.extend(action);
        look.finish().again_at(again)
    }

    /// Evicts what may be evicted now. When to look again, or nothing when nothing is left to wait for.
    fn drain(&mut self, look: &mut Look<'_>) -> Option<Timestamp> {
        let context = look.context;
        let (view, now) = (context.view, context.now);
        let there: Vec<&Pod> = view
            .pods_on(look.node.name())
            .map(|(_, pod)| &**pod)
            .collect();
        if there.is_empty() {
            return None;
        }
        let world = world_of(view, look.node, look.claim, &there);
        let id = world.find_node(look.node.name())?;
        let guards = Guards::new(&world);
        let mut allowed: Vec<i32> = world
            .disruption_budgets
            .iter()
            .map(|budget| budget.disruptions_allowed)
            .collect();
        let step = drain::step(&world, &guards, id, now, look.deadline, &mut allowed);
        if step.is_drained() {
            return None;
        }
        let reason = look
            .claim
            .and_then(|claim| condition(claims::conditions(claim), "DisruptionReason"))
            .filter(|condition| condition.status == "True")
            .and_then(|condition| condition.reason.clone())
            .unwrap_or_else(|| "Forceful Termination".to_owned());
        let patience = pause(context.pace, 1.0);
        if self.evicted.len() > 20_000 {
            self.evicted
                .retain(|_, at| now.duration_since(*at) < patience);
        }
        let object = |pod: PodId| {
            let uid = &*world.pod(pod).uid;
            there.iter().copied().find(|pod| pod.uid() == uid)
        };
        for pod in step.evict.iter().filter_map(|pod| object(*pod)) {
            if self.asked(pod.uid(), now, patience) {
                continue;
            }
            look.actions.push(Action::InTurn(vec![
                Action::Evict {
                    pod: pod.key(),
                    uid: pod.uid().to_owned(),
                },
                pod.tell(
                    EventKind::Normal,
                    "Evicted",
                    format!("Evicted pod: {reason}"),
                ),
            ]));
        }
        for (pod, left) in &step.delete {
            let Some(pod) = object(*pod) else { continue };
            if self.asked(pod.uid(), now, patience) {
                continue;
            }
            let own = world.pods.iter().find(|entry| &*entry.uid == pod.uid());
            let ends = look.deadline.map(|at| at.to_string()).unwrap_or_default();
            let message = format!(
                "Deleting the pod to accommodate the terminationTime {ends} of the node. The pod was granted {left} seconds of grace-period of its {} terminationGracePeriodSeconds. This bypasses the PDB of the pod and the do-not-disrupt annotation.",
                own.map_or(30, |entry| entry.grace_seconds),
            );
            look.actions.push(Action::InTurn(vec![
                pod.delete(Some(i64::from(*left))),
                pod.tell(EventKind::Normal, "Disrupted", message),
            ]));
        }
        let waiting = step.evict.len() + step.delete.len() + step.waiting.len();
        let mut told = vec![format!("{waiting} pods are waiting to be evicted")];
        let held = step.waiting.iter().find_map(|(pod, waits)| match waits {
            Waiting::Budget(_) => Some((*pod, "evicting pod violates a PDB")),
            Waiting::Budgets => Some((*pod, "eviction does not support multiple PDBs")),
            _ => None,
        });
        if let Some((pod, why)) = held {
            told.insert(0, format!("{why} (Pod={})", world.pod_name(pod)));
        }
        let event = self.memory.lock().tell(
            now,
            Telling {
                about: look.node.subject(),
                kind: EventKind::Warning,
                reason: "FailedDraining",
                message: format!("Failed to drain node, {}", told[0]),
                same: &[look.node.name()],
                seconds: 120,
            },
        );
        look.actions.extend(event);
        if !step.evict.is_empty() || !step.delete.is_empty() {
            return Some(now + patience);
        }
        // Pods tell of their ends and of what protects them, budgets of what they allow; the deadline comes by itself.
        let world = &world;
        let forced = look.deadline.into_iter().flat_map(|deadline| {
            let waiting = step.waiting.iter();
            waiting.map(move |(pod, _)| drain::forced_at(world, *pod, deadline))
        });
        let forced = forced.filter(|at| *at > now).min();
        let again = now + pause(context.pace, PATIENCE);
        Some(forced.map_or(again, |at| again.min(at + patience)))
    }

    /// Whether something was asked of a pod just now; notes that it is asked otherwise.
    fn asked(&mut self, uid: &str, now: Timestamp, patience: SignedDuration) -> bool {
        let last = self.evicted.get(uid);
        if last.is_some_and(|at| now.duration_since(*at) < patience) {
            return true;
        }
        self.evicted.insert(uid.to_owned(), now);
        false
    }

    /// Whether no volume is attached any more but those of pods that stay (`awaitVolumeDetachment`).
    fn volumes_detached(&mut self, look: &mut Look<'_>) -> bool {
        let context = look.context;
        let (view, now) = (context.view, context.now);
        let name = look.node.name();
        let mut attached: Vec<(&str, &str)> = view
            .volume_attachments
            .iter()
            .filter(|(_, attachment)| attachment.spec.node_name == name)
            .filter_map(|(key, attachment)| {
                let volume = attachment.spec.source.persistent_volume_name.as_deref()?;
                Some((&*key.name, volume))
            })
            .collect();
        if !attached.is_empty() {
            let kept: Vec<&str> = view
                .pods_on(name)
                .flat_map(|(key, pod)| claims_of(pod).map(move |claim| (key, claim)))
                .filter_map(|(key, claim)| {
                    let key = Key::new(&key.namespace, claim);
                    let claim = view.persistent_volume_claims.get(&key)?;
                    claim.spec.as_ref()?.volume_name.as_deref()
                })
                .collect();
            attached.retain(|(_, volume)| !kept.contains(volume));
        }
        if attached.is_empty() {
            look.set(|conditions| conditions.yes("VolumesDetached"));
            return true;
        }
        if look.deadline.is_some_and(|at| now > at) {
            const WHY: &str = "TerminationGracePeriodElapsed";
            look.set(|conditions| conditions.no("VolumesDetached", WHY, WHY));
            return true;
        }
        const WHY: &str = "AwaitingVolumeDetachment";
        look.set(|conditions| conditions.unknown("VolumesDetached", WHY, WHY));
        let more = attached.len().saturating_sub(5);
        let mut names: Vec<&str> = attached.iter().map(|(name, _)| *name).collect();
        names.truncate(5);
        let mut list = names.join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} other(s)"));
        }
        let event = self.memory.lock().tell(
            now,
            Telling {
                about: look.node.subject(),
                kind: EventKind::Normal,
                reason: WHY,
                message: format!("Awaiting deletion of bound volumeattachments ({list})"),
                same: &[name],
                seconds: 120,
            },
        );
        look.actions.extend(event);
        false
    }
}

fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let claim = volume.persistent_volume_claim.as_ref()?;
        Some(claim.claim_name.as_str())
    })
}

/// A world of one node.
fn world_of(view: &View, node: &Node, claim: Option<&NodeClaim>, pods: &[&Pod]) -> World {
    let mut builder = Builder::new(KarpenterVersion::NEWEST);
    for (_, budget) in view.pod_disruption_budgets.iter() {
        builder.add_disruption_budget(budget);
    }
    builder.add(Given::Node(Box::new(node.clone())));
    if let Some(claim) = claim {
        builder.add(Given::NodeClaim(Box::new(claim.clone())));
    }
    for (_, class) in view.priority_classes.iter() {
        builder.add(Given::PriorityClass(Box::new((**class).clone())));
    }
    for pod in pods {
        builder.add_pod(pod);
    }
    builder.finish(&mut |_, _| None).0
}
