//! Where the objects are: one ordered, crash-safe store.
//!
//! - Every write gets a [`Revision`] of its own, larger than all before it, also after a restart.
//! - [`Store::transact`] is serialised: what it reads is what its writes are based on, and all of them happen or none.
//! - What is written is seen at once by everybody; [`Store::synced`] tells when the disk has it. A crash loses only
//!   writes that nobody waited for, and always the last ones. Their revisions are never used again.
//! - [`Store::changes`] gives what happened after a revision, from a bounded ring; older than that it is [`Expired`].
//!
//! Objects are kept as the bytes that clients receive, with their `resourceVersion` inside: an object costs what its JSON
//! costs, and reading is copying.

mod error;
mod fields;
mod log;
mod object;
mod recovery;
mod state;
mod transaction;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use apimachinery::{GroupResource, Status};
use tokio::sync::watch;

pub use error::StoreError;
pub use fields::{CLUSTER_IPS, Field, NODE_PORTS};
pub use object::{Key, Owner, Revision, Stored};
pub use state::{Change, ChangeKind, Changes, Expired, Listing};
pub use transaction::Transaction;

use state::State;
use writer::Writer;

/// How much the store keeps and how it writes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many changes can be read again.
    pub changes: usize,
    /// And how many bytes their objects may have together.
    pub change_bytes: usize,
    /// From which size on, in bytes, the log is replaced by a snapshot; at least, since it may also grow to the size of the
    /// last snapshot.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            changes: 50_000,
            change_bytes: 64 << 20,
            log_bytes: 32 << 20,
        }
    }
}

/// The store of one cluster, in a folder of its own. Cheap to share behind an [`Arc`].
pub struct Store {
    /// Held for the length of a transaction; what the log says is in the order of this lock.
    writing: Arc<Mutex<()>>,
    state: Arc<RwLock<State>>,
    seen: watch::Sender<Revision>,
    writer: Writer,
}

impl Store {
    /// Opens the store in a folder, which is made if it isn't there.
    ///
    /// # Errors
    /// When the folder can't be used, when another process has it open, or when what is in it is damaged. A record that was
    /// being written when the process died is not damage.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::with_limits(folder, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_limits(folder: &Path, limits: Limits) -> Result<Self, StoreError> {
        let writing = Arc::new(Mutex::new(()));
        let (state, writer) = Writer::open(folder, limits, writing.clone())?;
        let revision = read(&state).revision();
        Ok(Self {
            writing,
            state,
            seen: watch::Sender::new(revision),
            writer,
        })
    }

    /// The revision of the last write.
    #[must_use]
    pub fn revision(&self) -> Revision {
        read(&self.state).revision()
    }

    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        read(&self.state).get(key).cloned()
    }

    /// When an object of a resource was last written or deleted: what is derived from them can be kept until this changes.
    /// It may be lower after a restart.
    #[must_use]
    pub fn changed(&self, resource: &GroupResource) -> Revision {
        read(&self.state).changed(resource)
    }

    /// The objects of a resource, of one namespace or of all, by namespace and name. With the revision as of which they are.
    #[must_use]
    pub fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Listing {
        read(&self.state).list(resource, namespace)
    }

    /// Every object there is.
    #[must_use]
    pub fn everything(&self) -> Listing {
        read(&self.state).everything()
    }

    /// What happened after a revision, the oldest first, as far as `wanted` wants it. At most some thousand changes are
    /// looked at; [`Changes::revision`] tells how far that went.
    ///
    /// # Errors
    /// When it is so long ago that it isn't kept any more, or was never given out: the reader has to list again.
    pub fn changes(
        &self,
        after: Revision,
        wanted: impl FnMut(&Change) -> bool,
    ) -> Result<Changes, Expired> {
        read(&self.state).changes(after, wanted)
    }

    /// Tells of new revisions as they come.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.seen.subscribe()
    }

    /// Reads and writes several objects as one. Gives what `act` gives, and the revision of its last write (or the last one
    /// there was, if it wrote nothing). The writes happen when `act` succeeds and hasn't called [`Transaction::discard`].
    ///
    /// # Errors
    /// What `act` says; then nothing is written. Or that the store can't write any more.
    pub fn transact<T>(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, Status>,
    ) -> Result<(T, Revision), Status> {
        self.writer.ready()?;
        let _serial: MutexGuard<'_, ()> =
            self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = Transaction::new(&self.state);
        let answer = act(&mut transaction)?;
        let writes = transaction.into_writes();
        if writes.is_empty() {
            return Ok((answer, self.revision()));
        }
        // The log's order is the order of the revisions, since both are under the lock.
        self.writer.append(&writes);
        let revision = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for change in writes {
                state.apply(change);
            }
            state.revision()
        };
        self.seen.send_replace(revision);
        Ok((answer, revision))
    }

    /// Waits until a revision and all before it are on the disk.
    ///
    /// # Errors
    /// When the disk refuses: what was written since the last success may be lost.
    pub async fn synced(&self, revision: Revision) -> Result<(), Status> {
        self.writer.synced(revision).await
    }

    /// As [`Self::synced`], for who has a thread to wait with.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn wait_until_synced(&self, revision: Revision) -> Result<(), Status> {
        self.writer.wait_until_synced(revision)
    }

    /// Replaces the log by a snapshot, whatever its size; waits until that is done.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.writer.compact()
    }
}

/// A poisoned lock is no reason to stop: the state is changed only after everything that can fail.
fn read(state: &RwLock<State>) -> RwLockReadGuard<'_, State> {
    state.read().unwrap_or_else(PoisonError::into_inner)
}
