//! Which of the nodes that can take a pod is best: the scores of the default profile with their weights.
//!
//! Every plugin gives 0 to 100 (`framework/interface.go` `MaxNodeScore`), normalised over the nodes that passed where the
//! plugin says so. `ImageLocality` gives 0: images are not known here. `VolumeBinding` scores nothing unless a feature that
//! is off asks it to.

use rustc_hash::FxHashMap;

use super::class::{Class, Plan};
use super::cluster::Cluster;
use super::domains::NOWHERE;
use super::fixed::Verdict;
use crate::resources::{Resource, Resources};
use crate::shape::PodShape;
use crate::world::NodeId;

const BEST: i64 = 100;

// `apis/config/v1/default_plugins.go`; NodeResourcesFit and NodeResourcesBalancedAllocation have 1.
const TAINTS: i64 = 3;
const NODE_AFFINITY: i64 = 2;
const SPREAD: i64 = 2;
const POD_AFFINITY: i64 = 2;

/// How many columns of resource scores are kept.
const MOST_COLUMNS: usize = 512;

/// Which column of resource scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ScoreId(u32);

/// Resource scores by what is asked for and node; each holds for one revision of its node.
#[derive(Debug, Default)]
pub(super) struct Scores {
    ids: FxHashMap<(i64, i64, i64, i64), ScoreId>,
    columns: Vec<Column>,
}

/// By node: for which revision, and the score.
pub(super) type Column = Vec<(u32, u32)>;

impl Scores {
    /// Takes a column out, to be put back.
    pub(super) fn take(&mut self, id: Option<ScoreId>) -> Option<Column> {
        id.map(|id| std::mem::take(&mut self.columns[id.0 as usize]))
    }

    pub(super) fn put(&mut self, id: Option<ScoreId>, column: Option<Column>) {
        if let (Some(id), Some(column)) = (id, column) {
            self.columns[id.0 as usize] = column;
        }
    }

    /// The column of a shape; none when there are too many to keep.
    pub(super) fn intern(&mut self, shape: &PodShape) -> Option<ScoreId> {
        let (cpu, memory) = shape.scored;
        let requests = &shape.requests;
        let key = (
            requests[Resource::CPU],
            requests[Resource::MEMORY],
            cpu,
            memory,
        );
        if let Some(id) = self.ids.get(&key) {
            return Some(*id);
        }
        if self.columns.len() == MOST_COLUMNS {
            return None;
        }
        let id = ScoreId(u32::try_from(self.columns.len()).ok()?);
        self.ids.insert(key, id);
        self.columns.push(Vec::new());
        Some(id)
    }
}

/// `noderesources/least_allocated.go` `leastRequestedScore`.
fn least_requested(requested: i64, capacity: i64) -> i64 {
    if requested > capacity {
        return 0;
    }
    (capacity - requested) * BEST / capacity
}

/// `least_allocated.go` `leastResourceScorer`: the mean over CPU and memory of what is left, with a pod's default requests.
pub(super) fn least_allocated(scored: (i64, i64), shape: (i64, i64), all: &Resources) -> i64 {
    let (mut sum, mut weight) = (0, 0);
    for (requested, capacity) in [
        (scored.0.saturating_add(shape.0), all[Resource::CPU]),
        (scored.1.saturating_add(shape.1), all[Resource::MEMORY]),
    ] {
        if capacity > 0 {
            sum += least_requested(requested, capacity);
            weight += 1;
        }
    }
    if weight == 0 { 0 } else { sum / weight }
}

/// `noderesources/balanced_allocation.go` `balancedResourceScorer`: how alike the used shares of CPU and memory are. Pods that
/// request neither are not scored.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn balanced(request: &Resources, free: &Resources, all: &Resources) -> i64 {
    let share = |resource: Resource| {
        let capacity = all[resource];
        let used = capacity - free[resource] + request[resource];
        (capacity > 0).then(|| (used as f64 / capacity as f64).min(1.0))
    };
    if request[Resource::CPU] == 0 && request[Resource::MEMORY] == 0 {
        return 0;
    }
    let deviation = match (share(Resource::CPU), share(Resource::MEMORY)) {
        (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
        _ => 0.0,
    };
    ((1.0 - deviation) * BEST as f64) as i64
}

/// Room that is used again for every pod.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub feasible: Vec<NodeId>,
    totals: Vec<i64>,
    raw: Vec<i64>,
    stamps: Vec<u32>,
    stamp: u32,
    pub best: Vec<NodeId>,
}

impl Cluster {
    /// The nodes of the best score among those in `scratch.feasible`, into `scratch.best`.
    pub(super) fn best(
        &self,
        class: &Class,
        plan: &Plan,
        verdict: &dyn Fn(NodeId) -> Verdict,
        column: Option<&mut Column>,
        scratch: &mut Scratch,
    ) {
        scratch.totals.clear();
        self.score_resources(class, column, &scratch.feasible, &mut scratch.totals);
        score_fixed(class, verdict, scratch);
        self.score_spread(plan, scratch);
        self.score_affinity(plan, scratch);
        scratch.best.clear();
        let best = scratch.totals.iter().copied().max().unwrap_or(0);
        let scored = scratch.feasible.iter().zip(&scratch.totals);
        let equals = scored.filter(|(_, total)| **total == best);
        scratch.best.extend(equals.map(|(node, _)| *node));
    }

    fn score_resources(
        &self,
        class: &Class,
        column: Option<&mut Column>,
        nodes: &[NodeId],
        totals: &mut Vec<i64>,
    ) {
        let score = |at: usize| {
            let (free, all) = (&self.free[at], &self.allocatable[at]);
            least_allocated(self.scored[at], class.scored, all)
                + balanced(&class.request, free, all)
        };
        let Some(column) = column else {
            totals.extend(nodes.iter().map(|node| score(node.0 as usize)));
            return;
        };
        column.resize(self.revision.len(), (0, 0));
        totals.extend(nodes.iter().map(|node| {
            let at = node.0 as usize;
            let (revision, kept) = column[at];
            if revision == self.revision[at] {
                return i64::from(kept);
            }
            let score = score(at);
            column[at] = (self.revision[at], u32::try_from(score).unwrap_or(0));
            score
        }));
    }

    /// `podtopologyspread/scoring.go`.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn score_spread(&self, plan: &Plan, scratch: &mut Scratch) {
        if plan.soft.is_empty() {
            return;
        }
        let nodes = &scratch.feasible;
        let topologies: Vec<&[u32]> = plan
            .soft
            .iter()
            .map(|soft| self.domains.get(soft.topology).of_node.as_slice())
            .collect();
        let ignored = |at: usize| {
            plan.soft_needs_all && topologies.iter().any(|of_node| of_node[at] == NOWHERE)
        };
        let counted = nodes.iter().filter(|node| !ignored(node.0 as usize));
        let hosts = if plan.soft_needs_all {
            counted.clone().count()
        } else {
            nodes.len()
        };
        scratch.raw.clear();
        scratch.raw.resize(nodes.len(), 0);
        let mut sums = vec![0.0_f64; nodes.len()];
        for (soft, of_node) in plan.soft.iter().zip(&topologies) {
            let size = if soft.by_host {
                hosts
            } else {
                let domains = self.domains.get(soft.topology).len();
                scratch
                    .stamps
                    .resize(scratch.stamps.len().max(domains + 1), 0);
                scratch.stamp = scratch.stamp.wrapping_add(1);
                let mut size = 0;
                for node in counted.clone() {
                    // Nodes without the label count as one domain more, where they count.
                    let domain = of_node[node.0 as usize];
                    let slot = if domain == NOWHERE {
                        0
                    } else {
                        domain as usize + 1
                    };
                    if scratch.stamps[slot] != scratch.stamp {
                        scratch.stamps[slot] = scratch.stamp;
                        size += 1;
                    }
                }
                size
            };
            let weight = ((size + 2) as f64).ln();
            let skew = f64::from(soft.max_skew.saturating_sub(1));
            let by_node = self.counts.by_node(soft.counter);
            let by_domain = &self.counts.sum(soft.sum).by_domain;
            for (node, sum) in nodes.iter().zip(&mut sums) {
                let at = node.0 as usize;
                let domain = of_node[at];
                if domain == NOWHERE {
                    continue;
                }
                let pods = if soft.by_host {
                    f64::from(by_node[at])
                } else {
                    by_domain[domain as usize] as f64
                };
                *sum += pods * weight + skew;
            }
        }
        let (mut least, mut most) = (i64::MAX, 0);
        for ((node, sum), raw) in nodes.iter().zip(&sums).zip(&mut scratch.raw) {
            if ignored(node.0 as usize) {
                *raw = -1;
                continue;
            }
            *raw = sum.round() as i64;
            least = least.min(*raw);
            most = most.max(*raw);
        }
        for (raw, total) in scratch.raw.iter().zip(&mut scratch.totals) {
            let score = match (*raw, most) {
                (-1, _) => 0,
                (_, 0) => BEST,
                (raw, most) => BEST * (most + least - raw) / most,
            };
            *total += SPREAD * score;
        }
    }

    /// `interpodaffinity/scoring.go`.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn score_affinity(&self, plan: &Plan, scratch: &mut Scratch) {
        let nodes = &scratch.feasible;
        let raw = &mut scratch.raw;
        raw.clear();
        for (sum, weight) in plan.all_pulls() {
            if raw.is_empty() {
                raw.resize(nodes.len(), 0);
            }
            let of_node = &self.domains.get(self.counts.topology_of(sum)).of_node;
            let by_domain = &self.counts.sum(sum).by_domain;
            for (node, raw) in nodes.iter().zip(raw.iter_mut()) {
                let domain = of_node[node.0 as usize];
                if domain != NOWHERE {
                    *raw += weight * by_domain[domain as usize];
                }
            }
        }
        let (Some(least), Some(most)) = (raw.iter().min().copied(), raw.iter().max().copied())
        else {
            return;
        };
        if most == least {
            return;
        }
        for (raw, total) in raw.iter().zip(&mut scratch.totals) {
            let share = (raw - least) as f64 / (most - least) as f64;
            *total += POD_AFFINITY * (BEST as f64 * share) as i64;
        }
    }
}

/// `tainttoleration/taint_toleration.go` and `nodeaffinity/node_affinity.go`, both normalised by the most
/// (`plugins/helper/normalize_score.go`). Where all nodes are alike nothing changes the order, so nothing is added.
fn score_fixed(class: &Class, verdict: &dyn Fn(NodeId) -> Verdict, scratch: &mut Scratch) {
    let of = |node: &NodeId| verdict(*node);
    let nodes = &scratch.feasible;
    let most = nodes.iter().map(|node| of(node).unwelcome).max();
    if let Some(most) = most.filter(|most| *most > 0) {
        for (node, total) in nodes.iter().zip(&mut scratch.totals) {
            let unwelcome = i64::from(of(node).unwelcome);
            *total += TAINTS * (BEST - BEST * unwelcome / i64::from(most));
        }
    }
    if class.shape.preferred_terms.is_empty() {
        return;
    }
    let most = nodes.iter().map(|node| of(node).preferred).max();
    if let Some(most) = most.filter(|most| *most > 0) {
        for (node, total) in nodes.iter().zip(&mut scratch.totals) {
            let preferred = i64::from(of(node).preferred);
            *total += NODE_AFFINITY * (BEST * preferred / i64::from(most));
        }
    }
}
