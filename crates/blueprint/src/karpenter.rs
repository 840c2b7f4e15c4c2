//! The AWS side of Karpenter: what its nodes may do, what its controller may do, and the queue by which AWS tells it that
//! nodes are about to go.
//!
//! The cluster security group, which its nodes belong to, is EKS's own and cannot be tagged through Cloud Control: a node
//! class selects it by id (the cluster's `ClusterSecurityGroupId`), and names the instance profile made here, so that the
//! controller needs no right to make any.

use graph::{Value, value};
use serde_json::json;

use crate::cluster::Cluster;
use crate::draft::{Draft, Drawing, Made};
use crate::iam::{ServiceAccount, workload_role};
use crate::policy::{self, Statement};
use crate::{system_nodes, types};

/// The events that Karpenter understands: how its rule is called, source, detail type. From
/// https://karpenter.sh/docs/getting-started/getting-started-with-karpenter/ (its CloudFormation template of August 2026).
const EVENTS: [(&str, &str, &str); 5] = [
    (
        "interruption",
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
    ),
    (
        "rebalance",
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
    ),
    (
        "state-change",
        "aws.ec2",
        "EC2 Instance State-change Notification",
    ),
    (
        "reservation",
        "aws.ec2",
        "EC2 Capacity Reservation Instance Interruption Warning",
    ),
    ("scheduled-change", "aws.health", "AWS Health Event"),
];

/// What the rest of Karpenter needs of its AWS side.
pub(crate) struct Karpenter {
    /// The controller's role.
    pub(crate) role: Made,
    /// By which the controller comes to it; none with IRSA.
    pub(crate) association: Option<Made>,
    /// The queue of interruptions.
    pub(crate) queue: Option<Made>,
    /// What brings events to the queue.
    pub(crate) events: Vec<Made>,
    /// What must be there before a node of its can be made, and join.
    pub(crate) for_nodes: [Made; 2],
}

pub(crate) fn draw(
    drawing: &mut Drawing<'_>,
    cluster: &Cluster,
    addons: &[Made],
) -> Option<Karpenter> {
    let karpenter = &drawing.spec().karpenter;
    if !karpenter.enabled {
        return None;
    }
    let (node_role, for_nodes) = draw_nodes(drawing, cluster);
    let (queue, events) = match karpenter.interruption_queue {
        true => {
            let (queue, events) = draw_queue(drawing);
            (Some(queue), events)
        }
        false => (None, Vec::new()),
    };
    let mut statements = instance_statements(drawing);
    statements.extend(other_statements(drawing, &node_role, queue.as_ref()));
    let role = workload_role(
        drawing,
        &cluster.identity,
        "karpenter/controller-role",
        "karpenter",
        "The Karpenter controller: instances of this cluster",
        ServiceAccount::KARPENTER,
        ("Policies", policy::inline("karpenter", statements)),
    );
    let association = cluster.identity.associate(
        drawing,
        "karpenter/pod-identity-association",
        &cluster.made,
        &role,
        ServiceAccount::KARPENTER,
        addons,
    );
    Some(Karpenter {
        role,
        association,
        queue,
        events,
        for_nodes,
    })
}

/// Returned are the role, and what a node needs beside it.
fn draw_nodes(drawing: &mut Drawing<'_>, cluster: &Cluster) -> (Made, [Made; 2]) {
    let role = drawing.add(Draft::new(
        "karpenter/node-role",
        types::ROLE,
        value!({
            "RoleName": drawing.name("karpenter-nodes"),
            "Description": "Nodes that Karpenter makes",
            "AssumeRolePolicyDocument": system_nodes::node_trust(drawing),
            "ManagedPolicyArns": system_nodes::node_policies(drawing),
        }),
    ));
    // The node group's role gets its entry from EKS; this one is ours to let in.
    let entry = drawing.add(Draft::new(
        "karpenter/node-access-entry",
        types::ACCESS_ENTRY,
        value!({ "ClusterName": cluster.made.get("Name"), "PrincipalArn": role.arn(), "Type": "EC2_LINUX" }),
    ));
    let profile = drawing.add(Draft::new(
        "karpenter/node-instance-profile",
        types::INSTANCE_PROFILE,
        value!({ "InstanceProfileName": drawing.name("karpenter-nodes"), "Roles": [role.get("RoleName")] }),
    ));
    (role, [entry, profile])
}

/// Returned are the queue, and what brings events to it.
fn draw_queue(drawing: &mut Drawing<'_>) -> (Made, Vec<Made>) {
    let queue = drawing.add(Draft::new(
        "karpenter/queue",
        types::QUEUE,
        value!({
            "QueueName": drawing.name("karpenter"),
            // A warning of an interruption is worth nothing five minutes later.
            "MessageRetentionPeriod": 300,
            "SqsManagedSseEnabled": true,
        }),
    ));
    let rules = drawing.regional_arn("events", format!("rule/{}-*", drawing.name("karpenter")));
    let statements = [
        Statement::allow("EventsFromItsRules", &["sqs:SendMessage"])
            .by_service("events.amazonaws.com")
            .on([queue.arn()])
            .when("ArnLike", "aws:SourceArn", rules),
        Statement::deny_everybody("NothingWithoutTls", &["sqs:*"])
            .on([queue.arn()])
            .when("Bool", "aws:SecureTransport", "false"),
    ];
    let mut events = vec![drawing.add(Draft::new(
        "karpenter/queue-policy",
        types::QUEUE_INLINE_POLICY,
        value!({ "Queue": queue.get("QueueUrl"), "PolicyDocument": policy::document(statements) }),
    ))];
    for (name, source, detail_type) in EVENTS {
        let pattern = match source {
            // Health tells of everything in the account; Karpenter heeds scheduled changes of EC2 only.
            "aws.health" => json!({
                "source": [source],
                "detail-type": [detail_type],
                "detail": { "service": ["EC2"], "eventTypeCategory": ["scheduledChange"] },
            }),
            _ => json!({ "source": [source], "detail-type": [detail_type] }),
        };
        events.push(drawing.add(Draft::new(
            format!("karpenter/rule/{name}"),
            types::RULE,
            value!({
                "Name": format!("{}-{name}", drawing.name("karpenter")),
                "Description": format!("{detail_type} to Karpenter"),
                // Cloud Control takes the pattern as a text.
                "EventPattern": pattern.to_string(),
                "State": "ENABLED",
                "Targets": [{ "Id": "karpenter", "Arn": queue.arn() }],
            }),
        )));
    }
    (queue, events)
}

/// EC2: only what carries this cluster's tags, and Karpenter's own. After Karpenter's CloudFormation template for v1, of
/// August 2026, with the account written into the ARNs.
fn instance_statements(drawing: &Drawing<'_>) -> Vec<Statement> {
    let name = drawing.scope_name();
    let owner = format!("kubernetes.io/cluster/{name}");
    let arns = |resources: &[&str]| -> Vec<Value> {
        resources
            .iter()
            .map(|resource| drawing.regional_arn("ec2", format!("{resource}/*")))
            .collect()
    };
    // Images and snapshots are also other accounts', Amazon's first of all.
    let public = |resource: &str| -> Value {
        format!(
            "arn:{}:ec2:{}::{resource}/*",
            drawing.partition(),
            drawing.region()
        )
        .into()
    };
    let asked = |statement: Statement| {
        statement
            .when("StringEquals", format!("aws:RequestTag/{owner}"), "owned")
            .when(
                "StringEquals",
                "aws:RequestTag/eks:eks-cluster-name",
                name.as_str(),
            )
            .when("StringLike", "aws:RequestTag/karpenter.sh/nodepool", "*")
    };
    let owned = |statement: Statement| {
        statement
            .when("StringEquals", format!("aws:ResourceTag/{owner}"), "owned")
            .when("StringLike", "aws:ResourceTag/karpenter.sh/nodepool", "*")
    };
    let made: &[&str] = &[
        "fleet",
        "instance",
        "launch-template",
        "network-interface",
        "spot-instances-request",
        "volume",
    ];
    vec![
        Statement::allow("RunFrom", &["ec2:RunInstances", "ec2:CreateFleet"])
            .on([public("image"), public("snapshot")])
            .on(arns(&[
                "capacity-reservation",
                "placement-group",
                "security-group",
                "subnet",
            ])),
        owned(
            Statement::allow(
                "RunFromItsTemplates",
                &["ec2:RunInstances", "ec2:CreateFleet"],
            )
            .on(arns(&["launch-template"])),
        ),
        asked(
            Statement::allow(
                "MakeTagged",
                &[
                    "ec2:RunInstances",
                    "ec2:CreateFleet",
                    "ec2:CreateLaunchTemplate",
                ],
            )
            .on(arns(made)),
        ),
        asked(Statement::allow("TagWhatItMakes", &["ec2:CreateTags"]).on(arns(made))).when(
            "StringEquals",
            "ec2:CreateAction",
            value!(["RunInstances", "CreateFleet", "CreateLaunchTemplate"]),
        ),
        owned(Statement::allow("TagItsInstances", &["ec2:CreateTags"]).on(arns(&["instance"])))
            .when(
                "StringEqualsIfExists",
                "aws:RequestTag/eks:eks-cluster-name",
                name.as_str(),
            )
            .when(
                "ForAllValues:StringEquals",
                "aws:TagKeys",
                value!(["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]),
            ),
        owned(
            Statement::allow(
                "DeleteItsOwn",
                &["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            )
            .on(arns(&["instance", "launch-template"])),
        ),
        Statement::allow(
            "Look",
            &[
                "ec2:DescribeCapacityReservations",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceStatus",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribePlacementGroups",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSpotPriceHistory",
                "ec2:DescribeSubnets",
            ],
        )
        .anywhere()
        .when("StringEquals", "aws:RequestedRegion", drawing.region()),
    ]
}

/// Everything but EC2: AMIs, prices, the cluster, the one role and the one profile of its nodes, its queue.
fn other_statements(
    drawing: &Drawing<'_>,
    node_role: &Made,
    queue: Option<&Made>,
) -> Vec<Statement> {
    let parameters = format!(
        "arn:{}:ssm:{}::parameter/aws/service/*",
        drawing.partition(),
        drawing.region()
    );
    let profiles = drawing.global_arn("iam", "instance-profile/*");
    // By its name and not by reference: the role need not wait until the cluster is there.
    let the_cluster = drawing.regional_arn("eks", format!("cluster/{}", drawing.scope_name()));
    let mut statements = vec![
        Statement::allow("FindAmis", &["ssm:GetParameter"]).on([parameters]),
        Statement::allow("FindPrices", &["pricing:GetProducts"]).anywhere(),
        Statement::allow("FindTheCluster", &["eks:DescribeCluster"]).on([the_cluster]),
        Statement::allow("GiveNodesTheirRole", &["iam:PassRole"])
            .on([node_role.arn()])
            .when(
                "StringEquals",
                "iam:PassedToService",
                value!(["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]),
            ),
        Statement::allow("FindInstanceProfiles", &["iam:GetInstanceProfile"]).on([profiles]),
        // Karpenter looks for profiles that it made itself once and no node class names any more.
        Statement::allow("ListInstanceProfiles", &["iam:ListInstanceProfiles"]).anywhere(),
    ];
    if let Some(queue) = queue {
        let read = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"];
        statements.push(Statement::allow("ReadTheQueue", &read).on([queue.arn()]));
    }
    statements
}
