//! Nodes, namespaces, events, and the small kinds that every cluster has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::fields::Fields;
use super::{AGE, Column, NAME, Printer, age};

pub(super) fn printer(group: &str, kind: &str) -> Option<&'static Printer> {
    Some(match (group, kind) {
        ("", "Node") => &NODES,
        ("", "Namespace") => &NAMESPACES,
        ("" | "events.k8s.io", "Event") => &EVENTS,
        ("", "Secret") => &SECRETS,
        ("", "ConfigMap") => &CONFIG_MAPS,
        ("", "ServiceAccount") => &SERVICE_ACCOUNTS,
        ("", "ResourceQuota") => &QUOTAS,
        ("", "ComponentStatus") => &COMPONENT_STATUSES,
        ("scheduling.k8s.io", "PriorityClass") => &PRIORITY_CLASSES,
        ("node.k8s.io", "RuntimeClass") => &RUNTIME_CLASSES,
        ("coordination.k8s.io", "Lease") => &LEASES,
        ("certificates.k8s.io", "CertificateSigningRequest") => &SIGNING_REQUESTS,
        ("apiregistration.k8s.io", "APIService") => &API_SERVICES,
        ("metrics.k8s.io", "NodeMetrics") => &NODE_METRICS,
        ("metrics.k8s.io", "PodMetrics") => &POD_METRICS,
        _ => return None,
    })
}

static NODES: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Status",
            "string",
            "Whether the node is ready and takes pods.",
        ),
        Column::told("Roles", "string", "The node's roles."),
        AGE,
        Column::of("Version", "string", "status.nodeInfo.kubeletVersion"),
        Column::of("Internal-IP", "string", "status.addresses").wide(),
        Column::of("External-IP", "string", "status.addresses").wide(),
        Column::of("OS-Image", "string", "status.nodeInfo.osImage").wide(),
        Column::of("Kernel-Version", "string", "status.nodeInfo.kernelVersion").wide(),
        Column::of(
            "Container-Runtime",
            "string",
            "status.nodeInfo.containerRuntimeVersion",
        )
        .wide(),
    ],
    cells: |node, now| {
        let mut status = match node.condition("Ready").map(|ready| ready.text("status")) {
            Some("True") => "Ready",
            Some(_) => "NotReady",
            None => "Unknown",
        }
        .to_owned();
        if node.flag("spec.unschedulable") == Some(true) {
            status.push_str(",SchedulingDisabled");
        }
        let address = |kind: &str| {
            node.items("status.addresses")
                .find(|address| address.text("type") == kind)
                .map_or("<none>", |address| address.text("address"))
        };
        let info = node.at("status.nodeInfo");
        vec![
            node.name(),
            status.into(),
            roles(node).into(),
            node.age(now),
            info.text("kubeletVersion").into(),
            address("InternalIP").into(),
            address("ExternalIP").into(),
            info.text_or("osImage", "<unknown>").into(),
            info.text_or("kernelVersion", "<unknown>").into(),
            info.text_or("containerRuntimeVersion", "<unknown>").into(),
        ]
    },
};

/// Roles are labels: `node-role.kubernetes.io/<role>`, or `kubernetes.io/role` with the role as its value.
fn roles(node: Fields<'_>) -> String {
    let roles: BTreeSet<&str> = node
        .map("metadata.labels")
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.as_str() {
            "kubernetes.io/role" => value.as_str(),
            key => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() {
        return "<none>".to_owned();
    }
    roles.into_iter().collect::<Vec<_>>().join(",")
}

static NAMESPACES: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Status",
            "string",
            "Whether the namespace is in use or goes.",
        ),
        AGE,
    ],
    cells: |object, now| {
        let phase = object.text("status.phase").into();
        vec![object.name(), phase, object.age(now)]
    },
};

static EVENTS: Printer = Printer {
    columns: &[
        Column::of("Last Seen", "string", "lastTimestamp"),
        Column::of("Type", "string", "type"),
        Column::of("Reason", "string", "reason"),
        Column::of("Object", "string", "involvedObject"),
        Column::of("Subobject", "string", "involvedObject.fieldPath").wide(),
        Column::of("Source", "string", "source").wide(),
        Column::of("Message", "string", "message"),
        Column::of("First Seen", "string", "firstTimestamp").wide(),
        Column::of("Count", "string", "count").wide(),
        NAME.wide(),
    ],
    cells: |event, now| {
        // `events.k8s.io` has other names for the same fields.
        let either = |one: &str, other: &str| match event.text(one) {
            "" => event.text(other).to_owned(),
            text => text.to_owned(),
        };
        let seen = |times: [&str; 3]| {
            times
                .into_iter()
                .find(|path| event.present(path))
                .map(|path| event.since(path, now))
        };
        let first = seen(["firstTimestamp", "deprecatedFirstTimestamp", "eventTime"])
            .unwrap_or_else(|| "<unknown>".to_owned());
        let last = seen([
            "series.lastObservedTime",
            "lastTimestamp",
            "deprecatedLastTimestamp",
        ])
        .unwrap_or_else(|| first.clone());
        let count = ["series.count", "count", "deprecatedCount"]
            .into_iter()
            .map(|path| event.number(path))
            .find(|count| *count != 0)
            .unwrap_or(1);
        let about = if event.present("involvedObject") {
            event.at("involvedObject")
        } else {
            event.at("regarding")
        };
        let mut target = about.text("kind").to_lowercase();
        if !about.text("name").is_empty() {
            target = format!("{target}/{}", about.text("name"));
        }
        let source = if event.present("source") {
            event.at("source")
        } else {
            event.at("deprecatedSource")
        };
        let component = match source.text("component") {
            "" => either("reportingComponent", "reportingController"),
            component => component.to_owned(),
        };
        let source = match source.text_or("host", "") {
            "" => match event.text("reportingInstance") {
                "" => component,
                instance => format!("{component}, {instance}"),
            },
            host => format!("{component}, {host}"),
        };
        vec![
            last.into(),
            event.text("type").into(),
            event.text("reason").into(),
            target.into(),
            about.text("fieldPath").into(),
            source.into(),
            either("message", "note").trim().into(),
            first.into(),
            count.into(),
            event.name(),
        ]
    },
};

static SECRETS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Type", "string", "type"),
        Column::of("Data", "string", "data"),
        AGE,
    ],
    cells: |object, now| {
        vec![
            object.name(),
            object.text("type").into(),
            object.count("data").into(),
            object.age(now),
        ]
    },
};

static CONFIG_MAPS: Printer = Printer {
    columns: &[NAME, Column::of("Data", "string", "data"), AGE],
    cells: |object, now| {
        let entries = object.count("data") + object.count("binaryData");
        vec![object.name(), entries.into(), object.age(now)]
    },
};

static SERVICE_ACCOUNTS: Printer = Printer {
    columns: &[NAME, Column::of("Secrets", "string", "secrets"), AGE],
    cells: |object, now| {
        vec![
            object.name(),
            object.count("secrets").into(),
            object.age(now),
        ]
    },
};

static QUOTAS: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Request",
            "string",
            "What is used and allowed of requests and objects.",
        ),
        Column::told("Limit", "string", "What is used and allowed of limits."),
        AGE,
    ],
    cells: |object, now| {
        let hard: BTreeMap<&String, &Json> =
            object.map("status.hard").into_iter().flatten().collect();
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for name in hard.into_keys() {
            let of = |path: &str| {
                let value = object.at(path).key(name);
                value.as_scalar().unwrap_or_else(|| "0".to_owned())
            };
            let told = format!("{name}: {}/{}", of("status.used"), of("status.hard"));
            if name.starts_with("limits.") {
                limits.push(told);
            } else {
                requests.push(told);
            }
        }
        vec![
            object.name(),
            requests.join(", ").into(),
            limits.join(", ").into(),
            object.age(now),
        ]
    },
};

static COMPONENT_STATUSES: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Status", "string", "Whether the component is healthy."),
        Column::told("Message", "string", "What the component says."),
        Column::told("Error", "string", "What is wrong with it."),
    ],
    cells: |object, _| {
        let health = object
            .items("conditions")
            .find(|condition| condition.text("type") == "Healthy");
        let status = match health.map(|health| health.text("status")) {
            Some("True") => "Healthy",
            Some(_) => "Unhealthy",
            None => "Unknown",
        };
        let of = |field| health.map_or("", |health| health.text(field));
        vec![
            object.name(),
            status.into(),
            of("message").into(),
            of("error").into(),
        ]
    },
};

static PRIORITY_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Value", "integer", "value"),
        Column::of("Global-Default", "boolean", "globalDefault"),
        AGE,
        Column::of("PreemptionPolicy", "string", "preemptionPolicy"),
    ],
    cells: |object, now| {
        vec![
            object.name(),
            object.number("value").into(),
            object.flag("globalDefault").unwrap_or_default().into(),
            object.age(now),
            object.text("preemptionPolicy").into(),
        ]
    },
};

static RUNTIME_CLASSES: Printer = Printer {
    columns: &[NAME, Column::of("Handler", "string", "handler"), AGE],
    cells: |object, now| {
        vec![
            object.name(),
            object.text("handler").into(),
            object.age(now),
        ]
    },
};

static LEASES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Holder", "string", "spec.holderIdentity"),
        AGE,
    ],
    cells: |object, now| {
        let holder = object.text("spec.holderIdentity").into();
        vec![object.name(), holder, object.age(now)]
    },
};

static SIGNING_REQUESTS: Printer = Printer {
    columns: &[
        NAME,
        AGE,
        Column::of("SignerName", "string", "spec.signerName"),
        Column::of("Requestor", "string", "spec.request"),
        Column::of("RequestedDuration", "string", "spec.expirationSeconds"),
        Column::of("Condition", "string", "status.conditions"),
    ],
    cells: |object, now| {
        let has = |kind| object.condition(kind).is_some();
        let mut state = if has("Denied") {
            "Denied"
        } else if has("Approved") {
            "Approved"
        } else {
            "Pending"
        }
        .to_owned();
        if has("Failed") {
            state.push_str(",Failed");
        }
        if !object.text("status.certificate").is_empty() {
            state.push_str(",Issued");
        }
        let duration = if object.present("spec.expirationSeconds") {
            age::human(object.number("spec.expirationSeconds"))
        } else {
            "<none>".to_owned()
        };
        vec![
            object.name(),
            object.age(now),
            object.text_or("spec.signerName", "<none>").into(),
            object.text("spec.username").into(),
            duration.into(),
            state.into(),
        ]
    },
};

static API_SERVICES: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Service", "string", "Where the group's version is served."),
        Column::told("Available", "string", "Whether it is served now."),
        AGE,
    ],
    cells: |object, now| {
        let service = if object.present("spec.service") {
            let service = object.at("spec.service");
            format!("{}/{}", service.text("namespace"), service.text("name"))
        } else {
            "Local".to_owned()
        };
        let available = match object.condition("Available") {
            None => "Unknown".to_owned(),
            Some(condition) => match condition.text("status") {
                "True" => "True".to_owned(),
                status => format!("{status} ({})", condition.text("reason")),
            },
        };
        vec![
            object.name(),
            service.into(),
            available.into(),
            object.age(now),
        ]
    },
};

/// The columns of metrics-server's own tables.
const METRICS: &[Column] = &[
    NAME,
    Column::told("cpu", "string", "CPU in use, over the window."),
    Column::told("memory", "string", "Memory in use at the window's end."),
    Column::told("Window", "string", "Over which time usage was measured."),
];

static NODE_METRICS: Printer = Printer {
    columns: METRICS,
    cells: |object, _| {
        vec![
            object.name(),
            object.quantity("usage.cpu").into(),
            object.quantity("usage.memory").into(),
            object.text("window").into(),
        ]
    },
};

static POD_METRICS: Printer = Printer {
    columns: METRICS,
    cells: |object, _| {
        vec![
            object.name(),
            total(
                object,
                "usage.cpu",
                &[
                    ("n", 1),
                    ("u", 1_000),
                    ("m", 1_000_000),
                    ("", 1_000_000_000),
                ],
            )
            .into(),
            total(
                object,
                "usage.memory",
                &[("", 1), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)],
            )
            .into(),
            object.text("window").into(),
        ]
    },
};

/// The sum over a pod's containers, in the largest of some units (the smallest first) that divides it.
fn total(pod: Fields<'_>, path: &str, units: &[(&str, u64)]) -> String {
    let read = |text: String| {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let (_, factor) = units.iter().find(|(unit, _)| *unit == suffix)?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    };
    let sum: u64 = pod
        .items("containers")
        .filter_map(|container| read(container.quantity(path)))
        .sum();
    units
        .iter()
        .rev()
        .find(|(_, factor)| sum.is_multiple_of(*factor))
        .map_or_else(
            || sum.to_string(),
            |(unit, factor)| format!("{}{unit}", sum / factor),
        )
}
