//! Reading and writing property documents by path (`ResourcesVpcConfig/SubnetIds`).

use serde_json::{Map, Value};

/// The value at a path, if it is there and not null.
pub(super) fn at<'a>(model: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/')
        .try_fold(model, |value, segment| value.get(segment))
        .filter(|value| !value.is_null())
}

/// The text at a path.
pub(super) fn text<'a>(model: &'a Value, path: &str) -> Option<&'a str> {
    at(model, path).and_then(Value::as_str)
}

/// The text at a path, or nothing's text.
pub(super) fn text_or<'a>(model: &'a Value, path: &str, otherwise: &'a str) -> &'a str {
    text(model, path).unwrap_or(otherwise)
}

/// The texts of the list at a path; empty where there is none.
pub(super) fn texts<'a>(model: &'a Value, path: &str) -> Vec<&'a str> {
    items(model, path)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// The elements of the list at a path; empty where there is none.
pub(super) fn items<'a>(model: &'a Value, path: &str) -> &'a [Value] {
    at(model, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The boolean at a path; false where there is none.
pub(super) fn flag(model: &Value, path: &str) -> bool {
    at(model, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The whole number at a path.
pub(super) fn number(model: &Value, path: &str) -> Option<i64> {
    at(model, path).and_then(|value| {
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|float| float as i64))
    })
}

/// Whether something is at a path.
pub(super) fn has(model: &Value, path: &str) -> bool {
    at(model, path).is_some()
}

/// Sets what is at a path; objects on the way are made.
pub(super) fn put(model: &mut Value, path: &str, value: impl Into<Value>) {
    let mut place = model;
    for segment in path.split('/') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[segment];
    }
    *place = value.into();
}

/// Sets what is at a path unless something is there.
pub(super) fn put_default(model: &mut Value, path: &str, value: impl Into<Value>) {
    if !has(model, path) {
        put(model, path, value);
    }
}

/// Takes away what is at a path of one segment.
pub(super) fn take(model: &mut Value, name: &str) -> Option<Value> {
    model.as_object_mut().and_then(|object| object.remove(name))
}

/// Whether two models hold the same at a path.
pub(super) fn same(before: &Value, after: &Value, path: &str) -> bool {
    at(before, path) == at(after, path)
}

/// Carries read-only and private properties of a resource over into what an update proposes.
pub(super) fn carry(before: &Value, after: &mut Value, paths: &[&str]) {
    for path in paths {
        if let Some(value) = at(before, path) {
            put_default(after, path, value.clone());
        }
    }
}
