//! CustomResourceDefinitions: their names accepted, their groups served, their objects cleaned up.

use std::collections::BTreeSet;

use apimachinery::status::Reason;
use apimachinery::{GroupResource, Resource, Status, crd};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::Registry;
use super::call::{Call, DeleteOptions};
use super::document::{
    condition, finalizers, is_deleting, list, part, set_condition, set_finalizers, text,
};
use crate::store::{Key, Stored, Transaction};

const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) fn definitions() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

pub(super) fn is_definition(resource: &Resource) -> bool {
    &*resource.kind.group == "apiextensions.k8s.io"
        && &*resource.plural == "customresourcedefinitions"
}

/// The key of the definition that a resource comes from.
fn definition_of(resource: &GroupResource) -> Key {
    let name = format!("{}.{}", resource.resource, resource.group);
    Key::new(&definitions(), "", &name)
}

/// The resources of the definitions that are established, in the order of their groups, the preferred version of each first.
pub(super) fn served<'a>(definitions: impl Iterator<Item = &'a Stored>) -> Vec<Resource> {
    let mut all: Vec<Resource> = definitions
        .map(Stored::json)
        .filter(is_established)
        .flat_map(|definition| crd::resources(&definition))
        .collect();
    all.sort_by(|a, b| {
        let versions = super::compare_versions(&b.kind.version, &a.kind.version);
        (&a.kind.group, &a.plural)
            .cmp(&(&b.kind.group, &b.plural))
            .then(versions)
    });
    all
}

fn is_established(definition: &Json) -> bool {
    condition(definition, "Established").is_some_and(|one| one["status"] == "True")
}

/// Whether objects of a custom resource can be made still.
///
/// # Errors
/// When its definition is gone, or is being deleted.
pub(super) fn admit(tx: &Transaction<'_>, resource: &Resource) -> Result<(), Status> {
    let place = resource.group_resource();
    match tx.get(&definition_of(&place)) {
        None => Err(Status::new(
            Reason::NotFound,
            "the server could not find the requested resource",
        )),
        Some(definition) if definition.deleting => Err(Status::new(
            Reason::MethodNotAllowed,
            "create not allowed while custom resource definition is terminating",
        )),
        Some(_) => Ok(()),
    }
}

/// Does what the API server's own controllers do with a definition: accepts its names unless another has them, and
/// establishes it.
pub(super) fn establish(
    tx: &Transaction<'_>,
    resource: &Resource,
    definition: &mut Json,
    now: Timestamp,
) {
    if !is_definition(resource) || is_deleting(definition) {
        return;
    }
    let taken = names_taken(tx, definition);
    if taken.is_empty() {
        let names = definition["spec"]["names"].clone();
        part(definition, "status").insert("acceptedNames".to_owned(), names);
        set_condition(
            definition,
            "NamesAccepted",
            "True",
            "NoConflicts",
            "no conflicts found",
            now,
        );
        set_condition(
            definition,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
            now,
        );
    } else {
        let told = taken.join(", ");
        part(definition, "status")
            .entry("acceptedNames")
            .or_insert_with(|| json!({ "kind": "", "plural": "" }));
        set_condition(
            definition,
            "NamesAccepted",
            "False",
            "NameConflict",
            &told,
            now,
        );
        if !is_established(definition) {
            set_condition(
                definition,
                "Established",
                "False",
                "NotAccepted",
                "not all names are accepted",
                now,
            );
        }
    }
    let storage = crd::storage_version(definition)
        .unwrap_or_default()
        .to_owned();
    let versions = part(definition, "status")
        .entry("storedVersions")
        .or_insert_with(|| json!([]));
    if let Some(versions) = versions.as_array_mut()
        && !versions.iter().any(|one| *one == *storage)
    {
        versions.push(storage.into());
    }
    let mut all = finalizers(definition);
    if !all.contains(&CLEANUP) {
        all.push(CLEANUP);
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        set_finalizers(definition, &all);
    }
}

/// Which of a definition's names another definition of its group has.
fn names_taken(tx: &Transaction<'_>, definition: &Json) -> Vec<String> {
    let own = text(definition, "/metadata/name");
    let group = text(definition, "/spec/group");
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for stored in tx.list(&definitions(), None) {
        // Most are of other groups, which their names tell without reading them.
        if *stored.key.name == *own || !stored.key.name.ends_with(group) {
            continue;
        }
        let other = stored.json();
        if text(&other, "/spec/group") == group {
            let names = &other["status"]["acceptedNames"];
            resources.extend(resource_names(names));
            kinds.extend(kind_names(names));
        }
    }
    let names = &definition["spec"]["names"];
    let told = |name: String| format!("{name:?} is already in use");
    let resources = resource_names(names)
        .filter(|name| resources.contains(name))
        .map(told);
    let kinds = kind_names(names)
        .filter(|name| kinds.contains(name))
        .map(told);
    resources.chain(kinds).collect()
}

fn resource_names(names: &Json) -> impl Iterator<Item = String> {
    let short = list(names, "/shortNames").iter().filter_map(Json::as_str);
    [text(names, "/plural"), text(names, "/singular")]
        .into_iter()
        .chain(short)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect::<BTreeSet<_>>()
        .into_iter()
}

fn kind_names(names: &Json) -> impl Iterator<Item = String> {
    [text(names, "/kind"), text(names, "/listKind")]
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect::<BTreeSet<_>>()
        .into_iter()
}

/// Deletes the objects of a definition that is being deleted; when there are none left, nothing holds it any more.
pub(super) fn clean(
    registry: &Registry,
    tx: &mut Transaction<'_>,
    call: &Call<'_>,
    definition: &mut Json,
    now: Timestamp,
) -> Result<(), Status> {
    if !finalizers(definition).contains(&CLEANUP) {
        return Ok(());
    }
    let place = GroupResource::new(
        text(definition, "/spec/group"),
        text(definition, "/spec/names/plural"),
    );
    let catalogue = registry.resources();
    let target = catalogue.versions(&place).next().cloned();
    if let Some(target) = target {
        for stored in tx.list(&place, None) {
            let one = Call {
                resource: &target,
                namespace: &stored.key.namespace,
                name: &stored.key.name,
                subresource: None,
                ..*call
            };
            // Not `DeleteOptions` of the call: those are for the definition.
            registry.delete_in(tx, &one, &target, &stored.key, &DeleteOptions::default())?;
        }
    }
    let left = tx.list(&place, None).len();
    if left == 0 {
        release(definition);
    } else {
        set_condition(
            definition,
            "Terminating",
            "True",
            "InstanceDeletionInProgress",
            &format!("CustomResource deletion is in progress: {left} instances remain"),
            now,
        );
    }
    Ok(())
}

fn release(definition: &mut Json) {
    let rest: Vec<String> = finalizers(definition)
        .into_iter()
        .filter(|one| *one != CLEANUP)
        .map(str::to_owned)
        .collect();
    set_finalizers(definition, &rest);
}

/// After an object of a custom resource has gone: if it was the last of a definition that is being deleted, that goes too.
pub(super) fn after_removal(tx: &mut Transaction<'_>, place: &GroupResource) -> Result<(), Status> {
    let key = definition_of(place);
    let Some(stored) = tx.get(&key).filter(|definition| definition.deleting) else {
        return Ok(());
    };
    let mut definition = stored.json();
    // While `clean` is still at it, it sees to this itself.
    if condition(&definition, "Terminating").is_none() || !tx.list(place, None).is_empty() {
        return Ok(());
    }
    release(&mut definition);
    if finalizers(&definition).is_empty() {
        tx.remove(&key, Some(definition))?;
    } else {
        tx.put(&key, definition)?;
    }
    Ok(())
}
