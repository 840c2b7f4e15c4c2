//! What teams run: one entry a service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::{CpuAmount, MemoryAmount};
use super::node_pools::{KEY, TaintEffect, VALUE};

/// A service: some replicas of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Whether it is there. An environment switches one off, or on, that `platform.yaml` describes.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its container image, with a tag or a digest.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._:/@+-]*$")
    )]
    #[schemars(extend("patternErrorMessage" = "an image's name, as example.com/web:1.2.0"))]
    pub image: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[schemars(extend("patternErrorMessage" = "lower-case letters, digits and hyphens"))]
    pub namespace: String,
    /// The port that it listens to; none for one that only works off a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The host name by which the Internet reaches it: a key of `dns.hostnames`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How many of it there are.
    #[serde(default)]
    pub replicas: Replicas,
    /// When there are more or fewer: what its replicas use on average, in per cent of their requests.
    #[serde(default)]
    pub scaling: Scaling,
    /// What a replica asks for, and the most that it gets.
    #[serde(default)]
    pub resources: Resources,
    /// The node pool that it runs on, by its key in `nodePools`; its taints are tolerated. Default: any pool without taints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pool: Option<String>,
    /// Further taints that it tolerates.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    /// Who gives way when there is no room.
    #[serde(default)]
    pub priority_class: Priority,
    /// How many replicas must stay when nodes go.
    #[serde(default)]
    pub pod_disruption_budget: PodDisruptionBudget,
    /// How its replicas are spread.
    #[serde(default)]
    pub spread: Spread,
    /// An EBS volume for each replica, encrypted gp3, which stays with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
}

fn yes() -> bool {
    true
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// How many replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Replicas {
    /// The least.
    #[schemars(range(min = 0, max = 10_000))]
    pub min: u32,
    /// The most. Default: `min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max: Option<u32>,
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: 2, max: None }
    }
}

impl Replicas {
    /// The most.
    pub fn most(self) -> u32 {
        self.max.unwrap_or(self.min)
    }
}

/// When there are more or fewer replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scaling {
    /// The target of CPU, in per cent of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub cpu: Option<u32>,
    /// The target of memory, in per cent of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub memory: Option<u32>,
}

/// What a replica asks for, and the most that it gets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What it asks for: nodes are chosen by it.
    pub requests: Requests,
    /// The most that it gets.
    pub limits: Limits,
}

/// What a replica asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Requests {
    /// CPU.
    pub cpu: CpuAmount,
    /// Memory.
    pub memory: MemoryAmount,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            cpu: CpuAmount::new("250m"),
            memory: MemoryAmount::new("256Mi"),
        }
    }
}

/// The most that a replica gets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// CPU. Default: what the node has to spare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuAmount>,
    /// Memory: above it the replica is ended. Default: what the node has to spare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryAmount>,
}

/// A taint that does not keep a service off a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key.
    #[schemars(length(max = 316), regex(pattern = KEY))]
    #[schemars(extend("patternErrorMessage" = "a key, as workload or example.com/workload"))]
    pub key: String,
    /// The taint's value. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = VALUE))]
    #[schemars(extend("patternErrorMessage" = "letters, digits and -_., 63 at most"))]
    pub value: Option<String>,
    /// The taint's effects. Default: all.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub effects: Vec<TaintEffect>,
}

/// Who gives way when there is no room.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Gives way to everybody.
    Low,
    /// As pods without a priority class.
    #[default]
    Normal,
    /// Others give way.
    High,
}

/// How many replicas must stay when nodes go. One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodDisruptionBudget {
    /// How many may be missing. Default: 1, unless `minAvailable` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_unavailable: Option<u32>,
    /// How many must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_available: Option<u32>,
}

/// How replicas are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spread {
    /// Over availability zones.
    pub zones: SpreadRule,
    /// Over nodes.
    pub hosts: SpreadRule,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            zones: SpreadRule::DoNotSchedule,
            hosts: SpreadRule::ScheduleAnyway,
        }
    }
}

/// What becomes of a replica that would make the spread uneven by more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SpreadRule {
    /// It waits.
    DoNotSchedule,
    /// It goes where the spread suffers least.
    ScheduleAnyway,
    /// Nobody looks at the spread.
    Off,
}

/// An EBS volume for each replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Its size in GiB.
    #[schemars(range(min = 1, max = 65536))]
    pub size_gib: u32,
    /// Where the container finds it.
    #[schemars(regex(pattern = r"^/[^\s:]*$"))]
    #[schemars(extend("patternErrorMessage" = "an absolute path, as /var/lib/postgresql"))]
    pub mount_path: String,
}

/// The services, by name.
pub type Services = BTreeMap<String, Service>;
