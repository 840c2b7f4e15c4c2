//! The Deployment controller (`pkg/controller/deployment`): it keeps one ReplicaSet a pod template and moves replicas from the old
//! ones to the new one.
//!
//! Not here: the annotation `deprecated.deployment.rollback.to` of extensions/v1beta1. `kubectl rollout undo` has written the
//! template itself since apps/v1.

mod progress;
mod revision;
mod rollout;
mod scaling;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use serde_json::json;

use crate::document::{controller_named, controller_of};
use crate::workloads::claims::claim;
use crate::workloads::fractions::{Rounding, of_total};
use crate::workloads::retries::{Retry, check_at};
use crate::workloads::selector::Selector;
use crate::workloads::writes::{
    create, create_and_tell, event, key_of, name_of, patch, uid_of, update_status,
};
use crate::{Action, Change, Context, Controller, EventKind, Key, Object, Outcome, View};

/// Which revision a ReplicaSet is, and the Deployment is at (`RevisionAnnotation`, deployment/util/deployment_util.go:43).
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Which revisions it was before it was rolled back to.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's replicas when the ReplicaSet was last sized: tells scaling from rolling.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with the surge.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// The label that tells the pods of one template from those of another.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The controller.
#[derive(Debug, Default)]
pub struct Deployments;

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        for object in [&change.before, &change.after].into_iter().flatten() {
            match object {
                Object::Deployment(_) => keys.push(change.key.clone()),
                Object::ReplicaSet(set) => keys.extend(owners_of(set, view)),
                // A Deployment of type Recreate waits for the last old pod (`deletePod`, deployment_controller.go).
                Object::Pod(pod) if change.after.is_none() => {
                    let set = controller_named(&pod.metadata, &change.key.namespace, "ReplicaSet")
                        .and_then(|key| view.replica_sets.get(&key));
                    if let Some(set) = set {
                        let owners = owners_of(set, view);
                        keys.extend(owners.into_iter().filter(|key| {
                            view.deployments
                                .get(key)
                                .is_some_and(|deployment| !Limits::of(deployment).rolling)
                        }));
                    }
                }
                _ => {}
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(deployment) = context.view.deployments.get(key) else {
            return Outcome::settled();
        };
        let Some(Ok(selector)) = deployment
            .spec
            .as_ref()
            .map(|spec| Selector::of(&spec.selector))
        else {
            return Outcome::settled();
        };
        if selector.is_everything() {
            return Outcome::of(vec![event(
                deployment.as_ref(),
                EventKind::Warning,
                "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required."
                    .to_owned(),
            )]);
        }
        Rollout::of(deployment, &selector, context).sync()
    }
}

fn owners_of(set: &ReplicaSet, view: &View) -> Vec<Key> {
    let key = key_of(&set.metadata);
    match controller_of(&set.metadata) {
        Some(owner) if owner.kind == "Deployment" => vec![Key::new(&key.namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => view
            .deployments
            .in_namespace(&key.namespace)
            .filter(|(_, deployment)| {
                deployment.spec.as_ref().is_some_and(|spec| {
                    Selector::of(&spec.selector)
                        .is_ok_and(|selector| selector.matches(&set.metadata))
                })
            })
            .map(|(key, _)| key.clone())
            .collect(),
    }
}

/// How many pods a Deployment may have too many and too few while it rolls (`ResolveFenceposts`, `MaxSurge`, `MaxUnavailable`;
/// deployment_util.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    rolling: bool,
    replicas: i32,
    surge: i32,
    unavailable: i32,
}

impl Limits {
    fn of(deployment: &Deployment) -> Self {
        let spec = deployment.spec.as_ref();
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.strategy.as_ref());
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
            return Self {
                rolling: false,
                replicas,
                surge: 0,
                unavailable: 0,
            };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        // apis/apps/v1/defaults.go: both are 25 %.
        let quarter = |rounding| {
            of_total(
                &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(
                    "25%".to_owned(),
                ),
                replicas,
                rounding,
            )
        };
        let surge = match rolling.and_then(|rolling| rolling.max_surge.as_ref()) {
            Some(surge) => of_total(surge, replicas, Rounding::Up),
            None => quarter(Rounding::Up),
        }
        .unwrap_or(0);
        let unavailable = match rolling.and_then(|rolling| rolling.max_unavailable.as_ref()) {
            Some(unavailable) => of_total(unavailable, replicas, Rounding::Down),
            None => quarter(Rounding::Down),
        }
        .unwrap_or(0);
        // Validation forbids 0 for both, but percentages may come to it.
        let unavailable = if surge == 0 && unavailable == 0 {
            1
        } else {
            unavailable
        };
        Self {
            rolling: true,
            replicas,
            surge,
            unavailable: unavailable.min(replicas),
        }
    }

    fn most(self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    fn least_available(self) -> i32 {
        self.replicas - self.unavailable
    }
}

/// A ReplicaSet, and what is to become of it.
#[derive(Debug)]
struct Sized {
    set: Arc<ReplicaSet>,
    /// `spec.replicas` as it will be.
    replicas: i32,
    annotations: BTreeMap<String, String>,
    min_ready_seconds: Option<i32>,
    /// Whether it is to be created.
    fresh: bool,
}

impl Sized {
    fn of(set: &Arc<ReplicaSet>) -> Self {
        Self {
            set: set.clone(),
            replicas: replicas_of(set),
            annotations: BTreeMap::new(),
            min_ready_seconds: None,
            fresh: false,
        }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations
            .get(name)
            .or_else(|| self.set.metadata.annotations.as_ref()?.get(name))
            .map(String::as_str)
    }

    fn annotate(&mut self, name: &str, value: String) {
        if self.annotation(name) != Some(&value) {
            self.annotations.insert(name.to_owned(), value);
        }
    }

    /// Its available pods, as far as it still wants that many: its status may be older than its size.
    fn available(&self) -> i32 {
        let available = self
            .set
            .status
            .as_ref()
            .and_then(|status| status.available_replicas);
        available.unwrap_or(0).min(self.replicas)
    }

    fn revision(&self) -> i64 {
        self.annotation(REVISION)
            .and_then(|revision| revision.parse().ok())
            .unwrap_or(0)
    }
}

fn replicas_of(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

/// One look at a Deployment.
struct Rollout<'a> {
    deployment: &'a Deployment,
    context: Context<'a>,
    limits: Limits,
    /// The old sets, the oldest first.
    old: Vec<Sized>,
    new: Option<Sized>,
    status: DeploymentStatus,
    outcome: Outcome,
}

impl<'a> Rollout<'a> {
    fn of(deployment: &'a Deployment, selector: &Selector, context: Context<'a>) -> Self {
        let claims = claim(
            &context.view.replica_sets,
            deployment,
            |set| selector.matches(&set.metadata),
            |_| true,
        );
        let (new, old) = revision::split(deployment, claims.owned);
        Self {
            deployment,
            context,
            limits: Limits::of(deployment),
            old: old.into_iter().map(Sized::of).collect(),
            new: new.map(Sized::of),
            status: deployment.status.clone().unwrap_or_default(),
            outcome: Outcome::of(claims.actions),
        }
    }

    /// `syncDeployment` (deployment_controller.go).
    fn sync(mut self) -> Outcome {
        let paused = self
            .deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.paused)
            .unwrap_or(false);
        if self.deployment.metadata.deletion_timestamp.is_some() {
            self.update_revision(false);
            let status = self.calculate_status();
            return self.write(status);
        }
        self.check_paused(paused);
        if paused || self.is_scaling() {
            self.update_revision(false);
            self.scale_all();
            if paused {
                self.clean_up();
            }
            let status = self.calculate_status();
            return self.write(status);
        }
        if self.limits.rolling {
            self.roll();
        } else {
            self.recreate();
        }
        let status = self.progress();
        self.write(status)
    }

    fn all(&self) -> impl Iterator<Item = &Sized> {
        self.old.iter().chain(&self.new)
    }

    /// Sizes a set, and notes on it what the Deployment's size was (`scaleReplicaSet`, deployment/sync.go).
    fn scale(limits: Limits, set: &mut Sized, replicas: i32) {
        set.replicas = replicas;
        set.annotate(DESIRED_REPLICAS, limits.replicas.to_string());
        set.annotate(MAX_REPLICAS, limits.most().to_string());
    }

    /// The writes: each set once, the Deployment once.
    fn write(mut self, status: DeploymentStatus) -> Outcome {
        let Context { view, now, .. } = self.context;
        let retry = Retry::of(view, uid_of(&self.deployment.metadata), now);
        let mut actions = Vec::new();
        for sized in self.old.iter().chain(&self.new) {
            if let (true, Retry::Wait(_, at)) = (sized.fresh, &retry) {
                self.outcome = std::mem::take(&mut self.outcome).again_at(*at);
                continue;
            }
            if sized.fresh {
                self.outcome = std::mem::take(&mut self.outcome).again_at(check_at(now));
            }
            actions.extend(self.write_set(sized));
        }
        self.outcome.actions.append(&mut actions);
        // The revision first: the status' resourceVersion would be stale after it.
        let revision = self.new.as_ref().map(Sized::revision);
        let known = self
            .deployment
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(REVISION));
        if let Some(revision) = revision.filter(|revision| *revision > 0)
            && known != Some(&revision.to_string())
        {
            let annotations = json!({(REVISION): revision.to_string()});
            self.outcome.actions.push(patch(
                self.deployment,
                json!({"metadata": {"annotations": annotations}}),
            ));
        } else if Some(normal(&status)) != self.deployment.status.as_ref().map(normal) {
            let mut changed = self.deployment.clone();
            changed.status = Some(status);
            self.outcome.actions.push(update_status(&changed));
        }
        self.outcome
    }

    fn write_set(&self, sized: &Sized) -> Option<Action> {
        let set = sized.set.as_ref();
        let name = name_of(&set.metadata);
        if sized.fresh {
            let mut made = set.clone();
            if let Some(spec) = &mut made.spec {
                spec.replicas = Some(sized.replicas);
            }
            made.metadata.annotations = Some(sized.annotations.clone());
            return Some(if sized.replicas > 0 {
                let told = self.tell(format!(
                    "Scaled up replica set {name} from 0 to {}",
                    sized.replicas
                ));
                create_and_tell(&made, told)
            } else {
                create(&made)
            });
        }
        let before = replicas_of(set);
        let mut change = json!({});
        if sized.replicas != before {
            change["spec"]["replicas"] = json!(sized.replicas);
        }
        if let Some(seconds) = sized.min_ready_seconds {
            change["spec"]["minReadySeconds"] = json!(seconds);
        }
        if !sized.annotations.is_empty() {
            change["metadata"]["annotations"] = json!(sized.annotations);
        }
        if change == json!({}) {
            return None;
        }
        let written = patch(set, change);
        if sized.replicas == before {
            return Some(written);
        }
        let way = if sized.replicas > before {
            "up"
        } else {
            "down"
        };
        let told = self.tell(format!(
            "Scaled {way} replica set {name} from {before} to {}",
            sized.replicas
        ));
        Some(Action::InTurn(vec![written, told]))
    }

    fn tell(&self, message: String) -> Action {
        event(
            self.deployment,
            EventKind::Normal,
            "ScalingReplicaSet",
            message,
        )
    }
}

/// A status as it is written: no zeros, no empty lists.
fn normal(status: &DeploymentStatus) -> DeploymentStatus {
    let some = |number: Option<i32>| number.filter(|number| *number != 0);
    DeploymentStatus {
        available_replicas: some(status.available_replicas),
        collision_count: some(status.collision_count),
        conditions: status
            .conditions
            .clone()
            .filter(|conditions| !conditions.is_empty()),
        observed_generation: status.observed_generation,
        ready_replicas: some(status.ready_replicas),
        replicas: some(status.replicas),
        terminating_replicas: some(status.terminating_replicas),
        unavailable_replicas: some(status.unavailable_replicas),
        updated_replicas: some(status.updated_replicas),
    }
}
