//! Pods and what runs them.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::fields::Fields;
use super::{AGE, Column, NAME, Printer, age};

const CONTAINERS: Column = Column::told(
    "Containers",
    "string",
    "The names of the template's containers.",
)
.wide();
const IMAGES: Column = Column::told(
    "Images",
    "string",
    "The images of the template's containers.",
)
.wide();
const SELECTOR: Column = Column::of("Selector", "string", "spec.selector").wide();

pub(super) fn printer(group: &str, kind: &str) -> Option<&'static Printer> {
    Some(match (group, kind) {
        ("", "Pod") => &PODS,
        ("", "PodTemplate") => &POD_TEMPLATES,
        ("", "ReplicationController") => &REPLICATION_CONTROLLERS,
        ("apps", "ReplicaSet") => &REPLICA_SETS,
        ("apps", "Deployment") => &DEPLOYMENTS,
        ("apps", "StatefulSet") => &STATEFUL_SETS,
        ("apps", "DaemonSet") => &DAEMON_SETS,
        ("apps", "ControllerRevision") => &CONTROLLER_REVISIONS,
        ("batch", "Job") => &JOBS,
        ("batch", "CronJob") => &CRON_JOBS,
        ("autoscaling", "HorizontalPodAutoscaler") => &AUTOSCALERS,
        ("autoscaling", "Scale") => &SCALES,
        ("policy", "PodDisruptionBudget") => &DISRUPTION_BUDGETS,
        _ => return None,
    })
}

static PODS: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Ready",
            "string",
            "How many of the pod's containers are ready.",
        ),
        Column::told("Status", "string", "What the pod's containers are doing."),
        Column::told(
            "Restarts",
            "string",
            "How often its containers have been restarted, and when last.",
        ),
        AGE,
        Column::of("IP", "string", "status.podIP").wide(),
        Column::of("Node", "string", "spec.nodeName").wide(),
        Column::of("Nominated Node", "string", "status.nominatedNodeName").wide(),
        Column::of("Readiness Gates", "string", "spec.readinessGates").wide(),
    ],
    cells: |pod, now| {
        let summary = Summary::of(pod);
        let restarts = match summary.last_restart {
            Some(last) if summary.restarts != 0 => {
                let ago = age::human(now.duration_since(last).as_secs());
                format!("{} ({ago} ago)", summary.restarts)
            }
            _ => summary.restarts.to_string(),
        };
        let address = pod
            .items("status.podIPs")
            .next()
            .map_or("<none>", |first| first.text_or("ip", "<none>"));
        vec![
            pod.name(),
            format!("{}/{}", summary.ready, summary.containers).into(),
            summary.reason.into(),
            restarts.into(),
            pod.age(now),
            address.into(),
            pod.text_or("spec.nodeName", "<none>").into(),
            pod.text_or("status.nominatedNodeName", "<none>").into(),
            readiness_gates(pod).into(),
        ]
    },
};

/// What a row of the table says of a pod that is through.
pub(super) fn completed(pod: Fields<'_>) -> Option<Json> {
    let (reason, message) = match pod.text("status.phase") {
        "Succeeded" => ("Succeeded", "All containers of the pod have succeeded."),
        "Failed" => ("Failed", "A container of the pod has failed."),
        _ => return None,
    };
    Some(json!({ "type": "Completed", "status": "True", "reason": reason, "message": message }))
}

fn readiness_gates(pod: Fields<'_>) -> String {
    let gates = pod.items("spec.readinessGates");
    let all = gates.len();
    if all == 0 {
        return "<none>".to_owned();
    }
    let open = gates
        .filter(|gate| pod.condition_holds(gate.text("conditionType")))
        .count();
    format!("{open}/{all}")
}

/// What the first columns say of a pod.
struct Summary {
    reason: String,
    ready: usize,
    containers: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: Fields<'_>) -> Self {
        let mut summary = Self {
            reason: pod.text_or("status.reason", "").to_owned(),
            ready: 0,
            containers: pod.count("spec.containers")
                + pod.items("spec.initContainers").filter(is_sidecar).count(),
            restarts: 0,
            last_restart: None,
        };
        if summary.reason.is_empty() {
            pod.text("status.phase").clone_into(&mut summary.reason);
        }
        if pod
            .condition("PodScheduled")
            .is_some_and(|condition| condition.text("reason") == "SchedulingGated")
        {
            "SchedulingGated".clone_into(&mut summary.reason);
        }
        let initializing = summary.read_init_containers(pod);
        if !initializing || pod.condition_holds("Initialized") {
            summary.read_containers(pod);
        }
        if pod.deleting() {
            let over = matches!(pod.text("status.phase"), "Succeeded" | "Failed");
            if pod.text("status.reason") == "NodeLost" {
                "Unknown".clone_into(&mut summary.reason);
            } else if !over {
                "Terminating".clone_into(&mut summary.reason);
            }
        }
        summary
    }

    /// Reads init containers until one that is not through. Whether there is such a one.
    fn read_init_containers(&mut self, pod: Fields<'_>) -> bool {
        for (index, status) in pod.items("status.initContainerStatuses").enumerate() {
            self.count_restarts(status);
            let sidecar = pod
                .items("spec.initContainers")
                .find(|one| one.text("name") == status.text("name"))
                .is_some_and(|one| is_sidecar(&one));
            let ended = status.at("state.terminated");
            let waiting = status.text("state.waiting.reason");
            if status.present("state.terminated") && ended.number("exitCode") == 0 {
                continue;
            }
            if sidecar && status.flag("started") == Some(true) {
                self.ready += usize::from(status.flag("ready") == Some(true));
                continue;
            }
            self.reason = if status.present("state.terminated") {
                format!("Init:{}", ending(ended))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", pod.count("spec.initContainers"))
            };
            return true;
        }
        false
    }

    /// Once the pod is initialized, only sidecars' restarts count beside those of its containers.
    fn read_containers(&mut self, pod: Fields<'_>) {
        (self.restarts, self.last_restart) = (0, None);
        for status in pod.items("status.initContainerStatuses") {
            let name = status.text("name");
            if pod
                .items("spec.initContainers")
                .any(|one| one.text("name") == name && is_sidecar(&one))
            {
                self.count_restarts(status);
            }
        }
        let mut running = false;
        for status in pod.items("status.containerStatuses").rev() {
            self.count_restarts(status);
            let waiting = status.text("state.waiting.reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if status.present("state.terminated") {
                self.reason = ending(status.at("state.terminated"));
            } else if status.flag("ready") == Some(true) && status.present("state.running") {
                running = true;
                self.ready += 1;
            }
        }
        // One container that is through does not complete a pod in which another one runs.
        if self.reason == "Completed" && running {
            let ready = pod.condition_holds("Ready");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count_restarts(&mut self, status: Fields<'_>) {
        self.restarts += status.number("restartCount");
        let ended = status.text("lastState.terminated.finishedAt").parse().ok();
        self.last_restart = self.last_restart.max(ended);
    }
}

/// Init containers that are restarted always run beside the containers.
fn is_sidecar(container: &Fields<'_>) -> bool {
    container.text("restartPolicy") == "Always"
}

fn ending(terminated: Fields<'_>) -> String {
    match (terminated.text("reason"), terminated.number("signal")) {
        ("", 0) => format!("ExitCode:{}", terminated.number("exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

static POD_TEMPLATES: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Containers",
            "string",
            "The names of the template's containers.",
        ),
        Column::told(
            "Images",
            "string",
            "The images of the template's containers.",
        ),
        Column::told("Pod Labels", "string", "The labels of the pods."),
    ],
    cells: |object, _| {
        let [names, images] = object.containers("template.spec.containers");
        let labels = object.labels("template.metadata.labels").into();
        vec![object.name(), names, images, labels]
    },
};

/// Cells of a name, some numbers, the age, and the template's containers and the selector.
fn counted(object: Fields<'_>, now: Timestamp, numbers: &[&str], selector: String) -> Vec<Json> {
    let [names, images] = object.containers("spec.template.spec.containers");
    let mut cells = vec![object.name()];
    cells.extend(numbers.iter().map(|path| Json::from(object.number(path))));
    cells.extend([object.age(now), names, images, selector.into()]);
    cells
}

const REPLICAS: [&str; 3] = ["spec.replicas", "status.replicas", "status.readyReplicas"];

static REPLICATION_CONTROLLERS: Printer = Printer {
    columns: REPLICA_COLUMNS,
    cells: |object, now| counted(object, now, &REPLICAS, object.labels("spec.selector")),
};

static REPLICA_SETS: Printer = Printer {
    columns: REPLICA_COLUMNS,
    cells: |object, now| {
        counted(
            object,
            now,
            &REPLICAS,
            object.selector_or_none("spec.selector"),
        )
    },
};

const REPLICA_COLUMNS: &[Column] = &[
    NAME,
    Column::of("Desired", "integer", "spec.replicas"),
    Column::of("Current", "integer", "status.replicas"),
    Column::of("Ready", "integer", "status.readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

static DEPLOYMENTS: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Ready", "string", "How many of the wanted pods are ready."),
        Column::of("Up-to-date", "string", "status.updatedReplicas"),
        Column::of("Available", "string", "status.availableReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let [names, images] = object.containers("spec.template.spec.containers");
        vec![
            object.name(),
            ready_of_wanted(object),
            object.number("status.updatedReplicas").into(),
            object.number("status.availableReplicas").into(),
            object.age(now),
            names,
            images,
            object.selector("spec.selector").into(),
        ]
    },
};

fn ready_of_wanted(object: Fields<'_>) -> Json {
    let ready = object.number("status.readyReplicas");
    format!("{ready}/{}", object.number("spec.replicas")).into()
}

static STATEFUL_SETS: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Ready", "string", "How many of the wanted pods are ready."),
        AGE,
        CONTAINERS,
        IMAGES,
    ],
    cells: |object, now| {
        let [names, images] = object.containers("spec.template.spec.containers");
        let ready = ready_of_wanted(object);
        vec![object.name(), ready, object.age(now), names, images]
    },
};

static DAEMON_SETS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Desired", "integer", "status.desiredNumberScheduled"),
        Column::of("Current", "integer", "status.currentNumberScheduled"),
        Column::of("Ready", "integer", "status.numberReady"),
        Column::of("Up-to-date", "integer", "status.updatedNumberScheduled"),
        Column::of("Available", "integer", "status.numberAvailable"),
        Column::of("Node Selector", "string", "spec.template.spec.nodeSelector"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let [names, images] = object.containers("spec.template.spec.containers");
        vec![
            object.name(),
            object.number("status.desiredNumberScheduled").into(),
            object.number("status.currentNumberScheduled").into(),
            object.number("status.numberReady").into(),
            object.number("status.updatedNumberScheduled").into(),
            object.number("status.numberAvailable").into(),
            object.labels("spec.template.spec.nodeSelector").into(),
            object.age(now),
            names,
            images,
            object.selector_or_none("spec.selector").into(),
        ]
    },
};

static CONTROLLER_REVISIONS: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Controller", "string", "Whose revision it is."),
        Column::of("Revision", "string", "revision"),
        AGE,
    ],
    cells: |object, now| {
        let controller = object
            .items("metadata.ownerReferences")
            .find(|owner| owner.flag("controller") == Some(true))
            .map_or_else(
                || "<none>".to_owned(),
                |owner| {
                    let kind = owner.text("kind").to_lowercase();
                    let name = owner.text("name");
                    match owner.text("apiVersion").split_once('/') {
                        Some((group, _)) => format!("{kind}.{group}/{name}"),
                        None => format!("{kind}/{name}"),
                    }
                },
            );
        let revision = object.number("revision").into();
        vec![object.name(), controller.into(), revision, object.age(now)]
    },
};

static JOBS: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Status",
            "string",
            "Whether the job runs, is suspended, or how it ended.",
        ),
        Column::of("Completions", "string", "status.succeeded"),
        Column::told(
            "Duration",
            "string",
            "How long the job took, or has been running.",
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |job, now| {
        let succeeded = job.number("status.succeeded");
        let parallelism = job.number("spec.parallelism");
        let completions = if job.present("spec.completions") {
            format!("{succeeded}/{}", job.number("spec.completions"))
        } else if parallelism > 1 {
            format!("{succeeded}/1 of {parallelism}")
        } else {
            format!("{succeeded}/1")
        };
        let duration = job
            .text("status.startTime")
            .parse::<Timestamp>()
            .map_or_else(
                |_| String::new(),
                |start| {
                    let end = job.text("status.completionTime").parse().unwrap_or(now);
                    age::human(end.duration_since(start).as_secs())
                },
            );
        let status = if job.condition_holds("Complete") {
            "Complete"
        } else if job.condition_holds("Failed") {
            "Failed"
        } else if job.deleting() {
            "Terminating"
        } else if job.condition_holds("Suspended") {
            "Suspended"
        } else if job.condition_holds("FailureTarget") {
            "FailureTarget"
        } else {
            "Running"
        };
        let [names, images] = job.containers("spec.template.spec.containers");
        vec![
            job.name(),
            status.into(),
            completions.into(),
            duration.into(),
            job.age(now),
            names,
            images,
            job.selector_or_none("spec.selector").into(),
        ]
    },
};

static CRON_JOBS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Schedule", "string", "spec.schedule"),
        Column::of("Timezone", "string", "spec.timeZone"),
        Column::of("Suspend", "boolean", "spec.suspend"),
        Column::of("Active", "integer", "status.active"),
        Column::of("Last Schedule", "string", "status.lastScheduleTime"),
        AGE,
        CONTAINERS,
        IMAGES,
        Column::of("Selector", "string", "spec.jobTemplate.spec.selector").wide(),
    ],
    cells: |object, now| {
        let last = if object.present("status.lastScheduleTime") {
            object.since("status.lastScheduleTime", now)
        } else {
            "<none>".to_owned()
        };
        let suspended = match object.flag("spec.suspend") {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let [names, images] = object.containers("spec.jobTemplate.spec.template.spec.containers");
        vec![
            object.name(),
            object.text("spec.schedule").into(),
            object.text_or("spec.timeZone", "<none>").into(),
            suspended.into(),
            object.count("status.active").into(),
            last.into(),
            object.age(now),
            names,
            images,
            object
                .selector_or_none("spec.jobTemplate.spec.selector")
                .into(),
        ]
    },
};

static AUTOSCALERS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Reference", "string", "spec.scaleTargetRef"),
        Column::of("Targets", "string", "spec.metrics"),
        Column::of("MinPods", "string", "spec.minReplicas"),
        Column::of("MaxPods", "string", "spec.maxReplicas"),
        Column::of("Replicas", "string", "status.currentReplicas"),
        AGE,
    ],
    cells: |object, now| {
        let target = object.at("spec.scaleTargetRef");
        let minimum = object
            .scalar("spec.minReplicas")
            .unwrap_or_else(|| "<unset>".to_owned());
        vec![
            object.name(),
            format!("{}/{}", target.text("kind"), target.text("name")).into(),
            metrics(object).into(),
            minimum.into(),
            object.number("spec.maxReplicas").into(),
            object.number("status.currentReplicas").into(),
            object.age(now),
        ]
    },
};

/// What an autoscaler watches: `cpu: 12%/50%`, two of them at most. Of version 1, whose only metric field is CPU, that one.
fn metrics(object: Fields<'_>) -> String {
    const SHOWN: usize = 2;
    if object.present("spec.targetCPUUtilizationPercentage") {
        let current = object
            .scalar("status.currentCPUUtilizationPercentage")
            .map_or_else(|| "<unknown>".to_owned(), |percent| format!("{percent}%"));
        let target = object.number("spec.targetCPUUtilizationPercentage");
        return format!("cpu: {current}/{target}%");
    }
    let told: Vec<String> = object
        .items("spec.metrics")
        .enumerate()
        .map(|(index, spec)| metric(spec, object.items("status.currentMetrics").nth(index)))
        .collect();
    match told.len() {
        0 => "<none>".to_owned(),
        1..=SHOWN => told.join(", "),
        all => format!("{} + {} more...", told[..SHOWN].join(", "), all - SHOWN),
    }
}

fn metric(spec: Fields<'_>, status: Option<Fields<'_>>) -> String {
    let source = match spec.text("type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (spec, status) = (spec.at(source), status.map(|status| status.at(source)));
    let current = |field: &str| {
        status
            .and_then(|status| status.at("current").scalar(field))
            .unwrap_or_else(|| "<unknown>".to_owned())
    };
    let average = spec.present("target.averageValue");
    match source {
        "resource" | "containerResource" => {
            let name = spec.text("name");
            if average {
                let target = spec.quantity("target.averageValue");
                return format!("{name}: {}/{target}", current("averageValue"));
            }
            let percent = |number: String| format!("{number}%");
            let current = status
                .and_then(|status| status.scalar("current.averageUtilization"))
                .map_or_else(|| "<unknown>".to_owned(), percent);
            let target = spec
                .scalar("target.averageUtilization")
                .map_or_else(|| "<auto>".to_owned(), percent);
            format!("{name}: {current}/{target}")
        }
        "pods" => {
            let target = spec.quantity("target.averageValue");
            format!("{}/{target}", current("averageValue"))
        }
        _ if average => {
            let target = spec.quantity("target.averageValue");
            format!("{}/{target} (avg)", current("averageValue"))
        }
        _ => format!("{}/{}", current("value"), spec.quantity("target.value")),
    }
}

static SCALES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Desired", "integer", "spec.replicas"),
        Column::of("Available", "integer", "status.replicas"),
        AGE,
    ],
    cells: |object, now| {
        vec![
            object.name(),
            object.number("spec.replicas").into(),
            object.number("status.replicas").into(),
            object.age(now),
        ]
    },
};

static DISRUPTION_BUDGETS: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Min Available",
            "string",
            "How many pods must stay available.",
        ),
        Column::told(
            "Max Unavailable",
            "string",
            "How many pods may be unavailable.",
        ),
        Column::told(
            "Allowed Disruptions",
            "integer",
            "How many pods may be disrupted now.",
        ),
        AGE,
    ],
    cells: |object, now| {
        let or_none = |path| object.scalar(path).unwrap_or_else(|| "N/A".to_owned());
        vec![
            object.name(),
            or_none("spec.minAvailable").into(),
            or_none("spec.maxUnavailable").into(),
            object.number("status.disruptionsAllowed").into(),
            object.age(now),
        ]
    },
};
