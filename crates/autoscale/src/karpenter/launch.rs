//! From a claim to a machine: the list of types that is asked for, and what AWS is taken to give.
//!
//! Models `nodeclaimtemplate.go` `ToNodeClaim`, `scheduler.go:419` `TruncateInstanceTypes`, and of the AWS provider
//! `pkg/providers/instance/{instance.go,filter/filter.go}` at 1d92708. How deep EC2's spot pools are nobody outside knows: spot
//! is taken to be given by price, the cheapest first.

use crate::instances::{CapacityType, MicroUsd, TypeSet};
use crate::karpenter::provisioning::{
    MinValuesPolicy, NewClaim, Outcome, PodError, TemplateError, Unschedulable,
};
use crate::names::{Key, Names, Value};
use crate::requirement::{Requirement, Requirements};
use crate::resources::Resources;
use crate::world::World;

/// How many types one call of AWS's fleet API is given (`instance.go` `maxInstanceTypes`).
pub const AWS_TYPES: usize = 60;

/// What is launched for a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Which type, as a place in the claim's type set.
    pub kind: usize,
    /// Its name.
    pub instance_type: Value,
    /// Where.
    pub zone: Value,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// What it costs an hour.
    pub price: MicroUsd,
}

/// Why nothing is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// No type of the claim has an offering left.
    #[error("all requested instance types were unavailable during launch")]
    InsufficientCapacity,
    /// The list had to be cut below what `minValues` asks for.
    #[error(
        "truncating instance types based on the passed-in requirements, minValues requirement is not met"
    )]
    MinValues,
}

/// Cuts every claim's types to the cheapest (600 since 1.7). Where `minValues` doesn't hold afterwards, the claim goes and its
/// pods stay pending (`scheduler.go:419`).
pub fn truncate(world: &World, outcome: &mut Outcome, policy: MinValuesPolicy) {
    let most = world.version.max_instance_types();
    let mut kept = Vec::with_capacity(outcome.claims.len());
    for mut claim in std::mem::take(&mut outcome.claims) {
        let types = &world.type_sets[claim.type_set.0 as usize];
        if claim.types.len() > most {
            let order = types.by_price(&claim.types, &claim.requirements, &world.names);
            claim.types = order.into_iter().take(most).collect();
            let lacking = types.satisfies_min_values(claim.types.iter(), &claim.requirements);
            if let Err(lacking) = lacking
                && policy == MinValuesPolicy::Strict
            {
                let error =
                    PodError::Templates(vec![(claim.pool, TemplateError::MinValues(lacking))]);
                outcome
                    .unschedulable
                    .extend(claim.pods.iter().map(|pod| Unschedulable {
                        pod: *pod,
                        error: error.clone(),
                    }));
                continue;
            }
        }
        kept.push(claim);
    }
    outcome.claims = kept;
}

/// The types that are asked for, cheapest first, and what is required of them: the claim's types by name and the capacity types
/// that they have (`nodeclaimtemplate.go:128` `ToNodeClaim`).
#[must_use]
pub fn launch_list(world: &World, claim: &NewClaim) -> (Vec<usize>, Requirements) {
    let types = &world.type_sets[claim.type_set.0 as usize];
    let names = &world.names;
    let mut order = types.by_price(&claim.types, &claim.requirements, names);
    order.truncate(world.version.max_instance_types());
    let mut requirements = claim.requirements.clone();
    let flexible = requirements
        .get(Key::INSTANCE_TYPE)
        .and_then(|requirement| requirement.min_values);
    let listed = order.iter().map(|index| types.get(*index).name).collect();
    requirements.add(
        names,
        Requirement {
            min_values: flexible,
            ..Requirement::one_of(Key::INSTANCE_TYPE, listed)
        },
    );
    let bought = order
        .iter()
        .flat_map(|index| types.get(*index).launchable(&requirements, names))
        .map(|offering| offering.capacity_type.value())
        .collect::<Vec<_>>();
    if !bought.is_empty() {
        requirements.add(names, Requirement::one_of(Key::CAPACITY_TYPE, bought));
    }
    (order, requirements)
}

/// What AWS is taken to launch of a claim: filters, the cut to 60, the capacity type, then the cheapest offering.
///
/// # Errors
///
/// Nothing that is asked for is there.
pub fn launch(world: &World, claim: &NewClaim) -> Result<Launch, LaunchError> {
    let types = &world.type_sets[claim.type_set.0 as usize];
    let (order, requirements) = launch_list(world, claim);
    let all = offerings(types, order, &requirements, &claim.requests, &world.names)?;
    all.into_iter()
        .next()
        .ok_or(LaunchError::InsufficientCapacity)
}

/// What EC2's fleet API is asked for, the cheapest first; all of it is of one capacity type. `order` are the types that may be
/// launched, as places in the set, the cheapest first.
///
/// # Errors
///
/// Nothing that is asked for is there.
pub fn offerings(
    types: &TypeSet,
    mut order: Vec<usize>,
    requirements: &Requirements,
    requests: &Resources,
    names: &Names,
) -> Result<Vec<Launch>, LaunchError> {
    order.retain(|index| {
        crate::instances::launchable_at_all(types.get(*index), requirements, requests, names)
    });
    if order.is_empty() {
        return Err(LaunchError::InsufficientCapacity);
    }
    let flexible = requirements.has_min_values();
    // Metal, GPUs and accelerators only where nothing else is left (filter.go `exoticInstanceFilter`).
    if !flexible && order.iter().any(|index| !types.get(*index).exotic) {
        order.retain(|index| !types.get(*index).exotic);
    }
    let dearest_spot = (!flexible)
        .then(|| spot_ceiling(types, &order, requirements, names))
        .flatten();
    let offerings = |index: &usize| {
        let kind = *index;
        types
            .get(kind)
            .launchable(requirements, names)
            .filter(move |offering| {
                offering.capacity_type != CapacityType::Spot
                    || dearest_spot.is_none_or(|most| offering.price <= most)
            })
            .map(move |offering| (offering, kind))
            .collect::<Vec<_>>()
    };
    order.retain(|index| !offerings(index).is_empty());
    if order.len() > AWS_TYPES {
        order.truncate(AWS_TYPES);
        if types
            .satisfies_min_values(order.iter().copied(), requirements)
            .is_err()
        {
            return Err(LaunchError::MinValues);
        }
    }
    let all: Vec<_> = order.iter().flat_map(offerings).collect();
    // Reserved before spot before on-demand (instance.go `getCapacityType`).
    let wanted = CapacityType::PREFERRED
        .into_iter()
        .find(|wanted| {
            all.iter()
                .any(|(offering, _)| offering.capacity_type == *wanted)
        })
        .ok_or(LaunchError::InsufficientCapacity)?;
    let mut all: Vec<_> = all
        .into_iter()
        .filter(|(offering, _)| offering.capacity_type == wanted)
        .collect();
    all.sort_by_key(|(offering, kind)| (offering.price, *kind, names.value_text(offering.zone)));
    Ok(all
        .into_iter()
        .map(|(offering, kind)| Launch {
            kind,
            instance_type: types.get(kind).name,
            zone: offering.zone,
            capacity_type: offering.capacity_type,
            price: offering.price,
        })
        .collect())
}

/// Spot that costs more than the cheapest on-demand offering is left out where both may be had (filter.go `spotOfferingFilter`).
fn spot_ceiling(
    types: &TypeSet,
    order: &[usize],
    requirements: &Requirements,
    names: &Names,
) -> Option<MicroUsd> {
    let bought = requirements.get(Key::CAPACITY_TYPE);
    let may = |kind: CapacityType| bought.is_none_or(|bought| bought.has(names, kind.value()));
    if !may(CapacityType::Spot) || !may(CapacityType::OnDemand) {
        return None;
    }
    let all = || {
        order
            .iter()
            .flat_map(|index| types.get(*index).launchable(requirements, names))
    };
    all()
        .any(|offering| offering.capacity_type == CapacityType::Spot)
        .then(|| {
            all()
                .filter(|offering| offering.capacity_type == CapacityType::OnDemand)
                .map(|offering| offering.price)
                .min()
        })
        .flatten()
}
