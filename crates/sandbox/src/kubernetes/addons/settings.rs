//! An add-on's configuration, and what of it every workload takes.

use serde_json::{Map, Value as Json, json};

/// `ConfigurationValues`, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Settings(Json);

impl Settings {
    /// Reads JSON or YAML. What can't be read says nothing: the embedded AWS has refused it before.
    pub(super) fn read(text: &str) -> Self {
        let json = serde_json::from_str(text)
            .ok()
            .or_else(|| serde_saphyr::from_str::<Json>(text).ok());
        Self(json.filter(Json::is_object).unwrap_or_default())
    }

    /// A part of it.
    pub(super) fn part(&self, name: &str) -> Self {
        Self(self.0.get(name).cloned().unwrap_or_default())
    }

    /// A value, at a JSON pointer.
    pub(super) fn at(&self, pointer: &str) -> Option<&Json> {
        self.0.pointer(pointer).filter(|value| !value.is_null())
    }

    /// Environment variables: the defaults, and what is configured in their place or beside them, in the order of names.
    pub(super) fn environment(&self, defaults: &[(&str, &str)]) -> Vec<Json> {
        let mut all: Map<String, Json> = defaults
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        for (name, value) in self
            .at("/env")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            let value = match value {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            all.insert(name.clone(), json!(value));
        }
        let mut all: Vec<(String, Json)> = all.into_iter().collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect()
    }

    /// Sets a workload as it is configured: the replicas of a Deployment, where its pods may run, what its first container takes.
    pub(super) fn set(&self, workload: &mut Json) {
        if workload["kind"] == "Deployment"
            && let Some(replicas) = self.at("/replicaCount")
        {
            workload["spec"]["replicas"] = replicas.clone();
        }
        let template = &mut workload["spec"]["template"];
        for (setting, place) in [("/podLabels", "labels"), ("/podAnnotations", "annotations")] {
            let own = self.at(setting).and_then(Json::as_object);
            for (key, value) in own.into_iter().flatten() {
                template["metadata"][place][key] = value.clone();
            }
        }
        let pod = &mut template["spec"];
        for name in [
            "affinity",
            "nodeSelector",
            "priorityClassName",
            "tolerations",
            "topologySpreadConstraints",
        ] {
            if let Some(value) = self.at(&format!("/{name}")) {
                pod[name] = value.clone();
            }
        }
        if let Some(resources) = self.at("/resources") {
            pod["containers"][0]["resources"] = resources.clone();
        }
    }
}

/// Tolerates every taint.
pub(super) fn everything() -> Json {
    json!([{"operator": "Exists"}])
}

/// Linux nodes of ours, not what EKS runs itself.
pub(super) fn on_our_nodes() -> Json {
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate", "hybrid", "auto"]},
    ]}]}}})
}

/// Rather not on a node that has such a pod.
pub(super) fn rather_apart(labels: &Json) -> Json {
    json!({"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"},
    }]})
}

/// Spread over zones where that can be.
pub(super) fn over_zones(labels: &Json) -> Json {
    json!([{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }])
}

/// A budget by which one pod may be missing.
pub(super) fn budget(namespace: &str, name: &str, labels: &Json, selector: &Json) -> Json {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    })
}

/// Labels and more of them.
pub(super) fn with(labels: &Json, more: Json) -> Json {
    let mut all = labels.clone();
    if let (Json::Object(all), Json::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}
