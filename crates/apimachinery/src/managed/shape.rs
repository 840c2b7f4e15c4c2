//! How a value of a type is owned: as a whole, by its members, or by its items.
//!
//! Types are looked at as structured-merge-diff looks at them. What has no type (`x-kubernetes-preserve-unknown-fields`) is
//! taken by what it is: objects member by member, lists as a whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value as Json;

use crate::definitions;
use crate::managed::fields::{self, Element};
use crate::schema::{Field, ListKind, Node, Shape, Type};

/// How a value is owned.
pub enum View<'n> {
    /// As a whole: scalars, atomic lists and maps.
    Leaf,
    /// Member by member.
    Members,
    /// Item by item.
    Items(&'n Type, &'n ListKind),
}

/// What a type says of one of its members.
pub enum Member<'n> {
    /// A field of a struct.
    Declared(Cow<'n, Type>),
    /// A map's value, or something in a part that has no type.
    Undeclared(&'n Type),
    /// A struct that has no such field.
    Unknown,
}

static ANY: LazyLock<Type> = LazyLock::new(Type::any);
static TEXT: LazyLock<Type> = LazyLock::new(|| Type::new(Node::of(Shape::String)));

/// Metadata of objects whose schema does not describe it, as those of custom resources do not.
static OBJECT_META: LazyLock<Type> =
    LazyLock::new(|| definitions::named(definitions::OBJECT_META).unwrap_or_else(Type::any));

/// The type of a whole object: one that has metadata, whatever its schema says of it.
pub fn rooted(schema: &Type) -> Cow<'_, Type> {
    if schema.name().is_some() {
        return Cow::Borrowed(schema);
    }
    let node = schema.node();
    let mut node = Node::clone(&node);
    match &mut node.shape {
        Shape::Struct { embedded, .. } => {
            *embedded = true;
            Cow::Owned(Type::new(node))
        }
        _ => Cow::Borrowed(schema),
    }
}

/// How a value of a type is owned. Of a value that does not fit the type: as a whole.
pub fn view<'n>(node: &'n Node, value: &Json) -> View<'n> {
    match &node.shape {
        Shape::Struct { atomic, .. } | Shape::Map { atomic, .. } => match value {
            Json::Object(_) | Json::Null if !atomic => View::Members,
            _ => View::Leaf,
        },
        Shape::List { items, kind } => match (value, kind) {
            (_, ListKind::Atomic) => View::Leaf,
            (Json::Array(_) | Json::Null, _) => View::Items(items, kind),
            _ => View::Leaf,
        },
        Shape::Any => match value {
            Json::Object(_) | Json::Null => View::Members,
            _ => View::Leaf,
        },
        Shape::Boolean | Shape::Integer | Shape::Number | Shape::String | Shape::IntOrString => {
            View::Leaf
        }
    }
}

/// What a type says of a member.
pub fn member<'n>(node: &'n Node, name: &str) -> Member<'n> {
    match &node.shape {
        Shape::Struct {
            fields,
            open,
            embedded,
            ..
        } => {
            if *embedded && let Some(known) = embedded_member(fields, name) {
                return known;
            }
            match fields.get(name) {
                Some(field) => Member::Declared(Cow::Borrowed(&field.value)),
                // An object of which nothing is said may hold anything.
                None if *open || fields.is_empty() => Member::Undeclared(&ANY),
                None => Member::Unknown,
            }
        }
        Shape::Map { values, .. } => Member::Undeclared(values),
        _ => Member::Undeclared(&ANY),
    }
}

fn embedded_member<'n>(fields: &'n BTreeMap<Arc<str>, Field>, name: &str) -> Option<Member<'n>> {
    match name {
        "apiVersion" | "kind" => Some(Member::Declared(Cow::Borrowed(&TEXT))),
        "metadata" => {
            let described = fields.get(name).filter(|field| {
                matches!(&field.value.node().shape, Shape::Struct { fields, .. } if fields.len() > 2)
            });
            let value = described.map_or(&*OBJECT_META, |field| &field.value);
            Some(Member::Declared(Cow::Borrowed(value)))
        }
        _ => None,
    }
}

impl Member<'_> {
    /// The member's type; anything, if it has none.
    pub fn of_type(&self) -> &Type {
        match self {
            Self::Declared(declared) => declared,
            Self::Undeclared(undeclared) => undeclared,
            Self::Unknown => &ANY,
        }
    }
}

/// The path element of a list's item.
///
/// # Errors
/// What is wrong with the item, in structured-merge-diff's words.
pub fn item_element(items: &Type, kind: &ListKind, item: &Json) -> Result<Element, String> {
    let ListKind::Map(names) = kind else {
        return match item {
            Json::Object(_) => {
                Err("associative list without keys has an element that's a map type".into())
            }
            Json::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Json::Null => {
                Err("associative list without keys has an element that's an explicit null".into())
            }
            scalar => Ok(fields::scalar(scalar)),
        };
    };
    let Json::Object(object) = item else {
        return Err(if item.is_null() {
            "associative list with keys may not have a null element".into()
        } else {
            "associative list with keys may not have non-map elements".into()
        });
    };
    let mut defaults: Vec<(&str, Json)> = Vec::new();
    let mut keys: Vec<(&str, &Json)> = Vec::with_capacity(names.len());
    for name in names {
        match object.get(&**name) {
            Some(value) => keys.push((name, value)),
            None => defaults.extend(key_default(items, name).map(|value| (&**name, value))),
        }
    }
    keys.extend(defaults.iter().map(|(name, value)| (*name, value)));
    if keys.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            names.join(" ")
        ));
    }
    Ok(fields::keys(keys))
}

/// The value of a key that an item leaves out. Required texts of built-in types are the empty one.
fn key_default(items: &Type, name: &str) -> Option<Json> {
    items.node().field(name)?.node().default.clone()
}

/// Whether two values are the same to the API: numbers by value, whether written with a fraction or not.
pub fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => {
            one == other || (one.is_f64() != other.is_f64() && one.as_f64() == other.as_f64())
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}
