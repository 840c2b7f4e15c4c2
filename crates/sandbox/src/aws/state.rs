//! All that the embedded AWS remembers, and the only way in which it changes: mutations, applied one by one, the same ones
//! in the same order whether they come from a call or from the log.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use serde::{Deserialize, Serialize};

use super::ids::Ids;
use super::operation::Operation;
use super::world::{Entry, World};

/// A change of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mutation {
    /// The first of all: the world's account and region.
    Begin {
        account: String,
        region: String,
        ids: Ids,
    },
    /// A resource comes in, or in place of the one there.
    Put(Entry),
    /// A resource goes.
    Remove {
        type_name: TypeName,
        identifier: String,
    },
    /// An operation begins or goes on.
    Operation(Operation),
    /// An operation is too old to be asked about.
    Forget { request_token: String },
    /// Draws were made from the source of identifiers.
    Ids(Ids),
    /// A change of DNS records was accepted.
    DnsChange { id: String, at: f64 },
}

/// The mutations of one call, which all happen or none does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Modelled seconds since the world began.
    pub(crate) at: f64,
    pub(crate) mutations: Vec<Mutation>,
}

/// A non-negative time, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn new(seconds: f64) -> Self {
        // The bits of non-negative floats are in the order of their values.
        Self(seconds.max(0.0).to_bits())
    }
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    operations: BTreeMap<String, Operation>,
    by_client_token: BTreeMap<String, String>,
    /// Open operations by the time at which they end.
    due: BTreeSet<(Moment, String)>,
    /// Open operations that wait for something in the world.
    waiting: BTreeSet<String>,
    /// All operations by the time at which they began.
    by_age: BTreeSet<(Moment, String)>,
    dns_changes: BTreeMap<String, f64>,
    /// Resources that are marked for deletion, with the time at which they go.
    vanishing: BTreeMap<(TypeName, String), f64>,
}

impl State {
    pub(crate) fn new(account: &str, region: &str, ids: Ids) -> Self {
        Self {
            world: World::new(account, region, ids),
            operations: BTreeMap::new(),
            by_client_token: BTreeMap::new(),
            due: BTreeSet::new(),
            waiting: BTreeSet::new(),
            by_age: BTreeSet::new(),
            dns_changes: BTreeMap::new(),
            vanishing: BTreeMap::new(),
        }
    }

    pub(crate) fn apply(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::Begin {
                account,
                region,
                ids,
            } => *self = Self::new(&account, &region, ids),
            Mutation::Put(entry) => {
                let key = (entry.type_name.clone(), entry.identifier.clone());
                match entry.pending_deletion() {
                    Some(at) => self.vanishing.insert(key, at),
                    None => self.vanishing.remove(&key),
                };
                self.world.insert(entry);
            }
            Mutation::Remove {
                type_name,
                identifier,
            } => {
                self.world.remove(&type_name, &identifier);
                self.vanishing.remove(&(type_name, identifier));
            }
            Mutation::Operation(operation) => self.put_operation(operation),
            Mutation::Forget { request_token } => self.forget(&request_token),
            Mutation::Ids(ids) => self.world.set_ids(ids),
            Mutation::DnsChange { id, at } => {
                self.dns_changes.insert(id, at);
            }
        }
    }

    fn put_operation(&mut self, operation: Operation) {
        let token = operation.request_token.clone();
        if let Some(before) = self.operations.get(&token) {
            self.due
                .remove(&(Moment::new(before.ends_at), token.clone()));
            self.waiting.remove(&token);
        }
        if operation.is_open() {
            self.due
                .insert((Moment::new(operation.ends_at), token.clone()));
            if operation.waits_for.is_some() {
                self.waiting.insert(token.clone());
            }
        }
        if let Some(client_token) = &operation.client_token {
            self.by_client_token
                .insert(client_token.clone(), token.clone());
        }
        self.by_age
            .insert((Moment::new(operation.began_at), token.clone()));
        self.operations.insert(token, operation);
    }

    fn forget(&mut self, request_token: &str) {
        let Some(operation) = self.operations.remove(request_token) else {
            return;
        };
        self.by_age.remove(&(
            Moment::new(operation.began_at),
            operation.request_token.clone(),
        ));
        if let Some(client_token) = operation.client_token
            && self
                .by_client_token
                .get(&client_token)
                .is_some_and(|current| current == request_token)
        {
            self.by_client_token.remove(&client_token);
        }
    }

    pub(crate) fn operation(&self, request_token: &str) -> Option<&Operation> {
        self.operations.get(request_token)
    }

    pub(crate) fn operation_of_client_token(&self, client_token: &str) -> Option<&Operation> {
        self.operations.get(self.by_client_token.get(client_token)?)
    }

    /// All operations, the youngest first.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.by_age
            .iter()
            .rev()
            .filter_map(|(_, token)| self.operations.get(token))
    }

    /// Open operations, in the order in which they end.
    pub(crate) fn open_operations(&self) -> impl Iterator<Item = &Operation> {
        self.due
            .iter()
            .filter_map(|(_, token)| self.operations.get(token))
    }

    /// The open operation that ends first, if its time has come.
    pub(crate) fn next_due(&self, now: f64) -> Option<&Operation> {
        let (at, token) = self.due.first()?;
        if *at > Moment::new(now) {
            None
        } else {
            self.operations.get(token)
        }
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Operation> {
        self.waiting
            .iter()
            .filter_map(|token| self.operations.get(token))
    }

    /// A resource whose deletion is due.
    pub(crate) fn next_vanishing(&self, now: f64) -> Option<(TypeName, String)> {
        let due = self.vanishing.iter().find(|(_, at)| **at <= now);
        due.map(|(key, _)| key.clone())
    }

    /// How many resources of each type are marked for deletion.
    pub(crate) fn pending_deletions(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (type_name, _) in self.vanishing.keys() {
            *counts.entry(type_name.to_string()).or_default() += 1;
        }
        counts
    }

    /// The oldest operation, if it is over and began before `before`.
    pub(crate) fn next_outdated(&self, before: f64) -> Option<&Operation> {
        let (at, token) = self.by_age.first()?;
        let operation = self.operations.get(token)?;
        (*at < Moment::new(before) && !operation.is_open()).then_some(operation)
    }

    /// When a change of DNS records was accepted.
    pub(crate) fn dns_change(&self, id: &str) -> Option<f64> {
        self.dns_changes.get(id).copied()
    }

    /// The mutations that make this state out of nothing.
    pub(crate) fn mutations(&self) -> impl Iterator<Item = Mutation> {
        let begin = Mutation::Begin {
            account: self.world.account().to_owned(),
            region: self.world.region().to_owned(),
            ids: self.world.ids().clone(),
        };
        let entries = self.world.entries().cloned().map(Mutation::Put);
        let operations = self
            .by_age
            .iter()
            .filter_map(|(_, token)| self.operations.get(token));
        let changes = self.dns_changes.iter().map(|(id, at)| Mutation::DnsChange {
            id: id.clone(),
            at: *at,
        });
        std::iter::once(begin)
            .chain(entries)
            .chain(operations.cloned().map(Mutation::Operation))
            .chain(changes)
    }
}
