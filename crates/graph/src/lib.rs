//! Resources and the references between them; the difference between what is wanted and what is; the plan.
//!
//! Everything here is pure: the same graph, state and reads give the same plan, to the byte.
#![forbid(unsafe_code)]

pub mod order;
mod resource;
mod value;

pub use resource::{Graph, GraphBuilder, GraphError, Lifecycle, Resource, Scope};
pub use value::{Attribute, Parameter, Reference, SecretReference, Value};
