//! The crate as its users call it: against the embedded AWS, and against moto's S3 and DynamoDB.
#![allow(clippy::unwrap_used)]

mod account;
mod embedded;
mod moto;
mod provider;
mod state_s3;
