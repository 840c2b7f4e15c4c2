//! Pods: how long they stay on nodes that are ill, and what their runtime class adds.

use apimachinery::Status;
use serde_json::{Value as Json, json};

use super::Attempt;
use crate::registry::document::{list, map, part, text};

/// How long a pod stays on a node that is not ready or out of reach, in seconds (`DefaultTolerationSeconds`).
const STAYS: i64 = 300;

/// Adds the tolerations that every pod has, unless it says otherwise.
pub(super) fn tolerate(pod: &mut Json) {
    let mut missing = Vec::new();
    for taint in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = list(pod, "/spec/tolerations").iter().any(|one| {
            let key = text(one, "/key");
            (key == taint || key.is_empty()) && matches!(text(one, "/effect"), "NoExecute" | "")
        });
        if !tolerated {
            missing.push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": STAYS,
            }));
        }
    }
    if missing.is_empty() {
        return;
    }
    let tolerations = part(pod, "spec")
        .entry("tolerations")
        .or_insert_with(|| json!([]));
    if let Some(tolerations) = tolerations.as_array_mut() {
        tolerations.extend(missing);
    }
}

/// Adds what a pod's RuntimeClass asks for beside the containers, and where such pods run.
pub(super) fn runtime_class(attempt: &Attempt<'_, '_>, pod: &mut Json) -> Result<(), Status> {
    let name = text(pod, "/spec/runtimeClassName").to_owned();
    if name.is_empty() {
        return Ok(());
    }
    let class = attempt
        .get("node.k8s.io", "runtimeclasses", "", &name)
        .ok_or_else(|| {
            attempt.forbidden(&format!("pod rejected: RuntimeClass {name:?} not found"))
        })?
        .json();
    if let Some(overhead) = class.pointer("/overhead/podFixed") {
        part(pod, "spec").insert("overhead".to_owned(), overhead.clone());
    }
    if let Some(wanted) = class
        .pointer("/scheduling/nodeSelector")
        .and_then(Json::as_object)
    {
        let selector = part(pod, "spec")
            .entry("nodeSelector")
            .or_insert_with(|| json!({}));
        for (label, value) in wanted {
            let own = map(selector).entry(label).or_insert_with(|| value.clone());
            if own != value {
                return Err(attempt.forbidden(&format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{label}] = {value}; pod.spec.nodeSelector[{label}] = {own}"
                )));
            }
        }
    }
    let more = list(&class, "/scheduling/tolerations").to_vec();
    if !more.is_empty() {
        let tolerations = part(pod, "spec")
            .entry("tolerations")
            .or_insert_with(|| json!([]));
        if let Some(tolerations) = tolerations.as_array_mut() {
            for toleration in more {
                if !tolerations.contains(&toleration) {
                    tolerations.push(toleration);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tolerates_everything_gets_nothing_added() {
        let mut pod = json!({ "spec": { "tolerations": [{ "operator": "Exists" }] } });
        let before = pod.clone();
        tolerate(&mut pod);
        assert_eq!(pod, before);
        let mut pod = json!({ "spec": {} });
        tolerate(&mut pod);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        let before = pod.clone();
        tolerate(&mut pod);
        assert_eq!(pod, before);
    }
}
