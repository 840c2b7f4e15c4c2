//! The Cloud Control API (`cloudcontrolapi`, AWS JSON 1.0), after botocore's model `cloudcontrol/2021-09-30`.
//!
//! What holds for every resource type is here: what a request must look like, the schema of the type, client tokens, one
//! operation a resource at a time, progress on the modelled clock. What a type does is in [`super::kinds`].

mod operate;
mod patch;
mod progress;
mod read;

use std::str::FromStr;

use catalog::{Provisioning, ResourceSchema, TypeName};
use serde_json::Value;

use super::account::Account;
use super::error::HandlerErrorCode;
use super::kinds::Failure;
use super::wire::{Input, ServiceError, violated};

/// The longest `DesiredState`, `PatchDocument` and `ResourceModel`.
const LONGEST_DOCUMENT: usize = 262_144;
const LONGEST_IDENTIFIER: usize = 1024;
const LONGEST_TOKEN: usize = 128;

/// The operations, for the error about one that there is none of.
pub(crate) const OPERATIONS: &[&str] = &[
    "CancelResourceRequest",
    "CreateResource",
    "DeleteResource",
    "GetResource",
    "GetResourceRequestStatus",
    "ListResourceRequests",
    "ListResources",
    "UpdateResource",
];

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    let input = Input(input);
    Some(match operation {
        "CreateResource" => operate::create(account, &input),
        "UpdateResource" => operate::update(account, &input),
        "DeleteResource" => operate::delete(account, &input),
        "GetResource" => read::get(account, &input),
        "ListResources" => read::list(account, &input),
        "GetResourceRequestStatus" => progress::status(account, &input),
        "ListResourceRequests" => progress::list(account, &input),
        "CancelResourceRequest" => progress::cancel(account, &input),
        _ => return None,
    })
}

/// The schema of the type that a call names, if Cloud Control can do `operation` with it.
fn schema_for(
    input: &Input<'_>,
    operation: catalog::Operation,
) -> Result<&'static ResourceSchema, ServiceError> {
    let name = input.required("TypeName", 196)?;
    let Ok(type_name) = TypeName::from_str(name) else {
        return Err(violated(
            "TypeName",
            name,
            "Member must satisfy regular expression pattern: [A-Za-z0-9]{2,64}::[A-Za-z0-9]{2,64}::[A-Za-z0-9]{2,64}",
        ));
    };
    let Some(schema) = catalog::schema(&type_name) else {
        return Err(ServiceError::bad_request(
            "TypeNotFoundException",
            format!("The type '{name}' cannot be found."),
        ));
    };
    if schema.provisioning() == Provisioning::NonProvisionable
        || schema.operation(operation).is_none()
    {
        let action = operation.as_str().to_uppercase();
        return Err(ServiceError::bad_request(
            "UnsupportedActionException",
            format!("Resource type {name} does not support {action} action"),
        ));
    }
    Ok(schema)
}

/// The identifier that a call names: the text itself, or the text that a JSON object of the primary identifier stands for.
fn identifier(input: &Input<'_>, schema: &ResourceSchema) -> Result<String, ServiceError> {
    let text = input.required("Identifier", LONGEST_IDENTIFIER)?;
    if !text.starts_with('{') {
        return Ok(text.to_owned());
    }
    let model = serde_json::from_str(text).ok();
    model
        .and_then(|model: Value| schema.identifier_of(&model))
        .ok_or_else(|| {
            ServiceError::validation(format!(
                "Identifier {text} is not valid for resource type {}",
                schema.type_name()
            ))
        })
}

/// A member that holds a JSON object as text.
fn document(input: &Input<'_>, member: &str, text: &str) -> Result<Value, ServiceError> {
    debug_assert!(input.0.get(member).is_some());
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(invalid_request(format!("{member} is not a JSON object"))),
        Err(error) => Err(invalid_request(format!(
            "{member} is not valid JSON: {error}"
        ))),
    }
}

fn invalid_request(message: impl Into<String>) -> ServiceError {
    ServiceError::bad_request("InvalidRequestException", message)
}

fn not_found(schema: &ResourceSchema, identifier: &str) -> ServiceError {
    let name = schema.type_name();
    ServiceError::bad_request(
        "ResourceNotFoundException",
        format!(
            "Resource of type '{name}' with identifier '{identifier}' was not found. (HandlerErrorCode: NotFound)"
        ),
    )
}

/// The exception of a call whose handler fails at once, as reads and lists do.
fn exception(schema: &ResourceSchema, failure: &Failure) -> ServiceError {
    // The statuses are those of botocore's model: what is marked as a fault there is the service's and has a 5xx status.
    let (status, code) = match failure.code {
        HandlerErrorCode::NotUpdatable => (400, "NotUpdatableException"),
        HandlerErrorCode::InvalidRequest
        | HandlerErrorCode::AccessDenied
        | HandlerErrorCode::UnauthorizedTaggingOperation => (400, "InvalidRequestException"),
        HandlerErrorCode::InvalidCredentials => (400, "InvalidCredentialsException"),
        HandlerErrorCode::AlreadyExists => (400, "AlreadyExistsException"),
        HandlerErrorCode::NotFound => (400, "ResourceNotFoundException"),
        HandlerErrorCode::ResourceConflict => (400, "ResourceConflictException"),
        HandlerErrorCode::Throttling => (400, "ThrottlingException"),
        HandlerErrorCode::ServiceLimitExceeded => (400, "ServiceLimitExceededException"),
        HandlerErrorCode::NotStabilized => (400, "NotStabilizedException"),
        HandlerErrorCode::GeneralServiceException => (400, "GeneralServiceException"),
        HandlerErrorCode::ServiceInternalError => (500, "ServiceInternalErrorException"),
        HandlerErrorCode::NetworkFailure | HandlerErrorCode::ServiceTimeout => {
            (502, "NetworkFailureException")
        }
        HandlerErrorCode::InternalFailure => (502, "HandlerInternalFailureException"),
    };
    let (name, message, handler) = (schema.type_name(), &failure.message, failure.code);
    ServiceError::new(
        status,
        code,
        format!("{name} Handler returned status FAILED: {message} (HandlerErrorCode: {handler})"),
    )
}
