//! What kubectl, Helm and the controllers do to one object, one after another.

use serde_json::{Value as Json, json};

use super::examples::{config_map, deployment, service};
use super::fields::Fields;
use super::tests::Server;
use crate::patch;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn deployments() -> Server {
    Server::new(deployment(), "apps/v1")
}

/// A manifest with one container, and more of it.
fn manifest(replicas: Option<i64>, containers: Json) -> Json {
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}});
    if let Some(replicas) = replicas {
        spec["replicas"] = json!(replicas);
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default",
        "labels": {"app.kubernetes.io/managed-by": "Helm"}}, "spec": spec})
}

fn web() -> Json {
    json!({"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 9090, "name": "metrics"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}], "args": ["-v"]})
}

/// What the server defaults, in part.
fn default(object: &mut Json) {
    fn set(object: &mut Json, name: &str, value: Json) {
        if object.get(name).is_none() {
            object[name] = value;
        }
    }
    set(&mut object["spec"], "replicas", json!(1));
    set(&mut object["spec"], "revisionHistoryLimit", json!(10));
    set(&mut object["spec"], "strategy", json!({}));
    set(
        &mut object["spec"]["strategy"],
        "type",
        json!("RollingUpdate"),
    );
    if object["spec"]["strategy"]["type"] == "RollingUpdate" {
        set(
            &mut object["spec"]["strategy"],
            "rollingUpdate",
            json!({"maxSurge": "25%", "maxUnavailable": "25%"}),
        );
    }
    let pod = &mut object["spec"]["template"]["spec"];
    set(pod, "restartPolicy", json!("Always"));
    for container in pod["containers"].as_array_mut().unwrap() {
        set(container, "imagePullPolicy", json!("IfNotPresent"));
        set(container, "resources", json!({}));
        for port in container
            .get_mut("ports")
            .and_then(Json::as_array_mut)
            .into_iter()
            .flatten()
        {
            set(port, "protocol", json!("TCP"));
        }
    }
}

fn applied(server: &mut Server, manager: &str, manifest: &Json, force: bool) -> Result<(), String> {
    server
        .apply_with(manager, manifest.clone(), force, default)
        .map_err(|status| status.message)
}

fn container<'a>(server: &'a Server, name: &str) -> &'a Json {
    server.object()["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|container| container["name"] == name)
        .unwrap()
}

#[test]
fn helm_upgrades_take_away_what_the_chart_has_dropped() {
    let mut server = deployments();
    let with = |containers: Json, volumes: Json| {
        let mut manifest = manifest(Some(2), containers);
        manifest["spec"]["template"]["spec"]["volumes"] = volumes;
        manifest
    };
    let first = with(
        json!([web(), {"name": "side", "image": "envoy:1"}]),
        json!([{"name": "data", "emptyDir": {}}, {"name": "old", "configMap": {"name": "old"}}]),
    );
    applied(&mut server, "helm", &first, false).unwrap();
    let version = server.version;
    applied(&mut server, "helm", &first, false).unwrap();
    assert_eq!(server.version, version, "an upgrade that changes nothing");

    // The controller writes, and somebody restarts the rollout.
    server.update_through("kube-controller-manager", "status", |object| {
        object["status"] = json!({"replicas": 2, "observedGeneration": 1});
    });
    server.update("kubectl-rollout", |object| {
        object["spec"]["template"]["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"});
    });

    let mut less = web();
    less["env"] = json!([{"name": "B", "value": "3"}]);
    less["ports"] = json!([{"containerPort": 80, "name": "http"}]);
    less.as_object_mut().unwrap().remove("args");
    let second = with(json!([less]), json!([{"name": "data", "emptyDir": {}}]));
    applied(&mut server, "helm", &second, false).unwrap();
    let pod = &server.object()["spec"]["template"];
    assert_eq!(pod["spec"]["containers"].as_array().unwrap().len(), 1);
    assert_eq!(
        pod["spec"]["volumes"],
        json!([{"name": "data", "emptyDir": {}}])
    );
    assert_eq!(
        *container(&server, "web"),
        json!({"name": "web", "image": "nginx:1", "env": [{"name": "B", "value": "3"}],
            "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}], "resources": {}, "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{"name": "data", "mountPath": "/data"}]})
    );
    assert_eq!(
        pod["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"],
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(server.object()["status"]["replicas"], 2);

    // A rollback brings it back.
    applied(&mut server, "helm", &first, false).unwrap();
    assert_eq!(container(&server, "web")["args"], json!(["-v"]));
    assert_eq!(container(&server, "side")["image"], "envoy:1");
}

#[test]
fn an_edit_is_a_conflict_that_helm_may_force() {
    let mut server = deployments();
    let chart = |image: &str| manifest(None, json!([{"name": "web", "image": image}]));
    applied(&mut server, "helm", &chart("nginx:1"), false).unwrap();
    server.update("kubectl-edit", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:hotfix");
    });
    assert_eq!(
        applied(&mut server, "helm", &chart("nginx:2"), false).unwrap_err(),
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: \
         .spec.template.spec.containers[name=\"web\"].image"
    );
    assert_eq!(container(&server, "web")["image"], "nginx:hotfix");
    applied(&mut server, "helm", &chart("nginx:2"), true).unwrap();
    assert_eq!(container(&server, "web")["image"], "nginx:2");
    assert_eq!(server.managers(), ["helm/Apply"]);
    // And from then on there is nothing to force.
    applied(&mut server, "helm", &chart("nginx:3"), false).unwrap();
}

#[test]
fn an_autoscaler_owns_the_replicas() {
    let mut server = deployments();
    let containers = json!([{"name": "web", "image": "nginx:1"}]);
    applied(
        &mut server,
        "helm",
        &manifest(Some(2), containers.clone()),
        false,
    )
    .unwrap();
    server.update_through("kube-controller-manager", "scale", |object| {
        object["spec"]["replicas"] = json!(7);
    });
    let entry = server.entry("kube-controller-manager", "Update").unwrap();
    assert_eq!(entry["subresource"], "scale");
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(
        applied(
            &mut server,
            "helm",
            &manifest(Some(2), containers.clone()),
            false
        )
        .unwrap_err(),
        "Apply failed with 1 conflict: conflict with \"kube-controller-manager\" with subresource \"scale\" using apps/v1: \
         .spec.replicas"
    );
    // The chart that leaves the number out leaves it alone.
    applied(
        &mut server,
        "helm",
        &manifest(None, containers.clone()),
        false,
    )
    .unwrap();
    assert_eq!(server.object()["spec"]["replicas"], 7);

    // If it had left it out while the number was still its own, it would have gone back to the default.
    let mut server = deployments();
    applied(
        &mut server,
        "helm",
        &manifest(Some(2), containers.clone()),
        false,
    )
    .unwrap();
    applied(&mut server, "helm", &manifest(None, containers), false).unwrap();
    assert_eq!(server.object()["spec"]["replicas"], 1);
}

/// What `kubectl apply` sends to create: the manifest, with itself in an annotation.
fn client_side(manifest: &Json) -> Json {
    let mut object = manifest.clone();
    object["metadata"]["annotations"] = json!({});
    let text = format!("{object}\n");
    object["metadata"]["annotations"][LAST_APPLIED] = json!(text);
    object
}

#[test]
fn client_side_apply_becomes_server_side_apply() {
    let mut server = deployments();
    let first = manifest(Some(2), json!([web()]));
    server.update("kubectl-client-side-apply", |object| {
        *object = client_side(&first);
        default(object);
    });
    assert_eq!(server.managers(), ["kubectl-client-side-apply/Update"]);

    // kubectl apply --server-side of a changed manifest: what is as client-side apply left it may change hands.
    let mut second = manifest(Some(3), json!([web()]));
    second["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    applied(&mut server, "kubectl", &second, false).unwrap();
    assert_eq!(server.object()["spec"]["replicas"], 3);
    assert_eq!(container(&server, "web")["image"], "nginx:2");
    let annotation = server.object()["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .unwrap();
    assert!(annotation.ends_with('\n'));
    assert_eq!(serde_json::from_str::<Json>(annotation).unwrap(), second);

    // Another manager would have met conflicts.
    let mut other = deployments();
    other.object = server.object.clone();
    let mut third = second.clone();
    third["spec"]["replicas"] = json!(9);
    assert!(
        applied(&mut other, "argocd", &third, false)
            .unwrap_err()
            .contains(".spec.replicas")
    );

    // kubectl then keeps the annotation as a manager of its own ...
    let annotation = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default",
        "annotations": {LAST_APPLIED: server.object()["metadata"]["annotations"][LAST_APPLIED]}}});
    applied(&mut server, "kubectl-last-applied", &annotation, false).unwrap();
    assert_eq!(
        server.owned("kubectl-last-applied", "Apply"),
        json!({"f:metadata": {"f:annotations": {format!("f:{LAST_APPLIED}"): {}}}})
    );

    // ... and gives what client-side apply owned to server-side apply, in a JSON patch.
    let mut managed = server.object()["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .clone();
    let legacy = managed
        .iter()
        .position(|entry| entry["manager"] == "kubectl-client-side-apply")
        .unwrap();
    let legacy = managed.remove(legacy);
    let ours = managed
        .iter_mut()
        .find(|entry| entry["manager"] == "kubectl")
        .unwrap();
    let mut both = Fields::from_json(&ours["fieldsV1"]).unwrap();
    both.unite(Fields::from_json(&legacy["fieldsV1"]).unwrap());
    ours["fieldsV1"] = both.to_json();
    let json_patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": managed},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": server.object()["metadata"]["resourceVersion"]},
    ]);
    server.update("kubectl", |object| {
        *object = patch::json(object, &json_patch).unwrap()
    });
    assert_eq!(
        server.managers(),
        ["kubectl/Apply", "kubectl-last-applied/Apply"]
    );

    // Now what the manifest drops is gone, also what client-side apply had put there.
    let third = manifest(
        None,
        json!([{"name": "web", "image": "nginx:2", "ports": [{"containerPort": 80}]}]),
    );
    applied(&mut server, "kubectl", &third, false).unwrap();
    let web = container(&server, "web");
    assert_eq!(web.get("env"), None);
    assert_eq!(
        web["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}])
    );
    assert_eq!(server.object()["spec"]["replicas"], 1);
    let version = server.version;
    applied(&mut server, "kubectl", &third, false).unwrap();
    assert_eq!(server.version, version);
}

#[test]
fn what_somebody_changed_since_is_a_conflict_for_kubectl_too() {
    let mut server = deployments();
    let first = manifest(Some(2), json!([web()]));
    server.update("kubectl-client-side-apply", |object| {
        *object = client_side(&first);
        default(object);
    });
    server.update("kubectl-scale", |object| {
        object["spec"]["replicas"] = json!(5)
    });
    let mut second = first.clone();
    second["spec"]["replicas"] = json!(3);
    second["metadata"]["labels"]["new"] = json!("label");
    assert_eq!(
        applied(&mut server, "kubectl", &second, false).unwrap_err(),
        "Apply failed with 1 conflict: conflict with \"kubectl-scale\" using apps/v1: .spec.replicas"
    );
}

#[test]
fn helm_3_releases_move_to_helm_4() {
    let mut server = deployments();
    let first = manifest(Some(1), json!([web()]));
    server.update("helm", |object| {
        *object = first.clone();
        default(object);
    });
    // Helm 3 upgrades by strategic merge patch.
    let smp = json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "web"}], "containers": [
        {"name": "web", "image": "nginx:2", "$setElementOrder/env": [{"name": "B"}], "env": [{"name": "A", "$patch": "delete"}]}]}}}});
    server.update("helm", |object| {
        *object = patch::strategic(&deployment(), object, &smp).unwrap();
    });
    assert_eq!(
        container(&server, "web")["env"],
        json!([{"name": "B", "value": "2"}])
    );
    assert_eq!(server.managers(), ["helm/Update"]);

    // The first apply conflicts with the same name's updates where it changes something.
    let mut second = first;
    second["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "B", "value": "4"}]);
    second["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    assert_eq!(
        applied(&mut server, "helm", &second, false).unwrap_err(),
        "Apply failed with 1 conflict: conflict with \"helm\" using apps/v1: \
         .spec.template.spec.containers[name=\"web\"].env[name=\"B\"].value"
    );
    applied(&mut server, "helm", &second, true).unwrap();
    assert_eq!(server.managers(), ["helm/Apply", "helm/Update"]);
}

#[test]
fn what_the_server_allots_to_a_service_stays() {
    let mut server = Server::new(service(), "v1");
    let service = |ports: Json| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": ports}})
    };
    let allot = |object: &mut Json| {
        object["spec"]["clusterIP"] = json!("10.100.0.7");
        object["spec"]["clusterIPs"] = json!(["10.100.0.7"]);
        for port in object["spec"]["ports"].as_array_mut().unwrap() {
            port["protocol"] = json!("TCP");
            port["nodePort"] = json!(30_000 + port["port"].as_i64().unwrap());
        }
    };
    server
        .apply_with(
            "helm",
            service(json!([{"port": 80}, {"port": 443}])),
            false,
            allot,
        )
        .unwrap();
    let nobody = |_: &mut Json| {};
    server
        .apply_with(
            "helm",
            service(json!([{"port": 443, "targetPort": "tls"}])),
            false,
            nobody,
        )
        .unwrap();
    assert_eq!(
        server.object()["spec"],
        json!({"type": "NodePort", "selector": {"app": "web"}, "clusterIP": "10.100.0.7", "clusterIPs": ["10.100.0.7"],
            "ports": [{"port": 443, "targetPort": "tls", "protocol": "TCP", "nodePort": 30_443}]})
    );
}

#[test]
fn labels_come_and_go_key_by_key() {
    let mut server = Server::new(config_map(), "v1");
    let config = |data: Json| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": data});
    server
        .apply("kubectl", config(json!({"a": "1", "b": "2"})), false)
        .unwrap();
    server.update("kubectl-label", |object| {
        *object = patch::merge(
            object,
            &json!({"metadata": {"labels": {"x": "1", "y": "2"}}}),
        )
        .unwrap();
    });
    server.update("kubectl-label", |object| {
        *object = patch::merge(object, &json!({"metadata": {"labels": {"x": null}}})).unwrap();
    });
    assert_eq!(
        server.owned("kubectl-label", "Update"),
        json!({"f:metadata": {"f:labels": {".": {}, "f:y": {}}}})
    );
    server
        .apply("kubectl", config(json!({"b": "3"})), false)
        .unwrap();
    assert_eq!(server.object()["data"], json!({"b": "3"}));
    assert_eq!(server.object()["metadata"]["labels"], json!({"y": "2"}));
    server.apply("kubectl", config(json!({})), false).unwrap();
    assert_eq!(server.object().get("data"), None);
}

#[test]
fn an_apply_to_a_scale_owns_the_parents_replicas() {
    let mut server = deployments();
    applied(
        &mut server,
        "helm",
        &manifest(Some(2), json!([{"name": "web", "image": "a"}])),
        false,
    )
    .unwrap();
    let parent = server.object()["metadata"]["managedFields"].clone();
    let scale = super::to_scale(Some(&parent), "spec.replicas").unwrap();
    assert_eq!(scale[0]["apiVersion"], "autoscaling/v1");
    assert_eq!(scale[0]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    // Nobody writes: nothing changes.
    assert_eq!(
        super::to_parent(Some(&parent), Some(&scale), "apps/v1", "spec.replicas"),
        Some(parent.clone())
    );
    // Somebody else takes the number.
    let mut taken = scale.clone();
    taken[0]["manager"] = json!("operator");
    taken[0]["subresource"] = json!("scale");
    let after = super::to_parent(Some(&parent), Some(&taken), "apps/v1", "spec.replicas").unwrap();
    let of = |name: &str| {
        after
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["manager"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        of("operator")["fieldsV1"],
        json!({"f:spec": {"f:replicas": {}}})
    );
    assert_eq!(of("operator")["apiVersion"], "apps/v1");
    assert_eq!(of("helm")["fieldsV1"]["f:spec"].get("f:replicas"), None);
}

/// The defaults of the API server itself.
fn real_defaults(kind: &'static str) -> impl Fn(&mut Json) {
    let resource = crate::builtin::resources()
        .into_iter()
        .find(|resource| &*resource.kind.kind == kind)
        .unwrap();
    move |object| crate::defaults::apply(&resource, object)
}

#[test]
fn defaults_make_no_difference_to_an_apply_that_changes_nothing() {
    let named = |name: &str| crate::definitions::named(name).unwrap();
    let meta = json!({"name": "web", "namespace": "default"});
    let cases = [
        (
            "Deployment",
            "apps/v1",
            deployment(),
            manifest(Some(2), json!([web()])),
        ),
        (
            "Service",
            "v1",
            service(),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}]}}),
        ),
        (
            "NetworkPolicy",
            "networking.k8s.io/v1",
            named("io.k8s.api.networking.v1.NetworkPolicy"),
            // Ports are owned as a whole, and their protocol is defaulted.
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta,
                "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}}),
        ),
        (
            "CronJob",
            "batch/v1",
            named("io.k8s.api.batch.v1.CronJob"),
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": {"schedule": "* * * * *", "jobTemplate":
                {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}}}}}}),
        ),
    ];
    for (kind, api_version, of, manifest) in cases {
        let mut server = Server::new(of, api_version);
        let defaults = real_defaults(kind);
        server
            .apply_with("helm", manifest.clone(), false, &defaults)
            .unwrap();
        let first = server.object.clone();
        server
            .apply_with("helm", manifest, false, &defaults)
            .unwrap();
        assert_eq!(server.object, first, "{kind}");
        assert_eq!(server.version, 1, "{kind}");
    }
}
