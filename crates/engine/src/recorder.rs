//! The one writer of a journal: it numbers events, writes them in batches, and folds them.
//!
//! Whoever records an event gets an answer when it is durable. Events that come while a batch is being written go into
//! the next one, so that many operations share the cost of a write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use catalog::ids::{Fence, LeaseOwner, Serial};
use graph::State;
use jiff::Timestamp;
use journal::{Lease, Record, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::event::Event;
use crate::ledger::{Ledger, LedgerError};

/// How long a lease lasts without being renewed: how long others wait after a process was killed.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(15);

/// Why an event is not in the journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The event can't come now: a mistake of ours.
    #[error(transparent)]
    Ledger(Arc<LedgerError>),
    /// The journal was closed: the run is over.
    #[error("the journal is closed")]
    Closed,
}

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

type Answer = oneshot::Sender<Result<Serial, RecordError>>;

/// The right to write a journal, and its fold.
pub struct Recorder {
    store: Arc<dyn Store>,
    ledger: Arc<Mutex<Ledger>>,
    events: mpsc::UnboundedSender<(Event, Answer)>,
    lease: watch::Receiver<Lease>,
    closed: AtomicBool,
    /// Why nothing is written any more, once a write has failed.
    failure: Arc<OnceLock<RecordError>>,
    renewal: JoinHandle<()>,
}

impl Recorder {
    /// Takes the lease and folds the journal.
    ///
    /// # Errors
    ///
    /// When somebody else has the lease, or when the journal is damaged or can't be reached.
    pub async fn open(store: Arc<dyn Store>, owner: &LeaseOwner) -> Result<Self, RecordError> {
        let lease = store.acquire(owner, LEASE).await?;
        let ledger = match store.read().await {
            Ok(contents) => {
                Ledger::fold(&contents).map_err(|error| RecordError::Ledger(Arc::new(error)))
            }
            Err(error) => Err(error.into()),
        };
        let ledger = match ledger {
            Ok(ledger) => Arc::new(Mutex::new(ledger)),
            Err(error) => {
                // Best effort: the lease would run out by itself.
                let _ = store.release(&lease).await;
                return Err(error);
            }
        };
        let (events, queue) = mpsc::unbounded_channel();
        let (renewed, lease) = watch::channel(lease);
        let failure = Arc::new(OnceLock::new());
        tokio::spawn(write(
            store.clone(),
            ledger.clone(),
            lease.clone(),
            queue,
            failure.clone(),
        ));
        let renewal = tokio::spawn(renew(store.clone(), renewed));
        Ok(Self {
            store,
            ledger,
            events,
            lease,
            closed: AtomicBool::new(false),
            failure,
            renewal,
        })
    }

    /// Writes an event; it is durable when this returns.
    ///
    /// # Errors
    ///
    /// When the lease was lost or the store fails: then nothing more may be done.
    pub async fn record(&self, event: Event) -> Result<Serial, RecordError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(RecordError::Closed);
        }
        let (answer, written) = oneshot::channel();
        let gone = || self.failure.get().cloned().unwrap_or(RecordError::Closed);
        self.events.send((event, answer)).map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }

    /// What is known to exist now.
    pub fn state(&self) -> State {
        self.with(|ledger| ledger.state.clone())
    }

    /// Looks at the fold. The lock is held for as long as `look` runs.
    pub fn with<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&locked(&self.ledger))
    }

    /// Keeps a snapshot under a reason, if one is given, and gives the lease back. After that nothing is recorded.
    ///
    /// # Errors
    ///
    /// When the store fails; the journal itself is whole.
    pub async fn close(&self, reason: Option<&str>) -> Result<(), RecordError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.renewal.abort();
        let lease = self.lease.borrow().clone();
        // What could not be written must not be kept as if it had been.
        let kept = match reason.filter(|_| self.failure.get().is_none()) {
            Some(reason) => self.keep(&lease, reason).await,
            None => Ok(()),
        };
        let released = self.store.release(&lease).await;
        kept?;
        Ok(released?)
    }

    async fn keep(&self, lease: &Lease, reason: &str) -> Result<(), RecordError> {
        let snapshot = self.with(|ledger| {
            let serial = ledger.state.serial;
            let snapshot = ledger.snapshot(Timestamp::now(), reason);
            snapshot.map_err(|source| LedgerError::Unknown { serial, source })
        });
        let snapshot = snapshot.map_err(|error| RecordError::Ledger(Arc::new(error)))?;
        Ok(self.store.keep_snapshot(lease, &snapshot).await?)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    // The fold is never left half done by a panic: `apply` changes it after all checks.
    ledger
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn write(
    store: Arc<dyn Store>,
    ledger: Arc<Mutex<Ledger>>,
    lease: watch::Receiver<Lease>,
    mut queue: mpsc::UnboundedReceiver<(Event, Answer)>,
    failure: Arc<OnceLock<RecordError>>,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, 256).await > 0 {
        let lease = lease.borrow().clone();
        let mut records = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for (event, answer) in batch.drain(..) {
            // Folded first: what can't come now must not get into the journal.
            match fold(&ledger, lease.fence, event) {
                Ok(record) => {
                    answers.push((record.serial, answer));
                    records.push(record);
                }
                Err(error) => {
                    let _ = answer.send(Err(RecordError::Ledger(Arc::new(error))));
                }
            }
        }
        let written = store
            .append(&lease, &records)
            .await
            .map_err(RecordError::from);
        if let Err(error) = &written {
            // The first failure is the one that counts.
            let _ = failure.set(error.clone());
        }
        for (serial, answer) in answers {
            // Nobody may be waiting any more: the run was stopped.
            let _ = answer.send(written.clone().map(|()| serial));
        }
        if written.is_err() {
            return;
        }
    }
}

fn fold(ledger: &Mutex<Ledger>, fence: Fence, event: Event) -> Result<Record, LedgerError> {
    let mut ledger = locked(ledger);
    let serial = ledger.state.serial.next();
    let body =
        serde_json::to_value(&event).map_err(|source| LedgerError::Unknown { serial, source })?;
    let at = Timestamp::now();
    ledger.apply(serial, at, event)?;
    Ok(Record {
        serial,
        fence,
        at,
        body,
    })
}

async fn renew(store: Arc<dyn Store>, renewed: watch::Sender<Lease>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let lease = renewed.borrow().clone();
        match store.renew(&lease, LEASE).await {
            Ok(lease) => {
                renewed.send_replace(lease);
            }
            Err(StoreError::Fenced { reason }) => {
                tracing::warn!(%reason, "the lease was lost");
                return;
            }
            // The next write finds out whether it still holds.
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
}
