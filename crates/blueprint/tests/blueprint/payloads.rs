//! Every payload is one that AWS takes, as far as its schemas tell.

use graph::{Lifecycle, Value};
use serde_json::json;

use crate::fixtures::{all, everything, platform};
use crate::render::{address, environment, payload};

#[test]
fn every_payload_is_valid_and_sets_no_read_only_property() {
    for (name, platform) in all() {
        for graph in [
            environment(&name, &platform),
            blueprint::shared(&platform).unwrap(),
        ] {
            for resource in graph
                .resources()
                .filter(|it| !matches!(it.lifecycle, Lifecycle::Existing(_)))
                .filter(|it| !it.type_name.realm().is_in_cluster())
            {
                let document = payload(&graph, resource);
                let schema = catalog::schema(&resource.type_name).unwrap();
                let violations = schema.validate_desired(&document);
                assert!(
                    violations.is_empty(),
                    "{name}: {}: {violations:#?}\n{document:#}",
                    resource.address
                );
            }
        }
    }
}

#[test]
fn the_graph_is_the_same_each_time() {
    for (name, platform) in all() {
        let text = |graph: &graph::Graph| serde_json::to_string(graph).unwrap();
        assert_eq!(
            text(&environment(&name, &platform)),
            text(&environment(&name, &platform)),
            "{name}"
        );
    }
}

#[test]
fn an_existing_vpc_is_only_looked_at() {
    let (name, platform) = all()
        .into_iter()
        .find(|(name, _)| name.starts_with("existing VPC"))
        .unwrap();
    let graph = environment(&name, &platform);
    let network: Vec<_> = graph
        .resources()
        .filter(|it| it.address.as_str().starts_with("network/"))
        .collect();
    assert_eq!(network.len(), 5);
    for it in &network {
        assert!(matches!(it.lifecycle, Lifecycle::Existing(_)));
        // What the spec says of it, to be compared; nothing else.
        let known: Vec<&String> = it.properties.keys().collect();
        let expected: &[&str] = match it.address.as_str() {
            "network/vpc" => &["CidrBlock"],
            _ => &[],
        };
        assert_eq!(known, expected, "{}", it.address);
    }
}

#[test]
fn the_master_switches_of_a_production_platform_are_set() {
    let graph = environment("everything", &platform("prod", everything()));
    let document = |text: &str| payload(&graph, graph.get(&address(text)).unwrap());

    let redis = document("redis/replication-group");
    for switch in [
        "TransitEncryptionEnabled",
        "AtRestEncryptionEnabled",
        "MultiAZEnabled",
        "AutomaticFailoverEnabled",
    ] {
        assert_eq!(redis[switch], true, "{switch}");
    }
    let broker = document("rabbitmq/broker");
    assert_eq!(broker["PubliclyAccessible"], false);
    assert_eq!(broker["SubnetIds"].as_array().map(Vec::len), Some(3));
    for (group, ports) in [("redis", vec![6379]), ("rabbitmq", vec![5671, 443, 15671])] {
        let document = document(&format!("{group}/security-group"));
        let rules = document["SecurityGroupIngress"].as_array().unwrap();
        assert_eq!(
            rules
                .iter()
                .map(|rule| rule["FromPort"].as_i64().unwrap())
                .collect::<Vec<_>>(),
            ports
        );
        assert!(
            rules
                .iter()
                .all(|rule| rule["CidrIp"] == "10.0.0.0/16" && rule["FromPort"] == rule["ToPort"])
        );
    }
    let cluster = document("cluster/cluster");
    assert_eq!(
        cluster["AccessConfig"],
        json!({ "AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": false })
    );
    assert_eq!(cluster["BootstrapSelfManagedAddons"], false);
    let template = document("system-nodes/launch-template");
    assert_eq!(
        template["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"],
        "required"
    );
    let nodes = document("system-nodes/node-group");
    assert_eq!(
        nodes["Taints"],
        json!([{ "Key": "CriticalAddonsOnly", "Value": "true", "Effect": "NO_SCHEDULE" }])
    );
    assert_eq!(nodes["AmiType"], "AL2023_x86_64_STANDARD");
    let cni: serde_json::Value = serde_json::from_str(
        document("addons/vpc-cni")["ConfigurationValues"]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(cni["env"]["ENABLE_PREFIX_DELEGATION"], "true");
    for addon in ["coredns", "metrics-server", "aws-ebs-csi-driver"] {
        let values = document(&format!("addons/{addon}"))["ConfigurationValues"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            values.contains(r#""key":"CriticalAddonsOnly""#),
            "{addon}: {values}"
        );
    }
    // What the driver tags is what AWS Backup selects.
    let selection = document("backup/selection");
    let volumes = document("addons/aws-ebs-csi-driver")["ConfigurationValues"]
        .as_str()
        .unwrap()
        .to_owned();
    let condition = &selection["BackupSelection"]["ListOfTags"][0];
    assert!(
        volumes.contains(&format!(
            "{}:{}",
            condition["ConditionKey"], condition["ConditionValue"]
        )),
        "{volumes}"
    );
    // With Route 53, ACM validates by itself; a wildcard by its base's record.
    let zone = json!([{ "DomainName": "example.com", "HostedZoneId": "Z0123456789ABCDEFGHIJ" }]);
    assert_eq!(
        document("certificate/wildcard")["DomainValidationOptions"],
        zone
    );
}

#[test]
fn a_graviton_node_group_has_a_graviton_image() {
    let graph = environment(
        "arm",
        &platform(
            "dev",
            json!({ "systemNodes": { "instanceTypes": ["t4g.medium"] } }),
        ),
    );
    let nodes = payload(
        &graph,
        graph.get(&address("system-nodes/node-group")).unwrap(),
    );
    assert_eq!(nodes["AmiType"], "AL2023_ARM_64_STANDARD");
}

#[test]
fn nat_gateways_are_one_or_one_an_availability_zone() {
    let count = |overlay| {
        let graph = environment("nat", &platform("prod", overlay));
        let count = |kind: &str| {
            graph
                .resources()
                .filter(|it| it.type_name.resource() == kind)
                .count()
        };
        (count("NatGateway"), count("EIP"), count("Route"))
    };
    assert_eq!(
        count(json!({ "network": { "natGateways": "single" } })),
        (1, 1, 4)
    );
    assert_eq!(
        count(json!({ "network": { "natGateways": "one-per-az" } })),
        (3, 3, 4)
    );
}

#[test]
fn two_environments_share_no_name() {
    let names = |environment: &str| -> Vec<String> {
        let graph = crate::render::environment(environment, &platform(environment, everything()));
        // What hangs under a cluster or a plan is named within it, and what refers to another is named by that. The
        // spec's own secrets are named by the spec: an overlay names them apart.
        let names = graph.resources().filter_map(|it| {
            let property = catalog::schema(&it.type_name)?.name_property()?;
            let literal = matches!(
                it.properties.get(property.property()?)?,
                Value::String(_) | Value::Join(_)
            );
            let within = ["ClusterName", "BackupPlanId"]
                .iter()
                .any(|parent| it.properties.contains_key(*parent));
            let theirs = it.address.as_str().starts_with("secrets/");
            let payload = payload(&graph, it);
            let name = property.get(&payload)?.as_str()?;
            (literal && !within && !theirs).then(|| format!("{} {name}", it.type_name))
        });
        names.collect()
    };
    let (dev, prod) = (names("dev"), names("prod"));
    assert!(dev.len() > 20, "{dev:#?}");
    assert!(
        dev.iter()
            .all(|name| name.contains("shop-dev") && !prod.contains(name)),
        "{dev:#?}"
    );
}
