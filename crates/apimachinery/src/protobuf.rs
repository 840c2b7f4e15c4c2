//! Request bodies of Kubernetes' protobuf encoding, turned into the JSON that they stand for.
//!
//! Typed Go clients (`kubectl create`, `kubectl auth`, Helm's release Secrets) send built-in kinds in this encoding and have
//! no other to fall back to; answers may always be JSON. What Go's JSON would leave out of an object is left out here too:
//! zero values of fields marked `omitempty` that are no pointers, which Go's protobuf encoder always writes.

mod special;
mod wire;

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json};

use crate::Status;
use crate::definitions;
use crate::resource::GroupVersionKind;
use wire::{Malformed, Value};

/// The media type of such bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Messages may hold each other this deep: as deep as JSON texts may be nested here.
const DEEPEST: usize = 100;

/// Whether a body is in this encoding, whatever its media type says.
#[must_use]
pub fn is_protobuf(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// The object in a body: a `runtime.Unknown` message behind four bytes, which names the kind of what it holds.
///
/// # Errors
/// `BadRequest` if the bytes are no such body, or of a kind that is not built in.
pub fn decode(body: &[u8]) -> Result<Json, Status> {
    let Some(body) = body.strip_prefix(MAGIC) else {
        return Err(Status::bad_request(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        ));
    };
    let (mut api_version, mut kind) = (String::new(), String::new());
    let (mut raw, mut media_type) = (&[][..], String::new());
    let envelope = wire::fields(body).try_for_each(|field| {
        match field? {
            (1, Value::Bytes(meta)) => {
                for field in wire::fields(meta) {
                    match field? {
                        (1, Value::Bytes(text)) => api_version = wire::text(text),
                        (2, Value::Bytes(text)) => kind = wire::text(text),
                        _ => {}
                    }
                }
            }
            (2, Value::Bytes(bytes)) => raw = bytes,
            (4, Value::Bytes(text)) => media_type = wire::text(text),
            _ => {}
        }
        Ok::<_, Malformed>(())
    });
    envelope.map_err(|why| malformed("the request's envelope", why))?;
    if media_type == "application/json" {
        return serde_json::from_slice(raw)
            .map_err(|why| Status::bad_request(format!("the object in the request: {why}")));
    }

    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let name = definitions::name_of_kind(&GroupVersionKind::new(group, version, &kind))
        .filter(|name| messages().contains_key(name))
        .ok_or_else(|| {
            Status::bad_request(format!(
                "no kind {kind:?} is registered for version {api_version:?}"
            ))
        })?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.clone().into());
    message(name, raw, 0, &mut object).map_err(|why| malformed(&kind, why))?;
    Ok(Json::Object(object))
}

fn malformed(what: &str, why: Malformed) -> Status {
    Status::bad_request(format!("{what} cannot be decoded: {why}"))
}

/// A field of a message.
struct Field {
    number: u32,
    /// In JSON; empty if the message's fields stand in JSON beside those of the message that has it.
    name: &'static str,
    kind: Kind,
    presence: Presence,
}

/// When Go's JSON has the field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// When it was set: pointers, lists, maps.
    Set,
    /// When it is not zero.
    NotZero,
    Always,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Double,
    Bytes,
    Message(&'static str),
    List(&'static Kind),
    Map(&'static Kind),
    /// A message whose only field is a list, which is a list in JSON (`ExtraValue`).
    Items(&'static Kind),
}

impl Kind {
    /// From the code that `data/generate.py` writes.
    fn of(code: &'static str) -> Self {
        let inner = |rest: &'static str| -> &'static Kind { Box::leak(Box::new(Self::of(rest))) };
        match code.split_at(1) {
            ("s", _) => Self::Text,
            ("i", _) => Self::Integer,
            ("b", _) => Self::Boolean,
            ("d", _) => Self::Double,
            ("y", _) => Self::Bytes,
            ("m", name) => Self::Message(name),
            ("[", rest) => Self::List(inner(rest)),
            ("{", rest) => Self::Map(inner(rest)),
            ("M", rest) => Self::Items(inner(rest)),
            _ => unreachable!("data/generate.py writes no code {code:?}"),
        }
    }
}

/// All messages by the names of their definitions.
fn messages() -> &'static HashMap<&'static str, Vec<Field>> {
    type Row = (u32, &'static str, &'static str, &'static str);
    static TEXT: OnceLock<String> = OnceLock::new();
    static ALL: OnceLock<HashMap<&'static str, Vec<Field>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text =
            TEXT.get_or_init(|| definitions::unpack(include_bytes!("../data/messages.json.gz")));
        let rows: HashMap<&'static str, Vec<Row>> =
            serde_json::from_str(text).expect("the vendored messages are JSON");
        let field = |(number, name, code, presence)| Field {
            number,
            name,
            kind: Kind::of(code),
            presence: match presence {
                "o" => Presence::NotZero,
                "v" => Presence::Always,
                _ => Presence::Set,
            },
        };
        rows.into_iter()
            .map(|(name, rows)| (name, rows.into_iter().map(field).collect()))
            .collect()
    })
}

/// Reads a message's fields into an object. Fields that this version does not know are passed over, as Go does.
fn message(
    name: &str,
    bytes: &[u8],
    depth: usize,
    object: &mut Map<String, Json>,
) -> Result<(), Malformed> {
    if depth > DEEPEST {
        return Err(Malformed::Deep);
    }
    let known = messages().get(name).map_or(&[][..], Vec::as_slice);
    for field in wire::fields(bytes) {
        let (number, value) = field?;
        let Some(field) = known.iter().find(|field| field.number == number) else {
            continue;
        };
        match (&field.kind, field.name) {
            (Kind::Message(inner), "") => message(inner, value.bytes()?, depth + 1, object)?,
            (Kind::List(item), name) => {
                let place = object
                    .entry(name)
                    .or_insert_with(|| Json::Array(Vec::new()));
                if let Json::Array(list) = place {
                    items(item, value, depth, list)?;
                }
            }
            (Kind::Map(inner), name) => {
                let place = object
                    .entry(name)
                    .or_insert_with(|| Json::Object(Map::new()));
                if let (Json::Object(map), (key, value)) =
                    (place, entry(inner, value.bytes()?, depth)?)
                {
                    map.insert(key, value);
                }
            }
            (Kind::Message(inner), name) if !special::is_special(inner) => {
                // Several pieces of one message are parts of it.
                let place = object
                    .entry(name)
                    .or_insert_with(|| Json::Object(Map::new()));
                if let Json::Object(map) = place {
                    message(inner, value.bytes()?, depth + 1, map)?;
                }
            }
            (kind, name) => {
                let value = single(kind, value, depth)?;
                if field.presence == Presence::NotZero && is_zero(&value) || value.is_null() {
                    object.remove(name);
                } else {
                    object.insert(name.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

/// A value that is no list and no map.
fn single(kind: &Kind, value: Value<'_>, depth: usize) -> Result<Json, Malformed> {
    Ok(match kind {
        Kind::Text => wire::text(value.bytes()?).into(),
        Kind::Integer => value.integer()?.into(),
        Kind::Boolean => (value.integer()? != 0).into(),
        Kind::Double => value.double()?.into(),
        Kind::Bytes => BASE64.encode(value.bytes()?).into(),
        Kind::Message(name) => match special::read(name, value.bytes()?, depth)? {
            Some(json) => json,
            None => {
                let mut object = Map::new();
                message(name, value.bytes()?, depth + 1, &mut object)?;
                Json::Object(object)
            }
        },
        Kind::Items(item) => {
            let mut list = Vec::new();
            for field in wire::fields(value.bytes()?) {
                if let (1, value) = field? {
                    items(item, value, depth, &mut list)?;
                }
            }
            Json::Array(list)
        }
        Kind::List(_) | Kind::Map(_) => return Err(Malformed::Shape),
    })
}

/// Adds to a list: one element, or several numbers that were packed together.
fn items(
    item: &Kind,
    value: Value<'_>,
    depth: usize,
    list: &mut Vec<Json>,
) -> Result<(), Malformed> {
    match (item, value) {
        (Kind::Integer | Kind::Boolean, Value::Bytes(packed)) => {
            for number in wire::packed(packed) {
                list.push(single(item, Value::Varint(number?), depth)?);
            }
        }
        _ => list.push(single(item, value, depth)?),
    }
    Ok(())
}

/// An entry of a map.
fn entry(kind: &Kind, bytes: &[u8], depth: usize) -> Result<(String, Json), Malformed> {
    let mut key = String::new();
    let mut value = None;
    for field in wire::fields(bytes) {
        match field? {
            (1, text) => key = wire::text(text.bytes()?),
            (2, inner) => value = Some(single(kind, inner, depth)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => match kind {
            Kind::Integer => 0.into(),
            Kind::Boolean => false.into(),
            Kind::Double => 0.0.into(),
            Kind::Text | Kind::Bytes => "".into(),
            kind => single(kind, Value::Bytes(&[]), depth)?,
        },
    };
    Ok((key, value))
}

fn is_zero(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(it) => !it,
        Json::Number(it) => it.as_f64() == Some(0.0),
        Json::String(it) => it.is_empty(),
        Json::Array(_) | Json::Object(_) => false,
    }
}

#[cfg(test)]
#[path = "protobuf/tests.rs"]
mod tests;
