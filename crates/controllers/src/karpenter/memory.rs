//! What Karpenter keeps in memory: offerings without capacity, nodes that pods are on their way to, commands that are carried
//! out, events that were told not long ago. A restart loses it, as Karpenter's does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autoscale::karpenter::disruption::Method;
use autoscale::karpenter::disruption::interruption::UNAVAILABLE_FOR;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::claims;
use super::settings::{self, Settings};
use crate::cloud::{CloudAction, Instance};
use crate::{Action, Change, Context, EventKind, Key, Kind, Object, Pace, View};

/// After how many seconds EC2 is asked again to end an instance that is still up.
const END_AGAIN: f64 = 20.0;

/// A type, a zone, and whether it is spot.
pub(super) type Offering = (String, String, bool);

/// A command of disruption whose nodes are marked.
#[derive(Debug, Clone)]
pub(super) struct Ordered {
    pub method: Method,
    /// The claims that go.
    pub candidates: Vec<String>,
    /// The claims that come first.
    pub replacements: Vec<String>,
    pub since: Timestamp,
}

/// The memory that the controllers share.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Kept>>);

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Whether no Deployment of Karpenter's has changed since the settings were read.
    read: bool,
    /// Those of the Deployment of this name.
    settings: Option<(Key, Arc<Settings>)>,
    unavailable: BTreeMap<Offering, Timestamp>,
    nominated: BTreeMap<String, Timestamp>,
    /// Claims that were created and are not in the view yet.
    expected: BTreeMap<String, Timestamp>,
    pub ordered: Vec<Ordered>,
    told: BTreeMap<String, Timestamp>,
    nominations: Bucket,
    /// When EC2 was last asked to end an instance.
    ends: BTreeMap<String, Timestamp>,
    /// Grows with every change that decisions depend on.
    pub changes: u64,
    /// Whether disruption waits for such a change rather than for a time.
    pub asleep: bool,
}

/// Karpenter's limit of nomination events: five a second, ten at once (`scheduling/events.go`).
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Option<Timestamp>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            left: 10.0,
            at: None,
        }
    }
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> bool {
        if let Some(at) = self.at {
            let gone = now.duration_since(at).as_secs_f64().max(0.0);
            self.left = (self.left + 5.0 * gone).min(10.0);
        }
        self.at = Some(now);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

/// An event, and what keeps it from being told again too soon.
pub(super) struct Telling<'a> {
    pub about: Json,
    pub kind: EventKind,
    pub reason: &'a str,
    pub message: String,
    /// Events of one reason with the same of these are one.
    pub same: &'a [&'a str],
    /// For so many seconds; Karpenter's default is 120.
    pub seconds: i64,
}

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a change is one of Karpenter's own Deployment, whose settings are then read anew.
    pub(super) fn note(&self, change: &Change) -> bool {
        let karpenter = |object: &Option<Object>| match object {
            Some(Object::Deployment(deployment)) => settings::is_karpenter(deployment),
            _ => false,
        };
        let own = karpenter(&change.before) || karpenter(&change.after);
        if own {
            self.lock().read = false;
        }
        own
    }

    /// Counts a change that decisions depend on. Whether disruption is to be woken by it.
    pub(super) fn count(&self, change: &Change) -> bool {
        let matters = matches!(
            change.kind,
            Some(
                Kind::Pod
                    | Kind::Node
                    | Kind::NodeClaim
                    | Kind::NodePool
                    | Kind::Ec2NodeClass
                    | Kind::PodDisruptionBudget
                    | Kind::DaemonSet
                    | Kind::PersistentVolumeClaim
                    | Kind::PersistentVolume
                    | Kind::StorageClass
                    | Kind::Namespace
                    | Kind::CSINode
            )
        );
        if !matters {
            return false;
        }
        let mut kept = self.lock();
        kept.changes += 1;
        std::mem::take(&mut kept.asleep)
    }

    /// The settings of the Karpenter that runs, if one does.
    pub(super) fn settings(&self, view: &View) -> Option<Arc<Settings>> {
        let mut kept = self.lock();
        // A list of everything doesn't tell of what is gone.
        let gone = |(key, _): &(Key, _)| !view.deployments.contains(key);
        if !kept.read || kept.settings.as_ref().is_some_and(gone) {
            kept.settings = settings::running(view);
            kept.read = true;
        }
        kept.settings.as_ref().map(|(_, settings)| settings.clone())
    }
}

impl Kept {
    /// Marks offerings as gone for three minutes.
    pub(super) fn mark_unavailable(&mut self, offering: Offering, now: Timestamp) {
        let until = SignedDuration::try_from(UNAVAILABLE_FOR)
            .ok()
            .and_then(|span| now.checked_add(span).ok())
            .unwrap_or(Timestamp::MAX);
        if self.unavailable.insert(offering, until) != Some(until) {
            self.changes += 1;
        }
    }

    /// When the next of the offerings that are not to be had is asked for again.
    pub(super) fn available_at(&self) -> Option<Timestamp> {
        self.unavailable.values().min().copied()
    }

    /// What is not to be had now.
    pub(super) fn unavailable(&mut self, now: Timestamp) -> BTreeSet<Offering> {
        let before = self.unavailable.len();
        self.unavailable.retain(|_, until| *until > now);
        if self.unavailable.len() < before {
            self.changes += 1;
        }
        self.unavailable.keys().cloned().collect()
    }

    /// A pod is on its way to a node (or to what a claim becomes): twice the longest batch (`statenode.go`
    /// `nominationWindow`).
    pub(super) fn nominate(&mut self, name: &str, context: Context<'_>, settings: &Settings) {
        let window = (settings.batch_longest * 2).max(std::time::Duration::from_secs(10));
        let window = pause(context.pace, window.as_secs_f64());
        let until = context.now.checked_add(window).unwrap_or(Timestamp::MAX);
        self.nominated.insert(name.to_owned(), until);
    }

    /// What ends an instance, unless that was asked for just now, and when to ask again; nothing of one that is ending already.
    pub(super) fn end(
        &mut self,
        instance: &Instance,
        context: Context<'_>,
    ) -> Option<(Option<Action>, Timestamp)> {
        const MOST: usize = 1000;
        if !claims::is_up(instance) {
            self.ends.remove(&instance.id);
            return None;
        }
        let now = context.now;
        let patience = pause(context.pace, END_AGAIN);
        if let Some(due) = self.ends.get(&instance.id).map(|at| *at + patience)
            && due > now
        {
            return Some((None, due));
        }
        if self.ends.len() >= MOST {
            self.ends.retain(|_, at| now.duration_since(*at) < patience);
        }
        self.ends.insert(instance.id.clone(), now);
        let action = Action::Cloud(CloudAction::Terminate {
            instance: instance.id.clone(),
        });
        Some((Some(action), now + patience))
    }

    /// Until when a pod is on its way to a node or a claim.
    pub(super) fn nominated(&mut self, now: Timestamp) -> BTreeMap<String, Timestamp> {
        self.nominated.retain(|_, until| *until > now);
        self.nominated.clone()
    }

    pub(super) fn expect(&mut self, claim: &str, now: Timestamp) {
        self.expected.insert(claim.to_owned(), now);
    }

    /// Whether the view shows every claim that was created, and every claim has its machine (`state/cluster.go` `Synced`).
    pub(super) fn synced(&mut self, view: &View, now: Timestamp) -> bool {
        let limit = SignedDuration::from_secs(10);
        self.expected.retain(|name, at| {
            !view.node_claims.contains(&Key::cluster(name)) && now.duration_since(*at) < limit
        });
        self.expected.is_empty()
            && view.node_claims.iter().all(|(_, claim)| {
                claim.metadata.deletion_timestamp.is_some()
                    || claim
                        .status
                        .as_ref()
                        .is_some_and(|status| status.provider_id.is_some())
            })
    }

    /// Whether a command holds a claim.
    pub(super) fn holds(&self, claim: &str) -> bool {
        self.ordered
            .iter()
            .any(|ordered| ordered.candidates.iter().any(|name| name == claim))
    }

    /// Whether a claim is one that a command waits for.
    pub(super) fn awaits(&self, claim: &str) -> bool {
        self.ordered
            .iter()
            .any(|ordered| ordered.replacements.iter().any(|name| name == claim))
    }

    /// An event, unless it was told not long ago.
    pub(super) fn tell(&mut self, now: Timestamp, telling: Telling<'_>) -> Option<Action> {
        const MOST: usize = 20_000;
        let key = format!("{}-{}", telling.reason, telling.same.join("-"));
        if self.told.get(&key).is_some_and(|until| *until > now) {
            return None;
        }
        if self.told.len() >= MOST {
            self.told.retain(|_, until| *until > now);
        }
        let until = now + SignedDuration::from_secs(telling.seconds);
        self.told.insert(key, until);
        Some(Action::Event {
            about: telling.about,
            kind: telling.kind,
            reason: telling.reason.to_owned(),
            message: telling.message,
        })
    }

    /// The event of a nomination, unless there were many.
    pub(super) fn tell_nomination(
        &mut self,
        now: Timestamp,
        pod: Json,
        uid: &str,
        message: String,
    ) -> Option<Action> {
        let event = self.tell(
            now,
            Telling {
                about: pod,
                kind: EventKind::Normal,
                reason: "Nominated",
                message,
                same: &[uid],
                seconds: 120,
            },
        )?;
        self.nominations.take(now).then_some(event)
    }
}

/// A wait of Karpenter's own: so many seconds, or, when nothing is to wait, a small part of that so that nothing loops.
pub(super) fn pause(pace: Pace, seconds: f64) -> SignedDuration {
    let seconds = match pace {
        Pace::Modelled => seconds,
        Pace::Immediate => (seconds / 10.0).clamp(0.1, 1.0),
    };
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::from_secs(1))
}
