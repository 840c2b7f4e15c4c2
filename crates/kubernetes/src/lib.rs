//! The engine's providers for what lives in a cluster: Kubernetes objects by server-side apply, and Helm releases.
//!
//! Guarantees: nothing is written over that is not ours, unless its owner or the spec says so; an operation is done when
//! what it made is ready, by the rules that Helm and kpt wait by; an operation that a dead run has left is carried on by the
//! next one; no secret gets into a model, an error, a command line or a file that others can read.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod classify;
mod connection;
mod contents;
mod drain;
mod helm;
mod manifest;
mod name;
mod objects;
mod observe;
mod owner;
mod provider;
mod quantity;
mod readiness;
mod why;

pub use access::{ClusterAccess, Clusters, OneCluster, Token};
pub use contents::{Content, Contents, Part, drained};
pub use helm::{HelmSettings, Registry};
pub use provider::{KubernetesProvider, Options};
