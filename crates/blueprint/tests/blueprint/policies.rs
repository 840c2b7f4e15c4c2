//! Least privilege, as far as a machine can tell.

use std::collections::BTreeSet;

use graph::Graph;
use serde_json::{Value as Json, json};

use crate::fixtures::{all, platform};
use crate::render::{ACCOUNT, ISSUER, address, environment, payload};

/// Actions beside `Describe…` and `List…` that know no resources, so that `*` is all there is
/// (https://docs.aws.amazon.com/service-authorization/latest/reference/).
const WITHOUT_RESOURCES: [&str; 4] = [
    "elasticloadbalancing:SetWebAcl",
    "pricing:GetProducts",
    "shield:CreateProtection",
    "shield:GetSubscriptionState",
];

/// The policies of a graph's roles, queues and buckets: where, and what.
fn documents(graph: &Graph) -> Vec<(String, Json)> {
    let mut documents = Vec::new();
    for resource in graph.resources() {
        let payload = payload(graph, resource);
        let mut keep = |what: &str, document: &Json| {
            let document = match document {
                Json::String(text) => serde_json::from_str(text).unwrap(),
                other => other.clone(),
            };
            documents.push((format!("{} {what}", resource.address), document));
        };
        for property in ["AssumeRolePolicyDocument", "PolicyDocument"] {
            if let Some(document) = payload.get(property) {
                keep(property, document);
            }
        }
        for policy in payload["Policies"].as_array().into_iter().flatten() {
            keep("Policies", &policy["PolicyDocument"]);
        }
    }
    documents
}

fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn no_policy_allows_more_than_it_must() {
    for (name, platform) in all() {
        for graph in [
            environment(&name, &platform),
            blueprint::shared(&platform).unwrap(),
        ] {
            for (place, document) in documents(&graph) {
                assert_eq!(document["Version"], "2012-10-17");
                let statements = document["Statement"].as_array().unwrap();
                let ids: BTreeSet<_> = statements
                    .iter()
                    .map(|it| it["Sid"].as_str().unwrap())
                    .collect();
                assert_eq!(
                    ids.len(),
                    statements.len(),
                    "{place}: statements have ids of their own"
                );
                for statement in statements.iter().filter(|it| it["Effect"] == "Allow") {
                    let actions = texts(&statement["Action"]);
                    assert!(
                        !actions.is_empty() && actions.iter().all(|it| !it.contains('*')),
                        "{place}: {statement:#}"
                    );
                    assert_ne!(statement["Principal"], "*", "{place}");
                    if texts(&statement["Resource"]).contains(&"*".to_owned()) {
                        for action in actions {
                            let verb = action.split(':').nth(1).unwrap();
                            let looks = verb.starts_with("Describe") || verb.starts_with("List");
                            assert!(
                                looks || WITHOUT_RESOURCES.contains(&action.as_str()),
                                "{place}: {action} on *"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn arns_are_of_the_regions_partition() {
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        let graph = environment(
            region,
            &platform("prod", json!({ "aws": { "region": region } })),
        );
        for resource in graph
            .resources()
            .filter(|it| it.address.as_str() != "cluster/access-entry/deployer")
        {
            let text = payload(&graph, resource).to_string();
            let partitions = text
                .split("arn:")
                .skip(1)
                .map(|rest| rest.split(':').next().unwrap());
            for found in partitions {
                assert_eq!(found, partition, "{}", resource.address);
            }
        }
    }
}

/// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: 10,240 characters of inline policies a role,
/// 2,048 of trust, white space not counted.
#[test]
fn policies_fit_iams_quotas() {
    for (name, platform) in all() {
        let graph = environment(&name, &platform);
        for role in graph
            .resources()
            .filter(|it| it.type_name.as_str() == "AWS::IAM::Role")
        {
            let payload = payload(&graph, role);
            let policies = payload["Policies"].as_array().into_iter().flatten();
            let length: usize = policies
                .map(|policy| policy["PolicyDocument"].to_string().len())
                .sum();
            assert!(length <= 10_240, "{name}: {}: {length}", role.address);
            assert!(
                texts(&payload["AssumeRolePolicyDocument"])
                    .iter()
                    .all(|text| text.len() <= 2_048)
            );
            let attached = payload["ManagedPolicyArns"].as_array().map_or(0, Vec::len);
            assert!(attached <= 10, "{name}: {}", role.address);
        }
    }
}

#[test]
fn a_role_is_for_one_service_account_of_one_cluster() {
    let trust = |identity: &str| {
        let graph = environment(
            identity,
            &platform(
                "prod",
                json!({ "cluster": { "workloadIdentity": identity } }),
            ),
        );
        let role = payload(
            &graph,
            graph.get(&address("karpenter/controller-role")).unwrap(),
        );
        let associations = graph
            .resources()
            .filter(|it| it.type_name.resource() == "PodIdentityAssociation")
            .count();
        let document = match &role["AssumeRolePolicyDocument"] {
            Json::String(text) => serde_json::from_str(text).unwrap(),
            other => other.clone(),
        };
        let statement: Json = document["Statement"][0].clone();
        (statement, associations)
    };
    let (statement, associations) = trust("pod-identity");
    assert_eq!(
        statement["Principal"],
        json!({ "Service": "pods.eks.amazonaws.com" })
    );
    assert_eq!(
        statement["Action"],
        json!(["sts:AssumeRole", "sts:TagSession"])
    );
    let conditions = &statement["Condition"]["StringEquals"];
    assert_eq!(conditions["aws:RequestTag/eks-cluster-name"], "shop-prod");
    assert_eq!(
        conditions["aws:RequestTag/kubernetes-service-account"],
        "karpenter"
    );
    assert_eq!(conditions["aws:SourceAccount"], ACCOUNT);
    assert_eq!(
        associations, 3,
        "Karpenter, the load balancer controller, External Secrets"
    );

    let (statement, associations) = trust("irsa");
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}");
    assert_eq!(statement["Principal"], json!({ "Federated": provider }));
    assert_eq!(
        statement["Condition"]["StringEquals"],
        json!({
            format!("{ISSUER}:aud"): "sts.amazonaws.com",
            format!("{ISSUER}:sub"): "system:serviceaccount:kube-system:karpenter",
        })
    );
    assert_eq!(associations, 0);
}

#[test]
fn external_secrets_reads_the_environments_secrets_only() {
    let resources = |overlay| {
        let graph = environment("secrets", &platform("dev", overlay));
        let role = payload(
            &graph,
            graph.get(&address("external-secrets/role")).unwrap(),
        );
        texts(&role["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"])
    };
    let arn =
        |prefix: &str| format!("arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:{prefix}*");
    assert_eq!(resources(json!({})), [arn("dev/"), arn("shop-dev/")]);
    let given = json!({ "externalSecrets": { "prefixes": ["dev/", "staging/*"] } });
    assert_eq!(resources(given), [arn("dev/"), arn("staging/")]);
}
