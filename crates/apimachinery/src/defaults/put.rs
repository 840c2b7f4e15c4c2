//! Putting values into objects. What is no object is left alone: its type is told elsewhere.

use serde_json::{Map, Value as Json};

/// Of a field that Go has as a pointer: if it is not there.
pub(super) fn set(object: &mut Json, name: &str, value: impl Into<Json>) {
    if let Json::Object(map) = object
        && map.get(name).is_none_or(Json::is_null)
    {
        map.insert(name.to_owned(), value.into());
    }
}

/// Whatever was there before.
pub(super) fn put(object: &mut Json, name: &str, value: impl Into<Json>) {
    if let Json::Object(map) = object {
        map.insert(name.to_owned(), value.into());
    }
}

/// Of a text that Go does not tell from an empty one.
pub(super) fn set_text(object: &mut Json, name: &str, value: &str) {
    if let Json::Object(map) = object
        && map.get(name).is_none_or(|now| now.is_null() || now == "")
    {
        map.insert(name.to_owned(), value.into());
    }
}

/// Of a number that Go does not tell from zero.
pub(super) fn set_number(object: &mut Json, name: &str, value: i64) {
    if let Json::Object(map) = object
        && map.get(name).is_none_or(|now| now.is_null() || now == 0)
    {
        map.insert(name.to_owned(), value.into());
    }
}

/// A field that is an object.
pub(super) fn child<'a>(object: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    object.get_mut(name).filter(|child| child.is_object())
}

/// A field that is an object, which is made if it is not there. A value that is no object stays, and the answer is a value
/// that nobody sees.
pub(super) fn child_or_new<'a>(object: &'a mut Json, name: &str) -> &'a mut Json {
    set(object, name, Map::new());
    match object {
        Json::Object(map) => map.entry(name).or_insert_with(|| Map::new().into()),
        other => other,
    }
}

/// The elements of a list.
pub(super) fn items<'a>(
    object: &'a mut Json,
    name: &str,
) -> impl Iterator<Item = &'a mut Json> + use<'a> {
    object
        .get_mut(name)
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
}

/// Adds what a map does not have yet.
pub(super) fn add_missing(object: &mut Json, name: &str, from: &Json) {
    let Json::Object(from) = from else { return };
    if from.is_empty() {
        return;
    }
    let to = child_or_new(object, name);
    for (key, value) in from {
        set(to, key, value.clone());
    }
}

/// Whether there is a map with something in it.
pub(super) fn has_entries(value: &Json) -> bool {
    value.as_object().is_some_and(|map| !map.is_empty())
}
