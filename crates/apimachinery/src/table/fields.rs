//! Reading an object's fields without minding which of them are there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use super::age;

/// A place in a document. What is missing reads as nothing: an empty text, 0, false, no items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a Json);

static NOTHING: Json = Json::Null;

impl<'a> Fields<'a> {
    pub(super) fn of(document: &'a Json) -> Self {
        Self(document)
    }

    /// The field at a path (`status.nodeInfo.osImage`).
    pub(super) fn at(self, path: &str) -> Self {
        Self(
            path.split('.')
                .try_fold(self.0, |at, name| at.get(name))
                .unwrap_or(&NOTHING),
        )
    }

    /// A key that may have dots in it.
    pub(super) fn key(self, key: &str) -> Self {
        Self(self.0.get(key).unwrap_or(&NOTHING))
    }

    pub(super) fn present(self, path: &str) -> bool {
        !self.at(path).0.is_null()
    }

    pub(super) fn text(self, path: &str) -> &'a str {
        self.at(path).0.as_str().unwrap_or_default()
    }

    /// The text there, or another if it is missing or empty.
    pub(super) fn text_or(self, path: &str, otherwise: &'static str) -> &'a str {
        match self.text(path) {
            "" => otherwise,
            text => text,
        }
    }

    /// The text that this is, unless it is missing or empty.
    pub(super) fn as_text(self) -> Option<&'a str> {
        self.0.as_str().filter(|text| !text.is_empty())
    }

    /// Numbers and texts alike (int-or-string, quantities).
    pub(super) fn scalar(self, path: &str) -> Option<String> {
        self.at(path).as_scalar()
    }

    pub(super) fn as_scalar(self) -> Option<String> {
        match self.0 {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A quantity; missing ones print as 0, as Go's zero value does.
    pub(super) fn quantity(self, path: &str) -> String {
        self.scalar(path).unwrap_or_else(|| "0".to_owned())
    }

    pub(super) fn number(self, path: &str) -> i64 {
        self.at(path).0.as_i64().unwrap_or_default()
    }

    pub(super) fn flag(self, path: &str) -> Option<bool> {
        self.at(path).0.as_bool()
    }

    pub(super) fn items(
        self,
        path: &str,
    ) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        self.at(path)
            .0
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(Self)
    }

    /// The texts of a list.
    pub(super) fn texts(self, path: &str) -> Vec<&'a str> {
        self.items(path)
            .filter_map(|item| item.0.as_str())
            .collect()
    }

    pub(super) fn map(self, path: &str) -> Option<&'a Map<String, Json>> {
        self.at(path).0.as_object()
    }

    /// How many items or keys there are.
    pub(super) fn count(self, path: &str) -> usize {
        match self.at(path).0 {
            Json::Array(items) => items.len(),
            Json::Object(keys) => keys.len(),
            _ => 0,
        }
    }

    pub(super) fn name(self) -> Json {
        self.text("metadata.name").into()
    }

    pub(super) fn age(self, now: Timestamp) -> Json {
        self.since("metadata.creationTimestamp", now).into()
    }

    pub(super) fn since(self, path: &str, now: Timestamp) -> String {
        age::since(self.text(path), now)
    }

    pub(super) fn deleting(self) -> bool {
        self.present("metadata.deletionTimestamp")
    }

    /// The condition of a type.
    pub(super) fn condition(self, kind: &str) -> Option<Self> {
        self.items("status.conditions")
            .find(|condition| condition.text("type") == kind)
    }

    pub(super) fn condition_holds(self, kind: &str) -> bool {
        self.condition(kind)
            .is_some_and(|condition| condition.text("status") == "True")
    }

    /// Names and images of a list of containers, each joined by commas.
    pub(super) fn containers(self, path: &str) -> [Json; 2] {
        ["name", "image"].map(|field| {
            let texts: Vec<&str> = self
                .items(path)
                .map(|container| container.text(field))
                .collect();
            texts.join(",").into()
        })
    }

    /// A map of labels: `app=web,tier=front`, or `<none>`.
    pub(super) fn labels(self, path: &str) -> String {
        let Some(map) = self.map(path).filter(|map| !map.is_empty()) else {
            return "<none>".to_owned();
        };
        let sorted: BTreeMap<&String, &Json> = map.iter().collect();
        let told: Vec<String> = sorted
            .into_iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        told.join(",")
    }

    /// A label selector, in the form that kubectl's `-l` takes; empty if it selects by nothing.
    pub(super) fn selector(self, path: &str) -> String {
        let selector = self.at(path);
        let mut requirements: Vec<(&str, String)> = selector
            .map("matchLabels")
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                (
                    key.as_str(),
                    format!("{key}={}", value.as_str().unwrap_or_default()),
                )
            })
            .collect();
        for expression in selector.items("matchExpressions") {
            let key = expression.text("key");
            let mut values = expression.texts("values");
            values.sort_unstable();
            let values = values.join(",");
            let told = match expression.text("operator") {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "Exists" => key.to_owned(),
                "DoesNotExist" => format!("!{key}"),
                _ => return "<error>".to_owned(),
            };
            requirements.push((key, told));
        }
        // Stable: several requirements on one key stay in their order.
        requirements.sort_by_key(|(key, _)| *key);
        let told: Vec<String> = requirements.into_iter().map(|(_, told)| told).collect();
        told.join(",")
    }

    /// The same, `<none>` if it selects by nothing.
    pub(super) fn selector_or_none(self, path: &str) -> String {
        match self.selector(path) {
            told if told.is_empty() => "<none>".to_owned(),
            told => told,
        }
    }
}

/// The first few of a list, and how many more there are: `a,b,c + 2 more...`. `otherwise` if the list is empty.
pub(super) fn first_three(list: &[String], otherwise: &str) -> String {
    const SHOWN: usize = 3;
    if list.is_empty() {
        otherwise.to_owned()
    } else if list.len() > SHOWN {
        format!(
            "{} + {} more...",
            list[..SHOWN].join(","),
            list.len() - SHOWN
        )
    } else {
        list.join(",")
    }
}
