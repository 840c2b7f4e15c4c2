//! `parliament`, a linter of IAM policies, over all policies in the files.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value as Json;

use crate::exports::{JUDGES, all, run};
use crate::faithful::substituted;

/// What parliament 1.6.4 says wrongly, because its list of actions is older than these: the finding, and its detail.
/// The actions are in the API references of Amazon EC2 and ELB v2; the condition key is in the policy that the AWS Load
/// Balancer Controller's documentation gives it.
const UNKNOWN_TO_IT: [(&str, &str); 3] = [
    ("UNKNOWN_ACTION", "Unknown action ec2:CopyVolumes"),
    (
        "UNKNOWN_ACTION",
        "Unknown action elasticloadbalancing:ModifyIpPools",
    ),
    (
        "UNKNOWN_CONDITION_FOR_ACTION",
        "Unknown condition elasticloadbalancing:CreateAction for action elasticloadbalancing:AddTags",
    ),
];

/// The distinct policies.
fn policies() -> BTreeSet<String> {
    let mut policies = BTreeSet::new();
    for exported in all() {
        collect(&exported.cluster, &mut |policy| {
            policies.insert(substituted(exported, policy).to_string());
        });
    }
    policies
}

fn collect(document: &Json, found: &mut impl FnMut(&Json)) {
    match document {
        Json::Object(object) => {
            for (key, value) in object {
                match key.as_str() {
                    "permissionPolicy" | "attachPolicy" => found(value),
                    _ => collect(value, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn findings(folder: &std::path::Path) -> Vec<Json> {
    let mut command = Command::new("sh");
    // It tells by its exit code that it found something, which is not a failure here.
    let script = format!("'{JUDGES}/parliament' --json --directory \"$1\" || [ $? = 1 ]");
    command.args(["-c", &script, "sh"]).arg(folder);
    let output = String::from_utf8(run(command, b"")).unwrap();
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn parliament_finds_nothing_that_is_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut documents = BTreeMap::new();
    for (place, policy) in policies().into_iter().enumerate() {
        let path = folder.path().join(format!("{place:03}.json"));
        std::fs::write(&path, &policy).unwrap();
        documents.insert(
            path.display().to_string(),
            serde_json::from_str::<Json>(&policy).unwrap(),
        );
    }
    assert!(documents.len() > 10, "{}", documents.len());
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for finding in findings(folder.path()) {
        let (issue, detail) = (finding["issue"].as_str().unwrap(), &finding["detail"]);
        let place = UNKNOWN_TO_IT
            .iter()
            .position(|(name, text)| *name == issue && detail.as_str() == Some(text));
        let path = finding["location"]["filepath"].as_str().unwrap_or_default();
        match place {
            Some(place) => {
                known.insert(place);
            }
            None if issue == "RESOURCE_MISMATCH" && is_elsewhere(detail, &documents[path]) => {}
            None => wrong.push(finding),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        known.len(),
        UNKNOWN_TO_IT.len(),
        "some is said no more: {known:?}"
    );
}

/// An action on two kinds of resource may be allowed by two statements, one for each. Parliament asks for both in each
/// statement; what it asks for must be in another one.
fn is_elsewhere(detail: &Json, policy: &Json) -> bool {
    let asked = detail.as_array().unwrap();
    asked.iter().all(|asked| {
        let format = asked["required_format"].as_str().unwrap();
        let kind = format.rsplit(':').next().unwrap();
        policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .any(|statement| {
                let has = |name: &str, wanted: &dyn Fn(&str) -> bool| match &statement[name] {
                    Json::Array(items) => items.iter().any(|item| wanted(item.as_str().unwrap())),
                    item => item.as_str().is_some_and(wanted),
                };
                has("Action", &|action| asked["action"] == action)
                    && has("Resource", &|arn| arn.ends_with(kind))
            })
    })
}

#[test]
fn parliament_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:NoSuch","Resource":"*"}]}"#;
    std::fs::write(folder.path().join("wrong.json"), policy).unwrap();
    let found = findings(folder.path());
    assert!(
        found
            .iter()
            .any(|finding| finding["issue"] == "UNKNOWN_ACTION"),
        "{found:?}"
    );
}
