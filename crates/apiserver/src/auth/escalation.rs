//! Whoever writes roles and bindings gives away no more than they have.

use apimachinery::Status;
use apimachinery::rbac::{Attributes, GROUP, PolicyRule, Target, missing, missing_message};
use serde_json::Value as Json;

use super::{Gate, subject};
use crate::ports::UserInfo;

impl Gate {
    /// Whether a user who writes a Role, ClusterRole, RoleBinding or ClusterRoleBinding gives away only what they have (or
    /// may `escalate` or `bind`). `object` is as it would be stored, of RBAC's group whatever it says itself; `before` is what
    /// is stored. Other kinds always pass.
    ///
    /// What they have is what RBAC gives them, as in a real cluster: rules of EKS access policies do not count, unless they
    /// allow the two verbs.
    ///
    /// # Errors
    /// 403 with the rules that are missing; 404 if a binding is made to a role that is not there.
    pub fn may_grant(
        &self,
        user: &UserInfo,
        object: &Json,
        before: Option<&Json>,
    ) -> Result<(), Status> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Json::as_str)
                .unwrap_or_default()
        };
        let unchanged = |fields: &[&str]| {
            before.is_some_and(|before| {
                let same = |field: &&str| before.get(field) == object.get(field);
                fields.iter().all(same)
            })
        };
        let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        let may = |verb: &str, resource: &str, name: &str| {
            let target = Target::Resource {
                group: GROUP,
                resource,
                subresource: "",
                name,
                namespace,
            };
            self.decide(user, &Attributes { verb, target }).allowed
        };
        match text("/kind") {
            kind @ ("Role" | "ClusterRole") => {
                let resource = if kind == "Role" {
                    "roles"
                } else {
                    "clusterroles"
                };
                if unchanged(&["rules", "aggregationRule"]) || may("escalate", resource, name) {
                    return Ok(());
                }
                let gathers = object
                    .get("aggregationRule")
                    .is_some_and(|rule| !rule.is_null());
                if gathers && !self.missing_of(user, namespace, &everything()).is_empty() {
                    let why = "must have cluster-admin privileges to use the aggregationRule";
                    return Err(Status::forbidden(GROUP, resource, name, why));
                }
                let rules = PolicyRule::list(object.get("rules").unwrap_or(&Json::Null));
                self.holds(user, namespace, &rules, resource, name)
            }
            kind @ ("RoleBinding" | "ClusterRoleBinding") => {
                let resource = if kind == "RoleBinding" {
                    "rolebindings"
                } else {
                    "clusterrolebindings"
                };
                let (to_kind, to) = (text("/roleRef/kind"), text("/roleRef/name"));
                let (roles, place) = match to_kind {
                    "Role" => ("roles", namespace),
                    _ => ("clusterroles", ""),
                };
                if unchanged(&["roleRef", "subjects"]) || may("bind", roles, to) {
                    return Ok(());
                }
                let Some(rules) = self.rules().role(place, to) else {
                    return Err(Status::not_found(GROUP, roles, to));
                };
                let rules: Vec<PolicyRule> =
                    rules.iter().map(|rule| PolicyRule::clone(rule)).collect();
                self.holds(user, namespace, &rules, resource, name)
            }
            _ => Ok(()),
        }
    }

    fn missing_of(
        &self,
        user: &UserInfo,
        namespace: &str,
        rules: &[PolicyRule],
    ) -> Vec<PolicyRule> {
        missing(&self.rules().of(subject(user), namespace), rules)
    }

    fn holds(
        &self,
        user: &UserInfo,
        namespace: &str,
        rules: &[PolicyRule],
        resource: &str,
        name: &str,
    ) -> Result<(), Status> {
        let missing = self.missing_of(user, namespace, rules);
        if missing.is_empty() {
            return Ok(());
        }
        let why = missing_message(subject(user), &missing);
        Err(Status::forbidden(GROUP, resource, name, &why))
    }
}

/// What cluster-admin may do.
pub(super) fn everything() -> [PolicyRule; 2] {
    let every = || vec!["*".to_owned()];
    [
        PolicyRule {
            verbs: every(),
            api_groups: every(),
            resources: every(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: every(),
            non_resource_urls: every(),
            ..PolicyRule::default()
        },
    ]
}
