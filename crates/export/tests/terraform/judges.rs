//! Judges from outside, each in one process over all platforms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value as Json, json};

use crate::evaluate;
use crate::platforms::{Case, cases};

/// The repository's folder.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A tool that `scripts/prepare test` installs.
fn tool(path: &str) -> PathBuf {
    let path = repository().join("target/judges").join(path);
    assert!(
        path.exists(),
        "{} is not there: run `scripts/prepare test`",
        path.display()
    );
    path
}

fn beside(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/terraform")
        .join(file)
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a tool said, its last line as JSON; fails when the tool does.
fn said(output: &Output) -> Json {
    let text = text(output);
    assert!(output.status.success(), "{text}");
    serde_json::from_str(text.trim().lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// All resources of a case, evaluated.
fn evaluated(case: &Case) -> Vec<Json> {
    let files = case.export();
    let scopes = case
        .graphs
        .iter()
        .map(|graph| (graph, false))
        .chain([(&case.shared, true)]);
    scopes
        .flat_map(|(graph, shared)| {
            let environment = graph.scope().environment.to_string();
            evaluate::scope(&files, graph, shared).into_iter().map(move |mut each| {
                for key in ["$after", "$text", "lifecycle"] {
                    each.body.as_object_mut().unwrap().remove(key);
                }
                json!({ "environment": environment, "module": each.module, "resource": each.resource, "label": each.label, "body": each.body })
            })
        })
        .collect()
}

fn write(files: &export::Files, root: &Path) {
    for (path, file) in files.iter() {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
}

/// The trees of all cases, written once.
fn trees() -> &'static Path {
    static TREES: OnceLock<tempfile::TempDir> = OnceLock::new();
    TREES
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            for case in cases() {
                let root = folder.path().join(case.name.replace([',', ' '], "-"));
                write(&case.export(), &root);
                std::fs::write(
                    root.join("evaluated.json"),
                    json!(evaluated(&case)).to_string(),
                )
                .unwrap();
            }
            folder
        })
        .path()
}

#[test]
fn terraforms_formatter_changes_nothing() {
    let output = Command::new("node")
        .arg(beside("format.js"))
        .arg(trees())
        .current_dir(tool("node"))
        .output()
        .expect("node runs: `scripts/prepare test` installs it");
    let said = said(&output);
    assert!(said["files"].as_u64() > Some(1000), "{said}");
}

#[test]
fn all_names_and_references_are_the_providers() {
    let output = judge(trees());
    let said = said(&output);
    assert!(said["resources"].as_u64() > Some(2500), "{said}");
    assert!(said["references"].as_u64() > Some(20_000), "{said}");
}

/// The findings of a judge that `docs/export-terraform.md` accepts: rows of the judge, a check in backquotes, what it is
/// about, and why.
fn accepted(judge: &str) -> BTreeSet<String> {
    let page = std::fs::read_to_string(repository().join("docs/export-terraform.md")).unwrap();
    page.lines()
        .filter_map(|line| {
            line.strip_prefix(&format!("| {judge} | "))?
                .strip_suffix(" |")
        })
        .map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            let [check, about, why] = cells.as_slice() else {
                panic!("a row has a check, what it is about, and why: {row}")
            };
            assert!(!why.is_empty());
            format!("{} {about}", check.trim_matches('`'))
        })
        .collect()
}

/// Exactly what is accepted was found.
fn compare(judge: &str, found: &BTreeMap<String, String>) {
    let accepted = accepted(judge);
    let unexplained: BTreeMap<_, _> = found
        .iter()
        .filter(|(check, _)| !accepted.contains(*check))
        .collect();
    assert!(unexplained.is_empty(), "{judge}: {unexplained:#?}");
    let unfound: Vec<_> = accepted
        .iter()
        .filter(|check| !found.contains_key(*check))
        .collect();
    assert!(
        unfound.is_empty(),
        "{judge} does not find {unfound:?} any more"
    );
}

#[test]
fn parliament_finds_nothing_unexplained() {
    let output = Command::new(tool("python/bin/python"))
        .arg(beside("policies.py"))
        .arg(trees())
        .output()
        .unwrap();
    let said = said(&output);
    assert!(said["policies"].as_u64() > Some(500), "{said}");
    compare(
        "parliament",
        &serde_json::from_value(said["found"].clone()).unwrap(),
    );
}

/// The modules of the platforms that have the most.
#[test]
fn checkov_finds_nothing_unexplained() {
    // One folder for all of them: with several, checkov leaves out findings of whole graphs.
    let folder = tempfile::tempdir().unwrap();
    let telling = [
        "Ekb",
        "Accelerator",
        "Gitops",
        "everything and nothing",
        "lifecycles",
    ];
    for case in cases()
        .into_iter()
        .filter(|case| telling.contains(&case.name.as_str()))
    {
        write(&case.export(), &folder.path().join(&case.name));
    }
    let output = Command::new(tool("checkov/bin/checkov"))
        .arg("-d")
        .arg(folder.path())
        .args([
            "--framework",
            "terraform",
            "--skip-download",
            "--compact",
            "-o",
            "json",
        ])
        .env("LOG_LEVEL", "ERROR")
        .output()
        .unwrap();
    // It fails when it finds something; what matters is what it says.
    let reports: Vec<Json> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let mut found = BTreeMap::new();
    let mut resources = 0;
    for report in reports.iter().flat_map(|report| {
        report
            .as_array()
            .map_or(vec![report], |all| all.iter().collect())
    }) {
        assert_eq!(report["summary"]["parsing_errors"], 0);
        resources += report["summary"]["resource_count"]
            .as_u64()
            .unwrap_or_default();
        for check in report["results"]["failed_checks"].as_array().unwrap() {
            let resource = check["resource"].as_str().unwrap();
            let kind = resource.rsplit('.').nth(1).unwrap_or(resource);
            let what = format!("{}: {}", check["file_path"], check["check_name"]);
            found.insert(
                format!("{} {kind}", check["check_id"].as_str().unwrap()),
                what,
            );
        }
    }
    assert!(resources > 300, "{resources}");
    compare("checkov", &found);
}

/// The judge of names is no yes-man: each of these is a fault, and each is found.
#[test]
fn faults_are_found() {
    let faults: [(&str, &str, &str, &str, &str); 15] = [
        (
            "no such argument",
            "modules/network/main.tf",
            "  domain = \"vpc\"",
            "  domane = \"vpc\"",
            "",
        ),
        (
            "dangling resource",
            "modules/network/main.tf",
            "awscc_ec2_vpc.vpc.vpc_id",
            "awscc_ec2_vpc.vpd.vpc_id",
            "awscc_ec2_vpc.vpd.vpc_id is dangling",
        ),
        (
            "no such attribute",
            "modules/network/main.tf",
            "awscc_ec2_vpc.vpc.vpc_id",
            "awscc_ec2_vpc.vpc.vpc_ident",
            "awscc_ec2_vpc.vpc.vpc_ident is no attribute",
        ),
        (
            "no such attribute of aws",
            "modules/eks/main.tf",
            "data.aws_iam_session_context.current.issuer_arn",
            "data.aws_iam_session_context.current.issued_arn",
            "issued_arn is no attribute",
        ),
        (
            "dangling variable",
            "modules/network/main.tf",
            "var.vpc_cidr_block",
            "var.vpc_cidr",
            "var.vpc_cidr is dangling",
        ),
        (
            "unused variable",
            "modules/network/variables.tf",
            "variable \"tags\"",
            "variable \"togs\"",
            "var.togs is never used",
        ),
        (
            "dangling local",
            "modules/eks/main.tf",
            "local.name",
            "local.nome",
            "local.nome is dangling",
        ),
        (
            "no type",
            "modules/network/main.tf",
            "resource \"awscc_ec2_flow_log\"",
            "resource \"awscc_ec2_flow_lag\"",
            "awscc_ec2_flow_lag.flow_log is of no type",
        ),
        (
            "mock",
            "terragrunt/environments/dev/eks/terragrunt.hcl",
            "    vpc_id ",
            "    vpc_ident ",
            "mocks",
        ),
        (
            "dangling output",
            "terragrunt/environments/dev/eks/terragrunt.hcl",
            "outputs.subnet_private_a_id",
            "outputs.subnet_private_z_id",
            "subnet_private_z_id is dangling",
        ),
        (
            "unknown input",
            "terragrunt/environments/dev/eks/terragrunt.hcl",
            "  platform ",
            "  platfurm ",
            "platfurm",
        ),
        (
            "no such module",
            "terragrunt/environments/dev/eks/terragrunt.hcl",
            "modules/eks",
            "modules/eka",
            "there is no module",
        ),
        (
            "provider",
            "modules/network/versions.tf",
            "    awscc = {",
            "    awscd = {",
            "uses awscc and does not require it",
        ),
        (
            "provider of any version",
            "modules/edge/versions.tf",
            "    aws = {",
            "    awz = {",
            "configures aws, which its module does not require",
        ),
        (
            "lost state",
            "terragrunt/shared/terragrunt.hcl",
            "${get_terragrunt_dir()}/",
            "",
            "its state is not beside it",
        ),
    ];
    let case = cases().into_iter().find(|case| case.name == "Ekb").unwrap();
    let (files, evaluated) = (case.export(), evaluated(&case));
    let folder = tempfile::tempdir().unwrap();
    for (fault, path, from, to, _) in &faults {
        let root = folder.path().join(fault.replace(' ', "-"));
        write(&files, &root);
        let text = &files.get(path).unwrap().text;
        assert!(text.contains(from), "{fault}: {from}");
        std::fs::write(root.join(path), text.replace(from, to)).unwrap();
        let mut evaluated = evaluated.clone();
        if *fault == "no such argument" {
            spoil(&mut evaluated);
        }
        std::fs::write(root.join("evaluated.json"), json!(evaluated).to_string()).unwrap();
    }
    let output = judge(folder.path());
    assert!(!output.status.success());
    let text = text(&output);
    for (fault, _, _, _, says) in &faults {
        let place = fault.replace(' ', "-");
        assert!(
            text.lines()
                .any(|line| line.contains(&place) && line.contains(says)),
            "{fault} is not found: {text}"
        );
    }
    for says in [
        "lacks the required addon_name",
        "domane",
        "must be a JSON text",
        "only AWS sets",
        "is no integer",
        "must be a block",
        "must be a number",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
}

/// Values of wrong types, and too much and too little.
fn spoil(evaluated: &mut [Json]) {
    for each in evaluated {
        match each["resource"].as_str().unwrap() {
            "awscc_ec2_eip" => each["body"]["domane"] = json!("vpc"),
            "awscc_iam_role" => {
                each["body"]["assume_role_policy_document"] = json!({ "Statement": [] })
            }
            "awscc_ec2_vpc" => each["body"]["vpc_id"] = json!("vpc-1"),
            "awscc_logs_log_group" => each["body"]["retention_in_days"] = json!("7"),
            "aws_eks_node_group" => {
                each["body"]["scaling_config"] = json!({ "min_size": 1 });
                each["body"]["disk_size"] = json!("20");
            }
            "awscc_eks_addon" => {
                each["body"].as_object_mut().unwrap().remove("addon_name");
            }
            _ => {}
        }
    }
}

fn judge(root: &Path) -> Output {
    Command::new(tool("python/bin/python"))
        .arg(beside("judge.py"))
        .arg(root)
        .arg(tool("node/node_modules/@cdktf/provider-aws"))
        .arg(repository().join("crates/catalog/data/resource-schemas.json"))
        .output()
        .unwrap()
}
