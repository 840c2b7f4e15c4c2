//! Puts what happens on the disk: one thread that writes what has piled up while the last sync ran.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use apimachinery::Status;
use apimachinery::status::Reason;
use tokio::sync::watch;

use super::error::StoreError;
use super::log::{FileKind, Records};
use super::object::Revision;
use super::state::{Change, Listing, State};
use super::{Limits, recovery};

/// How many changes, and how many bytes of them, may wait for the disk before writers have to wait, too.
const MOST_WAITING: (usize, usize) = (1 << 16, 64 << 20);
/// After a restart revisions go on this much further: more than can have been seen without having reached the disk, so no
/// revision ever means two things.
const GAP: u64 = 1 << 20;
/// About how many bytes of objects a snapshot's frames hold.
const SNAPSHOT_FRAME: usize = 1 << 20;

/// What the disk has.
#[derive(Debug, Clone)]
struct Progress {
    revision: Revision,
    stopped: Option<Arc<str>>,
}

#[derive(Default)]
struct Queue {
    records: Records,
    changes: usize,
    last: Revision,
    closing: bool,
    /// How many have asked for a snapshot, and how many of those have been served.
    compactions: (u64, u64),
}

struct Shared {
    /// The lock of [`super::Store::transact`].
    writing: Arc<Mutex<()>>,
    state: Arc<RwLock<State>>,
    queue: Mutex<Queue>,
    /// There is something to do.
    work: Condvar,
    /// Something was done.
    done: Condvar,
    progress: watch::Sender<Progress>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Locked as long as the store is open.
    _lock: File,
}

impl Writer {
    pub(super) fn open(
        folder: &Path,
        limits: Limits,
        writing: Arc<Mutex<()>>,
    ) -> Result<(Arc<RwLock<State>>, Self), StoreError> {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        let lock = lock(folder)?;
        let mut state = State::new(limits.changes, limits.change_bytes);
        let recovered = recovery::recover(folder, &mut state)?;
        let mut queue = Queue::default();
        if state.revision() > Revision(0) {
            state.skip_to(Revision(state.revision().0 + GAP));
            queue.records.skip(state.revision());
            queue.last = state.revision();
        }
        let progress = watch::Sender::new(Progress {
            revision: state.revision(),
            stopped: None,
        });
        let state = Arc::new(RwLock::new(state));
        let shared = Arc::new(Shared {
            writing,
            state: state.clone(),
            queue: Mutex::new(queue),
            work: Condvar::new(),
            done: Condvar::new(),
            progress,
        });
        let disk = Disk {
            folder: folder.to_owned(),
            file: recovered.log,
            path: recovered.path,
            length: recovered.length,
            snapshot: recovered.snapshot_bytes,
            limits,
            shared: shared.clone(),
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || disk.run())
            .map_err(StoreError::io("start a thread for", folder))?;
        let writer = Self {
            shared,
            thread: Some(thread),
            _lock: lock,
        };
        Ok((state, writer))
    }

    /// Waits until there is room for more. Not under the lock of a transaction: the thread needs that one for a snapshot.
    ///
    /// # Errors
    /// When nothing can be written any more.
    pub(super) fn ready(&self) -> Result<(), Status> {
        self.shared.wait(|queue, progress| match &progress.stopped {
            Some(why) => Some(Err(stopped(why))),
            None => (queue.changes < MOST_WAITING.0 && queue.records.len() < MOST_WAITING.1)
                .then_some(Ok(())),
        })
    }

    /// Takes in a transaction's writes: they reach the disk together.
    pub(super) fn append(&self, writes: &[Change]) {
        let mut queue = self.shared.queue();
        for change in writes {
            queue.records.change(change);
            queue.last = change.revision;
        }
        queue.changes += writes.len();
        self.shared.work.notify_one();
    }

    pub(super) async fn synced(&self, revision: Revision) -> Result<(), Status> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress
            .wait_for(|progress| progress.revision >= revision || progress.stopped.is_some())
            .await
            .map_err(|_| stopped("it is being closed"))?;
        match &reached.stopped {
            Some(why) if reached.revision < revision => Err(stopped(why)),
            _ => Ok(()),
        }
    }

    pub(super) fn wait_until_synced(&self, revision: Revision) -> Result<(), Status> {
        self.shared.wait(|_, progress| match &progress.stopped {
            _ if progress.revision >= revision => Some(Ok(())),
            Some(why) => Some(Err(stopped(why))),
            None => None,
        })
    }

    pub(super) fn compact(&self) -> Result<(), StoreError> {
        let wanted = {
            let mut queue = self.shared.queue();
            queue.compactions.0 += 1;
            self.shared.work.notify_one();
            queue.compactions.0
        };
        self.shared.wait(|queue, progress| match &progress.stopped {
            _ if queue.compactions.1 >= wanted => Some(Ok(())),
            Some(why) => Some(Err(StoreError::Stopped(why.to_string()))),
            None => None,
        })
    }
}

impl Drop for Writer {
    /// What waits is written.
    fn drop(&mut self) {
        self.shared.queue().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, each time until something was done, until there is an answer.
    fn wait<T>(&self, answer: impl Fn(&Queue, &Progress) -> Option<T>) -> T {
        let mut queue = self.queue();
        loop {
            if let Some(answer) = answer(&queue, &self.progress.borrow()) {
                return answer;
            }
            queue = self
                .done
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells everybody how far the disk is, or that it goes no further.
    fn report(&self, revision: Option<Revision>, stopped: Option<String>) {
        self.progress.send_modify(|progress| {
            if let Some(revision) = revision {
                progress.revision = progress.revision.max(revision);
            }
            if let Some(why) = stopped {
                progress.stopped.get_or_insert(why.into());
            }
        });
        // Whoever waits for room has looked at the progress under this lock.
        drop(self.queue());
        self.done.notify_all();
    }
}

fn stopped(why: &str) -> Status {
    Status::new(
        Reason::InternalError,
        format!("the store can't write: {why}"),
    )
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: folder.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(StoreError::io("lock", &path)(source)),
    }
}

/// Makes a log's file with its first frame, or takes one that a crash left without.
pub(super) fn begin_log(
    folder: &Path,
    after: Revision,
) -> Result<(File, PathBuf, u64), StoreError> {
    let path = FileKind::Log.path(folder, after);
    let failed = || StoreError::io("write", &path);
    let mut file = File::create(&path).map_err(failed())?;
    let mut records = Records::default();
    records.file(FileKind::Log, after);
    let length = records.write(&mut file).map_err(failed())?;
    file.sync_all().map_err(failed())?;
    sync_folder(folder)?;
    Ok((file, path, length))
}

/// Makes the names in a folder last.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("sync", folder))
}

/// The thread's own.
struct Disk {
    folder: PathBuf,
    file: File,
    path: PathBuf,
    /// Of the log, in bytes.
    length: u64,
    /// Of the last snapshot, in bytes.
    snapshot: u64,
    limits: Limits,
    shared: Arc<Shared>,
}

/// What the thread has to do.
struct Task {
    records: Records,
    last: Revision,
    closing: bool,
    compactions: Option<u64>,
}

impl Disk {
    fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            let task = self.next();
            let outcome = self.write(&task.records).and_then(|()| {
                if !task.records.is_empty() {
                    shared.report(Some(task.last), None);
                }
                let long = self.length > self.limits.log_bytes.max(self.snapshot);
                if task.compactions.is_some() || long && !task.closing {
                    self.compact()?;
                }
                Ok(())
            });
            if let Err(error) = outcome {
                // Nothing that comes later may be written: it would be behind a hole.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the store stopped writing"
                );
                shared.report(None, Some(told(&error)));
                return;
            }
            if let Some(served) = task.compactions {
                let mut queue = shared.queue();
                queue.compactions.1 = queue.compactions.1.max(served);
                drop(queue);
                shared.done.notify_all();
            }
            if task.closing {
                return;
            }
        }
    }

    fn next(&self) -> Task {
        let mut queue = self.shared.queue();
        while queue.records.is_empty()
            && !queue.closing
            && queue.compactions.0 == queue.compactions.1
        {
            queue = self
                .shared
                .work
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queue.changes = 0;
        Task {
            records: std::mem::take(&mut queue.records),
            last: queue.last,
            closing: queue.closing,
            compactions: (queue.compactions.0 > queue.compactions.1).then_some(queue.compactions.0),
        }
    }

    fn write(&mut self, records: &Records) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.length += records
            .write(&mut self.file)
            .and_then(|length| self.file.sync_data().map(|()| length))
            .map_err(StoreError::io("write", &self.path))?;
        Ok(())
    }

    /// Begins a new log, and writes a snapshot of all that the older ones say. Until the snapshot is whole they stay.
    fn compact(&mut self) -> Result<(), StoreError> {
        let (listing, records, last) = {
            // Between transactions, what is in memory is what is in the log and in the queue.
            let _serial = self
                .shared
                .writing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let mut queue = self.shared.queue();
            queue.changes = 0;
            let records = std::mem::take(&mut queue.records);
            (
                super::read(&self.shared.state).everything(),
                records,
                queue.last,
            )
        };
        if !records.is_empty() {
            self.write(&records)?;
            self.shared.report(Some(last), None);
        }
        (self.file, self.path, self.length) = begin_log(&self.folder, listing.revision)?;
        self.snapshot = self.write_snapshot(&listing)?;
        recovery::remove_older(&self.folder, listing.revision);
        Ok(())
    }

    fn write_snapshot(&mut self, listing: &Listing) -> Result<u64, StoreError> {
        let path = FileKind::Snapshot.path(&self.folder, listing.revision);
        let unfinished = path.with_extension("tmp");
        let mut file = File::create(&unfinished).map_err(StoreError::io("write", &unfinished))?;
        let mut length = 0;
        let mut records = Records::default();
        records.file(FileKind::Snapshot, listing.revision);
        let flush = |records: &mut Records, file: &mut File| -> io::Result<u64> {
            let written = records.write(file)?;
            *records = Records::default();
            Ok(written)
        };
        for stored in &listing.items {
            records.object(stored);
            if records.len() > SNAPSHOT_FRAME {
                length +=
                    flush(&mut records, &mut file).map_err(StoreError::io("write", &unfinished))?;
                // Clients wait for the log, not for the snapshot.
                self.write_waiting()?;
            }
        }
        records.end(listing.items.len() as u64);
        length += flush(&mut records, &mut file).map_err(StoreError::io("write", &unfinished))?;
        file.sync_all()
            .map_err(StoreError::io("write", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(StoreError::io("rename", &path))?;
        sync_folder(&self.folder)?;
        Ok(length)
    }

    /// Writes to the log what has piled up meanwhile.
    fn write_waiting(&mut self) -> Result<(), StoreError> {
        let (records, last) = {
            let mut queue = self.shared.queue();
            queue.changes = 0;
            (std::mem::take(&mut queue.records), queue.last)
        };
        if !records.is_empty() {
            self.write(&records)?;
            self.shared.report(Some(last), None);
        }
        Ok(())
    }
}

fn told(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
