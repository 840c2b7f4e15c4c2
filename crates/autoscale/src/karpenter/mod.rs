//! Karpenter's decisions.

pub mod disruption;
pub mod launch;
pub mod provisioning;
