//! The port to wherever a journal is kept.

use std::time::Duration;

use async_trait::async_trait;
use catalog::ids::{Fence, LeaseOwner, Serial};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One record. Its body is the caller's; the journal only keeps it, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number: one more than the record before it.
    pub serial: Serial,
    /// The lease that it was written under.
    pub fence: Fence,
    /// When it was written. For people: nothing is decided by it.
    pub at: Timestamp,
    /// What happened.
    pub body: serde_json::Value,
}

/// The fold of all records up to a serial, kept so that a reader need not start at the beginning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last record that it holds.
    pub serial: Serial,
    /// When it was made.
    pub at: Timestamp,
    /// Why it was made ("deploy", "destroy", "rollback to 12").
    pub reason: String,
    /// The folded value.
    pub body: serde_json::Value,
}

/// What a reader needs: the newest snapshot and the records after it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// The newest snapshot, if there is one.
    pub snapshot: Option<Snapshot>,
    /// The records after it, in order, without a gap.
    pub records: Vec<Record>,
}

impl Contents {
    /// The serial of the last record.
    pub fn head(&self) -> Serial {
        let snapshot = self
            .snapshot
            .as_ref()
            .map_or(Serial(0), |snapshot| snapshot.serial);
        self.records.last().map_or(snapshot, |record| record.serial)
    }
}

/// A snapshot without its body, for a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The last record that it holds.
    pub serial: Serial,
    /// When it was made.
    pub at: Timestamp,
    /// Why it was made.
    pub reason: String,
}

/// The right to write, until it expires or is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who has it.
    pub owner: LeaseOwner,
    /// Larger than that of every lease before it.
    pub fence: Fence,
    /// Until when others respect it.
    pub expires: Timestamp,
}

/// When a lease ends that lasts `duration` from now.
pub fn expiry(duration: Duration) -> Timestamp {
    Timestamp::now()
        .checked_add(duration)
        .unwrap_or(Timestamp::MAX)
}

/// Letters of a [`checksum`].
pub const CHECKSUM_LENGTH: usize = 16;

/// What tells that a record or a snapshot is as it was written: 64 bits of SHA-256, in hex.
pub fn checksum(text: &[u8]) -> String {
    let mut hex = hex::encode(Sha256::digest(text));
    hex.truncate(CHECKSUM_LENGTH);
    hex
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else holds the lease.
    #[error("locked by {owner} until {expires}")]
    Held {
        /// Who.
        owner: LeaseOwner,
        /// Until when.
        expires: Timestamp,
    },
    /// The lease was taken over: what comes too late is refused.
    #[error("the lock was lost: {reason}; nothing was written")]
    Fenced {
        /// What shows it.
        reason: String,
    },
    /// The journal is not what was written.
    #[error("the journal in {place} is damaged: {reason}")]
    Damaged {
        /// The file or object.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no snapshot of this serial.
    #[error("there is no state with the serial {serial} in {place}")]
    NoSnapshot {
        /// The serial that was asked for.
        serial: Serial,
        /// The store.
        place: String,
    },
    /// The store can't be reached, read or written.
    #[error("{operation} {place}")]
    Io {
        /// What was done ("could not write").
        operation: &'static str,
        /// To which file or object.
        place: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Where a journal is kept.
///
/// Guarantees: what [`Store::append`] has returned from survives the end of the process and of the machine; a batch is
/// there whole or not at all; of two holders of a lease, the earlier one's writes are refused from the moment on at
/// which the later one has got it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// The newest snapshot and the records after it. A half-written last record, left by a crash before it was
    /// acknowledged, is not part of it; anything else that is missing or changed is [`StoreError::Damaged`].
    async fn read(&self) -> Result<Contents, StoreError>;

    /// Appends records, numbered on from the head.
    async fn append(&self, lease: &Lease, records: &[Record]) -> Result<(), StoreError>;

    /// Keeps a snapshot. The records that it holds may be dropped.
    async fn keep_snapshot(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// The snapshots that are kept, newest first.
    async fn history(&self) -> Result<Vec<HistoryEntry>, StoreError>;

    /// One of them.
    async fn snapshot(&self, serial: Serial) -> Result<Snapshot, StoreError>;

    /// The largest serial that was ever written, as far as it can be told: works on a damaged journal too.
    async fn last_serial(&self) -> Result<Serial, StoreError>;

    /// Puts everything after the newest snapshot aside (damaged or not; nothing is deleted) and goes on from
    /// `snapshot`, whose serial is larger than any before.
    async fn restart_from(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// Takes the lease if nobody holds it or if it has expired.
    async fn acquire(&self, owner: &LeaseOwner, duration: Duration) -> Result<Lease, StoreError>;

    /// Makes it last `duration` from now.
    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, StoreError>;

    /// Gives it back.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Who holds it now, expired or not.
    async fn holder(&self) -> Result<Option<Lease>, StoreError>;

    /// Takes it away from whoever holds it (`state unlock`).
    async fn unlock(&self) -> Result<Option<Lease>, StoreError>;
}
