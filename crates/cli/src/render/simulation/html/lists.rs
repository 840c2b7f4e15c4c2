//! Decisions, reasons and findings as lists and tables.

use autoscale::answer::{Answer, Kind, Level};
use maud::{Markup, html};

use super::{picture, time};
use crate::render::simulation::amounts::{self, Clock};
use crate::render::simulation::fold::{self, Detail, Group};
use crate::render::simulation::steps::{self, Step};
use crate::render::simulation::{acting, method};
use crate::terminal::{count, number};

/// Decisions, or steps of several.
const MOST_STEPS: usize = 30;
/// Reasons of one list.
const MOST_REASONS: usize = 25;
/// Names that are seen at once, and that can be unfolded.
const NAMES: (usize, usize) = (8, 120);
/// Rows of the table of nodes.
const MOST_ROWS: usize = 250;

/// Names; those beyond the first few are unfolded.
fn names(all: &[&str]) -> Markup {
    let (seen, unfolded) = NAMES;
    let seen = if all.len() <= seen + 2 {
        all.len()
    } else {
        seen
    };
    let chip = |name: &str| html! { code { (amounts::name(name)) } " " };
    html! {
        span.names {
            @for one in &all[..seen] { (chip(one)) }
            @if all.len() > seen {
                details {
                    summary { "and " (number((all.len() - seen) as u64)) " more" }
                    @for one in all.iter().skip(seen).take(unfolded) { (chip(one)) }
                    @if all.len() > seen + unfolded {
                        "and " (number((all.len() - seen - unfolded) as u64)) " that only the JSON output names"
                    }
                }
            }
        }
    }
}

/// What is decided, in order.
pub(super) fn decisions(answer: &Answer) -> Markup {
    let steps = steps::steps(acting(answer), MOST_STEPS);
    let clock = Clock::of(answer);
    html! {
        section #decisions aria-labelledby="decisions-title" {
            h2 #decisions-title { "Decisions" }
            @if steps.steps.is_empty() {
                p { "No node is launched, replaced or deleted." }
            } @else {
                ol.timeline {
                    @for step in &steps.steps { (decision(step, clock)) }
                }
                @if steps.left_out > 0 {
                    p.remark { (count(steps.left_out, "decision")) " more, which only the JSON output has." }
                }
            }
        }
    }
}

fn decision(step: &Step<'_>, clock: Clock) -> Markup {
    let first = step.first;
    let headline = step.headline();
    let (begun, until) = (clock.short(&first.at), clock.short(&step.last().at));
    let reasons = step.reasons();
    let hosts: Vec<&str> = step.nodes().into_iter().map(amounts::host).collect();
    let pods = step.pods();
    let types: Vec<&str> = first.instance_types.iter().map(String::as_str).collect();
    html! {
        li class={ "step " (headline.verb) } {
            div.when {
                (time(&first.at, &begun))
                @if until != begun { " – " (time(&step.last().at, &until)) }
                @if let Some(since) = clock.since(&first.at) { " " span.dim { (since) } }
            }
            article.card {
                h3 {
                    span class={ "badge " (headline.verb) } { (headline.verb) } " "
                    (headline.what)
                    @if let Some(price) = headline.price { " " span.price { (price) } }
                }
                @for (reason, times) in reasons.iter().take(4) {
                    p.why {
                        span.by { (method(first.method)) } " " (amounts::sentence(reason))
                        @if reasons.len() > 1 { " " span.dim { "(" (number(*times as u64)) " times)" } }
                    }
                }
                @if reasons.len() > 4 { p.why.dim { "and " (count(reasons.len() - 4, "other reason")) } }
                dl.facts {
                    @if !hosts.is_empty() {
                        dt { (match first.kind { Kind::Launch => "As", Kind::Replace => "Instead of", _ => "Nodes" }) }
                        dd { (names(&hosts)) }
                    }
                    @if step.count() == 1 && types.len() > 1 {
                        dt { "Any of " (number(types.len() as u64)) " types" }
                        dd { (names(&types)) }
                    }
                    @if !pods.is_empty() {
                        dt { @if first.kind == Kind::Launch { "For " } @else { "Moves " } (count(pods.len(), "pod")) }
                        dd { (names(&pods)) }
                    }
                }
            }
        }
    }
}

/// The nodes that were considered and are left alone, and why.
///
/// On a narrow page the rows are blocks, which takes their roles from them in some browsers; so the roles are said.
pub(super) fn left_alone(answer: &Answer) -> Markup {
    let folds = fold::by_reason(answer);
    html! {
        @if !folds.is_empty() {
            section #left-alone aria-labelledby="left-alone-title" {
                h2 #left-alone-title { "Left alone" }
                div.scroll tabindex="0" role="region" aria-label="Nodes that are left alone" {
                    table.reasons role="table" {
                        caption { "Nodes that were considered, and what stands in the way" }
                        thead role="rowgroup" { tr role="row" { th.figure role="columnheader" scope="col" { "Nodes" } th role="columnheader" scope="col" { "Why" } th role="columnheader" scope="col" { "Which" } } }
                        tbody role="rowgroup" {
                            @for fold in folds.iter().take(MOST_REASONS) {
                                @let hosts: Vec<&str> = fold.items.iter().map(|name| amounts::host(name)).collect();
                                tr role="row" {
                                    td.figure role="cell" { (number(hosts.len() as u64)) }
                                    td role="cell" { span.by { (method(fold.by)) } " " (amounts::sentence(fold.reason)) }
                                    td role="cell" { (names(&hosts)) }
                                }
                            }
                        }
                    }
                }
                (left_out(folds.len(), "reason"))
            }
        }
    }
}

fn left_out(all: usize, word: &str) -> Markup {
    html! {
        @if all > MOST_REASONS {
            p.remark { (count(all - MOST_REASONS, &format!("more {word}"))) ", which only the JSON output has." }
        }
    }
}

/// The pods that have no place, and what they wait for.
pub(super) fn waiting(answer: &Answer) -> Markup {
    let folds = fold::waiting(answer);
    html! {
        @if !folds.is_empty() {
            section #waiting aria-labelledby="waiting-title" {
                h2 #waiting-title { "Pods without a place" }
                div.scroll tabindex="0" role="region" aria-label="Pods without a place" {
                    table.reasons role="table" {
                        caption { "What they wait for in the end" }
                        thead role="rowgroup" { tr role="row" { th.figure role="columnheader" scope="col" { "Pods" } th role="columnheader" scope="col" { "Why" } th role="columnheader" scope="col" { "Which" } } }
                        tbody role="rowgroup" {
                            @for fold in folds.iter().take(MOST_REASONS) {
                                tr role="row" {
                                    td.figure role="cell" { (number(fold.items.len() as u64)) }
                                    td role="cell" { (amounts::sentence(fold.reason)) }
                                    td role="cell" { (names(&fold.items)) }
                                }
                            }
                        }
                    }
                }
                (left_out(folds.len(), "reason"))
            }
        }
    }
}

/// What there is to know besides, warnings first.
pub(super) fn findings(answer: &Answer) -> Markup {
    let folds = fold::findings(answer);
    let of = |level| folds.iter().filter(move |fold| fold.by == level);
    html! {
        @if !folds.is_empty() {
            section #findings aria-labelledby="findings-title" {
                h2 #findings-title { "Findings" }
                @for (level, class, word) in [(Level::Warning, "warning", "warning"), (Level::Note, "note", "note")] {
                    @if of(level).next().is_some() {
                        ul.findings {
                            @for fold in of(level).take(MOST_REASONS) {
                                li class=(class) {
                                    span class={ "badge " (class) } { (word) } " "
                                    (amounts::sentence(fold.reason)) " "
                                    (names(&fold.items))
                                }
                            }
                        }
                        (left_out(of(level).count(), word))
                    }
                }
            }
        }
    }
}

/// The figures of the picture, for those who would rather read them.
pub(super) fn all_nodes(answer: &Answer) -> Markup {
    let nodes = fold::nodes(answer, MOST_ROWS);
    let rows: Vec<(String, &Group<'_>)> = nodes
        .pools
        .iter()
        .flat_map(|pool| pool.groups.iter().map(|group| (pool.title(), group)))
        .chain(
            nodes
                .other
                .iter()
                .map(|(pools, all)| (count(*pools, "other pool"), all)),
        )
        .collect();
    let cell = |of: fn(&autoscale::answer::Amounts) -> i64, group: &Group<'_>| {
        let [before, after] = [&group.before, &group.after].map(|side| {
            amounts::percent(amounts::share(of(&side.requested), of(&side.allocatable)))
        });
        html! { @if before != after { (before) " → " } (after) }
    };
    html! {
        @if !rows.is_empty() {
            section aria-labelledby="table-title" {
                h2 #table-title { "All figures" }
                details {
                    summary { "The nodes as a table" }
                    div.scroll tabindex="0" role="region" aria-label="Nodes" {
                        table {
                            caption { "The nodes before → after, and what of them is requested" }
                            thead { tr {
                                th scope="col" { "Node pool" }
                                th scope="col" { (if nodes.detail == Detail::Node { "Node" } else { "Nodes that are alike" }) }
                                th.figure scope="col" { "Nodes" }
                                th.figure scope="col" { "CPU" }
                                th.figure scope="col" { "Memory" }
                                th.figure scope="col" { "Pods" }
                                th.figure scope="col" { "$ an hour" }
                            } }
                            tbody {
                                @for (pool, group) in &rows {
                                    @let sides = [&group.before, &group.after];
                                    @let pods = sides.map(|side| side.nodes.iter().map(|node| node.pods.len()).sum::<usize>());
                                    @let prices = sides.map(|side| if side.priced > 0 { amounts::hourly(side.usd_per_hour) } else { "–".to_owned() });
                                    tr {
                                        td { (pool) }
                                        th scope="row" {
                                            @if let Some(name) = group.name { (amounts::name(name)) br; }
                                            span.dim { (group.kinds().join(" · ")) }
                                        }
                                        td.figure { (picture::turned(group.before.nodes.len(), group.after.nodes.len())) }
                                        td.figure { (cell(|amounts| amounts.cpu_milli, group)) }
                                        td.figure { (cell(|amounts| amounts.memory_bytes, group)) }
                                        td.figure { (picture::turned(pods[0], pods[1])) }
                                        td.figure { @if prices[0] != prices[1] { (prices[0]) " → " } (prices[1]) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
