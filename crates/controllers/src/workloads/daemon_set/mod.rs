//! The DaemonSet controller (`pkg/controller/daemon`): one pod on every node that may have it. Which node is said by an affinity of
//! the pod; the scheduler binds it.

mod nodes;
mod rolling;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::document::{controller_named, controller_of};
use crate::workloads::selector::Selector;
use crate::{Change, Context, Controller, Key, Object, Outcome, View};

/// The label of pods and revisions with the hash of the template.
const REVISION: &str = "controller-revision-hash";
/// How many pods a reconciliation makes or deletes (`BurstReplicas`, daemon/daemon_controller.go:59).
const BURST: usize = 250;

/// The controller.
#[derive(Debug, Default)]
pub struct DaemonSets {
    /// By set, what was seen on each node.
    seen: BTreeMap<Key, BTreeMap<String, Seen>>,
}

/// What was seen of a set on a node: forgotten, a pod's name may come again, and a failing pod is replaced sooner.
#[derive(Debug, Default)]
struct Seen {
    /// The uid of the last pod.
    last: String,
    /// How many pods in a row failed there.
    failures: u32,
}

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        if matches!(
            (&change.before, &change.after),
            (Some(Object::Node(_)), _) | (_, Some(Object::Node(_)))
        ) {
            let node = |object: &Option<Object>| match object {
                Some(Object::Node(node)) => Some(node.clone()),
                _ => None,
            };
            let (before, after) = (node(&change.before), node(&change.after));
            let places = |set: &DaemonSet, node: Option<&Node>| {
                node.map(|node| nodes::Daemon::of(set).is_some_and(|daemon| daemon.place(node).0))
            };
            let stays = |set: &DaemonSet, node: Option<&Node>| {
                node.map(|node| nodes::Daemon::of(set).is_some_and(|daemon| daemon.place(node).1))
            };
            keys.extend(
                view.daemon_sets
                    .iter()
                    .filter(|(_, set)| {
                        places(set, before.as_deref()) != places(set, after.as_deref())
                            || stays(set, before.as_deref()) != stays(set, after.as_deref())
                    })
                    .map(|(key, _)| key.clone()),
            );
            return keys;
        }
        for object in [&change.before, &change.after].into_iter().flatten() {
            match object {
                Object::DaemonSet(_) => keys.push(change.key.clone()),
                Object::Pod(pod) => keys.extend(owner_of(pod, &change.key, view)),
                Object::ControllerRevision(revision) => keys.extend(controller_named(
                    &revision.metadata,
                    &change.key.namespace,
                    "DaemonSet",
                )),
                _ => {}
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(set) = context.view.daemon_sets.get(key) else {
            self.seen.remove(key);
            return Outcome::settled();
        };
        let Some(spec) = &set.spec else {
            return Outcome::settled();
        };
        match Selector::of(&spec.selector) {
            Ok(selector) if !selector.is_everything() => {
                let seen = self.seen.entry(key.clone()).or_default();
                sync::Sync::of(set, spec, &selector, context, seen).run()
            }
            _ => Outcome::settled(),
        }
    }
}

fn owner_of(pod: &Pod, key: &Key, view: &View) -> Vec<Key> {
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "DaemonSet" => vec![Key::new(&key.namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => view
            .daemon_sets
            .in_namespace(&key.namespace)
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
