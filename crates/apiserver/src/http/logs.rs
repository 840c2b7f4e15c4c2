//! `kubectl logs`.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::query::Query;
use super::reply;
use crate::server::Inner;
use crate::store::Key;

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// As for watches: a client that takes nothing for so long is cut off.
const STALLED: Duration = Duration::from_secs(30);

struct Options {
    follow: bool,
    timestamps: bool,
    since: Option<Timestamp>,
    tail: Option<usize>,
    limit: Option<usize>,
}

impl Options {
    fn read(query: &Query, now: Timestamp) -> Result<Self, Status> {
        let size = |name| {
            query
                .number(name)
                .map(|number| number.and_then(|number| usize::try_from(number).ok()))
        };
        let seconds = query.number("sinceSeconds")?;
        let since = match (seconds, query.get("sinceTime")) {
            (Some(seconds), _) => now.checked_sub(SignedDuration::from_secs(seconds)).ok(),
            (None, Some(time)) => Some(time.parse().map_err(|_| {
                Status::bad_request(format!("sinceTime: {time:?} is not an RFC 3339 time"))
            })?),
            (None, None) => None,
        };
        Ok(Self {
            follow: query.flag("follow"),
            timestamps: query.flag("timestamps"),
            since,
            tail: size("tailLines")?,
            limit: size("limitBytes")?,
        })
    }

    fn line(&self, (at, text): &(Timestamp, String)) -> String {
        if self.timestamps {
            format!("{at:.9} {text}\n")
        } else {
            format!("{text}\n")
        }
    }
}

/// Answers `GET …/pods/<name>/log`.
///
/// # Errors
/// 400 when the container is unknown, not named although there are several, or has not started; 404 without the pod.
pub(crate) fn answer(
    server: &Arc<Inner>,
    key: Key,
    query: &Query,
) -> Result<Response<Body>, Status> {
    let now = server.clock.now();
    let options = Options::read(query, now)?;
    let stored = server.registry.store().get(&key);
    let pod = stored.ok_or_else(|| Status::not_found("", "pods", &key.name))?;
    let uid = pod.uid.clone();
    let pod = pod.json();
    let container = container(&pod, &key, query.get("container"))?;
    let is_previous = query.flag("previous");
    let lines = if is_previous {
        let lines = server.logs.previous(&pod, &container, now);
        if lines.is_empty() {
            return Err(no_previous(&key, &container));
        }
        lines
    } else {
        started(&pod, &key, &container)?;
        server.logs.lines(&pod, &container, now)
    };
    let mut shown = lines.as_slice();
    if let Some(since) = options.since {
        shown = &shown[shown.partition_point(|(at, _)| *at < since)..];
    }
    if let Some(tail) = options.tail {
        shown = &shown[shown.len().saturating_sub(tail)..];
    }
    let mut text: String = shown.iter().map(|line| options.line(line)).collect();
    if let Some(limit) = options.limit {
        let cut = (0..=limit.min(text.len())).rev();
        text.truncate(
            cut.into_iter()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0),
        );
    }
    // What has ended says nothing more.
    if !options.follow || options.limit.is_some() || is_previous {
        return Ok(reply::of(StatusCode::OK, reply::TEXT, text));
    }
    let (parts, body) = reply::Stream::open(2);
    let follower = Follower {
        server: server.clone(),
        key,
        uid,
        container,
        options,
        told: lines.len(),
        parts,
    };
    tokio::spawn(follower.run(text));
    Ok(reply::of(StatusCode::OK, reply::TEXT, body))
}

struct Follower {
    server: Arc<Inner>,
    key: Key,
    uid: Box<str>,
    container: String,
    options: Options,
    /// How many lines the client has.
    told: usize,
    parts: tokio::sync::mpsc::Sender<Bytes>,
}

impl Follower {
    /// Goes on until the pod is gone, its container has ended, the client leaves or the server closes.
    async fn run(mut self, mut text: String) {
        let mut closing = self.server.closing();
        let mut ended = false;
        loop {
            if !text.is_empty() {
                let part = Bytes::from(std::mem::take(&mut text));
                if self.parts.send_timeout(part, STALLED).await.is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.parts.closed() => return,
                () = closing.begun() => return,
            }
            let stored = self.server.registry.store().get(&self.key);
            let Some(stored) = stored.filter(|stored| stored.uid == self.uid) else {
                return;
            };
            let pod = stored.json();
            // What it printed last comes before its end.
            ended = state(&pod, &self.container)["terminated"].is_object();
            let now = self.server.clock.now();
            let lines = self.server.logs.lines(&pod, &self.container, now);
            for line in lines.iter().skip(self.told) {
                text.push_str(&self.options.line(line));
            }
            self.told = self.told.max(lines.len());
        }
    }
}

fn names<'a>(pod: &'a Json, field: &str) -> Vec<&'a str> {
    let containers = pod["spec"][field].as_array().into_iter().flatten();
    containers.filter_map(|one| one["name"].as_str()).collect()
}

fn container(pod: &Json, key: &Key, asked: Option<&str>) -> Result<String, Status> {
    let main = names(pod, "containers");
    let others = [
        names(pod, "initContainers"),
        names(pod, "ephemeralContainers"),
    ];
    let pod_name = &key.name;
    match asked {
        Some(name) if main.contains(&name) || others.iter().any(|all| all.contains(&name)) => {
            Ok(name.to_owned())
        }
        Some(name) => Err(Status::bad_request(format!(
            "container {name} is not valid for pod {pod_name}"
        ))),
        None => match main.as_slice() {
            [only] => Ok((*only).to_owned()),
            several => {
                let mut message = format!(
                    "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                    several.join(" ")
                );
                for (what, names) in ["init", "ephemeral"].iter().zip(&others) {
                    if !names.is_empty() {
                        let names = names.join(" ");
                        message.push_str(&format!(" or one of the {what} containers: [{names}]"));
                    }
                }
                Err(Status::bad_request(message))
            }
        },
    }
}

/// The `state` of a container in the pod's status.
fn state<'a>(pod: &'a Json, container: &str) -> &'a Json {
    let kinds = [
        "containerStatuses",
        "initContainerStatuses",
        "ephemeralContainerStatuses",
    ];
    kinds
        .iter()
        .flat_map(|kind| pod["status"][kind].as_array().into_iter().flatten())
        .find(|status| status["name"] == container)
        .map_or(&Json::Null, |status| &status["state"])
}

fn started(pod: &Json, key: &Key, container: &str) -> Result<(), Status> {
    if pod["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        return Err(Status::bad_request(format!(
            "pod {} does not have a host assigned",
            key.name
        )));
    }
    let state = state(pod, container);
    if state["running"].is_object() || state["terminated"].is_object() {
        return Ok(());
    }
    let reason = state["waiting"]["reason"].as_str();
    Err(Status::bad_request(format!(
        "container {container:?} in pod {:?} is waiting to start: {}",
        &*key.name,
        reason.unwrap_or("ContainerCreating")
    )))
}

fn no_previous(key: &Key, container: &str) -> Status {
    Status::bad_request(format!(
        "previous terminated container {container:?} in pod {:?} not found",
        &*key.name
    ))
}
