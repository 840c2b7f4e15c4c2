//! The folder that an export is written into.
//!
//! A record in it, `.seaworthy-export.json`, lists what was written and the checksum of each file, so that the next export
//! knows its own files from somebody else's, and from its own that were edited since. All files are first written beside
//! their places and then renamed into them; the record names both the old and the new texts while that is under way, so
//! that an export which was killed is carried on by the next one. Of two at once one is refused: each would take the
//! other's half-written folder for its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use catalog::ids::{EnvironmentName, PlatformName};
use export::{Files, Owner};
use serde::{Deserialize, Serialize};

use super::{Export, Scopes};
use crate::error::Error;

/// The record's name.
const RECORD: &str = ".seaworthy-export.json";

/// Where new texts wait until all of them are written.
const STAGED: &str = ".seaworthy-export.new";

/// The version of the record's form.
const FORMAT: u32 = 1;

/// What an export did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The files that are new or have changed.
    pub written: Vec<String>,
    /// The files that are as they were.
    pub unchanged: Vec<String>,
    /// The files of an earlier export that are no longer needed.
    pub removed: Vec<String>,
}

/// What earlier exports have written here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    format: u32,
    platform: PlatformName,
    /// Each format's files by path.
    exports: BTreeMap<String, BTreeMap<String, Written>>,
}

/// A file that an export has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// The scope whose it is; none when it serves all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<EnvironmentName>,
    /// The checksums of the texts that may be there: one, or two while an export is under way.
    checksums: Vec<String>,
}

/// What is at a file's place.
enum There {
    Nothing,
    /// What we wrote, as we wrote it.
    Ours(String),
    /// What we wrote, edited since.
    Edited,
    /// Somebody else's.
    Foreign,
}

pub(super) fn write(
    export: &Export<'_>,
    platform: &PlatformName,
    files: &Files,
    wanted: &[EnvironmentName],
) -> Result<Exported, Error> {
    let folder = export.into;
    if files.iter().next().is_none() && !folder.exists() {
        return Ok(Exported::default());
    }
    let _held = Held::open(folder)?;
    let mut record = read_record(folder, platform)?;
    let before = record
        .exports
        .remove(export.format.name())
        .unwrap_or_default();

    let mut done = Exported::default();
    let (mut foreign, mut edited) = (Vec::new(), Vec::new());
    let mut changed: Vec<(&str, &str)> = Vec::new();
    let mut after = BTreeMap::new();
    for (path, file) in files.iter() {
        let checksum = journal::checksum(file.text.as_bytes());
        match look(folder, path, before.get(path))? {
            There::Ours(there) if there == checksum => done.unchanged.push(path.to_owned()),
            There::Nothing | There::Ours(_) => changed.push((path, &file.text)),
            There::Edited => {
                edited.push(path.to_owned());
                changed.push((path, &file.text));
            }
            There::Foreign => foreign.push(path.to_owned()),
        }
        let scope = match &file.owner {
            Owner::All => None,
            Owner::Scope(scope) => Some(scope.clone()),
        };
        let written = Written {
            scope,
            checksums: vec![checksum],
        };
        after.insert(path.to_owned(), written);
    }
    let mut removed = Vec::new();
    for (path, written) in &before {
        if after.contains_key(path) {
            continue;
        }
        let concerned = match (&export.scopes, &written.scope) {
            (Scopes::All, _) | (_, None) => true,
            (Scopes::One(_), Some(scope)) => wanted.contains(scope),
        };
        if !concerned {
            after.insert(path.clone(), written.clone());
            continue;
        }
        match look(folder, path, Some(written))? {
            There::Nothing => {}
            There::Ours(_) => removed.push(path.clone()),
            There::Edited | There::Foreign => {
                edited.push(path.clone());
                removed.push(path.clone());
            }
        }
    }
    if !foreign.is_empty() || (!edited.is_empty() && !export.overwrite) {
        return Err(Error::InTheWay {
            folder: folder.to_owned(),
            foreign,
            edited,
        });
    }
    done.written = changed.iter().map(|(path, _)| (*path).to_owned()).collect();
    done.removed = removed;

    let staged = Staged::empty(folder)?;
    if changed.is_empty() && before == after {
        return Ok(done);
    }
    staged.fill(&changed)?;
    let mut under_way = after.clone();
    for (path, written) in &before {
        let its = under_way
            .entry(path.clone())
            .or_insert_with(|| written.clone());
        for checksum in &written.checksums {
            if !its.checksums.contains(checksum) {
                its.checksums.push(checksum.clone());
            }
        }
    }
    if export.overwrite {
        allow_edited(folder, &edited, &mut under_way)?;
    }
    let name = export.format.name().to_owned();
    record.exports.insert(name.clone(), under_way);
    write_record(folder, &record)?;
    for (path, _) in &changed {
        put(folder, &staged, path)?;
    }
    for path in &done.removed {
        remove(folder, path)?;
    }
    record.exports.insert(name, after);
    write_record(folder, &record)?;
    Ok(done)
}

fn read_record(folder: &Path, platform: &PlatformName) -> Result<Record, Error> {
    let path = folder.join(RECORD);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Record {
                format: FORMAT,
                platform: platform.clone(),
                exports: BTreeMap::new(),
            });
        }
        Err(source) => return Err(Error::read(&path, source)),
    };
    let record: Record = serde_json::from_slice(&text).map_err(|error| {
        Error::Refused(format!(
            "{} is not the record of an export ({error}): choose another folder, or remove what is in this one",
            path.display()
        ))
    })?;
    if record.format != FORMAT {
        return Err(Error::Refused(format!(
            "{} was written by another version of seaworthy: choose another folder",
            path.display()
        )));
    }
    if record.platform != *platform {
        return Err(Error::Refused(format!(
            "{} holds an export of the platform `{}`: choose another folder for `{platform}`",
            folder.display(),
            record.platform
        )));
    }
    Ok(record)
}

fn look(folder: &Path, path: &str, written: Option<&Written>) -> Result<There, Error> {
    let whole = folder.join(path);
    let there = match fs::read(&whole) {
        Ok(text) => journal::checksum(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
        // A file where a folder should be, or a folder where a file should be.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            return Ok(There::Foreign);
        }
        Err(source) => return Err(Error::read(&whole, source)),
    };
    Ok(match written {
        None => There::Foreign,
        Some(written) if written.checksums.contains(&there) => There::Ours(there),
        Some(_) => There::Edited,
    })
}

/// What was edited and is to go counts as ours from now on, so that a killed export is carried on without asking again.
fn allow_edited(
    folder: &Path,
    edited: &[String],
    under_way: &mut BTreeMap<String, Written>,
) -> Result<(), Error> {
    for path in edited {
        let whole = folder.join(path);
        let text = fs::read(&whole).map_err(|source| Error::read(&whole, source))?;
        if let Some(written) = under_way.get_mut(path) {
            written.checksums.push(journal::checksum(&text));
        }
    }
    Ok(())
}

/// The folder while an export writes into it: there, and ours alone.
struct Held {
    folder: PathBuf,
    made: bool,
    /// Locked for as long as it is open; none where folders cannot be locked.
    _lock: Option<File>,
}

impl Held {
    fn open(folder: &Path) -> Result<Self, Error> {
        let made = !folder.exists();
        if !made && !folder.is_dir() {
            return Err(Error::Refused(format!(
                "{} is a file: choose a folder",
                folder.display()
            )));
        }
        fs::create_dir_all(folder).map_err(|source| Error::write(folder, source))?;
        let lock = File::open(folder).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
            return Err(Error::Refused(format!(
                "another export is writing into {}: wait for it, and export again",
                folder.display()
            )));
        }
        Ok(Self {
            folder: folder.to_owned(),
            made,
            _lock: lock,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.made {
            // Only if nothing is in it: then it is as it was.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Where new texts wait until all of them are written; it goes away with what is left in it.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        // What can't be removed is no reason to fail: it is told from exports by its name.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Staged {
    /// Nothing yet, and nothing any more of an export that was killed.
    fn empty(folder: &Path) -> Result<Self, Error> {
        let staged = Self(folder.join(STAGED));
        match fs::remove_dir_all(&staged.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::write(&staged.0, error))
            }
            _ => Ok(staged),
        }
    }

    fn fill(&self, changed: &[(&str, &str)]) -> Result<(), Error> {
        for (path, text) in changed {
            write_file(&self.0.join(path), text.as_bytes())?;
        }
        Ok(())
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| Error::write(parent, source))?;
    }
    fs::write(path, bytes).map_err(|source| Error::write(path, source))
}

fn put(folder: &Path, staged: &Staged, path: &str) -> Result<(), Error> {
    let whole = folder.join(path);
    if let Some(parent) = whole.parent() {
        fs::create_dir_all(parent).map_err(|source| Error::write(parent, source))?;
    }
    fs::rename(staged.0.join(path), &whole).map_err(|source| Error::write(&whole, source))
}

/// Removes a file, and the folders above it that are empty then.
fn remove(folder: &Path, path: &str) -> Result<(), Error> {
    let whole = folder.join(path);
    match fs::remove_file(&whole) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(Error::File {
                operation: "could not remove",
                path: whole,
                source,
            });
        }
    }
    let above: BTreeSet<&Path> = whole
        .ancestors()
        .skip(1)
        .take_while(|above| *above != folder)
        .collect();
    // The deepest first; one that is not empty stays, and so do those above it.
    for empty in above.into_iter().rev() {
        if fs::remove_dir(empty).is_err() {
            break;
        }
    }
    Ok(())
}

fn write_record(folder: &Path, record: &Record) -> Result<(), Error> {
    let path = folder.join(RECORD);
    let mut text = serde_json::to_string_pretty(record)
        .map_err(|error| Error::write(&path, io::Error::other(error)))?;
    text.push('\n');
    let beside = folder.join(format!("{RECORD}.new"));
    fs::write(&beside, text).map_err(|source| Error::write(&beside, source))?;
    fs::rename(&beside, &path).map_err(|source| Error::write(&path, source))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
