//! Rules for definitions themselves (`apiextensions-apiserver/pkg/apis/apiextensions/validation`).

use serde_json::Value as Json;

use crate::status::Cause;
use crate::validation::cause::{duplicate, forbidden, invalid, not_found, required, unsupported};
use crate::validation::names;

/// Rules that a definition breaks. It has its defaults already. `old` is the definition before an update.
#[must_use]
pub fn validate(definition: &Json, old: Option<&Json>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &definition["spec"];
    let text = |of: &Json| of.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));

    if definition["metadata"]["name"] != format!("{plural}.{group}") {
        let why = r#"must be spec.names.plural+"."+spec.group"#;
        causes.push(invalid(
            "metadata.name",
            &definition["metadata"]["name"],
            why,
        ));
    }
    if group.is_empty() {
        causes.push(required("spec.group", ""));
    } else if let Some(why) = names::dns_subdomain(&group) {
        causes.push(invalid("spec.group", &spec["group"], why));
    } else if !group.contains('.') {
        let why = "should be a domain with at least one dot";
        causes.push(invalid("spec.group", &spec["group"], why));
    }
    if is_protected(&group) && !is_approved(definition) {
        causes.push(required(
            "metadata.annotations[api-approved.kubernetes.io]",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        ));
    }
    match spec["scope"].as_str() {
        None | Some("") => causes.push(required("spec.scope", "")),
        Some("Cluster" | "Namespaced") => {}
        Some(_) => causes.push(unsupported(
            "spec.scope",
            &spec["scope"],
            &["Cluster", "Namespaced"],
        )),
    }
    names_of(&spec["names"], &mut causes);
    versions(definition, &mut causes);
    if let Some(old) = old {
        update(spec, old, &mut causes);
    }
    causes
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group == *domain
            || group
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
    })
}

fn is_approved(definition: &Json) -> bool {
    definition["metadata"]["annotations"]["api-approved.kubernetes.io"]
        .as_str()
        .is_some_and(|how| how.starts_with("http") || how.starts_with("unapproved"))
}

fn names_of(names: &Json, causes: &mut Vec<Cause>) {
    for (field, needed) in [
        ("plural", true),
        ("singular", false),
        ("kind", true),
        ("listKind", true),
    ] {
        let path = format!("spec.names.{field}");
        let name = names[field].as_str().unwrap_or_default();
        if name.is_empty() {
            if needed {
                causes.push(required(path, ""));
            }
            continue;
        }
        let lower = matches!(field, "kind" | "listKind").then(|| name.to_lowercase());
        if let Some(why) = names::dns_1035_label(lower.as_deref().unwrap_or(name)) {
            causes.push(invalid(path, &names[field], why));
        }
    }
    if names["kind"] == names["listKind"] && names["kind"].is_string() {
        let why = "kind and listKind may not be the same";
        causes.push(invalid("spec.names.listKind", &names["listKind"], why));
    }
    for list in ["shortNames", "categories"] {
        let names = names[list].as_array().into_iter().flatten();
        for (index, name) in names.enumerate() {
            if let Some(why) = name.as_str().and_then(names::dns_1035_label) {
                causes.push(invalid(format!("spec.names.{list}[{index}]"), name, why));
            }
        }
    }
}

fn versions(definition: &Json, causes: &mut Vec<Cause>) {
    let mut seen = Vec::new();
    let mut stored = 0;
    for (index, version) in super::versions(definition).enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = version["name"].as_str().unwrap_or_default();
        if let Some(why) = names::dns_1035_label(name) {
            causes.push(invalid(format!("{path}.name"), &version["name"], why));
        }
        if seen.contains(&name) {
            causes.push(duplicate(format!("{path}.name"), &version["name"]));
        }
        seen.push(name);
        stored += usize::from(version["storage"] == true);
        let schema = &version["schema"]["openAPIV3Schema"];
        let at = format!("{path}.schema.openAPIV3Schema");
        if !schema.is_object() {
            causes.push(required(at, "schemas are required"));
            continue;
        }
        if schema["type"] != "object" {
            let why = "must be object at the root";
            causes.push(invalid(format!("{at}.type"), &schema["type"], why));
        }
        structural(schema, &at, 0, causes);
        columns(version, &path, causes);
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(invalid("spec.versions", &"".into(), why));
    }
    for name in definition["status"]["storedVersions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if !name.as_str().is_some_and(|name| seen.contains(&name)) {
            causes.push(invalid(
                "status.storedVersions[0]",
                name,
                "must appear in spec.versions",
            ));
        }
    }
}

fn columns(version: &Json, path: &str, causes: &mut Vec<Cause>) {
    let columns = version["additionalPrinterColumns"].as_array();
    for (index, column) in columns.into_iter().flatten().enumerate() {
        let path = format!("{path}.additionalPrinterColumns[{index}]");
        let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
        if text("name").is_empty() {
            causes.push(required(format!("{path}.name"), ""));
        }
        if text("jsonPath").is_empty() {
            causes.push(required(format!("{path}.jsonPath"), ""));
        }
        const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
        if !TYPES.contains(&&*text("type")) {
            let path = format!("{path}.type");
            let why = format!("must be one of {}", TYPES.join(","));
            causes.push(invalid(path, &column["type"], why));
        }
    }
}

/// Whether each part has a type, and what else a schema must keep to be structural.
fn structural(schema: &Json, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    if depth > 100 {
        return;
    }
    let says = |name: &str| schema[name] == true;
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind.is_empty()
        && !says("x-kubernetes-int-or-string")
        && !says("x-kubernetes-preserve-unknown-fields")
    {
        let why = if path.ends_with(']') {
            "must not be empty for specified object fields"
        } else if path.ends_with(".items") {
            "must not be empty for specified array items"
        } else {
            "must not be empty at the root"
        };
        causes.push(required(format!("{path}.type"), why));
    }
    for name in [
        "$ref",
        "definitions",
        "dependencies",
        "patternProperties",
        "id",
    ] {
        if !schema[name].is_null() {
            causes.push(forbidden(format!("{path}.{name}"), "is not supported"));
        }
    }
    if schema["uniqueItems"] == true {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(forbidden(format!("{path}.uniqueItems"), why));
    }
    if schema["properties"].is_object() && !schema["additionalProperties"].is_null() {
        let why = "additionalProperties and properties are mutual exclusive";
        causes.push(forbidden(format!("{path}.additionalProperties"), why));
    }
    if kind == "array" && !schema["items"].is_object() {
        causes.push(required(format!("{path}.items"), "must be specified"));
    }
    if schema["x-kubernetes-list-type"] == "map" {
        let items = &schema["items"];
        for key in super::texts(&schema["x-kubernetes-list-map-keys"]) {
            let property = &items["properties"][&*key];
            let at = format!("{path}.x-kubernetes-list-map-keys");
            if property.is_null() {
                causes.push(not_found(at, &(*key).into()));
            } else if property["default"].is_null()
                && !super::texts(&items["required"]).contains(&key)
            {
                let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                let at = format!("{path}.items.properties[{key}].default");
                causes.push(required(at, why));
            }
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.properties[{name}]");
        structural(inner, &path, depth + 1, causes);
    }
    if schema["items"].is_object() {
        structural(
            &schema["items"],
            &format!("{path}.items"),
            depth + 1,
            causes,
        );
    }
    if schema["additionalProperties"].is_object() {
        let path = format!("{path}.properties[additionalProperties]");
        structural(&schema["additionalProperties"], &path, depth + 1, causes);
    }
}

fn update(spec: &Json, old: &Json, causes: &mut Vec<Cause>) {
    let established = old["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    let mut fixed = |path: &str, new: &Json, old: &Json| {
        if new != old {
            causes.push(invalid(path, new, "field is immutable"));
        }
    };
    let before = &old["spec"];
    if established {
        fixed("spec.scope", &spec["scope"], &before["scope"]);
        let (new, old) = (&spec["names"]["kind"], &before["names"]["kind"]);
        fixed("spec.names.kind", new, old);
    }
    fixed("spec.group", &spec["group"], &before["group"]);
    let (new, old) = (&spec["names"]["plural"], &before["names"]["plural"]);
    fixed("spec.names.plural", new, old);
}
