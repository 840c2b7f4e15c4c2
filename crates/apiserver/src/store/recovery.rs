//! Reads back what a store's folder holds.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::log::{self, FileKind, Record};
use super::object::Revision;
use super::state::State;
use super::writer::begin_log;

/// The log to go on with.
pub(super) struct Recovered {
    pub log: File,
    pub path: PathBuf,
    /// Of the log, in bytes.
    pub length: u64,
    /// Of the snapshot, in bytes.
    pub snapshot_bytes: u64,
}

/// Reads the last snapshot and the logs behind it.
///
/// # Errors
/// When a file is damaged or missing.
pub(super) fn recover(folder: &Path, state: &mut State) -> Result<Recovered, StoreError> {
    let (snapshots, mut logs) = files(folder)?;
    let mut snapshot_bytes = 0;
    let base = snapshots.last().copied();
    if let Some(after) = base {
        snapshot_bytes = read_snapshot(&FileKind::Snapshot.path(folder, after), after, state)?;
    }
    let start = base.unwrap_or_default();
    logs.retain(|after| *after >= start);
    if logs.first() != Some(&start) {
        if base.is_none() && logs.is_empty() {
            let (log, path, length) = begin_log(folder, Revision(0))?;
            return Ok(Recovered {
                log,
                path,
                length,
                snapshot_bytes,
            });
        }
        let missing = FileKind::Log.path(folder, start);
        return Err(StoreError::damaged(&missing, 0, "it is missing"));
    }
    let mut last = None;
    for (index, after) in logs.iter().enumerate() {
        let newest = index + 1 == logs.len();
        let path = FileKind::Log.path(folder, *after);
        if state.revision() != *after {
            let why = format!(
                "it begins after revision {after}, but what comes before ends at {}",
                state.revision()
            );
            return Err(StoreError::damaged(&path, 0, why));
        }
        let extent = read_log(&path, *after, state)?;
        if extent.torn && !newest {
            return Err(StoreError::damaged(
                &path,
                extent.good,
                "it ends within a record, and another log follows it",
            ));
        }
        last = Some((path, *after, extent));
    }
    // There is at least the one that `start` names.
    let (path, after, extent) = last.ok_or_else(|| StoreError::damaged(folder, 0, "no log"))?;
    remove_older(folder, start);
    if extent.good == 0 {
        // The crash was before its first frame.
        let (log, path, length) = begin_log(folder, after)?;
        return Ok(Recovered {
            log,
            path,
            length,
            snapshot_bytes,
        });
    }
    let failed = || StoreError::io("open", &path);
    let mut file = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(failed())?;
    if extent.torn {
        tracing::warn!(file = %path.display(), offset = extent.good, "a record was being written when the server died: it is left out");
        file.set_len(extent.good).map_err(failed())?;
        file.sync_all().map_err(failed())?;
    }
    file.seek(SeekFrom::End(0)).map_err(failed())?;
    Ok(Recovered {
        log: file,
        path: path.clone(),
        length: extent.good,
        snapshot_bytes,
    })
}

/// Removes what a snapshot has made superfluous. What can't be removed is left: it does no harm.
pub(super) fn remove_older(folder: &Path, than: Revision) {
    let Ok((snapshots, logs)) = files(folder) else {
        return;
    };
    for (kind, all) in [(FileKind::Snapshot, snapshots), (FileKind::Log, logs)] {
        for after in all.into_iter().filter(|after| *after < than) {
            let path = kind.path(folder, after);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "an old file of the store stays");
            }
        }
    }
}

/// The revisions of the snapshots and of the logs in a folder, in order. Snapshots that were never finished are removed.
fn files(folder: &Path) -> Result<(Vec<Revision>, Vec<Revision>), StoreError> {
    let failed = || StoreError::io("read", folder);
    let (mut snapshots, mut logs) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name();
        match name.to_str().and_then(FileKind::of) {
            Some((FileKind::Snapshot, after)) => snapshots.push(after),
            Some((FileKind::Log, after)) => logs.push(after),
            None => {}
        }
    }
    snapshots.sort_unstable();
    logs.sort_unstable();
    Ok((snapshots, logs))
}

fn read_snapshot(path: &Path, after: Revision, state: &mut State) -> Result<u64, StoreError> {
    let (mut begun, mut objects, mut ended) = (false, 0, false);
    let extent = log::read(path, |record| match record {
        _ if ended => Err("there is something behind its end".to_owned()),
        Record::File { kind, after: says } => {
            begun = true;
            expect(kind == FileKind::Snapshot && says == after)
        }
        _ if !begun => Err("it has no beginning".to_owned()),
        Record::Put(stored) => {
            objects += 1;
            state.restore(stored);
            Ok(())
        }
        Record::End(count) => {
            ended = true;
            expect(count == objects)
        }
        Record::Delete { .. } | Record::Skip(_) => expect(false),
    })?;
    if extent.torn || !ended {
        // A snapshot gets its name when it is whole and synced.
        return Err(StoreError::damaged(path, extent.good, "it is cut off"));
    }
    state.skip_to(after);
    Ok(extent.good)
}

fn read_log(path: &Path, after: Revision, state: &mut State) -> Result<log::Extent, StoreError> {
    let mut begun = false;
    log::read(path, |record| {
        let revision = match &record {
            Record::File { kind, after: says } => {
                expect(!begun && *kind == FileKind::Log && *says == after)?;
                begun = true;
                return Ok(());
            }
            Record::Put(stored) => stored.revision,
            Record::Delete { revision, .. } | Record::Skip(revision) => *revision,
            Record::End(_) => return expect(false),
        };
        expect(begun)?;
        if revision <= state.revision() {
            return Err(format!(
                "revision {revision} follows revision {}",
                state.revision()
            ));
        }
        match record {
            Record::Put(stored) => state.restore(stored),
            Record::Delete { key, .. } => state.forget(&key),
            _ => {}
        }
        state.skip_to(revision);
        Ok(())
    })
}

fn expect(holds: bool) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err("it holds what doesn't belong into it".to_owned())
    }
}
