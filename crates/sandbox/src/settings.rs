//! What the rules of the embedded AWS are told about their surroundings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// How strict, how slow and how roomy the embedded AWS is. Times are modelled seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Quotas that differ from AWS's defaults, by their Service Quotas code (`L-F678F1CE` is VPCs per region).
    pub quotas: BTreeMap<String, f64>,
    /// How long a new or changed role is unknown to the services that assume it. 0 switches the delay off.
    pub iam_propagation_seconds: f64,
    /// How long a new resource is not found by reads after its creation ended.
    pub read_after_create_seconds: f64,
    /// From an instance's launch until it runs.
    pub instance_start_seconds: f64,
    /// From an instance's termination until it is gone.
    pub instance_stop_seconds: f64,
    /// Capacity pools that EC2 has no room in: `spot:m5.large:us-east-1a`, `on-demand:…`.
    pub without_capacity: BTreeSet<String>,
    /// Whether the sandbox plays the DNS provider outside AWS where the user would enter a certificate's validation
    /// record; off, a certificate waits until the record is in a hosted zone of this world.
    pub external_dns: bool,
    /// The suffix of the endpoints' names.
    pub dns_suffix: String,
    /// Requests a modelled second and account that Cloud Control takes before it throttles; 0 switches throttling off.
    /// Users measured 25 to 30 (aws-nuke, GitHub issues 508 and 510); AWS documents none.
    pub requests_per_second: f64,
    /// How many requests at once the throttle lets through.
    pub burst: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quotas: BTreeMap::new(),
            iam_propagation_seconds: 8.0,
            read_after_create_seconds: 2.0,
            instance_start_seconds: 20.0,
            instance_stop_seconds: 30.0,
            without_capacity: BTreeSet::new(),
            external_dns: true,
            dns_suffix: "amazonaws.com".to_owned(),
            requests_per_second: 30.0,
            burst: 60.0,
        }
    }
}

impl Settings {
    /// The quota that `code` names, if these settings differ from AWS's default.
    #[must_use]
    pub fn quota_override(&self, code: &str) -> Option<f64> {
        self.quotas.get(code).copied()
    }

    /// These settings where nothing takes time: no propagation delay, no late reads, no throttling.
    #[must_use]
    pub fn without_delays(&self) -> Self {
        Self {
            iam_propagation_seconds: 0.0,
            read_after_create_seconds: 0.0,
            instance_start_seconds: 0.0,
            instance_stop_seconds: 0.0,
            requests_per_second: 0.0,
            ..self.clone()
        }
    }
}
