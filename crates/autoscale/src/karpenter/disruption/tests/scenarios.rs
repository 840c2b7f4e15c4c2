//! Small clusters, what is decided about them, and why.

use super::fixture::*;
use crate::instances::MicroUsd;
use crate::karpenter::disruption::{
    Command, Decision, Method, Refusal, Round, SPOT_TO_SPOT_TYPES, Settings,
};
use crate::karpenter::provisioning::{Options, Planner};
use crate::names::{Key, Value};
use crate::testing::{anti_affinity, pod};
use crate::world::{SpecHash, Stage, World};

fn single(world: &World) -> Command {
    let mut pass = pass(world, Method::SingleNode);
    assert_eq!(pass.commands.len(), 1, "{:?}", pass.refusals);
    pass.commands.remove(0)
}

fn multi(world: &World) -> Option<Command> {
    pass(world, Method::MultiNode).commands.pop()
}

fn spot_to_spot() -> Settings {
    Settings {
        spot_to_spot: true,
        ..Settings::default()
    }
}

/// Three empty nodes, a budget of two: two go at once, the third waits for the next round.
#[test]
fn emptiness_takes_what_budgets_allow() {
    let world = world(&[
        pool("p", "consolidateAfter: 0s, budgets: [{nodes: '2'}]", ""),
        node("n1", "p", "m"),
        node("n2", "p", "l"),
        node("n3", "p", "m"),
    ]);
    let pass = pass(&world, Method::Emptiness);
    // The dearest first: that is the greatest saving for the same disruption.
    assert_eq!(names(&world, &pass.commands[0]), ["n2", "n1"]);
    assert_eq!(pass.commands[0].savings, MicroUsd(600_000));
    assert!(matches!(
        refusal(&world, &pass, "n3"),
        Refusal::Budget { .. }
    ));
}

/// Daemons stay with their node: one with nothing but daemons is empty, and no budget of theirs is asked.
#[test]
fn a_node_of_daemons_is_empty() {
    let daemon = on("n1", "d", "d", "1", "").replace("kind: ReplicaSet", "kind: DaemonSet");
    let world = world(&[open("p"), node("n1", "p", "m"), daemon]);
    assert_eq!(first(&world).unwrap().method, Method::Emptiness);
}

/// The pod of one node fits on the other, whatever that costs: it goes without a replacement.
#[test]
fn a_node_goes_when_its_pods_fit_elsewhere() {
    let world = world(&[
        open("p"),
        node("n1", "p", "l"),
        node("n2", "p", "m"),
        on("n1", "a", "a", "1", ""),
        on("n2", "b", "b", "2", ""),
    ]);
    let command = single(&world);
    assert_eq!(names(&world, &command), ["n1"]);
    assert_eq!(command.decision(), Decision::Delete);
    assert_eq!(command.placements.len(), 1);
    assert_eq!(command.savings, MicroUsd(400_000));
}

/// One core on eight: every type that is cheaper than 0.40 is asked for; the cheapest tells the savings.
#[test]
fn a_node_becomes_a_cheaper_one() {
    let world = world(&[open("p"), node("n1", "p", "l"), on("n1", "a", "a", "1", "")]);
    let command = single(&world);
    assert_eq!(types(&world, &command), ["s", "m"]);
    assert_eq!(command.savings, MicroUsd(300_000));
}

/// Three cores on four: nothing cheaper holds them, and the same price is not cheaper.
#[test]
fn the_same_price_is_not_cheaper() {
    let world = world(&[open("p"), node("n1", "p", "m"), on("n1", "a", "a", "3", "")]);
    assert_eq!(
        why(&world, Method::SingleNode, "n1"),
        "Can't replace with a cheaper node"
    );
}

/// On-demand may become spot; then spot is all that may be launched, so that a lack of it doesn't make things dearer.
#[test]
fn on_demand_becomes_spot_and_nothing_else() {
    let world = world(&[
        pool("p", "consolidateAfter: 0s, budgets: [{nodes: 100%}]", ""),
        node("n1", "p", "m"),
        on("n1", "a", "a", "3", ""),
    ]);
    let command = single(&world);
    // Eight cores of spot cost 0.20 too: not cheaper.
    assert_eq!(types(&world, &command), ["m"]);
    let bought = command.replacements[0].requirements.get(Key::CAPACITY_TYPE);
    assert_eq!(bought.unwrap().single(), Some(Value::SPOT));
    assert_eq!(command.savings, MicroUsd(100_000));
}

/// The dearest offering that may be launched counts: spot of one zone that costs more than the node rules a type out.
#[test]
fn the_worst_launch_price_counts() {
    let mut world = world(&[
        pool("p", "consolidateAfter: 0s, budgets: [{nodes: 100%}]", ""),
        node("n1", "p", "m"),
        on("n1", "a", "a", "3", ""),
    ]);
    let kind = world.names.value("m");
    let mut types = world.type_sets[0].types().to_vec();
    let m = types.iter_mut().find(|other| other.name == kind).unwrap();
    let dear = m
        .offerings
        .iter_mut()
        .find(|offering| offering.capacity_type == crate::instances::CapacityType::Spot);
    dear.unwrap().price = MicroUsd(210_000);
    world.type_sets[0] = crate::instances::TypeSet::new(types);
    assert_eq!(
        why(&world, Method::SingleNode, "n1"),
        "Can't replace with a cheaper node"
    );
}

/// Two pods that keep apart: one node would become two.
#[test]
fn one_node_never_becomes_two() {
    let apart = anti_affinity("kubernetes.io/hostname", "a");
    let mut world = world(&[
        open("p"),
        node("n1", "p", "xl"),
        on("n1", "a1", "a", "1", &apart),
        on("n1", "a2", "a", "1", &apart),
    ]);
    assert_eq!(
        why(&world, Method::SingleNode, "n1"),
        "Can't remove without creating 2 candidates"
    );
    // Drift replaces it by as many as it takes.
    world.pools[0].hash = hash("1");
    world.nodes[0].claim.as_mut().unwrap().pool_hash = hash("2");
    let command = first(&world).unwrap();
    assert_eq!(
        (command.method, command.replacements.len()),
        (Method::Drift, 2)
    );
}

fn hash(text: &str) -> Option<SpecHash> {
    Some(SpecHash {
        version: "v3".to_owned(),
        hash: text.to_owned(),
    })
}

/// A node that may never come up is no place to count on.
#[test]
fn nodes_that_start_are_not_counted_on() {
    let mut world = world(&[
        open("p"),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        on("n1", "a", "a", "1", ""),
    ]);
    let n2 = world.find_node("n2").unwrap();
    world.nodes[n2.0 as usize].stage = Stage::Registered;
    assert_eq!(
        why(&world, Method::SingleNode, "n1"),
        "Not all pods would schedule, shop/a => would schedule against uninitialized nodeclaim/n2, node/n2"
    );
}

/// A pod that can never be placed stands in nobody's way.
#[test]
fn a_hopeless_pending_pod_blocks_nothing() {
    let world = world(&[
        open("p"),
        node("n1", "p", "l"),
        on("n1", "a", "a", "1", ""),
        pod("huge", "huge", "100", ""),
    ]);
    assert_eq!(types(&world, &single(&world)), ["s", "m"]);
}

/// A pending pod that needs a node of its own makes it two: nothing is consolidated meanwhile.
#[test]
fn a_pending_pod_takes_the_one_replacement() {
    let world = world(&[
        open("p"),
        node("n1", "p", "m"),
        on("n1", "a", "a", "3", ""),
        pod("b", "b", "15", ""),
    ]);
    assert_eq!(
        why(&world, Method::SingleNode, "n1"),
        "Can't remove without creating 2 candidates"
    );
}

/// The pod asks for a zone that no pool serves.
#[test]
fn a_pod_that_fits_nowhere_keeps_its_node() {
    let world = world(&[
        pool(
            "p",
            "consolidateAfter: 0s",
            "{key: topology.kubernetes.io/zone, operator: In, values: [b]}",
        ),
        node("n1", "p", "m"),
        on(
            "n1",
            "a",
            "a",
            "1",
            "nodeSelector: {topology.kubernetes.io/zone: a}",
        ),
    ]);
    let text = why(&world, Method::SingleNode, "n1");
    assert!(
        text.starts_with("Not all pods would schedule, shop/a => "),
        "{text}"
    );
}

fn spot_world(count: usize, current: &str) -> World {
    let text = [
        pool("p", "consolidateAfter: 0s, budgets: [{nodes: 100%}]", SPOT),
        managed("n1", "p", current, "spot", ""),
        on("n1", "a", "a", "1", ""),
    ];
    with_types(&text.concat(), &ladder(count), "1.14")
}

/// The feature gate is off by default.
#[test]
fn spot_stays_without_its_gate() {
    assert_eq!(
        why(&spot_world(20, "t20"), Method::SingleNode, "n1"),
        "SpotToSpotConsolidation is disabled, can't replace a spot node with a spot node"
    );
}

/// Fourteen cheaper types are too few.
#[test]
fn spot_stays_with_fourteen_cheaper_types() {
    let world = spot_world(20, "t15");
    let pass = pass_at(&world, Method::SingleNode, noon(), spot_to_spot());
    assert_eq!(
        refusal(&world, &pass, "n1").display(&world),
        "SpotToSpotConsolidation requires 15 cheaper instance type options than the current candidate to consolidate, got 14"
    );
}

/// Eighteen cheaper ones are cut to the cheapest fifteen, so that what is launched is among them the next time.
#[test]
fn spot_is_replaced_by_the_cheapest_fifteen() {
    let world = spot_world(20, "t19");
    let pass = pass_at(&world, Method::SingleNode, noon(), spot_to_spot());
    let command = &pass.commands[0];
    let types = types(&world, command);
    assert_eq!(types.len(), SPOT_TO_SPOT_TYPES);
    assert_eq!((types[0].as_str(), types[14].as_str()), ("t01", "t15"));
    assert_eq!(command.savings, MicroUsd(180_000));
}

/// Several spot nodes become one whatever the number of types.
#[test]
fn several_spot_nodes_need_no_fifteen_types() {
    let text = [
        pool("p", "consolidateAfter: 0s, budgets: [{nodes: 100%}]", SPOT),
        managed("n1", "p", "t05", "spot", ""),
        managed("n2", "p", "t06", "spot", ""),
        on("n1", "a", "a", "500m", ""),
        on("n2", "b", "b", "500m", ""),
    ];
    let world = with_types(&text.concat(), &ladder(6), "1.14");
    let pass = pass_at(&world, Method::MultiNode, noon(), spot_to_spot());
    // Not t05 and above: one of the two could stay instead.
    assert_eq!(
        types(&world, &pass.commands[0]),
        ["t01", "t02", "t03", "t04"]
    );
}

/// Two big nodes and a small one: all three as one small node is the small one kept, so only the big ones go.
#[test]
fn a_type_that_is_there_is_kept_instead() {
    let parts = [
        open("p"),
        node("n1", "p", "l"),
        node("n2", "p", "l"),
        node("n3", "p", "s"),
        on("n1", "a", "a", "400m", ""),
        on("n2", "b", "b", "400m", ""),
        on("n3", "c", "c", "400m", ""),
    ];
    let same = world(&parts);
    let command = multi(&same).unwrap();
    assert_eq!(names(&same, &command), ["n1", "n2"]);
    assert_eq!(command.decision(), Decision::Delete);
    // With something cheaper than the small one all three become that.
    let nano = format!("{TYPES}nano,amd64,linux,a;b;c,2,8192,20,100,512,0.08,,\n");
    let world = with_types(&parts.concat(), &nano, "1.14");
    let command = multi(&world).unwrap();
    assert_eq!(command.candidates.len(), 3);
    assert_eq!(types(&world, &command), ["nano"]);
}

/// Halving misses prefixes that are worth it behind ones that are not: two or three small nodes become nothing cheaper, all four
/// would, and are never tried.
#[test]
fn halving_misses_what_lies_behind_a_failure() {
    let mut parts = vec![open("p"), node("n4", "p", "m")];
    for name in ["n1", "n2", "n3"] {
        parts.push(node(name, "p", "s"));
        parts.push(on(name, &format!("{name}-a"), "a", "1900m", ""));
    }
    // Many pods make the dear node the last in line.
    parts.extend((0..5).map(|index| on("n4", &format!("n4-{index}"), "b", "200m", "")));
    // Nothing of the others fits beside them.
    parts.push(on("n4", "n4-big", "b", "1100m", ""));
    let world = world(&parts);
    assert_eq!(multi(&world), None);
    let round = Round::new(&world, noon(), Settings::default());
    let mut planner = Planner::new(&world, Options::default());
    let mut all: Vec<_> = round.candidates().iter().collect();
    all.sort_by(|a, b| b.savings_ratio().total_cmp(&a.savings_ratio()));
    let of = |count: usize, planner: &mut Planner<'_>| {
        round.consolidate(planner, Method::MultiNode, &all[..count])
    };
    assert_eq!(of(2, &mut planner), Err(Refusal::NotCheaper));
    assert_eq!(of(3, &mut planner), Err(Refusal::NotCheaper));
    let missed = of(4, &mut planner).unwrap();
    assert_eq!(types(&world, &missed), ["l"]);
    assert_eq!(missed.savings, MicroUsd(100_000));
}

/// 120 nodes that could all go: 101 do at once (`multinodeconsolidation.go:84`, `:128`).
#[test]
fn at_most_a_hundred_and_one_go_together() {
    let mut parts = vec![open("p"), node("z", "p", "xl"), on("z", "z", "z", "1", "")];
    for index in 0..120 {
        let name = format!("n{index:03}");
        parts.push(node(&name, "p", "s"));
        parts.push(on(&name, &format!("a{index}"), "a", "100m", ""));
    }
    assert_eq!(multi(&world(&parts)).unwrap().candidates.len(), 101);
}

/// Several nodes at once keep to the budget of each pool.
#[test]
fn several_nodes_keep_to_budgets() {
    let mut parts = vec![
        pool(
            "p",
            "consolidateAfter: 0s, budgets: [{nodes: '2'}]",
            ON_DEMAND,
        ),
        pool(
            "q",
            "consolidateAfter: 0s, budgets: [{nodes: '0'}]",
            ON_DEMAND,
        ),
        node("z", "q", "xl"),
        on("z", "z", "z", "12", ""),
    ];
    for index in 0..4 {
        let name = format!("n{index}");
        parts.push(node(&name, "p", "s"));
        parts.push(on(&name, &format!("a{index}"), "a", "500m", ""));
    }
    let world = world(&parts);
    let pass = pass(&world, Method::MultiNode);
    assert_eq!(names(&world, &pass.commands[0]), ["n0", "n1"]);
    let by_budget = pass
        .refusals
        .iter()
        .filter(|(_, refusal)| matches!(refusal, Refusal::Budget { .. }));
    assert_eq!(by_budget.count(), 3);
}

/// A drifted node that could be consolidated is drifted first, by whatever its pods need.
#[test]
fn drift_comes_before_consolidation() {
    let mut world = world(&[open("p"), node("n1", "p", "l"), on("n1", "a", "a", "1", "")]);
    assert_eq!(first(&world).unwrap().method, Method::SingleNode);
    world.pools[0].hash = hash("1");
    world.nodes[0].claim.as_mut().unwrap().pool_hash = hash("2");
    let command = first(&world).unwrap();
    assert_eq!(command.method, Method::Drift);
    // No price is asked: what is as dear or dearer may be launched, too.
    assert_eq!(types(&world, &command), ["s", "m", "l", "xl"]);
}

/// Empty drifted nodes first, then those drifted longest; one at a time.
#[test]
fn drift_takes_empty_nodes_then_the_oldest() {
    let mut world = world(&[
        open("p"),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        node("n3", "p", "m"),
        on("n1", "a", "a", "1", ""),
        on("n2", "b", "b", "1", ""),
    ]);
    for (index, hour) in [(0, 9), (1, 8), (2, 10)] {
        let claim = world.nodes[index].claim.as_mut().unwrap();
        claim.drifted = Some("AMIDrift".to_owned());
        claim.drifted_at = Some(format!("2026-01-05T{hour:02}:00:00Z").parse().unwrap());
    }
    let drift = |world: &World| {
        let pass = pass(world, Method::Drift);
        assert_eq!(pass.commands.len(), 1);
        names(world, &pass.commands[0]).remove(0)
    };
    assert_eq!(drift(&world), "n3");
    world.nodes[2].deleting = true;
    assert_eq!(drift(&world), "n2");
}

/// A pod that may not be evicted keeps a drifted node, unless its claim has a `terminationGracePeriod`.
#[test]
fn drift_goes_past_pods_where_termination_is_bounded() {
    let of = |spec: &str| {
        let mut world = world(&[
            open("p"),
            managed("n1", "p", "m", "on-demand", spec),
            on("n1", "a", "web", "1", ""),
            pdb("web", "web", "maxUnavailable: 1", 0),
        ]);
        world.nodes[0].claim.as_mut().unwrap().drifted = Some("AMIDrift".to_owned());
        (
            pass(&world, Method::Drift),
            pass(&world, Method::SingleNode),
        )
    };
    let (drift, _) = of("");
    assert_eq!(drift.commands, []);
    let (drift, consolidation) = of(", terminationGracePeriod: 1h");
    assert_eq!(drift.commands.len(), 1);
    assert_eq!(consolidation.commands, []);
}

/// A pool with a fixed number of nodes: only its own drift touches it, one for one.
#[test]
fn static_pools_only_drift() {
    let mut world = world(&[
        open("p"),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        on("n1", "a", "a", "100m", ""),
    ]);
    world.pools[0].replicas = Some(2);
    assert_eq!(first(&world), None);
    for node in &mut world.nodes {
        node.claim.as_mut().unwrap().drifted = Some("AMIDrift".to_owned());
    }
    let pass = pass(&world, Method::StaticDrift);
    assert_eq!(pass.commands.len(), 2);
    assert!(
        pass.commands
            .iter()
            .all(|each| each.replacements.len() == 1)
    );
    // It has to shrink first (staticdrift.go:75).
    world.pools[0].replicas = Some(1);
    assert_eq!(
        why(&world, Method::StaticDrift, "n1"),
        "NodePool \"p\" has more nodes than replicas, or its nodes limit is reached"
    );
}

fn balanced(policy: &str, pods: usize) -> World {
    let disruption =
        format!("consolidateAfter: 0s, consolidationPolicy: {policy}, budgets: [{{nodes: 100%}}]");
    let mut parts = vec![
        pool("p", &disruption, ON_DEMAND),
        node("n1", "p", "s"),
        node("n2", "p", "m"),
        on("n2", "b", "b", "3", ""),
    ];
    parts.extend((0..pods).map(|index| on("n1", &format!("a{index}"), "a", "10m", "")));
    world(&parts)
}

/// A third of the cost for the greater part of the disruption: worth it up to two thirds of it.
#[test]
fn balanced_asks_what_is_saved_for_the_disruption() {
    // n1 saves 0.10 of 0.30; it takes 4 of 6 (3 pods) or 5 of 7 (4 pods).
    let single = |world: &World| pass(world, Method::SingleNode);
    let fair = balanced("Balanced", 3);
    let done = single(&fair);
    let [(_, score)] = done.commands[0].scores[..] else {
        panic!("{done:?}");
    };
    assert!((score.score() - 0.5).abs() < 1e-9);
    let dear = balanced("Balanced", 4);
    assert_eq!(
        refusal(&dear, &single(&dear), "n1").display(&dear),
        "score 0.47 < threshold 0.50 (k: 2, savings 33.3%, disruption 71.4%, NodePool=p)"
    );
    let other = balanced("WhenEmptyOrUnderutilized", 4);
    let round = Round::new(&other, noon(), Settings::default());
    let mut planner = Planner::new(&other, Options::default());
    let n1 = other.find_node("n1").unwrap();
    let each = round.each(&mut planner);
    assert!(
        each.iter()
            .any(|(node, answer)| *node == n1 && answer.is_ok())
    );
}

/// Two alike nodes: the one with the pod that is dear to evict is the second choice.
#[test]
fn pod_deletion_cost_weighs() {
    let world = world(&[
        open("p"),
        node("n1", "p", "m"),
        node("n2", "p", "m"),
        noted(
            "n1",
            "a",
            "a",
            "1",
            "controller.kubernetes.io/pod-deletion-cost: '1000000000'",
        ),
        on("n2", "b", "b", "1", ""),
    ]);
    assert_eq!(names(&world, &single(&world)), ["n2"]);
}

/// Since 1.14 the greatest savings for the disruption come first, before it the least disruption.
#[test]
fn the_order_changed_in_1_14() {
    let parts = [
        open("p"),
        node("n1", "p", "s"),
        node("n2", "p", "xl"),
        on("n1", "a", "a", "1", ""),
        on("n2", "b1", "b", "100m", ""),
        on("n2", "b2", "b", "100m", ""),
        on("n2", "b3", "b", "100m", ""),
    ];
    // 0.80 for 4 is more than 0.10 for 2.
    let new = world(&parts);
    assert_eq!(names(&new, &single(&new)), ["n2"]);
    let old = world_of("1.13", &parts);
    assert_eq!(names(&old, &single(&old)), ["n1"]);
    // A node near its end is cheap to disturb there.
    let parts = [
        open("p"),
        managed("n1", "p", "s", "on-demand", ", expireAfter: 720h"),
        managed("n2", "p", "xl", "on-demand", ", expireAfter: 25h"),
        on("n1", "a", "a", "1", ""),
        on("n2", "b1", "b", "100m", ""),
        on("n2", "b2", "b", "100m", ""),
    ];
    let old = world_of("1.13", &parts);
    assert_eq!(names(&old, &single(&old)), ["n2"]);
}

/// One of each pool in turn, so that a big pool doesn't starve a small one.
#[test]
fn pools_take_turns() {
    let mut parts = vec![open("a"), open("b")];
    for (name, pool, kind) in [
        ("a1", "a", "xl"),
        ("a2", "a", "l"),
        ("a3", "a", "m"),
        ("b1", "b", "s"),
    ] {
        parts.push(node(name, pool, kind));
        parts.push(on(name, &format!("pod-{name}"), "x", "1", ""));
    }
    let world = world(&parts);
    let round = Round::new(&world, noon(), Settings::default());
    let mut planner = Planner::new(&world, Options::default());
    let order: Vec<String> = round
        .each(&mut planner)
        .iter()
        .map(|(node, _)| world.names.value_text(world.node(*node).name).into_owned())
        .collect();
    assert_eq!(order, ["a1", "b1", "a2", "a3"]);
}

/// `WhenEmpty` leaves nodes with pods alone.
#[test]
fn when_empty_leaves_pods_alone() {
    let parts = [
        pool(
            "p",
            "consolidateAfter: 0s, consolidationPolicy: WhenEmpty",
            "",
        ),
        node("n1", "p", "xl"),
        on("n1", "a", "a", "1", ""),
    ];
    assert_eq!(
        why(&world(&parts), Method::SingleNode, "n1"),
        "NodePool \"p\" has consolidation policy WhenEmpty, but node is not empty"
    );
    assert_eq!(
        why(&world_of("1.13", &parts), Method::SingleNode, "n1"),
        "NodePool \"p\" has non-empty consolidation disabled"
    );
}

/// What must stay flexible does, after the price has taken its share.
#[test]
fn min_values_hold_after_the_price() {
    let of = |least: u32| {
        let requirement = format!(
            "{ON_DEMAND}, {{key: node.kubernetes.io/instance-type, operator: Exists, minValues: {least}}}"
        );
        world(&[
            pool(
                "p",
                "consolidateAfter: 0s, budgets: [{nodes: 100%}]",
                &requirement,
            ),
            node("n1", "p", "l"),
            on("n1", "a", "a", "1", ""),
        ])
    };
    let two = of(2);
    assert_eq!(types(&two, &single(&two)), ["s", "m"]);
    let text = why(&of(3), Method::SingleNode, "n1");
    assert!(text.starts_with("Filtering by price: "), "{text}");
}

/// A limit that is reached leaves room for a replacement: the node that goes gives its own back.
#[test]
fn a_full_limit_leaves_room_for_a_replacement() {
    let mut world = world(&[open("p"), node("n1", "p", "l"), on("n1", "a", "a", "1", "")]);
    world.pools[0].limits = crate::instances::Limits::new(Vec::new(), Some(1));
    assert_eq!(types(&world, &single(&world)), ["s", "m"]);
}

/// Everything about a node that several things keep: all of them, and what would come of it otherwise.
#[test]
fn an_explanation_tells_all() {
    let mut world = world(&[
        pool(
            "p",
            "consolidateAfter: 24h, budgets: [{nodes: '0', reasons: [Underutilized]}]",
            ON_DEMAND,
        ),
        node("n1", "p", "l"),
        on("n1", "a", "web", "1", ""),
        pdb("web", "web", "maxUnavailable: 1", 0),
    ]);
    world.nodes[0].claim.as_mut().unwrap().last_pod_event = Some(noon());
    let round = Round::new(&world, noon(), Settings::default());
    let mut planner = Planner::new(&world, Options::default());
    let told = round.explain(world.find_node("n1").unwrap(), &mut planner);
    let texts = |all: &[Refusal]| -> Vec<String> {
        all.iter().map(|refusal| refusal.display(&world)).collect()
    };
    assert_eq!(
        texts(&told.blockers),
        ["Pdb prevents pod evictions (PodDisruptionBudget=[shop/web], Pod=shop/a)"]
    );
    let (_, alone) = told
        .methods
        .iter()
        .find(|(method, _)| *method == Method::SingleNode)
        .unwrap();
    assert_eq!(
        texts(alone),
        [
            "consolidateAfter window not yet elapsed (until 2026-01-06T12:00:00Z)",
            "No allowed disruptions for disruption reason Underutilized due to blocking budget (NodePool=p, allowed 0, disrupting 0)",
        ]
    );
    let would = told.alone.unwrap().unwrap();
    assert_eq!(types(&world, &would), ["s", "m"]);
}
