//! Which domain of a topology key each node is in, as small numbers.

use rustc_hash::FxHashMap;

use crate::names::{Key, Value};
use crate::world::{NodeId, World};

/// The domain of nodes without the label, and of nodes that kube-scheduler doesn't know.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Which topology key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TopologyId(pub u32);

/// The domains of one topology key.
#[derive(Debug, Default)]
pub(super) struct Topology {
    /// The domain of each node.
    pub of_node: Vec<u32>,
    values: FxHashMap<Value, u32>,
}

impl Topology {
    /// How many domains there have ever been.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    fn place(&mut self, node: usize, value: Option<Value>) {
        if self.of_node.len() <= node {
            self.of_node.resize(node + 1, NOWHERE);
        }
        self.of_node[node] = value.map_or(NOWHERE, |value| {
            let next = u32::try_from(self.values.len()).unwrap_or(NOWHERE);
            *self.values.entry(value).or_insert(next)
        });
    }
}

/// All topology keys that pods have named.
#[derive(Debug, Default)]
pub(super) struct Domains {
    ids: FxHashMap<Key, TopologyId>,
    keys: Vec<Key>,
    topologies: Vec<Topology>,
}

impl Domains {
    /// The topology of a key; `nodes` are those that kube-scheduler knows.
    pub(super) fn intern(&mut self, world: &World, key: Key, exists: &[bool]) -> TopologyId {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = TopologyId(u32::try_from(self.keys.len()).unwrap_or(u32::MAX));
        let mut topology = Topology::default();
        for (node, exists) in exists.iter().enumerate() {
            let value = world.nodes.get(node).filter(|_| *exists);
            topology.place(node, value.and_then(|node| node.label(key)));
        }
        self.ids.insert(key, id);
        self.keys.push(key);
        self.topologies.push(topology);
        id
    }

    pub(super) fn get(&self, id: TopologyId) -> &Topology {
        &self.topologies[id.0 as usize]
    }

    /// Takes a node's labels over.
    pub(super) fn update(&mut self, world: &World, node: NodeId, exists: bool) {
        for (key, topology) in self.keys.iter().zip(&mut self.topologies) {
            let value = exists.then(|| world.node(node).label(*key)).flatten();
            topology.place(node.0 as usize, value);
        }
    }
}
