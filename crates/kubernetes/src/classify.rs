//! What an API server's error means for whoever made the call.
//!
//! Sources: the reasons and causes of `k8s.io/apimachinery/pkg/apis/meta/v1` (`StatusReason*`, `CauseType*`), the messages of
//! the API server's webhook dispatcher ("failed calling webhook"), and of its namespace lifecycle admission.

use engine::provider::{ErrorClass, ProviderError};
use kube::core::Status;

use crate::owner::MANAGER;

/// What was called, and for what: how a connection that does not come about is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To begin or follow an operation: a cluster that was made a moment ago may take minutes to be found by its name.
    Change,
    /// To look: whoever looks does not want to wait.
    Look,
}

/// An error of ours.
pub(crate) fn error(class: ErrorClass, code: &str, message: impl Into<String>) -> ProviderError {
    ProviderError {
        class,
        code: code.to_owned(),
        message: message.into(),
    }
}

/// An error of kube's, with what it happened to (`Deployment web in shop`).
pub(crate) fn classified(failure: &kube::Error, about: &str, purpose: Purpose) -> ProviderError {
    match failure {
        kube::Error::Api(status) => of_status(status, about),
        kube::Error::SerdeError(source) => error(
            ErrorClass::Retryable,
            "MalformedResponse",
            format!("the answer about {about} is not what the API says: {source}"),
        ),
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => error(
            ErrorClass::Terminal,
            "InvalidRequest",
            format!("{about}: {failure}"),
        ),
        other => error(
            match purpose {
                Purpose::Change => ErrorClass::NotReady,
                Purpose::Look => ErrorClass::Unreachable,
            },
            "ClusterUnreachable",
            format!(
                "the cluster's API server can't be reached: {}",
                chain(other)
            ),
        ),
    }
}

/// An error with its causes.
fn chain(failure: &dyn std::error::Error) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

fn of_status(status: &Status, about: &str) -> ProviderError {
    let code = match status.reason.as_str() {
        "" => format!("HttpStatus{}", status.code),
        reason => reason.to_owned(),
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts: Vec<(&str, &str)> = causes
        .clone()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| (cause.message.as_str(), cause.field.as_str()))
        .collect();
    if !conflicts.is_empty() {
        return error(
            ErrorClass::Terminal,
            "FieldManagerConflict",
            conflict(about, &conflicts),
        );
    }
    let terminating = causes
        .clone()
        .any(|cause| cause.reason == "NamespaceTerminating");
    let message = &status.message;
    let class = match (status.code, code.as_str()) {
        // The cluster is being emptied there, or is not up.
        _ if terminating || message.contains("because it is being terminated") => {
            ErrorClass::NotReady
        }
        _ if webhook_is_not_ready(message) => ErrorClass::NotReady,
        (429, _) => ErrorClass::Throttled,
        (401, _) | (403, "Forbidden") => ErrorClass::Denied,
        (404, _) => ErrorClass::NotFound,
        (409, "AlreadyExists") => ErrorClass::AlreadyExists,
        // Somebody wrote in between: what is there now is looked at again.
        (409, _) => ErrorClass::Retryable,
        (408 | 500 | 502 | 503 | 504, _) => ErrorClass::Retryable,
        _ => ErrorClass::Terminal,
    };
    let message = match (class.clone(), status.code) {
        (ErrorClass::Denied, 401) => format!(
            "{message}: the cluster does not know who we are; the deployer needs an access entry of the cluster (cluster.admins), and its credentials must be those of the account"
        ),
        (ErrorClass::Denied, _) => {
            format!("{message}: the access entry of the deployer has no policy that allows it")
        }
        _ if message.contains(about) => message.clone(),
        _ => format!("{about}: {message}"),
    };
    ProviderError {
        class,
        code,
        message,
    }
}

/// A webhook that has no pods yet, or whose certificate is not in place yet.
pub(crate) fn webhook_is_not_ready(message: &str) -> bool {
    const PASSING: [&str; 8] = [
        "no endpoints available",
        "connection refused",
        "context deadline exceeded",
        "x509:",
        "no such host",
        "not found",
        "EOF",
        "i/o timeout",
    ];
    message.contains("failed calling webhook")
        && PASSING.iter().any(|reason| message.contains(reason))
}

/// Who else decides which fields, and what to do about it.
fn conflict(about: &str, conflicts: &[(&str, &str)]) -> String {
    let fields: Vec<String> = conflicts
        .iter()
        .map(|(by, field)| {
            // `conflict with "kubectl" using apps/v1 at 2026-…`
            let manager = by.split('"').nth(1).unwrap_or(by);
            format!("{field} (by {manager})")
        })
        .collect();
    format!(
        "{about}: others have set fields that the platform decides: {}. To let them, take the fields out of the spec; to set \
         them again, deploy with --force-conflicts (whoever has set them may do it again); `kubectl get … -o yaml \
         --show-managed-fields` shows who sets what ({MANAGER} is us)",
        fields.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn of(document: Json) -> ProviderError {
        of_status(
            &serde_json::from_value(document).unwrap(),
            "Deployment web in shop",
        )
    }

    #[test]
    fn a_conflict_names_manager_and_field_and_what_to_do() {
        let found = of(json!({
            "code": 409, "reason": "Conflict", "status": "Failure",
            "message": "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas",
            "details": {"causes": [{
                "reason": "FieldManagerConflict", "field": ".spec.replicas",
                "message": "conflict with \"kubectl\" using apps/v1",
            }]},
        }));
        assert_eq!(
            (found.class, found.code.as_str()),
            (ErrorClass::Terminal, "FieldManagerConflict")
        );
        for word in [
            ".spec.replicas (by kubectl)",
            "--force-conflicts",
            "Deployment web in shop",
        ] {
            assert!(found.message.contains(word), "{}", found.message);
        }
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let class = |code: u16, reason: &str, message: &str, cause: &str| {
            of(json!({
                "code": code, "reason": reason, "message": message, "status": "Failure",
                "details": {"causes": [{"reason": cause, "message": ""}]},
            }))
            .class
        };
        let terminating =
            "unable to create new content in namespace shop because it is being terminated";
        let cases = [
            (
                class(403, "Forbidden", terminating, "NamespaceTerminating"),
                ErrorClass::NotReady,
            ),
            (
                class(403, "Forbidden", "deployments.apps is forbidden", ""),
                ErrorClass::Denied,
            ),
            (
                class(401, "Unauthorized", "Unauthorized", ""),
                ErrorClass::Denied,
            ),
            (
                class(
                    500,
                    "InternalError",
                    "Internal error occurred: failed calling webhook \"v.karpenter.sh\": no endpoints available for service \"karpenter\"",
                    "",
                ),
                ErrorClass::NotReady,
            ),
            (
                class(
                    400,
                    "BadRequest",
                    "admission webhook \"v\" denied the request: no",
                    "",
                ),
                ErrorClass::Terminal,
            ),
            (
                class(422, "Invalid", "spec.replicas: Invalid value", ""),
                ErrorClass::Terminal,
            ),
            (
                class(409, "Conflict", "the object has been modified", ""),
                ErrorClass::Retryable,
            ),
            (
                class(409, "AlreadyExists", "it is there", ""),
                ErrorClass::AlreadyExists,
            ),
            (
                class(429, "TooManyRequests", "slow down", ""),
                ErrorClass::Throttled,
            ),
            (
                class(404, "NotFound", "not found", ""),
                ErrorClass::NotFound,
            ),
            (
                class(503, "ServiceUnavailable", "apiserver not ready", ""),
                ErrorClass::Retryable,
            ),
        ];
        for (found, wanted) in cases {
            assert_eq!(found, wanted);
        }
    }
}
