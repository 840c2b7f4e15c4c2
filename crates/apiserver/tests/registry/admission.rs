//! What the server adds to objects on their way in, and refuses.

use std::collections::BTreeSet;

use seaworthy_apiserver::registry::DeleteOptions;
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, config_map, pod};

#[test]
fn a_pod_comes_out_as_in_a_real_cluster() {
    let cluster = Cluster::new();
    let made = cluster.create(pod("web"));
    let spec = &made["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["serviceAccount"], "default");
    assert_eq!(spec["priority"], 0);
    assert_eq!(spec["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(spec["restartPolicy"], "Always");
    assert_eq!(spec["schedulerName"], "default-scheduler");
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(
        mount["mountPath"],
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    assert_eq!(mount["name"], spec["volumes"][0]["name"]);
    assert_eq!(
        made["status"],
        json!({ "phase": "Pending", "qosClass": "BestEffort" })
    );
    // What the server added belongs to nobody.
    let fields = made["metadata"]["managedFields"][0]["fieldsV1"].to_string();
    assert!(
        !fields.contains("f:volumes") && !fields.contains("f:tolerations"),
        "{fields}"
    );
    assert!(cluster.get("serviceaccounts/default").is_some());
}

#[test]
fn a_pod_needs_its_service_account() {
    let cluster = Cluster::new();
    let mut object = pod("web");
    object["spec"]["serviceAccountName"] = json!("robot");
    let error = cluster.try_create(object.clone()).unwrap_err();
    assert_eq!(error.code, 403);
    assert_eq!(
        error.message,
        "pods \"web\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found"
    );
    cluster.create(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "robot" },
        "automountServiceAccountToken": false, "imagePullSecrets": [{ "name": "registry" }],
    }));
    let made = cluster.create(object);
    assert!(made["spec"].get("volumes").is_none());
    assert_eq!(
        made["spec"]["imagePullSecrets"],
        json!([{ "name": "registry" }])
    );
}

#[test]
fn priorities_come_from_classes() {
    let cluster = Cluster::new();
    let mut object = pod("web");
    object["spec"]["priorityClassName"] = json!("system-cluster-critical");
    assert_eq!(
        cluster.create(object.clone())["spec"]["priority"],
        2_000_000_000
    );
    object["metadata"]["name"] = json!("b");
    object["spec"]["priorityClassName"] = json!("none");
    let error = cluster.try_create(object.clone()).unwrap_err();
    assert_eq!(
        error.message,
        "pods \"b\" is forbidden: no PriorityClass with name none was found"
    );
    let class = |name: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
            "value": 100, "globalDefault": true, "preemptionPolicy": "Never",
        })
    };
    cluster.create(class("usual"));
    let error = cluster.try_create(class("other")).unwrap_err();
    assert_eq!(error.code, 403, "{error}");
    object["spec"]
        .as_object_mut()
        .unwrap()
        .remove("priorityClassName");
    let made = cluster.create(object);
    assert_eq!(made["spec"]["priority"], 100);
    assert_eq!(made["spec"]["priorityClassName"], "usual");
    assert_eq!(made["spec"]["preemptionPolicy"], "Never");
}

#[test]
fn limit_ranges_fill_in_and_bound() {
    let cluster = Cluster::new();
    cluster.create(json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "limits" },
        "spec": { "limits": [{
            "type": "Container",
            "default": { "cpu": "500m", "memory": "256Mi" },
            "defaultRequest": { "cpu": "100m", "memory": "128Mi" },
            "max": { "cpu": "1", "memory": "1Gi" },
        }] },
    }));
    let made = cluster.create(pod("web"));
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({ "limits": { "cpu": "500m", "memory": "256Mi" }, "requests": { "cpu": "100m", "memory": "128Mi" } })
    );
    assert_eq!(made["status"]["qosClass"], "Burstable");
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory limit for container web; cpu, memory request for container web"
    );
    let mut large = pod("large");
    large["spec"]["containers"][0]["resources"] = json!({ "limits": { "cpu": "2" } });
    let error = cluster.try_create(large).unwrap_err();
    assert_eq!(error.code, 403);
    assert!(
        error
            .message
            .contains("maximum cpu usage per Container is 1, but limit is 2"),
        "{error}"
    );
}

#[test]
fn a_quota_counts_and_refuses() {
    let cluster = Cluster::new();
    let quota = cluster.create(json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" },
        "spec": { "hard": { "pods": "2", "requests.cpu": "1", "count/configmaps": "1" } },
    }));
    let used =
        |cluster: &Cluster| cluster.get("resourcequotas/few").unwrap()["status"]["used"].clone();
    assert!(quota["spec"]["hard"].is_object());
    assert_eq!(
        used(&cluster),
        json!({ "pods": "0", "requests.cpu": "0", "count/configmaps": "0" })
    );
    let error = cluster.try_create(pod("a")).unwrap_err();
    assert_eq!(
        error.message,
        "pods \"a\" is forbidden: failed quota: few: must specify requests.cpu for: web"
    );
    let asking = |name: &str, cpu: &str| {
        let mut object = pod(name);
        object["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": cpu } });
        object
    };
    cluster.create(asking("a", "600m"));
    assert_eq!(used(&cluster)["pods"], "1");
    assert_eq!(used(&cluster)["requests.cpu"], "600m");
    let error = cluster.try_create(asking("b", "500m")).unwrap_err();
    assert_eq!(error.code, 403);
    assert_eq!(
        error.message,
        "pods \"b\" is forbidden: exceeded quota: few, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1"
    );
    cluster.create(asking("b", "400m"));
    cluster.create(config_map("one"));
    assert_eq!(cluster.try_create(config_map("two")).unwrap_err().code, 403);
    // What has finished no longer counts, nor what is gone.
    cluster.merge_status("pods/a", json!({ "phase": "Succeeded" }));
    assert_eq!(used(&cluster)["pods"], "1");
    cluster.delete("pods/b", &DeleteOptions::default()).unwrap();
    assert_eq!(
        used(&cluster),
        json!({ "pods": "0", "requests.cpu": "0", "count/configmaps": "1" })
    );
}

fn service(name: &str, spec: Json) -> Json {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "default" },
        "spec": { "ports": [{ "port": 80 }], "selector": { "app": "web" } },
    });
    service["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    service
}

#[test]
fn services_get_addresses_of_their_own() {
    let cluster = Cluster::new();
    let mut seen = BTreeSet::new();
    for number in 0..30 {
        let made = cluster.create(service(&format!("s{number}"), json!({})));
        let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
        assert!(address.starts_with("10.100."), "{address}");
        assert_eq!(made["spec"]["clusterIPs"], json!([address]));
        assert!(seen.insert(address));
    }
    let headless = cluster.create(service("headless", json!({ "clusterIP": "None" })));
    assert_eq!(headless["spec"]["clusterIP"], "None");
    let external = service(
        "external",
        json!({ "type": "ExternalName", "externalName": "example.com", "ports": [] }),
    );
    assert!(cluster.create(external)["spec"].get("clusterIP").is_none());
    let error = cluster
        .try_create(service("taken", json!({ "clusterIP": "10.100.0.1" })))
        .unwrap_err();
    assert_eq!(error.code, 422);
    assert!(
        error.message.contains("provided IP is already allocated"),
        "{error}"
    );
    let error = cluster
        .try_create(service("far", json!({ "clusterIP": "1.2.3.4" })))
        .unwrap_err();
    assert!(error.message.contains("not in the valid range"), "{error}");
    assert_eq!(
        cluster.create(service("dns", json!({ "clusterIP": "10.100.0.10" })))["spec"]["clusterIP"],
        "10.100.0.10"
    );
}

#[test]
fn services_keep_what_they_were_given() {
    let cluster = Cluster::new();
    let made = cluster.create(service("web", json!({ "type": "LoadBalancer" })));
    let port = made["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30000..=32767).contains(&port));
    // A client's update knows neither the address nor the node port.
    let mut update = service("web", json!({ "type": "NodePort" }));
    update["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    let updated = cluster.update("services/web", update).unwrap();
    assert_eq!(updated["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    assert_eq!(updated["spec"]["ports"][0]["nodePort"], port);
    let internal = cluster.merge("services/web", json!({ "spec": { "type": "ClusterIP" } }));
    assert!(internal["spec"]["ports"][0].get("nodePort").is_none());
    let asked = service(
        "other",
        json!({ "type": "NodePort", "ports": [{ "port": 80, "nodePort": 30080 }] }),
    );
    cluster.create(asked.clone());
    let mut again = asked;
    again["metadata"]["name"] = json!("third");
    let error = cluster.try_create(again).unwrap_err();
    assert!(
        error.message.contains("provided port is already allocated"),
        "{error}"
    );
}

#[test]
fn claims_get_the_default_class_and_protection() {
    let cluster = Cluster::new();
    cluster.create(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": "gp3", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "ebs.csi.aws.com",
    }));
    let claim = |name: &str, spec: Json| {
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        claim["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        claim
    };
    let made = cluster.create(claim("a", json!({})));
    assert_eq!(made["spec"]["storageClassName"], "gp3");
    assert_eq!(
        made["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    assert_eq!(made["status"]["phase"], "Pending");
    let made = cluster.create(claim("b", json!({ "storageClassName": "" })));
    assert_eq!(made["spec"]["storageClassName"], "");
}

#[test]
fn an_ingress_gets_the_default_class() {
    let cluster = Cluster::new();
    cluster.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": { "name": "alb", "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" } },
        "spec": { "controller": "eks.amazonaws.com/alb" },
    }));
    let ingress = |name: &str, spec: Json| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": name }, "spec": spec,
        })
    };
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let made = cluster.create(ingress("a", json!({ "defaultBackend": backend })));
    assert_eq!(made["spec"]["ingressClassName"], "alb");
    let made = cluster.create(ingress(
        "b",
        json!({ "defaultBackend": backend, "ingressClassName": "own" }),
    ));
    assert_eq!(made["spec"]["ingressClassName"], "own");
}

#[test]
fn a_runtime_class_adds_its_overhead() {
    let cluster = Cluster::new();
    let mut object = pod("web");
    object["spec"]["runtimeClassName"] = json!("heavy");
    let error = cluster.try_create(object.clone()).unwrap_err();
    assert_eq!(
        error.message,
        "pods \"web\" is forbidden: pod rejected: RuntimeClass \"heavy\" not found"
    );
    cluster.create(json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": "heavy" }, "handler": "heavy",
        "overhead": { "podFixed": { "memory": "64Mi" } }, "scheduling": { "nodeSelector": { "heavy": "yes" } },
    }));
    let made = cluster.create(object);
    assert_eq!(made["spec"]["overhead"], json!({ "memory": "64Mi" }));
    assert_eq!(made["spec"]["nodeSelector"], json!({ "heavy": "yes" }));
}
