//! Typed objects as actions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::{Action, EventKind, Key, Reference};

fn document<T: Serialize>(object: &T) -> Json {
    serde_json::to_value(object).expect("the API's types are JSON")
}

pub(crate) fn key_of(metadata: &ObjectMeta) -> Key {
    Key::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

pub(crate) fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn uid_of(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

fn reference<T: Resource + Metadata<Ty = ObjectMeta>>(object: &T) -> Reference {
    Reference::new(T::GROUP, T::URL_PATH_SEGMENT, &key_of(object.metadata()))
}

pub(crate) fn create<T: Serialize>(object: &T) -> Action {
    Action::Create(document(object))
}

pub(crate) fn update_status<T: Serialize>(object: &T) -> Action {
    Action::UpdateStatus(document(object))
}

/// A merge patch of what was looked at, and of nothing newer.
pub(crate) fn patch<T: Resource + Metadata<Ty = ObjectMeta>>(
    object: &T,
    mut patch: Json,
) -> Action {
    let metadata = object.metadata();
    patch["metadata"]["uid"] = json!(uid_of(metadata));
    patch["metadata"]["resourceVersion"] =
        json!(metadata.resource_version.as_deref().unwrap_or_default());
    Action::Patch {
        of: reference(object),
        subresource: None,
        patch,
    }
}

pub(crate) fn delete<T: Resource + Metadata<Ty = ObjectMeta>>(
    object: &T,
    propagation: Option<&'static str>,
) -> Action {
    Action::Delete {
        of: reference(object),
        uid: uid_of(object.metadata()).to_owned(),
        grace: None,
        propagation,
    }
}

/// An Event about an object: `about` is what becomes `involvedObject`.
pub(crate) fn event<T: Resource + Metadata<Ty = ObjectMeta>>(
    object: &T,
    kind: EventKind,
    reason: &str,
    message: String,
) -> Action {
    let metadata = object.metadata();
    let mut about = json!({
        "apiVersion": T::API_VERSION,
        "kind": T::KIND,
        "name": name_of(metadata),
        "uid": uid_of(metadata),
        "resourceVersion": metadata.resource_version,
    });
    if let Some(namespace) = &metadata.namespace {
        about["namespace"] = json!(namespace);
    }
    Action::Event {
        about,
        kind,
        reason: reason.to_owned(),
        message,
    }
}

/// Makes a child and then tells its owner's events of it: nothing is told of what was there already.
pub(crate) fn create_and_tell<T: Serialize>(object: &T, told: Action) -> Action {
    Action::InTurn(vec![create(object), told])
}
