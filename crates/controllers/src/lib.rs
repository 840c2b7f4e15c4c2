//! The controllers of a cluster: what kube-controller-manager, kube-scheduler, the kubelets, the EBS CSI driver and Karpenter
//! would do, as functions of what there is.
//!
//! A [`Controller`] is told which objects changed, names those of its own that this concerns, and for each says what to do:
//! `reconcile(key, view, now) → actions`. It performs nothing. One writer (the sandbox) performs the actions in order against
//! the API server and the embedded AWS, where a stale object refuses them; what came of it arrives as the next change. So a
//! controller may be called again at any time with the same key, and must then say nothing that it has said already.
//!
//! Pure: no clock, no network, no randomness but names drawn from a seed.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod action;
pub mod cloud;
pub mod cluster;
mod document;
mod draw;
pub mod endpoint_slice;
pub mod garbage_collector;
pub mod horizontal_pod_autoscaler;
pub mod karpenter;
pub mod kubelet;
pub mod metrics;
pub mod namespace;
pub mod node_lifecycle;
mod pace;
pub mod scheduler;
mod selector;
pub mod service;
pub mod service_account;
mod shelf;
#[cfg(test)]
#[allow(dead_code, reason = "each part's tests use what they need of it")]
mod testing;
mod view;
pub mod volumes;
pub mod workloads;

pub use action::{Action, EventKind, Outcome, Reference};
pub use pace::Pace;
pub use shelf::{Key, Shelf};
pub use view::{Change, Kind, Metadata, Object, OwnerEdge, Refusal, Unreadable, View};

use jiff::Timestamp;

/// What a controller looks at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub view: &'a View,
    /// The cluster's time. It runs as fast as the sandbox's time scale says; timestamps in objects are in it.
    pub now: Timestamp,
    /// What modelled durations are.
    pub pace: Pace,
}

/// One controller. Its state, if it has any, is a cache: thrown away, it gives the same answers.
pub trait Controller: Send {
    /// Its name in Kubernetes: the field manager of what it writes, and the source of its events.
    fn name(&self) -> &'static str;

    /// The keys that a change concerns. A controller that looks at everything at once has one key of its own.
    fn concerns(&self, change: &Change, view: &View) -> Vec<Key>;

    /// What to do about a key; nothing when all is as it should be.
    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome;
}
