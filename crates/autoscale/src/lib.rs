//! What kube-scheduler and Karpenter will decide, offline.
//!
//! The input is a [`world::World`]: Kubernetes objects and instance types, interned into small numbers. [`scheduler`] places
//! pods as kube-scheduler's default profile does; [`karpenter`] decides which nodes to launch. Everything is pure: no clock, no
//! input or output, no randomness but that of a seed. Same world and seed, same answer.
//!
//! The rules carry the place in Karpenter's or Kubernetes' source that they model, as `file:line` at the commits named in
//! [`version`].

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod bits;
pub mod ec2_types;
pub mod instance_csv;
pub mod instances;
pub mod karpenter;
pub mod names;
pub mod requirement;
pub mod resources;
pub mod scheduler;
pub mod shape;
pub mod simulation;
#[cfg(test)]
mod testing;
mod topology;
pub mod version;
pub mod world;
