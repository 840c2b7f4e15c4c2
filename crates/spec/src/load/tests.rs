use super::*;
use crate::diagnostic::render;
use crate::model::node_pools::CapacityType;
use crate::model::{CertificateMode, NatGateways};
use crate::presets::{Preset, preset};
use proptest::prelude::*;

const TODAY: Date = Date::new(2026, 11, 21);
const MINIMAL: &str = "apiVersion: seaworthy.dev/v1\nplatform: shop\naws:\n  region: eu-central-1\nnetwork:\n  cidr: 10.0.0.0/16\n";

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::new(name).unwrap()
}

fn sources(platform: &str, overlay: Option<&str>, name: &str) -> Sources {
    Sources {
        platform: Source::new("platform.yaml", platform),
        overlay: overlay.map(|text| Source::new(format!("environments/{name}.yaml"), text)),
        environment: environment(name),
        others: Vec::new(),
    }
}

fn of_preset(kind: Preset, name: &str) -> Sources {
    let files: BTreeMap<_, _> = preset(kind, &PlatformName::new("shop").unwrap())
        .into_iter()
        .collect();
    let mut sources = sources(
        &files["platform.yaml"],
        files
            .get(format!("environments/{name}.yaml").as_str())
            .map(String::as_str),
        name,
    );
    for (other, path) in [
        ("dev", "environments/dev.yaml"),
        ("prod", "environments/prod.yaml"),
    ] {
        if other != name {
            sources
                .others
                .push((environment(other), Source::new(path, files[path].as_str())));
        }
    }
    sources
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn codes(found: &[Diagnostic]) -> Vec<&'static str> {
    found.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn presets_have_no_errors_and_warn_only_of_what_their_documents_ask_for() {
    for (kind, name, expected) in [
        (Preset::Ekb, "dev", vec!["endpoint-open"]),
        // The Automator's PostgreSQL, on one volume.
        (Preset::Ekb, "prod", vec!["one-zone-volume"]),
        (Preset::Ekb, "shared", vec![]),
        (Preset::Gitops, "dev", vec!["endpoint-open"]),
        (
            Preset::Gitops,
            "prod",
            vec!["single-nat-gateway", "endpoint-open"],
        ),
        (Preset::Gitops, "shared", vec![]),
        (Preset::Accelerator, "dev", vec!["endpoint-open"]),
        (Preset::Accelerator, "prod", vec![]),
        (Preset::Accelerator, "shared", vec![]),
    ] {
        let loaded = load(&of_preset(kind, name), &BTreeMap::new(), TODAY)
            .unwrap_or_else(|found| panic!("{kind} {name}\n{}", render(&found, false)));
        assert_eq!(codes(&loaded.warnings), expected, "{kind} {name}");
        assert_eq!(loaded.platform.protected, name == "prod");
        assert_eq!(loaded.platform.name(), format!("shop-{name}"));
        assert_eq!(loaded.platform.availability_zones.len(), 3);
        assert_eq!(
            loaded.platform.spec.kubernetes.version,
            catalog::versions::newest_in_standard(TODAY)
                .unwrap()
                .to_string()
        );
    }
}

#[test]
fn presets_are_what_their_documents_describe() {
    let spec = |kind, name| {
        load(&of_preset(kind, name), &BTreeMap::new(), TODAY)
            .unwrap()
            .platform
            .spec
    };
    let (dev, prod) = (spec(Preset::Ekb, "dev"), spec(Preset::Ekb, "prod"));
    assert_eq!(
        (dev.network.nat_gateways, prod.network.nat_gateways),
        (NatGateways::Single, NatGateways::OnePerAz)
    );
    assert!(
        dev.redis.enabled
            && prod.rabbitmq.enabled
            && prod.backup.enabled
            && prod.redis.replicas == 2
    );
    assert_eq!(prod.certificate.mode, CertificateMode::Wildcard);
    assert_eq!(
        prod.dns
            .hostnames
            .values()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["api", "automations", "app"]
    );
    let (dev, prod) = (spec(Preset::Gitops, "dev"), spec(Preset::Gitops, "prod"));
    assert_eq!(
        (dev.network.cidr.to_string(), prod.network.cidr.to_string()),
        ("10.0.0.0/16".to_owned(), "10.1.0.0/16".to_owned())
    );
    assert_eq!(
        (
            dev.external_secrets.prefixes,
            prod.external_secrets.prefixes
        ),
        (
            vec!["dev/".to_owned(), "staging/".to_owned()],
            vec!["production/".to_owned()]
        )
    );
    assert_eq!(
        (
            dev.secrets[0].name.as_str(),
            dev.shared.repositories.as_slice()
        ),
        ("dev/shop/database", &["app".to_owned()][..])
    );
    assert!(prod.waf.enabled && prod.audit.cloud_trail && !dev.audit.cloud_trail);
    assert!(
        spec(Preset::Accelerator, "dev")
            .addons
            .cloudwatch_observability
    );
}

#[test]
fn presets_have_the_node_pools_and_services_of_their_documents() {
    let platform = |kind, name| {
        load(&of_preset(kind, name), &BTreeMap::new(), TODAY)
            .unwrap()
            .platform
    };
    let spec = |kind, name| platform(kind, name).spec;
    let ekb = spec(Preset::Ekb, "prod");
    let pools: Vec<_> = ekb
        .node_pools
        .iter()
        .map(|(name, pool)| (name.as_str(), pool.enabled, pool.capacity_types.as_slice()))
        .collect();
    let spot_first = &[CapacityType::Spot, CapacityType::OnDemand][..];
    assert_eq!(
        pools,
        [
            ("compute-intensive", true, spot_first),
            ("database", true, &[CapacityType::OnDemand][..]),
            ("general", true, spot_first),
            ("gpu", false, spot_first),
            ("memory-intensive", true, spot_first),
        ]
    );
    assert_eq!(ekb.node_pools["database"].taints.len(), 1);
    let services: Vec<_> = ekb
        .services
        .iter()
        .map(|(name, service)| {
            let scaling = service.scaling;
            (
                name.as_str(),
                service.port,
                (service.replicas.min, service.replicas.most()),
                (scaling.cpu, scaling.memory),
            )
        })
        .collect();
    assert_eq!(
        services,
        [
            ("api", Some(8001), (2, 10), (Some(70), Some(80))),
            ("automator", Some(80), (2, 8), (Some(70), Some(80))),
            ("automator-postgresql", Some(5432), (1, 1), (None, None)),
            ("web", Some(3000), (2, 8), (Some(60), Some(80))),
            ("workers", None, (2, 8), (Some(70), Some(80))),
        ]
    );
    let (dev, prod) = (spec(Preset::Gitops, "dev"), spec(Preset::Gitops, "prod"));
    for (spec, families, capacity_types) in [
        (&dev, &["t3", "t3a"][..], &spot_first[..1]),
        (&prod, &["m5", "m6i", "c5"][..], spot_first),
    ] {
        let pool = &spec.node_pools["default"];
        assert_eq!(pool.instance_families, families);
        assert_eq!(pool.capacity_types, capacity_types);
        assert_eq!(pool.limits.cpu.as_ref().unwrap().milli(), Some(20_000));
        assert_eq!(pool.expire_after, "720h");
    }
    let accelerator = spec(Preset::Accelerator, "prod");
    assert_eq!(
        accelerator.node_pools["nodepool"].name.as_deref(),
        Some("{cluster}-nodepool")
    );
}

#[test]
fn what_is_not_deployed_changes_no_hash() {
    let hash = |more: &str| {
        load(
            &sources(&format!("{MINIMAL}{more}"), None, "dev"),
            &BTreeMap::new(),
            TODAY,
        )
        .unwrap_or_else(|found| panic!("{more}\n{}", render(&found, false)))
        .platform
        .hash
    };
    let bare = hash("");
    assert_eq!(hash("services: {web: {image: a}}\n"), bare);
    for deployed in [
        "redis: {enabled: true}\n",
        "nodePools: {a: {weight: 3}}\n",
        "nodeClass: {maxPods: 58}\n",
        "services: {web: {image: a, namespace: shop}}\n",
        "services: {web: {image: a, priorityClass: high}}\n",
    ] {
        assert_ne!(hash(deployed), bare, "{deployed}");
    }
}

#[test]
fn presets_meet_the_schemas_that_they_name() {
    let (platform, overlay) = (
        jsonschema::validator_for(&crate::json_schema()).unwrap(),
        jsonschema::validator_for(&crate::overlay_schema()).unwrap(),
    );
    for name in ["shop", "true", "null"] {
        for kind in Preset::ALL {
            for (path, text) in preset(kind, &PlatformName::new(name).unwrap()) {
                let value = tree::parse(&Source::new(path, text.as_str()))
                    .unwrap()
                    .to_json();
                let (validator, schema) = if path == "platform.yaml" {
                    (&platform, ".seaworthy/platform")
                } else {
                    (&overlay, "../.seaworthy/environment")
                };
                let errors: Vec<_> = validator
                    .iter_errors(&value)
                    .map(|error| error.to_string())
                    .collect();
                assert!(errors.is_empty(), "{kind} {path}: {errors:?}");
                assert!(
                    text.starts_with(&format!(
                        "# yaml-language-server: $schema={schema}.schema.json\n"
                    )),
                    "{kind} {path}"
                );
                assert!(
                    !text.contains("{{")
                        && text
                            .lines()
                            .all(|line| line.len() <= 140 && line.trim_end() == line)
                );
            }
        }
    }
}

#[test]
fn many_mistakes_are_reported_at_once_in_the_order_of_the_files() {
    let platform = r#"apiVersion: seaworthy.dev/v1
platform: Shop
aws:
  region: eu-centrl-1
  account: 111122223333
kubernetes:
  version: 1.30
network:
  cidr: 10.0.0.0/24
  natGateways: one_per_az
redis:
  enabled: yes
  replicsa: 9
rabbitmq:
  deploymentMode: active/standby
keda: {}
"#;
    let overlay = "systemNodes:\n  desired: 5\nnetwork:\n  flowLogs:\n    retentionDays: 31\ncertificate: {mode: wildcard}\n";
    let found = load(
        &sources(platform, Some(overlay), "prod"),
        &variables(&[("ENABLE_SIGNOZ", "maybe")]),
        TODAY,
    )
    .unwrap_err();
    insta::assert_snapshot!(render(&found, false));
}

#[test]
fn what_is_missing_is_said_with_its_description() {
    let mut found = load(&sources("aws: {}\n", None, "dev"), &BTreeMap::new(), TODAY).unwrap_err();
    found.retain(Diagnostic::is_error);
    assert_eq!(codes(&found), ["missing-key"; 4]);
    let messages: Vec<_> = found
        .iter()
        .map(|diagnostic| diagnostic.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "`apiVersion` is missing",
            "`platform` is missing",
            "`network` is missing",
            "`aws.region` is missing"
        ]
    );
    assert!(found.iter().all(|diagnostic| diagnostic.place.as_ref().unwrap().to_string() == "platform.yaml:1:1"));
    let messages = |text: &str| {
        load(&sources(text, None, "dev"), &BTreeMap::new(), TODAY)
            .unwrap_err()
            .into_iter()
            .filter(Diagnostic::is_error)
            .map(|found| found.message)
            .collect::<Vec<_>>()
    };
    assert_eq!(messages(""), ["the file is empty"]);
    assert_eq!(
        messages("[]"),
        ["a spec is a map of keys, and this is a list"]
    );
    assert_eq!(
        messages(&MINIMAL.replace("network", "netwrok")),
        ["unknown key `netwrok`"],
        "what is spelt wrong is not missing"
    );
    assert_eq!(
        messages(&MINIMAL.replace("10.0.0.0/16", "")),
        ["`network.cidr` is missing"]
    );
}

#[test]
fn an_error_points_at_the_file_that_the_value_came_from() {
    let overlay =
        "aws:\n  region: us-east-1\nredis:\n  enabled: true\n  nodeType: cache.t9.micro\n";
    let found = load(
        &sources(
            &format!("{MINIMAL}redis:\n  replicas: 7\n"),
            Some(overlay),
            "prod",
        ),
        &BTreeMap::new(),
        TODAY,
    )
    .unwrap_err();
    let places: Vec<_> = found
        .iter()
        .filter(|found| found.is_error())
        .map(|found| found.place.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(
        places,
        ["platform.yaml:8:13", "environments/prod.yaml:5:13"]
    );
    let fine = load(
        &sources(
            &format!("{MINIMAL}redis:\n  replicas: 7\n"),
            Some("redis: {replicas: 1}\n"),
            "prod",
        ),
        &BTreeMap::new(),
        TODAY,
    );
    assert_eq!(
        fine.unwrap().platform.spec.redis.replicas,
        1,
        "the overlay corrects it"
    );
}

#[test]
fn null_takes_a_key_back_to_its_default_and_an_empty_overlay_changes_nothing() {
    let platform = format!("{MINIMAL}systemNodes: {{max: 9}}\nredis:\n");
    let max = |overlay: Option<&str>| {
        load(&sources(&platform, overlay, "dev"), &BTreeMap::new(), TODAY)
            .unwrap()
            .platform
            .spec
            .system_nodes
            .max
    };
    assert_eq!(
        (
            max(None),
            max(Some("# nothing yet\n")),
            max(Some("systemNodes:\n"))
        ),
        (9, 9, 3)
    );
}

#[test]
fn variables_override_the_spec_and_say_so() {
    let arn = "arn:aws:acm:us-east-1:111122223333:certificate/0a1b";
    let given = variables(&[
        ("ENABLE_AWS_SERVICES", "No"),
        ("ENABLE_CNPG", "0"),
        ("DOMAIN", " shop.io "),
        ("ACM_CERTIFICATE_ARN", arn),
        ("DOMAIN_NAME", ""),
        ("PATH", "/bin"),
    ]);
    let loaded = load(&of_preset(Preset::Ekb, "prod"), &given, TODAY).unwrap();
    let spec = &loaded.platform.spec;
    assert!(!spec.redis.enabled && !spec.rabbitmq.enabled);
    assert_eq!(
        (spec.dns.domain.as_deref(), spec.certificate.arn.as_deref()),
        (Some("shop.io"), Some(arn))
    );
    let said: Vec<_> = loaded
        .overrides
        .iter()
        .map(|it| {
            (
                it.variable.as_str(),
                it.key.as_str(),
                it.from.as_deref(),
                it.to.as_str(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (
                "ENABLE_AWS_SERVICES",
                "redis.enabled",
                Some("true"),
                "false"
            ),
            (
                "ENABLE_AWS_SERVICES",
                "rabbitmq.enabled",
                Some("true"),
                "false"
            ),
            ("DOMAIN", "dns.domain", Some("example.com"), "shop.io"),
            ("ACM_CERTIFICATE_ARN", "certificate.arn", None, arn),
        ]
    );
    let on = load(
        &sources(MINIMAL, None, "dev"),
        &variables(&[("ENABLE_AWS_SERVICES", "1")]),
        TODAY,
    )
    .unwrap();
    assert!(
        on.platform.spec.redis.enabled && on.overrides[0].from.as_deref() == Some("false"),
        "the default is what it was"
    );
}

#[test]
fn wrong_variables_are_errors_by_their_names() {
    let of = |pairs: &[(&str, &str)]| {
        let found = load(&sources(MINIMAL, None, "dev"), &variables(pairs), TODAY).unwrap_err();
        found
            .into_iter()
            .filter(Diagnostic::is_error)
            .map(|found| (found.code, found.place.unwrap().file().to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(&[("ENABLE_AWS_SERVICES", "maybe")]),
        [("variable-value", "$ENABLE_AWS_SERVICES".to_owned())]
    );
    for variable in [
        "ENABLE_CNPG",
        "ENABLE_HA_SUPABASE_DB",
        "ENABLE_SUPABASE",
        "ENABLE_SIGNOZ",
    ] {
        assert_eq!(
            of(&[(variable, "true")]),
            [("not-built-yet", format!("${variable}"))]
        );
    }
    assert_eq!(
        of(&[("DOMAIN", "a.com"), ("DOMAIN_NAME", "b.com")]),
        [("variables-disagree", "$DOMAIN_NAME".to_owned())]
    );
    assert_eq!(
        of(&[("DOMAIN", "not a domain")]),
        [("domain", "$DOMAIN".to_owned())]
    );
    let misspelt = load(
        &sources(MINIMAL, None, "dev"),
        &variables(&[("ENABLE_AWS_SERVICE", "true"), ("ENABLE_IPV6", "1")]),
        TODAY,
    )
    .unwrap();
    assert!(
        codes(&misspelt.warnings).contains(&"unknown-variable") && misspelt.overrides.is_empty()
    );
}

#[test]
fn the_shared_scope_is_read_without_an_overlay() {
    let platform = MINIMAL.replace("network:\n  cidr: 10.0.0.0/16\n", "");
    assert!(
        load(&sources(&platform, None, "shared"), &BTreeMap::new(), TODAY).is_ok(),
        "it needs no network"
    );
    let found = load(
        &sources(&platform, Some("a: 1\n"), "shared"),
        &BTreeMap::new(),
        TODAY,
    )
    .unwrap_err();
    assert!(codes(&found).contains(&"reserved-name"));
}

#[test]
fn the_hash_is_of_what_the_spec_means() {
    let hash = |text: &str| {
        load(&sources(text, None, "dev"), &BTreeMap::new(), TODAY)
            .unwrap()
            .platform
            .hash
    };
    let one = hash(MINIMAL);
    assert_eq!(
        (one.len(), one.bytes().all(|byte| byte.is_ascii_hexdigit())),
        (64, true)
    );
    assert_eq!(
        one,
        hash(&format!(
            "# a comment\n{MINIMAL}redis: {{enabled: false, replicas: 1}}\n"
        )),
        "a default that is written is the same"
    );
    assert_ne!(one, hash(&format!("{MINIMAL}redis: {{enabled: true}}\n")));
}

/// What a platform promises to whoever takes it.
fn invariants(platform: &Platform) {
    let spec = &platform.spec;
    assert!(
        (16..=28).contains(&spec.network.cidr.prefix_len())
            && spec.network.cidr.trunc() == spec.network.cidr
    );
    let nodes = &spec.system_nodes;
    assert!(
        1 <= nodes.min
            && nodes.min <= nodes.desired
            && nodes.desired <= nodes.max
            && !nodes.instance_types.is_empty()
    );
    assert!((2..=6).contains(&platform.availability_zones.len()));
    assert!(
        platform
            .availability_zones
            .iter()
            .all(|zone| zone.starts_with(platform.region.as_str()))
    );
    assert!(spec.cluster.endpoint.public || spec.cluster.endpoint.private);
    assert!(
        spec.certificate.mode == CertificateMode::None
            || spec.certificate.arn.is_some()
            || spec.dns.domain.is_some()
    );
    assert!(catalog::versions::status(spec.kubernetes.version.parse().unwrap(), TODAY).is_usable());
    assert!(format!("{}-redis", platform.name()).len() <= 40 || !spec.redis.enabled);
    assert!(
        spec.protected.is_some()
            && spec.redis.engine_version.is_some()
            && platform.hash.len() == 64
    );
    assert_eq!(spec.platform, platform.platform.as_str());
}

/// A change of a text: part of a line goes, comes twice, or becomes something else.
fn mutate(text: &str, at: usize, how: u8, with: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(ToOwned::to_owned)
        .collect();
    let index = at % lines.len();
    match how {
        0 => drop(lines.remove(index)),
        1 => lines.insert(index, lines[index].clone()),
        2 => lines[index].insert_str(0, "  "),
        3 => {
            lines[index] = format!(
                "{}{with}",
                lines[index].split(':').next().unwrap_or_default()
            )
        }
        4 => {
            lines[index] = format!(
                "{}: {with}",
                lines[index].split(':').next().unwrap_or_default()
            )
        }
        5 => lines.insert(index, with.to_owned()),
        _ => lines.truncate(index),
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_preset_gives_a_sound_platform_or_diagnostics(
        kind in prop::sample::select(Preset::ALL.to_vec()),
        name in prop::sample::select(vec!["dev", "prod"]),
        changes in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 0u8..7,
            prop_oneof![Just("null"), Just("-1"), Just("0"), Just("true"), Just("[]"), Just("{}"), Just("1.36"), Just("'x'"), Just("10.0.0.999/16"), Just("99999999999"), Just(": {a: 1}"), Just("- {b: [c]}")].prop_map(ToOwned::to_owned)
                .boxed().prop_union("[ -~ü]{0,12}".prop_map(|text: String| text).boxed())), 1..4),
    ) {
        let sources = of_preset(kind, name);
        let mut texts = [sources.platform.text().to_owned(), sources.overlay.as_ref().unwrap().text().to_owned()];
        for (overlay, at, how, with) in changes {
            let text = &mut texts[usize::from(overlay)];
            if text.lines().next().is_some() && text.lines().any(|line| !line.trim_start().starts_with('#')) {
                *text = mutate(text, at.index(1000), how, &with);
            }
        }
        let changed = Sources {
            platform: Source::new("platform.yaml", texts[0].as_str()),
            overlay: Some(Source::new("overlay.yaml", texts[1].as_str())),
            ..sources
        };
        match load(&changed, &BTreeMap::new(), TODAY) {
            Ok(loaded) => invariants(&loaded.platform),
            Err(found) => {
                prop_assert!(found.iter().any(Diagnostic::is_error));
                prop_assert!(!render(&found, true).is_empty());
            }
        }
    }
}
