//! What a machine is as a Node: its labels, taints, sizes and facts.

use std::collections::BTreeMap;

use catalog::instance_types::{
    self, AmiFamily, EvictionHard, Hypervisor, NodeSettings, PodLimits, Reservation, Resources,
    Threshold,
};
use jiff::Timestamp;
use objects::Quantity;
use objects::ec2nodeclass::{Ec2NodeClass, Kubelet};
use objects::karpenter::{NodeClaim, ResourceList};
use serde_json::{Map, Value as Json, json};

use crate::cloud::{Instance, Origin};
use crate::document::{Named, seconds};
use crate::draw::{digest, number};
use crate::{Key, View};

pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// How a class sets its nodes up, as far as it decides their size.
#[must_use]
pub fn settings(class: &Ec2NodeClass) -> NodeSettings {
    let spec = &class.spec;
    let alias = || {
        let mut terms = spec.ami_selector_terms.iter();
        terms.find_map(|term| term.alias.clone())
    };
    let family = spec.ami_family.clone().or_else(alias).unwrap_or_default();
    let bottlerocket = family.to_ascii_lowercase().starts_with("bottlerocket");
    let kubelet = spec.kubelet.clone().unwrap_or_default();
    let device = if bottlerocket {
        "/dev/xvdb"
    } else {
        "/dev/xvda"
    };
    let mappings = &spec.block_device_mappings;
    let root = mappings
        .iter()
        .find(|mapping| mapping.root_volume)
        .or_else(|| {
            mappings
                .iter()
                .find(|mapping| mapping.device_name.as_deref() == Some(device))
        })
        .and_then(|mapping| mapping.ebs.as_ref()?.volume_size.as_ref())
        .and_then(|size| size.0.parse::<Quantity>().ok())
        .map(Quantity::units);
    let count = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let defaults = NodeSettings::default();
    NodeSettings {
        ami_family: if bottlerocket {
            AmiFamily::Bottlerocket
        } else {
            AmiFamily::Al2023
        },
        pods: PodLimits {
            max_pods: count(kubelet.max_pods),
            pods_per_core: count(kubelet.pods_per_core),
            ..PodLimits::default()
        },
        kube_reserved: reservation(&kubelet.kube_reserved),
        system_reserved: reservation(&kubelet.system_reserved),
        eviction_hard: eviction(&kubelet),
        root_volume_bytes: root.unwrap_or(defaults.root_volume_bytes),
        local_disks_as_raid0: spec.instance_store_policy.as_deref() == Some("RAID0"),
        ..defaults
    }
}

fn reservation(list: &ResourceList) -> Reservation {
    let amount = |name: &str| list.get(name)?.0.parse::<Quantity>().ok();
    Reservation {
        cpu_milli: amount("cpu").map(Quantity::milli),
        memory_bytes: amount("memory").map(Quantity::units),
        ephemeral_storage_bytes: amount("ephemeral-storage").map(Quantity::units),
    }
}

fn eviction(kubelet: &Kubelet) -> EvictionHard {
    let threshold = |signal: &str| {
        let text = kubelet.eviction_hard.get(signal)?;
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Threshold::Percent),
            None => text
                .parse::<Quantity>()
                .ok()
                .map(|bytes| Threshold::Bytes(bytes.units())),
        }
    };
    EvictionHard {
        memory_available: threshold("memory.available"),
        nodefs_available: threshold("nodefs.available"),
    }
}

/// Everything that a Node is made of.
pub(super) struct Machine<'a> {
    pub instance: &'a Instance,
    /// The claim that it was launched for.
    pub claim: Option<&'a NodeClaim>,
    view: &'a View,
    kubelet_version: &'a str,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        view: &'a View,
        instance: &'a Instance,
        claim: Option<&'a NodeClaim>,
        kubelet_version: &'a str,
    ) -> Self {
        Self {
            instance,
            claim,
            view,
            kubelet_version,
        }
    }

    fn class(&self) -> Option<&Ec2NodeClass> {
        let name = &self.claim?.spec.node_class_ref.name;
        let class = self.view.ec2_node_classes.get(&Key::cluster(name))?;
        Some(class)
    }

    fn zone_id(&self) -> Option<&str> {
        let subnets = &self.view.cloud.network.subnets;
        subnets
            .iter()
            .find(|subnet| subnet.id == self.instance.subnet)
            .or_else(|| {
                subnets
                    .iter()
                    .find(|subnet| subnet.zone == self.instance.zone)
            })
            .map(|subnet| subnet.zone_id.as_str())
            .filter(|id| !id.is_empty())
    }

    fn architecture(&self) -> &'static str {
        instance_types::by_name(&self.instance.instance_type)
            .map_or("amd64", |of| of.architecture.as_str())
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let instance = self.instance;
        let cloud = &self.view.cloud;
        let arch = self.architecture();
        let mut labels: BTreeMap<String, String> = [
            ("kubernetes.io/hostname", instance.private_dns_name.as_str()),
            ("kubernetes.io/arch", arch),
            ("kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("node.kubernetes.io/instance-type", &instance.instance_type),
            ("beta.kubernetes.io/instance-type", &instance.instance_type),
            ("topology.kubernetes.io/zone", &instance.zone),
            ("failure-domain.beta.kubernetes.io/zone", &instance.zone),
            ("topology.kubernetes.io/region", &cloud.region),
            ("failure-domain.beta.kubernetes.io/region", &cloud.region),
            ("topology.ebs.csi.aws.com/zone", &instance.zone),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        // The cloud provider's label by which it tells its clusters apart.
        let provider = digest(&[&cloud.cluster, "cloud-provider-aws"]);
        labels.insert(
            "k8s.io/cloud-provider-aws".to_owned(),
            provider[..32].to_owned(),
        );
        if let Some(id) = self.zone_id() {
            labels.insert("topology.k8s.aws/zone-id".to_owned(), id.to_owned());
        }
        match (&instance.origin, self.claim) {
            (
                Origin::NodeGroup {
                    name, labels: own, ..
                },
                _,
            ) => {
                let bought = if instance.spot { "SPOT" } else { "ON_DEMAND" };
                for (key, value) in [
                    ("eks.amazonaws.com/nodegroup", name.as_str()),
                    ("eks.amazonaws.com/nodegroup-image", &instance.image),
                    ("eks.amazonaws.com/capacityType", bought),
                ] {
                    labels.insert(key.to_owned(), value.to_owned());
                }
                labels.extend(own.clone());
            }
            (Origin::NodeClaim(_), claim) => {
                let bought = if instance.spot { "spot" } else { "on-demand" };
                labels.insert("karpenter.sh/capacity-type".to_owned(), bought.to_owned());
                labels.insert(
                    "karpenter.sh/do-not-sync-taints".to_owned(),
                    "true".to_owned(),
                );
                if let Some(of) = instance_types::by_name(&instance.instance_type) {
                    for (key, value) in of.labels() {
                        labels.insert(key.to_owned(), value.into_owned());
                    }
                }
                if let Some(claim) = claim {
                    labels.insert(
                        "karpenter.k8s.aws/ec2nodeclass".to_owned(),
                        claim.spec.node_class_ref.name.clone(),
                    );
                    labels.extend(claim.metadata.labels.clone().unwrap_or_default());
                }
            }
        }
        labels
    }

    fn taints(&self) -> Vec<Json> {
        let mut taints = Vec::new();
        let mut add = |key: &str, value: Option<&str>, effect: &str| {
            let mut taint = json!({"key": key, "effect": effect});
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                taint["value"] = json!(value);
            }
            if !taints.contains(&taint) {
                taints.push(taint);
            }
        };
        match &self.instance.origin {
            Origin::NodeGroup { taints, .. } => {
                for (key, value, effect) in taints {
                    add(key, Some(value), effect);
                }
            }
            Origin::NodeClaim(_) => {
                add("karpenter.sh/unregistered", None, "NoExecute");
                let of_claim = self
                    .claim
                    .iter()
                    .flat_map(|claim| claim.spec.taints.iter().chain(&claim.spec.startup_taints));
                for taint in of_claim {
                    add(&taint.key, taint.value.as_deref(), &taint.effect);
                }
            }
        }
        add(NOT_READY, None, "NoSchedule");
        taints
    }

    /// Capacity and allocatable: those of the type and the node class, or, of a type that the catalog doesn't know, what the claim
    /// was promised.
    fn size(&self) -> (Json, Json) {
        let Some(of) = instance_types::by_name(&self.instance.instance_type) else {
            let promised = self
                .claim
                .and_then(|claim| claim.status.as_ref())
                .map(|status| (json!(status.capacity), json!(status.allocatable)));
            return promised.unwrap_or_default();
        };
        let settings = self.class().map_or_else(NodeSettings::default, settings);
        let size = of.node_size(&settings);
        let amounts = |of_node: Resources| {
            let mut amounts = Map::new();
            amounts.insert("cpu".to_owned(), json!(cpu(of_node.cpu_milli)));
            let memory = format!("{}Ki", of_node.memory_bytes.max(0) >> 10);
            amounts.insert("memory".to_owned(), json!(memory));
            let storage = of_node.ephemeral_storage_bytes.max(0);
            amounts.insert("ephemeral-storage".to_owned(), json!(storage.to_string()));
            amounts.insert("pods".to_owned(), json!(of_node.pods.max(0).to_string()));
            for name in ["hugepages-1Gi", "hugepages-2Mi"] {
                amounts.insert(name.to_owned(), json!("0"));
            }
            amounts
        };
        let (mut capacity, mut allocatable) = (amounts(size.capacity), amounts(size.allocatable()));
        for (name, count) in of.extended_resources() {
            // Branch interfaces and EFAs are there once their controllers say so, which run in no cluster by default.
            if name.starts_with("vpc.amazonaws.com/") {
                continue;
            }
            capacity.insert(name.to_owned(), json!(count.to_string()));
            allocatable.insert(name.to_owned(), json!(count.to_string()));
        }
        (Json::Object(capacity), Json::Object(allocatable))
    }

    /// The status of a node, ready or not.
    pub(super) fn status(&self, ready: bool, now: Timestamp) -> Json {
        let instance = self.instance;
        let (capacity, allocatable) = self.size();
        let uuid = digest(&["machine", &instance.id]);
        json!({
            "capacity": capacity,
            "allocatable": allocatable,
            "conditions": conditions(ready, now),
            "addresses": [
                {"type": "InternalIP", "address": instance.private_ip},
                {"type": "InternalDNS", "address": instance.private_dns_name},
                {"type": "Hostname", "address": instance.private_dns_name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": self.architecture(),
                "operatingSystem": "linux",
                "osImage": self.os_image(),
                "kernelVersion": "6.12.46-66.121.amzn2023",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": self.kubelet_version,
                "kubeProxyVersion": self.kubelet_version,
                "machineID": uuid[..32],
                "systemUUID": format!("ec2{}-{}-{}-{}-{}", &uuid[3..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..32]),
                "bootID": format!("{}-{}-{}-{}-{}", &uuid[32..40], &uuid[40..44], &uuid[44..48], &uuid[48..52], &uuid[52..64]),
            },
        })
    }

    fn os_image(&self) -> &'static str {
        let bottlerocket = self
            .class()
            .is_some_and(|class| settings(class).ami_family == AmiFamily::Bottlerocket);
        if bottlerocket {
            "Bottlerocket OS 1.46.0 (aws-k8s-1.33)"
        } else {
            "Amazon Linux 2023.9.20251020"
        }
    }

    /// The Node as its kubelet registers it.
    pub(super) fn node(&self, now: Timestamp, ready: bool) -> Json {
        let instance = self.instance;
        let taints: Vec<Json> = self
            .taints()
            .into_iter()
            .filter(|taint| !(ready && taint["key"] == NOT_READY))
            .collect();
        let mut spec = json!({"providerID": format!("aws:///{}/{}", instance.zone, instance.id)});
        if !taints.is_empty() {
            spec["taints"] = json!(taints);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": instance.private_dns_name,
                "labels": self.labels(),
                "annotations": {
                    "alpha.kubernetes.io/provided-node-ip": instance.private_ip,
                    "node.alpha.kubernetes.io/ttl": "0",
                    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                },
            },
            "spec": spec,
            "status": self.status(ready, now),
        })
    }

    /// How many volumes the EBS CSI driver attaches: 27 share the slots of a Nitro machine with its network interfaces and its root
    /// volume, 39 a Xen one's (the driver's `pkg/cloud/limits`, without its table of the newest types).
    pub(super) fn volume_limit(&self) -> u32 {
        match instance_types::by_name(&self.instance.instance_type) {
            Some(of) if of.hypervisor == Hypervisor::Xen => 38,
            _ => 26,
        }
    }

    /// From the launch until the kubelet registers, in modelled seconds: 30 to 50, drawn from the instance. An assumption; with the
    /// time to get ready it is what the simulator's delays are in the middle.
    pub(super) fn join_seconds(instance: &Instance) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "up to 20")]
        let drawn = (number(&["join", &instance.id]) % 21) as f64;
        30.0 + drawn
    }
}

/// As Kubernetes writes thousandths of cores.
fn cpu(milli: i64) -> String {
    if milli % 1000 == 0 {
        (milli / 1000).to_string()
    } else {
        format!("{}m", milli.max(0))
    }
}

/// A node's conditions as its kubelet reports them.
pub(super) fn conditions(ready: bool, now: Timestamp) -> Json {
    let now = seconds(now);
    let one = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({"type": type_, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    let last = if ready {
        one(
            "Ready",
            "True",
            "KubeletReady",
            "kubelet is posting ready status",
        )
    } else {
        one(
            "Ready",
            "False",
            "KubeletNotReady",
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
        )
    };
    json!([
        one(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available"
        ),
        one(
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure"
        ),
        one(
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available"
        ),
        last,
    ])
}

/// The claim that an instance was launched for, if it is still wanted.
pub(super) fn claim<'a>(view: &'a View, instance: &Instance) -> Option<&'a NodeClaim> {
    match &instance.origin {
        Origin::NodeGroup { .. } => None,
        Origin::NodeClaim(name) => {
            let claim = view.node_claims.get(&Key::cluster(name))?;
            claim.metadata.deletion_timestamp.is_none().then_some(claim)
        }
    }
}

/// Whether a node's object belongs to a machine, by its name or what it says itself.
pub(super) fn node_name<'a>(view: &'a View, id: &str) -> Option<&'a str> {
    if let Some(instance) = view.cloud.instances.get(id) {
        return Some(&instance.private_dns_name);
    }
    view.nodes
        .iter()
        .find(|(_, node)| crate::kubelet::instance_id(node) == Some(id))
        .map(|(_, node)| node.name())
}
