//! What has to be there before a pod's containers can start.

use k8s_openapi::api::core::v1::{Container, Pod, Volume};

use crate::document::Named;
use crate::volumes::{attaches, attachment_name, claim_name};
use crate::{Key, View};

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// In the kubelet's words.
    pub message: String,
    /// What to wait for: the resource and the object's key.
    pub awaited: (&'static str, Key),
}

fn lookup(view: &View, resource: &'static str, namespace: &str, name: &str) -> Result<(), Missing> {
    let key = Key::new(namespace, name);
    match view.metadata("", resource, &key) {
        Some(_) => Ok(()),
        None => {
            let what = resource.trim_end_matches('s');
            Err(Missing {
                message: format!("{what} \"{name}\" not found"),
                awaited: (resource, key),
            })
        }
    }
}

/// The first volume of a pod that can't be mounted yet, with the message of the `FailedMount` event.
pub(super) fn volumes(view: &View, pod: &Pod) -> Result<(), Missing> {
    let Some(spec) = &pod.spec else {
        return Ok(());
    };
    for volume in spec.volumes.iter().flatten() {
        if let Some(claim) = claim_name(pod, volume) {
            claimed(view, pod, volume, &claim)?;
        }
        files(view, pod, volume).map_err(|missing| Missing {
            message: format!(
                "MountVolume.SetUp failed for volume \"{}\" : {}",
                volume.name, missing.message
            ),
            ..missing
        })?;
    }
    Ok(())
}

fn files(view: &View, pod: &Pod, volume: &Volume) -> Result<(), Missing> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let find = |resource, name: &str, optional: Option<bool>| {
        if optional == Some(true) || name.is_empty() {
            Ok(())
        } else {
            lookup(view, resource, namespace, name)
        }
    };
    if let Some(map) = &volume.config_map {
        find("configmaps", &map.name, map.optional)?;
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        find("secrets", name, secret.optional)?;
    }
    for source in volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten())
    {
        if let Some(map) = &source.config_map {
            find("configmaps", &map.name, map.optional)?;
        }
        if let Some(secret) = &source.secret {
            find("secrets", &secret.name, secret.optional)?;
        }
    }
    Ok(())
}

fn claimed(view: &View, pod: &Pod, volume: &Volume, claim: &str) -> Result<(), Missing> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let key = Key::new(namespace, claim);
    let unbound = |message: String| Missing {
        message,
        awaited: ("persistentvolumeclaims", key.clone()),
    };
    let Some(claim_object) = view.persistent_volume_claims.get(&key) else {
        return Err(unbound(format!(
            "error processing PVC {namespace}/{claim}: failed to fetch PVC from API server: persistentvolumeclaims \"{claim}\" not found"
        )));
    };
    let bound = claim_object
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        == Some("Bound");
    let name = claim_object
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default();
    if !bound || name.is_empty() {
        return Err(unbound(format!(
            "Unable to attach or mount volumes: unmounted volumes=[{}]: persistentvolumeclaim \"{claim}\" is not bound",
            volume.name
        )));
    }
    let Some(found) = view.persistent_volumes.get(&Key::cluster(name)) else {
        return Err(unbound(format!("persistentvolumes \"{name}\" not found")));
    };
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .unwrap_or_default();
    let Some(source) = attaches(found) else {
        return Ok(());
    };
    let attachment = Key::cluster(&attachment_name(source, node));
    let attached = view
        .volume_attachments
        .get(&attachment)
        .and_then(|attachment| attachment.status.as_ref())
        .is_some_and(|status| status.attached);
    if attached {
        return Ok(());
    }
    Err(Missing {
        message: format!(
            "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[{}], failed to process volumes=[]: timed out waiting for the condition",
            volume.name,
            found.name()
        ),
        awaited: ("volumeattachments", attachment),
    })
}

/// What a container's environment refers to and is not there, with the message of `CreateContainerConfigError`.
pub(super) fn environment(view: &View, pod: &Pod, container: &Container) -> Result<(), Missing> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for source in container.env_from.iter().flatten() {
        if let Some(map) = source
            .config_map_ref
            .as_ref()
            .filter(|map| map.optional != Some(true))
        {
            lookup(view, "configmaps", namespace, &map.name)?;
        }
        if let Some(secret) = source
            .secret_ref
            .as_ref()
            .filter(|secret| secret.optional != Some(true))
        {
            lookup(view, "secrets", namespace, &secret.name)?;
        }
    }
    for source in container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        if let Some(map) = source
            .config_map_key_ref
            .as_ref()
            .filter(|map| map.optional != Some(true))
        {
            lookup(view, "configmaps", namespace, &map.name)?;
        }
        if let Some(secret) = source
            .secret_key_ref
            .as_ref()
            .filter(|secret| secret.optional != Some(true))
        {
            lookup(view, "secrets", namespace, &secret.name)?;
            let key = Key::new(namespace, &secret.name);
            let has = view.secrets.get(&key).is_none_or(|object| {
                let data = object.data.as_ref();
                data.is_some_and(|data| data.contains_key(&secret.key))
            });
            if !has {
                return Err(Missing {
                    message: format!(
                        "couldn't find key {} in Secret {namespace}/{}",
                        secret.key, secret.name
                    ),
                    awaited: ("secrets", key),
                });
            }
        }
    }
    Ok(())
}
