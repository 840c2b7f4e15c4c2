//! The facts: what CloudFormation says of its resource types, and what the platform has to know of AWS besides.
//!
//! Knowledge of a resource type's form lives here and nowhere else. Everything is pure and offline: no clock (the date is
//! an argument), no network, no files, no environment. Facts that are not in the official schemas carry their source
//! and, where they age, their date.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod addons;
pub mod charts;
pub mod compare;
pub mod data_services;
pub mod durations;
pub mod ids;
pub mod in_cluster;
pub mod instance_types;
pub mod names;
pub mod permissions;
pub mod quotas;
pub mod regions;
pub mod versions;

mod bundle;
mod corrections;
mod date;
mod keywords;
mod property_path;
mod schema;
mod tagging;
mod type_name;
mod validate;

pub use bundle::{schema, schemas, type_names};
pub use date::{Date, InvalidDate};
pub use property_path::{InvalidPropertyPath, PropertyPath};
pub use schema::{Handler, Operation, Provisioning, ReplacementOrder, ResourceSchema, SchemaError};
pub use tagging::{RESERVED_PREFIX, TagShape, Tagging};
pub use type_name::{HELM_RELEASE, InvalidTypeName, Realm, TypeName};
pub use validate::Violation;
