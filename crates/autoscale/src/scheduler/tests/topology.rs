//! Spread constraints and affinity between pods.

use super::lab::{Lab, app, spread, taint, term, within};
use crate::names::Key;
use crate::scheduler::{Outcome, Reason};
use crate::shape::{Effect, Namespaces, PodShape, Selector};
use crate::world::{NodeId, OwnerKind, PodId};

fn three_zones(lab: &mut Lab) -> [NodeId; 3] {
    ["1", "2", "3"].map(|zone| lab.node(&format!("n{zone}"), zone))
}

fn zonal(names: &mut crate::names::Names) -> crate::shape::Spread {
    spread(names, "web", Key::ZONE, true)
}

/// `plugins/podtopologyspread/filtering.go` `Filter`: pods there, and the pod itself, less the least, at most `maxSkew`.
#[test]
fn a_spread_fills_the_emptiest_zone() {
    let mut lab = Lab::default();
    let [a, b, c] = three_zones(&mut lab);
    for (name, node) in [("1", a), ("2", b)] {
        lab.running(name, "web", node, |_, _| {});
    }
    let pod = lab.pod_with("new", "web", |shape, names| {
        shape.spread = vec![zonal(names)];
    });
    assert_eq!(lab.place(pod), c);
    lab.world.nodes[c.0 as usize].allocatable[crate::resources::Resource::PODS] = 0;
    let failure = lab.failure(pod);
    assert_eq!(failure.reasons.count(Reason::Spread), 2);
    assert_eq!(failure.reasons.count(Reason::TooManyPods), 1);
}

/// `filtering.go` `Filter`: a pod that the selector doesn't mean doesn't count itself.
#[test]
fn a_pod_outside_its_selector_does_not_count_itself() {
    let mut lab = Lab::default();
    let [a, b, c] = three_zones(&mut lab);
    lab.running("1", "web", a, |_, _| {});
    let pod = lab.pod_with("other", "other", |shape, names| {
        shape.spread = vec![zonal(names)];
    });
    for node in [b, c] {
        lab.world.nodes[node.0 as usize].unschedulable = true;
    }
    assert_eq!(lab.place(pod), a);
}

/// `filtering.go` `minMatchNum`: with fewer domains than `minDomains` the least counts as 0.
#[test]
fn too_few_domains_make_the_least_nothing() {
    let mut lab = Lab::default();
    let [a, b, _] = three_zones(&mut lab);
    for (name, node) in [("1", a), ("2", b)] {
        lab.running(name, "web", node, |_, _| {});
    }
    lab.world.remove_node(NodeId(2));
    let with = |lab: &mut Lab, name: &str, domains| {
        lab.pod_with(name, "web", |shape, names| {
            shape.spread = vec![zonal(names)];
            shape.spread[0].min_domains = domains;
        })
    };
    let three = with(&mut lab, "three", Some(3));
    assert_eq!(lab.failure(three).reasons.count(Reason::Spread), 2);
    let two = with(&mut lab, "two", Some(2));
    lab.place(two);
}

/// `filtering.go` `Filter`: a node without the label is beyond help.
#[test]
fn nodes_without_the_label_are_out() {
    let mut lab = Lab::default();
    lab.node("a", "");
    let pod = lab.pod_with("pod", "web", |shape, names| {
        shape.spread = vec![zonal(names)];
    });
    let failure = lab.failure(pod);
    assert_eq!(failure.reasons.count(Reason::SpreadLabel), 1);
    assert!(failure.message(&lab.world).contains(
        "1 node(s) didn't match pod topology spread constraints (missing required label)."
    ));
}

/// `podtopologyspread/common.go` `matchNodeInclusionPolicies`: whose nodes count depends on the two policies.
#[test]
fn policies_say_which_nodes_count() {
    let mut lab = Lab::default();
    let [a, _, c] = three_zones(&mut lab);
    lab.running("1", "web", a, |_, _| {});
    lab.world.nodes[c.0 as usize].taints =
        vec![taint(&mut lab.world.names, "gpu", "", Effect::NoSchedule)];
    // Zone 3 is empty and counts unless taints are honoured; zone 2 is left out by the selector.
    let pod = |lab: &mut Lab, name: &str, affinity, taints| {
        lab.pod_with(name, "web", |shape, names| {
            shape.spread = vec![zonal(names)];
            shape.spread[0].honor_affinity = affinity;
            shape.spread[0].honor_taints = taints;
            shape.has_required_affinity = true;
            shape.required_terms = vec![within(names, "topology.kubernetes.io/zone", &["1", "3"])];
        })
    };
    let ignores_taints = pod(&mut lab, "ignores", true, false);
    assert_eq!(lab.failure(ignores_taints).reasons.count(Reason::Spread), 1);
    let honours_both = pod(&mut lab, "honours", true, true);
    assert_eq!(lab.place(honours_both), a);
    let honours_taints = pod(&mut lab, "taints", false, true);
    assert_eq!(lab.failure(honours_taints).reasons.count(Reason::Spread), 1);
}

/// `podtopologyspread/common.go` `countPodsMatchSelector`: pods on their way out don't count; other namespaces neither.
#[test]
fn pods_on_their_way_out_are_not_spread_against() {
    let mut lab = Lab::default();
    let [a, b, c] = three_zones(&mut lab);
    for (name, node) in [("1", a), ("2", b), ("3", c), ("4", a), ("5", b), ("6", c)] {
        lab.running(name, "web", node, |_, _| {});
    }
    for pod in [0, 3] {
        lab.world.pods[pod].deleting = Some(jiff::Timestamp::UNIX_EPOCH);
    }
    for index in 0..4 {
        lab.running(&format!("x{index}"), "web", a, |shape, names| {
            shape.namespace = names.value("elsewhere");
        });
    }
    let pod = lab.pod_with("new", "web", |shape, names| {
        shape.spread = vec![zonal(names)];
    });
    assert_eq!(lab.place(pod), a);
}

/// `podtopologyspread/scoring.go`, weight 2: the emptier domain scores more, whatever else is on the nodes.
#[test]
fn a_soft_spread_prefers_the_emptier_zone() {
    let mut lab = Lab::default();
    let [a, b, c] = three_zones(&mut lab);
    for (name, node) in [("1", a), ("2", b), ("3", a)] {
        lab.running(name, "web", node, |_, _| {});
    }
    lab.running("load", "other", c, |shape, _| {
        shape.requests = crate::resources::Resources::new(1000, 4 << 30, 1);
    });
    let pod = lab.pod_with("new", "web", |shape, names| {
        shape.spread = vec![spread(names, "web", Key::ZONE, false)];
    });
    assert_eq!(lab.place(pod), c);
}

/// `podtopologyspread/plugin.go` `systemDefaultConstraints`: pods of a ReplicaSet are spread by default, over its own pods.
#[test]
fn pods_of_a_replica_set_are_spread_by_default() {
    let mut lab = Lab::default();
    let a = lab.node("a", "1");
    let b = lab.node("b", "2");
    let owned = |lab: &mut Lab, pod: PodId, owner: &str| {
        lab.world.pods[pod.0 as usize].owner = OwnerKind::ReplicaSet;
        lab.world.pods[pod.0 as usize].owner_name = lab.world.names.value(owner);
    };
    for index in 0..2 {
        let pod = lab.running(&format!("w{index}"), "web", a, |_, _| {});
        owned(&mut lab, pod, "web-1");
    }
    lab.running("load", "other", b, |shape, _| {
        shape.requests = crate::resources::Resources::new(1000, 4 << 30, 1);
    });
    let mine = lab.pod("mine", "web");
    owned(&mut lab, mine, "web-1");
    assert_eq!(lab.place(mine), b);
    let newer = lab.pod("newer", "web");
    owned(&mut lab, newer, "web-2");
    assert_eq!(lab.place(newer), a);
}

/// `plugins/interpodaffinity/filtering.go` `satisfyPodAffinity`: together with pods that match, and the first one where it
/// likes if it matches itself.
#[test]
fn affinity_goes_where_its_kind_is() {
    let mut lab = Lab::default();
    let [_, b, _] = three_zones(&mut lab);
    lab.node("nowhere", "");
    let with = |shape: &mut PodShape, names: &mut crate::names::Names| {
        shape.affinity.required = vec![term(names, "web", Key::ZONE)];
    };
    let first = lab.pod_with("first", "web", with);
    assert_ne!(lab.place(first), NodeId(3));
    let stranger = lab.pod_with("stranger", "other", with);
    let failure = lab.failure(stranger);
    assert_eq!(failure.reasons.count(Reason::Affinity), 4);
    lab.running("there", "web", b, |_, _| {});
    assert_eq!(lab.place(first), b);
    assert_eq!(lab.place(stranger), b);
}

/// `filtering.go` `satisfyPodAntiAffinity` and `satisfyExistingPodsAntiAffinity`: it holds both ways.
#[test]
fn anti_affinity_holds_both_ways() {
    let mut lab = Lab::default();
    let [a, b, c] = three_zones(&mut lab);
    lab.running("web", "web", a, |_, _| {});
    lab.running("hermit", "db", b, |shape, names| {
        shape.anti_affinity.required = vec![term(names, "batch", Key::ZONE)];
    });
    let pod = lab.pod_with("pod", "batch", |shape, names| {
        shape.anti_affinity.required = vec![term(names, "web", Key::ZONE)];
    });
    assert_eq!(lab.place(pod), c);
    lab.world.nodes[c.0 as usize].unschedulable = true;
    let failure = lab.failure(pod);
    assert_eq!(failure.reasons.count(Reason::AntiAffinity), 1);
    assert_eq!(failure.reasons.count(Reason::ExistingAntiAffinity), 1);
    assert!(failure.message(&lab.world).starts_with(
        "0/3 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 1 node(s) didn't satisfy existing pods \
         anti-affinity rules, 1 node(s) were unschedulable."
    ));
}

/// `framework/types.go` `AffinityTerm.Matches`: namespaces by name or by their labels.
#[test]
fn terms_look_into_namespaces_by_name_or_label() {
    let mut lab = Lab::default();
    let [a, b, c] = three_zones(&mut lab);
    let names = &mut lab.world.names;
    let (team, blue) = (names.key("app"), names.value("blue"));
    let other = names.value("other");
    let labels = crate::names::Labels::new([(team, blue)]);
    lab.world.namespaces.insert(other, labels);
    lab.running("far", "web", a, |shape, _| shape.namespace = other);
    lab.running("near", "web", b, |_, _| {});
    let pod = lab.pod_with("pod", "x", |shape, names| {
        let mut far = term(names, "web", Key::ZONE);
        far.namespaces = Namespaces {
            names: Vec::new(),
            selector: Some(app(names, "blue")),
        };
        shape.anti_affinity.required = vec![term(names, "web", Key::ZONE), far];
    });
    assert_eq!(lab.place(pod), c);
    let everywhere = lab.pod_with("everywhere", "x", |shape, names| {
        let mut all = term(names, "web", Key::ZONE);
        all.namespaces.selector = Some(Selector::All(Vec::new()));
        shape.anti_affinity.required = vec![all];
    });
    assert_eq!(lab.place(everywhere), c);
}

/// `plugins/interpodaffinity/scoring.go`, weight 2: the pod's own preferences, those of pods there, and their required affinity
/// with a weight of 1.
#[test]
fn preferences_between_pods_pull_and_push() {
    let mut lab = Lab::default();
    let [a, b, _] = three_zones(&mut lab);
    lab.running("web", "web", a, |_, _| {});
    let pulled = lab.pod_with("pulled", "x", |shape, names| {
        shape.affinity.preferred = vec![(10, term(names, "web", Key::ZONE))];
    });
    assert_eq!(lab.place(pulled), a);
    let pushed = lab.pod_with("pushed", "x", |shape, names| {
        shape.anti_affinity.preferred = vec![(10, term(names, "web", Key::ZONE))];
    });
    for _ in 0..5 {
        assert_ne!(lab.place(pushed), a);
    }
    lab.running("fan", "fan", b, |shape, names| {
        shape.affinity.required = vec![term(names, "star", Key::HOSTNAME)];
    });
    let star = lab.pod("star", "star");
    assert_eq!(lab.place(star), b);
    lab.running("foe", "foe", b, |shape, names| {
        shape.anti_affinity.preferred = vec![(2, term(names, "star", Key::HOSTNAME))];
    });
    assert_ne!(lab.place(star), b);
}

/// A whole Deployment keeps its skew while it is placed.
#[test]
fn a_deployment_is_spread_pod_by_pod() {
    let mut lab = Lab::default();
    three_zones(&mut lab);
    let pods: Vec<PodId> = (0..10)
        .map(|index| {
            lab.pod_with(&format!("p{index}"), "web", |shape, names| {
                shape.spread = vec![zonal(names)];
            })
        })
        .collect();
    let mut counts = [0_u32; 3];
    for decision in lab.schedule(&pods) {
        let Outcome::Bound(node) = decision.outcome else {
            panic!("{decision:?}");
        };
        counts[node.0 as usize] += 1;
        let (most, least) = (counts.iter().max(), counts.iter().min());
        assert!(
            most.zip(least)
                .is_some_and(|(most, least)| most - least <= 1)
        );
    }
}
