//! What pods are put together of, whoever's they are.

use std::collections::BTreeMap;

use objects::k8s_openapi::api::core::v1::{
    Container, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PodAffinityTerm, PodAntiAffinity, PodSpec, ResourceRequirements, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use objects::k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use objects::k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use objects::k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::snapshot::Object;

pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

/// The built-in priority classes and their values (Kubernetes, `pkg/apis/scheduling/types.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Critical {
    Node,
    Cluster,
}

impl Critical {
    /// Names the class, and gives its value as admission would: who reads the pod needs no class to know it.
    pub(super) fn apply(self, pod: &mut PodSpec) {
        let (name, value) = match self {
            Self::Node => ("system-node-critical", 2_000_001_000),
            Self::Cluster => ("system-cluster-critical", 2_000_000_000),
        };
        pod.priority_class_name = Some(name.to_owned());
        pod.priority = Some(value);
    }
}

pub(super) type Labels = BTreeMap<String, String>;

pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn metadata(name: &str, namespace: Option<&str>, labels: Labels) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: (!labels.is_empty()).then_some(labels),
        ..ObjectMeta::default()
    }
}

pub(super) fn selector(labels: &Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels.clone()),
        ..LabelSelector::default()
    }
}

/// Amounts by resource; without those that are empty.
pub(super) fn amounts<const N: usize>(
    pairs: [(&str, &str); N],
) -> Option<BTreeMap<String, Quantity>> {
    let amounts: BTreeMap<_, _> = pairs
        .into_iter()
        .filter(|(_, amount)| !amount.is_empty())
        .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
        .collect();
    (!amounts.is_empty()).then_some(amounts)
}

/// A container that asks for so much CPU and memory; an empty text asks for none.
pub(super) fn container(name: &str, cpu: &str, memory: &str) -> Container {
    let requests = amounts([("cpu", cpu), ("memory", memory)]);
    Container {
        name: name.to_owned(),
        resources: requests.map(|requests| ResourceRequirements {
            requests: Some(requests),
            ..ResourceRequirements::default()
        }),
        ..Container::default()
    }
}

/// Tolerates everything.
pub(super) fn tolerates_all() -> Toleration {
    Toleration {
        operator: Some("Exists".to_owned()),
        ..Toleration::default()
    }
}

/// Tolerates the taint of this key, whatever its value and effect.
pub(super) fn tolerates(key: &str) -> Toleration {
    Toleration {
        key: Some(key.to_owned()),
        ..tolerates_all()
    }
}

pub(super) fn expression(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty())
            .then(|| values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

/// Only on nodes that meet all expressions.
pub(super) fn on_nodes(expressions: Vec<NodeSelectorRequirement>) -> NodeAffinity {
    NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector {
            node_selector_terms: vec![NodeSelectorTerm {
                match_expressions: Some(expressions),
                ..NodeSelectorTerm::default()
            }],
        }),
        ..NodeAffinity::default()
    }
}

fn beside(labels: &Labels) -> PodAffinityTerm {
    PodAffinityTerm {
        label_selector: Some(selector(labels)),
        topology_key: HOSTNAME.to_owned(),
        ..PodAffinityTerm::default()
    }
}

/// Never two of them on a node.
pub(super) fn apart(labels: &Labels) -> PodAntiAffinity {
    PodAntiAffinity {
        required_during_scheduling_ignored_during_execution: Some(vec![beside(labels)]),
        ..PodAntiAffinity::default()
    }
}

/// Not two of them on a node where that is possible.
pub(super) fn rather_apart(labels: &Labels) -> PodAntiAffinity {
    PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
            weight: 100,
            pod_affinity_term: beside(labels),
        }]),
        ..PodAntiAffinity::default()
    }
}

/// Spread over the values of a node's label, none having more than one replica over the others.
pub(super) fn spread(
    key: &str,
    when_unsatisfiable: &str,
    labels: &Labels,
) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: when_unsatisfiable.to_owned(),
        label_selector: Some(selector(labels)),
        ..TopologySpreadConstraint::default()
    }
}

/// How many replicas must stay. One of the two numbers.
pub(super) fn disruption_budget(
    metadata: ObjectMeta,
    labels: &Labels,
    max_unavailable: Option<u32>,
    min_available: Option<u32>,
) -> Object {
    let number = |number: u32| IntOrString::Int(i32::try_from(number).unwrap_or(i32::MAX));
    Object::PodDisruptionBudget(Box::new(PodDisruptionBudget {
        metadata,
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(selector(labels)),
            max_unavailable: max_unavailable.map(number),
            min_available: min_available.map(number),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }))
}
