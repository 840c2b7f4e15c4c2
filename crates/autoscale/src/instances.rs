//! Instance types as input data: what they have, where they are offered and what they cost.
//!
//! Models `pkg/cloudprovider/types.go` at 2266468. A [`TypeSet`] is what one node class may launch; decisions on it are bit
//! operations over its types.

use std::fmt;

use crate::bits::Bits;
use crate::names::{Key, Names, Value};
use crate::requirement::{Requirement, Requirements, Undefined};
use crate::resources::{RESOURCES, Resource, Resources};

/// Money an hour in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MicroUsd(pub i64);

impl MicroUsd {
    /// More than anything costs: what has no offering.
    pub const MAX: Self = Self(i64::MAX);
}

impl fmt::Display for MicroUsd {
    /// Dollars, with at least two and at most six decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let decimals = format!("{:06}", micros % 1_000_000);
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{sign}${}.{}", micros / 1_000_000, &decimals[..kept])
    }
}

/// How capacity is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityType {
    /// A reservation that is paid for already.
    Reserved,
    /// Spare capacity that AWS may take back.
    Spot,
    /// The list price.
    OnDemand,
}

impl CapacityType {
    /// In the order in which a launch prefers them (`cloudprovider/types.go` `WorstLaunchPrice`).
    pub const PREFERRED: [Self; 3] = [Self::Reserved, Self::Spot, Self::OnDemand];

    /// The label's value.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Reserved => Value::RESERVED,
            Self::Spot => Value::SPOT,
            Self::OnDemand => Value::ON_DEMAND,
        }
    }

    /// The capacity type of a label's value.
    #[must_use]
    pub fn of(value: Value) -> Option<Self> {
        Self::PREFERRED
            .into_iter()
            .find(|kind| kind.value() == value)
    }
}

impl fmt::Display for CapacityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "reserved",
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        })
    }
}

/// Where and how a type can be had, and for how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offering {
    /// The zone.
    pub zone: Value,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// What it costs an hour.
    pub price: MicroUsd,
    /// Whether AWS has it now; `false` after an insufficient capacity error.
    pub available: bool,
}

impl Offering {
    /// Whether a claim of these requirements may be launched with it (`types.go` `Offerings.Compatible`).
    #[must_use]
    pub fn is_compatible(&self, requirements: &Requirements, names: &Names) -> bool {
        let allows = |key, value| {
            requirements
                .get(key)
                .is_none_or(|requirement| requirement.has(names, value))
        };
        allows(Key::ZONE, self.zone) && allows(Key::CAPACITY_TYPE, self.capacity_type.value())
    }
}

/// An instance type of a node class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// `m5.large`.
    pub name: Value,
    /// Its labels: one value each, several where the launch decides (zone, capacity type), none where it has no such thing.
    pub requirements: Requirements,
    /// All that it has.
    pub capacity: Resources,
    /// What the system keeps of it.
    pub overhead: Resources,
    /// Where and how it can be had.
    pub offerings: Vec<Offering>,
    /// Metal, GPUs and accelerators: not launched where anything else will do.
    pub exotic: bool,
}

impl InstanceType {
    /// What pods get of it.
    #[must_use]
    pub fn allocatable(&self) -> Resources {
        self.capacity - self.overhead
    }

    /// The available offerings that these requirements allow.
    pub fn launchable<'a>(
        &'a self,
        requirements: &'a Requirements,
        names: &'a Names,
    ) -> impl Iterator<Item = &'a Offering> {
        self.offerings
            .iter()
            .filter(|offering| offering.available && offering.is_compatible(requirements, names))
    }

    /// The cheapest of them; [`MicroUsd::MAX`] if there is none.
    #[must_use]
    pub fn cheapest(&self, requirements: &Requirements, names: &Names) -> MicroUsd {
        self.launchable(requirements, names)
            .map(|offering| offering.price)
            .min()
            .unwrap_or(MicroUsd::MAX)
    }

    /// The dearest offering of the capacity type that would be launched (`types.go` `WorstLaunchPrice`).
    #[must_use]
    pub fn worst_launch_price(&self, requirements: &Requirements, names: &Names) -> MicroUsd {
        CapacityType::PREFERRED
            .into_iter()
            .find_map(|kind| {
                self.launchable(requirements, names)
                    .filter(|offering| offering.capacity_type == kind)
                    .map(|offering| offering.price)
                    .max()
            })
            .unwrap_or(MicroUsd::MAX)
    }

    /// What it costs in a zone (`types.go` `OfferingPrice`).
    #[must_use]
    pub fn price(&self, zone: Value, capacity_type: CapacityType) -> Option<MicroUsd> {
        self.offerings
            .iter()
            .find(|offering| offering.zone == zone && offering.capacity_type == capacity_type)
            .map(|offering| offering.price)
    }
}

/// Which type set: one for each node class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeSetId(pub u32);

/// The instance types that a node class may launch, in the order they were given.
#[derive(Debug, Clone, Default)]
pub struct TypeSet {
    types: Vec<InstanceType>,
    /// For each resource, the distinct allocatable amounts, ascending, and which types have at least that.
    allocatable: Vec<Ladder>,
    /// The same of the capacity, for limits.
    capacity: Vec<Ladder>,
}

#[derive(Debug, Clone, Default)]
struct Ladder {
    steps: Vec<i64>,
    /// `steps.len()` rows of `words`: the types with at least the step.
    rows: Vec<u64>,
}

impl Ladder {
    fn new(amounts: &[i64]) -> Self {
        let mut steps = amounts.to_vec();
        steps.sort_unstable();
        steps.dedup();
        let words = amounts.len().div_ceil(64);
        let mut rows = vec![0; steps.len() * words];
        for (row, step) in steps.iter().enumerate() {
            for (index, amount) in amounts.iter().enumerate() {
                if amount >= step {
                    rows[row * words + index / 64] |= 1 << (index % 64);
                }
            }
        }
        Self { steps, rows }
    }

    /// The types with at least `amount`; `None` if that is all of them, an empty row if none.
    fn at_least(&self, amount: i64, words: usize) -> Option<&[u64]> {
        match self.steps.partition_point(|step| *step < amount) {
            0 => None,
            row if row == self.steps.len() => Some(&[]),
            row => Some(&self.rows[row * words..(row + 1) * words]),
        }
    }
}

impl TypeSet {
    /// A set of types.
    #[must_use]
    pub fn new(types: Vec<InstanceType>) -> Self {
        let ladders = |of: &dyn Fn(&InstanceType) -> Resources| {
            let rows: Vec<Resources> = types.iter().map(of).collect();
            (0..RESOURCES)
                .map(|slot| Ladder::new(&rows.iter().map(|row| row.0[slot]).collect::<Vec<_>>()))
                .collect()
        };
        Self {
            allocatable: ladders(&InstanceType::allocatable),
            capacity: ladders(&|kind| kind.capacity),
            types,
        }
    }

    /// The types.
    #[must_use]
    pub fn types(&self) -> &[InstanceType] {
        &self.types
    }

    /// A type by its index.
    #[must_use]
    pub fn get(&self, index: usize) -> &InstanceType {
        &self.types[index]
    }

    /// How many types.
    #[must_use]
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The index of a type by its name.
    #[must_use]
    pub fn find(&self, name: Value) -> Option<usize> {
        self.types.iter().position(|kind| kind.name == name)
    }

    /// Sets whether a type can be had somewhere: insufficient capacity and its end.
    pub fn set_available(
        &mut self,
        name: Value,
        zone: Value,
        capacity_type: CapacityType,
        available: bool,
    ) {
        for kind in self.types.iter_mut().filter(|kind| kind.name == name) {
            for offering in &mut kind.offerings {
                if offering.zone == zone && offering.capacity_type == capacity_type {
                    offering.available = available;
                }
            }
        }
    }

    /// The types whose labels go with requirements (`nodeclaim.go:607` `compatible`).
    #[must_use]
    pub fn compatible(&self, requirements: &Requirements, names: &Names) -> Bits {
        self.select(|kind| kind.requirements.intersects(requirements, names).is_ok())
    }

    /// The types with an available offering that requirements allow (`nodeclaim.go:611` `fits`).
    #[must_use]
    pub fn offered(&self, requirements: &Requirements, names: &Names) -> Bits {
        self.select(|kind| kind.launchable(requirements, names).next().is_some())
    }

    fn select(&self, keep: impl Fn(&InstanceType) -> bool) -> Bits {
        let mut bits = Bits::empty(self.len());
        for (index, kind) in self.types.iter().enumerate() {
            if keep(kind) {
                bits.insert(index);
            }
        }
        bits
    }

    /// Keeps the types into which requests fit.
    pub fn retain_fitting(&self, bits: &mut Bits, requests: &Resources) {
        let words = self.len().div_ceil(64);
        for (ladder, amount) in self.allocatable.iter().zip(requests.0) {
            // A negative allocatable fits nothing, not even no request.
            if let Some(row) = ladder.at_least(amount.max(0), words) {
                bits.intersect_words(row);
            }
        }
    }

    /// Keeps the types whose capacity is within what is left of a pool's limits (`scheduler.go:1069`).
    pub fn retain_within(&self, bits: &mut Bits, remaining: &Limits) {
        let words = self.len().div_ceil(64);
        for (resource, left) in remaining.iter() {
            let Some(above) = left.checked_add(1) else {
                continue;
            };
            match self.capacity[resource.0 as usize].at_least(above, words) {
                None => bits.clear(),
                Some(row) => {
                    for (word, over) in bits.words_mut().iter_mut().zip(row) {
                        *word &= !over;
                    }
                }
            }
        }
    }

    /// The greatest capacity of each resource among types (`scheduler.go:1049` `subtractMax`).
    #[must_use]
    pub fn max_capacity(&self, bits: &Bits) -> Resources {
        bits.iter()
            .map(|index| self.types[index].capacity)
            .reduce(|a, b| a.max(&b))
            .unwrap_or_default()
    }

    /// The types by their cheapest launchable offering, ties in the order they were given (`types.go` `OrderByPrice`).
    #[must_use]
    pub fn by_price(&self, bits: &Bits, requirements: &Requirements, names: &Names) -> Vec<usize> {
        let mut order: Vec<(MicroUsd, usize)> = bits
            .iter()
            .map(|index| (self.types[index].cheapest(requirements, names), index))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, index)| index).collect()
    }

    /// Checks the labels that must stay flexible (`types.go` `SatisfiesMinValues`).
    ///
    /// # Errors
    ///
    /// The labels of which there are too few values, with how many there are.
    pub fn satisfies_min_values(
        &self,
        types: impl Iterator<Item = usize> + Clone,
        requirements: &Requirements,
    ) -> Result<(), Vec<(Key, u32)>> {
        let mut lacking = Vec::new();
        for requirement in requirements.iter() {
            let Some(wanted) = requirement.min_values else {
                continue;
            };
            let mut values: Vec<Value> = types
                .clone()
                .filter_map(|index| self.types[index].requirements.get(requirement.key))
                .flat_map(|of_type| of_type.values.iter().copied())
                .collect();
            values.sort_unstable();
            values.dedup();
            let there = u32::try_from(values.len()).unwrap_or(u32::MAX);
            if there < wanted {
                lacking.push((requirement.key, there));
            }
        }
        if lacking.is_empty() {
            Ok(())
        } else {
            Err(lacking)
        }
    }

    /// The values a label may take with these types and these requirements.
    pub fn domains<'a>(
        &'a self,
        key: Key,
        requirements: &'a Requirements,
        names: &'a Names,
    ) -> impl Iterator<Item = Value> + 'a {
        let required = requirements.get(key);
        self.types.iter().flat_map(move |kind| {
            let own = kind.requirements.get(key);
            let merged: Option<Requirement> = match (required, own) {
                (Some(required), Some(own)) => Some(own.intersection(required, names)),
                (a, b) => a.or(b).cloned(),
            };
            merged.map(|merged| merged.values).unwrap_or_default()
        })
    }
}

/// What is left of a pool's limits; a resource without a limit is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    amounts: Vec<(Resource, i64)>,
    /// How many nodes, which is counted apart (`scheduler.go:711`).
    pub nodes: Option<i64>,
}

impl Limits {
    /// Limits by resource.
    #[must_use]
    pub fn new(amounts: Vec<(Resource, i64)>, nodes: Option<i64>) -> Self {
        Self { amounts, nodes }
    }

    /// Whether there is no limit at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty() && self.nodes.is_none()
    }

    /// The limited resources and what is left of them; may be negative.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, i64)> + '_ {
        self.amounts.iter().copied()
    }

    /// Takes what a node has, and the node itself.
    pub fn subtract_node(&mut self, capacity: &Resources) {
        self.subtract(capacity);
        if let Some(nodes) = &mut self.nodes {
            *nodes -= 1;
        }
    }

    /// Takes capacity of nodes that are to be: an instance type doesn't count as a node here (`scheduler.go:1049`).
    pub fn subtract(&mut self, capacity: &Resources) {
        for (resource, left) in &mut self.amounts {
            *left = left.saturating_sub(capacity[*resource]);
        }
    }

    /// The first resource of which more is used than allowed (`nodepool.go` `Limits.ExceededBy`).
    #[must_use]
    pub fn exceeded_by(&self, used: &Resources) -> Option<Resource> {
        self.iter()
            .find(|(resource, limit)| used[*resource] > *limit)
            .map(|(resource, _)| resource)
    }
}

/// Whether a type is one that requirements allow at all, labels and offerings together (AWS `filter.go` `CompatibleAvailableFilter`).
#[must_use]
pub fn launchable_at_all(
    kind: &InstanceType,
    requirements: &Requirements,
    requests: &Resources,
    names: &Names,
) -> bool {
    requirements
        .compatible(&kind.requirements, names, Undefined::WellKnown)
        .is_ok()
        && requests.fit(&kind.allocatable())
        && kind.launchable(requirements, names).next().is_some()
}
