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

    /// Whether it is an object without properties of its own, or of one of several types: the provider takes a JSON text
    /// for it (the key schema of a DynamoDB table is one).
    pub(super) fn is_json(&self) -> bool {
        self.node().is_some_and(|node| {
            let is_object = match &node["type"] {
                Json::String(kind) => kind == "object",
                Json::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
                _ => true,
            };
            is_object && node.get("properties").is_none() && node.get("patternProperties").is_none()
        })
    }
}
