//! Resources and the references between them; the difference between what is wanted and what is; the plan.
//!
//! Everything here is pure: the same graph, state and reads give the same plan, to the byte.
#![forbid(unsafe_code)]

mod diff;
mod in_cluster;
pub mod order;
mod plan;
mod resolve;
mod resource;
mod rules;
mod state;
mod value;

pub use diff::{Drifted, Inputs, Live, StateLookup, drift, plan, plan_destroy, resolve_properties};
pub use in_cluster::Release;
pub use plan::{Action, Change, FORMAT, Plan, PropertyChange, Replacement, StalePlan, Summary};
pub use resolve::{Lookup, as_secret, first_unknown, is_secret, join_secrets, resolve, secrets};
pub use resource::{Graph, GraphBuilder, GraphError, Lifecycle, Resource, Scope, owner_tags};
pub use rules::Rules;
pub use state::{ResourceState, State};
pub use value::{Attribute, Parameter, Reference, SecretReference, Value};
