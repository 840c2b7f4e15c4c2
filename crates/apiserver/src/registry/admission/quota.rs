//! ResourceQuotas: what a namespace uses, and whether it may use more.
//!
//! `status.used` is kept by the same transaction that changes what is used, so it is never late.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use apimachinery::defaults::qos_class;
use apimachinery::{GroupResource, Resource, Status};
use serde_json::{Map, Value as Json, json};

use super::Attempt;
use super::limit_ranger::total;
use crate::registry::Registry;
use crate::registry::document::{list, map, number, text};
use crate::store::{Key, Revision, Stored, Transaction};
use apimachinery::quantity::{Quantity, is_binary};

/// Amounts by the names that quotas give them.
type Amounts = BTreeMap<String, Quantity>;

/// What an object uses.
#[derive(Debug, Clone, Default)]
struct Charge {
    amounts: Amounts,
    scopes: Scopes,
}

/// What a quota's scopes look at.
#[derive(Debug, Clone, Default)]
struct Scopes {
    terminating: bool,
    best_effort: bool,
    priority_class: String,
}

/// Charges by the names of the objects, as of a revision of each.
type Charges = HashMap<Arc<str>, (Revision, Arc<Charge>)>;

/// What the objects of namespaces with quotas use, as far as they have been read: by resource and namespace.
#[derive(Default)]
pub(in crate::registry) struct Usage {
    known: HashMap<(GroupResource, Arc<str>), Charges>,
}

fn quotas_place() -> GroupResource {
    GroupResource::new("", "resourcequotas")
}

/// The resources whose objects are charged by more than their number.
const CHARGED: [&str; 3] = ["pods", "services", "persistentvolumeclaims"];
/// Those that a quota counts under their plain names.
const COUNTED: [&str; 7] = [
    "pods",
    "services",
    "persistentvolumeclaims",
    "configmaps",
    "secrets",
    "replicationcontrollers",
    "resourcequotas",
];

/// Refuses what is more than a quota allows.
pub(super) fn check(attempt: &mut Attempt<'_, '_>, object: &Json) -> Result<(), Status> {
    if attempt.key.namespace.is_empty() {
        return Ok(());
    }
    let charged = is_charged(attempt.resource);
    if !attempt.creates() && !charged {
        return Ok(());
    }
    let quotas = attempt
        .tx
        .list(&quotas_place(), Some(&attempt.key.namespace));
    if quotas.is_empty() {
        return Ok(());
    }
    let place = attempt.resource.group_resource();
    let charge = charge(&place, object);
    let before = attempt.old.map(|old| self::charge(&place, old));
    for quota in quotas {
        let document = quota.json();
        if !in_scope(&document, &place, &charge) {
            continue;
        }
        let hard = amounts(&document["spec"]["hard"]);
        must_specify(attempt, &document, &hard, object)?;
        let had = before
            .as_ref()
            .filter(|before| in_scope(&document, &place, before));
        let mut delta = Amounts::new();
        for (name, amount) in &charge.amounts {
            let before = had.and_then(|before| before.amounts.get(name));
            let more = amount.minus(before.copied().unwrap_or_default());
            if hard.contains_key(name) && more > Quantity::default() {
                delta.insert(name.clone(), more);
            }
        }
        if delta.is_empty() {
            continue;
        }
        let used = used(
            attempt.registry,
            attempt.tx,
            &document,
            &hard,
            &attempt.key.namespace,
        );
        let over: Vec<&String> = delta
            .iter()
            .filter(|(name, more)| {
                let have = used.get(*name).copied().unwrap_or_default();
                hard.get(*name)
                    .is_some_and(|hard| have.plus(**more) > *hard)
            })
            .map(|(name, _)| name)
            .collect();
        if !over.is_empty() {
            let told = |amounts: &Amounts| -> String {
                let each = over.iter().map(|name| {
                    let amount = amounts.get(*name).copied().unwrap_or_default();
                    format!("{name}={}", amount.written(is_binary(name)))
                });
                each.collect::<Vec<_>>().join(",")
            };
            return Err(attempt.forbidden(&format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.key.name,
                told(&delta),
                told(&used),
                told(&hard)
            )));
        }
    }
    Ok(())
}

/// Whoever limits CPU and memory wants to hear of them.
fn must_specify(
    attempt: &Attempt<'_, '_>,
    quota: &Json,
    hard: &Amounts,
    object: &Json,
) -> Result<(), Status> {
    if !attempt.creates()
        || !attempt.resource.kind.group.is_empty()
        || &*attempt.resource.plural != "pods"
    {
        return Ok(());
    }
    let mut missing = Vec::new();
    for name in hard.keys() {
        let (kind, resource) = match name.as_str() {
            "cpu" | "memory" => ("requests", name.as_str()),
            other => match other.split_once('.') {
                Some((kind @ ("requests" | "limits"), resource))
                    if matches!(resource, "cpu" | "memory") =>
                {
                    (kind, resource)
                }
                _ => continue,
            },
        };
        let without: Vec<&str> = list(object, "/spec/containers")
            .iter()
            .chain(list(object, "/spec/initContainers"))
            .filter(|container| container["resources"][kind][resource].is_null())
            .map(|container| text(container, "/name"))
            .collect();
        if !without.is_empty() {
            missing.push(format!("{name} for: {}", without.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(attempt.forbidden(&format!(
        "failed quota: {}: must specify {}",
        text(quota, "/metadata/name"),
        missing.join("; ")
    )))
}

/// After a write: what the namespace's quotas say of what is used.
pub(in crate::registry) fn recount(
    registry: &Registry,
    tx: &mut Transaction<'_>,
    target: &Resource,
    key: &Key,
) -> Result<(), Status> {
    if key.namespace.is_empty() || &*target.plural == "events" {
        return Ok(());
    }
    let namespace = key.namespace.clone();
    let quotas = tx.list(&quotas_place(), Some(&namespace));
    if quotas.is_empty() && &*target.plural == "resourcequotas" {
        // Nobody asks any more what is used here.
        let mut usage = registry
            .usage
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        usage.known.retain(|(_, of), _| *of != namespace);
    }
    for quota in quotas {
        let mut document = quota.json();
        let hard = amounts(&document["spec"]["hard"]);
        let used = used(registry, tx, &document, &hard, &namespace);
        let status = json!({
            "hard": document["spec"]["hard"],
            "used": used
                .iter()
                .map(|(name, amount)| (name.clone(), amount.written(is_binary(name)).into()))
                .collect::<Map<String, Json>>(),
        });
        if document["status"] != status {
            map(&mut document).insert("status".to_owned(), status);
            tx.put(&quota.key, document)?;
        }
    }
    Ok(())
}

/// What a quota's namespace uses of what it limits.
fn used(
    registry: &Registry,
    tx: &Transaction<'_>,
    quota: &Json,
    hard: &Amounts,
    namespace: &Arc<str>,
) -> Amounts {
    let mut used: Amounts = hard
        .keys()
        .map(|name| (name.clone(), Quantity::default()))
        .collect();
    let mut places: Vec<GroupResource> = hard.keys().map(|name| place_of(name)).collect();
    places.sort();
    places.dedup();
    // What this transaction has written may yet be dropped, and its revisions given out again.
    let kept = registry.store.revision();
    for place in places {
        let items = tx.list(&place, Some(namespace));
        let mut usage = registry
            .usage
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place_and_namespace = (place.clone(), namespace.clone());
        let mut known = usage.known.remove(&place_and_namespace).unwrap_or_default();
        let mut still = HashMap::with_capacity(items.len());
        for stored in items {
            let charge = known
                .remove(&stored.key.name)
                .filter(|(revision, _)| *revision == stored.revision)
                .map_or_else(|| read(&place, &stored), |(_, charge)| charge);
            if in_scope(quota, &place, &charge) {
                for (name, amount) in &charge.amounts {
                    if let Some(sum) = used.get_mut(name) {
                        *sum = sum.plus(*amount);
                    }
                }
            }
            if stored.revision <= kept {
                still.insert(stored.key.name.clone(), (stored.revision, charge));
            }
        }
        usage.known.insert(place_and_namespace, still);
    }
    used
}

fn read(place: &GroupResource, stored: &Stored) -> Arc<Charge> {
    let object = if is_charged_place(place) {
        stored.json()
    } else {
        Json::Null
    };
    Arc::new(charge(place, &object))
}

/// The resource that the name of a quota's limit is about.
fn place_of(name: &str) -> GroupResource {
    if let Some(counted) = name.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return GroupResource::new(group, plural);
    }
    let plural = match name {
        "requests.storage" => "persistentvolumeclaims",
        name if name.contains(".storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        "services.nodeports" | "services.loadbalancers" => "services",
        name if COUNTED.contains(&name) => name,
        _ => "pods",
    };
    GroupResource::new("", plural)
}

fn is_charged_place(place: &GroupResource) -> bool {
    place.group.is_empty() && CHARGED.contains(&&*place.resource)
}

fn is_charged(resource: &Resource) -> bool {
    resource.kind.group.is_empty() && CHARGED.contains(&&*resource.plural)
}

fn amounts(hard: &Json) -> Amounts {
    hard.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::of(amount)?)))
        .collect()
}

fn charge(place: &GroupResource, object: &Json) -> Charge {
    let mut charge = Charge::default();
    let mut add = |name: String, amount: Quantity| {
        charge.amounts.insert(name, amount);
    };
    let one = Quantity::whole(1);
    let count = if place.group.is_empty() {
        format!("count/{}", place.resource)
    } else {
        format!("count/{}.{}", place.resource, place.group)
    };
    add(count, one);
    if !place.group.is_empty() {
        return charge;
    }
    match &*place.resource {
        "pods" => {
            if !matches!(text(object, "/status/phase"), "Succeeded" | "Failed") {
                add("pods".to_owned(), one);
                for (kind, resource, amount) in pod_amounts(object) {
                    add(format!("{kind}.{resource}"), amount);
                    let plain = matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage");
                    if kind == "requests" && plain {
                        add(resource, amount);
                    }
                }
            }
            charge.scopes = Scopes {
                terminating: number(object, "/spec/activeDeadlineSeconds").is_some(),
                best_effort: qos_class(object) == "BestEffort",
                priority_class: text(object, "/spec/priorityClassName").to_owned(),
            };
        }
        "services" => {
            add("services".to_owned(), one);
            let kind = text(object, "/spec/type");
            let ports = list(object, "/spec/ports").len();
            if kind == "NodePort"
                || kind == "LoadBalancer"
                    && object["spec"]["allocateLoadBalancerNodePorts"] != false
            {
                let ports = i64::try_from(ports).unwrap_or(i64::MAX);
                add("services.nodeports".to_owned(), Quantity::whole(ports));
            }
            if kind == "LoadBalancer" {
                add("services.loadbalancers".to_owned(), one);
            }
        }
        "persistentvolumeclaims" => {
            add("persistentvolumeclaims".to_owned(), one);
            let size = object
                .pointer("/spec/resources/requests/storage")
                .and_then(Quantity::of)
                .unwrap_or_default();
            add("requests.storage".to_owned(), size);
            let class = text(object, "/spec/storageClassName");
            if !class.is_empty() {
                let prefix = format!("{class}.storageclass.storage.k8s.io");
                add(format!("{prefix}/requests.storage"), size);
                add(format!("{prefix}/persistentvolumeclaims"), one);
            }
        }
        plain if COUNTED.contains(&plain) => add(plain.to_owned(), one),
        _ => {}
    }
    charge
}

/// Kind (`requests`, `limits`), resource and amount of everything that a pod asks for.
fn pod_amounts(pod: &Json) -> Vec<(&'static str, String, Quantity)> {
    let mut found = Vec::new();
    for kind in ["requests", "limits"] {
        let mut names: Vec<String> = list(pod, "/spec/containers")
            .iter()
            .chain(list(pod, "/spec/initContainers"))
            .filter_map(|container| container["resources"][kind].as_object())
            .flat_map(|amounts| amounts.keys().cloned())
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            if let Some(amount) = total(pod, kind, &name) {
                found.push((kind, name, amount));
            }
        }
    }
    found
}

/// Whether a quota is about objects like this one.
fn in_scope(quota: &Json, place: &GroupResource, charge: &Charge) -> bool {
    let scopes = list(quota, "/spec/scopes").iter().filter_map(Json::as_str);
    let expressions = list(quota, "/spec/scopeSelector/matchExpressions");
    if quota["spec"]["scopes"].is_null() && expressions.is_empty() {
        return true;
    }
    if &*place.resource != "pods" || !place.group.is_empty() {
        return false;
    }
    let of = &charge.scopes;
    let holds = |scope: &str| match scope {
        "Terminating" => of.terminating,
        "NotTerminating" => !of.terminating,
        "BestEffort" => of.best_effort,
        "NotBestEffort" => !of.best_effort,
        "PriorityClass" => !of.priority_class.is_empty(),
        _ => false,
    };
    let mut scopes = scopes;
    scopes.all(holds)
        && expressions.iter().all(|one| {
            let scope = text(one, "/scopeName");
            let values = list(one, "/values");
            let among = || values.iter().any(|value| *value == *of.priority_class);
            match (scope, text(one, "/operator")) {
                ("PriorityClass", "In") => among(),
                ("PriorityClass", "NotIn") => !among(),
                ("PriorityClass", "DoesNotExist") => of.priority_class.is_empty(),
                (scope, _) => holds(scope),
            }
        })
}
