//! What field selectors ask of objects.

use std::fmt::Write as _;

use apimachinery::GroupResource;
use serde::Deserialize;

/// A field that a field selector may name (beside `metadata.name` and `metadata.namespace`), with its value as text.
pub type Field = (&'static str, Box<str>);

/// The node ports of a Service, for finding a free one. No client can select by it.
pub const NODE_PORTS: &str = "nodePorts";
/// All cluster IPs of a Service, for the same.
pub const CLUSTER_IPS: &str = "clusterIPs";

/// Reads an object's selectable fields. An object that isn't of its type has none.
pub(super) fn of(resource: &GroupResource, bytes: &[u8]) -> Box<[Field]> {
    let group = &*resource.group;
    match (group, &*resource.resource) {
        ("", "pods") => read(bytes, |pod: Pod| {
            vec![
                ("spec.nodeName", pod.spec.node_name),
                ("spec.restartPolicy", pod.spec.restart_policy),
                ("spec.schedulerName", pod.spec.scheduler_name),
                ("spec.serviceAccountName", pod.spec.service_account_name),
                ("spec.hostNetwork", truth(pod.spec.host_network)),
                ("status.phase", pod.status.phase),
                ("status.podIP", pod.status.pod_ip),
                ("status.nominatedNodeName", pod.status.nominated_node_name),
            ]
        }),
        ("", "nodes") => read(bytes, |node: Node| {
            vec![("spec.unschedulable", truth(node.spec.unschedulable))]
        }),
        ("", "namespaces") => read(bytes, |of: Phased| vec![("status.phase", of.status.phase)]),
        ("", "secrets") => read(bytes, |secret: Secret| vec![("type", secret.type_)]),
        ("", "services") => read(bytes, service),
        ("", "replicationcontrollers") | ("apps", "replicasets") => read(bytes, |of: Counted| {
            vec![("status.replicas", of.status.replicas.to_string())]
        }),
        ("batch", "jobs") => read(bytes, |of: Counted| {
            vec![("status.successful", of.status.succeeded.to_string())]
        }),
        ("", "events") => read(bytes, |event: Event| {
            let about = event.involved_object;
            vec![
                ("involvedObject.kind", about.kind),
                ("involvedObject.namespace", about.namespace),
                ("involvedObject.name", about.name),
                ("involvedObject.uid", about.uid),
                ("involvedObject.apiVersion", about.api_version),
                ("involvedObject.resourceVersion", about.resource_version),
                ("involvedObject.fieldPath", about.field_path),
                ("reason", event.reason),
                ("reportingComponent", event.reporting_component.clone()),
                (
                    "source",
                    if event.source.component.is_empty() {
                        event.reporting_component
                    } else {
                        event.source.component
                    },
                ),
                ("type", event.type_),
            ]
        }),
        ("certificates.k8s.io", "certificatesigningrequests") => read(bytes, |request: Signing| {
            vec![("spec.signerName", request.spec.signer_name)]
        }),
        _ => Box::default(),
    }
}

fn read<T: for<'a> Deserialize<'a>>(
    bytes: &[u8],
    fields: impl Fn(T) -> Vec<(&'static str, String)>,
) -> Box<[Field]> {
    serde_json::from_slice(bytes).map_or_else(
        |_| Box::default(),
        |object| {
            fields(object)
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, value.into_boxed_str()))
                .collect()
        },
    )
}

fn truth(value: bool) -> String {
    value.to_string()
}

fn service(service: Service) -> Vec<(&'static str, String)> {
    let spec = service.spec;
    let mut node_ports = String::new();
    for port in spec.ports.iter().map(|port| port.node_port) {
        if port != 0 {
            // Writing to a String doesn't fail.
            let _ = write!(node_ports, "{port} ");
        }
    }
    if spec.health_check_node_port != 0 {
        let _ = write!(node_ports, "{} ", spec.health_check_node_port);
    }
    vec![
        ("spec.clusterIP", spec.cluster_ip),
        ("spec.type", spec.type_),
        (CLUSTER_IPS, spec.cluster_ips.join(" ")),
        (NODE_PORTS, node_ports),
    ]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    restart_policy: String,
    scheduler_name: String,
    service_account_name: String,
    host_network: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    nominated_node_name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node {
    spec: NodeSpec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Phased {
    status: Phase,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Phase {
    phase: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Secret {
    #[serde(rename = "type")]
    type_: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "type")]
    type_: String,
    ports: Vec<ServicePort>,
    health_check_node_port: u16,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ServicePort {
    node_port: u16,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counted {
    status: Counts,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    replicas: i64,
    succeeded: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    involved_object: Involved,
    reason: String,
    reporting_component: String,
    source: Source,
    #[serde(rename = "type")]
    type_: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Involved {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    api_version: String,
    resource_version: String,
    field_path: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    component: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Signing {
    spec: SigningSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SigningSpec {
    signer_name: String,
}
