//! Which nodes have a daemon, and the daemon's pod for a node (`NodeShouldRunDaemonPod`, daemon/daemon_controller.go;
//! daemon/util/daemonset_util.go).

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};

use crate::workloads::placement::Placement;
use crate::workloads::pods::node_of;

/// What every daemon tolerates, so that a node in trouble keeps it (`AddOrUpdateDaemonPodTolerations`).
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// The same, for those in the host's network.
const TOLERATED_IN_HOST_NETWORK: (&str, &str) =
    ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// A set's template, read once for all nodes.
pub(super) struct Daemon<'a> {
    placement: Placement<'a>,
}

impl<'a> Daemon<'a> {
    pub(super) fn of(set: &'a DaemonSet) -> Option<Self> {
        let spec = set.spec.as_ref()?.template.spec.as_ref()?;
        Some(Self {
            placement: Placement::of(spec, tolerations(spec)),
        })
    }

    /// Whether a pod should be put on the node, and whether one that is there stays.
    pub(super) fn place(&self, node: &Node) -> (bool, bool) {
        if !self.placement.selects(node) {
            return (false, false);
        }
        let hard = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
        if self.placement.tolerates(node, hard) {
            return (true, true);
        }
        let stays = self
            .placement
            .tolerates(node, |effect| effect == "NoExecute");
        (false, stays)
    }
}

fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut all = spec.tolerations.clone().unwrap_or_default();
    let host = (spec.host_network == Some(true)).then_some(TOLERATED_IN_HOST_NETWORK);
    for (key, effect) in TOLERATED.into_iter().chain(host) {
        let ours = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !all.contains(&ours) {
            all.push(ours);
        }
    }
    all
}

/// The node that a pod is for: where it is, or where its affinity says (`GetTargetNodeName`).
pub(super) fn target(pod: &Pod) -> Option<&str> {
    if let Some(node) = node_of(pod) {
        return Some(node);
    }
    let affinity = pod
        .spec
        .as_ref()?
        .affinity
        .as_ref()?
        .node_affinity
        .as_ref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten());
    fields
        .filter(|field| field.key == "metadata.name" && field.operator == "In")
        .find_map(|field| match field.values.as_deref() {
            Some([node]) => Some(node.as_str()),
            _ => None,
        })
}

/// Puts a pod's specification on one node: its required terms make way for the node's name
/// (`ReplaceDaemonSetPodNodeNameNodeAffinity`).
pub(super) fn aim(spec: &mut PodSpec, node: &str) {
    spec.tolerations = Some(tolerations(spec));
    spec.affinity
        .get_or_insert_default()
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_expressions: None,
            match_fields: Some(vec![NodeSelectorRequirement {
                key: "metadata.name".to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![node.to_owned()]),
            }]),
        }],
    });
}
