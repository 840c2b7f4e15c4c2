//! NodeClaims as provisioning makes them (`scheduling/nodeclaimtemplate.go` `ToNodeClaim`).

use std::collections::BTreeMap;

use autoscale::karpenter::launch::launch_list;
use autoscale::karpenter::provisioning::NewClaim;
use autoscale::names::{Key as Label, Names};
use autoscale::requirement::{Operator, Requirement};
use autoscale::resources::{Amount, Resources};
use autoscale::world::World;
use jiff::Timestamp;
use objects::karpenter::NodePool;
use serde_json::{Value as Json, json};

use super::{FINALIZER, POOL, hash};
use crate::document::Named;
use crate::draw::suffix;
use crate::{Key, View};

/// A requirement as it is written: bounds and values apart.
fn written(requirement: &Requirement, names: &Names) -> Vec<Json> {
    let key = names.key_text(requirement.key);
    let mut all = Vec::new();
    if let Some(bound) = requirement.gte {
        all.push(json!({"key": key, "operator": "Gte", "values": [bound.to_string()]}));
    }
    if let Some(bound) = requirement.lte {
        all.push(json!({"key": key, "operator": "Lte", "values": [bound.to_string()]}));
    }
    let operator = requirement.operator();
    if all.is_empty() || operator != Operator::Exists {
        let mut values: Vec<_> = requirement
            .values
            .iter()
            .map(|value| names.value_text(*value))
            .collect();
        values.sort_unstable();
        let mut one = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            one["values"] = json!(values);
        }
        all.push(one);
    }
    if let Some(least) = requirement.min_values {
        all[0]["minValues"] = json!(least);
    }
    all
}

/// The first resource of which a pool's nodes have more than its limits allow (`provisioner.go` `Create`).
pub(super) fn over_limit(world: &World, claim: &NewClaim) -> Option<String> {
    let used = world
        .live_nodes()
        .filter(|(_, node)| node.pool == Some(claim.pool))
        .fold(Resources::ZERO, |sum, (_, node)| sum + node.capacity);
    let limits = &world.pool(claim.pool).limits;
    let exceeded = limits.exceeded_by(&used)?;
    Some(world.resources.name(exceeded).to_owned())
}

/// A name for a claim: drawn from what it is for and when.
fn name(view: &View, pool: &NodePool, first: &str, index: usize, now: Timestamp) -> String {
    let (index, now) = (index.to_string(), now.to_string());
    let mut attempt = 0_u32;
    loop {
        let drawn = suffix(&[pool.uid(), first, &index, &now, &attempt.to_string()]);
        let name = format!("{}-{drawn}", pool.name());
        if !view.node_claims.contains(&Key::cluster(&name)) {
            return name;
        }
        attempt += 1;
    }
}

/// The claim's name and its document.
pub(super) fn document(
    world: &World,
    view: &View,
    claim: &NewClaim,
    index: usize,
    now: Timestamp,
) -> Option<(String, Json)> {
    let names = &world.names;
    let pool_name = names.value_text(world.pool(claim.pool).name);
    let pool = view.node_pools.get(&Key::cluster(&pool_name))?;
    let first = claim.pods.first().map(|pod| &*world.pod(*pod).uid);
    let name = name(view, pool, first.unwrap_or_default(), index, now);
    let (_, requirements) = launch_list(world, claim);
    let template = &pool.spec.template;
    let class = &template.spec.node_class_ref;
    let mut labels: BTreeMap<String, String> = template.metadata.labels.clone();
    labels.insert(POOL.to_owned(), pool_name.into_owned());
    let class_label = format!("{}/{}", class.group, class.kind.to_lowercase());
    labels.insert(class_label, class.name.clone());
    for requirement in requirements.iter() {
        if names.is_well_known(requirement.key) || requirement.key == Label::HOSTNAME {
            continue;
        }
        let mut values: Vec<_> = match requirement.operator() {
            Operator::In => requirement
                .values
                .iter()
                .map(|value| names.value_text(*value))
                .collect(),
            _ => Vec::new(),
        };
        values.sort_unstable();
        if let Some(value) = values.first() {
            labels.insert(
                names.key_text(requirement.key).to_owned(),
                value.clone().into_owned(),
            );
        }
    }
    let mut annotations = template.metadata.annotations.clone();
    annotations.insert(hash::POOL_HASH.to_owned(), hash::of_pool(pool));
    annotations.insert(
        hash::POOL_VERSION.0.to_owned(),
        hash::POOL_VERSION.1.to_owned(),
    );
    if claim.min_values_relaxed {
        annotations.insert(
            "karpenter.sh/nodeclaim-min-values-relaxed".to_owned(),
            "true".to_owned(),
        );
    }
    let mut listed: Vec<Json> = requirements
        .iter()
        .flat_map(|requirement| written(requirement, names))
        .collect();
    listed.sort_by_cached_key(|one| one["key"].as_str().unwrap_or_default().to_owned());
    let requests: BTreeMap<&str, String> = claim
        .requests
        .iter()
        .filter(|(_, amount)| *amount > 0)
        .map(|(resource, amount)| {
            let text = Amount(resource, amount).to_string();
            (world.resources.name(resource), text)
        })
        .collect();
    let mut spec = json!({
        "nodeClassRef": class,
        "requirements": listed,
        "resources": {"requests": requests},
        "expireAfter": template.spec.expire_after.map_or(json!("720h"), |after| json!(after)),
    });
    if !template.spec.taints.is_empty() {
        spec["taints"] = json!(template.spec.taints);
    }
    if !template.spec.startup_taints.is_empty() {
        spec["startupTaints"] = json!(template.spec.startup_taints);
    }
    if let Some(grace) = template.spec.termination_grace_period {
        spec["terminationGracePeriod"] = json!(grace);
    }
    let document = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "generateName": format!("{}-", pool.name()),
            "labels": labels,
            "annotations": annotations,
            "finalizers": [FINALIZER],
            "ownerReferences": [{
                "apiVersion": "karpenter.sh/v1",
                "kind": "NodePool",
                "name": pool.name(),
                "uid": pool.uid(),
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    });
    Some((name, document))
}
