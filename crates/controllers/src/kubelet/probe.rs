//! When probes of a container answer.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

use super::behaviour::Behaviour;
use crate::Pace;

/// After how many seconds a probe that succeeds has succeeded often enough: the kubelet asks every period from the start on and
/// leaves the times before the initial delay out.
fn succeeds_after(probe: &Probe) -> f64 {
    let period = f64::from(probe.period_seconds.unwrap_or(10).max(1));
    let delay = f64::from(probe.initial_delay_seconds.unwrap_or(0).max(0));
    let more = f64::from(probe.success_threshold.unwrap_or(1).max(1) - 1);
    (delay / period).ceil() * period + more * period
}

/// After how many seconds a probe that fails has failed often enough.
fn fails_after(probe: &Probe) -> f64 {
    let period = f64::from(probe.period_seconds.unwrap_or(10).max(1));
    let delay = f64::from(probe.initial_delay_seconds.unwrap_or(0).max(0));
    let more = f64::from(probe.failure_threshold.unwrap_or(3).max(1) - 1);
    (delay / period).ceil() * period + more * period
}

/// When a container that started then counts as started.
pub(super) fn started_at(container: &Container, start: Timestamp, pace: Pace) -> Timestamp {
    let seconds = container.startup_probe.as_ref().map_or(0.0, succeeds_after);
    pace.after(start, seconds)
}

/// When it is ready; none if it never is.
pub(super) fn ready_at(
    container: &Container,
    behaviour: &Behaviour,
    start: Timestamp,
    pace: Pace,
) -> Option<Timestamp> {
    if !behaviour.ready {
        return None;
    }
    let started = started_at(container, start, pace);
    let seconds = container
        .readiness_probe
        .as_ref()
        .map_or(0.0, succeeds_after);
    Some(started.max(pace.after(start, seconds)))
}

/// When its liveness probe has it killed.
pub(super) fn killed_at(
    container: &Container,
    behaviour: &Behaviour,
    start: Timestamp,
    pace: Pace,
) -> Option<Timestamp> {
    if behaviour.live {
        return None;
    }
    let default = Probe::default();
    let probe = container.liveness_probe.as_ref().unwrap_or(&default);
    let started = started_at(container, start, pace);
    Some(started.max(pace.after(start, fails_after(probe))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_asked_every_period() {
        let probe = |delay, period, successes| Probe {
            initial_delay_seconds: Some(delay),
            period_seconds: Some(period),
            success_threshold: Some(successes),
            ..Probe::default()
        };
        assert!((succeeds_after(&probe(0, 10, 1)) - 0.0).abs() < 1e-9);
        assert!((succeeds_after(&probe(5, 10, 1)) - 10.0).abs() < 1e-9);
        assert!((succeeds_after(&probe(5, 5, 3)) - 15.0).abs() < 1e-9);
        assert!((fails_after(&Probe::default()) - 20.0).abs() < 1e-9);
    }
}
