//! Node pools, nodes and claims.

use std::time::Duration;

use objects::k8s_openapi::api::core::v1 as core;
use objects::karpenter::{LooseCondition, NodeClaim, NodePool, NodeSelectorRequirement, condition};
use objects::{GoDuration, NillableDuration};
use rustc_hash::FxHashMap;

use super::build::name;
use super::pods::taints;
use super::{Builder, Claim, FindingKind, Node, NodeId, Pool, PoolId, SpecHash, Stage};
use crate::instances::{Limits, TypeSetId};
use crate::names::{Key, Labels, Names, Value};
use crate::requirement::{Requirement, Requirements};
use crate::resources::{Resource, Resources};
use crate::shape::Taint;

/// Where the AWS provider keeps the hash of a node class (`pkg/apis/v1/labels.go` there).
pub(super) const CLASS_HASH: &str = "karpenter.k8s.aws/ec2nodeclass-hash";

/// The default of `expireAfter` (`pkg/apis/v1/nodepool.go`).
const EXPIRE_AFTER: NillableDuration =
    NillableDuration::After(GoDuration(Duration::from_secs(720 * 3600)));

fn requirements(names: &mut Names, list: &[NodeSelectorRequirement]) -> Requirements {
    let mut all = Requirements::default();
    for requirement in list {
        let key = names.key(&requirement.key);
        let values: Vec<Value> = requirement
            .values
            .iter()
            .map(|text| names.value(text))
            .collect();
        let made = Requirement::new(
            names,
            key,
            requirement.operator,
            &values,
            requirement.min_values,
        );
        all.add(names, made);
    }
    all
}

fn node_labels<'a>(
    names: &mut Names,
    labels: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Labels {
    Labels::new(
        labels
            .into_iter()
            .map(|(key, value)| (names.key(key), names.value(value))),
    )
}

impl Builder {
    pub(super) fn pool(
        &mut self,
        pool_name: &str,
        pool: &NodePool,
        types: Option<TypeSetId>,
        class_hash: Option<SpecHash>,
    ) {
        let object = format!("NodePool {pool_name}");
        let template = &pool.spec.template;
        let mut amounts = Vec::new();
        let mut nodes = None;
        for (resource, text) in pool.spec.limits.iter().flatten() {
            let quantity: objects::Quantity = match text.0.parse() {
                Ok(quantity) => quantity,
                Err(error) => {
                    self.find(
                        &object,
                        FindingKind::Quantity(format!("limits.{resource}: {error}")),
                    );
                    continue;
                }
            };
            match self.world.resources.find(resource) {
                _ if resource == "nodes" => nodes = Some(quantity.units()),
                Some(Resource::CPU) => amounts.push((Resource::CPU, quantity.milli())),
                Some(found) => amounts.push((found, quantity.units())),
                None => self.find(&object, FindingKind::TooManyResources(resource.clone())),
            }
        }
        let names = &mut self.world.names;
        let pool_value = names.value(pool_name);
        let class = &template.spec.node_class_ref;
        let mut labels = node_labels(names, &template.metadata.labels);
        labels.set(Key::NODE_POOL, pool_value);
        let class_key = names.key(&format!("{}/{}", class.group, class.kind.to_lowercase()));
        labels.set(class_key, names.value(&class.name));
        let mut required = requirements(names, &template.spec.requirements);
        required.add_all(names, &Requirements::of_labels(&labels));
        let conditions = pool
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.conditions);
        let ready = condition(conditions, "Ready").is_none_or(|ready| ready.status == "True");
        let made = Pool {
            name: pool_value,
            weight: pool.spec.weight.unwrap_or(0),
            types,
            requirements: required,
            labels,
            taints: taints(names, &template.spec.taints),
            startup_taints: taints(names, &template.spec.startup_taints),
            limits: Limits::new(amounts, nodes),
            replicas: pool.spec.replicas,
            ready: ready && pool.metadata.deletion_timestamp.is_none(),
            consolidation_policy: pool.spec.disruption.consolidation_policy,
            consolidate_after: pool.spec.disruption.consolidate_after,
            budgets: pool.spec.disruption.budgets.clone(),
            expire_after: template.spec.expire_after.unwrap_or(EXPIRE_AFTER),
            termination_grace_period: template.spec.termination_grace_period.map(|time| time.0),
            hash: SpecHash::of(
                pool.metadata.annotations.as_ref(),
                "karpenter.sh/nodepool-hash",
            ),
            class_hash,
        };
        self.world.add_pool(made);
    }

    /// Makes nodes of nodes and claims; a claim belongs to the node of its name or its provider ID.
    pub(super) fn finish_nodes(&mut self) -> FxHashMap<Value, NodeId> {
        let mut claims = std::mem::take(&mut self.claims);
        let mut by_provider: FxHashMap<String, String> = FxHashMap::default();
        for (claim_name, claim) in &claims {
            if let Some(provider) = claim
                .status
                .as_ref()
                .and_then(|status| status.provider_id.clone())
            {
                by_provider.insert(provider, claim_name.clone());
            }
        }
        let mut by_name = FxHashMap::default();
        for (node_name, node) in std::mem::take(&mut self.nodes) {
            let provider = node
                .spec
                .as_ref()
                .and_then(|spec| spec.provider_id.as_ref());
            let claim_name = provider
                .and_then(|provider| by_provider.get(provider))
                .cloned()
                .or_else(|| {
                    claims
                        .iter()
                        .find(|(_, claim)| {
                            claim
                                .status
                                .as_ref()
                                .and_then(|status| status.node_name.as_ref())
                                == Some(&node_name)
                        })
                        .map(|(claim, _)| claim.clone())
                });
            let claim = claim_name.and_then(|claim| claims.remove(&claim));
            let made = self.node(&node_name, Some(&node), claim.as_ref());
            let id = self.world.add_node(made);
            by_name.insert(self.world.names.value(&node_name), id);
        }
        for (claim_name, claim) in &claims {
            let made = self.node(claim_name, None, Some(claim));
            self.world.add_node(made);
        }
        by_name
    }

    pub(super) fn node(
        &mut self,
        node_name: &str,
        node: Option<&core::Node>,
        claim: Option<&NodeClaim>,
    ) -> Node {
        let object = format!("Node {node_name}");
        let spec = node.and_then(|node| node.spec.as_ref());
        let status = node.and_then(|node| node.status.as_ref());
        let label = |key: &str| node.and_then(|node| node.metadata.labels.as_ref()?.get(key));
        let is_true = |key: &str| label(key).is_some_and(|value| value == "true");
        let stage = match (node, claim) {
            (_, None) => Stage::Initialized,
            (Some(_), _) if is_true("karpenter.sh/initialized") => Stage::Initialized,
            (Some(_), _) if is_true("karpenter.sh/registered") => Stage::Registered,
            _ => Stage::Launched,
        };
        let expected = claim.and_then(|claim| claim.status.as_ref());
        let amounts = |builder: &mut Self, of_node, of_claim| {
            let mut there = builder.amounts(of_node, &object, false);
            if stage != Stage::Initialized {
                let expected: Resources = builder.amounts(of_claim, &object, false);
                for (resource, amount) in expected.iter() {
                    if there[resource] == 0 {
                        there[resource] = amount;
                    }
                }
            }
            there
        };
        let capacity = amounts(
            self,
            status.and_then(|status| status.capacity.as_ref()),
            expected.map(|expected| &expected.capacity),
        );
        let allocatable = amounts(
            self,
            status.and_then(|status| status.allocatable.as_ref()),
            expected.map(|expected| &expected.allocatable),
        );
        let names = &mut self.world.names;
        let from_claim = stage == Stage::Launched && claim.is_some();
        let metadata = match (node, claim) {
            (Some(node), _) if !from_claim => Some(&node.metadata),
            (_, claim) => claim.map(|claim| &claim.metadata),
        };
        let labels = node_labels(
            names,
            metadata
                .and_then(|metadata| metadata.labels.as_ref())
                .into_iter()
                .flatten(),
        );
        let own_taints = match claim {
            Some(claim) if from_claim => taints(names, &claim.spec.taints),
            _ => taints(
                names,
                spec.and_then(|spec| spec.taints.as_deref())
                    .unwrap_or_default(),
            ),
        };
        let startup =
            claim.map_or_else(Vec::new, |claim| taints(names, &claim.spec.startup_taints));
        let visible = own_taints
            .into_iter()
            .filter(|taint| {
                stage == Stage::Initialized
                    || !(is_passing(taint, names) || startup.iter().any(|other| same(other, taint)))
            })
            .collect();
        let pool = labels.get(Key::NODE_POOL).and_then(|pool| {
            let index = self
                .world
                .pools
                .iter()
                .position(|other| other.name == pool)?;
            u32::try_from(index).ok().map(PoolId)
        });
        let names = &mut self.world.names;
        let annotation = metadata
            .and_then(|metadata| metadata.annotations.as_ref())
            .and_then(|all| all.get("karpenter.sh/do-not-disrupt"));
        let deleted =
            |metadata: &objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
                metadata.deletion_timestamp.is_some()
            };
        Node {
            name: names.value(node_name),
            pool,
            stage,
            labels,
            taints: visible,
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            ready: status
                .and_then(|status| status.conditions.as_ref())
                .into_iter()
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            capacity,
            allocatable,
            volume_limits: Vec::new(),
            pods: Vec::new(),
            deleting: node.is_some_and(|node| deleted(&node.metadata))
                || claim.is_some_and(|claim| deleted(&claim.metadata)),
            do_not_disrupt: annotation.is_some_and(|text| text == "true"),
            nominated_until: None,
            created: metadata
                .and_then(|metadata| metadata.creation_timestamp.as_ref())
                .map(|time| time.0),
            claim: claim.map(|claim| self::claim(names, claim, startup)),
            removed: false,
        }
    }
}

fn claim(names: &mut Names, claim: &NodeClaim, startup_taints: Vec<Taint>) -> Claim {
    let status = claim.status.as_ref();
    let conditions: &[LooseCondition] = status.map_or(&[], |status| &status.conditions);
    let since = |type_: &str| {
        condition(conditions, type_)
            .filter(|condition| condition.status == "True")
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map(|time| time.0)
    };
    let annotations = claim.metadata.annotations.as_ref();
    Claim {
        name: name(&claim.metadata),
        created: claim
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
        initialized_at: since("Initialized"),
        last_pod_event: status
            .and_then(|status| status.last_pod_event_time.as_ref())
            .map(|time| time.0),
        consolidatable: condition(conditions, "Consolidatable")
            .map(|condition| condition.status == "True"),
        drifted: condition(conditions, "Drifted")
            .filter(|condition| condition.status == "True")
            .map(|condition| {
                condition
                    .reason
                    .clone()
                    .unwrap_or_else(|| "Drifted".to_owned())
            }),
        deleted: claim
            .metadata
            .deletion_timestamp
            .as_ref()
            .map(|time| time.0),
        expire_after: claim.spec.expire_after,
        termination_grace_period: claim.spec.termination_grace_period.map(|time| time.0),
        requirements: requirements(names, &claim.spec.requirements),
        startup_taints,
        drifted_at: since("Drifted"),
        instance_terminating: condition(conditions, "InstanceTerminating")
            .is_some_and(|condition| condition.status == "True"),
        pool_hash: SpecHash::of(annotations, "karpenter.sh/nodepool-hash"),
        class_hash: SpecHash::of(annotations, CLASS_HASH),
    }
}

/// Same key and effect (`corev1.Taint.MatchTaint`).
fn same(a: &Taint, b: &Taint) -> bool {
    (a.key, a.effect) == (b.key, b.effect)
}

/// Taints that are expected to go by themselves while a node starts (`pkg/scheduling/taints.go:38`).
fn is_passing(taint: &Taint, names: &Names) -> bool {
    let key = names.key_text(taint.key);
    matches!(
        key,
        "node.kubernetes.io/not-ready"
            | "node.kubernetes.io/unreachable"
            | "node.cloudprovider.kubernetes.io/uninitialized"
            | "karpenter.sh/unregistered"
    ) || key.starts_with("readiness.k8s.io/")
}
