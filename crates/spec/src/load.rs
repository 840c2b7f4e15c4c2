//! From texts to a [`Platform`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use catalog::Date;
use catalog::ids::{EnvironmentName, PlatformName, Region};
use catalog::regions;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::diagnostic::{self, Diagnostic};
use crate::model::Spec;
use crate::model::services::{Priority, Services};
use crate::overlay;
use crate::platform::Platform;
use crate::source::{Place, Source};
use crate::tree::{self, Kind, Node};
use crate::validate::{self, Other};
use crate::variables::{self, Override};

/// The name of the scope that environments share: it has `platform.yaml` alone.
const SHARED: &str = "shared";
/// The key that is simulated and not deployed yet, but for what [`deployed_of`] it.
pub(crate) const NOT_DEPLOYED: &str = "services";
/// Availability zones that a platform spans unless told otherwise.
const ZONES: usize = 3;

/// The texts that an environment's platform is made of.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `platform.yaml`.
    pub platform: Arc<Source>,
    /// `environments/<env>.yaml`. The shared scope has none.
    pub overlay: Option<Arc<Source>>,
    /// Which environment it is; `shared` for the shared scope.
    pub environment: EnvironmentName,
    /// The overlays of the platform's other environments, which are compared with this one.
    pub others: Vec<(EnvironmentName, Arc<Source>)>,
}

/// A platform, and what its reader should know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The platform.
    pub platform: Platform,
    /// Risks and costs, in the order of the files.
    pub warnings: Vec<Diagnostic>,
    /// What variables have overridden.
    pub overrides: Vec<Override>,
}

/// Reads, merges and validates.
///
/// # Errors
///
/// Everything that is wrong, in the order of the files, and the warnings with it.
pub fn load(
    sources: &Sources,
    variables: &BTreeMap<String, String>,
    today: Date,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let result = read(sources, variables, today, &mut found);
    let files: Vec<&str> = [Some(&sources.platform), sources.overlay.as_ref()]
        .into_iter()
        .flatten()
        .map(|source| source.name())
        .collect();
    diagnostic::sort(&mut found, &files);
    match result {
        Some((platform, overrides)) if !found.iter().any(Diagnostic::is_error) => Ok(Loaded {
            platform,
            warnings: found,
            overrides,
        }),
        _ => Err(found),
    }
}

fn read(
    sources: &Sources,
    variables: &BTreeMap<String, String>,
    today: Date,
    found: &mut Vec<Diagnostic>,
) -> Option<(Platform, Vec<Override>)> {
    let environment = &sources.environment;
    let shared = environment.as_str() == SHARED;
    if let Some(overlay) = sources.overlay.as_ref().filter(|_| shared) {
        let message = format!(
            "no environment can be called `{SHARED}`: that is the scope that environments share"
        );
        found.push(
            Diagnostic::error("reserved-name", message)
                .at(Place::new(overlay, 0..0))
                .help("call the file otherwise"),
        );
    }
    let platform = map(&sources.platform, found);
    let overlay = sources.overlay.as_ref().map(|source| map(source, found));
    let platform = platform?;
    if platform.kind == Kind::Null {
        let start = Place::new(&sources.platform, 0..0);
        found.push(
            Diagnostic::error("empty", "the file is empty")
                .at(start)
                .help("`seaworthy init` makes one to start from"),
        );
        return None;
    }
    let mut root = match overlay {
        Some(overlay) => over(platform.clone(), overlay?),
        None => platform.clone(),
    };
    let overrides = variables::apply(&mut root, variables, found);
    if shared && root.get(&["network", "cidr"]).is_none() {
        // The shared scope has no network; where only overlays have a range, it stands in for it.
        root.set(
            &["network", "cidr"],
            Node {
                kind: Kind::Text("10.0.0.0/16".to_owned()),
                place: Place::new(&sources.platform, 0..0),
            },
        );
    }
    // Another environment that can't be read is reported when it is its turn.
    let others: Vec<Other> = sources
        .others
        .iter()
        .filter_map(|(environment, source)| {
            let overlay = map(source, &mut Vec::new())?;
            Some(Other {
                environment: environment.clone(),
                root: over(platform.clone(), overlay),
            })
        })
        .collect();
    let checked = validate::validate(overlay::without_nulls(root), environment, today, &others);
    found.extend(checked.diagnostics);
    if shared {
        // What is risky about clusters and networks is no risk of a scope that has none.
        found.retain(Diagnostic::is_error);
    } else {
        found.extend(variables::misspelt(variables));
    }
    if found.iter().any(Diagnostic::is_error) {
        return None;
    }
    match finish(checked.spec?, environment) {
        Ok(platform) => Some((platform, overrides)),
        Err(diagnostic) => {
            found.push(diagnostic);
            None
        }
    }
}

/// `overlay` over `platform`; an empty overlay is none.
fn over(platform: Node, overlay: Node) -> Node {
    if overlay.kind == Kind::Null {
        platform
    } else {
        overlay::merge(platform, overlay)
    }
}

/// A text as a map, or as nothing when it is empty.
fn map(source: &Arc<Source>, found: &mut Vec<Diagnostic>) -> Option<Node> {
    match tree::parse(source) {
        Ok(root) if matches!(root.kind, Kind::Map(_) | Kind::Null) => Some(root),
        Ok(root) => {
            let message = format!("a spec is a map of keys, and this is {}", root.what());
            found.push(
                Diagnostic::error("not-a-map", message)
                    .at(root.place)
                    .help("as `platform: shop`"),
            );
            None
        }
        Err(faults) => {
            found.extend(faults);
            None
        }
    }
}

/// Fills in what depends on the environment and the catalog.
fn finish(mut spec: Spec, environment: &EnvironmentName) -> Result<Platform, Diagnostic> {
    let invalid =
        |error: catalog::ids::IdError| Diagnostic::error("invalid-value", error.to_string());
    let platform = PlatformName::new(&spec.platform).map_err(invalid)?;
    let region = Region::new(&spec.aws.region).map_err(invalid)?;
    let zones = spec
        .aws
        .availability_zones
        .get_or_insert_with(|| regions::default_zones(region.as_str(), ZONES))
        .clone();
    let protected = *spec
        .protected
        .get_or_insert_with(|| validate::protected_by_default(environment));
    validate::complete(&mut spec);
    let mut value = serde_json::to_value(&spec).map_err(|error| {
        Diagnostic::error(
            "invalid-value",
            format!("the spec cannot be written as JSON: {error}"),
        )
    })?;
    // What is not deployed makes no plan stale and no environment out of date.
    if let Some(keys) = value.as_object_mut() {
        keys.insert(NOT_DEPLOYED.to_owned(), deployed_of(&spec.services));
    }
    let mut canonical = String::new();
    write_canonical(&value, &mut canonical);
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(canonical.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    Ok(Platform {
        platform,
        environment: environment.clone(),
        region,
        availability_zones: zones,
        protected,
        spec,
        hash,
    })
}

/// What a deploy makes of services: their namespaces and priority classes.
fn deployed_of(services: &Services) -> Value {
    let enabled = || services.values().filter(|service| service.enabled);
    // Every cluster has these.
    let there = ["default", "kube-system"];
    let namespaces: BTreeSet<&str> = enabled()
        .map(|service| service.namespace.as_str())
        .filter(|name| !there.contains(name))
        .collect();
    let priorities: BTreeSet<Priority> = enabled()
        .map(|service| service.priority_class)
        .filter(|priority| *priority != Priority::Normal)
        .collect();
    serde_json::json!({ "namespaces": namespaces, "priorityClasses": priorities })
}

/// JSON with sorted keys and without spaces, whatever order the map type of this build has.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            text.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write_canonical(&map[key], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests;
