//! Making room.

use super::lab::{GIB, Lab, app, text};
use crate::resources::Resources;
use crate::scheduler::{Outcome, Preemption};
use crate::world::{DisruptionBudget, NodeId, PodId};

/// A running pod of some CPUs and a priority, started so many seconds in.
fn there(lab: &mut Lab, name: &str, of: &str, node: NodeId, cpu: i64, priority: i32) -> PodId {
    let pod = lab.running(name, of, node, |shape, _| {
        shape.requests = Resources::new(cpu, GIB, 1);
        shape.priority = priority;
    });
    lab.world.pods[pod.0 as usize].started = jiff::Timestamp::from_second(100).ok();
    pod
}

fn wants(lab: &mut Lab, name: &str, cpu: i64, priority: i32) -> PodId {
    lab.pod_with(name, "vip", |shape, _| {
        shape.requests = Resources::new(cpu, GIB, 1);
        shape.priority = priority;
    })
}

fn nominated(lab: &Lab, pod: PodId) -> (NodeId, Vec<PodId>) {
    match lab.one(pod) {
        Outcome::Nominated { node, victims, .. } => (node, victims),
        other => panic!("{}", text(&lab.world, &other)),
    }
}

/// `plugins/defaultpreemption/default_preemption.go` `SelectVictimsOnNode`: as few as it takes; the important are spared first.
#[test]
fn no_more_pods_go_than_must() {
    let mut lab = Lab::default();
    let node = lab.node("a", "1");
    there(&mut lab, "keep", "web", node, 1000, 50);
    let high = there(&mut lab, "high", "web", node, 1500, 20);
    let low = there(&mut lab, "low", "web", node, 1500, 10);
    let one = wants(&mut lab, "one", 1500, 30);
    assert_eq!(nominated(&lab, one), (node, vec![low]));
    let both = wants(&mut lab, "both", 3000, 30);
    assert_eq!(nominated(&lab, both), (node, vec![high, low]));
    let equal = wants(&mut lab, "equal", 1500, 10);
    assert_eq!(
        lab.message(equal),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for \
         incoming pod."
    );
    let too_much = wants(&mut lab, "too-much", 3500, 30);
    assert_eq!(
        lab.message(too_much),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Insufficient cpu."
    );
}

/// `util/utils.go` `MoreImportantPod`: of equal priority the one that runs longer is spared.
#[test]
fn the_younger_pod_goes() {
    let mut lab = Lab::default();
    let node = lab.node("a", "1");
    let young = there(&mut lab, "young", "web", node, 2000, 0);
    let old = there(&mut lab, "old", "web", node, 2000, 0);
    lab.world.pods[old.0 as usize].started = jiff::Timestamp::from_second(50).ok();
    let pod = wants(&mut lab, "pod", 2000, 1);
    assert_eq!(nominated(&lab, pod), (node, vec![young]));
}

/// `default_preemption.go` `PodEligibleToPreemptOthers`: `preemptionPolicy: Never`.
#[test]
fn some_pods_never_preempt() {
    let mut lab = Lab::default();
    let node = lab.node("a", "1");
    there(&mut lab, "low", "web", node, 4000, 0);
    let pod = lab.pod_with("meek", "vip", |shape, _| {
        shape.priority = 100;
        shape.preempts = false;
    });
    assert_eq!(
        lab.message(pod),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    );
}

/// `default_preemption.go` `filterPodsWithPDBViolation` and `preemption.go` `pickOneNodeForPreemption`: budgets come before
/// priorities, on a node and between nodes.
#[test]
fn budgets_come_before_priorities() {
    let mut lab = Lab::default();
    let a = lab.node("a", "1");
    let b = lab.node("b", "1");
    there(&mut lab, "guarded", "db", a, 4000, 1);
    let open = there(&mut lab, "open", "web", b, 4000, 9);
    let selector = app(&mut lab.world.names, "db");
    let namespace = lab.world.names.value("default");
    lab.world.disruption_budgets.push(DisruptionBudget {
        namespace,
        name: "db".to_owned(),
        selector,
        disruptions_allowed: 0,
        min_available: None,
        max_unavailable: None,
        always_allow_unhealthy: false,
    });
    let pod = wants(&mut lab, "pod", 1000, 10);
    assert_eq!(nominated(&lab, pod), (b, vec![open]));
    lab.world.disruption_budgets[0].disruptions_allowed = 1;
    assert_eq!(nominated(&lab, pod).0, a);
}

/// `preemption.go` `pickOneNodeForPreemption`: the lowest highest priority, the least sum, the fewest pods, the latest start.
#[test]
fn nodes_are_chosen_by_what_goes() {
    let mut lab = Lab::default();
    let nodes = ["a", "b", "c", "d"].map(|name| lab.node(name, "1"));
    let [a, b, c, d] = nodes;
    there(&mut lab, "a", "web", a, 4000, 5);
    let pair = [("b1", 3), ("b2", 2)]
        .map(|(name, priority)| there(&mut lab, name, "web", b, 2000, priority));
    let early = there(&mut lab, "c", "web", c, 4000, 3);
    let late = there(&mut lab, "d", "web", d, 4000, 3);
    lab.world.pods[late.0 as usize].started = jiff::Timestamp::from_second(200).ok();
    let pod = wants(&mut lab, "pod", 4000, 10);
    assert_eq!(nominated(&lab, pod), (d, vec![late]));
    lab.world.remove_pod(late);
    lab.world.nodes[d.0 as usize].unschedulable = true;
    assert_eq!(nominated(&lab, pod), (c, vec![early]));
    lab.world.remove_pod(early);
    lab.world.nodes[c.0 as usize].unschedulable = true;
    assert_eq!(nominated(&lab, pod), (b, pair.to_vec()));
}

/// `framework/runtime/framework.go` `RunFilterPluginsWithNominatedPods`: room that was made is kept for the pod that it was made
/// for, unless a more important one comes; `schedule_one.go` `evaluateNominatedNode`: it goes there once the victims are gone.
#[test]
fn room_that_was_made_is_kept() {
    let mut lab = Lab::default();
    let node = lab.node("a", "1");
    let low = there(&mut lab, "low", "web", node, 3000, 0);
    let vip = wants(&mut lab, "vip", 3000, 10);
    let small = wants(&mut lab, "small", 1000, 0);
    let other = wants(&mut lab, "other", 2000, 0);
    let chief = wants(&mut lab, "chief", 1000, 20);
    let mut scheduler = lab.scheduler();
    let outcome = scheduler.schedule_one(&lab.world, vip);
    assert!(matches!(outcome, Outcome::Nominated { .. }), "{outcome:?}");
    assert_eq!(scheduler.nominated(vip), Some(node));
    // The victim is still there: nothing more is taken away for the same pod.
    let Outcome::Unschedulable(failure) = scheduler.schedule_one(&lab.world, vip) else {
        panic!("there is no room yet");
    };
    assert_eq!(failure.preemption, Preemption::Waiting);
    lab.world.remove_pod(low);
    scheduler.sync_pod(&lab.world, low);
    let outcome = scheduler.schedule_one(&lab.world, other);
    assert!(matches!(outcome, Outcome::Unschedulable(_)), "{outcome:?}");
    for (pod, fits) in [(small, true), (chief, true), (vip, false)] {
        let outcome = scheduler.schedule_one(&lab.world, pod);
        assert_eq!(outcome == Outcome::Bound(node), fits, "{outcome:?}");
    }
}

/// Victims are counted as on their way out at once, as kube-scheduler's cache has them after the deletion.
#[test]
fn a_preemptor_goes_where_it_was_promised() {
    let mut lab = Lab::default();
    let nodes: Vec<NodeId> = (0..3)
        .map(|index| lab.node(&format!("n{index}"), "1"))
        .collect();
    let victims: Vec<PodId> = nodes
        .iter()
        .map(|node| there(&mut lab, &format!("low{}", node.0), "web", *node, 4000, 0))
        .collect();
    let vips: Vec<PodId> = (0..3)
        .map(|index| wants(&mut lab, &format!("vip{index}"), 4000, 10))
        .collect();
    let mut scheduler = lab.scheduler();
    let mut promised = Vec::new();
    for decision in scheduler.schedule(&lab.world, &vips) {
        let Outcome::Nominated { node, victims, .. } = decision.outcome else {
            panic!("{decision:?}");
        };
        assert_eq!(victims.len(), 1);
        promised.push((decision.pod, node));
    }
    let mut distinct: Vec<NodeId> = promised.iter().map(|(_, node)| *node).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 3);
    for victim in victims {
        lab.world.remove_pod(victim);
        scheduler.sync_pod(&lab.world, victim);
    }
    for (pod, node) in promised {
        let outcome = scheduler.schedule_one(&lab.world, pod);
        assert_eq!(outcome, Outcome::Bound(node));
    }
}
