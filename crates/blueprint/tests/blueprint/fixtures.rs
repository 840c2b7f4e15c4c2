//! Platforms: the presets' likes, and what else the spec can be.

use std::collections::BTreeMap;

use catalog::ids::{EnvironmentName, PlatformName, Region};
use serde_json::{Value as Json, json};
use spec::presets::{Preset, preset};
use spec::{Platform, Source, Sources};

/// A platform of a spec: `overlay` over what every spec must have.
pub(crate) fn platform(environment: &str, overlay: Json) -> Platform {
    let mut document = json!({
        "apiVersion": "seaworthy.dev/v1",
        "platform": "shop",
        "aws": { "region": "eu-central-1" },
        "network": { "cidr": "10.0.0.0/16" },
    });
    merge(&mut document, overlay);
    let spec: spec::model::Spec = serde_json::from_value(document).unwrap();
    let region = spec.aws.region.clone();
    let zones = spec.aws.availability_zones.clone();
    Platform {
        platform: PlatformName::new(&spec.platform).unwrap(),
        environment: EnvironmentName::new(environment).unwrap(),
        region: Region::new(&region).unwrap(),
        availability_zones: zones.unwrap_or_else(|| catalog::regions::default_zones(&region, 3)),
        protected: environment == "prod",
        spec,
        hash: String::new(),
    }
}

fn merge(under: &mut Json, over: Json) {
    match (under, over) {
        (Json::Object(under), Json::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Json::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// Everything that can be there.
pub(crate) fn everything() -> Json {
    json!({
        "aws": { "tags": { "team": "platform", "cost-center": "42" } },
        "cluster": {
            "admins": ["arn:aws:iam::111122223333:role/ops", "arn:aws:iam::444455556666:role/team/ops"],
            "logs": { "types": ["api", "audit", "authenticator", "controllerManager", "scheduler"] },
            "endpoint": { "publicCidrs": ["192.0.2.0/24"] },
        },
        "addons": { "cloudwatchObservability": true, "versions": { "coredns": "v1.14.3-eksbuild.16" } },
        "redis": { "enabled": true, "replicas": 2 },
        "rabbitmq": { "enabled": true, "deploymentMode": "cluster-multi-az" },
        "secrets": [{ "name": "dev/MyApp/database", "description": "The database's password", "length": 40 }, { "name": "plain" }],
        "dns": { "domain": "example.com", "provider": "route53", "hostnames": { "web": "app", "api": "api" } },
        "certificate": { "mode": "wildcard" },
        "waf": { "enabled": true },
        "audit": { "cloudTrail": true },
        "backup": { "enabled": true },
        "budget": { "monthlyUsd": 1000, "emails": ["ops@example.com"] },
        "shared": { "repositories": ["web", "api"] },
    })
}

/// As little as there can be.
pub(crate) fn nothing() -> Json {
    json!({
        "network": { "natGateways": "single", "gatewayEndpoints": [], "flowLogs": { "enabled": false } },
        "cluster": { "logs": { "types": [] }, "secretsEncryption": false, "endpoint": { "public": false } },
        "karpenter": { "enabled": false },
        "loadBalancerController": { "enabled": false },
        "externalSecrets": { "enabled": false },
    })
}

/// The presets in their environments, as `seaworthy init` leaves them.
pub(crate) fn presets() -> Vec<(String, Platform)> {
    let mut platforms = Vec::new();
    for kind in Preset::ALL {
        let files: BTreeMap<_, _> = preset(kind, &PlatformName::new("shop").unwrap())
            .into_iter()
            .collect();
        for environment in ["dev", "prod"] {
            let overlay = format!("environments/{environment}.yaml");
            let sources = Sources {
                platform: Source::new("platform.yaml", &files["platform.yaml"]),
                overlay: Some(Source::new(&overlay, &files[overlay.as_str()])),
                environment: EnvironmentName::new(environment).unwrap(),
                others: Vec::new(),
            };
            let loaded =
                spec::load(&sources, &BTreeMap::new(), "2026-11-21".parse().unwrap()).unwrap();
            platforms.push((format!("{kind:?}, {environment}"), loaded.platform));
        }
    }
    platforms
}

/// Named platforms, each unlike the others in what it has.
pub(crate) fn all() -> Vec<(String, Platform)> {
    let existing = json!({ "network": { "existing": {
        "vpcId": "vpc-0123456789abcdef0",
        "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"],
        "publicSubnetIds": ["subnet-0123456789abcdef3"],
    } } });
    let overlays = [
        ("defaults", json!({})),
        ("everything", everything()),
        ("nothing", nothing()),
        ("existing VPC", existing),
        ("China", json!({ "aws": { "region": "cn-north-1" } })),
        ("GovCloud", json!({ "aws": { "region": "us-gov-west-1" } })),
        (
            "Graviton",
            json!({ "systemNodes": { "instanceTypes": ["t4g.medium", "m7g.large"] } }),
        ),
        (
            "Valkey",
            json!({ "redis": { "enabled": true, "engine": "valkey", "replicas": 0 }, "rabbitmq": { "enabled": true } }),
        ),
        (
            "small",
            json!({ "network": { "cidr": "10.9.8.0/21" }, "aws": { "availabilityZones": ["eu-central-1a", "eu-central-1c"] } }),
        ),
        (
            "certificates",
            json!({
                "certificate": { "mode": "per-service" },
                "dns": { "domain": "example.com", "hostnames": { "web": "app", "api": "api" } },
            }),
        ),
        (
            "zone of somebody",
            json!({
                "certificate": { "mode": "wildcard" },
                "dns": { "domain": "example.com", "provider": "route53", "hostedZoneId": "Z0123456789ABCDEFGHIJ" },
            }),
        ),
        (
            "no queue",
            json!({ "karpenter": { "interruptionQueue": false }, "externalSecrets": { "prefixes": ["dev/", "staging/"] } }),
        ),
    ];
    let mut platforms = presets();
    for (name, overlay) in overlays {
        for identity in ["pod-identity", "irsa"] {
            let mut overlay = overlay.clone();
            merge(
                &mut overlay,
                json!({ "cluster": { "workloadIdentity": identity } }),
            );
            platforms.push((format!("{name}, {identity}"), platform("prod", overlay)));
        }
    }
    platforms
}
