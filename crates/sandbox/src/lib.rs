//! The sandbox: an AWS of one account and one region that runs on this machine and speaks AWS's own protocols.
//!
//! Real AWS SDKs, the `aws` command and boto3 talk to it over HTTP; nothing of what they send or get says that it is not
//! AWS, but for the endpoint and the credentials. It is a process of its own that outlives the command which started it;
//! its world is on disk and survives a kill at any instant, and its clock stands still while it does not run.

#![forbid(unsafe_code)]
// A handler's failure carries the resource that it leaves behind. It is made once a failed operation and moved twice; a box
// at each of the hundred places that make one would buy nothing.
#![allow(clippy::result_large_err)]

pub mod aws;
mod charts;
pub mod clock;
mod control;
mod error;
mod kubernetes;
pub mod process;
mod server;
mod settings;
mod store;

pub use aws::account::{OpenOperation, Overview};
pub use aws::credentials::Credentials;
pub use aws::faults::{FaultRule, Faults, Stop};
pub use aws::services::events::{InstanceEvent, Interrupted};
pub use clock::TimeScale;
pub use control::Status;
pub use error::Error;
pub use process::{Endpoint, StartOptions};
pub use server::{DEFAULT_PORT, DEFAULT_REGION, ServeOptions, Server, serve};
pub use settings::Settings;
