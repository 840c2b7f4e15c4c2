//! What eksctl would make otherwise than the graph says is refused, with the resource and what to do.

use export::{Error, Format, Scoped, Source};
use graph::{Resource, Value, value};
use serde_json::json;
use spec::Platform;

use crate::exports::{changed, export, outside};
use crate::fixtures;

fn platform() -> Platform {
    fixtures::platform("prod", json!({}))
}

/// The one error of an export, as address and message.
fn refusal(platform: &Platform, change: impl Fn(&mut Resource)) -> (String, String) {
    let errors = export(platform, &changed(platform, change)).unwrap_err();
    let [error] = errors.as_slice() else {
        panic!("one error: {errors:#?}")
    };
    let Error::Inexpressible {
        address, format, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(*format, Format::Eksctl);
    (address.to_string(), error.to_string())
}

/// The error when a property of a resource is another one.
fn refusal_of(address: &'static str, property: &'static str, value: Value) -> String {
    let (refused, message) = refusal(&platform(), |resource| {
        if resource.address.as_str() == address {
            resource
                .properties
                .insert(property.to_owned(), value.clone());
        }
    });
    assert_eq!(refused, address, "{message}");
    message
}

#[test]
fn what_environments_share_is_nothing_for_eksctl() {
    let platform = platform();
    let shared = blueprint::shared(&platform).unwrap();
    let source = Source {
        environments: &[],
        shared: Scoped {
            platform: &platform,
            graph: &shared,
        },
        wanted: &["shared".parse().unwrap()],
    };
    let errors = export::eksctl::export(&source).unwrap_err();
    assert_eq!(errors.len(), 1);
    let message = errors[0].to_string();
    assert!(
        message
            .contains("cannot be exported to eksctl: eksctl makes clusters, and `shared` has none"),
        "{message}"
    );
    assert!(message.contains("export an environment"), "{message}");
}

#[test]
fn what_exists_is_not_made_again() {
    for (address, id) in [
        ("cluster/cluster", "their-cluster"),
        ("system-nodes/node-group", "a|b"),
        (
            "karpenter/queue",
            "https://sqs.eu-central-1.amazonaws.com/111122223333/theirs",
        ),
        ("network/internet-gateway", "igw-0123456789abcdef0"),
    ] {
        let lifecycle = json!({ "lifecycle": { address: { "existing": id } } });
        let (refused, message) = refusal(&fixtures::platform("prod", lifecycle), |_| {});
        assert_eq!(refused, address);
        assert!(message.contains("it exists already"), "{message}");
    }
}

#[test]
fn a_vpc_exists_with_its_subnets_or_not_at_all() {
    let existing =
        json!({ "lifecycle": { "network/vpc": { "existing": "vpc-0123456789abcdef0" } } });
    let platform = fixtures::platform("prod", existing);
    let graph = outside(&platform);
    let errors = export(&platform, &graph).unwrap_err();
    assert_eq!(
        errors.len(),
        6,
        "three private and three public subnets: {errors:#?}"
    );
    assert!(errors.iter().all(|error| {
        error
            .to_string()
            .contains("makes no subnets in a VPC that exists")
    }));
}

#[test]
fn nat_gateways_are_none_one_or_one_a_zone() {
    // One of three is gone; the routes through it go another way, so that nothing dangles.
    let platform = platform();
    let graph = outside(&platform);
    let mut builder = graph::GraphBuilder::new(graph.scope().clone());
    for resource in graph.resources() {
        let gone = ["network/nat-gateway/c", "network/route/private-c/internet"];
        let mut resource = resource.clone();
        resource
            .depends_on
            .retain(|address| !gone.contains(&address.as_str()));
        if !gone.contains(&resource.address.as_str()) {
            builder.add(resource);
        }
    }
    let errors = export(&platform, &builder.build().unwrap()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].to_string().contains("but not 2 in 3 zones"),
        "{}",
        errors[0]
    );
}

#[test]
fn nodes_that_eksctl_cannot_make() {
    let message = refusal_of("system-nodes/node-group", "Version", "1.30".into());
    assert!(
        message.contains("of the cluster's Kubernetes version"),
        "{message}"
    );
    let message = refusal_of(
        "system-nodes/node-group",
        "AmiType",
        "WINDOWS_CORE_2022_x86_64".into(),
    );
    assert!(
        message.contains("no family of images for `WINDOWS_CORE_2022_x86_64`"),
        "{message}"
    );
    let message = refusal_of("system-nodes/node-group", "Subnets", value!([]));
    assert!(message.contains("all private subnets"), "{message}");
    let options = value!({ "HttpTokens": "required", "HttpPutResponseHopLimit": 3 });
    let (refused, message) = refusal(&platform(), |resource| {
        if let Some(Value::Object(data)) = resource.properties.get_mut("LaunchTemplateData") {
            data.insert("MetadataOptions".to_owned(), options.clone());
        }
    });
    assert_eq!(refused, "system-nodes/node-group");
    assert!(message.contains("a hop limit of one or two"), "{message}");
}

#[test]
fn roles_that_eksctl_cannot_make() {
    let policy = || value!({ "PolicyName": "x", "PolicyDocument": { "Version": "2012-10-17", "Statement": [] } });
    let (refused, message) = refusal(&platform(), |resource| {
        if resource.address.as_str() == "external-secrets/role" {
            let policies = Value::array([policy(), policy()]);
            resource.properties.insert("Policies".to_owned(), policies);
        }
    });
    assert_eq!(refused, "external-secrets/pod-identity-association");
    assert!(
        message.contains("one inline policy, and this one has 2"),
        "{message}"
    );
}

#[test]
fn a_name_that_is_too_long_for_eksctls_own_roles() {
    let mut platform = platform();
    platform.platform = "a-platform-with-a-longish-name-x".parse().unwrap();
    platform.environment = "production".parse().unwrap();
    // What would be too long itself is not there.
    platform.spec.load_balancer_controller.enabled = false;
    platform.spec.karpenter.interruption_queue = false;
    let (refused, message) = refusal(&platform, |_| {});
    assert!(refused.starts_with("karpenter/"), "{refused}");
    assert!(
        message.contains("a shorter platform or environment name"),
        "{message}"
    );
}
