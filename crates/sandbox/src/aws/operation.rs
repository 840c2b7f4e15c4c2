//! One request of Cloud Control that goes on after its call was answered.

use catalog::TypeName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::HandlerErrorCode;
use super::kinds::{Effect, Wait};
use super::world::Phase;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OperationKind {
    Create,
    Update,
    Delete,
}

impl OperationKind {
    /// The word of the progress event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// The operation of the type's schema that handles it.
    #[must_use]
    pub fn handler(self) -> catalog::Operation {
        match self {
            Self::Create => catalog::Operation::Create,
            Self::Update => catalog::Operation::Update,
            Self::Delete => catalog::Operation::Delete,
        }
    }
}

/// Why an operation fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: HandlerErrorCode,
    pub message: String,
}

/// What happens when a running operation's time is over. It is decided when the operation begins, so that a run of the
/// sandbox that was killed and one that was not end alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// Why it fails, if it does.
    pub failure: Option<Reason>,
    /// What becomes of the resource.
    pub fate: Fate,
    /// What happens to other resources then.
    pub effects: Vec<Effect>,
}

/// What an operation waits for besides its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// What it waits for; once that is there, the operation ends.
    pub what: Wait,
    /// Why it fails if that is not there when its time is over; none where somebody outside will have seen to it.
    pub otherwise: Option<Reason>,
}

/// What becomes of the resource that an operation is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fate {
    /// There is none, or it is somebody else's.
    Untouched,
    /// It stays, with another model if there is one here.
    Stays { phase: Phase, model: Option<Value> },
    /// It goes.
    Removed,
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Status {
    /// Until `ends_at`.
    InProgress(Box<Ending>),
    Success,
    Failed(Reason),
    CancelComplete,
}

impl Status {
    /// The word of the progress event.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress(_) => "IN_PROGRESS",
            Self::Success => "SUCCESS",
            Self::Failed(_) => "FAILED",
            Self::CancelComplete => "CANCEL_COMPLETE",
        }
    }
}

/// A request and how far it is. Times are modelled seconds since the world began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The request's own token.
    pub request_token: String,
    /// The caller's token.
    pub client_token: Option<String>,
    /// A hash of what was asked for, by which a caller's token that is used again is judged.
    pub fingerprint: String,
    pub kind: OperationKind,
    pub type_name: TypeName,
    /// The resource's identifier; none where a create failed before there was one.
    pub identifier: Option<String>,
    /// From when on the progress event tells the identifier.
    pub identifier_from: f64,
    pub began_at: f64,
    /// When it ends, unless what it waits for is there sooner.
    pub ends_at: f64,
    /// What it waits for.
    pub waits_for: Option<Waiting>,
    pub status: Status,
    /// When it reached its present status.
    pub since: f64,
}

impl Operation {
    /// Whether it still runs.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::InProgress(_))
    }
}
