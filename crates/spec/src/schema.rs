//! The spec's JSON Schema (draft 2020-12): what editors show, and what validation's first step checks.
//!
//! It is generated from [`crate::model`], self-contained (no `$ref`), and titles every key with its path.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::model::Spec;

/// Without `null`, which a merged spec doesn't hold: what validation checks against.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Spec>()
        .to_value();
    title(&mut schema, "");
    without_null(&mut schema);
    schema
});

/// The schema of `platform.yaml`. A key that has a default may be `null`, which is the default.
pub fn json_schema() -> Value {
    let mut schema = STRICT.clone();
    with_null(&mut schema, false);
    schema
}

/// The schema of `environments/<env>.yaml`: nothing is required, and `null` takes a key back to its default.
pub fn overlay_schema() -> Value {
    let mut schema = STRICT.clone();
    with_null(&mut schema, true);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("Seaworthy environment"));
        object.insert(
            "description".to_owned(),
            json!(
                "What one environment has otherwise than `platform.yaml`: maps are merged, lists and values replaced, `null` takes a key back to its default."
            ),
        );
    }
    schema
}

/// The schema that a merged spec has to meet.
pub(crate) fn strict() -> &'static Value {
    &STRICT
}

/// The part of the strict schema for the value at a path of keys and indices.
pub(crate) fn at<S: AsRef<str>>(path: &[S]) -> Option<&'static Value> {
    path.iter().try_fold(&*STRICT, |schema, segment| {
        let property = schema
            .get("properties")
            .and_then(|properties| properties.get(segment.as_ref()));
        property.or_else(|| schema.get("items")).or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|it| it.is_object())
        })
    })
}

fn properties(schema: &mut Value) -> Option<&mut Map<String, Value>> {
    schema.get_mut("properties")?.as_object_mut()
}

fn title(schema: &mut Value, path: &str) {
    for (key, property) in properties(schema).into_iter().flatten() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        title(property, &path);
        // The model can annotate a list alone; the pattern is its items'.
        let message = property
            .as_object_mut()
            .filter(|it| it.contains_key("items"))
            .and_then(|it| it.remove("patternErrorMessage"));
        if let Some(items) = property.get_mut("items") {
            title(items, &format!("{path}[]"));
            if let (Some(items), Some(message)) = (items.as_object_mut(), message) {
                items.insert("patternErrorMessage".to_owned(), message);
            }
        }
        if let Some(value) = property
            .get_mut("additionalProperties")
            .filter(|value| value.is_object())
        {
            title(value, &format!("{path}.<name>"));
        }
        if let Some(property) = property.as_object_mut() {
            property.insert("title".to_owned(), Value::String(path));
        }
    }
}

/// The schemas of a map's values.
fn values(schema: &mut Map<String, Value>) -> Vec<(Option<String>, &mut Value)> {
    let mut values = Vec::new();
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                values.extend(
                    properties
                        .iter_mut()
                        .map(|(key, value)| (Some(key.clone()), value)),
                );
            }
            ("additionalProperties", value @ Value::Object(_)) => values.push((None, value)),
            _ => {}
        }
    }
    values
}

fn without_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(items) = schema.get_mut("items") {
        without_null(items);
    }
    for (_, value) in schema.as_object_mut().map(values).unwrap_or_default() {
        without_null(value);
    }
}

/// Lets keys be null: those that aren't required, or all of them, which then are required no more. What lies in lists
/// stays as it is, since lists are replaced whole.
fn with_null(schema: &mut Value, all: bool) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    let required = match schema.get("required") {
        Some(Value::Array(required)) if !all => required.clone(),
        _ => Vec::new(),
    };
    if all {
        schema.remove("required");
        schema.remove("default");
    }
    for (key, value) in values(schema) {
        with_null(value, all);
        if key.is_some_and(|key| required.contains(&Value::String(key))) {
            continue;
        }
        let Some(value) = value.as_object_mut() else {
            continue;
        };
        if let Some(kind) = value.get_mut("type") {
            *kind = json!([kind.take(), "null"]);
        }
        if let Some(Value::Array(options)) = value.get_mut("enum") {
            options.push(Value::Null);
        }
        if let Some(Value::Array(options)) = value.get_mut("oneOf") {
            options.push(json!({ "type": "null" }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every schema of a key, with the key's path.
    fn keys<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            found.push((path.clone(), property));
            keys(property, &path, found);
            keys(&property["items"], &path, found);
            keys(&property["additionalProperties"], &path, found);
        }
    }

    #[test]
    fn every_key_is_described_and_titled() {
        let schema = json_schema();
        let mut found = Vec::new();
        keys(&schema, "", &mut found);
        assert!(found.len() > 80, "{} keys", found.len());
        for (path, property) in found {
            assert!(
                property["description"].is_string() && property["title"].is_string(),
                "{path}"
            );
        }
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert_eq!(
            schema["properties"]["redis"]["properties"]["replicas"]["default"],
            1
        );
        assert_eq!(
            schema["properties"]["redis"]["type"],
            json!(["object", "null"])
        );
        assert_eq!(
            schema["properties"]["network"]["type"], "object",
            "it has no default"
        );
        assert!(
            !schema.to_string().contains("\"$ref\""),
            "editors and validation take it as it is"
        );
    }

    #[test]
    fn an_overlay_requires_nothing_and_takes_null() {
        let validator = jsonschema::validator_for(&overlay_schema()).unwrap();
        for good in [
            json!({}),
            json!({"network": {"cidr": "10.1.0.0/16"}}),
            json!({"redis": null, "network": {"natGateways": null, "existing": {"vpcId": null}}, "lifecycle": {"a/b": null}}),
        ] {
            let errors: Vec<_> = validator
                .iter_errors(&good)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{good}: {errors:?}");
        }
        for wrong in [
            json!({"redsi": null}),
            json!({"network": {"cidr": 1}}),
            json!({"secrets": [{}]}),
            json!({"aws": {"tags": {"a": 1}}}),
        ] {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }
}
