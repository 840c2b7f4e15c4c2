//! Discovery: which resources there are, in one document or group by group.

use std::sync::{Arc, Mutex, PoisonError};

use apimachinery::resource::Verb;
use apimachinery::{GroupVersionKind, Resource};
use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::media::DiscoveryVersion;
use crate::registry::Catalogue;

/// A document that is made once for what is served, with what tells it from others.
#[derive(Clone)]
pub(crate) struct Document {
    pub bytes: Bytes,
    pub etag: HeaderValue,
}

impl Document {
    pub(crate) fn of(json: &Json) -> Self {
        let bytes: Bytes = json.to_string().into();
        let sum = hex::encode(&Sha256::digest(&bytes)[..16]);
        let etag = HeaderValue::from_str(&format!("\"{sum}\""));
        Self {
            bytes,
            etag: etag.unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }
}

/// Keeps the documents that every client asks for first.
#[derive(Default)]
pub(crate) struct Discovery {
    kept: Mutex<Option<(u64, Arc<Aggregated>)>>,
}

struct Aggregated {
    core: [Document; 2],
    groups: [Document; 2],
}

impl Discovery {
    /// All of `/api` (`core`) or of `/apis` in one document.
    pub(crate) fn aggregated(
        &self,
        catalogue: &Catalogue,
        core: bool,
        version: DiscoveryVersion,
    ) -> Document {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let all = match &*kept {
            Some((serial, all)) if *serial == catalogue.serial() => all.clone(),
            _ => {
                let all = Arc::new(Aggregated {
                    core: aggregated(catalogue, true),
                    groups: aggregated(catalogue, false),
                });
                *kept = Some((catalogue.serial(), all.clone()));
                all
            }
        };
        let both = if core { &all.core } else { &all.groups };
        let [v2, beta] = both;
        match version {
            DiscoveryVersion::V2 => v2.clone(),
            DiscoveryVersion::V2Beta1 => beta.clone(),
        }
    }
}

/// The `Content-Type` of an aggregated document; clients compare it as a whole.
pub(crate) fn aggregated_type(version: DiscoveryVersion) -> HeaderValue {
    match version {
        DiscoveryVersion::V2 => HeaderValue::from_static(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        ),
        DiscoveryVersion::V2Beta1 => HeaderValue::from_static(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        ),
    }
}

fn aggregated(catalogue: &Catalogue, core: bool) -> [Document; 2] {
    let groups = catalogue.groups();
    let groups = groups.iter().filter(|(group, _)| group.is_empty() == core);
    let items: Vec<Json> = groups
        .map(|(group, versions)| {
            let versions: Vec<Json> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Json> = in_version(catalogue, group, version)
                        .map(|resource| one_of_aggregated(resource.as_ref()))
                        .collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let mut metadata = json!({"creationTimestamp": null});
            if !group.is_empty() {
                metadata["name"] = json!(group);
            }
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    ["v2", "v2beta1"].map(|version| {
        Document::of(&json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{version}"),
            "metadata": {},
            "items": items,
        }))
    })
}

fn in_version<'a>(
    catalogue: &'a Catalogue,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'a Arc<Resource>> {
    catalogue
        .iter()
        .filter(move |one| &*one.kind.group == group && &*one.kind.version == version)
}

fn kind_document(kind: &GroupVersionKind) -> Json {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn one_of_aggregated(resource: &Resource) -> Json {
    let mut json = json!({
        "resource": resource.plural,
        "responseKind": kind_document(&resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(&resource.verbs),
    });
    if !resource.short_names.is_empty() {
        json["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        json["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let subresources = resource.subresources.iter().map(|one| {
            json!({
                "subresource": one.name,
                "responseKind": kind_document(&one.kind),
                "verbs": verbs(&one.verbs),
            })
        });
        json["subresources"] = subresources.collect();
    }
    json
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    let mut names: Vec<&str> = verbs.iter().map(|verb| name_of(*verb)).collect();
    names.sort_unstable();
    names
}

pub(crate) fn name_of(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Patch => "patch",
        Verb::Update => "update",
        Verb::Watch => "watch",
    }
}

/// `/api`, as it has always been. `host` is where the client found the server.
pub(crate) fn core_versions(catalogue: &Catalogue, host: &str) -> Json {
    let groups = catalogue.groups();
    let core = groups.iter().find(|(group, _)| group.is_empty());
    let versions: &[Arc<str>] = core.map_or(&[], |(_, versions)| versions);
    json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    })
}

/// `/apis`, as it has always been.
pub(crate) fn groups(catalogue: &Catalogue) -> Json {
    let groups = catalogue.groups();
    let groups = groups.iter().filter(|(group, _)| !group.is_empty());
    let groups: Vec<Json> = groups
        .map(|(group, versions)| group_document(group, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`; `None` if nothing of the group is served.
pub(crate) fn group(catalogue: &Catalogue, group: &str) -> Option<Json> {
    let groups = catalogue.groups();
    let (group, versions) = groups.iter().find(|(own, _)| &**own == group)?;
    let mut json = group_document(group, versions);
    json["kind"] = json!("APIGroup");
    json["apiVersion"] = json!("v1");
    Some(json)
}

fn group_document(group: &str, versions: &[Arc<str>]) -> Json {
    let versions: Vec<Json> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/v1` and `/apis/<group>/<version>`; `None` if nothing of them is served.
pub(crate) fn resources(catalogue: &Catalogue, group: &str, version: &str) -> Option<Json> {
    let mut list = Vec::new();
    for resource in in_version(catalogue, group, version) {
        let mut json = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind.kind,
            "verbs": verbs(&resource.verbs),
        });
        if !resource.short_names.is_empty() {
            json["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            json["categories"] = json!(resource.categories);
        }
        list.push(json);
        for subresource in &resource.subresources {
            let mut json = json!({
                "name": format!("{}/{}", resource.plural, subresource.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": subresource.kind.kind,
                "verbs": verbs(&subresource.verbs),
            });
            let kind = &subresource.kind;
            if kind.group != resource.kind.group || kind.version != resource.kind.version {
                json["group"] = json!(kind.group);
                json["version"] = json!(kind.version);
            }
            list.push(json);
        }
    }
    (!list.is_empty()).then(|| {
        let kind = GroupVersionKind::new(group, version, "");
        json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": kind.api_version(), "resources": list,
        })
    })
}
