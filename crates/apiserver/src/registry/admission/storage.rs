//! Volumes: the default storage class, finalizers that keep what is in use, and whether a claim may grow.

use apimachinery::Status;
use serde_json::Value as Json;

use super::Attempt;
use crate::registry::document::{finalizers, part, set_finalizers, text, truth};
use apimachinery::quantity::Quantity;

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const IS_DEFAULT_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
/// The older way to name a claim's class.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const SIZE: &str = "/spec/resources/requests/storage";

/// Names the default class in a claim that names none.
pub(super) fn default_class(attempt: &Attempt<'_, '_>, claim: &mut Json) {
    let named = claim.pointer("/spec/storageClassName").is_some()
        || !claim["metadata"]["annotations"][CLASS].is_null();
    if named {
        return;
    }
    let mut classes: Vec<Json> = attempt
        .list("storage.k8s.io", "storageclasses", None)
        .iter()
        .map(|class| class.json())
        .filter(|class| {
            let annotations = &class["metadata"]["annotations"];
            annotations[IS_DEFAULT] == "true" || annotations[IS_DEFAULT_BETA] == "true"
        })
        .collect();
    // The newest; of several as new, the first by name.
    classes.sort_by(|a, b| {
        let since = |class: &Json| text(class, "/metadata/creationTimestamp").to_owned();
        since(b)
            .cmp(&since(a))
            .then_with(|| text(a, "/metadata/name").cmp(text(b, "/metadata/name")))
    });
    if let Some(class) = classes.first() {
        let name = text(class, "/metadata/name");
        part(claim, "spec").insert("storageClassName".to_owned(), name.into());
    }
}

/// Adds a finalizer.
pub(super) fn protect(object: &mut Json, finalizer: &str) {
    let mut all: Vec<String> = finalizers(object).into_iter().map(str::to_owned).collect();
    if !all.iter().any(|one| one == finalizer) {
        all.push(finalizer.to_owned());
        set_finalizers(object, &all);
    }
}

/// A bound claim grows only if its class lets it.
pub(super) fn check_resize(attempt: &Attempt<'_, '_>, claim: &Json) -> Result<(), Status> {
    let Some(old) = attempt.old else {
        return Ok(());
    };
    let size = |claim: &Json| claim.pointer(SIZE).and_then(Quantity::of);
    if text(old, "/status/phase") != "Bound" || size(claim) <= size(old) {
        return Ok(());
    }
    let class = text(claim, "/spec/storageClassName");
    let class = attempt.get("storage.k8s.io", "storageclasses", "", class);
    if class.is_some_and(|class| truth(&class.json(), "/allowVolumeExpansion")) {
        return Ok(());
    }
    Err(attempt.forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    ))
}
