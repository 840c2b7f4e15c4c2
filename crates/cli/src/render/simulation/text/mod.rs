//! The answer as text that is read in a minute: what happens, the nodes before and after, the decisions with their reasons,
//! the cost, what pods wait for, and what there is to know besides.

use std::io::{self, Write};

use autoscale::answer::{Answer, Level};

use super::amounts::{self, Clock};
use super::fold::{self, Reasoned, listed};
use super::{SimulationView, in_a_sentence, method};
use crate::terminal::{self, Style, Tone, count};

mod decisions;
mod nodes;

pub(super) use decisions::write_steps;
pub(super) use nodes::{bars, phase};

/// Reasons of one list.
const MOST_REASONS: usize = 8;
/// Names of one list.
const MOST_NAMES: usize = 4;

/// Writes the answer for people.
///
/// # Errors
///
/// When it can't be written.
pub fn text(out: &mut dyn Write, view: &SimulationView<'_>, style: Style) -> io::Result<()> {
    let answer = view.answer;
    heading(out, view, style)?;
    nodes::write(out, answer, style)?;
    decisions::write(out, answer, style)?;
    left_alone(out, answer, style)?;
    cost(out, answer, style)?;
    waiting(out, answer, style)?;
    findings(out, answer, style)
}

/// Writes what was simulated, and what comes of it in a few sentences.
fn heading(out: &mut dyn Write, view: &SimulationView<'_>, style: Style) -> io::Result<()> {
    let answer = view.answer;
    let until = Clock::of(answer)
        .lasts(&answer.until)
        .map_or_else(String::new, |lasts| format!(" for {lasts}"));
    let how = format!(
        "(from {}{until}; as Karpenter {} decides; seed {})",
        Clock::moment(&answer.at),
        amounts::name(&answer.karpenter_version),
        answer.seed,
    );
    let title = format!("Simulated {}", amounts::name(view.subject));
    let line = format!("{title} {how}");
    for (index, line) in terminal::wrapped(&line, style.columns()).iter().enumerate() {
        match line.strip_prefix(&title).filter(|_| index == 0) {
            Some(rest) => writeln!(
                out,
                "{}{}",
                style.paint(Tone::Strong, &title),
                style.paint(Tone::Dim, rest)
            )?,
            None => writeln!(out, "{}", style.paint(Tone::Dim, line))?,
        }
    }
    writeln!(out)?;
    paragraph(out, &in_a_sentence(answer), 0, Tone::Strong, style)?;
    if let Some(cost) = amounts::cost_in_a_sentence(answer) {
        paragraph(out, &cost, 0, Tone::Plain, style)?;
    }
    let waits = answer.unschedulable.len();
    if waits > 0 {
        let verb = if waits == 1 { "waits" } else { "wait" };
        let line = format!("{} {verb} for a place in the end.", count(waits, "pod"));
        paragraph(out, &line, 0, Tone::Removed, style)?;
    }
    let warnings = super::findings(answer, Level::Warning);
    if warnings > 0 {
        let line = format!("{}: see the end.", count(warnings, "warning"));
        paragraph(out, &line, 0, Tone::Changed, style)?;
    }
    Ok(())
}

fn section(out: &mut dyn Write, title: &str, tone: Tone, style: Style) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{}", style.strong(tone, title))
}

/// Writes a text, wrapped, so many blanks before each line.
pub(super) fn paragraph(
    out: &mut dyn Write,
    text: &str,
    indent: usize,
    tone: Tone,
    style: Style,
) -> io::Result<()> {
    let width = style.columns().saturating_sub(indent).max(30);
    for line in terminal::wrapped(text, width) {
        writeln!(out, "{:indent$}{}", "", style.paint(tone, &line))?;
    }
    Ok(())
}

fn left_alone(out: &mut dyn Write, answer: &Answer, style: Style) -> io::Result<()> {
    let folds = fold::by_reason(answer);
    if folds.is_empty() {
        return Ok(());
    }
    section(out, "Left alone", Tone::Plain, style)?;
    reasons(
        out,
        &folds,
        "node",
        |fold| format!("{}: {}", method(fold.by), amounts::sentence(fold.reason)),
        style,
    )?;
    let note = "`--explain node/NAME` tells all of one node.";
    paragraph(out, note, 2, Tone::Dim, style)
}

/// Writes a list of reasons, each with how many it is about and the first of their names.
fn reasons<K>(
    out: &mut dyn Write,
    folds: &[Reasoned<'_, K>],
    word: &str,
    say: impl Fn(&Reasoned<'_, K>) -> String,
    style: Style,
) -> io::Result<()> {
    let shown = &folds[..folds.len().min(MOST_REASONS)];
    let left = shown
        .iter()
        .map(|fold| count(fold.items.len(), word).chars().count())
        .max()
        .unwrap_or_default();
    let width = style.columns().saturating_sub(left + 4).max(30);
    for fold in shown {
        let mut margin = count(fold.items.len(), word);
        let names: Vec<&str> = fold.items.iter().map(|item| amounts::host(item)).collect();
        let names = listed(&names, MOST_NAMES);
        let lines = terminal::wrapped(&say(fold), width)
            .into_iter()
            .map(|line| (Tone::Plain, line));
        let names = terminal::wrapped(&names, width)
            .into_iter()
            .map(|line| (Tone::Dim, line));
        for (tone, line) in lines.chain(names) {
            let line = style.paint(tone, &line);
            writeln!(out, "  {margin:<left$}  {line}")?;
            margin.clear();
        }
    }
    if folds.len() > shown.len() {
        let rest = &folds[shown.len()..];
        let about: usize = rest.iter().map(|fold| fold.items.len()).sum();
        let note = format!(
            "{} for {}; `-o json` has each.",
            count(rest.len(), "more reason"),
            count(about, word)
        );
        paragraph(out, &note, 2, Tone::Dim, style)?;
    }
    Ok(())
}

fn cost(out: &mut dyn Write, answer: &Answer, style: Style) -> io::Result<()> {
    if !amounts::any_price(answer) {
        return Ok(());
    }
    section(out, "Cost", Tone::Plain, style)?;
    let cost = &answer.cost;
    let hour = cost.after_usd_per_hour - cost.before_usd_per_hour;
    let month = cost.after_usd_per_month - cost.before_usd_per_month;
    let tone = match amounts::monthly(month).as_str() {
        "$0.00" => Tone::Plain,
        _ if month < 0.0 => Tone::Added,
        _ => Tone::Changed,
    };
    let percent = amounts::change(cost.before_usd_per_month, cost.after_usd_per_month);
    let rows = [
        (
            Tone::Plain,
            "before",
            amounts::hourly(cost.before_usd_per_hour),
            amounts::monthly(cost.before_usd_per_month),
        ),
        (
            Tone::Plain,
            "after",
            amounts::hourly(cost.after_usd_per_hour),
            amounts::monthly(cost.after_usd_per_month),
        ),
        (
            tone,
            "difference",
            amounts::signed(hour, amounts::hourly),
            amounts::signed(month, amounts::monthly),
        ),
    ];
    let widest = |of: fn(&(Tone, &str, String, String)) -> usize, least: usize| {
        rows.iter().map(of).max().unwrap_or_default().max(least)
    };
    let hours = widest(|row| row.2.chars().count(), "an hour".len());
    let months = widest(|row| row.3.chars().count(), "a month".len());
    let head = format!("  {:10}  {:>hours$}  {:>months$}", "", "an hour", "a month");
    writeln!(out, "{}", style.paint(Tone::Dim, &head))?;
    for (index, (tone, label, hour, month)) in rows.iter().enumerate() {
        let percent = match (index, &percent) {
            (2, Some(percent)) => format!("  {percent}"),
            _ => String::new(),
        };
        let line = format!("{hour:>hours$}  {month:>months$}{percent}");
        writeln!(out, "  {label:10}  {}", style.paint(*tone, &line))?;
    }
    for remark in amounts::cost_remarks(cost) {
        paragraph(out, &remark, 2, Tone::Dim, style)?;
    }
    Ok(())
}

fn waiting(out: &mut dyn Write, answer: &Answer, style: Style) -> io::Result<()> {
    let folds = fold::waiting(answer);
    if folds.is_empty() {
        return Ok(());
    }
    section(out, "Waiting for a place", Tone::Removed, style)?;
    let say = |fold: &Reasoned<'_, ()>| amounts::sentence(fold.reason);
    reasons(out, &folds, "pod", say, style)
}

fn findings(out: &mut dyn Write, answer: &Answer, style: Style) -> io::Result<()> {
    let folds = fold::findings(answer);
    if folds.is_empty() {
        return Ok(());
    }
    section(out, "Findings", Tone::Plain, style)?;
    write_findings(out, &folds, style)
}

/// Writes findings: how much it matters, what about, what.
pub(super) fn write_findings(
    out: &mut dyn Write,
    folds: &[Reasoned<'_, Level>],
    style: Style,
) -> io::Result<()> {
    let width = style.columns().saturating_sub(11).max(30);
    for level in [Level::Warning, Level::Note] {
        let of_level: Vec<_> = folds.iter().filter(|fold| fold.by == level).collect();
        let (label, tone) = match level {
            Level::Warning => ("warning", Tone::Changed),
            Level::Note => ("note", Tone::Dim),
        };
        for fold in of_level.iter().take(MOST_REASONS) {
            let about = listed(&fold.items, MOST_NAMES);
            let line = format!("{about}: {}", amounts::sentence(fold.reason));
            for (index, line) in terminal::wrapped(&line, width).iter().enumerate() {
                let margin = if index == 0 { label } else { "" };
                let margin = style.paint(tone, &format!("{margin:<7}"));
                writeln!(out, "  {margin}  {line}")?;
            }
        }
        if of_level.len() > MOST_REASONS {
            let more = of_level.len() - MOST_REASONS;
            let note = format!(
                "{}; `-o json` has each.",
                count(more, &format!("more {label}"))
            );
            paragraph(out, &note, 2, Tone::Dim, style)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
