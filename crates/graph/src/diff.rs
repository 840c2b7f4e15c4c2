//! The difference between what is wanted and what is: a [`Plan`].

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use catalog::{PropertyPath, Realm, in_cluster};
use serde_json::Value as Json;

use crate::order;
use crate::plan::{Action, Change, FORMAT, Plan, PropertyChange, Replacement, Summary};
use crate::resolve::{Lookup, first_unknown, resolve};
use crate::resource::{Graph, Lifecycle, Resource, Scope};
use crate::rules::Rules;
use crate::state::{ResourceState, State};
use crate::value::{Attribute, Parameter, Reference, SecretReference, Value};

/// What AWS says of the resources of a state: the model of each, or none for what is gone. A resource that isn't in it
/// was not asked for; the state is believed.
pub type Live = BTreeMap<Address, Option<Json>>;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What is wanted.
    pub graph: &'a Graph,
    /// The hash of the spec that the graph was made from.
    pub spec_hash: &'a str,
    /// What is known to exist.
    pub state: &'a State,
    /// What is known of the account, beside what the state has kept.
    pub parameters: &'a BTreeMap<Parameter, String>,
    /// What is really there, if it was asked.
    pub live: Option<&'a Live>,
}

/// Plans the way from what is to what is wanted.
pub fn plan(inputs: Inputs<'_>) -> Plan {
    let mut planner = Planner {
        inputs,
        fresh: BTreeSet::new(),
        updated: BTreeSet::new(),
        delete_first: BTreeSet::new(),
        resolved: BTreeMap::new(),
    };
    let mut changes: Vec<Change> = Vec::with_capacity(inputs.graph.len());
    for resource in inputs.graph.ordered() {
        changes.push(planner.change(resource));
    }
    changes.extend(deletions(inputs.state, |address| {
        inputs.graph.get(address).is_some()
    }));
    finish(
        inputs.graph.scope().clone(),
        false,
        inputs.spec_hash,
        inputs.state,
        inputs.live.is_some(),
        changes,
    )
}

/// Plans the deletion of everything in a state that may be deleted.
pub fn plan_destroy(scope: &Scope, spec_hash: &str, state: &State) -> Plan {
    finish(
        scope.clone(),
        true,
        spec_hash,
        state,
        false,
        deletions(state, |_| false),
    )
}

fn finish(
    scope: Scope,
    destroy: bool,
    spec_hash: &str,
    state: &State,
    refreshed: bool,
    changes: Vec<Change>,
) -> Plan {
    Plan {
        format: FORMAT,
        scope,
        destroy,
        spec_hash: spec_hash.to_owned(),
        state_serial: state.serial,
        refreshed,
        summary: Summary::of(&changes),
        changes,
    }
}

/// The deletions of what a state has and nobody wants, dependants first.
fn deletions(state: &State, wanted: impl Fn(&Address) -> bool) -> Vec<Change> {
    let needs: BTreeMap<Address, BTreeSet<Address>> = state
        .resources
        .iter()
        .map(|(address, resource)| (address.clone(), resource.needs.clone()))
        .collect();
    // A state's needs were a graph's once, but of several deploys: a circle across them is deleted in any order.
    let order = order::topological(&needs).unwrap_or_else(|_| needs.keys().cloned().collect());
    let unwanted = order.into_iter().rev().filter(|address| !wanted(address));
    unwanted
        .filter_map(|address| {
            let resource = state.resources.get(&address)?;
            let (action, reason) = match resource.lifecycle {
                Lifecycle::Managed => (Action::Delete, "no longer wanted"),
                Lifecycle::Retain => (Action::Forget, "retained: it stays"),
                Lifecycle::Existing(_) => (Action::Forget, "somebody else's: it stays"),
                Lifecycle::Ensure => (Action::Forget, "others may use it: it stays"),
            };
            let reason = match (action, resource.type_name.realm()) {
                (Action::Delete, _) => reason.to_owned(),
                (_, Realm::Aws) => format!("{reason} in AWS"),
                (_, Realm::Kubernetes | Realm::Helm) => format!("{reason} in the cluster"),
            };
            Some(Change {
                address,
                type_name: resource.type_name.clone(),
                action,
                reason,
                identifier: Some(resource.identifier.clone()),
                properties: Vec::new(),
                replacement: None,
                needs: resource.needs.clone(),
                lifecycle: resource.lifecycle.clone(),
                desired: None,
            })
        })
        .collect()
}

struct Planner<'a> {
    inputs: Inputs<'a>,
    /// What will be made, or made anew: its attributes are not those of the state.
    fresh: BTreeSet<Address>,
    /// What will be changed where it is: some of its attributes may be new.
    updated: BTreeSet<Address>,
    /// Of what is made anew, what is deleted before.
    delete_first: BTreeSet<Address>,
    /// The desired properties of what was planned so far, as far as they are known.
    resolved: BTreeMap<Address, Json>,
}

impl Lookup for Planner<'_> {
    fn attribute(&self, reference: &Reference) -> Option<Json> {
        let desired = self.resolved.get(&reference.to);
        // What we decide is what it will be; for the rest a resource that stays is asked.
        let known = match (&reference.attribute, desired) {
            (Attribute::Property(path), Some(desired)) => path
                .get(desired)
                .filter(|value| first_unknown(value).is_none()),
            _ => None,
        };
        if let Some(known) = known {
            return Some(known.clone());
        }
        if self.updated.contains(&reference.to)
            && let Attribute::Property(path) = &reference.attribute
            && let Some(rules) = self
                .inputs
                .graph
                .get(&reference.to)
                .and_then(|to| Rules::of(&to.type_name))
            && rules.is_renewed_by_update(path)
        {
            return None;
        }
        if !self.fresh.contains(&reference.to) {
            return self.inputs.state.attribute(reference);
        }
        match (
            &reference.attribute,
            desired,
            self.inputs.graph.get(&reference.to),
        ) {
            (Attribute::Identifier, Some(desired), Some(resource)) => {
                let identifier = Rules::of(&resource.type_name)?.identifier(desired)?;
                first_unknown(desired)
                    .is_none()
                    .then(|| Json::from(identifier))
            }
            _ => None,
        }
    }

    fn parameter(&self, parameter: Parameter) -> Option<String> {
        let kept = self.inputs.state.parameters.get(&parameter);
        kept.or_else(|| self.inputs.parameters.get(&parameter))
            .cloned()
    }

    fn is_new_secret(&self, reference: &SecretReference) -> bool {
        self.fresh.contains(&reference.secret)
    }
}

impl Planner<'_> {
    fn change(&mut self, resource: &Resource) -> Change {
        let desired: Json = resource
            .properties
            .iter()
            .map(|(name, value)| (name.clone(), resolve(value, self)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let decision = self.decide(resource, &desired);
        if matches!(decision.action, Action::Create | Action::Replace) {
            self.fresh.insert(resource.address.clone());
        }
        if decision.action == Action::Update {
            self.updated.insert(resource.address.clone());
        }
        if decision
            .replacement
            .as_ref()
            .is_some_and(|replacement| replacement.delete_first)
        {
            self.delete_first.insert(resource.address.clone());
        }
        self.resolved.insert(resource.address.clone(), desired);
        Change {
            address: resource.address.clone(),
            type_name: resource.type_name.clone(),
            action: decision.action,
            reason: decision.reason,
            identifier: self
                .inputs
                .state
                .resources
                .get(&resource.address)
                .map(|known| known.identifier.clone()),
            properties: decision.properties,
            replacement: decision.replacement,
            needs: self
                .inputs
                .graph
                .needs(&resource.address)
                .cloned()
                .collect(),
            lifecycle: resource.lifecycle.clone(),
            desired: Some(resource.properties.clone()),
        }
    }

    fn decide(&self, resource: &Resource, desired: &Json) -> Decision {
        let known = self.inputs.state.resources.get(&resource.address);
        if let Lifecycle::Existing(identifier) = &resource.lifecycle {
            return match known {
                Some(known) if known.identifier == *identifier => Decision::unchanged(),
                _ => Decision::simple(Action::Read, "somebody else's"),
            };
        }
        if let Some(ResourceState {
            lifecycle: Lifecycle::Existing(_),
            ..
        }) = known
        {
            return Decision::simple(Action::Create, "what was there is somebody else's");
        }
        let Some(known) = known else {
            return Decision::simple(Action::Create, "not there yet");
        };
        let live = self
            .inputs
            .live
            .and_then(|live| live.get(&resource.address));
        if live == Some(&None) {
            let reason = match resource.type_name.realm() {
                Realm::Aws => "gone from AWS",
                Realm::Kubernetes | Realm::Helm => "gone from the cluster",
            };
            return Decision::simple(Action::Create, reason);
        }
        let Some(rules) = Rules::of(&resource.type_name) else {
            return Decision::unchanged();
        };
        let rules = &rules;
        if known.type_name != resource.type_name
            && !in_cluster::same_kind(&known.type_name, &resource.type_name)
        {
            let reason = format!("it was a {}", known.type_name);
            return Decision::replace(reason, Vec::new(), Vec::new(), true);
        }
        // To apply an object or a release again mends it: nothing has to go for that.
        if known.tainted && resource.type_name.realm().is_in_cluster() {
            let reason = "a failed attempt left it behind: applied again";
            return Decision::simple(Action::Update, reason);
        }
        if known.tainted {
            let reason = "a failed create left it behind".to_owned();
            return Decision::replace(reason, Vec::new(), Vec::new(), true);
        }
        if resource.lifecycle == Lifecycle::Ensure {
            return Decision::unchanged();
        }
        let properties = property_changes(rules, known, desired, live.and_then(Option::as_ref));
        if let Some((dependency, path)) = self.forced_by_dependency(resource, rules) {
            let reason = format!("needs {dependency}, which is deleted first and made anew");
            return Decision::replace(reason, properties, vec![path], true);
        }
        if properties.is_empty() && !known.deposed.is_empty() {
            let left = known
                .deposed
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            let reason = format!(
                "an interrupted replacement has left {}: deleted",
                left.join(", ")
            );
            return Decision::simple(Action::Update, &reason);
        }
        if properties.is_empty() {
            return Decision::unchanged();
        }
        let forced_by = forcing(rules, &properties);
        if forced_by.is_empty() {
            let names = listed(properties.iter().map(|change| &change.path));
            let verb = if properties.len() == 1 {
                "differs"
            } else {
                "differ"
            };
            return Decision {
                action: Action::Update,
                reason: format!("{names} {verb}"),
                properties,
                replacement: None,
            };
        }
        let reason = format!(
            "{} can't be changed on an existing one",
            listed(forced_by.iter())
        );
        let delete_first = rules.is_deleted_first(&known.properties, desired);
        Decision::replace(reason, properties, forced_by, delete_first)
    }

    /// A resource whose replacement takes this one with it: it is deleted first, and a property of ours that can't be
    /// changed refers to it. Its name, and so our property, may well be the same again.
    fn forced_by_dependency(
        &self,
        resource: &Resource,
        rules: &Rules,
    ) -> Option<(Address, PropertyPath)> {
        for (name, value) in &resource.properties {
            let path = PropertyPath::root().join(name);
            // A manifest can be changed as a whole: a reference in it takes nothing with it.
            if !rules.is_create_only(&path) || name == in_cluster::MANIFEST {
                continue;
            }
            if let Some(gone) = value
                .references()
                .into_iter()
                .find(|address| self.delete_first.contains(*address))
            {
                return Some((gone.clone(), path));
            }
        }
        None
    }
}

struct Decision {
    action: Action,
    reason: String,
    properties: Vec<PropertyChange>,
    replacement: Option<Replacement>,
}

impl Decision {
    fn simple(action: Action, reason: &str) -> Self {
        Self {
            action,
            reason: reason.to_owned(),
            properties: Vec::new(),
            replacement: None,
        }
    }

    fn unchanged() -> Self {
        Self::simple(Action::Unchanged, "as wanted")
    }

    fn replace(
        reason: String,
        properties: Vec<PropertyChange>,
        forced_by: Vec<PropertyPath>,
        delete_first: bool,
    ) -> Self {
        let replacement = Some(Replacement {
            forced_by,
            delete_first,
        });
        Self {
            action: Action::Replace,
            reason,
            properties,
            replacement,
        }
    }
}

fn listed<'a>(paths: impl Iterator<Item = &'a PropertyPath>) -> String {
    paths
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The changed properties that make a new resource necessary.
fn forcing(rules: &Rules, properties: &[PropertyChange]) -> Vec<PropertyPath> {
    properties
        .iter()
        .map(|change| &change.path)
        .filter(|path| rules.is_create_only(path))
        .cloned()
        .collect()
}

/// The properties in which a resource differs from what is wanted: what we want otherwise than last time, and what
/// somebody else has changed since.
fn property_changes(
    rules: &Rules,
    known: &ResourceState,
    desired: &Json,
    live: Option<&Json>,
) -> Vec<PropertyChange> {
    let mut found = rules.changes(&known.properties, desired);
    if let Some(live) = live {
        for difference in rules.differences(desired, live) {
            let known_already = found
                .iter()
                .any(|other| other.path.overlaps(&difference.path));
            if !known_already && first_unknown(&difference.expected).is_none() {
                found.push(difference);
            }
        }
    }
    let some = |value: Json| Some(value).filter(|value| !value.is_null());
    found
        .into_iter()
        .map(|difference| PropertyChange {
            path: difference.path,
            before: some(difference.actual),
            after: some(difference.expected),
        })
        .collect()
}

/// A property of a resource that is not what was applied.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Drifted {
    /// The resource.
    pub address: Address,
    /// The property; none when the resource itself is gone.
    pub property: Option<PropertyPath>,
    /// What was applied.
    pub expected: Json,
    /// What is there.
    pub actual: Json,
}

/// What somebody else has changed since the last deploy. Only properties that the platform decides are compared, and
/// none that can't be read.
pub fn drift(state: &State, live: &Live) -> Vec<Drifted> {
    let mut drifted = Vec::new();
    for (address, resource) in &state.resources {
        let (Some(model), false) = (
            live.get(address),
            matches!(resource.lifecycle, Lifecycle::Existing(_)),
        ) else {
            continue;
        };
        let Some(model) = model else {
            drifted.push(Drifted {
                address: address.clone(),
                property: None,
                expected: Json::from(resource.identifier.as_str()),
                actual: Json::Null,
            });
            continue;
        };
        let Some(rules) = Rules::of(&resource.type_name) else {
            continue;
        };
        drifted.extend(
            rules
                .differences(&resource.properties, model)
                .into_iter()
                .map(|difference| Drifted {
                    address: address.clone(),
                    property: Some(difference.path),
                    expected: difference.expected,
                    actual: difference.actual,
                }),
        );
    }
    drifted
}

/// A lookup over a state alone: what the engine resolves with, once everything that a resource needs is there.
#[derive(Debug, Clone, Copy)]
pub struct StateLookup<'a>(pub &'a State);

impl Lookup for StateLookup<'_> {
    fn attribute(&self, reference: &Reference) -> Option<Json> {
        self.0.attribute(reference)
    }

    fn parameter(&self, parameter: Parameter) -> Option<String> {
        self.0.parameters.get(&parameter).cloned()
    }

    fn is_new_secret(&self, _: &SecretReference) -> bool {
        false
    }
}

/// The desired properties as JSON.
///
/// # Errors
///
/// What is still unknown, as text.
pub fn resolve_properties(
    properties: &BTreeMap<String, Value>,
    lookup: &impl Lookup,
) -> Result<Json, String> {
    let document: Json = properties
        .iter()
        .map(|(name, value)| (name.clone(), resolve(value, lookup)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    match first_unknown(&document) {
        Some(text) => Err(text.to_owned()),
        None => Ok(document),
    }
}
