//! Whatever bytes come in, an answer goes out: a `Status` if they can't be understood, and never the server's own fault.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

use crate::cluster::{Answer, Cluster, request};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const BODIES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Sends something for each of what the strategy makes up.
fn for_each<S: Strategy>(given: S, ask: impl Fn(S::Value) -> Request<Body>)
where
    S::Value: Clone,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cluster = Cluster::new();
    runtime.block_on(cluster.config_map("a", "web"));
    let check = |given: S::Value| {
        let answer = runtime.block_on(cluster.send(ask(given)));
        prop_assert!(is_an_answer(&answer), "{answer:?}");
        Ok(())
    };
    TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    })
    .run(&given, check)
    .unwrap();
    // What was let in can be read again.
    let listed = runtime.block_on(cluster.get(MAPS)).ok();
    for item in listed["items"].as_array().unwrap() {
        assert!(item["metadata"]["uid"].is_string(), "{item}");
    }
}

fn is_an_answer(answer: &Answer) -> bool {
    let code = answer.code.as_u16();
    let is_status = serde_json::from_slice::<Json>(&answer.body)
        .is_ok_and(|body| body["kind"] == "Status" && body["code"] == code);
    // Who asks for a revision that is yet to come is told that it takes too long.
    code < 400 || (code < 500 || code == 504) && is_status
}

fn with_body(method: Method, path: &str, media: &str, body: Vec<u8>) -> Request<Body> {
    let mut request = request(method, path, "application/json", body.into());
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, media.parse().unwrap());
    request
}

/// Bytes of any kind, and such as begin like what they should be.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = || prop::collection::vec(any::<u8>(), 0..120);
    let starts: &[&[u8]] = &[
        b"k8s\0",
        b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12",
        b"{\"metadata\":{\"name\":\"b\"},\"data\":{\"a\":\"",
        b"[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":",
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: ",
        b"&a [*a, ",
    ];
    prop_oneof![
        any_bytes(),
        (prop::sample::select(starts), any_bytes())
            .prop_map(|(start, rest)| [start, &rest].concat()),
        "[\\[\\]{}\":,a-c0-9&*!|> \n-]{0,80}".prop_map(String::into_bytes),
    ]
}

#[test]
fn any_body_is_answered() {
    for_each((prop::sample::select(BODIES), bytes()), |(media, body)| {
        with_body(Method::POST, MAPS, media, body)
    });
}

#[test]
fn any_patch_is_answered() {
    for_each((prop::sample::select(PATCHES), bytes()), |(media, body)| {
        let path = format!("{MAPS}/a?fieldManager=tester");
        with_body(Method::PATCH, &path, media, body)
    });
}

#[test]
fn any_options_of_a_deletion_are_answered() {
    for_each((prop::sample::select(BODIES), bytes()), |(media, body)| {
        with_body(Method::DELETE, &format!("{MAPS}/nobody"), media, body)
    });
}

#[test]
fn any_continue_is_answered() {
    let inner = prop_oneof![
        ".{0,40}",
        (any::<u64>(), ".{0,12}").prop_map(|(revision, start)| {
            json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string()
        }),
        (0_u64..40, "[a-z/]{0,12}").prop_map(|(revision, start)| {
            json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string()
        }),
    ];
    let token = prop_oneof![
        "[A-Za-z0-9_=-]{0,60}",
        inner.prop_map(|text| URL_SAFE_NO_PAD.encode(text)),
    ];
    for_each(token, |token| {
        let path = format!("{MAPS}?limit=1&continue={token}");
        request(Method::GET, &path, "application/json", Body::empty())
    });
}

#[test]
fn any_query_is_answered() {
    let names: &[&str] = &[
        "labelSelector",
        "fieldSelector",
        "resourceVersion",
        "resourceVersionMatch",
        "limit",
        "timeoutSeconds",
        "continue",
        "fieldManager",
        "dryRun",
        "pretty",
    ];
    let value = prop_oneof![".{0,20}", "-?[0-9]{1,25}", "[a-z.=!,() ]{0,30}",];
    let pairs = prop::collection::vec((prop::sample::select(names), value), 0..4);
    for_each(pairs, |pairs| {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let path = format!("{MAPS}?{query}");
        request(Method::GET, &path, "application/json", Body::empty())
    });
}

/// As deep as bodies may be: what comes of it is stored, and read again.
#[tokio::test]
async fn the_deepest_body_that_is_taken_can_be_read_again() {
    let cluster = Cluster::new();
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "deeps.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "deeps", "singular": "deep", "kind": "Deep", "listKind": "DeepList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.post(path, crd).await.ok();
    let deeps = "/apis/example.com/v1/namespaces/default/deeps";
    let mut taken = 0;
    for levels in [10, 90, 97, 98, 99, 100, 101, 110, 120, 126, 127, 200] {
        let name = format!("d{levels}");
        let inner = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let body = format!(
            r#"{{"apiVersion":"example.com/v1","kind":"Deep","metadata":{{"name":"{name}"}},"spec":{inner}}}"#
        );
        let post = with_body(Method::POST, deeps, "application/json", body.into_bytes());
        let answer = cluster.send(post).await;
        assert!(is_an_answer(&answer), "{answer:?}");
        if !answer.code.is_success() {
            continue;
        }
        taken += 1;
        let path = format!("{deeps}/{name}");
        assert_eq!(cluster.get(&path).await.ok()["metadata"]["name"], *name);
        let changed = cluster.merge(&path, json!({"other": 1})).await.ok();
        assert!(changed["spec"]["a"].is_object(), "{levels}");
    }
    assert!((3..11).contains(&taken), "{taken}");
}
