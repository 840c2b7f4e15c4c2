//! Add-ons, put into an API server of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use apiserver::ports::Usage;
use apiserver::{ApiServer, Clock, Logs, Metrics};
use jiff::Timestamp;

use super::*;
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Logs for Still {
    fn lines(&self, _: &Json, _: &str, _: Timestamp) -> Vec<(Timestamp, String)> {
        Vec::new()
    }
}

impl Metrics for Still {
    fn pod(&self, _: &str, _: &str) -> Option<Vec<(String, Usage)>> {
        None
    }

    fn node(&self, _: &str) -> Option<Usage> {
        None
    }
}

struct Cluster {
    local: Local,
    addons: Addons,
    world: World,
    _folder: tempfile::TempDir,
}

impl Cluster {
    fn new(bootstrap: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(apiserver::Options {
            folder: folder.path().to_owned(),
            version: "v1.33.0-eks-seaworthy".to_owned(),
            service_cidr: "172.20.0.0/16".to_owned(),
            issuer: "https://oidc.example/id".to_owned(),
            audiences: Vec::new(),
            clock: Arc::new(Still),
            authenticators: Vec::new(),
            logs: Arc::new(Still),
            metrics: Arc::new(Still),
        })
        .unwrap();
        let local = server.local("test");
        let mut world = World::new(World::DEFAULT_ACCOUNT, "eu-central-1", Ids::new(7));
        world.insert(entry(
            CLUSTER,
            "shop",
            json!({
                "Name": "shop", "Version": "1.33", "BootstrapSelfManagedAddons": bootstrap,
                "KubernetesNetworkConfig": {"ServiceIpv4Cidr": "172.20.0.0/16"},
                "ResourcesVpcConfig": {"SubnetIds": ["subnet-a", "subnet-b", "subnet-c"]},
            }),
        ));
        for (number, name) in ["subnet-a", "subnet-b", "subnet-c"].iter().enumerate() {
            let model = json!({"CidrBlock": format!("10.0.{number}.0/24")});
            world.insert(entry(SUBNET, name, model));
        }
        Self {
            addons: Addons::new(&local, "PEM".to_owned()),
            local,
            world,
            _folder: folder,
        }
    }

    fn put(&mut self, name: &str, phase: Phase, more: Json) {
        let mut model =
            json!({"ClusterName": "shop", "AddonName": name, "AddonVersion": "v1.2.3-eksbuild.4"});
        model
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let mut entry = entry(ADDON, &format!("shop|{name}"), model);
        entry.phase = phase;
        self.world.insert(entry);
    }

    fn keep(&mut self) {
        let installed = Installed::of(&self.world, "shop").unwrap();
        let done = self.addons.keep(&installed);
        let refused = installed.addons.iter().map(|(name, addon)| {
            let tried = match addon.stage {
                Stage::Leaving => self.addons.take_away(&installed, name, addon),
                Stage::Changing | Stage::Settled => self.addons.bring_in(&installed, name, addon),
            };
            (name, tried)
        });
        assert!(done, "{:?}", refused.collect::<Vec<_>>());
    }

    /// As after a start of the sandbox.
    fn restart(&mut self) {
        self.addons = Addons::new(&self.local, "PEM".to_owned());
        self.keep();
    }

    fn get(&self, group: &str, resource: &str, name: &str) -> Option<Json> {
        let cluster_wide = ["storageclasses", "csidrivers", "apiservices"].contains(&resource);
        let about = About {
            group,
            resource,
            namespace: if cluster_wide { "" } else { "kube-system" },
            name,
        };
        self.local.get(about).map(|stored| stored.json())
    }

    /// Everything that EKS wrote, by kind and name.
    fn made(&self) -> BTreeSet<String> {
        let registry = self.local.registry();
        let places: BTreeSet<_> = registry
            .resources()
            .iter()
            .map(|resource| registry.place(resource))
            .collect();
        let mut made = BTreeSet::new();
        for place in places {
            for object in registry.store().list(&place, None).items {
                let json = object.json();
                if json["metadata"]["managedFields"][0]["manager"] == MANAGER {
                    made.insert(format!("{}/{}", place.resource, object.key.name));
                }
            }
        }
        made
    }
}

fn entry(type_name: TypeName, identifier: &str, model: Json) -> Entry {
    Entry {
        type_name,
        identifier: identifier.to_owned(),
        model,
        created_at: 0.0,
        phase: Phase::Ready,
        ready_at: 0.0,
    }
}

fn image(workload: &Json) -> &str {
    workload["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
}

#[test]
fn every_add_on_of_the_catalog_brings_objects_that_the_server_takes() {
    let mut cluster = Cluster::new(false);
    cluster.keep();
    let before = cluster.made();
    assert_eq!(
        before.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "configmaps/extension-apiserver-authentication",
            "endpoints/kubernetes",
            "endpointslices/kubernetes",
            "storageclasses/gp2"
        ]
    );
    for addon in &catalog::addons::ADDONS {
        let before = cluster.made();
        cluster.put(addon.name, Phase::Creating, json!({}));
        cluster.keep();
        let made: Vec<String> = cluster.made().difference(&before).cloned().collect();
        let workload = made
            .iter()
            .any(|name| name.starts_with("daemonsets/") || name.starts_with("deployments/"));
        assert!(workload, "{}: {made:?}", addon.name);
        for account in addon.service_accounts {
            let name = format!("serviceaccounts/{}", account.rsplit('/').next().unwrap());
            assert!(made.contains(&name), "{}: {made:?}", addon.name);
        }
        cluster.put(addon.name, Phase::Deleting, json!({}));
        cluster.keep();
        let mut left = cluster.made();
        // A namespace goes once its controller has emptied it.
        left.remove("namespaces/amazon-cloudwatch");
        assert_eq!(left, before, "{}", addon.name);
        cluster.world.remove(ADDON, &format!("shop|{}", addon.name));
        cluster.keep();
    }
}

#[test]
fn an_add_on_follows_its_version_and_configuration_and_a_restart_changes_nothing() {
    let mut cluster = Cluster::new(false);
    cluster.put("coredns", Phase::Creating, json!({}));
    cluster.keep();
    let service = cluster.get("", "services", "kube-dns").unwrap();
    assert_eq!(service["spec"]["clusterIP"], "172.20.0.10");
    let deployment = cluster.get("apps", "deployments", "coredns").unwrap();
    assert_eq!(
        image(&deployment),
        "602401143452.dkr.ecr.eu-central-1.amazonaws.com/eks/coredns:v1.2.3-eksbuild.4"
    );
    assert_eq!(deployment["spec"]["replicas"], 2);
    let version = deployment["metadata"]["resourceVersion"].clone();
    // Its creation ends: nothing changes.
    cluster.put("coredns", Phase::Ready, json!({}));
    cluster.keep();
    let same = cluster.get("apps", "deployments", "coredns").unwrap();
    assert_eq!(same["metadata"]["resourceVersion"], version);
    cluster.put(
        "coredns",
        Phase::Updating,
        json!({"AddonVersion": "v1.3.0-eksbuild.1", "ConfigurationValues": "replicaCount: 3\ntolerations:\n- operator: Exists\n"}),
    );
    cluster.keep();
    let deployment = cluster.get("apps", "deployments", "coredns").unwrap();
    assert!(image(&deployment).ends_with("coredns:v1.3.0-eksbuild.1"));
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(
        deployment["spec"]["template"]["spec"]["tolerations"],
        json!([{"operator": "Exists"}])
    );
    // Somebody scales it, and the sandbox is started anew.
    cluster.put(
        "coredns",
        Phase::Ready,
        json!({"AddonVersion": "v1.3.0-eksbuild.1", "ConfigurationValues": "replicaCount: 3\ntolerations:\n- operator: Exists\n"}),
    );
    let about = About {
        group: "apps",
        resource: "deployments",
        namespace: "kube-system",
        name: "coredns",
    };
    let scaled = json!({"spec": {"replicas": 7}});
    cluster.local.merge_patch(about, None, scaled).unwrap();
    cluster.restart();
    let deployment = cluster.get("apps", "deployments", "coredns").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 7);
}

/// A sudden end loses the last writes: first what says that an add-on is whole, and then of the add-on itself.
#[test]
fn what_was_half_done_at_a_sudden_end_is_done() {
    let mut cluster = Cluster::new(false);
    cluster.keep();
    let noted = cluster.addons.local.get(FIRST_STARTED).unwrap().json();
    let noted = noted["metadata"]["annotations"][BROUGHT_IN].clone();
    cluster.put("coredns", Phase::Ready, json!({}));
    cluster.keep();
    let whole = cluster.made();
    let deployment = About {
        group: "apps",
        resource: "deployments",
        namespace: "kube-system",
        name: "coredns",
    };
    let forget = |cluster: &Cluster| {
        let before = json!({"metadata": {"annotations": {BROUGHT_IN: noted}}});
        let local = &cluster.local;
        local.merge_patch(FIRST_STARTED, None, before).unwrap();
        let options = DeleteOptions::default();
        local.delete(deployment, &options).unwrap();
    };
    forget(&cluster);
    assert_ne!(cluster.made(), whole);
    cluster.restart();
    assert_eq!(cluster.made(), whole);
    // Its removal was begun, and AWS has ended it.
    cluster
        .local
        .delete(deployment, &DeleteOptions::default())
        .unwrap();
    cluster.world.remove(ADDON, "shop|coredns");
    cluster.restart();
    assert_eq!(cluster.get("", "services", "kube-dns"), None);
    assert_eq!(cluster.get("", "configmaps", "coredns"), None);
}

#[test]
fn what_is_to_be_preserved_stays() {
    let mut cluster = Cluster::new(false);
    let preserved = json!({"PreserveOnDelete": true});
    cluster.put("kube-proxy", Phase::Ready, preserved.clone());
    cluster.keep();
    cluster.put("kube-proxy", Phase::Deleting, preserved);
    cluster.keep();
    cluster.world.remove(ADDON, "shop|kube-proxy");
    cluster.keep();
    let daemons = cluster.get("apps", "daemonsets", "kube-proxy").unwrap();
    assert!(image(&daemons).ends_with("eks/kube-proxy:v1.2.3-minimal-eksbuild.4"));
}

#[test]
fn a_deletion_that_was_not_seen_to_begin_takes_objects_away_too() {
    let mut cluster = Cluster::new(false);
    cluster.put("metrics-server", Phase::Ready, json!({}));
    cluster.keep();
    let service = cluster.get(
        "apiregistration.k8s.io",
        "apiservices",
        "v1beta1.metrics.k8s.io",
    );
    assert_eq!(
        service.unwrap()["status"]["conditions"][0]["status"],
        "True"
    );
    cluster.world.remove(ADDON, "shop|metrics-server");
    cluster.keep();
    assert_eq!(cluster.get("apps", "deployments", "metrics-server"), None);
    let service = cluster.get(
        "apiregistration.k8s.io",
        "apiservices",
        "v1beta1.metrics.k8s.io",
    );
    assert_eq!(service, None);
}

#[test]
fn eks_brings_the_network_by_itself_once() {
    let mut cluster = Cluster::new(true);
    cluster.keep();
    for name in ["aws-node", "kube-proxy"] {
        assert!(cluster.get("apps", "daemonsets", name).is_some(), "{name}");
    }
    assert!(cluster.get("apps", "deployments", "coredns").is_some());
    let about = About {
        group: "apps",
        resource: "daemonsets",
        namespace: "kube-system",
        name: "aws-node",
    };
    cluster
        .local
        .delete(about, &DeleteOptions::default())
        .unwrap();
    cluster.restart();
    assert_eq!(cluster.get("apps", "daemonsets", "aws-node"), None);
}

#[test]
fn roles_environment_and_tags_are_where_the_pods_look_for_them() {
    let mut cluster = Cluster::new(false);
    let role = "arn:aws:iam::123456789012:role/shop-cni";
    cluster.put(
        "vpc-cni",
        Phase::Ready,
        json!({"ServiceAccountRoleArn": role, "ConfigurationValues": "{\"env\":{\"ENABLE_PREFIX_DELEGATION\":\"true\",\"MINE\":1}}"}),
    );
    cluster.put(
        "aws-ebs-csi-driver",
        Phase::Ready,
        json!({"ConfigurationValues": "{\"controller\":{\"extraVolumeTags\":{\"team\":\"shop\"}},\"defaultStorageClass\":{\"enabled\":true}}"}),
    );
    cluster.keep();
    let account = cluster.get("", "serviceaccounts", "aws-node").unwrap();
    assert_eq!(
        account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"],
        role
    );
    let daemons = cluster.get("apps", "daemonsets", "aws-node").unwrap();
    let environment = daemons["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let value = |name: &str| {
        let all = environment.as_array().unwrap();
        let of_name: Vec<&Json> = all.iter().filter(|one| one["name"] == name).collect();
        assert_eq!(of_name.len(), 1, "{name}");
        of_name[0]["value"].clone()
    };
    assert_eq!(value("ENABLE_PREFIX_DELEGATION"), "true");
    assert_eq!(value("MINE"), "1");
    assert_eq!(value("CLUSTER_NAME"), "shop");
    let driver = cluster
        .get("apps", "deployments", "ebs-csi-controller")
        .unwrap();
    let containers = driver["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(containers.len(), 6);
    let arguments = containers[0]["args"].as_array().unwrap();
    assert!(
        arguments.contains(&json!("--extra-tags=team=shop")),
        "{arguments:?}"
    );
    assert!(
        cluster
            .get("storage.k8s.io", "csidrivers", "ebs.csi.aws.com")
            .is_some()
    );
    let class = cluster.get("storage.k8s.io", "storageclasses", "ebs-csi-default-sc");
    assert!(class.is_some());
}

#[test]
fn images_come_from_the_region() {
    assert_eq!(
        registry("eu-west-1"),
        "602401143452.dkr.ecr.eu-west-1.amazonaws.com"
    );
    assert_eq!(
        registry("cn-north-1"),
        "918309763551.dkr.ecr.cn-north-1.amazonaws.com.cn"
    );
}

#[test]
fn the_api_server_is_found_in_the_clusters_subnets() {
    let mut cluster = Cluster::new(false);
    cluster.keep();
    let about = |group, resource| About {
        group,
        resource,
        namespace: "default",
        name: "kubernetes",
    };
    let endpoints = cluster.local.get(about("", "endpoints")).unwrap().json();
    let addresses = endpoints["subsets"][0]["addresses"]
        .as_array()
        .unwrap()
        .clone();
    let addresses: Vec<&str> = addresses
        .iter()
        .map(|one| one["ip"].as_str().unwrap())
        .collect();
    assert_eq!(addresses.len(), 2);
    for (address, block) in addresses.iter().zip(["10.0.0.0/24", "10.0.1.0/24"]) {
        let (address, block): (Ipv4Addr, Ipv4Net) =
            (address.parse().unwrap(), block.parse().unwrap());
        assert!(
            block.contains(&address) && address.octets()[3] > 3,
            "{address}"
        );
    }
    let slice = about("discovery.k8s.io", "endpointslices");
    let slice = cluster.local.get(slice).unwrap().json();
    assert_eq!(slice["endpoints"][1]["addresses"], json!([addresses[1]]));
}
