//! A small AWS for tests: it does at once what controllers ask for.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Options, all};
use crate::cloud::{
    Cloud, CloudAction, Instance, InstanceState, LoadBalancer, Origin, Subnet, Volume,
};
use crate::testing::Cluster;

/// All controllers of this part, in a cluster in an account without anything.
pub(crate) fn cluster(options: Options) -> Cluster {
    let mut cluster = Cluster::new(all(options));
    cluster.collects = false;
    cluster.set_cloud(Cloud {
        region: "eu-west-1".to_owned(),
        cluster: "shop-dev".to_owned(),
        network: crate::cloud::Network {
            subnets: ["a", "b"]
                .into_iter()
                .map(|zone| Subnet {
                    id: format!("subnet-{zone}"),
                    zone: format!("eu-west-1{zone}"),
                    zone_id: format!("euw1-az-{zone}"),
                    tags: BTreeMap::new(),
                })
                .collect(),
            ..crate::cloud::Network::default()
        },
        ..Cloud::default()
    });
    for namespace in ["default", "shop", "kube-system", "kube-node-lease"] {
        cluster.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "spec": {"finalizers": ["kubernetes"]}}));
    }
    cluster
}

/// A machine of a node group, launched now.
pub(crate) fn instance(cluster: &Cluster, number: usize, instance_type: &str) -> Instance {
    let zone = ["a", "b"][number % 2];
    let ip = format!("10.0.{}.{}", number / 200, 10 + number % 200);
    Instance {
        id: format!("i-{number:017x}"),
        instance_type: instance_type.to_owned(),
        zone: format!("eu-west-1{zone}"),
        spot: false,
        private_dns_name: format!("ip-{}.eu-west-1.compute.internal", ip.replace('.', "-")),
        private_ip: ip,
        image: "ami-1".to_owned(),
        subnet: format!("subnet-{zone}"),
        security_groups: Vec::new(),
        state: InstanceState::Running,
        launched_at: cluster.now,
        origin: Origin::NodeGroup {
            name: "main".to_owned(),
            labels: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
            taints: Vec::new(),
        },
        tags: BTreeMap::new(),
    }
}

/// Changes what AWS has.
pub(crate) fn change(cluster: &mut Cluster, with: impl FnOnce(&mut Cloud)) {
    let mut cloud = cluster.view.cloud.clone();
    with(&mut cloud);
    cluster.set_cloud(cloud);
}

/// Launches machines.
pub(crate) fn launch(cluster: &mut Cluster, count: usize, instance_type: &str) {
    let first = cluster.view.cloud.instances.len();
    let made: Vec<Instance> = (first..first + count)
        .map(|number| instance(cluster, number, instance_type))
        .collect();
    change(cluster, |cloud| {
        for instance in made {
            cloud.instances.insert(instance.id.clone(), instance);
        }
    });
}

pub(crate) fn perform(cloud: &mut Cloud, action: CloudAction) {
    match action {
        CloudAction::CreateVolume {
            persistent_volume,
            zone,
            gib,
            volume_type,
            encrypted,
            tags,
        } => {
            let known = cloud
                .volumes
                .values()
                .any(|volume| volume.tags.get("CSIVolumeName") == Some(&persistent_volume));
            if !known {
                let id = format!("vol-{:017x}", cloud.volumes.len() + 1);
                let volume = Volume {
                    id: id.clone(),
                    zone,
                    gib,
                    volume_type,
                    encrypted,
                    attached_to: None,
                    tags,
                };
                cloud.volumes.insert(id, volume);
            }
        }
        CloudAction::ModifyVolume { volume, gib } => {
            if let Some(volume) = cloud.volumes.get_mut(&volume) {
                volume.gib = gib;
            }
        }
        CloudAction::DeleteVolume { volume } => {
            let attached = cloud
                .volumes
                .get(&volume)
                .is_some_and(|volume| volume.attached_to.is_some());
            assert!(!attached, "a volume that is attached can't be deleted");
            cloud.volumes.remove(&volume);
        }
        CloudAction::Attach { volume, instance } => {
            let zone = cloud.instances[&instance].zone.clone();
            if let Some(volume) = cloud.volumes.get_mut(&volume) {
                assert_eq!(volume.zone, zone, "a volume is attached in its zone");
                assert!(volume.attached_to.is_none());
                volume.attached_to = Some(instance);
            }
        }
        CloudAction::Detach { volume } => {
            if let Some(volume) = cloud.volumes.get_mut(&volume) {
                volume.attached_to = None;
            }
        }
        CloudAction::CreateLoadBalancer { service, .. } => {
            let balancer = LoadBalancer {
                arn: "arn".to_owned(),
                dns_name: format!("{}.elb.eu-west-1.amazonaws.com", service.name),
                active: true,
            };
            cloud.load_balancers.insert(service, balancer);
        }
        CloudAction::DeleteLoadBalancer { service } => {
            cloud.load_balancers.remove(&service);
        }
        CloudAction::Launch(_)
        | CloudAction::Terminate { .. }
        | CloudAction::DeleteMessage { .. } => {}
    }
}

/// The controllers and AWS, until neither has anything to do.
pub(crate) fn settle(cluster: &mut Cluster) {
    loop {
        cluster.settle();
        let asked = std::mem::take(&mut cluster.asked);
        if asked.is_empty() {
            return;
        }
        change(cluster, |cloud| {
            for action in asked {
                perform(cloud, action);
            }
        });
    }
}

/// Lets so many seconds go by.
pub(crate) fn run_for(cluster: &mut Cluster, seconds: i64) {
    settle(cluster);
    for _ in 0..seconds {
        cluster.run_for(1);
        settle(cluster);
    }
}

/// A pod with one container, and more of its spec.
pub(crate) fn pod(name: &str, more: Json) -> Json {
    let mut json = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "busybox", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}});
    merge(&mut json, more);
    json
}

fn merge(target: &mut Json, more: Json) {
    match (target, more) {
        (Json::Object(target), Json::Object(more)) => {
            for (key, value) in more {
                merge(target.entry(key).or_insert(Json::Null), value);
            }
        }
        (target, more) => *target = more,
    }
}
