//! The JSON Patch that brings a resource from what it is to what is wanted.
//!
//! Cloud Control applies a patch to its own read of the resource and gives the whole result to the update handler
//! ("Updating a resource", Cloud Control user guide). Hence:
//!
//! - it is computed against the live model, not against what was last applied;
//! - write-only properties, which no read returns, are added again by every patch, or the handler takes them for removed;
//!   those that are create-only besides are not: naming them is refused even if they are unchanged; nor are those that make
//!   a new value each time that they are sent, unless they were changed;
//! - read-only and create-only paths are never in it: a change of the latter is a replacement, which the plan decides;
//! - arrays are replaced whole, since their order is not stable, and keep the live tags of AWS itself (`aws:*`);
//! - what was applied before and is wanted no more is removed; what somebody else added to an object stays.

use std::collections::{BTreeMap, BTreeSet};

use catalog::compare::differences;
use catalog::{PropertyPath, RESERVED_PREFIX, ResourceSchema, TagShape};
use serde_json::{Value, json};

/// Write-only properties that are orders and not states: the handler of `AWS::SecretsManager::Secret` makes a new value
/// whenever it finds `GenerateSecretString` and had none before, and it always had none, since no read returns it. Sent
/// again with a change of a tag, it would change a password under those who use it. ("When you make a change to this
/// property, a new secret version is created", CloudFormation template reference, AWS::SecretsManager::Secret.)
const GENERATORS: [(&str, &str); 1] = [("AWS::SecretsManager::Secret", "GenerateSecretString")];

/// The patch, as the array of operations that RFC 6902 defines. Empty when there is nothing to change.
///
/// `live` is the model as it was read, `desired` what is wanted with secrets in it, `previous` what was last applied, with
/// references in the places of secrets (so that a secret always counts as changed: nobody can know).
pub fn patch(
    schema: &ResourceSchema,
    live: &Value,
    desired: &Value,
    previous: &Value,
) -> Vec<Value> {
    let desired = without_nulls(desired);
    let wanted = wanted(schema, live, &desired);

    let mut set: BTreeSet<PropertyPath> = differences(schema, &desired, live)
        .into_iter()
        .filter(|difference| !is_forbidden(schema, &difference.path))
        .filter_map(|difference| settable(schema, live, &desired, &wanted, &difference.path))
        .collect();
    let mut removed = BTreeSet::new();
    removals(
        schema,
        live,
        &desired,
        previous,
        &PropertyPath::root(),
        &mut removed,
    );
    // Tags that were taken from the desired document leave AWS's own behind.
    if let Some(path) = &schema.tagging().property
        && removed.contains(path)
        && path.get(&wanted).is_some()
    {
        removed.remove(path);
        set.insert(path.clone());
    }

    let mut write_only = write_only(schema, &desired);
    let mut sent_before = self::write_only(schema, previous);
    for (type_name, generator) in GENERATORS {
        let path = PropertyPath::from_segments([generator]);
        let before = sent_before.remove(&path);
        let changed = before.is_some() && before != write_only.get(&path).copied();
        if *schema.type_name() == type_name && !changed {
            write_only.remove(&path);
        }
    }
    if set.is_empty() && removed.is_empty() && write_only == sent_before {
        return Vec::new();
    }
    set.extend(
        write_only
            .keys()
            .filter_map(|path| settable(schema, live, &desired, &wanted, path)),
    );
    // What is set whole need not be set in part.
    let outermost: Vec<&PropertyPath> = set
        .iter()
        .filter(|path| {
            !set.iter()
                .any(|other| other != *path && other.matches_prefix_of(path))
        })
        .collect();
    let removals = removed
        .iter()
        .rev()
        .map(|path| json!({"op": "remove", "path": path.to_json_pointer()}));
    let additions = outermost.into_iter().filter_map(|path| {
        let value = path.get(&wanted)?;
        let op = if path.get(live).is_some() {
            "replace"
        } else {
            "add"
        };
        Some(json!({"op": op, "path": path.to_json_pointer(), "value": value}))
    });
    removals.chain(additions).collect()
}

/// A document without null members: Cloud Control's handlers take a null for a value, and some fail on it.
pub(crate) fn without_nulls(document: &Value) -> Value {
    match document {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Whether a patch must not name the path: it is, or lies in, a read-only or create-only property.
fn is_forbidden(schema: &ResourceSchema, path: &PropertyPath) -> bool {
    schema.is_read_only(path)
        || schema
            .create_only()
            .iter()
            .any(|create_only| create_only.matches_prefix_of(path))
}

/// What is wanted, without what a patch must not name, and with AWS's own tags.
fn wanted(schema: &ResourceSchema, live: &Value, desired: &Value) -> Value {
    let mut wanted = desired.clone();
    for path in schema.read_only().iter().chain(schema.create_only()) {
        // Inside arrays it stays: an array is replaced whole, and its elements are what they are.
        if !path.is_pattern() {
            path.remove_from(&mut wanted);
        }
    }
    let tagging = schema.tagging();
    let Some(path) = tagging
        .property
        .as_ref()
        .filter(|_| tagging.shape == TagShape::List)
    else {
        return wanted;
    };
    let reserved = path
        .get(live)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|tag| {
            tag["Key"]
                .as_str()
                .is_some_and(|key| key.starts_with(RESERVED_PREFIX))
        });
    let mut tags: Vec<Value> = path
        .get(&wanted)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    tags.extend(reserved.cloned());
    if !tags.is_empty() {
        path.insert_into(&mut wanted, Value::Array(tags));
    }
    wanted
}

/// The path at which a patch can set what differs at `path`: above the outermost array, at or above the first thing that
/// the live model has not. None when nothing of it may be set.
fn settable(
    schema: &ResourceSchema,
    live: &Value,
    desired: &Value,
    wanted: &Value,
    path: &PropertyPath,
) -> Option<PropertyPath> {
    if let Some(tags) = &schema.tagging().property
        && tags.matches_prefix_of(path)
        && schema.tagging().shape != TagShape::Map
    {
        return tags.get(wanted).is_some().then(|| tags.clone());
    }
    let mut at = PropertyPath::root();
    for segment in path.segments() {
        at = at.join(segment);
        let objects = at.get(live).is_some_and(Value::is_object)
            && at.get(wanted).is_some_and(Value::is_object);
        if !objects {
            break;
        }
    }
    let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    match at.get(wanted) {
        // Nothing is left of it once what may not be set is gone.
        Some(value) if empty(value) && !at.get(desired).is_some_and(empty) => None,
        Some(_) => Some(at),
        None => None,
    }
}

/// Collects what `previous` has, `desired` has not and the live model still has.
fn removals(
    schema: &ResourceSchema,
    live: &Value,
    desired: &Value,
    previous: &Value,
    at: &PropertyPath,
    removed: &mut BTreeSet<PropertyPath>,
) {
    let (Value::Object(live), Value::Object(desired), Value::Object(previous)) =
        (live, desired, previous)
    else {
        return;
    };
    for (name, before) in previous {
        let path = at.join(name);
        let Some(present) = live.get(name) else {
            continue;
        };
        if is_forbidden(schema, &path) || before.is_null() {
            continue;
        }
        match desired.get(name) {
            Some(wanted) => removals(schema, present, wanted, before, &path, removed),
            // Something in it can't be taken away: take away what can.
            None if schema
                .read_only()
                .iter()
                .chain(schema.create_only())
                .any(|inner| path.matches_prefix_of(inner)) =>
            {
                let nothing = Value::Object(serde_json::Map::new());
                removals(schema, present, &nothing, before, &path, removed);
            }
            None if schema
                .tagging()
                .property
                .as_ref()
                .is_some_and(|tags| tags.matches_prefix_of(&path))
                && name.starts_with(RESERVED_PREFIX) => {}
            None => {
                removed.insert(path);
            }
        }
    }
}

/// The write-only properties of a document that an update has to send again.
fn write_only<'a>(
    schema: &ResourceSchema,
    document: &'a Value,
) -> BTreeMap<PropertyPath, &'a Value> {
    schema
        .write_only()
        .iter()
        .flat_map(|path| path.select(document))
        .filter(|(path, value)| !value.is_null() && !is_forbidden(schema, path))
        .collect()
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
