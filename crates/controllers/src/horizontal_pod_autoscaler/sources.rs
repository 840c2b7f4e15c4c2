//! The kinds of metrics (`computeReplicasForMetric` and what it calls, horizontal.go).

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricSource, ExternalMetricStatus, MetricIdentifier,
    MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricSource,
    ObjectMetricStatus, PodsMetricSource, PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::Key;
use crate::metrics::{Described, PodUsage, Sample, Usage};
use crate::workloads::{InvalidSelector, Selector, key_of, name_of};

use super::calculator::{Calculator, Reading, Readings, Tolerance};
use super::quantities::{milli, of_milli};
use super::target::Target;
use super::{Proposal, Sync, Unmeasured};

/// What a calculation gives: replicas, the current value, and the metric's name.
type Measured = Result<(i32, MetricValueStatus, String), String>;

fn of_average(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        average_value: Some(of_milli(milli)),
        ..MetricValueStatus::default()
    }
}

fn of_value(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        value: Some(of_milli(milli)),
        ..MetricValueStatus::default()
    }
}

/// A resource of a container. The metrics API has only these two.
fn resource_of(usage: &Usage, resource: &str) -> Option<i64> {
    match resource {
        "cpu" => Some(usage.cpu_milli),
        "memory" => Some(usage.memory_bytes.saturating_mul(1000)),
        _ => None,
    }
}

fn selector(identifier: &MetricIdentifier) -> Result<Option<Selector>, String> {
    let asked = identifier.selector.as_ref();
    asked
        .map(Selector::of)
        .transpose()
        .map_err(|error: InvalidSelector| error.to_string())
}

fn is_asked_for(sample: &Sample, metric: &str, selector: Option<&Selector>) -> bool {
    sample.metric == metric
        && selector.is_none_or(|selector| selector.matches_labels(Some(&sample.labels)))
}

/// A label selector as Go's `%+v` prints it, which is how such metrics are called in events.
fn print(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return "nil".to_owned();
    };
    let labels: String = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {value},"))
        .collect();
    let expressions: String = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|one| {
            let values = one.values.clone().unwrap_or_default().join(" ");
            format!("{{{} {} [{values}]}},", one.key, one.operator)
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

impl Sync<'_> {
    /// What one metric asks for.
    pub(super) fn propose(
        &self,
        metric: &MetricSpec,
        target: &Target,
        pods: &[&Pod],
    ) -> Result<Proposal, Unmeasured> {
        let calculator = Calculator {
            pods,
            current: target.replicas,
            tolerance: self.tolerance(),
            settings: self.settings,
            now: self.context.now,
        };
        let mut status = MetricStatus {
            type_: metric.type_.clone(),
            ..MetricStatus::default()
        };
        let fail = |reason, context: String| {
            move |message| Unmeasured {
                reason,
                message,
                context,
            }
        };
        let (replicas, name) = if let Some(source) = &metric.resource {
            let context = format!("failed to get {} resource metric value", source.name);
            let (replicas, current, name) = self
                .of_resource(calculator, &source.target, &source.name, None)
                .map_err(fail("FailedGetResourceMetric", context))?;
            status.resource = Some(ResourceMetricStatus {
                name: source.name.clone(),
                current,
            });
            (replicas, name)
        } else if let Some(source) = &metric.container_resource {
            let context = format!("failed to get {} container metric value", source.container);
            let (replicas, current, name) = self
                .of_resource(
                    calculator,
                    &source.target,
                    &source.name,
                    Some(&source.container),
                )
                .map_err(fail("FailedGetContainerResourceMetric", context))?;
            status.container_resource = Some(ContainerResourceMetricStatus {
                name: source.name.clone(),
                container: source.container.clone(),
                current,
            });
            (replicas, name)
        } else if let Some(source) = &metric.pods {
            let context = "failed to get pods metric value".to_owned();
            let (replicas, current, name) = self
                .of_pods(calculator, source)
                .map_err(fail("FailedGetPodsMetric", context))?;
            status.pods = Some(PodsMetricStatus {
                metric: source.metric.clone(),
                current,
            });
            (replicas, name)
        } else if let Some(source) = &metric.object {
            let context = "failed to get object metric value".to_owned();
            let (replicas, current, name) = self
                .of_object(calculator, source, target)
                .map_err(fail("FailedGetObjectMetric", context))?;
            status.object = Some(ObjectMetricStatus {
                described_object: source.described_object.clone(),
                metric: source.metric.clone(),
                current,
            });
            (replicas, name)
        } else if let Some(source) = &metric.external {
            let context = format!("failed to get {} external metric value", source.metric.name);
            let (replicas, current, name) = self
                .of_external(calculator, source, target)
                .map_err(fail("FailedGetExternalMetric", context))?;
            status.external = Some(ExternalMetricStatus {
                metric: source.metric.clone(),
                current,
            });
            (replicas, name)
        } else {
            let message = format!("unknown metric source type \"{}\"", metric.type_);
            return Err(fail("InvalidMetricSourceType", message.clone())(message));
        };
        Ok(Proposal {
            replicas,
            name,
            status,
        })
    }

    /// The controller's tolerance, unless the behaviour has its own (KEP-4951).
    fn tolerance(&self) -> Tolerance {
        let behavior = self.spec.behavior.as_ref();
        let of = |rules: Option<&k8s_openapi::api::autoscaling::v2::HPAScalingRules>| {
            rules
                .and_then(|rules| milli(rules.tolerance.as_ref()?))
                .map_or(self.settings.tolerance, |milli| milli as f64 / 1000.0)
        };
        Tolerance {
            down: of(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
            up: of(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
        }
    }

    fn of_resource(
        &self,
        calculator: Calculator<'_>,
        target: &MetricTarget,
        resource: &str,
        container: Option<&str>,
    ) -> Measured {
        let unable =
            |error: String| format!("unable to get metrics for resource {resource}: {error}");
        let readings = self.readings(calculator.pods, resource, container);
        if let Some(average) = target.average_value.as_ref().and_then(milli) {
            let failed = |error: String| format!("failed to get {resource} usage: {error}");
            let readings = readings.map_err(unable).map_err(failed)?;
            let found = calculator
                .of_average(readings, average, resource == "cpu")
                .map_err(failed)?;
            let name = format!("{resource} resource");
            return Ok((found.replicas, of_average(found.average), name));
        }
        let Some(percent) = target.average_utilization else {
            return Err(
                "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
                    .to_owned(),
            );
        };
        let failed = |error: String| format!("failed to get {resource} utilization: {error}");
        let readings = readings.map_err(unable).map_err(failed)?;
        let found = calculator
            .of_utilization(readings, percent, resource, container)
            .map_err(failed)?;
        let what = if container.is_some() {
            "container resource"
        } else {
            "resource"
        };
        let current = MetricValueStatus {
            average_utilization: Some(found.utilization),
            ..of_average(found.average)
        };
        let name = format!("{resource} {what} utilization (percentage of request)");
        Ok((found.replicas, current, name))
    }

    /// `GetResourceMetric` (metrics/client.go).
    fn readings<'p>(
        &self,
        pods: &[&'p Pod],
        resource: &str,
        container: Option<&str>,
    ) -> Result<Readings<'p>, String> {
        let metrics = &self.context.view.metrics.pods;
        let measured: Vec<(&Pod, &PodUsage)> = pods
            .iter()
            .filter_map(|pod| Some((*pod, metrics.get(&key_of(&pod.metadata))?)))
            .collect();
        if measured.is_empty() {
            return Err("no metrics returned from resource metrics API".to_owned());
        }
        let mut readings = Readings::new();
        for (pod, usage) in measured {
            let name = name_of(&pod.metadata);
            let milli = match container {
                None => usage
                    .containers
                    .values()
                    .map(|one| resource_of(one, resource))
                    .sum::<Option<i64>>(),
                Some(asked) => {
                    let one = usage.containers.get(asked).ok_or_else(|| {
                        let namespace = &self.key.namespace;
                        format!(
                            "container {asked} not present in metrics for pod {namespace}/{name}"
                        )
                    })?;
                    resource_of(one, resource)
                }
            };
            if let Some(milli) = milli {
                let reading = Reading {
                    milli,
                    at: usage.at,
                    window: usage.window,
                };
                readings.insert(name, reading);
            }
        }
        Ok(readings)
    }

    fn of_pods(&self, calculator: Calculator<'_>, source: &PodsMetricSource) -> Measured {
        let metric = &source.metric.name;
        let selector = selector(&source.metric)?;
        let custom = &self.context.view.metrics.custom;
        let mut readings = Readings::new();
        for pod in calculator.pods {
            let described = Described {
                kind: "Pod".to_owned(),
                key: key_of(&pod.metadata),
            };
            let mut samples = custom.get(&described).into_iter().flatten();
            let found = samples.rfind(|sample| is_asked_for(sample, metric, selector.as_ref()));
            if let Some(sample) = found {
                let reading = Reading {
                    milli: sample.milli,
                    at: sample.at,
                    window: jiff::SignedDuration::ZERO,
                };
                readings.insert(name_of(&pod.metadata), reading);
            }
        }
        if readings.is_empty() {
            return Err(format!(
                "unable to get metric {metric}: no metrics returned from custom metrics API"
            ));
        }
        let target = source.target.average_value.as_ref().and_then(milli);
        let target = target.ok_or("invalid pods metric source: no average value target was set")?;
        let found = calculator.of_average(readings, target, false)?;
        let name = format!("pods metric {metric}");
        Ok((found.replicas, of_average(found.average), name))
    }

    fn of_object(
        &self,
        calculator: Calculator<'_>,
        source: &ObjectMetricSource,
        target: &Target,
    ) -> Measured {
        let metric = &source.metric.name;
        let object = &source.described_object;
        let selector = selector(&source.metric)?;
        let described = Described {
            kind: object.kind.clone(),
            key: Key::new(&self.key.namespace, &object.name),
        };
        let samples = self.context.view.metrics.custom.get(&described);
        let usage = samples
            .into_iter()
            .flatten()
            .filter(|sample| is_asked_for(sample, metric, selector.as_ref()))
            .map(|sample| sample.milli)
            .next_back()
            .ok_or_else(|| {
                format!(
                    "unable to get metric {metric}: {} on {} {}/no metrics returned from custom metrics API",
                    object.kind, self.key.namespace, object.name
                )
            });
        let wanted = &source.target;
        if wanted.type_ == "Value"
            && let Some(value) = wanted.value.as_ref().and_then(milli)
        {
            let usage = usage?;
            let replicas = calculator.of_value(usage, value)?;
            let name = format!("{} metric {metric}", object.kind);
            return Ok((replicas, of_value(usage), name));
        }
        if wanted.type_ == "AverageValue"
            && let Some(value) = wanted.average_value.as_ref().and_then(milli)
        {
            let usage =
                usage.map_err(|error| format!("failed to get {metric} object metric: {error}"))?;
            let (replicas, average) = calculator.of_share(usage, value, target.there_are);
            let name = format!(
                "external metric {metric}({})",
                print(source.metric.selector.as_ref())
            );
            return Ok((replicas, of_average(average), name));
        }
        Err(
            "invalid object metric source: neither a value target nor an average value target was set"
                .to_owned(),
        )
    }

    fn of_external(
        &self,
        calculator: Calculator<'_>,
        source: &ExternalMetricSource,
        target: &Target,
    ) -> Measured {
        let metric = &source.metric.name;
        let selector = selector(&source.metric)?;
        let samples = self.context.view.metrics.external.get(&*self.key.namespace);
        let found: Vec<i64> = samples
            .into_iter()
            .flatten()
            .filter(|sample| is_asked_for(sample, metric, selector.as_ref()))
            .map(|sample| sample.milli)
            .collect();
        let usage = if found.is_empty() {
            let printed = print(source.metric.selector.as_ref());
            Err(format!(
                "unable to get external metric {}/{metric}/{printed}: no metrics returned from external metrics API",
                self.key.namespace
            ))
        } else {
            Ok(found.iter().sum::<i64>())
        };
        let name = format!(
            "external metric {metric}({})",
            print(source.metric.selector.as_ref())
        );
        if let Some(value) = source.target.average_value.as_ref().and_then(milli) {
            let usage = usage
                .map_err(|error| format!("failed to get {metric} external metric: {error}"))?;
            let (replicas, average) = calculator.of_share(usage, value, target.there_are);
            return Ok((replicas, of_average(average), name));
        }
        if let Some(value) = source.target.value.as_ref().and_then(milli) {
            let failed = |error| format!("failed to get external metric {metric}: {error}");
            let usage = usage.map_err(failed)?;
            let replicas = calculator.of_value(usage, value).map_err(failed)?;
            return Ok((replicas, of_value(usage), name));
        }
        Err(
            "invalid external metric source: neither a value target nor an average value target was set"
                .to_owned(),
        )
    }
}
