//! What can be changed, and what a change does.

use serde_json::json;

use super::HandlerErrorCode::{InvalidRequest, NotUpdatable};
use super::platform::built;
use super::{Context, TODAY, assert_refused, update, visible};

#[test]
fn what_is_for_ever_is_not_changed() {
    let mut account = built();
    for (name, changes) in [
        ("vpc", json!({"CidrBlock": "10.1.0.0/16"})),
        ("private-a", json!({"CidrBlock": "10.0.48.0/20"})),
        ("cluster", json!({"Name": "other"})),
        ("nodes", json!({"InstanceTypes": ["t4g.large"]})),
        ("redis", json!({"Port": 6380})),
        ("rabbit", json!({"DeploymentMode": "SINGLE_INSTANCE"})),
        ("queue", json!({"QueueName": "other"})),
        ("cluster-role", json!({"Path": "/other/"})),
    ] {
        assert_refused(
            name,
            account.update(name, changes),
            NotUpdatable,
            "createOnlyProperties",
        );
    }
}

#[test]
fn a_cluster_goes_up_one_minor_version_at_a_time() {
    let mut account = built();
    assert_refused(
        "down",
        account.update("cluster", json!({"Version": "1.34"})),
        InvalidRequest,
        "from 1.35 to 1.34",
    );
    let mut behind = account.entry("cluster").clone();
    behind.model["Version"] = json!("1.34");
    account.world.insert(behind);
    assert_refused(
        "two up",
        account.update("cluster", json!({"Version": "1.36"})),
        InvalidRequest,
        "from 1.34 to 1.36",
    );
    let after = account
        .update("cluster", json!({"Version": "1.35"}))
        .unwrap();
    assert_eq!(after["Version"], "1.35");
    assert_refused(
        "mode",
        account.update(
            "cluster",
            json!({"AccessConfig": {"AuthenticationMode": "CONFIG_MAP"}}),
        ),
        InvalidRequest,
        "Unsupported authentication mode update from API to CONFIG_MAP",
    );
}

#[test]
fn node_groups_scale_within_their_bounds() {
    let mut account = built();
    account
        .update(
            "nodes",
            json!({"ScalingConfig": {"MinSize": 1, "DesiredSize": 3, "MaxSize": 5}}),
        )
        .unwrap();
    let wrong = json!({"ScalingConfig": {"MinSize": 4, "DesiredSize": 3, "MaxSize": 5}});
    assert_refused(
        "scaling",
        account.update("nodes", wrong),
        InvalidRequest,
        "can't be greater than desired size 3",
    );
}

#[test]
fn other_data_of_a_launch_template_is_another_version() {
    let mut account = built();
    let data = json!({"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}});
    let after = account
        .update("template", json!({"LaunchTemplateData": data}))
        .unwrap();
    assert_eq!(
        (
            &after["LatestVersionNumber"],
            &after["DefaultVersionNumber"]
        ),
        (&json!("2"), &json!("1"))
    );
    let id = account.of("template", "LaunchTemplateId");
    account
        .update(
            "nodes",
            json!({"LaunchTemplate": {"Id": id, "Version": "2"}}),
        )
        .unwrap();
    let none = json!({"LaunchTemplate": {"Id": id, "Version": "3"}});
    assert_refused(
        "version",
        account.update("nodes", none),
        InvalidRequest,
        "Could not find the specified version 3",
    );
}

#[test]
fn what_is_never_read_back_is_lost_unless_it_is_sent_again() {
    let mut account = built();
    let entry = account.entry("template").clone();
    let cx = Context {
        world: &account.world,
        now: 0.0,
        epoch_seconds: TODAY,
        caller_arn: "arn:aws:iam::123456789012:user/deployer",
        settings: &account.settings,
        endpoints: &crate::kubernetes::endpoints::Unserved,
    };
    let refused = update(&cx, &entry, &visible(&entry), &mut account.ids);
    assert_refused(
        "template",
        refused,
        InvalidRequest,
        "must contain the parameter LaunchTemplateData",
    );
}

#[test]
fn private_knowledge_survives_an_update() {
    let mut account = built();
    let before = account.of("redis-secret", "__SecretString");
    account
        .update("redis-secret", json!({"Description": "of the cache"}))
        .unwrap();
    assert_eq!(account.of("redis-secret", "__SecretString"), before);
    account
        .update("redis", json!({"SnapshotRetentionLimit": 7}))
        .unwrap();
    assert_eq!(account.of("redis", "__CacheSubnetGroupName"), "shop-redis");
}

#[test]
fn a_route_takes_another_target_of_its_own_network_only() {
    let mut account = built();
    let changed =
        json!({"NatGatewayId": "nat-00000000000000000", "VpcEndpointId": "nat-00000000000000000"});
    assert_refused(
        "route",
        account.update("private-route", changed),
        InvalidRequest,
        "does not exist",
    );
}

#[test]
fn an_add_on_keeps_its_version_when_the_cluster_goes_up() {
    let mut account = built();
    account
        .update("cluster", json!({"Version": "1.36"}))
        .unwrap();
    let after = account
        .update(
            "kube-proxy",
            json!({"Tags": [{"Key": "owner", "Value": "x"}]}),
        )
        .unwrap();
    assert_eq!(after["AddonVersion"], "v1.35.0-eksbuild.2");
    assert_refused(
        "an older one",
        account.update("kube-proxy", json!({"AddonVersion": "v1.34.0-eksbuild.2"})),
        InvalidRequest,
        "Addon version specified is not supported",
    );
}
