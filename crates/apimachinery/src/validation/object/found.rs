//! What was found, and the questions that many rules ask.

use serde_json::Value as Json;

use crate::status::Cause;
use crate::validation::cause;

/// Causes so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) causes: Vec<Cause>,
}

impl Found {
    pub(super) fn invalid(&mut self, path: impl Into<String>, value: &Json, why: impl AsRef<str>) {
        self.causes.push(cause::invalid(path, value, why));
    }

    /// Of a value that Kubernetes shows in Go's form rather than as JSON.
    pub(super) fn invalid_as(&mut self, path: &str, shown: &str, why: &str) {
        self.causes.push(Cause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {shown}: {why}"),
            field: path.to_owned(),
        });
    }

    pub(super) fn required(&mut self, path: impl Into<String>, why: &str) {
        self.causes.push(cause::required(path, why));
    }

    pub(super) fn forbidden(&mut self, path: impl Into<String>, why: &str) {
        self.causes.push(cause::forbidden(path, why));
    }

    pub(super) fn duplicate(&mut self, path: impl Into<String>, value: &Json) {
        self.causes.push(cause::duplicate(path, value));
    }

    pub(super) fn not_found(&mut self, path: impl Into<String>, value: &Json) {
        self.causes.push(cause::not_found(path, value));
    }

    pub(super) fn too_long(&mut self, path: impl Into<String>, most: u64) {
        self.causes.push(cause::too_long(path, most));
    }

    pub(super) fn unsupported(
        &mut self,
        path: impl Into<String>,
        value: &Json,
        supported: &[&str],
    ) {
        self.causes.push(cause::unsupported(path, value, supported));
    }

    /// A text must be there. Whether it is.
    pub(super) fn has_text(&mut self, path: impl Into<String>, value: &Json) -> bool {
        let there = !text(value).is_empty();
        if !there {
            self.required(path, "");
        }
        there
    }

    /// A text that is there must be one of some.
    pub(super) fn one_of(&mut self, path: impl Into<String>, value: &Json, supported: &[&str]) {
        if !text(value).is_empty() && !supported.contains(&text(value)) {
            self.unsupported(path, value, supported);
        }
    }

    /// A text that is there must be a name.
    pub(super) fn named(
        &mut self,
        path: impl Into<String>,
        value: &Json,
        rule: impl Fn(&str) -> Option<String>,
    ) {
        if let Some(why) = Some(text(value)).filter(|it| !it.is_empty()).and_then(rule) {
            self.invalid(path, value, why);
        }
    }

    /// A number that is there must not be negative.
    pub(super) fn not_negative(&mut self, path: impl Into<String>, value: &Json) {
        self.at_least(path, value, 0);
    }

    pub(super) fn at_least(&mut self, path: impl Into<String>, value: &Json, least: i64) {
        if value.as_i64().is_some_and(|number| number < least) {
            let why = format!("must be greater than or equal to {least}");
            self.invalid(path, value, why);
        }
    }

    /// The number of a port.
    pub(super) fn port(&mut self, path: impl Into<String>, value: &Json) {
        if !value
            .as_i64()
            .is_some_and(|port| (1..=65535).contains(&port))
        {
            let value = if value.is_null() { &0.into() } else { value };
            self.invalid(path, value, "must be between 1 and 65535, inclusive");
        }
    }

    /// A field may not change.
    pub(super) fn fixed(&mut self, path: &str, new: &Json, old: &Json) {
        if !same(new, old) {
            self.invalid(path, new, "field is immutable");
        }
    }
}

/// A text, or none.
pub(super) fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The entries of a map.
pub(super) fn entries(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// Whether two values are the same to Go, which does not tell empty maps, lists and texts from none.
pub(super) fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Object(a), Json::Object(b)) => a
            .keys()
            .chain(b.keys())
            .all(|key| same(&one[key], &other[key])),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => one == other || is_empty(one) && is_empty(other),
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

/// Puts a value where a path leads, if there is an object to hold it. A number is the index of an element.
pub(super) fn replace(within: &mut Json, path: &[&str], value: &Json) {
    match (path, within) {
        ([last], Json::Object(map)) => {
            map.insert((*last).to_owned(), value.clone());
        }
        ([first, rest @ ..], Json::Object(map)) => {
            if let Some(inner) = map.get_mut(*first) {
                replace(inner, rest, value);
            }
        }
        ([first, rest @ ..], Json::Array(list)) => {
            if let Some(inner) = first.parse::<usize>().ok().and_then(|at| list.get_mut(at)) {
                replace(inner, rest, value);
            }
        }
        _ => {}
    }
}

/// `map[string]string{"app":"web"}`: how Go shows labels.
pub(super) fn go_labels(labels: &Json) -> String {
    if !labels.is_object() {
        return "map[string]string(nil)".to_owned();
    }
    let entries: Vec<String> = entries(labels)
        .map(|(key, value)| format!("{key:?}:{value}"))
        .collect();
    format!("map[string]string{{{}}}", entries.join(", "))
}
