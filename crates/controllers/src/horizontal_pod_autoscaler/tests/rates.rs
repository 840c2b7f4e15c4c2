//! The behaviour's rules, one by one (horizontal.go).

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value as Json, json};

use super::{cluster, condition, is, load, replicas, run_loaded};
use crate::testing::Cluster;

fn behaving(replicas: i32, behavior: Json) -> Cluster {
    cluster(replicas, json!({"behavior": behavior}))
}

/// Sizes after each look, with this load of each pod.
fn sizes(cluster: &mut Cluster, looks: usize, cpu: i64) -> Vec<i32> {
    (0..looks)
        .map(|_| {
            run_loaded(cluster, 15, cpu);
            replicas(cluster)
        })
        .collect()
}

/// `calculateScaleUpLimit`: twice as many, or four.
#[test]
fn without_a_behaviour_a_look_doubles_at_most() {
    let mut cluster = cluster(1, json!({}));
    load(&mut cluster, 1000);
    cluster.settle();
    assert_eq!(replicas(&cluster), 4);
    assert_eq!(
        condition(&cluster, "ScalingLimited"),
        is("True", "ScaleUpLimit")
    );
    cluster.patch::<HorizontalPodAutoscaler>(
        "default",
        "web",
        &json!({"spec": {"maxReplicas": 6}}),
    );
    // The new pods start: they count nothing for now, and the first one's load is still enough.
    cluster.run_with_kubelet_for(300);
    run_loaded(&mut cluster, 15, 1000);
    assert_eq!(replicas(&cluster), 6);
    assert_eq!(
        condition(&cluster, "ScalingLimited"),
        is("True", "TooManyReplicas")
    );
}

/// `calculateScaleUpLimitWithScalingRules`: so many pods a period.
#[test]
fn pods_per_period_limit_growth() {
    let up = json!({"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}});
    let mut cluster = behaving(4, up);
    load(&mut cluster, 800);
    cluster.settle();
    assert_eq!(replicas(&cluster), 6);
    assert_eq!(
        condition(&cluster, "ScalingLimited"),
        is("True", "ScaleUpLimit")
    );
    // The period is from the change on: at exactly its end it is over.
    assert_eq!(sizes(&mut cluster, 4, 800), [6, 6, 6, 8]);
}

/// Percentages of what there was when the period began, rounded up.
#[test]
fn percent_per_period_limits_growth() {
    let up =
        json!({"scaleUp": {"policies": [{"type": "Percent", "value": 30, "periodSeconds": 30}]}});
    let mut cluster = behaving(5, up);
    load(&mut cluster, 800);
    cluster.settle();
    assert_eq!(replicas(&cluster), 7);
    assert_eq!(sizes(&mut cluster, 2, 800), [7, 10]);
}

/// `selectPolicy`: the greatest change, the least, or none.
#[test]
fn a_policy_is_selected() {
    let policies = json!([{"type": "Pods", "value": 1, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]);
    for (select, expected) in [("Max", 8), ("Min", 5), ("Disabled", 4)] {
        let up = json!({"scaleUp": {"selectPolicy": select, "policies": policies}});
        let mut cluster = behaving(4, up);
        load(&mut cluster, 800);
        cluster.settle();
        assert_eq!(replicas(&cluster), expected, "{select}");
    }
}

/// `calculateScaleDownLimitWithBehaviors`, without a window.
#[test]
fn shrinking_has_its_rate() {
    let down = json!({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 20, "periodSeconds": 60}]}});
    let mut cluster = behaving(10, down);
    load(&mut cluster, 10);
    cluster.settle();
    assert_eq!(replicas(&cluster), 8);
    assert_eq!(
        condition(&cluster, "ScalingLimited"),
        is("True", "ScaleDownLimit")
    );
    // A fifth less of eight is 6.4, cut to six.
    assert_eq!(sizes(&mut cluster, 4, 10), [8, 8, 8, 6]);
    let disabled =
        json!({"scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}});
    let mut cluster = behaving(10, disabled);
    load(&mut cluster, 10);
    cluster.settle();
    assert_eq!(replicas(&cluster), 10);
}

/// `stabilizeRecommendationWithBehaviors`: growing takes the lowest of its window, shrinking the highest of its own.
#[test]
fn both_directions_have_windows() {
    let windows = json!({"scaleUp": {"stabilizationWindowSeconds": 60}, "scaleDown": {"stabilizationWindowSeconds": 30}});
    let mut cluster = behaving(4, windows);
    load(&mut cluster, 80);
    cluster.settle();
    assert_eq!(sizes(&mut cluster, 3, 160), [4, 4, 4]);
    assert_eq!(
        condition(&cluster, "AbleToScale"),
        is("True", "ScaleUpStabilized")
    );
    assert_eq!(sizes(&mut cluster, 1, 160), [8]);
    cluster.run_with_kubelet_for(300);
    load(&mut cluster, 80);
    cluster.run_with_kubelet_for(15);
    let after = sizes(&mut cluster, 3, 40);
    assert_eq!(after[0], 8);
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("True", "ValidMetricFound")
    );
    assert_eq!(after.last(), Some(&4));
}

/// A behaviour that says nothing of shrinking has the controller's window (`maybeInitScaleDownStabilizationWindow`).
#[test]
fn the_default_window_is_five_minutes() {
    let mut cluster = behaving(4, json!({"scaleUp": {"stabilizationWindowSeconds": 0}}));
    load(&mut cluster, 80);
    cluster.settle();
    let sizes = sizes(&mut cluster, 21, 20);
    assert!(sizes[..19].iter().all(|size| *size == 4), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&1));
}

/// KEP-4951: a direction may have a tolerance of its own.
#[test]
fn tolerances_may_differ() {
    let mut cluster = behaving(10, json!({"scaleUp": {"tolerance": "0"}}));
    load(&mut cluster, 83);
    cluster.settle();
    assert_eq!(replicas(&cluster), 11);
}
