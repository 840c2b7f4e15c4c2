//! From Kubernetes objects to a [`World`].

use std::collections::BTreeMap;
use std::fmt;

use objects::ec2nodeclass::Ec2NodeClass;
use objects::k8s_openapi::api::apps::v1 as apps;
use objects::k8s_openapi::api::batch::v1::Job;
use objects::k8s_openapi::api::core::v1 as core;
use objects::k8s_openapi::api::policy::v1::PodDisruptionBudget;
use objects::k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::karpenter::{NodeClaim, NodePool};
use objects::snapshot::Object;
use rustc_hash::FxHashMap;

use super::{DaemonSet, DisruptionBudget, PodId, SpecHash, Workload, World};
use crate::instances::{InstanceType, TypeSet, TypeSetId};
use crate::names::{Labels, Names, Value};
use crate::shape::{PodShape, Selector};
use crate::version::KarpenterVersion;

/// Something about an object that a reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `Pod shop/web`.
    pub object: String,
    /// What it is.
    pub kind: FindingKind,
}

/// What a reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingKind {
    /// Text that is no quantity; it counts as 0.
    Quantity(String),
    /// A twelfth or later resource name; it is left out.
    TooManyResources(String),
    /// A pod on a node that isn't there; it is left out.
    UnknownNode(String),
    /// A pool whose node class has no instance types; it launches nothing.
    NoInstanceTypes(String),
    /// A part of the spec that decisions leave out.
    LeftOut(&'static str),
    /// A negative amount; it counts as 0.
    Negative(String),
    /// The same kind and name came before; the later one holds.
    Duplicate,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(reason) => write!(f, "{reason}; it counts as 0"),
            Self::TooManyResources(name) => write!(
                f,
                "resource {name} is left out: only 8 besides cpu, memory, storage and pods are counted"
            ),
            Self::UnknownNode(name) => {
                write!(f, "its node {name} is not there; the pod is left out")
            }
            Self::NoInstanceTypes(class) => write!(
                f,
                "no instance types are known for {class}; it launches nothing"
            ),
            Self::LeftOut(what) => write!(f, "{what} is not part of the model"),
            Self::Negative(what) => write!(f, "{what} is negative; it counts as 0"),
            Self::Duplicate => f.write_str("it comes twice; the later one holds"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.kind)
    }
}

/// A node class that pools refer to.
#[derive(Debug, Clone, Copy)]
pub struct ClassRef<'a> {
    /// `karpenter.k8s.aws`.
    pub group: &'a str,
    /// `EC2NodeClass`.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The class itself, where it is an EC2 one and was read.
    pub object: Option<&'a Ec2NodeClass>,
}

/// Collects objects in any order and makes a [`World`] of them.
#[derive(Debug, Default)]
pub struct Builder {
    pub(super) world: World,
    pub(super) findings: Vec<Finding>,
    pub(super) nodes: BTreeMap<String, core::Node>,
    pub(super) claims: BTreeMap<String, NodeClaim>,
    pools: BTreeMap<String, NodePool>,
    classes: BTreeMap<String, Ec2NodeClass>,
    csi_nodes: Vec<CSINode>,
    pub(super) storage_classes: FxHashMap<String, StorageClass>,
    pub(super) volumes: FxHashMap<String, core::PersistentVolume>,
    pub(super) volume_claims: BTreeMap<(String, String), core::PersistentVolumeClaim>,
    pub(super) priorities: FxHashMap<String, (i32, bool)>,
    pub(super) default_priority: i32,
    /// Pods that name a node, until all nodes are known.
    placed: Vec<(PodId, Value)>,
    by_name: FxHashMap<(Value, Box<str>), PodId>,
    pub(super) priority_of: Vec<(PodId, String)>,
}

impl Builder {
    /// Nothing yet.
    #[must_use]
    pub fn new(version: KarpenterVersion) -> Self {
        Self {
            world: World::new(version),
            ..Self::default()
        }
    }

    /// More objects for a world that is there: pools, pods and the like are added, nodes of the same name come beside those that
    /// are there.
    #[must_use]
    pub fn from_world(world: World) -> Self {
        Self {
            world,
            ..Self::default()
        }
    }

    pub(super) fn find(&mut self, object: &str, kind: FindingKind) {
        if self.findings.len() < objects::snapshot::MAX_REPORTS {
            self.findings.push(Finding {
                object: object.to_owned(),
                kind,
            });
        }
    }

    /// Takes an object.
    pub fn add(&mut self, object: Object) {
        match object {
            Object::Pod(pod) => self.pod(&pod),
            Object::Node(node) => {
                self.nodes.insert(name(&node.metadata), *node);
            }
            Object::NodeClaim(claim) => {
                self.claims.insert(name(&claim.metadata), *claim);
            }
            Object::NodePool(pool) => {
                let name = name(&pool.metadata);
                if self.pools.insert(name.clone(), *pool).is_some() {
                    self.find(&format!("NodePool {name}"), FindingKind::Duplicate);
                }
            }
            Object::Ec2NodeClass(class) => {
                self.classes.insert(name(&class.metadata), *class);
            }
            Object::Namespace(namespace) => {
                let labels = labels(&mut self.world.names, namespace.metadata.labels.as_ref());
                let name = self.world.names.value(&name(&namespace.metadata));
                self.world.namespaces.insert(name, labels);
            }
            Object::DaemonSet(set) => self.daemon_set(&set),
            Object::PodDisruptionBudget(budget) => self.disruption_budget(&budget),
            Object::PersistentVolumeClaim(claim) => {
                let key = (namespace(&claim.metadata), name(&claim.metadata));
                self.volume_claims.insert(key, *claim);
            }
            Object::PersistentVolume(volume) => {
                self.volumes.insert(name(&volume.metadata), *volume);
            }
            Object::StorageClass(class) => {
                self.storage_classes.insert(name(&class.metadata), *class);
            }
            Object::CsiNode(node) => self.csi_nodes.push(*node),
            Object::PriorityClass(class) => {
                let preempts = class.preemption_policy.as_deref() != Some("Never");
                if class.global_default == Some(true) {
                    self.default_priority = class.value;
                }
                self.priorities
                    .insert(name(&class.metadata), (class.value, preempts));
            }
            Object::Deployment(object) => self.deployment(&object),
            Object::ReplicaSet(object) => self.replica_set(&object),
            Object::StatefulSet(object) => self.stateful_set(&object),
            Object::Job(object) => self.job(&object),
        }
    }

    /// Takes a pod that somebody else keeps: a copy of thousands would cost more than reading them.
    pub fn add_pod(&mut self, pod: &core::Pod) {
        self.pod(pod);
    }

    /// Takes a daemon set that somebody else keeps.
    pub fn add_daemon_set(&mut self, set: &apps::DaemonSet) {
        self.daemon_set(set);
    }

    /// Takes a disruption budget that somebody else keeps.
    pub fn add_disruption_budget(&mut self, budget: &PodDisruptionBudget) {
        self.disruption_budget(budget);
    }

    /// The EC2 node classes so far, for whoever makes their instance types.
    pub fn node_classes(&self) -> impl Iterator<Item = &Ec2NodeClass> {
        self.classes.values()
    }

    /// Ends the collection. `types` gives the instance types of each node class that pools refer to; it is called once every
    /// pod was read, so [`World::resources`] has the names that matter.
    pub fn finish(
        mut self,
        types: &mut dyn FnMut(&mut World, ClassRef<'_>) -> Option<Vec<InstanceType>>,
    ) -> (World, Vec<Finding>) {
        self.priorities_of_pods();
        let mut sets: BTreeMap<(String, String, String), Option<TypeSetId>> = BTreeMap::new();
        // A limit's resource needs its slot before types are made.
        for pool in self.pools.values() {
            for resource in pool.spec.limits.iter().flatten().map(|(name, _)| name) {
                if resource != "nodes" {
                    self.world.resources.intern(resource);
                }
            }
        }
        for (name, pool) in std::mem::take(&mut self.pools) {
            let class = &pool.spec.template.spec.node_class_ref;
            let key = (class.group.clone(), class.kind.clone(), class.name.clone());
            let known = match sets.get(&key) {
                Some(known) => *known,
                None => {
                    let reference = ClassRef {
                        group: &class.group,
                        kind: &class.kind,
                        name: &class.name,
                        object: self.classes.get(&class.name),
                    };
                    let made = types(&mut self.world, reference)
                        .filter(|types| !types.is_empty())
                        .map(|types| self.world.add_types(TypeSet::new(types)));
                    sets.insert(key, made);
                    made
                }
            };
            if known.is_none() {
                let class = format!("{} {}", class.kind, class.name);
                self.find(
                    &format!("NodePool {name}"),
                    FindingKind::NoInstanceTypes(class),
                );
            }
            let class_hash = self
                .classes
                .get(&class.name)
                .filter(|_| class.kind == "EC2NodeClass")
                .and_then(|class| {
                    SpecHash::of(
                        class.metadata.annotations.as_ref(),
                        super::pools::CLASS_HASH,
                    )
                });
            self.pool(&name, &pool, known, class_hash);
        }
        let by_name = self.finish_nodes();
        for node in std::mem::take(&mut self.csi_nodes) {
            let Some(id) = self
                .world
                .names
                .find_value(&name(&node.metadata))
                .and_then(|name| by_name.get(&name).copied())
            else {
                continue;
            };
            for driver in &node.spec.drivers {
                if let Some(count) = driver.allocatable.as_ref().and_then(|limit| limit.count) {
                    let driver = self.world.names.value(&driver.name);
                    let count = u32::try_from(count).unwrap_or(0);
                    self.world.nodes[id.0 as usize]
                        .volume_limits
                        .push((driver, count));
                }
            }
        }
        for (pod, node) in std::mem::take(&mut self.placed) {
            if self.world.pod(pod).removed {
                continue;
            }
            if let Some(id) = by_name.get(&node) {
                self.world.bind(pod, *id);
            } else {
                let name = format!("Pod {}", self.world.pod_name(pod));
                let node = self.world.names.value_text(node).into_owned();
                self.find(&name, FindingKind::UnknownNode(node));
                self.world.remove_pod(pod);
            }
        }
        self.finish_volumes();
        (self.world, self.findings)
    }

    /// Enters a pod; one that came before under the same name goes.
    pub(super) fn enter(
        &mut self,
        pod: super::Pod,
        node: Option<Value>,
        priority_class: Option<String>,
    ) {
        let namespace = self.world.shape(pod.shape).namespace;
        let key = (namespace, pod.name.clone());
        let id = self.world.add_pod(pod);
        if let Some(old) = self.by_name.insert(key, id) {
            let name = format!("Pod {}", self.world.pod_name(old));
            self.world.remove_pod(old);
            self.find(&name, FindingKind::Duplicate);
        }
        if let Some(node) = node {
            self.placed.push((id, node));
        }
        if let Some(class) = priority_class {
            self.priority_of.push((id, class));
        }
    }

    /// A priority class may come after the pods that name it.
    pub(super) fn priorities_of_pods(&mut self) {
        for (pod, class) in std::mem::take(&mut self.priority_of) {
            let found = if class.is_empty() {
                Some((self.default_priority, true))
            } else {
                self.priorities.get(&class).copied()
            };
            let Some((priority, preempts)) = found else {
                continue;
            };
            let old = self.world.shape_of(pod);
            if (old.priority, old.preempts) != (priority, preempts) {
                let shape = PodShape {
                    priority,
                    preempts,
                    ..old.clone()
                };
                let id = self.world.intern_shape(shape);
                self.world.pods[pod.0 as usize].shape = id;
            }
        }
    }

    fn daemon_set(&mut self, set: &apps::DaemonSet) {
        let Some(spec) = &set.spec else {
            return;
        };
        let full = format!("{}/{}", namespace(&set.metadata), name(&set.metadata));
        let shape = self.template(&set.metadata, &spec.template, &format!("DaemonSet {full}"));
        let name = self.world.names.value(&full);
        self.world.daemon_sets.retain(|other| other.name != name);
        self.world.daemon_sets.push(DaemonSet { name, shape });
    }

    pub(super) fn disruption_budget(&mut self, budget: &PodDisruptionBudget) {
        let Some(spec) = &budget.spec else {
            return;
        };
        let text = |value: &IntOrString| match value {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        let namespace = self.world.names.value(&namespace(&budget.metadata));
        // An empty selector selects every pod of the namespace (policy/v1), none selects nothing.
        let selector = self.selector(spec.selector.as_ref());
        let entry = DisruptionBudget {
            namespace,
            name: name(&budget.metadata),
            selector,
            disruptions_allowed: budget
                .status
                .as_ref()
                .map_or(0, |status| status.disruptions_allowed),
            min_available: spec.min_available.as_ref().map(text),
            max_unavailable: spec.max_unavailable.as_ref().map(text),
            always_allow_unhealthy: spec.unhealthy_pod_eviction_policy.as_deref()
                == Some("AlwaysAllow"),
        };
        self.world
            .disruption_budgets
            .retain(|other| (other.namespace, &other.name) != (entry.namespace, &entry.name));
        self.world.disruption_budgets.push(entry);
    }

    fn workload(
        &mut self,
        kind: &'static str,
        metadata: &ObjectMeta,
        replicas: Option<i32>,
        template: &core::PodTemplateSpec,
    ) {
        let object = format!("{kind} {}/{}", namespace(metadata), name(metadata));
        let shape = self.template(metadata, template, &object);
        let names = &mut self.world.names;
        let owner = metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| names.value(&owner.name));
        let entry = Workload {
            kind,
            namespace: names.value(&namespace(metadata)),
            name: names.value(&name(metadata)),
            replicas: u32::try_from(replicas.unwrap_or(1)).unwrap_or(0),
            shape,
            owner,
        };
        self.world.workloads.retain(|other| {
            (other.kind, other.namespace, other.name) != (entry.kind, entry.namespace, entry.name)
        });
        self.world.workloads.push(entry);
    }

    fn deployment(&mut self, object: &apps::Deployment) {
        if let Some(spec) = &object.spec {
            self.workload(
                "Deployment",
                &object.metadata,
                spec.replicas,
                &spec.template,
            );
        }
    }

    fn replica_set(&mut self, object: &apps::ReplicaSet) {
        if let Some(spec) = &object.spec
            && let Some(template) = &spec.template
        {
            self.workload("ReplicaSet", &object.metadata, spec.replicas, template);
        }
    }

    fn stateful_set(&mut self, object: &apps::StatefulSet) {
        if let Some(spec) = &object.spec {
            self.workload(
                "StatefulSet",
                &object.metadata,
                spec.replicas,
                &spec.template,
            );
        }
    }

    fn job(&mut self, object: &Job) {
        if let Some(spec) = &object.spec {
            self.workload("Job", &object.metadata, spec.parallelism, &spec.template);
        }
    }

    pub(super) fn selector(
        &mut self,
        selector: Option<&objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    ) -> Selector {
        super::pods::selector(&mut self.world.names, selector)
    }
}

pub(super) fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

pub(super) fn namespace(metadata: &ObjectMeta) -> String {
    metadata
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned())
}

/// Labels of pods and namespaces: keys as they stand.
pub(super) fn labels(names: &mut Names, labels: Option<&BTreeMap<String, String>>) -> Labels {
    Labels::new(
        labels
            .into_iter()
            .flatten()
            .map(|(key, value)| (names.exact_key(key), names.value(value))),
    )
}
