//! The entries of `metadata.managedFields`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::managed::Writer;
use crate::managed::fields::{Fields, FieldsError};

/// How many managers that update (rather than apply) are told apart. Of more, the oldest become one.
const MOST_UPDATERS: usize = 10;
/// The name of those that became one.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own its fields. In the order that entries are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

/// Who an entry is of: a manager applies in one version at a time, but may have written in several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub manager: String,
    pub operation: Operation,
    /// Empty if it applies.
    version: String,
    pub subresource: String,
}

/// What one manager owns.
#[derive(Debug, Clone)]
pub struct Entry {
    pub identity: Identity,
    pub api_version: String,
    time: Option<(Timestamp, String)>,
    pub fields: Fields,
    /// As it was stored; none once anything of it changed.
    raw: Option<Json>,
}

/// Why managedFields cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    #[error("managedFields is no list of objects")]
    Shape,
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    ApiVersion,
    #[error("fieldsType of managed fields entry {0} must be `FieldsV1`")]
    FieldsType(usize),
    #[error("{0} of a managed fields entry is not what it should be")]
    Member(&'static str),
    #[error(transparent)]
    Fields(#[from] FieldsError),
}

/// Everything that is known of an object's managers.
#[derive(Debug, Clone, Default)]
pub struct Entries(pub Vec<Entry>);

impl Identity {
    pub fn of(writer: &Writer<'_>, operation: Operation) -> Self {
        Self {
            manager: if writer.manager.is_empty() {
                "unknown".to_owned()
            } else {
                writer.manager.to_owned()
            },
            operation,
            version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => writer.api_version.to_owned(),
            },
            subresource: writer.subresource.to_owned(),
        }
    }

    /// As conflicts name it: `"kubectl-edit" with subresource "status" using apps/v1`.
    pub fn text(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.version));
        }
        text
    }
}

impl Entry {
    pub fn new(identity: Identity, api_version: &str, fields: Fields, now: Timestamp) -> Self {
        Self {
            identity,
            api_version: api_version.to_owned(),
            time: Some(stamp(now)),
            fields,
            raw: None,
        }
    }

    fn seconds(&self) -> i64 {
        self.time.as_ref().map_or(0, |(time, _)| time.as_second())
    }

    /// Drops fields that another manager's write took or removed.
    pub fn lose(&mut self, fields: &Fields) {
        if self.fields.subtract(fields) {
            self.raw = None;
        }
    }

    pub fn own(&mut self, fields: Fields) {
        self.fields.unite(fields);
        self.raw = None;
    }

    /// Replaces what it owns, at a time.
    pub fn set(&mut self, api_version: &str, fields: Fields, now: Timestamp) {
        self.fields = fields;
        api_version.clone_into(&mut self.api_version);
        self.touch(now);
    }

    pub fn touch(&mut self, now: Timestamp) {
        self.time = Some(stamp(now));
        self.raw = None;
    }

    /// Makes it one of another version, with other fields, at the same time.
    pub fn rewrite(&mut self, api_version: &str, fields: Fields) {
        api_version.clone_into(&mut self.api_version);
        if self.identity.operation == Operation::Update {
            api_version.clone_into(&mut self.identity.version);
        }
        self.fields = fields;
        self.raw = None;
    }

    /// That its fields changed.
    pub fn changed(&mut self) {
        self.raw = None;
    }

    fn read(place: usize, json: &Json) -> Result<Self, EntriesError> {
        let object = json.as_object().ok_or(EntriesError::Shape)?;
        let text = |name: &'static str| match object.get(name) {
            None | Some(Json::Null) => Ok(String::new()),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(_) => Err(EntriesError::Member(name)),
        };
        let operation = match &*text("operation")? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err(EntriesError::Operation),
        };
        let api_version = text("apiVersion")?;
        if api_version.is_empty() {
            return Err(EntriesError::ApiVersion);
        }
        if text("fieldsType")? != "FieldsV1" {
            return Err(EntriesError::FieldsType(place));
        }
        let time = text("time")?;
        let time = if time.is_empty() {
            None
        } else {
            let read = time
                .parse::<Timestamp>()
                .map_err(|_| EntriesError::Member("time"))?;
            Some((read, time))
        };
        Ok(Self {
            identity: Identity {
                manager: text("manager")?,
                operation,
                version: match operation {
                    Operation::Apply => String::new(),
                    Operation::Update => api_version.clone(),
                },
                subresource: text("subresource")?,
            },
            api_version,
            time,
            fields: match object.get("fieldsV1") {
                None | Some(Json::Null) => Fields::default(),
                Some(fields) => Fields::from_json(fields)?,
            },
            raw: None,
        })
    }

    fn write(self) -> Json {
        if let Some(raw) = self.raw {
            return raw;
        }
        let mut object = Map::new();
        object.insert("apiVersion".into(), self.api_version.into());
        object.insert("fieldsType".into(), "FieldsV1".into());
        object.insert("fieldsV1".into(), self.fields.to_json());
        if !self.identity.manager.is_empty() {
            object.insert("manager".into(), self.identity.manager.into());
        }
        let operation = match self.identity.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        object.insert("operation".into(), operation.into());
        if !self.identity.subresource.is_empty() {
            object.insert("subresource".into(), self.identity.subresource.into());
        }
        if let Some((_, time)) = self.time {
            object.insert("time".into(), time.into());
        }
        Json::Object(object)
    }
}

fn stamp(now: Timestamp) -> (Timestamp, String) {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    (now, now.to_string())
}

impl Entries {
    /// Reads entries that the server wrote itself.
    pub fn read_stored(json: Json) -> Result<Self, EntriesError> {
        let Json::Array(list) = json else {
            return Err(EntriesError::Shape);
        };
        let mut entries = Vec::with_capacity(list.len());
        for (place, json) in list.into_iter().enumerate() {
            let mut entry = Entry::read(place, &json)?;
            entry.raw = Some(json);
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// Reads entries that a client wrote. They are written anew, in our order and way.
    pub fn read_sent(json: &Json) -> Result<Self, EntriesError> {
        let list = json.as_array().ok_or(EntriesError::Shape)?;
        let mut by_identity: BTreeMap<Identity, Entry> = BTreeMap::new();
        for (place, json) in list.iter().enumerate() {
            let entry = Entry::read(place, json)?;
            by_identity.insert(entry.identity.clone(), entry);
        }
        Ok(Self(by_identity.into_values().collect()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn position(&self, identity: &Identity) -> Option<usize> {
        self.0.iter().position(|entry| entry.identity == *identity)
    }

    /// Adds fields to a manager's, at a time.
    pub fn own(&mut self, identity: Identity, api_version: &str, fields: Fields, now: Timestamp) {
        match self.position(&identity) {
            Some(place) => {
                let entry = &mut self.0[place];
                entry.own(fields);
                entry.touch(now);
            }
            None => self.0.push(Entry::new(identity, api_version, fields, now)),
        }
    }

    /// Makes the oldest updaters one, of each version, if there are too many.
    pub fn cap(&mut self) {
        let is_updater = |entry: &Entry| entry.identity.operation == Operation::Update;
        let mut updaters = self.0.iter().filter(|entry| is_updater(entry)).count();
        if updaters <= MOST_UPDATERS {
            return;
        }
        let (mut oldest, mut kept): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|entry| is_updater(entry));
        oldest.sort_by(|one, other| {
            (one.seconds(), &one.identity).cmp(&(other.seconds(), &other.identity))
        });
        // The first of a version is only put into a bucket when a second one comes.
        let mut first_of_version: BTreeMap<String, Entry> = BTreeMap::new();
        for mut entry in oldest {
            if updaters <= MOST_UPDATERS {
                kept.push(entry);
                continue;
            }
            match first_of_version.get_mut(&entry.api_version) {
                Some(bucket) => {
                    bucket.identity = Identity {
                        manager: ANCIENT.to_owned(),
                        operation: Operation::Update,
                        version: entry.api_version.clone(),
                        subresource: String::new(),
                    };
                    bucket.own(std::mem::take(&mut entry.fields));
                    bucket.time = entry.time;
                    updaters -= 1;
                }
                None => {
                    first_of_version.insert(entry.api_version.clone(), entry);
                }
            }
        }
        kept.extend(first_of_version.into_values());
        // A bucket of before may not have been among the oldest.
        let mut by_identity: BTreeMap<Identity, Entry> = BTreeMap::new();
        for entry in kept {
            match by_identity.get_mut(&entry.identity) {
                Some(other) => {
                    if entry.seconds() > other.seconds() {
                        other.time = entry.time;
                    }
                    other.own(entry.fields);
                }
                None => {
                    by_identity.insert(entry.identity.clone(), entry);
                }
            }
        }
        self.0 = by_identity.into_values().collect();
    }

    /// As `metadata.managedFields`; none if nobody owns anything.
    pub fn write(mut self) -> Option<Json> {
        self.0.retain(|entry| !entry.fields.is_empty());
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by(|one, other| {
            let key = |entry: &Entry| (entry.identity.operation, entry.seconds());
            key(one)
                .cmp(&key(other))
                .then_with(|| one.identity.manager.cmp(&other.identity.manager))
                .then_with(|| one.api_version.cmp(&other.api_version))
                .then_with(|| one.identity.subresource.cmp(&other.identity.subresource))
        });
        Some(Json::Array(self.0.into_iter().map(Entry::write).collect()))
    }
}

/// The managedFields of an object.
pub fn of(object: &Json) -> Option<&Json> {
    object.get("metadata")?.get("managedFields")
}

/// Takes the managedFields out of an object.
pub fn take(object: &mut Json) -> Option<Json> {
    object
        .get_mut("metadata")?
        .as_object_mut()?
        .remove("managedFields")
}

/// Puts managedFields into an object, in place of those that it has.
pub fn put(object: &mut Json, managed: Option<Json>) {
    let Some(managed) = managed else {
        take(object);
        return;
    };
    if let Json::Object(object) = object {
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(metadata) = metadata {
            metadata.insert("managedFields".into(), managed);
        }
    }
}
