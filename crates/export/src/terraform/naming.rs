//! Names in Terraform: the `awscc` provider's own rules for types and attributes, and labels made of addresses.
//!
//! The rules are those of terraform-provider-awscc 1.96 (internal/naming/naming.go and
//! internal/provider/generators/shared/codegen/emitter.go).

use catalog::TypeName;
use catalog::ids::Address;

use crate::module::Module;

/// Types that `awscc` cannot manage although CloudFormation can.
///
/// - `AWS::EKS::Nodegroup`, `AWS::AmazonMQ::Broker`, `AWS::WAFv2::WebACL`, `AWS::Budgets::Budget`: suppressed in the
///   provider's all_schemas.hcl (names that collide with `id`, schemas that contain themselves, not provisionable).
/// - `AWS::Route53::RecordSet`: its schema in the provider has no handlers.
const NOT_IN_AWSCC: [&str; 5] = [
    "AWS::AmazonMQ::Broker",
    "AWS::Budgets::Budget",
    "AWS::EKS::Nodegroup",
    "AWS::Route53::RecordSet",
    "AWS::WAFv2::WebACL",
];

/// Whether `awscc` manages a type.
pub(super) fn is_in_awscc(type_name: &TypeName) -> bool {
    !NOT_IN_AWSCC.contains(&type_name.as_str())
}

/// `awscc_ec2_vpc_endpoint` for `AWS::EC2::VPCEndpoint`.
pub(super) fn awscc_type(type_name: &TypeName) -> String {
    let mut parts = type_name.as_str().splitn(3, "::").skip(1);
    let service = parts.next().unwrap_or_default().to_ascii_lowercase();
    let resource = parts.next().unwrap_or_default();
    format!("awscc_{service}_{}", attribute(resource))
}

/// The name of one of a type's own attributes: `Id` is taken by Terraform itself and is called after the type.
pub(super) fn root_attribute(type_name: &TypeName, property: &str) -> String {
    match attribute(property).as_str() {
        "id" => {
            let resource = type_name.as_str().rsplit("::").next().unwrap_or_default();
            format!("{}_id", attribute(resource))
        }
        "provider" => "provider_name".to_owned(),
        name => name.to_owned(),
    }
}

/// What the provider writes differently before it looks at capitals.
const SPELLINGS: [(&str, &str); 6] = [
    ("CloudFormation", "Cloudformation"),
    ("CloudFront", "Cloudfront"),
    ("CloudWatch", "Cloudwatch"),
    ("CNAMEs", "Cnames"),
    ("FSx", "Fsx"),
    ("OTel", "Otel"),
];

/// `cluster_security_group_id` for `ClusterSecurityGroupId`.
pub(super) fn attribute(property: &str) -> String {
    let mut name = property.trim().to_owned();
    for (theirs, ours) in SPELLINGS {
        name = name.replace(theirs, ours);
    }
    let characters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, character) in characters.iter().enumerate() {
        let next = characters.get(index + 1);
        let (upper, lower) = (
            character.is_ascii_uppercase(),
            character.is_ascii_lowercase(),
        );
        let digit = character.is_ascii_digit();
        // A capital that begins a word ends a row of capitals: `VPCEndpoint` is `vpc_endpoint`.
        if upper
            && next.is_some_and(char::is_ascii_lowercase)
            && index > 0
            && characters[index - 1].is_ascii_uppercase()
        {
            out.push('_');
        }
        out.push(if upper || lower || digit {
            character.to_ascii_lowercase()
        } else {
            '_'
        });
        // A word ends before a capital or a digit; digits are words of their own only after small letters.
        if lower && next.is_some_and(|next| next.is_ascii_uppercase() || next.is_ascii_digit()) {
            out.push('_');
        }
    }
    out
}

/// A text as a Terraform name: small letters, digits and `_`, not beginning with a digit.
pub(super) fn identifier(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            out.push(character.to_ascii_lowercase());
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
    }
    let out = out.trim_end_matches('_');
    if out.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{out}")
    } else {
        out.to_owned()
    }
}

/// A resource's label: its address without what the module says already.
pub(super) fn label(module: Module, address: &Address) -> String {
    let text = address.as_str();
    let rest = match text.split_once('/') {
        Some((component, rest)) if component == module.name() || component == rest => rest,
        _ => text,
    };
    identifier(rest)
}

/// An output's name: the label and the attribute, without the words that both say (`subnet_a`, `subnet_id` is
/// `subnet_a_id`).
pub(super) fn output(label: &str, attribute: &str) -> String {
    let words: Vec<&str> = label.split('_').collect();
    let mut rest: Vec<&str> = attribute.split('_').collect();
    let shared = (1..rest.len())
        .rev()
        .find(|count| words.ends_with(&rest[..*count]) || words.starts_with(&rest[..*count]))
        .unwrap_or_default();
    rest.drain(..shared);
    format!("{label}_{}", rest.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_called_as_the_provider_calls_them() {
        // Names of the provider's documentation.
        for (property, name) in [
            ("OpenIdConnectIssuerUrl", "open_id_connect_issuer_url"),
            ("MultiAZEnabled", "multi_az_enabled"),
            ("VPCs", "vp_cs"),
            ("CidrIpv6", "cidr_ipv_6"),
            ("AWSServiceName", "aws_service_name"),
            ("CloudWatchLogsLogGroupArn", "cloudwatch_logs_log_group_arn"),
            ("SSEAlgorithm", "sse_algorithm"),
            ("S3BucketName", "s3_bucket_name"),
            ("VPCEndpoint", "vpc_endpoint"),
        ] {
            assert_eq!(attribute(property), name);
        }
        let hosted_zone = "AWS::Route53::HostedZone".parse().unwrap();
        assert_eq!(awscc_type(&hosted_zone), "awscc_route53_hosted_zone");
        assert_eq!(root_attribute(&hosted_zone, "Id"), "hosted_zone_id");
    }

    #[test]
    fn labels_and_outputs_do_not_say_things_twice() {
        let label = |module, address: &str| label(module, &Address::new(address).unwrap());
        assert_eq!(
            label(Module::Network, "network/subnet/private-a"),
            "subnet_private_a"
        );
        assert_eq!(label(Module::Eks, "cluster/cluster"), "cluster");
        assert_eq!(label(Module::Eks, "cluster/role"), "cluster_role");
        assert_eq!(
            output("subnet_private_a", "subnet_id"),
            "subnet_private_a_id"
        );
        assert_eq!(output("vpc", "vpc_id"), "vpc_id");
        assert_eq!(output("cluster", "name"), "cluster_name");
    }
}
