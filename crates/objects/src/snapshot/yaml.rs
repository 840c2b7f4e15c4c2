//! YAML, one object at a time.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::node::{Kind, Node};
use super::{MAX_DEPTH, MAX_VALUES, Place, Sink};

enum Frame {
    List {
        items: Vec<Node>,
        place: Place,
        /// Whether these are the items of a list object, which go out one by one.
        streamed: bool,
    },
    Map {
        entries: Vec<(String, Node)>,
        seen: HashSet<String>,
        key: Option<String>,
        place: Place,
    },
}

/// A map with more keys keeps a set of them to find duplicates.
const SMALL_MAP: usize = 16;

pub(super) fn read(text: &str, sink: &mut Sink<'_>) {
    let mut loader = Loader {
        sink,
        stack: Vec::new(),
        document: 0,
        values: 0,
        root: None,
        streamed: false,
        list: None,
    };
    if let Err((place, message)) = loader.run(text) {
        let document = loader.document.max(1);
        loader.sink.syntax(document, Some(place), message);
    }
}

struct Loader<'s, 'c> {
    sink: &'s mut Sink<'c>,
    stack: Vec<Frame>,
    document: u32,
    values: usize,
    root: Option<Node>,
    /// Whether items of this document went out already.
    streamed: bool,
    /// What a typed list (`PodList`) says of its items.
    list: Option<(String, String)>,
}

type Fault = (Place, String);

fn place(span: Span) -> Place {
    let cap = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: cap(span.start.line()),
        column: cap(span.start.col()).saturating_add(1),
    }
}

impl Loader<'_, '_> {
    fn run(&mut self, text: &str) -> Result<(), Fault> {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let marker = error.marker();
                let cap = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                let place = Place {
                    line: cap(marker.line()),
                    column: cap(marker.col()).saturating_add(1),
                };
                (place, error.info().to_owned())
            })?;
            let place = place(span);
            match event {
                Event::DocumentStart(_) => {
                    self.document += 1;
                    self.values = 0;
                    self.streamed = false;
                    self.list = None;
                }
                Event::DocumentEnd => self.end_document(),
                Event::Alias(_) => {
                    return Err((place, "aliases (`*name`) are not read".to_owned()));
                }
                Event::Scalar(text, style, _, tag) => {
                    let node = Node {
                        kind: scalar(&text, style, tag.is_some()),
                        place,
                    };
                    self.value(node)?;
                }
                Event::SequenceStart(..) => {
                    let streamed = self.at_items();
                    self.push(Frame::List {
                        items: Vec::new(),
                        place,
                        streamed,
                    })?;
                    if streamed {
                        self.streamed = true;
                        self.list = self.list_kind();
                    }
                }
                Event::MappingStart(..) => self.push(Frame::Map {
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                    place,
                })?,
                Event::SequenceEnd | Event::MappingEnd => {
                    let node = match self.stack.pop() {
                        Some(Frame::List { items, place, .. }) => Node {
                            kind: Kind::List(items),
                            place,
                        },
                        Some(Frame::Map { entries, place, .. }) => Node {
                            kind: Kind::Map(entries),
                            place,
                        },
                        None => continue,
                    };
                    self.value(node)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            }
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Result<(), Fault> {
        let (Frame::List { place, .. } | Frame::Map { place, .. }) = &frame;
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("maps and lists lie more than {MAX_DEPTH} deep in each other");
            return Err((*place, message));
        }
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return Err((
                *place,
                "a key that is a map or a list is not read".to_owned(),
            ));
        }
        self.stack.push(frame);
        Ok(())
    }

    /// Whether the value that comes now is that of `items` in a document's map.
    fn at_items(&self) -> bool {
        matches!(&self.stack[..], [Frame::Map { key: Some(key), .. }] if key == "items")
    }

    fn list_kind(&self) -> Option<(String, String)> {
        let [Frame::Map { entries, .. }, ..] = &self.stack[..] else {
            return None;
        };
        let text = |wanted: &str| {
            entries.iter().find_map(|(key, node)| match &node.kind {
                Kind::Text(text) if key == wanted => Some(text.clone()),
                _ => None,
            })
        };
        let kind = text("kind")?.strip_suffix("List")?.to_owned();
        (!kind.is_empty()).then(|| (text("apiVersion").unwrap_or_default(), kind))
    }

    fn value(&mut self, node: Node) -> Result<(), Fault> {
        self.values += 1;
        if self.values > MAX_VALUES {
            let message = format!("one object has more than {MAX_VALUES} values");
            return Err((node.place, message));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { streamed: true, .. }) => {
                self.values = 0;
                let list = self.list.as_ref();
                let default = list.map(|(version, kind)| (version.as_str(), kind.as_str()));
                self.sink.object(self.document, node, default);
            }
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map {
                entries, seen, key, ..
            }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let name = match node.kind {
                        Kind::Text(text) | Kind::Number(text) => text,
                        Kind::Integer(value) => value.to_string(),
                        Kind::Bool(value) => value.to_string(),
                        Kind::Null => "null".to_owned(),
                        Kind::List(_) | Kind::Map(_) => String::new(),
                    };
                    let twice = if entries.len() < SMALL_MAP {
                        entries.iter().any(|(other, _)| *other == name)
                    } else {
                        if seen.is_empty() {
                            seen.extend(entries.iter().map(|(key, _)| key.clone()));
                        }
                        !seen.insert(name.clone())
                    };
                    if twice {
                        return Err((node.place, format!("the key `{name}` comes twice")));
                    }
                    *key = Some(name);
                }
            },
        }
        Ok(())
    }

    fn end_document(&mut self) {
        self.stack.clear();
        let Some(root) = self.root.take() else {
            return;
        };
        if !self.streamed {
            self.sink.object(self.document, root, None);
        }
    }
}

/// YAML's core schema, with `~` and an empty value for null.
fn scalar(text: &str, style: ScalarStyle, tagged: bool) -> Kind {
    if style != ScalarStyle::Plain || tagged {
        return Kind::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some(first) = unsigned.bytes().next() else {
        return Kind::Text(text.to_owned());
    };
    if !first.is_ascii_digit() && first != b'.' {
        return Kind::Text(text.to_owned());
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .map_or_else(|_| Kind::Number(text.to_owned()), Kind::Integer);
    }
    let number = unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if number && text.parse::<f64>().is_ok() {
        return Kind::Number(text.to_owned());
    }
    Kind::Text(text.to_owned())
}
