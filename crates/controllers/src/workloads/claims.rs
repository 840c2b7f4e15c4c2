//! Whose object is whose: adoption of orphans that a selector matches, and release of those that it matches no more
//! (`pkg/controller/controller_ref_manager.go`). What another controller owns is never touched.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::{Metadata, Resource};
use serde_json::json;

use crate::workloads::writes::{patch, uid_of};
use crate::{Action, Shelf};

/// What a controller has, and what makes it so.
pub(crate) struct Claims<'a, T> {
    pub(crate) owned: Vec<&'a Arc<T>>,
    pub(crate) actions: Vec<Action>,
}

/// The reference to an object as the controller of others.
pub(crate) fn controller_reference<O: Resource + Metadata<Ty = ObjectMeta>>(
    owner: &O,
) -> OwnerReference {
    let metadata = owner.metadata();
    OwnerReference {
        api_version: O::API_VERSION.to_owned(),
        kind: O::KIND.to_owned(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: uid_of(metadata).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Those of a shelf that `owner` controls and that match, with the `eligible` orphans that it adopts counted in and those that it
/// releases left out. An owner that is being deleted neither adopts nor releases.
pub(crate) fn claim<'a, O, T>(
    shelf: &'a Shelf<T>,
    owner: &O,
    matches: impl Fn(&T) -> bool,
    eligible: impl Fn(&T) -> bool,
) -> Claims<'a, T>
where
    O: Resource + Metadata<Ty = ObjectMeta>,
    T: Resource + Metadata<Ty = ObjectMeta>,
{
    let metadata = owner.metadata();
    let deleting = metadata.deletion_timestamp.is_some();
    let uid = uid_of(metadata);
    let mut claims = Claims {
        owned: Vec::new(),
        actions: Vec::new(),
    };
    for (_, object) in shelf.owned_by(uid) {
        if matches(object) {
            claims.owned.push(object);
        } else if !deleting {
            let left: Vec<&OwnerReference> = object
                .metadata()
                .owner_references
                .iter()
                .flatten()
                .filter(|reference| reference.uid != uid)
                .collect();
            let left = if left.is_empty() {
                serde_json::Value::Null
            } else {
                json!(left)
            };
            claims.actions.push(patch(
                object.as_ref(),
                json!({"metadata": {"ownerReferences": left}}),
            ));
        }
    }
    if deleting {
        return claims;
    }
    for (_, object) in shelf.orphans_in(metadata.namespace.as_deref().unwrap_or_default()) {
        let theirs = object.metadata();
        if theirs.deletion_timestamp.is_some() || !matches(object) || !eligible(object) {
            continue;
        }
        let mut references = theirs.owner_references.clone().unwrap_or_default();
        references.retain(|reference| reference.uid != uid);
        references.push(controller_reference(owner));
        claims.actions.push(patch(
            object.as_ref(),
            json!({"metadata": {"ownerReferences": references}}),
        ));
        claims.owned.push(object);
    }
    claims
}
