//! Identities of new objects.

use uuid::Uuid;

/// What generated names end with: no vowels, so no words, and nothing that looks like something else
/// (`k8s.io/apimachinery/pkg/util/rand`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longer generated names are cut before their ending (`k8s.io/apiserver/pkg/storage/names`).
const LONGEST: usize = 63;
const ENDING: usize = 5;

/// A new uid.
pub(super) fn uid() -> String {
    Uuid::new_v4().to_string()
}

/// Five letters and digits.
pub(super) fn ending() -> String {
    let random = Uuid::new_v4().as_u128();
    // 27 to the fifth is far below the 122 random bits, so the remainders are even enough.
    let mut rest = random ^ (random >> 64);
    (0..ENDING)
        .map(|_| {
            let at = (rest % ALPHABET.len() as u128) as usize;
            rest /= ALPHABET.len() as u128;
            char::from(ALPHABET[at])
        })
        .collect()
}

/// A name that begins with what `generateName` says.
pub(super) fn generated(prefix: &str) -> String {
    let cut = prefix
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|at| *at <= LONGEST - ENDING)
        .last()
        .unwrap_or_default();
    let prefix = if prefix.len() > LONGEST - ENDING {
        &prefix[..cut]
    } else {
        prefix
    };
    format!("{prefix}{}", ending())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_short_and_differ() {
        assert!(generated("web-").starts_with("web-"));
        assert_eq!(generated("web-").len(), 9);
        assert_ne!(generated("web-"), generated("web-"));
        assert_eq!(generated(&"x".repeat(80)).len(), 63);
        assert_eq!(generated(&"x".repeat(58)).len(), 63);
        assert!(generated(&"ä".repeat(40)).len() <= 63);
    }
}
