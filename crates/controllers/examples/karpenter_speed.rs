//! How long Karpenter's controllers take for a cluster of many pods, without an API server: from pods that wait to nodes that are
//! looked after, and what a change costs then.
//!
//! `cargo run --release -p seaworthy-controllers --example karpenter_speed -- 2000 200`

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a program for measuring"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use seaworthy_controllers::cloud::{
    Cloud, CloudAction, Instance, InstanceState, Launch, Network, Origin, SecurityGroup, Subnet,
};
use seaworthy_controllers::{Action, Change, Context, Controller, Key, Pace, View, karpenter};
use serde_json::{Map, Value as Json, json};

const NAMES: [&str; 8] = [
    "node classes",
    "node pools",
    "provisioning",
    "lifecycle",
    "termination",
    "disruption",
    "interruption",
    "garbage",
];

/// Group, resource, name.
type Place = (String, String, Key);

struct Bench {
    now: Timestamp,
    view: View,
    controllers: Vec<Box<dyn Controller>>,
    objects: BTreeMap<Place, Json>,
    queue: VecDeque<(usize, Key)>,
    timers: BTreeSet<(Timestamp, usize, Key)>,
    revision: u64,
    deleted: usize,
    /// Where the time went.
    concerns: Duration,
    reconciles: [(usize, Duration); 8],
}

fn text<'a>(json: &'a Json, pointer: &str) -> &'a str {
    json.pointer(pointer)
        .and_then(Json::as_str)
        .unwrap_or_default()
}

fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(Map::new());
    }
    for (name, value) in patch {
        let fields = target.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Json::Null), value);
        }
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            now: "2026-01-05T00:00:00Z".parse().unwrap(),
            view: View::default(),
            controllers: karpenter::all(),
            objects: BTreeMap::new(),
            queue: VecDeque::new(),
            timers: BTreeSet::new(),
            revision: 0,
            deleted: 0,
            concerns: Duration::ZERO,
            reconciles: Default::default(),
        }
    }

    fn tell(&mut self, change: &Change) {
        let start = Instant::now();
        for index in 0..self.controllers.len() {
            for key in self.controllers[index].concerns(change, &self.view) {
                let entry = (index, key);
                if !self.queue.contains(&entry) {
                    self.queue.push_back(entry);
                }
            }
        }
        self.concerns += start.elapsed();
    }

    fn put(&mut self, resource: &str, mut json: Json) {
        self.revision += 1;
        let version = text(&json, "/apiVersion");
        let group = version
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned();
        let name = text(&json, "/metadata/name").to_owned();
        let key = Key::new(text(&json, "/metadata/namespace"), &name);
        let place = (group, resource.to_owned(), key);
        let known = self.objects.get(&place);
        json["metadata"]["uid"] = known.map_or_else(
            || json!(format!("uid-{}", self.revision)),
            |known| known["metadata"]["uid"].clone(),
        );
        if known.is_none() {
            json["metadata"]["creationTimestamp"] = json!(self.now.to_string());
            json["metadata"]["generation"] = json!(1);
        }
        json["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let bytes = serde_json::to_vec(&json).unwrap();
        let change = self
            .view
            .apply(&place.0, &place.1, &place.2, Some(&bytes))
            .unwrap();
        self.objects.insert(place, json);
        self.tell(&change);
    }

    fn remove_pod(&mut self, number: usize) {
        let key = Key::new("shop", &format!("web-{number}"));
        let change = self.view.apply("", "pods", &key, None).unwrap();
        self.objects
            .remove(&(String::new(), "pods".to_owned(), key));
        self.tell(&change);
    }

    fn change_cloud(&mut self, with: impl FnOnce(&mut Cloud)) {
        let mut cloud = self.view.cloud.clone();
        with(&mut cloud);
        let change = self.view.set_cloud(cloud);
        self.tell(&change);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::InTurn(actions) => actions.into_iter().for_each(|one| self.perform(one)),
            Action::Create(json) => self.put("nodeclaims", json),
            Action::Patch { of, patch, .. } => {
                let place = (of.group, of.resource.clone(), of.key);
                let mut json = self.objects[&place].clone();
                merge(&mut json, &patch);
                self.put(&of.resource, json);
            }
            Action::Cloud(CloudAction::Launch(launch)) => self.launch(&launch),
            // What is taken away stays, to be counted.
            Action::Delete { .. } => self.deleted += 1,
            Action::Event { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn launch(&mut self, launch: &Launch) {
        let number = self.view.cloud.instances.len() + 1;
        let (instance_type, zone, subnet) = launch.offerings[0].clone();
        let instance = Instance {
            id: format!("i-{number:017x}"),
            instance_type,
            zone,
            spot: launch.spot,
            private_dns_name: format!("node-{number}"),
            private_ip: "10.0.0.1".to_owned(),
            image: launch.image.clone(),
            subnet,
            security_groups: launch.security_groups.clone(),
            state: InstanceState::Running,
            launched_at: self.now,
            origin: Origin::NodeClaim(launch.node_claim.clone()),
            tags: BTreeMap::new(),
        };
        self.change_cloud(|cloud| drop(cloud.instances.insert(instance.id.clone(), instance)));
    }

    /// The controllers, until they rest for so many seconds.
    fn run_for(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        loop {
            while let Some((at, index, key)) = self.timers.first().cloned()
                && at <= self.now
            {
                self.timers.pop_first();
                self.queue.push_back((index, key));
            }
            let Some((index, key)) = self.queue.pop_front() else {
                match self.timers.first() {
                    Some((at, ..)) if *at <= end => self.now = *at,
                    _ => break,
                }
                continue;
            };
            let context = Context {
                view: &self.view,
                now: self.now,
                pace: Pace::Modelled,
            };
            let start = Instant::now();
            let outcome = self.controllers[index].reconcile(&key, context);
            let spent = &mut self.reconciles[index];
            spent.0 += 1;
            spent.1 += start.elapsed();
            for action in outcome.actions {
                self.perform(action);
            }
            self.timers
                .retain(|(_, other, same)| (*other, same) != (index, &key));
            if let Some(at) = outcome.again {
                self.timers.insert((at, index, key));
            }
        }
        self.now = end;
    }

    fn report(&mut self, what: &str) {
        println!("{what}");
        let concerns = std::mem::take(&mut self.concerns);
        println!("  {:>8.1} ms  concerns", concerns.as_secs_f64() * 1e3);
        for (name, (count, spent)) in NAMES.iter().zip(std::mem::take(&mut self.reconciles)) {
            if count > 0 {
                let spent = spent.as_secs_f64() * 1e3;
                println!("  {spent:>8.1} ms  {name}, asked {count} times");
            }
        }
    }
}

/// A pod of which so many fill a machine of eight cores.
fn pod(number: usize, each: usize) -> Json {
    let cpu = format!("{}m", 7_800 / each);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "labels": {"app": format!("web-{}", number % 20)},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]},
        "spec": {"containers": [{"name": "app", "image": "nginx", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}})
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        arguments
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (pods, nodes) = (number(2_000), number(200));
    let each = pods / nodes;
    let mut bench = Bench::new();
    let tags: BTreeMap<String, String> = [("discovery".to_owned(), "shop".to_owned())].into();
    let network = Network {
        subnets: ["a", "b", "c"]
            .into_iter()
            .map(|zone| Subnet {
                id: format!("subnet-{zone}"),
                zone: format!("eu-west-1{zone}"),
                zone_id: String::new(),
                tags: tags.clone(),
            })
            .collect(),
        security_groups: vec![SecurityGroup {
            id: "sg-1".to_owned(),
            name: "nodes".to_owned(),
            tags,
        }],
        roles: vec!["nodes".to_owned()],
    };
    bench.change_cloud(|cloud| {
        cloud.region = "eu-west-1".to_owned();
        cloud.cluster = "shop".to_owned();
        cloud.network = network;
    });
    let labels = json!({"app.kubernetes.io/name": "karpenter"});
    bench.put("deployments", json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "karpenter", "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "controller", "image": "k"}]}}},
        "status": {"readyReplicas": 1}}));
    let terms = json!([{"tags": {"discovery": "shop"}}]);
    bench.put("ec2nodeclasses", json!({"apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "general"},
        "spec": {"role": "nodes", "amiSelectorTerms": [{"alias": "al2023@latest"}], "subnetSelectorTerms": terms, "securityGroupSelectorTerms": terms}}));
    bench.put("nodepools", json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "general"}, "spec": {
        "template": {"spec": {"nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "general"}, "expireAfter": "Never",
            "requirements": [{"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["m6i", "c6i", "r6i", "m7i"]},
                {"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["9"]},
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}]}},
        "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "0s", "budgets": [{"nodes": "10%"}]}}}));
    bench.run_for(5);
    bench.report("settings");
    for number in 0..pods {
        bench.put("pods", pod(number, each));
    }
    bench.report("pods that wait are seen");
    bench.run_for(3);
    let claims = bench.view.node_claims.len();
    bench.report(&format!(
        "{pods} pods get {claims} claims, and those instances"
    ));
    // Kubelets register; the pods are bound.
    let machines: Vec<(String, String, String, String)> = bench
        .view
        .cloud
        .instances
        .values()
        .map(|one| {
            let Origin::NodeClaim(claim) = &one.origin else {
                unreachable!()
            };
            (
                one.private_dns_name.clone(),
                one.id.clone(),
                one.zone.clone(),
                claim.clone(),
            )
        })
        .collect();
    for (name, id, zone, claim) in &machines {
        let place = (
            "karpenter.sh".to_owned(),
            "nodeclaims".to_owned(),
            Key::cluster(claim),
        );
        let claim = bench.objects[&place].clone();
        let mut labels = claim["metadata"]["labels"].clone();
        labels["kubernetes.io/hostname"] = json!(name);
        labels["karpenter.sh/do-not-sync-taints"] = json!("true");
        let status = &claim["status"];
        bench.put("nodes", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": format!("aws:///{zone}/{id}"), "taints": [{"key": "karpenter.sh/unregistered", "effect": "NoExecute"}]},
            "status": {"capacity": status["capacity"], "allocatable": status["allocatable"], "conditions": [{"type": "Ready", "status": "True"}]}}));
    }
    bench.run_for(8);
    bench.report(&format!(
        "{} nodes are registered and initialised",
        machines.len()
    ));
    for number in 0..pods {
        let mut bound = pod(number, each);
        let name = &machines[number % machines.len()].0;
        bound["spec"]["nodeName"] = json!(name);
        bound["status"] =
            json!({"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]});
        bench.put("pods", bound);
    }
    bench.report("pods are bound");
    bench.run_for(9);
    bench.report("what follows within nine seconds");
    let before = bench.view.node_claims.len();
    bench.run_for(20);
    bench.report("the next twenty seconds, with a look at every node");
    bench.run_for(600);
    println!("{before} claims became {}", bench.view.node_claims.len());
    bench.report("ten minutes");
    bench.run_for(3600);
    bench.report("an hour without news");
    for number in 0..pods * 4 / 5 {
        bench.remove_pod(number);
    }
    bench.run_for(60);
    println!(
        "{} claims, {} deleted",
        bench.view.node_claims.len(),
        bench.deleted
    );
    bench.report("a minute after four of five pods are gone");
}
