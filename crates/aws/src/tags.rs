//! Owner tags: by them what is ours is found again, and told from what is somebody else's.

use std::collections::BTreeMap;

use catalog::ids::Address;
use graph::Scope;
pub use graph::owner_tags::{ADDRESS, ENVIRONMENT, PLATFORM};

/// Whether tags say that a resource belongs to the scope.
pub(crate) fn belongs_to(tags: &BTreeMap<String, String>, scope: &Scope) -> bool {
    tags.get(PLATFORM).map(String::as_str) == Some(scope.platform.as_str())
        && tags.get(ENVIRONMENT).map(String::as_str) == Some(scope.environment.as_str())
}

/// Whether tags say that it is the resource at the address.
pub(crate) fn is_at(tags: &BTreeMap<String, String>, scope: &Scope, address: &Address) -> bool {
    belongs_to(tags, scope) && tags.get(ADDRESS).map(String::as_str) == Some(address.as_str())
}

/// The owner tags of the resource at an address.
pub fn owner(scope: &Scope, address: &Address) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PLATFORM.to_owned(), scope.platform.to_string()),
        (ENVIRONMENT.to_owned(), scope.environment.to_string()),
        (ADDRESS.to_owned(), address.to_string()),
    ])
}
