//! Configuration, secrets, limits, roles and classes.

use serde_json::Value as Json;

use super::found::{Found, entries, list, same, text};
use crate::quantity::Quantity;
use crate::validation::names;

/// All values of a ConfigMap or Secret together.
const MOST: usize = 1024 * 1024;

pub(super) fn config_map(new: &Json, old: Option<&Json>, found: &mut Found) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in entries(&new[field]) {
            if let Some(why) = names::config_key(key) {
                found.invalid(format!("{field}[{key}]"), &key.as_str().into(), why);
            }
            if field == "binaryData" && !new["data"][key].is_null() {
                let why = "duplicate of key present in data";
                found.invalid(format!("data[{key}]"), &key.as_str().into(), why);
            }
            size += match field {
                "data" => text(value).len(),
                _ => decoded_length(text(value)),
            };
        }
    }
    if size > MOST {
        found.too_long("", MOST as u64);
    }
    unchanged(new, old, &["data", "binaryData"], found);
}

/// How many bytes base64 stands for.
fn decoded_length(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|c| *c == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// What an object that says that it is immutable may not change.
fn unchanged(new: &Json, old: Option<&Json>, fields: &[&str], found: &mut Found) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return;
    };
    let why = "field is immutable when `immutable` is set";
    if new["immutable"] != true {
        found.forbidden("immutable", why);
    }
    for field in fields {
        if !same(&new[field], &old[field]) {
            found.forbidden(*field, why);
        }
    }
}

pub(super) fn secret(new: &Json, old: Option<&Json>, found: &mut Found) {
    let mut size = 0;
    for (key, value) in entries(&new["data"]) {
        if let Some(why) = names::config_key(key) {
            found.invalid(format!("data[{key}]"), &key.as_str().into(), why);
        }
        size += decoded_length(text(value));
    }
    if size > MOST {
        found.too_long("data", MOST as u64);
    }
    let needed: &[&str] = match text(&new["type"]) {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed {
        if new["data"][key].is_null() {
            found.required(format!("data[{key}]"), "");
        }
    }
    let data = &new["data"];
    if new["type"] == "kubernetes.io/basic-auth"
        && data["username"].is_null()
        && data["password"].is_null()
    {
        found.required("data[username]", "");
        found.required("data[password]", "");
    }
    let account = "kubernetes.io/service-account.name";
    if new["type"] == "kubernetes.io/service-account-token"
        && text(&new["metadata"]["annotations"][account]).is_empty()
    {
        found.required(format!("metadata.annotations[{account}]"), "");
    }
    if let Some(old) = old {
        found.fixed("type", &new["type"], &old["type"]);
    }
    unchanged(new, old, &["data"], found);
}

pub(super) fn limit_range(new: &Json, found: &mut Found) {
    for (index, limit) in list(&new["spec"]["limits"]).iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        found.has_text(format!("{path}.type"), &limit["type"]);
        for (low, high) in [
            ("min", "max"),
            ("min", "defaultRequest"),
            ("min", "default"),
            ("defaultRequest", "default"),
            ("defaultRequest", "max"),
            ("default", "max"),
        ] {
            for (name, value) in entries(&limit[low]) {
                let above = &limit[high][name];
                if let (Some(less), Some(more)) = (Quantity::of(value), Quantity::of(above))
                    && less > more
                {
                    let plain = |it: &Json| it.as_str().map_or(it.to_string(), str::to_owned);
                    let told = |field: &str| match field {
                        "defaultRequest" => "default request".to_owned(),
                        field => field.to_owned(),
                    };
                    let why = format!(
                        "{} value {} is greater than {} value {}",
                        told(low),
                        plain(value),
                        told(high),
                        plain(above)
                    );
                    found.invalid(format!("{path}.{low}[{name}]"), value, why);
                }
            }
        }
    }
}

pub(super) fn quota(new: &Json, found: &mut Found) {
    for (name, value) in entries(&new["spec"]["hard"]) {
        if Quantity::of(value).is_some_and(|amount| amount < Quantity::ZERO) {
            let why = "must be greater than or equal to 0";
            found.invalid(format!("spec.hard[{name}]"), value, why);
        }
    }
}

pub(super) fn role(kind: &str, new: &Json, found: &mut Found) {
    // The rules of an aggregated role are put in by a controller.
    for (index, rule) in list(&new["rules"]).iter().enumerate() {
        let at = |field: &str| format!("rules[{index}].{field}");
        let none = |field: &str| list(&rule[field]).is_empty();
        if none("verbs") {
            found.required(at("verbs"), "verbs must contain at least one value");
        }
        if !none("nonResourceURLs") {
            if kind == "Role" {
                let why = "namespaced rules cannot apply to non-resource URLs";
                found.invalid(at("nonResourceURLs"), &rule["nonResourceURLs"], why);
            }
            if !none("apiGroups") || !none("resources") || !none("resourceNames") {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                found.invalid(at("nonResourceURLs"), &rule["nonResourceURLs"], why);
            }
            continue;
        }
        if none("apiGroups") {
            let why = "resource rules must supply at least one api group";
            found.required(at("apiGroups"), why);
        }
        if none("resources") {
            let why = "resource rules must supply at least one resource";
            found.required(at("resources"), why);
        }
    }
}

pub(super) fn role_binding(kind: &str, new: &Json, old: Option<&Json>, found: &mut Found) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let role = &new["roleRef"];
    if role["apiGroup"] != GROUP {
        found.unsupported("roleRef.apiGroup", &role["apiGroup"], &[GROUP]);
    }
    let kinds: &[&str] = match kind {
        "RoleBinding" => &["ClusterRole", "Role"],
        _ => &["ClusterRole"],
    };
    if !kinds.contains(&text(&role["kind"])) {
        found.unsupported("roleRef.kind", &role["kind"], kinds);
    }
    if found.has_text("roleRef.name", &role["name"]) {
        found.named("roleRef.name", &role["name"], names::path_segment);
    }
    for (index, subject) in list(&new["subjects"]).iter().enumerate() {
        let at = |field: &str| format!("subjects[{index}].{field}");
        found.has_text(at("name"), &subject["name"]);
        match text(&subject["kind"]) {
            "ServiceAccount" => {
                found.named(at("name"), &subject["name"], names::dns_subdomain);
                if !text(&subject["apiGroup"]).is_empty() {
                    found.unsupported(at("apiGroup"), &subject["apiGroup"], &[""]);
                }
                found.has_text(at("namespace"), &subject["namespace"]);
            }
            "User" | "Group" => {
                if subject["apiGroup"] != GROUP {
                    found.unsupported(at("apiGroup"), &subject["apiGroup"], &[GROUP]);
                }
            }
            _ => {
                let kinds = ["ServiceAccount", "User", "Group"];
                found.unsupported(at("kind"), &subject["kind"], &kinds);
            }
        }
    }
    if let Some(old) = old
        && !same(role, &old["roleRef"])
    {
        let shown = format!(
            "rbac.RoleRef{{APIGroup:{:?}, Kind:{:?}, Name:{:?}}}",
            text(&role["apiGroup"]),
            text(&role["kind"]),
            text(&role["name"])
        );
        found.invalid_as("roleRef", &shown, "cannot change roleRef");
    }
}

pub(super) fn priority_class(new: &Json, old: Option<&Json>, found: &mut Found) {
    const MOST: i64 = 1_000_000_000;
    let (name, value) = (text(&new["metadata"]["name"]), new["value"].as_i64());
    let system = [
        ("system-node-critical", 2_000_001_000),
        ("system-cluster-critical", 2_000_000_000),
    ];
    if name.starts_with("system-") {
        if !system
            .iter()
            .any(|(own, is)| *own == name && value == Some(*is))
        {
            let why = "priority class names with 'system-' prefix are reserved for system use only. error: this is not a known system priority class";
            found.forbidden("metadata.name", why);
        }
    } else if value.unwrap_or(0) > MOST {
        let why = format!("maximum allowed value of a user defined priority is {MOST}");
        found.forbidden("value", &why);
    }
    found.one_of(
        "preemptionPolicy",
        &new["preemptionPolicy"],
        &["Never", "PreemptLowerPriority"],
    );
    if let Some(old) = old {
        if new["value"].as_i64().unwrap_or(0) != old["value"].as_i64().unwrap_or(0) {
            found.forbidden("value", "may not be changed in an update.");
        }
        let (now, before) = (&new["preemptionPolicy"], &old["preemptionPolicy"]);
        found.fixed("preemptionPolicy", now, before);
    }
}

pub(super) fn lease(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    let seconds = &spec["leaseDurationSeconds"];
    if seconds.as_i64().is_some_and(|it| it <= 0) {
        found.invalid(
            "spec.leaseDurationSeconds",
            seconds,
            "must be greater than 0",
        );
    }
    let path = "spec.leaseTransitions";
    found.not_negative(path, &spec["leaseTransitions"]);
}
