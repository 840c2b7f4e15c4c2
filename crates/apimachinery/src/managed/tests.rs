use serde_json::{Value as Json, json};

use super::examples::{custom, deployment, service};
use super::*;
use crate::Status;
use crate::schema::Type;

/// An API server's worth of one object: writes go through ownership, and what changes nothing is not stored.
pub struct Server {
    schema: Type,
    api_version: &'static str,
    pub object: Option<Json>,
    pub version: u64,
    pub now: i64,
}

impl Server {
    pub fn new(schema: Type, api_version: &'static str) -> Self {
        Self {
            schema,
            api_version,
            object: None,
            version: 0,
            now: 1_700_000_000,
        }
    }

    fn writer<'a>(&self, manager: &'a str) -> Writer<'a> {
        Writer {
            manager,
            subresource: "",
            api_version: self.api_version,
            now: Timestamp::from_second(self.now).unwrap(),
            reset: &["status"],
        }
    }

    fn store(&mut self, mut object: Json) {
        self.now += 10;
        if let Some(before) = &self.object
            && settle(before, &mut object)
        {
            return;
        }
        self.version += 1;
        object["metadata"]["uid"] = json!("u1");
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.object = Some(object);
    }

    pub fn apply(&mut self, manager: &str, applied: Json, force: bool) -> Result<(), Status> {
        self.apply_with(manager, applied, force, |_| {})
    }

    /// An apply whose result is defaulted and admitted.
    pub fn apply_with(
        &mut self,
        manager: &str,
        applied: Json,
        force: bool,
        admit: impl FnOnce(&mut Json),
    ) -> Result<(), Status> {
        let mut object = apply(
            &self.schema,
            self.object.as_ref(),
            &applied,
            &self.writer(manager),
            force,
        )?;
        admit(&mut object);
        self.store(object);
        Ok(())
    }

    pub fn update(&mut self, manager: &str, change: impl FnOnce(&mut Json)) {
        self.update_through(manager, "", change);
    }

    pub fn update_through(
        &mut self,
        manager: &str,
        subresource: &str,
        change: impl FnOnce(&mut Json),
    ) {
        let mut after = self.object.clone().unwrap_or_else(|| json!({}));
        change(&mut after);
        let writer = Writer {
            subresource,
            reset: if subresource == "status" {
                &["spec"]
            } else {
                &["status"]
            },
            ..self.writer(manager)
        };
        update(&self.schema, self.object.as_ref(), &mut after, &writer);
        self.store(after);
    }

    pub fn object(&self) -> &Json {
        self.object.as_ref().unwrap()
    }

    /// What a manager owns, by name and operation.
    pub fn owned(&self, manager: &str, operation: &str) -> Json {
        self.entry(manager, operation)
            .map_or(Json::Null, |entry| entry["fieldsV1"].clone())
    }

    pub fn entry(&self, manager: &str, operation: &str) -> Option<&Json> {
        self.object()["metadata"]["managedFields"]
            .as_array()?
            .iter()
            .find(|entry| entry["manager"] == manager && entry["operation"] == operation)
    }

    pub fn managers(&self) -> Vec<String> {
        self.object()["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| {
                format!(
                    "{}/{}",
                    entry["manager"].as_str().unwrap(),
                    entry["operation"].as_str().unwrap()
                )
            })
            .collect()
    }
}

fn web(spec: Json) -> Json {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

fn deployments() -> Server {
    Server::new(deployment(), "apps/v1")
}

fn one_container(extra: Json) -> Json {
    let mut container = json!({"name": "web", "image": "nginx:1"});
    for (name, value) in extra.as_object().unwrap() {
        container[name] = value.clone();
    }
    json!({"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [container]}}})
}

#[test]
fn a_create_is_owned_as_a_real_server_writes_it() {
    let mut server = deployments();
    server.update("kubectl-create", |object| {
        *object = web(one_container(
            json!({"resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}),
        ));
        object["metadata"]["labels"] = json!({"app": "web"});
        object["spec"]["strategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    });
    assert_eq!(
        server.object()["metadata"]["managedFields"],
        json!([{
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "manager": "kubectl-create", "operation": "Update",
            "time": "2023-11-14T22:13:20Z",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:selector": {},
                    "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                    "f:template": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                        "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                            ".": {}, "f:image": {}, "f:name": {}, "f:resources": {},
                            "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                                {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                        }}},
                    },
                },
            },
        }])
    );
}

#[test]
fn an_apply_is_owned_as_a_real_server_writes_it() {
    let mut server = deployments();
    let mut applied = web(one_container(json!({"ports": [{"containerPort": 80}]})));
    applied["metadata"]["creationTimestamp"] = Json::Null;
    applied["spec"]["template"]["metadata"]["creationTimestamp"] = Json::Null;
    applied["spec"]["strategy"] = json!({});
    server.apply("kubectl", applied, false).unwrap();
    assert_eq!(
        server.owned("kubectl", "Apply"),
        json!({"f:spec": {
            "f:selector": {},
            "f:strategy": {},
            "f:template": {
                "f:metadata": {"f:creationTimestamp": {}, "f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                    ".": {}, "f:image": {}, "f:name": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                }}},
            },
        }})
    );
    // Null is no value of a built-in type's field.
    assert_eq!(
        server.object()["spec"]["template"]["metadata"],
        json!({"labels": {"app": "web"}})
    );
}

#[test]
fn applying_again_changes_nothing() {
    let mut server = deployments();
    let applied = web(one_container(json!({"ports": [{"containerPort": 80}]})));
    server.apply("helm", applied.clone(), false).unwrap();
    server.update("defaults", |object| object["spec"]["replicas"] = json!(1));
    let before = server.object.clone();
    server.apply("helm", applied, false).unwrap();
    assert_eq!(server.object, before);
    assert_eq!(server.version, 2);
}

#[test]
fn what_is_given_up_is_removed_and_the_rest_stays() {
    let mut server = deployments();
    let applied = |env: Json, ports: Json| web(one_container(json!({"env": env, "ports": ports})));
    server
        .apply(
            "helm",
            applied(
                json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
                json!([{"containerPort": 80}, {"containerPort": 443}]),
            ),
            false,
        )
        .unwrap();
    // What the server defaults is nobody's.
    let mut object = server.object().clone();
    object["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    for port in object["spec"]["template"]["spec"]["containers"][0]["ports"]
        .as_array_mut()
        .unwrap()
    {
        port["protocol"] = json!("TCP");
    }
    server.object = Some(object);
    server
        .apply(
            "helm",
            applied(
                json!([{"name": "B", "value": "2"}]),
                json!([{"containerPort": 80}]),
            ),
            false,
        )
        .unwrap();
    let container = &server.object()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        *container,
        json!({"name": "web", "image": "nginx:1", "imagePullPolicy": "Always", "env": [{"name": "B", "value": "2"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}]})
    );
}

#[test]
fn what_two_apply_is_removed_when_both_have_given_it_up() {
    let mut server = deployments();
    let with = |labels: Json| {
        let mut object = web(one_container(json!({})));
        object["metadata"]["labels"] = labels;
        object
    };
    server
        .apply("one", with(json!({"a": "1", "b": "2"})), false)
        .unwrap();
    server.apply("two", with(json!({"a": "1"})), false).unwrap();
    server.apply("one", with(json!({})), false).unwrap();
    assert_eq!(server.object()["metadata"]["labels"], json!({"a": "1"}));
    server
        .apply("two", web(one_container(json!({}))), false)
        .unwrap();
    // The first one's empty map is still its own.
    assert_eq!(server.object()["metadata"].get("labels"), None);
}

#[test]
fn what_others_own_is_a_conflict_unless_forced_or_equal() {
    let mut server = deployments();
    let with = |replicas: i64| {
        let mut spec = one_container(json!({}));
        spec["replicas"] = json!(replicas);
        web(spec)
    };
    server.apply("helm", with(1), false).unwrap();
    server.update("kubectl-scale", |object| {
        object["spec"]["replicas"] = json!(5)
    });
    assert_eq!(
        server.owned("kubectl-scale", "Update"),
        json!({"f:spec": {"f:replicas": {}}})
    );
    assert_eq!(
        server.owned("helm", "Apply")["f:spec"].get("f:replicas"),
        None
    );

    let refused = server.apply("helm", with(1), false).unwrap_err();
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-scale\" using apps/v1: .spec.replicas"
    );
    let causes = refused.details.unwrap().causes;
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!(
        causes[0].message,
        "conflict with \"kubectl-scale\" using apps/v1"
    );
    assert_eq!(causes[0].field, ".spec.replicas");

    // What both want alike is both's.
    server.apply("helm", with(5), false).unwrap();
    assert_eq!(server.managers(), ["helm/Apply", "kubectl-scale/Update"]);
    // Then giving it up leaves it to the other one.
    server
        .apply("helm", web(one_container(json!({}))), false)
        .unwrap();
    assert_eq!(server.object()["spec"]["replicas"], 5);

    server.apply("helm", with(2), true).unwrap();
    assert_eq!(server.object()["spec"]["replicas"], 2);
    assert_eq!(server.managers(), ["helm/Apply"]);
}

#[test]
fn several_conflicts_are_told_by_manager() {
    let mut server = deployments();
    server
        .apply(
            "one",
            web(one_container(
                json!({"args": ["a"], "ports": [{"containerPort": 80, "name": "x"}]}),
            )),
            false,
        )
        .unwrap();
    server.update_through("two", "scale", |object| {
        object["spec"]["replicas"] = json!(2)
    });
    let mut wanted = web(one_container(
        json!({"args": ["b"], "ports": [{"containerPort": 80, "name": "y"}]}),
    ));
    wanted["spec"]["replicas"] = json!(3);
    let refused = server.apply("three", wanted, false).unwrap_err();
    assert_eq!(
        refused.message,
        "Apply failed with 3 conflicts: conflicts with \"one\":\n\
         - .spec.template.spec.containers[name=\"web\"].args\n\
         - .spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"].name\n\
         conflicts with \"two\" with subresource \"scale\" using apps/v1:\n\
         - .spec.replicas"
    );
}

#[test]
fn managed_fields_may_be_edited_reset_and_not_broken() {
    let mut server = deployments();
    server
        .apply("helm", web(one_container(json!({}))), false)
        .unwrap();
    let stored = server.object()["metadata"]["managedFields"].clone();

    // What cannot be read is not taken.
    for wrong in [
        json!([{"manager": "x", "operation": "Grab", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}]),
        json!([{"manager": "x", "operation": "Apply", "apiVersion": "", "fieldsType": "FieldsV1", "fieldsV1": {}}]),
        json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV2", "fieldsV1": {}}]),
        json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"x": {}}}]),
        json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "noon"}]),
        json!([7]),
        json!("nobody"),
        Json::Null,
    ] {
        server.update("editor", |object| {
            object["metadata"]["managedFields"] = wrong.clone()
        });
        assert_eq!(
            server.object()["metadata"]["managedFields"],
            stored,
            "{wrong}"
        );
    }

    // What can be is, as the server writes it.
    let edited = json!([{"manager": "other", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "time": "2024-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers":
            {"k:{\"name\": \"web\"}": {"f:image": {}, ".": {}}}}}}}}]);
    server.update("editor", |object| {
        object["metadata"]["managedFields"] = edited
    });
    assert_eq!(server.managers(), ["other/Apply"]);
    assert_eq!(
        server.owned("other", "Apply")["f:spec"]["f:template"]["f:spec"]["f:containers"],
        json!({"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}})
    );

    // Through a subresource it cannot be edited.
    server.update_through("editor", "status", |object| {
        object["metadata"]["managedFields"] = json!([])
    });
    assert_eq!(server.managers(), ["other/Apply"]);

    for empty in [json!([]), json!([{}])] {
        let mut server = Server {
            object: server.object.clone(),
            ..deployments()
        };
        server.update("editor", |object| {
            object["metadata"]["managedFields"] = empty
        });
        assert_eq!(server.object()["metadata"].get("managedFields"), None);
        // From then on ownership is kept again when somebody applies.
        server.update("editor", |object| object["spec"]["replicas"] = json!(4));
        assert_eq!(server.object()["metadata"].get("managedFields"), None);
        server
            .apply("helm", web(one_container(json!({}))), false)
            .unwrap();
        assert_eq!(
            server.managers(),
            ["helm/Apply", "before-first-apply/Update"]
        );
    }
}

#[test]
fn the_oldest_updaters_become_one() {
    let mut server = deployments();
    server.update("creator", |object| *object = web(one_container(json!({}))));
    for number in 0..14 {
        server.update(&format!("updater-{number:02}"), |object| {
            object["metadata"]["labels"][format!("l{number}")] = json!("x");
        });
    }
    let managers = server.managers();
    assert_eq!(managers.len(), 10);
    assert_eq!(managers[0], "ancient-changes/Update");
    assert_eq!(managers[1], "updater-05/Update");
    let ancient = server.entry("ancient-changes", "Update").unwrap();
    // The time of the last that went into it: the creator wrote at :20, the fifth updater fifty seconds later.
    assert_eq!(ancient["time"], "2023-11-14T22:14:10Z");
    assert_eq!(
        ancient["fieldsV1"]["f:metadata"]["f:labels"]["f:l4"],
        json!({})
    );
    assert_eq!(
        ancient["fieldsV1"]["f:metadata"]["f:labels"].get("f:l5"),
        None
    );
}

#[test]
fn what_cannot_be_applied_is_refused() {
    let mut server = deployments();
    server
        .apply("helm", web(one_container(json!({}))), false)
        .unwrap();
    let with = |extra: Json| web(one_container(extra));
    for (applied, message) in [
        (
            with(
                json!({"ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}]}),
            ),
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): \
             .spec.template.spec.containers[name=\"web\"].ports: duplicate entries for key [containerPort=80,protocol=\"TCP\"]",
        ),
        (
            with(json!({"imagee": "x"})),
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): \
             .spec.template.spec.containers[name=\"web\"].imagee: field not declared in schema",
        ),
        (
            with(json!({"env": {"name": "x"}})),
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): \
             .spec.template.spec.containers[name=\"web\"].env: expected list, got &{map[name:x]}",
        ),
        (
            web(json!({"replicas": "3", "selector": 7})),
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): errors:\n  \
             .spec.replicas: expected numeric (int or float), got string\n  .spec.selector: expected map, got &{7}",
        ),
        (
            json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "web"}}),
            "invalid object type: apps/v1beta1, Kind=Deployment",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"}}),
            "invalid object type: apps/v1, Kind=DaemonSet",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "managedFields": []}}),
            "metadata.managedFields must be nil",
        ),
    ] {
        let refused = server.apply("helm", applied, true).unwrap_err();
        assert_eq!((refused.code, &*refused.message), (400, message));
    }
    assert!(server.apply("helm", json!([1]), false).is_err());
    assert!(server.apply("helm", json!(null), false).is_err());
}

#[test]
fn lists_keep_their_order_and_take_the_configurations() {
    let of = custom(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"list":
        {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}}}}}),
    );
    for (live, applied, merged) in [
        (vec!["a", "b", "c"], vec!["b"], vec!["a", "b", "c"]),
        (vec!["a", "b", "c"], vec!["c", "a"], vec!["b", "c", "a"]),
        (vec!["a", "b"], vec!["x", "a"], vec!["x", "a", "b"]),
        (vec!["a", "b"], vec!["a", "x"], vec!["a", "b", "x"]),
        (vec!["a"], vec!["b"], vec!["a", "b"]),
        (
            vec!["a", "b", "c", "d"],
            vec!["d", "x", "b"],
            vec!["a", "c", "d", "x", "b"],
        ),
    ] {
        let merged_to = merge::merge(
            &of,
            &json!({"spec": {"list": live}}),
            &json!({"spec": {"list": applied}}),
        );
        assert_eq!(
            merged_to,
            json!({"spec": {"list": merged}}),
            "{live:?} {applied:?}"
        );
    }
}

#[test]
fn service_ports_of_one_number_differ_by_protocol() {
    let mut server = Server::new(service(), "v1");
    let applied = |ports: Json| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dns"}, "spec": {"ports": ports}});
    server
        .apply("helm", applied(json!([{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}])), false)
        .unwrap();
    server
        .apply(
            "helm",
            applied(json!([{"name": "udp", "port": 53, "protocol": "UDP"}])),
            false,
        )
        .unwrap();
    assert_eq!(
        server.object()["spec"]["ports"],
        json!([{"name": "udp", "port": 53, "protocol": "UDP"}])
    );
}

#[test]
fn a_status_is_not_owned_through_the_main_endpoint() {
    let mut server = deployments();
    let mut applied = web(one_container(json!({})));
    applied["status"] = json!({"replicas": 3});
    server.apply("helm", applied, false).unwrap();
    assert_eq!(server.owned("helm", "Apply").get("f:status"), None);
    server.update_through("controller", "status", |object| {
        object["status"] =
            json!({"replicas": 2, "conditions": [{"type": "Available", "status": "True"}]});
    });
    assert_eq!(
        server.entry("controller", "Update").unwrap()["subresource"],
        "status"
    );
    assert_eq!(
        server.owned("controller", "Update"),
        json!({"f:status": {"f:replicas": {}, "f:conditions": {".": {}, "k:{\"type\":\"Available\"}":
            {".": {}, "f:status": {}, "f:type": {}}}}})
    );
}

pub fn widget_type() -> Type {
    custom(&json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer"},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id", "side"],
                "items": {"type": "object", "properties": {"id": {"type": "string"}, "side": {"type": "string", "default": "left"},
                    "weight": {"type": "integer"}}}},
            "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
            "names": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "plain": {"type": "array", "items": {"type": "string"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        }},
    }}))
}

pub fn widget(spec: Json) -> Json {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}, "spec": spec})
}

fn widgets() -> Server {
    Server::new(widget_type(), "example.com/v1")
}

#[test]
fn custom_resources_are_owned_as_their_schema_says() {
    let mut server = widgets();
    let spec = json!({
        "size": 1, "parts": [{"id": "a", "weight": 1}], "names": ["x"], "plain": ["p"], "whole": {"a": 1},
        "free": {"deep": {"er": [1, {"x": 2}]}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"z": 1}},
    });
    let mut object = widget(spec);
    object["metadata"]["finalizers"] = json!(["f"]);
    object["metadata"]["labels"] = json!({"app": "w"});
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]);
    let below = json!({
        "f:size": {}, "f:names": {"v:\"x\"": {}}, "f:plain": {}, "f:whole": {},
        "f:parts": {"k:{\"id\":\"a\",\"side\":\"left\"}": {".": {}, "f:id": {}, "f:weight": {}}},
        "f:free": {"f:deep": {".": {}, "f:er": {}}},
        "f:template": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {".": {}, "f:z": {}}},
    });
    server.apply("helm", object.clone(), false).unwrap();
    assert_eq!(
        server.owned("helm", "Apply"),
        json!({
            "f:metadata": {"f:finalizers": {"v:\"f\"": {}}, "f:labels": {"f:app": {}}, "f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}},
            "f:spec": below,
        })
    );

    let mut server = widgets();
    server.update("kubectl-create", |new| *new = object);
    let owned = server.owned("kubectl-create", "Update");
    // Whoever creates a custom resource has a part in every object on the way, as there is no Go struct to hold them.
    for path in [
        "/f:spec/.",
        "/f:spec/f:parts/.",
        "/f:spec/f:free/.",
        "/f:metadata/f:labels/.",
    ] {
        assert_eq!(owned.pointer(path), Some(&json!({})), "{path}");
    }
    assert_eq!(owned.pointer("/f:metadata/."), None);
}

#[test]
fn what_custom_resources_give_up_is_removed() {
    let mut server = widgets();
    let full = json!({"size": 1, "parts": [{"id": "a"}, {"id": "b", "side": "right", "weight": 3}], "names": ["x", "y"],
        "plain": ["p", "q"], "whole": {"a": 1, "b": 2}, "free": {"one": {"x": 1}, "two": [1]}});
    server.apply("helm", widget(full), false).unwrap();
    server.update("other", |object| {
        object["spec"]["parts"][0]["weight"] = json!(9)
    });
    let less = json!({"parts": [{"id": "b", "side": "right"}], "names": ["y"], "plain": ["q"], "whole": {"b": 2}, "free": {"two": [1]}});
    server.apply("helm", widget(less), false).unwrap();
    assert_eq!(
        server.object()["spec"],
        json!({
            "parts": [{"id": "b", "side": "right"}],
            "names": ["y"], "plain": ["q"], "whole": {"b": 2}, "free": {"two": [1]},
        })
    );
}

#[test]
fn elements_need_their_keys() {
    let mut server = widgets();
    let prefix = "failed to create typed patch object (default/w; example.com/v1, Kind=Widget): ";
    for (spec, message) in [
        (
            json!({"keyed": [{}]}),
            ".spec.keyed: element 0: associative list with keys has an element that omits all key fields [\"id\"] (and doesn't \
             have default values for any key fields)",
        ),
        (
            json!({"keyed": [null]}),
            ".spec.keyed: element 0: associative list with keys may not have a null element",
        ),
        (
            json!({"keyed": ["a"]}),
            ".spec.keyed: element 0: associative list with keys may not have non-map elements",
        ),
        (
            json!({"names": ["a", "a"]}),
            ".spec.names: duplicate entries for key [=\"a\"]",
        ),
        (
            json!({"names": [{}]}),
            ".spec.names: element 0: associative list without keys has an element that's a map type",
        ),
        (
            json!({"parts": [{"id": "a"}, {"id": "a", "side": "left"}]}),
            ".spec.parts: duplicate entries for key [id=\"a\",side=\"left\"]",
        ),
        (
            json!({"colour": "red"}),
            ".spec.colour: field not declared in schema",
        ),
    ] {
        let refused = server.apply("helm", widget(spec), false).unwrap_err();
        assert_eq!(
            (refused.code, refused.message),
            (400, format!("{prefix}{message}"))
        );
    }
}

#[test]
fn duplicates_that_were_stored_are_owned_together() {
    let mut server = widgets();
    server.update("old", |object| {
        *object = widget(json!({"names": ["a", "b", "a"], "keyed": [{"id": "x"}, {"id": "x"}]}))
    });
    server
        .apply("new", widget(json!({"names": ["b"], "size": 1})), false)
        .unwrap();
    assert_eq!(server.object()["spec"]["names"], json!(["a", "b", "a"]));
    server.update("old", |object| object["spec"]["names"] = json!(["a", "b"]));
    assert_eq!(
        server.object()["spec"]["keyed"],
        json!([{"id": "x"}, {"id": "x"}])
    );
    let refused = server
        .apply(
            "new",
            widget(json!({"keyed": [{"id": "x"}, {"id": "x"}]})),
            true,
        )
        .unwrap_err();
    assert_eq!(refused.code, 400);
}

#[test]
fn without_a_schema_lists_are_wholes() {
    let mut server = Server::new(Type::any(), "example.com/v1");
    server
        .apply(
            "one",
            widget(json!({"list": [{"name": "a"}], "map": {"a": {"b": 1}}})),
            false,
        )
        .unwrap();
    assert_eq!(
        server.owned("one", "Apply"),
        json!({"f:spec": {".": {}, "f:list": {}, "f:map": {".": {}, "f:a": {".": {}, "f:b": {}}}}})
    );
    let refused = server
        .apply("two", widget(json!({"list": [{"name": "b"}]})), false)
        .unwrap_err();
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.list"
    );
    server
        .apply("two", widget(json!({"list": [{"name": "b"}]})), true)
        .unwrap();
    server
        .apply("one", widget(json!({"map": {"a": {}}})), false)
        .unwrap();
    assert_eq!(
        server.object()["spec"],
        json!({"list": [{"name": "b"}], "map": {"a": {}}})
    );
}

#[test]
fn a_part_that_becomes_atomic_is_owned_as_a_whole() {
    let schema = |atomic: bool| {
        let mut part = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}});
        if atomic {
            part["x-kubernetes-map-type"] = json!("atomic");
        }
        custom(
            &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"part": part}}}}),
        )
    };
    let mut server = Server::new(schema(false), "example.com/v1");
    server
        .apply("one", widget(json!({"part": {"a": 1}})), false)
        .unwrap();
    server.schema = schema(true);
    server
        .apply("two", widget(json!({"part": {"a": 1}})), false)
        .unwrap();
    assert_eq!(
        server.owned("one", "Apply"),
        json!({"f:spec": {"f:part": {}}})
    );
    assert_eq!(
        server.owned("two", "Apply"),
        json!({"f:spec": {"f:part": {}}})
    );
}
