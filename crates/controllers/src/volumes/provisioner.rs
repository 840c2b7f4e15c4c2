//! The EBS CSI driver's provisioner and resizer: volumes are made, grown and deleted.
//!
//! Tags, topology and finalizers as of the driver at 429e202 (2026-08): `pkg/driver/constants.go`, `pkg/driver/controller.go`,
//! `pkg/cloud/cloud.go`, and of the external provisioner beside it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::binder::{capacity, class_name, is_delayed, requested};
use super::told::Told;
use super::{
    Driver, EBS, EBS_AUTO, PROVISIONED_BY, PROVISIONER, SELECTED_NODE, attaches, driver_of,
};
use crate::cloud::{CloudAction, Volume};
use crate::document::Named;
use crate::draw::number;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Outcome, View};

const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const PV_PROTECTION: &str = "kubernetes.io/pv-protection";
/// The tag by which a volume is found again.
const VOLUME_NAME_TAG: &str = "CSIVolumeName";
const ZONE: &str = "topology.kubernetes.io/zone";
const GIB: i64 = 1 << 30;

/// Makes, grows and deletes volumes of EBS. A key is a claim, or a volume, which has no namespace.
#[derive(Debug, Default)]
pub struct Provisioner {
    driver: Driver,
    pub(super) told: Told,
}

impl Provisioner {
    #[must_use]
    pub fn new(driver: Driver) -> Self {
        Self {
            driver,
            told: Told::default(),
        }
    }
}

fn is_ours(claim: &PersistentVolumeClaim) -> bool {
    matches!(claim.annotation(PROVISIONER), Some(EBS | EBS_AUTO))
}

fn is_unbound(claim: &PersistentVolumeClaim) -> bool {
    claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default()
        .is_empty()
}

/// Whether a claim that is bound asks for more than it has.
fn wants_more(claim: &PersistentVolumeClaim) -> bool {
    let wanted = claim.spec.as_ref().and_then(requested);
    let has = claim
        .status
        .as_ref()
        .and_then(|status| status.capacity.as_ref()?.get("storage"))
        .and_then(|text| text.0.parse().ok());
    !is_unbound(claim) && matches!((wanted, has), (Some(wanted), Some(has)) if wanted > has)
}

fn whole_gib(bytes: i64) -> i64 {
    bytes.saturating_add(GIB - 1) / GIB
}

impl Controller for Provisioner {
    fn name(&self) -> &'static str {
        "ebs.csi.aws.com"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        match (change.kind, &change.after) {
            (Some(Kind::PersistentVolumeClaim), _) | (Some(Kind::PersistentVolume), Some(_)) => {
                vec![change.key.clone()]
            }
            // What AWS has changed, or the driver came, or a class was corrected.
            (Some(Kind::Cloud | Kind::StorageClass | Kind::DaemonSet), _) => everything(view),
            (None, _) if change.resource == "csidrivers" => everything(view),
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let actions = if key.namespace.is_empty() {
            view.persistent_volumes
                .get(key)
                .map(|volume| self.give_back(view, volume))
        } else if let Some(claim) = view.persistent_volume_claims.get(key) {
            Some(if is_unbound(claim) {
                self.provide(view, claim)
            } else {
                self.grow(view, claim)
            })
        } else {
            self.told.drop(key);
            None
        };
        Outcome::of(actions.unwrap_or_default())
    }
}

/// The claims and volumes that wait for something.
fn everything(view: &View) -> Vec<Key> {
    let claims = view
        .persistent_volume_claims
        .iter()
        .filter(|(_, claim)| (is_ours(claim) && is_unbound(claim)) || wants_more(claim))
        .map(|(key, _)| key.clone());
    let volumes = view
        .persistent_volumes
        .iter()
        .filter(|(_, volume)| {
            let phase = volume
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            phase == Some("Released") || volume.is_deleting()
        })
        .map(|(key, _)| key.clone());
    claims.chain(volumes).collect()
}

/// The zones that a volume may be made in: those of the class, else those of the cluster's subnets, else of its nodes.
fn zones(view: &View, class: &StorageClass) -> Vec<String> {
    let allowed: BTreeSet<String> = class
        .allowed_topologies
        .iter()
        .flatten()
        .flat_map(|term| term.match_label_expressions.iter().flatten())
        .filter(|one| one.key == ZONE || one.key == "topology.ebs.csi.aws.com/zone")
        .flat_map(|one| one.values.iter().cloned())
        .collect();
    if !allowed.is_empty() {
        return allowed.into_iter().collect();
    }
    let of_subnets: BTreeSet<String> = view
        .cloud
        .network
        .subnets
        .iter()
        .map(|subnet| subnet.zone.clone())
        .collect();
    let of_nodes = view
        .nodes
        .iter()
        .filter_map(|(_, node)| node.label(ZONE).map(str::to_owned));
    let all = if of_subnets.is_empty() {
        of_nodes.collect()
    } else {
        of_subnets
    };
    all.into_iter().collect()
}

impl Provisioner {
    /// Makes the volume that a claim asks for.
    fn provide(&mut self, view: &View, claim: &PersistentVolumeClaim) -> Vec<Action> {
        let (Some(spec), true, false) = (&claim.spec, is_ours(claim), claim.is_deleting()) else {
            return Vec::new();
        };
        let Some(class) = view.storage_classes.get(&Key::cluster(class_name(spec))) else {
            return Vec::new();
        };
        let driver = driver_of(&class.provisioner).unwrap_or(EBS);
        if !self.driver.is_there(view, driver) {
            return Vec::new();
        }
        let fails = |provisioner: &mut Self, why: String| {
            let message = format!(
                "failed to provision volume with StorageClass \"{}\": {why}",
                class.name()
            );
            provisioner
                .told
                .once(claim, EventKind::Warning, "ProvisioningFailed", message)
                .into_iter()
                .collect()
        };
        let modes = spec.access_modes.as_deref().unwrap_or_default();
        if modes.iter().any(|mode| mode == "ReadWriteMany")
            && spec.volume_mode.as_deref() != Some("Block")
        {
            return fails(
                self,
                "rpc error: code = InvalidArgument desc = Volume capabilities MULTI_NODE_MULTI_WRITER not supported. Only AccessModes[ReadWriteOnce] supported.".to_owned(),
            );
        }
        let name = format!("pvc-{}", claim.uid());
        if view.persistent_volumes.get(&Key::cluster(&name)).is_some() {
            return Vec::new();
        }
        let made = view
            .cloud
            .volumes
            .values()
            .find(|volume| volume.tags.get(VOLUME_NAME_TAG) == Some(&name));
        if let Some(made) = made {
            return vec![Action::InTurn(vec![
                create(claim, spec, class, driver, &name, made),
                claim.tell(
                    EventKind::Normal,
                    "ProvisioningSucceeded",
                    format!("Successfully provisioned volume {name}"),
                ),
            ])];
        }
        let zone = if is_delayed(Some(class)) {
            let Some(selected) = claim.annotation(SELECTED_NODE) else {
                return Vec::new();
            };
            let node = view.nodes.get(&Key::cluster(selected));
            match node.and_then(|node| node.label(ZONE)) {
                Some(zone) => zone.to_owned(),
                // Another node has to be selected.
                None => {
                    return vec![
                        claim.patch(json!({"metadata": {"annotations": {SELECTED_NODE: null}}})),
                    ];
                }
            }
        } else {
            let zones = zones(view, class);
            if zones.is_empty() {
                return fails(
                    self,
                    "error generating accessibility requirements: no available topology found"
                        .to_owned(),
                );
            }
            let drawn = number(&["zone", claim.uid()]) % zones.len() as u64;
            zones[usize::try_from(drawn).unwrap_or(0)].clone()
        };
        let parameter = |name: &str| class.parameters.as_ref().and_then(|all| all.get(name));
        let bytes = requested(spec).map_or(GIB, objects::Quantity::units);
        let asks = Action::Cloud(CloudAction::CreateVolume {
            persistent_volume: name.clone(),
            zone,
            gib: whole_gib(bytes).max(1),
            volume_type: parameter("type")
                .cloned()
                .unwrap_or_else(|| "gp3".to_owned()),
            encrypted: parameter("encrypted").is_some_and(|text| text == "true"),
            tags: tags(view, claim, &name, driver),
        });
        let told = self.told.once(
            claim,
            EventKind::Normal,
            "Provisioning",
            format!(
                "External provisioner is provisioning volume for claim \"{}\"",
                claim.key()
            ),
        );
        std::iter::once(asks).chain(told).collect()
    }

    /// Deletes what a volume without a claim was, and then the volume.
    fn give_back(&mut self, view: &View, volume: &PersistentVolume) -> Vec<Action> {
        let (Some(source), Some(spec)) = (attaches(volume), &volume.spec) else {
            return Vec::new();
        };
        let phase = volume
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let deletes = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete")
            && volume.annotation(PROVISIONED_BY).is_some();
        if phase != Some("Released") || !self.driver.is_there(view, &source.driver) {
            return Vec::new();
        }
        if deletes && let Some(there) = view.cloud.volumes.get(&source.volume_handle) {
            // The attacher takes it off its machine first.
            if there.attached_to.is_some() {
                return Vec::new();
            }
            return vec![Action::Cloud(CloudAction::DeleteVolume {
                volume: there.id.clone(),
            })];
        }
        if volume.is_deleting() && volume.has_finalizer(FINALIZER) {
            return vec![volume.without_finalizer(FINALIZER)];
        }
        if deletes && !volume.is_deleting() {
            return vec![volume.delete(None)];
        }
        Vec::new()
    }

    /// Grows the volume of a claim that asks for more.
    fn grow(&mut self, view: &View, claim: &PersistentVolumeClaim) -> Vec<Action> {
        let Some(spec) = &claim.spec else {
            return Vec::new();
        };
        let name = spec.volume_name.as_deref().unwrap_or_default();
        let Some(volume) = view.persistent_volumes.get(&Key::cluster(name)) else {
            return Vec::new();
        };
        let allowed = view
            .storage_classes
            .get(&Key::cluster(class_name(spec)))
            .is_some_and(|class| class.allow_volume_expansion == Some(true));
        let (Some(source), Some(wanted), true, true) = (
            attaches(volume),
            requested(spec),
            allowed,
            wants_more(claim),
        ) else {
            return Vec::new();
        };
        let Some(there) = view.cloud.volumes.get(&source.volume_handle) else {
            return Vec::new();
        };
        let gib = whole_gib(wanted.units());
        if there.gib < gib {
            let asks = Action::Cloud(CloudAction::ModifyVolume {
                volume: there.id.clone(),
                gib,
            });
            let told = self.told.once(
                claim,
                EventKind::Normal,
                "Resizing",
                format!("External resizer is resizing volume {name}"),
            );
            return std::iter::once(asks).chain(told).collect();
        }
        let size = format!("{}Gi", there.gib);
        let mut writes = Vec::new();
        if capacity(volume).is_none_or(|has| has < wanted) {
            writes.push(volume.patch(json!({"spec": {"capacity": {"storage": size}}})));
        }
        // The file system grows with the volume: the kubelet's part takes no time here.
        writes.push(claim.patch_status(json!({"capacity": {"storage": size}})));
        writes.push(claim.tell(
            EventKind::Normal,
            "FileSystemResizeSuccessful",
            format!("MountVolume.NodeExpandVolume succeeded for volume \"{name}\""),
        ));
        self.told.forget(claim, "Resizing");
        vec![Action::InTurn(writes)]
    }
}

fn tags(
    view: &View,
    claim: &PersistentVolumeClaim,
    name: &str,
    driver: &str,
) -> BTreeMap<String, String> {
    let cluster = &view.cloud.cluster;
    let prefix = if driver == EBS_AUTO { EBS_AUTO } else { EBS };
    [
        (VOLUME_NAME_TAG.to_owned(), name.to_owned()),
        (format!("{prefix}/cluster"), "true".to_owned()),
        (
            "kubernetes.io/created-for/pvc/name".to_owned(),
            claim.name().to_owned(),
        ),
        (
            "kubernetes.io/created-for/pvc/namespace".to_owned(),
            claim.metadata.namespace.clone().unwrap_or_default(),
        ),
        (
            "kubernetes.io/created-for/pv/name".to_owned(),
            name.to_owned(),
        ),
        (
            format!("kubernetes.io/cluster/{cluster}"),
            "owned".to_owned(),
        ),
        ("KubernetesCluster".to_owned(), cluster.clone()),
        (format!("{prefix}/cluster-name"), cluster.clone()),
        ("Name".to_owned(), format!("{cluster}-dynamic-{name}")),
    ]
    .into()
}

/// The volume of a claim.
fn create(
    claim: &PersistentVolumeClaim,
    spec: &PersistentVolumeClaimSpec,
    class: &StorageClass,
    driver: &str,
    name: &str,
    made: &Volume,
) -> Action {
    let filesystem = class
        .parameters
        .as_ref()
        .and_then(|all| all.get("csi.storage.k8s.io/fstype").or(all.get("fsType")))
        .cloned()
        .unwrap_or_else(|| "ext4".to_owned());
    let mut source = json!({
        "driver": driver,
        "volumeHandle": made.id,
        "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": driver},
    });
    if spec.volume_mode.as_deref() != Some("Block") {
        source["fsType"] = json!(filesystem);
    }
    let mut volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {PROVISIONED_BY: driver},
            "finalizers": [FINALIZER, PV_PROTECTION],
        },
        "spec": {
            "capacity": {"storage": format!("{}Gi", made.gib)},
            "accessModes": spec.access_modes,
            "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
            "storageClassName": class.name(),
            "volumeMode": spec.volume_mode.as_deref().unwrap_or("Filesystem"),
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim.name(),
                "namespace": claim.metadata.namespace, "uid": claim.uid(),
                "resourceVersion": claim.metadata.resource_version,
            },
            "csi": source,
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": ZONE, "operator": "In", "values": [made.zone]}]}]}},
        },
    });
    if let Some(options) = &class.mount_options {
        volume["spec"]["mountOptions"] = json!(options);
    }
    Action::Create(volume)
}
