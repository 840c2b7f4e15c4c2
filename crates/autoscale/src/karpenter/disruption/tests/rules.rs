//! Each rule by itself.

use objects::budget::{Budget, DisruptionReason};

use super::fixture::*;
use crate::instances::{CapacityType, MicroUsd};
use crate::karpenter::disruption::drift::DriftReason;
use crate::karpenter::disruption::interruption::{Action, Event, InstanceState, interrupt};
use crate::karpenter::disruption::{
    Method, PoolTotals, Refusal, Round, Score, Settings, budgets, costs, drift, expiration,
};
use crate::world::{NodeId, PodId, PoolId, SpecHash, Stage, World};

fn budget(yaml: &str) -> Budget {
    let text = pool("p", &format!("consolidateAfter: 0s, budgets: [{yaml}]"), "");
    world(&[text]).pools[0].budgets[0].clone()
}

fn active(yaml: &str, at: &str) -> bool {
    budgets::is_active(&budget(yaml), at.parse().unwrap()).unwrap()
}

/// `nodepool.go:410`: percentages round up.
#[test]
fn percentages_round_up() {
    let five = budget("{nodes: 5%}").nodes;
    assert_eq!(budgets::scaled(five, 10), 1);
    assert_eq!(budgets::scaled(five, 21), 2);
    assert_eq!(budgets::scaled(five, 0), 0);
    assert_eq!(budgets::scaled(budget("{nodes: 0%}").nodes, 10), 0);
    assert_eq!(budgets::scaled(budget("{nodes: '7'}").nodes, 3), 7);
}

/// `nodepool.go:427` `IsActive`: from a hit of the schedule, in UTC, until just before its duration is over.
#[test]
fn a_schedule_holds_for_its_duration() {
    let office = "{nodes: '0', schedule: '0 9 * * mon-fri', duration: 8h}";
    assert!(!active(office, "2026-01-05T08:59:59Z"));
    assert!(active(office, "2026-01-05T09:00:00Z"));
    assert!(active(office, "2026-01-05T16:59:59Z"));
    assert!(!active(office, "2026-01-05T17:00:00Z"));
    assert!(!active(office, "2026-01-04T12:00:00Z"), "a Sunday");
    // Hits from days ago count as long as the duration reaches.
    let long = "{nodes: '0', schedule: '30 22 * * fri', duration: 60h}";
    assert!(active(long, "2026-01-05T10:29:00Z"));
    assert!(!active(long, "2026-01-05T10:30:00Z"));
}

/// `robfig/cron/v3` `Next` gives the zero time for what never comes, and that is not later than now (`nodepool.go:436`).
#[test]
fn a_schedule_that_never_hits_always_holds() {
    let never = "{nodes: '0', schedule: '0 0 30 2 *', duration: 1h}";
    assert!(active(never, "2026-06-01T00:00:00Z"));
    // A leap day does come.
    let leap = "{nodes: '0', schedule: '0 0 29 2 *', duration: 1h}";
    assert!(!active(leap, "2026-06-01T00:00:00Z"));
    assert!(active(leap, "2028-02-29T00:59:00Z"));
}

/// `nodepool.go:378` `GetAllowedDisruptionsByReason`: the least of those that hold now for the reason; without any, no limit.
#[test]
fn the_least_of_active_budgets_holds() {
    let text = pool(
        "p",
        "consolidateAfter: 0s, budgets: [{nodes: 50%}, {nodes: '2', reasons: [Empty]}, {nodes: '0', schedule: '0 3 * * *', duration: 1h}]",
        "",
    );
    let world = world(&[text]);
    let of = |reason, at: &str| budgets::allowed(&world.pools[0], 9, reason, at.parse().unwrap());
    assert_eq!(
        of(DisruptionReason::Underutilized, "2026-01-05T12:00:00Z"),
        5
    );
    assert_eq!(of(DisruptionReason::Empty, "2026-01-05T12:00:00Z"), 2);
    assert_eq!(of(DisruptionReason::Drifted, "2026-01-05T03:30:00Z"), 0);
}

/// `nodepool.go:393`: a budget that makes no sense stops everything, whatever its reasons.
#[test]
fn a_broken_budget_stops_everything() {
    let text = pool(
        "p",
        "consolidateAfter: 0s, budgets: [{nodes: '5', duration: 1h, reasons: [Empty]}]",
        "",
    );
    let world = world(&[text]);
    let allowed = budgets::allowed(&world.pools[0], 9, DisruptionReason::Drifted, noon());
    assert_eq!(allowed, 0);
}

/// `helpers.go:262`: nodes that are starting don't count; those that are not ready or going are taken off what is allowed.
#[test]
fn nodes_that_are_going_are_taken_off() {
    let mut world = world(&[
        pool("p", "consolidateAfter: 0s, budgets: [{nodes: 50%}]", ""),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        node("n3", "p", "m"),
        node("n4", "p", "m"),
        node("n5", "p", "m"),
    ]);
    let of = |world: &World| budgets::allowances(world, noon(), DisruptionReason::Empty)[0];
    assert_eq!((of(&world).nodes, of(&world).left()), (5, 3));
    world.nodes[0].deleting = true;
    world.nodes[1].ready = false;
    assert_eq!((of(&world).disrupting, of(&world).left()), (2, 1));
    world.nodes[2].stage = Stage::Registered;
    assert_eq!((of(&world).nodes, of(&world).left()), (4, 0));
    world.nodes[0].claim.as_mut().unwrap().instance_terminating = true;
    assert_eq!((of(&world).nodes, of(&world).left()), (3, 1));
}

/// `pkg/utils/disruption/disruption.go:48` `EvictionCost`.
#[test]
fn an_eviction_costs_by_deletion_cost_and_priority() {
    let mut world = world(&[open("p"), node("n1", "p", "m"), on("n1", "a", "a", "1", "")]);
    let pod = &mut world.pods[0];
    assert!((costs::eviction(pod, 0) - 1.0).abs() < 1e-9);
    assert!((costs::eviction(pod, 1 << 25) - 2.0).abs() < 1e-9);
    assert!((costs::eviction(pod, 2_000_001_000) - 10.0).abs() < 1e-9);
    pod.deletion_cost = 1 << 27;
    assert!((costs::eviction(pod, 0) - 2.0).abs() < 1e-9);
    pod.deletion_cost = -i32::MAX;
    assert!((costs::eviction(pod, 0) + 10.0).abs() < 1e-9);
}

/// `types.go:137`: 1 and what pods cost, none less than 0; `types.go:156`: so a node of pods that cost nothing is empty.
#[test]
fn pods_that_cost_nothing_leave_a_node_empty() {
    let parts = [
        open("p"),
        node("n1", "p", "m"),
        noted(
            "n1",
            "a",
            "a",
            "1",
            "controller.kubernetes.io/pod-deletion-cost: '-2147483647'",
        ),
    ];
    let new = world(&parts);
    assert!((costs::rescheduling(&new, &[PodId(0)]) - 1.0).abs() < 1e-9);
    let command = pass(&new, Method::Emptiness).commands.remove(0);
    assert_eq!(command.pods, [PodId(0)]);
    // Up to 1.13 only nodes without pods were (`emptiness.go:53` of v1.13.0).
    let old = world_of("1.13", &parts);
    assert_eq!(pass(&old, Method::Emptiness).commands, []);
    assert_eq!(why(&old, Method::Emptiness, "n1"), "Node is not empty");
}

/// `disruption.go:36` `LifetimeRemaining`.
#[test]
fn the_rest_of_a_life_weighs_up_to_1_13() {
    let world = world(&[
        open("p"),
        managed("n1", "p", "m", "on-demand", ", expireAfter: 48h"),
        managed("n2", "p", "m", "on-demand", ", expireAfter: 24h"),
        managed("n3", "p", "m", "on-demand", ", expireAfter: Never"),
    ]);
    let of = |id: u32| costs::lifetime_remaining(world.node(NodeId(id)), noon());
    assert_eq!((of(0), of(1), of(2)), (0.5, 0.0, 1.0));
    // `nodeclaim/expiration/controller.go:72`.
    assert_eq!(expiration::expired(&world, noon()), [(NodeId(1), noon())]);
    assert_eq!(
        expiration::next(&world, noon()),
        Some("2026-01-06T12:00:00Z".parse().unwrap())
    );
}

/// `statenode.go:212` `ValidateNodeDisruptable`: every reason is told, not only the first.
#[test]
fn every_reason_against_a_node_is_told() {
    let mut world = world(&[
        open("p"),
        node("n1", "p", "m"),
        noted("n1", "a", "a", "1", "karpenter.sh/do-not-disrupt: 'true'"),
        on("n1", "b", "web", "1", ""),
        pdb("web", "web", "maxUnavailable: 1", 0),
    ]);
    world.nodes[0].do_not_disrupt = true;
    world.nodes[0].nominated_until = Some("2026-01-05T12:00:10Z".parse().unwrap());
    assert_eq!(
        blockers(&world, "n1"),
        [
            "Node is nominated for a pending pod (until 2026-01-05T12:00:10Z)",
            "Disruption is blocked through the \"karpenter.sh/do-not-disrupt\" annotation",
            "Pod has \"karpenter.sh/do-not-disrupt\" annotation (Pod=shop/a)",
            "Pdb prevents pod evictions (PodDisruptionBudget=[shop/web], Pod=shop/b)",
        ]
    );
    world.nodes[0].deleting = true;
    assert_eq!(
        blockers(&world, "n1")[0],
        "Node is deleting or marked for deletion"
    );
    world.nodes[0].stage = Stage::Launched;
    assert_eq!(
        blockers(&world, "n1")[0],
        "Nodeclaim does not have an associated node"
    );
    world.nodes[0].claim = None;
    assert_eq!(blockers(&world, "n1"), ["Node isn't managed by karpenter"]);
}

/// `types.go:181`: without its pool, or its pool's types, a node is none of disruption's.
#[test]
fn a_node_needs_its_pool() {
    let world = world(&[open("p"), node("n1", "gone", "m")]);
    assert_eq!(
        blockers(&world, "n1"),
        ["NodePool not found (NodePool=gone)"]
    );
}

/// `consolidation.go:100` `ShouldDisrupt`: type, capacity type and zone have to be known.
#[test]
fn a_price_needs_type_capacity_type_and_zone() {
    let parts = [open("p"), node("n1", "p", "m"), on("n1", "a", "a", "1", "")];
    let of = |from: &str, to: &str| {
        let text = parts.concat().replace(from, to);
        let world = with_types(&text, TYPES, "1.14");
        why(&world, Method::SingleNode, "n1")
    };
    assert_eq!(
        of("instance-type: m", "instance-type: q"),
        "Instance Type \"q\" not found"
    );
    assert_eq!(
        of("karpenter.sh/capacity-type: on-demand,", ""),
        "Node does not have label \"karpenter.sh/capacity-type\""
    );
    assert_eq!(
        of("topology.kubernetes.io/zone: a,", ""),
        "Node does not have label \"topology.kubernetes.io/zone\""
    );
}

/// `nodeclaim/disruption/consolidation.go:40`: the last pod event counts, without one the initialisation; `Never` is never.
#[test]
fn consolidate_after_counts_from_the_last_pod_event() {
    let parts = |after: &str| {
        [
            pool(
                "p",
                &format!("consolidateAfter: {after}, budgets: [{{nodes: 100%}}]"),
                "",
            ),
            node("n1", "p", "m"),
        ]
    };
    let mut hour = world(&parts("1h"));
    assert_eq!(pass(&hour, Method::Emptiness).commands.len(), 1);
    let claim = hour.nodes[0].claim.as_mut().unwrap();
    claim.last_pod_event = Some("2026-01-05T11:30:00Z".parse().unwrap());
    assert_eq!(
        why(&hour, Method::Emptiness, "n1"),
        "consolidateAfter window not yet elapsed (until 2026-01-05T12:30:00Z)"
    );
    let then = "2026-01-05T12:30:00Z".parse().unwrap();
    let later = pass_at(&hour, Method::Emptiness, then, Settings::default());
    assert_eq!(later.commands.len(), 1);
    let never = world(&parts("Never"));
    assert_eq!(
        why(&never, Method::Emptiness, "n1"),
        "NodePool \"p\" has consolidation disabled"
    );
    // Where no times are known the snapshot's condition decides.
    let claim = hour.nodes[0].claim.as_mut().unwrap();
    (claim.last_pod_event, claim.initialized_at) = (None, None);
    claim.consolidatable = Some(true);
    assert_eq!(pass(&hour, Method::Emptiness).commands.len(), 1);
    hour.nodes[0].claim.as_mut().unwrap().consolidatable = None;
    assert_eq!(
        why(&hour, Method::Emptiness, "n1"),
        "Nodeclaim is not marked consolidatable"
    );
}

/// `types.go:101`, `balanced.go:108`.
#[test]
fn a_score_is_savings_over_disruption() {
    let totals = PoolTotals {
        cost: MicroUsd(1_000_000),
        disruption: 10.0,
    };
    let score = Score::of(100_000.0, 2.0, totals);
    assert!((score.score() - 0.5).abs() < 1e-9 && score.is_approved());
    assert!(!Score::of(99_000.0, 2.0, totals).is_approved());
    assert!(!Score::of(-1.0, 0.0, totals).is_approved());
    assert!(Score::of(1.0, 0.0, totals).is_approved());
    assert!(!Score::of(1.0, 1.0, PoolTotals::default()).is_approved());
}

fn hash(version: &str, hash: &str) -> Option<SpecHash> {
    Some(SpecHash {
        version: version.to_owned(),
        hash: hash.to_owned(),
    })
}

fn drifted(world: &World) -> Option<DriftReason> {
    drift::reason(world, NodeId(0), noon())
}

/// `nodeclaim/disruption/drift.go:154`: hashes of one version are compared, of the pool first, of the node class last (AWS
/// `pkg/cloudprovider/drift.go:181`).
#[test]
fn hashes_tell_drift() {
    let mut world = world(&[open("p"), node("n1", "p", "m")]);
    assert_eq!(drifted(&world), None);
    world.pools[0].hash = hash("v3", "1");
    assert_eq!(drifted(&world), None, "the claim has none");
    world.nodes[0].claim.as_mut().unwrap().pool_hash = hash("v2", "2");
    assert_eq!(drifted(&world), None, "another version");
    world.pools[0].class_hash = hash("v4", "1");
    world.nodes[0].claim.as_mut().unwrap().class_hash = hash("v4", "2");
    assert_eq!(drifted(&world), Some(DriftReason::NodeClass));
    world.nodes[0].claim.as_mut().unwrap().pool_hash = hash("v3", "2");
    assert_eq!(drifted(&world), Some(DriftReason::NodePool));
}

/// `drift.go:170`: the pool's requirements against the node's labels; a label that isn't there is denied.
#[test]
fn requirements_tell_drift() {
    let with = |requirement: &str| {
        let text = pool("p", "consolidateAfter: 0s", requirement);
        drifted(&world(&[text, node("n1", "p", "m")]))
    };
    assert_eq!(with(ON_DEMAND), None);
    assert_eq!(with(SPOT), Some(DriftReason::Requirements));
    let missing = "{key: team, operator: In, values: [a]}";
    assert_eq!(with(missing), Some(DriftReason::Requirements));
    assert_eq!(with("{key: team, operator: DoesNotExist}"), None);
}

/// `drift.go:127`: a type that isn't offered any more, an hour after the claim was made; the snapshot's word holds for what only the
/// cloud can tell.
#[test]
fn missing_types_and_the_clouds_word_tell_drift() {
    let mut world = world(&[open("p"), node("n1", "p", "gone")]);
    assert_eq!(drifted(&world), Some(DriftReason::InstanceTypeNotFound));
    let claim = world.nodes[0].claim.as_mut().unwrap();
    claim.created = Some("2026-01-05T11:30:00Z".parse().unwrap());
    assert_eq!(drifted(&world), None);
    let claim = world.nodes[0].claim.as_mut().unwrap();
    claim.drifted = Some("AMIDrift".to_owned());
    assert_eq!(
        drifted(&world),
        Some(DriftReason::Other("AMIDrift".to_owned()))
    );
    // What can be told from the objects is told from them.
    let claim = world.nodes[0].claim.as_mut().unwrap();
    claim.drifted = Some("NodePoolDrifted".to_owned());
    assert_eq!(drifted(&world), None);
}

/// `pkg/controllers/interruption/utils.go:207` `actionForMessage`, `:133` `markUnavailableOfferings`.
#[test]
fn messages_lead_to_actions() {
    let mut world = world(&[
        open("p"),
        managed("n1", "p", "m", "spot", ""),
        crate::testing::node("n2", "a", "", ""),
    ]);
    let n1 = world.find_node("n1").unwrap();
    let of = |world: &World, event| interrupt(world, n1, event).unwrap();
    let spot = of(&world, Event::SpotInterruption);
    assert_eq!((spot.action, spot.deletes), (Action::CordonAndDrain, true));
    let (kind, zone, bought) = spot.unavailable.unwrap();
    assert_eq!(world.names.value_text(kind), "m");
    assert_eq!(world.names.value_text(zone), "a");
    assert_eq!(bought, CapacityType::Spot);
    let rebalance = of(&world, Event::RebalanceRecommendation);
    assert_eq!(
        (rebalance.action, rebalance.deletes, rebalance.unavailable),
        (Action::NoAction, false, None)
    );
    for (text, action) in [
        ("scheduled-change", Action::CordonAndDrain),
        ("stopping", Action::CordonAndDrain),
        ("terminated", Action::CordonAndDrain),
        ("capacity-reservation", Action::CordonAndDrain),
        ("impaired", Action::ForcefulTermination),
    ] {
        let event: Event = text.parse().unwrap();
        assert_eq!(event.to_string(), text);
        assert_eq!(of(&world, event).action, action, "{text}");
    }
    assert!("spots".parse::<Event>().is_err());
    let unmanaged = world.find_node("n2").unwrap();
    assert_eq!(interrupt(&world, unmanaged, Event::Impaired), None);
    world.nodes[n1.0 as usize].deleting = true;
    let again = of(&world, Event::StateChange(InstanceState::Stopped));
    assert!(!again.deletes, "it is going already (utils.go:154)");
}

/// `helpers.go:262` and `multinodeconsolidation.go:69`: a budget's refusal says what it allows.
#[test]
fn a_budget_refuses_in_words() {
    let world = world(&[
        pool(
            "p",
            "consolidateAfter: 0s, budgets: [{nodes: '0', reasons: [Empty]}]",
            "",
        ),
        node("n1", "p", "m"),
    ]);
    assert_eq!(
        why(&world, Method::Emptiness, "n1"),
        "No allowed disruptions for disruption reason Empty due to blocking budget (NodePool=p, allowed 0, disrupting 0)"
    );
    let pass = pass(&world, Method::Emptiness);
    assert!(matches!(
        refusal(&world, &pass, "n1"),
        Refusal::Budget {
            pool: PoolId(0),
            ..
        }
    ));
}

/// `disruption.go:79` and `scheduler.go:614` since 1.14: moved pods don't go to nodes within their `consolidateAfter`.
#[test]
fn fresh_nodes_are_no_destinations_since_1_14() {
    let parts = [
        pool(
            "p",
            "consolidateAfter: 1h, budgets: [{nodes: 100%}]",
            ON_DEMAND,
        ),
        node("n1", "p", "s"),
        node("n2", "p", "m"),
        on("n1", "a", "a", "1", ""),
        on("n2", "b", "b", "1", ""),
    ];
    let run = |version: &str| {
        let mut world = world_of(version, &parts);
        let n2 = world.find_node("n2").unwrap();
        let claim = world.nodes[n2.0 as usize].claim.as_mut().unwrap();
        claim.last_pod_event = Some("2026-01-05T11:59:00Z".parse().unwrap());
        let round = Round::new(&world, noon(), Settings::default());
        let mut planner = crate::karpenter::provisioning::Planner::new(&world, Default::default());
        let id = world.find_node("n1").unwrap();
        let mut all = round.each(&mut planner);
        let place = all.iter().position(|(node, _)| *node == id).unwrap();
        all.remove(place).1
    };
    assert_eq!(run("1.14").unwrap_err(), Refusal::NotCheaper);
    assert_eq!(run("1.13").unwrap().replacements, []);
}

/// A round comes to the same until a window, a protection, a nomination or a budget changes.
#[test]
fn the_next_change_by_the_clock_is_known() {
    let at = |text: &str| Some(text.parse::<jiff::Timestamp>().unwrap());
    let office = budget("{nodes: '0', schedule: '0 9 * * *', duration: 8h}");
    let of = |text: &str| budgets::changes_at(&office, text.parse().unwrap());
    assert_eq!(of("2026-01-05T08:00:00Z"), at("2026-01-05T09:00:00Z"));
    assert_eq!(of("2026-01-05T12:00:00Z"), at("2026-01-05T17:00:00Z"));
    assert_eq!(of("2026-01-05T17:00:00Z"), at("2026-01-06T09:00:00Z"));
    let mut world = world(&[
        pool(
            "p",
            "consolidateAfter: 25h, budgets: [{nodes: '0', schedule: '0 9 * * *', duration: 8h}]",
            "",
        ),
        node("n1", "p", "m"),
    ]);
    let next = |world: &World| Round::new(world, noon(), Settings::default()).changes_at();
    assert_eq!(next(&world), at("2026-01-05T13:00:00Z"));
    world.nodes[0].nominated_until = at("2026-01-05T12:00:20Z");
    assert_eq!(next(&world), at("2026-01-05T12:00:20Z"));
}

/// Every managed node that stays has one reason.
#[test]
fn each_node_that_stays_has_its_reason() {
    let world = world(&[
        pool(
            "p",
            "consolidateAfter: 0s, budgets: [{nodes: '0', reasons: [Empty]}]",
            ON_DEMAND,
        ),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        node("n3", "p", "m"),
        on("n2", "a", "a", "3800m", ""),
        on("n3", "b", "web", "3800m", ""),
        pdb("web", "web", "maxUnavailable: 1", 0),
    ]);
    let mut world = world;
    world.nodes[0].taints.push(crate::shape::Taint {
        key: crate::names::Key::HOSTNAME,
        value: crate::names::Value::EMPTY,
        effect: crate::shape::Effect::NoSchedule,
    });
    let round = Round::new(&world, noon(), Settings::default());
    let mut planner = crate::karpenter::provisioning::Planner::new(&world, Default::default());
    let passes = round.next(Method::Emptiness, &mut planner).unwrap_err();
    let told: Vec<(String, Refusal)> = round
        .left_alone(&passes)
        .into_iter()
        .map(|(node, refusal)| {
            (
                world.names.value_text(world.node(node).name).into_owned(),
                refusal,
            )
        })
        .collect();
    assert_eq!(told.len(), 3);
    assert!(matches!(&told[0], (name, Refusal::Budget { .. }) if name == "n1"));
    assert_eq!(told[1], ("n2".to_owned(), Refusal::NotCheaper));
    assert!(matches!(&told[2], (name, Refusal::Pdb { .. }) if name == "n3"));
}
