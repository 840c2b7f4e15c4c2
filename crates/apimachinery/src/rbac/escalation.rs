//! Nobody gives away what they do not have: which rules of a role are not covered by those of the user who writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::policy_rule::has;
use super::{PolicyRule, Subject};

/// What of `wanted` is not covered by `held`, in rules of one verb, group and resource each (or one path), gathered again by
/// verb. Empty: all of it is held.
#[must_use]
pub fn missing(held: &[impl AsRef<PolicyRule>], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let missing: Vec<PolicyRule> = wanted
        .iter()
        .flat_map(atoms)
        .filter(|atom| !held.iter().any(|rule| covers(rule.as_ref(), atom)))
        .collect();
    gather(missing)
}

/// The real server's words for it.
#[must_use]
pub fn missing_message(subject: Subject<'_>, missing: &[PolicyRule]) -> String {
    let told: BTreeSet<String> = missing.iter().map(described).collect();
    let told: Vec<String> = told.into_iter().collect();
    format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        subject.user,
        listed(subject.groups),
        told.join("\n")
    )
}

impl AsRef<Self> for PolicyRule {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A rule as rules of one verb, one group, one resource and at most one name, or one verb and one path.
fn atoms(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut atoms = Vec::new();
    let names: Vec<Vec<String>> = if rule.resource_names.is_empty() {
        vec![Vec::new()]
    } else {
        rule.resource_names
            .iter()
            .map(|name| vec![name.clone()])
            .collect()
    };
    for verb in &rule.verbs {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                atoms.extend(names.iter().map(|names| PolicyRule {
                    verbs: vec![verb.clone()],
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    resource_names: names.clone(),
                    non_resource_urls: Vec::new(),
                }));
            }
        }
        atoms.extend(rule.non_resource_urls.iter().map(|path| PolicyRule {
            verbs: vec![verb.clone()],
            non_resource_urls: vec![path.clone()],
            ..PolicyRule::default()
        }));
    }
    atoms
}

/// Whether one rule gives all of an atom.
fn covers(held: &PolicyRule, atom: &PolicyRule) -> bool {
    let verbs = atom.verbs.iter().all(|verb| has(&held.verbs, verb));
    let groups = atom
        .api_groups
        .iter()
        .all(|group| has(&held.api_groups, group));
    let resources = atom.resources.iter().all(|resource| {
        has(&held.resources, resource)
            || resource
                .split_once('/')
                .is_some_and(|(_, sub)| held.resources.contains(&format!("*/{sub}")))
    });
    let names = held.resource_names.is_empty()
        || (!atom.resource_names.is_empty()
            && atom
                .resource_names
                .iter()
                .all(|name| held.resource_names.contains(name)));
    // A path with a star is held only by one with a star that is as wide.
    let paths = atom
        .non_resource_urls
        .iter()
        .all(|path| held.matches_path(path));
    verbs && groups && resources && names && paths
}

/// Rules that differ by their verb alone become one, the verbs in the order in which they were wanted.
fn gather(atoms: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut order = Vec::new();
    let mut gathered: BTreeMap<PolicyRule, Vec<String>> = BTreeMap::new();
    for mut atom in atoms {
        let verbs = std::mem::take(&mut atom.verbs);
        let all = gathered.entry(atom.clone()).or_insert_with(|| {
            order.push(atom);
            Vec::new()
        });
        for verb in verbs {
            if !all.contains(&verb) {
                all.push(verb);
            }
        }
    }
    order
        .into_iter()
        .map(|rule| {
            let verbs = gathered.remove(&rule).unwrap_or_default();
            PolicyRule { verbs, ..rule }
        })
        .collect()
}

/// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`, as Go prints it.
fn described(rule: &PolicyRule) -> String {
    let mut told = String::from("{");
    for (name, list) in [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ] {
        if !list.is_empty() {
            let comma = if told.len() > 1 { ", " } else { "" };
            let _ = write!(told, "{comma}{name}:{}", listed(list));
        }
    }
    told.push('}');
    told
}

fn listed(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|one| format!("{one:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn rules(json: Json) -> Vec<PolicyRule> {
        PolicyRule::list(&json)
    }

    #[test]
    fn what_is_held_may_be_given() {
        let held = rules(json!([
            { "verbs": ["get", "list"], "apiGroups": [""], "resources": ["*"] },
            { "verbs": ["*"], "apiGroups": ["apps"], "resources": ["deployments", "*/scale"] },
            { "verbs": ["get"], "apiGroups": ["x"], "resources": ["y"], "resourceNames": ["a", "b"] },
            { "verbs": ["get"], "nonResourceURLs": ["/apis/*"] },
        ]));
        let covered = rules(json!([
            { "verbs": ["list", "get"], "apiGroups": [""], "resources": ["pods", "pods/log"] },
            { "verbs": ["patch"], "apiGroups": ["apps"], "resources": ["deployments", "statefulsets/scale"] },
            { "verbs": ["get"], "apiGroups": ["x"], "resources": ["y"], "resourceNames": ["b"] },
            { "verbs": ["get"], "nonResourceURLs": ["/apis/apps", "/apis/*"] },
        ]));
        assert_eq!(missing(&held, &covered), []);
        for wanted in [
            json!([{ "verbs": ["*"], "apiGroups": [""], "resources": ["pods"] }]),
            json!([{ "verbs": ["get"], "apiGroups": ["*"], "resources": ["pods"] }]),
            json!([{ "verbs": ["get"], "apiGroups": ["x"], "resources": ["y"] }]),
            json!([{ "verbs": ["get"], "apiGroups": ["x"], "resources": ["y"], "resourceNames": ["c"] }]),
            json!([{ "verbs": ["get"], "nonResourceURLs": ["*"] }]),
        ] {
            assert_eq!(missing(&held, &rules(wanted.clone())), rules(wanted));
        }
    }

    #[test]
    fn the_message_names_what_is_missing() {
        let wanted = rules(
            json!([{ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets", "pods"] }]),
        );
        let held =
            rules(json!([{ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"] }]));
        let groups = [
            "system:serviceaccounts".to_owned(),
            "system:authenticated".to_owned(),
        ];
        let subject = Subject {
            user: "jane",
            groups: &groups,
        };
        assert_eq!(
            missing_message(subject, &missing(&held, &wanted)),
            "user \"jane\" (groups=[\"system:serviceaccounts\" \"system:authenticated\"]) is attempting to grant RBAC permissions \
             not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
        );
    }
}
