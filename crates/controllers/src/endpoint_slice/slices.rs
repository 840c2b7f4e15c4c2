//! EndpointSlices: at most a hundred endpoints each.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value as Json, json};

use super::address::{Endpoint, Port, endpoints, host_name, target};
use super::{Batches, looked_after, services};
use crate::document::Named;
use crate::draw::suffix;
use crate::{Action, Change, Context, Controller, Key, Kind, Outcome, View};

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// The default of `--max-endpoints-per-slice`.
const MOST: usize = 100;

/// Writes EndpointSlices. A key is a Service.
#[derive(Debug, Default)]
pub struct EndpointSlices {
    batches: Batches,
}

impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        services(change, view, Kind::EndpointSlice)
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let Some(service) = looked_after(view, key) else {
            // A Service that gave up its selector leaves its slices to others; one that is gone takes them with it.
            return Outcome::settled();
        };
        if let Some(later) = self.batches.too_early(key, context.now) {
            return later;
        }
        let found = endpoints(view, service);
        let count = found.values().map(Vec::len).sum();
        let actions = write(view, service, found);
        if !actions.is_empty() {
            self.batches.written(key, count, context);
        }
        Outcome::of(actions)
    }
}

fn ports_of(slice: &EndpointSlice) -> Vec<Port> {
    slice
        .ports
        .iter()
        .flatten()
        .map(|port| Port {
            name: port.name.clone().unwrap_or_default(),
            port: port.port.unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

fn zone<'a>(view: &'a View, node: &str) -> Option<&'a str> {
    let node = view.nodes.get(&Key::cluster(node))?;
    node.label("topology.kubernetes.io/zone")
}

fn endpoint(view: &View, service: &Service, endpoint: &Endpoint<'_>) -> Json {
    let facts = &endpoint.facts;
    let mut json = json!({
        "addresses": [facts.ip],
        "conditions": {"ready": endpoint.ready, "serving": facts.ready, "terminating": facts.terminating},
        "targetRef": target(endpoint.pod),
    });
    if let Some(node) = facts.node {
        json["nodeName"] = json!(node);
        if let Some(zone) = zone(view, node) {
            json["zone"] = json!(zone);
        }
    }
    if let Some(host) = host_name(endpoint.pod, service) {
        json["hostname"] = json!(host);
    }
    json
}

fn write(
    view: &View,
    service: &Service,
    mut found: BTreeMap<Vec<Port>, Vec<Endpoint<'_>>>,
) -> Vec<Action> {
    let existing: Vec<&EndpointSlice> = view
        .endpoint_slices
        .owned_by(service.uid())
        .map(|(_, slice)| &**slice)
        .filter(|slice| {
            slice.label(MANAGED_BY) == Some(MANAGER)
                && slice.address_type == "IPv4"
                && !slice.is_deleting()
        })
        .collect();
    if found.is_empty() {
        // A slice without endpoints tells that there are none.
        found.insert(Vec::new(), Vec::new());
    }
    let mut actions = Vec::new();
    let mut names: BTreeSet<String> = view
        .endpoint_slices
        .in_namespace(service.metadata.namespace.as_deref().unwrap_or_default())
        .map(|(key, _)| key.name.to_string())
        .collect();
    let mut kept: BTreeSet<&str> = BTreeSet::new();
    for (ports, endpoints) in &found {
        let mut wanted: BTreeMap<&str, Json> = endpoints
            .iter()
            .map(|one| (one.pod.uid(), endpoint(view, service, one)))
            .collect();
        // What is in a slice stays there, so that a change of one endpoint is a change of one slice.
        let mut slices: Vec<(&EndpointSlice, Vec<Json>, bool)> = Vec::new();
        for slice in existing.iter().filter(|slice| ports_of(slice) == *ports) {
            let mut changed = false;
            let mut left = Vec::new();
            for old in &slice.endpoints {
                let uid = old
                    .target_ref
                    .as_ref()
                    .and_then(|target| target.uid.as_deref());
                match uid.and_then(|uid| wanted.remove(uid)) {
                    Some(new) => {
                        changed |= serde_json::to_value(old).ok().as_ref() != Some(&new);
                        left.push(new);
                    }
                    None => changed = true,
                }
            }
            slices.push((slice, left, changed));
        }
        let mut new = endpoints
            .iter()
            .filter_map(|one| wanted.remove(one.pod.uid()));
        // The fullest take the new ones first.
        slices.sort_by_key(|(slice, left, _)| (std::cmp::Reverse(left.len()), slice.name()));
        for (_, left, changed) in &mut slices {
            let more: Vec<Json> = new.by_ref().take(MOST.saturating_sub(left.len())).collect();
            *changed |= !more.is_empty();
            left.extend(more);
        }
        let empty_allowed = endpoints.is_empty();
        let mut has_any = false;
        for (slice, left, changed) in slices {
            if left.is_empty() && (!empty_allowed || has_any) {
                continue;
            }
            has_any = true;
            kept.insert(slice.name());
            if changed || !is_current(slice, service) {
                actions.push(slice.patch_as_seen(json!({
                    "metadata": {"labels": labels(service)},
                    "endpoints": left,
                })));
            }
        }
        let rest: Vec<Json> = new.collect();
        let chunks: Vec<&[Json]> = if rest.is_empty() && !has_any {
            vec![&[]]
        } else {
            rest.chunks(MOST).collect()
        };
        for chunk in chunks {
            actions.push(create(service, ports, chunk, &mut names));
        }
    }
    for slice in existing {
        if !kept.contains(slice.name()) {
            actions.push(slice.delete(None));
        }
    }
    actions
}

fn labels(service: &Service) -> Json {
    let mut labels = json!(service.metadata.labels.clone().unwrap_or_default());
    labels[SERVICE_NAME] = json!(service.name());
    labels[MANAGED_BY] = json!(MANAGER);
    if is_headless(service) {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    labels
}

fn is_headless(service: &Service) -> bool {
    let address = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref());
    address == Some("None")
}

/// Whether a slice has the labels that it should.
fn is_current(slice: &EndpointSlice, service: &Service) -> bool {
    let there = slice.metadata.labels.as_ref();
    labels(service).as_object().is_some_and(|wanted| {
        wanted.iter().all(|(key, value)| {
            there.and_then(|labels| labels.get(key)).map(String::as_str) == value.as_str()
        })
    })
}

fn create(
    service: &Service,
    ports: &[Port],
    endpoints: &[Json],
    names: &mut BTreeSet<String>,
) -> Action {
    // The first name that is free: asked again before it is there, the same.
    let name = (0_u32..)
        .map(|turn| {
            let end = suffix(&[service.uid(), &turn.to_string()]);
            format!("{}-{end}", service.name())
        })
        .find(|name| !names.contains(name))
        .unwrap_or_default();
    names.insert(name.clone());
    Action::Create(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "generateName": format!("{}-", service.name()),
            "namespace": service.metadata.namespace,
            "labels": labels(service),
            "ownerReferences": [service.as_owner()],
        },
        "addressType": "IPv4",
        "ports": ports.iter().map(Port::json).collect::<Vec<_>>(),
        "endpoints": endpoints,
    }))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::Pace;
    use crate::testing::Cluster;

    fn service(ports: Json) -> Json {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"app": "web"}, "clusterIP": "10.100.0.9", "ports": ports}})
    }

    fn pod(number: usize, app: &str, ready: bool) -> Json {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}"), "namespace": "shop", "labels": {"app": app}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", number / 250, number % 250),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    fn addresses(cluster: &Cluster, ready: bool) -> Vec<String> {
        let mut all: Vec<String> = cluster
            .list::<EndpointSlice>("shop")
            .into_iter()
            .flat_map(|slice| slice.endpoints)
            .filter(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(ready))
            .flat_map(|endpoint| endpoint.addresses)
            .collect();
        all.sort();
        all
    }

    #[test]
    fn slices_follow_the_pods() {
        let mut cluster = Cluster::new(vec![Box::<EndpointSlices>::default()]);
        cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}}));
        cluster.create(service(
            json!([{"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}]),
        ));
        cluster.settle();
        let slices = cluster.list::<EndpointSlice>("shop");
        assert_eq!(
            slices.len(),
            1,
            "one without endpoints tells that there are none"
        );
        assert!(slices[0].endpoints.is_empty());
        cluster.create(pod(1, "web", true));
        cluster.create(pod(2, "web", false));
        cluster.create(pod(3, "other", true));
        cluster.settle();
        let slices = cluster.list::<EndpointSlice>("shop");
        assert_eq!(slices.len(), 1, "{slices:?}");
        let ports = slices[0].ports.clone().unwrap();
        assert_eq!(
            (ports[0].port, ports[0].name.as_deref()),
            (Some(8080), Some("web"))
        );
        assert_eq!(slices[0].endpoints[0].zone.as_deref(), Some("z"));
        assert_eq!(addresses(&cluster, true), ["10.0.0.1"]);
        assert_eq!(addresses(&cluster, false), ["10.0.0.2"]);
        cluster.patch_status::<Pod>(
            "shop",
            "p2",
            &json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        );
        cluster.delete::<Pod>("shop", "p1");
        cluster.settle();
        assert_eq!(addresses(&cluster, true), ["10.0.0.2"]);
        assert_eq!(
            addresses(&cluster, false),
            ["10.0.0.1"],
            "it serves until it is gone"
        );
        cluster.finish_terminating(|_| true);
        cluster.patch::<Pod>(
            "shop",
            "p3",
            &json!({"metadata": {"labels": {"app": "web"}}}),
        );
        cluster.settle();
        assert_eq!(addresses(&cluster, true), ["10.0.0.2", "10.0.0.3"]);
        let before = cluster.reconciled;
        cluster.settle();
        assert_eq!(cluster.reconciled, before);
    }

    #[test]
    fn a_hundred_to_a_slice_and_changes_stay_small() {
        let mut cluster = Cluster::new(vec![Box::<EndpointSlices>::default()]);
        cluster.pace = Pace::Immediate;
        cluster.create(service(json!([{"port": 80, "protocol": "TCP"}])));
        for number in 0..250 {
            cluster.create(pod(number, "web", true));
        }
        cluster.settle();
        let sizes = |cluster: &Cluster| -> Vec<usize> {
            let mut sizes: Vec<usize> = cluster
                .list::<EndpointSlice>("shop")
                .iter()
                .map(|slice| slice.endpoints.len())
                .collect();
            sizes.sort_unstable();
            sizes
        };
        assert_eq!(sizes(&cluster), [50, 100, 100]);
        let versions = |cluster: &Cluster| -> BTreeSet<Option<String>> {
            let slices = cluster.list::<EndpointSlice>("shop").into_iter();
            slices
                .map(|slice| slice.metadata.resource_version)
                .collect()
        };
        let before = versions(&cluster);
        cluster.patch_status::<Pod>(
            "shop",
            "p7",
            &json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        );
        cluster.settle();
        assert_eq!(before.difference(&versions(&cluster)).count(), 1);
        assert_eq!(addresses(&cluster, false).len(), 1);
    }

    #[test]
    fn a_large_service_is_written_in_batches() {
        let mut cluster = Cluster::new(vec![Box::<EndpointSlices>::default()]);
        cluster.create(service(json!([{"port": 80, "protocol": "TCP"}])));
        for number in 0..200 {
            cluster.create(pod(number, "web", true));
        }
        cluster.settle();
        cluster.create(pod(200, "web", true));
        cluster.settle();
        assert_eq!(addresses(&cluster, true).len(), 200, "not yet");
        cluster.run_for(1);
        assert_eq!(addresses(&cluster, true).len(), 201);
    }
}
