//! Messages whose JSON is not an object of their fields: times, quantities, numbers that may be texts, raw JSON.

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use super::wire::{self, Malformed, Value};

const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Which of them a message is.
#[derive(Clone, Copy)]
enum Special {
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    /// A field of bytes which are JSON.
    Raw,
    /// A schema, or what else the two fields hold.
    SchemaOrList,
    SchemaOrBoolean,
    SchemaOrTexts,
}

fn special(name: &str) -> Option<Special> {
    Some(match name {
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time" => Special::Time,
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime" => Special::MicroTime,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Duration" => Special::Duration,
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"
        | "io.k8s.apimachinery.pkg.runtime.RawExtension" => Special::Raw,
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => Special::Quantity,
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => Special::IntOrString,
        _ => match name.strip_prefix(EXTENSIONS)? {
            "JSON" => Special::Raw,
            "JSONSchemaPropsOrArray" => Special::SchemaOrList,
            "JSONSchemaPropsOrBool" => Special::SchemaOrBoolean,
            "JSONSchemaPropsOrStringArray" => Special::SchemaOrTexts,
            _ => return None,
        },
    })
}

pub(super) fn is_special(name: &str) -> bool {
    special(name).is_some()
}

/// The JSON of such a message; nothing if it is a message like others. `null` of a time that is not set.
pub(super) fn read(name: &str, bytes: &[u8], depth: usize) -> Result<Option<Json>, Malformed> {
    let Some(special) = special(name) else {
        return Ok(None);
    };
    let (mut one, mut two, mut three) = (None, None, None);
    for field in wire::fields(bytes) {
        match field? {
            (1, value) => one = Some(value),
            (2, value) => two = Some(value),
            (3, value) => three = Some(value),
            _ => {}
        }
    }
    let json = match special {
        Special::Time | Special::MicroTime => {
            let (seconds, nanos) = (integer(one)?, integer(two)?);
            match Timestamp::new(seconds, nanos as i32) {
                _ if seconds == 0 && nanos == 0 => Json::Null,
                Ok(time) if matches!(special, Special::Time) => {
                    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
                }
                Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into(),
                Err(_) => return Err(Malformed::Shape),
            }
        }
        Special::Duration => format!("{}ns", integer(one)?).into(),
        Special::Quantity => text(one)?.into(),
        Special::IntOrString => match integer(one)? {
            0 => integer(two)?.into(),
            _ => text(three)?.into(),
        },
        Special::Raw => match one.map(Value::bytes).transpose()? {
            None | Some([]) => Json::Null,
            Some(raw) => {
                serde_json::from_slice(raw).map_err(|why| Malformed::Json(why.to_string()))?
            }
        },
        Special::SchemaOrList => {
            let list = repeated(bytes, |value| schema(value, depth))?;
            match one {
                _ if !list.is_empty() => list.into(),
                Some(one) => schema(one, depth)?,
                None => Json::Null,
            }
        }
        Special::SchemaOrBoolean => match two {
            Some(two) => schema(two, depth)?,
            None => (integer(one)? != 0).into(),
        },
        Special::SchemaOrTexts => {
            let list = repeated(bytes, |value| Ok(wire::text(value.bytes()?).into()))?;
            match one {
                Some(one) if list.is_empty() => schema(one, depth)?,
                _ => list.into(),
            }
        }
    };
    Ok(Some(json))
}

/// All values of field 2.
fn repeated(
    bytes: &[u8],
    mut read: impl FnMut(Value<'_>) -> Result<Json, Malformed>,
) -> Result<Vec<Json>, Malformed> {
    let mut list = Vec::new();
    for field in wire::fields(bytes) {
        if let (2, value) = field? {
            list.push(read(value)?);
        }
    }
    Ok(list)
}

fn schema(value: Value<'_>, depth: usize) -> Result<Json, Malformed> {
    let mut object = Map::new();
    super::message(SCHEMA, value.bytes()?, depth + 1, &mut object)?;
    Ok(Json::Object(object))
}

fn integer(value: Option<Value<'_>>) -> Result<i64, Malformed> {
    value.map_or(Ok(0), Value::integer)
}

fn text(value: Option<Value<'_>>) -> Result<String, Malformed> {
    value.map_or(Ok(String::new()), |value| Ok(wire::text(value.bytes()?)))
}
