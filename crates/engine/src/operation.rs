//! One operation, from the intent to its outcome: asked for, waited for, tried again, found again after a crash.

use std::sync::Arc;
use std::time::Duration;

use catalog::Realm;
use catalog::ids::{ClientToken, Identifier, RequestToken};
use graph::{Lifecycle, Rules, Scope, as_secret, join_secrets};
use jiff::Timestamp;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::event::{Event, Intent, Made, OperationKind};
use crate::ledger::Pending;
use crate::limit::{Api, Limits};
use crate::observer::{Notice, Observer, What};
use crate::pace::Pace;
use crate::provider::{ErrorClass, Payload, Progress, Provider, ProviderError, Status};
use crate::recorder::{RecordError, Recorder};
use crate::retry::{Patience, Retries};

/// How long a client token is good for; AWS forgets it then and takes the next call for a new one.
/// Source: Cloud Control API reference, `ClientToken`: 36 hours. An hour is kept back.
const TOKEN_LIFETIME: Duration = Duration::from_secs(35 * 3600);

/// What ends a whole run.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fatal {
    /// The journal can't be written: nothing more may be done.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The other side can't be reached. What was under way is settled by the next run.
    #[error("{0}")]
    Unreachable(ProviderError),
}

/// What all operations of a run share.
pub(crate) struct Driver {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    pub(crate) observer: Observer,
    pub(crate) scope: Scope,
}

/// How one attempt ended.
enum Attempt {
    Done(Option<Identifier>),
    Failed(ProviderError, Option<Identifier>),
    /// It may go on: whoever could tell does not. It stays open, for the next run to settle.
    Unknown(ProviderError),
    /// Nobody knows of the operation any more.
    Lost,
}

type Outcome = Result<Option<Identifier>, ProviderError>;

/// A fresh client token.
pub(crate) fn new_token() -> ClientToken {
    match ClientToken::new(uuid::Uuid::new_v4().to_string()) {
        Ok(token) => token,
        Err(_) => unreachable!("a UUID is 36 letters, digits and hyphens"),
    }
}

/// SHA-256 of a property document, in hex.
pub(crate) fn payload_hash(properties: &Json) -> String {
    Sha256::digest(properties.to_string())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Driver {
    /// Does what an intent says. It is written down before the call, and its outcome after it.
    pub(crate) async fn run(&self, intent: Intent) -> Result<Outcome, Fatal> {
        if intent.kind == OperationKind::Read {
            return self.read_existing(intent).await;
        }
        // After a rollback anything may be there that the state does not know of; and so may what an earlier destroy has
        // left on purpose.
        let may_be_there = matches!(intent.lifecycle, Lifecycle::Retain | Lifecycle::Ensure)
            || self.recorder.with(|ledger| ledger.state.rolled_back);
        if intent.kind == OperationKind::Create && may_be_there {
            match self.find(&intent).await? {
                Ok(Some(identifier)) => return self.adopt(intent, identifier).await,
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        self.recorder
            .record(Event::OperationStarted(Box::new(intent.clone())))
            .await?;
        self.drive(intent, None, None).await
    }

    /// Finds out what became of an operation that an earlier run has left, and brings it to its end.
    pub(crate) async fn resume(&self, pending: Pending) -> Result<Outcome, Fatal> {
        if !graph::secrets(&pending.intent.properties).is_empty() {
            // The provider takes the secrets that it knows out of what AWS says: it must know them before it asks. If
            // they can't be read the call says so itself.
            let _ = self.payload(&pending.intent.properties).await?;
        }
        let age = Timestamp::now().duration_since(pending.since);
        let expired = age.unsigned_abs() > TOKEN_LIFETIME;
        let unsent = pending.request.is_none();
        // A create or a deletion is asked for again under its own token, which does nothing twice. An update is
        // computed against what is there, so it is a new call.
        if unsent && (expired || pending.intent.kind == OperationKind::Update) {
            return self.search(pending.intent).await;
        }
        self.drive(pending.intent, pending.request, pending.identifier)
            .await
    }

    async fn drive(
        &self,
        mut intent: Intent,
        mut request: Option<RequestToken>,
        mut identifier: Option<Identifier>,
    ) -> Result<Outcome, Fatal> {
        let mut retries = Retries::new(self.pace);
        // What an attempt may have left when it could not be seen yet that it is ours.
        let mut suspect = None;
        loop {
            let attempt = self
                .attempt(&intent, request.take(), identifier.take())
                .await?;
            let (mut error, left) = match attempt {
                // If what was made can't be read, the operation stays open: it is asked about again, not done again.
                Attempt::Done(identifier) => return self.finish(&intent, identifier).await,
                Attempt::Unknown(error) => return Ok(Err(error)),
                Attempt::Lost => return self.search(intent).await,
                Attempt::Failed(error, left) => (error, left),
            };
            let mut remnant = None;
            match (&error.class, intent.kind) {
                (ErrorClass::NotFound, OperationKind::Delete) => {
                    self.recorder
                        .record(Event::OperationSucceeded {
                            address: intent.address,
                            made: None,
                        })
                        .await?;
                    return Ok(Ok(None));
                }
                (ErrorClass::TokenConflict(Some(existing)), _) => {
                    request = Some(existing.clone());
                    continue;
                }
                (ErrorClass::TokenConflict(None), _) => return self.search(intent).await,
                (ErrorClass::AlreadyExists, OperationKind::Create) => {
                    match self.find(&intent).await? {
                        // What a failed attempt of ours has left stands in the way: nobody knows how whole it is.
                        Ok(Some(found)) if suspect.as_ref() == Some(&found) => {
                            remnant = suspect.take();
                        }
                        Ok(None) if suspect.is_some() => {}
                        Ok(Some(identifier)) => return self.adopt(intent, identifier).await,
                        Ok(None) => return self.fail(&intent, error, None).await,
                        // Whether it is ours is not known: it stays open.
                        Err(unknown) => return Ok(Err(unknown)),
                    }
                    error.class = ErrorClass::Retryable;
                }
                _ => {
                    if let Some(left) = left {
                        if self.is_remnant(&intent, &error, &left).await? {
                            remnant = Some(left);
                        } else if leaves_remnant(&error) {
                            suspect = Some(left);
                        }
                    }
                }
            }
            let Some(wait) = retries.after(&error) else {
                return self.fail(&intent, error, remnant).await;
            };
            self.notify(
                &intent,
                What::Retrying {
                    reason: error.to_string(),
                    after: wait,
                },
            );
            tokio::time::sleep(wait).await;
            // As long as what was left is there, nothing is made beside it: the next run deletes it first.
            if let Some(remnant) = remnant
                && let Err(error) = self.remove_remnant(&intent, &remnant).await?
            {
                let message =
                    format!("what a failed attempt left ({remnant}) could not be deleted: {error}");
                let error = ProviderError { message, ..error };
                return self.fail(&intent, error, Some(remnant)).await;
            }
            // The old token would only replay the failure.
            intent.token = new_token();
            self.recorder
                .record(Event::OperationStarted(Box::new(intent.clone())))
                .await?;
        }
    }

    /// Asks once, and waits for the answer's end.
    async fn attempt(
        &self,
        intent: &Intent,
        request: Option<RequestToken>,
        mut identifier: Option<Identifier>,
    ) -> Result<Attempt, Fatal> {
        let mut accepted = request.clone();
        let first = match request {
            None => self.begin(intent).await?,
            Some(request) => self.poll(intent, &request).await?,
        };
        let mut progress = match first {
            Ok(progress) => progress,
            Err(error) if error.class == ErrorClass::OperationUnknown => return Ok(Attempt::Lost),
            // A question that was refused, or a call that may have arrived, says nothing of the operation.
            Err(error) if accepted.is_some() || error.class.may_have_arrived() => {
                return Ok(Attempt::Unknown(error));
            }
            Err(error) => return Ok(Attempt::Failed(error, identifier)),
        };
        let mut patience = Patience::new(self.pace);
        let mut told = None;
        loop {
            let learned = progress.identifier.is_some() && progress.identifier != identifier;
            identifier = progress.identifier.clone().or(identifier);
            if let Some(request) = &progress.operation
                && (accepted.as_ref() != Some(request) || learned)
            {
                accepted = Some(request.clone());
                let event = Event::OperationAccepted {
                    address: intent.address.clone(),
                    request: request.clone(),
                    identifier: identifier.clone(),
                };
                self.recorder.record(event).await?;
            }
            match progress.status {
                Status::Success => return Ok(Attempt::Done(identifier)),
                Status::Failed(error) => return Ok(Attempt::Failed(error, identifier)),
                Status::InProgress => {}
            }
            if let Some(note) = progress.note.filter(|note| told.as_ref() != Some(note)) {
                self.notify(intent, What::Waiting { note: note.clone() });
                told = Some(note);
            }
            let Some(request) = &accepted else {
                return Ok(Attempt::Lost);
            };
            tokio::time::sleep(patience.before_poll(progress.retry_after)).await;
            progress = match self.poll(intent, request).await? {
                Ok(progress) => progress,
                Err(error) if error.class == ErrorClass::OperationUnknown => {
                    return Ok(Attempt::Lost);
                }
                Err(error) => return Ok(Attempt::Unknown(error)),
            };
        }
    }

    async fn begin(&self, intent: &Intent) -> Result<Result<Progress, ProviderError>, Fatal> {
        let provider = &self.provider;
        let type_name = &intent.type_name;
        let api = Api::of(type_name, Api::Change);
        match (intent.kind, &intent.identifier) {
            (OperationKind::Create, _) => {
                let payload = match self.payload(&intent.properties).await? {
                    Ok(payload) => payload,
                    Err(error) => return Ok(Err(error)),
                };
                self.ask(api, || {
                    provider.begin_create(type_name, &payload, &intent.token)
                })
                .await
            }
            (OperationKind::Update, Some(identifier)) => {
                let payload = match self.payload(&intent.properties).await? {
                    Ok(payload) => payload,
                    Err(error) => return Ok(Err(error)),
                };
                let previous = self.recorder.with(|ledger| {
                    ledger
                        .state
                        .resources
                        .get(&intent.address)
                        .map(|known| known.properties.clone())
                });
                let previous = previous.unwrap_or_default();
                self.ask(api, || {
                    provider.begin_update(type_name, identifier, &payload, &previous, &intent.token)
                })
                .await
            }
            (OperationKind::Delete, Some(identifier)) => {
                self.ask(api, || {
                    provider.begin_delete(type_name, identifier, &intent.token)
                })
                .await
            }
            (OperationKind::Update | OperationKind::Delete | OperationKind::Read, _) => {
                Ok(Err(ProviderError {
                    class: ErrorClass::Terminal,
                    code: "NoIdentifier".to_owned(),
                    message: "the resource's identifier is not known".to_owned(),
                }))
            }
        }
    }

    async fn poll(
        &self,
        intent: &Intent,
        request: &RequestToken,
    ) -> Result<Result<Progress, ProviderError>, Fatal> {
        let api = Api::of(&intent.type_name, Api::Read);
        self.call(api, || self.provider.poll(&intent.type_name, request))
            .await
    }

    /// Makes a call within its budget, and again where the call itself (not what it asked for) was refused for now.
    async fn call<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        api: Api,
        call: impl Fn() -> F,
    ) -> Result<Result<T, ProviderError>, Fatal> {
        self.call_with(api, false, call).await
    }

    /// The same, for what begins an operation: if what it needs is not ready, whoever waits for it is told.
    async fn ask<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        api: Api,
        call: impl Fn() -> F,
    ) -> Result<Result<T, ProviderError>, Fatal> {
        self.call_with(api, true, call).await
    }

    async fn call_with<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        api: Api,
        begins: bool,
        call: impl Fn() -> F,
    ) -> Result<Result<T, ProviderError>, Fatal> {
        let mut retries = Retries::new(self.pace);
        loop {
            let permit = self.limits.permit(api).await;
            let result = call().await;
            drop(permit);
            let error = match result {
                Ok(value) => return Ok(Ok(value)),
                Err(error) => error,
            };
            // These are about what was asked for: the caller tries that again.
            if error.class == ErrorClass::Propagation
                || begins && error.class == ErrorClass::NotReady
            {
                return Ok(Err(error));
            }
            if error.class == ErrorClass::Throttled {
                self.limits.throttled(api);
            }
            match retries.after(&error) {
                Some(wait) => tokio::time::sleep(wait).await,
                // A cluster that can't be reached stops what is in it, and nothing else.
                None if error.class == ErrorClass::Unreachable && api != Api::Cluster => {
                    return Err(Fatal::Unreachable(error));
                }
                None => return Ok(Err(error)),
            }
        }
    }

    /// The properties with secrets in their places.
    async fn payload(&self, properties: &Json) -> Result<Result<Payload, ProviderError>, Fatal> {
        let mut document = properties.clone();
        match Box::pin(self.fill_secrets(&mut document)).await? {
            Ok(()) => Ok(Ok(Payload::new(document))),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn fill_secrets(&self, document: &mut Json) -> Result<Result<(), ProviderError>, Fatal> {
        if let Some(reference) = as_secret(document) {
            let identifier = self.recorder.with(|ledger| {
                ledger
                    .state
                    .resources
                    .get(&reference.secret)
                    .map(|secret| secret.identifier.clone())
            });
            let Some(identifier) = identifier else {
                return Ok(Err(ProviderError {
                    class: ErrorClass::Terminal,
                    code: "NoSecret".to_owned(),
                    message: format!("the secret {} does not exist", reference.secret),
                }));
            };
            let key = reference.key.as_deref();
            return Ok(
                match self
                    .call(Api::Read, || self.provider.secret(&identifier, key))
                    .await?
                {
                    Ok(text) => {
                        *document = Json::from(text.expose());
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            );
        }
        let inner: Vec<&mut Json> = match document {
            Json::Object(object) => object.values_mut().collect(),
            Json::Array(items) => items.iter_mut().collect(),
            _ => Vec::new(),
        };
        for value in inner {
            if let Err(error) = Box::pin(self.fill_secrets(value)).await? {
                return Ok(Err(error));
            }
        }
        if let Some(text) = join_secrets(document) {
            *document = Json::from(text);
        }
        Ok(Ok(()))
    }

    /// Reads what was made, and writes the outcome down.
    async fn finish(
        &self,
        intent: &Intent,
        identifier: Option<Identifier>,
    ) -> Result<Outcome, Fatal> {
        let address = intent.address.clone();
        if intent.kind == OperationKind::Delete {
            self.recorder
                .record(Event::OperationSucceeded {
                    address,
                    made: None,
                })
                .await?;
            return Ok(Ok(None));
        }
        let Some(identifier) = identifier.or_else(|| intent.identifier.clone()) else {
            return Ok(Err(ProviderError {
                class: ErrorClass::Terminal,
                code: "NoIdentifier".to_owned(),
                message: "the operation succeeded but named no resource".to_owned(),
            }));
        };
        let attributes = match self.read_made(intent, &identifier).await? {
            Ok(attributes) => attributes,
            Err(error) => return Ok(Err(error)),
        };
        let made = Some(Made {
            identifier: identifier.clone(),
            attributes,
        });
        self.recorder
            .record(Event::OperationSucceeded { address, made })
            .await?;
        Ok(Ok(Some(identifier)))
    }

    /// Reads a resource that was made a moment ago: it may not be there for a while.
    async fn read_made(
        &self,
        intent: &Intent,
        identifier: &Identifier,
    ) -> Result<Result<Json, ProviderError>, Fatal> {
        let mut retries = Retries::new(self.pace);
        loop {
            match self
                .call(Api::of(&intent.type_name, Api::Read), || {
                    self.provider
                        .observe(&intent.type_name, identifier, &intent.properties)
                })
                .await?
            {
                Ok(Some(attributes)) => return Ok(Ok(readable(intent, attributes))),
                Err(error) => return Ok(Err(error)),
                Ok(None) => {
                    let error = ProviderError {
                        class: ErrorClass::Propagation,
                        code: "NotFound".to_owned(),
                        message: format!("{identifier} can't be read after it was made"),
                    };
                    match retries.after(&error) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => {
                            return Ok(Err(ProviderError {
                                class: ErrorClass::Terminal,
                                ..error
                            }));
                        }
                    }
                }
            }
        }
    }

    async fn read_existing(&self, intent: Intent) -> Result<Outcome, Fatal> {
        let Some(identifier) = intent.identifier.clone() else {
            return self.search(intent).await;
        };
        match self
            .call(Api::of(&intent.type_name, Api::Read), || {
                self.provider
                    .observe(&intent.type_name, &identifier, &intent.properties)
            })
            .await?
        {
            Ok(Some(attributes)) => {
                if let Some(error) = unlike(&intent, &attributes) {
                    return Ok(Err(error));
                }
                let attributes = readable(&intent, attributes);
                let made = Made {
                    identifier: identifier.clone(),
                    attributes,
                };
                self.recorder
                    .record(Event::Found {
                        intent: Box::new(intent),
                        made,
                    })
                    .await?;
                Ok(Ok(Some(identifier)))
            }
            Ok(None) => Ok(Err(ProviderError {
                class: ErrorClass::NotFound,
                code: "NotFound".to_owned(),
                message: match intent.type_name.realm() {
                    Realm::Aws => format!(
                        "there is no {} {identifier} in this account and region",
                        intent.type_name
                    ),
                    Realm::Kubernetes | Realm::Helm => {
                        format!("there is no {} {identifier}", intent.type_name)
                    }
                },
            })),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn find(
        &self,
        intent: &Intent,
    ) -> Result<Result<Option<Identifier>, ProviderError>, Fatal> {
        let find = || {
            self.provider.find(
                &self.scope,
                &intent.address,
                &intent.type_name,
                &intent.properties,
            )
        };
        self.call(Api::of(&intent.type_name, Api::Read), find).await
    }

    /// What to do when nobody knows what became of a call: look for its effect, and ask again if there is none.
    async fn search(&self, mut intent: Intent) -> Result<Outcome, Fatal> {
        match intent.kind {
            OperationKind::Create => match self.find(&intent).await? {
                Ok(Some(identifier)) => return self.adopt(intent, identifier).await,
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            },
            OperationKind::Update | OperationKind::Delete => {}
            OperationKind::Read => return Ok(Ok(None)),
        }
        intent.token = new_token();
        self.recorder
            .record(Event::OperationStarted(Box::new(intent.clone())))
            .await?;
        Box::pin(self.drive(intent, None, None)).await
    }

    /// Takes over a resource that is ours, and brings it to what is wanted.
    async fn adopt(&self, intent: Intent, identifier: Identifier) -> Result<Outcome, Fatal> {
        let attributes = match self.read_made(&intent, &identifier).await? {
            Ok(attributes) => attributes,
            Err(error) => return Ok(Err(error)),
        };
        let as_found = Rules::of(&intent.type_name).map_or_else(
            || intent.properties.clone(),
            |rules| rules.as_found(&intent.properties, &attributes),
        );
        let differs = as_found != intent.properties;
        let made = Made {
            identifier: identifier.clone(),
            attributes,
        };
        let update = Intent {
            kind: OperationKind::Update,
            identifier: Some(identifier.clone()),
            token: new_token(),
            ..intent.clone()
        };
        let ensured = intent.lifecycle == Lifecycle::Ensure;
        let mut found = intent;
        if differs && !ensured {
            // Until the update is done, what is there is what was applied: a plan made in between must see the rest.
            found.properties = as_found;
        }
        self.recorder
            .record(Event::Found {
                intent: Box::new(found),
                made,
            })
            .await?;
        if !differs || ensured {
            return Ok(Ok(Some(identifier)));
        }
        self.recorder
            .record(Event::OperationStarted(Box::new(update.clone())))
            .await?;
        Box::pin(self.drive(update, None, None)).await
    }

    /// Whether what a failed create names is what it has left: ours to delete. A name that we chose may be somebody
    /// else's resource that stood in the way, whatever the error says, so it must show that it is ours.
    async fn is_remnant(
        &self,
        intent: &Intent,
        error: &ProviderError,
        left: &Identifier,
    ) -> Result<bool, Fatal> {
        if intent.kind != OperationKind::Create || !leaves_remnant(error) {
            return Ok(false);
        }
        let chosen = Rules::of(&intent.type_name)
            .and_then(|rules| rules.identifier(&intent.properties))
            .is_some_and(|identifier| identifier == left.as_str());
        if !chosen {
            return Ok(true);
        }
        Ok(matches!(self.find(intent).await?, Ok(Some(found)) if found == *left))
    }

    /// Deletes what a failed attempt has left, and tries that again as any other operation.
    async fn remove_remnant(
        &self,
        intent: &Intent,
        remnant: &Identifier,
    ) -> Result<Result<(), ProviderError>, Fatal> {
        let mut retries = Retries::new(self.pace);
        loop {
            let error = match self.delete_once(intent, remnant).await? {
                Ok(()) => return Ok(Ok(())),
                Err(error) if error.class == ErrorClass::NotFound => return Ok(Ok(())),
                Err(error) => error,
            };
            match retries.after(&error) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(Err(error)),
            }
        }
    }

    async fn delete_once(
        &self,
        intent: &Intent,
        identifier: &Identifier,
    ) -> Result<Result<(), ProviderError>, Fatal> {
        let token = new_token();
        let begin = || {
            self.provider
                .begin_delete(&intent.type_name, identifier, &token)
        };
        let api = Api::of(&intent.type_name, Api::Change);
        let mut result = self.call(api, begin).await?;
        let mut patience = Patience::new(self.pace);
        loop {
            let progress = match result {
                Ok(progress) => progress,
                Err(error) => return Ok(Err(error)),
            };
            match (progress.status, progress.operation) {
                (Status::Failed(error), _) => return Ok(Err(error)),
                (Status::InProgress, Some(request)) => {
                    tokio::time::sleep(patience.before_poll(progress.retry_after)).await;
                    result = self.poll(intent, &request).await?;
                }
                (Status::Success | Status::InProgress, _) => return Ok(Ok(())),
            }
        }
    }

    async fn fail(
        &self,
        intent: &Intent,
        error: ProviderError,
        remnant: Option<Identifier>,
    ) -> Result<Outcome, Fatal> {
        let pending = self
            .recorder
            .with(|ledger| ledger.pending.contains_key(&intent.address));
        if pending {
            let event = Event::OperationFailed {
                address: intent.address.clone(),
                error: error.clone(),
                remnant,
            };
            self.recorder.record(event).await?;
        }
        Ok(Err(error))
    }

    pub(crate) fn notify(&self, intent: &Intent, what: What) {
        (self.observer)(Notice {
            at: Timestamp::now(),
            address: intent.address.clone(),
            type_name: intent.type_name.clone(),
            operation: intent.kind,
            what,
        });
    }
}

/// Why somebody else's resource is not the one that the spec means, if it is not: what the spec says of it is not so.
fn unlike(intent: &Intent, model: &Json) -> Option<ProviderError> {
    let difference = Rules::of(&intent.type_name)?
        .differences(&intent.properties, model)
        .into_iter()
        .next()?;
    let (path, expected, actual) = (difference.path, difference.expected, difference.actual);
    Some(ProviderError {
        class: ErrorClass::Terminal,
        code: "NotAsTheSpecSays".to_owned(),
        message: format!("its {path} is {actual}, but the spec says {expected}"),
    })
}

/// A model without what can't be read back.
fn readable(intent: &Intent, attributes: Json) -> Json {
    match Rules::of(&intent.type_name) {
        Some(rules) => rules.readable(attributes),
        None => attributes,
    }
}

/// Whether what a failed create names is its own. With these codes it is what stood in its way.
fn leaves_remnant(error: &ProviderError) -> bool {
    error.class != ErrorClass::AlreadyExists && !error.code.contains("ResourceConflict")
}
