//! The world of the embedded AWS: every resource that exists in its account and region. A value without behaviour: the
//! rules (`kinds`) read it, one writer changes it.

use std::collections::{BTreeMap, btree_map};

use catalog::TypeName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::Ids;

/// Where a resource is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Its create operation runs: the name is taken, reads do not find it yet.
    Creating,
    /// It is there and no operation runs on it.
    Ready,
    /// Its update operation runs.
    Updating,
    /// Its delete operation runs; it is there until that ends.
    Deleting,
    /// What a failed create left behind: it can be read, adopted and deleted.
    Remnant,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its type.
    pub type_name: TypeName,
    /// Cloud Control's identifier: the parts of the primary identifier joined by `|`.
    pub identifier: String,
    /// The full model, with read-only and write-only properties; keys that begin with `__` are private to the rules.
    pub model: Value,
    /// When its creation began, in modelled seconds since the world began.
    pub created_at: f64,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it is, or was, ready, in modelled seconds since the world began.
    pub ready_at: f64,
}

impl Entry {
    /// When a resource that is marked for deletion goes for good, in modelled seconds since the world began: a KMS key
    /// (`__DeletionDate`), a secret that was deleted with a recovery window (`__DeletedAt`). The handlers of Cloud Control do not
    /// find such a resource; the service itself still has it.
    #[must_use]
    pub fn pending_deletion(&self) -> Option<f64> {
        let date = |key: &str| self.model.get(key).and_then(Value::as_f64);
        date("__DeletionDate").or_else(|| date("__DeletedAt"))
    }
}

/// All resources of one account in one region.
#[derive(Debug, Clone)]
pub struct World {
    account: String,
    region: String,
    partition: String,
    entries: BTreeMap<TypeName, BTreeMap<String, Entry>>,
    ids: Ids,
}

impl World {
    /// The account that a world has unless it is told another one; AWS's documentation uses it.
    pub const DEFAULT_ACCOUNT: &str = "123456789012";

    /// An empty world.
    #[must_use]
    pub fn new(account: &str, region: &str, ids: Ids) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            partition: catalog::regions::partition(region).to_owned(),
            entries: BTreeMap::new(),
            ids,
        }
    }

    /// The account's twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region's name.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The partition that ARNs name: `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The resource of this type and identifier, in whatever phase it is.
    pub fn get(&self, type_name: impl AsRef<str>, identifier: &str) -> Option<&Entry> {
        self.entries.get(type_name.as_ref())?.get(identifier)
    }

    /// All resources of a type, in whatever phase, in the order of their identifiers.
    pub fn of_type(&self, type_name: impl AsRef<str>) -> Entries<'_> {
        Entries(self.entries.get(type_name.as_ref()).map(BTreeMap::values))
    }

    /// All resources, by type and identifier.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().flat_map(BTreeMap::values)
    }

    /// How many resources there are of each type that has any.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&TypeName, usize> {
        self.entries
            .iter()
            .filter(|(_, of_type)| !of_type.is_empty())
            .map(|(name, of_type)| (name, of_type.len()))
            .collect()
    }

    /// Puts a resource in, in place of one of the same type and identifier.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        self.entries
            .entry(entry.type_name.clone())
            .or_default()
            .insert(entry.identifier.clone(), entry)
    }

    /// Takes a resource out.
    pub fn remove(&mut self, type_name: impl AsRef<str>, identifier: &str) -> Option<Entry> {
        self.entries.get_mut(type_name.as_ref())?.remove(identifier)
    }

    /// The source of identifiers as it stands.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Keeps the source of identifiers after draws were made from a copy.
    pub fn set_ids(&mut self, ids: Ids) {
        self.ids = ids;
    }
}

/// The resources of one type. A type of its own, so that it borrows the world and not the type's name.
#[derive(Debug, Clone)]
pub struct Entries<'a>(Option<btree_map::Values<'a, String, Entry>>);

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        self.0.as_mut()?.next()
    }
}
