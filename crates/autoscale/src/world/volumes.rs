//! Volumes: which driver counts them and where they may be mounted.
//!
//! Models `pkg/controllers/provisioning/scheduling/volumetopology.go` and `pkg/scheduling/volumeusage.go`.

use objects::k8s_openapi::api::core::v1 as core;

use super::Builder;
use super::pods::operator;
use crate::names::{Key, Names, Value};
use crate::requirement::{Operator, Requirement, Requirements};

/// A claim of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volume {
    /// The CSI driver whose limits count it; none where no driver is known.
    pub driver: Option<Value>,
    /// Where it may be mounted: any of them; none means anywhere.
    pub alternatives: Vec<Requirements>,
    /// The host names that a local volume is on, which keep kube-scheduler's pods there and not Karpenter's.
    pub hosts: Option<Vec<Value>>,
    /// Whether a volume is bound to it.
    pub bound: bool,
    /// Whether only one pod may use it (`ReadWriteOncePod`).
    pub exclusive: bool,
    /// Why pods with it can't be placed.
    pub fault: Option<VolumeFault>,
}

/// Why pods with a claim can't be placed (`volumetopology.go:222` `ValidatePersistentVolumeClaims`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeFault {
    /// The claim is not there.
    Missing,
    /// The claim is being deleted.
    Deleting,
    /// Its volume is gone.
    Lost,
    /// Its volume is not there.
    NoVolume,
    /// It is bound to nothing and names no storage class.
    NoClass,
    /// Its storage class is not there.
    UnknownClass,
    /// Its class binds at once, and it isn't bound.
    Immediate,
}

impl std::fmt::Display for VolumeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "persistentvolumeclaim not found",
            Self::Deleting => "persistentvolumeclaim is being deleted",
            Self::Lost => "persistentvolumeclaim bound to non-existent persistentvolume",
            Self::NoVolume => "persistentvolume not found",
            Self::NoClass => "unbound pvc must define a storage class",
            Self::UnknownClass => "storage class not found",
            Self::Immediate => "pvc with immediate volume binding mode must be bound",
        })
    }
}

impl Builder {
    pub(super) fn finish_volumes(&mut self) {
        let default_class = self.default_class();
        for ((namespace, name), claim) in std::mem::take(&mut self.volume_claims) {
            let volume = self.volume(&claim, default_class.as_deref());
            let key = self.world.names.value(&format!("{namespace}/{name}"));
            self.world.volumes.insert(key, volume);
        }
        let wanted: Vec<Value> = self
            .world
            .shapes
            .iter()
            .flat_map(|shape| shape.claims.iter().copied())
            .collect();
        for claim in wanted {
            self.world.volumes.entry(claim).or_insert_with(|| Volume {
                fault: Some(VolumeFault::Missing),
                ..Volume::default()
            });
        }
    }

    /// The class of claims that name none.
    pub(super) fn default_class(&self) -> Option<String> {
        self.storage_classes
            .iter()
            .find(|(_, class)| {
                class
                    .metadata
                    .annotations
                    .as_ref()
                    .and_then(|all| all.get("storageclass.kubernetes.io/is-default-class"))
                    .is_some_and(|text| text == "true")
            })
            .map(|(name, _)| name.clone())
    }

    pub(super) fn volume(
        &mut self,
        claim: &core::PersistentVolumeClaim,
        default_class: Option<&str>,
    ) -> Volume {
        let spec = claim.spec.clone().unwrap_or_default();
        let mut volume = Volume {
            exclusive: spec
                .access_modes
                .iter()
                .flatten()
                .any(|mode| mode == "ReadWriteOncePod"),
            ..Volume::default()
        };
        let names = &mut self.world.names;
        if claim.metadata.deletion_timestamp.is_some() {
            volume.fault = Some(VolumeFault::Deleting);
        }
        if claim
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            == Some("Lost")
        {
            volume.fault = Some(VolumeFault::Lost);
        }
        if let Some(bound) = spec.volume_name.as_deref().filter(|name| !name.is_empty()) {
            volume.bound = true;
            let Some(of) = self
                .volumes
                .get(bound)
                .and_then(|volume| volume.spec.as_ref())
            else {
                volume.fault = Some(VolumeFault::NoVolume);
                return volume;
            };
            volume.driver = match (&of.csi, &of.aws_elastic_block_store) {
                (Some(csi), _) => Some(names.value(&csi.driver)),
                (None, Some(_)) => Some(names.value("ebs.csi.aws.com")),
                (None, None) => None,
            };
            let local = of.local.is_some() || of.host_path.is_some();
            let required = of
                .node_affinity
                .as_ref()
                .and_then(|affinity| affinity.required.as_ref());
            for term in required
                .into_iter()
                .flat_map(|required| &required.node_selector_terms)
            {
                if local {
                    let hosts = volume.hosts.get_or_insert_default();
                    hosts.extend(hosts_of(names, term));
                }
                volume.alternatives.extend(alternative(names, term, local));
            }
            volume.hosts = volume.hosts.filter(|hosts| !hosts.is_empty());
            return volume;
        }
        let class = spec
            .storage_class_name
            .as_deref()
            .or(default_class)
            .unwrap_or_default();
        if class.is_empty() {
            volume.fault = volume.fault.or(Some(VolumeFault::NoClass));
            return volume;
        }
        let Some(class) = self.storage_classes.get(class) else {
            volume.fault = volume.fault.or(Some(VolumeFault::UnknownClass));
            return volume;
        };
        let provisioner = match class.provisioner.as_str() {
            "kubernetes.io/aws-ebs" => "ebs.csi.aws.com",
            other => other,
        };
        volume.driver = Some(names.value(provisioner));
        if class.volume_binding_mode.as_deref().unwrap_or("Immediate") == "Immediate" {
            volume.fault = volume.fault.or(Some(VolumeFault::Immediate));
        }
        for topology in class.allowed_topologies.iter().flatten() {
            let expressions = topology.match_label_expressions.iter().flatten();
            let mut requirements = Requirements::default();
            for expression in expressions {
                let key = topology_key(names, &expression.key);
                let values = expression
                    .values
                    .iter()
                    .map(|text| names.value(text))
                    .collect();
                requirements.add(names, Requirement::one_of(key, values));
            }
            if !requirements.is_empty() {
                volume.alternatives.push(requirements);
            }
        }
        volume
    }
}

/// The EBS driver's own zone label means the common one (AWS provider, `pkg/cloudprovider` label normalisation).
fn topology_key(names: &mut Names, text: &str) -> Key {
    match text {
        "topology.ebs.csi.aws.com/zone" => Key::ZONE,
        other => names.key(other),
    }
}

/// The host names that a term of a volume's node affinity lists.
fn hosts_of(names: &mut Names, term: &core::NodeSelectorTerm) -> Vec<Value> {
    let mut hosts = Vec::new();
    for expression in term.match_expressions.iter().flatten() {
        if expression.operator == "In" && names.key(&expression.key) == Key::HOSTNAME {
            let values = expression.values.iter().flatten();
            hosts.extend(values.map(|text| names.value(text)));
        }
    }
    hosts
}

/// A term of a volume's node affinity. Local volumes don't keep a pod on their node: it is to move (`volumetopology.go:196`).
fn alternative(
    names: &mut Names,
    term: &core::NodeSelectorTerm,
    local: bool,
) -> Option<Requirements> {
    let all = term.match_expressions.as_deref().unwrap_or_default();
    let mut requirements = Requirements::default();
    for expression in all {
        let key = topology_key(names, &expression.key);
        if local && key == Key::HOSTNAME {
            continue;
        }
        let values: Vec<Value> = expression
            .values
            .iter()
            .flatten()
            .map(|text| names.value(text))
            .collect();
        let operator = operator(&expression.operator).unwrap_or(Operator::Exists);
        let made = Requirement::new(names, key, operator, &values, None);
        requirements.add(names, made);
    }
    (!all.is_empty()).then_some(requirements)
}
