//! The domains that pools may launch.

use rustc_hash::FxHashMap;

use crate::names::{Key, Value};
use crate::shape::Taint;
use crate::world::World;

/// By label: each value, with the sets of taints under which nodes of it are launched.
pub(crate) type Universe = FxHashMap<Key, Vec<(Value, Vec<Vec<Taint>>)>>;

/// The universe of domains: what pools may launch (`topology.go:105` `buildDomainGroups`).
pub(crate) fn launchable(world: &World) -> Universe {
    let mut all: FxHashMap<Key, FxHashMap<Value, Vec<Vec<Taint>>>> = FxHashMap::default();
    let mut insert = |key: Key, value: Value, taints: &[Taint]| {
        let sets = all.entry(key).or_default().entry(value).or_default();
        if !sets.iter().any(|set| set == taints) {
            sets.push(taints.to_vec());
        }
    };
    for pool in world.pools_by_weight() {
        let Some(types) = world.types_of(pool) else {
            continue;
        };
        let entry = world.pool(pool);
        let mut own = entry.requirements.clone();
        own.remove(Key::NODE_POOL);
        let mut keys: Vec<Key> = own.iter().map(|requirement| requirement.key).collect();
        keys.extend(
            types
                .types()
                .iter()
                .flat_map(|kind| kind.requirements.iter().map(|requirement| requirement.key)),
        );
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let mut values: Vec<Value> = types.domains(key, &own, &world.names).collect();
            if let Some(requirement) = own.get(key)
                && !requirement.complement
            {
                values.extend(&requirement.values);
            }
            values.sort_unstable();
            values.dedup();
            for value in values {
                insert(key, value, &entry.taints);
            }
        }
    }
    all.into_iter()
        .map(|(key, values)| (key, values.into_iter().collect()))
        .collect()
}
