//! The controllers of workloads: those that make pods, and those that count them.
//!
//! Behaviour, conditions, reasons and event texts are those of kube-controller-manager 1.33 (`pkg/controller/*` of
//! kubernetes/kubernetes); comments name the file and the function.
//!
//! A controller may be asked with some of its own writes not yet in the view. It then says the same again, and the API server
//! refuses what is done already: objects that are made get names that follow from the owner and from what was seen of it
//! ([`names`]), and what is changed carries the `resourceVersion` that was looked at. An object is written at most once in a
//! reconciliation, so that the second write is not refused for the first.

mod claims;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod fractions;
mod history;
mod job;
mod names;
mod placement;
mod pods;
mod replica_set;
mod retries;
mod selector;
mod stateful_set;
mod writes;

pub use cron_job::CronJobs;
pub use daemon_set::DaemonSets;
pub use deployment::Deployments;
pub use disruption::DisruptionBudgets;
pub use job::{FinishedJobs, Jobs};
pub(crate) use pods::{condition, is_ready, phase};
pub use replica_set::ReplicaSets;
pub(crate) use selector::{InvalidSelector, Selector};
pub use stateful_set::StatefulSets;
pub(crate) use writes::{event, key_of, name_of, update_status};

use crate::Controller;
use crate::horizontal_pod_autoscaler::{HorizontalPodAutoscalers, Settings};

/// How many objects a reconciliation makes or deletes at most (`BurstReplicas`, replicaset/replica_set.go:68).
const BURST: usize = 500;

/// What can be set.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub horizontal_pod_autoscaler: Settings,
}

/// The controllers of this part.
#[must_use]
pub fn all(options: Options) -> Vec<Box<dyn Controller>> {
    let Options {
        horizontal_pod_autoscaler,
    } = options;
    vec![
        Box::new(Deployments),
        Box::new(ReplicaSets::default()),
        Box::new(StatefulSets),
        Box::new(DaemonSets::default()),
        Box::new(Jobs::default()),
        Box::new(FinishedJobs),
        Box::new(CronJobs),
        Box::new(DisruptionBudgets),
        Box::new(HorizontalPodAutoscalers::new(horizontal_pod_autoscaler)),
    ]
}
