//! The vendored schemas: one JSON object, scanned once for where each type's schema lies, each parsed only on use.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use serde_json::value::RawValue;

use crate::schema::ResourceSchema;
use crate::type_name::TypeName;

/// Made by `data/refresh.py`; `data/NOTICE` says from what and under which licence.
static TEXT: &str = include_str!("../data/resource-schemas.json");

struct Entry {
    text: &'static str,
    schema: OnceLock<ResourceSchema>,
}

static ENTRIES: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    let raw: BTreeMap<&'static str, &'static RawValue> = serde_json::from_str(TEXT)
        .expect("the vendored bundle is JSON: a test of this crate parses all of it");
    raw.into_iter()
        .map(|(name, text)| {
            (
                name,
                Entry {
                    text: text.get(),
                    schema: OnceLock::new(),
                },
            )
        })
        .collect()
});

/// The name as the bundle spells it, which lives as long as the program.
pub(crate) fn known_name(name: &str) -> Option<&'static str> {
    ENTRIES.get_key_value(name).map(|(known, _)| *known)
}

/// The schema of a type, parsed at its first use. `None`: the catalog does not know the type.
#[must_use]
pub fn schema(type_name: &TypeName) -> Option<&'static ResourceSchema> {
    ENTRIES.get(type_name.as_str()).map(parsed)
}

/// The schemas of all types in the order of their names. Parses every one that was not used yet: some milliseconds.
pub fn schemas() -> impl Iterator<Item = &'static ResourceSchema> {
    ENTRIES.values().map(parsed)
}

/// The names of all types in order, without parsing a schema.
pub fn type_names() -> impl Iterator<Item = TypeName> {
    ENTRIES.keys().map(|name| TypeName::new(name))
}

fn parsed(entry: &'static Entry) -> &'static ResourceSchema {
    entry.schema.get_or_init(|| {
        serde_json::from_str(entry.text)
            .map_err(Into::into)
            .and_then(ResourceSchema::from_document)
            .expect("the vendored schemas are well formed: a test of this crate parses all of them")
    })
}
