//! How long a verification waits.

use std::time::Duration;

use engine::Pace;

/// Limits on the wall: what takes longer is a difference, and the rest goes on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For one operation, and for one resource's deletion with all its tries.
    pub operation: Duration,
    /// How far an index (tags) may be behind.
    pub index: Duration,
    /// For all that is tried.
    pub everything: Duration,
    /// For deleting what is left after that.
    pub clean_up: Duration,
}

impl Limits {
    /// Those of AWS (where the slowest operation of the set takes about a minute, and all of it some five minutes) at a pace.
    /// However fast time goes, calls take some of the wall's: none is below what a busy machine needs for them.
    #[must_use]
    pub fn at(pace: Pace) -> Self {
        let limit = |modelled, least| {
            pace.wall(Duration::from_secs(modelled))
                .max(Duration::from_secs(least))
        };
        Self {
            operation: limit(300, 10),
            index: limit(120, 5),
            everything: limit(1_800, 120),
            clean_up: limit(900, 60),
        }
    }
}
