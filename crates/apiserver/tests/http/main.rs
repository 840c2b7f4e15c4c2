//! The server through its front door: requests as clients send them, answers as they receive them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod cluster;

mod answers;
mod any_bytes;
mod lists;
mod many_watchers;
mod watches;
