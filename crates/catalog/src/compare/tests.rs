use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::TypeName;

fn of(name: &'static str) -> &'static ResourceSchema {
    crate::schema(&TypeName::new(name)).unwrap()
}

fn drift(name: &'static str, desired: Value, actual: Value) -> Vec<String> {
    differences(of(name), &desired, &actual)
        .iter()
        .map(|difference| difference.path.to_string())
        .collect()
}

const NONE: [&str; 0] = [];

#[test]
fn only_declared_properties_count() {
    let desired =
        json!({"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true, "InstanceTenancy": null});
    let actual = json!({"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": false, "InstanceTenancy": "default", "VpcId": "vpc-1"});
    assert_eq!(
        drift("AWS::EC2::VPC", desired, actual),
        ["EnableDnsSupport"]
    );
    let desired = json!({"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true});
    let missing = differences(
        of("AWS::EC2::VPC"),
        &desired,
        &json!({"CidrBlock": "10.0.0.0/16"}),
    );
    assert_eq!(missing[0].actual, Value::Null);
    assert_eq!(missing.len(), 1);
}

#[test]
fn what_cannot_be_read_back_is_no_drift_but_a_change() {
    let group = |token: &str| json!({"ReplicationGroupDescription": "d", "AuthToken": token, "EngineVersion": "7.1"});
    let name = "AWS::ElastiCache::ReplicationGroup";
    assert_eq!(
        drift(
            name,
            group("a"),
            json!({"ReplicationGroupDescription": "d"})
        ),
        NONE
    );
    let changed = changes(of(name), &group("a"), &group("b"));
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (changed[0].path.to_string().as_str(), &changed[0].expected),
        ("AuthToken", &json!("b"))
    );
    let broker = |password: &str| json!({"Users": [{"Username": "u", "Password": password}]});
    assert_eq!(drift("AWS::AmazonMQ::Broker", broker("x"), json!({})), NONE);
    // Nested in an object that AWS otherwise returns.
    let cluster = json!({"AccessConfig": {"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": false}});
    assert_eq!(
        drift(
            "AWS::EKS::Cluster",
            cluster,
            json!({"AccessConfig": {"AuthenticationMode": "API"}})
        ),
        NONE
    );
}

#[test]
fn a_change_sees_what_is_declared_no_more() {
    let before = json!({"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true, "Tags": [{"Key": "a", "Value": "1"}]});
    let after = json!({"CidrBlock": "10.0.0.0/16", "Tags": []});
    let changed = changes(of("AWS::EC2::VPC"), &before, &after);
    let paths: Vec<String> = changed
        .iter()
        .map(|change| change.path.to_string())
        .collect();
    assert_eq!(paths, ["Tags.a", "EnableDnsSupport"]);
    assert!(changed.iter().all(|change| change.expected.is_null()));
    // A default written out is what is there without it.
    let role = |path: Value| json!({"AssumeRolePolicyDocument": {}, "Path": path});
    assert_eq!(
        changes(
            of("AWS::IAM::Role"),
            &role(json!("/")),
            &json!({"AssumeRolePolicyDocument": {}})
        ),
        []
    );
}

#[test]
fn tags_differ_by_key_and_those_of_aws_are_none() {
    let desired = json!({"Tags": [{"Key": "Name", "Value": "a"}, {"Key": "karpenter.sh/discovery", "Value": "x"}]});
    let actual = json!({"Tags": [
        {"Key": "aws:cloudformation:stack-name", "Value": "s"}, {"Key": "extra", "Value": "e"}, {"Key": "Name", "Value": "b"}]});
    assert_eq!(
        drift("AWS::EC2::Subnet", desired, actual),
        [
            "Tags.Name",
            "Tags[\"karpenter.sh/discovery\"]",
            "Tags.extra"
        ]
    );
    let map = |value: &str| json!({"Tags": {"Name": value}});
    assert_eq!(drift("AWS::EKS::Nodegroup", map("a"), map("a")), NONE);
    assert_eq!(
        drift("AWS::EKS::Nodegroup", map("a"), map("b")),
        ["Tags.Name"]
    );
}

#[test]
fn sets_have_no_order_but_every_element_counts() {
    let rules = |sources: &[&str]| {
        let rules: Vec<Value> = sources
            .iter()
            .map(|source| json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": source}))
            .collect();
        json!({"SecurityGroupIngress": rules})
    };
    let name = "AWS::EC2::SecurityGroup";
    assert_eq!(
        drift(
            name,
            rules(&["10.0.0.0/8", "10.1.0.0/16"]),
            rules(&["10.1.0.0/16", "10.0.0.0/8"])
        ),
        NONE
    );
    assert_eq!(
        drift(
            name,
            rules(&["10.0.0.0/8"]),
            rules(&["10.1.0.0/16", "10.0.0.0/8"])
        ),
        ["SecurityGroupIngress"]
    );
    assert_eq!(
        drift(name, rules(&["10.0.0.0/8"]), rules(&["10.1.0.0/16"])),
        ["SecurityGroupIngress"]
    );
    // Each declared element needs one of its own, whichever order they are tried in.
    let loose = json!({"SecurityGroupIngress": [{"IpProtocol": "tcp"}, {"IpProtocol": "tcp", "FromPort": 1}]});
    let tight = json!({"SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 1}, {"IpProtocol": "tcp", "FromPort": 2}]});
    assert_eq!(drift(name, loose, tight), NONE);
}

#[test]
fn known_spellings_are_equal() {
    for (name, desired, actual) in [
        (
            "AWS::ElastiCache::ReplicationGroup",
            json!({"ReplicationGroupId": "Shop-Dev"}),
            json!({"ReplicationGroupId": "shop-dev"}),
        ),
        (
            "AWS::AmazonMQ::Broker",
            json!({"EngineType": "RabbitMQ"}),
            json!({"EngineType": "RABBITMQ"}),
        ),
        (
            "AWS::EC2::SecurityGroup",
            json!({"SecurityGroupEgress": [{"IpProtocol": -1, "FromPort": 0, "ToPort": 0, "CidrIp": "0.0.0.0/0"}]}),
            json!({"SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]}),
        ),
        (
            "AWS::EC2::SecurityGroupIngress",
            json!({"IpProtocol": "6", "FromPort": 443}),
            json!({"IpProtocol": "tcp", "FromPort": "443"}),
        ),
        (
            "AWS::Route53::HostedZone",
            json!({"Name": "Example.com"}),
            json!({"Name": "example.com."}),
        ),
        (
            "AWS::EC2::Subnet",
            json!({"CidrBlock": "10.0.0.1/24"}),
            json!({"CidrBlock": "10.0.0.0/24"}),
        ),
        (
            "AWS::RDS::DBCluster",
            json!({"EngineVersion": "15"}),
            json!({"EngineVersion": "15.4"}),
        ),
        (
            "AWS::EKS::Addon",
            json!({"ConfigurationValues": "{\"a\":1}\n"}),
            json!({"ConfigurationValues": "{ \"a\": 1 }"}),
        ),
        (
            "AWS::IAM::OIDCProvider",
            json!({"Url": "https://oidc.eks/id/A"}),
            json!({"Url": "oidc.eks/id/A"}),
        ),
        ("AWS::IAM::Role", json!({"Path": "/"}), json!({})),
        ("AWS::EC2::VPC", json!({"Tags": []}), json!({})),
        (
            "AWS::EKS::Cluster",
            json!({"Logging": {"ClusterLogging": {}}}),
            json!({}),
        ),
        (
            "AWS::Events::Rule",
            json!({"EventPattern": {"source": ["aws.ec2"]}}),
            json!({"EventPattern": "{\"source\":[\"aws.ec2\"]}"}),
        ),
        (
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            json!({"LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "60"}]}),
            json!({"LoadBalancerAttributes": [{"Key": "x", "Value": "y"}, {"Key": "idle_timeout.timeout_seconds", "Value": "60"}]}),
        ),
        (
            "AWS::EC2::Route",
            json!({"GatewayId": "igw-1"}),
            json!({"GatewayId": "igw-1", "VpcEndpointId": "igw-1"}),
        ),
    ] {
        assert_eq!(drift(name, desired, actual), NONE, "{name}");
    }
    // A version that is not fuller but another.
    let version = |version: &str| json!({"EngineVersion": version});
    assert_eq!(
        drift("AWS::RDS::DBCluster", version("15.1"), version("15.10")),
        ["EngineVersion"]
    );
}

#[test]
fn policies_are_compared_by_what_they_allow() {
    let trust = |service: Value| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]})
    };
    let desired = json!({"AssumeRolePolicyDocument": trust(json!("pods.eks.amazonaws.com"))});
    let same =
        json!({"AssumeRolePolicyDocument": trust(json!(["pods.eks.amazonaws.com"])).to_string()});
    let other = json!({"AssumeRolePolicyDocument": trust(json!(["pods.eks.amazonaws.com", "ec2.amazonaws.com"]))});
    assert_eq!(drift("AWS::IAM::Role", desired.clone(), same), NONE);
    assert_eq!(
        drift("AWS::IAM::Role", desired, other),
        ["AssumeRolePolicyDocument"]
    );
    let inline = |name: &str| json!({"PolicyName": name, "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}});
    let desired = json!({"Policies": [inline("a"), inline("b")]});
    assert_eq!(
        drift(
            "AWS::IAM::Role",
            desired.clone(),
            json!({"Policies": [inline("b"), inline("a")]})
        ),
        NONE
    );
    assert_eq!(
        drift(
            "AWS::IAM::Role",
            desired,
            json!({"Policies": [inline("b"), inline("c")]})
        ),
        ["Policies"]
    );
}

#[test]
fn a_path_goes_into_an_ordered_array() {
    let actions = |kind: &str| json!({"DefaultActions": [{"Type": kind, "Order": 1}]});
    assert_eq!(
        drift(
            "AWS::ElasticLoadBalancingV2::Listener",
            actions("forward"),
            actions("redirect")
        ),
        ["DefaultActions.0.Type"]
    );
}

/// A document that holds a bit of everything, with its sets shuffled by `seed`.
fn cluster(version: &str, subnets: &[String], tags: &[(String, String)]) -> Value {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    json!({
        "Name": "shop-dev", "Version": version, "RoleArn": "arn:aws:iam::123456789012:role/r",
        "ResourcesVpcConfig": {"SubnetIds": subnets, "EndpointPublicAccess": true, "PublicAccessCidrs": ["10.0.0.0/8"]},
        "Logging": {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}, {"Type": "audit"}]}},
        "Tags": tags,
    })
}

fn shuffled<T: Clone>(items: &[T], seed: u64) -> Vec<T> {
    let mut items = items.to_vec();
    let mut state = seed | 1;
    for at in (1..items.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        items.swap(at, (state >> 33) as usize % (at + 1));
    }
    items
}

/// Every leaf of a document that is no array's element.
fn leaves(value: &Value, path: &PropertyPath, found: &mut Vec<PropertyPath>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, inner)| leaves(inner, &path.join(key), found)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, inner)| leaves(inner, &path.join(at.to_string()), found));
        }
        _ => found.push(path.clone()),
    }
}

proptest! {
    #[test]
    fn the_order_of_sets_and_tags_is_no_difference(
        subnets in proptest::collection::btree_set("subnet-[a-f0-9]{4}", 0..6),
        tags in proptest::collection::btree_map("[a-zA-Z./:-]{1,12}", "[ -~]{0,12}", 0..6),
        seed in any::<u64>(),
    ) {
        let (subnets, tags): (Vec<_>, Vec<_>) = (subnets.into_iter().collect(), tags.into_iter().collect());
        let desired = cluster("1.35", &subnets, &tags);
        let actual = cluster("1.35", &shuffled(&subnets, seed), &shuffled(&tags, seed));
        prop_assert_eq!(differences(of("AWS::EKS::Cluster"), &desired, &actual), vec![]);
        prop_assert_eq!(changes(of("AWS::EKS::Cluster"), &actual, &desired), vec![]);
    }

    #[test]
    fn nothing_differs_from_itself_and_a_changed_leaf_is_found(
        subnets in proptest::collection::btree_set("subnet-[a-f0-9]{4}", 1..4),
        tags in proptest::collection::btree_map("[a-z]{1,8}", "[a-z]{1,8}", 1..4),
        pick in any::<prop::sample::Index>(),
    ) {
        let (subnets, tags): (Vec<_>, Vec<_>) = (subnets.into_iter().collect(), tags.into_iter().collect());
        let desired = cluster("1.35", &subnets, &tags);
        let schema = of("AWS::EKS::Cluster");
        prop_assert_eq!(differences(schema, &desired, &desired), vec![]);
        let mut all = Vec::new();
        leaves(&desired, &PropertyPath::root(), &mut all);
        let path = pick.get(&all);
        let mut actual = desired.clone();
        prop_assert!(path.insert_into(&mut actual, json!("something else")));
        let found = differences(schema, &desired, &actual);
        prop_assert!(!found.is_empty(), "{} was not found", path);
        prop_assert!(found.iter().all(|difference| difference.path.property() == path.property()), "{:?}", found);
        prop_assert!(!changes(schema, &desired, &actual).is_empty());
    }
}
