//! What the Kubernetes API means, apart from any server: resources and their schemas, defaults and validation, protobuf
//! bodies, the four patch types, field ownership, selectors, tables, RBAC rules, custom resource definitions.
//!
//! Objects are JSON documents; all knowledge of their fields comes from the published definitions (`data/`) or from a
//! CustomResourceDefinition. Pure: no clock, no files, no network; the time is an argument.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod resource;
pub mod schema;
pub mod status;

pub use resource::{GroupResource, GroupVersionKind, Resource};
pub use status::Status;
