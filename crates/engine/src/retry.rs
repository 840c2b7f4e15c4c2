//! When to try again, and when to stop.

use std::time::Duration;

use tokio::time::Instant;

use crate::pace::Pace;
use crate::provider::{ErrorClass, ProviderError};

/// Longest wait between two attempts, in modelled time.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long each class of error is put up with, in modelled time.
const THROTTLED: Duration = Duration::from_secs(30 * 60);
/// Handler errors of AWS's own. Transient by contract; a quarter of an hour is beyond any that users have told of.
const RETRYABLE: Duration = Duration::from_secs(15 * 60);
/// Another operation on the same resource: as long as the longest of them (an EKS update) may take.
const CONCURRENT: Duration = Duration::from_secs(60 * 60);
/// IAM tells of seconds; the field's tools allow one to two minutes.
const PROPAGATION: Duration = Duration::from_secs(120);
/// Pods are pulled and started, namespaces emptied: minutes as a rule.
const NOT_READY: Duration = Duration::from_secs(10 * 60);
/// Where nothing is waited for, the cluster's own work still takes its time on the wall: this much of it at most.
const NOT_READY_ON_THE_WALL: Duration = Duration::from_secs(60);
/// On the wall: whether the other side answers has nothing to do with modelled time.
const UNREACHABLE: Duration = Duration::from_secs(8);

/// The attempts at one thing.
pub(crate) struct Retries {
    pace: Pace,
    start: Instant,
    attempts: u32,
    /// Where the jitter is.
    seed: u64,
}

impl Retries {
    pub(crate) fn new(pace: Pace) -> Self {
        // Ambient randomness only spreads waits: no decision hangs on it.
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        Self {
            pace,
            start: Instant::now(),
            attempts: 0,
            seed,
        }
    }

    /// How long to wait on the wall before the next attempt, or none when it is enough.
    pub(crate) fn after(&mut self, error: &ProviderError) -> Option<Duration> {
        self.attempts += 1;
        let concurrent = error.code.starts_with("ConcurrentOperation");
        let (allowed, attempts) = match error.class {
            ErrorClass::Throttled => (THROTTLED, 200),
            ErrorClass::Retryable if concurrent => (CONCURRENT, 2000),
            ErrorClass::Retryable => (RETRYABLE, 12),
            ErrorClass::Propagation => (PROPAGATION, 60),
            ErrorClass::NotReady if self.pace.scale().is_infinite() => return self.not_ready(),
            ErrorClass::NotReady => (NOT_READY, 200),
            ErrorClass::Unreachable => return self.unreachable(),
            _ => return None,
        };
        // What takes its time to be known everywhere takes it on the wall where the clock waits for nothing.
        let pace = match error.class {
            ErrorClass::Propagation if self.pace.scale().is_infinite() => Pace::REAL,
            _ => self.pace,
        };
        // Where time does not count (a scale of `max`), attempts do.
        let passed = pace.modelled(self.start.elapsed());
        let enough = passed.is_some_and(|passed| passed > allowed) || self.attempts >= attempts;
        if enough {
            return None;
        }
        let wait = pace.wall(self.backoff());
        // A wall-clock floor, so that a clock that waits for nothing does not become a busy loop.
        Some(wait.max(Duration::from_millis(2)))
    }

    fn unreachable(&self) -> Option<Duration> {
        (self.start.elapsed() < UNREACHABLE).then(|| Duration::from_millis(250))
    }

    fn not_ready(&self) -> Option<Duration> {
        let wait = Duration::from_millis(20) * self.attempts.min(25);
        (self.start.elapsed() < NOT_READY_ON_THE_WALL).then_some(wait)
    }

    /// Doubling from half a second, spread over its upper half.
    fn backoff(&mut self) -> Duration {
        let whole = Duration::from_millis(500)
            .saturating_mul(1 << self.attempts.min(8).saturating_sub(1))
            .min(LONGEST_WAIT);
        // xorshift64: enough to keep clients apart.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let share = 0.5 + (self.seed % 1000) as f64 / 2000.0;
        whole.mul_f64(share)
    }
}

/// Makes a call, and again while it fails for a reason that passes.
///
/// # Errors
///
/// The first error that does not pass, or that has not passed in the time that its class is given.
pub async fn patiently<T, F: Future<Output = Result<T, ProviderError>>>(
    pace: Pace,
    call: impl Fn() -> F,
) -> Result<T, ProviderError> {
    let mut retries = Retries::new(pace);
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match retries.after(&error) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(error),
        }
    }
}

/// The waits between polls of one operation: one second, growing by half to ten, unless the other side says when.
/// Source: the intervals of cdkd's Cloud Control client.
pub(crate) struct Patience {
    pace: Pace,
    next: Duration,
}

impl Patience {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            next: Duration::from_secs(1),
        }
    }

    /// How long to wait on the wall. `retry_after` is the other side's word, on the wall already.
    pub(crate) fn before_poll(&mut self, retry_after: Option<Duration>) -> Duration {
        let own = self.pace.wall(self.next);
        self.next = self.next.mul_f64(1.5).min(Duration::from_secs(10));
        // Nobody's clock is exact: what is due now is asked for now, and nothing is waited for longer than a minute.
        retry_after.map_or(own, |wait| {
            wait.min(self.pace.wall(Duration::from_secs(60)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: ErrorClass, code: &str) -> ProviderError {
        ProviderError {
            class,
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_error_is_not_tried_again_and_a_transient_one_for_a_while() {
        assert!(
            Retries::new(Pace::REAL)
                .after(&error(ErrorClass::Terminal, "InvalidRequest"))
                .is_none()
        );
        let mut retries = Retries::new(Pace::REAL);
        let start = Instant::now();
        let mut attempts = 0;
        while let Some(wait) = retries.after(&error(ErrorClass::Propagation, "InvalidRequest")) {
            tokio::time::sleep(wait).await;
            attempts += 1;
        }
        let took = start.elapsed();
        assert!(
            took > PROPAGATION && took < PROPAGATION + LONGEST_WAIT * 2,
            "{took:?}"
        );
        assert!((6..40).contains(&attempts), "{attempts}");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_waited_for_the_attempts_are_counted() {
        let mut retries = Retries::new(Pace::new(f64::INFINITY));
        let retryable = error(ErrorClass::Retryable, "ServiceInternalError");
        assert_eq!(
            std::iter::from_fn(|| retries.after(&retryable))
                .take(1000)
                .count(),
            11
        );
    }
}
