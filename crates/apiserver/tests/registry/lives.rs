//! Creation, deletion, namespaces, finalizers, restarts.

use seaworthy_apiserver::registry::{Call, DeleteOptions, Patch, Propagation};
use serde_json::json;

use crate::cluster::{Cluster, config_map, deployment, wait};

#[test]
fn a_new_object_gets_an_identity() {
    let cluster = Cluster::new();
    let made = cluster.create(config_map("a"));
    let metadata = &made["metadata"];
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(metadata["creationTimestamp"], "2026-01-02T03:04:05Z");
    assert!(
        metadata["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .is_ok()
    );
    assert!(metadata.get("generation").is_none());
    assert_eq!(metadata["managedFields"][0]["manager"], "tester");
    assert_eq!(cluster.get("configmaps/a").unwrap(), made);
    let error = cluster.try_create(config_map("a")).unwrap_err();
    assert_eq!(error.code, 409);
    assert_eq!(error.message, "configmaps \"a\" already exists");

    let made = cluster.create(deployment("web"));
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["status"], json!({}));
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
}

#[test]
fn names_are_generated() {
    let cluster = Cluster::new();
    let mut object = config_map("a");
    object["metadata"] = json!({ "generateName": "web-" });
    let first = cluster.create(object.clone());
    let second = cluster.create(object.clone());
    let name = |object: &serde_json::Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name(&first).starts_with("web-") && name(&first).len() == 9);
    assert_ne!(name(&first), name(&second));
    object["metadata"] = json!({});
    let error = cluster.try_create(object).unwrap_err();
    assert_eq!(error.code, 422, "{error}");
    assert!(
        error.message.contains("name or generateName is required"),
        "{error}"
    );
}

#[test]
fn bodies_must_be_what_the_path_says() {
    let cluster = Cluster::new();
    let mut strange = config_map("a");
    strange["data"] = json!({ "key": 1 });
    let error = cluster.try_create(strange).unwrap_err();
    assert_eq!(error.code, 400, "{error}");
    assert!(error.message.contains("cannot unmarshal number"), "{error}");
    let mut strange = deployment("a");
    strange["spec"]["replica"] = json!(1);
    let error = cluster.try_create(strange).unwrap_err();
    assert_eq!(error.code, 400, "{error}");
    assert!(
        error
            .message
            .contains("strict decoding error: unknown field \"spec.replica\""),
        "{error}"
    );
    let mut strange = config_map("a");
    strange["metadata"]["resourceVersion"] = json!("5");
    assert_eq!(cluster.try_create(strange).unwrap_err().code, 400);
    let error = cluster
        .call("configmaps/b", |call| {
            wait(cluster.registry.update(&call, config_map("c")))
        })
        .unwrap_err();
    assert_eq!(error.code, 400, "{error}");
    let error = cluster
        .call("secrets", |call| {
            wait(cluster.registry.create(&call, config_map("c")))
        })
        .unwrap_err();
    assert_eq!(error.code, 400, "{error}");
}

#[test]
fn unknown_fields_are_dropped_with_a_warning() {
    let cluster = Cluster::new();
    let mut object = config_map("a");
    object["dta"] = json!({});
    let written = cluster
        .call("configmaps", |call| {
            wait(cluster.registry.create(&call, object))
        })
        .unwrap();
    assert_eq!(written.warnings, ["unknown field \"dta\""]);
    assert!(written.json().get("dta").is_none());
}

#[test]
fn a_dry_run_leaves_nothing() {
    let cluster = Cluster::new();
    let before = cluster.registry.store().revision();
    let made = cluster
        .call("configmaps", |call| {
            let call = Call {
                dry_run: true,
                ..call
            };
            wait(cluster.registry.create(&call, config_map("a")))
        })
        .unwrap();
    assert!(made.created);
    assert!(made.json()["metadata"].get("resourceVersion").is_none());
    assert!(made.json()["metadata"]["uid"].is_string());
    assert!(cluster.get("configmaps/a").is_none());
    assert_eq!(cluster.registry.store().revision(), before);

    let stored = cluster.create(config_map("a"));
    let changed = cluster
        .call("configmaps/a", |call| {
            let call = Call {
                dry_run: true,
                ..call
            };
            let patch = Patch::Merge(json!({ "data": { "more": "x" } }));
            wait(cluster.registry.patch(&call, &patch))
        })
        .unwrap()
        .json();
    assert_eq!(changed["data"]["more"], "x");
    assert_eq!(
        changed["metadata"]["resourceVersion"],
        stored["metadata"]["resourceVersion"]
    );
    assert_eq!(cluster.get("configmaps/a").unwrap(), stored);
}

#[test]
fn nothing_is_made_where_there_is_no_namespace() {
    let cluster = Cluster::new();
    let mut object = config_map("a");
    object["metadata"]["namespace"] = json!("nowhere");
    let error = cluster.try_create(object.clone()).unwrap_err();
    assert_eq!(error.code, 404);
    assert_eq!(error.message, "namespaces \"nowhere\" not found");

    let namespace = cluster.create(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "nowhere" },
    }));
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
    assert_eq!(
        namespace["metadata"]["labels"]["kubernetes.io/metadata.name"],
        "nowhere"
    );
    cluster.create(object.clone());
    let deleted = cluster
        .delete("namespaces/nowhere", &DeleteOptions::default())
        .unwrap();
    assert!(!deleted.gone);
    let namespace = cluster.get("namespaces/nowhere").unwrap();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    object["metadata"]["name"] = json!("b");
    let error = cluster.try_create(object).unwrap_err();
    assert_eq!(error.code, 403);
    assert_eq!(
        error.details.unwrap().causes[0].reason,
        "NamespaceTerminating"
    );

    // Its controller says that it is empty.
    let mut empty = namespace;
    empty["spec"]["finalizers"] = json!([]);
    cluster
        .update_part("namespaces/nowhere", Some("finalize"), empty)
        .unwrap();
    assert!(cluster.get("namespaces/nowhere").is_none());
    let error = cluster
        .delete("namespaces/kube-system", &DeleteOptions::default())
        .unwrap_err();
    assert_eq!(error.code, 403);
}

#[test]
fn finalizers_hold_what_is_deleted() {
    let cluster = Cluster::new();
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.create(object);
    let deleted = cluster
        .delete("configmaps/a", &DeleteOptions::default())
        .unwrap();
    assert!(!deleted.gone);
    let held = cluster.get("configmaps/a").unwrap();
    assert_eq!(
        held["metadata"]["deletionTimestamp"],
        "2026-01-02T03:04:05Z"
    );
    let version = held["metadata"]["resourceVersion"].clone();
    // Deleted again, it is as it was.
    cluster
        .delete("configmaps/a", &DeleteOptions::default())
        .unwrap();
    assert_eq!(
        cluster.get("configmaps/a").unwrap()["metadata"]["resourceVersion"],
        version
    );
    let patch = Patch::Merge(
        json!({ "metadata": { "finalizers": ["example.com/hold", "example.com/more"] } }),
    );
    let error = cluster.patch("configmaps/a", &patch).unwrap_err();
    assert_eq!(error.code, 422);
    assert!(
        error.message.contains("no new finalizers can be added"),
        "{error}"
    );
    let last = cluster.merge(
        "configmaps/a",
        json!({ "metadata": { "finalizers": null } }),
    );
    assert!(last["metadata"]["deletionTimestamp"].is_string());
    assert!(cluster.get("configmaps/a").is_none());
}

#[test]
fn the_propagation_policy_becomes_a_finalizer() {
    let cluster = Cluster::new();
    for (name, propagation, finalizer) in [
        ("a", Propagation::Foreground, "foregroundDeletion"),
        ("b", Propagation::Orphan, "orphan"),
    ] {
        cluster.create(deployment(name));
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let path = format!("deployments.apps/{name}");
        assert!(!cluster.delete(&path, &options).unwrap().gone);
        let held = cluster.get(&path).unwrap();
        assert_eq!(held["metadata"]["finalizers"], json!([finalizer]));
        assert_eq!(held["metadata"]["generation"], 2);
        // Without a policy it stays as it was; the background takes it back.
        assert!(
            !cluster
                .delete(&path, &DeleteOptions::default())
                .unwrap()
                .gone
        );
        let options = DeleteOptions {
            propagation: Some(Propagation::Background),
            ..DeleteOptions::default()
        };
        assert!(cluster.delete(&path, &options).unwrap().gone);
    }
}

#[test]
fn preconditions_are_checked() {
    let cluster = Cluster::new();
    let made = cluster.create(config_map("a"));
    let wrong = DeleteOptions::parse(&json!({ "preconditions": { "uid": "other" } })).unwrap();
    let error = cluster.delete("configmaps/a", &wrong).unwrap_err();
    assert_eq!(error.code, 409);
    assert!(
        error
            .message
            .contains("Precondition failed: UID in precondition: other"),
        "{error}"
    );
    let wrong =
        DeleteOptions::parse(&json!({ "preconditions": { "resourceVersion": "1" } })).unwrap();
    assert_eq!(
        cluster.delete("configmaps/a", &wrong).unwrap_err().code,
        409
    );
    let right =
        DeleteOptions::parse(&json!({ "preconditions": { "uid": made["metadata"]["uid"] } }))
            .unwrap();
    let deleted = cluster.delete("configmaps/a", &right).unwrap();
    assert!(deleted.gone);
    let answer = cluster.call("configmaps/a", |call| {
        deleted.answer(&cluster.registry, &call)
    });
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["status"], "Success");
    assert_eq!(answer["details"]["uid"], made["metadata"]["uid"]);
    assert_eq!(
        cluster.delete("configmaps/a", &right).unwrap_err().code,
        404
    );
    assert!(DeleteOptions::parse(&json!({ "propagationPolicy": "Sideways" })).is_err());
}

#[test]
fn collections_are_deleted_as_far_as_they_are_wanted() {
    let cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        cluster.create(config_map(name));
    }
    let deleted = cluster
        .call("configmaps", |call| {
            let wanted = |stored: &seaworthy_apiserver::store::Stored| &*stored.key.name != "b";
            wait(
                cluster
                    .registry
                    .delete_collection(&call, &DeleteOptions::default(), &wanted),
            )
        })
        .unwrap();
    assert_eq!(deleted.len(), 2);
    assert!(cluster.get("configmaps/b").is_some());
    assert!(cluster.get("configmaps/a").is_none());
}

#[test]
fn everything_is_there_after_a_restart() {
    let mut cluster = Cluster::new();
    let made = cluster.create(config_map("a"));
    let service = cluster.get("services/kubernetes").unwrap();
    assert_eq!(service["spec"]["clusterIP"], "10.100.0.1");
    cluster.restart();
    assert_eq!(cluster.get("configmaps/a").unwrap(), made);
    assert_eq!(cluster.get("services/kubernetes").unwrap(), service);
    assert_eq!(
        cluster
            .get("priorityclasses.scheduling.k8s.io/system-node-critical")
            .unwrap()["value"],
        2_000_001_000
    );
    let later = cluster.create(config_map("b"));
    let revision = |object: &serde_json::Value| -> u64 {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert!(revision(&later) > revision(&made));
}

#[test]
fn a_job_knows_its_pods_by_its_uid() {
    let cluster = Cluster::new();
    let made = cluster.create(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once" },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "a", "image": "b" }] } } },
    }));
    let uid = &made["metadata"]["uid"];
    assert_eq!(
        made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"],
        *uid
    );
    assert_eq!(
        made["spec"]["template"]["metadata"]["labels"]["job-name"],
        "once"
    );
    let fields = made["metadata"]["managedFields"][0]["fieldsV1"].to_string();
    assert!(!fields.contains("controller-uid"), "{fields}");
}

#[test]
fn a_secret_keeps_texts_as_data() {
    let cluster = Cluster::new();
    let made = cluster.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
        "data": { "a": "b25l", "b": "b25l" }, "stringData": { "b": "two" },
    }));
    assert_eq!(made["data"], json!({ "a": "b25l", "b": "dHdv" }));
    assert!(made.get("stringData").is_none());
    assert_eq!(made["type"], "Opaque");
}
