//! Budgets of pods, protections, drains, and what a user should hear.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};

use super::fixture::*;
use crate::karpenter::disruption::drain::{self, Timing, Waiting, Wave};
use crate::karpenter::disruption::findings::{Finding, findings};
use crate::karpenter::disruption::{Guards, Method, Round, Settings};
use crate::karpenter::provisioning::{Options, Planner};
use crate::world::{NodeId, PodId, World};

fn goes(world: &World, node: &str) -> bool {
    blockers(world, node).is_empty()
}

fn guarded(parts: &[String]) -> World {
    let mut all = vec![
        open("p"),
        node("n1", "p", "m"),
        on("n1", "a", "web", "1", ""),
    ];
    all.extend_from_slice(parts);
    world(&all)
}

/// `pkg/utils/pdb/pdb.go:88` `isEvictable`: 0 allowed blocks, 1 doesn't; another namespace's or app's budget is nothing to it.
#[test]
fn a_budget_with_nothing_left_blocks() {
    assert!(!goes(
        &guarded(&[pdb("b", "web", "maxUnavailable: 1", 0)]),
        "n1"
    ));
    assert!(goes(
        &guarded(&[pdb("b", "web", "maxUnavailable: 1", 1)]),
        "n1"
    ));
    assert!(goes(
        &guarded(&[pdb("b", "other", "maxUnavailable: 1", 0)]),
        "n1"
    ));
    let elsewhere = pdb("b", "web", "maxUnavailable: 1", 0).replace("shop", "bar");
    assert!(goes(&guarded(&[elsewhere]), "n1"));
}

/// `pdb.go:103`: two budgets on a pod block, whatever they allow.
#[test]
fn two_budgets_on_a_pod_block() {
    let world = guarded(&[
        pdb("one", "web", "maxUnavailable: 1", 5),
        pdb("two", "web", "maxUnavailable: 1", 5),
    ]);
    assert_eq!(
        blockers(&world, "n1"),
        [
            "Eviction does not support multiple PDBs (PodDisruptionBudget(s)=[shop/one shop/two], Pod=shop/a)"
        ]
    );
}

/// `pdb.go:112`: `AlwaysAllow` lets pods go that are not ready.
#[test]
fn unhealthy_pods_go_where_their_budget_lets_them() {
    let spec = "maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow";
    let mut world = guarded(&[pdb("b", "web", spec, 0)]);
    assert!(!goes(&world, "n1"));
    world.pods[0].unready = true;
    assert!(goes(&world, "n1"));
}

/// `scheduling.go:60` `IsEvictable`: pods that stay on a node that is going need no budget.
#[test]
fn pods_that_tolerate_the_end_need_no_budget() {
    let tolerant = on(
        "n1",
        "t",
        "web",
        "1",
        "tolerations: [{key: karpenter.sh/disrupted, operator: Exists}]",
    );
    let parts = [
        open("p"),
        node("n1", "p", "m"),
        tolerant,
        pdb("b", "web", "maxUnavailable: 1", 0),
    ];
    assert!(goes(&world(&parts), "n1"));
    let all = parts.concat().replace(
        "{key: karpenter.sh/disrupted, operator: Exists}",
        "{operator: Exists}",
    );
    assert!(goes(&with_types(&all, TYPES, "1.14"), "n1"));
}

/// `scheduling.go:211` `IsDoNotDisruptActive`: a duration counts from the pod's start; up to 1.11 only `true` counts (#2874).
#[test]
fn protections_end_where_they_have_a_duration() {
    let parts = |text: &str| {
        let pod = noted(
            "n1",
            "a",
            "a",
            "1",
            &format!("karpenter.sh/do-not-disrupt: '{text}'"),
        )
        .replace(
            "phase: Running",
            "phase: Running, startTime: '2026-01-05T11:00:00Z'",
        );
        [open("p"), node("n1", "p", "m"), pod]
    };
    assert!(!goes(&world(&parts("true")), "n1"));
    assert!(!goes(&world(&parts("61m")), "n1"));
    assert!(goes(&world(&parts("60m")), "n1"));
    assert!(goes(&world(&parts("false")), "n1"));
    assert!(goes(&world_of("1.11", &parts("61m")), "n1"));
    let mut unknown = world(&parts("1s"));
    unknown.pods[0].started = None;
    assert!(!goes(&unknown, "n1"));
}

/// `pdb.go:138` `IsCurrentlyReschedulable`: no room is made for pods that will never be evicted; a budget that is only empty now is
/// no such thing.
#[test]
fn no_room_is_made_for_pods_that_never_go() {
    let of = |spec: &str| {
        let mut world = guarded(&[pdb("b", "web", spec, 0)]);
        world.nodes[0].deleting = true;
        Guards::new(&world).is_currently_reschedulable(&world, PodId(0), noon())
    };
    assert!(of("maxUnavailable: 1"));
    assert!(!of("maxUnavailable: 0"));
    assert!(!of("maxUnavailable: 0%"));
    assert!(!of("minAvailable: 100%"));
    assert!(of("minAvailable: 3"));
}

fn at(seconds: i64) -> Timestamp {
    noon() + seconds.seconds()
}

fn timing(recovery: Option<u64>) -> Timing {
    Timing {
        end: Duration::from_secs(10),
        recovery: recovery.map(Duration::from_secs),
    }
}

fn drain(world: &World, deadline: Option<Timestamp>, recovery: Option<u64>) -> drain::Plan {
    drain::plan(world, NodeId(0), noon(), deadline, timing(recovery))
}

/// `terminator.go:138` `groupPodsByPriority`: one wave after the other, each through before the next begins.
#[test]
fn pods_go_in_waves() {
    let daemon = |text: String| text.replace("kind: ReplicaSet", "kind: DaemonSet");
    let world = world(&[
        open("p"),
        node("n1", "p", "m"),
        daemon(on("n1", "cd", "x", "100m", "priority: 2000001000")),
        on("n1", "c", "x", "100m", "priority: 2000000000"),
        daemon(on("n1", "d", "x", "100m", "priority: 1000000000")),
        on("n1", "a", "x", "100m", ""),
    ]);
    let plan = drain(&world, None, None);
    let order: Vec<_> = plan
        .departures
        .iter()
        .map(|each| (&*world.pod(each.pod).name, each.wave, each.at))
        .collect();
    assert_eq!(
        order,
        [
            ("a", Wave::Pods, at(0)),
            ("d", Wave::Daemons, at(10)),
            ("c", Wave::CriticalPods, at(20)),
            ("cd", Wave::CriticalDaemons, at(30)),
        ]
    );
    assert_eq!(plan.drained, Some(at(40)));
}

/// `eviction.go:239`: a budget of one lets one go at a time; an empty node still takes five seconds (`controller.go:62`).
#[test]
fn a_budget_slows_a_drain() {
    let two = [
        open("p"),
        node("n1", "p", "m"),
        on("n1", "a", "web", "100m", ""),
        on("n1", "b", "web", "100m", ""),
        pdb("b", "web", "maxUnavailable: 1", 1),
    ];
    let world = world(&two);
    let slow = drain(&world, None, Some(25));
    let times: Vec<_> = slow.departures.iter().map(|each| each.at).collect();
    assert_eq!(times, [at(0), at(25)]);
    assert_eq!(slow.drained, Some(at(35)));
    // Without another pod that becomes ready it never ends.
    let stuck = drain(&world, None, None);
    assert_eq!(stuck.drained, None);
    assert_eq!(stuck.stuck, [(PodId(1), Waiting::Budget(0))]);
    let empty = super::fixture::world(&[open("p"), node("n1", "p", "m")]);
    assert_eq!(drain(&empty, None, None).drained, Some(at(5)));
}

/// `eviction.go:226` `needsForceDelete`: what still runs is deleted so that its grace period ends with the node's, past budgets,
/// protections and waves.
#[test]
fn the_deadline_forces_pods() {
    let world = world(&[
        open("p"),
        managed("n1", "p", "m", "on-demand", ", terminationGracePeriod: 5m"),
        on(
            "n1",
            "a",
            "web",
            "100m",
            "terminationGracePeriodSeconds: 60",
        ),
        noted(
            "n1",
            "b",
            "x",
            "100m",
            "karpenter.sh/do-not-disrupt: 'true'",
        ),
        on(
            "n1",
            "c",
            "x",
            "100m",
            "priority: 2000000000, terminationGracePeriodSeconds: 200",
        ),
        pdb("b", "web", "maxUnavailable: 0", 0),
    ]);
    let deadline = drain::deadline(&world, NodeId(0), noon());
    assert_eq!(deadline, Some(at(300)));
    let plan = drain(&world, deadline, Some(25));
    let forced: Vec<_> = plan
        .departures
        .iter()
        .map(|each| (&*world.pod(each.pod).name, each.at, each.forced))
        .collect();
    assert_eq!(
        forced,
        [
            ("c", at(101), true),
            ("a", at(241), true),
            ("b", at(271), true)
        ]
    );
    assert_eq!(plan.drained, Some(at(281)));
    let never = drain(&world, None, Some(25));
    assert_eq!(
        never.stuck,
        [
            (PodId(0), Waiting::Budget(0)),
            (PodId(1), Waiting::DoNotDisrupt),
            (PodId(2), Waiting::Wave(Wave::Pods))
        ]
    );
}

/// One step takes from the budgets that it is given.
#[test]
fn a_step_takes_from_budgets() {
    let world = world(&[
        open("p"),
        node("n1", "p", "m"),
        on("n1", "a", "web", "100m", ""),
        on("n1", "b", "web", "100m", ""),
        pdb("b", "web", "maxUnavailable: 1", 1),
    ]);
    let guards = Guards::new(&world);
    let mut allowed = [1];
    let step = drain::step(&world, &guards, NodeId(0), noon(), None, &mut allowed);
    assert_eq!((&step.evict[..], allowed), (&[PodId(0)][..], [0]));
    assert_eq!(step.waiting, [(PodId(1), Waiting::Budget(0))]);
}

/// What keeps nodes for ever is told, in words.
#[test]
fn what_keeps_nodes_is_told() {
    let mut world = world(&[
        pool(
            "general",
            "consolidateAfter: 0s, budgets: [{nodes: 0%}, {nodes: '1', duration: 1h}]",
            "",
        ),
        pool("batch", "consolidateAfter: Never", ""),
        managed("n1", "general", "m", "on-demand", ", expireAfter: 720h"),
        managed("n2", "general", "m", "on-demand", ", expireAfter: 720h"),
        on("n1", "a", "web", "100m", ""),
        on("n2", "b", "web", "100m", ""),
        noted(
            "n2",
            "c",
            "x",
            "100m",
            "karpenter.sh/do-not-disrupt: 'true'",
        ),
        pdb("web", "web", "maxUnavailable: 0", 0),
    ]);
    world.nodes[0].do_not_disrupt = true;
    let found = findings(&world, noon());
    let told: Vec<String> = found.iter().map(|each| each.display(&world)).collect();
    assert_eq!(
        told,
        [
            "pool `batch` never consolidates: its consolidateAfter is Never",
            "pool `general` has a budget that lets no node go (whatever the reason)",
            "pool `general` has a budget with a duration but no schedule: Karpenter lets none of its nodes go",
            "2 nodes of general can never be consolidated: PodDisruptionBudget shop/web of 2 pods on them allows no disruption",
            "1 nodes of pool `general` are kept by 1 pods with karpenter.sh/do-not-disrupt (1 of them for as long as they run), the first is shop/c",
            "1 nodes of pool `general` have karpenter.sh/do-not-disrupt",
            "2 nodes of pool `general` will expire with pods on them that can't be evicted, and have no terminationGracePeriod: they will stay half drained",
        ]
    );
    assert!(matches!(found[3], Finding::Pdb { always: true, .. }));
}

/// A healthy cluster has nothing to be told about.
#[test]
fn nothing_is_told_of_what_is_well() {
    let world = guarded(&[pdb("b", "web", "maxUnavailable: 1", 1)]);
    assert_eq!(findings(&world, noon()), []);
}

/// `helpers.go:95`: pods of nodes that are being deleted look for room in every simulation, and may land on nodes that start.
#[test]
fn pods_of_leaving_nodes_take_their_room_first() {
    let mut world = world(&[
        open("p"),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        node("n3", "p", "m"),
        on("n1", "a", "a", "3", ""),
        on("n2", "b", "b", "3", ""),
    ]);
    let n1 = world.find_node("n1").unwrap();
    assert_eq!(pass(&world, Method::SingleNode).commands.len(), 1);
    world.nodes[n1.0 as usize].deleting = true;
    // The only room for the pod of n2 is taken by that of n1.
    let n2 = world.find_node("n2").unwrap();
    let round = Round::new(&world, noon(), Settings::default());
    let mut planner = Planner::new(&world, Options::default());
    let each = round.each(&mut planner);
    let (_, answer) = each.iter().find(|(node, _)| *node == n2).unwrap();
    assert_eq!(
        answer.as_ref().unwrap_err().display(&world),
        "Can't replace with a cheaper node"
    );
}
