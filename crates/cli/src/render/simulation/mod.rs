//! What a simulation answers: as text that is read in a minute, as one HTML page with a picture of the nodes, as JSON.
//!
//! Promises: the length of text and page is bounded, however large the cluster is (what is folded says so, and JSON has it
//! all); names and reasons, which come from outside, reach neither the terminal's control codes nor the page's markup;
//! the same answer gives the same bytes.

mod amounts;
mod explain;
mod fold;
mod html;
mod steps;
mod text;

use std::collections::BTreeSet;
use std::io::{self, Write};

use autoscale::answer::{Answer, Decision, Kind, Level, Method};

pub use explain::{explain, is_known};
pub use html::html;
pub use text::text;

use crate::terminal;

/// An answer, and what was asked about.
#[derive(Debug, Clone, Copy)]
pub struct SimulationView<'a> {
    /// The snapshot's file name, or the environment's name.
    pub subject: &'a str,
    /// The answer.
    pub answer: &'a Answer,
}

/// Writes the answer as JSON: the document itself.
///
/// # Errors
///
/// When it can't be written.
pub fn json(out: &mut dyn Write, answer: &Answer) -> io::Result<()> {
    terminal::write_json(out, answer)
}

/// What is done, as one word.
const fn verb(kind: Kind) -> &'static str {
    match kind {
        Kind::Launch => "launch",
        Kind::Delete => "delete",
        Kind::Replace => "replace",
        Kind::None => "keep",
    }
}

/// Who decides, in Karpenter's own words.
const fn method(method: Method) -> &'static str {
    match method {
        Method::Provisioning => "provisioning",
        Method::Emptiness => "emptiness",
        Method::Drift => "drift",
        Method::MultiNodeConsolidation => "multi-node consolidation",
        Method::SingleNodeConsolidation => "single-node consolidation",
        Method::Expiration => "expiration",
        Method::Interruption => "interruption",
        Method::Asked => "as asked",
    }
}

/// The decisions that do something.
fn acting(answer: &Answer) -> impl Iterator<Item = &Decision> {
    answer
        .decisions
        .iter()
        .filter(|decision| decision.kind != Kind::None)
}

/// How many findings there are of a level.
fn findings(answer: &Answer, level: Level) -> usize {
    answer
        .findings
        .iter()
        .filter(|finding| finding.level == level)
        .count()
}

/// What happens, in a sentence: `2 nodes are launched, 3 deleted; 4 are left alone.`
fn in_a_sentence(answer: &Answer) -> String {
    let nodes = |kind| {
        answer
            .decisions
            .iter()
            .filter(move |decision| decision.kind == kind)
    };
    let named = |kind| -> usize { nodes(kind).map(|decision| decision.nodes.len()).sum() };
    let parts: Vec<String> = [
        (nodes(Kind::Launch).count(), "launched"),
        (named(Kind::Delete), "deleted"),
        (named(Kind::Replace), "replaced"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .enumerate()
    .map(|(index, (number, what))| match (index, number) {
        (0, 1) => format!("1 node is {what}"),
        (0, _) => format!("{} are {what}", terminal::count(number, "node")),
        _ => format!("{} {what}", terminal::number(number as u64)),
    })
    .collect();
    let alone: usize = fold::by_reason(answer)
        .iter()
        .flat_map(|fold| fold.items.iter())
        .collect::<BTreeSet<_>>()
        .len();
    if !parts.is_empty() {
        let alone = match alone {
            0 => String::new(),
            number => format!("; {} left alone", terminal::number(number as u64)),
        };
        return format!("{}{alone}.", parts.join(", "));
    }
    let mut why = Vec::new();
    match (alone, answer.before.nodes.len()) {
        (1, _) => why.push("1 node was considered and is left alone".to_owned()),
        (0, 0) => why.push("there is no node".to_owned()),
        (0, _) => why.push("no node was considered for disruption".to_owned()),
        (number, _) => why.push(format!(
            "{} were considered and are left alone",
            terminal::count(number, "node")
        )),
    }
    let placed = placed(answer);
    match placed {
        0 => {}
        1 => why.push("1 pod that waits finds a place on a node that is there".to_owned()),
        number => why.push(format!(
            "{} that wait find a place on nodes that are there",
            terminal::count(number, "pod")
        )),
    }
    match answer.unschedulable.len() {
        0 if placed > 0 => {}
        0 => why.push("no pod waits for a node".to_owned()),
        1 => why.push("1 pod waits, and no pool can make a node for it".to_owned()),
        number => why.push(format!(
            "{} wait, and no pool can make nodes for them",
            terminal::count(number, "pod")
        )),
    }
    let what = if placed == 0 {
        "Nothing will happen"
    } else {
        "No node comes or goes"
    };
    let why = match why.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{}, and {last}", rest.join(", ")),
        None => String::new(),
    };
    format!("{what}: {why}.")
}

/// How many pods have no node before and one afterwards.
fn placed(answer: &Answer) -> usize {
    let waiting: BTreeSet<&str> = answer
        .before
        .pending
        .iter()
        .map(|pod| pod.name.as_str())
        .collect();
    let nodes = answer.after.nodes.iter();
    nodes
        .flat_map(|node| &node.pods)
        .filter(|pod| waiting.contains(pod.name.as_str()))
        .count()
}

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::text as rendered;
    use serde_json::{Value, json};

    #[test]
    fn json_has_the_documented_keys() {
        let shown = rendered(|out| super::json(out, &fixtures::answer()));
        let document: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            document["decisions"][1],
            json!({
                "at": "2026-11-21T06:11:37Z",
                "kind": "delete",
                "method": "emptiness",
                "reason": "Empty: no pod but daemons' since 06:02:10, and consolidateAfter is 0s",
                "nodepool": "general",
                "nodes": ["ip-10-1-3-9.eu-central-1.compute.internal"],
                "instance_types": [],
                "chosen": null,
                "zone": null,
                "capacity_type": null,
                "usd_per_hour": 0.0384,
                "pods": [],
            })
        );
        assert_eq!(document["decisions"][3]["kind"], "none");
        assert_eq!(document["cost"]["nodes_without_price"], 1);
        assert_eq!(document["unschedulable"][0]["pod"], "default/train-0");
        assert_eq!(document["findings"][1]["level"], "warning");
        assert_eq!(document["after"]["nodes"][0]["phase"], "launching");
    }
}
