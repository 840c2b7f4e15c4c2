use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{builtin, validation};

fn resource(kind: &str) -> Resource {
    let all = builtin::resources();
    all.into_iter().find(|one| &*one.kind.kind == kind).unwrap()
}

fn with_defaults(kind: &str, mut object: Json) -> Json {
    apply(&resource(kind), &mut object);
    object
}

/// What a real 1.33 server shows of `kubectl create deployment web --image=nginx --port=80`, without what is not a default.
#[test]
fn a_deployment_is_as_a_server_shows_it() {
    let object = json!({"spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}]}]},
        },
    }});
    assert_eq!(
        with_defaults("Deployment", object),
        json!({"spec": {
            "progressDeadlineSeconds": 600,
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{
                        "name": "nginx", "image": "nginx", "imagePullPolicy": "Always",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }],
                    "dnsPolicy": "ClusterFirst",
                    "restartPolicy": "Always",
                    "schedulerName": "default-scheduler",
                    "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                },
            },
        }})
    );
}

#[test]
fn images_that_may_change_are_always_pulled() {
    let policy = |image: &str| {
        let pod = json!({"spec": {"containers": [{"image": image}]}});
        with_defaults("Pod", pod)["spec"]["containers"][0]["imagePullPolicy"].clone()
    };
    for image in ["nginx", "nginx:latest", "localhost:5000/nginx"] {
        assert_eq!(policy(image), "Always", "{image}");
    }
    for image in [
        "nginx:1.27",
        "localhost:5000/nginx:1",
        "nginx@sha256:00",
        "nginx:1@sha256:00",
    ] {
        assert_eq!(policy(image), "IfNotPresent", "{image}");
    }
}

#[test]
fn a_pod_requests_its_limits() {
    let pod = json!({"spec": {"hostNetwork": true, "containers": [{
        "image": "a", "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
    }], "volumes": [{"name": "scratch"}, {"name": "keys", "secret": {"secretName": "keys"}}]}});
    let pod = with_defaults("Pod", pod);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "500m", "memory": "1Gi"})
    );
    assert_eq!(container["ports"][0]["hostPort"], 80);
    assert_eq!(pod["spec"]["enableServiceLinks"], true);
    assert_eq!(
        pod["spec"]["volumes"],
        json!([
            {"name": "scratch", "emptyDir": {}},
            {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 420}},
        ])
    );
    assert_eq!(qos_class(&pod), "Burstable");
}

#[test]
fn quality_of_service_follows_from_requests_and_limits() {
    let class =
        |resources: Json| qos_class(&json!({"spec": {"containers": [{"resources": resources}]}}));
    assert_eq!(class(json!({})), "BestEffort");
    let same = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(
        class(json!({"limits": same, "requests": same})),
        "Guaranteed"
    );
    assert_eq!(class(json!({"limits": {"cpu": "1"}})), "Burstable");
    assert_eq!(class(json!({"requests": {"cpu": 0}})), "BestEffort");
}

#[test]
fn services_point_at_their_own_port() {
    let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 81, "targetPort": "web"}]}});
    assert_eq!(
        with_defaults("Service", service)["spec"],
        json!({
            "type": "LoadBalancer", "sessionAffinity": "None",
            "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true,
            "ports": [
                {"port": 80, "targetPort": 80, "protocol": "TCP"},
                {"port": 81, "targetPort": "web", "protocol": "TCP"},
            ],
        })
    );
    let external = with_defaults("Service", json!({"spec": {"type": "ExternalName"}}));
    assert_eq!(external["spec"]["internalTrafficPolicy"], Json::Null);
}

#[test]
fn a_job_knows_its_pods_by_its_uid() {
    let job = json!({"metadata": {"name": "once", "uid": "u1"}, "spec": {"template": {"spec": {"containers": []}}}});
    let job = with_defaults("Job", job);
    assert_eq!(
        job["spec"]["selector"]["matchLabels"],
        json!({"batch.kubernetes.io/controller-uid": "u1"})
    );
    assert_eq!(
        job["spec"]["template"]["metadata"]["labels"]["job-name"],
        "once"
    );
    assert_eq!(
        (&job["spec"]["completions"], &job["spec"]["backoffLimit"]),
        (&json!(1), &json!(6))
    );
    let parallel = with_defaults("Job", json!({"spec": {"parallelism": 3}}));
    assert_eq!(parallel["spec"]["completions"], Json::Null);
}

#[test]
fn created_objects_have_a_status_of_the_server_s() {
    let status = |kind: &str| initial_status(&resource(kind), &json!({}));
    assert_eq!(
        status("Pod"),
        Some(json!({"phase": "Pending", "qosClass": "BestEffort"}))
    );
    assert_eq!(status("Deployment"), Some(json!({})));
    assert_eq!(status("ConfigMap"), None);
    assert_eq!(status("Node"), None);
}

/// JSON with the names that defaults look for, of any type.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-1_i64..3).prop_map(Json::from),
        prop::sample::select(vec!["", "RollingUpdate", "ClientIP", "Container", "nginx"])
            .prop_map(Json::from),
    ];
    let names = vec![
        "metadata",
        "name",
        "uid",
        "labels",
        "spec",
        "status",
        "template",
        "containers",
        "volumes",
        "ports",
        "resources",
        "limits",
        "strategy",
        "type",
        "env",
        "selector",
        "sessionAffinity",
        "behavior",
        "webhooks",
        "names",
        "kind",
        "subjects",
        "jobTemplate",
        "capacity",
        "loadBalancer",
        "livenessProbe",
        "httpGet",
        "image",
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let names = names.clone();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(names), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn twice_is_as_once(object in anything()) {
        for resource in builtin::resources() {
            let mut once = object.clone();
            apply(&resource, &mut once);
            let mut twice = once.clone();
            apply(&resource, &mut twice);
            prop_assert_eq!(&once, &twice, "{:?}", resource.kind);
        }
    }

    /// What is put in is of the type that the field has.
    #[test]
    fn defaults_are_of_their_fields_types(object in anything()) {
        for resource in builtin::resources() {
            if validation::types(&resource.schema, &object).is_ok() {
                let unknown = validation::strict(&resource.schema, &object).len();
                let mut after = object.clone();
                apply(&resource, &mut after);
                prop_assert_eq!(validation::types(&resource.schema, &after), Ok(()));
                prop_assert!(validation::strict(&resource.schema, &after).len() <= unknown);
            }
        }
    }
}
