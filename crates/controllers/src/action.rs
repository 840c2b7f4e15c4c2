//! What a controller wants done.

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::cloud::CloudAction;
use crate::shelf::Key;

/// An object, by what it is and its name. `resource` and `group` are those of the API's path (`deployments`, `apps`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub group: String,
    pub resource: String,
    pub key: Key,
}

impl Reference {
    #[must_use]
    pub fn new(group: &str, resource: &str, key: &Key) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
            key: key.clone(),
        }
    }
}

/// The type of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Normal,
    Warning,
}

/// One thing to do. Objects are whole documents with `apiVersion` and `kind`.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Creates an object; nothing happens if its name is taken.
    Create(Json),
    /// Replaces an object. The `resourceVersion` that it carries must still be the stored one, or nothing happens.
    Update(Json),
    /// The same of its status alone.
    UpdateStatus(Json),
    /// A merge patch (RFC 7386), unconditional unless it names a `resourceVersion` or a `uid`; of the status when `subresource` says
    /// so, and of a namespace's `spec.finalizers` when it says `finalize`.
    Patch {
        of: Reference,
        subresource: Option<&'static str>,
        patch: Json,
    },
    /// Deletes an object if it is still the one with this uid. `grace` in seconds, for pods (0 removes it at once: the kubelet's
    /// last word).
    Delete {
        of: Reference,
        uid: String,
        grace: Option<i64>,
        propagation: Option<&'static str>,
    },
    /// Puts a pod on a node.
    Bind { pod: Key, node: String },
    /// Evicts a pod, unless a PodDisruptionBudget forbids it.
    Evict { pod: Key, uid: String },
    /// Tells of something; the same told again counts up the event that is there.
    Event {
        about: Json,
        kind: EventKind,
        reason: String,
        message: String,
    },
    /// One after another, up to the first that does nothing: an Event that tells of a Create comes only if it created.
    InTurn(Vec<Action>),
    /// Something of the embedded AWS.
    Cloud(CloudAction),
}

/// What came of looking at a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    pub actions: Vec<Action>,
    /// When to look again although nothing has changed.
    pub again: Option<Timestamp>,
}

impl Outcome {
    /// Nothing to do.
    #[must_use]
    pub fn settled() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn of(actions: Vec<Action>) -> Self {
        Self {
            actions,
            again: None,
        }
    }

    /// Looks again at `at`, or earlier if that was said before.
    #[must_use]
    pub fn again_at(mut self, at: Timestamp) -> Self {
        self.again = Some(self.again.map_or(at, |other| other.min(at)));
        self
    }
}
