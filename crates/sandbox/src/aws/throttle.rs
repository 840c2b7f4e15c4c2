//! A token bucket in modelled time.

use crate::Settings;

/// How many requests may come at once and how fast more may follow.
#[derive(Debug)]
pub(crate) struct Throttle {
    tokens: f64,
    at: f64,
}

impl Throttle {
    /// A full bucket.
    pub(crate) fn new(settings: &Settings, now: f64) -> Self {
        Self {
            tokens: settings.burst,
            at: now,
        }
    }

    /// Takes a token if there is one. A rate of 0 means no limit.
    pub(crate) fn admit(&mut self, settings: &Settings, now: f64) -> bool {
        if settings.requests_per_second <= 0.0 {
            return true;
        }
        let refill = (now - self.at).max(0.0) * settings.requests_per_second;
        self.tokens = (self.tokens + refill).min(settings.burst);
        self.at = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let settings = Settings {
            requests_per_second: 30.0,
            burst: 60.0,
            ..Settings::default()
        };
        let mut throttle = Throttle::new(&settings, 0.0);
        assert_eq!(
            (0..100).filter(|_| throttle.admit(&settings, 0.0)).count(),
            60
        );
        assert_eq!(
            (0..100).filter(|_| throttle.admit(&settings, 1.0)).count(),
            30
        );
        assert_eq!(
            (0..100)
                .filter(|_| throttle.admit(&settings, 1000.0))
                .count(),
            60
        );
    }
}
