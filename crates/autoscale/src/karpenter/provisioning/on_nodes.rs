//! Pods on nodes that are there.

use super::on_claims::conflicts;
use super::planner::Planner;
use std::sync::Arc;

use super::nodes::{mounts, takes_volumes};
use super::variants::Variant;
use crate::requirement::{Requirement, Undefined};
use crate::shape::untolerated;
use crate::topology::{Choice, GroupKind, Spot};
use crate::world::{NodeId, Phase, PodId};

impl Planner<'_> {
    /// First fit (`scheduler.go:614` `addToExistingNode`).
    pub(super) fn add_to_node(&mut self, variant: u32, pod: PodId) -> Option<NodeId> {
        if self.nodes.is_empty() {
            return None;
        }
        let world = self.world;
        let index = variant as usize;
        let candidates = match self.scratch[index].nodes.take() {
            Some(candidates) => candidates,
            None => self.suitable_nodes(variant),
        };
        let entry = world.pod(pod);
        let moved = entry.phase != Phase::Pending
            && entry.node.is_none_or(|node| !world.node(node).deleting);
        let start = self.scratch[index].first_node;
        let mut first = start;
        let mut found = None;
        for (place, node) in candidates.iter().enumerate().skip(start) {
            let node = *node as usize;
            let id = self.nodes[node].id;
            let full = self.removed.has(id.0 as usize)
                || !self.variants[index]
                    .shape
                    .requests
                    .fit(&self.nodes[node].free);
            if full {
                if place == first {
                    first += 1;
                }
                continue;
            }
            if moved && self.shielded.has(id.0 as usize) {
                continue;
            }
            if self.node_takes(variant, node) {
                found = Some(node);
                break;
            }
        }
        self.scratch[index].first_node = first;
        self.scratch[index].nodes = Some(candidates);
        let node = found?;
        let shape = Arc::clone(&self.variants[index].shape);
        let state = &mut self.nodes[node];
        self.touched
            .push((node, state.free, state.ports.len(), state.volumes.len()));
        state.free -= shape.requests;
        state.ports.extend_from_slice(&shape.ports);
        state.volumes.extend(mounts(world, &shape.claims));
        let id = state.id;
        self.tracker.record(
            world,
            entry.shape,
            Spot::Node(id.0 as usize),
            &world.node(id).taints,
            &self.node_requirements[id.0 as usize],
        );
        Some(id)
    }

    /// Places of the nodes that suit a variant as the cluster is, resources included.
    pub(super) fn suitable_nodes(&self, variant: u32) -> Vec<u32> {
        let variant = &self.variants[variant as usize];
        let mut places = Vec::new();
        for (place, state) in self.nodes.iter().enumerate() {
            let node = self.world.node(state.id);
            let requirements = &self.node_requirements[state.id.0 as usize];
            if variant.shape.requests.fit(&state.free)
                && untolerated(&node.taints, &variant.wishes.tolerations).is_none()
                && requirements
                    .compatible(&variant.requirements, &self.world.names, Undefined::Denied)
                    .is_ok()
            {
                places.extend(u32::try_from(place).ok());
            }
        }
        places
    }

    /// What is left of `existingnode.go:81` `CanAdd`: volumes, ports, topology.
    pub(super) fn node_takes(&self, variant: u32, place: usize) -> bool {
        let world = self.world;
        let variant = &self.variants[variant as usize];
        let node = &self.nodes[place];
        if conflicts(&node.ports, &variant.shape.ports)
            || !takes_volumes(world, node, &variant.shape.claims)
        {
            return false;
        }
        let requirements = &self.node_requirements[node.id.0 as usize];
        let mountable = variant.volumes.is_empty()
            || variant.volumes.iter().any(|volume| {
                requirements
                    .compatible(volume, &world.names, Undefined::Denied)
                    .is_ok()
            });
        if !mountable || !self.hosts_allow(variant, Spot::Node(node.id.0 as usize)) {
            return false;
        }
        let (away, _) = self.tracker.kept_away_known(variant.shape_index);
        variant
            .label_groups
            .iter()
            .chain(away.iter().filter(|id| self.tracker.is_active(**id)))
            .all(|id| {
                let group = self.tracker.group(*id);
                let own = requirements.get(group.definition.key);
                let Some(value) = own.and_then(Requirement::single) else {
                    return false;
                };
                let selected = self.tracker.selects(world, *id, &variant.shape);
                let pod = variant.strict.get(group.definition.key);
                match group.choose(selected, pod, own, &world.names) {
                    Choice::None => false,
                    Choice::One(chosen) => chosen == value,
                    Choice::Any(chosen) => chosen.contains(&value),
                }
            })
    }

    pub(super) fn hosts_allow(&self, variant: &Variant, spot: Spot) -> bool {
        let (_, away) = self.tracker.kept_away_known(variant.shape_index);
        let own = variant.host_groups.iter().all(|id| {
            let group = self.tracker.group(*id);
            let selected = group.definition.kind != GroupKind::AntiAffinity
                && self.tracker.selects(self.world, *id, &variant.shape);
            group.host_allows(self.tracker.host_count(*id, spot), selected, || {
                group.hosts.occupied > 0
            })
        });
        own && away
            .iter()
            .all(|id| !self.tracker.is_active(*id) || self.tracker.host_count(*id, spot) == 0)
    }
}
