//! Which nodes can take a pod: the filters of the default profile, in their order.
//!
//! A [`Sieve`] holds what one pod asks, resolved to numbers. Asking whether a node passes is a few comparisons; asking why
//! not goes through the plugins in the order of `apis/config/v1/default_plugins.go` and stops at the first that objects.

use super::class::{Class, Plan};
use super::cluster::Cluster;
use super::counts::Sum;
use super::domains::NOWHERE;
use super::fixed::Verdict;
use super::reason::Reason;
use crate::names::{Key, Value};
use crate::requirement::Requirements;
use crate::resources::Resource;
use crate::world::{NodeId, Volume, VolumeFault, World};

/// The reasons of a node; almost always one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub reasons: Vec<Reason>,
    /// Whether taking pods away may help.
    pub resolvable: bool,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            resolvable: reason.is_resolvable(),
            reasons: vec![reason],
        }
    }
}

struct SpreadCheck<'a> {
    of_node: &'a [u32],
    by_domain: &'a [i64],
    /// The most pods that a domain may have before the pod comes.
    most: i64,
}

struct TermCheck<'a> {
    of_node: &'a [u32],
    by_domain: &'a [i64],
}

impl TermCheck<'_> {
    /// How many pods there are in a node's domain; none where the node lacks the label.
    fn there(&self, node: usize) -> Option<i64> {
        let domain = self.of_node[node];
        (domain != NOWHERE).then(|| self.by_domain[domain as usize])
    }
}

struct ClaimCheck<'a> {
    claim: Value,
    volume: &'a Volume,
    /// The zones of pods that use an unbound volume: it is about to be made there. None means anywhere.
    zones: Vec<Value>,
}

/// What one pod asks of nodes.
pub(super) struct Sieve<'a> {
    world: &'a World,
    cluster: &'a Cluster,
    class: &'a Class,
    /// One for each node, or none where the pod names its nodes.
    verdicts: Option<&'a [Verdict]>,
    spread: Vec<SpreadCheck<'a>>,
    affinity: Vec<TermCheck<'a>>,
    /// No pod matches the pod's affinity and it matches itself: nodes with the labels will do.
    first_of_its_kind: bool,
    anti_affinity: Vec<TermCheck<'a>>,
    repelled_by: Vec<TermCheck<'a>>,
    claims: Vec<ClaimCheck<'a>>,
    /// A claim that only one pod may use is in use.
    claimed: bool,
}

/// What keeps a pod off every node (`volumebinding/volume_binding.go` `PreFilter`).
pub(super) fn up_front(world: &World, class: &Class) -> Option<Reason> {
    class.shape.claims.iter().find_map(|claim| {
        let fault = match world.volumes.get(claim) {
            None => Some(VolumeFault::Missing),
            Some(volume) => volume.fault,
        };
        fault
            .filter(|fault| *fault != VolumeFault::NoVolume)
            .map(|fault| Reason::Claim(*claim, fault))
    })
}

impl<'a> Sieve<'a> {
    /// What a pod of a class asks. The plan's sums and the class's column are up to date.
    pub(super) fn new(
        world: &'a World,
        cluster: &'a Cluster,
        class: &'a Class,
        plan: &Plan,
        with_column: bool,
    ) -> Self {
        let term = |sum: &super::counts::SumId| {
            let topology = cluster.counts.topology_of(*sum);
            TermCheck {
                of_node: &cluster.domains.get(topology).of_node,
                by_domain: &cluster.counts.sum(*sum).by_domain,
            }
        };
        let spread = plan.hard.iter().map(|spread| {
            let sum: &Sum = cluster.counts.sum(spread.sum);
            let least = if sum.domains < spread.min_domains {
                0
            } else {
                sum.least()
            };
            SpreadCheck {
                of_node: &cluster.domains.get(spread.topology).of_node,
                by_domain: &sum.by_domain,
                most: spread.max_skew + least - spread.own,
            }
        });
        let total: i64 = plan
            .affinity
            .iter()
            .map(|sum| cluster.counts.sum(*sum).total)
            .sum();
        let claims: Vec<ClaimCheck<'a>> = class
            .shape
            .claims
            .iter()
            .filter_map(|claim| {
                let volume = world.volumes.get(claim)?;
                let users = cluster.claims.get(claim).filter(|_| !volume.bound);
                let zone = |node: &NodeId| world.node(*node).label(Key::ZONE);
                Some(ClaimCheck {
                    claim: *claim,
                    volume,
                    zones: users.into_iter().flatten().filter_map(zone).collect(),
                })
            })
            .collect();
        let claimed = claims.iter().any(|check| {
            let users = cluster.claims.get(&check.claim);
            check.volume.exclusive && users.is_some_and(|users| !users.is_empty())
        });
        Self {
            world,
            cluster,
            class,
            verdicts: with_column.then(|| cluster.columns.verdicts(class.fixed)),
            spread: spread.collect(),
            affinity: plan.affinity.iter().map(term).collect(),
            first_of_its_kind: total == 0 && plan.matches_itself,
            anti_affinity: plan.anti_affinity.iter().map(term).collect(),
            repelled_by: plan.repelled_by.iter().map(term).collect(),
            claims,
            claimed,
        }
    }

    /// What the pod's spec says of a node.
    pub(super) fn verdict(&self, node: NodeId) -> Verdict {
        let at = node.0 as usize;
        match self.verdicts {
            Some(verdicts) => verdicts[at],
            None => self.cluster.columns.fixed(self.class.fixed).verdict(
                self.world,
                node,
                &self.cluster.gates[at],
            ),
        }
    }

    /// Whether a node passes all filters.
    pub(super) fn passes(&self, node: NodeId) -> bool {
        let at = node.0 as usize;
        let free = &self.cluster.free[at];
        self.class
            .needs
            .iter()
            .all(|(resource, amount)| *amount <= free[*resource])
            && self.verdict(node).passes()
            && self.spread.iter().all(|check| {
                let domain = check.of_node[at];
                domain != NOWHERE && check.by_domain[domain as usize] <= check.most
            })
            && self.affinity_fault(at).is_none()
            && self.ports_are_free(at)
            && (self.claims.is_empty() || self.volume_fault(node).is_none())
    }

    /// Why a node doesn't pass; none if it does.
    pub(super) fn reject(&self, node: NodeId) -> Option<Rejection> {
        let at = node.0 as usize;
        let verdict = self.verdict(node);
        if verdict.cordoned {
            return Some(Reason::Unschedulable.into());
        }
        if verdict.tainted {
            let fixed = self.cluster.columns.fixed(self.class.fixed);
            let taint = fixed.taint(&self.cluster.gates[at]);
            return taint.map(|taint| Reason::Taint(taint.key, taint.value).into());
        }
        if verdict.mismatched {
            return Some(Reason::NodeAffinity.into());
        }
        if !self.ports_are_free(at) {
            return Some(Reason::Ports.into());
        }
        self.resource_fault(at)
            .or_else(|| self.volume_fault(node).map(Rejection::from))
            .or_else(|| self.spread_fault(at).map(Rejection::from))
            .or_else(|| self.affinity_fault(at).map(Rejection::from))
    }

    fn ports_are_free(&self, at: usize) -> bool {
        let wanted = &self.class.shape.ports;
        wanted.is_empty()
            || !self.cluster.ports[at]
                .iter()
                .any(|taken| wanted.iter().any(|port| port.conflicts(taken)))
    }

    /// `noderesources/fit.go` `fitsRequest`: every resource that is short; beyond help if the whole node has too little.
    fn resource_fault(&self, at: usize) -> Option<Rejection> {
        let free = &self.cluster.free[at];
        let all = &self.cluster.allocatable[at];
        let mut rejection = Rejection {
            reasons: Vec::new(),
            resolvable: true,
        };
        let short = self.class.needs.iter();
        for (resource, amount) in short.filter(|(resource, amount)| *amount > free[*resource]) {
            if *resource == Resource::PODS {
                rejection.reasons.push(Reason::TooManyPods);
                continue;
            }
            rejection.reasons.push(Reason::Insufficient(*resource));
            rejection.resolvable &= *amount <= all[*resource];
        }
        (!rejection.reasons.is_empty()).then_some(rejection)
    }

    fn volume_fault(&self, node: NodeId) -> Option<Reason> {
        if self.claims.is_empty() {
            return None;
        }
        if self.claimed {
            return Some(Reason::ReadWriteOncePod);
        }
        if self.exceeds_volume_limits(node) {
            return Some(Reason::TooManyVolumes);
        }
        let labels = self.world.node(node);
        let matches = |requirements: &Requirements| {
            requirements.iter().all(|requirement| {
                labels.label(requirement.key).map_or_else(
                    || requirement.allows_absence(),
                    |value| requirement.has(&self.world.names, value),
                )
            })
        };
        self.claims.iter().find_map(|check| {
            let volume = check.volume;
            if volume.fault == Some(VolumeFault::NoVolume) {
                return Some(Reason::NoSuchVolume);
            }
            let on_host = volume
                .hosts
                .as_ref()
                .is_none_or(|hosts| hosts.contains(&labels.hostname()));
            let reaches = volume.alternatives.is_empty() || volume.alternatives.iter().any(matches);
            let in_zone = check.zones.is_empty()
                || labels
                    .label(Key::ZONE)
                    .is_some_and(|zone| check.zones.contains(&zone));
            match (volume.bound, on_host && reaches && in_zone) {
                (_, true) => None,
                (true, false) => Some(Reason::VolumeElsewhere),
                (false, false) => Some(Reason::NoVolumeToBind),
            }
        })
    }

    /// `nodevolumelimits/csi.go`: a volume that is on the node already doesn't count again.
    fn exceeds_volume_limits(&self, node: NodeId) -> bool {
        let attached = &self.cluster.volumes[node.0 as usize];
        let limits = &self.world.node(node).volume_limits;
        limits.iter().any(|(driver, limit)| {
            let there = attached
                .iter()
                .filter(|volume| volume.driver == Some(*driver));
            let mut new: Vec<Value> = self
                .claims
                .iter()
                .filter(|check| check.volume.driver == Some(*driver))
                .map(|check| check.claim)
                .filter(|claim| !attached.iter().any(|volume| volume.claim == *claim))
                .collect();
            new.sort_unstable();
            new.dedup();
            !new.is_empty() && there.count() + new.len() > *limit as usize
        })
    }

    fn spread_fault(&self, at: usize) -> Option<Reason> {
        self.spread.iter().find_map(|check| {
            let domain = check.of_node[at];
            if domain == NOWHERE {
                Some(Reason::SpreadLabel)
            } else {
                (check.by_domain[domain as usize] > check.most).then_some(Reason::Spread)
            }
        })
    }

    /// `interpodaffinity/filtering.go` `Filter`: affinity, then the pod's anti-affinity, then that of pods that are there.
    fn affinity_fault(&self, at: usize) -> Option<Reason> {
        if !self.affinity.is_empty() {
            let mut together = true;
            for check in &self.affinity {
                match check.there(at) {
                    None => return Some(Reason::Affinity),
                    Some(pods) => together &= pods > 0,
                }
            }
            if !together && !self.first_of_its_kind {
                return Some(Reason::Affinity);
            }
        }
        let any = |checks: &[TermCheck<'_>]| {
            checks
                .iter()
                .any(|check| check.there(at).is_some_and(|pods| pods > 0))
        };
        if any(&self.anti_affinity) {
            return Some(Reason::AntiAffinity);
        }
        any(&self.repelled_by).then_some(Reason::ExistingAntiAffinity)
    }
}
