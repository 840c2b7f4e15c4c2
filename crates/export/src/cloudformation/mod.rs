//! CloudFormation: a folder for each scope, with a root template and a nested one for each module.
//!
//! ```text
//! graph ─ plan (which stack) ─ stack (resources, expressions) ─┬─ root (who gives what to whom) ─ limits ─ text
//!                                                              └─ outputs (what others need, what people ask for)
//! ```
//!
//! What another resource knows is asked for by `!Ref` and `!GetAtt`, and passed between stacks as parameters and outputs;
//! nothing that AWS decides is written down. `docs/export-cloudformation.md` tells readers the rest.

mod expression;
mod limits;
mod names;
mod outputs;
mod parameter;
mod plan;
mod retention;
mod root;
mod stack;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Files, Format, Module, Owner, Scoped, Source, header};

use limits::Sizes;
use parameter::From;
use plan::{Attribute, Plan};
use stack::Stack;
use yaml::Node;

pub(crate) use retention::policies;

/// The root template's file in a scope's folder.
const ROOT: &str = "stack.yaml";

/// Exports the wanted scopes.
///
/// # Errors
///
/// Two resources of one logical id, stacks that need each other, a value that templates have no words for, a template
/// over CloudFormation's limits: all that there are in a scope's part that cannot go on.
pub fn export(source: &Source<'_>) -> Result<Files, Vec<Error>> {
    let mut files = Files::new();
    let mut errors = Vec::new();
    for scope in source.wanted() {
        match templates(scope) {
            Ok(templates) => {
                for (file, text) in templates {
                    files.add(file, Owner::Scope(scope.name().clone()), text);
                }
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(errors)
    }
}

/// The templates of a scope: path and text.
fn templates(scope: Scoped<'_>) -> Result<Vec<(String, String)>, Vec<Error>> {
    let plan = Plan::new(scope)?;
    let mut errors = Vec::new();
    let mut stacks = Vec::new();
    for module in plan.stacks() {
        match Stack::write(&plan, module) {
            Ok(stack) => stacks.push(stack),
            Err(more) => errors.extend(more),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // Everything is somebody else's: there is nothing to make, and a template without resources is none.
    if stacks.is_empty() {
        return Ok(Vec::new());
    }
    let shown: BTreeMap<Module, BTreeSet<Attribute>> = stacks
        .iter()
        .map(|stack| (stack.module, stack::shown(&plan, stack.module)))
        .collect();
    let mut outputs = shown.clone();
    for given in stacks.iter().flat_map(|stack| stack.parameters.values()) {
        if let (From::Stack(module), Some(attribute)) = (&given.from, &given.attribute) {
            outputs
                .entry(*module)
                .or_default()
                .insert(attribute.clone());
        }
    }

    let mut documents = vec![(
        ROOT.to_owned(),
        root::root(&plan, &stacks, &shown)?,
        stacks.len(),
    )];
    for stack in &stacks {
        let wanted = outputs.remove(&stack.module).unwrap_or_default();
        let document = stack.template(&plan, &wanted)?;
        documents.push((root::file(stack.module), document, stack.len()));
    }
    let mut templates = Vec::new();
    for (name, document, resources) in documents {
        let file = format!("{}/{name}", scope.name());
        let text = yaml::text(&document).map_err(|why| vec![unwritable(&plan, why)])?;
        let text = header(&scope.graph.scope().platform, "export cloudformation") + &text;
        let sizes = Sizes {
            resources,
            parameters: entries(&document, "Parameters"),
            outputs: entries(&document, "Outputs"),
            bytes: text.len(),
        };
        errors.extend(limits::check(&file, &sizes));
        templates.push((file, text));
    }
    if errors.is_empty() {
        Ok(templates)
    } else {
        Err(errors)
    }
}

/// How many entries a section of a template has.
fn entries(document: &Node, section: &str) -> usize {
    let Node::Map(sections) = document else {
        return 0;
    };
    sections
        .iter()
        .find(|(name, _)| name == section)
        .map_or(0, |(_, node)| match node {
            Node::Map(entries) => entries.len(),
            _ => 0,
        })
}

fn unwritable(plan: &Plan<'_>, why: String) -> Error {
    let first = plan.graph().resources().next();
    match first {
        Some(resource) => Error::Inexpressible {
            address: resource.address.clone(),
            format: Format::CloudFormation,
            why,
        },
        None => unreachable!("an empty graph has nothing that cannot be written: {why}"),
    }
}
