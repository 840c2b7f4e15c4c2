//! The Terragrunt tree: a root, a folder for each environment with one for each module, a folder to copy for another
//! environment, and the shared scope.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Attribute, Parameter, Reference, Value};

use super::hcl::{Block, Body, Expr, Line, Piece};
use super::module_files::Written;
use super::names::Names;
use super::plan::{Family, Kind, Plan};
use super::term::{Item, Part, Term, Text};
use super::variables::Variable;
use crate::module::Module;
use crate::{Files, Owner, Scoped};

/// A module with all that is known of it.
pub(super) struct Ready {
    pub(super) plan: Plan,
    pub(super) names: Names,
    pub(super) written: Written,
}

/// What a module is given in one environment.
pub(super) struct Wiring {
    /// The inputs, by variable.
    inputs: BTreeMap<String, Expr>,
    /// The modules whose outputs are among them.
    outputs_of: BTreeSet<Module>,
    /// The other modules that come before it.
    after: BTreeSet<Module>,
}

/// Words to plan with before anything exists.
const MOCKED: [&str; 3] = ["init", "validate", "plan"];

/// The name of the folder to copy.
const TEMPLATE: &str = "env-template-folder";

/// Wires a module in an environment.
pub(super) fn wire(family: &Family<'_>, ready: &Ready, environment: usize) -> Wiring {
    let (plan, names) = (&ready.plan, &ready.names);
    let mut outputs_of = BTreeSet::new();
    let mut given: BTreeMap<&str, Expr> = BTreeMap::new();
    let mut output = |reference: &Reference| {
        let module = family.modules[environment].get(&reference.to).copied();
        outputs_of.extend(module);
        let module = module.map_or("", Module::name);
        Expr::code(format!(
            "dependency.{module}.outputs.{}",
            family.output(reference)
        ))
    };
    for (reference, on) in plan.imports() {
        if let Some(name) = names
            .imports
            .get(&reference)
            .filter(|_| on.contains(&environment))
        {
            given.insert(name, output(&reference));
        }
    }
    for (use_, name) in plan.uses.iter().zip(&names.uses) {
        if let Some(term) = use_.values.get(&environment) {
            given.insert(name, value(term, &mut output));
        }
    }
    for (flag, name) in plan.flags.iter().zip(&names.flags) {
        given.insert(name, Expr::Bool(flag.on.contains(&environment)));
    }
    for resource in plan
        .resources
        .iter()
        .filter(|resource| resource.kind == Kind::Existing)
    {
        if let (Some(name), Some(identifier)) = (
            names.existing.get(&resource.address),
            resource.identifiers.get(&environment),
        ) {
            given.insert(name, Expr::text(identifier));
        }
    }
    let from_root = [
        ("platform", "include.root.locals.platform"),
        ("environment", "include.root.locals.env.environment"),
        ("region", "include.root.locals.env.region"),
        ("vpc_cidr_block", "include.root.locals.env.vpc_cidr_block"),
        ("tags", "include.root.locals.env.tags"),
    ];
    given.extend(from_root.map(|(name, code)| (name, Expr::code(code))));
    let inputs = ready
        .written
        .variables
        .iter()
        .filter_map(|variable| Some((variable.name.clone(), given.remove(variable.name.as_str())?)))
        .collect();
    let needs = family.needs[environment]
        .get(&plan.module)
        .cloned()
        .unwrap_or_default();
    let after = needs.difference(&outputs_of).copied().collect();
    Wiring {
        inputs,
        outputs_of,
        after,
    }
}

/// A value as an input.
fn value(term: &Term, output: &mut impl FnMut(&Reference) -> Expr) -> Expr {
    let mut text = |text: &Text| -> Vec<Piece> {
        if text.is_empty() {
            return vec![Piece::Literal(String::new())];
        }
        text.iter()
            .filter_map(|part| match part {
                Part::Literal(text) => Some(Piece::Literal(text.clone())),
                Part::Attribute(reference) => Some(Piece::Code(output(reference))),
                _ => None,
            })
            .collect()
    };
    match term {
        Term::Bool(value) => Expr::Bool(*value),
        Term::Number(number) => Expr::Number(number.clone()),
        Term::Text(inner) => Expr::Text(text(inner)),
        Term::Json(inner) => Expr::Call("jsonencode", vec![value(inner, output)]),
        Term::List(items) => {
            Expr::List(items.iter().map(|item| value(&item.term, output)).collect())
        }
        Term::Object(entries) => {
            let entry = |(key, item): (&Text, &Item)| {
                let key: Vec<Piece> = key
                    .iter()
                    .filter_map(|part| match part {
                        Part::Literal(text) => Some(Piece::Literal(text.clone())),
                        _ => None,
                    })
                    .collect();
                (key, value(&item.term, output))
            };
            Expr::Object(entries.iter().map(entry).collect())
        }
        Term::Tags(_) | Term::Variable(_) | Term::Each(..) | Term::If(..) => Expr::Null,
    }
}

/// Adds the environments' tree.
pub(super) fn environments(
    family: &Family<'_>,
    shared: &Scoped<'_>,
    ready: &BTreeMap<Module, Ready>,
    wanted: &[Scoped<'_>],
    header: &str,
    files: &mut Files,
) {
    files.add("terragrunt/root.hcl", Owner::All, root(shared).file(header));
    for (index, scope) in family.scopes.iter().enumerate() {
        if !wanted.iter().any(|other| other.name() == scope.name()) {
            continue;
        }
        let owner = || Owner::Scope(scope.name().clone());
        let folder = format!("terragrunt/environments/{}", scope.name());
        files.add(
            format!("{folder}/env.hcl"),
            owner(),
            environment(family, index).file(header),
        );
        for ready in ready
            .values()
            .filter(|ready| ready.plan.on.contains(&index))
        {
            let wiring = wire(family, ready, index);
            let body = module(family, ready, &wiring, "../../../../modules", |_, value| {
                value
            });
            let path = format!("{folder}/{}/terragrunt.hcl", ready.plan.module);
            files.add(path, owner(), body.file(header));
        }
    }
    template(family, ready, header, files);
}

/// The root: where the state is, how the providers are configured, what all modules are given.
fn root(shared: &Scoped<'_>) -> Body {
    let mut body = Body::default();
    body.block(
        Block::new("locals", &[])
            .with("platform", Expr::text(shared.platform.platform.as_str()))
            .with(
                "env",
                Expr::code(r#"read_terragrunt_config(find_in_parent_folders("env.hcl")).locals"#),
            ),
    );
    let state = &shared.platform.spec.state;
    let region = shared.graph.scope().region.as_str();
    let bucket = match state.bucket.as_deref() {
        Some(bucket) => Expr::text(bucket),
        None => shared_name(shared, "shared/state-bucket", "BucketName"),
    };
    let table = match state.lock_table.as_deref() {
        Some(table) => Expr::text(table),
        None => shared_name(shared, "shared/lock-table", "TableName"),
    };
    let key = Expr::Text(vec![
        Piece::Literal("terraform/".to_owned()),
        Piece::Code(Expr::code("path_relative_to_include()")),
        Piece::Literal("/terraform.tfstate".to_owned()),
    ]);
    // The bucket is the shared scope's: it has versioning, AES-256 and no public access there.
    body.block(
        Block::new("remote_state", &[])
            .comment("The bucket and the table are the shared scope's, and Terragrunt changes nothing of them. The lock file")
            .comment("replaces the table, which Terraform still takes: without an older one in use leave `dynamodb_table` out.")
            .with("backend", Expr::text("s3"))
            .with("generate", backend_file())
            .with(
                "config",
                Expr::object([
                    ("bucket", bucket),
                    ("key", key),
                    ("region", Expr::text(region)),
                    ("encrypt", Expr::Bool(true)),
                    ("dynamodb_table", table),
                    ("use_lockfile", Expr::Bool(true)),
                    ("disable_bucket_update", Expr::Bool(true)),
                ]),
            ),
    );
    body.block(provider("local.env.region", "local.env.account_id"));
    body
}

/// The file that says where the state is.
fn backend_file() -> Expr {
    Expr::object([
        ("path", Expr::text("backend.tf")),
        ("if_exists", Expr::text("overwrite_terragrunt")),
    ])
}

/// The providers' configuration, for the modules have none.
fn provider(region: &str, account: &str) -> Block {
    let literal = |text: &str| Piece::Literal(text.to_owned());
    let code = |text: String| Piece::Code(Expr::code(text));
    let contents = vec![
        literal("provider \"aws\" {\n  region              = "),
        code(format!("jsonencode({region})")),
        literal("\n  allowed_account_ids = "),
        code(format!("jsonencode(compact([{account}]))")),
        literal("\n}\n\nprovider \"awscc\" {\n  region = "),
        code(format!("jsonencode({region})")),
        literal("\n}\n"),
    ];
    Block::new("generate", &["provider"])
        .with("path", Expr::text("provider.tf"))
        .with("if_exists", Expr::text("overwrite_terragrunt"))
        .with("contents", Expr::Heredoc(contents))
}

/// A name that the shared scope's resource has.
fn shared_name(shared: &Scoped<'_>, address: &str, property: &str) -> Expr {
    let found = catalog::ids::Address::new(address)
        .ok()
        .and_then(|address| shared.graph.get(&address)?.properties.get(property));
    fn pieces(value: &Value) -> Vec<Piece> {
        match value {
            Value::String(text) => vec![Piece::Literal(text.clone())],
            Value::Parameter(Parameter::AccountId) => {
                vec![Piece::Code(Expr::code("get_aws_account_id()"))]
            }
            Value::Join(parts) => parts.iter().flat_map(pieces).collect(),
            _ => Vec::new(),
        }
    }
    Expr::Text(found.map(pieces).unwrap_or_default())
}

/// What an environment gives to all its modules.
fn environment(family: &Family<'_>, index: usize) -> Body {
    let facts = &family.facts[index];
    let account = family.scopes[index]
        .platform
        .spec
        .aws
        .account
        .as_deref()
        .unwrap_or_default();
    let tags = Expr::object(
        facts
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), Expr::text(value))),
    );
    let mut locals = Block::new("locals", &[])
        .with("environment", Expr::text(&facts.environment))
        .with("region", Expr::text(&facts.region))
        .with("account_id", Expr::text(account));
    if let Some(vpc) = facts.vpc {
        locals = locals.with("vpc_cidr_block", Expr::text(vpc.to_string()));
    }
    Body(vec![Line::Block(locals.with("tags", tags))])
}

/// A module's `terragrunt.hcl`; `input` makes an input of a variable and the value that it has.
fn module(
    family: &Family<'_>,
    ready: &Ready,
    wiring: &Wiring,
    modules: &str,
    input: impl Fn(&Variable, Expr) -> Expr,
) -> Body {
    let mut body = Body::default();
    body.block(
        Block::new("include", &["root"])
            .with("path", Expr::code(r#"find_in_parent_folders("root.hcl")"#))
            .with("expose", Expr::Bool(true)),
    );
    let source = format!("{modules}/{}", ready.plan.module);
    body.block(Block::new("terraform", &[]).with("source", Expr::text(source)));
    for module in &wiring.outputs_of {
        body.block(dependency(family, *module));
    }
    if !wiring.after.is_empty() {
        let paths = wiring
            .after
            .iter()
            .map(|module| Expr::text(format!("../{module}")))
            .collect();
        body.block(Block::new("dependencies", &[]).with("paths", Expr::List(paths)));
    }
    let inputs = ready.written.variables.iter().filter_map(|variable| {
        let value = wiring.inputs.get(&variable.name)?.clone();
        Some((variable.name.clone(), input(variable, value)))
    });
    body.0.push(Line::Gap);
    body.argument("inputs", Expr::object(inputs));
    body
}

/// Another module's outputs, and what stands for them until it is applied.
fn dependency(family: &Family<'_>, module: Module) -> Block {
    let mocks = family
        .outputs
        .get(&module)
        .into_iter()
        .flatten()
        .map(|(name, reference)| (name.clone(), mock(family, name, reference)));
    Block::new("dependency", &[module.name()])
        .with("config_path", Expr::text(format!("../{module}")))
        .with("mock_outputs", Expr::object(mocks))
        .with(
            "mock_outputs_allowed_terraform_commands",
            Expr::List(MOCKED.iter().map(|command| Expr::text(*command)).collect()),
        )
        // Outputs that are newer than what is applied are not in the state yet.
        .with(
            "mock_outputs_merge_strategy_with_state",
            Expr::text("shallow"),
        )
}

/// Something of an output's form.
fn mock(family: &Family<'_>, name: &str, reference: &Reference) -> Expr {
    let resource = family
        .scopes
        .iter()
        .find_map(|scope| scope.graph.get(&reference.to));
    let property = resource
        .and_then(|resource| super::names::property_of(&resource.type_name, &reference.attribute));
    let node = resource
        .and_then(|resource| catalog::schema(&resource.type_name))
        .zip(property.as_ref())
        .and_then(|(schema, path)| schema.property(path));
    let last = match (&reference.attribute, &property) {
        (Attribute::Property(path), _) | (Attribute::Identifier, Some(path)) => {
            path.last().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    let dashed = name.replace('_', "-");
    match node.map(|node| node["type"].as_str().unwrap_or("string")) {
        Some("array") => return Expr::List(vec![Expr::text(format!("mock-{dashed}"))]),
        Some("integer" | "number") => return Expr::Number(1.into()),
        Some("boolean") => return Expr::Bool(true),
        _ => {}
    }
    let lower = last.to_ascii_lowercase();
    if lower.ends_with("arn") {
        Expr::text(format!("arn:aws:iam::111122223333:role/mock-{dashed}"))
    } else if lower.ends_with("url") || lower == "endpoint" {
        Expr::text(format!("https://mock.example.com/{dashed}"))
    } else {
        Expr::text(format!("mock-{dashed}"))
    }
}

/// The folder to copy for another environment: what the first environment that has a module gives to it, with a
/// placeholder wherever the value is the environment's own.
fn template(family: &Family<'_>, ready: &BTreeMap<Module, Ready>, header: &str, files: &mut Files) {
    let folder = format!("terragrunt/{TEMPLATE}");
    let note = |note: &str, value: &str| Expr::Noted(note.to_owned(), Box::new(Expr::text(value)));
    let locals = Expr::object([
        (
            "environment",
            note(
                "string: the environment's name, as in the folder's.",
                "<environment>",
            ),
        ),
        (
            "region",
            note("string: the AWS region, as eu-central-1.", "<region>"),
        ),
        (
            "account_id",
            note(
                "string: the account's twelve digits; empty for any account.",
                "",
            ),
        ),
        (
            "vpc_cidr_block",
            note(
                "string: the VPC's IPv4 range, as 10.0.0.0/16.",
                "<vpc_cidr_block>",
            ),
        ),
        (
            "tags",
            Expr::Noted(
                "map(string): tags for everything that takes tags.".to_owned(),
                Box::new(Expr::Object(Vec::new())),
            ),
        ),
    ]);
    let mut body = Body::default();
    if let Expr::Object(entries) = locals {
        let mut block = Block::new("locals", &[]);
        for (name, value) in entries {
            if let [Piece::Literal(name)] = name.as_slice() {
                block.body.argument(name, value);
            }
        }
        body.block(block);
    }
    files.add(format!("{folder}/env.hcl"), Owner::All, body.file(header));
    for ready in ready.values() {
        let Some(first) = ready.plan.on.first() else {
            continue;
        };
        let wiring = wire(family, ready, *first);
        let body = module(
            family,
            ready,
            &wiring,
            "../../../../modules",
            |variable, value| {
                let note = format!("{}: {}", variable.kind, variable.description);
                let fixed = matches!(&value, Expr::Code(_))
                    || matches!(&value, Expr::List(items) if !items.is_empty() && items.iter().all(|item| {
                        matches!(item, Expr::Text(text) if matches!(text.as_slice(), [Piece::Code(_)]))
                    }));
                let value = if fixed {
                    value
                } else {
                    Expr::text(format!("<{}>", variable.name))
                };
                Expr::Noted(note, Box::new(value))
            },
        );
        files.add(
            format!("{folder}/{}/terragrunt.hcl", ready.plan.module),
            Owner::All,
            body.file(header),
        );
    }
}

/// Adds the shared scope, whose state is in a folder until its bucket exists.
pub(super) fn shared(family: &Family<'_>, ready: &Ready, header: &str, files: &mut Files) {
    let Some(scope) = family.scopes.first() else {
        return;
    };
    let facts = &family.facts[0];
    let wiring = wire(family, ready, 0);
    let mut body = Body::default();
    body.block(
        Block::new("locals", &[])
            .with("region", Expr::text(&facts.region))
            .with(
                "account_id",
                Expr::text(
                    scope
                        .platform
                        .spec
                        .aws
                        .account
                        .as_deref()
                        .unwrap_or_default(),
                ),
            ),
    );
    body.block(Block::new("terraform", &[]).with(
        "source",
        Expr::text(format!("../../modules/{}", ready.plan.module)),
    ));
    let beside = Expr::Text(vec![
        Piece::Code(Expr::code("get_terragrunt_dir()")),
        Piece::Literal("/terraform.tfstate".to_owned()),
    ]);
    body.block(
        Block::new("remote_state", &[])
            .comment(
                "Beside this file until the bucket that it makes is there; then move it into that.",
            )
            .with("backend", Expr::text("local"))
            .with("generate", backend_file())
            .with("config", Expr::object([("path", beside)])),
    );
    body.block(provider("local.region", "local.account_id"));
    let tags = Expr::object(
        facts
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), Expr::text(value))),
    );
    let own: BTreeMap<&str, Expr> = BTreeMap::from([
        ("platform", Expr::text(&facts.platform)),
        ("environment", Expr::text(&facts.environment)),
        ("region", Expr::code("local.region")),
        ("tags", tags),
    ]);
    let inputs = wiring.inputs.iter().map(|(name, value)| {
        (
            name.clone(),
            own.get(name.as_str())
                .cloned()
                .unwrap_or_else(|| value.clone()),
        )
    });
    body.0.push(Line::Gap);
    body.argument("inputs", Expr::object(inputs));
    let name = scope.name().clone();
    files.add(
        format!("terragrunt/{name}/terragrunt.hcl"),
        Owner::Scope(name),
        body.file(header),
    );
}
