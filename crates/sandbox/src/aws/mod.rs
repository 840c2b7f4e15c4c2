//! The embedded AWS.

pub mod error;
pub mod ids;
pub mod kinds;
pub mod world;
