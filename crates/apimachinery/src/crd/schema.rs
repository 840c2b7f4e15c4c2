//! Structural schemas as types.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::definitions;
use crate::schema::{Field, ListKind, Node, PatchStrategy, Shape, Type};

/// What the type itself tells; the rest of a schema becomes [`Node::rules`].
const TOLD: [&str; 14] = [
    "type",
    "properties",
    "additionalProperties",
    "items",
    "required",
    "nullable",
    "format",
    "default",
    "description",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
];

/// Of whole objects: `apiVersion`, `kind` and `metadata` are those of every object.
pub(super) fn object(schema: &Json, open: bool) -> Type {
    let mut node = node(schema);
    if !matches!(node.shape, Shape::Struct { .. }) {
        node.shape = Shape::Struct {
            fields: BTreeMap::new(),
            required: Vec::new(),
            open: true,
            atomic: false,
            embedded: false,
        };
    }
    if let Shape::Struct {
        fields,
        open: as_is,
        ..
    } = &mut node.shape
    {
        *as_is |= open;
        put_meta(fields);
    }
    Type::new(node)
}

fn put_meta(fields: &mut BTreeMap<Arc<str>, Field>) {
    for name in ["apiVersion", "kind"] {
        fields
            .entry(name.into())
            .or_insert_with(|| field(Type::new(Node::of(Shape::String))));
    }
    let metadata = definitions::named(definitions::OBJECT_META).unwrap_or_else(Type::any);
    fields.insert("metadata".into(), field(metadata));
}

fn field(value: Type) -> Field {
    Field {
        value,
        patch: PatchStrategy::default(),
    }
}

fn node(schema: &Json) -> Node {
    let says = |name: &str| schema[name] == true;
    let open = says("x-kubernetes-preserve-unknown-fields");
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    let shape = match schema["type"].as_str() {
        _ if says("x-kubernetes-int-or-string") => Shape::IntOrString,
        Some("object") => match &schema["additionalProperties"] {
            values @ (Json::Object(_) | Json::Bool(true)) => Shape::Map {
                values: to_type(values),
                atomic,
            },
            _ => {
                let embedded = says("x-kubernetes-embedded-resource");
                let mut fields = properties(schema);
                if embedded {
                    put_meta(&mut fields);
                }
                Shape::Struct {
                    fields,
                    required: super::texts(&schema["required"]),
                    open,
                    atomic,
                    embedded,
                }
            }
        },
        Some("array") => Shape::List {
            items: to_type(&schema["items"]),
            kind: match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => ListKind::Map(super::texts(&schema["x-kubernetes-list-map-keys"])),
                Some("set") => ListKind::Set,
                _ => ListKind::Atomic,
            },
        },
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Integer,
        Some("number") => Shape::Number,
        Some("string") => Shape::String,
        _ => Shape::Any,
    };
    let text = |name: &str| schema[name].as_str().map(Arc::from);
    Node {
        shape,
        nullable: says("nullable"),
        format: text("format"),
        default: schema.get("default").cloned(),
        description: text("description"),
        rules: rules(schema).map(|rules| Arc::new(Json::Object(rules))),
    }
}

fn properties(schema: &Json) -> BTreeMap<Arc<str>, Field> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| (name.as_str().into(), field(to_type(schema))))
        .collect()
}

fn to_type(schema: &Json) -> Type {
    if schema.is_object() {
        Type::new(node(schema))
    } else {
        Type::any()
    }
}

fn rules(schema: &Json) -> Option<Map<String, Json>> {
    let rules: Map<String, Json> = schema
        .as_object()?
        .iter()
        .filter(|(name, _)| !TOLD.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (!rules.is_empty()).then_some(rules)
}
