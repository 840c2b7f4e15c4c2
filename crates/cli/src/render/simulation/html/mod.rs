//! The answer as one HTML page that needs nothing else: no script, no request, light and dark by the reader's wish.
//!
//! Promises: what comes from outside is text on the page and nothing else (the templates escape it, and the page's own
//! policy forbids scripts and requests besides); colour never says anything alone.

mod lists;
mod owners;
mod picture;

use std::io::{self, Write};

use autoscale::answer::{Answer, Level};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::amounts::{self, Clock};
use super::fold::{self, Group, Side};
use super::{SimulationView, acting, findings, in_a_sentence};
use crate::terminal::{count, number};

const STYLE: &str = include_str!("page.css");
/// Nothing is loaded and nothing is run, whatever a name may hold.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Hours of a month.
const HOURS: f64 = 730.0;

/// Writes the answer as an HTML page.
///
/// # Errors
///
/// When it can't be written.
pub fn html(out: &mut dyn Write, view: &SimulationView<'_>) -> io::Result<()> {
    out.write_all(page(view).into_string().as_bytes())
}

fn page(view: &SimulationView<'_>) -> Markup {
    let answer = view.answer;
    let subject = amounts::name(view.subject);
    let lasts = Clock::of(answer).lasts(&answer.until);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content="Seaworthy";
                title { (subject) ": what Karpenter will do" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kicker { "Seaworthy · simulation" }
                    h1 { (subject) }
                    p.lead {
                        (in_a_sentence(answer))
                        @if let Some(cost) = amounts::cost_in_a_sentence(answer) { " " (tight(&cost)) }
                    }
                    p.meta {
                        "From " (time(&answer.at, &Clock::moment(&answer.at)))
                        @if let Some(lasts) = lasts { " for " (lasts) }
                        " · as Karpenter " (amounts::name(&answer.karpenter_version)) " decides"
                        " · seed " (answer.seed)
                    }
                    (tiles(answer))
                }
                main {
                    (picture::picture(answer))
                    (lists::decisions(answer))
                    (lists::left_alone(answer))
                    (cost(answer))
                    (lists::waiting(answer))
                    (lists::findings(answer))
                    (lists::all_nodes(answer))
                }
            }
        }
    }
}

/// A percentage is not broken from its sign.
fn tight(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// A moment, for machines too where it is one.
fn time(at: &str, shown: &str) -> Markup {
    html! {
        @if at.parse::<jiff::Timestamp>().is_ok() { time datetime=(at) { (shown) } }
        @else { (shown) }
    }
}

fn whole(answer: &Answer) -> (Side<'_>, Side<'_>) {
    let (before, after) = (&answer.before.nodes, &answer.after.nodes);
    (before.iter().collect(), after.iter().collect())
}

/// The figures that one looks for first.
fn tiles(answer: &Answer) -> Markup {
    let (before, after) = whole(answer);
    let nodes = |side: &Side<'_>| number(side.nodes.len() as u64);
    let fill = |side: &Side<'_>, of: fn(&autoscale::answer::Amounts) -> i64| {
        amounts::percent(amounts::share(of(&side.requested), of(&side.allocatable)))
    };
    let cost = &answer.cost;
    let month = amounts::change(cost.before_usd_per_month, cost.after_usd_per_month);
    let cheaper = cost.after_usd_per_month < cost.before_usd_per_month;
    let waiting = answer.unschedulable.len();
    let warnings = findings(answer, Level::Warning);
    html! {
        dl.tiles {
            (tile("#nodes", "Nodes", &nodes(&before), &nodes(&after), html! {}))
            @if amounts::any_price(answer) {
                (tile("#cost", "Cost a month",
                    &amounts::monthly(cost.before_usd_per_month),
                    &amounts::monthly(cost.after_usd_per_month),
                    html! { @if let Some(change) = month {
                        span.good[cheaper].bad[!cheaper] { (tight(&change)) }
                    } }))
            } @else {
                (tile("#cost", "Cost a month", "not known", "not known", html! {}))
            }
            (tile("#nodes", "CPU requested",
                &fill(&before, |amounts| amounts.cpu_milli),
                &fill(&after, |amounts| amounts.cpu_milli), html! {}))
            (tile("#nodes", "Memory requested",
                &fill(&before, |amounts| amounts.memory_bytes),
                &fill(&after, |amounts| amounts.memory_bytes), html! {}))
            (figure("#decisions", "Decisions", acting(answer).count(), false))
            (figure("#waiting", "Pods without a place", waiting, waiting > 0))
            (figure("#findings", "Warnings", warnings, warnings > 0))
        }
    }
}

fn tile(link: &str, label: &str, before: &str, after: &str, note: Markup) -> Markup {
    html! {
        div.tile {
            dt { a href=(link) { (label) } }
            dd.is { (tight(after)) }
            dd.was { @if before == after { "as before" } @else { "was " (tight(before)) " " (note) } }
        }
    }
}

fn figure(link: &str, label: &str, value: usize, matters: bool) -> Markup {
    html! {
        div.tile {
            dt { @if value > 0 { a href=(link) { (label) } } @else { (label) } }
            dd.is.matters[matters] { (number(value as u64)) }
        }
    }
}

fn cost(answer: &Answer) -> Markup {
    let cost = &answer.cost;
    let known = amounts::any_price(answer);
    let pools = fold::nodes(answer, 40);
    let line = |label: &str, nodes: [usize; 2], usd: [Option<f64>; 2]| {
        let said = |side: usize, times: f64, say: fn(f64) -> String| match usd[side] {
            _ if nodes[side] == 0 => "–".to_owned(),
            Some(usd) => say(usd * times),
            None => "not known".to_owned(),
        };
        let known = usd[0].zip(usd[1]);
        let hour = known.map_or(0.0, |(before, after)| after - before);
        html! {
            th scope="row" { (label) }
            td.figure { (picture::turned(nodes[0], nodes[1])) }
            @for side in 0..2 { td.figure { (said(side, 1.0, amounts::hourly)) } }
            @for side in 0..2 { td.figure { (said(side, HOURS, amounts::monthly)) } }
            td.figure.good[hour < -0.000_05].bad[hour > 0.000_05] {
                @if let Some((before, after)) = known {
                    (amounts::signed(hour * HOURS, amounts::monthly))
                    @if let Some(change) = amounts::change(before, after) { " (" (tight(&change)) ")" }
                }
            }
        }
    };
    let of = |label: &str, all: &Group<'_>| {
        let sides = [&all.before, &all.after];
        line(
            label,
            sides.map(|side| side.nodes.len()),
            sides.map(Side::cost),
        )
    };
    html! {
        section #cost aria-labelledby="cost-title" {
            h2 #cost-title { "Cost" }
            @if known {
                div.scroll tabindex="0" role="region" aria-label="Cost by node pool" {
                    table {
                        caption { "What the nodes cost in US dollars; a month has 730 hours" }
                        thead { tr {
                            th scope="col" { "Node pool" }
                            th.figure scope="col" { "Nodes" }
                            th.figure scope="col" { "An hour before" }
                            th.figure scope="col" { "after" }
                            th.figure scope="col" { "A month before" }
                            th.figure scope="col" { "after" }
                            th.figure scope="col" { "Difference" }
                        } }
                        tbody {
                            @for pool in &pools.pools { tr { (of(&pool.title(), &pool.all)) } }
                            @if let Some((pools, all)) = &pools.other {
                                tr { (of(&count(*pools, "other pool"), all)) }
                            }
                        }
                        tfoot { tr {
                            (line("all nodes",
                                [answer.before.nodes.len(), answer.after.nodes.len()],
                                [Some(cost.before_usd_per_hour), Some(cost.after_usd_per_hour)]))
                        } }
                    }
                }
            } @else if answer.before.nodes.is_empty() && answer.after.nodes.is_empty() {
                p { "There is no node, and so no cost." }
            } @else {
                p { "What it costs is not known: no node has a known price." }
            }
            @for remark in amounts::cost_remarks(cost) { p.remark { (remark) } }
        }
    }
}

#[cfg(test)]
mod tests;
