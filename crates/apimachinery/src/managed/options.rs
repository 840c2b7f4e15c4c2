//! The parameters of a write that are about its field manager.

use crate::Status;
use crate::patch::PatchKind;
use crate::status::Cause;

/// The longest name of a field manager, in bytes.
const LONGEST: usize = 128;

/// The field manager of a request: what it names, or else the first part of its user agent, before the `/`.
#[must_use]
pub fn manager_of(field_manager: Option<&str>, user_agent: &str) -> String {
    if let Some(named) = field_manager
        && !named.is_empty()
    {
        return named.to_owned();
    }
    let agent = user_agent.split('/').next().unwrap_or_default();
    let mut manager = String::new();
    for character in agent.chars().filter(|character| is_printable(*character)) {
        if manager.len() + character.len_utf8() > LONGEST {
            break;
        }
        manager.push(character);
    }
    manager
}

/// Checks a patch's `fieldManager` and `force`, or those of another write (`kind` is none).
///
/// # Errors
/// 422 about the options: no manager of an apply, `force` with another patch, a name that is too long or cannot be printed.
pub fn check_options(
    kind: Option<PatchKind>,
    field_manager: Option<&str>,
    force: Option<bool>,
    options: &str,
) -> Result<(), Status> {
    let mut causes = Vec::new();
    let mut tell = |reason: &str, field: &str, message: String| {
        causes.push(Cause {
            reason: reason.to_owned(),
            message,
            field: field.to_owned(),
        });
    };
    let manager = field_manager.unwrap_or_default();
    match kind {
        Some(PatchKind::Apply) if manager.is_empty() => tell(
            "FieldValueRequired",
            "fieldManager",
            "Required value: is required for apply patch".to_owned(),
        ),
        Some(PatchKind::Json | PatchKind::Merge | PatchKind::Strategic) if force.is_some() => tell(
            "FieldValueForbidden",
            "force",
            "Forbidden: may not be specified for non-apply patch".to_owned(),
        ),
        _ => {}
    }
    if manager.len() > LONGEST {
        tell(
            "FieldValueTooLong",
            "fieldManager",
            format!("Too long: may not be more than {LONGEST} bytes"),
        );
    }
    for (place, character) in manager.char_indices() {
        if !is_printable(character) {
            let code = u32::from(character);
            tell(
                "FieldValueInvalid",
                "fieldManager",
                format!(
                    "Invalid value: {manager:?}: invalid character U+{code:04X} (at position {place})"
                ),
            );
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("meta.k8s.io", options, "", causes))
}

/// Letters, marks, numbers, punctuation, symbols and the plain space.
fn is_printable(character: char) -> bool {
    character == ' ' || !(character.is_control() || character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_named_or_taken_from_the_user_agent() {
        assert_eq!(manager_of(Some("helm"), "kubectl/v1.33"), "helm");
        assert_eq!(manager_of(None, "kubectl/v1.33.9 (linux/amd64)"), "kubectl");
        assert_eq!(manager_of(Some(""), "py\u{7}thon"), "python");
        assert_eq!(manager_of(None, &"x".repeat(200)).len(), 128);
        assert_eq!(manager_of(None, ""), "");
    }

    #[test]
    fn options_are_checked() {
        let refused =
            check_options(Some(PatchKind::Apply), None, None, "PatchOptions").unwrap_err();
        assert_eq!(
            (refused.code, &*refused.message),
            (
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
            )
        );
        assert!(check_options(Some(PatchKind::Merge), None, Some(false), "PatchOptions").is_err());
        assert!(check_options(None, Some("a\nb"), None, "UpdateOptions").is_err());
        assert!(check_options(None, Some(&"x".repeat(129)), None, "CreateOptions").is_err());
        assert!(
            check_options(
                Some(PatchKind::Apply),
                Some("helm"),
                Some(true),
                "PatchOptions"
            )
            .is_ok()
        );
    }
}
