//! The spec's `lifecycle`: single resources that are somebody else's, or that outlive the environment.

use std::collections::BTreeMap;

use catalog::ids::{EnvironmentName, Identifier};
use graph::Lifecycle;
use spec::model::LifecycleRule;

use crate::draft::Draft;
use crate::{Error, SHARED};

/// Below this, two addresses are not taken for a typing error of each other (Jaro-Winkler, 1 is equal).
const ALIKE: f64 = 0.8;

/// Applies the rules by address. A rule of the shared scope means nothing to an environment and the other way round;
/// any other address that is not there is refused.
pub(crate) fn apply(
    rules: &BTreeMap<String, LifecycleRule>,
    environment: &EnvironmentName,
    drafts: &mut [Draft],
    errors: &mut Vec<Error>,
) {
    let shared = environment.as_str() == SHARED;
    let (of_scope, _): (Vec<_>, Vec<_>) = rules.iter().partition(|(address, _)| {
        address.split('/').next().is_some_and(|part| part == SHARED) == shared
    });
    for (address, rule) in of_scope {
        let Some(draft) = drafts
            .iter_mut()
            .find(|draft| draft.address.as_str() == address)
        else {
            errors.push(unknown(address, drafts));
            continue;
        };
        draft.lifecycle = match rule {
            LifecycleRule::Managed => Lifecycle::Managed,
            LifecycleRule::Retain => Lifecycle::Retain,
            LifecycleRule::Existing(identifier) => match Identifier::new(identifier) {
                Ok(identifier) => Lifecycle::Existing(identifier),
                Err(why) => {
                    errors.push(Error::Identifier {
                        address: draft.address.clone(),
                        why,
                    });
                    continue;
                }
            },
        };
    }
}

fn unknown(address: &str, drafts: &[Draft]) -> Error {
    let nearest = drafts
        .iter()
        .map(|draft| {
            (
                strsim::jaro_winkler(address, draft.address.as_str()),
                &draft.address,
            )
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    Error::UnknownAddress {
        address: address.to_owned(),
        nearest: nearest.map(|(_, address)| address.clone()),
    }
}
