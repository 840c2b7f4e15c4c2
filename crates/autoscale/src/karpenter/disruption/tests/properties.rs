//! What holds for any cluster.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fixture::*;
use crate::karpenter::disruption::{Method, Round, Settings, budgets};
use crate::karpenter::provisioning::{Options, Planner};
use crate::world::World;

#[derive(Debug, Clone)]
struct Machine {
    pool: usize,
    kind: usize,
    spot: bool,
    pods: Vec<(usize, u32)>,
    ready: bool,
    drifted: bool,
}

fn machines() -> impl Strategy<Value = Vec<Machine>> {
    let pods = prop::collection::vec((0_usize..5, 50_u32..1500), 0..4);
    let machine = (
        0_usize..2,
        0_usize..4,
        any::<bool>(),
        pods,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
    );
    let machine = machine.prop_map(|(pool, kind, spot, pods, ready, drifted)| Machine {
        pool,
        kind,
        spot,
        pods,
        ready,
        drifted,
    });
    prop::collection::vec(machine, 1..9)
}

fn build(machines: &[Machine], budgets: &[u32; 2], balanced: bool, backwards: bool) -> World {
    let policy = if balanced {
        "Balanced"
    } else {
        "WhenEmptyOrUnderutilized"
    };
    let mut parts: Vec<String> = budgets
        .iter()
        .enumerate()
        .map(|(index, nodes)| {
            let disruption = format!(
                "consolidateAfter: 0s, consolidationPolicy: {policy}, budgets: [{{nodes: '{nodes}'}}]"
            );
            pool(&format!("p{index}"), &disruption, "")
        })
        .collect();
    parts.push(pdb("b", "a0", "maxUnavailable: 1", 0));
    for (index, machine) in machines.iter().enumerate() {
        let name = format!("n{index}");
        let kind = ["s", "m", "l", "xl"][machine.kind];
        let bought = if machine.spot { "spot" } else { "on-demand" };
        let mut text = managed(&name, &format!("p{}", machine.pool), kind, bought, "");
        if !machine.ready {
            text = text.replace(
                "{type: Ready, status: 'True'}",
                "{type: Ready, status: 'False'}",
            );
        }
        if machine.drifted {
            text = text.replace(
                "conditions: [{type: Initialized",
                "conditions: [{type: Drifted, status: 'True', reason: AMIDrift, lastTransitionTime: '2026-01-05T09:00:00Z'}, {type: Initialized",
            );
        }
        parts.push(text);
        for (place, (app, milli)) in machine.pods.iter().enumerate() {
            let cpu = format!("{milli}m");
            parts.push(on(
                &name,
                &format!("{name}-{place}"),
                &format!("a{app}"),
                &cpu,
                "",
            ));
        }
    }
    if backwards {
        parts.reverse();
    }
    world(&parts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No command takes more nodes of a pool than its budgets allow, none makes the cluster dearer but those of drift, and every
    /// pod that moves has a place.
    #[test]
    fn commands_keep_their_promises(
        machines in machines(),
        budget in prop::array::uniform2(0_u32..4),
        balanced: bool,
        spot_to_spot: bool,
    ) {
        let world = build(&machines, &budget, balanced, false);
        let settings = Settings { spot_to_spot, ..Settings::default() };
        let round = Round::new(&world, noon(), settings);
        let mut planner = Planner::new(&world, Options::default());
        for method in Method::ORDER {
            let pass = round.pass(method, &mut planner);
            let mut taken = vec![0_u32; world.pools.len()];
            for command in &pass.commands {
                let own: BTreeSet<_> = command.candidates.iter().collect();
                prop_assert_eq!(own.len(), command.candidates.len());
                for node in &command.candidates {
                    prop_assert!(!round.blocked().iter().any(|(other, _)| other == node));
                    taken[world.node(*node).pool.unwrap().0 as usize] += 1;
                }
                let placed: BTreeSet<_> = command
                    .placements
                    .iter()
                    .map(|placement| placement.pod)
                    .chain(command.replacements.iter().flat_map(|claim| claim.pods.iter().copied()))
                    .collect();
                for placement in &command.placements {
                    prop_assert!(!own.contains(&placement.node));
                }
                if method != Method::Emptiness {
                    for pod in &command.pods {
                        prop_assert!(placed.contains(pod), "{:?} of {:?}", pod, command);
                    }
                }
                if matches!(method, Method::MultiNode | Method::SingleNode) {
                    prop_assert!(command.savings.0 > 0, "{:?}", command);
                    prop_assert!(command.replacements.len() <= 1);
                    for claim in &command.replacements {
                        let types = &world.type_sets[claim.type_set.0 as usize];
                        prop_assert!(!claim.types.is_empty());
                        for index in claim.types.iter() {
                            // Whatever AWS launches of it is cheaper, and holds the pods.
                            let kind = types.get(index);
                            for offering in kind.launchable(&claim.requirements, &world.names) {
                                prop_assert!(offering.price < command.before);
                            }
                            prop_assert!(claim.requests.fit(&kind.allocatable()));
                        }
                    }
                }
            }
            let allowed = budgets::allowances(&world, noon(), method.reason());
            for (taken, allowed) in taken.iter().zip(&allowed) {
                prop_assert!(*taken <= allowed.left());
            }
        }
    }

    /// The order in which objects are read plays no part.
    #[test]
    fn the_order_of_input_plays_no_part(machines in machines(), balanced: bool) {
        let told = |world: &World| {
            let round = Round::new(world, noon(), Settings::default());
            let mut planner = Planner::new(world, Options::default());
            Method::ORDER.map(|method| {
                let pass = round.pass(method, &mut planner);
                let commands: Vec<_> = pass
                    .commands
                    .iter()
                    .map(|command| (names(world, command), command.savings))
                    .collect();
                let mut refusals: Vec<String> = pass
                    .refusals
                    .iter()
                    .map(|(node, _)| world.names.value_text(world.node(*node).name).into_owned())
                    .collect();
                refusals.sort();
                (commands, refusals)
            })
        };
        let (forth, back) = (
            build(&machines, &[3, 3], balanced, false),
            build(&machines, &[3, 3], balanced, true),
        );
        prop_assert_eq!(told(&forth), told(&back));
    }

    /// A schedule's next hit is on the schedule, later, and nothing between is.
    #[test]
    fn the_next_hit_is_the_first(minute in 0_u8..60, hour in 0_u8..24, weekday in 0_u8..7, start in 0_i64..40_000_000) {
        let text = format!("{minute} {hour} * * {weekday}");
        let schedule: objects::budget::CronSchedule = text.parse().unwrap();
        let from = jiff::Timestamp::from_second(1_767_225_600 + start).unwrap();
        let hit = budgets::next_hit(&schedule, from).unwrap();
        prop_assert!(hit > from);
        prop_assert!(hit.duration_since(from) <= jiff::SignedDuration::from_hours(7 * 24));
        let zoned = hit.to_zoned(jiff::tz::TimeZone::UTC);
        prop_assert_eq!(zoned.minute(), i8::try_from(minute).unwrap());
        prop_assert_eq!(zoned.hour(), i8::try_from(hour).unwrap());
        prop_assert_eq!(zoned.weekday().to_sunday_zero_offset(), i8::try_from(weekday).unwrap());
    }
}

/// The clusters above are no idle ones: nodes of theirs do go.
#[test]
fn the_clusters_have_something_to_do() {
    let machine = |kind: usize, pods: Vec<(usize, u32)>| Machine {
        pool: 0,
        kind,
        spot: false,
        pods,
        ready: true,
        drifted: false,
    };
    let world = build(
        &[
            machine(3, vec![(1, 500)]),
            machine(0, vec![]),
            machine(1, vec![(2, 900)]),
        ],
        &[3, 3],
        false,
        false,
    );
    assert_eq!(pass(&world, Method::Emptiness).commands.len(), 1);
    assert_eq!(pass(&world, Method::MultiNode).commands.len(), 1);
}
