//! The comments at the top of the files: what to fill in, and what eksctl does not make.

use std::collections::BTreeMap;

use crate::{Scoped, header};

use super::cluster::SECRETS_KEY_ARN;
use super::karpenter::KARPENTER_VERSION;
use super::ledger::{Fate, Ledger};
use super::text::ACCOUNT_ID;

const COMMAND: &str = "export eksctl";
/// The longest line of a comment.
const WIDTH: usize = 120;

/// Each placeholder, and what goes in its place.
const PLACEHOLDERS: [(&str, &str); 3] = [
    (
        ACCOUNT_ID,
        "the account's twelve digits; `aws.account` in platform.yaml fills them in",
    ),
    (
        SECRETS_KEY_ARN,
        "the ARN of a KMS key of yours, of `aws kms create-key` for one; eksctl makes none",
    ),
    (
        KARPENTER_VERSION,
        "a version of Karpenter that runs on this Kubernetes (karpenter.sh, Compatibility)",
    ),
];

/// `cluster.yaml`.
pub(super) fn cluster(scope: Scoped<'_>, ledger: &Ledger, body: &str) -> String {
    let mut text = header(&scope.platform.platform, COMMAND);
    fill_in(&mut text, body);
    let of = |group: fn(&Fate) -> Option<String>| -> BTreeMap<String, Vec<&str>> {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (address, fate) in ledger.entries() {
            if let Some(group) = group(fate) {
                groups.entry(group).or_default().push(address.as_str());
            }
        }
        groups
    };
    section(
        &mut text,
        "Must be there before eksctl runs",
        of(|fate| match fate {
            Fate::Referenced { field } => Some((*field).to_owned()),
            _ => None,
        }),
    );
    section(
        &mut text,
        "Not made by eksctl, and left to you",
        of(|fate| (*fate == Fate::LeftOut).then(String::new)),
    );
    section(
        &mut text,
        "Made by eksctl in its own way",
        of(|fate| match fate {
            Fate::Implied { field } => Some((*field).to_owned()),
            _ => None,
        }),
    );
    section(
        &mut text,
        "What eksctl has no words for",
        of(|fate| match fate {
            Fate::Expressed { lost, .. } if !lost.is_empty() => Some(lost.join(" and ")),
            _ => None,
        }),
    );
    text.push('\n');
    text.push_str(body);
    text
}

/// `karpenter-nodes.yaml`.
pub(super) fn afterwards(scope: Scoped<'_>, body: &str) -> String {
    let mut text = header(&scope.platform.platform, COMMAND);
    fill_in(&mut text, body);
    text.push_str(
        "#\n# For `eksctl create accessentry -f`, once the cluster is there: lets the nodes in that Karpenter makes.\n\n",
    );
    text.push_str(body);
    text
}

fn fill_in(text: &mut String, body: &str) {
    let there: Vec<_> = PLACEHOLDERS
        .iter()
        .filter(|(placeholder, _)| body.contains(placeholder))
        .collect();
    if there.is_empty() {
        return;
    }
    text.push_str("#\n# To be filled in:\n");
    for (placeholder, meaning) in there {
        text.push_str(&format!("#   {placeholder}: {meaning}.\n"));
    }
}

/// A title and groups of addresses below it, as many in a line as fit.
fn section(text: &mut String, title: &str, groups: BTreeMap<String, Vec<&str>>) {
    if groups.is_empty() {
        return;
    }
    text.push_str(&format!("#\n# {title}:\n"));
    for (name, addresses) in groups {
        let mut line = match name.as_str() {
            "" => String::from("#  "),
            name => format!("#   {name}:"),
        };
        for (place, address) in addresses.iter().enumerate() {
            let comma = if place + 1 < addresses.len() { "," } else { "" };
            let word = format!(" {address}{comma}");
            if line.len() + word.len() > WIDTH {
                text.push_str(&line);
                text.push('\n');
                line = String::from("#    ");
            }
            line.push_str(&word);
        }
        text.push_str(&line);
        text.push('\n');
    }
}
