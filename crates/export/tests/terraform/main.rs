//! The Terraform export, judged: by its own evaluation, by the providers' published schemas, by the formatter, by checkov
//! and parliament.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests, which write trees for the judges"
)]

extern crate seaworthy_export as export;

mod evaluate;
mod expected;
#[path = "../../../blueprint/tests/blueprint/fixtures.rs"]
#[allow(dead_code, reason = "not every test needs every platform")]
mod fixtures;
mod judges;
mod platforms;
mod same;
