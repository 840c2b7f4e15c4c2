//! Tables: what `kubectl get` prints. Columns and cells are those of the real server's printers
//! (`pkg/printers/internalversion/printers.go` of kubernetes/kubernetes, at 1.33), so that a person sees what they are used to.
//!
//! A cell is computed from the object alone and the time, which ages are counted to. What no printer is known for has the
//! columns that the real server falls back to: the name and when it was created.

mod age;
mod cluster;
mod custom;
mod fields;
mod json_path;
mod network;
mod policy;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use self::fields::Fields;
use crate::resource::Resource;
use crate::schema::Type;

pub use self::age::human as human_duration;

/// What a row's `object` holds (the request's `includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Include {
    /// Nothing.
    None,
    /// A `PartialObjectMetadata`: what is sent unless something else is asked for.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    /// Of the query parameter `includeObject`; absent or empty is [`Include::Metadata`]. `None`: no such value.
    #[must_use]
    pub fn parse(parameter: Option<&str>) -> Option<Self> {
        match parameter {
            None | Some("" | "Metadata") => Some(Self::Metadata),
            Some("None") => Some(Self::None),
            Some("Object") => Some(Self::Object),
            Some(_) => None,
        }
    }
}

/// One column of a built-in resource.
struct Column {
    name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    kind: &'static str,
    format: &'static str,
    /// Whether it is shown by `-o wide` only.
    wide: bool,
    about: About,
}

/// Where a column's description comes from.
enum About {
    /// The definition of a field (`spec.replicas`).
    Field(&'static str),
    /// Words of our own.
    Words(&'static str),
}

impl Column {
    const fn of(name: &'static str, kind: &'static str, field: &'static str) -> Self {
        Self {
            name,
            kind,
            format: "",
            wide: false,
            about: About::Field(field),
        }
    }

    const fn told(name: &'static str, kind: &'static str, words: &'static str) -> Self {
        Self {
            name,
            kind,
            format: "",
            wide: false,
            about: About::Words(words),
        }
    }

    const fn named(self) -> Self {
        Self {
            format: "name",
            ..self
        }
    }

    const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    fn definition(&self, schema: &Type) -> Json {
        let description = match self.about {
            About::Words(words) => words.to_owned(),
            About::Field(path) => description(schema, path),
        };
        json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": description, "priority": i32::from(self.wide),
        })
    }
}

const NAME: Column = Column::of("Name", "string", "metadata.name").named();
const AGE: Column = Column::of("Age", "string", "metadata.creationTimestamp");

/// How objects of a kind are printed.
struct Printer {
    columns: &'static [Column],
    cells: fn(Fields<'_>, Timestamp) -> Vec<Json>,
}

/// What the real server falls back to for kinds without a printer of their own (roles, custom resource definitions, …).
static FALLBACK: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Created At", "date", "metadata.creationTimestamp"),
    ],
    cells: |object, _| {
        vec![
            object.name(),
            object.text("metadata.creationTimestamp").into(),
        ]
    },
};

fn printer(resource: &Resource) -> &'static Printer {
    let (group, kind) = (&*resource.kind.group, &*resource.kind.kind);
    workloads::printer(group, kind)
        .or_else(|| network::printer(group, kind))
        .or_else(|| storage::printer(group, kind))
        .or_else(|| cluster::printer(group, kind))
        .or_else(|| policy::printer(group, kind))
        .unwrap_or(&FALLBACK)
}

/// The column definitions of a resource (`columnDefinitions`). On a watch, the real server sends them with the first event
/// only.
#[must_use]
pub fn columns(resource: &Resource) -> Json {
    if resource.custom {
        return custom::columns(resource);
    }
    printer(resource)
        .columns
        .iter()
        .map(|column| column.definition(&resource.schema))
        .collect()
}

/// One row: its cells, in the order of [`columns`], and the object as `include` says.
#[must_use]
pub fn row(resource: &Resource, object: &Json, now: Timestamp, include: Include) -> Json {
    let cells = if resource.custom {
        custom::cells(resource, object, now)
    } else {
        (printer(resource).cells)(Fields::of(object), now)
    };
    let mut row = json!({ "cells": cells });
    if &*resource.kind.kind == "Pod"
        && resource.kind.group.is_empty()
        && let Some(completed) = workloads::completed(Fields::of(object))
    {
        row["conditions"] = json!([completed]);
    }
    match include {
        Include::None => {}
        Include::Metadata => {
            row["object"] = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object.get("metadata").cloned().unwrap_or_default(),
            });
        }
        Include::Object => row["object"] = object.clone(),
    }
    row
}

/// A whole `Table` of `meta.k8s.io/v1`. Its `metadata` is empty: the caller puts the list's there (`resourceVersion`,
/// `continue`, …), or for a single object that object's `resourceVersion`.
#[must_use]
pub fn render(resource: &Resource, objects: &[Json], now: Timestamp, include: Include) -> Json {
    let rows: Vec<Json> = objects
        .iter()
        .map(|object| row(resource, object, now, include))
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": columns(resource), "rows": rows,
    })
}

/// What the definitions say of a field; empty if they say nothing.
fn description(schema: &Type, path: &str) -> String {
    let mut at = schema.clone();
    for name in path.split('.') {
        let Some(next) = at.node().field(name) else {
            return String::new();
        };
        at = next;
    }
    at.node()
        .description
        .as_deref()
        .unwrap_or_default()
        .to_owned()
}
