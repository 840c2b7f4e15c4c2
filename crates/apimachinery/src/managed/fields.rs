//! Sets of fields, as `FieldsV1` writes them.
//!
//! A set is a tree. An element of a path is kept in its serialised form (`f:spec`, `k:{"name":"web"}`, `v:"a"`, `i:0`), made
//! canonical when it is read, so that equal elements are equal strings. A node that is owned is a member of the set; a node
//! may have members below it without being one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

/// One element of a path, serialised.
pub type Element = Box<str>;

/// A node of the tree, or a whole set if it is the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// Whether the node itself is a member.
    pub owned: bool,
    pub children: BTreeMap<Element, Fields>,
}

/// Why a `FieldsV1` document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    #[error("{0:?} is no path element: a kind, a colon and a value are expected")]
    Element(String),
    #[error("the fields below {0:?} are no object")]
    NoObject(String),
}

impl Fields {
    /// A set of one path of field names.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        let mut node = &mut set;
        for name in names {
            node = node.children.entry(field(name)).or_default();
        }
        node.owned = true;
        set.owned = false;
        set
    }

    /// Whether neither it nor anything below is a member.
    pub fn is_empty(&self) -> bool {
        !self.owned && self.children.values().all(Self::is_empty)
    }

    /// Puts a node below this one, unless there is nothing in it.
    pub fn attach(&mut self, element: Element, node: Self) {
        if node.owned || !node.children.is_empty() {
            self.children.insert(element, node);
        }
    }

    pub fn has<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> bool {
        let mut node = self;
        for element in path {
            match node.children.get(element) {
                Some(child) => node = child,
                None => return false,
            }
        }
        node.owned
    }

    /// Takes in all members of another set.
    pub fn unite(&mut self, other: Self) {
        self.owned |= other.owned;
        for (element, theirs) in other.children {
            match self.children.get_mut(&element) {
                Some(ours) => ours.unite(theirs),
                None => {
                    self.children.insert(element, theirs);
                }
            }
        }
    }

    /// Drops all members that another set has; true if there were any. What is below a dropped member stays.
    pub fn subtract(&mut self, other: &Self) -> bool {
        let mut dropped = false;
        if self.owned && other.owned {
            self.owned = false;
            dropped = true;
        }
        // The difference is usually far smaller than what a manager owns.
        for (element, theirs) in &other.children {
            if let Some(ours) = self.children.get_mut(element) {
                dropped |= ours.subtract(theirs);
                if !ours.owned && ours.children.is_empty() {
                    self.children.remove(element);
                }
            }
        }
        dropped
    }

    /// Drops all members that another set has, and everything below them.
    pub fn subtract_with_children(&mut self, other: &Self) {
        for (element, theirs) in &other.children {
            if theirs.owned {
                self.children.remove(element);
            } else if let Some(ours) = self.children.get_mut(element) {
                ours.subtract_with_children(theirs);
                if !ours.owned && ours.children.is_empty() {
                    self.children.remove(element);
                }
            }
        }
    }

    /// The members of both.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            owned: self.owned && other.owned,
            children: BTreeMap::new(),
        };
        let (few, many) = if self.children.len() < other.children.len() {
            (self, other)
        } else {
            (other, self)
        };
        for (element, one) in &few.children {
            if let Some(another) = many.children.get(element) {
                both.attach(element.clone(), one.intersection(another));
            }
        }
        both
    }

    /// Whether every member is one of another set.
    pub fn is_within(&self, other: &Self) -> bool {
        (!self.owned || other.owned)
            && self.children.iter().all(|(element, ours)| {
                other
                    .children
                    .get(element)
                    .map_or_else(|| ours.is_empty(), |theirs| ours.is_within(theirs))
            })
    }

    /// The paths of all members. Of a node, the members right below come first, then what is below those.
    pub fn paths(&self) -> Vec<Vec<&str>> {
        fn walk<'a>(node: &'a Fields, path: &mut Vec<&'a str>, into: &mut Vec<Vec<&'a str>>) {
            for (element, child) in &node.children {
                if child.owned {
                    let mut whole = path.clone();
                    whole.push(element);
                    into.push(whole);
                }
            }
            for (element, child) in &node.children {
                path.push(element);
                walk(child, path, into);
                path.pop();
            }
        }
        let mut paths = Vec::new();
        walk(self, &mut Vec::new(), &mut paths);
        paths
    }

    /// As `FieldsV1`.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        for (element, child) in &self.children {
            let mut below = child.to_json();
            if child.owned
                && let Json::Object(below) = &mut below
                && !below.is_empty()
            {
                below.insert(".".to_owned(), Json::Object(Map::new()));
            }
            object.insert(String::from(&**element), below);
        }
        Json::Object(object)
    }

    /// Reads `FieldsV1`. Kinds of elements that are not known are passed over, as newer servers may write them.
    pub fn from_json(json: &Json) -> Result<Self, FieldsError> {
        let mut set = Self::read(json, "")?;
        set.owned = false;
        Ok(set)
    }

    fn read(json: &Json, below: &str) -> Result<Self, FieldsError> {
        let mut node = Self::default();
        match json {
            Json::Object(object) => {
                for (key, value) in object {
                    if key == "." {
                        node.owned = true;
                        continue;
                    }
                    let Some(element) = canonical(key)? else {
                        continue;
                    };
                    node.children.insert(element, Self::read(value, key)?);
                }
            }
            Json::Null => {}
            _ => return Err(FieldsError::NoObject(below.to_owned())),
        }
        node.owned |= node.children.is_empty();
        Ok(node)
    }
}

/// The element of a named field.
pub fn field(name: &str) -> Element {
    let mut element = String::with_capacity(name.len() + 2);
    element.push_str("f:");
    element.push_str(name);
    element.into_boxed_str()
}

/// The name, if the element is a named field.
pub fn field_name(element: &str) -> Option<&str> {
    element.strip_prefix("f:")
}

/// The element of a set's scalar.
pub fn scalar(value: &Json) -> Element {
    let mut element = String::from("v:");
    write_canonical(value, &mut element);
    element.into_boxed_str()
}

/// The element of a list's item, by its keys.
pub fn keys(mut keys: Vec<(&str, &Json)>) -> Element {
    keys.sort_unstable_by_key(|(name, _)| *name);
    let mut element = String::from("k:{");
    for (place, (name, value)) in keys.into_iter().enumerate() {
        if place > 0 {
            element.push(',');
        }
        write_string(name, &mut element);
        element.push(':');
        write_canonical(value, &mut element);
    }
    element.push('}');
    element.into_boxed_str()
}

fn canonical(key: &str) -> Result<Option<Element>, FieldsError> {
    let wrong = || FieldsError::Element(key.to_owned());
    let (kind, rest) = key.split_at_checked(2).ok_or_else(wrong)?;
    if !kind.ends_with(':') {
        return Err(wrong());
    }
    Ok(Some(match kind {
        "f:" => key.into(),
        "v:" => scalar(&serde_json::from_str(rest).map_err(|_| wrong())?),
        "k:" => {
            let object: Map<String, Json> = serde_json::from_str(rest).map_err(|_| wrong())?;
            keys(
                object
                    .iter()
                    .map(|(name, value)| (&**name, value))
                    .collect(),
            )
        }
        "i:" => {
            let index: i64 = rest.parse().map_err(|_| wrong())?;
            format!("i:{index}").into_boxed_str()
        }
        _ => return Ok(None),
    }))
}

fn write_string(text: &str, into: &mut String) {
    // Writing a string as JSON cannot fail.
    into.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Writes a value so that equal values are equal texts: members by name, whole numbers without a fraction.
fn write_canonical(value: &Json, into: &mut String) {
    match value {
        Json::String(text) => write_string(text, into),
        Json::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|_| number.is_f64())
                .filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
            match whole {
                // In range: see the filter.
                #[allow(clippy::cast_possible_truncation)]
                Some(whole) => drop(write!(into, "{}", whole as i64)),
                None => drop(write!(into, "{number}")),
            }
        }
        Json::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            into.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write_string(name, into);
                into.push(':');
                write_canonical(value, into);
            }
            into.push('}');
        }
        Json::Array(items) => {
            into.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write_canonical(item, into);
            }
            into.push(']');
        }
        Json::Bool(_) | Json::Null => drop(write!(into, "{value}")),
    }
}

/// A path as messages have it: `.spec.containers[name="web"].args[=1]`.
pub fn path_text(path: &[&str]) -> String {
    path.iter().copied().map(element_text).collect()
}

/// An element as messages have it.
pub fn element_text(element: &str) -> String {
    let (kind, rest) = element.split_at_checked(2).unwrap_or((element, ""));
    match kind {
        "f:" => format!(".{rest}"),
        "k:" => {
            let object: Map<String, Json> = serde_json::from_str(rest).unwrap_or_default();
            let mut keys: Vec<String> = object
                .iter()
                .map(|(name, value)| format!("{name}={}", value_text(value)))
                .collect();
            keys.sort_unstable();
            format!("[{}]", keys.join(","))
        }
        "v:" => format!(
            "[={}]",
            serde_json::from_str(rest).map_or_else(|_| rest.to_owned(), |value| value_text(&value))
        ),
        _ => format!("[{rest}]"),
    }
}

fn value_text(value: &Json) -> String {
    match value {
        Json::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(json: Json) -> Fields {
        Fields::from_json(&json).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let json = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:ports":
            {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:finalizers": {"v:\"a\"": {}}}});
        assert_eq!(set(json.clone()).to_json(), json);
    }

    #[test]
    fn elements_are_canonical() {
        assert_eq!(
            set(json!({"k:{\"protocol\":\"TCP\", \"port\":80.0}": {}})),
            set(json!({"k:{\"port\":80,\"protocol\":\"TCP\"}": {}})),
        );
        assert_eq!(
            set(json!({"v:\"\\u003c\"": {}})),
            set(json!({"v:\"<\"": {}}))
        );
    }

    #[test]
    fn unknown_kinds_are_passed_over_and_wrong_ones_refused() {
        assert_eq!(set(json!({"x:y": {}, "f:a": {}})), set(json!({"f:a": {}})));
        for wrong in [
            json!({"f": {}}),
            json!({"spec": {}}),
            json!({"f:a": "b"}),
            json!({"k:[]": {}}),
            json!({"v:": {}}),
            json!({"i:x": {}}),
            json!([]),
            json!({"é": {}}),
        ] {
            assert!(Fields::from_json(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn differences_keep_what_is_below_unless_asked() {
        let mut one = set(json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        assert!(one.subtract(&set(json!({"f:a": {}, "f:d": {}}))));
        assert_eq!(one, set(json!({"f:a": {"f:b": {}}, "f:c": {}})));
        assert!(!one.subtract(&set(json!({"f:a": {}}))));
        one.subtract_with_children(&set(json!({"f:a": {}})));
        assert_eq!(one, set(json!({"f:c": {}})));
    }

    #[test]
    fn paths_read_like_paths() {
        let one = set(
            json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}},
            "f:args": {"v:1": {}}, "f:x": {"i:3": {}}}}),
        );
        let texts: Vec<String> = one.paths().iter().map(|path| path_text(path)).collect();
        assert_eq!(
            texts,
            [
                ".spec.args[=1]",
                ".spec.ports[port=80,protocol=\"TCP\"].name",
                ".spec.x[3]"
            ]
        );
    }
}
