//! Namespaces that are being deleted are emptied, pods first, and then let go.
//!
//! As `pkg/controller/namespace` of Kubernetes 1.33 does it, with the order of deletion that is on by default there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value as Json, json};

use crate::document::Named;
use crate::{Action, Change, Context, Controller, Key, Kind, Metadata, Outcome, Reference, View};

/// What keeps a namespace until this controller has emptied it.
const FINALIZER: &str = "kubernetes";

/// Empties namespaces. A key is a namespace.
#[derive(Debug, Default)]
pub struct Namespaces;

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        if change.kind == Some(Kind::Namespace) {
            return vec![change.key.clone()];
        }
        let namespace = Key::cluster(&change.key.namespace);
        if change.key.namespace.is_empty()
            || !view
                .namespaces
                .get(&namespace)
                .is_some_and(|namespace| namespace.is_deleting())
        {
            return Vec::new();
        }
        // Something new has to go, too; something gone matters when it was the last of its sort.
        let matters = match &change.metadata_after {
            Some(_) => change.metadata_before.is_none(),
            None => {
                let emptied = view.in_namespace(&namespace.name).next().is_none();
                let last_pod = change.kind == Some(Kind::Pod)
                    && view.pods.in_namespace(&namespace.name).next().is_none();
                emptied || last_pod
            }
        };
        matters.then_some(namespace).into_iter().collect()
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(namespace) = context.view.namespaces.get(key) else {
            return Outcome::settled();
        };
        if !namespace.is_deleting() {
            return Outcome::settled();
        }
        let there: Vec<&(Key, std::sync::Arc<Metadata>)> =
            context.view.in_namespace(&key.name).collect();
        let is_pod = |metadata: &Metadata| metadata.group.is_empty() && metadata.resource == "pods";
        let pods_left = there.iter().any(|(_, metadata)| is_pod(metadata));
        let mut actions: Vec<Action> = there
            .iter()
            .filter(|(_, metadata)| !metadata.deleting && (!pods_left || is_pod(metadata)))
            .map(|(key, metadata)| Action::Delete {
                of: Reference::new(&metadata.group, &metadata.resource, key),
                uid: metadata.uid.clone(),
                grace: None,
                propagation: Some("Background"),
            })
            .collect();
        actions.extend(conditions(namespace, &there, context.now));
        if there.is_empty() {
            let mut finalizers = namespace
                .spec
                .as_ref()
                .and_then(|spec| spec.finalizers.clone())
                .unwrap_or_default();
            finalizers.retain(|finalizer| finalizer != FINALIZER);
            actions.push(Action::Patch {
                of: namespace.reference(),
                subresource: Some("finalize"),
                patch: json!({"metadata": {"uid": namespace.uid()}, "spec": {"finalizers": finalizers}}),
            });
        }
        Outcome::of(actions)
    }
}

/// `2 resource instances` by what they are.
fn counted(
    things: impl Iterator<Item = String>,
    one: impl Fn(&str, usize) -> String,
) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(thing, count)| one(&thing, count))
        .collect()
}

/// The conditions of a namespace that is being emptied, if they are not what they were.
fn conditions(
    namespace: &Namespace,
    there: &[&(Key, std::sync::Arc<Metadata>)],
    now: jiff::Timestamp,
) -> Option<Action> {
    let remaining = counted(
        there.iter().map(|(_, metadata)| {
            if metadata.group.is_empty() {
                format!("{}.", metadata.resource)
            } else {
                format!("{}.{}", metadata.resource, metadata.group)
            }
        }),
        |thing, count| format!("{thing} has {count} resource instances"),
    );
    let held = counted(
        there
            .iter()
            .flat_map(|(_, metadata)| metadata.finalizers.iter().cloned()),
        |finalizer, count| format!("{finalizer} in {count} resource instances"),
    );
    let content = if remaining.is_empty() {
        (
            "False",
            "ContentRemoved",
            "All content successfully removed".to_owned(),
        )
    } else {
        let what = remaining.join(", ");
        (
            "True",
            "SomeResourcesRemain",
            format!("Some resources are remaining: {what}"),
        )
    };
    let finalizers = if held.is_empty() {
        (
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let what = held.join(", ");
        (
            "True",
            "SomeFinalizersRemain",
            format!("Some content in the namespace has finalizers remaining: {what}"),
        )
    };
    let wanted = [
        (
            "NamespaceDeletionDiscoveryFailure",
            (
                "False",
                "ResourcesDiscovered",
                "All resources successfully discovered".to_owned(),
            ),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            (
                "False",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed".to_owned(),
            ),
        ),
        (
            "NamespaceDeletionContentFailure",
            (
                "False",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization".to_owned(),
            ),
        ),
        ("NamespaceContentRemaining", content),
        ("NamespaceFinalizersRemaining", finalizers),
    ];
    let known = namespace
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let mut changed = false;
    let written: Vec<Json> = wanted
        .into_iter()
        .map(|(type_, (status, reason, message))| {
            let old = known.iter().find(|condition| condition.type_ == type_);
            let same = old.is_some_and(|old| {
                old.status == status
                    && old.reason.as_deref() == Some(reason)
                    && old.message.as_deref() == Some(&message)
            });
            changed |= !same;
            let since = old
                .filter(|old| old.status == status)
                .and_then(|old| old.last_transition_time.as_ref())
                .map_or(now, |time| time.0);
            json!({"type": type_, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": crate::document::seconds(since)})
        })
        .collect();
    changed.then(|| namespace.patch_status(json!({"phase": "Terminating", "conditions": written})))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    use super::*;
    use crate::testing::Cluster;

    fn cluster() -> Cluster {
        let mut cluster = Cluster::new(vec![Box::new(Namespaces)]);
        cluster.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "finalizers": ["test/held"]},
            "spec": {"finalizers": ["kubernetes"]}}));
        for name in ["a", "b"] {
            cluster.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"nodeName": "n", "containers": []}}));
        }
        for (name, namespace) in [("c", "shop"), ("d", "other")] {
            cluster.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}));
        }
        cluster
    }

    #[test]
    fn pods_go_first_then_the_rest_then_the_namespace() {
        let mut cluster = cluster();
        cluster.settle();
        assert!(
            cluster.find::<ConfigMap>("shop", "c").is_some(),
            "an active namespace is left alone"
        );
        cluster.delete::<Namespace>("", "shop");
        cluster.settle();
        let namespace = cluster.get::<Namespace>("", "shop");
        let remaining = |namespace: &Namespace| -> String {
            let conditions = namespace
                .status
                .as_ref()
                .unwrap()
                .conditions
                .clone()
                .unwrap();
            conditions
                .into_iter()
                .find(|condition| condition.type_ == "NamespaceContentRemaining")
                .and_then(|condition| condition.message)
                .unwrap()
        };
        assert!(remaining(&namespace).contains("pods. has 2 resource instances"));
        assert!(cluster.get::<Pod>("shop", "a").is_deleting());
        assert!(cluster.find::<ConfigMap>("shop", "c").is_some());
        cluster.finish_terminating(|_| true);
        cluster.settle();
        assert!(cluster.find::<ConfigMap>("shop", "c").is_none());
        assert!(cluster.find::<ConfigMap>("other", "d").is_some());
        let namespace = cluster.get::<Namespace>("", "shop");
        assert_eq!(remaining(&namespace), "All content successfully removed");
        assert_eq!(namespace.spec.unwrap().finalizers, Some(Vec::new()));
        let before = cluster.reconciled;
        cluster.settle();
        assert_eq!(cluster.reconciled, before, "nothing more to say");
    }
}
