//! The order in which pods are tried.

use std::collections::VecDeque;

use crate::resources::Resource;
use crate::world::{PodId, World};

/// Pods still to place (`queue.go:30`).
pub(super) struct Queue {
    pods: VecDeque<u32>,
    /// How long the queue was when a pod was put back; by the pod's place in the request.
    last_len: Vec<u32>,
}

/// The order of `queue.go:72` `byCPUAndMemoryDescending`: CPU, then memory, both descending, then the older pod, then the UID.
pub(super) fn order(world: &World, pods: &[PodId]) -> Vec<PodId> {
    let mut keyed: Vec<_> = pods
        .iter()
        .map(|pod| {
            let requests = &world.shape_of(*pod).requests;
            let entry = world.pod(*pod);
            let cpu = -requests[Resource::CPU];
            let memory = -requests[Resource::MEMORY];
            // The timestamps of Kubernetes have whole seconds; no timestamp is the oldest.
            let created = entry.created.map_or(i64::MIN, |time| time.as_second());
            (cpu, memory, created, &entry.uid, *pod)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(.., pod)| pod).collect()
}

impl Queue {
    /// A queue of places in an ordered list of pods.
    pub fn new(len: usize) -> Self {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Self {
            pods: (0..len).collect(),
            last_len: vec![0; len as usize],
        }
    }

    /// The next pod; none when all are placed or a whole round brought nothing (`queue.go:46`).
    pub fn pop(&mut self) -> Option<usize> {
        let next = *self.pods.front()? as usize;
        if self.last_len[next] as usize == self.pods.len() {
            return None;
        }
        self.pods.pop_front();
        Some(next)
    }

    /// Puts a pod back at the end.
    pub fn push(&mut self, pod: usize) {
        self.pods.push_back(u32::try_from(pod).unwrap_or(u32::MAX));
        self.last_len[pod] = u32::try_from(self.pods.len()).unwrap_or(u32::MAX);
    }

    /// What is left.
    pub fn rest(&self) -> impl Iterator<Item = usize> + '_ {
        self.pods.iter().map(|pod| *pod as usize)
    }
}
