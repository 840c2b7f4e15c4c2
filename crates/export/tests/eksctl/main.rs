//! The export to eksctl, over all platforms of the blueprint's own tests and some more.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "outside judges read files; the crate itself stays pure"
)]

extern crate seaworthy_export as export;

#[path = "../../../blueprint/tests/blueprint/fixtures.rs"]
#[allow(dead_code, reason = "not every test needs every platform")]
mod fixtures;

mod accounting;
mod exports;
mod faithful;
mod fields;
mod files;
mod policies;
mod refusals;
mod rules;
