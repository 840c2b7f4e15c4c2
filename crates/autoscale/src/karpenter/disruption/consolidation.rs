//! What becomes of candidates when they go: nothing new, one cheaper node, or a reason why not.

use super::round::{Round, total};
use super::{Candidate, Command, Method, Refusal, SPOT_TO_SPOT_TYPES, Simulate, Stuck};
use crate::instances::{CapacityType, MicroUsd, TypeSet};
use crate::karpenter::launch;
use crate::karpenter::provisioning::{NewClaim, Outcome, Request};
use crate::names::{Key, Value};
use crate::requirement::{Requirement, Requirements};
use crate::world::{PodId, Stage, World};

impl Round<'_> {
    /// Where the pods of candidates would go, with the pending ones and those of nodes that are being deleted
    /// (`helpers.go:53` `SimulateScheduling`).
    fn simulated(
        &self,
        planner: &mut impl Simulate,
        candidates: &[&Candidate],
        consolidates: bool,
    ) -> Outcome {
        let world = self.world;
        let moved = candidates
            .iter()
            .flat_map(|candidate| candidate.pods.iter().copied())
            .filter(|pod| {
                self.guards
                    .is_currently_reschedulable(world, *pod, self.now)
            });
        let mut pods = self.pending.clone();
        pods.extend(moved);
        pods.extend_from_slice(&self.leaving);
        let without: Vec<_> = candidates.iter().map(|candidate| candidate.node).collect();
        let mut outcome = planner.simulate(&Request {
            pods: &pods,
            without: &without,
            shielded: if consolidates { &self.shielded } else { &[] },
        });
        launch::truncate(world, &mut outcome, self.settings.min_values);
        for claim in &mut outcome.claims {
            relax(world, claim);
        }
        outcome
    }

    /// The pods that had a place and have none in a simulation (`scheduler.go:388` `AllNonPendingPodsScheduled`,
    /// `helpers.go:119`).
    fn stuck(&self, outcome: &Outcome) -> Vec<(PodId, Stuck)> {
        let world = self.world;
        let lost = outcome
            .unschedulable
            .iter()
            .filter(|lost| !world.pod(lost.pod).is_provisionable())
            .map(|lost| (lost.pod, Stuck::Error(lost.error.clone())));
        let unsure = outcome
            .placements
            .iter()
            .filter(|placement| {
                let pod = world.pod(placement.pod);
                world.node(placement.node).stage != Stage::Initialized
                    && !pod.is_provisionable()
                    && !pod.node.is_some_and(|node| world.node(node).deleting)
            })
            .map(|placement| (placement.pod, Stuck::Uninitialized(placement.node)));
        lost.chain(unsure).collect()
    }

    /// The outcome of taking candidates away, if no pod is lost.
    pub(super) fn outcome(
        &self,
        planner: &mut impl Simulate,
        candidates: &[&Candidate],
        consolidates: bool,
    ) -> Result<Outcome, Refusal> {
        let outcome = self.simulated(planner, candidates, consolidates);
        let stuck = self.stuck(&outcome);
        if stuck.is_empty() {
            Ok(outcome)
        } else {
            Err(Refusal::Unschedulable(stuck))
        }
    }

    fn command(
        &self,
        method: Method,
        candidates: &[&Candidate],
        outcome: Outcome,
        replacements: Vec<NewClaim>,
    ) -> Command {
        let mut command = Command {
            method,
            candidates: candidates.iter().map(|candidate| candidate.node).collect(),
            replacements,
            pods: candidates
                .iter()
                .flat_map(|candidate| candidate.pods.iter().copied())
                .collect(),
            placements: outcome.placements,
            before: total(candidates),
            savings: MicroUsd::default(),
            scores: Vec::new(),
        };
        self.set_savings(&mut command);
        command
    }

    /// `types.go:364` `EstimatedSavings`: the first type of each replacement, by its cheapest offering that may be launched.
    pub(super) fn set_savings(&self, command: &mut Command) {
        let world = self.world;
        let after: i64 = command
            .replacements
            .iter()
            .map(|claim| {
                let types = types_of(world, claim);
                types
                    .by_price(&claim.types, &claim.requirements, &world.names)
                    .first()
                    .map(|first| {
                        types
                            .get(*first)
                            .cheapest(&claim.requirements, &world.names)
                    })
                    .filter(|price| *price != MicroUsd::MAX)
                    .unwrap_or_default()
                    .0
            })
            .sum();
        command.savings = MicroUsd(command.before.0 - after);
    }

    /// A drifted node goes whatever its replacements cost, and however many it takes (`drift.go:63`).
    pub(super) fn replace_drifted(
        &self,
        planner: &mut impl Simulate,
        candidate: &Candidate,
    ) -> Result<Command, Refusal> {
        let mut outcome = self.outcome(planner, &[candidate], false)?;
        let claims = std::mem::take(&mut outcome.claims);
        Ok(self.command(Method::Drift, &[candidate], outcome, claims))
    }

    /// `consolidation.go:159` `computeConsolidation`.
    pub(super) fn consolidate(
        &self,
        planner: &mut impl Simulate,
        method: Method,
        candidates: &[&Candidate],
    ) -> Result<Command, Refusal> {
        let world = self.world;
        let names = &world.names;
        let mut outcome = self.outcome(planner, candidates, true)?;
        let mut claims = std::mem::take(&mut outcome.claims);
        let count = claims.len();
        let Some(mut claim) = claims.pop() else {
            return Ok(self.command(method, candidates, outcome, Vec::new()));
        };
        if count != 1 {
            return Err(Refusal::ManyClaims(count));
        }
        let types = types_of(world, &claim);
        let most = total(candidates);
        let all_spot = candidates
            .iter()
            .all(|candidate| candidate.capacity_type == Some(CapacityType::Spot));
        let may = |claim: &NewClaim, value: Value| {
            claim
                .requirements
                .get(Key::CAPACITY_TYPE)
                .is_none_or(|requirement| requirement.has(names, value))
        };
        // The order by price is that of the claim as it was, even where only spot is left of it.
        let order = types.by_price(&claim.types, &claim.requirements, names);
        let only_spot = Requirement::is(Key::CAPACITY_TYPE, Value::SPOT);
        if all_spot && may(&claim, Value::SPOT) {
            if !self.settings.spot_to_spot {
                return Err(Refusal::SpotToSpotDisabled);
            }
            claim.requirements.add(names, only_spot);
            let mut order = cheaper(world, types, order, &claim.requirements, most)?;
            if candidates.len() == 1 {
                if order.len() < SPOT_TO_SPOT_TYPES {
                    return Err(Refusal::SpotFlexibility {
                        cheaper: order.len(),
                    });
                }
                let least = needed(types, &order, &claim.requirements);
                order.truncate(least.max(SPOT_TO_SPOT_TYPES));
            }
            claim.types = order.into_iter().collect();
        } else {
            let order = cheaper(world, types, order, &claim.requirements, most)?;
            claim.types = order.into_iter().collect();
            // So that a lack of spot doesn't put something dearer in their place (`consolidation.go:238`).
            if may(&claim, Value::SPOT) && may(&claim, Value::ON_DEMAND) {
                claim.requirements.add(names, only_spot);
            }
        }
        Ok(self.command(method, candidates, outcome, vec![claim]))
    }

    /// Several nodes that become one of a type that one of them has are better left with that one: only types cheaper than the
    /// cheapest such node stay (`multinodeconsolidation.go:209` `filterOutSameInstanceType`).
    pub(super) fn without_same_type(
        &self,
        candidates: &[&Candidate],
        mut command: Command,
    ) -> Result<Command, Refusal> {
        let world = self.world;
        let Some(claim) = command.replacements.first_mut() else {
            return Ok(command);
        };
        let types = types_of(world, claim);
        let ceiling = claim
            .types
            .iter()
            .filter_map(|index| {
                let name = types.get(index).name;
                candidates
                    .iter()
                    .filter(|candidate| candidate.instance_type == Some(name))
                    .map(|candidate| candidate.price)
                    .min()
            })
            .min()
            .unwrap_or(MicroUsd::MAX);
        let order: Vec<usize> = claim.types.iter().collect();
        let kept =
            cheaper(world, types, order, &claim.requirements, ceiling).map_err(|refusal| {
                match refusal {
                    Refusal::NotCheaper => Refusal::SameType,
                    other => other,
                }
            })?;
        claim.types = kept.into_iter().collect();
        self.set_savings(&mut command);
        Ok(command)
    }
}

pub(super) fn types_of<'w>(world: &'w World, claim: &NewClaim) -> &'w TypeSet {
    &world.type_sets[claim.type_set.0 as usize]
}

/// The types that are cheaper even where the launch goes badly (`nodeclaim.go:411`
/// `RemoveInstanceTypeOptionsByPriceAndMinValues`).
fn cheaper(
    world: &World,
    types: &TypeSet,
    mut order: Vec<usize>,
    requirements: &Requirements,
    most: MicroUsd,
) -> Result<Vec<usize>, Refusal> {
    order.retain(|index| {
        types
            .get(*index)
            .worst_launch_price(requirements, &world.names)
            < most
    });
    if order.is_empty() {
        return Err(Refusal::NotCheaper);
    }
    types
        .satisfies_min_values(order.iter().copied(), requirements)
        .map_err(Refusal::MinValues)?;
    Ok(order)
}

/// How many of the first types hold what must stay flexible (`cloudprovider/types.go:399` `SatisfiesMinValues`); 0 where nothing
/// must.
fn needed(types: &TypeSet, order: &[usize], requirements: &Requirements) -> usize {
    if !requirements.has_min_values() {
        return 0;
    }
    (1..=order.len())
        .find(|count| {
            types
                .satisfies_min_values(order[..*count].iter().copied(), requirements)
                .is_ok()
        })
        .unwrap_or(order.len())
}

/// A claim that `MIN_VALUES_POLICY=BestEffort` let through asks for what it had then (`nodeclaim.go:197`).
fn relax(world: &World, claim: &mut NewClaim) {
    if !claim.min_values_relaxed {
        return;
    }
    let types = types_of(world, claim);
    let Err(lacking) = types.satisfies_min_values(claim.types.iter(), &claim.requirements) else {
        return;
    };
    for (key, there) in lacking {
        if let Some(requirement) = claim.requirements.get(key) {
            let mut relaxed = requirement.clone();
            relaxed.min_values = Some(there);
            claim.requirements.set(relaxed);
        }
    }
}
