//! The documents' environment variables, which override the spec: `ENABLE_*`, the domain, the certificate.
//!
//! A variable that is empty is as good as none.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source};
use crate::tree::{Kind, Node};
use crate::validate::nearest;

/// A key of the spec whose value came from a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Override {
    /// The variable.
    pub variable: String,
    /// The key (`redis.enabled`).
    pub key: String,
    /// What the spec says, or its default; none when it has neither.
    pub from: Option<String>,
    /// What the variable says.
    pub to: String,
}

enum Effect {
    /// Switches keys on or off.
    Switches(&'static [&'static [&'static str]]),
    /// Switches on what there is not yet.
    NotBuilt(&'static str),
    /// The value of a key.
    Sets(&'static [&'static str]),
}

const VARIABLES: &[(&str, Effect)] = &[
    (
        "ENABLE_AWS_SERVICES",
        Effect::Switches(&[&["redis", "enabled"], &["rabbitmq", "enabled"]]),
    ),
    ("ENABLE_CNPG", Effect::NotBuilt("CloudNativePG")),
    (
        "ENABLE_HA_SUPABASE_DB",
        Effect::NotBuilt("Supabase's database"),
    ),
    ("ENABLE_SUPABASE", Effect::NotBuilt("Supabase")),
    ("ENABLE_SIGNOZ", Effect::NotBuilt("SigNoz")),
    ("DOMAIN", Effect::Sets(&["dns", "domain"])),
    ("DOMAIN_NAME", Effect::Sets(&["dns", "domain"])),
    ("CERTIFICATE_ARN", Effect::Sets(&["certificate", "arn"])),
    ("ACM_CERTIFICATE_ARN", Effect::Sets(&["certificate", "arn"])),
];

/// Lays the variables over a merged spec.
pub(crate) fn apply(
    root: &mut Node,
    variables: &BTreeMap<String, String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Override> {
    let mut overrides: Vec<Override> = Vec::new();
    for (variable, effect) in VARIABLES {
        let Some(given) = variables
            .get(*variable)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
        else {
            continue;
        };
        let place = Place::new(&Source::new(format!("${variable}"), given), 0..given.len());
        match effect {
            Effect::Sets(path) => {
                let key = path.join(".");
                if let Some(other) = overrides.iter().find(|other| other.key == key) {
                    if other.to != given {
                        let message = format!(
                            "{} and {variable} say different things of `{key}`",
                            other.variable
                        );
                        diagnostics.push(
                            Diagnostic::error("variables-disagree", message)
                                .at(place)
                                .help("unset one of them"),
                        );
                    }
                    continue;
                }
                let to = Node {
                    kind: Kind::Text(given.to_owned()),
                    place,
                };
                overrides.push(set(root, variable, path, to, given));
            }
            Effect::Switches(_) | Effect::NotBuilt(_) => {
                let Some(on) = switch(given) else {
                    let message = format!(
                        "{variable} is `{given}`; it takes true or false, yes or no, 1 or 0"
                    );
                    diagnostics.push(Diagnostic::error("variable-value", message).at(place));
                    continue;
                };
                match effect {
                    Effect::Switches(paths) => {
                        for path in *paths {
                            let to = Node {
                                kind: Kind::Bool(on),
                                place: place.clone(),
                            };
                            overrides.push(set(root, variable, path, to, &on.to_string()));
                        }
                    }
                    Effect::NotBuilt(what) if on => {
                        let message = format!("{variable} asks for {what}, which is not built yet");
                        let help = format!("unset it, or set {variable}=false");
                        diagnostics.push(
                            Diagnostic::error("not-built-yet", message)
                                .at(place)
                                .help(help),
                        );
                    }
                    _ => {}
                }
            }
        }
    }
    overrides
}

fn switch(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn set(root: &mut Node, variable: &str, path: &[&str], node: Node, to: &str) -> Override {
    let written = root
        .get(path)
        .map(Node::to_json)
        .filter(|value| !value.is_null());
    let from = written.or_else(|| crate::schema::at(path)?.get("default").cloned());
    let from = from.map(|value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    });
    root.set(path, node);
    Override {
        variable: variable.to_owned(),
        key: path.join("."),
        from,
        to: to.to_owned(),
    }
}

/// Variables whose names are nearly one of the documents': they do nothing, and somebody thinks that they do.
pub(crate) fn misspelt(variables: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    let known: BTreeSet<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    let mut found = Vec::new();
    for (variable, value) in variables
        .iter()
        .filter(|(name, _)| name.starts_with("ENABLE_") && !known.contains(name.as_str()))
    {
        let Some(meant) = nearest(
            variable,
            known
                .iter()
                .copied()
                .filter(|name| name.starts_with("ENABLE_")),
        ) else {
            continue;
        };
        if strsim::damerau_levenshtein(variable, meant) <= 2 {
            let place = Place::new(
                &Source::new(format!("${variable}"), value.as_str()),
                0..value.len(),
            );
            let diagnostic = Diagnostic::warning(
                "unknown-variable",
                format!("the variable {variable} has no effect"),
            );
            found.push(diagnostic.at(place).help(format!("did you mean {meant}?")));
        }
    }
    found
}
