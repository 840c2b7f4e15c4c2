//! Why a pod fits nowhere, in Karpenter's own terms.

use super::on_claims::conflicts;
use super::planner::Planner;
use crate::names::Key;
use crate::requirement::{Conflict, Requirements, Undefined};
use crate::resources::Resources;
use crate::shape::{Effect, Taint, untolerated};
use crate::topology::GroupKind;
use crate::world::{PoolId, VolumeFault, World};

/// Why a pod fits nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodError {
    /// There is no pool, or none whose requirements leave an instance type.
    NoTemplates {
        /// Whether there is any pool at all.
        pools: bool,
    },
    /// It asks for dynamic resources.
    ResourceClaims,
    /// One of its volumes stands in the way.
    Volume(VolumeFault),
    /// It fits on no node that is there, and no pool can launch one.
    Templates(Vec<(PoolId, TemplateError)>),
}

/// Why a pool can't launch a node for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// The pool's `nodes` limit is reached.
    NodeLimit,
    /// Every type would exceed the pool's limits.
    Limits,
    /// The pod doesn't tolerate a taint of the pool.
    Taint(Taint),
    /// The requirements of pool and pod don't go together.
    Requirements {
        /// Which label.
        conflict: Conflict,
        /// The pod's requirements.
        pod: Requirements,
        /// The pool's.
        pool: Requirements,
        /// Whether they are those of a volume.
        volume: bool,
    },
    /// No domain is left.
    Topology {
        /// Of which kind.
        kind: GroupKind,
        /// Of which label.
        key: Key,
        /// Counts by domain.
        counts: Vec<(String, u32)>,
    },
    /// Types are left, but of too few values (with how many there are).
    MinValues(Vec<(Key, u32)>),
    /// No type suits.
    InstanceTypes(Box<InstanceTypes>),
}

/// Which of three criteria some type met, alone and in pairs (`nodeclaim.go:430` `InstanceTypeFilterError`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceTypes {
    /// Some type has the labels.
    pub requirements_met: bool,
    /// Some type has the room.
    pub fits: bool,
    /// Some type has an offering.
    pub has_offering: bool,
    /// Some type has labels and room, but no offering.
    pub requirements_and_fits: bool,
    /// Some type has labels and an offering, but no room.
    pub requirements_and_offering: bool,
    /// Some type has room and an offering, but not the labels.
    pub fits_and_offering: bool,
    /// What was required.
    pub requirements: Requirements,
    /// What the pod requests.
    pub requests: Resources,
    /// The least and the most that daemons add.
    pub daemons: Option<(Resources, Resources)>,
}

impl Planner<'_> {
    /// Why the last step of a pod fits nowhere now.
    pub(super) fn explain(&mut self, variant: u32) -> PodError {
        if self.variants[variant as usize].shape.resource_claims {
            return PodError::ResourceClaims;
        }
        if let Some(fault) = self.volume_fault(variant) {
            return PodError::Volume(fault);
        }
        if self.templates.is_empty() {
            let pools = !self.world.pools.is_empty();
            return PodError::NoTemplates { pools };
        }
        let errors = (0..self.templates.len())
            .map(|index| {
                (
                    self.templates[index].pool,
                    template_error(self, variant, index),
                )
            })
            .collect();
        PodError::Templates(errors)
    }
}

fn template_error(planner: &mut Planner<'_>, number: u32, index: usize) -> TemplateError {
    let world = planner.world;
    let names = &world.names;
    let template = &planner.templates[index];
    let types = &world.type_sets[template.type_set.0 as usize];
    let limits = &planner.limits[template.pool.0 as usize];
    if limits.nodes == Some(0) {
        return TemplateError::NodeLimit;
    }
    let mut allowed = template.types.clone();
    types.retain_within(&mut allowed, limits);
    if allowed.is_empty() {
        return TemplateError::Limits;
    }
    let variant = &planner.variants[number as usize];
    if let Some(taint) = untolerated(&template.taints, &variant.wishes.tolerations) {
        return TemplateError::Taint(*taint);
    }
    let own = planner.states.get(template.state).requirements.clone();
    let refuse =
        |conflict, pod: &Requirements, pool: &Requirements, volume| TemplateError::Requirements {
            conflict,
            pod: pod.clone(),
            pool: pool.clone(),
            volume,
        };
    if let Err(conflict) = own.compatible(&variant.requirements, names, Undefined::WellKnown) {
        return refuse(conflict, &variant.requirements, &own, false);
    }
    let mut joined = own;
    joined.add_all(names, &variant.requirements);
    if let Some(volume) = variant.volumes.last() {
        if let Err(conflict) = joined.compatible(volume, names, Undefined::WellKnown) {
            return refuse(conflict, volume, &joined, true);
        }
        joined.add_all(names, volume);
    }
    if variant
        .requirements
        .get(Key::HOSTNAME)
        .is_some_and(|host| !host.complement)
    {
        return refuse(
            Conflict::Disjoint(Key::HOSTNAME),
            &variant.requirements,
            &joined,
            false,
        );
    }
    let daemons = &template.daemons;
    let (requests, ports) = (variant.shape.requests, variant.shape.ports.clone());
    let bounds = daemons
        .iter()
        .map(|group| (group.overhead, group.overhead))
        .reduce(|a, b| (a.0.min(&b.0), a.1.max(&b.1)))
        .filter(|(_, most)| *most != Resources::ZERO);
    joined.remove(Key::HOSTNAME);
    let template_number = u32::try_from(index).unwrap_or(u32::MAX);
    let state = planner.states.intern(template_number, joined, types, names);
    let state = match planner.with_topology(number, state, types) {
        Ok(state) => state,
        Err(id) => {
            let group = planner.tracker.group(id);
            return TemplateError::Topology {
                kind: group.definition.kind,
                key: group.definition.key,
                counts: group
                    .domains
                    .iter()
                    .map(|domain| (names.value_text(domain.value).into_owned(), domain.count))
                    .collect(),
            };
        }
    };
    let requirements = planner.states.get(state).requirements.clone();
    let mut report = InstanceTypes {
        requirements: requirements.clone(),
        requests,
        daemons: bounds,
        ..InstanceTypes::default()
    };
    let mut left = Vec::new();
    for group in &planner.templates[index].daemons {
        if conflicts(&group.ports, &ports) {
            continue;
        }
        let total = requests + group.overhead;
        for kind in group.types.iter().filter(|kind| allowed.has(*kind)) {
            let entry = types.get(kind);
            let compatible = entry.requirements.intersects(&requirements, names).is_ok();
            let fits = total.fit(&entry.allocatable());
            let offered = entry.launchable(&requirements, names).next().is_some();
            report.requirements_met |= compatible;
            report.fits |= fits;
            report.has_offering |= offered;
            report.requirements_and_fits |= compatible && fits && !offered;
            report.requirements_and_offering |= compatible && offered && !fits;
            report.fits_and_offering |= fits && offered && !compatible;
            if compatible && fits && offered {
                left.push(kind);
            }
        }
    }
    match types.satisfies_min_values(left.iter().copied(), &requirements) {
        Err(lacking) if !left.is_empty() => TemplateError::MinValues(lacking),
        // All would suit but for the host: the anti-affinity or spread of a host that is not yet there is never in the way.
        _ => TemplateError::InstanceTypes(Box::new(report)),
    }
}

impl PodError {
    /// The error as Karpenter words it.
    #[must_use]
    pub fn display(&self, world: &World) -> String {
        match self {
            Self::NoTemplates { pools: false } => "no dynamic nodepools found".to_owned(),
            Self::NoTemplates { pools: true } => {
                "nodepool requirements filtered out all available instance types".to_owned()
            }
            Self::ResourceClaims => {
                "pod has Dynamic Resource Allocation requirements that are not yet supported by Karpenter".to_owned()
            }
            Self::Volume(fault) => format!("failed to validate pvc, {fault}"),
            Self::Templates(errors) => errors
                .iter()
                .map(|(pool, error)| {
                    let name = world.names.value_text(world.pool(*pool).name);
                    format!("incompatible with nodepool \"{name}\", {}", error.display(world))
                })
                .collect::<Vec<_>>()
                .join("; "),
        }
    }
}

impl TemplateError {
    /// The error as Karpenter words it.
    #[must_use]
    pub fn display(&self, world: &World) -> String {
        let names = &world.names;
        match self {
            Self::NodeLimit => "node limits have been exhausted for nodepool".to_owned(),
            Self::Limits => "all available instance types exceed limits for nodepool".to_owned(),
            Self::Taint(taint) => format!(
                "did not tolerate taint (taint={})",
                taint_text(world, taint)
            ),
            Self::Requirements {
                conflict,
                pod,
                pool,
                volume,
            } => {
                let of_what = if *volume {
                    "incompatible volume requirements"
                } else {
                    "incompatible requirements"
                };
                match conflict {
                    Conflict::Unknown(key) => {
                        format!(
                            "{of_what}, label \"{}\" does not have known values",
                            names.key_text(*key)
                        )
                    }
                    Conflict::Disjoint(key) => {
                        let show = |requirements: &Requirements| {
                            requirements
                                .get(*key)
                                .map(|requirement| requirement.display(names).to_string())
                                .unwrap_or_default()
                        };
                        format!(
                            "{of_what}, key {}, {} not in {}",
                            names.key_text(*key),
                            show(pod),
                            show(pool)
                        )
                    }
                }
            }
            Self::Topology { kind, key, counts } => {
                let counts: Vec<String> = counts
                    .iter()
                    .take(25)
                    .map(|(domain, count)| format!("{domain}: {count}"))
                    .collect();
                format!(
                    "unsatisfiable topology constraint for {kind}, key={} (counts = {})",
                    names.key_text(*key),
                    counts.join(", ")
                )
            }
            Self::MinValues(lacking) => {
                let labels: Vec<&str> = lacking
                    .iter()
                    .map(|(key, _)| names.key_text(*key))
                    .collect();
                format!(
                    "minValues requirement is not met for label(s) (label(s)=[{}])",
                    labels.join(" ")
                )
            }
            Self::InstanceTypes(report) => report.display(world),
        }
    }
}

impl InstanceTypes {
    /// `nodeclaim.go:482` `Error`.
    fn display(&self, world: &World) -> String {
        let what = match (self.requirements_met, self.fits, self.has_offering) {
            (false, false, false) => {
                "no instance type met the scheduling requirements or had enough resources or had a required offering"
            }
            (false, false, true) => {
                "no instance type met the scheduling requirements or had enough resources"
            }
            (false, true, false) => {
                "no instance type met the scheduling requirements or had a required offering"
            }
            (true, false, false) => {
                "no instance type had enough resources or had a required offering"
            }
            (false, true, true) => "no instance type met all requirements",
            (true, false, true) => "no instance type has enough resources",
            (true, true, false) => "no instance type has the required offering",
            _ if self.requirements_and_fits => {
                "no instance type which met the scheduling requirements and had enough resources, had a required offering"
            }
            _ if self.fits_and_offering => {
                "no instance type which had enough resources and the required offering met the scheduling requirements"
            }
            _ if self.requirements_and_offering => {
                "no instance type which met the scheduling requirements and the required offering had the required resources"
            }
            _ => "no instance type met the requirements/resources/offering tuple",
        };
        let resources = match self.daemons {
            None => world.resources.display(&self.requests),
            Some((least, most)) => {
                let least = world.resources.display(&(least + self.requests));
                let most = world.resources.display(&(most + self.requests));
                if least == most {
                    least
                } else {
                    format!("min={least}, max={most}")
                }
            }
        };
        let requirements = self.requirements.display(&world.names);
        format!("{what}, requirements={requirements}, resources={resources}")
    }
}

/// `key=value:Effect`.
#[must_use]
pub fn taint_text(world: &World, taint: &Taint) -> String {
    let effect = match taint.effect {
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
        Effect::NoExecute => "NoExecute",
    };
    let key = world.names.key_text(taint.key);
    let value = world.names.value_text(taint.value);
    if value.is_empty() {
        format!("{key}:{effect}")
    } else {
        format!("{key}={value}:{effect}")
    }
}
