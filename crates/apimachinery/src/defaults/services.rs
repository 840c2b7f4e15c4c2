//! Services and what is around them.

use serde_json::{Value as Json, json};

use super::protocols;
use super::put::{child, child_or_new, items, put, set, set_text};

pub(super) fn service(object: &mut Json) {
    let spec = child_or_new(object, "spec");
    set_text(spec, "sessionAffinity", "None");
    match spec["sessionAffinity"].as_str() {
        Some("None") => {
            if let Json::Object(spec) = spec {
                spec.remove("sessionAffinityConfig");
            }
        }
        Some("ClientIP") => {
            let client = child_or_new(child_or_new(spec, "sessionAffinityConfig"), "clientIP");
            set(client, "timeoutSeconds", 10800);
        }
        _ => {}
    }
    set_text(spec, "type", "ClusterIP");
    protocols(spec, "ports");
    for port in items(spec, "ports") {
        let target = &port["targetPort"];
        if target.is_null() || *target == 0 || *target == "" {
            let own = port["port"].clone();
            put(port, "targetPort", own);
        }
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    let external_ips = spec["externalIPs"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if matches!(&*kind, "NodePort" | "LoadBalancer") || kind == "ClusterIP" && external_ips {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(&*kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        if let Some(status) = child(object, "status")
            && let Some(balancer) = child(status, "loadBalancer")
        {
            for ingress in items(balancer, "ingress") {
                if ingress["ip"].as_str().is_some_and(|ip| !ip.is_empty()) {
                    set(ingress, "ipMode", "VIP");
                }
            }
        }
    }
}

pub(super) fn endpoints(object: &mut Json) {
    for subset in items(object, "subsets") {
        protocols(subset, "ports");
    }
}

pub(super) fn endpoint_slice(object: &mut Json) {
    for port in items(object, "ports") {
        set(port, "name", "");
        set(port, "protocol", "TCP");
    }
}

pub(super) fn network_policy(object: &mut Json) {
    let spec = child_or_new(object, "spec");
    for list in ["ingress", "egress"] {
        for rule in items(spec, list) {
            for port in items(rule, "ports") {
                set(port, "protocol", "TCP");
            }
        }
    }
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let egress = spec["egress"].as_array().is_some_and(|it| !it.is_empty());
        let types = match egress {
            true => json!(["Ingress", "Egress"]),
            false => json!(["Ingress"]),
        };
        put(spec, "policyTypes", types);
    }
}

pub(super) fn ingress_class(object: &mut Json) {
    if let Some(spec) = child(object, "spec")
        && let Some(parameters) = child(spec, "parameters")
    {
        set(parameters, "scope", "Cluster");
    }
}
