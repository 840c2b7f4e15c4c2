//! The registry: what a client of the API server sees of objects' lives.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod admission;
mod cluster;
mod custom;
mod lives;
mod local;
mod pods;
mod sequences;
mod speed;
mod writes;
