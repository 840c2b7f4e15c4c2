//! A pod's containers from one state to the next.
//!
//! Everything that is known of a pod is in its status; what comes next, and when, follows from it. Transitions that are due are
//! taken one after another, each stamped with the time at which it was due, so that one write carries several.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::behaviour::{Behaviour, Role, restart_policy};
use super::image::{ImageName, Images};
use super::need::{self, Missing};
use super::probe;
use super::usage::is_above_limit;
use crate::document::Named;
use crate::draw::digest;
use crate::{EventKind, Key, Pace, View};

/// From the kubelet's first look at a pod until its network is there, in modelled seconds. An assumption.
pub(super) const SANDBOX_SECONDS: f64 = 1.0;
/// From the image being there until the process runs, in modelled seconds. An assumption.
const START_SECONDS: f64 = 0.5;
/// How long a process runs that needs more memory than it may have, in modelled seconds. An assumption.
const OUT_OF_MEMORY_SECONDS: f64 = 2.0;
/// `MaxContainerBackOff` of the kubelet.
const LONGEST_BACK_OFF: i64 = 300;
/// A container that ran for twice the longest back-off begins anew.
const FORGIVEN_AFTER: i64 = 600;
/// A transition that is later than this is stamped with the present: nobody has watched for it.
const LATE: i64 = 5;

/// How often pulls of a pod's images have failed, and when last: by the pod's uid and the container.
pub(super) type FailedPulls = BTreeMap<Key, HashMap<(String, String), (u32, Timestamp)>>;

/// What the kubelet tells of.
pub(super) struct Told {
    pub kind: EventKind,
    pub reason: &'static str,
    pub message: String,
}

/// What the kubelet does to the pods of its node.
pub(super) struct Kubelet<'a> {
    pub view: &'a View,
    pub now: Timestamp,
    pub pace: Pace,
    pub node: &'a str,
    pub images: &'a mut Images,
    pub failed_pulls: &'a mut FailedPulls,
    pub told: Vec<Told>,
    /// When the next transition is due.
    pub next: Option<Timestamp>,
    /// What is waited for.
    pub awaited: Vec<(&'static str, Key)>,
}

/// How far a container has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Progress {
    /// It has not started, or it waits to be started again.
    Waiting,
    /// It runs; a sidecar that has started lets the next one start from then.
    Running { started: Option<Timestamp> },
    /// It has ended for good.
    Ended { at: Timestamp, exit_code: i32 },
}

fn whole(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

pub(super) fn plus(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// How long a container rests before it is started again for the n-th time: not at all, then 10 seconds, doubled each time up to 5
/// minutes (`kuberuntime_manager.go` `doBackOff`). These are seconds of the clock at any pace: without them nothing would ever rest.
fn back_off(restarts: i32, ran: SignedDuration) -> i64 {
    if restarts <= 0 || ran.as_secs() >= FORGIVEN_AFTER {
        return 0;
    }
    let doubled = u32::try_from(restarts - 1).unwrap_or(0).min(10);
    (10_i64 << doubled).min(LONGEST_BACK_OFF)
}

pub(super) fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message,
        }),
        ..ContainerState::default()
    }
}

/// A container that nothing has been done for.
pub(super) fn untouched(container: &Container, reason: &str) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(waiting(reason, None)),
        started: Some(false),
        ..ContainerStatus::default()
    }
}

fn container_id(pod: &Pod, container: &str, restarts: i32) -> String {
    let drawn = digest(&[pod.uid(), "/", container, "/", &restarts.to_string()]);
    format!("containerd://{drawn}")
}

/// How a container ends by itself.
struct End {
    at: Timestamp,
    exit_code: i32,
    reason: &'static str,
    /// Whether its liveness probe has it killed.
    unhealthy: bool,
}

impl Kubelet<'_> {
    pub(super) fn tell(&mut self, kind: EventKind, reason: &'static str, message: String) {
        self.told.push(Told {
            kind,
            reason,
            message,
        });
    }

    pub(super) fn later(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// The time to stamp a transition with that was due then.
    fn stamp(&self, due: Timestamp) -> Timestamp {
        if plus(due, LATE) < self.now {
            self.now
        } else {
            due
        }
    }

    /// Takes a container as far as it gets. It may start at `from`.
    pub(super) fn advance(
        &mut self,
        pod: &Pod,
        container: &Container,
        role: Role,
        status: &mut ContainerStatus,
        from: Timestamp,
    ) -> Progress {
        let behaviour = Behaviour::of(pod, container, role);
        let mut from = from;
        loop {
            let state = status.state.clone().unwrap_or_default();
            if let Some(running) = state.running {
                let start = running.started_at.map_or(from, |time| time.0);
                match self.go_on(pod, container, role, &behaviour, status, start) {
                    Some(progress) => return progress,
                    None => continue,
                }
            }
            if let Some(ended) = &state.terminated {
                let at = ended.finished_at.as_ref().map_or(self.now, |time| time.0);
                if !restarts(pod, role, ended.exit_code) {
                    status.ready = role == Role::Init && ended.exit_code == 0;
                    status.started = Some(false);
                    return Progress::Ended {
                        at,
                        exit_code: ended.exit_code,
                    };
                }
                status.last_state = Some(state.clone());
                status.state = Some(waiting("CrashLoopBackOff", None));
            }
            let last = status
                .last_state
                .as_ref()
                .and_then(|last| last.terminated.clone());
            match self.start(pod, container, &behaviour, status, last.as_ref(), from) {
                Some(at) => from = at,
                None => return Progress::Waiting,
            }
        }
    }

    /// Starts a container if it is time to; when it started.
    fn start(
        &mut self,
        pod: &Pod,
        container: &Container,
        behaviour: &Behaviour,
        status: &mut ContainerStatus,
        last: Option<&ContainerStateTerminated>,
        from: Timestamp,
    ) -> Option<Timestamp> {
        let mut from = from;
        if let Some(last) = last {
            let finished = last.finished_at.as_ref().map_or(self.now, |time| time.0);
            let started = last.started_at.as_ref().map_or(finished, |time| time.0);
            let rest = back_off(status.restart_count, finished.duration_since(started));
            let at = plus(finished, rest);
            if at > self.now {
                let message = format!(
                    "back-off {} restarting failed container={} pod={}_{}({})",
                    go_duration(rest),
                    container.name,
                    pod.name(),
                    pod.metadata.namespace.as_deref().unwrap_or_default(),
                    pod.uid()
                );
                let state = waiting("CrashLoopBackOff", Some(message));
                if status.state.as_ref() != Some(&state) {
                    let message = format!(
                        "Back-off restarting failed container {} in pod {}_{}({})",
                        container.name,
                        pod.name(),
                        pod.metadata.namespace.as_deref().unwrap_or_default(),
                        pod.uid()
                    );
                    self.tell(EventKind::Warning, "BackOff", message);
                }
                status.state = Some(state);
                status.ready = false;
                status.started = Some(false);
                self.later(at);
                return None;
            }
            from = at;
        }
        let text = container.image.as_deref().unwrap_or_default();
        let Some(name) = ImageName::parse(text) else {
            let message = format!(
                "Failed to apply default image tag \"{text}\": couldn't parse image reference \"{text}\": invalid reference format"
            );
            let state = waiting("InvalidImageName", Some(message.clone()));
            if status.state.as_ref() != Some(&state) {
                self.tell(EventKind::Warning, "InspectFailed", message);
                let error = "Error: InvalidImageName".to_owned();
                self.tell(EventKind::Warning, "Failed", error);
            }
            status.state = Some(state);
            return None;
        };
        let first = last.is_none();
        if first && behaviour.pull_fails {
            self.fail_pull(pod, container, status, from);
            return None;
        }
        let pulled = if first {
            let pulled = self.images.pull(self.node, text, &name, from, self.pace);
            if let Some(failed) = self.failed_pulls.get_mut(&pod.key()) {
                failed.remove(&(pod.uid().to_owned(), container.name.clone()));
            }
            pulled.at
        } else {
            from
        };
        if let Err(missing) = need::environment(self.view, pod, container) {
            self.refuse(status, missing);
            return None;
        }
        let at = self.pace.after(pulled, START_SECONDS);
        if at > self.now {
            self.later(at);
            return None;
        }
        let at = self.stamp(at);
        if first {
            self.tell_of_image(text, &name, pulled, from);
        }
        let restarts = status.restart_count + i32::from(!first);
        status.restart_count = restarts;
        status.image = name.reported();
        status.image_id = name.id();
        status.container_id = Some(container_id(pod, &container.name, restarts));
        status.ready = false;
        status.started = Some(false);
        status.state = Some(ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(whole(at)),
            }),
            ..ContainerState::default()
        });
        self.tell(
            EventKind::Normal,
            "Created",
            format!("Created container: {}", container.name),
        );
        self.tell(
            EventKind::Normal,
            "Started",
            format!("Started container {}", container.name),
        );
        Some(at)
    }

    fn tell_of_image(
        &mut self,
        text: &str,
        name: &ImageName<'_>,
        pulled: Timestamp,
        from: Timestamp,
    ) {
        if pulled > from {
            self.tell(
                EventKind::Normal,
                "Pulling",
                format!("Pulling image \"{text}\""),
            );
            let took = pulled.duration_since(from).as_secs_f64();
            let message = format!(
                "Successfully pulled image \"{text}\" in {took:.3}s ({took:.3}s including waiting). Image size: {} bytes.",
                name.bytes()
            );
            self.tell(EventKind::Normal, "Pulled", message);
        } else {
            let message = format!("Container image \"{text}\" already present on machine");
            self.tell(EventKind::Normal, "Pulled", message);
        }
    }

    fn refuse(&mut self, status: &mut ContainerStatus, missing: Missing) {
        let state = waiting("CreateContainerConfigError", Some(missing.message.clone()));
        if status.state.as_ref() != Some(&state) {
            let message = format!("Error: {}", missing.message);
            self.tell(EventKind::Warning, "Failed", message);
        }
        status.state = Some(state);
        self.awaited.push(missing.awaited);
    }

    /// A pull that fails: an error first, then back-off with a try after 10 seconds, doubled up to 5 minutes.
    fn fail_pull(
        &mut self,
        pod: &Pod,
        container: &Container,
        status: &mut ContainerStatus,
        from: Timestamp,
    ) {
        let image = container.image.as_deref().unwrap_or_default();
        let why = format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": simulated: the pod's annotation {}image-pull says so",
            super::behaviour::PREFIX
        );
        let key = (pod.uid().to_owned(), container.name.clone());
        let failed = self.failed_pulls.entry(pod.key()).or_default();
        let known = failed.get(&key).copied();
        let reason = status
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref()?.reason.as_deref());
        // After a restart of this program the count begins anew.
        let (tries, last) = match (known, reason) {
            (Some(known), _) => known,
            (None, Some("ErrImagePull" | "ImagePullBackOff")) => (1, self.now),
            (None, _) => (0, from),
        };
        let due = if tries == 0 {
            last
        } else {
            plus(
                last,
                back_off(
                    i32::try_from(tries).unwrap_or(i32::MAX),
                    SignedDuration::ZERO,
                ),
            )
        };
        if due > self.now {
            failed.insert(key, (tries, last));
            if reason == Some("ErrImagePull") {
                let soon = plus(last, 2);
                if soon > self.now {
                    self.later(soon);
                    return;
                }
                self.tell(
                    EventKind::Normal,
                    "BackOff",
                    format!("Back-off pulling image \"{image}\""),
                );
                let error = "Error: ImagePullBackOff".to_owned();
                self.tell(EventKind::Warning, "Failed", error);
                let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {why}");
                status.state = Some(waiting("ImagePullBackOff", Some(message)));
            }
            self.later(due);
            return;
        }
        failed.insert(key, (tries + 1, self.now));
        self.tell(
            EventKind::Normal,
            "Pulling",
            format!("Pulling image \"{image}\""),
        );
        self.tell(
            EventKind::Warning,
            "Failed",
            format!("Failed to pull image \"{image}\": {why}"),
        );
        self.tell(
            EventKind::Warning,
            "Failed",
            "Error: ErrImagePull".to_owned(),
        );
        // Later tries do not show in the status: that would be two writes each.
        if reason != Some("ImagePullBackOff") {
            status.state = Some(waiting("ErrImagePull", Some(why)));
            self.later(plus(self.now, 2));
        } else {
            let tries = i32::try_from(tries + 1).unwrap_or(i32::MAX);
            self.later(plus(self.now, back_off(tries, SignedDuration::ZERO)));
        }
    }

    /// A container that runs; none when it has ended now.
    fn go_on(
        &mut self,
        pod: &Pod,
        container: &Container,
        role: Role,
        behaviour: &Behaviour,
        status: &mut ContainerStatus,
        start: Timestamp,
    ) -> Option<Progress> {
        if let Some(end) = self.end(pod, container, role, behaviour, start) {
            if end.at <= self.now {
                let at = self.stamp(end.at).max(start);
                if end.unhealthy {
                    self.tell(
                        EventKind::Warning,
                        "Unhealthy",
                        "Liveness probe failed: simulated: the pod's annotation says so".to_owned(),
                    );
                    let message = format!(
                        "Container {} failed liveness probe, will be restarted",
                        container.name
                    );
                    self.tell(EventKind::Normal, "Killing", message);
                }
                status.ready = false;
                status.started = Some(false);
                status.state = Some(ContainerState {
                    terminated: Some(terminated(status, end.exit_code, end.reason, start, at)),
                    ..ContainerState::default()
                });
                return None;
            }
            self.later(end.at);
        }
        let started = probe::started_at(container, start, self.pace);
        let was_ready = status.ready;
        status.started = Some(started <= self.now);
        match role {
            Role::Init => status.ready = false,
            Role::Main | Role::Sidecar => {
                let ready = probe::ready_at(container, behaviour, start, self.pace);
                status.ready = ready.is_some_and(|at| at <= self.now);
                if let Some(at) = ready.filter(|at| *at > self.now) {
                    self.later(at);
                }
                if ready.is_none() && (was_ready || status.started != Some(true)) {
                    let message = "Readiness probe failed: simulated: the pod's annotation says so";
                    self.tell(EventKind::Warning, "Unhealthy", message.to_owned());
                }
            }
        }
        if started > self.now {
            self.later(started);
        }
        Some(Progress::Running {
            started: (started <= self.now).then_some(started),
        })
    }

    fn end(
        &self,
        pod: &Pod,
        container: &Container,
        role: Role,
        behaviour: &Behaviour,
        start: Timestamp,
    ) -> Option<End> {
        let end = |at, exit_code, reason| End {
            at,
            exit_code,
            reason,
            unhealthy: false,
        };
        let by_itself = behaviour.run.map(|seconds| {
            let reason = if behaviour.exit_code == 0 {
                "Completed"
            } else {
                "Error"
            };
            end(self.pace.after(start, seconds), behaviour.exit_code, reason)
        });
        let out_of_memory = is_above_limit(pod, container, role).then(|| {
            end(
                self.pace.after(start, OUT_OF_MEMORY_SECONDS),
                137,
                "OOMKilled",
            )
        });
        let killed = probe::killed_at(container, behaviour, start, self.pace).map(|at| End {
            unhealthy: true,
            ..end(at, 137, "Error")
        });
        [by_itself, out_of_memory, killed]
            .into_iter()
            .flatten()
            .min_by_key(|end| end.at)
    }
}

pub(super) fn terminated(
    status: &ContainerStatus,
    exit_code: i32,
    reason: &str,
    start: Timestamp,
    at: Timestamp,
) -> ContainerStateTerminated {
    ContainerStateTerminated {
        container_id: status.container_id.clone(),
        exit_code,
        reason: Some(reason.to_owned()),
        started_at: Some(whole(start)),
        finished_at: Some(whole(at)),
        ..ContainerStateTerminated::default()
    }
}

/// Whether a container that ended is started again.
pub(super) fn restarts(pod: &Pod, role: Role, exit_code: i32) -> bool {
    match (role, restart_policy(pod)) {
        (Role::Sidecar, _) => true,
        (Role::Main, "Always") => true,
        (_, "Never") => false,
        // `OnFailure`, and init containers of pods that run for ever.
        _ => exit_code != 0,
    }
}

/// As Go writes a duration: `1m20s`.
fn go_duration(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles() {
        let short = SignedDuration::from_secs(1);
        let rests: Vec<i64> = (0..8).map(|restarts| back_off(restarts, short)).collect();
        assert_eq!(rests, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(back_off(5, SignedDuration::from_secs(700)), 0);
        assert_eq!(
            (go_duration(10), go_duration(80)),
            ("10s".to_owned(), "1m20s".to_owned())
        );
    }
}
