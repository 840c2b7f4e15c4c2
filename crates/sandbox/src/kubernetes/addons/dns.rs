//! The cluster's DNS.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Value as Json, json};

use super::Plan;
use super::settings::{budget, over_zones, rather_apart, with};

const COREFILE: &str = "\
.:53 {
    errors
    health {
        lameduck 5s
      }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
";

/// The tenth address of the cluster's Services, which every kubelet tells its pods.
fn address(service_cidr: &str) -> Option<Ipv4Addr> {
    let cidr: Ipv4Net = service_cidr.parse().ok()?;
    Some(Ipv4Addr::from(u32::from(cidr.network()).checked_add(10)?))
}

pub(super) fn coredns(plan: &Plan<'_>) -> Vec<Json> {
    let selector = json!({"eks.amazonaws.com/component": "coredns", "k8s-app": "kube-dns"});
    let own = with(&selector, json!({"kubernetes.io/name": "CoreDNS"}));
    let apart = json!({"k8s-app": "kube-dns"});
    let http = |path, port| json!({"httpGet": {"path": path, "port": port, "scheme": "HTTP"}});
    let mut liveness = http("/health", 8080);
    liveness["initialDelaySeconds"] = json!(60);
    liveness["timeoutSeconds"] = json!(5);
    liveness["failureThreshold"] = json!(5);
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": own},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": "25%"}},
            "template": {
                "metadata": {"labels": selector},
                "spec": {
                    "serviceAccountName": "coredns",
                    "priorityClassName": "system-cluster-critical",
                    "dnsPolicy": "Default",
                    "tolerations": [
                        {"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"},
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                    ],
                    "affinity": {
                        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
                            {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
                            {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
                        ]}]}},
                        "podAntiAffinity": rather_apart(&apart),
                    },
                    "topologySpreadConstraints": over_zones(&apart),
                    "containers": [{
                        "name": "coredns",
                        "image": plan.image("eks/coredns", plan.version),
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "ports": [
                            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
                        ],
                        "livenessProbe": liveness,
                        "readinessProbe": http("/ready", 8181),
                        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": "170Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true}],
                    }],
                    "volumes": [{"name": "config-volume", "configMap": {
                        "name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}],
                    }}],
                },
            },
        },
    });
    plan.settings.set(&mut deployment);
    let corefile = plan
        .settings
        .at("/corefile")
        .and_then(Json::as_str)
        .unwrap_or(COREFILE);
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns", "namespace": "kube-system",
            "labels": {
                "eks.amazonaws.com/component": "kube-dns", "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            },
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
        },
        "spec": {
            "selector": {"k8s-app": "kube-dns"},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
            ],
        },
    });
    if let Some(address) = address(&plan.cluster.service_cidr) {
        service["spec"]["clusterIP"] = json!(address);
    }
    vec![
        plan.service_account("kube-system", "coredns", &own, false),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "coredns", "namespace": "kube-system", "labels": selector},
            "data": {"Corefile": corefile},
        }),
        service,
        budget("kube-system", "coredns", &own, &selector),
        deployment,
    ]
}
