//! What users may do: RBAC, the rules of nodes, and what authenticators grant.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use apimachinery::rbac::{self, Attributes, Decision, MASTERS, PolicyRule, Rules, Target};
use apimachinery::{Status, access_policies};
use serde_json::Value as Json;

use super::escalation::everything;
use super::{Gate, subject};
use crate::ports::{Grant, UserInfo};

/// Rules of grants, read once: by the documents that they were read from.
#[derive(Default)]
pub(super) struct KnownGrants(HashMap<String, (Vec<Json>, Arc<[PolicyRule]>)>);

/// How many sources' rules are kept. There are fewer access policies; beyond it, all are read anew.
const KNOWN_GRANTS: usize = 256;

impl KnownGrants {
    fn read(&mut self, grant: &Grant) -> Arc<[PolicyRule]> {
        match self.0.get(&grant.source) {
            Some((from, rules)) if *from == grant.rules => rules.clone(),
            _ => {
                if self.0.len() >= KNOWN_GRANTS {
                    self.0.clear();
                }
                let rules: Arc<[PolicyRule]> =
                    PolicyRule::list(&Json::Array(grant.rules.clone())).into();
                let known = (grant.rules.clone(), rules.clone());
                self.0.insert(grant.source.clone(), known);
                rules
            }
        }
    }
}

impl Gate {
    /// Whether a user may do something, and why.
    pub fn decide(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let by_rules = self.rules().decide(subject(user), attributes);
        if by_rules.allowed {
            return by_rules;
        }
        if rbac::node_may(subject(user), attributes) {
            return Decision {
                allowed: true,
                reason: "Node: allowed to nodes".to_owned(),
            };
        }
        for (grant, rules) in self.grants(user) {
            if access_policies::in_scope(&grant.namespaces, attributes.namespace())
                && rules.iter().any(|rule| rule.allows(attributes))
            {
                return Decision {
                    allowed: true,
                    reason: format!("EKS Access Policy: allowed by {}", grant.source),
                };
            }
        }
        by_rules
    }

    /// The same of a request, as a result. A request for a namespace is one within it, as the real server sees it, so that
    /// who has a role in a namespace can read its Namespace.
    ///
    /// # Errors
    /// 403 in the real server's words.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Result<(), Status> {
        let mut attributes = *attributes;
        if let Target::Resource {
            group: "",
            resource: "namespaces",
            name,
            namespace,
            ..
        } = &mut attributes.target
            && namespace.is_empty()
        {
            *namespace = name;
        }
        let decision = self.decide(user, &attributes);
        if decision.allowed {
            return Ok(());
        }
        Err(attributes.forbidden(&user.username, &decision.reason))
    }

    /// All rules that a user has in a namespace.
    pub(super) fn rules_of(&self, user: &UserInfo, namespace: &str) -> Vec<PolicyRule> {
        let mut rules: Vec<PolicyRule> = self
            .rules()
            .of(subject(user), namespace)
            .iter()
            .map(|rule| PolicyRule::clone(rule))
            .collect();
        if user.groups.iter().any(|group| group == MASTERS) {
            rules.extend(everything());
        }
        for (grant, granted) in self.grants(user) {
            if access_policies::in_scope(&grant.namespaces, namespace) {
                rules.extend(granted.iter().cloned());
            }
        }
        rules
    }

    fn grants(&self, user: &UserInfo) -> Vec<(Grant, Arc<[PolicyRule]>)> {
        let grants: Vec<Grant> = self
            .options
            .authenticators
            .iter()
            .flat_map(|authenticator| authenticator.grants(user))
            .collect();
        let mut known = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants
            .into_iter()
            .map(|grant| {
                let rules = known.read(&grant);
                (grant, rules)
            })
            .collect()
    }

    /// The index of RBAC, made anew when one of its objects has changed.
    pub(super) fn rules(&self) -> Arc<Rules> {
        // Asked for before the objects are read: what changes meanwhile is read again next time.
        let version = self.source.policy_version();
        {
            let known = self.rules.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((of, rules)) = &*known
                && *of == version
            {
                return rules.clone();
            }
        }
        let mut known = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let version = self.source.policy_version();
        match &*known {
            Some((of, rules)) if *of == version => rules.clone(),
            _ => {
                let rules = Arc::new(Rules::build(&self.source.policy_objects()));
                *known = Some((version, rules.clone()));
                rules
            }
        }
    }
}
