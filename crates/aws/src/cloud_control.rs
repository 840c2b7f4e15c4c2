//! The Cloud Control API: one way to create, read, update, delete and list resources of any type.
//!
//! - A client token goes with each change, so that a call whose answer was lost is asked for again and nothing happens
//!   twice; tokens are the caller's, who has written them down before.
//! - An operation that AWS has accepted goes on without us; [`CloudControl::poll`] asks how it stands.
//! - `read` is one GetResource. Straight after a success it may find nothing for a moment: whoever knows that the
//!   resource was just made (the engine does, this module can't) asks again a few times.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudcontrol::Client;
use aws_sdk_cloudcontrol::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudcontrol::types::{HookProgressEvent, Operation, OperationStatus, ProgressEvent};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::display::DisplayErrorContext;
use catalog::ids::{ClientToken, Identifier, RequestToken};
use catalog::{ResourceSchema, TypeName};
use engine::provider::{ErrorClass, Progress, ProviderError, Status};
use serde_json::Value;

use crate::classify;
use crate::patch::{patch, without_nulls};
use crate::session::Session;

/// Longest document that the API takes (botocore, cloudcontrol/2021-09-30, `Properties`).
const LONGEST_DOCUMENT: usize = 262_144;
/// The longest wait that an answer can ask for; longer ones come from a clock that is wrong here or there.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A resource in a list: its identifier, and as much of its model as AWS cared to send.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    pub(crate) identifier: Identifier,
    pub(crate) properties: Value,
}

/// The Cloud Control client.
#[derive(Debug, Clone)]
pub(crate) struct CloudControl {
    session: Session,
    client: Client,
}

impl CloudControl {
    pub(crate) fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
            client: Client::new(session.config()),
        }
    }

    /// Fetches credentials first: without them the SDK's own error would say no more than "dispatch failure".
    async fn client(&self) -> Result<&Client, ProviderError> {
        self.session.credentials().await?;
        Ok(&self.client)
    }

    pub(crate) async fn create(
        &self,
        type_name: &TypeName,
        desired: &Value,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let document = without_nulls(desired).to_string();
        check_length(type_name, &document)?;
        let output = self
            .client()
            .await?
            .create_resource()
            .type_name(type_name.as_str())
            .desired_state(document)
            .client_token(token.as_str())
            .send()
            .await
            .map_err(sdk_error)?;
        tracing::debug!(%type_name, "create accepted");
        progress(output.progress_event, &[])
    }

    pub(crate) async fn update(
        &self,
        schema: &ResourceSchema,
        identifier: &Identifier,
        desired: &Value,
        previous: &Value,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let type_name = schema.type_name();
        let Some(live) = self.read(type_name, identifier).await? else {
            return Err(ProviderError {
                class: ErrorClass::NotFound,
                code: "NotFound".to_owned(),
                message: format!("there is no {type_name} {identifier} to update"),
            });
        };
        let operations = patch(schema, &live, desired, previous);
        if operations.is_empty() {
            tracing::debug!(%type_name, %identifier, "nothing to update");
            return Ok(done(Some(identifier.clone())));
        }
        let count = operations.len();
        let document = Value::Array(operations).to_string();
        check_length(type_name, &document)?;
        let output = self
            .client()
            .await?
            .update_resource()
            .type_name(type_name.as_str())
            .identifier(identifier.as_str())
            .patch_document(document)
            .client_token(token.as_str())
            .send()
            .await
            .map_err(sdk_error)?;
        tracing::debug!(%type_name, %identifier, operations = count, "update accepted");
        progress(output.progress_event, &[])
    }

    pub(crate) async fn delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let result = self
            .client()
            .await?
            .delete_resource()
            .type_name(type_name.as_str())
            .identifier(identifier.as_str())
            .client_token(token.as_str())
            .send()
            .await
            .map_err(sdk_error);
        match result {
            Ok(output) => {
                tracing::debug!(%type_name, %identifier, "delete accepted");
                progress(output.progress_event, &[])
            }
            Err(error) if error.class == ErrorClass::NotFound => Ok(done(Some(identifier.clone()))),
            Err(error) => Err(error),
        }
    }

    /// How an operation stands, and whether it is a deletion.
    pub(crate) async fn poll(
        &self,
        operation: &RequestToken,
    ) -> Result<(bool, Progress), ProviderError> {
        let output = self
            .client()
            .await?
            .get_resource_request_status()
            .request_token(operation.as_str())
            .send()
            .await
            .map_err(sdk_error)?;
        let hooks = output.hooks_progress_event.unwrap_or_default();
        let event = output.progress_event;
        let kind = event.as_ref().and_then(|event| event.operation.clone());
        Ok((kind == Some(Operation::Delete), progress(event, &hooks)?))
    }

    pub(crate) async fn read(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Option<Value>, ProviderError> {
        let result = self
            .client()
            .await?
            .get_resource()
            .type_name(type_name.as_str())
            .identifier(identifier.as_str())
            .send()
            .await
            .map_err(sdk_error);
        let output = match result {
            Ok(output) => output,
            Err(error) if error.class == ErrorClass::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = output
            .resource_description
            .and_then(|description| description.properties)
            .unwrap_or_default();
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| malformed(&format!("the model of {type_name} {identifier}")))
    }

    /// All resources of a type; `parent` is the `ResourceModel` that some types need.
    pub(crate) async fn list(
        &self,
        type_name: &TypeName,
        parent: Option<&Value>,
    ) -> Result<Vec<Listed>, ProviderError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let output = self
                .client()
                .await?
                .list_resources()
                .type_name(type_name.as_str())
                .set_resource_model(parent.map(Value::to_string))
                .set_next_token(next.take())
                .send()
                .await
                .map_err(sdk_error)?;
            for description in output.resource_descriptions.unwrap_or_default() {
                let Some(identifier) = description
                    .identifier
                    .and_then(|identifier| Identifier::new(identifier).ok())
                else {
                    continue;
                };
                let properties = description
                    .properties
                    .and_then(|text| serde_json::from_str(&text).ok())
                    .unwrap_or(Value::Null);
                found.push(Listed {
                    identifier,
                    properties,
                });
            }
            match output.next_token.filter(|token| !token.is_empty()) {
                Some(token) => next = Some(token),
                None => return Ok(found),
            }
        }
    }
}

fn check_length(type_name: &TypeName, document: &str) -> Result<(), ProviderError> {
    if document.len() <= LONGEST_DOCUMENT {
        return Ok(());
    }
    Err(ProviderError {
        class: ErrorClass::Terminal,
        code: "TooLong".to_owned(),
        message: format!(
            "the properties of {type_name} have {} bytes; Cloud Control takes {LONGEST_DOCUMENT}",
            document.len()
        ),
    })
}

fn malformed(what: &str) -> ProviderError {
    ProviderError {
        class: ErrorClass::Retryable,
        code: "MalformedResponse".to_owned(),
        message: format!("Cloud Control sent no JSON for {what}"),
    }
}

/// The progress of what was done at once.
pub(crate) fn done(identifier: Option<Identifier>) -> Progress {
    Progress {
        operation: None,
        identifier,
        status: Status::Success,
        retry_after: None,
        note: None,
    }
}

fn progress(
    event: Option<ProgressEvent>,
    hooks: &[HookProgressEvent],
) -> Result<Progress, ProviderError> {
    let event = event.ok_or_else(|| malformed("the operation"))?;
    let operation = event
        .request_token
        .as_deref()
        .and_then(|token| RequestToken::new(token).ok());
    let mut identifier = event
        .identifier
        .as_deref()
        .and_then(|identifier| Identifier::new(identifier).ok());
    let code = event.error_code.as_ref().map(|code| code.as_str());
    let status = match event.operation_status {
        Some(OperationStatus::Success) => Status::Success,
        Some(OperationStatus::CancelComplete) => Status::Failed(ProviderError {
            class: ErrorClass::Terminal,
            code: "Cancelled".to_owned(),
            message: "somebody cancelled the operation".to_owned(),
        }),
        // Already gone is as good as deleted.
        Some(OperationStatus::Failed)
            if event.operation == Some(Operation::Delete) && code == Some("NotFound") =>
        {
            Status::Success
        }
        Some(OperationStatus::Failed) => {
            let error = failure(&event, hooks);
            // The identifier is then that of somebody else's resource: nothing of ours was left behind.
            if matches!(code, Some("AlreadyExists" | "ResourceConflict")) {
                identifier = None;
            }
            Status::Failed(error)
        }
        _ => Status::InProgress,
    };
    let retry_after = event
        .retry_after
        .and_then(|at| SystemTime::try_from(at).ok())
        .map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
        .map(|wait| wait.min(LONGEST_WAIT));
    Ok(Progress {
        operation,
        identifier,
        status,
        retry_after,
        note: None,
    })
}

fn failure(event: &ProgressEvent, hooks: &[HookProgressEvent]) -> ProviderError {
    let code = event
        .error_code
        .as_ref()
        .map_or("GeneralServiceException", |code| code.as_str())
        .to_owned();
    let mut message = event
        .status_message
        .clone()
        .unwrap_or_else(|| "AWS gave no reason".to_owned());
    let mut class = classify::handler_error(event.operation.as_ref(), &code, &message);
    for hook in hooks {
        let failed = matches!(
            hook.hook_status.as_deref(),
            Some("HOOK_FAILED" | "HOOK_COMPLETE_FAILED")
        );
        if failed {
            let name = hook.hook_type_name.as_deref().unwrap_or("a hook");
            let reason = hook
                .hook_status_message
                .as_deref()
                .unwrap_or("no reason given");
            message = format!("{message} (refused by {name}: {reason})");
            // A policy of the account, not an accident.
            class = ErrorClass::Terminal;
        }
    }
    ProviderError {
        class,
        code,
        message,
    }
}

/// An error of the SDK, in AWS's words if AWS answered.
pub(crate) fn sdk_error<E>(error: SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    match &error {
        SdkError::ServiceError(service) => {
            let code = service
                .err()
                .code()
                .map_or_else(|| format!("HttpStatus{status}"), str::to_owned);
            let message = service
                .err()
                .message()
                .unwrap_or("no reason was given")
                .to_owned();
            ProviderError {
                class: classify::exception(status, &code, &message),
                code,
                message,
            }
        }
        SdkError::ResponseError(_) => ProviderError {
            class: if status == 429 {
                ErrorClass::Throttled
            } else {
                ErrorClass::Retryable
            },
            code: format!("HttpStatus{status}"),
            message: format!("the answer can't be read: {}", DisplayErrorContext(&error)),
        },
        _ => ProviderError {
            class: ErrorClass::Unreachable,
            code: "Unreachable".to_owned(),
            message: format!("AWS can't be reached: {}", DisplayErrorContext(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudcontrol::types::HandlerErrorCode;

    fn failed(operation: Operation, code: HandlerErrorCode) -> Progress {
        let event = ProgressEvent::builder()
            .operation(operation)
            .operation_status(OperationStatus::Failed)
            .error_code(code)
            .identifier("thing-1")
            .request_token("t")
            .build();
        progress(Some(event), &[]).unwrap()
    }

    #[test]
    fn a_remnant_is_named_and_somebody_elses_resource_is_not() {
        let left = failed(Operation::Create, HandlerErrorCode::NotStabilized);
        assert_eq!(
            left.identifier.as_ref().map(Identifier::as_str),
            Some("thing-1")
        );
        for code in [
            HandlerErrorCode::AlreadyExists,
            HandlerErrorCode::ResourceConflict,
        ] {
            assert_eq!(failed(Operation::Create, code).identifier, None);
        }
    }

    #[test]
    fn deleting_what_is_gone_is_a_success() {
        assert_eq!(
            failed(Operation::Delete, HandlerErrorCode::NotFound).status,
            Status::Success
        );
        assert!(matches!(
            failed(Operation::Update, HandlerErrorCode::NotFound).status,
            Status::Failed(ProviderError {
                class: ErrorClass::NotFound,
                ..
            })
        ));
    }

    #[test]
    fn a_wait_is_never_negative_and_never_long() {
        let at = |seconds: i64| {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs() as i64;
            let event = ProgressEvent::builder()
                .operation_status(OperationStatus::InProgress)
                .retry_after(aws_smithy_types::DateTime::from_secs(now + seconds))
                .build();
            progress(Some(event), &[]).unwrap().retry_after.unwrap()
        };
        assert_eq!(at(-600), Duration::ZERO);
        assert_eq!(at(3600), LONGEST_WAIT);
        let soon = at(5);
        assert!(soon > Duration::from_secs(3) && soon <= Duration::from_secs(5));
    }

    #[test]
    fn a_hook_that_refuses_is_named() {
        let event = ProgressEvent::builder()
            .operation_status(OperationStatus::Failed)
            .status_message("hook failed")
            .build();
        let hook = HookProgressEvent::builder()
            .hook_status("HOOK_COMPLETE_FAILED")
            .hook_type_name("Org::Policy::Guard")
            .hook_status_message("no public subnets")
            .build();
        let Status::Failed(error) = progress(Some(event), &[hook]).unwrap().status else {
            panic!("failed")
        };
        assert_eq!(error.class, ErrorClass::Terminal);
        assert!(
            error
                .message
                .contains("Org::Policy::Guard: no public subnets"),
            "{error}"
        );
    }
}
