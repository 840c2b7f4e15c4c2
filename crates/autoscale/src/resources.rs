//! Amounts of resources as a fixed row of whole numbers.

use std::fmt;
use std::ops::{Add, AddAssign, Index, IndexMut, Sub, SubAssign};

/// How many resources there may be: four that every node has and eight more that pods or limits name.
pub const RESOURCES: usize = 12;

/// Which resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(pub(crate) u8);

impl Resource {
    /// CPU, in thousandths of a core.
    pub const CPU: Self = Self(0);
    /// Memory, in bytes.
    pub const MEMORY: Self = Self(1);
    /// Ephemeral storage, in bytes.
    pub const EPHEMERAL_STORAGE: Self = Self(2);
    /// Pods, counted.
    pub const PODS: Self = Self(3);
}

/// Amounts by resource. CPU is in thousandths of a core; everything else in whole units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Resources(pub(crate) [i64; RESOURCES]);

impl Resources {
    /// Nothing.
    pub const ZERO: Self = Self([0; RESOURCES]);

    /// CPU (thousandths), memory (bytes), pods.
    #[must_use]
    pub fn new(cpu_milli: i64, memory_bytes: i64, pods: i64) -> Self {
        let mut all = Self::ZERO;
        all[Resource::CPU] = cpu_milli;
        all[Resource::MEMORY] = memory_bytes;
        all[Resource::PODS] = pods;
        all
    }

    /// Whether these fit into what there is. Nothing fits where an amount is negative (`pkg/utils/resources/resources.go` `Fits`).
    #[must_use]
    pub fn fit(&self, total: &Self) -> bool {
        self.0
            .iter()
            .zip(&total.0)
            .all(|(wanted, there)| *there >= 0 && wanted <= there)
    }

    /// The first resource of which there isn't enough.
    #[must_use]
    pub fn lacking(&self, total: &Self) -> Option<Resource> {
        (0..RESOURCES)
            .find(|index| total.0[*index] < 0 || self.0[*index] > total.0[*index])
            .and_then(|index| u8::try_from(index).ok())
            .map(Resource)
    }

    /// The greater amount of each.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.zip(other, i64::max)
    }

    /// The lesser amount of each.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        self.zip(other, i64::min)
    }

    /// Each amount, not below zero.
    #[must_use]
    pub fn clamped(&self) -> Self {
        self.max(&Self::ZERO)
    }

    fn zip(&self, other: &Self, with: impl Fn(i64, i64) -> i64) -> Self {
        let mut result = Self::ZERO;
        for (index, slot) in result.0.iter_mut().enumerate() {
            *slot = with(self.0[index], other.0[index]);
        }
        result
    }

    /// Every resource and its amount.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, i64)> + '_ {
        (0_u8..).map(Resource).zip(self.0.iter().copied())
    }
}

impl Index<Resource> for Resources {
    type Output = i64;

    fn index(&self, resource: Resource) -> &i64 {
        &self.0[resource.0 as usize % RESOURCES]
    }
}

impl IndexMut<Resource> for Resources {
    fn index_mut(&mut self, resource: Resource) -> &mut i64 {
        &mut self.0[resource.0 as usize % RESOURCES]
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(&other, i64::saturating_add)
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Resources {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(&other, i64::saturating_sub)
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

/// The names of the resources, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceNames(Vec<String>);

impl Default for ResourceNames {
    fn default() -> Self {
        Self(
            ["cpu", "memory", "ephemeral-storage", "pods"]
                .map(str::to_owned)
                .into(),
        )
    }
}

impl ResourceNames {
    /// The resource of a name; a new one gets the next free slot. `None` when all are taken.
    pub fn intern(&mut self, name: &str) -> Option<Resource> {
        if let Some(resource) = self.find(name) {
            return Some(resource);
        }
        if self.0.len() == RESOURCES {
            return None;
        }
        self.0.push(name.to_owned());
        u8::try_from(self.0.len() - 1).ok().map(Resource)
    }

    /// The resource of a name, if it is known.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Resource> {
        let index = self.0.iter().position(|other| other == name)?;
        u8::try_from(index).ok().map(Resource)
    }

    /// How many names there are.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "four of them are always there")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A resource's name.
    #[must_use]
    pub fn name(&self, resource: Resource) -> &str {
        self.0.get(resource.0 as usize).map_or("", String::as_str)
    }

    /// Amounts as Kubernetes writes them: `cpu=100m, memory=1Gi, pods=1`.
    #[must_use]
    pub fn display(&self, amounts: &Resources) -> String {
        use fmt::Write;
        let mut text = String::new();
        for (resource, amount) in amounts.iter().filter(|(_, amount)| *amount != 0) {
            if !text.is_empty() {
                text.push_str(", ");
            }
            let _ = write!(text, "{}={}", self.name(resource), Amount(resource, amount));
        }
        text
    }
}

/// An amount with its unit.
#[derive(Debug, Clone, Copy)]
pub struct Amount(pub Resource, pub i64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(resource, amount) = *self;
        match resource {
            Resource::CPU if amount % 1000 == 0 => write!(f, "{}", amount / 1000),
            Resource::CPU => write!(f, "{amount}m"),
            Resource::MEMORY | Resource::EPHEMERAL_STORAGE => {
                for (shift, suffix) in [(30, "Gi"), (20, "Mi"), (10, "Ki")] {
                    if amount != 0 && amount % (1_i64 << shift) == 0 {
                        return write!(f, "{}{suffix}", amount >> shift);
                    }
                }
                write!(f, "{amount}")
            }
            _ => write!(f, "{amount}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pkg/utils/resources/resources.go` `Fits`: a negative total fits nothing.
    #[test]
    fn nothing_fits_into_a_negative_total() {
        let total = Resources::new(-1, 10, 10);
        assert!(!Resources::new(0, 1, 1).fit(&total));
        assert!(Resources::new(5, 1, 1).fit(&Resources::new(5, 1, 1)));
        assert_eq!(
            Resources::new(6, 1, 1).lacking(&Resources::new(5, 1, 1)),
            Some(Resource::CPU)
        );
    }

    #[test]
    fn amounts_read_as_kubernetes_writes_them() {
        let names = ResourceNames::default();
        let amounts = Resources::new(1500, 3 << 29, 1);
        assert_eq!(names.display(&amounts), "cpu=1500m, memory=1536Mi, pods=1");
    }
}
