//! New objects.

use apimachinery::managed;
use apimachinery::status::Cause;
use apimachinery::{Resource, Status};
use serde_json::Value as Json;

use super::admission::{self, Attempt};
use super::call::Call;
use super::document::{metadata, seconds, text};
use super::{
    Outcome, Registry, conversion, custom, events, machinery, namespace, naming, strategy,
};
use crate::store::{Key, Stored, Transaction};

/// How often a generated name may turn out to be taken.
const ATTEMPTS: usize = 8;

/// Whether the object comes with its managedFields, or gets them as the call's manager's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    Take,
    AsApplied,
}

impl Registry {
    pub(super) fn create_object(&self, call: &Call<'_>, body: Json) -> Result<Outcome, Status> {
        let mut warnings = Vec::new();
        let target = self.target(call.resource);
        let body = machinery::receive(call, body, &mut warnings)?;
        let object = conversion::to_stored(call.resource, &target, body);
        let (stored, revision) = self.write(call.dry_run, |tx| {
            self.insert(tx, call, &target, object, Ownership::Take)
        })?;
        if &*target.plural == "events" {
            events::remember(self, &stored.key, self.settings.clock.now());
        }
        Ok(Outcome {
            stored,
            created: true,
            revision,
            warnings,
        })
    }

    /// Puts in a new object, which has its type's defaults.
    pub(super) fn insert(
        &self,
        tx: &mut Transaction<'_>,
        call: &Call<'_>,
        target: &Resource,
        mut object: Json,
        ownership: Ownership,
    ) -> Result<std::sync::Arc<Stored>, Status> {
        let now = self.settings.clock.now();
        if !text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        place(call, &mut object)?;
        if call.resource.namespaced {
            let name = super::document::object_name(&object);
            namespace::admit(tx, call, name)?;
        }
        if target.custom {
            custom::admit(tx, target)?;
        }
        let key = self.name(tx, target, call, &mut object)?;
        // Ownership is settled first: what the server says of the object by itself belongs to nobody.
        if ownership == Ownership::Take {
            let (manager, version) = (call.manager(), target.kind.api_version());
            let writer = super::writer(call, target, (&manager, &version), now);
            managed::update(&target.schema, None, &mut object, &writer);
        }
        let metadata = metadata(&mut object);
        metadata.insert("uid".to_owned(), naming::uid().into());
        metadata.insert("creationTimestamp".to_owned(), seconds(now).into());
        for name in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
        ] {
            metadata.remove(name);
        }
        strategy::prepare_create(target, &mut object);
        let mut attempt = Attempt {
            registry: self,
            call,
            resource: target,
            key: &key,
            old: None,
            now,
            tx,
        };
        admission::mutate(&mut attempt, &mut object)?;
        machinery::check(target, &object, None)?;
        if attempt.tx.get(&key).is_some() {
            return Err(Status::already_exists(
                &call.resource.kind.group,
                &call.resource.plural,
                &key.name,
            ));
        }
        admission::validate(&mut attempt, &object)?;
        custom::establish(tx, target, &mut object, now);
        self.put(tx, target, &key, object)
    }

    /// The key of a new object, whose name may have to be found.
    fn name(
        &self,
        tx: &Transaction<'_>,
        target: &Resource,
        call: &Call<'_>,
        object: &mut Json,
    ) -> Result<Key, Status> {
        let place = target.group_resource();
        let namespace = if target.namespaced {
            call.namespace
        } else {
            ""
        };
        let name = text(object, "/metadata/name");
        if !name.is_empty() {
            return Ok(Key::new(&place, namespace, name));
        }
        let prefix = text(object, "/metadata/generateName").to_owned();
        if prefix.is_empty() {
            let cause = Cause {
                reason: "FieldValueRequired".to_owned(),
                message: "Required value: name or generateName is required".to_owned(),
                field: "metadata.name".to_owned(),
            };
            return Err(Status::invalid(
                &target.kind.group,
                &target.kind.kind,
                "",
                vec![cause],
            ));
        }
        for _ in 0..ATTEMPTS {
            let name = naming::generated(&prefix);
            let key = Key::new(&place, namespace, &name);
            if tx.get(&key).is_none() {
                metadata(object).insert("name".to_owned(), name.into());
                return Ok(key);
            }
        }
        Err(Status::already_exists(
            &target.kind.group,
            &target.plural,
            &prefix,
        ))
    }
}

/// The object is where the path says.
pub(super) fn place(call: &Call<'_>, object: &mut Json) -> Result<(), Status> {
    let says = text(object, "/metadata/name");
    if !call.name.is_empty() {
        if says.is_empty() {
            metadata(object).insert("name".to_owned(), call.name.into());
        } else if says != call.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({says}) does not match the name on the URL ({})",
                call.name
            )));
        }
    }
    if !call.resource.namespaced {
        metadata(object).remove("namespace");
        return Ok(());
    }
    let says = text(object, "/metadata/namespace");
    if !says.is_empty() && says != call.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata(object).insert("namespace".to_owned(), call.namespace.into());
    Ok(())
}
