//! What a simulation answers: decisions in order with their reasons, the cluster before and after, and what it costs.
//!
//! The field names are those of the JSON document that `simulate -o json` prints. Times are RFC 3339 in UTC; money is US
//! dollars an hour; CPU is in milli-CPU, memory in bytes.

use serde::Serialize;

/// The answer to "what will happen?".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// When the simulation begins.
    pub at: String,
    /// When it ends: the last decision's time, or the end of the time that was asked for.
    pub until: String,
    /// The Karpenter version whose behaviour it follows.
    pub karpenter_version: String,
    /// The seed of every choice that the rules leave open.
    pub seed: u64,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// What the nodes cost.
    pub cost: Cost,
    /// The pods that have no place at the end.
    pub unschedulable: Vec<Unschedulable>,
    /// What a reader should know besides: what can never happen, what was not understood, what was assumed.
    pub findings: Vec<Finding>,
    /// The cluster as it was given.
    pub before: Picture,
    /// The cluster at the end.
    pub after: Picture,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// When.
    pub at: String,
    /// What is done.
    pub kind: Kind,
    /// Who decides it, and by which of its methods.
    pub method: Method,
    /// Why, in Karpenter's own terms.
    pub reason: String,
    /// The node pool; none for nodes that no pool made.
    pub nodepool: Option<String>,
    /// The nodes that go, or that were considered; the new one for a launch.
    pub nodes: Vec<String>,
    /// The instance types that a launch or a replacement is asked for, cheapest first.
    pub instance_types: Vec<String>,
    /// The instance type that is launched by the model of price and capacity.
    pub chosen: Option<String>,
    /// Where it is launched.
    pub zone: Option<String>,
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: Option<String>,
    /// What the launched node costs, or what goes away with a deletion.
    pub usd_per_hour: Option<f64>,
    /// The pods that it is for, or that have to move: `namespace/name`.
    pub pods: Vec<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A node is launched.
    Launch,
    /// Nodes are deleted, and their pods find place on others.
    Delete,
    /// Nodes are deleted and a cheaper or newer one is launched for them.
    Replace,
    /// A node was considered and is left alone.
    None,
}

/// Who decides, and by which of its methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Karpenter makes nodes for pods that have no place.
    Provisioning,
    /// Karpenter deletes nodes without pods.
    Emptiness,
    /// Karpenter replaces nodes that are no longer as their pool says; static pools too.
    Drift,
    /// Karpenter consolidates several nodes at once.
    MultiNodeConsolidation,
    /// Karpenter consolidates one node.
    SingleNodeConsolidation,
    /// Karpenter deletes nodes that are older than their `expireAfter`.
    Expiration,
    /// AWS is about to take the instance away.
    Interruption,
    /// The question says so: `--remove`.
    Asked,
}

/// What the nodes cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// US dollars an hour before.
    pub before_usd_per_hour: f64,
    /// US dollars an hour at the end.
    pub after_usd_per_hour: f64,
    /// US dollars a month (730 hours) before.
    pub before_usd_per_month: f64,
    /// US dollars a month (730 hours) at the end.
    pub after_usd_per_month: f64,
    /// Nodes whose price is not known; they count as nothing.
    pub nodes_without_price: usize,
    /// Whether Spot prices are estimates, by a ratio of the on-demand price.
    pub spot_is_estimated: bool,
}

/// A pod that has no place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unschedulable {
    /// `namespace/name`.
    pub pod: String,
    /// What it waits for: why neither a node nor a pool takes it.
    pub reason: String,
}

/// Something that a reader should know besides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What it is about: `NodePool/general`, `Pod/default/web-1`, a file's place.
    pub about: String,
    /// What there is to know.
    pub message: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something can never work as it stands.
    Warning,
    /// An assumption, or something that was left out.
    Note,
}

/// A cluster's nodes and what is on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Picture {
    /// The nodes, by pool and name.
    pub nodes: Vec<NodePicture>,
    /// The pods that have no node.
    pub pending: Vec<PodPicture>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodePicture {
    /// Its name; of one that is not launched yet, the name that its claim has in the answer.
    pub name: String,
    /// The node pool that made it.
    pub nodepool: Option<String>,
    /// Its instance type.
    pub instance_type: Option<String>,
    /// Its availability zone.
    pub zone: Option<String>,
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: Option<String>,
    /// What it costs, where that is known.
    pub usd_per_hour: Option<f64>,
    /// Where it is in its life.
    pub phase: Phase,
    /// What pods can have of it.
    pub allocatable: Amounts,
    /// What its pods request, daemons' included.
    pub requested: Amounts,
    /// What its daemons' pods request.
    pub daemons: Amounts,
    /// Its pods, daemons' last, largest first.
    pub pods: Vec<PodPicture>,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Asked for, and not there yet.
    Launching,
    /// There, and takes pods.
    Ready,
    /// Takes no new pods: cordoned, not ready, or tainted for its deletion.
    Closed,
    /// Its pods are leaving.
    Deleting,
}

/// Amounts of what nodes have and pods want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// Milli-CPU.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// How many pods.
    pub pods: i64,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodPicture {
    /// `namespace/name`.
    pub name: String,
    /// What made it: `Deployment/web`.
    pub owner: Option<String>,
    /// Whether it is a daemon's.
    pub daemon: bool,
    /// Milli-CPU that it requests.
    pub cpu_milli: i64,
    /// Bytes of memory that it requests.
    pub memory_bytes: i64,
}
