//! OpenAPI v3 documents: what `kubectl explain`, `kubectl apply` and Helm read of a group's version.
//!
//! A document is made of the published definitions when it is asked for (some milliseconds) and kept by nobody here. It holds
//! every schema that it refers to. Operations have the parameters and media types by which clients decide what they may send;
//! their answers are described as JSON.

mod operations;
mod schemas;

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::resource::{GroupVersionKind, Resource};

/// A document that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub group: Arc<str>,
    pub version: Arc<str>,
}

impl Document {
    /// Its path below `/openapi/v3/`: `api/v1`, `apis/apps/v1`.
    #[must_use]
    pub fn path(&self) -> String {
        prefix(&self.group, &self.version)[1..].to_owned()
    }
}

/// The documents of some resources, in their order.
#[must_use]
pub fn documents(resources: &[Resource]) -> Vec<Document> {
    let mut all: Vec<Document> = Vec::new();
    for Resource { kind, .. } in resources {
        if !all
            .iter()
            .any(|one| one.group == kind.group && one.version == kind.version)
        {
            all.push(Document {
                group: kind.group.clone(),
                version: kind.version.clone(),
            });
        }
    }
    all
}

/// The document of a group's version. `resources` may hold others too; they are left out. `server` is the version that the
/// server tells of itself.
#[must_use]
pub fn document(group: &str, version: &str, resources: &[Resource], server: &str) -> Json {
    let mut paths = Map::new();
    let mut schemas = schemas::Schemas::default();
    let ours = |kind: &GroupVersionKind| &*kind.group == group && &*kind.version == version;
    for resource in resources.iter().filter(|one| ours(&one.kind)) {
        operations::add(&prefix(group, version), resource, &mut paths, &mut schemas);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server},
        "paths": paths,
        "components": {
            "schemas": schemas.all(group, version),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer token",
            }},
        },
    })
}

/// `/api/v1`, `/apis/apps/v1`.
fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

#[cfg(test)]
#[path = "openapi/tests.rs"]
mod tests;
