//! A module's variables: types, descriptions, and what a value must be.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::hcl::{Block, Expr};
use super::plan::Kind;
use super::render::{Renderer, Used};
use super::term::{Part, Term};
use super::unify::{Decides, Use};

/// A variable.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Its type, as Terraform writes it.
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) default: Option<Expr>,
    /// A condition over the value, and what it says when it does not hold.
    pub(super) validation: Option<(String, String)>,
}

impl Variable {
    fn new(name: impl Into<String>, kind: &str, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.to_owned(),
            description: description.into(),
            default: None,
            validation: None,
        }
    }

    fn or(mut self, default: Expr) -> Self {
        self.default = Some(default);
        self
    }

    fn valid(mut self, condition: impl Into<String>, message: impl Into<String>) -> Self {
        self.validation = Some((condition.into(), message.into()));
        self
    }

    /// Its block.
    pub(super) fn block(&self) -> Block {
        let mut block = Block::new("variable", &[&self.name])
            .with("description", Expr::text(&self.description))
            .with("type", Expr::code(&self.kind));
        match &self.default {
            Some(default) => block.body.argument("default", default.clone()),
            None => block.body.argument("nullable", Expr::Bool(false)),
        }
        if let Some((condition, message)) = &self.validation {
            let condition = match self.default {
                Some(Expr::Null) => format!("var.{} == null ? true : {condition}", self.name),
                _ => condition.clone(),
            };
            block.body.block(
                Block::new("validation", &[])
                    .with("condition", Expr::code(condition))
                    .with("error_message", Expr::text(message)),
            );
        }
        block
    }
}

/// All variables of a module, in the order in which they are declared.
pub(super) fn variables(renderer: &Renderer<'_>, used: &Used) -> Vec<Variable> {
    let (plan, names) = (renderer.plan, renderer.names);
    let mut out = Vec::new();
    if used.name || used.tags {
        out.push(
            Variable::new(
                "platform",
                "string",
                "The platform's name: the first part of every name in AWS.",
            )
            .valid(
                r#"can(regex("^[a-z][a-z0-9-]*$", var.platform))"#,
                "Small letters, digits and dashes, beginning with a letter.",
            ),
        );
        out.push(
            Variable::new(
                "environment",
                "string",
                "The environment's name: the second part of every name in AWS.",
            )
            .valid(
                r#"can(regex("^[a-z][a-z0-9-]*$", var.environment))"#,
                "Small letters, digits and dashes, beginning with a letter.",
            ),
        );
    }
    if used.region {
        out.push(Variable::new("region", "string", "The AWS region.").valid(
            r#"can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))"#,
            "A region, as eu-central-1.",
        ));
    }
    if used.vpc {
        out.push(
            Variable::new("vpc_cidr_block", "string", "The VPC's IPv4 range.").valid(
                "can(cidrhost(var.vpc_cidr_block, 0))",
                "A range, as 10.0.0.0/16.",
            ),
        );
    }
    if used.tags {
        out.push(
            Variable::new(
                "tags",
                "map(string)",
                "Tags for everything that takes tags, beside those that say whose it is.",
            )
            .or(Expr::Object(Vec::new())),
        );
    }
    if used.deployer {
        out.push(
            Variable::new(
                "deployer_arn",
                "string",
                "The IAM role that administers the cluster. Default: who applies; set it when others apply too.",
            )
            .or(Expr::Null)
            .valid(r#"can(regex("^arn:", var.deployer_arn))"#, "The ARN of an IAM role or user."),
        );
    }
    for (reference, on) in plan.imports() {
        let Some(name) = names.imports.get(&reference) else {
            continue;
        };
        let mut variable = Variable::new(
            name,
            "string",
            format!(
                "`{}` of `{}`.",
                attribute(&reference.attribute),
                reference.to
            ),
        );
        if on != plan.on {
            variable = variable.or(Expr::Null);
        }
        out.push(variable);
    }
    for resource in plan
        .resources
        .iter()
        .filter(|resource| resource.kind == Kind::Existing)
    {
        if let Some(name) = names
            .existing
            .get(&resource.address)
            .filter(|_| used.existing.contains(&resource.address))
        {
            let variable = Variable::new(
                name,
                "string",
                format!(
                    "The identifier of `{}`, which is somebody else's.",
                    resource.address
                ),
            );
            let all = resource.on == plan.on;
            out.push(if all {
                variable
            } else {
                variable.or(Expr::Null)
            });
        }
    }
    for (use_, name) in plan.uses.iter().zip(&names.uses) {
        out.push(use_variable(renderer, use_, name));
    }
    for (index, (flag, name)) in plan.flags.iter().zip(&names.flags).enumerate() {
        let description = match &flag.decides {
            Decides::Existence { of, .. } if renderer.is_ensured(index) => {
                format!(
                    "Whether to create {}: not where it exists already.",
                    list(of.iter().map(ToString::to_string))
                )
            }
            Decides::Existence { of, .. } => {
                format!(
                    "Whether to create {}.",
                    list(of.iter().map(ToString::to_string))
                )
            }
            Decides::Property { of, path } => {
                format!(
                    "Whether `{}` of `{of}` is as in {}.",
                    path.join("."),
                    environments(renderer, flag.on.iter())
                )
            }
        };
        let variable = Variable::new(name, "bool", description);
        out.push(if renderer.is_ensured(index) {
            variable.or(Expr::Bool(true))
        } else {
            variable
        });
    }
    out
}

fn environments<'e>(renderer: &Renderer<'_>, on: impl Iterator<Item = &'e usize>) -> String {
    list(
        on.filter_map(|index| renderer.environments.get(*index))
            .cloned(),
    )
}

fn attribute(attribute: &graph::Attribute) -> String {
    match attribute {
        graph::Attribute::Identifier => "Identifier".to_owned(),
        graph::Attribute::Property(path) => path.to_string(),
    }
}

/// `a`, `b` and `c`; of more than four the first three and how many more.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.map(|item| format!("`{item}`")).collect();
    if items.len() > 4 {
        let more = items.len() - 3;
        items.truncate(3);
        items.push(format!("{more} more"));
    }
    match items.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => String::new(),
    }
}

fn use_variable(renderer: &Renderer<'_>, use_: &Use<'_>, name: &str) -> Variable {
    let mut places: Vec<(String, String)> = Vec::new();
    for (address, path) in &use_.places {
        let place = (property_words(path), address.to_string());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let description = if use_.outputs {
        let addresses: BTreeSet<String> = use_
            .places
            .iter()
            .map(|(address, _)| address.to_string())
            .collect();
        format!(
            "What {} are given of other modules.",
            list(addresses.into_iter())
        )
        .replace(
            " are given",
            if use_.places.len() == 1 {
                " is given"
            } else {
                " are given"
            },
        )
    } else {
        let words = places
            .first()
            .map(|(words, _)| words.clone())
            .unwrap_or_default();
        let addresses: BTreeSet<String> = places.into_iter().map(|(_, address)| address).collect();
        format!("{words} of {}.", list(addresses.into_iter()))
    };
    let mut variable = Variable::new(name, &type_of(use_), description);
    if use_.values.len() != renderer.plan.on.len() {
        variable = variable.or(Expr::Null);
    }
    if let Some((condition, message)) = validation(use_, &format!("var.{name}")) {
        variable = variable.valid(condition, message);
    }
    variable
}

/// `Retention in days` of a path that ends in `RetentionInDays`; with what is around it where that says little.
fn property_words(path: &[String]) -> String {
    let named: Vec<&String> = path
        .iter()
        .filter(|segment| !segment.chars().all(|character| character.is_ascii_digit()))
        .collect();
    let from = named
        .len()
        .saturating_sub(if named.last().is_some_and(|last| last.len() < 8) {
            2
        } else {
            1
        });
    let words: Vec<String> = named[from..]
        .iter()
        .map(|segment| super::naming::attribute(segment).replace('_', " "))
        .collect();
    let words = words.join(" ");
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

fn scalar(term: &Term) -> &'static str {
    match term {
        Term::Bool(_) => "bool",
        Term::Number(_) => "number",
        _ => "string",
    }
}

/// The type that all values have.
fn type_of(use_: &Use<'_>) -> String {
    let mut items = use_.values.values().flat_map(|term| match term {
        Term::List(items) => items.iter().map(|item| &item.term).collect(),
        other => vec![other],
    });
    let item = items.next().map_or("string", scalar);
    let item = if items.all(|other| scalar(other) == item) {
        item
    } else {
        "string"
    };
    if use_
        .values
        .values()
        .any(|term| matches!(term, Term::List(_)))
    {
        format!("list({item})")
    } else {
        item.to_owned()
    }
}

/// A condition over the value `of`, from what the catalogue knows of the property or the values have in common.
fn validation(use_: &Use<'_>, of: &str) -> Option<(String, String)> {
    if use_.outputs {
        return None;
    }
    let is_list = use_
        .values
        .values()
        .any(|term| matches!(term, Term::List(_)));
    let each = |condition: &dyn Fn(&str) -> String| {
        if is_list {
            format!("alltrue([for item in {of} : {}])", condition("item"))
        } else {
            condition(of)
        }
    };
    let texts = texts(use_);
    let shape = if is_list {
        use_.shape.item()
    } else {
        use_.shape.clone()
    };
    let node = shape.node();
    if let Some(Json::Array(values)) = node.and_then(|node| node.get("enum"))
        && values.len() <= 30
    {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let values = values.join(", ");
        return Some((
            each(&|item| format!("contains([{values}], {item})")),
            format!("One of {}.", values.replace('"', "")),
        ));
    }
    let numbers = use_
        .values
        .values()
        .all(|term| matches!(term, Term::Number(_)));
    if numbers {
        let least = node
            .and_then(|node| node.get("minimum"))
            .and_then(Json::as_i64);
        let most = node
            .and_then(|node| node.get("maximum"))
            .and_then(Json::as_i64);
        return match (least, most) {
            (Some(least), Some(most)) => Some((
                format!("{of} >= {least} && {of} <= {most}"),
                format!("From {least} to {most}."),
            )),
            (Some(least), None) => Some((format!("{of} >= {least}"), format!("{least} or more."))),
            (None, Some(most)) => Some((format!("{of} <= {most}"), format!("{most} or less."))),
            (None, None) => Some((format!("{of} >= 0"), "Not negative.".to_owned())),
        };
    }
    let texts = texts?;
    if !texts.is_empty()
        && texts
            .iter()
            .all(|text| text.parse::<ipnet::IpNet>().is_ok())
    {
        return Some((
            each(&|item| format!("can(cidrhost({item}, 0))")),
            "A range, as 10.0.0.0/16.".to_owned(),
        ));
    }
    if !texts.is_empty() && texts.iter().all(|text| text.starts_with("arn:")) {
        return Some((
            each(&|item| format!("can(regex(\"^arn:\", {item}))")),
            "An ARN.".to_owned(),
        ));
    }
    let pattern = node
        .and_then(|node| node.get("pattern"))
        .and_then(Json::as_str);
    if let Some(pattern) = pattern.filter(|pattern| is_simple(pattern)) {
        let quoted = Json::String(pattern.to_owned()).to_string();
        return Some((
            each(&|item| format!("can(regex({quoted}, {item}))")),
            format!("It must match {pattern}.").replace("${", "$${"),
        ));
    }
    if !texts.is_empty() && texts.iter().all(|text| !text.is_empty()) {
        return Some((
            each(&|item| format!("length({item}) > 0")),
            "Not empty.".to_owned(),
        ));
    }
    None
}

/// The plain texts among the values, if they are all plain texts.
fn texts<'u>(use_: &'u Use<'_>) -> Option<Vec<&'u str>> {
    let mut out = Vec::new();
    for term in use_.values.values() {
        let items: Vec<&Term> = match term {
            Term::List(items) => items.iter().map(|item| &item.term).collect(),
            other => vec![other],
        };
        for item in items {
            match item {
                Term::Text(text) => match text.as_slice() {
                    [Part::Literal(text)] => out.push(text.as_str()),
                    [] => out.push(""),
                    _ => return None,
                },
                _ => return None,
            }
        }
    }
    Some(out)
}

/// Whether a pattern means the same to Terraform, whose expressions know no looking around, no `\Z`, and nothing between
/// slashes; engines differ in how they read a `[` in a class.
fn is_simple(pattern: &str) -> bool {
    let (mut in_class, mut escaped, mut nested) = (false, false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => {
                nested |= in_class;
                in_class = true;
            }
            ']' => in_class = false,
            _ => {}
        }
    }
    let foreign = ["(?", "\\Z", "\\p", "\\x", "\\u", "${", "%{"];
    pattern.starts_with('^')
        && pattern.ends_with('$')
        && !nested
        && !foreign.iter().any(|part| pattern.contains(part))
}
