//! What simulated pods print and use, for the ports of the API server and for the autoscaler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use apiserver::ports::Usage;
use apiserver::registry::About;
use apiserver::store::Revision;
use apiserver::{Clock, Local, Logs, Metrics};
use controllers::metrics::{Described, PodUsage, Sample};
use controllers::{Key, View};
use jiff::{SignedDuration, Timestamp};
use objects::Quantity;
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value as Json;

use super::time::ClusterTime;

/// How long a measured value stands, in seconds of the cluster's time (metrics-server's `--metric-resolution`).
pub(super) const METRIC_RESOLUTION: i64 = 15;

/// What containers print.
pub(super) struct SimulatedLogs;

impl Logs for SimulatedLogs {
    fn lines(&self, pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
        controllers::kubelet::log_lines(pod, container, now)
    }

    fn previous(&self, pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
        controllers::kubelet::previous_log_lines(pod, container, now)
    }
}

/// The load model behind `metrics.k8s.io`.
pub(super) struct SimulatedMetrics {
    time: ClusterTime,
    /// Where the pods are; there is a server only after this.
    local: OnceLock<Local>,
    nodes: Mutex<Nodes>,
}

/// What nodes use, as it was last reckoned: when, how the store was then, and in which window of the cluster's time.
#[derive(Default)]
struct Nodes {
    of: Option<(Instant, Revision, i64)>,
    used: BTreeMap<String, Usage>,
}

impl Nodes {
    /// How old an answer may be, on the wall: who asks for one node asks for all, and much is written meanwhile.
    const HOLDS: Duration = Duration::from_secs(1);

    fn are_of(&self, revision: Revision, window: i64) -> bool {
        self.of.is_some_and(|(at, other, then)| {
            (other, then) == (revision, window) || at.elapsed() < Self::HOLDS
        })
    }
}

/// What is known of the shares of workloads' loads, by the workload's uid.
type Shares = BTreeMap<String, Option<i64>>;

impl SimulatedMetrics {
    pub(super) fn new(time: ClusterTime) -> Self {
        Self {
            time,
            local: OnceLock::new(),
            nodes: Mutex::default(),
        }
    }

    pub(super) fn follow(&self, local: Local) {
        let _ = self.local.set(local);
    }
}

/// What a pod's containers use.
fn used(local: &Local, pod: &Json, now: Timestamp, shares: &mut Shares) -> Vec<(String, Usage)> {
    let owner = controller(pod).and_then(|owner| owner["uid"].as_str());
    let share = owner.and_then(|uid| match shares.get(uid) {
        Some(known) => *known,
        None => {
            let share = share(local, pod);
            shares.insert(uid.to_owned(), share);
            share
        }
    });
    controllers::kubelet::usage(pod, share, now)
        .into_iter()
        .map(|(container, usage)| (container, as_port(usage)))
        .collect()
}

/// A pod's part of the load that its workload is annotated with.
fn share(local: &Local, pod: &Json) -> Option<i64> {
    let annotation = controllers::kubelet::load_annotation();
    let namespace = pod["metadata"]["namespace"].as_str()?;
    let mut workload = owner(local, namespace, pod)?;
    // What is above a ReplicaSet.
    while let Some(above) = owner(local, namespace, &workload) {
        workload = above;
    }
    let load = workload["metadata"]["annotations"][&annotation].as_str()?;
    let status = &workload["status"];
    let ready = status["readyReplicas"]
        .as_i64()
        .or_else(|| status["numberReady"].as_i64());
    controllers::kubelet::share(load, i32::try_from(ready.unwrap_or(0)).ok()?)
}

/// What an object says of what controls it.
fn controller(object: &Json) -> Option<&Json> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}

/// The workload that controls an object.
fn owner(local: &Local, namespace: &str, object: &Json) -> Option<Json> {
    let owner = controller(object)?;
    let resource = match owner["kind"].as_str()? {
        "ReplicaSet" => "replicasets",
        "Deployment" => "deployments",
        "StatefulSet" => "statefulsets",
        "DaemonSet" => "daemonsets",
        _ => return None,
    };
    let about = About {
        group: "apps",
        resource,
        namespace,
        name: owner["name"].as_str()?,
    };
    Some(local.get(about)?.json())
}

fn as_port(usage: controllers::metrics::Usage) -> Usage {
    Usage {
        cpu_milli: u64::try_from(usage.cpu_milli).unwrap_or(0),
        memory_bytes: u64::try_from(usage.memory_bytes).unwrap_or(0),
    }
}

impl Metrics for SimulatedMetrics {
    fn pod(&self, namespace: &str, name: &str) -> Option<Vec<(String, Usage)>> {
        let about = About {
            group: "",
            resource: "pods",
            namespace,
            name,
        };
        let local = self.local.get()?;
        let pod = local.get(about)?.json();
        let used = used(local, &pod, self.time.now(), &mut Shares::new());
        (!used.is_empty()).then_some(used)
    }

    /// All nodes are reckoned at once: whoever asks for one asks for the others next.
    fn node(&self, name: &str) -> Option<Usage> {
        let local = self.local.get()?;
        let now = self.time.now();
        let revision = *local.registry().store().subscribe().borrow();
        let window = now.as_second() / METRIC_RESOLUTION;
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if !nodes.are_of(revision, window) {
            let mut shares = Shares::new();
            nodes.used.clear();
            for pod in local.list("", "pods", None).items {
                let node = pod.field("spec.nodeName");
                if node.is_empty() {
                    continue;
                }
                let sum = nodes.used.entry(node.to_string()).or_default();
                for (_, usage) in used(local, &pod.json(), now, &mut shares) {
                    sum.cpu_milli += usage.cpu_milli;
                    sum.memory_bytes += usage.memory_bytes;
                }
            }
            nodes.of = Some((Instant::now(), revision, window));
        }
        let of_pods = nodes.used.get(name).copied().unwrap_or_default();
        let system = as_port(controllers::kubelet::OF_THE_SYSTEM);
        Some(Usage {
            cpu_milli: of_pods.cpu_milli + system.cpu_milli,
            memory_bytes: of_pods.memory_bytes + system.memory_bytes,
        })
    }
}

/// Measures pods for the autoscaler: those of the namespaces that have one.
pub(super) fn measure(view: &mut View, now: Timestamp) {
    let scalers = view.horizontal_pod_autoscalers.iter();
    let namespaces: BTreeSet<&str> = scalers.map(|(key, _)| &*key.namespace).collect();
    let mut pods = BTreeMap::new();
    let looked_at = namespaces.into_iter();
    for (key, pod) in looked_at.flat_map(|namespace| view.pods.in_namespace(namespace)) {
        let containers = controllers::kubelet::usage_in(view, pod, now);
        if !containers.is_empty() {
            let usage = PodUsage {
                at: now,
                window: SignedDuration::from_secs(METRIC_RESOLUTION),
                containers,
            };
            pods.insert(key.clone(), usage);
        }
    }
    let (custom, external) = annotated(view, now);
    view.metrics.pods = pods;
    view.metrics.custom = custom;
    view.metrics.external = external;
}

/// Where the values of custom and external metrics stand: `sandbox.seaworthy.dev/metric.<name>`.
const METRIC: &str = "metric.";

/// Custom metrics, by what they describe, and external ones, by namespace.
type Annotated = (
    BTreeMap<Described, Vec<Sample>>,
    BTreeMap<String, Vec<Sample>>,
);

/// Custom and external metrics. An annotation of a pod, Service, Ingress or workload is a metric of it; one of a namespace is an
/// external metric of the autoscalers in it (the length of a queue, say). Neither is served to clients as an API.
fn annotated(view: &View, now: Timestamp) -> Annotated {
    let (mut custom, mut external) = (BTreeMap::new(), BTreeMap::new());
    let mut describe = |kind: &str, key: &Key, metadata: &ObjectMeta| {
        let samples = samples(metadata, now);
        if !samples.is_empty() {
            let kind = kind.to_owned();
            let key = key.clone();
            custom.insert(Described { kind, key }, samples);
        }
    };
    for (key, object) in view.pods.iter() {
        describe("Pod", key, &object.metadata);
    }
    for (key, object) in view.services.iter() {
        describe("Service", key, &object.metadata);
    }
    for (key, object) in view.ingresses.iter() {
        describe("Ingress", key, &object.metadata);
    }
    for (key, object) in view.deployments.iter() {
        describe("Deployment", key, &object.metadata);
    }
    for (key, object) in view.stateful_sets.iter() {
        describe("StatefulSet", key, &object.metadata);
    }
    for (key, object) in view.namespaces.iter() {
        let samples = samples(&object.metadata, now);
        if !samples.is_empty() {
            external.insert(key.name.to_string(), samples);
        }
    }
    (custom, external)
}

fn samples(metadata: &ObjectMeta, now: Timestamp) -> Vec<Sample> {
    let annotations = metadata.annotations.iter().flatten();
    annotations
        .filter_map(|(name, value)| {
            let metric = name
                .strip_prefix(controllers::kubelet::behaviour::PREFIX)?
                .strip_prefix(METRIC)?;
            let value: Quantity = value.parse().ok()?;
            Some(Sample {
                metric: metric.to_owned(),
                labels: BTreeMap::new(),
                milli: value.milli(),
                at: now,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_are_metrics() {
        let mut view = View::default();
        let mut put = |group: &str, resource: &str, key: Key, mut object: Json| {
            object["metadata"]["name"] = json!(&*key.name);
            object["metadata"]["namespace"] = json!(&*key.namespace);
            view.apply(group, resource, &key, Some(object.to_string().as_bytes()))
                .unwrap();
        };
        let with = |value: &str| json!({"metadata": {"annotations": {"sandbox.seaworthy.dev/metric.jobs": value, "jobs": "1"}}});
        put("", "services", Key::new("shop", "web"), with("1500m"));
        put("", "services", Key::new("shop", "none"), with("many"));
        put("", "namespaces", Key::cluster("shop"), with("40"));
        let (custom, external) = annotated(&view, Timestamp::UNIX_EPOCH);
        let web = Described {
            kind: "Service".to_owned(),
            key: Key::new("shop", "web"),
        };
        assert_eq!(custom.keys().collect::<Vec<_>>(), [&web]);
        assert_eq!(
            (custom[&web][0].metric.as_str(), custom[&web][0].milli),
            ("jobs", 1500)
        );
        assert_eq!(external["shop"][0].milli, 40_000);
    }
}
