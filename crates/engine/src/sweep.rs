//! The proof that nothing is left: everything that was deleted is asked for once more, and so is everything that
//! carries the owner tags.

use std::collections::BTreeSet;

use catalog::TypeName;
use catalog::ids::{Address, Identifier};
use graph::{Scope, State};
use serde::Serialize;

use crate::pace::Pace;
use crate::provider::{Owned, Provider, ProviderError};
use crate::retry::patiently;

/// What is still there after a destroy.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Resources that were asked for.
    pub checked: usize,
    /// Resources that AWS itself deletes later (a KMS key after its waiting period), with its own word for it.
    pub pending_deletion: Vec<Leftover>,
    /// Resources that were deleted and can still be read.
    pub leftovers: Vec<Leftover>,
    /// Resources with our owner tags that nobody knows of, or that are retained.
    pub owned: Vec<Owned>,
}

/// A resource that is still there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// Its address.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// AWS's identifier.
    pub identifier: Identifier,
}

/// Looks for what is left of `before` (the state before the destroy) that is not in `after`.
///
/// # Errors
///
/// When AWS can't be asked.
pub async fn sweep(
    provider: &dyn Provider,
    scope: &Scope,
    before: &State,
    after: &State,
    pace: Pace,
) -> Result<Sweep, ProviderError> {
    let mut sweep = Sweep::default();
    let mut pending_arns = BTreeSet::new();
    for (address, resource) in &before.resources {
        let ours = matches!(resource.lifecycle, graph::Lifecycle::Managed);
        if !ours || after.resources.contains_key(address) {
            continue;
        }
        sweep.checked += 1;
        let leftover = Leftover {
            address: address.clone(),
            type_name: resource.type_name.clone(),
            identifier: resource.identifier.clone(),
        };
        // A KMS key can't be deleted at once: AWS keeps it for a waiting period, disabled and free of charge. Cloud
        // Control reads it no more; the tag index may still list it.
        if resource.type_name.as_str() == "AWS::KMS::Key" {
            let arn = resource.attributes.get("Arn").and_then(|arn| arn.as_str());
            pending_arns.extend(arn.map(str::to_owned));
            sweep.pending_deletion.push(leftover);
            continue;
        }
        let read = || provider.read(&resource.type_name, &resource.identifier);
        if patiently(pace, read).await?.is_some() {
            sweep.leftovers.push(leftover);
        }
    }
    let owned = patiently(pace, || provider.owned(scope)).await?;
    sweep.owned = owned
        .into_iter()
        .filter(|owned| !pending_arns.contains(&owned.arn))
        .collect();
    Ok(sweep)
}
