//! What a schema takes out of objects and puts into them.

use serde_json::Value as Json;

use crate::schema::{Shape, Type};

/// Takes out fields that the schema does not have. Of `metadata` too: fields that no object has.
pub fn prune(schema: &Type, object: &mut Json) {
    let node = schema.node();
    match (&node.shape, object) {
        (Shape::Struct { fields, open, .. }, Json::Object(map)) => {
            if !open {
                map.retain(|name, _| fields.contains_key(name.as_str()));
            }
            for (name, value) in map {
                if let Some(field) = fields.get(name.as_str()) {
                    prune(&field.value, value);
                }
            }
        }
        (Shape::Map { values, .. }, Json::Object(map)) => {
            map.values_mut().for_each(|value| prune(values, value));
        }
        (Shape::List { items, .. }, Json::Array(list)) => {
            list.iter_mut().for_each(|value| prune(items, value));
        }
        _ => {}
    }
}

/// Puts in the schema's defaults; a `null` where none may be is as if it were not there. Built-in types inside, such as
/// `metadata`, are left alone.
pub fn default(schema: &Type, object: &mut Json) {
    if schema.name().is_some() {
        return;
    }
    let node = schema.node();
    match (&node.shape, object) {
        (Shape::Struct { fields, .. }, Json::Object(map)) => {
            for (name, field) in fields {
                let value = field.value.node();
                if !value.nullable && map.get(&**name).is_some_and(Json::is_null) {
                    map.remove(&**name);
                }
                if let Some(standard) = &value.default
                    && field.value.name().is_none()
                    && !map.contains_key(&**name)
                {
                    map.insert(name.to_string(), standard.clone());
                }
                if let Some(value) = map.get_mut(&**name) {
                    default(&field.value, value);
                }
            }
        }
        (Shape::Map { values, .. }, Json::Object(map)) => {
            map.values_mut().for_each(|value| default(values, value));
        }
        (Shape::List { items, .. }, Json::Array(list)) => {
            list.iter_mut().for_each(|value| default(items, value));
        }
        _ => {}
    }
}
