//! The planner: builds what holds for every question, and answers them.

use crate::topology::launchable;

use rustc_hash::FxHashMap;

use super::claims::{ClaimState, Order};
use super::nodes::{self, NodeState};
use super::queue::{self, Queue};
use super::reasons::PodError;
use super::states::{StateId, States};
use super::templates::{Template, templates};
use super::variants::Variant;
use super::{NewClaim, Options, Outcome, Placement, Relaxation, Request, Unschedulable};
use crate::bits::Bits;
use crate::instances::Limits;
use crate::names::Key;
use crate::requirement::Requirements;
use crate::resources::Resources;
use crate::shape::{Effect, ShapeId};
use crate::topology::Tracker;
use crate::world::{PodId, World};

/// Answers what Karpenter would launch. See the module's documentation.
pub struct Planner<'w> {
    pub(super) world: &'w World,
    pub(super) options: Options,
    pub(super) templates: Vec<Template>,
    pub(super) states: States,
    pub(super) tracker: Tracker,
    pub(super) variants: Vec<Variant>,
    pub(super) first_variant: Vec<Option<u32>>,
    pub(super) scratch: Vec<VariantScratch>,
    pub(super) joins: FxHashMap<Requirements, u32>,
    pub(super) nodes: Vec<NodeState>,
    pub(super) node_place: Vec<Option<u32>>,
    pub(super) node_requirements: Vec<Requirements>,
    pub(super) tolerate_prefer_no_schedule: bool,
    /// What is left of each pool's limits with all nodes there.
    pub(super) base_limits: Vec<Limits>,
    pub(super) limits: Vec<Limits>,
    pub(super) claims: Vec<ClaimState>,
    pub(super) order: Order,
    pub(super) bits: Bits,
    pub(super) more_bits: Bits,
    pub(super) removed: Bits,
    pub(super) shielded: Bits,
    /// Nodes of this simulation and what they were like before.
    pub(super) touched: Vec<(usize, Resources, usize, usize)>,
    pub(super) epoch: u64,
}

/// What is remembered of a variant.
#[derive(Default)]
pub(super) struct VariantScratch {
    /// Places of the nodes that suit it as they are in the cluster.
    pub(super) nodes: Option<Vec<u32>>,
    /// The simulation of the next two.
    pub(super) epoch: u64,
    /// Nodes before this place in `nodes` take no more of it.
    pub(super) first_node: usize,
    /// Claims that take no more of it.
    pub(super) dead: Bits,
    /// By the number of a claim's state: what becomes of it with this pod.
    pub(super) resolved: Vec<Option<Resolved>>,
    /// When nothing could be placed the last time: (simulation, placements by then).
    pub(super) failed: (u64, usize),
}

#[derive(Clone, Copy)]
pub(super) struct Resolved {
    pub(super) stamp: (u64, u64),
    pub(super) answer: Answer,
}

/// What becomes of a claim's state with a pod.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// It can never take it.
    Never,
    /// Not with the counts as they are.
    NotNow,
    /// This is it.
    State {
        base: StateId,
        with_topology: StateId,
    },
}

impl<'w> Planner<'w> {
    /// A planner over a world.
    #[must_use]
    pub fn new(world: &'w World, options: Options) -> Self {
        let mut states = States::default();
        let templates = templates(world, &options, &mut states);
        let node_requirements = nodes::requirements(world);
        let nodes = nodes::nodes(world, &node_requirements);
        let mut node_place = vec![None; world.nodes.len()];
        for (place, node) in nodes.iter().enumerate() {
            node_place[node.id.0 as usize] = u32::try_from(place).ok();
        }
        let mut base_limits: Vec<Limits> =
            world.pools.iter().map(|pool| pool.limits.clone()).collect();
        for node in &nodes {
            let node = world.node(node.id);
            if let Some(pool) = node.pool {
                base_limits[pool.0 as usize].subtract_node(&node.capacity);
            }
        }
        let tolerate_prefer_no_schedule = world
            .pools_by_weight()
            .iter()
            .flat_map(|pool| &world.pool(*pool).taints)
            .any(|taint| taint.effect == Effect::PreferNoSchedule);
        let tracker = Tracker::new(
            world,
            node_requirements.clone(),
            launchable(world),
            options.seed,
        );
        Self {
            world,
            options,
            templates,
            states,
            tracker,
            variants: Vec::new(),
            first_variant: vec![None; world.shapes.len()],
            scratch: Vec::new(),
            joins: FxHashMap::default(),
            nodes,
            node_place,
            node_requirements,
            tolerate_prefer_no_schedule,
            limits: base_limits.clone(),
            base_limits,
            claims: Vec::new(),
            order: Order::default(),
            bits: Bits::default(),
            more_bits: Bits::default(),
            removed: Bits::empty(world.nodes.len()),
            shielded: Bits::empty(world.nodes.len()),
            touched: Vec::new(),
            epoch: 0,
        }
    }

    /// The world it is over.
    #[must_use]
    pub fn world(&self) -> &'w World {
        self.world
    }

    /// Answers one question; the planner is as it was afterwards (`scheduler.go:448` `Solve`).
    pub fn simulate(&mut self, request: &Request<'_>) -> Outcome {
        let world = self.world;
        let pods = queue::order(world, request.pods);
        self.begin(request, &pods);
        let mut outcome = Outcome::default();
        let mut queue = Queue::new(pods.len());
        let mut placed = 0;
        let mut errors: FxHashMap<usize, u32> = FxHashMap::default();
        while let Some(next) = queue.pop() {
            let pod = pods[next];
            match self.try_pod(pod, placed, &mut outcome) {
                Ok(()) => {
                    placed += 1;
                    errors.remove(&next);
                }
                Err(last) => {
                    errors.insert(next, last);
                    queue.push(next);
                }
            }
        }
        let mut explained: FxHashMap<u32, PodError> = FxHashMap::default();
        for next in queue.rest() {
            let last = errors.get(&next).copied().unwrap_or_default();
            let error = match explained.get(&last) {
                Some(error) => error.clone(),
                None => {
                    let error = self.explain(last);
                    explained.insert(last, error.clone());
                    error
                }
            };
            outcome.unschedulable.push(Unschedulable {
                pod: pods[next],
                error,
            });
        }
        outcome.claims = self.finish();
        self.end();
        outcome
    }

    pub(super) fn begin(&mut self, request: &Request<'_>, pods: &[PodId]) {
        let world = self.world;
        self.epoch += 1;
        self.order.clear();
        self.claims.clear();
        self.removed.clear();
        self.shielded.clear();
        self.limits.clone_from(&self.base_limits);
        let mut removed = Vec::with_capacity(request.without.len());
        for node in request.without {
            // A node that is being deleted is left out already.
            if self.removed.has(node.0 as usize) || self.node_place[node.0 as usize].is_none() {
                continue;
            }
            self.removed.insert(node.0 as usize);
            removed.push(*node);
            let entry = world.node(*node);
            if let Some(pool) = entry.pool {
                let capacity = Resources::ZERO - entry.capacity;
                let limits = &mut self.limits[pool.0 as usize];
                limits.subtract(&capacity);
                if let Some(nodes) = &mut limits.nodes {
                    *nodes += 1;
                }
            }
        }
        for node in request.shielded {
            self.shielded.insert(node.0 as usize);
        }
        let excluded = pods
            .iter()
            .filter(|pod| world.pod(**pod).counts_for_topology())
            .filter_map(|pod| Some((world.pod(*pod).shape, world.pod(*pod).node?)))
            .collect();
        self.tracker.begin(world, excluded, removed);
        let mut shapes: Vec<ShapeId> = pods.iter().map(|pod| world.pod(*pod).shape).collect();
        shapes.sort_unstable();
        shapes.dedup();
        for shape in shapes {
            let variant = self.variant_of(shape);
            for group in self.tracker.owned_inverse(world, shape) {
                self.tracker.activate(world, group);
            }
            self.activate(variant);
        }
    }

    pub(super) fn end(&mut self) {
        self.tracker.end();
        for (place, free, ports, volumes) in self.touched.drain(..).rev() {
            let node = &mut self.nodes[place];
            node.free = free;
            node.ports.truncate(ports);
            node.volumes.truncate(volumes);
        }
        self.claims.clear();
    }

    pub(super) fn finish(&mut self) -> Vec<NewClaim> {
        let claims = std::mem::take(&mut self.claims);
        claims
            .into_iter()
            .map(|claim| {
                let template = &self.templates[claim.template as usize];
                let mut requirements = self.states.get(claim.state).requirements.clone();
                requirements.remove(Key::REGISTERED);
                requirements.remove(Key::INITIALIZED);
                // The least overhead among the types that are left (`nodeclaim.go:378` `addDaemonRequests`).
                let overhead = template
                    .daemons
                    .iter()
                    .filter(|group| group.types.iter().any(|index| claim.types.has(index)))
                    .map(|group| group.overhead)
                    .reduce(|a, b| a.min(&b))
                    .unwrap_or_default();
                NewClaim {
                    pool: template.pool,
                    pods: claim.pods,
                    requirements,
                    type_set: template.type_set,
                    types: claim.types,
                    requests: claim.requests + overhead,
                    min_values_relaxed: claim.min_values_relaxed,
                }
            })
            .collect()
    }

    /// Tries a pod, then gives up one preference after the other (`scheduler.go:512` `trySchedule`).
    pub(super) fn try_pod(
        &mut self,
        pod: PodId,
        placed: usize,
        outcome: &mut Outcome,
    ) -> Result<(), u32> {
        let world = self.world;
        let shape = world.pod(pod).shape;
        let first = self.variant_of(shape);
        let mut variant = first;
        let known = self.scratch[first as usize].failed == (self.epoch, placed + 1);
        let hopeless = self.variants[first as usize].shape.resource_claims
            || self.volume_fault(first).is_some();
        loop {
            if !known && !hopeless && self.add(variant, pod, outcome) {
                if variant != first {
                    let steps = self.relaxations(first, variant);
                    outcome.relaxed.push((pod, steps));
                }
                return Ok(());
            }
            match self.relax(variant) {
                Some(next) => variant = next,
                None => break,
            }
        }
        self.scratch[first as usize].failed = (self.epoch, placed + 1);
        Err(variant)
    }

    pub(super) fn relaxations(&self, first: u32, last: u32) -> Vec<Relaxation> {
        let mut steps = Vec::new();
        let mut variant = first;
        while variant != last
            && let Some(Some(next)) = self.variants[variant as usize].next
        {
            variant = next;
            steps.extend(self.variants[variant as usize].relaxation);
        }
        steps
    }

    pub(super) fn volume_fault(&self, variant: u32) -> Option<crate::world::VolumeFault> {
        self.variants[variant as usize]
            .shape
            .claims
            .iter()
            .find_map(|claim| self.world.volumes.get(claim)?.fault)
    }

    /// The three stages (`scheduler.go:582` `add`): nodes that are there, claims of this round, a new claim.
    pub(super) fn add(&mut self, variant: u32, pod: PodId, outcome: &mut Outcome) -> bool {
        let scratch = &mut self.scratch[variant as usize];
        if scratch.epoch != self.epoch {
            scratch.epoch = self.epoch;
            scratch.first_node = 0;
            scratch.dead.clear();
        }
        let shape = ShapeId(self.variants[variant as usize].shape_index);
        let _ = self.tracker.kept_away(self.world, shape);
        if let Some(node) = self.add_to_node(variant, pod) {
            outcome.placements.push(Placement { pod, node });
            return true;
        }
        self.add_to_claim(variant, pod) || self.open_claim(variant, pod)
    }
}
