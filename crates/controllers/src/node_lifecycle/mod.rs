//! Machines become Nodes, and Nodes go with their machines.
//!
//! What the kubelet does about its own Node, the node lifecycle controller (`pkg/controller/nodelifecycle`) about one that is not heard
//! of any more, and the cloud provider's controller about one whose instance is gone (`cloud-provider/controllers/nodelifecycle`). Pods
//! are taken off such nodes by [`TaintEviction`] and [`PodCollector`].

mod eviction;
mod machine;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value as Json, json};

pub(crate) use eviction::disrupted;
pub use eviction::{PodCollector, TaintEviction};
pub use machine::settings;

use crate::cloud::{Instance, InstanceState};
use crate::document::{Named, seconds};
use crate::kubelet::instance_id;
use crate::volumes::{Driver, EBS};
use crate::{
    Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, Reference, View,
};
use machine::{Machine, NOT_READY, UNREACHABLE};

/// From a kubelet's registration until it is ready, in modelled seconds. An assumption.
const READY_SECONDS: f64 = 10.0;
/// `--node-monitor-grace-period`: how long a node may be silent, in modelled seconds.
const GRACE_SECONDS: f64 = 50.0;

/// The pods that make a node's network, by their label `k8s-app`: the VPC CNI's, Cilium's, Calico's.
const NETWORKS: [&str; 3] = ["aws-node", "cilium", "calico-node"];

/// Whether nodes have a pod network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// They are taken to have one.
    #[default]
    Assumed,
    /// A node has one once its plugin's pod there has been ready, and is not ready before. Without a plugin it never is, as on EKS.
    WhenInstalled,
}

/// Whether a pod is that of a network's plugin.
fn is_network(pod: &Pod) -> bool {
    pod.label("k8s-app")
        .is_some_and(|name| NETWORKS.contains(&name))
        && pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.host_network == Some(true))
}

impl Network {
    fn is_there(self, view: &View, node: &Node) -> bool {
        let is_ready = |pod: &Pod| {
            let conditions = pod.status.iter().flat_map(|status| &status.conditions);
            conditions
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        self == Self::Assumed
            || view
                .pods_on(node.name())
                .any(|(_, pod)| is_network(pod) && is_ready(pod))
    }
}

/// Keeps Nodes as their machines are. A key is an instance's id.
#[derive(Debug)]
pub struct Nodes {
    kubelet_version: String,
    driver: Driver,
    network: Network,
    /// How long from one renewal of a node's Lease to the next.
    heartbeat: SignedDuration,
    /// When each node's Lease was last renewed.
    renewed: BTreeMap<String, Timestamp>,
    /// Since when a machine's kubelet has been silent.
    silent: BTreeMap<String, Timestamp>,
    /// What has been told of a machine's node, which is that of this uid.
    told: BTreeMap<String, (String, BTreeSet<&'static str>)>,
}

impl Nodes {
    /// `kubelet_version` is what nodes say (`v1.33.5-eks-113cf36`); a heartbeat is a write for each node, so it is far less frequent
    /// than the kubelet's own ten seconds.
    #[must_use]
    pub fn new(
        kubelet_version: String,
        driver: Driver,
        network: Network,
        heartbeat: SignedDuration,
    ) -> Self {
        Self {
            kubelet_version,
            driver,
            network,
            heartbeat,
            renewed: BTreeMap::new(),
            silent: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }
}

fn condition<'a>(
    node: &'a Node,
    type_: &str,
) -> Option<&'a k8s_openapi::api::core::v1::NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn has_taint(node: &Node, key: &str) -> bool {
    node.spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .any(|taint| taint.key == key)
}

/// A node's taints without those of a key and with others, if that is not what it has. Taints that evict say since when.
fn retaint(node: &Node, drop: &[&str], add: &[(&str, &str)], now: Timestamp) -> Option<Action> {
    let old = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    let mut new: Vec<Json> = old
        .iter()
        .filter(|taint| !drop.contains(&taint.key.as_str()))
        .map(|taint| json!(taint))
        .collect();
    let before = old.len();
    let mut changed = new.len() != before;
    for (key, effect) in add {
        let there = old
            .iter()
            .any(|taint| taint.key == *key && taint.effect == *effect);
        if !there {
            changed = true;
            let mut taint = json!({"key": key, "effect": effect});
            if *effect == "NoExecute" {
                taint["timeAdded"] = json!(seconds(now));
            }
            new.push(taint);
        }
    }
    let taints = if new.is_empty() {
        Json::Null
    } else {
        json!(new)
    };
    changed.then(|| node.patch_as_seen(json!({"spec": {"taints": taints}})))
}

impl Controller for Nodes {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match change.kind {
            Some(Kind::Node) => {
                let id = |object: &Option<Object>| match object {
                    Some(Object::Node(node)) => instance_id(node).map(str::to_owned),
                    _ => None,
                };
                let mut ids: BTreeSet<String> = [id(&change.before), id(&change.after)]
                    .into_iter()
                    .flatten()
                    .collect();
                if change.after.is_none() {
                    // It may have stood, without saying whose it is, where a machine's is to be.
                    let all = view.cloud.instances.values();
                    let of_name = all.filter(|one| one.private_dns_name == *change.key.name);
                    ids.extend(of_name.map(|instance| instance.id.clone()));
                }
                ids.iter().map(|id| Key::cluster(id)).collect()
            }
            Some(Kind::Cloud) => {
                let machines = view
                    .cloud
                    .instances
                    .values()
                    .filter(|instance| {
                        change.machines.contains(&instance.id)
                            || instance.state != InstanceState::Running
                            || view
                                .nodes
                                .get(&Key::cluster(&instance.private_dns_name))
                                .is_none_or(|node| has_taint(node, UNREACHABLE))
                    })
                    .map(|instance| Key::cluster(&instance.id));
                let gone = view
                    .nodes
                    .iter()
                    .filter_map(|(_, node)| instance_id(node))
                    .filter(|id| !view.cloud.instances.contains_key(*id))
                    .map(Key::cluster);
                machines.chain(gone).collect()
            }
            Some(Kind::Pod) if self.network == Network::WhenInstalled => {
                let Some(Object::Pod(pod)) = &change.after else {
                    return Vec::new();
                };
                let node = pod.spec.as_ref().filter(|_| is_network(pod));
                node.and_then(|spec| view.nodes.get(&Key::cluster(spec.node_name.as_deref()?)))
                    .and_then(|node| instance_id(node))
                    .map(Key::cluster)
                    .into_iter()
                    .collect()
            }
            // The add-on of the EBS driver came.
            _ if change.resource == "csidrivers" || &*change.key.name == "ebs-csi-node" => {
                let all = view.cloud.instances.keys();
                all.map(|id| Key::cluster(id)).collect()
            }
            Some(Kind::NodeClaim) => view
                .cloud
                .instances
                .values()
                .filter(|instance| {
                    matches!(&instance.origin, crate::cloud::Origin::NodeClaim(name) if **name == *change.key.name)
                })
                .map(|instance| Key::cluster(&instance.id))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let node = machine::node_name(view, &key.name)
            .and_then(|name| view.nodes.get(&Key::cluster(name)));
        let instance = view.cloud.instances.get(&*key.name);
        if node.is_none() {
            self.told.remove(&*key.name);
        }
        match (instance, node) {
            (Some(instance), _) if instance.state == InstanceState::Pending => Outcome::settled(),
            (Some(instance), node) if instance.state == InstanceState::Running => {
                self.silent.remove(&instance.id);
                match node {
                    Some(node) => self.keep(instance, node, context),
                    None => self.register(instance, context),
                }
            }
            (Some(instance), Some(node)) if instance.state == InstanceState::ShuttingDown => {
                self.miss(instance, node, context)
            }
            (Some(_), None) | (None, None) => {
                self.silent.remove(&*key.name);
                Outcome::settled()
            }
            (_, Some(node)) => self.forget(&key.name, node),
        }
    }
}

impl Nodes {
    fn tell_once(
        &mut self,
        id: &str,
        node: &Node,
        kind: EventKind,
        reason: &'static str,
        message: String,
    ) -> Option<Action> {
        let (uid, told) = self.told.entry(id.to_owned()).or_default();
        if uid != node.uid() {
            node.uid().clone_into(uid);
            told.clear();
        }
        told.insert(reason)
            .then(|| node.tell(kind, reason, message))
    }

    /// A machine that runs and is no node yet.
    fn register(&mut self, instance: &Instance, context: Context<'_>) -> Outcome {
        let at = context
            .pace
            .after(instance.launched_at, Machine::join_seconds(instance));
        if at > context.now {
            return Outcome::settled().again_at(at);
        }
        let claim = machine::claim(context.view, instance);
        let is_claimed = matches!(instance.origin, crate::cloud::Origin::NodeClaim(_));
        if is_claimed && claim.is_none() {
            // Karpenter is about to terminate it.
            return Outcome::settled();
        }
        let machine = Machine::new(context.view, instance, claim, &self.kubelet_version);
        let ready = context.pace.wait(READY_SECONDS).is_zero() && self.network == Network::Assumed;
        Outcome::of(vec![Action::Create(machine.node(context.now, ready))])
    }

    /// A node whose machine runs.
    fn keep(&mut self, instance: &Instance, node: &Node, context: Context<'_>) -> Outcome {
        let mut actions = Vec::new();
        let mut again = None;
        let claim = machine::claim(context.view, instance);
        let version = self.kubelet_version.clone();
        let machine = Machine::new(context.view, instance, claim, &version);
        let has_status = node
            .status
            .as_ref()
            .is_some_and(|status| status.capacity.is_some() && status.conditions.is_some());
        let ready = condition(node, "Ready").is_some_and(|ready| ready.status == "True");
        let created = node
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(context.now, |time| time.0);
        let ready_at = context.pace.after(created, READY_SECONDS);
        let waits = ready_at > context.now;
        // The plugin's files stay on the machine, whatever becomes of its pod.
        let due = !waits && (ready || self.network.is_there(context.view, node));
        if !has_status {
            actions.push(node.patch_status(machine.status(due, context.now)));
        } else if !ready && due {
            actions.push(
                node.patch_status(json!({"conditions": machine::conditions(true, context.now)})),
            );
        }
        if !ready && due {
            let message = format!("Node {} status is now: NodeReady", node.name());
            actions.extend(self.tell_once(
                &instance.id,
                node,
                EventKind::Normal,
                "NodeReady",
                message,
            ));
        }
        if due {
            // One whose status was just written is looked at again when that is seen.
            if ready {
                actions.extend(retaint(node, &[NOT_READY, UNREACHABLE], &[], context.now));
            }
        } else if waits {
            again = Some(ready_at);
        }
        let message = format!(
            "Node {} event: Registered Node {} in Controller",
            node.name(),
            node.name()
        );
        actions.extend(self.tell_once(
            &instance.id,
            node,
            EventKind::Normal,
            "RegisteredNode",
            message,
        ));
        actions.extend(csi_node(node, &machine, self.driver, context.view));
        let (lease, next) = self.renew(node, context);
        actions.extend(lease);
        let again = again.map_or(next, |again| again.min(next));
        Outcome::of(actions).again_at(again)
    }

    /// A node's Lease, if it is time, and when it will be again.
    fn renew(&mut self, node: &Node, context: Context<'_>) -> (Option<Action>, Timestamp) {
        let next = |from: Timestamp| {
            from.saturating_add(self.heartbeat)
                .unwrap_or(Timestamp::MAX)
        };
        let place = Key::new("kube-node-lease", node.name());
        let there = context
            .view
            .metadata("coordination.k8s.io", "leases", &place);
        if let (Some(last), true) = (self.renewed.get(node.name()), there.is_some())
            && next(*last) > context.now
        {
            return (None, next(*last));
        }
        let at = next(context.now);
        self.renewed.insert(node.name().to_owned(), context.now);
        let time = micro(context.now);
        let action = match there {
            Some(there) => Action::Patch {
                of: Reference::new("coordination.k8s.io", "leases", &place),
                subresource: None,
                patch: json!({"metadata": {"uid": there.uid}, "spec": {"renewTime": time}}),
            },
            None => Action::Create(json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": node.name(), "namespace": "kube-node-lease", "ownerReferences": [node_owner(node)]},
                "spec": {"holderIdentity": node.name(), "leaseDurationSeconds": 40, "renewTime": time},
            })),
        };
        (Some(action), at)
    }

    /// A node whose machine is going down: its kubelet is silent, which is noticed after a while.
    fn miss(&mut self, instance: &Instance, node: &Node, context: Context<'_>) -> Outcome {
        let since = *self
            .silent
            .entry(instance.id.clone())
            .or_insert(context.now);
        let at = context.pace.after(since, GRACE_SECONDS);
        if at > context.now {
            return Outcome::settled().again_at(at);
        }
        let mut actions = Vec::new();
        let unknown = condition(node, "Ready").is_some_and(|ready| ready.status == "Unknown");
        if !unknown {
            let now = seconds(context.now);
            let conditions: Vec<Json> = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]
                .into_iter()
                .map(|type_| {
                    let heard = condition(node, type_)
                        .and_then(|condition| condition.last_heartbeat_time.as_ref())
                        .map_or(since, |time| time.0);
                    json!({"type": type_, "status": "Unknown", "reason": "NodeStatusUnknown",
                        "message": "Kubelet stopped posting node status.",
                        "lastHeartbeatTime": seconds(heard), "lastTransitionTime": now})
                })
                .collect();
            actions.push(node.patch_status(json!({"conditions": conditions})));
            let message = format!("Node {} status is now: NodeNotReady", node.name());
            actions.extend(self.tell_once(
                &instance.id,
                node,
                EventKind::Normal,
                "NodeNotReady",
                message,
            ));
        } else {
            let taints = [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")];
            actions.extend(retaint(node, &[NOT_READY], &taints, context.now));
        }
        Outcome::of(actions)
    }

    /// A node whose machine is gone.
    fn forget(&mut self, id: &str, node: &Node) -> Outcome {
        self.silent.remove(id);
        self.renewed.remove(node.name());
        if node.is_deleting() {
            return Outcome::settled();
        }
        let message = format!(
            "Deleting node {} because it does not exist in the cloud provider",
            node.name()
        );
        let told = self.tell_once(id, node, EventKind::Normal, "DeletingNode", message);
        Outcome::of(told.into_iter().chain([node.delete(None)]).collect())
    }
}

/// A time with microseconds, as Leases have it.
fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// What the CSI drivers of a node register, if it isn't there.
fn csi_node(node: &Node, machine: &Machine<'_>, driver: Driver, view: &View) -> Option<Action> {
    let drivers = if driver.is_there(view, EBS) {
        json!([{
            "name": EBS,
            "nodeID": machine.instance.id,
            "topologyKeys": ["kubernetes.io/os", "topology.ebs.csi.aws.com/zone", "topology.kubernetes.io/zone"],
            "allocatable": {"count": machine.volume_limit()},
        }])
    } else {
        json!([])
    };
    match view.csi_nodes.get(&node.key()) {
        Some(there) if there.spec.drivers.is_empty() && drivers != json!([]) => {
            Some(there.patch(json!({"spec": {"drivers": drivers}})))
        }
        Some(_) => None,
        None => Some(Action::Create(json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": node.name(), "ownerReferences": [node_owner(node)]},
            "spec": {"drivers": drivers},
        }))),
    }
}

/// The node as the owner of what goes with it.
fn node_owner(node: &Node) -> Json {
    json!({"apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid()})
}
