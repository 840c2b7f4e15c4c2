//! Whether a configuration fits its type, in structured-merge-diff's words.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::managed::fields::{Element, element_text};
use crate::managed::shape::{Member, item_element, member, rooted};
use crate::schema::{ListKind, Shape, Type};

/// What is wrong with an object, each with its path (`.spec.replicas: expected numeric (int or float), got string`).
pub fn problems(schema: &Type, object: &Json) -> Vec<String> {
    let mut problems = Vec::new();
    within(&rooted(schema), object, &mut Vec::new(), &mut problems);
    problems
}

/// A step of the path to a value. It only becomes a text when there is a problem to tell.
enum Step<'a> {
    Name(&'a str),
    Item(Element),
}

/// Problems as one message.
pub fn message(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        several => {
            let mut lines = vec!["errors:".to_owned()];
            lines.extend(several.iter().map(|problem| format!("  {problem}")));
            lines.join("\n")
        }
    }
}

fn tell(path: &[Step<'_>], problem: &str, problems: &mut Vec<String>) {
    let path: String = path
        .iter()
        .map(|step| match step {
            Step::Name(name) => format!(".{name}"),
            Step::Item(element) => element_text(element),
        })
        .collect();
    problems.push(if path.is_empty() {
        problem.to_owned()
    } else {
        format!("{path}: {problem}")
    });
}

fn within<'a>(of: &Type, value: &'a Json, path: &mut Vec<Step<'a>>, problems: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    let node = of.node();
    let got = || go_value(value);
    match (&node.shape, value) {
        (Shape::Struct { .. } | Shape::Map { .. } | Shape::Any, Json::Object(members)) => {
            for (name, value) in members {
                path.push(Step::Name(name));
                let member = member(&node, name);
                let is_unknown = matches!(member, Member::Unknown);
                if is_unknown {
                    tell(path, "field not declared in schema", problems);
                } else {
                    within(member.of_type(), value, path, problems);
                }
                path.pop();
                if is_unknown {
                    break;
                }
            }
        }
        (Shape::List { items, kind }, Json::Array(list)) => {
            let mut seen = BTreeSet::new();
            for (place, item) in list.iter().enumerate() {
                let element = if *kind == ListKind::Atomic {
                    format!("i:{place}").into_boxed_str()
                } else {
                    match item_element(items, kind, item) {
                        Ok(element) => element,
                        Err(problem) => {
                            tell(path, &format!("element {place}: {problem}"), problems);
                            return;
                        }
                    }
                };
                if !seen.insert(element.clone()) {
                    let key = element_text(&element);
                    tell(path, &format!("duplicate entries for key {key}"), problems);
                }
                path.push(Step::Item(element));
                within(items, item, path, problems);
                path.pop();
            }
        }
        (Shape::Struct { .. } | Shape::Map { .. }, _) => {
            tell(path, &format!("expected map, got &{{{}}}", got()), problems);
        }
        (Shape::List { .. }, _) => {
            tell(
                path,
                &format!("expected list, got &{{{}}}", got()),
                problems,
            );
        }
        (Shape::Boolean, other) if !other.is_boolean() => tell(
            path,
            &format!("expected boolean, got &{{{}}}", got()),
            problems,
        ),
        (Shape::Integer | Shape::Number, other) if !other.is_number() => tell(
            path,
            &format!("expected numeric (int or float), got {}", go_type(other)),
            problems,
        ),
        (Shape::String, other) if !other.is_string() => tell(
            path,
            &format!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                got()
            ),
            problems,
        ),
        (Shape::IntOrString, Json::Array(_) | Json::Object(_)) => tell(
            path,
            &format!("expected any scalar, got &{{{}}}", got()),
            problems,
        ),
        _ => {}
    }
}

/// A value as Go prints it.
pub fn go_value(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".to_owned(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(go_value).collect();
            format!("[{}]", items.join(" "))
        }
        Json::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", go_value(value)))
                .collect();
            members.sort_unstable();
            format!("map[{}]", members.join(" "))
        }
    }
}

/// The Go type that a value is decoded into.
pub fn go_type(value: &Json) -> &'static str {
    match value {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float64",
        Json::Number(_) => "int64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}
