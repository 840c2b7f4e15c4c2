//! Changed objects: replaced, patched, applied.

use std::sync::Arc;

use apimachinery::patch::{self, PatchKind};
use apimachinery::status::{Cause, Reason};
use apimachinery::{Resource, Status, managed};
use serde_json::Value as Json;

use super::admission::{self, Attempt};
use super::call::{Call, Patch};
use super::create::{Ownership, place};
use super::document::{finalizers, is_deleting, metadata, number, text};
use super::{Outcome, Registry, conversion, custom, machinery, strategy};
use crate::store::{Key, Stored, Transaction};

const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// How an object is changed.
pub(super) enum Source<'a> {
    /// By what takes its place.
    Put(Json),
    Patch(&'a Patch),
}

impl Registry {
    pub(super) fn change_object(
        &self,
        call: &Call<'_>,
        source: Source<'_>,
    ) -> Result<Outcome, Status> {
        let mut warnings = Vec::new();
        let target = self.target(call.resource);
        // What can be done without the lock is.
        let source = match source {
            Source::Put(body) => {
                let mut body = machinery::receive(call, body, &mut warnings)?;
                place(call, &mut body)?;
                Source::Put(conversion::to_stored(call.resource, &target, body))
            }
            Source::Patch(patch) => {
                check_patch(call, patch)?;
                Source::Patch(patch)
            }
        };
        let key = Key::new(&target.group_resource(), call.namespace, call.name);
        let ((stored, created), revision) = self.write(call.dry_run, |tx| {
            let Some(existing) = tx.get(&key) else {
                let object = self.missing(call, &target, source)?;
                let (object, ownership) = object;
                let stored = self.insert(tx, call, &target, object, ownership)?;
                return Ok((stored, true));
            };
            let old = existing.json();
            let (new, ownership) = match source {
                Source::Put(new) => {
                    let needed = strategy::needs_version(&target)
                        && text(&new, "/metadata/resourceVersion").is_empty();
                    if needed {
                        return Err(version_needed(&target, &new));
                    }
                    (new, Ownership::Take)
                }
                Source::Patch(Patch::Apply { object, force }) => {
                    let applied = self.applied(call, &target, object)?;
                    let (manager, version) = (call.manager(), target.kind.api_version());
                    let now = self.settings.clock.now();
                    let writer = super::writer(call, &target, (&manager, &version), now);
                    let mut new =
                        managed::apply(&target.schema, Some(&old), &applied, &writer, *force)?;
                    machinery::settle(&target, &mut new);
                    (new, Ownership::AsApplied)
                }
                Source::Patch(patch) => {
                    let shown = conversion::to_shown(call.resource, &target, old.clone());
                    let patched = patched(call.resource, &shown, patch)?;
                    let mut patched = machinery::receive(call, patched, &mut warnings)?;
                    place(call, &mut patched)?;
                    (
                        conversion::to_stored(call.resource, &target, patched),
                        Ownership::Take,
                    )
                }
            };
            let stored = self.replace(tx, call, &target, &existing, &old, new, ownership)?;
            Ok((stored, false))
        })?;
        Ok(Outcome {
            stored,
            created,
            revision,
            warnings,
        })
    }

    /// What is created by a change of what isn't there.
    fn missing(
        &self,
        call: &Call<'_>,
        target: &Resource,
        source: Source<'_>,
    ) -> Result<(Json, Ownership), Status> {
        match source {
            _ if call.subresource.is_some() => Err(call.not_found(call.name)),
            Source::Put(mut new) if strategy::creates_on_update(target) => {
                metadata(&mut new).remove("resourceVersion");
                metadata(&mut new).remove("uid");
                Ok((new, Ownership::Take))
            }
            Source::Patch(Patch::Apply { object, force }) => {
                let applied = self.applied(call, target, object)?;
                let uid = text(&applied, "/metadata/uid");
                if !uid.is_empty() {
                    let why = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    );
                    return Err(call.conflict(call.name, &why));
                }
                let (manager, version) = (call.manager(), target.kind.api_version());
                let now = self.settings.clock.now();
                let writer = super::writer(call, target, (&manager, &version), now);
                let mut object = managed::apply(&target.schema, None, &applied, &writer, *force)?;
                machinery::settle(target, &mut object);
                Ok((object, Ownership::AsApplied))
            }
            _ => Err(call.not_found(call.name)),
        }
    }

    /// What a manager applies, in the version that is stored.
    fn applied(&self, call: &Call<'_>, target: &Resource, object: &Json) -> Result<Json, Status> {
        let mut applied = object.clone();
        machinery::identify(call.resource, &mut applied)?;
        place(call, &mut applied)?;
        Ok(conversion::to_stored(call.resource, target, applied))
    }

    /// Puts an object in the place of one.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn replace(
        &self,
        tx: &mut Transaction<'_>,
        call: &Call<'_>,
        target: &Resource,
        existing: &Arc<Stored>,
        old: &Json,
        mut new: Json,
        ownership: Ownership,
    ) -> Result<Arc<Stored>, Status> {
        let now = self.settings.clock.now();
        let key = &existing.key;
        let uid = text(&new, "/metadata/uid");
        if !uid.is_empty() && uid != &*existing.uid {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                existing.uid
            );
            return Err(call.conflict(&key.name, &why));
        }
        let version = text(&new, "/metadata/resourceVersion");
        if !version.is_empty() && version != "0" && version != existing.revision.to_string() {
            return Err(call.conflict(&key.name, MODIFIED));
        }
        strategy::restore(target, call.subresource, old, &mut new);
        metadata(&mut new).insert(
            "resourceVersion".to_owned(),
            existing.revision.to_string().into(),
        );
        check_finalizers(target, old, &new)?;
        if ownership == Ownership::Take {
            let (manager, version) = (call.manager(), target.kind.api_version());
            let writer = super::writer(call, target, (&manager, &version), now);
            managed::update(&target.schema, Some(old), &mut new, &writer);
        }
        let mut attempt = Attempt {
            registry: self,
            call,
            resource: target,
            key,
            old: Some(old),
            now,
            tx,
        };
        admission::mutate(&mut attempt, &mut new)?;
        if strategy::has_generation(target) && call.subresource != Some("status") {
            let generation = number(old, "/metadata/generation").unwrap_or(1);
            let differs = strategy::spec_differs(target, old, &new);
            metadata(&mut new).insert(
                "generation".to_owned(),
                (generation + i64::from(differs)).into(),
            );
        }
        custom::establish(attempt.tx, target, &mut new, now);
        if managed::settle(old, &mut new) && !strategy::may_go(target, &new) {
            return Ok(existing.clone());
        }
        machinery::check(target, &new, Some(old))?;
        admission::validate(&mut attempt, &new)?;
        if strategy::may_go(target, &new) {
            return self.remove(tx, target, key, Some(new));
        }
        self.put(tx, target, key, new)
    }
}

/// Applies a patch that isn't a server-side apply.
pub(super) fn patched(resource: &Resource, object: &Json, patch: &Patch) -> Result<Json, Status> {
    let (kind, patch) = match patch {
        Patch::Json(patch) => (PatchKind::Json, patch),
        Patch::Merge(patch) => (PatchKind::Merge, patch),
        Patch::Strategic(patch) => (PatchKind::Strategic, patch),
        Patch::Apply { object, .. } => (PatchKind::Apply, object),
    };
    patch::patch(kind, &resource.schema, object, patch)
}

/// Whether a patch of this kind can be for this resource, and by this call.
pub(super) fn check_patch(call: &Call<'_>, patch: &Patch) -> Result<(), Status> {
    match patch {
        Patch::Strategic(_) if call.resource.custom => Err(Status::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        Patch::Apply { force, .. } => managed::check_options(
            Some(PatchKind::Apply),
            call.field_manager,
            Some(*force),
            "PatchOptions",
        ),
        _ => Ok(()),
    }
}

fn version_needed(target: &Resource, object: &Json) -> Status {
    let cause = Cause {
        reason: "FieldValueInvalid".to_owned(),
        message: "Invalid value: 0: must be specified for an update".to_owned(),
        field: "metadata.resourceVersion".to_owned(),
    };
    let name = text(object, "/metadata/name");
    Status::invalid(&target.kind.group, &target.kind.kind, name, vec![cause])
}

/// What is being deleted gets no new finalizers.
fn check_finalizers(target: &Resource, old: &Json, new: &Json) -> Result<(), Status> {
    if !is_deleting(old) {
        return Ok(());
    }
    let before = finalizers(old);
    let added: Vec<String> = finalizers(new)
        .into_iter()
        .filter(|one| !before.contains(one))
        .map(|one| format!("{one:?}"))
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let cause = Cause {
        reason: "FieldValueForbidden".to_owned(),
        message: format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        ),
        field: "metadata.finalizers".to_owned(),
    };
    let name = text(new, "/metadata/name");
    Err(Status::invalid(
        &target.kind.group,
        &target.kind.kind,
        name,
        vec![cause],
    ))
}
