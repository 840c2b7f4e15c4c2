//! What an object breaks of its schema.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex::Regex;
use serde_json::{Map, Value as Json};

use super::rules;
use crate::schema::{ListKind, Node, Shape, Type};
use crate::status::Cause;
use crate::validation::cause::{
    below, duplicate, invalid, required, too_long, too_many, unsupported, wrong_type,
};

/// What an object breaks of its schema: types, required fields, values, lists' keys, and, if all of that holds, the rules in
/// CEL. `old` is the object before an update, for rules that compare. `metadata` is not looked at: its rules are those of every
/// object ([`crate::validation::object`]).
#[must_use]
pub fn check(schema: &Type, object: &Json, old: Option<&Json>) -> Vec<Cause> {
    let mut causes = Vec::new();
    value(schema, object, "", &mut causes);
    if causes.is_empty() {
        rules::evaluate(schema, object, old, "", &mut causes);
    }
    causes
}

fn value(schema: &Type, json: &Json, path: &str, causes: &mut Vec<Cause>) {
    // `metadata` of the object or of one inside it.
    if schema.name().is_some() {
        return;
    }
    let node = schema.node();
    if json.is_null() {
        if !node.nullable && !matches!(node.shape, Shape::Any) {
            causes.push(wrong_type(path, "null", kind_of(&node)));
        }
        return;
    }
    match (&node.shape, json) {
        (
            Shape::Struct {
                fields, required, ..
            },
            Json::Object(map),
        ) => {
            required_fields(required.iter().map(|name| &**name), map, path, causes);
            for (name, inner) in map {
                if let Some(field) = fields.get(name.as_str()) {
                    value(&field.value, inner, &below(path, name), causes);
                }
            }
        }
        (Shape::Map { values, .. }, Json::Object(map)) => {
            for (name, inner) in map {
                value(values, inner, &below(path, name), causes);
            }
        }
        (Shape::List { items, kind }, Json::Array(list)) => {
            for (index, inner) in list.iter().enumerate() {
                value(items, inner, &format!("{path}[{index}]"), causes);
            }
            twice(kind, list, path, causes);
        }
        (Shape::Boolean, Json::Bool(_))
        | (Shape::Number, Json::Number(_))
        | (Shape::String | Shape::IntOrString, Json::String(_))
        | (Shape::Any, _) => {}
        (Shape::Integer | Shape::IntOrString, Json::Number(number)) if is_whole(number) => {}
        (_, found) => {
            causes.push(wrong_type(path, json_kind(found), kind_of(&node)));
            return;
        }
    }
    if let Some(format) = &node.format {
        self::format(format, json, path, causes);
    }
    if let Some(Json::Object(rules)) = node.rules.as_deref() {
        keywords(rules, json, path, causes);
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|it| it.fract() == 0.0)
}

pub(super) fn kind_of(node: &Node) -> &'static str {
    match node.shape {
        Shape::Struct { .. } | Shape::Map { .. } => "object",
        Shape::List { .. } => "array",
        Shape::Boolean => "boolean",
        Shape::Integer => "integer",
        Shape::Number => "number",
        Shape::String => "string",
        Shape::IntOrString => "integer,string",
        Shape::Any => "",
    }
}

fn json_kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if is_whole(number) => "integer",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn required_fields<'a>(
    names: impl Iterator<Item = &'a str>,
    map: &Map<String, Json>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    for name in names {
        if !map.contains_key(name) {
            causes.push(required(below(path, name), ""));
        }
    }
}

/// Elements of sets, and keys of maps, that stand twice.
fn twice(kind: &ListKind, list: &[Json], path: &str, causes: &mut Vec<Cause>) {
    let identity = |item: &Json| match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(item.clone()),
        ListKind::Map(keys) => Some(
            keys.iter()
                .map(|key| (key.to_string(), item[&**key].clone()))
                .collect(),
        ),
    };
    let mut seen = std::collections::HashSet::new();
    for (index, item) in list.iter().enumerate() {
        if let Some(identity) = identity(item)
            && !seen.insert(identity.to_string())
        {
            causes.push(duplicate(format!("{path}[{index}]"), &identity));
        }
    }
}

/// The rules of JSON Schema that are no types. Inside of `allOf` and its like there may be properties and items again.
fn keywords(rules: &Map<String, Json>, json: &Json, path: &str, causes: &mut Vec<Cause>) {
    let number = |name: &str| rules.get(name).and_then(Json::as_f64);
    let count = |name: &str| rules.get(name).and_then(Json::as_u64);
    let says = |name: &str| rules.get(name) == Some(&Json::Bool(true));
    let mut wrong = |why: String| causes.push(invalid(path, json, format!("{path} in body {why}")));

    match json {
        Json::Number(n) => {
            let n = n.as_f64().unwrap_or_default();
            if let Some(least) = number("minimum") {
                if says("exclusiveMinimum") && n <= least {
                    wrong(format!("should be greater than {least}"));
                } else if n < least {
                    wrong(format!("should be greater than or equal to {least}"));
                }
            }
            if let Some(most) = number("maximum") {
                if says("exclusiveMaximum") && n >= most {
                    wrong(format!("should be less than {most}"));
                } else if n > most {
                    wrong(format!("should be less than or equal to {most}"));
                }
            }
            if let Some(of) = number("multipleOf")
                && of != 0.0
                && (n / of).fract() != 0.0
            {
                wrong(format!("should be a multiple of {of}"));
            }
        }
        Json::String(text) => {
            let length = text.chars().count() as u64;
            if let Some(least) = count("minLength").filter(|least| length < *least) {
                wrong(format!("should be at least {least} chars long"));
            }
            if let Some(Json::String(pattern)) = rules.get("pattern")
                && matches(pattern, text) == Some(false)
            {
                wrong(format!("should match '{pattern}'"));
            }
            if let Some(most) = count("maxLength").filter(|most| length > *most) {
                causes.push(too_long(path, most));
            }
        }
        Json::Array(list) => {
            let length = list.len() as u64;
            if let Some(least) = count("minItems").filter(|least| length < *least) {
                wrong(format!("should have at least {least} items"));
            }
            if says("uniqueItems") && has_twins(list) {
                wrong("shouldn't contain duplicates".to_owned());
            }
            if let Some(most) = count("maxItems").filter(|most| length > *most) {
                causes.push(too_many(path, list.len(), most));
            }
            if let Some(Json::Object(items)) = rules.get("items") {
                for (index, item) in list.iter().enumerate() {
                    keywords(items, item, &format!("{path}[{index}]"), causes);
                }
            }
        }
        Json::Object(map) => {
            let length = map.len() as u64;
            if let Some(least) = count("minProperties").filter(|least| length < *least) {
                wrong(format!("should have at least {least} properties"));
            }
            if let Some(most) = count("maxProperties").filter(|most| length > *most) {
                causes.push(too_many(path, map.len(), most));
            }
            if let Some(Json::Array(names)) = rules.get("required") {
                required_fields(names.iter().filter_map(Json::as_str), map, path, causes);
            }
            if let Some(Json::Object(properties)) = rules.get("properties") {
                for (name, inner) in properties {
                    if let (Json::Object(inner), Some(value)) = (inner, map.get(name)) {
                        keywords(inner, value, &below(path, name), causes);
                    }
                }
            }
            if let Some(Json::Object(inner)) = rules.get("additionalProperties") {
                for (name, value) in map {
                    keywords(inner, value, &below(path, name), causes);
                }
            }
        }
        Json::Null | Json::Bool(_) => {}
    }
    if let Some(kind) = rules.get("type").and_then(Json::as_str) {
        let found = json_kind(json);
        if found != kind && (kind, found) != ("number", "integer") {
            causes.push(wrong_type(path, found, kind));
        }
    }
    if let Some(Json::Array(values)) = rules.get("enum")
        && !values.contains(json)
    {
        let texts: Vec<String> = values.iter().map(plain).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        causes.push(unsupported(path, json, &texts));
    }
    combinations(rules, json, path, causes);
}

/// `allOf`, `anyOf`, `oneOf`, `not`.
fn combinations(rules: &Map<String, Json>, json: &Json, path: &str, causes: &mut Vec<Cause>) {
    let broken = |rule: &Json| {
        let mut causes = Vec::new();
        if let Json::Object(rule) = rule {
            keywords(rule, json, path, &mut causes);
        }
        causes
    };
    let list = |name: &str| rules.get(name).and_then(Json::as_array);
    let mut wrong = |why: &str| causes.push(invalid(path, &"".into(), format!("{path:?} {why}")));
    if let Some(any) = list("anyOf")
        && !any.iter().any(|rule| broken(rule).is_empty())
    {
        wrong("must validate at least one schema (anyOf)");
    }
    if let Some(one) = list("oneOf") {
        match one.iter().filter(|rule| broken(rule).is_empty()).count() {
            1 => {}
            0 => wrong("must validate one and only one schema (oneOf). Found none valid"),
            n => wrong(&format!(
                "must validate one and only one schema (oneOf). Found {n} valid alternatives"
            )),
        }
    }
    if let Some(not) = rules.get("not")
        && broken(not).is_empty()
    {
        wrong("must not validate the schema (not)");
    }
    for rule in list("allOf").into_iter().flatten() {
        causes.extend(broken(rule));
    }
}

fn has_twins(list: &[Json]) -> bool {
    let mut seen = std::collections::HashSet::new();
    !list.iter().all(|one| seen.insert(one.to_string()))
}

fn plain(json: &Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

/// Whether a text matches a pattern; nothing if the pattern is none.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    static KNOWN: OnceLock<Mutex<HashMap<String, Option<Regex>>>> = OnceLock::new();
    /// Patterns come with definitions, which users make as they like.
    const MOST: usize = 2000;
    let known = KNOWN.get_or_init(Mutex::default);
    let mut known = known.lock().unwrap_or_else(|broken| broken.into_inner());
    if known.len() >= MOST && !known.contains_key(pattern) {
        known.clear();
    }
    let compiled = known
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).ok());
    let compiled = compiled.clone()?;
    drop(known);
    Some(compiled.is_match(text))
}

/// The formats that Kubernetes checks and that are in use; others say nothing.
fn format(format: &str, json: &Json, path: &str, causes: &mut Vec<Cause>) {
    let ok = match (format, json) {
        ("int32", Json::Number(n)) => n.as_i64().is_none_or(|n| i32::try_from(n).is_ok()),
        ("date-time", Json::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
        ("date", Json::String(text)) => text.parse::<jiff::civil::Date>().is_ok(),
        ("ipv4", Json::String(text)) => text.parse::<std::net::Ipv4Addr>().is_ok(),
        ("ipv6", Json::String(text)) => text.parse::<std::net::Ipv6Addr>().is_ok(),
        ("byte", Json::String(text)) => BASE64.decode(text).is_ok(),
        ("uuid", Json::String(text)) => is_uuid(text),
        _ => true,
    };
    if !ok {
        let kind = if json.is_number() {
            "integer"
        } else {
            "string"
        };
        let why = format!("{path} in body must be of type {format}: {json}");
        let mut one = invalid(path, json, why);
        if kind == "integer" {
            one.reason = "FieldValueTypeInvalid".to_owned();
        }
        causes.push(one);
    }
}

fn is_uuid(text: &str) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit())
}
