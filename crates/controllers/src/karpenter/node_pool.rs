//! NodePools: what their nodes add up to, whether they can be used, and the hash of their template (`pkg/controllers/nodepool`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use objects::Quantity;
use objects::karpenter::{LooseCondition, NodePool, NodePoolStatus, condition};
use serde_json::{Map, Value as Json, json};

use super::claims;
use super::conditions::Conditions;
use super::memory::{Memory, pause};
use super::node_class::status_as_seen;
use super::{NAME, POOL, hash};
use crate::document::Named;
use crate::{Change, Context, Controller, Key, Kind, Object, Outcome, View};

const PARTS: &[&str] = &["ValidationSucceeded", "NodeClassReady"];
/// Whether its nodes come up: unknown until one does (`registrationhealth/controller.go`).
const HEALTHY: &str = "NodeRegistrationHealthy";
/// How often nodes are counted again, in seconds (`counter/controller.go`).
const COUNTS: f64 = 5.0;

/// Keeps the status of pools. A key is a pool's name.
pub(super) struct NodePools {
    memory: Memory,
    /// When a pool's nodes were last counted.
    counted: BTreeMap<String, Timestamp>,
}

impl NodePools {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            counted: BTreeMap::new(),
        }
    }
}

type Sums = BTreeMap<String, Quantity>;

/// What the nodes and claims of a pool have, and how many they are.
fn count(view: &View, pool: &str) -> (Sums, i64) {
    let mut sums = Sums::new();
    let mut nodes = 0;
    for (_, claim) in view.node_claims.iter() {
        if claim.label(POOL) != Some(pool) || claims::provider_id(claim).is_none() {
            continue;
        }
        nodes += 1;
        let of_node = claims::node(view, claim)
            .and_then(|node| node.status.as_ref()?.capacity.as_ref())
            .filter(|capacity| !capacity.is_empty());
        let of_claim = claim.status.as_ref().map(|status| &status.capacity);
        for (name, text) in of_node.or(of_claim).into_iter().flatten() {
            let amount: Quantity = text.0.parse().unwrap_or_default();
            let sum = sums.entry(name.clone()).or_default();
            *sum = add(*sum, amount);
        }
    }
    (sums, nodes)
}

fn add(a: Quantity, b: Quantity) -> Quantity {
    // Thousandths are exact for everything that nodes have, and reach to 9·10¹⁵ bytes.
    Quantity::of_milli(a.milli().saturating_add(b.milli()))
}

/// As Kubernetes writes it: bytes with binary units where they are whole.
fn written(name: &str, amount: Quantity) -> String {
    let milli = amount.milli();
    if name == "cpu" && milli % 1000 != 0 {
        return format!("{milli}m");
    }
    let units = amount.units();
    if (name == "memory" || name == "ephemeral-storage") && units != 0 {
        for (shift, suffix) in [(30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if units % (1_i64 << shift) == 0 {
                return format!("{}{suffix}", units >> shift);
            }
        }
    }
    units.to_string()
}

/// What is wrong with a pool, of what the API server's own rules let through (`nodepool_validation.go`).
fn fault(pool: &NodePool) -> Option<String> {
    let restricted = |key: &str| {
        key == POOL || key == "kubernetes.io/hostname" || key == "karpenter.sh/registered"
    };
    let template = &pool.spec.template;
    let labels = template.metadata.labels.keys();
    let label = labels.into_iter().find(|key| restricted(key));
    if let Some(key) = label {
        return Some(format!(
            "invalid key name {key:?} in spec.template.metadata.labels, restricted"
        ));
    }
    let requirements = template.spec.requirements.iter();
    let key = requirements
        .map(|requirement| requirement.key.as_str())
        .find(|key| restricted(key))?;
    Some(format!(
        "key {key:?} in spec.template.spec.requirements is restricted"
    ))
}

fn conditions(pool: &NodePool, old: &NodePoolStatus, context: Context<'_>) -> Conditions {
    let mut conditions = Conditions::of(
        &old.conditions,
        PARTS,
        pool.metadata.generation,
        context.now,
    );
    match fault(pool) {
        Some(message) => {
            conditions.no("ValidationSucceeded", "NodePoolValidationFailed", &message);
        }
        None => conditions.yes("ValidationSucceeded"),
    }
    let name = &pool.spec.template.spec.node_class_ref.name;
    const READY: &str = "NodeClassReady";
    match context.view.ec2_node_classes.get(&Key::cluster(name)) {
        None => conditions.no(READY, "NodeClassNotFound", "NodeClass not found on cluster"),
        Some(class) if class.is_deleting() => {
            conditions.no(READY, "NodeClassTerminating", "NodeClass is Terminating");
        }
        Some(class) => {
            let ready = class
                .status
                .as_ref()
                .and_then(|status| condition(&status.conditions, "Ready"));
            match ready.map(|ready| (ready.status.as_str(), ready)) {
                Some(("True", _)) => conditions.yes(READY),
                Some(("False", ready)) => conditions.no(
                    READY,
                    ready.reason.as_deref().unwrap_or_default(),
                    ready.message.as_deref().unwrap_or_default(),
                ),
                _ => conditions.no(
                    READY,
                    "NodeClassReadinessUnknown",
                    "Node Class Readiness Unknown",
                ),
            }
            let is_known = conditions.get(HEALTHY).is_some_and(|known| {
                known.observed_generation == Some(pool.metadata.generation.unwrap_or(1))
            });
            if !is_known || old.node_class_observed_generation != class.metadata.generation {
                conditions.unknown(
                    HEALTHY,
                    "AwaitingReconciliation",
                    "object is awaiting reconciliation",
                );
            } else if !conditions.is_true(HEALTHY) && has_come_up(context.view, pool, old) {
                conditions.yes(HEALTHY);
            }
        }
    }
    conditions
}

/// Whether a node of a pool has registered since that was last unknown.
fn has_come_up(view: &View, pool: &NodePool, status: &NodePoolStatus) -> bool {
    let since = |of: &[LooseCondition], type_: &str| {
        let time = condition(of, type_)?.last_transition_time.as_ref()?;
        Some(time.0)
    };
    let unknown = since(&status.conditions, HEALTHY);
    view.node_claims.iter().any(|(_, claim)| {
        claim.label(POOL) == Some(pool.name())
            && claims::is_true(claim, "Registered")
            && since(claims::conditions(claim), "Registered") >= unknown
    })
}

impl Controller for NodePools {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        if self.memory.note(change) {
            return view.node_pools.iter().map(|(key, _)| key.clone()).collect();
        }
        let of_labels = |object: &Option<Object>| {
            let name = match object {
                Some(Object::Node(node)) => node.label(POOL),
                Some(Object::NodeClaim(claim)) => claim.label(POOL),
                _ => None,
            };
            name.map(Key::cluster)
        };
        match change.kind {
            Some(Kind::NodePool) => vec![change.key.clone()],
            Some(Kind::Node | Kind::NodeClaim) => of_labels(&change.after)
                .or_else(|| of_labels(&change.before))
                .into_iter()
                .collect(),
            Some(Kind::Ec2NodeClass) => view
                .node_pools
                .iter()
                .filter(|(_, pool)| {
                    *pool.spec.template.spec.node_class_ref.name == *change.key.name
                })
                .map(|(key, _)| key.clone())
                .collect(),
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let (Some(pool), true) = (
            context.view.node_pools.get(key),
            self.memory.settings(context.view).is_some(),
        ) else {
            self.counted.remove(&*key.name);
            return Outcome::settled();
        };
        if pool.is_deleting() {
            return Outcome::settled();
        }
        let hash = hash::of_pool(pool);
        if pool.annotation(hash::POOL_HASH) != Some(&hash)
            || pool.annotation(hash::POOL_VERSION.0) != Some(hash::POOL_VERSION.1)
        {
            return Outcome::of(vec![pool.patch(json!({"metadata": {"annotations": {
                (hash::POOL_HASH): hash,
                (hash::POOL_VERSION.0): hash::POOL_VERSION.1,
            }}}))]);
        }
        let old = pool.status.clone().unwrap_or_default();
        let mut patch = Map::new();
        let class = Key::cluster(&pool.spec.template.spec.node_class_ref.name);
        let generation = context.view.ec2_node_classes.get(&class);
        let generation = generation.and_then(|class| class.metadata.generation);
        if generation.is_some() && generation != old.node_class_observed_generation {
            let name = "nodeClassObservedGeneration".to_owned();
            patch.insert(name, json!(generation));
        }
        let conditions = conditions(pool, &old, context).finish();
        if conditions != old.conditions {
            patch.insert("conditions".to_owned(), json!(conditions));
        }
        let due = self
            .counted
            .get(&*key.name)
            .map(|at| *at + pause(context.pace, COUNTS))
            .filter(|due| *due > context.now);
        if due.is_none() {
            let (sums, nodes) = count(context.view, &key.name);
            let mut resources: BTreeMap<String, String> =
                ["cpu", "memory", "pods", "ephemeral-storage"]
                    .into_iter()
                    .map(|name| (name.to_owned(), "0".to_owned()))
                    .collect();
            for (name, amount) in sums {
                let text = written(&name, amount);
                resources.insert(name, text);
            }
            resources.insert("nodes".to_owned(), nodes.to_string());
            let known: BTreeMap<String, String> = old
                .resources
                .iter()
                .flatten()
                .map(|(name, amount)| (name.clone(), amount.0.clone()))
                .collect();
            if known != resources || old.nodes != Some(nodes) {
                let mut all: Map<String, Json> = known
                    .keys()
                    .map(|name| (name.clone(), Json::Null))
                    .collect();
                all.extend(
                    resources
                        .into_iter()
                        .map(|(name, text)| (name, json!(text))),
                );
                patch.insert("resources".to_owned(), Json::Object(all));
                patch.insert("nodes".to_owned(), json!(nodes));
                self.counted.insert(key.name.to_string(), context.now);
            }
        }
        let mut outcome = Outcome::settled();
        if !patch.is_empty() {
            outcome
                .actions
                .push(status_as_seen(&**pool, Json::Object(patch)));
        }
        match due {
            Some(due) => outcome.again_at(due),
            None => outcome,
        }
    }
}
