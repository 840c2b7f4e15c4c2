//! Causes of `Invalid`, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

use serde_json::Value as Json;

use crate::status::Cause;

fn cause(reason: &str, field: impl Into<String>, message: String) -> Cause {
    Cause {
        reason: reason.to_owned(),
        message,
        field: field.into(),
    }
}

/// `Invalid value: "A": must be …`
pub(crate) fn invalid(field: impl Into<String>, value: &Json, why: impl AsRef<str>) -> Cause {
    let message = format!("Invalid value: {value}: {}", why.as_ref());
    cause("FieldValueInvalid", field, message)
}

/// `Invalid value: "string": spec.x in body must be of type integer: "string"`
pub(crate) fn wrong_type(field: &str, found: &str, wanted: &str) -> Cause {
    let message =
        format!("Invalid value: {found:?}: {field} in body must be of type {wanted}: {found:?}");
    cause("FieldValueTypeInvalid", field, message)
}

/// `Required value: …`
pub(crate) fn required(field: impl Into<String>, why: &str) -> Cause {
    let message = match why {
        "" => "Required value".to_owned(),
        why => format!("Required value: {why}"),
    };
    cause("FieldValueRequired", field, message)
}

/// `Unsupported value: "x": supported values: "a", "b"`
pub(crate) fn unsupported(field: impl Into<String>, value: &Json, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    let message = format!(
        "Unsupported value: {value}: supported values: {}",
        supported.join(", ")
    );
    cause("FieldValueNotSupported", field, message)
}

/// `Duplicate value: "a"`
pub(crate) fn duplicate(field: impl Into<String>, value: &Json) -> Cause {
    cause(
        "FieldValueDuplicate",
        field,
        format!("Duplicate value: {value}"),
    )
}

/// `Forbidden: …`
pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Cause {
    cause("FieldValueForbidden", field, format!("Forbidden: {why}"))
}

/// `Not found: "a"`
pub(crate) fn not_found(field: impl Into<String>, value: &Json) -> Cause {
    cause("FieldValueNotFound", field, format!("Not found: {value}"))
}

/// `Too long: may not be more than 63 bytes`
pub(crate) fn too_long(field: impl Into<String>, most: u64) -> Cause {
    let message = format!("Too long: may not be more than {most} bytes");
    cause("FieldValueTooLong", field, message)
}

/// `Too many: 4: must have at most 3 items`
pub(crate) fn too_many(field: impl Into<String>, found: usize, most: u64) -> Cause {
    let message = format!("Too many: {found}: must have at most {most} items");
    cause("FieldValueTooMany", field, message)
}

/// With a reason of its own.
pub(crate) fn of_reason(reason: &str, field: impl Into<String>, value: &Json, why: &str) -> Cause {
    let message = match reason {
        "FieldValueForbidden" => format!("Forbidden: {why}"),
        "FieldValueRequired" => format!("Required value: {why}"),
        "FieldValueDuplicate" => format!("Duplicate value: {value}"),
        _ => format!("Invalid value: {value}: {why}"),
    };
    cause(reason, field, message)
}

/// A field below a path.
pub(crate) fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
