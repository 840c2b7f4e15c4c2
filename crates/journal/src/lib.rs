//! One append-only event log with lease and fencing, and its stores.
#![forbid(unsafe_code)]

mod store;

pub use store::{Contents, HistoryEntry, Lease, Record, Snapshot, Store, StoreError};
