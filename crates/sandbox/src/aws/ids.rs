//! Where the identifiers of the embedded AWS come from: a seed and a counter, both kept with the world, so that a world
//! that is given the same calls in the same order makes the same identifiers, and none twice.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A source of identifiers. Small to copy; the world keeps the one that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    seed: u64,
    counter: u64,
}

const LOWER_HEX: &[u8] = b"0123456789abcdef";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Base32, what AWS's unique ids of IAM use.
const UPPER_BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const UPPER_ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LOWER_ALNUM: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const MIXED_ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const DIGITS: &[u8] = b"0123456789";

impl Ids {
    /// A new source; worlds of one seed make the same identifiers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// How many draws were made.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.counter
    }

    /// `length` characters of `alphabet`.
    pub fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let mut text = String::with_capacity(length);
        let mut block = 0_u32;
        self.counter += 1;
        while text.len() < length {
            let mut hasher = Sha256::new();
            hasher.update(self.seed.to_be_bytes());
            hasher.update(self.counter.to_be_bytes());
            hasher.update(block.to_be_bytes());
            for pair in hasher.finalize().chunks_exact(2) {
                if text.len() == length {
                    break;
                }
                let number = usize::from(u16::from_be_bytes([pair[0], pair[1]]));
                text.push(char::from(alphabet[number % alphabet.len()]));
            }
            block += 1;
        }
        text
    }

    /// EC2's long form: `vpc` gives `vpc-0a1b…`, 17 hexadecimal digits, the first one 0.
    pub fn hex17(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{}", self.text(LOWER_HEX, 16))
    }

    /// `length` lower-case hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        self.text(LOWER_HEX, length)
    }

    /// A version 4 UUID, lower case with hyphens.
    pub fn uuid(&mut self) -> String {
        let digits = self.text(LOWER_HEX, 32);
        let variant = ["8", "9", "a", "b"][usize::from(digits.as_bytes()[16]) % 4];
        format!(
            "{}-{}-4{}-{variant}{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[13..16],
            &digits[17..20],
            &digits[20..]
        )
    }

    /// IAM's unique ids: `AROA` gives `AROA` and 17 characters of base32.
    pub fn iam(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.text(UPPER_BASE32, 17))
    }

    /// `length` upper-case letters and digits (hosted zones, CloudFront, EKS's OIDC issuer).
    pub fn upper_alnum(&mut self, length: usize) -> String {
        self.text(UPPER_ALNUM, length)
    }

    /// `length` upper-case letters.
    pub fn upper(&mut self, length: usize) -> String {
        self.text(UPPER, length)
    }

    /// `length` lower-case letters and digits.
    pub fn lower_alnum(&mut self, length: usize) -> String {
        self.text(LOWER_ALNUM, length)
    }

    /// `length` letters of both cases and digits (the six characters at the end of a secret's ARN).
    pub fn mixed_alnum(&mut self, length: usize) -> String {
        self.text(MIXED_ALNUM, length)
    }

    /// `length` decimal digits.
    pub fn digits(&mut self, length: usize) -> String {
        self.text(DIGITS, length)
    }

    /// A number below `bound` (0 for a bound of 0).
    pub fn below(&mut self, bound: u64) -> u64 {
        let digits = self.text(LOWER_HEX, 15);
        u64::from_str_radix(&digits, 16)
            .unwrap_or(0)
            .checked_rem(bound)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_forms_are_awss() {
        let (mut first, mut again, mut other) = (Ids::new(7), Ids::new(7), Ids::new(8));
        let vpc = first.hex17("vpc");
        assert_eq!(vpc, again.hex17("vpc"));
        assert_ne!(vpc, other.hex17("vpc"));
        assert_ne!(vpc, first.hex17("vpc"));
        assert_eq!(vpc.len(), "vpc-".len() + 17);
        assert!(vpc.starts_with("vpc-0"));
        let uuid = first.uuid();
        assert!(
            uuid::Uuid::parse_str(&uuid).is_ok_and(|parsed| parsed.get_version_num() == 4),
            "{uuid}"
        );
        assert_eq!(first.iam("AROA").len(), 21);
        assert!(first.below(3) < 3);
    }
}
