//! Objects of client-side `kubectl apply`, which keeps what it applied in an annotation.

use serde_json::{Map, Value as Json};

use crate::managed::compare::Delta;
use crate::managed::conflict::Conflict;
use crate::managed::fields::Fields;
use crate::managed::{check, ownership};
use crate::schema::Type;

/// Where client-side apply keeps what it applied.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most that all annotations of an object may take, in bytes.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// The conflicts that stay for `kubectl apply --server-side`: it may take over the fields that are as client-side apply left
/// them.
pub fn left_over(
    schema: &Type,
    live: &Json,
    api_version: &str,
    conflicts: Vec<Conflict>,
) -> Vec<Conflict> {
    let Some(untouched) = untouched(schema, live, api_version) else {
        return conflicts;
    };
    conflicts
        .into_iter()
        .filter(|conflict| !untouched.has(conflict.path.iter().map(|element| &**element)))
        .collect()
}

/// The fields of the live object that are as client-side apply left them. None if the object was not applied so, or in
/// another version.
fn untouched(schema: &Type, live: &Json, api_version: &str) -> Option<Fields> {
    let last: Json = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion")?.as_str()? != api_version
        || !check::problems(schema, &last).is_empty()
    {
        return None;
    }
    let mut set = ownership::fields_of(schema, &last);
    let delta = Delta::between(schema, &last, live);
    set.subtract(&delta.changed);
    set.subtract(&delta.removed);
    Some(set)
}

/// Brings the annotation up to what was applied, if the object has one.
pub fn keep(object: &mut Json, applied: &Json) {
    if annotation(object).is_none() {
        return;
    }
    let text = encode(applied);
    let annotations = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Json::as_object_mut);
    let Some(annotations) = annotations else {
        return;
    };
    let others: usize = annotations
        .iter()
        .filter(|(name, _)| *name != ANNOTATION)
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    if others + ANNOTATION.len() + text.len() > MOST_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    } else {
        annotations.insert(ANNOTATION.to_owned(), text.into());
    }
}

fn annotation(object: &Json) -> Option<&str> {
    let text = object
        .get("metadata")?
        .get("annotations")?
        .get(ANNOTATION)?
        .as_str()?;
    (!text.is_empty()).then_some(text)
}

/// A configuration as kubectl writes it into the annotation: members by name, a new line at the end, and the characters that
/// matter in HTML escaped, as Go does.
fn encode(applied: &Json) -> String {
    let mut applied = applied.clone();
    if let Some(annotations) = applied
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Json::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    let mut text = String::new();
    // Writing a document as JSON cannot fail.
    for character in serde_json::to_string(&sorted(applied))
        .unwrap_or_default()
        .chars()
    {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text.push('\n');
    text
}

fn sorted(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            let mut members: Vec<(String, Json)> = members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(members.into_iter().collect::<Map<_, _>>())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
