//! The cluster: its version, its system nodes, its add-ons.

use catalog::addons;
use catalog::versions::{
    self, EXTENDED_USD_PER_HOUR, KubernetesVersion, STANDARD_USD_PER_HOUR, VersionStatus,
};

use super::{Check, nearest};
use crate::model::SupportType;

/// How many days before the end of standard support a version is warned about.
const SOON: i64 = 60;
/// Hours in a month, as AWS counts them in its prices.
const HOURS_A_MONTH: f64 = 730.0;

/// Families without the Nitro System, on which vpc-cni can't delegate prefixes (amazon-vpc-cni-k8s, README,
/// `ENABLE_PREFIX_DELEGATION`; EC2 user guide, "Instances built on the AWS Nitro System").
pub(super) const BEFORE_NITRO: &[&str] = &[
    "c1", "c3", "c4", "d2", "f1", "g2", "g3", "g3s", "h1", "i2", "i3", "m1", "m2", "m3", "m4",
    "p2", "p3", "r3", "r4", "t1", "t2", "x1", "x1e",
];

/// The add-ons that the platform installs.
const ADDONS: [&addons::Addon; 7] = [
    &addons::VPC_CNI,
    &addons::KUBE_PROXY,
    &addons::POD_IDENTITY_AGENT,
    &addons::COREDNS,
    &addons::EBS_CSI,
    &addons::METRICS_SERVER,
    &addons::CLOUDWATCH_OBSERVABILITY,
];

pub(super) fn check(check: &mut Check<'_>) {
    version(check);
    nodes(check);
    versions_of_addons(check);
}

fn version(check: &mut Check<'_>) {
    let path = ["kubernetes", "version"];
    let kubernetes = &check.spec.kubernetes;
    let (version, today) = (kubernetes.version.as_str(), check.today);
    let newest = versions::newest_in_standard(today);
    let take = newest.map_or_else(
        || "see AWS's calendar of Kubernetes versions".to_owned(),
        |newest| format!("take \"{newest}\", the newest in standard support"),
    );
    let Ok(parsed) = version.parse::<KubernetesVersion>() else {
        return;
    };
    match versions::status(parsed, today) {
        VersionStatus::Standard { until } => {
            let days = today.days_until(until);
            if days <= SOON {
                let then = match kubernetes.support {
                    SupportType::Standard => {
                        "EKS upgrades the cluster by itself then (`support: standard`)"
                    }
                    SupportType::Extended => "extended support begins then, at $0.50 an hour more",
                };
                let message = format!(
                    "standard support of Kubernetes {version} ends on {until}, in {days} days: {then}"
                );
                check.warn(&path, "version-ends-soon", message, take);
            }
        }
        VersionStatus::Extended { since, until } => {
            let more = EXTENDED_USD_PER_HOUR - STANDARD_USD_PER_HOUR;
            let mut message = format!(
                "Kubernetes {version} is in extended support since {since}, until {until}: it costs ${more:.2} an hour more, ${:.0} a month",
                more * HOURS_A_MONTH
            );
            if kubernetes.support == SupportType::Standard {
                message
                    .push_str("; with `support: standard` EKS may upgrade the cluster at any time");
            }
            check.warn(&path, "version-in-extended-support", message, take);
        }
        VersionStatus::Gone { since } => {
            let message = format!(
                "Kubernetes {version} is gone: its extended support on EKS ended on {since}"
            );
            check.error(&path, "version-gone", message, take);
        }
        VersionStatus::TooOld => {
            check.error(
                &path,
                "version-gone",
                format!("Kubernetes {version} is gone from EKS"),
                take,
            );
        }
        VersionStatus::NotYet { from } => {
            check.error(
                &path,
                "version-not-yet",
                format!("Kubernetes {version} comes to EKS on {from}"),
                take,
            );
        }
        VersionStatus::TooNew => {
            let message =
                format!("Kubernetes {version} is newer than what this program was made for");
            check.error(&path, "version-unknown", message, take);
        }
    }
}

/// The family of an instance type: `m7g` of `m7g.large`.
fn family(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or(instance_type)
}

/// Whether the family is Graviton's, by the `g` after its generation (EC2 user guide, "Naming conventions"; `a1` is older).
pub(super) fn is_arm(family: &str) -> bool {
    let after = family
        .trim_start_matches(|c: char| c.is_ascii_lowercase())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    family == "a1"
        || after
            .split('-')
            .next()
            .is_some_and(|letters| letters.contains('g'))
}

fn nodes(check: &mut Check<'_>) {
    let nodes = &check.spec.system_nodes;
    let (min, desired, max) = (nodes.min, nodes.desired, nodes.max);
    let known = ["min", "desired", "max"]
        .iter()
        .all(|key| check.knows(&["systemNodes", key]));
    if known && !(min <= desired && desired <= max) {
        let key = if desired < min || max >= min {
            "desired"
        } else {
            "max"
        };
        check.error(
            &["systemNodes", key],
            "node-range",
            format!("`systemNodes` wants min ≤ desired ≤ max, and has {min}, {desired} and {max}"),
            "`desired` lies between the other two",
        );
    }
    if check.production && min < 2 {
        check.warn(
            &["systemNodes", "min"],
            "one-system-node",
            "with one system node, its loss takes Karpenter, CoreDNS and the controllers with it",
            "write `min: 2`",
        );
    }
    for (index, instance_type) in nodes.instance_types.iter().enumerate() {
        let path = ["systemNodes", "instanceTypes", &index.to_string()];
        let family = family(instance_type);
        if BEFORE_NITRO.contains(&family) && !instance_type.ends_with(".metal") {
            check.error(
                &path,
                "not-nitro",
                format!("{instance_type} is not built on the Nitro System, and vpc-cni delegates prefixes on no other"),
                format!("take {}", if family.starts_with('t') { "t3.medium" } else { "m7i.large" }),
            );
        } else if [".nano", ".micro"]
            .iter()
            .any(|size| instance_type.ends_with(size))
        {
            check.warn(
                &path,
                "small-system-nodes",
                format!(
                    "{instance_type} has 1 GiB of memory or less: Karpenter alone asks for as much"
                ),
                "take t3.medium or larger",
            );
        }
    }
    let arm = nodes
        .instance_types
        .iter()
        .filter(|instance_type| is_arm(family(instance_type)))
        .count();
    if arm != 0 && arm != nodes.instance_types.len() {
        check.error(
            &["systemNodes", "instanceTypes"],
            "mixed-architectures",
            "the instance types are of both architectures, and a node group has one machine image",
            "take x86 types (t3, m7i) or Graviton types (t4g, m7g)",
        );
    }
}

fn versions_of_addons(check: &mut Check<'_>) {
    for (name, version) in &check.spec.addons.versions {
        let path = ["addons", "versions", name];
        if !ADDONS.iter().any(|addon| addon.name == name) {
            let help = match nearest(name, ADDONS.iter().map(|addon| addon.name)) {
                _ if name.contains("load-balancer-controller") => {
                    "it is a Helm chart; its AWS side is `loadBalancerController`".to_owned()
                }
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("they are {}", ADDONS.map(|addon| addon.name).join(", ")),
            };
            check.error(
                &path,
                "unknown-addon",
                format!("the platform has no EKS add-on `{name}`"),
                help,
            );
            continue;
        }
        let number = version
            .strip_prefix('v')
            .unwrap_or_default()
            .split_once("-eksbuild.");
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let sound = number.is_some_and(|(number, build)| {
            digits(build) && number.split('.').count() == 3 && number.split('.').all(digits)
        });
        if !sound {
            let message = format!("`{version}` is no version of an EKS add-on");
            check.error(
                &path,
                "addon-version",
                message,
                "as v1.13.1-eksbuild.1: `aws eks describe-addon-versions` lists them",
            );
            continue;
        }
        if name == addons::CLOUDWATCH_OBSERVABILITY.name
            && !check.spec.addons.cloudwatch_observability
        {
            check.unheeded(
                &[&path],
                "the add-on is not there (`addons.cloudwatchObservability`)",
            );
        }
        // kube-proxy is Kubernetes' own, and may be older than it, never newer (Kubernetes, "Version Skew Policy").
        let minor = |text: &str| {
            text.trim_start_matches('v')
                .split('.')
                .nth(1)
                .and_then(|minor| minor.parse::<u16>().ok())
        };
        if name == addons::KUBE_PROXY.name && minor(version) > minor(&check.spec.kubernetes.version)
        {
            let message = format!(
                "kube-proxy {version} is newer than Kubernetes {}",
                check.spec.kubernetes.version
            );
            check.error(
                &path,
                "kube-proxy-skew",
                message,
                "take the version of Kubernetes, or leave it to EKS",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_families_by_their_names() {
        for family in [
            "t4g", "m7gd", "c7gn", "x2gd", "im4gn", "is4gen", "a1", "g5g", "hpc7g",
        ] {
            assert!(is_arm(family), "{family}");
        }
        for family in [
            "t3", "m5", "g5", "g4dn", "m7i-flex", "r7iz", "c6a", "p4d", "g6e", "u-6tb1",
        ] {
            assert!(!is_arm(family), "{family}");
        }
    }
}
