//! Why a store can't be opened or written.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a store's folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("can't {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },
    /// What was written once can't be read back: somebody or something changed it.
    #[error("{} is damaged at byte {offset}: {why}", file.display())]
    Damaged {
        file: PathBuf,
        offset: u64,
        why: String,
    },
    /// What is in it can't be served, or not with these settings.
    #[error("can't serve what is stored: {0}")]
    Unusable(String),
    /// The store can't write any more; what it said when that began.
    #[error("the store stopped writing: {0}")]
    Stopped(String),
}

impl StoreError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn damaged(file: &Path, offset: u64, why: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            offset,
            why: why.into(),
        }
    }
}
