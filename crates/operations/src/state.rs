//! The state of a scope: what is in it, its history, and the way back.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::ids::{Address, LeaseOwner, Serial};
use engine::{LEASE, Ledger, OperationKind};
use graph::{Lifecycle, ResourceState};
use jiff::Timestamp;
use journal::{HistoryEntry, Lease, Snapshot, Store};
use serde::Serialize;

use crate::error::Error;
use crate::scope::Wanted;

/// Who we are to others who want the same lease.
pub fn lease_owner() -> LeaseOwner {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_else(|_| "this machine".to_owned());
    let text = format!("{user}@{} (process {})", host.trim(), std::process::id());
    let printable: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    match LeaseOwner::new(printable) {
        Ok(owner) => owner,
        Err(_) => unreachable!("it has printable characters, and few of them"),
    }
}

/// What a store holds, folded; nothing at all if there is no store yet.
///
/// # Errors
///
/// When it can't be read or is damaged.
pub async fn ledger(store: Option<&Arc<dyn Store>>, scope: &str) -> Result<Ledger, Error> {
    match store {
        None => Ok(Ledger::default()),
        Some(store) => {
            let contents = store
                .read()
                .await
                .map_err(|error| Error::store(scope, error))?;
            Ledger::fold(&contents).map_err(Error::Ledger)
        }
    }
}

/// How a resource stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceStatus {
    /// It is there.
    Deployed,
    /// It is somebody else's, and was read.
    Existing,
    /// It is being made, or it is not known whether it was.
    Creating,
    /// It is being changed.
    Updating,
    /// It is being deleted.
    Deleting,
    /// A failed create left it behind; the next deploy replaces it.
    Tainted,
    /// It was there; somebody else has deleted it.
    Gone,
    /// It is wanted and not there.
    NotDeployed,
    /// It is there and no longer wanted.
    Unwanted,
}

/// One line of a status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceLine {
    /// The resource.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// AWS's identifier.
    pub id: Option<String>,
    /// How it stands.
    pub status: ResourceStatus,
}

/// The status of a scope.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its name in AWS.
    pub name: String,
    /// The serial of its state.
    pub serial: Serial,
    /// The last run, and whether one goes on now.
    pub run: Option<engine::Run>,
    /// Who is at work on it now.
    pub locked_by: Option<Lease>,
    /// Whether the spec is the one that was deployed.
    pub up_to_date: bool,
    /// Its resources.
    pub resources: Vec<ResourceLine>,
}

impl Status {
    /// Says of resources that AWS was asked, and has them no more.
    pub fn mark_gone(&mut self, gone: &BTreeSet<Address>) {
        for line in self
            .resources
            .iter_mut()
            .filter(|line| gone.contains(&line.address))
        {
            line.status = ResourceStatus::Gone;
        }
    }
}

/// How everything stands, by the state; AWS is not asked.
///
/// # Errors
///
/// When the state can't be read or is damaged.
pub async fn status(wanted: &Wanted, store: Option<&Arc<dyn Store>>) -> Result<Status, Error> {
    let name = wanted.scope().name();
    let ledger = ledger(store, &name).await?;
    let holder = match store {
        Some(store) => store
            .holder()
            .await
            .map_err(|error| Error::store(&name, error))?,
        None => None,
    };
    let mut lines: Vec<ResourceLine> = Vec::new();
    for resource in wanted.graph.resources() {
        if !ledger.state.resources.contains_key(&resource.address) {
            let status = match ledger.pending.get(&resource.address) {
                Some(_) => ResourceStatus::Creating,
                None => ResourceStatus::NotDeployed,
            };
            let id = ledger
                .pending
                .get(&resource.address)
                .and_then(|pending| pending.identifier.as_ref());
            lines.push(ResourceLine {
                address: resource.address.clone(),
                type_name: resource.type_name.to_string(),
                id: id.map(ToString::to_string),
                status,
            });
        }
    }
    for (address, known) in &ledger.state.resources {
        lines.push(ResourceLine {
            address: address.clone(),
            type_name: known.type_name.to_string(),
            id: Some(known.identifier.to_string()),
            status: known_status(&ledger, address, known, wanted.graph.get(address).is_some()),
        });
    }
    lines.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(Status {
        name,
        serial: ledger.state.serial,
        up_to_date: ledger.state.spec_hash.as_deref() == Some(&*wanted.platform.hash),
        run: ledger.run,
        locked_by: holder.filter(|lease| lease.expires > Timestamp::now()),
        resources: lines,
    })
}

fn known_status(
    ledger: &Ledger,
    address: &Address,
    known: &ResourceState,
    wanted: bool,
) -> ResourceStatus {
    match ledger
        .pending
        .get(address)
        .map(|pending| pending.intent.kind)
    {
        Some(OperationKind::Create) => return ResourceStatus::Creating,
        Some(OperationKind::Update) => return ResourceStatus::Updating,
        Some(OperationKind::Delete) => return ResourceStatus::Deleting,
        Some(OperationKind::Read) | None => {}
    }
    match &known.lifecycle {
        _ if known.tainted => ResourceStatus::Tainted,
        Lifecycle::Existing(_) => ResourceStatus::Existing,
        _ if !wanted => ResourceStatus::Unwanted,
        _ => ResourceStatus::Deployed,
    }
}

/// One resource of a state.
///
/// # Errors
///
/// When it is not in the state, with the nearest that is.
pub fn show<'l>(ledger: &'l Ledger, address: &Address) -> Result<&'l ResourceState, Error> {
    ledger.state.resources.get(address).ok_or_else(|| {
        let last = |address: &Address| {
            address
                .as_str()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let near = ledger
            .state
            .resources
            .keys()
            .find(|known| last(known) == last(address));
        Error::NoResource {
            address: address.clone(),
            suggestion: near.cloned(),
        }
    })
}

/// The states that can be returned to, newest first.
///
/// # Errors
///
/// When the store can't be read.
pub async fn history(store: &Arc<dyn Store>, scope: &str) -> Result<Vec<HistoryEntry>, Error> {
    store
        .history()
        .await
        .map_err(|error| Error::store(scope, error))
}

/// Goes back to a state of the history (the newest whole one, if none is named; the empty one, if there is none). What
/// is there now is put aside, not deleted. The next deploy looks for every resource that it does not know of before it
/// makes one.
///
/// # Errors
///
/// When somebody is at work, or there is no such state.
pub async fn rollback(
    store: &Arc<dyn Store>,
    scope: &str,
    to: Option<Serial>,
) -> Result<Serial, Error> {
    let failed = |error| Error::store(scope, error);
    let lease = store.acquire(&lease_owner(), LEASE).await.map_err(failed)?;
    let result = restart(store, scope, to, &lease).await;
    store.release(&lease).await.map_err(failed)?;
    result
}

async fn restart(
    store: &Arc<dyn Store>,
    scope: &str,
    to: Option<Serial>,
    lease: &Lease,
) -> Result<Serial, Error> {
    let failed = |error| Error::store(scope, error);
    let to = match to {
        Some(serial) => Some(serial),
        None => store
            .history()
            .await
            .map_err(failed)?
            .first()
            .map(|entry| entry.serial),
    };
    let mut ledger = match to {
        Some(serial) => {
            let snapshot = store.snapshot(serial).await.map_err(failed)?;
            Ledger::fold(&journal::Contents {
                snapshot: Some(snapshot),
                records: Vec::new(),
            })
            .map_err(Error::Ledger)?
        }
        None => Ledger::default(),
    };
    let serial = store.last_serial().await.map_err(failed)?.next();
    ledger.state.serial = serial;
    ledger.state.rolled_back = true;
    // What was under way then has ended long since; what came of it is found like everything else.
    ledger.pending.clear();
    let reason = match to {
        Some(to) => format!("rollback to {to}"),
        None => "rollback to nothing".to_owned(),
    };
    let snapshot: Snapshot = ledger
        .snapshot(Timestamp::now(), &reason)
        .map_err(|source| Error::Ledger(engine::LedgerError::Unknown { serial, source }))?;
    store.restart_from(lease, &snapshot).await.map_err(failed)?;
    Ok(to.unwrap_or_default())
}

/// Takes the lease away from whoever holds it.
///
/// # Errors
///
/// When the store can't be written.
pub async fn unlock(store: &Arc<dyn Store>, scope: &str) -> Result<Option<Lease>, Error> {
    store
        .unlock()
        .await
        .map_err(|error| Error::store(scope, error))
}
