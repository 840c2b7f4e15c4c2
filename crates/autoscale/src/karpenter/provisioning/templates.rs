//! Pools as claims are made from them.

use rustc_hash::FxHashMap;

use super::states::{StateId, States};
use super::{MinValuesPolicy, Options};
use crate::bits::Bits;
use crate::instances::{TypeSet, TypeSetId};
use crate::names::{Key, Value};
use crate::requirement::{Requirement, Requirements, Undefined};
use crate::resources::Resources;
use crate::shape::{Effect, HostPort, PodShape, Taint, Toleration, untolerated};
use crate::world::{PoolId, World};

/// A pool with at least one instance type (`nodeclaimtemplate.go:66`).
#[derive(Debug)]
pub(super) struct Template {
    pub pool: PoolId,
    pub type_set: TypeSetId,
    pub state: StateId,
    /// The types that its requirements allow.
    pub types: Bits,
    pub taints: Vec<Taint>,
    pub daemons: Vec<DaemonGroup>,
}

/// Types on which the same daemons run (`scheduler.go:957` `DaemonOverheadGroup`).
#[derive(Debug)]
pub(super) struct DaemonGroup {
    pub types: Bits,
    pub overhead: Resources,
    pub ports: Vec<HostPort>,
}

/// The templates in the order in which they are tried.
pub(super) fn templates(world: &World, options: &Options, states: &mut States) -> Vec<Template> {
    let mut made = Vec::new();
    for pool in world.pools_by_weight() {
        let (Some(type_set), Some(types)) = (world.pool(pool).types, world.types_of(pool)) else {
            continue;
        };
        let entry = world.pool(pool);
        let mut requirements = entry.requirements.clone();
        // So that daemon sets that ask for them are counted (`nodeclaimtemplate.go:91`).
        for key in [Key::REGISTERED, Key::INITIALIZED] {
            requirements.add(&world.names, Requirement::is(key, Value::TRUE));
        }
        let number = u32::try_from(made.len()).unwrap_or(u32::MAX);
        let state = states.intern(number, requirements.clone(), types, &world.names);
        let mut bits = states.get(state).types.clone();
        types.retain_fitting(&mut bits, &Resources::ZERO);
        let flexible = types
            .satisfies_min_values(bits.iter(), &requirements)
            .is_ok();
        if bits.is_empty() || (!flexible && options.min_values == MinValuesPolicy::Strict) {
            continue;
        }
        made.push(Template {
            pool,
            type_set,
            state,
            daemons: daemon_groups(world, &requirements, &entry.taints, types, &bits),
            types: bits,
            taints: entry.taints.clone(),
        });
    }
    made
}

/// `scheduler.go:972` `buildDaemonOverheadGroups`, in the order of the types.
fn daemon_groups(
    world: &World,
    requirements: &Requirements,
    taints: &[Taint],
    types: &TypeSet,
    bits: &Bits,
) -> Vec<DaemonGroup> {
    let mut groups: Vec<(Vec<usize>, DaemonGroup)> = Vec::new();
    let mut by_daemons: FxHashMap<Vec<usize>, usize> = FxHashMap::default();
    // Terms that suit the template, for each daemon set that tolerates its taints.
    let suited: Vec<(usize, Vec<Requirements>)> = world
        .daemon_sets
        .iter()
        .enumerate()
        .filter_map(|(index, daemon)| {
            let shape = world.shape(daemon.shape);
            let terms = template_terms(world, shape, requirements, taints);
            (!terms.is_empty()).then_some((index, terms))
        })
        .collect();
    for index in bits.iter() {
        let kind = types.get(index);
        let daemons: Vec<usize> = suited
            .iter()
            .filter(|(_, terms)| {
                terms
                    .iter()
                    .any(|term| kind.requirements.intersects(term, &world.names).is_ok())
            })
            .map(|(daemon, _)| *daemon)
            .collect();
        let place = *by_daemons.entry(daemons.clone()).or_insert_with(|| {
            let shapes = || {
                daemons
                    .iter()
                    .map(|daemon| world.shape(world.daemon_sets[*daemon].shape))
            };
            groups.push((
                daemons.clone(),
                DaemonGroup {
                    types: Bits::empty(types.len()),
                    overhead: shapes().fold(Resources::ZERO, |sum, shape| sum + shape.requests),
                    ports: shapes()
                        .flat_map(|shape| shape.ports.iter().copied())
                        .collect(),
                },
            ));
            groups.len() - 1
        });
        groups[place].1.types.insert(index);
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The requirements under which a daemon suits a template: those of each required term in turn (`scheduler.go:1021`).
fn template_terms(
    world: &World,
    shape: &PodShape,
    requirements: &Requirements,
    taints: &[Taint],
) -> Vec<Requirements> {
    let mut tolerations = shape.tolerations.clone();
    tolerations.push(Toleration {
        key: None,
        value: None,
        effect: Some(Effect::PreferNoSchedule),
    });
    if untolerated(taints, &tolerations).is_some() {
        return Vec::new();
    }
    daemon_terms(world, shape)
        .into_iter()
        .filter(|term| {
            requirements
                .compatible(term, &world.names, Undefined::WellKnown)
                .is_ok()
        })
        .collect()
}

/// A daemon's requirements, one set for each required term.
pub(super) fn daemon_terms(world: &World, shape: &PodShape) -> Vec<Requirements> {
    let names = &world.names;
    let selector = Requirements::new(
        names,
        shape
            .node_selector
            .iter()
            .map(|(key, value)| Requirement::is(*key, *value)),
    );
    if shape.required_terms.is_empty() {
        return vec![selector];
    }
    shape
        .required_terms
        .iter()
        .map(|term| {
            let mut all = selector.clone();
            all.add_all(names, &term.requirements(names));
            all
        })
        .collect()
}
