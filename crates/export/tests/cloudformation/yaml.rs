//! Templates read as YAML: short intrinsics become their long form, as JSON templates have them.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value as Json, json};

/// The document of a template's text.
pub(crate) fn parse(text: &str) -> Json {
    let events = Parser::new_from_str(text).map(|event| event.expect("the template is YAML").0);
    let mut events = events.filter(|event| {
        !matches!(
            event,
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd
        )
    });
    let first = events.next().unwrap();
    let document = node(first, &mut events);
    assert!(events.next().is_none(), "one document");
    document
}

fn node<'a>(event: Event<'a>, events: &mut dyn Iterator<Item = Event<'a>>) -> Json {
    let (tag, value) = match event {
        Event::Scalar(text, style, 0, tag) => {
            let plain = style == ScalarStyle::Plain && tag.is_none();
            (tag, if plain { scalar(&text) } else { json!(text) })
        }
        Event::SequenceStart(0, tag) => {
            let mut items = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::SequenceEnd => break,
                    item => items.push(node(item, events)),
                }
            }
            (tag, Json::Array(items))
        }
        Event::MappingStart(0, tag) => {
            let mut entries = Map::new();
            loop {
                let key = match events.next().unwrap() {
                    Event::MappingEnd => break,
                    Event::Scalar(key, ..) => key.into_owned(),
                    other => panic!("a key that is no text: {other:?}"),
                };
                let value = events.next().unwrap();
                let value = node(value, events);
                assert!(entries.insert(key.clone(), value).is_none(), "{key} twice");
            }
            (tag, Json::Object(entries))
        }
        other => panic!("no place for {other:?}"),
    };
    let Some(tag) = tag else { return value };
    assert_eq!(tag.handle, "!");
    match (tag.suffix.as_str(), value) {
        ("Ref", value) => json!({ "Ref": value }),
        ("GetAtt", value) => {
            let (id, attribute) = value.as_str().unwrap().split_once('.').unwrap();
            json!({ "Fn::GetAtt": [id, attribute] })
        }
        (name, value) => json!({ format!("Fn::{name}"): value }),
    }
}

/// A plain scalar by YAML's core schema.
fn scalar(text: &str) -> Json {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        "null" | "~" | "" => Json::Null,
        _ => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => json!(text),
        },
    }
}
