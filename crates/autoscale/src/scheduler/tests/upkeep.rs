//! Following a world that changes.

use super::lab::{Lab, spread, text};
use crate::names::Key;
use crate::scheduler::{Outcome, Scheduler};
use crate::world::{NodeId, PodId};

fn spread_pod(lab: &mut Lab, name: &str) -> PodId {
    lab.pod_with(name, "web", |shape, names| {
        shape.spread = vec![spread(names, "web", Key::ZONE, true)];
    })
}

/// Nodes that come are seen, those that go are forgotten with their pods, and spreads count what is left.
#[test]
fn nodes_come_and_go() {
    let mut lab = Lab::default();
    let a = lab.node("a", "1");
    let pods: Vec<PodId> = (0..4)
        .map(|index| spread_pod(&mut lab, &format!("p{index}")))
        .collect();
    let mut scheduler = lab.scheduler();
    let bind = |lab: &mut Lab, scheduler: &mut Scheduler, pod: PodId| {
        let Outcome::Bound(node) = scheduler.schedule_one(&lab.world, pod) else {
            panic!("there is room");
        };
        lab.world.bind(pod, node);
        scheduler.sync_pod(&lab.world, pod);
        node
    };
    assert_eq!(bind(&mut lab, &mut scheduler, pods[0]), a);
    let b = lab.node("b", "2");
    scheduler.sync_node(&lab.world, b);
    assert_eq!(bind(&mut lab, &mut scheduler, pods[1]), b);
    lab.world.remove_node(a);
    scheduler.sync_node(&lab.world, a);
    assert_eq!(scheduler.node_of(pods[0]), None);
    assert_eq!(bind(&mut lab, &mut scheduler, pods[0]), b);
    let c = lab.node("c", "3");
    scheduler.sync_node(&lab.world, c);
    for pod in [pods[2], pods[3]] {
        assert_eq!(bind(&mut lab, &mut scheduler, pod), c);
    }
}

/// A change of labels, taints or size counts at once; what was found impossible before is looked at again.
#[test]
fn changes_of_a_node_count_at_once() {
    let mut lab = Lab::default();
    let node = lab.node_with("a", "1", |node, _| node.unschedulable = true);
    let pod = spread_pod(&mut lab, "pod");
    let mut scheduler = lab.scheduler();
    for _ in 0..2 {
        let outcome = scheduler.schedule_one(&lab.world, pod);
        assert!(text(&lab.world, &outcome).contains("1 node(s) were unschedulable"));
    }
    lab.world.nodes[node.0 as usize].unschedulable = false;
    scheduler.sync_node(&lab.world, node);
    assert_eq!(
        scheduler.schedule_one(&lab.world, pod),
        Outcome::Bound(node)
    );
}

/// A binding is assumed until the world says otherwise.
#[test]
fn a_binding_that_does_not_happen_is_undone() {
    let mut lab = Lab::default();
    let node = lab.node("a", "1");
    let pod = lab.pod("pod", "web");
    let mut scheduler = lab.scheduler();
    assert_eq!(
        scheduler.schedule_one(&lab.world, pod),
        Outcome::Bound(node)
    );
    assert_eq!(scheduler.node_of(pod), Some(node));
    scheduler.sync(&lab.world);
    assert_eq!(scheduler.node_of(pod), None);
    lab.world.bind(pod, NodeId(0));
    scheduler.sync(&lab.world);
    assert_eq!(scheduler.node_of(pod), Some(node));
}

/// Telling the scheduler of nothing new changes nothing.
#[test]
fn telling_twice_does_no_harm() {
    let mut lab = Lab::default();
    for name in ["a", "b"] {
        lab.node(name, "1");
    }
    let pod = lab.running("pod", "web", NodeId(0), |_, _| {});
    let mut scheduler = lab.scheduler();
    let (epoch, state) = (scheduler.cluster.epoch, scheduler.cluster.state);
    let free = scheduler.cluster.free.clone();
    scheduler.sync(&lab.world);
    scheduler.sync_pod(&lab.world, pod);
    assert_eq!(
        (scheduler.cluster.epoch, scheduler.cluster.state),
        (epoch, state)
    );
    assert_eq!(scheduler.cluster.free, free);
}
