//! How long to wait after the API server refused to create something.

use jiff::{SignedDuration, Timestamp};

use crate::{Refusal, View};

/// The longest wait (`ItemExponentialFailureRateLimiter`'s 1,000 s of client-go/util/workqueue/default_rate_limiters.go:39).
const LONGEST: i64 = 1_000;

/// What stands in the way of an owner's creates.
pub(crate) enum Retry<'a> {
    /// Nothing.
    Clear,
    /// They were refused, and it is too early to try again.
    Wait(&'a Refusal, Timestamp),
    /// They were refused; it is time to try with one.
    Again(&'a Refusal),
}

impl<'a> Retry<'a> {
    /// client-go's limiter begins at 5 ms and doubles; a cluster's time has seconds, so here the first wait is one.
    pub(crate) fn of(view: &'a View, owner: &str, now: Timestamp) -> Self {
        let Some(refusal) = view.refusals.get(owner) else {
            return Self::Clear;
        };
        let doublings = refusal.rounds.saturating_sub(1).min(10);
        let wait = SignedDuration::from_secs((1i64 << doublings).min(LONGEST));
        let at = refusal.at.saturating_add(wait).unwrap_or(Timestamp::MAX);
        if now < at {
            Self::Wait(refusal, at)
        } else {
            Self::Again(refusal)
        }
    }

    pub(crate) fn refusal(&self) -> Option<&'a Refusal> {
        match self {
            Self::Clear => None,
            Self::Wait(refusal, _) | Self::Again(refusal) => Some(refusal),
        }
    }

    /// How many may be created now of so many that are wanted: after a refusal only one is tried
    /// (`slowStartBatch`, replicaset/replica_set.go).
    pub(crate) fn allowed(&self, wanted: usize) -> usize {
        match self {
            Self::Clear => wanted,
            Self::Wait(..) => 0,
            Self::Again(_) => wanted.min(1),
        }
    }
}

/// After creates, looks again: a refusal is no change that would come by itself.
pub(crate) fn check_at(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(1))
        .unwrap_or(Timestamp::MAX)
}
