//! The port to whatever makes resources. It speaks in resource types, identifiers and property documents; it knows
//! nothing of plans.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use catalog::TypeName;
use catalog::ids::{Address, ClientToken, Identifier, RequestToken};
use graph::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A property document on its way to the provider: secrets are in it. Never written, never printed.
#[derive(Clone, PartialEq)]
pub struct Payload(Json);

impl Payload {
    /// Wraps a document.
    pub fn new(document: Json) -> Self {
        Self(document)
    }

    /// The document, for the call itself.
    pub fn expose(&self) -> &Json {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(…)")
    }
}

/// A secret's text. Never written, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the call itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// What an error means for whoever made the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorClass {
    /// Too many calls: slow down and try again.
    Throttled,
    /// The other side's trouble, or another operation on the same resource: try again.
    Retryable,
    /// Something that was made a moment ago (an IAM role) is not known everywhere yet: try again for about a minute.
    Propagation,
    /// Something in the cluster that it needs is not ready yet (a custom resource's definition, a webhook's pods), or not
    /// gone yet (a namespace that is being emptied): try again for some minutes.
    NotReady,
    /// The other side can't be reached at all.
    Unreachable,
    /// The resource is not there.
    NotFound,
    /// A resource of this name or identity is there already.
    AlreadyExists,
    /// The client token belongs to another call; this is that call's operation, if the message named it.
    TokenConflict(Option<RequestToken>),
    /// The operation is not known (any more).
    OperationUnknown,
    /// The credentials are wrong, expired, or not allowed to do this.
    Denied,
    /// Trying again changes nothing.
    Terminal,
}

impl ErrorClass {
    /// Whether the call that failed so may have had its effect all the same.
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Throttled | Self::Retryable | Self::Unreachable)
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Throttled
                | Self::Retryable
                | Self::Propagation
                | Self::NotReady
                | Self::Unreachable
        )
    }
}

/// An error of the provider, in AWS's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ProviderError {
    /// What it means.
    pub class: ErrorClass,
    /// AWS's code (`InvalidRequest`, `ThrottlingException`).
    pub code: String,
    /// AWS's words.
    pub message: String,
}

/// How an operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It goes on.
    InProgress,
    /// It is done.
    Success,
    /// It ended without success. If [`Progress::identifier`] is given, something was left behind.
    Failed(ProviderError),
}

/// What is known of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The provider's token of it; none when it was done at once.
    pub operation: Option<RequestToken>,
    /// The resource's identifier, as soon as it is known.
    pub identifier: Option<Identifier>,
    /// How it stands.
    pub status: Status,
    /// How long to wait before asking again, in real time; the engine chooses when this is none.
    pub retry_after: Option<Duration>,
    /// What a person should know or do while it goes on (DNS records to make for a certificate).
    pub note: Option<String>,
}

/// A resource that carries our owner tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owned {
    /// Its ARN.
    pub arn: String,
    /// Its address tag, if it is one.
    pub address: Option<Address>,
}

/// Makes, reads, changes and deletes resources of any type.
///
/// Guarantees: `begin_*` with a token that was used before for the same call returns that call's progress and does
/// nothing twice. Errors are classed as [`ErrorClass`] says; a provider never retries for longer than a moment by itself
/// and never sleeps out a throttle, that is the engine's part.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Begins to create a resource.
    async fn begin_create(
        &self,
        type_name: &TypeName,
        desired: &Payload,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError>;

    /// Begins to bring a resource from what it is to `desired`. `previous` are the properties that were last applied:
    /// what is in them and no longer in `desired` is taken away. Success at once when there is nothing to change.
    async fn begin_update(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        desired: &Payload,
        previous: &Json,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError>;

    /// Begins to delete a resource. Success at once when it is not there.
    async fn begin_delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError>;

    /// Asks how an operation stands.
    async fn poll(
        &self,
        type_name: &TypeName,
        operation: &RequestToken,
    ) -> Result<Progress, ProviderError>;

    /// Reads a resource's model: no write-only property is in it. None when it is not there.
    async fn read(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Option<Json>, ProviderError>;

    /// Reads a resource's model as far as it can be compared with `applied`, its desired properties: in a cluster, where
    /// others write into the same object, what of it is ours. No secret is in it: where `applied` has one's reference, so has
    /// the model.
    async fn observe(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        applied: &Json,
    ) -> Result<Option<Json>, ProviderError> {
        let _ = applied;
        self.read(type_name, identifier).await
    }

    /// Looks for a resource that a lost call may have made: by owner tag (`address`), by its deterministic name, or in
    /// its parent's list. `desired` are its properties, references resolved, secrets left as references.
    async fn find(
        &self,
        scope: &Scope,
        address: &Address,
        type_name: &TypeName,
        desired: &Json,
    ) -> Result<Option<Identifier>, ProviderError>;

    /// Everything that carries the scope's owner tags.
    async fn owned(&self, scope: &Scope) -> Result<Vec<Owned>, ProviderError>;

    /// A secret's value, or the value of one key of it.
    async fn secret(
        &self,
        secret: &Identifier,
        key: Option<&str>,
    ) -> Result<SecretText, ProviderError>;
}
