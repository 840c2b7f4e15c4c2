//! A graph's values in a template's words.

use std::collections::{BTreeMap, BTreeSet};

use catalog::PropertyPath;
use catalog::ids::Address;
use graph::{
    Attribute as Which, Lifecycle, Parameter, Reference, Resource, SecretReference, Value,
};

use super::names;
use super::parameter::{self, Given};
use super::plan::{self, Attribute, Plan, Written};
use super::yaml::Node;
use crate::{Error, Format, Module};

/// Writes the values of one stack, and collects what the stack has to be given for it.
pub(super) struct Writer<'a> {
    plan: &'a Plan<'a>,
    here: Module,
    /// The resource that is being written.
    of: &'a Address,
    /// The parameters that the stack takes, by name.
    pub(super) parameters: BTreeMap<String, Given>,
    /// Resources of this stack that the present one comes after because an intrinsic names them.
    pub(super) implied: BTreeSet<Address>,
    /// Resources that the present one comes after although no intrinsic names them: their values were written instead.
    pub(super) copied: BTreeSet<Address>,
    /// What there are no words for.
    pub(super) errors: Vec<Error>,
}

/// A part of a text.
enum Part {
    Literal(String),
    /// `${…}` of this name.
    Name(String),
    /// What only a variable of `!Sub` can hold.
    Call(Node),
}

/// What an attribute is called here.
enum Handle<'a> {
    Name(String),
    GetAtt(String),
    Value(&'a Value),
    Nothing,
}

impl<'a> Writer<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, here: Module, of: &'a Address) -> Self {
        Self {
            plan,
            here,
            of,
            parameters: BTreeMap::new(),
            implied: BTreeSet::new(),
            copied: BTreeSet::new(),
            errors: Vec::new(),
        }
    }

    /// Goes on to another resource.
    pub(super) fn turn_to(&mut self, of: &'a Address) {
        self.of = of;
        self.implied.clear();
        self.copied.clear();
    }

    /// A property of the present resource. What may be an object and is given as JSON text becomes the object.
    pub(super) fn property(&mut self, resource: &Resource, name: &str, value: &'a Value) -> Node {
        if let Value::String(text) = value
            && takes_object(resource, name)
            && let Ok(document @ serde_json::Value::Object(_)) = serde_json::from_str(text)
        {
            return Node::from(&document);
        }
        self.node(value)
    }

    /// A value.
    pub(super) fn node(&mut self, value: &'a Value) -> Node {
        match value {
            Value::Bool(value) => Node::Bool(*value),
            Value::Number(number) => Node::Number(number.clone()),
            Value::String(text) => Node::Text(self.literal(text)),
            Value::Array(items) => Node::List(items.iter().map(|item| self.node(item)).collect()),
            Value::Object(properties) => Node::map(
                properties
                    .iter()
                    .map(|(key, value)| (key, self.node(value)))
                    .collect::<Vec<_>>(),
            ),
            Value::Attribute(reference) => self.reference(reference),
            Value::Split {
                of,
                separator,
                index,
            } => {
                let of = self.node(of);
                let pieces = Node::call("!Split", vec![separator.as_str().into(), of]);
                Node::call("!Select", vec![Node::Number((*index).into()), pieces])
            }
            Value::Join(_) | Value::Json(_) | Value::Parameter(_) | Value::Secret(_) => {
                let mut parts = Vec::new();
                self.parts(value, &mut parts);
                text(parts)
            }
        }
    }

    /// A text that is not ours to change. A dynamic reference in it would be resolved by CloudFormation.
    fn literal(&mut self, text: &str) -> String {
        if text.contains("{{resolve:") {
            self.refuse("a text has `{{resolve:` in it, which CloudFormation would replace");
        }
        text.to_owned()
    }

    fn reference(&mut self, reference: &'a Reference) -> Node {
        if let Which::Property(path) = &reference.attribute {
            return match self.attribute(&reference.to, path) {
                Handle::Name(name) => Node::call("!Ref", name),
                Handle::GetAtt(name) => Node::call("!GetAtt", name),
                Handle::Value(value) => self.node(value),
                Handle::Nothing => "".into(),
            };
        }
        let mut parts = Vec::new();
        self.identifier(&reference.to, &mut parts);
        text(parts)
    }

    /// The primary identifier, a compound one joined by `|` as Cloud Control does.
    fn identifier(&mut self, to: &'a Address, parts: &mut Vec<Part>) {
        let Some(resource) = self.plan.graph().get(to) else {
            return;
        };
        for (place, path) in plan::identifying(resource).iter().enumerate() {
            if place > 0 {
                parts.push(Part::Literal("|".to_owned()));
            }
            self.attribute_part(to, path, parts);
        }
    }

    fn attribute_part(&mut self, to: &'a Address, path: &PropertyPath, parts: &mut Vec<Part>) {
        match self.attribute(to, path) {
            Handle::Name(name) | Handle::GetAtt(name) => parts.push(Part::Name(name)),
            Handle::Value(value) => self.parts(value, parts),
            Handle::Nothing => {}
        }
    }

    /// What an attribute is called in this stack; what has to be given from outside becomes a parameter.
    fn attribute(&mut self, to: &'a Address, path: &PropertyPath) -> Handle<'a> {
        let (Some(resource), Some(module)) = (self.plan.graph().get(to), self.plan.module(to))
        else {
            return Handle::Nothing;
        };
        let attribute = Attribute {
            of: to.clone(),
            path: path.clone(),
        };
        if let Some(identifier) = plan::existing(resource) {
            let part = parameter::identifier_part(resource, identifier, path);
            return match (part, plan::desired(resource, path)) {
                (None, Some(known)) => Handle::Value(known),
                (part, _) => Handle::Name(self.take(Given::existing(resource, attribute, part))),
            };
        }
        if resource.lifecycle == Lifecycle::Ensure {
            self.refuse(&format!(
                "it needs {} of `{to}`, which the stack makes only if it is not there",
                attribute.path
            ));
            return Handle::Nothing;
        }
        let written = plan::written(resource, path);
        match written {
            Written::Value(value) => {
                self.copied.insert(to.clone());
                Handle::Value(value)
            }
            Written::Unknown => {
                self.refuse(&format!(
                    "it needs {path} of `{to}`, which is not set, and which CloudFormation does not give"
                ));
                Handle::Nothing
            }
            Written::Ref | Written::GetAtt(_) if module != self.here => {
                Handle::Name(self.take(Given::output(resource, attribute, module)))
            }
            Written::Ref => {
                self.implied.insert(to.clone());
                Handle::Name(names::logical_id(to))
            }
            Written::GetAtt(path) => {
                self.implied.insert(to.clone());
                Handle::GetAtt(format!("{}.{path}", names::logical_id(to)))
            }
        }
    }

    /// Notes a parameter; its name.
    pub(super) fn take(&mut self, given: Given) -> String {
        let name = given.name.clone();
        self.parameters.entry(name.clone()).or_insert(given);
        name
    }

    /// The parts of a text.
    fn parts(&mut self, value: &'a Value, parts: &mut Vec<Part>) {
        match value {
            Value::String(text) => {
                let text = self.literal(text);
                parts.push(Part::Literal(text));
            }
            Value::Bool(value) => parts.push(Part::Literal(value.to_string())),
            Value::Number(number) => parts.push(Part::Literal(number.to_string())),
            Value::Join(items) => items.iter().for_each(|item| self.parts(item, parts)),
            Value::Attribute(Reference { to, attribute }) => match attribute {
                Which::Identifier => self.identifier(to, parts),
                Which::Property(path) => self.attribute_part(to, path, parts),
            },
            Value::Parameter(Parameter::AccountId) => {
                parts.push(Part::Name("AWS::AccountId".to_owned()));
            }
            Value::Parameter(Parameter::Deployer) => {
                let name = self.take(Given::deployer());
                parts.push(Part::Name(name));
            }
            Value::Secret(SecretReference { secret, key }) => {
                parts.push(Part::Literal("{{resolve:secretsmanager:".to_owned()));
                self.identifier(secret, parts);
                let key = key
                    .as_ref()
                    .map_or_else(String::new, |key| format!(":{key}"));
                parts.push(Part::Literal(format!(":SecretString{key}}}}}")));
            }
            Value::Json(inner) => self.json(inner, parts),
            Value::Split { .. } => {
                let node = self.node(value);
                parts.push(Part::Call(node));
            }
            Value::Array(_) | Value::Object(_) => {
                self.refuse("a list or an object is part of a text");
            }
        }
    }

    /// The parts of a value's JSON text, without white space.
    fn json(&mut self, value: &'a Value, parts: &mut Vec<Part>) {
        let literal = |text: &str| Part::Literal(text.to_owned());
        match value {
            Value::Array(items) => {
                parts.push(literal("["));
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        parts.push(literal(","));
                    }
                    self.json(item, parts);
                }
                parts.push(literal("]"));
            }
            Value::Object(properties) => {
                parts.push(literal("{"));
                for (place, (key, value)) in properties.iter().enumerate() {
                    let comma = if place > 0 { "," } else { "" };
                    let key = serde_json::Value::from(key.as_str());
                    parts.push(Part::Literal(format!("{comma}{key}:")));
                    self.json(value, parts);
                }
                parts.push(literal("}"));
            }
            Value::Bool(_) | Value::Number(_) => self.parts(value, parts),
            _ => {
                let mut inner = Vec::new();
                self.parts(value, &mut inner);
                parts.push(literal("\""));
                parts.extend(inner.into_iter().map(|part| match part {
                    Part::Literal(text) => {
                        let quoted = serde_json::Value::from(text).to_string();
                        Part::Literal(quoted[1..quoted.len() - 1].to_owned())
                    }
                    other => other,
                }));
                parts.push(literal("\""));
            }
        }
    }

    fn refuse(&mut self, why: &str) {
        self.errors.push(Error::Inexpressible {
            address: self.of.clone(),
            format: Format::CloudFormation,
            why: why.to_owned(),
        });
    }
}

/// Whether a property may be an object.
fn takes_object(resource: &Resource, name: &str) -> bool {
    let path = PropertyPath::from_segments([name]);
    catalog::schema(&resource.type_name)
        .and_then(|schema| schema.property(&path))
        .is_some_and(|property| match &property["type"] {
            serde_json::Value::Array(types) => types.iter().any(|it| it == "object"),
            one => one == "object",
        })
}

/// A text of parts: plain, a reference, or `!Sub` with a variable for each part that has no name.
fn text(parts: Vec<Part>) -> Node {
    let parts: Vec<Part> = parts
        .into_iter()
        .filter(|part| !matches!(part, Part::Literal(text) if text.is_empty()))
        .collect();
    if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
        let texts = parts.into_iter().map(|part| match part {
            Part::Literal(text) => text,
            Part::Name(_) | Part::Call(_) => String::new(),
        });
        return Node::Text(texts.collect());
    }
    match <[Part; 1]>::try_from(parts) {
        Ok([Part::Literal(text)]) => Node::Text(text),
        Ok([Part::Call(node)]) => node,
        Ok([Part::Name(name)]) if name.contains('.') => Node::call("!GetAtt", name),
        Ok([Part::Name(name)]) => Node::call("!Ref", name),
        Err(parts) => substituted(parts),
    }
}

fn substituted(parts: Vec<Part>) -> Node {
    let mut text = String::new();
    let mut variables: Vec<Node> = Vec::new();
    for part in parts {
        match part {
            // `${!` is how `!Sub` writes `${`.
            Part::Literal(literal) => text.push_str(&literal.replace("${", "${!")),
            Part::Name(name) => text.push_str(&format!("${{{name}}}")),
            Part::Call(node) => {
                let place = variables
                    .iter()
                    .position(|other| *other == node)
                    .unwrap_or_else(|| {
                        variables.push(node);
                        variables.len() - 1
                    });
                text.push_str(&format!("${{Part{}}}", place + 1));
            }
        }
    }
    if variables.is_empty() {
        return Node::call("!Sub", text);
    }
    let named = variables
        .into_iter()
        .enumerate()
        .map(|(place, node)| (format!("Part{}", place + 1), node));
    Node::call("!Sub", vec![Node::Text(text), Node::map(named)])
}
