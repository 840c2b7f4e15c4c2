//! The TTL-after-finished controller (`pkg/controller/ttlafterfinished`): Jobs that are over go after a while, with their pods.

use jiff::{SignedDuration, Timestamp};

use crate::workloads::writes::delete;
use crate::{Change, Context, Controller, Key, Object, Outcome, View};

use super::finished;

/// The controller.
#[derive(Debug, Default)]
pub struct FinishedJobs;

impl Controller for FinishedJobs {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        match &change.after {
            Some(Object::Job(job)) if finished(job).is_some() => vec![change.key.clone()],
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(job) = context.view.jobs.get(key) else {
            return Outcome::settled();
        };
        let ttl = job
            .spec
            .as_ref()
            .and_then(|spec| spec.ttl_seconds_after_finished);
        let since = finished(job).and_then(|condition| condition.last_transition_time.as_ref());
        let (Some(ttl), Some(since), None) = (ttl, since, &job.metadata.deletion_timestamp) else {
            return Outcome::settled();
        };
        let end = since
            .0
            .saturating_add(SignedDuration::from_secs(ttl.into()));
        let end = end.unwrap_or(Timestamp::MAX);
        if end <= context.now {
            Outcome::of(vec![delete(job.as_ref(), Some("Foreground"))])
        } else {
            Outcome::settled().again_at(end)
        }
    }
}
