//! What other tools say of the templates: nothing, but for what `docs/export-cloudformation.md` accepts, and all of that.
//!
//! The page's table is the only place where a finding is accepted: one that is not in it fails, and so does a row that
//! nothing needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use graph::{Lifecycle, Resource};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::exported::{Exported, all, program, telling, written};
use crate::reader::Reader;
use crate::render::payload;

const DOCS: &str = include_str!("../../../../docs/export-cloudformation.md");

/// A finding of a tool.
#[derive(Debug, Deserialize)]
struct Finding {
    rule: String,
    level: String,
    #[serde(rename = "where")]
    place: String,
    /// What of it, where the tool tells: an IAM action, an identity provider.
    #[serde(default)]
    subject: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Findings {
    found: Vec<Finding>,
    count: usize,
}

/// The rules of a tool that the page accepts: the first two columns of its table.
fn accepted(tool: &str) -> BTreeSet<String> {
    let rows = DOCS
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 6 && cells[1] == tool);
    let mut accepted = BTreeSet::new();
    for cells in rows {
        assert!(cells[4].len() > 20, "{cells:?} says why");
        assert!(accepted.insert(format!("{} {}", cells[2].trim_matches('`'), cells[3])));
    }
    accepted
}

/// Holds findings, by rule and subject, against what the page accepts.
fn judge(tool: &str, found: BTreeMap<String, Vec<String>>) {
    let accepted = accepted(tool);
    let unexplained: Vec<_> = found
        .iter()
        .filter(|(rule, _)| !accepted.contains(*rule))
        .map(|(rule, places)| (rule, places.len(), &places[0]))
        .collect();
    assert!(unexplained.is_empty(), "{tool}: {unexplained:#?}");
    let stale: Vec<_> = accepted
        .iter()
        .filter(|rule| !found.contains_key(*rule))
        .collect();
    assert!(stale.is_empty(), "{tool} no longer finds {stale:?}");
}

/// Findings by rule, about no subject in particular.
fn by_rule(found: Vec<Finding>) -> BTreeMap<String, Vec<String>> {
    let mut by_rule: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in found {
        by_rule
            .entry(format!("{} {}", it.rule, it.level))
            .or_default()
            .push(format!("{}: {}", it.place, it.message));
    }
    by_rule
}

/// Runs a script of this folder.
pub(crate) fn python(
    interpreter: &str,
    script: &str,
    arguments: &[&str],
    input: Option<&Json>,
) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cloudformation")
        .join(script);
    let mut process = Command::new(program(interpreter))
        .arg(&script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    if let Some(input) = input {
        stdin.write_all(input.to_string().as_bytes()).unwrap();
    }
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", script.display());
    output.stdout
}

const JUDGES: &str = "judges/python/bin/python";

fn templates(tool: &str, wanted: fn(&Exported) -> bool) {
    let folder = written(wanted);
    let wanted: Vec<&Exported> = all().iter().filter(|exported| wanted(exported)).collect();
    let regions: BTreeMap<String, &str> = wanted
        .iter()
        .map(|exported| (exported.folder(), exported.platform.region.as_str()))
        .collect();
    let manifest = folder.path().join("regions.json");
    std::fs::write(manifest, json!(regions).to_string()).unwrap();
    let path = folder.path().to_str().unwrap();
    let answer = python(JUDGES, "templates.py", &[tool, path], None);
    let answer: Findings = serde_json::from_slice(&answer).unwrap();
    let count: usize = wanted
        .iter()
        .map(|exported| exported.files.iter().count())
        .sum();
    assert!(count > 80, "{count}");
    assert_eq!(answer.count, count);
    judge(tool, by_rule(answer.found));
}

#[test]
fn cfn_lint_finds_nothing_unexplained() {
    templates("cfn-lint", telling);
}

#[test]
fn cloudformation_validate_finds_nothing_unexplained() {
    templates("cloudformation-validate", |_| true);
}

/// The desired states that the engine sends are of the same graphs.
#[test]
fn the_payloads_of_cloud_control_are_valid() {
    let mut payloads = Vec::new();
    for exported in all() {
        for resource in exported.graph.resources() {
            if !matches!(resource.lifecycle, Lifecycle::Existing(_)) {
                payloads.push(json!({
                    "name": format!("{}: {}", exported.name, resource.address),
                    "type": resource.type_name,
                    "state": payload(&exported.graph, resource).to_string(),
                }));
            }
        }
    }
    let count = payloads.len();
    assert!(count > 2_000, "{count}");
    let answer = python(JUDGES, "payloads.py", &[], Some(&json!(payloads)));
    let answer: Findings = serde_json::from_slice(&answer).unwrap();
    judge(
        "cloudformation-validate, Cloud Control",
        by_rule(answer.found),
    );
    assert_eq!(answer.count, count);
}

/// The policies of the templates, read back, with references replaced by what AWS might answer.
#[test]
fn parliament_finds_nothing_unexplained() {
    let mut documents: BTreeMap<String, Json> = BTreeMap::new();
    for exported in all() {
        let reader = Reader::new(&exported.graph, exported.templates());
        for (address, read) in reader.resources() {
            let original = exported.graph.get(&address).unwrap();
            let resource = Resource {
                properties: read.properties,
                ..original.clone()
            };
            let document = payload(&exported.graph, &resource);
            let mut keep = |what: &str, document: &Json| {
                let mut document = match document {
                    Json::String(text) => serde_json::from_str(text).unwrap(),
                    other => other.clone(),
                };
                if what == "AssumeRolePolicyDocument" {
                    // A trust is about the role that it is of, which parliament wants to hear.
                    for statement in document["Statement"].as_array_mut().unwrap() {
                        assert!(statement.get("Resource").is_none());
                        let role = "arn:aws:iam::111122223333:role/its-own";
                        statement["Resource"] = role.into();
                    }
                }
                documents
                    .entry(document.to_string())
                    .or_insert_with(|| json!({ "name": format!("{} {address} {what}", exported.name), "document": document }));
            };
            for property in ["AssumeRolePolicyDocument", "PolicyDocument"] {
                if let Some(document) = document.get(property) {
                    keep(property, document);
                }
            }
            for policy in document["Policies"].as_array().into_iter().flatten() {
                keep("Policies", &policy["PolicyDocument"]);
            }
        }
    }
    let count = documents.len();
    assert!(count > 50, "{count}");
    let input = json!(documents.into_values().collect::<Vec<_>>());
    let answer = python(JUDGES, "policies.py", &[], Some(&input));
    let answer: Findings = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer.count, count);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in answer.found.into_iter().filter(|it| it.level != "low") {
        found
            .entry(format!("{} {}", it.rule, it.subject))
            .or_default()
            .push(format!("{}: {} {}", it.place, it.level, it.message));
    }
    judge("parliament", found);
}

#[test]
fn checkov_finds_nothing_unexplained() {
    let folder = written(telling);
    let output = Command::new(program("judges/checkov/bin/checkov"))
        .arg("-d")
        .arg(folder.path())
        .args([
            "--framework",
            "cloudformation",
            "--skip-download",
            "--compact",
            "-o",
            "json",
        ])
        .env("LOG_LEVEL", "ERROR")
        .output()
        .unwrap();
    // It fails when it finds something; what matters is what it says.
    let report: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["summary"]["parsing_errors"], 0);
    assert!(report["summary"]["passed"].as_u64().unwrap() > 1_000);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for check in report["results"]["failed_checks"].as_array().unwrap() {
        let text = |key: &str| check[key].as_str().unwrap();
        let kind = text("resource").split('.').next().unwrap();
        found
            .entry(format!("{} {kind}", text("check_id")))
            .or_default()
            .push(format!(
                "{} {}: {}",
                text("file_path"),
                text("resource"),
                text("check_name")
            ));
    }
    judge("checkov", found);
}
