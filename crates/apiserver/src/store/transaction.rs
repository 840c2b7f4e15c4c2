//! Reading and writing several objects as one.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use apimachinery::status::Reason;
use apimachinery::{GroupResource, Status};
use bytes::Bytes;
use serde_json::Value as Json;

use super::object::{Key, Revision, Stored};
use super::state::{Change, ChangeKind, State};

/// A view of the store with its own writes in it.
pub struct Transaction<'a> {
    state: &'a RwLock<State>,
    revision: Revision,
    /// What it has written of each key, if it is still there.
    own: BTreeMap<Key, Option<Arc<Stored>>>,
    writes: Vec<Change>,
    discarded: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(state: &'a RwLock<State>) -> Self {
        Self {
            revision: super::read(state).revision(),
            state,
            own: BTreeMap::new(),
            writes: Vec::new(),
            discarded: false,
        }
    }

    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        match self.own.get(key) {
            Some(own) => own.clone(),
            None => super::read(self.state).get(key).cloned(),
        }
    }

    /// The objects of a resource, as [`super::Store::list`] gives them.
    #[must_use]
    pub fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let mut items = super::read(self.state).list(resource, namespace).items;
        let own: Vec<_> = self
            .own
            .iter()
            .filter(|(key, _)| {
                key.resource == *resource && namespace.is_none_or(|of| *key.namespace == *of)
            })
            .collect();
        if !own.is_empty() {
            items.retain(|stored| !self.own.contains_key(&stored.key));
            items.extend(own.into_iter().filter_map(|(_, stored)| stored.clone()));
            items.sort_by(|a, b| a.key.cmp(&b.key));
        }
        items
    }

    /// Writes an object; its `metadata.resourceVersion` is set to the new revision.
    ///
    /// # Errors
    /// When it isn't an object.
    pub fn put(&mut self, key: &Key, object: Json) -> Result<Arc<Stored>, Status> {
        let before = self.get(key);
        let revision = self.revision.next();
        let stored = Arc::new(stored(key, revision, object)?);
        self.revision = revision;
        self.own.insert(key.clone(), Some(stored.clone()));
        self.writes.push(Change {
            revision,
            kind: if before.is_some() {
                ChangeKind::Modified
            } else {
                ChangeKind::Added
            },
            object: stored.clone(),
            before,
        });
        Ok(stored)
    }

    /// Deletes an object, which was last as `last` (or as it is stored). Gives what watches will tell.
    ///
    /// # Errors
    /// When there is none, or `last` isn't an object.
    pub fn remove(&mut self, key: &Key, last: Option<Json>) -> Result<Arc<Stored>, Status> {
        let before = self.get(key).ok_or_else(|| {
            Status::not_found(&key.resource.group, &key.resource.resource, &key.name)
        })?;
        let revision = self.revision.next();
        let last = last.unwrap_or_else(|| before.json());
        let stored = Arc::new(stored(key, revision, last)?);
        self.revision = revision;
        self.own.insert(key.clone(), None);
        self.writes.push(Change {
            revision,
            kind: ChangeKind::Deleted,
            object: stored.clone(),
            before: Some(before),
        });
        Ok(stored)
    }

    /// Nothing of it is to be kept: for dry runs.
    pub fn discard(&mut self) {
        self.discarded = true;
    }

    pub(super) fn into_writes(self) -> Vec<Change> {
        if self.discarded {
            Vec::new()
        } else {
            self.writes
        }
    }
}

fn stored(key: &Key, revision: Revision, mut object: Json) -> Result<Stored, Status> {
    let wrong = |why: String| Status::new(Reason::InternalError, format!("{key}: {why}"));
    object
        .get_mut("metadata")
        .and_then(Json::as_object_mut)
        .ok_or_else(|| wrong("an object without metadata".to_owned()))?
        .insert("resourceVersion".to_owned(), revision.to_string().into());
    let bytes = serde_json::to_vec(&object).map_err(|error| wrong(error.to_string()))?;
    // Kept for long, and by the ten thousand: without the room that the text had for growing.
    Stored::read(key.clone(), revision, Bytes::from(bytes.into_boxed_slice()))
        .map_err(|error| wrong(error.to_string()))
}
