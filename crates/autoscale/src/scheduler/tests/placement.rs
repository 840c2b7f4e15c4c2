//! Cordons, taints, node affinity, ports, the order of the queue and of nodes, sampling.

use super::lab::{Lab, is, taint, tolerate, value, within};
use crate::names::{Key, Value};
use crate::requirement::Operator;
use crate::scheduler::{Options, Outcome, Reason, Sampling, Scheduler};
use crate::shape::{Effect, HostPort, NodeTerm, Toleration};
use crate::world::{Claim, Stage};

/// `plugins/nodeunschedulable/node_unschedulable.go`: a cordoned node is for pods that tolerate its taint.
#[test]
fn cordoned_nodes_are_for_those_who_tolerate_it() {
    let mut lab = Lab::default();
    lab.node_with("a", "z", |node, _| node.unschedulable = true);
    let plain = lab.pod("plain", "web");
    assert_eq!(
        lab.message(plain),
        "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are \
         available: 1 Preemption is not helpful for scheduling."
    );
    let daemon = lab.pod_with("daemon", "web", |shape, _| {
        shape.tolerations.push(Toleration {
            key: Some(Key::UNSCHEDULABLE),
            value: None,
            effect: Some(Effect::NoSchedule),
        });
    });
    lab.place(daemon);
}

/// `plugins/tainttoleration/taint_toleration.go` `Filter`: the first taint that nothing tolerates, but not
/// `PreferNoSchedule`.
#[test]
fn taints_keep_pods_off_unless_tolerated() {
    let mut lab = Lab::default();
    lab.node_with("a", "z", |node, names| {
        node.taints = vec![
            taint(names, "soft", "", Effect::PreferNoSchedule),
            taint(names, "dedicated", "db", Effect::NoSchedule),
            taint(names, "gone", "", Effect::NoExecute),
        ];
    });
    let plain = lab.pod("plain", "web");
    let message = lab.message(plain);
    assert!(message.contains("1 node(s) had untolerated taint {dedicated: db}."));
    let half = lab.pod_with("half", "web", |shape, names| {
        shape.tolerations = vec![tolerate(names, "dedicated", Some("db"))];
    });
    let message = lab.message(half);
    assert!(message.contains("1 node(s) had untolerated taint {gone: }."));
    let other = lab.pod_with("other", "web", |shape, names| {
        shape.tolerations = vec![tolerate(names, "dedicated", Some("web"))];
    });
    assert!(lab.message(other).contains("{dedicated: db}"));
    let all = lab.pod_with("all", "web", |shape, names| {
        shape.tolerations = vec![
            tolerate(names, "dedicated", None),
            tolerate(names, "gone", None),
        ];
    });
    lab.place(all);
}

/// Nodes that start still have their start-up taints and the one for not being ready; nodes that Karpenter takes away have
/// its own (`karpenter/pkg/apis/v1/taints.go`); claims without a node are not known at all.
#[test]
fn nodes_that_start_or_go_are_tainted() {
    let mut lab = Lab::default();
    let node = lab.node_with("a", "z", |node, names| {
        node.stage = Stage::Launched;
        node.ready = false;
        node.claim = Some(Claim {
            startup_taints: vec![taint(names, "cni", "wait", Effect::NoSchedule)],
            ..Claim::default()
        });
    });
    let pod = lab.pod("plain", "web");
    assert_eq!(lab.message(pod), "no nodes available to schedule pods");
    let at = node.0 as usize;
    lab.world.nodes[at].stage = Stage::Registered;
    assert!(lab.message(pod).contains("taint {cni: wait}"));
    if let Some(claim) = &mut lab.world.nodes[at].claim {
        claim.startup_taints.clear();
    }
    let message = lab.message(pod);
    assert!(message.contains("taint {node.kubernetes.io/not-ready: }"));
    lab.world.nodes[at].stage = Stage::Initialized;
    lab.world.nodes[at].ready = true;
    lab.place(pod);
    lab.world.nodes[at].deleting = true;
    let message = lab.message(pod);
    assert!(message.contains("taint {karpenter.sh/disrupted: }"));
}

/// `plugins/nodeaffinity/node_affinity.go` `Filter`: the selector and one of the required terms.
#[test]
fn selector_and_one_term_must_match() {
    let mut lab = Lab::default();
    for (name, disk) in [("a", "ssd"), ("b", "hdd"), ("c", "tape")] {
        lab.node_with(name, "z", |node, names| {
            node.labels.set(names.key("disk"), names.value(disk));
        });
    }
    let one_of = lab.pod_with("one-of", "web", |shape, names| {
        shape.has_required_affinity = true;
        shape.required_terms = vec![
            within(names, "disk", &["ssd"]),
            within(names, "disk", &["tape"]),
        ];
        let tape = names.value("tape");
        shape.node_selector = vec![(names.key("disk"), tape)];
    });
    assert_eq!(lab.place(one_of).0, 2);
    let none = lab.pod_with("none", "web", |shape, names| {
        shape.has_required_affinity = true;
        shape.required_terms = vec![NodeTerm {
            expressions: vec![is(names, "disk", Operator::Gt, &["3"])],
            names: Vec::new(),
        }];
    });
    let failure = lab.failure(none);
    assert_eq!(failure.reasons.count(Reason::NodeAffinity), 3);
    let empty = lab.pod_with("empty", "web", |shape, _| {
        shape.has_required_affinity = true
    });
    assert!(lab.message(empty).starts_with(
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    ));
}

/// `plugins/nodeaffinity/node_affinity.go` `PreFilter`: a pod that names its node is looked at there only.
#[test]
fn a_pod_that_names_its_node_is_looked_at_there_only() {
    let mut lab = Lab::default();
    for name in ["a", "b", "c"] {
        lab.node(name, "z");
    }
    let named = |lab: &mut Lab, pod: &str, lists: &[&[&str]]| {
        let names: Vec<(bool, Vec<Value>)> = lists
            .iter()
            .map(|list| (true, list.iter().map(|text| value(lab, text)).collect()))
            .collect();
        lab.pod_with(pod, "ds", |shape, _| {
            shape.has_required_affinity = true;
            shape.required_terms = vec![NodeTerm {
                expressions: Vec::new(),
                names,
            }];
        })
    };
    let pod = named(&mut lab, "ds-b", &[&["b"]]);
    assert_eq!(lab.place(pod).0, 1);
    lab.world.nodes[1].unschedulable = true;
    assert!(lab.message(pod).starts_with(
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    ));
    let nobody = named(&mut lab, "ds-x", &[&["a"], &["b"]]);
    assert!(
        lab.message(nobody)
            .starts_with("0/3 nodes are available: pod affinity terms conflict.")
    );
}

/// `plugins/nodeaffinity/node_affinity.go` `Score`, weight 2: the heavier preference wins over an emptier node.
#[test]
fn preferred_node_affinity_outweighs_resources() {
    let mut lab = Lab::default();
    let liked = lab.node_with("liked", "z", |node, names| {
        node.labels.set(names.key("disk"), names.value("ssd"));
    });
    lab.node("empty", "z");
    lab.running("load", "other", liked, |shape, _| {
        shape.requests = crate::resources::Resources::new(2000, 8 << 30, 1);
    });
    let pod = lab.pod_with("pod", "web", |shape, names| {
        shape.preferred_terms = vec![(1, within(names, "disk", &["ssd"]))];
    });
    assert_eq!(lab.place(pod), liked);
}

/// `plugins/tainttoleration/taint_toleration.go` `Score`, weight 3: fewer untolerated `PreferNoSchedule` taints.
#[test]
fn soft_taints_are_avoided_unless_tolerated() {
    let mut lab = Lab::default();
    let soft = lab.node_with("soft", "z", |node, names| {
        node.taints = vec![taint(names, "spot", "", Effect::PreferNoSchedule)];
    });
    let busy = lab.node("busy", "z");
    lab.running("load", "other", busy, |shape, _| {
        shape.requests = crate::resources::Resources::new(3000, 12 << 30, 1);
    });
    let plain = lab.pod("plain", "web");
    assert_eq!(lab.place(plain), busy);
    let tolerant = lab.pod_with("tolerant", "web", |shape, names| {
        shape.tolerations = vec![tolerate(names, "spot", None)];
    });
    assert_eq!(lab.place(tolerant), soft);
}

/// `plugins/nodeports/node_ports.go`: port, protocol and address decide together.
#[test]
fn host_ports_are_taken_once() {
    let mut lab = Lab::default();
    let node = lab.node("a", "z");
    let tcp = value(&mut lab, "TCP");
    let port = |ip: Option<&str>| HostPort {
        ip: ip.and_then(|ip| ip.parse().ok()),
        port: 80,
        protocol: tcp,
    };
    lab.running("first", "web", node, |shape, _| {
        shape.ports = vec![port(Some("10.0.0.1"))];
    });
    let same = lab.pod_with("same", "web", |shape, _| shape.ports = vec![port(None)]);
    let failure = lab.failure(same);
    assert_eq!(failure.reasons.count(Reason::Ports), 1);
    let other = lab.pod_with("other", "web", |shape, _| {
        shape.ports = vec![port(Some("10.0.0.2"))];
    });
    assert_eq!(lab.place(other), node);
}

/// `plugins/queuesort/priority_sort.go`: priority, then age.
#[test]
fn the_queue_goes_by_priority_and_then_by_age() {
    let mut lab = Lab::default();
    lab.node("a", "z");
    let young = lab.pod("young", "web");
    let old = lab.pod("old", "web");
    let high = lab.pod_with("high", "web", |shape, _| shape.priority = 5);
    let at = |second| jiff::Timestamp::from_second(second).ok();
    lab.world.pods[young.0 as usize].created = at(20);
    lab.world.pods[old.0 as usize].created = at(10);
    lab.world.pods[high.0 as usize].created = at(30);
    let order: Vec<_> = lab
        .schedule(&[young, old, high])
        .iter()
        .map(|decision| decision.pod)
        .collect();
    assert_eq!(order, [high, old, young]);
}

/// `schedule_one.go` `numFeasibleNodesToFind`.
#[test]
fn enough_nodes_are_as_many_as_kube_scheduler_takes() {
    let adaptive = |nodes| Sampling::Adaptive.enough(nodes);
    assert_eq!([10, 99, 100, 200].map(adaptive), [10, 99, 100, 100]);
    assert_eq!([1000, 5000, 6000].map(adaptive), [420, 500, 300]);
    assert_eq!(Sampling::Percent(40).enough(1000), 400);
    assert_eq!(Sampling::Percent(1).enough(1000), 100);
    assert_eq!(Sampling::All.enough(1000), 1000);
}

/// `schedule_one.go` `nextStartNodeIndex`: the next search begins where the last one ended, so all nodes have their turn.
#[test]
fn searches_go_round_the_nodes() {
    let mut lab = Lab::default();
    for index in 0..300 {
        lab.node(&format!("n{index}"), "z");
    }
    let pods: Vec<_> = (0..3)
        .map(|index| lab.pod(&format!("p{index}"), "web"))
        .collect();
    let options = Options {
        sampling: Sampling::Percent(1),
        ..Options::default()
    };
    let mut scheduler = Scheduler::new(&lab.world, options);
    for (decision, third) in scheduler.schedule(&lab.world, &pods).iter().zip(0_u32..) {
        let Outcome::Bound(node) = decision.outcome else {
            panic!("{decision:?}");
        };
        assert_eq!(node.0 / 100, third);
    }
}

/// `backend/cache/node_tree.go`: nodes are looked at zone by zone in turn.
#[test]
fn nodes_are_looked_at_zone_by_zone() {
    let mut lab = Lab::default();
    for (name, zone) in [
        ("a", "1"),
        ("b", "1"),
        ("c", "1"),
        ("d", "2"),
        ("e", "3"),
        ("f", "3"),
    ] {
        lab.node(name, zone);
    }
    let mut scheduler = lab.scheduler();
    scheduler.cluster.refresh_order();
    let order: Vec<u32> = scheduler.cluster.order.iter().map(|node| node.0).collect();
    assert_eq!(order, [0, 3, 4, 1, 5, 2]);
}

/// `schedule_one.go` `selectHost`: equals are chosen among by the seed, and each has its share.
#[test]
fn equals_share_the_pods() {
    let mut lab = Lab::default();
    for name in ["a", "b", "c", "d"] {
        lab.node(name, "z");
    }
    let mut counts = [0; 4];
    for index in 0..400 {
        let pod = lab.pod(&format!("p{index}"), "web");
        counts[lab.place(pod).0 as usize] += 1;
    }
    assert!(
        counts.iter().all(|count| (60..=140).contains(count)),
        "{counts:?}"
    );
}
