//! Volumes: claims are bound, EBS volumes made, attached, detached, grown and deleted.
//!
//! The parts of a cluster that do this, each as Kubernetes 1.33 and the EBS CSI driver have it: the persistent volume controller
//! ([`Binder`]), the driver's provisioner and resizer ([`Provisioner`]), the attach-detach controller with the driver's attacher
//! ([`Attacher`]), and the protection of what is in use ([`ClaimProtection`], [`VolumeProtection`]).

mod attacher;
mod binder;
mod protection;
mod provisioner;
#[cfg(test)]
mod tests;
mod told;

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolume, Pod, Volume};

pub use attacher::Attacher;
pub use binder::Binder;
pub use protection::{ClaimProtection, VolumeProtection};
pub use provisioner::Provisioner;

use crate::document::Named;
use crate::draw::digest;
use crate::{Key, View};

/// The EBS CSI driver, as its add-on installs it.
pub(crate) const EBS: &str = "ebs.csi.aws.com";
/// The same as EKS Auto Mode runs it.
const EBS_AUTO: &str = "ebs.csi.eks.amazonaws.com";
/// What it replaces; classes that name it are served by the driver.
const EBS_IN_TREE: &str = "kubernetes.io/aws-ebs";

pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Whether the EBS CSI driver is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// It is taken to be.
    #[default]
    Assumed,
    /// It is when its add-on is: an object CSIDriver, or its DaemonSet. Without it claims stay pending, as they do on EKS.
    WhenInstalled,
}

impl Driver {
    /// Whether the driver of this name makes and attaches volumes.
    pub(crate) fn is_there(self, view: &View, driver: &str) -> bool {
        if driver == EBS_AUTO || self == Self::Assumed {
            return true;
        }
        view.metadata("storage.k8s.io", "csidrivers", &Key::cluster(EBS))
            .is_some()
            || view
                .daemon_sets
                .get(&Key::new("kube-system", "ebs-csi-node"))
                .is_some()
    }
}

/// The name of the claim that a volume of a pod is.
pub(crate) fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", pod.name(), volume.name)),
        (None, None) => None,
    }
}

/// The claims of a pod.
pub(crate) fn claims(pod: &Pod) -> impl Iterator<Item = Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    pod.spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
        .filter_map(|volume| claim_name(pod, volume))
        .map(move |name| Key::new(namespace, &name))
}

/// What is attached for a volume, if it has to be: a volume of EBS.
pub(crate) fn attaches(volume: &PersistentVolume) -> Option<&CSIPersistentVolumeSource> {
    let source = volume.spec.as_ref()?.csi.as_ref()?;
    matches!(source.driver.as_str(), EBS | EBS_AUTO).then_some(source)
}

/// The name of the VolumeAttachment of a volume to a node.
pub(crate) fn attachment_name(source: &CSIPersistentVolumeSource, node: &str) -> String {
    let drawn = digest(&[&source.volume_handle, &source.driver, node]);
    format!("csi-{drawn}")
}

/// A pod has come to its end, so what it used is free.
fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The driver that serves a class's provisioner, if it is one of EBS.
fn driver_of(provisioner: &str) -> Option<&'static str> {
    match provisioner {
        EBS | EBS_IN_TREE => Some(EBS),
        EBS_AUTO => Some(EBS_AUTO),
        _ => None,
    }
}
