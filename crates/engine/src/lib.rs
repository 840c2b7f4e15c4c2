//! Applies a plan: executor, state, locks, events; the port to providers.
//!
//! Guarantees: an operation's intent is in the journal before its call, and its outcome after it, so that a run that
//! dies at any point can be carried on without doing anything twice or losing anything; a step begins as soon as what it
//! needs is done; an error stops only what depends on it; no secret gets into an event.
#![forbid(unsafe_code)]

mod event;
mod executor;
mod ledger;
mod limit;
mod observer;
mod operation;
mod pace;
pub mod provider;
mod recorder;
mod refresh;
mod retry;
mod routed;
mod steps;
mod sweep;

pub use event::{Event, Intent, Made, OperationKind, Outcome, RunKind};
pub use executor::{Engine, EngineError, Failure, Report, Settings, Skipped, Stop};
pub use ledger::{Ledger, LedgerError, Pending, Run};
pub use observer::{Notice, Observer, What};
pub use operation::Fatal;
pub use pace::Pace;
pub use provider::Provider;
pub use recorder::{LEASE, RecordError, Recorder};
pub use refresh::read_live;
pub use retry::patiently;
pub use routed::Routed;
pub use steps::{Part, Step, StepAction, StepId, Steps};
pub use sweep::{Leftover, Sweep, sweep};
