//! Who owns which field of an object (`metadata.managedFields`), and server-side apply.
//!
//! Every write goes through [`update`] or [`apply`]. Order matters: an update is defaulted and admitted before [`update`] looks
//! at it; the result of [`apply`] is defaulted and admitted afterwards. Then [`settle`] takes back the time stamps of a write
//! that changed nothing else.
//!
//! The meaning is that of structured-merge-diff and of `k8s.io/apimachinery/pkg/util/managedfields`, with these limits:
//! entries of other versions of the object are read as if their paths were those of the version written; and what the API
//! server fails to apply with 500 because it does not fit the schema is 400 here.

mod apply;
mod check;
mod compare;
mod conflict;
mod entries;
#[cfg(test)]
pub(crate) mod examples;
mod fields;
mod last_applied;
mod merge;
mod options;
mod ownership;
mod scale;
mod shape;
mod update;

use jiff::Timestamp;
use serde_json::Value as Json;

pub use apply::apply;
pub use options::{check_options, manager_of};
pub use scale::{to_parent, to_scale};
pub use update::update;

pub(crate) use check::{go_type, go_value};

/// Who writes, through what, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager (`kubectl-client-side-apply`); of a request that names none see [`manager_of`].
    pub manager: &'a str,
    /// `""`, `status`, `scale`, …
    pub subresource: &'a str,
    /// The version that the object is written in (`apps/v1`).
    pub api_version: &'a str,
    /// The time that a change is stamped with.
    pub now: Timestamp,
    /// Fields that this endpoint cannot change, as dotted paths: nobody comes to own them through it. The main endpoint of a
    /// kind that has a status subresource has `status`, its status endpoint `spec`.
    pub reset: &'a [&'a str],
}

/// Takes back a write that changed nothing but the time stamps of managedFields: `after` is what `before` is then. True if
/// the write is a no-op. A `resourceVersion` that only one of them has does not count.
pub fn settle(before: &Json, after: &mut Json) -> bool {
    if !is_same(before, after) {
        return false;
    }
    entries::put(after, entries::of(before).cloned());
    let version = |object: &Json| object.get("metadata")?.get("resourceVersion").cloned();
    if version(after) != version(before)
        && let Some(Json::Object(metadata)) = after.get_mut("metadata")
    {
        match version(before) {
            Some(version) => drop(metadata.insert("resourceVersion".to_owned(), version)),
            None => drop(metadata.remove("resourceVersion")),
        }
    }
    true
}

fn is_same(before: &Json, after: &Json) -> bool {
    let (Json::Object(one), Json::Object(other)) = (before, after) else {
        return before == after;
    };
    let pair = |name: &str| (one.get(name), other.get(name));
    one.len() == other.len()
        && one
            .iter()
            .filter(|(name, _)| *name != "metadata")
            .all(|(name, value)| other.get(name) == Some(value))
        && match pair("metadata") {
            (Some(Json::Object(one)), Some(Json::Object(other))) => {
                let rest = |metadata: &serde_json::Map<String, Json>| {
                    metadata
                        .keys()
                        .filter(|name| !matches!(&***name, "managedFields" | "resourceVersion"))
                        .count()
                };
                let versions = (one.get("resourceVersion"), other.get("resourceVersion"));
                rest(one) == rest(other)
                    && (versions.0 == versions.1 || versions.0.is_none() || versions.1.is_none())
                    && one
                        .iter()
                        .filter(|(name, _)| {
                            !matches!(&***name, "managedFields" | "resourceVersion")
                        })
                        .all(|(name, value)| other.get(name) == Some(value))
                    && same_but_times(one.get("managedFields"), other.get("managedFields"))
            }
            (one, other) => one == other,
        }
}

/// Whether two managedFields differ in nothing but times. Their order follows the times.
fn same_but_times(one: Option<&Json>, other: Option<&Json>) -> bool {
    let entries = |json: Option<&Json>| -> Option<Vec<Json>> {
        let mut list = json.map_or_else(|| Some(Vec::new()), |json| json.as_array().cloned())?;
        for entry in &mut list {
            entry.as_object_mut()?.remove("time");
        }
        list.sort_by_cached_key(Json::to_string);
        Some(list)
    };
    one == other || (entries(one).is_some() && entries(one) == entries(other))
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod sequence_tests;
#[cfg(test)]
mod speed_tests;
#[cfg(test)]
mod tests;
