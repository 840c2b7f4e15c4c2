//! Karpenter's turn: pods without a place are batched, and nodes are launched for them.

use std::time::Duration;

use jiff::Timestamp;

use super::clock::later;
use super::nodes;
use super::picture::usd;
use super::run::{Event, Run};
use crate::answer::{Decision, Kind, Method};
use crate::karpenter::disruption::Guards;
use crate::karpenter::launch::{LaunchError, launch, launch_list, truncate};
use crate::karpenter::provisioning::{NewClaim, Options, Planner, Request, pods_to_provision};
use crate::resources::Resources;
use crate::world::{NodeId, PodId};

/// `BATCH_IDLE_DURATION` (`pkg/operator/options/options.go`).
const IDLE: Duration = Duration::from_secs(1);
/// `BATCH_MAX_DURATION` (`pkg/operator/options/options.go`).
const LONGEST: Duration = Duration::from_secs(10);
/// How long a nomination holds: twice the longest batch (`pkg/controllers/state/statenode.go` `nominationWindow`).
const NOMINATED: Duration = Duration::from_secs(20);

/// A batch that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    first: Timestamp,
    last: Timestamp,
}

impl Run<'_> {
    /// Karpenter's settings of provisioning.
    pub(super) fn options(&self) -> Options {
        Options {
            preferences: self.question.switches.preferences,
            min_values: self.question.switches.min_values,
            seed: self.question.seed,
        }
    }

    /// A pod that can't be scheduled, or a node that goes, opens a batch or keeps it open.
    pub(super) fn trigger(&mut self) {
        let now = self.now();
        if let Some(batch) = &mut self.batch {
            batch.last = now;
        } else {
            self.batch = Some(Batch {
                first: now,
                last: now,
            });
            self.clock.after(IDLE, Event::CloseBatch);
        }
    }

    pub(super) fn close_batch(&mut self) {
        let Some(batch) = self.batch else {
            return;
        };
        let ends = later(batch.last, IDLE).min(later(batch.first, LONGEST));
        if ends > self.now() {
            self.clock.at(ends, Event::CloseBatch);
            return;
        }
        self.batch = None;
        self.provision();
    }

    /// A pod that still fits nowhere opens a batch again every ten seconds (`provisioning/controller.go`); as long as nothing has
    /// changed it would come to the same.
    pub(super) fn retry(&mut self) {
        if self.provisioned_at == Some(self.changes) {
            return;
        }
        let waits = self.world.live_pods().any(|(id, pod)| {
            let waiting = self.waiting.get(&id);
            pod.is_provisionable() && waiting.is_some_and(|waiting| waiting.karpenter.is_some())
        });
        if waits {
            self.trigger();
        }
    }

    fn provision(&mut self) {
        self.provisioned_at = Some(self.changes);
        let now = self.now();
        let guards = Guards::new(&self.world);
        let mut pods = pods_to_provision(&self.world);
        pods.retain(|pod| {
            self.world.pod(*pod).node.is_none()
                || guards.is_currently_reschedulable(&self.world, *pod, now)
        });
        if pods.is_empty() {
            return;
        }
        let mut planner = Planner::new(&self.world, self.options());
        let mut outcome = planner.simulate(&Request {
            pods: &pods,
            ..Request::default()
        });
        truncate(&self.world, &mut outcome, self.question.switches.min_values);
        for placement in &outcome.placements {
            self.nominate(placement.node);
            self.plan(placement.pod, Some(placement.node), None);
        }
        for stuck in &outcome.unschedulable {
            let text = stuck.error.display(&self.world);
            self.plan(stuck.pod, None, Some(text));
        }
        for claim in &outcome.claims {
            match self.create(claim, Method::Provisioning) {
                Ok((node, decision)) => {
                    self.decisions.push(Decision {
                        reason: match claim.pods.len() {
                            1 => "1 pod fits on no node that is there".to_owned(),
                            more => format!("{more} pods fit on no node that is there"),
                        },
                        ..decision
                    });
                    for pod in &claim.pods {
                        self.plan(*pod, Some(node), None);
                    }
                }
                Err(error) => {
                    for pod in &claim.pods {
                        self.plan(*pod, None, Some(error.clone()));
                    }
                }
            }
        }
    }

    /// Notes what Karpenter has in mind for a pod that waits.
    fn plan(&mut self, pod: PodId, node: Option<NodeId>, error: Option<String>) {
        if self.world.pod(pod).node.is_none() {
            let waiting = self.waiting.entry(pod).or_default();
            waiting.planned = node;
            waiting.karpenter = error;
        }
    }

    pub(super) fn nominate(&mut self, node: NodeId) {
        let until = later(self.now(), NOMINATED);
        self.world.nodes[node.0 as usize].nominated_until = Some(until);
    }

    /// Makes a claim and launches it; the decision has no reason yet.
    pub(super) fn create(
        &mut self,
        claim: &NewClaim,
        method: Method,
    ) -> Result<(NodeId, Decision), String> {
        let pool = self.world.pool(claim.pool);
        let pool_name = self.text(pool.name);
        // What is used now, without what the claim would add (`provisioner.go` `Create`).
        let used = self
            .world
            .live_nodes()
            .filter(|(_, node)| node.pool == Some(claim.pool))
            .fold(Resources::ZERO, |sum, (_, node)| sum + node.capacity);
        if let Some(resource) = pool.limits.exceeded_by(&used) {
            let resource = self.world.resources.name(resource);
            return Err(format!(
                "nodepool \"{pool_name}\" has exceeded its limit of {resource}"
            ));
        }
        let launched = launch(&self.world, claim)
            .map_err(|error: LaunchError| format!("nodepool \"{pool_name}\": {error}"))?;
        let (order, requirements) = launch_list(&self.world, claim);
        let types = &self.world.type_sets[claim.type_set.0 as usize];
        let instance_types = order
            .iter()
            .map(|index| self.text(types.get(*index).name))
            .collect();
        let now = self.now();
        let mut name = format!("{pool_name}-{}", self.suffix());
        while self.world.names.find_value(&name).is_some() {
            name = format!("{pool_name}-{}", self.suffix());
        }
        let node = nodes::launched(&mut self.world, claim, &launched, requirements, &name, now);
        let id = self.world.add_node(node);
        self.made.insert(id);
        self.nominate(id);
        self.clock
            .after(self.question.delays.launch, Event::Launched(id));
        self.watch_expiry(id);
        self.changes += 1;
        let mut pods: Vec<String> = claim
            .pods
            .iter()
            .map(|pod| self.world.pod_name(*pod))
            .collect();
        pods.sort_unstable();
        Ok((
            id,
            Decision {
                at: now.to_string(),
                kind: Kind::Launch,
                method,
                reason: String::new(),
                nodepool: Some(pool_name),
                nodes: vec![name],
                instance_types,
                chosen: Some(self.text(launched.instance_type)),
                zone: Some(self.text(launched.zone)),
                capacity_type: Some(nodes::capacity_type(launched.capacity_type)),
                usd_per_hour: Some(usd(launched.price)),
                pods,
            },
        ))
    }
}
