//! The crate as its users call it: against the embedded AWS, and against moto's S3, DynamoDB and EC2.
#![allow(clippy::unwrap_used)]

mod account;
mod ec2_pages;
mod embedded;
mod instance_types;
mod moto;
mod provider;
mod state_s3;
