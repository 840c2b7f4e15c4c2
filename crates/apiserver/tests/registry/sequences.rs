//! Any sequence of writes by two clients, against a simple model of what must come of it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seaworthy_apiserver::Revision;
use seaworthy_apiserver::registry::DeleteOptions;
use seaworthy_apiserver::store::ChangeKind;
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, config_map, deployment};

#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    /// A client reads an object and keeps what it read.
    Read(usize, usize),
    /// A client writes what it read last, with a change.
    Write(usize, usize, u8),
    Merge(usize, u8),
    Status(usize, u8),
    Apply(usize, usize, u8),
    Hold(usize, bool),
    Delete(usize),
    Restart,
}

const NAMES: [&str; 4] = [
    "configmaps/a",
    "configmaps/b",
    "deployments.apps/a",
    "deployments.apps/b",
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let object = 0..NAMES.len();
    let step = prop_oneof![
        3 => object.clone().prop_map(Step::Create),
        3 => (0..2_usize, object.clone()).prop_map(|(client, object)| Step::Read(client, object)),
        4 => (0..2_usize, object.clone(), 0..4_u8).prop_map(|(client, object, value)| Step::Write(client, object, value)),
        3 => (object.clone(), 0..4_u8).prop_map(|(object, value)| Step::Merge(object, value)),
        2 => (object.clone(), 0..4_u8).prop_map(|(object, value)| Step::Status(object, value)),
        3 => (0..2_usize, object.clone(), 0..4_u8).prop_map(|(client, object, value)| Step::Apply(client, object, value)),
        2 => (object.clone(), any::<bool>()).prop_map(|(object, hold)| Step::Hold(object, hold)),
        2 => object.prop_map(Step::Delete),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..50)
}

fn body(path: &str, value: u8) -> Json {
    let name = path.split_once('/').unwrap().1;
    if path.starts_with("configmaps") {
        let mut object = config_map(name);
        object["data"]["key"] = value.to_string().into();
        object
    } else {
        let mut object = deployment(name);
        object["spec"]["replicas"] = value.into();
        object
    }
}

fn change(path: &str, object: &mut Json, value: u8) {
    if path.starts_with("configmaps") {
        object["data"]["key"] = value.to_string().into();
    } else {
        object["spec"]["replicas"] = value.into();
    }
}

fn version(object: &Json) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// What holds of an object whatever was done to it.
fn check(before: Option<&Json>, after: Option<&Json>) {
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    let (old, new) = (&before["metadata"], &after["metadata"]);
    if old["uid"] != new["uid"] {
        return;
    }
    assert_eq!(old["creationTimestamp"], new["creationTimestamp"]);
    assert!(version(before) <= version(after));
    // The same version is the same object, and another version another one.
    assert_eq!(version(before) == version(after), before == after);
    if old["deletionTimestamp"].is_string() {
        assert_eq!(old["deletionTimestamp"], new["deletionTimestamp"]);
    }
    if let (Some(old), Some(new)) = (old["generation"].as_i64(), new["generation"].as_i64()) {
        let begins = before["metadata"]["deletionTimestamp"].is_null()
            && after["metadata"]["deletionTimestamp"].is_string();
        let expected = i64::from(before["spec"] != after["spec"]) + i64::from(begins);
        assert_eq!(new - old, expected, "{before} {after}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(steps in steps()) {
        let mut cluster = Cluster::new();
        let mut read: BTreeMap<(usize, usize), Json> = BTreeMap::new();
        let mut follower: BTreeMap<String, Json> = BTreeMap::new();
        let mut followed = cluster.registry.store().revision();
        for step in steps {
            let before: Vec<Option<Json>> = NAMES.iter().map(|path| cluster.get(path)).collect();
            match step {
                Step::Create(object) => {
                    let made = cluster.try_create(body(NAMES[object], 1));
                    prop_assert_eq!(made.is_ok(), before[object].is_none());
                }
                Step::Read(client, object) => {
                    read.remove(&(client, object));
                    if let Some(now) = &before[object] {
                        read.insert((client, object), now.clone());
                    }
                }
                Step::Write(client, object, value) => {
                    let Some(mut sent) = read.get(&(client, object)).cloned() else {
                        continue;
                    };
                    let current = before[object].as_ref().is_some_and(|now| {
                        now["metadata"]["uid"] == sent["metadata"]["uid"] && version(now) == version(&sent)
                    });
                    change(NAMES[object], &mut sent, value);
                    match cluster.update(NAMES[object], sent) {
                        Ok(_) => prop_assert!(current),
                        Err(error) => {
                            prop_assert!(!current, "{}", error);
                            prop_assert_eq!(error.code, if before[object].is_some() { 409 } else { 404 });
                        }
                    }
                }
                Step::Merge(object, value) => {
                    let mut patch = json!({ "data": {}, "spec": {} });
                    change(NAMES[object], &mut patch, value);
                    if NAMES[object].starts_with("configmaps") {
                        patch.as_object_mut().unwrap().remove("spec");
                    } else {
                        patch.as_object_mut().unwrap().remove("data");
                    }
                    let patch = seaworthy_apiserver::registry::Patch::Merge(patch);
                    let patched = cluster.patch(NAMES[object], &patch);
                    prop_assert_eq!(patched.is_ok(), before[object].is_some());
                }
                Step::Status(object, value) => {
                    if before[object].is_some() && NAMES[object].starts_with("deployments") {
                        let told = cluster.merge_status(NAMES[object], json!({ "replicas": value }));
                        prop_assert_eq!(&told["spec"], &before[object].as_ref().unwrap()["spec"]);
                    }
                }
                Step::Apply(client, object, value) => {
                    let manager = ["one", "two"][client];
                    let applied = cluster.apply(NAMES[object], manager, body(NAMES[object], value), true).unwrap();
                    prop_assert_eq!(applied.created, before[object].is_none());
                    // Applied again, it changes nothing.
                    let again = cluster.apply(NAMES[object], manager, body(NAMES[object], value), false).unwrap();
                    prop_assert_eq!(again.json(), applied.json());
                }
                Step::Hold(object, hold) => {
                    let Some(now) = &before[object] else {
                        continue;
                    };
                    let deleting = now["metadata"]["deletionTimestamp"].is_string();
                    let finalizers = if hold && !deleting { json!(["example.com/hold"]) } else { Json::Null };
                    cluster.merge(NAMES[object], json!({ "metadata": { "finalizers": finalizers } }));
                    prop_assert_eq!(cluster.get(NAMES[object]).is_none(), deleting);
                }
                Step::Delete(object) => {
                    let deleted = cluster.delete(NAMES[object], &DeleteOptions::default());
                    match &before[object] {
                        None => prop_assert_eq!(deleted.unwrap_err().code, 404),
                        Some(now) => {
                            let held = now["metadata"].get("finalizers").is_some();
                            prop_assert_eq!(deleted.unwrap().gone, !held);
                            prop_assert_eq!(cluster.get(NAMES[object]).is_some(), held);
                        }
                    }
                }
                Step::Restart => {
                    cluster.restart();
                    for (path, before) in NAMES.iter().zip(&before) {
                        prop_assert_eq!(&cluster.get(path), before);
                    }
                }
            }
            for (path, before) in NAMES.iter().zip(&before) {
                check(before.as_ref(), cluster.get(path).as_ref());
            }
            followed = follow(&cluster, followed, &mut follower);
            for path in NAMES {
                prop_assert_eq!(follower.get(path).cloned(), cluster.get(path));
            }
        }
    }
}

/// A watcher: what it knows from changes alone.
fn follow(cluster: &Cluster, after: Revision, known: &mut BTreeMap<String, Json>) -> Revision {
    let store = cluster.registry.store();
    let path = |stored: &seaworthy_apiserver::store::Stored| {
        format!("{}/{}", stored.key.resource, stored.key.name)
    };
    match store.changes(after, |_| true) {
        Ok(changes) => {
            for change in changes.items {
                if change.kind == ChangeKind::Deleted {
                    known.remove(&path(&change.object));
                } else {
                    let added = known
                        .insert(path(&change.object), change.object.json())
                        .is_none();
                    let in_default = &*change.object.key.namespace == "default";
                    if in_default && NAMES.contains(&path(&change.object).as_str()) {
                        assert_eq!(added, change.kind == ChangeKind::Added);
                    }
                }
            }
            changes.revision
        }
        Err(_) => {
            let listing = store.everything();
            *known = listing
                .items
                .iter()
                .map(|stored| (path(stored), stored.json()))
                .collect();
            listing.revision
        }
    }
}
