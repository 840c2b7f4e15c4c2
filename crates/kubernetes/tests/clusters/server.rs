//! An API server that answers as a test says. It knows nothing of Kubernetes but discovery.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::{Value as Json, json};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub authorization: String,
    pub content_type: String,
    pub body: Json,
}

type Answer = Box<dyn FnMut(&Asked) -> Option<(u16, Json)> + Send>;

pub struct Server {
    pub endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
struct Shared {
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
}

/// A `Status` of the API.
pub fn status(code: u16, reason: &str, message: &str) -> (u16, Json) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message, "metadata": {},
    });
    (code, body)
}

impl Server {
    /// What it has no answer for is not found.
    pub async fn start(answer: impl FnMut(&Asked) -> Option<(u16, Json)> + Send + 'static) -> Self {
        let shared = Shared {
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(Box::new(answer))),
        };
        let asked = shared.asked.clone();
        let app = Router::new().fallback(reply).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { endpoint, asked }
    }

    /// What was asked, discovery left out.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn discovery(path: &str) -> Option<Json> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list", "delete", "patch"]});
    let resources = match path {
        "/api/v1" => vec![
            resource("namespaces", "Namespace", false),
            resource("configmaps", "ConfigMap", true),
            resource("secrets", "Secret", true),
            resource("pods", "Pod", true),
            json!({"name": "namespaces/finalize", "kind": "Namespace", "namespaced": false, "verbs": ["update"]}),
        ],
        "/apis/apps/v1" => vec![resource("deployments", "Deployment", true)],
        _ => return None,
    };
    Some(json!({"kind": "APIResourceList", "resources": resources}))
}

async fn reply(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let path = uri.path().to_owned();
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (code, body) = match discovery(&path) {
        Some(resources) => (200, resources),
        None => {
            let asked = Asked {
                method,
                path,
                query: uri.query().unwrap_or_default().to_owned(),
                authorization: text("authorization"),
                content_type: text("content-type"),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let answered = (shared.answer.lock().unwrap())(&asked);
            shared.asked.lock().unwrap().push(asked);
            answered.unwrap_or_else(|| status(404, "NotFound", "not found"))
        }
    };
    let code = StatusCode::from_u16(code).unwrap();
    (
        code,
        [("content-type", "application/json")],
        body.to_string(),
    )
}
