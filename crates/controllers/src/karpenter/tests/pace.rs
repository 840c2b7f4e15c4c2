//! Time that does not pass, writes that are seen late, and controllers that begin anew.

use jiff::SignedDuration;
use objects::karpenter::NodeClaim;
use serde_json::json;

use super::lab::{Lab, controllers};
use crate::Pace;
use crate::document::Named;

/// At the time scale `max` waits are short and never nothing: nobody is asked without end.
#[test]
fn nothing_loops_where_nothing_takes_time() {
    let mut lab = Lab::new();
    lab.cluster.pace = Pace::Immediate;
    lab.patch_pool("general", json!({"disruption": {"consolidateAfter": "0s"}}));
    lab.replicas("web", 20, "1", "1Gi", json!({}));
    assert!(lab.run_until(5, |lab| lab.running("web") == 20));
    lab.run_for(5);
    let looks = lab.cluster.reconciled_by["karpenter"];
    assert!(looks < 400, "{looks} looks for one node");
    // One that stays: it rests but for its retries.
    lab.run_for(600);
    let rest = lab.cluster.reconciled_by["karpenter"] - looks;
    assert!(rest < 20, "{rest} looks in ten minutes without news");
    // A drain that can't go on is looked at once a second at most.
    lab.budget("web", 0);
    lab.settle();
    let claim = lab.claim();
    lab.cluster.delete::<NodeClaim>("", claim.name());
    lab.run_for(10);
    let looks = lab.cluster.reconciled_by["karpenter"];
    lab.run_for(600);
    let held = lab.cluster.reconciled_by["karpenter"] - looks;
    assert!(held < 1900, "{held} looks at a drain in ten minutes");
    lab.cluster
        .delete::<k8s_openapi::api::policy::v1::PodDisruptionBudget>("shop", "web");
    assert!(lab.run_until(30, |lab| !lab.is_there::<NodeClaim>(claim.name())));
    assert!(lab.run_until(30, |lab| lab.running("web") == 20));
    lab.scale("web", 0);
    assert!(lab.run_until(60, |lab| lab.claims().is_empty()));
    assert!(lab.machines().is_empty());
}

#[test]
fn whatever_is_seen_late_comes_to_the_same() {
    for seed in 0..6 {
        let mut lab = Lab::new();
        lab.cluster.pace = Pace::Immediate;
        lab.cluster.late = Some(seed);
        lab.patch_pool("general", json!({"disruption": {"consolidateAfter": "0s"}}));
        lab.replicas("web", 6, "1", "1Gi", json!({}));
        assert!(
            lab.run_until(60, |lab| lab.running("web") == 6),
            "seed {seed}"
        );
        assert_eq!(lab.claims().len(), 1, "seed {seed}");
        lab.scale("web", 1);
        let replaced = lab.run_until(120, |lab| {
            lab.claims().len() == 1 && lab.machines().iter().all(|kind| kind.ends_with(".large"))
        });
        assert!(replaced, "seed {seed}: {:?}", lab.machines());
        assert!(
            lab.run_until(60, |lab| lab.running("web") == 1),
            "seed {seed}"
        );
        lab.scale("web", 0);
        assert!(
            lab.run_until(60, |lab| lab.claims().is_empty()),
            "seed {seed}"
        );
        lab.run_for(5);
        assert_eq!(
            (lab.nodes(), lab.machines().len()),
            (Vec::new(), 0),
            "seed {seed}"
        );
        assert_eq!(lab.launches.len(), 2, "seed {seed}");
    }
}

/// A restart in the middle of anything loses what is kept in memory, and nothing else.
#[test]
fn a_restart_goes_on_where_it_was() {
    for pause in [4, 20, 50] {
        let mut lab = Lab::new();
        lab.replicas("web", 6, "1", "1Gi", json!({}));
        lab.run_for(pause);
        lab.cluster.restart(controllers());
        assert!(lab.run_until(300, |lab| lab.running("web") == 6), "{pause}");
        assert_eq!((lab.claims().len(), lab.launches.len()), (1, 1), "{pause}");
        // In the middle of a replacement.
        lab.scale("web", 1);
        lab.patch_pool("general", json!({"disruption": {"consolidateAfter": "0s"}}));
        let old = lab.claim();
        assert!(
            lab.run_until(60, |lab| lab.is(&old, "DisruptionReason")),
            "{pause}"
        );
        lab.run_for(pause);
        lab.cluster.restart(controllers());
        assert!(
            lab.run_until(900, |lab| lab.claims().len() == 1
                && lab.machines().iter().all(|kind| kind.ends_with(".large"))),
            "{pause}: {:?}",
            lab.machines()
        );
        assert!(lab.run_until(300, |lab| lab.running("web") == 1), "{pause}");
    }
}

/// Where there is nothing of Karpenter's to look after, it costs nothing.
#[test]
fn idle_costs_nothing() {
    let mut lab = Lab::new();
    lab.run_for(60);
    let looks = lab.cluster.reconciled_by["karpenter"];
    lab.run_for(24 * 3600);
    assert_eq!(lab.cluster.reconciled_by["karpenter"], looks);
    lab.run("web", 3, "1", "1Gi", json!({}));
    lab.run_for(300);
    let looks = lab.cluster.reconciled_by["karpenter"];
    let before = lab.cluster.now;
    lab.run_for(6 * 3600);
    assert_eq!(
        lab.cluster.now.duration_since(before),
        SignedDuration::from_hours(6)
    );
    let more = lab.cluster.reconciled_by["karpenter"] - looks;
    assert!(more <= 2, "{more} looks at a node that is as it should be");
}
