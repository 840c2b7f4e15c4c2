//! Terraform modules and a Terragrunt tree.
//!
//! The modules serve all environments: they are made from all of them at once ([`unify`]). Most resources are the
//! `awscc` provider's, whose resources are CloudFormation's under other names; what it cannot manage is the `aws`
//! provider's ([`native`]) or a CloudFormation stack of its own ([`stack`]). What each environment is given stands in the
//! Terragrunt tree ([`terragrunt`]).

mod hcl;
mod module_files;
mod names;
mod naming;
mod native;
mod plan;
mod render;
mod schema;
mod stack;
mod term;
mod terragrunt;
mod unify;
mod variables;

use std::collections::BTreeMap;

use graph::Attribute;

use crate::module::Module;
use crate::{Error, Files, Owner, Scoped, Source, header};

use plan::Family;
use render::Renderer;
use terragrunt::Ready;

/// How the files are made.
const COMMAND: &str = "export terraform";

/// Exports the wanted scopes. The modules, the root and the folder to copy are everybody's, and made of all
/// environments whatever is wanted.
///
/// # Errors
///
/// All that the format cannot express.
pub fn export(source: &Source<'_>) -> Result<Files, Vec<Error>> {
    let header = header(&source.shared.platform.platform, COMMAND);
    let mut files = Files::new();
    let mut errors = Vec::new();
    let wanted: Vec<Scoped<'_>> = source.wanted().collect();
    let shared = [source.shared];
    if let Some((family, ready)) = family(source.environments, &header, &mut files, &mut errors) {
        terragrunt::environments(
            &family,
            &source.shared,
            &ready,
            &wanted,
            &header,
            &mut files,
        );
    }
    if let Some((family, ready)) = family(&shared, &header, &mut files, &mut errors)
        && wanted
            .iter()
            .any(|scope| scope.name() == source.shared.name())
        && let Some(ready) = ready.get(&Module::Shared)
    {
        terragrunt::shared(&family, ready, &header, &mut files);
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(errors)
    }
}

/// Scopes that have one set of modules, and those modules, written.
fn family<'a>(
    scopes: &[Scoped<'a>],
    header: &str,
    files: &mut Files,
    errors: &mut Vec<Error>,
) -> Option<(Family<'a>, BTreeMap<Module, Ready>)> {
    let written = Family::new(scopes).and_then(|mut family| {
        let ready = modules(&mut family, header, files)?;
        Ok((family, ready))
    });
    written.map_err(|more| errors.extend(more)).ok()
}

/// Writes the modules of a family of scopes.
fn modules(
    family: &mut Family<'_>,
    header: &str,
    files: &mut Files,
) -> Result<BTreeMap<Module, Ready>, Vec<Error>> {
    let mut errors = Vec::new();
    let mut plans = Vec::new();
    for module in family.used() {
        match plan::plan(family, module) {
            Ok(plan) => plans.push(plan),
            Err(more) => errors.extend(more),
        }
    }
    let mut wanted = family.references();
    for resource in plans.iter().flat_map(|plan| &plan.resources) {
        for property in names::useful(&resource.type_name) {
            let path = catalog::PropertyPath::from_segments(property.split('.'));
            wanted
                .entry(resource.address.clone())
                .or_default()
                .insert(Attribute::Property(path));
        }
    }
    for plan in &plans {
        family
            .outputs
            .insert(plan.module, module_files::outputs(family, plan));
    }
    let environments: Vec<String> = family
        .facts
        .iter()
        .map(|facts| facts.environment.clone())
        .collect();
    let mut ready = BTreeMap::new();
    for plan in plans {
        let names = names::names(family, &plan);
        let renderer = Renderer::new(&plan, &names, &wanted, environments.clone());
        match module_files::write(family, &renderer, header) {
            Ok(written) => {
                for (name, text) in &written.files {
                    files.add(format!("modules/{}/{name}", plan.module), Owner::All, text);
                }
                ready.insert(
                    plan.module,
                    Ready {
                        plan,
                        names,
                        written,
                    },
                );
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() {
        Ok(ready)
    } else {
        Err(errors)
    }
}
