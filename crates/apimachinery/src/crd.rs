//! CustomResourceDefinitions: whether one is valid, the resources that it makes, and what its schema does to objects:
//! pruning, defaults and validation.
//!
//! For an object of a custom resource a server does, in this order: [`prune`], [`default`], [`check`]. Rules in CEL
//! (`x-kubernetes-validations`) are evaluated; those that need what the interpreter does not have hold, and
//! [`unevaluated`] names them.

mod check;
mod definition;
mod prune;
mod rules;
mod schema;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::resource::{GroupVersionKind, PrinterColumn, Resource, Subresource, Verb};

pub use check::check;
pub use definition::validate;
pub use prune::{default, prune};
pub use rules::unevaluated;

/// Where a custom resource keeps what its `scale` subresource shows, as JSON paths (`.spec.replicas`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub label_selector: Option<String>,
}

/// A resource of each version that a definition serves. Nothing of a definition that is not valid.
#[must_use]
pub fn resources(definition: &Json) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let (Some(group), Some(kind), Some(plural)) = (
        spec["group"].as_str(),
        names["kind"].as_str(),
        names["plural"].as_str(),
    ) else {
        return Vec::new();
    };
    let singular = match names["singular"].as_str() {
        Some(singular) if !singular.is_empty() => singular.to_owned(),
        _ => kind.to_lowercase(),
    };
    versions(definition)
        .filter(|version| version["served"] == true)
        .filter_map(|version| {
            let kind = GroupVersionKind::new(group, version["name"].as_str()?, kind);
            Some(Resource {
                plural: plural.into(),
                singular: singular.as_str().into(),
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                namespaced: spec["scope"] == "Namespaced",
                verbs: vec![
                    Verb::Create,
                    Verb::Delete,
                    Verb::DeleteCollection,
                    Verb::Get,
                    Verb::List,
                    Verb::Patch,
                    Verb::Update,
                    Verb::Watch,
                ],
                subresources: subresources(&kind, version),
                schema: schema::object(
                    &version["schema"]["openAPIV3Schema"],
                    spec["preserveUnknownFields"] == true,
                ),
                custom: true,
                printer_columns: columns(Some(version)),
                kind,
            })
        })
        .collect()
}

fn subresources(kind: &GroupVersionKind, version: &Json) -> Vec<Subresource> {
    let change = vec![Verb::Get, Verb::Patch, Verb::Update];
    let mut all = Vec::new();
    if version["subresources"]["scale"].is_object() {
        all.push(Subresource {
            name: "scale".into(),
            kind: GroupVersionKind::new("autoscaling", "v1", "Scale"),
            verbs: change.clone(),
        });
    }
    if version["subresources"]["status"].is_object() {
        all.push(Subresource {
            name: "status".into(),
            kind: kind.clone(),
            verbs: change,
        });
    }
    all
}

/// The columns of a version, without NAME; `Age` if the definition has none.
#[must_use]
pub fn printer_columns(definition: &Json, version: &str) -> Vec<PrinterColumn> {
    columns(find(definition, version))
}

fn columns(version: Option<&Json>) -> Vec<PrinterColumn> {
    let columns = version
        .and_then(|version| version["additionalPrinterColumns"].as_array())
        .filter(|columns| !columns.is_empty());
    let Some(columns) = columns else {
        return vec![PrinterColumn {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: "when the object was created".to_owned(),
            priority: 0,
            json_path: ".metadata.creationTimestamp".to_owned(),
        }];
    };
    let text = |of: &Json| of.as_str().unwrap_or_default().to_owned();
    columns
        .iter()
        .map(|column| PrinterColumn {
            name: text(&column["name"]),
            kind: text(&column["type"]),
            format: text(&column["format"]),
            description: text(&column["description"]),
            priority: column["priority"]
                .as_i64()
                .and_then(|priority| i32::try_from(priority).ok())
                .unwrap_or(0),
            json_path: text(&column["jsonPath"]),
        })
        .collect()
}

/// Where a version keeps its scale, if it has one.
#[must_use]
pub fn scale_paths(definition: &Json, version: &str) -> Option<ScalePaths> {
    let scale = find(definition, version)?["subresources"]["scale"].as_object()?;
    let text = |name: &str| scale.get(name).and_then(Json::as_str).map(str::to_owned);
    Some(ScalePaths {
        spec_replicas: text("specReplicasPath")?,
        status_replicas: text("statusReplicasPath")?,
        label_selector: text("labelSelectorPath").filter(|path| !path.is_empty()),
    })
}

/// The version that objects are stored in.
#[must_use]
pub fn storage_version(definition: &Json) -> Option<&str> {
    versions(definition)
        .find(|version| version["storage"] == true)
        .and_then(|version| version["name"].as_str())
}

fn find<'a>(definition: &'a Json, version: &str) -> Option<&'a Json> {
    versions(definition).find(|one| one["name"] == version)
}

fn versions(definition: &Json) -> impl Iterator<Item = &Json> {
    definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
}

fn texts(list: &Json) -> Vec<Arc<str>> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Json::as_str).map(Arc::from).collect()
}

#[cfg(test)]
#[path = "crd/tests.rs"]
mod tests;
