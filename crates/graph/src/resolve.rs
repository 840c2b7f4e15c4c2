//! From a [`Value`] to plain JSON, as far as it is known.
//!
//! What is not plain JSON becomes a marker, an object with one key that no AWS property has: `{"$unknown": "…"}` for what
//! is known only after deploy, `{"$secret": {…}}` for a secret, `{"$join": […]}` for a text that has a secret in it. Markers are what plan, state and journal hold; the engine
//! puts secrets in their places for the length of a call.

use serde_json::{Value as Json, json};

use crate::value::{Parameter, Reference, SecretReference, Value};

const UNKNOWN: &str = "$unknown";
const SECRET: &str = "$secret";
const JOIN: &str = "$join";

/// Where references are looked up.
pub trait Lookup {
    /// An attribute of another resource, or none if it is not known yet.
    fn attribute(&self, reference: &Reference) -> Option<Json>;
    /// What is known of the account.
    fn parameter(&self, parameter: Parameter) -> Option<String>;
    /// Whether a secret's value is about to change.
    fn is_new_secret(&self, reference: &SecretReference) -> bool;
}

/// The value as JSON, with markers where it isn't known or is secret.
pub fn resolve(value: &Value, lookup: &impl Lookup) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => Json::Number(number.clone()),
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => items.iter().map(|item| resolve(item, lookup)).collect(),
        Value::Object(properties) => Json::Object(
            properties
                .iter()
                .map(|(key, value)| (key.clone(), resolve(value, lookup)))
                .collect(),
        ),
        Value::Attribute(reference) => lookup
            .attribute(reference)
            .unwrap_or_else(|| unknown(reference.to_string())),
        Value::Parameter(parameter) => match lookup.parameter(*parameter) {
            Some(text) => Json::String(text),
            None => unknown(parameter.to_string()),
        },
        Value::Secret(reference) if lookup.is_new_secret(reference) => {
            unknown(reference.to_string())
        }
        Value::Secret(reference) => json!({ SECRET: reference }),
        Value::Join(parts) => join(parts, lookup),
        Value::Split {
            of,
            separator,
            index,
        } => {
            let of = resolve(of, lookup);
            match of.as_str() {
                Some(text) => Json::from(
                    text.split(separator.as_str())
                        .nth(*index)
                        .unwrap_or_default(),
                ),
                None => of,
            }
        }
        Value::Json(inner) => {
            let inner = resolve(inner, lookup);
            match first_unknown(&inner) {
                Some(text) => unknown(text.to_owned()),
                None => Json::String(inner.to_string()),
            }
        }
    }
}

fn join(parts: &[Value], lookup: &impl Lookup) -> Json {
    let parts: Vec<Json> = parts.iter().map(|part| resolve(part, lookup)).collect();
    let known = parts.iter().all(|part| first_unknown(part).is_none());
    if known && parts.iter().any(|part| !secrets(part).is_empty()) {
        return json!({ JOIN: parts });
    }
    let mut text = String::new();
    let mut known = true;
    for part in parts {
        match (&part, first_unknown(&part)) {
            (_, Some(name)) => {
                known = false;
                text.push_str(name);
            }
            (Json::String(part), None) => text.push_str(part),
            (other, None) => text.push_str(&other.to_string()),
        }
    }
    if known {
        Json::String(text)
    } else {
        unknown(text)
    }
}

fn unknown(text: String) -> Json {
    json!({ UNKNOWN: text })
}

/// What the first marker of something unknown in a document stands for.
pub fn first_unknown(document: &Json) -> Option<&str> {
    match document {
        Json::Object(object) => match object.get(UNKNOWN) {
            Some(Json::String(text)) if object.len() == 1 => Some(text),
            _ => object.values().find_map(first_unknown),
        },
        Json::Array(items) => items.iter().find_map(first_unknown),
        _ => None,
    }
}

/// The secret that a document stands for, if it is the marker of one.
pub fn as_secret(document: &Json) -> Option<SecretReference> {
    match document {
        Json::Object(object) if object.len() == 1 => object
            .get(SECRET)
            .and_then(|reference| serde_json::from_value(reference.clone()).ok()),
        _ => None,
    }
}

/// All secrets that a document refers to.
pub fn secrets(document: &Json) -> Vec<SecretReference> {
    match (as_secret(document), document) {
        (Some(secret), _) => vec![secret],
        (None, Json::Object(object)) => object.values().flat_map(secrets).collect(),
        (None, Json::Array(items)) => items.iter().flat_map(secrets).collect(),
        _ => Vec::new(),
    }
}

/// Whether a document stands for a secret, or for a text that has one in it.
pub fn is_secret(document: &Json) -> bool {
    match document {
        Json::Object(object) if object.len() == 1 => {
            as_secret(document).is_some() || object.get(JOIN).is_some_and(Json::is_array)
        }
        _ => false,
    }
}

/// The text of a join, once its secrets are in their places; none when it is no join.
pub fn join_secrets(document: &Json) -> Option<String> {
    let parts = document
        .as_object()
        .filter(|object| object.len() == 1)?
        .get(JOIN)?
        .as_array()?;
    Some(
        parts
            .iter()
            .map(|part| match part {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect(),
    )
}
