//! What pods ask for, made ready to be tried.

use super::planner::{Planner, VariantScratch};
use std::sync::Arc;

use super::Relaxation;
use super::variants::{Variant, Wishes};
use crate::names::{Key, Value};
use crate::requirement::Requirements;
use crate::shape::{ShapeId, untolerated};
use crate::topology::{Definition, GroupKind, NodeFilter};

impl Planner<'_> {
    pub(super) fn variant_of(&mut self, shape: ShapeId) -> u32 {
        if let Some(known) = self.first_variant[shape.0 as usize] {
            return known;
        }
        let of = &self.world.shapes[shape.0 as usize];
        let wishes = Wishes::new(of, self.options.preferences, &self.world.names);
        let volumes = Arc::new(self.volume_alternatives(&of.claims));
        let made = self.make(shape, wishes, None, volumes);
        self.first_variant[shape.0 as usize] = Some(made);
        made
    }

    pub(super) fn relax(&mut self, variant: u32) -> Option<u32> {
        let index = variant as usize;
        if let Some(known) = self.variants[index].next {
            if let Some(next) = known {
                self.activate(next);
            }
            return known;
        }
        let relaxed = self.variants[index]
            .wishes
            .relaxed(self.tolerate_prefer_no_schedule);
        let next = relaxed.map(|(wishes, relaxation)| {
            let shape = ShapeId(self.variants[index].shape_index);
            let volumes = Arc::clone(&self.variants[index].volumes);
            self.make(shape, wishes, Some(relaxation), volumes)
        });
        self.variants[index].next = Some(next);
        if let Some(next) = next {
            self.activate(next);
        }
        next
    }

    pub(super) fn activate(&mut self, variant: u32) {
        let variant = &self.variants[variant as usize];
        for id in variant.label_groups.iter().chain(&variant.host_groups) {
            self.tracker.activate(self.world, *id);
        }
    }

    pub(super) fn make(
        &mut self,
        shape: ShapeId,
        wishes: Wishes,
        relaxation: Option<Relaxation>,
        volumes: Arc<Vec<Requirements>>,
    ) -> u32 {
        let world = self.world;
        let names = &world.names;
        let mut groups = Vec::new();
        for spread in &wishes.spread {
            let filter = NodeFilter {
                requirements: wishes.node_filters(names),
                honor_affinity: spread.honor_affinity,
                honor_taints: spread.honor_taints,
                tolerations: wishes.tolerations.clone(),
            };
            let definition = Definition {
                kind: GroupKind::Spread,
                key: spread.topology_key,
                namespaces: crate::shape::Namespaces {
                    names: vec![world.shape(shape).namespace],
                    selector: None,
                },
                selector: spread.selector.clone(),
                max_skew: spread.max_skew,
                filter,
                inverse: false,
            };
            groups.push((definition, spread.min_domains));
        }
        let terms = wishes
            .affinity_terms()
            .map(|term| (GroupKind::Affinity, term))
            .chain(
                wishes
                    .anti_affinity_terms()
                    .map(|term| (GroupKind::AntiAffinity, term)),
            );
        for (kind, term) in terms {
            let definition = Definition {
                kind,
                key: term.topology_key,
                namespaces: term.namespaces.clone(),
                selector: term.selector.clone(),
                max_skew: u32::MAX,
                filter: NodeFilter::default(),
                inverse: false,
            };
            groups.push((definition, None));
        }
        let (mut label_groups, mut host_groups) = (Vec::new(), Vec::new());
        let mut needs_host = false;
        for (definition, min_domains) in groups {
            let is_host = definition.key == Key::HOSTNAME;
            needs_host |= is_host && definition.kind == GroupKind::Affinity;
            let id = self.tracker.register(world, definition, min_domains);
            let list = if is_host {
                &mut host_groups
            } else {
                &mut label_groups
            };
            if !list.contains(&id) {
                list.push(id);
            }
        }
        let requirements = wishes.requirements(names);
        let variant = Variant {
            shape: Arc::clone(&world.shapes[shape.0 as usize]),
            shape_index: shape.0,
            strict: wishes.strict(names),
            joins: self.join_number(&requirements),
            volume_joins: volumes
                .iter()
                .map(|volume| self.join_number(volume))
                .collect(),
            tolerates: self
                .templates
                .iter()
                .map(|template| untolerated(&template.taints, &wishes.tolerations).is_none())
                .collect(),
            requirements,
            wishes,
            relaxation,
            label_groups,
            host_groups,
            volumes,
            next: None,
            needs_host,
        };
        self.variants.push(variant);
        self.scratch.push(VariantScratch::default());
        u32::try_from(self.variants.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn join_number(&mut self, requirements: &Requirements) -> u32 {
        let next = u32::try_from(self.joins.len()).unwrap_or(u32::MAX);
        *self.joins.entry(requirements.clone()).or_insert(next)
    }

    /// Every combination of the volumes' alternatives that goes together; all of them if none does (`volumetopology.go:80`).
    pub(super) fn volume_alternatives(&self, claims: &[Value]) -> Vec<Requirements> {
        let names = &self.world.names;
        let mut all: Option<Vec<Requirements>> = None;
        for claim in claims {
            let Some(volume) = self.world.volumes.get(claim) else {
                continue;
            };
            if volume.alternatives.is_empty() {
                continue;
            }
            let Some(so_far) = all else {
                all = Some(volume.alternatives.clone());
                continue;
            };
            let merge = |compatible_only: bool| -> Vec<Requirements> {
                so_far
                    .iter()
                    .flat_map(|a| volume.alternatives.iter().map(move |b| (a, b)))
                    .filter(|(a, b)| !compatible_only || a.intersects(b, names).is_ok())
                    .map(|(a, b)| {
                        let mut merged = a.clone();
                        merged.add_all(names, b);
                        merged
                    })
                    .collect()
            };
            let fitting = merge(true);
            all = Some(if fitting.is_empty() {
                merge(false)
            } else {
                fitting
            });
        }
        all.unwrap_or_default()
    }
}
