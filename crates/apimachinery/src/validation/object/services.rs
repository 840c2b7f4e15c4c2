//! Services and what leads to them.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::found::{Found, list, text};
use super::{metadata, selector};
use crate::validation::names;

pub(super) fn service(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    let kind = text(&spec["type"]);
    let headless = spec["clusterIP"] == "None";
    if found.has_text("spec.type", &spec["type"]) {
        found.one_of(
            "spec.type",
            &spec["type"],
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        );
    }
    let ports = list(&spec["ports"]);
    if ports.is_empty() && !headless && kind != "ExternalName" {
        found.required("spec.ports", "");
    }
    match kind {
        "ExternalName" => {
            let name = text(&spec["externalName"]).trim_end_matches('.');
            if name.is_empty() {
                found.required("spec.externalName", "");
            } else if let Some(why) = names::dns_subdomain(name) {
                found.invalid("spec.externalName", &spec["externalName"], why);
            }
            if !text(&spec["clusterIP"]).is_empty() {
                let why = "may not be set when `type` is 'ExternalName'";
                found.forbidden("spec.clusterIPs", why);
            }
        }
        "LoadBalancer" | "NodePort" if headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            found.invalid("spec.clusterIPs[0]", &"None".into(), why);
        }
        _ => {}
    }
    self::ports(kind, ports, found);
    metadata::labels("spec.selector", &spec["selector"], found);
    if found.has_text("spec.sessionAffinity", &spec["sessionAffinity"]) {
        found.one_of(
            "spec.sessionAffinity",
            &spec["sessionAffinity"],
            &["ClientIP", "None"],
        );
    }
    found.one_of(
        "spec.externalTrafficPolicy",
        &spec["externalTrafficPolicy"],
        &["Cluster", "Local"],
    );
    found.one_of(
        "spec.internalTrafficPolicy",
        &spec["internalTrafficPolicy"],
        &["Cluster", "Local"],
    );
    let reachable = matches!(kind, "LoadBalancer" | "NodePort")
        || kind == "ClusterIP" && !list(&spec["externalIPs"]).is_empty();
    if !reachable && !text(&spec["externalTrafficPolicy"]).is_empty() {
        found.invalid(
            "spec.externalTrafficPolicy",
            &spec["externalTrafficPolicy"],
            "may only be set for externally-accessible services",
        );
    }
    if let Some(old) = old {
        update(spec, &old["spec"], found);
    }
}

fn ports(kind: &str, ports: &[Json], found: &mut Found) {
    let (mut seen_names, mut seen) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        let name = text(&port["name"]);
        if name.is_empty() {
            if ports.len() > 1 {
                found.required(at("name"), "");
            }
        } else {
            found.named(at("name"), &port["name"], names::dns_1123_label);
            if !seen_names.insert(name) {
                found.duplicate(at("name"), &port["name"]);
            }
        }
        found.port(at("port"), &port["port"]);
        if found.has_text(at("protocol"), &port["protocol"]) {
            found.one_of(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        }
        let target = &port["targetPort"];
        match target.as_str() {
            Some(name) => {
                for why in names::port_name(name) {
                    found.invalid(at("targetPort"), target, why);
                }
            }
            None => found.port(at("targetPort"), target),
        }
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
            let why = format!("may not be used when `type` is '{kind}'");
            found.forbidden(at("nodePort"), &why);
        }
        let own = json!({"protocol": port["protocol"], "port": port["port"]});
        if !seen.insert(own.to_string()) {
            found.duplicate(format!("spec.ports[{index}]"), &own);
        }
    }
}

fn update(new: &Json, old: &Json, found: &mut Found) {
    let external = |spec: &Json| spec["type"] == "ExternalName";
    let (now, before) = (text(&new["clusterIP"]), text(&old["clusterIP"]));
    if !external(new) && !external(old) && !before.is_empty() && !now.is_empty() && now != before {
        let shown = json!([now]);
        found.invalid("spec.clusterIPs[0]", &shown, "may not change once set");
    }
    let (class, was) = (&new["loadBalancerClass"], &old["loadBalancerClass"]);
    if new["type"] == "LoadBalancer" && old["type"] == "LoadBalancer" && class != was {
        found.invalid("spec.loadBalancerClass", class, "may not change once set");
    }
}

pub(super) fn ingress(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    let default = &spec["defaultBackend"];
    if list(&spec["rules"]).is_empty() && default.is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        found.invalid("spec", spec, why);
    }
    if !default.is_null() {
        backend("spec.defaultBackend", default, found);
    }
    for (index, rule) in list(&spec["rules"]).iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = text(&rule["host"]);
        let plain = host.strip_prefix("*.").unwrap_or(host);
        if let Some(why) = Some(plain)
            .filter(|it| !it.is_empty())
            .and_then(names::dns_subdomain)
        {
            found.invalid(format!("{path}.host"), &rule["host"], why);
        }
        if rule["http"].is_null() {
            continue;
        }
        if list(&rule["http"]["paths"]).is_empty() {
            found.required(format!("{path}.http.paths"), "");
        }
        for (index, one) in list(&rule["http"]["paths"]).iter().enumerate() {
            let path = format!("{path}.http.paths[{index}]");
            let kind = &one["pathType"];
            match text(kind) {
                "" => found.required(format!("{path}.pathType"), "pathType must be specified"),
                "Exact" | "Prefix" => {
                    if !text(&one["path"]).starts_with('/') {
                        let why = "must be an absolute path";
                        found.invalid(format!("{path}.path"), &one["path"], why);
                    }
                }
                "ImplementationSpecific" => {}
                _ => found.unsupported(
                    format!("{path}.pathType"),
                    kind,
                    &["Exact", "ImplementationSpecific", "Prefix"],
                ),
            }
            backend(&format!("{path}.backend"), &one["backend"], found);
        }
    }
}

fn backend(path: &str, backend: &Json, found: &mut Found) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_object(), resource.is_object()) {
        (true, true) => {
            let why = "cannot set both resource and service backends";
            found.invalid(path, &"".into(), why);
        }
        (false, false) => {
            let why = "resource or service backend is required";
            found.required(path, why);
        }
        (true, false) => {
            found.has_text(format!("{path}.service.name"), &service["name"]);
            let port = &service["port"];
            let number = port["number"].as_i64().unwrap_or(0);
            match (number, text(&port["name"])) {
                (0, "") => found.required(
                    format!("{path}.service.port"),
                    "port name or number is required",
                ),
                (0, _) => {}
                (_, "") => found.port(format!("{path}.service.port.number"), &port["number"]),
                _ => found.invalid(
                    format!("{path}.service.port"),
                    port,
                    "cannot set both port name & port number",
                ),
            }
        }
        (false, true) => {
            found.has_text(format!("{path}.resource.kind"), &resource["kind"]);
            found.has_text(format!("{path}.resource.name"), &resource["name"]);
        }
    }
}

pub(super) fn network_policy(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    selector::check("spec.podSelector", &spec["podSelector"], found);
    for (index, kind) in list(&spec["policyTypes"]).iter().enumerate() {
        let path = format!("spec.policyTypes[{index}]");
        found.one_of(path, kind, &["Egress", "Ingress"]);
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(&spec[direction]).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (number, peer) in list(&rule[peers]).iter().enumerate() {
                let path = format!("{path}.{peers}[{number}]");
                let pods = peer["podSelector"].is_object() || peer["namespaceSelector"].is_object();
                match (pods, peer["ipBlock"].is_object()) {
                    (true, true) => {
                        found.forbidden(path, "may not specify both ipBlock and another peer")
                    }
                    (false, false) => found.required(path, "must specify a peer"),
                    _ => {}
                }
            }
            for (number, port) in list(&rule["ports"]).iter().enumerate() {
                let path = format!("{path}.ports[{number}]");
                found.one_of(
                    format!("{path}.protocol"),
                    &port["protocol"],
                    &["SCTP", "TCP", "UDP"],
                );
                if port["port"].is_number() {
                    found.port(format!("{path}.port"), &port["port"]);
                }
            }
        }
    }
}

pub(super) fn endpoint_slice(new: &Json, old: Option<&Json>, found: &mut Found) {
    let kind = &new["addressType"];
    if found.has_text("addressType", kind) {
        found.one_of("addressType", kind, &["FQDN", "IPv4", "IPv6"]);
    }
    for (index, endpoint) in list(&new["endpoints"]).iter().enumerate() {
        if list(&endpoint["addresses"]).is_empty() {
            let path = format!("endpoints[{index}].addresses");
            found.required(path, "must contain at least 1 address");
        }
    }
    if let Some(old) = old {
        found.fixed("addressType", kind, &old["addressType"]);
    }
}
