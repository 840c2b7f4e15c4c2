//! The product's identifiers: one newtype each, all of them here.
//!
//! An identifier is checked where it comes in (`FromStr`, serde alike) and trusted from there on. No identifier converts
//! into another: a resource's [`Address`] (ours, `network/vpc`) can't be passed where its [`Identifier`] (AWS's,
//! `vpc-0a1b…`) is expected.
//!
//! ```compile_fail
//! use seaworthy_catalog::ids::{Address, Identifier};
//! fn delete(_: &Identifier) {}
//! delete(&Address::new("network/vpc").unwrap());
//! ```

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct IdError {
    /// What was given.
    pub text: String,
    /// What it was meant to be, with its article ("an environment name").
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Checks `text` and makes it ", $what, ".\n\n# Errors\n\nWhen it breaks the rule: ", $rule, ".")]
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(IdError { text: text.to_owned(), what: $what, rule: $rule })
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn kebab(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn printable(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && !text.chars().any(char::is_control)
}

string_id!(
    /// The platform's name, the first half of every name in AWS (`shop` of `shop-prod`).
    PlatformName,
    "a platform name",
    "2 to 32 lower-case letters, digits and single hyphens, a letter first",
    |text| text.len() >= 2 && kebab(text, 32)
);
string_id!(
    /// An environment's name (`dev`, `prod`), or `shared` for the scope that environments have in common.
    EnvironmentName,
    "an environment name",
    "1 to 16 lower-case letters, digits and single hyphens, a letter first",
    |text| kebab(text, 16)
);
string_id!(
    /// A resource's address in the platform (`network/subnet/private-a`): stable, chosen by the blueprint, the same in
    /// plan, state, log and error.
    Address,
    "an address",
    "parts of lower-case letters, digits, `-`, `_` and `.`, joined by `/`, 200 characters at most",
    |text| text.len() <= 200
        && text.split('/').all(|part| !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')))
);
string_id!(
    /// AWS's own identifier of a resource, as Cloud Control takes it: a compound one is joined by `|`. Of what lives in a
    /// cluster, `cluster|namespace|name`.
    Identifier,
    "a resource identifier",
    "1 to 1,024 printable characters",
    |text| printable(text, 1024)
);
string_id!(
    /// A twelve-digit AWS account.
    AccountId,
    "an AWS account id",
    "twelve digits",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);
string_id!(
    /// An AWS region (`eu-central-1`).
    Region,
    "an AWS region",
    "lower-case words joined by hyphens with a number last, as in `eu-central-1`",
    |text| text.len() <= 32 && text.matches('-').count() >= 2
        && text.ends_with(|c: char| c.is_ascii_digit())
        && kebab(text, 32)
);
string_id!(
    /// Cloud Control's idempotency token: ours, chosen before the call and written down before it.
    ClientToken,
    "a client token",
    "1 to 128 letters, digits, `-`, `+`, `/` and `=`",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'/' | b'='))
);
string_id!(
    /// The provider's token of an operation that it has accepted: Cloud Control's own, or what an operation in a cluster can
    /// be asked about by.
    RequestToken,
    "a request token",
    "1 to 1,024 printable characters",
    |text| printable(text, 1024)
);
string_id!(
    /// One run of the engine (a deploy, a destroy), in the journal and in events.
    RunId,
    "a run id",
    "1 to 64 letters, digits and hyphens",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
string_id!(
    /// Who holds a lease: user, host and process, readable by whoever is refused because of it.
    LeaseOwner,
    "a lease owner",
    "1 to 200 printable characters",
    |text| printable(text, 200)
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_id!(
    /// The number of a record in a journal, from 1; 0 is the empty journal. A state's serial is that of the last record
    /// that it was folded from.
    Serial
);
number_id!(
    /// Grows with every lease that is granted: a write that carries an older one is refused.
    Fence
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_lower_case_parts() {
        assert!(Address::new("network/subnet/private-a").is_ok());
        for wrong in ["", "/", "network/", "Network/vpc", "network vpc"] {
            assert!(Address::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_region_ends_with_a_number() {
        assert!(Region::new("us-gov-west-1").is_ok());
        for wrong in ["us-east", "us_east_1", "useast1", "US-EAST-1"] {
            assert!(Region::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn serde_checks_as_from_str_does() {
        let error = serde_json::from_str::<AccountId>("\"12\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("twelve digits"), "{error}");
    }
}
