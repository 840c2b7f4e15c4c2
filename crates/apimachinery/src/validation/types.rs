//! Values that are not of their field's type, as Go's decoder tells it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;

use crate::quantity::{self, Quantity};
use crate::schema::{Node, Shape, Type};

/// Whether each value is of its type's shape. `null` is of every type: it is the absence of a value.
///
/// # Errors
/// The first that is not, in Go's words: `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas
/// of type int32`. [`super::undecodable`] makes the failure of it. Where Go has a named type for texts (`v1.Protocol`) this
/// says `string`.
pub fn types(schema: &Type, object: &Json) -> Result<(), String> {
    walk(schema, object, "", &mut Vec::new())
}

fn walk<'a>(
    schema: &Type,
    value: &'a Json,
    holder: &str,
    path: &mut Vec<&'a str>,
) -> Result<(), String> {
    let node = schema.node();
    match (&node.shape, value) {
        (_, Json::Null) | (Shape::Any, _) => Ok(()),
        (Shape::Struct { fields, .. }, Json::Object(map)) => {
            let own = schema.name().map_or(holder, last_word);
            for (name, value) in map {
                if let Some(field) = fields.get(name.as_str()) {
                    path.push(name);
                    walk(&field.value, value, own, path)?;
                    path.pop();
                }
            }
            Ok(())
        }
        (Shape::Map { values, .. }, Json::Object(map)) => map
            .values()
            .try_for_each(|value| walk(values, value, holder, path)),
        (Shape::List { items, .. }, Json::Array(list)) => list
            .iter()
            .try_for_each(|value| walk(items, value, holder, path)),
        (Shape::Boolean, Json::Bool(_)) | (Shape::Number, Json::Number(_)) => Ok(()),
        (Shape::Integer, Json::Number(number)) => {
            let fits = match node.format.as_deref() {
                Some("int32") => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                _ => number.as_i64().is_some(),
            };
            if fits {
                Ok(())
            } else {
                Err(wrong(
                    &format!("number {number}"),
                    schema,
                    &node,
                    holder,
                    path,
                ))
            }
        }
        (Shape::String, Json::String(text)) => match node.format.as_deref() {
            Some("byte") => BASE64
                .decode(text)
                .map(drop)
                .map_err(|why| format!("illegal base64 data at input byte {}", offset(&why))),
            Some("date-time") => time(text, schema),
            _ => Ok(()),
        },
        (Shape::IntOrString, _) => int_or_string(&node, value),
        (_, value) => Err(wrong(kind_of(value), schema, &node, holder, path)),
    }
}

fn wrong(found: &str, schema: &Type, node: &Node, holder: &str, path: &[&str]) -> String {
    let kind = go_type(schema, node);
    if path.is_empty() {
        return format!("json: cannot unmarshal {found} into Go value of type {kind}");
    }
    let path = path.join(".");
    format!("json: cannot unmarshal {found} into Go struct field {holder}.{path} of type {kind}")
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn go_type(schema: &Type, node: &Node) -> Cow<'static, str> {
    match &node.shape {
        Shape::Struct { .. } => schema
            .name()
            .map_or("map[string]interface {}".into(), |name| {
                let package = name.rsplit('.').nth(1).unwrap_or_default();
                format!("{package}.{}", last_word(name)).into()
            }),
        Shape::Map { values, .. } => {
            format!("map[string]{}", go_type(values, &values.node())).into()
        }
        Shape::List { items, .. } => format!("[]{}", go_type(items, &items.node())).into(),
        Shape::Boolean => "bool".into(),
        Shape::Integer if node.format.as_deref() == Some("int32") => "int32".into(),
        Shape::Integer => "int64".into(),
        Shape::Number => "float64".into(),
        Shape::String if node.format.as_deref() == Some("byte") => "[]uint8".into(),
        Shape::String => "string".into(),
        Shape::IntOrString if node.format.as_deref() == Some("quantity") => {
            "resource.Quantity".into()
        }
        Shape::IntOrString => "intstr.IntOrString".into(),
        Shape::Any => "interface {}".into(),
    }
}

/// `PodSpec` of `io.k8s.api.core.v1.PodSpec`.
fn last_word(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn time(text: &str, schema: &Type) -> Result<(), String> {
    if text.parse::<jiff::Timestamp>().is_ok() && text.contains('T') {
        return Ok(());
    }
    let layout = if schema
        .name()
        .is_some_and(|name| name.ends_with("MicroTime"))
    {
        "2006-01-02T15:04:05.000000Z07:00"
    } else {
        "2006-01-02T15:04:05Z07:00"
    };
    Err(format!(
        "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
    ))
}

fn int_or_string(node: &Node, value: &Json) -> Result<(), String> {
    let quantity = node.format.as_deref() == Some("quantity");
    match value {
        // An empty text is zero.
        Json::String(text) if quantity && !text.is_empty() && Quantity::parse(text).is_none() => {
            Err(quantity::FORM.to_owned())
        }
        Json::String(_) => Ok(()),
        Json::Number(_) if quantity => Ok(()),
        Json::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
        Json::Number(number) => Err(format!(
            "json: cannot unmarshal number {number} into Go value of type int32"
        )),
        _ if quantity => Err(quantity::FORM.to_owned()),
        value => Err(format!(
            "json: cannot unmarshal {} into Go value of type int32",
            kind_of(value)
        )),
    }
}

fn offset(why: &base64::DecodeError) -> usize {
    match why {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            *at
        }
        base64::DecodeError::InvalidLength(length) => *length,
        base64::DecodeError::InvalidPadding => 0,
    }
}
