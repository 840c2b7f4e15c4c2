//! Platforms of several environments, each unlike the others in what differs.

use catalog::ids::EnvironmentName;
use export::{Error, Files, Format, Scoped, Source};
use graph::Graph;
use serde_json::{Value as Json, json};
use spec::Platform;

use crate::fixtures;

/// A platform with its environments.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) platforms: Vec<Platform>,
    /// With what is in their clusters.
    whole: Vec<Graph>,
    /// Without: what any export has of them.
    pub(crate) graphs: Vec<Graph>,
    pub(crate) shared: Graph,
}

impl Case {
    pub(crate) fn new(name: &str, platforms: Vec<Platform>) -> Self {
        let whole: Vec<Graph> = platforms
            .iter()
            .map(|platform| {
                blueprint::environment(platform)
                    .unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
            })
            .collect();
        let graphs = whole
            .iter()
            .map(|graph| graph.without_cluster_contents().unwrap().0)
            .collect();
        let shared = blueprint::shared(&platforms[0]).unwrap();
        Self {
            name: name.to_owned(),
            platforms,
            whole,
            graphs,
            shared,
        }
    }

    /// The files of all scopes, as the command makes them.
    pub(crate) fn export(&self) -> Files {
        let mut wanted: Vec<EnvironmentName> = self
            .graphs
            .iter()
            .map(|graph| graph.scope().environment.clone())
            .collect();
        wanted.push(self.shared.scope().environment.clone());
        self.export_only(&wanted)
            .unwrap_or_else(|errors| panic!("{}: {errors:#?}", self.name))
    }

    /// The files of some scopes.
    pub(crate) fn export_only(&self, wanted: &[EnvironmentName]) -> Result<Files, Vec<Error>> {
        let scopes: Vec<Scoped<'_>> = self
            .platforms
            .iter()
            .zip(&self.whole)
            .map(|(platform, graph)| Scoped { platform, graph })
            .collect();
        let shared = Scoped {
            platform: &self.platforms[0],
            graph: &self.shared,
        };
        let source = Source {
            environments: &scopes,
            shared,
            wanted,
        };
        export::export(Format::Terraform, &source)
    }
}

fn environments(list: &[(&str, Json)]) -> Vec<Platform> {
    list.iter()
        .map(|(name, overlay)| fixtures::platform(name, overlay.clone()))
        .collect()
}

fn existing() -> Json {
    json!({ "network": { "existing": {
        "vpcId": "vpc-0123456789abcdef0",
        "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"],
        "publicSubnetIds": ["subnet-0123456789abcdef3"],
    } } })
}

/// All of them: the presets with their environments, every fixture alone, and platforms whose environments differ.
pub(crate) fn cases() -> Vec<Case> {
    let presets = fixtures::presets();
    let mut cases: Vec<Case> = presets
        .chunks(2)
        .map(|pair| {
            let name = pair[0].0.split(',').next().unwrap_or_default();
            Case::new(
                name,
                pair.iter().map(|(_, platform)| platform.clone()).collect(),
            )
        })
        .collect();
    for (name, platform) in fixtures::all().into_iter().skip(presets.len()) {
        cases.push(Case::new(&format!("{name}, alone"), vec![platform]));
    }
    let key = "0123abcd-1234-1234-1234-0123456789ab";
    let with = |mut base: Json, overlay: Json| {
        if let (Json::Object(base), Json::Object(overlay)) = (&mut base, overlay) {
            base.extend(overlay);
        }
        base
    };
    let several: [(&str, Vec<Platform>); 8] = [
        (
            "everything and nothing",
            environments(&[
                ("dev", fixtures::nothing()),
                ("prod", fixtures::everything()),
            ]),
        ),
        (
            "existing VPC beside own",
            environments(&[("dev", json!({})), ("prod", existing())]),
        ),
        (
            "three networks",
            environments(&[
                ("dev", json!({ "network": { "natGateways": "single" } })),
                (
                    "stage",
                    json!({ "network": { "cidr": "10.9.8.0/21" }, "aws": { "availabilityZones": ["eu-central-1b", "eu-central-1c"] } }),
                ),
                (
                    "prod",
                    with(
                        existing(),
                        json!({ "redis": { "enabled": true }, "rabbitmq": { "enabled": true } }),
                    ),
                ),
            ]),
        ),
        (
            "four partitions",
            environments(&[
                (
                    "dev",
                    json!({ "addons": { "versions": { "coredns": "v1.14.3-eksbuild.16" } } }),
                ),
                (
                    "china",
                    json!({ "aws": { "region": "cn-north-1", "tags": { "team": "platform" } } }),
                ),
                (
                    "gov",
                    json!({ "aws": { "region": "us-gov-west-1" }, "cluster": { "workloadIdentity": "irsa" } }),
                ),
                ("prod", fixtures::everything()),
            ]),
        ),
        (
            "secrets and zones",
            environments(&[
                (
                    "dev",
                    json!({
                        "secrets": [{ "name": "a" }, { "name": "b", "length": 20 }],
                        "dns": { "domain": "dev.example.com", "provider": "route53", "hostnames": { "web": "app" } },
                        "certificate": { "mode": "per-service" },
                        "externalSecrets": { "prefixes": ["dev/", "common/"] },
                        "budget": { "monthlyUsd": 100, "emails": ["a@example.com", "b@example.com"] },
                    }),
                ),
                (
                    "prod",
                    json!({
                        "secrets": [{ "name": "b" }, { "name": "c", "description": "The third" }],
                        "dns": { "domain": "example.com", "provider": "route53", "hostedZoneId": "Z0123456789ABCDEFGHIJ", "hostnames": { "web": "app", "api": "api" } },
                        "certificate": { "mode": "wildcard" },
                        "externalSecrets": { "prefixes": ["prod/"] },
                        "budget": { "monthlyUsd": 1000, "emails": ["ops@example.com"] },
                    }),
                ),
            ]),
        ),
        (
            "lifecycles",
            environments(&[
                (
                    "dev",
                    json!({
                        "redis": { "enabled": true },
                        "lifecycle": { "cluster/secrets-key": { "existing": key }, "backup/vault": "managed" },
                        "backup": { "enabled": true },
                    }),
                ),
                (
                    "prod",
                    json!({
                        "redis": { "enabled": true },
                        "lifecycle": { "redis/replication-group": "retain", "network/vpc": "retain" },
                        "backup": { "enabled": true },
                    }),
                ),
            ]),
        ),
        (
            "tags",
            environments(&[
                ("dev", json!({ "aws": { "tags": { "team": "a" } } })),
                (
                    "prod",
                    json!({ "aws": { "tags": { "team": "b", "cost-center": "42" } }, "redis": { "enabled": true } }),
                ),
            ]),
        ),
        (
            "engines",
            environments(&[
                (
                    "dev",
                    json!({ "redis": { "enabled": true, "engine": "valkey", "replicas": 0 }, "systemNodes": { "instanceTypes": ["t4g.medium", "m7g.large"] } }),
                ),
                (
                    "stage",
                    json!({ "rabbitmq": { "enabled": true }, "karpenter": { "interruptionQueue": false } }),
                ),
                (
                    "prod",
                    json!({ "redis": { "enabled": true, "replicas": 2 }, "rabbitmq": { "enabled": true, "deploymentMode": "cluster-multi-az" } }),
                ),
            ]),
        ),
    ];
    cases.extend(
        several
            .into_iter()
            .map(|(name, platforms)| Case::new(name, platforms)),
    );
    cases
}
