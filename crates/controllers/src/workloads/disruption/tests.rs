use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use serde_json::{Value as Json, json};

use super::DisruptionBudgets;
use crate::testing::{Cluster, name_of};
use crate::workloads::{Deployments, Jobs, ReplicaSets};

fn cluster(budget: Json, replicas: i32) -> Cluster {
    let mut cluster = Cluster::new(vec![
        Box::new(Deployments),
        Box::new(ReplicaSets::default()),
        Box::new(Jobs::default()),
        Box::new(DisruptionBudgets),
    ]);
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}});
    for (key, value) in budget.as_object().unwrap() {
        spec[key] = value.clone();
    }
    cluster.create(
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"}, "spec": spec}),
    );
    cluster.create(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}}));
    cluster.settle_with_kubelet();
    cluster
}

fn status(cluster: &Cluster) -> PodDisruptionBudgetStatus {
    cluster
        .get::<PodDisruptionBudget>("default", "web")
        .status
        .unwrap()
}

fn reason(cluster: &Cluster) -> (String, String) {
    let condition = status(cluster).conditions.unwrap().remove(0);
    (condition.status, condition.reason)
}

/// disruption.go `getExpectedPodCount`: numbers and percentages, which are rounded up.
#[test]
fn budgets_are_counted() {
    for (budget, healthy, allowed) in [
        (json!({"maxUnavailable": 1}), 6, 1),
        (json!({"maxUnavailable": "30%"}), 4, 3),
        (json!({"minAvailable": 5}), 5, 2),
        (json!({"minAvailable": "50%"}), 4, 3),
        (json!({"maxUnavailable": 0}), 7, 0),
        (json!({"minAvailable": "100%"}), 7, 0),
    ] {
        let cluster = cluster(budget.clone(), 7);
        let status = status(&cluster);
        assert_eq!(status.expected_pods, 7, "{budget}");
        assert_eq!(status.current_healthy, 7, "{budget}");
        assert_eq!(status.desired_healthy, healthy, "{budget}");
        assert_eq!(status.disruptions_allowed, allowed, "{budget}");
        assert_eq!(status.observed_generation, Some(1));
        let expected = if allowed > 0 {
            ("True", "SufficientPods")
        } else {
            ("False", "InsufficientPods")
        };
        assert_eq!(
            reason(&cluster),
            (expected.0.to_owned(), expected.1.to_owned())
        );
    }
}

/// `countHealthyPods`: terminating and unready pods are not healthy.
#[test]
fn what_is_not_ready_is_not_healthy() {
    let mut cluster = cluster(json!({"maxUnavailable": 2}), 4);
    let name = name_of(&cluster.list::<Pod>("default")[0]).to_owned();
    cluster.run("default", &name, false);
    cluster.settle();
    assert_eq!(
        (
            status(&cluster).current_healthy,
            status(&cluster).disruptions_allowed
        ),
        (3, 1)
    );
    let other = name_of(&cluster.list::<Pod>("default")[1]).to_owned();
    cluster.delete::<Pod>("default", &other);
    cluster.settle();
    assert_eq!(
        (
            status(&cluster).current_healthy,
            status(&cluster).disruptions_allowed
        ),
        (2, 0)
    );
    cluster.settle_with_kubelet();
    cluster.run("default", &name, true);
    cluster.settle();
    assert_eq!(status(&cluster).disruptions_allowed, 2);
}

/// The scale is the Deployment's, not what there is.
#[test]
fn the_expected_pods_follow_the_scale() {
    let mut cluster = cluster(json!({"maxUnavailable": "50%"}), 4);
    cluster.patch::<Deployment>("default", "web", &json!({"spec": {"replicas": 8}}));
    cluster.settle();
    let growing = status(&cluster);
    assert_eq!(
        (
            growing.expected_pods,
            growing.current_healthy,
            growing.disruptions_allowed
        ),
        (8, 4, 0)
    );
    cluster.settle_with_kubelet();
    assert_eq!(status(&cluster).disruptions_allowed, 4);
}

/// `buildDisruptedPodMap`: an eviction counts at once, and for two minutes if nothing comes of it.
#[test]
fn an_evicted_pod_counts_until_it_should_be_gone() {
    let mut cluster = cluster(json!({"maxUnavailable": 1}), 3);
    let name = name_of(&cluster.list::<Pod>("default")[0]).to_owned();
    let now = cluster.now.to_string();
    cluster.patch_status::<PodDisruptionBudget>(
        "default",
        "web",
        &json!({"status": {"disruptionsAllowed": 0, "disruptedPods": {(name.as_str()): now}}}),
    );
    cluster.settle();
    assert_eq!(
        (
            status(&cluster).current_healthy,
            status(&cluster).disruptions_allowed
        ),
        (2, 0)
    );
    cluster.run_for(121);
    assert_eq!(
        (
            status(&cluster).disruptions_allowed,
            status(&cluster).disrupted_pods
        ),
        (1, None)
    );
}

/// `failSafe`: what cannot be counted allows nothing.
#[test]
fn pods_of_jobs_cannot_be_scaled() {
    let mut cluster = cluster(json!({"maxUnavailable": 1}), 1);
    cluster.create(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"},
        "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}));
    cluster.settle_with_kubelet();
    assert_eq!(
        reason(&cluster),
        ("False".to_owned(), "SyncFailed".to_owned())
    );
    assert_eq!(status(&cluster).disruptions_allowed, 0);
    assert_eq!(
        status(&cluster).conditions.unwrap()[0].message,
        "jobs.batch does not implement the scale subresource"
    );
}

#[test]
fn a_budget_without_pods_allows_nothing() {
    let cluster = cluster(
        json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "none"}}}),
        1,
    );
    let status = status(&cluster);
    assert_eq!((status.expected_pods, status.disruptions_allowed), (0, 0));
    assert_eq!(
        cluster.told("PodDisruptionBudget/web", "NoPods"),
        ["No matching pods found"]
    );
}
