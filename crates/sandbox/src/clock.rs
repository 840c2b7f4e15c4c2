//! Modelled time: how much of it has passed since the world began. It runs `scale` times as fast as the wall clock, and
//! only while the sandbox runs; a sudden end skips up to [`AHEAD`] of the wall's time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How far ahead the time is kept at which the next start goes on.
pub(crate) const AHEAD: Duration = Duration::from_secs(2);

/// Where wall time comes from.
pub trait WallClock: Send + Sync {
    /// Time since some fixed moment; it never goes back.
    fn elapsed(&self) -> Duration;
    /// Seconds since 1970, as the machine's clock shows them.
    fn epoch_seconds(&self) -> f64;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl WallClock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn epoch_seconds(&self) -> f64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64())
    }
}

/// A clock that stands still until a test moves it. Its date is the machine's, since signatures are checked against that.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Lets wall time pass.
    pub fn advance(&self, by: Duration) {
        let nanoseconds = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanoseconds, Ordering::SeqCst);
    }
}

impl WallClock for ManualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }

    fn epoch_seconds(&self) -> f64 {
        SystemClock::default().epoch_seconds()
    }
}

/// How fast modelled time runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TimeScale {
    /// Modelled seconds a wall second.
    Times(f64),
    /// As fast as the wall clock, and nothing takes time.
    Max,
}

/// A time scale that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time scale: expected `max` or a number above 0 and at most 100000 (modelled seconds a second)"
)]
pub struct InvalidTimeScale(String);

impl TimeScale {
    /// What the sandbox runs at unless told otherwise.
    pub const DEFAULT: Self = Self::Times(60.0);

    /// Modelled seconds a wall second.
    #[must_use]
    pub fn factor(self) -> f64 {
        match self {
            Self::Times(times) => times,
            Self::Max => 1.0,
        }
    }

    /// Whether nothing takes time.
    #[must_use]
    pub fn is_max(self) -> bool {
        self == Self::Max
    }

    /// What a duration becomes: itself, or 0 at `max`.
    #[must_use]
    pub fn duration(self, modelled_seconds: f64) -> f64 {
        if self.is_max() {
            0.0
        } else {
            modelled_seconds.max(0.0)
        }
    }
}

impl Default for TimeScale {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for TimeScale {
    type Err = InvalidTimeScale;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times > 0.0 && times <= 100_000.0 => Ok(Self::Times(times)),
            _ => Err(InvalidTimeScale(text.to_owned())),
        }
    }
}

impl Serialize for TimeScale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeScale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The world's clock while the sandbox runs.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn WallClock>,
    /// Modelled seconds at `since`.
    passed: f64,
    since: Duration,
    scale: TimeScale,
}

impl Clock {
    /// A clock that shows `passed` modelled seconds now.
    #[must_use]
    pub fn starting_at(passed: f64, scale: TimeScale, wall: Arc<dyn WallClock>) -> Self {
        let since = wall.elapsed();
        Self {
            wall,
            passed,
            since,
            scale,
        }
    }

    /// Modelled seconds since the world began.
    #[must_use]
    pub fn now(&self) -> f64 {
        let wall = self.wall.elapsed().saturating_sub(self.since).as_secs_f64();
        self.passed + wall * self.scale.factor()
    }

    /// How fast it runs.
    #[must_use]
    pub fn scale(&self) -> TimeScale {
        self.scale
    }

    /// Changes how fast it runs from now on.
    pub fn set_scale(&mut self, scale: TimeScale) {
        *self = Self::starting_at(self.now(), scale, Arc::clone(&self.wall));
    }

    /// Goes on from a later moment.
    pub(crate) fn skip_to(&mut self, modelled: f64) {
        let passed = self.now().max(modelled);
        *self = Self::starting_at(passed, self.scale, Arc::clone(&self.wall));
    }

    /// Begins at 0 anew.
    pub(crate) fn rewind(&mut self) {
        *self = Self::starting_at(0.0, self.scale, Arc::clone(&self.wall));
    }

    /// The wall time, in seconds since 1970.
    #[must_use]
    pub fn epoch_seconds(&self) -> f64 {
        self.wall.epoch_seconds()
    }

    /// The wall time at which the clock shows, or showed, `modelled` seconds if it runs on as it does now.
    #[must_use]
    pub fn epoch_seconds_at(&self, modelled: f64) -> f64 {
        self.epoch_seconds() + (modelled - self.now()) / self.scale.factor()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("now", &self.now())
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modelled_time_runs_at_the_scale_and_never_jumps_when_that_changes() {
        let wall = Arc::new(ManualClock::default());
        let mut clock = Clock::starting_at(100.0, TimeScale::Times(60.0), wall.clone());
        wall.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), 220.0);
        clock.set_scale(TimeScale::Times(2.0));
        assert_eq!(clock.now(), 220.0);
        wall.advance(Duration::from_secs(3));
        assert_eq!(clock.now(), 226.0);
        assert!((clock.epoch_seconds_at(236.0) - clock.epoch_seconds() - 5.0).abs() < 0.5);
    }

    #[test]
    fn a_time_scale_is_max_or_a_positive_number() {
        assert_eq!("max".parse(), Ok(TimeScale::Max));
        assert_eq!("0.5".parse(), Ok(TimeScale::Times(0.5)));
        for wrong in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(wrong.parse::<TimeScale>().is_err(), "{wrong}");
        }
        assert_eq!(TimeScale::Max.duration(540.0), 0.0);
    }
}
