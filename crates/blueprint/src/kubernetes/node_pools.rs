//! Node pools, in Karpenter v1's words.

use std::collections::BTreeMap;

use catalog::instance_types::label;
use objects::budget::{Budget, DisruptionReason};
use objects::k8s_openapi::api::core::v1::Taint;
use objects::k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use objects::karpenter::{
    ConsolidationPolicy, Disruption, NodeClaimTemplate, NodeClaimTemplateSpec, NodeClassReference,
    NodePool, NodePoolSpec, NodeSelectorRequirement, Operator, ResourceList, TemplateMeta,
};
use objects::snapshot::Object;
use spec::Platform;
use spec::model::node_pools as model;

use super::pods::{labels, metadata};
use super::services::MANAGED_BY;
use super::{Error, named, node_class};

/// Sizes that have addresses for 34 pods or fewer, prefixes and all; the smallest of the others has them for 98.
const TOO_SMALL: [&str; 2] = ["nano", "micro"];

/// The name of a pool in the cluster.
pub(super) fn name(platform: &Platform, key: &str, pool: &model::NodePool) -> String {
    named(platform, pool.name.as_deref().unwrap_or(key))
}

pub(super) fn render(platform: &Platform, errors: &mut Vec<Error>) -> Vec<Object> {
    platform
        .spec
        .node_pools
        .iter()
        .filter(|(_, pool)| pool.enabled)
        .map(|(key, pool)| {
            let mut reader = Reader { key, errors };
            Object::NodePool(Box::new(node_pool(platform, key, pool, &mut reader)))
        })
        .collect()
}

/// Reads texts of the spec into what Karpenter's types hold, and remembers those that are none.
struct Reader<'a> {
    key: &'a str,
    errors: &'a mut Vec<Error>,
}

impl Reader<'_> {
    fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        path: &str,
        text: &str,
    ) -> Option<T> {
        text.parse()
            .map_err(|why: T::Err| {
                self.errors.push(Error::Value {
                    path: format!("nodePools.{}.{path}", self.key),
                    why: why.to_string(),
                });
            })
            .ok()
    }
}

fn node_pool(
    platform: &Platform,
    key: &str,
    pool: &model::NodePool,
    reader: &mut Reader<'_>,
) -> NodePool {
    let taints = pool
        .taints
        .iter()
        .map(|taint| Taint {
            key: taint.key.clone(),
            value: (!taint.value.is_empty()).then(|| taint.value.clone()),
            effect: taint.effect.as_str().to_owned(),
            ..Taint::default()
        })
        .collect();
    let spec = NodeClaimTemplateSpec {
        taints,
        requirements: requirements(pool),
        node_class_ref: NodeClassReference {
            group: "karpenter.k8s.aws".to_owned(),
            kind: "EC2NodeClass".to_owned(),
            name: node_class::name(platform),
        },
        termination_grace_period: pool
            .termination_grace_period
            .as_deref()
            .and_then(|text| reader.read("terminationGracePeriod", text)),
        expire_after: reader.read("expireAfter", &pool.expire_after),
        ..NodeClaimTemplateSpec::default()
    };
    NodePool {
        api_version: "karpenter.sh/v1".to_owned(),
        kind: "NodePool".to_owned(),
        metadata: metadata(&name(platform, key, pool), None, labels([MANAGED_BY])),
        spec: NodePoolSpec {
            template: NodeClaimTemplate {
                metadata: TemplateMeta {
                    labels: pool.labels.clone(),
                    annotations: BTreeMap::new(),
                },
                spec,
            },
            disruption: disruption(&pool.disruption, reader),
            limits: limits(&pool.limits),
            weight: pool
                .weight
                .map(|weight| i32::try_from(weight).unwrap_or(100)),
            replicas: None,
        },
        status: None,
    }
}

/// What a pool's nodes must be. Beside what the spec says: Linux, and what the VPC CNI's prefixes need.
fn requirements(pool: &model::NodePool) -> Vec<NodeSelectorRequirement> {
    let one_of = |key: &str, values: Vec<&str>| requirement(key, Operator::In, values);
    let capacity_types: Vec<_> = pool.capacity_types.iter().map(|it| it.as_str()).collect();
    let architectures: Vec<_> = pool.architectures.iter().map(|it| it.as_str()).collect();
    let mut all = vec![
        one_of("karpenter.sh/capacity-type", capacity_types),
        one_of(label::ARCHITECTURE, architectures),
        one_of(label::OPERATING_SYSTEM, vec!["linux"]),
    ];
    let categories = pool.categories();
    if !categories.is_empty() {
        all.push(one_of(label::CATEGORY, categories));
    }
    if !pool.instance_families.is_empty() {
        let families = pool.instance_families.iter().map(String::as_str).collect();
        all.push(one_of(label::FAMILY, families));
    }
    if let Some(generation) = pool.generation() {
        all.push(at_least(label::GENERATION, generation));
    }
    for (key, bounds) in [
        (label::CPU, pool.instance_cpu),
        (label::MEMORY, pool.instance_memory),
    ] {
        all.extend(bounds.min.map(|min| at_least(key, min)));
        all.extend(
            bounds.max.map(|max| {
                requirement(key, Operator::Lt, vec![&max.saturating_add(1).to_string()])
            }),
        );
    }
    // Prefix delegation is Nitro's alone; whoever knows better says so with a requirement of their own.
    let own = |key: &str| pool.requirements.iter().any(|own| own.key == key);
    if !own(label::HYPERVISOR) {
        all.push(one_of(label::HYPERVISOR, vec!["nitro"]));
    }
    if !own(label::SIZE) {
        all.push(requirement(
            label::SIZE,
            Operator::NotIn,
            TOO_SMALL.to_vec(),
        ));
    }
    all.extend(pool.requirements.iter().map(|own| {
        let operator = match own.operator {
            model::RequirementOperator::In => Operator::In,
            model::RequirementOperator::NotIn => Operator::NotIn,
            model::RequirementOperator::Exists => Operator::Exists,
            model::RequirementOperator::DoesNotExist => Operator::DoesNotExist,
            model::RequirementOperator::Gt => Operator::Gt,
            model::RequirementOperator::Lt => Operator::Lt,
        };
        NodeSelectorRequirement {
            min_values: own.min_values,
            ..requirement(
                &own.key,
                operator,
                own.values.iter().map(String::as_str).collect(),
            )
        }
    }));
    all
}

fn requirement(key: &str, operator: Operator, values: Vec<&str>) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator,
        values: values.into_iter().map(str::to_owned).collect(),
        min_values: None,
    }
}

/// `Gt` means more than: every version of Karpenter has it, and `Gte` only the newest.
fn at_least(key: &str, least: u32) -> NodeSelectorRequirement {
    requirement(
        key,
        Operator::Gt,
        vec![&least.saturating_sub(1).to_string()],
    )
}

fn disruption(disruption: &model::Disruption, reader: &mut Reader<'_>) -> Disruption {
    let policy = match disruption.consolidation_policy {
        model::ConsolidationPolicy::WhenEmpty => ConsolidationPolicy::WhenEmpty,
        model::ConsolidationPolicy::WhenEmptyOrUnderutilized => {
            ConsolidationPolicy::WhenEmptyOrUnderutilized
        }
        model::ConsolidationPolicy::Balanced => ConsolidationPolicy::Balanced,
    };
    let mut rendered = Disruption {
        consolidation_policy: policy,
        budgets: disruption
            .budgets
            .iter()
            .filter_map(|budget| self::budget(budget, reader))
            .collect(),
        ..Disruption::default()
    };
    if let Some(after) = reader.read("disruption.consolidateAfter", &disruption.consolidate_after) {
        rendered.consolidate_after = after;
    }
    rendered
}

fn budget(budget: &model::Budget, reader: &mut Reader<'_>) -> Option<Budget> {
    let reasons = budget
        .reasons
        .iter()
        .map(|reason| match reason {
            model::DisruptionReason::Underutilized => DisruptionReason::Underutilized,
            model::DisruptionReason::Empty => DisruptionReason::Empty,
            model::DisruptionReason::Drifted => DisruptionReason::Drifted,
        })
        .collect();
    Some(Budget {
        reasons,
        nodes: reader.read("disruption.budgets.nodes", &budget.nodes)?,
        schedule: budget
            .schedule
            .as_deref()
            .and_then(|text| reader.read("disruption.budgets.schedule", text)),
        duration: budget
            .duration
            .as_deref()
            .and_then(|text| reader.read("disruption.budgets.duration", text)),
    })
}

fn limits(limits: &model::PoolLimits) -> Option<ResourceList> {
    let cpu = limits.cpu.as_ref().map(|cpu| ("cpu", cpu.as_str()));
    let memory = limits
        .memory
        .as_ref()
        .map(|memory| ("memory", memory.as_str()));
    let all: ResourceList = [cpu, memory]
        .into_iter()
        .flatten()
        .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
        .collect();
    (!all.is_empty()).then_some(all)
}
