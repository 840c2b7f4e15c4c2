//! What a simulated container prints.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use serde_json::Value as Json;

use super::behaviour::PREFIX;
use crate::document::Named;

/// The lines that a container of a pod (as it is stored) has printed until `now`, with their times, in order. They say that the
/// container is simulated. Nothing for a container that has not started, or that isn't there.
#[must_use]
pub fn log_lines(pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
    let Ok(pod) = serde_json::from_value::<Pod>(pod.clone()) else {
        return Vec::new();
    };
    of(&pod, container, false, now)
}

/// The same of the container's run before this one.
#[must_use]
pub fn previous_log_lines(pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
    let Ok(pod) = serde_json::from_value::<Pod>(pod.clone()) else {
        return Vec::new();
    };
    of(&pod, container, true, now)
}

fn of(pod: &Pod, name: &str, previous: bool, now: Timestamp) -> Vec<(Timestamp, String)> {
    let (Some(container), Some(status)) = (container(pod, name), status(pod, name)) else {
        return Vec::new();
    };
    let last = status.last_state.clone().unwrap_or_default();
    let state = status.state.clone().unwrap_or_default();
    let running_now = state.running.is_some();
    // A container that waits to be started again shows its last run.
    let (started, ended) = match (previous, state.running, state.terminated, last.terminated) {
        (false, Some(running), _, _) => (running.started_at, None),
        (false, None, Some(ended), _)
        | (false, None, None, Some(ended))
        | (true, _, _, Some(ended)) => (ended.started_at.clone(), Some(ended)),
        _ => return Vec::new(),
    };
    let Some(started) = started.map(|time| time.0) else {
        return Vec::new();
    };
    // In the back-off the run that is shown is the last one; while it runs again, the one before.
    let run = status.restart_count - i32::from(previous && running_now);
    let mut lines = vec![
        (
            started,
            format!(
                "simulated: no process runs here, this is the sandbox's model of container {name} in pod {}/{}",
                pod.metadata.namespace.as_deref().unwrap_or_default(),
                pod.name()
            ),
        ),
        (started, format!("simulated: image {}", status.image)),
        (started, format!("simulated: {}", command_line(container))),
        (
            started,
            format!(
                "simulated: started on node {}, run {}",
                pod.spec
                    .as_ref()
                    .and_then(|spec| spec.node_name.as_deref())
                    .unwrap_or("?"),
                run.max(0) + 1
            ),
        ),
    ];
    match &ended {
        Some(ended) => {
            let at = ended.finished_at.as_ref().map_or(started, |time| time.0);
            let why = ended.reason.as_deref().unwrap_or("Error");
            lines.push((
                at,
                format!(
                    "simulated: ended with exit code {} ({why})",
                    ended.exit_code
                ),
            ));
        }
        None if status.ready => {
            let since = ready_since(pod).unwrap_or(started).max(started);
            lines.push((since, "simulated: ready".to_owned()));
        }
        None => lines.push((
            started,
            format!(
                "simulated: not ready yet (probes succeed unless {PREFIX}ready says otherwise)"
            ),
        )),
    }
    if ended.is_none()
        && let Some(deletion) = &pod.metadata.deletion_timestamp
    {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let asked = deletion
            .0
            .saturating_sub(jiff::SignedDuration::from_secs(grace))
            .unwrap_or(deletion.0);
        lines.push((asked.max(started), "simulated: received SIGTERM".to_owned()));
    }
    lines.retain(|(at, _)| *at <= now);
    lines
}

fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    let inits = spec.init_containers.iter().flatten();
    spec.containers
        .iter()
        .chain(inits)
        .find(|container| container.name == name)
}

fn status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .flatten()
        .find(|status| status.name == name)
}

fn command_line(container: &Container) -> String {
    let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (command, arguments) = (words(&container.command), words(&container.args));
    if command.is_empty() && arguments.is_empty() {
        return "command line: the image's own".to_owned();
    }
    let program = if command.is_empty() {
        vec!["<the image's program>".to_owned()]
    } else {
        command
    };
    let all: Vec<String> = program.into_iter().chain(arguments).collect();
    format!("command line: {}", all.join(" "))
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "ContainersReady" && condition.status == "True")
        .and_then(|condition| condition.last_transition_time.as_ref())
        .map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_say_what_they_are() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "args": ["--port", "80"]}, {"name": "d"}]},
            "status": {"containerStatuses": [
                {"name": "c", "image": "docker.io/library/nginx:latest", "imageID": "", "ready": false, "restartCount": 1,
                 "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                 "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:10Z", "finishedAt": "2026-01-01T00:00:11Z"}}},
                {"name": "d", "image": "d", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let lines = log_lines(&pod, "c", now);
        let text: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        assert!(text[0].contains("no process runs here"));
        assert_eq!(
            text[2],
            "simulated: command line: <the image's program> --port 80"
        );
        assert_eq!(text[3], "simulated: started on node n, run 2");
        assert_eq!(text[4], "simulated: ended with exit code 3 (Error)");
        assert!(lines.is_sorted_by_key(|(at, _)| *at));
        assert!(log_lines(&pod, "d", now).is_empty());
        assert!(log_lines(&pod, "x", now).is_empty());
        let early = "2026-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(log_lines(&pod, "c", early).len(), 4, "not what comes later");
    }
}
