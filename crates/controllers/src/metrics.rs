//! What the metrics APIs answer: `metrics.k8s.io` for containers, `custom.metrics.k8s.io` and `external.metrics.k8s.io` for the rest.
//! Whoever runs the controllers fills it in; here it is only read.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::shelf::Key;

/// Everything that is measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// By pod. A pod that was not sampled yet is not here.
    pub pods: BTreeMap<Key, PodUsage>,
    /// Custom metrics, by the object that they describe.
    pub custom: BTreeMap<Described, Vec<Sample>>,
    /// External metrics, by namespace.
    pub external: BTreeMap<String, Vec<Sample>>,
}

/// One sample of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodUsage {
    /// When the window ended.
    pub at: Timestamp,
    /// Over how long the rates are averages.
    pub window: SignedDuration,
    /// By container; init containers that run on are among them.
    pub containers: BTreeMap<String, Usage>,
}

/// What a container used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Thousandths of a core.
    pub cpu_milli: i64,
    /// The working set, in bytes.
    pub memory_bytes: i64,
}

/// An object that custom metrics describe; `kind` is `Pod`, `Service`, ….
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Described {
    pub kind: String,
    pub key: Key,
}

/// The value of a custom or external metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub metric: String,
    pub labels: BTreeMap<String, String>,
    /// Thousandths.
    pub milli: i64,
    pub at: Timestamp,
}
