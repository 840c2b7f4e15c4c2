//! What a pod is to a Service.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value as Json, json};

use super::selects;
use crate::View;
use crate::document::Named;

/// What of a pod a Service's endpoints depend on, besides its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    pub ip: &'a str,
    pub node: Option<&'a str>,
    pub ready: bool,
    pub terminating: bool,
    /// Done or failed: it serves nothing any more.
    pub ended: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn of(pod: &'a Pod) -> Self {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        Self {
            ip: status
                .and_then(|status| status.pod_ip.as_deref())
                .unwrap_or_default(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()),
            ready: status
                .and_then(|status| status.conditions.as_deref())
                .unwrap_or_default()
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            terminating: pod.is_deleting(),
            ended: matches!(phase, Some("Succeeded" | "Failed")),
        }
    }
}

/// A port of an endpoint: the Service's name for it and the pod's number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub name: String,
    pub port: i32,
    pub protocol: String,
    pub app_protocol: Option<String>,
}

impl Port {
    pub(super) fn json(&self) -> Json {
        let mut json = json!({"name": self.name, "port": self.port, "protocol": self.protocol});
        if let Some(app_protocol) = &self.app_protocol {
            json["appProtocol"] = json!(app_protocol);
        }
        json
    }
}

/// A pod that a Service sends to.
pub(super) struct Endpoint<'a> {
    pub pod: &'a Arc<Pod>,
    pub facts: Facts<'a>,
    /// It counts as ready, by itself or because the Service publishes all of them.
    pub ready: bool,
}

/// The pods of a Service by the ports that they have, in the order of their names. Pods whose containers name their ports differently
/// are apart from each other.
pub(super) fn endpoints<'a>(
    view: &'a View,
    service: &Service,
) -> BTreeMap<Vec<Port>, Vec<Endpoint<'a>>> {
    let spec = service.spec.clone().unwrap_or_default();
    let publishes = spec.publish_not_ready_addresses.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default();
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut found: BTreeMap<Vec<Port>, Vec<Endpoint<'a>>> = BTreeMap::new();
    for (_, pod) in view.pods.in_namespace(namespace) {
        if !selects(service, pod) {
            continue;
        }
        let facts = Facts::of(pod);
        if facts.ip.is_empty() || facts.ended {
            continue;
        }
        let of_pod = ports
            .iter()
            .filter_map(|port| resolve(port, pod))
            .collect::<Vec<_>>();
        let ready = publishes || (facts.ready && !facts.terminating);
        found
            .entry(of_pod)
            .or_default()
            .push(Endpoint { pod, facts, ready });
    }
    found
}

/// A Service's port at a pod; none where no container has a port of the name that the Service sends to.
fn resolve(port: &ServicePort, pod: &Pod) -> Option<Port> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let spec = pod.spec.as_ref()?;
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let named = |container: &Container| {
                let ports = container.ports.as_deref().unwrap_or_default();
                ports
                    .iter()
                    .find(|other| {
                        other.name.as_ref() == Some(name)
                            && other.protocol.as_deref().unwrap_or("TCP") == protocol
                    })
                    .map(|other| other.container_port)
            };
            spec.containers.iter().chain(sidecars).find_map(named)?
        }
    };
    Some(Port {
        name: port.name.clone().unwrap_or_default(),
        port: number,
        protocol: protocol.to_owned(),
        app_protocol: port.app_protocol.clone(),
    })
}

/// What an endpoint says about its pod.
pub(super) fn target(pod: &Pod) -> Json {
    json!({"kind": "Pod", "namespace": pod.metadata.namespace, "name": pod.name(), "uid": pod.uid()})
}

/// The host name of a pod that has one below a headless Service.
pub(super) fn host_name<'a>(pod: &'a Pod, service: &Service) -> Option<&'a str> {
    let spec = pod.spec.as_ref()?;
    let host = spec.hostname.as_deref().filter(|host| !host.is_empty())?;
    (spec.subdomain.as_deref() == Some(service.name())).then_some(host)
}
