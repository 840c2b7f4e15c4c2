//! The plan: what would be done, in which order and why. An immutable value; applying it needs nothing else but the state
//! that it was made from.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::{Address, Identifier, Serial};
use catalog::{PropertyPath, TypeName};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::resource::{Lifecycle, Scope};
use crate::value::{Parameter, Value};

/// The format of a plan's JSON. A plan of another format is refused.
pub const FORMAT: u32 = 1;

/// What would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// Of which scope.
    pub scope: Scope,
    /// Whether it destroys the scope.
    pub destroy: bool,
    /// The hash of the spec that it was made from.
    pub spec_hash: String,
    /// The serial of the state that it was made from: with another one it is stale.
    pub state_serial: Serial,
    /// Whether AWS was asked what is really there, or the state was believed.
    pub refreshed: bool,
    /// How many of each.
    pub summary: Summary,
    /// What would be done: each after what it needs, deletions last and in reverse.
    pub changes: Vec<Change>,
}

/// How many changes there are of each action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Resources to make.
    pub create: usize,
    /// Resources to change where they are.
    pub update: usize,
    /// Resources to make anew.
    pub replace: usize,
    /// Resources to delete.
    pub delete: usize,
    /// Resources that stay.
    pub unchanged: usize,
    /// Resources of others that are read.
    pub read: usize,
    /// Resources that stay in AWS and are forgotten here.
    pub forget: usize,
}

/// What would be done with one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The resource.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// What would be done.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// AWS's identifier, when it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    /// The properties that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<PropertyChange>,
    /// How it is replaced, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
    /// What must be there before it; for a deletion, what must outlive it.
    pub needs: BTreeSet<Address>,
    /// Whose it is.
    pub lifecycle: Lifecycle,
    /// The desired properties, references unresolved; none for a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<BTreeMap<String, Value>>,
}

/// What would be done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Make it.
    Create,
    /// Change it where it is.
    Update,
    /// Make it anew.
    Replace,
    /// Delete it.
    Delete,
    /// Nothing.
    Unchanged,
    /// Read it: it is somebody else's.
    Read,
    /// Leave it in AWS and forget it here.
    Forget,
}

/// A property that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropertyChange {
    /// Which one.
    pub path: PropertyPath,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Json>,
    /// What it will be; `{"$unknown": …}` is known after deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Json>,
}

/// How a resource is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// The properties that can't be changed on an existing one; empty when it is replaced for another reason.
    pub forced_by: Vec<PropertyPath>,
    /// Whether the old one goes before the new one comes.
    pub delete_first: bool,
}

/// Why a plan can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StalePlan {
    /// The state has moved on.
    #[error(
        "the plan is stale: it was made from the state with the serial {planned}, which is now {current}"
    )]
    Serial {
        /// What it was made from.
        planned: Serial,
        /// What it is.
        current: Serial,
    },
    /// It is another format's.
    #[error("the plan has the format {0}; this version of seaworthy reads {FORMAT}")]
    Format(u32),
    /// It is another scope's.
    #[error("the plan is for {planned}, not for {wanted}")]
    Scope {
        /// What it was made for.
        planned: String,
        /// What it was to be applied to.
        wanted: String,
    },
}

impl Plan {
    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.changes
            .iter()
            .all(|change| change.action == Action::Unchanged)
    }

    /// Whether it may be applied to a scope whose state has this serial.
    ///
    /// # Errors
    ///
    /// When it was made from another state, for another scope, or in another format.
    pub fn check(&self, scope: &Scope, serial: Serial) -> Result<(), StalePlan> {
        if self.format != FORMAT {
            return Err(StalePlan::Format(self.format));
        }
        if self.scope != *scope {
            let name = |scope: &Scope| format!("{} in {}", scope.name(), scope.region);
            return Err(StalePlan::Scope {
                planned: name(&self.scope),
                wanted: name(scope),
            });
        }
        if self.state_serial != serial {
            return Err(StalePlan::Serial {
                planned: self.state_serial,
                current: serial,
            });
        }
        Ok(())
    }

    /// The parameters of the account that the desired properties ask for.
    pub fn parameters(&self) -> BTreeSet<Parameter> {
        let mut parameters = BTreeSet::new();
        for value in self
            .changes
            .iter()
            .filter_map(|change| change.desired.as_ref())
            .flat_map(BTreeMap::values)
        {
            value.walk(&mut |value| {
                if let Value::Parameter(parameter) = value {
                    parameters.insert(*parameter);
                }
            });
        }
        parameters
    }
}

impl Summary {
    /// Counts the changes.
    pub fn of(changes: &[Change]) -> Self {
        let mut summary = Self::default();
        for change in changes {
            *match change.action {
                Action::Create => &mut summary.create,
                Action::Update => &mut summary.update,
                Action::Replace => &mut summary.replace,
                Action::Delete => &mut summary.delete,
                Action::Unchanged => &mut summary.unchanged,
                Action::Read => &mut summary.read,
                Action::Forget => &mut summary.forget,
            } += 1;
        }
        summary
    }
}
