//! What a deploy puts into the cluster is what the simulator reads, and Karpenter's release is made for it.

use std::collections::{BTreeMap, BTreeSet};

use blueprint::kubernetes::{Replicas, objects};
use graph::{Graph, Value};
use serde_json::{Value as Json, json};

use crate::fixtures::{all, everything, platform};
use crate::render::{address, environment, payload};

/// The manifests of the graph, by kind and name, without what says whose they are.
fn manifests(graph: &Graph) -> BTreeMap<String, Json> {
    let mut manifests = BTreeMap::new();
    for resource in graph.resources() {
        let document = payload(graph, resource);
        if resource.properties.contains_key("Manifest") {
            assert_eq!(document["Cluster"], "shop-prod");
            let mut manifest = document["Manifest"].clone();
            let owner = [
                ("labels", "seaworthy.dev/platform", "shop"),
                ("labels", "seaworthy.dev/environment", "prod"),
                ("labels", "app.kubernetes.io/managed-by", "seaworthy"),
                (
                    "annotations",
                    "seaworthy.dev/address",
                    resource.address.as_str(),
                ),
            ];
            for (map, key, value) in owner {
                let map = manifest["metadata"][map].as_object_mut().unwrap();
                assert_eq!(map.remove(key), Some(json!(value)), "{}", resource.address);
            }
            let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
            let kind = manifest["kind"].as_str().unwrap().to_owned();
            manifests.insert(format!("{kind} {name}"), manifest);
        }
    }
    manifests
}

#[test]
fn the_graph_has_the_very_objects_that_the_simulator_reads() {
    let mut overlay = everything();
    overlay["services"] = json!({
        "a": { "image": "a", "namespace": "shop", "priorityClass": "high" },
        "b": { "image": "b", "namespace": "back", "priorityClass": "low" },
    });
    let platform = platform("prod", overlay);
    let graph = environment("everything", &platform);
    let made = manifests(&graph);
    let mut rendered = BTreeMap::new();
    let services = ["Deployment", "StatefulSet", "PodDisruptionBudget"];
    for object in objects(&platform, Replicas::Min).unwrap() {
        if services.contains(&object.kind()) {
            continue;
        }
        let name = object.metadata().name.clone().unwrap();
        rendered.insert(
            format!("{} {name}", object.kind()),
            object.manifest().unwrap(),
        );
    }
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        [
            "EC2NodeClass shop-prod-nodeclass",
            "Namespace back",
            "Namespace external-secrets",
            "Namespace shop",
            "NodePool general",
            "PriorityClass services-high",
            "PriorityClass services-low",
            "StorageClass gp3",
        ]
    );
    assert!(rendered.keys().eq(made.keys()));
    for (name, mut manifest) in rendered {
        let mut made = made[&name].clone();
        if name.starts_with("EC2NodeClass") {
            let group = |manifest: &mut Json| {
                manifest["spec"]["securityGroupSelectorTerms"][0]["id"].take()
            };
            assert_eq!(
                group(&mut manifest),
                "${cluster/cluster.ClusterSecurityGroupId}"
            );
            assert!(group(&mut made).as_str().unwrap().starts_with("sg-"));
        }
        for manifest in [&mut manifest, &mut made] {
            for map in ["labels", "annotations"] {
                let metadata = manifest["metadata"].as_object_mut().unwrap();
                if let Some(Json::Object(map)) = metadata.get_mut(map) {
                    map.remove("app.kubernetes.io/managed-by");
                }
                if metadata.get(map).is_some_and(|map| map == &json!({})) {
                    metadata.remove(map);
                }
            }
        }
        assert_eq!(made, manifest, "{name}");
    }
}

#[test]
fn every_storage_class_is_encrypted_and_there_is_one_default() {
    for (name, platform) in all() {
        let graph = environment(&name, &platform);
        let class = payload(
            &graph,
            graph.get(&address("kubernetes/storage-class/gp3")).unwrap(),
        );
        let manifest = &class["Manifest"];
        assert_eq!(manifest["provisioner"], "ebs.csi.aws.com");
        assert_eq!(
            manifest["parameters"],
            json!({ "type": "gp3", "encrypted": "true" })
        );
        assert_eq!(
            manifest["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"],
            "true"
        );
    }
}

#[test]
fn karpenters_release_knows_its_cluster_its_queue_and_its_role() {
    let release = |overlay: Json| {
        let graph = environment("release", &platform("prod", overlay));
        let release = graph.get(&address("karpenter/release")).unwrap().clone();
        payload(&graph, &release)
    };
    let document = release(json!({}));
    for (property, value) in [
        ("Cluster", "shop-prod"),
        ("Namespace", "kube-system"),
        ("Name", "karpenter"),
        ("Chart", "oci://public.ecr.aws/karpenter/karpenter"),
        ("Version", catalog::charts::KARPENTER.version),
    ] {
        assert_eq!(document[property], value);
    }
    let size = json!({ "cpu": "500m", "memory": "1Gi" });
    assert_eq!(
        document["Values"],
        json!({
            "replicas": 2,
            "serviceAccount": { "name": "karpenter" },
            "settings": { "clusterName": "shop-prod", "interruptionQueue": "shop-prod-karpenter" },
            "controller": { "resources": { "requests": size, "limits": size } },
            "nodeSelector": { "kubernetes.io/os": "linux", "seaworthy.dev/nodes": "system" },
            "tolerations": [{ "key": "CriticalAddonsOnly", "operator": "Exists" }],
        })
    );
    let irsa = release(json!({
        "cluster": { "workloadIdentity": "irsa" },
        "karpenter": { "interruptionQueue": false },
        "systemNodes": { "min": 1, "desired": 1, "max": 1 },
    }));
    assert_eq!(irsa["Values"]["replicas"], 1);
    assert_eq!(
        irsa["Values"]["settings"],
        json!({ "clusterName": "shop-prod" })
    );
    let role = &irsa["Values"]["serviceAccount"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert!(
        role.as_str()
            .unwrap()
            .ends_with(":role/shop-prod-karpenter"),
        "{role}"
    );
}

#[test]
fn without_karpenter_nothing_of_it_is_in_the_cluster() {
    let graph = environment(
        "none",
        &platform("prod", json!({ "karpenter": { "enabled": false } })),
    );
    let left: BTreeSet<&str> = graph
        .resources()
        .map(|resource| resource.address.as_str())
        .filter(|address| address.starts_with("karpenter/"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_pool_that_karpenter_would_not_take_is_no_graph() {
    let mut platform = platform("prod", json!({}));
    platform
        .spec
        .node_pools
        .get_mut("general")
        .unwrap()
        .expire_after = "soon".to_owned();
    let errors = blueprint::environment(&platform).unwrap_err();
    let text = errors[0].to_string();
    assert!(text.contains("nodePools.general.expireAfter"), "{text}");
}

#[test]
fn the_cluster_is_referred_to() {
    let graph = environment("defaults", &platform("prod", json!({})));
    let inside = graph
        .resources()
        .filter(|it| it.type_name.realm().is_in_cluster());
    for resource in inside {
        let cluster = &resource.properties["Cluster"];
        assert_eq!(cluster, &Value::identifier(&address("cluster/cluster")));
    }
}
