//! The files of a module.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use graph::{Attribute, Reference};

use super::hcl::{Block, Body, Expr, Line};
use super::names::useful;
use super::plan::{Family, Kind, Plan};
use super::render::Renderer;
use super::variables::{Variable, variables};
use crate::Error;
use crate::module::Module;

/// The release of `awscc` whose names are in `naming`.
pub(super) const AWSCC: &str = "~> 1.96";
/// The release of `aws` whose arguments are in `native`.
pub(super) const AWS: &str = "~> 6.25";
/// The first that has the S3 backend's lock file.
pub(super) const TERRAFORM: &str = ">= 1.10.0, < 2.0.0";

/// A module as it is written.
pub(super) struct Written {
    pub(super) variables: Vec<Variable>,
    /// Texts by file names.
    pub(super) files: Vec<(&'static str, String)>,
}

/// What a module puts out: what others need of it, and what people ask for.
pub(super) fn outputs(family: &Family<'_>, plan: &Plan) -> BTreeMap<String, Reference> {
    let mut wanted: BTreeSet<Reference> = BTreeSet::new();
    for (scope, modules) in family.scopes.iter().zip(&family.modules) {
        for resource in scope.graph.resources() {
            for value in resource.properties.values() {
                value.walk(&mut |value| {
                    if let graph::Value::Attribute(reference) = value
                        && modules.get(&reference.to) == Some(&plan.module)
                        && modules.get(&resource.address) != Some(&plan.module)
                    {
                        wanted.insert(reference.clone());
                    }
                });
            }
        }
    }
    for resource in &plan.resources {
        for property in useful(&resource.type_name) {
            let path = catalog::PropertyPath::from_segments(property.split('.'));
            let wants = resource.kind != Kind::Existing
                || super::names::property_of(&resource.type_name, &Attribute::Identifier).as_ref()
                    == Some(&path);
            if wants {
                wanted.insert(Reference {
                    to: resource.address.clone(),
                    attribute: Attribute::Property(path),
                });
            }
        }
    }
    wanted
        .into_iter()
        .map(|reference| (family.output(&reference), reference))
        .collect()
}

/// Writes a module.
///
/// # Errors
///
/// What its resources cannot be.
pub(super) fn write(
    family: &Family<'_>,
    renderer: &Renderer<'_>,
    header: &str,
) -> Result<Written, Vec<Error>> {
    let plan = renderer.plan;
    let resources = renderer.resources()?;
    let outputs = outputs(family, plan);
    let mut out = Body::default();
    for (name, reference) in &outputs {
        let of = match &reference.attribute {
            Attribute::Identifier => "The identifier".to_owned(),
            Attribute::Property(path) => format!("`{path}`"),
        };
        out.block(
            Block::new("output", &[name])
                .with(
                    "description",
                    Expr::text(format!("{of} of `{}`.", reference.to)),
                )
                .with("value", renderer.output(reference)),
        );
    }
    let used = renderer.used.borrow().clone();
    let mut main = Body::default();
    let mut locals = Block::new("locals", &[]);
    if used.name {
        locals.body.argument(
            "name",
            Expr::Text(vec![
                super::hcl::Piece::Code(Expr::code("var.platform")),
                super::hcl::Piece::Literal("-".to_owned()),
                super::hcl::Piece::Code(Expr::code("var.environment")),
            ]),
        );
    }
    if used.tags {
        locals.body.argument(
            "tags",
            Expr::Call(
                "merge",
                vec![
                    Expr::code("var.tags"),
                    Expr::object([
                        (graph::owner_tags::PLATFORM, Expr::code("var.platform")),
                        (
                            graph::owner_tags::ENVIRONMENT,
                            Expr::code("var.environment"),
                        ),
                    ]),
                ],
            ),
        );
    }
    if !locals.body.0.is_empty() {
        main.block(locals);
    }
    if used.account {
        main.block(Block::new("data", &["aws_caller_identity", "current"]));
    }
    if used.partition {
        main.block(Block::new("data", &["aws_partition", "current"]));
    }
    if used.deployer {
        main.block(
            Block::new("data", &["aws_iam_session_context", "current"])
                .with("arn", Expr::code("data.aws_caller_identity.current.arn")),
        );
    }
    for block in renderer.data().into_iter().chain(resources) {
        main.block(block);
    }
    let variables = variables(renderer, &used);
    let mut declared = Body::default();
    for variable in &variables {
        declared.block(variable.block());
    }
    let files = vec![
        ("versions.tf", versions().file(header)),
        ("variables.tf", declared.file(header)),
        ("main.tf", main.file(header)),
        ("outputs.tf", out.file(header)),
        (
            "README.md",
            readme(plan.module, &variables, &outputs, header),
        ),
    ];
    Ok(Written { variables, files })
}

/// Both providers, whether or not the module has resources of both: Terragrunt configures both in every module, and one
/// that is configured and not required here would be of any version.
fn versions() -> Body {
    let provider = |name: &str, version: &str| {
        Expr::object([
            ("source", Expr::text(format!("hashicorp/{name}"))),
            ("version", Expr::text(version)),
        ])
    };
    let providers = Block::new("required_providers", &[])
        .with("aws", provider("aws", AWS))
        .with("awscc", provider("awscc", AWSCC));
    let terraform = Block::new("terraform", &[])
        .with("required_version", Expr::text(TERRAFORM))
        .block(providers);
    Body(vec![Line::Block(terraform)])
}

fn readme(
    module: Module,
    variables: &[Variable],
    outputs: &BTreeMap<String, Reference>,
    header: &str,
) -> String {
    let mut text = String::from("<!--\n");
    for line in header.lines() {
        let _ = writeln!(text, "{}", line.trim_start_matches("# "));
    }
    let _ = write!(
        text,
        "-->\n# {module}\n\nIn it: {}.\n",
        module.description()
    );
    if !variables.is_empty() {
        text.push_str("\n| Variable | Type | Default | What it is |\n|---|---|---|---|\n");
        for variable in variables {
            let default = match &variable.default {
                None => "required",
                Some(Expr::Null) => "`null`",
                Some(Expr::Bool(true)) => "`true`",
                Some(_) => "`{}`",
            };
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {default} | {} |",
                variable.name,
                variable.kind,
                variable.description.replace('|', "\\|")
            );
        }
    }
    if !outputs.is_empty() {
        text.push_str("\n| Output | Of |\n|---|---|\n");
        for (name, reference) in outputs {
            let _ = writeln!(text, "| `{name}` | `{}` |", reference.to);
        }
    }
    text
}
