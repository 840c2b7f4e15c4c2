//! A pod's status: its phase and conditions from the states of its containers.
//!
//! As `pkg/kubelet/kubelet_pods.go` (`getPhase`) and `pkg/kubelet/status/generate.go` of Kubernetes 1.33.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec,
    PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::behaviour::{Role, restart_policy};
use super::need;
use super::state::{Kubelet, Progress, SANDBOX_SECONDS, plus, restarts, terminated, untouched};
use crate::EventKind;

/// Whether an init container runs on beside the others.
fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The statuses of containers in their order, those of before where there are any.
fn statuses<'a>(
    containers: impl Iterator<Item = &'a Container>,
    before: Option<&[ContainerStatus]>,
    reason: &str,
) -> Vec<ContainerStatus> {
    let before = before.unwrap_or_default();
    containers
        .map(|container| {
            let known = before.iter().find(|status| status.name == container.name);
            known
                .cloned()
                .unwrap_or_else(|| untouched(container, reason))
        })
        .collect()
}

/// `Guaranteed`, `Burstable` or `BestEffort` (`pkg/apis/core/v1/helper/qos`).
pub(super) fn quality_of_service(spec: &PodSpec) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    let all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    for container in all {
        let resources = container.resources.as_ref();
        let requests = resources.and_then(|resources| resources.requests.as_ref());
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        for resource in ["cpu", "memory"] {
            let limit = limits.and_then(|limits| limits.get(resource));
            let request = requests
                .and_then(|requests| requests.get(resource))
                .or(limit);
            any |= request.is_some();
            let parse = |text: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| {
                text.0.parse::<objects::Quantity>().ok()
            };
            guaranteed &= limit.is_some() && limit.and_then(parse) == request.and_then(parse);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

impl Kubelet<'_> {
    /// The status of a pod as it should be now.
    pub(super) fn status(
        &mut self,
        pod: &Pod,
        spec: &PodSpec,
        host: Ipv4Addr,
        address: Ipv4Addr,
    ) -> PodStatus {
        let before = pod.status.clone().unwrap_or_default();
        let reason = if spec
            .init_containers
            .as_ref()
            .is_some_and(|all| !all.is_empty())
        {
            "PodInitializing"
        } else {
            "ContainerCreating"
        };
        let mut inits = statuses(
            spec.init_containers.iter().flatten(),
            before.init_container_statuses.as_deref(),
            reason,
        );
        let mut mains = statuses(
            spec.containers.iter(),
            before.container_statuses.as_deref(),
            reason,
        );
        let start = before
            .start_time
            .as_ref()
            .map_or(whole(self.now), |time| time.0);
        let mut after = PodStatus {
            start_time: Some(Time(start)),
            host_ip: Some(host.to_string()),
            host_ips: Some(vec![HostIP {
                ip: host.to_string(),
            }]),
            qos_class: before
                .qos_class
                .clone()
                .or_else(|| Some(quality_of_service(spec).to_owned())),
            ..before.clone()
        };
        let mut outcome = Outcome::default();
        let sandbox = self.pace.after(start, SANDBOX_SECONDS);
        if let Some(deadline) = spec.active_deadline_seconds {
            // Seconds of the clock at any pace: a program that runs for ever has to come to its deadline.
            let at = plus(start, deadline);
            if at <= self.now {
                outcome.past_deadline = true;
            } else {
                self.later(at);
            }
        }
        let has_sandbox = after.pod_ip.is_some();
        let can_start = has_sandbox
            || match need::volumes(self.view, pod) {
                Ok(()) => true,
                Err(missing) => {
                    // Told once: when the pod is seen for the first time, or what is missing changes.
                    if before.start_time.is_none() {
                        self.tell(EventKind::Warning, "FailedMount", missing.message);
                    }
                    self.awaited.push(missing.awaited);
                    false
                }
            };
        if outcome.past_deadline {
            self.tell(
                EventKind::Normal,
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline".to_owned(),
            );
            self.stop_all(&mut inits, &mut mains, 137, "Error");
        } else if !can_start {
            // Nothing to be done for now.
        } else if !has_sandbox && sandbox > self.now {
            self.later(sandbox);
        } else {
            let untouched = (!has_sandbox).then(|| (inits.clone(), mains.clone()));
            let from = sandbox.min(self.now).max(start);
            self.containers(pod, spec, &mut inits, &mut mains, from, &mut outcome);
            // A network alone is no news: its address is written with what comes next.
            if untouched != Some((inits.clone(), mains.clone())) {
                outcome.has_sandbox = true;
                after.pod_ip = Some(address.to_string());
                after.pod_ips = Some(vec![PodIP {
                    ip: address.to_string(),
                }]);
            }
        }
        let phase = phase(pod, spec, &inits, &mains, &outcome);
        if matches!(phase, "Succeeded" | "Failed") {
            self.stop_sidecars(spec, &mut inits);
            outcome.has_sandbox = false;
        }
        if outcome.past_deadline {
            after.reason = Some("DeadlineExceeded".to_owned());
            after.message =
                Some("Pod was active on the node longer than the specified deadline".to_owned());
        }
        after.phase = Some(phase.to_owned());
        after.container_statuses = Some(mains);
        after.init_container_statuses = (!inits.is_empty()).then_some(inits);
        after.conditions = Some(self.conditions(spec, &before, &after, outcome.has_sandbox));
        after
    }

    fn containers(
        &mut self,
        pod: &Pod,
        spec: &PodSpec,
        inits: &mut [ContainerStatus],
        mains: &mut [ContainerStatus],
        from: Timestamp,
        outcome: &mut Outcome,
    ) {
        let mut from = from;
        let mut initialized = true;
        // Once a main container has started, init containers are not looked at any more, but for those that run on.
        let begun = mains.iter().any(|status| status.container_id.is_some());
        for (container, status) in spec.init_containers.iter().flatten().zip(inits) {
            if is_sidecar(container) {
                match self.advance(pod, container, Role::Sidecar, status, from) {
                    Progress::Running {
                        started: Some(started),
                    } => from = from.max(started),
                    _ if begun => {}
                    _ => {
                        initialized = false;
                        break;
                    }
                }
                continue;
            }
            if begun {
                continue;
            }
            match self.advance(pod, container, Role::Init, status, from) {
                Progress::Ended { at, exit_code: 0 } => from = from.max(at),
                Progress::Ended { .. } => {
                    outcome.failed_to_initialize = true;
                    initialized = false;
                    break;
                }
                Progress::Waiting | Progress::Running { .. } => {
                    initialized = false;
                    break;
                }
            }
        }
        if !initialized {
            return;
        }
        for (container, status) in spec.containers.iter().zip(mains) {
            self.advance(pod, container, Role::Main, status, from);
        }
    }

    /// Ends what runs on beside containers that have all ended.
    fn stop_sidecars(&self, spec: &PodSpec, inits: &mut [ContainerStatus]) {
        for (container, status) in spec.init_containers.iter().flatten().zip(inits) {
            if is_sidecar(container) {
                self.stop_one(status, 0, "Completed");
            }
        }
    }

    /// Ends every container that runs.
    pub(super) fn stop_all(
        &self,
        inits: &mut [ContainerStatus],
        mains: &mut [ContainerStatus],
        exit_code: i32,
        reason: &str,
    ) {
        for status in inits.iter_mut().chain(mains) {
            self.stop_one(status, exit_code, reason);
        }
    }

    fn stop_one(&self, status: &mut ContainerStatus, exit_code: i32, reason: &str) {
        let running = status
            .state
            .as_ref()
            .and_then(|state| state.running.clone());
        let Some(running) = running else {
            return;
        };
        let start = running.started_at.map_or(self.now, |time| time.0);
        status.ready = false;
        status.started = Some(false);
        status.state = Some(ContainerState {
            terminated: Some(terminated(status, exit_code, reason, start, self.now)),
            ..ContainerState::default()
        });
    }

    /// The kubelet's conditions and, unchanged, those of others.
    pub(super) fn conditions(
        &self,
        spec: &PodSpec,
        before: &PodStatus,
        after: &PodStatus,
        has_sandbox: bool,
    ) -> Vec<PodCondition> {
        let old = before.conditions.as_deref().unwrap_or_default();
        let phase = after.phase.as_deref().unwrap_or_default();
        let inits = after.init_container_statuses.as_deref().unwrap_or_default();
        let mains = after.container_statuses.as_deref().unwrap_or_default();
        let truth = |held: bool| if held { "True" } else { "False" };
        let initialized = initialized(spec, phase, inits, mains);
        let containers = containers_ready(spec, phase, inits, mains);
        let ready = if containers.0 {
            gates(spec, old)
        } else {
            containers.clone()
        };
        let made = [
            ("PodReadyToStartContainers", (has_sandbox, None, None)),
            ("Initialized", initialized),
            ("Ready", ready),
            ("ContainersReady", containers),
            ("PodScheduled", (true, None, None)),
        ];
        let mut all: Vec<PodCondition> = Vec::with_capacity(old.len().max(made.len()));
        for (type_, (held, reason, message)) in made {
            let known = old.iter().find(|condition| condition.type_ == type_);
            let status = truth(held).to_owned();
            let since = known
                .filter(|known| known.status == status)
                .and_then(|known| known.last_transition_time.clone())
                .unwrap_or_else(|| Time(whole(self.now)));
            all.push(PodCondition {
                type_: type_.to_owned(),
                status,
                reason: reason.map(str::to_owned),
                message,
                last_transition_time: Some(since),
                ..PodCondition::default()
            });
        }
        let others = old
            .iter()
            .filter(|condition| !made_by_kubelet(&condition.type_));
        all.extend(others.cloned());
        all
    }
}

fn made_by_kubelet(type_: &str) -> bool {
    matches!(
        type_,
        "PodReadyToStartContainers" | "Initialized" | "Ready" | "ContainersReady" | "PodScheduled"
    )
}

#[derive(Debug, Default)]
struct Outcome {
    has_sandbox: bool,
    failed_to_initialize: bool,
    past_deadline: bool,
}

fn phase(
    pod: &Pod,
    spec: &PodSpec,
    inits: &[ContainerStatus],
    mains: &[ContainerStatus],
    outcome: &Outcome,
) -> &'static str {
    if outcome.past_deadline || outcome.failed_to_initialize {
        return "Failed";
    }
    let pending = spec
        .init_containers
        .iter()
        .flatten()
        .zip(inits)
        .any(|(container, status)| {
            if is_sidecar(container) {
                status.started != Some(true) && status.last_state.is_none()
            } else {
                !status.ready
            }
        });
    let begun = mains.iter().any(|status| status.container_id.is_some());
    if pending && !begun {
        return "Pending";
    }
    let ended: Vec<Option<i32>> = mains
        .iter()
        .map(|status| {
            let state = status.state.as_ref()?;
            state.terminated.as_ref().map(|ended| ended.exit_code)
        })
        .collect();
    if !ended.is_empty() && ended.iter().all(Option::is_some) {
        let codes: Vec<i32> = ended.into_iter().flatten().collect();
        if codes.iter().any(|code| restarts(pod, Role::Main, *code)) {
            return "Running";
        }
        return if codes.iter().all(|code| *code == 0) {
            "Succeeded"
        } else {
            "Failed"
        };
    }
    let never_started = mains
        .iter()
        .any(|status| status.container_id.is_none() && status.last_state.is_none());
    if never_started { "Pending" } else { "Running" }
}

type Held = (bool, Option<&'static str>, Option<String>);

fn initialized(
    spec: &PodSpec,
    phase: &str,
    inits: &[ContainerStatus],
    mains: &[ContainerStatus],
) -> Held {
    if phase == "Succeeded" {
        return (true, Some("PodCompleted"), None);
    }
    if mains.iter().any(|status| status.container_id.is_some()) {
        return (true, None, None);
    }
    let incomplete: Vec<&str> = spec
        .init_containers
        .iter()
        .flatten()
        .zip(inits)
        .filter(|(container, status)| {
            if is_sidecar(container) {
                status.started != Some(true)
            } else {
                !status.ready
            }
        })
        .map(|(container, _)| container.name.as_str())
        .collect();
    if incomplete.is_empty() {
        return (true, None, None);
    }
    let message = format!(
        "containers with incomplete status: [{}]",
        incomplete.join(" ")
    );
    (false, Some("ContainersNotInitialized"), Some(message))
}

fn containers_ready(
    spec: &PodSpec,
    phase: &str,
    inits: &[ContainerStatus],
    mains: &[ContainerStatus],
) -> Held {
    match phase {
        "Succeeded" => return (false, Some("PodCompleted"), None),
        "Failed" => return (false, Some("PodFailed"), None),
        _ => {}
    }
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .zip(inits)
        .filter(|(container, _)| is_sidecar(container))
        .map(|(_, status)| status);
    let unready: Vec<&str> = sidecars
        .chain(mains)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    if unready.is_empty() {
        return (true, None, None);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    (false, Some("ContainersNotReady"), Some(message))
}

/// `readinessGates`: conditions that others set.
fn gates(spec: &PodSpec, conditions: &[PodCondition]) -> Held {
    let missing: Vec<String> = spec
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match conditions.iter().find(|condition| condition.type_ == *name) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{name}\" does not exist."
                )),
                Some(found) if found.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                    found.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if missing.is_empty() {
        (true, None, None)
    } else {
        (
            false,
            Some("ReadinessGatesNotReady"),
            Some(missing.join(", ")),
        )
    }
}

/// The phase of a pod whose containers were all stopped because it is deleted: it has come to an end, well or not.
pub(super) fn phase_when_stopped(pod: &Pod, mains: &[ContainerStatus]) -> &'static str {
    let succeeded = restart_policy(pod) != "Always"
        && mains.iter().all(|status| {
            let state = status.state.as_ref();
            let ended = state.and_then(|state| state.terminated.as_ref());
            ended.is_some_and(|ended| ended.exit_code == 0)
        });
    if succeeded { "Succeeded" } else { "Failed" }
}
