//! Which nodes a pod template may be on: node name, node selector, required node affinity and taints
//! (component-helpers/scheduling/corev1).

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

use crate::workloads::writes::name_of;

/// What a pod asks of its node.
#[derive(Debug, Clone)]
pub(super) struct Placement<'a> {
    node_name: Option<&'a str>,
    node_selector: Option<&'a BTreeMap<String, String>>,
    /// One of these must match, if there is a list.
    terms: Option<&'a [NodeSelectorTerm]>,
    tolerations: Cow<'a, [Toleration]>,
}

impl<'a> Placement<'a> {
    pub(super) fn of(spec: &'a PodSpec, tolerations: Vec<Toleration>) -> Self {
        let required = spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|affinity| {
                affinity
                    .required_during_scheduling_ignored_during_execution
                    .as_ref()
            });
        Self {
            node_name: spec.node_name.as_deref().filter(|name| !name.is_empty()),
            node_selector: spec.node_selector.as_ref(),
            terms: required.map(|selector| selector.node_selector_terms.as_slice()),
            tolerations: Cow::Owned(tolerations),
        }
    }

    /// Whether the node is one that is asked for, its taints apart.
    pub(super) fn selects(&self, node: &Node) -> bool {
        let name = name_of(&node.metadata);
        let labels = node.metadata.labels.as_ref();
        let label = |key: &str| {
            labels
                .and_then(|labels| labels.get(key))
                .map(String::as_str)
        };
        self.node_name.is_none_or(|wanted| wanted == name)
            && self
                .node_selector
                .into_iter()
                .flatten()
                .all(|(key, value)| label(key) == Some(value))
            && self
                .terms
                .is_none_or(|terms| terms.iter().any(|term| matches(term, name, label)))
    }

    /// Whether all taints with an effect that `counts` are tolerated.
    pub(super) fn tolerates(&self, node: &Node, counts: impl Fn(&str) -> bool) -> bool {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        taints
            .into_iter()
            .flatten()
            .filter(|taint| counts(&taint.effect))
            .all(|taint| self.tolerations.iter().any(|one| tolerates(one, taint)))
    }
}

/// A term without requirements matches nothing.
fn matches<'b>(
    term: &NodeSelectorTerm,
    name: &'b str,
    label: impl Fn(&str) -> Option<&'b str>,
) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|one| holds(one, label(&one.key)))
        && fields
            .iter()
            .all(|one| one.key == "metadata.name" && holds(one, Some(name)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = |value: &str| values.iter().any(|one| one == value);
    let compare = |greater: bool| {
        let (Some(value), [bound]) = (value, values) else {
            return false;
        };
        match (value.parse::<i64>(), bound.parse::<i64>()) {
            (Ok(value), Ok(bound)) => {
                if greater {
                    value > bound
                } else {
                    value < bound
                }
            }
            _ => false,
        }
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(among),
        "NotIn" => !value.is_some_and(among),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(true),
        "Lt" => compare(false),
        _ => false,
    }
}

/// `Toleration.ToleratesTaint` (api/core/v1/toleration.go).
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is = |given: Option<&String>, value: &str| {
        given.is_none_or(|given| given.is_empty() || given == value)
    };
    if !is(toleration.effect.as_ref(), &taint.effect) || !is(toleration.key.as_ref(), &taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        None | Some("" | "Equal") => {
            toleration.value.as_deref().unwrap_or_default()
                == taint.value.as_deref().unwrap_or_default()
        }
        Some("Exists") => true,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn fits(spec: Json, node: Json) -> (bool, bool) {
        let mut spec: PodSpec = serde_json::from_value(spec).unwrap();
        let node: Node = serde_json::from_value(node).unwrap();
        let tolerations = spec.tolerations.take().unwrap_or_default();
        let placement = Placement::of(&spec, tolerations);
        (
            placement.selects(&node),
            placement.tolerates(&node, |effect| effect != "PreferNoSchedule"),
        )
    }

    fn affinity(terms: Json) -> Json {
        json!({"containers": [], "affinity": {"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    /// nodeaffinity/nodeaffinity.go: terms are alternatives, their requirements are not.
    #[test]
    fn terms_are_alternatives() {
        let node = json!({"metadata": {"name": "n", "labels": {"zone": "a", "cpus": "8"}}});
        let zone = |value: &str| json!({"key": "zone", "operator": "In", "values": [value]});
        let many = json!({"key": "cpus", "operator": "Gt", "values": ["4"]});
        let either =
            json!([{"matchExpressions": [zone("b")]}, {"matchExpressions": [zone("a"), many]}]);
        assert!(fits(affinity(either), node.clone()).0);
        let both = json!([{"matchExpressions": [zone("a"), zone("b")]}]);
        assert!(!fits(affinity(both), node.clone()).0);
        assert!(!fits(affinity(json!([{}])), node.clone()).0);
        let named =
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]);
        assert!(fits(affinity(named), node.clone()).0);
        let without =
            json!([{"matchExpressions": [{"key": "gpu", "operator": "NotIn", "values": ["1"]}]}]);
        assert!(fits(affinity(without), node.clone()).0);
        assert!(
            !fits(
                json!({"containers": [], "nodeSelector": {"zone": "b"}}),
                node.clone()
            )
            .0
        );
        assert!(!fits(json!({"containers": [], "nodeName": "other"}), node).0);
    }

    /// api/core/v1/toleration.go: no key and `Exists` tolerates all; no effect is every effect.
    #[test]
    fn taints_need_a_toleration() {
        let node = json!({"metadata": {"name": "n"}, "spec": {"taints": [
            {"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "soft", "effect": "PreferNoSchedule"}]}});
        let with = |tolerations: Json| {
            fits(
                json!({"containers": [], "tolerations": tolerations}),
                node.clone(),
            )
            .1
        };
        assert!(!with(json!([])));
        assert!(with(json!([{"operator": "Exists"}])));
        assert!(with(json!([{"key": "gpu", "value": "yes"}])));
        assert!(!with(json!([{"key": "gpu", "value": "no"}])));
        assert!(!with(
            json!([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}])
        ));
    }
}
