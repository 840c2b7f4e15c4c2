//! What each resource type does when it is created, updated, deleted, read and listed: pure rules over the world.

use catalog::TypeName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::HandlerErrorCode;
use super::ids::Ids;
use super::world::{Entry, World};
use crate::Settings;

/// What a rule sees.
pub struct Context<'a> {
    /// Every resource there is.
    pub world: &'a World,
    /// Modelled seconds since the world began.
    pub now: f64,
    /// The wall time in seconds since 1970: the date on which versions are or are no longer to be had.
    pub epoch_seconds: f64,
    /// Who asks.
    pub caller_arn: &'a str,
    /// Quotas, delays, names.
    pub settings: &'a Settings,
}

/// What a handler does, and how long it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Cloud Control's identifier of the resource.
    pub identifier: String,
    /// The full model that the resource has once the handler is done.
    pub model: Value,
    /// What happens to other resources: of a create and an update when the operation begins, of a delete when it ends.
    pub effects: Vec<Effect>,
    /// Modelled seconds until the handler is done.
    pub duration: f64,
    /// What the operation waits for besides.
    pub waits_for: Option<Wait>,
}

/// What an operation waits for from outside the handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Wait {
    /// DNS records (name, value) that a certificate's validation looks for. The operation ends when each is in a hosted
    /// zone of the world, or after `duration` where the sandbox plays the external DNS provider.
    DnsRecords(Vec<(String, String)>),
}

/// A change of a resource other than the one operated on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Put it in, or in place of the one there.
    Put(Entry),
    /// Take it out.
    Remove {
        /// The type of what is taken out.
        type_name: TypeName,
        /// Its identifier.
        identifier: String,
    },
}

/// Why a handler fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The code of the progress event.
    pub code: HandlerErrorCode,
    /// AWS's own words.
    pub message: String,
    /// What a failed create leaves behind.
    pub remnant: Option<Outcome>,
}

fn unmodelled(type_name: &TypeName) -> Failure {
    Failure {
        code: HandlerErrorCode::InternalFailure,
        message: format!("the sandbox has no rule for {type_name}"),
        remnant: None,
    }
}

/// Creates a resource.
///
/// # Errors
/// What the type's real create handler refuses.
pub fn create(_: &Context<'_>, type_name: &TypeName, _desired: &Value, _ids: &mut Ids) -> Result<Outcome, Failure> {
    Err(unmodelled(type_name))
}

/// Updates a resource to the proposed model.
///
/// # Errors
/// What the type's real update handler refuses.
pub fn update(_: &Context<'_>, entry: &Entry, _proposed: &Value, _ids: &mut Ids) -> Result<Outcome, Failure> {
    Err(unmodelled(&entry.type_name))
}

/// Deletes a resource.
///
/// # Errors
/// What the type's real delete handler refuses.
pub fn delete(_: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    Err(unmodelled(&entry.type_name))
}

/// What a read returns: the model without write-only and private properties.
#[must_use]
pub fn visible(entry: &Entry) -> Value {
    entry.model.clone()
}

/// The identifiers and properties of the resources of a type.
///
/// # Errors
/// Where the resource model lacks what the type's list handler needs.
pub fn list(cx: &Context<'_>, type_name: &TypeName, _resource_model: Option<&Value>) -> Result<Vec<(String, Value)>, Failure> {
    Ok(cx.world.of_type(type_name).map(|entry| (entry.identifier.clone(), visible(entry))).collect())
}
