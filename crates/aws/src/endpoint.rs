//! Where the services are that are called without an SDK, and how their requests are signed.

use catalog::regions;

use crate::session::Session;

/// A service that is called directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Acm,
    Budgets,
    CloudFormation,
    DynamoDb,
    Ec2,
    /// The price list, which has an endpoint in few regions: asked in the first of them.
    Pricing,
    ResourceTagging,
    /// Resource tagging in the partition's first region, which answers for what is in no region.
    ResourceTaggingGlobal,
    Route53,
    S3,
    SecretsManager,
    Sts,
    Quotas,
}

impl Service {
    /// The name in the signature's scope (each service's `signingName` in the AWS API models).
    pub(crate) fn signing_name(self) -> &'static str {
        match self {
            Self::Acm => "acm",
            Self::Budgets => "budgets",
            Self::CloudFormation => "cloudformation",
            Self::DynamoDb => "dynamodb",
            Self::Ec2 => "ec2",
            Self::Pricing => "pricing",
            Self::ResourceTagging | Self::ResourceTaggingGlobal => "tagging",
            Self::Route53 => "route53",
            Self::S3 => "s3",
            Self::SecretsManager => "secretsmanager",
            Self::Sts => "sts",
            Self::Quotas => "servicequotas",
        }
    }

    /// The region in the signature's scope: Route 53 and Budgets have one endpoint a partition, signed for the partition's
    /// own region (AWS general reference, service endpoints of both).
    pub(crate) fn signing_region(self, region: &str) -> String {
        match (self, regions::partition(region)) {
            (Self::Pricing, _) => "us-east-1",
            (Self::Route53 | Self::Budgets | Self::ResourceTaggingGlobal, "aws-cn") => {
                "cn-northwest-1"
            }
            (Self::Route53 | Self::Budgets | Self::ResourceTaggingGlobal, "aws-us-gov") => {
                "us-gov-west-1"
            }
            (Self::Route53 | Self::Budgets | Self::ResourceTaggingGlobal, _) => "us-east-1",
            _ => region,
        }
        .to_owned()
    }

    /// The URL without a path.
    pub(crate) fn url(self, session: &Session) -> String {
        if let Some(endpoint) = session.endpoint() {
            return endpoint.to_owned();
        }
        let region = &self.signing_region(session.region().as_str());
        let suffix = regions::dns_suffix(region);
        let name = self.signing_name();
        match (self, regions::partition(region)) {
            (Self::Route53, "aws-us-gov") => "https://route53.us-gov.amazonaws.com".to_owned(),
            (Self::Route53 | Self::Budgets, _) => format!("https://{name}.{suffix}"),
            // Its `endpointPrefix` is not its `signingName`.
            (Self::Pricing, _) => format!("https://api.{name}.{region}.{suffix}"),
            _ => format!("https://{name}.{region}.{suffix}"),
        }
    }

    /// The version of AWS JSON that the service speaks.
    pub(crate) fn json_version(self) -> &'static str {
        match self {
            Self::DynamoDb => "1.0",
            _ => "1.1",
        }
    }

    /// What stands before the operation in `X-Amz-Target` (each service's `targetPrefix` in the AWS API models).
    pub(crate) fn target_prefix(self) -> &'static str {
        match self {
            Self::Acm => "CertificateManager",
            Self::Budgets => "AWSBudgetServiceGateway",
            Self::DynamoDb => "DynamoDB_20120810",
            Self::ResourceTagging | Self::ResourceTaggingGlobal => {
                "ResourceGroupsTaggingAPI_20170126"
            }
            Self::Pricing => "AWSPriceListService",
            Self::SecretsManager => "secretsmanager",
            Self::Quotas => "ServiceQuotasV20190624",
            // These do not speak JSON.
            Self::CloudFormation | Self::Ec2 | Self::Route53 | Self::S3 | Self::Sts => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionOptions;
    use catalog::ids::Region;

    #[tokio::test]
    async fn the_price_list_is_asked_where_it_has_an_endpoint() {
        let session = Session::new(SessionOptions {
            endpoint: None,
            region: Region::new("eu-west-1").unwrap(),
            credentials: None,
            profile: None,
        });
        let session = session.await.unwrap();
        if session.endpoint().is_some() {
            return; // This machine's configuration stands in for every service.
        }
        // As botocore 1.43 resolves it.
        assert_eq!(
            Service::Pricing.url(&session),
            "https://api.pricing.us-east-1.amazonaws.com"
        );
        assert_eq!(Service::Pricing.signing_region("eu-west-1"), "us-east-1");
        assert_eq!(
            Service::Ec2.url(&session),
            "https://ec2.eu-west-1.amazonaws.com"
        );
    }
}
