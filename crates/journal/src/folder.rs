//! A journal in a folder on this machine.
//!
//! ```text
//! <folder>/journal.jsonl          records after the newest snapshot; a checksum before each line
//! <folder>/head                   serial of the last acknowledged record: what tells a torn tail from a truncated file
//! <folder>/snapshots/<serial>.json
//! <folder>/runs/<serial>.jsonl    records that a snapshot has taken over, kept as the log of what was done
//! <folder>/lease.json             who may write
//! <folder>/holder-<fence>         locked by the operating system for as long as the process that holds the lease lives
//! <folder>/lock                   the operating system's lock, held for the moment of a write
//! ```
//!
//! A lease that has not expired is respected while its holder lives; that of a process that was killed is free at once,
//! because the operating system has let go of its lock. Where the file system knows no locks, the lease's time counts.
//!
//! A batch is one write and one `fdatasync`. A process that dies within the write leaves a torn tail, which was never
//! acknowledged: readers leave it out and the next write moves it to `torn`. If acknowledged records are missing, by the
//! evidence of `head`, the journal is damaged: nothing is read from it or written to it until a person says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use catalog::ids::{Fence, LeaseOwner, Serial};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{
    CHECKSUM_LENGTH, Contents, HistoryEntry, Lease, Record, Snapshot, Store, StoreError, checksum,
    expiry,
};

/// Snapshots that are kept; older ones are dropped.
const SNAPSHOTS_KEPT: usize = 100;

/// A journal in a folder.
#[derive(Debug, Clone)]
pub struct FolderStore {
    folder: PathBuf,
    /// The locked file of the lease that was got through this store.
    holder: Arc<Mutex<Option<File>>>,
}

impl FolderStore {
    /// The journal in `folder`, which is made by the first write.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            holder: Arc::default(),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = Files {
            folder: self.folder.clone(),
            holder: self.holder.clone(),
        };
        let place = self.place();
        tokio::task::spawn_blocking(move || work(&files))
            .await
            .unwrap_or_else(|error| {
                Err(StoreError::Io {
                    operation: "could not finish the work on",
                    place,
                    source: Box::new(error),
                })
            })
    }
}

#[async_trait]
impl Store for FolderStore {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    async fn read(&self) -> Result<Contents, StoreError> {
        self.blocking(Files::read).await
    }

    async fn append(&self, lease: &Lease, records: &[Record]) -> Result<(), StoreError> {
        let (lease, records) = (lease.clone(), records.to_vec());
        self.blocking(move |files| files.locked(|files| files.append(&lease, &records)))
            .await
    }

    async fn keep_snapshot(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        let (lease, snapshot) = (lease.clone(), snapshot.clone());
        self.blocking(move |files| files.locked(|files| files.keep_snapshot(&lease, &snapshot)))
            .await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        self.blocking(|files| {
            let mut entries = Vec::new();
            for serial in files.snapshot_serials()?.into_iter().rev() {
                // A damaged snapshot can't be returned to, so it is not offered.
                if let Ok(snapshot) = files.snapshot(serial) {
                    entries.push(HistoryEntry {
                        serial,
                        at: snapshot.at,
                        reason: snapshot.reason,
                    });
                }
            }
            Ok(entries)
        })
        .await
    }

    async fn snapshot(&self, serial: Serial) -> Result<Snapshot, StoreError> {
        self.blocking(move |files| files.snapshot(serial)).await
    }

    async fn last_serial(&self) -> Result<Serial, StoreError> {
        self.blocking(Files::last_serial).await
    }

    async fn restart_from(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        let (lease, snapshot) = (lease.clone(), snapshot.clone());
        self.blocking(move |files| files.locked(|files| files.restart_from(&lease, &snapshot)))
            .await
    }

    async fn acquire(&self, owner: &LeaseOwner, duration: Duration) -> Result<Lease, StoreError> {
        let owner = owner.clone();
        self.blocking(move |files| files.locked(|files| files.acquire(&owner, duration)))
            .await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, StoreError> {
        let lease = lease.clone();
        self.blocking(move |files| {
            files.locked(|files| {
                files.check_lease(&lease)?;
                files.write_lease(&Lease {
                    expires: expiry(duration),
                    ..lease
                })
            })
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.blocking(move |files| {
            files.locked(|files| {
                files.check_lease(&lease)?;
                files.keep_holder(None);
                // The fence stays: the next lease must be larger.
                files
                    .write_lease(&Lease {
                        expires: Timestamp::MIN,
                        ..lease
                    })
                    .map(drop)
            })
        })
        .await
    }

    async fn holder(&self) -> Result<Option<Lease>, StoreError> {
        self.blocking(|files| {
            let lease = files
                .lease()?
                .filter(|lease| lease.expires != Timestamp::MIN);
            Ok(match lease {
                // Whoever had it is dead.
                Some(lease) if files.is_dead(&lease)? => None,
                lease => lease,
            })
        })
        .await
    }

    async fn unlock(&self) -> Result<Option<Lease>, StoreError> {
        self.blocking(|files| {
            files.locked(|files| {
                let Some(lease) = files
                    .lease()?
                    .filter(|lease| lease.expires != Timestamp::MIN)
                else {
                    return Ok(None);
                };
                // A larger fence than the holder's, so that the holder is refused from now on.
                files.write_lease(&Lease {
                    fence: lease.fence.next(),
                    expires: Timestamp::MIN,
                    owner: lease.owner.clone(),
                })?;
                Ok(Some(lease))
            })
        })
        .await
    }
}

/// A snapshot with its checksum, as the file holds it.
#[derive(Serialize, Deserialize)]
struct SnapshotFile {
    checksum: String,
    snapshot: Snapshot,
}

/// What the journal file holds, and where its last whole line ends.
struct Journal {
    records: Vec<Record>,
    end: u64,
    torn: Vec<u8>,
}

struct Files {
    folder: PathBuf,
    holder: Arc<Mutex<Option<File>>>,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn locked<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        fs::create_dir_all(&self.folder).map_err(failed("could not make", &self.folder))?;
        let path = self.path("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed("could not open", &path))?;
        lock.lock().map_err(failed("could not lock", &path))?;
        work(self)
        // Dropping the file gives the lock back.
    }

    /// Reads without the lock, so that looking waits for nobody. What seems to be damaged may be on its way: it is read again
    /// when nobody writes.
    fn read(&self) -> Result<Contents, StoreError> {
        match self.read_once() {
            Err(StoreError::Damaged { .. }) => self.locked(Self::read_once),
            contents => contents,
        }
    }

    fn read_once(&self) -> Result<Contents, StoreError> {
        // Before the journal, which is written first: what the head says is in it by then.
        let head = self.head()?;
        let snapshot = match self.snapshot_serials()?.last() {
            Some(serial) => Some(self.snapshot(*serial)?),
            None => None,
        };
        let start = snapshot
            .as_ref()
            .map_or(Serial(0), |snapshot| snapshot.serial);
        let mut records = self.journal()?.records;
        // Left over when a crash came between a snapshot and the moving away of what it holds.
        records.retain(|record| record.serial > start);
        let contents = Contents { snapshot, records };
        self.check_sequence(&contents, start, head)?;
        Ok(contents)
    }

    fn check_sequence(
        &self,
        contents: &Contents,
        start: Serial,
        head: Serial,
    ) -> Result<(), StoreError> {
        let mut last = start;
        for record in &contents.records {
            if record.serial != last.next() {
                return Err(self.damaged(
                    "journal.jsonl",
                    format!("record {} follows record {last}", record.serial),
                ));
            }
            last = record.serial;
        }
        if last < head {
            return Err(self.damaged(
                "journal.jsonl",
                format!("it ends with record {last}, but record {head} was written: the file was truncated or replaced"),
            ));
        }
        Ok(())
    }

    fn damaged(&self, name: &str, reason: String) -> StoreError {
        StoreError::Damaged {
            place: self.path(name).display().to_string(),
            reason,
        }
    }

    fn journal(&self) -> Result<Journal, StoreError> {
        let path = self.path("journal.jsonl");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("could not read", &path)(error)),
        };
        let mut records = Vec::new();
        let mut end = 0;
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let Some(line_text) = line.strip_suffix(b"\n") else {
                return Ok(Journal {
                    records,
                    end: end as u64,
                    torn: line.to_vec(),
                });
            };
            let record = parse_line(line_text).map_err(|reason| {
                self.damaged("journal.jsonl", format!("line {}: {reason}", number + 1))
            })?;
            records.push(record);
            end += line.len();
        }
        Ok(Journal {
            records,
            end: end as u64,
            torn: Vec::new(),
        })
    }

    fn head(&self) -> Result<Serial, StoreError> {
        let path = self.path("head");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Serial).map_err(|_| {
                self.damaged(
                    "head",
                    format!("`{}` is not a record's number", text.trim()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Serial(0)),
            Err(error) => Err(failed("could not read", &path)(error)),
        }
    }

    fn write_head(&self, serial: Serial) -> Result<(), StoreError> {
        let path = self.path("head");
        // Fixed length and written over in place: cheap, and never longer than what it says. It follows the journal's
        // own fdatasync, so it can lag after a loss of power but never lead.
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{:020}\n", serial.0).as_bytes()))
            .map_err(failed("could not write", &path))
    }

    fn append(&self, lease: &Lease, records: &[Record]) -> Result<(), StoreError> {
        self.check_lease(lease)?;
        let Some(first) = records.first() else {
            return Ok(());
        };
        let path = self.path("journal.jsonl");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed("could not open", &path))?;
        let end = self.settle_tail(&mut file, &path, first.serial)?;
        let mut bytes = Vec::new();
        let mut last = first.serial;
        for record in records {
            let json = serde_json::to_string(record)
                .map_err(|error| failed("could not encode a record for", &path)(error.into()))?;
            bytes.extend_from_slice(checksum(json.as_bytes()).as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(json.as_bytes());
            bytes.push(b'\n');
            last = record.serial;
        }
        file.seek(SeekFrom::Start(end))
            .and_then(|_| file.write_all(&bytes))
            .and_then(|()| file.sync_data())
            .map_err(failed("could not write", &path))?;
        self.write_head(last)
    }

    /// Where the next record goes. The usual case reads one line: the head says what the last record is, and the file
    /// ends with it.
    fn settle_tail(&self, file: &mut File, path: &Path, next: Serial) -> Result<u64, StoreError> {
        let length = file
            .metadata()
            .map_err(failed("could not read", path))?
            .len();
        let head = self.head()?;
        if head.next() == next && length > 0 && self.last_line_is(file, path, length, head)? {
            return Ok(length);
        }
        let contents = self.read_once()?;
        if contents.head().next() != next {
            return Err(StoreError::Fenced {
                reason: format!(
                    "record {next} was to be written, but the last one is {}",
                    contents.head()
                ),
            });
        }
        let journal = self.journal()?;
        if !journal.torn.is_empty() {
            let aside = self.path("torn");
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&aside)
                .and_then(|mut torn| {
                    torn.write_all(&journal.torn)
                        .and_then(|()| torn.write_all(b"\n"))
                })
                .map_err(failed("could not write", &aside))?;
            file.set_len(journal.end)
                .map_err(failed("could not write", path))?;
        }
        Ok(journal.end)
    }

    fn last_line_is(
        &self,
        file: &mut File,
        path: &Path,
        length: u64,
        serial: Serial,
    ) -> Result<bool, StoreError> {
        let from = length.saturating_sub(64 * 1024);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from))
            .and_then(|_| file.read_to_end(&mut tail))
            .map_err(failed("could not read", path))?;
        let Some(text) = tail.strip_suffix(b"\n") else {
            return Ok(false);
        };
        let start = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |place| place + 1);
        if start == 0 && from > 0 {
            return Ok(false);
        }
        Ok(parse_line(&text[start..]).is_ok_and(|record| record.serial == serial))
    }

    fn keep_snapshot(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.check_lease(lease)?;
        self.write_snapshot(snapshot)?;
        let journal = self.path("journal.jsonl");
        let runs = self.path("runs");
        fs::create_dir_all(&runs).map_err(failed("could not make", &runs))?;
        let kept = runs.join(format!("{:020}.jsonl", snapshot.serial.0));
        match fs::rename(&journal, &kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("could not move", &journal)(error));
            }
            _ => {}
        }
        let serials = self.snapshot_serials()?;
        for old in serials.iter().rev().skip(SNAPSHOTS_KEPT) {
            let path = self.snapshot_path(*old);
            fs::remove_file(&path).map_err(failed("could not remove", &path))?;
        }
        Ok(())
    }

    fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let path = self.snapshot_path(snapshot.serial);
        let text = serde_json::to_string(snapshot)
            .map_err(|error| failed("could not encode", &path)(error.into()))?;
        let file = SnapshotFile {
            checksum: checksum(text.as_bytes()),
            snapshot: snapshot.clone(),
        };
        self.write_whole(&path, &file)?;
        self.write_head(snapshot.serial)
    }

    fn restart_from(&self, lease: &Lease, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.check_lease(lease)?;
        let aside = self.path(&format!("aside-{:020}", snapshot.serial.0));
        fs::create_dir_all(&aside).map_err(failed("could not make", &aside))?;
        // The damaged snapshots are told before the new one is among them.
        let mut away: Vec<PathBuf> = vec![self.path("journal.jsonl")];
        for serial in self.snapshot_serials()? {
            if self.snapshot(serial).is_err() {
                away.push(self.snapshot_path(serial));
            }
        }
        // First the new snapshot: a death from here on leaves it in force, or the damage as it was, and nothing between.
        self.write_snapshot(snapshot)?;
        for path in away {
            if let (true, Some(name)) = (path.exists(), path.file_name()) {
                fs::rename(&path, aside.join(name)).map_err(failed("could not move", &path))?;
            }
        }
        Ok(())
    }

    fn snapshot_path(&self, serial: Serial) -> PathBuf {
        self.path("snapshots")
            .join(format!("{:020}.json", serial.0))
    }

    fn snapshot_serials(&self) -> Result<Vec<Serial>, StoreError> {
        let folder = self.path("snapshots");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("could not read", &folder)(error)),
        };
        let mut serials = Vec::new();
        for entry in entries {
            let name = entry
                .map_err(failed("could not read", &folder))?
                .file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json"))
                .and_then(|name| name.parse().ok());
            serials.extend(number.map(Serial));
        }
        serials.sort_unstable();
        Ok(serials)
    }

    fn snapshot(&self, serial: Serial) -> Result<Snapshot, StoreError> {
        let path = self.snapshot_path(serial);
        let damaged = |reason: String| StoreError::Damaged {
            place: path.display().to_string(),
            reason,
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NoSnapshot {
                    serial,
                    place: self.folder.display().to_string(),
                });
            }
            Err(error) => return Err(failed("could not read", &path)(error)),
        };
        let file: SnapshotFile =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let text =
            serde_json::to_string(&file.snapshot).map_err(|error| damaged(error.to_string()))?;
        if checksum(text.as_bytes()) != file.checksum {
            return Err(damaged("its checksum is wrong: it was changed".to_owned()));
        }
        Ok(file.snapshot)
    }

    fn last_serial(&self) -> Result<Serial, StoreError> {
        // The head may be the very thing that is damaged, and records may be: what can be read counts.
        let mut last = self.head().unwrap_or_default();
        last = last.max(self.snapshot_serials()?.last().copied().unwrap_or_default());
        let bytes = fs::read(self.path("journal.jsonl")).unwrap_or_default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(record) = parse_line(line) {
                last = last.max(record.serial);
            }
        }
        Ok(last)
    }

    fn lease(&self) -> Result<Option<Lease>, StoreError> {
        let path = self.path("lease.json");
        match fs::read(&path) {
            Ok(bytes) => parse_json(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("could not read", &path)(error)),
        }
    }

    fn check_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.lease()? {
            Some(current) if current.fence == lease.fence => Ok(()),
            Some(current) => Err(StoreError::Fenced {
                reason: format!(
                    "{} took the lock over (number {} after {})",
                    current.owner, current.fence, lease.fence
                ),
            }),
            None => Err(StoreError::Fenced {
                reason: "the lock's file is gone".to_owned(),
            }),
        }
    }

    fn keep_holder(&self, file: Option<File>) {
        // Closing the file that was there lets go of its lock.
        *self
            .holder
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = file;
    }

    /// The file that the holder of a lease has locked for as long as it lives: one for each lease.
    fn holder_path(&self, fence: Fence) -> PathBuf {
        self.path(&format!("holder-{fence}"))
    }

    /// A lease's holder file, locked by us; none when a living process has it locked or the file system knows no locks.
    fn lock_holder(&self, fence: Fence) -> Result<Option<File>, StoreError> {
        let path = self.holder_path(fence);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        match opened {
            Ok(file) => Ok(file.try_lock().is_ok().then_some(file)),
            // Whoever may only read can't tell: then the lease's time counts.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("could not open", &path)(error)),
        }
    }

    fn is_dead(&self, lease: &Lease) -> Result<bool, StoreError> {
        // Our own file of this lease counts as a living holder's: it is locked through another handle.
        Ok(self.lock_holder(lease.fence)?.is_some())
    }

    fn acquire(&self, owner: &LeaseOwner, duration: Duration) -> Result<Lease, StoreError> {
        let current = self.lease()?;
        if let Some(held) = &current
            && held.expires > Timestamp::now()
            && !self.is_dead(held)?
        {
            return Err(StoreError::Held {
                owner: held.owner.clone(),
                expires: held.expires,
            });
        }
        let fence = current
            .as_ref()
            .map_or(Fence(1), |lease| lease.fence.next());
        self.keep_holder(self.lock_holder(fence)?);
        if let Some(before) = current {
            // Nobody asks after it any more; that it can't be removed harms nothing.
            let _ = fs::remove_file(self.holder_path(before.fence));
        }
        self.write_lease(&Lease {
            owner: owner.clone(),
            fence,
            expires: expiry(duration),
        })
    }

    fn write_lease(&self, lease: &Lease) -> Result<Lease, StoreError> {
        self.write_whole(&self.path("lease.json"), lease)?;
        Ok(lease.clone())
    }

    /// Writes a file so that a reader sees the old one or the new one.
    fn write_whole(&self, path: &Path, content: &impl Serialize) -> Result<(), StoreError> {
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(failed("could not make", parent))?;
        let temporary = path.with_extension("new");
        let bytes = serde_json::to_vec(content)
            .map_err(|error| failed("could not encode", path)(error.into()))?;
        File::create(&temporary)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(failed("could not write", path))
    }
}

fn parse_line(line: &[u8]) -> Result<Record, String> {
    let (sum, json) = line
        .split_at_checked(CHECKSUM_LENGTH)
        .and_then(|(sum, rest)| rest.strip_prefix(b" ").map(|json| (sum, json)))
        .ok_or("it is too short")?;
    if checksum(json).as_bytes() != sum {
        return Err("its checksum is wrong: it was changed".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged {
        place: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let place = path.display().to_string();
    move |error| StoreError::Io {
        operation,
        place,
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOUR: Duration = Duration::from_secs(3600);

    fn store() -> (tempfile::TempDir, FolderStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path().join("state"));
        (folder, store)
    }

    fn owner(name: &str) -> LeaseOwner {
        LeaseOwner::new(name).unwrap()
    }

    fn record(lease: &Lease, serial: u64) -> Record {
        Record {
            serial: Serial(serial),
            fence: lease.fence,
            at: Timestamp::now(),
            body: json!({ "n": serial }),
        }
    }

    fn serials(contents: &Contents) -> Vec<u64> {
        contents
            .records
            .iter()
            .map(|record| record.serial.0)
            .collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_read_while_it_is_written_is_not_damaged() {
        let (_folder, store) = store();
        let store = Arc::new(store);
        let lease = store.acquire(&owner("a"), HOUR).await.unwrap();
        let writer = {
            let store = store.clone();
            tokio::spawn(async move {
                for serial in 1..=400 {
                    let records = [record(&lease, serial)];
                    store.append(&lease, &records).await.unwrap();
                    if serial % 20 == 0 {
                        let snapshot = Snapshot {
                            serial: Serial(serial),
                            at: Timestamp::now(),
                            reason: "deploy".into(),
                            body: json!(serial),
                        };
                        store.keep_snapshot(&lease, &snapshot).await.unwrap();
                    }
                }
            })
        };
        let mut last = Serial(0);
        while !writer.is_finished() {
            let head = store.read().await.unwrap().head();
            assert!(head >= last, "{head} after {last}");
            last = head;
        }
        writer.await.unwrap();
        assert_eq!(store.read().await.unwrap().head(), Serial(400));
    }

    #[tokio::test]
    async fn records_come_back_in_order_and_a_snapshot_takes_their_place() {
        let (_folder, store) = store();
        let lease = store.acquire(&owner("a"), HOUR).await.unwrap();
        store
            .append(&lease, &[record(&lease, 1), record(&lease, 2)])
            .await
            .unwrap();
        store.append(&lease, &[record(&lease, 3)]).await.unwrap();
        assert_eq!(serials(&store.read().await.unwrap()), [1, 2, 3]);
        let snapshot = Snapshot {
            serial: Serial(3),
            at: Timestamp::now(),
            reason: "deploy".into(),
            body: json!(1.5),
        };
        store.keep_snapshot(&lease, &snapshot).await.unwrap();
        store.append(&lease, &[record(&lease, 4)]).await.unwrap();
        let contents = store.read().await.unwrap();
        assert_eq!(
            (contents.snapshot.as_ref(), serials(&contents)),
            (Some(&snapshot), vec![4])
        );
        assert_eq!(store.history().await.unwrap()[0].serial, Serial(3));
    }

    #[tokio::test]
    async fn a_crash_at_any_byte_of_the_last_write_loses_that_write_alone() {
        let (_folder, store) = store();
        let lease = store.acquire(&owner("a"), HOUR).await.unwrap();
        store.append(&lease, &[record(&lease, 1)]).await.unwrap();
        let path = store.folder.join("journal.jsonl");
        let before = fs::metadata(&path).unwrap().len();
        store.append(&lease, &[record(&lease, 2)]).await.unwrap();
        let whole = fs::read(&path).unwrap();
        for length in before..whole.len() as u64 - 1 {
            fs::write(&path, &whole[..usize::try_from(length).unwrap()]).unwrap();
            // The process died before it could say that the record is written.
            fs::write(store.folder.join("head"), "00000000000000000001\n").unwrap();
            assert_eq!(serials(&store.read().await.unwrap()), [1], "{length}");
            store.append(&lease, &[record(&lease, 2)]).await.unwrap();
            assert_eq!(serials(&store.read().await.unwrap()), [1, 2], "{length}");
        }
    }

    #[tokio::test]
    async fn acknowledged_records_that_are_missing_or_changed_are_damage() {
        let (_folder, store) = store();
        let lease = store.acquire(&owner("a"), HOUR).await.unwrap();
        for serial in 1..=3 {
            store
                .append(&lease, &[record(&lease, serial)])
                .await
                .unwrap();
        }
        let path = store.folder.join("journal.jsonl");
        let whole = fs::read(&path).unwrap();
        let flipped = String::from_utf8(whole.clone())
            .unwrap()
            .replace("\"n\":2", "\"n\":7")
            .into_bytes();
        for (what, bytes) in [
            ("truncated", &whole[..whole.len() / 2]),
            ("emptied", &[]),
            ("changed", &flipped[..]),
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(
                matches!(store.read().await, Err(StoreError::Damaged { .. })),
                "{what}"
            );
            // An append looks at the end alone; what is wrong before it stops the read that each run begins with.
            if what != "changed" {
                let refused = store.append(&lease, &[record(&lease, 4)]).await;
                assert!(
                    matches!(refused, Err(StoreError::Damaged { .. })),
                    "{what}: {refused:?}"
                );
            }
            assert_eq!(
                fs::read(&path).unwrap(),
                bytes,
                "{what}: nothing is overwritten"
            );
        }
        // The way back.
        let next = store.last_serial().await.unwrap().next();
        let snapshot = Snapshot {
            serial: next,
            at: Timestamp::now(),
            reason: "rollback".into(),
            body: json!(null),
        };
        store.restart_from(&lease, &snapshot).await.unwrap();
        assert_eq!(store.read().await.unwrap().head(), next);
    }

    #[tokio::test]
    async fn the_second_is_refused_and_after_a_take_over_the_first_is() {
        let (_folder, store) = store();
        let first = store.acquire(&owner("first"), HOUR).await.unwrap();
        let refused = store.acquire(&owner("second"), HOUR).await;
        assert!(
            matches!(refused, Err(StoreError::Held { owner, .. }) if owner.as_str() == "first")
        );
        store.renew(&first, Duration::ZERO).await.unwrap();
        let second = store.acquire(&owner("second"), HOUR).await.unwrap();
        assert!(second.fence > first.fence);
        let late = store.append(&first, &[record(&first, 1)]).await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
        assert!(store.read().await.unwrap().records.is_empty());
        store.append(&second, &[record(&second, 1)]).await.unwrap();
        store.release(&second).await.unwrap();
        assert!(store.holder().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_lease_of_a_dead_process_is_free_at_once_and_its_fence_counts() {
        let (_folder, store) = store();
        let first = store.acquire(&owner("first"), HOUR).await.unwrap();
        let other = FolderStore::new(&store.folder);
        assert!(other.acquire(&owner("second"), HOUR).await.is_err());
        // What the operating system does when a process dies.
        drop(store);
        assert!(other.holder().await.unwrap().is_none());
        let second = other.acquire(&owner("second"), HOUR).await.unwrap();
        assert_eq!(second.fence, first.fence.next());
    }
}
