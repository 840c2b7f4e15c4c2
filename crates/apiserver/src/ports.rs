//! What the server asks of those who run it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

/// The cluster's time: what timestamps in objects are taken from. It may run faster than the wall clock.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Who a request comes from, as `authentication.k8s.io/v1` has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInfo {
    pub username: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Why a token is no good. The reason is for the server's log; the client learns `Unauthorized`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);

/// Knows whom bearer tokens of a kind belong to (EKS tokens; service-account tokens are the server's own).
pub trait Authenticator: Send + Sync {
    /// `None` when the token is not of its kind: the next one is asked.
    fn authenticate(&self, token: &str) -> Option<Result<UserInfo, Rejected>>;

    /// What EKS access policies grant a user, as RBAC rules (`PolicyRule` documents), with the namespaces that each is limited
    /// to (empty: the whole cluster).
    fn grants(&self, user: &UserInfo) -> Vec<Grant>;
}

/// Rules that a user has from outside of RBAC.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Where it comes from, for `kubectl auth can-i` and the log.
    pub source: String,
    pub namespaces: Vec<String>,
    pub rules: Vec<Json>,
}

/// What simulated containers print.
pub trait Logs: Send + Sync {
    /// The lines of a container of a pod (its whole object) so far, each with its time, the oldest first.
    fn lines(&self, pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)>;

    /// The same of its run before this one; nothing if there was none.
    fn previous(&self, _: &Json, _container: &str, _now: Timestamp) -> Vec<(Timestamp, String)> {
        Vec::new()
    }
}

/// What a container or a node uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub cpu_milli: u64,
    pub memory_bytes: u64,
}

/// The load model behind `metrics.k8s.io`.
pub trait Metrics: Send + Sync {
    /// By container; `None` while nothing is known yet.
    fn pod(&self, namespace: &str, name: &str) -> Option<Vec<(String, Usage)>>;
    fn node(&self, name: &str) -> Option<Usage>;
    /// Over which time usage is measured.
    fn window(&self) -> Duration {
        Duration::from_secs(15)
    }
}
