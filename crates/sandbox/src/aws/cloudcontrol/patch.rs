//! The patch document of `UpdateResource`: RFC 6902, applied by Cloud Control to its own read of the resource.

use catalog::{PropertyPath, ResourceSchema};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::invalid_request;
use crate::aws::wire::ServiceError;

/// Reads a patch document.
pub(super) fn parse(text: &str) -> Result<Patch, ServiceError> {
    let patch: Patch = serde_json::from_str(text)
        .map_err(|error| invalid_request(format!("PatchDocument is not a JSON Patch: {error}")))?;
    if patch.is_empty() {
        return Err(invalid_request("PatchDocument has no operation"));
    }
    Ok(patch)
}

/// The model that `patch` makes of `visible`. What only reads or only creates may touch stays as it is, or this fails.
pub(super) fn apply(
    schema: &ResourceSchema,
    visible: &Value,
    patch: &Patch,
) -> Result<Value, ServiceError> {
    let touched: Vec<PropertyPath> = patch
        .iter()
        .flat_map(touched)
        .map(|pointer| PropertyPath::from_json_pointer(&pointer))
        .collect();
    let mut proposed = visible.clone();
    json_patch::patch(&mut proposed, patch)
        .map_err(|error| invalid_request(format!("Invalid patch update: {error}")))?;
    let refused = |protected: &[PropertyPath]| {
        let refused: Vec<String> = protected
            .iter()
            .filter(|path| {
                // A patch at or below such a property is refused even if it changes nothing; one above it if it does
                // (https://github.com/pulumi/pulumi-aws-native/issues/2936).
                let changed = !path.is_pattern() && path.get(visible) != path.get(&proposed);
                changed
                    || touched
                        .iter()
                        .any(|touched| path.matches_prefix_of(touched))
            })
            .map(|path| format!("/properties{}", path.to_json_pointer()))
            .collect();
        (!refused.is_empty()).then(|| refused.join(", "))
    };
    // The codes and words are real answers' (https://github.com/carina-rs/carina/issues/806 and the issue above).
    if let Some(paths) = refused(schema.read_only()) {
        return Err(ServiceError::validation(format!(
            "Invalid patch update: readOnlyProperties [{paths}] cannot be updated"
        )));
    }
    if let Some(paths) = refused(schema.create_only()) {
        return Err(ServiceError::bad_request(
            "NotUpdatableException",
            format!("Invalid patch update: createOnlyProperties [{paths}] cannot be updated"),
        ));
    }
    Ok(proposed)
}

/// The pointers that an operation changes.
fn touched(operation: &PatchOperation) -> Vec<String> {
    match operation {
        PatchOperation::Add(add) => vec![add.path.to_string()],
        PatchOperation::Remove(remove) => vec![remove.path.to_string()],
        PatchOperation::Replace(replace) => vec![replace.path.to_string()],
        PatchOperation::Move(moved) => vec![moved.from.to_string(), moved.path.to_string()],
        PatchOperation::Copy(copied) => vec![copied.path.to_string()],
        PatchOperation::Test(_) => Vec::new(),
    }
}
