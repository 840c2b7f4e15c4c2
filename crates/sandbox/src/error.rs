//! Why the sandbox cannot start, run or be reached.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with the sandbox's process and its world on disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the world cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried ("cannot read").
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The world's log is damaged elsewhere than at its torn end.
    #[error("{} is damaged at line {line} ({reason}); `seaworthy sandbox reset` starts an empty world", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// The first damaged line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Another server has the world.
    #[error("another sandbox runs on the world in {}", .0.display())]
    Locked(PathBuf),
    /// The port is taken.
    #[error(
        "port {port} on 127.0.0.1 is in use by another program; choose one with --port, or leave it out for a free one"
    )]
    PortInUse {
        /// The port that was asked for.
        port: u16,
    },
    /// The world cannot be of this account or region.
    #[error("`{value}` is not {what}")]
    Option {
        /// What it was meant to be.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// No socket can be had.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The server's process cannot be started.
    #[error("cannot start {}: {source}", executable.display())]
    Spawn {
        /// What was to be run.
        executable: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server ended, or did not answer in time, after it was started.
    #[error("the sandbox did not start: {reason} (its log: {})", log.display())]
    NotReady {
        /// The server's last words, or how long it was waited for.
        reason: String,
        /// The server's log.
        log: PathBuf,
    },
    /// No server runs on the world.
    #[error("no sandbox runs on the world in {}; `seaworthy sandbox start` starts one", .0.display())]
    NotRunning(PathBuf),
    /// The running server was started for another account or region than is asked for.
    #[error("the world in {} is of {what} {has}, not {wanted}; `seaworthy sandbox reset` starts an empty one", dir.display())]
    OtherWorld {
        /// The world's folder.
        dir: PathBuf,
        /// "account" or "region".
        what: &'static str,
        /// The world's.
        has: String,
        /// What was asked for.
        wanted: String,
    },
    /// The running server cannot be reached or gives no sense.
    #[error("the sandbox at 127.0.0.1:{port} does not answer: {reason}")]
    Unreachable {
        /// Its port.
        port: u16,
        /// What happened.
        reason: String,
    },
    /// The running server refuses a control request.
    #[error("the sandbox refuses: {0}")]
    Refused(String),
    /// A file of faults is wrong.
    #[error("{}: {reason}", path.display())]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A server that would not end.
    #[error("the sandbox's process {pid} does not end")]
    DoesNotEnd {
        /// Its process id.
        pid: u32,
    },
}

impl Error {
    /// A file's error, for `map_err`.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}
