use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::storage::v1::CSINode;
use serde_json::json;

use super::*;
use crate::Pace;
use crate::cloud::Origin;
use crate::cluster::Options;
use crate::cluster::aws::{change, cluster, instance, launch, pod, run_for, settle};
use crate::testing::{Cluster, show};

fn node(cluster: &Cluster) -> Node {
    let mut nodes = cluster.list::<Node>("");
    assert_eq!(nodes.len(), 1);
    nodes.pop().unwrap()
}

fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready.status == "True")
}

fn keys(node: &Node) -> Vec<String> {
    let taints = node
        .spec
        .as_ref()
        .unwrap()
        .taints
        .clone()
        .unwrap_or_default();
    taints
        .into_iter()
        .map(|taint| format!("{}:{}", taint.key, taint.effect))
        .collect()
}

#[test]
fn a_machine_joins_and_gets_ready_in_its_time() {
    let mut cluster = cluster(Options::default());
    launch(&mut cluster, 1, "m5.large");
    let mut waited = 0;
    while cluster.list::<Node>("").is_empty() {
        run_for(&mut cluster, 1);
        waited += 1;
    }
    assert!((30..=51).contains(&waited), "{waited}");
    let joined = node(&cluster);
    assert!(!is_ready(&joined));
    assert_eq!(keys(&joined), ["node.kubernetes.io/not-ready:NoSchedule"]);
    run_for(&mut cluster, 12);
    let ready = node(&cluster);
    assert!(is_ready(&ready));
    assert!(keys(&ready).is_empty());
    assert_eq!(instance_id(&ready), Some("i-00000000000000000"));
    for (label, value) in [
        (
            "kubernetes.io/hostname",
            "ip-10-0-0-10.eu-west-1.compute.internal",
        ),
        ("node.kubernetes.io/instance-type", "m5.large"),
        ("topology.kubernetes.io/zone", "eu-west-1a"),
        ("topology.kubernetes.io/region", "eu-west-1"),
        ("topology.k8s.aws/zone-id", "euw1-az-a"),
        ("eks.amazonaws.com/nodegroup", "main"),
        ("eks.amazonaws.com/capacityType", "ON_DEMAND"),
        ("kubernetes.io/arch", "amd64"),
        ("team", "shop"),
    ] {
        assert_eq!(ready.label(label), Some(value), "{label}");
    }
    let status = ready.status.as_ref().unwrap();
    let allocatable = status.allocatable.as_ref().unwrap();
    assert_eq!(
        (
            allocatable["cpu"].0.as_str(),
            allocatable["pods"].0.as_str()
        ),
        ("1930m", "29")
    );
    assert_eq!(
        status.node_info.as_ref().unwrap().kubelet_version,
        Options::default().kubelet_version
    );
    let csi = cluster.get::<CSINode>("", ready.name());
    assert_eq!(
        csi.spec.drivers[0].allocatable.as_ref().unwrap().count,
        Some(26)
    );
    let lease = |cluster: &Cluster| {
        let lease = cluster.get::<Lease>("kube-node-lease", ready.name());
        lease.spec.unwrap().renew_time
    };
    let first = lease(&cluster);
    run_for(&mut cluster, 310);
    assert!(lease(&cluster) > first, "renewed, if seldom");
    assert_eq!(
        cluster
            .told(&format!("Node/{}", ready.name()), "NodeReady")
            .len(),
        1
    );
}

#[test]
fn karpenters_nodes_are_as_it_wants_them() {
    let mut cluster = cluster(Options::default());
    cluster.pace = Pace::Immediate;
    let mut made = instance(&cluster, 0, "c7g.xlarge");
    made.origin = Origin::NodeClaim("general-abcde".to_owned());
    made.spot = true;
    change(&mut cluster, |cloud| {
        cloud.instances.insert(made.id.clone(), made);
    });
    settle(&mut cluster);
    assert!(cluster.list::<Node>("").is_empty(), "nobody wants it");
    cluster.create(json!({"apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
        "spec": {"kubelet": {"maxPods": 20}, "amiSelectorTerms": [{"alias": "bottlerocket@latest"}], "subnetSelectorTerms": [], "securityGroupSelectorTerms": []}}));
    cluster.create(json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "general-abcde", "labels": {"karpenter.sh/nodepool": "general", "tier": "web"}},
        "spec": {"taints": [{"key": "web", "value": "yes", "effect": "NoSchedule"}], "startupTaints": [{"key": "wait", "effect": "NoExecute"}],
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}}));
    settle(&mut cluster);
    let node = node(&cluster);
    assert_eq!(
        keys(&node),
        [
            "karpenter.sh/unregistered:NoExecute",
            "web:NoSchedule",
            "wait:NoExecute"
        ]
    );
    for (label, value) in [
        ("karpenter.sh/nodepool", "general"),
        ("tier", "web"),
        ("karpenter.sh/capacity-type", "spot"),
        ("karpenter.k8s.aws/ec2nodeclass", "default"),
        ("karpenter.k8s.aws/instance-family", "c7g"),
        ("kubernetes.io/arch", "arm64"),
    ] {
        assert_eq!(node.label(label), Some(value), "{label}");
    }
    assert_eq!(node.label("eks.amazonaws.com/nodegroup"), None);
    let status = node.status.unwrap();
    assert_eq!(status.capacity.unwrap()["pods"].0, "20");
    assert!(
        status
            .node_info
            .unwrap()
            .os_image
            .starts_with("Bottlerocket")
    );
}

#[test]
fn a_node_that_is_not_heard_of_loses_its_pods_and_goes() {
    let mut cluster = cluster(Options::default());
    launch(&mut cluster, 1, "m5.large");
    run_for(&mut cluster, 70);
    let seconds = |seconds: i64| json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]);
    cluster.create(pod("short", json!({"spec": {"tolerations": seconds(10)}})));
    cluster.create(pod(
        "ever",
        json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
    ));
    cluster.create(pod("none", json!({})));
    run_for(&mut cluster, 20);
    change(&mut cluster, |cloud| {
        for instance in cloud.instances.values_mut() {
            instance.state = crate::cloud::InstanceState::ShuttingDown;
        }
    });
    run_for(&mut cluster, 45);
    assert!(is_ready(&node(&cluster)), "not noticed yet");
    run_for(&mut cluster, 8);
    let silent = node(&cluster);
    assert_eq!(condition(&silent, "Ready").unwrap().status, "Unknown");
    assert_eq!(
        keys(&silent),
        [
            "node.kubernetes.io/unreachable:NoSchedule",
            "node.kubernetes.io/unreachable:NoExecute"
        ]
    );
    let going = |cluster: &Cluster, name: &str| cluster.get::<Pod>("shop", name).is_deleting();
    assert!(going(&cluster, "none") && !going(&cluster, "short"));
    run_for(&mut cluster, 10);
    assert!(going(&cluster, "short") && !going(&cluster, "ever"));
    assert_eq!(cluster.told("Pod/short", "TaintManagerEviction").len(), 1);
    // Terminated: the node goes, and what was on it.
    change(&mut cluster, |cloud| cloud.instances.clear());
    run_for(&mut cluster, 50);
    assert!(cluster.list::<Node>("").is_empty());
    assert!(cluster.list::<Pod>("shop").is_empty());
    assert!(
        cluster
            .find::<Lease>("kube-node-lease", "ip-10-0-0-10.eu-west-1.compute.internal")
            .is_none(),
        "it went with its node"
    );
}

#[test]
fn a_machine_that_comes_back_is_forgiven() {
    let mut cluster = cluster(Options::default());
    launch(&mut cluster, 1, "m5.large");
    run_for(&mut cluster, 70);
    let set = |cluster: &mut Cluster, state| {
        change(cluster, |cloud| {
            for instance in cloud.instances.values_mut() {
                instance.state = state;
            }
        });
    };
    set(&mut cluster, crate::cloud::InstanceState::ShuttingDown);
    run_for(&mut cluster, 60);
    assert!(!is_ready(&node(&cluster)));
    set(&mut cluster, crate::cloud::InstanceState::Running);
    run_for(&mut cluster, 5);
    let back = node(&cluster);
    assert!(is_ready(&back) && keys(&back).is_empty());
}

#[test]
fn a_node_is_ready_once_its_network_is() {
    let mut cluster = cluster(Options {
        network: Network::WhenInstalled,
        ..Options::default()
    });
    launch(&mut cluster, 1, "m5.large");
    run_for(&mut cluster, 120);
    let waiting = node(&cluster);
    assert!(!is_ready(&waiting));
    assert_eq!(keys(&waiting), ["node.kubernetes.io/not-ready:NoSchedule"]);
    let spec = json!({
        "metadata": {"labels": {"k8s-app": "aws-node"}},
        "spec": {"hostNetwork": true, "nodeName": waiting.name(), "tolerations": [{"operator": "Exists"}]},
    });
    cluster.create(pod("aws-node", spec));
    run_for(&mut cluster, 60);
    let ready = node(&cluster);
    assert!(is_ready(&ready));
    assert!(keys(&ready).is_empty());
    // Its pod goes: what it has set up stays.
    cluster.delete::<Pod>("shop", "aws-node");
    run_for(&mut cluster, 120);
    assert!(cluster.find::<Pod>("shop", "aws-node").is_none());
    assert!(is_ready(&node(&cluster)));
}

#[test]
fn what_is_tolerated_for_a_while_runs_out() {
    let mut cluster = cluster(Options::default());
    launch(&mut cluster, 1, "m5.large");
    run_for(&mut cluster, 70);
    let name = node(&cluster).name().to_owned();
    let taint = |cluster: &mut Cluster, taints: Json| {
        cluster.patch::<Node>("", &name, &json!({"spec": {"taints": taints}}));
    };
    let minute = json!({"spec": {"tolerations": [{"key": "work", "operator": "Exists", "tolerationSeconds": 60}]}});
    // As kubectl writes it, without a time.
    let undated = json!([{"key": "work", "effect": "NoExecute"}]);
    let going = |cluster: &Cluster, name: &str| {
        let pod = cluster.find::<Pod>("shop", name);
        pod.is_none_or(|pod| pod.is_deleting())
    };
    cluster.create(pod("first", minute.clone()));
    run_for(&mut cluster, 5);
    taint(&mut cluster, undated.clone());
    run_for(&mut cluster, 50);
    // Another taint comes: that of before is as old as it was.
    taint(
        &mut cluster,
        json!([{"key": "work", "effect": "NoExecute"}, {"key": "web", "effect": "NoSchedule"}]),
    );
    run_for(&mut cluster, 8);
    assert!(!going(&cluster, "first"));
    run_for(&mut cluster, 4);
    assert!(going(&cluster, "first"));
    // It went, and came again: as new.
    taint(&mut cluster, Json::Null);
    cluster.create(pod("second", minute.clone()));
    run_for(&mut cluster, 20);
    taint(&mut cluster, undated);
    run_for(&mut cluster, 55);
    assert!(!going(&cluster, "second"));
    run_for(&mut cluster, 10);
    assert!(going(&cluster, "second"));
    // A taint may be older than what comes.
    let old = seconds(cluster.now - SignedDuration::from_secs(600));
    taint(
        &mut cluster,
        json!([{"key": "work", "effect": "NoExecute", "timeAdded": old}]),
    );
    cluster.create(pod("third", minute));
    run_for(&mut cluster, 50);
    assert!(!going(&cluster, "third"));
    run_for(&mut cluster, 15);
    assert!(going(&cluster, "third"));
}

#[test]
fn a_machine_finds_a_node_of_its_name() {
    let mut cluster = cluster(Options::default());
    cluster.pace = Pace::Immediate;
    let mut made = instance(&cluster, 0, "m5.large");
    made.state = InstanceState::Pending;
    let name = made.private_dns_name.clone();
    change(&mut cluster, |cloud| {
        cloud.instances.insert(made.id.clone(), made);
    });
    cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    settle(&mut cluster);
    assert!(node(&cluster).status.is_none(), "it does not run yet");
    change(&mut cluster, |cloud| {
        for instance in cloud.instances.values_mut() {
            instance.state = InstanceState::Running;
        }
    });
    settle(&mut cluster);
    assert!(is_ready(&node(&cluster)));
    // It goes: now the machine makes its own.
    assert_eq!(instance_id(&node(&cluster)), None);
    cluster.delete::<Node>("", &name);
    settle(&mut cluster);
    assert_eq!(instance_id(&node(&cluster)), Some("i-00000000000000000"));
}

#[test]
fn a_node_that_is_missing_again_is_waited_for_again() {
    let mut cluster = cluster(Options::default());
    let on = json!({"spec": {"nodeName": "n"}});
    let there = |cluster: &Cluster| cluster.find::<Pod>("shop", "web").is_some();
    for _ in 0..2 {
        cluster.create(pod("web", on.clone()));
        run_for(&mut cluster, 30);
        assert!(there(&cluster));
        run_for(&mut cluster, 20);
        assert!(!there(&cluster));
    }
    // It comes back in time, and goes.
    cluster.create(pod("web", on));
    run_for(&mut cluster, 30);
    cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}));
    run_for(&mut cluster, 20);
    cluster.delete::<Node>("", "n");
    run_for(&mut cluster, 30);
    assert!(there(&cluster));
    run_for(&mut cluster, 20);
    assert!(!there(&cluster));
}

#[test]
fn what_was_told_of_a_node_is_forgotten_with_it() {
    let options = Options::default();
    let mut nodes = Nodes::new(
        options.kubelet_version,
        options.ebs_driver,
        options.network,
        options.heartbeat,
    );
    let mut view = View::default();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "u"},
        "spec": {"providerID": "aws:///eu-west-1a/i-0abc"}});
    show(&mut nodes, &mut view, &node, true);
    assert_eq!(nodes.told.len(), 1, "that its machine is gone");
    show(&mut nodes, &mut view, &node, false);
    assert!(nodes.told.is_empty());
}
