//! Pods on claims of this round, and new claims.

use super::planner::{Answer, Planner, Resolved};

use super::MinValuesPolicy;
use super::claims::ClaimState;
use super::states::StateId;
use super::templates::Template;
use crate::bits::Bits;
use crate::instances::TypeSet;
use crate::names::{Key, Value};
use crate::requirement::{Requirement, Requirements};
use crate::resources::Resources;
use crate::shape::HostPort;
use crate::topology::{Choice, GroupId, Spot};
use crate::world::PodId;

impl Planner<'_> {
    /// Claims of this round, fewest pods first (`scheduler.go:658` `addToInflightNode`).
    pub(super) fn add_to_claim(&mut self, variant: u32, pod: PodId) -> bool {
        for place in 0..self.order.len() {
            let claim = self.order.at(place);
            if self.scratch[variant as usize].dead.has(claim) {
                continue;
            }
            match self.try_claim(variant, claim) {
                Answer::Never => self.scratch[variant as usize].dead.insert(claim),
                Answer::NotNow => {}
                Answer::State { with_topology, .. } => {
                    let pods = self.claims[claim].pods.len();
                    self.put(variant, pod, claim, with_topology);
                    self.order.bump(place, pods);
                    return true;
                }
            }
        }
        false
    }

    /// `nodeclaim.go:124` `CanAdd`. What will never change again is told apart. The types that are left are in `self.bits`.
    pub(super) fn try_claim(&mut self, variant: u32, claim: usize) -> Answer {
        let number = variant;
        let variant = &self.variants[number as usize];
        let entry = &self.claims[claim];
        let template = &self.templates[entry.template as usize];
        if !variant.tolerates[entry.template as usize] {
            return Answer::Never;
        }
        let total = entry.requests + variant.shape.requests;
        if !total.fit(&self.states.get(entry.state).ceiling) {
            return Answer::Never;
        }
        if !self.hosts_allow(variant, Spot::Claim(claim)) {
            // Only pod affinity by host can come to hold later.
            return if variant.needs_host {
                Answer::NotNow
            } else {
                Answer::Never
            };
        }
        if let Some(host) = variant.requirements.get(Key::HOSTNAME)
            && !host.has(&self.world.names, Value::claim(claim))
        {
            return Answer::Never;
        }
        let (state, types) = (entry.state, template.type_set);
        let types = &self.world.type_sets[types.0 as usize];
        let alternatives = self.variants[number as usize].volume_joins.len().max(1);
        let mut last = Answer::Never;
        for alternative in 0..alternatives {
            let answer = self.resolve(number, state, alternative, types);
            let Answer::State {
                base,
                with_topology,
            } = answer
            else {
                if matches!(answer, Answer::NotNow) {
                    last = Answer::NotNow;
                }
                continue;
            };
            let entry = &self.claims[claim];
            let template = &self.templates[entry.template as usize];
            let variant = &self.variants[number as usize];
            let fits = |state: StateId, bits: &mut Bits, more: &mut Bits| {
                let state = self.states.get(state);
                let found = remaining(
                    bits,
                    more,
                    &entry.types,
                    &state.types,
                    template,
                    types,
                    &total,
                    (&entry.ports, &variant.shape.ports),
                );
                found
                    && (!state.has_min_values
                        || types
                            .satisfies_min_values(bits.iter(), &state.requirements)
                            .is_ok())
            };
            let (mut bits, mut more) = (
                std::mem::take(&mut self.bits),
                std::mem::take(&mut self.more_bits),
            );
            let good = fits(with_topology, &mut bits, &mut more);
            let later = !good && base != with_topology && fits(base, &mut bits, &mut more);
            self.bits = bits;
            self.more_bits = more;
            if good {
                return answer;
            }
            if later {
                last = Answer::NotNow;
            }
        }
        last
    }

    /// What becomes of a state with a pod's requirements, volumes and topology.
    pub(super) fn resolve(
        &mut self,
        number: u32,
        state: StateId,
        alternative: usize,
        types: &TypeSet,
    ) -> Answer {
        let variant = &self.variants[number as usize];
        let (away, _) = self.tracker.kept_away_known(variant.shape_index);
        let concerned = variant
            .label_groups
            .iter()
            .chain(away.iter().filter(|id| self.tracker.is_active(**id)));
        let mut stamp = (0, 0);
        for id in concerned {
            stamp.0 = self.epoch;
            stamp.1 += self.tracker.group(*id).version + 1;
        }
        let slot = state.0 as usize;
        let cached = variant.volume_joins.len() < 2;
        if cached
            && let Some(Some(known)) = self.scratch[number as usize].resolved.get(slot)
            && known.stamp == stamp
        {
            return known.answer;
        }
        let answer = self.compute(number, state, alternative, types);
        if cached {
            let resolved = &mut self.scratch[number as usize].resolved;
            if resolved.len() <= slot {
                resolved.resize(slot + 1, None);
            }
            resolved[slot] = Some(Resolved { stamp, answer });
        }
        answer
    }

    pub(super) fn compute(
        &mut self,
        number: u32,
        state: StateId,
        alternative: usize,
        types: &TypeSet,
    ) -> Answer {
        let names = &self.world.names;
        let variant = &self.variants[number as usize];
        let Ok(mut base) =
            self.states
                .join(state, variant.joins, &variant.requirements, types, names)
        else {
            return Answer::Never;
        };
        if let Some(join) = variant.volume_joins.get(alternative) {
            let volume = &variant.volumes[alternative];
            match self.states.join(base, *join, volume, types, names) {
                Ok(joined) => base = joined,
                Err(_) => return Answer::Never,
            }
        }
        match self.with_topology(number, base, types) {
            Ok(with_topology) => Answer::State {
                base,
                with_topology,
            },
            Err(_) => Answer::NotNow,
        }
    }

    /// The domains that topology chooses, every group looking at the same requirements (`topology.go:212` `AddRequirements`).
    pub(super) fn with_topology(
        &mut self,
        number: u32,
        base: StateId,
        types: &TypeSet,
    ) -> Result<StateId, GroupId> {
        let world = self.world;
        let names = &world.names;
        let variant = &self.variants[number as usize];
        let (away, _) = self.tracker.kept_away_known(variant.shape_index);
        let mut result = base;
        for id in variant
            .label_groups
            .iter()
            .chain(away.iter().filter(|id| self.tracker.is_active(**id)))
        {
            let group = self.tracker.group(*id);
            let key = group.definition.key;
            let node = self.states.get(base).requirements.get(key);
            // A label of one's own that nothing defines can't be chosen.
            if node.is_none() && !names.is_well_known(key) {
                return Err(*id);
            }
            let selected = self.tracker.selects(world, *id, &variant.shape);
            result = match group.choose(selected, variant.strict.get(key), node, names) {
                Choice::None => return Err(*id),
                Choice::One(value) => self.states.narrow(result, key, value, types, names),
                Choice::Any(values) => {
                    self.states
                        .narrow_to(result, Requirement::one_of(key, values), types, names)
                }
            };
            let empty = self
                .states
                .get(result)
                .requirements
                .get(key)
                .is_some_and(|requirement| {
                    !requirement.complement && requirement.values.is_empty()
                });
            if empty {
                return Err(*id);
            }
        }
        Ok(result)
    }

    /// Enters a pod on a claim; the types that are left are in `self.bits`.
    pub(super) fn put(&mut self, variant: u32, pod: PodId, claim: usize, state: StateId) {
        let world = self.world;
        let shape = &self.variants[variant as usize].shape;
        let entry = &mut self.claims[claim];
        entry.state = state;
        entry.types.clone_from(&self.bits);
        entry.requests += shape.requests;
        entry.pods.push(pod);
        entry.ports.extend_from_slice(&shape.ports);
        let template = &self.templates[entry.template as usize];
        self.tracker.record(
            world,
            world.pod(pod).shape,
            Spot::Claim(claim),
            &template.taints,
            &self.states.get(state).requirements,
        );
    }

    /// The first template that takes the pod (`scheduler.go:695` `addToNewNodeClaim`).
    pub(super) fn open_claim(&mut self, variant: u32, pod: PodId) -> bool {
        for index in 0..self.templates.len() {
            let template = &self.templates[index];
            let types = &self.world.type_sets[template.type_set.0 as usize];
            let limits = &self.limits[template.pool.0 as usize];
            if limits.nodes == Some(0) {
                continue;
            }
            let mut allowed = template.types.clone();
            types.retain_within(&mut allowed, limits);
            if allowed.is_empty() {
                continue;
            }
            let claim = self.claims.len();
            self.tracker.set_claims(claim + 1);
            self.claims.push(ClaimState {
                template: u32::try_from(index).unwrap_or(u32::MAX),
                state: template.state,
                types: allowed,
                requests: Resources::ZERO,
                pods: Vec::new(),
                ports: Vec::new(),
                min_values_relaxed: false,
            });
            let mut answer = self.try_claim(variant, claim);
            if !matches!(answer, Answer::State { .. })
                && self.options.min_values == MinValuesPolicy::BestEffort
            {
                answer = self.relax_min_values(variant, claim);
            }
            if let Answer::State { with_topology, .. } = answer {
                self.put(variant, pod, claim, with_topology);
                self.order.open(claim);
                let pool = self.templates[index].pool.0 as usize;
                // The dearest case, never given back (`scheduler.go:1049` `subtractMax`).
                let most = types.max_capacity(&self.claims[claim].types);
                self.limits[pool].subtract(&most);
                return true;
            }
            self.claims.pop();
            self.tracker.set_claims(claim);
        }
        false
    }

    /// Takes what there is of values (`nodeclaim.go:201`, `MinValuesPolicy` `BestEffort`); new claims only.
    pub(super) fn relax_min_values(&mut self, variant: u32, claim: usize) -> Answer {
        let template = &self.templates[self.claims[claim].template as usize];
        let types = &self.world.type_sets[template.type_set.0 as usize];
        let before = self.claims[claim].state;
        let requirements = &self.states.get(before).requirements;
        if !requirements.has_min_values() {
            return Answer::Never;
        }
        let mut free = requirements.clone();
        let wanted: Vec<Requirement> = requirements
            .iter()
            .filter(|requirement| requirement.min_values.is_some())
            .cloned()
            .collect();
        for requirement in &wanted {
            free.set(Requirement {
                min_values: None,
                ..requirement.clone()
            });
        }
        let number = self.claims[claim].template;
        self.claims[claim].state = self.states.intern(number, free, types, &self.world.names);
        let Answer::State { with_topology, .. } = self.try_claim(variant, claim) else {
            self.claims[claim].state = before;
            return Answer::Never;
        };
        let mut relaxed = self.states.get(with_topology).requirements.clone();
        for requirement in wanted {
            let mut asked = Requirements::default();
            asked.set(requirement.clone());
            let there = match types.satisfies_min_values(self.bits.iter(), &asked) {
                Ok(()) => requirement.min_values,
                Err(lacking) => lacking.first().map(|(_, there)| *there),
            };
            if let Some(now) = relaxed.get(requirement.key) {
                let now = Requirement {
                    min_values: there,
                    ..now.clone()
                };
                relaxed.set(now);
            }
        }
        self.claims[claim].min_values_relaxed = true;
        let state = self
            .states
            .intern(number, relaxed, types, &self.world.names);
        Answer::State {
            base: state,
            with_topology: state,
        }
    }
}

pub(super) fn conflicts(there: &[HostPort], wanted: &[HostPort]) -> bool {
    wanted
        .iter()
        .any(|port| there.iter().any(|other| port.conflicts(other)))
}

/// The types of a claim that still suit, into `bits` (`nodeclaim.go:541` `filterInstanceTypesByRequirements`). Tells whether there
/// is any.
#[allow(clippy::too_many_arguments)]
fn remaining(
    bits: &mut Bits,
    more: &mut Bits,
    of_claim: &Bits,
    of_state: &Bits,
    template: &Template,
    types: &TypeSet,
    total: &Resources,
    ports: (&[HostPort], &[HostPort]),
) -> bool {
    let (there, wanted) = ports;
    if conflicts(there, wanted) {
        return false;
    }
    if let [group] = &template.daemons[..] {
        bits.clone_from(of_claim);
        bits.intersect(of_state);
        types.retain_fitting(bits, &(*total + group.overhead));
        return !bits.is_empty() && !conflicts(&group.ports, wanted);
    }
    bits.clone_from(of_claim);
    bits.clear();
    for group in &template.daemons {
        if conflicts(&group.ports, wanted) {
            continue;
        }
        more.clone_from(of_claim);
        more.intersect(of_state);
        more.intersect(&group.types);
        types.retain_fitting(more, &(*total + group.overhead));
        bits.unite(more);
    }
    !bits.is_empty()
}
