//! The CloudFormation export: read back, and judged by what others wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests"
)]

extern crate seaworthy_export as export;

#[path = "../../../blueprint/tests/blueprint/fixtures.rs"]
mod fixtures;

mod exported;
mod forms;
mod judges;
mod moto;
mod reader;
#[path = "../../../blueprint/tests/blueprint/render.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod render;
mod round_trip;
mod yaml;
