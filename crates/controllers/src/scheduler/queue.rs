//! Who waits for a node, whose turn it is, and who was given one and isn't bound yet.
//!
//! Everything that happens to a cluster is looked at by the scheduler, so what is done each time must not grow with the number of pods
//! that wait: they are kept by why and until when they wait.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{Key, Pace};

use super::plus;

/// `podInitialBackoffSeconds` and `podMaxBackoffSeconds`, in modelled seconds.
const FIRST_BACK_OFF: f64 = 1.0;
const LONGEST_BACK_OFF: f64 = 10.0;
/// `podMaxInUnschedulablePodsDuration`, in seconds of the clock.
const FLUSH_SECONDS: i64 = 300;

/// A pod that has no node.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub uid: String,
    attempts: u32,
    /// When the back-off is over.
    not_before: Timestamp,
    /// When it is tried whatever happens.
    flush: Timestamp,
    /// Why there was no place, as it should be told, and when it was told last.
    pub failure: Option<Failed>,
    pub told: Option<Timestamp>,
    pub gated: bool,
    pub wants: Wants,
}

/// Which events matter to a pod, besides those that make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wants {
    pub claims: bool,
    /// It is to be near others, or spread over domains.
    pub neighbours: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failed {
    pub message: String,
    pub nominated: Option<String>,
}

/// A pod that was given a node and isn't bound yet.
#[derive(Debug, Clone)]
pub(super) struct Assumed {
    pub uid: String,
    pub node: String,
    /// Whether it waits for its volumes.
    pub volumes: bool,
    pub until: Timestamp,
}

/// What may let pods in.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Chances {
    /// There is more room, or other nodes.
    pub room: bool,
    pub claims: bool,
    /// A pod was placed: others may want to be near it.
    pub neighbours: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Key, Waiting>,
    /// Those to be tried, when their back-off is over.
    active: BTreeSet<Key>,
    flushes: BTreeSet<(Timestamp, Key)>,
    claiming: BTreeSet<Key>,
    sociable: BTreeSet<Key>,
    assumed: BTreeMap<Key, Assumed>,
    /// Those of them that wait for volumes.
    pub reserved: BTreeSet<Key>,
    ends: BTreeSet<(Timestamp, Key)>,
}

impl Queue {
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Waiting> {
        self.waiting.get_mut(key)
    }

    pub(super) fn assumed(&self, key: &Key) -> Option<&Assumed> {
        self.assumed.get(key)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Key, &Waiting) -> bool) {
        let gone: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(key, waiting)| !keep(key, waiting))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// A pod that waits; one that is new, or is another by its uid, or has lost its last gate, is to be tried.
    pub(super) fn add(&mut self, key: &Key, uid: &str, gated: bool, wants: Wants, now: Timestamp) {
        let known = self.waiting.get(key);
        let same = known.is_some_and(|known| known.uid == uid);
        if !same {
            self.remove(key);
            let waiting = Waiting {
                uid: uid.to_owned(),
                attempts: 0,
                not_before: now,
                flush: Timestamp::MAX,
                failure: None,
                told: None,
                gated,
                wants,
            };
            self.waiting.insert(key.clone(), waiting);
        }
        let Some(waiting) = self.waiting.get_mut(key) else {
            return;
        };
        let opened = waiting.gated && !gated;
        waiting.gated = gated;
        waiting.wants = wants;
        if (!same || opened) && !gated {
            self.active.insert(key.clone());
        }
        let sets = [
            (&mut self.claiming, wants.claims),
            (&mut self.sociable, wants.neighbours),
        ];
        for (set, belongs) in sets {
            if belongs {
                set.insert(key.clone());
            } else {
                set.remove(key);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(waiting) = self.waiting.remove(key) {
            self.flushes.remove(&(waiting.flush, key.clone()));
            self.active.remove(key);
            self.claiming.remove(key);
            self.sociable.remove(key);
        }
    }

    /// Marks the pods that may have a place now.
    pub(super) fn wake(&mut self, chances: Chances) {
        if chances.room {
            let free = self
                .waiting
                .iter()
                .filter(|(key, waiting)| !waiting.gated && !self.assumed.contains_key(*key));
            self.active.extend(free.map(|(key, _)| key.clone()));
            return;
        }
        let sets = [
            (&self.claiming, chances.claims),
            (&self.sociable, chances.neighbours),
        ];
        for (set, woken) in sets {
            if woken {
                let free = set.iter().filter(|key| {
                    !self.assumed.contains_key(*key)
                        && self.waiting.get(*key).is_some_and(|waiting| !waiting.gated)
                });
                self.active.extend(free.cloned());
            }
        }
    }

    pub(super) fn activate(&mut self, key: &Key) {
        if self.waiting.get(key).is_some_and(|waiting| !waiting.gated) {
            self.active.insert(key.clone());
        }
    }

    /// The pods whose turn it is.
    pub(super) fn due(&self, now: Timestamp) -> BTreeSet<Key> {
        let active = self.active.iter().filter(|key| {
            self.waiting
                .get(*key)
                .is_some_and(|waiting| waiting.not_before <= now)
        });
        let flushed = self
            .flushes
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, key)| key);
        active
            .chain(flushed)
            .filter(|key| !self.assumed.contains_key(*key))
            .cloned()
            .collect()
    }

    fn set_flush(&mut self, key: &Key, at: Timestamp) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            self.flushes.remove(&(waiting.flush, key.clone()));
            waiting.flush = at;
            if at < Timestamp::MAX {
                self.flushes.insert((at, key.clone()));
            }
        }
    }

    /// A pod has found no place.
    pub(super) fn fail(&mut self, key: &Key, failed: Failed, now: Timestamp, pace: Pace) {
        self.active.remove(key);
        self.set_flush(key, plus(now, FLUSH_SECONDS));
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.attempts += 1;
            let doubled = 1_u32 << (waiting.attempts - 1).min(4);
            let rest = (FIRST_BACK_OFF * f64::from(doubled)).min(LONGEST_BACK_OFF);
            waiting.not_before = pace.after(now, rest);
            waiting.failure = Some(failed);
        }
    }

    /// A pod has found one.
    pub(super) fn assume(&mut self, key: &Key, assumed: Assumed) {
        self.active.remove(key);
        self.set_flush(key, Timestamp::MAX);
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.failure = None;
        }
        self.drop_assumed(key);
        self.ends.insert((assumed.until, key.clone()));
        if assumed.volumes {
            self.reserved.insert(key.clone());
        }
        self.assumed.insert(key.clone(), assumed);
    }

    pub(super) fn drop_assumed(&mut self, key: &Key) {
        if let Some(old) = self.assumed.remove(key) {
            self.ends.remove(&(old.until, key.clone()));
            self.reserved.remove(key);
        }
    }

    /// Those that nobody has bound in time.
    pub(super) fn overdue(&self, now: Timestamp) -> Vec<Key> {
        self.ends
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// When to look again.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let active = self
            .active
            .iter()
            .filter_map(|key| self.waiting.get(key))
            .map(|waiting| waiting.not_before);
        let flush = self.flushes.first().map(|(at, _)| *at);
        let end = self.ends.first().map(|(at, _)| *at);
        active.chain(flush).chain(end).filter(|at| *at > now).min()
    }
}
