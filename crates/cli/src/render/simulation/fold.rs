//! Many as few: nodes that are alike, and things that happen for the same reason.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use autoscale::answer::{Amounts, Answer, Finding, Kind, Level, Method, NodePicture};

use super::amounts;

/// How closely nodes are looked at; each is coarser than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Each by itself.
    Node,
    /// By pool, instance type, zone and capacity type.
    Place,
    /// By pool, instance type and capacity type.
    Type,
    /// By pool.
    Pool,
}

/// The nodes of one side, taken together.
#[derive(Debug, Clone, Default)]
pub(super) struct Side<'a> {
    /// The nodes.
    pub(super) nodes: Vec<&'a NodePicture>,
    /// What pods can have of them.
    pub(super) allocatable: Amounts,
    /// What their pods request.
    pub(super) requested: Amounts,
    /// What their daemons' pods request.
    pub(super) daemons: Amounts,
    /// What they cost an hour, as far as it is known.
    pub(super) usd_per_hour: f64,
    /// How many have a price.
    pub(super) priced: usize,
}

impl<'a> Side<'a> {
    fn add(&mut self, node: &'a NodePicture) {
        amounts::add(&mut self.allocatable, &node.allocatable);
        amounts::add(&mut self.requested, &node.requested);
        amounts::add(&mut self.daemons, &node.daemons);
        if let Some(usd) = node.usd_per_hour.filter(|usd| usd.is_finite()) {
            self.usd_per_hour += usd;
            self.priced += 1;
        }
        self.nodes.push(node);
    }

    /// What they cost an hour; none where no price is known, nothing where there is no node.
    pub(super) fn cost(&self) -> Option<f64> {
        (self.priced > 0 || self.nodes.is_empty()).then_some(self.usd_per_hour)
    }

    fn extend(&mut self, other: &Self) {
        for node in &other.nodes {
            self.add(node);
        }
    }
}

impl<'a> FromIterator<&'a NodePicture> for Side<'a> {
    fn from_iter<I: IntoIterator<Item = &'a NodePicture>>(nodes: I) -> Self {
        let mut side = Self::default();
        for node in nodes {
            side.add(node);
        }
        side
    }
}

/// Nodes that are shown as one, before and after.
#[derive(Debug, Clone, Default)]
pub(super) struct Group<'a> {
    /// The node's name, where it is one.
    pub(super) name: Option<&'a str>,
    /// Before.
    pub(super) before: Side<'a>,
    /// After.
    pub(super) after: Side<'a>,
}

impl<'a> Group<'a> {
    fn of(&self, field: impl Fn(&'a NodePicture) -> Option<&'a str>) -> BTreeSet<&'a str> {
        let nodes = self.before.nodes.iter().chain(&self.after.nodes);
        nodes.filter_map(|node| field(node)).collect()
    }

    /// Instance type, zone and capacity type; a number where they are several.
    pub(super) fn kinds(&self) -> Vec<String> {
        let parts = [
            (self.of(|node| node.instance_type.as_deref()), "types"),
            (self.of(|node| node.zone.as_deref()), "zones"),
            (
                self.of(|node| node.capacity_type.as_deref()),
                "capacity types",
            ),
        ];
        parts
            .into_iter()
            .filter_map(|(values, word)| match values.len() {
                0 => None,
                1 => values.first().map(|value| amounts::name(value)),
                number => Some(format!("{number} {word}")),
            })
            .collect()
    }

    /// Whether the nodes, or what is on them, are other ones afterwards.
    pub(super) fn changes(&self) -> bool {
        let (before, after) = (&self.before, &self.after);
        before.nodes.len() != after.nodes.len()
            || before.requested != after.requested
            || before.allocatable != after.allocatable
            || names(before) != names(after)
    }
}

fn names<'a>(side: &Side<'a>) -> BTreeSet<&'a str> {
    side.nodes.iter().map(|node| node.name.as_str()).collect()
}

/// A node pool's nodes.
#[derive(Debug, Clone)]
pub(super) struct Pool<'a> {
    /// Its name; none for the nodes that no pool made.
    pub(super) name: Option<&'a str>,
    /// Its nodes, folded, what changes first.
    pub(super) groups: Vec<Group<'a>>,
    /// All of them.
    pub(super) all: Group<'a>,
}

impl Pool<'_> {
    /// What it is called.
    pub(super) fn title(&self) -> String {
        self.name
            .map_or_else(|| "without a node pool".to_owned(), amounts::name)
    }
}

/// The nodes by pool, as closely as `most` groups allow.
#[derive(Debug, Clone)]
pub(super) struct Nodes<'a> {
    /// How closely.
    pub(super) detail: Detail,
    /// The pools, by name; nodes without one last.
    pub(super) pools: Vec<Pool<'a>>,
    /// The pools that even so are too many, taken together.
    pub(super) other: Option<(usize, Group<'a>)>,
}

type Key<'a> = (bool, [Option<&'a str>; 5]);

fn key(node: &NodePicture, detail: Detail) -> Key<'_> {
    let at_most = |coarsest: Detail, value| (detail <= coarsest).then_some(value).flatten();
    (
        node.nodepool.is_none(),
        [
            node.nodepool.as_deref(),
            at_most(Detail::Type, node.instance_type.as_deref()),
            at_most(Detail::Place, node.zone.as_deref()),
            at_most(Detail::Type, node.capacity_type.as_deref()),
            at_most(Detail::Node, Some(node.name.as_str())),
        ],
    )
}

/// Folds the nodes so that there are at most `most` groups.
pub(super) fn nodes(answer: &Answer, most: usize) -> Nodes<'_> {
    let mut detail = Detail::Pool;
    for closer in [Detail::Node, Detail::Place, Detail::Type] {
        let both = answer.before.nodes.iter().chain(&answer.after.nodes);
        let keys: BTreeSet<Key<'_>> = both.map(|node| key(node, closer)).collect();
        if keys.len() <= most {
            detail = closer;
            break;
        }
    }
    folded(answer, detail, most)
}

fn folded(answer: &Answer, detail: Detail, most: usize) -> Nodes<'_> {
    let mut groups: BTreeMap<Key<'_>, Group<'_>> = BTreeMap::new();
    let sides = [(&answer.before, false), (&answer.after, true)];
    for (picture, after) in sides {
        for node in &picture.nodes {
            let group = groups.entry(key(node, detail)).or_default();
            group.name = (detail == Detail::Node).then_some(node.name.as_str());
            let side = if after {
                &mut group.after
            } else {
                &mut group.before
            };
            side.add(node);
        }
    }
    let mut pools: Vec<Pool<'_>> = Vec::new();
    for ((_, [name, ..]), group) in groups {
        if pools.last().is_none_or(|pool| pool.name != name) {
            pools.push(Pool {
                name,
                groups: Vec::new(),
                all: Group::default(),
            });
        }
        if let Some(pool) = pools.last_mut() {
            pool.all.before.extend(&group.before);
            pool.all.after.extend(&group.after);
            pool.groups.push(group);
        }
    }
    for pool in &mut pools {
        pool.groups.sort_by_key(|group| {
            let goes = group.after.nodes.is_empty();
            let comes = group.before.nodes.is_empty();
            (!goes, !comes, !group.changes())
        });
    }
    let other = (pools.len() > most).then(|| {
        pools.sort_by_key(|pool| {
            let nodes = pool.all.before.nodes.len() + pool.all.after.nodes.len();
            (!pool.all.changes(), Reverse(nodes), pool.name)
        });
        let rest = pools.split_off(most.saturating_sub(1));
        let mut all = Group::default();
        for pool in &rest {
            all.before.extend(&pool.all.before);
            all.after.extend(&pool.all.after);
        }
        (rest.len(), all)
    });
    Nodes {
        detail,
        pools,
        other,
    }
}

/// Things that have a reason in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reasoned<'a, K> {
    /// Who says so.
    pub(super) by: K,
    /// The reason.
    pub(super) reason: &'a str,
    /// What it is about, each once, in the order of first mention.
    pub(super) items: Vec<&'a str>,
}

fn reasoned<'a, K: Copy + Ord>(
    of: impl Iterator<Item = (K, &'a str, &'a str)>,
) -> Vec<Reasoned<'a, K>> {
    let mut places: BTreeMap<(K, &str), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut folds: Vec<Reasoned<'a, K>> = Vec::new();
    for (by, reason, item) in of {
        let place = *places.entry((by, reason)).or_insert(folds.len());
        if place == folds.len() {
            folds.push(Reasoned {
                by,
                reason,
                items: Vec::new(),
            });
        }
        if seen.insert((place, item)) {
            folds[place].items.push(item);
        }
    }
    folds.sort_by_key(|fold| Reverse(fold.items.len()));
    folds
}

/// The nodes that are left alone, by method and reason; the reason of most nodes first.
pub(super) fn by_reason(answer: &Answer) -> Vec<Reasoned<'_, Method>> {
    reasoned(
        answer
            .decisions
            .iter()
            .filter(|decision| decision.kind == Kind::None)
            .flat_map(|decision| {
                let reason = decision.reason.as_str();
                let nodes = decision.nodes.iter();
                nodes.map(move |node| (decision.method, reason, node.as_str()))
            }),
    )
}

/// The pods that wait, by what they wait for; the reason of most pods first.
pub(super) fn waiting(answer: &Answer) -> Vec<Reasoned<'_, ()>> {
    let waiting = answer.unschedulable.iter();
    reasoned(waiting.map(|one| ((), one.reason.as_str(), one.pod.as_str())))
}

/// The findings, warnings first, those of the same words as one.
pub(super) fn findings(answer: &Answer) -> Vec<Reasoned<'_, Level>> {
    let mut sorted: Vec<&Finding> = answer.findings.iter().collect();
    sorted.sort();
    let mut folds = reasoned(sorted.into_iter().map(|finding| {
        (
            finding.level,
            finding.message.as_str(),
            finding.about.as_str(),
        )
    }));
    folds.sort_by_key(|fold| fold.by);
    folds
}

/// The first few names, and how many more there are.
pub(super) fn listed<T: AsRef<str>>(names: &[T], most: usize) -> String {
    // One more name is no longer than "and 1 more".
    let shown = if names.len() <= most + 1 {
        names.len()
    } else {
        most
    };
    let first: Vec<String> = names
        .iter()
        .take(shown)
        .map(|one| amounts::name(one.as_ref()))
        .collect();
    let mut text = first.join(", ");
    if names.len() > shown {
        let more = crate::terminal::number((names.len() - shown) as u64);
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::simulation::fixtures::{answer, large};

    #[test]
    fn few_nodes_are_shown_each_and_many_by_what_they_are() {
        let small = answer();
        let each = nodes(&small, 12);
        assert_eq!(each.detail, Detail::Node);
        assert_eq!(nodes(&small, 5).detail, Detail::Place);
        let large = large(1000);
        for most in [1, 2, 12, 40, 100] {
            let folded = nodes(&large, most);
            let groups = folded.pools.iter().map(|pool| pool.groups.len());
            let groups = groups.sum::<usize>() + usize::from(folded.other.is_some());
            assert!(groups <= most, "{groups} groups of {most}");
            let others = folded.other.iter().map(|(_, all)| all);
            let all = folded.pools.iter().map(|pool| &pool.all).chain(others);
            let (before, after) = all.fold((0, 0), |(before, after), group| {
                (
                    before + group.before.nodes.len(),
                    after + group.after.nodes.len(),
                )
            });
            assert_eq!(before, large.before.nodes.len());
            assert_eq!(after, large.after.nodes.len());
        }
    }

    #[test]
    fn the_same_reason_is_said_once() {
        let folds = reasoned(
            [
                ((), "b", "1"),
                ((), "a", "1"),
                ((), "a", "2"),
                ((), "a", "1"),
            ]
            .into_iter(),
        );
        assert_eq!(folds.len(), 2);
        assert_eq!((folds[0].reason, &folds[0].items), ("a", &vec!["1", "2"]));
        assert_eq!(listed(&["1", "2", "3"], 2), "1, 2, 3");
        assert_eq!(listed(&["1", "2", "3", "4"], 2), "1, 2 and 2 more");
    }
}
