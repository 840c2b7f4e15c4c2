//! What EKS itself puts into a cluster: what every new cluster has, and the objects of its add-ons.
//!
//! An add-on's objects come when its creation begins (it is active once they run, on AWS), follow its version and its
//! configuration, and go when its deletion begins, unless it is told to preserve them. They carry the names, labels, images and
//! requests of the real ones, and are applied as the field manager `eks`, always with force: `ResolveConflicts` is read as
//! `OVERWRITE`. Between two changes of an add-on nobody sets right what somebody else has changed, as on EKS.
//!
//! Known are the add-ons of [`catalog::addons`]; the embedded AWS refuses others. What nobody here runs is left out: the roles
//! and role bindings of the add-ons, mounts of the host's folders, webhooks, and the metrics of the control plane
//! (`eks-extension-metrics-api`).

mod dns;
mod instrument;
mod network;
mod settings;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use apimachinery::Status;
use apimachinery::status::Reason;
use apiserver::Local;
use apiserver::registry::{About, DeleteOptions};
use catalog::TypeName;
use catalog::addons::{COREDNS, KUBE_PROXY, VPC_CNI, known_version};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::aws::world::{Phase, World};
use settings::Settings;

const ADDON: TypeName = TypeName::new("AWS::EKS::Addon");
const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");
const SUBNET: TypeName = TypeName::new("AWS::EC2::Subnet");
/// The field manager of what EKS makes.
pub(super) const MANAGER: &str = "eks";
/// What a cluster has from its first start on, and nobody takes away: that it is there says that the rest was made.
const FIRST_START: &str = "extension-apiserver-authentication";
const FIRST_STARTED: About<'static> = About {
    group: "",
    resource: "configmaps",
    namespace: "kube-system",
    name: FIRST_START,
};
/// The annotation of that object which says, in JSON, what of the add-ons has been brought in whole. It is written last: what is on
/// the disk of it says that the rest is.
const BROUGHT_IN: &str = "sandbox.seaworthy.dev/addons";

/// An add-on as the embedded AWS has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Addon {
    version: String,
    /// `ConfigurationValues`: JSON or YAML.
    configuration: String,
    /// The role of its service account.
    role: Option<String>,
    /// Whether its objects stay when it goes.
    preserve: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// It is being created or changed.
    Changing,
    Settled,
    Leaving,
}

/// What AWS says of a cluster, as far as it decides what EKS puts into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    cluster: String,
    region: String,
    version: String,
    service_cidr: String,
    /// Where the control plane's interfaces are in the cluster's subnets.
    control_plane: Vec<Ipv4Addr>,
    /// Whether EKS brings the network and the DNS by itself, once.
    bootstrap: bool,
    addons: BTreeMap<String, Addon>,
}

impl Installed {
    /// None when there is no such cluster.
    pub(super) fn of(world: &World, cluster: &str) -> Option<Self> {
        let own = &world.get(&CLUSTER, cluster)?.model;
        let text = |model: &Json, pointer: &str| {
            let value = model.pointer(pointer).and_then(Json::as_str);
            value.unwrap_or_default().to_owned()
        };
        let version = text(own, "/Version");
        let of_cluster = world
            .of_type(&ADDON)
            .filter(|entry| entry.model["ClusterName"] == cluster && entry.phase != Phase::Remnant);
        let addons = of_cluster.map(|entry| {
            let model = &entry.model;
            let name = text(model, "/AddonName");
            let asked = text(model, "/AddonVersion");
            let addon = Addon {
                version: if asked.is_empty() {
                    default_version(&name, &version)
                } else {
                    asked
                },
                configuration: text(model, "/ConfigurationValues"),
                role: model["ServiceAccountRoleArn"].as_str().map(str::to_owned),
                preserve: model["PreserveOnDelete"] == true,
                stage: match entry.phase {
                    Phase::Creating | Phase::Updating => Stage::Changing,
                    Phase::Deleting => Stage::Leaving,
                    Phase::Ready | Phase::Remnant => Stage::Settled,
                },
            };
            (name, addon)
        });
        Some(Self {
            cluster: cluster.to_owned(),
            region: world.region().to_owned(),
            service_cidr: text(own, "/KubernetesNetworkConfig/ServiceIpv4Cidr"),
            control_plane: control_plane(world, own),
            bootstrap: own["BootstrapSelfManagedAddons"] != false,
            addons: addons.collect(),
            version,
        })
    }
}

/// The addresses that EKS's control plane is reached at: one in each of two of the cluster's subnets. Which one is drawn from the
/// subnet; nobody else is told that it is taken.
fn control_plane(world: &World, cluster: &Json) -> Vec<Ipv4Addr> {
    let subnets = cluster.pointer("/ResourcesVpcConfig/SubnetIds");
    let subnets = subnets.and_then(Json::as_array).into_iter().flatten();
    let address = |subnet: &Json| {
        let id = subnet.as_str()?;
        let block = world.get(SUBNET, id)?.model["CidrBlock"].as_str()?;
        let block: Ipv4Net = block.parse().ok()?;
        // EC2 keeps the first four and the last.
        let room = (1_u32 << (32 - u32::from(block.prefix_len())).min(31)).checked_sub(5)?;
        let drawn = id.bytes().fold(7_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        let offset = drawn.checked_rem(room)? + 4;
        Some(Ipv4Addr::from(u32::from(block.network()) + offset))
    };
    subnets.filter_map(address).take(2).collect()
}

/// The version of an add-on whose model names none. Where no real default is known, it is one that was seen on clusters of
/// version 1.33.
fn default_version(name: &str, kubernetes: &str) -> String {
    let known = kubernetes
        .parse()
        .ok()
        .and_then(|version| known_version(name, version));
    if let Some(known) = known {
        return known.to_owned();
    }
    match name {
        "vpc-cni" => "v1.20.1-eksbuild.3".to_owned(),
        "kube-proxy" => format!("v{kubernetes}.0-eksbuild.2"),
        "coredns" => "v1.12.1-eksbuild.2".to_owned(),
        "aws-ebs-csi-driver" => "v1.48.0-eksbuild.1".to_owned(),
        "metrics-server" => "v0.8.0-eksbuild.3".to_owned(),
        "eks-pod-identity-agent" => "v1.3.8-eksbuild.2".to_owned(),
        "amazon-cloudwatch-observability" => "v4.4.0-eksbuild.1".to_owned(),
        _ => "v8.3.0-eksbuild.1".to_owned(),
    }
}

/// What an add-on's objects are made from.
struct Plan<'a> {
    cluster: &'a Installed,
    version: &'a str,
    settings: Settings,
    role: Option<&'a str>,
}

impl Plan<'_> {
    /// The registry of EKS's own images in the cluster's region.
    fn image(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", registry(&self.cluster.region))
    }

    /// A service account, with the role that it takes if it has one.
    fn service_account(&self, namespace: &str, name: &str, labels: &Json, assumes: bool) -> Json {
        let mut account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
        });
        if let Some(role) = self.role.filter(|_| assumes) {
            account["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": role});
        }
        account
    }
}

/// The accounts that EKS serves its images from, by region (EKS user guide, "View Amazon container image registries for Amazon
/// EKS add-ons").
fn registry(region: &str) -> String {
    let account = match region {
        "af-south-1" => "877085696533",
        "ap-east-1" => "800184023465",
        "ap-south-2" => "900889452093",
        "ap-southeast-3" => "296578399912",
        "ap-southeast-4" => "491585149902",
        "ca-west-1" => "761377655185",
        "cn-north-1" => "918309763551",
        "cn-northwest-1" => "961992271922",
        "eu-central-2" => "900612956339",
        "eu-south-1" => "590381155156",
        "eu-south-2" => "455263428931",
        "il-central-1" => "066635153087",
        "me-central-1" => "759879836304",
        "me-south-1" => "558608220178",
        "us-gov-east-1" => "151742754352",
        "us-gov-west-1" => "013241004608",
        _ => "602401143452",
    };
    let suffix = catalog::regions::dns_suffix(region);
    format!("{account}.dkr.ecr.{region}.{suffix}")
}

/// The objects of an add-on, in the order in which they are made; none of one that isn't known.
fn objects(cluster: &Installed, name: &str, addon: &Addon) -> Vec<Json> {
    let plan = Plan {
        cluster,
        version: &addon.version,
        settings: Settings::read(&addon.configuration),
        role: addon.role.as_deref(),
    };
    match name {
        "vpc-cni" => network::vpc_cni(&plan),
        "kube-proxy" => network::kube_proxy(&plan),
        "eks-pod-identity-agent" => network::pod_identity_agent(&plan),
        "coredns" => dns::coredns(&plan),
        "aws-ebs-csi-driver" => storage::ebs_csi(&plan),
        "snapshot-controller" => storage::snapshot_controller(&plan),
        "metrics-server" => instrument::metrics_server(&plan),
        "amazon-cloudwatch-observability" => instrument::cloudwatch(&plan),
        _ => Vec::new(),
    }
}

/// Where the Service `kubernetes` leads: it has no selector, and the API server writes these itself.
fn endpoints(addresses: &[Ipv4Addr]) -> Vec<Json> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let ips: Vec<Json> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let ports = json!([{"name": "https", "port": 443, "protocol": "TCP"}]);
    vec![
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [{"addresses": ips, "ports": ports}],
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv4",
            "endpoints": addresses.iter()
                .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}}))
                .collect::<Vec<_>>(),
            "ports": ports,
        }),
    ]
}

/// What every new cluster has beside what its API server makes. None of its classes of volumes is the default one since 1.30; this
/// one is the in-tree driver's, in whose place the EBS CSI driver works.
fn of_every_cluster(authority: &str) -> Vec<Json> {
    let gp2 = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp2"},
        "provisioner": "kubernetes.io/aws-ebs",
        "parameters": {"type": "gp2", "fsType": "ext4"},
        "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let authentication = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": FIRST_START, "namespace": "kube-system"},
        "data": {
            "client-ca-file": authority,
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-client-ca-file": authority,
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        },
    });
    vec![gp2, authentication]
}

/// Keeps what EKS puts into one cluster.
pub(super) struct Addons {
    local: Local,
    authority: String,
    /// The add-ons as they were last brought in.
    applied: BTreeMap<String, Addon>,
    began: bool,
}

impl Addons {
    /// `authority` is the certificate of the cluster's authority, in PEM.
    pub(super) fn new(local: &Local, authority: String) -> Self {
        Self {
            local: local.as_manager(MANAGER),
            authority,
            applied: BTreeMap::new(),
            began: false,
        }
    }

    /// Brings the cluster to what AWS says; whether all is done.
    pub(super) fn keep(&mut self, installed: &Installed) -> bool {
        if !self.began {
            if let Err(status) = self.begin(installed) {
                tracing::warn!(cluster = installed.cluster, %status, "what EKS makes was refused");
                return false;
            }
            self.began = true;
        }
        let mut done = true;
        let gone = self
            .applied
            .keys()
            .filter(|name| !installed.addons.contains_key(*name));
        let gone: Vec<String> = gone.cloned().collect();
        for name in gone {
            let Some(addon) = self.applied.get(&name).cloned() else {
                continue;
            };
            done &= self.settle(installed, &name, (&addon, None), Self::take_away);
        }
        for (name, addon) in &installed.addons {
            let same = |known: &Addon| {
                known
                    == &Addon {
                        stage: known.stage,
                        ..addon.clone()
                    }
                    && (known.stage == Stage::Leaving) == (addon.stage == Stage::Leaving)
            };
            if self.applied.get(name).is_some_and(same) {
                continue;
            }
            let act = match addon.stage {
                Stage::Leaving => Self::take_away,
                Stage::Changing | Stage::Settled => Self::bring_in,
            };
            done &= self.settle(installed, name, (addon, Some(addon)), act);
        }
        done
    }

    /// Does something about an add-on, and then notes what is known of it; whether both were done.
    fn settle(
        &mut self,
        installed: &Installed,
        name: &str,
        (addon, known): (&Addon, Option<&Addon>),
        act: fn(&Self, &Installed, &str, &Addon) -> Result<(), Status>,
    ) -> bool {
        let settled = act(self, installed, name, addon).and_then(|()| {
            let mut applied = self.applied.clone();
            match known {
                Some(known) => applied.insert(name.to_owned(), known.clone()),
                None => applied.remove(name),
            };
            self.note(&applied)?;
            self.applied = applied;
            Ok(())
        });
        if let Err(status) = &settled {
            tracing::warn!(cluster = installed.cluster, addon = name, %status, "refused");
        }
        settled.is_ok()
    }

    fn note(&self, applied: &BTreeMap<String, Addon>) -> Result<(), Status> {
        let patch = json!({"metadata": {"annotations": {BROUGHT_IN: json!(applied).to_string()}}});
        self.local.merge_patch(FIRST_STARTED, None, patch).map(drop)
    }

    /// What a cluster starts with, and what it has of its add-ons already.
    fn begin(&mut self, installed: &Installed) -> Result<(), Status> {
        let marker = self.local.get(FIRST_STARTED);
        if marker.is_none() {
            if installed.bootstrap {
                for own in [VPC_CNI, KUBE_PROXY, COREDNS] {
                    let addon = Addon {
                        version: default_version(own.name, &installed.version),
                        configuration: String::new(),
                        role: None,
                        preserve: false,
                        stage: Stage::Settled,
                    };
                    self.bring_in(installed, own.name, &addon)?;
                }
            }
            for object in of_every_cluster(&self.authority) {
                self.local.ensure(object)?;
            }
        }
        for object in endpoints(&installed.control_plane) {
            self.local.apply(object)?;
        }
        // Without a word of it, all are brought in once more.
        let noted = marker.and_then(|marker| {
            let marker = marker.json();
            let text = marker["metadata"]["annotations"][BROUGHT_IN].as_str()?;
            serde_json::from_str(text).ok()
        });
        self.applied = noted.unwrap_or_default();
        Ok(())
    }

    fn bring_in(&self, installed: &Installed, name: &str, addon: &Addon) -> Result<(), Status> {
        let objects = objects(installed, name, addon);
        let is_meant = |other: &Json| objects.iter().any(|object| place(object) == place(other));
        let before = self.applied.get(name);
        let before = before.map(|before| self::objects(installed, name, before));
        for object in before.into_iter().flatten().rev() {
            if !is_meant(&object) {
                self.delete(&object)?;
            }
        }
        for object in objects {
            let serves = object["kind"] == "APIService";
            let stored = self.local.apply(object)?;
            if serves {
                self.is_available(&stored.json())?;
            }
        }
        Ok(())
    }

    /// Says of an aggregated API that it answers: the API server here answers by itself, from the beginning on.
    fn is_available(&self, service: &Json) -> Result<(), Status> {
        if !service["status"]["conditions"][0].is_null() {
            return Ok(());
        }
        let about = About {
            group: "apiregistration.k8s.io",
            resource: "apiservices",
            namespace: "",
            name: place(service).3,
        };
        let condition = json!({
            "type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed",
            "lastTransitionTime": service["metadata"]["creationTimestamp"],
        });
        let status = json!({"status": {"conditions": [condition]}});
        self.local
            .merge_patch(about, Some("status"), status)
            .map(drop)
    }

    fn take_away(&self, installed: &Installed, name: &str, addon: &Addon) -> Result<(), Status> {
        if addon.preserve {
            return Ok(());
        }
        for object in objects(installed, name, addon).iter().rev() {
            self.delete(object)?;
        }
        Ok(())
    }

    fn delete(&self, object: &Json) -> Result<(), Status> {
        let (group, resource, namespace, name) = self.about(object);
        let about = About {
            group,
            resource: &resource,
            namespace,
            name,
        };
        match self.local.delete(about, &DeleteOptions::default()) {
            Err(status) if status.reason == Reason::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// The parts of an object's path.
    fn about<'a>(&self, object: &'a Json) -> (&'a str, String, &'a str, &'a str) {
        let (version, kind, namespace, name) = place(object);
        let catalogue = self.local.registry().resources();
        let resource = catalogue
            .of_type(version, kind)
            .map(|resource| resource.plural.to_string());
        let group = version.split_once('/').map_or("", |(group, _)| group);
        (group, resource.unwrap_or_default(), namespace, name)
    }
}

/// What an object is and where: API version, kind, namespace, name.
fn place(object: &Json) -> (&str, &str, &str, &str) {
    let text = |pointer| {
        let value: Option<&Json> = object.pointer(pointer);
        value.and_then(Json::as_str).unwrap_or_default()
    };
    (
        text("/apiVersion"),
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name"),
    )
}
