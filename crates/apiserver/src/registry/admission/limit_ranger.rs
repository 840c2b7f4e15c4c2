//! LimitRanges: the requests and limits that a namespace gives its containers, and the bounds that it sets them.

use apimachinery::Status;
use serde_json::{Value as Json, json};

use super::Attempt;
use crate::registry::document::{list, map, metadata, text};
use apimachinery::quantity::{Quantity, is_binary};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// The limits of the namespace's LimitRanges of a type.
fn limits(attempt: &Attempt<'_, '_>, kind: &str) -> Vec<Json> {
    attempt
        .list("", "limitranges", Some(attempt.call.namespace))
        .iter()
        .flat_map(|range| list(&range.json(), "/spec/limits").to_vec())
        .filter(|limit| limit["type"] == kind)
        .collect()
}

/// Gives containers what they don't ask for.
pub(super) fn default_pod(attempt: &Attempt<'_, '_>, pod: &mut Json) {
    let mut told = Vec::new();
    for limit in limits(attempt, "Container") {
        for containers in CONTAINERS {
            let init = if containers == "containers" {
                ""
            } else {
                "init "
            };
            let containers = pod["spec"].get_mut(containers).and_then(Json::as_array_mut);
            for container in containers.into_iter().flatten() {
                let name = text(container, "/name").to_owned();
                for (kind, from, word) in [
                    ("limits", "default", "limit"),
                    ("requests", "defaultRequest", "request"),
                ] {
                    let set = fill(container, kind, &limit[from]);
                    if !set.is_empty() {
                        told.push(format!(
                            "{} {word} for {init}container {name}",
                            set.join(", ")
                        ));
                    }
                }
            }
        }
    }
    if !told.is_empty() {
        let annotations = metadata(pod)
            .entry("annotations")
            .or_insert_with(|| json!({}));
        map(annotations).insert(
            ANNOTATION.to_owned(),
            format!("LimitRanger plugin set: {}", told.join("; ")).into(),
        );
    }
}

/// Sets the resources of a kind that aren't set; gives their names.
fn fill(container: &mut Json, kind: &str, defaults: &Json) -> Vec<String> {
    let Some(defaults) = defaults.as_object().filter(|all| !all.is_empty()) else {
        return Vec::new();
    };
    let resources = map(container)
        .entry("resources")
        .or_insert_with(|| json!({}));
    let own = map(map(resources).entry(kind).or_insert_with(|| json!({})));
    let mut set = Vec::new();
    for (resource, amount) in defaults {
        if !own.contains_key(resource) {
            own.insert(resource.clone(), amount.clone());
            set.push(resource.clone());
        }
    }
    set
}

/// Whether a pod keeps within the bounds.
pub(super) fn check_pod(attempt: &Attempt<'_, '_>, pod: &Json) -> Result<(), Status> {
    let mut wrong = Vec::new();
    for limit in limits(attempt, "Container") {
        for containers in CONTAINERS {
            for container in list(pod, &format!("/spec/{containers}")) {
                bound(
                    &limit,
                    "Container",
                    &|kind, resource| Quantity::of(&container["resources"][kind][resource]),
                    &mut wrong,
                );
            }
        }
    }
    for limit in limits(attempt, "Pod") {
        bound(
            &limit,
            "Pod",
            &|kind, resource| total(pod, kind, resource),
            &mut wrong,
        );
    }
    told(attempt, &wrong)
}

/// Whether a claim does.
pub(super) fn check_claim(attempt: &Attempt<'_, '_>, claim: &Json) -> Result<(), Status> {
    let mut wrong = Vec::new();
    for limit in limits(attempt, "PersistentVolumeClaim") {
        bound(
            &limit,
            "PersistentVolumeClaim",
            &|kind, resource| {
                (kind == "requests")
                    .then(|| Quantity::of(&claim["spec"]["resources"][kind][resource]))
                    .flatten()
            },
            &mut wrong,
        );
    }
    told(attempt, &wrong)
}

fn told(attempt: &Attempt<'_, '_>, wrong: &[String]) -> Result<(), Status> {
    match wrong {
        [] => Ok(()),
        [one] => Err(attempt.forbidden(one)),
        several => Err(attempt.forbidden(&format!("[{}]", several.join(", ")))),
    }
}

/// What a pod asks for in all: its containers together, or its largest init container.
pub(super) fn total(pod: &Json, kind: &str, resource: &str) -> Option<Quantity> {
    let amounts = |containers: &str| -> Vec<Quantity> {
        list(pod, &format!("/spec/{containers}"))
            .iter()
            .filter_map(|container| Quantity::of(&container["resources"][kind][resource]))
            .collect()
    };
    let together = amounts("containers").into_iter().reduce(Quantity::plus);
    let largest = amounts("initContainers").into_iter().max();
    together.max(largest)
}

/// Holds amounts against a limit's `min`, `max` and `maxLimitRequestRatio`.
fn bound(
    limit: &Json,
    kind: &str,
    amount: &dyn Fn(&str, &str) -> Option<Quantity>,
    wrong: &mut Vec<String>,
) {
    let each = |name: &str| -> Vec<(String, Quantity)> {
        limit[name]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(resource, bound)| Some((resource.clone(), Quantity::of(bound)?)))
            .collect()
    };
    let written = |resource: &str, amount: Quantity| amount.written(is_binary(resource));
    for (resource, least) in each("min") {
        let at_least = written(&resource, least);
        match amount("requests", &resource) {
            None => wrong.push(format!(
                "minimum {resource} usage per {kind} is {at_least}.  No request is specified"
            )),
            Some(asked) if asked < least => wrong.push(format!(
                "minimum {resource} usage per {kind} is {at_least}, but request is {}",
                written(&resource, asked)
            )),
            Some(_) => {}
        }
        if let Some(limit) = amount("limits", &resource)
            && limit < least
        {
            wrong.push(format!(
                "minimum {resource} usage per {kind} is {at_least}, but limit is {}",
                written(&resource, limit)
            ));
        }
    }
    for (resource, most) in each("max") {
        let at_most = written(&resource, most);
        if kind == "PersistentVolumeClaim" {
            if let Some(asked) = amount("requests", &resource)
                && asked > most
            {
                wrong.push(format!(
                    "maximum {resource} usage per {kind} is {at_most}, but request is {}",
                    written(&resource, asked)
                ));
            }
            continue;
        }
        match amount("limits", &resource) {
            None => wrong.push(format!(
                "maximum {resource} usage per {kind} is {at_most}.  No limit is specified"
            )),
            Some(limit) if limit > most => wrong.push(format!(
                "maximum {resource} usage per {kind} is {at_most}, but limit is {}",
                written(&resource, limit)
            )),
            Some(_) => {}
        }
        if let Some(asked) = amount("requests", &resource)
            && asked > most
        {
            wrong.push(format!(
                "maximum {resource} usage per {kind} is {at_most}, but request is {}",
                written(&resource, asked)
            ));
        }
    }
    for (resource, most) in each("maxLimitRequestRatio") {
        let ratio = amount("limits", &resource)
            .zip(amount("requests", &resource))
            .and_then(|(limit, asked)| limit.ratio(asked));
        let Some(ratio) = ratio else {
            continue;
        };
        let allowed = most.ratio(Quantity::whole(1)).unwrap_or_default();
        if ratio > allowed {
            wrong.push(format!(
                "{resource} max limit to request ratio per {kind} is {most}, but provided ratio is {ratio:.6}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_told_in_kubernetes_words() {
        let limit = json!({ "min": { "cpu": "100m" }, "max": { "memory": "1Gi" } });
        let container = json!({ "requests": { "cpu": "50m" }, "limits": { "memory": "2Gi" } });
        let mut wrong = Vec::new();
        bound(
            &limit,
            "Container",
            &|kind, resource| Quantity::of(&container[kind][resource]),
            &mut wrong,
        );
        assert_eq!(
            wrong,
            [
                "minimum cpu usage per Container is 100m, but request is 50m",
                "maximum memory usage per Container is 1Gi, but limit is 2Gi",
            ]
        );
    }

    #[test]
    fn what_is_set_stays() {
        let mut container = json!({ "resources": { "limits": { "cpu": "2" } } });
        let set = fill(
            &mut container,
            "limits",
            &json!({ "cpu": "1", "memory": "1Gi" }),
        );
        assert_eq!(set, ["memory"]);
        assert_eq!(
            container["resources"]["limits"],
            json!({ "cpu": "2", "memory": "1Gi" })
        );
    }
}
