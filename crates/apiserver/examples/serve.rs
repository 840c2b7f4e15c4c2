//! An API server on a port of this machine, without controllers: to look at with kubectl and helm.
//!
//! ```text
//! cargo run -p seaworthy-apiserver --example serve -- <folder> <port> [--open]
//! ```
//!
//! With `--open` every request without a token is an administrator's (clients send no tokens over plain http); the token
//! `admin` is one too.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jiff::Timestamp;
use seaworthy_apiserver::{
    ApiServer, Authenticator, Clock, Grant, Logs, Metrics, Options, Rejected, Usage, UserInfo,
};
use serde_json::Value as Json;

const TOKEN: &str = "admin";

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

struct Admin;

impl Authenticator for Admin {
    fn authenticate(&self, token: &str) -> Option<Result<UserInfo, Rejected>> {
        let user = UserInfo {
            username: "admin".to_owned(),
            groups: vec![
                "system:masters".to_owned(),
                "system:authenticated".to_owned(),
            ],
            ..UserInfo::default()
        };
        (token == TOKEN).then_some(Ok(user))
    }

    fn grants(&self, _user: &UserInfo) -> Vec<Grant> {
        Vec::new()
    }
}

/// A container prints one line a second.
struct Ticks;

impl Logs for Ticks {
    fn lines(&self, pod: &Json, container: &str, now: Timestamp) -> Vec<(Timestamp, String)> {
        let created = pod["metadata"]["creationTimestamp"].as_str();
        let Some(start) = created.and_then(|text| text.parse::<Timestamp>().ok()) else {
            return Vec::new();
        };
        let seconds = now.as_second().saturating_sub(start.as_second());
        (0..seconds)
            .filter_map(|second| Timestamp::from_second(start.as_second() + second).ok())
            .map(|at| (at, format!("{container} ticks")))
            .collect()
    }
}

struct Steady;

impl Metrics for Steady {
    fn pod(&self, _namespace: &str, _name: &str) -> Option<Vec<(String, Usage)>> {
        let usage = Usage {
            cpu_milli: 25,
            memory_bytes: 64 << 20,
        };
        Some(vec![("main".to_owned(), usage)])
    }

    fn node(&self, _name: &str) -> Option<Usage> {
        Some(Usage {
            cpu_milli: 250,
            memory_bytes: 1 << 30,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, port, rest @ ..] = arguments.as_slice() else {
        return Err("usage: serve <folder> <port> [--open]".into());
    };
    let open = rest.iter().any(|one| one == "--open");
    let server = ApiServer::open(Options {
        folder: folder.into(),
        version: "v1.33.5-eks-3025e55".to_owned(),
        service_cidr: "10.100.0.0/16".to_owned(),
        issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE".to_owned(),
        audiences: vec!["https://kubernetes.default.svc".to_owned()],
        clock: Arc::new(Now),
        authenticators: vec![Arc::new(Admin)],
        logs: Arc::new(Ticks),
        metrics: Arc::new(Steady),
    })?;
    let app = Router::new().fallback(move |mut request: Request<Body>| {
        let server = server.clone();
        async move {
            if open && !request.headers().contains_key(AUTHORIZATION) {
                let value = HeaderValue::from_static("Bearer admin");
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            server.handle(request).await
        }
    });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
