//! A shape with some of its preferences given up.

use std::fmt;
use std::sync::Arc;

use crate::names::Names;
use crate::requirement::{Requirement, Requirements};
use crate::shape::{AffinityTerm, PodShape, Spread, Toleration};
use crate::topology::GroupId;

use super::PreferencePolicy;

/// What a pod gives up to be placed, in the order of `preferences.go:38` `Relax`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relaxation {
    /// The first of several terms of required node affinity.
    RequiredNodeAffinityTerm,
    /// The heaviest preferred pod affinity.
    PreferredPodAffinity,
    /// The heaviest preferred pod anti-affinity.
    PreferredPodAntiAffinity,
    /// The heaviest preferred node affinity.
    PreferredNodeAffinity,
    /// A spread constraint with `ScheduleAnyway`.
    ScheduleAnywaySpread,
    /// Taints with `PreferNoSchedule` are tolerated.
    PreferNoScheduleTaints,
}

impl fmt::Display for Relaxation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequiredNodeAffinityTerm => {
                "removing: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::PreferredPodAffinity => {
                "removing: spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::PreferredPodAntiAffinity => {
                "removing: spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::PreferredNodeAffinity => {
                "removing: spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
            }
            Self::ScheduleAnywaySpread => "removing: spec.topologySpreadConstraints (ScheduleAnyway)",
            Self::PreferNoScheduleTaints => "adding: toleration for PreferNoSchedule taints",
        })
    }
}

/// What is left of a shape's wishes after some steps.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    shape: Arc<PodShape>,
    /// How many required terms are gone.
    required_from: usize,
    affinity: Vec<AffinityTerm>,
    anti_affinity: Vec<AffinityTerm>,
    preferred: Vec<Requirements>,
    pub spread: Vec<Spread>,
    pub tolerations: Vec<Toleration>,
    ignore: bool,
}

/// Heaviest first, ties in the pod's order.
fn by_weight<T>(weighted: &[(i32, T)]) -> impl Iterator<Item = &T> {
    let mut order: Vec<&(i32, T)> = weighted.iter().collect();
    order.sort_by_key(|(weight, _)| -weight);
    order.into_iter().map(|(_, term)| term)
}

impl Wishes {
    pub fn new(shape: &Arc<PodShape>, policy: PreferencePolicy, names: &Names) -> Self {
        let ignore = policy == PreferencePolicy::Ignore;
        let preferences = |terms: &crate::shape::Terms| {
            if ignore {
                Vec::new()
            } else {
                by_weight(&terms.preferred).cloned().collect()
            }
        };
        Self {
            required_from: 0,
            affinity: preferences(&shape.affinity),
            anti_affinity: preferences(&shape.anti_affinity),
            preferred: if ignore {
                Vec::new()
            } else {
                by_weight(&shape.preferred_terms)
                    .map(|term| term.requirements(names))
                    .collect()
            },
            spread: shape
                .spread
                .iter()
                .filter(|spread| spread.required || !ignore)
                .cloned()
                .collect(),
            tolerations: shape.tolerations.clone(),
            shape: Arc::clone(shape),
            ignore,
        }
    }

    /// One step further (`preferences.go:38`); `None` when there is nothing left to give up.
    pub fn relaxed(&self, tolerate_prefer_no_schedule: bool) -> Option<(Self, Relaxation)> {
        let mut next = self.clone();
        if next.shape.required_terms.len() - next.required_from > 1 {
            next.required_from += 1;
            return Some((next, Relaxation::RequiredNodeAffinityTerm));
        }
        if !next.affinity.is_empty() {
            next.affinity.remove(0);
            return Some((next, Relaxation::PreferredPodAffinity));
        }
        if !next.anti_affinity.is_empty() {
            next.anti_affinity.remove(0);
            return Some((next, Relaxation::PreferredPodAntiAffinity));
        }
        if !next.preferred.is_empty() {
            next.preferred.remove(0);
            return Some((next, Relaxation::PreferredNodeAffinity));
        }
        if let Some(index) = next.spread.iter().position(|spread| !spread.required) {
            next.spread.swap_remove(index);
            return Some((next, Relaxation::ScheduleAnywaySpread));
        }
        let tolerated = next.tolerations.iter().any(|toleration| {
            toleration.key.is_none()
                && toleration.value.is_none()
                && toleration.effect == Some(crate::shape::Effect::PreferNoSchedule)
        });
        if tolerate_prefer_no_schedule && !tolerated {
            next.tolerations.push(Toleration {
                key: None,
                value: None,
                effect: Some(crate::shape::Effect::PreferNoSchedule),
            });
            return Some((next, Relaxation::PreferNoScheduleTaints));
        }
        None
    }

    /// The requirements that hold whatever is preferred (`requirements.go:76` `NewStrictPodRequirements`).
    pub fn strict(&self, names: &Names) -> Requirements {
        let mut all = Requirements::default();
        for (key, value) in &self.shape.node_selector {
            all.add(names, Requirement::is(*key, *value));
        }
        if let Some(term) = self.shape.required_terms.get(self.required_from) {
            all.add_all(names, &term.requirements(names));
        }
        all
    }

    /// With the heaviest preference on top (`requirements.go:71` `NewPodRequirements`).
    pub fn requirements(&self, names: &Names) -> Requirements {
        let mut all = self.strict(names);
        if !self.ignore
            && let Some(heaviest) = self.preferred.first()
        {
            all.add_all(names, heaviest);
        }
        all
    }

    /// For each required term that is left, the requirements of a node that counts for the pod's spread
    /// (`topologynodefilter.go:42`).
    pub fn node_filters(&self, names: &Names) -> Vec<Requirements> {
        let selector = Requirements::new(
            names,
            self.shape
                .node_selector
                .iter()
                .map(|(key, value)| Requirement::is(*key, *value)),
        );
        if !self.shape.has_required_affinity {
            return vec![selector];
        }
        self.shape.required_terms[self.required_from.min(self.shape.required_terms.len())..]
            .iter()
            .map(|term| {
                let mut all = selector.clone();
                all.add_all(names, &term.requirements(names));
                all
            })
            .collect()
    }

    /// Terms of pod affinity that hold at this step.
    pub fn affinity_terms(&self) -> impl Iterator<Item = &AffinityTerm> {
        self.shape.affinity.required.iter().chain(&self.affinity)
    }

    /// Terms of pod anti-affinity that hold at this step.
    pub fn anti_affinity_terms(&self) -> impl Iterator<Item = &AffinityTerm> {
        self.shape
            .anti_affinity
            .required
            .iter()
            .chain(&self.anti_affinity)
    }
}

/// A shape at one step, ready to be tried.
#[derive(Debug)]
pub(super) struct Variant {
    pub shape: Arc<PodShape>,
    pub shape_index: u32,
    pub wishes: Wishes,
    /// What was given up to get here from the step before.
    pub relaxation: Option<Relaxation>,
    pub requirements: Requirements,
    pub strict: Requirements,
    /// Groups over labels that it owns (zones and the like).
    pub label_groups: Vec<GroupId>,
    /// Groups over host names that it owns.
    pub host_groups: Vec<GroupId>,
    /// Volume alternatives; empty means no constraint.
    pub volumes: Arc<Vec<Requirements>>,
    /// Number of `requirements` among all sets that states are joined with.
    pub joins: u32,
    /// Numbers of the volume alternatives.
    pub volume_joins: Vec<u32>,
    /// Templates whose taints it tolerates.
    pub tolerates: Vec<bool>,
    /// The next step's number, once it was made; `Some(None)` if there is none.
    pub next: Option<Option<u32>>,
    pub needs_host: bool,
}
