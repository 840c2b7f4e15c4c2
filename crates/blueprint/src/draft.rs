//! What the components write with: a [`Draft`] is a resource as it is declared, [`Made`] is how others refer to it, and
//! [`Drawing`] collects the drafts of one scope and turns them into its graph.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::{Address, EnvironmentName};
use catalog::{InvalidTypeName, TypeName};
use graph::{Graph, GraphBuilder, Lifecycle, Parameter, Resource, Scope, SecretReference, Value};
use spec::Platform;
use spec::model::Spec;

use crate::Error;
use crate::{lifecycle, naming, tags};

/// A resource as its component declares it. Names, owner tags and the spec's lifecycles come later, for all at once.
pub(crate) struct Draft {
    pub(crate) address: Address,
    pub(crate) type_name: TypeName,
    pub(crate) properties: BTreeMap<String, Value>,
    pub(crate) depends_on: BTreeSet<Address>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) tags: BTreeMap<String, String>,
    error: Option<Error>,
}

impl Draft {
    /// A managed resource. `properties` is an object.
    pub(crate) fn new(address: impl AsRef<str>, type_name: TypeName, properties: Value) -> Self {
        let (address, error) = match Address::new(address.as_ref()) {
            Ok(address) => (address, None),
            Err(why) => (placeholder(), Some(Error::Address(why))),
        };
        let Value::Object(properties) = properties else {
            unreachable!("a component declares its properties as an object")
        };
        Self {
            address,
            type_name,
            properties,
            depends_on: BTreeSet::new(),
            lifecycle: Lifecycle::Managed,
            tags: BTreeMap::new(),
            error,
        }
    }

    /// What lives in a cluster.
    pub(crate) fn within(
        address: impl AsRef<str>,
        resource: impl FnOnce(Address) -> Result<Resource, InvalidTypeName>,
    ) -> Self {
        let (address, error) = match Address::new(address.as_ref()) {
            Ok(address) => (address, None),
            Err(why) => (placeholder(), Some(Error::Address(why))),
        };
        let made = resource(address.clone());
        let (type_name, properties, error) = match made {
            Ok(made) => (made.type_name, made.properties, error),
            Err(why) => {
                let error = error.or(Some(Error::Type {
                    address: address.clone(),
                    why,
                }));
                (catalog::HELM_RELEASE, BTreeMap::new(), error)
            }
        };
        Self {
            error,
            ..Self::new(address.as_str(), type_name, Value::Object(properties))
        }
    }

    /// Comes after `others` although no property says so.
    pub(crate) fn after<'a>(mut self, others: impl IntoIterator<Item = &'a Made>) -> Self {
        self.depends_on
            .extend(others.into_iter().map(|made| made.0.clone()));
        self
    }

    /// One more property.
    pub(crate) fn with(mut self, property: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(property.to_owned(), value.into());
        self
    }

    /// One more property, if there is a value for it.
    pub(crate) fn with_some(self, property: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(property, value),
            None => self,
        }
    }

    /// A tag of its own, beside the owner tags.
    pub(crate) fn tag(mut self, key: &str, value: impl Into<String>) -> Self {
        self.tags.insert(key.to_owned(), value.into());
        self
    }

    /// Who makes it and who may delete it, when that is not us.
    pub(crate) fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = lifecycle;
        self
    }

    /// Left alone when it is no longer wanted.
    pub(crate) fn retain(self) -> Self {
        self.lifecycle(Lifecycle::Retain)
    }
}

/// Stands in for an address that is none; the error beside it keeps the graph from being built.
fn placeholder() -> Address {
    Address::new("invalid").expect("lower-case letters are an address")
}

/// A resource that was added: how others refer to it.
#[derive(Debug, Clone)]
pub(crate) struct Made(Address);

impl Made {
    /// A property of it, read-only ones included.
    pub(crate) fn get(&self, property: &str) -> Value {
        Value::attribute(&self.0, property)
    }

    /// Its identifier.
    pub(crate) fn id(&self) -> Value {
        Value::identifier(&self.0)
    }

    /// Its ARN, for the types that call it so.
    pub(crate) fn arn(&self) -> Value {
        self.get("Arn")
    }

    /// A key of the JSON object that it holds, when it is a secret.
    pub(crate) fn secret(&self, key: &str) -> Value {
        Value::Secret(SecretReference {
            secret: self.0.clone(),
            key: Some(key.to_owned()),
        })
    }
}

/// The drafts of one scope.
pub(crate) struct Drawing<'a> {
    pub(crate) platform: &'a Platform,
    environment: EnvironmentName,
    drafts: Vec<Draft>,
    errors: Vec<Error>,
}

impl<'a> Drawing<'a> {
    pub(crate) fn new(platform: &'a Platform, environment: EnvironmentName) -> Self {
        Self {
            platform,
            environment,
            drafts: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// The spec.
    pub(crate) fn spec(&self) -> &'a Spec {
        &self.platform.spec
    }

    /// The region's name.
    pub(crate) fn region(&self) -> &'a str {
        self.platform.region.as_str()
    }

    /// The partition that the region is in: `aws`, `aws-cn`, `aws-us-gov`.
    pub(crate) fn partition(&self) -> &'static str {
        catalog::regions::partition(self.region())
    }

    /// The scope's name in AWS: `<platform>-<env>`.
    pub(crate) fn scope_name(&self) -> String {
        format!("{}-{}", self.platform.platform, self.environment)
    }

    /// A component's name in AWS: `<platform>-<env>-<component>`.
    pub(crate) fn name(&self, component: &str) -> String {
        format!("{}-{component}", self.scope_name())
    }

    /// A component's name where names are unique over all accounts: `<platform>-<env>-<component>-<account>`.
    pub(crate) fn global_name(&self, component: &str) -> Value {
        Value::join([format!("{}-", self.name(component)).into(), account()])
    }

    /// The ARN of something in this account and region.
    pub(crate) fn regional_arn(&self, service: &str, resource: impl Into<Value>) -> Value {
        Value::join([
            format!("arn:{}:{service}:{}:", self.partition(), self.region()).into(),
            account(),
            ":".into(),
            resource.into(),
        ])
    }

    /// The ARN of something in this account that belongs to no region.
    pub(crate) fn global_arn(&self, service: &str, resource: impl Into<Value>) -> Value {
        Value::join([
            format!("arn:{}:{service}::", self.partition()).into(),
            account(),
            ":".into(),
            resource.into(),
        ])
    }

    /// The ARN of one of AWS's managed policies (`AmazonEKSClusterPolicy`).
    pub(crate) fn managed_policy(&self, name: &str) -> Value {
        format!("arn:{}:iam::aws:policy/{name}", self.partition()).into()
    }

    /// The owner tags of the resource at an address, with the spec's own.
    pub(crate) fn owner_tags(&self, address: &str) -> BTreeMap<String, String> {
        tags::owner(self.platform, &self.environment, address)
    }

    /// What the addresses that begin with `prefix` end with.
    pub(crate) fn addresses_under<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'s str> {
        self.drafts
            .iter()
            .filter_map(move |draft| draft.address.as_str().strip_prefix(prefix))
    }

    /// Adds a resource; what is returned is how others refer to it.
    pub(crate) fn add(&mut self, mut draft: Draft) -> Made {
        self.errors.extend(draft.error.take());
        let made = Made(draft.address.clone());
        self.drafts.push(draft);
        made
    }

    /// Something that makes the graph impossible.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// Tags everything, applies the spec's lifecycles, checks the names, and makes the graph.
    pub(crate) fn finish(mut self) -> Result<Graph, Vec<Error>> {
        let empty = self
            .spec()
            .aws
            .tags
            .iter()
            .filter(|(_, value)| value.is_empty());
        self.errors
            .extend(empty.map(|(key, _)| Error::EmptyTag { key: key.clone() }));
        lifecycle::apply(
            &self.spec().lifecycle,
            &self.environment,
            &mut self.drafts,
            &mut self.errors,
        );
        let scope = Scope {
            platform: self.platform.platform.clone(),
            environment: self.environment.clone(),
            region: self.platform.region.clone(),
        };
        let mut builder = GraphBuilder::new(scope);
        for mut draft in self.drafts {
            // What is somebody else's is only read: it gets no tags of ours, and its name is not ours to judge.
            if !matches!(draft.lifecycle, Lifecycle::Existing(_)) {
                tags::apply(self.platform, &self.environment, &mut draft);
                self.errors.extend(naming::check(&draft));
            }
            builder.add(Resource {
                address: draft.address,
                type_name: draft.type_name,
                properties: draft.properties,
                depends_on: draft.depends_on,
                lifecycle: draft.lifecycle,
            });
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        builder
            .build()
            .map_err(|errors| errors.into_iter().map(Error::Graph).collect())
    }
}

/// The account's id.
pub(crate) fn account() -> Value {
    Value::Parameter(Parameter::AccountId)
}
