//! The StatefulSet controller (`pkg/controller/statefulset`): pods with names, ordinals and claims of their own, made one after
//! another and replaced from the last to the first.
//!
//! Not here: `updateStrategy.rollingUpdate.maxUnavailable`, whose feature gate is off in 1.33; one pod is replaced at a time.

mod identity;
mod retention;
mod sync;
#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use crate::document::{controller_named, controller_of};
use crate::workloads::selector::Selector;
use crate::{Change, Context, Controller, Key, Object, Outcome, View};

/// The label of a pod with the name of its ControllerRevision.
pub(super) const REVISION: &str = "controller-revision-hash";
/// The label of a pod with its own name.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// The label of a pod with its ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The controller.
#[derive(Debug, Default)]
pub struct StatefulSets;

impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        for object in [&change.before, &change.after].into_iter().flatten() {
            match object {
                Object::StatefulSet(_) => keys.push(change.key.clone()),
                Object::Pod(pod) => keys.extend(owner_of(pod, &change.key, view)),
                Object::ControllerRevision(revision) => keys.extend(controller_named(
                    &revision.metadata,
                    &change.key.namespace,
                    "StatefulSet",
                )),
                // A claim that was in the way is gone.
                Object::PersistentVolumeClaim(_) if change.after.is_none() => keys.extend(
                    view.stateful_sets
                        .in_namespace(&change.key.namespace)
                        .filter(|(_, set)| identity::could_be_claim(set, &change.key.name))
                        .map(|(key, _)| key.clone()),
                ),
                _ => {}
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(set) = context.view.stateful_sets.get(key) else {
            return Outcome::settled();
        };
        let Some(spec) = &set.spec else {
            return Outcome::settled();
        };
        match Selector::of(&spec.selector) {
            Ok(selector) if !selector.is_everything() => {
                sync::Sync::of(set, spec, &selector, context).run()
            }
            _ => Outcome::settled(),
        }
    }
}

fn owner_of(pod: &Pod, key: &Key, view: &View) -> Vec<Key> {
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "StatefulSet" => vec![Key::new(&key.namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => view
            .stateful_sets
            .in_namespace(&key.namespace)
            .filter(|(_, set)| is_member(set, pod))
            .map(|(key, _)| key.clone())
            .collect(),
    }
}

fn is_member(set: &StatefulSet, pod: &Pod) -> bool {
    identity::ordinal(set, pod).is_some()
}
