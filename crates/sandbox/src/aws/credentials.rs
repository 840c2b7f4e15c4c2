//! The one access key of the embedded AWS: made at the first start, kept in the world's folder for its owner's eyes only.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ids::Ids;
use crate::Error;

/// An access key of the sandbox's only IAM user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `AKIA…`, twenty characters.
    pub access_key_id: String,
    /// Forty characters.
    pub secret_access_key: String,
    /// The user's unique id, `AIDA…`.
    pub user_id: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The name of the user that the access key belongs to.
    pub const USER_NAME: &str = "seaworthy";

    /// Those of the world in `dir`; makes them where there are none.
    ///
    /// # Errors
    /// When the file cannot be read, understood or written.
    pub fn load_or_make(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("credentials.json");
        if path.exists() {
            return Self::load(dir);
        }
        let made = Self::make();
        let json = serde_json::to_vec_pretty(&made).expect("three strings are JSON");
        write_private(&path, &json)?;
        Ok(made)
    }

    /// Those of the world in `dir`.
    ///
    /// # Errors
    /// When the file is not there, or cannot be read or understood.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("credentials.json");
        let text = std::fs::read(&path).map_err(Error::file("cannot read", &path))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::file("cannot read", &path)(error.into()))
    }

    fn make() -> Self {
        let secret = random_bytes();
        let seed = random_bytes();
        let mut ids = Ids::new(u64::from_be_bytes(
            *seed.first_chunk().expect("32 bytes begin with 8"),
        ));
        Self {
            access_key_id: format!("AKIA{}", &ids.iam("")[..16]),
            secret_access_key: STANDARD.encode(&secret[..30]),
            user_id: ids.iam("AIDA"),
        }
    }
}

/// 32 bytes from the system's source of randomness.
pub(crate) fn random_bytes() -> [u8; 32] {
    let mut hasher = Sha256::new();
    for _ in 0..3 {
        // 122 random bits each.
        hasher.update(uuid::Uuid::new_v4().as_bytes());
    }
    hasher.finalize().into()
}

/// Writes a file that only its owner can read; it is whole or not there.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension(format!("new-{}", uuid::Uuid::new_v4().simple()));
    let write = || -> std::io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(Error::file("cannot write", path))
}
