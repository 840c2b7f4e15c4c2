//! Which colour a pod has: that of what made it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use autoscale::answer::{Answer, PodPicture};

use crate::render::simulation::amounts;

/// Owners that have a colour of their own; more could not be told apart.
const COLOURS: [&str; 9] = ["o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8"];
const OTHERS: &str = "ox";
const DAEMONS: &str = "od";

/// The namespace and the owner.
pub(super) type Owner<'a> = (&'a str, Option<&'a str>);

/// The owner of a pod.
pub(super) fn owner(pod: &PodPicture) -> Owner<'_> {
    let namespace = pod
        .name
        .split_once('/')
        .map_or("", |(namespace, _)| namespace);
    (namespace, pod.owner.as_deref())
}

/// What an owner is called.
pub(super) fn title((namespace, owner): Owner<'_>) -> String {
    let owner = owner.unwrap_or("pods of their own");
    match namespace {
        "" | "default" => amounts::name(owner),
        namespace => format!("{} ({})", amounts::name(owner), amounts::name(namespace)),
    }
}

/// What the colours mean.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners<'a> {
    ranks: BTreeMap<Owner<'a>, usize>,
    /// Each that has a colour, with how many pods it has before and after, waiting ones included.
    pub(super) named: Vec<(Owner<'a>, [usize; 2])>,
    /// The pods of all others, and how many owners these are.
    pub(super) others: ([usize; 2], usize),
    /// The daemons' pods.
    pub(super) daemons: [usize; 2],
}

impl<'a> Owners<'a> {
    /// Gives the colours to those that request the most CPU.
    pub(super) fn of(answer: &'a Answer) -> Self {
        let mut owners: BTreeMap<Owner<'a>, (i64, [usize; 2])> = BTreeMap::new();
        let mut daemons = [0, 0];
        for (side, picture) in [&answer.before, &answer.after].into_iter().enumerate() {
            let placed = picture.nodes.iter().flat_map(|node| &node.pods);
            for pod in placed.chain(&picture.pending) {
                if pod.daemon {
                    daemons[side] += 1;
                    continue;
                }
                let (cpu, pods) = owners.entry(owner(pod)).or_default();
                *cpu = cpu.saturating_add(pod.cpu_milli.max(0));
                pods[side] += 1;
            }
        }
        let mut sorted: Vec<_> = owners.into_iter().collect();
        sorted.sort_by_key(|(_, (cpu, _))| Reverse(*cpu));
        let ranks = sorted
            .iter()
            .enumerate()
            .map(|(rank, (owner, _))| (*owner, rank));
        let ranks = ranks.collect();
        let rest = sorted.split_off(COLOURS.len().min(sorted.len()));
        let pods = |side: usize| rest.iter().map(|(_, (_, pods))| pods[side]).sum();
        Self {
            ranks,
            named: sorted
                .into_iter()
                .map(|(owner, (_, pods))| (owner, pods))
                .collect(),
            others: ([pods(0), pods(1)], rest.len()),
            daemons,
        }
    }

    /// The order of a pod among the others of its node: daemons first, then by owner.
    pub(super) fn rank(&self, pod: &PodPicture) -> usize {
        if pod.daemon {
            return 0;
        }
        self.ranks
            .get(&owner(pod))
            .map_or(usize::MAX, |rank| rank + 1)
    }

    /// The class that gives a pod its colour.
    pub(super) fn class(&self, pod: &PodPicture) -> &'static str {
        if pod.daemon {
            return DAEMONS;
        }
        let rank = self.ranks.get(&owner(pod)).copied();
        rank.and_then(|rank| COLOURS.get(rank).copied())
            .unwrap_or(OTHERS)
    }

    /// The classes and names of a legend, with the pods of each before and after.
    pub(super) fn legend(&self) -> Vec<(&'static str, String, [usize; 2])> {
        let named = COLOURS.iter().zip(&self.named);
        let mut legend: Vec<_> = named
            .map(|(class, (owner, pods))| (*class, title(*owner), *pods))
            .collect();
        let (pods, owners) = self.others;
        if owners > 0 {
            legend.push((OTHERS, crate::terminal::count(owners, "other owner"), pods));
        }
        if self.daemons != [0, 0] {
            legend.push((DAEMONS, "daemons".to_owned(), self.daemons));
        }
        legend
    }
}
