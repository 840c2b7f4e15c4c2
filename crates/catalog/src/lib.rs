//! The facts: what CloudFormation says of its resource types, and what the platform has to know of AWS besides.
//!
//! Knowledge of a resource type's form lives here and nowhere else. Everything is pure and offline: no clock (the date is
//! an argument), no network, no files, no environment. Facts that are not in the official schemas carry their source
//! and, where they age, their date.

#![forbid(unsafe_code)]

pub mod addons;
mod bundle;
pub mod compare;
mod date;
pub mod ids;

mod corrections;
mod keywords;
pub mod permissions;
mod property_path;
pub mod quotas;
pub mod regions;
mod schema;
mod tagging;
mod type_name;
mod validate;
pub mod versions;

pub use bundle::{schema, schemas, type_names};
pub use date::{Date, InvalidDate};
pub use property_path::{InvalidPropertyPath, PropertyPath};
pub use schema::{Handler, Operation, Provisioning, ReplacementOrder, ResourceSchema, SchemaError};
pub use tagging::{RESERVED_PREFIX, TagShape, Tagging};
pub use type_name::{InvalidTypeName, TypeName};
pub use validate::Violation;
