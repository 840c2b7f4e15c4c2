//! A world that follows a cluster: objects come, change and go, one at a time.
//!
//! For whoever runs a scheduler beside a cluster that lives. Each setter takes an object as it is now and may be called with the
//! same one again; [`Live::sync`] then tells a scheduler what has changed since it was last called. Pods on nodes that are not
//! there (yet) take no room anywhere and are put there when the node comes.

use objects::k8s_openapi::api::core::v1 as core;
use objects::k8s_openapi::api::policy::v1::PodDisruptionBudget;
use objects::k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use rustc_hash::FxHashMap;

use super::build::{labels, name, namespace};
use super::{Builder, Node, NodeId, PodId, World};
use crate::names::Value;
use crate::scheduler::Scheduler;
use crate::version::KarpenterVersion;

/// What a node object says it has, to be read again when pods bring a new resource name.
type Amounts = Option<
    std::collections::BTreeMap<
        String,
        objects::k8s_openapi::apimachinery::pkg::api::resource::Quantity,
    >,
>;

/// A world and the objects that it is made of. Nodes are taken as kube-scheduler sees them: what they have and which taints
/// they carry is what their objects say, whoever manages them.
#[derive(Debug)]
pub struct Live {
    builder: Builder,
    /// By namespace and name.
    pods: FxHashMap<(Box<str>, Box<str>), PodId>,
    nodes: FxHashMap<Value, NodeId>,
    amounts: FxHashMap<NodeId, (Amounts, Amounts)>,
    /// Which node a pod names, for those that name one.
    wanted: FxHashMap<PodId, Value>,
    /// Pods that name a node that is not there.
    waiting: FxHashMap<Value, Vec<PodId>>,
    /// The attachable volumes of nodes by CSI driver.
    volume_limits: FxHashMap<Value, Vec<(Value, u32)>>,
    /// How many resource names nodes have been read with.
    resources: usize,
    changed_nodes: Vec<NodeId>,
    changed_pods: Vec<PodId>,
    removed_pods: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            builder: Builder::new(KarpenterVersion::NEWEST),
            pods: FxHashMap::default(),
            nodes: FxHashMap::default(),
            amounts: FxHashMap::default(),
            wanted: FxHashMap::default(),
            waiting: FxHashMap::default(),
            volume_limits: FxHashMap::default(),
            resources: 0,
            changed_nodes: Vec::new(),
            changed_pods: Vec::new(),
            removed_pods: 0,
        }
    }
}

impl Live {
    /// What there is.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.builder.world
    }

    /// Tells a scheduler of every change since the last call.
    pub fn sync(&mut self, scheduler: &mut Scheduler) {
        let world = &self.builder.world;
        for node in self.changed_nodes.drain(..) {
            scheduler.sync_node(world, node);
        }
        for pod in self.changed_pods.drain(..) {
            scheduler.sync_pod(world, pod);
        }
    }

    /// How many places of pods are taken by ones that are gone: when there are many more than pods it is time for a new world.
    #[must_use]
    pub fn removed_pods(&self) -> usize {
        self.removed_pods
    }

    /// A pod by its name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<PodId> {
        self.pods.get(&(namespace.into(), name.into())).copied()
    }

    /// A node by its name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeId> {
        let name = self.builder.world.names.find_value(name)?;
        self.nodes.get(&name).copied()
    }

    /// Takes a pod as it is now. One of the same name and another UID takes its place.
    pub fn set_pod(&mut self, object: &core::Pod) -> Option<PodId> {
        self.builder.findings.clear();
        let read = self.builder.read_pod(object)?;
        let key: (Box<str>, Box<str>) = (
            namespace(&object.metadata).into(),
            name(&object.metadata).into(),
        );
        let known = self.pods.get(&key).copied();
        let same = known.filter(|id| self.builder.world.pod(*id).uid == read.pod.uid);
        let id = match same {
            Some(id) => {
                let entry = &mut self.builder.world.pods[id.0 as usize];
                let node = entry.node;
                *entry = read.pod;
                entry.node = node;
                id
            }
            None => {
                if let Some(other) = known {
                    self.drop_pod(other);
                }
                let id = self.builder.world.add_pod(read.pod);
                self.pods.insert(key, id);
                id
            }
        };
        if let Some(class) = read.class {
            self.builder.priority_of.push((id, class));
            self.builder.priorities_of_pods();
        }
        self.place(id, read.node);
        self.changed_pods.push(id);
        self.read_new_resources();
        Some(id)
    }

    /// Puts a pod that names no node on one, as if it did, until it is taken anew ([`Live::set_pod`]) or this is forgotten.
    pub fn assume(&mut self, pod: PodId, node: &str) {
        let node = self.builder.world.names.value(node);
        self.place(pod, Some(node));
        self.changed_pods.push(pod);
    }

    /// Takes back what was assumed of a pod.
    pub fn forget(&mut self, pod: PodId) {
        self.place(pod, None);
        self.changed_pods.push(pod);
    }

    /// Takes a pod away.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        if let Some(id) = self.pods.remove(&(namespace.into(), name.into())) {
            self.drop_pod(id);
        }
    }

    fn drop_pod(&mut self, id: PodId) {
        self.place(id, None);
        self.builder.world.remove_pod(id);
        self.changed_pods.push(id);
        self.removed_pods += 1;
    }

    /// Puts a pod on the node that it names.
    fn place(&mut self, id: PodId, node: Option<Value>) {
        if self.wanted.get(&id).copied() == node {
            return;
        }
        let old = match node {
            Some(node) => self.wanted.insert(id, node),
            None => self.wanted.remove(&id),
        };
        if let Some(old) = old
            && let Some(waiting) = self.waiting.get_mut(&old)
        {
            waiting.retain(|other| *other != id);
        }
        let world = &mut self.builder.world;
        match node {
            None => world.unbind(id),
            Some(name) => match self.nodes.get(&name) {
                Some(node) => world.bind(id, *node),
                None => {
                    world.unbind(id);
                    self.waiting.entry(name).or_default().push(id);
                }
            },
        }
    }

    /// Takes a node as it is now.
    pub fn set_node(&mut self, object: &core::Node) -> NodeId {
        self.builder.findings.clear();
        let node_name = name(&object.metadata);
        let mut made = self.builder.node(&node_name, Some(object), None);
        if let Some(limits) = self.volume_limits.get(&made.name) {
            made.volume_limits.clone_from(limits);
        }
        let named = made.name;
        let world = &mut self.builder.world;
        let id = match self.nodes.get(&named) {
            Some(id) => {
                let place = &mut world.nodes[id.0 as usize];
                made.pods = std::mem::take(&mut place.pods);
                *place = made;
                *id
            }
            None => {
                let id = world.add_node(made);
                self.nodes.insert(named, id);
                for pod in self.waiting.remove(&named).unwrap_or_default() {
                    self.builder.world.bind(pod, id);
                    self.changed_pods.push(pod);
                }
                id
            }
        };
        let status = object.status.as_ref();
        self.amounts.insert(
            id,
            (
                status.and_then(|status| status.capacity.clone()),
                status.and_then(|status| status.allocatable.clone()),
            ),
        );
        self.changed_nodes.push(id);
        id
    }

    /// Takes a node away. Its pods keep naming it.
    pub fn remove_node(&mut self, name: &str) {
        let Some(named) = self.builder.world.names.find_value(name) else {
            return;
        };
        let Some(id) = self.nodes.remove(&named) else {
            return;
        };
        let pods = self.builder.world.node(id).pods.clone();
        self.builder.world.remove_node(id);
        self.changed_nodes.push(id);
        self.changed_pods.extend(&pods);
        self.waiting.entry(named).or_default().extend(pods);
        self.amounts.remove(&id);
    }

    /// What a node's CSI drivers can attach; none when the object is gone.
    pub fn set_csi_node(&mut self, name: &str, object: Option<&CSINode>) {
        let names = &mut self.builder.world.names;
        let named = names.value(name);
        let limits: Vec<(Value, u32)> = object
            .into_iter()
            .flat_map(|object| &object.spec.drivers)
            .filter_map(|driver| {
                let count = driver.allocatable.as_ref()?.count?;
                Some((names.value(&driver.name), u32::try_from(count).unwrap_or(0)))
            })
            .collect();
        if let Some(id) = self.nodes.get(&named) {
            self.builder.world.nodes[id.0 as usize]
                .volume_limits
                .clone_from(&limits);
        }
        self.volume_limits.insert(named, limits);
    }

    /// The labels of a namespace; none when it is gone. Whether this is news of a namespace that was there: then a scheduler has to
    /// begin anew.
    pub fn set_namespace(&mut self, name: &str, object: Option<&core::Namespace>) -> bool {
        let names = &mut self.builder.world.names;
        let named = names.value(name);
        let made = object.map(|object| labels(names, object.metadata.labels.as_ref()));
        let namespaces = &mut self.builder.world.namespaces;
        let known = namespaces.get(&named);
        let news = known.is_some_and(|old| made.as_ref().is_some_and(|made| made != old));
        match made {
            Some(made) => namespaces.insert(named, made),
            None => namespaces.remove(&named),
        };
        news
    }

    /// Takes a disruption budget as it is now.
    pub fn set_disruption_budget(&mut self, object: &PodDisruptionBudget) {
        self.builder.disruption_budget(object);
    }

    /// Takes a disruption budget away.
    pub fn remove_disruption_budget(&mut self, namespace: &str, name: &str) {
        let world = &mut self.builder.world;
        let namespace = world.names.value(namespace);
        world
            .disruption_budgets
            .retain(|budget| (budget.namespace, budget.name.as_str()) != (namespace, name));
    }

    /// A claim of a volume; none when it is gone.
    pub fn set_claim(
        &mut self,
        namespace: &str,
        name: &str,
        object: Option<&core::PersistentVolumeClaim>,
    ) {
        let key = (namespace.to_owned(), name.to_owned());
        match object {
            Some(object) => self.builder.volume_claims.insert(key, object.clone()),
            None => self.builder.volume_claims.remove(&key),
        };
        self.refresh_claim(namespace, name);
    }

    /// A volume; none when it is gone. What claims it is read again.
    pub fn set_volume(&mut self, name: &str, object: Option<&core::PersistentVolume>) {
        let old = match object {
            Some(object) => self.builder.volumes.insert(name.to_owned(), object.clone()),
            None => self.builder.volumes.remove(name),
        };
        for claim in [old.as_ref(), object]
            .into_iter()
            .flatten()
            .filter_map(|volume| volume.spec.as_ref()?.claim_ref.as_ref())
        {
            if let (Some(namespace), Some(name)) = (&claim.namespace, &claim.name) {
                self.refresh_claim(namespace, name);
            }
        }
    }

    /// A storage class; none when it is gone.
    pub fn set_storage_class(&mut self, name: &str, object: Option<&StorageClass>) {
        let classes = &mut self.builder.storage_classes;
        match object {
            Some(object) => classes.insert(name.to_owned(), object.clone()),
            None => classes.remove(name),
        };
        let claims: Vec<(String, String)> = self.builder.volume_claims.keys().cloned().collect();
        for (namespace, name) in claims {
            self.refresh_claim(&namespace, &name);
        }
    }

    fn refresh_claim(&mut self, namespace: &str, name: &str) {
        let full = self
            .builder
            .world
            .names
            .value(&format!("{namespace}/{name}"));
        let claims = &self.builder.volume_claims;
        let Some(claim) = claims
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
        else {
            self.builder.world.volumes.remove(&full);
            return;
        };
        let class = self.builder.default_class();
        let volume = self.builder.volume(&claim, class.as_deref());
        self.builder.world.volumes.insert(full, volume);
    }

    /// Nodes are read with the resource names that pods have brought so far: a new one is looked up on all of them.
    fn read_new_resources(&mut self) {
        let known = self.builder.world.resources.len();
        if known == self.resources {
            return;
        }
        self.resources = known;
        for (id, (capacity, allocatable)) in &self.amounts {
            let capacity = self.builder.amounts(capacity.as_ref(), "", false);
            let allocatable = self.builder.amounts(allocatable.as_ref(), "", false);
            let node: &mut Node = &mut self.builder.world.nodes[id.0 as usize];
            if (node.capacity, node.allocatable) != (capacity, allocatable) {
                node.capacity = capacity;
                node.allocatable = allocatable;
                self.changed_nodes.push(*id);
            }
        }
        // Only the texts above are quantities that were read before; nothing new is to be said of them.
        self.builder.findings.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use objects::snapshot::{self, Object};
    use proptest::prelude::*;

    use super::*;
    use crate::scheduler::{Options, Outcome};
    use crate::testing::{node, pod, running, spread};

    fn one(yaml: &str) -> Object {
        let mut all = Vec::new();
        let summary = snapshot::read(yaml, &mut |located| all.push(located.object));
        assert_eq!(summary.errors, [], "{yaml}");
        all.pop().unwrap()
    }

    fn as_pod(yaml: &str) -> core::Pod {
        match one(yaml) {
            Object::Pod(pod) => *pod,
            other => panic!("{}", other.kind()),
        }
    }

    fn as_node(yaml: &str) -> core::Node {
        match one(yaml) {
            Object::Node(node) => *node,
            other => panic!("{}", other.kind()),
        }
    }

    fn try_one(live: &mut Live, scheduler: &mut Scheduler, pod: PodId) -> Result<String, String> {
        live.sync(scheduler);
        match scheduler.schedule_one(live.world(), pod) {
            Outcome::Bound(node) => Ok(live
                .world()
                .names
                .value_text(live.world().node(node).name)
                .into_owned()),
            Outcome::Nominated { failure, .. } | Outcome::Unschedulable(failure) => {
                Err(failure.message(live.world()))
            }
        }
    }

    #[test]
    fn room_comes_and_goes_with_pods_and_nodes() {
        let mut live = Live::default();
        let mut scheduler = Scheduler::new(live.world(), Options::default());
        let wanted = live.set_pod(&as_pod(&pod("new", "web", "3", ""))).unwrap();
        assert_eq!(
            try_one(&mut live, &mut scheduler, wanted),
            Err("no nodes available to schedule pods".to_owned())
        );
        // A pod that is bound before its node is known takes its room when it comes.
        live.set_pod(&as_pod(&running("old", "web", "3", "n1", "")));
        live.set_node(&as_node(&node("n1", "a", "", "")));
        let refused = try_one(&mut live, &mut scheduler, wanted).unwrap_err();
        assert!(
            refused.starts_with("0/1 nodes are available: 1 Insufficient cpu."),
            "{refused}"
        );
        live.remove_pod("shop", "old");
        assert_eq!(
            try_one(&mut live, &mut scheduler, wanted),
            Ok("n1".to_owned())
        );
        live.remove_node("n1");
        live.set_node(&as_node(&node("n2", "a", "", "unschedulable: true")));
        // What was assumed of the node that went is forgotten with it.
        let refused = try_one(&mut live, &mut scheduler, wanted).unwrap_err();
        assert!(
            refused.contains("1 node(s) were unschedulable"),
            "{refused}"
        );
        assert_eq!(live.removed_pods(), 1);
        live.set_node(&as_node(&node("n3", "a", "", "")));
        live.assume(wanted, "n3");
        let other = live
            .set_pod(&as_pod(&pod("other", "web", "3", "")))
            .unwrap();
        assert!(try_one(&mut live, &mut scheduler, other).is_err());
        live.forget(wanted);
        assert_eq!(
            try_one(&mut live, &mut scheduler, other),
            Ok("n3".to_owned())
        );
    }

    #[test]
    fn a_new_resource_name_is_looked_up_on_nodes_that_are_there() {
        let mut live = Live::default();
        let mut scheduler = Scheduler::new(live.world(), Options::default());
        let with_gpu = node("n1", "a", "", "")
            .replace("allocatable: {cpu", "allocatable: {nvidia.com/gpu: 1, cpu");
        live.set_node(&as_node(&with_gpu));
        live.set_node(&as_node(&node("n2", "a", "", "")));
        let wants = pod("p", "ml", "1", "").replace(
            "requests: {cpu",
            "limits: {nvidia.com/gpu: 1}, requests: {cpu",
        );
        let id = live.set_pod(&as_pod(&wants)).unwrap();
        assert_eq!(try_one(&mut live, &mut scheduler, id), Ok("n1".to_owned()));
    }

    #[test]
    fn a_claim_follows_its_volume() {
        let mut live = Live::default();
        let mut scheduler = Scheduler::new(live.world(), Options::default());
        live.set_node(&as_node(&node("n1", "a", "", "")));
        live.set_node(&as_node(&node("n2", "b", "", "")));
        let with_claim = pod(
            "db",
            "db",
            "1",
            "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]",
        );
        let id = live.set_pod(&as_pod(&with_claim)).unwrap();
        let refused = try_one(&mut live, &mut scheduler, id).unwrap_err();
        assert!(
            refused.contains("persistentvolumeclaim \"data\" not found"),
            "{refused}"
        );
        let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shop}\nspec: {volumeName: pv-1, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
        let Object::PersistentVolumeClaim(claim) = one(claim) else {
            panic!()
        };
        live.set_claim("shop", "data", Some(&claim));
        let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: pv-1}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], csi: {driver: ebs.csi.aws.com, volumeHandle: vol-1}, claimRef: {namespace: shop, name: data}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [b]}]}]}}}\n";
        let Object::PersistentVolume(volume) = one(volume) else {
            panic!()
        };
        live.set_volume("pv-1", Some(&volume));
        assert_eq!(try_one(&mut live, &mut scheduler, id), Ok("n2".to_owned()));
    }

    proptest! {
        /// However a cluster came to be as it is, a scheduler that followed it knows what one that begins now knows: a pod that fits
        /// nowhere is told the same.
        #[test]
        fn following_is_as_good_as_beginning_anew(steps in prop::collection::vec((0_u8..6, 0_usize..6, 0_usize..4), 1..60)) {
            let mut live = Live::default();
            let mut scheduler = Scheduler::new(live.world(), Options::default());
            let mut pods: BTreeMap<String, core::Pod> = BTreeMap::new();
            let mut nodes: BTreeMap<String, core::Node> = BTreeMap::new();
            for (step, pod_number, node_number) in steps {
                let (pod_name, node_name) = (format!("p{pod_number}"), format!("n{node_number}"));
                match step {
                    0 => {
                        let cordon = if pod_number == 0 { "unschedulable: true" } else { "" };
                        let zone = ["a", "b"][node_number % 2];
                        let made = as_node(&node(&node_name, zone, "", cordon));
                        live.set_node(&made);
                        nodes.insert(node_name, made);
                    }
                    1 => {
                        live.remove_node(&node_name);
                        nodes.remove(&node_name);
                    }
                    2 => {
                        live.remove_pod("shop", &pod_name);
                        pods.remove(&pod_name);
                    }
                    _ => {
                        let cpu = ["1", "2", "3"][pod_number % 3];
                        let mut made = as_pod(&running(&pod_name, "web", cpu, &node_name, ""));
                        made.metadata.uid = Some(format!("{pod_name}-{step}"));
                        live.set_pod(&made);
                        pods.insert(pod_name, made);
                    }
                }
                live.sync(&mut scheduler);
            }
            let mut anew = Live::default();
            for made in nodes.values() {
                anew.set_node(made);
            }
            for made in pods.values() {
                anew.set_pod(made);
            }
            let mut fresh = Scheduler::new(anew.world(), Options::default());
            for cpu in ["1", "2", "4"] {
                let asked = as_pod(&pod("asked", "web", cpu, &spread("topology.kubernetes.io/zone", "web", "DoNotSchedule")));
                let (one, other) = (live.set_pod(&asked).unwrap(), anew.set_pod(&asked).unwrap());
                let (one, other) = (try_one(&mut live, &mut scheduler, one), try_one(&mut anew, &mut fresh, other));
                prop_assert_eq!(one.is_ok(), other.is_ok());
                if one.is_err() {
                    prop_assert_eq!(one, other);
                }
                live.remove_pod("shop", "asked");
                anew.remove_pod("shop", "asked");
            }
        }
    }
}
