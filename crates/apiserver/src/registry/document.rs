//! Looking into objects, and changing them.

use apimachinery::Status;
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

/// The text at a JSON pointer; empty if there is none.
pub(super) fn text<'a>(object: &'a Json, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Json::as_str)
        .unwrap_or_default()
}

pub(super) fn number(object: &Json, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Json::as_i64)
}

pub(super) fn truth(object: &Json, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Json::as_bool) == Some(true)
}

/// The elements of a list; none if it isn't there.
pub(super) fn list<'a>(object: &'a Json, pointer: &str) -> &'a [Json] {
    object
        .pointer(pointer)
        .and_then(Json::as_array)
        .map_or(&[], Vec::as_slice)
}

/// An object's field that is an object itself, which is made if it isn't there.
pub(super) fn part<'a>(object: &'a mut Json, name: &str) -> &'a mut Map<String, Json> {
    let all = map(object);
    map(all.entry(name).or_insert_with(|| Json::Object(Map::new())))
}

/// A value as an object, which it becomes if it isn't one.
pub(super) fn map(value: &mut Json) -> &mut Map<String, Json> {
    if !value.is_object() {
        *value = Json::Object(Map::new());
    }
    match value {
        Json::Object(map) => map,
        _ => unreachable!("it was made an object"),
    }
}

pub(super) fn metadata(object: &mut Json) -> &mut Map<String, Json> {
    part(object, "metadata")
}

/// Sets a field to what another object has there, or takes it away if that hasn't got it.
pub(super) fn take_over(from: &Json, to: &mut Map<String, Json>, name: &str) {
    match from.get(name) {
        Some(value) => to.insert(name.to_owned(), value.clone()),
        None => to.remove(name),
    };
}

pub(super) fn finalizers(object: &Json) -> Vec<&str> {
    list(object, "/metadata/finalizers")
        .iter()
        .filter_map(Json::as_str)
        .collect()
}

pub(super) fn set_finalizers(object: &mut Json, finalizers: &[impl AsRef<str>]) {
    let metadata = metadata(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        let finalizers = finalizers.iter().map(|one| one.as_ref().into()).collect();
        metadata.insert("finalizers".to_owned(), Json::Array(finalizers));
    }
}

pub(super) fn is_deleting(object: &Json) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// A time as objects have it: RFC 3339 in whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

/// The condition of a type.
pub(super) fn condition<'a>(object: &'a Json, kind: &str) -> Option<&'a Json> {
    list(object, "/status/conditions")
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Sets a condition; its time changes only with its status.
pub(super) fn set_condition(
    object: &mut Json,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let since = condition(object, kind)
        .filter(|before| before["status"] == status)
        .map_or_else(
            || seconds(now),
            |before| text(before, "/lastTransitionTime").to_owned(),
        );
    let mut condition = serde_json::json!({
        "type": kind, "status": status, "lastTransitionTime": since,
    });
    for (name, value) in [("reason", reason), ("message", message)] {
        if !value.is_empty() {
            condition[name] = value.into();
        }
    }
    let conditions = part(object, "status")
        .entry("conditions")
        .or_insert_with(|| Json::Array(Vec::new()));
    if let Some(conditions) = conditions.as_array_mut() {
        match conditions.iter_mut().find(|one| one["type"] == kind) {
            Some(one) => *one = condition,
            None => conditions.push(condition),
        }
    }
}

/// The name that an object goes by in errors.
pub(super) fn object_name(object: &Json) -> &str {
    let name = text(object, "/metadata/name");
    if name.is_empty() {
        text(object, "/metadata/generateName")
    } else {
        name
    }
}

/// What clients send has to be an object.
pub(super) fn expect_object(body: &Json) -> Result<(), Status> {
    if body.is_object() {
        Ok(())
    } else {
        Err(Status::bad_request(
            "couldn't get version/kind; json parse error: the body is not an object",
        ))
    }
}
