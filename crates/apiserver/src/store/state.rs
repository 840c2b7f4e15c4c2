//! What is in the store now, and what happened of late.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use apimachinery::GroupResource;

use super::object::{Key, Revision, Stored};

/// How many changes one call of [`super::Store::changes`] looks at.
const LOOKED_AT: usize = 4096;

/// Objects, as of a revision.
#[derive(Debug, Clone)]
pub struct Listing {
    pub items: Vec<Arc<Stored>>,
    pub revision: Revision,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// A write.
#[derive(Debug, Clone)]
pub struct Change {
    pub revision: Revision,
    pub kind: ChangeKind,
    /// The object as it was written; of a deletion, as it was last, with the revision of the deletion.
    pub object: Arc<Stored>,
    /// What was there before: whether a selector matched it decides what a watch tells.
    pub before: Option<Arc<Stored>>,
}

/// Changes, and how far they go: the next call begins after this revision.
#[derive(Debug, Clone)]
pub struct Changes {
    pub items: Vec<Change>,
    pub revision: Revision,
}

/// What happened after a revision isn't known any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Expired {
    pub asked: Revision,
    /// The oldest revision that changes can be asked after.
    pub oldest: Revision,
}

/// The objects of a resource.
#[derive(Default)]
struct Shelf {
    /// By namespace and name.
    objects: BTreeMap<(Arc<str>, Arc<str>), Arc<Stored>>,
    /// When one of them was last written or deleted.
    changed: Revision,
}

/// Everything in memory.
pub(super) struct State {
    revision: Revision,
    shelves: BTreeMap<GroupResource, Shelf>,
    ring: VecDeque<Change>,
    ring_bytes: usize,
    /// The ring is complete after this.
    oldest: Revision,
    most: (usize, usize),
}

impl State {
    /// An empty one, which keeps at most so many changes and bytes of changed objects.
    pub(super) fn new(changes: usize, bytes: usize) -> Self {
        Self {
            revision: Revision(0),
            shelves: BTreeMap::new(),
            ring: VecDeque::new(),
            ring_bytes: 0,
            oldest: Revision(0),
            most: (changes, bytes),
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        // The map's key is a pair of handles, so looking it up costs two counters and no copy.
        self.shelves
            .get(&key.resource)?
            .objects
            .get(&(key.namespace.clone(), key.name.clone()))
    }

    pub(super) fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Listing {
        let items = match (self.shelves.get(resource), namespace) {
            (None, _) => Vec::new(),
            (Some(shelf), None) => shelf.objects.values().cloned().collect(),
            (Some(shelf), Some(namespace)) => {
                let first: (Arc<str>, Arc<str>) = (namespace.into(), "".into());
                shelf
                    .objects
                    .range((Bound::Included(first), Bound::Unbounded))
                    .take_while(|((of, _), _)| &**of == namespace)
                    .map(|(_, stored)| stored.clone())
                    .collect()
            }
        };
        Listing {
            items,
            revision: self.revision,
        }
    }

    pub(super) fn everything(&self) -> Listing {
        Listing {
            items: self
                .shelves
                .values()
                .flat_map(|shelf| shelf.objects.values().cloned())
                .collect(),
            revision: self.revision,
        }
    }

    pub(super) fn changes(
        &self,
        after: Revision,
        mut wanted: impl FnMut(&Change) -> bool,
    ) -> Result<Changes, Expired> {
        if after < self.oldest || after > self.revision {
            return Err(Expired {
                asked: after,
                oldest: self.oldest,
            });
        }
        let start = self.ring.partition_point(|change| change.revision <= after);
        let looked_at = self.ring.range(start..).take(LOOKED_AT);
        let mut revision = after;
        let mut items = Vec::new();
        for change in looked_at {
            revision = change.revision;
            if wanted(change) {
                items.push(change.clone());
            }
        }
        Ok(Changes { items, revision })
    }

    /// Takes in a write.
    pub(super) fn apply(&mut self, change: Change) {
        self.place(&change);
        self.ring_bytes += change.object.weight();
        self.ring.push_back(change);
        while self.ring.len() > self.most.0 || self.ring_bytes > self.most.1 {
            let Some(gone) = self.ring.pop_front() else {
                break;
            };
            self.ring_bytes -= gone.object.weight();
            self.oldest = gone.revision;
        }
    }

    /// Takes in an object of before the store was opened: nobody can ask for it as a change.
    pub(super) fn restore(&mut self, stored: Arc<Stored>) {
        let shelf = self.shelves.entry(stored.key.resource.clone()).or_default();
        shelf.changed = shelf.changed.max(stored.revision);
        let place = (stored.key.namespace.clone(), stored.key.name.clone());
        shelf.objects.insert(place, stored);
    }

    /// Takes in a deletion of before the store was opened.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(shelf) = self.shelves.get_mut(&key.resource) {
            let place = (key.namespace.clone(), key.name.clone());
            shelf.objects.remove(&place);
        }
    }

    /// Goes on to a revision without a write.
    pub(super) fn skip_to(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
        self.oldest = self.revision;
    }

    /// When an object of a resource was last written.
    pub(super) fn changed(&self, resource: &GroupResource) -> Revision {
        self.shelves
            .get(resource)
            .map_or(Revision(0), |shelf| shelf.changed)
    }

    fn place(&mut self, change: &Change) {
        let key = &change.object.key;
        self.revision = change.revision;
        let place = (key.namespace.clone(), key.name.clone());
        let shelf = self.shelves.entry(key.resource.clone()).or_default();
        shelf.changed = change.revision;
        if change.kind == ChangeKind::Deleted {
            shelf.objects.remove(&place);
        } else {
            shelf.objects.insert(place, change.object.clone());
        }
    }
}
