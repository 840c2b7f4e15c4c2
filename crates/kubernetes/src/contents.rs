//! What others have made in a cluster, and what of AWS hangs on it: what a destroy has to take away while the controllers run
//! that can.
//!
//! Left out is what the scope has made itself, what a controller makes again of something that is listed, and what is in the
//! namespaces of the system. Load balancers and volumes are listed wherever they are: they cost money, and hold the network.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use catalog::ids::Identifier;
use engine::provider::ProviderError;
use graph::Scope;
use serde_json::Value as Json;

use crate::classify::Purpose;
use crate::connection::Cluster;
use crate::name::Place;
use crate::owner;

/// Namespaces that are Kubernetes', EKS's and its add-ons' own.
const SYSTEM: [&str; 4] = [
    "amazon-cloudwatch",
    "kube-node-lease",
    "kube-public",
    "kube-system",
];

/// What others have made in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Each thing, by part, namespace and name.
    pub found: Vec<Content>,
    /// How many nodes Karpenter's pools have, by pool; those that are the scope's too.
    pub nodes: BTreeMap<String, usize>,
}

/// A thing that others have made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// When it goes.
    pub part: Part,
    /// Its type.
    pub type_name: TypeName,
    /// Its namespace; none for what is in none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Which one, for the provider.
    pub identifier: Identifier,
    /// What goes with it, or what becomes of it.
    pub about: String,
    /// The namespace and the name of the claim that a volume goes with.
    pub claim: Option<(String, String)>,
}

/// The parts in which a cluster is emptied, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Load balancers: their controllers take them away as long as they run.
    Entrance,
    /// What has pods.
    Workload,
    /// Claims of volumes: nobody uses them when the pods are gone.
    Claim,
    /// Volumes: they go with their claims, and are only waited for.
    Volume,
    /// Pools and nodes of Karpenter's: they are drained.
    Nodes,
    /// What nodes are made by.
    NodeClass,
}

/// A kind that is looked for.
struct Sought {
    api_version: &'static str,
    kind: &'static str,
    part: Part,
}

const fn sought(api_version: &'static str, kind: &'static str, part: Part) -> Sought {
    Sought {
        api_version,
        kind,
        part,
    }
}

const KINDS: [Sought; 15] = [
    sought("networking.k8s.io/v1", "Ingress", Part::Entrance),
    sought("v1", "Service", Part::Entrance),
    sought("apps/v1", "DaemonSet", Part::Workload),
    sought("apps/v1", "Deployment", Part::Workload),
    sought("apps/v1", "ReplicaSet", Part::Workload),
    sought("apps/v1", "StatefulSet", Part::Workload),
    sought("batch/v1", "CronJob", Part::Workload),
    sought("batch/v1", "Job", Part::Workload),
    sought("v1", "ReplicationController", Part::Workload),
    sought("v1", "Pod", Part::Workload),
    sought("v1", "PersistentVolumeClaim", Part::Claim),
    sought("v1", "PersistentVolume", Part::Volume),
    sought("karpenter.sh/v1", "NodePool", Part::Nodes),
    sought("karpenter.sh/v1", "NodeClaim", Part::Nodes),
    sought("karpenter.k8s.aws/v1", "EC2NodeClass", Part::NodeClass),
];

/// Whether a thing of a type is only waited for: somebody else deletes it.
pub(crate) fn is_waited_for(type_name: &TypeName) -> bool {
    type_name.as_str() == "Kubernetes::v1::PersistentVolume"
}

/// Looks for what others have made. `releases` are the scope's own, by namespace and name: what they have brought is no
/// one else's.
pub(crate) async fn contents(
    cluster: &Cluster,
    name: &str,
    scope: &Scope,
    releases: &BTreeSet<(String, String)>,
) -> Result<Contents, ProviderError> {
    let mut contents = Contents::default();
    let mut kept = BTreeSet::new();
    for sought in &KINDS {
        let Ok(type_name) = TypeName::kubernetes(sought.api_version, sought.kind) else {
            continue;
        };
        let kind = match cluster.kind(&type_name, Purpose::Look).await {
            Ok(kind) => kind,
            // No Karpenter has ever been there.
            Err(absent) if absent.code == "NoMatch" => continue,
            Err(failed) => return Err(failed),
        };
        for object in cluster.list(&kind, None, "").await? {
            if sought.kind == "NodeClaim"
                && let Some(pool) = pool_of(&object)
            {
                *contents.nodes.entry(pool.to_owned()).or_default() += 1;
            }
            let claim = (sought.part == Part::Volume)
                .then(|| claim_of(&object))
                .flatten();
            if sought.part == Part::Volume
                && object["spec"]["persistentVolumeReclaimPolicy"] != "Delete"
            {
                kept.extend(claim);
                continue;
            }
            if is_ours(&object, scope, releases) || !goes(sought, &object) {
                continue;
            }
            let place = Place {
                cluster: name.to_owned(),
                namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
                name: object["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            };
            contents.found.push(Content {
                part: sought.part,
                type_name: type_name.clone(),
                identifier: place.identifier()?,
                about: about(&object),
                claim,
                namespace: place.namespace,
                name: place.name,
            });
        }
    }
    for content in &mut contents.found {
        let place = content.namespace.clone().zip(Some(content.name.clone()));
        match content.part {
            Part::Claim if place.is_some_and(|place| kept.contains(&place)) => {
                content.about = format!("{}; its volume stays: it is retained", content.about);
            }
            Part::Nodes => {
                let nodes = contents.nodes.get(&content.name).copied();
                if let Some(nodes) = nodes.filter(|_| content.type_name.resource() == "NodePool") {
                    content.about = drained(nodes);
                }
            }
            _ => {}
        }
    }
    contents.found.sort();
    Ok(contents)
}

/// What becomes of so many nodes.
#[must_use]
pub fn drained(nodes: usize) -> String {
    match nodes {
        1 => "its node is drained first".to_owned(),
        _ => format!("its {nodes} nodes are drained first"),
    }
}

fn is_ours(object: &Json, scope: &Scope, releases: &BTreeSet<(String, String)>) -> bool {
    let annotation = |name: &str| {
        let text = object["metadata"]["annotations"][name].as_str();
        text.unwrap_or_default().to_owned()
    };
    let release = (
        annotation("meta.helm.sh/release-namespace"),
        annotation("meta.helm.sh/release-name"),
    );
    owner::belongs_to(object, scope) || releases.contains(&release)
}

/// Whether a thing is one that has to go by itself.
fn goes(sought: &Sought, object: &Json) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    match (sought.part, sought.kind) {
        (Part::Entrance, "Service") => object["spec"]["type"] == "LoadBalancer",
        (Part::Entrance | Part::Claim | Part::NodeClass, _) => true,
        (Part::Workload, _) => !SYSTEM.contains(&namespace) && !is_controlled(object),
        // One that was never bound has no end that could be waited for.
        (Part::Volume, _) => object["spec"]["claimRef"].is_object(),
        (Part::Nodes, "NodeClaim") => pool_of(object).is_none(),
        (Part::Nodes, _) => true,
    }
}

fn is_controlled(object: &Json) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .any(|owner| owner["controller"] == true)
}

/// The pool of a node claim.
pub(crate) fn pool_of(claim: &Json) -> Option<&str> {
    claim["metadata"]["labels"]["karpenter.sh/nodepool"].as_str()
}

fn claim_of(volume: &Json) -> Option<(String, String)> {
    let claim = &volume["spec"]["claimRef"];
    let text = |key: &str| claim[key].as_str().map(str::to_owned);
    text("namespace").zip(text("name"))
}

fn about(object: &Json) -> String {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    match object["kind"].as_str().unwrap_or_default() {
        "Service" | "Ingress" => {
            let entrance = &object["status"]["loadBalancer"]["ingress"][0];
            match text(&entrance["hostname"]).or_else(|| text(&entrance["ip"])) {
                Some(host) => format!("its load balancer {host} goes with it"),
                None => "its load balancer goes with it".to_owned(),
            }
        }
        "PersistentVolumeClaim" => match text(&object["status"]["capacity"]["storage"])
            .or_else(|| text(&object["spec"]["resources"]["requests"]["storage"]))
        {
            Some(size) => format!("{size} of data"),
            None => "data".to_owned(),
        },
        "PersistentVolume" => {
            let spec = &object["spec"];
            let handle = text(&spec["csi"]["volumeHandle"])
                .or_else(|| text(&spec["awsElasticBlockStore"]["volumeID"]));
            match handle {
                Some(handle) => format!("its driver deletes {handle}"),
                None => "its driver deletes the volume".to_owned(),
            }
        }
        "Pod" => "nothing makes it again".to_owned(),
        "NodePool" => "it has no nodes".to_owned(),
        "NodeClaim" => "its node is drained first".to_owned(),
        "EC2NodeClass" => "no pool is left that names it".to_owned(),
        _ => "its pods go with it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(name: &str) -> &'static Sought {
        KINDS.iter().find(|sought| sought.kind == name).unwrap()
    }

    #[test]
    fn what_hangs_on_aws_goes_from_every_namespace_and_pods_from_the_users() {
        let of = |name: &str, namespace: &str, more: Json| {
            let mut object =
                json!({"kind": name, "metadata": {"name": "x", "namespace": namespace}});
            for (key, value) in more.as_object().unwrap() {
                object[key] = value.clone();
            }
            goes(kind(name), &object)
        };
        assert!(of(
            "Service",
            "kube-system",
            json!({"spec": {"type": "LoadBalancer"}})
        ));
        assert!(!of(
            "Service",
            "shop",
            json!({"spec": {"type": "ClusterIP"}})
        ));
        assert!(of("PersistentVolumeClaim", "kube-system", json!({})));
        assert!(of("Deployment", "shop", json!({})));
        assert!(!of("Deployment", "kube-system", json!({})));
        let controlled = json!({"metadata": {"name": "x", "namespace": "shop", "ownerReferences": [{"controller": true}]}});
        assert!(!of("Pod", "shop", controlled.clone()));
        assert!(!of("Job", "shop", controlled));
        assert!(!of("PersistentVolume", "", json!({"spec": {}})));
        assert!(of(
            "PersistentVolume",
            "",
            json!({"spec": {"claimRef": {"name": "data"}}})
        ));
        let pooled = json!({"metadata": {"labels": {"karpenter.sh/nodepool": "general"}}});
        assert!(!of("NodeClaim", "", pooled));
        assert!(of("NodeClaim", "", json!({"metadata": {"name": "mine"}})));
    }

    #[test]
    fn what_the_scope_and_its_releases_have_made_is_nobody_elses() {
        let scope = Scope {
            platform: "shop".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        };
        let releases = BTreeSet::from([("kube-system".to_owned(), "karpenter".to_owned())]);
        let ours = |metadata: Json| is_ours(&json!({"metadata": metadata}), &scope, &releases);
        let labels = |environment: &str| {
            json!({"labels": {
                "seaworthy.dev/platform": "shop", "seaworthy.dev/environment": environment,
            }})
        };
        assert!(ours(labels("dev")));
        assert!(!ours(labels("prod")));
        let release = |name: &str| {
            json!({"annotations": {
                "meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "kube-system",
            }})
        };
        assert!(ours(release("karpenter")));
        assert!(!ours(release("traefik")));
        assert!(!ours(json!({})));
    }

    #[test]
    fn every_thing_says_what_becomes_of_it() {
        let host = json!({"kind": "Service", "status": {"loadBalancer": {"ingress": [{"hostname": "a.elb"}]}}});
        assert_eq!(about(&host), "its load balancer a.elb goes with it");
        let claim = json!({"kind": "PersistentVolumeClaim", "spec": {"resources": {"requests": {"storage": "20Gi"}}}});
        assert_eq!(about(&claim), "20Gi of data");
        let volume =
            json!({"kind": "PersistentVolume", "spec": {"csi": {"volumeHandle": "vol-1"}}});
        assert_eq!(about(&volume), "its driver deletes vol-1");
        assert_eq!(drained(1), "its node is drained first");
        assert_eq!(drained(3), "its 3 nodes are drained first");
    }
}
