//! The built binary against the sandbox, as a user would drive them.
//!
//! `SEAWORTHY_TEST_FULL=1` runs the full numbers of kills; without it there are enough of them to notice.
#![allow(clippy::unwrap_used)]

mod catalog_refresh;
mod cluster;
mod contents;
mod exports;
mod faults;
mod inside;
mod instances;
mod interruptions;
mod killed;
mod lab;
mod main_job;
mod outside;
mod repair;
mod tenant;
mod tokens;
mod tools;
mod wire;
mod wrong_input;

/// How many times to do something: a few, or the full number.
fn times(few: usize, full: usize) -> usize {
    if std::env::var_os("SEAWORTHY_TEST_FULL").is_some() {
        full
    } else {
        few
    }
}
