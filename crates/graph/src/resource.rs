//! A resource that the platform wants, and the graph of all of them.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::{Address, EnvironmentName, Identifier, PlatformName, Region};
use catalog::{PropertyPath, TypeName};
use serde::{Deserialize, Serialize};

use crate::in_cluster;
use crate::rules::Rules;
use crate::value::{Attribute, Value};

/// A resource that the platform wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its address in the platform.
    pub address: Address,
    /// Its type: of CloudFormation's, of a Kubernetes API, or a Helm release.
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// Its desired properties, as the type's schema names them, or [`catalog::in_cluster`] for what is in a cluster. Only what the platform decides: what is left out is
    /// AWS's to choose and is never drift.
    pub properties: BTreeMap<String, Value>,
    /// What must exist before it although no property says so.
    pub depends_on: BTreeSet<Address>,
    /// Who makes it and who may delete it.
    pub lifecycle: Lifecycle,
}

/// Who makes a resource and who may delete it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lifecycle {
    /// Made, changed and deleted by us.
    #[default]
    Managed,
    /// Somebody else's: only read, by this identifier, never changed and never deleted.
    Existing(Identifier),
    /// Made and changed by us; left alone, and forgotten, when it is no longer wanted.
    Retain,
    /// Made if it is not there, never owned: others may use it too (a service-linked role).
    Ensure,
}

/// Whose graph it is: what names and owner tags are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The platform.
    pub platform: PlatformName,
    /// The environment, or `shared`.
    pub environment: EnvironmentName,
    /// Where it lives.
    pub region: Region,
}

/// The tags by which what is ours is found again, and told from what is somebody else's.
pub mod owner_tags {
    /// The platform that a resource belongs to.
    pub const PLATFORM: &str = "seaworthy:platform";
    /// The environment that it belongs to, or `shared`.
    pub const ENVIRONMENT: &str = "seaworthy:environment";
    /// Its address in the platform.
    pub const ADDRESS: &str = "seaworthy:address";
}

impl Scope {
    /// The environment's name in AWS, `<platform>-<env>`, first part of every name in it.
    pub fn name(&self) -> String {
        format!("{}-{}", self.platform, self.environment)
    }
}

/// The desired resources of one scope, each with the ones that it needs: acyclic, nothing dangling.
///
/// Made by [`GraphBuilder::build`], which is where the two promises are checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Graph {
    scope: Scope,
    resources: BTreeMap<Address, Resource>,
    /// For each resource those that it needs, directly.
    needs: BTreeMap<Address, BTreeSet<Address>>,
    /// Every resource after those that it needs; ties in the order of addresses.
    order: Vec<Address>,
}

/// Why resources do not make a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two resources have one address.
    #[error("two resources have the address `{0}`")]
    Duplicate(Address),
    /// A reference to a resource that is not there.
    #[error("`{from}` refers to `{to}` (in {place}), which does not exist")]
    Dangling {
        /// Who refers.
        from: Address,
        /// To whom.
        to: Address,
        /// The property that refers, or `depends_on`.
        place: String,
    },
    /// A reference to an attribute that the type does not have.
    #[error("`{from}` refers to `{to}.{attribute}`, but {type_name} has no such property")]
    UnknownAttribute {
        /// Who refers.
        from: Address,
        /// To whom.
        to: Address,
        /// The attribute that is not there.
        attribute: PropertyPath,
        /// The type of `to`.
        type_name: TypeName,
    },
    /// A type that the catalog has no schema for.
    #[error("`{address}` has the type {type_name}, which the catalog does not know")]
    UnknownType {
        /// The resource.
        address: Address,
        /// Its type.
        type_name: TypeName,
    },
    /// A secret that is not a Secrets Manager secret.
    #[error("`{from}` takes a secret from `{to}`, which is a {type_name}")]
    NotASecret {
        /// Who refers.
        from: Address,
        /// To whom.
        to: Address,
        /// The type of `to`.
        type_name: TypeName,
    },
    /// A Kubernetes object or a Helm release that can't be applied.
    #[error("`{address}` can't be applied: {fault}")]
    InCluster {
        /// The resource.
        address: Address,
        /// What is wrong with it.
        fault: String,
    },
    /// Resources that need each other.
    #[error("resources need each other in a circle: {}", path.iter().map(Address::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// The circle; the first resource is repeated at the end.
        path: Vec<Address>,
    },
}

/// Collects resources into a [`Graph`].
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    scope: Scope,
    resources: Vec<Resource>,
}

impl GraphBuilder {
    /// An empty one.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            resources: Vec::new(),
        }
    }

    /// The scope that the graph is of.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Adds a resource; its address is returned for others to refer to it. What is in a cluster gets its owner labels here,
    /// unless it is somebody else's.
    pub fn add(&mut self, mut resource: Resource) -> Address {
        let address = resource.address.clone();
        if !matches!(resource.lifecycle, Lifecycle::Existing(_)) {
            in_cluster::own(&mut resource, &self.scope);
        }
        self.resources.push(resource);
        address
    }

    /// Checks the references and orders the resources.
    ///
    /// # Errors
    ///
    /// Every duplicate, dangling or ill-typed reference; if there is none, every circle's one representative path.
    pub fn build(self) -> Result<Graph, Vec<GraphError>> {
        let mut errors = Vec::new();
        let mut resources = BTreeMap::new();
        for resource in self.resources {
            let address = resource.address.clone();
            if resources.insert(address.clone(), resource).is_some() {
                errors.push(GraphError::Duplicate(address));
            }
        }
        let mut needs = BTreeMap::new();
        for resource in resources.values() {
            check_references(resource, &resources, &mut errors);
            needs.insert(resource.address.clone(), resource.needs());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let order =
            crate::order::topological(&needs).map_err(|path| vec![GraphError::Cycle { path }])?;
        Ok(Graph {
            scope: self.scope,
            resources,
            needs,
            order,
        })
    }
}

fn check_references(
    resource: &Resource,
    all: &BTreeMap<Address, Resource>,
    errors: &mut Vec<GraphError>,
) {
    let faults = in_cluster::faults(resource).into_iter();
    errors.extend(faults.map(|fault| GraphError::InCluster {
        address: resource.address.clone(),
        fault,
    }));
    if Rules::of(&resource.type_name).is_none() {
        errors.push(GraphError::UnknownType {
            address: resource.address.clone(),
            type_name: resource.type_name.clone(),
        });
    }
    let dangling = |to: &Address, place: &str| GraphError::Dangling {
        from: resource.address.clone(),
        to: to.clone(),
        place: place.to_owned(),
    };
    for (name, value) in &resource.properties {
        value.walk(&mut |value| match value {
            Value::Attribute(reference) => match (all.get(&reference.to), &reference.attribute) {
                (None, _) => errors.push(dangling(&reference.to, name)),
                (Some(target), Attribute::Property(path)) => {
                    if catalog::schema(&target.type_name)
                        .is_some_and(|schema| schema.property(path).is_none())
                    {
                        errors.push(GraphError::UnknownAttribute {
                            from: resource.address.clone(),
                            to: reference.to.clone(),
                            attribute: path.clone(),
                            type_name: target.type_name.clone(),
                        });
                    }
                }
                (Some(_), Attribute::Identifier) => {}
            },
            Value::Secret(reference) => match all.get(&reference.secret) {
                None => errors.push(dangling(&reference.secret, name)),
                Some(target) if target.type_name.as_str() != "AWS::SecretsManager::Secret" => {
                    errors.push(GraphError::NotASecret {
                        from: resource.address.clone(),
                        to: reference.secret.clone(),
                        type_name: target.type_name.clone(),
                    });
                }
                Some(_) => {}
            },
            _ => {}
        });
    }
    for to in &resource.depends_on {
        if !all.contains_key(to) {
            errors.push(dangling(to, "depends_on"));
        }
    }
}

impl Resource {
    /// A managed resource that nothing but its properties orders.
    pub fn new(address: Address, type_name: TypeName, properties: BTreeMap<String, Value>) -> Self {
        Self {
            address,
            type_name,
            properties,
            depends_on: BTreeSet::new(),
            lifecycle: Lifecycle::Managed,
        }
    }

    /// The resources that must exist before it.
    pub fn needs(&self) -> BTreeSet<Address> {
        let mut needs = self.depends_on.clone();
        for value in self.properties.values() {
            needs.extend(value.references().into_iter().cloned());
        }
        needs
    }
}

impl Graph {
    /// Whose graph it is.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The resource at an address.
    pub fn get(&self, address: &Address) -> Option<&Resource> {
        self.resources.get(address)
    }

    /// All resources, by address.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// The graph without what lives in a cluster, and how many resources that leaves out.
    ///
    /// # Errors
    ///
    /// The AWS resources whose properties refer to something in a cluster, each with what it refers to.
    pub fn without_cluster_contents(&self) -> Result<(Self, usize), Vec<(Address, Address)>> {
        let is_inside = |address: &Address| {
            self.resources
                .get(address)
                .is_some_and(|resource| resource.type_name.realm().is_in_cluster())
        };
        let mut outside = self.clone();
        outside.resources.retain(|address, _| !is_inside(address));
        outside.order.retain(|address| !is_inside(address));
        outside.needs.retain(|address, _| !is_inside(address));
        for needs in outside.needs.values_mut() {
            needs.retain(|need| !is_inside(need));
        }
        let mut dangling = Vec::new();
        for resource in outside.resources.values_mut() {
            resource.depends_on.retain(|need| !is_inside(need));
            let inside = resource
                .needs()
                .into_iter()
                .filter(|need| is_inside(need))
                .map(|need| (resource.address.clone(), need));
            dangling.extend(inside);
        }
        let left_out = self.resources.len() - outside.resources.len();
        if dangling.is_empty() {
            Ok((outside, left_out))
        } else {
            Err(dangling)
        }
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// What a resource needs, directly. Empty for an address that is not in the graph.
    pub fn needs(&self, address: &Address) -> impl Iterator<Item = &Address> {
        self.needs.get(address).into_iter().flatten()
    }

    /// All resources, each after those that it needs.
    pub fn ordered(&self) -> impl DoubleEndedIterator<Item = &Resource> {
        self.order
            .iter()
            .filter_map(|address| self.resources.get(address))
    }
}
