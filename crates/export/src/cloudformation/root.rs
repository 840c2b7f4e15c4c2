//! The root template: a stack of stacks, what whoever deploys has to say, and what they get to know.

use std::collections::{BTreeMap, BTreeSet};

use graph::owner_tags;

use super::names::{self, Names};
use super::parameter::{From, Given, identifier_part};
use super::plan::{self, Attribute, Plan};
use super::stack::{Stack, identity, template};
use super::yaml::Node;
use crate::{Error, Module};

/// The file of a module's nested template.
pub(super) fn file(module: Module) -> String {
    format!("{module}.yaml")
}

/// The root template over `stacks`, which show `shown`.
pub(super) fn root(
    plan: &Plan<'_>,
    stacks: &[Stack<'_>],
    shown: &BTreeMap<Module, BTreeSet<Attribute>>,
) -> Result<Node, Vec<Error>> {
    let mut taken = Names::default();
    let mut parameters: BTreeMap<String, Given> = BTreeMap::new();
    let mut outputs: BTreeMap<String, Node> = BTreeMap::new();
    for (resource, identifier) in plan
        .graph()
        .resources()
        .filter_map(|resource| Some((resource, plan::existing(resource)?)))
    {
        for attribute in identity(resource) {
            let part = identifier_part(resource, identifier, &attribute.path);
            let given = Given::existing(resource, attribute.clone(), part);
            let value = Node::call("!Ref", given.name.as_str());
            outputs.insert(given.name.clone(), output(&attribute, value));
            parameters.insert(given.name.clone(), given);
        }
    }
    let mut resources = Vec::new();
    for stack in stacks {
        for given in stack.parameters.values() {
            if let From::Root(_) = given.from {
                parameters
                    .entry(given.name.clone())
                    .or_insert_with(|| given.clone());
            }
        }
        let id = stack.logical_id();
        if let Ok(name) = catalog::ids::Address::new(stack.module.name()) {
            taken.take(&id, &name, "");
        }
        resources.push((id.clone(), nested(plan, stack)));
        for attribute in shown.get(&stack.module).into_iter().flatten() {
            let name = attribute.name();
            let value = Node::call("!GetAtt", format!("{id}.Outputs.{name}"));
            outputs.insert(name, output(attribute, value));
        }
    }
    for given in parameters.values() {
        if let Some(attribute) = &given.attribute {
            taken.take(&given.name, &attribute.of, &attribute.path.to_string());
        }
    }
    if !taken.errors.is_empty() {
        return Err(taken.errors);
    }
    let scope = plan.graph().scope();
    let description = format!(
        "{}, {}: deploy this template; the others of the folder are nested in it",
        scope.name(),
        scope.region
    );
    let parameters = parameters
        .iter()
        .map(|(name, given)| (name, given.root_node()));
    Ok(template(
        &description,
        Node::map(parameters),
        Node::Map(Vec::new()),
        Node::map(resources),
        Node::map(outputs),
    ))
}

fn output(attribute: &Attribute, value: Node) -> Node {
    Node::map([
        ("Description", attribute.description().into()),
        ("Value", value),
    ])
}

fn nested(plan: &Plan<'_>, stack: &Stack<'_>) -> Node {
    let mut properties = vec![(
        "TemplateURL",
        Node::from(format!("./{}", file(stack.module))),
    )];
    if !stack.parameters.is_empty() {
        let given = stack.parameters.values().map(|given| {
            let value = match &given.from {
                From::Root(_) => Node::call("!Ref", given.name.as_str()),
                From::Stack(module) => {
                    let stack = names::pascal(module.name());
                    Node::call("!GetAtt", format!("{stack}.Outputs.{}", given.name))
                }
            };
            (given.name.as_str(), value)
        });
        properties.push(("Parameters", Node::map(given)));
    }
    properties.push(("Tags", tags(plan)));
    let mut entries = vec![("Type", Node::from("AWS::CloudFormation::Stack"))];
    if !stack.after.is_empty() {
        let after: Vec<Node> = stack
            .after
            .iter()
            .map(|module| names::pascal(module.name()).into())
            .collect();
        entries.push(("DependsOn", after.into()));
    }
    // What is in a stack has policies of its own; the stack itself goes.
    entries.push(("DeletionPolicy", "Delete".into()));
    entries.push(("UpdateReplacePolicy", "Delete".into()));
    entries.push(("Properties", Node::map(properties)));
    Node::map(entries)
}

/// What all resources of the scope have in common: CloudFormation gives it to those, too, that it tags by itself.
fn tags(plan: &Plan<'_>) -> Node {
    let scope = plan.graph().scope();
    let mut tags = plan.scope.platform.spec.aws.tags.clone();
    tags.extend(
        [
            (owner_tags::PLATFORM, scope.platform.as_str()),
            (owner_tags::ENVIRONMENT, scope.environment.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let tags = tags
        .into_iter()
        .map(|(key, value)| Node::map([("Key", Node::from(key)), ("Value", value.into())]));
    Node::List(tags.collect())
}
