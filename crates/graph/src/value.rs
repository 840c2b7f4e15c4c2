//! A property value: JSON, with references where a value is known only once another resource exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use catalog::PropertyPath;
use catalog::ids::Address;
use serde::{Deserialize, Serialize};

/// A property value of a desired resource.
///
/// Everything but the last five variants is plain JSON. Those five are what CloudFormation has intrinsic functions for;
/// each has an equivalent in every export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A number. Integers stay integers.
    Number(serde_json::Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object. Keys are never references (CloudFormation can't have them either).
    Object(BTreeMap<String, Value>),
    /// An attribute of another resource (`Fn::GetAtt`, `Ref`).
    Attribute(Reference),
    /// Parts joined to one text (`Fn::Join`, `Fn::Sub`).
    Join(Vec<Value>),
    /// One piece of a text split by a separator (`Fn::Select` over `Fn::Split`); counts from 0.
    Split {
        /// The text to split.
        of: Box<Value>,
        /// What splits it.
        separator: String,
        /// Which piece.
        index: usize,
    },
    /// The JSON text of a value (`Fn::ToJsonString`), for properties that take JSON as a string.
    Json(Box<Value>),
    /// What is known of the account only when we talk to it (CloudFormation's pseudo parameters).
    Parameter(Parameter),
    /// A secret, read at the call and never stored.
    Secret(SecretReference),
}

/// An attribute of another resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The resource.
    pub to: Address,
    /// Which of its attributes.
    pub attribute: Attribute,
}

/// Which attribute a [`Reference`] means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Attribute {
    /// The whole primary identifier, as Cloud Control takes it.
    Identifier,
    /// A property of its model, read-only ones included.
    Property(PropertyPath),
}

/// What is known of the account only when we talk to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Parameter {
    /// The account's twelve digits.
    AccountId,
    /// The IAM principal (a role, not its session) that deploys. Resolved at the first deploy and kept in the state, so
    /// that a second deployer does not replace what belongs to the first.
    Deployer,
}

/// A value inside a Secrets Manager secret that is itself a resource of the graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretReference {
    /// The `AWS::SecretsManager::Secret` resource.
    pub secret: Address,
    /// The key, when the secret is a JSON object; the whole text otherwise.
    pub key: Option<String>,
}

impl Value {
    /// A reference to a property of another resource.
    pub fn attribute(to: &Address, property: &str) -> Self {
        Self::Attribute(Reference {
            to: to.clone(),
            attribute: Attribute::Property(PropertyPath::from_segments(property.split('.'))),
        })
    }

    /// A reference to another resource's primary identifier.
    pub fn identifier(to: &Address) -> Self {
        Self::Attribute(Reference {
            to: to.clone(),
            attribute: Attribute::Identifier,
        })
    }

    /// Parts joined to one text; neighbouring literals become one.
    pub fn join(parts: impl IntoIterator<Item = Value>) -> Self {
        let mut joined: Vec<Value> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (Some(Value::String(last)), Value::String(next)) => last.push_str(&next),
                (_, part) => joined.push(part),
            }
        }
        match <[Value; 1]>::try_from(joined) {
            Ok([Value::String(text)]) => Value::String(text),
            Ok([only]) => Value::Join(vec![only]),
            Err(parts) => Value::Join(parts),
        }
    }

    /// An object of the given properties.
    pub fn object<K: Into<String>>(properties: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Object(
            properties
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }

    /// A list.
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Array(items.into_iter().collect())
    }

    /// Calls `visit` on this value and on every value inside it.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Value)) {
        visit(self);
        match self {
            Self::Array(items) | Self::Join(items) => {
                items.iter().for_each(|item| item.walk(visit))
            }
            Self::Object(properties) => properties.values().for_each(|value| value.walk(visit)),
            Self::Split { of: inner, .. } | Self::Json(inner) => inner.walk(visit),
            Self::Bool(_)
            | Self::Number(_)
            | Self::String(_)
            | Self::Attribute(_)
            | Self::Parameter(_)
            | Self::Secret(_) => {}
        }
    }

    /// The resources that this value refers to, secrets included.
    pub fn references(&self) -> BTreeSet<&Address> {
        let mut found = BTreeSet::new();
        self.walk(&mut |value| match value {
            Self::Attribute(reference) => {
                found.insert(&reference.to);
            }
            Self::Secret(reference) => {
                found.insert(&reference.secret);
            }
            _ => {}
        });
        found
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attribute {
            Attribute::Identifier => write!(f, "${{{}}}", self.to),
            Attribute::Property(path) => write!(f, "${{{}.{path}}}", self.to),
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountId => "${account}",
            Self::Deployer => "${deployer}",
        })
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "${{secret {}#{key}}}", self.secret),
            None => write!(f, "${{secret {}}}", self.secret),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Number(value.into())
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

/// Writes a [`Value`] as JSON would be written; whatever is not JSON is an expression that converts to one:
/// `value!({ "VpcId": Value::identifier(&vpc), "Tags": [{ "Key": "Name", "Value": name }] })`.
#[macro_export]
macro_rules! value {
    ({ $($body:tt)* }) => {{
        #[allow(unused_mut)]
        let mut object = ::std::collections::BTreeMap::<String, $crate::Value>::new();
        $crate::value_object!(object; $($body)*);
        $crate::Value::Object(object)
    }};
    ([ $($body:tt)* ]) => {{
        #[allow(unused_mut, clippy::vec_init_then_push)]
        let mut array = ::std::vec::Vec::<$crate::Value>::with_capacity(4);
        $crate::value_array!(array; $($body)*);
        $crate::Value::Array(array)
    }};
    ($other:expr) => { $crate::Value::from($other) };
}

/// The inside of an object of [`value!`].
#[doc(hidden)]
#[macro_export]
macro_rules! value_object {
    ($object:ident;) => {};
    ($object:ident; $key:tt : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $object.insert($key.into(), $crate::value!({ $($inner)* }));
        $($crate::value_object!($object; $($rest)*);)?
    };
    ($object:ident; $key:tt : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $object.insert($key.into(), $crate::value!([ $($inner)* ]));
        $($crate::value_object!($object; $($rest)*);)?
    };
    ($object:ident; $key:tt : $value:expr $(, $($rest:tt)*)?) => {
        $object.insert($key.into(), $crate::Value::from($value));
        $($crate::value_object!($object; $($rest)*);)?
    };
}

/// The inside of an array of [`value!`].
#[doc(hidden)]
#[macro_export]
macro_rules! value_array {
    ($array:ident;) => {};
    ($array:ident; { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $array.push($crate::value!({ $($inner)* }));
        $($crate::value_array!($array; $($rest)*);)?
    };
    ($array:ident; [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $array.push($crate::value!([ $($inner)* ]));
        $($crate::value_array!($array; $($rest)*);)?
    };
    ($array:ident; $value:expr $(, $($rest:tt)*)?) => {
        $array.push($crate::Value::from($value));
        $($crate::value_array!($array; $($rest)*);)?
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macro_writes_json_with_references() {
        let vpc = Address::new("network/vpc").unwrap();
        let value = value!({ "VpcId": Value::identifier(&vpc), "Ports": [80, { "to": 81 }, [true]], "Name": format!("a{}", 1) });
        let Value::Object(object) = &value else {
            panic!("an object")
        };
        assert_eq!(object["VpcId"], Value::identifier(&vpc));
        assert_eq!(
            object["Ports"],
            Value::Array(vec![80.into(), value!({ "to": 81 }), value!([true])])
        );
        assert_eq!(value.references(), BTreeSet::from([&vpc]));
    }

    #[test]
    fn join_merges_literals() {
        assert_eq!(Value::join(["a".into(), "b".into()]), Value::from("ab"));
        let account = Value::Parameter(Parameter::AccountId);
        assert_eq!(
            Value::join(["a".into(), "b".into(), account.clone()]),
            Value::Join(vec!["ab".into(), account])
        );
    }
}
