//! Answers to single requests: discovery, what is refused and how, logs and metrics.

use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use serde_json::{Value as Json, json};

use crate::cluster::{Answer, Cluster, request};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn refused(answer: &Answer) -> (u16, Json) {
    let status = answer.json();
    assert_eq!(status["kind"], "Status", "{status}");
    assert_eq!(status["status"], "Failure");
    (answer.code.as_u16(), status["reason"].clone())
}

#[tokio::test]
async fn discovery_in_one_document() {
    let cluster = Cluster::new();
    let accept = format!("{AGGREGATED},application/json");
    for (path, group, resource) in [("/api", "", "pods"), ("/apis", "apps", "deployments")] {
        let answer = cluster.get_as(path, &accept).await;
        assert_eq!(answer.headers[CONTENT_TYPE], AGGREGATED);
        let etag = answer.headers["etag"].clone();
        let all = answer.ok();
        let items = all["items"].as_array().unwrap();
        let name = |item: &Json| {
            item["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let item = items.iter().find(|item| name(item) == group).unwrap();
        let resources = item["versions"][0]["resources"].as_array().unwrap();
        let found = resources
            .iter()
            .find(|it| it["resource"] == resource)
            .unwrap();
        assert_eq!(found["scope"], "Namespaced");
        assert!(found["verbs"].as_array().unwrap().contains(&json!("watch")));
        let mut again = request(Method::GET, path, &accept, Body::empty());
        again.headers_mut().insert("if-none-match", etag);
        assert_eq!(cluster.send(again).await.code, 304);
    }
}

#[tokio::test]
async fn discovery_group_by_group() {
    let cluster = Cluster::new();
    assert_eq!(cluster.get("/api").await.ok()["versions"], json!(["v1"]));
    let groups = cluster.get("/apis").await.ok();
    assert_eq!(groups["kind"], "APIGroupList");
    let autoscaling = cluster.get("/apis/autoscaling").await.ok();
    assert_eq!(
        autoscaling["preferredVersion"]["groupVersion"],
        "autoscaling/v2"
    );
    let apps = cluster.get("/apis/apps/v1").await.ok();
    assert_eq!(apps["groupVersion"], "apps/v1");
    let resources = apps["resources"].as_array().unwrap();
    let scale = resources
        .iter()
        .find(|it| it["name"] == "deployments/scale")
        .unwrap();
    assert_eq!(
        (&scale["kind"], &scale["group"]),
        (&json!("Scale"), &json!("autoscaling"))
    );
    assert_eq!(
        refused(&cluster.get("/apis/none/v1").await),
        (404, json!("NotFound"))
    );
}

#[tokio::test]
async fn the_second_openapi_is_empty_and_the_third_is_whole() {
    let cluster = Cluster::new();
    let second = cluster.get("/openapi/v2").await;
    assert_eq!((second.code.as_u16(), second.body.len()), (200, 0));
    let index = cluster.get("/openapi/v3").await.ok();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    let apps = cluster.get(url).await;
    assert_eq!(apps.headers["cache-control"], "public, immutable");
    let patch =
        &apps.ok()["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"]["kind"],
        "Deployment"
    );
    let mut zipped = request(Method::GET, url, "*/*", Body::empty());
    zipped
        .headers_mut()
        .insert("accept-encoding", "gzip".parse().unwrap());
    let zipped = cluster.send(zipped).await;
    assert_eq!(zipped.headers["content-encoding"], "gzip");
    assert_eq!(&zipped.body[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_a_status() {
    let cluster = Cluster::new();
    cluster.config_map("a", "web").await;
    let a = format!("{MAPS}/a");
    assert_eq!(
        refused(&cluster.get(&format!("{MAPS}/x")).await),
        (404, json!("NotFound"))
    );
    assert_eq!(
        refused(&cluster.get("/api/v1/namespaces/default/things").await).0,
        404
    );
    assert_eq!(refused(&cluster.get("/nothing").await).0, 404);
    assert_eq!(refused(&cluster.post(&a, json!({})).await).0, 405);
    assert_eq!(refused(&cluster.post("/version", json!({})).await).0, 405);
    let protobuf = "application/vnd.kubernetes.protobuf";
    assert_eq!(
        refused(&cluster.get_as(&a, protobuf).await),
        (406, json!("NotAcceptable"))
    );
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}});
    let cbor = cluster
        .with_body(Method::POST, MAPS, "application/cbor", object)
        .await;
    assert_eq!(refused(&cbor), (415, json!("UnsupportedMediaType")));
    let put = cluster
        .with_body(Method::PATCH, &a, "application/json", json!({}))
        .await;
    assert_eq!(refused(&put).0, 415);
    let long = json!({"data": {"a": "x".repeat(4 << 20)}});
    assert_eq!(refused(&cluster.post(MAPS, long).await).0, 413);
    let apply = cluster
        .with_body(Method::PATCH, &a, "application/apply-patch+yaml", json!({}))
        .await;
    assert_eq!(refused(&apply), (422, json!("Invalid")));
    let unknown = format!("{MAPS}?fieldSelector=data%3Dx");
    assert_eq!(refused(&cluster.get(&unknown).await).0, 400);
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let cluster = Cluster::new();
    let with_token = |token: &str| {
        Request::get(MAPS)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(ACCEPT, "application/json")
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(
        refused(&cluster.send(with_token("wrong")).await),
        (401, json!("Unauthorized"))
    );
    let nobody = cluster.send(with_token("nobody")).await;
    assert_eq!(refused(&nobody), (403, json!("Forbidden")));
    let mut as_nobody = with_token("admin");
    as_nobody
        .headers_mut()
        .insert("impersonate-user", "nobody".parse().unwrap());
    assert_eq!(refused(&cluster.send(as_nobody).await).0, 403);
}

#[tokio::test]
async fn fields_that_are_unknown_or_there_twice_are_told_of() {
    let cluster = Cluster::new();
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"},"data":{"a":"1","a":"2"},"dat":{}}"#;
    let post = |name: &str, validation: &str| {
        let path = format!("{MAPS}?fieldValidation={validation}");
        let body = text.replace("NAME", name);
        request(Method::POST, &path, "application/json", body.into())
    };
    let strict = cluster.send(post("a", "Strict")).await;
    let message = strict.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(refused(&strict), (400, json!("BadRequest")));
    for part in [
        "strict decoding error",
        r#"duplicate field "data.a""#,
        r#"unknown field "dat""#,
    ] {
        assert!(message.contains(part), "{message}");
    }
    let warned = cluster.send(post("a", "Warn")).await;
    let warnings: Vec<_> = warned.headers.get_all("warning").iter().collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warned.ok()["data"]["a"], "2");
    let ignored = cluster.send(post("b", "Ignore")).await;
    assert!(!ignored.headers.contains_key("warning"));
}

async fn pod(cluster: &Cluster, name: &str, containers: &[&str]) -> String {
    let containers: Vec<Json> = containers
        .iter()
        .map(|name| json!({"name": name, "image": "nginx"}))
        .collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": containers, "nodeName": "n"},
    });
    let pods = "/api/v1/namespaces/default/pods";
    cluster.post(pods, pod).await.ok();
    let path = format!("{pods}/{name}");
    let running = json!({"status": {"phase": "Running", "containerStatuses": [{
        "name": "main", "image": "nginx", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-03-01T11:00:00Z"}},
    }]}});
    cluster.merge(&format!("{path}/status"), running).await.ok();
    path
}

#[tokio::test]
async fn logs() {
    let cluster = Cluster::new();
    let path = pod(&cluster, "p", &["main", "side"]).await;
    let text = |answer: Answer| String::from_utf8(answer.body.to_vec()).unwrap();
    let all = cluster.get(&format!("{path}/log?container=main")).await;
    assert_eq!(text(all), "main 2\nmain 1\nmain 0\n");
    let some = format!("{path}/log?container=main&tailLines=2&sinceSeconds=1&timestamps=true");
    assert_eq!(
        text(cluster.get(&some).await),
        "2026-03-01T11:59:59.000000000Z main 1\n2026-03-01T12:00:00.000000000Z main 0\n"
    );
    let unnamed = cluster.get(&format!("{path}/log")).await.json();
    assert_eq!(
        unnamed["message"],
        "a container name must be specified for pod p, choose one of: [main side]"
    );
    let waiting = cluster.get(&format!("{path}/log?container=side")).await;
    assert_eq!(
        waiting.json()["message"],
        "container \"side\" in pod \"p\" is waiting to start: ContainerCreating"
    );
    assert_eq!(
        refused(&cluster.get("/api/v1/namespaces/default/pods/q/log").await).0,
        404
    );
    let never = format!("{path}/log?container=main&previous=true");
    assert_eq!(
        cluster.get(&never).await.json()["message"],
        "previous terminated container \"main\" in pod \"p\" not found"
    );
    let twice = pod(&cluster, "twice", &["web"]).await;
    let before = cluster.get(&format!("{twice}/log?previous=true")).await;
    assert_eq!(text(before), "web ended\n");
    let exec = cluster.get(&format!("{path}/exec?command=ls")).await;
    assert!(
        exec.json()["message"]
            .as_str()
            .unwrap()
            .contains("simulated")
    );
}

#[tokio::test]
async fn metrics() {
    let cluster = Cluster::new();
    pod(&cluster, "p", &["main"]).await;
    pod(&cluster, "new", &["main"]).await;
    let pods = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
    let list = cluster.get(pods).await.ok();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "nothing is known of the other yet");
    assert_eq!(
        items[0]["containers"][0]["usage"],
        json!({"cpu": "25m", "memory": "65536Ki"})
    );
    assert_eq!(refused(&cluster.get(&format!("{pods}/new")).await).0, 404);
}
