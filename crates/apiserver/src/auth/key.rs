//! The key that signs service-account tokens, and what signed tokens are: JWTs by ECDSA on P-256 (`ES256`).
//!
//! One algorithm and one key: what a token's header says of them is compared, never followed. The primitives are ring's, which
//! also encrypts the server's connections.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Value as Json, json};

const FILE: &str = "service-account-key.der";

/// Signs tokens and knows its own.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    /// Which key it is, for those who check tokens: a digest of its public half.
    id: String,
}

impl SigningKey {
    /// The key of a folder; it is made if it is missing, and closed to others if it is not.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let document = match File::open(&path) {
            Ok(mut file) => {
                file.set_permissions(Permissions::from_mode(0o600))?;
                let mut document = Vec::new();
                file.read_to_end(&mut document)?;
                document
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(folder, &path)?,
            Err(error) => return Err(error),
        };
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &random)
            .map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is not a P-256 key in PKCS#8", path.display()),
            )
        })?;
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, pair.public_key().as_ref()));
        Ok(Self { pair, random, id })
    }

    /// A token of these claims.
    pub(super) fn sign(&self, claims: &Json) -> Result<String, ring::error::Unspecified> {
        let header = json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" });
        let mut token = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.pair.sign(&self.random, token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Whether this key has signed a token.
    pub(super) fn has_signed(&self, token: &str) -> bool {
        let Some((signed, signature)) = token.rsplit_once('.') else {
            return false;
        };
        let header = signed.split('.').next().and_then(decoded);
        let of_ours =
            header.is_some_and(|header| header["alg"] == "ES256" && header["kid"] == self.id);
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        of_ours
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
                .verify(signed.as_bytes(), &signature)
                .is_ok()
    }

    /// The public half, as a JSON Web Key.
    pub(super) fn public(&self) -> Json {
        // An uncompressed point: a mark, then two coordinates of 32 bytes.
        let point = &self.pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// The claims of a token, whoever has signed it. `None`: it is no JWT.
pub(super) fn claims(token: &str) -> Option<Json> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    decoded(claims).filter(Json::is_object)
}

fn encoded(json: &Json) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn decoded(part: &str) -> Option<Json> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Makes a key. It gets its name once it is whole on the disk, so that a crash leaves none or all of it.
fn make(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let temporary = folder.join(format!("{FILE}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(document.as_ref())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()?;
    Ok(document.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_in_its_folder_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let first = SigningKey::open(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let again = SigningKey::open(folder.path()).unwrap();
        assert_eq!(mode(), 0o600);
        assert_eq!(first.public(), again.public());
        assert!(again.has_signed(&first.sign(&json!({ "sub": "x" })).unwrap()));
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, b"no key").unwrap();
        let error = SigningKey::open(folder.path()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(FILE));
        assert_eq!(fs::read(&path).unwrap(), b"no key");
    }

    #[test]
    fn tokens_that_were_changed_or_signed_by_others_are_not_its_own() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = SigningKey::open(here.path()).unwrap();
        let other = SigningKey::open(there.path()).unwrap();
        let token = key.sign(&json!({ "sub": "a" })).unwrap();
        assert!(key.has_signed(&token));
        assert_eq!(claims(&token), Some(json!({ "sub": "a" })));
        assert!(!other.has_signed(&token));
        let parts: Vec<&str> = token.split('.').collect();
        let changed = encoded(&json!({ "sub": "b" }));
        let none = encoded(&json!({ "alg": "none" }));
        for forged in [
            format!("{}.{changed}.{}", parts[0], parts[2]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}.x"),
            String::new(),
            "é.é.é".to_owned(),
        ] {
            assert!(!key.has_signed(&forged), "{forged}");
        }
    }
}
