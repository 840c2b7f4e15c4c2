//! A tree of values that know their places, and the way from it to typed objects.

use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::{MAX_DEPTH, ObjectName, Place};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub kind: Kind,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Integer(i64),
    /// As it is written, so that `0.10` stays exact for a quantity.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn object_name(&self) -> ObjectName {
        let metadata = self.get("metadata");
        let of = |key| metadata.and_then(|node| node.text(key)).map(str::to_owned);
        ObjectName {
            api_version: self.text("apiVersion").unwrap_or_default().to_owned(),
            kind: self.text("kind").unwrap_or_default().to_owned(),
            namespace: of("namespace"),
            name: of("name")
                .or_else(|| of("generateName"))
                .unwrap_or_default(),
        }
    }

    fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Integer(_) => "a whole number",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Why a tree is not what its kind wants.
#[derive(Debug)]
pub(super) struct Fault {
    pub message: String,
    pub place: Option<Place>,
    /// Innermost segment first.
    segments: Vec<String>,
}

impl Fault {
    pub fn path(&self) -> String {
        join(self.segments.iter().rev())
    }
}

fn join<'a>(segments: impl Iterator<Item = &'a String>) -> String {
    let mut path = String::new();
    for segment in segments {
        if !path.is_empty() && !segment.starts_with('[') {
            path.push('.');
        }
        path.push_str(segment);
    }
    path
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            place: None,
            segments: Vec::new(),
        }
    }
}

/// Deserialises a tree and collects the fields that no type knows.
pub(super) struct Reader<'u> {
    node: Node,
    context: &'u mut Context,
}

/// Where the reading is, and what it passed by.
#[derive(Debug, Default)]
pub(super) struct Context {
    path: Vec<String>,
    /// Fields that no type knows.
    pub unknown: Vec<(Place, String)>,
}

impl<'u> Reader<'u> {
    pub fn new(node: Node, context: &'u mut Context) -> Self {
        Self { node, context }
    }

    fn expected(&self, what: &str) -> Fault {
        Fault {
            message: format!("{what} is wanted, not {}", self.node.what()),
            place: Some(self.node.place),
            segments: Vec::new(),
        }
    }

    fn located<T>(place: Place, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|mut fault| {
            fault.place.get_or_insert(place);
            fault
        })
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let place = self.node.place;
        let result = match self.node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(value),
            Kind::Integer(value) => visitor.visit_i64(value),
            Kind::Number(text) => match text.parse::<f64>() {
                Ok(value) => visitor.visit_f64(value),
                Err(_) => visitor.visit_string(text),
            },
            Kind::Text(text) => visitor.visit_string(text),
            Kind::List(items) => visitor.visit_seq(Items {
                items: items.into_iter().enumerate(),
                context: self.context,
            }),
            Kind::Map(entries) => visitor.visit_map(Entries {
                entries: entries.into_iter(),
                value: None,
                known: None,
                context: self.context,
            }),
        };
        Self::located(place, result)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.kind {
            Kind::Text(text) => Self::located(self.node.place, visitor.visit_string(text)),
            _ => Err(self.expected("text")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    /// A list or a map that is `null` is an empty one, as in Go.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.kind {
            Kind::List(_) => self.deserialize_any(visitor),
            Kind::Null => visitor.visit_seq(Items {
                items: Vec::new().into_iter().enumerate(),
                context: self.context,
            }),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.kind {
            Kind::Map(_) => self.deserialize_any(visitor),
            Kind::Null => {
                self.node.kind = Kind::Map(Vec::new());
                self.deserialize_any(visitor)
            }
            _ => Err(self.expected("a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let place = self.node.place;
        let entries = match self.node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => Vec::new(),
            _ => return Err(self.expected("a map")),
        };
        Self::located(
            place,
            visitor.visit_map(Entries {
                entries: entries.into_iter(),
                value: None,
                known: Some(fields),
                context: self.context,
            }),
        )
    }

    /// Quantities may be written as numbers: `cpu: 2`.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == "Quantity" {
            match self.node.kind {
                Kind::Integer(value) => self.node.kind = Kind::Text(value.to_string()),
                Kind::Number(text) => self.node.kind = Kind::Text(text),
                _ => {}
            }
            if let Kind::Text(text) = &self.node.kind
                && let Err(error) = text.parse::<crate::Quantity>()
            {
                return Err(Fault {
                    message: error.to_string(),
                    place: Some(self.node.place),
                    segments: Vec::new(),
                });
            }
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let place = self.node.place;
        match self.node.kind {
            Kind::Text(text) => Self::located(
                place,
                visitor
                    .visit_enum::<de::value::StringDeserializer<Fault>>(text.into_deserializer()),
            ),
            _ => Err(self.expected("text")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Items<'u> {
    items: std::iter::Enumerate<std::vec::IntoIter<Node>>,
    context: &'u mut Context,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        descend(node, format!("[{index}]"), self.context, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'u> {
    entries: std::vec::IntoIter<(String, Node)>,
    value: Option<(String, Node)>,
    known: Option<&'static [&'static str]>,
    context: &'u mut Context,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        for (key, node) in self.entries.by_ref() {
            if let Some(known) = self.known
                && !known.contains(&key.as_str())
            {
                // The API server's own words at the top are no field of the types.
                let Context { path, unknown } = &mut *self.context;
                if !(path.is_empty() && (key == "apiVersion" || key == "kind")) {
                    path.push(key);
                    unknown.push((node.place, join(path.iter())));
                    path.pop();
                }
                continue;
            }
            let place = node.place;
            let result = seed.deserialize(de::value::StrDeserializer::<Fault>::new(&key));
            self.value = Some((key, node));
            return Reader::located(place, result).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for without its key"));
        };
        descend(node, key, self.context, seed)
    }
}

fn descend<'de, T: DeserializeSeed<'de>>(
    node: Node,
    segment: String,
    context: &mut Context,
    seed: T,
) -> Result<T::Value, Fault> {
    let place = node.place;
    context.path.push(segment);
    let result = seed.deserialize(Reader::new(node, context));
    let segment = context.path.pop().unwrap_or_default();
    result.map_err(|mut fault| {
        fault.place.get_or_insert(place);
        fault.segments.push(segment);
        fault
    })
}

/// Reads JSON into a tree whose values all have the place of the whole.
pub(super) struct At(pub Place, pub usize);

impl<'de> DeserializeSeed<'de> for At {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl At {
    fn node<E>(&self, kind: Kind) -> Result<Node, E> {
        Ok(Node {
            kind,
            place: self.0,
        })
    }

    fn deeper<E: de::Error>(&self) -> Result<Self, E> {
        if self.1 >= MAX_DEPTH {
            return Err(E::custom("maps and lists lie too deep in each other"));
        }
        Ok(Self(self.0, self.1 + 1))
    }
}

impl<'de> Visitor<'de> for At {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        self.node(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        self.node(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        self.node(Kind::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        let kind =
            i64::try_from(value).map_or_else(|_| Kind::Number(value.to_string()), Kind::Integer);
        self.node(kind)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        self.node(Kind::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        self.node(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        self.node(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push((key, map.next_value_seed(self.deeper()?)?));
        }
        self.node(Kind::Map(entries))
    }
}
