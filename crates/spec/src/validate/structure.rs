//! The form of a spec: keys, types, options, ranges and patterns, by its JSON Schema.
//!
//! What is wrong is reported and then mended or taken out, so that the checks of meaning run in the same pass and all
//! errors come at once. What was mended is remembered ([`Form::is_broken`]): nothing is said about it twice.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Fault};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::suggest::{self, Meant};
use crate::diagnostic::Diagnostic;
use crate::model::Spec;
use crate::schema;
use crate::source::Place;
use crate::tree::{Kind, Node};

type Path = Vec<String>;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    // No pattern of ours looks around, so that the engine without backtracking does.
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema::strict())
        .expect("the schema is generated, and a test compiles it")
});

/// How often what is mended is looked at again. A mended key may hold a wrong value, and that one a wrong key.
const ROUNDS: usize = 6;

/// Stands in for a required value that is wrong or missing, so that the rest can be checked. No platform is made with it.
fn stand_in(path: &[String]) -> Option<&'static str> {
    Some(
        match path
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["apiVersion"] => "seaworthy.dev/v1",
            ["platform"] => "platform",
            ["aws", "region"] => "us-east-1",
            ["network", "cidr"] => "10.0.0.0/16",
            _ => return None,
        },
    )
}

/// A spec of the right form, and what was wrong with it.
pub(super) struct Form {
    /// The tree, mended.
    pub(super) root: Node,
    /// The spec, when the tree could be mended.
    pub(super) spec: Option<Spec>,
    /// What was wrong.
    pub(super) diagnostics: Vec<Diagnostic>,
    broken: BTreeSet<Path>,
}

impl Form {
    /// Whether the value at the path, or one that it lies in, is not what was written.
    pub(super) fn is_broken(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|length| {
            self.broken.iter().any(|broken| {
                broken.len() == length && broken.iter().zip(path).all(|(a, b)| a == b)
            })
        })
    }

    fn place(&self, path: &[String]) -> Option<Place> {
        place(&self.root, path)
    }
}

/// Where the value at a path is; of a value that isn't there, where the nearest map is that it would lie in.
pub(super) fn place<S: AsRef<str>>(root: &Node, path: &[S]) -> Option<Place> {
    (1..=path.len())
        .rev()
        .find_map(|length| root.get(&path[..length]))
        .map(|node| node.place.clone())
}

/// A path as people write it: `network.existing.privateSubnetIds[0]`.
pub(super) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    let mut text = String::new();
    for segment in path.iter().map(AsRef::as_ref) {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            text.push_str(&format!("[{segment}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(segment);
        }
    }
    text
}

/// Checks the form of a merged spec without nulls.
pub(super) fn check(root: Node) -> Form {
    let mut form = Form {
        root,
        spec: None,
        diagnostics: Vec::new(),
        broken: BTreeSet::new(),
    };
    for _ in 0..ROUNDS {
        let value = form.root.to_json();
        let mut faults: Vec<_> = VALIDATOR
            .iter_errors(&value)
            .map(|fault| (segments(&fault), fault))
            .collect();
        if faults.is_empty() {
            break;
        }
        // Of several faults of one value the first by this order says it all.
        faults.sort_by_key(|(path, fault)| (path.clone(), priority(fault.kind())));
        // A key that was spelt wrong is renamed before it is missed.
        for (path, fault) in &faults {
            if let Fault::AdditionalProperties { unexpected } = fault.kind() {
                unexpected
                    .iter()
                    .for_each(|key| unknown_key(&mut form, path, key));
            }
        }
        // Everything is said of the tree as it is before anything in it is mended.
        let mut reported = BTreeSet::new();
        let mut repairs = Vec::new();
        for (path, fault) in &faults {
            match fault.kind() {
                Fault::AdditionalProperties { .. } => {}
                Fault::Required { property } => repairs.extend(missing(&mut form, path, property)),
                kind if reported.insert(path) => repairs.extend(wrong(&mut form, path, kind)),
                _ => {}
            }
        }
        for repair in repairs {
            repair.apply(&mut form);
        }
    }
    addresses(&mut form);
    // What else JSON Schema can't say would be found by reading the value into its type.
    for _ in 0..64 {
        match serde_path_to_error::deserialize::<_, Spec>(form.root.to_json()) {
            Ok(spec) => {
                form.spec = Some(spec);
                break;
            }
            Err(error) => {
                let path: Path = error
                    .path()
                    .iter()
                    .map(|segment| segment.to_string().trim_matches(['[', ']']).to_owned())
                    .collect();
                let given = form
                    .root
                    .get(&path)
                    .map(|node| node.place.text().to_owned())
                    .unwrap_or_default();
                let message = format!("`{}` cannot be `{given}`: {}", dotted(&path), error.inner());
                let place = form.place(&path);
                form.diagnostics
                    .push(Diagnostic::error("invalid-value", message).at(place));
                if form.root.get(&path).is_none() || !mend(&mut form, &path) {
                    break;
                }
            }
        }
    }
    form
}

/// Ranges of addresses that have the right form, and a part above 255 or a prefix above 32.
fn addresses(form: &mut Form) {
    let mut paths: Vec<Path> = vec![vec!["network".to_owned(), "cidr".to_owned()]];
    let public = ["cluster", "endpoint", "publicCidrs"].map(ToOwned::to_owned);
    if let Some(Node {
        kind: Kind::List(items),
        ..
    }) = form.root.get(&public)
    {
        paths.extend(
            (0..items.len())
                .map(|index| public.iter().cloned().chain([index.to_string()]).collect()),
        );
    }
    let wrong = |path: &Path| match form.root.get(path) {
        Some(Node {
            kind: Kind::Text(text),
            place,
        }) if text.parse::<ipnet::Ipv4Net>().is_err() => Some(
            Diagnostic::error(
                "wrong-form",
                format!("`{}` is `{text}`, which is no IPv4 range", dotted(path)),
            )
            .at(place.clone())
            .help("four numbers up to 255 and a prefix up to 32, as 10.0.0.0/16"),
        ),
        _ => None,
    };
    let wrong: Vec<_> = paths
        .iter()
        .filter_map(|path| Some((path, wrong(path)?)))
        .collect();
    for (path, diagnostic) in wrong {
        form.diagnostics.push(diagnostic);
        mend(form, path);
    }
}

fn segments(fault: &ValidationError<'_>) -> Path {
    fault
        .instance_path()
        .iter()
        .map(|segment| match segment {
            LocationSegment::Property(name) => name.into_owned(),
            LocationSegment::Index(index) => index.to_string(),
        })
        .collect()
}

fn priority(fault: &Fault) -> u8 {
    match fault {
        Fault::Type { .. } => 0,
        Fault::Enum { .. } | Fault::OneOfNotValid { .. } | Fault::OneOfMultipleValid { .. } => 1,
        Fault::MinLength { .. } | Fault::MaxLength { .. } => 2,
        _ => 3,
    }
}

/// What is done to a tree to go on with it.
enum Repair {
    /// The value goes, or something stands in for it.
    Mend(Path),
    /// The value is text that lacks its quotes.
    Quote(Path),
}

impl Repair {
    fn apply(self, form: &mut Form) {
        match self {
            Self::Mend(path) => drop(mend(form, &path)),
            Self::Quote(path) => {
                if let Some(node) = descend(&mut form.root, &path) {
                    node.kind = Kind::Text(node.place.text().to_owned());
                }
            }
        }
    }
}

/// Reports a required key that isn't there.
fn missing(form: &mut Form, path: &[String], key: &Value) -> Option<Repair> {
    let missing: Path = path
        .iter()
        .cloned()
        .chain(key.as_str().map(ToOwned::to_owned))
        .collect();
    if form.root.get(&missing).is_some() {
        return None;
    }
    if !form.broken.contains(&missing) && !form.broken.contains(path) {
        let message = format!("`{}` is missing", dotted(&missing));
        let place = form.place(path).unwrap_or_else(|| start(&form.root));
        let diagnostic = Diagnostic::error("missing-key", message).at(place);
        let description =
            schema::at(&missing).and_then(|schema| schema.get("description")?.as_str());
        form.diagnostics.push(match description {
            Some(description) => diagnostic.help(description),
            None => diagnostic,
        });
    }
    Some(Repair::Mend(missing))
}

/// Reports a value that is wrong.
fn wrong(form: &mut Form, path: &[String], fault: &Fault) -> Option<Repair> {
    let node = form.root.get(path)?;
    let diagnostic = wrong_value(path, node, fault).at(node.place.clone());
    let text = matches!(
        fault,
        Fault::Type {
            kind: TypeKind::Single(JsonType::String)
        }
    );
    let unquoted = text && matches!(node.kind, Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_));
    form.diagnostics.push(diagnostic);
    // What lacks its quotes alone is checked further: the text may be wrong as well.
    Some(if unquoted {
        Repair::Quote(path.to_vec())
    } else {
        Repair::Mend(path.to_vec())
    })
}

/// The first line, where what is missing at the top belongs.
fn start(root: &Node) -> Place {
    match &root.kind {
        Kind::Map(entries) => entries
            .first()
            .map_or_else(|| root.place.clone(), |entry| entry.place.clone()),
        _ => root.place.clone(),
    }
}

fn unknown_key(form: &mut Form, path: &[String], key: &str) {
    let Some(entry) = form.root.get(path).and_then(|node| node.entry(key)) else {
        return;
    };
    let (place, parent) = (entry.place.clone(), dotted(path));
    let within = if parent.is_empty() {
        String::new()
    } else {
        format!(" in `{parent}`")
    };
    let mut renamed = None;
    let diagnostic = if let Some(what) = suggest::not_built(&parent, key) {
        Diagnostic::error(
            "not-built-yet",
            format!("`{key}`{within} is not built yet: {what}"),
        )
        .help("remove it; it becomes a key when it works")
    } else {
        let diagnostic = Diagnostic::error("unknown-key", format!("unknown key `{key}`{within}"));
        match suggest::key(path, key) {
            Some(Meant::Spelling(meant)) => {
                let diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
                renamed = Some(meant);
                diagnostic
            }
            Some(Meant::Elsewhere(meant)) => diagnostic.help(format!("did you mean `{meant}`?")),
            None => diagnostic.help(format!("it has {}", options(schema::at(path)))),
        }
    };
    form.diagnostics.push(diagnostic.at(place));
    let node = if path.is_empty() {
        Some(&mut form.root)
    } else {
        descend(&mut form.root, path)
    };
    if let Some(Node {
        kind: Kind::Map(entries),
        ..
    }) = node
    {
        match renamed.filter(|meant| !entries.iter().any(|entry| entry.key == *meant)) {
            Some(meant) => {
                if let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) {
                    entry.key = meant;
                }
            }
            None => entries.retain(|entry| entry.key != key),
        }
    }
}

/// The keys of a map, for messages.
fn options(schema: Option<&Value>) -> String {
    let keys = schema
        .and_then(|schema| schema.get("properties"))
        .and_then(Value::as_object);
    either(
        keys.into_iter()
            .flatten()
            .map(|(key, _)| format!("`{key}`"))
            .collect(),
        "and",
    )
}

fn either(mut options: Vec<String>, word: &str) -> String {
    match (options.pop(), options.is_empty()) {
        (None, _) => "nothing".to_owned(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} {word} {last}", options.join(", ")),
    }
}

fn wrong_value(path: &[String], node: &Node, fault: &Fault) -> Diagnostic {
    let name = dotted(path);
    let schema = schema::at(path);
    let keyword = |keyword: &str| schema.and_then(|schema| schema.get(keyword));
    let given = match &node.kind {
        Kind::Text(text) => text.clone(),
        Kind::Map(_) | Kind::List(_) | Kind::Null => node.what().to_owned(),
        _ => node.place.text().to_owned(),
    };
    match fault {
        Fault::Type { .. } => wrong_type(
            &name,
            node,
            keyword("type").and_then(Value::as_str).unwrap_or_default(),
            &given,
        ),
        Fault::Enum { .. } | Fault::OneOfNotValid { .. } | Fault::OneOfMultipleValid { .. } => {
            let takes = takes(schema);
            if let Some(diagnostic) = known_mistake(path, &given) {
                return diagnostic;
            }
            let diagnostic = Diagnostic::error(
                "unknown-value",
                format!(
                    "`{name}` takes {}, not `{given}`",
                    either(
                        takes.iter().map(|option| format!("`{option}`")).collect(),
                        "or"
                    )
                ),
            );
            match nearest_number(&given, &takes)
                .or_else(|| suggest::nearest(&given, takes.iter().map(String::as_str)))
            {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                None => diagnostic,
            }
        }
        Fault::Minimum { .. } | Fault::Maximum { .. } => {
            let bound = |word: &str| keyword(word).map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "`{name}` is {given}; it takes {} to {}",
                bound("minimum"),
                bound("maximum")
            );
            Diagnostic::error("out-of-range", message)
        }
        Fault::MinLength { limit } => Diagnostic::error(
            "too-short",
            format!("`{name}` is `{given}`: it takes {limit} characters or more"),
        ),
        Fault::MaxLength { limit } => {
            let length = given.chars().count();
            Diagnostic::error(
                "too-long",
                format!("`{name}` has {length} characters; {limit} are the most"),
            )
        }
        Fault::MinItems { limit } => Diagnostic::error(
            "too-few",
            format!("`{name}` takes {limit} or more in its list"),
        ),
        Fault::MaxItems { limit } => Diagnostic::error(
            "too-many",
            format!("`{name}` takes {limit} at most in its list"),
        ),
        Fault::UniqueItems => {
            let mut seen = BTreeSet::new();
            let items = match &node.kind {
                Kind::List(items) => items.as_slice(),
                _ => &[],
            };
            let twice = items
                .iter()
                .map(|item| item.to_json().to_string())
                .find(|item| !seen.insert(item.clone()));
            Diagnostic::error(
                "duplicate-item",
                format!(
                    "`{name}` has {} twice",
                    twice.unwrap_or_default().replace('"', "`")
                ),
            )
        }
        Fault::Pattern { pattern } => {
            let expected = keyword("patternErrorMessage").and_then(Value::as_str);
            let expected =
                expected.map_or_else(|| format!("the form {pattern}"), ToOwned::to_owned);
            Diagnostic::error(
                "wrong-form",
                format!("`{name}` is `{given}`; expected {expected}"),
            )
        }
        _ => Diagnostic::error("invalid-value", format!("`{name}` cannot be `{given}`")),
    }
}

/// What an enumeration takes.
fn takes(schema: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    let list = |keyword: &str| {
        schema
            .and_then(|schema| schema.get(keyword))
            .and_then(Value::as_array)
    };
    if let Some(options) = list("enum") {
        return options.iter().map(text).collect();
    }
    let mut takes = Vec::new();
    for option in list("oneOf").into_iter().flatten() {
        if let Some(value) = option.get("const") {
            takes.push(text(value));
        } else if let Some(values) = option.get("enum").and_then(Value::as_array) {
            takes.extend(values.iter().map(text));
        } else if let Some(key) = option.pointer("/required/0").and_then(Value::as_str) {
            takes.push(format!("{key}: …"));
        }
    }
    takes
}

fn nearest_number<'a>(given: &str, options: &'a [String]) -> Option<&'a str> {
    let given: i64 = given.parse().ok()?;
    let distance = |option: &&String| {
        option
            .parse::<i64>()
            .map_or(u64::MAX, |option| option.abs_diff(given))
    };
    options
        .iter()
        .filter(|option| option.parse::<i64>().is_ok())
        .min_by_key(distance)
        .map(String::as_str)
}

/// Values that other documents name, and that can't be.
fn known_mistake(path: &[String], given: &str) -> Option<Diagnostic> {
    let plain: String = given
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_alphabetic)
        .collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["rabbitmq", "deploymentMode"] if plain.contains("active") && plain.contains("standby") => Some(
            Diagnostic::error("no-active-standby", "RabbitMQ on Amazon MQ has no active/standby deployment: that is ActiveMQ's alone")
                .help("write `cluster-multi-az` (three brokers in three availability zones) or `single-instance`"),
        ),
        ["nodePools", _, "disruption", "consolidationPolicy"] if plain == "whenunderutilized" => Some(
            Diagnostic::error("when-underutilized", "Karpenter v1 has no WhenUnderutilized: that was its name before")
                .help("write `WhenEmptyOrUnderutilized`"),
        ),
        _ => None,
    }
}

fn wrong_type(name: &str, node: &Node, expected: &str, given: &str) -> Diagnostic {
    let what = match expected {
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a map",
        other => other,
    };
    let error = |message: String| Diagnostic::error("wrong-type", message);
    match (expected, &node.kind) {
        ("string", Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_)) => error(format!(
            "`{name}` takes text, and `{given}` without quotes is {} in YAML",
            node.what()
        ))
        .help(format!("put it in quotes: \"{given}\"")),
        ("boolean", Kind::Text(text)) => {
            let message = error(format!(
                "`{name}` takes true or false, and `{given}` is text in YAML"
            ));
            match text.to_lowercase().as_str() {
                "yes" | "on" | "y" | "true" | "enabled" => message.help("write `true`"),
                "no" | "off" | "n" | "false" | "disabled" => message.help("write `false`"),
                _ => message,
            }
        }
        ("integer", Kind::Text(text)) if text.parse::<i64>().is_ok() => error(format!(
            "`{name}` takes a whole number, and `{given}` in quotes is text"
        ))
        .help("remove the quotes"),
        ("array", Kind::Text(_) | Kind::Integer(_)) => {
            error(format!("`{name}` takes a list, not {}", node.what()))
                .help(format!("write [{given}]"))
        }
        _ => error(format!("`{name}` takes {what}, not {}", node.what())),
    }
}

/// Replaces a wrong or missing value by its stand-in, or removes it: the default holds then. A list goes with a wrong item,
/// a map with a key that it can't do without. `false` when there is nothing to be done.
fn mend(form: &mut Form, path: &[String]) -> bool {
    let Some((last, parent)) = path.split_last() else {
        return false;
    };
    form.broken.insert(path.to_vec());
    if let Some(text) = stand_in(path) {
        let place = form.place(path).unwrap_or_else(|| start(&form.root));
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        form.root.set(
            &keys,
            Node {
                kind: Kind::Text(text.to_owned()),
                place,
            },
        );
        return true;
    }
    let required = schema::at(parent)
        .and_then(|schema| schema.get("required"))
        .and_then(Value::as_array);
    let required = required.is_some_and(|required| required.iter().any(|key| key == last));
    match form.root.get(parent).map(|node| &node.kind) {
        // Its own required keys get their stand-ins in the next round.
        Some(Kind::Map(_)) if parent.is_empty() && required => {
            let place = form.place(path).unwrap_or_else(|| start(&form.root));
            form.root.set(
                &[last],
                Node {
                    kind: Kind::Map(Vec::new()),
                    place,
                },
            );
            true
        }
        Some(Kind::Map(_)) if !required => {
            let node = if parent.is_empty() {
                Some(&mut form.root)
            } else {
                descend(&mut form.root, parent)
            };
            if let Some(Node {
                kind: Kind::Map(entries),
                ..
            }) = node
            {
                entries.retain(|entry| entry.key != *last);
            }
            true
        }
        _ => mend(form, parent),
    }
}

fn descend<'a>(root: &'a mut Node, path: &[String]) -> Option<&'a mut Node> {
    path.iter()
        .try_fold(root, |node, segment| node.child_mut(segment))
}
