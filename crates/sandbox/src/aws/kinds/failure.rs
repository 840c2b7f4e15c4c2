//! How handlers fail: AWS's words as Cloud Control passes them on.
//!
//! A handler reports its service's message with the Java SDK's suffix: `The subnet ID 'subnet-0…' does not exist
//! (Service: Ec2, Status Code: 400, Request ID: …) (SDK Attempt Count: 1)`, as seen in CloudFormation events.

use sha2::{Digest, Sha256};

use super::{Failure, Outcome};
use crate::aws::error::HandlerErrorCode;

fn said(code: HandlerErrorCode, service: &str, status: u16, message: &str) -> Failure {
    let digest = hex::encode(Sha256::digest(message.as_bytes()));
    let request = format!(
        "{}-{}-4{}-a{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    );
    Failure {
        code,
        message: format!(
            "{message} (Service: {service}, Status Code: {status}, Request ID: {request}) (SDK Attempt Count: 1)"
        ),
        remnant: None,
    }
}

/// The request is wrong as it stands. EC2's handlers report a missing reference and a dependency violation so, too
/// (CloudFormation events: "The subnet ID '…' does not exist", "… has dependencies and cannot be deleted").
pub(super) fn invalid(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::InvalidRequest,
        service,
        400,
        message.as_ref(),
    )
}

/// What the request names is not there.
pub(super) fn not_found(service: &str, message: impl AsRef<str>) -> Failure {
    said(HandlerErrorCode::NotFound, service, 404, message.as_ref())
}

/// The name is taken.
pub(super) fn exists(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::AlreadyExists,
        service,
        409,
        message.as_ref(),
    )
}

/// Something else is going on with the resource or depends on it; retriable by AWS's contract.
pub(super) fn conflict(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::ResourceConflict,
        service,
        409,
        message.as_ref(),
    )
}

/// A quota is used up.
pub(super) fn limit(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::ServiceLimitExceeded,
        service,
        400,
        message.as_ref(),
    )
}

/// The service's own trouble.
pub(super) fn internal(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::ServiceInternalError,
        service,
        500,
        message.as_ref(),
    )
}

/// The service refuses for a reason that its handler has no code for.
pub(super) fn general(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::GeneralServiceException,
        service,
        400,
        message.as_ref(),
    )
}

/// The caller may not do this.
pub(super) fn denied(service: &str, message: impl AsRef<str>) -> Failure {
    said(
        HandlerErrorCode::AccessDenied,
        service,
        403,
        message.as_ref(),
    )
}

/// The resource was made but never became healthy: it stays behind as a remnant.
pub(super) fn not_stabilized(message: impl Into<String>, remnant: Option<Outcome>) -> Failure {
    Failure {
        code: HandlerErrorCode::NotStabilized,
        message: message.into(),
        remnant,
    }
}

/// The property cannot be changed in place.
pub(super) fn not_updatable(type_name: &str, property: &str) -> Failure {
    Failure {
        code: HandlerErrorCode::NotUpdatable,
        message: format!(
            "Invalid patch update: createOnlyProperties [/properties/{property}] of {type_name} cannot be updated"
        ),
        remnant: None,
    }
}

/// The handler's own words for a resource that is not there.
pub(super) fn resource_not_found(type_name: &str, identifier: &str) -> Failure {
    Failure {
        code: HandlerErrorCode::NotFound,
        message: format!(
            "Resource of type '{type_name}' with identifier '{identifier}' was not found."
        ),
        remnant: None,
    }
}

/// The handler's own words for a name that is taken.
pub(super) fn resource_exists(type_name: &str, identifier: &str) -> Failure {
    Failure {
        code: HandlerErrorCode::AlreadyExists,
        message: format!(
            "Resource of type '{type_name}' with identifier '{identifier}' already exists."
        ),
        remnant: None,
    }
}
