//! The index that questions are asked of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::aggregation::{aggregated_rules, name};
use super::{Attributes, Decision, MASTERS, PolicyRule, Subject};

/// The rules of one role, shared by all who are bound to it.
pub type RoleRules = Arc<[Arc<PolicyRule>]>;

/// Everything that RBAC objects grant, by subject.
#[derive(Debug, Default)]
pub struct Rules {
    /// By namespace (empty for ClusterRoles) and name.
    roles: HashMap<(Arc<str>, Arc<str>), RoleRules>,
    users: HashMap<Arc<str>, Grants>,
    groups: HashMap<Arc<str>, Grants>,
}

/// What bindings give to one subject.
#[derive(Debug, Default)]
struct Grants {
    everywhere: Vec<Binding>,
    within: HashMap<Arc<str>, Vec<Binding>>,
}

/// A binding, seen from one of its subjects.
#[derive(Debug)]
struct Binding {
    /// `RoleBinding "b/ns" of Role "r" to User "u"`: the words of the real server's reasons.
    source: Arc<str>,
    role: Result<RoleRules, Missing>,
}

/// Why a binding grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error("{resource}.rbac.authorization.k8s.io {name:?} not found")]
    NotFound {
        resource: &'static str,
        name: String,
    },
    #[error("unsupported role reference kind: {0:?}")]
    Kind(String),
}

impl Rules {
    /// Of all Role, ClusterRole, RoleBinding and ClusterRoleBinding documents, in any order. Others are ignored.
    ///
    /// ClusterRoles that gather others' rules grant what they gather, whether or not their stored rules are up to date.
    pub fn build<'a>(objects: impl IntoIterator<Item = &'a Json>) -> Self {
        let mut roles: BTreeMap<(&str, &str), &Json> = BTreeMap::new();
        let mut bindings: Vec<&Json> = Vec::new();
        for object in objects {
            match text(object, "/kind") {
                "Role" | "ClusterRole" => {
                    roles.insert((namespace(object), name(object)), object);
                }
                "RoleBinding" | "ClusterRoleBinding" => bindings.push(object),
                _ => {}
            }
        }
        let cluster_roles = || {
            roles
                .iter()
                .filter(|((namespace, _), _)| namespace.is_empty())
        };
        let mut rules = Self::default();
        for ((place, role_name), role) in &roles {
            let own = aggregated_rules(role, cluster_roles().map(|(_, role)| *role))
                .unwrap_or_else(|| PolicyRule::list(&role["rules"]))
                .into_iter()
                .map(Arc::new)
                .collect();
            let key = (Arc::from(*place), Arc::from(*role_name));
            rules.roles.insert(key, own);
        }
        // In order of their names, so that the same objects always give the same reasons.
        bindings.sort_by_key(|binding| (namespace(binding), name(binding)));
        for binding in bindings {
            let (kind, to) = (
                text(binding, "/roleRef/kind"),
                text(binding, "/roleRef/name"),
            );
            let (place, resource) = match kind {
                "Role" => (namespace(binding), "role"),
                _ => ("", "clusterrole"),
            };
            let role = match (kind, rules.role(place, to)) {
                ("Role" | "ClusterRole", Some(role)) => Ok(role),
                ("Role" | "ClusterRole", None) => Err(Missing::NotFound {
                    resource,
                    name: to.to_owned(),
                }),
                _ => Err(Missing::Kind(kind.to_owned())),
            };
            rules.bind(binding, kind, to, &role);
        }
        rules
    }

    fn bind(&mut self, binding: &Json, kind: &str, to: &str, role: &Result<RoleRules, Missing>) {
        let place = namespace(binding);
        let own = if place.is_empty() {
            format!("ClusterRoleBinding {:?}", name(binding))
        } else {
            format!("RoleBinding {:?}", format!("{}/{place}", name(binding)))
        };
        let subjects = binding.get("subjects").and_then(Json::as_array);
        for subject in subjects.into_iter().flatten() {
            let subject_name = text(subject, "/name");
            let (of, user, described) = match text(subject, "/kind") {
                "User" => (
                    &mut self.users,
                    subject_name.to_owned(),
                    subject_name.to_owned(),
                ),
                "Group" => (
                    &mut self.groups,
                    subject_name.to_owned(),
                    subject_name.to_owned(),
                ),
                "ServiceAccount" => {
                    let home = match text(subject, "/namespace") {
                        "" => place,
                        home => home,
                    };
                    if home.is_empty() {
                        continue;
                    }
                    let user = format!("system:serviceaccount:{home}:{subject_name}");
                    (&mut self.users, user, format!("{subject_name}/{home}"))
                }
                _ => continue,
            };
            let subject_kind = text(subject, "/kind");
            let grants = of.entry(user.into()).or_default();
            let list = if place.is_empty() {
                &mut grants.everywhere
            } else {
                grants.within.entry(place.into()).or_default()
            };
            list.push(Binding {
                source: format!("{own} of {kind} {to:?} to {subject_kind} {described:?}").into(),
                role: role.clone(),
            });
        }
    }

    /// The rules of a Role, or of a ClusterRole if the namespace is empty.
    #[must_use]
    pub fn role(&self, namespace: &str, name: &str) -> Option<RoleRules> {
        self.roles.get(&(namespace.into(), name.into())).cloned()
    }

    /// Whether a subject may do something. Members of `system:masters` may do everything.
    #[must_use]
    pub fn decide(&self, subject: Subject<'_>, attributes: &Attributes<'_>) -> Decision {
        if subject.groups.iter().any(|group| group == MASTERS) {
            return Decision {
                allowed: true,
                reason: String::new(),
            };
        }
        let mut errors: Vec<String> = Vec::new();
        for binding in self.bindings(subject, attributes.namespace()) {
            match &binding.role {
                Ok(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    return Decision {
                        allowed: true,
                        reason: format!("RBAC: allowed by {}", binding.source),
                    };
                }
                Ok(_) => {}
                Err(missing) => {
                    let error = missing.to_string();
                    if !errors.contains(&error) {
                        errors.push(error);
                    }
                }
            }
        }
        Decision {
            allowed: false,
            reason: match errors.as_slice() {
                [] => String::new(),
                [one] => format!("RBAC: {one}"),
                several => format!("RBAC: [{}]", several.join(", ")),
            },
        }
    }

    /// All rules that a subject has in a namespace (empty: those of the whole cluster only). Membership in `system:masters`
    /// is not a rule.
    #[must_use]
    pub fn of(&self, subject: Subject<'_>, namespace: &str) -> Vec<Arc<PolicyRule>> {
        self.bindings(subject, namespace)
            .filter_map(|binding| binding.role.as_ref().ok())
            .flat_map(|rules| rules.iter().cloned())
            .collect()
    }

    /// Bindings to the subject: those of the whole cluster first, as the real server reads them.
    fn bindings<'a>(
        &'a self,
        subject: Subject<'a>,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Binding> + 'a {
        let grants = move || {
            self.users.get(subject.user).into_iter().chain(
                subject
                    .groups
                    .iter()
                    .filter_map(|group| self.groups.get(group.as_str())),
            )
        };
        let within = (!namespace.is_empty())
            .then(grants)
            .into_iter()
            .flatten()
            .filter_map(move |grants| grants.within.get(namespace))
            .flatten();
        grants().flat_map(|grants| &grants.everywhere).chain(within)
    }
}

fn text<'a>(object: &'a Json, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Json::as_str)
        .unwrap_or_default()
}

fn namespace(object: &Json) -> &str {
    text(object, "/metadata/namespace")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Target, bootstrap_objects};
    use super::*;

    fn in_namespace<'a>(verb: &'a str, resource: &'a str, namespace: &'a str) -> Attributes<'a> {
        Attributes {
            verb,
            target: Target::Resource {
                group: "",
                resource,
                subresource: "",
                name: "",
                namespace,
            },
        }
    }

    fn bind(kind: &str, name: &str, namespace: &str, role: (&str, &str), subjects: Json) -> Json {
        json!({ "kind": kind, "metadata": { "name": name, "namespace": namespace },
            "roleRef": { "kind": role.0, "name": role.1 }, "subjects": subjects })
    }

    fn rules(extra: Vec<Json>) -> Rules {
        let mut objects = bootstrap_objects();
        objects.extend(extra);
        Rules::build(&objects)
    }

    fn decide(rules: &Rules, user: &str, groups: &[&str], attributes: &Attributes<'_>) -> Decision {
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        let subject = Subject {
            user,
            groups: &groups,
        };
        rules.decide(subject, attributes)
    }

    #[test]
    fn a_role_binding_grants_a_cluster_role_in_its_namespace_only() {
        let to = json!([{ "kind": "User", "name": "jane" }]);
        let rules = rules(vec![bind(
            "RoleBinding",
            "devs",
            "team",
            ("ClusterRole", "edit"),
            to,
        )]);
        let ask = |attributes: Attributes<'_>| decide(&rules, "jane", &[], &attributes);
        let answer = ask(in_namespace("create", "pods", "team"));
        assert!(answer.allowed);
        assert_eq!(
            answer.reason,
            "RBAC: allowed by RoleBinding \"devs/team\" of ClusterRole \"edit\" to User \"jane\""
        );
        assert!(!ask(in_namespace("create", "pods", "other")).allowed);
        assert!(!ask(in_namespace("create", "pods", "")).allowed);
        assert!(!ask(in_namespace("create", "rolebindings", "team")).allowed);
    }

    #[test]
    fn service_accounts_are_named_by_the_binding_or_live_beside_it() {
        let rules = rules(vec![
            bind(
                "RoleBinding",
                "near",
                "ci",
                ("ClusterRole", "view"),
                json!([{ "kind": "ServiceAccount", "name": "bot" }]),
            ),
            bind(
                "ClusterRoleBinding",
                "far",
                "",
                ("ClusterRole", "view"),
                json!([{ "kind": "ServiceAccount", "name": "reader", "namespace": "ops" }, { "kind": "ServiceAccount", "name": "lost" }]),
            ),
        ]);
        let list = in_namespace("list", "pods", "ci");
        assert!(decide(&rules, "system:serviceaccount:ci:bot", &[], &list).allowed);
        assert!(!decide(&rules, "system:serviceaccount:ops:bot", &[], &list).allowed);
        assert!(
            decide(
                &rules,
                "system:serviceaccount:ops:reader",
                &[],
                &in_namespace("list", "pods", "")
            )
            .allowed
        );
        assert!(!decide(&rules, "system:serviceaccount::lost", &[], &list).allowed);
    }

    #[test]
    fn a_missing_role_is_told() {
        let to = json!([{ "kind": "Group", "name": "devs" }]);
        let rules = rules(vec![
            bind(
                "ClusterRoleBinding",
                "gone",
                "",
                ("ClusterRole", "gone"),
                to.clone(),
            ),
            bind("RoleBinding", "here", "team", ("Role", "here"), to),
        ]);
        let answer = decide(
            &rules,
            "jane",
            &["devs"],
            &in_namespace("list", "pods", "team"),
        );
        assert!(!answer.allowed);
        assert_eq!(
            answer.reason,
            "RBAC: [clusterrole.rbac.authorization.k8s.io \"gone\" not found, role.rbac.authorization.k8s.io \"here\" not found]"
        );
    }

    #[test]
    fn everybody_may_look_and_masters_may_do_anything() {
        let rules = rules(Vec::new());
        let path = |path| Attributes {
            verb: "get",
            target: Target::Path(path),
        };
        let anonymous = ["system:unauthenticated"];
        assert!(decide(&rules, "system:anonymous", &anonymous, &path("/version")).allowed);
        assert!(!decide(&rules, "system:anonymous", &anonymous, &path("/apis")).allowed);
        assert!(
            decide(
                &rules,
                "jane",
                &["system:authenticated"],
                &path("/apis/apps/v1")
            )
            .allowed
        );
        assert!(
            !decide(
                &rules,
                "jane",
                &["system:authenticated"],
                &in_namespace("list", "pods", "")
            )
            .allowed
        );
        assert!(
            decide(
                &rules,
                "root",
                &[MASTERS],
                &in_namespace("escalate", "anything", "")
            )
            .allowed
        );
    }

    #[test]
    fn gathering_roles_grant_what_is_added_to_them() {
        let rules = rules(vec![
            json!({ "kind": "ClusterRole", "metadata": { "name": "crds-view",
                "labels": { "rbac.authorization.k8s.io/aggregate-to-view": "true" } },
                "rules": [{ "verbs": ["list"], "apiGroups": [""], "resources": ["widgets"] }] }),
            bind(
                "ClusterRoleBinding",
                "v",
                "",
                ("ClusterRole", "view"),
                json!([{ "kind": "User", "name": "jane" }]),
            ),
        ]);
        assert!(decide(&rules, "jane", &[], &in_namespace("list", "widgets", "any")).allowed);
        assert!(!decide(&rules, "jane", &[], &in_namespace("get", "secrets", "any")).allowed);
    }

    #[test]
    fn forbidden_is_said_in_the_real_servers_words() {
        let named = Attributes {
            verb: "create",
            target: Target::Resource {
                group: "apps",
                resource: "deployments",
                subresource: "scale",
                name: "web",
                namespace: "team",
            },
        };
        let status = named.forbidden("jane", "");
        assert_eq!(
            status.message,
            "deployments.apps \"web\" is forbidden: User \"jane\" cannot create resource \"deployments/scale\" in API group \"apps\" in the namespace \"team\""
        );
        assert_eq!(status.code, 403);
        let details = status.details.unwrap();
        assert_eq!(
            (&*details.name, &*details.group, &*details.kind),
            ("web", "apps", "deployments")
        );
        assert_eq!(
            in_namespace("list", "pods", "")
                .forbidden("system:anonymous", "")
                .message,
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
        );
        let path = Attributes {
            verb: "get",
            target: Target::Path("/metrics"),
        };
        assert_eq!(
            path.forbidden("jane", "RBAC: x").message,
            "forbidden: User \"jane\" cannot get path \"/metrics\": RBAC: x"
        );
    }
}
