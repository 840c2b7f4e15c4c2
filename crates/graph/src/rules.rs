//! How the documents of a type are compared, and what of them can be changed: by the type's schema in AWS, by what the
//! manifest says in a cluster.

use catalog::compare::{self, Difference};
use catalog::{
    PropertyPath, Provisioning, Realm, ReplacementOrder, ResourceSchema, TypeName, in_cluster,
};
use serde_json::Value as Json;

/// Properties that say how a resource is applied, not what it is.
const MANNERS: [&str; 3] = [in_cluster::ADOPT, in_cluster::FORCE, "TimeoutSeconds"];

/// What is to be known of a type for a diff.
#[derive(Debug, Clone)]
pub enum Rules {
    /// An AWS resource.
    Aws(&'static ResourceSchema),
    /// A Kubernetes object, or a Helm release.
    InCluster(TypeName),
}

impl Rules {
    /// Those of a type; none when nobody knows it.
    pub fn of(type_name: &TypeName) -> Option<Self> {
        if type_name.realm() == Realm::Aws {
            catalog::schema(type_name).map(Self::Aws)
        } else {
            Some(Self::InCluster(type_name.clone()))
        }
    }

    /// What a change of the desired properties changes.
    pub fn changes(&self, before: &Json, after: &Json) -> Vec<Difference> {
        match self {
            Self::Aws(schema) => compare::changes(schema, before, after),
            Self::InCluster(_) => {
                let empty = serde_json::Map::new();
                let (before, after) = (
                    before.as_object().unwrap_or(&empty),
                    after.as_object().unwrap_or(&empty),
                );
                let names = after
                    .keys()
                    .chain(before.keys().filter(|name| !after.contains_key(*name)));
                top_level(names, after, before)
            }
        }
    }

    /// Where a model differs from what is desired. Of what is in a cluster, a model has what we own there; what it does not
    /// tell of at all (where a chart came from) is not compared.
    pub fn differences(&self, desired: &Json, model: &Json) -> Vec<Difference> {
        match self {
            Self::Aws(schema) => compare::differences(schema, desired, model),
            Self::InCluster(_) => match (desired.as_object(), model.as_object()) {
                (Some(desired), Some(model)) => {
                    let told = desired.keys().filter(|name| model.contains_key(*name));
                    top_level(told, desired, model)
                }
                _ => Vec::new(),
            },
        }
    }

    /// Whether another value at a path makes another resource.
    pub fn is_create_only(&self, path: &PropertyPath) -> bool {
        match self {
            Self::Aws(schema) => {
                schema.provisioning() == Provisioning::Immutable
                    || schema
                        .create_only()
                        .iter()
                        .chain(schema.conditional_create_only())
                        .any(|fixed| fixed.overlaps(path))
            }
            Self::InCluster(type_name) => in_cluster::create_only(type_name)
                .iter()
                .any(|fixed| fixed.overlaps(path)),
        }
    }

    /// Whether a resource must go before the one that replaces it can come.
    pub fn is_deleted_first(&self, before: &Json, after: &Json) -> bool {
        match self {
            Self::Aws(schema) => {
                schema.replacement_order() == ReplacementOrder::DeleteThenCreate
                    || schema.collides(before, after)
            }
            Self::InCluster(_) => {
                let before = self.identifier(before);
                before.is_none() || before == self.identifier(after)
            }
        }
    }

    /// The identifier, where the desired properties tell it.
    pub fn identifier(&self, properties: &Json) -> Option<String> {
        match self {
            Self::Aws(schema) => schema.identifier_of(properties),
            Self::InCluster(type_name) => in_cluster::identifier(type_name, properties),
        }
    }

    /// Whether every update gives an attribute a new value that nobody can know before.
    pub fn is_renewed_by_update(&self, path: &PropertyPath) -> bool {
        match self {
            Self::Aws(schema) => path
                .property()
                .is_some_and(|name| schema.renewed_by_update().contains(&name)),
            // What the cluster's controllers write.
            Self::InCluster(_) => path.property() == Some("Status"),
        }
    }

    /// A model without what can't be read back. AWS leaves it out by itself; secrets are among it, so it is not left to it.
    pub fn readable(&self, mut model: Json) -> Json {
        if let Self::Aws(schema) = self {
            for path in schema.write_only() {
                path.remove_from(&mut model);
            }
        }
        model
    }

    /// The desired properties as far as a resource that was found has them: what differs is as it is there, and what can't
    /// be read is left out.
    pub fn as_found(&self, desired: &Json, model: &Json) -> Json {
        let mut found = desired.clone();
        if let Self::Aws(schema) = self {
            // What can neither be read nor changed is taken as it is wanted: a find compares all that can be read of it.
            let settable = schema
                .write_only()
                .iter()
                .filter(|path| !schema.is_create_only(path));
            for path in settable {
                path.remove_from(&mut found);
            }
        }
        for difference in self.differences(desired, model) {
            let (Some(name), Some(properties)) =
                (difference.path.property(), found.as_object_mut())
            else {
                continue;
            };
            match model.get(name) {
                Some(value) => properties.insert(name.to_owned(), value.clone()),
                None => properties.remove(name),
            };
        }
        found
    }
}

type Properties = serde_json::Map<String, Json>;

fn top_level<'a>(
    names: impl Iterator<Item = &'a String>,
    expected: &Properties,
    actual: &Properties,
) -> Vec<Difference> {
    let mut found = Vec::new();
    for name in names.filter(|name| !MANNERS.contains(&name.as_str())) {
        let at = PropertyPath::root().join(name);
        let of = |properties: &Properties| properties.get(name).cloned().unwrap_or_default();
        structural(&at, &of(expected), &of(actual), &mut found);
    }
    found
}

/// Compares both ways. Lists of one length are compared by position: whoever reads a cluster has put them in our order.
fn structural(at: &PropertyPath, expected: &Json, actual: &Json, found: &mut Vec<Difference>) {
    if expected == actual || is_nothing(expected) && is_nothing(actual) {
        return;
    }
    match (expected, actual) {
        (Json::Object(wanted), Json::Object(present))
            if !is_marker(expected) && !is_marker(actual) =>
        {
            let names = wanted
                .keys()
                .chain(present.keys().filter(|name| !wanted.contains_key(*name)));
            for name in names {
                let of = |object: &Properties| object.get(name).cloned().unwrap_or_default();
                structural(&at.join(name), &of(wanted), &of(present), found);
            }
        }
        (Json::Array(wanted), Json::Array(present)) if wanted.len() == present.len() => {
            for (position, (wanted, present)) in wanted.iter().zip(present).enumerate() {
                structural(&at.join(position.to_string()), wanted, present, found);
            }
        }
        _ => found.push(Difference {
            path: at.clone(),
            expected: expected.clone(),
            actual: actual.clone(),
        }),
    }
}

/// Whether it stands for something that is unknown or secret.
fn is_marker(document: &Json) -> bool {
    document
        .as_object()
        .is_some_and(|object| object.len() == 1 && object.keys().all(|key| key.starts_with('$')))
}

/// An API server keeps no empty object, list or null where nothing says otherwise.
fn is_nothing(document: &Json) -> bool {
    match document {
        Json::Null => true,
        Json::Object(object) => object.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Rules {
        Rules::InCluster("Kubernetes::apps/v1::Deployment".parse().unwrap())
    }

    fn paths(differences: &[Difference]) -> Vec<String> {
        differences
            .iter()
            .map(|difference| difference.path.to_string())
            .collect()
    }

    #[test]
    fn manifests_are_compared_both_ways_and_manners_are_not() {
        let before = json!({"Cluster": "c", "Manifest": {"spec": {"replicas": 2, "paused": true}}, "Force": true});
        let after = json!({"Cluster": "c", "Manifest": {"spec": {"replicas": 3, "template": {}}}});
        assert_eq!(
            paths(&rules().changes(&before, &after)),
            ["Manifest.spec.replicas", "Manifest.spec.paused"]
        );
    }

    #[test]
    fn what_a_model_does_not_tell_is_no_drift() {
        let desired = json!({"Cluster": "c", "Repository": "https://charts", "Values": {"a": 1}});
        let model = json!({"Cluster": "c", "Values": {"a": 1, "b": 2}, "Uid": "1"});
        assert_eq!(paths(&rules().differences(&desired, &model)), ["Values.b"]);
    }

    #[test]
    fn a_selector_and_a_name_make_another_object() {
        let path = |text: &str| PropertyPath::from_segments(text.split('.'));
        for fixed in [
            "Cluster",
            "Manifest.metadata.name",
            "Manifest.spec.selector.matchLabels.app",
            "Manifest.spec",
        ] {
            assert!(rules().is_create_only(&path(fixed)), "{fixed}");
        }
        assert!(!rules().is_create_only(&path("Manifest.spec.replicas")));
        assert!(!rules().is_create_only(&path("Manifest.metadata.labels.x")));
    }
}
