//! Where a value stands in its type's schema: what is renamed, what is a map, what is JSON to the provider.

use catalog::{PropertyPath, ResourceSchema};
use serde_json::Value as Json;

/// A place in a type's schema.
#[derive(Debug, Clone)]
pub(super) enum Shape<'a> {
    /// A property, or what is below one.
    Property(&'a ResourceSchema, PropertyPath),
    /// Inside JSON, where there is no schema.
    Free,
}

impl<'a> Shape<'a> {
    /// A type's property.
    pub(super) fn of(schema: &'a ResourceSchema, property: &str) -> Self {
        Self::Property(schema, PropertyPath::from_segments([property]))
    }

    /// What the schema says of it.
    pub(super) fn node(&self) -> Option<&'a Json> {
        match self {
            Self::Property(schema, path) => schema.property(path),
            Self::Free => None,
        }
    }

    /// An object's property, or a map's value.
    pub(super) fn property(&self, key: &str) -> Self {
        self.below(key)
    }

    /// A list's items.
    pub(super) fn item(&self) -> Self {
        self.below("*")
    }

    fn below(&self, segment: &str) -> Self {
        match self {
            Self::Property(schema, path) => Self::Property(schema, path.join(segment)),
            Self::Free => Self::Free,
        }
    }

    /// Whether its keys are the user's.
    pub(super) fn is_map(&self) -> bool {
        self.node()
            .is_none_or(|node| node.get("properties").is_none())
    }

    /// Whether the provider takes a JSON text for it: an object without properties of its own, one that may be a text as
    /// well, or one of several types (the key schema of a DynamoDB table).
    pub(super) fn is_json(&self) -> bool {
        self.node().is_some_and(|node| {
            let has = |kind: &str| match &node["type"] {
                Json::String(only) => only == kind,
                Json::Array(kinds) => kinds.iter().any(|each| each == kind),
                _ => kind == "object",
            };
            let is_one_of_objects = node["oneOf"]
                .as_array()
                .is_some_and(|forms| forms.iter().any(|form| form.get("properties").is_some()));
            let has_properties = node.get("properties").is_some()
                || node.get("patternProperties").is_some()
                || is_one_of_objects;
            has("object") && (has("string") || !has_properties)
        })
    }
}
