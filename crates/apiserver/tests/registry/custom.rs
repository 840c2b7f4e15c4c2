//! CustomResourceDefinitions and their objects.

use seaworthy_apiserver::registry::{DeleteOptions, Patch};
use serde_json::{Value as Json, json};

use crate::cluster::Cluster;

fn definition() -> Json {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", "shortNames": ["wd"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": { "specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count" },
                },
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object", "required": ["size"],
                            "properties": {
                                "size": { "type": "integer", "minimum": 1 },
                                "colour": { "type": "string", "default": "blue" },
                                "count": { "type": "integer" },
                            },
                        },
                        "status": { "type": "object", "properties": { "count": { "type": "integer" } } },
                    },
                } },
            }],
        },
    })
}

fn widget(name: &str) -> Json {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": name, "namespace": "default" },
        "spec": { "size": 1 },
    })
}

#[test]
fn a_definition_is_served_at_once() {
    let mut cluster = Cluster::new();
    let serial = cluster.registry.resources().serial();
    let made = cluster.create(definition());
    let condition = |kind: &str| {
        let conditions = made["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|one| one["type"] == kind).unwrap()["status"].clone()
    };
    assert_eq!(condition("NamesAccepted"), "True");
    assert_eq!(condition("Established"), "True");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(made["status"]["acceptedNames"]["plural"], "widgets");
    let catalogue = cluster.registry.resources();
    assert!(catalogue.serial() > serial);
    assert!(catalogue.find("example.com", "v1", "widgets").is_some());
    let object = cluster.create(widget("a"));
    assert_eq!(object["spec"]["colour"], "blue");
    assert_eq!(object["metadata"]["generation"], 1);
    cluster.restart();
    assert_eq!(cluster.get("widgets.example.com/a").unwrap(), object);
}

#[test]
fn custom_objects_live_as_others_do() {
    let cluster = Cluster::new();
    cluster.create(definition());
    let mut object = widget("a");
    object["status"] = json!({ "count": 3 });
    let made = cluster.create(object);
    assert!(made.get("status").is_none());
    let path = "widgets.example.com/a";
    let told = cluster.merge_status(path, json!({ "count": 2 }));
    assert_eq!(told["status"]["count"], 2);
    assert_eq!(told["metadata"]["generation"], 1);
    let larger = cluster.merge(path, json!({ "spec": { "size": 2, "count": 4 } }));
    assert_eq!(larger["metadata"]["generation"], 2);
    let strategic = Patch::Strategic(json!({ "spec": { "size": 2 } }));
    assert_eq!(cluster.patch(path, &strategic).unwrap_err().code, 415);
    // An update has to say which version it is of.
    let error = cluster.update(path, widget("a")).unwrap_err();
    assert_eq!(error.code, 422, "{error}");
    let patch = Patch::Merge(json!({ "spec": { "replicas": 7 } }));
    let scale = cluster
        .patch_as(path, Some("scale"), None, &patch)
        .unwrap()
        .json();
    assert_eq!(scale["spec"]["replicas"], 7);
    assert_eq!(scale["status"]["replicas"], 2);
    assert_eq!(cluster.get(path).unwrap()["spec"]["count"], 7);
    let applied = json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "b" }, "spec": { "size": 5 } });
    assert!(
        cluster
            .apply("widgets.example.com/b", "helm", applied, false)
            .unwrap()
            .created
    );
}

#[test]
fn a_schema_is_held_against_objects() {
    let cluster = Cluster::new();
    cluster.create(definition());
    let mut wrong = widget("a");
    wrong["spec"]["size"] = json!(0);
    let error = cluster.try_create(wrong.clone()).unwrap_err();
    assert_eq!(error.code, 422, "{error}");
    wrong["spec"] = json!({});
    assert_eq!(cluster.try_create(wrong.clone()).unwrap_err().code, 422);
    wrong["spec"] = json!({ "size": 1, "unknown": true });
    let error = cluster.try_create(wrong).unwrap_err();
    assert!(
        error.message.contains("unknown field \"spec.unknown\""),
        "{error}"
    );
}

#[test]
fn objects_go_with_their_definition() {
    let cluster = Cluster::new();
    cluster.create(definition());
    cluster.create(widget("a"));
    let mut held = widget("b");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.create(held);
    let path = "customresourcedefinitions.apiextensions.k8s.io/widgets.example.com";
    assert!(
        !cluster
            .delete(path, &DeleteOptions::default())
            .unwrap()
            .gone
    );
    assert!(cluster.get("widgets.example.com/a").is_none());
    let terminating = cluster.get(path).unwrap();
    let conditions = terminating["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "Terminating"));
    assert_eq!(cluster.try_create(widget("c")).unwrap_err().code, 405);
    cluster.merge(
        "widgets.example.com/b",
        json!({ "metadata": { "finalizers": null } }),
    );
    assert!(cluster.get(path).is_none());
    assert!(
        cluster
            .registry
            .resources()
            .find("example.com", "v1", "widgets")
            .is_none()
    );
    // And it can come again.
    cluster.create(definition());
    cluster.create(widget("a"));
    assert!(
        cluster
            .delete(path, &DeleteOptions::default())
            .unwrap()
            .gone
    );
}

#[test]
fn names_belong_to_who_had_them_first() {
    let cluster = Cluster::new();
    cluster.create(definition());
    let mut other = definition();
    other["metadata"]["name"] = json!("gadgets.example.com");
    other["spec"]["names"] = json!({ "plural": "gadgets", "singular": "gadget", "kind": "Widget", "listKind": "GadgetList" });
    let made = cluster.create(other);
    let conditions = made["status"]["conditions"].as_array().unwrap();
    let accepted = conditions
        .iter()
        .find(|one| one["type"] == "NamesAccepted")
        .unwrap();
    assert_eq!(accepted["status"], "False");
    assert_eq!(accepted["message"], "\"Widget\" is already in use");
    assert!(
        cluster
            .registry
            .resources()
            .find("example.com", "v1", "gadgets")
            .is_none()
    );
}
