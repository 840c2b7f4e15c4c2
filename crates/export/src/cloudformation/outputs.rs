//! What of a platform its people ask for: which attributes of which types are outputs of the root template.

use catalog::{PropertyPath, TypeName};

/// By type, the attributes that somebody outside the stack needs: to reach what is there (end points, URIs), to configure
/// the cluster's controllers (roles, instance profiles, queues, security groups), to delegate a domain.
const SHOWN: [(&str, &[&str]); 15] = [
    ("AWS::AmazonMQ::Broker", &["AmqpEndpoints", "ConsoleURLs"]),
    ("AWS::CertificateManager::Certificate", &["CertificateArn"]),
    ("AWS::DynamoDB::Table", &["TableName"]),
    ("AWS::EC2::Subnet", &["SubnetId"]),
    ("AWS::EC2::VPC", &["VpcId"]),
    ("AWS::ECR::Repository", &["RepositoryUri"]),
    (
        "AWS::EKS::Cluster",
        &[
            "Name",
            "Endpoint",
            "OpenIdConnectIssuerUrl",
            "ClusterSecurityGroupId",
        ],
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        &["PrimaryEndPoint.Address"],
    ),
    ("AWS::IAM::InstanceProfile", &["InstanceProfileName"]),
    ("AWS::IAM::Role", &["Arn"]),
    ("AWS::Route53::HostedZone", &["Id", "NameServers"]),
    ("AWS::S3::Bucket", &["BucketName"]),
    ("AWS::SQS::Queue", &["QueueUrl"]),
    ("AWS::SecretsManager::Secret", &["Id"]),
    ("AWS::WAFv2::WebACL", &["Arn"]),
];

/// The attributes of a type that are shown.
pub(super) fn shown(type_name: &TypeName) -> impl Iterator<Item = PropertyPath> {
    SHOWN
        .iter()
        .filter(move |(name, _)| *name == type_name.as_str())
        .flat_map(|(_, attributes)| attributes.iter())
        .map(|attribute| PropertyPath::from_segments(attribute.split('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shown_attribute_exists() {
        for (name, attributes) in SHOWN {
            let schema = catalog::schema(&name.parse().unwrap()).unwrap();
            for attribute in attributes {
                let path = PropertyPath::from_segments(attribute.split('.'));
                assert!(schema.property(&path).is_some(), "{name}.{attribute}");
            }
        }
    }
}
