//! The layers of ARCHITECTURE.md, held against `cargo metadata`: who may use whom, and what the pure crates may not reach.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The only edges that there may be between our crates.
const EDGES: [(&str, &[&str]); 18] = [
    ("catalog", &[]),
    ("spec", &["catalog"]),
    ("graph", &["catalog"]),
    ("objects", &[]),
    ("blueprint", &["catalog", "spec", "graph", "objects"]),
    ("autoscale", &["catalog", "objects"]),
    ("journal", &["catalog"]),
    ("engine", &["catalog", "graph", "journal"]),
    ("aws", &["catalog", "graph", "engine", "journal"]),
    ("kubernetes", &["catalog", "graph", "engine", "objects"]),
    ("apimachinery", &[]),
    ("apiserver", &["apimachinery"]),
    ("controllers", &["catalog", "objects", "autoscale"]),
    (
        "sandbox",
        &[
            "catalog",
            "apimachinery",
            "apiserver",
            "controllers",
            "autoscale",
            "objects",
        ],
    ),
    ("export", &["catalog", "spec", "graph"]),
    (
        "operations",
        &[
            "catalog",
            "spec",
            "graph",
            "objects",
            "blueprint",
            "autoscale",
            "journal",
            "engine",
            "aws",
            "kubernetes",
            "export",
        ],
    ),
    (
        "cli",
        &[
            "catalog",
            "spec",
            "graph",
            "objects",
            "blueprint",
            "autoscale",
            "journal",
            "engine",
            "aws",
            "kubernetes",
            "sandbox",
            "export",
            "operations",
        ],
    ),
    (
        "bench",
        &["catalog", "graph", "journal", "engine", "aws", "sandbox"],
    ),
];

/// Crates that give the same answer on any machine and any day.
const PURE: [&str; 9] = [
    "catalog",
    "spec",
    "graph",
    "objects",
    "blueprint",
    "autoscale",
    "export",
    "apimachinery",
    "controllers",
];

/// What a pure crate may not reach, however far down, and why. `jiff` is not among them: Kubernetes' objects hold its
/// timestamps. That nobody asks it what time it is, `clippy.toml` sees to.
const BANNED: [(&str, &str); 8] = [
    ("tokio", "nothing pure waits"),
    ("hyper", "no network"),
    ("reqwest", "no network"),
    ("rustls", "no network"),
    ("aws-config", "no network"),
    ("chrono", "the date is an argument"),
    ("rand", "no ambient randomness"),
    ("uuid", "no ambient randomness"),
];

/// What may be reached even so: the crate, what is banned otherwise, and why it does no harm.
const HARMLESS: [(&str, &str, &str); 1] = [(
    "apimachinery",
    "uuid",
    "the parser of CEL (antlr4rust) compares fixed identifiers of its tables, and makes none",
)];

struct Metadata {
    /// A package's id → its name.
    names: BTreeMap<String, String>,
    /// A package's id → the ids of what it is built with, tests left out.
    needs: BTreeMap<String, Vec<String>>,
    /// Our own packages.
    members: Vec<String>,
}

fn metadata() -> Metadata {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = |value: &Value| value.as_array().unwrap().clone();
    let normal = |dependency: &Value| {
        items(&dependency["dep_kinds"])
            .iter()
            .any(|kind| kind["kind"].is_null())
    };
    Metadata {
        names: items(&document["packages"])
            .iter()
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect(),
        needs: items(&document["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let needs = items(&node["deps"]);
                (
                    text(&node["id"]),
                    needs
                        .iter()
                        .filter(|need| normal(need))
                        .map(|need| text(&need["pkg"]))
                        .collect(),
                )
            })
            .collect(),
        members: items(&document["workspace_members"])
            .iter()
            .map(text)
            .collect(),
    }
}

#[test]
fn crates_use_only_what_is_below_them() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    for member in &metadata.members {
        let name = metadata.names[member].strip_prefix("seaworthy-").unwrap();
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no place in ARCHITECTURE.md"));
        for need in &metadata.needs[member] {
            if let Some(other) = metadata.names[need].strip_prefix("seaworthy-") {
                assert!(
                    may.contains(&other),
                    "{name} uses {other}, which ARCHITECTURE.md does not allow"
                );
            }
        }
    }
    assert_eq!(
        metadata.members.len(),
        EDGES.len(),
        "every crate of ARCHITECTURE.md is there"
    );
}

#[test]
fn pure_crates_reach_no_clock_network_or_randomness() {
    let metadata = metadata();
    for member in &metadata.members {
        let name = metadata.names[member].strip_prefix("seaworthy-").unwrap();
        if !PURE.contains(&name) {
            continue;
        }
        let mut reached: BTreeSet<&String> = BTreeSet::new();
        let mut next = vec![member];
        while let Some(package) = next.pop() {
            if reached.insert(package) {
                next.extend(&metadata.needs[package]);
            }
        }
        let reached: BTreeSet<&str> = reached
            .into_iter()
            .map(|package| &*metadata.names[package])
            .collect();
        for (banned, why) in BANNED {
            if HARMLESS
                .iter()
                .any(|(of, what, _)| (*of, *what) == (name, banned))
            {
                continue;
            }
            assert!(!reached.contains(banned), "{name} reaches {banned}: {why}");
        }
    }
}

/// The longest that a file of ours may be: what is longer is split by noun.
const LONGEST_FILE: usize = 1_000;

#[test]
fn no_file_is_too_long_and_no_module_is_a_drawer() {
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/.."
    ))];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                seen += 1;
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                assert!(
                    lines <= LONGEST_FILE,
                    "{} has {lines} lines",
                    path.display()
                );
                let stem = path.file_stem().unwrap().to_str().unwrap();
                assert!(
                    !["common", "utils", "util", "helpers", "misc"].contains(&stem),
                    "{}: a drawer",
                    path.display()
                );
            }
        }
    }
    assert!(seen > 50, "{seen} files were looked at");
}
