//! Applies a plan: executor, state, locks, events; the port to providers.
#![forbid(unsafe_code)]

pub mod pace;
pub mod provider;

pub use pace::Pace;
