//! The files of a store: frames of records, each with checksums.
//!
//! A frame is written and synced before the next one is begun. So after a crash at most the last frame of the last log is
//! incomplete, and it holds nothing that was acknowledged. A bad frame with a good one anywhere behind it is damage.
//!
//! ```text
//! frame  = magic:u32 length:u32 crc(payload):u32 crc(the 12 bytes before):u32 payload
//! payload = record*        numbers in little-endian order; text is length:u32 and UTF-8
//! record = 0 format:u32 kind:u8 after:u64        what a file begins with
//!        | 1 revision:u64 group resource namespace name bytes
//!        | 2 revision:u64 group resource namespace name        a deletion
//!        | 3 revision:u64        the revisions up to this one are never used
//!        | 4 objects:u64        what a snapshot ends with
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apimachinery::GroupResource;
use bytes::Bytes;

use super::error::StoreError;
use super::object::{Key, Revision, Stored};
use super::state::{Change, ChangeKind};

const MAGIC: [u8; 4] = *b"SWK\x01";
const FORMAT: u32 = 1;
const HEADER: usize = 16;
/// More than this is no frame: a snapshot's are about a megabyte, a log's are what piled up during one sync.
const LONGEST: u32 = 1 << 30;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Log,
    Snapshot,
}

impl FileKind {
    /// Where a file of this kind is that begins after a revision.
    pub(super) fn path(self, folder: &Path, after: Revision) -> PathBuf {
        let name = match self {
            Self::Log => "log",
            Self::Snapshot => "snapshot",
        };
        folder.join(format!("{name}-{:020}", after.0))
    }

    /// What a file's name says that it is.
    pub(super) fn of(name: &str) -> Option<(Self, Revision)> {
        let (kind, after) = name.split_once('-')?;
        let after = (after.len() == 20)
            .then(|| after.parse().ok())
            .flatten()
            .map(Revision)?;
        match kind {
            "log" => Some((Self::Log, after)),
            "snapshot" => Some((Self::Snapshot, after)),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Snapshot => 2,
        }
    }
}

/// Records on their way into a frame.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn file(&mut self, kind: FileKind, after: Revision) {
        self.0.push(0);
        self.0.extend(FORMAT.to_le_bytes());
        self.0.push(kind.code());
        self.0.extend(after.0.to_le_bytes());
    }

    pub(super) fn change(&mut self, change: &Change) {
        if change.kind == ChangeKind::Deleted {
            self.0.push(2);
            self.0.extend(change.revision.0.to_le_bytes());
            self.key(&change.object.key);
        } else {
            self.object(&change.object);
        }
    }

    pub(super) fn object(&mut self, stored: &Stored) {
        self.0.push(1);
        self.0.extend(stored.revision.0.to_le_bytes());
        self.key(&stored.key);
        self.text(&stored.bytes);
    }

    pub(super) fn skip(&mut self, revision: Revision) {
        self.0.push(3);
        self.0.extend(revision.0.to_le_bytes());
    }

    pub(super) fn end(&mut self, objects: u64) {
        self.0.push(4);
        self.0.extend(objects.to_le_bytes());
    }

    fn key(&mut self, key: &Key) {
        self.text(key.resource.group.as_bytes());
        self.text(key.resource.resource.as_bytes());
        self.text(key.namespace.as_bytes());
        self.text(key.name.as_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        // An object's size is limited far below this by those who write it.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.extend(length.to_le_bytes());
        self.0.extend(text);
    }

    /// Writes them as one frame; gives its length. Nothing is synced.
    pub(super) fn write(&self, file: &mut impl Write) -> io::Result<u64> {
        let length = u32::try_from(self.0.len())
            .ok()
            .filter(|length| *length <= LONGEST)
            .ok_or_else(|| io::Error::other("too much to write at once"))?;
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..12].copy_from_slice(&crc32fast::hash(&self.0).to_le_bytes());
        let check = crc32fast::hash(&header[..12]);
        header[12..].copy_from_slice(&check.to_le_bytes());
        file.write_all(&header)?;
        file.write_all(&self.0)?;
        Ok((HEADER + self.0.len()) as u64)
    }
}

/// A record as it was read.
#[derive(Debug)]
pub(super) enum Record {
    File { kind: FileKind, after: Revision },
    Put(Arc<Stored>),
    Delete { revision: Revision, key: Key },
    Skip(Revision),
    End(u64),
}

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Up to here all is well.
    pub good: u64,
    /// Whether there was more: a frame that was being written.
    pub torn: bool,
}

/// Reads a file's records in order.
///
/// # Errors
/// When it can't be read or is damaged, or what `take` says of a record (with the place of its frame).
pub(super) fn read(
    path: &Path,
    mut take: impl FnMut(Record) -> Result<(), String>,
) -> Result<Extent, StoreError> {
    let failed = || StoreError::io("read", path);
    let file = File::open(path).map_err(failed())?;
    let length = file.metadata().map_err(failed())?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut interned = Interned::default();
    let mut good = 0_u64;
    let mut payload = Vec::new();
    loop {
        let left = length - good;
        if left == 0 {
            return Ok(Extent { good, torn: false });
        }
        let why = match frame(&mut file, left, &mut payload).map_err(failed())? {
            Ok(()) => {
                let mut cursor = Cursor {
                    rest: &payload,
                    interned: &mut interned,
                };
                while !cursor.rest.is_empty() {
                    cursor
                        .record()
                        .and_then(&mut take)
                        .map_err(|why| StoreError::damaged(path, good, why))?;
                }
                good += (HEADER + payload.len()) as u64;
                continue;
            }
            Err(why) => why,
        };
        if let Some(later) = later_frame(path, good + 1).map_err(failed())? {
            let why = format!("{why}, and more was written behind it (at byte {later})");
            return Err(StoreError::damaged(path, good, why));
        }
        return Ok(Extent { good, torn: true });
    }
}

/// Reads one frame's payload; or says what is wrong with it.
fn frame(
    file: &mut impl Read,
    left: u64,
    payload: &mut Vec<u8>,
) -> io::Result<Result<(), &'static str>> {
    let mut header = [0; HEADER];
    if left < HEADER as u64 {
        return Ok(Err("the header of a record is cut off"));
    }
    file.read_exact(&mut header)?;
    let Some((length, check)) = opened(&header) else {
        return Ok(Err("this is no header of a record"));
    };
    if u64::from(length) > left - HEADER as u64 {
        return Ok(Err("a record is cut off"));
    }
    payload.resize(length as usize, 0);
    file.read_exact(payload)?;
    if crc32fast::hash(payload) != check {
        return Ok(Err("a record's checksum is wrong"));
    }
    Ok(Ok(()))
}

/// The length of a payload and its checksum, if this is a header.
fn opened(header: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?))
    };
    let good = header.get(..4)? == MAGIC && number(12)? == crc32fast::hash(header.get(..12)?);
    let length = number(4)?;
    (good && length <= LONGEST).then_some((length, number(8)?))
}

/// Where a good frame begins, at or behind a place.
fn later_frame(path: &Path, from: u64) -> io::Result<Option<u64>> {
    let all = std::fs::read(path)?;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    Ok((from..all.len())
        .find(|at| {
            let rest = &all[*at..];
            opened(rest).is_some_and(|(length, check)| {
                rest.get(HEADER..HEADER + length as usize)
                    .is_some_and(|payload| crc32fast::hash(payload) == check)
            })
        })
        .map(|at| at as u64))
}

/// Texts that nearly all objects share, held once.
#[derive(Default)]
struct Interned {
    resource: Option<GroupResource>,
    namespace: Option<Arc<str>>,
}

struct Cursor<'a> {
    rest: &'a [u8],
    interned: &'a mut Interned,
}

impl<'a> Cursor<'a> {
    fn record(&mut self) -> Result<Record, String> {
        match self.byte()? {
            0 => {
                let format = self.u32()?;
                if format != FORMAT {
                    return Err(format!(
                        "it has the format {format}, and this program knows {FORMAT}"
                    ));
                }
                let kind = match self.byte()? {
                    1 => FileKind::Log,
                    2 => FileKind::Snapshot,
                    other => return Err(format!("it is of no known kind ({other})")),
                };
                let after = self.revision()?;
                Ok(Record::File { kind, after })
            }
            1 => {
                let revision = self.revision()?;
                let key = self.key()?;
                let bytes = Bytes::copy_from_slice(self.bytes()?);
                let told = key.to_string();
                Stored::read(key, revision, bytes)
                    .map(|stored| Record::Put(Arc::new(stored)))
                    .map_err(|error| format!("{told}: {error}"))
            }
            2 => Ok(Record::Delete {
                revision: self.revision()?,
                key: self.key()?,
            }),
            3 => Ok(Record::Skip(self.revision()?)),
            4 => Ok(Record::End(self.u64()?)),
            other => Err(format!("it has a record of no known kind ({other})")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or("a record ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn u64(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn revision(&mut self) -> Result<Revision, String> {
        self.u64().map(Revision)
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|error| error.to_string())
    }

    fn key(&mut self) -> Result<Key, String> {
        let (group, resource) = (self.text()?, self.text()?);
        let (namespace, name) = (self.text()?, self.text()?);
        let shared = self
            .interned
            .resource
            .take()
            .filter(|shared| *shared.group == *group && *shared.resource == *resource)
            .unwrap_or_else(|| GroupResource::new(group, resource));
        self.interned.resource = Some(shared.clone());
        let within = self
            .interned
            .namespace
            .take()
            .filter(|within| **within == *namespace)
            .unwrap_or_else(|| namespace.into());
        self.interned.namespace = Some(within.clone());
        Ok(Key {
            resource: shared,
            namespace: within,
            name: name.into(),
        })
    }
}
