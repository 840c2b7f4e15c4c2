//! Whether Karpenter runs, and its settings: those of its Deployment in the cluster.

use std::sync::Arc;
use std::time::Duration;

use autoscale::karpenter::disruption;
use autoscale::karpenter::provisioning::{self, MinValuesPolicy, PreferencePolicy};
use k8s_openapi::api::apps::v1::Deployment;
use objects::GoDuration;

use crate::{Key, View};

const LABEL: &str = "app.kubernetes.io/name";

/// What Karpenter is told by its environment (`pkg/operator/options/options.go` of both).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// `CLUSTER_NAME`; the cluster's own name where it isn't set.
    pub cluster: String,
    /// `INTERRUPTION_QUEUE`: whether messages are looked at.
    pub interruptions: bool,
    /// `BATCH_MAX_DURATION`.
    pub batch_longest: Duration,
    /// `BATCH_IDLE_DURATION`.
    pub batch_idle: Duration,
    pub preferences: PreferencePolicy,
    pub min_values: MinValuesPolicy,
    pub spot_to_spot: bool,
}

impl Settings {
    pub(super) fn provisioning(&self) -> provisioning::Options {
        provisioning::Options {
            preferences: self.preferences,
            min_values: self.min_values,
            seed: 0,
        }
    }

    pub(super) fn disruption(&self) -> disruption::Settings {
        disruption::Settings {
            spot_to_spot: self.spot_to_spot,
            min_values: self.min_values,
        }
    }
}

/// Whether a Deployment is Karpenter's: its own labels or its pods' say so.
pub(super) fn is_karpenter(deployment: &Deployment) -> bool {
    let template = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.metadata.as_ref());
    [Some(&deployment.metadata), template]
        .into_iter()
        .flatten()
        .filter_map(|metadata| metadata.labels.as_ref()?.get(LABEL))
        .any(|name| name == "karpenter")
}

/// The settings of a Deployment of Karpenter's with a ready replica.
fn of(deployment: &Deployment, view: &View) -> Option<Settings> {
    deployment
        .status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .filter(|ready| *ready > 0)?;
    let containers = &deployment.spec.as_ref()?.template.spec.as_ref()?.containers;
    let container = containers
        .iter()
        .find(|container| container.name == "controller")
        .or(containers.first());
    let variable = |name: &str| {
        container?
            .env
            .iter()
            .flatten()
            .find(|variable| variable.name == name)
            .and_then(|variable| variable.value.as_deref())
            .filter(|value| !value.is_empty())
    };
    let duration = |name: &str, default: u64| {
        variable(name)
            .and_then(|text| text.parse::<GoDuration>().ok())
            .map_or(Duration::from_secs(default), |duration| duration.0)
    };
    let gate = |name: &str| {
        let gates = variable("FEATURE_GATES").unwrap_or_default();
        gates
            .split(',')
            .filter_map(|gate| gate.split_once('='))
            .any(|(gate, value)| gate.trim() == name && value.trim().eq_ignore_ascii_case("true"))
    };
    Some(Settings {
        cluster: variable("CLUSTER_NAME")
            .unwrap_or(&view.cloud.cluster)
            .to_owned(),
        interruptions: variable("INTERRUPTION_QUEUE").is_some(),
        batch_longest: duration("BATCH_MAX_DURATION", 10),
        batch_idle: duration("BATCH_IDLE_DURATION", 1),
        preferences: match variable("PREFERENCE_POLICY") {
            Some("Ignore") => PreferencePolicy::Ignore,
            _ => PreferencePolicy::Respect,
        },
        min_values: match variable("MIN_VALUES_POLICY") {
            Some("BestEffort") => MinValuesPolicy::BestEffort,
            _ => MinValuesPolicy::Strict,
        },
        spot_to_spot: gate("SpotToSpotConsolidation"),
    })
}

/// The settings of the Karpenter that runs in the cluster, if one does, and its Deployment.
pub(super) fn running(view: &View) -> Option<(Key, Arc<Settings>)> {
    view.deployments
        .iter()
        .filter(|(_, deployment)| is_karpenter(deployment))
        .find_map(|(key, deployment)| Some((key.clone(), Arc::new(of(deployment, view)?))))
}
