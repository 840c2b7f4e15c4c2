//! The nodes before and after, with bars of what fills them.

use std::io::{self, Write};

use autoscale::answer::{Amounts, Answer, Phase};

use super::{paragraph, section};
use crate::render::simulation::amounts;
use crate::render::simulation::fold::{self, Detail, Group, Nodes, Side};
use crate::terminal::{self, Style, Tone, count};

/// Groups of nodes; some three lines each.
const MOST_GROUPS: usize = 14;
const POD: char = '█';
const DAEMON: char = '▒';
const FREE: char = '·';

/// Writes the nodes by pool, what fills them before and after.
pub(super) fn write(out: &mut dyn Write, answer: &Answer, style: Style) -> io::Result<()> {
    let (before, after) = (answer.before.nodes.len(), answer.after.nodes.len());
    if before == 0 && after == 0 {
        return Ok(());
    }
    let nodes = fold::nodes(answer, MOST_GROUPS);
    let title = format!("Nodes ({})", turned(before, after));
    section(out, &title, Tone::Plain, style)?;
    let legend = format!("  {POD} pods  {DAEMON} daemons  {FREE} free");
    writeln!(out, "{}", style.paint(Tone::Dim, &legend))?;
    let groups = nodes.pools.iter().flat_map(|pool| &pool.groups);
    let width = groups
        .filter_map(|group| group.name)
        .map(|name| amounts::node(name).chars().count())
        .max()
        .unwrap_or_default()
        .min(44);
    for pool in &nodes.pools {
        pool_heading(out, &pool.title(), &pool.all, &nodes, style)?;
        for group in &pool.groups {
            if nodes.detail != Detail::Pool {
                group_heading(out, group, width, style)?;
            }
            bars(out, group, 6, style)?;
        }
    }
    if let Some((number, all)) = &nodes.other {
        pool_heading(out, &count(*number, "other pool"), all, &nodes, style)?;
        bars(out, all, 6, style)?;
    }
    if nodes.detail != Detail::Node {
        let note =
            "Nodes that are alike are shown as one; `-o html` draws them and `-o json` has each.";
        paragraph(out, note, 2, Tone::Dim, style)?;
    }
    Ok(())
}

/// `5 → 4`, or `5`.
fn turned(before: usize, after: usize) -> String {
    let [before, after] = [before, after].map(|nodes| terminal::number(nodes as u64));
    if before == after {
        after
    } else {
        format!("{before} → {after}")
    }
}

/// `5 → 4 nodes`, or `5 nodes`.
fn turns(before: usize, after: usize) -> String {
    let plural = if after == 1 { "" } else { "s" };
    format!("{} node{plural}", turned(before, after))
}

fn price(group: &Group<'_>) -> Option<String> {
    let before = amounts::hourly(group.before.cost()?);
    let after = amounts::hourly(group.after.cost()?);
    Some(match (group.before.nodes.len(), group.after.nodes.len()) {
        (0, _) => after,
        (_, 0) => before,
        _ if before == after => after,
        _ => format!("{before} → {after}"),
    })
}

fn pool_heading(
    out: &mut dyn Write,
    title: &str,
    all: &Group<'_>,
    nodes: &Nodes<'_>,
    style: Style,
) -> io::Result<()> {
    let mut parts = vec![turns(all.before.nodes.len(), all.after.nodes.len())];
    if let Some(price) = price(all) {
        parts.push(format!("{price} an hour"));
    }
    if nodes.detail == Detail::Pool {
        parts.extend(all.kinds());
    }
    writeln!(out)?;
    let lines = terminal::wrapped(
        &format!("{title}: {}", parts.join(", ")),
        style.columns().saturating_sub(2),
    );
    for (index, line) in lines.iter().enumerate() {
        match line.strip_prefix(title).filter(|_| index == 0) {
            Some(rest) => writeln!(out, "  {}{rest}", style.paint(Tone::Strong, title))?,
            None => writeln!(out, "  {line}")?,
        }
    }
    Ok(())
}

/// What becomes of a group, as a sign and a word.
fn fate(group: &Group<'_>) -> (&'static str, Tone) {
    if group.before.nodes.is_empty() {
        ("+", Tone::Added)
    } else if group.after.nodes.is_empty() {
        ("-", Tone::Removed)
    } else if group.changes() {
        ("~", Tone::Changed)
    } else {
        (" ", Tone::Plain)
    }
}

fn group_heading(
    out: &mut dyn Write,
    group: &Group<'_>,
    width: usize,
    style: Style,
) -> io::Result<()> {
    let (sign, tone) = fate(group);
    let mut details = group.kinds().join(", ");
    let title = match group.name {
        Some(name) => amounts::node(name),
        None => std::mem::take(&mut details),
    };
    let mut more = Vec::new();
    if !details.is_empty() {
        more.push(details);
    }
    if group.name.is_none() {
        let (before, after) = (group.before.nodes.len(), group.after.nodes.len());
        more.push(turns(before, after));
    }
    more.extend(price(group));
    if let Some(phase) = one_phase(group) {
        more.push(phase.to_owned());
    }
    let more = more.join(", ");
    let sign = style.paint(tone, sign);
    let name = style.paint(tone, &title);
    let used = title.chars().count().max(width);
    if 4 + used + 2 + more.chars().count() <= style.columns() {
        let blanks = used - title.chars().count() + 2;
        return writeln!(out, "  {sign} {name}{:blanks$}{more}", "");
    }
    writeln!(out, "  {sign} {name}")?;
    paragraph(out, &more, 6, Tone::Plain, style)
}

/// Where a node is in its life, where it is not simply ready.
fn one_phase(group: &Group<'_>) -> Option<&'static str> {
    group.name?;
    let last = group.after.nodes.first().or(group.before.nodes.first())?;
    phase(last.phase)
}

/// A phase as a word; none for a node that is there and takes pods.
pub(in crate::render::simulation) const fn phase(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Ready => None,
        Phase::Launching => Some("launching"),
        Phase::Closed => Some("takes no pods"),
        Phase::Deleting => Some("being deleted"),
    }
}

/// Writes what fills the nodes, before and after; once where nothing changes.
pub(in crate::render::simulation) fn bars(
    out: &mut dyn Write,
    group: &Group<'_>,
    indent: usize,
    style: Style,
) -> io::Result<()> {
    let sides: &[(&str, &Side<'_>)] = if group.changes() {
        &[("before", &group.before), ("after", &group.after)]
    } else {
        &[("same", &group.after)]
    };
    let width = (style.columns().saturating_sub(indent + 45) / 2).clamp(8, 24);
    for (label, side) in sides {
        if side.nodes.is_empty() {
            continue;
        }
        let bar = |of: fn(&Amounts) -> i64| {
            let whole = of(&side.allocatable);
            let (all, daemons) = (of(&side.requested), of(&side.daemons));
            let share = amounts::share(all, whole);
            let full = amounts::percent(share);
            let tone = match share {
                Some(share) if share > 1.0 => Tone::Removed,
                _ => Tone::Plain,
            };
            format!(
                "{} {}",
                bar(all, daemons, whole, width, style),
                style.paint(tone, &format!("{full:>5}"))
            )
        };
        let pods = side.requested.pods.max(0).unsigned_abs();
        let pods = count(usize::try_from(pods).unwrap_or(usize::MAX), "pod");
        writeln!(
            out,
            "{:indent$}{}  CPU {}  memory {}  {pods}",
            "",
            style.paint(Tone::Dim, &format!("{label:<6}")),
            bar(|amounts| amounts.cpu_milli),
            bar(|amounts| amounts.memory_bytes),
        )?;
    }
    Ok(())
}

/// A bar: daemons, the other pods, what is free. What there is at all is seen; only what is full looks full.
fn bar(all: i64, daemons: i64, whole: i64, width: usize, style: Style) -> String {
    let cells = |part: i64| {
        let share = amounts::share(part, whole).unwrap_or_default();
        let cells = (share.min(1.0) * width as f64).round() as usize;
        let least = usize::from(part > 0 && whole > 0);
        let most = if share < 1.0 { width - 1 } else { width };
        cells.clamp(least, most.max(least))
    };
    let pods = all.saturating_sub(daemons.max(0));
    let filled = cells(all).max(cells(daemons));
    let daemons = match cells(daemons) {
        // Pods beside the daemons are seen too.
        cells if pods > 0 && cells >= filled => filled.saturating_sub(1),
        cells => cells,
    };
    let run = |c: char, number: usize| c.to_string().repeat(number);
    format!(
        "{}{}{}",
        style.paint(Tone::Changed, &run(DAEMON, daemons)),
        style.paint(Tone::Link, &run(POD, filled - daemons)),
        style.paint(Tone::Dim, &run(FREE, width - filled)),
    )
}
