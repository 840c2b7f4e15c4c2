//! What a run tells whoever watches it.

use std::time::Duration;

use catalog::TypeName;
use catalog::ids::Address;
use jiff::Timestamp;
use serde::Serialize;

use crate::event::OperationKind;

/// Something that happened in a run, for people to see. The journal is what counts; this is only said.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// The resource.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// What is done with it.
    pub operation: OperationKind,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "what",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum What {
    /// It has begun.
    Started {
        /// How long it takes as a rule, at AWS.
        typical: Duration,
        /// How long the longest chain is that begins with it, at AWS.
        remaining: Duration,
    },
    /// It waits for something that a person should know of or do.
    Waiting {
        /// For what.
        note: String,
    },
    /// It is tried again.
    Retrying {
        /// Why.
        reason: String,
        /// When, on the wall.
        after: Duration,
    },
    /// It is done.
    Finished {
        /// AWS's identifier.
        identifier: Option<String>,
        /// How long it took, on the wall.
        took: Duration,
    },
    /// It has failed.
    Failed {
        /// Why, in AWS's own words.
        error: String,
    },
    /// It was not begun, because of another that failed or was not begun.
    Skipped {
        /// Because of which.
        because: Address,
    },
}

/// Where notices go. Called from the run's own tasks: it must not block.
pub type Observer = std::sync::Arc<dyn Fn(Notice) + Send + Sync>;
