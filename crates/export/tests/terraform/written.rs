//! What stands in the files, where a reader would look.

use catalog::ids::{Address, EnvironmentName, PlatformName, Region};
use export::{Error, Owner, Scoped, Source};
use graph::{Graph, GraphBuilder, Lifecycle, Resource, Scope, Value, value};
use serde_json::json;

use crate::fixtures;
use crate::platforms::Case;

fn case(dev: serde_json::Value, prod: serde_json::Value) -> Case {
    Case::new(
        "here",
        vec![
            fixtures::platform("dev", dev),
            fixtures::platform("prod", prod),
        ],
    )
}

/// A small module in full: what differs is a variable, what only one has is made by a flag.
#[test]
fn a_small_module() {
    let case = case(
        json!({ "budget": { "monthlyUsd": 100, "emails": ["a@example.com"] } }),
        json!({ "budget": { "monthlyUsd": 1000, "emails": ["ops@example.com"] }, "audit": { "cloudTrail": true } }),
    );
    let files = case.export();
    let text = |path: &str| files.get(path).unwrap().text.as_str();
    let main = text("modules/governance/main.tf");
    assert!(
        main.contains("limit_amount = tostring(var.budget_amount)"),
        "{main}"
    );
    assert_eq!(
        main.matches("count = var.create_audit ? 1 : 0").count(),
        3,
        "{main}"
    );
    assert!(main.contains("prevent_destroy = true"), "{main}");
    let prod = text("terragrunt/environments/prod/governance/terragrunt.hcl");
    assert!(prod.contains("budget_amount  = 1000"), "{prod}");
    assert!(
        prod.contains("= [\"ops@example.com\"]") || prod.contains("= \"ops@example.com\""),
        "{prod}"
    );
    insta::assert_snapshot!(
        "governance",
        format!(
            "{}\n{main}\n{prod}",
            text("modules/governance/variables.tf")
        )
    );
}

#[test]
fn a_private_route_goes_to_its_own_zone_where_that_has_a_gateway() {
    let single = json!({ "network": { "natGateways": "single" } });
    let case = case(single, json!({}));
    let files = case.export();
    let main = &files.get("modules/network/main.tf").unwrap().text;
    let condition = "var.create_nat_gateway_b ? awscc_ec2_nat_gateway.nat_gateway_b[0].nat_gateway_id : awscc_ec2_nat_gateway.nat_gateway_a.nat_gateway_id";
    let contrary = "!var.create_nat_gateway_b ? awscc_ec2_nat_gateway.nat_gateway_a.nat_gateway_id : awscc_ec2_nat_gateway.nat_gateway_b[0].nat_gateway_id";
    assert!(
        main.contains(condition) || main.contains(contrary),
        "{main}"
    );
}

#[test]
fn one_environment_has_hardly_a_variable() {
    let case = Case::new(
        "one",
        vec![fixtures::platform("prod", fixtures::everything())],
    );
    let files = case.export();
    for (path, file) in files
        .iter()
        .filter(|(path, _)| path.ends_with("/variables.tf"))
    {
        let variables: Vec<&str> = file
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("variable \""))
            .map(|line| line.trim_end_matches("\" {"))
            .collect();
        let other: Vec<&&str> = variables
            .iter()
            .filter(|name| {
                ![
                    "platform",
                    "environment",
                    "region",
                    "tags",
                    "vpc_cidr_block",
                    "deployer_arn",
                ]
                .contains(name)
            })
            // What other modules put out, and what may be there already.
            .filter(|name| {
                !name.ends_with("_id") && !name.ends_with("_ids") && !name.ends_with("_arn")
            })
            .filter(|name| !["cluster_name", "cluster_open_id_connect_issuer_url"].contains(name))
            .filter(|name| **name != "create_spot_service_linked_role")
            .collect();
        assert!(other.is_empty(), "{path}: {other:?}");
    }
}

#[test]
fn no_secret_is_written_or_read_by_terraform() {
    let case = Case::new(
        "one",
        vec![fixtures::platform("prod", fixtures::everything())],
    );
    let files = case.export();
    let main = &files.get("modules/data/main.tf").unwrap().text;
    assert_eq!(
        main.matches("{{resolve:secretsmanager:${awscc_secretsmanager_secret.")
            .count(),
        2
    );
    for (path, file) in files.iter() {
        assert!(
            !file.text.contains("aws_secretsmanager_secret_version"),
            "{path}"
        );
    }
}

#[test]
fn every_file_says_how_it_was_made_and_whose_it_is() {
    let case = case(json!({}), fixtures::everything());
    for (path, file) in case.export().iter() {
        assert!(
            file.text.contains("Made by `seaworthy export terraform`"),
            "{path}"
        );
        assert!(
            file.text.ends_with('\n') && !file.text.ends_with("\n\n"),
            "{path}"
        );
        let owner = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["terragrunt", "environments", name, ..] => {
                Owner::Scope(EnvironmentName::new(name).unwrap())
            }
            ["terragrunt", "shared", ..] => Owner::Scope(EnvironmentName::new("shared").unwrap()),
            _ => Owner::All,
        };
        assert_eq!(file.owner, owner, "{path}");
    }
}

fn graph(resources: Vec<Resource>) -> Graph {
    let mut builder = GraphBuilder::new(Scope {
        platform: PlatformName::new("shop").unwrap(),
        environment: EnvironmentName::new("prod").unwrap(),
        region: Region::new("eu-central-1").unwrap(),
    });
    for resource in resources {
        builder.add(resource);
    }
    builder.build().unwrap()
}

fn resource(address: &str, type_name: &str, properties: Value) -> Resource {
    let Value::Object(properties) = properties else {
        panic!("an object")
    };
    Resource::new(
        Address::new(address).unwrap(),
        type_name.parse().unwrap(),
        properties,
    )
}

fn exported(graph: &Graph) -> Result<export::Files, Vec<Error>> {
    let platform = fixtures::platform("prod", json!({}));
    let shared = blueprint::shared(&platform).unwrap();
    let scopes = [Scoped {
        platform: &platform,
        graph,
    }];
    export::terraform::export(&Source {
        environments: &scopes,
        shared: Scoped {
            platform: &platform,
            graph: &shared,
        },
        wanted: &[],
    })
}

#[test]
fn what_neither_provider_has_a_place_for_is_refused() {
    let group = value!({
        "ClusterName": "a", "NodeRole": "b", "Subnets": ["c"],
        "ScalingConfig": { "MinSize": 1, "MaxSize": 1, "DesiredSize": 1 },
        "RemoteAccess": { "Ec2SshKey": "key" },
    });
    let errors = exported(&graph(vec![resource(
        "system-nodes/node-group",
        "AWS::EKS::Nodegroup",
        group,
    )]))
    .unwrap_err();
    let text = errors[0].to_string();
    assert!(
        text.contains("system-nodes/node-group") && text.contains("RemoteAccess"),
        "{text}"
    );
}

#[test]
fn what_the_pinned_release_does_not_have_yet_is_refused() {
    let table = value!({ "TableName": "a", "KeySchema": [], "StreamSpecification": { "StreamViewType": "KEYS_ONLY", "Tags": [] } });
    let errors = exported(&graph(vec![resource(
        "backup/table",
        "AWS::DynamoDB::Table",
        table,
    )]))
    .unwrap_err();
    assert!(
        errors[0].to_string().contains("StreamSpecification.Tags"),
        "{errors:?}"
    );
}

#[test]
fn labels_that_would_be_one_are_refused() {
    let queue = |address: &str| {
        resource(
            address,
            "AWS::SQS::Queue",
            value!({ "QueueName": address.replace('/', "-") }),
        )
    };
    let errors =
        exported(&graph(vec![queue("karpenter/a-b"), queue("karpenter/a/b")])).unwrap_err();
    assert!(
        matches!(&errors[0], Error::Name { name, .. } if name == "a_b"),
        "{errors:?}"
    );
}

/// Records come from `aws`; what neither provider knows is a stack.
#[test]
fn records_and_brokers() {
    let record = value!({ "HostedZoneId": "Z1", "Name": "app.example.com", "Type": "A", "TTL": "300", "ResourceRecords": ["192.0.2.1"] });
    let broker = value!({
        "BrokerName": "b", "DeploymentMode": "SINGLE_INSTANCE", "EngineType": "RABBITMQ",
        "HostInstanceType": "mq.m7g.medium", "PubliclyAccessible": false, "Users": [],
    });
    let mut broker = resource("rabbitmq/broker", "AWS::AmazonMQ::Broker", broker);
    broker.lifecycle = Lifecycle::Retain;
    let files = exported(&graph(vec![
        resource("dns/record", "AWS::Route53::RecordSet", record),
        broker,
    ]))
    .unwrap();
    let edge = &files.get("modules/edge/main.tf").unwrap().text;
    assert!(
        edge.contains("resource \"aws_route53_record\" \"dns_record\"") && edge.contains("ttl "),
        "{edge}"
    );
    let data = &files.get("modules/data/main.tf").unwrap().text;
    assert!(
        data.contains("neither provider manages AWS::AmazonMQ::Broker"),
        "{data}"
    );
    assert!(
        data.contains("DeletionPolicy") && data.contains("prevent_destroy = true"),
        "{data}"
    );
}

/// Where no existing flag tells three values apart, new ones do.
#[test]
fn three_targets_of_one_reference() {
    let environments = ["dev", "stage", "prod"];
    let platforms: Vec<_> = environments
        .iter()
        .map(|name| fixtures::platform(name, json!({})))
        .collect();
    let graphs: Vec<Graph> = environments
        .iter()
        .zip(["a", "b", "c"])
        .map(|(environment, target)| {
            let mut builder = GraphBuilder::new(Scope {
                platform: PlatformName::new("shop").unwrap(),
                environment: EnvironmentName::new(environment).unwrap(),
                region: Region::new("eu-central-1").unwrap(),
            });
            for queue in ["a", "b", "c"] {
                builder.add(resource(&format!("karpenter/{queue}"), "AWS::SQS::Queue", value!({ "QueueName": queue })));
            }
            let target = Address::new(format!("karpenter/{target}")).unwrap();
            let rule = value!({ "Name": "rule", "Targets": [{ "Id": "it", "Arn": Value::attribute(&target, "Arn") }] });
            builder.add(resource("karpenter/rule", "AWS::Events::Rule", rule));
            builder.build().unwrap()
        })
        .collect();
    let shared = blueprint::shared(&platforms[0]).unwrap();
    let scopes: Vec<Scoped<'_>> = platforms
        .iter()
        .zip(&graphs)
        .map(|(platform, graph)| Scoped { platform, graph })
        .collect();
    let wanted: Vec<EnvironmentName> = graphs
        .iter()
        .map(|graph| graph.scope().environment.clone())
        .collect();
    let files = export::terraform::export(&Source {
        environments: &scopes,
        shared: Scoped {
            platform: &platforms[0],
            graph: &shared,
        },
        wanted: &wanted,
    })
    .unwrap();
    for graph in &graphs {
        assert_eq!(
            crate::same::compare("three targets", &files, graph, false),
            4
        );
    }
}
