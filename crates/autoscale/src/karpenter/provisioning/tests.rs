use std::collections::BTreeMap;

use super::*;
use crate::instances::CapacityType;
use crate::karpenter::launch::{launch, truncate};
use crate::names::Key;
use crate::resources::{Resource, Resources};
use crate::testing::{POOL, affinity, anti_affinity, node, pending, pod, running, spread, world};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

fn solve(world: &World) -> Outcome {
    let pods = pending(world);
    Planner::new(world, Options::default()).simulate(&Request {
        pods: &pods,
        ..Request::default()
    })
}

/// The names of a claim's types, in the table's order.
fn types(world: &World, claim: &NewClaim) -> Vec<String> {
    let types = &world.type_sets[claim.type_set.0 as usize];
    claim
        .types
        .iter()
        .map(|index| world.names.value_text(types.get(index).name).into_owned())
        .collect()
}

fn errors(world: &World, outcome: &Outcome) -> Vec<String> {
    outcome
        .unschedulable
        .iter()
        .map(|pod| pod.error.display(world))
        .collect()
}

fn zones(world: &World, outcome: &Outcome) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for claim in &outcome.claims {
        let zone = claim.requirements.get(Key::ZONE).unwrap().single().unwrap();
        *counts
            .entry(world.names.value_text(zone).into_owned())
            .or_default() += claim.pods.len();
    }
    counts
}

fn many(count: usize, app: &str, cpu: &str, spec: &str) -> String {
    (0..count)
        .map(|index| pod(&format!("{app}-{index}"), app, cpu, spec))
        .collect()
}

/// `nodeclaim.go:541`: a claim keeps every type that still fits; types that don't are dropped. Price plays no part.
#[test]
fn a_claim_grows_while_a_type_fits() {
    let world = world(&format!("{POOL}{}", many(3, "web", "1500m", "")));
    let outcome = solve(&world);
    assert_eq!(outcome.claims.len(), 1);
    assert_eq!(types(&world, &outcome.claims[0]), ["l", "big.metal"]);
    assert_eq!(outcome.claims[0].requests[Resource::CPU], 4500);
}

/// `scheduler.go:582`: nodes that are there come before new claims; `scheduler.go:845`: initialised ones first, then by name.
#[test]
fn nodes_that_are_there_come_first() {
    let text = format!(
        "{POOL}{}{}{}",
        node("n2", "a", "", ""),
        node("n1", "b", "", ""),
        many(3, "web", "2", "")
    );
    let world = world(&text);
    let outcome = solve(&world);
    let names: Vec<_> = outcome
        .placements
        .iter()
        .map(|placement| {
            world
                .names
                .value_text(world.node(placement.node).name)
                .into_owned()
        })
        .collect();
    assert_eq!(names, ["n1", "n2"]);
    assert_eq!(outcome.claims.len(), 1);
}

/// `pkg/utils/nodepool/nodepool.go:161`: more weight first, ties by name backwards.
#[test]
fn pools_are_tried_by_weight() {
    let second = POOL.replace("general", "zulu");
    let heavy = POOL
        .replace("general", "alpha")
        .replace("spec:\n  template", "spec:\n  weight: 10\n  template");
    for (pools, expected) in [
        (format!("{POOL}---\n{second}"), "zulu"),
        (format!("{POOL}---\n{second}---\n{heavy}"), "alpha"),
    ] {
        let world = world(&format!("{pools}{}", pod("p", "web", "1", "")));
        let outcome = solve(&world);
        let pool = world.pool(outcome.claims[0].pool).name;
        assert_eq!(world.names.value_text(pool), expected);
    }
}

/// `scheduler.go:1069` drops types over the limit, `:1049` takes the largest that is left and never gives it back.
#[test]
fn limits_count_the_largest_type() {
    let limited = POOL.replace(
        "spec:\n  template",
        "spec:\n  limits: {cpu: 10}\n  template",
    );
    let text = format!(
        "{limited}{}",
        many(2, "web", "1", &anti_affinity(HOST, "web"))
    );
    let world = world(&text);
    let outcome = solve(&world);
    assert_eq!(types(&world, &outcome.claims[0]), ["s", "m", "l"]);
    // 8 of 10 cores are taken for the first claim; a type of 2 is left for the second.
    assert_eq!(types(&world, &outcome.claims[1]), ["s"]);
    let none = POOL.replace(
        "spec:\n  template",
        "spec:\n  limits: {nodes: 0}\n  template",
    );
    let world = crate::testing::world(&format!("{none}{}", pod("p", "web", "1", "")));
    assert_eq!(
        errors(&world, &solve(&world)),
        ["incompatible with nodepool \"general\", node limits have been exhausted for nodepool"]
    );
}

/// `topologygroup.go:229`: the least populated zone within the skew.
#[test]
fn zonal_spread_keeps_the_skew() {
    let world = world(&format!(
        "{POOL}{}",
        many(7, "web", "1", &spread(ZONE, "web", "DoNotSchedule"))
    ));
    let outcome = solve(&world);
    assert!(outcome.unschedulable.is_empty());
    let counts: Vec<usize> = zones(&world, &outcome).into_values().collect();
    assert_eq!(counts.iter().sum::<usize>(), 7);
    assert_eq!(
        (counts.len(), counts.iter().max(), counts.iter().min()),
        (3, Some(&3), Some(&2))
    );
}

/// `topology.go:361`: pods of the cluster count; those that are moved don't (`topology.go:73` `excludedPods`).
#[test]
fn pods_of_the_cluster_count_for_spread() {
    let constraint = spread(ZONE, "web", "DoNotSchedule");
    let text = format!(
        "{POOL}{}{}{}{}",
        node("n1", "a", "", "taints: [{key: k, effect: NoSchedule}]"),
        running("r1", "web", "1", "n1", &constraint),
        running("r2", "web", "1", "n1", &constraint),
        many(2, "web", "1", &constraint)
    );
    let world = world(&text);
    let outcome = solve(&world);
    let found: Vec<String> = zones(&world, &outcome).into_keys().collect();
    assert_eq!(found, ["b", "c"]);
    let moved = world.node(world.find_node("n1").unwrap()).pods.clone();
    let mut planner = Planner::new(&world, Options::default());
    let without = [world.find_node("n1").unwrap()];
    let request = Request {
        pods: &moved,
        without: &without,
        ..Request::default()
    };
    let outcome = planner.simulate(&request);
    assert_eq!(zones(&world, &outcome).len(), 2);
    // The planner is as it was: the same question has the same answer.
    assert_eq!(planner.simulate(&request).claims, outcome.claims);
}

/// `topologygroup.go:404`: one pod a host; `:324`: affinity puts all into the first one's zone.
#[test]
fn affinity_gathers_and_anti_affinity_parts() {
    let world = world(&format!(
        "{POOL}{}",
        many(3, "web", "1", &anti_affinity(HOST, "web"))
    ));
    assert_eq!(solve(&world).claims.len(), 3);
    let world = crate::testing::world(&format!(
        "{POOL}{}",
        many(9, "web", "7", &affinity(ZONE, "web"))
    ));
    let outcome = solve(&world);
    assert_eq!(zones(&world, &outcome).len(), 1);
    assert!(outcome.claims.len() > 1 || types(&world, &outcome.claims[0]) == ["big.metal"]);
}

/// `topology.go:183`: anti-affinity blocks every zone that a claim may still be in, so that only one pod fits a round.
#[test]
fn zonal_anti_affinity_places_one_a_round() {
    let world = world(&format!(
        "{POOL}{}",
        many(3, "web", "1", &anti_affinity(ZONE, "web"))
    ));
    let outcome = solve(&world);
    assert_eq!((outcome.claims.len(), outcome.unschedulable.len()), (1, 2));
    assert!(errors(&world, &outcome)[0].contains(
        "unsatisfiable topology constraint for pod anti-affinity, key=topology.kubernetes.io/zone"
    ));
}

/// `topology.go:330`: required anti-affinity of pods that are there holds against pods without any.
#[test]
fn anti_affinity_holds_both_ways() {
    let text = format!(
        "{POOL}{}{}{}",
        node("n1", "a", "", ""),
        running("db", "db", "1", "n1", &anti_affinity(HOST, "web")),
        pod("p", "web", "1", "")
    );
    let world = world(&text);
    let outcome = solve(&world);
    assert_eq!((outcome.placements.len(), outcome.claims.len()), (0, 1));
}

/// `preferences.go:38`: preferences hold until nothing is left; `PREFERENCE_POLICY=Ignore` leaves them out.
#[test]
fn preferences_are_given_up_in_order() {
    let wishes = "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [b]}]}}, {weight: 9, preference: {matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [nowhere]}]}}]}}";
    let world = world(&format!("{POOL}{}", pod("p", "web", "1", wishes)));
    let outcome = solve(&world);
    assert_eq!(outcome.relaxed[0].1, [Relaxation::PreferredNodeAffinity]);
    assert_eq!(
        zones(&world, &outcome).into_keys().collect::<Vec<_>>(),
        ["b"]
    );
    let options = Options {
        preferences: PreferencePolicy::Ignore,
        ..Options::default()
    };
    let pods = pending(&world);
    let outcome = Planner::new(&world, options).simulate(&Request {
        pods: &pods,
        ..Request::default()
    });
    assert!(outcome.relaxed.is_empty());
    assert_eq!(outcome.claims[0].requirements.get(Key::ZONE), None);
}

/// `taints.go:75` and `preferences.go:132`: `PreferNoSchedule` is a taint like others until it is relaxed.
#[test]
fn prefer_no_schedule_is_tolerated_last() {
    let tainted = POOL.replace(
        "      requirements",
        "      taints: [{key: k, value: v, effect: PreferNoSchedule}]\n      requirements",
    );
    let world = world(&format!("{tainted}{}", pod("p", "web", "1", "")));
    assert_eq!(
        solve(&world).relaxed[0].1,
        [Relaxation::PreferNoScheduleTaints]
    );
    let hard = tainted.replace("PreferNoSchedule", "NoSchedule");
    let world = crate::testing::world(&format!("{hard}{}", pod("p", "web", "1", "")));
    assert_eq!(
        errors(&world, &solve(&world)),
        ["incompatible with nodepool \"general\", did not tolerate taint (taint=k=v:NoSchedule)"]
    );
}

/// `scheduler.go:972`: daemons take room of every type that they suit; `existingnode.go:55`: of nodes, too.
#[test]
fn daemons_take_their_room() {
    let daemon = "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, namespace: kube-system}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, resources: {requests: {cpu: 1}}}]}}}\n";
    let world = world(&format!(
        "{POOL}{daemon}{}{}",
        node("n1", "a", "", ""),
        pod("p", "web", "3", "")
    ));
    let outcome = solve(&world);
    assert!(outcome.placements.is_empty());
    assert_eq!(types(&world, &outcome.claims[0]), ["l", "big.metal"]);
    assert_eq!(
        outcome.claims[0].requests,
        Resources::new(4000, 100 << 20, 2)
    );
}

/// `nodeclaim.go:430`: the error tells which criteria no type met.
#[test]
fn errors_are_in_karpenters_words() {
    for (spec, cpu, wanted) in [
        (
            "",
            "100",
            "no instance type has enough resources, requirements=",
        ),
        (
            "nodeSelector: {team: a}",
            "1",
            "incompatible requirements, label \"team\" does not have known values",
        ),
        (
            "nodeSelector: {kubernetes.io/arch: arm64}",
            "1",
            "incompatible requirements, key kubernetes.io/arch, kubernetes.io/arch In [arm64] not in kubernetes.io/arch In [amd64]",
        ),
        (
            "nodeSelector: {topology.kubernetes.io/zone: z}",
            "1",
            "no instance type met the scheduling requirements or had a required offering, requirements=",
        ),
    ] {
        let world = world(&format!("{POOL}{}", pod("p", "web", cpu, spec)));
        let found = errors(&world, &solve(&world));
        assert!(found[0].contains(wanted), "{found:?}");
    }
    let world = world(&pod("p", "web", "1", ""));
    assert_eq!(
        errors(&world, &solve(&world)),
        ["no dynamic nodepools found"]
    );
}

/// `types.go` `SatisfiesMinValues`: a claim isn't narrowed below it; with `BestEffort` a new claim takes what there is.
#[test]
fn min_values_hold() {
    let flexible = POOL.replace("values: [amd64]}", "values: [amd64]}\n      - {key: node.kubernetes.io/instance-type, operator: Exists, minValues: 3}");
    let text = format!("{flexible}{}", many(2, "web", "1500m", ""));
    let world = world(&text);
    let outcome = solve(&world);
    // Together they would leave l and metal and m: 3 values; a third pod opens another claim.
    assert_eq!(outcome.claims.len(), 1);
    let world = crate::testing::world(&format!("{flexible}{}", many(3, "web", "1500m", "")));
    assert_eq!(solve(&world).claims.len(), 2);
    let world = crate::testing::world(&format!("{flexible}{}", many(1, "web", "6", "")));
    assert!(errors(&world, &solve(&world))[0].contains("minValues requirement is not met"));
    let pods = pending(&world);
    let options = Options {
        min_values: MinValuesPolicy::BestEffort,
        ..Options::default()
    };
    let outcome = Planner::new(&world, options).simulate(&Request {
        pods: &pods,
        ..Request::default()
    });
    assert!(outcome.claims[0].min_values_relaxed);
}

/// AWS `filter.go` and `instance.go` `getCapacityType`: exotic types last, spot before on-demand, the cheapest of them.
#[test]
fn a_launch_takes_spot_and_leaves_the_exotic() {
    let world = world(&format!("{POOL}{}", pod("p", "web", "3", "")));
    let mut outcome = solve(&world);
    truncate(&world, &mut outcome, MinValuesPolicy::Strict);
    let launched = launch(&world, &outcome.claims[0]).unwrap();
    assert_eq!(world.names.value_text(launched.instance_type), "m");
    assert_eq!(launched.capacity_type, CapacityType::Spot);
    assert_eq!(launched.price.to_string(), "$0.10");
    let huge = crate::testing::world(&format!("{POOL}{}", pod("p", "web", "30", "")));
    let launched = launch(&huge, &solve(&huge).claims[0]).unwrap();
    assert_eq!(huge.names.value_text(launched.instance_type), "big.metal");
}

/// `nodeclaim.go:611`: what can't be had (insufficient capacity) is no offering.
#[test]
fn unavailable_offerings_are_left_out() {
    let mut world = world(&format!("{POOL}{}", pod("p", "web", "3", "")));
    let m = world.names.find_value("m").unwrap();
    for zone in ["a", "b", "c"] {
        let zone = world.names.find_value(zone).unwrap();
        world.type_sets[0].set_available(m, zone, CapacityType::Spot, false);
        world.type_sets[0].set_available(m, zone, CapacityType::OnDemand, false);
    }
    let outcome = solve(&world);
    assert_eq!(types(&world, &outcome.claims[0]), ["l", "big.metal"]);
}

/// `volumetopology.go:172`: a bound volume's zone is the claim's.
#[test]
fn a_volume_pulls_its_pod_into_its_zone() {
    let volume = "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {name: pv}\nspec: {csi: {driver: ebs.csi.aws.com, volumeHandle: v}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [c]}]}]}}}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shop}\nspec: {volumeName: pv, accessModes: [ReadWriteOnce]}\n";
    let spec = "volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]";
    let world = world(&format!("{POOL}{volume}{}", pod("p", "web", "1", spec)));
    assert_eq!(
        zones(&world, &solve(&world))
            .into_keys()
            .collect::<Vec<_>>(),
        ["c"]
    );
    let missing = crate::testing::world(&format!("{POOL}{}", pod("p", "web", "1", spec)));
    assert_eq!(
        errors(&missing, &solve(&missing)),
        ["failed to validate pvc, persistentvolumeclaim not found"]
    );
}

/// `scheduler.go:634`: nodes within their `consolidateAfter` take no moved pods, but pending ones.
#[test]
fn shielded_nodes_take_pending_pods_only() {
    let text = format!(
        "{POOL}{}{}{}{}",
        node("n1", "a", "", ""),
        node("n2", "a", "", ""),
        running("r", "web", "1", "n1", ""),
        pod("p", "web", "2", "")
    );
    let world = world(&text);
    let (n1, n2) = (
        world.find_node("n1").unwrap(),
        world.find_node("n2").unwrap(),
    );
    let mut pods = world.node(n1).pods.clone();
    pods.extend(pending(&world));
    let outcome = Planner::new(&world, Options::default()).simulate(&Request {
        pods: &pods,
        without: &[n1],
        shielded: &[n2],
    });
    assert_eq!(outcome.placements.len(), 1);
    assert!(!world.pod(outcome.claims[0].pods[0]).unschedulable);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// No pod on a node that can't hold it, spread kept, limits kept, the same seed the same answer.
    #[test]
    fn outcomes_keep_their_promises(
        pods in proptest::collection::vec((1_u32..30, 0_u8..5), 1..40),
        limit in 8_u32..200,
        seed in 0_u64..4,
    ) {
        let limited = POOL.replace("spec:\n  template", &format!("spec:\n  limits: {{cpu: {limit}}}\n  template"));
        let mut text = format!("{limited}{}{}", node("n1", "a", "", ""), node("n2", "b", "", ""));
        for (index, (cpu, class)) in pods.iter().enumerate() {
            let app = format!("app{class}");
            let spec = match class {
                1 => spread(ZONE, &app, "DoNotSchedule"),
                2 => spread(HOST, &app, "DoNotSchedule"),
                3 => affinity(ZONE, &app),
                4 => anti_affinity(HOST, &app),
                _ => String::new(),
            };
            text += &pod(&format!("p{index}"), &app, &format!("{cpu}00m"), &spec);
        }
        let world = world(&text);
        let all = pending(&world);
        let options = Options { seed, ..Options::default() };
        let request = Request { pods: &all, ..Request::default() };
        let outcome = Planner::new(&world, options).simulate(&request);
        let again = Planner::new(&world, options).simulate(&request);
        proptest::prop_assert_eq!(format!("{outcome:?}"), format!("{again:?}"));
        let placed = outcome.placements.len() + outcome.claims.iter().map(|claim| claim.pods.len()).sum::<usize>();
        proptest::prop_assert_eq!(placed + outcome.unschedulable.len(), all.len());
        let types = &world.type_sets[0];
        let mut capacity = 8000;
        for claim in &outcome.claims {
            proptest::prop_assert!(!claim.types.is_empty());
            for index in claim.types.iter() {
                proptest::prop_assert!(claim.requests.fit(&types.get(index).allocatable()));
            }
            capacity += types.max_capacity(&claim.types)[Resource::CPU];
        }
        proptest::prop_assert!(outcome.claims.is_empty() || capacity <= i64::from(limit) * 1000);
        let mut used = BTreeMap::new();
        for placement in &outcome.placements {
            *used.entry(placement.node).or_insert(Resources::ZERO) += world.shape_of(placement.pod).requests;
        }
        for (node, used) in used {
            proptest::prop_assert!(used.fit(&world.node(node).allocatable));
        }
        let mut by_zone: BTreeMap<_, u32> = ["a", "b", "c"].map(|zone| (world.names.find_value(zone), 0)).into();
        let of_class = |pod: &PodId| pods[world.pod(*pod).name[1..].parse::<usize>().unwrap()].1 == 1;
        for placement in outcome.placements.iter().filter(|placement| of_class(&placement.pod)) {
            *by_zone.get_mut(&world.node(placement.node).label(Key::ZONE)).unwrap() += 1;
        }
        for claim in &outcome.claims {
            let count = claim.pods.iter().filter(|pod| of_class(pod)).count();
            if count > 0 {
                let zone = claim.requirements.get(Key::ZONE).unwrap().single();
                *by_zone.get_mut(&zone).unwrap() += u32::try_from(count).unwrap();
            }
        }
        let (least, most) = (by_zone.values().min().unwrap(), by_zone.values().max().unwrap());
        proptest::prop_assert!(most - least <= 1, "{by_zone:?}");
    }
}
