//! The decisions in order, each with its reason.

use std::io::{self, Write};

use autoscale::answer::{Answer, Kind};

use super::{MOST_NAMES, paragraph, section};
use crate::render::simulation::amounts::{self, Clock};
use crate::render::simulation::fold::listed;
use crate::render::simulation::steps::{self, Step};
use crate::render::simulation::{acting, method};
use crate::terminal::{self, Style, Tone, count};

/// Decisions, or steps of several.
const MOST_STEPS: usize = 20;

/// Writes what is decided, in order.
pub(super) fn write(out: &mut dyn Write, answer: &Answer, style: Style) -> io::Result<()> {
    let number = acting(answer).count();
    if number == 0 {
        return Ok(());
    }
    let title = format!("Decisions ({})", terminal::number(number as u64));
    section(out, &title, Tone::Plain, style)?;
    let steps = steps::steps(acting(answer), MOST_STEPS);
    write_steps(out, &steps.steps, Clock::of(answer), style)?;
    if steps.left_out > 0 {
        let note = format!(
            "{} more; `-o json` has each.",
            count(steps.left_out, "decision")
        );
        paragraph(out, &note, 2, Tone::Dim, style)?;
    }
    Ok(())
}

fn look(kind: Kind) -> (&'static str, Tone) {
    match kind {
        Kind::Launch => ("+", Tone::Added),
        Kind::Delete => ("-", Tone::Removed),
        Kind::Replace => ("~", Tone::Replaced),
        Kind::None => (" ", Tone::Dim),
    }
}

/// Writes decisions: of each when and what on the first line, then why and for whom.
pub(in crate::render::simulation) fn write_steps(
    out: &mut dyn Write,
    steps: &[Step<'_>],
    clock: Clock,
    style: Style,
) -> io::Result<()> {
    let times: Vec<(String, String)> = steps
        .iter()
        .map(|step| {
            let at = &step.first.at;
            (clock.short(at), clock.since(at).unwrap_or_default())
        })
        .collect();
    let left = times
        .iter()
        .flat_map(|(at, since)| [at, since])
        .map(|text| text.chars().count())
        .max()
        .unwrap_or_default();
    for (step, time) in steps.iter().zip(times) {
        write_step(out, step, time, left, clock, style)?;
    }
    Ok(())
}

fn write_step(
    out: &mut dyn Write,
    step: &Step<'_>,
    (begun, since): (String, String),
    left: usize,
    clock: Clock,
    style: Style,
) -> io::Result<()> {
    let (sign, tone) = look(step.first.kind);
    let indent = 2 + left + 4;
    let width = style.columns().saturating_sub(indent).max(30);

    let headline = step.headline();
    let mut what = format!("{} {}", headline.verb, headline.what);
    if let Some(price) = headline.price {
        what.push_str(&format!(", {price}"));
    }
    let until = clock.short(&step.last().at);
    if until != begun {
        what.push_str(&format!(", until {until}"));
    }
    let mut lines: Vec<(Tone, String)> = Vec::new();
    for (index, line) in terminal::wrapped(&what, width).into_iter().enumerate() {
        let tone = if index == 0 { tone } else { Tone::Plain };
        lines.push((tone, line));
    }
    for sentence in sentences(step) {
        lines.extend(
            terminal::wrapped(&sentence, width)
                .into_iter()
                .map(|line| (Tone::Plain, line)),
        );
    }
    for (index, (line_tone, line)) in lines.into_iter().enumerate() {
        let (margin, sign) = match index {
            0 => (format!("{begun:<left$}"), style.paint(tone, sign)),
            1 => (format!("{since:<left$}"), " ".to_owned()),
            _ => (" ".repeat(left), " ".to_owned()),
        };
        let margin = style.paint(Tone::Dim, &margin);
        let line = match line.split_once(' ').filter(|_| index == 0) {
            Some((verb, rest)) => format!("{} {rest}", style.paint(line_tone, verb)),
            None => line,
        };
        writeln!(out, "  {margin}  {sign} {line}")?;
    }
    Ok(())
}

/// Why, which nodes, which types, which pods.
fn sentences(step: &Step<'_>) -> Vec<String> {
    let first = step.first;
    let reasons = step.reasons();
    let mut sentences = Vec::new();
    for (reason, times) in reasons.iter().take(2) {
        let times = match (reasons.len(), times) {
            (1, _) => String::new(),
            (_, times) => format!(" ({} times)", terminal::number(*times as u64)),
        };
        sentences.push(format!(
            "{}: {}{times}",
            method(first.method),
            amounts::sentence(reason)
        ));
    }
    if reasons.len() > 2 {
        sentences.push(format!("and {}", count(reasons.len() - 2, "other reason")));
    }
    let nodes: Vec<&str> = step.nodes().into_iter().map(amounts::host).collect();
    if !nodes.is_empty() {
        let label = match first.kind {
            Kind::Launch => "as",
            Kind::Replace => "instead of",
            Kind::Delete | Kind::None => "nodes:",
        };
        sentences.push(format!("{label} {}", listed(&nodes, MOST_NAMES)));
    }
    if step.count() == 1 && first.instance_types.len() > 1 {
        sentences.push(format!(
            "asked for any of {}: {}",
            count(first.instance_types.len(), "type"),
            listed(&first.instance_types, MOST_NAMES)
        ));
    }
    let pods = step.pods();
    if !pods.is_empty() {
        let label = match first.kind {
            Kind::Launch => "for",
            _ => "moves",
        };
        sentences.push(format!(
            "{label} {}: {}",
            count(pods.len(), "pod"),
            listed(&pods, MOST_NAMES)
        ));
    }
    sentences
}
