//! Whether an object is what its type says, and what the API server's own rules say of it.
//!
//! Three questions, in the order in which a server asks them: are there fields that nobody knows ([`strict`],
//! [`duplicates`]), is each value of its type ([`types`]; for custom resources [`crate::crd::check`]), and does the whole,
//! with its defaults, keep the rules of its kind ([`object`])?

pub(crate) mod cause;
mod duplicates;
pub(crate) mod names;
mod object;
mod strict;
mod types;

use crate::resource::GroupVersionKind;
use crate::status::Status;

pub use duplicates::duplicates;
pub use object::object;
pub use strict::strict;
pub use types::types;

/// The failure that `fieldValidation=Strict` makes of the texts of [`strict`] and [`duplicates`].
#[must_use]
pub fn strict_failure(kind: &GroupVersionKind, texts: &[String]) -> Status {
    undecodable(
        kind,
        &format!("strict decoding error: {}", texts.join(", ")),
    )
}

/// `Deployment in version "v1" cannot be handled as a Deployment: …`
#[must_use]
pub fn undecodable(kind: &GroupVersionKind, why: &str) -> Status {
    Status::bad_request(format!(
        "{0} in version {1:?} cannot be handled as a {0}: {why}",
        kind.kind, kind.version
    ))
}

#[cfg(test)]
mod tests;
