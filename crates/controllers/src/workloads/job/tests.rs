use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{FINALIZER, FinishedJobs, Jobs, index_of};
use crate::testing::{Cluster, name_of};
use crate::workloads::pods::is_active;

fn job(spec: Json) -> Json {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "sum", "namespace": "default", "uid": "u-1"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "u-1"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

fn cluster(spec: Json) -> Cluster {
    let mut cluster = Cluster::new(vec![Box::new(Jobs::default()), Box::new(FinishedJobs)]);
    cluster.create(job(spec));
    cluster.settle();
    cluster
}

fn status(cluster: &Cluster) -> JobStatus {
    cluster.get::<Job>("default", "sum").status.unwrap()
}

/// The names of those that run or wait.
fn active(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list::<Pod>("default");
    pods.iter()
        .filter(|pod| is_active(pod))
        .map(|pod| name_of(pod).to_owned())
        .collect()
}

fn end(cluster: &mut Cluster, name: &str, code: i32) {
    cluster.run("default", name, true);
    cluster.exit("default", name, code);
    cluster.settle();
}

fn reason(cluster: &Cluster, kind: &str) -> Option<String> {
    let conditions = status(cluster).conditions.unwrap_or_default();
    let found = conditions
        .into_iter()
        .find(|one| one.type_ == kind && one.status == "True")?;
    Some(found.reason.unwrap_or_default())
}

/// The pod of an index that runs.
fn of_index(cluster: &Cluster, index: i32) -> Option<String> {
    let pods = cluster.list::<Pod>("default");
    pods.iter()
        .find(|pod| is_active(pod) && index_of(pod) == Some(index))
        .map(|pod| name_of(pod).to_owned())
}

/// job_controller.go `syncJob`, `enactJobFinished`; what `kubectl wait --for=condition=complete` waits for.
#[test]
fn a_job_completes() {
    let mut cluster = cluster(json!({}));
    let started = status(&cluster);
    assert_eq!(
        (started.active, started.ready, started.terminating),
        (Some(1), Some(0), Some(0))
    );
    assert!(started.start_time.is_some());
    let pod = &cluster.list::<Pod>("default")[0];
    assert_eq!(
        pod.metadata.finalizers.as_deref(),
        Some(&[FINALIZER.to_owned()][..])
    );
    assert_eq!(pod.metadata.labels.as_ref().unwrap()["job-name"], "sum");
    let name = active(&cluster).remove(0);
    end(&mut cluster, &name, 0);
    let done = status(&cluster);
    assert_eq!(
        (done.active, done.succeeded, done.failed),
        (None, Some(1), None)
    );
    assert!(done.completion_time.is_some());
    assert_eq!(
        reason(&cluster, "Complete").as_deref(),
        Some("CompletionsReached")
    );
    assert_eq!(
        reason(&cluster, "SuccessCriteriaMet").as_deref(),
        Some("CompletionsReached")
    );
    assert_eq!(cluster.told("Job/sum", "Completed"), ["Job completed"]);
    assert_eq!(cluster.list::<Pod>("default")[0].metadata.finalizers, None);
}

/// job_controller.go `manageJob`.
#[test]
fn no_more_run_than_are_still_needed() {
    let mut cluster = cluster(json!({"parallelism": 3, "completions": 4}));
    for left in [3, 3, 2, 1] {
        let running = active(&cluster);
        assert_eq!(running.len(), left);
        end(&mut cluster, &running[0], 0);
    }
    assert_eq!(status(&cluster).succeeded, Some(4));
    assert!(reason(&cluster, "Complete").is_some());
}

#[test]
fn failures_take_a_while_at_any_pace() {
    let mut cluster = Cluster::new(vec![Box::new(Jobs::default())]);
    cluster.pace = crate::Pace::Immediate;
    cluster.create(job(json!({"backoffLimit": 3})));
    cluster.settle();
    for failures in 1..=3 {
        let name = active(&cluster).remove(0);
        end(&mut cluster, &name, 1);
        assert_eq!(active(&cluster).len(), 0, "after {failures}");
        cluster.run_for(1);
    }
    let name = active(&cluster).remove(0);
    end(&mut cluster, &name, 1);
    assert_eq!(
        reason(&cluster, "Failed").as_deref(),
        Some("BackoffLimitExceeded")
    );
}

/// A Job without completions is done when one has succeeded and the others have ended.
#[test]
fn a_work_queue_is_empty_when_one_says_so() {
    let mut cluster = Cluster::new(vec![Box::new(Jobs::default())]);
    let mut queue = job(json!({"parallelism": 2}));
    queue["spec"]["completions"].take();
    cluster.create(queue);
    cluster.settle();
    let running = active(&cluster);
    assert_eq!(running.len(), 2);
    end(&mut cluster, &running[0], 0);
    assert_eq!(active(&cluster), running[1..]);
    assert_eq!(reason(&cluster, "Complete"), None);
    end(&mut cluster, &running[1], 0);
    assert!(reason(&cluster, "Complete").is_some());
}

/// backoff_utils.go; job_controller.go `BackoffLimitExceeded`.
#[test]
fn failures_wait_longer_each_time_and_end_the_job() {
    let mut cluster = cluster(json!({"backoffLimit": 2}));
    for wait in [10, 20] {
        let name = active(&cluster).remove(0);
        end(&mut cluster, &name, 1);
        assert!(active(&cluster).is_empty());
        cluster.run_for(wait - 1);
        assert!(active(&cluster).is_empty());
        cluster.run_for(1);
        assert_eq!(active(&cluster).len(), 1);
    }
    let name = active(&cluster).remove(0);
    end(&mut cluster, &name, 1);
    assert_eq!(
        reason(&cluster, "Failed").as_deref(),
        Some("BackoffLimitExceeded")
    );
    assert_eq!(
        reason(&cluster, "FailureTarget").as_deref(),
        Some("BackoffLimitExceeded")
    );
    assert_eq!(status(&cluster).failed, Some(3));
    assert_eq!(
        cluster.told("Job/sum", "BackoffLimitExceeded"),
        ["Job has reached the specified backoff limit"]
    );
    cluster.run_for(1000);
    assert_eq!(cluster.list::<Pod>("default").len(), 3);
}

/// job_controller.go `pastBackoffLimitOnFailure`.
#[test]
fn restarts_in_the_pod_count_too() {
    let mut cluster = cluster(json!({"backoffLimit": 2, "template": {
        "metadata": {"labels": {"batch.kubernetes.io/controller-uid": "u-1"}},
        "spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}]}}}));
    let name = active(&cluster).remove(0);
    cluster.run("default", &name, true);
    cluster.patch_status::<Pod>(
        "default",
        &name,
        &json!({"status": {"containerStatuses": [
        {"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 2}]}}),
    );
    cluster.settle();
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert_eq!(
        reason(&cluster, "Failed").as_deref(),
        Some("BackoffLimitExceeded")
    );
}

/// job_controller.go `pastActiveDeadline`: what runs is ended; the Job fails when it is gone.
#[test]
fn a_deadline_ends_what_runs() {
    let mut cluster =
        cluster(json!({"activeDeadlineSeconds": 60, "parallelism": 2, "completions": 2}));
    for name in active(&cluster) {
        cluster.run("default", &name, true);
    }
    cluster.run_for(59);
    assert_eq!(active(&cluster).len(), 2);
    cluster.run_for(1);
    assert!(active(&cluster).is_empty());
    assert_eq!(
        reason(&cluster, "FailureTarget").as_deref(),
        Some("DeadlineExceeded")
    );
    assert_eq!(reason(&cluster, "Failed"), None);
    assert_eq!(status(&cluster).terminating, Some(2));
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert_eq!(
        reason(&cluster, "Failed").as_deref(),
        Some("DeadlineExceeded")
    );
    assert_eq!(status(&cluster).failed, Some(2));
}

/// A pod that is deleted by someone counts as failed and is replaced.
#[test]
fn a_deleted_pod_is_a_failure() {
    let mut cluster = cluster(json!({}));
    let name = active(&cluster).remove(0);
    cluster.run("default", &name, true);
    cluster.delete::<Pod>("default", &name);
    cluster.run_for(30);
    assert_eq!(status(&cluster).failed, Some(1));
    assert_eq!(active(&cluster).len(), 1);
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert_eq!(cluster.list::<Pod>("default").len(), 1);
}

/// job_controller.go: `suspend` ends what runs without counting it, and the start time begins anew.
#[test]
fn a_suspended_job_runs_nothing() {
    let mut cluster = cluster(json!({"suspend": true}));
    assert!(active(&cluster).is_empty());
    assert_eq!(
        reason(&cluster, "Suspended").as_deref(),
        Some("JobSuspended")
    );
    assert_eq!(status(&cluster).start_time, None);
    cluster.run_for(100);
    cluster.patch::<Job>("default", "sum", &json!({"spec": {"suspend": false}}));
    cluster.settle();
    assert_eq!(active(&cluster).len(), 1);
    assert_eq!(status(&cluster).start_time.unwrap().0, cluster.now);
    cluster.patch::<Job>("default", "sum", &json!({"spec": {"suspend": true}}));
    cluster.settle();
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert!(cluster.list::<Pod>("default").is_empty());
    assert_eq!(status(&cluster).failed, None);
    assert_eq!(cluster.told("Job/sum", "Suspended"), ["Job suspended"]);
    assert_eq!(cluster.told("Job/sum", "Resumed"), ["Job resumed"]);
}

fn indexed(more: Json) -> Json {
    let mut spec = json!({"completionMode": "Indexed", "completions": 4, "parallelism": 4});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

/// indexed_job_utils.go.
#[test]
fn each_index_succeeds_once() {
    let mut cluster = cluster(indexed(json!({"parallelism": 2})));
    let first = of_index(&cluster, 0).unwrap();
    assert!(first.starts_with("sum-0-"));
    assert!(of_index(&cluster, 1).is_some() && of_index(&cluster, 2).is_none());
    let pod = cluster.get::<Pod>("default", &first);
    let spec = pod.spec.unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("sum-0"));
    let env = &spec.containers[0].env.as_ref().unwrap()[0];
    assert_eq!(env.name, "JOB_COMPLETION_INDEX");
    assert_eq!(pod.metadata.labels.unwrap()[super::INDEX], "0");
    let second = of_index(&cluster, 1).unwrap();
    end(&mut cluster, &second, 0);
    assert_eq!(status(&cluster).completed_indexes.as_deref(), Some("1"));
    // The first fails and comes again under another name.
    end(&mut cluster, &first, 1);
    cluster.run_for(10);
    let again = of_index(&cluster, 0).unwrap();
    assert_ne!(again, first);
    for index in [0, 2, 3] {
        let name = of_index(&cluster, index).unwrap();
        end(&mut cluster, &name, 0);
    }
    assert_eq!(status(&cluster).completed_indexes.as_deref(), Some("0-3"));
    assert_eq!(
        (status(&cluster).succeeded, status(&cluster).failed),
        (Some(4), Some(1))
    );
    assert!(reason(&cluster, "Complete").is_some());
}

/// indexed_job_utils.go `isIndexFailed`, `getPodsWithDelayedDeletionPerIndex`.
#[test]
fn an_index_has_a_limit_of_its_own() {
    let mut cluster = cluster(indexed(
        json!({"completions": 2, "parallelism": 2, "backoffLimitPerIndex": 1, "backoffLimit": 2147483647}),
    ));
    let name = of_index(&cluster, 1).unwrap();
    end(&mut cluster, &name, 1);
    cluster.run_for(10);
    let again = of_index(&cluster, 1).unwrap();
    let annotations = cluster
        .get::<Pod>("default", &again)
        .metadata
        .annotations
        .unwrap();
    assert_eq!(
        annotations["batch.kubernetes.io/job-index-failure-count"],
        "1"
    );
    end(&mut cluster, &again, 1);
    assert_eq!(status(&cluster).failed_indexes.as_deref(), Some("1"));
    assert_eq!(reason(&cluster, "Failed"), None);
    let name = of_index(&cluster, 0).unwrap();
    end(&mut cluster, &name, 0);
    assert_eq!(reason(&cluster, "Failed").as_deref(), Some("FailedIndexes"));
    assert_eq!(status(&cluster).completed_indexes.as_deref(), Some("0"));
    assert_eq!(status(&cluster).failed, Some(2));
}

#[test]
fn too_many_failed_indexes_end_the_job() {
    let mut cluster = cluster(indexed(
        json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1, "backoffLimit": 2147483647}),
    ));
    for index in [0, 2] {
        let name = of_index(&cluster, index).unwrap();
        end(&mut cluster, &name, 1);
    }
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert_eq!(
        reason(&cluster, "Failed").as_deref(),
        Some("MaxFailedIndexesExceeded")
    );
}

/// success_policy.go.
#[test]
fn a_success_policy_ends_the_rest() {
    let mut cluster = cluster(indexed(
        json!({"successPolicy": {"rules": [{"succeededIndexes": "1-3", "succeededCount": 2}]}}),
    ));
    for index in [0, 1] {
        let name = of_index(&cluster, index).unwrap();
        end(&mut cluster, &name, 0);
    }
    assert_eq!(reason(&cluster, "SuccessCriteriaMet"), None);
    let name = of_index(&cluster, 3).unwrap();
    end(&mut cluster, &name, 0);
    assert_eq!(
        reason(&cluster, "SuccessCriteriaMet").as_deref(),
        Some("SuccessPolicy")
    );
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert_eq!(
        reason(&cluster, "Complete").as_deref(),
        Some("SuccessPolicy")
    );
    assert_eq!(status(&cluster).completed_indexes.as_deref(), Some("0,1,3"));
}

/// pod_failure_policy.go.
#[test]
fn a_failure_policy_decides() {
    let policy = json!({"podFailurePolicy": {"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]}, "backoffLimit": 0});
    let mut cluster = cluster(policy);
    let name = active(&cluster).remove(0);
    cluster.run("default", &name, true);
    cluster.patch_status::<Pod>(
        "default",
        &name,
        &json!({"status": {"phase": "Failed", "conditions": [
        {"type": "DisruptionTarget", "status": "True"}]}}),
    );
    cluster.run_for(10);
    assert_eq!(status(&cluster).failed, None);
    let again = active(&cluster).remove(0);
    end(&mut cluster, &again, 42);
    assert_eq!(
        reason(&cluster, "Failed").as_deref(),
        Some("PodFailurePolicy")
    );
    let conditions = status(&cluster).conditions.unwrap();
    assert_eq!(
        conditions[0].message.as_deref(),
        Some(format!("Container c for pod default/{again} failed with exit code 42 matching FailJob rule at index 0").as_str())
    );
}

/// ttlafterfinished/ttlafterfinished_controller.go.
#[test]
fn a_finished_job_goes_after_its_time() {
    let mut cluster = cluster(json!({"ttlSecondsAfterFinished": 100}));
    let name = active(&cluster).remove(0);
    end(&mut cluster, &name, 0);
    cluster.run_for(99);
    assert!(cluster.find::<Job>("default", "sum").is_some());
    cluster.run_for(1);
    assert!(cluster.find::<Job>("default", "sum").is_none());
    assert!(cluster.list::<Pod>("default").is_empty());
}

/// job_controller.go `syncOrphanPod`: nothing holds the pods of a Job that is gone.
#[test]
fn the_pods_of_a_deleted_job_go_too() {
    let mut cluster = cluster(json!({"parallelism": 2, "completions": 2}));
    for name in active(&cluster) {
        cluster.run("default", &name, true);
    }
    cluster.delete::<Job>("default", "sum");
    cluster.settle();
    cluster.finish_terminating(|_| true);
    cluster.settle();
    assert!(cluster.list::<Pod>("default").is_empty());
}

#[test]
fn another_controllers_job_is_left_alone() {
    let cluster = cluster(json!({"managedBy": "example.com/queue"}));
    assert!(cluster.list::<Pod>("default").is_empty());
    assert_eq!(cluster.get::<Job>("default", "sum").status, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However late writes are seen and however pods end: never more active than parallelism, each end counted once, and never
    /// more successes than completions.
    #[test]
    fn every_end_is_counted_once(
        parallelism in 1i32..5, completions in 1i32..7, indexed in any::<bool>(), late in proptest::option::of(any::<u64>()),
        codes in proptest::collection::vec(0i32..3, 1..30),
    ) {
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let mut cluster = Cluster::new(vec![Box::new(Jobs::default())]);
        cluster.late = late;
        cluster.watch = Some(Box::new(move |cluster| {
            let running = active(cluster).len();
            assert!(running <= usize::try_from(parallelism).unwrap(), "{running}");
        }));
        cluster.create(job(json!({"parallelism": parallelism, "completions": completions, "completionMode": mode, "backoffLimit": 100})));
        cluster.settle();
        let (mut good, mut bad) = (0, 0);
        for code in codes.into_iter().chain(std::iter::repeat_n(0, 10)) {
            cluster.run_for(600);
            let Some(name) = active(&cluster).first().cloned() else { break };
            cluster.run("default", &name, true);
            cluster.exit("default", &name, i32::from(code == 1));
            if code == 1 { bad += 1 } else { good += 1 }
            cluster.settle();
        }
        let status = status(&cluster);
        prop_assert_eq!(status.succeeded.unwrap_or(0), good);
        prop_assert_eq!(status.failed.unwrap_or(0), bad);
        prop_assert_eq!(good, completions);
        prop_assert!(reason(&cluster, "Complete").is_some());
        prop_assert!(cluster.list::<Pod>("default").iter().all(|pod| pod.metadata.finalizers.is_none()));
    }
}
