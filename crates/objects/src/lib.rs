//! The Kubernetes objects that the product writes and reads.
//!
//! Core types come from [`k8s_openapi`]; Karpenter's `karpenter.sh/v1` and `karpenter.k8s.aws/v1` are here. What a text holds
//! besides is never dropped in silence: [`snapshot::read`] reports unknown kinds and fields as findings. Numbers stay exact:
//! [`Quantity`] is a whole number of billionths. Pure: no clock, no files, no network.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod budget;
pub mod ec2nodeclass;
pub mod karpenter;
pub mod snapshot;

mod duration;
mod quantity;

pub use duration::{GoDuration, InvalidDuration, NillableDuration};
pub use k8s_openapi;
pub use quantity::{InvalidQuantity, Quantity};
