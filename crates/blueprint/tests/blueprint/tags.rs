//! Whatever takes tags says whose it is.

use std::collections::BTreeMap;

use graph::Lifecycle;

use crate::fixtures::{all, platform};
use crate::render::{environment, payload};

#[test]
fn owner_tags_are_on_everything_that_takes_tags() {
    for (name, platform) in all() {
        let scopes = [
            (platform.environment.as_str(), environment(&name, &platform)),
            ("shared", blueprint::shared(&platform).unwrap()),
        ];
        for (scope, graph) in scopes {
            for resource in graph
                .resources()
                .filter(|it| !matches!(it.lifecycle, Lifecycle::Existing(_)))
                .filter(|it| !it.type_name.realm().is_in_cluster())
            {
                let tagging = catalog::schema(&resource.type_name).unwrap().tagging();
                if tagging.property.is_none() {
                    continue;
                }
                let tags = tagging.read(&payload(&graph, resource));
                let mut expected: BTreeMap<String, String> = [
                    ("seaworthy:platform", "shop"),
                    ("seaworthy:environment", scope),
                    ("seaworthy:address", resource.address.as_str()),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
                expected.extend(platform.spec.aws.tags.clone());
                for (key, value) in expected {
                    assert_eq!(
                        tags.get(&key),
                        Some(&value),
                        "{name}: {}: {key}",
                        resource.address
                    );
                }
                assert_eq!(
                    tags.contains_key("Name"),
                    resource.type_name.service() == "EC2",
                    "{}",
                    resource.address
                );
            }
        }
    }
}

#[test]
fn discovery_tags_are_on_the_subnets() {
    let graph = environment("defaults", &platform("prod", serde_json::json!({})));
    for resource in graph
        .resources()
        .filter(|it| it.type_name.resource() == "Subnet")
    {
        let tags = catalog::schema(&resource.type_name)
            .unwrap()
            .tagging()
            .read(&payload(&graph, resource));
        let public = resource.address.as_str().contains("/public-");
        assert_eq!(tags.contains_key("kubernetes.io/role/elb"), public);
        assert_eq!(
            tags.contains_key("kubernetes.io/role/internal-elb"),
            !public
        );
        assert_eq!(
            tags.get("karpenter.sh/discovery").map(String::as_str),
            (!public).then_some("shop-prod")
        );
    }
}
