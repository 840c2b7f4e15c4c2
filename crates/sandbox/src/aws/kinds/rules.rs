//! Which rules are which type's.

use catalog::TypeName;
use serde_json::Value;

use super::reference::{deleted, updated};
use super::{
    Context, Failure, Outcome, acm, amazonmq, backup, dynamodb, ec2_gateways, ec2_network,
    ec2_routes, ec2_security, ec2_template, ecr, eks_access, eks_addon, eks_cluster, eks_nodegroup,
    elasticache, iam_attachments, iam_role, kms, messaging, observability, route53, s3,
    secretsmanager, wafv2,
};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

/// What a type does.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) create: fn(&Context<'_>, &Value, &mut Ids) -> Result<Outcome, Failure>,
    pub(super) update: fn(&Context<'_>, &Entry, &Value, &mut Ids) -> Result<Outcome, Failure>,
    pub(super) delete: fn(&Context<'_>, &Entry) -> Result<Outcome, Failure>,
}

/// An update that nothing stands against.
fn take_over(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    Ok(updated(cx, entry, proposed.clone()))
}

/// A deletion that nothing stands against.
fn let_go(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    Ok(deleted(cx, entry))
}

/// The rules of a type; none where its schema says all there is to say.
pub(super) fn of(type_name: &TypeName) -> Option<Rules> {
    let (create, update, delete): Rule = match type_name.as_str() {
        "AWS::AmazonMQ::Broker" => (amazonmq::create_broker, amazonmq::update_broker, let_go),
        "AWS::AmazonMQ::Configuration" => (
            amazonmq::create_configuration,
            amazonmq::update_configuration,
            amazonmq::delete_configuration,
        ),
        "AWS::Backup::BackupPlan" => (
            backup::create_plan,
            backup::update_plan,
            backup::delete_plan,
        ),
        "AWS::Backup::BackupSelection" => (backup::create_selection, take_over, let_go),
        "AWS::Backup::BackupVault" => (
            backup::create_vault,
            backup::update_vault,
            backup::delete_vault,
        ),
        "AWS::CertificateManager::Certificate" => (acm::create, acm::update, acm::delete),
        "AWS::CloudTrail::Trail" => (
            observability::create_trail,
            observability::update_trail,
            let_go,
        ),
        "AWS::CloudWatch::Alarm" => (
            observability::create_alarm,
            observability::update_alarm,
            let_go,
        ),
        "AWS::DynamoDB::Table" => (dynamodb::create, dynamodb::update, dynamodb::delete),
        "AWS::EC2::EIP" => (
            ec2_gateways::create_eip,
            take_over,
            ec2_gateways::delete_eip,
        ),
        "AWS::EC2::FlowLog" => (ec2_template::create_flow_log, take_over, let_go),
        "AWS::EC2::InternetGateway" => (
            ec2_gateways::create_internet_gateway,
            take_over,
            ec2_gateways::delete_internet_gateway,
        ),
        "AWS::EC2::LaunchTemplate" => (
            ec2_template::create_template,
            ec2_template::update_template,
            ec2_template::delete_template,
        ),
        "AWS::EC2::NatGateway" => (
            ec2_gateways::create_nat_gateway,
            take_over,
            ec2_gateways::delete_nat_gateway,
        ),
        "AWS::EC2::Route" => (ec2_routes::create_route, ec2_routes::update_route, let_go),
        "AWS::EC2::RouteTable" => (
            ec2_routes::create_route_table,
            take_over,
            ec2_routes::delete_route_table,
        ),
        "AWS::EC2::SecurityGroup" => (
            ec2_security::create_group,
            ec2_security::update_group,
            ec2_security::delete_group,
        ),
        "AWS::EC2::SecurityGroupEgress" => (ec2_security::create_egress, take_over, let_go),
        "AWS::EC2::SecurityGroupIngress" => (ec2_security::create_ingress, take_over, let_go),
        "AWS::EC2::Subnet" => (
            ec2_network::create_subnet,
            ec2_network::update_subnet,
            ec2_network::delete_subnet,
        ),
        "AWS::EC2::SubnetRouteTableAssociation" => {
            (ec2_routes::create_association, take_over, let_go)
        }
        "AWS::EC2::VPC" => (
            ec2_network::create_vpc,
            ec2_network::update_vpc,
            ec2_network::delete_vpc,
        ),
        "AWS::EC2::VPCCidrBlock" => (
            ec2_network::create_cidr_block,
            take_over,
            ec2_network::delete_cidr_block,
        ),
        "AWS::EC2::VPCEndpoint" => (
            ec2_routes::create_endpoint,
            ec2_routes::update_endpoint,
            let_go,
        ),
        "AWS::EC2::VPCGatewayAttachment" => (
            ec2_gateways::create_attachment,
            ec2_gateways::update_attachment,
            ec2_gateways::delete_attachment,
        ),
        "AWS::ECR::Repository" => (ecr::create, ecr::update, ecr::delete),
        "AWS::EKS::AccessEntry" => (eks_access::create_entry, eks_access::update_entry, let_go),
        "AWS::EKS::Addon" => (eks_addon::create, eks_addon::update, eks_addon::delete),
        "AWS::EKS::Capability" => (
            eks_access::create_capability,
            eks_access::update_capability,
            let_go,
        ),
        "AWS::EKS::Cluster" => (
            eks_cluster::create,
            eks_cluster::update,
            eks_cluster::delete,
        ),
        "AWS::EKS::Nodegroup" => (
            eks_nodegroup::create,
            eks_nodegroup::update,
            eks_nodegroup::delete,
        ),
        "AWS::EKS::PodIdentityAssociation" => (
            eks_access::create_association,
            eks_access::update_association,
            let_go,
        ),
        "AWS::ElastiCache::ParameterGroup" => (
            elasticache::create_parameter_group,
            take_over,
            elasticache::delete_parameter_group,
        ),
        "AWS::ElastiCache::ReplicationGroup" => {
            (elasticache::create_group, elasticache::update_group, let_go)
        }
        "AWS::ElastiCache::ServerlessCache" => (elasticache::create_serverless, take_over, let_go),
        "AWS::ElastiCache::SubnetGroup" => (
            elasticache::create_subnet_group,
            elasticache::update_subnet_group,
            elasticache::delete_subnet_group,
        ),
        "AWS::Events::Rule" => (messaging::create_rule, messaging::update_rule, let_go),
        "AWS::IAM::InstanceProfile" => (
            iam_attachments::create_profile,
            iam_attachments::update_profile,
            iam_attachments::delete_profile,
        ),
        "AWS::IAM::ManagedPolicy" => (
            iam_attachments::create_policy,
            iam_attachments::update_policy,
            iam_attachments::delete_policy,
        ),
        "AWS::IAM::OIDCProvider" => (
            iam_attachments::create_oidc_provider,
            iam_attachments::update_oidc_provider,
            iam_attachments::delete_oidc_provider,
        ),
        "AWS::IAM::Role" => (iam_role::create, iam_role::update, iam_role::delete),
        "AWS::IAM::RolePolicy" => (
            iam_attachments::create_role_policy,
            iam_attachments::update_role_policy,
            let_go,
        ),
        "AWS::IAM::ServiceLinkedRole" => (iam_attachments::create_linked_role, take_over, let_go),
        "AWS::KMS::Alias" => (kms::create_alias, kms::update_alias, let_go),
        "AWS::KMS::Key" => (kms::create_key, kms::update_key, kms::delete_key),
        "AWS::Logs::LogGroup" => (
            observability::create_log_group,
            observability::update_log_group,
            observability::delete_log_group,
        ),
        "AWS::Route53::HealthCheck" => (
            route53::create_health_check,
            route53::update_health_check,
            let_go,
        ),
        "AWS::Route53::HostedZone" => (
            route53::create_zone,
            route53::update_zone,
            route53::delete_zone,
        ),
        "AWS::S3::Bucket" => (s3::create_bucket, s3::update_bucket, s3::delete_bucket),
        "AWS::S3::BucketPolicy" => (s3::create_policy, s3::update_policy, let_go),
        "AWS::SNS::Subscription" => (messaging::create_subscription, take_over, let_go),
        "AWS::SNS::Topic" => (
            messaging::create_topic,
            messaging::update_topic,
            messaging::delete_topic,
        ),
        "AWS::SNS::TopicInlinePolicy" => (
            messaging::create_topic_policy,
            messaging::update_topic_policy,
            let_go,
        ),
        "AWS::SQS::Queue" => (
            messaging::create_queue,
            messaging::update_queue,
            messaging::delete_queue,
        ),
        "AWS::SQS::QueueInlinePolicy" => (
            messaging::create_queue_policy,
            messaging::update_queue_policy,
            let_go,
        ),
        "AWS::SSM::Parameter" => (
            observability::create_parameter,
            observability::update_parameter,
            let_go,
        ),
        "AWS::SecretsManager::Secret" => (
            secretsmanager::create,
            secretsmanager::update,
            secretsmanager::delete,
        ),
        "AWS::WAFv2::LoggingConfiguration" => {
            (wafv2::create_logging, wafv2::update_logging, let_go)
        }
        "AWS::WAFv2::WebACL" => (wafv2::create_acl, wafv2::update_acl, wafv2::delete_acl),
        "AWS::WAFv2::WebACLAssociation" => (wafv2::create_association, take_over, let_go),
        _ => return None,
    };
    Some(Rules {
        create,
        update,
        delete,
    })
}

type Rule = (
    fn(&Context<'_>, &Value, &mut Ids) -> Result<Outcome, Failure>,
    fn(&Context<'_>, &Entry, &Value, &mut Ids) -> Result<Outcome, Failure>,
    fn(&Context<'_>, &Entry) -> Result<Outcome, Failure>,
);
