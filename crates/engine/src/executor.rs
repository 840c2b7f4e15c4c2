//! Applies a plan: each step as soon as what it needs is done, the longest remaining chain first.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use catalog::ids::{Address, RunId};
use graph::{Action, Change, Parameter, Plan, StateLookup, resolve_properties};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::event::{Event, Intent, OperationKind, Outcome, RunKind};
use crate::limit::Limits;
use crate::observer::{Observer, What};
use crate::operation::{Driver, Fatal, new_token, payload_hash};
use crate::pace::Pace;
use crate::provider::{ErrorClass, Provider, ProviderError};
use crate::recorder::Recorder;
use crate::steps::{Part, StepAction, StepId, Steps};

/// How hard the other side may be worked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Operations under way at once. Most of them only wait.
    pub operations: usize,
    /// Calls at once, for each API.
    pub calls: usize,
    /// Calls a modelled second, for each API.
    pub rate: f64,
    /// How fast time goes at the target.
    pub pace: Pace,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            operations: 100,
            calls: 10,
            rate: 10.0,
            pace: Pace::REAL,
        }
    }
}

/// How urgently a run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// Nothing new is begun; what is under way is waited for.
    Drain,
    /// At once. What is under way is settled by the next run.
    Now,
}

/// Why a run could not be carried on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The journal can't be written, or the other side can't be reached.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// The plan was made from another state.
    #[error(transparent)]
    Stale(#[from] graph::StalePlan),
    /// The plan's order and the state's contradict each other.
    #[error("the order of the plan contradicts that of the state: {}", path.iter().map(Address::as_str).collect::<Vec<_>>().join(" → "))]
    Circle {
        /// The circle.
        path: Vec<Address>,
    },
}

/// A resource that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The resource.
    pub address: Address,
    /// What was to be done with it.
    pub operation: OperationKind,
    /// Why it failed, in AWS's own words.
    pub error: ProviderError,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps that were done.
    pub done: usize,
    /// Resources that failed.
    pub failed: Vec<Failure>,
    /// Resources that were not begun because of another.
    pub skipped: Vec<Skipped>,
    /// Resources that were not begun, or not waited for, because the run was stopped.
    pub left: Vec<Address>,
    /// How long it took on the wall, in seconds.
    pub wall_seconds: f64,
    /// How long that would be at AWS, in seconds; none when nothing was waited for.
    pub modelled_seconds: Option<f64>,
    /// The longest chain of the plan by typical durations, in seconds at AWS: no order can take less.
    pub critical_path_seconds: f64,
}

/// A resource that was not begun because of another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Skipped {
    /// The resource.
    pub address: Address,
    /// Which one failed or was skipped itself.
    pub because: Address,
}

/// Applies plans through one provider into one journal.
pub struct Engine {
    driver: Arc<Driver>,
    settings: Settings,
}

impl Engine {
    /// An engine over an opened journal.
    pub fn new(
        scope: graph::Scope,
        provider: Arc<dyn Provider>,
        recorder: Arc<Recorder>,
        settings: Settings,
        observer: Observer,
    ) -> Self {
        let limits = Limits::new(settings.calls, settings.rate, settings.pace);
        let driver = Driver {
            provider,
            recorder,
            limits,
            pace: settings.pace,
            observer,
            scope,
        };
        Self {
            driver: Arc::new(driver),
            settings,
        }
    }

    /// The journal that it writes.
    pub fn recorder(&self) -> &Recorder {
        &self.driver.recorder
    }

    /// Finds out what became of the operations that an earlier run has left. Failures are not fatal: the next plan
    /// takes them up.
    ///
    /// # Errors
    ///
    /// When the journal can't be written or the other side can't be reached.
    pub async fn settle(
        &self,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<Vec<Failure>, EngineError> {
        let pending = self.recorder().with(|ledger| ledger.pending.clone());
        let mut failures = Vec::new();
        let mut tasks = JoinSet::new();
        for (address, pending) in pending {
            let driver = self.driver.clone();
            tasks.spawn(async move {
                let operation = pending.intent.kind;
                (address, operation, driver.resume(pending).await)
            });
        }
        loop {
            let joined = tokio::select! {
                joined = tasks.join_next() => joined,
                () = stopped(&mut stop, Stop::Now) => return Ok(failures),
            };
            let Some(joined) = joined else {
                return Ok(failures);
            };
            let (address, operation, result) = joined.map_err(panicked)?;
            if let Err(error) = result? {
                failures.push(Failure {
                    address,
                    operation,
                    error,
                });
            }
        }
    }

    /// Applies a plan.
    ///
    /// # Errors
    ///
    /// When the plan is stale, the journal can't be written or the other side can't be reached. A resource that fails
    /// is no error: it is in the report, and so is everything that was not begun because of it.
    pub async fn apply(
        &self,
        run: RunId,
        kind: RunKind,
        plan: &Plan,
        parameters: &BTreeMap<Parameter, String>,
        stop: watch::Receiver<Stop>,
    ) -> Result<Report, EngineError> {
        let state = self.recorder().state();
        plan.check(&self.driver.scope, state.serial)?;
        let steps = Steps::of(plan, &state).map_err(|path| EngineError::Circle { path })?;
        self.record(Event::RunStarted {
            run: run.clone(),
            kind,
            spec_hash: plan.spec_hash.clone(),
            summary: plan.summary,
        })
        .await?;
        let new: BTreeMap<Parameter, String> = parameters
            .iter()
            .filter(|(parameter, _)| !state.parameters.contains_key(parameter))
            .map(|(parameter, value)| (*parameter, value.clone()))
            .collect();
        if !new.is_empty() {
            self.record(Event::ParametersResolved { parameters: new })
                .await?;
        }
        let mut execution = Execution::new(self, &steps);
        let ended = execution.run(stop).await;
        let report = execution.report(self.settings.pace);
        let outcome = if ended.is_ok() {
            report.outcome
        } else {
            Outcome::Interrupted
        };
        let recorded = self.record(Event::RunEnded { run, outcome }).await;
        // What ended the run is told before what that has led to.
        ended?;
        recorded?;
        Ok(report)
    }

    async fn record(&self, event: Event) -> Result<(), EngineError> {
        self.recorder().record(event).await.map_err(Fatal::from)?;
        Ok(())
    }
}

async fn stopped(stop: &mut watch::Receiver<Stop>, level: Stop) {
    if stop.wait_for(|now| *now >= level).await.is_err() {
        // Whoever could stop us is gone: nobody will.
        std::future::pending::<()>().await;
    }
}

fn panicked(error: tokio::task::JoinError) -> EngineError {
    EngineError::Fatal(Fatal::Unreachable(ProviderError {
        class: ErrorClass::Terminal,
        code: "Internal".to_owned(),
        message: format!("an operation ended by itself: {error}"),
    }))
}

/// A step that can be begun; the greatest is the one with the longest chain behind it.
#[derive(PartialEq)]
struct Ready(f64, StepId);

impl Eq for Ready {}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0
            .total_cmp(&other.0)
            .then_with(|| other.1.cmp(&self.1))
    }
}

type TaskResult = Result<Result<Option<catalog::ids::Identifier>, ProviderError>, Fatal>;

struct Execution<'e> {
    engine: &'e Engine,
    steps: &'e Steps<'e>,
    waiting: BTreeMap<&'e StepId, usize>,
    dependants: BTreeMap<&'e StepId, Vec<&'e StepId>>,
    ready: BinaryHeap<Ready>,
    tasks: JoinSet<TaskResult>,
    running: BTreeMap<Id, (StepId, Instant)>,
    done: BTreeSet<StepId>,
    failed: Vec<Failure>,
    skipped: BTreeMap<StepId, Address>,
    interrupted: bool,
    start: Instant,
}

impl<'e> Execution<'e> {
    fn new(engine: &'e Engine, steps: &'e Steps<'e>) -> Self {
        let mut dependants: BTreeMap<&StepId, Vec<&StepId>> = BTreeMap::new();
        for (id, needs) in &steps.needs {
            for need in needs {
                dependants.entry(need).or_default().push(id);
            }
        }
        let mut execution = Self {
            engine,
            steps,
            waiting: steps
                .needs
                .iter()
                .map(|(id, needs)| (id, needs.len()))
                .collect(),
            dependants,
            ready: BinaryHeap::new(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            done: BTreeSet::new(),
            failed: Vec::new(),
            skipped: BTreeMap::new(),
            interrupted: false,
            start: Instant::now(),
        };
        for (id, needs) in &steps.needs {
            if needs.is_empty() {
                execution.push_ready(id);
            }
        }
        execution
    }

    fn push_ready(&mut self, id: &StepId) {
        self.ready.push(Ready(
            self.steps.remaining.get(id).copied().unwrap_or(0.0),
            id.clone(),
        ));
    }

    async fn run(&mut self, mut stop: watch::Receiver<Stop>) -> Result<(), EngineError> {
        let mut fatal = None;
        loop {
            self.interrupted |= *stop.borrow() > Stop::No;
            while !self.interrupted
                && fatal.is_none()
                && self.tasks.len() < self.engine.settings.operations
            {
                let Some(Ready(_, id)) = self.ready.pop() else {
                    break;
                };
                if let Err(error) = self.begin(id).await {
                    fatal = Some(error);
                }
            }
            let level = if self.interrupted {
                Stop::Now
            } else {
                Stop::Drain
            };
            let joined = tokio::select! {
                biased;
                () = stopped(&mut stop, level) => {
                    self.interrupted = true;
                    if *stop.borrow() == Stop::Now {
                        self.tasks.abort_all();
                        break;
                    }
                    continue;
                }
                joined = self.tasks.join_next_with_id() => joined,
            };
            let Some(joined) = joined else { break };
            let (task, result) = joined.map_err(panicked)?;
            let Some((id, begun)) = self.running.remove(&task) else {
                continue;
            };
            match result {
                Ok(Ok(_)) if self.has_predecessor(&id) => {
                    if let Err(error) = self.begin(id).await {
                        fatal = fatal.or(Some(error));
                    }
                }
                Ok(Ok(identifier)) => {
                    self.succeeded(&id, identifier.map(|id| id.to_string()), begun)
                }
                Ok(Err(error)) => self.failed(&id, error),
                // The others find out by themselves; what they do until then is still written down.
                Err(error) => fatal = fatal.or(Some(EngineError::Fatal(error))),
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    async fn begin(&mut self, id: StepId) -> Result<(), EngineError> {
        let Some(step) = self.steps.steps.get(&id) else {
            return Ok(());
        };
        let begun = Instant::now();
        match &step.action {
            StepAction::Forget => {
                self.engine
                    .record(Event::Forgotten {
                        address: id.address.clone(),
                    })
                    .await?;
                self.finished(&id);
                return Ok(());
            }
            StepAction::Note => {
                let change = step.change;
                let (needs, lifecycle) = (change.needs.clone(), change.lifecycle.clone());
                self.engine
                    .record(Event::Noted {
                        address: id.address.clone(),
                        needs,
                        lifecycle,
                    })
                    .await?;
                self.finished(&id);
                return Ok(());
            }
            _ => {}
        }
        if step.change.action == Action::Create && self.is_known_without_predecessor(&id.address) {
            // It is gone from AWS: its successor replaces nothing.
            let address = id.address.clone();
            self.engine.record(Event::Forgotten { address }).await?;
        }
        let intent = match self.intent(step.change, &step.action) {
            Ok(intent) => intent,
            Err(error) => {
                self.failed(&id, error);
                return Ok(());
            }
        };
        let remaining = self.steps.remaining.get(&id).copied().unwrap_or(0.0);
        let typical = Duration::from_secs_f64(step.typical());
        let remaining = Duration::from_secs_f64(remaining);
        self.engine
            .driver
            .notify(&intent, What::Started { typical, remaining });
        let driver = self.engine.driver.clone();
        let task = self.tasks.spawn(async move { driver.run(intent).await });
        self.running.insert(task.id(), (id, begun));
        Ok(())
    }

    fn is_known_without_predecessor(&self, address: &Address) -> bool {
        self.engine.recorder().with(|ledger| {
            let known = ledger.state.resources.get(address);
            known.is_some_and(|known| known.deposed.is_empty())
        })
    }

    /// Whether the resource that was deleted was the successor of one that an interrupted replacement has left: that
    /// one goes too.
    fn has_predecessor(&self, id: &StepId) -> bool {
        let step = self.steps.steps.get(id);
        step.is_some_and(|step| step.change.action == Action::Delete)
            && self
                .engine
                .recorder()
                .with(|ledger| ledger.state.resources.contains_key(&id.address))
            && !self.interrupted
    }

    fn intent(&self, change: &Change, action: &StepAction) -> Result<Intent, ProviderError> {
        let recorder = self.engine.recorder();
        let known = recorder.with(|ledger| {
            ledger
                .state
                .resources
                .get(&change.address)
                .map(|resource| resource.identifier.clone())
        });
        let (properties, identifier) = match action {
            // What the state has now: a predecessor comes to the fore when its successor is gone. Of what others have made
            // it knows nothing.
            StepAction::Delete(identifier) if change.action == Action::Delete => (
                serde_json::Value::Null,
                known.or_else(|| Some(identifier.clone())),
            ),
            StepAction::Delete(identifier) => (serde_json::Value::Null, Some(identifier.clone())),
            _ => {
                let desired = change.desired.as_ref();
                let resolved = recorder.with(|ledger| {
                    desired
                        .map(|desired| resolve_properties(desired, &StateLookup(&ledger.state)))
                        .transpose()
                });
                let properties = resolved.map_err(|unknown| ProviderError {
                    class: ErrorClass::Terminal,
                    code: "Unresolved".to_owned(),
                    message: format!("{unknown} is not known although what it refers to exists"),
                })?;
                let identifier = match (&change.lifecycle, action) {
                    (graph::Lifecycle::Existing(identifier), _) => Some(identifier.clone()),
                    (_, StepAction::Create) => None,
                    _ => known,
                };
                (properties.unwrap_or_default(), identifier)
            }
        };
        // What is deleted is what was made, whatever is wanted at its address now.
        let made = recorder.with(|ledger| {
            let known = ledger.state.resources.get(&change.address);
            known.map(|resource| resource.type_name.clone())
        });
        let type_name = match (action, made) {
            (StepAction::Delete(_), Some(made)) => made,
            _ => change.type_name.clone(),
        };
        Ok(Intent {
            address: change.address.clone(),
            type_name,
            kind: action.kind(),
            token: new_token(),
            payload_hash: payload_hash(&properties),
            properties,
            identifier,
            needs: change.needs.clone(),
            lifecycle: change.lifecycle.clone(),
        })
    }

    fn succeeded(&mut self, id: &StepId, identifier: Option<String>, begun: Instant) {
        self.tell(
            id,
            What::Finished {
                identifier,
                took: begun.elapsed(),
            },
        );
        self.finished(id);
    }

    fn finished(&mut self, id: &StepId) {
        self.done.insert(id.clone());
        for dependant in self.dependants.get(id).cloned().unwrap_or_default() {
            let Some(count) = self.waiting.get_mut(dependant) else {
                continue;
            };
            *count -= 1;
            if *count == 0 && !self.skipped.contains_key(dependant) {
                self.push_ready(dependant);
            }
        }
    }

    fn failed(&mut self, id: &StepId, error: ProviderError) {
        self.tell(
            id,
            What::Failed {
                error: error.to_string(),
            },
        );
        let operation = self
            .steps
            .steps
            .get(id)
            .map_or(OperationKind::Create, |step| step.action.kind());
        self.failed.push(Failure {
            address: id.address.clone(),
            operation,
            error,
        });
        let mut reached: Vec<(&StepId, Address)> = self
            .dependants
            .get(id)
            .into_iter()
            .flatten()
            .map(|next| (*next, id.address.clone()))
            .collect();
        while let Some((next, because)) = reached.pop() {
            if self.skipped.contains_key(next) {
                continue;
            }
            self.tell(
                next,
                What::Skipped {
                    because: because.clone(),
                },
            );
            self.skipped.insert(next.clone(), because);
            let further = self.dependants.get(next).into_iter().flatten();
            reached.extend(further.map(|further| (*further, next.address.clone())));
        }
    }

    fn tell(&self, id: &StepId, what: What) {
        let Some(step) = self.steps.steps.get(id) else {
            return;
        };
        (self.engine.driver.observer)(crate::observer::Notice {
            at: jiff::Timestamp::now(),
            address: id.address.clone(),
            type_name: step.change.type_name.clone(),
            operation: step.action.kind(),
            what,
        });
    }

    fn report(&self, pace: Pace) -> Report {
        let wall = self.start.elapsed();
        let failed: BTreeSet<&Address> =
            self.failed.iter().map(|failure| &failure.address).collect();
        let left: BTreeSet<Address> = self
            .steps
            .steps
            .iter()
            .filter(|(id, step)| {
                !self.done.contains(*id)
                    && !self.skipped.contains_key(*id)
                    && !failed.contains(&id.address)
                    && step.change.action != Action::Unchanged
            })
            .map(|(id, _)| id.address.clone())
            .collect();
        let outcome = if !self.failed.is_empty() {
            Outcome::Failed
        } else if self.interrupted && !left.is_empty() {
            Outcome::Interrupted
        } else {
            Outcome::Completed
        };
        let skipped = self
            .skipped
            .iter()
            .filter(|(id, _)| id.part == Part::Forward || !self.skipped_forward(id));
        Report {
            outcome,
            // What is only written down is nothing that was done in AWS.
            done: self
                .done
                .iter()
                .filter(|id| {
                    let step = self.steps.steps.get(*id);
                    step.is_some_and(|step| step.action != StepAction::Note)
                })
                .count(),
            failed: self.failed.clone(),
            skipped: skipped
                .map(|(id, because)| Skipped {
                    address: id.address.clone(),
                    because: because.clone(),
                })
                .collect(),
            left: left.into_iter().collect(),
            wall_seconds: wall.as_secs_f64(),
            modelled_seconds: pace.modelled(wall).map(|modelled| modelled.as_secs_f64()),
            critical_path_seconds: self.steps.critical_path(),
        }
    }

    /// Whether a replacement's first step is told of already.
    fn skipped_forward(&self, id: &StepId) -> bool {
        self.skipped.contains_key(&StepId {
            address: id.address.clone(),
            part: Part::Forward,
        })
    }
}
