mod calculations;
mod rates;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::Key;
use crate::metrics::{Described, PodUsage, Sample, Usage};
use crate::testing::Cluster;
use crate::workloads::{Options, all, key_of};

fn deployment(name: &str, replicas: i32) -> Json {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [
                {"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}}},
                {"name": "side", "image": "envoy", "resources": {"requests": {"cpu": "100m", "memory": "28Mi"}}}]}}}})
}

fn scaler(spec: Json) -> Json {
    let mut scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 100}});
    for (key, value) in spec.as_object().unwrap() {
        scaler["spec"][key] = value.clone();
    }
    scaler
}

/// A Deployment that has run for ten minutes, and then an autoscaler for it.
fn cluster(replicas: i32, spec: Json) -> Cluster {
    let mut cluster = Cluster::new(all(Options::default()));
    cluster.create(deployment("web", replicas));
    cluster.run_with_kubelet_for(600);
    cluster.create(scaler(spec));
    cluster
}

/// Each running pod uses so much CPU in each of its containers, measured now.
fn load(cluster: &mut Cluster, cpu: i64) {
    let pods = cluster.list::<Pod>("default");
    let usage = Usage {
        cpu_milli: cpu,
        memory_bytes: 64 << 20,
    };
    let containers = BTreeMap::from([("c".to_owned(), usage), ("side".to_owned(), usage)]);
    cluster.view.metrics.pods = pods
        .iter()
        .filter(|pod| crate::workloads::phase(pod) == "Running")
        .map(|pod| {
            let usage = PodUsage {
                at: cluster.now,
                window: SignedDuration::from_secs(15),
                containers: containers.clone(),
            };
            (key_of(&pod.metadata), usage)
        })
        .collect();
}

/// Lets the time go by in steps of 15 s, with this load of each pod.
fn run_loaded(cluster: &mut Cluster, seconds: i64, cpu: i64) {
    for _ in 0..seconds / 15 {
        load(cluster, cpu);
        cluster.run_with_kubelet_for(15);
    }
}

fn replicas(cluster: &Cluster) -> i32 {
    cluster
        .get::<Deployment>("default", "web")
        .spec
        .unwrap()
        .replicas
        .unwrap()
}

fn status(cluster: &Cluster) -> HorizontalPodAutoscalerStatus {
    cluster
        .get::<HorizontalPodAutoscaler>("default", "web")
        .status
        .unwrap()
}

/// Status and reason of a condition.
fn condition(cluster: &Cluster, kind: &str) -> (String, String) {
    let conditions = status(cluster).conditions.unwrap_or_default();
    conditions
        .into_iter()
        .find(|one| one.type_ == kind)
        .map(|one| (one.status, one.reason.unwrap_or_default()))
        .unwrap_or_default()
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn told<'a>(cluster: &'a Cluster, reason: &str) -> Vec<&'a str> {
    cluster.told("HorizontalPodAutoscaler/web", reason)
}

/// horizontal.go `reconcileAutoscaler`; the default metric is CPU at 80 % (apis/autoscaling/v2/defaults.go).
#[test]
fn a_higher_load_gets_more_pods() {
    let mut cluster = cluster(2, json!({}));
    load(&mut cluster, 160);
    cluster.settle();
    // 320m of 200m requested is 160 %, twice the target.
    assert_eq!(replicas(&cluster), 4);
    let status = status(&cluster);
    assert_eq!(
        (status.current_replicas, status.desired_replicas),
        (Some(2), 4)
    );
    assert_eq!(status.last_scale_time.unwrap().0, cluster.now);
    let current = status.current_metrics.unwrap().remove(0).resource.unwrap();
    assert_eq!(
        (current.name.as_str(), current.current.average_utilization),
        ("cpu", Some(160))
    );
    assert_eq!(current.current.average_value.unwrap().0, "320m");
    assert_eq!(
        condition(&cluster, "AbleToScale"),
        is("True", "SucceededRescale")
    );
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("True", "ValidMetricFound")
    );
    assert_eq!(
        condition(&cluster, "ScalingLimited"),
        is("False", "DesiredWithinRange")
    );
    assert_eq!(
        told(&cluster, "SuccessfulRescale"),
        ["New size: 4; reason: cpu resource utilization (percentage of request) above target"]
    );
}

#[test]
fn it_looks_every_fifteen_seconds() {
    let mut cluster = cluster(2, json!({}));
    load(&mut cluster, 80);
    cluster.settle();
    assert_eq!(
        condition(&cluster, "AbleToScale"),
        is("True", "ReadyForNewScale")
    );
    load(&mut cluster, 160);
    cluster.run_for(14);
    assert_eq!(replicas(&cluster), 2);
    cluster.run_for(1);
    assert_eq!(replicas(&cluster), 4);
}

/// horizontal.go `stabilizeRecommendation`: five minutes with the highest recommendation.
#[test]
fn a_lower_load_waits_five_minutes() {
    let mut cluster = cluster(4, json!({}));
    load(&mut cluster, 80);
    cluster.settle();
    run_loaded(&mut cluster, 300, 20);
    assert_eq!(replicas(&cluster), 4);
    assert_eq!(
        condition(&cluster, "AbleToScale"),
        is("True", "ScaleDownStabilized")
    );
    run_loaded(&mut cluster, 30, 20);
    assert_eq!(replicas(&cluster), 1);
    assert_eq!(
        told(&cluster, "SuccessfulRescale"),
        ["New size: 1; reason: All metrics below target"]
    );
}

/// horizontal.go: outside of the bounds no metric is asked.
#[test]
fn bounds_come_first() {
    let mut cluster = cluster(2, json!({"minReplicas": 3}));
    cluster.settle();
    assert_eq!(replicas(&cluster), 3);
    assert_eq!(
        told(&cluster, "SuccessfulRescale"),
        ["New size: 3; reason: Current number of replicas below Spec.MinReplicas"]
    );
    cluster.patch::<HorizontalPodAutoscaler>(
        "default",
        "web",
        &json!({"spec": {"minReplicas": 1, "maxReplicas": 2}}),
    );
    cluster.settle();
    assert_eq!(replicas(&cluster), 2);
    cluster.patch::<Deployment>("default", "web", &json!({"spec": {"replicas": 0}}));
    cluster.run_for(15);
    assert_eq!(replicas(&cluster), 0);
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("False", "ScalingDisabled")
    );
}

#[test]
fn a_missing_target_is_told() {
    let mut cluster = Cluster::new(all(Options::default()));
    cluster.create(scaler(json!({})));
    cluster.settle();
    assert_eq!(
        condition(&cluster, "AbleToScale"),
        is("False", "FailedGetScale")
    );
    assert_eq!(
        told(&cluster, "FailedGetScale"),
        ["deployments.apps \"web\" not found"]
    );
    cluster.patch::<HorizontalPodAutoscaler>(
        "default",
        "web",
        &json!({"spec": {"scaleTargetRef": {"apiVersion": "batch/v1", "kind": "Job"}}}),
    );
    cluster.settle();
    assert!(
        told(&cluster, "FailedGetScale")
            .contains(&"no matches for kind \"Job\" in group \"batch\"")
    );
}

/// horizontal.go `getUnableComputeReplicaCountCondition`.
#[test]
fn without_metrics_nothing_is_done() {
    let mut cluster = cluster(2, json!({}));
    cluster.settle();
    assert_eq!(replicas(&cluster), 2);
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("False", "FailedGetResourceMetric")
    );
    let error = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    assert_eq!(told(&cluster, "FailedGetResourceMetric"), [error]);
    assert_eq!(
        told(&cluster, "FailedComputeMetricsReplicas"),
        [format!(
            "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {error}"
        )]
    );
    let conditions = status(&cluster).conditions.unwrap();
    let message = conditions
        .iter()
        .find(|one| one.type_ == "ScalingActive")
        .unwrap()
        .message
        .clone()
        .unwrap();
    assert_eq!(
        message,
        format!("the HPA was unable to compute the replica count: {error}")
    );
}

/// horizontal.go `validateAndParseSelector`.
#[test]
fn two_autoscalers_of_the_same_pods_do_nothing() {
    let mut cluster = cluster(2, json!({}));
    let mut other = scaler(json!({}));
    other["metadata"]["name"] = json!("web-too");
    cluster.create(other);
    load(&mut cluster, 200);
    cluster.settle();
    cluster.run_for(15);
    assert_eq!(replicas(&cluster), 2);
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("False", "AmbiguousSelector")
    );
    assert_eq!(
        told(&cluster, "AmbiguousSelector"),
        ["pods by selector app=web are controlled by multiple HPAs: [default/web default/web-too]"]
    );
}

fn resource(name: &str, percent: i32) -> Json {
    json!({"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}}})
}

fn external(value: &str) -> Json {
    json!({"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"name": "orders"}}},
        "target": {"type": "AverageValue", "averageValue": value}}})
}

fn queue(cluster: &mut Cluster, length: i64) {
    let sample = |name: &str, milli| Sample {
        metric: "queue".to_owned(),
        labels: BTreeMap::from([("name".to_owned(), name.to_owned())]),
        milli,
        at: cluster.now,
    };
    let samples = vec![sample("orders", length * 1000), sample("other", 1_000_000)];
    cluster.view.metrics.external = BTreeMap::from([("default".to_owned(), samples)]);
}

/// horizontal.go `computeReplicasForMetrics`: the highest proposal; what cannot be measured blocks shrinking only.
#[test]
fn of_several_metrics_the_highest_counts() {
    let mut cluster = cluster(2, json!({"metrics": [resource("cpu", 80), external("10")]}));
    load(&mut cluster, 80);
    queue(&mut cluster, 38);
    cluster.settle();
    assert_eq!(replicas(&cluster), 4);
    assert_eq!(
        told(&cluster, "SuccessfulRescale"),
        [
            "New size: 4; reason: external metric queue(&LabelSelector{MatchLabels:map[string]string{name: orders,},MatchExpressions:[]LabelSelectorRequirement{},}) above target"
        ]
    );
    assert_eq!(status(&cluster).current_metrics.unwrap().len(), 2);
}

#[test]
fn an_unknown_metric_keeps_a_workload_from_shrinking() {
    let mut cluster = cluster(4, json!({"metrics": [resource("cpu", 80), external("10")]}));
    load(&mut cluster, 20);
    cluster.settle();
    run_loaded(&mut cluster, 600, 20);
    assert_eq!(replicas(&cluster), 4);
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("False", "FailedGetExternalMetric")
    );
    // And not from growing.
    run_loaded(&mut cluster, 15, 120);
    assert_eq!(replicas(&cluster), 6);
    assert_eq!(
        condition(&cluster, "ScalingActive"),
        is("True", "ValidMetricFound")
    );
}

/// replica_calculator.go `GetResourceReplicas` with a container.
#[test]
fn one_container_may_be_what_counts() {
    let metric = json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
        "target": {"type": "Utilization", "averageUtilization": 50}}});
    let mut cluster = cluster(2, json!({"metrics": [metric]}));
    load(&mut cluster, 100);
    cluster.settle();
    assert_eq!(replicas(&cluster), 4);
    assert_eq!(
        told(&cluster, "SuccessfulRescale"),
        [
            "New size: 4; reason: cpu container resource utilization (percentage of request) above target"
        ]
    );
    let current = status(&cluster)
        .current_metrics
        .unwrap()
        .remove(0)
        .container_resource
        .unwrap();
    assert_eq!(
        (
            current.container.as_str(),
            current.current.average_utilization
        ),
        ("c", Some(100))
    );
}

/// replica_calculator.go `GetRawResourceReplicas`.
#[test]
fn memory_may_have_an_average() {
    let metric = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "64Mi"}}});
    let mut cluster = cluster(2, json!({"metrics": [metric]}));
    load(&mut cluster, 0);
    cluster.settle();
    assert_eq!(replicas(&cluster), 4);
    let current = status(&cluster)
        .current_metrics
        .unwrap()
        .remove(0)
        .resource
        .unwrap();
    assert_eq!(current.current.average_value.unwrap().0, "134217728");
}

/// replica_calculator.go `GetMetricReplicas`, `GetObjectMetricReplicas`, `GetObjectPerPodMetricReplicas`.
#[test]
fn custom_metrics_count_too() {
    let of_pods = json!({"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "100"}}});
    let mut pods = cluster(2, json!({"metrics": [of_pods]}));
    let at = pods.now;
    let sample = |milli| Sample {
        metric: "requests".to_owned(),
        labels: BTreeMap::new(),
        milli,
        at,
    };
    for pod in pods.list::<Pod>("default") {
        let described = Described {
            kind: "Pod".to_owned(),
            key: key_of(&pod.metadata),
        };
        pods.view
            .metrics
            .custom
            .insert(described, vec![sample(150_000)]);
    }
    pods.settle();
    assert_eq!(replicas(&pods), 3);
    assert_eq!(
        told(&pods, "SuccessfulRescale"),
        ["New size: 3; reason: pods metric requests above target"]
    );

    let of_object = |target: Json| {
        json!({"type": "Object", "object": {"metric": {"name": "requests"}, "target": target,
        "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}}})
    };
    let ingress = Described {
        kind: "Ingress".to_owned(),
        key: Key::new("default", "main"),
    };
    let mut whole = cluster(
        2,
        json!({"metrics": [of_object(json!({"type": "Value", "value": "100"}))]}),
    );
    whole
        .view
        .metrics
        .custom
        .insert(ingress.clone(), vec![sample(200_000)]);
    whole.settle();
    assert_eq!(replicas(&whole), 4);
    let mut shared = cluster(
        2,
        json!({"metrics": [of_object(json!({"type": "AverageValue", "averageValue": "60"}))]}),
    );
    shared
        .view
        .metrics
        .custom
        .insert(ingress, vec![sample(200_000)]);
    shared.settle();
    assert_eq!(replicas(&shared), 4);
    let current = status(&shared)
        .current_metrics
        .unwrap()
        .remove(0)
        .object
        .unwrap();
    assert_eq!(current.current.average_value.unwrap().0, "100");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the load is: never outside of the bounds, never more than doubled (or four) at a time, and never smaller within five
    /// minutes of a recommendation that was higher.
    #[test]
    fn sizes_keep_to_their_rules(loads in proptest::collection::vec(0i64..400, 4..30), least in 1i32..4, more in 0i32..12) {
        let most = least + more;
        let mut cluster = cluster(least, json!({"minReplicas": least, "maxReplicas": most}));
        load(&mut cluster, 80);
        cluster.settle();
        let mut sizes = vec![least];
        for cpu in loads {
            run_loaded(&mut cluster, 15, cpu);
            let size = replicas(&cluster);
            let before = *sizes.last().unwrap();
            prop_assert!((least..=most).contains(&size));
            prop_assert!(size <= (2 * before).max(4), "{before} to {size}");
            sizes.push(size);
            if sizes.len() <= 20 {
                prop_assert!(size >= before, "{sizes:?}");
            }
        }
    }
}
