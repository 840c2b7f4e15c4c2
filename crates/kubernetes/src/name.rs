//! Which object: as an identifier of the engine's, and inside of the tokens that operations are asked about by.

use std::fmt;
use std::str::FromStr;

use catalog::ids::{Identifier, RequestToken};
use engine::provider::{ErrorClass, ProviderError};

/// An object's place: `cluster|namespace|name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The namespace; none for what is in none.
    pub(crate) namespace: Option<String>,
    /// The object's name.
    pub(crate) name: String,
}

impl Place {
    /// As the engine keeps it.
    pub(crate) fn identifier(&self) -> Result<Identifier, ProviderError> {
        Identifier::new(self.to_string()).map_err(|error| unusable(error.to_string()))
    }

    pub(crate) fn of(identifier: &Identifier) -> Result<Self, ProviderError> {
        identifier.as_str().parse()
    }

    /// For people: `web in shop`.
    pub(crate) fn words(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} in {namespace}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        write!(f, "{}|{namespace}|{}", self.cluster, self.name)
    }
}

impl FromStr for Place {
    type Err = ProviderError;

    fn from_str(text: &str) -> Result<Self, ProviderError> {
        let parts: Vec<&str> = text.split('|').collect();
        match parts[..] {
            [cluster, namespace, name] if !cluster.is_empty() && !name.is_empty() => Ok(Self {
                cluster: cluster.to_owned(),
                namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
                name: name.to_owned(),
            }),
            _ => Err(unusable(format!(
                "`{text}` is not cluster|namespace|name of an object"
            ))),
        }
    }
}

fn unusable(message: String) -> ProviderError {
    ProviderError {
        class: ErrorClass::Terminal,
        code: "InvalidIdentifier".to_owned(),
        message,
    }
}

/// What is going on with an object. All that is needed to ask about it is in its token, so that a run that died is carried
/// on by another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It was applied, and is to become ready.
    Apply {
        /// Which.
        place: Place,
        /// When it was applied, in seconds since 1970.
        since: u64,
    },
    /// It was deleted, and is to go.
    Delete {
        /// Which.
        place: Place,
        /// That one, and not a later one of the name.
        uid: String,
        /// When that was asked for.
        since: Since,
    },
}

/// A moment by two clocks, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) ours: u64,
    /// The cluster's own, if it has told.
    pub(crate) told: Option<u64>,
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told {
            Some(told) => write!(f, "{}/{told}", self.ours),
            None => self.ours.fmt(f),
        }
    }
}

impl Since {
    fn of(text: &str) -> Option<Self> {
        let (ours, told) = match text.split_once('/') {
            Some((ours, told)) => (ours, Some(told.parse().ok()?)),
            None => (text, None),
        };
        let ours = ours.parse().ok()?;
        Some(Self { ours, told })
    }
}

impl Operation {
    pub(crate) fn token(&self) -> Result<RequestToken, ProviderError> {
        let text = match self {
            Self::Apply { place, since } => format!("apply|{since}|{place}"),
            Self::Delete { place, uid, since } => format!("delete|{since}|{uid}|{place}"),
        };
        RequestToken::new(text).map_err(|error| unusable(error.to_string()))
    }

    /// What a token stands for; none when it is not one of ours.
    pub(crate) fn of(token: &RequestToken) -> Option<Self> {
        let (verb, rest) = token.as_str().split_once('|')?;
        let (since, rest) = rest.split_once('|')?;
        match verb {
            "apply" => Some(Self::Apply {
                place: rest.parse().ok()?,
                since: since.parse().ok()?,
            }),
            "delete" => {
                let (uid, place) = rest.split_once('|')?;
                Some(Self::Delete {
                    place: place.parse().ok()?,
                    uid: uid.to_owned(),
                    since: Since::of(since)?,
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_tokens_come_back() {
        for text in ["shop-dev|shop|web", "shop-dev||web"] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
            for operation in [
                Operation::Apply {
                    place: place.clone(),
                    since: 17,
                },
                Operation::Delete {
                    place: place.clone(),
                    uid: "1-2".to_owned(),
                    since: Since {
                        ours: 18,
                        told: None,
                    },
                },
                Operation::Delete {
                    place: place.clone(),
                    uid: "1-2".to_owned(),
                    since: Since {
                        ours: 18,
                        told: Some(4711),
                    },
                },
            ] {
                let token = operation.token().unwrap();
                assert_eq!(Operation::of(&token), Some(operation));
            }
        }
        for wrong in ["", "a|b", "|b|c", "a|b|", "a|b|c|d"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
        let foreign = RequestToken::new("0f1e2d3c-1111-2222-3333-444455556666").unwrap();
        assert_eq!(Operation::of(&foreign), None);
    }
}
