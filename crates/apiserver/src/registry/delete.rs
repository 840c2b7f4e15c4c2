//! Deletion: at once, after a grace period, or when the finalizers are gone.

use std::sync::Arc;

use apimachinery::{Resource, Status};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::call::{Call, DeleteOptions, Deleted, Propagation};
use super::document::{
    finalizers, is_deleting, metadata, number, part, seconds, set_finalizers, text,
};
use super::{Registry, custom, strategy};
use crate::store::{Key, Stored, Transaction};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// How long a pod may take when it doesn't say, in seconds.
const POD_GRACE: i64 = 30;
/// Namespaces that stay.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

impl Registry {
    pub(super) fn delete_object(
        &self,
        call: &Call<'_>,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let target = self.target(call.resource);
        let key = Key::new(&target.group_resource(), call.namespace, call.name);
        let ((object, gone), revision) = self.write(call.dry_run || options.dry_run, |tx| {
            self.delete_in(tx, call, &target, &key, options)
        })?;
        Ok(Deleted {
            object,
            gone,
            revision,
            warnings: Vec::new(),
        })
    }

    /// Deletes an object, or begins to: what it is then, and whether it is gone.
    pub(super) fn delete_in(
        &self,
        tx: &mut Transaction<'_>,
        call: &Call<'_>,
        target: &Resource,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<(Arc<Stored>, bool), Status> {
        let existing = tx.get(key).ok_or_else(|| call.not_found(&key.name))?;
        check_preconditions(call, &existing, options)?;
        let core = |plural: &str| target.kind.group.is_empty() && &*target.plural == plural;
        if core("namespaces") && IMMORTAL.contains(&&*key.name) {
            return Err(call.forbidden(&key.name, "this namespace may not be deleted"));
        }
        let now = self.settings.clock.now();
        let old = existing.json();
        let mut new = old.clone();
        propagate(&mut new, options.propagation);
        let grace = if core("pods") {
            pod_grace(&old, options)
        } else {
            0
        };
        mark(target, &old, &mut new, grace, now);
        if core("namespaces") {
            part(&mut new, "status").insert("phase".to_owned(), "Terminating".into());
        }
        if custom::is_definition(target) {
            custom::clean(self, tx, call, &mut new, now)?;
            if tx.get(key).is_none() {
                // It went with the last of its objects.
                return Ok((existing, true));
            }
        }
        if strategy::may_go(target, &new) {
            return Ok((self.remove(tx, target, key, Some(new))?, true));
        }
        if new == old {
            return Ok((existing, false));
        }
        Ok((self.put(tx, target, key, new)?, false))
    }

    pub(super) fn delete_all(
        &self,
        call: &Call<'_>,
        options: &DeleteOptions,
        wanted: &dyn Fn(&Stored) -> bool,
    ) -> Result<Vec<Deleted>, Status> {
        let target = self.target(call.resource);
        let namespace = (!call.namespace.is_empty()).then_some(call.namespace);
        let listing = self.store.list(&target.group_resource(), namespace);
        let mut deleted = Vec::new();
        for stored in listing.items.iter().filter(|stored| wanted(stored)) {
            let one = Call {
                namespace: &stored.key.namespace,
                name: &stored.key.name,
                ..*call
            };
            // Only what was listed: a namesake that came since is another object.
            let options = DeleteOptions {
                uid: options.uid.clone().or(Some(stored.uid.to_string())),
                ..options.clone()
            };
            match self.delete_object(&one, &options) {
                Ok(one) => deleted.push(one),
                Err(status) if matches!(status.code, 404 | 409) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(deleted)
    }
}

fn check_preconditions(
    call: &Call<'_>,
    existing: &Stored,
    options: &DeleteOptions,
) -> Result<(), Status> {
    if let Some(uid) = &options.uid
        && **uid != *existing.uid
    {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            existing.uid
        );
        return Err(call.conflict(&existing.key.name, &why));
    }
    if let Some(version) = &options.resource_version
        && *version != existing.revision.to_string()
    {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
            existing.revision
        );
        return Err(call.conflict(&existing.key.name, &why));
    }
    Ok(())
}

/// Sets the finalizers that tell the garbage collector what to do with what the object owns. Without a policy they are as
/// they were.
fn propagate(object: &mut Json, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let mut all: Vec<String> = finalizers(object)
        .into_iter()
        .filter(|one| *one != FOREGROUND && *one != ORPHAN)
        .map(str::to_owned)
        .collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => all.push(FOREGROUND.to_owned()),
        Propagation::Orphan => all.push(ORPHAN.to_owned()),
    }
    set_finalizers(object, &all);
}

/// How long a pod may still run, in seconds.
fn pod_grace(pod: &Json, options: &DeleteOptions) -> i64 {
    let own = number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(POD_GRACE);
    let finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    if finished || text(pod, "/spec/nodeName").is_empty() {
        // Nobody runs it who would have to end.
        return 0;
    }
    match options.grace_period {
        // A negative one is meant as the shortest that isn't forced.
        Some(negative) if negative < 0 => 1,
        Some(asked) => asked,
        None => own.max(0),
    }
}

/// Marks an object as being deleted. The deadline of one that is marked can only come nearer.
fn mark(target: &Resource, old: &Json, new: &mut Json, grace: i64, now: Timestamp) {
    let until = now
        .saturating_add(SignedDuration::from_secs(grace))
        .unwrap_or(now);
    let before = number(old, "/metadata/deletionGracePeriodSeconds");
    if is_deleting(old) {
        match before {
            Some(before) if grace >= before => return,
            _ => {}
        }
    }
    let generation = number(old, "/metadata/generation");
    let metadata = metadata(new);
    metadata.insert("deletionTimestamp".to_owned(), seconds(until).into());
    metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    if !is_deleting(old)
        && strategy::has_generation(target)
        && let Some(generation) = generation
    {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
}
