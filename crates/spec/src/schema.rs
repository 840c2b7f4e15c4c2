//! The spec's JSON Schema (draft 2020-12): what editors show, and what validation's first step checks.
//!
//! It is generated from [`crate::model`], self-contained (no `$ref`), and titles every key with its path.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::model::Spec;

static PLATFORM: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Spec>().to_value();
    title(&mut schema, "");
    schema
});

/// The schema of `platform.yaml`.
pub fn json_schema() -> Value {
    PLATFORM.clone()
}

/// The schema of `environments/<env>.yaml`: nothing is required, and `null` takes a key back to its default.
pub fn overlay_schema() -> Value {
    let mut schema = json_schema();
    loosen(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("Seaworthy environment"));
        object.insert(
            "description".to_owned(),
            json!("What one environment has otherwise than `platform.yaml`: maps are merged, lists and values replaced, `null` takes a key back to its default."),
        );
    }
    schema
}

/// The schema without a copy of it.
pub(crate) fn platform_schema() -> &'static Value {
    &PLATFORM
}

fn properties(schema: &mut Value) -> Option<&mut Map<String, Value>> {
    schema.get_mut("properties")?.as_object_mut()
}

fn title(schema: &mut Value, path: &str) {
    for (key, property) in properties(schema).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        title(property, &path);
        for item in [property.get_mut("items")].into_iter().flatten() {
            title(item, &format!("{path}[]"));
        }
        if let Some(property) = property.as_object_mut() {
            property.insert("title".to_owned(), Value::String(path));
        }
    }
}

/// Requires nothing of maps that are merged; what lies in lists stays as it is, since lists are replaced whole.
fn loosen(schema: &mut Value) {
    if let Some(schema) = schema.as_object_mut() {
        if schema.contains_key("properties") {
            schema.remove("required");
        }
        if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
            options.iter_mut().for_each(loosen);
        }
        schema.remove("default");
    }
    let mut children: Vec<&mut Value> = Vec::new();
    let Some(object) = schema.as_object_mut() else { return };
    for (keyword, value) in object {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => children.extend(properties.values_mut()),
            ("additionalProperties", value @ Value::Object(_)) => children.push(value),
            _ => {}
        }
    }
    for child in children {
        loosen(child);
        let mut annotations = Map::new();
        if let Some(child) = child.as_object_mut() {
            for keyword in ["title", "description"] {
                if let Some(value) = child.remove(keyword) {
                    annotations.insert(keyword.to_owned(), value);
                }
            }
        }
        annotations.insert("anyOf".to_owned(), json!([child.take(), { "type": "null" }]));
        *child = Value::Object(annotations);
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
            for option in property["anyOf"].as_array().into_iter().flatten() {
                keys(option, &path, found);
            }
        }
    }

    #[test]
    fn every_key_is_described_and_titled() {
        let schema = json_schema();
        let mut found = Vec::new();
        keys(&schema, "", &mut found);
        assert!(found.len() > 80, "{} keys", found.len());
        for (path, property) in found {
            assert!(property["description"].is_string() && (property["title"].is_string() || path.contains("existing")), "{path}");
        }
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["properties"]["redis"]["properties"]["replicas"]["default"], 1);
        assert!(!schema.to_string().contains("\"$ref\""), "editors and validation take it as it is");
    }

    #[test]
    fn an_overlay_requires_nothing_and_takes_null() {
        let validator = jsonschema::validator_for(&overlay_schema()).unwrap();
        for good in [json!({}), json!({"network": {"cidr": "10.1.0.0/16"}}), json!({"redis": null, "network": {"natGateways": null, "existing": {"vpcId": null}}, "lifecycle": {"a/b": null}})] {
            let errors: Vec<_> = validator.iter_errors(&good).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{good}: {errors:?}");
        }
        for wrong in [json!({"redsi": null}), json!({"network": {"cidr": 1}}), json!({"secrets": [{}]}), json!({"aws": {"tags": {"a": 1}}})] {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }
}
