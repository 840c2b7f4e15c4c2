//! How much may be asked of an API at once and in a second.
//!
//! Cloud Control documents no rate; users measured throttling at 25 to 30 requests a second (aws-nuke #508, #510). A
//! budget starts at ten a second, is halved by every throttle, and grows back by the second, so that it settles below
//! whatever the account allows. All of it is modelled time.

use std::sync::Mutex;
use std::time::Duration;

use catalog::{Realm, TypeName};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::pace::Pace;

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Calls that create, update or delete.
    Change,
    /// Calls that read or ask how something stands.
    Read,
    /// Calls to a cluster's API server.
    Cluster,
}

/// How many times as much as AWS's APIs a cluster's takes: kubectl allows itself 50 calls a second and 300 at once
/// (`client-go`'s defaults there), Helm 100 at once.
const CLUSTER_SHARE: f64 = 5.0;

impl Api {
    /// The API of a type's calls, where it is `in_aws` if the type is AWS's.
    pub fn of(type_name: &TypeName, in_aws: Self) -> Self {
        match type_name.realm() {
            Realm::Aws => in_aws,
            Realm::Kubernetes | Realm::Helm => Self::Cluster,
        }
    }
}

/// A budget for each API.
pub struct Limits {
    change: Budget,
    read: Budget,
    cluster: Budget,
}

impl Limits {
    /// `calls` at once and `rate` a modelled second, for each API.
    pub fn new(calls: usize, rate: f64, pace: Pace) -> Self {
        Self {
            change: Budget::new(calls, rate, pace),
            read: Budget::new(calls, rate, pace),
            cluster: Budget::new(calls * 2, rate * CLUSTER_SHARE, pace),
        }
    }

    /// Waits until a call may be made; it counts as going on until the permit is dropped.
    pub async fn permit(&self, api: Api) -> SemaphorePermit<'_> {
        self.of(api).permit().await
    }

    /// Says that a call was throttled.
    pub fn throttled(&self, api: Api) {
        self.of(api).throttled();
    }

    fn of(&self, api: Api) -> &Budget {
        match api {
            Api::Change => &self.change,
            Api::Read => &self.read,
            Api::Cluster => &self.cluster,
        }
    }
}

struct Budget {
    calls: Semaphore,
    highest: f64,
    pace: Pace,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    /// Calls that may be made at once; negative when calls have been promised ahead.
    tokens: f64,
    /// Calls a modelled second.
    rate: f64,
    at: Instant,
}

impl Budget {
    fn new(calls: usize, rate: f64, pace: Pace) -> Self {
        let bucket = Bucket {
            tokens: rate * 2.0,
            rate,
            at: Instant::now(),
        };
        Self {
            calls: Semaphore::new(calls),
            highest: rate,
            pace,
            bucket: Mutex::new(bucket),
        }
    }

    async fn permit(&self) -> SemaphorePermit<'_> {
        let wait = self.take();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        match self.calls.acquire().await {
            Ok(permit) => permit,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    /// Takes a token and says how long to wait for it.
    fn take(&self) -> Duration {
        let mut bucket = self
            .bucket
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let Some(passed) = self.pace.modelled(now - bucket.at) else {
            return Duration::ZERO;
        };
        bucket.at = now;
        // Back to the full rate in half a minute after a halving.
        bucket.rate = (bucket.rate + self.highest * passed.as_secs_f64() / 60.0).min(self.highest);
        bucket.tokens =
            (bucket.tokens + bucket.rate * passed.as_secs_f64()).min(self.highest * 2.0) - 1.0;
        if bucket.tokens >= 0.0 {
            return Duration::ZERO;
        }
        self.pace
            .wall(Duration::from_secs_f64(-bucket.tokens / bucket.rate))
    }

    fn throttled(&self) {
        let mut bucket = self
            .bucket
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        bucket.rate = (bucket.rate / 2.0).max(0.5);
        bucket.tokens = bucket.tokens.min(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_the_burst_calls_come_at_the_rate_and_slower_when_throttled() {
        let limits = Limits::new(100, 10.0, Pace::REAL);
        let start = Instant::now();
        for _ in 0..70 {
            drop(limits.permit(Api::Change).await);
        }
        let took = start.elapsed().as_secs_f64();
        assert!(
            (4.9..5.2).contains(&took),
            "20 at once, then 50 at 10 a second: {took}"
        );
        limits.throttled(Api::Change);
        let start = Instant::now();
        for _ in 0..10 {
            drop(limits.permit(Api::Change).await);
        }
        let took = start.elapsed().as_secs_f64();
        assert!((1.3..2.1).contains(&took), "about half the rate: {took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_scales_the_rate() {
        let limits = Limits::new(100, 10.0, Pace::new(60.0));
        let start = Instant::now();
        for _ in 0..620 {
            drop(limits.permit(Api::Read).await);
        }
        let took = start.elapsed().as_secs_f64();
        assert!((0.9..1.1).contains(&took), "{took}");
    }
}
