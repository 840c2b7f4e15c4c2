//! The Kubernetes versions of Amazon EKS: since when, until when, at what price.
//!
//! A version has 14 months of standard support from its release on EKS and 12 months of extended support after that,
//! at six times the price; then AWS upgrades the clusters that are left, and new ones cannot be made with it
//! (EKS user guide, "Understand the Kubernetes version lifecycle on EKS"). Dates: endoflife.date/amazon-eks and the
//! calendar in the same guide, as of 2026-11-21.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::date::Date;

/// US dollars an hour for a cluster in standard support (aws.amazon.com/eks/pricing, 2026-11).
pub const STANDARD_USD_PER_HOUR: f64 = 0.10;
/// US dollars an hour for a cluster in extended support, the standard price included (same source).
pub const EXTENDED_USD_PER_HOUR: f64 = 0.60;

/// A minor version of Kubernetes, written `1.35`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    major: u16,
    minor: u16,
}

impl KubernetesVersion {
    /// `1.35` is `new(1, 35)`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version that an upgrade goes to: EKS takes one minor version at a time.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            major: self.major,
            minor: self.minor + 1,
        }
    }

    /// The number after the dot.
    #[must_use]
    pub const fn minor(self) -> u16 {
        self.minor
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is no version of Kubernetes as EKS names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Kubernetes version of EKS: expected major.minor, such as 1.35")]
pub struct InvalidKubernetesVersion(pub String);

impl FromStr for KubernetesVersion {
    type Err = InvalidKubernetesVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(major, minor)| {
                Some(Self {
                    major: number(major)?,
                    minor: number(minor)?,
                })
            })
            .ok_or_else(|| InvalidKubernetesVersion(text.to_owned()))
    }
}

impl Serialize for KubernetesVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KubernetesVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A version's life on EKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The version.
    pub version: KubernetesVersion,
    /// First day on EKS.
    pub released: Date,
    /// Last day of standard support.
    pub standard_until: Date,
    /// Last day of extended support.
    pub extended_until: Date,
}

const fn release(minor: u16, released: Date, standard_until: Date) -> Release {
    let version = KubernetesVersion::new(1, minor);
    Release {
        version,
        released,
        standard_until,
        extended_until: standard_until.next_year(),
    }
}

/// The versions that are known, oldest first.
pub const RELEASES: [Release; 7] = [
    release(30, Date::new(2024, 5, 23), Date::new(2025, 7, 23)),
    release(31, Date::new(2024, 9, 26), Date::new(2025, 11, 26)),
    release(32, Date::new(2025, 1, 23), Date::new(2026, 3, 23)),
    release(33, Date::new(2025, 5, 29), Date::new(2026, 7, 29)),
    release(34, Date::new(2025, 10, 2), Date::new(2026, 12, 2)),
    release(35, Date::new(2026, 1, 27), Date::new(2027, 3, 27)),
    release(36, Date::new(2026, 6, 2), Date::new(2027, 8, 2)),
];

/// Where a version stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionStatus {
    /// In standard support until (and including) the day.
    Standard {
        /// The last day of standard support.
        until: Date,
    },
    /// In extended support, at [`EXTENDED_USD_PER_HOUR`].
    Extended {
        /// The first day after standard support is the day after this one.
        since: Date,
        /// The last day of extended support.
        until: Date,
    },
    /// No cluster can be made with it any more; AWS upgrades those that are left.
    Gone {
        /// The last day of extended support.
        since: Date,
    },
    /// Not on EKS on that day.
    NotYet {
        /// The day of its release.
        from: Date,
    },
    /// Older than the catalog remembers: gone.
    TooOld,
    /// Newer than the catalog knows: EKS may have it, this program was not made for it.
    TooNew,
}

impl VersionStatus {
    /// Whether a cluster can be made with the version.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Standard { .. } | Self::Extended { .. })
    }

    /// US dollars an hour for the control plane; `None` when there can be no cluster, or nothing is known.
    #[must_use]
    pub const fn usd_per_hour(self) -> Option<f64> {
        match self {
            Self::Standard { .. } => Some(STANDARD_USD_PER_HOUR),
            Self::Extended { .. } => Some(EXTENDED_USD_PER_HOUR),
            _ => None,
        }
    }
}

/// Where `version` stands on `date`.
#[must_use]
pub fn status(version: KubernetesVersion, date: Date) -> VersionStatus {
    let Some(release) = RELEASES.iter().find(|release| release.version == version) else {
        return if version < RELEASES[0].version {
            VersionStatus::TooOld
        } else {
            VersionStatus::TooNew
        };
    };
    if date < release.released {
        VersionStatus::NotYet {
            from: release.released,
        }
    } else if date <= release.standard_until {
        VersionStatus::Standard {
            until: release.standard_until,
        }
    } else if date <= release.extended_until {
        VersionStatus::Extended {
            since: release.standard_until,
            until: release.extended_until,
        }
    } else {
        VersionStatus::Gone {
            since: release.extended_until,
        }
    }
}

/// The versions in standard support on `date`, oldest first.
pub fn in_standard(date: Date) -> impl Iterator<Item = KubernetesVersion> {
    RELEASES
        .iter()
        .map(|release| release.version)
        .filter(move |version| matches!(status(*version, date), VersionStatus::Standard { .. }))
}

/// The newest version in standard support on `date`; `None` when the catalog is too old to know one.
#[must_use]
pub fn newest_in_standard(date: Date) -> Option<KubernetesVersion> {
    in_standard(date).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::new(2026, 11, 21);

    fn at(minor: u16) -> VersionStatus {
        status(KubernetesVersion::new(1, minor), TODAY)
    }

    #[test]
    fn status_on_a_day() {
        assert_eq!(
            at(30),
            VersionStatus::Gone {
                since: Date::new(2026, 7, 23)
            }
        );
        assert_eq!(
            at(31),
            VersionStatus::Extended {
                since: Date::new(2025, 11, 26),
                until: Date::new(2026, 11, 26)
            }
        );
        assert_eq!(at(33).usd_per_hour(), Some(0.60));
        assert_eq!(
            at(34),
            VersionStatus::Standard {
                until: Date::new(2026, 12, 2)
            }
        );
        assert_eq!(at(36).usd_per_hour(), Some(0.10));
        assert_eq!(
            (at(29), at(37)),
            (VersionStatus::TooOld, VersionStatus::TooNew)
        );
        assert!(!at(30).is_usable() && at(31).is_usable());
        let v131 = KubernetesVersion::new(1, 31);
        assert!(matches!(
            status(v131, Date::new(2026, 11, 26)),
            VersionStatus::Extended { .. }
        ));
        assert!(matches!(
            status(v131, Date::new(2026, 11, 27)),
            VersionStatus::Gone { .. }
        ));
        assert!(matches!(
            status(v131, Date::new(2024, 1, 1)),
            VersionStatus::NotYet { .. }
        ));
    }

    #[test]
    fn the_newest_in_standard_support() {
        assert_eq!(
            newest_in_standard(TODAY),
            Some(KubernetesVersion::new(1, 36))
        );
        assert_eq!(
            in_standard(TODAY)
                .map(|version| version.to_string())
                .collect::<Vec<_>>(),
            ["1.34", "1.35", "1.36"]
        );
        assert_eq!(newest_in_standard(Date::new(2031, 1, 1)), None);
    }

    #[test]
    fn versions_order_by_number_and_read_back() {
        let old: KubernetesVersion = "1.9".parse().unwrap();
        assert!(old < KubernetesVersion::new(1, 35));
        assert_eq!(KubernetesVersion::new(1, 35).next().to_string(), "1.36");
        for bad in ["", "1", "1.", "v1.35", "1.35.2", "1.x", "1.+5"] {
            assert!(bad.parse::<KubernetesVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn releases_are_in_order_with_14_months_of_standard_support() {
        for pair in RELEASES.windows(2) {
            assert!(
                pair[0].version.next() == pair[1].version && pair[0].released < pair[1].released
            );
        }
        for release in RELEASES {
            let days = release.released.days_until(release.standard_until);
            assert!(
                (420..=430).contains(&days),
                "{} has {days}",
                release.version
            );
        }
    }
}
