//! Karpenter's node pools and their node class.

use std::collections::BTreeMap;

use catalog::ids::PlatformName;

use super::cluster::{BEFORE_NITRO, is_arm};
use super::{Check, nearest};
use crate::load::NOT_DEPLOYED;
use crate::model::node_pools::{Architecture, Bounds, NodePool, RequirementOperator};
use crate::overlay::{merge, without_nulls};
use crate::presets::{Preset, preset};
use crate::source::Source;
use crate::tree::{self, Node};

/// Labels that Karpenter gives nodes itself, and that no pool may ask for or give (the rules of its custom resource
/// definition, `karpenter.sh_nodepools.yaml`, 1.14).
const OWN_LABELS: [&str; 2] = ["karpenter.sh/nodepool", "kubernetes.io/hostname"];
/// The one label of Karpenter's own domain that a requirement may name.
const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";

pub(super) fn check(check: &mut Check<'_>) {
    if !check.spec.karpenter.enabled {
        check.unheeded(
            &[&["nodePools"], &["nodeClass"]],
            "there is no Karpenter (`karpenter.enabled`)",
        );
        return;
    }
    let spec = check.spec;
    if spec.node_pools.values().all(|pool| !pool.enabled) && check.knows(&["nodePools"]) {
        check.warn(
            &["nodePools"],
            "no-node-pool",
            "Karpenter has no node pool: it makes no nodes",
            "add one, or write `karpenter: {enabled: false}`",
        );
    }
    names(check);
    for (name, pool) in &spec.node_pools {
        instances(check, name, pool);
        requirements(check, name, pool);
        labels(check, name, pool);
        for (index, budget) in pool.disruption.budgets.iter().enumerate() {
            if budget.schedule.is_some() != budget.duration.is_some() {
                let given = if budget.schedule.is_some() {
                    "schedule"
                } else {
                    "duration"
                };
                let index = index.to_string();
                let path = ["nodePools", name, "disruption", "budgets", &index, given];
                check.error(
                    &path,
                    "budget-schedule",
                    "a budget has `schedule` and `duration`, or neither",
                    "write both: from when it holds, and how long",
                );
            }
        }
    }
}

/// A name with `{cluster}` filled in.
fn filled(name: &str, check: &Check<'_>) -> String {
    let cluster = format!("{}-{}", check.spec.platform, check.environment);
    name.replace("{cluster}", &cluster)
}

/// Names in Kubernetes that are also a label's value (a pool's) or a part of one.
fn is_name(text: &str, longest: usize) -> bool {
    let inside = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    text.len() <= longest
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(inside))
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("-.")
        && !text.contains(".-")
}

fn names(check: &mut Check<'_>) {
    let spec = check.spec;
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (key, pool) in &spec.node_pools {
        let written = pool.name.as_deref().unwrap_or(key);
        let name = filled(written, check);
        let path: &[&str] = match pool.name {
            Some(_) => &["nodePools", key, "name"],
            None => &["nodePools", key],
        };
        // Its nodes carry the name as a label's value.
        if !is_name(&name, 63) {
            check.error(
                path,
                "node-pool-name",
                format!("`{name}` is no name of a node pool"),
                "lower-case letters, digits and hyphens, 63 at most",
            );
        } else if let Some(first) = seen.insert(name.clone(), key) {
            check.error(
                path,
                "node-pool-twice",
                format!("the node pools `{first}` and `{key}` are both called {name}"),
                "give each a name of its own",
            );
        }
    }
    let name = filled(&spec.node_class.name, check);
    if !is_name(&name, 253) {
        check.error(
            &["nodeClass", "name"],
            "node-class-name",
            format!("`{name}` is no name of a node class"),
            "lower-case letters, digits and hyphens",
        );
    }
}

fn instances(check: &mut Check<'_>, name: &str, pool: &NodePool) {
    for (index, family) in pool.instance_families.iter().enumerate() {
        if BEFORE_NITRO.contains(&family.as_str()) {
            check.error(
                &["nodePools", name, "instanceFamilies", &index.to_string()],
                "not-nitro",
                format!("{family} is not built on the Nitro System, and vpc-cni delegates prefixes on no other"),
                format!("take {}", if family.starts_with('t') { "t3" } else { "m7i" }),
            );
        }
    }
    let runs = |architecture| {
        pool.instance_families.is_empty()
            || pool
                .instance_families
                .iter()
                .any(|family| is_arm(family) == (architecture == Architecture::Arm64))
    };
    if !pool
        .architectures
        .iter()
        .any(|&architecture| runs(architecture))
    {
        let (given, wanted) = match pool.architectures.first() {
            Some(Architecture::Arm64) => ("arm64", "amd64"),
            _ => ("amd64", "arm64"),
        };
        check.error(
            &["nodePools", name, "architectures"],
            "no-instance-type",
            format!("no instance family of `{name}` is {given}"),
            format!("write `architectures: [{wanted}]`, or take other families"),
        );
    }
    for (key, bounds) in [
        ("instanceCpu", pool.instance_cpu),
        ("instanceMemory", pool.instance_memory),
    ] {
        if let Bounds {
            min: Some(min),
            max: Some(max),
        } = bounds
            && min > max
        {
            check.error(
                &["nodePools", name, key],
                "no-instance-type",
                format!("`{key}` of `{name}` begins at {min} and ends at {max}"),
                "`min` is the smaller one",
            );
        }
    }
}

fn requirements(check: &mut Check<'_>, name: &str, pool: &NodePool) {
    for (index, requirement) in pool.requirements.iter().enumerate() {
        let index = index.to_string();
        let at = |field| ["nodePools", name, "requirements", &index, field];
        let key = requirement.key.as_str();
        if OWN_LABELS.contains(&key) || (in_karpenters_domain(key) && key != CAPACITY_TYPE) {
            check.error(
                &at("key"),
                "requirement-key",
                format!("`{key}` is Karpenter's own: no pool asks for it"),
                "remove it",
            );
        }
        let values = requirement.values.len();
        let number = || {
            requirement
                .values
                .first()
                .is_some_and(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let wants = match requirement.operator {
            RequirementOperator::In if values == 0 => Some("one value or more"),
            RequirementOperator::Exists | RequirementOperator::DoesNotExist if values != 0 => {
                Some("no values")
            }
            RequirementOperator::Gt | RequirementOperator::Lt if values != 1 || !number() => {
                Some("one value, a whole number in quotes")
            }
            _ => None,
        };
        if let Some(wants) = wants {
            check.error(
                &at("operator"),
                "requirement-values",
                format!(
                    "a requirement with `{:?}` has {wants}",
                    requirement.operator
                ),
                "see https://karpenter.sh/docs/concepts/nodepools/",
            );
        }
        if let (RequirementOperator::In, Some(least)) =
            (requirement.operator, requirement.min_values)
            && (values as u64) < u64::from(least)
        {
            check.error(
                &at("operator"),
                "requirement-values",
                format!("`minValues` asks for {least} of {values} values"),
                "give more values, or ask for fewer",
            );
        }
    }
}

/// A label's value, or the part of its key that follows the domain (Kubernetes, "Labels and Selectors", "Syntax").
fn is_qualified(text: &str) -> bool {
    let ends = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_name(domain, 253) && is_qualified(name),
        None => is_qualified(key),
    }
}

fn in_karpenters_domain(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(domain, _)| domain == "karpenter.sh" || domain.ends_with(".karpenter.sh"))
}

fn labels(check: &mut Check<'_>, name: &str, pool: &NodePool) {
    for (key, value) in &pool.labels {
        let path = ["nodePools", name, "labels", key];
        if !is_label_key(key) || !(value.is_empty() || is_qualified(value)) {
            check.error(
                &path,
                "label",
                format!("`{key}: {value}` is no label"),
                "letters, digits and -_. in both, 63 at most, the key with a domain before it if you like",
            );
        } else if OWN_LABELS.contains(&key.as_str()) || in_karpenters_domain(key) {
            check.error(
                &path,
                "label",
                format!("`{key}` is Karpenter's own: it gives the label itself"),
                "remove it",
            );
        }
    }
}

/// Warns, once, that services are not deployed yet. What a preset brought says so in its comments.
pub(super) fn not_deployed(check: &mut Check<'_>) {
    if check.form.root.get(&[NOT_DEPLOYED]).is_none() || is_a_presets(check, NOT_DEPLOYED) {
        return;
    }
    check.warn(
        &[NOT_DEPLOYED],
        "not-deployed-yet",
        format!("`{NOT_DEPLOYED}` are simulated (`seaworthy simulate`), not deployed yet"),
        "of them a deploy makes the namespaces and the priority classes",
    );
}

/// Whether a key is as one of the presets has it, in this environment.
fn is_a_presets(check: &Check<'_>, key: &str) -> bool {
    let Ok(platform) = PlatformName::new(&check.spec.platform) else {
        return false;
    };
    Preset::ALL.into_iter().any(|kind| {
        let files: BTreeMap<_, _> = preset(kind, &platform).into_iter().collect();
        let read = |path: &str| -> Option<Node> {
            tree::parse(&Source::new(path, files.get(path)?.as_str())).ok()
        };
        let Some(base) = read("platform.yaml") else {
            return false;
        };
        let merged = match read(&format!("environments/{}.yaml", check.environment)) {
            Some(overlay) => merge(base, overlay),
            None => base,
        };
        let merged = without_nulls(merged);
        check.form.root.get(&[key]) == merged.get(&[key])
    })
}

/// The pool that a service names, or what it may have meant.
pub(super) fn find<'a>(check: &Check<'a>, name: &str) -> Result<&'a NodePool, Option<&'a str>> {
    let pools = &check.spec.node_pools;
    pools
        .get(name)
        .ok_or_else(|| nearest(name, pools.keys().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kubernetes() {
        for good in ["general", "shop-prod-nodepool", "a", "1"] {
            assert!(is_name(good, 63), "{good}");
        }
        for wrong in ["", "A", "a_b", "-a", "a-", "a..b", "a.-b", "{cluster}"] {
            assert!(!is_name(wrong, 63), "{wrong}");
        }
        assert!(!is_name(&"a".repeat(64), 63));
        for good in ["team", "example.com/Team_1"] {
            assert!(is_label_key(good), "{good}");
        }
        for wrong in ["", "/a", "a/", "a/b/c", "Example.com/a", "-a"] {
            assert!(!is_label_key(wrong), "{wrong}");
        }
    }
}
