//! What the official schemas lack, or say and it is not so. Each fact has its source and its date.

use crate::type_name::TypeName;

/// Types that Cloud Control refuses (`ProvisioningType` `NON_PROVISIONABLE` of `cloudformation:DescribeType`), although the
/// schemas of 2026-10-20 carry all handlers for two of them.
///
/// - `AWS::Route53::RecordSet`, `AWS::Budgets::Budget`: still reported in July 2026 (github.com/go-to-k/cdk-real-drift
///   pull request 1427, github.com/go-to-k/cdkd issue 1041; terraform-provider-awscc issue 2129).
/// - `AWS::SQS::QueuePolicy`: has no read handler. `AWS::SQS::QueueInlinePolicy` does the same and is provisionable.
///
/// The live answer is `DescribeType`'s; a preflight asks it.
pub(crate) const NON_PROVISIONABLE: [&str; 3] = [
    "AWS::Budgets::Budget",
    "AWS::Route53::RecordSet",
    "AWS::SQS::QueuePolicy",
];

/// The property by which a user names a resource and which must be unique (in the account and region, or in the
/// parent), so that a replacement cannot exist beside what it replaces under the same name. Types that are not here
/// have no name of the user's, or are identified wholly by the user (which `ResourceSchema::collides` sees by itself).
///
/// From the "Replacement" and "unique" notes of the CloudFormation template reference of each type, as of 2026-10.
const NAMES: [(&str, &str); 47] = [
    ("AWS::AmazonMQ::Broker", "BrokerName"),
    ("AWS::AmazonMQ::Configuration", "Name"),
    ("AWS::Backup::BackupVault", "BackupVaultName"),
    ("AWS::Budgets::Budget", "Budget.BudgetName"),
    ("AWS::CloudTrail::Trail", "TrailName"),
    ("AWS::CloudWatch::Alarm", "AlarmName"),
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateName"),
    ("AWS::EC2::SecurityGroup", "GroupName"),
    ("AWS::ECR::Repository", "RepositoryName"),
    ("AWS::EKS::AccessEntry", "PrincipalArn"),
    ("AWS::EKS::Addon", "AddonName"),
    ("AWS::EKS::Capability", "CapabilityName"),
    ("AWS::EKS::Cluster", "Name"),
    ("AWS::EKS::Nodegroup", "NodegroupName"),
    // One association for a service account of a namespace of a cluster.
    ("AWS::EKS::PodIdentityAssociation", "ServiceAccount"),
    ("AWS::ElastiCache::ReplicationGroup", "ReplicationGroupId"),
    ("AWS::ElastiCache::ServerlessCache", "ServerlessCacheName"),
    ("AWS::ElastiCache::SubnetGroup", "CacheSubnetGroupName"),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "Name"),
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "Name"),
    ("AWS::Events::Rule", "Name"),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
    ("AWS::IAM::OIDCProvider", "Url"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::IAM::RolePolicy", "PolicyName"),
    ("AWS::IAM::ServiceLinkedRole", "AWSServiceName"),
    ("AWS::KMS::Alias", "AliasName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::RDS::DBCluster", "DBClusterIdentifier"),
    ("AWS::Route53::RecordSet", "Name"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::S3::BucketPolicy", "Bucket"),
    ("AWS::SNS::Topic", "TopicName"),
    ("AWS::SNS::TopicInlinePolicy", "TopicArn"),
    ("AWS::SQS::Queue", "QueueName"),
    ("AWS::SQS::QueueInlinePolicy", "Queue"),
    ("AWS::SSM::Parameter", "Name"),
    ("AWS::SecretsManager::Secret", "Name"),
    ("AWS::WAFv2::LoggingConfiguration", "ResourceArn"),
    ("AWS::WAFv2::WebACL", "Name"),
    ("AWS::WAFv2::WebACLAssociation", "ResourceArn"),
    // A subnet has one route-table association of its own, a VPC one internet gateway, a route table one route to a
    // destination: named by what they join.
    ("AWS::EC2::Route", "RouteTableId"),
    ("AWS::EC2::SubnetRouteTableAssociation", "SubnetId"),
    ("AWS::EC2::VPCGatewayAttachment", "VpcId"),
    (
        "AWS::Backup::BackupSelection",
        "BackupSelection.SelectionName",
    ),
];

/// The dotted path of the property that names a resource of the type.
pub(crate) fn name_of(type_name: &TypeName) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(name, _)| *type_name == *name)
        .map(|(_, property)| *property)
}

/// Arrays whose order means nothing to AWS although their schemas do not say `insertionOrder: false`.
///
/// Tag lists are not here: every one is a set. Sources: the service API references (security groups, subnets,
/// certificate names and indexes are unordered collections there; WAF orders rules by `Priority`; S3 lifecycle and
/// notification rules are named by id; a DNS answer's records have no order), and the research of drift tools
/// (github.com/go-to-k/cdk-real-drift c00ed98).
pub(crate) const SETS: [(&str, &str); 41] = [
    ("AWS::AmazonMQ::Broker", "LdapServerMetadata.Hosts"),
    ("AWS::Backup::BackupPlan", "BackupPlan.BackupPlanRule"),
    ("AWS::Budgets::Budget", "NotificationsWithSubscribers"),
    (
        "AWS::Budgets::Budget",
        "NotificationsWithSubscribers.*.Subscribers",
    ),
    (
        "AWS::CertificateManager::Certificate",
        "DomainValidationOptions",
    ),
    (
        "AWS::CertificateManager::Certificate",
        "SubjectAlternativeNames",
    ),
    ("AWS::CloudWatch::Alarm", "AlarmActions"),
    ("AWS::CloudWatch::Alarm", "InsufficientDataActions"),
    ("AWS::CloudWatch::Alarm", "Metrics"),
    ("AWS::CloudWatch::Alarm", "OKActions"),
    ("AWS::DynamoDB::Table", "AttributeDefinitions"),
    ("AWS::DynamoDB::Table", "GlobalSecondaryIndexes"),
    (
        "AWS::DynamoDB::Table",
        "GlobalSecondaryIndexes.*.Projection.NonKeyAttributes",
    ),
    ("AWS::DynamoDB::Table", "LocalSecondaryIndexes"),
    (
        "AWS::DynamoDB::Table",
        "LocalSecondaryIndexes.*.Projection.NonKeyAttributes",
    ),
    ("AWS::EC2::NatGateway", "SecondaryAllocationIds"),
    ("AWS::EC2::NatGateway", "SecondaryPrivateIpAddresses"),
    ("AWS::ECR::Repository", "ImageTagMutabilityExclusionFilters"),
    (
        "AWS::ElastiCache::ReplicationGroup",
        "LogDeliveryConfigurations",
    ),
    ("AWS::ElastiCache::ReplicationGroup", "SecurityGroupIds"),
    ("AWS::ElastiCache::ReplicationGroup", "UserGroupIds"),
    ("AWS::ElasticLoadBalancingV2::Listener", "Certificates"),
    (
        "AWS::ElasticLoadBalancingV2::Listener",
        "DefaultActions.*.ForwardConfig.TargetGroups",
    ),
    ("AWS::RDS::DBCluster", "AssociatedRoles"),
    ("AWS::RDS::DBCluster", "AvailabilityZones"),
    ("AWS::RDS::DBCluster", "EnableCloudwatchLogsExports"),
    ("AWS::RDS::DBCluster", "VpcSecurityGroupIds"),
    ("AWS::Route53::RecordSet", "ResourceRecords"),
    (
        "AWS::S3::Bucket",
        "BucketEncryption.ServerSideEncryptionConfiguration",
    ),
    (
        "AWS::S3::Bucket",
        "CorsConfiguration.CorsRules.*.AllowedHeaders",
    ),
    (
        "AWS::S3::Bucket",
        "CorsConfiguration.CorsRules.*.AllowedMethods",
    ),
    (
        "AWS::S3::Bucket",
        "CorsConfiguration.CorsRules.*.AllowedOrigins",
    ),
    ("AWS::S3::Bucket", "LifecycleConfiguration.Rules"),
    (
        "AWS::S3::Bucket",
        "LifecycleConfiguration.Rules.*.TagFilters",
    ),
    (
        "AWS::S3::Bucket",
        "LifecycleConfiguration.Rules.*.Transitions",
    ),
    (
        "AWS::S3::Bucket",
        "LifecycleConfiguration.Rules.*.NoncurrentVersionTransitions",
    ),
    (
        "AWS::S3::Bucket",
        "NotificationConfiguration.LambdaConfigurations",
    ),
    (
        "AWS::S3::Bucket",
        "NotificationConfiguration.QueueConfigurations",
    ),
    (
        "AWS::S3::Bucket",
        "NotificationConfiguration.TopicConfigurations",
    ),
    ("AWS::WAFv2::LoggingConfiguration", "LogDestinationConfigs"),
    ("AWS::WAFv2::WebACL", "Rules"),
];
