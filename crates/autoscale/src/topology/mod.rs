//! Counts of pods by domain, as Karpenter keeps them while it places pods.
//!
//! Models `topology.go`, `topologygroup.go` and `topologynodefilter.go` of `pkg/controllers/provisioning/scheduling` at 2266468. A
//! group counts the pods that a selector selects by the values of one node label. Counts of the cluster are computed once; a
//! simulation changes them and takes its changes back.

mod group;
mod tracker;
mod universe;

pub use group::GroupKind;
pub(crate) use group::{Choice, Definition, GroupId, NodeFilter};
pub(crate) use tracker::{Spot, Tracker};
pub(crate) use universe::launchable;
