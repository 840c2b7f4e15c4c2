//! The fold of a journal: the state, the run, and the operations that are under way.
//!
//! Every pair of a status and an event is either legal, and gives the next status, or an error that names both. A
//! journal that can't be folded is not believed.

use std::collections::BTreeMap;

use catalog::ids::{Address, Identifier, RequestToken, RunId, Serial};
use graph::{ResourceState, State};
use jiff::Timestamp;
use journal::{Contents, Record, Snapshot};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Intent, Made, OperationKind, Outcome, RunKind};

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// What is known to exist.
    pub state: State,
    /// Operations whose outcome is not known.
    pub pending: BTreeMap<Address, Pending>,
    /// The last run.
    pub run: Option<Run>,
}

/// The last run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it was for.
    pub kind: RunKind,
    /// When it began.
    pub started: Timestamp,
    /// How it ended; none while it goes on, or when it died.
    pub outcome: Option<Outcome>,
    /// The hash of the spec that it applies.
    #[serde(default)]
    pub spec_hash: Option<String>,
}

/// An operation whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// What was asked for.
    pub intent: Intent,
    /// When it was written down.
    pub since: Timestamp,
    /// The provider's token of it, once it was accepted.
    pub request: Option<RequestToken>,
    /// The resource's identifier, as soon as it is known.
    pub identifier: Option<Identifier>,
}

/// Why a journal can't be folded.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// An event that can't have happened then.
    #[error("record {serial}: {event} can't come {status}")]
    Illegal {
        /// The record.
        serial: Serial,
        /// What it says.
        event: String,
        /// What was the case.
        status: String,
    },
    /// A record that is not an event of ours.
    #[error("record {serial} is not known to this version of seaworthy")]
    Unknown {
        /// The record.
        serial: Serial,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Ledger {
    /// Folds what a store holds.
    ///
    /// # Errors
    ///
    /// A record that is not known, or that can't have come then.
    pub fn fold(contents: &Contents) -> Result<Self, LedgerError> {
        let mut ledger = match &contents.snapshot {
            Some(snapshot) => serde_json::from_value(snapshot.body.clone()).map_err(|source| {
                LedgerError::Unknown {
                    serial: snapshot.serial,
                    source,
                }
            })?,
            None => Self::default(),
        };
        for record in &contents.records {
            ledger.apply_record(record)?;
        }
        Ok(ledger)
    }

    /// A snapshot of it.
    ///
    /// # Errors
    ///
    /// When it can't be encoded.
    pub fn snapshot(&self, at: Timestamp, reason: &str) -> Result<Snapshot, serde_json::Error> {
        let body = serde_json::to_value(self)?;
        Ok(Snapshot {
            serial: self.state.serial,
            at,
            reason: reason.to_owned(),
            body,
        })
    }

    fn apply_record(&mut self, record: &Record) -> Result<(), LedgerError> {
        let event =
            serde_json::from_value(record.body.clone()).map_err(|source| LedgerError::Unknown {
                serial: record.serial,
                source,
            })?;
        self.apply(record.serial, record.at, event)
    }

    /// Folds one event.
    ///
    /// # Errors
    ///
    /// When it can't have come then.
    pub fn apply(
        &mut self,
        serial: Serial,
        at: Timestamp,
        event: Event,
    ) -> Result<(), LedgerError> {
        let illegal = |event: &str, status: &str| LedgerError::Illegal {
            serial,
            event: event.to_owned(),
            status: status.to_owned(),
        };
        match event {
            Event::RunStarted {
                run,
                kind,
                spec_hash,
                ..
            } => {
                self.run = Some(Run {
                    id: run,
                    kind,
                    started: at,
                    outcome: None,
                    spec_hash: Some(spec_hash),
                });
            }
            Event::RunEnded { run, outcome } => match &mut self.run {
                Some(current) if current.id == run && current.outcome.is_none() => {
                    current.outcome = Some(outcome);
                    if outcome == Outcome::Completed {
                        self.state.spec_hash = current.spec_hash.clone();
                    }
                    // A destroy looks for nothing: what the state does not know of is still there.
                    if outcome == Outcome::Completed && current.kind == RunKind::Deploy {
                        self.state.rolled_back = false;
                    }
                }
                _ => {
                    return Err(illegal(
                        &format!("the end of run {run}"),
                        "when that run is not going on",
                    ));
                }
            },
            Event::ParametersResolved { parameters } => {
                for (parameter, value) in parameters {
                    self.state.parameters.entry(parameter).or_insert(value);
                }
            }
            Event::OperationStarted(intent) => {
                // A second start without an end is a new attempt, with a new token, of the same thing.
                if let Some(pending) = self.pending.get(&intent.address)
                    && pending.intent.kind != intent.kind
                {
                    let status = format!("while {} is under way", describe(&pending.intent));
                    return Err(illegal(
                        &format!("the start of {}", describe(&intent)),
                        &status,
                    ));
                }
                let pending = Pending {
                    since: at,
                    request: None,
                    identifier: None,
                    intent: *intent,
                };
                self.pending.insert(pending.intent.address.clone(), pending);
            }
            Event::OperationAccepted {
                address,
                request,
                identifier,
            } => {
                let Some(pending) = self.pending.get_mut(&address) else {
                    return Err(illegal(
                        &format!("an operation on {address}"),
                        "before its start",
                    ));
                };
                pending.request = Some(request);
                pending.identifier = identifier.or(pending.identifier.take());
            }
            Event::OperationSucceeded { address, made } => {
                let Some(pending) = self.pending.remove(&address) else {
                    return Err(illegal(
                        &format!("the success of an operation on {address}"),
                        "before its start",
                    ));
                };
                match (pending.intent.kind, made) {
                    (OperationKind::Delete, None) => self.delete(&pending.intent),
                    (OperationKind::Delete, Some(_)) => {
                        return Err(illegal(
                            &format!("a model of {address}"),
                            "after its deletion",
                        ));
                    }
                    (_, Some(made)) => self.put(pending.intent, made),
                    (_, None) => {
                        return Err(illegal(
                            &format!("no model of {address}"),
                            "after it was made",
                        ));
                    }
                }
            }
            Event::OperationFailed {
                address, remnant, ..
            } => {
                let Some(pending) = self.pending.remove(&address) else {
                    return Err(illegal(
                        &format!("the failure of an operation on {address}"),
                        "before its start",
                    ));
                };
                if let Some(identifier) = remnant {
                    let made = Made {
                        identifier,
                        attributes: serde_json::Value::Null,
                    };
                    self.put(pending.intent, made);
                    if let Some(resource) = self.state.resources.get_mut(&address) {
                        resource.tainted = true;
                    }
                }
            }
            Event::Found { intent, made } => {
                self.pending.remove(&intent.address);
                self.put(*intent, made);
            }
            Event::Forgotten { address } => {
                if self.state.resources.remove(&address).is_none() {
                    return Err(illegal(
                        &format!("forgetting {address}"),
                        "when it is not known",
                    ));
                }
            }
            Event::Noted {
                address,
                needs,
                lifecycle,
            } => match self.state.resources.get_mut(&address) {
                Some(resource) => {
                    resource.needs = needs;
                    resource.lifecycle = lifecycle;
                }
                None => {
                    return Err(illegal(
                        &format!("a note on {address}"),
                        "when it is not known",
                    ));
                }
            },
        }
        self.state.serial = serial;
        Ok(())
    }

    fn put(&mut self, intent: Intent, made: Made) {
        let before = self.state.resources.remove(&intent.address);
        let mut deposed = Vec::new();
        if let Some(before) = before {
            deposed = before.deposed;
            // A resource that was made beside the one that it replaces: that one is still to be deleted.
            if before.identifier != made.identifier
                && !matches!(before.lifecycle, graph::Lifecycle::Existing(_))
            {
                deposed.push(before.identifier);
            }
        }
        let resource = ResourceState {
            type_name: intent.type_name,
            identifier: made.identifier,
            properties: intent.properties,
            attributes: made.attributes,
            needs: intent.needs,
            lifecycle: intent.lifecycle,
            tainted: false,
            deposed,
        };
        self.state.resources.insert(intent.address, resource);
    }

    fn delete(&mut self, intent: &Intent) {
        let Some(resource) = self.state.resources.get_mut(&intent.address) else {
            return;
        };
        match &intent.identifier {
            Some(identifier) if resource.identifier != *identifier => {
                resource.deposed.retain(|deposed| deposed != identifier);
            }
            _ => match resource.deposed.pop() {
                // The newest went first (a destroy after an interrupted replacement): its predecessor is left.
                Some(predecessor) => {
                    resource.identifier = predecessor;
                    resource.tainted = true;
                }
                None => {
                    self.state.resources.remove(&intent.address);
                }
            },
        }
    }
}

fn describe(intent: &Intent) -> String {
    let kind = match intent.kind {
        OperationKind::Create => "creating",
        OperationKind::Update => "updating",
        OperationKind::Delete => "deleting",
        OperationKind::Read => "reading",
    };
    format!("{kind} {}", intent.address)
}
