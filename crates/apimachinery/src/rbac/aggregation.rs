//! ClusterRoles that gather the rules of others, chosen by label (`aggregationRule`).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::PolicyRule;

/// The rules that a ClusterRole gathers from all of them: each once, in the order of the roles' names. `None` if it gathers
/// none and its own rules stand.
#[must_use]
pub fn aggregated_rules<'a>(
    role: &Json,
    all: impl IntoIterator<Item = &'a Json>,
) -> Option<Vec<PolicyRule>> {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors")?;
    let selectors = selectors.as_array()?;
    let own = name(role);
    let mut chosen: BTreeMap<&str, &Json> = BTreeMap::new();
    for other in all {
        let labels = other.pointer("/metadata/labels").unwrap_or(&Json::Null);
        if name(other) != own && selectors.iter().any(|selector| selects(selector, labels)) {
            chosen.insert(name(other), other);
        }
    }
    let mut rules: Vec<PolicyRule> = Vec::new();
    for rule in chosen
        .values()
        .flat_map(|role| PolicyRule::list(&role["rules"]))
    {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Some(rules)
}

/// The ClusterRoles whose stored rules are not those that they gather, with the rules that they should have. Roles that
/// gather from gathering ones are brought up to date in as many steps as they are deep: it is to be asked again after a write.
#[must_use]
pub fn aggregated_updates<'a>(cluster_roles: &[&'a Json]) -> Vec<(&'a Json, Vec<Json>)> {
    cluster_roles
        .iter()
        .filter_map(|role| {
            let rules = aggregated_rules(role, cluster_roles.iter().copied())?;
            (rules != PolicyRule::list(&role["rules"]))
                .then(|| (*role, rules.iter().map(PolicyRule::to_json).collect()))
        })
        .collect()
}

pub(super) fn name(object: &Json) -> &str {
    object
        .pointer("/metadata/name")
        .and_then(Json::as_str)
        .unwrap_or_default()
}

/// Whether a label selector holds for labels. One with an operator that nobody knows holds for nothing.
fn selects(selector: &Json, labels: &Json) -> bool {
    let label = |key: &str| labels.get(key).and_then(Json::as_str);
    let equal = selector
        .get("matchLabels")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .all(|(key, value)| value.as_str().is_some() && label(key) == value.as_str());
    let expressions = selector
        .get("matchExpressions")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .all(|expression| {
            let text = |field| {
                expression
                    .get(field)
                    .and_then(Json::as_str)
                    .unwrap_or_default()
            };
            let found = label(text("key"));
            let among = || {
                let values = expression.get("values").and_then(Json::as_array);
                found.is_some_and(|found| {
                    values
                        .is_some_and(|values| values.iter().any(|one| one.as_str() == Some(found)))
                })
            };
            match text("operator") {
                "In" => among(),
                "NotIn" => !among(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        });
    equal && expressions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, labels: Json, resource: &str) -> Json {
        json!({ "kind": "ClusterRole", "metadata": { "name": name, "labels": labels },
            "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": [resource] }] })
    }

    #[test]
    fn rules_are_gathered_by_label_each_once() {
        let mut gatherer = role("all", json!({ "to": "x" }), "own");
        gatherer["aggregationRule"] = json!({ "clusterRoleSelectors": [
            { "matchLabels": { "to": "x" } },
            { "matchExpressions": [{ "key": "kind", "operator": "In", "values": ["b", "c"] }] },
        ] });
        let roles = [
            role("z", json!({ "to": "x" }), "pods"),
            role("a", json!({ "kind": "b" }), "services"),
            role("same", json!({ "kind": "c" }), "pods"),
            role("other", json!({ "to": "y" }), "secrets"),
            gatherer.clone(),
        ];
        let rules = aggregated_rules(&gatherer, &roles).unwrap();
        let resources: Vec<&str> = rules
            .iter()
            .map(|rule| rule.resources[0].as_str())
            .collect();
        assert_eq!(resources, ["services", "pods"]);
        assert_eq!(aggregated_rules(&roles[0], &roles), None);
    }

    #[test]
    fn updates_come_to_an_end() {
        let mut gatherer = role("all", json!({}), "own");
        gatherer["aggregationRule"] =
            json!({ "clusterRoleSelectors": [{ "matchLabels": { "to": "x" } }] });
        let part = role("part", json!({ "to": "x" }), "pods");
        let updates = aggregated_updates(&[&gatherer, &part]);
        assert_eq!(updates.len(), 1);
        let rules = updates[0].1.clone();
        gatherer["rules"] = rules.into();
        assert_eq!(aggregated_updates(&[&gatherer, &part]).len(), 0);
    }
}
