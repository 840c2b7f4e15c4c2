//! One group and its rules for choosing domains.

use std::fmt;

use crate::names::{Key, Names, Value};
use crate::requirement::{Requirement, Requirements, Undefined};
use crate::shape::{Namespaces, Selector, Taint, Toleration, untolerated};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(pub u32);

/// What a group is for (`topologygroup.go:35` `TopologyType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// A topology spread constraint.
    Spread,
    /// Pod affinity.
    Affinity,
    /// Pod anti-affinity.
    AntiAffinity,
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spread => "topology spread",
            Self::Affinity => "pod affinity",
            Self::AntiAffinity => "pod anti-affinity",
        })
    }
}

/// Which nodes count for a spread constraint (`topologynodefilter.go:32`). Affinity counts on all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct NodeFilter {
    /// Any of them must hold; none is all nodes.
    pub requirements: Vec<Requirements>,
    pub honor_affinity: bool,
    pub honor_taints: bool,
    pub tolerations: Vec<Toleration>,
}

impl NodeFilter {
    pub fn is_trivial(&self) -> bool {
        let any_node =
            self.requirements.is_empty() || self.requirements.iter().any(Requirements::is_empty);
        (!self.honor_affinity || any_node) && !self.honor_taints
    }

    /// `topologynodefilter.go:71` `Matches`. Undefined labels are denied, even well-known ones: the options are not handed on.
    pub fn matches(&self, taints: &[Taint], requirements: &Requirements, names: &Names) -> bool {
        let affinity = !self.honor_affinity
            || self.requirements.is_empty()
            || self.requirements.iter().any(|wanted| {
                requirements
                    .compatible(wanted, names, Undefined::Denied)
                    .is_ok()
            });
        affinity && (!self.honor_taints || untolerated(taints, &self.tolerations).is_none())
    }
}

/// What makes two groups one (`topologygroup.go:186` `Hash`). `minDomains` is no part of it: the first pod's holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Definition {
    pub kind: GroupKind,
    pub key: Key,
    pub namespaces: Namespaces,
    pub selector: Selector,
    pub max_skew: u32,
    pub filter: NodeFilter,
    /// Counts the pods that have the term rather than those that it selects.
    pub inverse: bool,
}

/// A value of the label.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub value: Value,
    pub count: u32,
    /// How many nodes that are there have it.
    pub nodes: u32,
    /// Whether a pool may launch nodes with it.
    pub launchable: bool,
}

impl Domain {
    fn is_known(&self) -> bool {
        self.launchable || self.nodes > 0 || self.count > 0
    }
}

/// Counts by host: of nodes that are there, and of claims of the simulation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    pub nodes: Vec<u32>,
    pub claims: Vec<u32>,
    /// How many hosts have any.
    pub occupied: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub definition: Definition,
    pub min_domains: Option<u32>,
    pub is_host: bool,
    pub trivial_filter: bool,
    pub hosts: Hosts,
    /// In the order in which ties are broken.
    pub domains: Vec<Domain>,
    /// Goes up with every change of `domains`.
    pub version: u64,
    /// The simulation that it takes part in.
    pub active: u64,
}

/// Which domains a pod may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    None,
    One(Value),
    Any(Vec<Value>),
}

fn allows(requirement: Option<&Requirement>, names: &Names, value: Value) -> bool {
    requirement.is_none_or(|requirement| requirement.has(names, value))
}

impl Group {
    /// The domains of a label that a pod may go to, given what it and the node allow (`topologygroup.go:117` `Get`).
    pub fn choose(
        &self,
        selects_self: bool,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
    ) -> Choice {
        match self.definition.kind {
            GroupKind::Spread => self.next_spread(selects_self, pod, node, names),
            GroupKind::Affinity => self.next_affinity(selects_self, pod, node, names),
            GroupKind::AntiAffinity => self.next_anti_affinity(pod, node, names),
        }
    }

    /// The least populated domain within the skew (`topologygroup.go:229`).
    fn next_spread(
        &self,
        selects_self: bool,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
    ) -> Choice {
        let least = self.least_count(pod, names);
        let own = u32::from(selects_self);
        self.domains
            .iter()
            .filter(|domain| domain.is_known() && allows(node, names, domain.value))
            .filter(|domain| {
                i64::from(domain.count + own) - i64::from(least)
                    <= i64::from(self.definition.max_skew)
            })
            .min_by_key(|domain| domain.count)
            .map_or(Choice::None, |domain| Choice::One(domain.value))
    }

    /// The least count over the domains that the pod allows; 0 where there are fewer than `minDomains` (`topologygroup.go:300`).
    fn least_count(&self, pod: Option<&Requirement>, names: &Names) -> u32 {
        let (mut least, mut supported) = (u32::MAX, 0_u32);
        for domain in self.domains.iter().filter(|domain| domain.is_known()) {
            if allows(pod, names, domain.value) {
                supported += 1;
                least = least.min(domain.count);
            }
        }
        if self.min_domains.is_some_and(|wanted| supported < wanted) {
            return 0;
        }
        least
    }

    /// Domains that have such pods; one that selects itself may start where none fits (`topologygroup.go:324`).
    fn next_affinity(
        &self,
        selects_self: bool,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
    ) -> Choice {
        let populated = || {
            self.domains
                .iter()
                .filter(|domain| domain.count > 0 && allows(pod, names, domain.value))
        };
        let options: Vec<Value> = populated()
            .map(|domain| domain.value)
            .filter(|value| allows(node, names, *value))
            .collect();
        match options[..] {
            [one] => return Choice::One(one),
            [] => {}
            _ => return Choice::Any(options),
        }
        if !selects_self || populated().next().is_some() {
            return Choice::None;
        }
        // Karpenter adds a second domain by chance here, which leaves the claim open now and then; the first of each is one.
        let known = || {
            self.domains
                .iter()
                .filter(|domain| domain.is_known() && allows(pod, names, domain.value))
                .map(|domain| domain.value)
        };
        known()
            .find(|value| allows(node, names, *value))
            .or_else(|| known().next())
            .map_or(Choice::None, Choice::One)
    }

    /// Domains without such pods (`topologygroup.go:404`).
    fn next_anti_affinity(
        &self,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
    ) -> Choice {
        let options: Vec<Value> = self
            .domains
            .iter()
            .filter(|domain| domain.is_known() && domain.count == 0)
            .map(|domain| domain.value)
            .filter(|value| allows(node, names, *value) && allows(pod, names, *value))
            .collect();
        match options[..] {
            [] => Choice::None,
            [one] => Choice::One(one),
            _ => Choice::Any(options),
        }
    }

    /// Whether a pod may go to a host with so many of them (the host name's own rules in the three functions above).
    pub fn host_allows(
        &self,
        count: u32,
        selects_self: bool,
        any_occupied: impl FnOnce() -> bool,
    ) -> bool {
        match self.definition.kind {
            GroupKind::Spread => count + u32::from(selects_self) <= self.definition.max_skew,
            GroupKind::Affinity => count > 0 || (selects_self && !any_occupied()),
            GroupKind::AntiAffinity => count == 0,
        }
    }
}
