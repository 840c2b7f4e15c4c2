//! Go's durations, as Karpenter writes them: `720h`, `1h30m`, `0s`, and `Never`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A span of time, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GoDuration(pub Duration);

/// A span of time, or none at all (`Never`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NillableDuration {
    /// It doesn't happen.
    Never,
    /// It happens after this time.
    After(GoDuration),
}

/// Text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no duration: {reason}")]
pub struct InvalidDuration {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl NillableDuration {
    /// The time, if there is one.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(duration) => Some(duration.0),
        }
    }
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    /// The grammar of Go's `time.ParseDuration`, without the sign: numbers with `h`, `m`, `s`, `ms`, `us`, `µs`, `ns`, or `0`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| InvalidDuration {
            text: text.chars().take(64).collect(),
            reason,
        };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        let mut rest = text;
        let mut nanos: u64 = 0;
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(|| fail("a number has no unit"))?;
            let (number, tail) = rest.split_at(end);
            let unit_end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let factor: u64 = match unit {
                "h" => 3_600_000_000_000,
                "m" => 60_000_000_000,
                "s" => 1_000_000_000,
                "ms" => 1_000_000,
                "us" | "µs" | "μs" => 1_000,
                "ns" => 1,
                _ => return Err(fail("a unit is none of h, m, s, ms, us and ns")),
            };
            let part =
                part(number, factor).ok_or_else(|| fail("a number is broken or too large"))?;
            nanos = nanos
                .checked_add(part)
                .ok_or_else(|| fail("it is too long"))?;
            rest = tail;
        }
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

fn part(number: &str, factor: u64) -> Option<u64> {
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if integer.is_empty() {
        0
    } else {
        integer.parse().ok()?
    };
    let mut total = whole.checked_mul(factor)?;
    let mut unit = factor;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        unit /= 10;
        total = total.checked_add(unit * u64::from(digit - b'0'))?;
    }
    Some(total)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let nanos = self.0.subsec_nanos();
        if nanos > 0 {
            let fraction = format!("{nanos:09}");
            write!(f, "{rest}.{}s", fraction.trim_end_matches('0'))?;
        } else if rest > 0 || seconds == 0 {
            write!(f, "{rest}s")?;
        }
        Ok(())
    }
}

impl FromStr for NillableDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "Never" {
            return Ok(Self::Never);
        }
        text.parse().map(Self::After)
    }
}

impl fmt::Display for NillableDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("Never"),
            Self::After(duration) => duration.fmt(f),
        }
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
pub(crate) use serde_as_text;

serde_as_text!(GoDuration);
serde_as_text!(NillableDuration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_in_go() {
        for (text, seconds) in [
            ("720h", 2_592_000),
            ("1h30m", 5400),
            ("0s", 0),
            ("0", 0),
            ("1.5m", 90),
        ] {
            let read: GoDuration = text.parse().unwrap();
            assert_eq!(read.0.as_secs(), seconds, "{text}");
            assert_eq!(read.to_string().parse::<GoDuration>().unwrap(), read);
        }
        assert_eq!("Never".parse(), Ok(NillableDuration::Never));
        assert_eq!("100ms".parse::<GoDuration>().unwrap().to_string(), "0.1s");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "h", "1y", "-1s", "1.2.3s", "99999999999h", "never"] {
            assert!(text.parse::<NillableDuration>().is_err(), "{text}");
        }
    }
}
