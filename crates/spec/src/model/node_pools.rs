//! Karpenter's node pools and the node class that they share, in Karpenter's own words (`karpenter.sh/v1`,
//! `karpenter.k8s.aws/v1`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::{CpuAmount, MemoryAmount};

/// Families of instances are letters, a generation and what sets them apart.
const FAMILY: &str = r"^[a-z]+[0-9]*[a-z0-9]*(-[a-z0-9]+)*$";
/// A label's or a taint's key, a domain before it if there is one.
pub(super) const KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// A label's or a taint's value.
pub(super) const VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
/// How long: Go's way, in hours, minutes and seconds.
const DURATION: &str = r"^([0-9]+(s|m|h))+$";
/// How long, or not at all.
const DURATION_OR_NEVER: &str = r"^(([0-9]+(s|m|h))+|Never)$";

/// A pool of nodes that Karpenter makes: of what kinds, how many, and when they go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodePool {
    /// Whether it is there. An environment switches one off, or on, that `platform.yaml` describes.
    pub enabled: bool,
    /// Its name in the cluster; `{cluster}` stands for `<platform>-<env>`. Default: its key here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// How its instances are bought. With both, Spot is taken where there is some, On-Demand otherwise.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub capacity_types: Vec<CapacityType>,
    /// Instance families (`m6i`), all sizes. Default: whatever `instanceCategories` and `minGeneration` allow.
    #[schemars(inner(regex(pattern = FAMILY)))]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "an instance family, as m6i"))]
    pub instance_families: Vec<String>,
    /// Instance categories, the letters that a family begins with (`m`). Default: `c`, `m` and `r`, unless `instanceFamilies` are given.
    #[schemars(inner(regex(pattern = r"^[a-z]+$")))]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "an instance category, as m"))]
    pub instance_categories: Vec<String>,
    /// The oldest generation (6 of `m6i`). Default: 5, unless `instanceFamilies` are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub min_generation: Option<u32>,
    /// vCPUs of an instance.
    pub instance_cpu: Bounds,
    /// Memory of an instance, in MiB.
    pub instance_memory: Bounds,
    /// Processor architectures. Images must be there for all of them.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub architectures: Vec<Architecture>,
    /// Further requirements, as Karpenter takes them.
    pub requirements: Vec<Requirement>,
    /// Pools of more weight are tried first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<u32>,
    /// The most that its nodes may have together.
    pub limits: PoolLimits,
    /// Labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes: only pods that tolerate them run there. Services that name the pool do.
    pub taints: Vec<Taint>,
    /// When its nodes go by themselves.
    pub disruption: Disruption,
    /// How long a node lives before it is replaced, whatever runs on it; or `Never`.
    #[schemars(regex(pattern = DURATION_OR_NEVER))]
    #[schemars(extend("patternErrorMessage" = "hours, minutes or seconds, as 720h, or Never"))]
    pub expire_after: String,
    /// How long pods may hold up a node that goes, before they are deleted by force. Default: as long as they like.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    #[schemars(extend("patternErrorMessage" = "hours, minutes or seconds, as 1h30m"))]
    pub termination_grace_period: Option<String>,
}

impl Default for NodePool {
    fn default() -> Self {
        Self {
            enabled: true,
            name: None,
            capacity_types: vec![CapacityType::Spot, CapacityType::OnDemand],
            instance_families: Vec::new(),
            instance_categories: Vec::new(),
            min_generation: None,
            instance_cpu: Bounds::default(),
            instance_memory: Bounds::default(),
            architectures: vec![Architecture::Amd64],
            requirements: Vec::new(),
            weight: None,
            limits: PoolLimits::default(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            disruption: Disruption::default(),
            expire_after: "720h".to_owned(),
            termination_grace_period: None,
        }
    }
}

impl NodePool {
    /// What a spec without `nodePools` has: one pool for everything.
    pub(super) fn usual() -> BTreeMap<String, Self> {
        BTreeMap::from([("general".to_owned(), Self::default())])
    }

    /// The instance categories that it allows; none where families tell it.
    pub fn categories(&self) -> Vec<&str> {
        if self.instance_categories.is_empty() && self.instance_families.is_empty() {
            vec!["c", "m", "r"]
        } else {
            self.instance_categories
                .iter()
                .map(String::as_str)
                .collect()
        }
    }

    /// The oldest generation that it allows, where there is one.
    pub fn generation(&self) -> Option<u32> {
        self.min_generation
            .or(self.instance_families.is_empty().then_some(5))
    }
}

/// How an instance is bought.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// Spare capacity, cheaper, which AWS may take back two minutes after telling.
    Spot,
    /// By the hour, at list price.
    OnDemand,
}

impl CapacityType {
    /// As Kubernetes labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

/// A processor architecture.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// x86, Intel's and AMD's.
    Amd64,
    /// Arm: AWS's Gravitons.
    Arm64,
}

impl Architecture {
    /// As Kubernetes labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// From how much to how much, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Bounds {
    /// The least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub min: Option<u32>,
    /// The most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max: Option<u32>,
}

/// A requirement of Karpenter's: what a node's label must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The label (`karpenter.k8s.aws/instance-local-nvme`, `topology.kubernetes.io/zone`).
    #[schemars(length(max = 316), regex(pattern = KEY))]
    #[schemars(extend("patternErrorMessage" = "a label's key, as topology.kubernetes.io/zone"))]
    pub key: String,
    /// How the label relates to the values.
    pub operator: RequirementOperator,
    /// The values; one whole number with `Gt` and `Lt`, none with `Exists` and `DoesNotExist`.
    #[serde(default)]
    #[schemars(inner(regex(pattern = VALUE)))]
    #[schemars(extend("patternErrorMessage" = "a label's value, in quotes if it is a number"))]
    pub values: Vec<String>,
    /// How many of the values must stay possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub min_values: Option<u32>,
}

/// How a label relates to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequirementOperator {
    /// It is one of them.
    In,
    /// It is none of them, or not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// It is a greater number.
    Gt,
    /// It is a smaller number.
    Lt,
}

/// The most that a pool's nodes may have together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PoolLimits {
    /// vCPUs, in quotes: `"20"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuAmount>,
    /// Memory: `80Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryAmount>,
}

/// What keeps pods off a node that do not tolerate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    #[schemars(length(max = 316), regex(pattern = KEY))]
    #[schemars(extend("patternErrorMessage" = "a key, as workload or example.com/workload"))]
    pub key: String,
    /// Its value.
    #[serde(default)]
    #[schemars(regex(pattern = VALUE))]
    #[schemars(extend("patternErrorMessage" = "letters, digits and -_., 63 at most"))]
    pub value: String,
    /// What becomes of pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What becomes of pods that do not tolerate a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not scheduled.
    NoSchedule,
    /// They are scheduled elsewhere where that is possible.
    PreferNoSchedule,
    /// They are not scheduled, and evicted where they run.
    NoExecute,
}

impl TaintEffect {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// When nodes go by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Disruption {
    /// Which nodes consolidation looks at.
    pub consolidation_policy: ConsolidationPolicy,
    /// How long a node's pods must have been unchanged before it is looked at; `Never` for not at all.
    #[schemars(regex(pattern = DURATION_OR_NEVER))]
    #[schemars(extend("patternErrorMessage" = "hours, minutes or seconds, as 5m, or Never"))]
    pub consolidate_after: String,
    /// How many nodes may go at once.
    #[schemars(length(min = 1, max = 50))]
    pub budgets: Vec<Budget>,
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            consolidation_policy: ConsolidationPolicy::default(),
            consolidate_after: "1m".to_owned(),
            budgets: vec![Budget::default()],
        }
    }
}

/// Which nodes consolidation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ConsolidationPolicy {
    /// Those that run nothing but daemon sets' pods.
    WhenEmpty,
    /// Those, and nodes whose pods fit elsewhere or on something cheaper.
    #[default]
    WhenEmptyOrUnderutilized,
    /// As the one before, where the savings are worth the disruption (Karpenter 1.14).
    Balanced,
}

/// How many nodes may go at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budget {
    /// A number or a percentage of the pool's nodes, in quotes: `"1"`, `"10%"`; `"0"` lets none go.
    #[schemars(regex(pattern = r"^((100|[0-9]{1,2})%|[0-9]+)$"))]
    #[schemars(extend("patternErrorMessage" = "a number or a percentage in quotes, as \"10%\""))]
    pub nodes: String,
    /// For which reasons it holds. Default: for all.
    #[schemars(extend("uniqueItems" = true))]
    pub reasons: Vec<DisruptionReason>,
    /// When it begins to hold, as a cron expression in UTC. Default: it always holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(
        pattern = r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|(\S+\s+){4}\S+)$"
    ))]
    #[schemars(extend("patternErrorMessage" = "a cron expression of five fields, as `0 9 * * mon-fri`"))]
    pub schedule: Option<String>,
    /// How long it holds then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(h|m)|[0-9]+h[0-9]+m)(0s)?$"))]
    #[schemars(extend("patternErrorMessage" = "hours and minutes, as 8h or 1h30m"))]
    pub duration: Option<String>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            nodes: "10%".to_owned(),
            reasons: Vec::new(),
            schedule: None,
            duration: None,
        }
    }
}

/// Why Karpenter makes a node go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DisruptionReason {
    /// Its pods fit elsewhere, or on something cheaper.
    Underutilized,
    /// Nothing runs on it.
    Empty,
    /// It is no longer what its pool asks for.
    Drifted,
}

/// What is particular to AWS in the nodes of all pools. Their root volumes are encrypted gp3, their metadata service takes IMDSv2 alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeClass {
    /// Its name in the cluster; `{cluster}` stands for `<platform>-<env>`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The machine image, by Karpenter's alias: the family, and `latest` or a version to stay at (`al2023@v20261101`).
    #[schemars(regex(pattern = r"^(al2023|bottlerocket)@(latest|v[0-9.]+)$"))]
    #[schemars(extend("patternErrorMessage" = "al2023 or bottlerocket, @, and latest or a version, as al2023@latest"))]
    pub ami_alias: String,
    /// The root volume, in GiB; gp3, encrypted.
    #[schemars(range(min = 20, max = 16384))]
    pub disk_gib: u32,
    /// The most pods on a node. The VPC CNI's prefixes have addresses for so many on most types, and for 98 on the smallest that are taken.
    #[schemars(range(min = 10, max = 250))]
    pub max_pods: u32,
    /// How many hops an answer of the metadata service may take. Default: 1, which no pod is within; 2 with `addons.cloudwatchObservability`, whose agent reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub hop_limit: Option<u32>,
}

impl Default for NodeClass {
    fn default() -> Self {
        Self {
            name: "{cluster}-nodeclass".to_owned(),
            ami_alias: "al2023@latest".to_owned(),
            disk_gib: 50,
            max_pods: 110,
            hop_limit: None,
        }
    }
}
