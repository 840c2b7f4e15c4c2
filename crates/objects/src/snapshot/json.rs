//! JSON: objects one after the other, lists of objects, and plain arrays of them.

use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::node::At;
use super::{Place, Sink};

/// The parts of a list object that are read; the rest is skipped without a copy.
#[derive(serde::Deserialize)]
struct List<'a> {
    #[serde(default)]
    kind: Option<String>,
    #[serde(rename = "apiVersion", default)]
    api_version: Option<String>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

pub(super) fn read(text: &str, sink: &mut Sink<'_>) {
    let mut places = Places::new(text);
    let stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut document = 0;
    for next in stream {
        document += 1;
        match next {
            Ok(raw) => value(raw.get(), document, &mut places, sink),
            Err(error) => {
                let place = Place {
                    line: u32::try_from(error.line()).unwrap_or(u32::MAX),
                    column: u32::try_from(error.column()).unwrap_or(u32::MAX),
                };
                sink.syntax(document, Some(place), without_place(&error));
                return;
            }
        }
    }
}

fn value(raw: &str, document: u32, places: &mut Places<'_>, sink: &mut Sink<'_>) {
    if raw.starts_with('[') {
        if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw) {
            for item in items {
                one(item.get(), document, None, places, sink);
            }
        }
        return;
    }
    match serde_json::from_str::<List<'_>>(raw) {
        Ok(List {
            kind,
            api_version,
            items: Some(items),
        }) => {
            let kind = kind
                .as_deref()
                .and_then(|kind| kind.strip_suffix("List"))
                .filter(|kind| !kind.is_empty())
                .map(|kind| (api_version.as_deref().unwrap_or_default(), kind));
            for item in items {
                one(item.get(), document, kind, places, sink);
            }
        }
        _ => one(raw, document, None, places, sink),
    }
}

fn one(
    raw: &str,
    document: u32,
    default: Option<(&str, &str)>,
    places: &mut Places<'_>,
    sink: &mut Sink<'_>,
) {
    let place = places.of(raw);
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    match At(place, 0).deserialize(&mut deserializer) {
        Ok(node) => sink.object(document, node, default),
        Err(error) => sink.syntax(document, Some(place), without_place(&error)),
    }
}

/// The message without serde_json's own words on the place, which is given apart.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Lines and columns of slices of a text, asked for in the text's order. Every byte is looked at once: a text may be one line.
struct Places<'a> {
    text: &'a str,
    offset: usize,
    place: Place,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            offset: 0,
            place: Place { line: 1, column: 1 },
        }
    }

    fn of(&mut self, part: &str) -> Place {
        // `part` borrows from `text`, so the difference of their addresses is its offset.
        let offset = (part.as_ptr() as usize)
            .saturating_sub(self.text.as_ptr() as usize)
            .min(self.text.len());
        if offset > self.offset {
            for byte in &self.text.as_bytes()[self.offset..offset] {
                if *byte == b'\n' {
                    self.place.line += 1;
                    self.place.column = 1;
                } else if byte & 0xc0 != 0x80 {
                    // The later bytes of a character are no column of their own.
                    self.place.column = self.place.column.saturating_add(1);
                }
            }
            self.offset = offset;
        }
        self.place
    }
}
