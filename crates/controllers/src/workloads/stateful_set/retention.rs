//! Who owns the claims, and so when they go: `persistentVolumeClaimRetentionPolicy`
//! (`updateClaimOwnerRefForSetAndPod`, stateful_set_utils.go).

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value as Json, json};

use crate::Action;
use crate::workloads::claims::controller_reference;
use crate::workloads::writes::{patch, uid_of};

/// Makes a claim the set's, the pod's or nobody's; nothing when it is so, or when another controller has it.
pub(super) fn adjust(
    set: &StatefulSet,
    spec: &StatefulSetSpec,
    pod: &Pod,
    in_range: bool,
    claim: &PersistentVolumeClaim,
) -> Option<Action> {
    let policy = spec.persistent_volume_claim_retention_policy.as_ref();
    let deletes = |when: Option<&String>| when.is_some_and(|when| when == "Delete");
    let when_deleted = deletes(policy.and_then(|policy| policy.when_deleted.as_ref()));
    let when_scaled = deletes(policy.and_then(|policy| policy.when_scaled.as_ref()));
    let (set_uid, pod_uid) = (uid_of(&set.metadata), uid_of(&pod.metadata));
    let before = claim.metadata.owner_references.clone().unwrap_or_default();
    let others: Vec<OwnerReference> = before
        .iter()
        .filter(|owner| owner.uid != set_uid && owner.uid != pod_uid)
        .cloned()
        .collect();
    if others.iter().any(|owner| owner.controller == Some(true)) {
        return None;
    }
    let wanted = if when_scaled && !in_range {
        Some(controller_reference(pod))
    } else if when_deleted {
        Some(controller_reference(set))
    } else {
        None
    };
    let uids = |owners: &[OwnerReference]| -> Vec<String> {
        let mut uids: Vec<String> = owners.iter().map(|owner| owner.uid.clone()).collect();
        uids.sort();
        uids
    };
    let mut after = others;
    after.extend(wanted);
    if uids(&before) == uids(&after) {
        return None;
    }
    let owners = if after.is_empty() {
        Json::Null
    } else {
        json!(after)
    };
    Some(patch(
        claim,
        json!({"metadata": {"ownerReferences": owners}}),
    ))
}
