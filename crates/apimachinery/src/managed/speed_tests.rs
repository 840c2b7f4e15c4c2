//! How long writes take. Run with `cargo test --release -p seaworthy-apimachinery speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::examples::pod;
use super::*;
use crate::patch;

/// A Pod of about 10 kB, of which a third are managedFields.
fn big_pod() -> Json {
    let container = |number: usize| {
        let env: Vec<Json> = (0..12)
            .map(|at| json!({"name": format!("SETTING_{at}"), "value": format!("value-of-setting-{at}")}))
            .collect();
        json!({
            "name": format!("container-{number}"), "image": "public.ecr.aws/docker/library/nginx:1.27.3", "env": env,
            "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 8080 + number, "protocol": "TCP", "name": "http"}, {"containerPort": 9090 + number, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1},
            "livenessProbe": {"httpGet": {"path": "/live", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1},
            "volumeMounts": [{"mountPath": "/data", "name": "data"}, {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "token", "readOnly": true}],
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-5d4f8c7b9-abcde", "namespace": "default", "generateName": "web-5d4f8c7b9-", "uid": "6d1f", "resourceVersion": "1",
            "labels": {"app": "web", "pod-template-hash": "5d4f8c7b9"}, "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9", "uid": "0b1c"}]},
        "spec": {"containers": (0..3).map(container).collect::<Vec<_>>(), "nodeName": "ip-10-0-1-2", "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "serviceAccountName": "web", "terminationGracePeriodSeconds": 30,
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "token", "projected": {"defaultMode": 420}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
    })
}

fn writer<'a>(manager: &'a str, subresource: &'a str) -> Writer<'a> {
    Writer {
        manager,
        subresource,
        api_version: "v1",
        now: Timestamp::from_second(1_700_000_000).unwrap(),
        reset: if subresource.is_empty() {
            &["status"]
        } else {
            &["spec"]
        },
    }
}

fn status(ready: bool) -> Json {
    let condition = |name: &str| json!({"type": name, "status": if ready { "True" } else { "False" }, "lastTransitionTime": "2023-11-14T22:13:20Z"});
    let containers: Vec<Json> = (0..3)
        .map(|at| json!({"name": format!("container-{at}"), "ready": ready, "restartCount": 0, "image": "nginx", "started": true}))
        .collect();
    let conditions = ["Ready", "ContainersReady", "Initialized", "PodScheduled"].map(condition);
    json!({"phase": if ready { "Running" } else { "Pending" }, "podIP": "10.0.1.7", "hostIP": "10.0.1.2", "qosClass": "Burstable",
        "conditions": conditions, "containerStatuses": containers})
}

#[allow(clippy::disallowed_methods)]
fn time(what: &str, mut work: impl FnMut()) -> Duration {
    const TIMES: u32 = 100;
    // The quickest of several rounds: the machine has other work, too.
    let each = (0..20)
        .map(|_| {
            let begin = std::time::Instant::now();
            (0..TIMES).for_each(|_| work());
            begin.elapsed() / TIMES
        })
        .min()
        .unwrap();
    println!("{what}: {each:?}");
    each
}

#[test]
#[ignore = "only of use in a release build"]
fn speed() {
    let of = pod();
    let mut made = big_pod();
    update(&of, None, &mut made, &writer("kube-controller-manager", ""));
    let mut waiting = made.clone();
    waiting["status"] = status(false);
    update(&of, Some(&made), &mut waiting, &writer("kubelet", "status"));
    println!("{} bytes", waiting.to_string().len());

    let mut ready = waiting.clone();
    ready["status"] = status(true);
    let mut times = Vec::new();
    time("a copy of the object, which each update has", || {
        drop(black_box(ready.clone()));
    });
    times.push(time("create", || {
        let mut made = big_pod_cached(&made);
        update(&of, None, &mut made, &writer("kube-controller-manager", ""));
        black_box(made);
    }));
    times.push(time("status update", || {
        let mut ready = ready.clone();
        update(
            &of,
            Some(&waiting),
            &mut ready,
            &writer("kubelet", "status"),
        );
        black_box(ready);
    }));
    times.push(time("label update", || {
        let mut labelled = waiting.clone();
        labelled["metadata"]["labels"]["a"] = json!("b");
        update(
            &of,
            Some(&waiting),
            &mut labelled,
            &writer("kubectl-label", ""),
        );
        black_box(labelled);
    }));
    times.push(time("no-op update", || {
        let mut same = waiting.clone();
        update(&of, Some(&waiting), &mut same, &writer("kubectl-label", ""));
        black_box(settle(&waiting, &mut same));
    }));
    let merge_patch =
        json!({"spec": {"containers": [{"name": "container-1", "image": "nginx:2"}]}});
    times.push(time("strategic merge patch", || {
        black_box(patch::strategic(&of, &waiting, &merge_patch).unwrap());
    }));

    let mut applied = big_pod();
    for nobodys in ["uid", "resourceVersion", "generateName"] {
        applied["metadata"].as_object_mut().unwrap().remove(nobodys);
    }
    let first = apply(&of, None, &applied, &writer("helm", ""), false).unwrap();
    let mut applies = Vec::new();
    applies.push(time("apply that creates", || {
        black_box(apply(&of, None, &applied, &writer("helm", ""), false).unwrap());
    }));
    applies.push(time("apply that changes nothing", || {
        let mut again = apply(&of, Some(&first), &applied, &writer("helm", ""), false).unwrap();
        black_box(settle(&first, &mut again));
    }));
    applied["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .remove(1);
    applies.push(time("apply that removes a container", || {
        black_box(apply(&of, Some(&first), &applied, &writer("helm", ""), false).unwrap());
    }));
    for each in times {
        assert!(each < Duration::from_micros(200), "{each:?}");
    }
    for each in applies {
        assert!(each < Duration::from_millis(1), "{each:?}");
    }
}

/// The object as a client sends it.
fn big_pod_cached(made: &Json) -> Json {
    let mut made = made.clone();
    entries::take(&mut made);
    made
}
