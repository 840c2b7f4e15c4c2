//! Each check of meaning once: what is written over a sound platform, and what is said about it where.

mod workloads;

use std::collections::BTreeMap;

use catalog::Date;
use catalog::ids::EnvironmentName;

use crate::diagnostic::{Diagnostic, render};
use crate::load::{Sources, load};
use crate::source::Source;

const TODAY: Date = Date::new(2026, 11, 21);

/// Says nothing by itself, in production or not.
const SOUND: &str = "apiVersion: seaworthy.dev/v1
platform: shop
aws: {region: eu-central-1}
network: {cidr: 10.0.0.0/16}
cluster: {endpoint: {public: false}}
";

fn found(environment: &str, overlay: &str, other: Option<&str>) -> Vec<Diagnostic> {
    let sources = Sources {
        platform: Source::new("platform.yaml", SOUND),
        overlay: Some(Source::new("overlay.yaml", overlay)),
        environment: EnvironmentName::new(environment).unwrap(),
        others: other
            .map(|text| {
                (
                    EnvironmentName::new("other").unwrap(),
                    Source::new("other.yaml", text),
                )
            })
            .into_iter()
            .collect(),
    };
    load(&sources, &BTreeMap::new(), TODAY).map_or_else(|found| found, |loaded| loaded.warnings)
}

/// `E code @ text at its place`, or `W …`.
fn said(found: &[Diagnostic]) -> Vec<String> {
    let line = |diagnostic: &Diagnostic| {
        let severity = if diagnostic.is_error() { "E" } else { "W" };
        let place = diagnostic.place.as_ref().map_or("-", |place| place.text());
        format!("{severity} {} @ {place}", diagnostic.code)
    };
    found.iter().map(line).collect()
}

#[track_caller]
fn check(environment: &str, rows: &[(&str, &[&str])]) {
    for (overlay, expected) in rows {
        let found = found(environment, overlay, None);
        assert_eq!(
            said(&found),
            *expected,
            "{overlay}\n{}",
            render(&found, false)
        );
    }
}

#[test]
fn names() {
    assert_eq!(said(&found("prod", "", None)), [""; 0]);
    check(
        "production",
        &[
            ("platform: s", &["E too-short @ s"]),
            ("platform: a--b", &["E wrong-form @ a--b"]),
            (
                "platform: a-platform-of-thirty-three-chars-x",
                &["E too-long @ a-platform-of-thirty-three-chars-x"],
            ),
        ],
    );
    // With `-production` 42 characters, to which each component adds its own.
    let messages = |with: &str| -> Vec<String> {
        let overlay = format!("platform: a-platform-of-thirty-characters\n{with}");
        let found = found("production", &overlay, None);
        found
            .iter()
            .for_each(|found| assert_eq!(found.code, "name-too-long"));
        found.into_iter().map(|found| found.message).collect()
    };
    let name = "a-platform-of-thirty-characters-production";
    let bare = "karpenter: {enabled: false}\nloadBalancerController: {enabled: false}\n";
    assert_eq!(messages(bare), [""; 0]);
    assert_eq!(
        messages("redis: {enabled: true}\n"),
        [
            format!(
                "IAM role name `{name}-load-balancer-controller` is too long: 67 characters, at most 64 are allowed"
            ),
            format!(
                "event rule name `{name}-karpenter-spot-interruption` is too long: 70 characters, at most 64 are allowed"
            ),
            format!(
                "ElastiCache replication group name `{name}-redis` is too long: 48 characters, at most 40 are allowed"
            ),
        ]
    );
}

#[test]
fn account() {
    check(
        "prod",
        &[
            (
                "aws: {region: eu-central-9}",
                &["E unknown-region @ eu-central-9"],
            ),
            (
                "aws: {region: us-east-1, availabilityZones: [us-east-1a, us-east-1b, eu-central-1a]}",
                &["E unknown-zone @ eu-central-1a"],
            ),
            (
                "aws: {region: us-east-1, availabilityZones: [us-east-1a, us-east-1b, us-east-1e]}",
                &["W zone-without-eks @ us-east-1e"],
            ),
            (
                "aws: {availabilityZones: [eu-central-1a, eu-central-1b]}",
                &["W two-zones @ availabilityZones"],
            ),
            (
                "aws: {availabilityZones: [eu-central-1a, eu-central-1a]}",
                &["E duplicate-item @ availabilityZones"],
            ),
            (
                "aws: {availabilityZones: [eu-central-1a]}",
                &["E too-few @ availabilityZones"],
            ),
            ("aws: {tags: {'aws:x': y}}", &["E tag @ y"]),
            ("aws: {tags: {cost: 'a;b'}}", &["E tag @ 'a;b'"]),
            ("aws: {tags: {cost: ''}}", &["E tag @ ''"]),
            (
                "aws: {tags: {'seaworthy:platform': x, Name: y}}",
                &["E reserved-tag @ x", "E reserved-tag @ y"],
            ),
            ("state: {bucket: b-b-b}", &["W no-effect @ b-b-b"]),
            (
                "state: {backend: folder}",
                &["W state-on-this-machine @ folder"],
            ),
            (
                "state: {backend: s3, bucket: B, lockTable: x}",
                &["E name-form @ B", "E name-form @ x"],
            ),
            ("budget: {emails: [a@b.c]}", &["W no-effect @ emails"]),
            ("budget: {monthlyUsd: 10}", &["E budget-tells-nobody @ 10"]),
            (
                "budget: {monthlyUsd: 10, emails: [me, a@b.c]}",
                &["E email @ me"],
            ),
            ("budget: {monthlyUsd: 0}", &["E out-of-range @ 0"]),
            (
                "backup: {enabled: true, schedule: 0 3 * * *}",
                &["E schedule @ 0 3 * * *"],
            ),
            (
                "backup: {enabled: true, schedule: cron(0 3 * * * *)}",
                &["E schedule @ cron(0 3 * * * *)"],
            ),
            (
                "backup: {enabled: true, schedule: 'cron(0 3 ? * 1 *)'}",
                &[],
            ),
            ("shared: {repositories: [app, Web]}", &["E name-form @ Web"]),
            (
                "lifecycle: {Network/vpc: retain, a/b: {existing: ''}}",
                &["E address @ retain", "E identifier @ a/b"],
            ),
            ("lifecycle: {a/b: keep}", &["E unknown-value @ keep"]),
            ("lifecycle: {a/b: {exists: x}}", &["E unknown-value @ a/b"]),
        ],
    );
    let tags: String = (0..44).map(|number| format!("t{number}: x, ")).collect();
    assert_eq!(
        said(&found("dev", &format!("aws: {{tags: {{{tags}}}}}"), None)),
        ["E too-many-tags @ tags"]
    );
}

#[test]
fn network() {
    check(
        "prod",
        &[
            (
                "network: {cidr: 10.0.0.0/15}",
                &["E cidr-size @ 10.0.0.0/15"],
            ),
            (
                "network: {cidr: 10.0.0.0/22}",
                &["E cidr-size @ 10.0.0.0/22"],
            ),
            ("network: {cidr: 10.0.0.0/21}", &[]),
            (
                "network: {cidr: 10.0.1.0/16}",
                &["E cidr-host-bits @ 10.0.1.0/16"],
            ),
            (
                "network: {cidr: 10.0.0.999/16}",
                &["E wrong-form @ 10.0.0.999/16"],
            ),
            ("network: {cidr: ten}", &["E wrong-form @ ten"]),
            (
                "network: {cidr: 169.254.0.0/16}",
                &["E cidr-reserved @ 169.254.0.0/16"],
            ),
            (
                "network: {cidr: 8.8.0.0/16}",
                &["W cidr-public @ 8.8.0.0/16"],
            ),
            (
                "network: {cidr: 172.17.0.0/16}",
                &["W cidr-docker @ 172.17.0.0/16"],
            ),
            (
                "network: {cidr: 172.20.128.0/18}",
                &["W cidr-services @ 172.20.128.0/18"],
            ),
            (
                "network: {cidr: 10.100.0.0/16}",
                &["W cidr-services @ 10.100.0.0/16"],
            ),
            (
                "network: {natGateways: single}",
                &["W single-nat-gateway @ single"],
            ),
            (
                "network: {natGateways: single}\nprotected: false",
                &["W single-nat-gateway @ single", "W unprotected @ false"],
            ),
            (
                "network: {flowLogs: {retentionDays: 45}}",
                &["E unknown-value @ 45"],
            ),
            (
                "network: {gatewayEndpoints: [s3, s3]}",
                &["E duplicate-item @ gatewayEndpoints"],
            ),
            (
                "network: {existing: {vpcId: vpc-1, privateSubnetIds: [subnet-01234567, subnet-x]}}",
                &["E wrong-form @ vpc-1", "E wrong-form @ subnet-x"],
            ),
            (
                "network: {natGateways: single, existing: {vpcId: vpc-01234567, privateSubnetIds: [subnet-01234567, subnet-11234567], publicSubnetIds: [subnet-01234567]}}",
                &[
                    "W no-effect @ single",
                    "E too-few-subnets @ privateSubnetIds",
                    "E subnet-twice @ subnet-01234567",
                ],
            ),
            (
                "network: {cidr: 10.0.0.0/24, existing: {vpcId: vpc-01234567, privateSubnetIds: [subnet-01234567, subnet-11234567, subnet-21234567]}}",
                &["W no-public-subnets @ existing"],
            ),
        ],
    );
    check(
        "dev",
        &[
            ("network: {natGateways: single}", &[]),
            (
                "network: {natGateways: single}\nprotected: true",
                &["W single-nat-gateway @ single"],
            ),
        ],
    );
    for (other, overlaps) in [
        ("network: {cidr: 10.0.128.0/20}", true),
        ("", true),
        ("network: {cidr: 10.1.0.0/16}", false),
        ("network: {cidr: x}", false),
        ("{", false),
    ] {
        let found = found("dev", "", Some(other));
        assert_eq!(
            said(&found),
            if overlaps {
                vec!["W cidr-overlap @ 10.0.0.0/16"]
            } else {
                vec![]
            },
            "{other}"
        );
    }
}

#[test]
fn cluster() {
    check(
        "prod",
        &[
            ("kubernetes: {version: '1.36'}", &[]),
            (
                "kubernetes: {version: '1.34'}",
                &["W version-ends-soon @ '1.34'"],
            ),
            (
                "kubernetes: {version: '1.33'}",
                &["W version-in-extended-support @ '1.33'"],
            ),
            (
                "kubernetes: {version: '1.30'}",
                &["E version-gone @ '1.30'"],
            ),
            (
                "kubernetes: {version: '1.21'}",
                &["E version-gone @ '1.21'"],
            ),
            (
                "kubernetes: {version: '1.40'}",
                &["E version-unknown @ '1.40'"],
            ),
            ("kubernetes: {version: 1.36}", &["E wrong-type @ 1.36"]),
            ("kubernetes: {version: v1.36}", &["E wrong-form @ v1.36"]),
            ("systemNodes: {min: 3}", &["E node-range @ systemNodes"]),
            (
                "systemNodes: {min: 2, desired: 4, max: 3}",
                &["E node-range @ 4"],
            ),
            (
                "systemNodes: {min: 1, desired: 1}",
                &["W one-system-node @ 1"],
            ),
            (
                "systemNodes: {instanceTypes: [t3.large, t2.medium, m4.large]}",
                &["E not-nitro @ t2.medium", "E not-nitro @ m4.large"],
            ),
            (
                "systemNodes: {instanceTypes: [i3.metal, t3.micro]}",
                &["W small-system-nodes @ t3.micro"],
            ),
            (
                "systemNodes: {instanceTypes: [m7g.large, m7i.large]}",
                &["E mixed-architectures @ instanceTypes"],
            ),
            (
                "systemNodes: {instanceTypes: []}",
                &["E too-few @ instanceTypes"],
            ),
            (
                "systemNodes: {instanceTypes: t3.medium}",
                &["E wrong-type @ t3.medium"],
            ),
            ("systemNodes: {diskGib: '50'}", &["E wrong-type @ '50'"]),
            (
                "addons: {versions: {core-dns: v1.13.2-eksbuild.1}}",
                &["E unknown-addon @ v1.13.2-eksbuild.1"],
            ),
            (
                "addons: {versions: {coredns: 1.13.2}}",
                &["E addon-version @ 1.13.2"],
            ),
            (
                "addons: {versions: {coredns: v1.13.2-eksbuild.1, kube-proxy: v1.37.0-eksbuild.1}}",
                &["E kube-proxy-skew @ v1.37.0-eksbuild.1"],
            ),
            (
                "addons: {versions: {amazon-cloudwatch-observability: v4.0.0-eksbuild.1}}",
                &["W no-effect @ v4.0.0-eksbuild.1"],
            ),
        ],
    );
    let extended = found("dev", "kubernetes: {version: '1.33'}", None);
    assert!(
        extended[0]
            .message
            .contains("$0.50 an hour more, $365 a month"),
        "{}",
        extended[0].message
    );
    assert!(extended[0].help.as_ref().unwrap().contains("1.36"));
}

#[test]
fn access() {
    let public =
        |cidrs: &str| format!("cluster: {{endpoint: {{public: true, publicCidrs: {cidrs}}}}}");
    check(
        "prod",
        &[
            (
                "cluster: {endpoint: {private: false}}",
                &["E no-endpoint @ false"],
            ),
            (
                "cluster: {endpoint: {publicCidrs: [1.2.3.4/32]}}",
                &["W no-effect @ publicCidrs"],
            ),
            (
                "cluster: {endpoint: {public: true, private: false, publicCidrs: [1.2.3.4/32]}}",
                &["W public-endpoint-only @ false"],
            ),
            (
                "cluster: {endpoint: {public: true}}",
                &["W endpoint-open @ endpoint"],
            ),
            (&public("[0.0.0.0/0]"), &["W endpoint-open @ 0.0.0.0/0"]),
            (&public("[]"), &["E endpoint-open @ publicCidrs"]),
            (
                &public("[1.2.3.4/24, 10.1.0.0/16]"),
                &[
                    "E cidr-host-bits @ 1.2.3.4/24",
                    "E endpoint-private-range @ 10.1.0.0/16",
                ],
            ),
            (
                &public("[1.2.3.400/24, 5.6.7.8/33]"),
                &["E wrong-form @ 1.2.3.400/24", "E wrong-form @ 5.6.7.8/33"],
            ),
            (
                "cluster: {admins: ['arn:aws:iam::111122223333:role/team/admins', 'arn:aws:iam::111122223333:user/jo']}",
                &[],
            ),
            ("cluster: {admins: [jo]}", &["E admin-arn @ jo"]),
            (
                "cluster: {admins: ['arn:aws:iam::111122223333:root']}",
                &["E admin-arn @ 'arn:aws:iam::111122223333:root'"],
            ),
            (
                "cluster: {admins: ['arn:aws:sts::111122223333:assumed-role/admins/jo', 'arn:aws-cn:iam::111122223333:user/jo']}",
                &[
                    "E admin-arn @ 'arn:aws:sts::111122223333:assumed-role/admins/jo'",
                    "E admin-arn @ 'arn:aws-cn:iam::111122223333:user/jo'",
                ],
            ),
            (
                "externalSecrets: {prefixes: ['/', dev*/, 'a b/', prod]}",
                &[
                    "E prefix @ '/'",
                    "E prefix @ dev*/",
                    "E prefix @ 'a b/'",
                    "W prefix-open @ prod",
                ],
            ),
            (
                "externalSecrets: {enabled: false, prefixes: [dev/]}",
                &["W no-effect @ prefixes"],
            ),
            (
                "secrets: [{name: a/b}, {name: a/b}]",
                &["E secret-twice @ a/b"],
            ),
            ("secrets: [{name: a/b}, {}]", &["E missing-key @ {"]),
            (
                "secrets: [{name: dev/x}]\nexternalSecrets: {prefixes: [production/]}",
                &["W secret-unread @ dev/x"],
            ),
            (
                "secrets: [{name: ends-like-arn}, {name: a b}]",
                &["E wrong-form @ a b"],
            ),
            ("secrets: [{name: my-secret}]", &["E name-form @ my-secret"]),
        ],
    );
}

#[test]
fn data_services() {
    let redis = |with: &str| format!("redis: {{enabled: true, {with}}}");
    let rabbitmq = |with: &str| {
        format!(
            "rabbitmq: {{enabled: true, deploymentMode: cluster-multi-az, instanceType: mq.m7g.large, {with}}}"
        )
    };
    check(
        "prod",
        &[
            (&redis(""), &[]),
            (&redis("engine: valkey, nodeType: cache.r7g.large"), &[]),
            (
                &redis("engineVersion: '5.0'"),
                &["E engine-version @ '5.0'"],
            ),
            (
                &redis("engine: valkey, engineVersion: '7.1', nodeType: cache.t9.small"),
                &["E engine-version @ '7.1'", "E node-type @ cache.t9.small"],
            ),
            (&redis("nodeType: t3.small"), &["E wrong-form @ t3.small"]),
            (
                &redis("replicas: 0, snapshotRetentionDays: 0"),
                &["W one-zone-redis @ 0", "W no-snapshots @ 0"],
            ),
            (&rabbitmq(""), &[]),
            (
                "rabbitmq: {enabled: true}",
                &[
                    "W one-zone-rabbitmq @ rabbitmq",
                    "W test-size-rabbitmq @ rabbitmq",
                ],
            ),
            (
                &rabbitmq("engineVersion: '3.11'"),
                &["E engine-version @ '3.11'"],
            ),
            (
                "rabbitmq: {enabled: true, deploymentMode: cluster-multi-az, instanceType: mq.t3.micro, engineVersion: '3.13'}",
                &["E instance-type @ mq.t3.micro"],
            ),
            (
                "rabbitmq: {enabled: true, deploymentMode: cluster-multi-az, instanceType: mq.m5.large}",
                &["E instance-type @ mq.m5.large"],
            ),
            (
                "rabbitmq: {enabled: true, deploymentMode: cluster-multi-az, instanceType: mq.m5.large, engineVersion: '3.13'}",
                &[],
            ),
            (
                "rabbitmq: {deploymentMode: ACTIVE_STANDBY_MULTI_AZ}",
                &["E no-active-standby @ ACTIVE_STANDBY_MULTI_AZ"],
            ),
            (
                "aws: {region: us-west-1}\nrabbitmq: {enabled: true, deploymentMode: cluster-multi-az, instanceType: mq.m7g.large}",
                &["W two-zones @ aws", "E cluster-zones @ cluster-multi-az"],
            ),
        ],
    );
    let size = found(
        "dev",
        "rabbitmq: {enabled: true, instanceType: mq.m5.large}",
        None,
    );
    assert_eq!(size[0].help.as_deref(), Some("take mq.m7g.large"));
}

#[test]
fn dns() {
    check(
        "prod",
        &[
            (
                "dns: {domain: 'https://example.com'}",
                &["E domain @ 'https://example.com'"],
            ),
            ("dns: {provider: route53}", &["E domain-missing @ route53"]),
            (
                "dns: {hostnames: {web: app}}",
                &["E domain-missing @ hostnames"],
            ),
            (
                "dns: {domain: example.com, hostedZoneId: Z012}",
                &["W no-effect @ Z012"],
            ),
            (
                "dns: {domain: example.com, hostedZoneId: zone, provider: route53}",
                &["E wrong-form @ zone"],
            ),
            (
                "certificate: {mode: wildcard}",
                &["E domain-missing @ wildcard"],
            ),
            (
                "dns: {domain: example.com}\ncertificate: {mode: per-service}",
                &["E hostnames-missing @ per-service"],
            ),
            (
                "dns: {domain: example.com, hostnames: {web: a.b}}\ncertificate: {mode: wildcard}",
                &["E hostname-uncovered @ a.b"],
            ),
            (
                "dns: {domain: example.com, hostnames: {web: app.example.com, api: App, x: app, y: app}}",
                &[
                    "E hostname @ app.example.com",
                    "E hostname @ App",
                    "E hostname-twice @ app",
                ],
            ),
            (
                "dns: {domain: example.com, hostnames: {Web_1: app}}",
                &["E service-name @ app"],
            ),
            (
                "certificate: {mode: wildcard, arn: 'arn:aws:acm:eu-central-1:111122223333:certificate/x'}",
                &[],
            ),
            (
                "certificate: {arn: 'arn:aws:acm:us-east-1:111122223333:certificate/x'}",
                &["E certificate-region @ 'arn:aws:acm:us-east-1:111122223333:certificate/x'"],
            ),
            ("certificate: {arn: x}", &["E certificate-arn @ x"]),
        ],
    );
}

#[test]
fn what_is_not_built_is_said_so() {
    for key in [
        "keda",
        "argocd",
        "supabase",
        "signoz",
        "ingress",
        "observability",
        "monitoring",
        "gitops",
        "applications",
        "promotion",
        "KEDA",
    ] {
        assert_eq!(
            said(&found("dev", &format!("{key}: {{a: 1}}"), None)),
            [format!("E not-built-yet @ {key}")]
        );
    }
    // What is built has its own place.
    for (overlay, help) in [
        ("karpenter: {nodePools: {}}", "did you mean `nodePools`?"),
        ("node_pools: {}", "did you mean `nodePools`?"),
        ("workers: {a: {image: b}}", "did you mean `services`?"),
        ("nodeClasses: {}", "did you mean `nodeClass`?"),
    ] {
        let found = found("dev", overlay, None);
        assert_eq!(found[0].code, "unknown-key", "{overlay}");
        assert_eq!(found[0].help.as_deref(), Some(help), "{overlay}");
    }
}

#[test]
fn nothing_is_said_twice_about_what_is_broken() {
    check(
        "prod",
        &[
            (
                "aws: {region: 5, availabilityZones: [us-east-1a, us-east-1b, us-east-1c]}",
                &["E wrong-type @ 5", "E wrong-form @ 5"],
            ),
            (
                "aws: x\nnetwork: []",
                &["E wrong-type @ x", "E wrong-type @ network"],
            ),
            (
                "redis: {enabled: true, replicas: none}",
                &["E wrong-type @ none"],
            ),
            ("systemNodes: {min: 9, max: many}", &["E wrong-type @ many"]),
        ],
    );
}
