//! The patch types that change an object: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch. Server-side
//! apply, the fourth, is [`crate::managed::apply`].
//!
//! A patch that cannot be applied gives the [`Status`] that the API server answers with; the object is never half patched.

mod json;
mod merge;
mod strategic;

use serde_json::Value as Json;

use crate::{Status, schema::Type};

pub use json::json;
pub use merge::merge;
pub use strategic::strategic;

/// The kinds of patch, by their content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

impl PatchKind {
    /// The kind that a `Content-Type` names; parameters after `;` do not matter.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        Some(match media {
            "application/json-patch+json" => Self::Json,
            "application/merge-patch+json" => Self::Merge,
            "application/strategic-merge-patch+json" => Self::Strategic,
            "application/apply-patch+yaml" => Self::Apply,
            _ => return None,
        })
    }
}

/// Applies a patch that is not a server-side apply.
///
/// # Errors
/// What [`json()`], [`merge()`] and [`strategic()`] fail with; 400 for [`PatchKind::Apply`], which needs a field manager.
pub fn patch(
    kind: PatchKind,
    schema: &Type,
    original: &Json,
    patch: &Json,
) -> Result<Json, Status> {
    match kind {
        PatchKind::Json => json(original, patch),
        PatchKind::Merge => merge(original, patch),
        PatchKind::Strategic => strategic(schema, original, patch),
        PatchKind::Apply => Err(Status::bad_request("an apply patch needs a field manager")),
    }
}
