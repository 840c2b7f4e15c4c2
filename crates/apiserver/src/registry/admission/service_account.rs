//! The service account of a pod: which it is, its token, its image pull secrets.

use apimachinery::{GroupResource, Status, managed};
use serde_json::{Value as Json, json};

use super::Attempt;
use crate::registry::call::Call;
use crate::registry::document::{list, metadata, part, seconds, text};
use crate::registry::naming;
use crate::store::Key;

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a pod's token is good for, in seconds: one hour, and the seven seconds by which the kubelet's tokens are told
/// from others.
const EXPIRES: i64 = 3607;

pub(super) fn admit(attempt: &mut Attempt<'_, '_>, pod: &mut Json) -> Result<(), Status> {
    let spec = part(pod, "spec");
    if !spec
        .get("serviceAccountName")
        .is_some_and(|name| name != "")
    {
        let older = spec.get("serviceAccount").and_then(Json::as_str);
        let name = older.filter(|name| !name.is_empty()).unwrap_or("default");
        spec.insert("serviceAccountName".to_owned(), name.into());
    }
    let name = spec["serviceAccountName"].as_str().unwrap_or_default();
    let name = name.to_owned();
    spec.insert("serviceAccount".to_owned(), name.as_str().into());
    let account = account(attempt, &name)?;
    if list(pod, "/spec/imagePullSecrets").is_empty()
        && let Some(secrets) = account.get("imagePullSecrets")
    {
        part(pod, "spec").insert("imagePullSecrets".to_owned(), secrets.clone());
    }
    let wanted = [
        pod.pointer("/spec/automountServiceAccountToken"),
        account.get("automountServiceAccountToken"),
    ]
    .into_iter()
    .flatten()
    .find_map(Json::as_bool)
    .unwrap_or(true);
    if wanted {
        mount(pod);
    }
    Ok(())
}

/// The pod's service account. A namespace's `default` is made when a pod asks for it before its controller has been there:
/// that is what a client that waits for it comes to see.
fn account(attempt: &mut Attempt<'_, '_>, name: &str) -> Result<Json, Status> {
    let namespace = attempt.call.namespace;
    if let Some(stored) = attempt.get("", "serviceaccounts", namespace, name) {
        return Ok(stored.json());
    }
    if name != "default" {
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
        );
        return Err(attempt.forbidden(&why));
    }
    let mut account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "default", "namespace": namespace },
    });
    let target = attempt.registry.target_of("", "serviceaccounts")?;
    let call = Call::of(&target, attempt.call.user).named(namespace, "default");
    let by = ("kube-controller-manager", "v1");
    let writer = crate::registry::writer(&call, &target, by, attempt.now);
    managed::update(&target.schema, None, &mut account, &writer);
    let metadata = metadata(&mut account);
    metadata.insert("uid".to_owned(), naming::uid().into());
    metadata.insert("creationTimestamp".to_owned(), seconds(attempt.now).into());
    let place = GroupResource::new("", "serviceaccounts");
    let stored = attempt
        .tx
        .put(&Key::new(&place, namespace, "default"), account)?;
    Ok(stored.json())
}

/// Mounts a token, the cluster's certificate and the namespace into every container that has nothing there.
fn mount(pod: &mut Json) {
    let is_ours = |mount: &Json| text(mount, "/mountPath") == MOUNT;
    let lacks = |container: &Json| !list(container, "/volumeMounts").iter().any(is_ours);
    let lists = ["containers", "initContainers"];
    let any = lists
        .iter()
        .any(|name| list(pod, &format!("/spec/{name}")).iter().any(lacks));
    if !any {
        return;
    }
    let volume = list(pod, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/name"))
        .find(|name| name.starts_with("kube-api-access-"))
        .map(str::to_owned);
    let spec = part(pod, "spec");
    let name = volume.unwrap_or_else(|| {
        let name = format!("kube-api-access-{}", naming::ending());
        let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
        if let Some(volumes) = volumes.as_array_mut() {
            volumes.push(projected(&name));
        }
        name
    });
    for containers in lists {
        let containers = spec.get_mut(containers).and_then(Json::as_array_mut);
        for container in containers.into_iter().flatten() {
            if !lacks(container) || !container.is_object() {
                continue;
            }
            let mounts = crate::registry::document::map(container)
                .entry("volumeMounts")
                .or_insert_with(|| json!([]));
            if let Some(mounts) = mounts.as_array_mut() {
                mounts.push(json!({ "name": name, "readOnly": true, "mountPath": MOUNT }));
            }
        }
    }
}

fn projected(name: &str) -> Json {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 420,
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": EXPIRES, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_mounted_once() {
        let mut pod = json!({ "spec": {
            "containers": [{ "name": "a" }, { "name": "b", "volumeMounts": [{ "name": "own", "mountPath": MOUNT }] }],
            "initContainers": [{ "name": "c" }],
        } });
        mount(&mut pod);
        let volume = text(&pod, "/spec/volumes/0/name").to_owned();
        assert!(volume.starts_with("kube-api-access-"));
        assert_eq!(
            pod["spec"]["containers"][0]["volumeMounts"][0]["name"],
            *volume
        );
        assert_eq!(
            pod["spec"]["containers"][1]["volumeMounts"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            pod["spec"]["initContainers"][0]["volumeMounts"][0]["mountPath"],
            MOUNT
        );
        let before = pod.clone();
        mount(&mut pod);
        assert_eq!(pod, before);
    }
}
