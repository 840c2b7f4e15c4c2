//! Numbers and names that are drawn from texts: the same texts, the same draw, on every machine and in every version.

use sha2::{Digest, Sha256};

/// The characters of generated names, as Kubernetes has them (`apimachinery/pkg/util/rand`): no vowels and nothing that looks like
/// another.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A number drawn from texts.
#[must_use]
pub(crate) fn number(parts: &[&str]) -> u64 {
    // FNV-1a, with the lengths' places marked, and the finisher of SplitMix64.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let mut mixed = hash;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number from 0 up to 1, drawn from texts.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "53 bits are left")]
pub(crate) fn fraction(parts: &[&str]) -> f64 {
    (number(parts) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Five characters for the end of a generated name.
#[must_use]
pub(crate) fn suffix(parts: &[&str]) -> String {
    let mut rest = number(parts);
    let mut text = String::with_capacity(5);
    for _ in 0..5 {
        let base = ALPHABET.len() as u64;
        text.push(char::from(
            ALPHABET[usize::try_from(rest % base).unwrap_or(0)],
        ));
        rest /= base;
    }
    text
}

/// SHA-256 of texts put one after another, in hexadecimal digits.
#[must_use]
pub(crate) fn digest(parts: &[&str]) -> String {
    use std::fmt::Write;
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_the_same_and_differ() {
        // Written down once: objects' names and times of a stored cluster depend on them.
        assert_eq!(suffix(&["web", "1"]), suffix(&["web", "1"]));
        assert_ne!(suffix(&["web", "1"]), suffix(&["web1"]));
        assert_eq!(
            digest(&["a", "bc"]),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "the published digest of abc"
        );
        let distinct: std::collections::BTreeSet<String> =
            (0..1000).map(|n| suffix(&["x", &n.to_string()])).collect();
        assert!(distinct.len() > 990);
        let mean: f64 = (0..1000)
            .map(|n| fraction(&["f", &n.to_string()]))
            .sum::<f64>()
            / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
