//! How long a Job waits after failures (`backoff_utils.go`): 10 s, doubled with each failure since the last success, up to
//! 10 minutes. At an immediate pace each is a second of the clock: without any, a Job that always fails would never rest, and with
//! all of it one that fails six times, as is the default, would take ten minutes.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use crate::Pace;
use crate::workloads::pods::{condition, created_at};

/// `DefaultJobPodFailureBackOff` and `MaxJobPodFailureBackOff` (job/job_controller.go).
const FIRST: f64 = 10.0;
const LONGEST: f64 = 600.0;
/// Each of them when nothing is waited for, in seconds of the clock.
const IMMEDIATE: i64 = 1;

/// When a pod ended (`getFinishedTime`).
pub(super) fn finished_at(pod: &Pod) -> Timestamp {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let ended = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.state.as_ref()?.terminated.as_ref())
        .filter_map(|ended| ended.finished_at.as_ref())
        .map(|time| time.0)
        .max();
    let unready = || {
        condition(pod, "Ready")
            .filter(|ready| ready.status == "False")
            .and_then(|ready| ready.last_transition_time.as_ref())
            .map(|time| time.0)
    };
    let deleted = || {
        let at = pod.metadata.deletion_timestamp.as_ref()?.0;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        at.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    ended
        .or_else(deleted)
        .or_else(unready)
        .unwrap_or_else(|| created_at(&pod.metadata))
}

/// When a wait after so many failures in a row is over, if there is one.
pub(super) fn until(failures: i32, last: Timestamp, pace: Pace) -> Option<Timestamp> {
    if failures == 0 {
        return None;
    }
    let wait = (FIRST * 2f64.powi((failures - 1).min(16))).min(LONGEST);
    match pace {
        Pace::Modelled => Some(pace.after(last, wait)),
        Pace::Immediate => last
            .saturating_add(SignedDuration::from_secs(IMMEDIATE))
            .ok(),
    }
}

/// The same for a whole Job, from its pods that ended: whether each is a success, and when.
pub(super) fn of_job(mut ended: Vec<(Timestamp, bool)>, pace: Pace) -> Option<Timestamp> {
    ended.sort_unstable();
    let failures = ended
        .iter()
        .rev()
        .take_while(|(_, success)| !success)
        .count();
    let (last, _) = ended.last()?;
    until(i32::try_from(failures).unwrap_or(i32::MAX), *last, pace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(ended: &[(i64, bool)]) -> Option<i64> {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let ended = ended
            .iter()
            .map(|(second, good)| (at(*second), *good))
            .collect();
        of_job(ended, Pace::Modelled).map(Timestamp::as_second)
    }

    /// backoff_utils.go `getRemainingTimeForFailuresCount`.
    #[test]
    fn waits_double_and_end_with_a_success() {
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&[(100, false)]), Some(110));
        assert_eq!(seconds(&[(100, false), (110, false)]), Some(130));
        assert_eq!(seconds(&[(100, false), (110, true)]), None);
        assert_eq!(seconds(&[(90, true), (100, false)]), Some(110));
        let many: Vec<(i64, bool)> = (0..20).map(|second| (second, false)).collect();
        assert_eq!(seconds(&many), Some(19 + 600));
    }
}
