//! The world on disk: one append-only log of checksummed lines.
//!
//! A line is written, with one `write`, before the call that it belongs to is answered, so the kill of the process at any
//! instant loses no acknowledged change; at worst the last line is torn, and that one was never acknowledged. Nothing is
//! synced to the device: the world survives the end of the process, not of the machine's power.
//!
//! When the log has grown large it is written anew, as the lines that make the present state, to a file beside it that
//! then takes its place in one rename.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::Error;

/// Hexadecimal digits of a line's checksum.
const CHECKSUM: usize = 16;
/// A log below this many bytes is never compacted.
const COMPACT_ABOVE: u64 = 16 << 20;

/// The log, open for appending.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: File,
    length: u64,
    length_when_compact: u64,
    buffer: Vec<u8>,
}

impl Store {
    /// Opens the log at `path`, or a new one, and hands each of its records to `replay` in order. A torn end is cut off.
    pub(crate) fn open<R: DeserializeOwned>(
        path: &Path,
        mut replay: impl FnMut(R),
    ) -> Result<Self, Error> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // The world has its users' secrets in it.
            .mode(0o600)
            .open(path)
            .map_err(Error::file("cannot open", path))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)
            .map_err(Error::file("cannot read", path))?;
        let mut valid = 0;
        for (number, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
            // Only a line whose write was cut short has no end: JSON escapes the line breaks in it.
            let is_torn = !line.ends_with(b"\n");
            match decode(line) {
                Ok(record) => replay(record),
                Err(_) if is_torn => break,
                Err(reason) => {
                    return Err(Error::Damaged {
                        path: path.to_owned(),
                        line: number + 1,
                        reason,
                    });
                }
            }
            valid += line.len();
        }
        let length = valid as u64;
        file.set_len(length)
            .map_err(Error::file("cannot write", path))?;
        file.seek(SeekFrom::End(0))
            .map_err(Error::file("cannot write", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            length_when_compact: length,
            buffer: Vec::new(),
        })
    }

    /// Appends a record; it is in the file, or the file is as it was, when this returns.
    pub(crate) fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        self.buffer.clear();
        encode(record, &mut self.buffer);
        if let Err(source) = self.file.write_all(&self.buffer) {
            // Half a line would make the next one unreadable. If not even this works, the next start cuts it off, and
            // until then each append fails the same way or repairs it.
            let repaired = self
                .file
                .set_len(self.length)
                .and_then(|()| self.file.seek(SeekFrom::End(0)));
            if let Err(error) = repaired {
                tracing::error!(path = %self.path.display(), %error, "a torn line could not be cut off");
            }
            return Err(Error::File {
                doing: "cannot write",
                path: self.path.clone(),
                source,
            });
        }
        self.length += self.buffer.len() as u64;
        Ok(())
    }

    /// Whether the log is worth writing anew.
    pub(crate) fn is_large(&self) -> bool {
        self.length > COMPACT_ABOVE && self.length > self.length_when_compact.saturating_mul(3)
    }

    /// Writes the log anew with these records in place of all that it has.
    pub(crate) fn compact<R: Serialize>(
        &mut self,
        records: impl Iterator<Item = R>,
    ) -> Result<(), Error> {
        let temporary = self.path.with_extension("new");
        let mut content = Vec::new();
        for record in records {
            encode(&record, &mut content);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(Error::file("cannot write", &temporary))?;
        file.write_all(&content)
            .map_err(Error::file("cannot write", &temporary))?;
        std::fs::rename(&temporary, &self.path)
            .map_err(Error::file("cannot replace", &self.path))?;
        self.file = file;
        self.length = content.len() as u64;
        self.length_when_compact = self.length;
        Ok(())
    }
}

fn checksum(json: &[u8]) -> String {
    let mut text = hex::encode(Sha256::digest(json));
    text.truncate(CHECKSUM);
    text
}

/// Appends `checksum SPACE json NEWLINE`.
fn encode(record: &impl Serialize, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.resize(start + CHECKSUM, 0);
    buffer.push(b' ');
    serde_json::to_writer(&mut *buffer, record).expect("records have string keys and go to memory");
    let sum = checksum(&buffer[start + CHECKSUM + 1..]);
    buffer[start..start + CHECKSUM].copy_from_slice(sum.as_bytes());
    buffer.push(b'\n');
}

fn decode<R: DeserializeOwned>(line: &[u8]) -> Result<R, String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let (sum, rest) = line.split_at_checked(CHECKSUM).ok_or("it is too short")?;
    let json = rest.strip_prefix(b" ").ok_or("it has no checksum")?;
    if sum != checksum(json).as_bytes() {
        return Err("its checksum does not match".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Vec<String> {
        let mut records = Vec::new();
        Store::open(path, |record: String| records.push(record)).unwrap();
        records
    }

    fn log(dir: &Path, records: &[&str]) -> PathBuf {
        let path = dir.join("world.jsonl");
        let mut store = Store::open(&path, |_: String| ()).unwrap();
        for record in records {
            store.append(record).unwrap();
        }
        path
    }

    #[test]
    fn a_log_cut_at_any_byte_of_its_last_line_keeps_all_others_and_can_be_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = log(dir.path(), &["first", "second\nwith a line break", "third"]);
        let whole = std::fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap()
            + 1;
        for cut in last..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut store = Store::open(&path, |_: String| ()).unwrap();
            store.append(&"after").unwrap();
            assert_eq!(
                read(&path),
                ["first", "second\nwith a line break", "after"],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn damage_before_the_end_is_an_error_that_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = log(dir.path(), &["first", "second", "third"]);
        let mut content = std::fs::read(&path).unwrap();
        let at = content
            .windows(6)
            .position(|window| window == b"second")
            .unwrap();
        content[at] = b'S';
        let last = content
            .windows(5)
            .position(|window| window == b"third")
            .unwrap();
        for (damaged, line) in [
            (&content[..], 2),
            (
                &[
                    &content[..at],
                    &b"second"[..],
                    &content[at + 6..last],
                    &b"Third\"\n"[..],
                ]
                .concat(),
                3,
            ),
        ] {
            std::fs::write(&path, damaged).unwrap();
            let error = Store::open(&path, |_: String| ()).unwrap_err();
            assert!(
                matches!(error, Error::Damaged { line: at, .. } if at == line),
                "{error}"
            );
            assert_eq!(
                std::fs::read(&path).unwrap(),
                damaged,
                "nothing is overwritten"
            );
        }
    }

    #[test]
    fn compaction_keeps_the_records_given_and_goes_on_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = log(dir.path(), &["first", "second"]);
        let mut store = Store::open(&path, |_: String| ()).unwrap();
        store.compact(["both"].into_iter()).unwrap();
        store.append(&"third").unwrap();
        assert_eq!(read(&path), ["both", "third"]);
    }
}
