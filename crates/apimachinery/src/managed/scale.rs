//! Ownership of the number of replicas, seen from the scale subresource.

use serde_json::Value as Json;

use crate::managed::entries::{Entries, Entry};
use crate::managed::fields::Fields;

const SCALE_VERSION: &str = "autoscaling/v1";

/// The managedFields of a `Scale`: of the managers of its parent, those who own the number of replicas. `replicas` is the
/// number's path in the parent (`spec.replicas`).
#[must_use]
pub fn to_scale(parent: Option<&Json>, replicas: &str) -> Option<Json> {
    let entries = Entries::read_stored(parent?.clone()).ok()?;
    let path: Vec<String> = elements(replicas);
    let owners = entries
        .0
        .into_iter()
        .filter(|entry| entry.fields.has(path.iter().map(|element| &**element)))
        .map(|mut entry| {
            entry.rewrite(SCALE_VERSION, Fields::of_names(["spec", "replicas"]));
            entry
        })
        .collect();
    Entries(owners).write()
}

/// The managedFields of a parent after its `Scale` was written: who owns the number there owns it here, and nobody else does.
/// `api_version` is the parent's.
#[must_use]
pub fn to_parent(
    parent: Option<&Json>,
    scale: Option<&Json>,
    api_version: &str,
    replicas: &str,
) -> Option<Json> {
    let read = |json: Option<&Json>| {
        json.and_then(|json| Entries::read_stored(json.clone()).ok())
            .unwrap_or_default()
    };
    let (mut parent, mut scale) = (read(parent), read(scale));
    let path = elements(replicas);
    let number = Fields::of_names(replicas.split('.'));
    for entry in &mut parent.0 {
        if !entry.fields.has(path.iter().map(|element| &**element)) {
            continue;
        }
        let is_same = |other: &Entry| {
            other.identity.manager == entry.identity.manager
                && other.identity.operation == entry.identity.operation
                && other.identity.subresource == entry.identity.subresource
        };
        match scale.0.iter().position(is_same) {
            Some(place) => drop(scale.0.remove(place)),
            None => entry.lose(&number),
        }
    }
    for mut entry in scale.0 {
        if entry.fields.has(["f:spec", "f:replicas"]) {
            entry.rewrite(api_version, number.clone());
            match parent.position(&entry.identity) {
                Some(place) => parent.0[place].own(number.clone()),
                None => parent.0.push(entry),
            }
        }
    }
    parent.write()
}

fn elements(path: &str) -> Vec<String> {
    path.split('.').map(|name| format!("f:{name}")).collect()
}
