//! Custom resources: the columns that their definition asks for.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::fields::Fields;
use super::json_path::JsonPath;
use super::{AGE, NAME, age};
use crate::resource::{PrinterColumn, Resource};

pub(super) fn columns(resource: &Resource) -> Json {
    let mut columns = vec![NAME.definition(&resource.schema)];
    if resource.printer_columns.is_empty() {
        let mut age = AGE.definition(&resource.schema);
        age["type"] = json!("date");
        columns.push(age);
    }
    columns.extend(resource.printer_columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": match column.description.as_str() {
                "" => format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    column.json_path
                ),
                description => description.to_owned(),
            },
            "priority": column.priority,
        })
    }));
    columns.into()
}

pub(super) fn cells(resource: &Resource, object: &Json, now: Timestamp) -> Vec<Json> {
    let fields = Fields::of(object);
    let mut cells = vec![fields.name()];
    if resource.printer_columns.is_empty() {
        cells.push(fields.age(now));
    }
    let columns = resource.printer_columns.iter();
    cells.extend(columns.map(|column| cell(column, object, now)));
    cells
}

/// A value as its column shows it. What is missing, or is not what the column says, is `null`, which prints as nothing.
fn cell(column: &PrinterColumn, object: &Json, now: Timestamp) -> Json {
    let found = JsonPath::parse(&column.json_path)
        .ok()
        .and_then(|path| path.first(object));
    let Some(value) = found else {
        return Json::Null;
    };
    match column.kind.as_str() {
        // Whole numbers only, cut off as Go cuts them off.
        #[allow(clippy::cast_possible_truncation)]
        "integer" => match (value.as_i64(), value.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(number)) => (number.trunc() as i64).into(),
            (None, None) => Json::Null,
        },
        "number" => value.as_f64().map_or(Json::Null, Json::from),
        "boolean" => value.as_bool().map_or(Json::Null, Json::from),
        "date" => match value.as_str() {
            Some("") => "<unknown>".into(),
            Some(time) if time.parse::<Timestamp>().is_ok() => age::since(time, now).into(),
            Some(_) => "<invalid>".into(),
            None => Json::Null,
        },
        // Texts print as they are, all else as JSON.
        "string" => match value {
            Json::String(text) => text.as_str().into(),
            Json::Null => Json::Null,
            other => other.to_string().into(),
        },
        _ => Json::Null,
    }
}
