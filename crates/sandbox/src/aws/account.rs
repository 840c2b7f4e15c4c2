//! The account: the one place where the world is changed.
//!
//! A call sees the world as it is at one moment, decides, and commits its mutations in one transaction; calls follow one
//! another. Operations whose time has come end before the next call looks, so nothing depends on a timer.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::credentials::Credentials;
use super::faults::{CallFault, Faults, HandlerFault, Injector, Stop};
use super::ids::Ids;
use super::kinds::{ClusterEndpoints, Context, Effect, Wait};
use super::operation::{Fate, Operation, OperationKind, Status, Waiting};
use super::state::{Mutation, State, Transaction};
use super::throttle::Throttle;
use super::wire::ServiceError;
use super::world::{Entry, Phase, World};
use crate::clock::{AHEAD, Clock, TimeScale, WallClock};
use crate::store::Store;
use crate::{Error, Settings};

/// After how many modelled seconds a request can no longer be asked about: 7 days (Cloud Control user guide, "Managing
/// resource operation requests").
const REQUESTS_EXPIRE_AFTER: f64 = 7.0 * 86_400.0;

/// What an account is made of.
pub(crate) struct AccountOptions {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) settings: Settings,
    pub(crate) time_scale: TimeScale,
    /// What identifiers are made from, if the world is new; random unless given.
    pub(crate) seed: Option<u64>,
    pub(crate) faults: Faults,
    pub(crate) wall: Arc<dyn WallClock>,
    /// Ends the process, or what stands for it.
    pub(crate) on_stop: Box<dyn Fn() + Send + Sync>,
    /// Where clusters' API servers are.
    pub(crate) endpoints: Arc<dyn ClusterEndpoints>,
}

/// The embedded AWS's account in its region.
pub(crate) struct Account {
    dir: PathBuf,
    credentials: Credentials,
    caller_arn: String,
    settings: Settings,
    inner: Mutex<Inner>,
    injector: Mutex<Injector>,
    throttle: Mutex<Throttle>,
    on_stop: Box<dyn Fn() + Send + Sync>,
    endpoints: Arc<dyn ClusterEndpoints>,
    /// Counts the changes of the world, for those who follow it.
    changed: watch::Sender<u64>,
    certainly_passed: f64,
}

struct Inner {
    state: State,
    store: Store,
    clock: Clock,
    mark: std::fs::File,
    /// The settings as the time scale and the faults leave them.
    effective: Settings,
    /// How many transactions there were since the start.
    commits: u64,
}

/// One call's look at the account, and what it wants changed.
pub(crate) struct Session<'a> {
    pub(crate) state: &'a State,
    pub(crate) clock: &'a Clock,
    pub(crate) settings: &'a Settings,
    pub(crate) caller_arn: &'a str,
    pub(crate) now: f64,
    endpoints: &'a dyn ClusterEndpoints,
    mutations: Vec<Mutation>,
    ids: Ids,
}

impl Session<'_> {
    pub(crate) fn world(&self) -> &World {
        &self.state.world
    }

    /// What a rule is shown.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            world: &self.state.world,
            now: self.now,
            epoch_seconds: self.clock.epoch_seconds(),
            caller_arn: self.caller_arn,
            settings: self.settings,
            endpoints: self.endpoints,
        }
    }

    /// The source of identifiers; what is drawn from it is kept if the session is.
    pub(crate) fn ids(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// A rule's view and the source of identifiers at once.
    pub(crate) fn context_and_ids(&mut self) -> (Context<'_>, &mut Ids) {
        let cx = Context {
            world: &self.state.world,
            now: self.now,
            epoch_seconds: self.clock.epoch_seconds(),
            caller_arn: self.caller_arn,
            settings: self.settings,
            endpoints: self.endpoints,
        };
        (cx, &mut self.ids)
    }

    /// Wants a change; it happens when the session ends well.
    pub(crate) fn change(&mut self, mutation: Mutation) {
        self.mutations.push(mutation);
    }

    /// Puts a resource that no operation of Cloud Control makes.
    pub(crate) fn put(
        &mut self,
        type_name: catalog::TypeName,
        identifier: String,
        model: serde_json::Value,
    ) {
        let created_at = self
            .world()
            .get(&type_name, &identifier)
            .map_or(self.now, |before| before.created_at);
        let entry = Entry {
            type_name,
            identifier,
            model,
            created_at,
            phase: Phase::Ready,
            ready_at: created_at,
        };
        self.change(Mutation::Put(entry));
    }
}

impl Account {
    /// Opens the world in `dir`, or begins one. The caller holds the folder's lock.
    pub(crate) fn open(dir: &Path, options: AccountOptions) -> Result<Self, Error> {
        let credentials = Credentials::load_or_make(dir)?;
        let seed = options.seed.unwrap_or_else(|| {
            u64::from_be_bytes(
                *super::credentials::random_bytes()
                    .first_chunk()
                    .expect("32 bytes begin with 8"),
            )
        });
        let mut state = State::new(&options.account, &options.region, Ids::new(seed));
        let (mut passed, mut begun) = (0.0_f64, false);
        let mut store = Store::open(&dir.join("world.jsonl"), |transaction: Transaction| {
            begun = true;
            passed = passed.max(transaction.at);
            transaction
                .mutations
                .into_iter()
                .for_each(|mutation| state.apply(mutation));
        })?;
        for (what, has, wanted) in [
            ("account", state.world.account(), &options.account),
            ("region", state.world.region(), &options.region),
        ] {
            if has != wanted {
                let (dir, has, wanted) = (dir.to_owned(), has.to_owned(), wanted.clone());
                return Err(Error::OtherWorld {
                    dir,
                    what,
                    has,
                    wanted,
                });
            }
        }
        let mark_path = dir.join("clock");
        let mut certainly_passed = passed;
        if begun {
            let text = std::fs::read_to_string(&mark_path).unwrap_or_default();
            let mut marked = text.split_whitespace().map(|word| {
                let seconds = word.parse::<f64>().ok();
                seconds.filter(|seconds| seconds.is_finite())
            });
            let mut next = || marked.next().flatten().unwrap_or(0.0);
            let (marked, ahead) = (next(), next());
            certainly_passed = certainly_passed.max(marked - ahead);
            passed = passed.max(marked);
        } else {
            let mutations = state.mutations().collect();
            store.append(&Transaction { at: 0.0, mutations })?;
        }
        let mark = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&mark_path);
        let mark = mark.map_err(Error::file("cannot open", &mark_path))?;
        let clock = Clock::starting_at(passed, options.time_scale, options.wall);
        let mut settings = options.settings;
        if settings.dns_suffix == Settings::default().dns_suffix {
            settings.dns_suffix = catalog::regions::dns_suffix(&options.region).to_owned();
        }
        let effective = effective(&settings, options.time_scale, &options.faults);
        let caller_arn = format!(
            "arn:{}:iam::{}:user/{}",
            state.world.partition(),
            state.world.account(),
            Credentials::USER_NAME
        );
        let account = Self {
            dir: dir.to_owned(),
            credentials,
            caller_arn,
            throttle: Mutex::new(Throttle::new(&effective, passed)),
            settings,
            inner: Mutex::new(Inner {
                state,
                store,
                clock,
                mark,
                effective,
                commits: 0,
            }),
            injector: Mutex::new(Injector::new(options.faults)),
            on_stop: options.on_stop,
            endpoints: options.endpoints,
            certainly_passed,
            changed: watch::Sender::new(0),
        };
        lock(&account.inner).skip_waits();
        account.mark_time(AHEAD);
        Ok(account)
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn caller_arn(&self) -> &str {
        &self.caller_arn
    }

    /// The region and the account, which never change.
    pub(crate) fn place(&self) -> (String, String) {
        let inner = lock(&self.inner);
        (
            inner.state.world.region().to_owned(),
            inner.state.world.account().to_owned(),
        )
    }

    /// The wall time in seconds since 1970.
    pub(crate) fn epoch_seconds(&self) -> f64 {
        lock(&self.inner).clock.epoch_seconds()
    }

    /// Runs a call: what has ended by now has ended before `decide` looks, and what it wants changed is on disk before this
    /// returns. A call that fails changes nothing.
    pub(crate) fn session<T>(
        &self,
        decide: impl FnOnce(&mut Session<'_>) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let mut inner = lock(&self.inner);
        let answer = self.decided(&mut inner, decide);
        self.tell(&inner);
        answer
    }

    /// Lets those who follow the world know if it has changed.
    fn tell(&self, inner: &Inner) {
        self.changed.send_if_modified(|seen| {
            let changed = *seen != inner.commits;
            *seen = inner.commits;
            changed
        });
    }

    /// Follows the world: a number that grows with its changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Modelled seconds since the world began, and how fast they pass.
    pub(crate) fn time(&self) -> (f64, TimeScale) {
        let inner = lock(&self.inner);
        (inner.clock.now(), inner.clock.scale())
    }

    /// Modelled seconds that had passed for certain when the sandbox started; a sudden end before may have skipped some.
    pub(crate) fn certainly_passed(&self) -> f64 {
        self.certainly_passed
    }

    fn decided<T>(
        &self,
        inner: &mut Inner,
        decide: impl FnOnce(&mut Session<'_>) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let now = inner.clock.now();
        inner.settle(now).map_err(|error| storage_error(&error))?;
        let mut session = Session {
            ids: inner.state.world.ids().clone(),
            state: &inner.state,
            clock: &inner.clock,
            settings: &inner.effective,
            caller_arn: &self.caller_arn,
            now,
            endpoints: &*self.endpoints,
            mutations: Vec::new(),
        };
        let answer = decide(&mut session)?;
        let Session {
            mut mutations, ids, ..
        } = session;
        if ids != *inner.state.world.ids() {
            mutations.push(Mutation::Ids(ids));
        }
        if !mutations.is_empty() {
            inner
                .commit(now, mutations)
                .map_err(|error| storage_error(&error))?;
        }
        Ok(answer)
    }

    /// Whether Cloud Control lets one more request in now.
    pub(crate) fn admit(&self) -> bool {
        let inner = lock(&self.inner);
        lock(&self.throttle).admit(&inner.effective, inner.clock.now())
    }

    /// What is ordered to happen to this call.
    pub(crate) fn call_fault(&self, operation: &str, type_name: Option<&str>) -> Option<CallFault> {
        let mut injector = lock(&self.injector);
        let fault = injector.call(operation, type_name);
        if let Some(CallFault::Stop(_)) = fault {
            // What is left must be on disk before the process ends; if not, it ends once more next time.
            if let Err(error) = write_faults(&self.dir, injector.faults()) {
                tracing::error!(%error, "the remaining faults could not be kept");
            }
        }
        fault
    }

    /// What is ordered to happen to the operation that this call begins.
    pub(crate) fn handler_fault(&self, operation: &str, type_name: &str) -> Option<HandlerFault> {
        lock(&self.injector).handler(operation, type_name)
    }

    /// Ends the process as a fault ordered.
    pub(crate) fn stop(&self, when: Stop) {
        tracing::warn!(?when, "the process ends, as a fault ordered");
        (self.on_stop)();
    }

    pub(crate) fn faults(&self) -> Faults {
        lock(&self.injector).faults().clone()
    }

    /// Puts other faults in place of the present ones; their counts begin anew.
    pub(crate) fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        write_faults(&self.dir, &faults)?;
        let mut inner = lock(&self.inner);
        inner.effective = effective(&self.settings, inner.clock.scale(), &faults);
        *lock(&self.injector) = Injector::new(faults);
        Ok(())
    }

    pub(crate) fn set_time_scale(&self, scale: TimeScale) {
        let faults = self.faults();
        let mut inner = lock(&self.inner);
        inner.clock.set_scale(scale);
        inner.skip_waits();
        inner.effective = effective(&self.settings, scale, &faults);
        // Who waits for a time has to reckon anew.
        inner.commits += 1;
        self.tell(&inner);
        drop(inner);
        self.mark_time(AHEAD);
    }

    /// Empties the world and begins another at modelled second 0. Credentials and faults stay.
    pub(crate) fn reset(&self) -> Result<(), Error> {
        let mut inner = lock(&self.inner);
        let (account, region) = (
            inner.state.world.account().to_owned(),
            inner.state.world.region().to_owned(),
        );
        // The source of identifiers goes on: a client that remembers the old world must not meet its ids again.
        let state = State::new(&account, &region, inner.state.world.ids().clone());
        let mutations = state.mutations().collect();
        inner
            .store
            .compact(std::iter::once(Transaction { at: 0.0, mutations }))?;
        inner.state = state;
        inner.clock.rewind();
        *lock(&self.throttle) = Throttle::new(&inner.effective, 0.0);
        inner.commits += 1;
        self.tell(&inner);
        drop(inner);
        self.mark_time(AHEAD);
        Ok(())
    }

    /// Keeps on disk the modelled time that it will be after so much of the wall's, and how much that is: where the next start
    /// goes on. While the sandbox runs that is always ahead, so that after a sudden end nothing of the world has happened in
    /// the future; a clean end leaves what it is.
    pub(crate) fn mark_time(&self, ahead: Duration) {
        let inner = lock(&self.inner);
        let clock = &inner.clock;
        let ahead = ahead.as_secs_f64() * clock.scale().factor();
        let time = clock.now() + ahead;
        let text = format!("{time:<24} {ahead:<24}\n");
        if let Err(error) = inner.mark.write_all_at(text.as_bytes(), 0) {
            tracing::error!(%error, "the modelled time could not be kept");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // State changes only through `commit`, which applies what is already on disk: a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn effective(settings: &Settings, scale: TimeScale, faults: &Faults) -> Settings {
    let mut effective = if scale.is_max() {
        settings.without_delays()
    } else {
        settings.clone()
    };
    if let Some(seconds) = faults.iam_propagation_seconds {
        effective.iam_propagation_seconds = seconds;
    }
    effective
}

fn write_faults(dir: &Path, faults: &Faults) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(faults).expect("faults have string keys");
    super::credentials::write_private(&dir.join("faults.json"), &json)
}

fn storage_error(error: &Error) -> ServiceError {
    tracing::error!(%error, "the world's log cannot be written");
    ServiceError::new(
        500,
        "ServiceInternalErrorException",
        format!("the sandbox cannot keep its world: {error}"),
    )
}

impl Inner {
    /// Writes the mutations down, then makes them.
    fn commit(&mut self, now: f64, mutations: Vec<Mutation>) -> Result<(), Error> {
        let transaction = Transaction { at: now, mutations };
        self.store.append(&transaction)?;
        self.commits += 1;
        transaction
            .mutations
            .into_iter()
            .for_each(|mutation| self.state.apply(mutation));
        if self.store.is_large() {
            let records = self.state.mutations().map(|mutation| Transaction {
                at: now,
                mutations: vec![mutation],
            });
            if let Err(error) = self.store.compact(records) {
                // The log is whole, only long.
                tracing::warn!(%error, "the log could not be compacted");
            }
        }
        Ok(())
    }

    /// Where nothing takes time, what began before it did so is over at once, but for what waits for its user.
    fn skip_waits(&mut self) {
        if !self.clock.scale().is_max() {
            return;
        }
        let ends = self.state.open_operations().filter(|operation| {
            let waiting = operation.waits_for.as_ref();
            waiting.is_none_or(|waiting| waiting.otherwise.is_none())
        });
        let latest = ends.map(|operation| operation.ends_at).fold(0.0, f64::max);
        self.clock.skip_to(latest);
    }

    /// Ends what has to end by `now`.
    fn settle(&mut self, now: f64) -> Result<(), Error> {
        let found: Vec<_> = self
            .state
            .waiting()
            .filter(|waiting| self.is_there(waiting))
            .cloned()
            .collect();
        for mut operation in found {
            operation.waits_for = None;
            let entry = entry_of(&self.state.world, &operation);
            self.commit(now, ended(operation, entry, now))?;
        }
        while let Some(operation) = self.state.next_due(now) {
            let (operation, at) = (operation.clone(), operation.ends_at);
            let entry = entry_of(&self.state.world, &operation);
            self.commit(now, ended(operation, entry, at))?;
        }
        while let Some((type_name, identifier)) = self.state.next_vanishing(now) {
            self.commit(
                now,
                vec![Mutation::Remove {
                    type_name,
                    identifier,
                }],
            )?;
        }
        while let Some(outdated) = self.state.next_outdated(now - REQUESTS_EXPIRE_AFTER) {
            let request_token = outdated.request_token.clone();
            self.commit(now, vec![Mutation::Forget { request_token }])?;
        }
        Ok(())
    }

    /// Whether what an operation waits for is in the world.
    fn is_there(&self, operation: &Operation) -> bool {
        match &operation.waits_for {
            Some(Waiting {
                what: Wait::DnsRecords(records),
                ..
            }) => records.iter().all(|(name, value)| {
                super::services::route53::has_record(&self.state.world, name, "CNAME", value)
            }),
            None => false,
        }
    }
}

fn entry_of(world: &World, operation: &Operation) -> Option<Entry> {
    world
        .get(&operation.type_name, operation.identifier.as_deref()?)
        .cloned()
}

/// The mutations with which an open operation ends at `at`, given its resource as it is now.
pub(crate) fn ended(mut operation: Operation, entry: Option<Entry>, at: f64) -> Vec<Mutation> {
    operation.since = at;
    let in_vain = operation
        .waits_for
        .take()
        .and_then(|waiting| waiting.otherwise);
    let Status::InProgress(mut ending) = std::mem::replace(&mut operation.status, Status::Success)
    else {
        return Vec::new();
    };
    if let Some(reason) = ending.failure.or(in_vain) {
        if let (OperationKind::Create, Fate::Stays { phase, .. }) =
            (operation.kind, &mut ending.fate)
        {
            *phase = Phase::Remnant;
        }
        operation.status = Status::Failed(reason);
    }
    let mut mutations = Vec::new();
    match (entry, ending.fate) {
        (Some(mut entry), Fate::Stays { phase, model }) => {
            entry.phase = phase;
            if let Some(model) = model {
                entry.model = model;
            }
            if operation.kind == OperationKind::Create {
                entry.ready_at = at;
            }
            mutations.push(Mutation::Put(entry));
        }
        (Some(entry), Fate::Removed) => {
            mutations.push(Mutation::Remove {
                type_name: entry.type_name,
                identifier: entry.identifier,
            });
        }
        (Some(_), Fate::Untouched) | (None, _) => {}
    }
    mutations.extend(ending.effects.into_iter().map(effect));
    mutations.push(Mutation::Operation(operation));
    mutations
}

/// The mutation that an effect is.
pub(crate) fn effect(effect: Effect) -> Mutation {
    match effect {
        Effect::Put(entry) => Mutation::Put(entry),
        Effect::Remove {
            type_name,
            identifier,
        } => Mutation::Remove {
            type_name,
            identifier,
        },
    }
}

/// What the account shows of itself on request.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Overview {
    /// Modelled seconds since the world began.
    pub modelled_seconds: f64,
    /// Modelled seconds a wall second, or `max`.
    pub time_scale: TimeScale,
    /// The account's twelve digits.
    pub account: String,
    /// The region's name.
    pub region: String,
    /// How many resources there are, by type.
    pub resources: std::collections::BTreeMap<String, usize>,
    /// How many of them are marked for deletion and go by themselves, by type.
    #[serde(default)]
    pub pending_deletion: std::collections::BTreeMap<String, usize>,
    /// What runs now.
    pub open_operations: Vec<OpenOperation>,
}

/// An operation that runs.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct OpenOperation {
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: String,
    /// The resource's type.
    pub type_name: String,
    /// The resource's identifier, where there is one.
    pub identifier: Option<String>,
    /// The request's token.
    pub request_token: String,
    /// How long it has run, in modelled seconds.
    pub running_seconds: f64,
    /// How long it goes on at most, in modelled seconds.
    pub remaining_seconds: f64,
}

impl Account {
    /// Every resource of the world, as a read returns it: `{"resources": [{"type", "identifier", "properties"}]}`.
    pub(crate) fn resources(&self) -> Result<serde_json::Value, ServiceError> {
        self.session(|session| {
            let resources: Vec<serde_json::Value> = session
                .world()
                .entries()
                .map(|entry| {
                    let properties = super::kinds::visible(entry);
                    serde_json::json!({ "type": entry.type_name, "identifier": entry.identifier, "properties": properties })
                })
                .collect();
            Ok(serde_json::json!({ "resources": resources }))
        })
    }

    /// The world in figures.
    pub(crate) fn overview(&self) -> Result<Overview, ServiceError> {
        self.session(|session| {
            let open_operations = session
                .state
                .open_operations()
                .map(|operation| OpenOperation {
                    operation: operation.kind.as_str().to_owned(),
                    type_name: operation.type_name.to_string(),
                    identifier: operation.identifier.clone(),
                    request_token: operation.request_token.clone(),
                    running_seconds: session.now - operation.began_at,
                    remaining_seconds: operation.ends_at - session.now,
                });
            Ok(Overview {
                modelled_seconds: session.now,
                time_scale: session.clock.scale(),
                account: session.world().account().to_owned(),
                region: session.world().region().to_owned(),
                resources: session
                    .world()
                    .counts()
                    .into_iter()
                    .map(|(name, count)| (name.to_string(), count))
                    .collect(),
                pending_deletion: session.state.pending_deletions(),
                open_operations: open_operations.collect(),
            })
        })
    }
}
