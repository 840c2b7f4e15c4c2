//! What nobody owns any more goes; what is deleted in the foreground waits for what it owns.
//!
//! As `pkg/controller/garbagecollector` of Kubernetes 1.33. Whoever asked for a deletion said how by a finalizer:
//! `foregroundDeletion` keeps an owner until its blocking dependents are gone, `orphan` until they have forgotten it.
//!
//! Owners are looked for among all objects of the view, so it has to be whole before the first reconciliation: an owner that is not
//! there yet counts as gone.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::{
    Action, Change, Context, Controller, EventKind, Key, Metadata, Outcome, OwnerEdge, Reference,
    View,
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Collects garbage. A key is an object's namespace and its uid in the place of a name.
#[derive(Debug, Default)]
pub struct GarbageCollector;

/// What an owner means for what it owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// It is there.
    Solid,
    /// It is gone, or was never anything that could own this.
    Gone,
    /// It is being deleted in the foreground.
    Waiting,
    /// It lives in a namespace and what it owns in none: nobody can tell, so nothing is done.
    Unresolvable,
}

fn has(metadata: &Metadata, finalizer: &str) -> bool {
    metadata.finalizers.iter().any(|other| other == finalizer)
}

fn is_waiting(metadata: &Metadata) -> bool {
    metadata.deleting && has(metadata, FOREGROUND)
}

fn classify(view: &View, key: &Key, edge: &OwnerEdge) -> Owner {
    match view.all.get(&edge.uid) {
        None => Owner::Gone,
        Some((owner, _)) if key.namespace.is_empty() && !owner.namespace.is_empty() => {
            Owner::Unresolvable
        }
        Some((owner, _)) if !owner.namespace.is_empty() && owner.namespace != key.namespace => {
            Owner::Gone
        }
        Some((_, metadata)) if is_waiting(metadata) => Owner::Waiting,
        Some(_) => Owner::Solid,
    }
}

fn key_of(view: &View, uid: &str) -> Option<Key> {
    let (key, _) = view.all.get(uid)?;
    Some(Key::new(&key.namespace, uid))
}

fn dependents<'a>(view: &'a View, uid: &str) -> impl Iterator<Item = &'a (Key, Arc<Metadata>)> {
    view.dependents
        .get(uid)
        .into_iter()
        .flatten()
        .filter_map(|uid| view.all.get(uid))
}

fn reference(key: &Key, metadata: &Metadata) -> Reference {
    Reference::new(&metadata.group, &metadata.resource, key)
}

fn without_finalizer(key: &Key, metadata: &Metadata, finalizer: &str) -> Action {
    let rest: Vec<&String> = metadata
        .finalizers
        .iter()
        .filter(|other| *other != finalizer)
        .collect();
    let rest = if rest.is_empty() {
        Json::Null
    } else {
        json!(rest)
    };
    Action::Patch {
        of: reference(key, metadata),
        subresource: None,
        patch: json!({"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": rest}}),
    }
}

/// Leaves an object these owners.
fn with_owners(key: &Key, metadata: &Metadata, keep: impl Fn(&OwnerEdge) -> bool) -> Action {
    let owners: Vec<Json> = metadata
        .owners
        .iter()
        .filter(|owner| keep(owner))
        .map(|owner| {
            let mut json = json!({"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid});
            if owner.controller {
                json["controller"] = json!(true);
            }
            if owner.block_owner_deletion {
                json["blockOwnerDeletion"] = json!(true);
            }
            json
        })
        .collect();
    let owners = if owners.is_empty() {
        Json::Null
    } else {
        json!(owners)
    };
    Action::Patch {
        of: reference(key, metadata),
        subresource: None,
        patch: json!({"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version, "ownerReferences": owners}}),
    }
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let (before, after) = (
            change.metadata_before.as_deref(),
            change.metadata_after.as_deref(),
        );
        let mut keys = Vec::new();
        // An object that comes or changes: itself, if it is on its way out in a special way or an owner of it is not solid.
        if let Some(after) = after {
            let special = after.deleting && (has(after, FOREGROUND) || has(after, ORPHAN));
            let doubtful = before.is_none_or(|before| before.owners != after.owners)
                && after
                    .owners
                    .iter()
                    .any(|edge| classify(view, &change.key, edge) != Owner::Solid);
            if special || doubtful {
                keys.push(Key::new(&change.key.namespace, &after.uid));
            }
            if is_waiting(after) && !before.is_some_and(is_waiting) {
                let all = view.dependents.get(&after.uid).into_iter().flatten();
                keys.extend(all.filter_map(|uid| key_of(view, uid)));
            }
        }
        // One that is gone (or another in its place): what it owned. One that went, or forgot an owner: the owners that wait.
        if let Some(before) = before
            && after.is_none_or(|after| after.uid != before.uid || after.owners != before.owners)
        {
            if after.is_none_or(|after| after.uid != before.uid) {
                let all = view.dependents.get(&before.uid).into_iter().flatten();
                keys.extend(all.filter_map(|uid| key_of(view, uid)));
            }
            for owner in &before.owners {
                if let Some((key, metadata)) = view.all.get(&owner.uid)
                    && metadata.deleting
                    && (has(metadata, FOREGROUND) || has(metadata, ORPHAN))
                {
                    keys.push(Key::new(&key.namespace, &owner.uid));
                }
            }
        }
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let Some((place, metadata)) = view.all.get(&*key.name) else {
            return Outcome::settled();
        };
        if metadata.deleting {
            return Outcome::of(finalize(view, place, metadata));
        }
        if metadata.owners.is_empty() {
            return Outcome::settled();
        }
        let owners: Vec<(Owner, &OwnerEdge)> = metadata
            .owners
            .iter()
            .map(|edge| (classify(view, place, edge), edge))
            .collect();
        let any = |which: Owner| owners.iter().any(|(owner, _)| *owner == which);
        let mut actions: Vec<Action> = owners
            .iter()
            .filter(|(owner, edge)| match owner {
                Owner::Unresolvable => true,
                Owner::Gone => view.all.contains_key(&edge.uid),
                Owner::Solid | Owner::Waiting => false,
            })
            .map(|(_, edge)| misplaced(place, metadata, edge))
            .collect();
        if any(Owner::Unresolvable) {
            return Outcome::of(actions);
        }
        if any(Owner::Solid) {
            if any(Owner::Gone) || any(Owner::Waiting) {
                actions.push(with_owners(place, metadata, |edge| {
                    classify(view, place, edge) == Owner::Solid
                }));
            }
            return Outcome::of(actions);
        }
        let owns = dependents(view, &metadata.uid).next().is_some();
        let propagation = if has(metadata, ORPHAN) {
            "Orphan"
        } else if has(metadata, FOREGROUND) || (any(Owner::Waiting) && owns) {
            "Foreground"
        } else {
            "Background"
        };
        actions.push(Action::Delete {
            of: reference(place, metadata),
            uid: metadata.uid.clone(),
            grace: None,
            propagation: Some(propagation),
        });
        Outcome::of(actions)
    }
}

/// What there is to do before an object may go.
fn finalize(view: &View, place: &Key, metadata: &Metadata) -> Vec<Action> {
    if has(metadata, ORPHAN) {
        let mut actions: Vec<Action> = dependents(view, &metadata.uid)
            .map(|(key, dependent)| with_owners(key, dependent, |edge| edge.uid != metadata.uid))
            .collect();
        if actions.is_empty() {
            actions.push(without_finalizer(place, metadata, ORPHAN));
        }
        return actions;
    }
    if !has(metadata, FOREGROUND) {
        return Vec::new();
    }
    let blocked = dependents(view, &metadata.uid).any(|(_, dependent)| {
        dependent
            .owners
            .iter()
            .any(|edge| edge.uid == metadata.uid && edge.block_owner_deletion)
    });
    if blocked {
        // A dependent that waits for its own, of which this is one, would wait for ever: it lets go.
        return dependents(view, &metadata.uid)
            .filter(|(_, dependent)| {
                is_waiting(dependent)
                    && metadata
                        .owners
                        .iter()
                        .any(|edge| edge.uid == dependent.uid && edge.block_owner_deletion)
            })
            .map(|(key, dependent)| with_owners(key, dependent, |edge| edge.uid != metadata.uid))
            .collect();
    }
    vec![without_finalizer(place, metadata, FOREGROUND)]
}

fn misplaced(place: &Key, metadata: &Metadata, edge: &OwnerEdge) -> Action {
    let what = format!(
        "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace \"{}\"",
        edge.api_version, edge.kind, place.namespace, edge.name, edge.uid, place.namespace
    );
    let mut about = json!({"kind": metadata.kind, "name": &*place.name, "uid": metadata.uid});
    if !place.namespace.is_empty() {
        about["namespace"] = json!(&*place.namespace);
    }
    Action::Event {
        about,
        kind: EventKind::Warning,
        reason: "OwnerRefInvalidNamespace".to_owned(),
        message: what,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    use super::*;
    use crate::document::Named;
    use crate::testing::Cluster;

    fn owned_by(owners: &[&Json]) -> Json {
        owners
            .iter()
            .map(|owner| {
                json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"], "controller": owner["kind"] != "ConfigMap", "blockOwnerDeletion": true})
            })
            .collect()
    }

    fn object(cluster: &mut Cluster, api: &str, kind: &str, name: &str, owners: &[&Json]) -> Json {
        let spec = match kind {
            "Pod" => json!({"nodeName": "n", "containers": []}),
            _ => json!({"selector": {}, "template": {}}),
        };
        let mut json = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
        if kind != "ConfigMap" {
            json["spec"] = spec;
        }
        if !owners.is_empty() {
            json["metadata"]["ownerReferences"] = owned_by(owners);
        }
        cluster.create(json)
    }

    /// A Deployment with a ReplicaSet with three pods.
    fn cluster() -> Cluster {
        let mut cluster = Cluster::new(vec![Box::new(GarbageCollector)]);
        cluster.collects = false;
        let web = object(&mut cluster, "apps/v1", "Deployment", "web", &[]);
        let set = object(&mut cluster, "apps/v1", "ReplicaSet", "web-1", &[&web]);
        for name in ["p1", "p2", "p3"] {
            object(&mut cluster, "v1", "Pod", name, &[&set]);
        }
        cluster
    }

    #[test]
    fn in_the_background_owners_go_first() {
        let mut cluster = cluster();
        cluster.settle();
        assert_eq!(cluster.list::<Pod>("shop").len(), 3);
        cluster.delete::<Deployment>("shop", "web");
        cluster.settle();
        assert!(cluster.find::<Deployment>("shop", "web").is_none());
        assert!(cluster.find::<ReplicaSet>("shop", "web-1").is_none());
        assert!(cluster.list::<Pod>("shop").iter().all(Named::is_deleting));
        cluster.finish_terminating(|_| true);
        cluster.settle();
        assert_eq!(cluster.list::<Pod>("shop").len(), 0);
    }

    #[test]
    fn in_the_foreground_they_go_last() {
        let mut cluster = cluster();
        cluster.remove_with::<Deployment>("shop", "web", "Foreground");
        cluster.settle();
        assert!(cluster.get::<Deployment>("shop", "web").is_deleting());
        assert!(
            cluster.get::<ReplicaSet>("shop", "web-1").is_deleting(),
            "it waits for its pods, as it owns some"
        );
        cluster.finish_terminating(|pod| pod.name() != "p2");
        cluster.settle();
        assert!(cluster.find::<Deployment>("shop", "web").is_some());
        cluster.finish_terminating(|_| true);
        cluster.settle();
        assert!(cluster.find::<ReplicaSet>("shop", "web-1").is_none());
        assert!(cluster.find::<Deployment>("shop", "web").is_none());
    }

    #[test]
    fn orphans_forget_their_owner() {
        let mut cluster = cluster();
        cluster.remove_with::<Deployment>("shop", "web", "Orphan");
        cluster.settle();
        assert!(cluster.find::<Deployment>("shop", "web").is_none());
        let set = cluster.get::<ReplicaSet>("shop", "web-1");
        assert_eq!(set.metadata.owner_references, None);
        assert_eq!(cluster.list::<Pod>("shop").len(), 3);
    }

    #[test]
    fn one_owner_of_two_is_enough() {
        let mut cluster = Cluster::new(vec![Box::new(GarbageCollector)]);
        cluster.collects = false;
        let one = object(&mut cluster, "v1", "ConfigMap", "one", &[]);
        let two = object(&mut cluster, "v1", "ConfigMap", "two", &[]);
        object(&mut cluster, "v1", "ConfigMap", "child", &[&one, &two]);
        cluster.delete::<ConfigMap>("shop", "one");
        cluster.settle();
        let child = cluster.get::<ConfigMap>("shop", "child");
        let owners = child.metadata.owner_references.unwrap();
        assert_eq!(owners.len(), 1);
        assert_eq!(owners[0].name, "two");
        cluster.delete::<ConfigMap>("shop", "two");
        cluster.settle();
        assert!(cluster.find::<ConfigMap>("shop", "child").is_none());
    }

    #[test]
    fn an_owner_in_another_namespace_is_none() {
        let mut cluster = Cluster::new(vec![Box::new(GarbageCollector)]);
        cluster.collects = false;
        let far = cluster.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "far", "namespace": "other"}}));
        object(&mut cluster, "v1", "ConfigMap", "child", &[&far]);
        cluster.settle();
        assert!(cluster.find::<ConfigMap>("shop", "child").is_none());
        assert_eq!(
            cluster
                .told("ConfigMap/child", "OwnerRefInvalidNamespace")
                .len(),
            1
        );
    }
}
