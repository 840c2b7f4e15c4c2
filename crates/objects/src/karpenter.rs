//! `karpenter.sh/v1`: NodePool and NodeClaim.
//!
//! The fields and their defaults are those of `pkg/apis/v1/{nodepool,nodeclaim,nodeclaim_status}.go` of
//! `kubernetes-sigs/karpenter` at 2266468 (1.14).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::duration::{GoDuration, NillableDuration};

/// Amounts by resource name, as texts (`cpu: "4"`).
pub type ResourceList = BTreeMap<String, Quantity>;

/// A pool of nodes that Karpenter launches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodePool {
    /// `karpenter.sh/v1`.
    #[serde(rename = "apiVersion", default = "api_version")]
    pub api_version: String,
    /// `NodePool`.
    #[serde(default = "node_pool_kind")]
    pub kind: String,
    /// Name, labels, annotations, times.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: NodePoolSpec,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodePoolStatus>,
}

fn api_version() -> String {
    "karpenter.sh/v1".to_owned()
}

fn node_pool_kind() -> String {
    "NodePool".to_owned()
}

fn node_claim_kind() -> String {
    "NodeClaim".to_owned()
}

/// What a pool wants.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolSpec {
    /// What its nodes are like.
    pub template: NodeClaimTemplate,
    /// When its nodes go.
    #[serde(default)]
    pub disruption: Disruption,
    /// The most that its nodes may have together, by resource; `nodes` counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceList>,
    /// Pools of more weight are tried first: 1 to 100; 0 when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// A fixed number of nodes (a static pool; alpha).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
}

/// Metadata and spec of the nodes of a pool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeClaimTemplate {
    /// Labels and annotations of each node.
    #[serde(default)]
    pub metadata: TemplateMeta,
    /// The spec of each node.
    pub spec: NodeClaimTemplateSpec,
}

/// Labels and annotations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TemplateMeta {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a pool's nodes have in common.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimTemplateSpec {
    /// Taints of each node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Taints that something takes away once the node has started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub startup_taints: Vec<Taint>,
    /// Which instance types, zones, capacity types, …
    #[serde(default)]
    pub requirements: Vec<NodeSelectorRequirement>,
    /// The node class.
    pub node_class_ref: NodeClassReference,
    /// How long a node's termination may take before its pods are deleted by force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_grace_period: Option<GoDuration>,
    /// How long a node lives; 720h when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after: Option<NillableDuration>,
}

/// Which node class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeClassReference {
    /// `karpenter.k8s.aws`.
    #[serde(default)]
    pub group: String,
    /// `EC2NodeClass`.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A label selector requirement with flexibility.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorRequirement {
    /// The label's key.
    pub key: String,
    /// How the key relates to the values.
    pub operator: Operator,
    /// The values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The fewest distinct values that must stay possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_values: Option<u32>,
}

/// How a key relates to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or no such label.
    NotIn,
    /// Any value.
    Exists,
    /// No such label.
    DoesNotExist,
    /// A whole number above the value.
    Gt,
    /// A whole number below the value.
    Lt,
    /// A whole number that is the value or above.
    Gte,
    /// A whole number that is the value or below.
    Lte,
}

/// When a pool's nodes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// How long a node is left alone after its pods changed.
    #[serde(default = "at_once")]
    pub consolidate_after: NillableDuration,
    /// Which nodes consolidation looks at.
    #[serde(default)]
    pub consolidation_policy: ConsolidationPolicy,
    /// How many may go at once.
    #[serde(default = "default_budgets")]
    pub budgets: Vec<Budget>,
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            consolidate_after: at_once(),
            consolidation_policy: ConsolidationPolicy::default(),
            budgets: default_budgets(),
        }
    }
}

fn at_once() -> NillableDuration {
    NillableDuration::After(GoDuration::default())
}

fn default_budgets() -> Vec<Budget> {
    vec![Budget::default()]
}

/// Which nodes consolidation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum ConsolidationPolicy {
    /// Empty nodes only.
    WhenEmpty,
    /// Empty ones and those whose pods fit elsewhere or on something cheaper.
    #[default]
    #[serde(alias = "WhenUnderutilized")]
    WhenEmptyOrUnderutilized,
    /// As the one before, where the savings are worth the disruption.
    Balanced,
}

/// What a pool has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolStatus {
    /// What its nodes have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceList>,
    /// How many nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<i64>,
    /// The generation of its node class for which `NodeRegistrationHealthy` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_class_observed_generation: Option<i64>,
    /// Its conditions; `Ready` tells whether it is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<LooseCondition>,
}

/// A node that Karpenter launches or has launched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeClaim {
    /// `karpenter.sh/v1`.
    #[serde(rename = "apiVersion", default = "api_version")]
    pub api_version: String,
    /// `NodeClaim`.
    #[serde(default = "node_claim_kind")]
    pub kind: String,
    /// Name, labels, annotations, times.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: NodeClaimSpec,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeClaimStatus>,
}

/// What a node claim asks for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimSpec {
    /// Taints of the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Taints that something takes away once the node has started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub startup_taints: Vec<Taint>,
    /// Which instance types, zones, capacity types, …
    #[serde(default)]
    pub requirements: Vec<NodeSelectorRequirement>,
    /// What the pods that it is for request.
    #[serde(default)]
    pub resources: ClaimResources,
    /// The node class.
    #[serde(default)]
    pub node_class_ref: NodeClassReference,
    /// How long its termination may take before its pods are deleted by force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_grace_period: Option<GoDuration>,
    /// How long it lives; 720h when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after: Option<NillableDuration>,
}

/// Requests of a claim.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClaimResources {
    /// By resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: ResourceList,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimStatus {
    /// The node's name, once it has registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// `aws:///eu-west-1a/i-0abc`.
    #[serde(
        rename = "providerID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub provider_id: Option<String>,
    /// The image.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// What the node is expected to have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity: ResourceList,
    /// What pods are expected to get of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: ResourceList,
    /// `Launched`, `Registered`, `Initialized`, `Consolidatable`, `Drifted`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<LooseCondition>,
    /// When a pod last came or went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pod_event_time: Option<Time>,
}

/// A condition whose reason, message and time may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LooseCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word on why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence on why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Which generation of the object it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl From<Condition> for LooseCondition {
    fn from(condition: Condition) -> Self {
        Self {
            type_: condition.type_,
            status: condition.status,
            reason: Some(condition.reason),
            message: Some(condition.message),
            last_transition_time: Some(condition.last_transition_time),
            observed_generation: condition.observed_generation,
        }
    }
}

/// The condition of a type, if it is there.
#[must_use]
pub fn condition<'a>(conditions: &'a [LooseCondition], type_: &str) -> Option<&'a LooseCondition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

macro_rules! cluster_scoped {
    ($kind:ty, $group:literal, $version:literal, $name:literal, $plural:literal) => {
        impl k8s_openapi::Resource for $kind {
            const API_VERSION: &'static str = concat!($group, "/", $version);
            const GROUP: &'static str = $group;
            const KIND: &'static str = $name;
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = k8s_openapi::ClusterResourceScope;
        }

        impl k8s_openapi::Metadata for $kind {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use cluster_scoped;

cluster_scoped!(NodePool, "karpenter.sh", "v1", "NodePool", "nodepools");
cluster_scoped!(NodeClaim, "karpenter.sh", "v1", "NodeClaim", "nodeclaims");
