//! What the API server of a cluster answers where things go wrong: two who write, late ones, slow ones, broken ones.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value as Json, json};

use crate::inside::{Inside, ask, get};

const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const YAML: &str = "application/yaml";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// How many objects of half a megabyte there are for the slow watcher: more than the buffers between it and the server hold.
const MUCH: usize = 24;
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_and_nothing_is_lost() {
    let inside = Inside::deployed();
    let client = inside.client().await;
    two_managers(&client).await;
    stale_writes(&client).await;
    malformed_bodies(&client).await;
    slow_and_gone_watchers(&inside, &client).await;
    lists_in_parts(&client).await;
}

fn deployment(replicas: i32, image: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    })
    .to_string()
}

async fn two_managers(client: &Client) {
    let apply = async |manager: &str, force: bool, body: String| {
        let path = format!("{DEPLOYMENTS}/web?fieldManager={manager}&force={force}");
        ask(client, Method::PATCH, &path, APPLY, body).await
    };
    apply("one", false, deployment(1, "nginx:1.27"))
        .await
        .is(201);
    apply("two", false, deployment(1, "nginx:1.27"))
        .await
        .is(200);
    let refused = apply("two", false, deployment(2, "nginx:1.28")).await;
    refused.refuses(
        409,
        "Conflict",
        "Apply failed with 2 conflicts: conflicts with \"one\":",
    );
    let causes = refused.json["details"]["causes"].as_array().unwrap();
    let fields: BTreeSet<&str> = causes
        .iter()
        .map(|cause| {
            assert_eq!(cause["reason"], "FieldManagerConflict");
            assert!(cause["message"].as_str().unwrap().contains("\"one\""));
            cause["field"].as_str().unwrap()
        })
        .collect();
    let containers = ".spec.template.spec.containers[name=\"web\"].image";
    assert_eq!(fields, BTreeSet::from([".spec.replicas", containers]));
    let kept = get(client, &format!("{DEPLOYMENTS}/web")).await.is(200);
    assert_eq!(
        kept["spec"]["replicas"], 1,
        "a refused apply changes nothing"
    );
    // Who scales by another verb is named with it.
    let scale = json!({"spec": {"replicas": 3}}).to_string();
    let path = format!("{DEPLOYMENTS}/web/scale?fieldManager=scaler");
    ask(client, Method::PATCH, &path, MERGE, scale)
        .await
        .is(200);
    let refused = apply("one", false, deployment(1, "nginx:1.27")).await;
    refused.refuses(
        409,
        "Conflict",
        "conflict with \"scaler\" with subresource \"scale\" using",
    );
    let forced = apply("one", true, deployment(1, "nginx:1.27"))
        .await
        .is(200);
    assert_eq!(forced["spec"]["replicas"], 1);
    // Without a name for the manager nothing can be applied.
    let path = format!("{DEPLOYMENTS}/web");
    let nameless = ask(client, Method::PATCH, &path, APPLY, deployment(1, "x")).await;
    assert!([400, 422].contains(&nameless.code), "{nameless:?}");
    assert_eq!(nameless.json["kind"], "Status");
    ask(client, Method::DELETE, &path, "", "").await.is(200);
}

async fn stale_writes(client: &Client) {
    let new = json!({"metadata": {"name": "stale"}, "data": {"n": "0"}}).to_string();
    let old = ask(client, Method::POST, MAPS, JSON, new).await.is(201);
    let path = format!("{MAPS}/stale");
    let patch = json!({"data": {"n": "1"}}).to_string();
    ask(client, Method::PATCH, &path, MERGE, patch)
        .await
        .is(200);
    let message = "Operation cannot be fulfilled on configmaps \"stale\": the object has been modified; \
                   please apply your changes to the latest version and try again";
    let mut late = old.clone();
    late["data"]["n"] = json!("2");
    ask(client, Method::PUT, &path, JSON, late.to_string())
        .await
        .refuses(409, "Conflict", message);
    let version = &old["metadata"]["resourceVersion"];
    let replace = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                         {"op": "replace", "path": "/data/n", "value": "2"}]);
    let merge = json!({"metadata": {"resourceVersion": version}, "data": {"n": "2"}});
    for (media, body) in [(MERGE, &merge), (STRATEGIC, &merge), (JSON_PATCH, &replace)] {
        ask(client, Method::PATCH, &path, media, body.to_string())
            .await
            .refuses(409, "Conflict", message);
    }
    let preconditions = json!({"preconditions": {"resourceVersion": version}}).to_string();
    ask(client, Method::DELETE, &path, JSON, preconditions)
        .await
        .refuses(409, "Conflict", "Precondition failed");
    let preconditions = json!({"preconditions": {"uid": "someone-else"}}).to_string();
    ask(client, Method::DELETE, &path, JSON, preconditions)
        .await
        .refuses(409, "Conflict", "Precondition failed");
    // Of many who count at once, none is lost: each tries again until its turn.
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let count = async || {
        for _ in 0..5 {
            loop {
                let mut map = maps.get("stale").await.unwrap();
                let data = map.data.get_or_insert_default();
                let n: u32 = data["n"].parse().unwrap();
                data.insert("n".to_owned(), (n + 1).to_string());
                match maps.replace("stale", &PostParams::default(), &map).await {
                    Ok(_) => break,
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    futures_util::future::join_all((0..4).map(|_| count())).await;
    assert_eq!(maps.get("stale").await.unwrap().data.unwrap()["n"], "21");
}

async fn malformed_bodies(client: &Client) {
    let new = json!({"metadata": {"name": "whole"}, "data": {"a": "1"}}).to_string();
    let whole = ask(client, Method::POST, MAPS, JSON, new).await.is(201);
    let before = names(client).await;
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let torn = b"k8s\0\x0a\xff\xff\xff\xff\x0f".as_slice();
    let kindless = b"k8s\0\x0a\x00\x12\x02\x08\x01".as_slice();
    let huge = format!("{{\"data\": {{\"a\": \"{}\"}}}}", "x".repeat(4 << 20));
    let bodies: [(&str, &[u8], u16); 23] = [
        (JSON, b"", 400),
        (JSON, b"{", 400),
        (JSON, b"[]", 400),
        (JSON, b"null", 400),
        (JSON, b"\"text\"", 400),
        (JSON, b"{\"metadata\": {\"name\": \"\xff\"}}", 400),
        (JSON, b"{\"metadata\": {\"name\": \"whole\"}, \"data\": 5}", 400),
        (JSON, b"{\"metadata\": {\"name\": \"whole\"}} more", 400),
        (JSON, b"{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"whole\"}}", 400),
        (JSON, b"{\"kind\": \"ConfigMap\", \"apiVersion\": \"v9\", \"metadata\": {\"name\": \"whole\"}}", 400),
        (JSON, deep.as_bytes(), 400),
        (JSON, huge.as_bytes(), 413),
        (YAML, b"a: [", 400),
        (YAML, b"- a\n- b\n", 400),
        (YAML, b"metadata: {name: \xff}", 400),
        (PROTOBUF, b"", 400),
        (PROTOBUF, b"{}", 400),
        (PROTOBUF, torn, 400),
        (PROTOBUF, kindless, 400),
        ("text/plain", b"{}", 415),
        ("application/cbor", b"\xa0", 415),
        ("application/x-www-form-urlencoded", b"a=b", 415),
        (MERGE, b"{}", 415),
    ];
    let path = format!("{MAPS}/whole");
    for (media, body, code) in bodies {
        for (method, path) in [(Method::POST, MAPS), (Method::PUT, path.as_str())] {
            let answer = ask(client, method.clone(), path, media, body).await;
            let body = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert_eq!(answer.code, code, "{method} {media} {body}: {answer:?}");
            is_status(&answer.json, code);
        }
    }
    let patches: [(&str, &[u8], &[u16]); 20] = [
        (JSON_PATCH, b"", &[400]),
        (JSON_PATCH, b"{", &[400]),
        (JSON_PATCH, b"{}", &[400]),
        (
            JSON_PATCH,
            b"[{\"op\": \"dance\", \"path\": \"/data/a\"}]",
            &[400, 422],
        ),
        (
            JSON_PATCH,
            b"[{\"op\": \"remove\", \"path\": \"/data/nobody\"}]",
            &[422],
        ),
        (
            JSON_PATCH,
            b"[{\"op\": \"test\", \"path\": \"/data/a\", \"value\": \"2\"}]",
            &[422],
        ),
        (
            JSON_PATCH,
            b"[{\"op\": \"replace\", \"path\": \"/data\", \"value\": 5}]",
            &[400, 422],
        ),
        (MERGE, b"", &[400]),
        (MERGE, b"{", &[400]),
        (MERGE, b"[]", &[400]),
        (MERGE, b"{\"data\": 5}", &[400, 422]),
        (STRATEGIC, b"", &[400]),
        (STRATEGIC, b"[1]", &[400]),
        (
            STRATEGIC,
            b"{\"data\": {\"$patch\": \"dance\"}}",
            &[400, 422],
        ),
        (APPLY, b"", &[400]),
        (APPLY, b"a: [", &[400]),
        (APPLY, b"data: {a: x}", &[400]),
        (
            APPLY,
            b"{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}",
            &[400],
        ),
        (JSON, b"{}", &[415]),
        ("application/cbor", b"\xa0", &[415]),
    ];
    for (media, body, codes) in patches {
        let path = format!("{path}?fieldManager=test");
        let answer = ask(client, Method::PATCH, &path, media, body).await;
        let body = String::from_utf8_lossy(body);
        assert!(codes.contains(&answer.code), "{media} {body}: {answer:?}");
        is_status(&answer.json, answer.code);
    }
    ask(client, Method::DELETE, &path, JSON, "{")
        .await
        .refuses(400, "BadRequest", "");
    let after = get(client, &path).await.is(200);
    assert_eq!(after, whole, "nothing has touched it");
    assert_eq!(names(client).await, before);
}

#[track_caller]
fn is_status(json: &Json, code: u16) {
    let whole = json["kind"] == "Status"
        && json["apiVersion"] == "v1"
        && json["status"] == "Failure"
        && json["code"] == code
        && json["reason"].is_string()
        && !json["message"].as_str().unwrap_or_default().is_empty();
    assert!(whole, "{json}");
}

async fn names(client: &Client) -> Vec<String> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let listed = maps.list(&ListParams::default()).await.unwrap();
    listed.items.iter().map(ResourceExt::name_any).collect()
}

fn blob(name: &str, label: &str, bytes: usize) -> ConfigMap {
    let metadata = json!({"name": name, "labels": {"about": label}});
    let data = json!({"blob": "x".repeat(bytes)});
    serde_json::from_value(json!({"metadata": metadata, "data": data})).unwrap()
}

/// Takes events until the one of this name, in order and none left out.
async fn until(
    name: &str,
    events: &mut (impl Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Unpin),
) -> Vec<String> {
    let mut names = Vec::new();
    let mut last = 0_u64;
    loop {
        let event = tokio::time::timeout(SOON, events.next()).await.unwrap();
        match event.expect("it goes on").unwrap() {
            WatchEvent::Added(map) => {
                let version = map.resource_version().unwrap().parse().unwrap();
                assert!(version > last, "out of order");
                last = version;
                names.push(map.name_any());
                if map.name_any() == name {
                    return names;
                }
            }
            WatchEvent::Bookmark(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn slow_and_gone_watchers(inside: &Inside, client: &Client) {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let from = maps.list(&ListParams::default()).await.unwrap();
    let from = from.metadata.resource_version.unwrap();
    let what = WatchParams::default().labels("about=much");
    let mut slow = Box::pin(maps.watch(&what, &from).await.unwrap());
    let mut fast = Box::pin(maps.watch(&what, &from).await.unwrap());
    // More than any buffer between here and there holds.
    let expected: Vec<String> = (0..MUCH).map(|n| format!("much-{n}")).collect();
    let last = format!("much-{}", MUCH - 1);
    let started = Instant::now();
    for name in &expected {
        let made = blob(name, "much", 500 << 10);
        maps.create(&PostParams::default(), &made).await.unwrap();
    }
    assert_eq!(until(&last, &mut fast).await, expected);
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "nobody waits for a slow watcher: {:?}",
        started.elapsed()
    );
    assert_eq!(until(&last, &mut slow).await, expected);
    drop((slow, fast));

    // Clients that go away in the middle leave nothing behind.
    let pid = inside.lab.sandbox_pid();
    let open = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count()
    };
    let before = open();
    let strangers: Vec<Client> =
        futures_util::future::join_all((0..20).map(|_| inside.client())).await;
    let mut watches = Vec::new();
    for stranger in &strangers {
        let maps: Api<ConfigMap> = Api::default_namespaced(stranger.clone());
        let mut watch = Box::pin(maps.watch(&what, "0").await.unwrap());
        watch.next().await.unwrap().unwrap();
        watches.push(watch);
    }
    assert!(open() >= before + 20, "{} and {before}", open());
    drop((watches, strangers));
    let patience = Instant::now();
    while open() > before + 5 {
        assert!(patience.elapsed() < SOON, "{} and {before}", open());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A list in parts goes on from where it was, and from nowhere else.
async fn lists_in_parts(client: &Client) {
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{MAPS}?labelSelector=about=much&limit=7&continue={next}");
        let page = get(client, &path).await.is(200);
        let items = page["items"].as_array().unwrap();
        let names = items.iter().map(|map| map["metadata"]["name"].clone());
        seen.extend(names.map(|name| name.as_str().unwrap().to_owned()));
        match page["metadata"]["continue"].as_str() {
            Some(more) if !more.is_empty() => more.clone_into(&mut next),
            _ => break,
        }
    }
    let mut expected: Vec<String> = (0..MUCH).map(|n| format!("much-{n}")).collect();
    expected.sort();
    assert_eq!(seen, expected);
    for wrong in ["bm9uc2Vuc2U", "%20", "e30"] {
        get(client, &format!("{MAPS}?limit=1&continue={wrong}"))
            .await
            .refuses(400, "BadRequest", "continue");
    }
    for wrong in [
        "resourceVersion=x",
        "labelSelector=a%20in",
        "limit=x",
        "watch=1&resourceVersion=-1",
    ] {
        get(client, &format!("{MAPS}?{wrong}"))
            .await
            .refuses(400, "BadRequest", "");
    }
    get(client, &format!("{MAPS}?fieldSelector=spec.colour%3Dred"))
        .await
        .refuses(400, "BadRequest", "spec.colour");
}
