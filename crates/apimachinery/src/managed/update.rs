//! Ownership after a create, an update or a patch.

use serde_json::Value as Json;

use crate::managed::compare::Delta;
use crate::managed::entries::{self, Entries, Identity, Operation};
use crate::managed::fields::Fields;
use crate::managed::{Writer, ownership};
use crate::schema::Type;

/// Where the managers of before come from.
enum Source {
    /// The stored ones.
    Stored(Json),
    /// What the client sent instead.
    Sent(Entries),
    /// There are none.
    None,
}

/// Keeps `metadata.managedFields` for every other write than an apply: a create (`before` is none), an update, a patch.
/// `after` holds the object as it will be stored, defaulted; it may hold managedFields as the client wrote them.
///
/// What the writer changed or added becomes its own and nobody else's; what is gone is nobody's. A client may replace
/// managedFields (not through a subresource): valid ones count from then on; an empty list forgets them, and ownership is not
/// kept any more until somebody applies. Ones that cannot be read are not taken: those stored before stay, as in the API
/// server.
pub fn update(schema: &Type, before: Option<&Json>, after: &mut Json, by: &Writer<'_>) {
    let sent = entries::take(after);
    let stored = before.and_then(entries::of);
    let source = source(stored, sent, by);
    let untracked =
        matches!(source, Source::None) && before.is_some_and(|before| !uid(before).is_empty());
    if untracked {
        return;
    }
    let nothing = Json::Object(serde_json::Map::new());
    let delta = Delta::between(schema, before.unwrap_or(&nothing), after).without(&reset(by));
    let mut entries = match source {
        Source::Stored(stored) if delta.is_empty() => {
            entries::put(after, Some(stored));
            return;
        }
        Source::Stored(stored) => Entries::read_stored(stored).unwrap_or_default(),
        Source::Sent(entries) => entries,
        Source::None => Entries::default(),
    };
    reconcile(schema, &mut entries);
    for entry in &mut entries.0 {
        entry.lose(&delta.changed);
        entry.lose(&delta.removed);
    }
    if !delta.changed.is_empty() {
        let identity = Identity::of(by, Operation::Update);
        entries.own(identity, by.api_version, delta.changed, by.now);
    }
    entries.0.retain(|entry| !entry.fields.is_empty());
    entries.cap();
    entries::put(after, entries.write());
}

fn source(stored: Option<&Json>, sent: Option<Json>, by: &Writer<'_>) -> Source {
    if by.subresource.is_empty()
        && let Some(sent) = sent
    {
        if is_reset(&sent) {
            return Source::None;
        }
        if stored == Some(&sent) {
            return Source::Stored(sent);
        }
        if let Ok(entries) = Entries::read_sent(&sent)
            && !entries.is_empty()
        {
            return Source::Sent(entries);
        }
    }
    match stored {
        Some(Json::Array(list)) if !list.is_empty() => Source::Stored(Json::Array(list.clone())),
        _ => Source::None,
    }
}

/// An empty list, or a list of one empty entry.
fn is_reset(sent: &Json) -> bool {
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

fn uid(object: &Json) -> &str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get("uid"))
        .and_then(Json::as_str)
        .unwrap_or_default()
}

/// The fields that an endpoint cannot change.
pub fn reset(by: &Writer<'_>) -> Fields {
    let mut fields = Fields::default();
    for path in by.reset {
        fields.unite(Fields::of_names(path.split('.')));
    }
    fields
}

/// Brings entries in line with the schema of a custom resource. Built-in types do not change while a server runs.
pub fn reconcile(schema: &Type, entries: &mut Entries) {
    if schema.name().is_none() {
        for entry in &mut entries.0 {
            if ownership::reconcile(schema, &mut entry.fields) {
                entry.changed();
            }
        }
    }
}
