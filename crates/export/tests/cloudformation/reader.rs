//! Templates read back into resources. Nothing of the exporter is used here: what is known is CloudFormation's own words,
//! the catalog's schemas, and that a logical id is the address in Pascal case.

use std::collections::{BTreeMap, BTreeSet};

use catalog::PropertyPath;
use catalog::ids::Address;
use graph::{Attribute, Graph, Lifecycle, Parameter, Reference, Resource, SecretReference, Value};
use serde_json::Value as Json;

use crate::yaml;

/// A scope's templates.
pub(crate) struct Reader<'a> {
    graph: &'a Graph,
    pub(crate) root: Json,
    /// By the stack's logical id in the root.
    pub(crate) stacks: BTreeMap<String, Json>,
    /// The graph's addresses by logical id.
    ids: BTreeMap<String, &'a Address>,
}

/// A resource of a template.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) stack: String,
    pub(crate) type_name: String,
    pub(crate) properties: BTreeMap<String, Value>,
    /// What an intrinsic or `DependsOn` puts before it, in its own stack.
    pub(crate) after: BTreeSet<Address>,
    pub(crate) condition: Option<String>,
    pub(crate) deletion: Option<String>,
    pub(crate) replacement: Option<String>,
}

pub(crate) fn pascal(text: &str) -> String {
    let mut result = String::new();
    let mut capital = true;
    for letter in text.chars() {
        if !letter.is_ascii_alphanumeric() {
            capital = true;
        } else if std::mem::take(&mut capital) {
            result.push(letter.to_ascii_uppercase());
        } else {
            result.push(letter);
        }
    }
    result
}

impl<'a> Reader<'a> {
    pub(crate) fn new<'t>(
        graph: &'a Graph,
        templates: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Self {
        let mut by_file: BTreeMap<String, Json> = templates
            .map(|(file, text)| (file.to_owned(), yaml::parse(text)))
            .collect();
        let root = by_file.remove("stack.yaml").unwrap();
        let stacks: BTreeMap<String, Json> = root["Resources"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, stack)| {
                assert_eq!(stack["Type"], "AWS::CloudFormation::Stack");
                let url = stack["Properties"]["TemplateURL"].as_str().unwrap();
                let file = url.strip_prefix("./").expect("a file of this folder");
                (id.clone(), by_file.remove(file).expect("a file of its own"))
            })
            .collect();
        assert!(by_file.is_empty(), "every file is nested in the root");
        let ids = graph
            .resources()
            .map(|resource| (pascal(resource.address.as_str()), &resource.address))
            .collect();
        Self {
            graph,
            root,
            stacks,
            ids,
        }
    }

    /// All resources, by address.
    pub(crate) fn resources(&self) -> BTreeMap<Address, Read> {
        let mut all = BTreeMap::new();
        for (stack, template) in &self.stacks {
            for (id, resource) in template["Resources"].as_object().unwrap() {
                let address = self.ids[id];
                let text = |key: &str| resource.get(key).map(|it| it.as_str().unwrap().to_owned());
                let mut after: BTreeSet<Address> = entries(&resource["DependsOn"])
                    .map(|id| self.ids[id.as_str().unwrap()].clone())
                    .collect();
                mentioned(&resource["Properties"], &mut |id| {
                    if template["Resources"].get(id).is_some() {
                        after.insert(self.ids[id].clone());
                    }
                });
                let properties = resource["Properties"].as_object();
                let properties = properties.into_iter().flatten();
                let read = Read {
                    stack: stack.clone(),
                    type_name: text("Type").unwrap(),
                    properties: properties
                        .map(|(name, value)| (name.clone(), self.value(stack, value)))
                        .collect(),
                    after,
                    condition: text("Condition"),
                    deletion: text("DeletionPolicy"),
                    replacement: text("UpdateReplacePolicy"),
                };
                assert!(all.insert(address.clone(), read).is_none());
            }
        }
        all
    }

    /// The stacks that each stack comes after.
    pub(crate) fn stack_needs(&self) -> BTreeMap<String, BTreeSet<String>> {
        let stacks = self.root["Resources"].as_object().unwrap();
        stacks
            .iter()
            .map(|(id, stack)| {
                let mut needs: BTreeSet<String> = entries(&stack["DependsOn"])
                    .map(|id| id.as_str().unwrap().to_owned())
                    .collect();
                mentioned(&stack["Properties"], &mut |id| {
                    if stacks.contains_key(id) {
                        needs.insert(id.to_owned());
                    }
                });
                (id.clone(), needs)
            })
            .collect()
    }

    /// A value of a template, as the graph would have it.
    fn value(&self, stack: &str, json: &Json) -> Value {
        match json {
            Json::Null => panic!("templates have no null"),
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(stack, item)).collect())
            }
            Json::Object(object) => {
                let only = object.iter().next().filter(|_| object.len() == 1);
                match only {
                    Some((name, with)) if name == "Ref" || name.starts_with("Fn::") => {
                        self.intrinsic(stack, name, with)
                    }
                    _ => Value::object(
                        object
                            .iter()
                            .map(|(name, value)| (name.as_str(), self.value(stack, value))),
                    ),
                }
            }
        }
    }

    fn intrinsic(&self, stack: &str, name: &str, with: &Json) -> Value {
        match name {
            "Ref" => self.reference(stack, with.as_str().unwrap()),
            "Fn::GetAtt" => {
                self.attribute(stack, with[0].as_str().unwrap(), with[1].as_str().unwrap())
            }
            "Fn::Select" => {
                let split = &with[1]["Fn::Split"];
                Value::Split {
                    of: Box::new(self.value(stack, &split[1])),
                    separator: split[0].as_str().unwrap().to_owned(),
                    index: usize::try_from(with[0].as_u64().unwrap()).unwrap(),
                }
            }
            "Fn::Sub" => match with {
                Json::String(text) => self.substituted(stack, text, &Json::Null),
                with => self.substituted(stack, with[0].as_str().unwrap(), &with[1]),
            },
            other => panic!("{other} is not expected in a property"),
        }
    }

    /// `Ref` of a pseudo parameter, a parameter or a resource.
    fn reference(&self, stack: &str, name: &str) -> Value {
        if name == "AWS::AccountId" {
            return Value::Parameter(Parameter::AccountId);
        }
        let template = self.stacks.get(stack).unwrap_or(&self.root);
        if template["Parameters"].get(name).is_none() {
            let address = self.ids[name];
            return self.attribute_of(address, None);
        }
        let Some(root) = self.root["Resources"].get(stack) else {
            return self.root_parameter(name);
        };
        let given = &root["Properties"]["Parameters"][name];
        match (&given["Ref"], &given["Fn::GetAtt"]) {
            (Json::String(parameter), Json::Null) => self.root_parameter(parameter),
            (Json::Null, output) => {
                let other = output[0].as_str().unwrap();
                let output = output[1].as_str().unwrap();
                let output = output.strip_prefix("Outputs.").unwrap();
                self.value(other, &self.stacks[other]["Outputs"][output]["Value"])
            }
            other => panic!("{name} of {stack} is given {other:?}"),
        }
    }

    /// A parameter of the root: the deployer, or an attribute of somebody else's resource.
    fn root_parameter(&self, name: &str) -> Value {
        assert!(self.root["Parameters"].get(name).is_some(), "{name}");
        if name == "DeployerArn" {
            return Value::Parameter(Parameter::Deployer);
        }
        let (id, address) = self
            .ids
            .iter()
            .filter(|(id, address)| existing(self.graph, address) && name.starts_with(*id))
            .max_by_key(|(id, _)| id.len())
            .unwrap();
        self.attribute_of(address, Some(&name[id.len()..]))
    }

    fn attribute(&self, stack: &str, id: &str, attribute: &str) -> Value {
        assert!(self.stacks[stack]["Resources"].get(id).is_some());
        self.attribute_of(self.ids[id], Some(attribute))
    }

    /// An attribute of a resource; without one, its only identifying property.
    fn attribute_of(&self, address: &Address, attribute: Option<&str>) -> Value {
        let resource = self.graph.get(address).unwrap();
        let schema = catalog::schema(&resource.type_name).unwrap();
        let path = match (attribute, schema.primary_identifier()) {
            (Some(attribute), _) => PropertyPath::from_segments(attribute.split('.')),
            (None, [only]) => only.clone(),
            (None, _) => panic!("Ref of {address}, which has several identifiers"),
        };
        assert!(schema.property(&path).is_some(), "{address}.{path}");
        Value::Attribute(Reference {
            to: address.clone(),
            attribute: Attribute::Property(path),
        })
    }

    /// The text of `Fn::Sub`.
    fn substituted(&self, stack: &str, text: &str, variables: &Json) -> Value {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            parts.push(Value::from(&rest[..at]));
            let (name, after) = rest[at + 2..].split_once('}').unwrap();
            rest = after;
            parts.push(match (name.strip_prefix('!'), name.split_once('.')) {
                (Some(literal), _) => Value::from(format!("${{{literal}}}")),
                (None, _) if variables.get(name).is_some() => self.value(stack, &variables[name]),
                (None, Some((id, attribute))) => self.attribute(stack, id, attribute),
                (None, None) => self.reference(stack, name),
            });
        }
        parts.push(Value::from(rest));
        parts.retain(|part| *part != Value::from(""));
        secret(Value::join(parts))
    }
}

/// A dynamic reference to a secret.
fn secret(value: Value) -> Value {
    let Value::Join(parts) = &value else {
        return value;
    };
    if let [
        Value::String(before),
        Value::Attribute(secret),
        Value::String(after),
    ] = &parts[..]
        && before == "{{resolve:secretsmanager:"
    {
        let key = after
            .strip_prefix(":SecretString")
            .and_then(|it| it.strip_suffix("}}"))
            .unwrap();
        return Value::Secret(SecretReference {
            secret: secret.to.clone(),
            key: key.strip_prefix(':').map(str::to_owned),
        });
    }
    value
}

pub(crate) fn existing(graph: &Graph, address: &Address) -> bool {
    let resource: &Resource = graph.get(address).unwrap();
    matches!(resource.lifecycle, Lifecycle::Existing(_))
}

fn entries(list: &Json) -> impl Iterator<Item = &Json> {
    list.as_array().into_iter().flatten()
}

/// Calls `visit` with each name that an intrinsic mentions.
fn mentioned(json: &Json, visit: &mut dyn FnMut(&str)) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| mentioned(item, visit)),
        Json::Object(object) => {
            for (name, with) in object {
                match (name.as_str(), with) {
                    ("Ref", Json::String(id)) => visit(id),
                    ("Fn::GetAtt", with) => visit(with[0].as_str().unwrap()),
                    ("Fn::Sub", with) => {
                        let text = with.as_str().or_else(|| with[0].as_str()).unwrap();
                        for piece in text.split("${").skip(1) {
                            let name = piece.split('}').next().unwrap();
                            visit(name.split('.').next().unwrap());
                        }
                        mentioned(&with[1], visit);
                    }
                    _ => mentioned(with, visit),
                }
            }
        }
        _ => {}
    }
}
