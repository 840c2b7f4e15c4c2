//! Pods and pod templates.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value as Json, json};

use super::found::{Found, entries, list, replace, same, text};
use super::metadata;
use crate::quantity::Quantity;
use crate::validation::names;

pub(super) fn pod(new: &Json, old: Option<&Json>, found: &mut Found) {
    spec("spec", &new["spec"], found);
    if let Some(old) = old {
        update(&new["spec"], &old["spec"], found);
    }
}

/// `metadata` and `spec` of pods to be. A workload that keeps pods running wants `Always` as their restart policy.
pub(super) fn template(path: &str, template: &Json, always: bool, found: &mut Found) {
    let meta = &template["metadata"];
    metadata::labels(&format!("{path}.metadata.labels"), &meta["labels"], found);
    metadata::annotations(
        &format!("{path}.metadata.annotations"),
        &meta["annotations"],
        found,
    );
    let policy = &template["spec"]["restartPolicy"];
    spec(&format!("{path}.spec"), &template["spec"], found);
    if always && policy.is_string() && policy != "Always" {
        found.unsupported(format!("{path}.spec.restartPolicy"), policy, &["Always"]);
    }
}

fn spec(path: &str, spec: &Json, found: &mut Found) {
    let at = |field: &str| format!("{path}.{field}");
    let volumes = volumes(&at("volumes"), spec, found);
    if list(&spec["containers"]).is_empty() {
        found.required(at("containers"), "");
    }
    let mut container_names = HashSet::new();
    let mut ports = HashSet::new();
    for group in ["containers", "initContainers", "ephemeralContainers"] {
        for (index, one) in list(&spec[group]).iter().enumerate() {
            let path = format!("{path}.{group}[{index}]");
            if found.has_text(format!("{path}.name"), &one["name"]) {
                found.named(format!("{path}.name"), &one["name"], names::dns_1123_label);
                if !container_names.insert(text(&one["name"])) {
                    found.duplicate(format!("{path}.name"), &one["name"]);
                }
            }
            container(&path, one, &volumes, found);
            // Init containers run one after the other.
            if group == "containers" {
                host_ports(&path, one, &mut ports, found);
            }
        }
    }
    found.one_of(
        at("restartPolicy"),
        &spec["restartPolicy"],
        &["Always", "Never", "OnFailure"],
    );
    found.one_of(
        at("dnsPolicy"),
        &spec["dnsPolicy"],
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    );
    found.not_negative(
        at("terminationGracePeriodSeconds"),
        &spec["terminationGracePeriodSeconds"],
    );
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline
        .as_i64()
        .is_some_and(|it| !(1..=i64::from(i32::MAX)).contains(&it))
    {
        let why = "must be between 1 and 2147483647, inclusive";
        found.invalid(at("activeDeadlineSeconds"), deadline, why);
    }
    found.named(at("hostname"), &spec["hostname"], names::dns_1123_label);
    found.named(at("subdomain"), &spec["subdomain"], names::dns_1123_label);
    for field in ["serviceAccountName", "nodeName", "priorityClassName"] {
        found.named(at(field), &spec[field], names::dns_subdomain);
    }
    metadata::labels(&at("nodeSelector"), &spec["nodeSelector"], found);
    tolerations(&at("tolerations"), spec, found);
    spreads(&at("topologySpreadConstraints"), spec, found);
    affinity(&at("affinity"), &spec["affinity"], found);
}

fn container(path: &str, one: &Json, volumes: &BTreeSet<&str>, found: &mut Found) {
    let at = |field: &str| format!("{path}.{field}");
    let image = text(&one["image"]);
    if found.has_text(at("image"), &one["image"]) && image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        found.invalid(at("image"), &one["image"], why);
    }
    found.one_of(
        at("imagePullPolicy"),
        &one["imagePullPolicy"],
        &["Always", "IfNotPresent", "Never"],
    );
    found.one_of(
        at("terminationMessagePolicy"),
        &one["terminationMessagePolicy"],
        &["FallbackToLogsOnError", "File"],
    );
    container_ports(&at("ports"), one, found);
    environment(path, one, found);
    let mut paths = HashSet::new();
    for (index, mount) in list(&one["volumeMounts"]).iter().enumerate() {
        let at = |field: &str| format!("{path}.volumeMounts[{index}].{field}");
        if found.has_text(at("name"), &mount["name"]) && !volumes.contains(text(&mount["name"])) {
            found.not_found(at("name"), &mount["name"]);
        }
        if found.has_text(at("mountPath"), &mount["mountPath"])
            && !paths.insert(text(&mount["mountPath"]))
        {
            found.invalid(at("mountPath"), &mount["mountPath"], "must be unique");
        }
    }
    resources(&at("resources"), &one["resources"], found);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        self::probe(&at(probe), probe, &one[probe], found);
    }
    for hook in ["postStart", "preStop"] {
        let handler = &one["lifecycle"][hook];
        if handler.is_object() {
            let path = format!("{path}.lifecycle.{hook}");
            self::handler(
                &path,
                handler,
                &["exec", "httpGet", "tcpSocket", "sleep"],
                found,
            );
        }
    }
}

fn container_ports(path: &str, container: &Json, found: &mut Found) {
    let mut seen = HashSet::new();
    for (index, port) in list(&container["ports"]).iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        let name = text(&port["name"]);
        if !name.is_empty() {
            for why in names::port_name(name) {
                found.invalid(at("name"), &port["name"], why);
            }
            if !seen.insert(name) {
                found.duplicate(at("name"), &port["name"]);
            }
        }
        if port["containerPort"].as_i64().unwrap_or(0) == 0 {
            found.required(at("containerPort"), "");
        } else {
            found.port(at("containerPort"), &port["containerPort"]);
        }
        if port["hostPort"].as_i64().unwrap_or(0) != 0 {
            found.port(at("hostPort"), &port["hostPort"]);
        }
        if found.has_text(at("protocol"), &port["protocol"]) {
            found.one_of(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        }
    }
}

fn host_ports(path: &str, container: &Json, seen: &mut HashSet<String>, found: &mut Found) {
    for (index, port) in list(&container["ports"]).iter().enumerate() {
        if port["hostPort"].as_i64().unwrap_or(0) == 0 {
            continue;
        }
        let taken = format!(
            "{}/{}/{}",
            text(&port["protocol"]),
            text(&port["hostIP"]),
            port["hostPort"]
        );
        if !seen.insert(taken.clone()) {
            found.duplicate(format!("{path}.ports[{index}].hostPort"), &taken.into());
        }
    }
}

fn environment(path: &str, container: &Json, found: &mut Found) {
    for (index, one) in list(&container["env"]).iter().enumerate() {
        let at = |field: &str| format!("{path}.env[{index}].{field}");
        if found.has_text(at("name"), &one["name"])
            && let Some(why) = names::environment_name(text(&one["name"]))
        {
            found.invalid(at("name"), &one["name"], why);
        }
        let source = &one["valueFrom"];
        if !source.is_object() {
            continue;
        }
        let sources = entries(source)
            .filter(|(_, value)| !value.is_null())
            .count();
        if sources == 0 {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            found.invalid(at("valueFrom"), &"".into(), why);
        } else if !text(&one["value"]).is_empty() {
            let why = "may not be specified when `value` is not empty";
            found.invalid(at("valueFrom"), &"".into(), why);
        } else if sources > 1 {
            let why = "may not have more than one field specified at a time";
            found.invalid(at("valueFrom"), &"".into(), why);
        }
        for reference in ["configMapKeyRef", "secretKeyRef"] {
            let reference_to = &source[reference];
            if reference_to.is_object() {
                let path = at(&format!("valueFrom.{reference}"));
                found.has_text(format!("{path}.name"), &reference_to["name"]);
                found.has_text(format!("{path}.key"), &reference_to["key"]);
            }
        }
    }
}

fn volumes<'a>(path: &str, spec: &'a Json, found: &mut Found) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list(&spec["volumes"]).iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        let name = text(&volume["name"]);
        if found.has_text(at("name"), &volume["name"]) {
            found.named(at("name"), &volume["name"], names::dns_1123_label);
            if !seen.insert(name) {
                found.duplicate(at("name"), &volume["name"]);
            }
        }
        let sources: Vec<&String> = entries(volume)
            .filter(|(field, value)| *field != "name" && !value.is_null())
            .map(|(field, _)| field)
            .collect();
        match sources.as_slice() {
            [] => found.required(format!("{path}[{index}]"), "must specify a volume type"),
            [_] => {}
            [_, more @ ..] => {
                for source in more {
                    found.forbidden(at(source), "may not specify more than 1 volume type");
                }
            }
        }
        for (source, field) in [
            ("secret", "secretName"),
            ("configMap", "name"),
            ("persistentVolumeClaim", "claimName"),
            ("hostPath", "path"),
            ("csi", "driver"),
        ] {
            if volume[source].is_object() {
                found.has_text(at(&format!("{source}.{field}")), &volume[source][field]);
            }
        }
    }
    // StatefulSets mount the claims that they make: their templates are put in by the caller.
    seen.extend(list(&spec["volumeClaimNames"]).iter().map(text));
    seen
}

/// Requests and limits.
fn resources(path: &str, resources: &Json, found: &mut Found) {
    for kind in ["limits", "requests"] {
        for (name, amount) in entries(&resources[kind]) {
            let at = format!("{path}.{kind}[{name}]");
            let standard = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
                || name.starts_with("hugepages-");
            if !name.contains('/') && !standard {
                let why = "must be a standard resource for containers";
                found.invalid(format!("{path}.{kind}"), &name.as_str().into(), why);
            }
            let Some(quantity) = Quantity::of(amount) else {
                continue;
            };
            if quantity < Quantity::ZERO {
                found.invalid(at.clone(), amount, "must be greater than or equal to 0");
            }
            if name.contains('/') && !quantity.is_whole() {
                found.invalid(at, amount, "must be an integer");
            }
        }
    }
    for (name, request) in entries(&resources["requests"]) {
        let limit = &resources["limits"][name];
        if let (Some(asked), Some(most)) = (Quantity::of(request), Quantity::of(limit)) {
            let shown = limit.as_str().map_or(limit.to_string(), str::to_owned);
            // What cannot be shared must be asked for exactly.
            let exact = name.contains('/') || name.starts_with("hugepages-");
            if exact && asked != most {
                let why = format!("must be equal to {name} limit of {shown}");
                found.invalid(format!("{path}.requests"), request, why);
            } else if asked > most {
                let why = format!("must be less than or equal to {name} limit of {shown}");
                found.invalid(format!("{path}.requests"), request, why);
            }
        }
    }
}

fn probe(path: &str, kind: &str, probe: &Json, found: &mut Found) {
    if !probe.is_object() {
        return;
    }
    handler(
        path,
        probe,
        &["exec", "httpGet", "tcpSocket", "grpc"],
        found,
    );
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        found.not_negative(format!("{path}.{field}"), &probe[field]);
    }
    let threshold = &probe["successThreshold"];
    if kind != "readinessProbe" && threshold.as_i64().is_some_and(|it| it != 1) {
        found.invalid(format!("{path}.successThreshold"), threshold, "must be 1");
    }
}

fn handler(path: &str, handler: &Json, kinds: &[&str], found: &mut Found) {
    let there: Vec<&&str> = kinds
        .iter()
        .filter(|kind| handler[**kind].is_object())
        .collect();
    match there.as_slice() {
        [] => found.required(path, "must specify a handler type"),
        [_] => {}
        [_, more @ ..] => {
            for kind in more {
                let path = format!("{path}.{kind}");
                found.forbidden(path, "may not specify more than 1 handler type");
            }
        }
    }
    if handler["exec"].is_object() && list(&handler["exec"]["command"]).is_empty() {
        found.required(format!("{path}.exec.command"), "");
    }
    for kind in ["httpGet", "tcpSocket", "grpc"] {
        if !handler[kind].is_object() {
            continue;
        }
        let port = &handler[kind]["port"];
        let path = format!("{path}.{kind}.port");
        match port.as_str() {
            Some(name) => {
                for why in names::port_name(name) {
                    found.invalid(path.clone(), port, why);
                }
            }
            None => found.port(path, port),
        }
    }
}

fn tolerations(path: &str, spec: &Json, found: &mut Found) {
    for (index, one) in list(&spec["tolerations"]).iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        let key = text(&one["key"]);
        for why in Some(key)
            .filter(|key| !key.is_empty())
            .map(names::qualified)
            .into_iter()
            .flatten()
        {
            found.invalid(at("key"), &one["key"], why);
        }
        let operator = text(&one["operator"]);
        if key.is_empty() && operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            found.invalid(at("operator"), &operator.into(), why);
        }
        if operator == "Exists" && !text(&one["value"]).is_empty() {
            let why = "value must be empty when `operator` is 'Exists'";
            found.invalid(at("operator"), one, why);
        }
        found.one_of(at("operator"), &one["operator"], &["Equal", "Exists"]);
        found.one_of(
            at("effect"),
            &one["effect"],
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
        if !one["tolerationSeconds"].is_null() && one["effect"] != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            found.invalid(at("effect"), &one["effect"], why);
        }
    }
}

fn spreads(path: &str, spec: &Json, found: &mut Found) {
    let mut seen = HashSet::new();
    for (index, one) in list(&spec["topologySpreadConstraints"]).iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        if one["maxSkew"].as_i64().unwrap_or(0) <= 0 {
            found.invalid(at("maxSkew"), &one["maxSkew"], "must be greater than zero");
        }
        found.has_text(at("topologyKey"), &one["topologyKey"]);
        let policy = &one["whenUnsatisfiable"];
        if !matches!(text(policy), "DoNotSchedule" | "ScheduleAnyway") {
            let supported = ["DoNotSchedule", "ScheduleAnyway"];
            found.unsupported(at("whenUnsatisfiable"), policy, &supported);
        }
        let pair = format!("{{{}, {}}}", text(&one["topologyKey"]), text(policy));
        if !seen.insert(pair.clone()) {
            let path = at("{topologyKey, whenUnsatisfiable}");
            found.duplicate(path, &pair.into());
        }
        super::selector::check(&at("labelSelector"), &one["labelSelector"], found);
    }
}

fn affinity(path: &str, affinity: &Json, found: &mut Found) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let node = &affinity["nodeAffinity"][required];
    if node.is_object() && list(&node["nodeSelectorTerms"]).is_empty() {
        found.required(
            format!("{path}.nodeAffinity.{required}.nodeSelectorTerms"),
            "must have at least one node selector term",
        );
    }
    for (index, term) in list(&node["nodeSelectorTerms"]).iter().enumerate() {
        for (number, one) in list(&term["matchExpressions"]).iter().enumerate() {
            let path = format!(
                "{path}.nodeAffinity.{required}.nodeSelectorTerms[{index}].matchExpressions[{number}]"
            );
            let values = list(&one["values"]).len();
            match text(&one["operator"]) {
                "In" | "NotIn" if values == 0 => found.required(
                    format!("{path}.values"),
                    "must be specified when `operator` is 'In' or 'NotIn'",
                ),
                "Exists" | "DoesNotExist" if values > 0 => found.forbidden(
                    format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ),
                "Gt" | "Lt" if values != 1 => found.required(
                    format!("{path}.values"),
                    "must be specified single value when `operator` is 'Lt' or 'Gt'",
                ),
                "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
                _ => found.invalid(
                    format!("{path}.operator"),
                    &one["operator"],
                    "not a valid selector operator",
                ),
            }
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (index, term) in list(&affinity[kind][required]).iter().enumerate() {
            let path = format!("{path}.{kind}.{required}[{index}]");
            if text(&term["topologyKey"]).is_empty() {
                found.required(format!("{path}.topologyKey"), "can not be empty");
            }
            super::selector::check(
                &format!("{path}.labelSelector"),
                &term["labelSelector"],
                found,
            );
        }
    }
}

/// A running pod changes in few ways.
fn update(new: &Json, old: &Json, found: &mut Found) {
    let lists = ["containers", "initContainers"];
    for group in lists {
        if list(&new[group]).len() != list(&old[group]).len() {
            let why = "pod updates may not add or remove containers";
            found.forbidden(format!("spec.{group}"), why);
            return;
        }
    }
    let mut fixed = new.clone();
    for group in lists {
        for (index, before) in list(&old[group]).iter().enumerate() {
            let path = [group, &index.to_string(), "image"];
            replace(&mut fixed, &path, &before["image"]);
        }
    }
    if !new["activeDeadlineSeconds"].is_null() {
        replace(
            &mut fixed,
            &["activeDeadlineSeconds"],
            &old["activeDeadlineSeconds"],
        );
    }
    let kept = list(&old["tolerations"])
        .iter()
        .all(|one| list(&new["tolerations"]).contains(one));
    if kept {
        replace(&mut fixed, &["tolerations"], &old["tolerations"]);
    }
    let gates = |spec: &Json| -> Vec<Json> { list(&spec["schedulingGates"]).to_vec() };
    if gates(new).iter().all(|gate| gates(old).contains(gate)) {
        replace(&mut fixed, &["schedulingGates"], &old["schedulingGates"]);
        // While gates are closed, what narrows the nodes may still be said.
        if !gates(old).is_empty() {
            replace(&mut fixed, &["nodeSelector"], &old["nodeSelector"]);
            replace(&mut fixed, &["affinity"], &old["affinity"]);
        }
    }
    if old["terminationGracePeriodSeconds"].as_i64().unwrap_or(0) < 0
        && new["terminationGracePeriodSeconds"] == 1
    {
        replace(
            &mut fixed,
            &["terminationGracePeriodSeconds"],
            &old["terminationGracePeriodSeconds"],
        );
    }
    // Their own subresource adds them.
    replace(
        &mut fixed,
        &["ephemeralContainers"],
        &old["ephemeralContainers"],
    );
    if !same(&fixed, old) {
        found.forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        );
    }
}

/// A StatefulSet's template, whose containers may mount the claims that the set makes.
pub(super) fn template_with_claims(set: &Json, found: &mut Found) {
    let mut template = set["spec"]["template"].clone();
    let claims: Vec<Json> = list(&set["spec"]["volumeClaimTemplates"])
        .iter()
        .map(|claim| json!(claim["metadata"]["name"]))
        .collect();
    replace(&mut template, &["spec", "volumeClaimNames"], &claims.into());
    self::template("spec.template", &template, true, found);
}
