//! A calendar date, to say until when a fact holds. Today's date is always the caller's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A day of the Gregorian calendar, written `2026-11-21`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A date written in the source, usable in a `const`.
    ///
    /// # Panics
    /// If there is no such day; in a `const` that is an error at compile time.
    #[must_use]
    pub const fn new(year: u16, month: u8, day: u8) -> Self {
        assert!(is_valid(year, month, day), "there is no such day");
        Self { year, month, day }
    }

    /// The same day a year later; the 29th of February becomes the 28th.
    #[must_use]
    pub const fn next_year(self) -> Self {
        let year = self.year + 1;
        let day = if is_valid(year, self.month, self.day) {
            self.day
        } else {
            self.day - 1
        };
        Self {
            year,
            month: self.month,
            day,
        }
    }

    /// Days from this date to `other`; negative when `other` is earlier.
    #[must_use]
    pub fn days_until(self, other: Self) -> i64 {
        other.day_number() - self.day_number()
    }

    /// Days since 0000-03-01 (Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`).
    fn day_number(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era
    }
}

const fn is_valid(year: u16, month: u8, day: u8) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    day >= 1 && day <= days
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The text is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date: expected year-month-day, such as 2026-11-21")]
pub struct InvalidDate(pub String);

impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let mut parts = text.splitn(3, '-');
            let mut number = |digits: usize| {
                let part = parts.next()?;
                let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| part.parse::<u16>().ok()).flatten()
            };
            let (year, month, day) = (number(4)?, number(2)?, number(2)?);
            let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
            is_valid(year, month, day).then_some(Self { year, month, day })
        };
        parsed().ok_or_else(|| InvalidDate(text.to_owned()))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_order() {
        let today: Date = "2026-11-21".parse().unwrap();
        assert_eq!(today, Date::new(2026, 11, 21));
        assert_eq!(today.to_string(), "2026-11-21");
        assert!(Date::new(2026, 9, 30) < today && today < Date::new(2027, 1, 1));
        for bad in [
            "",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-11-21T00:00",
            "26-11-21",
            "2026-1-2",
            "+026-11-21",
        ] {
            assert_eq!(
                bad.parse::<Date>(),
                Err(InvalidDate(bad.to_owned())),
                "{bad}"
            );
        }
    }

    #[test]
    fn distances() {
        let day = Date::new(2024, 2, 29);
        assert_eq!(day.next_year(), Date::new(2025, 2, 28));
        assert_eq!(day.days_until(Date::new(2024, 3, 1)), 1);
        assert_eq!(
            Date::new(2026, 11, 21).days_until(Date::new(2026, 11, 26)),
            5
        );
        assert_eq!(
            Date::new(2027, 1, 1).days_until(Date::new(2026, 1, 1)),
            -365
        );
    }
}
