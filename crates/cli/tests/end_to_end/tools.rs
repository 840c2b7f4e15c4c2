//! The tools that people have, as they come, on the embedded Kubernetes: kubectl, Helm, the Python client and kube-rs.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, EvictParams, ListParams, LogParams, Patch,
    PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::discovery::Discovery;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, wait};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::inside::{Inside, root, tool};

/// Nothing that a test waits for takes longer.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn kubectl_and_helm_do_with_the_cluster_what_they_do_with_any() {
    let inside = Inside::deployed();
    let walk = root().join("scripts/kubernetes/walk");
    let (kubectl, helm) = (tool("kubectl"), tool("helm"));
    let (kubectl, helm) = (kubectl.to_str().unwrap(), helm.to_str().unwrap());
    inside
        .run(&walk, &["--kubectl", kubectl, "--helm", helm])
        .ok()
        .says(" steps, 0 failed");
    // Nothing of it is left, and nothing of it has touched the platform.
    inside
        .kubectl(&["get", "namespaces", "-o", "name"])
        .ok()
        .says("namespace/external-secrets");
    inside
        .lab
        .run(&["drift", "-e", "dev", "--detailed-exitcode"])
        .ok();
}

#[test]
fn the_python_client_does_with_the_cluster_what_it_does_with_any() {
    let inside = Inside::deployed();
    let script = root().join("scripts/kubernetes/client.py");
    inside
        .python(&[script.to_str().unwrap()])
        .ok()
        .says("0 failed");
}

async fn namespace(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    namespaces
        .create(&PostParams::default(), &made)
        .await
        .unwrap();
}

fn deployment(replicas: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
            },
        },
    }))
    .unwrap()
}

fn ready(replicas: i32) -> impl wait::Condition<Deployment> {
    move |found: Option<&Deployment>| {
        found
            .and_then(|found| found.status.as_ref())
            .is_some_and(|status| status.ready_replicas.unwrap_or(0) == replicas)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_does_with_the_cluster_what_it_does_with_any() {
    let inside = Inside::deployed();
    let client = inside.client().await;
    namespace(&client, "rust").await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "rust");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "rust");

    // Created, watched until it is ready, scaled, and the logs and the eviction of a pod of it.
    let made = deployments
        .create(&PostParams::default(), &deployment(2))
        .await
        .unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let up = wait::await_condition(deployments.clone(), "web", ready(2));
    tokio::time::timeout(SOON, up).await.unwrap().unwrap();
    let scale = json!({"spec": {"replicas": 3}});
    let scaled = deployments
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(&scale))
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    let up = wait::await_condition(deployments.clone(), "web", ready(3));
    tokio::time::timeout(SOON, up).await.unwrap().unwrap();
    let labelled = ListParams::default().labels("app=web");
    let listed = pods.list(&labelled).await.unwrap();
    assert_eq!(listed.items.len(), 3);
    let first = listed.items[0].name_any();
    pods.logs(&first, &LogParams::default()).await.unwrap();
    let follow = LogParams {
        tail_lines: Some(1),
        ..LogParams::default()
    };
    let lines = pods.log_stream(&first, &follow).await.unwrap().lines();
    let lines: Vec<String> = lines.try_collect().await.unwrap();
    assert!(lines.len() <= 1, "{lines:?}");
    let uid = listed.items[0].uid().unwrap();
    pods.evict(&first, &EvictParams::default()).await.unwrap();
    let gone = wait::await_condition(pods.clone(), &first, wait::conditions::is_deleted(&uid));
    tokio::time::timeout(SOON, gone).await.unwrap().unwrap();

    // The three kinds of patches, and an apply.
    let none = PatchParams::default();
    let merge = json!({"metadata": {"labels": {"by": "merge"}}});
    let patched = deployments
        .patch("web", &none, &Patch::Merge(&merge))
        .await
        .unwrap();
    assert_eq!(patched.labels()["by"], "merge");
    let containers = json!([{"name": "web", "env": [{"name": "A", "value": "1"}]}]);
    let strategic = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let patched = deployments
        .patch("web", &none, &Patch::Strategic(&strategic))
        .await
        .unwrap();
    let spec = patched.spec.unwrap().template.spec.unwrap();
    assert_eq!(spec.containers[0].image.as_deref(), Some("nginx:1.27"));
    assert_eq!(spec.containers[0].env.as_ref().unwrap().len(), 1);
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "rust");
    let apply = |data| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data});
    let manager = PatchParams::apply("rust");
    let wide = apply(json!({"a": "1", "b": "2"}));
    config_maps
        .patch("applied", &manager, &Patch::Apply(&wide))
        .await
        .unwrap();
    let narrow = apply(json!({"a": "1"}));
    let applied = config_maps
        .patch("applied", &manager, &Patch::Apply(&narrow))
        .await
        .unwrap();
    let left = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(applied.data, Some(left), "what is given up is gone");
    let others = apply(json!({"a": "other"}));
    let refused = config_maps
        .patch(
            "applied",
            &PatchParams::apply("else"),
            &Patch::Apply(&others),
        )
        .await
        .unwrap_err();
    let kube::Error::Api(status) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((status.code, &*status.reason), (409, "Conflict"));
    assert!(
        status.message.contains("conflict with \"rust\""),
        "{status:?}"
    );

    watched_both_ways(&client).await;
    custom(&client).await;

    // Foreground: the Deployment goes when all that it has made is gone.
    deployments
        .delete("web", &DeleteParams::foreground())
        .await
        .unwrap();
    let uid = made.uid().unwrap();
    let gone = wait::await_condition(deployments, "web", wait::conditions::is_deleted(&uid));
    tokio::time::timeout(SOON, gone).await.unwrap().unwrap();
    assert!(
        pods.list(&labelled)
            .await
            .unwrap()
            .items
            .iter()
            .all(|pod| { pod.metadata.deletion_timestamp.is_some() })
    );
}

/// What a controller sees who lists and watches, and one who only watches; and a plain watch's order of events.
async fn watched_both_ways(client: &Client) {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "rust");
    for (name, strategy) in [
        ("listed", watcher::InitialListStrategy::ListWatch),
        ("streamed", watcher::InitialListStrategy::StreamingList),
    ] {
        let make = |n: usize| {
            let labels = json!({"watched": name});
            let made = json!({"metadata": {"name": format!("{name}-{n}"), "labels": labels}});
            serde_json::from_value::<ConfigMap>(made).unwrap()
        };
        for n in 0..3 {
            config_maps
                .create(&PostParams::default(), &make(n))
                .await
                .unwrap();
        }
        let mut config = watcher::Config::default().labels(&format!("watched={name}"));
        config.initial_list_strategy = strategy;
        let mut events = Box::pin(watcher(config_maps.clone(), config).default_backoff());
        let mut next = async || {
            let event = tokio::time::timeout(SOON, events.next()).await;
            event.unwrap().unwrap().unwrap()
        };
        assert!(matches!(next().await, Event::Init), "{name}");
        let mut initial = Vec::new();
        loop {
            match next().await {
                Event::InitApply(found) => initial.push(found.name_any()),
                Event::InitDone => break,
                other => panic!("{name}: {other:?}"),
            }
        }
        initial.sort();
        let expected: Vec<String> = (0..3).map(|n| format!("{name}-{n}")).collect();
        assert_eq!(initial, expected);
        config_maps
            .create(&PostParams::default(), &make(3))
            .await
            .unwrap();
        let fourth = format!("{name}-3");
        assert!(matches!(next().await, Event::Apply(found) if found.name_any() == fourth));
        config_maps
            .delete(&fourth, &DeleteParams::default())
            .await
            .unwrap();
        assert!(matches!(next().await, Event::Delete(found) if found.name_any() == fourth));
    }
    let from = config_maps.list(&ListParams::default()).await.unwrap();
    let from = from.metadata.resource_version.unwrap();
    let seen = config_maps
        .watch(
            &WatchParams::default().labels("watched=listed").timeout(2),
            &from,
        )
        .await
        .unwrap();
    let relabel = json!({"metadata": {"labels": {"watched": "no-more"}}});
    config_maps
        .patch("listed-0", &PatchParams::default(), &Patch::Merge(&relabel))
        .await
        .unwrap();
    let seen: Vec<_> = seen.try_collect().await.unwrap();
    assert!(
        matches!(&seen[..], [WatchEvent::Deleted(left), WatchEvent::Bookmark(_)] if left.name_any() == "listed-0"),
        "what has left the selection is told as deleted: {seen:?}"
    );
}

/// A kind that is defined while somebody looks.
async fn custom(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ports.rust.seaworthy.dev"},
        "spec": {
            "group": "rust.seaworthy.dev", "scope": "Namespaced",
            "names": {"plural": "ports", "singular": "port", "kind": "Port"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"depth": {"type": "integer"}}}},
            }}}],
        },
    });
    let name = "ports.rust.seaworthy.dev";
    let manager = PatchParams::apply("rust");
    definitions
        .patch(name, &manager, &Patch::Apply(&definition))
        .await
        .unwrap();
    let established =
        wait::await_condition(definitions, name, wait::conditions::is_crd_established());
    tokio::time::timeout(SOON, established)
        .await
        .unwrap()
        .unwrap();
    let discovered = Discovery::new(client.clone()).run().await.unwrap();
    let group = discovered
        .get("rust.seaworthy.dev")
        .expect("the group is served");
    let (resource, _) = group.recommended_kind("Port").expect("and so is the kind");
    assert_eq!(
        resource,
        ApiResource {
            plural: "ports".to_owned(),
            ..resource.clone()
        }
    );
    let ports: Api<DynamicObject> = Api::namespaced_with(client.clone(), "rust", &resource);
    let port = json!({
        "apiVersion": "rust.seaworthy.dev/v1", "kind": "Port",
        "metadata": {"name": "hull"}, "spec": {"depth": 12},
    });
    let made = ports
        .patch("hull", &manager, &Patch::Apply(&port))
        .await
        .unwrap();
    assert_eq!(made.data["spec"]["depth"], 12);
    ports
        .delete("hull", &DeleteParams::default())
        .await
        .unwrap();
    assert!(ports.get_opt("hull").await.unwrap().is_none());
}
