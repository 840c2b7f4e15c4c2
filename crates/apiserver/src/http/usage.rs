//! `metrics.k8s.io`: what nodes and pods use, as metrics-server tells it.

use apimachinery::{GroupResource, Resource, Status};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::query::ListOptions;
use super::select::Selection;
use super::show::View;
use crate::ports::Usage;
use crate::server::Inner;
use crate::store::{Key, Stored};

pub(crate) const GROUP: &str = "metrics.k8s.io";

/// The usage of one node or pod.
///
/// # Errors
/// 404 when there is no such object, or nothing is known of it yet.
pub(crate) fn get(
    server: &Inner,
    resource: &Resource,
    namespace: &str,
    name: &str,
    view: View,
) -> Result<Bytes, Status> {
    let key = Key::new(&described(resource), namespace, name);
    let stored = server.registry.store().get(&key);
    let now = server.clock.now();
    let usage = stored.and_then(|stored| usage(server, resource, &stored, now));
    let usage = usage.ok_or_else(|| {
        let name = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        Status::not_found(GROUP, &resource.plural, &name)
    })?;
    Ok(view.object(resource, &usage.to_string().into(), now))
}

/// The usage of all nodes or pods that are meant.
///
/// # Errors
/// 400 for a field that cannot be selected by.
pub(crate) fn list(
    server: &Inner,
    resource: &Resource,
    namespace: Option<&str>,
    options: &ListOptions,
    view: View,
) -> Result<Bytes, Status> {
    let selection = Selection::of(&options.labels, &options.fields, resource)?;
    let listing = server
        .registry
        .store()
        .list(&described(resource), namespace);
    let now = server.clock.now();
    let items: Vec<Bytes> = listing
        .items
        .iter()
        .filter(|item| selection.means(item))
        .filter_map(|item| usage(server, resource, item, now))
        .map(|usage| usage.to_string().into())
        .collect();
    Ok(view.list(resource, &items, &json!({}), now))
}

/// What the usage is of.
fn described(resource: &Resource) -> GroupResource {
    GroupResource::new("", &resource.plural)
}

fn usage(server: &Inner, resource: &Resource, stored: &Stored, now: Timestamp) -> Option<Json> {
    let name = &*stored.key.name;
    let namespace = &*stored.key.namespace;
    let window = server.metrics.window();
    let mut metadata = json!({"name": name, "creationTimestamp": second(now)});
    if !stored.labels.is_empty() {
        metadata["labels"] = json!(stored.labels);
    }
    let mut json = json!({
        "kind": resource.kind.kind, "apiVersion": resource.kind.api_version(),
        "metadata": metadata,
        "timestamp": second(now.checked_sub(SignedDuration::from_secs(1)).unwrap_or(now)),
        "window": format!("{:.3}s", window.as_secs_f64()),
    });
    if namespace.is_empty() {
        json["usage"] = quantities(server.metrics.node(name)?);
    } else {
        json["metadata"]["namespace"] = json!(namespace);
        let containers = server.metrics.pod(namespace, name)?;
        let containers = containers
            .into_iter()
            .map(|(name, usage)| json!({"name": name, "usage": quantities(usage)}));
        json["containers"] = containers.collect();
    }
    Some(json)
}

fn quantities(usage: Usage) -> Json {
    json!({
        "cpu": format!("{}m", usage.cpu_milli),
        "memory": format!("{}Ki", usage.memory_bytes.div_ceil(1024)),
    })
}

/// A time as objects have it: in whole seconds.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
