//! Tables against the very texts that `kubectl get` prints of such objects.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::*;
use crate::resource::{GroupVersionKind, PrinterColumn};
use crate::schema::Type;

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

fn resource(group: &str, version: &str, kind: &str) -> Resource {
    Resource {
        kind: GroupVersionKind::new(group, version, kind),
        plural: format!("{}s", kind.to_lowercase()).into(),
        singular: kind.to_lowercase().into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        verbs: Vec::new(),
        subresources: Vec::new(),
        schema: Type::any(),
        custom: false,
        printer_columns: Vec::new(),
    }
}

/// Prints a table as kubectl does: headings in capitals, columns of at least six signs and three spaces between them.
fn print(resource: &Resource, objects: &[Json], wide: bool) -> String {
    let table = render(resource, objects, now(), Include::None);
    let shown: Vec<usize> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .filter(|(_, column)| wide || column["priority"] == 0)
        .map(|(index, _)| index)
        .collect();
    let heading = |index: &usize| {
        let name = &table["columnDefinitions"][*index]["name"];
        name.as_str().unwrap().to_uppercase()
    };
    let mut lines: Vec<Vec<String>> = vec![shown.iter().map(heading).collect()];
    for row in table["rows"].as_array().unwrap() {
        let cells = row["cells"].as_array().unwrap();
        assert_eq!(
            cells.len(),
            table["columnDefinitions"].as_array().unwrap().len()
        );
        let cell = |index: &usize| match &cells[*index] {
            Json::String(text) => text.clone(),
            Json::Null => String::new(),
            other => other.to_string(),
        };
        lines.push(shown.iter().map(cell).collect());
    }
    let widths: Vec<usize> = (0..shown.len())
        .map(|at| lines.iter().map(|line| line[at].len()).max().unwrap() + 3)
        .map(|width| width.max(6))
        .collect();
    let mut printed = String::new();
    for line in lines {
        let (last, before) = line.split_last().unwrap();
        for (cell, width) in before.iter().zip(&widths) {
            printed.push_str(&format!("{cell:width$}"));
        }
        printed.push_str(last);
        printed.push('\n');
    }
    printed
}

fn get(group: &str, version: &str, kind: &str, objects: &[Json], expected: &str) {
    assert_eq!(
        print(&resource(group, version, kind), objects, false),
        expected
    );
}

fn get_wide(group: &str, version: &str, kind: &str, objects: &[Json], expected: &str) {
    assert_eq!(
        print(&resource(group, version, kind), objects, true),
        expected
    );
}

fn meta(name: &str, created: &str) -> Json {
    json!({ "name": name, "namespace": "default", "creationTimestamp": created })
}

const HOUR_AGO: &str = "2026-01-10T11:00:00Z";

fn pod(name: &str, containers: usize, status: Json) -> Json {
    let containers: Vec<Json> = (0..containers)
        .map(|index| json!({ "name": format!("c{index}"), "image": "nginx" }))
        .collect();
    json!({
        "metadata": meta(name, HOUR_AGO),
        "spec": { "nodeName": "ip-10-0-1-7.eu-west-1.compute.internal", "containers": containers },
        "status": status,
    })
}

fn running(ready: bool) -> Json {
    json!({ "name": "c0", "ready": ready, "restartCount": 0, "state": { "running": {} } })
}

#[test]
fn pods_in_their_many_states() {
    let crashing = json!({ "phase": "Running", "containerStatuses": [{
        "name": "c0", "ready": false, "restartCount": 5,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1, "finishedAt": "2026-01-10T11:57:30Z" } },
    }] });
    let mut initializing = pod(
        "init",
        1,
        json!({ "phase": "Pending",
            "initContainerStatuses": [{ "name": "wait", "state": { "running": {} } }],
            "containerStatuses": [{ "name": "c0", "state": { "waiting": { "reason": "PodInitializing" } } }],
        }),
    );
    initializing["spec"]["initContainers"] = json!([{ "name": "wait", "image": "busybox" }]);
    let mut init_failed = initializing.clone();
    init_failed["metadata"]["name"] = json!("init-failed");
    init_failed["status"]["initContainerStatuses"][0]["state"] =
        json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
    let completed = json!({ "phase": "Succeeded", "containerStatuses": [{
        "name": "c0", "ready": false, "state": { "terminated": { "exitCode": 0, "reason": "Completed" } },
    }] });
    let mut terminating = pod(
        "terminating",
        1,
        json!({ "phase": "Running", "containerStatuses": [running(true)] }),
    );
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-10T12:00:20Z");
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." });
    let half_done = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "False" }],
        "containerStatuses": [
            { "name": "c0", "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } },
            running(true),
        ] });
    let gated = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" },
    ] });
    let killed = json!({ "phase": "Running", "containerStatuses": [
        { "name": "c0", "restartCount": 0, "state": { "terminated": { "exitCode": 137, "signal": 9 } } },
    ] });
    get(
        "",
        "v1",
        "Pod",
        &[
            pod(
                "web",
                1,
                json!({ "phase": "Running", "containerStatuses": [running(true)] }),
            ),
            pod(
                "starting",
                2,
                json!({ "phase": "Pending", "containerStatuses": [
            { "name": "c0", "state": { "waiting": { "reason": "ContainerCreating" } } },
        ] }),
            ),
            pod("crashing", 1, crashing),
            initializing,
            init_failed,
            pod("done", 1, completed),
            terminating,
            pod("evicted", 1, evicted),
            pod("half", 2, half_done),
            pod("gated", 1, gated),
            pod("killed", 1, killed),
            pod("unscheduled", 1, json!({ "phase": "Pending" })),
        ],
        "\
NAME          READY   STATUS              RESTARTS        AGE
web           1/1     Running             0               60m
starting      0/2     ContainerCreating   0               60m
crashing      0/1     CrashLoopBackOff    5 (2m30s ago)   60m
init          0/1     Init:0/1            0               60m
init-failed   0/1     Init:Error          0               60m
done          0/1     Completed           0               60m
terminating   1/1     Terminating         0               60m
evicted       0/1     Evicted             0               60m
half          1/2     NotReady            0               60m
gated         0/1     SchedulingGated     0               60m
killed        0/1     Signal:9            0               60m
unscheduled   0/1     Pending             0               60m
",
    );
}

#[test]
fn pods_with_sidecars_and_addresses() {
    let mut sidecar = pod(
        "mesh",
        1,
        json!({ "phase": "Running", "podIPs": [{ "ip": "10.0.1.20" }],
            "conditions": [{ "type": "Initialized", "status": "True" }, { "type": "elb/ready", "status": "True" }],
            "initContainerStatuses": [
                { "name": "once", "restartCount": 4, "state": { "terminated": { "exitCode": 0 } } },
                { "name": "proxy", "ready": true, "started": true, "restartCount": 2, "state": { "running": {} },
                  "lastState": { "terminated": { "finishedAt": "2026-01-10T11:55:00Z" } } },
            ],
            "containerStatuses": [running(true)],
        }),
    );
    sidecar["spec"]["initContainers"] = json!([
        { "name": "once", "image": "a" }, { "name": "proxy", "image": "b", "restartPolicy": "Always" },
    ]);
    sidecar["spec"]["readinessGates"] =
        json!([{ "conditionType": "elb/ready" }, { "conditionType": "other" }]);
    let mut waiting = pod("waiting", 1, json!({ "phase": "Pending" }));
    waiting["spec"]["nodeName"] = Json::Null;
    get_wide("", "v1", "Pod", &[sidecar, waiting], "\
NAME      READY   STATUS    RESTARTS     AGE   IP          NODE                                     NOMINATED NODE   READINESS GATES
mesh      2/2     Running   2 (5m ago)   60m   10.0.1.20   ip-10-0-1-7.eu-west-1.compute.internal   <none>           1/2
waiting   0/1     Pending   0            60m   <none>      <none>                                   <none>           <none>
");
}

#[test]
fn rows_say_when_a_pod_is_through_and_hold_the_object() {
    let object = pod("done", 1, json!({ "phase": "Succeeded" }));
    let pods = resource("", "v1", "Pod");
    let with = |include| row(&pods, &object, now(), include);
    assert_eq!(with(Include::None).get("object"), None);
    assert_eq!(with(Include::Object)["object"], object);
    assert_eq!(
        with(Include::Metadata)["object"],
        json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
    );
    assert_eq!(with(Include::None)["conditions"][0]["type"], "Completed");
    assert_eq!(with(Include::None)["conditions"][0]["reason"], "Succeeded");
    let going = pod("on", 1, json!({ "phase": "Running" }));
    assert_eq!(
        row(&pods, &going, now(), Include::None).get("conditions"),
        None
    );
    assert_eq!(Include::parse(Some("Everything")), None);
}

fn template() -> Json {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": {
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "containers": [{ "name": "web", "image": "nginx:1.27" }, { "name": "log", "image": "fluent-bit" }],
    } })
}

#[test]
fn workloads() {
    let selector = json!({ "matchLabels": { "tier": "front", "app": "web" } });
    let deployment = json!({ "metadata": meta("web", "2026-01-08T10:00:00Z"),
        "spec": { "replicas": 3, "selector": selector, "template": template() },
        "status": { "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2 } });
    get(
        "apps",
        "v1",
        "Deployment",
        std::slice::from_ref(&deployment),
        "\
NAME   READY   UP-TO-DATE   AVAILABLE   AGE
web    2/3     3            2           2d2h
",
    );
    get_wide("apps", "v1", "Deployment", &[deployment], "\
NAME   READY   UP-TO-DATE   AVAILABLE   AGE    CONTAINERS   IMAGES                  SELECTOR
web    2/3     3            2           2d2h   web,log      nginx:1.27,fluent-bit   app=web,tier=front
");
    let set = json!({ "metadata": meta("web-5d8", HOUR_AGO), "spec": { "replicas": 3,
        "template": template(), "selector": { "matchLabels": { "app": "web" },
            "matchExpressions": [
                { "key": "zone", "operator": "NotIn", "values": ["b", "a"] },
                { "key": "canary", "operator": "DoesNotExist" },
            ] } },
        "status": { "replicas": 3, "readyReplicas": 1 } });
    get_wide("apps", "v1", "ReplicaSet", &[set], "\
NAME      DESIRED   CURRENT   READY   AGE   CONTAINERS   IMAGES                  SELECTOR
web-5d8   3         3         1       60m   web,log      nginx:1.27,fluent-bit   app=web,!canary,zone notin (a,b)
");
    let stateful = json!({ "metadata": meta("db", HOUR_AGO), "spec": { "replicas": 3, "template": template() }, "status": {} });
    get(
        "apps",
        "v1",
        "StatefulSet",
        &[stateful],
        "\
NAME   READY   AGE
db     0/3     60m
",
    );
    let daemons = json!({ "metadata": meta("aws-node", HOUR_AGO), "spec": { "selector": selector, "template": template() },
        "status": { "desiredNumberScheduled": 4, "currentNumberScheduled": 4, "numberReady": 3,
            "updatedNumberScheduled": 4, "numberAvailable": 3 } });
    get(
        "apps",
        "v1",
        "DaemonSet",
        &[daemons],
        "\
NAME       DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR            AGE
aws-node   4         4         3       4            3           kubernetes.io/os=linux   60m
",
    );
    let revision = json!({ "metadata": { "name": "db-1", "creationTimestamp": HOUR_AGO, "ownerReferences": [
        { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": true } ] }, "revision": 1 });
    get(
        "apps",
        "v1",
        "ControllerRevision",
        &[revision],
        "\
NAME   CONTROLLER            REVISION   AGE
db-1   statefulset.apps/db   1          60m
",
    );
}

#[test]
fn jobs_and_their_clocks() {
    let job = |name: &str, spec: Json, status: Json| json!({ "metadata": meta(name, HOUR_AGO), "spec": spec, "status": status });
    let done = json!({ "succeeded": 1, "startTime": HOUR_AGO, "completionTime": "2026-01-10T11:00:05Z",
        "conditions": [{ "type": "Complete", "status": "True" }] });
    let failed =
        json!({ "startTime": HOUR_AGO, "conditions": [{ "type": "Failed", "status": "True" }] });
    let suspended = json!({ "conditions": [{ "type": "Suspended", "status": "True" }] });
    get(
        "batch",
        "v1",
        "Job",
        &[
            job("pi", json!({ "completions": 1 }), done),
            job("bad", json!({ "completions": 1 }), failed),
            job(
                "later",
                json!({ "completions": 5, "parallelism": 2 }),
                suspended,
            ),
            job(
                "queue",
                json!({ "parallelism": 4 }),
                json!({ "succeeded": 2, "startTime": "2026-01-10T11:59:00Z" }),
            ),
        ],
        "\
NAME    STATUS      COMPLETIONS   DURATION   AGE
pi      Complete    1/1           5s         60m
bad     Failed      0/1           60m        60m
later   Suspended   0/5                      60m
queue   Running     2/1 of 4      60s        60m
",
    );
    let cron = |name: &str, spec: Json, status: Json| json!({ "metadata": meta(name, HOUR_AGO), "spec": spec, "status": status });
    get(
        "batch",
        "v1",
        "CronJob",
        &[
            cron(
                "hello",
                json!({ "schedule": "*/1 * * * *", "suspend": false }),
                json!({ "lastScheduleTime": "2026-01-10T11:59:30Z", "active": [{}] }),
            ),
            cron(
                "zoned",
                json!({ "schedule": "0 3 * * *", "suspend": true, "timeZone": "Etc/UTC" }),
                json!({}),
            ),
        ],
        "\
NAME    SCHEDULE      TIMEZONE   SUSPEND   ACTIVE   LAST SCHEDULE   AGE
hello   */1 * * * *   <none>     False     1        30s             60m
zoned   0 3 * * *     Etc/UTC    True      0        <none>          60m
",
    );
}

#[test]
fn autoscalers_and_budgets() {
    let resource = |name: &str, target: Json| json!({ "type": "Resource", "resource": { "name": name, "target": target } });
    let scaler = |name: &str, metrics: Json, current: Json| {
        json!({ "metadata": meta(name, HOUR_AGO), "spec": {
        "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "minReplicas": 2, "maxReplicas": 10, "metrics": metrics },
        "status": { "currentReplicas": 2, "currentMetrics": current } })
    };
    let half = json!({ "averageUtilization": 50 });
    get("autoscaling", "v2", "HorizontalPodAutoscaler", &[
        scaler("known", json!([resource("cpu", half.clone())]),
            json!([{ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": 12 } } }])),
        scaler("fresh", json!([resource("cpu", half.clone())]), Json::Null),
        scaler("several", json!([resource("cpu", half), resource("memory", json!({ "averageValue": "500Mi" })),
            { "type": "Pods", "pods": { "target": { "averageValue": "100" } } }]),
            json!([{ "resource": { "current": { "averageUtilization": 7 } } },
                { "resource": { "current": { "averageValue": "120Mi" } } }])),
        scaler("queue", json!([{ "type": "External", "external": { "target": { "averageValue": "30" } } }]), json!([])),
        scaler("nothing", json!([]), json!([])),
    ], "\
NAME      REFERENCE        TARGETS                                        MINPODS   MAXPODS   REPLICAS   AGE
known     Deployment/web   cpu: 12%/50%                                   2         10        2          60m
fresh     Deployment/web   cpu: <unknown>/50%                             2         10        2          60m
several   Deployment/web   cpu: 7%/50%, memory: 120Mi/500Mi + 1 more...   2         10        2          60m
queue     Deployment/web   <unknown>/30 (avg)                             2         10        2          60m
nothing   Deployment/web   <none>                                         2         10        2          60m
");
    get(
        "policy",
        "v1",
        "PodDisruptionBudget",
        &[
            json!({ "metadata": meta("web", HOUR_AGO), "spec": { "minAvailable": "50%" }, "status": { "disruptionsAllowed": 1 } }),
            json!({ "metadata": meta("db", HOUR_AGO), "spec": { "maxUnavailable": 1 }, "status": {} }),
        ],
        "\
NAME   MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE
web    50%             N/A               1                     60m
db     N/A             1                 0                     60m
",
    );
}

#[test]
fn services_and_ingresses() {
    let service = |name: &str, spec: Json, status: Json| json!({ "metadata": meta(name, HOUR_AGO), "spec": spec, "status": status });
    let host = "k8s-web-0123456789.elb.eu-west-1.amazonaws.com";
    get("", "v1", "Service", &[
        service("kubernetes", json!({ "type": "ClusterIP", "clusterIPs": ["10.100.0.1"],
            "ports": [{ "port": 443, "protocol": "TCP" }] }), json!({ "loadBalancer": {} })),
        service("headless", json!({ "type": "ClusterIP", "clusterIPs": ["None"] }), json!({})),
        service("pending", json!({ "type": "LoadBalancer", "clusterIPs": ["10.100.7.9"],
            "ports": [{ "port": 80, "nodePort": 31234, "protocol": "TCP" }] }), json!({ "loadBalancer": {} })),
        service("web", json!({ "type": "LoadBalancer", "clusterIPs": ["10.100.7.8"],
            "ports": [{ "port": 80, "nodePort": 31235, "protocol": "TCP" }, { "port": 53, "nodePort": 31236, "protocol": "UDP" }] }),
            json!({ "loadBalancer": { "ingress": [{ "hostname": host }] } })),
        service("alias", json!({ "type": "ExternalName", "externalName": "db.example.com" }), json!({})),
    ], "\
NAME         TYPE           CLUSTER-IP   EXTERNAL-IP                                      PORT(S)                     AGE
kubernetes   ClusterIP      10.100.0.1   <none>                                           443/TCP                     60m
headless     ClusterIP      None         <none>                                           <none>                      60m
pending      LoadBalancer   10.100.7.9   <pending>                                        80:31234/TCP                60m
web          LoadBalancer   10.100.7.8   k8s-web-0123456789.elb.eu-west-1.amazonaws.com   80:31235/TCP,53:31236/UDP   60m
alias        ExternalName   <none>       db.example.com                                   <none>                      60m
");
    let rule = |host: &str| json!({ "host": host });
    get(
        "networking.k8s.io",
        "v1",
        "Ingress",
        &[
            service(
                "web",
                json!({ "ingressClassName": "alb", "rules": [rule("a.example.com")], "tls": [{}] }),
                json!({ "loadBalancer": { "ingress": [{ "hostname": "x.elb.amazonaws.com" }] } }),
            ),
            service(
                "many",
                json!({ "rules": [rule("a"), rule("b"), rule("c"), rule("d"), rule("e")] }),
                json!({}),
            ),
            service("any", json!({ "rules": [{}] }), json!({})),
        ],
        "\
NAME   CLASS    HOSTS               ADDRESS               PORTS     AGE
web    alb      a.example.com       x.elb.amazonaws.com   80, 443   60m
many   <none>   a,b,c + 2 more...                         80        60m
any    <none>   *                                         80        60m
",
    );
    get(
        "",
        "v1",
        "Endpoints",
        &[
            json!({ "metadata": meta("web", HOUR_AGO), "subsets": [{ "ports": [{ "port": 80 }, { "port": 81 }],
            "addresses": [{ "ip": "10.0.1.1" }, { "ip": "fd00::1" }] }] }),
            json!({ "metadata": meta("none", HOUR_AGO) }),
        ],
        "\
NAME   ENDPOINTS                                          AGE
web    10.0.1.1:80,[fd00::1]:80,10.0.1.1:81 + 1 more...   60m
none   <none>                                             60m
",
    );
    get(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        &[
            json!({ "metadata": meta("web-x", HOUR_AGO), "addressType": "IPv4", "ports": [{ "port": 8080 }],
            "endpoints": [{ "addresses": ["10.0.1.1"] }, { "addresses": ["10.0.1.2"] }] }),
            json!({ "metadata": meta("idle", HOUR_AGO), "addressType": "IPv4", "ports": null, "endpoints": [] }),
        ],
        "\
NAME    ADDRESSTYPE   PORTS     ENDPOINTS           AGE
web-x   IPv4          8080      10.0.1.1,10.0.1.2   60m
idle    IPv4          <unset>   <unset>             60m
",
    );
}

#[test]
fn nodes_with_roles_and_without() {
    let node = |name: &str, ready: Option<&str>, labels: Json, cordoned: bool| {
        let conditions: Vec<Json> = ready
            .map(|status| json!({ "type": "Ready", "status": status }))
            .into_iter()
            .collect();
        json!({ "metadata": { "name": name, "creationTimestamp": "2025-12-01T12:00:00Z", "labels": labels },
            "spec": { "unschedulable": cordoned }, "status": { "conditions": conditions,
                "addresses": [{ "type": "InternalIP", "address": "10.0.1.7" }],
                "nodeInfo": { "kubeletVersion": "v1.33.5-eks-113cf36", "osImage": "Amazon Linux 2023.9.20250929",
                    "kernelVersion": "6.12.46", "containerRuntimeVersion": "containerd://2.1.4" } } })
    };
    let nodes = [
        node("ip-10-0-1-7.ec2.internal", Some("True"), json!({}), false),
        node(
            "ip-10-0-2-9.ec2.internal",
            Some("True"),
            json!({ "node-role.kubernetes.io/gpu": "" }),
            true,
        ),
        node(
            "ip-10-0-3-4.ec2.internal",
            Some("Unknown"),
            json!({ "kubernetes.io/role": "web", "node-role.kubernetes.io/api": "" }),
            false,
        ),
        node("new", None, json!({}), false),
    ];
    get(
        "",
        "v1",
        "Node",
        &nodes,
        "\
NAME                       STATUS                     ROLES     AGE   VERSION
ip-10-0-1-7.ec2.internal   Ready                      <none>    40d   v1.33.5-eks-113cf36
ip-10-0-2-9.ec2.internal   Ready,SchedulingDisabled   gpu       40d   v1.33.5-eks-113cf36
ip-10-0-3-4.ec2.internal   NotReady                   api,web   40d   v1.33.5-eks-113cf36
new                        Unknown                    <none>    40d   v1.33.5-eks-113cf36
",
    );
    get_wide("", "v1", "Node", &nodes[..1], "\
NAME                       STATUS   ROLES    AGE   VERSION               INTERNAL-IP   EXTERNAL-IP   OS-IMAGE                       KERNEL-VERSION   CONTAINER-RUNTIME
ip-10-0-1-7.ec2.internal   Ready    <none>   40d   v1.33.5-eks-113cf36   10.0.1.7      <none>        Amazon Linux 2023.9.20250929   6.12.46          containerd://2.1.4
");
}

#[test]
fn volumes_claims_and_classes() {
    let claim = |name: &str, volume: &str, phase: &str| {
        json!({ "metadata": meta(name, HOUR_AGO),
        "spec": { "volumeName": volume, "storageClassName": "gp3", "volumeMode": "Filesystem",
            "resources": { "requests": { "storage": "8Gi" } } },
        "status": { "phase": phase, "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "8Gi" } } })
    };
    let mut leaving = claim("leaving", "pvc-2", "Bound");
    leaving["metadata"]["deletionTimestamp"] = json!(HOUR_AGO);
    get("", "v1", "PersistentVolumeClaim", &[
        claim("data", "pvc-1", "Bound"), claim("waiting", "", "Pending"), leaving,
    ], "\
NAME      STATUS        VOLUME   CAPACITY   ACCESS MODES   STORAGECLASS   VOLUMEATTRIBUTESCLASS   AGE
data      Bound         pvc-1    8Gi        RWO            gp3            <unset>                 60m
waiting   Pending                                          gp3            <unset>                 60m
leaving   Terminating   pvc-2    8Gi        RWO            gp3            <unset>                 60m
");
    get("", "v1", "PersistentVolume", &[json!({ "metadata": meta("pvc-1", HOUR_AGO), "spec": {
        "capacity": { "storage": "8Gi" }, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "gp3",
        "claimRef": { "namespace": "default", "name": "data" } }, "status": { "phase": "Bound" } })], "\
NAME    CAPACITY   ACCESS MODES   RECLAIM POLICY   STATUS   CLAIM          STORAGECLASS   VOLUMEATTRIBUTESCLASS   REASON   AGE
pvc-1   8Gi        RWO,RWX        Delete           Bound    default/data   gp3            <unset>                          60m
");
    get(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        &[
            json!({ "metadata": { "name": "gp3", "creationTimestamp": HOUR_AGO,
        "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "ebs.csi.aws.com", "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true }),
        ],
        "\
NAME            PROVISIONER       RECLAIMPOLICY   VOLUMEBINDINGMODE      ALLOWVOLUMEEXPANSION   AGE
gp3 (default)   ebs.csi.aws.com   Delete          WaitForFirstConsumer   true                   60m
",
    );
}

#[test]
fn the_small_kinds() {
    get(
        "",
        "v1",
        "Namespace",
        &[
            json!({ "metadata": meta("default", HOUR_AGO), "status": { "phase": "Active" } }),
            json!({ "metadata": meta("old", HOUR_AGO), "status": { "phase": "Terminating" } }),
        ],
        "\
NAME      STATUS        AGE
default   Active        60m
old       Terminating   60m
",
    );
    get(
        "",
        "v1",
        "Secret",
        &[
            json!({ "metadata": meta("sh.helm.release.v1.demo.v1", HOUR_AGO),
        "type": "helm.sh/release.v1", "data": { "release": "eA==" } }),
        ],
        "\
NAME                         TYPE                 DATA   AGE
sh.helm.release.v1.demo.v1   helm.sh/release.v1   1      60m
",
    );
    get(
        "",
        "v1",
        "ServiceAccount",
        &[json!({ "metadata": meta("default", HOUR_AGO) })],
        "\
NAME      SECRETS   AGE
default   0         60m
",
    );
    get(
        "",
        "v1",
        "ResourceQuota",
        &[json!({ "metadata": meta("team", HOUR_AGO), "status": {
        "hard": { "requests.cpu": "4", "limits.cpu": "8", "pods": "10" }, "used": { "requests.cpu": "500m", "pods": "2" } } })],
        "\
NAME   REQUEST                            LIMIT             AGE
team   pods: 2/10, requests.cpu: 500m/4   limits.cpu: 0/8   60m
",
    );
    get(
        "",
        "v1",
        "Event",
        &[
            json!({ "metadata": meta("web.1", HOUR_AGO), "type": "Warning", "reason": "FailedScheduling",
            "message": "0/1 nodes are available.\n", "lastTimestamp": null, "eventTime": "2026-01-10T11:59:00.000000Z",
            "involvedObject": { "kind": "Pod", "name": "web" }, "reportingComponent": "default-scheduler" }),
            json!({ "metadata": meta("web.2", HOUR_AGO), "type": "Normal", "reason": "Scheduled", "message": "Assigned",
            "firstTimestamp": HOUR_AGO, "lastTimestamp": "2026-01-10T11:58:00Z", "count": 3,
            "involvedObject": { "kind": "Pod", "name": "web" }, "source": { "component": "kubelet", "host": "n1" } }),
        ],
        "\
LAST SEEN   TYPE      REASON             OBJECT    MESSAGE
60s         Warning   FailedScheduling   pod/web   0/1 nodes are available.
2m          Normal    Scheduled          pod/web   Assigned
",
    );
    get_wide("events.k8s.io", "v1", "Event", &[json!({ "metadata": meta("web.2", HOUR_AGO), "type": "Normal",
        "reason": "Pulled", "note": "Pulled it", "deprecatedFirstTimestamp": HOUR_AGO, "deprecatedCount": 3,
        "deprecatedLastTimestamp": "2026-01-10T11:58:00Z", "deprecatedSource": { "component": "kubelet", "host": "n1" },
        "regarding": { "kind": "Pod", "name": "web", "fieldPath": "spec.containers{web}" } })], "\
LAST SEEN   TYPE     REASON   OBJECT    SUBOBJECT              SOURCE        MESSAGE     FIRST SEEN   COUNT   NAME
2m          Normal   Pulled   pod/web   spec.containers{web}   kubelet, n1   Pulled it   60m          3       web.2
");
    get(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        &[json!({ "metadata": meta("system-node-critical", HOUR_AGO),
        "value": 2_000_001_000, "preemptionPolicy": "PreemptLowerPriority" })],
        "\
NAME                   VALUE        GLOBAL-DEFAULT   AGE   PREEMPTIONPOLICY
system-node-critical   2000001000   false            60m   PreemptLowerPriority
",
    );
    get_wide(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        &[json!({ "metadata": meta("ops", HOUR_AGO),
        "roleRef": { "kind": "ClusterRole", "name": "view" }, "subjects": [
            { "kind": "Group", "name": "ops" }, { "kind": "Group", "name": "dev" },
            { "kind": "ServiceAccount", "namespace": "ci", "name": "bot" } ] })],
        "\
NAME   ROLE               AGE   USERS   GROUPS     SERVICEACCOUNTS
ops    ClusterRole/view   60m           ops, dev   ci/bot
",
    );
    get(
        "apiregistration.k8s.io",
        "v1",
        "APIService",
        &[
            json!({ "metadata": meta("v1.apps", HOUR_AGO), "status": { "conditions": [{ "type": "Available", "status": "True" }] } }),
            json!({ "metadata": meta("v1beta1.metrics.k8s.io", HOUR_AGO),
            "spec": { "service": { "namespace": "kube-system", "name": "metrics-server" } },
            "status": { "conditions": [{ "type": "Available", "status": "False", "reason": "MissingEndpoints" }] } }),
        ],
        "\
NAME                     SERVICE                      AVAILABLE                  AGE
v1.apps                  Local                        True                       60m
v1beta1.metrics.k8s.io   kube-system/metrics-server   False (MissingEndpoints)   60m
",
    );
    get(
        "metrics.k8s.io",
        "v1beta1",
        "PodMetrics",
        &[json!({ "metadata": meta("web", HOUR_AGO), "window": "15s",
        "containers": [{ "usage": { "cpu": "12m", "memory": "2048Ki" } }, { "usage": { "cpu": "500n", "memory": "1Mi" } }] })],
        "\
NAME   CPU         MEMORY   WINDOW
web    12000500n   3Mi      15s
",
    );
}

#[test]
fn kinds_without_a_printer_show_when_they_were_created() {
    get(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        &[
            json!({ "metadata": { "name": "nodepools.karpenter.sh", "creationTimestamp": HOUR_AGO } }),
        ],
        "\
NAME                     CREATED AT
nodepools.karpenter.sh   2026-01-10T11:00:00Z
",
    );
}

#[test]
fn custom_resources_show_what_their_definition_asks_for() {
    let object = json!({ "metadata": meta("default", HOUR_AGO),
        "spec": { "nodeClassRef": { "name": "al2023" }, "weight": 10, "ratio": 0.5, "list": ["a"] },
        "status": { "nodes": 3, "conditions": [{ "type": "Ready", "status": "True",
            "lastTransitionTime": "2026-01-10T11:50:00Z" }] } });
    let mut pools = resource("karpenter.sh", "v1", "NodePool");
    pools.custom = true;
    assert_eq!(
        print(&pools, std::slice::from_ref(&object), false),
        "\
NAME      AGE
default   60m
"
    );
    let column = |name: &str, kind: &str, path: &str, priority: i32| PrinterColumn {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: String::new(),
        description: String::new(),
        priority,
        json_path: path.to_owned(),
    };
    pools.printer_columns = vec![
        column("NodeClass", "string", ".spec.nodeClassRef.name", 0),
        column("Nodes", "string", ".status.nodes", 0),
        column(
            "Ready",
            "string",
            ".status.conditions[?(@.type==\"Ready\")].status",
            0,
        ),
        column(
            "Since",
            "date",
            ".status.conditions[?(@.type==\"Ready\")].lastTransitionTime",
            0,
        ),
        column("Weight", "integer", ".spec.weight", 0),
        column("Ratio", "number", ".spec.ratio", 0),
        column("List", "string", ".spec.list", 0),
        column("Gone", "integer", ".status.gone", 0),
        column("Broken", "date", ".spec.nodeClassRef.name", 0),
        column("Wide", "boolean", ".spec.weight", 1),
    ];
    assert_eq!(
        print(&pools, &[object], false),
        "\
NAME      NODECLASS   NODES   READY   SINCE   WEIGHT   RATIO   LIST    GONE   BROKEN
default   al2023      3       True    10m     10       0.5     [\"a\"]          <invalid>
"
    );
}

#[test]
fn every_printer_makes_as_many_cells_as_it_has_columns() {
    for (group, kind) in [
        ("", "Pod"),
        ("", "PodTemplate"),
        ("", "ReplicationController"),
        ("apps", "ReplicaSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ControllerRevision"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("autoscaling", "Scale"),
        ("policy", "PodDisruptionBudget"),
        ("", "Service"),
        ("", "Endpoints"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("networking.k8s.io", "IPAddress"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
        ("storage.k8s.io", "VolumeAttributesClass"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "CSIStorageCapacity"),
        ("", "Node"),
        ("", "Namespace"),
        ("", "Event"),
        ("", "Secret"),
        ("", "ConfigMap"),
        ("", "ServiceAccount"),
        ("", "ResourceQuota"),
        ("", "ComponentStatus"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("coordination.k8s.io", "Lease"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("apiregistration.k8s.io", "APIService"),
        ("metrics.k8s.io", "NodeMetrics"),
        ("metrics.k8s.io", "PodMetrics"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration",
        ),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding",
        ),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("example.com", "Unknown"),
    ] {
        let resource = resource(group, "v1", kind);
        // Documents of any form are printed, also those that no server would store.
        for object in [
            json!({}),
            json!({ "metadata": 1, "spec": [], "status": "x" }),
            json!(null),
        ] {
            let row = row(&resource, &object, now(), Include::None);
            let columns = columns(&resource);
            assert_eq!(
                row["cells"].as_array().unwrap().len(),
                columns.as_array().unwrap().len(),
                "{group}/{kind}"
            );
        }
        if (group, kind) != ("example.com", "Unknown") {
            assert!(
                !std::ptr::eq(printer(&resource), &raw const FALLBACK),
                "{group}/{kind} has no printer"
            );
        }
    }
}
