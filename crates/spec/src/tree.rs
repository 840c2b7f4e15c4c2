//! YAML as a tree of values that know their places.
//!
//! A spec is plain YAML 1.2: maps with text keys, lists, scalars. Anchors, aliases and tags are refused: overlays are the
//! way to share values, and what isn't expanded can't explode. Size and depth are bounded; every text gives a tree or
//! diagnostics, never a panic.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How deep maps and lists may lie in each other. A spec needs 8.
pub const MAX_DEPTH: usize = 32;

/// How many entries a map or a list may have.
pub const MAX_ENTRIES: usize = 4096;

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Where it is. A map, a list or an empty value that has a key is where its key is.
    pub place: Place,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number, as it is written: `1.30` stays `1.30`.
    Float(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub place: Place,
    /// The value.
    pub node: Node,
}

/// Equal values are equal wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl Node {
    /// The value without places. Numbers that JSON doesn't have become text.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Integer(value) => Value::from(*value),
            Kind::Float(text) => text
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map_or_else(|| Value::String(text.clone()), Value::Number),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.node.to_json()))
                    .collect(),
            ),
        }
    }

    /// The entry of a map under `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The child at a key of a map or an index of a list.
    pub fn child(&self, segment: &str) -> Option<&Node> {
        match &self.kind {
            Kind::List(items) => items.get(segment.parse::<usize>().ok()?),
            _ => self.entry(segment).map(|entry| &entry.node),
        }
    }

    /// The node at a path of keys and indices.
    pub fn get<S: AsRef<str>>(&self, path: &[S]) -> Option<&Node> {
        path.iter()
            .try_fold(self, |node, segment| node.child(segment.as_ref()))
    }

    /// The child at a key or an index, to be changed.
    pub(crate) fn child_mut(&mut self, segment: &str) -> Option<&mut Node> {
        match &mut self.kind {
            Kind::List(items) => items.get_mut(segment.parse::<usize>().ok()?),
            Kind::Map(entries) => entries
                .iter_mut()
                .find(|entry| entry.key == segment)
                .map(|entry| &mut entry.node),
            _ => None,
        }
    }

    /// Sets the value at a path of keys; maps are made on the way where there are none.
    pub(crate) fn set(&mut self, path: &[&str], node: Node) {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        if !matches!(self.kind, Kind::Map(_)) {
            self.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut self.kind else {
            return;
        };
        let index = entries
            .iter()
            .position(|entry| entry.key == *first)
            .unwrap_or_else(|| {
                let place = node.place.clone();
                let empty = Node {
                    kind: Kind::Map(Vec::new()),
                    place: place.clone(),
                };
                entries.push(Entry {
                    key: (*first).to_owned(),
                    place,
                    node: empty,
                });
                entries.len() - 1
            });
        entries[index].node.set(rest, node);
    }

    /// What the value is, with its article, for messages.
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Integer(_) => "a whole number",
            Kind::Float(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

enum Frame {
    List {
        items: Vec<Node>,
        place: Place,
    },
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, usize>,
        key: Option<(String, Place)>,
        place: Place,
    },
}

/// Reads a text. An empty one (comments alone) is [`Kind::Null`].
///
/// # Errors
///
/// Everything that is wrong with it as YAML, up to the first fault that leaves the rest without meaning.
pub fn parse(source: &Arc<Source>) -> Result<Node, Vec<Diagnostic>> {
    if source.text().len() > MAX_BYTES {
        let message = format!(
            "the file has {} bytes; {MAX_BYTES} are the most",
            source.text().len()
        );
        return Err(vec![
            Diagnostic::error("too-large", message).at(Place::new(source, 0..0)),
        ]);
    }
    let mut reader = Reader {
        source,
        offsets: Offsets::new(source.text()),
        stack: Vec::new(),
        faults: Vec::new(),
        root: None,
    };
    let finished = reader.read();
    if let Err(fault) = finished {
        reader.faults.push(fault);
    }
    match reader.root {
        _ if !reader.faults.is_empty() => Err(reader.faults),
        Some(root) => Ok(root),
        None => Ok(Node {
            kind: Kind::Null,
            place: Place::new(source, 0..0),
        }),
    }
}

/// The parser counts characters; places count bytes.
enum Offsets {
    Ascii,
    Bytes(Vec<usize>),
}

impl Offsets {
    fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii;
        }
        Self::Bytes(
            text.char_indices()
                .map(|(byte, _)| byte)
                .chain([text.len()])
                .collect(),
        )
    }

    fn byte(&self, character: usize) -> usize {
        match self {
            Self::Ascii => character,
            Self::Bytes(bytes) => bytes
                .get(character)
                .or(bytes.last())
                .copied()
                .unwrap_or_default(),
        }
    }
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    offsets: Offsets,
    stack: Vec<Frame>,
    faults: Vec<Diagnostic>,
    root: Option<Node>,
}

impl Reader<'_> {
    fn place(&self, span: Span) -> Place {
        let start = self.offsets.byte(span.start.index());
        let end = self.offsets.byte(span.end.index()).max(start);
        let text = self.source.text().get(start..end).unwrap_or_default();
        Place::new(self.source, start..start + text.trim_end().len())
    }

    fn read(&mut self) -> Result<(), Diagnostic> {
        let mut parser = Parser::new_from_str(self.source.text());
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| self.syntax(&error))?;
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Diagnostic::error(
                            "several-documents",
                            "a spec is one YAML document; here a second one starts",
                        )
                        .at(self.place(span))
                        .help("remove the `---`"));
                    }
                }
                Event::Alias(_) => {
                    self.refuse("aliases (`*name`)", span);
                    self.value(Node {
                        kind: Kind::Null,
                        place: self.place(span),
                    })?;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_decoration(anchor, tag.is_some(), span);
                    self.scalar(&text, style, span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_decoration(anchor, tag.is_some(), span);
                    let place = self.container(span)?;
                    self.stack.push(Frame::List {
                        items: Vec::new(),
                        place,
                    });
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_decoration(anchor, tag.is_some(), span);
                    let place = self.container(span)?;
                    self.stack.push(Frame::Map {
                        entries: Vec::new(),
                        seen: HashMap::new(),
                        key: None,
                        place,
                    });
                }
                Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                    Some(Frame::List { items, place }) => self.value(Node {
                        kind: Kind::List(items),
                        place,
                    })?,
                    Some(Frame::Map { entries, place, .. }) => self.value(Node {
                        kind: Kind::Map(entries),
                        place,
                    })?,
                    None => {}
                },
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    /// A list or a map starts: its place is its key's, when it has one.
    fn container(&mut self, span: Span) -> Result<Place, Diagnostic> {
        let here = self.place(span);
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("maps and lists lie more than {MAX_DEPTH} deep in each other");
            return Err(Diagnostic::error("too-deep", message).at(here));
        }
        match self.stack.last() {
            Some(Frame::Map {
                key: Some((_, place)),
                ..
            }) => Ok(place.clone()),
            Some(Frame::Map { key: None, .. }) => Err(Diagnostic::error(
                "key-not-text",
                "a key is a map or a list; keys are text",
            )
            .at(here)),
            _ => Ok(here),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Result<(), Diagnostic> {
        let kind = if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            Kind::Text(text.to_owned())
        };
        let mut place = self.place(span);
        match self.stack.last_mut() {
            Some(Frame::Map {
                key: key @ None, ..
            }) => {
                *key = Some((text.to_owned(), place.clone()));
                if !matches!(kind, Kind::Text(_)) {
                    let fault = if text.is_empty() {
                        Diagnostic::error("key-not-text", "a key is missing before the `:`")
                            .at(place)
                    } else {
                        Diagnostic::error(
                            "key-not-text",
                            format!("the key `{text}` is not text in YAML"),
                        )
                        .at(place)
                        .help(format!("put it in quotes: \"{text}\""))
                    };
                    self.faults.push(fault);
                }
                return Ok(());
            }
            Some(Frame::Map {
                key: Some((_, key)),
                ..
            }) if matches!(kind, Kind::Null) && text.is_empty() => {
                place = key.clone();
            }
            _ => {}
        }
        if let Kind::Float(text) = &kind
            && !text.parse::<f64>().is_ok_and(f64::is_finite)
        {
            let message = format!("`{text}` is not a number that a spec can hold");
            self.faults
                .push(Diagnostic::error("not-finite", message).at(place.clone()));
        }
        self.value(Node { kind, place })
    }

    /// A value is complete: it goes into what it lies in.
    fn value(&mut self, node: Node) -> Result<(), Diagnostic> {
        let entries = match self.stack.last() {
            Some(Frame::List { items, .. }) => items.len(),
            Some(Frame::Map { entries, .. }) => entries.len(),
            None => 0,
        };
        if entries >= MAX_ENTRIES {
            let message = format!("a map or a list has more than {MAX_ENTRIES} entries");
            return Err(Diagnostic::error("too-large", message).at(node.place));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map {
                entries, seen, key, ..
            }) => {
                let Some((key, place)) = key.take() else {
                    return Err(Diagnostic::error("key-not-text", "keys are text").at(node.place));
                };
                if let Some(first) = seen.get(&key) {
                    let message = format!(
                        "the key `{key}` is there twice, first on line {}",
                        entries[*first].place.line()
                    );
                    self.faults.push(
                        Diagnostic::error("duplicate-key", message)
                            .at(place)
                            .help("keep one of them"),
                    );
                } else {
                    seen.insert(key.clone(), entries.len());
                    entries.push(Entry { key, place, node });
                }
            }
        }
        Ok(())
    }

    fn refuse_decoration(&mut self, anchor: usize, tag: bool, span: Span) {
        if anchor > 0 {
            self.refuse("anchors (`&name`)", span);
        }
        if tag {
            self.refuse("tags (`!name`)", span);
        }
    }

    fn refuse(&mut self, what: &str, span: Span) {
        let fault = Diagnostic::error("unsupported-yaml", format!("a spec has no YAML {what}"))
            .at(self.place(span))
            .help("write the value out; what environments share belongs in platform.yaml");
        self.faults.push(fault);
    }

    fn syntax(&self, error: &saphyr_parser::ScanError) -> Diagnostic {
        let byte = self.offsets.byte(error.marker().index());
        let place = Place::new(self.source, byte..byte);
        let indentation = place
            .source_line()
            .bytes()
            .take_while(|byte| byte.is_ascii_whitespace());
        let info = error.info();
        if info.contains("recursion limit") {
            return Diagnostic::error(
                "too-deep",
                format!("maps and lists lie more than {MAX_DEPTH} deep in each other"),
            )
            .at(place);
        }
        let (message, help) = if indentation.clone().any(|byte| byte == b'\t') {
            (
                "a tab in the indentation".to_owned(),
                Some("YAML indents with spaces"),
            )
        } else if info.contains("mapping values are not allowed") {
            (
                "a `:` where no key can be".to_owned(),
                Some("put a text that has `: ` in it in quotes, or check the indentation"),
            )
        } else if info.contains("simple key expected") || info.contains("expected ':'") {
            (
                "a key without its `:`".to_owned(),
                Some("write `key: value`, or check the indentation"),
            )
        } else {
            (
                format!("this is not YAML: {info}"),
                Some("check the indentation, brackets and quotes here and just above"),
            )
        };
        let diagnostic = Diagnostic::error("yaml-syntax", message).at(place);
        match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

/// The value of a plain scalar by YAML 1.2's core schema (section 10.3.2).
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => {
            return Kind::Float(text.to_owned());
        }
        _ => {}
    }
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix)
            .and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| text.parse().ok())
    {
        return Kind::Integer(number);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if numeric && text.parse::<f64>().is_ok() {
        return Kind::Float(text.to_owned());
    }
    Kind::Text(text.to_owned())
}

#[cfg(test)]
mod tests;
