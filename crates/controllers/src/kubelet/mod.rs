//! The kubelets of all nodes, simulated: containers start, answer probes, end, and are started again, without any process.
//!
//! What a container does is told by annotations of its pod or guessed from its command: see [`behaviour`]. How long things take is
//! modelled: a pod's network [`state::SANDBOX_SECONDS`], images by a size that is drawn from their name, once a node. Of a pod that is
//! neither annotated nor known, each container starts, is ready when its probes' delays say so, and ends within a second of being told to.
//!
//! Statuses are written seldom: once when a pod is seen, once when its containers run, once more for each change of readiness that does
//! not come with them; without a pace ([`crate::Pace::Immediate`]) once altogether. Above [`EVENTS_UP_TO`] pods only warnings are told
//! as Events.

mod address;
pub mod behaviour;
mod image;
mod log;
mod need;
mod probe;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod usage;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, PodStatus};
use serde_json::{Map, Value as Json};

pub use log::{log_lines, previous_log_lines};
pub use usage::{OF_THE_SYSTEM, load_annotation, node_usage, share, usage, usage_in, usage_of};

use crate::cloud::InstanceState;
use crate::document::Named;
use crate::{
    Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, Pace, View,
};
use address::Addresses;
use behaviour::{Behaviour, Role};
use image::Images;
use state::{FailedPulls, Kubelet, Told};

/// Up to how many pods the ordinary events of each are told: `Scheduled`, `Pulling`, `Pulled`, `Created`, `Started`, `Killing`. They are
/// five objects a pod; warnings are always told.
pub const EVENTS_UP_TO: usize = 500;

/// Runs pods. A key is a pod.
#[derive(Debug, Default)]
pub struct Kubelets {
    addresses: Addresses,
    images: Images,
    failed_pulls: FailedPulls,
    /// Pods that were told to stop, and their uids.
    stopping: BTreeMap<Key, String>,
    /// Which pods wait for an object.
    awaited: BTreeMap<(&'static str, Key), BTreeSet<Key>>,
    /// Whether what is on the nodes has been looked at.
    knows_nodes: bool,
    /// Whether AWS has other machines than when they were last looked at.
    machines_changed: Cell<bool>,
}

/// The machine that a pod runs on.
struct Host {
    address: Ipv4Addr,
}

/// The instance that a node is, by its provider ID (`aws:///eu-west-1a/i-0abc`).
pub(crate) fn instance_id(node: &Node) -> Option<&str> {
    let provider = node.spec.as_ref()?.provider_id.as_deref()?;
    let rest = provider.strip_prefix("aws:///")?;
    rest.rsplit('/').next()
}

/// The machine of a node, if a kubelet runs there: the instance runs, or nothing is known of one and nobody says that it can't be
/// reached.
fn host(view: &View, node: &str) -> Option<Host> {
    let node = view.nodes.get(&Key::cluster(node))?;
    let instance = instance_id(node).and_then(|id| view.cloud.instances.get(id));
    let alive = match instance {
        Some(instance) => instance.state == InstanceState::Running,
        None => !node
            .spec
            .iter()
            .flat_map(|spec| spec.taints.iter().flatten())
            .any(|taint| taint.key == "node.kubernetes.io/unreachable"),
    };
    if !alive {
        return None;
    }
    let address = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten())
        .find(|address| address.type_ == "InternalIP")
        .and_then(|address| address.address.parse().ok())
        .or_else(|| instance.and_then(|instance| instance.private_ip.parse().ok()));
    Some(Host {
        address: address.unwrap_or(Ipv4Addr::new(10, 0, 0, 10)),
    })
}

/// Whether something about a node changed that its kubelet is there or not by.
fn presence(node: &Option<Object>) -> Option<(bool, usize)> {
    match node {
        Some(Object::Node(node)) => {
            let unreachable = node
                .spec
                .iter()
                .flat_map(|spec| spec.taints.iter().flatten())
                .any(|taint| taint.key == "node.kubernetes.io/unreachable");
            let addresses = node
                .status
                .iter()
                .flat_map(|status| status.addresses.iter().flatten())
                .count();
            Some((unreachable, addresses))
        }
        _ => None,
    }
}

impl Controller for Kubelets {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match change.kind {
            Some(Kind::Pod) => return vec![change.key.clone()],
            Some(Kind::Cloud) => {
                self.machines_changed.set(true);
                if change.machines.is_empty() {
                    return Vec::new();
                }
                let concerned = view.nodes.iter().filter(|(_, node)| {
                    instance_id(node).is_some_and(|id| change.machines.contains(id))
                });
                return concerned
                    .flat_map(|(node, _)| view.pods_on(&node.name))
                    .map(|(key, _)| key.clone())
                    .collect();
            }
            Some(Kind::Node) => {
                if presence(&change.before) == presence(&change.after) {
                    return Vec::new();
                }
                return view
                    .pods_on(&change.key.name)
                    .map(|(key, _)| key.clone())
                    .collect();
            }
            _ => {}
        }
        if self.awaited.is_empty() {
            return Vec::new();
        }
        let resource = match (change.group.as_str(), change.resource.as_str()) {
            ("", "configmaps") => "configmaps",
            ("", "secrets") => "secrets",
            ("", "persistentvolumeclaims") => "persistentvolumeclaims",
            ("storage.k8s.io", "volumeattachments") => "volumeattachments",
            _ => return Vec::new(),
        };
        self.awaited
            .get(&(resource, change.key.clone()))
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        self.look_around(view);
        let Some(pod) = view.pods.get(key) else {
            self.addresses.release(key);
            self.failed_pulls.remove(key);
            self.stopping.remove(key);
            self.stop_waiting(key);
            return Outcome::settled();
        };
        let Some(spec) = &pod.spec else {
            return Outcome::settled();
        };
        let Some(node) = spec.node_name.as_deref().filter(|name| !name.is_empty()) else {
            return Outcome::settled();
        };
        let Some(host) = host(view, node) else {
            return Outcome::settled();
        };
        if pod.is_deleting() {
            return self.stop(pod, spec, context);
        }
        let status = pod.status.clone().unwrap_or_default();
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            // Its address is free for others, as its network is gone.
            self.addresses.release(key);
            return Outcome::settled();
        }
        let address = if spec.host_network == Some(true) {
            host.address
        } else if let Some(known) = status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()) {
            self.addresses.known(key, pod.uid(), known);
            known
        } else {
            self.addresses.assign(key, pod.uid(), host.address)
        };
        self.stop_waiting(key);
        let mut kubelet = Kubelet {
            view,
            now: context.now,
            pace: context.pace,
            node,
            images: &mut self.images,
            failed_pulls: &mut self.failed_pulls,
            told: Vec::new(),
            next: None,
            awaited: Vec::new(),
        };
        let after = kubelet.status(pod, spec, host.address, address);
        let (told, next, awaited) = (kubelet.told, kubelet.next, kubelet.awaited);
        for thing in awaited {
            self.awaited.entry(thing).or_default().insert(key.clone());
        }
        let mut outcome = Outcome::of(write(view, pod, &status, &after, told));
        if let Some(next) = next {
            outcome = outcome.again_at(next);
        }
        outcome
    }
}

/// Patches a pod's status to what it should be and tells what happened, if the status is still the one that was seen.
fn write(
    view: &View,
    pod: &Pod,
    before: &PodStatus,
    after: &PodStatus,
    told: Vec<Told>,
) -> Vec<Action> {
    let mut actions = Vec::new();
    if before != after {
        let fields = |status: &PodStatus| match serde_json::to_value(status) {
            Ok(Json::Object(fields)) => fields,
            _ => Map::new(),
        };
        let (old, new) = (fields(before), fields(after));
        let mut patch = Map::new();
        for (name, value) in &new {
            if old.get(name) != Some(value) {
                patch.insert(name.clone(), value.clone());
            }
        }
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            patch.insert(name.clone(), Json::Null);
        }
        let mut action = pod.patch_status(Json::Object(patch));
        if let Action::Patch { patch, .. } = &mut action {
            patch["metadata"]["resourceVersion"] =
                Json::from(pod.metadata.resource_version.clone());
        }
        actions.push(action);
    }
    let all = view.pods.len() <= EVENTS_UP_TO;
    let events = told
        .into_iter()
        .filter(|told| all || told.kind == EventKind::Warning)
        .map(|told| pod.tell(told.kind, told.reason, told.message));
    actions.extend(events);
    if actions.len() > 1 {
        actions = vec![Action::InTurn(actions)];
    }
    actions
}

impl Kubelets {
    /// What nodes have, from the pods that run there: after a start, and which machines there are.
    fn look_around(&mut self, view: &View) {
        if !self.knows_nodes {
            self.knows_nodes = true;
            self.machines_changed.set(true);
            for (key, pod) in view.pods.iter() {
                self.remember(key, pod);
            }
        }
        if self.machines_changed.replace(false) {
            self.addresses.set_nodes(view);
            self.images
                .retain(|node| view.nodes.get(&Key::cluster(node)).is_some());
        }
    }

    fn remember(&mut self, key: &Key, pod: &Pod) {
        let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
            return;
        };
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if let Some(ip) = status.pod_ip.as_deref().and_then(|ip| ip.parse().ok())
            && spec.host_network != Some(true)
            && !ended
        {
            self.addresses.known(key, pod.uid(), ip);
        }
        let (Some(node), Some(start)) = (&spec.node_name, &status.start_time) else {
            return;
        };
        let containers = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        for container in containers {
            let has = status
                .container_statuses
                .iter()
                .chain(&status.init_container_statuses)
                .flatten()
                .any(|known| known.name == container.name && !known.image_id.is_empty());
            if has && let Some(image) = &container.image {
                self.images.known(node, image, start.0);
            }
        }
    }

    fn stop_waiting(&mut self, key: &Key) {
        if self.awaited.is_empty() {
            return;
        }
        self.awaited.retain(|_, pods| {
            pods.remove(key);
            !pods.is_empty()
        });
    }

    /// A pod that is to go: its containers are told, and when they have ended it is removed.
    fn stop(&mut self, pod: &Pod, spec: &PodSpec, context: Context<'_>) -> Outcome {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let status = pod.status.clone().unwrap_or_default();
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let asked = pod
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or(context.now, |time| time.0)
            .saturating_sub(SignedDuration::from_secs(grace))
            .unwrap_or(context.now);
        let running = running(spec, &status);
        let longest = running
            .iter()
            .map(|(container, role)| seconds_to_stop(pod, container, *role))
            .fold(0.0, f64::max);
        #[allow(clippy::cast_precision_loss, reason = "seconds")]
        let bound = grace as f64;
        let at = context.pace.after(asked, longest.min(bound));
        let mut told = Vec::new();
        if !running.is_empty()
            && self
                .stopping
                .insert(pod.key(), pod.uid().to_owned())
                .as_deref()
                != Some(pod.uid())
        {
            told.extend(running.iter().map(|(container, _)| Told {
                kind: EventKind::Normal,
                reason: "Killing",
                message: format!("Stopping container {}", container.name),
            }));
        }
        if at > context.now && context.pace == Pace::Modelled {
            let actions = write(context.view, pod, &status, &status, told);
            return Outcome::of(actions).again_at(at);
        }
        self.stopping.remove(&pod.key());
        let held = pod
            .metadata
            .finalizers
            .as_ref()
            .is_some_and(|finalizers| !finalizers.is_empty());
        if held && ended && grace == 0 {
            return Outcome::settled();
        }
        // Whoever holds the pod back wants to know how it ended.
        let after = if held && !ended {
            self.stopped(pod, spec, &status, longest > bound, context)
        } else {
            status.clone()
        };
        let mut actions = write(context.view, pod, &status, &after, told);
        actions.push(pod.delete(Some(0)));
        Outcome::of(actions)
    }

    /// The status of a pod whose containers have been stopped.
    fn stopped(
        &mut self,
        pod: &Pod,
        spec: &PodSpec,
        status: &PodStatus,
        killed: bool,
        context: Context<'_>,
    ) -> PodStatus {
        let kubelet = Kubelet {
            view: context.view,
            now: context.now,
            pace: context.pace,
            node: "",
            images: &mut self.images,
            failed_pulls: &mut self.failed_pulls,
            told: Vec::new(),
            next: None,
            awaited: Vec::new(),
        };
        let mut after = status.clone();
        let mut inits = after.init_container_statuses.take().unwrap_or_default();
        let mut mains = after.container_statuses.take().unwrap_or_default();
        let exit_code = if killed { 137 } else { 143 };
        kubelet.stop_all(&mut inits, &mut mains, exit_code, "Error");
        after.phase = Some(status::phase_when_stopped(pod, &mains).to_owned());
        after.container_statuses = Some(mains);
        after.init_container_statuses = (!inits.is_empty()).then_some(inits);
        after.conditions = Some(kubelet.conditions(spec, status, &after, false));
        after
    }
}

/// The containers of a pod that run.
fn running<'a>(spec: &'a PodSpec, status: &PodStatus) -> Vec<(&'a Container, Role)> {
    let runs = |container: &Container| {
        status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses)
            .flatten()
            .any(|known| {
                known.name == container.name
                    && known
                        .state
                        .as_ref()
                        .is_some_and(|state| state.running.is_some())
            })
    };
    let inits = spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| (container, Role::Init));
    spec.containers
        .iter()
        .map(|container| (container, Role::Main))
        .chain(inits)
        .filter(|(container, _)| runs(container))
        .collect()
}

/// How long a container takes to end once its pod is to go: its hook before the signal, and then itself.
fn seconds_to_stop(pod: &Pod, container: &Container, role: Role) -> f64 {
    let hook = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref())
        .map_or(0.0, |hook| {
            #[allow(clippy::cast_precision_loss, reason = "seconds")]
            let sleep = hook.sleep.as_ref().map(|sleep| sleep.seconds as f64);
            // `sh -c "sleep 15"`, which is what most of these hooks are, is understood like any command.
            let exec = hook.exec.as_ref().map(|exec| {
                behaviour::command_seconds(exec.command.as_deref().unwrap_or_default())
                    .unwrap_or(0.5)
            });
            sleep.or(exec).unwrap_or(0.5)
        });
    hook + Behaviour::of(pod, container, role).stop
}
