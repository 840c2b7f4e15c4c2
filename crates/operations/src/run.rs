//! Plan, deploy, destroy, drift: what changes a scope, or says how it would change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use catalog::ids::{Address, RunId};
use engine::{
    Engine, Failure, Observer, Outcome, Recorder, Report, RunKind, Settings, Steps, Stop, Sweep,
    read_live,
};
use graph::{Drifted, Inputs, Lifecycle, Live, Parameter, Plan, State, drift, plan, plan_destroy};
use journal::Store;
use tokio::sync::watch;

use crate::contents::{self, Inside, is_made_by_others};
use crate::error::Error;
use crate::platform_folder::PlatformFolder;
use crate::scope::Wanted;
use crate::state::{lease_owner, ledger};
use crate::target::{Connection, StateLocation, Target};

/// A plan with what a reader wants to know beside it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The longest chain by typical durations, in seconds at AWS: no deploy can take less.
    pub critical_path_seconds: f64,
    /// Operations whose outcome is not known; the next deploy settles them first, and the plan may change by it.
    pub unsettled: usize,
    /// What is known of what others have made in the cluster, of a plan to destroy.
    pub inside: Inside,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// To make what is wanted.
    Deploy,
    /// To delete everything, and what others have made in the cluster.
    Destroy,
    /// To delete everything of AWS's, where the cluster can't be asked any more.
    DestroyWithoutCluster,
}

impl Aim {
    fn destroys(self) -> bool {
        self != Self::Deploy
    }
}

/// Plans without changing anything, the state included. AWS, and the cluster for a destroy, are asked only when `refresh`
/// is set.
///
/// # Errors
///
/// When the state can't be read, or AWS can't be asked.
pub async fn plan_only(
    folder: &PlatformFolder,
    wanted: &Wanted,
    target: &Target,
    refresh: bool,
    aim: Aim,
) -> Result<Planned, Error> {
    let location = StateLocation {
        folder,
        wanted,
        target,
    };
    let (store, connection) = match refresh {
        true => {
            let connection = target.connect(wanted).await?;
            (Some(location.store(&connection)), Some(connection))
        }
        false => (location.offline().await?, None),
    };
    let ledger = ledger(store.as_ref(), &wanted.scope().name()).await?;
    let mut parameters = BTreeMap::new();
    if let Some(account) = wanted.account().or_else(|| target.account.clone()) {
        parameters.insert(Parameter::AccountId, account.to_string());
    }
    let mut live = None;
    if let Some(connection) = &connection {
        parameters.extend(known_parameters(connection));
        // A destroy takes what is there, whatever has become of it.
        if !aim.destroys() {
            live = Some(read(connection, &ledger.state, target).await?);
        }
    }
    let mut plan = make_plan(wanted, &ledger.state, &parameters, live.as_ref(), aim);
    let inside = inside(connection.as_ref(), target, &ledger.state, aim, &mut plan).await?;
    let critical_path_seconds =
        Steps::of(&plan, &ledger.state).map_or(0.0, |steps| steps.critical_path());
    Ok(Planned {
        plan,
        critical_path_seconds,
        unsettled: ledger.pending.len(),
        inside,
    })
}

/// Adds to a plan to destroy what others have made in the cluster, as far as it can be asked.
async fn inside(
    connection: Option<&Connection>,
    target: &Target,
    state: &State,
    aim: Aim,
    plan: &mut Plan,
) -> Result<Inside, Error> {
    match (aim, connection) {
        (Aim::Deploy, _) => Ok(Inside::None),
        (Aim::DestroyWithoutCluster, _) => Ok(contents::abandon(state, plan)),
        (Aim::Destroy, Some(connection)) => contents::list(connection, target, state, plan).await,
        (Aim::Destroy, None) if contents::cluster(state).is_none() => Ok(Inside::None),
        (Aim::Destroy, None) => Ok(Inside::NotAsked),
    }
}

fn make_plan(
    wanted: &Wanted,
    state: &State,
    parameters: &BTreeMap<Parameter, String>,
    live: Option<&Live>,
    aim: Aim,
) -> Plan {
    let spec_hash = &wanted.platform.hash;
    if aim.destroys() {
        return plan_destroy(wanted.scope(), spec_hash, state);
    }
    let deployer = state
        .parameters
        .get(&Parameter::Deployer)
        .or_else(|| parameters.get(&Parameter::Deployer));
    let graph = match deployer {
        Some(deployer) => wanted.graph_for(deployer),
        None => Cow::Borrowed(&wanted.graph),
    };
    plan(Inputs {
        graph: &graph,
        spec_hash,
        state,
        parameters,
        live,
    })
}

fn known_parameters(connection: &Connection) -> BTreeMap<Parameter, String> {
    BTreeMap::from([
        (Parameter::AccountId, connection.account.to_string()),
        (Parameter::Deployer, connection.deployer.clone()),
    ])
}

async fn read(connection: &Connection, state: &State, target: &Target) -> Result<Live, Error> {
    let settings = Settings {
        pace: target.pace,
        ..Settings::default()
    };
    read_live(connection.provider.clone(), state, settings)
        .await
        .map_err(|source| Error::Aws {
            doing: "could not read what is there".to_owned(),
            source,
        })
}

/// What somebody else has changed since the last deploy, and how many resources were looked at.
///
/// # Errors
///
/// When the state can't be read, or AWS can't be asked.
pub async fn drifted(
    folder: &PlatformFolder,
    wanted: &Wanted,
    target: &Target,
) -> Result<(Vec<Drifted>, usize), Error> {
    let (state, live) = state_and_live(folder, wanted, target).await?;
    Ok((drift(&state, &live), live.len()))
}

/// The resources of a scope that are in its state and not in AWS.
///
/// # Errors
///
/// When the state can't be read, or AWS can't be asked.
pub async fn gone(
    folder: &PlatformFolder,
    wanted: &Wanted,
    target: &Target,
) -> Result<BTreeSet<Address>, Error> {
    let (_, live) = state_and_live(folder, wanted, target).await?;
    let gone = live.into_iter().filter(|(_, model)| model.is_none());
    Ok(gone.map(|(address, _)| address).collect())
}

async fn state_and_live(
    folder: &PlatformFolder,
    wanted: &Wanted,
    target: &Target,
) -> Result<(State, Live), Error> {
    let connection = target.connect(wanted).await?;
    let location = StateLocation {
        folder,
        wanted,
        target,
    };
    let store = location.store(&connection);
    let state = ledger(Some(&store), &wanted.scope().name()).await?.state;
    let live = read(&connection, &state, target).await?;
    Ok((state, live))
}

/// A scope that is being worked on: its lease is ours until it is closed.
pub struct Session<'w> {
    wanted: &'w Wanted,
    target: &'w Target,
    connection: Connection,
    engine: Engine,
    /// The serial at the start: nothing is kept if nothing was done.
    first_serial: catalog::ids::Serial,
}

impl<'w> Session<'w> {
    /// Connects, and takes the lease.
    ///
    /// # Errors
    ///
    /// When the credentials are wrong, somebody else is at work, or the state is damaged.
    pub async fn open(
        folder: &PlatformFolder,
        wanted: &'w Wanted,
        target: &'w Target,
        settings: Settings,
        observer: Observer,
    ) -> Result<Self, Error> {
        let connection = target.connect(wanted).await?;
        let store: Arc<dyn Store> = StateLocation {
            folder,
            wanted,
            target,
        }
        .store(&connection);
        let name = wanted.scope().name();
        let recorder = Recorder::open(store, &lease_owner())
            .await
            .map_err(|error| Error::record(&name, error))?;
        let first_serial = recorder.with(|ledger| ledger.state.serial);
        let settings = Settings {
            pace: target.pace,
            ..settings
        };
        let scope = wanted.scope().clone();
        let engine = Engine::new(
            scope,
            connection.provider.clone(),
            Arc::new(recorder),
            settings,
            observer,
        );
        Ok(Self {
            wanted,
            target,
            connection,
            engine,
            first_serial,
        })
    }

    /// Who we are at the target.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What is known to exist.
    pub fn state(&self) -> State {
        self.engine.recorder().state()
    }

    /// How many operations an earlier run has left open.
    pub fn unsettled(&self) -> usize {
        self.engine.recorder().with(|ledger| ledger.pending.len())
    }

    /// Finds out what became of the operations that an earlier run has left.
    ///
    /// # Errors
    ///
    /// When AWS can't be reached or the state can't be written.
    pub async fn settle(&self, stop: watch::Receiver<Stop>) -> Result<Vec<Failure>, Error> {
        self.engine
            .settle(stop)
            .await
            .map_err(|error| self.failed(error))
    }

    /// Plans from the state as it is now.
    ///
    /// # Errors
    ///
    /// When AWS can't be asked.
    pub async fn plan(&self, refresh: bool, aim: Aim) -> Result<Planned, Error> {
        let state = self.state();
        // A state that was rolled back may list what is not there any more.
        let live = match refresh || (state.rolled_back && !aim.destroys()) {
            true => Some(read(&self.connection, &state, self.target).await?),
            false => None,
        };
        let mut plan = make_plan(
            self.wanted,
            &state,
            &known_parameters(&self.connection),
            live.as_ref(),
            aim,
        );
        let connection = Some(&self.connection);
        let inside = inside(connection, self.target, &state, aim, &mut plan).await?;
        let critical_path_seconds =
            Steps::of(&plan, &state).map_or(0.0, |steps| steps.critical_path());
        Ok(Planned {
            plan,
            critical_path_seconds,
            unsettled: self.unsettled(),
            inside,
        })
    }

    /// Whether a plan without changes leaves nothing to be written down either: what resources need, predecessors that
    /// an interrupted replacement has left, the end of a search after a rollback.
    pub fn is_settled(&self, plan: &Plan) -> bool {
        let state = self.state();
        plan.is_empty()
            && !state.rolled_back
            && Steps::of(plan, &state).is_ok_and(|steps| steps.steps.is_empty())
    }

    /// Checks a plan that was kept in a file: it must be of this spec, this scope and this state.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check(&self, plan: &Plan) -> Result<(), Error> {
        if plan.destroy {
            return Err(Error::Refused(
                "this is a plan to destroy: `seaworthy destroy` makes its own, and asks".to_owned(),
            ));
        }
        let state = self.state();
        plan.check(self.wanted.scope(), state.serial)
            .map_err(|stale| Error::StalePlan(stale.to_string()))?;
        if plan.spec_hash != self.wanted.platform.hash {
            return Err(Error::StalePlan(
                "the plan is stale: the spec has changed since it was made".to_owned(),
            ));
        }
        Ok(())
    }

    /// Applies a plan.
    ///
    /// # Errors
    ///
    /// When AWS can't be reached or the state can't be written. What fails in AWS is in the report.
    pub async fn apply(&self, plan: &Plan, stop: watch::Receiver<Stop>) -> Result<Report, Error> {
        let kind = if plan.destroy {
            RunKind::Destroy
        } else {
            RunKind::Deploy
        };
        let run = RunId::new(uuid::Uuid::new_v4().to_string())
            .map_err(|error| Error::Refused(error.to_string()))?;
        let parameters = known_parameters(&self.connection);
        // What others have made is deleted because the plan says so, and only then.
        let of_others = plan
            .changes
            .iter()
            .filter(|change| is_made_by_others(change));
        for change in of_others.filter(|_| plan.destroy) {
            if let Some(identifier) = &change.identifier {
                let in_cluster = &self.connection.in_cluster;
                in_cluster.claim(&change.type_name, identifier);
            }
        }
        self.engine
            .apply(run, kind, plan, &parameters, stop)
            .await
            .map_err(|error| self.failed(error))
    }

    /// Looks for what is left of `before` after a destroy.
    ///
    /// # Errors
    ///
    /// When AWS can't be asked.
    pub async fn sweep(&self, before: &State) -> Result<Sweep, Error> {
        engine::sweep(
            &*self.connection.provider,
            self.wanted.scope(),
            before,
            &self.state(),
            self.target.pace,
        )
        .await
        .map_err(|source| Error::Aws {
            doing: "could not look for what is left".to_owned(),
            source,
        })
    }

    /// Keeps the state of this run in the history, and gives the lease back.
    ///
    /// # Errors
    ///
    /// When the state can't be written.
    pub async fn close(self) -> Result<(), Error> {
        let recorder = self.engine.recorder();
        let run = recorder.with(|ledger| ledger.run.clone());
        let changed = recorder.with(|ledger| ledger.state.serial) != self.first_serial;
        let reason = run.filter(|_| changed).map(|run| match run.outcome {
            Some(Outcome::Completed) => run.kind.name().to_owned(),
            Some(Outcome::Failed) => format!("{}, with failures", run.kind.name()),
            Some(Outcome::Interrupted) | None => format!("{}, interrupted", run.kind.name()),
        });
        let name = self.wanted.scope().name();
        recorder
            .close(reason.as_deref())
            .await
            .map_err(|error| Error::record(&name, error))
    }

    fn failed(&self, error: engine::EngineError) -> Error {
        match error {
            engine::EngineError::Fatal(engine::Fatal::Record(error)) => {
                Error::record(&self.wanted.scope().name(), error)
            }
            engine::EngineError::Stale(stale) => Error::StalePlan(stale.to_string()),
            other => Error::Engine(other),
        }
    }
}

/// Refuses to destroy a protected environment whose name was not given.
///
/// # Errors
///
/// When it is protected and `confirm` is not its name.
pub fn check_confirmation(wanted: &Wanted, confirm: Option<&str>) -> Result<(), Error> {
    let name = wanted.scope().name();
    match confirm {
        Some(given) if given != name => Err(Error::Refused(format!(
            "`--confirm {given}` is not this environment's name: it is {name}"
        ))),
        None if wanted.platform.protected
            || wanted.scope().environment.as_str() == crate::SHARED =>
        {
            Err(Error::Protected { name })
        }
        _ => Ok(()),
    }
}

/// The resources that a destroy leaves in AWS: those of a state, and those that an interrupted destroy has forgotten already
/// and that the sweep has seen.
pub fn staying(state: &State, wanted: &Wanted, sweep: Option<&Sweep>) -> BTreeSet<Address> {
    let stays = |lifecycle: &Lifecycle| !matches!(lifecycle, Lifecycle::Managed);
    let known = state
        .resources
        .iter()
        .filter(|(_, known)| stays(&known.lifecycle))
        .map(|(address, _)| address);
    let seen = sweep
        .into_iter()
        .flat_map(|sweep| &sweep.owned)
        .filter_map(|owned| owned.address.as_ref())
        .filter(|address| {
            let resource = wanted.graph.get(address);
            resource.is_some_and(|resource| stays(&resource.lifecycle))
        });
    known.chain(seen).cloned().collect()
}

/// Reads a plan that `plan --out` has written.
///
/// # Errors
///
/// When it can't be read, or is no plan of ours.
pub fn read_plan(path: &Path) -> Result<Plan, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::read(path, source))?;
    serde_json::from_str(&text).map_err(|source| Error::PlanFile {
        path: path.to_owned(),
        source,
    })
}

/// Writes a plan to be applied later.
///
/// # Errors
///
/// When it can't be written.
pub fn write_plan(path: &Path, plan: &Plan) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(plan).map_err(|source| Error::PlanFile {
        path: path.to_owned(),
        source,
    })?;
    std::fs::write(path, text + "\n").map_err(|source| Error::write(path, source))
}
