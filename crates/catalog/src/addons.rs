//! The EKS add-ons that the platform uses.
//!
//! Names, service accounts and AWS's managed policies: EKS user guide, "AWS add-ons" (as of 2026-11).

use crate::versions::KubernetesVersion;

/// An add-on of EKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addon {
    /// `AddonName` of `AWS::EKS::Addon`.
    pub name: &'static str,
    /// Whether it runs as a `Deployment`, so that it is not healthy before there are nodes: it is made after them.
    /// A `DaemonSet` is healthy without nodes, and those that make nodes ready have to be there first.
    pub needs_nodes: bool,
    /// The service accounts that call AWS, as `namespace/name`; empty when none does.
    pub service_accounts: &'static [&'static str],
    /// The name of AWS's managed policy for its role, below `arn:aws:iam::aws:policy/`.
    pub managed_policy: Option<&'static str>,
}

/// The pod network.
pub const VPC_CNI: Addon = Addon {
    name: "vpc-cni",
    needs_nodes: false,
    service_accounts: &["kube-system/aws-node"],
    managed_policy: Some("AmazonEKS_CNI_Policy"),
};
/// Service addresses on each node.
pub const KUBE_PROXY: Addon = Addon {
    name: "kube-proxy",
    needs_nodes: false,
    service_accounts: &[],
    managed_policy: None,
};
/// Credentials for pods. Its own permission is the node role's `eks-auth:AssumeRoleForPodIdentity`.
pub const POD_IDENTITY_AGENT: Addon = Addon {
    name: "eks-pod-identity-agent",
    needs_nodes: false,
    service_accounts: &[],
    managed_policy: None,
};
/// The cluster's DNS.
pub const COREDNS: Addon = Addon {
    name: "coredns",
    needs_nodes: true,
    service_accounts: &[],
    managed_policy: None,
};
/// Volumes on EBS.
pub const EBS_CSI: Addon = Addon {
    name: "aws-ebs-csi-driver",
    needs_nodes: true,
    service_accounts: &["kube-system/ebs-csi-controller-sa"],
    managed_policy: Some("service-role/AmazonEBSCSIDriverPolicy"),
};
/// The resource metrics that autoscaling on CPU and memory needs.
pub const METRICS_SERVER: Addon = Addon {
    name: "metrics-server",
    needs_nodes: true,
    service_accounts: &[],
    managed_policy: None,
};
/// Container Insights: metrics and logs of containers and nodes.
pub const CLOUDWATCH_OBSERVABILITY: Addon = Addon {
    name: "amazon-cloudwatch-observability",
    needs_nodes: true,
    service_accounts: &["amazon-cloudwatch/cloudwatch-agent"],
    managed_policy: Some("CloudWatchAgentServerPolicy"),
};
/// Volume snapshots.
pub const SNAPSHOT_CONTROLLER: Addon = Addon {
    name: "snapshot-controller",
    needs_nodes: true,
    service_accounts: &[],
    managed_policy: None,
};

/// All of them.
pub const ADDONS: [Addon; 8] = [
    VPC_CNI,
    KUBE_PROXY,
    POD_IDENTITY_AGENT,
    COREDNS,
    EBS_CSI,
    METRICS_SERVER,
    CLOUDWATCH_OBSERVABILITY,
    SNAPSHOT_CONTROLLER,
];

/// The add-on of that name.
#[must_use]
pub fn addon(name: &str) -> Option<&'static Addon> {
    ADDONS.iter().find(|addon| addon.name == name)
}

/// Versions that were seen on real clusters, by Kubernetes version: for 1.36 what a new cluster resolved to by default
/// (a public test record of 2026, confirmed by two public configurations), for 1.35 a public production configuration of 2026.
/// AWS publishes new builds every few weeks and keeps old ones, so these work but are seldom the newest.
const SEEN: [(u16, &str, &str); 8] = [
    (36, "vpc-cni", "v1.22.4-eksbuild.3"),
    (36, "kube-proxy", "v1.36.0-eksbuild.21"),
    (36, "coredns", "v1.14.3-eksbuild.16"),
    (36, "eks-pod-identity-agent", "v1.3.10-eksbuild.3"),
    (36, "aws-ebs-csi-driver", "v1.63.1-eksbuild.1"),
    (35, "vpc-cni", "v1.21.1-eksbuild.3"),
    (35, "kube-proxy", "v1.35.0-eksbuild.2"),
    (35, "coredns", "v1.13.2-eksbuild.1"),
];

/// A version of the add-on that is known to work on the Kubernetes version. `None`: leave `AddonVersion` out, and EKS
/// takes its own default.
#[must_use]
pub fn known_version(name: &str, kubernetes: KubernetesVersion) -> Option<&'static str> {
    SEEN.iter()
        .find(|(minor, addon, _)| KubernetesVersion::new(1, *minor) == kubernetes && *addon == name)
        .map(|(_, _, version)| *version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_ons_by_name_and_version() {
        assert_eq!(addon("coredns").map(|addon| addon.needs_nodes), Some(true));
        assert_eq!(
            addon("aws-load-balancer-controller"),
            None,
            "it ships as a Helm chart, not as an add-on"
        );
        assert!(
            SEEN.iter()
                .all(|(_, name, version)| addon(name).is_some() && version.contains("-eksbuild."))
        );
        let kube_proxy = known_version("kube-proxy", KubernetesVersion::new(1, 36));
        assert!(kube_proxy.is_some_and(|version| version.starts_with("v1.36.")));
        assert_eq!(
            known_version("metrics-server", KubernetesVersion::new(1, 36)),
            None
        );
    }
}
