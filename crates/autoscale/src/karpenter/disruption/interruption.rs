//! What EC2's messages about an instance make Karpenter do.
//!
//! Models `pkg/controllers/interruption` of the AWS provider at 1d92708. Interruptions look at no budget; pods' own budgets still
//! hold while the node is drained, until the machine is gone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::instances::CapacityType;
use crate::names::{Key, Value};
use crate::world::{NodeId, World};

/// How long what was interrupted is not asked for again (`pkg/cache/cache.go:31` `UnavailableOfferingsTTL`).
pub const UNAVAILABLE_FOR: Duration = Duration::from_secs(180);

/// How long a spot instance runs on after its warning (EC2's documentation of spot interruption notices).
pub const SPOT_NOTICE: Duration = Duration::from_secs(120);

/// How often impaired instances are looked for (`instancestatus_controller.go:50`).
pub const STATUS_INTERVAL: Duration = Duration::from_secs(60);

/// A state that an instance changes to, of those that matter (`messages/statechange/parser.go:27`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// `stopping`.
    Stopping,
    /// `stopped`.
    Stopped,
    /// `shutting-down`.
    ShuttingDown,
    /// `terminated`.
    Terminated,
}

/// A message about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// EC2 takes a spot instance back in two minutes.
    SpotInterruption,
    /// AWS Health: maintenance of the instance.
    ScheduledChange,
    /// The instance stops or ends.
    StateChange(InstanceState),
    /// A capacity reservation ends.
    CapacityReservationInterruption,
    /// A spot instance is likelier to be taken back.
    RebalanceRecommendation,
    /// `DescribeInstanceStatus`: the instance or its host is impaired.
    Impaired,
    /// `DescribeInstanceStatus`: an event is scheduled for it.
    ScheduledEvent,
}

/// What Karpenter does about it (`utils.go:43` `Action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The claim is deleted: the node is tainted and drained.
    CordonAndDrain,
    /// The same with no time left: pods are deleted, volumes are not waited for.
    ForcefulTermination,
    /// An event is written, nothing else.
    NoAction,
}

impl Event {
    /// What Karpenter does about it (`utils.go:207` `actionForMessage`).
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Impaired => Action::ForcefulTermination,
            Self::RebalanceRecommendation => Action::NoAction,
            Self::SpotInterruption
            | Self::ScheduledChange
            | Self::StateChange(_)
            | Self::CapacityReservationInterruption
            | Self::ScheduledEvent => Action::CordonAndDrain,
        }
    }

    /// How long the machine runs on after the message, where that is known.
    #[must_use]
    pub const fn notice(self) -> Option<Duration> {
        match self {
            Self::SpotInterruption => Some(SPOT_NOTICE),
            Self::StateChange(InstanceState::Stopped | InstanceState::Terminated) => {
                Some(Duration::ZERO)
            }
            _ => None,
        }
    }
}

/// Text that is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no interruption: spot, scheduled-change, stopping, stopped, shutting-down, terminated, capacity-reservation, rebalance, impaired or scheduled-event is wanted"
)]
pub struct InvalidEvent(pub String);

const EVENTS: [(&str, Event); 10] = [
    ("spot", Event::SpotInterruption),
    ("scheduled-change", Event::ScheduledChange),
    ("stopping", Event::StateChange(InstanceState::Stopping)),
    ("stopped", Event::StateChange(InstanceState::Stopped)),
    (
        "shutting-down",
        Event::StateChange(InstanceState::ShuttingDown),
    ),
    ("terminated", Event::StateChange(InstanceState::Terminated)),
    (
        "capacity-reservation",
        Event::CapacityReservationInterruption,
    ),
    ("rebalance", Event::RebalanceRecommendation),
    ("impaired", Event::Impaired),
    ("scheduled-event", Event::ScheduledEvent),
];

impl FromStr for Event {
    type Err = InvalidEvent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        EVENTS
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, event)| *event)
            .ok_or_else(|| InvalidEvent(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = EVENTS.iter().find(|(_, event)| event == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// What a message about a node leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interruption {
    /// What Karpenter does.
    pub action: Action,
    /// Whether the claim is deleted by it; one that is going already is left to it.
    pub deletes: bool,
    /// What is not asked for again for [`UNAVAILABLE_FOR`].
    pub unavailable: Option<(Value, Value, CapacityType)>,
}

/// What a message about a node leads to (`utils.go:105` `handleNodeClaim`, `:133` `markUnavailableOfferings`). None where Karpenter
/// doesn't manage the node.
#[must_use]
pub fn interrupt(world: &World, id: NodeId, event: Event) -> Option<Interruption> {
    let node = world.node(id);
    node.claim.as_ref()?;
    let action = event.action();
    let unavailable = match event {
        // Whatever the node was bought as: the spot offering is marked.
        Event::SpotInterruption => node
            .label(Key::INSTANCE_TYPE)
            .zip(node.label(Key::ZONE))
            .map(|(kind, zone)| (kind, zone, CapacityType::Spot)),
        _ => None,
    };
    Some(Interruption {
        action,
        deletes: action != Action::NoAction && !node.deleting,
        unavailable,
    })
}
