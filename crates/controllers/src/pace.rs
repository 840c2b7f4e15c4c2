//! What a modelled duration is at the sandbox's time scale.

use jiff::{SignedDuration, Timestamp};

/// Whether things take their time. At the time scale `max` they take none; at any other the clock itself runs faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Modelled,
    /// Everything that only waits is done at once.
    Immediate,
}

impl Pace {
    /// What a wait of so many modelled seconds is.
    #[must_use]
    pub fn wait(self, seconds: f64) -> SignedDuration {
        match self {
            Self::Modelled => SignedDuration::try_from_secs_f64(seconds).unwrap_or_default(),
            Self::Immediate => SignedDuration::ZERO,
        }
    }

    /// When a wait that began at `start` is over.
    #[must_use]
    pub fn after(self, start: Timestamp, seconds: f64) -> Timestamp {
        start
            .saturating_add(self.wait(seconds))
            .unwrap_or(Timestamp::MAX)
    }
}
