//! Claims: what keeps a pod off every node, where volumes are, how many a node takes.

use super::lab::{Lab, value};
use crate::names::{Key, Value};
use crate::requirement::{Requirement, Requirements};
use crate::scheduler::Reason;
use crate::world::{NodeId, PodId, Volume, VolumeFault};

fn claim(lab: &mut Lab, name: &str, volume: Volume) -> Value {
    let claim = value(lab, &format!("default/{name}"));
    lab.world.volumes.insert(claim, volume);
    claim
}

fn user(lab: &mut Lab, name: &str, claims: &[Value]) -> PodId {
    lab.pod_with(name, "db", |shape, _| shape.claims = claims.to_vec())
}

fn in_zone(lab: &mut Lab, zone: &str) -> Vec<Requirements> {
    let zone = value(lab, zone);
    vec![Requirements::new(
        &lab.world.names,
        [Requirement::is(Key::ZONE, zone)],
    )]
}

fn bound_in(lab: &mut Lab, zone: &str) -> Volume {
    Volume {
        bound: true,
        alternatives: in_zone(lab, zone),
        ..Volume::default()
    }
}

/// `plugins/volumebinding/volume_binding.go` `PreFilter`: claims that aren't there or aren't bound yet keep a pod off every
/// node.
#[test]
fn claims_in_trouble_keep_pods_off_every_node() {
    let mut lab = Lab::default();
    lab.node("a", "1");
    for (name, fault, text) in [
        (
            "m",
            VolumeFault::Missing,
            "persistentvolumeclaim \"m\" not found",
        ),
        (
            "d",
            VolumeFault::Deleting,
            "persistentvolumeclaim \"d\" is being deleted",
        ),
        (
            "i",
            VolumeFault::Immediate,
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            "c",
            VolumeFault::NoClass,
            "pod has unbound immediate PersistentVolumeClaims",
        ),
    ] {
        let volume = Volume {
            fault: Some(fault),
            ..Volume::default()
        };
        let claim = claim(&mut lab, name, volume);
        let pod = user(&mut lab, name, &[claim]);
        assert_eq!(
            lab.message(pod),
            format!(
                "0/1 nodes are available: {text}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for \
                 scheduling."
            )
        );
    }
}

/// `plugins/volumebinding/binder.go` `checkBoundClaims`: a bound volume's node affinity, hosts of local ones among it.
#[test]
fn bound_volumes_draw_pods_to_them() {
    let mut lab = Lab::default();
    let a = lab.node("a", "1");
    let b = lab.node("b", "2");
    let volume = bound_in(&mut lab, "2");
    let zonal = claim(&mut lab, "zonal", volume);
    let pod = user(&mut lab, "pod", &[zonal]);
    assert_eq!(lab.place(pod), b);
    let host = value(&mut lab, "a");
    let local = Volume {
        bound: true,
        hosts: Some(vec![host]),
        ..Volume::default()
    };
    let local = claim(&mut lab, "local", local);
    let near = user(&mut lab, "near", &[local]);
    assert_eq!(lab.place(near), a);
    let torn = user(&mut lab, "torn", &[zonal, local]);
    let failure = lab.failure(torn);
    assert_eq!(failure.reasons.count(Reason::VolumeElsewhere), 2);
    let gone = Volume {
        bound: true,
        fault: Some(VolumeFault::NoVolume),
        ..Volume::default()
    };
    let gone = claim(&mut lab, "gone", gone);
    let waits = user(&mut lab, "waits", &[gone]);
    assert_eq!(lab.failure(waits).reasons.count(Reason::NoSuchVolume), 2);
}

/// `binder.go` `checkVolumeProvisions`: `allowedTopologies` of the class; a second pod of the claim goes to the zone in which
/// the volume is being made.
#[test]
fn unbound_volumes_are_made_where_their_class_allows() {
    let mut lab = Lab::default();
    for (name, zone) in [("a", "1"), ("b", "2"), ("c", "2"), ("d", "3")] {
        lab.node(name, zone);
    }
    let mut zones = in_zone(&mut lab, "2");
    zones.extend(in_zone(&mut lab, "3"));
    let volume = Volume {
        alternatives: zones,
        ..Volume::default()
    };
    let shared = claim(&mut lab, "shared", volume);
    let pods: Vec<PodId> = (0..6)
        .map(|index| user(&mut lab, &format!("p{index}"), &[shared]))
        .collect();
    let mut scheduler = lab.scheduler();
    let zones: Vec<_> = scheduler
        .schedule(&lab.world, &pods)
        .iter()
        .filter_map(|decision| {
            lab.world
                .node(scheduler.node_of(decision.pod)?)
                .label(Key::ZONE)
        })
        .collect();
    assert_eq!(zones.len(), 6);
    assert!(zones.iter().all(|zone| *zone == zones[0]));
    for node in [1, 2, 3] {
        lab.world.nodes[node].unschedulable = true;
    }
    let failure = lab.failure(pods[0]);
    assert_eq!(failure.reasons.count(Reason::NoVolumeToBind), 1);
}

/// `plugins/nodevolumelimits/csi.go`: volumes of a driver on a node, each once.
#[test]
fn a_driver_takes_so_many_volumes_on_a_node() {
    let mut lab = Lab::default();
    let driver = value(&mut lab, "ebs.csi.aws.com");
    let node = lab.node_with("a", "1", |node, _| node.volume_limits = vec![(driver, 2)]);
    let volume = Volume {
        driver: Some(driver),
        bound: true,
        ..Volume::default()
    };
    let [one, two, three] = ["1", "2", "3"].map(|name| claim(&mut lab, name, volume.clone()));
    for (name, of) in [("a", one), ("b", one), ("c", two)] {
        lab.running(name, "db", node, |shape, _| shape.claims = vec![of]);
    }
    let again = user(&mut lab, "again", &[one, two]);
    assert_eq!(lab.place(again), node);
    let new = user(&mut lab, "new", &[three]);
    assert_eq!(lab.failure(new).reasons.count(Reason::TooManyVolumes), 1);
}

/// `plugins/volumerestrictions/volume_restrictions.go`: a `ReadWriteOncePod` claim is for one pod, wherever that runs.
#[test]
fn a_claim_for_one_pod_is_for_one_pod() {
    let mut lab = Lab::default();
    let a = lab.node("a", "1");
    lab.node("b", "1");
    let volume = Volume {
        exclusive: true,
        bound: true,
        ..Volume::default()
    };
    let only = claim(&mut lab, "only", volume);
    let first = lab.running("first", "db", a, |shape, _| shape.claims = vec![only]);
    let second = user(&mut lab, "second", &[only]);
    assert_eq!(
        lab.failure(second).reasons.count(Reason::ReadWriteOncePod),
        2
    );
    lab.world.remove_pod(first);
    assert!(lab.place(second) <= NodeId(1));
}
