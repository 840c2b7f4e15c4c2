//! Objects of one kind, found by name, by namespace and by owner.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// The name of an object among those of its kind; the namespace is empty for what has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Of what has no namespace; also the key of controllers that look at everything at once.
    #[must_use]
    pub fn cluster(name: &str) -> Self {
        Self::new("", name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Shelf<T> {
    objects: BTreeMap<Key, Arc<T>>,
    /// By the uid of the controller that owns them (`ownerReferences[].controller`).
    owned: BTreeMap<String, BTreeSet<Key>>,
    /// Those that no controller owns.
    orphans: BTreeSet<Key>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            owned: BTreeMap::new(),
            orphans: BTreeSet::new(),
        }
    }
}

impl<T> Shelf<T> {
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.objects.get(key)
    }

    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.objects.contains_key(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        self.objects.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Those of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        let first = Key::new(namespace, "");
        let namespace = first.namespace.clone();
        self.objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(move |(key, _)| key.namespace == namespace)
    }

    /// Those that an object controls, by its uid.
    pub fn owned_by(&self, uid: &str) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        self.owned
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|key| self.objects.get_key_value(key))
    }

    /// Those of a namespace that no controller owns: what a controller may adopt.
    pub fn orphans_in(&self, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        let first = Key::new(namespace, "");
        let namespace = first.namespace.clone();
        self.orphans
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(move |key| key.namespace == namespace)
            .filter_map(|key| self.objects.get_key_value(key))
    }

    /// Puts an object in, or takes it away; gives back the one that was there. `owner` gives the uid of an object's controller.
    pub(crate) fn set(
        &mut self,
        key: &Key,
        object: Option<Arc<T>>,
        owner: impl Fn(&T) -> Option<String>,
    ) -> Option<Arc<T>> {
        let before = match &object {
            Some(object) => self.objects.insert(key.clone(), object.clone()),
            None => self.objects.remove(key),
        };
        let (old, new) = (
            before.as_deref().and_then(&owner),
            object.as_deref().and_then(&owner),
        );
        if object.is_some() && new.is_none() {
            self.orphans.insert(key.clone());
        } else {
            self.orphans.remove(key);
        }
        if old != new {
            if let Some(uid) = old
                && let Some(keys) = self.owned.get_mut(&uid)
            {
                keys.remove(key);
                if keys.is_empty() {
                    self.owned.remove(&uid);
                }
            }
            if let Some(uid) = new {
                self.owned.entry(uid).or_default().insert(key.clone());
            }
        }
        before
    }
}
