//! `CreateResource`, `UpdateResource` and `DeleteResource`: what is checked before a type's rule is asked, and how what the
//! rule says becomes an operation that takes its time.

use catalog::{ResourceSchema, Violation};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    LONGEST_DOCUMENT, LONGEST_TOKEN, document, identifier, not_found, patch, progress, schema_for,
};
use crate::aws::account::{Account, Session, effect, ended};
use crate::aws::error::HandlerErrorCode;
use crate::aws::faults::HandlerFault;
use crate::aws::kinds::{self, Effect, Failure, Outcome, Wait};
use crate::aws::operation::{Ending, Fate, Operation, OperationKind, Reason, Status, Waiting};
use crate::aws::state::Mutation;
use crate::aws::wire::{Input, ServiceError, violated};
use crate::aws::world::{Entry, Phase};

/// How long a caller's token stands for its request, in modelled seconds: 36 hours (API reference, `ClientToken`).
const TOKENS_EXPIRE_AFTER: f64 = 36.0 * 3600.0;
/// How long a handler works before it fails, in modelled seconds: the time of the service's first refusal.
const FAILURE_SECONDS: f64 = 1.0;
/// When the first callback of a create handler tells the identifier that the service chose, in modelled seconds.
const FIRST_CALLBACK_SECONDS: f64 = 1.0;

/// The fate of a resource that an operation has no hold on.
pub(super) const NOTHING_HELD: Fate = Fate::Untouched;

/// What makes a request the same as another.
struct Asked<'a> {
    kind: OperationKind,
    schema: &'static ResourceSchema,
    client_token: Option<&'a str>,
    fingerprint: String,
}

impl<'a> Asked<'a> {
    fn new(
        input: &Input<'a>,
        kind: OperationKind,
        schema: &'static ResourceSchema,
        identifier: &str,
        payload: &str,
    ) -> Result<Self, ServiceError> {
        let client_token = input.optional("ClientToken", LONGEST_TOKEN)?;
        if let Some(token) = client_token
            && !token.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'/' | b'=')
            })
        {
            let rule = "Member must satisfy regular expression pattern: [-A-Za-z0-9+/=]+";
            return Err(violated("ClientToken", token, rule));
        }
        let mut hasher = Sha256::new();
        for part in [
            kind.as_str(),
            schema.type_name().as_str(),
            identifier,
            payload,
        ] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        Ok(Self {
            kind,
            schema,
            client_token,
            fingerprint: hex::encode(hasher.finalize()),
        })
    }

    /// The progress of the operation that the caller's token stands for already.
    fn replay(&self, session: &Session<'_>) -> Result<Option<Value>, ServiceError> {
        let Some(token) = self.client_token else {
            return Ok(None);
        };
        let Some(before) = session.state.operation_of_client_token(token) else {
            return Ok(None);
        };
        if session.now - before.began_at > TOKENS_EXPIRE_AFTER {
            return Ok(None);
        }
        if before.fingerprint == self.fingerprint {
            return Ok(Some(progress::event(session, before)));
        }
        Err(ServiceError::bad_request(
            "ClientTokenConflictException",
            format!(
                "ClientToken {token} is already associated with an existing operation with RequestToken {}",
                before.request_token
            ),
        ))
    }

    /// A new operation that ends after `duration` modelled seconds.
    fn operation(
        &self,
        session: &mut Session<'_>,
        identifier: Option<String>,
        duration: f64,
        ending: Ending,
    ) -> Operation {
        let now = session.now;
        Operation {
            request_token: session.ids().uuid(),
            client_token: self.client_token.map(str::to_owned),
            fingerprint: self.fingerprint.clone(),
            kind: self.kind,
            type_name: self.schema.type_name().clone(),
            identifier,
            identifier_from: now,
            began_at: now,
            ends_at: now + session.clock.scale().duration(duration),
            waits_for: None,
            status: Status::InProgress(Box::new(ending)),
            since: now,
        }
    }

    /// The action in the API's words, by which faults are ordered.
    fn action(&self) -> &'static str {
        match self.kind {
            OperationKind::Create => "CreateResource",
            OperationKind::Update => "UpdateResource",
            OperationKind::Delete => "DeleteResource",
        }
    }
}

/// `CreateResource`
pub(super) fn create(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let schema = schema_for(input, catalog::Operation::Create)?;
    let text = input.required("DesiredState", LONGEST_DOCUMENT)?;
    let desired = document(input, "DesiredState", text)?;
    let asked = Asked::new(input, OperationKind::Create, schema, "", text)?;
    let violations = schema.validate_desired(&desired);
    account.session(|session| {
        if let Some(event) = asked.replay(session)? {
            return Ok(event);
        }
        validated(&violations)?;
        let (cx, ids) = session.context_and_ids();
        let mut created = kinds::create(&cx, schema.type_name(), &desired, ids);
        if let Ok(outcome) = &created
            && session
                .world()
                .get(schema.type_name(), &outcome.identifier)
                .is_some()
        {
            let message = format!(
                "Resource of type '{}' with identifier '{}' already exists.",
                schema.type_name(),
                outcome.identifier
            );
            created = Err(Failure {
                code: HandlerErrorCode::AlreadyExists,
                message,
                remnant: None,
            });
        }
        if created.is_ok()
            && let Some(fault) = account.handler_fault(asked.action(), schema.type_name().as_str())
        {
            let HandlerFault {
                code,
                message,
                remnant,
            } = fault;
            created = created.and_then(|outcome| {
                Err(Failure {
                    code,
                    message,
                    remnant: remnant.then_some(outcome),
                })
            });
        }
        match created {
            Ok(outcome) => Ok(begin_create(session, &asked, &desired, outcome, None)),
            Err(Failure {
                code,
                message,
                remnant: Some(outcome),
            }) => Ok(begin_create(
                session,
                &asked,
                &desired,
                outcome,
                Some(Reason { code, message }),
            )),
            Err(Failure {
                code,
                message,
                remnant: None,
            }) => {
                let failure = Some(Reason { code, message });
                let ending = Ending {
                    failure,
                    fate: NOTHING_HELD,
                    effects: Vec::new(),
                };
                let named = schema.identifier_of(&desired);
                let operation = asked.operation(session, named, FAILURE_SECONDS, ending);
                Ok(begin(session, operation, None, Vec::new()))
            }
        }
    })
}

fn begin_create(
    session: &mut Session<'_>,
    asked: &Asked<'_>,
    desired: &Value,
    outcome: Outcome,
    failure: Option<Reason>,
) -> Value {
    let phase = if failure.is_some() {
        Phase::Remnant
    } else {
        Phase::Ready
    };
    let ending = Ending {
        failure,
        fate: Fate::Stays { phase, model: None },
        effects: Vec::new(),
    };
    let identifier = outcome.identifier;
    let mut operation =
        asked.operation(session, Some(identifier.clone()), outcome.duration, ending);
    if asked.schema.identifier_of(desired).is_none() {
        let first_callback = session.now + session.clock.scale().duration(FIRST_CALLBACK_SECONDS);
        operation.identifier_from = first_callback.min(operation.ends_at);
    }
    wait(session, asked, &mut operation, outcome.waits_for);
    let entry = Entry {
        type_name: asked.schema.type_name().clone(),
        identifier,
        model: outcome.model,
        created_at: session.now,
        phase: Phase::Creating,
        ready_at: operation.ends_at,
    };
    begin(session, operation, Some(entry), outcome.effects)
}

/// Makes an operation wait. Where nobody outside plays the DNS provider it waits until the handler's time is over.
fn wait(
    session: &Session<'_>,
    asked: &Asked<'_>,
    operation: &mut Operation,
    waits_for: Option<Wait>,
) {
    let Some(what) = waits_for else { return };
    let mut otherwise = None;
    if !session.settings.external_dns {
        let handler = asked.schema.operation(asked.kind.handler());
        operation.ends_at =
            session.now + f64::from(handler.map_or(120, |handler| handler.timeout_minutes)) * 60.0;
        let message = "Exceeded attempts to wait".to_owned();
        otherwise = Some(Reason {
            code: HandlerErrorCode::NotStabilized,
            message,
        });
    }
    operation.waits_for = Some(Waiting { what, otherwise });
}

/// `UpdateResource`
pub(super) fn update(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let schema = schema_for(input, catalog::Operation::Update)?;
    let identifier = identifier(input, schema)?;
    let text = input.required("PatchDocument", LONGEST_DOCUMENT)?;
    let patch = patch::parse(text)?;
    let asked = Asked::new(input, OperationKind::Update, schema, &identifier, text)?;
    account.session(|session| {
        if let Some(event) = asked.replay(session)? {
            return Ok(event);
        }
        let Some(entry) = session
            .world()
            .get(schema.type_name(), &identifier)
            .filter(|entry| entry.pending_deletion().is_none())
            .cloned()
        else {
            return Err(not_found(schema, &identifier));
        };
        idle(session, &entry)?;
        let proposed = patch::apply(schema, &kinds::visible(&entry), &patch)?;
        // What is wrong with the resource as it is (a subnet's zone by name and by id) is no fault of the patch. As it is, not
        // as it reads: a required property that cannot be read is missing only from a patch that leaves it out.
        let of_resource = schema.validate(&entry.model);
        let mut violations = schema.validate(&proposed);
        violations.retain(|violation| !of_resource.contains(violation));
        validated(&violations)?;
        let (cx, ids) = session.context_and_ids();
        let updated = kinds::update(&cx, &entry, &proposed, ids);
        let fault = || account.handler_fault(asked.action(), schema.type_name().as_str());
        let (failure, outcome) = match updated {
            Err(Failure { code, message, .. }) => (Some(Reason { code, message }), None),
            Ok(outcome) => match fault() {
                None => (None, Some(outcome)),
                // There is no roll-back: what was changed stays changed.
                Some(fault) => {
                    let reason = Reason {
                        code: fault.code,
                        message: fault.message,
                    };
                    (Some(reason), fault.remnant.then_some(outcome))
                }
            },
        };
        let (model, effects, duration, waits_for) = match outcome {
            Some(outcome) => (
                Some(outcome.model),
                outcome.effects,
                outcome.duration,
                outcome.waits_for,
            ),
            None => (None, Vec::new(), FAILURE_SECONDS, None),
        };
        let phase = if failure.is_none() {
            Phase::Ready
        } else {
            entry.phase
        };
        let ending = Ending {
            failure,
            fate: Fate::Stays { phase, model },
            effects: Vec::new(),
        };
        let mut operation = asked.operation(session, Some(identifier.clone()), duration, ending);
        wait(session, &asked, &mut operation, waits_for);
        Ok(begin(
            session,
            operation,
            Some(Entry {
                phase: Phase::Updating,
                ..entry
            }),
            effects,
        ))
    })
}

/// `DeleteResource`
pub(super) fn delete(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let schema = schema_for(input, catalog::Operation::Delete)?;
    let identifier = identifier(input, schema)?;
    let asked = Asked::new(input, OperationKind::Delete, schema, &identifier, "")?;
    account.session(|session| {
        if let Some(event) = asked.replay(session)? {
            return Ok(event);
        }
        let Some(entry) = session
            .world()
            .get(schema.type_name(), &identifier)
            .cloned()
        else {
            let message = format!(
                "Resource of type '{}' with identifier '{identifier}' was not found.",
                schema.type_name()
            );
            let failure = Some(Reason {
                code: HandlerErrorCode::NotFound,
                message,
            });
            let ending = Ending {
                failure,
                fate: NOTHING_HELD,
                effects: Vec::new(),
            };
            let operation =
                asked.operation(session, Some(identifier.clone()), FAILURE_SECONDS, ending);
            return Ok(begin(session, operation, None, Vec::new()));
        };
        idle(session, &entry)?;
        let stays = Fate::Stays {
            phase: entry.phase,
            model: None,
        };
        let failed = |code, message| Ending {
            failure: Some(Reason { code, message }),
            fate: stays.clone(),
            effects: Vec::new(),
        };
        let (duration, ending) = match kinds::delete(&session.context(), &entry) {
            Err(failure) => (FAILURE_SECONDS, failed(failure.code, failure.message)),
            Ok(outcome) => match account.handler_fault(asked.action(), schema.type_name().as_str())
            {
                None => (
                    outcome.duration,
                    Ending {
                        failure: None,
                        fate: Fate::Removed,
                        effects: outcome.effects,
                    },
                ),
                Some(fault) => {
                    let duration = if fault.remnant {
                        outcome.duration
                    } else {
                        FAILURE_SECONDS
                    };
                    (duration, failed(fault.code, fault.message))
                }
            },
        };
        let operation = asked.operation(session, Some(identifier.clone()), duration, ending);
        Ok(begin(
            session,
            operation,
            Some(Entry {
                phase: Phase::Deleting,
                ..entry
            }),
            Vec::new(),
        ))
    })
}

/// Refuses a second operation on a resource.
fn idle(session: &Session<'_>, entry: &Entry) -> Result<(), ServiceError> {
    if !matches!(
        entry.phase,
        Phase::Creating | Phase::Updating | Phase::Deleting
    ) {
        return Ok(());
    }
    let running = session.state.open_operations().find(|operation| {
        operation.type_name == entry.type_name
            && operation.identifier.as_deref() == Some(&*entry.identifier)
    });
    let token = running.map_or("", |operation| operation.request_token.as_str());
    Err(ServiceError::bad_request(
        "ConcurrentOperationException",
        format!(
            "Another operation is in progress on resource of type '{}' with identifier '{}'. RequestToken: {token}",
            entry.type_name, entry.identifier
        ),
    ))
}

/// Begins an operation and answers with its first progress event. One that takes no time is over with it.
fn begin(
    session: &mut Session<'_>,
    operation: Operation,
    entry: Option<Entry>,
    effects: Vec<Effect>,
) -> Value {
    effects
        .into_iter()
        .map(effect)
        .for_each(|mutation| session.change(mutation));
    let mutations = if operation.ends_at <= session.now && operation.is_open() {
        let ends_at = operation.ends_at;
        ended(operation, entry, ends_at)
    } else {
        entry
            .map(Mutation::Put)
            .into_iter()
            .chain([Mutation::Operation(operation)])
            .collect()
    };
    let event = mutations.iter().rev().find_map(|mutation| match mutation {
        Mutation::Operation(operation) => Some(progress::event(session, operation)),
        _ => None,
    });
    mutations
        .into_iter()
        .for_each(|mutation| session.change(mutation));
    event.expect("an operation that begins is among its own mutations")
}

/// Refuses a model that the type's schema does, in the words of Cloud Control's model validation.
fn validated(violations: &[Violation]) -> Result<(), ServiceError> {
    let words = |violation: &Violation| {
        format!(
            "#{}: {}",
            violation.path.to_json_pointer(),
            violation.message
        )
    };
    match violations {
        [] => Ok(()),
        [only] => Err(ServiceError::validation(format!(
            "Model validation failed ({})",
            words(only)
        ))),
        several => {
            let all = several.iter().map(words).collect::<Vec<_>>().join("\n");
            let message = format!(
                "Model validation failed (#: {} schema violations found)\n{all}",
                several.len()
            );
            Err(ServiceError::validation(
                message.chars().take(2048).collect::<String>(),
            ))
        }
    }
}
