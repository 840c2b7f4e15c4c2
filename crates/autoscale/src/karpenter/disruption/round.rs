//! One look at a world: who may go, and what each method would do.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};
use objects::karpenter::ConsolidationPolicy;

use super::balanced::{self, PoolTotals};
use super::candidate::{self, Candidate};
use super::pdb::Guards;
use super::{
    Command, MULTI_NODE_BATCH, Method, Refusal, Settings, Simulate, budgets, costs, drift,
};
use crate::instances::MicroUsd;
use crate::karpenter::provisioning::NewClaim;
use crate::names::Key;
use crate::world::{DoNotDisrupt, NodeId, PodId, PoolId, World};

/// One look at a world at one moment.
pub struct Round<'w> {
    pub(super) world: &'w World,
    pub(super) now: Timestamp,
    pub(super) settings: Settings,
    pub(super) guards: Guards,
    /// Nodes that may go, by name.
    candidates: Vec<Candidate>,
    /// Nodes that may not, by name.
    blocked: Vec<(NodeId, Vec<Refusal>)>,
    totals: Vec<PoolTotals>,
    /// Pods that look for room whatever happens: pending ones.
    pub(super) pending: Vec<PodId>,
    /// Pods of nodes that are being deleted.
    pub(super) leaving: Vec<PodId>,
    /// Nodes within their `consolidateAfter`.
    pub(super) shielded: Vec<NodeId>,
}

/// What a method would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// The method.
    pub method: Method,
    /// Its commands: one, but for static drift.
    pub commands: Vec<Command>,
    /// The nodes it looked at and left alone, by name, each with its reason.
    pub refusals: Vec<(NodeId, Refusal)>,
}

/// Everything about one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The node.
    pub node: NodeId,
    /// What keeps every method from it.
    pub blockers: Vec<Refusal>,
    /// What keeps each method from it besides.
    pub methods: Vec<(Method, Vec<Refusal>)>,
    /// What taking it away alone would come to if nothing of that were; none where it could not be asked.
    pub alone: Option<Result<Command, Refusal>>,
}

impl<'w> Round<'w> {
    /// A look at a world.
    #[must_use]
    pub fn new(world: &'w World, now: Timestamp, settings: Settings) -> Self {
        let guards = Guards::new(world);
        let mut order: Vec<(String, NodeId)> = world
            .live_nodes()
            .map(|(id, node)| (world.names.value_text(node.name).into_owned(), id))
            .collect();
        order.sort_unstable();
        let mut candidates = Vec::new();
        let mut blocked = Vec::new();
        let mut totals = vec![PoolTotals::default(); world.pools.len()];
        let mut pending: Vec<PodId> = Vec::new();
        let mut leaving = Vec::new();
        let mut shielded = Vec::new();
        for (_, id) in order {
            let node = world.node(id);
            let blockers = candidate::blockers(world, &guards, id, now);
            let made = candidate::candidate(world, id, now, &blockers);
            if let Some(pool) = node.pool.filter(|_| node.is_managed()) {
                let totals = &mut totals[pool.0 as usize];
                totals.cost.0 += world.price(id).unwrap_or_default().0;
                totals.disruption += match &made {
                    Some(candidate) => candidate.rescheduling,
                    None => costs::of_node(world, node),
                };
            }
            if node.deleting {
                let pods = node.pods.iter().copied();
                leaving
                    .extend(pods.filter(|pod| guards.is_currently_reschedulable(world, *pod, now)));
            } else if world.version.shields_destinations()
                && candidate::is_shielded(world, node, now)
            {
                shielded.push(id);
            }
            candidates.extend(made);
            if !blockers.is_empty() {
                blocked.push((id, blockers));
            }
        }
        pending.extend(
            world
                .live_pods()
                .filter(|(_, pod)| pod.is_provisionable())
                .map(|(id, _)| id),
        );
        Self {
            world,
            now,
            settings,
            guards,
            candidates,
            blocked,
            totals,
            pending,
            leaving,
            shielded,
        }
    }

    /// The nodes that may go; those that only their pods block are among them.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The nodes that may not go, with everything that keeps them from it, by name.
    #[must_use]
    pub fn blocked(&self) -> &[(NodeId, Vec<Refusal>)] {
        &self.blocked
    }

    /// What a pool costs and what moving all its pods would.
    #[must_use]
    pub fn totals(&self, pool: PoolId) -> PoolTotals {
        self.totals[pool.0 as usize]
    }

    /// Whether a candidate counts as empty: moving its pods costs nothing since 1.14, it has none that need room before
    /// (`types.go:156` `IsEmpty`).
    #[must_use]
    pub fn is_empty(&self, candidate: &Candidate) -> bool {
        if self.world.version.sorts_by_savings() {
            candidate.rescheduling <= costs::NODE_COST
        } else {
            candidate.pods.is_empty()
        }
    }

    /// Everything that keeps a method from a candidate (the methods' `ShouldDisrupt`).
    #[must_use]
    pub fn objections(&self, method: Method, candidate: &Candidate) -> Vec<Refusal> {
        let (world, node) = (self.world, self.world.node(candidate.node));
        let pool = world.pool(candidate.pool);
        let mut all = Vec::new();
        if candidate.blocked_by_pods {
            let bounded = node
                .claim
                .as_ref()
                .is_some_and(|claim| claim.termination_grace_period.is_some());
            if !(method.is_eventual() && bounded) {
                all.extend(candidate::blockers(
                    world,
                    &self.guards,
                    candidate.node,
                    self.now,
                ));
            }
        }
        match method {
            Method::StaticDrift if pool.replicas.is_none() => {
                all.push(Refusal::DynamicPool(candidate.pool));
            }
            Method::StaticDrift => {}
            _ if pool.replicas.is_some() => all.push(Refusal::StaticPool(candidate.pool)),
            _ => {}
        }
        match method {
            Method::StaticDrift | Method::Drift => {
                if drift::reason(world, candidate.node, self.now).is_none() {
                    all.push(Refusal::NotDrifted);
                }
            }
            Method::Emptiness => {
                if pool.consolidate_after.duration().is_none() {
                    all.push(Refusal::ConsolidationDisabled(candidate.pool));
                }
                if !self.is_empty(candidate) {
                    all.push(Refusal::NotEmpty);
                }
                all.extend(self.not_consolidatable(candidate));
            }
            Method::MultiNode | Method::SingleNode => {
                all.extend(self.not_consolidated(candidate));
            }
        }
        all
    }

    /// `consolidation.go:100` `ShouldDisrupt`.
    fn not_consolidated(&self, candidate: &Candidate) -> Vec<Refusal> {
        let (world, node) = (self.world, self.world.node(candidate.node));
        let pool = world.pool(candidate.pool);
        let mut all = Vec::new();
        if candidate.instance_type.is_none() {
            all.push(Refusal::TypeNotFound(node.label(Key::INSTANCE_TYPE)));
        }
        for key in [Key::CAPACITY_TYPE, Key::ZONE] {
            if node.label(key).is_none() {
                all.push(Refusal::NoLabel(key));
            }
        }
        if pool.consolidate_after.duration().is_none() {
            all.push(Refusal::ConsolidationDisabled(candidate.pool));
        }
        let empty = self.is_empty(candidate);
        if world.version.sorts_by_savings() {
            if empty {
                all.push(Refusal::Empty);
            } else if pool.consolidation_policy == ConsolidationPolicy::WhenEmpty {
                all.push(Refusal::WhenEmpty(candidate.pool));
            }
        } else if pool.consolidation_policy != ConsolidationPolicy::WhenEmptyOrUnderutilized {
            all.push(Refusal::WhenEmpty(candidate.pool));
        }
        all.extend(self.not_consolidatable(candidate));
        all
    }

    fn not_consolidatable(&self, candidate: &Candidate) -> Option<Refusal> {
        let node = self.world.node(candidate.node);
        if candidate::is_consolidatable(self.world, node, self.now) {
            return None;
        }
        self.world
            .pool(candidate.pool)
            .consolidate_after
            .duration()?;
        Some(Refusal::NotConsolidatable {
            from: candidate::consolidatable_from(self.world, node),
        })
    }

    /// The candidates of a method, in the order in which it takes them, and the others' first objections.
    fn considered(&self, method: Method) -> (Vec<&Candidate>, Vec<(NodeId, Refusal)>) {
        let mut considered = Vec::new();
        let mut refusals = Vec::new();
        for candidate in &self.candidates {
            match self.objections(method, candidate).into_iter().next() {
                None => considered.push(candidate),
                Some(refusal) => refusals.push((candidate.node, refusal)),
            }
        }
        match method {
            Method::StaticDrift => {}
            Method::Drift => self.by_drift(&mut considered),
            Method::Emptiness | Method::MultiNode => self.by_worth(&mut considered),
            Method::SingleNode => {
                self.by_worth(&mut considered);
                considered = interleaved(considered, self.world.pools.len());
            }
        }
        (considered, refusals)
    }

    /// Since 1.14 the greatest savings for the disruption first, before it the least disruption (`consolidation.go:149`).
    fn by_worth(&self, candidates: &mut [&Candidate]) {
        let since = self.world.version.sorts_by_savings();
        candidates.sort_by(|a, b| {
            let order = if since {
                b.savings_ratio().partial_cmp(&a.savings_ratio())
            } else {
                a.lifetime_cost.partial_cmp(&b.lifetime_cost)
            };
            order.unwrap_or(Ordering::Equal)
        });
    }

    /// Nodes without pods first, then those drifted longest (`drift.go:64`).
    fn by_drift(&self, candidates: &mut [&Candidate]) {
        candidates.sort_by_key(|candidate| {
            let claim = self.world.node(candidate.node).claim.as_ref();
            let since = claim.and_then(|claim| claim.drifted_at);
            (!candidate.pods.is_empty(), since.is_none(), since)
        });
    }

    /// What a method would do now.
    pub fn pass(&self, method: Method, planner: &mut impl Simulate) -> Pass {
        let (considered, mut refusals) = self.considered(method);
        let mut commands = Vec::new();
        if !considered.is_empty() {
            let mut left = budgets::allowances(self.world, self.now, method.reason());
            match method {
                Method::Emptiness => {
                    let kept = self.within(&considered, method, &mut left, &mut refusals);
                    if !kept.is_empty() {
                        commands.push(self.deletion(method, &kept));
                    }
                }
                Method::StaticDrift => {
                    self.static_drift(&considered, &left, &mut commands, &mut refusals);
                }
                Method::Drift => {
                    for candidate in considered {
                        let answer = match self.over_budget(method, candidate, &left) {
                            Some(refusal) => Err(refusal),
                            None => self.replace_drifted(planner, candidate),
                        };
                        match answer {
                            Ok(command) => {
                                commands.push(command);
                                break;
                            }
                            Err(refusal) => refusals.push((candidate.node, refusal)),
                        }
                    }
                }
                Method::MultiNode => {
                    let kept = self.within(&considered, method, &mut left, &mut refusals);
                    commands.extend(self.search(planner, &kept));
                }
                Method::SingleNode => {
                    for candidate in considered {
                        match self.single(planner, candidate, &left) {
                            Ok(command) => {
                                commands.push(command);
                                break;
                            }
                            Err(refusal) => refusals.push((candidate.node, refusal)),
                        }
                    }
                }
            }
        }
        Pass {
            method,
            commands,
            refusals,
        }
    }

    /// The first method of [`Method::ORDER`], from one on, that would do something; else all their refusals.
    ///
    /// # Errors
    ///
    /// Nothing is to be done: the passes, with the reasons for each node.
    pub fn next(&self, from: Method, planner: &mut impl Simulate) -> Result<Pass, Vec<Pass>> {
        let mut passes = Vec::new();
        for method in Method::ORDER.into_iter().filter(|method| *method >= from) {
            let pass = self.pass(method, planner);
            if !pass.commands.is_empty() {
                return Ok(pass);
            }
            passes.push(pass);
        }
        Err(passes)
    }

    /// Why each managed node is left alone, by name: what blocks it, else what emptiness says of empty nodes and single-node
    /// consolidation of the others. `passes` are those of [`Self::next`]; nodes that their commands take are not in it.
    #[must_use]
    pub fn left_alone(&self, passes: &[Pass]) -> Vec<(NodeId, Refusal)> {
        let of = |method: Method, node: NodeId| {
            let pass = passes.iter().find(|pass| pass.method == method)?;
            let (_, refusal) = pass.refusals.iter().find(|(other, _)| *other == node)?;
            Some(refusal.clone())
        };
        let taken = |node: NodeId| {
            let mut commands = passes.iter().flat_map(|pass| &pass.commands);
            commands.any(|command| command.candidates.contains(&node))
        };
        let mut all: Vec<(NodeId, Refusal)> = self
            .blocked
            .iter()
            .filter(|(node, _)| self.world.node(*node).is_managed() && !taken(*node))
            .filter_map(|(node, blockers)| Some((*node, blockers.first()?.clone())))
            .collect();
        for candidate in &self.candidates {
            if candidate.blocked_by_pods || taken(candidate.node) {
                continue;
            }
            let method = if self.is_empty(candidate) {
                Method::Emptiness
            } else {
                Method::SingleNode
            };
            all.extend(of(method, candidate.node).map(|refusal| (candidate.node, refusal)));
        }
        all.sort_by_cached_key(|(node, _)| {
            let name = self.world.node(*node).name;
            self.world.names.value_text(name).into_owned()
        });
        all
    }

    /// When something changes next by the clock alone: `consolidateAfter`, a protection or a nomination ends, a budget starts or
    /// ceases to hold. Until then, and while nothing else happens, a round comes to the same.
    #[must_use]
    pub fn changes_at(&self) -> Option<Timestamp> {
        let (world, now) = (self.world, self.now);
        let nodes = world.live_nodes().flat_map(|(_, node)| {
            candidate::consolidatable_from(world, node)
                .into_iter()
                .chain(node.nominated_until)
        });
        let pods = world
            .live_pods()
            .filter(|(_, pod)| pod.node.is_some())
            .filter_map(|(_, pod)| match pod.do_not_disrupt? {
                DoNotDisrupt::Always => None,
                DoNotDisrupt::For(span) => {
                    let span = SignedDuration::try_from(span).ok()?;
                    pod.started?.checked_add(span).ok()
                }
            });
        let budgets = world
            .pools
            .iter()
            .flat_map(|pool| &pool.budgets)
            .filter_map(|budget| budgets::changes_at(budget, now));
        nodes
            .chain(pods)
            .chain(budgets)
            .filter(|at| *at > now)
            .min()
    }

    /// Every candidate of single-node consolidation, also those behind the first that can go: what taking it away alone would
    /// come to.
    pub fn each(&self, planner: &mut impl Simulate) -> Vec<(NodeId, Result<Command, Refusal>)> {
        let (considered, refusals) = self.considered(Method::SingleNode);
        let left = budgets::allowances(self.world, self.now, Method::SingleNode.reason());
        let mut all: Vec<_> = considered
            .into_iter()
            .map(|candidate| (candidate.node, self.single(planner, candidate, &left)))
            .collect();
        all.extend(
            refusals
                .into_iter()
                .map(|(node, refusal)| (node, Err(refusal))),
        );
        all
    }

    /// Everything about a node: all that stands in the way, and what would come of it otherwise.
    pub fn explain(&self, node: NodeId, planner: &mut impl Simulate) -> Explanation {
        let blockers = self
            .blocked
            .iter()
            .find(|(id, _)| *id == node)
            .map(|(_, blockers)| blockers.clone())
            .unwrap_or_default();
        let candidate = self
            .candidates
            .iter()
            .find(|candidate| candidate.node == node);
        let mut methods = Vec::new();
        let mut alone = None;
        if let Some(candidate) = candidate {
            for method in Method::ORDER {
                let mut objections = self.objections(method, candidate);
                objections.retain(|objection| !blockers.contains(objection));
                let left = budgets::allowances(self.world, self.now, method.reason());
                objections.extend(self.over_budget(method, candidate, &left));
                methods.push((method, objections));
            }
            let priced = candidate.instance_type.is_some() && candidate.capacity_type.is_some();
            if priced && !candidate.pods.is_empty() {
                alone = Some(self.consolidate(planner, Method::SingleNode, &[candidate]));
            }
        }
        Explanation {
            node,
            blockers,
            methods,
            alone,
        }
    }

    fn over_budget(
        &self,
        method: Method,
        candidate: &Candidate,
        left: &[budgets::Allowance],
    ) -> Option<Refusal> {
        let allowance = left[candidate.pool.0 as usize];
        (allowance.left() == 0).then_some(Refusal::Budget {
            pool: candidate.pool,
            reason: method.reason(),
            allowed: allowance.allowed,
            disrupting: allowance.disrupting,
        })
    }

    /// The candidates that budgets allow together, in their order.
    fn within<'c>(
        &self,
        candidates: &[&'c Candidate],
        method: Method,
        left: &mut [budgets::Allowance],
        refusals: &mut Vec<(NodeId, Refusal)>,
    ) -> Vec<&'c Candidate> {
        let mut kept = Vec::new();
        for candidate in candidates {
            match self.over_budget(method, candidate, left) {
                None => {
                    left[candidate.pool.0 as usize].disrupting += 1;
                    kept.push(*candidate);
                }
                Some(refusal) => refusals.push((candidate.node, refusal)),
            }
        }
        kept
    }

    /// A command that only takes nodes away.
    fn deletion(&self, method: Method, candidates: &[&Candidate]) -> Command {
        let before = total(candidates);
        Command {
            method,
            candidates: candidates.iter().map(|candidate| candidate.node).collect(),
            replacements: Vec::new(),
            pods: candidates
                .iter()
                .flat_map(|candidate| candidate.pods.iter().copied())
                .collect(),
            placements: Vec::new(),
            before,
            savings: before,
            scores: Vec::new(),
        }
    }

    /// `staticdrift.go:54`: as many as budgets and the `nodes` limit allow, unless the pool has to shrink first.
    fn static_drift(
        &self,
        candidates: &[&Candidate],
        left: &[budgets::Allowance],
        commands: &mut Vec<Command>,
        refusals: &mut Vec<(NodeId, Refusal)>,
    ) {
        let world = self.world;
        let mut taken = vec![0_i64; world.pools.len()];
        for candidate in candidates {
            let pool = world.pool(candidate.pool);
            let place = candidate.pool.0 as usize;
            let nodes = |all: bool| {
                let count = world
                    .live_nodes()
                    .filter(|(_, node)| {
                        node.pool == Some(candidate.pool)
                            && node.is_managed()
                            && (all || !node.deleting)
                    })
                    .count();
                i64::try_from(count).unwrap_or(i64::MAX)
            };
            let shrinking = nodes(false) > pool.replicas.unwrap_or(0);
            let room = pool
                .limits
                .nodes
                .map_or(i64::MAX, |limit| limit.saturating_sub(nodes(true)));
            let budget = i64::from(left[place].left());
            let refusal = if budget == 0 || taken[place] >= budget {
                self.over_budget(Method::StaticDrift, candidate, left)
                    .or(Some(Refusal::Budget {
                        pool: candidate.pool,
                        reason: Method::StaticDrift.reason(),
                        allowed: left[place].allowed,
                        disrupting: left[place].disrupting,
                    }))
            } else if shrinking || taken[place] >= room {
                Some(Refusal::StaticLimit(candidate.pool))
            } else {
                None
            };
            if let Some(refusal) = refusal {
                refusals.push((candidate.node, refusal));
                continue;
            }
            taken[place] += 1;
            let mut command = self.deletion(Method::StaticDrift, &[candidate]);
            command.replacements = self.template(candidate.pool).into_iter().collect();
            self.set_savings(&mut command);
            commands.push(command);
        }
    }

    /// A claim as the pool's template makes it, without pods.
    fn template(&self, id: PoolId) -> Option<NewClaim> {
        let (world, pool) = (self.world, self.world.pool(id));
        let types = world.types_of(id)?;
        let mut possible = types.compatible(&pool.requirements, &world.names);
        possible.intersect(&types.offered(&pool.requirements, &world.names));
        Some(NewClaim {
            pool: id,
            pods: Vec::new(),
            requirements: pool.requirements.clone(),
            type_set: pool.types?,
            types: possible,
            requests: crate::resources::Resources::ZERO,
            min_values_relaxed: false,
        })
    }

    /// `singlenodeconsolidation.go:68`.
    fn single(
        &self,
        planner: &mut impl Simulate,
        candidate: &Candidate,
        left: &[budgets::Allowance],
    ) -> Result<Command, Refusal> {
        if let Some(refusal) = self.over_budget(Method::SingleNode, candidate, left) {
            return Err(refusal);
        }
        let best = balanced::best(self.world, &self.totals, candidate);
        if let Some(score) = best.filter(|score| !score.is_approved()) {
            return Err(Refusal::NotWorthIt {
                pool: candidate.pool,
                score,
            });
        }
        let command = self.consolidate(planner, Method::SingleNode, &[candidate])?;
        self.approve(&[candidate], command)
    }

    /// `Balanced` pools have their say.
    fn approve(&self, candidates: &[&Candidate], mut command: Command) -> Result<Command, Refusal> {
        let scores = balanced::scores(self.world, &self.totals, candidates, &command);
        if let Some((pool, score)) = scores.iter().find(|(_, score)| !score.is_approved()) {
            return Err(Refusal::NotWorthIt {
                pool: *pool,
                score: *score,
            });
        }
        command.scores = scores;
        Ok(command)
    }

    /// Binary search for the longest prefix that goes; what it skips is never tried (`multinodeconsolidation.go:117`
    /// `firstNConsolidationOption`).
    fn search(&self, planner: &mut impl Simulate, candidates: &[&Candidate]) -> Option<Command> {
        if candidates.len() < 2 {
            return None;
        }
        let mut least = 1;
        let mut most = MULTI_NODE_BATCH.min(candidates.len() - 1);
        let mut found = None;
        while least <= most {
            let middle = usize::midpoint(least, most);
            let prefix = &candidates[..=middle];
            let answer = self
                .consolidate(planner, Method::MultiNode, prefix)
                .and_then(|command| self.without_same_type(prefix, command))
                .and_then(|command| self.approve(prefix, command));
            match answer {
                Ok(command) => {
                    found = Some(command);
                    least = middle + 1;
                }
                Err(_) => most = middle - 1,
            }
        }
        found
    }
}

/// What candidates cost an hour together.
pub(super) fn total(candidates: &[&Candidate]) -> MicroUsd {
    MicroUsd(candidates.iter().map(|candidate| candidate.price.0).sum())
}

/// One of each pool in turn (`singlenodeconsolidation.go:146` `shuffleCandidates`), pools in their own order.
fn interleaved(candidates: Vec<&Candidate>, pools: usize) -> Vec<&Candidate> {
    let mut by_pool: Vec<std::collections::VecDeque<&Candidate>> = vec![Default::default(); pools];
    let count = candidates.len();
    for candidate in candidates {
        by_pool[candidate.pool.0 as usize].push_back(candidate);
    }
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        for pool in &mut by_pool {
            all.extend(pool.pop_front());
        }
    }
    all
}
