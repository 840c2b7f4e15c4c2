//! A Kubernetes API server over one crash-safe store, for one cluster: what kubectl, helm, client libraries and controllers talk to.
//!
//! It knows nothing of AWS and runs no controller: who a token belongs to, what a pod prints and what it uses come through
//! ports ([`Authenticator`], [`Logs`], [`Metrics`]), and controllers are clients like any other, inside the process.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod auth;
mod http;
pub mod ports;
pub mod registry;
pub mod server;
pub mod store;

pub use ports::{Authenticator, Clock, Grant, Logs, Metrics, Rejected, Usage, UserInfo};
pub use registry::{Local, Registry};
pub use server::{ApiServer, OpenError, Options};
pub use store::{Revision, Store};
