//! Updates, patches, server-side apply, scale.

use seaworthy_apiserver::registry::Patch;
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, config_map, deployment};

fn version(object: &Json) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn a_stale_version_is_refused() {
    let cluster = Cluster::new();
    let made = cluster.create(config_map("a"));
    let mut first = made.clone();
    first["data"]["key"] = json!("1");
    let after = cluster.update("configmaps/a", first.clone()).unwrap();
    assert_ne!(version(&after), version(&made));
    let error = cluster.update("configmaps/a", first.clone()).unwrap_err();
    assert_eq!(error.code, 409);
    assert_eq!(
        error.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    // Without one it is whatever is there.
    first["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    first["data"]["key"] = json!("2");
    cluster.update("configmaps/a", first.clone()).unwrap();
    first["metadata"]["uid"] = json!("another");
    assert_eq!(cluster.update("configmaps/a", first).unwrap_err().code, 409);
    let error = cluster.update("configmaps/b", config_map("b")).unwrap_err();
    assert_eq!(error.code, 404);
}

#[test]
fn a_write_that_changes_nothing_is_none() {
    let cluster = Cluster::new();
    let made = cluster.create(deployment("web"));
    cluster.pass(100);
    let same = cluster
        .update("deployments.apps/web", made.clone())
        .unwrap();
    assert_eq!(same, made);
    let same = cluster.merge("deployments.apps/web", json!({ "spec": { "replicas": 2 } }));
    assert_eq!(version(&same), version(&made));
    let patch = Patch::Strategic(
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "nginx:1.29" }] } } } }),
    );
    let same = cluster
        .patch("deployments.apps/web", &patch)
        .unwrap()
        .json();
    assert_eq!(same, made);
    let revision = cluster.registry.store().revision();
    assert_eq!(revision.to_string(), version(&made));
}

#[test]
fn the_generation_counts_changes_of_the_spec() {
    let cluster = Cluster::new();
    cluster.create(deployment("web"));
    let path = "deployments.apps/web";
    let labelled = cluster.merge(path, json!({ "metadata": { "labels": { "a": "b" } } }));
    assert_eq!(labelled["metadata"]["generation"], 1);
    let scaled = cluster.merge(path, json!({ "spec": { "replicas": 3 } }));
    assert_eq!(scaled["metadata"]["generation"], 2);
    // Nobody else writes it, nor what else is the server's.
    let forged = cluster.merge(
        path,
        json!({ "metadata": { "generation": 9, "uid": scaled["metadata"]["uid"], "creationTimestamp": "2000-01-01T00:00:00Z" } }),
    );
    assert_eq!(forged["metadata"]["generation"], 2);
    assert_eq!(
        forged["metadata"]["creationTimestamp"],
        "2026-01-02T03:04:05Z"
    );
    let told = cluster.merge_status(path, json!({ "replicas": 3, "observedGeneration": 2 }));
    assert_eq!(told["metadata"]["generation"], 2);
    assert_eq!(told["status"]["replicas"], 3);
}

#[test]
fn spec_and_status_are_apart() {
    let cluster = Cluster::new();
    let mut object = deployment("web");
    object["status"] = json!({ "replicas": 7 });
    let mut made = cluster.create(object);
    assert_eq!(made["status"], json!({}));
    made["spec"]["replicas"] = json!(5);
    made["status"] = json!({ "replicas": 1 });
    let path = "deployments.apps/web";
    let told = cluster
        .update_part(path, Some("status"), made.clone())
        .unwrap();
    assert_eq!(told["spec"]["replicas"], 2);
    assert_eq!(told["status"]["replicas"], 1);
    made["metadata"] = told["metadata"].clone();
    made["status"] = json!({ "replicas": 9 });
    let changed = cluster.update(path, made).unwrap();
    assert_eq!(changed["spec"]["replicas"], 5);
    assert_eq!(changed["status"]["replicas"], 1);
    let entries = changed["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        entries.iter().any(|entry| entry["subresource"] == "status"),
        "{entries:?}"
    );
}

#[test]
fn the_four_patches_do_what_they_say() {
    let cluster = Cluster::new();
    cluster.create(deployment("web"));
    let path = "deployments.apps/web";
    let patch = Patch::Json(json!([{ "op": "replace", "path": "/spec/replicas", "value": 4 }]));
    assert_eq!(
        cluster.patch(path, &patch).unwrap().json()["spec"]["replicas"],
        4
    );
    let patch = Patch::Strategic(
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "side", "image": "busybox" }] } } } }),
    );
    let both = cluster.patch(path, &patch).unwrap().json();
    let containers = both["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(containers.len(), 2);
    assert!(
        containers
            .iter()
            .all(|one| one["imagePullPolicy"].is_string())
    );
    let patch = Patch::Merge(
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "nginx:2" }] } } } }),
    );
    let one = cluster.patch(path, &patch).unwrap().json();
    assert_eq!(
        one["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let error = cluster.patch(
        path,
        &Patch::Json(json!([{ "op": "test", "path": "/spec/replicas", "value": 9 }])),
    );
    assert!(error.is_err());
    // A patch may carry the version that it is for.
    let stale =
        Patch::Merge(json!({ "metadata": { "resourceVersion": "1" }, "spec": { "replicas": 1 } }));
    assert_eq!(cluster.patch(path, &stale).unwrap_err().code, 409);
    let error = cluster.patch("deployments.apps/none", &patch).unwrap_err();
    assert_eq!(error.message, "deployments.apps \"none\" not found");
}

#[test]
fn apply_creates_owns_and_gives_up() {
    let cluster = Cluster::new();
    let path = "deployments.apps/web";
    let mut object = deployment("web");
    object["metadata"]["labels"] = json!({ "one": "1", "two": "2" });
    let made = cluster.apply(path, "helm", object.clone(), false).unwrap();
    assert!(made.created);
    assert_eq!(
        made.json()["metadata"]["managedFields"][0]["operation"],
        "Apply"
    );
    assert_eq!(made.json()["metadata"]["generation"], 1);
    cluster.pass(60);
    let again = cluster.apply(path, "helm", object.clone(), false).unwrap();
    assert!(!again.created);
    assert_eq!(again.json(), made.json());

    let error = cluster
        .apply(path, "other", json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "replicas": 9 },
        }), false)
        .unwrap_err();
    assert_eq!(error.code, 409);
    assert!(error.message.contains("conflict with \"helm\""), "{error}");
    assert_eq!(error.details.unwrap().causes[0].field, ".spec.replicas");
    // What the manager no longer says goes.
    object["metadata"]["labels"] = json!({ "one": "1" });
    let less = cluster
        .apply(path, "helm", object.clone(), false)
        .unwrap()
        .json();
    assert_eq!(less["metadata"]["labels"], json!({ "one": "1" }));
    let error = cluster
        .patch(
            path,
            &Patch::Apply {
                object,
                force: false,
            },
        )
        .unwrap_err();
    assert_eq!(error.code, 422, "{error}");
}

#[test]
fn an_applied_status_is_a_status() {
    let cluster = Cluster::new();
    cluster.create(deployment("web"));
    let path = "deployments.apps/web";
    let status = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "status": { "replicas": 2 },
    });
    let patch = Patch::Apply {
        object: status,
        force: false,
    };
    let told = cluster
        .patch_as(path, Some("status"), Some("watcher"), &patch)
        .unwrap()
        .json();
    assert_eq!(told["status"]["replicas"], 2);
    assert_eq!(told["metadata"]["generation"], 1);
}

#[test]
fn scale_is_the_number_of_replicas() {
    let cluster = Cluster::new();
    cluster.create(deployment("web"));
    let path = "deployments.apps/web";
    cluster.merge_status(path, json!({ "replicas": 2 }));
    let scale = |call: seaworthy_apiserver::registry::Call<'_>| {
        let call = seaworthy_apiserver::registry::Call {
            subresource: Some("scale"),
            ..call
        };
        cluster.registry.get(&call)
    };
    let shown: Json = serde_json::from_slice(&cluster.call(path, scale).unwrap()).unwrap();
    assert_eq!(shown["kind"], "Scale");
    assert_eq!(shown["spec"]["replicas"], 2);
    assert_eq!(
        shown["status"],
        json!({ "replicas": 2, "selector": "app=web" })
    );
    let mut wanted = shown.clone();
    wanted["spec"]["replicas"] = json!(5);
    let put = cluster
        .update_part(path, Some("scale"), wanted.clone())
        .unwrap();
    assert_eq!(put["spec"]["replicas"], 5);
    assert_eq!(
        cluster
            .update_part(path, Some("scale"), wanted)
            .unwrap_err()
            .code,
        409
    );
    let patch = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    cluster
        .patch_as(path, Some("scale"), Some("kubectl"), &patch)
        .unwrap();
    let object = cluster.get(path).unwrap();
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(object["metadata"]["generation"], 3);
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let owner = entries
        .iter()
        .find(|entry| entry["manager"] == "kubectl")
        .unwrap();
    assert_eq!(owner["fieldsV1"], json!({ "f:spec": { "f:replicas": {} } }));
    assert_eq!(owner["subresource"], "scale");
    let negative = Patch::Merge(json!({ "spec": { "replicas": -1 } }));
    assert_eq!(
        cluster
            .patch_as(path, Some("scale"), None, &negative)
            .unwrap_err()
            .code,
        422
    );
}

#[test]
fn autoscalers_and_events_are_the_same_in_both_versions() {
    let cluster = Cluster::new();
    let v1 = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70,
        },
    });
    let made = cluster.create(v1);
    assert_eq!(made["apiVersion"], "autoscaling/v1");
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 70);
    // The preferred version comes first.
    let v2 = cluster
        .get("horizontalpodautoscalers.autoscaling/web")
        .unwrap();
    assert_eq!(v2["apiVersion"], "autoscaling/v2");
    assert_eq!(
        v2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        70
    );

    cluster.create(json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "e", "namespace": "default" },
        "eventTime": "2026-01-02T03:04:05.000000Z", "reportingController": "example.com/c", "reportingInstance": "c-1",
        "action": "Doing", "reason": "Done", "type": "Normal", "note": "it is done",
        "regarding": { "kind": "Pod", "namespace": "default", "name": "web" },
    }));
    let core = cluster.get("events/e").unwrap();
    assert_eq!(core["apiVersion"], "v1");
    assert_eq!(core["message"], "it is done");
    assert_eq!(core["involvedObject"]["name"], "web");
    let new = cluster.get("events.events.k8s.io/e").unwrap();
    assert_eq!(new["note"], "it is done");
    assert_eq!(new["regarding"]["name"], "web");
    let stored = cluster.registry.store().everything();
    assert_eq!(
        stored
            .items
            .iter()
            .filter(|one| &*one.key.name == "e")
            .count(),
        1
    );
}
