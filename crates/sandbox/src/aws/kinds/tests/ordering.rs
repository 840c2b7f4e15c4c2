//! What comes too early is refused at once: what it needs is not there, or is still being made.

use super::HandlerErrorCode::{self, InvalidRequest, NotFound, NotStabilized};
use super::platform::{before, built};
use super::{assert_refused, trust};

#[test]
fn each_step_is_refused_while_what_it_needs_is_missing_or_unfinished() {
    let whole = built();
    let cases: &[(&str, &str, HandlerErrorCode, &str)] = &[
        ("attachment", "igw", InvalidRequest, "does not exist"),
        ("attachment", "vpc", InvalidRequest, "The vpc ID 'vpc-0"),
        ("private-a", "vpc", InvalidRequest, "The vpc ID 'vpc-0"),
        (
            "public-route",
            "attachment",
            InvalidRequest,
            "belong to different networks",
        ),
        (
            "public-association",
            "public-table",
            InvalidRequest,
            "The routeTable ID 'rtb-0",
        ),
        (
            "public-association",
            "public-a",
            InvalidRequest,
            "The subnet ID 'subnet-0",
        ),
        (
            "nat",
            "attachment",
            NotStabilized,
            "has no Internet gateway attached",
        ),
        (
            "nat",
            "eip",
            InvalidRequest,
            "The allocation ID 'eipalloc-0",
        ),
        (
            "private-route",
            "nat",
            InvalidRequest,
            "The natGateway ID 'nat-0",
        ),
        (
            "endpoint",
            "private-table",
            InvalidRequest,
            "The routeTable ID 'rtb-0",
        ),
        (
            "flow-log",
            "flow-group",
            InvalidRequest,
            "log group /shop/flow does not exist",
        ),
        (
            "flow-log",
            "flow-role",
            InvalidRequest,
            "Unable to assume given IAM role",
        ),
        ("alias", "key", InvalidRequest, "does not exist"),
        (
            "cluster",
            "log-group",
            InvalidRequest,
            "The log group /aws/eks/shop/cluster does not exist",
        ),
        (
            "cluster",
            "cluster-role",
            InvalidRequest,
            "could not be assumed because it does not exist",
        ),
        (
            "cluster",
            "private-b",
            InvalidRequest,
            "The subnet ID 'subnet-0",
        ),
        ("cluster", "key", InvalidRequest, "does not exist"),
        (
            "kube-proxy",
            "deployer",
            InvalidRequest,
            "No access entry of cluster shop has AmazonEKSClusterAdminPolicy",
        ),
        (
            "vpc-cni",
            "cni-role",
            InvalidRequest,
            "Role provided in the request does not exist.",
        ),
        (
            "nodes",
            "vpc-cni",
            InvalidRequest,
            "Please ensure the following policies [AmazonEKS_CNI_Policy] are attached",
        ),
        (
            "nodes",
            "kube-proxy",
            NotStabilized,
            "the add-on kube-proxy is not ACTIVE",
        ),
        (
            "nodes",
            "node-role",
            InvalidRequest,
            "The role with name shop-nodes cannot be found.",
        ),
        (
            "nodes",
            "template",
            InvalidRequest,
            "Launch template details not found",
        ),
        (
            "nodes",
            "private-route",
            NotStabilized,
            "Instances failed to join the kubernetes cluster",
        ),
        (
            "nodes",
            "association-b",
            NotStabilized,
            "Instances failed to join the kubernetes cluster",
        ),
        (
            "coredns",
            "nodes",
            NotStabilized,
            "InsufficientNumberOfReplicas",
        ),
        (
            "ebs-csi",
            "nodes",
            NotStabilized,
            "InsufficientNumberOfReplicas",
        ),
        (
            "metrics-server",
            "nodes",
            NotStabilized,
            "InsufficientNumberOfReplicas",
        ),
        (
            "pod-association",
            "agent",
            InvalidRequest,
            "The EKS Pod Identity Agent does not run on cluster shop",
        ),
        (
            "pod-association",
            "nodes",
            InvalidRequest,
            "The EKS Pod Identity Agent does not run on cluster shop",
        ),
        (
            "pod-association",
            "pod-role",
            InvalidRequest,
            "Role provided in the request does not exist.",
        ),
        (
            "pod-policy",
            "pod-role",
            NotFound,
            "The role with name shop-external-secrets cannot be found.",
        ),
        (
            "oidc",
            "cluster",
            InvalidRequest,
            "Please check .well-known/openid-configuration",
        ),
        (
            "profile",
            "node-role",
            NotFound,
            "The role with name shop-nodes cannot be found.",
        ),
        (
            "queue-policy",
            "queue",
            InvalidRequest,
            "The specified queue does not exist.",
        ),
        ("rule", "queue", InvalidRequest, "its target does not exist"),
        (
            "redis-ingress",
            "redis-group",
            InvalidRequest,
            "The security group 'sg-0",
        ),
        (
            "redis-subnets",
            "private-a",
            InvalidRequest,
            "The subnet ID 'subnet-0",
        ),
        (
            "redis",
            "redis-subnets",
            NotFound,
            "Cache Subnet Group shop-redis does not exist.",
        ),
        (
            "redis",
            "redis-group",
            InvalidRequest,
            "The security group 'sg-0",
        ),
        (
            "rabbit",
            "rabbit-group",
            InvalidRequest,
            "The security group 'sg-0",
        ),
        (
            "rabbit",
            "private-a",
            InvalidRequest,
            "The subnet ID 'subnet-0",
        ),
        (
            "bucket-policy",
            "bucket",
            NotFound,
            "The specified bucket does not exist",
        ),
        ("trail", "bucket", InvalidRequest, "does not exist!"),
        (
            "trail",
            "bucket-policy",
            InvalidRequest,
            "Incorrect S3 bucket policy is detected",
        ),
        ("plan", "vault", InvalidRequest, "vault"),
        (
            "selection",
            "backup-role",
            InvalidRequest,
            "cannot be assumed by AWS Backup",
        ),
        ("alarm", "topic", InvalidRequest, "Invalid SNS topic ARN"),
    ];
    for (step, missing, code, words) in cases {
        let what = format!("{step} without {missing}");
        let (mut account, type_name, desired) = before(&whole, step);
        account.vanish(missing);
        assert_refused(&what, account.create(type_name, &desired), *code, words);

        let (mut account, type_name, desired) = before(&whole, step);
        account.unfinish(missing);
        assert_refused(
            &format!("{what} finished"),
            account.create(type_name, &desired),
            *code,
            words,
        );
    }
}

#[test]
fn nothing_is_put_into_a_cluster_that_is_not_active() {
    let whole = built();
    for step in ["deployer", "vpc-cni", "nodes", "coredns", "pod-association"] {
        let (mut account, type_name, desired) = before(&whole, step);
        account.unfinish("cluster");
        assert_refused(
            step,
            account.create(type_name, &desired),
            InvalidRequest,
            "is not in ACTIVE status: its status is CREATING",
        );
        account.vanish("cluster");
        assert_refused(
            step,
            account.create(type_name, &desired),
            NotFound,
            "No cluster found for name: shop.",
        );
    }
}

#[test]
fn a_role_is_unknown_to_other_services_for_a_while() {
    let whole = built();
    for (step, words) in [
        ("cluster", "could not be assumed because it does not exist"),
        ("flow-log", "Unable to assume given IAM role"),
        ("nodes", "The role with name shop-nodes cannot be found."),
        (
            "pod-association",
            "Role provided in the request does not exist.",
        ),
        ("selection", "cannot be assumed by AWS Backup"),
    ] {
        let (mut account, type_name, desired) = before(&whole, step);
        account.settings.iam_propagation_seconds = 10.0;
        account.now = 9.9;
        assert_refused(
            step,
            account.create(type_name, &desired),
            InvalidRequest,
            words,
        );
        account.now = 10.0;
        account
            .create(type_name, &desired)
            .unwrap_or_else(|failure| panic!("{step}: {}", failure.message));
    }
}

#[test]
fn a_role_that_trusts_another_service_is_of_no_use() {
    let whole = built();
    for (step, role, words) in [
        (
            "cluster",
            "cluster-role",
            "the trusted entity is not correct",
        ),
        (
            "nodes",
            "node-role",
            "Following required service principals [ec2.amazonaws.com] were not found",
        ),
        (
            "pod-association",
            "pod-role",
            "Trust policy of the role provided is invalid.",
        ),
        ("flow-log", "flow-role", "Unable to assume given IAM role"),
        (
            "selection",
            "backup-role",
            "cannot be assumed by AWS Backup",
        ),
    ] {
        let (mut account, type_name, desired) = before(&whole, step);
        let mut entry = account.entry(role).clone();
        entry.model["AssumeRolePolicyDocument"] = trust("lambda.amazonaws.com");
        account.world.insert(entry);
        assert_refused(
            step,
            account.create(type_name, &desired),
            InvalidRequest,
            words,
        );
    }
}

#[test]
fn add_ons_that_no_node_would_take_are_refused() {
    let (mut account, type_name, mut desired) = before(&built(), "metrics-server");
    desired["ConfigurationValues"] = "{\"replicas\":2}".into();
    assert_refused(
        "metrics-server",
        account.create(type_name, &desired),
        NotStabilized,
        "do not tolerate the taints",
    );
}
