//! The resources that the server serves at a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{GroupResource, GroupVersionKind, Resource};

use crate::store::Revision;

/// Group, version and plural.
type Path = (Arc<str>, Arc<str>, Arc<str>);

/// What is served. A snapshot: another one takes its place when a CustomResourceDefinition comes or goes.
#[derive(Debug, Default)]
pub struct Catalogue {
    resources: Vec<Arc<Resource>>,
    by_path: BTreeMap<Path, usize>,
    by_kind: BTreeMap<GroupVersionKind, usize>,
    /// In which version objects are stored.
    stored: BTreeMap<GroupResource, usize>,
    serial: u64,
    /// When a definition was last written.
    as_of: Revision,
}

/// Under which resource the objects of a resource are stored.
pub(super) fn place(resource: &Resource) -> GroupResource {
    if &*resource.kind.group == "events.k8s.io" {
        return GroupResource::new("", "events");
    }
    resource.group_resource()
}

impl Catalogue {
    /// Of built-in resources and others, in the order in which discovery shows them.
    /// `storage` are the versions that custom resources are stored in.
    pub(super) fn new(
        resources: Vec<Arc<Resource>>,
        storage: &[(GroupResource, String)],
        serial: u64,
        as_of: Revision,
    ) -> Self {
        let mut by_path = BTreeMap::new();
        let mut by_kind = BTreeMap::new();
        let mut stored = BTreeMap::new();
        for (index, resource) in resources.iter().enumerate() {
            let kind = &resource.kind;
            by_path.insert(
                (
                    kind.group.clone(),
                    kind.version.clone(),
                    resource.plural.clone(),
                ),
                index,
            );
            by_kind.entry(kind.clone()).or_insert(index);
            // The preferred version comes first.
            let place = place(resource);
            if place == resource.group_resource() {
                stored.entry(place).or_insert(index);
            }
        }
        for (place, version) in storage {
            let path = (
                place.group.clone(),
                version.as_str().into(),
                place.resource.clone(),
            );
            if let Some(index) = by_path.get(&path) {
                stored.insert(place.clone(), *index);
            }
        }
        Self {
            resources,
            by_path,
            by_kind,
            stored,
            serial,
            as_of,
        }
    }

    pub(super) fn as_of(&self) -> Revision {
        self.as_of
    }

    /// A resource in the version that its objects are stored in.
    pub(super) fn target(&self, resource: &Resource) -> Option<Arc<Resource>> {
        self.stored_in(&place(resource))
    }

    pub(super) fn stored_in(&self, place: &GroupResource) -> Option<Arc<Resource>> {
        let index = self.stored.get(place)?;
        self.resources.get(*index).cloned()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.iter()
    }

    /// Counts up with every change of what is served: what is derived from a catalogue can be kept by it.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// By the parts of its path.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let path = (group.into(), version.into(), plural.into());
        self.by_path.get(&path).map(|index| &self.resources[*index])
    }

    /// By what its objects say that they are.
    #[must_use]
    pub fn of_kind(&self, kind: &GroupVersionKind) -> Option<&Arc<Resource>> {
        self.by_kind.get(kind).map(|index| &self.resources[*index])
    }

    /// By the `apiVersion` and `kind` of an object.
    #[must_use]
    pub fn of_type(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.of_kind(&GroupVersionKind::new(group, version, kind))
    }

    /// The versions of a resource that are served, the preferred first.
    pub fn versions<'a>(
        &'a self,
        resource: &'a GroupResource,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.resources
            .iter()
            .filter(move |one| one.kind.group == resource.group && one.plural == resource.resource)
    }

    /// The groups that are served, each with its versions, the preferred first; the core group (empty) first of all.
    #[must_use]
    pub fn groups(&self) -> Vec<(Arc<str>, Vec<Arc<str>>)> {
        let mut groups: Vec<(Arc<str>, Vec<Arc<str>>)> = Vec::new();
        for resource in &self.resources {
            let kind = &resource.kind;
            let place = groups.iter().position(|(group, _)| *group == kind.group);
            let place = place.unwrap_or_else(|| {
                groups.push((kind.group.clone(), Vec::new()));
                groups.len() - 1
            });
            let versions = &mut groups[place].1;
            if !versions.contains(&kind.version) {
                versions.push(kind.version.clone());
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by(|a, b| compare_versions(b, a));
        }
        groups.sort_by_key(|(group, _)| !group.is_empty());
        groups
    }
}

/// Kubernetes' order of versions: `v2` after `v1` after `v1beta2` after `v1beta1` after `v1alpha1` after anything else.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Greater,
        (None, Some(_)) => std::cmp::Ordering::Less,
        // Of those that follow no rule, the first of the alphabet is preferred.
        (None, None) => b.cmp(a),
    }
}

fn rank(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (major, rest) = rest.split_at(digits);
    let major: u32 = major.parse().ok()?;
    let (stage, minor) = if rest.is_empty() {
        (2, 0)
    } else if let Some(minor) = rest.strip_prefix("beta") {
        (1, minor.parse().ok()?)
    } else if let Some(minor) = rest.strip_prefix("alpha") {
        (0, minor.parse().ok()?)
    } else {
        return None;
    };
    Some((stage, major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = vec![
            "v1", "v1alpha1", "v2beta1", "foo", "v10", "v2", "v1beta2", "bar",
        ];
        versions.sort_by(|a, b| compare_versions(b, a));
        assert_eq!(
            versions,
            [
                "v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "bar", "foo"
            ]
        );
    }
}
