use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value as Json, json};

use super::{CronJobs, SCHEDULED};
use crate::testing::{Cluster, name_of};
use crate::workloads::Jobs;
use crate::workloads::pods::is_active;

fn cluster(spec: Json) -> Cluster {
    let mut cluster = Cluster::new(vec![Box::new(CronJobs), Box::new(Jobs::default())]);
    let mut cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tidy", "namespace": "default"},
        "spec": {"schedule": "*/10 * * * *", "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "parallelism": 1, "completions": 1, "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}},
    });
    for (key, value) in spec.as_object().unwrap() {
        cron["spec"][key] = value.clone();
    }
    cluster.create(cron);
    cluster.settle();
    cluster
}

fn jobs(cluster: &Cluster) -> Vec<String> {
    cluster
        .list::<Job>("default")
        .iter()
        .map(|job| name_of(job).to_owned())
        .collect()
}

fn status(cluster: &Cluster) -> CronJobStatus {
    cluster
        .get::<CronJob>("default", "tidy")
        .status
        .unwrap_or_default()
}

/// Ends what runs.
fn end(cluster: &mut Cluster, code: i32) {
    let pods = cluster.list::<Pod>("default");
    for pod in pods.iter().filter(|pod| is_active(pod)) {
        cluster.run("default", name_of(pod), true);
        cluster.exit("default", name_of(pod), code);
    }
    cluster.settle();
}

/// cronjob_controllerv2.go `syncCronJob`; cronjob/utils.go `getJobFromTemplate2`.
#[test]
fn a_job_comes_at_its_time() {
    let mut cluster = cluster(json!({}));
    cluster.run_for(599);
    assert!(jobs(&cluster).is_empty());
    cluster.run_for(1);
    let minutes = cluster.now.as_second() / 60;
    assert_eq!(jobs(&cluster), [format!("tidy-{minutes}")]);
    let job = &cluster.list::<Job>("default")[0];
    assert_eq!(
        job.metadata.annotations.as_ref().unwrap()[SCHEDULED],
        "2026-01-05T00:10:00Z"
    );
    assert_eq!(job.metadata.labels.as_ref().unwrap()["a"], "b");
    assert_eq!(
        job.metadata.owner_references.as_ref().unwrap()[0].controller,
        Some(true)
    );
    let running = status(&cluster);
    assert_eq!(running.active.unwrap()[0].name, job.metadata.name);
    assert_eq!(running.last_schedule_time.unwrap().0, cluster.now);
    assert_eq!(
        cluster.told("CronJob/tidy", "SuccessfulCreate"),
        [format!("Created job tidy-{minutes}")]
    );
    end(&mut cluster, 0);
    let done = status(&cluster);
    assert_eq!(done.active, None);
    assert_eq!(done.last_successful_time.unwrap().0, cluster.now);
    assert_eq!(
        cluster.told("CronJob/tidy", "SawCompletedJob"),
        [format!(
            "Saw completed job: tidy-{minutes}, condition: Complete"
        )]
    );
}

/// `nextScheduleTimeDuration`, cronjob/utils.go.
#[test]
fn every_so_long_counts_from_the_last_time() {
    let mut cluster = cluster(json!({"schedule": "@every 10m"}));
    for expected in 1..4 {
        cluster.run_for(300);
        let touch = json!({"metadata": {"labels": {"at": format!("{expected}")}}});
        cluster.patch::<CronJob>("default", "tidy", &touch);
        cluster.run_for(299);
        assert_eq!(jobs(&cluster).len(), expected - 1);
        cluster.run_for(1);
        assert_eq!(jobs(&cluster).len(), expected);
        assert_eq!(status(&cluster).last_schedule_time.unwrap().0, cluster.now);
    }
}

#[test]
fn policies_say_what_runs_together() {
    for (policy, after) in [("Allow", 3), ("Forbid", 1), ("Replace", 1)] {
        let mut cluster = cluster(json!({"concurrencyPolicy": policy}));
        cluster.run_for(1805);
        assert_eq!(jobs(&cluster).len(), after, "{policy}");
        let first = "2026-01-05T00:10:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_second()
            / 60;
        let is_there = jobs(&cluster).contains(&format!("tidy-{first}"));
        assert_eq!(is_there, policy != "Replace");
        assert_eq!(
            cluster.told("CronJob/tidy", "JobAlreadyActive").len(),
            usize::from(policy == "Forbid")
        );
        assert_eq!(
            cluster.told("CronJob/tidy", "SuccessfulDelete").len(),
            if policy == "Replace" { 2 } else { 0 }
        );
    }
}

/// A run that `Forbid` held back starts when the one before it is over: its time is still due.
#[test]
fn what_was_forbidden_comes_after() {
    let mut cluster = cluster(json!({"concurrencyPolicy": "Forbid"}));
    cluster.run_for(1300);
    assert_eq!(jobs(&cluster).len(), 1);
    end(&mut cluster, 0);
    assert_eq!(jobs(&cluster).len(), 2);
}

#[test]
fn history_is_as_long_as_it_may_be() {
    let mut cluster =
        cluster(json!({"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1}));
    for code in [0, 1, 0, 1, 0, 1] {
        cluster.run_for(600);
        end(&mut cluster, code);
    }
    let jobs = cluster.list::<Job>("default");
    let succeeded = jobs
        .iter()
        .filter(|job| job.status.as_ref().unwrap().succeeded == Some(1))
        .count();
    assert_eq!((jobs.len(), succeeded), (3, 2));
}

#[test]
fn a_suspended_one_waits_and_catches_up_once() {
    let mut cluster = cluster(json!({"suspend": true}));
    cluster.run_for(7200);
    assert!(jobs(&cluster).is_empty());
    cluster.patch::<CronJob>("default", "tidy", &json!({"spec": {"suspend": false}}));
    cluster.settle();
    assert_eq!(jobs(&cluster).len(), 1);
}

/// cronjob/utils.go `mostRecentScheduleTime`: what is older than the deadline is not due any more.
#[test]
fn what_is_too_late_is_left() {
    let mut cluster = cluster(json!({"suspend": true, "startingDeadlineSeconds": 60}));
    cluster.run_for(700);
    cluster.patch::<CronJob>("default", "tidy", &json!({"spec": {"suspend": false}}));
    cluster.settle();
    assert!(jobs(&cluster).is_empty());
    cluster.run_for(500);
    assert_eq!(jobs(&cluster).len(), 1);
}

#[test]
fn many_missed_times_are_told_of_and_one_is_run() {
    let mut cluster = cluster(json!({"suspend": true, "schedule": "* * * * *"}));
    cluster.run_for(40 * 86_400);
    cluster.patch::<CronJob>("default", "tidy", &json!({"spec": {"suspend": false}}));
    cluster.settle();
    let minutes = cluster.now.as_second() / 60;
    assert_eq!(jobs(&cluster), [format!("tidy-{minutes}")]);
    assert_eq!(cluster.told("CronJob/tidy", "TooManyMissedTimes").len(), 1);
}

#[test]
fn zones_and_nonsense() {
    let mut berlin = cluster(json!({"schedule": "0 9 * * *", "timeZone": "Europe/Berlin"}));
    berlin.run_for(8 * 3600);
    let job = &berlin.list::<Job>("default")[0];
    assert_eq!(
        job.metadata.annotations.as_ref().unwrap()[SCHEDULED],
        "2026-01-05T09:00:00+01:00"
    );
    let nowhere = cluster(json!({"timeZone": "Atlantis/Capital"}));
    assert!(
        nowhere.told("CronJob/tidy", "UnknownTimeZone")[0]
            .starts_with("invalid timeZone: \"Atlantis/Capital\": ")
    );
    let broken = cluster(json!({"schedule": "often"}));
    assert_eq!(
        broken.told("CronJob/tidy", "UnparseableSchedule"),
        ["unparseable schedule: \"often\" : expected exactly 5 fields, found 1: [often]"]
    );
}

#[test]
fn each_time_has_one_job_however_late_writes_are_seen() {
    for seed in 0..20 {
        let mut cluster = cluster(json!({}));
        cluster.late = Some(seed);
        cluster.run_for(3000);
        assert_eq!(jobs(&cluster).len(), 5, "seed {seed}");
        assert_eq!(cluster.told("CronJob/tidy", "SuccessfulCreate").len(), 5);
    }
}
