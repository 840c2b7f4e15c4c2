use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use serde_json::{Value as Json, json};

use super::Kubelets;
use crate::cloud::InstanceState;
use crate::cluster::Options;
use crate::cluster::aws::{change, cluster, launch, pod, run_for, settle};
use crate::document::Named;
use crate::testing::{Cluster, show};
use crate::{Pace, View};

/// A cluster with a node, at its pace.
fn start() -> Cluster {
    let mut cluster = cluster(Options::default());
    cluster.pace = Pace::Immediate;
    launch(&mut cluster, 1, "m5.2xlarge");
    settle(&mut cluster);
    cluster.pace = Pace::Modelled;
    cluster
}

fn status(cluster: &Cluster, name: &str) -> PodStatus {
    cluster.get::<Pod>("shop", name).status.unwrap()
}

fn condition(status: &PodStatus, type_: &str) -> (String, Option<String>) {
    let all = status.conditions.clone().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition.type_ == type_);
    found
        .map(|condition| (condition.status, condition.reason))
        .unwrap_or_default()
}

fn is_ready(cluster: &Cluster, name: &str) -> bool {
    condition(&status(cluster, name), "Ready").0 == "True"
}

fn waiting_for(status: &PodStatus) -> String {
    let containers = status.container_statuses.clone().unwrap_or_default();
    let waiting = containers[0].state.clone().and_then(|state| state.waiting);
    waiting
        .and_then(|waiting| waiting.reason)
        .unwrap_or_default()
}

fn annotated(name: &str, annotations: Json, more: Json) -> Json {
    let mut json = pod(name, more);
    json["metadata"]["annotations"] = annotations;
    json
}

#[test]
fn a_pod_starts_step_by_step() {
    let mut cluster = start();
    cluster.create(pod(
        "web",
        json!({"spec": {"initContainers": [{"name": "init", "image": "busybox", "command": ["sleep", "3"]}], "readinessGates": [{"conditionType": "lb"}]}}),
    ));
    settle(&mut cluster);
    let first = status(&cluster, "web");
    assert_eq!(first.phase.as_deref(), Some("Pending"));
    assert_eq!(waiting_for(&first), "PodInitializing");
    assert!(first.start_time.is_some() && first.pod_ip.is_none() && first.host_ip.is_some());
    assert_eq!(
        condition(&first, "Initialized"),
        (
            "False".to_owned(),
            Some("ContainersNotInitialized".to_owned())
        )
    );
    assert_eq!(condition(&first, "PodScheduled").0, "True");
    run_for(&mut cluster, 3);
    let initializing = status(&cluster, "web");
    let init = initializing.init_container_statuses.unwrap();
    assert!(
        init[0].state.as_ref().unwrap().running.is_some(),
        "{init:?}"
    );
    run_for(&mut cluster, 5);
    let runs = status(&cluster, "web");
    assert_eq!(runs.phase.as_deref(), Some("Running"), "{runs:?}");
    let init = runs.init_container_statuses.as_ref().unwrap();
    let ended = init[0].state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!(
        (ended.exit_code, ended.reason.as_deref()),
        (0, Some("Completed"))
    );
    assert_eq!(runs.qos_class.as_deref(), Some("Burstable"));
    assert_eq!(condition(&runs, "ContainersReady").0, "True");
    assert_eq!(
        condition(&runs, "Ready"),
        (
            "False".to_owned(),
            Some("ReadinessGatesNotReady".to_owned())
        )
    );
    let mut conditions = json!(runs.conditions);
    conditions
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "lb", "status": "True"}));
    cluster.patch_status::<Pod>(
        "shop",
        "web",
        &json!({"status": {"conditions": conditions}}),
    );
    settle(&mut cluster);
    assert!(is_ready(&cluster, "web"));
    assert_eq!(
        condition(&status(&cluster, "web"), "lb").0,
        "True",
        "others' conditions are kept"
    );
}

/// As after a sudden end of everything, when the machine is not up again before its node's pods are looked at.
#[test]
fn what_is_on_a_node_starts_when_its_machine_runs() {
    let mut cluster = start();
    let set = |cluster: &mut Cluster, state| {
        change(cluster, |cloud| {
            for instance in cloud.instances.values_mut() {
                instance.state = state;
            }
        });
    };
    set(&mut cluster, InstanceState::Pending);
    let node = cluster.list::<Node>("")[0].name().to_owned();
    cluster.create(pod("web", json!({"spec": {"nodeName": node}})));
    run_for(&mut cluster, 30);
    assert_eq!(status(&cluster, "web").start_time, None);
    set(&mut cluster, InstanceState::Running);
    run_for(&mut cluster, 30);
    assert!(is_ready(&cluster, "web"));
}

#[test]
fn probes_take_their_time_and_annotations_fail_them() {
    let mut cluster = start();
    let probed = json!({"spec": {"containers": [{"name": "app", "image": "busybox",
        "readinessProbe": {"initialDelaySeconds": 7, "periodSeconds": 5}, "livenessProbe": {"periodSeconds": 5, "failureThreshold": 2}}]}});
    cluster.create(pod("slow", probed.clone()));
    cluster.create(annotated(
        "never",
        json!({"sandbox.seaworthy.dev/ready": "false"}),
        probed.clone(),
    ));
    cluster.create(annotated(
        "sick",
        json!({"sandbox.seaworthy.dev/live": "false"}),
        probed,
    ));
    run_for(&mut cluster, 10);
    assert_eq!(status(&cluster, "slow").phase.as_deref(), Some("Running"));
    assert!(!is_ready(&cluster, "slow"));
    run_for(&mut cluster, 4);
    assert!(is_ready(&cluster, "slow"));
    assert!(!is_ready(&cluster, "never"));
    let sick = status(&cluster, "sick").container_statuses.unwrap();
    assert!(sick[0].restart_count >= 1, "{sick:?}");
    assert_eq!(cluster.told("Pod/sick", "Unhealthy").len(), 1);
    cluster.patch::<Pod>("shop", "never", &json!({"metadata": {"annotations": null}}));
    settle(&mut cluster);
    assert!(
        is_ready(&cluster, "never"),
        "ready once nothing says otherwise"
    );
}

#[test]
fn a_failing_program_is_started_again_and_again_but_rests() {
    let mut cluster = start();
    cluster.create(annotated(
        "bad",
        json!({"sandbox.seaworthy.dev/exit-code": "3"}),
        json!({}),
    ));
    run_for(&mut cluster, 6);
    let crashed = status(&cluster, "bad");
    assert_eq!(crashed.phase.as_deref(), Some("Running"));
    assert_eq!(waiting_for(&crashed), "CrashLoopBackOff");
    let container = &crashed.container_statuses.as_ref().unwrap()[0];
    assert_eq!(container.restart_count, 1, "the first restart is at once");
    let last = container
        .last_state
        .as_ref()
        .unwrap()
        .terminated
        .as_ref()
        .unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
    run_for(&mut cluster, 400);
    let restarts = status(&cluster, "bad").container_statuses.unwrap()[0].restart_count;
    // At 10, 20, 40, 80 and 160 seconds after the crashes.
    assert_eq!(restarts, 6);
    assert_eq!(cluster.told("Pod/bad", "BackOff").len(), 1);
    // Without a pace it rests all the same.
    cluster.pace = Pace::Immediate;
    cluster.create(annotated(
        "bad2",
        json!({"sandbox.seaworthy.dev/exit-code": "3"}),
        json!({}),
    ));
    settle(&mut cluster);
    assert_eq!(waiting_for(&status(&cluster, "bad2")), "CrashLoopBackOff");
}

#[test]
fn jobs_and_tests_come_to_an_end() {
    let mut cluster = start();
    let never = json!({"spec": {"restartPolicy": "Never"}});
    cluster.create(pod("job", never.clone()));
    cluster.create(annotated(
        "broken",
        json!({"sandbox.seaworthy.dev/exit-code": "2"}),
        never.clone(),
    ));
    cluster.create(annotated(
        "long",
        json!({"sandbox.seaworthy.dev/run-seconds": "forever"}),
        never,
    ));
    cluster.create(pod("dead", json!({"spec": {"restartPolicy": "Never", "activeDeadlineSeconds": 3, "containers": [{"name": "app", "image": "busybox", "command": ["sleep", "60"]}]}})));
    cluster.create(pod("init", json!({"spec": {"restartPolicy": "Never", "initContainers": [{"name": "i", "image": "busybox", "command": ["false"]}]}})));
    run_for(&mut cluster, 12);
    let phase = |name: &str| status(&cluster, name).phase.unwrap();
    assert_eq!(phase("job"), "Succeeded");
    assert_eq!(phase("broken"), "Failed");
    assert_eq!(phase("long"), "Running");
    assert_eq!(phase("dead"), "Failed");
    assert_eq!(
        status(&cluster, "dead").reason.as_deref(),
        Some("DeadlineExceeded")
    );
    assert_eq!(phase("init"), "Failed");
    let job = status(&cluster, "job");
    assert_eq!(
        condition(&job, "Ready"),
        ("False".to_owned(), Some("PodCompleted".to_owned()))
    );
    assert_eq!(condition(&job, "PodReadyToStartContainers").0, "False");
    let writes = cluster.reconciled;
    settle(&mut cluster);
    assert_eq!(cluster.reconciled, writes, "what has ended is left alone");
}

#[test]
fn sidecars_run_beside_and_end_with_the_rest() {
    let mut cluster = start();
    cluster.create(pod("job", json!({"spec": {"restartPolicy": "Never", "initContainers": [
        {"name": "proxy", "image": "busybox", "restartPolicy": "Always", "startupProbe": {"periodSeconds": 2, "initialDelaySeconds": 2}},
        {"name": "init", "image": "busybox"}]}})));
    run_for(&mut cluster, 2);
    assert_eq!(status(&cluster, "job").phase.as_deref(), Some("Pending"));
    run_for(&mut cluster, 6);
    let runs = status(&cluster, "job");
    assert_eq!(runs.phase.as_deref(), Some("Running"), "{runs:?}");
    assert!(
        runs.init_container_statuses.unwrap()[0].ready,
        "the sidecar"
    );
    run_for(&mut cluster, 8);
    let ended = status(&cluster, "job");
    assert_eq!(ended.phase.as_deref(), Some("Succeeded"), "{ended:?}");
    assert!(
        ended.init_container_statuses.unwrap()[0]
            .state
            .as_ref()
            .unwrap()
            .terminated
            .is_some()
    );
}

#[test]
fn images_that_cannot_be_pulled() {
    let mut cluster = start();
    cluster.create(annotated(
        "missing",
        json!({"sandbox.seaworthy.dev/image-pull": "fails"}),
        json!({}),
    ));
    cluster.create(pod(
        "typo",
        json!({"spec": {"containers": [{"name": "app", "image": "Web:{{ tag }}"}]}}),
    ));
    run_for(&mut cluster, 1);
    assert_eq!(waiting_for(&status(&cluster, "missing")), "ErrImagePull");
    assert_eq!(waiting_for(&status(&cluster, "typo")), "InvalidImageName");
    run_for(&mut cluster, 3);
    assert_eq!(
        waiting_for(&status(&cluster, "missing")),
        "ImagePullBackOff"
    );
    run_for(&mut cluster, 60);
    let told = cluster
        .events
        .iter()
        .find(|told| told.about == "Pod/missing" && told.reason == "Pulling")
        .unwrap();
    assert_eq!(told.count, 3, "at once, after 10 and after 30 seconds");
    assert_eq!(
        waiting_for(&status(&cluster, "missing")),
        "ImagePullBackOff"
    );
    cluster.patch::<Pod>(
        "shop",
        "missing",
        &json!({"metadata": {"annotations": null}}),
    );
    run_for(&mut cluster, 5);
    assert!(is_ready(&cluster, "missing"));
}

#[test]
fn memory_above_the_limit_kills() {
    let mut cluster = start();
    cluster.create(annotated("fat", json!({"sandbox.seaworthy.dev/memory": "300Mi"}), json!({"spec": {"containers": [{"name": "app", "image": "busybox", "resources": {"limits": {"memory": "256Mi"}}}]}})));
    run_for(&mut cluster, 8);
    let container = status(&cluster, "fat")
        .container_statuses
        .unwrap()
        .remove(0);
    let last = container.last_state.unwrap().terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (137, Some("OOMKilled"))
    );
}

#[test]
fn what_is_missing_is_waited_for() {
    let mut cluster = start();
    cluster.create(pod(
        "mount",
        json!({"spec": {"volumes": [{"name": "c", "configMap": {"name": "settings"}}]}}),
    ));
    cluster.create(pod("env", json!({"spec": {"containers": [{"name": "app", "image": "busybox", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}]}]}})));
    run_for(&mut cluster, 10);
    assert_eq!(waiting_for(&status(&cluster, "mount")), "ContainerCreating");
    assert_eq!(
        cluster.told("Pod/mount", "FailedMount"),
        ["MountVolume.SetUp failed for volume \"c\" : configmap \"settings\" not found"]
    );
    let env = status(&cluster, "env");
    assert_eq!(waiting_for(&env), "CreateContainerConfigError");
    cluster.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}}));
    cluster.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"b": ""}}));
    run_for(&mut cluster, 5);
    assert!(is_ready(&cluster, "mount"));
    let message = status(&cluster, "env").container_statuses.unwrap()[0]
        .state
        .clone()
        .unwrap()
        .waiting
        .unwrap()
        .message;
    assert_eq!(
        message.as_deref(),
        Some("couldn't find key a in Secret shop/s")
    );
    cluster.patch::<k8s_openapi::api::core::v1::Secret>("shop", "s", &json!({"data": {"a": ""}}));
    run_for(&mut cluster, 5);
    assert!(is_ready(&cluster, "env"));
}

#[test]
fn stopping_takes_what_the_pod_takes_at_most_its_grace() {
    let mut cluster = start();
    let hook = |seconds: i64| json!({"spec": {"terminationGracePeriodSeconds": 30, "containers": [{"name": "app", "image": "busybox", "lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}}]}});
    cluster.create(pod("quick", json!({})));
    cluster.create(pod("hook", hook(10)));
    cluster.create(pod("stuck", hook(100)));
    let mut held = pod(
        "held",
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}]}}),
    );
    held["metadata"]["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
    cluster.create(held);
    run_for(&mut cluster, 5);
    for name in ["quick", "hook", "stuck", "held"] {
        cluster.delete::<Pod>("shop", name);
    }
    let there = |cluster: &Cluster| -> Vec<String> {
        cluster
            .list::<Pod>("shop")
            .iter()
            .map(|pod| pod.name().to_owned())
            .collect()
    };
    run_for(&mut cluster, 1);
    assert_eq!(there(&cluster), ["held", "hook", "stuck"]);
    assert_eq!(
        status(&cluster, "held").phase.as_deref(),
        Some("Failed"),
        "who holds it knows how it ended"
    );
    run_for(&mut cluster, 10);
    assert_eq!(there(&cluster), ["held", "stuck"]);
    run_for(&mut cluster, 17);
    assert_eq!(there(&cluster), ["held", "stuck"]);
    run_for(&mut cluster, 3);
    assert_eq!(there(&cluster), ["held"]);
    cluster.patch::<Pod>("shop", "held", &json!({"metadata": {"finalizers": null}}));
    settle(&mut cluster);
    assert!(there(&cluster).is_empty());
}

#[test]
fn statuses_are_written_seldom() {
    let mut cluster = start();
    let version = |cluster: &Cluster| -> u64 {
        cluster
            .get::<Pod>("shop", "web")
            .metadata
            .resource_version
            .unwrap()
            .parse()
            .unwrap()
    };
    let writes = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = writes.clone();
    let seen = std::cell::Cell::new(0);
    cluster.watch = Some(Box::new(move |cluster: &Cluster| {
        if let Some(pod) = cluster.find::<Pod>("shop", "web") {
            let now: u64 = pod.metadata.resource_version.unwrap().parse().unwrap();
            if now != seen.replace(now) {
                count.set(count.get() + 1);
            }
        }
    }));
    cluster.create(pod("web", json!({})));
    run_for(&mut cluster, 60);
    assert!(is_ready(&cluster, "web"));
    assert_eq!(writes.get(), 4, "made, bound, seen by its kubelet, running");
    writes.set(0);
    cluster.pace = Pace::Immediate;
    let before = version(&cluster);
    cluster.delete::<Pod>("shop", "web");
    settle(&mut cluster);
    cluster.create(pod("web", json!({})));
    settle(&mut cluster);
    assert!(version(&cluster) > before);
    assert_eq!(writes.get(), 4, "asked to go; made, bound, running");
}

#[test]
fn pods_that_are_gone_are_forgotten() {
    let mut kubelets = Kubelets::default();
    let mut view = View::default();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    show(&mut kubelets, &mut view, &node, true);
    let mut bad = pod("bad", json!({"spec": {"nodeName": "n"}}));
    bad["metadata"]["annotations"] = json!({"sandbox.seaworthy.dev/image-pull": "fails"});
    bad["metadata"]["creationTimestamp"] = json!("2026-01-04T00:00:00Z");
    bad["status"] = json!({"phase": "Pending", "startTime": "2026-01-04T00:00:00Z"});
    let mut going = pod(
        "going",
        json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30, "containers": [{"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}]}}),
    );
    going["metadata"]["deletionTimestamp"] = json!("2026-01-05T00:00:30Z");
    going["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    going["status"] = json!({"phase": "Running", "containerStatuses": [{"name": "app", "image": "busybox", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-04T00:00:00Z"}}}]});
    for pod in [&bad, &going] {
        show(&mut kubelets, &mut view, pod, true);
    }
    assert_eq!(
        (kubelets.failed_pulls.len(), kubelets.stopping.len()),
        (1, 1)
    );
    for pod in [&bad, &going] {
        show(&mut kubelets, &mut view, pod, false);
    }
    assert!(kubelets.failed_pulls.is_empty() && kubelets.stopping.is_empty());
}
