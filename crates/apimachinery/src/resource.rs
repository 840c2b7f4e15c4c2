//! Resources: what a path of the API leads to.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::schema::Type;

/// A resource of a group, whatever its version: `deployments.apps`. What objects are stored under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// The group; empty for the core.
    pub group: Arc<str>,
    /// The plural name, in lower case.
    pub resource: Arc<str>,
}

impl GroupResource {
    /// Of a group (empty for the core) and a plural name.
    #[must_use]
    pub fn new(group: &str, resource: &str) -> Self {
        Self {
            group: group.into(),
            resource: resource.into(),
        }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// What an object says that it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersionKind {
    pub group: Arc<str>,
    pub version: Arc<str>,
    pub kind: Arc<str>,
}

impl GroupVersionKind {
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }
    }

    /// `apps/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// A verb of a resource, in discovery's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

/// A subresource that a resource has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`, `eviction`, …
    pub name: Arc<str>,
    /// What its bodies are: `Scale` of `autoscaling/v1`, `Eviction` of `policy/v1`, or the parent's own kind.
    pub kind: GroupVersionKind,
    pub verbs: Vec<Verb>,
}

/// One version of a resource that the server serves.
#[derive(Debug, Clone)]
pub struct Resource {
    pub kind: GroupVersionKind,
    /// The plural name (`deployments`).
    pub plural: Arc<str>,
    /// The singular name (`deployment`).
    pub singular: Arc<str>,
    pub short_names: Vec<Arc<str>>,
    /// `all`, …
    pub categories: Vec<Arc<str>>,
    pub namespaced: bool,
    pub verbs: Vec<Verb>,
    pub subresources: Vec<Subresource>,
    /// Of the whole object.
    pub schema: Type,
    /// Whether it comes from a CustomResourceDefinition: no strategic merge patch, no protobuf, merge keys from its schema.
    pub custom: bool,
    /// The columns that a CustomResourceDefinition asks for (`additionalPrinterColumns`), as they are written there.
    /// Empty for built-in resources, whose columns the server knows.
    pub printer_columns: Vec<PrinterColumn>,
}

/// A column of a custom resource's table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PrinterColumn {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub format: String,
    #[serde(default)]
    pub description: String,
    /// Above 0: only shown by `-o wide`.
    #[serde(default)]
    pub priority: i32,
    /// Where the value is, without braces (`.spec.replicas`).
    #[serde(rename = "jsonPath")]
    pub json_path: String,
}

impl Resource {
    /// What its objects are stored under.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.kind.group.clone(),
            resource: self.plural.clone(),
        }
    }

    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|one| &*one.name == name)
    }
}
