//! What is stored: an object's bytes, and what is asked of objects so often that it is read once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use apimachinery::GroupResource;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value as Json;

use super::fields::{self, Field};

/// The number of a write. Clients know it as `resourceVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Of a `resourceVersion` as clients send it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub resource: GroupResource,
    /// Empty for what has no namespace.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    #[must_use]
    pub fn new(resource: &GroupResource, namespace: &str, name: &str) -> Self {
        Self {
            resource: resource.clone(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.resource)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// An owner reference, as far as it is asked for without reading the object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Owner {
    #[serde(default)]
    pub uid: Box<str>,
    #[serde(default)]
    pub controller: bool,
}

/// An object as it was written at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: Key,
    pub uid: Box<str>,
    pub revision: Revision,
    /// The object's JSON, `metadata.resourceVersion` in it.
    pub bytes: Bytes,
    pub labels: BTreeMap<Box<str>, Box<str>>,
    pub owners: Box<[Owner]>,
    /// Whether it has a deletionTimestamp.
    pub deleting: bool,
    fields: Box<[Field]>,
}

impl Stored {
    /// Reads what is asked for often out of an object's bytes.
    ///
    /// # Errors
    /// When they aren't an object's JSON.
    pub(super) fn read(
        key: Key,
        revision: Revision,
        bytes: Bytes,
    ) -> Result<Self, serde_json::Error> {
        let head: Head = serde_json::from_slice(&bytes)?;
        let fields = fields::of(&key.resource, &bytes);
        Ok(Self {
            key,
            uid: head.metadata.uid,
            revision,
            bytes,
            labels: head.metadata.labels.unwrap_or_default(),
            owners: head.metadata.owner_references.unwrap_or_default(),
            deleting: head.metadata.deletion_timestamp.is_some(),
            fields,
        })
    }

    /// The object as a document.
    #[must_use]
    pub fn json(&self) -> Json {
        // What is stored was serialised from a document.
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// A field that can be selected by; empty when the object hasn't got it, as selectors want it.
    #[must_use]
    pub fn field(&self, path: &str) -> &str {
        match path {
            "metadata.name" => &self.key.name,
            "metadata.namespace" => &self.key.namespace,
            _ => self
                .fields
                .iter()
                .find(|(name, _)| *name == path)
                .map_or("", |(_, value)| value),
        }
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(|value| &**value)
    }

    /// The controller's uid, if it has one.
    #[must_use]
    pub fn controller(&self) -> Option<&str> {
        self.owners
            .iter()
            .find(|owner| owner.controller)
            .map(|owner| &*owner.uid)
    }

    /// About what it costs in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + 400
    }
}

#[derive(Deserialize, Default)]
struct Head {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: Box<str>,
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
    owner_references: Option<Box<[Owner]>>,
    deletion_timestamp: Option<Box<str>>,
}
