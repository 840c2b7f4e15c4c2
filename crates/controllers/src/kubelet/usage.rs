//! A load model: what containers use, for `metrics.k8s.io` and the autoscalers.
//!
//! CPU is what the annotation says, else 35 % of the request, else 5 thousandths of a core; memory what the annotation says, else 60 %
//! of the request, else 20 MiB. Both move by up to a twentieth up and down, drawn anew every 15 seconds (metrics-server's resolution)
//! from the pod's uid, and never above the limit. Assumptions, all of them: set the annotations where it matters.
//!
//! A load that pods share is an annotation of their workload (a Deployment, ReplicaSet, StatefulSet or DaemonSet):
//! `sandbox.seaworthy.dev/load: "3"` are three cores that its ready pods divide among them, so that more pods have less each. It is
//! what the first container uses that isn't annotated itself, and nothing in a pod that isn't ready. No pod is made anew when it changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use objects::Quantity;
use serde_json::Value as Json;

use super::behaviour::{PREFIX, Role, amount};
use crate::document::{Named, controller_of};
use crate::draw::fraction;
use crate::metrics::Usage;
use crate::{Key, View};

const CPU_SHARE: f64 = 0.35;
const MEMORY_SHARE: f64 = 0.6;
const CPU_MILLI: i64 = 5;
const MEMORY_BYTES: i64 = 20 << 20;
/// How far usage moves, up and down.
const SWING: f64 = 0.05;
/// How long a drawn value holds, in seconds.
const HOLDS: i64 = 15;

fn quantity(
    list: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
    resource: &str,
) -> Option<Quantity> {
    list?.get(resource)?.0.parse().ok()
}

fn request(container: &Container, resource: &str) -> Option<Quantity> {
    let resources = container.resources.as_ref()?;
    quantity(resources.requests.as_ref(), resource)
        .or_else(|| quantity(resources.limits.as_ref(), resource))
}

fn limit(container: &Container, resource: &str) -> Option<Quantity> {
    quantity(container.resources.as_ref()?.limits.as_ref(), resource)
}

/// Whether a container is annotated with more memory than its limit allows.
pub(super) fn is_above_limit(pod: &Pod, container: &Container, role: Role) -> bool {
    match (
        amount(pod, "memory", &container.name, role),
        limit(container, "memory"),
    ) {
        (Some(memory), Some(limit)) => memory > limit,
        _ => false,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "amounts far below 2^53"
)]
fn moved(amount: f64, limit: Option<i64>, parts: &[&str]) -> i64 {
    let moved = amount * (1.0 - SWING + 2.0 * SWING * fraction(parts));
    let moved = moved.round().max(0.0) as i64;
    limit.map_or(moved, |limit| moved.min(limit))
}

/// The annotation of a workload that says what its pods use together.
#[must_use]
pub fn load_annotation() -> String {
    format!("{PREFIX}load")
}

/// What each of so many ready pods uses of an annotated load, in thousandths of a core; none where it can't be read.
#[must_use]
pub fn share(load: &str, ready: i32) -> Option<i64> {
    let load: Quantity = load.parse().ok()?;
    (!load.is_negative()).then(|| load.milli() / i64::from(ready.max(1)))
}

/// A pod's share of the load that its workload is annotated with, or of that workload's own.
fn share_in(view: &View, pod: &Pod) -> Option<i64> {
    let annotation = load_annotation();
    let key = |name: &str| Key::new(pod.metadata.namespace.as_deref().unwrap_or_default(), name);
    let owner = controller_of(&pod.metadata)?;
    let (load, ready) = match owner.kind.as_str() {
        "ReplicaSet" => {
            let set = view.replica_sets.get(&key(&owner.name))?;
            let above = controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment");
            match above.and_then(|owner| view.deployments.get(&key(&owner.name))) {
                Some(deployment) => (
                    deployment.annotation(&annotation)?,
                    deployment.status.as_ref()?.ready_replicas,
                ),
                None => (
                    set.annotation(&annotation)?,
                    set.status.as_ref()?.ready_replicas,
                ),
            }
        }
        "StatefulSet" => {
            let set = view.stateful_sets.get(&key(&owner.name))?;
            (
                set.annotation(&annotation)?,
                set.status.as_ref()?.ready_replicas,
            )
        }
        "DaemonSet" => {
            let set = view.daemon_sets.get(&key(&owner.name))?;
            (
                set.annotation(&annotation)?,
                Some(set.status.as_ref()?.number_ready),
            )
        }
        _ => return None,
    };
    share(load, ready.unwrap_or(0))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[allow(clippy::cast_precision_loss, reason = "amounts far below 2^53")]
fn of_container(
    pod: &Pod,
    container: &Container,
    role: Role,
    share: Option<i64>,
    now: Timestamp,
) -> Usage {
    let window = (now.as_second() / HOLDS).to_string();
    let cpu = amount(pod, "cpu", &container.name, role)
        .map(|amount| amount.milli() as f64)
        .or_else(|| share.map(|milli| milli as f64))
        .or_else(|| request(container, "cpu").map(|cpu| cpu.milli() as f64 * CPU_SHARE))
        .unwrap_or(CPU_MILLI as f64);
    let memory = amount(pod, "memory", &container.name, role)
        .map(|amount| amount.units() as f64)
        .or_else(|| request(container, "memory").map(|memory| memory.units() as f64 * MEMORY_SHARE))
        .unwrap_or(MEMORY_BYTES as f64);
    let drawn = |what| [what, pod.uid(), container.name.as_str(), window.as_str()];
    Usage {
        cpu_milli: moved(
            cpu,
            limit(container, "cpu").map(Quantity::milli),
            &drawn("cpu"),
        ),
        memory_bytes: moved(
            memory,
            limit(container, "memory").map(Quantity::units),
            &drawn("memory"),
        ),
    }
}

/// What the containers of a pod use that run now, by their names. `share` is the pod's part of its workload's load, in thousandths of a
/// core, if it has one.
#[must_use]
pub fn usage_of(pod: &Pod, share: Option<i64>, now: Timestamp) -> BTreeMap<String, Usage> {
    let Some(spec) = &pod.spec else {
        return BTreeMap::new();
    };
    let Some(status) = &pod.status else {
        return BTreeMap::new();
    };
    let running = |name: &str| {
        let statuses = status.container_statuses.iter();
        statuses
            .chain(&status.init_container_statuses)
            .flatten()
            .any(|status| {
                status.name == name
                    && status
                        .state
                        .as_ref()
                        .is_some_and(|state| state.running.is_some())
            })
    };
    let mains = spec
        .containers
        .iter()
        .map(|container| (container, Role::Main));
    let inits = spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        let role = if sidecar { Role::Sidecar } else { Role::Init };
        (container, role)
    });
    let share = share.map(|milli| if is_ready(pod) { milli } else { 0 });
    let bears = spec
        .containers
        .iter()
        .find(|container| amount(pod, "cpu", &container.name, Role::Main).is_none());
    let bears = bears.map(|container| container.name.as_str());
    mains
        .chain(inits)
        .filter(|(container, _)| running(&container.name))
        .map(|(container, role)| {
            let share = share.filter(|_| bears == Some(container.name.as_str()));
            let usage = of_container(pod, container, role, share, now);
            (container.name.clone(), usage)
        })
        .collect()
}

/// The same of a pod that the view has, with its share of the load.
#[must_use]
pub fn usage_in(view: &View, pod: &Pod, now: Timestamp) -> BTreeMap<String, Usage> {
    usage_of(pod, share_in(view, pod), now)
}

/// The same of a pod as it is stored; nothing for what is no pod.
#[must_use]
pub fn usage(pod: &Json, share: Option<i64>, now: Timestamp) -> BTreeMap<String, Usage> {
    serde_json::from_value::<Pod>(pod.clone())
        .map(|pod| usage_of(&pod, share, now))
        .unwrap_or_default()
}

/// What a node uses without any pod: its kubelet, its container runtime, its kernel. An assumption.
pub const OF_THE_SYSTEM: Usage = Usage {
    cpu_milli: 50,
    memory_bytes: 400 << 20,
};

/// What a node uses: its pods, and the system itself.
#[must_use]
pub fn node_usage(view: &View, node: &str, now: Timestamp) -> Usage {
    let mut total = OF_THE_SYSTEM;
    for (_, pod) in view.pods_on(node) {
        for usage in usage_in(view, pod, now).values() {
            total.cpu_milli += usage.cpu_milli;
            total.memory_bytes += usage.memory_bytes;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_or_said() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u", "annotations": {"sandbox.seaworthy.dev/cpu.b": "900m"}},
            "spec": {"containers": [
                {"name": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
                {"name": "b", "resources": {"limits": {"cpu": "500m"}}},
                {"name": "c"}, {"name": "gone"}]},
            "status": {"containerStatuses": [
                {"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "b", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "gone", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {}}}]}});
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let all = usage(&pod, None, now);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!((332..=368).contains(&all["a"].cpu_milli), "{all:?}");
        let memory = all["a"].memory_bytes >> 20;
        assert!((583..=646).contains(&memory), "{memory}");
        assert_eq!(all["b"].cpu_milli, 500, "not above the limit");
        assert_eq!(usage(&pod, None, now), all, "the same again");
        assert_eq!(usage(&json!({"kind": 1}), None, now), BTreeMap::new());
    }

    #[test]
    fn a_load_is_shared_by_the_ready() {
        let running = |name: &str| json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}});
        let pod = |ready: &str| {
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "namespace": "shop", "uid": "u", "annotations": {"sandbox.seaworthy.dev/cpu.proxy": "10m"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": true}]},
                "spec": {"containers": [{"name": "proxy"}, {"name": "app", "resources": {"requests": {"cpu": "1"}}}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [running("proxy"), running("app")]}})
        };
        let mut view = View::default();
        let mut put = |group: &str, resource: &str, name: &str, object: Json| {
            let json = object.to_string();
            view.apply(
                group,
                resource,
                &Key::new("shop", name),
                Some(json.as_bytes()),
            )
            .unwrap();
        };
        put(
            "apps",
            "replicasets",
            "web-1",
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "r",
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}]}}),
        );
        put(
            "apps",
            "deployments",
            "web",
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "d", "annotations": {"sandbox.seaworthy.dev/load": "3"}},
            "status": {"readyReplicas": 4}}),
        );
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let cpu = |ready: &str, container: &str| {
            let pod: Pod = serde_json::from_value(pod(ready)).unwrap();
            usage_in(&view, &pod, now)[container].cpu_milli
        };
        assert!(
            (712..=788).contains(&cpu("True", "app")),
            "{}",
            cpu("True", "app")
        );
        assert!(
            (9..=11).contains(&cpu("True", "proxy")),
            "{}",
            cpu("True", "proxy")
        );
        assert_eq!(cpu("False", "app"), 0);
        assert_eq!(
            (share("1", 0), share("-1", 2), share("much", 2)),
            (Some(1000), None, None)
        );
    }
}
