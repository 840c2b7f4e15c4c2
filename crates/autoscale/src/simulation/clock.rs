//! Virtual time: what is to happen, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// What is to happen, by time; of the same time what was entered first comes first.
#[derive(Debug)]
pub(super) struct Clock<E> {
    now: Timestamp,
    queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    events: std::collections::BTreeMap<u64, E>,
    next: u64,
}

impl<E> Clock<E> {
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            queue: BinaryHeap::new(),
            events: std::collections::BTreeMap::new(),
            next: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Enters an event; one of the past happens at once.
    pub fn at(&mut self, time: Timestamp, event: E) {
        let number = self.next;
        self.next += 1;
        self.queue.push(Reverse((time.max(self.now), number)));
        self.events.insert(number, event);
    }

    pub fn after(&mut self, delay: Duration, event: E) {
        self.at(later(self.now, delay), event);
    }

    /// When the next event is.
    pub fn peek(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((time, _))| *time)
    }

    /// Whether an event is to come.
    pub fn any(&self, is: impl FnMut(&E) -> bool) -> bool {
        self.events.values().any(is)
    }

    /// The next event; the clock is set to its time.
    pub fn pop(&mut self) -> Option<E> {
        let Reverse((time, number)) = self.queue.pop()?;
        self.now = time;
        self.events.remove(&number)
    }

    /// Sets the clock to a time at which nothing happens.
    pub fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
    }
}

/// A time later by a delay, at most the last that there is.
pub(super) fn later(time: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| time.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}
