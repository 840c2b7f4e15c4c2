//! Which resource is in which stack, and how one stack says what it needs of another.

use std::collections::BTreeMap;

use catalog::PropertyPath;
use catalog::ids::Address;
use graph::{Graph, Lifecycle, Resource, Value};

use super::names;
use crate::{Error, Module, Scoped, modules, needs};

/// A scope, cut into stacks.
pub(super) struct Plan<'a> {
    pub(super) scope: Scoped<'a>,
    modules: BTreeMap<Address, Module>,
}

/// An attribute that one stack gives and others take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute {
    pub(super) of: Address,
    pub(super) path: PropertyPath,
}

impl Attribute {
    /// Its name as a parameter and as an output.
    pub(super) fn name(&self) -> String {
        names::attribute_name(&self.of, &self.path)
    }

    /// What it is, in a line.
    pub(super) fn description(&self) -> String {
        format!("{} of {}", self.path, self.of)
    }
}

/// How an attribute is written in the stack that its resource is in.
pub(super) enum Written<'a> {
    /// `!Ref`.
    Ref,
    /// `!GetAtt`, by this attribute name.
    GetAtt(String),
    /// As what the resource itself is given: CloudFormation has no way to ask for it.
    Value(&'a Value),
    /// Not at all: nothing sets it, and CloudFormation has no way to ask for it.
    Unknown,
}

impl<'a> Plan<'a> {
    /// Cuts a scope.
    ///
    /// # Errors
    ///
    /// When stacks would need each other, or two resources would have one logical id.
    pub(super) fn new(scope: Scoped<'a>) -> Result<Self, Vec<Error>> {
        let modules = modules(scope.graph);
        needs(scope.graph, &modules)?;
        let mut taken = names::Names::default();
        for address in modules.keys() {
            taken.take(&names::logical_id(address), address, "");
        }
        if taken.errors.is_empty() {
            Ok(Self { scope, modules })
        } else {
            Err(taken.errors)
        }
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.scope.graph
    }

    /// The stack that a resource is in.
    pub(super) fn module(&self, address: &Address) -> Option<Module> {
        self.modules.get(address).copied()
    }

    /// The stacks that have something in them, in the order in which they can be made.
    pub(super) fn stacks(&self) -> impl Iterator<Item = Module> {
        Module::ALL
            .into_iter()
            .filter(|module| self.made(*module).next().is_some())
    }

    /// The resources that a stack makes, by address.
    pub(super) fn made(&self, module: Module) -> impl Iterator<Item = &'a Resource> {
        self.graph().resources().filter(move |resource| {
            self.modules.get(&resource.address) == Some(&module) && existing(resource).is_none()
        })
    }
}

/// The identifier of a resource that is somebody else's.
pub(super) fn existing(resource: &Resource) -> Option<&str> {
    match &resource.lifecycle {
        Lifecycle::Existing(identifier) => Some(identifier.as_str()),
        _ => None,
    }
}

/// The properties that identify a resource.
pub(super) fn identifying(resource: &Resource) -> &'static [PropertyPath] {
    catalog::schema(&resource.type_name).map_or(&[], |schema| schema.primary_identifier())
}

/// How an attribute of a resource is written in its own stack.
pub(super) fn written<'a>(resource: &'a Resource, path: &PropertyPath) -> Written<'a> {
    let Some(schema) = catalog::schema(&resource.type_name) else {
        return Written::Unknown;
    };
    let sole = matches!(schema.primary_identifier(), [only] if only == path);
    let read_only = schema.is_read_only(path);
    if sole && (!read_only || ref_is_the_identifier(resource)) {
        Written::Ref
    } else if read_only {
        let parts: Vec<&str> = path.segments().iter().map(|part| &**part).collect();
        Written::GetAtt(parts.join("."))
    } else {
        desired(resource, path).map_or(Written::Unknown, Written::Value)
    }
}

/// Whether `!Ref` gives an identifier that AWS chooses. It does for everything in EC2 and for the types named; of others
/// it gives something else (the name of an event rule, whose identifier is its ARN) or does not say (the types' pages
/// under https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/, "Return values").
fn ref_is_the_identifier(resource: &Resource) -> bool {
    resource.type_name.service() == "EC2"
        || [
            "AWS::CertificateManager::Certificate",
            "AWS::SQS::Queue",
            "AWS::SecretsManager::Secret",
        ]
        .contains(&resource.type_name.as_str())
}

/// What a resource is given for a property.
pub(super) fn desired<'a>(resource: &'a Resource, path: &PropertyPath) -> Option<&'a Value> {
    let (first, rest) = path.segments().split_first()?;
    rest.iter().try_fold(
        resource.properties.get(&**first)?,
        |value, segment| match value {
            Value::Object(properties) => properties.get(&**segment),
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        },
    )
}

/// Whether an attribute is a list.
pub(super) fn is_list(resource: &Resource, path: &PropertyPath) -> bool {
    catalog::schema(&resource.type_name)
        .and_then(|schema| schema.property(path))
        .is_some_and(|property| property["type"] == "array")
}

/// The type of a parameter that takes an attribute: the service's own where CloudFormation has one, so that a wrong value
/// is refused before anything is made.
pub(super) fn parameter_type(resource: &Resource, path: &PropertyPath) -> &'static str {
    match (resource.type_name.as_str(), path.last().unwrap_or_default()) {
        ("AWS::EC2::VPC", "VpcId") => "AWS::EC2::VPC::Id",
        ("AWS::EC2::Subnet", "SubnetId") => "AWS::EC2::Subnet::Id",
        ("AWS::EC2::SecurityGroup", "GroupId" | "Id") => "AWS::EC2::SecurityGroup::Id",
        ("AWS::Route53::HostedZone", "Id") => "AWS::Route53::HostedZone::Id",
        _ if is_list(resource, path) => "CommaDelimitedList",
        _ => "String",
    }
}
