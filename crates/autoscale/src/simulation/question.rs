//! What is asked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::Delays;
use crate::answer::Finding;
use crate::karpenter::disruption::interruption;
use crate::karpenter::provisioning::{MinValuesPolicy, PreferencePolicy};

/// What is asked of a world.
#[derive(Debug, Clone)]
pub struct Question {
    /// How much time is played; `None` plays until nothing more is under way.
    pub span: Option<Duration>,
    /// When it begins.
    pub at: Timestamp,
    /// Decides what the rules leave open.
    pub seed: u64,
    /// Karpenter's settings.
    pub switches: Switches,
    /// What is taken away at the beginning.
    pub removes: Vec<Removal>,
    /// What AWS says at the beginning.
    pub interrupts: Vec<Interruption>,
    /// The node of which everything is to be said that stands in its way.
    pub explain: Option<String>,
    /// How long things take.
    pub delays: Delays,
    /// Whether Spot prices are estimates.
    pub spot_is_estimated: bool,
    /// What was found while the input was read; it is part of the answer.
    pub findings: Vec<Finding>,
}

impl Question {
    /// "What happens next?"
    #[must_use]
    pub fn next(at: Timestamp) -> Self {
        Self {
            span: None,
            at,
            seed: 0,
            switches: Switches::default(),
            removes: Vec::new(),
            interrupts: Vec::new(),
            explain: None,
            delays: Delays::default(),
            spot_is_estimated: false,
            findings: Vec::new(),
        }
    }
}

/// Karpenter's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// The feature gate `SpotToSpotConsolidation`.
    pub spot_to_spot: bool,
    /// `PREFERENCE_POLICY`.
    pub preferences: PreferencePolicy,
    /// `MIN_VALUES_POLICY`.
    pub min_values: MinValuesPolicy,
}

/// Something that is not there, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {0} in the snapshot")]
pub struct UnknownTarget(pub String);

/// What is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A node, as `kubectl delete node` does it with Karpenter: it is drained.
    Node(String),
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A pool; its nodes are drained.
    NodePool(String),
    /// A Deployment, ReplicaSet, StatefulSet or Job with its pods.
    Workload {
        /// Its kind.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Pod { namespace, name } => write!(f, "pod/{namespace}/{name}"),
            Self::NodePool(name) => write!(f, "nodepool/{name}"),
            Self::Workload {
                kind,
                namespace,
                name,
            } => write!(f, "{}/{namespace}/{name}", kind.to_lowercase()),
        }
    }
}

/// Text that names nothing that can be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}`: node/NAME, nodepool/NAME, pod/NAMESPACE/NAME, deployment/NAMESPACE/NAME, replicaset/…, statefulset/… or job/… is wanted"
)]
pub struct InvalidRemoval(pub String);

impl FromStr for Removal {
    type Err = InvalidRemoval;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRemoval(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(invalid());
        }
        let workload = |kind, namespace: &str, name: &str| Self::Workload {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        Ok(match parts.as_slice() {
            ["node", name] => Self::Node((*name).to_owned()),
            ["nodepool", name] => Self::NodePool((*name).to_owned()),
            ["pod", namespace, name] => Self::Pod {
                namespace: (*namespace).to_owned(),
                name: (*name).to_owned(),
            },
            ["deployment", namespace, name] => workload("Deployment", namespace, name),
            ["replicaset", namespace, name] => workload("ReplicaSet", namespace, name),
            ["statefulset", namespace, name] => workload("StatefulSet", namespace, name),
            ["job", namespace, name] => workload("Job", namespace, name),
            _ => return Err(invalid()),
        })
    }
}

/// What AWS says of one node's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// The node's name.
    pub node: String,
    /// What it says.
    pub event: interruption::Event,
}

/// Text that is no interruption.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}`: node/NAME or node/NAME=KIND is wanted, KIND being spot, rebalance, scheduled-change, scheduled-event, impaired, stopping, stopped, shutting-down, terminated or capacity-reservation"
)]
pub struct InvalidInterruption(pub String);

impl FromStr for Interruption {
    type Err = InvalidInterruption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidInterruption(text.to_owned());
        let (node, kind) = text.split_once('=').unwrap_or((text, "spot"));
        let node = node
            .strip_prefix("node/")
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .ok_or_else(invalid)?;
        Ok(Self {
            node: node.to_owned(),
            event: kind.parse().map_err(|_| invalid())?,
        })
    }
}
