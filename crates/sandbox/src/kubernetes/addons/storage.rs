//! Volumes on EBS and their snapshots.

use serde_json::{Value as Json, json};

use super::Plan;
use super::settings::{budget, everything, on_our_nodes, rather_apart, with};

const CONTROLLER: &str = "ebs-csi-controller";
const NODE: &str = "ebs-csi-node";

/// The sidecars and the tags that came with the driver's v1.48; each has a number of its own.
const CONTROLLER_SIDECARS: [(&str, &str, &str); 5] = [
    (
        "csi-provisioner",
        "eks/csi-provisioner",
        "v5.3.0-eks-1-34-3",
    ),
    ("csi-attacher", "eks/csi-attacher", "v4.9.0-eks-1-34-3"),
    (
        "csi-snapshotter",
        "eks/csi-snapshotter",
        "v8.3.0-eks-1-34-3",
    ),
    ("csi-resizer", "eks/csi-resizer", "v1.14.0-eks-1-34-3"),
    ("liveness-probe", "eks/livenessprobe", "v2.16.0-eks-1-34-3"),
];
const NODE_SIDECARS: [(&str, &str, &str); 2] = [
    (
        "node-driver-registrar",
        "eks/csi-node-driver-registrar",
        "v2.14.0-eks-1-34-3",
    ),
    ("liveness-probe", "eks/livenessprobe", "v2.16.0-eks-1-34-3"),
];

fn containers(
    plan: &Plan<'_>,
    mode: &str,
    arguments: &[String],
    sidecars: &[(&str, &str, &str)],
) -> Vec<Json> {
    let amounts =
        json!({"requests": {"cpu": "10m", "memory": "40Mi"}, "limits": {"memory": "256Mi"}});
    let driver = plan.version.split("-eksbuild").next().unwrap_or_default();
    let mut args = vec![mode.to_owned(), "--endpoint=$(CSI_ENDPOINT)".to_owned()];
    args.extend(arguments.iter().cloned());
    args.push("--logging-format=text".to_owned());
    args.push("--v=2".to_owned());
    let probe = json!({
        "httpGet": {"path": "/healthz", "port": "healthz"},
        "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 5,
    });
    let mut first = json!({
        "name": "ebs-plugin",
        "image": plan.image("eks/aws-ebs-csi-driver", driver),
        "args": args,
        "env": [
            {"name": "CSI_ENDPOINT", "value": "unix:/csi/csi.sock"},
            {"name": "CSI_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "AWS_REGION", "value": plan.cluster.region},
        ],
        "ports": [{"name": "healthz", "containerPort": if mode == "controller" { 9808 } else { 9809 }, "protocol": "TCP"}],
        "livenessProbe": probe,
        "resources": amounts,
    });
    if mode == "controller" {
        first["readinessProbe"] = probe;
    }
    let others = sidecars.iter().map(|(name, repository, tag)| {
        json!({"name": name, "image": plan.image(repository, tag), "resources": amounts})
    });
    [first].into_iter().chain(others).collect()
}

pub(super) fn ebs_csi(plan: &Plan<'_>) -> Vec<Json> {
    let labels = json!({"app.kubernetes.io/name": "aws-ebs-csi-driver"});
    let own = with(
        &labels,
        json!({
            "app.kubernetes.io/component": "csi-driver",
            "app.kubernetes.io/managed-by": "EKS",
            "app.kubernetes.io/version": plan.version.split("-eksbuild").next().unwrap_or_default().trim_start_matches('v'),
        }),
    );
    let mut all = vec![
        plan.service_account("kube-system", "ebs-csi-controller-sa", &own, true),
        plan.service_account("kube-system", "ebs-csi-node-sa", &own, false),
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver",
            "metadata": {"name": "ebs.csi.aws.com", "labels": own},
            "spec": {"attachRequired": true, "podInfoOnMount": false, "fsGroupPolicy": "ReadWriteOnceWithFSType"},
        }),
    ];
    if plan.settings.at("/defaultStorageClass/enabled") == Some(&json!(true)) {
        all.push(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {
                "name": "ebs-csi-default-sc", "labels": own,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
        }));
    }
    let selector = with(&labels, json!({"app": CONTROLLER}));
    all.push(budget("kube-system", CONTROLLER, &own, &selector));
    all.push(node(plan, &labels, &own, "linux"));
    all.push(node(plan, &labels, &own, "windows"));
    all.push(controller(plan, &selector, &own));
    all
}

fn node(plan: &Plan<'_>, labels: &Json, own: &Json, system: &str) -> Json {
    let name = if system == "linux" {
        NODE.to_owned()
    } else {
        format!("{NODE}-{system}")
    };
    let selector = with(labels, json!({"app": name}));
    let mut daemons = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "labels": own},
        "spec": {
            "selector": {"matchLabels": selector},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": selector},
                "spec": {
                    "serviceAccountName": "ebs-csi-node-sa",
                    "priorityClassName": "system-node-critical",
                    "terminationGracePeriodSeconds": 30,
                    "nodeSelector": {"kubernetes.io/os": system},
                    "tolerations": everything(),
                    "containers": containers(plan, "node", &[], &NODE_SIDECARS),
                },
            },
        },
    });
    if system == "linux" {
        daemons["spec"]["template"]["spec"]["affinity"] = on_our_nodes();
    }
    plan.settings.part("node").set(&mut daemons);
    daemons
}

fn controller(plan: &Plan<'_>, selector: &Json, own: &Json) -> Json {
    let settings = plan.settings.part("controller");
    let mut arguments = vec![format!("--k8s-tag-cluster-id={}", plan.cluster.cluster)];
    if let Some(Json::Object(tags)) = settings.at("/extraVolumeTags") {
        let tags: Vec<String> = tags
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        arguments.push(format!("--extra-tags={}", tags.join(",")));
    }
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "namespace": "kube-system", "labels": own},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": selector},
                "spec": {
                    "serviceAccountName": "ebs-csi-controller-sa",
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 300},
                    ],
                    "affinity": {"podAntiAffinity": rather_apart(selector)},
                    "containers": containers(plan, "controller", &arguments, &CONTROLLER_SIDECARS),
                },
            },
        },
    });
    settings.set(&mut deployment);
    deployment
}

pub(super) fn snapshot_controller(plan: &Plan<'_>) -> Vec<Json> {
    let name = "snapshot-controller";
    let labels = json!({"app.kubernetes.io/name": name});
    let own = with(&labels, json!({"app.kubernetes.io/managed-by": "EKS"}));
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
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 300},
                    ],
                    "affinity": {"podAntiAffinity": rather_apart(&labels)},
                    "containers": [{
                        "name": name,
                        "image": plan.image("eks/snapshot-controller", plan.version),
                        "args": ["--v=2", "--leader-election=true"],
                        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
                    }],
                },
            },
        },
    });
    plan.settings.set(&mut deployment);
    let mut all = vec![
        snapshot_kind("VolumeSnapshotClass", "vsclass", "Cluster"),
        snapshot_kind("VolumeSnapshotContent", "vsc", "Cluster"),
        snapshot_kind("VolumeSnapshot", "vs", "Namespaced"),
    ];
    all.extend([
        plan.service_account("kube-system", name, &own, false),
        budget("kube-system", name, &own, &labels),
        deployment,
    ]);
    all
}

/// A kind of `snapshot.storage.k8s.io/v1`. Its fields are not checked here, and nothing makes snapshots.
fn snapshot_kind(kind: &str, short: &str, scope: &str) -> Json {
    let singular = kind.to_ascii_lowercase();
    let plural = if singular.ends_with('s') {
        format!("{singular}es")
    } else {
        format!("{singular}s")
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.snapshot.storage.k8s.io"),
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-csi/external-snapshotter/pull/814"},
        },
        "spec": {
            "group": "snapshot.storage.k8s.io", "scope": scope,
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular,
                "shortNames": [short, format!("{short}{}", if short.ends_with('s') { "es" } else { "s" })],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                "subresources": if kind == "VolumeSnapshotClass" { json!({}) } else { json!({"status": {}}) },
            }],
        },
    })
}
