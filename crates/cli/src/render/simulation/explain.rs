//! All that an answer says of one node.

use std::collections::BTreeMap;
use std::io::{self, Write};

use autoscale::answer::{Answer, Decision, NodePicture, Picture};

use super::amounts::{self, Clock};
use super::fold::{self, Group};
use super::{SimulationView, text};
use crate::terminal::{Style, Table, Tone};

/// Pods of the node before the rest is only counted. A node has 250 at most by EKS's own limits.
const MOST_PODS: usize = 300;
/// Decisions of the node before the rest is only counted.
const MOST_DECISIONS: usize = 50;

/// Whether the answer speaks of a node of this name; the name without EC2's domain will do.
pub fn is_known(answer: &Answer, node: &str) -> bool {
    find(&answer.before, node).is_some()
        || find(&answer.after, node).is_some()
        || about(answer, node).next().is_some()
}

fn is(name: &str, node: &str) -> bool {
    name == node || amounts::host(name) == node
}

fn find<'a>(picture: &'a Picture, node: &str) -> Option<&'a NodePicture> {
    picture.nodes.iter().find(|one| is(&one.name, node))
}

fn about<'a>(answer: &'a Answer, node: &str) -> impl Iterator<Item = &'a Decision> {
    answer
        .decisions
        .iter()
        .filter(move |one| one.nodes.iter().any(|name| is(name, node)))
}

/// Writes all that the answer says of one node: what it is, what fills it before and after, what is decided of it and why,
/// where its pods go, what there is to know of them. `node` is the name alone, without `node/`.
///
/// # Errors
///
/// When it can't be written.
pub fn explain(
    out: &mut dyn Write,
    view: &SimulationView<'_>,
    node: &str,
    style: Style,
) -> io::Result<()> {
    let answer = view.answer;
    let (before, after) = (find(&answer.before, node), find(&answer.after, node));
    let known = after.or(before);
    let name = known.map_or(node, |known| known.name.as_str());
    if !is_known(answer, node) {
        let line = format!(
            "{} has no node {}, neither before nor after.",
            amounts::name(view.subject),
            amounts::name(name)
        );
        return text::paragraph(out, &line, 0, Tone::Plain, style);
    }
    writeln!(out, "{}", style.paint(Tone::Strong, &amounts::name(name)))?;
    if let Some(known) = known {
        text::paragraph(out, &what_it_is(known), 2, Tone::Plain, style)?;
        text::paragraph(out, fate(before, after), 2, Tone::Plain, style)?;
        let mut group = Group::default();
        for (side, node) in [(&mut group.before, before), (&mut group.after, after)] {
            *side = node.into_iter().collect();
        }
        writeln!(out)?;
        text::bars(out, &group, 2, style)?;
    }
    decided(out, answer, node, style)?;
    if let Some(known) = before.or(after) {
        pods(out, answer, known, before.is_some(), style)?;
    }
    findings(out, answer, known, name, style)
}

fn what_it_is(node: &NodePicture) -> String {
    let mut parts: Vec<String> = [&node.instance_type, &node.zone, &node.capacity_type]
        .into_iter()
        .flatten()
        .map(|text| amounts::name(text))
        .collect();
    parts.push(match &node.nodepool {
        Some(pool) => format!("node pool {}", amounts::name(pool)),
        None => "of no node pool: Karpenter leaves it alone".to_owned(),
    });
    parts.extend(text::phase(node.phase).map(str::to_owned));
    parts.push(match node.usd_per_hour {
        Some(usd) => format!(
            "{} an hour, {} a month",
            amounts::hourly(usd),
            amounts::monthly(usd * 730.0)
        ),
        None => "price not known".to_owned(),
    });
    parts.join(", ")
}

const fn fate(before: Option<&NodePicture>, after: Option<&NodePicture>) -> &'static str {
    match (before, after) {
        (Some(_), Some(_)) => "It is there before and after.",
        (None, Some(_)) => "It is new.",
        (Some(_), None) => "It goes.",
        (None, None) => "It comes, and goes again.",
    }
}

fn decided(out: &mut dyn Write, answer: &Answer, node: &str, style: Style) -> io::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "{}",
        style.strong(Tone::Plain, "What is decided of it")
    )?;
    let clock = Clock::of(answer);
    let steps = super::steps::steps(about(answer, node), MOST_DECISIONS);
    if steps.steps.is_empty() {
        let line = "Nothing: it was not considered.";
        return text::paragraph(out, line, 2, Tone::Plain, style);
    }
    text::write_steps(out, &steps.steps, clock, style)
}

/// Writes the node's pods; of those before, where they are afterwards.
fn pods(
    out: &mut dyn Write,
    answer: &Answer,
    node: &NodePicture,
    is_before: bool,
    style: Style,
) -> io::Result<()> {
    if node.pods.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let (title, last) = if is_before {
        ("Its pods, and where they are afterwards", "AFTERWARDS")
    } else {
        ("Its pods", "")
    };
    writeln!(out, "{}", style.strong(Tone::Plain, title))?;
    let whereabouts = is_before.then(|| whereabouts(&answer.after));
    let mut table = Table::new(&["POD", "OWNER", "CPU", "MEMORY", last]).indented(2);
    for pod in node.pods.iter().take(MOST_PODS) {
        let (tone, place) = match &whereabouts {
            None => (Tone::Plain, String::new()),
            Some(places) => match places.get(pod.name.as_str()) {
                Some(Some(place)) if *place == node.name => (Tone::Dim, "here".to_owned()),
                Some(Some(place)) => (Tone::Changed, amounts::node(place)),
                Some(None) => (Tone::Removed, "waits for a place".to_owned()),
                None => (Tone::Dim, "gone".to_owned()),
            },
        };
        let name_tone = if pod.daemon { Tone::Dim } else { Tone::Plain };
        table.row([
            (name_tone, amounts::name(&pod.name)),
            (
                Tone::Dim,
                pod.owner.as_deref().map_or_else(String::new, amounts::name),
            ),
            (Tone::Plain, amounts::cpu(pod.cpu_milli)),
            (Tone::Plain, amounts::memory(pod.memory_bytes)),
            (tone, place),
        ]);
    }
    table.write(out, style)?;
    if node.pods.len() > MOST_PODS {
        let line = format!("and {} more", node.pods.len() - MOST_PODS);
        text::paragraph(out, &line, 2, Tone::Dim, style)?;
    }
    Ok(())
}

/// Each pod's node; none for one that waits.
fn whereabouts(picture: &Picture) -> BTreeMap<&str, Option<&str>> {
    let pending = picture.pending.iter().map(|pod| (pod.name.as_str(), None));
    let placed = picture.nodes.iter().flat_map(|node| {
        node.pods
            .iter()
            .map(move |pod| (pod.name.as_str(), Some(node.name.as_str())))
    });
    pending.chain(placed).collect()
}

/// Writes the findings about the node, its pool and its pods.
fn findings(
    out: &mut dyn Write,
    answer: &Answer,
    node: Option<&NodePicture>,
    name: &str,
    style: Style,
) -> io::Result<()> {
    let pool = node.and_then(|node| node.nodepool.as_deref());
    let pods = node.map(|node| node.pods.as_slice()).unwrap_or_default();
    let concerns = |about: &str| match about.split_once('/') {
        Some(("NodePool", of)) => Some(of) == pool,
        Some(("Pod", of)) => pods.iter().any(|pod| pod.name == of),
        Some((_, of)) => of == name,
        None => about == name,
    };
    let mut folds = fold::findings(answer);
    folds.retain_mut(|fold| {
        fold.items.retain(|about| concerns(about));
        !fold.items.is_empty()
    });
    if folds.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "{}", style.strong(Tone::Plain, "Findings"))?;
    text::write_findings(out, &folds, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::text as rendered;
    use crate::render::simulation::fixtures::{answer, large};

    fn explained(answer: &Answer, node: &str) -> String {
        let view = SimulationView {
            subject: "cluster.yaml",
            answer,
        };
        rendered(|out| explain(out, &view, node, Style::PLAIN))
    }

    #[test]
    fn one_node_is_told_with_its_pods_and_where_they_go() {
        insta::assert_snapshot!(explained(&answer(), "ip-10-1-3-7"));
    }

    #[test]
    fn a_node_that_stays_says_what_stands_in_the_way() {
        insta::assert_snapshot!(explained(&answer(), "ip-10-1-2-20"));
    }

    #[test]
    fn an_unknown_node_is_said_to_be_unknown() {
        assert!(!is_known(&answer(), "ip-10-9-9-9"));
        assert!(explained(&answer(), "ip-10-9-9-9").contains("no node ip-10-9-9-9"));
    }

    #[test]
    fn every_node_of_a_large_cluster_is_known() {
        let large = large(1000);
        let name = &large.before.nodes[500].name;
        assert!(is_known(&large, name) && is_known(&large, amounts::host(name)));
    }
}
