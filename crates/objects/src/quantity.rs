//! Kubernetes quantities as exact whole numbers.
//!
//! The grammar and the rounding are those of `k8s.io/apimachinery/pkg/api/resource/quantity.go`: decimal suffixes `n u m k M G
//! T P E`, binary suffixes `Ki` to `Ei`, exponents `e3`, and rounding away from zero when a coarser unit is asked for.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const NANO: i128 = 1_000_000_000;
/// The largest magnitude that Kubernetes holds, in billionths: 2^63-1 units.
const LIMIT: i128 = i64::MAX as i128 * NANO;

/// An exact amount, kept in billionths of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(i128);

/// Text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no quantity: {reason}")]
pub struct InvalidQuantity {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many whole units.
    #[must_use]
    pub fn whole(value: i64) -> Self {
        Self(i128::from(value) * NANO)
    }

    /// So many thousandths.
    #[must_use]
    pub fn of_milli(value: i64) -> Self {
        Self(i128::from(value) * (NANO / 1000))
    }

    /// Whole units, rounded away from zero, as the API server's `Value()` does.
    #[must_use]
    pub fn units(self) -> i64 {
        round_up(self.0, NANO)
    }

    /// Thousandths, rounded away from zero and capped at what an `i64` holds, as `MilliValue()` does.
    #[must_use]
    pub fn milli(self) -> i64 {
        round_up(self.0, NANO / 1000)
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
}

fn round_up(nanos: i128, unit: i128) -> i64 {
    let quotient = nanos / unit;
    let rounded = quotient + if nanos % unit == 0 { 0 } else { nanos.signum() };
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| InvalidQuantity {
            text: text.chars().take(64).collect(),
            reason,
        };
        let (negative, unsigned) = match text.as_bytes().first() {
            None => return Err(fail("it is empty")),
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
        };
        let digits_end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits_end);
        let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (integer.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(fail("it starts with no number"));
        }
        let scale = Scale::parse(suffix).ok_or_else(|| fail("its suffix is unknown"))?;
        let value = scale
            .apply(integer, fraction)
            .ok_or_else(|| fail("it has more digits than Kubernetes holds"))?;
        let capped = value.min(LIMIT);
        Ok(Self(if negative { -capped } else { capped }))
    }
}

enum Scale {
    /// Times a power of ten.
    Ten(i32),
    /// Times a power of two.
    Two(u32),
}

impl Scale {
    fn parse(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "n" => Self::Ten(-9),
            "u" => Self::Ten(-6),
            "m" => Self::Ten(-3),
            "" => Self::Ten(0),
            "k" => Self::Ten(3),
            "M" => Self::Ten(6),
            "G" => Self::Ten(9),
            "T" => Self::Ten(12),
            "P" => Self::Ten(15),
            "E" => Self::Ten(18),
            "Ki" => Self::Two(10),
            "Mi" => Self::Two(20),
            "Gi" => Self::Two(30),
            "Ti" => Self::Two(40),
            "Pi" => Self::Two(50),
            "Ei" => Self::Two(60),
            _ => {
                let exponent = suffix.strip_prefix(['e', 'E'])?;
                let power: i32 = exponent.parse().ok()?;
                if !(-30..=30).contains(&power) {
                    return None;
                }
                Self::Ten(power)
            }
        })
    }

    /// Billionths, rounded up; `None` when the digits alone are too many.
    fn apply(&self, integer: &str, fraction: &str) -> Option<i128> {
        let integer = integer.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if integer.len() + fraction.len() > 28 {
            return None;
        }
        let mut mantissa: i128 = 0;
        for digit in integer.bytes().chain(fraction.bytes()) {
            mantissa = mantissa * 10 + i128::from(digit - b'0');
        }
        if mantissa == 0 {
            return Some(0);
        }
        let places = i32::try_from(fraction.len()).ok()?;
        let power = match self {
            Self::Ten(exponent) => 9 + exponent - places,
            Self::Two(bits) => {
                mantissa = match mantissa.checked_mul(1_i128 << bits) {
                    Some(product) => product,
                    None => return Some(LIMIT),
                };
                9 - places
            }
        };
        let factor = 10_i128.checked_pow(power.unsigned_abs());
        Some(match (power >= 0, factor) {
            (true, Some(factor)) => mantissa.checked_mul(factor).unwrap_or(LIMIT),
            (true, None) => LIMIT,
            (false, Some(factor)) => mantissa / factor + i128::from(mantissa % factor != 0),
            (false, None) => 1,
        })
    }
}

impl fmt::Display for Quantity {
    /// The shortest decimal form: `2`, `1500m`, `3u`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, suffix) in [(NANO, ""), (NANO / 1000, "m"), (1000, "u"), (1, "n")] {
            if self.0 % unit == 0 {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(text: &str) -> i64 {
        text.parse::<Quantity>().unwrap().milli()
    }

    fn units(text: &str) -> i64 {
        text.parse::<Quantity>().unwrap().units()
    }

    /// `k8s.io/apimachinery/pkg/api/resource/quantity.go` `ParseQuantity`.
    #[test]
    fn every_suffix_is_exact() {
        assert_eq!(milli("1500m"), 1500);
        assert_eq!(milli("0.1"), 100);
        assert_eq!(milli("1"), 1000);
        assert_eq!(milli(".5"), 500);
        assert_eq!(milli("2."), 2000);
        assert_eq!(units("1Ki"), 1024);
        assert_eq!(units("1.5Gi"), 1_610_612_736);
        assert_eq!(units("12e3"), 12_000);
        assert_eq!(units("1E"), 1_000_000_000_000_000_000);
        assert_eq!(units("-3"), -3);
        assert_eq!(units("123456789n"), 1);
    }

    /// `Value()` and `MilliValue()` round away from zero.
    #[test]
    fn coarser_units_round_up() {
        assert_eq!(milli("100u"), 1);
        assert_eq!(milli("0.0001m"), 1);
        assert_eq!(units("1m"), 1);
        assert_eq!(units("1500m"), 2);
        assert_eq!(units("-1500m"), -2);
        assert_eq!(units("100E"), i64::MAX);
    }

    #[test]
    fn what_is_no_quantity_says_why() {
        for text in ["", "-", "abc", "1.2.3", "1Zi", "1 Gi", "Gi", "1e99", "0x10"] {
            let error = text.parse::<Quantity>().unwrap_err();
            assert_eq!(error.text, text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn a_quantity_reads_back(milli in -1_000_000_000_i64..1_000_000_000) {
            let quantity = Quantity::of_milli(milli);
            proptest::prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }
    }
}
