//! How far requests are: the progress event, and the three calls that are about requests and not about resources.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::LONGEST_TOKEN;
use crate::aws::account::{Account, Session};
use crate::aws::operation::{Operation, OperationKind, Status};
use crate::aws::state::Mutation;
use crate::aws::wire::{Input, ServiceError, violated};
use crate::aws::world::Phase;

/// How often a handler is called back while it waits, in modelled seconds.
const CALLBACK_SECONDS: f64 = 15.0;
/// How many requests `ListResourceRequests` returns unless told.
const PAGE: usize = 20;

/// The progress event of an operation as it is now.
pub(super) fn event(session: &Session<'_>, operation: &Operation) -> Value {
    let mut event = Map::new();
    event.insert("TypeName".to_owned(), json!(operation.type_name));
    event.insert("RequestToken".to_owned(), json!(operation.request_token));
    event.insert("Operation".to_owned(), json!(operation.kind.as_str()));
    event.insert(
        "OperationStatus".to_owned(),
        json!(operation.status.as_str()),
    );
    event.insert(
        "EventTime".to_owned(),
        json!(milliseconds(
            session.clock.epoch_seconds_at(operation.since)
        )),
    );
    let identifier = operation
        .identifier
        .as_ref()
        .filter(|_| !operation.is_open() || session.now >= operation.identifier_from);
    if let Some(identifier) = identifier {
        event.insert("Identifier".to_owned(), json!(identifier));
        // Sparse, as AWS's often is: what a resource is like is for GetResource to say.
        if let (Status::Success, OperationKind::Create | OperationKind::Update, Some(schema)) = (
            &operation.status,
            operation.kind,
            catalog::schema(&operation.type_name),
        ) {
            let model = schema.identifier_model(identifier);
            event.insert("ResourceModel".to_owned(), json!(model.to_string()));
        }
    }
    match &operation.status {
        Status::InProgress(_) => {
            let callback = operation.ends_at.min(session.now + CALLBACK_SECONDS);
            event.insert(
                "RetryAfter".to_owned(),
                json!(milliseconds(session.clock.epoch_seconds_at(callback))),
            );
        }
        Status::Failed(reason) => {
            event.insert("ErrorCode".to_owned(), json!(reason.code));
            event.insert(
                "StatusMessage".to_owned(),
                json!(reason.message.chars().take(2048).collect::<String>()),
            );
        }
        Status::Success | Status::CancelComplete => {}
    }
    json!({ "ProgressEvent": event })
}

/// Epoch seconds with the three decimals that AWS gives.
fn milliseconds(epoch_seconds: f64) -> f64 {
    (epoch_seconds * 1000.0).round() / 1000.0
}

fn find<'a>(session: &Session<'a>, token: &str) -> Result<&'a Operation, ServiceError> {
    session.state.operation(token).ok_or_else(|| {
        ServiceError::bad_request(
            "RequestTokenNotFoundException",
            format!("Request with token {token} was not found"),
        )
    })
}

/// `GetResourceRequestStatus`
pub(super) fn status(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let token = input.required("RequestToken", LONGEST_TOKEN)?;
    account.session(|session| Ok(event(session, find(session, token)?)))
}

/// `CancelResourceRequest`: nothing is undone; the resource stays as far as the operation has come.
pub(super) fn cancel(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let token = input.required("RequestToken", LONGEST_TOKEN)?;
    account.session(|session| {
        let mut operation = find(session, token)?.clone();
        if !operation.is_open() {
            let status = operation.status.as_str();
            return Err(ServiceError::validation(format!("Request {token} is {status} and cannot be cancelled")));
        }
        let held = matches!(&operation.status, Status::InProgress(ending) if ending.fate != super::operate::NOTHING_HELD);
        let entry = operation.identifier.as_deref().and_then(|id| session.world().get(&operation.type_name, id));
        if let (true, Some(entry)) = (held, entry) {
            let mut entry = entry.clone();
            entry.phase = if operation.kind == OperationKind::Create { Phase::Remnant } else { Phase::Ready };
            session.change(Mutation::Put(entry));
        }
        operation.status = Status::CancelComplete;
        operation.waits_for = None;
        operation.since = session.now;
        let answer = event(session, &operation);
        session.change(Mutation::Operation(operation));
        Ok(answer)
    })
}

/// `ListResourceRequests`, the youngest first.
pub(super) fn list(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let page = input.number("MaxResults", 1..=100)?.unwrap_or(PAGE);
    let after = match input.optional("NextToken", 2048)? {
        None => None,
        Some(token) => {
            let decoded = STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Some(
                decoded
                    .ok_or_else(|| violated("NextToken", token, "it is not one of this list"))?,
            )
        }
    };
    let filter = |member: &str| -> Vec<&str> {
        let wanted = input
            .0
            .get("ResourceRequestStatusFilter")
            .and_then(|filter| filter.get(member))
            .and_then(Value::as_array);
        wanted
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let (kinds, statuses) = (filter("Operations"), filter("OperationStatuses"));
    account.session(|session| {
        let mut matching = session
            .state
            .operations()
            .skip_while(|operation| {
                after
                    .as_ref()
                    .is_some_and(|token| *token != operation.request_token)
            })
            .skip(usize::from(after.is_some()))
            .filter(|operation| kinds.is_empty() || kinds.contains(&operation.kind.as_str()))
            .filter(|operation| {
                statuses.is_empty() || statuses.contains(&operation.status.as_str())
            })
            .peekable();
        let page: Vec<&Operation> = matching.by_ref().take(page).collect();
        let summaries: Vec<Value> = page
            .iter()
            .map(|operation| event(session, operation)["ProgressEvent"].take())
            .collect();
        let mut answer = json!({ "ResourceRequestStatusSummaries": summaries });
        if let (Some(_), Some(last)) = (matching.peek(), page.last()) {
            answer["NextToken"] = json!(STANDARD.encode(&last.request_token));
        }
        Ok(answer)
    })
}
