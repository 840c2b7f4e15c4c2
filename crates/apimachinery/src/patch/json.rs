//! JSON patch, RFC 6902.

use json_patch::{PatchOperation, TestOperation};
use serde_json::Value as Json;

use crate::managed::go_type;
use crate::nesting::{self, DEEPEST};
use crate::status::{Cause, Reason, Status};

/// The most operations that a patch may have.
const MOST_OPERATIONS: usize = 10_000;
/// How many bytes its `copy` operations may add together: as many as a request's body may have. Each could double the object.
const MOST_COPIED: usize = 3 << 20;

/// Applies a JSON patch.
///
/// # Errors
/// 400 if it is no JSON patch, 413 if it has too many operations, 422 if an operation cannot be done (a missing path, a failed
/// `test`), or makes the object too large or too deep.
pub fn json(original: &Json, patch: &Json) -> Result<Json, Status> {
    let Json::Array(operations) = patch else {
        return Err(Status::bad_request(format!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
            json_kind(patch)
        )));
    };
    if operations.len() > MOST_OPERATIONS {
        return Err(Status::new(
            Reason::RequestEntityTooLarge,
            format!(
                "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
                operations.len()
            ),
        ));
    }
    let mut patched = original.clone();
    let mut copied = 0;
    for (place, operation) in operations.iter().enumerate() {
        let operation: PatchOperation = serde_json::from_value(operation.clone())
            .map_err(|error| Status::bad_request(format!("operation {place}: {error}")))?;
        if let PatchOperation::Test(TestOperation { path, value }) = &operation
            && value.is_null()
            && path.resolve(&patched).is_err()
        {
            // To the API server, what is not there is null.
            continue;
        }
        copied += check_growth(&patched, &operation, copied)?;
        json_patch::patch(&mut patched, std::slice::from_ref(&operation)).map_err(|error| {
            unprocessable(format!(
                "operation {place} ({} {:?}): {}",
                name(&operation),
                operation.path().as_str(),
                error.kind
            ))
        })?;
    }
    Ok(patched)
}

/// Refuses what makes a small patch a huge object. Gives how many bytes the operation copies.
fn check_growth(object: &Json, operation: &PatchOperation, copied: usize) -> Result<usize, Status> {
    let (value, copies) = match operation {
        PatchOperation::Add(add) => (Some(&add.value), false),
        PatchOperation::Replace(replace) => (Some(&replace.value), false),
        PatchOperation::Move(from) => (from.from.resolve(object).ok(), false),
        PatchOperation::Copy(from) => (from.from.resolve(object).ok(), true),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => (None, false),
    };
    // What isn't there is said where it is looked for.
    let Some(value) = value else {
        return Ok(0);
    };
    if operation.path().count() + nesting::depth(value) > DEEPEST {
        return Err(unprocessable(format!(
            "the patched object is nested deeper than {DEEPEST} levels"
        )));
    }
    if !copies {
        return Ok(0);
    }
    let bytes = value.to_string().len();
    if copied + bytes > MOST_COPIED {
        return Err(unprocessable(format!(
            "what the patch copies is larger than {MOST_COPIED} bytes"
        )));
    }
    Ok(bytes)
}

fn name(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

/// 422 as the API server words it, which says nothing about the reason: that is in a cause, which kubectl prints.
pub(super) fn unprocessable(why: String) -> Status {
    Status::new(
        Reason::Invalid,
        "the server rejected our request due to an error in our request",
    )
    .with_causes(vec![Cause {
        reason: "UnexpectedServerResponse".to_owned(),
        message: why,
        field: String::new(),
    }])
}

/// A value's kind as Go's JSON decoder names it.
pub(super) fn json_kind(value: &Json) -> &'static str {
    match value {
        Json::Object(_) => "object",
        Json::Array(_) => "array",
        Json::Number(_) => "number",
        other => go_type(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_are_done_in_turn() {
        let patched = json(
            &json!({"spec": {"replicas": 1, "a~b": {"c/d": 2}}}),
            &json!([
                {"op": "test", "path": "/spec/replicas", "value": 1},
                {"op": "replace", "path": "/spec/replicas", "value": 3},
                {"op": "add", "path": "/metadata", "value": {"finalizers": []}},
                {"op": "add", "path": "/metadata/finalizers/-", "value": "x"},
                {"op": "remove", "path": "/spec/a~0b/c~1d"},
                {"op": "test", "path": "/nowhere", "value": null},
            ]),
        )
        .unwrap();
        assert_eq!(
            patched,
            json!({"metadata": {"finalizers": ["x"]}, "spec": {"replicas": 3, "a~b": {}}})
        );
    }

    #[test]
    fn what_cannot_be_done_is_422_and_what_is_no_patch_400() {
        let object = json!({"spec": {"replicas": 1}});
        for (patch, code) in [
            (json!([{"op": "remove", "path": "/spec/paused"}]), 422),
            (
                json!([{"op": "replace", "path": "/spec/paused", "value": 1}]),
                422,
            ),
            (
                json!([{"op": "test", "path": "/spec/replicas", "value": 2}]),
                422,
            ),
            (json!([{"op": "add", "path": "/a/b/c", "value": 2}]), 422),
            (
                json!([{"op": "add", "path": "/spec/replicas/-", "value": 2}]),
                422,
            ),
            (json!([{"op": "move", "from": "/x", "path": "/y"}]), 422),
            (json!([{"op": "grow", "path": "/y"}]), 400),
            (json!([{"op": "add", "path": "y", "value": 1}]), 400),
            (json!([{"op": "add", "path": "/y"}]), 400),
            (json!([1]), 400),
            (json!({"spec": {}}), 400),
            (
                json!(vec![json!({"op": "remove", "path": "/x"}); 10_001]),
                413,
            ),
        ] {
            assert_eq!(json(&object, &patch).unwrap_err().code, code, "{patch}");
        }
        let doubling = json!({"op": "copy", "from": "", "path": "/a"});
        let wide = json!({"op": "copy", "from": "/spec", "path": "/spec/x"});
        for operation in [doubling, wide] {
            let patch = json!(vec![operation; 200]);
            assert_eq!(json(&object, &patch).unwrap_err().code, 422);
        }
        let list = json!({"a": ["x".repeat(1_000)]});
        let patch = json!(vec![
            json!({"op": "copy", "from": "/a/0", "path": "/a/-"});
            5_000
        ]);
        assert_eq!(json(&list, &patch).unwrap_err().code, 422);
        let refused = json(&object, &json!([{"op": "remove", "path": "/x"}])).unwrap_err();
        assert_eq!(
            refused.message,
            "the server rejected our request due to an error in our request"
        );
        assert!(refused.details.unwrap().causes[0].message.contains("/x"));
    }
}
