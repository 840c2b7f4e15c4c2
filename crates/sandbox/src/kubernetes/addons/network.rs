//! The add-ons of every node: the pod network, Service addresses, and credentials for pods.

use serde_json::{Value as Json, json};

use super::Plan;
use super::settings::{everything, on_our_nodes, with};

/// The VPC CNI's defaults (`amazon-vpc-cni-k8s`, `config/master/aws-k8s-cni.yaml`, as of August 2026), without those that only
/// the plugin itself reads.
const CNI_ENVIRONMENT: [(&str, &str); 17] = [
    ("ADDITIONAL_ENI_TAGS", "{}"),
    ("AWS_VPC_CNI_NODE_PORT_SUPPORT", "true"),
    ("AWS_VPC_ENI_MTU", "9001"),
    ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "false"),
    ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "false"),
    ("AWS_VPC_K8S_CNI_LOGLEVEL", "DEBUG"),
    ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "prng"),
    ("AWS_VPC_K8S_CNI_VETHPREFIX", "eni"),
    ("DISABLE_TCP_EARLY_DEMUX", "false"),
    ("ENABLE_IPv4", "true"),
    ("ENABLE_IPv6", "false"),
    ("ENABLE_POD_ENI", "false"),
    ("ENABLE_PREFIX_DELEGATION", "false"),
    ("ENABLE_SUBNET_DISCOVERY", "true"),
    ("NETWORK_POLICY_ENFORCING_MODE", "standard"),
    ("WARM_ENI_TARGET", "1"),
    ("WARM_PREFIX_TARGET", "1"),
];

pub(super) fn vpc_cni(plan: &Plan<'_>) -> Vec<Json> {
    let labels = json!({
        "app.kubernetes.io/name": "aws-node",
        "app.kubernetes.io/instance": "aws-vpc-cni",
        "k8s-app": "aws-node",
    });
    let selector = json!({"k8s-app": "aws-node"});
    let own = with(
        &labels,
        json!({
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/version": plan.version.split("-eksbuild").next(),
        }),
    );
    let mut environment = plan.settings.environment(&CNI_ENVIRONMENT);
    environment.push(json!({"name": "CLUSTER_NAME", "value": plan.cluster.cluster}));
    environment.push(node_name("MY_NODE_NAME"));
    let probe = json!([
        "/app/grpc-health-probe",
        "-addr=:50051",
        "-connect-timeout=5s",
        "-rpc-timeout=5s"
    ]);
    let small = json!({"requests": {"cpu": "25m"}});
    let mut daemons = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "aws-node", "namespace": "kube-system", "labels": own},
        "spec": {
            "selector": {"matchLabels": selector},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "aws-node",
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "terminationGracePeriodSeconds": 10,
                    "tolerations": everything(),
                    "affinity": on_our_nodes(),
                    "initContainers": [{
                        "name": "aws-vpc-cni-init",
                        "image": plan.image("amazon-k8s-cni-init", plan.version),
                        "env": [
                            {"name": "DISABLE_TCP_EARLY_DEMUX", "value": "false"},
                            {"name": "ENABLE_IPv6", "value": "false"},
                        ],
                        "resources": small,
                        "securityContext": {"privileged": true},
                    }],
                    "containers": [
                        {
                            "name": "aws-node",
                            "image": plan.image("amazon-k8s-cni", plan.version),
                            "ports": [{"name": "metrics", "containerPort": 61678, "protocol": "TCP"}],
                            "env": environment,
                            "livenessProbe": {"exec": {"command": probe}, "initialDelaySeconds": 60, "timeoutSeconds": 10},
                            "readinessProbe": {"exec": {"command": probe}, "initialDelaySeconds": 1, "timeoutSeconds": 10},
                            "resources": small,
                            "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
                        },
                        {
                            "name": "aws-eks-nodeagent",
                            // Of a number of its own, which goes with the CNI's: this one with v1.20.
                            "image": plan.image("amazon/aws-network-policy-agent", "v1.2.6-eksbuild.1"),
                            "args": [
                                "--enable-ipv6=false",
                                format!("--enable-network-policy={}", plan.settings.at("/enableNetworkPolicy").is_some_and(says_yes)),
                                "--metrics-bind-addr=:8162",
                                "--health-probe-bind-addr=:8163",
                            ],
                            "env": [node_name("MY_NODE_NAME")],
                            "resources": small,
                            "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}, "privileged": true},
                        },
                    ],
                },
            },
        },
    });
    plan.settings.set(&mut daemons);
    let configuration = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "amazon-vpc-cni", "namespace": "kube-system", "labels": own},
        "data": {
            "branch-eni-cooldown": "60",
            "enable-network-policy-controller": plan.settings.at("/enableNetworkPolicy").is_some_and(says_yes).to_string(),
            "enable-windows-ipam": "false",
            "enable-windows-prefix-delegation": "false",
            "minimum-ip-target": "3",
            "warm-ip-target": "1",
            "warm-prefix-target": "0",
        },
    });
    let account = plan.service_account("kube-system", "aws-node", &own, true);
    vec![account, configuration, daemons]
}

/// The schema takes a boolean and its text.
fn says_yes(value: &Json) -> bool {
    value == true || value == "true"
}

fn node_name(variable: &str) -> Json {
    json!({"name": variable, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}})
}

pub(super) fn kube_proxy(plan: &Plan<'_>) -> Vec<Json> {
    let own = json!({"eks.amazonaws.com/component": "kube-proxy", "k8s-app": "kube-proxy"});
    let labels = json!({"k8s-app": "kube-proxy"});
    // EKS builds it on its minimal image since 1.24, and says so in the tag.
    let tag = plan.version.replacen("-eksbuild", "-minimal-eksbuild", 1);
    let mut daemons = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": own},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "kube-proxy",
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "tolerations": everything(),
                    "affinity": on_our_nodes(),
                    "containers": [{
                        "name": "kube-proxy",
                        "image": plan.image("eks/kube-proxy", &tag),
                        "command": ["kube-proxy", "--v=2", "--config=/var/lib/kube-proxy-config/config", "--hostname-override=$(NODE_NAME)"],
                        "env": [node_name("NODE_NAME")],
                        "resources": {"requests": {"cpu": "100m"}},
                        "securityContext": {"privileged": true},
                    }],
                },
            },
        },
    });
    plan.settings.set(&mut daemons);
    let mode = plan
        .settings
        .at("/mode")
        .and_then(Json::as_str)
        .unwrap_or("iptables");
    let configuration = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kube-proxy-config", "namespace": "kube-system", "labels": own},
        "data": {"config": format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: \"{mode}\"\nhealthzBindAddress: 0.0.0.0:10256\nmetricsBindAddress: 0.0.0.0:10249\n"
        )},
    });
    let account = plan.service_account("kube-system", "kube-proxy", &own, false);
    vec![account, configuration, daemons]
}

pub(super) fn pod_identity_agent(plan: &Plan<'_>) -> Vec<Json> {
    let name = "eks-pod-identity-agent";
    let labels = json!({"app.kubernetes.io/instance": name, "app.kubernetes.io/name": name});
    let own = with(&labels, json!({"app.kubernetes.io/managed-by": "Helm"}));
    // Of a number of its own.
    let image = plan.image("eks/eks-pod-identity-agent", "v0.1.33");
    let probe = |path| json!({"httpGet": {"host": "localhost", "path": path, "port": "probes-port", "scheme": "HTTP"}, "timeoutSeconds": 10});
    let mut daemons = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "labels": own},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "terminationGracePeriodSeconds": 30,
                    "tolerations": everything(),
                    "affinity": on_our_nodes(),
                    "initContainers": [{
                        "name": "eks-pod-identity-agent-init",
                        "image": image,
                        "command": ["/go-runner", "/eks-pod-identity-agent", "initialize"],
                        "securityContext": {"privileged": true},
                    }],
                    "containers": [{
                        "name": name,
                        "image": image,
                        "command": ["/go-runner", "/eks-pod-identity-agent", "server"],
                        "args": ["--port", "80", "--cluster-name", plan.cluster.cluster, "--probe-port", "2703"],
                        "ports": [
                            {"name": "proxy", "containerPort": 80, "protocol": "TCP"},
                            {"name": "probes-port", "containerPort": 2703, "protocol": "TCP"},
                        ],
                        "env": [{"name": "AWS_REGION", "value": plan.cluster.region}],
                        "livenessProbe": probe("/healthz"),
                        "readinessProbe": probe("/readyz"),
                        "securityContext": {"capabilities": {"add": ["CAP_NET_BIND_SERVICE"]}},
                    }],
                },
            },
        },
    });
    plan.settings.set(&mut daemons);
    vec![daemons]
}
