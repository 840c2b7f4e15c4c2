//! The embedded AWS: the protocols, Cloud Control and the services beside it, and the world that they are about.

pub mod account;
mod cloudcontrol;
pub mod credentials;
pub mod error;
pub mod faults;
pub mod ids;
pub mod kinds;
pub mod operation;
pub(crate) mod router;
pub(crate) mod services;
pub(crate) mod signature;
pub(crate) mod state;
mod throttle;
pub(crate) mod wire;
pub mod world;
