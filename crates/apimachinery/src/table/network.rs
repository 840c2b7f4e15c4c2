//! Services and what leads to them.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::fields::{Fields, first_three};
use super::{AGE, Column, NAME, Printer};

pub(super) fn printer(group: &str, kind: &str) -> Option<&'static Printer> {
    Some(match (group, kind) {
        ("", "Service") => &SERVICES,
        ("", "Endpoints") => &ENDPOINTS,
        ("discovery.k8s.io", "EndpointSlice") => &ENDPOINT_SLICES,
        ("networking.k8s.io", "Ingress") => &INGRESSES,
        ("networking.k8s.io", "IngressClass") => &INGRESS_CLASSES,
        ("networking.k8s.io", "NetworkPolicy") => &NETWORK_POLICIES,
        ("networking.k8s.io", "ServiceCIDR") => &SERVICE_CIDRS,
        ("networking.k8s.io", "IPAddress") => &ADDRESSES,
        _ => return None,
    })
}

static SERVICES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Type", "string", "spec.type"),
        Column::of("Cluster-IP", "string", "spec.clusterIP"),
        Column::of("External-IP", "string", "spec.externalIPs"),
        Column::of("Port(s)", "string", "spec.ports"),
        AGE,
        Column::of("Selector", "string", "spec.selector").wide(),
    ],
    cells: |service, now| {
        let internal = service
            .texts("spec.clusterIPs")
            .first()
            .copied()
            .unwrap_or_else(|| service.text_or("spec.clusterIP", "<none>"));
        vec![
            service.name(),
            service.text("spec.type").into(),
            internal.into(),
            external_addresses(service).into(),
            ports(service).into(),
            service.age(now),
            service.labels("spec.selector").into(),
        ]
    },
};

fn external_addresses(service: Fields<'_>) -> String {
    let own = service.texts("spec.externalIPs");
    match service.text("spec.type") {
        "ClusterIP" | "NodePort" if own.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => own.join(","),
        "LoadBalancer" => {
            let mut all: Vec<&str> = ingress_points(service).into_iter().collect();
            all.extend(own);
            match all.as_slice() {
                [] => "<pending>".to_owned(),
                all => all.join(","),
            }
        }
        "ExternalName" => service.text("spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses of a load balancer, of a Service or an Ingress.
fn ingress_points(object: Fields<'_>) -> BTreeSet<&str> {
    object
        .items("status.loadBalancer.ingress")
        .map(|point| match point.text("ip") {
            "" => point.text("hostname"),
            address => address,
        })
        .filter(|address| !address.is_empty())
        .collect()
}

fn ports(service: Fields<'_>) -> String {
    let told: Vec<String> = service
        .items("spec.ports")
        .map(|port| {
            let (number, protocol) = (port.number("port"), port.text_or("protocol", "TCP"));
            match port.number("nodePort") {
                0 => format!("{number}/{protocol}"),
                node => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    if told.is_empty() {
        "<none>".to_owned()
    } else {
        told.join(",")
    }
}

static ENDPOINTS: Printer = Printer {
    columns: &[NAME, Column::of("Endpoints", "string", "subsets"), AGE],
    cells: |object, now| {
        let mut all = Vec::new();
        for subset in object.items("subsets") {
            let addresses = || subset.items("addresses").map(|one| one.text("ip"));
            if subset.count("ports") == 0 {
                all.extend(addresses().map(str::to_owned));
            }
            for port in subset.items("ports") {
                let port = port.number("port");
                all.extend(addresses().map(|address| {
                    if address.contains(':') {
                        format!("[{address}]:{port}")
                    } else {
                        format!("{address}:{port}")
                    }
                }));
            }
        }
        // A list of subsets without a single address prints as nothing at all.
        let otherwise = if object.count("subsets") == 0 {
            "<none>"
        } else {
            ""
        };
        vec![
            object.name(),
            first_three(&all, otherwise).into(),
            object.age(now),
        ]
    },
};

static ENDPOINT_SLICES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("AddressType", "string", "addressType"),
        Column::of("Ports", "string", "ports"),
        Column::of("Endpoints", "string", "endpoints"),
        AGE,
    ],
    cells: |object, now| {
        let ports: Vec<String> = object
            .items("ports")
            .map(|port| {
                port.scalar("port")
                    .or_else(|| port.scalar("name"))
                    .unwrap_or_else(|| "*".to_owned())
            })
            .collect();
        let addresses: Vec<String> = object
            .items("endpoints")
            .flat_map(|endpoint| endpoint.texts("addresses"))
            .map(str::to_owned)
            .collect();
        vec![
            object.name(),
            object.text("addressType").into(),
            first_three(&ports, "<unset>").into(),
            first_three(&addresses, "<unset>").into(),
            object.age(now),
        ]
    },
};

static INGRESSES: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Class", "string", "The IngressClass that configures it."),
        Column::told("Hosts", "string", "The host names that its rules match."),
        Column::told("Address", "string", "Where the load balancer is reached."),
        Column::told("Ports", "string", "The ports that it opens."),
        AGE,
    ],
    cells: |object, now| {
        let addresses: Vec<&str> = ingress_points(object).into_iter().collect();
        let ports = if object.count("spec.tls") == 0 {
            "80"
        } else {
            "80, 443"
        };
        vec![
            object.name(),
            object.text_or("spec.ingressClassName", "<none>").into(),
            hosts(object).into(),
            addresses.join(",").into(),
            ports.into(),
            object.age(now),
        ]
    },
};

/// What more there is is counted in rules, also those without a host, as the real server does.
fn hosts(ingress: Fields<'_>) -> String {
    const SHOWN: usize = 3;
    let mut shown = Vec::new();
    let mut more = false;
    for rule in ingress.items("spec.rules") {
        more |= shown.len() == SHOWN;
        match rule.text("host") {
            host if !more && !host.is_empty() => shown.push(host),
            _ => {}
        }
    }
    if shown.is_empty() {
        "*".to_owned()
    } else if more {
        let others = ingress.count("spec.rules") - SHOWN;
        format!("{} + {others} more...", shown.join(","))
    } else {
        shown.join(",")
    }
}

static INGRESS_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        Column::told(
            "Controller",
            "string",
            "The controller that handles the class.",
        ),
        Column::told("Parameters", "string", "An object with more parameters."),
        AGE,
    ],
    cells: |object, now| {
        let parameters = object.at("spec.parameters");
        let told = match (parameters.text("kind"), parameters.text("apiGroup")) {
            _ if !object.present("spec.parameters") => "<none>".to_owned(),
            (kind, "") => format!("{kind}/{}", parameters.text("name")),
            (kind, group) => format!("{kind}.{group}/{}", parameters.text("name")),
        };
        vec![
            object.name(),
            object.text("spec.controller").into(),
            told.into(),
            object.age(now),
        ]
    },
};

static NETWORK_POLICIES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Pod-Selector", "string", "spec.podSelector"),
        AGE,
    ],
    cells: |object, now| {
        let selector = object.selector_or_none("spec.podSelector").into();
        vec![object.name(), selector, object.age(now)]
    },
};

static SERVICE_CIDRS: Printer = Printer {
    columns: &[NAME, Column::of("CIDRs", "string", "spec.cidrs"), AGE],
    cells: |object, now| {
        let ranges: Json = object.texts("spec.cidrs").join(",").into();
        vec![object.name(), ranges, object.age(now)]
    },
};

static ADDRESSES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("ParentRef", "string", "spec.parentRef"),
        AGE,
    ],
    cells: |object, now| {
        let parent = object.at("spec.parentRef");
        let mut told = parent.text_or("resource", "<none>").to_owned();
        for (mark, field) in [('.', "group"), ('/', "namespace"), ('/', "name")] {
            let text = parent.text(field);
            if !text.is_empty() {
                told.push(mark);
                told.push_str(text);
            }
        }
        vec![object.name(), told.into(), object.age(now)]
    },
};
