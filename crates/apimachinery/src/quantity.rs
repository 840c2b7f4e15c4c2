//! Quantities (`500m`, `1.5Gi`): whether a text is one, how much it is, and as much arithmetic as rules and quotas need.

use std::fmt;

use serde_json::Value as Json;

/// What Kubernetes says of a text that is none.
pub const FORM: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// How much, in billionths of one; rounded up, and bounded, as Kubernetes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Quantity(i128);

const ONE: i128 = 1_000_000_000;

impl Quantity {
    pub const ZERO: Self = Self(0);

    /// Of a text or a number in JSON.
    #[must_use]
    pub fn of(json: &Json) -> Option<Self> {
        match json {
            Json::String(text) => Self::parse(text),
            Json::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// `1.5Gi`, `500m`, `2e3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') {
            return None;
        }
        // number × 2^binary × 10^decimal
        let (binary, decimal) = scale(suffix)?;
        let mut digits = 0_i128;
        for digit in whole.bytes().chain(part.bytes()) {
            digits = digits
                .saturating_mul(10)
                .saturating_add((digit - b'0').into());
        }
        let value = digits.saturating_mul(1_i128 << binary);
        let power = decimal + 9 - i32::try_from(part.len()).ok()?;
        let value = match u32::try_from(power) {
            Ok(up) => 10_i128
                .checked_pow(up)
                .map_or(if value == 0 { 0 } else { i128::MAX }, |by| {
                    value.saturating_mul(by)
                }),
            Err(_) => match 10_i128.checked_pow(power.unsigned_abs()) {
                Some(by) => value / by + i128::from(value % by != 0),
                None => i128::from(value != 0),
            },
        };
        Some(Self(if negative { -value } else { value }))
    }

    /// Whether it is a whole number of ones.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.0 % ONE == 0
    }

    /// So many ones.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self(i128::from(number) * ONE)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many times another one it is; none if that is nothing.
    #[must_use]
    pub fn ratio(self, other: Self) -> Option<f64> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "it is compared with a ratio that people write"
        )]
        (other.0 != 0).then(|| self.0 as f64 / other.0 as f64)
    }

    /// As Kubernetes writes it: with powers of 1024 where they are asked for and fit.
    #[must_use]
    pub fn written(self, binary: bool) -> String {
        if self.0 == 0 {
            return "0".to_owned();
        }
        if binary && self.is_whole() {
            return shortest(
                self.0 / ONE,
                1024,
                "",
                &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"],
            );
        }
        shortest(
            self.0,
            1000,
            "n",
            &["u", "m", "", "k", "M", "G", "T", "P", "E"],
        )
    }
}

/// A number with the largest of the suffixes that leaves it whole.
fn shortest(mut number: i128, step: i128, smallest: &str, larger: &[&str]) -> String {
    let mut suffix = smallest;
    for next in larger {
        if number % step != 0 {
            break;
        }
        number /= step;
        suffix = next;
    }
    format!("{number}{suffix}")
}

/// Whether quantities of a resource are written with powers of 1024.
#[must_use]
pub fn is_binary(resource: &str) -> bool {
    resource.contains("memory") || resource.contains("storage") || resource.contains("hugepages")
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(false))
    }
}

/// The powers of two and ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let power = suffix.strip_prefix(['e', 'E'])?;
            let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
            if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|c| c.is_ascii_digit())
            {
                return None;
            }
            (0, power.parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(text: &str) -> Option<i128> {
        Quantity::parse(text).map(|one| one.0)
    }

    #[test]
    fn suffixes_are_powers_of_ten_or_two() {
        assert_eq!(nanos("500m"), Some(500_000_000));
        assert_eq!(nanos("1.5Gi"), nanos("1610612736"));
        assert_eq!(nanos("2e3"), nanos("2k"));
        assert_eq!(nanos("1E"), nanos("1000P"));
        assert_eq!(nanos("-1"), Some(-1_000_000_000));
        assert_eq!(
            nanos("0.1n"),
            Some(1),
            "what is smaller than a billionth is one"
        );
        assert!(
            nanos("9999999999E").unwrap() > 0,
            "what is too large is bounded"
        );
        assert_eq!(nanos(".5"), nanos("500m"));
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "", "abc", "1.2.3", "1GB", "1 Gi", "Gi", "-", "1e", "1e99999", "0x1", ".",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        let read = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(read("12E"), read("12e18"));
        assert_eq!(read("-1"), Quantity::whole(-1));
        assert!(read("100m") < read("1"));
        assert_eq!(read("1500m").to_string(), "1500m");
        assert_eq!(read("2000m").to_string(), "2");
        assert_eq!(read("1536Mi").written(true), "1536Mi");
        assert_eq!(read("2048Mi").written(true), "2Gi");
        assert_eq!(read("500m").plus(read("1.5")).to_string(), "2");
        assert_eq!(read("1").minus(read("1")).written(true), "0");
        assert_eq!(read("3").ratio(read("2")), Some(1.5));
        assert_eq!(read("3").ratio(Quantity::ZERO), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+]?[0-9.]{0,50}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,5}|.{0,20}") {
            let _ = Quantity::parse(&text);
        }
    }
}
