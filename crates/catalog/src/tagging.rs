//! How a type takes tags.
//!
//! Most types have a `Tags` list of `{Key, Value}`. Some name the property otherwise, some take a map, a launch template
//! takes them by way of `TagSpecifications`, and some take none. [`Tagging::write`] and [`Tagging::read`] hide all of
//! that; [`Tagging::property`] and [`Tagging::shape`] are for who must show it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::property_path::PropertyPath;

/// In which form the tag property holds the tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagShape {
    /// `[{"Key": "a", "Value": "b"}]`
    List,
    /// `{"a": "b"}`
    Map,
    /// `[{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}]`, of the resource type that is named.
    Specifications(&'static str),
}

/// What a type's schema says of tags, and the exceptions that it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagging {
    /// Whether a resource of the type can be tagged through its own properties.
    pub taggable: bool,
    /// Whether the tags are there from the first moment: what is created without cannot be found by tag if the client
    /// dies before it is tagged.
    pub tag_on_create: bool,
    /// Whether the tags can be changed later without a replacement.
    pub tag_updatable: bool,
    /// The property that takes the tags; `None` when the type takes none.
    pub property: Option<PropertyPath>,
    /// The form of the property.
    pub shape: TagShape,
    /// What the caller must be allowed to do to tag, as `service:Action`.
    pub permissions: Vec<String>,
}

/// Tags with this prefix belong to AWS: nobody else can set or remove them, and they are no difference.
pub const RESERVED_PREFIX: &str = "aws:";

impl Tagging {
    /// A type that takes no tags.
    pub(crate) fn none() -> Self {
        Self {
            taggable: false,
            tag_on_create: false,
            tag_updatable: false,
            property: None,
            shape: TagShape::List,
            permissions: Vec::new(),
        }
    }

    /// The tags in a property document, without those of AWS (`aws:*`).
    #[must_use]
    pub fn read(&self, properties: &Value) -> BTreeMap<String, String> {
        let Some(value) = self.property.as_ref().and_then(|path| path.get(properties)) else {
            return BTreeMap::new();
        };
        let mut tags = match (self.shape, value) {
            (TagShape::Map, Value::Object(map)) => map
                .iter()
                .map(|(key, value)| (key.clone(), scalar_text(value)))
                .collect(),
            (TagShape::List, list) => read_list(list),
            (TagShape::Specifications(resource_type), Value::Array(specifications)) => {
                specifications
                    .iter()
                    .filter(|specification| specification["ResourceType"] == resource_type)
                    .flat_map(|specification| read_list(&specification["Tags"]))
                    .collect()
            }
            _ => BTreeMap::new(),
        };
        tags.retain(|key, _| !key.starts_with(RESERVED_PREFIX));
        tags
    }

    /// Sets `tags` in a property document beside those that are there; of two with one key the new one holds. Lists
    /// are sorted by key. Returns whether the type takes tags at all; if not, nothing is changed.
    pub fn write(&self, properties: &mut Value, tags: &BTreeMap<String, String>) -> bool {
        let Some(path) = &self.property else {
            return false;
        };
        if tags.is_empty() {
            return true;
        }
        let present = path.get(properties).cloned().unwrap_or(Value::Null);
        let value = match self.shape {
            TagShape::Map => {
                let mut all: BTreeMap<String, Value> = match present {
                    Value::Object(map) => map.into_iter().collect(),
                    _ => BTreeMap::new(),
                };
                all.extend(
                    tags.iter()
                        .map(|(key, value)| (key.clone(), Value::from(value.as_str()))),
                );
                json!(all)
            }
            TagShape::List => write_list(&present, tags),
            TagShape::Specifications(resource_type) => {
                let mut specifications = match present {
                    Value::Array(specifications) => specifications,
                    _ => Vec::new(),
                };
                match specifications.iter_mut().find(|entry| entry["ResourceType"] == resource_type) {
                    Some(entry) => entry["Tags"] = write_list(&entry["Tags"], tags),
                    None => specifications
                        .push(json!({"ResourceType": resource_type, "Tags": write_list(&Value::Null, tags)})),
                }
                Value::Array(specifications)
            }
        };
        path.insert_into(properties, value)
    }
}

fn read_list(list: &Value) -> BTreeMap<String, String> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            Some((
                entry.get("Key")?.as_str()?.to_owned(),
                scalar_text(entry.get("Value")?),
            ))
        })
        .collect()
}

fn write_list(present: &Value, tags: &BTreeMap<String, String>) -> Value {
    let mut entries: BTreeMap<String, Value> = present
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| Some((entry.get("Key")?.as_str()?.to_owned(), entry.clone())))
        .collect();
    for (key, value) in tags {
        // An entry that is there keeps what else it says, such as `PropagateAtLaunch`.
        let entry = entries
            .entry(key.clone())
            .or_insert_with(|| json!({"Key": key}));
        entry["Value"] = Value::from(value.as_str());
    }
    entries.into_values().collect()
}

fn scalar_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagging(property: &str, shape: TagShape) -> Tagging {
        Tagging {
            taggable: true,
            property: Some(property.parse().unwrap()),
            shape,
            ..Tagging::none()
        }
    }

    #[test]
    fn tags_written_in_any_shape_read_back() {
        let tags = BTreeMap::from([
            ("Name".to_owned(), "x".to_owned()),
            ("a/b.c".to_owned(), String::new()),
        ]);
        for shape in [
            TagShape::List,
            TagShape::Map,
            TagShape::Specifications("launch-template"),
        ] {
            let tagging = tagging("Tags", shape);
            let mut properties = json!({});
            assert!(tagging.write(&mut properties, &tags));
            assert_eq!(tagging.read(&properties), tags, "{shape:?}");
            assert!(tagging.write(
                &mut properties,
                &BTreeMap::from([("Name".to_owned(), "y".to_owned())])
            ));
            assert_eq!(tagging.read(&properties).len(), 2, "what is there stays");
            assert_eq!(tagging.read(&properties)["Name"], "y");
        }
    }

    #[test]
    fn a_type_without_tags_is_left_alone() {
        let mut properties = json!({"A": 1});
        assert!(!Tagging::none().write(
            &mut properties,
            &BTreeMap::from([("k".to_owned(), "v".to_owned())])
        ));
        assert_eq!(properties, json!({"A": 1}));
    }

    #[test]
    fn aws_tags_are_not_ours() {
        let properties = json!({"Tags": [{"Key": "aws:cloudformation:stack-name", "Value": "s"}, {"Key": "Name", "Value": "n"}]});
        let tags = tagging("Tags", TagShape::List).read(&properties);
        assert_eq!(tags.into_keys().collect::<Vec<_>>(), ["Name"]);
    }
}
