//! Resources that live in a cluster: how they are declared, whose they are, what must be in them.

use std::collections::BTreeMap;

use catalog::ids::Address;
use catalog::in_cluster::{self, owner_labels};
use catalog::{HELM_RELEASE, InvalidTypeName, Realm, TypeName};

use crate::resource::{Resource, Scope};
use crate::value::Value;

impl Resource {
    /// A Kubernetes object in a cluster. `cluster` is the cluster's name: a reference to the cluster's identifier, so that
    /// the object comes after it and goes before it. Its owner labels are given by the [`GraphBuilder`](crate::GraphBuilder).
    ///
    /// # Errors
    ///
    /// When the manifest has no `apiVersion` and `kind` in so many words.
    pub fn kubernetes(
        address: Address,
        cluster: Value,
        manifest: Value,
    ) -> Result<Self, InvalidTypeName> {
        let text = |name: &str| match &manifest {
            Value::Object(manifest) => match manifest.get(name) {
                Some(Value::String(text)) => text.clone(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        let type_name = TypeName::kubernetes(&text("apiVersion"), &text("kind"))?;
        let properties = BTreeMap::from([
            (in_cluster::CLUSTER.to_owned(), cluster),
            (in_cluster::MANIFEST.to_owned(), manifest),
        ]);
        Ok(Self::new(address, type_name, properties))
    }
}

/// A release of a Helm chart, as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The cluster's name, as in [`Resource::kubernetes`].
    pub cluster: Value,
    /// The namespace that it is in.
    pub namespace: Value,
    /// Its name.
    pub name: String,
    /// The chart: `oci://host/path`, the chart's name in `repository`, or a path on this machine.
    pub chart: String,
    /// The URL of the chart's repository, if it has one.
    pub repository: Option<String>,
    /// The chart's version, in full.
    pub version: String,
    /// What is set otherwise than in the chart. Secrets may be in it, as references.
    pub values: Value,
    /// Whether the namespace is made if it is not there. It is never deleted.
    pub create_namespace: bool,
    /// How long its resources may take to be ready, in seconds; ten minutes if it is not said.
    pub timeout_seconds: Option<u32>,
}

impl Release {
    /// As a resource of a graph.
    pub fn resource(self, address: Address) -> Resource {
        let mut properties = BTreeMap::from([
            (in_cluster::CLUSTER.to_owned(), self.cluster),
            ("Namespace".to_owned(), self.namespace),
            ("Name".to_owned(), self.name.into()),
            ("Chart".to_owned(), self.chart.into()),
            ("Version".to_owned(), self.version.into()),
            ("Values".to_owned(), self.values),
        ]);
        if let Some(repository) = self.repository {
            properties.insert("Repository".to_owned(), repository.into());
        }
        if self.create_namespace {
            properties.insert("CreateNamespace".to_owned(), true.into());
        }
        if let Some(seconds) = self.timeout_seconds {
            properties.insert("TimeoutSeconds".to_owned(), seconds.into());
        }
        Resource::new(address, HELM_RELEASE, properties)
    }
}

/// Says in a resource whose it is.
pub(crate) fn own(resource: &mut Resource, scope: &Scope) {
    let owner = [
        (owner_labels::PLATFORM, scope.platform.as_str()),
        (owner_labels::ENVIRONMENT, scope.environment.as_str()),
    ];
    match resource.type_name.realm() {
        Realm::Aws => {}
        Realm::Helm => {
            let status = Value::from("deployed");
            resource
                .properties
                .insert(in_cluster::STATUS.to_owned(), status);
            let owner = owner
                .into_iter()
                .chain([(owner_labels::ADDRESS, resource.address.as_str())]);
            let owner = Value::object(owner.map(|(name, value)| (name, value.into())));
            resource.properties.insert("Owner".to_owned(), owner);
        }
        Realm::Kubernetes => {
            let Some(Value::Object(manifest)) = resource.properties.get_mut(in_cluster::MANIFEST)
            else {
                return;
            };
            let managed = [(owner_labels::MANAGED_BY, owner_labels::SEAWORTHY)];
            let address = [(owner_labels::ADDRESS, resource.address.as_str())];
            let metadata = manifest
                .entry("metadata".to_owned())
                .or_insert_with(|| Value::Object(BTreeMap::new()));
            put(metadata, "labels", owner.into_iter().chain(managed));
            put(metadata, "annotations", address.into_iter());
        }
    }
}

fn put<'a>(metadata: &mut Value, map: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    let Value::Object(metadata) = metadata else {
        return;
    };
    let map = metadata
        .entry(map.to_owned())
        .or_insert_with(|| Value::Object(BTreeMap::new()));
    if let Value::Object(map) = map {
        map.extend(entries.map(|(name, value)| (name.to_owned(), value.into())));
    }
}

/// What is wrong with a resource in a cluster.
pub(crate) fn faults(resource: &Resource) -> Vec<String> {
    let mut faults = Vec::new();
    let mut wants = |name: &str| {
        if !resource.properties.contains_key(name) {
            faults.push(format!("it has no `{name}`"));
        }
    };
    match resource.type_name.realm() {
        Realm::Aws => return faults,
        Realm::Helm => {
            let all = ["Cluster", "Namespace", "Name", "Chart", "Version"];
            all.into_iter().for_each(wants);
            return faults;
        }
        Realm::Kubernetes => {
            wants(in_cluster::CLUSTER);
            wants(in_cluster::MANIFEST);
        }
    }
    let manifest = match resource.properties.get(in_cluster::MANIFEST) {
        Some(Value::Object(manifest)) => manifest,
        Some(_) => {
            faults.push("its `Manifest` is no object".to_owned());
            return faults;
        }
        None => return faults,
    };
    let named = match manifest.get("metadata") {
        Some(Value::Object(metadata)) => metadata.contains_key("name"),
        _ => false,
    };
    if !named {
        faults.push("its manifest has no `metadata.name`".to_owned());
    }
    let of_type = [
        ("apiVersion", resource.type_name.service()),
        ("kind", resource.type_name.resource()),
    ];
    for (name, wanted) in of_type {
        if manifest.get(name) != Some(&Value::from(wanted)) {
            faults.push(format!("the `{name}` of its manifest is not `{wanted}`"));
        }
    }
    if resource.type_name.as_str() == "Kubernetes::v1::Secret" {
        if manifest.contains_key("data") {
            faults.push(
                "a Secret's values are references in `stringData`; it can't have `data`".to_owned(),
            );
        }
        if let Some(Value::Object(values)) = manifest.get("stringData") {
            let literal = values
                .iter()
                .filter(|(_, value)| value.references().is_empty());
            faults.extend(literal.map(|(key, _)| {
                format!("`{key}` of a Secret is written out: make it a reference to a secret, or the object a ConfigMap")
            }));
        }
    }
    faults
}
