//! Endpoints: one object a Service, with at most a thousand addresses.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Map, Value as Json, json};

use super::address::{Endpoint, endpoints, host_name, target};
use super::{Batches, looked_after, services};
use crate::document::Named;
use crate::{Action, Change, Context, Controller, Key, Kind, Outcome, View};

/// How many addresses there may be (`maxCapacity` in `pkg/controller/endpoint`).
const MOST: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";

/// Writes Endpoints. A key is a Service.
#[derive(Debug, Default)]
pub struct EndpointsObjects {
    batches: Batches,
}

impl Controller for EndpointsObjects {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        services(change, view, Kind::Endpoints)
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let there = view.endpoints.get(key);
        let Some(service) = looked_after(view, key) else {
            // Endpoints go with their Service; those of one without a selector are somebody else's.
            let ours = there.filter(|there| there.label(MANAGED_BY) == Some(self.name()));
            return match ours {
                Some(there) if view.services.get(key).is_none() => {
                    Outcome::of(vec![there.delete(None)])
                }
                _ => Outcome::settled(),
            };
        };
        if let Some(later) = self.batches.too_early(key, context.now) {
            return later;
        }
        let found = endpoints(view, service);
        let count: usize = found.values().map(Vec::len).sum();
        let mut room = MOST;
        let mut subsets = Vec::new();
        for (ports, all) in &found {
            let mut subset = Map::new();
            // Those that are ready come first where not all have room.
            for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
                let mut addresses: Vec<Json> = all
                    .iter()
                    .filter(|one| one.ready == ready && !one.facts.terminating)
                    .take(room)
                    .map(|one| address(service, one))
                    .collect();
                room -= addresses.len();
                addresses.sort_by(|one, other| one["ip"].as_str().cmp(&other["ip"].as_str()));
                if !addresses.is_empty() {
                    subset.insert(field.to_owned(), json!(addresses));
                }
            }
            if subset.is_empty() {
                continue;
            }
            if !ports.is_empty() {
                let ports: Vec<Json> = ports
                    .iter()
                    .map(|port| {
                        let mut json = port.json();
                        if port.name.is_empty()
                            && let Json::Object(fields) = &mut json
                        {
                            fields.remove("name");
                        }
                        json
                    })
                    .collect();
                subset.insert("ports".to_owned(), json!(ports));
            }
            subsets.push(Json::Object(subset));
        }
        let mut labels = service.metadata.labels.clone().unwrap_or_default();
        labels.insert(MANAGED_BY.to_owned(), self.name().to_owned());
        let action = match there {
            None => {
                let mut metadata =
                    json!({"name": &*key.name, "namespace": &*key.namespace, "labels": labels});
                if count > MOST {
                    metadata["annotations"] = json!({OVER_CAPACITY: "truncated"});
                }
                Some(Action::Create(json!({
                    "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets,
                })))
            }
            Some(there) => {
                let truncated = (count > MOST).then_some("truncated");
                let known = serde_json::to_value(&there.subsets).unwrap_or_default();
                let known = if known.is_null() { json!([]) } else { known };
                let same = known == json!(subsets)
                    && there.metadata.labels.as_ref() == Some(&labels)
                    && there.annotation(OVER_CAPACITY) == truncated;
                (!same).then(|| {
                    there.patch_as_seen(json!({
                        "metadata": {"labels": labels, "annotations": {OVER_CAPACITY: truncated}},
                        "subsets": subsets,
                    }))
                })
            }
        };
        if action.is_some() {
            self.batches.written(key, count, context);
        }
        Outcome::of(action.into_iter().collect())
    }
}

fn address(service: &Service, endpoint: &Endpoint<'_>) -> Json {
    let mut json = json!({"ip": endpoint.facts.ip, "targetRef": target(endpoint.pod)});
    if let Some(node) = endpoint.facts.node {
        json["nodeName"] = json!(node);
    }
    if let Some(host) = host_name(endpoint.pod, service) {
        json["hostname"] = json!(host);
    }
    json
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Endpoints, Pod};

    use super::*;
    use crate::testing::Cluster;

    #[test]
    fn addresses_by_readiness_then_gone_with_the_service() {
        let mut cluster = Cluster::new(vec![Box::<EndpointsObjects>::default()]);
        cluster.create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]}}));
        for (name, ready) in [("a", "True"), ("b", "False")] {
            cluster.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
                "spec": {"nodeName": "n", "containers": []},
                "status": {"phase": "Running", "podIP": if name == "a" { "10.0.0.1" } else { "10.0.0.2" }, "conditions": [{"type": "Ready", "status": ready}]}}));
        }
        cluster.settle();
        let subsets = cluster.get::<Endpoints>("shop", "web").subsets.unwrap();
        assert_eq!(subsets.len(), 1);
        assert_eq!(subsets[0].addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
        assert_eq!(
            subsets[0].not_ready_addresses.as_ref().unwrap()[0].ip,
            "10.0.0.2"
        );
        assert_eq!(subsets[0].ports.as_ref().unwrap()[0].port, 8080);
        cluster.delete::<Pod>("shop", "a");
        cluster.settle();
        let subsets = cluster.get::<Endpoints>("shop", "web").subsets.unwrap();
        assert_eq!(
            subsets[0].addresses, None,
            "who is on the way out is not in it"
        );
        let before = cluster.reconciled;
        cluster.settle();
        assert_eq!(cluster.reconciled, before);
        cluster.delete::<Service>("shop", "web");
        cluster.settle();
        assert!(cluster.find::<Endpoints>("shop", "web").is_none());
    }

    #[test]
    fn those_of_a_service_without_selector_are_others() {
        let mut cluster = Cluster::new(vec![Box::<EndpointsObjects>::default()]);
        cluster.create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "shop"}, "spec": {"ports": [{"port": 1}]}}));
        cluster.create(json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "shop"}, "subsets": [{"addresses": [{"ip": "1.2.3.4"}]}]}));
        cluster.settle();
        cluster.delete::<Service>("shop", "db");
        cluster.settle();
        assert!(cluster.find::<Endpoints>("shop", "db").is_some());
    }
}
