//! Server-side apply.

use serde_json::Value as Json;

use crate::Status;
use crate::managed::compare::Delta;
use crate::managed::conflict::{self, Conflict};
use crate::managed::entries::{self, Entries, Entry, Identity, Operation};
use crate::managed::fields::Fields;
use crate::managed::{Writer, check, last_applied, merge, ownership, update};
use crate::schema::Type;

/// The manager of what was there before anybody's fields were kept.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager that `kubectl apply --server-side` has; only for it are objects of client-side apply taken over.
const KUBECTL: &str = "kubectl";

/// Server-side apply: merges what a manager applies into the live object (or none, if it is to be created) and keeps
/// `metadata.managedFields`. The result is not defaulted yet. If nothing changed it equals `live`.
///
/// A `resourceVersion` or `uid` in what is applied is in the result; the caller compares it with that of the live object.
///
/// # Errors
/// 409 with a cause for each field that others own and the manager would change, unless `force`; 400 if `applied` carries
/// managedFields, is of another version or kind, or does not fit the schema.
pub fn apply(
    schema: &Type,
    live: Option<&Json>,
    applied: &Json,
    by: &Writer<'_>,
    force: bool,
) -> Result<Json, Status> {
    admit(schema, live, applied, by)?;
    let mut base = live.map_or_else(|| Json::Object(serde_json::Map::new()), Json::clone);
    let entries = entries::take(&mut base)
        .and_then(|stored| Entries::read_stored(stored).ok())
        .unwrap_or_default();
    let attempt = Attempt {
        schema,
        base: &base,
        applied,
        by,
        entries: prepare(schema, &base, entries, by),
    };
    let (mut result, entries) = if by.manager == KUBECTL {
        attempt.clone().run(force).or_else(|conflicts| {
            let left = last_applied::left_over(schema, &base, by.api_version, conflicts);
            if left.is_empty() {
                attempt.run(true)
            } else {
                Err(left)
            }
        })
    } else {
        attempt.run(force)
    }
    .map_err(|conflicts| conflict::status(&conflicts))?;
    if by.manager == KUBECTL {
        last_applied::keep(&mut result, applied);
    }
    entries::put(&mut result, entries.write());
    Ok(result)
}

/// Refuses what cannot be applied at all.
fn admit(
    schema: &Type,
    live: Option<&Json>,
    applied: &Json,
    by: &Writer<'_>,
) -> Result<(), Status> {
    let text = |object: &Json, name: &str| {
        object
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (version, kind) = (text(applied, "apiVersion"), text(applied, "kind"));
    let live_kind = live.map_or_else(String::new, |live| text(live, "kind"));
    let gvk = || {
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        format!("{group}/{version}, Kind={kind}")
    };
    if version != by.api_version || !live_kind.is_empty() && live_kind != kind {
        return Err(Status::bad_request(format!(
            "invalid object type: {}",
            gvk()
        )));
    }
    if entries::of(applied).is_some_and(|managed| !managed.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let problems = check::problems(schema, applied);
    if !problems.is_empty() {
        let name = |name: &str| {
            let metadata = applied.get("metadata").unwrap_or(&Json::Null);
            text(metadata, name)
        };
        return Err(Status::bad_request(format!(
            "failed to create typed patch object ({}/{}; {}): {}",
            name("namespace"),
            name("name"),
            gvk(),
            check::message(&problems)
        )));
    }
    Ok(())
}

/// The managers that the live object has. What it holds although nobody is known to have written it is somebody's.
fn prepare(schema: &Type, base: &Json, mut entries: Entries, by: &Writer<'_>) -> Entries {
    update::reconcile(schema, &mut entries);
    if entries.is_empty() {
        let nothing = Json::Object(serde_json::Map::new());
        let there = Delta::between(schema, &nothing, base).without(&update::reset(by));
        if !there.changed.is_empty() {
            let identity = Identity::of(
                &Writer {
                    manager: BEFORE_FIRST_APPLY,
                    ..*by
                },
                Operation::Update,
            );
            entries.own(identity, by.api_version, there.changed, by.now);
        }
    }
    entries
}

#[derive(Clone)]
struct Attempt<'a> {
    schema: &'a Type,
    base: &'a Json,
    applied: &'a Json,
    by: &'a Writer<'a>,
    entries: Entries,
}

impl Attempt<'_> {
    fn run(mut self, force: bool) -> Result<(Json, Entries), Vec<Conflict>> {
        let by = self.by;
        let reset = update::reset(by);
        let mut merged = merge::merge(self.schema, self.base, self.applied);
        let mut set = ownership::fields_of(self.schema, self.applied);
        set.subtract_with_children(&reset);

        let identity = Identity::of(by, Operation::Apply);
        let own = self.entries.position(&identity);
        if let Some(own) = own
            && !self.entries.0[own].fields.is_within(&set)
        {
            let others = self.entries.0.iter().enumerate();
            let mut owned = set.clone();
            for (_, other) in others.filter(|(place, _)| *place != own) {
                owned.unite(other.fields.clone());
            }
            prune(
                self.schema,
                &mut merged,
                &self.entries.0[own].fields,
                &owned,
            );
        }

        let delta = Delta::between(self.schema, self.base, &merged).without(&reset);
        let others = self
            .entries
            .0
            .iter_mut()
            .filter(|entry| entry.identity != identity);
        if force {
            others.for_each(|other| {
                other.lose(&delta.changed);
                other.lose(&delta.removed);
            });
        } else {
            let mut conflicts = Vec::new();
            for other in others {
                let taken = other.fields.intersection(&delta.changed);
                conflicts.extend(Conflict::all(&other.identity, &taken));
                other.lose(&delta.removed);
            }
            if !conflicts.is_empty() {
                return Err(conflicts);
            }
        }

        let unchanged = merged == *self.base;
        match own {
            Some(own) => {
                let entry = &mut self.entries.0[own];
                if !unchanged || entry.fields != set || entry.api_version != by.api_version {
                    entry.set(by.api_version, set, by.now);
                }
            }
            None => self
                .entries
                .0
                .push(Entry::new(identity, by.api_version, set, by.now)),
        }
        Ok((merged, self.entries))
    }
}

/// Removes what the manager applied before, did not apply now, and nobody else has a part in.
fn prune(schema: &Type, merged: &mut Json, last: &Fields, owned: &Fields) {
    let named =
        |object: &Json| ownership::with_named(schema, &ownership::fields_of(schema, object));
    let last = ownership::with_named(schema, last);
    let all = named(merged);

    // Everything that was applied goes, then what somebody owns comes back ...
    let mut without_last = merged.clone();
    merge::remove(schema, &mut without_last, &spare_metadata(last.clone()));
    let mut kept = named(&without_last);
    kept.unite(ownership::with_named(schema, owned));
    let mut gone = all.clone();
    gone.subtract(&kept);
    let mut pruned = merged.clone();
    merge::remove(schema, &mut pruned, &spare_metadata(gone));

    // ... and what went with it although it had never been applied.
    let mut gone = all;
    gone.subtract(&named(&pruned));
    let gone = gone.intersection(&last);
    merge::remove(schema, merged, &spare_metadata(gone));
}

/// Metadata as a whole is never removed.
fn spare_metadata(mut set: Fields) -> Fields {
    if let Some(metadata) = set.children.get_mut("f:metadata") {
        metadata.owned = false;
        if metadata.children.is_empty() {
            set.children.remove("f:metadata");
        }
    }
    set
}
