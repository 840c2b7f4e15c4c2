//! How many nodes of a pool may go at once.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use objects::budget::{Budget, BudgetNodes, CronSchedule, DisruptionReason};

use crate::world::{Pool, Stage, World};

/// What a budget that doesn't hold now allows (`nodepool.go:403`).
pub const UNLIMITED: u32 = i32::MAX as u32;

/// How many nodes of a pool may go for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Its nodes that count: managed, initialised, their machine not on its way out.
    pub nodes: u32,
    /// What the budgets allow of them; [`UNLIMITED`] where none holds.
    pub allowed: u32,
    /// Those that are not ready or going already.
    pub disrupting: u32,
}

impl Allowance {
    /// How many more may go.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.allowed.saturating_sub(self.disrupting)
    }
}

/// The allowances of all pools, by their place (`helpers.go:262` `BuildDisruptionBudgetMapping`).
#[must_use]
pub fn allowances(world: &World, now: Timestamp, reason: DisruptionReason) -> Vec<Allowance> {
    let mut all = vec![Allowance::default(); world.pools.len()];
    for (_, node) in world.live_nodes() {
        let (Some(pool), Some(claim)) = (node.pool, &node.claim) else {
            continue;
        };
        if node.stage != Stage::Initialized || claim.instance_terminating {
            continue;
        }
        let allowance = &mut all[pool.0 as usize];
        allowance.nodes += 1;
        if !node.ready || node.deleting {
            allowance.disrupting += 1;
        }
    }
    for (pool, allowance) in world.pools.iter().zip(&mut all) {
        allowance.allowed = allowed(pool, allowance.nodes, reason, now);
    }
    all
}

/// What a pool's budgets allow of so many nodes: the least of those that hold now and for the reason; a budget that makes no
/// sense stops everything (`nodepool.go:361` `MustGetAllowedDisruptions`).
#[must_use]
pub fn allowed(pool: &Pool, nodes: u32, reason: DisruptionReason, now: Timestamp) -> u32 {
    let mut least = UNLIMITED;
    for budget in &pool.budgets {
        let Ok(active) = is_active(budget, now) else {
            return 0;
        };
        if active && concerns(budget, reason) {
            least = least.min(scaled(budget.nodes, nodes));
        }
    }
    least
}

/// Whether a budget holds for a reason: one without reasons holds for all.
#[must_use]
pub fn concerns(budget: &Budget, reason: DisruptionReason) -> bool {
    budget.reasons.is_empty() || budget.reasons.contains(&reason)
}

/// A budget's nodes of so many; a percentage rounds up (`nodepool.go:410`).
#[must_use]
pub fn scaled(budget: BudgetNodes, nodes: u32) -> u32 {
    match budget {
        BudgetNodes::Count(count) => count,
        BudgetNodes::Percent(percent) => {
            let scaled = (u64::from(nodes) * u64::from(percent)).div_ceil(100);
            u32::try_from(scaled).unwrap_or(UNLIMITED)
        }
    }
}

/// A budget that has a duration but no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration without a schedule")]
pub struct NoSchedule;

/// Whether a budget holds now: its schedule's next hit after `now − duration` isn't later than now (`nodepool.go:427`
/// `IsActive`). So it holds from a hit until just before the duration is over. A schedule that never hits gives Go's zero time,
/// which is not later than now either.
///
/// # Errors
///
/// It has a duration but no schedule.
pub fn is_active(budget: &Budget, now: Timestamp) -> Result<bool, NoSchedule> {
    let Some(schedule) = &budget.schedule else {
        return match budget.duration {
            None => Ok(true),
            Some(_) => Err(NoSchedule),
        };
    };
    let span = budget
        .duration
        .map(|duration| duration.0)
        .unwrap_or_default();
    let since = SignedDuration::try_from(span)
        .ok()
        .and_then(|span| now.checked_sub(span).ok())
        .unwrap_or(Timestamp::MIN);
    Ok(next_hit(schedule, since).is_none_or(|hit| hit <= now))
}

/// When a budget next starts or ceases to hold, at the earliest; none where it always or never does.
#[must_use]
pub fn changes_at(budget: &Budget, now: Timestamp) -> Option<Timestamp> {
    let schedule = budget.schedule.as_ref()?;
    let span = SignedDuration::try_from(budget.duration?.0).ok()?;
    let starts = next_hit(schedule, now);
    // The hit that ends next is the first after `now − duration`.
    let ends = now
        .checked_sub(span)
        .ok()
        .and_then(|since| next_hit(schedule, since))
        .filter(|hit| *hit <= now)
        .and_then(|hit| hit.checked_add(span).ok());
    starts.into_iter().chain(ends).min()
}

/// The first hit of a schedule after a moment, in UTC; none within five years (`robfig/cron/v3` `SpecSchedule.Next`).
#[must_use]
pub fn next_hit(schedule: &CronSchedule, after: Timestamp) -> Option<Timestamp> {
    let from = after.to_zoned(TimeZone::UTC).datetime();
    let first = from.date();
    let mut date: Date = first;
    // Seconds are always 0, so the minute of `after` itself is over.
    let mut start =
        u16::try_from(i32::from(from.hour()) * 60 + i32::from(from.minute()) + 1).ok()?;
    while date.year() <= first.year() + 5 {
        let number = |value: i8| u8::try_from(value).unwrap_or(0);
        let weekday = number(date.weekday().to_sunday_zero_offset());
        if schedule.on_day(number(date.month()), number(date.day()), weekday) {
            let hit = (start..24 * 60).find(|minute| {
                let (hour, minute) = (minute / 60, minute % 60);
                schedule.hours >> hour & 1 == 1 && schedule.minutes >> minute & 1 == 1
            });
            if let Some(hit) = hit {
                let (hour, minute) = (i8::try_from(hit / 60).ok()?, i8::try_from(hit % 60).ok()?);
                let zoned = date.at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).ok()?;
                return Some(zoned.timestamp());
            }
        }
        start = 0;
        date = date.checked_add(1.day()).ok()?;
    }
    None
}
