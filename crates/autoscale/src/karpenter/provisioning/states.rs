//! Sets of requirements as numbers, with what they leave of the instance types.
//!
//! Claims pass through few distinct sets of requirements. Each is kept once; its intersection with a pod's requirements and with
//! chosen domains is computed once. The host name is no part of a state: it differs from claim to claim.

use rustc_hash::FxHashMap;

use crate::bits::Bits;
use crate::instances::TypeSet;
use crate::names::{Key, Names, Value};
use crate::requirement::{Conflict, Requirement, Requirements, Undefined};
use crate::resources::Resources;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StateId(pub u32);

pub(super) struct State {
    pub requirements: Requirements,
    /// Which template's types `types` are of.
    pub template: u32,
    /// Types whose labels suit and that have an offering.
    pub types: Bits,
    pub has_min_values: bool,
    /// The most that any of the types gives, for a quick no.
    pub ceiling: Resources,
}

#[derive(Default)]
pub(super) struct States {
    pub all: Vec<State>,
    ids: FxHashMap<(u32, Requirements), StateId>,
    joined: FxHashMap<(StateId, u32), Result<StateId, Conflict>>,
    narrowed: FxHashMap<(StateId, Key, Value), StateId>,
}

impl States {
    pub fn get(&self, id: StateId) -> &State {
        &self.all[id.0 as usize]
    }

    pub fn intern(
        &mut self,
        template: u32,
        requirements: Requirements,
        types: &TypeSet,
        names: &Names,
    ) -> StateId {
        let key = (template, requirements);
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let requirements = &key.1;
        let mut bits = types.compatible(requirements, names);
        bits.intersect(&types.offered(requirements, names));
        let id = StateId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(State {
            requirements: requirements.clone(),
            template,
            ceiling: bits
                .iter()
                .map(|index| types.get(index).allocatable())
                .reduce(|a, b| a.max(&b))
                .unwrap_or_default(),
            types: bits,
            has_min_values: requirements.has_min_values(),
        });
        self.ids.insert(key, id);
        id
    }

    /// A claim's requirements with a set of others: compatible first, then intersected (`nodeclaim.go:124` `CanAdd`). `number`
    /// tells the set of others.
    pub fn join(
        &mut self,
        id: StateId,
        number: u32,
        others: &Requirements,
        types: &TypeSet,
        names: &Names,
    ) -> Result<StateId, Conflict> {
        if others.is_empty() {
            return Ok(id);
        }
        if let Some(known) = self.joined.get(&(id, number)) {
            return *known;
        }
        let state = self.get(id);
        let result = match state
            .requirements
            .compatible(others, names, Undefined::WellKnown)
        {
            Err(conflict) => Err(conflict),
            Ok(()) => {
                let mut requirements = state.requirements.clone();
                requirements.add_all(names, others);
                requirements.remove(Key::HOSTNAME);
                let template = state.template;
                Ok(self.intern(template, requirements, types, names))
            }
        };
        self.joined.insert((id, number), result);
        result
    }

    /// A claim's requirements with one domain chosen for a key.
    pub fn narrow(
        &mut self,
        id: StateId,
        key: Key,
        value: Value,
        types: &TypeSet,
        names: &Names,
    ) -> StateId {
        if let Some(known) = self.narrowed.get(&(id, key, value)) {
            return *known;
        }
        let state = self.get(id);
        let mut requirements = state.requirements.clone();
        requirements.add(names, Requirement::is(key, value));
        let template = state.template;
        let result = self.intern(template, requirements, types, names);
        self.narrowed.insert((id, key, value), result);
        result
    }

    /// A claim's requirements with several domains possible for a key.
    pub fn narrow_to(
        &mut self,
        id: StateId,
        requirement: Requirement,
        types: &TypeSet,
        names: &Names,
    ) -> StateId {
        if let Some(value) = requirement.single() {
            return self.narrow(id, requirement.key, value, types, names);
        }
        let state = self.get(id);
        let mut requirements = state.requirements.clone();
        requirements.add(names, requirement);
        let template = state.template;
        self.intern(template, requirements, types, names)
    }
}
