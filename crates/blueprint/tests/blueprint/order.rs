//! What comes before what, and what waits for nothing that it does not need.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use graph::Graph;
use serde_json::json;

use crate::fixtures::{all, everything, platform};
use crate::render::{address, environment};

/// All that a resource waits for, directly or not.
fn ancestors(graph: &Graph) -> BTreeMap<Address, BTreeSet<Address>> {
    let mut ancestors: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for resource in graph.ordered() {
        let needs: Vec<Address> = graph.needs(&resource.address).cloned().collect();
        let further = needs
            .iter()
            .flat_map(|need| ancestors[need].clone())
            .collect::<BTreeSet<_>>();
        ancestors.insert(
            resource.address.clone(),
            needs.into_iter().chain(further).collect(),
        );
    }
    ancestors
}

#[test]
fn the_order_that_eks_demands_holds_on_every_platform() {
    let chain: &[(&str, &[&str])] = &[
        ("cluster/cluster", &["cluster/log-group"]),
        ("cluster/access-entry/deployer", &["cluster/cluster"]),
        ("addons/vpc-cni", &["cluster/access-entry/deployer"]),
        ("addons/kube-proxy", &["cluster/access-entry/deployer"]),
        (
            "addons/eks-pod-identity-agent",
            &["cluster/access-entry/deployer"],
        ),
        (
            "system-nodes/node-group",
            &[
                "addons/vpc-cni",
                "addons/kube-proxy",
                "addons/eks-pod-identity-agent",
            ],
        ),
        ("addons/coredns", &["system-nodes/node-group"]),
        ("addons/aws-ebs-csi-driver", &["system-nodes/node-group"]),
        ("addons/metrics-server", &["system-nodes/node-group"]),
        (
            "karpenter/pod-identity-association",
            &[
                "addons/coredns",
                "addons/aws-ebs-csi-driver",
                "addons/metrics-server",
            ],
        ),
        (
            "kubernetes/storage-class/gp3",
            &["addons/aws-ebs-csi-driver"],
        ),
        (
            "kubernetes/namespace/external-secrets",
            &["addons/aws-ebs-csi-driver", "addons/coredns"],
        ),
        (
            "kubernetes/priority-class/services-high",
            &["cluster/access-entry/deployer"],
        ),
        (
            "karpenter/release",
            &[
                "system-nodes/node-group",
                "addons/coredns",
                "karpenter/pod-identity-association",
                "karpenter/queue-policy",
                "karpenter/rule/interruption",
            ],
        ),
        (
            "karpenter/node-class/shop-prod-nodeclass",
            &[
                "karpenter/release",
                "karpenter/node-access-entry",
                "karpenter/node-instance-profile",
            ],
        ),
        (
            "karpenter/node-pool/general",
            &["karpenter/node-class/shop-prod-nodeclass"],
        ),
    ];
    for (name, platform) in all() {
        let graph = environment(&name, &platform);
        let ancestors = ancestors(&graph);
        for (later, earlier) in chain {
            let Some(before) = ancestors.get(&address(later)) else {
                continue;
            };
            for earlier in earlier
                .iter()
                .filter(|earlier| graph.get(&address(earlier)).is_some())
            {
                assert!(
                    before.contains(&address(earlier)),
                    "{name}: {later} after {earlier}"
                );
            }
        }
    }
}

#[test]
fn the_ways_to_the_internet_come_in_order() {
    let graph = environment("defaults", &platform("prod", json!({})));
    let ancestors = ancestors(&graph);
    for resource in graph
        .resources()
        .filter(|it| matches!(it.type_name.resource(), "EIP" | "Route"))
    {
        let before = &ancestors[&resource.address];
        assert!(
            before.contains(&address("network/internet-gateway-attachment")),
            "{}",
            resource.address
        );
    }
    let nodes = &ancestors[&address("system-nodes/node-group")];
    for zone in ["a", "b", "c"] {
        assert!(nodes.contains(&address(&format!("network/route/private-{zone}/internet"))));
        assert!(nodes.contains(&address(&format!(
            "network/route-table-association/private-{zone}"
        ))));
    }
}

#[test]
fn nothing_waits_without_need() {
    let graph = environment("everything", &platform("prod", everything()));
    let ancestors = ancestors(&graph);
    // The control plane takes nine minutes: neither it nor the broker, which takes longer still, may wait for the NAT
    // gateways, for each other, or for anything that only nodes need.
    for (address_of, not) in [
        (
            "cluster/cluster",
            vec![
                "network/nat-gateway/a",
                "system-nodes/role",
                "karpenter/queue",
                "network/flow-log",
            ],
        ),
        (
            "rabbitmq/broker",
            vec![
                "cluster/cluster",
                "network/nat-gateway/a",
                "redis/replication-group",
            ],
        ),
        (
            "redis/replication-group",
            vec!["cluster/cluster", "network/nat-gateway/a"],
        ),
        (
            "system-nodes/node-group",
            vec![
                "network/endpoint/s3",
                "karpenter/queue",
                "cluster/access-entry/admin-ops",
            ],
        ),
        ("addons/vpc-cni", vec!["network/nat-gateway/a"]),
        ("karpenter/controller-role", vec!["system-nodes/node-group"]),
    ] {
        for other in not {
            assert!(graph.get(&address(other)).is_some(), "{other}");
            assert!(
                !ancestors[&address(address_of)].contains(&address(other)),
                "{address_of} waits for {other}"
            );
        }
    }
    for (resource, before) in &ancestors {
        let certificates = before
            .iter()
            .filter(|it| it.as_str().starts_with("certificate/"))
            .count();
        assert_eq!(certificates, 0, "{resource} waits for a certificate");
    }
}
