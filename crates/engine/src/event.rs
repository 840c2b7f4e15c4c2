//! What happened, as the journal keeps it.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use catalog::ids::{Address, ClientToken, Identifier, RequestToken, RunId};
use graph::{Lifecycle, Parameter, Summary};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::provider::ProviderError;

/// What happened. No secret is in it: properties hold references to secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "event",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A run has begun. An earlier one that has not ended died.
    RunStarted {
        /// The run.
        run: RunId,
        /// What it is for.
        kind: RunKind,
        /// The hash of the spec that it applies.
        spec_hash: String,
        /// What it is going to do.
        summary: Summary,
    },
    /// What is known of the account.
    ParametersResolved {
        /// The values; those that are known already stay as they are.
        parameters: BTreeMap<Parameter, String>,
    },
    /// An operation is about to be asked for: written before the call.
    OperationStarted(Box<Intent>),
    /// The operation was accepted; or its resource's identifier has become known.
    OperationAccepted {
        /// The resource.
        address: Address,
        /// The provider's token of the operation.
        request: RequestToken,
        /// The resource's identifier, if it is known.
        identifier: Option<Identifier>,
    },
    /// The operation is done.
    OperationSucceeded {
        /// The resource.
        address: Address,
        /// Its identifier and model; none after a deletion.
        made: Option<Made>,
    },
    /// The operation ended without success.
    OperationFailed {
        /// The resource.
        address: Address,
        /// Why.
        error: ProviderError,
        /// What a failed create left behind.
        remnant: Option<Identifier>,
    },
    /// A resource was found: one that is somebody else's, or ours that a lost call had made.
    Found {
        /// What is wanted, and where it was found.
        intent: Box<Intent>,
        /// Its identifier and model.
        made: Made,
    },
    /// A resource stays in AWS and is not ours to know any more.
    Forgotten {
        /// The resource.
        address: Address,
    },
    /// What a resource needs, or whose it is, has changed; it has not.
    Noted {
        /// The resource.
        address: Address,
        /// What it needs.
        needs: BTreeSet<Address>,
        /// Whose it is.
        lifecycle: Lifecycle,
    },
    /// A run has ended.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        outcome: Outcome,
    },
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunKind {
    /// To make what is wanted.
    Deploy,
    /// To delete everything.
    Destroy,
}

impl RunKind {
    /// Its name, as the history of a state shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Destroy => "destroy",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Everything was done.
    Completed,
    /// Something failed; the rest was done.
    Failed,
    /// It was stopped.
    Interrupted,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperationKind {
    /// It makes a resource.
    Create,
    /// It changes one.
    Update,
    /// It deletes one.
    Delete,
    /// It reads one.
    Read,
}

/// An operation that is about to be asked for: everything that is needed to ask for it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The resource.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// What is to be done.
    pub kind: OperationKind,
    /// The idempotency token of the call.
    pub token: ClientToken,
    /// SHA-256 of the properties, in hex.
    pub payload_hash: String,
    /// The desired properties, secrets left as references; null for a deletion.
    pub properties: Json,
    /// The resource's identifier, if it exists.
    pub identifier: Option<Identifier>,
    /// What it needs.
    pub needs: BTreeSet<Address>,
    /// Whose it is.
    pub lifecycle: Lifecycle,
}

/// A resource as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Its identifier.
    pub identifier: Identifier,
    /// Its model as read.
    pub attributes: Json,
}
