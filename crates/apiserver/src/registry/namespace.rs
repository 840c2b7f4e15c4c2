//! Namespaces: what may be made in them.

use apimachinery::status::Cause;
use apimachinery::{GroupResource, Status};

use super::call::Call;
use super::document::is_deleting;
use crate::store::{Key, Transaction};

pub(super) fn namespaces() -> GroupResource {
    GroupResource::new("", "namespaces")
}

/// Whether an object may be made in the call's namespace.
///
/// # Errors
/// `NotFound` when there is no such namespace, `Forbidden` when it is being deleted.
pub(super) fn admit(tx: &Transaction<'_>, call: &Call<'_>, name: &str) -> Result<(), Status> {
    if call.namespace.is_empty() {
        return Err(Status::bad_request(
            "an empty namespace may not be set during creation",
        ));
    }
    let key = Key::new(&namespaces(), "", call.namespace);
    let namespace = tx
        .get(&key)
        .ok_or_else(|| Status::not_found("", "namespaces", call.namespace))?;
    if !namespace.deleting || !is_deleting(&namespace.json()) {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {} because it is being terminated",
        call.namespace
    );
    let cause = Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {} is being terminated", call.namespace),
        field: "metadata.namespace".to_owned(),
    };
    Err(call.forbidden(name, &why).with_causes(vec![cause]))
}
