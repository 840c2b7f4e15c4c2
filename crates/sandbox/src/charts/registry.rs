//! The repository over HTTP: the OCI distribution API (read only) and the classic index.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{Chart, charts};
use crate::aws::wire::{Reply, Request};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media types of Helm's artifacts. Source: helm.sh/docs/topics/registries, "OCI Image Manifest".
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Whether a path is the repository's.
pub(crate) fn is_ours(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/") || path.starts_with("/charts/")
}

/// Answers a request.
pub(crate) fn answer(request: &Request) -> Reply {
    if !["GET", "HEAD"].contains(&request.method.as_str()) {
        return failed(405, "UNSUPPORTED", "the repository is read only");
    }
    let found = match request.path.strip_prefix("/charts/") {
        Some(file) => classic(file, request.header("host")),
        None => distribution(request.path.trim_start_matches("/v2").trim_matches('/')),
    };
    found.unwrap_or_else(|| failed(404, "NAME_UNKNOWN", "there is no such chart"))
}

fn classic(file: &str, host: &str) -> Option<Reply> {
    if file == "index.yaml" {
        let mut entries = serde_json::Map::new();
        for chart in charts() {
            let mut entry: Json = serde_json::from_slice(&chart.metadata).ok()?;
            let name = archive_name(chart);
            entry["urls"] = json!([format!("http://{host}/charts/{name}")]);
            entry["digest"] = json!(hex::encode(Sha256::digest(&chart.archive)));
            entries.insert(chart.name.clone(), json!([entry]));
        }
        // JSON is YAML.
        let index = json!({"apiVersion": "v1", "entries": entries});
        return Some(reply("application/yaml", index.to_string().into_bytes()));
    }
    let chart = charts().iter().find(|chart| archive_name(chart) == file)?;
    Some(reply("application/gzip", chart.archive.clone()))
}

fn archive_name(chart: &Chart) -> String {
    format!("{}-{}.tgz", chart.name, chart.version)
}

fn distribution(path: &str) -> Option<Reply> {
    if path.is_empty() {
        return Some(reply("application/json", b"{}".to_vec()));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        // Tags can't have a plus sign; helm writes an underscore.
        let tags: Vec<String> = of(name).map(tag).collect();
        return (!tags.is_empty())
            .then(|| json!({"name": name, "tags": tags}).to_string())
            .map(|body| reply("application/json", body.into_bytes()));
    }
    if let Some((name, reference)) = path.split_once("/manifests/") {
        return of(name)
            .map(manifest)
            .find(|(chart, body)| tag(chart) == reference || digest(body) == reference)
            .map(|(_, body)| reply(MANIFEST, body));
    }
    let (name, wanted) = path.split_once("/blobs/")?;
    of(name)
        .flat_map(|chart| [&chart.metadata, &chart.archive])
        .find(|blob| digest(blob) == wanted)
        .map(|blob| reply("application/octet-stream", blob.clone()))
}

fn of(repository: &str) -> impl Iterator<Item = &'static Chart> {
    charts()
        .iter()
        .filter(move |chart| chart.repository == repository)
}

fn tag(chart: &Chart) -> String {
    chart.version.replace('+', "_")
}

fn manifest(chart: &'static Chart) -> (&'static Chart, Vec<u8>) {
    let blob = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
    let body = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(CONFIG, &chart.metadata),
        "layers": [blob(CONTENT, &chart.archive)],
        "annotations": {
            "org.opencontainers.image.title": chart.name,
            "org.opencontainers.image.version": chart.version,
        },
    });
    (chart, body.to_string().into_bytes())
}

/// `sha256:…`, as registries name what they have.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn reply(content_type: &'static str, body: Vec<u8>) -> Reply {
    Reply {
        status: 200,
        content_type,
        body,
    }
}

fn failed(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({"errors": [{"code": code, "message": message}]});
    Reply {
        status,
        content_type: "application/json",
        body: body.to_string().into_bytes(),
    }
}
