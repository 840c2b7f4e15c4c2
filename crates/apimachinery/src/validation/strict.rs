//! Fields that a type does not have.

use serde_json::Value as Json;

use crate::schema::{Node, Shape, Type};

/// A server stops telling after so many.
const MOST: usize = 100;

/// What `fieldValidation=Strict` refuses and `Warn` warns of: `unknown field "spec.x"`, one text each.
#[must_use]
pub fn strict(schema: &Type, object: &Json) -> Vec<String> {
    let mut found = Vec::new();
    walk(&schema.node(), object, &mut String::new(), &mut found);
    found
}

fn walk(node: &Node, value: &Json, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match (&node.shape, value) {
        (
            Shape::Struct {
                fields,
                open,
                embedded,
                ..
            },
            Json::Object(map),
        ) => {
            for (name, value) in map {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                match fields.get(name.as_str()) {
                    Some(field) => walk(&field.value.node(), value, path, found),
                    None if *open || *embedded && is_of_every_object(name) => {}
                    None if found.len() < MOST => found.push(format!("unknown field {path:?}")),
                    None => {}
                }
                path.truncate(length);
            }
        }
        (Shape::Map { values, .. }, Json::Object(map)) => {
            let node = values.node();
            if is_leaf(&node) {
                return;
            }
            for (name, value) in map {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                walk(&node, value, path, found);
                path.truncate(length);
            }
        }
        (Shape::List { items, .. }, Json::Array(list)) => {
            let node = items.node();
            if is_leaf(&node) {
                return;
            }
            for (index, value) in list.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(&node, value, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn is_leaf(node: &Node) -> bool {
    !matches!(
        node.shape,
        Shape::Struct { .. } | Shape::Map { .. } | Shape::List { .. }
    )
}

fn is_of_every_object(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}
