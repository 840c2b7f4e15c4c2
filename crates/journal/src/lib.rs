//! One append-only event log with lease and fencing, and its stores.
#![forbid(unsafe_code)]

mod folder;
mod store;

pub use folder::FolderStore;
pub use store::{
    Contents, HistoryEntry, Lease, Record, Snapshot, Store, StoreError, checksum, expiry,
};
