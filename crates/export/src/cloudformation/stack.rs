//! A nested stack: the resources of one module.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use graph::{Lifecycle, Resource};

use super::expression::Writer;
use super::names::{self, Names};
use super::parameter::{self, From, Given};
use super::plan::{self, Attribute, Plan, Written};
use super::yaml::Node;
use super::{outputs, retention};
use crate::{Error, Module};

/// A nested stack, but for its outputs: those depend on what the others need of it.
pub(super) struct Stack<'a> {
    pub(super) module: Module,
    /// The parameters that it takes, by name.
    pub(super) parameters: BTreeMap<String, Given>,
    /// The stacks that it comes after although it is given nothing of them.
    pub(super) after: BTreeSet<Module>,
    /// Its resources that are only made if they are not there.
    conditional: Vec<&'a Resource>,
    resources: Vec<(String, Node)>,
}

impl<'a> Stack<'a> {
    /// Writes the resources of a module.
    pub(super) fn write(plan: &'a Plan<'a>, module: Module) -> Result<Self, Vec<Error>> {
        let Some(first) = plan.made(module).next() else {
            return Ok(Self {
                module,
                parameters: BTreeMap::new(),
                after: BTreeSet::new(),
                conditional: Vec::new(),
                resources: Vec::new(),
            });
        };
        let mut writer = Writer::new(plan, module, &first.address);
        let mut resources = Vec::new();
        let mut conditional = Vec::new();
        let mut needed = BTreeSet::new();
        for resource in plan.made(module) {
            writer.turn_to(&resource.address);
            let properties: Vec<(&String, Node)> = resource
                .properties
                .iter()
                .map(|(name, value)| (name, writer.property(resource, name, value)))
                .collect();
            let mut after = BTreeSet::new();
            let copied = std::mem::take(&mut writer.copied);
            for address in resource.depends_on.iter().chain(&copied) {
                let Some(theirs) = made_in(plan, address) else {
                    continue;
                };
                if theirs != module {
                    needed.insert(theirs);
                } else if !writer.implied.contains(address) {
                    after.insert(names::logical_id(address));
                }
            }
            if resource.lifecycle == Lifecycle::Ensure {
                conditional.push(resource);
                writer.take(Given::switch(resource));
            }
            resources.push((
                names::logical_id(&resource.address),
                declared(resource, after, properties),
            ));
        }
        if !writer.errors.is_empty() {
            return Err(writer.errors);
        }
        let given: BTreeSet<Module> = writer
            .parameters
            .values()
            .filter_map(|given| match given.from {
                From::Stack(module) => Some(module),
                From::Root(_) => None,
            })
            .collect();
        Ok(Self {
            module,
            parameters: writer.parameters,
            after: needed.difference(&given).copied().collect(),
            conditional,
            resources,
        })
    }

    /// How many resources there are.
    pub(super) fn len(&self) -> usize {
        self.resources.len()
    }

    /// Its name in the root template.
    pub(super) fn logical_id(&self) -> String {
        names::pascal(self.module.name())
    }

    /// The nested template, with the given outputs.
    pub(super) fn template(
        &self,
        plan: &'a Plan<'a>,
        wanted: &BTreeSet<Attribute>,
    ) -> Result<Node, Vec<Error>> {
        let mut taken = Names::default();
        for resource in plan.made(self.module) {
            let address = &resource.address;
            taken.take(&names::logical_id(address), address, "");
        }
        for given in self.parameters.values() {
            if let Some(attribute) = &given.attribute {
                taken.take(&given.name, &attribute.of, &attribute.path.to_string());
            }
        }
        let mut outputs = Vec::new();
        let mut outside = Names::default();
        for attribute in wanted {
            let name = attribute.name();
            outside.take(&name, &attribute.of, &attribute.path.to_string());
            outputs.extend(self.output(plan, attribute).map(|value| {
                let description = attribute.description().into();
                (
                    name,
                    Node::map([("Description", description), ("Value", value)]),
                )
            }));
        }
        taken.errors.extend(outside.errors);
        if !taken.errors.is_empty() {
            return Err(taken.errors);
        }
        let description = format!(
            "{}: {}",
            plan.graph().scope().name(),
            self.module.description()
        );
        let parameters = self
            .parameters
            .iter()
            .map(|(name, given)| (name, given.node()));
        let conditions = self.conditional.iter().map(|resource| {
            let switch = Node::call("!Ref", parameter::switch_name(resource));
            let equals = Node::call("!Equals", vec![switch, "true".into()]);
            (condition_name(resource), equals)
        });
        Ok(template(
            &description,
            Node::map(parameters),
            Node::map(conditions),
            Node::map(self.resources.iter().cloned()),
            Node::map(outputs),
        ))
    }

    /// The value of an output; a list as one text.
    fn output(&self, plan: &Plan<'_>, attribute: &Attribute) -> Option<Node> {
        let resource = plan.graph().get(&attribute.of)?;
        let id = names::logical_id(&attribute.of);
        let value = match plan::written(resource, &attribute.path) {
            Written::Ref => Node::call("!Ref", id),
            Written::GetAtt(path) => Node::call("!GetAtt", format!("{id}.{path}")),
            Written::Value(_) | Written::Unknown => return None,
        };
        Some(if plan::is_list(resource, &attribute.path) {
            Node::call("!Join", vec![",".into(), value])
        } else {
            value
        })
    }
}

/// The stack that makes a resource; none makes somebody else's.
fn made_in(plan: &Plan<'_>, address: &Address) -> Option<Module> {
    let resource = plan.graph().get(address)?;
    match plan::existing(resource) {
        None => plan.module(address),
        Some(_) => None,
    }
}

/// The attributes of a stack that people are shown.
pub(super) fn shown(plan: &Plan<'_>, module: Module) -> BTreeSet<Attribute> {
    plan.made(module)
        .flat_map(|resource| {
            outputs::shown(&resource.type_name)
                .filter(|path| {
                    matches!(
                        plan::written(resource, path),
                        Written::Ref | Written::GetAtt(_)
                    )
                })
                .map(|path| Attribute {
                    of: resource.address.clone(),
                    path,
                })
        })
        .collect()
}

/// A template of its sections, without those that are empty.
pub(super) fn template(
    description: &str,
    parameters: Node,
    conditions: Node,
    resources: Node,
    outputs: Node,
) -> Node {
    let sections = [
        ("AWSTemplateFormatVersion", "2010-09-09".into()),
        ("Description", description.into()),
        ("Parameters", parameters),
        ("Conditions", conditions),
        ("Resources", resources),
        ("Outputs", outputs),
    ];
    Node::map(sections.into_iter().filter(|(_, node)| !node.is_empty()))
}

fn condition_name(resource: &Resource) -> String {
    format!("Makes{}", names::logical_id(&resource.address))
}

/// A resource as its template declares it.
fn declared(
    resource: &Resource,
    after: BTreeSet<String>,
    properties: Vec<(&String, Node)>,
) -> Node {
    let mut entries = vec![("Type", Node::from(resource.type_name.as_str()))];
    if resource.lifecycle == Lifecycle::Ensure {
        entries.push(("Condition", condition_name(resource).into()));
    }
    if !after.is_empty() {
        let after: Vec<Node> = after.into_iter().map(Node::from).collect();
        entries.push(("DependsOn", after.into()));
    }
    if let Some(policies) = retention::policies(&resource.type_name, &resource.lifecycle) {
        entries.push(("DeletionPolicy", policies.deletion.into()));
        entries.push(("UpdateReplacePolicy", policies.replacement.into()));
    }
    if !properties.is_empty() {
        entries.push(("Properties", Node::map(properties)));
    }
    Node::map(entries)
}

/// The attributes by which somebody else's resource is told.
pub(super) fn identity(resource: &Resource) -> Vec<Attribute> {
    plan::identifying(resource)
        .iter()
        .map(|path| Attribute {
            of: resource.address.clone(),
            path: path.clone(),
        })
        .collect()
}
