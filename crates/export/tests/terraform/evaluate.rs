//! A small Terraform: evaluates an environment's modules with what its Terragrunt folder gives them.

use std::collections::{BTreeMap, BTreeSet};

use export::{Files, Module};
use graph::{Graph, Lifecycle, Resource};
use hcl::eval::{Context, Evaluate, FuncArgs, FuncDef, ParamType};
use hcl::structure::{Body, Structure};
use hcl::{Map, Value};
use serde_json::{Value as Json, json};

use crate::expected::{self, ACCOUNT, DEPLOYER, marker};

/// A resource as it came out.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub(crate) module: String,
    pub(crate) resource: String,
    pub(crate) label: String,
    pub(crate) body: Json,
}

fn parse(files: &Files, path: &str) -> Body {
    let file = files
        .get(path)
        .unwrap_or_else(|| panic!("there is no {path}"));
    hcl::parse(&file.text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json_of(value: &Value) -> Json {
    serde_json::to_value(value).unwrap()
}

fn value_of(json: &Json) -> Value {
    hcl::to_value(json).unwrap()
}

fn functions(context: &mut Context<'_>) {
    let any = |function: hcl::eval::Func| {
        FuncDef::builder()
            .variadic_param(ParamType::Any)
            .build(function)
    };
    context.declare_func(
        "jsonencode",
        any(|args: FuncArgs| Ok(Value::from(json_of(&args[0]).to_string()))),
    );
    context.declare_func(
        "merge",
        any(|args: FuncArgs| {
            let mut out: BTreeMap<String, Value> = BTreeMap::new();
            for arg in args.iter() {
                for (key, value) in arg.as_object().ok_or("merge takes objects")? {
                    out.insert(key.clone(), value.clone());
                }
            }
            Ok(Value::Object(out.into_iter().collect()))
        }),
    );
    context.declare_func(
        "concat",
        any(|args: FuncArgs| {
            let mut out = Vec::new();
            for arg in args.iter() {
                out.extend(arg.as_array().ok_or("concat takes lists")?.iter().cloned());
            }
            Ok(Value::Array(out))
        }),
    );
    context.declare_func(
        "split",
        any(|args: FuncArgs| {
            let (separator, text) = (
                args[0].as_str().ok_or("a text")?,
                args[1].as_str().ok_or("a text")?,
            );
            Ok(text
                .split(separator)
                .map(Value::from)
                .collect::<Vec<_>>()
                .into())
        }),
    );
    context.declare_func(
        "coalesce",
        any(|args: FuncArgs| {
            args.iter()
                .find(|arg| !arg.is_null())
                .cloned()
                .ok_or("nothing to coalesce".to_owned())
        }),
    );
    context.declare_func(
        "one",
        any(
            |args: FuncArgs| match args[0].as_array().map(Vec::as_slice) {
                Some([]) => Ok(Value::Null),
                Some([one]) => Ok(one.clone()),
                _ => Err("not one".to_owned()),
            },
        ),
    );
    context.declare_func(
        "tostring",
        any(|args: FuncArgs| {
            Ok(match &args[0] {
                Value::Number(number) => Value::from(number.to_string()),
                other => other.clone(),
            })
        }),
    );
    context.declare_func(
        "compact",
        any(|args: FuncArgs| {
            let list = args[0].as_array().ok_or("a list")?;
            Ok(list
                .iter()
                .filter(|item| item.as_str() != Some(""))
                .cloned()
                .collect::<Vec<_>>()
                .into())
        }),
    );
    context.declare_func(
        "length",
        any(|args: FuncArgs| {
            Ok(match &args[0] {
                Value::String(text) => Value::from(text.chars().count()),
                Value::Array(items) => Value::from(items.len()),
                _ => return Err("no length".to_owned()),
            })
        }),
    );
    context.declare_func(
        "contains",
        any(|args: FuncArgs| {
            Ok(Value::from(
                args[0].as_array().ok_or("a list")?.contains(&args[1]),
            ))
        }),
    );
    context.declare_func(
        "alltrue",
        any(|args: FuncArgs| {
            Ok(Value::from(
                args[0]
                    .as_array()
                    .ok_or("a list")?
                    .iter()
                    .all(|item| *item == Value::Bool(true)),
            ))
        }),
    );
    // What would be an error is `false`, for `can` to see.
    context.declare_func(
        "can",
        any(|args: FuncArgs| Ok(Value::from(args[0] != Value::Bool(false)))),
    );
    context.declare_func(
        "regex",
        any(|args: FuncArgs| {
            let pattern = regex::Regex::new(args[0].as_str().ok_or("a text")?)
                .map_err(|error| error.to_string())?;
            Ok(Value::from(
                args[1].as_str().is_some_and(|text| pattern.is_match(text)),
            ))
        }),
    );
    context.declare_func(
        "cidrhost",
        any(|args: FuncArgs| {
            let range = args[0]
                .as_str()
                .and_then(|text| text.parse::<ipnet::Ipv4Net>().ok());
            Ok(range.map_or(Value::Bool(false), |range| {
                Value::from(range.network().to_string())
            }))
        }),
    );
    context.declare_func(
        "cidrsubnet",
        any(|args: FuncArgs| {
            let range: ipnet::Ipv4Net = args[0]
                .as_str()
                .ok_or("a text")?
                .parse()
                .map_err(|_| "no range")?;
            let bits = args[1]
                .as_number()
                .and_then(hcl::Number::as_u64)
                .ok_or("bits")?;
            let number = args[2]
                .as_number()
                .and_then(hcl::Number::as_u64)
                .ok_or("a number")?;
            let length = range.prefix_len() + u8::try_from(bits).map_err(|_| "too long")?;
            let subnet = range
                .subnets(length)
                .map_err(|error| error.to_string())?
                .nth(usize::try_from(number).map_err(|_| "too many")?)
                .ok_or("outside of the range")?;
            Ok(Value::from(subnet.to_string()))
        }),
    );
    context.declare_func(
        "find_in_parent_folders",
        any(|args: FuncArgs| Ok(args[0].clone())),
    );
    context.declare_func(
        "get_aws_account_id",
        any(|_: FuncArgs| Ok(Value::from(ACCOUNT))),
    );
    context.declare_func(
        "path_relative_to_include",
        any(|_: FuncArgs| Ok(Value::from("environments/x/module"))),
    );
}

fn evaluate(expression: &hcl::Expression, context: &Context<'_>, place: &str) -> Value {
    expression
        .evaluate(context)
        .unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// A body's arguments and blocks; each kind of block is a list.
fn body_json(body: &Body, context: &Context<'_>, place: &str) -> Json {
    let mut out = serde_json::Map::new();
    for structure in body.iter() {
        match structure {
            Structure::Attribute(attribute) => {
                let place = format!("{place}.{}", attribute.key());
                out.insert(
                    attribute.key().to_owned(),
                    json_of(&evaluate(attribute.expr(), context, &place)),
                );
            }
            Structure::Block(block) if block.identifier() == "dynamic" => {
                let times = block
                    .body()
                    .attributes()
                    .find(|attribute| attribute.key() == "for_each")
                    .unwrap();
                let times = evaluate(times.expr(), context, place);
                let content = block.body().blocks().next().unwrap();
                for _ in times.as_array().unwrap() {
                    let list = out
                        .entry(block.labels()[0].as_str())
                        .or_insert_with(|| json!([]));
                    list.as_array_mut()
                        .unwrap()
                        .push(body_json(content.body(), context, place));
                }
            }
            Structure::Block(block) => {
                let inner = body_json(block.body(), context, place);
                let list = out.entry(block.identifier()).or_insert_with(|| json!([]));
                list.as_array_mut().unwrap().push(inner);
            }
        }
    }
    out.into()
}

/// The label that a resource must have.
pub(crate) fn label(module: Module, resource: &Resource) -> String {
    let address = resource.address.as_str();
    let parts: Vec<&str> = address.splitn(2, '/').collect();
    let rest = if parts[0] == module.name() || parts[0] == parts[1] {
        parts[1]
    } else {
        address
    };
    rest.replace(['/', '-', '.'], "_")
}

/// The type that a resource has in Terraform.
pub(crate) fn terraform_type(graph: &Graph, resource: &Resource) -> String {
    let properties = expected::properties(graph, resource);
    let secret = properties.to_string().contains("{{resolve:");
    let existing = matches!(resource.lifecycle, Lifecycle::Existing(_));
    match expected::aws(
        resource.type_name.as_str(),
        &if existing { json!({}) } else { properties },
    ) {
        _ if secret => "aws_cloudformation_stack".to_owned(),
        Some((name, _)) => name.to_owned(),
        None => expected::awscc_type(resource.type_name.as_str()),
    }
}

/// The attributes that AWS gives to a resource, as the provider calls them.
fn attributes(resource: &Resource, terraform: &str, template: Option<&Json>) -> Value {
    let type_name = resource.type_name.as_str();
    let mut out = Map::new();
    if let Some(template) = template {
        let mut outputs = Map::new();
        for (name, output) in template["Outputs"].as_object().into_iter().flatten() {
            let property = match output["Value"]["Fn::GetAtt"].as_array() {
                Some(path) => path[1].as_str().unwrap().to_owned(),
                None => "Id".to_owned(),
            };
            outputs.insert(
                name.clone(),
                Value::from(marker(&resource.address, &property)),
            );
        }
        out.insert("outputs".to_owned(), Value::Object(outputs));
    } else if terraform.starts_with("awscc_") {
        let schema = catalog::schema(&resource.type_name).unwrap();
        for property in schema.document()["properties"].as_object().unwrap().keys() {
            out.insert(
                expected::root(type_name, property),
                Value::from(marker(&resource.address, property)),
            );
        }
    } else {
        for (name, property) in [("arn", "Arn"), ("id", "Id"), ("name", "Name")] {
            out.insert(
                name.to_owned(),
                Value::from(marker(&resource.address, property)),
            );
        }
    }
    Value::Object(out)
}

/// Evaluates a scope: its resources, and the outputs of its modules.
pub(crate) fn scope(files: &Files, graph: &Graph, shared: bool) -> Vec<Evaluated> {
    let environment = graph.scope().environment.to_string();
    let modules = export::modules(graph);
    let used: BTreeSet<Module> = modules.values().copied().collect();
    let mut dependency: Map<String, Value> = Map::new();
    let mut out = Vec::new();
    for module in Module::ALL
        .into_iter()
        .filter(|module| used.contains(module))
    {
        let inputs = inputs(files, &environment, module, &dependency, shared);
        let folder = format!("modules/{module}");
        let mut context = Context::new();
        functions(&mut context);
        let values = variables(files, &folder, &inputs, &mut context, &environment);
        context.declare_var("var", Value::Object(values));
        let main = parse(files, &format!("{folder}/main.tf"));
        context.declare_var("data", data(graph.scope().region.as_str()));
        if let Some(locals) = main.blocks().find(|block| block.identifier() == "locals") {
            let locals = body_json(locals.body(), &context, &folder);
            context.declare_var("local", value_of(&locals));
        }
        let before = out.len();
        resources(
            graph,
            module,
            &modules,
            &main,
            &mut context,
            &folder,
            &mut out,
        );
        assert!(out.len() >= before);
        let mut outputs = Map::new();
        for block in parse(files, &format!("{folder}/outputs.tf")).blocks() {
            let name = block.labels()[0].as_str().to_owned();
            let value = block
                .body()
                .attributes()
                .find(|attribute| attribute.key() == "value")
                .unwrap();
            outputs.insert(
                name.clone(),
                evaluate(value.expr(), &context, &format!("{folder}: {name}")),
            );
        }
        let mut known = Map::new();
        known.insert("outputs".to_owned(), Value::Object(outputs));
        dependency.insert(module.name().to_owned(), Value::Object(known));
    }
    out
}

fn data(region: &str) -> Value {
    let partition = catalog::regions::partition(region);
    value_of(&json!({
        "aws_partition": { "current": { "partition": partition } },
        "aws_caller_identity": { "current": { "account_id": ACCOUNT, "arn": "arn:aws:sts::111122223333:assumed-role/deployer/me" } },
        "aws_iam_session_context": { "current": { "issuer_arn": DEPLOYER } },
    }))
}

/// What a scope's Terragrunt folder gives to a module.
fn inputs(
    files: &Files,
    environment: &str,
    module: Module,
    dependency: &Map<String, Value>,
    shared: bool,
) -> Map<String, Value> {
    let mut context = Context::new();
    functions(&mut context);
    let path = if shared {
        format!("terragrunt/{environment}/terragrunt.hcl")
    } else {
        let locals = parse(
            files,
            &format!("terragrunt/environments/{environment}/env.hcl"),
        );
        let locals = locals.blocks().next().unwrap().body().clone();
        let env = body_json(&locals, &context, environment);
        let root = parse(files, "terragrunt/root.hcl");
        let platform = root
            .blocks()
            .find(|block| block.identifier() == "locals")
            .and_then(|block| {
                block
                    .body()
                    .attributes()
                    .find(|attribute| attribute.key() == "platform")
            })
            .unwrap();
        let platform = json_of(&evaluate(platform.expr(), &context, "root.hcl"));
        let root = json!({ "root": { "locals": { "platform": platform, "env": env } } });
        context.declare_var("include", value_of(&root));
        context.declare_var("dependency", Value::Object(dependency.clone()));
        format!("terragrunt/environments/{environment}/{module}/terragrunt.hcl")
    };
    let body = parse(files, &path);
    if let Some(locals) = body.blocks().find(|block| block.identifier() == "locals") {
        let locals = body_json(locals.body(), &context, &path);
        context.declare_var("local", value_of(&locals));
    }
    let inputs = body
        .attributes()
        .find(|attribute| attribute.key() == "inputs")
        .unwrap();
    match evaluate(inputs.expr(), &context, &path) {
        Value::Object(object) => object,
        _ => panic!("{path}: inputs are no object"),
    }
}

/// A module's variables with their values: none unknown, none missing, each of its type and valid.
fn variables(
    files: &Files,
    folder: &str,
    inputs: &Map<String, Value>,
    context: &mut Context<'_>,
    environment: &str,
) -> Map<String, Value> {
    let body = parse(files, &format!("{folder}/variables.tf"));
    let mut values = Map::new();
    for block in body.blocks() {
        let name = block.labels()[0].as_str();
        let attribute = |key: &str| {
            block
                .body()
                .attributes()
                .find(|attribute| attribute.key() == key)
        };
        let value = match (inputs.get(name), attribute("default")) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => evaluate(default.expr(), context, name),
            (None, None) => panic!("{environment}: {folder} is not given {name}"),
        };
        let kind = attribute("type").unwrap().expr().to_string();
        let is = |value: &Value, kind: &str| match kind {
            "bool" => value.is_boolean(),
            "number" => value.is_number(),
            _ => value.is_string(),
        };
        let fits = match kind.strip_prefix("list(").or(kind.strip_prefix("map(")) {
            Some(inner) => {
                let inner = inner.trim_end_matches(')');
                match &value {
                    Value::Array(items) => {
                        kind.starts_with("list") && items.iter().all(|item| is(item, inner))
                    }
                    Value::Object(entries) => {
                        kind.starts_with("map") && entries.values().all(|item| is(item, inner))
                    }
                    _ => false,
                }
            }
            None => is(&value, &kind),
        };
        let optional =
            attribute("default").is_some_and(|default| default.expr() == &hcl::Expression::Null);
        assert!(
            fits || optional && value.is_null(),
            "{environment}: {folder}: {name} = {value} is no {kind}"
        );
        values.insert(name.to_owned(), value);
    }
    for name in inputs.keys() {
        assert!(
            values.contains_key(name),
            "{environment}: {folder} has no variable {name}"
        );
    }
    context.declare_var("var", Value::Object(values.clone()));
    for block in body.blocks() {
        for validation in block.body().blocks() {
            let condition = validation
                .body()
                .attributes()
                .find(|attribute| attribute.key() == "condition")
                .unwrap();
            let name = block.labels()[0].as_str();
            let holds = evaluate(condition.expr(), context, name);
            assert_eq!(
                holds,
                Value::Bool(true),
                "{environment}: {folder}: {name} = {}",
                values[name]
            );
        }
    }
    values
}

/// Evaluates a module's resource blocks.
fn resources(
    graph: &Graph,
    module: Module,
    modules: &BTreeMap<catalog::ids::Address, Module>,
    main: &Body,
    context: &mut Context<'_>,
    folder: &str,
    out: &mut Vec<Evaluated>,
) {
    // What AWS gives to each resource of the module; a stack's outputs stand in its own template.
    let mut given: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut existing: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut later = Vec::new();
    let blocks: Vec<_> = main
        .blocks()
        .filter(|block| block.identifier() == "resource")
        .collect();
    for resource in graph
        .resources()
        .filter(|resource| modules[&resource.address] == module)
    {
        let kind = terraform_type(graph, resource);
        let mut name = label(module, resource);
        if matches!(resource.lifecycle, Lifecycle::Existing(_)) {
            let attributes = attributes(resource, &kind, None);
            let data = main.blocks().find(|block| {
                block.identifier() == "data"
                    && block.labels()[0].as_str() == kind
                    && block.labels()[1].as_str() == name
            });
            let counted = data.is_some_and(|block| {
                block
                    .body()
                    .attributes()
                    .any(|attribute| attribute.key() == "count")
            });
            let value = if counted {
                Value::Array(vec![attributes])
            } else {
                attributes
            };
            existing.entry(kind).or_default().insert(name, value);
            continue;
        }
        let is_called = |name: &str| {
            blocks.iter().any(|block| {
                block.labels()[0].as_str() == kind && block.labels()[1].as_str() == name
            })
        };
        if resource.lifecycle == Lifecycle::Retain && is_called(&format!("{name}_retained")) {
            name.push_str("_retained");
        }
        let block = blocks
            .iter()
            .find(|block| block.labels()[0].as_str() == kind && block.labels()[1].as_str() == name)
            .unwrap_or_else(|| panic!("{folder} has no {kind}.{name}"));
        if kind == "aws_cloudformation_stack" {
            later.push((resource, name, *block));
            continue;
        }
        let attributes = attributes(resource, &kind, None);
        let counted = block
            .body()
            .attributes()
            .any(|attribute| attribute.key() == "count");
        let value = if counted {
            Value::Array(vec![attributes])
        } else {
            attributes
        };
        given.entry(kind).or_default().insert(name, value);
    }
    // What is not there has no instances.
    for block in &blocks {
        let (kind, name) = (block.labels()[0].as_str(), block.labels()[1].as_str());
        given
            .entry(kind.to_owned())
            .or_default()
            .entry(name.to_owned())
            .or_insert_with(|| Value::Array(Vec::new()));
    }
    for (kind, labels) in &given {
        context.declare_var(kind.as_str(), Value::Object(labels.clone()));
    }
    let mut known = json_of(&data(graph.scope().region.as_str()));
    for (kind, labels) in existing {
        known[kind] = json_of(&Value::Object(labels));
    }
    context.declare_var("data", value_of(&known));
    for (resource, name, block) in later {
        let template = block
            .body()
            .attributes()
            .find(|attribute| attribute.key() == "template_body")
            .unwrap();
        let template = evaluate(template.expr(), context, &name);
        let template: Json = serde_json::from_str(template.as_str().unwrap()).unwrap();
        let attributes = attributes(resource, "aws_cloudformation_stack", Some(&template));
        let counted = block
            .body()
            .attributes()
            .any(|attribute| attribute.key() == "count");
        let value = if counted {
            Value::Array(vec![attributes])
        } else {
            attributes
        };
        given
            .entry("aws_cloudformation_stack".to_owned())
            .or_default()
            .insert(name, value);
    }
    for (kind, labels) in given {
        context.declare_var(kind, Value::Object(labels));
    }
    for block in blocks {
        let (kind, name) = (block.labels()[0].as_str(), block.labels()[1].as_str());
        let place = format!("{folder}: {kind}.{name}");
        let times = block
            .body()
            .attributes()
            .find(|attribute| attribute.key() == "count")
            .map_or(Value::from(1), |count| {
                evaluate(count.expr(), context, &place)
            });
        if times == Value::from(0) {
            continue;
        }
        let (mut body, mut plain) = (Body::default(), json!(null));
        for structure in block.body().iter() {
            match structure {
                Structure::Attribute(attribute) if attribute.key() == "count" => {}
                Structure::Attribute(attribute) if attribute.key() == "depends_on" => {
                    plain = json!(attribute.expr().to_string());
                }
                other => body.0.push(other.clone()),
            }
        }
        let mut body = body_json(&body, context, &place);
        body["$after"] = plain;
        body["$text"] = json!(hcl::to_string(&Body::from(vec![block.clone()])).unwrap());
        out.push(Evaluated {
            module: module.name().to_owned(),
            resource: kind.to_owned(),
            label: name.to_owned(),
            body,
        });
    }
}
