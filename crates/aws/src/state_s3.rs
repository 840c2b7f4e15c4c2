//! A journal in a versioned S3 bucket, with its lock in DynamoDB.
//!
//! ```text
//! s3://<bucket>/<prefix>/records/<serial of the first>.json     one batch of records, with a checksum
//! s3://<bucket>/<prefix>/snapshots/<serial>.json                one snapshot, with a checksum
//! dynamodb <table>, LockID = <bucket>/<prefix>                  Owner, Expires, Fence, Head, Snapshot
//! ```
//!
//! # Why nothing is lost and no late write counts
//!
//! S3 can refuse to overwrite an object, but knows nothing of leases; DynamoDB can. So **the lock item is the commit
//! point**: `Head` says which record is the last one, `Snapshot` which snapshot is the newest. A batch is written in two
//! steps:
//!
//! 1. the object is put with `If-None-Match: *`;
//! 2. one conditional update moves `Head` from the record before the batch to its last, provided that `Fence` is still
//!    the writer's and the lease was not given back.
//!
//! - A writer that dies between the steps leaves an object behind `Head`. Nobody was told that it is there: readers leave
//!   it out, and the next writer replaces it (its own fence is larger, or it is the same writer trying again).
//! - A writer whose lease was taken over can still do step 1 at any time, but never step 2: acquiring a lease raises
//!   `Fence`, and DynamoDB orders the two updates of one item. What it put is an object behind `Head`, as above. If it
//!   comes after the new holder's object of the same serial, S3 refuses it.
//! - A batch is there whole or not at all, because it is one object and `Head` moves over all of it.
//! - An answer that was lost is asked for again: the same object or the same `Head` is taken for success.
//!
//! Expiry is judged by the clock of whoever wants the lease. A wrong clock can take a lease too early; the fence then keeps
//! the first holder from writing, so the journal stays right.
//!
//! Only one batch can be behind `Head` by these rules. If there are more, or objects and no item, the table was restored or
//! replaced, and the journal says so (`Damaged`) instead of forgetting what the bucket holds.

mod lock;
mod objects;

use std::time::Duration;

use async_trait::async_trait;
use catalog::ids::{LeaseOwner, Serial};
use journal::{Contents, HistoryEntry, Lease, Record, Snapshot, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::session::Session;
use crate::signed::CallError;
use lock::{Item, Lock};
use objects::{Objects, Put};

/// Objects that are read at once.
const CONCURRENCY: usize = 8;
/// Snapshots that a history lists.
const LONGEST_HISTORY: usize = 100;
/// How often a call that failed by no fault of ours is tried, and the first wait between.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Where an [`S3Store`] keeps its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket. It should be versioned and encrypted; every object is written with SSE-S3 in any case.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends.
    pub prefix: String,
    /// The lock table. Its partition key is the string `LockID`, as that of Terraform's S3 backend.
    pub table: String,
}

/// A journal in S3 and DynamoDB. See the module's documentation for what makes it safe.
#[derive(Debug, Clone)]
pub struct S3Store {
    objects: Objects,
    lock: Lock,
}

/// What an object holds, with the checksum of it.
#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    checksum: String,
    body: T,
}

impl S3Store {
    /// The journal at a location; nothing is read or written yet.
    pub fn new(session: Session, location: S3Location) -> Self {
        Self {
            lock: Lock::new(&session, &location),
            objects: Objects::new(session, location),
        }
    }

    fn damaged(&self, key: &str, reason: String) -> StoreError {
        StoreError::Damaged {
            place: self.objects.place_of(key),
            reason,
        }
    }

    fn seal<T: Serialize>(&self, key: &str, body: &T) -> Result<Vec<u8>, StoreError> {
        let encoded = |source: serde_json::Error| StoreError::Io {
            operation: "could not encode",
            place: self.objects.place_of(key),
            source: source.into(),
        };
        let text = serde_json::to_string(body).map_err(encoded)?;
        let checksum = journal::checksum(text.as_bytes());
        serde_json::to_vec(&Sealed { checksum, body }).map_err(encoded)
    }

    fn unseal<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        bytes: &[u8],
    ) -> Result<T, StoreError> {
        let sealed: Sealed<T> = serde_json::from_slice(bytes)
            .map_err(|error| self.damaged(key, format!("it can't be read: {error}")))?;
        let text = serde_json::to_string(&sealed.body)
            .map_err(|error| self.damaged(key, error.to_string()))?;
        if journal::checksum(text.as_bytes()) == sealed.checksum {
            Ok(sealed.body)
        } else {
            Err(self.damaged(key, "its checksum is wrong: it was changed".to_owned()))
        }
    }

    async fn batch(&self, first: Serial) -> Result<Option<Vec<Record>>, StoreError> {
        let key = record_key(first);
        match self.objects.get(&key).await? {
            Some(bytes) => self.unseal(&key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The first serials of the batches behind `after`, in order.
    async fn batches(&self, after: Serial) -> Result<Vec<Serial>, StoreError> {
        serials(&self.objects.list("records/", &record_key(after)).await?)
    }

    /// The records from after `start` up to `head`.
    async fn records(&self, start: Serial, head: Serial) -> Result<Vec<Record>, StoreError> {
        let mut firsts = self.batches(start).await?;
        if head > start && firsts.first() != Some(&start.next()) {
            // The snapshot was taken inside a batch, which is the last one before it; or that one is missing.
            firsts = self.batches(Serial(0)).await?;
            let inside = firsts
                .partition_point(|first| *first <= start)
                .saturating_sub(1);
            firsts.drain(..inside);
        }
        let behind = firsts.iter().filter(|first| **first > head).count();
        if behind > 1 {
            return Err(self.damaged(
                "records/",
                format!(
                    "the lock table says that record {head} is the last one, but {behind} batches come after it: the table \
                     was restored or replaced"
                ),
            ));
        }
        firsts.retain(|first| *first <= head);
        let mut reads = JoinSet::new();
        let mut next = firsts.iter().copied();
        let mut found: Vec<Record> = Vec::new();
        loop {
            while reads.len() < CONCURRENCY
                && let Some(first) = next.next()
            {
                let store = self.clone();
                reads.spawn(async move { (first, store.batch(first).await) });
            }
            let Some(read) = reads.join_next().await else {
                break;
            };
            let (first, batch) = read.map_err(|error| StoreError::Io {
                operation: "could not read",
                place: self.place(),
                source: error.into(),
            })?;
            let batch =
                batch?.ok_or_else(|| self.damaged(&record_key(first), "it is gone".to_owned()))?;
            found.extend(batch);
        }
        found.retain(|record| record.serial > start);
        found.sort_by_key(|record| record.serial);
        let mut last = start;
        for record in &found {
            if record.serial != last.next() {
                return Err(self.damaged(
                    "records/",
                    format!("record {} follows record {last}", record.serial),
                ));
            }
            last = record.serial;
        }
        if last != head {
            return Err(self.damaged(
                "records/",
                format!("they end with record {last}, but record {head} was written"),
            ));
        }
        Ok(found)
    }

    async fn read_snapshot(&self, serial: Serial) -> Result<Option<Snapshot>, StoreError> {
        let key = snapshot_key(serial);
        match self.objects.get(&key).await? {
            Some(bytes) => self.unseal(&key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    async fn put_snapshot(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        // A look before the put keeps a holder that was fenced off from replacing a snapshot of the same serial; the pointer
        // to it moves only by the conditional update that follows.
        self.lock.check(lease).await?;
        let key = snapshot_key(snapshot.serial);
        let bytes = self.seal(&key, snapshot)?;
        self.objects.put(&key, bytes, &Put::Always).await.map(drop)
    }

    /// Puts a batch's object. Finds out what is there if there is one already.
    async fn put_batch(
        &self,
        lease: &Lease,
        first: Serial,
        records: &[Record],
    ) -> Result<(), StoreError> {
        let key = record_key(first);
        let bytes = self.seal(&key, &records)?;
        if self
            .objects
            .put(&key, bytes.clone(), &Put::IfAbsent)
            .await?
        {
            return Ok(());
        }
        let Some((present, etag)) = self.objects.get_with_etag(&key).await? else {
            return Err(self.damaged(&key, "it comes and goes".to_owned()));
        };
        if present == bytes {
            // An attempt of ours whose answer was lost.
            return Ok(());
        }
        let item = self.lock.check(lease).await?;
        let head = item.head.unwrap_or_default();
        if head >= first {
            return Err(StoreError::Fenced {
                reason: format!("record {first} was to be written, but the last one is {head}"),
            });
        }
        // Behind the head: whoever put it never got further, and no more than we may write here.
        if self.objects.put(&key, bytes, &Put::IfSame(etag)).await? {
            Ok(())
        } else {
            Err(StoreError::Fenced {
                reason: format!("somebody else writes record {first} at this moment"),
            })
        }
    }
}

#[async_trait]
impl Store for S3Store {
    fn place(&self) -> String {
        self.objects.place_of("")
    }

    async fn read(&self) -> Result<Contents, StoreError> {
        let item = self.lock.item().await?;
        let Some(Item {
            head: Some(head),
            snapshot,
            ..
        }) = item
        else {
            // Nothing was committed, as far as the table knows.
            if self.batches(Serial(0)).await?.len() > usize::from(item.is_some())
                || !self.objects.list("snapshots/", "").await?.is_empty()
            {
                return Err(self.damaged(
                    "",
                    format!(
                        "it has records, but {} knows nothing of them: the table was replaced",
                        self.lock.place()
                    ),
                ));
            }
            return Ok(Contents::default());
        };
        let snapshot = match snapshot {
            Some(serial) => Some(self.read_snapshot(serial).await?.ok_or_else(|| {
                self.damaged(
                    &snapshot_key(serial),
                    "the newest snapshot is gone".to_owned(),
                )
            })?),
            None => None,
        };
        let start = snapshot
            .as_ref()
            .map_or(Serial(0), |snapshot| snapshot.serial);
        let records = self.records(start, head.max(start)).await?;
        Ok(Contents { snapshot, records })
    }

    async fn append(&self, lease: &Lease, records: &[Record]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(());
        };
        self.put_batch(lease, first.serial, records).await?;
        self.lock
            .move_head(lease, Serial(first.serial.0.saturating_sub(1)), last.serial)
            .await
    }

    async fn keep_snapshot(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.put_snapshot(lease, snapshot).await?;
        self.lock.point_to(lease, snapshot.serial, false).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        let keys = self.objects.list("snapshots/", "").await?;
        let mut entries = Vec::new();
        for serial in serials(&keys)?.into_iter().rev().take(LONGEST_HISTORY) {
            // A damaged snapshot can't be returned to, so it is not offered.
            if let Ok(Some(snapshot)) = self.read_snapshot(serial).await {
                entries.push(HistoryEntry {
                    serial,
                    at: snapshot.at,
                    reason: snapshot.reason,
                });
            }
        }
        Ok(entries)
    }

    async fn snapshot(&self, serial: Serial) -> Result<Snapshot, StoreError> {
        self.read_snapshot(serial)
            .await?
            .ok_or_else(|| StoreError::NoSnapshot {
                serial,
                place: self.place(),
            })
    }

    async fn last_serial(&self) -> Result<Serial, StoreError> {
        let item = self.lock.item().await?;
        let mut last = item.and_then(|item| item.head).unwrap_or_default();
        let snapshots = serials(&self.objects.list("snapshots/", "").await?)?;
        last = last.max(snapshots.last().copied().unwrap_or_default());
        if let Some(first) = self.batches(Serial(0)).await?.last() {
            let end = match self.batch(*first).await {
                Ok(Some(records)) => records.last().map_or(*first, |record| record.serial),
                // What can't be read has at least the serial of its name.
                _ => *first,
            };
            last = last.max(end);
        }
        Ok(last)
    }

    /// Everything that is there has a smaller serial than `snapshot` has, so it is put aside by being behind it: nothing has
    /// to be moved, and nothing is lost.
    async fn restart_from(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        let last = self.last_serial().await?;
        if snapshot.serial <= last {
            return Err(StoreError::Fenced {
                reason: format!(
                    "the journal is to go on from {}, but {last} was written",
                    snapshot.serial
                ),
            });
        }
        self.put_snapshot(lease, snapshot).await?;
        self.lock.point_to(lease, snapshot.serial, true).await
    }

    async fn acquire(&self, owner: &LeaseOwner, duration: Duration) -> Result<Lease, StoreError> {
        self.lock.acquire(owner, journal::expiry(duration)).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, StoreError> {
        self.lock.renew(lease, journal::expiry(duration)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.lock.release(lease).await
    }

    async fn holder(&self) -> Result<Option<Lease>, StoreError> {
        Ok(self.lock.item().await?.and_then(|item| item.lease))
    }

    async fn unlock(&self) -> Result<Option<Lease>, StoreError> {
        self.lock.unlock().await
    }
}

fn record_key(first: Serial) -> String {
    format!("records/{:020}.json", first.0)
}

fn snapshot_key(serial: Serial) -> String {
    format!("snapshots/{:020}.json", serial.0)
}

/// The serials that keys end with, in order. Keys that are no serial's are somebody else's.
fn serials(keys: &[String]) -> Result<Vec<Serial>, StoreError> {
    let mut serials: Vec<Serial> = keys
        .iter()
        .filter_map(|key| key.rsplit('/').next()?.strip_suffix(".json")?.parse().ok())
        .map(Serial)
        .collect();
    serials.sort_unstable();
    Ok(serials)
}

/// Tries a call again a few times when it failed by no fault of ours. Every call here is safe to repeat.
async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match call().await {
            Err(error) if is_transient(&error) => tokio::time::sleep(wait).await,
            result => return result,
        }
        wait *= 2;
    }
    call().await
}

fn is_transient(error: &CallError) -> bool {
    match error {
        CallError::Unreachable { .. } => true,
        CallError::Refused {
            status,
            code,
            message,
        } => {
            // S3 answers a conditional write that meets another one with this, and wants it tried again.
            code == "ConditionalRequestConflict"
                || crate::classify::exception(*status, code, message).is_retryable()
        }
        CallError::Session(_) | CallError::Malformed { .. } => false,
    }
}
