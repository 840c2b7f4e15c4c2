//! Not written yet.

use crate::{Error, Files, Source};

/// Exports the wanted scopes.
///
/// # Errors
///
/// All that the format cannot express.
pub fn export(_source: &Source<'_>) -> Result<Files, Vec<Error>> {
    Ok(Files::new())
}
