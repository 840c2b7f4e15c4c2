//! A template's text: a tree with tags (`!Ref`, `!Sub`), written by serde-saphyr.

use serde::ser::{Serialize, Serializer};
use serde_saphyr::{LitStr, SerializerOptions, Tagged};

/// A node of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    /// In the order in which it is to be read.
    Map(Vec<(String, Node)>),
    /// An intrinsic function: its tag, and what it is called with.
    Call(&'static str, Box<Node>),
}

impl Node {
    /// A map of the entries that are there.
    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(key, node)| (key.into(), node))
                .collect(),
        )
    }

    /// An intrinsic function.
    pub(super) fn call(tag: &'static str, with: impl Into<Node>) -> Self {
        Self::Call(tag, Box::new(with.into()))
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Node>> for Node {
    fn from(items: Vec<Node>) -> Self {
        Self::List(items)
    }
}

impl From<&serde_json::Value> for Node {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            // No template has one: an absent property is left out.
            Json::Null => Self::Text(String::new()),
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(number.clone()),
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(object) => {
                Self::map(object.iter().map(|(key, value)| (key, Self::from(value))))
            }
        }
    }
}

/// A text in JSON is full of quotes: it is read best as a block.
fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[']) && text.contains('"')
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => serializer.serialize_i64(number),
                (None, Some(number)) => serializer.serialize_u64(number),
                (None, None) => serializer.serialize_f64(number.as_f64().unwrap_or_default()),
            },
            Self::Text(text) if is_json(text) => LitStr(text).serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                serializer.collect_map(entries.iter().map(|(key, node)| (key, node)))
            }
            Self::Call(tag, with) => {
                Tagged(with.as_ref(), Some((*tag).to_owned())).serialize(serializer)
            }
        }
    }
}

/// The text of a document.
///
/// # Errors
///
/// What the serialiser refuses; nothing that a [`Node`] can be is among it as far as we know.
pub(super) fn text(document: &Node) -> Result<String, String> {
    let mut options = SerializerOptions::default();
    options.folded_wrap_chars = 120;
    serde_saphyr::to_string_with_options(document, options).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_blocks_and_quotes() {
        let document = Node::map([
            ("Version", Node::from("2012-10-17")),
            ("Name", Node::call("!Ref", "Cluster")),
            ("Text", Node::from(r#"{"a":1}"#)),
            ("Trust", Node::call("!Sub", r#"{"a":"${Cluster}"}"#)),
            ("Account", Node::from("012345678901")),
        ]);
        assert_eq!(
            text(&document).unwrap(),
            "Version: \"2012-10-17\"\nName: !Ref Cluster\nText: |-\n  {\"a\":1}\nTrust: !Sub |-\n  {\"a\":\"${Cluster}\"}\nAccount: \"012345678901\"\n"
        );
    }
}
