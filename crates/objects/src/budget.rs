//! Disruption budgets and the cron schedules that switch them on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::duration::{GoDuration, serde_as_text};

/// When Karpenter restricts how many nodes of a pool it disrupts at once (`karpenter.sh/v1` `Budget`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The reasons that it holds for; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<DisruptionReason>,
    /// How many nodes.
    #[serde(default)]
    pub nodes: BudgetNodes,
    /// When it starts to hold, in UTC; always when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronSchedule>,
    /// How long it holds after each hit of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<GoDuration>,
}

/// Why Karpenter disrupts a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DisruptionReason {
    /// Its pods fit elsewhere, or on something cheaper.
    Underutilized,
    /// Nothing runs on it.
    Empty,
    /// It is no longer what its pool asks for.
    Drifted,
}

impl fmt::Display for DisruptionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How many nodes a budget lets go: a count, or a percentage of the pool's nodes (0 to 100).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetNodes {
    /// So many nodes.
    Count(u32),
    /// So many of a hundred.
    Percent(u8),
}

impl Default for BudgetNodes {
    /// The default of the CRD: `10%`.
    fn default() -> Self {
        Self::Percent(10)
    }
}

/// Text that is no budget or no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no {what}: {reason}")]
pub struct InvalidBudget {
    /// The text.
    pub text: String,
    /// `budget` or `schedule`.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for BudgetNodes {
    type Err = InvalidBudget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_suffix('%') {
            Some(number) => number
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| InvalidBudget {
            text: text.chars().take(64).collect(),
            what: "budget",
            reason: "a number of nodes or 0% to 100% is wanted".to_owned(),
        })
    }
}

impl fmt::Display for BudgetNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A cron schedule in UTC with the five standard fields, as sets of bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CronSchedule {
    text: String,
    /// Bit `n` is minute `n`, 0 to 59.
    pub minutes: u64,
    /// Bit `n` is hour `n`, 0 to 23.
    pub hours: u32,
    /// Bit `n` is day `n` of the month, 1 to 31.
    pub days: u32,
    /// Bit `n` is month `n`, 1 to 12.
    pub months: u16,
    /// Bit `n` is weekday `n`, 0 (Sunday) to 6.
    pub weekdays: u8,
    /// Whether the day of the month is `*` or `?`. Where neither day field is, either one matching is enough.
    pub any_day: bool,
    /// Whether the weekday is `*` or `?`.
    pub any_weekday: bool,
}

impl CronSchedule {
    /// Whether a date is on the schedule: month 1 to 12, day 1 to 31, weekday 0 (Sunday) to 6.
    #[must_use]
    pub fn on_day(&self, month: u8, day: u8, weekday: u8) -> bool {
        let day = self.days >> day & 1 == 1;
        let weekday = self.weekdays >> weekday & 1 == 1;
        self.months >> month & 1 == 1
            && if self.any_day || self.any_weekday {
                day && weekday
            } else {
                day || weekday
            }
    }

    /// Whether a minute of a day is on the schedule.
    #[must_use]
    pub fn at_minute(&self, hour: u8, minute: u8) -> bool {
        self.hours >> hour & 1 == 1 && self.minutes >> minute & 1 == 1
    }
}

impl FromStr for CronSchedule {
    type Err = InvalidBudget;

    /// The standard parser of `robfig/cron/v3`, which Karpenter uses, without time zones and `@every`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason: String| InvalidBudget {
            text: text.chars().take(64).collect(),
            what: "schedule",
            reason,
        };
        let expanded = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(fail(format!("it has {} fields, not 5", fields.len())));
        };
        let bits = |field, low, high, names| parse_field(field, low, high, names).map_err(fail);
        let narrow = |bits: u64| u32::try_from(bits).unwrap_or(0);
        let weekdays = bits(weekday, 0, 6, &WEEKDAYS)?;
        Ok(Self {
            text: text.to_owned(),
            minutes: bits(minute, 0, 59, &[])?,
            hours: narrow(bits(hour, 0, 23, &[])?),
            days: narrow(bits(day, 1, 31, &[])?),
            months: u16::try_from(bits(month, 1, 12, &MONTHS)?).unwrap_or(0),
            weekdays: u8::try_from(weekdays).unwrap_or(0),
            any_day: is_any(day),
            any_weekday: is_any(weekday),
        })
    }
}

const MONTHS: [&str; 13] = [
    "", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn is_any(field: &str) -> bool {
    field
        .split(',')
        .any(|part| matches!(part.split('/').next(), Some("*" | "?")) && !part.contains('/'))
}

fn parse_field(field: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let value = |text: &str| -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = names
            .iter()
            .position(|name| !name.is_empty() && *name == lower)
        {
            return u32::try_from(index).map_err(|_| text.to_owned());
        }
        text.parse()
            .ok()
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| format!("`{text}` is none of {low} to {high}"))
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: usize = step.parse().map_err(|_| format!("`{step}` is no step"))?;
                if step == 0 {
                    return Err("a step is 0".to_owned());
                }
                (range, Some(step))
            }
            None => (part, None),
        };
        let (start, end) = match range.split_once('-') {
            Some((start, end)) => (value(start)?, value(end)?),
            None if range == "*" || range == "?" => (low, high),
            None => {
                let start = value(range)?;
                (start, if step.is_some() { high } else { start })
            }
        };
        if start > end {
            return Err(format!("`{range}` ends before it starts"));
        }
        for number in (start..=end).step_by(step.unwrap_or(1)) {
            bits |= 1_u64 << number;
        }
    }
    Ok(bits)
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serde_as_text!(BudgetNodes);
serde_as_text!(CronSchedule);

#[cfg(test)]
mod tests {
    use super::*;

    /// `pkg/apis/v1/nodepool.go` `Budget.Nodes`.
    #[test]
    fn nodes_are_a_count_or_a_percentage() {
        assert_eq!("10%".parse(), Ok(BudgetNodes::Percent(10)));
        assert_eq!("0".parse(), Ok(BudgetNodes::Count(0)));
        for text in ["101%", "-1", "", "%", "1.5"] {
            assert!(text.parse::<BudgetNodes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_is_five_fields() {
        let office: CronSchedule = "0 9 * * mon-fri".parse().unwrap();
        assert!(office.at_minute(9, 0) && !office.at_minute(9, 1));
        assert!(office.on_day(1, 1, 1) && !office.on_day(1, 1, 0));
        let either: CronSchedule = "*/15 0 13 * 5".parse().unwrap();
        assert_eq!(either.minutes.count_ones(), 4);
        assert!(either.on_day(1, 13, 0) && either.on_day(1, 1, 5) && !either.on_day(1, 1, 0));
        assert_eq!("@weekly".parse::<CronSchedule>().unwrap().weekdays, 1);
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
        ] {
            assert!(text.parse::<CronSchedule>().is_err(), "{text}");
        }
    }
}
