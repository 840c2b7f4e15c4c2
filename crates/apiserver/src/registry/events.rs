//! Events: told again they are counted up, and after an hour they are forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use apimachinery::{GroupResource, Status};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::Registry;
use super::document::{map, number, seconds, text};
use super::local::Noted;
use crate::store::{Key, Transaction};

/// How long an event is kept after it was last told (`--event-ttl`).
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// How many old ones are looked at whenever a new one is told.
const LOOKED_AT: usize = 8;

/// Which events are the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Told {
    uid: String,
    name: String,
    kind: String,
    reason: String,
    message: String,
    manager: String,
}

/// The events of the last hour.
#[derive(Default)]
pub(super) struct Recent {
    told: HashMap<Told, Key>,
    /// When each was first told, the oldest first.
    order: VecDeque<(Timestamp, Key)>,
}

fn place() -> GroupResource {
    GroupResource::new("", "events")
}

/// Takes up the events that a store has, so that they are forgotten in their time.
pub(super) fn recall(registry: &Registry) {
    let mut order: Vec<(Timestamp, Key)> = registry
        .store
        .list(&place(), None)
        .items
        .iter()
        .map(|stored| {
            let created = stored.json();
            let created = text(&created, "/metadata/creationTimestamp").parse();
            (created.unwrap_or_default(), stored.key.clone())
        })
        .collect();
    order.sort_by_key(|(created, _)| *created);
    registry
        .events
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .order = order.into();
}

/// Remembers an event that a client has made.
pub(super) fn remember(registry: &Registry, key: &Key, now: Timestamp) {
    registry
        .events
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .order
        .push_back((now, key.clone()));
}

/// Tells of something.
pub(super) fn tell(registry: &Registry, manager: &str, noted: Noted<'_>) -> Result<(), Status> {
    let now = registry.settings.clock.now();
    let about = reference(noted.about);
    let namespace = match text(&about, "/namespace") {
        "" => "default",
        namespace => namespace,
    };
    let told = Told {
        uid: text(&about, "/uid").to_owned(),
        name: format!("{namespace}/{}", text(&about, "/name")),
        kind: noted.kind.to_owned(),
        reason: noted.reason.to_owned(),
        message: noted.message.to_owned(),
        manager: manager.to_owned(),
    };
    let mut recent = registry
        .events
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let known = recent.told.get(&told).cloned();
    let (key, _) = registry.store.transact(|tx| {
        forget(&mut recent, tx, now)?;
        if let Some(key) = known
            && let Some(stored) = tx.get(&key)
        {
            let mut event = stored.json();
            let count = number(&event, "/count").unwrap_or(1);
            let event_fields = map(&mut event);
            event_fields.insert("count".to_owned(), (count + 1).into());
            event_fields.insert("lastTimestamp".to_owned(), seconds(now).into());
            tx.put(&key, event)?;
            return Ok(key);
        }
        if text(&about, "/namespace").is_empty() || is_open(tx, namespace) {
            let (key, event) = event(manager, &noted, &about, namespace, now);
            tx.put(&key, event)?;
            return Ok(key);
        }
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        Err(Status::forbidden("", "events", "", &why))
    })?;
    if recent.told.get(&told) != Some(&key) {
        recent.told.insert(told, key.clone());
        recent.order.push_back((now, key));
    }
    Ok(())
}

fn is_open(tx: &Transaction<'_>, namespace: &str) -> bool {
    let key = Key::new(&super::namespace::namespaces(), "", namespace);
    tx.get(&key).is_some_and(|namespace| !namespace.deleting)
}

/// Removes events whose hour is over.
fn forget(recent: &mut Recent, tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Status> {
    let is_over = |at: Timestamp| at.saturating_add(KEPT).is_ok_and(|end| end < now);
    let mut gone = false;
    for _ in 0..LOOKED_AT {
        let Some((_, key)) = recent.order.pop_front_if(|(at, _)| is_over(*at)) else {
            break;
        };
        let Some(stored) = tx.get(&key) else {
            continue;
        };
        let event = stored.json();
        match text(&event, "/lastTimestamp").parse::<Timestamp>() {
            // It was told again since.
            Ok(last) if !is_over(last) => recent.order.push_back((last, key)),
            _ => {
                tx.remove(&key, None)?;
                gone = true;
            }
        }
    }
    if gone {
        recent.told.retain(|_, key| tx.get(key).is_some());
    }
    Ok(())
}

/// An `ObjectReference` to an object, or the one that it is.
fn reference(about: &Json) -> Json {
    if !about["metadata"].is_object() {
        return about.clone();
    }
    let mut reference = Map::new();
    for (name, pointer) in [
        ("kind", "/kind"),
        ("apiVersion", "/apiVersion"),
        ("namespace", "/metadata/namespace"),
        ("name", "/metadata/name"),
        ("uid", "/metadata/uid"),
        ("resourceVersion", "/metadata/resourceVersion"),
    ] {
        let value = text(about, pointer);
        if !value.is_empty() {
            reference.insert(name.to_owned(), value.into());
        }
    }
    Json::Object(reference)
}

fn event(
    manager: &str,
    noted: &Noted<'_>,
    about: &Json,
    namespace: &str,
    now: Timestamp,
) -> (Key, Json) {
    let uid = Uuid::new_v4();
    let ending = (uid.as_u128() >> 64) as u64;
    let name = format!("{}.{ending:016x}", text(about, "/name"));
    let time = seconds(now);
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid.to_string(), "creationTimestamp": time,
        },
        "involvedObject": about,
        "type": noted.kind, "reason": noted.reason, "message": noted.message,
        "source": { "component": manager }, "reportingComponent": manager, "reportingInstance": "",
        "firstTimestamp": time, "lastTimestamp": time, "count": 1, "eventTime": null,
    });
    (Key::new(&place(), namespace, &name), event)
}
