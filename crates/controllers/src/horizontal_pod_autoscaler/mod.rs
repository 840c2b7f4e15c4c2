//! The horizontal pod autoscaler (`pkg/controller/podautoscaler/horizontal.go`): every 15 seconds the size that a workload's metrics
//! ask for, within its limits and no faster than its behaviour says.
//!
//! What it measures is [`crate::View::metrics`]. Deployments, ReplicaSets and StatefulSets can be scaled; custom resources with a
//! scale subresource cannot. As in Kubernetes, recent recommendations are remembered and not stored: a controller that starts anew
//! has to see a lower load for the whole stabilisation window again.

mod calculator;
mod limits;
mod quantities;
mod sources;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus, MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::workloads::{Selector, event, update_status};
use crate::{
    Action, Change, Context, Controller, EventKind, Key, Object, Outcome, Reference, View,
};

use limits::Memory;
use target::Target;

/// How the controller looks at metrics (`HPAControllerConfiguration`; the defaults are those of config/v1alpha1/defaults.go).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How often each autoscaler is looked at.
    pub sync_period: SignedDuration,
    /// How far from 1 the ratio of what is to what should be may be.
    pub tolerance: f64,
    /// How long a higher recommendation keeps a workload from shrinking, where its behaviour does not say.
    pub downscale_stabilization: SignedDuration,
    /// How long after its start a pod's CPU is not believed.
    pub cpu_initialization_period: SignedDuration,
    /// How soon after its start a pod's readiness may change without having been ready.
    pub initial_readiness_delay: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_period: SignedDuration::from_secs(15),
            tolerance: 0.1,
            downscale_stabilization: SignedDuration::from_secs(300),
            cpu_initialization_period: SignedDuration::from_secs(300),
            initial_readiness_delay: SignedDuration::from_secs(30),
        }
    }
}

/// The controller.
#[derive(Debug, Default)]
pub struct HorizontalPodAutoscalers {
    settings: Settings,
    memories: BTreeMap<Key, Memory>,
}

impl HorizontalPodAutoscalers {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            memories: BTreeMap::new(),
        }
    }
}

impl Controller for HorizontalPodAutoscalers {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    /// A change of the status is its own and concerns nobody: the next look comes at its time.
    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        match (&change.before, &change.after) {
            (
                Some(Object::HorizontalPodAutoscaler(before)),
                Some(Object::HorizontalPodAutoscaler(after)),
            ) if before.spec == after.spec && before.metadata.uid == after.metadata.uid => {
                Vec::new()
            }
            (Some(Object::HorizontalPodAutoscaler(_)), _)
            | (_, Some(Object::HorizontalPodAutoscaler(_))) => vec![change.key.clone()],
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(scaler) = context.view.horizontal_pod_autoscalers.get(key) else {
            self.memories.remove(key);
            return Outcome::settled();
        };
        let Some(spec) = &scaler.spec else {
            return Outcome::settled();
        };
        let memory = self.memories.entry(key.clone()).or_default();
        let mut sync = Sync {
            key,
            scaler,
            spec,
            context,
            settings: self.settings,
            status: scaler.status.clone().unwrap_or_default(),
            actions: Vec::new(),
        };
        sync.run(memory);
        let mut actions = sync.actions;
        if scaler.status.as_ref() != Some(&sync.status) {
            let mut changed = scaler.as_ref().clone();
            changed.status = Some(sync.status);
            actions.push(update_status(&changed));
        }
        let next = context.now.saturating_add(self.settings.sync_period);
        Outcome::of(actions).again_at(next.unwrap_or(Timestamp::MAX))
    }
}

/// One look at an autoscaler.
struct Sync<'a> {
    key: &'a Key,
    scaler: &'a HorizontalPodAutoscaler,
    spec: &'a HorizontalPodAutoscalerSpec,
    context: Context<'a>,
    settings: Settings,
    status: HorizontalPodAutoscalerStatus,
    actions: Vec<Action>,
}

/// What the metrics ask for together.
struct Recommendation {
    replicas: i32,
    metric: String,
}

/// What one metric asks for.
struct Proposal {
    replicas: i32,
    /// How the metric is called in events.
    name: String,
    status: MetricStatus,
}

/// Why a metric gives no proposal.
struct Unmeasured {
    /// The condition's reason and the event's.
    reason: &'static str,
    /// The text of condition and event.
    message: String,
    /// What the error is called where all metrics are looked at.
    context: String,
}

impl Sync<'_> {
    fn tell(&mut self, kind: EventKind, reason: &str, message: String) {
        let told = event(self.scaler, kind, reason, message);
        self.actions.push(told);
    }

    /// Sets a condition; its time is that of its last change between true and false (`setConditionInList`).
    fn set_condition(&mut self, kind: &str, is: bool, reason: &str, message: String) {
        let status = if is { "True" } else { "False" };
        let now = self.context.now;
        let conditions = self.status.conditions.get_or_insert_default();
        let at = conditions
            .iter()
            .position(|condition| condition.type_ == kind)
            .unwrap_or_else(|| {
                conditions.push(HorizontalPodAutoscalerCondition {
                    type_: kind.to_owned(),
                    ..HorizontalPodAutoscalerCondition::default()
                });
                conditions.len() - 1
            });
        let condition = &mut conditions[at];
        if condition.status != status {
            condition.last_transition_time = Some(Time(now));
        }
        status.clone_into(&mut condition.status);
        condition.reason = Some(reason.to_owned());
        condition.message = Some(message);
    }

    /// `reconcileAutoscaler`.
    fn run(&mut self, memory: &mut Memory) {
        let now = self.context.now;
        let target = match Target::of(self.context.view, self.key, &self.spec.scale_target_ref) {
            Ok(target) => target,
            Err(error) => {
                self.tell(EventKind::Warning, "FailedGetScale", error.clone());
                let message = format!(
                    "the HPA controller was unable to get the target's current scale: {error}"
                );
                return self.set_condition("AbleToScale", false, "FailedGetScale", message);
            }
        };
        let current = target.replicas;
        self.set_condition(
            "AbleToScale",
            true,
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale".to_owned(),
        );
        memory.begin(current, now);
        let (least, most) = (self.spec.min_replicas.unwrap_or(1), self.spec.max_replicas);
        let mut metrics = None;
        let (desired, reason) = if current == 0 && least != 0 {
            self.set_condition(
                "ScalingActive",
                false,
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero".to_owned(),
            );
            (current, String::new())
        } else if current > most {
            let reason = "Current number of replicas above Spec.MaxReplicas";
            (most, reason.to_owned())
        } else if current < least {
            let reason = "Current number of replicas below Spec.MinReplicas";
            (least, reason.to_owned())
        } else {
            let (recommended, statuses) = self.measure(&target);
            metrics = Some(statuses);
            let Some(recommended) = recommended else {
                self.status.current_replicas = Some(current);
                self.status.current_metrics = metrics.filter(|metrics| !metrics.is_empty());
                return;
            };
            let reason = if recommended.replicas > current {
                format!("{} above target", recommended.metric)
            } else {
                "All metrics below target".to_owned()
            };
            (
                self.normalise(memory, current, recommended.replicas),
                reason,
            )
        };
        let rescale = desired != current;
        if rescale {
            self.rescale(&target, desired, &reason);
            memory.scaled(current, desired, now);
            self.status.last_scale_time = Some(Time(now));
        }
        self.status.current_replicas = Some(current);
        self.status.desired_replicas = desired;
        self.status.current_metrics = metrics.filter(|metrics| !metrics.is_empty());
    }

    fn rescale(&mut self, target: &Target, desired: i32, reason: &str) {
        let message =
            format!("the HPA controller was able to update the target scale to {desired}");
        self.set_condition("AbleToScale", true, "SucceededRescale", message);
        let key = Key::new(&self.key.namespace, &self.spec.scale_target_ref.name);
        let scaled = Action::Patch {
            of: Reference::new("apps", target.resource, &key),
            subresource: None,
            patch: json!({"spec": {"replicas": desired}}),
        };
        let told = event(
            self.scaler,
            EventKind::Normal,
            "SuccessfulRescale",
            format!("New size: {desired}; reason: {reason}"),
        );
        self.actions.push(Action::InTurn(vec![scaled, told]));
    }

    /// `computeReplicasForMetrics`: the highest proposal. Metrics that cannot be had do not keep a workload from growing, and do
    /// keep it from shrinking.
    fn measure(&mut self, target: &Target) -> (Option<Recommendation>, Vec<MetricStatus>) {
        let pods = match self.pods(target) {
            Ok(pods) => pods,
            Err((reason, message)) => {
                self.tell(EventKind::Warning, reason, message.clone());
                self.set_condition("ScalingActive", false, reason, message.clone());
                self.tell(EventKind::Warning, "FailedComputeMetricsReplicas", message);
                return (None, Vec::new());
            }
        };
        let metrics = match self.spec.metrics.as_deref() {
            // apis/autoscaling/v2/defaults.go.
            None | Some([]) => vec![cpu_at(80)],
            Some(metrics) => metrics.to_vec(),
        };
        let mut statuses = Vec::new();
        let mut best: Option<Recommendation> = None;
        let mut first: Option<Unmeasured> = None;
        let mut unmeasured = 0;
        for metric in &metrics {
            match self.propose(metric, target, &pods) {
                Ok(proposal) => {
                    statuses.push(proposal.status);
                    let better = best
                        .as_ref()
                        .is_none_or(|best| best.replicas == 0 || proposal.replicas > best.replicas);
                    if better {
                        best = Some(Recommendation {
                            replicas: proposal.replicas,
                            metric: proposal.name,
                        });
                    }
                }
                Err(error) => {
                    // Kubernetes has an empty status here, which its API does not take.
                    self.tell(EventKind::Warning, error.reason, error.message.clone());
                    unmeasured += 1;
                    first.get_or_insert(error);
                }
            }
        }
        let shrinks = best
            .as_ref()
            .is_none_or(|best| best.replicas < target.replicas);
        if let Some(error) = first
            && shrinks
        {
            let message = format!(
                "the HPA was unable to compute the replica count: {}",
                error.message
            );
            self.set_condition("ScalingActive", false, error.reason, message);
            let message = format!(
                "invalid metrics ({unmeasured} invalid out of {}), first error is: {}: {}",
                metrics.len(),
                error.context,
                error.message
            );
            self.tell(EventKind::Warning, "FailedComputeMetricsReplicas", message);
            return (None, statuses);
        }
        if let Some(best) = &best {
            let message = format!(
                "the HPA was able to successfully calculate a replica count from {}",
                best.metric
            );
            self.set_condition("ScalingActive", true, "ValidMetricFound", message);
        }
        (best, statuses)
    }
}

impl<'a> Sync<'a> {
    /// The target's pods, if no other autoscaler has some of them too (`validateAndParseSelector`).
    fn pods(&self, target: &Target) -> Result<Vec<&'a Pod>, (&'static str, String)> {
        let view = self.context.view;
        let selector = Selector::of(&target.selector).map_err(|error| {
            let message = format!(
                "couldn't convert selector into a corresponding internal selector object: {error}"
            );
            ("InvalidSelector", message)
        })?;
        let pods: Vec<&Pod> = view
            .pods
            .in_namespace(&self.key.namespace)
            .map(|(_, pod)| pod.as_ref())
            .filter(|pod| selector.matches(&pod.metadata))
            .collect();
        let mut scalers = Vec::new();
        for (key, other) in view
            .horizontal_pod_autoscalers
            .in_namespace(&self.key.namespace)
        {
            let theirs = other
                .spec
                .as_ref()
                .and_then(|spec| Target::of(view, key, &spec.scale_target_ref).ok())
                .and_then(|target| Selector::of(&target.selector).ok());
            if theirs.is_some_and(|theirs| pods.iter().any(|pod| theirs.matches(&pod.metadata))) {
                scalers.push(key.to_string());
            }
        }
        if scalers.len() > 1 {
            let message = format!(
                "pods by selector {selector} are controlled by multiple HPAs: [{}]",
                scalers.join(" ")
            );
            return Err(("AmbiguousSelector", message));
        }
        Ok(pods)
    }
}

fn cpu_at(percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
