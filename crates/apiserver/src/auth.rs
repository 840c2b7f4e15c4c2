//! Who a request comes from, and what they may do.
//!
//! [`Gate`] stands before every request. It asks its own service-account tokens first, then the authenticators that it was
//! given; whom nobody knows is `system:anonymous` without a token, and refused with one. What they may do is said by RBAC, by
//! the rules for nodes, and by what authenticators grant beside it (EKS access policies), in this order; all of them only allow.

mod access;
mod escalation;
mod identity;
mod key;
mod reviews;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use apimachinery::Status;
use apimachinery::rbac::{Rules, Subject};
use jiff::Timestamp;
use serde_json::Value as Json;

use self::access::KnownGrants;
use self::key::SigningKey;
use crate::ports::{Authenticator, UserInfo};

/// What the gate reads of the cluster. The registry satisfies it.
pub trait PolicySource: Send + Sync {
    /// A number that is another one whenever a Role, ClusterRole, RoleBinding or ClusterRoleBinding has changed. Asked for
    /// on every request: it must cost nothing.
    fn policy_version(&self) -> u64;

    /// All Role, ClusterRole, RoleBinding and ClusterRoleBinding documents. Read once for each version.
    fn policy_objects(&self) -> Vec<Json>;

    /// One object, for what tokens are bound to: `serviceaccounts`, `pods`, `secrets`, `nodes` of the core group.
    fn bound_object(&self, resource: &str, namespace: &str, name: &str) -> Option<BoundObject>;
}

/// What the gate needs to know of an object that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundObject {
    pub uid: String,
    /// Of pods: `spec.serviceAccountName`.
    pub service_account: String,
    /// Of pods: `spec.nodeName`.
    pub node: String,
}

/// How tokens are made and whom the gate asks.
pub struct GateOptions {
    /// Asked in turn for tokens that are not the server's own.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// The issuer of service-account tokens (`https://oidc.eks.eu-west-1.amazonaws.com/id/…`).
    pub issuer: String,
    /// The audiences that the server itself takes tokens for; tokens are for these unless others are asked for.
    pub audiences: Vec<String>,
}

/// Whom a request asks to be taken for (`Impersonate-User` and the headers beside it; `kubectl --as`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Impersonation {
    pub user: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Stands before every request: authenticates, authorizes, reviews, and issues service-account tokens.
pub struct Gate {
    options: GateOptions,
    source: Arc<dyn PolicySource>,
    key: SigningKey,
    /// The index of RBAC, and the version that it is of.
    rules: RwLock<Option<(u64, Arc<Rules>)>>,
    grants: Mutex<KnownGrants>,
    /// Tokens are dated by the machine's clock and not by the cluster's, which may run faster: clients decide by their own
    /// clocks when a token is to be renewed.
    wall_clock: fn() -> Timestamp,
}

const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

impl Gate {
    /// Opens the gate of the server whose folder this is: the signing key is made there if it is missing (mode 0600).
    ///
    /// # Errors
    /// The key cannot be read, is damaged, or cannot be written.
    pub fn open(
        folder: &Path,
        options: GateOptions,
        source: Arc<dyn PolicySource>,
    ) -> io::Result<Self> {
        Ok(Self {
            options,
            source,
            key: SigningKey::open(folder)?,
            rules: RwLock::default(),
            grants: Mutex::default(),
            wall_clock: Timestamp::now,
        })
    }
}

/// Who asks, as RBAC knows them.
fn subject(user: &UserInfo) -> Subject<'_> {
    Subject {
        user: &user.username,
        groups: &user.groups,
    }
}

/// The namespace and the name of a service account's user.
fn service_account_of(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The groups that every service account of a namespace is in.
fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
    ]
}

/// A 422 about one field of a request that is not stored.
fn invalid(group: &str, kind: &str, name: &str, field: &str, message: &str) -> Status {
    let cause = apimachinery::status::Cause {
        reason: "FieldValueInvalid".to_owned(),
        message: message.to_owned(),
        field: field.to_owned(),
    };
    Status::invalid(group, kind, name, vec![cause])
}
