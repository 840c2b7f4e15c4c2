//! Pods through a cluster's API, over TLS, by a client as controllers and tools have it (kube's): written, listed, watched.
//!
//! The pods name a scheduler that does not exist, so nothing but the API server has to do with them. Whoever measures shares the
//! machine's cores with what is measured.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use memchr::{memchr, memmem};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::Process;

const PODS: &str = "/api/v1/namespaces/bench/pods";
/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How often a list is read.
const LISTS: usize = 20;
/// How many pods a page has: kubectl's `--chunk-size`.
const PAGE: usize = 500;
/// What is written while it is measured how late watchers hear of it.
const STEADY_PER_SECOND: usize = 50;
const STEADY: usize = 500;
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

type Failure = Box<dyn Error + Send + Sync>;

/// What is asked for.
pub(crate) struct Load {
    pub pods: usize,
    pub watchers: usize,
    /// How many write at once.
    pub clients: usize,
    /// The sandbox's process.
    pub pid: u32,
}

/// Measures with the cluster of the current kubeconfig.
pub(crate) async fn measure(load: &Load) -> Result<Value, Failure> {
    let client = Client::try_default().await?;
    let process = Process::of(load.pid);
    let before = process.memory()?;
    // A connection for each, before anything counts.
    let greeting = Request::get("/version").body(Body::empty())?;
    drop(answer(&client, greeting).await?);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}});
    answer(&client, post("/api/v1/namespaces", namespace.to_string())?).await?;
    account_is_there(&client).await?;

    let began = (Instant::now(), process.cpu_seconds()?);
    let written = Arc::new(Written::new(load.pods));
    write(&client, load.clients, load.pods, &written).await?;
    let create = json!({
        "seconds": began.0.elapsed().as_secs_f64(),
        "perSecond": load.pods as f64 / began.0.elapsed().as_secs_f64(),
        "serverCpuSeconds": process.cpu_seconds()? - began.1,
        "milliseconds": spread(written.took.iter().map(|one| one.load(Ordering::Relaxed)).collect()),
    });
    let lists = json!({
        "whole": list(&client, load.pods, None, "application/json").await?,
        "table": list(&client, load.pods, None, TABLE).await?,
        "pages": list(&client, load.pods, Some(PAGE), "application/json").await?,
    });
    let after_writes = process.memory()?;
    let began = Instant::now();
    let all = Request::delete(format!("{PODS}?gracePeriodSeconds=0")).body(Body::empty())?;
    answer(&client, all).await?;
    let delete = json!({"seconds": began.elapsed().as_secs_f64()});

    let (watched, late) = watch(&client, load, &process).await?;
    Ok(json!({
        "pods": load.pods, "watchers": load.watchers, "clients": load.clients,
        "create": create, "list": lists, "deleteCollection": delete, "watch": watched, "watchLate": late,
        "megabytes": {"before": before.now, "afterWrites": after_writes.now, "peak": process.memory()?.peak},
    }))
}

/// The times of writes, in microseconds since the first.
struct Written {
    began: Instant,
    next: AtomicUsize,
    sent: Vec<AtomicU64>,
    took: Vec<AtomicU64>,
}

impl Written {
    fn new(pods: usize) -> Self {
        let times = || (0..pods).map(|_| AtomicU64::new(0)).collect();
        Self {
            began: Instant::now(),
            next: AtomicUsize::new(0),
            sent: times(),
            took: times(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    async fn create(&self, client: &Client, number: usize) -> Result<(), Failure> {
        let sent = self.now();
        self.sent[number].store(sent, Ordering::Relaxed);
        let answered = answer(client, post(PODS, pod(number))?).await?;
        self.took[number].store(self.now() - sent, Ordering::Relaxed);
        if memmem::find(&answered, b"\"uid\":").is_none() {
            return Err("what was created has no uid".into());
        }
        Ok(())
    }
}

/// The first so many pods, by many clients at once.
async fn write(
    client: &Client,
    clients: usize,
    pods: usize,
    written: &Arc<Written>,
) -> Result<(), Failure> {
    let mut writing = JoinSet::new();
    for _ in 0..clients {
        let (client, written) = (client.clone(), written.clone());
        writing.spawn(async move {
            loop {
                let number = written.next.fetch_add(1, Ordering::Relaxed);
                if number >= pods {
                    return Ok::<(), Failure>(());
                }
                written.create(&client, number).await?;
            }
        });
    }
    finish(writing).await.map(drop)
}

async fn finish<T: 'static>(mut tasks: JoinSet<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let all = async {
        let mut done = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            done.push(ended??);
        }
        Ok(done)
    };
    tokio::time::timeout(LIMIT, all)
        .await
        .map_err(|_| "it took too long")?
}

/// Reads a list again and again, in one piece or page by page.
async fn list(
    client: &Client,
    pods: usize,
    page: Option<usize>,
    accept: &str,
) -> Result<Value, Failure> {
    let mut times = Vec::new();
    let mut bytes = 0;
    for round in 0..=LISTS {
        let began = Instant::now();
        let (mut next, mut found) = (String::new(), 0);
        bytes = 0;
        loop {
            let limit = page.map_or(String::new(), |page| {
                format!("limit={page}&continue={next}")
            });
            let request = Request::get(format!("{PODS}?{limit}"))
                .header(http::header::ACCEPT, accept)
                .body(Body::empty())?;
            let body = answer(client, request).await?;
            bytes += body.len();
            found += memmem::find_iter(&body, b"\"bench\":\"").count();
            next = continuation(&body);
            if next.is_empty() {
                break;
            }
        }
        // The first one warms up.
        if round > 0 {
            times.push(u64::try_from(began.elapsed().as_micros())?);
        }
        if found != pods {
            return Err(format!("{found} of {pods} pods were listed").into());
        }
    }
    Ok(json!({"bytes": bytes, "milliseconds": spread(times)}))
}

/// The list's continuation: it is in the metadata, which comes before the items, or behind them in a table.
fn continuation(body: &[u8]) -> String {
    let Some(at) = memmem::find(body, b"\"continue\":\"") else {
        return String::new();
    };
    let rest = &body[at + 12..];
    let end = memchr(b'"', rest).unwrap_or(0);
    let token = &rest[..end];
    let escaped = form_urlencoded::byte_serialize(token);
    escaped.collect()
}

/// Watchers that hear of every pod that is created: as fast as it goes, and then at a steady pace.
async fn watch(client: &Client, load: &Load, process: &Process) -> Result<(Value, Value), Failure> {
    let all = load.pods + STEADY;
    let written = Arc::new(Written::new(all));
    let empty = Request::get(format!("{PODS}?limit=1")).body(Body::empty())?;
    let empty: Value = serde_json::from_slice(&answer(client, empty).await?)?;
    let revision = &empty["metadata"]["resourceVersion"];
    let revision = revision.as_str().ok_or("a list has no resourceVersion")?;
    let heard = Arc::new(AtomicUsize::new(0));
    let mut watchers = JoinSet::new();
    for _ in 0..load.watchers {
        let path = format!("{PODS}?watch=true&resourceVersion={revision}");
        let response = client.send(Request::get(path).body(Body::empty())?).await?;
        if !response.status().is_success() {
            return Err(format!("a watch was refused: {}", response.status()).into());
        }
        watchers.spawn(follow(response.into_body(), written.clone(), heard.clone()));
    }
    let began = (Instant::now(), process.cpu_seconds()?);
    write(client, load.clients, load.pods, &written).await?;
    let writing = began.0.elapsed().as_secs_f64();
    let wanted = load.pods * load.watchers;
    while heard.load(Ordering::Relaxed) < wanted {
        if began.0.elapsed() > LIMIT {
            let heard = heard.load(Ordering::Relaxed);
            return Err(format!("watchers heard of {heard} of {wanted} events").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seconds = began.0.elapsed().as_secs_f64();
    let cpu = process.cpu_seconds()? - began.1;

    let mut pace = tokio::time::interval(Duration::from_secs(1) / STEADY_PER_SECOND as u32);
    for number in load.pods..all {
        pace.tick().await;
        written.create(client, number).await?;
    }
    let followed = finish(watchers).await?;
    let mut late = Vec::new();
    let mut bytes = 0;
    for Followed { delays, bytes: own } in followed {
        bytes += own;
        late.extend_from_slice(&delays[load.pods..]);
    }
    let fast = json!({
        "events": wanted, "writingSeconds": writing, "seconds": seconds,
        "eventsPerSecond": wanted as f64 / seconds, "writesPerSecond": load.pods as f64 / writing,
        "bytes": bytes, "serverCpuSeconds": cpu,
    });
    let late = json!({
        "perSecond": STEADY_PER_SECOND, "events": late.len(), "milliseconds": spread(late),
    });
    Ok((fast, late))
}

struct Followed {
    /// How long after its request was sent each pod was heard of, in microseconds.
    delays: Vec<u64>,
    bytes: usize,
}

/// Reads a watch until every pod was heard of, each once.
async fn follow(
    mut body: Body,
    written: Arc<Written>,
    heard: Arc<AtomicUsize>,
) -> Result<Followed, Failure> {
    let mut delays = vec![0; written.sent.len()];
    let (mut missing, mut bytes) = (delays.len(), 0);
    let mut rest: Vec<u8> = Vec::new();
    let number = memmem::Finder::new(b"\"bench\":\"");
    while missing > 0 {
        let frame = body.frame().await.ok_or("a watch has ended")??;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        bytes += data.len();
        rest.extend_from_slice(&data);
        let now = written.now();
        let mut done = 0;
        while let Some(length) = memchr(b'\n', &rest[done..]) {
            let line = &rest[done..done + length];
            done += length + 1;
            if !line.starts_with(b"{\"type\":\"ADDED\"") {
                return Err(String::from_utf8_lossy(line).into_owned().into());
            }
            let at = number.find(line).ok_or("an event without its label")? + 9;
            let end = memchr(b'"', &line[at..]).unwrap_or(0);
            let index: usize = std::str::from_utf8(&line[at..at + end])?.parse()?;
            let delay = now.saturating_sub(written.sent[index].load(Ordering::Relaxed));
            if std::mem::replace(&mut delays[index], delay.max(1)) != 0 {
                return Err(format!("pod {index} was heard of twice").into());
            }
            missing -= 1;
            heard.fetch_add(1, Ordering::Relaxed);
        }
        rest.drain(..done);
    }
    Ok(Followed { delays, bytes })
}

/// Pods need their namespace's account, which a controller makes.
async fn account_is_there(client: &Client) -> Result<(), Failure> {
    let path = "/api/v1/namespaces/bench/serviceaccounts/default";
    let began = Instant::now();
    loop {
        let response = client.send(Request::get(path).body(Body::empty())?).await?;
        if response.status().is_success() {
            return Ok(());
        }
        if began.elapsed() > LIMIT {
            return Err("the namespace has no ServiceAccount default".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn post(path: &str, body: String) -> Result<Request<Body>, http::Error> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.into_bytes().into())
}

/// The answer's body; an error if it isn't a success.
async fn answer(client: &Client, request: Request<Body>) -> Result<bytes::Bytes, Failure> {
    let response = tokio::time::timeout(LIMIT, client.send(request)).await??;
    let status = response.status();
    let body = tokio::time::timeout(LIMIT, response.into_body().collect()).await??;
    let body = body.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(body)
}

/// A pod as Deployments make them.
fn pod(number: usize) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("web-7c5ddbdf54-{number:05}"),
            "labels": {"app.kubernetes.io/name": "web", "bench": number.to_string(), "pod-template-hash": "7c5ddbdf54"},
        },
        "spec": {
            "schedulerName": "nobody",
            "containers": [{
                "name": "web", "image": "registry.example.com/shop/web:1.2.3",
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [{"name": "PORT", "value": "8080"}, {"name": "LOG_LEVEL", "value": "info"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            }],
        },
    })
    .to_string()
}

/// Of microseconds, in milliseconds.
fn spread(mut times: Vec<u64>) -> Value {
    times.sort_unstable();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        times.get(index).map_or(0.0, |time| *time as f64 / 1000.0)
    };
    json!({"median": at(0.5), "p99": at(0.99), "longest": at(1.0)})
}
