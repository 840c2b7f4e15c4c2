//! Why a pod was not placed, in kube-scheduler's words (`framework/types.go` `FitError`).

use crate::names::{Key, Names, Value};
use crate::resources::Resource;
use crate::world::{VolumeFault, World};

/// What a node, or a pod as a whole, fails at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The node is cordoned (`nodeunschedulable/node_unschedulable.go`).
    Unschedulable,
    /// A taint that the pod doesn't tolerate (`tainttoleration/taint_toleration.go`).
    Taint(Key, Value),
    /// `nodeSelector` or required node affinity (`nodeaffinity/node_affinity.go`).
    NodeAffinity,
    /// The pod names other nodes (`schedule_one.go` `findNodesThatFitPod`).
    NamedNodes,
    /// A host port is taken (`nodeports/node_ports.go`).
    Ports,
    /// The node has all the pods it may have (`noderesources/fit.go`).
    TooManyPods,
    /// Too little of a resource (`noderesources/fit.go`).
    Insufficient(Resource),
    /// A `ReadWriteOncePod` claim is in use (`volumerestrictions/volume_restrictions.go`).
    ReadWriteOncePod,
    /// A CSI driver's limit (`nodevolumelimits/csi.go`).
    TooManyVolumes,
    /// The volume is elsewhere (`volumebinding/binder.go`).
    VolumeElsewhere,
    /// The volume may not be made here (`volumebinding/binder.go`).
    NoVolumeToBind,
    /// A claim's volume is not there (`volumebinding/binder.go`).
    NoSuchVolume,
    /// The node lacks the label of a spread constraint (`podtopologyspread/filtering.go`).
    SpreadLabel,
    /// A spread constraint (`podtopologyspread/filtering.go`).
    Spread,
    /// Required pod affinity (`interpodaffinity/filtering.go`).
    Affinity,
    /// Required pod anti-affinity of the pod (`interpodaffinity/filtering.go`).
    AntiAffinity,
    /// Required pod anti-affinity of pods that are there (`interpodaffinity/filtering.go`).
    ExistingAntiAffinity,
    /// A claim that keeps the pod off every node (`volumebinding/volume_binding.go`).
    Claim(Value, VolumeFault),
    /// Node names that contradict each other (`nodeaffinity/node_affinity.go`).
    Conflict,
    /// Nothing there has a lower priority (`default_preemption.go`).
    NoVictims,
    /// Taking pods away would not help (`preemption.go`).
    NotHelpful,
}

impl Reason {
    /// Whether taking pods away from the node may help: `Unschedulable` as against `UnschedulableAndUnresolvable`.
    #[must_use]
    pub fn is_resolvable(self) -> bool {
        matches!(
            self,
            Self::Ports
                | Self::TooManyPods
                | Self::Insufficient(_)
                | Self::ReadWriteOncePod
                | Self::TooManyVolumes
                | Self::Spread
                | Self::AntiAffinity
                | Self::ExistingAntiAffinity
        )
    }

    /// The reason in kube-scheduler's words.
    #[must_use]
    pub fn text(self, world: &World) -> String {
        let names: &Names = &world.names;
        let fixed = match self {
            Self::Taint(key, value) => {
                let (key, value) = (names.key_text(key), names.value_text(value));
                return format!("node(s) had untolerated taint {{{key}: {value}}}");
            }
            Self::Insufficient(resource) => {
                return format!("Insufficient {}", world.resources.name(resource));
            }
            Self::Claim(claim, fault) => return claim_text(&names.value_text(claim), fault),
            Self::Unschedulable => "node(s) were unschedulable",
            Self::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Self::NamedNodes => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::ReadWriteOncePod => {
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
            }
            Self::TooManyVolumes => "node(s) exceed max volume count",
            Self::VolumeElsewhere => "node(s) didn't match PersistentVolume's node affinity",
            Self::NoVolumeToBind => "node(s) didn't find available persistent volumes to bind",
            Self::NoSuchVolume => NO_SUCH_VOLUME,
            Self::SpreadLabel => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::Affinity => "node(s) didn't match pod affinity rules",
            Self::AntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingAntiAffinity => {
                "node(s) didn't satisfy existing pods anti-affinity rules"
            }
            Self::Conflict => "pod affinity terms conflict",
            Self::NoVictims => "No preemption victims found for incoming pod",
            Self::NotHelpful => "Preemption is not helpful for scheduling",
        };
        fixed.to_owned()
    }
}

fn claim_text(claim: &str, fault: VolumeFault) -> String {
    let name = claim.split_once('/').map_or(claim, |(_, name)| name);
    match fault {
        VolumeFault::Missing => format!("persistentvolumeclaim \"{name}\" not found"),
        VolumeFault::Deleting => format!("persistentvolumeclaim \"{name}\" is being deleted"),
        VolumeFault::Lost => {
            format!("persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume")
        }
        VolumeFault::UnknownClass => {
            format!("storage class of persistentvolumeclaim \"{name}\" not found")
        }
        VolumeFault::NoVolume => NO_SUCH_VOLUME.to_owned(),
        VolumeFault::NoClass | VolumeFault::Immediate => {
            "pod has unbound immediate PersistentVolumeClaims".to_owned()
        }
    }
}

const NO_SUCH_VOLUME: &str =
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Reasons and the number of nodes that each holds for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally(Vec<(Reason, u32)>);

impl Tally {
    pub(super) fn add(&mut self, reason: Reason, nodes: u32) {
        match self.0.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, count)) => *count += nodes,
            None => self.0.push((reason, nodes)),
        }
    }

    /// The reasons in the order in which they came up.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u32)> + '_ {
        self.0.iter().copied()
    }

    /// How many nodes a reason holds for.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u32 {
        self.iter()
            .find(|(other, _)| *other == reason)
            .map_or(0, |(_, count)| count)
    }

    /// `2 Insufficient cpu, 3 node(s) were unschedulable`: sorted as texts.
    fn text(&self, world: &World) -> String {
        let mut texts: Vec<String> = self
            .iter()
            .map(|(reason, count)| format!("{count} {}", reason.text(world)))
            .collect();
        texts.sort_unstable();
        texts.join(", ")
    }
}

/// What came of looking for pods to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preemption {
    /// Pods were found.
    Found,
    /// It is switched off.
    Off,
    /// `preemptionPolicy: Never`.
    Never,
    /// The pods that were taken away for it are not gone yet.
    Waiting,
    /// No node would do.
    Useless(Tally),
}

/// Why a pod was not placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How many nodes kube-scheduler knows.
    pub nodes: u32,
    /// What kept the pod off all nodes before any was looked at.
    pub up_front: Option<Reason>,
    /// What each node lacked; a node that lacks several resources counts for each.
    pub reasons: Tally,
    /// What came of preemption.
    pub preemption: Preemption,
}

impl Failure {
    /// kube-scheduler's message, as it stands in the pod's `PodScheduled` condition and its `FailedScheduling` event.
    #[must_use]
    pub fn message(&self, world: &World) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut text = format!("0/{} nodes are available:", self.nodes);
        let reasons = match self.up_front {
            Some(reason) => reason.text(world),
            None => self.reasons.text(world),
        };
        if !reasons.is_empty() {
            text.push_str(&format!(" {reasons}."));
        }
        match &self.preemption {
            Preemption::Found | Preemption::Off => {}
            Preemption::Never => {
                text.push_str(" preemption: not eligible due to preemptionPolicy=Never.");
            }
            Preemption::Waiting => text.push_str(
                " preemption: not eligible due to a terminating pod on the nominated node.",
            ),
            Preemption::Useless(tally) => text.push_str(&format!(
                " preemption: 0/{} nodes are available: {}.",
                self.nodes,
                tally.text(world)
            )),
        }
        text
    }
}
