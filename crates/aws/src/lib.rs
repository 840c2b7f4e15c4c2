//! Everything that talks to AWS, or to a sandbox that speaks as AWS does.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arn;
mod budgets;
mod certificate;
pub mod classify;
mod cloud_control;
mod eks_token;
mod endpoint;
mod find;
pub mod iam_policy;
mod identity;
pub mod instance_types;
mod leavings;
pub mod patch;
pub mod preflight;
mod provider;
mod route53_records;
mod session;
mod signed;
mod state_s3;
pub mod tags;
pub mod verify;

pub use eks_token::EksToken;
pub use identity::CallerIdentity;
pub use provider::AwsProvider;
pub use session::{Session, SessionError, SessionOptions, StaticCredentials};
pub use signed::CallError;
pub use state_s3::{S3Location, S3Store};
