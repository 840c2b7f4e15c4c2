//! Claims find volumes, or ask for some to be made.
//!
//! As `pkg/controller/volume/persistentvolume` of Kubernetes 1.33.

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
};
use k8s_openapi::api::storage::v1::StorageClass;
use objects::Quantity;
use serde_json::{Value as Json, json};

use super::told::Told;
use super::{PROVISIONER, PROVISIONER_BETA, SELECTED_NODE, driver_of};
use crate::document::Named;
use crate::selector::matches;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, View};

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Binds claims and volumes. A key is a claim, or a volume, which has no namespace.
#[derive(Debug, Default)]
pub struct Binder {
    pub(super) told: Told,
}

/// The class of a claim or a volume; the empty one is none.
pub(super) fn class_name(spec: &PersistentVolumeClaimSpec) -> &str {
    spec.storage_class_name.as_deref().unwrap_or_default()
}

fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default()
}

fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

fn claim_key(reference: &ObjectReference) -> Key {
    Key::new(
        reference.namespace.as_deref().unwrap_or_default(),
        reference.name.as_deref().unwrap_or_default(),
    )
}

/// Whether a volume is reserved for a claim, by its uid where it says one.
fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_ref(volume).is_some_and(|reference| {
        claim_key(reference) == claim.key()
            && reference
                .uid
                .as_deref()
                .is_none_or(|uid| uid.is_empty() || uid == claim.uid())
    })
}

pub(super) fn is_delayed(class: Option<&StorageClass>) -> bool {
    class.and_then(|class| class.volume_binding_mode.as_deref()) == Some("WaitForFirstConsumer")
}

pub(super) fn requested(spec: &PersistentVolumeClaimSpec) -> Option<Quantity> {
    let requests = spec.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage")?.0.parse().ok()
}

pub(super) fn capacity(volume: &PersistentVolume) -> Option<Quantity> {
    let capacity = volume.spec.as_ref()?.capacity.as_ref()?;
    capacity.get("storage")?.0.parse().ok()
}

fn phase(volume: &PersistentVolume) -> &str {
    volume
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

impl Controller for Binder {
    fn name(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        match change.kind {
            Some(Kind::PersistentVolumeClaim) => {
                keys.push(change.key.clone());
                for object in [&change.before, &change.after].into_iter().flatten() {
                    if let Object::PersistentVolumeClaim(claim) = object
                        && !volume_name(claim).is_empty()
                    {
                        keys.push(Key::cluster(volume_name(claim)));
                    }
                }
            }
            Some(Kind::PersistentVolume) => {
                keys.push(change.key.clone());
                for object in [&change.before, &change.after].into_iter().flatten() {
                    if let Object::PersistentVolume(volume) = object
                        && let Some(reference) = claim_ref(volume)
                    {
                        keys.push(claim_key(reference));
                    }
                }
                // One that nobody has may be what a claim waits for.
                if let Some(Object::PersistentVolume(volume)) = &change.after
                    && claim_ref(volume).is_none()
                {
                    keys.extend(unbound(view));
                }
            }
            Some(Kind::StorageClass) => keys.extend(unbound(view)),
            _ => {}
        }
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        if key.namespace.is_empty() {
            let volume = view.persistent_volumes.get(key);
            return Outcome::of(
                volume
                    .into_iter()
                    .flat_map(|volume| of_volume(view, volume))
                    .collect(),
            );
        }
        let Some(claim) = view.persistent_volume_claims.get(key) else {
            self.told.drop(key);
            return Outcome::settled();
        };
        let Some(spec) = &claim.spec else {
            return Outcome::settled();
        };
        Outcome::of(if claim.annotation(BIND_COMPLETED).is_some() {
            self.bound(view, claim)
        } else {
            self.unbound(view, claim, spec)
        })
    }
}

/// The claims that have no volume.
fn unbound(view: &View) -> impl Iterator<Item = Key> {
    view.persistent_volume_claims
        .iter()
        .filter(|(_, claim)| claim.annotation(BIND_COMPLETED).is_none())
        .map(|(key, _)| key.clone())
}

/// A patch of the phase, if it is another.
fn to_phase(volume: &PersistentVolume, wanted: &str) -> Option<Action> {
    (phase(volume) != wanted).then(|| volume.patch_status(json!({"phase": wanted})))
}

/// What is to do about a volume by itself: its phase.
fn of_volume(view: &View, volume: &PersistentVolume) -> Option<Action> {
    let Some(reference) = claim_ref(volume) else {
        return to_phase(volume, "Available");
    };
    // Reserved for a claim that has not come yet.
    let Some(uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty()) else {
        return to_phase(volume, "Available");
    };
    let claim = view
        .persistent_volume_claims
        .get(&claim_key(reference))
        .filter(|claim| claim.uid() == uid);
    match claim {
        None => to_phase(volume, "Released"),
        Some(claim) if volume_name(claim) == volume.name() => to_phase(volume, "Bound"),
        Some(_) => None,
    }
}

impl Binder {
    fn unbound(
        &mut self,
        view: &View,
        claim: &PersistentVolumeClaim,
        spec: &PersistentVolumeClaimSpec,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        if claim.is_deleting() {
            return actions;
        }
        let phase = claim
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        if phase.is_none() {
            actions.push(claim.patch_status(json!({"phase": "Pending"})));
        }
        let class = view.storage_classes.get(&Key::cluster(class_name(spec)));
        let wanted = volume_name(claim);
        let found = if wanted.is_empty() {
            find(view, claim, spec, class.map(|class| &**class))
        } else {
            // The claim names its volume; one that is another's is waited for.
            let named = view.persistent_volumes.get(&Key::cluster(wanted));
            let Some(named) =
                named.filter(|named| claim_ref(named).is_none() || is_for(named, claim))
            else {
                return actions;
            };
            Some(&**named)
        };
        if let Some(volume) = found {
            actions.push(bind(volume, claim));
            return actions;
        }
        match class {
            None if class_name(spec).is_empty() => actions.extend(
                self.told.once(
                    claim,
                    EventKind::Normal,
                    "FailedBinding",
                    "no persistent volumes available for this claim and no storage class is set"
                        .to_owned(),
                ),
            ),
            None => actions.extend(self.told.once(
                claim,
                EventKind::Warning,
                "ProvisioningFailed",
                format!(
                    "storageclass.storage.k8s.io \"{}\" not found",
                    class_name(spec)
                ),
            )),
            Some(class) if is_delayed(Some(class)) && claim.annotation(SELECTED_NODE).is_none() => {
                actions.extend(self.told.once(
                    claim,
                    EventKind::Normal,
                    "WaitForFirstConsumer",
                    "waiting for first consumer to be created before binding".to_owned(),
                ));
            }
            Some(class) if class.provisioner == NO_PROVISIONER => {}
            Some(class) => actions.extend(self.provision(claim, class)),
        }
        actions
    }

    /// Asks the class's provisioner for a volume.
    fn provision(&mut self, claim: &PersistentVolumeClaim, class: &StorageClass) -> Vec<Action> {
        let provisioner = driver_of(&class.provisioner).unwrap_or(&class.provisioner);
        if claim.annotation(PROVISIONER) == Some(provisioner) {
            return Vec::new();
        }
        let ask = claim.patch(json!({"metadata": {"annotations": {
            PROVISIONER: provisioner, PROVISIONER_BETA: provisioner}}}));
        let told = self.told.once(
            claim,
            EventKind::Normal,
            "ExternalProvisioning",
            format!(
                "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
            ),
        );
        std::iter::once(ask).chain(told).collect()
    }

    fn bound(&mut self, view: &View, claim: &PersistentVolumeClaim) -> Vec<Action> {
        let name = volume_name(claim);
        let volume = view
            .persistent_volumes
            .get(&Key::cluster(name))
            .filter(|volume| is_for(volume, claim));
        let status = claim.status.clone().unwrap_or_default();
        match volume {
            Some(volume) => {
                let whole = status.phase.as_deref() == Some("Bound");
                if whole {
                    Vec::new()
                } else {
                    vec![finish(volume, claim)]
                }
            }
            None if status.phase.as_deref() == Some("Lost") => Vec::new(),
            None => {
                let lost = claim
                    .patch_status(json!({"phase": "Lost", "capacity": null, "accessModes": null}));
                let told = self.told.once(
                    claim,
                    EventKind::Warning,
                    "ClaimLost",
                    "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                        .to_owned(),
                );
                std::iter::once(lost).chain(told).collect()
            }
        }
    }
}

/// The smallest free volume that will do (`FindMatchingVolume`); one that is reserved for the claim comes first.
fn find<'a>(
    view: &'a View,
    claim: &PersistentVolumeClaim,
    spec: &PersistentVolumeClaimSpec,
    class: Option<&StorageClass>,
) -> Option<&'a PersistentVolume> {
    let all = || view.persistent_volumes.iter().map(|(_, volume)| &**volume);
    if let Some(reserved) = all().find(|volume| is_for(volume, claim)) {
        return Some(reserved);
    }
    let selected = claim.annotation(SELECTED_NODE);
    if is_delayed(class) && selected.is_none() {
        return None;
    }
    let wanted = requested(spec)?;
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let node = selected.and_then(|node| view.nodes.get(&Key::cluster(node)));
    all()
        .filter(|volume| {
            let Some(of) = &volume.spec else {
                return false;
            };
            let there = of.access_modes.as_deref().unwrap_or_default();
            claim_ref(volume).is_none()
                && !volume.is_deleting()
                && of.storage_class_name.as_deref().unwrap_or_default() == class_name(spec)
                && of.volume_mode.as_deref().unwrap_or("Filesystem")
                    == spec.volume_mode.as_deref().unwrap_or("Filesystem")
                && modes.iter().all(|mode| there.contains(mode))
                && capacity(volume).is_some_and(|capacity| capacity >= wanted)
                && spec
                    .selector
                    .as_ref()
                    .is_none_or(|selector| matches(selector, volume.metadata.labels.as_ref()))
                && node.is_none_or(|node| crate::selector::allows(of.node_affinity.as_ref(), node))
        })
        .min_by_key(|volume| (capacity(volume), volume.name().to_owned()))
}

/// The four writes of a binding, each only if those before it were done.
fn bind(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Action {
    let mut writes = Vec::new();
    let complete = claim_ref(volume).is_some_and(|reference| {
        reference.uid.as_deref() == Some(claim.uid()) && claim_key(reference) == claim.key()
    });
    if !complete {
        let mut patch = json!({"spec": {"claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim.name(),
            "namespace": claim.metadata.namespace, "uid": claim.uid(),
            "resourceVersion": claim.metadata.resource_version}}});
        if claim_ref(volume).is_none() {
            patch["metadata"]["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
        }
        writes.push(volume.patch_as_seen(patch));
    }
    writes.extend(to_phase(volume, "Bound"));
    let mut annotations = json!({BIND_COMPLETED: "yes"});
    let mut patch = json!({});
    if volume_name(claim).is_empty() {
        annotations[BOUND_BY_CONTROLLER] = json!("yes");
        patch["spec"] = json!({"volumeName": volume.name()});
    }
    patch["metadata"] = json!({"annotations": annotations});
    writes.push(claim.patch(patch));
    writes.push(finish(volume, claim));
    Action::InTurn(writes)
}

/// The status of a claim that is bound.
fn finish(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Action {
    let of = volume.spec.clone().unwrap_or_default();
    let capacity = of.capacity.map_or(Json::Null, |capacity| json!(capacity));
    claim.patch_status(
        json!({"phase": "Bound", "accessModes": of.access_modes, "capacity": capacity}),
    )
}
