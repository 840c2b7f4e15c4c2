//! From an ARN to the type of its resource and the identifier by which Cloud Control knows it.
//!
//! The resource tagging API speaks in ARNs. Most identifiers are a part of the ARN; the rules for the others are here. Forms
//! of the ARNs: Service Authorization Reference, "Resource types defined by …" of each service.

use catalog::{TypeName, regions};

/// How the identifier is made of the part after the rule's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// That part itself.
    Rest,
    /// What follows its last slash or colon.
    Last,
    /// The whole ARN.
    Arn,
    /// `cluster/name/uuid` → `cluster/name`.
    Nodegroup,
    /// `cluster/name/uuid` → `cluster|name`.
    Addon,
    /// `regional/webacl/name/id` → `name|id|REGIONAL`.
    WebAcl,
    /// `https://sqs.<region>.<suffix>/<account>/<name>`.
    QueueUrl,
    /// A compound identifier of which the ARN has the last part only: one of the list ends with it.
    Suffix,
    /// The ARN does not tell.
    Unknown,
}

/// What an ARN says of a resource's Cloud Control identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ByArn {
    /// This is it.
    Identifier(String),
    /// It ends with this.
    EndsWith(String),
    /// Nothing.
    Unknown,
}

/// Type, service and beginning of the resource part of the ARN.
const RULES: [(&str, &str, &str, Form); 53] = [
    ("AWS::AmazonMQ::Broker", "mq", "broker:", Form::Last),
    (
        "AWS::AmazonMQ::Configuration",
        "mq",
        "configuration:",
        Form::Last,
    ),
    (
        "AWS::Backup::BackupPlan",
        "backup",
        "backup-plan:",
        Form::Rest,
    ),
    (
        "AWS::Backup::BackupVault",
        "backup",
        "backup-vault:",
        Form::Rest,
    ),
    ("AWS::Budgets::Budget", "budgets", "budget/", Form::Rest),
    (
        "AWS::CertificateManager::Certificate",
        "acm",
        "certificate/",
        Form::Arn,
    ),
    ("AWS::CloudTrail::Trail", "cloudtrail", "trail/", Form::Rest),
    ("AWS::CloudWatch::Alarm", "cloudwatch", "alarm:", Form::Rest),
    ("AWS::DynamoDB::Table", "dynamodb", "table/", Form::Rest),
    ("AWS::EC2::EIP", "ec2", "elastic-ip/", Form::Suffix),
    ("AWS::EC2::FlowLog", "ec2", "vpc-flow-log/", Form::Rest),
    (
        "AWS::EC2::InternetGateway",
        "ec2",
        "internet-gateway/",
        Form::Rest,
    ),
    (
        "AWS::EC2::LaunchTemplate",
        "ec2",
        "launch-template/",
        Form::Rest,
    ),
    ("AWS::EC2::NatGateway", "ec2", "natgateway/", Form::Rest),
    ("AWS::EC2::RouteTable", "ec2", "route-table/", Form::Rest),
    (
        "AWS::EC2::SecurityGroup",
        "ec2",
        "security-group/",
        Form::Rest,
    ),
    (
        "AWS::EC2::SecurityGroupIngress",
        "ec2",
        "security-group-rule/",
        Form::Rest,
    ),
    ("AWS::EC2::Subnet", "ec2", "subnet/", Form::Rest),
    ("AWS::EC2::VPC", "ec2", "vpc/", Form::Rest),
    ("AWS::EC2::VPCEndpoint", "ec2", "vpc-endpoint/", Form::Rest),
    ("AWS::ECR::Repository", "ecr", "repository/", Form::Rest),
    (
        "AWS::EKS::AccessEntry",
        "eks",
        "access-entry/",
        Form::Unknown,
    ),
    ("AWS::EKS::Addon", "eks", "addon/", Form::Addon),
    ("AWS::EKS::Capability", "eks", "capability/", Form::Arn),
    ("AWS::EKS::Cluster", "eks", "cluster/", Form::Rest),
    ("AWS::EKS::Nodegroup", "eks", "nodegroup/", Form::Nodegroup),
    (
        "AWS::EKS::PodIdentityAssociation",
        "eks",
        "podidentityassociation/",
        Form::Arn,
    ),
    (
        "AWS::ElastiCache::ParameterGroup",
        "elasticache",
        "parametergroup:",
        Form::Rest,
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        "elasticache",
        "replicationgroup:",
        Form::Rest,
    ),
    (
        "AWS::ElastiCache::ServerlessCache",
        "elasticache",
        "serverlesscache:",
        Form::Rest,
    ),
    (
        "AWS::ElastiCache::SubnetGroup",
        "elasticache",
        "subnetgroup:",
        Form::Rest,
    ),
    (
        "AWS::ElasticLoadBalancingV2::Listener",
        "elasticloadbalancing",
        "listener/",
        Form::Arn,
    ),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "elasticloadbalancing",
        "loadbalancer/",
        Form::Arn,
    ),
    (
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "elasticloadbalancing",
        "targetgroup/",
        Form::Arn,
    ),
    ("AWS::Events::Rule", "events", "rule/", Form::Arn),
    (
        "AWS::IAM::InstanceProfile",
        "iam",
        "instance-profile/",
        Form::Last,
    ),
    ("AWS::IAM::ManagedPolicy", "iam", "policy/", Form::Arn),
    ("AWS::IAM::OIDCProvider", "iam", "oidc-provider/", Form::Arn),
    ("AWS::IAM::Role", "iam", "role/", Form::Last),
    ("AWS::KMS::Key", "kms", "key/", Form::Rest),
    ("AWS::Logs::LogGroup", "logs", "log-group:", Form::Rest),
    ("AWS::RDS::DBCluster", "rds", "cluster:", Form::Rest),
    (
        "AWS::Route53::HealthCheck",
        "route53",
        "healthcheck/",
        Form::Rest,
    ),
    (
        "AWS::Route53::HostedZone",
        "route53",
        "hostedzone/",
        Form::Rest,
    ),
    ("AWS::SSM::Parameter", "ssm", "parameter/", Form::Rest),
    (
        "AWS::SecretsManager::Secret",
        "secretsmanager",
        "secret:",
        Form::Arn,
    ),
    (
        "AWS::WAFv2::WebACL",
        "wafv2",
        "regional/webacl/",
        Form::WebAcl,
    ),
    (
        "AWS::WAFv2::WebACL",
        "wafv2",
        "global/webacl/",
        Form::WebAcl,
    ),
    (
        "AWS::CloudFormation::Stack",
        "cloudformation",
        "stack/",
        Form::Arn,
    ),
    // Services with one kind of resource, whose ARN has no word for it.
    ("AWS::S3::Bucket", "s3", "", Form::Rest),
    ("AWS::SNS::Subscription", "sns", "", Form::Arn),
    ("AWS::SNS::Topic", "sns", "", Form::Arn),
    ("AWS::SQS::Queue", "sqs", "", Form::QueueUrl),
];

struct Parts<'a> {
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

fn parts(arn: &str) -> Option<Parts<'_>> {
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return None;
    }
    let _partition = parts.next()?;
    Some(Parts {
        service: parts.next()?,
        region: parts.next()?,
        account: parts.next()?,
        resource: parts.next()?,
    })
}

fn matches(rule: &(&str, &str, &str, Form), parts: &Parts<'_>) -> bool {
    let (type_name, service, prefix, _) = *rule;
    let kind_fits = match type_name {
        "AWS::S3::Bucket" => !parts.resource.contains('/'),
        "AWS::SNS::Topic" => !parts.resource.contains(':'),
        "AWS::SNS::Subscription" => parts.resource.contains(':'),
        _ => true,
    };
    service == parts.service && parts.resource.starts_with(prefix) && kind_fits
}

/// The type of the resource that an ARN names; none when no type that the product makes has such ARNs.
pub(crate) fn type_of(arn: &str) -> Option<TypeName> {
    let parts = parts(arn)?;
    let (name, ..) = RULES.iter().find(|rule| matches(rule, &parts))?;
    name.parse().ok()
}

/// What the ARN says of the identifier of a resource of the type. None when it is the ARN of another type.
pub(crate) fn identifier(type_name: &TypeName, arn: &str) -> Option<ByArn> {
    let parts = parts(arn)?;
    let (.., prefix, form) = *RULES
        .iter()
        .find(|rule| *type_name == *rule.0 && matches(rule, &parts))?;
    let rest = parts.resource.strip_prefix(prefix).unwrap_or_default();
    let segments: Vec<&str> = rest.split('/').collect();
    let found = match (form, segments.as_slice()) {
        (Form::Rest, _) => Some(rest.trim_end_matches(":*").to_owned()),
        (Form::Last, _) => rest.rsplit(['/', ':']).next().map(str::to_owned),
        (Form::Arn, _) => Some(arn.to_owned()),
        (Form::Nodegroup, [cluster, name, ..]) => Some(format!("{cluster}/{name}")),
        (Form::Addon, [cluster, name, ..]) => Some(format!("{cluster}|{name}")),
        (Form::WebAcl, [name, id]) => {
            let scope = if prefix.starts_with("global") {
                "CLOUDFRONT"
            } else {
                "REGIONAL"
            };
            Some(format!("{name}|{id}|{scope}"))
        }
        (Form::QueueUrl, _) => Some(format!(
            "https://sqs.{}.{}/{}/{rest}",
            parts.region,
            regions::dns_suffix(parts.region),
            parts.account
        )),
        (Form::Suffix, _) => return Some(ByArn::EndsWith(format!("|{rest}"))),
        (Form::Nodegroup | Form::Addon | Form::WebAcl | Form::Unknown, _) => None,
    };
    Some(found.map_or(ByArn::Unknown, ByArn::Identifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_about_a_type() {
        for (name, ..) in RULES {
            assert!(name.parse::<TypeName>().is_ok(), "{name}");
        }
        // A type that is tagged must be found again by its ARN.
        let known: Vec<&str> = RULES.iter().map(|(name, ..)| *name).collect();
        for schema in catalog::schemas().filter(|schema| schema.tagging().taggable) {
            assert!(
                known.contains(&schema.type_name().as_str()),
                "{}",
                schema.type_name()
            );
        }
    }

    #[test]
    fn identifiers_are_as_cloud_control_has_them() {
        let cases = [
            (
                "AWS::EC2::VPC",
                "arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0a1b",
                "vpc-0a1b",
            ),
            (
                "AWS::AmazonMQ::Broker",
                "arn:aws:mq:eu-central-1:123456789012:broker:shop-dev:b-1234",
                "b-1234",
            ),
            (
                "AWS::EKS::Nodegroup",
                "arn:aws:eks:eu-central-1:123456789012:nodegroup/shop-dev/system/1cb2",
                "shop-dev/system",
            ),
            (
                "AWS::EKS::Addon",
                "arn:aws:eks:eu-central-1:123456789012:addon/shop-dev/coredns/1cb2",
                "shop-dev|coredns",
            ),
            (
                "AWS::IAM::Role",
                "arn:aws:iam::123456789012:role/team/shop-dev-node",
                "shop-dev-node",
            ),
            (
                "AWS::Logs::LogGroup",
                "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/eks/shop-dev/cluster:*",
                "/aws/eks/shop-dev/cluster",
            ),
            (
                "AWS::ECR::Repository",
                "arn:aws:ecr:eu-central-1:123456789012:repository/shop/api",
                "shop/api",
            ),
            (
                "AWS::SQS::Queue",
                "arn:aws-cn:sqs:cn-north-1:123456789012:shop",
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/shop",
            ),
            (
                "AWS::WAFv2::WebACL",
                "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/shop/a1-b2",
                "shop|a1-b2|REGIONAL",
            ),
            ("AWS::S3::Bucket", "arn:aws:s3:::shop-state", "shop-state"),
        ];
        for (type_name, arn, expected) in cases {
            let type_name: TypeName = type_name.parse().unwrap();
            assert_eq!(
                identifier(&type_name, arn),
                Some(ByArn::Identifier(expected.to_owned()))
            );
            assert_eq!(type_of(arn), Some(type_name), "{arn}");
        }
        let address = "arn:aws:ec2:eu-central-1:123456789012:elastic-ip/eipalloc-1";
        assert_eq!(
            identifier(&TypeName::new("AWS::EC2::EIP"), address),
            Some(ByArn::EndsWith("|eipalloc-1".to_owned()))
        );
        assert_eq!(identifier(&TypeName::new("AWS::EC2::VPC"), address), None);
    }
}
