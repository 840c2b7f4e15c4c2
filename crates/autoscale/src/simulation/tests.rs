use std::time::Duration;

use proptest::prelude::*;

use super::{MAX_DECISIONS, Question, simulate};
use crate::answer::{Answer, Kind};
use crate::testing::{POOL, node, pod, running, world};

fn ask(yaml: &str, question: &Question) -> Answer {
    simulate(world(yaml), question).unwrap()
}

fn question() -> Question {
    Question::next("2026-03-02T10:00:00Z".parse().unwrap())
}

/// The batch closes a second after the pod is found to fit nowhere; the node is there after launch, registration and start.
#[test]
fn time_passes_as_the_delays_say() {
    let yaml = format!("{POOL}{}", pod("web-1", "web", "500m", ""));
    let answer = ask(&yaml, &question());
    assert_eq!(answer.decisions[0].at, "2026-03-02T10:00:01Z");
    // 1 s of batch, 3 of launch, 35 until it joins, 15 until it is ready.
    for (span, pending) in [(53, 1), (54, 0)] {
        let answer = ask(
            &yaml,
            &Question {
                span: Some(Duration::from_secs(span)),
                ..question()
            },
        );
        assert_eq!(answer.after.pending.len(), pending, "after {span} s");
    }
}

#[test]
fn an_end_that_is_asked_for_is_the_end() {
    let answer = ask(
        POOL,
        &Question {
            span: Some(Duration::from_secs(3600)),
            ..question()
        },
    );
    assert_eq!(answer.until, "2026-03-02T11:00:00Z");
    assert!(answer.decisions.is_empty());
}

#[test]
fn what_is_not_there_can_not_be_removed() {
    for what in [
        "node/none",
        "nodepool/none",
        "pod/shop/none",
        "deployment/shop/none",
    ] {
        let asked = Question {
            removes: vec![what.parse().unwrap()],
            ..question()
        };
        let error = simulate(world(POOL), &asked).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("there is no {what} in the snapshot")
        );
    }
    assert!("shop/web".parse::<super::Removal>().is_err());
    assert!("node/".parse::<super::Removal>().is_err());
    assert!("node/a=tomorrow".parse::<super::Interruption>().is_err());
}

/// The first claim is counted with the largest type that it may become, so that the pool's limit has no room for a second one; once
/// it is known what was launched there is, and Karpenter tries again after ten seconds, long before the node is ready.
#[test]
fn what_a_limit_put_off_is_tried_again_in_ten_seconds() {
    let pool = POOL.replace(
        "spec:\n  template:",
        "spec:\n  limits: {cpu: 9}\n  template:",
    );
    assert_ne!(pool, POOL);
    let apart = crate::testing::anti_affinity("kubernetes.io/hostname", "web");
    let yaml = format!(
        "{pool}{}{}",
        pod("web-1", "web", "500m", &apart),
        pod("web-2", "web", "500m", &apart)
    );
    let answer = ask(&yaml, &question());
    let at: Vec<&str> = (answer.decisions.iter())
        .filter(|decision| decision.kind == Kind::Launch)
        .map(|decision| decision.at.as_str())
        .collect();
    assert_eq!(at, ["2026-03-02T10:00:01Z", "2026-03-02T10:00:11Z"]);
}

/// A managed node group's nodes say how they were bought; those of nobody are taken to be on demand.
#[test]
fn nodes_that_karpenter_did_not_make_have_a_price_too() {
    let whose = "karpenter.sh/capacity-type: on-demand, karpenter.sh/nodepool: general";
    let of = |labels: &str| {
        let yaml = format!("{POOL}{}", node("n1", "a", "", "")).replace(whose, labels);
        ask(&yaml, &question()).before.nodes[0].usd_per_hour
    };
    let (spot, on_demand) = (
        of("eks.amazonaws.com/capacityType: SPOT"),
        of("eks.amazonaws.com/capacityType: ON_DEMAND"),
    );
    assert!(spot.is_some() && spot < on_demand, "{spot:?} {on_demand:?}");
    assert_eq!(of("team: web"), on_demand);
}

fn clusters() -> impl Strategy<Value = String> {
    let nodes = proptest::collection::vec((0..3_usize, 0..4_usize), 0..6);
    let pods = proptest::collection::vec((0..8_usize, 1..40_u32, 0..3_usize), 0..16);
    (nodes, pods).prop_map(|(nodes, pods)| {
        let mut yaml = POOL.to_owned();
        for (index, (zone, _)) in nodes.iter().enumerate() {
            yaml.push_str(&node(&format!("n{index}"), ["a", "b", "c"][*zone], "", ""));
        }
        let mut free = vec![39_u32; nodes.len()];
        for (index, (place, size, app)) in pods.iter().enumerate() {
            let (name, app) = (format!("p{index}"), ["x", "y", "z"][*app]);
            let cpu = format!("{}m", size * 100);
            let more = if app == "z" {
                crate::testing::spread("topology.kubernetes.io/zone", app, "DoNotSchedule")
            } else {
                String::new()
            };
            match free.get_mut(*place) {
                Some(left) if *left >= *size => {
                    *left -= size;
                    yaml.push_str(&running(&name, app, &cpu, &format!("n{place}"), &more));
                }
                _ => yaml.push_str(&pod(&name, app, &cpu, &more)),
            }
        }
        // Pods without an owner would be lost once they are evicted.
        yaml.replace(
            "namespace: shop, labels",
            "namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, controller: true, uid: r}], labels",
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// It ends, says the same twice, puts no pod where it does not fit, and loses none.
    #[test]
    fn whatever_the_cluster(yaml in clusters(), seed in 0..4_u64) {
        let asked = Question { seed, ..question() };
        let answer = ask(&yaml, &asked);
        prop_assert_eq!(&answer, &ask(&yaml, &asked));
        prop_assert!(answer.decisions.len() < MAX_DECISIONS);
        for node in &answer.after.nodes {
            let (there, taken) = (node.allocatable, node.requested);
            prop_assert!(taken.cpu_milli <= there.cpu_milli, "{}", node.name);
            prop_assert!(taken.memory_bytes <= there.memory_bytes, "{}", node.name);
            prop_assert!(taken.pods <= there.pods, "{}", node.name);
        }
        let count = |picture: &crate::answer::Picture| {
            picture.pending.len() + picture.nodes.iter().map(|node| node.pods.len()).sum::<usize>()
        };
        prop_assert_eq!(count(&answer.before), count(&answer.after));
        // A pod waits at the end only with a reason, unless its node is on the way.
        prop_assert_eq!(answer.unschedulable.len(), answer.after.pending.len());
        for one in answer.decisions.iter().filter(|one| one.kind == Kind::None) {
            prop_assert!(!one.reason.is_empty());
        }
    }
}
