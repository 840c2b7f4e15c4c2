//! Label selectors, and which nodes a volume may be used on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, VolumeNodeAffinity};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::document::Named;

type Labels = BTreeMap<String, String>;

fn holds(operator: &str, values: Option<&Vec<String>>, value: Option<&String>) -> bool {
    let listed = |value: &String| values.is_some_and(|values| values.contains(value));
    match operator {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // `Gt` and `Lt` of node affinity compare whole numbers.
        "Gt" | "Lt" => {
            let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
            match (
                number(value),
                number(values.and_then(|values| values.first())),
            ) {
                (Some(value), Some(bound)) if operator == "Gt" => value > bound,
                (Some(value), Some(bound)) => value < bound,
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether a selector selects labels; an empty one selects everything.
#[must_use]
pub(crate) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let get = |key: &String| labels.and_then(|labels| labels.get(key));
    selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| get(key) == Some(value))
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|one| holds(&one.operator, one.values.as_ref(), get(&one.key)))
}

/// Whether a volume may be used on a node: any term of its affinity holds, or it has none.
#[must_use]
pub(crate) fn allows(affinity: Option<&VolumeNodeAffinity>, node: &Node) -> bool {
    let Some(required) = affinity.and_then(|affinity| affinity.required.as_ref()) else {
        return true;
    };
    let term = |term: &NodeSelectorTerm| {
        let mut any = false;
        let expressions = term.match_expressions.iter().flatten().all(|one| {
            any = true;
            let labels = node.metadata.labels.as_ref();
            let value = labels.and_then(|labels| labels.get(&one.key));
            holds(&one.operator, one.values.as_ref(), value)
        });
        let name = node.name().to_owned();
        let fields = term.match_fields.iter().flatten().all(|one| {
            any = true;
            one.key == "metadata.name" && holds(&one.operator, one.values.as_ref(), Some(&name))
        });
        any && expressions && fields
    };
    required.node_selector_terms.iter().any(term)
}
