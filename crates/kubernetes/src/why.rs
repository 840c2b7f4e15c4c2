//! Why something is not ready: what its pods say.

use serde_json::Value as Json;

/// What keeps pods from being ready, in their own words; the first few different reasons.
pub(crate) fn of_pods(pods: &[Json]) -> Option<String> {
    const SHOWN: usize = 3;
    let mut reasons: Vec<String> = pods.iter().filter_map(of_pod).collect();
    reasons.sort();
    reasons.dedup();
    reasons.truncate(SHOWN);
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn of_pod(pod: &Json) -> Option<String> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let said = |reason: String, message: String| match (reason.as_str(), message.as_str()) {
        ("", "") => None,
        (reason, "") => Some(reason.to_owned()),
        ("", message) => Some(message.to_owned()),
        (reason, message) => Some(format!("{reason}: {message}")),
    };
    let statuses = ["initContainerStatuses", "containerStatuses"]
        .iter()
        .filter_map(|name| pod["status"][*name].as_array())
        .flatten();
    for status in statuses {
        let waiting = &status["state"]["waiting"];
        let reason = text(&waiting["reason"]);
        // These are on their way.
        if waiting.is_object() && !matches!(&*reason, "" | "ContainerCreating" | "PodInitializing")
        {
            return said(reason, text(&waiting["message"]));
        }
        let ended = &status["state"]["terminated"];
        if ended["exitCode"].as_i64().is_some_and(|code| code != 0) {
            return said(text(&ended["reason"]), text(&ended["message"]));
        }
    }
    let conditions = pod["status"]["conditions"].as_array()?;
    let unscheduled = conditions
        .iter()
        .find(|one| one["type"] == "PodScheduled" && one["status"] == "False")?;
    said(text(&unscheduled["reason"]), text(&unscheduled["message"]))
}

/// The labels that select the pods of a workload, as a selector's text.
pub(crate) fn selector(object: &Json) -> Option<String> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// What a thing that is being deleted waits for: finalizers, and what is left in a namespace.
pub(crate) fn it_stays(object: &Json) -> String {
    let list = |value: &Json| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let mut finalizers = list(&object["metadata"]["finalizers"]);
    finalizers.extend(list(&object["spec"]["finalizers"]));
    let mut text = match finalizers.as_slice() {
        [] => "waits to be gone".to_owned(),
        finalizers => format!("waits for {}", finalizers.join(", ")),
    };
    let conditions = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    for condition in conditions.filter(|one| one["status"] == "True") {
        if let (Some("Namespace"), Some(message)) =
            (object["kind"].as_str(), condition["message"].as_str())
        {
            text.push_str("; ");
            text.push_str(message);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_say_why() {
        let waiting = json!({"status": {"containerStatuses": [{"state": {"waiting": {
            "reason": "ImagePullBackOff", "message": "no such image",
        }}}]}});
        let pending = json!({"status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes",
        }]}});
        let creating = json!({"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        let pods = [waiting.clone(), waiting, pending, creating];
        assert_eq!(
            of_pods(&pods).as_deref(),
            Some("ImagePullBackOff: no such image; Unschedulable: 0/2 nodes")
        );
        assert_eq!(of_pods(&[]), None);
    }

    #[test]
    fn what_stays_says_what_it_waits_for() {
        let namespace = json!({
            "kind": "Namespace", "spec": {"finalizers": ["kubernetes"]},
            "status": {"conditions": [{"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"}]},
        });
        assert_eq!(
            it_stays(&namespace),
            "waits for kubernetes; pods. has 1 resource instances"
        );
        let class = json!({"kind": "EC2NodeClass", "metadata": {"finalizers": ["karpenter.k8s.aws/termination"]}});
        assert_eq!(it_stays(&class), "waits for karpenter.k8s.aws/termination");
    }
}
