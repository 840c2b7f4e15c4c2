//! The sandbox: an AWS of one account and one region that runs on this machine and speaks AWS's own protocols.
//!
//! Real AWS SDKs, the `aws` command and boto3 talk to it over HTTP; nothing of what they send or get says that it is not
//! AWS, but for the endpoint and the credentials. It is a process of its own that outlives the command which started it;
//! its world is on disk and survives a kill at any instant, and its clock stands still while it does not run.

#![forbid(unsafe_code)]

pub mod aws;
pub mod clock;
mod error;
mod settings;
mod store;

pub use clock::TimeScale;
pub use error::Error;
pub use settings::Settings;
