//! The parts that a platform is exported in: a nested stack each in CloudFormation, a module each in Terraform.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use catalog::ids::Address;
use graph::Graph;

use crate::Error;

/// A part of a platform, in the order in which they can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// What environments share: image repositories, the state's bucket and lock table.
    Shared,
    /// The VPC, its subnets and ways out, flow logs.
    Network,
    /// The cluster, its system nodes, and the add-ons that nodes need to become ready.
    Eks,
    /// The EKS add-ons that need nodes to run on.
    Addons,
    /// What Karpenter needs of AWS: roles, the interruption queue and its rules.
    Karpenter,
    /// The identities of the controllers in the cluster.
    Iam,
    /// Redis, RabbitMQ, secrets, backups.
    Data,
    /// Hosted zone, certificates, web ACL.
    Edge,
    /// The audit trail and the budget.
    Governance,
}

impl Module {
    /// All of them, in the order in which they can be made.
    pub const ALL: [Self; 9] = [
        Self::Shared,
        Self::Network,
        Self::Eks,
        Self::Addons,
        Self::Karpenter,
        Self::Iam,
        Self::Data,
        Self::Edge,
        Self::Governance,
    ];

    /// Its name in files and folders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Network => "network",
            Self::Eks => "eks",
            Self::Addons => "addons",
            Self::Karpenter => "karpenter",
            Self::Iam => "iam",
            Self::Data => "data",
            Self::Edge => "edge",
            Self::Governance => "governance",
        }
    }

    /// What is in it, in a line.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Shared => {
                "what environments share: image repositories, the state's bucket and lock table"
            }
            Self::Network => "the VPC, its subnets and ways out, flow logs",
            Self::Eks => {
                "the EKS cluster, its system nodes, and the add-ons that nodes need to become ready"
            }
            Self::Addons => "the EKS add-ons that need nodes to run on",
            Self::Karpenter => {
                "what Karpenter needs of AWS: roles, the interruption queue and its rules"
            }
            Self::Iam => "the identities of the controllers in the cluster",
            Self::Data => "Redis, RabbitMQ, secrets, backups",
            Self::Edge => "hosted zone, certificates, web ACL",
            Self::Governance => "the audit trail and the budget",
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The module of each resource. A component is in one module, but for add-ons: those that the nodes need are made with
/// the cluster, before the nodes.
pub fn modules(graph: &Graph) -> BTreeMap<Address, Module> {
    let mut before_nodes = BTreeSet::new();
    let mut next: Vec<&Address> = graph
        .resources()
        .map(|resource| &resource.address)
        .filter(|address| component(address) == "system-nodes")
        .collect();
    while let Some(address) = next.pop() {
        if before_nodes.insert(address) {
            next.extend(graph.needs(address));
        }
    }
    let module = |address: &Address| match component(address) {
        "shared" => Module::Shared,
        "network" => Module::Network,
        "addons" if !before_nodes.contains(address) => Module::Addons,
        "cluster" | "system-nodes" | "addons" => Module::Eks,
        "karpenter" => Module::Karpenter,
        "dns" | "certificate" | "waf" => Module::Edge,
        "audit" | "budget" => Module::Governance,
        "redis" | "rabbitmq" | "secrets" | "backup" => Module::Data,
        // What a controller in the cluster needs of AWS is its identity.
        _ => Module::Iam,
    };
    graph
        .resources()
        .map(|resource| (resource.address.clone(), module(&resource.address)))
        .collect()
}

/// The first part of an address: which component it belongs to.
fn component(address: &Address) -> &str {
    let text = address.as_str();
    text.split_once('/')
        .map_or(text, |(component, _)| component)
}

/// The modules that each module needs, directly.
///
/// # Errors
///
/// When modules would need each other: the order of [`Module::ALL`] is the one in which they are made.
pub fn needs(
    graph: &Graph,
    modules: &BTreeMap<Address, Module>,
) -> Result<BTreeMap<Module, BTreeSet<Module>>, Vec<Error>> {
    let mut needs: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    let mut errors = Vec::new();
    for (address, module) in modules {
        let its = needs.entry(*module).or_default();
        for to in graph.needs(address) {
            let Some(other) = modules.get(to) else {
                continue;
            };
            if other < module {
                its.insert(*other);
            } else if other > module {
                errors.push(Error::Circle {
                    from: address.clone(),
                    to: to.clone(),
                    first: *module,
                    second: *other,
                });
            }
        }
    }
    if errors.is_empty() {
        Ok(needs)
    } else {
        Err(errors)
    }
}
