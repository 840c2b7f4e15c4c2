//! Pods leave nodes that can't keep them: those whose `NoExecute` taints they don't tolerate (for long), and those that are gone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use serde_json::json;

use crate::document::{Named, seconds};
use crate::{
    Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, Pace, View,
};

/// How long a node may be missing before its pods are deleted, in modelled seconds (`quarantineTime` in `pkg/controller/podgc`).
const QUARANTINE_SECONDS: f64 = 40.0;

fn node_of(object: &Option<Object>) -> Option<&str> {
    match object {
        Some(Object::Pod(pod)) => pod
            .spec
            .as_ref()?
            .node_name
            .as_deref()
            .filter(|name| !name.is_empty()),
        _ => None,
    }
}

fn executing(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .filter(|taint| taint.effect == "NoExecute")
}

/// Evicts pods from tainted nodes (`pkg/controller/tainteviction`). A key is a node.
#[derive(Debug, Default)]
pub struct TaintEviction {
    /// Since when a node has had its taints, by their keys: only some taints say it themselves.
    seen: BTreeMap<Key, BTreeMap<String, Timestamp>>,
}

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match change.kind {
            Some(Kind::Node) => {
                let taints = |object: &Option<Object>| match object {
                    Some(Object::Node(node)) => executing(node).cloned().collect::<Vec<_>>(),
                    _ => Vec::new(),
                };
                let matters = taints(&change.before) != taints(&change.after);
                matters.then(|| change.key.clone()).into_iter().collect()
            }
            Some(Kind::Pod) if node_of(&change.before) != node_of(&change.after) => {
                let tainted = node_of(&change.after).map(Key::cluster).filter(|key| {
                    let node = view.nodes.get(key);
                    node.is_some_and(|node| executing(node).next().is_some())
                });
                tainted.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let node = context.view.nodes.get(key);
        let taints: Vec<&Taint> = node.into_iter().flat_map(|node| executing(node)).collect();
        if taints.is_empty() {
            self.seen.remove(key);
            return Outcome::settled();
        }
        let seen = self.seen.entry(key.clone()).or_default();
        seen.retain(|name, _| taints.iter().any(|taint| taint.key == *name));
        let taints: Vec<(&Taint, Timestamp)> = taints
            .into_iter()
            .map(|taint| {
                let first = *seen.entry(taint.key.clone()).or_insert(context.now);
                (taint, taint.time_added.as_ref().map_or(first, |at| at.0))
            })
            .collect();
        let mut outcome = Outcome::settled();
        for (_, pod) in context.view.pods_on(&key.name) {
            if pod.is_deleting() {
                continue;
            }
            match leaves_at(pod, &taints, context.now, context.pace) {
                None => {}
                Some(at) if at > context.now => outcome = outcome.again_at(at),
                Some(_) => outcome.actions.push(evict(pod, context.now)),
            }
        }
        outcome
    }
}

/// Since when a pod has been on its node.
fn bound_at(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let scheduled = conditions
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "True")
        .and_then(|condition| condition.last_transition_time.as_ref());
    let since = scheduled.or(pod.metadata.creation_timestamp.as_ref());
    since.map(|time| time.0)
}

/// When a pod has to leave a node with taints since these times; none if it may stay. What it tolerates for a while counts from
/// when both were there.
fn leaves_at(
    pod: &Pod,
    taints: &[(&Taint, Timestamp)],
    now: Timestamp,
    pace: Pace,
) -> Option<Timestamp> {
    let tolerations = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref())
        .unwrap_or_default();
    let mut earliest: Option<Timestamp> = None;
    for (taint, tainted) in taints {
        let mut tolerating = tolerations
            .iter()
            .filter(|toleration| tolerates(toleration, taint))
            .peekable();
        if tolerating.peek().is_none() {
            return Some(now);
        }
        let shortest = tolerating
            .filter_map(|toleration| toleration.toleration_seconds)
            .min();
        if let Some(seconds) = shortest {
            let since = bound_at(pod).map_or(*tainted, |bound| bound.max(*tainted));
            #[allow(clippy::cast_precision_loss, reason = "seconds")]
            let at = pace.after(since, seconds.max(0) as f64);
            earliest = Some(earliest.map_or(at, |other| other.min(at)));
        }
    }
    earliest
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let or_any = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    or_any(&toleration.effect).is_none_or(|effect| effect == taint.effect)
        && or_any(&toleration.key).is_none_or(|key| key == taint.key)
        && (toleration.operator.as_deref() == Some("Exists")
            || toleration.value.as_deref().unwrap_or_default()
                == taint.value.as_deref().unwrap_or_default())
}

fn evict(pod: &Pod, now: Timestamp) -> Action {
    let message = "Taint manager: deleting due to NoExecute taint";
    Action::InTurn(vec![
        disrupted(pod, "DeletionByTaintManager", message, now),
        pod.tell(
            EventKind::Normal,
            "TaintManagerEviction",
            format!("Marking for deletion Pod {}", pod.key()),
        ),
        pod.delete(None),
    ])
}

/// The condition that tells why a pod was taken away.
pub(crate) fn disrupted(pod: &Pod, reason: &str, message: &str, now: Timestamp) -> Action {
    let mut conditions: Vec<serde_json::Value> = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .filter(|condition| condition.type_ != "DisruptionTarget")
        .map(|condition| json!(condition))
        .collect();
    conditions.push(
        json!({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": seconds(now)}),
    );
    pod.patch_status(json!({"conditions": conditions}))
}

/// Deletes pods of nodes that are gone, and terminating ones that never got a node (`pkg/controller/podgc`). A key is a node.
#[derive(Debug, Default)]
pub struct PodCollector {
    /// Since when a node has been missing.
    missing: BTreeMap<Key, Timestamp>,
}

impl Controller for PodCollector {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match change.kind {
            Some(Kind::Node) if change.before.is_none() || change.after.is_none() => {
                vec![change.key.clone()]
            }
            // The last pod of a node that is missing ends that, too.
            Some(Kind::Pod) if node_of(&change.before) != node_of(&change.after) => {
                [&change.before, &change.after]
                    .into_iter()
                    .filter_map(node_of)
                    .map(Key::cluster)
                    .filter(|key| view.nodes.get(key).is_none())
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let mut pods = view.pods_on(&key.name).peekable();
        if view.nodes.get(key).is_some() || pods.peek().is_none() {
            self.missing.remove(key);
            return Outcome::settled();
        }
        let since = *self.missing.entry(key.clone()).or_insert(context.now);
        let at = context.pace.after(since, QUARANTINE_SECONDS);
        if at > context.now {
            return Outcome::settled().again_at(at);
        }
        let mut actions = Vec::new();
        for (_, pod) in pods {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            let mut writes = Vec::new();
            if !matches!(phase, Some("Succeeded" | "Failed")) {
                let mut failed = disrupted(
                    pod,
                    "DeletionByPodGC",
                    "PodGC: node no longer exists",
                    context.now,
                );
                if let Action::Patch { patch, .. } = &mut failed {
                    patch["status"]["phase"] = json!("Failed");
                }
                writes.push(failed);
            }
            // One that only its finalizers keep is theirs.
            if !(pod.is_deleting() && pod.metadata.deletion_grace_period_seconds == Some(0)) {
                writes.push(pod.delete(Some(0)));
            }
            if !writes.is_empty() {
                actions.push(Action::InTurn(writes));
            }
        }
        Outcome::of(actions)
    }
}
