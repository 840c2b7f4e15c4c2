//! Default quotas of an AWS account, with their codes in Service Quotas.
//!
//! Values are what a new account has (AWS general reference and the services' quota pages, as of 2026-11); codes as listed by
//! public catalogues of Service Quotas (gruntwork-io/terraform-aws-utilities 55f0c2d) and the EKS best practices guide,
//! "Known limits and service quotas". The live values are `servicequotas:GetServiceQuota`'s.

use crate::type_name::TypeName;

/// In what a quota is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In an account and region.
    Region,
    /// In an account.
    Account,
    /// In one resource of the type that the name of the quota says, such as subnets in a VPC.
    Parent(&'static str),
}

/// A limit on how many resources there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Code of the service in Service Quotas.
    pub service: &'static str,
    /// Code of the quota in Service Quotas.
    pub code: &'static str,
    /// Name of the quota in Service Quotas.
    pub name: &'static str,
    /// The type that is counted; `None` when something else is (vCPUs, rules).
    pub counts: Option<&'static str>,
    /// In what it is counted.
    pub scope: Scope,
    /// What a new account has.
    pub default: f64,
}

const fn quota(
    service: &'static str,
    code: &'static str,
    name: &'static str,
    counts: Option<&'static str>,
    scope: Scope,
    default: f64,
) -> Quota {
    Quota {
        service,
        code,
        name,
        counts,
        scope,
        default,
    }
}

/// The quotas that a platform can run into.
pub const QUOTAS: [Quota; 37] = [
    quota(
        "vpc",
        "L-F678F1CE",
        "VPCs per Region",
        Some("AWS::EC2::VPC"),
        Scope::Region,
        5.0,
    ),
    quota(
        "vpc",
        "L-407747CB",
        "Subnets per VPC",
        Some("AWS::EC2::Subnet"),
        Scope::Parent("VpcId"),
        200.0,
    ),
    quota(
        "vpc",
        "L-A4707A72",
        "Internet gateways per Region",
        Some("AWS::EC2::InternetGateway"),
        Scope::Region,
        5.0,
    ),
    quota(
        "vpc",
        "L-FE5A380F",
        "NAT gateways per Availability Zone",
        Some("AWS::EC2::NatGateway"),
        Scope::Parent("AvailabilityZone"),
        5.0,
    ),
    quota(
        "vpc",
        "L-589F43AA",
        "Route tables per VPC",
        Some("AWS::EC2::RouteTable"),
        Scope::Parent("VpcId"),
        200.0,
    ),
    quota(
        "vpc",
        "L-93826ACB",
        "Routes per route table",
        Some("AWS::EC2::Route"),
        Scope::Parent("RouteTableId"),
        50.0,
    ),
    quota(
        "vpc",
        "L-E79EC296",
        "VPC security groups per Region",
        Some("AWS::EC2::SecurityGroup"),
        Scope::Region,
        2500.0,
    ),
    quota(
        "vpc",
        "L-0EA8095F",
        "Inbound or outbound rules per security group",
        None,
        Scope::Parent("GroupId"),
        60.0,
    ),
    quota(
        "vpc",
        "L-2AFB9258",
        "Security groups per network interface",
        None,
        Scope::Parent("NetworkInterfaceId"),
        5.0,
    ),
    quota(
        "vpc",
        "L-1B52E74A",
        "Gateway VPC endpoints per Region",
        Some("AWS::EC2::VPCEndpoint"),
        Scope::Region,
        20.0,
    ),
    quota(
        "vpc",
        "L-29B6F2EB",
        "Interface VPC endpoints per VPC",
        Some("AWS::EC2::VPCEndpoint"),
        Scope::Parent("VpcId"),
        50.0,
    ),
    quota(
        "ec2",
        "L-0263D0A3",
        "EC2-VPC Elastic IPs",
        Some("AWS::EC2::EIP"),
        Scope::Region,
        5.0,
    ),
    // New accounts have 5 vCPUs of each; AWS raises them with use.
    quota(
        "ec2",
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        None,
        Scope::Region,
        5.0,
    ),
    quota(
        "ec2",
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        None,
        Scope::Region,
        5.0,
    ),
    quota(
        "eks",
        "L-1194D53C",
        "Clusters",
        Some("AWS::EKS::Cluster"),
        Scope::Region,
        100.0,
    ),
    quota(
        "eks",
        "L-6D54EA21",
        "Managed node groups per cluster",
        Some("AWS::EKS::Nodegroup"),
        Scope::Parent("ClusterName"),
        30.0,
    ),
    quota(
        "eks",
        "L-BD136A63",
        "Nodes per managed node group",
        None,
        Scope::Parent("NodegroupName"),
        450.0,
    ),
    quota(
        "iam",
        "L-FE177D64",
        "Roles per account",
        Some("AWS::IAM::Role"),
        Scope::Account,
        1000.0,
    ),
    quota(
        "iam",
        "L-E95E4862",
        "Customer managed policies per account",
        Some("AWS::IAM::ManagedPolicy"),
        Scope::Account,
        1500.0,
    ),
    quota(
        "iam",
        "L-0DA4ABF3",
        "Managed policies per role",
        None,
        Scope::Parent("RoleName"),
        10.0,
    ),
    quota(
        "iam",
        "L-6E65F664",
        "Instance profiles per account",
        Some("AWS::IAM::InstanceProfile"),
        Scope::Account,
        1000.0,
    ),
    quota(
        "iam",
        "L-858F3967",
        "OpenId connect providers per account",
        Some("AWS::IAM::OIDCProvider"),
        Scope::Account,
        100.0,
    ),
    quota(
        "iam",
        "L-C07B4B0D",
        "Role trust policy length",
        None,
        Scope::Parent("RoleName"),
        2048.0,
    ),
    quota(
        "elasticache",
        "L-DFE45DF3",
        "Nodes per Region",
        None,
        Scope::Region,
        300.0,
    ),
    quota(
        "elasticache",
        "L-3E7F7726",
        "Subnet groups per Region",
        Some("AWS::ElastiCache::SubnetGroup"),
        Scope::Region,
        300.0,
    ),
    quota(
        "mq",
        "L-4D525FD5",
        "Number of brokers, per region",
        Some("AWS::AmazonMQ::Broker"),
        Scope::Region,
        200.0,
    ),
    quota(
        "elasticloadbalancing",
        "L-53DA6B97",
        "Application Load Balancers per Region",
        Some("AWS::ElasticLoadBalancingV2::LoadBalancer"),
        Scope::Region,
        50.0,
    ),
    quota(
        "elasticloadbalancing",
        "L-69A177A2",
        "Network Load Balancers per Region",
        Some("AWS::ElasticLoadBalancingV2::LoadBalancer"),
        Scope::Region,
        50.0,
    ),
    quota(
        "elasticloadbalancing",
        "L-B22855CB",
        "Target Groups per Region",
        Some("AWS::ElasticLoadBalancingV2::TargetGroup"),
        Scope::Region,
        3000.0,
    ),
    quota(
        "wafv2",
        "L-2EC3DE7B",
        "Maximum web ACLs per account in WAF for regional",
        Some("AWS::WAFv2::WebACL"),
        Scope::Region,
        100.0,
    ),
    quota(
        "acm",
        "L-F141DD1D",
        "ACM certificates",
        Some("AWS::CertificateManager::Certificate"),
        Scope::Region,
        2500.0,
    ),
    quota(
        "dynamodb",
        "L-F98FE922",
        "Maximum number of tables",
        Some("AWS::DynamoDB::Table"),
        Scope::Region,
        2500.0,
    ),
    quota(
        "s3",
        "L-DC2B2D3D",
        "General purpose buckets",
        Some("AWS::S3::Bucket"),
        Scope::Account,
        10_000.0,
    ),
    quota(
        "kms",
        "L-C2F1777E",
        "Customer Master Keys (CMKs)",
        Some("AWS::KMS::Key"),
        Scope::Region,
        100_000.0,
    ),
    quota(
        "ecr",
        "L-CFEB8E8D",
        "Registered repositories",
        Some("AWS::ECR::Repository"),
        Scope::Region,
        100_000.0,
    ),
    quota(
        "acm",
        "L-FB94F0B0",
        "Domain names per ACM certificate",
        None,
        Scope::Parent("CertificateArn"),
        10.0,
    ),
    quota(
        "elasticloadbalancing",
        "L-7EED9B64",
        "Rules per Application Load Balancer",
        None,
        Scope::Parent("LoadBalancerArn"),
        100.0,
    ),
];

/// The quota with this code in Service Quotas.
#[must_use]
pub fn by_code(code: &str) -> Option<&'static Quota> {
    QUOTAS.iter().find(|quota| quota.code == code)
}

/// The quotas that count resources of the type, the narrowest scope last.
pub fn counting(type_name: &TypeName) -> impl Iterator<Item = &'static Quota> + use<'_> {
    QUOTAS
        .iter()
        .filter(|quota| quota.counts.is_some_and(|counted| *type_name == counted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_types_known() {
        assert_eq!(
            QUOTAS
                .iter()
                .map(|quota| quota.code)
                .collect::<BTreeSet<_>>()
                .len(),
            QUOTAS.len()
        );
        for quota in QUOTAS {
            assert!(
                quota.code.len() == 10 && quota.code.starts_with("L-"),
                "{}",
                quota.code
            );
            if let Some(name) = quota.counts {
                assert!(crate::schema(&name.parse().unwrap()).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn the_small_ones() {
        assert_eq!(by_code("L-F678F1CE").map(|quota| quota.default), Some(5.0));
        let addresses: Vec<_> = counting(&TypeName::new("AWS::EC2::EIP")).collect();
        assert_eq!((addresses.len(), addresses[0].default), (1, 5.0));
        assert_eq!(counting(&TypeName::new("AWS::EC2::Unheard")).count(), 0);
    }
}
