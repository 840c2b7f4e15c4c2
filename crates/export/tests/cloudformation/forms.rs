//! What no platform has today and the graph can have all the same; what is refused; what it looks like.

use std::collections::BTreeSet;

use catalog::TypeName;
use catalog::ids::{Address, EnvironmentName, PlatformName, Region};
use export::{Error, Format, Owner, Scoped, Source, cloudformation};
use graph::{
    Graph, GraphBuilder, Lifecycle, Parameter, Resource, Scope, SecretReference, Value, value,
};
use serde_json::json;

use crate::exported::{self, Exported, all, export, outside};
use crate::fixtures;
use crate::round_trip::compare;
use crate::yaml;

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn resource(at: &str, type_name: &'static str, properties: Value) -> Resource {
    let Value::Object(properties) = properties else {
        panic!("an object")
    };
    Resource::new(address(at), TypeName::new(type_name), properties)
}

fn graph(resources: impl IntoIterator<Item = Resource>) -> Graph {
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

fn exported(graph: Graph) -> Exported {
    export("forms", fixtures::platform("prod", json!({})), graph)
}

fn errors(graph: &Graph) -> Vec<Error> {
    let platform = fixtures::platform("prod", json!({}));
    let scope = Scoped {
        platform: &platform,
        graph,
    };
    let source = Source {
        environments: &[],
        shared: scope,
        wanted: std::slice::from_ref(scope.name()),
    };
    cloudformation::export(&source).unwrap_err()
}

fn vpc() -> Resource {
    resource(
        "network/vpc",
        "AWS::EC2::VPC",
        value!({ "CidrBlock": "10.0.0.0/16" }),
    )
}

#[test]
fn every_form_of_a_value_comes_back() {
    let (vpc_at, eip) = (address("network/vpc"), address("network/eip"));
    let (secret, key) = (address("redis/secret"), address("redis/key"));
    let whole = Value::Secret(SecretReference {
        secret: secret.clone(),
        key: None,
    });
    let account = || Value::Parameter(Parameter::AccountId);
    let deployer = || Value::Parameter(Parameter::Deployer);
    let document = value!({
        "arn": Value::attribute(&key, "Arn"),
        "quoted \"key\"": "a \"quote\", a \\ and ${no reference}",
        "list": [1, true, { "inner": Value::Json(Box::new(value!(["x", account()]))) }],
        "joined": Value::join(["\"".into(), account()]),
    });
    let mut after_all = resource(
        "redis/parameter",
        "AWS::SSM::Parameter",
        value!({
            "Type": "String",
            // Of another stack, compound.
            "Name": Value::join(["/eip/".into(), Value::identifier(&eip)]),
            "Value": Value::Json(Box::new(document)),
            "Description": Value::join(["${AWS::Region} of ".into(), deployer(), " ${!x}".into()]),
            "AllowedPattern": Value::Split {
                of: Box::new(Value::join(["a/".into(), account()])),
                separator: "/".to_owned(),
                index: 1,
            },
            "Tags": { "account": account(), "deployer": deployer(), "zeros": "0012", "yes": "yes", "date": "2026-11-21" },
        }),
    );
    after_all.depends_on = BTreeSet::from([address("network/log")]);
    let graph = graph([
        vpc(),
        resource("network/eip", "AWS::EC2::EIP", value!({ "Domain": "vpc" })),
        resource(
            "network/log",
            "AWS::Logs::LogGroup",
            value!({ "RetentionInDays": 7 }),
        ),
        resource(
            "redis/secret",
            "AWS::SecretsManager::Secret",
            value!({ "GenerateSecretString": { "PasswordLength": 32 } }),
        ),
        resource(
            "redis/key",
            "AWS::KMS::Key",
            value!({ "Description": "first" }),
        ),
        // What CloudFormation does not give is written as it was given: of this stack and of another.
        resource(
            "redis/alias",
            "AWS::KMS::Alias",
            value!({ "AliasName": Value::join(["alias/".into(), Value::attribute(&key, "Description")]), "TargetKeyId": Value::attribute(&key, "KeyId") }),
        ),
        resource(
            "redis/copy",
            "AWS::KMS::Key",
            value!({ "Description": Value::attribute(&key, "Description") }),
        ),
        resource(
            "redis/security-group",
            "AWS::EC2::SecurityGroup",
            value!({
                "GroupDescription": "literal ${AWS::AccountId}",
                "VpcId": Value::identifier(&vpc_at),
                "SecurityGroupIngress": [{ "IpProtocol": "-1", "CidrIp": Value::attribute(&vpc_at, "CidrBlock") }],
            }),
        ),
        resource(
            "redis/copied-secret",
            "AWS::SecretsManager::Secret",
            value!({ "SecretString": whole }),
        ),
        after_all,
    ]);
    let exported = exported(graph);
    assert_eq!(compare(&exported), 10);

    let data = yaml::parse(&exported.files.get("prod/data.yaml").unwrap().text);
    let of = |id: &str| &data["Resources"][id];
    // No intrinsic says that the copy comes after what it was copied from.
    assert_eq!(of("RedisCopy")["Properties"]["Description"], "first");
    assert_eq!(of("RedisCopy")["DependsOn"], json!(["RedisKey"]));
    // One says it of the alias.
    assert_eq!(of("RedisAlias")["DependsOn"], json!(null));
    assert_eq!(
        of("RedisCopiedSecret")["Properties"]["SecretString"],
        json!({ "Fn::Sub": "{{resolve:secretsmanager:${RedisSecret}:SecretString}}" })
    );
    let group = &of("RedisSecurityGroup")["Properties"];
    assert_eq!(group["GroupDescription"], "literal ${AWS::AccountId}");
    assert_eq!(group["SecurityGroupIngress"][0]["CidrIp"], "10.0.0.0/16");
    assert_eq!(group["VpcId"], json!({ "Ref": "NetworkVpcVpcId" }));
    let parameter = &of("RedisParameter")["Properties"];
    assert_eq!(
        parameter["Name"],
        json!({ "Fn::Sub": "/eip/${NetworkEipPublicIp}|${NetworkEipAllocationId}" })
    );
    assert_eq!(
        parameter["Description"],
        json!({ "Fn::Sub": "${!AWS::Region} of ${DeployerArn} ${!!x}" })
    );
}

#[test]
fn two_addresses_of_one_logical_id_are_refused() {
    let repository = |at: &str| resource(at, "AWS::ECR::Repository", value!({}));
    let graph = graph([repository("secrets/a-b"), repository("secrets/a/b")]);
    assert_eq!(
        errors(&graph),
        [Error::Name {
            first: address("secrets/a-b"),
            second: address("secrets/a/b"),
            name: "SecretsAB".to_owned(),
        }]
    );
}

#[test]
fn a_parameter_of_the_name_of_a_resource_is_refused() {
    let vpc_at = address("network/vpc");
    let group = |at: &str| {
        let properties = value!({ "GroupDescription": "x", "VpcId": Value::identifier(&vpc_at) });
        resource(at, "AWS::EC2::SecurityGroup", properties)
    };
    // `NetworkVpcVpcId` is what the VPC's id is called in other stacks.
    let errors = errors(&graph([vpc(), group("network-vpc/vpc-id")]));
    assert!(
        matches!(&errors[..], [Error::Name { name, .. }] if name == "NetworkVpcVpcId"),
        "{errors:?}"
    );
}

#[test]
fn what_there_are_no_words_for_is_refused() {
    let whys = |resources: Vec<Resource>| -> Vec<String> {
        errors(&graph(resources))
            .into_iter()
            .map(|error| match error {
                Error::Inexpressible {
                    address,
                    format: Format::CloudFormation,
                    why,
                } => format!("{address}: {why}"),
                other => panic!("{other}"),
            })
            .collect()
    };
    let description = |value: Value| {
        resource(
            "redis/key",
            "AWS::KMS::Key",
            value!({ "Description": value }),
        )
    };
    assert_eq!(
        whys(vec![description("see {{resolve:ssm:x}}".into())]),
        ["redis/key: a text has `{{resolve:` in it, which CloudFormation would replace"]
    );
    let tenancy = Value::attribute(&address("network/vpc"), "InstanceTenancy");
    assert_eq!(
        whys(vec![vpc(), description(tenancy)]),
        [
            "redis/key: it needs InstanceTenancy of `network/vpc`, which is not set, and which CloudFormation does not give"
        ]
    );
    let mut role = resource(
        "redis/linked-role",
        "AWS::IAM::ServiceLinkedRole",
        value!({ "AWSServiceName": "spot.amazonaws.com" }),
    );
    role.lifecycle = Lifecycle::Ensure;
    let name = Value::identifier(&role.address);
    assert_eq!(
        whys(vec![role, description(name)]),
        [
            "redis/key: it needs RoleName of `redis/linked-role`, which the stack makes only if it is not there"
        ]
    );
}

#[test]
fn a_template_over_the_limits_is_refused() {
    let secrets = (0..501).map(|number| {
        resource(
            &format!("secrets/s{number}"),
            "AWS::SecretsManager::Secret",
            value!({}),
        )
    });
    let errors: Vec<String> = errors(&graph(secrets))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "`prod/stack.yaml` would have 501 outputs, and cloudformation takes 200 at most",
            "`prod/data.yaml` would have 501 resources, and cloudformation takes 500 at most",
            "`prod/data.yaml` would have 501 outputs, and cloudformation takes 200 at most",
        ]
    );
}

#[test]
fn where_everything_is_somebody_elses_there_is_no_template() {
    let mut vpc = vpc();
    let identifier = catalog::ids::Identifier::new("vpc-0123456789abcdef0").unwrap();
    vpc.lifecycle = Lifecycle::Existing(identifier);
    assert_eq!(exported(graph([vpc])).files.iter().count(), 0);
}

#[test]
fn the_same_platform_gives_the_same_bytes() {
    for first in all() {
        let again = if first.name.ends_with(", shared") {
            blueprint::shared(&first.platform).unwrap()
        } else {
            blueprint::environment(&first.platform).unwrap()
        };
        let again = export(&first.name, first.platform.clone(), again);
        assert_eq!(again.files, first.files, "{}", first.name);
    }
}

#[test]
fn only_the_wanted_scopes_are_exported_each_with_files_of_its_own() {
    let [dev, prod] = ["dev", "prod"].map(|name| fixtures::platform(name, json!({})));
    let graphs = [&dev, &prod].map(outside);
    let shared = blueprint::shared(&dev).unwrap();
    let scoped = |platform, graph| Scoped { platform, graph };
    let names = ["prod", "shared"].map(|name| EnvironmentName::new(name).unwrap());
    let source = Source {
        environments: &[scoped(&dev, &graphs[0]), scoped(&prod, &graphs[1])],
        shared: scoped(&dev, &shared),
        wanted: &names,
    };
    let files = cloudformation::export(&source).unwrap();
    let mut folders = BTreeSet::new();
    for (path, file) in files.iter() {
        let (folder, _) = path.split_once('/').unwrap();
        assert_eq!(
            file.owner,
            Owner::Scope(EnvironmentName::new(folder).unwrap())
        );
        folders.insert(folder);
    }
    assert_eq!(folders, BTreeSet::from(["prod", "shared"]));
}

/// What data and other people's resources look like; the rest is compared value by value.
#[test]
fn a_template_reads_well() {
    let everything = exported::all()
        .iter()
        .find(|exported| exported.name == "everything, irsa")
        .unwrap();
    let text = &everything.files.get("prod/data.yaml").unwrap().text;
    let from = text.find("  RabbitmqSecret:").unwrap();
    let to = text.find("  RedisReplicationGroup:").unwrap();
    let fragment: String = text[from..to]
        .lines()
        .filter(|line| !line.contains("- Key:") && !line.contains("Value:"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(
        fragment.split("  RabbitmqSecurityGroup:").next().unwrap(),
        r#"  RabbitmqSecret:
    Type: AWS::SecretsManager::Secret
    DeletionPolicy: Delete
    UpdateReplacePolicy: Retain
    Properties:
      Description: The RabbitMQ broker's user
      GenerateSecretString:
        ExcludePunctuation: true
        GenerateStringKey: password
        PasswordLength: 32
        SecretStringTemplate: |-
          {"username":"shop-prod"}
      Name: shop-prod/rabbitmq
      Tags:
"#
    );
    assert!(text.contains(
        "Password: !Sub \"{{resolve:secretsmanager:${RabbitmqSecret}:SecretString:password}}\""
    ));
    assert!(text.starts_with("# Made by `seaworthy export cloudformation`"));
    assert!(text.contains("  NetworkVpcVpcId:\n    Type: AWS::EC2::VPC::Id\n"));

    let shared = exported::all()
        .iter()
        .find(|exported| exported.name == "everything, irsa, shared")
        .unwrap();
    let text = &shared.files.get("shared/shared.yaml").unwrap().text;
    let from = text.find("  SharedSpotServiceLinkedRole:").unwrap();
    assert_eq!(
        text[from..].lines().take(6).collect::<Vec<_>>(),
        [
            "  SharedSpotServiceLinkedRole:",
            "    Type: AWS::IAM::ServiceLinkedRole",
            "    Condition: MakesSharedSpotServiceLinkedRole",
            "    DeletionPolicy: RetainExceptOnCreate",
            "    UpdateReplacePolicy: Retain",
            "    Properties:",
        ]
    );
    // Conditions are where the graph has something that may be there already, and nowhere else.
    for exported in all() {
        for (file, text) in exported.templates() {
            let conditions = text.contains("\nConditions:\n");
            assert_eq!(
                conditions,
                file == "shared.yaml",
                "{}: {file}",
                exported.name
            );
        }
    }
}
