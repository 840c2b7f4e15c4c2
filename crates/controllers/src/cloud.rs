//! What controllers see and want of the embedded AWS: instances, volumes, load balancers, and the interruption queue.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::shelf::Key;

/// What there is in the embedded AWS that belongs to one cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    /// By instance id.
    pub instances: BTreeMap<String, Instance>,
    /// By volume id.
    pub volumes: BTreeMap<String, Volume>,
    /// By Service.
    pub load_balancers: BTreeMap<Key, LoadBalancer>,
    /// What EC2 last said no to, by NodeClaim: it stays until the claim is gone.
    pub refusals: BTreeMap<String, Refusal>,
    /// What the interruption queue holds, the oldest first.
    pub messages: Vec<Message>,
    /// Subnets, security groups and images, for the selectors of EC2NodeClasses.
    pub network: Network,
    pub account: String,
    pub region: String,
    pub cluster: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub id: String,
    pub instance_type: String,
    pub zone: String,
    pub spot: bool,
    /// The node's name.
    pub private_dns_name: String,
    pub private_ip: String,
    pub image: String,
    pub subnet: String,
    pub security_groups: Vec<String>,
    pub state: InstanceState,
    pub launched_at: Timestamp,
    pub origin: Origin,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
}

/// Who launched an instance, and what the node that it becomes is told by its user data.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A managed node group; labels and taints are the node group's own.
    NodeGroup {
        name: String,
        labels: BTreeMap<String, String>,
        /// `key=value:Effect` in parts.
        taints: Vec<(String, String, String)>,
    },
    /// Karpenter, for this NodeClaim.
    NodeClaim(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    pub id: String,
    pub zone: String,
    pub gib: i64,
    pub volume_type: String,
    pub encrypted: bool,
    /// The instance that it is attached to.
    pub attached_to: Option<String>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LoadBalancer {
    pub arn: String,
    pub dns_name: String,
    /// Whether it serves already; it takes a few minutes.
    pub active: bool,
}

/// An answer of EC2's that launched nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// `InsufficientInstanceCapacity`, …
    pub code: String,
    pub message: String,
    /// Which offerings have no capacity: type, zone, spot.
    pub unavailable: Vec<(String, String, bool)>,
    pub at: Timestamp,
}

/// A message of the interruption queue: EventBridge's document as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: String,
    pub receipt: String,
    pub body: serde_json::Value,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    pub subnets: Vec<Subnet>,
    pub security_groups: Vec<SecurityGroup>,
    /// Whether the account can launch what is asked for: instance profiles and roles that exist, by name.
    pub roles: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub zone_id: String,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SecurityGroup {
    pub id: String,
    pub name: String,
    pub tags: BTreeMap<String, String>,
}

/// Something to do in the embedded AWS. Each is done at most once for the same subject: a claim that has an instance launches no
/// second one.
#[derive(Debug, Clone, PartialEq)]
pub enum CloudAction {
    /// EC2 `CreateFleet` of one instance.
    Launch(Launch),
    Terminate {
        instance: String,
    },
    /// For a PersistentVolume of this name.
    CreateVolume {
        persistent_volume: String,
        zone: String,
        gib: i64,
        volume_type: String,
        encrypted: bool,
        tags: BTreeMap<String, String>,
    },
    /// Makes a volume larger.
    ModifyVolume {
        volume: String,
        gib: i64,
    },
    DeleteVolume {
        volume: String,
    },
    Attach {
        volume: String,
        instance: String,
    },
    Detach {
        volume: String,
    },
    CreateLoadBalancer {
        service: Key,
        /// `network` or `classic`.
        internal: bool,
        ports: Vec<i32>,
    },
    DeleteLoadBalancer {
        service: Key,
    },
    /// Takes a message off the interruption queue.
    DeleteMessage {
        receipt: String,
    },
}

/// What `CreateFleet` is asked for: the offerings in the order of price, of which the first that has capacity is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    pub node_claim: String,
    pub node_class: String,
    pub spot: bool,
    /// Instance type, zone and subnet; the cheapest first.
    pub offerings: Vec<(String, String, String)>,
    pub image: String,
    pub security_groups: Vec<String>,
    /// The role (or the instance profile) of the node.
    pub role: String,
    pub tags: BTreeMap<String, String>,
}
