//! What is in use is not deleted: claims of pods, and volumes of claims.
//!
//! As `pkg/controller/volume/pvcprotection` and `pvprotection` of Kubernetes 1.33.

use super::claims;
use crate::document::Named;
use crate::{Change, Context, Controller, Key, Kind, Object, Outcome, View};

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

/// Keeps claims that pods use. A key is a claim.
#[derive(Debug, Default)]
pub struct ClaimProtection;

impl Controller for ClaimProtection {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match (change.kind, &change.before, &change.after) {
            (Some(Kind::PersistentVolumeClaim), _, Some(_)) => vec![change.key.clone()],
            // A pod that went or ended lets go of its claims.
            (Some(Kind::Pod), Some(Object::Pod(before)), after) => {
                let holds = matches!(after, Some(Object::Pod(after)) if !super::has_ended(after));
                if holds {
                    return Vec::new();
                }
                claims(before)
                    .filter(|claim| {
                        let claim = view.persistent_volume_claims.get(claim);
                        claim.is_some_and(|claim| claim.is_deleting())
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let Some(claim) = view.persistent_volume_claims.get(key) else {
            return Outcome::settled();
        };
        let held = claim.has_finalizer(CLAIM);
        if !claim.is_deleting() && !held {
            return Outcome::of(vec![claim.with_finalizer(CLAIM)]);
        }
        if !claim.is_deleting() || !held {
            return Outcome::settled();
        }
        let used = view.pods.in_namespace(&key.namespace).any(|(_, pod)| {
            let bound = pod
                .spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.is_some());
            bound && !super::has_ended(pod) && claims(pod).any(|claim| claim == *key)
        });
        if used {
            Outcome::settled()
        } else {
            Outcome::of(vec![claim.without_finalizer(CLAIM)])
        }
    }
}

/// Keeps volumes that are bound. A key is a volume.
#[derive(Debug, Default)]
pub struct VolumeProtection;

impl Controller for VolumeProtection {
    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        match (change.kind, &change.after) {
            (Some(Kind::PersistentVolume), Some(_)) => vec![change.key.clone()],
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(volume) = context.view.persistent_volumes.get(key) else {
            return Outcome::settled();
        };
        let held = volume.has_finalizer(VOLUME);
        let phase = volume
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        Outcome::of(match (volume.is_deleting(), held) {
            (false, false) => vec![volume.with_finalizer(VOLUME)],
            (true, true) if phase != Some("Bound") => vec![volume.without_finalizer(VOLUME)],
            _ => Vec::new(),
        })
    }
}
