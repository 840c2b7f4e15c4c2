//! Nothing goes while something needs it, and everything goes in the reverse order.

use serde_json::json;

use super::HandlerErrorCode::{self, InvalidRequest, ResourceConflict};
use super::platform::{STEPS, built};
use super::{Account, assert_refused};

#[test]
fn what_is_needed_stays() {
    let whole = built();
    let cases: &[(&str, HandlerErrorCode, &str)] = &[
        ("vpc", InvalidRequest, "The vpc 'vpc-0"),
        (
            "igw",
            InvalidRequest,
            "has dependencies and cannot be deleted.",
        ),
        (
            "attachment",
            InvalidRequest,
            "has some mapped public address(es)",
        ),
        ("public-a", InvalidRequest, "The subnet 'subnet-0"),
        (
            "private-a",
            InvalidRequest,
            "has dependencies and cannot be deleted.",
        ),
        ("private-table", InvalidRequest, "The routeTable 'rtb-0"),
        ("eip", InvalidRequest, "in use"),
        ("nat", InvalidRequest, "The natGateway 'nat-0"),
        ("flow-group", InvalidRequest, "which writes to it"),
        ("log-group", InvalidRequest, "AWS::EKS::Cluster shop"),
        ("flow-role", InvalidRequest, "Cannot delete entity"),
        ("cluster-role", InvalidRequest, "Cannot delete entity"),
        (
            "node-role",
            InvalidRequest,
            "must remove roles from instance profile first",
        ),
        ("pod-role", InvalidRequest, "must delete policies first"),
        ("key", InvalidRequest, "is in use by AWS::EKS::Cluster shop"),
        (
            "cluster",
            ResourceConflict,
            "Cluster has nodegroups attached",
        ),
        ("vpc-cni", InvalidRequest, "cannot be deleted while"),
        (
            "agent",
            InvalidRequest,
            "cannot be deleted while AWS::EKS::PodIdentityAssociation",
        ),
        (
            "template",
            InvalidRequest,
            "has dependencies and cannot be deleted.",
        ),
        ("queue", InvalidRequest, "is in use by"),
        ("redis-group", InvalidRequest, "has a dependent object"),
        (
            "redis-subnets",
            InvalidRequest,
            "is currently in use by a cache cluster",
        ),
        ("rabbit-group", InvalidRequest, "has a dependent object"),
        (
            "plan",
            InvalidRequest,
            "Related backup plan selections must be deleted prior to backup plan deletion",
        ),
        (
            "topic",
            InvalidRequest,
            "is in use by AWS::CloudWatch::Alarm shop-cpu",
        ),
    ];
    for (name, code, words) in cases {
        assert_refused(name, whole.clone().delete(name), *code, words);
    }
}

#[test]
fn in_reverse_order_all_goes_but_the_key_that_waits() {
    let mut account = built();
    for (name, _, _) in STEPS.iter().rev() {
        account
            .delete(name)
            .unwrap_or_else(|failure| panic!("{name}: {}", failure.message));
    }
    let left: Vec<String> = account
        .world
        .entries()
        .map(|entry| entry.type_name.to_string())
        .collect();
    assert_eq!(
        left,
        ["AWS::KMS::Key"],
        "the default security group, the main route table and the cluster's group go, too"
    );
    let key = account.world.entries().next().unwrap().clone();
    account
        .made
        .insert("key", (key.type_name.clone(), key.identifier.clone()));
    assert_refused(
        "the key again",
        account.delete("key"),
        HandlerErrorCode::NotFound,
        "was not found",
    );
    // What waits for its deletion is of no use any more.
    let alias = json!({"AliasName": "alias/again", "TargetKeyId": key.identifier});
    assert_refused(
        "alias",
        account.create("AWS::KMS::Alias", &alias),
        InvalidRequest,
        "does not exist",
    );
}

#[test]
fn protected_things_stay() {
    let mut account = built();
    account
        .update("lock", json!({"DeletionProtectionEnabled": true}))
        .unwrap();
    assert_refused(
        "table",
        account.delete("lock"),
        InvalidRequest,
        "currently protected against deletion",
    );
    account
        .update("cluster", json!({"DeletionProtection": true}))
        .unwrap();
    assert_refused(
        "cluster",
        account.delete("cluster"),
        InvalidRequest,
        "deletion protection is enabled",
    );
}

#[test]
fn what_holds_data_stays() {
    let mut account = built();
    for (name, count, words) in [
        ("bucket", "__Objects", "not empty"),
        ("repository", "__Images", "still contains images"),
        ("vault", "__RecoveryPoints", "recovery points"),
    ] {
        let mut entry = account.entry(name).clone();
        entry.model[count] = json!(1);
        account.world.insert(entry);
        let failure = account.clone().delete(name).unwrap_err();
        let blocked_otherwise = failure.message.contains("in use");
        assert!(
            failure.message.contains(words) || blocked_otherwise,
            "{name}: {}",
            failure.message
        );
    }
}

#[test]
fn a_vpcs_own_parts_can_not_be_deleted_by_hand() {
    let mut account = Account::new();
    let vpc = account.make("vpc", "AWS::EC2::VPC", json!({"CidrBlock": "10.0.0.0/16"}));
    let group = vpc["DefaultSecurityGroup"].as_str().unwrap().to_owned();
    account.made.insert(
        "default",
        ("AWS::EC2::SecurityGroup".parse().unwrap(), group),
    );
    assert_refused(
        "default group",
        account.delete("default"),
        InvalidRequest,
        "cannot be deleted by a user",
    );
    let table = account
        .world
        .of_type("AWS::EC2::RouteTable")
        .next()
        .unwrap()
        .clone();
    account
        .made
        .insert("main", (table.type_name, table.identifier));
    assert_refused(
        "main table",
        account.delete("main"),
        InvalidRequest,
        "main route table",
    );
    account.delete("vpc").unwrap();
    assert_eq!(account.world.entries().count(), 0);
}
