//! Names: that they fit what AWS takes, and how other texts become parts of an address.

use catalog::names::NameKind;
use graph::Value;

use crate::Error;
use crate::draft::Draft;

/// The length of an account's id, which some names end with.
const ACCOUNT: &str = "000000000000";

/// The property of a type that is a name of ours, and the kind of name that it is.
fn name_property(type_name: &str) -> Option<(&'static str, NameKind)> {
    Some(match type_name {
        "AWS::AmazonMQ::Broker" => ("BrokerName", NameKind::MqBroker),
        "AWS::Backup::BackupVault" => ("BackupVaultName", NameKind::BackupVault),
        "AWS::CloudTrail::Trail" => ("TrailName", NameKind::Trail),
        "AWS::DynamoDB::Table" => ("TableName", NameKind::DynamoDbTable),
        "AWS::EC2::LaunchTemplate" => ("LaunchTemplateName", NameKind::LaunchTemplate),
        "AWS::EC2::SecurityGroup" => ("GroupName", NameKind::SecurityGroup),
        "AWS::ECR::Repository" => ("RepositoryName", NameKind::EcrRepository),
        "AWS::EKS::Cluster" => ("Name", NameKind::EksCluster),
        "AWS::EKS::Nodegroup" => ("NodegroupName", NameKind::EksNodegroup),
        "AWS::ElastiCache::ReplicationGroup" => {
            ("ReplicationGroupId", NameKind::ElastiCacheReplicationGroup)
        }
        "AWS::ElastiCache::SubnetGroup" => {
            ("CacheSubnetGroupName", NameKind::ElastiCacheSubnetGroup)
        }
        "AWS::Events::Rule" => ("Name", NameKind::EventsRule),
        "AWS::IAM::InstanceProfile" => ("InstanceProfileName", NameKind::IamInstanceProfile),
        "AWS::IAM::Role" => ("RoleName", NameKind::IamRole),
        "AWS::KMS::Alias" => ("AliasName", NameKind::KmsAlias),
        "AWS::Logs::LogGroup" => ("LogGroupName", NameKind::LogGroup),
        "AWS::S3::Bucket" => ("BucketName", NameKind::S3Bucket),
        "AWS::SQS::Queue" => ("QueueName", NameKind::SqsQueue),
        "AWS::SecretsManager::Secret" => ("Name", NameKind::Secret),
        "AWS::WAFv2::WebACL" => ("Name", NameKind::WebAcl),
        _ => return None,
    })
}

/// Whether the draft's name fits.
pub(crate) fn check(draft: &Draft) -> Option<Error> {
    let (property, kind) = name_property(draft.type_name.as_str())?;
    let name = text(draft.properties.get(property)?)?;
    let why = catalog::names::check(kind, &name).err()?;
    Some(Error::Name {
        address: draft.address.clone(),
        why,
    })
}

/// The text of a name: literals, with the account's id in them.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Parameter(_) => Some(ACCOUNT.to_owned()),
        Value::Join(parts) => parts.iter().map(text).collect(),
        _ => None,
    }
}

/// A text as part of an address: lower-case, and a hyphen for whatever an address does not take.
pub(crate) fn slug(text: &str) -> String {
    text.chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.') => c,
            _ => '-',
        })
        .collect()
}
