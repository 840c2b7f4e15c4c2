//! AWS's regions: partition, Availability Zones, and the zones that EKS does not serve.
//!
//! Zones: cfn-lint 1.58, `cfnlint/helpers.py` (2026-10-20). Which of them an account can use, and which zone ID a zone name
//! stands for, is the account's own: a preflight asks EC2.

/// A region's Availability Zones, as the letters after the region's name.
struct Entry {
    name: &'static str,
    zones: &'static str,
}

const fn entry(name: &'static str, zones: &'static str) -> Entry {
    Entry { name, zones }
}

const REGIONS: [Entry; 38] = [
    entry("af-south-1", "abc"),
    entry("ap-east-1", "abc"),
    entry("ap-east-2", "abc"),
    entry("ap-northeast-1", "abcd"),
    entry("ap-northeast-2", "abcd"),
    entry("ap-northeast-3", "abc"),
    entry("ap-south-1", "abc"),
    entry("ap-south-2", "abc"),
    entry("ap-southeast-1", "abc"),
    entry("ap-southeast-2", "abc"),
    entry("ap-southeast-3", "abc"),
    entry("ap-southeast-4", "abc"),
    entry("ap-southeast-5", "abc"),
    entry("ap-southeast-6", "abc"),
    entry("ap-southeast-7", "abc"),
    entry("ca-central-1", "abcd"),
    entry("ca-west-1", "abc"),
    entry("cn-north-1", "abc"),
    entry("cn-northwest-1", "abc"),
    entry("eu-central-1", "abc"),
    entry("eu-central-2", "abc"),
    entry("eu-north-1", "abc"),
    entry("eu-south-1", "abc"),
    entry("eu-south-2", "abc"),
    entry("eu-west-1", "abc"),
    entry("eu-west-2", "abc"),
    entry("eu-west-3", "abc"),
    entry("il-central-1", "abc"),
    entry("me-central-1", "abc"),
    entry("me-south-1", "abc"),
    entry("mx-central-1", "abc"),
    entry("sa-east-1", "abc"),
    entry("us-east-1", "abcdef"),
    entry("us-east-2", "abc"),
    entry("us-gov-east-1", "abc"),
    entry("us-gov-west-1", "abc"),
    // There is no us-west-1b for new accounts.
    entry("us-west-1", "ac"),
    entry("us-west-2", "abcd"),
];

/// Zones by their IDs in which an EKS cluster can have no subnet (EKS user guide, "Amazon EKS VPC and subnet requirements";
/// eksctl avoids them since 0.185).
const EKS_UNSUPPORTED: [&str; 3] = ["use1-az3", "usw1-az2", "cac1-az3"];

/// The names of all regions, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGIONS.iter().map(|region| region.name)
}

/// Whether the catalog knows the region.
#[must_use]
pub fn is_known(region: &str) -> bool {
    REGIONS.iter().any(|entry| entry.name == region)
}

/// The partition, the second part of an ARN: `aws`, `aws-cn` or `aws-us-gov`.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The suffix of the services' host names in the region's partition.
#[must_use]
pub fn dns_suffix(region: &str) -> &'static str {
    if partition(region) == "aws-cn" {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// The names of the region's Availability Zones in order; empty for a region that the catalog does not know.
#[must_use]
pub fn zones(region: &str) -> Vec<String> {
    let known = REGIONS.iter().find(|entry| entry.name == region);
    known
        .map(|entry| {
            entry
                .zones
                .chars()
                .map(|letter| format!("{region}{letter}"))
                .collect()
        })
        .unwrap_or_default()
}

/// The first `count` zones, to spread a platform over; fewer when the region has not so many.
///
/// In `us-east-1` the zone `e` is left out: there the zone ID that EKS does not serve (`use1-az3`) stands, in most accounts.
/// Names are shuffled by account, so this is a guess that a preflight has to confirm ([`is_eks_zone_id`]).
#[must_use]
pub fn default_zones(region: &str, count: usize) -> Vec<String> {
    zones(region)
        .into_iter()
        .filter(|zone| zone != "us-east-1e")
        .take(count)
        .collect()
}

/// Whether EKS serves the zone with this ID (`use1-az1`).
#[must_use]
pub fn is_eks_zone_id(zone_id: &str) -> bool {
    !EKS_UNSUPPORTED.contains(&zone_id)
}

/// The zone IDs of the region that EKS does not serve.
#[must_use]
pub fn eks_unsupported_zone_ids(region: &str) -> Vec<&'static str> {
    let prefix = format!("{}-", short_code(region));
    EKS_UNSUPPORTED
        .into_iter()
        .filter(|zone_id| zone_id.starts_with(&prefix))
        .collect()
}

/// The short form of a region's name in zone IDs: `use1` of `us-east-1`, `apne2` of `ap-northeast-2`, `usgw1` of
/// `us-gov-west-1`.
#[must_use]
pub fn short_code(region: &str) -> String {
    region
        .split('-')
        .enumerate()
        .map(|(at, part)| match part {
            _ if at == 0 => part,
            "northeast" => "ne",
            "northwest" => "nw",
            "southeast" => "se",
            "southwest" => "sw",
            _ if part.bytes().all(|byte| byte.is_ascii_digit()) => part,
            _ => part.get(..1).unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_regions() {
        assert_eq!(
            zones("eu-west-1"),
            ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
        );
        assert_eq!(zones("us-east-1").len(), 6);
        assert_eq!(zones("us-west-1"), ["us-west-1a", "us-west-1c"]);
        assert!(zones("mars-1").is_empty() && !is_known("mars-1"));
        assert_eq!(
            default_zones("us-east-1", 5).last().map(String::as_str),
            Some("us-east-1f")
        );
        assert_eq!(default_zones("us-west-1", 3).len(), 2);
    }

    #[test]
    fn partitions_and_codes() {
        assert_eq!(
            (
                partition("us-gov-west-1"),
                partition("cn-north-1"),
                partition("us-east-1")
            ),
            ("aws-us-gov", "aws-cn", "aws")
        );
        for (region, code) in [
            ("us-east-1", "use1"),
            ("ap-northeast-2", "apne2"),
            ("ca-central-1", "cac1"),
            ("us-gov-west-1", "usgw1"),
        ] {
            assert_eq!(short_code(region), code);
        }
        assert_eq!(eks_unsupported_zone_ids("us-east-1"), ["use1-az3"]);
        assert!(eks_unsupported_zone_ids("eu-west-1").is_empty());
        assert!(!is_eks_zone_id("cac1-az3"));
    }

    #[test]
    fn regions_are_sorted_and_known_to_the_identifier_type() {
        assert!(names().is_sorted());
        for name in names() {
            assert!(crate::ids::Region::new(name).is_ok(), "{name}");
        }
    }
}
