//! Nothing of the graph is lost without a word.

use std::collections::BTreeSet;

use export::eksctl::{Fate, Ledger, ledger};
use graph::{Lifecycle, Resource};
use serde_json::Value as Json;

use crate::exports::{Exported, all};

fn ledger_of(exported: &Exported) -> Ledger {
    ledger(exported.scope()).unwrap()
}

#[test]
fn every_resource_has_one_fate() {
    for exported in all() {
        let ledger = ledger_of(exported);
        let entered: Vec<_> = ledger
            .entries()
            .iter()
            .map(|(address, _)| address)
            .collect();
        let graph: Vec<_> = exported
            .graph
            .resources()
            .map(|resource| &resource.address)
            .collect();
        assert_eq!(entered, graph, "{}: each once, and no other", exported.name);
    }
}

/// What is to become of the platform's resources, written down apart from the exporter, so that a resource that it stops
/// reading fails here and does not merely move to the list of what is left out.
fn expected(resource: &Resource, karpenter: bool, own_vpc: bool) -> &'static str {
    let type_name = resource.type_name.as_str();
    if let Lifecycle::Existing(_) = resource.lifecycle {
        return "referenced";
    }
    match (type_name, resource.address.as_str()) {
        ("AWS::IAM::Role", "backup/role" | "network/flow-log-role") => "left out",
        ("AWS::Logs::LogGroup", "network/flow-log-group") => "left out",
        ("AWS::Events::Rule", "karpenter/rule/reservation") => "left out",
        ("AWS::KMS::Key", _) => "referenced",
        (
            "AWS::IAM::Role"
            | "AWS::EKS::PodIdentityAssociation"
            | "AWS::SQS::Queue"
            | "AWS::SQS::QueueInlinePolicy"
            | "AWS::Events::Rule",
            address,
        ) if karpenter && address.starts_with("karpenter/") => "implied",
        (
            "AWS::EC2::EIP"
            | "AWS::EC2::InternetGateway"
            | "AWS::EC2::Route"
            | "AWS::EC2::RouteTable"
            | "AWS::EC2::SubnetRouteTableAssociation"
            | "AWS::EC2::VPCGatewayAttachment",
            _,
        ) if own_vpc => "implied",
        (
            "AWS::EC2::LaunchTemplate"
            | "AWS::EC2::NatGateway"
            | "AWS::EC2::Subnet"
            | "AWS::EC2::VPC"
            | "AWS::EKS::AccessEntry"
            | "AWS::EKS::Addon"
            | "AWS::EKS::Cluster"
            | "AWS::EKS::Nodegroup"
            | "AWS::EKS::PodIdentityAssociation"
            | "AWS::IAM::InstanceProfile"
            | "AWS::IAM::OIDCProvider"
            | "AWS::IAM::Role"
            | "AWS::Logs::LogGroup",
            _,
        ) => "expressed",
        _ => "left out",
    }
}

#[test]
fn fates_are_the_expected_ones() {
    for exported in all() {
        let ledger = ledger_of(exported);
        let spec = &exported.platform.spec;
        for resource in exported.graph.resources() {
            let fate = match ledger.fate(&resource.address).unwrap() {
                Fate::Expressed { .. } => "expressed",
                Fate::Implied { .. } => "implied",
                Fate::Referenced { .. } => "referenced",
                Fate::LeftOut => "left out",
            };
            let own_vpc = spec.network.existing.is_none();
            let mut expected = expected(resource, spec.karpenter.enabled, own_vpc);
            // A role that exists, of a service account that comes with a chart: nothing refers to it.
            if expected == "referenced" && resource.address.as_str() == "external-secrets/role" {
                let irsa = spec.cluster.workload_identity == spec::model::WorkloadIdentity::Irsa;
                expected = if irsa { "left out" } else { expected };
            }
            assert_eq!(fate, expected, "{}: {}", exported.name, resource.address);
        }
    }
}

#[test]
fn what_is_not_said_by_a_field_is_said_in_the_comment() {
    for exported in all() {
        let comment: Vec<&str> = exported
            .text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let longest = comment.iter().map(|line| line.len()).max().unwrap();
        assert!(
            longest <= 120,
            "{}: a line of {longest} bytes",
            exported.name
        );
        let words: BTreeSet<&str> = comment
            .iter()
            .flat_map(|line| line.split_whitespace())
            .map(|word| word.trim_end_matches(','))
            .collect();
        for (address, fate) in ledger_of(exported).entries() {
            let silent = matches!(fate, Fate::Expressed { lost, .. } if lost.is_empty());
            assert_eq!(
                words.contains(address.as_str()),
                !silent,
                "{}: {address}",
                exported.name
            );
            if let Fate::Expressed { lost, .. } = fate {
                for path in lost {
                    let named = words.contains(path.as_str())
                        || words.contains(format!("{path}:").as_str());
                    assert!(named, "{}: {path} of {address}", exported.name);
                }
            }
        }
    }
}

#[test]
fn what_is_expressed_or_referred_to_has_its_field() {
    for exported in all() {
        for (address, fate) in ledger_of(exported).entries() {
            let field = match fate {
                Fate::Expressed { field, .. }
                | Fate::Referenced { field }
                | Fate::Implied { field } => *field,
                Fate::LeftOut => continue,
            };
            let (field, document) = match field.strip_suffix(" of karpenter-nodes.yaml") {
                Some(field) => (field, &exported.nodes.as_ref().unwrap().1),
                None => (field, &exported.cluster),
            };
            assert!(
                has(document, field),
                "{}: {field} for {address}",
                exported.name
            );
        }
    }
}

/// Whether a document has a field; `[]` is any item.
fn has(document: &Json, field: &str) -> bool {
    let Some((first, rest)) = field.split_once('.') else {
        return document.get(field.trim_end_matches("[]")).is_some();
    };
    match first.strip_suffix("[]") {
        Some(list) => {
            let items = document.get(list).and_then(Json::as_array);
            items.is_some_and(|items| items.iter().any(|item| has(item, rest)))
        }
        None => document.get(first).is_some_and(|inner| has(inner, rest)),
    }
}

#[test]
fn losses_are_few_and_known() {
    let known = [
        "AssumeRolePolicyDocument",
        "CidrBlock",
        "DeletionProtection",
        "Description",
        "LaunchTemplateName",
        "MapPublicIpOnLaunch",
        "Policies.PolicyName",
        "ResourcesVpcConfig.SubnetIds",
        "RoleName",
        "retain",
    ];
    let mut found = BTreeSet::new();
    for exported in all() {
        for (_, fate) in ledger_of(exported).entries() {
            if let Fate::Expressed { lost, .. } = fate {
                found.extend(lost.iter().cloned());
            }
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), known);
}
