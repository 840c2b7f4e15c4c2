//! Types for tests: published ones, and those of custom resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::definitions;
use crate::schema::{Field, ListKind, Node, PatchStrategy, Shape, Type};

/// Reads a schema with the `x-kubernetes-*` extensions of the published definitions.
pub fn node_of(schema: &Json, refer: &dyn Fn(&str) -> Type) -> Node {
    let text = |name: &str| schema.get(name).and_then(Json::as_str);
    let is = |name: &str| schema.get(name) == Some(&json!(true));
    let type_of = |schema: &Json| match schema.get("$ref").and_then(Json::as_str) {
        Some(name) => refer(name),
        None => Type::new(node_of(schema, refer)),
    };
    let atomic = text("x-kubernetes-map-type") == Some("atomic");
    let shape = match text("type") {
        _ if is("x-kubernetes-int-or-string") => Shape::IntOrString,
        Some("object") => match schema.get("additionalProperties") {
            Some(values) => Shape::Map {
                values: type_of(values),
                atomic,
            },
            None => {
                let fields: BTreeMap<Arc<str>, Field> = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, schema)| {
                        let strategy = schema
                            .get("x-kubernetes-patch-strategy")
                            .and_then(Json::as_str)
                            .unwrap_or_default();
                        let patch = PatchStrategy {
                            merge: strategy.contains("merge"),
                            retain_keys: strategy.contains("retainKeys"),
                            merge_key: schema
                                .get("x-kubernetes-patch-merge-key")
                                .and_then(Json::as_str)
                                .map(Arc::from),
                        };
                        (
                            Arc::from(&**name),
                            Field {
                                value: type_of(schema),
                                patch,
                            },
                        )
                    })
                    .collect();
                Shape::Struct {
                    fields,
                    required: schema["required"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|name| name.as_str().map(Arc::from))
                        .collect(),
                    open: is("x-kubernetes-preserve-unknown-fields"),
                    atomic,
                    embedded: is("x-kubernetes-embedded-resource"),
                }
            }
        },
        Some("array") => Shape::List {
            items: type_of(&schema["items"]),
            kind: match text("x-kubernetes-list-type") {
                Some("set") => ListKind::Set,
                Some("map") => ListKind::Map(
                    schema["x-kubernetes-list-map-keys"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|key| key.as_str().map(Arc::from))
                        .collect(),
                ),
                _ => ListKind::Atomic,
            },
        },
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Integer,
        Some("number") => Shape::Number,
        Some("string") => Shape::String,
        _ => Shape::Any,
    };
    Node {
        default: schema.get("default").cloned(),
        ..Node::of(shape)
    }
}

/// A type of its own, as that of a custom resource is.
pub fn custom(schema: &Json) -> Type {
    Type::new(node_of(schema, &|_| Type::any()))
}

fn named(name: &str) -> Type {
    definitions::named(&format!("io.k8s.api.{name}")).unwrap()
}

pub fn deployment() -> Type {
    named("apps.v1.Deployment")
}

pub fn pod() -> Type {
    named("core.v1.Pod")
}

pub fn pod_spec() -> Type {
    named("core.v1.PodSpec")
}

pub fn service() -> Type {
    named("core.v1.Service")
}

pub fn config_map() -> Type {
    named("core.v1.ConfigMap")
}
