//! A cluster's time: the modelled clock, dated from the moment at which the world began. It waits for the cluster's controllers,
//! so that on a slow machine, or at a high time scale, no deadline passes before what was due earlier has been done.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use apiserver::store::Store;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::Error;
use crate::aws::account::Account;
use crate::aws::credentials::write_private;

/// The time of a cluster. At a time scale above 1 it runs ahead of the machine's clock.
#[derive(Clone)]
pub(crate) struct ClusterTime {
    account: Arc<Account>,
    /// When modelled second 0 was, or would have been.
    origin: Timestamp,
    /// What the time may not go beyond, in nanoseconds since 1970; the greatest number is no bound.
    bound: Arc<AtomicI64>,
    /// The latest time that was told.
    told: Arc<AtomicI64>,
}

impl ClusterTime {
    /// Goes on from the date that the folder keeps, or dates the world so that it is now what it is.
    pub(crate) fn open(folder: &Path, account: Arc<Account>) -> Result<Self, Error> {
        let path = folder.join("origin");
        let kept = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let origin = match kept {
            Some(origin) => origin,
            None => {
                let (modelled, _) = account.time();
                let now = Timestamp::from_nanosecond((account.epoch_seconds() * 1e9) as i128)
                    .unwrap_or(Timestamp::UNIX_EPOCH);
                let origin = now.saturating_sub(seconds(modelled)).unwrap_or(now);
                write_private(&path, origin.to_string().as_bytes())?;
                origin
            }
        };
        Ok(Self::unbounded(account, origin))
    }

    fn unbounded(account: Arc<Account>, origin: Timestamp) -> Self {
        Self {
            account,
            origin,
            bound: Arc::new(AtomicI64::new(i64::MAX)),
            told: Arc::new(AtomicI64::new(i64::MIN)),
        }
    }

    /// The time of one cluster of the world: it waits for that one's controllers alone. If it is not a `new` one, [`Self::go_on`]
    /// comes next.
    pub(crate) fn of_cluster(&self, is_new: bool) -> Self {
        let time = Self::unbounded(self.account.clone(), self.origin);
        time.up_to((!is_new).then(|| self.at(self.account.certainly_passed())));
        time
    }

    /// Goes on from where a cluster has been by what it has stored, though the world's clock may have been set forward since by a
    /// sudden end: what was due in between comes first.
    pub(crate) fn go_on(&self, store: &Store) {
        if let Some(latest) = latest(store) {
            self.up_to(Some(latest.max(self.at(self.account.certainly_passed()))));
        }
    }

    /// The world's time, whether the cluster has come so far or not.
    pub(crate) fn of_world(&self) -> Timestamp {
        self.at(self.account.time().0)
    }

    /// Lets the cluster's time go on up to a date, and there it waits for the next call.
    pub(crate) fn up_to(&self, date: Option<Timestamp>) {
        let bound = date.map_or(i64::MAX, nanoseconds);
        self.bound.store(bound, Ordering::Release);
    }

    /// The date of a modelled second.
    pub(crate) fn at(&self, modelled: f64) -> Timestamp {
        self.origin
            .saturating_add(seconds(modelled))
            .unwrap_or(Timestamp::MAX)
    }

    /// The modelled second of a date, and a hair more: what is due at a second of that date has come then.
    pub(crate) fn modelled(&self, date: Timestamp) -> f64 {
        date.duration_since(self.origin).as_secs_f64() + 1e-6
    }

    /// How long it is on the wall until a date comes.
    pub(crate) fn until(&self, date: Timestamp) -> std::time::Duration {
        let (modelled, scale) = self.account.time();
        let wait = date.duration_since(self.at(modelled)).as_secs_f64() / scale.factor();
        std::time::Duration::try_from_secs_f64(wait.max(0.0)).unwrap_or_default()
    }

    pub(crate) fn pace(&self) -> controllers::Pace {
        if self.account.time().1.is_max() {
            controllers::Pace::Immediate
        } else {
            controllers::Pace::Modelled
        }
    }
}

fn seconds(modelled: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(modelled).unwrap_or_default()
}

impl apiserver::Clock for ClusterTime {
    fn now(&self) -> Timestamp {
        let now = nanoseconds(self.of_world()).min(self.bound.load(Ordering::Acquire));
        let told = self.told.fetch_max(now, Ordering::AcqRel).max(now);
        Timestamp::from_nanosecond(told.into()).unwrap_or(Timestamp::MAX)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dated {
    metadata: DatedMetadata,
    spec: Option<DatedSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DatedMetadata {
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    managed_fields: Vec<DatedEntry>,
}

#[derive(Deserialize)]
struct DatedEntry {
    time: Option<Timestamp>,
}

/// Of a Lease: when its holder was heard of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DatedSpec {
    renew_time: Option<Timestamp>,
}

/// The latest date at which something was written.
fn latest(store: &Store) -> Option<Timestamp> {
    let everything = store.everything();
    let dates = everything.items.iter().filter_map(|object| {
        let dated: Dated = serde_json::from_slice(&object.bytes).ok()?;
        let renewed = dated.spec.and_then(|spec| spec.renew_time);
        let written = dated.metadata.managed_fields.iter().map(|entry| entry.time);
        written
            .chain([dated.metadata.creation_timestamp, renewed])
            .flatten()
            .max()
    });
    dates.max()
}

fn nanoseconds(date: Timestamp) -> i64 {
    i64::try_from(date.as_nanosecond()).unwrap_or(i64::MAX)
}
