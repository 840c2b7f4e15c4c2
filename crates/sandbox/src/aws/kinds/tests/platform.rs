//! A whole platform, step by step, in the order that holds.

use serde_json::{Value, json};

use super::{Account, allow, trust};

/// One resource of the platform: its name, its type, and what is asked for, given what is there.
pub(super) type Step = (&'static str, &'static str, fn(&Account) -> Value);

const AWS_POLICY: &str = "arn:aws:iam::aws:policy";

fn subnet(a: &Account, zone: &str, block: &str) -> Value {
    json!({"VpcId": a.of("vpc", "VpcId"), "CidrBlock": block, "AvailabilityZone": format!("eu-central-1{zone}"),
        "Tags": [{"Key": "Name", "Value": zone}]})
}

fn association(a: &Account, table: &str, subnet: &str) -> Value {
    json!({"RouteTableId": a.of(table, "RouteTableId"), "SubnetId": a.of(subnet, "SubnetId")})
}

fn role(name: &str, service: &str, policies: &[&str]) -> Value {
    let arns: Vec<String> = policies
        .iter()
        .map(|policy| format!("{AWS_POLICY}/{policy}"))
        .collect();
    json!({"RoleName": name, "AssumeRolePolicyDocument": trust(service), "ManagedPolicyArns": arns})
}

fn addon(a: &Account, name: &str) -> Value {
    json!({"ClusterName": a.of("cluster", "Name"), "AddonName": name, "ResolveConflicts": "OVERWRITE",
        "ConfigurationValues": "{\"tolerations\":[{\"key\":\"CriticalAddonsOnly\",\"operator\":\"Exists\"}]}"})
}

fn group(a: &Account, name: &str) -> Value {
    json!({"GroupName": name, "GroupDescription": "Data services", "VpcId": a.of("vpc", "VpcId"),
        "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "127.0.0.1/32", "Description": "none"}]})
}

pub(super) const STEPS: &[Step] = &[
    (
        "vpc",
        "AWS::EC2::VPC",
        |_| json!({"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true, "EnableDnsHostnames": true}),
    ),
    ("igw", "AWS::EC2::InternetGateway", |_| json!({})),
    (
        "attachment",
        "AWS::EC2::VPCGatewayAttachment",
        |a| json!({"VpcId": a.of("vpc", "VpcId"), "InternetGatewayId": a.of("igw", "InternetGatewayId")}),
    ),
    ("public-a", "AWS::EC2::Subnet", |a| {
        subnet(a, "a", "10.0.0.0/24")
    }),
    ("private-a", "AWS::EC2::Subnet", |a| {
        subnet(a, "a", "10.0.16.0/20")
    }),
    ("private-b", "AWS::EC2::Subnet", |a| {
        subnet(a, "b", "10.0.32.0/20")
    }),
    (
        "public-table",
        "AWS::EC2::RouteTable",
        |a| json!({"VpcId": a.of("vpc", "VpcId")}),
    ),
    ("public-route", "AWS::EC2::Route", |a| {
        json!({"RouteTableId": a.of("public-table", "RouteTableId"), "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": a.of("igw", "InternetGatewayId")})
    }),
    (
        "public-association",
        "AWS::EC2::SubnetRouteTableAssociation",
        |a| association(a, "public-table", "public-a"),
    ),
    ("eip", "AWS::EC2::EIP", |_| json!({"Domain": "vpc"})),
    (
        "nat",
        "AWS::EC2::NatGateway",
        |a| json!({"SubnetId": a.of("public-a", "SubnetId"), "AllocationId": a.of("eip", "AllocationId")}),
    ),
    (
        "private-table",
        "AWS::EC2::RouteTable",
        |a| json!({"VpcId": a.of("vpc", "VpcId")}),
    ),
    ("private-route", "AWS::EC2::Route", |a| {
        json!({"RouteTableId": a.of("private-table", "RouteTableId"), "DestinationCidrBlock": "0.0.0.0/0",
            "NatGatewayId": a.of("nat", "NatGatewayId")})
    }),
    (
        "association-a",
        "AWS::EC2::SubnetRouteTableAssociation",
        |a| association(a, "private-table", "private-a"),
    ),
    (
        "association-b",
        "AWS::EC2::SubnetRouteTableAssociation",
        |a| association(a, "private-table", "private-b"),
    ),
    ("endpoint", "AWS::EC2::VPCEndpoint", |a| {
        json!({"VpcId": a.of("vpc", "VpcId"), "ServiceName": "com.amazonaws.eu-central-1.s3", "VpcEndpointType": "Gateway",
            "RouteTableIds": [a.of("private-table", "RouteTableId")]})
    }),
    (
        "flow-group",
        "AWS::Logs::LogGroup",
        |_| json!({"LogGroupName": "/shop/flow", "RetentionInDays": 30}),
    ),
    ("flow-role", "AWS::IAM::Role", |_| {
        role("shop-flow", "vpc-flow-logs.amazonaws.com", &[])
    }),
    ("flow-log", "AWS::EC2::FlowLog", |a| {
        json!({"ResourceId": a.of("vpc", "VpcId"), "ResourceType": "VPC", "TrafficType": "ALL", "LogGroupName": "/shop/flow",
            "DeliverLogsPermissionArn": a.of("flow-role", "Arn")})
    }),
    (
        "log-group",
        "AWS::Logs::LogGroup",
        |_| json!({"LogGroupName": "/aws/eks/shop/cluster", "RetentionInDays": 90}),
    ),
    ("cluster-role", "AWS::IAM::Role", |_| {
        role(
            "shop-cluster",
            "eks.amazonaws.com",
            &["AmazonEKSClusterPolicy"],
        )
    }),
    (
        "key",
        "AWS::KMS::Key",
        |_| json!({"Description": "secrets", "EnableKeyRotation": true, "PendingWindowInDays": 7}),
    ),
    (
        "alias",
        "AWS::KMS::Alias",
        |a| json!({"AliasName": "alias/shop", "TargetKeyId": a.of("key", "KeyId")}),
    ),
    ("cluster", "AWS::EKS::Cluster", |a| {
        json!({
            "Name": "shop", "Version": "1.35", "RoleArn": a.of("cluster-role", "Arn"),
            "ResourcesVpcConfig": {"SubnetIds": [a.of("private-a", "SubnetId"), a.of("private-b", "SubnetId")],
                "EndpointPrivateAccess": true, "EndpointPublicAccess": true},
            "AccessConfig": {"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": false},
            "BootstrapSelfManagedAddons": false,
            "Logging": {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}, {"Type": "audit"}]}},
            "EncryptionConfig": [{"Provider": {"KeyArn": a.of("key", "Arn")}, "Resources": ["secrets"]}],
        })
    }),
    ("deployer", "AWS::EKS::AccessEntry", |_| {
        json!({"ClusterName": "shop", "PrincipalArn": "arn:aws:iam::123456789012:user/deployer", "Type": "STANDARD",
            "AccessPolicies": [{"PolicyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                "AccessScope": {"Type": "cluster"}}]})
    }),
    ("cni-role", "AWS::IAM::Role", |_| {
        role(
            "shop-cni",
            "pods.eks.amazonaws.com",
            &["AmazonEKS_CNI_Policy"],
        )
    }),
    ("vpc-cni", "AWS::EKS::Addon", |a| {
        json!({"ClusterName": "shop", "AddonName": "vpc-cni", "ConfigurationValues": "{\"env\":{\"ENABLE_PREFIX_DELEGATION\":\"true\"}}",
            "PodIdentityAssociations": [{"ServiceAccount": "aws-node", "RoleArn": a.of("cni-role", "Arn")}]})
    }),
    ("kube-proxy", "AWS::EKS::Addon", |a| addon(a, "kube-proxy")),
    ("agent", "AWS::EKS::Addon", |a| {
        addon(a, "eks-pod-identity-agent")
    }),
    ("node-role", "AWS::IAM::Role", |_| {
        role(
            "shop-nodes",
            "ec2.amazonaws.com",
            &[
                "AmazonEKSWorkerNodePolicy",
                "AmazonEC2ContainerRegistryPullOnly",
            ],
        )
    }),
    ("template", "AWS::EC2::LaunchTemplate", |_| {
        json!({"LaunchTemplateName": "shop-nodes", "LaunchTemplateData": {
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp3", "VolumeSize": 30, "Encrypted": true}}]}})
    }),
    ("nodes", "AWS::EKS::Nodegroup", |a| {
        json!({
            "ClusterName": "shop", "NodegroupName": "system", "NodeRole": a.of("node-role", "Arn"),
            "Subnets": [a.of("private-a", "SubnetId"), a.of("private-b", "SubnetId")],
            "InstanceTypes": ["t4g.medium"], "AmiType": "AL2023_ARM_64_STANDARD",
            "ScalingConfig": {"MinSize": 2, "DesiredSize": 2, "MaxSize": 3},
            "LaunchTemplate": {"Id": a.of("template", "LaunchTemplateId"), "Version": a.of("template", "LatestVersionNumber")},
            "Taints": [{"Key": "CriticalAddonsOnly", "Value": "true", "Effect": "NO_SCHEDULE"}],
        })
    }),
    ("coredns", "AWS::EKS::Addon", |a| addon(a, "coredns")),
    (
        "ebs-csi",
        "AWS::EKS::Addon",
        |_| json!({"ClusterName": "shop", "AddonName": "aws-ebs-csi-driver"}),
    ),
    ("metrics-server", "AWS::EKS::Addon", |a| {
        addon(a, "metrics-server")
    }),
    ("pod-role", "AWS::IAM::Role", |_| {
        role("shop-external-secrets", "pods.eks.amazonaws.com", &[])
    }),
    (
        "pod-policy",
        "AWS::IAM::RolePolicy",
        |_| json!({"RoleName": "shop-external-secrets", "PolicyName": "read", "PolicyDocument": allow("secretsmanager:GetSecretValue")}),
    ),
    (
        "pod-association",
        "AWS::EKS::PodIdentityAssociation",
        |a| json!({"ClusterName": "shop", "Namespace": "external-secrets", "ServiceAccount": "external-secrets", "RoleArn": a.of("pod-role", "Arn")}),
    ),
    (
        "oidc",
        "AWS::IAM::OIDCProvider",
        |a| json!({"Url": a.of("cluster", "OpenIdConnectIssuerUrl"), "ClientIdList": ["sts.amazonaws.com"]}),
    ),
    (
        "profile",
        "AWS::IAM::InstanceProfile",
        |_| json!({"InstanceProfileName": "shop-nodes", "Roles": ["shop-nodes"]}),
    ),
    (
        "queue",
        "AWS::SQS::Queue",
        |_| json!({"QueueName": "shop-interruption", "MessageRetentionPeriod": 300}),
    ),
    ("queue-policy", "AWS::SQS::QueueInlinePolicy", |a| {
        json!({"Queue": a.of("queue", "QueueUrl"), "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "sqs.amazonaws.com"]}, "Action": "sqs:SendMessage",
                "Resource": a.of("queue", "Arn")}]}})
    }),
    ("rule", "AWS::Events::Rule", |a| {
        json!({"Name": "shop-spot", "EventPattern": "{\"source\":[\"aws.ec2\"]}", "State": "ENABLED",
            "Targets": [{"Id": "karpenter", "Arn": a.of("queue", "Arn")}]})
    }),
    (
        "redis-secret",
        "AWS::SecretsManager::Secret",
        |_| json!({"Name": "prod/redis", "GenerateSecretString": {"PasswordLength": 40, "ExcludePunctuation": true}}),
    ),
    ("redis-group", "AWS::EC2::SecurityGroup", |a| {
        group(a, "shop-redis")
    }),
    (
        "redis-ingress",
        "AWS::EC2::SecurityGroupIngress",
        |a| json!({"GroupId": a.of("redis-group", "GroupId"), "IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "CidrIp": "10.0.0.0/16"}),
    ),
    ("redis-subnets", "AWS::ElastiCache::SubnetGroup", |a| {
        json!({"CacheSubnetGroupName": "shop-redis", "Description": "private",
            "SubnetIds": [a.of("private-a", "SubnetId"), a.of("private-b", "SubnetId")]})
    }),
    ("redis", "AWS::ElastiCache::ReplicationGroup", |a| {
        json!({"ReplicationGroupId": "shop-redis", "ReplicationGroupDescription": "cache", "Engine": "redis", "EngineVersion": "7.1",
            "CacheNodeType": "cache.t4g.small", "NumCacheClusters": 2, "AutomaticFailoverEnabled": true, "MultiAZEnabled": true,
            "CacheSubnetGroupName": "shop-redis", "SecurityGroupIds": [a.of("redis-group", "GroupId")],
            "TransitEncryptionEnabled": true, "AtRestEncryptionEnabled": true, "AuthToken": "correcthorsebatterystaple"})
    }),
    ("rabbit-group", "AWS::EC2::SecurityGroup", |a| {
        group(a, "shop-rabbitmq")
    }),
    ("rabbit", "AWS::AmazonMQ::Broker", |a| {
        json!({"BrokerName": "shop", "EngineType": "RABBITMQ", "EngineVersion": "4.2", "DeploymentMode": "CLUSTER_MULTI_AZ",
            "HostInstanceType": "mq.m7g.large", "PubliclyAccessible": false, "AutoMinorVersionUpgrade": true,
            "SubnetIds": [a.of("private-a", "SubnetId"), a.of("private-b", "SubnetId")],
            "SecurityGroups": [a.of("rabbit-group", "GroupId")], "Users": [{"Username": "shop", "Password": "correct-horse-1"}]})
    }),
    (
        "bucket",
        "AWS::S3::Bucket",
        |_| json!({"BucketName": "shop-trail-123456789012"}),
    ),
    ("bucket-policy", "AWS::S3::BucketPolicy", |_| {
        json!({"Bucket": "shop-trail-123456789012", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": ["s3:GetBucketAcl"],
                "Resource": "arn:aws:s3:::shop-trail-123456789012"},
            {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": ["s3:PutObject"],
                "Resource": "arn:aws:s3:::shop-trail-123456789012/AWSLogs/*"}]}})
    }),
    (
        "trail",
        "AWS::CloudTrail::Trail",
        |_| json!({"TrailName": "shop", "S3BucketName": "shop-trail-123456789012", "IsLogging": true, "IsMultiRegionTrail": true}),
    ),
    ("backup-role", "AWS::IAM::Role", |_| {
        role(
            "shop-backup",
            "backup.amazonaws.com",
            &["service-role/AWSBackupServiceRolePolicyForBackup"],
        )
    }),
    (
        "vault",
        "AWS::Backup::BackupVault",
        |_| json!({"BackupVaultName": "shop"}),
    ),
    ("plan", "AWS::Backup::BackupPlan", |_| {
        json!({"BackupPlan": {"BackupPlanName": "shop", "BackupPlanRule": [{"RuleName": "daily", "TargetBackupVault": "shop",
            "ScheduleExpression": "cron(0 3 * * ? *)", "Lifecycle": {"DeleteAfterDays": 35}}]}})
    }),
    ("selection", "AWS::Backup::BackupSelection", |a| {
        json!({"BackupPlanId": a.of("plan", "BackupPlanId"), "BackupSelection": {"SelectionName": "volumes",
            "IamRoleArn": a.of("backup-role", "Arn"),
            "ListOfTags": [{"ConditionType": "STRINGEQUALS", "ConditionKey": "backup", "ConditionValue": "shop"}]}})
    }),
    (
        "topic",
        "AWS::SNS::Topic",
        |_| json!({"TopicName": "shop-alarms"}),
    ),
    ("alarm", "AWS::CloudWatch::Alarm", |a| {
        json!({"AlarmName": "shop-cpu", "Namespace": "AWS/AmazonMQ", "MetricName": "CpuUtilization", "Statistic": "Average", "Period": 300,
            "EvaluationPeriods": 3, "Threshold": 80, "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [a.of("topic", "TopicArn")]})
    }),
    (
        "repository",
        "AWS::ECR::Repository",
        |_| json!({"RepositoryName": "shop/web", "ImageScanningConfiguration": {"ScanOnPush": true}}),
    ),
    ("lock", "AWS::DynamoDB::Table", |_| {
        json!({"TableName": "shop-lock", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}]})
    }),
    (
        "parameter",
        "AWS::SSM::Parameter",
        |_| json!({"Name": "/shop/endpoint", "Type": "String", "Value": "x"}),
    ),
    (
        "zone",
        "AWS::Route53::HostedZone",
        |_| json!({"Name": "example.com"}),
    ),
    (
        "certificate",
        "AWS::CertificateManager::Certificate",
        |_| json!({"DomainName": "shop.example.com", "SubjectAlternativeNames": ["*.shop.example.com"], "ValidationMethod": "DNS"}),
    ),
    ("acl", "AWS::WAFv2::WebACL", |_| {
        json!({"Name": "shop", "Scope": "REGIONAL", "DefaultAction": {"Allow": {}},
            "VisibilityConfig": {"CloudWatchMetricsEnabled": true, "SampledRequestsEnabled": true, "MetricName": "shop"},
            "Rules": [{"Name": "common", "Priority": 0, "OverrideAction": {"None": {}},
                "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}},
                "VisibilityConfig": {"CloudWatchMetricsEnabled": true, "SampledRequestsEnabled": true, "MetricName": "common"}}]})
    }),
];

/// The whole platform.
pub(super) fn built() -> Account {
    let mut account = Account::new();
    for (name, type_name, desired) in STEPS {
        let desired = desired(&account);
        account.make(name, type_name, desired);
    }
    account
}

/// The platform as it is just before a step, with what the step asks for.
pub(super) fn before(whole: &Account, step: &str) -> (Account, &'static str, Value) {
    let position = STEPS
        .iter()
        .position(|(name, _, _)| *name == step)
        .expect("a step of this name");
    let (_, type_name, desired) = STEPS[position];
    let mut account = whole.clone();
    let desired = desired(&account);
    for (name, _, _) in STEPS[position..].iter().rev() {
        account.vanish(name);
    }
    (account, type_name, desired)
}

#[test]
fn it_stands_and_its_identifiers_are_of_awss_form() {
    let account = built();
    let text = |name: &str, property: &str| account.of(name, property).as_str().unwrap().to_owned();
    let hex = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
    };

    assert!(text("vpc", "VpcId").starts_with("vpc-0"));
    assert_eq!(text("vpc", "VpcId").len(), 21);
    assert_eq!(text("private-b", "AvailabilityZoneId"), "euc1-az2");
    let id = text("cluster", "Endpoint")
        .strip_prefix("https://")
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_owned();
    assert!(id.len() == 32 && hex(&id), "{id}");
    assert_eq!(
        text("cluster", "Endpoint"),
        format!("https://{id}.gr7.eu-central-1.eks.amazonaws.com")
    );
    assert_eq!(
        text("cluster", "OpenIdConnectIssuerUrl"),
        format!("https://oidc.eks.eu-central-1.amazonaws.com/id/{id}")
    );
    let group = text("cluster", "ClusterSecurityGroupId");
    assert!(
        account
            .world
            .get("AWS::EC2::SecurityGroup", &group)
            .is_some()
    );
    assert_eq!(
        account.of("cluster", "KubernetesNetworkConfig")["ServiceIpv4Cidr"],
        "172.20.0.0/16"
    );
    assert_eq!(text("nodes", "Id"), "shop/system");
    assert!(text("node-role", "RoleId").starts_with("AROA"));
    assert_eq!(
        text("queue", "QueueUrl"),
        "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-interruption"
    );
    let primary = account.of("redis", "PrimaryEndPoint")["Address"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        primary.starts_with("master.shop-redis.") && primary.ends_with(".euc1.cache.amazonaws.com"),
        "{primary}"
    );
    let endpoint = account.of("rabbit", "AmqpEndpoints")[0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        endpoint.starts_with("amqps://b-") && endpoint.ends_with(".mq.eu-central-1.on.aws:5671"),
        "{endpoint}"
    );
    let secret = text("redis-secret", "Id");
    assert_eq!(
        secret.len(),
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/redis-".len() + 6
    );
    assert_eq!(
        text("repository", "RepositoryUri"),
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/web"
    );
}

#[test]
fn a_generated_secret_is_made_by_its_recipe_and_read_by_nobody() {
    let account = built();
    let entry = account.entry("redis-secret");
    let value = entry.model["__SecretString"].as_str().unwrap();
    assert!(
        value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{value}"
    );
    assert!(!super::visible(entry).to_string().contains(value));
    let broker = super::visible(account.entry("rabbit")).to_string();
    assert!(
        !broker.contains("correct-horse-1") && !broker.contains("__"),
        "{broker}"
    );
}
