//! What nodes have and how it is scored.

use super::lab::{GIB, Lab};
use crate::resources::Resources;
use crate::scheduler::score::{balanced, least_allocated};
use crate::scheduler::{Preemption, Reason};

/// `plugins/noderesources/fit.go` `fitsRequest`: every resource that is short is named, pods among them.
#[test]
fn every_short_resource_is_named() {
    let mut lab = Lab::default();
    let small = |node: &mut crate::world::Node| node.allocatable = Resources::new(1000, GIB, 1);
    let a = lab.node_with("a", "z", |node, _| small(node));
    lab.node_with("b", "z", |node, _| small(node));
    lab.running("there", "web", a, |shape, _| {
        shape.requests = Resources::new(800, GIB / 2, 1);
    });
    let pod = lab.pod_with("big", "web", |shape, _| {
        shape.requests = Resources::new(500, 2 * GIB, 1);
    });
    assert_eq!(
        lab.message(pod),
        "0/2 nodes are available: 1 Insufficient cpu, 1 Too many pods, 2 Insufficient memory. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
}

/// `fit.go` `Filter`: a node whose whole has too little is beyond help; one that is full is not.
#[test]
fn a_node_that_is_too_small_is_beyond_help() {
    let mut lab = Lab::default();
    let node = lab.node("a", "z");
    lab.running("there", "web", node, |shape, _| {
        shape.requests = Resources::new(3900, GIB, 1);
    });
    let fits_empty = lab.pod_with("fits", "web", |shape, _| {
        shape.requests = Resources::new(4000, GIB, 1);
    });
    let too_big = lab.pod_with("big", "web", |shape, _| {
        shape.requests = Resources::new(4001, GIB, 1);
    });
    let useless = |pod| match &lab.failure(pod).preemption {
        Preemption::Useless(tally) => (
            tally.count(Reason::NoVictims),
            tally.count(Reason::NotHelpful),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(useless(fits_empty), (1, 0));
    assert_eq!(useless(too_big), (0, 1));
}

/// `fit.go` `fitsRequest`: what isn't asked for isn't looked at, even where it is overdrawn.
#[test]
fn what_is_not_asked_for_is_not_looked_at() {
    let mut lab = Lab::default();
    let node = lab.node("a", "z");
    lab.running("greedy", "web", node, |shape, _| {
        shape.requests = Resources::new(9000, GIB, 1);
    });
    let pod = lab.pod_with("small", "web", |shape, _| {
        shape.requests = Resources::new(0, GIB, 1);
    });
    lab.place(pod);
}

/// `fit.go`: extended resources by name.
#[test]
fn extended_resources_are_named() {
    let mut lab = Lab::default();
    lab.node("a", "z");
    let gpu = lab.world.resources.intern("nvidia.com/gpu").unwrap();
    let pod = lab.pod_with("gpu", "web", |shape, _| shape.requests[gpu] = 1);
    let message = lab.message(pod);
    assert!(message.starts_with("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."));
}

/// `plugins/noderesources/least_allocated.go`: the mean of what is left of CPU and memory, in whole numbers at each step.
#[test]
fn least_allocated_is_the_mean_of_what_is_left() {
    let all = Resources::new(4000, 10_000, 10);
    assert_eq!(
        least_allocated((2000, 2000), (1000, 3000), &all),
        (25 + 50) / 2
    );
    assert_eq!(least_allocated((0, 0), (4001, 0), &all), 50);
    let no_memory = Resources::new(4000, 0, 10);
    assert_eq!(least_allocated((0, 0), (1000, 5), &no_memory), 75);
}

/// `plugins/noderesources/balanced_allocation.go`: half the difference of the used shares, none above 1; pods that ask for
/// nothing are not scored.
#[test]
fn balance_is_half_the_difference_of_shares() {
    let all = Resources::new(4000, 10_000, 10);
    let free = Resources::new(4000, 10_000, 10);
    let score = |cpu, memory| balanced(&Resources::new(cpu, memory, 1), &free, &all);
    assert_eq!(score(3000, 6000), 92);
    assert_eq!(score(2000, 5000), 100);
    assert_eq!(score(8000, 5000), 75);
    assert_eq!(score(0, 0), 0);
}

/// `util/pod_resources.go` `GetNonzeroRequests`: pods that ask for nothing weigh 100m and 200Mi in the scores.
#[test]
fn pods_without_requests_still_fill_nodes() {
    let mut lab = Lab::default();
    let a = lab.node("a", "z");
    let b = lab.node("b", "z");
    for index in 0..5 {
        lab.running(&format!("idle{index}"), "idle", a, |shape, _| {
            shape.requests = Resources::new(0, 0, 1);
        });
    }
    for index in 0..20 {
        let pod = lab.pod_with(&format!("p{index}"), "idle", |shape, _| {
            shape.requests = Resources::new(0, 0, 1);
        });
        assert_eq!(lab.place(pod), b);
    }
}

/// Amounts and weights that no machine or cluster has are neither a panic nor a surprise.
#[test]
fn absurd_numbers_do_no_harm() {
    let mut lab = Lab::default();
    let node = lab.node_with("a", "z", |node, _| {
        node.allocatable = Resources::new(i64::MAX, i64::MAX, i64::MAX);
    });
    let absurd = |shape: &mut crate::shape::PodShape, names: &mut crate::names::Names| {
        shape.requests = Resources::new(i64::MAX, i64::MAX, i64::MAX);
        let term = super::lab::term(names, "web", crate::names::Key::ZONE);
        shape.affinity.preferred = vec![(i32::MAX, term)];
        let here = super::lab::within(names, "topology.kubernetes.io/zone", &["z"]);
        shape.preferred_terms = vec![(i32::MAX, here.clone()), (i32::MAX, here)];
    };
    for index in 0..3 {
        lab.running(&format!("there{index}"), "web", node, absurd);
    }
    lab.node("b", "z");
    let pods: Vec<_> = (0..3)
        .map(|index| lab.pod_with(&format!("p{index}"), "web", absurd))
        .collect();
    let mut scheduler = lab.scheduler();
    let before = scheduler.cluster.free[0];
    assert_eq!(scheduler.schedule(&lab.world, &pods).len(), 3);
    scheduler.sync(&lab.world);
    assert_eq!(scheduler.cluster.free[0], before);
    let small = lab.pod("small", "web");
    lab.one(small);
}
