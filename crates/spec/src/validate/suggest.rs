//! What somebody meant who wrote something else.

use serde_json::Value;

use crate::schema;

/// Keys that the product will have, by the key that they lie under, with what they are.
const NOT_BUILT: &[(&str, &str, &str)] = &[
    (
        "",
        "applications",
        "applications that are delivered from Git",
    ),
    (
        "",
        "applicationSets",
        "applications that are delivered from Git",
    ),
    ("", "argocd", "Argo CD"),
    ("", "automator", "the Automator"),
    ("", "charts", "Helm charts"),
    ("", "cloudNativePg", "PostgreSQL in the cluster"),
    ("", "cnpg", "PostgreSQL in the cluster"),
    ("", "database", "PostgreSQL in the cluster"),
    ("", "gitops", "delivery from Git"),
    ("", "grafana", "observability in the cluster"),
    ("", "helm", "Helm charts"),
    ("", "ingress", "the load balancer's routes"),
    (
        "",
        "ingressNginx",
        "a second proxy behind the load balancer",
    ),
    ("", "keda", "autoscaling of pods"),
    ("", "loki", "observability in the cluster"),
    ("", "monitoring", "observability in the cluster"),
    ("", "observability", "observability in the cluster"),
    ("", "postgres", "PostgreSQL in the cluster"),
    ("", "prometheus", "observability in the cluster"),
    ("", "promotion", "promotion between environments"),
    ("", "signoz", "SigNoz"),
    ("", "storageClasses", "storage classes"),
    ("", "supabase", "Supabase"),
];

/// Other words for keys, by the key that they lie under.
const SYNONYMS: &[(&str, &str, &str)] = &[
    ("", "acm", "certificate"),
    ("", "amazonmq", "rabbitmq"),
    ("", "cache", "redis"),
    ("", "cloudtrail", "audit"),
    ("", "ecr", "shared.repositories"),
    ("", "eks", "cluster"),
    ("", "elasticache", "redis"),
    ("", "k8s", "kubernetes"),
    ("", "loadbalancer", "loadBalancerController"),
    ("", "mq", "rabbitmq"),
    ("", "name", "platform"),
    ("", "nodeclasses", "nodeClass"),
    ("", "nodegroup", "systemNodes"),
    ("", "nodegroups", "systemNodes"),
    ("", "nodes", "systemNodes"),
    ("", "route53", "dns"),
    ("", "tls", "certificate"),
    ("", "valkey", "redis"),
    ("", "vpc", "network"),
    ("", "workers", "services"),
    ("network", "nat", "natGateways"),
    ("network", "singlenatgateway", "natGateways"),
    ("network", "vpccidr", "cidr"),
    ("rabbitmq", "mode", "deploymentMode"),
    ("rabbitmq", "nodetype", "instanceType"),
    ("rabbitmq", "version", "engineVersion"),
    ("redis", "instancetype", "nodeType"),
    ("redis", "version", "engineVersion"),
    ("systemNodes", "maxsize", "max"),
    ("systemNodes", "minsize", "min"),
];

/// What a key is that the product will have.
pub(super) fn not_built(parent: &str, key: &str) -> Option<&'static str> {
    let key = plain(key);
    NOT_BUILT
        .iter()
        .find(|(under, name, _)| *under == parent && plain(name) == key)
        .map(|(_, _, what)| *what)
}

/// What an unknown key may mean.
#[derive(Debug, PartialEq)]
pub(super) enum Meant {
    /// A key of the same map, spelt wrong.
    Spelling(String),
    /// A key that is called something else, or lies elsewhere: its path.
    Elsewhere(String),
}

/// What `key` under `path` may mean, of the keys that its map has.
pub(super) fn key(path: &[String], key: &str) -> Option<Meant> {
    let parent = path.join(".");
    let known = schema::at(path)?.get("properties")?.as_object()?;
    if let Some((_, _, other)) = SYNONYMS
        .iter()
        .find(|(under, name, _)| *under == parent && *name == plain(key))
    {
        return Some(Meant::Elsewhere((*other).to_owned()));
    }
    if let Some(meant) = nearest(key, known.keys().map(String::as_str)) {
        return Some(Meant::Spelling(meant.to_owned()));
    }
    let mut elsewhere = Vec::new();
    paths(schema::strict(), "", key, &mut elsewhere);
    match elsewhere.as_slice() {
        [only] => Some(Meant::Elsewhere(only.clone())),
        _ => None,
    }
}

/// The paths of the keys of that name.
fn paths(schema: &Value, path: &str, name: &str, found: &mut Vec<String>) {
    for (key, value) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        paths(value, &path, name, found);
        if plain(key) == plain(name) {
            found.push(path);
        }
    }
}

/// The option that is most like `given`, if one is like it at all.
pub(crate) fn nearest<'a>(given: &str, options: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes a name of this length into another; and the distance takes quadratic time.
    if given.len() > 64 {
        return None;
    }
    let given = plain(given);
    options
        .map(|option| (strsim::damerau_levenshtein(&given, &plain(option)), option))
        .filter(|(distance, option)| {
            *distance <= (option.len().min(given.len()) / 3).max(usize::from(option.len() > 2))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, option)| option)
}

/// Lower-case letters and digits alone: `Node_Type` and `nodeType` are the same word.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let meant = |path: &[&str], text: &str| {
            key(
                &path.iter().map(ToString::to_string).collect::<Vec<_>>(),
                text,
            )
        };
        let spelling = |text: &str| Some(Meant::Spelling(text.to_owned()));
        let elsewhere = |text: &str| Some(Meant::Elsewhere(text.to_owned()));
        assert_eq!(meant(&["redis"], "replicsa"), spelling("replicas"));
        assert_eq!(meant(&["redis"], "node_type"), spelling("nodeType"));
        assert_eq!(meant(&[], "netwrok"), spelling("network"));
        assert_eq!(meant(&[], "vpc"), elsewhere("network"));
        assert_eq!(meant(&[], "cidr"), elsewhere("network.cidr"));
        assert_eq!(meant(&["network"], "region"), elsewhere("aws.region"));
        assert_eq!(meant(&["redis"], "colour"), None);
        assert_eq!(meant(&[], "enabled"), None, "many have it");
        assert_eq!(
            nearest(
                "SINGLE_INSTANCE",
                ["single-instance", "cluster-multi-az"].into_iter()
            ),
            Some("single-instance")
        );
    }

    #[test]
    fn what_is_not_built_is_no_key_of_the_spec() {
        for (under, name, _) in NOT_BUILT {
            let path: Vec<&str> = under
                .split('.')
                .filter(|part| !part.is_empty())
                .chain([*name])
                .collect();
            assert!(
                schema::at(&path).is_none(),
                "{path:?} is built: take it off the list"
            );
        }
        for (under, _, other) in SYNONYMS {
            let path: Vec<&str> = under
                .split('.')
                .filter(|part| !part.is_empty())
                .chain(other.split('.'))
                .collect();
            assert!(schema::at(&path).is_some(), "{path:?}");
        }
    }
}
