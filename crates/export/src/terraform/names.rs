//! The names of a module's variables and outputs.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use catalog::{PropertyPath, TypeName};
use graph::{Attribute, Reference};

use super::naming;
use super::plan::{Family, Kind, Plan};
use super::unify::{Decides, Use};

/// The names of a module's variables.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Of its flags.
    pub(super) flags: Vec<String>,
    /// Of its other variables.
    pub(super) uses: Vec<String>,
    /// Of what comes from other modules.
    pub(super) imports: BTreeMap<Reference, String>,
    /// Of the identifiers of what exists already.
    pub(super) existing: BTreeMap<Address, String>,
}

/// Names that every module may have, or that Terraform keeps for itself.
const TAKEN: [&str; 14] = [
    "platform",
    "environment",
    "region",
    "tags",
    "vpc_cidr_block",
    "deployer_arn",
    "source",
    "version",
    "providers",
    "count",
    "for_each",
    "lifecycle",
    "depends_on",
    "locals",
];

/// The property behind an attribute, if it is one: the identifier of a type that has one property as such is that.
pub(super) fn property_of(type_name: &TypeName, attribute: &Attribute) -> Option<PropertyPath> {
    match attribute {
        Attribute::Property(path) => Some(path.clone()),
        Attribute::Identifier => match catalog::schema(type_name)?.primary_identifier() {
            [only] => Some(only.clone()),
            _ => None,
        },
    }
}

/// An attribute as Terraform writes it: `primary_end_point.address`; `id` is the whole of a compound identifier.
pub(super) fn attribute_path(type_name: &TypeName, attribute: &Attribute) -> Vec<String> {
    match property_of(type_name, attribute) {
        Some(path) => path
            .segments()
            .iter()
            .enumerate()
            .map(|(at, segment)| match at {
                0 => naming::root_attribute(type_name, segment),
                _ => naming::attribute(segment),
            })
            .collect(),
        None => vec!["id".to_owned()],
    }
}

impl Family<'_> {
    /// The name of the output by which other modules know an attribute.
    pub(super) fn output(&self, reference: &Reference) -> String {
        let found = self
            .scopes
            .iter()
            .zip(&self.modules)
            .find_map(|(scope, modules)| {
                Some((
                    scope.graph.get(&reference.to)?,
                    *modules.get(&reference.to)?,
                ))
            });
        match found {
            Some((resource, module)) => {
                let attribute = attribute_path(&resource.type_name, &reference.attribute).join("_");
                naming::output(&naming::label(module, &reference.to), &attribute)
            }
            None => naming::identifier(reference.to.as_str()),
        }
    }
}

struct Taken(BTreeSet<String>);

impl Taken {
    /// The first of the candidates that is free, or the last with a number.
    fn take(&mut self, candidates: &[String]) -> String {
        let free = candidates
            .iter()
            .find(|name| !self.0.contains(*name))
            .cloned();
        let last = candidates.last().cloned().unwrap_or_default();
        let name = free.unwrap_or_else(|| {
            (2..)
                .map(|number| format!("{last}_{number}"))
                .find(|name| !self.0.contains(name))
                .unwrap_or_default()
        });
        self.0.insert(name.clone());
        name
    }
}

/// Names a module's variables.
pub(super) fn names(family: &Family<'_>, plan: &Plan) -> Names {
    let mut taken = Taken(TAKEN.iter().map(|name| (*name).to_owned()).collect());
    let mut names = Names::default();
    for reference in plan.imports().keys() {
        let output = family.output(reference);
        let component =
            naming::identifier(reference.to.as_str().split('/').next().unwrap_or_default());
        let name = taken.take(&[output.clone(), format!("{component}_{output}")]);
        names.imports.insert(reference.clone(), name);
    }
    for resource in plan
        .resources
        .iter()
        .filter(|resource| resource.kind == Kind::Existing)
    {
        let name = taken.take(&[format!("existing_{}_id", resource.label)]);
        names.existing.insert(resource.address.clone(), name);
    }
    for flag in &plan.flags {
        let name = match &flag.decides {
            Decides::Existence { name, .. } => vec![format!("create_{name}")],
            Decides::Property { of, path } => candidates(plan, of, path)
                .into_iter()
                .map(|name| format!("with_{name}"))
                .collect(),
        };
        names.flags.push(taken.take(&name));
    }
    for use_ in &plan.uses {
        names
            .uses
            .push(taken.take(&use_candidates(family, plan, use_)));
    }
    names
}

/// Names for a property: by its last word, then by all of its path.
fn candidates(plan: &Plan, address: &Address, path: &[String]) -> Vec<String> {
    let label = naming::label(plan.module, address);
    let words: Vec<String> = path
        .iter()
        .filter(|segment| !segment.chars().all(|character| character.is_ascii_digit()))
        .map(|segment| naming::identifier(&naming::attribute(segment)))
        .collect();
    let mut names = Vec::new();
    for from in (0..words.len()).rev() {
        names.push(naming::output(&label, &words[from..].join("_")));
    }
    names
}

fn use_candidates(family: &Family<'_>, plan: &Plan, use_: &Use<'_>) -> Vec<String> {
    if use_.outputs {
        // What the outputs' names have in common, in the plural: `subnet_private_ids`.
        let outputs: BTreeSet<String> = use_
            .values
            .values()
            .flat_map(|term| {
                term.references()
                    .into_iter()
                    .map(|reference| family.output(reference))
            })
            .collect();
        let split: Vec<Vec<&str>> = outputs
            .iter()
            .map(|name| name.split('_').collect())
            .collect();
        if let Some(first) = split.first() {
            let common = (0..first.len())
                .take_while(|at| split.iter().all(|name| name.get(*at) == first.get(*at)))
                .count();
            let last = first.last().copied().unwrap_or_default();
            let mut words = first[..common.min(first.len() - 1)].to_vec();
            if words.is_empty() {
                words.push("given");
            }
            return vec![format!("{}_{last}s", words.join("_"))];
        }
    }
    let mut by_place = use_
        .places
        .iter()
        .map(|(address, path)| candidates(plan, address, path));
    let first = by_place.next().unwrap_or_default();
    let addresses: BTreeSet<&Address> = use_.places.iter().map(|(address, _)| address).collect();
    if addresses.len() < 2 {
        return first;
    }
    // What several resources have in common is called by the property alone.
    let last = use_.places[0]
        .1
        .iter()
        .rev()
        .find(|segment| !segment.chars().all(|c| c.is_ascii_digit()));
    let mut names: Vec<String> = last
        .map(|last| naming::identifier(&naming::attribute(last)))
        .into_iter()
        .collect();
    names.extend(first);
    names
}

/// Attributes that whoever uses such a resource asks for.
pub(super) fn useful(type_name: &TypeName) -> &'static [&'static str] {
    match type_name.as_str() {
        "AWS::ElastiCache::ReplicationGroup" => {
            &["PrimaryEndPoint.Address", "ReaderEndPoint.Address"]
        }
        "AWS::AmazonMQ::Broker" => &["Arn"],
        "AWS::EKS::Cluster" => &[
            "Name",
            "Arn",
            "Endpoint",
            "CertificateAuthorityData",
            "OpenIdConnectIssuerUrl",
        ],
        "AWS::EC2::VPC" => &["VpcId"],
        "AWS::EC2::Subnet" => &["SubnetId"],
        "AWS::SQS::Queue" => &["QueueUrl"],
        "AWS::IAM::Role" => &["Arn"],
        "AWS::ECR::Repository" => &["RepositoryUri"],
        "AWS::CertificateManager::Certificate" => &["CertificateArn"],
        "AWS::Route53::HostedZone" => &["Id", "NameServers"],
        "AWS::SecretsManager::Secret" => &["Id"],
        "AWS::WAFv2::WebACL" => &["Arn"],
        "AWS::S3::Bucket" => &["BucketName"],
        "AWS::DynamoDB::Table" => &["TableName"],
        _ => &[],
    }
}
