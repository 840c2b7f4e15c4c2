//! What the Kubernetes API means, apart from any server: resources and their schemas, defaults and validation, protobuf
//! bodies, the four patch types, field ownership, selectors, tables, RBAC rules, custom resource definitions.
//!
//! Objects are JSON documents; all knowledge of their fields comes from the published definitions (`data/`) or from a
//! CustomResourceDefinition. Pure: no clock, no files, no network; the time is an argument.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access_policies;
pub mod builtin;
pub mod crd;
pub mod defaults;
pub mod definitions;
pub mod managed;
pub mod nesting;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod rbac;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod validation;

pub use resource::{GroupResource, GroupVersionKind, Resource};
pub use status::Status;
