//! What measures: metrics-server, and Container Insights.

use serde_json::{Value as Json, json};

use super::Plan;
use super::settings::{budget, everything, on_our_nodes, over_zones, rather_apart, with};

pub(super) fn metrics_server(plan: &Plan<'_>) -> Vec<Json> {
    let name = "metrics-server";
    let labels = json!({"app.kubernetes.io/instance": name, "app.kubernetes.io/name": name});
    let own = with(
        &labels,
        json!({
            "app.kubernetes.io/managed-by": "EKS",
            "app.kubernetes.io/version": plan.version.split("-eksbuild").next().unwrap_or_default().trim_start_matches('v'),
        }),
    );
    let probe = |path, delay| json!({"httpGet": {"path": path, "port": "https", "scheme": "HTTPS"}, "initialDelaySeconds": delay, "periodSeconds": 10});
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kube-system", "labels": own},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": name,
                    "priorityClassName": "system-cluster-critical",
                    "affinity": {"podAntiAffinity": rather_apart(&labels)},
                    "topologySpreadConstraints": over_zones(&labels),
                    "containers": [{
                        "name": name,
                        "image": plan.image("eks/metrics-server", plan.version),
                        "args": [
                            "--secure-port=10251",
                            "--cert-dir=/tmp",
                            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
                            "--kubelet-use-node-status-port",
                            "--metric-resolution=15s",
                        ],
                        "ports": [{"name": "https", "containerPort": 10251, "protocol": "TCP"}],
                        "livenessProbe": probe("/livez", 0),
                        "readinessProbe": probe("/readyz", 20),
                        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"memory": "400Mi"}},
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    });
    plan.settings.set(&mut deployment);
    vec![
        plan.service_account("kube-system", name, &own, false),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "kube-system", "labels": own},
            "spec": {
                "selector": labels,
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https", "appProtocol": "https"}],
            },
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io", "labels": own},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1",
                "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
                "service": {"name": name, "namespace": "kube-system", "port": 443},
            },
        }),
        budget("kube-system", name, &own, &labels),
        deployment,
    ]
}

const NAMESPACE: &str = "amazon-cloudwatch";
const OPERATOR: &str = "amazon-cloudwatch-observability-controller-manager";

pub(super) fn cloudwatch(plan: &Plan<'_>) -> Vec<Json> {
    let labels = json!({"app.kubernetes.io/name": "amazon-cloudwatch-observability"});
    let own = with(
        &labels,
        json!({"app.kubernetes.io/managed-by": "amazon-cloudwatch-agent-operator"}),
    );
    let agent = "cloudwatch-agent";
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        plan.service_account(NAMESPACE, agent, &own, true),
        plan.service_account(NAMESPACE, OPERATOR, &own, false),
        operator(plan, &labels),
        daemons(
            plan,
            (
                agent,
                json!({"app.kubernetes.io/name": agent, "app.kubernetes.io/component": "amazon-cloudwatch-agent"}),
            ),
            json!({
                "name": "otc-container",
                "image": plan.image("eks/observability/cloudwatch-agent", "1.300059.0b1207"),
                "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}},
            }),
        ),
        daemons(
            plan,
            ("fluent-bit", json!({"k8s-app": "fluent-bit"})),
            json!({
                "name": "fluent-bit",
                "image": plan.image("eks/observability/aws-for-fluent-bit", "2.32.5.20250327"),
                "resources": {"requests": {"cpu": "50m", "memory": "25Mi"}, "limits": {"cpu": "500m", "memory": "250Mi"}},
            }),
        ),
    ]
}

fn operator(plan: &Plan<'_>, labels: &Json) -> Json {
    let labels = with(labels, json!({"control-plane": "controller-manager"}));
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "containers": [{
                        "name": "manager",
                        "image": plan.image("eks/observability/cloudwatch-agent-operator", "3.1.0"),
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                    }],
                },
            },
        },
    });
    place(plan, &mut deployment);
    deployment
}

fn daemons(plan: &Plan<'_>, (name, labels): (&str, Json), container: Json) -> Json {
    let mut daemons = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "cloudwatch-agent",
                    "hostNetwork": true,
                    "dnsPolicy": "ClusterFirstWithHostNet",
                    "priorityClassName": "system-node-critical",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "affinity": on_our_nodes(),
                    "tolerations": everything(),
                    "containers": [container],
                },
            },
        },
    });
    place(plan, &mut daemons);
    daemons
}

/// Of this add-on's settings all pods take where they may run; the rest is the agent's own.
fn place(plan: &Plan<'_>, workload: &mut Json) {
    if let Some(tolerations) = plan.settings.at("/tolerations") {
        workload["spec"]["template"]["spec"]["tolerations"] = tolerations.clone();
    }
}
