//! The cluster as decisions see it: pools, nodes, pods and what belongs to them, in arrays with small numbers for names.
//!
//! A [`World`] is built from Kubernetes objects by a [`Builder`] or by hand, and changed by whoever plays time: pods come,
//! are bound and go, nodes come and go. Decisions only read it.

mod build;
mod live;
mod pods;
mod pools;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use objects::NillableDuration;
use objects::budget::Budget;
use objects::karpenter::ConsolidationPolicy;
use rustc_hash::FxHashMap;

pub use build::{Builder, Finding, FindingKind};
pub use live::Live;
pub use volumes::{Volume, VolumeFault};

use crate::instances::{CapacityType, Limits, MicroUsd, TypeSet, TypeSetId};
use crate::names::{Key, Labels, Names, Value};
use crate::requirement::Requirements;
use crate::resources::{ResourceNames, Resources};
use crate::shape::{Namespaces, PodShape, Selector, ShapeId, Taint};
use crate::version::KarpenterVersion;

/// Which pool: its place in [`World::pools`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// Which node: its place in [`World::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Which pod: its place in [`World::pods`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// Everything that decisions depend on.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Which Karpenter decides.
    pub version: KarpenterVersion,
    /// The texts behind keys and values.
    pub names: Names,
    /// The names of resources.
    pub resources: ResourceNames,
    /// What node classes may launch.
    pub type_sets: Vec<TypeSet>,
    /// The node pools.
    pub pools: Vec<Pool>,
    /// The nodes, those that are still to register among them.
    pub nodes: Vec<Node>,
    /// The pods.
    pub pods: Vec<Pod>,
    /// What pods ask for.
    pub shapes: Vec<Arc<PodShape>>,
    shape_ids: FxHashMap<Arc<PodShape>, ShapeId>,
    /// The daemon sets.
    pub daemon_sets: Vec<DaemonSet>,
    /// The pod disruption budgets.
    pub disruption_budgets: Vec<DisruptionBudget>,
    /// The claims of volumes by `namespace/name`.
    pub volumes: FxHashMap<Value, Volume>,
    /// The labels of namespaces.
    pub namespaces: FxHashMap<Value, Labels>,
    /// Deployments, ReplicaSets, StatefulSets and Jobs.
    pub workloads: Vec<Workload>,
}

/// A node pool.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Its name.
    pub name: Value,
    /// 0 to 100; more is tried first.
    pub weight: i32,
    /// What it may launch; none where its node class is not known.
    pub types: Option<TypeSetId>,
    /// Requirements and labels of its template, without the pool's own label.
    pub requirements: Requirements,
    /// Labels of its template, with the pool's and the node class's.
    pub labels: Labels,
    /// Taints of its nodes.
    pub taints: Vec<Taint>,
    /// Taints that go once a node has started.
    pub startup_taints: Vec<Taint>,
    /// The most that its nodes may have.
    pub limits: Limits,
    /// A fixed number of nodes: neither provisioning nor consolidation touches it.
    pub replicas: Option<i64>,
    /// Whether Karpenter uses it (`Ready` isn't `False` and it is not being deleted).
    pub ready: bool,
    /// Which nodes consolidation looks at.
    pub consolidation_policy: ConsolidationPolicy,
    /// How long a node is left alone after its pods changed.
    pub consolidate_after: NillableDuration,
    /// How many nodes may go at once.
    pub budgets: Vec<Budget>,
    /// How long a node lives.
    pub expire_after: NillableDuration,
    /// How long a node's termination may take.
    pub termination_grace_period: Option<Duration>,
    /// `karpenter.sh/nodepool-hash` as it is on the pool now.
    pub hash: Option<SpecHash>,
    /// `karpenter.k8s.aws/ec2nodeclass-hash` as it is on the node class now.
    pub class_hash: Option<SpecHash>,
}

/// A hash of a spec with the version of how it is made; hashes of different versions say nothing about each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpecHash {
    /// How it is made.
    pub version: String,
    /// The hash.
    pub hash: String,
}

impl SpecHash {
    /// The hash of an object's annotations; none unless hash and version are there.
    #[must_use]
    pub fn of(annotations: Option<&BTreeMap<String, String>>, key: &str) -> Option<Self> {
        let all = annotations?;
        Some(Self {
            version: all.get(&format!("{key}-version"))?.clone(),
            hash: all.get(key)?.clone(),
        })
    }
}

/// How far a node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Its claim is there; the machine may be starting.
    Launched,
    /// The node has joined.
    Registered,
    /// It is ready and its start-up taints are gone; nodes that Karpenter doesn't manage always are.
    Initialized,
}

/// A node, a claim that is to become one, or both (`pkg/controllers/state/statenode.go`).
#[derive(Debug, Clone)]
pub struct Node {
    /// The node's name, or the claim's until it has registered.
    pub name: Value,
    /// Its pool, if Karpenter manages it and the pool is known.
    pub pool: Option<PoolId>,
    /// How far it has come.
    pub stage: Stage,
    /// Labels: of the claim until it has registered.
    pub labels: Labels,
    /// Taints that pods have to tolerate: without start-up and passing ones until it is initialised.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`: kube-scheduler puts nothing there.
    pub unschedulable: bool,
    /// Whether its `Ready` condition is true.
    pub ready: bool,
    /// All that it has.
    pub capacity: Resources,
    /// What pods get of it.
    pub allocatable: Resources,
    /// How many volumes of each CSI driver it takes.
    pub volume_limits: Vec<(Value, u32)>,
    /// Its pods, in the order they came.
    pub pods: Vec<PodId>,
    /// Its claim.
    pub claim: Option<Claim>,
    /// Whether it is being deleted: its capacity doesn't count and its pods need room elsewhere.
    pub deleting: bool,
    /// `karpenter.sh/do-not-disrupt` on the node.
    pub do_not_disrupt: bool,
    /// Until when a provisioning decision counts on it.
    pub nominated_until: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Gone: its place stays so that numbers keep their meaning.
    pub removed: bool,
}

/// What is known of a node's claim.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it became initialised.
    pub initialized_at: Option<Timestamp>,
    /// When a pod last came or went.
    pub last_pod_event: Option<Timestamp>,
    /// `Consolidatable`, as the snapshot has it.
    pub consolidatable: Option<bool>,
    /// `Drifted`, with its reason, as the snapshot has it.
    pub drifted: Option<String>,
    /// Since when it is drifted.
    pub drifted_at: Option<Timestamp>,
    /// `InstanceTerminating`: the machine is on its way out.
    pub instance_terminating: bool,
    /// When its deletion was asked for.
    pub deleted: Option<Timestamp>,
    /// How long it lives.
    pub expire_after: Option<NillableDuration>,
    /// How long its termination may take.
    pub termination_grace_period: Option<Duration>,
    /// Its requirements.
    pub requirements: Requirements,
    /// Its start-up taints.
    pub startup_taints: Vec<Taint>,
    /// `karpenter.sh/nodepool-hash` of the pool it was made from.
    pub pool_hash: Option<SpecHash>,
    /// `karpenter.k8s.aws/ec2nodeclass-hash` of the node class it was made from.
    pub class_hash: Option<SpecHash>,
}

impl Node {
    /// A label's value.
    #[must_use]
    pub fn label(&self, key: Key) -> Option<Value> {
        self.labels.get(key)
    }

    /// Its host name: the label's, else its own name.
    #[must_use]
    pub fn hostname(&self) -> Value {
        self.label(Key::HOSTNAME).unwrap_or(self.name)
    }

    /// How it was bought.
    #[must_use]
    pub fn capacity_type(&self) -> Option<CapacityType> {
        self.label(Key::CAPACITY_TYPE).and_then(CapacityType::of)
    }

    /// Whether Karpenter manages it.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.claim.is_some()
    }
}

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Not running yet.
    #[default]
    Pending,
    /// Running, or not known.
    Running,
    /// Done or failed: it takes no room any more.
    Terminal,
}

/// What a pod belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OwnerKind {
    /// Nothing: it is not made again.
    #[default]
    None,
    /// A Job or something else that makes it again.
    Other,
    /// A ReplicaSet or a ReplicationController: kube-scheduler spreads its pods by default.
    ReplicaSet,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// The node itself (a static pod).
    Node,
}

/// `karpenter.sh/do-not-disrupt` of a pod (`pkg/utils/pod/scheduling.go` `IsDoNotDisruptActive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DoNotDisrupt {
    /// As long as it runs.
    Always,
    /// For this long after its start.
    For(Duration),
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: Box<str>,
    /// Its UID, which breaks ties of the queue.
    pub uid: Box<str>,
    /// What it asks for.
    pub shape: ShapeId,
    /// Where it runs.
    pub node: Option<NodeId>,
    /// What it belongs to.
    pub owner: OwnerKind,
    /// The owner's name; empty without one.
    pub owner_name: Value,
    /// How far it has come.
    pub phase: Phase,
    /// Whether kube-scheduler has found no place for it (`PodScheduled` is `Unschedulable`).
    pub unschedulable: bool,
    /// Whether its `Ready` condition is `False`: some budgets let such pods go.
    pub unready: bool,
    /// Whether it waits for others to make room (`status.nominatedNodeName`).
    pub preempting: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// By when it is to be gone.
    pub deleting: Option<Timestamp>,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    pub deletion_cost: i32,
    /// Whether its node may not be disrupted.
    pub do_not_disrupt: Option<DoNotDisrupt>,
    /// `terminationGracePeriodSeconds`.
    pub grace_seconds: u32,
    /// Gone: its place stays so that numbers keep their meaning.
    pub removed: bool,
}

impl Pod {
    /// Neither done nor on its way out (`scheduling.go:33` `IsActive`).
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.removed && self.phase != Phase::Terminal && self.deleting.is_none()
    }

    /// Whether it needs room elsewhere when its node goes (`scheduling.go:42` `IsReschedulable`).
    #[must_use]
    pub fn is_reschedulable(&self) -> bool {
        let waits = self.owner == OwnerKind::StatefulSet
            && !self.removed
            && self.phase != Phase::Terminal
            && self.deleting.is_some();
        (self.is_active() || waits) && !matches!(self.owner, OwnerKind::DaemonSet | OwnerKind::Node)
    }

    /// Whether Karpenter looks for room for it (`scheduling.go:107` `IsProvisionable`).
    #[must_use]
    pub fn is_provisionable(&self) -> bool {
        self.unschedulable
            && !self.removed
            && self.node.is_none()
            && !self.preempting
            && !matches!(self.owner, OwnerKind::DaemonSet | OwnerKind::Node)
    }

    /// Whether it is counted where it runs (`topology.go:609` `IgnoredForTopology`).
    #[must_use]
    pub fn counts_for_topology(&self) -> bool {
        self.node.is_some() && self.is_active()
    }

    /// Whether it takes room on its node.
    #[must_use]
    pub fn takes_room(&self) -> bool {
        !self.removed && self.node.is_some() && self.phase != Phase::Terminal
    }
}

/// A daemon set: one pod of this shape on every node that suits it.
#[derive(Debug, Clone)]
pub struct DaemonSet {
    /// `namespace/name`.
    pub name: Value,
    /// What its pods ask for.
    pub shape: ShapeId,
}

/// A pod disruption budget.
#[derive(Debug, Clone)]
pub struct DisruptionBudget {
    /// Its namespace.
    pub namespace: Value,
    /// Its name.
    pub name: String,
    /// Which pods.
    pub selector: Selector,
    /// How many of them may go now, as its status has it.
    pub disruptions_allowed: i32,
    /// `minAvailable`, as it is written.
    pub min_available: Option<String>,
    /// `maxUnavailable`, as it is written.
    pub max_unavailable: Option<String>,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub always_allow_unhealthy: bool,
}

/// What makes pods.
#[derive(Debug, Clone)]
pub struct Workload {
    /// `Deployment`, `ReplicaSet`, `StatefulSet` or `Job`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: Value,
    /// Its name.
    pub name: Value,
    /// How many pods it wants.
    pub replicas: u32,
    /// What they ask for.
    pub shape: ShapeId,
    /// Its owner's name, if it has one (a ReplicaSet of a Deployment).
    pub owner: Option<Value>,
}

impl World {
    /// A world without anything in it.
    #[must_use]
    pub fn new(version: KarpenterVersion) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    /// The number of a shape; equal ones share it.
    pub fn intern_shape(&mut self, shape: PodShape) -> ShapeId {
        if let Some(id) = self.shape_ids.get(&shape) {
            return *id;
        }
        let id = ShapeId(u32::try_from(self.shapes.len()).unwrap_or(u32::MAX));
        let shape = Arc::new(shape);
        self.shapes.push(Arc::clone(&shape));
        self.shape_ids.insert(shape, id);
        id
    }

    /// A pod's shape.
    #[must_use]
    pub fn shape(&self, id: ShapeId) -> &PodShape {
        &self.shapes[id.0 as usize]
    }

    /// What a pod asks for.
    #[must_use]
    pub fn shape_of(&self, pod: PodId) -> &PodShape {
        self.shape(self.pod(pod).shape)
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, id: PodId) -> &Pod {
        &self.pods[id.0 as usize]
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// A pool.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> &Pool {
        &self.pools[id.0 as usize]
    }

    /// A pool's instance types.
    #[must_use]
    pub fn types_of(&self, pool: PoolId) -> Option<&TypeSet> {
        self.type_sets.get(self.pool(pool).types?.0 as usize)
    }

    /// The nodes that are there.
    pub fn live_nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        (0_u32..)
            .map(NodeId)
            .zip(&self.nodes)
            .filter(|(_, node)| !node.removed)
    }

    /// The pods that are there.
    pub fn live_pods(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        (0_u32..)
            .map(PodId)
            .zip(&self.pods)
            .filter(|(_, pod)| !pod.removed)
    }

    /// Adds types for node classes.
    pub fn add_types(&mut self, types: TypeSet) -> TypeSetId {
        self.type_sets.push(types);
        TypeSetId(u32::try_from(self.type_sets.len() - 1).unwrap_or(u32::MAX))
    }

    /// Adds a pool.
    pub fn add_pool(&mut self, pool: Pool) -> PoolId {
        self.pools.push(pool);
        PoolId(u32::try_from(self.pools.len() - 1).unwrap_or(u32::MAX))
    }

    /// Adds a node.
    pub fn add_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    /// Adds a pod; one that runs somewhere is entered at its node.
    pub fn add_pod(&mut self, pod: Pod) -> PodId {
        let id = PodId(u32::try_from(self.pods.len()).unwrap_or(u32::MAX));
        let node = pod.node;
        self.pods.push(pod);
        if let Some(node) = node {
            self.nodes[node.0 as usize].pods.push(id);
        }
        id
    }

    /// A pending pod without an owner.
    pub fn add_pending(&mut self, name: &str, shape: ShapeId) -> PodId {
        let pod = Pod {
            name: name.into(),
            uid: name.into(),
            shape,
            node: None,
            owner: OwnerKind::Other,
            owner_name: Value::EMPTY,
            phase: Phase::Pending,
            unschedulable: true,
            unready: false,
            preempting: false,
            created: None,
            started: None,
            deleting: None,
            deletion_cost: 0,
            do_not_disrupt: None,
            grace_seconds: 30,
            removed: false,
        };
        self.add_pod(pod)
    }

    /// Puts a pod on a node.
    pub fn bind(&mut self, pod: PodId, node: NodeId) {
        self.unbind(pod);
        self.pods[pod.0 as usize].node = Some(node);
        self.nodes[node.0 as usize].pods.push(pod);
    }

    /// Takes a pod off its node.
    pub fn unbind(&mut self, pod: PodId) {
        if let Some(node) = self.pods[pod.0 as usize].node.take() {
            self.nodes[node.0 as usize]
                .pods
                .retain(|other| *other != pod);
        }
    }

    /// Takes a pod away.
    pub fn remove_pod(&mut self, pod: PodId) {
        self.unbind(pod);
        self.pods[pod.0 as usize].removed = true;
    }

    /// Takes a node away; its pods are unbound.
    pub fn remove_node(&mut self, node: NodeId) {
        for pod in std::mem::take(&mut self.nodes[node.0 as usize].pods) {
            self.pods[pod.0 as usize].node = None;
        }
        self.nodes[node.0 as usize].removed = true;
    }

    /// Finds a node by its name.
    #[must_use]
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        let name = self.names.find_value(name)?;
        self.live_nodes()
            .find(|(_, node)| node.name == name)
            .map(|(id, _)| id)
    }

    /// Finds a pool by its name.
    #[must_use]
    pub fn find_pool(&self, name: &str) -> Option<PoolId> {
        let name = self.names.find_value(name)?;
        (0_u32..)
            .map(PoolId)
            .zip(&self.pools)
            .find(|(_, pool)| pool.name == name)
            .map(|(id, _)| id)
    }

    /// What the pods on a node take of it.
    #[must_use]
    pub fn used(&self, node: NodeId) -> Resources {
        let mut used = Resources::ZERO;
        for pod in &self.node(node).pods {
            if self.pod(*pod).takes_room() {
                used += self.shape_of(*pod).requests;
            }
        }
        used
    }

    /// What a node costs an hour, by its type, zone and capacity type; `None` where no table has it.
    #[must_use]
    pub fn price(&self, node: NodeId) -> Option<MicroUsd> {
        let node = self.node(node);
        let name = node.label(Key::INSTANCE_TYPE)?;
        let zone = node.label(Key::ZONE)?;
        let capacity_type = match node.capacity_type() {
            Some(capacity_type) => capacity_type,
            // Not Karpenter's: a managed node group says how it was bought, and others are taken to be on demand.
            None if !node.is_managed() => {
                let bought = self.names.find_key("eks.amazonaws.com/capacityType");
                match bought.and_then(|key| node.label(key)) {
                    Some(value) if self.names.value_text(value) == "SPOT" => CapacityType::Spot,
                    _ => CapacityType::OnDemand,
                }
            }
            None => return None,
        };
        let own = node.pool.and_then(|pool| self.types_of(pool));
        own.into_iter()
            .chain(&self.type_sets)
            .find_map(|types| types.get(types.find(name)?).price(zone, capacity_type))
    }

    /// `namespace/name` of a pod.
    #[must_use]
    pub fn pod_name(&self, pod: PodId) -> String {
        let namespace = self.names.value_text(self.shape_of(pod).namespace);
        format!("{namespace}/{}", self.pod(pod).name)
    }

    /// Whether a term looks at a namespace.
    #[must_use]
    pub fn in_namespaces(&self, namespaces: &Namespaces, namespace: Value) -> bool {
        namespaces.names.contains(&namespace)
            || namespaces.selector.as_ref().is_some_and(|selector| {
                let none = Labels::default();
                selector.matches(self.namespaces.get(&namespace).unwrap_or(&none))
            })
    }

    /// The pools in the order in which Karpenter tries them (`pkg/utils/nodepool/nodepool.go:161` `OrderByWeight`): those of
    /// more weight first, ties by name backwards; only those that are ready, not static and not being deleted.
    #[must_use]
    pub fn pools_by_weight(&self) -> Vec<PoolId> {
        let mut pools: Vec<(PoolId, &Pool)> = (0_u32..)
            .map(PoolId)
            .zip(&self.pools)
            .filter(|(_, pool)| pool.ready && pool.replicas.is_none())
            .collect();
        pools.sort_by(|(_, a), (_, b)| {
            let name = |pool: &Pool| self.names.value_text(pool.name);
            b.weight.cmp(&a.weight).then_with(|| name(b).cmp(&name(a)))
        });
        pools.into_iter().map(|(id, _)| id).collect()
    }
}
