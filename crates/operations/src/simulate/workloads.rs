//! Workloads become pods, as their controllers would make them.

use objects::k8s_openapi::api::apps::v1 as apps;
use objects::k8s_openapi::api::batch::v1::Job;
use objects::k8s_openapi::api::core::v1 as core;
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use objects::snapshot::Object;

/// The most pods that one workload is expanded to; more is an error of whoever wrote it.
pub(super) const MOST_PODS: i32 = 200_000;

/// Kubernetes' letters for generated names.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The objects that a workload's controllers would make; none of other kinds.
pub(super) fn made_of(object: &Object, at: jiff::Timestamp) -> Vec<Object> {
    match object {
        Object::Deployment(deployment) => of_deployment(deployment, at),
        Object::ReplicaSet(set) => {
            // One that a Deployment owns comes with it.
            if set.metadata.owner_references.is_some() {
                return Vec::new();
            }
            let spec = set.spec.clone().unwrap_or_default();
            let template = spec.template.unwrap_or_default();
            let owner = owner("apps/v1", "ReplicaSet", &name(&set.metadata));
            numbered(spec.replicas)
                .map(|number| {
                    let suffix = letters(&format!("{}/{number}", name(&set.metadata)), 5);
                    let pod_name = format!("{}-{suffix}", name(&set.metadata));
                    pod(&set.metadata, &template, &owner, &pod_name, at)
                })
                .collect()
        }
        Object::StatefulSet(set) => of_stateful_set(set, at),
        Object::Job(job) => of_job(job, at),
        _ => Vec::new(),
    }
}

fn of_deployment(deployment: &apps::Deployment, at: jiff::Timestamp) -> Vec<Object> {
    let Some(spec) = &deployment.spec else {
        return Vec::new();
    };
    let own = name(&deployment.metadata);
    let template = serde_json::to_string(&spec.template).unwrap_or_default();
    let set = format!("{own}-{}", hash(&template));
    let owner = owner("apps/v1", "ReplicaSet", &set);
    numbered(spec.replicas)
        .map(|number| {
            let pod_name = format!("{set}-{}", letters(&format!("{set}/{number}"), 5));
            pod(&deployment.metadata, &spec.template, &owner, &pod_name, at)
        })
        .collect()
}

fn of_stateful_set(set: &apps::StatefulSet, at: jiff::Timestamp) -> Vec<Object> {
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    let own = name(&set.metadata);
    let owner = owner("apps/v1", "StatefulSet", &own);
    let mut made = Vec::new();
    for number in numbered(spec.replicas) {
        let pod_name = format!("{own}-{number}");
        let mut template = spec.template.clone();
        for claim in spec.volume_claim_templates.iter().flatten() {
            let volume = name(&claim.metadata);
            let claim_name = format!("{volume}-{pod_name}");
            let mut object = claim.clone();
            object.metadata.name = Some(claim_name.clone());
            object
                .metadata
                .namespace
                .clone_from(&set.metadata.namespace);
            made.push(Object::PersistentVolumeClaim(Box::new(object)));
            if let Some(spec) = &mut template.spec {
                spec.volumes.get_or_insert_default().push(core::Volume {
                    name: volume,
                    persistent_volume_claim: Some(core::PersistentVolumeClaimVolumeSource {
                        claim_name,
                        read_only: None,
                    }),
                    ..core::Volume::default()
                });
            }
        }
        made.push(pod(&set.metadata, &template, &owner, &pod_name, at));
    }
    made
}

fn of_job(job: &Job, at: jiff::Timestamp) -> Vec<Object> {
    let Some(spec) = &job.spec else {
        return Vec::new();
    };
    if spec.suspend == Some(true) {
        return Vec::new();
    }
    let own = name(&job.metadata);
    let owner = owner("batch/v1", "Job", &own);
    let parallel = spec.parallelism.unwrap_or(1);
    let wanted = spec
        .completions
        .map_or(parallel, |completions| completions.min(parallel));
    numbered(Some(wanted))
        .map(|number| {
            let pod_name = format!("{own}-{}", letters(&format!("{own}/{number}"), 5));
            pod(&job.metadata, &spec.template, &owner, &pod_name, at)
        })
        .collect()
}

/// How many pods a workload wants; one where it doesn't say.
pub(super) fn replicas(object: &Object) -> i32 {
    match object {
        Object::Deployment(of) => of.spec.as_ref().and_then(|spec| spec.replicas),
        Object::ReplicaSet(of) => of.spec.as_ref().and_then(|spec| spec.replicas),
        Object::StatefulSet(of) => of.spec.as_ref().and_then(|spec| spec.replicas),
        Object::Job(of) => of.spec.as_ref().and_then(|spec| spec.parallelism),
        _ => Some(0),
    }
    .unwrap_or(1)
}

fn numbered(replicas: Option<i32>) -> std::ops::Range<i32> {
    0..replicas.unwrap_or(1).clamp(0, MOST_PODS)
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

fn owner(api_version: &str, kind: &str, name: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }
}

fn pod(
    of: &ObjectMeta,
    template: &core::PodTemplateSpec,
    owner: &OwnerReference,
    name: &str,
    at: jiff::Timestamp,
) -> Object {
    let mut metadata = template.metadata.clone().unwrap_or_default();
    metadata.name = Some(name.to_owned());
    metadata.namespace.clone_from(&of.namespace);
    metadata.owner_references = Some(vec![owner.clone()]);
    metadata.creation_timestamp = Some(Time(at));
    Object::Pod(Box::new(core::Pod {
        metadata,
        spec: template.spec.clone(),
        status: None,
    }))
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Letters that depend on a text.
fn letters(text: &str, count: usize) -> String {
    let mut left = fnv(text);
    left = (left ^ (left >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|_| {
            let letter = LETTERS[usize::try_from(left % 27).unwrap_or(0)];
            left /= 27;
            char::from(letter)
        })
        .collect()
}

/// A template's hash, as a ReplicaSet's name ends in; with a digit, so that it is told from a word.
fn hash(template: &str) -> String {
    let letters = letters(template, 9);
    if letters.bytes().any(|byte| byte.is_ascii_digit()) {
        letters
    } else {
        format!("{letters}4")
    }
}
