//! One rule: what it covers, and whether it allows a request.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Attributes, Target};

/// Verbs, on resources of groups (perhaps only on those of some names), or on paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Plural names, `resource/subresource`, `*`, or `*/subresource`.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Empty: of any name.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths; a `*` at the end stands for any rest.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

/// Go writes empty lists as null.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

const ALL: &str = "*";

impl PolicyRule {
    /// The rules of a document's list (`rules`). What is not a rule grants nothing, and is left out.
    #[must_use]
    pub fn list(rules: &Json) -> Vec<Self> {
        rules
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .filter_map(|rule| Self::deserialize(rule).ok())
            .collect()
    }

    /// As a document.
    #[must_use]
    pub fn to_json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether it allows a request.
    #[must_use]
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !has(&self.verbs, attributes.verb) {
            return false;
        }
        match attributes.target {
            Target::Path(path) => self.matches_path(path),
            Target::Resource {
                group,
                resource,
                subresource,
                name,
                ..
            } => {
                has(&self.api_groups, group)
                    && self.matches_resource(resource, subresource)
                    && (self.resource_names.is_empty()
                        || self.resource_names.iter().any(|one| one == name))
            }
        }
    }

    pub(super) fn matches_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|one| match one.split_once('/') {
            _ if one == ALL => true,
            None => subresource.is_empty() && one == resource,
            Some((ALL, sub)) => !subresource.is_empty() && sub == subresource,
            Some((of, sub)) => of == resource && sub == subresource && !sub.is_empty(),
        })
    }

    pub(super) fn matches_path(&self, path: &str) -> bool {
        self.non_resource_urls
            .iter()
            .any(|one| match one.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => one == path,
            })
    }
}

/// Whether a list names something, or everything.
pub(super) fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one == ALL || one == wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(json: Json) -> PolicyRule {
        serde_json::from_value(json).unwrap()
    }

    fn on<'a>(
        group: &'a str,
        resource: &'a str,
        subresource: &'a str,
        name: &'a str,
    ) -> Target<'a> {
        Target::Resource {
            group,
            resource,
            subresource,
            name,
            namespace: "",
        }
    }

    #[test]
    fn resources_subresources_and_names() {
        let rule = rule(json!({ "verbs": ["get"], "apiGroups": ["", "apps"],
            "resources": ["pods", "pods/log", "*/scale"], "resourceNames": null }));
        for (target, allowed) in [
            (on("", "pods", "", "web"), true),
            (on("", "pods", "log", "web"), true),
            (on("", "pods", "exec", "web"), false),
            (on("apps", "deployments", "scale", "web"), true),
            (on("apps", "deployments", "", "web"), false),
            (on("batch", "pods", "", "web"), false),
            (Target::Path("/version"), false),
        ] {
            assert_eq!(
                rule.allows(&Attributes {
                    verb: "get",
                    target
                }),
                allowed,
                "{target:?}"
            );
        }
        assert!(!rule.allows(&Attributes {
            verb: "list",
            target: on("", "pods", "", "")
        }));
    }

    #[test]
    fn a_name_in_a_rule_does_not_allow_a_collection() {
        let rule = rule(
            json!({ "verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"],
            "resourceNames": ["web"] }),
        );
        let asks = |verb, name| {
            rule.allows(&Attributes {
                verb,
                target: on("", "configmaps", "", name),
            })
        };
        assert!(asks("get", "web"));
        assert!(!asks("get", "other"));
        assert!(!asks("list", ""));
    }

    #[test]
    fn a_star_is_every_subresource_too() {
        let rule = rule(json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }));
        assert!(rule.allows(&Attributes {
            verb: "create",
            target: on("", "pods", "exec", "web")
        }));
        assert!(!rule.allows(&Attributes {
            verb: "get",
            target: Target::Path("/metrics")
        }));
    }

    #[test]
    fn paths() {
        let rule = rule(json!({ "verbs": ["get"], "nonResourceURLs": ["/apis/*", "/version"] }));
        for (path, allowed) in [
            ("/apis/apps", true),
            ("/apis", false),
            ("/version", true),
            ("/version/", false),
            ("/metrics", false),
        ] {
            let attributes = Attributes {
                verb: "get",
                target: Target::Path(path),
            };
            assert_eq!(rule.allows(&attributes), allowed, "{path}");
        }
    }
}
