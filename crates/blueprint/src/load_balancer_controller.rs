//! The AWS side of the AWS Load Balancer Controller: what it may do. Load balancers themselves are its own.

use graph::{Value, value};

use crate::cluster::Cluster;
use crate::draft::{Drawing, Made};
use crate::iam::{ServiceAccount, workload_role};
use crate::network::Network;
use crate::policy::{self, Statement};

/// The tag by which the controller knows what is its own.
const MINE: &str = "elbv2.k8s.aws/cluster";

pub(crate) fn draw(
    drawing: &mut Drawing<'_>,
    network: &Network,
    cluster: &Cluster,
    addons: &[Made],
) {
    if !drawing.spec().load_balancer_controller.enabled {
        return;
    }
    let mut statements = security_group_statements(drawing, network);
    statements.extend(load_balancer_statements(drawing));
    statements.extend(other_statements(drawing));
    let role = workload_role(
        drawing,
        &cluster.identity,
        "load-balancer-controller/role",
        "load-balancer-controller",
        "The AWS Load Balancer Controller: load balancers of this cluster",
        ServiceAccount::LOAD_BALANCER_CONTROLLER,
        (
            "Policies",
            policy::inline("load-balancer-controller", statements),
        ),
    );
    cluster.identity.associate(
        drawing,
        "load-balancer-controller/pod-identity-association",
        &cluster.made,
        &role,
        ServiceAccount::LOAD_BALANCER_CONTROLLER,
        addons,
    );
}

// After https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/docs/install/iam_policy.json, of August
// 2026. That document is for every cluster of every account: here resources are this account's and region's, the tag must
// name this cluster, and security groups must be in its VPC. Left out are WAF Classic, which is gone since September 2025,
// and the address pools of Outposts, which this platform does not run on.

/// Whatever is asked for must carry this cluster's tag.
fn asked(drawing: &Drawing<'_>, statement: Statement) -> Statement {
    statement.when(
        "StringEquals",
        format!("aws:RequestTag/{MINE}"),
        drawing.scope_name(),
    )
}

/// Whatever is touched must carry this cluster's tag.
fn owned(drawing: &Drawing<'_>, statement: Statement) -> Statement {
    statement.when(
        "StringEquals",
        format!("aws:ResourceTag/{MINE}"),
        drawing.scope_name(),
    )
}

/// Tags of its own may change, but not the one that makes them its own.
fn retagged(drawing: &Drawing<'_>, statement: Statement) -> Statement {
    owned(drawing, statement).when("Null", format!("aws:RequestTag/{MINE}"), "true")
}

fn security_group_statements(drawing: &Drawing<'_>, network: &Network) -> Vec<Statement> {
    let groups = || drawing.regional_arn("ec2", "security-group/*");
    let vpc = drawing.regional_arn(
        "ec2",
        Value::join(["vpc/".into(), network.vpc.get("VpcId")]),
    );
    vec![
        Statement::allow("MakeSecurityGroups", &["ec2:CreateSecurityGroup"])
            .on([groups(), vpc.clone()]),
        asked(
            drawing,
            Statement::allow("TagNewSecurityGroups", &["ec2:CreateTags"]).on([groups()]),
        )
        .when("StringEquals", "ec2:CreateAction", "CreateSecurityGroup"),
        retagged(
            drawing,
            Statement::allow(
                "TagItsSecurityGroups",
                &["ec2:CreateTags", "ec2:DeleteTags"],
            )
            .on([groups()]),
        ),
        Statement::allow("FindSecurityGroups", &["ec2:GetSecurityGroupsForVpc"]).on([vpc.clone()]),
        // Not only its own: it lets load balancers reach the nodes, in the cluster's security group.
        Statement::allow(
            "ChangeRulesInTheVpc",
            &[
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:RevokeSecurityGroupIngress",
            ],
        )
        .on([groups()])
        .when("ArnEquals", "ec2:Vpc", vpc),
        owned(
            drawing,
            Statement::allow("DeleteItsSecurityGroups", &["ec2:DeleteSecurityGroup"])
                .on([groups()]),
        ),
    ]
}

fn load_balancer_statements(drawing: &Drawing<'_>) -> Vec<Statement> {
    let arn = |resource: &str| drawing.regional_arn("elasticloadbalancing", resource);
    let balancers = || vec![arn("loadbalancer/app/*/*"), arn("loadbalancer/net/*/*")];
    let targets = || vec![arn("targetgroup/*/*")];
    let listeners = || vec![arn("listener/app/*/*/*"), arn("listener/net/*/*/*")];
    let rules = || {
        vec![
            arn("listener-rule/app/*/*/*"),
            arn("listener-rule/net/*/*/*"),
        ]
    };
    let tag = &[
        "elasticloadbalancing:AddTags",
        "elasticloadbalancing:RemoveTags",
    ];
    vec![
        asked(
            drawing,
            Statement::allow(
                "MakeLoadBalancers",
                &[
                    "elasticloadbalancing:CreateLoadBalancer",
                    "elasticloadbalancing:CreateTargetGroup",
                ],
            )
            .on(balancers())
            .on(targets()),
        ),
        asked(
            drawing,
            Statement::allow("TagWhatItMakes", &["elasticloadbalancing:AddTags"])
                .on(balancers())
                .on(targets()),
        )
        .when(
            "StringEquals",
            "elasticloadbalancing:CreateAction",
            value!(["CreateTargetGroup", "CreateLoadBalancer"]),
        ),
        retagged(
            drawing,
            Statement::allow("TagItsLoadBalancers", tag)
                .on(balancers())
                .on(targets()),
        ),
        Statement::allow("TagListeners", tag)
            .on(listeners())
            .on(rules()),
        owned(
            drawing,
            Statement::allow(
                "ChangeItsLoadBalancers",
                &[
                    "elasticloadbalancing:DeleteLoadBalancer",
                    "elasticloadbalancing:DeleteTargetGroup",
                    "elasticloadbalancing:ModifyCapacityReservation",
                    "elasticloadbalancing:ModifyIpPools",
                    "elasticloadbalancing:ModifyLoadBalancerAttributes",
                    "elasticloadbalancing:ModifyTargetGroup",
                    "elasticloadbalancing:ModifyTargetGroupAttributes",
                    "elasticloadbalancing:SetIpAddressType",
                    "elasticloadbalancing:SetSecurityGroups",
                    "elasticloadbalancing:SetSubnets",
                ],
            )
            .on(balancers())
            .on(targets()),
        ),
        Statement::allow(
            "ListenersAndRules",
            &[
                "elasticloadbalancing:AddListenerCertificates",
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:DeleteRule",
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:ModifyListenerAttributes",
                "elasticloadbalancing:ModifyRule",
                "elasticloadbalancing:RemoveListenerCertificates",
                "elasticloadbalancing:SetRulePriorities",
            ],
        )
        .on(balancers())
        .on(listeners())
        .on(rules()),
        Statement::allow(
            "Targets",
            &[
                "elasticloadbalancing:DeregisterTargets",
                "elasticloadbalancing:RegisterTargets",
            ],
        )
        .on(targets()),
    ]
}

fn other_statements(drawing: &Drawing<'_>) -> Vec<Statement> {
    let balancers = drawing.regional_arn("elasticloadbalancing", "loadbalancer/app/*/*");
    let linked_role = drawing.global_arn(
        "iam",
        "role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing",
    );
    vec![
        Statement::allow(
            "Look",
            &[
                "acm:ListCertificates",
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAddresses",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstances",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeIpamPools",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeTags",
                "ec2:DescribeVpcPeeringConnections",
                "ec2:DescribeVpcs",
                "elasticloadbalancing:DescribeCapacityReservation",
                "elasticloadbalancing:DescribeListenerAttributes",
                "elasticloadbalancing:DescribeListenerCertificates",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeSSLPolicies",
                "elasticloadbalancing:DescribeTags",
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetHealth",
                "elasticloadbalancing:DescribeTrustStores",
                "iam:ListServerCertificates",
                "shield:GetSubscriptionState",
            ],
        )
        .anywhere(),
        Statement::allow("FindCertificates", &["acm:DescribeCertificate"])
            .on([drawing.regional_arn("acm", "certificate/*")]),
        Statement::allow("FindServerCertificates", &["iam:GetServerCertificate"])
            .on([drawing.global_arn("iam", "server-certificate/*")]),
        Statement::allow("FindUserPools", &["cognito-idp:DescribeUserPoolClient"])
            .on([drawing.regional_arn("cognito-idp", "userpool/*")]),
        Statement::allow(
            "WebAcls",
            &[
                "wafv2:AssociateWebACL",
                "wafv2:DisassociateWebACL",
                "wafv2:GetWebACL",
                "wafv2:GetWebACLForResource",
            ],
        )
        .on([
            drawing.regional_arn("wafv2", "regional/webacl/*/*"),
            balancers,
        ]),
        // Both know no resources.
        Statement::allow(
            "WebAclsAndShield",
            &["elasticloadbalancing:SetWebAcl", "shield:CreateProtection"],
        )
        .anywhere(),
        Statement::allow(
            "Shield",
            &["shield:DeleteProtection", "shield:DescribeProtection"],
        )
        .on([drawing.global_arn("shield", "protection/*")]),
        Statement::allow("ServiceLinkedRole", &["iam:CreateServiceLinkedRole"])
            .on([linked_role])
            .when(
                "StringEquals",
                "iam:AWSServiceName",
                "elasticloadbalancing.amazonaws.com",
            ),
    ]
}
