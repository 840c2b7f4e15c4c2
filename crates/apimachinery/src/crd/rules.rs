//! Rules in CEL (`x-kubernetes-validations`).
//!
//! The interpreter is the `cel` crate with its extensions for texts and lists, and the functions of Kubernetes' own libraries
//! that are added here. What Kubernetes has beyond that (quantities, URLs, IP addresses and CIDRs as values, named formats,
//! durations and times, `optionalOldSelf`) is not evaluated: such a rule holds. There is no cost limit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use cel::extractors::This;
use cel::objects::{Key, Map as CelMap};
use cel::{Context, Env, ExecutionError, Program, Value};
use regex::Regex;
use serde_json::Value as Json;

use super::check::kind_of;
use crate::schema::{ListKind, Node, Shape, Type};
use crate::status::Cause;
use crate::validation::cause::{below, of_reason};

const RULES: &str = "x-kubernetes-validations";

/// Functions of Kubernetes' libraries that are not here. Calls of them are not evaluated.
const MISSING: &[&str] = &[
    "quantity",
    "isQuantity",
    "url",
    "isURL",
    "ip",
    "isIP",
    "cidr",
    "isCIDR",
    "duration",
    "timestamp",
    "getDate",
    "getHours",
    "semver",
    "isSemver",
    "named",
    "validate",
    "format",
];

/// Evaluates the rules of a type and of all that it holds.
pub(super) fn evaluate(
    schema: &Type,
    value: &Json,
    old: Option<&Json>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if value.is_null() || schema.name().is_some() {
        return;
    }
    let node = schema.node();
    let rules = node
        .rules
        .as_deref()
        .and_then(|rules| rules[RULES].as_array());
    if let Some(rules) = rules {
        of_value(rules, schema, &node, value, old, path, causes);
    }
    match (&node.shape, value) {
        (Shape::Struct { fields, .. }, Json::Object(map)) => {
            for (name, value) in map {
                if let Some(field) = fields.get(name.as_str()) {
                    let old = old.and_then(|old| old.get(name));
                    evaluate(&field.value, value, old, &below(path, name), causes);
                }
            }
        }
        (Shape::Map { values, .. }, Json::Object(map)) => {
            for (name, value) in map {
                let old = old.and_then(|old| old.get(name));
                evaluate(values, value, old, &format!("{path}[{name}]"), causes);
            }
        }
        (Shape::List { items, kind }, Json::Array(list)) => {
            for (index, value) in list.iter().enumerate() {
                let old = old.and_then(|old| same_element(kind, old, value));
                evaluate(items, value, old, &format!("{path}[{index}]"), causes);
            }
        }
        _ => {}
    }
}

/// The element of the old list that has the same keys: only such lists tell which element became which.
fn same_element<'a>(kind: &ListKind, old: &'a Json, value: &Json) -> Option<&'a Json> {
    let ListKind::Map(keys) = kind else {
        return None;
    };
    old.as_array()?
        .iter()
        .find(|old| keys.iter().all(|key| old[&**key] == value[&**key]))
}

fn of_value(
    rules: &[Json],
    schema: &Type,
    node: &Node,
    value: &Json,
    old: Option<&Json>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let mut context = context();
    context.add_variable_from_value("self", to_cel(schema, value));
    if let Some(old) = old {
        context.add_variable_from_value("oldSelf", to_cel(schema, old));
    }
    for rule in rules {
        let Some(text) = rule["rule"].as_str() else {
            continue;
        };
        if rule["optionalOldSelf"] == true {
            continue;
        }
        let Some(program) = program(text) else {
            continue;
        };
        if old.is_none() && program.references().has_variable("oldSelf") {
            continue;
        }
        let why = match program.execute(&context) {
            Ok(Value::Bool(false)) => message(rule, text, &context),
            Err(ExecutionError::NoSuchKey(key)) => {
                format!(
                    "no such key: {key} evaluating rule: {}",
                    message(rule, text, &context)
                )
            }
            Ok(_) | Err(_) => continue,
        };
        let at = match rule["fieldPath"].as_str() {
            Some(field) => below(path, field.trim_start_matches('.')),
            None => path.to_owned(),
        };
        let at = if at.is_empty() { "<nil>" } else { &at };
        let reason = rule["reason"].as_str().unwrap_or("FieldValueInvalid");
        causes.push(of_reason(reason, at, &kind_of(node).into(), &why));
    }
}

fn message(rule: &Json, text: &str, context: &Context<'_, '_>) -> String {
    let expression = rule["messageExpression"].as_str().and_then(program);
    if let Some(program) = expression
        && let Ok(Value::String(told)) = program.execute(context)
        && !told.trim().is_empty()
    {
        return told.to_string();
    }
    match rule["message"].as_str() {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => format!("failed rule: {}", text.trim()),
    }
}

/// The rules of a definition that are not evaluated: the version, and the rule's text.
#[must_use]
pub fn unevaluated(definition: &Json) -> Vec<(String, String)> {
    fn walk(schema: &Json, found: &mut Vec<String>) {
        match schema {
            Json::Object(map) => {
                for (name, inner) in map {
                    match inner {
                        Json::Array(rules) if name == RULES => {
                            let missed = rules.iter().filter(|rule| !is_evaluated(rule));
                            found.extend(
                                missed.filter_map(|rule| rule["rule"].as_str().map(str::to_owned)),
                            );
                        }
                        inner => walk(inner, found),
                    }
                }
            }
            Json::Array(list) => list.iter().for_each(|inner| walk(inner, found)),
            _ => {}
        }
    }
    super::versions(definition)
        .flat_map(|version| {
            let mut found = Vec::new();
            walk(&version["schema"]["openAPIV3Schema"], &mut found);
            let name = version["name"].as_str().unwrap_or_default();
            found.into_iter().map(move |rule| (name.to_owned(), rule))
        })
        .collect()
}

fn is_evaluated(rule: &Json) -> bool {
    let Some(text) = rule["rule"].as_str() else {
        return true;
    };
    let Some(program) = program(text) else {
        return false;
    };
    let references = program.references();
    rule["optionalOldSelf"] != true
        && !MISSING
            .iter()
            .any(|function| references.has_function(function))
}

/// A compiled rule; nothing if it cannot be compiled.
fn program(text: &str) -> Option<Arc<Program>> {
    static KNOWN: OnceLock<Mutex<HashMap<String, Option<Arc<Program>>>>> = OnceLock::new();
    /// Rules come with definitions, which users make as they like.
    const MOST: usize = 2000;
    let known = KNOWN.get_or_init(Mutex::default);
    let lock = || known.lock().unwrap_or_else(|broken| broken.into_inner());
    if let Some(program) = lock().get(text) {
        return program.clone();
    }
    let program = environment().compile(text).ok().map(Arc::new);
    let mut known = lock();
    if known.len() >= MOST {
        known.clear();
    }
    known.insert(text.to_owned(), program.clone());
    program
}

fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Env::stdlib();
        // Neither can conflict with the standard library, which they are made to go with.
        let _ = cel::extensions::strings(&mut env);
        let _ = cel::extensions::lists(&mut env);
        Arc::new(env)
    })
}

type Texts = Arc<Vec<Value>>;

/// With the functions of Kubernetes' libraries that rules use most.
fn context() -> Context<'static, 'static> {
    let mut context = Context::with_env(environment().clone());
    let find = |This(text): This<Arc<String>>, pattern: Arc<String>| -> String {
        Regex::new(&pattern)
            .ok()
            .and_then(|pattern| pattern.find(&text).map(|found| found.as_str().to_owned()))
            .unwrap_or_default()
    };
    let find_all = |This(text): This<Arc<String>>, pattern: Arc<String>| -> Texts {
        let found = Regex::new(&pattern).ok().map(|pattern| {
            let found = pattern.find_iter(&text);
            found
                .map(|one| Value::String(Arc::new(one.as_str().to_owned())))
                .collect()
        });
        Arc::new(found.unwrap_or_default())
    };
    let is_sorted = |This(list): This<Texts>| -> bool {
        list.windows(2)
            .all(|pair| pair[0].partial_cmp(&pair[1]).is_some_and(|it| it.is_le()))
    };
    let sum = |This(list): This<Texts>| -> Result<Value, ExecutionError> {
        list.iter()
            .try_fold(Value::Int(0), |sum, one| match (&sum, one) {
                (Value::Int(0), Value::Float(_)) => Ok(one.clone()),
                (Value::Int(a), Value::Int(b)) => a
                    .checked_add(*b)
                    .map(Value::Int)
                    .ok_or_else(|| ExecutionError::Overflow("sum", sum.clone(), one.clone())),
                (Value::Float(a), Value::Float(b)) => Ok(Value::Float(a + b)),
                _ => Err(ExecutionError::function_error("sum", "no numbers")),
            })
    };
    // A name that the environment has already keeps the environment's meaning.
    let _ = context.add_function("find", find);
    let _ = context.add_function("findAll", find_all);
    let _ = context.add_function("isSorted", is_sorted);
    let _ = context.add_function("sum", sum);
    context
}

/// A value as rules see it: numbers by their schema, properties under escaped names.
fn to_cel(schema: &Type, value: &Json) -> Value {
    let node = schema.node();
    match value {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(number) => match (&node.shape, number.as_i64()) {
            (Shape::Number, _) | (_, None) => Value::Float(number.as_f64().unwrap_or_default()),
            (_, Some(whole)) => Value::Int(whole),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(list) => {
            let items = match &node.shape {
                Shape::List { items, .. } => items.clone(),
                _ => Type::any(),
            };
            Value::List(Arc::new(
                list.iter().map(|item| to_cel(&items, item)).collect(),
            ))
        }
        Json::Object(map) => {
            let properties = matches!(node.shape, Shape::Struct { .. });
            let any = Type::any();
            let entries = map.iter().map(|(name, value)| {
                let schema = node.field(name).unwrap_or_else(|| any.clone());
                let name = if properties {
                    escaped(name)
                } else {
                    name.clone()
                };
                (Key::String(Arc::new(name)), to_cel(&schema, value))
            });
            Value::Map(CelMap {
                map: Arc::new(entries.collect()),
            })
        }
    }
}

/// CEL's own words, which properties may not have as their names in rules.
const WORDS: [&str; 19] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
];

/// The name by which rules call a property: `x__dash__y` of `x-y`.
fn escaped(name: &str) -> String {
    if WORDS.contains(&name) || matches!(name, "void" | "while") {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    let replaced: BTreeMap<char, &str> =
        BTreeMap::from([('.', "__dot__"), ('-', "__dash__"), ('/', "__slash__")]);
    let mut escaped = String::new();
    for letter in name.replace("__", "\0").chars() {
        match replaced.get(&letter) {
            _ if letter == '\0' => escaped.push_str("__underscores__"),
            Some(word) => escaped.push_str(word),
            None => escaped.push(letter),
        }
    }
    escaped
}
