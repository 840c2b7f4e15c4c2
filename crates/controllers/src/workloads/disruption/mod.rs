//! The disruption controller (`pkg/controller/disruption/disruption.go`): how many pods of a PodDisruptionBudget may be evicted
//! now. The API server's eviction decides by this status.
//!
//! Not here: the condition `DisruptionTarget` of pods that were to be evicted and stayed is not reset.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{
    PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::document::controller_of;
use crate::workloads::fractions::{Rounding, of_total};
use crate::workloads::pods::{is_ready, is_terminating};
use crate::workloads::selector::Selector;
use crate::workloads::writes::{event, name_of, uid_of, update_status};
use crate::{Change, Context, Controller, EventKind, Key, Object, Outcome, View};

/// How long an evicted pod may take to be deleted before it counts again (`DeletionTimeout`).
const DELETION_TIMEOUT: i64 = 120;

/// The controller.
#[derive(Debug, Default)]
pub struct DisruptionBudgets;

impl Controller for DisruptionBudgets {
    fn name(&self) -> &'static str {
        "controllermanager"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match (&change.before, &change.after) {
            (Some(Object::PodDisruptionBudget(_)), _)
            | (_, Some(Object::PodDisruptionBudget(_))) => {
                vec![change.key.clone()]
            }
            (Some(Object::Pod(before)), Some(Object::Pod(after))) => {
                let same = before.metadata.labels == after.metadata.labels
                    && before.metadata.owner_references == after.metadata.owner_references
                    && is_ready(before) == is_ready(after)
                    && is_terminating(before) == is_terminating(after);
                if same {
                    Vec::new()
                } else {
                    budgets_of(&[before, after], &change.key, view)
                }
            }
            (Some(Object::Pod(pod)), None) | (None, Some(Object::Pod(pod))) => {
                budgets_of(&[pod], &change.key, view)
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(budget) = context.view.pod_disruption_budgets.get(key) else {
            return Outcome::settled();
        };
        match &budget.spec {
            Some(spec) => sync(key, budget, spec, context),
            None => Outcome::settled(),
        }
    }
}

fn selector(spec: &PodDisruptionBudgetSpec) -> Option<Selector> {
    // None selects nothing; an empty one everything.
    Selector::of(spec.selector.as_ref()?).ok()
}

fn budgets_of(pods: &[&Pod], key: &Key, view: &View) -> Vec<Key> {
    view.pod_disruption_budgets
        .in_namespace(&key.namespace)
        .filter(|(_, budget)| {
            let selector = budget.spec.as_ref().and_then(selector);
            selector.is_some_and(|selector| pods.iter().any(|pod| selector.matches(&pod.metadata)))
        })
        .map(|(key, _)| key.clone())
        .collect()
}

fn sync(
    key: &Key,
    budget: &PodDisruptionBudget,
    spec: &PodDisruptionBudgetSpec,
    context: Context<'_>,
) -> Outcome {
    let Context { view, now, .. } = context;
    let selector = selector(spec);
    let pods: Vec<&Pod> = view
        .pods
        .in_namespace(&key.namespace)
        .map(|(_, pod)| pod.as_ref())
        .filter(|pod| {
            selector
                .as_ref()
                .is_some_and(|selector| selector.matches(&pod.metadata))
        })
        .collect();
    let before = budget.status.clone().unwrap_or_default();
    let mut outcome = Outcome::settled();
    let status = match expectation(spec, &pods, view, key) {
        Ok(expectation) => {
            if expectation.unmanaged && before.observed_generation.is_none() {
                let selector = selector
                    .as_ref()
                    .map_or_else(String::new, Selector::to_string);
                let message = format!(
                    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, \
                     the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To \
                     account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
                );
                let told = event(budget, EventKind::Warning, "UnmanagedPods", message);
                outcome.actions.push(told);
            }
            let (disrupted, recheck) = disrupted(&before, &pods, now);
            if let Some(at) = recheck {
                outcome = outcome.again_at(at);
            }
            count(budget, &before, &pods, &expectation, disrupted, now)
        }
        Err(message) => {
            if condition(&before).is_none_or(|known| known.message != message) {
                let message = format!("Failed to calculate the number of expected pods: {message}");
                let reason = "CalculateExpectedPodCountFailed";
                outcome
                    .actions
                    .push(event(budget, EventKind::Warning, reason, message));
            }
            let generation = before.observed_generation;
            let mut status = before.clone();
            status.disruptions_allowed = 0;
            set_condition(&mut status, false, "SyncFailed", message, generation, now);
            status
        }
    };
    if budget.status.as_ref() != Some(&status) {
        if pods.is_empty() && (before.expected_pods > 0 || before.observed_generation.is_none()) {
            let message = "No matching pods found".to_owned();
            outcome
                .actions
                .push(event(budget, EventKind::Normal, "NoPods", message));
        }
        let mut changed = budget.clone();
        changed.status = Some(status);
        outcome.actions.push(update_status(&changed));
    }
    outcome
}

/// How many pods there should be, and how many of them healthy (`getExpectedPodCount`).
struct Expectation {
    pods: i32,
    healthy: i32,
    /// Whether nothing controls some of the pods: they are not in the count.
    unmanaged: bool,
}

fn expectation(
    spec: &PodDisruptionBudgetSpec,
    pods: &[&Pod],
    view: &View,
    key: &Key,
) -> Result<Expectation, String> {
    let broken = |value: &IntOrString| format!("invalid value for IntOrString: {value:?}");
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => {
            let (pods, unmanaged) = expected_scale(pods, view, key)?;
            let most = of_total(most, pods, Rounding::Up).ok_or_else(|| broken(most))?;
            Ok(Expectation {
                pods,
                healthy: (pods - most).max(0),
                unmanaged,
            })
        }
        (None, Some(IntOrString::Int(least))) => Ok(Expectation {
            pods: i32::try_from(pods.len()).unwrap_or(i32::MAX),
            healthy: *least,
            unmanaged: false,
        }),
        (None, Some(least)) => {
            let (pods, unmanaged) = expected_scale(pods, view, key)?;
            let healthy = of_total(least, pods, Rounding::Up).ok_or_else(|| broken(least))?;
            Ok(Expectation {
                pods,
                healthy,
                unmanaged,
            })
        }
        (None, None) => Ok(Expectation {
            pods: 0,
            healthy: 0,
            unmanaged: false,
        }),
    }
}

/// The replicas of all that control one of the pods (`getExpectedScale`).
fn expected_scale(pods: &[&Pod], view: &View, key: &Key) -> Result<(i32, bool), String> {
    let mut scales: BTreeMap<String, i32> = BTreeMap::new();
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = controller_of(&pod.metadata) else {
            unmanaged = true;
            continue;
        };
        if seen.insert(&owner.uid, ()).is_some() {
            continue;
        }
        match scale(owner, view, key)? {
            Some((uid, replicas)) => {
                scales.insert(uid, replicas);
            }
            None => {
                let name = name_of(&pod.metadata);
                return Err(format!("found no controllers for pod \"{name}\""));
            }
        }
    }
    Ok((scales.values().sum(), unmanaged))
}

/// What a controller, or the Deployment above it, wants.
fn scale(owner: &OwnerReference, view: &View, key: &Key) -> Result<Option<(String, i32)>, String> {
    let place = Key::new(&key.namespace, &owner.name);
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let Some(set) = view
                .replica_sets
                .get(&place)
                .filter(|set| uid_of(&set.metadata) == owner.uid)
            else {
                return Ok(None);
            };
            let above = controller_of(&set.metadata).filter(|above| above.kind == "Deployment");
            let Some(above) = above else {
                let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
                return Ok(Some((owner.uid.clone(), replicas.unwrap_or(1))));
            };
            let deployment = view
                .deployments
                .get(&Key::new(&key.namespace, &above.name))
                .filter(|deployment| uid_of(&deployment.metadata) == above.uid);
            Ok(deployment.map(|deployment| {
                let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
                (above.uid.clone(), replicas.unwrap_or(1))
            }))
        }
        "StatefulSet" => Ok(view
            .stateful_sets
            .get(&place)
            .filter(|set| uid_of(&set.metadata) == owner.uid)
            .map(|set| {
                let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
                (owner.uid.clone(), replicas.unwrap_or(1))
            })),
        kind => {
            let group = owner.api_version.split_once('/').map(|(group, _)| group);
            let plural = format!("{}s", kind.to_lowercase());
            let resource = group.map_or(plural.clone(), |group| format!("{plural}.{group}"));
            Err(format!(
                "{resource} does not implement the scale subresource"
            ))
        }
    }
}

type Disrupted = BTreeMap<String, Time>;

/// The evicted pods that are not deleted yet, and when the first of them counts again (`buildDisruptedPodMap`).
fn disrupted(
    before: &PodDisruptionBudgetStatus,
    pods: &[&Pod],
    now: Timestamp,
) -> (Disrupted, Option<Timestamp>) {
    let known = before.disrupted_pods.as_ref();
    let mut left = Disrupted::new();
    let mut recheck: Option<Timestamp> = None;
    for pod in pods.iter().filter(|pod| !is_terminating(pod)) {
        let name = name_of(&pod.metadata);
        let Some(at) = known.and_then(|known| known.get(name)) else {
            continue;
        };
        let end =
            at.0.saturating_add(SignedDuration::from_secs(DELETION_TIMEOUT));
        let end = end.unwrap_or(Timestamp::MAX);
        if end > now {
            recheck = Some(recheck.map_or(end, |other| other.min(end)));
            left.insert(name.to_owned(), at.clone());
        }
    }
    (left, recheck)
}

fn count(
    budget: &PodDisruptionBudget,
    before: &PodDisruptionBudgetStatus,
    pods: &[&Pod],
    expectation: &Expectation,
    disrupted: Disrupted,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let healthy = pods
        .iter()
        .filter(|pod| {
            !is_terminating(pod) && !disrupted.contains_key(name_of(&pod.metadata)) && is_ready(pod)
        })
        .count();
    let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
    let allowed = if expectation.pods > 0 {
        (healthy - expectation.healthy).max(0)
    } else {
        0
    };
    let generation = budget.metadata.generation;
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: healthy,
        desired_healthy: expectation.healthy,
        expected_pods: expectation.pods,
        disruptions_allowed: allowed,
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        observed_generation: generation,
        conditions: before.conditions.clone(),
    };
    let (is, reason) = if allowed > 0 {
        (true, "SufficientPods")
    } else {
        (false, "InsufficientPods")
    };
    set_condition(&mut status, is, reason, String::new(), generation, now);
    status
}

fn condition(status: &PodDisruptionBudgetStatus) -> Option<&Condition> {
    let conditions = status.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionAllowed")
}

fn set_condition(
    status: &mut PodDisruptionBudgetStatus,
    is: bool,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) {
    let value = if is { "True" } else { "False" };
    let since = condition(status)
        .filter(|known| known.status == value)
        .map(|known| known.last_transition_time.clone());
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|known| known.type_ != "DisruptionAllowed");
    conditions.push(Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since.unwrap_or(Time(now)),
    });
}
