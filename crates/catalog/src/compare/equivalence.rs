//! Values that AWS takes for the same.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::policy;
use crate::property_path::PropertyPath;
use crate::type_name::TypeName;

/// Whether two scalars are the same but for how they are typed: `"1"` and `1`, `"true"` and `true`; networks by what they
/// contain; a KMS key by its id or its ARN.
pub(super) fn same_scalar(left: &Value, right: &Value) -> bool {
    if left == right {
        return true;
    }
    let (Some(left), Some(right)) = (text(left), text(right)) else {
        return false;
    };
    left == right
        || same_number(&left, &right)
        || same_network(&left, &right)
        || same_key(&left, &right)
}

pub(super) fn same_in_any_case(left: &Value, right: &Value) -> bool {
    match (text(left), text(right)) {
        (Some(left), Some(right)) => left.eq_ignore_ascii_case(&right),
        _ => false,
    }
}

/// Whether two free documents, each as JSON or as text that holds JSON, say the same: policies by what they allow,
/// others by all their values.
pub(super) fn same_document(left: &Value, right: &Value) -> bool {
    let (left, right) = (unpacked(left), unpacked(right));
    match (policy::canonical(&left), policy::canonical(&right)) {
        (Some(left), Some(right)) => left == right,
        _ => same_deep(&left, &right),
    }
}

fn same_deep(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| same_deep(value, other)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(value, other)| same_deep(value, other))
        }
        // Text that ends with a line break reads back without it (propertyTransform of AWS::EKS::Addon).
        (Value::String(left), Value::String(right)) => {
            left.trim_end_matches('\n') == right.trim_end_matches('\n')
        }
        _ => same_scalar(left, right),
    }
}

/// The document in a text that holds one.
fn unpacked(value: &Value) -> Cow<'_, Value> {
    match value
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
    {
        Some(inner) if inner.is_object() || inner.is_array() => Cow::Owned(inner),
        _ => Cow::Borrowed(value),
    }
}

/// A spelling that a type, or a property by its name, takes for another.
#[derive(Clone, Copy)]
enum Rule {
    /// Upper and lower case are the same.
    AnyCase,
    /// A DNS name: no case, a dot at the end or not.
    DnsName,
    /// A URL with its scheme or without.
    Url,
    /// A version that reads back fuller: `7.1` as `7.1.0`.
    Version,
    /// An IP protocol by its number or its name.
    Protocol,
}

/// By type and path. From the `propertyTransform`s of the official schemas (the first two kinds), from the API references
/// ("this parameter is stored as a lowercase string", ElastiCache and RDS), and for the provider's URL from
/// `iam:GetOpenIDConnectProvider`, which returns it without `https://`.
const RULES: [(&str, &str, Rule); 29] = [
    (
        "AWS::AmazonMQ::Broker",
        "AuthenticationStrategy",
        Rule::AnyCase,
    ),
    (
        "AWS::AmazonMQ::Broker",
        "DataReplicationMode",
        Rule::AnyCase,
    ),
    ("AWS::AmazonMQ::Broker", "DeploymentMode", Rule::AnyCase),
    ("AWS::AmazonMQ::Broker", "EngineType", Rule::AnyCase),
    (
        "AWS::AmazonMQ::Broker",
        "MaintenanceWindowStartTime.DayOfWeek",
        Rule::AnyCase,
    ),
    ("AWS::AmazonMQ::Broker", "StorageType", Rule::AnyCase),
    (
        "AWS::AmazonMQ::Configuration",
        "AuthenticationStrategy",
        Rule::AnyCase,
    ),
    ("AWS::AmazonMQ::Configuration", "EngineType", Rule::AnyCase),
    (
        "AWS::CertificateManager::Certificate",
        "DomainName",
        Rule::DnsName,
    ),
    (
        "AWS::CertificateManager::Certificate",
        "SubjectAlternativeNames.*",
        Rule::DnsName,
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        "PreferredMaintenanceWindow",
        Rule::AnyCase,
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        "ReplicationGroupId",
        Rule::AnyCase,
    ),
    (
        "AWS::ElastiCache::ServerlessCache",
        "ServerlessCacheName",
        Rule::AnyCase,
    ),
    (
        "AWS::ElastiCache::SubnetGroup",
        "CacheSubnetGroupName",
        Rule::AnyCase,
    ),
    ("AWS::IAM::OIDCProvider", "Url", Rule::Url),
    ("AWS::RDS::DBCluster", "DBClusterIdentifier", Rule::AnyCase),
    (
        "AWS::RDS::DBCluster",
        "DBClusterParameterGroupName",
        Rule::AnyCase,
    ),
    ("AWS::RDS::DBCluster", "DBSubnetGroupName", Rule::AnyCase),
    ("AWS::RDS::DBCluster", "Engine", Rule::AnyCase),
    ("AWS::RDS::DBCluster", "NetworkType", Rule::AnyCase),
    (
        "AWS::RDS::DBCluster",
        "PreferredMaintenanceWindow",
        Rule::AnyCase,
    ),
    ("AWS::RDS::DBCluster", "StorageType", Rule::AnyCase),
    ("AWS::Route53::HostedZone", "Name", Rule::DnsName),
    (
        "AWS::Route53::RecordSet",
        "AliasTarget.DNSName",
        Rule::DnsName,
    ),
    ("AWS::Route53::RecordSet", "HostedZoneName", Rule::DnsName),
    ("AWS::Route53::RecordSet", "Name", Rule::DnsName),
    (
        "AWS::S3::Bucket",
        "NotificationConfiguration.*.*.Filter.S3Key.Rules.*.Name",
        Rule::AnyCase,
    ),
    (
        "AWS::WAFv2::LoggingConfiguration",
        "RedactedFields.*.SingleHeader.Name",
        Rule::AnyCase,
    ),
    (
        "AWS::WAFv2::WebACL",
        "Rules.*.Statement.*.FieldToMatch.SingleHeader.Name",
        Rule::AnyCase,
    ),
];

/// Whether the property's own rule makes two values the same.
pub(super) fn same_by_rule(
    type_name: &TypeName,
    pattern: &PropertyPath,
    left: &Value,
    right: &Value,
) -> bool {
    let (Some(left), Some(right)) = (text(left), text(right)) else {
        return false;
    };
    let rule = match pattern.last() {
        Some("EngineVersion" | "MajorEngineVersion") => Some(Rule::Version),
        Some("IpProtocol") => Some(Rule::Protocol),
        _ => RULES
            .iter()
            .find(|(name, path, _)| {
                *type_name == **name
                    && path
                        .parse::<PropertyPath>()
                        .is_ok_and(|path| path.matches(pattern))
            })
            .map(|(_, _, rule)| *rule),
    };
    match rule {
        Some(Rule::AnyCase) => left.eq_ignore_ascii_case(&right),
        Some(Rule::DnsName) => {
            let name = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
            name(&left) == name(&right)
        }
        Some(Rule::Url) => {
            let bare = |text: &str| {
                text.strip_prefix("https://")
                    .unwrap_or(text)
                    .trim_end_matches('/')
                    .to_owned()
            };
            bare(&left) == bare(&right)
        }
        Some(Rule::Version) => is_fuller(&left, &right) || is_fuller(&right, &left),
        Some(Rule::Protocol) => protocol(&left) == protocol(&right),
        None => false,
    }
}

/// Whether `version` is `partial` with more after it.
fn is_fuller(partial: &str, version: &str) -> bool {
    version
        .strip_prefix(partial)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The name of an IP protocol (IANA's numbers, as the security group types transform them).
fn protocol(text: &str) -> String {
    match text {
        "1" => "icmp".to_owned(),
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        "58" => "icmpv6".to_owned(),
        "all" | "-1" => "-1".to_owned(),
        name => name.to_ascii_lowercase(),
    }
}

/// Whether a security group rule is for every protocol.
pub(super) fn is_any_protocol(rule: &Map<String, Value>) -> bool {
    rule.get("IpProtocol")
        .and_then(text)
        .is_some_and(|name| protocol(&name) == "-1")
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

fn same_number(left: &str, right: &str) -> bool {
    // Only what is written as a plain decimal: `1e3`, `inf` and long identifiers are text.
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 15
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b".-".contains(&byte))
    };
    // `1.10` and `1.1` are versions as often as numbers, and as versions they differ: one of the two must have no
    // fraction but zeros.
    let whole = |text: &str| {
        text.split_once('.')
            .is_none_or(|(_, fraction)| fraction.bytes().all(|byte| byte == b'0'))
    };
    plain(left)
        && plain(right)
        && whole(left)
        && whole(right)
        && match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => (left - right).abs() < f64::EPSILON,
            _ => false,
        }
}

/// Whether two CIDR blocks are one network: host bits do not count, nor how an IPv6 address is abbreviated.
fn same_network(left: &str, right: &str) -> bool {
    match (network(left), network(right)) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// Family, network bits and prefix length.
fn network(text: &str) -> Option<(bool, u128, u32)> {
    let (address, length) = text.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (bits, width, is_v6) = match address.parse().ok()? {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32, false),
        IpAddr::V6(address) => (address.to_bits(), 128, true),
    };
    let host = (length <= width).then(|| width - length)?;
    let mask = if host == 128 { 0 } else { u128::MAX << host };
    Some((is_v6, bits & mask, length))
}

/// Whether one is a KMS key's id and the other the ARN of the same key (propertyTransform of the DynamoDB, RDS and CloudTrail
/// types). An alias is not resolved: which key it names cannot be known here.
fn same_key(left: &str, right: &str) -> bool {
    let is_arn_of = |arn: &str, id: &str| {
        let mut parts = arn.splitn(6, ':');
        parts.next() == Some("arn")
            && parts.nth(1) == Some("kms")
            && parts
                .nth(2)
                .and_then(|resource| resource.strip_prefix("key/"))
                == Some(id)
    };
    is_arn_of(left, right) || is_arn_of(right, left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_by_value() {
        for (left, right, same) in [
            (json!("1"), json!(1), true),
            (json!("true"), json!(true), true),
            (json!(30), json!(30.0), true),
            (json!("1.10"), json!("1.1"), false),
            (json!("1.30"), json!(1.3), false),
            (json!(1), json!(true), false),
            (json!(""), json!(null), false),
            (json!("10.0.0.9/24"), json!("10.0.0.0/24"), true),
            (json!("10.0.0.0/24"), json!("10.0.0.0/25"), false),
            (json!("2001:DB8:0:0::/56"), json!("2001:db8::/56"), true),
            (json!("0.0.0.0/0"), json!("::/0"), false),
            (
                json!("arn:aws:kms:us-east-1:123456789012:key/abc"),
                json!("abc"),
                true,
            ),
            (
                json!("arn:aws:kms:us-east-1:123456789012:key/abc"),
                json!("abd"),
                false,
            ),
            (json!("a"), json!("A"), false),
        ] {
            assert_eq!(same_scalar(&left, &right), same, "{left} {right}");
            assert_eq!(same_scalar(&right, &left), same, "{right} {left}");
        }
    }

    #[test]
    fn documents_as_text_or_as_objects() {
        let pattern = json!({"source": ["aws.ec2"], "detail": {"n": 1}});
        assert!(same_document(&pattern, &json!(pattern.to_string())));
        assert!(!same_document(&pattern, &json!({"source": ["aws.ec2"]})));
        assert!(same_document(&json!("a: b\n"), &json!("a: b")));
        assert!(!same_document(&json!("a: b"), &json!("a: c")));
    }

    #[test]
    fn rules_name_properties_that_exist() {
        for (name, path, _) in RULES {
            let schema = crate::schema(&name.parse().unwrap()).unwrap();
            let path: PropertyPath = path.parse().unwrap();
            let top = PropertyPath::from_segments(path.property());
            assert!(schema.property(&top).is_some(), "{name} {path}");
            assert!(
                path.is_pattern() || schema.property(&path).is_some(),
                "{name} {path}"
            );
        }
    }
}
