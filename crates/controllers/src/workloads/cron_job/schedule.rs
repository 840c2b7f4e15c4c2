//! Cron expressions as `github.com/robfig/cron/v3` reads them (`ParseStandard`): five fields, names of months and days,
//! `@daily` and its like, `@every 1h30m`.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use objects::GoDuration;

/// How far ahead a time is looked for: an expression such as `0 0 30 2 *` has none (`SpecSchedule.Next`).
const DAYS_AHEAD: usize = 366 * 5;

/// When a CronJob is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Schedule {
    Fields(Fields),
    /// From any time so long.
    Every(SignedDuration),
}

/// Sets of numbers, one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month, or of the week, that are not restricted: then the other alone decides.
    any_day: bool,
    any_weekday: bool,
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSchedule {
    #[error("expected exactly 5 fields, found {found}: [{text}]")]
    Fields { found: usize, text: String },
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse duration {0}")]
    Duration(String),
    #[error("failed to parse int from {0}")]
    Number(String),
    #[error("beginning of range ({0}) below minimum ({1}): {2}")]
    Below(u32, u32, String),
    #[error("end of range ({0}) above maximum ({1}): {2}")]
    Above(u32, u32, String),
    #[error("beginning of range ({0}) beyond end of range ({1}): {2}")]
    Backwards(u32, u32, String),
    #[error("step of range should be a positive number: {0}")]
    Step(String),
    #[error("too many hyphens or slashes: {0}")]
    Punctuation(String),
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Bounds {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds {
    least: 0,
    most: 59,
    names: &[],
};
const HOURS: Bounds = Bounds {
    least: 0,
    most: 23,
    names: &[],
};
const DAYS: Bounds = Bounds {
    least: 1,
    most: 31,
    names: &[],
};
const MONTH: Bounds = Bounds {
    least: 1,
    most: 12,
    names: &MONTHS,
};
const WEEKDAY: Bounds = Bounds {
    least: 0,
    most: 6,
    names: &WEEKDAYS,
};

impl Bounds {
    fn number(&self, text: &str) -> Result<u32, InvalidSchedule> {
        let lower = text.to_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.least + u32::try_from(at).unwrap_or(0));
        }
        text.parse()
            .map_err(|_| InvalidSchedule::Number(text.to_owned()))
    }

    /// One part of a list; whether it is `*`.
    fn part(&self, text: &str) -> Result<(u64, bool), InvalidSchedule> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((_, step)) if step.contains('/') => {
                return Err(InvalidSchedule::Punctuation(text.to_owned()));
            }
            Some((range, step)) => {
                let step: u32 = step
                    .parse()
                    .map_err(|_| InvalidSchedule::Number(step.to_owned()))?;
                if step == 0 {
                    return Err(InvalidSchedule::Step(text.to_owned()));
                }
                (range, Some(step))
            }
        };
        let star = matches!(range, "*" | "?");
        let (first, last) = if star {
            (self.least, self.most)
        } else {
            match range.split_once('-') {
                None => {
                    let first = self.number(range)?;
                    // `3/15` goes on to the end.
                    (first, if step.is_some() { self.most } else { first })
                }
                Some((_, last)) if last.contains('-') => {
                    return Err(InvalidSchedule::Punctuation(text.to_owned()));
                }
                Some((first, last)) => (self.number(first)?, self.number(last)?),
            }
        };
        let text = || text.to_owned();
        if first < self.least {
            return Err(InvalidSchedule::Below(first, self.least, text()));
        }
        if last > self.most {
            return Err(InvalidSchedule::Above(last, self.most, text()));
        }
        if first > last {
            return Err(InvalidSchedule::Backwards(first, last, text()));
        }
        let step = step.unwrap_or(1);
        let bits = (first..=last)
            .step_by(step as usize)
            .fold(0, |bits, number| bits | 1u64 << number);
        Ok((bits, star && step == 1))
    }

    fn field(&self, text: &str) -> Result<(u64, bool), InvalidSchedule> {
        text.split(',').filter(|part| !part.is_empty()).try_fold(
            (0, false),
            |(bits, star), part| {
                let (more, its_star) = self.part(part)?;
                Ok((bits | more, star || its_star))
            },
        )
    }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(every) = text.strip_prefix("@every ") {
            let duration: GoDuration = every
                .parse()
                .map_err(|_| InvalidSchedule::Duration(text.to_owned()))?;
            // A second at least, and whole ones (`Every`, cron/constantdelay.go).
            let seconds = duration.0.as_secs().max(1);
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            return Ok(Self::Every(SignedDuration::from_secs(seconds)));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.starts_with('@') => {
                return Err(InvalidSchedule::Descriptor(other.to_owned()));
            }
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(InvalidSchedule::Fields {
                found: fields.len(),
                text: fields.join(" "),
            });
        };
        let (days, any_day) = DAYS.field(days)?;
        let (weekdays, any_weekday) = WEEKDAY.field(weekdays)?;
        Ok(Self::Fields(Fields {
            minutes: MINUTES.field(minutes)?.0,
            hours: HOURS.field(hours)?.0,
            days,
            months: MONTH.field(months)?.0,
            weekdays,
            any_day,
            any_weekday,
        }))
    }
}

fn has(bits: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| bits >> number & 1 == 1)
}

impl Fields {
    fn is_due_on(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month())
            && if self.any_day || self.any_weekday {
                day && weekday
            } else {
                day || weekday
            }
    }

    /// The first time of an hour that is after `after`. An hour may come twice, or not at all.
    fn next_in_hour(&self, hour: DateTime, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        (0..60i8)
            .filter(|minute| has(self.minutes, *minute))
            .flat_map(|minute| {
                let time = hour.with().minute(minute).build().ok();
                let offsets = time.map(|time| zone.to_ambiguous_timestamp(time).offset());
                let offsets = match offsets {
                    Some(AmbiguousOffset::Unambiguous { offset }) => [Some(offset), None],
                    Some(AmbiguousOffset::Fold { before, after }) => [Some(before), Some(after)],
                    Some(AmbiguousOffset::Gap { .. }) | None => [None, None],
                };
                offsets
                    .into_iter()
                    .flatten()
                    .filter_map(move |offset| offset.to_timestamp(time?).ok())
            })
            .filter(|time| *time > after)
            .min()
    }
}

impl Schedule {
    /// The first time after another, on a zone's clocks; nothing when there is none in five years.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match self {
            Self::Every(duration) => {
                let second = Timestamp::from_second(after.as_second()).ok()?;
                return second.saturating_add(*duration).ok();
            }
            Self::Fields(fields) => fields,
        };
        let start = zone.to_datetime(after);
        let mut date = start.date();
        let mut first_hour = start.hour();
        for _ in 0..DAYS_AHEAD {
            if fields.is_due_on(date) {
                for hour in (first_hour..24).filter(|hour| has(fields.hours, *hour)) {
                    let found = fields.next_in_hour(date.at(hour, 0, 0, 0), after, zone);
                    if found.is_some() {
                        return found;
                    }
                }
            }
            date = date.tomorrow().ok()?;
            first_hour = 0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let after: Timestamp = after.parse().unwrap();
        schedule
            .next(after, &zone)
            .map_or_else(|| "never".to_owned(), |time| time.to_string())
    }

    /// robfig/cron/v3 spec_test.go has such a table; these are our own rows.
    #[test]
    fn times_are_found() {
        for (schedule, after, expected) in [
            (
                "*/15 * * * *",
                "2026-01-05T00:00:00Z",
                "2026-01-05T00:15:00Z",
            ),
            (
                "*/15 * * * *",
                "2026-01-05T00:14:59Z",
                "2026-01-05T00:15:00Z",
            ),
            (
                "20-35/5 * * * *",
                "2026-01-05T00:31:00Z",
                "2026-01-05T00:35:00Z",
            ),
            (
                "20-35/5 * * * *",
                "2026-01-05T00:35:00Z",
                "2026-01-05T01:20:00Z",
            ),
            (
                "0 3 * * MON-FRI",
                "2026-01-09T03:00:00Z",
                "2026-01-12T03:00:00Z",
            ),
            (
                "0 0 29 Feb *",
                "2026-01-05T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
            ("0 0 31 2 *", "2026-01-05T00:00:00Z", "never"),
            ("@monthly", "2026-01-05T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("@every 90m", "2026-01-05T00:00:30Z", "2026-01-05T01:30:30Z"),
            // Both days are restricted: either will do.
            (
                "0 0 13 * FRI",
                "2026-01-05T00:00:00Z",
                "2026-01-09T00:00:00Z",
            ),
            // A star with a step restricts.
            (
                "0 0 */10 * 0",
                "2026-01-05T00:00:00Z",
                "2026-01-11T00:00:00Z",
            ),
            (
                "50/5 * * * *",
                "2026-01-05T00:00:00Z",
                "2026-01-05T00:50:00Z",
            ),
        ] {
            assert_eq!(next(schedule, after, "UTC"), expected, "{schedule}");
        }
    }

    #[test]
    fn zones_have_their_clocks() {
        assert_eq!(
            next("0 9 * * *", "2026-07-01T00:00:00Z", "Europe/Berlin"),
            "2026-07-01T07:00:00Z"
        );
        // 02:30 is not on the clocks of 29 March.
        assert_eq!(
            next("30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Berlin"),
            "2026-03-30T00:30:00Z"
        );
        // And is there twice on 25 October.
        assert_eq!(
            next("30 2 * * *", "2026-10-24T12:00:00Z", "Europe/Berlin"),
            "2026-10-25T00:30:00Z"
        );
        assert_eq!(
            next("30 2 * * *", "2026-10-25T00:30:00Z", "Europe/Berlin"),
            "2026-10-25T01:30:00Z"
        );
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        let fails = |text: &str| text.parse::<Schedule>().unwrap_err().to_string();
        assert_eq!(
            fails("* * * *"),
            "expected exactly 5 fields, found 4: [* * * *]"
        );
        assert_eq!(
            fails("60 * * * *"),
            "end of range (60) above maximum (59): 60"
        );
        assert_eq!(
            fails("* * 0 * *"),
            "beginning of range (0) below minimum (1): 0"
        );
        assert_eq!(
            fails("5-3 * * * *"),
            "beginning of range (5) beyond end of range (3): 5-3"
        );
        assert_eq!(
            fails("*/0 * * * *"),
            "step of range should be a positive number: */0"
        );
        assert_eq!(fails("@sometimes"), "unrecognized descriptor: @sometimes");
        assert_eq!(fails("x * * * *"), "failed to parse int from x");
        assert_eq!(fails("* * * * 7"), "end of range (7) above maximum (6): 7");
    }
}
