//! Names, ordinals, claims: what makes a pod of a StatefulSet this one and no other (`stateful_set_utils.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::workloads::claims::controller_reference;
use crate::workloads::pods::of_template;
use crate::workloads::writes::name_of;

use super::{POD_INDEX, POD_NAME, REVISION};

/// The ordinal of a pod whose name is `SET-ORDINAL` (`getParentNameAndOrdinal`).
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let rest = name_of(&pod.metadata).strip_prefix(name_of(&set.metadata))?;
    let digits = rest.strip_prefix('-')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

pub(super) fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", name_of(&set.metadata))
}

fn claim_templates(spec: &StatefulSetSpec) -> impl Iterator<Item = &PersistentVolumeClaim> {
    spec.volume_claim_templates.iter().flatten()
}

/// `TEMPLATE-SET-ORDINAL` (`getPersistentVolumeClaimName`).
pub(super) fn claim_name(
    template: &PersistentVolumeClaim,
    set: &StatefulSet,
    ordinal: i32,
) -> String {
    format!("{}-{}", name_of(&template.metadata), pod_name(set, ordinal))
}

/// Whether a claim of this name is one of the set's.
pub(super) fn could_be_claim(set: &StatefulSet, name: &str) -> bool {
    let spec = set.spec.as_ref();
    spec.is_some_and(|spec| {
        claim_templates(spec).any(|template| {
            let prefix = format!(
                "{}-{}-",
                name_of(&template.metadata),
                name_of(&set.metadata)
            );
            name.starts_with(&prefix)
        })
    })
}

/// The claims of a pod, as they are made (`getPersistentVolumeClaims`).
pub(super) fn claims(
    set: &StatefulSet,
    spec: &StatefulSetSpec,
    ordinal: i32,
) -> Vec<PersistentVolumeClaim> {
    claim_templates(spec)
        .map(|template| {
            let mut labels = template.metadata.labels.clone().unwrap_or_default();
            labels.extend(spec.selector.match_labels.clone().unwrap_or_default());
            PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: Some(claim_name(template, set, ordinal)),
                    namespace: set.metadata.namespace.clone(),
                    labels: (!labels.is_empty()).then_some(labels),
                    annotations: template.metadata.annotations.clone(),
                    finalizers: template.metadata.finalizers.clone(),
                    ..ObjectMeta::default()
                },
                spec: template.spec.clone(),
                status: None,
            }
        })
        .collect()
}

/// The pod of an ordinal, from a template of a revision (`newStatefulSetPod`, `updateStorage`, `setPodRevision`).
pub(super) fn pod(
    set: &StatefulSet,
    spec: &StatefulSetSpec,
    template: &PodTemplateSpec,
    ordinal: i32,
    revision: &str,
) -> Pod {
    let name = pod_name(set, ordinal);
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let generate_name = format!("{}-", name_of(&set.metadata));
    let mut pod = of_template(
        template,
        namespace,
        name.clone(),
        Some(generate_name),
        controller_reference(set),
    );
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.extend(own_labels(set, ordinal));
    labels.insert(REVISION.to_owned(), revision.to_owned());
    let pod_spec = pod.spec.get_or_insert_default();
    pod_spec.hostname = Some(name);
    pod_spec.subdomain = spec.service_name.clone().filter(|name| !name.is_empty());
    let volumes: Vec<Volume> = claim_templates(spec)
        .map(|template| Volume {
            name: name_of(&template.metadata).to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(template, set, ordinal),
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    if !volumes.is_empty() {
        let theirs = pod_spec.volumes.take().unwrap_or_default();
        let replaced = |volume: &Volume| volumes.iter().any(|ours| ours.name == volume.name);
        let mut all: Vec<Volume> = theirs.into_iter().filter(|one| !replaced(one)).collect();
        all.extend(volumes);
        pod_spec.volumes = Some(all);
    }
    pod
}

/// The labels that tell which pod it is (`updateIdentity`).
pub(super) fn own_labels(set: &StatefulSet, ordinal: i32) -> BTreeMap<String, String> {
    BTreeMap::from([
        (POD_NAME.to_owned(), pod_name(set, ordinal)),
        (POD_INDEX.to_owned(), ordinal.to_string()),
    ])
}
