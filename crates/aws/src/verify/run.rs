//! How a verification makes, waits, compares, notes and cleans up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalog::TypeName;
use catalog::compare::differences;
use catalog::ids::{ClientToken, Identifier};
use engine::Pace;
use engine::provider::{ErrorClass, Payload, Progress, Provider, ProviderError, Status};
use graph::Scope;
use serde_json::Value;
use uuid::Uuid;

use super::{Limits, Unexpected, VerifyReport, VerifyStep};
use crate::provider::AwsProvider;

/// Between two polls at first, and at most.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What was begun, kept from before the call so that cleaning up can ask again under the same token.
pub(super) struct Made {
    type_name: TypeName,
    payload: Payload,
    token: ClientToken,
    identifier: Option<Identifier>,
    gone: bool,
}

/// The code of what took longer than its limit.
const TIMED_OUT: &str = "Timeout";

fn timed_out(message: &str) -> ProviderError {
    ProviderError {
        class: ErrorClass::Terminal,
        code: TIMED_OUT.to_owned(),
        message: message.to_owned(),
    }
}

pub(super) fn token() -> ClientToken {
    ClientToken::new(Uuid::new_v4().to_string())
        .unwrap_or_else(|_| unreachable!("a UUID is letters, digits and hyphens"))
}

/// One verification on its way.
pub(super) struct Run<'a> {
    pub(super) provider: &'a AwsProvider,
    pub(super) pace: Pace,
    pub(super) limits: Limits,
    pub(super) scope: Scope,
    pub(super) observe: &'a (dyn Fn(&str) + Send + Sync),
    /// The step that is under way.
    pub(super) current: Mutex<String>,
    pub(super) report: Mutex<VerifyReport>,
    pub(super) made: Mutex<Vec<Made>>,
}

/// The rest of a step makes no sense after this.
pub(super) struct Stop;

impl Run<'_> {
    /// Deletes in reverse, and looks whether it is gone.
    pub(super) async fn destroy(&self) {
        let count = self.lock_made().len();
        for index in (0..count).rev() {
            let Some((type_name, identifier)) = self.nth(index) else {
                continue;
            };
            let name = format!("delete {type_name}");
            let started = Instant::now();
            self.begin(&name);
            if let Err(error) = self.delete(&type_name, &identifier).await {
                self.differs(&name, "it is deleted", &error.to_string());
                continue;
            }
            self.lock_made()[index].gone = true;
            match self.provider.read(&type_name, &identifier).await {
                Ok(None) => {}
                Ok(Some(_)) => {
                    self.differs(&name, "what was deleted is not found", "it is still read");
                }
                Err(error) => {
                    self.differs(&name, "what was deleted is not found", &error.to_string());
                }
            }
            if let Err(error) = self.delete(&type_name, &identifier).await {
                self.differs(
                    &name,
                    "deleting what is gone is a success",
                    &error.to_string(),
                );
            }
            self.done(&name, started, identifier.to_string());
        }
    }

    /// Deletes what is still there. What a call that was cut off may have made is asked for under its own token.
    pub(super) async fn clean_up(&self) {
        let count = self.lock_made().len();
        for index in (0..count).rev() {
            let (type_name, payload, token) = {
                let made = self.lock_made();
                let entry = &made[index];
                if entry.gone {
                    continue;
                }
                (
                    entry.type_name.clone(),
                    entry.payload.clone(),
                    entry.token.clone(),
                )
            };
            let identifier = match self.nth(index) {
                Some((_, identifier)) => Some(identifier),
                None => {
                    let begun = self
                        .provider
                        .begin_create(&type_name, &payload, &token)
                        .await;
                    let result = match begun {
                        Ok(progress) => self.wait(&type_name, progress).await,
                        Err(error) => Err(error),
                    };
                    match (result, self.nth(index)) {
                        (Ok((identifier, _)), _) => identifier,
                        // What failed may have left something.
                        (Err(_), Some((_, identifier))) => Some(identifier),
                        (Err(error), None) => {
                            if error.code == TIMED_OUT || error.class.is_retryable() {
                                self.lock_report()
                                    .left_behind
                                    .push(format!("{type_name} (if its create made one: {error})"));
                            }
                            None
                        }
                    }
                }
            };
            // From here on it is gone, or named below.
            self.lock_made()[index].gone = true;
            let Some(identifier) = identifier else {
                continue;
            };
            if let Err(error) = self.delete(&type_name, &identifier).await {
                self.lock_report()
                    .left_behind
                    .push(format!("{type_name} {identifier} ({error})"));
            }
        }
        if count == 0 {
            return;
        }
        // Proof that nothing is left, by tags: what this does not see has none.
        match self.provider.owned(&self.scope).await {
            Ok(owned) => {
                let left = owned.into_iter().map(|owned| owned.arn);
                self.lock_report().left_behind.extend(left);
            }
            Err(error) => self.differs("sweep", "what has our tags is listed", &error.to_string()),
        }
    }

    /// There was no time to clean up: names everything that may still be there.
    pub(super) fn not_cleaned_up(&self) {
        let left: Vec<String> = self
            .lock_made()
            .iter()
            .filter(|made| !made.gone)
            .map(|made| match &made.identifier {
                Some(identifier) => format!("{} {identifier} (no time was left)", made.type_name),
                None => format!(
                    "{} (if its create made one; no time was left to look)",
                    made.type_name
                ),
            })
            .collect();
        self.lock_report().left_behind.extend(left);
        let limit = self.limits.clean_up.as_secs_f64();
        self.differs(
            "clean up",
            &format!("it ends within {limit} s"),
            "it does not",
        );
    }

    /// The whole has taken too long.
    pub(super) fn cut_off(&self) {
        let step = self
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let limit = self.limits.everything.as_secs_f64();
        self.differs(
            &step,
            &format!("everything is done within {limit} s"),
            "this was under way when the time was over; the rest was left out",
        );
    }

    /// Deletes within the time that an operation may take, the tries that were refused for now included.
    async fn delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<(), ProviderError> {
        let deleting = self.delete_patiently(type_name, identifier);
        tokio::time::timeout(self.limits.operation, deleting)
            .await
            .unwrap_or_else(|_| Err(timed_out("it is not deleted in time")))
    }

    async fn delete_patiently(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<(), ProviderError> {
        let mut wait = FIRST_WAIT;
        loop {
            let result = match self
                .provider
                .begin_delete(type_name, identifier, &token())
                .await
            {
                Ok(progress) => self.wait(type_name, progress).await.map(drop),
                Err(error) => Err(error),
            };
            match result {
                Err(error) if error.class.is_retryable() && wait <= LONGEST_WAIT * 2 => {
                    tokio::time::sleep(self.pace.wall(wait)).await;
                    wait *= 2;
                }
                result => return result,
            }
        }
    }

    pub(super) async fn create(
        &self,
        step: &str,
        type_name: &TypeName,
        desired: &Value,
    ) -> Result<Identifier, Stop> {
        self.step(step, async {
            let (token, payload) = self.remember(type_name, desired);
            let begun = self
                .provider
                .begin_create(type_name, &payload, &token)
                .await;
            let result = match self.must(step, "a create is accepted", begun) {
                Ok(progress) => self.settle(step, type_name, progress).await,
                Err(stop) => Err(stop),
            };
            match result {
                Ok((identifier, _)) => {
                    self.made_as(&token, &identifier);
                    let observed = identifier.to_string();
                    (Ok(identifier), observed)
                }
                Err(stop) => (Err(stop), String::new()),
            }
        })
        .await
    }

    pub(super) async fn update(
        &self,
        step: &str,
        type_name: &TypeName,
        identifier: &Identifier,
        desired: &Value,
        previous: &Value,
    ) -> Result<(), Stop> {
        self.step(step, async {
            let payload = Payload::new(desired.clone());
            let begun = self
                .provider
                .begin_update(type_name, identifier, &payload, previous, &token())
                .await;
            let result = match self.must(step, "an update is accepted", begun) {
                Ok(progress) => self.settle(step, type_name, progress).await.map(drop),
                Err(stop) => Err(stop),
            };
            (result, identifier.to_string())
        })
        .await
    }

    pub(super) async fn read(
        &self,
        step: &str,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Value, Stop> {
        let mut misses = 0;
        loop {
            let live = self.provider.read(type_name, identifier).await;
            if let Some(live) = self.must(step, "a resource can be read", live)? {
                if misses > 0 {
                    self.note(step, format!("not found {misses} times after its success"));
                }
                return Ok(live);
            }
            misses += 1;
            if misses > 10 {
                self.differs(
                    step,
                    "a resource is found soon after its success",
                    "not found 10 times",
                );
                return Err(Stop);
            }
            tokio::time::sleep(self.pace.wall(FIRST_WAIT).max(Duration::from_millis(20))).await;
        }
    }

    /// Reads a resource and compares it with what was asked for.
    pub(super) async fn read_back(
        &self,
        step: &str,
        type_name: &TypeName,
        identifier: &Identifier,
        desired: &Value,
    ) -> Result<Value, Stop> {
        let live = self.read(step, type_name, identifier).await?;
        if let Some(schema) = catalog::schema(type_name) {
            for difference in differences(schema, desired, &live) {
                self.differs(
                    step,
                    &format!(
                        "{type_name} {} reads back as {}",
                        difference.path, difference.expected
                    ),
                    &difference.actual.to_string(),
                );
            }
            let own = schema.identifier_of(&live);
            self.expect(
                step,
                own.as_deref().is_none_or(|own| own == identifier.as_str()),
                &format!("the model of {type_name} has the identifier {identifier}"),
                &format!("{own:?}"),
            );
        }
        Ok(live)
    }

    pub(super) async fn settle(
        &self,
        step: &str,
        type_name: &TypeName,
        progress: Progress,
    ) -> Result<(Identifier, Option<bool>), Stop> {
        let result = self.wait(type_name, progress).await;
        match self.must(step, "the operation succeeds", result)? {
            (Some(identifier), early) => Ok((identifier, early)),
            (None, _) => {
                self.differs(step, "a success names the resource", "no identifier");
                Err(Stop)
            }
        }
    }

    /// Waits for an operation's end: the identifier, and whether it was known before, if that was looked at: what is over by
    /// the first poll tells nothing.
    pub(super) async fn wait(
        &self,
        type_name: &TypeName,
        mut progress: Progress,
    ) -> Result<(Option<Identifier>, Option<bool>), ProviderError> {
        let started = Instant::now();
        let mut identifier = None;
        let mut early = None;
        let mut wait = FIRST_WAIT;
        loop {
            identifier = progress.identifier.or(identifier);
            match progress.status {
                Status::Success => return Ok((identifier, early)),
                Status::Failed(error) => {
                    self.left(type_name, identifier);
                    return Err(error);
                }
                Status::InProgress => {}
            }
            let Some(operation) = progress.operation else {
                return Err(timed_out("an operation in progress has no token"));
            };
            let left = self.limits.operation.saturating_sub(started.elapsed());
            if left.is_zero() {
                // What it was about is deleted with the rest, as far as it is known.
                self.left(type_name, identifier);
                return Err(timed_out("the operation does not end"));
            }
            let pause = progress
                .retry_after
                .unwrap_or_else(|| self.pace.wall(wait))
                .max(Duration::from_millis(5))
                .min(left);
            tokio::time::sleep(pause).await;
            wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
            progress = match self.provider.poll(type_name, &operation).await {
                Ok(progress) => {
                    if matches!(progress.status, Status::InProgress) {
                        early = Some(progress.identifier.is_some());
                    }
                    progress
                }
                Err(error) if error.class.is_retryable() => Progress {
                    operation: Some(operation),
                    identifier: identifier.clone(),
                    status: Status::InProgress,
                    retry_after: None,
                    note: None,
                },
                Err(error) => return Err(error),
            };
        }
    }

    pub(super) async fn step<T>(&self, name: &str, work: impl Future<Output = (T, String)>) -> T {
        let started = Instant::now();
        self.begin(name);
        let (result, observed) = work.await;
        self.done(name, started, observed);
        result
    }

    pub(super) fn begin(&self, step: &str) {
        step.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
        (self.observe)(step);
    }

    /// Says of what was to follow why it was left out.
    pub(super) fn skipped_after<T>(&self, what: &str, result: &Result<T, Stop>) {
        if result.is_err() {
            let reason = match self.lock_report().differences.last() {
                Some(last) => format!("skipped: it needs what failed in \"{}\"", last.step),
                None => "skipped".to_owned(),
            };
            self.note(what, reason);
        }
    }

    pub(super) fn done(&self, name: &str, started: Instant, observed: String) {
        self.lock_report().steps.push(VerifyStep {
            name: name.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            observed,
        });
    }

    pub(super) fn note(&self, name: &str, observed: String) {
        self.done(name, Instant::now(), observed);
    }

    pub(super) fn differs(&self, step: &str, expected: &str, found: &str) {
        self.lock_report().differences.push(Unexpected {
            step: step.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    }

    pub(super) fn expect(&self, step: &str, holds: bool, expected: &str, found: &str) {
        if !holds {
            self.differs(step, expected, found);
        }
    }

    pub(super) fn must<T>(
        &self,
        step: &str,
        expected: &str,
        result: Result<T, ProviderError>,
    ) -> Result<T, Stop> {
        result.map_err(|error| {
            self.differs(step, expected, &error.to_string());
            Stop
        })
    }

    pub(super) fn remember(&self, type_name: &TypeName, desired: &Value) -> (ClientToken, Payload) {
        let (token, payload) = (token(), Payload::new(desired.clone()));
        self.lock_made().push(Made {
            type_name: type_name.clone(),
            payload: payload.clone(),
            token: token.clone(),
            identifier: None,
            gone: false,
        });
        (token, payload)
    }

    pub(super) fn made_as(&self, token: &ClientToken, identifier: &Identifier) {
        if let Some(made) = self
            .lock_made()
            .iter_mut()
            .find(|made| made.token == *token)
        {
            made.identifier = Some(identifier.clone());
        }
    }

    /// A failed create has left something behind: it is deleted with the rest.
    fn left(&self, type_name: &TypeName, identifier: Option<Identifier>) {
        let mut made = self.lock_made();
        if identifier.is_none() || made.iter().any(|made| made.identifier == identifier) {
            return;
        }
        if let Some(entry) = made
            .iter_mut()
            .rev()
            .find(|made| made.type_name == *type_name && made.identifier.is_none())
        {
            entry.identifier = identifier;
        }
    }

    fn nth(&self, index: usize) -> Option<(TypeName, Identifier)> {
        let made = self.lock_made();
        let made = made.get(index)?;
        Some((made.type_name.clone(), made.identifier.clone()?))
    }

    fn lock_made(&self) -> std::sync::MutexGuard<'_, Vec<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_report(&self) -> std::sync::MutexGuard<'_, VerifyReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
