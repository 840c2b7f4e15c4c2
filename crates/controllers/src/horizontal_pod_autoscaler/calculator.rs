//! How many replicas a metric asks for (`pkg/controller/podautoscaler/replica_calculator.go`, `metrics/utilization.go`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use crate::workloads::{condition, name_of, phase};

use super::Settings;
use super::quantities::milli;

/// One pod's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) milli: i64,
    pub(super) at: Timestamp,
    pub(super) window: SignedDuration,
}

/// Values by the name of the pod.
pub(super) type Readings<'a> = BTreeMap<&'a str, Reading>;

/// How far from 1 a ratio may be before anything is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerance {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerance {
    fn holds(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What is looked at for one metric.
#[derive(Clone, Copy)]
pub(super) struct Calculator<'a> {
    pub(super) pods: &'a [&'a Pod],
    /// `spec.replicas`.
    pub(super) current: i32,
    pub(super) tolerance: Tolerance,
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
}

/// What came out: replicas, and what they follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calculation {
    pub(super) replicas: i32,
    /// In percent of the requests, where that is asked for.
    pub(super) utilization: i32,
    /// The average of a pod, in thousandths.
    pub(super) average: i64,
}

/// The pods, by what their values are good for (`groupPods`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups<'a> {
    pub(super) ready: i32,
    pub(super) unready: BTreeSet<&'a str>,
    pub(super) missing: BTreeSet<&'a str>,
    pub(super) ignored: BTreeSet<&'a str>,
}

/// Up, and never out of range.
fn ceil(value: f64) -> i32 {
    value.ceil().clamp(0.0, f64::from(i32::MAX)) as i32
}

impl<'a> Calculator<'a> {
    pub(super) fn group(&self, readings: &Readings<'_>, cpu: bool) -> Groups<'a> {
        let mut groups = Groups::default();
        for pod in self.pods {
            let name = name_of(&pod.metadata);
            if pod.metadata.deletion_timestamp.is_some() || phase(pod) == "Failed" {
                groups.ignored.insert(name);
            } else if phase(pod) == "Pending" {
                groups.unready.insert(name);
            } else if let Some(reading) = readings.get(name) {
                if cpu && self.is_unready(pod, reading) {
                    groups.unready.insert(name);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.insert(name);
            }
        }
        groups
    }

    /// Whether a pod's CPU says nothing yet: it starts, or it was never ready.
    fn is_unready(&self, pod: &Pod, reading: &Reading) -> bool {
        let ready = condition(pod, "Ready");
        let started = pod
            .status
            .as_ref()
            .and_then(|status| status.start_time.as_ref());
        let (Some(ready), Some(started)) = (ready, started) else {
            return true;
        };
        let after = |time: Timestamp, wait| time.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let changed = ready.last_transition_time.as_ref();
        let changed = changed.map_or(Timestamp::MIN, |time| time.0);
        let is_false = ready.status == "False";
        if after(started.0, self.settings.cpu_initialization_period) > self.now {
            is_false || reading.at < after(changed, reading.window)
        } else {
            is_false && after(started.0, self.settings.initial_readiness_delay) > changed
        }
    }

    /// `GetResourceReplicas`: the percentage of what the pods request.
    ///
    /// # Errors
    /// With Kubernetes' text, when nothing can be said.
    pub(super) fn of_utilization(
        &self,
        readings: Readings<'a>,
        target: i32,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Calculation, String> {
        let (groups, readings) = self.sort_out(readings, resource == "cpu")?;
        let requests = requests(self.pods, resource, container)?;
        let ratio = |readings: &Readings<'_>| utilization(readings, &requests, target);
        let (first, utilization, average) = ratio(&readings)?;
        let fallback = i64::from(target.max(100));
        let replicas = self.decide(
            first,
            &groups,
            readings,
            |pod| requests.get(pod).copied().unwrap_or(0) * fallback / 100,
            |readings| ratio(readings).map(|(ratio, _, _)| ratio),
        )?;
        Ok(Calculation {
            replicas,
            utilization,
            average,
        })
    }

    /// `GetRawResourceReplicas` and `GetMetricReplicas`: the average of the values.
    ///
    /// # Errors
    /// With Kubernetes' text, when nothing can be said.
    pub(super) fn of_average(
        &self,
        readings: Readings<'a>,
        target: i64,
        cpu: bool,
    ) -> Result<Calculation, String> {
        let (groups, readings) = self.sort_out(readings, cpu)?;
        let (first, average) = usage(&readings, target);
        let replicas = self.decide(
            first,
            &groups,
            readings,
            |_| target,
            |readings| Ok(usage(readings, target).0),
        )?;
        Ok(Calculation {
            replicas,
            utilization: 0,
            average,
        })
    }

    fn sort_out(
        &self,
        mut readings: Readings<'a>,
        cpu: bool,
    ) -> Result<(Groups<'a>, Readings<'a>), String> {
        if self.pods.is_empty() {
            return Err("no pods returned by selector while calculating replica count".to_owned());
        }
        let groups = self.group(&readings, cpu);
        readings.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
        if readings.is_empty() {
            return Err(
                "did not receive metrics for targeted pods (pods might be unready)".to_owned(),
            );
        }
        Ok((groups, readings))
    }

    /// The common part: pods that could not be measured are taken for what would make the least of the change.
    fn decide(
        &self,
        first: f64,
        groups: &Groups<'a>,
        mut readings: Readings<'a>,
        fallback: impl Fn(&str) -> i64,
        ratio: impl Fn(&Readings<'a>) -> Result<f64, String>,
    ) -> Result<i32, String> {
        let up_with_unready = !groups.unready.is_empty() && first > 1.0;
        if !up_with_unready && groups.missing.is_empty() {
            if self.tolerance.holds(first) {
                return Ok(self.current);
            }
            return Ok(ceil(first * f64::from(groups.ready)));
        }
        let assumed = |milli| Reading {
            milli,
            at: self.now,
            window: SignedDuration::ZERO,
        };
        if first < 1.0 {
            for pod in &groups.missing {
                readings.insert(pod, assumed(fallback(pod)));
            }
        } else {
            for pod in &groups.missing {
                readings.insert(pod, assumed(0));
            }
        }
        if up_with_unready {
            for pod in &groups.unready {
                readings.insert(pod, assumed(0));
            }
        }
        let second = ratio(&readings)?;
        let turned = (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0);
        if self.tolerance.holds(second) || turned {
            return Ok(self.current);
        }
        let replicas = ceil(second * readings.len() as f64);
        let backwards =
            (second < 1.0 && replicas > self.current) || (second > 1.0 && replicas < self.current);
        Ok(if backwards { self.current } else { replicas })
    }

    /// `GetObjectMetricReplicas` and `GetExternalMetricReplicas`: a value of the whole (`getUsageRatioReplicaCount`).
    ///
    /// # Errors
    /// When there are no pods.
    pub(super) fn of_value(&self, usage: i64, target: i64) -> Result<i32, String> {
        let ratio = usage as f64 / target as f64;
        if self.current == 0 {
            return Ok(ceil(ratio));
        }
        if self.tolerance.holds(ratio) {
            return Ok(self.current);
        }
        if self.pods.is_empty() {
            return Err(
                "unable to calculate ready pods: no pods returned by selector while calculating replica count"
                    .to_owned(),
            );
        }
        let ready = self
            .pods
            .iter()
            .filter(|pod| phase(pod) == "Running" && crate::workloads::is_ready(pod))
            .count();
        Ok(ceil(ratio * ready as f64))
    }

    /// `GetObjectPerPodMetricReplicas` and `GetExternalPerPodMetricReplicas`: a value of the whole, shared by so many pods.
    pub(super) fn of_share(&self, usage: i64, target: i64, there_are: i32) -> (i32, i64) {
        let ratio = usage as f64 / (target as f64 * f64::from(there_are));
        let replicas = if self.tolerance.holds(ratio) {
            there_are
        } else {
            ceil(usage as f64 / target as f64)
        };
        let average = if there_are == 0 {
            // Go divides by zero here and gets what its processor makes of it.
            usage
        } else {
            (usage as f64 / f64::from(there_are)).ceil() as i64
        };
        (replicas, average)
    }
}

/// What each pod requests of a resource, in thousandths (`calculateRequests`).
fn requests<'a>(
    pods: &[&'a Pod],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<&'a str, i64>, String> {
    let mut requests = BTreeMap::new();
    for pod in pods {
        let name = name_of(&pod.metadata);
        let Some(spec) = &pod.spec else { continue };
        let sidecars = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|one| one.restart_policy.as_deref() == Some("Always"));
        let mut sum = 0;
        for one in spec.containers.iter().chain(sidecars) {
            if container.is_some_and(|asked| asked != one.name) {
                continue;
            }
            let requests = one
                .resources
                .as_ref()
                .and_then(|them| them.requests.as_ref());
            let request = requests.and_then(|them| milli(them.get(resource)?));
            sum += request.ok_or_else(|| {
                format!(
                    "missing request for {resource} in container {} of Pod {name}",
                    one.name
                )
            })?;
        }
        requests.insert(name, sum);
    }
    Ok(requests)
}

/// `GetResourceUtilizationRatio`: the ratio, the percentage, the average.
fn utilization(
    readings: &Readings<'_>,
    requests: &BTreeMap<&str, i64>,
    target: i32,
) -> Result<(f64, i32, i64), String> {
    let (mut used, mut requested, mut count) = (0i64, 0i64, 0i64);
    for (pod, reading) in readings {
        if let Some(request) = requests.get(pod) {
            used += reading.milli;
            requested += request;
            count += 1;
        }
    }
    if requested == 0 {
        return Err("no metrics returned matched known pods".to_owned());
    }
    let percent = i32::try_from(used.saturating_mul(100) / requested).unwrap_or(i32::MAX);
    let ratio = f64::from(percent) / f64::from(target);
    Ok((ratio, percent, used / count))
}

/// `GetMetricUsageRatio`: the ratio and the average.
fn usage(readings: &Readings<'_>, target: i64) -> (f64, i64) {
    let total: i64 = readings.values().map(|reading| reading.milli).sum();
    let average = total / i64::try_from(readings.len().max(1)).unwrap_or(i64::MAX);
    (average as f64 / target as f64, average)
}
