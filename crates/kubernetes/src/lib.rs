//! The engine's providers for what lives in a cluster: Kubernetes objects by server-side apply, and Helm releases.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
