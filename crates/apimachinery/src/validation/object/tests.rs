use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{builtin, defaults};

fn resource(kind: &str) -> Resource {
    let all = builtin::resources();
    all.into_iter().find(|one| &*one.kind.kind == kind).unwrap()
}

/// Field and message of each cause, of an object with its defaults.
fn told(kind: &str, mut new: Json, old: Option<Json>) -> Vec<String> {
    let resource = resource(kind);
    defaults::apply(&resource, &mut new);
    let old = old.map(|mut old| {
        defaults::apply(&resource, &mut old);
        old
    });
    object(&resource, &new, old.as_ref())
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

fn meta() -> Json {
    json!({"name": "web", "namespace": "default"})
}

fn pod() -> Json {
    json!({"metadata": meta(), "spec": {
        "containers": [{
            "name": "web", "image": "nginx", "ports": [{"containerPort": 80, "name": "http"}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1}},
            "readinessProbe": {"httpGet": {"port": "http"}},
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        }],
        "volumes": [{"name": "data"}],
        "tolerations": [{"operator": "Exists"}],
    }})
}

fn deployment() -> Json {
    json!({"metadata": meta(), "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]},
    }})
}

fn changed(of: &Json, change: impl Fn(&mut Json)) -> Json {
    let mut object = of.clone();
    change(&mut object);
    object
}

#[test]
fn proper_objects_break_no_rule() {
    assert_eq!(told("Pod", pod(), None), [""; 0]);
    assert_eq!(
        told("Deployment", deployment(), Some(deployment())),
        [""; 0]
    );
    let service = json!({"metadata": meta(), "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}});
    assert_eq!(told("Service", service.clone(), Some(service)), [""; 0]);
    let set = changed(&deployment(), |it| {
        it["spec"]["serviceName"] = json!("web");
        it["spec"]["template"]["spec"]["volumes"] = json!(null);
        it["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}}]);
    });
    assert_eq!(told("StatefulSet", set, None), [""; 0]);
    let job = json!({"metadata": meta(), "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}});
    assert_eq!(told("Job", job.clone(), Some(job)), [""; 0]);
    let claim = json!({"metadata": meta(), "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(told("PersistentVolumeClaim", claim, None), [""; 0]);
    let secret = json!({"metadata": {"name": "sh.helm.release.v1.demo.v1", "namespace": "x"}, "stringData": {"release": "H4s"}});
    assert_eq!(told("Secret", secret, None), [""; 0]);
}

#[test]
fn names_and_labels_have_their_forms() {
    let broken = |change: fn(&mut Json)| {
        told(
            "ConfigMap",
            changed(&json!({"metadata": meta()}), change),
            None,
        )
    };
    assert_eq!(
        broken(|it| it["metadata"]["name"] = json!("Web_1")),
        [
            r#"metadata.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
        ]
    );
    assert_eq!(
        broken(|it| it["metadata"] = json!({"namespace": "default"})),
        ["metadata.name: Required value: name or generateName is required"]
    );
    assert_eq!(
        broken(|it| it["metadata"]["labels"] = json!({"a/b/c": "x", "ok": "-"})).len(),
        2
    );
    assert_eq!(
        broken(|it| it["metadata"]["namespace"] = json!(null)).len(),
        1
    );
}

#[test]
fn pods_are_held_to_what_the_server_says() {
    let broken = |change: fn(&mut Json)| told("Pod", changed(&pod(), change), None);
    assert_eq!(
        broken(|it| it["spec"]["containers"] = json!([])),
        ["spec.containers: Required value"]
    );
    assert_eq!(
        broken(|it| {
            let container = &mut it["spec"]["containers"][0];
            container["image"] = json!("");
            container["ports"][0]["containerPort"] = json!(70000);
            container["volumeMounts"][0]["name"] = json!("other");
            container["resources"]["requests"]["cpu"] = json!("2");
            container["imagePullPolicy"] = json!("Sometimes");
        }),
        [
            "spec.containers[0].image: Required value",
            r#"spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never""#,
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            r#"spec.containers[0].volumeMounts[0].name: Not found: "other""#,
            r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#,
        ]
    );
}

#[test]
fn a_running_pod_changes_in_few_ways() {
    let update = |change: fn(&mut Json)| told("Pod", changed(&pod(), change), Some(pod()));
    assert_eq!(
        update(|it| it["spec"]["containers"][0]["image"] = json!("nginx:2")).len(),
        1,
        "the pull policy follows"
    );
    assert_eq!(
        update(|it| {
            it["spec"]["containers"][0]["image"] = json!("nginx:2");
            it["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
        }),
        [""; 0]
    );
    assert_eq!(
        update(|it| it["metadata"]["labels"] = json!({"a": "b"})),
        [""; 0]
    );
    let told = update(|it| it["spec"]["nodeName"] = json!("node"));
    assert!(
        told[0].starts_with("spec: Forbidden: pod updates may not change fields other than"),
        "{told:?}"
    );
}

#[test]
fn selectors_select_their_template_and_do_not_change() {
    let broken = |change: fn(&mut Json)| {
        told(
            "Deployment",
            changed(&deployment(), change),
            Some(deployment()),
        )
    };
    assert_eq!(
        broken(|it| it["spec"]["template"]["metadata"]["labels"] = json!({"app": "api"})),
        [
            r#"spec.template.metadata.labels: Invalid value: map[string]string{"app":"api"}: `selector` does not match template `labels`"#
        ]
    );
    assert_eq!(
        broken(|it| {
            it["spec"]["template"]["metadata"]["labels"] = json!({"app": "api"});
            it["spec"]["selector"]["matchLabels"] = json!({"app": "api"});
        }),
        [
            r#"spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"api"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"#
        ]
    );
    assert_eq!(
        broken(|it| {
            it["spec"]["replicas"] = json!(-1);
            it["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}});
            it["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        }),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ]
    );
}

#[test]
fn a_stateful_set_changes_in_few_ways() {
    let set = changed(&deployment(), |it| it["spec"]["serviceName"] = json!("web"));
    let update =
        |change: fn(&mut Json)| told("StatefulSet", changed(&set, change), Some(set.clone()));
    assert_eq!(update(|it| it["spec"]["replicas"] = json!(3)), [""; 0]);
    assert!(
        update(|it| it["spec"]["serviceName"] = json!("api"))[0]
            .contains("updates to statefulset spec")
    );
}

#[test]
fn services_and_ingresses() {
    let service = json!({"metadata": meta(), "spec": {"ports": [{"port": 80}, {"port": 80, "name": "b", "nodePort": 30000}]}});
    assert_eq!(
        told("Service", service, None),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            r#"spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}"#,
        ]
    );
    let ingress = json!({"metadata": meta(), "spec": {"rules": [{"host": "*.example.com", "http": {"paths": [
        {"path": "api", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {}}}}]}}]}});
    assert_eq!(
        told("Ingress", ingress, None),
        [
            r#"spec.rules[0].http.paths[0].path: Invalid value: "api": must be an absolute path"#,
            "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or number is required",
        ]
    );
}

#[test]
fn schedules_have_five_fields() {
    let broken = |schedule: &str| {
        let job = json!({"metadata": meta(), "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}}});
        told("CronJob", job, None)
    };
    for good in [
        "*/5 * * * *",
        "0 3 1,15 * mon-fri",
        "@daily",
        "@every 1h",
        "0-30/10 0 * JAN ?",
    ] {
        assert_eq!(broken(good), [""; 0], "{good}");
    }
    for bad in [
        "* * * *",
        "61 * * * *",
        "*/0 * * * *",
        "x * * * *",
        "@never",
        "TZ=UTC * * * * *",
        "5-1 * * * *",
    ] {
        assert_eq!(broken(bad).len(), 1, "{bad}");
    }
}

#[test]
fn what_is_immutable_stays() {
    let map = json!({"metadata": meta(), "immutable": true, "data": {"a": "1"}});
    let changed_map = changed(&map, |it| it["data"]["a"] = json!("2"));
    assert_eq!(
        told("ConfigMap", changed_map, Some(map)),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
    let binding = json!({"metadata": meta(), "roleRef": {"kind": "Role", "name": "a"}});
    let other = changed(&binding, |it| it["roleRef"]["name"] = json!("b"));
    assert_eq!(
        told("RoleBinding", other, Some(binding)),
        [
            r#"roleRef: Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"Role", Name:"b"}: cannot change roleRef"#
        ]
    );
    let claim = json!({"metadata": meta(), "status": {"phase": "Bound"},
        "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "v", "resources": {"requests": {"storage": "2Gi"}}}});
    let grown = changed(&claim, |it| {
        it["spec"]["resources"]["requests"]["storage"] = json!("3Gi")
    });
    assert_eq!(
        told("PersistentVolumeClaim", grown, Some(claim.clone())),
        [""; 0]
    );
    let shrunk = changed(&claim, |it| {
        it["spec"]["resources"]["requests"]["storage"] = json!("1Gi")
    });
    assert_eq!(
        told("PersistentVolumeClaim", shrunk, Some(claim)),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
}

/// A JSON value of any shape under the names that rules look for.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        prop::sample::select(vec![
            "",
            "web",
            "RollingUpdate",
            "Always",
            "10%",
            "1Gi",
            "*/5 * * * *",
            "In",
            "é"
        ])
        .prop_map(Json::from),
    ];
    let names = vec![
        "metadata",
        "name",
        "namespace",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "spec",
        "status",
        "data",
        "template",
        "selector",
        "matchLabels",
        "matchExpressions",
        "operator",
        "values",
        "containers",
        "volumes",
        "ports",
        "resources",
        "requests",
        "limits",
        "strategy",
        "rollingUpdate",
        "maxSurge",
        "schedule",
        "jobTemplate",
        "rules",
        "http",
        "paths",
        "backend",
        "accessModes",
        "storage",
        "metrics",
        "type",
        "volumeClaimTemplates",
        "tolerations",
        "affinity",
        "suspend",
        "subjects",
        "roleRef",
        "completions",
    ];
    leaf.prop_recursive(6, 80, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..7)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_it_panic(new in anything(), old in anything()) {
        for resource in builtin::resources() {
            let _ = object(&resource, &new, None);
            let _ = object(&resource, &new, Some(&old));
        }
    }
}
