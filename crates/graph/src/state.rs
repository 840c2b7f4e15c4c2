//! What is known to exist: the fold of everything that was done in a scope.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use catalog::ids::{Address, Identifier, Serial};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::resource::Lifecycle;
use crate::value::{Attribute, Parameter, Reference};

/// What is known to exist in one scope.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The journal's record that it was folded up to.
    pub serial: Serial,
    /// The hash of the spec that was last deployed.
    pub spec_hash: Option<String>,
    /// What is known of the account: resolved once, then kept.
    pub parameters: BTreeMap<Parameter, String>,
    /// The resources.
    pub resources: BTreeMap<Address, ResourceState>,
    /// Whether the state was rolled back, so that resources may exist that it does not know: the next deploy looks for
    /// each before it makes one.
    pub rolled_back: bool,
}

/// A resource that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceState {
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// AWS's identifier.
    pub identifier: Identifier,
    /// The properties that were last applied: references resolved, secrets left as references.
    pub properties: Json,
    /// Its model as it was last read. No write-only property is in it.
    pub attributes: Json,
    /// What it needs: what must outlive it.
    pub needs: BTreeSet<Address>,
    /// Whose it is.
    pub lifecycle: Lifecycle,
    /// A failed create left it behind: it is replaced, never used.
    #[serde(default)]
    pub tainted: bool,
    /// Predecessors that a replacement has not deleted yet.
    #[serde(default)]
    pub deposed: Vec<Identifier>,
}

impl State {
    /// An attribute of a resource that exists; none when the resource or the attribute is not known.
    pub fn attribute(&self, reference: &Reference) -> Option<Json> {
        let resource = self
            .resources
            .get(&reference.to)
            .filter(|resource| !resource.tainted)?;
        match &reference.attribute {
            Attribute::Identifier => Some(Json::from(resource.identifier.as_str())),
            Attribute::Property(path) => path
                .get(&resource.attributes)
                .or_else(|| path.get(&resource.properties))
                .cloned(),
        }
    }
}
