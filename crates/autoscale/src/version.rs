//! Which Karpenter decides. Versions that decide differently are told apart; the rest are alike.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A version of Karpenter, by major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KarpenterVersion {
    major: u16,
    minor: u16,
}

/// Text that is no version, or one whose rules are not known here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no version of Karpenter from 1.0 to 1.14")]
pub struct InvalidVersion(pub String);

impl KarpenterVersion {
    /// The newest whose rules are known: 1.14 (`kubernetes-sigs/karpenter` 2266468).
    pub const NEWEST: Self = Self {
        major: 1,
        minor: 14,
    };

    const fn at_least(self, minor: u16) -> bool {
        self.minor >= minor
    }

    /// How many instance types a claim lists at most: 60 up to 1.6, 600 since 1.7 (#2430).
    #[must_use]
    pub const fn max_instance_types(self) -> usize {
        if self.at_least(7) { 600 } else { 60 }
    }

    /// Whether `PREFERENCE_POLICY` is there: since 1.4 (#2122).
    #[must_use]
    pub const fn has_preference_policy(self) -> bool {
        self.at_least(4)
    }

    /// Whether the `Balanced` policy is there and candidates are sorted by savings: since 1.14 (#2962).
    #[must_use]
    pub const fn sorts_by_savings(self) -> bool {
        self.at_least(14)
    }

    /// Whether `karpenter.sh/do-not-disrupt` of a pod may be a duration: since 1.12 (#2874).
    #[must_use]
    pub const fn reads_do_not_disrupt_durations(self) -> bool {
        self.at_least(12)
    }

    /// Whether `consolidateAfter` keeps pods of candidates off a node, too: since 1.14 (#3006).
    #[must_use]
    pub const fn shields_destinations(self) -> bool {
        self.at_least(14)
    }
}

impl Default for KarpenterVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl FromStr for KarpenterVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut next = || numbers.next()?.parse::<u16>().ok();
        match (next(), next()) {
            (Some(1), Some(minor)) if minor <= Self::NEWEST.minor => Ok(Self { major: 1, minor }),
            _ => Err(InvalidVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for KarpenterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_where_answers_do() {
        let old: KarpenterVersion = "v1.3.2".parse().unwrap();
        assert_eq!(
            (old.max_instance_types(), old.has_preference_policy()),
            (60, false)
        );
        let new = KarpenterVersion::default();
        assert_eq!(
            (new.max_instance_types(), new.sorts_by_savings()),
            (600, true)
        );
        assert!("1.15".parse::<KarpenterVersion>().is_err());
        assert!("0.37".parse::<KarpenterVersion>().is_err());
    }
}
