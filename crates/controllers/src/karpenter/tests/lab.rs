//! A cluster in which Karpenter runs, and the part of AWS that it needs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::{LooseCondition, NodeClaim, NodePool, condition};
use serde_json::{Value as Json, json};

use super::super::claims;
use crate::cloud::{
    Cloud, CloudAction, Instance, InstanceState, Launch, Message, Network, Origin, Refusal,
    SecurityGroup, Subnet,
};
use crate::cluster::{self, Options};
use crate::document::Named;
use crate::testing::Cluster;
use crate::workloads::{DisruptionBudgets, ReplicaSets};
use crate::{Controller, Pace};

/// How long a machine takes to shut down.
const SHUT_DOWN: SignedDuration = SignedDuration::from_secs(30);

pub(super) struct Lab {
    pub cluster: Cluster,
    /// Offerings without capacity.
    pub full: BTreeSet<(String, String, bool)>,
    /// What EC2 says to every launch, as code and message.
    pub refuses: Option<(&'static str, &'static str)>,
    /// What was launched, in order.
    pub launches: Vec<Launch>,
    /// Messages that were taken off the queue.
    pub deleted: Vec<String>,
    /// When machines that shut down are gone.
    ends: BTreeMap<String, Timestamp>,
    numbers: usize,
}

pub(super) fn controllers() -> Vec<Box<dyn Controller>> {
    let mut all = cluster::all(Options::default());
    all.push(Box::new(ReplicaSets::default()));
    all.push(Box::new(DisruptionBudgets));
    all.extend(crate::karpenter::all());
    all
}

fn network() -> Network {
    let tags = BTreeMap::from([("karpenter.sh/discovery".to_owned(), "shop".to_owned())]);
    Network {
        subnets: ["a", "b"]
            .into_iter()
            .map(|zone| Subnet {
                id: format!("subnet-{zone}"),
                zone: format!("eu-west-1{zone}"),
                zone_id: format!("euw1-az-{zone}"),
                tags: tags.clone(),
            })
            .collect(),
        security_groups: vec![SecurityGroup {
            id: "sg-1".to_owned(),
            name: "nodes".to_owned(),
            tags,
        }],
        roles: vec!["nodes".to_owned()],
    }
}

pub(super) fn merge(target: &mut Json, more: Json) {
    match (target, more) {
        (Json::Object(target), Json::Object(more)) => {
            for (key, value) in more {
                merge(target.entry(key).or_insert(Json::Null), value);
            }
        }
        (target, more) => *target = more,
    }
}

impl Lab {
    /// A cluster with Karpenter, one node class and one pool, `general`, whose disruption is off.
    pub(super) fn new() -> Self {
        let mut lab = Self::bare();
        lab.karpenter(1);
        lab.node_class("general");
        lab.pool("general", json!({}));
        lab.settle();
        lab
    }

    /// A cluster without anything of Karpenter's.
    pub(super) fn bare() -> Self {
        let mut cluster = Cluster::new(controllers());
        cluster.collects = false;
        cluster.set_cloud(Cloud {
            region: "eu-west-1".to_owned(),
            cluster: "shop".to_owned(),
            network: network(),
            ..Cloud::default()
        });
        for namespace in ["kube-system", "shop", "kube-node-lease"] {
            cluster.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "spec": {"finalizers": ["kubernetes"]}}));
        }
        Self {
            cluster,
            full: BTreeSet::new(),
            refuses: None,
            launches: Vec::new(),
            deleted: Vec::new(),
            ends: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// So many replicas of Karpenter are ready.
    pub(super) fn karpenter(&mut self, ready: i32) {
        if self
            .cluster
            .find::<Deployment>("kube-system", "karpenter")
            .is_none()
        {
            let labels = json!({"app.kubernetes.io/name": "karpenter"});
            self.cluster.create(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "karpenter", "namespace": "kube-system", "labels": labels},
                "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                    {"name": "controller", "image": "karpenter", "env": [{"name": "INTERRUPTION_QUEUE", "value": "shop"}]}]}}}}));
        }
        self.cluster.patch_status::<Deployment>(
            "kube-system",
            "karpenter",
            &json!({"status": {"readyReplicas": ready, "replicas": ready}}),
        );
    }

    pub(super) fn node_class(&mut self, name: &str) {
        let by_tag = json!([{"tags": {"karpenter.sh/discovery": "shop"}}]);
        self.cluster.create(json!({"apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": name},
            "spec": {"role": "nodes", "amiSelectorTerms": [{"alias": "al2023@v20251120"}],
                "subnetSelectorTerms": by_tag, "securityGroupSelectorTerms": by_tag}}));
    }

    /// A pool of on-demand machines of the families c, m and r, with more of its spec.
    pub(super) fn pool(&mut self, name: &str, more: Json) {
        let mut spec = json!({
            "template": {"metadata": {"labels": {"team": "shop"}}, "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "general"},
                "expireAfter": "Never",
                "requirements": [
                    {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]},
                    {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["5"]},
                    {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                ],
            }},
            "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "Never", "budgets": [{"nodes": "100%"}]},
        });
        merge(&mut spec, more);
        self.cluster
            .create(json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec}));
    }

    /// A replica set of pods with these requests, with more of their template.
    pub(super) fn replicas(
        &mut self,
        name: &str,
        count: usize,
        cpu: &str,
        memory: &str,
        more: Json,
    ) {
        let mut template = json!({"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 30, "containers": [
            {"name": "app", "image": "busybox", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}});
        merge(&mut template, more);
        self.cluster.create(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"replicas": count, "selector": {"matchLabels": {"app": name}}, "template": template}}));
    }

    pub(super) fn scale(&mut self, name: &str, count: usize) {
        let patch = json!({"spec": {"replicas": count}});
        self.cluster.patch::<ReplicaSet>("shop", name, &patch);
    }

    /// A budget of the pods of a replica set.
    pub(super) fn budget(&mut self, name: &str, most: usize) {
        self.cluster.create(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"maxUnavailable": most, "selector": {"matchLabels": {"app": name}}}}));
    }

    pub(super) fn patch_pool(&mut self, name: &str, spec: Json) {
        self.cluster
            .patch::<NodePool>("", name, &json!({"spec": spec}));
    }

    // AWS.

    /// Changes what AWS has.
    pub(super) fn change(&mut self, with: impl FnOnce(&mut Cloud)) {
        let mut cloud = self.cluster.view.cloud.clone();
        with(&mut cloud);
        if cloud != self.cluster.view.cloud {
            self.cluster.set_cloud(cloud);
        }
    }

    /// A message on the interruption queue, as EventBridge writes it.
    pub(super) fn send(&mut self, source: &str, kind: &str, detail: Json) {
        self.numbers += 1;
        let message = Message {
            id: format!("message-{}", self.numbers),
            receipt: format!("receipt-{}", self.numbers),
            body: json!({"version": "0", "id": "e", "source": source, "detail-type": kind, "account": "111122223333",
                "time": self.cluster.now.to_string(), "region": "eu-west-1", "resources": [], "detail": detail}),
        };
        self.change(|cloud| cloud.messages.push(message));
    }

    fn instance(&mut self, launch: &Launch, offering: &(String, String, String)) -> Instance {
        self.numbers += 1;
        let number = self.numbers;
        let ip = format!("10.0.{}.{}", number / 200, 10 + number % 200);
        let (instance_type, zone, subnet) = offering.clone();
        Instance {
            id: format!("i-{number:017x}"),
            instance_type,
            zone,
            spot: launch.spot,
            private_dns_name: format!("ip-{}.eu-west-1.compute.internal", ip.replace('.', "-")),
            private_ip: ip,
            image: launch.image.clone(),
            subnet,
            security_groups: launch.security_groups.clone(),
            state: InstanceState::Running,
            launched_at: self.cluster.now,
            origin: Origin::NodeClaim(launch.node_claim.clone()),
            tags: launch.tags.clone(),
        }
    }

    fn launch(&mut self, launch: Launch) {
        let now = self.cluster.now;
        let refusal = |code: &str, message: &str, unavailable| Refusal {
            code: code.to_owned(),
            message: message.to_owned(),
            unavailable,
            at: now,
        };
        let claim = launch.node_claim.clone();
        self.launches.push(launch.clone());
        if let Some((code, message)) = self.refuses {
            let refusal = refusal(code, message, Vec::new());
            self.change(|cloud| drop(cloud.refusals.insert(claim, refusal)));
            return;
        }
        let there = launch.offerings.iter().find(|(kind, zone, _)| {
            let offering = (kind.clone(), zone.clone(), launch.spot);
            !self.full.contains(&offering)
        });
        let Some(offering) = there.cloned() else {
            let unavailable = launch
                .offerings
                .iter()
                .map(|(kind, zone, _)| (kind.clone(), zone.clone(), launch.spot))
                .collect();
            let refusal = refusal("InsufficientInstanceCapacity", "none left", unavailable);
            self.change(|cloud| drop(cloud.refusals.insert(claim, refusal)));
            return;
        };
        let instance = self.instance(&launch, &offering);
        self.change(|cloud| drop(cloud.instances.insert(instance.id.clone(), instance)));
    }

    fn perform(&mut self, action: CloudAction) {
        match action {
            CloudAction::Launch(launch) => self.launch(launch),
            CloudAction::Terminate { instance } => {
                let up = self.cluster.view.cloud.instances.get(&instance);
                assert!(
                    up.is_some_and(claims::is_up),
                    "{instance} is ended once only"
                );
                if self.cluster.pace == Pace::Immediate {
                    self.change(|cloud| drop(cloud.instances.remove(&instance)));
                    return;
                }
                self.ends
                    .insert(instance.clone(), self.cluster.now + SHUT_DOWN);
                self.change(|cloud| {
                    if let Some(instance) = cloud.instances.get_mut(&instance) {
                        instance.state = InstanceState::ShuttingDown;
                    }
                });
            }
            CloudAction::DeleteMessage { receipt } => {
                self.change(|cloud| cloud.messages.retain(|message| message.receipt != receipt));
                assert!(
                    !self.deleted.contains(&receipt),
                    "{receipt} is deleted once"
                );
                self.deleted.push(receipt);
            }
            other => self.change(|cloud| cluster::aws::perform(cloud, other)),
        }
    }

    // Time.

    /// Everybody, until nobody has anything to do now.
    pub(super) fn settle(&mut self) {
        loop {
            self.cluster.settle();
            let now = self.cluster.now;
            let over: Vec<String> = self
                .ends
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(id, _)| id.clone())
                .collect();
            let asked = std::mem::take(&mut self.cluster.asked);
            if asked.is_empty() && over.is_empty() {
                let claims = self.cluster.view.node_claims.iter();
                let names: BTreeSet<String> = claims.map(|(key, _)| key.name.to_string()).collect();
                let stale = |name: &String| !names.contains(name);
                if !self.cluster.view.cloud.refusals.keys().any(stale) {
                    return;
                }
                self.change(|cloud| cloud.refusals.retain(|name, _| names.contains(name)));
                continue;
            }
            for id in over {
                self.ends.remove(&id);
                self.change(|cloud| drop(cloud.instances.remove(&id)));
            }
            for action in asked {
                self.perform(action);
            }
        }
    }

    /// Lets so many seconds go by.
    pub(super) fn run_for(&mut self, seconds: i64) {
        let done = self.run_until(seconds, |_| false);
        assert!(!done);
    }

    /// Lets time go by until something holds; whether it did within so many seconds.
    pub(super) fn run_until(&mut self, seconds: i64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.cluster.now + SignedDuration::from_secs(seconds);
        self.settle();
        while !holds(self) {
            let ends = self.ends.values().min().copied();
            let next = self.cluster.next_timer().into_iter().chain(ends).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.cluster.now = end;
                self.settle();
                return holds(self);
            };
            self.cluster.now = self.cluster.now.max(next);
            self.settle();
        }
        true
    }

    /// A second look at everything changes nothing.
    pub(super) fn assert_settled(&mut self) {
        self.settle();
        let before = self.versions();
        self.cluster.relist();
        self.cluster.settle();
        // What stands in the way is told again after a minute or more.
        let told = self.told();
        self.cluster.relist();
        self.cluster.settle();
        assert_eq!(self.cluster.asked, [], "nothing is asked of AWS twice");
        assert_eq!(self.versions(), before, "nothing is written twice");
        assert_eq!(self.told(), told, "{:#?}", self.cluster.events);
    }

    /// How often anything was told, but for what the scheduler says of pods that wait.
    fn told(&self) -> usize {
        let events = self.cluster.events.iter();
        events
            .filter(|told| !told.message.starts_with("0/"))
            .map(|told| told.count)
            .sum()
    }

    /// What everything of Karpenter's is, by name and version.
    pub(super) fn versions(&self) -> Vec<(String, Option<String>)> {
        let of = |metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            (
                metadata.name.clone().unwrap_or_default(),
                metadata.resource_version.clone(),
            )
        };
        let mut all = Vec::new();
        all.extend(self.claims().iter().map(|one| of(&one.metadata)));
        all.extend(self.nodes().iter().map(|one| of(&one.metadata)));
        let pools = self.cluster.list::<NodePool>("");
        all.extend(pools.iter().map(|one| of(&one.metadata)));
        let classes = self.cluster.list::<Ec2NodeClass>("");
        all.extend(classes.iter().map(|one| of(&one.metadata)));
        all
    }

    // What there is.

    pub(super) fn claims(&self) -> Vec<NodeClaim> {
        self.cluster.list("")
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        self.cluster.list("")
    }

    /// The only claim.
    pub(super) fn claim(&self) -> NodeClaim {
        let mut all = self.claims();
        assert_eq!(all.len(), 1, "one claim");
        all.remove(0)
    }

    /// Whether a claim's condition is true.
    pub(super) fn is(&self, claim: &NodeClaim, type_: &str) -> bool {
        self.cluster
            .find::<NodeClaim>("", claim.name())
            .is_some_and(|claim| claims::is_true(&claim, type_))
    }

    pub(super) fn condition(&self, claim: &NodeClaim, type_: &str) -> Option<LooseCondition> {
        let claim: NodeClaim = self.cluster.find("", claim.name())?;
        condition(claims::conditions(&claim), type_).cloned()
    }

    pub(super) fn is_there<T: Resource + serde::de::DeserializeOwned>(&self, name: &str) -> bool {
        self.cluster.find::<T>("", name).is_some()
    }

    /// The pods of a replica set, and on which node each is.
    pub(super) fn places(&self, app: &str) -> Vec<(String, Option<String>)> {
        self.cluster
            .list::<Pod>("shop")
            .into_iter()
            .filter(|pod| pod.label("app") == Some(app) && !pod.is_deleting())
            .map(|pod| (pod.name().to_owned(), pod.spec.unwrap().node_name))
            .collect()
    }

    /// How many pods of a replica set run.
    pub(super) fn running(&self, app: &str) -> usize {
        self.cluster
            .list::<Pod>("shop")
            .iter()
            .filter(|pod| pod.label("app") == Some(app) && !pod.is_deleting())
            .filter(|pod| {
                let phase = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.phase.as_deref());
                phase == Some("Running")
            })
            .count()
    }

    /// The instance types that are up.
    pub(super) fn machines(&self) -> Vec<String> {
        let instances = self.cluster.view.cloud.instances.values();
        instances
            .filter(|instance| claims::is_up(instance))
            .map(|instance| instance.instance_type.clone())
            .collect()
    }

    /// Lets pods of a new replica set run on nodes of their own.
    pub(super) fn run(&mut self, name: &str, count: usize, cpu: &str, memory: &str, more: Json) {
        self.replicas(name, count, cpu, memory, more);
        let up = self.run_until(300, |lab| lab.running(name) == count);
        assert!(up, "{} of {count} pods run", self.running(name));
    }
}
