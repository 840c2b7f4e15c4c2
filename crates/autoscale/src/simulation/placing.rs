//! kube-scheduler's turn.

use super::clock::later;
use super::run::{Event, Run};
use crate::names::Key;
use crate::requirement::{Requirement, Requirements};
use crate::scheduler::{Decision, Options, Outcome, Scheduler};
use crate::world::{NodeId, OwnerKind, Phase, PodId};
use std::time::Duration;

impl Run<'_> {
    /// Tries every pod that has no node.
    pub(super) fn schedule(&mut self) {
        self.scheduling = false;
        let pods: Vec<PodId> = self
            .world
            .live_pods()
            .filter(|(_, pod)| {
                pod.node.is_none() && pod.is_active() && pod.owner != OwnerKind::Node
            })
            .map(|(id, _)| id)
            .collect();
        if pods.is_empty() {
            return;
        }
        let mut scheduler = match self.scheduler.take() {
            Some(mut scheduler) => {
                scheduler.sync(&self.world);
                scheduler
            }
            None => Scheduler::new(
                &self.world,
                Options {
                    seed: self.question.seed,
                    ..Options::default()
                },
            ),
        };
        let decisions = scheduler.schedule(&self.world, &pods);
        self.scheduler = Some(scheduler);
        let mut trigger = false;
        for Decision { pod, outcome } in decisions {
            match outcome {
                Outcome::Bound(node) => self.bind(pod, node),
                Outcome::Nominated {
                    victims, failure, ..
                } => {
                    let text = failure.message(&self.world);
                    self.world.pods[pod.0 as usize].preempting = true;
                    self.waiting.entry(pod).or_default().scheduler = text;
                    for victim in victims {
                        self.evict(victim, true);
                    }
                }
                Outcome::Unschedulable(failure) => {
                    let text = failure.message(&self.world);
                    let entry = &mut self.world.pods[pod.0 as usize];
                    entry.preempting = false;
                    entry.unschedulable = true;
                    trigger |= entry.is_provisionable();
                    self.waiting.entry(pod).or_default().scheduler = text;
                }
            }
        }
        if trigger {
            self.trigger();
        }
    }

    /// Puts a pod on a node.
    pub(super) fn bind(&mut self, pod: PodId, node: NodeId) {
        let now = self.now();
        self.world.bind(pod, node);
        let entry = &mut self.world.pods[pod.0 as usize];
        entry.unschedulable = false;
        entry.preempting = false;
        entry.started = Some(now);
        self.waiting.remove(&pod);
        self.bind_volumes(pod, node);
        self.pod_event(pod, node);
        self.clock
            .after(self.question.delays.pod_start, Event::PodReady(pod));
        self.changes += 1;
    }

    /// Volumes that wait for their first pod are made where it runs.
    fn bind_volumes(&mut self, pod: PodId, node: NodeId) {
        let Some(zone) = self.world.node(node).label(Key::ZONE) else {
            return;
        };
        let claims = self.world.shape_of(pod).claims.clone();
        for claim in claims {
            if let Some(volume) = self.world.volumes.get_mut(&claim)
                && !volume.bound
            {
                volume.bound = true;
                let mut place = Requirements::default();
                place.set(Requirement::is(Key::ZONE, zone));
                volume.alternatives = vec![place];
            }
        }
    }

    /// A pod that came or went starts its node's `consolidateAfter` anew
    /// (`pkg/controllers/nodeclaim/podevents/controller.go`).
    pub(super) fn pod_event(&mut self, pod: PodId, node: NodeId) {
        if self.world.pod(pod).owner == OwnerKind::DaemonSet {
            return;
        }
        let now = self.now();
        if let Some(claim) = &mut self.world.nodes[node.0 as usize].claim {
            // Events within ten seconds of the last are one.
            if claim
                .last_pod_event
                .is_none_or(|last| later(last, Duration::from_secs(10)) <= now)
            {
                claim.last_pod_event = Some(now);
                claim.consolidatable = None;
            }
        }
    }

    pub(super) fn pod_ready(&mut self, pod: PodId) {
        let entry = &mut self.world.pods[pod.0 as usize];
        if entry.removed || entry.deleting.is_some() || entry.phase == Phase::Terminal {
            return;
        }
        entry.phase = Phase::Running;
        entry.unready = false;
        self.baseline.refresh(&mut self.world, pod);
        self.changes += 1;
        self.drain_on();
    }

    /// Starts the daemons that a node lacks.
    pub(super) fn start_daemons(&mut self, node: NodeId) {
        let now = self.now();
        let (missing, too_large) = super::pods::missing_daemons(&self.world, node);
        for set in missing {
            let suffix = self.suffix();
            let pod = super::pods::daemon(&mut self.world, set, &suffix, now);
            let id = self.world.add_pod(pod);
            self.world.bind(id, node);
        }
        for set in too_large {
            let set = self.text(self.world.daemon_sets[set].name);
            let node = self.node_name(node);
            self.warn(
                format!("DaemonSet/{set}"),
                format!("its pod has no room on node {node}"),
            );
        }
    }

    pub(super) fn suffix(&mut self) -> String {
        self.names += 1;
        super::nodes::suffix(self.question.seed, self.names)
    }
}
