//! What the blueprint promises, over every kind of platform that the spec can describe.

#![allow(clippy::unwrap_used, reason = "tests")]

extern crate seaworthy_blueprint as blueprint;

mod fixtures;
mod inside;
mod kubernetes;
mod lifecycle;
mod order;
mod payloads;
mod policies;
mod render;
mod tags;
