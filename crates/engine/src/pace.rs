//! How fast time goes at the target.

use std::time::Duration;

/// Modelled seconds for each second on the wall: 1 at AWS, the time scale in a sandbox. Everything that the engine waits
/// for by itself (back-off, polling, rate budgets) is meant in modelled time and divided by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// AWS.
    pub const REAL: Self = Self(1.0);

    /// `scale` modelled seconds a second. Infinity waits for nothing. Anything that is not above zero is taken as 1.
    pub fn new(scale: f64) -> Self {
        if scale > 0.0 { Self(scale) } else { Self::REAL }
    }

    /// How long a modelled duration takes on the wall.
    pub fn wall(self, modelled: Duration) -> Duration {
        if self.0.is_infinite() {
            Duration::ZERO
        } else {
            modelled.div_f64(self.0)
        }
    }

    /// How much modelled time a duration on the wall is; none when nothing is waited for.
    pub fn modelled(self, wall: Duration) -> Option<Duration> {
        if self.0.is_infinite() {
            None
        } else {
            Some(wall.mul_f64(self.0))
        }
    }

    /// Modelled seconds a second.
    pub fn scale(self) -> f64 {
        self.0
    }
}
