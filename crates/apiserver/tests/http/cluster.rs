//! A server in a folder that goes away, and a client of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use seaworthy_apiserver::{
    ApiServer, Authenticator, Clock, Grant, Logs, Metrics, Options, Rejected, Usage, UserInfo,
};
use serde_json::Value as Json;

pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }
}

struct Admin;

impl Authenticator for Admin {
    fn authenticate(&self, token: &str) -> Option<Result<UserInfo, Rejected>> {
        let groups: &[&str] = match token {
            "admin" => &["system:masters", "system:authenticated"],
            "nobody" => &["system:authenticated"],
            _ => return None,
        };
        Some(Ok(UserInfo {
            username: token.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserInfo::default()
        }))
    }

    fn grants(&self, _user: &UserInfo) -> Vec<Grant> {
        Vec::new()
    }
}

/// Three lines, a second apart, the last one now.
struct Three;

impl Logs for Three {
    fn lines(&self, _pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
        let line = |second: i64| {
            let at = now - jiff::SignedDuration::from_secs(second);
            (at, format!("{container} {second}"))
        };
        [2, 1, 0].map(line).to_vec()
    }

    /// Only a container `web` has run before.
    fn previous(&self, _: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
        let line = (now, "web ended".to_owned());
        (container == "web").then_some(line).into_iter().collect()
    }
}

struct Steady;

impl Metrics for Steady {
    fn pod(&self, _namespace: &str, name: &str) -> Option<Vec<(String, Usage)>> {
        let usage = Usage {
            cpu_milli: 25,
            memory_bytes: 64 << 20,
        };
        (name != "new").then(|| vec![("main".to_owned(), usage)])
    }

    fn node(&self, _name: &str) -> Option<Usage> {
        None
    }
}

pub struct Cluster {
    pub server: ApiServer,
    _folder: tempfile::TempDir,
}

/// An answer that has been received as a whole.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub fn ok(self) -> Json {
        assert!(self.code.is_success(), "{} {:?}", self.code, self.body);
        self.json()
    }
}

impl Cluster {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Options {
            folder: folder.path().to_owned(),
            version: "v1.33.5-eks-3025e55".to_owned(),
            service_cidr: "10.100.0.0/16".to_owned(),
            issuer: "https://oidc.example.com/id/1".to_owned(),
            audiences: vec!["https://kubernetes.default.svc".to_owned()],
            clock: Arc::new(Noon),
            authenticators: vec![Arc::new(Admin)],
            logs: Arc::new(Three),
            metrics: Arc::new(Steady),
        })
        .unwrap();
        Self {
            server,
            _folder: folder,
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.server.handle(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            code: head.status,
            headers: head.headers,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(path, "application/json").await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.send(request(Method::GET, path, accept, Body::empty()))
            .await
    }

    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.with_body(Method::POST, path, "application/json", body)
            .await
    }

    pub async fn merge(&self, path: &str, body: Json) -> Answer {
        let media = "application/merge-patch+json";
        self.with_body(Method::PATCH, path, media, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(request(
            Method::DELETE,
            path,
            "application/json",
            Body::empty(),
        ))
        .await
    }

    pub async fn with_body(&self, method: Method, path: &str, media: &str, body: Json) -> Answer {
        let mut request = request(method, path, "application/json", body.to_string().into());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, media.parse().unwrap());
        self.send(request).await
    }

    pub async fn watch(&self, path: &str) -> Watching {
        self.watch_as(path, "application/json").await
    }

    pub async fn watch_as(&self, path: &str, accept: &str) -> Watching {
        let request = request(Method::GET, path, accept, Body::empty());
        let response = self.server.handle(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        Watching {
            body: response.into_body(),
            rest: Vec::new(),
        }
    }

    /// Makes a config map with a label.
    pub async fn config_map(&self, name: &str, label: &str) -> Json {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"app": label}}, "data": {"a": "1"},
        });
        let path = "/api/v1/namespaces/default/configmaps";
        self.post(path, object).await.ok()
    }
}

pub fn request(method: Method, path: &str, accept: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(AUTHORIZATION, "Bearer admin")
        .header(ACCEPT, accept)
        .body(body)
        .unwrap()
}

/// A watch that goes on.
pub struct Watching {
    body: Body,
    rest: Vec<u8>,
}

impl Watching {
    /// The next event; `None` when the watch has ended.
    pub async fn next(&mut self) -> Option<Json> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame())
                .await
                .expect("something happens within 20 s")?;
            self.rest.extend(frame.unwrap().into_data().unwrap());
        }
    }

    /// The next event's type and its object's name.
    pub async fn told(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }

    pub fn into_body(self) -> Body {
        self.body
    }
}

/// Reads a body to its end and gives its length.
pub async fn drain(mut body: Body, mut each: impl FnMut(&[u8])) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        length += data.len();
        each(&data);
    }
    assert!(body.is_end_stream() || length > 0);
    length
}
