//! The picture: each node a box as wide as it has CPU, its pods as cells as wide as what they request of it.

use std::collections::{BTreeMap, BTreeSet};

use autoscale::answer::{Answer, NodePicture, Phase, PodPicture};
use maud::{Markup, PreEscaped, html};

use super::owners::{Owners, title};
use crate::render::simulation::amounts;
use crate::render::simulation::fold::{self, Detail, Group, Nodes, Pool, Side};
use crate::terminal::{count, number};

/// Boxes of one page, before and after counted once.
const MOST_BOXES: usize = 48;
/// Pods that are drawn each; of more, those of one owner on one node are one cell.
const MOST_PODS: usize = 1_600;
/// Nodes that are drawn as dots, on each side.
const MOST_DOTS: usize = 2_400;
/// Owners of pending pods that are shown each.
const MOST_PENDING: usize = 20;
/// The widths of boxes in CSS pixels.
const WIDTHS: (f64, f64) = (224.0, 548.0);
/// Heights in a box: CPU, a gap, memory.
const HEIGHTS: (u32, u32, u32) = (26, 3, 13);
/// The distance between two dots, and what a box has beside its dots.
const DOTS: (usize, usize) = (12, 20);

/// The hatching of daemons; a stylesheet can't make one for a drawing.
const HATCH: &str = r#"<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-back" width="5" height="5"></rect><rect class="hatch-line" width="2" height="5"></rect></pattern></defs></svg>"#;

/// `5 → 4`, or `5`.
pub(super) fn turned(before: usize, after: usize) -> Markup {
    let [before, after] = [before, after].map(|value| number(value as u64));
    html! {
        @if before != after { (before) " → " }
        (after)
    }
}

/// How all boxes are drawn.
struct Scale<'a> {
    owners: Owners<'a>,
    detail: Detail,
    /// Pixels a milli-CPU.
    pixels: f64,
    /// Whether pods of one owner are one cell.
    merge: bool,
}

impl<'a> Scale<'a> {
    fn of(answer: &'a Answer, nodes: &Nodes<'_>) -> Self {
        let groups = nodes.pools.iter().flat_map(|pool| &pool.groups);
        let others = nodes.other.iter().map(|(_, all)| all);
        let sides = groups
            .chain(others)
            .flat_map(|group| [&group.before, &group.after]);
        let sizes: Vec<i64> = sides
            .filter(|side| !side.nodes.is_empty())
            .map(|side| side.allocatable.cpu_milli.max(1))
            .collect();
        let smallest = sizes.iter().min().copied().unwrap_or(1) as f64;
        let largest = sizes.iter().max().copied().unwrap_or(1) as f64;
        let pods = |nodes: &[NodePicture]| nodes.iter().map(|node| node.pods.len()).sum::<usize>();
        Self {
            owners: Owners::of(answer),
            detail: nodes.detail,
            // The smallest is wide enough for its words; if the largest has no room then, it sets the scale.
            pixels: (WIDTHS.0 / smallest).min(WIDTHS.1 / largest),
            merge: pods(&answer.before.nodes) + pods(&answer.after.nodes) > MOST_PODS,
        }
    }

    fn width(&self, cpu_milli: i64) -> f64 {
        (cpu_milli.max(0) as f64 * self.pixels).clamp(WIDTHS.0, WIDTHS.1)
    }
}

/// The nodes and their pods, before and after, by pool.
pub(super) fn picture(answer: &Answer) -> Markup {
    let nodes = fold::nodes(answer, MOST_BOXES);
    let scale = Scale::of(answer, &nodes);
    let mut dots = [MOST_DOTS; 2];
    html! {
        section #nodes aria-labelledby="nodes-title" {
            h2 #nodes-title { "Nodes and their pods" }
            (PreEscaped(HATCH))
            @if nodes.pools.is_empty() {
                p { "There is no node, neither before nor after." }
            } @else {
                (legend(&scale))
                @for pool in &nodes.pools { (pool_section(pool, &scale, &mut dots)) }
                @if let Some((pools, all)) = &nodes.other {
                    (section(&count(*pools, "other pool"), all, std::slice::from_ref(all), &scale, &mut dots))
                }
            }
            (pending(answer, &scale))
        }
    }
}

fn legend(scale: &Scale<'_>) -> Markup {
    html! {
        p.how {
            @if scale.detail == Detail::Node {
                "Each box is a node, the wider the more CPU it has. "
            } @else {
                "Each box is all nodes that are alike, the wider the more CPU they have; each dot is a node, the darker the fuller. "
            }
            "In it, above, what its pods request of its CPU; below, of its memory. "
            @if scale.merge { "A cell is the pods of one owner. " } @else { "A cell is a pod. " }
            "Point at one for its name."
        }
        ul.legend aria-label="What the colours mean" {
            @for (class, name, [before, after]) in scale.owners.legend() {
                li {
                    svg.swatch width="14" height="14" aria-hidden="true" { rect class=(class) width="14" height="14" rx="3" {} }
                    (name) " " span.dim { (turned(before, after)) }
                }
            }
            li { svg.swatch width="14" height="14" aria-hidden="true" { rect.free width="14" height="14" rx="3" {} } "free" }
        }
    }
}

fn pool_section(pool: &Pool<'_>, scale: &Scale<'_>, dots: &mut [usize; 2]) -> Markup {
    section(&pool.title(), &pool.all, &pool.groups, scale, dots)
}

fn section(
    name: &str,
    all: &Group<'_>,
    groups: &[Group<'_>],
    scale: &Scale<'_>,
    dots: &mut [usize; 2],
) -> Markup {
    let sides: Vec<(&str, usize)> = if groups.iter().any(Group::changes) {
        vec![("Before", 0), ("After", 1)]
    } else {
        vec![("Before and after", 1)]
    };
    html! {
        section.pool {
            h3 { (name) }
            div.sides.one[sides.len() == 1] {
                @for (label, which) in sides {
                    div.side {
                        h4 { (label) " " span.dim { (in_short(of(all, which))) } }
                        @if of(all, which).nodes.is_empty() {
                            p.nothing { "No nodes" }
                        } @else {
                            ul.boxes {
                                @for group in groups {
                                    @if !of(group, which).nodes.is_empty() {
                                        (node_box(group, which, scale, &mut dots[which]))
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

fn of<'g, 'a>(group: &'g Group<'a>, which: usize) -> &'g Side<'a> {
    if which == 0 {
        &group.before
    } else {
        &group.after
    }
}

fn fill(side: &Side<'_>) -> [String; 2] {
    let (requested, allocatable) = (&side.requested, &side.allocatable);
    [
        amounts::percent(amounts::share(requested.cpu_milli, allocatable.cpu_milli)),
        amounts::percent(amounts::share(
            requested.memory_bytes,
            allocatable.memory_bytes,
        )),
    ]
}

fn pods(side: &Side<'_>) -> String {
    let pods = side.nodes.iter().map(|node| node.pods.len()).sum();
    count(pods, "pod")
}

/// `4 nodes, $0.38 an hour, CPU 34 %, memory 20 %`.
fn in_short(side: &Side<'_>) -> String {
    if side.nodes.is_empty() {
        return String::new();
    }
    let mut parts = vec![count(side.nodes.len(), "node")];
    if side.priced > 0 {
        parts.push(format!("{} an hour", amounts::hourly(side.usd_per_hour)));
    }
    let [cpu, memory] = fill(side);
    parts.push(format!("CPU {cpu}"));
    parts.push(format!("memory {memory}"));
    super::tight(&parts.join(" · "))
}

/// What becomes of the box, as a class and a word.
fn fate(group: &Group<'_>, which: usize) -> Option<(&'static str, &'static str)> {
    let alone = group.name.is_some();
    if which == 0 && group.after.nodes.is_empty() {
        return Some(("goes", if alone { "goes" } else { "all go" }));
    }
    if which == 1 && group.before.nodes.is_empty() {
        return Some(("new", if alone { "new" } else { "all new" }));
    }
    let node = of(group, which).nodes.first().filter(|_| alone)?;
    match node.phase {
        Phase::Ready => None,
        Phase::Launching => Some(("phase", "launching")),
        Phase::Closed => Some(("phase", "takes no pods")),
        Phase::Deleting => Some(("phase", "being deleted")),
    }
}

fn node_box(group: &Group<'_>, which: usize, scale: &Scale<'_>, dots: &mut usize) -> Markup {
    let side = of(group, which);
    let width = scale.width(side.allocatable.cpu_milli);
    let mut kinds = group.kinds();
    let title = match group.name {
        Some(name) => amounts::node(name),
        None if scale.detail != Detail::Pool && !kinds.is_empty() => kinds.remove(0),
        None => count(side.nodes.len(), "node"),
    };
    let fate = fate(group, which);
    let [cpu, memory] = fill(side);
    let full = group.name.map(amounts::name);
    html! {
        li class={ "box" @if let Some((class, _)) = fate { " " (class) } } style={ "width:" (format!("{width:.0}")) "px" } {
            div.name {
                b title=[full] { (title) }
                @if group.name.is_none() && scale.detail != Detail::Pool {
                    " " span.times { "× " (number(side.nodes.len() as u64)) }
                }
                @if let Some((class, word)) = fate { " " span class={ "badge " (class) } { (word) } }
            }
            @if !kinds.is_empty() { div.kind { (kinds.join(" · ")) } }
            (strips(side, width, scale))
            div.fill {
                span { "CPU " b { (cpu) } } " · " span { "memory " b { (memory) } } " · " span { (pods(side)) }
            }
            @if scale.detail != Detail::Node { (dot_grid(group, which, width, dots)) }
        }
    }
}

/// Pods that are drawn as one.
struct Cell<'a> {
    pod: &'a PodPicture,
    pods: usize,
    cpu_milli: i64,
    memory_bytes: i64,
}

fn cells<'a>(side: &Side<'a>, scale: &Scale<'_>) -> Vec<Cell<'a>> {
    let mut sorted: Vec<&PodPicture> = side.nodes.iter().flat_map(|node| &node.pods).collect();
    sorted.sort_by_key(|pod| scale.owners.rank(pod));
    let mut cells: Vec<Cell<'a>> = Vec::new();
    let merge = scale.merge || side.nodes.len() > 1;
    for pod in sorted {
        // Those without a colour of their own are one in any case.
        let same =
            |cell: &&mut Cell<'_>| merge && scale.owners.class(cell.pod) == scale.owners.class(pod);
        if let Some(cell) = cells.last_mut().filter(same) {
            cell.pods += 1;
            cell.cpu_milli = cell.cpu_milli.saturating_add(pod.cpu_milli.max(0));
            cell.memory_bytes = cell.memory_bytes.saturating_add(pod.memory_bytes.max(0));
            continue;
        }
        cells.push(Cell {
            pod,
            pods: 1,
            cpu_milli: pod.cpu_milli.max(0),
            memory_bytes: pod.memory_bytes.max(0),
        });
    }
    cells
}

impl Cell<'_> {
    fn title(&self, scale: &Scale<'_>) -> String {
        let who = match (self.pods, self.pod.owner.as_deref()) {
            (1, Some(owner)) => format!(
                "{}, of {}",
                amounts::name(&self.pod.name),
                amounts::name(owner)
            ),
            (1, None) => amounts::name(&self.pod.name),
            (pods, _) => {
                let of = match scale.owners.class(self.pod) {
                    "od" => "daemons".to_owned(),
                    "ox" => "other owners".to_owned(),
                    _ => title(super::owners::owner(self.pod)),
                };
                format!("{} of {of}", count(pods, "pod"))
            }
        };
        format!(
            "{who}: {} CPU, {}",
            amounts::cpu(self.cpu_milli),
            amounts::memory(self.memory_bytes)
        )
    }
}

/// The two rows of cells: CPU above, memory below.
fn strips(side: &Side<'_>, width: f64, scale: &Scale<'_>) -> Markup {
    let (above, gap, below) = HEIGHTS;
    let height = above + gap + below;
    let cells = cells(side, scale);
    let sum = |of: fn(&Cell<'_>) -> i64| cells.iter().map(of).fold(0, i64::saturating_add);
    // What is more than there is would stand out of the box.
    let cpu = side
        .allocatable
        .cpu_milli
        .max(sum(|cell| cell.cpu_milli))
        .max(1) as f64;
    let memory = side
        .allocatable
        .memory_bytes
        .max(sum(|cell| cell.memory_bytes))
        .max(1) as f64;
    let [cpu_fill, memory_fill] = fill(side);
    let label = format!(
        "CPU {cpu_fill} requested, memory {memory_fill}, {}",
        pods(side)
    );
    let free = |has: i64, used: i64| has.saturating_sub(used).max(0);
    let free = format!(
        "free: {} CPU, {}",
        amounts::cpu(free(side.allocatable.cpu_milli, side.requested.cpu_milli)),
        amounts::memory(free(
            side.allocatable.memory_bytes,
            side.requested.memory_bytes
        )),
    );
    let (mut x, mut y) = (0.0, 0.0);
    let mut drawn = Vec::with_capacity(cells.len());
    for cell in &cells {
        let wide = [
            cell.cpu_milli as f64 / cpu * width,
            cell.memory_bytes as f64 / memory * width,
        ];
        drawn.push((cell, [x, y], wide));
        x += wide[0];
        y += wide[1];
    }
    html! {
        svg.strips role="img" aria-label=(label) viewBox={ "0 0 " (format!("{width:.0}")) " " (height) }
            height=(height) preserveAspectRatio="none" {
            g {
                title { (free) }
                rect.free width="100%" height=(above) {}
                rect.free y=(above + gap) width="100%" height=(below) {}
            }
            @for (cell, at, wide) in drawn {
                g class=(scale.owners.class(cell.pod)) {
                    title { (cell.title(scale)) }
                    (row(at[0], wide[0], 0, above))
                    (row(at[1], wide[1], above + gap, below))
                }
            }
        }
    }
}

fn row(x: f64, wide: f64, y: u32, height: u32) -> Markup {
    // A gap tells two pods of one owner apart, where there is room for one.
    let wide = if wide > 3.0 { wide - 1.0 } else { wide };
    html! {
        @if wide >= 0.05 {
            rect x=(format!("{x:.1}")) y=(y) width=(format!("{wide:.1}")) height=(height) {}
        }
    }
}

/// Each node of a group as a dot, by how full it is; those that go or are new with a frame.
fn dot_grid(group: &Group<'_>, which: usize, width: f64, left: &mut usize) -> Markup {
    let side = of(group, which);
    let others: BTreeSet<&str> = of(group, 1 - which)
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let fate = if which == 0 { "goes" } else { "new" };
    let differs = |node: &NodePicture| !others.contains(node.name.as_str());
    let mut nodes: Vec<&NodePicture> = side.nodes.clone();
    nodes.sort_by_key(|node| !differs(node));
    let shown = nodes.len().min(*left);
    *left -= shown;
    let (pitch, margin) = DOTS;
    let columns = (width as usize).saturating_sub(margin).max(pitch) / pitch;
    let rows = shown.div_ceil(columns);
    let width = columns.min(shown) * pitch;
    let differing = nodes.iter().filter(|node| differs(node)).count();
    let word = if which == 0 {
        count(differing, "node") + if differing == 1 { " goes" } else { " go" }
    } else {
        format!("{} new", count(differing, "node"))
    };
    html! {
        @if differing > 0 { div class={ "differ " (fate) } { (word) } }
        @if shown > 0 {
            svg.dots role="img" aria-label={ (count(shown, "node")) ", " (word) }
                viewBox={ "0 0 " (width) " " (rows * pitch) } width=(width) height=(rows * pitch) {
                @for (index, node) in nodes.iter().take(shown).enumerate() {
                    rect class={ "f" (fullness(node)) @if differs(node) { " " (fate) } }
                        x=(index % columns * pitch + 1) y=(index / columns * pitch + 1) width=(pitch - 3) height=(pitch - 3) rx="2" {
                        title { (node_title(node)) @if differs(node) { ", " (fate) } }
                    }
                }
            }
        }
        @if nodes.len() > shown {
            div.kind { "and " (count(nodes.len() - shown, "node")) " that are not drawn" }
        }
    }
}

fn shares(node: &NodePicture) -> [Option<f64>; 2] {
    [
        amounts::share(node.requested.cpu_milli, node.allocatable.cpu_milli),
        amounts::share(node.requested.memory_bytes, node.allocatable.memory_bytes),
    ]
}

/// By fifths, of what there is less of.
fn fullness(node: &NodePicture) -> u8 {
    let fullest = shares(node).into_iter().flatten().fold(0.0, f64::max);
    (fullest * 5.0).clamp(0.0, 4.0) as u8
}

fn node_title(node: &NodePicture) -> String {
    let [cpu, memory] = shares(node).map(amounts::percent);
    format!(
        "{}: CPU {cpu}, memory {memory}, {}",
        amounts::node(&node.name),
        count(node.pods.len(), "pod")
    )
}

/// The pods without a node, by owner.
fn pending(answer: &Answer, scale: &Scale<'_>) -> Markup {
    let (before, after) = (&answer.before.pending, &answer.after.pending);
    html! {
        @if !before.is_empty() || !after.is_empty() {
            section.pool.pending {
                h3 { "Pods without a node" }
                div.sides {
                    @for (label, pods) in [("Before", before), ("After", after)] {
                        div.side {
                            h4 { (label) " " span.dim { @if !pods.is_empty() { (count(pods.len(), "pod")) } } }
                            @if pods.is_empty() { p.nothing { "No pods" } } @else { (pending_side(pods, scale)) }
                        }
                    }
                }
            }
        }
    }
}

fn pending_side(pods: &[PodPicture], scale: &Scale<'_>) -> Markup {
    let mut owners: BTreeMap<(usize, _), Vec<&PodPicture>> = BTreeMap::new();
    for pod in pods {
        owners
            .entry((scale.owners.rank(pod), super::owners::owner(pod)))
            .or_default()
            .push(pod);
    }
    let rest: usize = owners.values().skip(MOST_PENDING).map(Vec::len).sum();
    html! {
        ul.waiting {
            @for ((_, owner), pods) in owners.iter().take(MOST_PENDING) {
                @let first = pods[0];
                @let cpu = pods.iter().fold(0_i64, |sum, pod| sum.saturating_add(pod.cpu_milli.max(0)));
                @let memory = pods.iter().fold(0_i64, |sum, pod| sum.saturating_add(pod.memory_bytes.max(0)));
                li {
                    svg.swatch width="14" height="14" aria-hidden="true" { rect class=(scale.owners.class(first)) width="14" height="14" rx="3" {} }
                    b { (title(*owner)) } " " span.times { "× " (number(pods.len() as u64)) } " "
                    span.dim { (amounts::cpu(cpu)) " CPU, " (amounts::memory(memory)) @if pods.len() > 1 { " together" } }
                }
            }
            @if rest > 0 { li.dim { "and " (count(rest, "pod")) " of other owners" } }
        }
    }
}
