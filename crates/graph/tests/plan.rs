//! Plans over small worlds: what is planned, that applying it leaves nothing to plan, and that nothing else is touched.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use catalog::TypeName;
use catalog::ids::{Address, EnvironmentName, Identifier, PlatformName, Region, Serial};
use proptest::prelude::*;
use seaworthy_graph::{
    Action, Graph, GraphBuilder, GraphError, Inputs, Lifecycle, Live, Parameter, Plan, Resource,
    ResourceState, Scope, SecretReference, State, StateLookup, Value, drift, plan, plan_destroy,
    resolve_properties, value,
};
use serde_json::{Value as Json, json};

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn scope() -> Scope {
    Scope {
        platform: PlatformName::new("shop").unwrap(),
        environment: EnvironmentName::new("prod").unwrap(),
        region: Region::new("eu-central-1").unwrap(),
    }
}

fn resource(at: &str, type_name: &str, properties: Value) -> Resource {
    let Value::Object(properties) = properties else {
        panic!("properties are an object")
    };
    Resource::new(
        address(at),
        type_name.parse::<TypeName>().unwrap(),
        properties,
    )
}

fn vpc(cidr: &str) -> Resource {
    resource(
        "network/vpc",
        "AWS::EC2::VPC",
        value!({ "CidrBlock": cidr, "EnableDnsSupport": true }),
    )
}

fn subnet(name: &str, cidr: &str) -> Resource {
    let vpc = Value::attribute(&address("network/vpc"), "VpcId");
    let properties =
        value!({ "VpcId": vpc, "CidrBlock": cidr, "AvailabilityZone": "eu-central-1a" });
    resource(
        &format!("network/subnet/{name}"),
        "AWS::EC2::Subnet",
        properties,
    )
}

fn queue(name: &str, seconds: u32) -> Resource {
    let properties = value!({ "QueueName": name, "MessageRetentionPeriod": seconds });
    resource("karpenter/queue", "AWS::SQS::Queue", properties)
}

fn graph(resources: impl IntoIterator<Item = Resource>) -> Graph {
    let mut builder = GraphBuilder::new(scope());
    for resource in resources {
        builder.add(resource);
    }
    builder.build().unwrap()
}

fn planned(graph: &Graph, state: &State) -> Plan {
    planned_live(graph, state, None)
}

fn planned_live(graph: &Graph, state: &State, live: Option<&Live>) -> Plan {
    plan(Inputs {
        graph,
        spec_hash: "abc",
        state,
        parameters: &BTreeMap::new(),
        live,
    })
}

fn actions(plan: &Plan) -> Vec<(&str, Action)> {
    let changed = plan
        .changes
        .iter()
        .filter(|change| change.action != Action::Unchanged);
    changed
        .map(|change| (change.address.as_str(), change.action))
        .collect()
}

/// Does what a plan says, in its order, as AWS would: whatever only AWS sets is made up.
fn apply(plan: &Plan, state: &State) -> State {
    let mut state = State {
        serial: state.serial.next(),
        ..state.clone()
    };
    for change in &plan.changes {
        match change.action {
            Action::Unchanged => continue,
            Action::Delete | Action::Forget => {
                state.resources.remove(&change.address);
                continue;
            }
            Action::Create | Action::Update | Action::Replace | Action::Read => {}
        }
        let desired = change.desired.as_ref().unwrap();
        let properties = resolve_properties(desired, &StateLookup(&state)).unwrap();
        let schema = catalog::schema(&change.type_name).unwrap();
        let mut attributes = properties.clone();
        let known = state
            .resources
            .get(&change.address)
            .filter(|_| change.action == Action::Update);
        for path in schema.read_only().iter().filter(|path| !path.is_pattern()) {
            let made_up = format!("{}-{path}-{}", change.address, state.serial);
            let kept = known.and_then(|known| path.get(&known.attributes)).cloned();
            path.insert_into(&mut attributes, kept.unwrap_or(Json::from(made_up)));
        }
        let identifier = Identifier::new(schema.identifier_of(&attributes).unwrap()).unwrap();
        let made = ResourceState {
            type_name: change.type_name.clone(),
            identifier,
            properties,
            attributes,
            needs: change.needs.clone(),
            lifecycle: change.lifecycle.clone(),
            tainted: false,
            deposed: Vec::new(),
        };
        state.resources.insert(change.address.clone(), made);
    }
    state
}

fn deployed(graph: &Graph) -> State {
    apply(&planned(graph, &State::default()), &State::default())
}

#[test]
fn what_is_not_there_is_created_in_order_and_then_there_is_nothing_to_do() {
    let graph = graph([subnet("a", "10.0.0.0/24"), vpc("10.0.0.0/16")]);
    let first = planned(&graph, &State::default());
    let created = [
        ("network/vpc", Action::Create),
        ("network/subnet/a", Action::Create),
    ];
    assert_eq!(actions(&first), created);
    let second = planned(&graph, &apply(&first, &State::default()));
    assert!(second.is_empty(), "{second:?}");
    assert_eq!(second.summary.unchanged, 2);
}

#[test]
fn a_property_that_can_be_changed_is_updated_and_named() {
    let plan = planned(
        &graph([queue("jobs", 90)]),
        &deployed(&graph([queue("jobs", 60)])),
    );
    assert_eq!(actions(&plan), [("karpenter/queue", Action::Update)]);
    assert_eq!(plan.changes[0].reason, "MessageRetentionPeriod differs");
    let change = &plan.changes[0].properties[0];
    assert_eq!(
        (&change.before, &change.after),
        (&Some(json!(60)), &Some(json!(90)))
    );
}

#[test]
fn a_property_that_can_t_be_changed_replaces_and_takes_along_who_refers_to_it() {
    let state = deployed(&graph([vpc("10.0.0.0/16"), subnet("a", "10.0.0.0/24")]));
    let wanted = graph([vpc("10.1.0.0/16"), subnet("a", "10.0.0.0/24")]);
    let plan = planned(&wanted, &state);
    let replaced = [
        ("network/vpc", Action::Replace),
        ("network/subnet/a", Action::Replace),
    ];
    assert_eq!(actions(&plan), replaced);
    let replacement = plan.changes[0].replacement.as_ref().unwrap();
    assert_eq!(replacement.forced_by[0].to_string(), "CidrBlock");
    assert!(!replacement.delete_first, "two VPCs can stand side by side");
    let vpc_id = &plan.changes[1].properties[0];
    assert_eq!(
        vpc_id.after,
        Some(json!({ "$unknown": "${network/vpc.VpcId}" }))
    );
    assert!(planned(&wanted, &apply(&plan, &state)).is_empty());
}

#[test]
fn a_fixed_name_is_deleted_first_and_so_is_who_is_tied_to_it_by_name() {
    let world = |role: &str| {
        let cluster = Value::identifier(&address("cluster/cluster"));
        let properties = value!({ "Name": "shop-prod", "RoleArn": role, "ResourcesVpcConfig": { "SubnetIds": ["subnet-1"] } });
        graph([
            resource("cluster/cluster", "AWS::EKS::Cluster", properties),
            resource(
                "addons/vpc-cni",
                "AWS::EKS::Addon",
                value!({ "ClusterName": cluster, "AddonName": "vpc-cni" }),
            ),
        ])
    };
    let plan = planned(&world("arn:b"), &deployed(&world("arn:a")));
    let replaced = [
        ("cluster/cluster", Action::Replace),
        ("addons/vpc-cni", Action::Replace),
    ];
    assert_eq!(actions(&plan), replaced);
    for change in &plan.changes {
        assert!(
            change.replacement.as_ref().unwrap().delete_first,
            "{}",
            change.address
        );
    }
    let reason = "needs cluster/cluster, which is deleted first and made anew";
    assert_eq!(plan.changes[1].reason, reason);
}

#[test]
fn who_refers_to_a_version_follows_when_an_update_makes_a_new_one() {
    let world = |disk: u32| {
        let template = address("system-nodes/launch-template");
        let version = Value::attribute(&template, "LatestVersionNumber");
        let data = value!({ "LaunchTemplateData": { "BlockDeviceMappings": [{ "Ebs": { "VolumeSize": disk } }] } });
        let group = value!({ "NodegroupName": "system", "LaunchTemplate": { "Version": version } });
        graph([
            resource(
                "system-nodes/launch-template",
                "AWS::EC2::LaunchTemplate",
                data,
            ),
            resource("system-nodes/node-group", "AWS::EKS::Nodegroup", group),
        ])
    };
    let plan = planned(&world(60), &deployed(&world(50)));
    let both = [
        ("system-nodes/launch-template", Action::Update),
        ("system-nodes/node-group", Action::Update),
    ];
    assert_eq!(actions(&plan), both, "one deploy rolls the change out");
}

#[test]
fn what_is_no_longer_wanted_is_deleted_dependants_first_unless_it_is_not_ours_to_delete() {
    let mut retained = queue("jobs", 60);
    retained.lifecycle = Lifecycle::Retain;
    let state = deployed(&graph([
        vpc("10.0.0.0/16"),
        subnet("a", "10.0.0.0/24"),
        retained,
    ]));
    let plan = plan_destroy(&scope(), "abc", &state);
    let expected = [
        ("network/subnet/a", Action::Delete),
        ("network/vpc", Action::Delete),
        ("karpenter/queue", Action::Forget),
    ];
    assert_eq!(actions(&plan), expected);
    assert!(apply(&plan, &state).resources.is_empty());
}

#[test]
fn somebody_else_s_is_read_and_not_made() {
    let mut existing = vpc("10.0.0.0/16");
    existing.lifecycle = Lifecycle::Existing(Identifier::new("vpc-1").unwrap());
    let plan = planned(
        &graph([existing, subnet("a", "10.0.0.0/24")]),
        &State::default(),
    );
    let expected = [
        ("network/vpc", Action::Read),
        ("network/subnet/a", Action::Create),
    ];
    assert_eq!(actions(&plan), expected);
}

#[test]
fn what_an_interrupted_replacement_has_left_is_in_the_plan() {
    let wanted = graph([queue("jobs", 60)]);
    let mut state = deployed(&wanted);
    let known = state
        .resources
        .get_mut(&address("karpenter/queue"))
        .unwrap();
    known.deposed.push(Identifier::new("queue-0").unwrap());
    let plan = planned(&wanted, &state);
    assert_eq!(actions(&plan), [("karpenter/queue", Action::Update)]);
    let reason = "an interrupted replacement has left queue-0: deleted";
    assert_eq!(plan.changes[0].reason, reason);
}

#[test]
fn somebody_else_s_is_never_replaced_or_deleted_when_it_is_no_longer_named() {
    let mut existing = vpc("10.0.0.0/16");
    existing.lifecycle = Lifecycle::Existing(Identifier::new("vpc-1").unwrap());
    let mut state = deployed(&graph([vpc("10.0.0.0/16")]));
    let known = state.resources.get_mut(&address("network/vpc")).unwrap();
    known.lifecycle = existing.lifecycle.clone();
    known.identifier = Identifier::new("vpc-1").unwrap();
    assert!(planned(&graph([existing]), &state).is_empty());
    let plan = planned(&graph([vpc("10.0.0.0/16")]), &state);
    assert_eq!(
        actions(&plan),
        [("network/vpc", Action::Create)],
        "ours is made beside theirs"
    );
    let gone = planned(&graph([queue("jobs", 60)]), &state);
    assert_eq!(
        actions(&gone),
        [
            ("karpenter/queue", Action::Create),
            ("network/vpc", Action::Forget)
        ]
    );
}

#[test]
fn what_somebody_changed_or_deleted_is_seen_when_aws_is_asked() {
    let graph = graph([queue("jobs", 60), vpc("10.0.0.0/16")]);
    let state = deployed(&graph);
    let mut model = state.resources[&address("karpenter/queue")]
        .attributes
        .clone();
    model["MessageRetentionPeriod"] = json!(300);
    model["VisibilityTimeout"] = json!(30);
    let live = Live::from([
        (address("karpenter/queue"), Some(model)),
        (address("network/vpc"), None),
    ]);
    let drifted = drift(&state, &live);
    assert_eq!(drifted.len(), 2, "{drifted:?}");
    assert_eq!(
        drifted[0].property.as_ref().unwrap().to_string(),
        "MessageRetentionPeriod"
    );
    assert_eq!(
        (&drifted[0].expected, &drifted[0].actual),
        (&json!(60), &json!(300))
    );
    assert_eq!(drifted[1].property, None);
    assert!(
        planned(&graph, &state).is_empty(),
        "the state alone does not know"
    );
    let plan = planned_live(&graph, &state, Some(&live));
    let expected = [
        ("karpenter/queue", Action::Update),
        ("network/vpc", Action::Create),
    ];
    assert_eq!(actions(&plan), expected);
}

#[test]
fn secrets_stay_references_and_parameters_are_kept() {
    let secret = resource(
        "redis/auth-token",
        "AWS::SecretsManager::Secret",
        value!({ "Name": "shop/redis" }),
    );
    let password = Value::Secret(SecretReference {
        secret: secret.address.clone(),
        key: None,
    });
    let name = Value::join(["a-".into(), Value::Parameter(Parameter::AccountId)]);
    let broker = value!({ "BrokerName": name, "Users": [{ "Password": password }] });
    let graph = graph([
        secret,
        resource("rabbitmq/broker", "AWS::AmazonMQ::Broker", broker),
    ]);
    let mut state = State::default();
    state
        .parameters
        .insert(Parameter::AccountId, "123456789012".to_owned());
    let state = apply(&planned(&graph, &state), &state);
    let properties = &state.resources[&address("rabbitmq/broker")].properties;
    assert_eq!(properties["BrokerName"], "a-123456789012");
    assert_eq!(
        properties["Users"][0]["Password"]["$secret"]["secret"],
        "redis/auth-token"
    );
    assert!(planned(&graph, &state).is_empty());
}

#[test]
fn a_stale_plan_is_refused_and_a_plan_survives_its_file() {
    let plan = planned(&graph([queue("jobs", 60)]), &State::default());
    assert!(plan.check(&scope(), Serial(0)).is_ok());
    assert!(plan.check(&scope(), Serial(1)).is_err());
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(read, plan);
}

#[test]
fn every_wrong_reference_is_told_at_once() {
    let mut builder = GraphBuilder::new(scope());
    builder.add(subnet("a", "10.0.0.0/24"));
    builder.add(queue("jobs", 1));
    let wrong = Value::attribute(&address("karpenter/queue"), "Colour");
    builder.add(resource(
        "network/table",
        "AWS::EC2::RouteTable",
        value!({ "VpcId": wrong }),
    ));
    let errors = builder.build().unwrap_err();
    let [
        GraphError::Dangling { .. },
        GraphError::UnknownAttribute { .. },
    ] = &errors[..]
    else {
        panic!("{errors:?}")
    };
    let mut builder = GraphBuilder::new(scope());
    let mut first = vpc("10.0.0.0/16");
    first.depends_on.insert(address("network/subnet/a"));
    builder.add(first);
    builder.add(subnet("a", "10.0.0.0/24"));
    let error = builder.build().unwrap_err().remove(0).to_string();
    let circle = "network/subnet/a → network/vpc → network/subnet/a";
    assert_eq!(
        error,
        format!("resources need each other in a circle: {circle}")
    );
}

/// Resources of three types with few names and values, so that two random worlds have much in common.
fn worlds() -> impl Strategy<Value = Graph> {
    let subnets = proptest::collection::btree_map(0u8..5, 0u8..4, 0..5);
    let jobs = proptest::option::of((0u8..2, 1u32..4));
    (0u8..3, subnets, jobs).prop_map(|(number, subnets, jobs)| {
        let mut resources = vec![vpc(&format!("10.{number}.0.0/16"))];
        for (name, cidr) in subnets {
            resources.push(subnet(
                &format!("s{name}"),
                &format!("10.{number}.{cidr}.0/24"),
            ));
        }
        if let Some((name, seconds)) = jobs {
            resources.push(queue(&format!("jobs-{name}"), seconds * 60));
        }
        graph(resources)
    })
}

proptest! {
    #[test]
    fn from_any_world_to_any_other_and_then_nothing_is_left_to_do(first in worlds(), second in worlds()) {
        let state = deployed(&first);
        let change = planned(&second, &state);
        prop_assert_eq!(&planned(&second, &state), &change, "the same inputs give the same plan");
        let state = apply(&change, &state);
        prop_assert!(planned(&second, &state).is_empty());
        let wanted: Vec<&Address> = second.resources().map(|resource| &resource.address).collect();
        prop_assert_eq!(state.resources.keys().collect::<Vec<_>>(), wanted);
        let empty = apply(&plan_destroy(&scope(), "abc", &state), &state);
        prop_assert!(empty.resources.is_empty());
    }

    #[test]
    fn every_change_comes_after_what_it_needs(first in worlds(), second in worlds()) {
        let plan = planned(&second, &deployed(&first));
        let place = |address: &Address, deletes: bool| plan.changes.iter().position(|change| {
            change.address == *address && (change.action == Action::Delete) == deletes
        });
        for (at, change) in plan.changes.iter().enumerate() {
            for need in &change.needs {
                let deletes = change.action == Action::Delete;
                let other = place(need, deletes);
                let right = if deletes { other.is_none_or(|other| other > at) } else { other.is_some_and(|other| other < at) };
                prop_assert!(right, "{} and {need}", change.address);
            }
        }
    }
}

fn deployment(replicas: u32) -> Resource {
    let cluster = Value::identifier(&address("cluster/cluster"));
    let manifest = value!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "web" } } },
    });
    Resource::kubernetes(address("services/web"), cluster, manifest).unwrap()
}

fn cluster() -> Resource {
    let properties = value!({
        "Name": "shop-prod", "RoleArn": "arn:aws:iam::123456789012:role/r",
        "ResourcesVpcConfig": { "SubnetIds": ["subnet-1", "subnet-2"] },
    });
    resource("cluster/cluster", "AWS::EKS::Cluster", properties)
}

fn built(resources: impl IntoIterator<Item = Resource>) -> Graph {
    let mut builder = GraphBuilder::new(scope());
    for resource in resources {
        builder.add(resource);
    }
    builder.build().unwrap()
}

/// A state in which a graph has been applied.
fn applied(graph: &Graph) -> State {
    let mut state = State::default();
    for resource in graph.ordered() {
        let properties = resolve_properties(&resource.properties, &StateLookup(&state)).unwrap();
        let rules = seaworthy_graph::Rules::of(&resource.type_name).unwrap();
        let identifier = Identifier::new(rules.identifier(&properties).unwrap()).unwrap();
        let known = ResourceState {
            type_name: resource.type_name.clone(),
            identifier,
            attributes: properties.clone(),
            properties,
            needs: graph.needs(&resource.address).cloned().collect(),
            lifecycle: Lifecycle::Managed,
            tainted: false,
            deposed: Vec::new(),
        };
        state.resources.insert(resource.address.clone(), known);
    }
    state
}

#[test]
fn an_object_in_a_cluster_is_planned_like_any_resource_and_says_whose_it_is() {
    let graph = built([cluster(), deployment(2)]);
    let labels = &graph.get(&address("services/web")).unwrap().properties["Manifest"];
    let labels = resolve_properties(
        &BTreeMap::from([("Manifest".to_owned(), labels.clone())]),
        &StateLookup(&State::default()),
    )
    .unwrap();
    assert_eq!(
        labels["Manifest"]["metadata"],
        json!({
            "name": "web", "namespace": "shop",
            "labels": {
                "app.kubernetes.io/managed-by": "seaworthy",
                "seaworthy.dev/platform": "shop", "seaworthy.dev/environment": "prod",
            },
            "annotations": { "seaworthy.dev/address": "services/web" },
        })
    );
    let state = applied(&graph);
    assert_eq!(
        state.resources[&address("services/web")]
            .identifier
            .as_str(),
        "shop-prod|shop|web"
    );
    assert!(planned(&graph, &state).is_empty());
    let scaled = planned(&built([cluster(), deployment(3)]), &state);
    let change = scaled
        .changes
        .iter()
        .find(|change| change.action != Action::Unchanged);
    let change = change.unwrap();
    assert_eq!(
        (
            change.action,
            change.properties[0].path.to_string().as_str()
        ),
        (Action::Update, "Manifest.spec.replicas")
    );
}

#[test]
fn what_is_in_a_cluster_goes_before_it_and_comes_again_after_it() {
    let graph = built([cluster(), deployment(2)]);
    let state = applied(&graph);
    let order = |plan: &Plan| -> Vec<String> {
        plan.changes
            .iter()
            .map(|change| change.address.to_string())
            .collect()
    };
    let destroy = plan_destroy(&scope(), "hash", &state);
    assert_eq!(order(&destroy), ["services/web", "cluster/cluster"]);

    let mut moved = cluster();
    moved.properties.insert(
        "RoleArn".to_owned(),
        "arn:aws:iam::123456789012:role/other".into(),
    );
    let plan = planned(&built([moved, deployment(2)]), &state);
    for change in &plan.changes {
        let replacement = change.replacement.as_ref().unwrap();
        assert!(
            change.action == Action::Replace && replacement.delete_first,
            "{change:?}"
        );
    }
}

#[test]
fn a_secret_in_a_cluster_has_references_only() {
    let secret = |value: Value| {
        let manifest = value!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "shop" },
            "stringData": { "password": value },
        });
        let mut builder = GraphBuilder::new(scope());
        builder.add(resource(
            "redis/secret",
            "AWS::SecretsManager::Secret",
            value!({ "Name": "x" }),
        ));
        builder.add(Resource::kubernetes(address("a/s"), "c".into(), manifest).unwrap());
        builder.build()
    };
    let errors = secret("hunter2".into()).unwrap_err();
    assert!(
        matches!(&errors[..], [GraphError::InCluster { .. }]),
        "{errors:?}"
    );
    let reference = Value::Secret(SecretReference {
        secret: address("redis/secret"),
        key: None,
    });
    let url = Value::join(["redis://:".into(), reference, "@host".into()]);
    let graph = secret(url).unwrap();
    let resolved = resolve_properties(
        &graph.get(&address("a/s")).unwrap().properties,
        &StateLookup(&State::default()),
    );
    let resolved = resolved.unwrap();
    let password = &resolved["Manifest"]["stringData"]["password"];
    assert!(seaworthy_graph::is_secret(password), "{password}");
    assert_eq!(seaworthy_graph::secrets(password).len(), 1);
}

#[test]
fn a_graph_without_what_is_in_its_cluster_is_what_an_export_has() {
    let (outside, left_out) = built([cluster(), deployment(2)])
        .without_cluster_contents()
        .unwrap();
    assert_eq!((outside.len(), left_out), (1, 1));
    assert_eq!(outside.ordered().count(), 1);
    let mut asks = cluster();
    asks.address = address("cluster/other");
    let hostname = Value::attribute(&address("services/web"), "Status.hostname");
    asks.properties.insert("Name".to_owned(), hostname);
    let graph = built([cluster(), deployment(2), asks]);
    assert_eq!(
        graph.without_cluster_contents().unwrap_err(),
        [(address("cluster/other"), address("services/web"))]
    );
}
