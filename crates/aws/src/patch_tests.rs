use proptest::prelude::*;

use super::*;

/// A type with every kind of property: nested read-only and create-only ones, write-only ones (one of them create-only
/// too), a set, an ordered array and tags.
fn schema() -> ResourceSchema {
    ResourceSchema::from_document(json!({
        "typeName": "Test::Patch::Thing",
        "properties": {
            "Id": {"type": "string"},
            "Name": {"type": "string"},
            "Size": {"type": "integer"},
            "Label": {"type": "string"},
            "Config": {"type": "object", "properties": {
                "Fixed": {"type": "string"},
                "Mode": {"type": "string"},
                "Status": {"type": "string"},
                "Limits": {"type": "object", "properties": {"Low": {"type": "integer"}, "High": {"type": "integer"}}},
            }},
            "Ports": {"type": "array", "items": {"type": "integer"}, "insertionOrder": false},
            "Rules": {"type": "array", "items": {"type": "object", "properties": {
                "Effect": {"type": "string"}, "Priority": {"type": "integer"}}}},
            "Password": {"type": "string"},
            "Snapshot": {"type": "string"},
            "Tags": {"type": "array", "items": {"type": "object", "properties": {
                "Key": {"type": "string"}, "Value": {"type": "string"}}}},
        },
        "primaryIdentifier": ["/properties/Id"],
        "readOnlyProperties": ["/properties/Id", "/properties/Config/Status"],
        "createOnlyProperties": ["/properties/Name", "/properties/Config/Fixed", "/properties/Snapshot"],
        "writeOnlyProperties": ["/properties/Password", "/properties/Snapshot"],
        "tagging": {"taggable": true, "tagProperty": "/properties/Tags"},
        "handlers": {"create": {}, "read": {}, "update": {}, "delete": {}},
    }))
    .expect("the schema is one")
}

fn apply(live: &Value, patch: &[Value]) -> Value {
    let mut document = live.clone();
    let patch: json_patch::Patch =
        serde_json::from_value(Value::Array(patch.to_vec())).expect("a patch");
    json_patch::patch(&mut document, &patch).expect("it applies");
    document
}

fn paths(patch: &[Value]) -> Vec<&str> {
    patch
        .iter()
        .filter_map(|operation| operation["path"].as_str())
        .collect()
}

fn document() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    let limits = (prop::option::of(0..3_i64), prop::option::of(0..3_i64))
        .prop_map(|(low, high)| json!({"Low": low, "High": high}));
    let config = (
        prop::option::of(text.clone()),
        prop::option::of(text.clone()),
        prop::option::of(limits),
    )
        .prop_map(|(fixed, mode, limits)| json!({"Fixed": fixed, "Mode": mode, "Limits": limits}));
    let rule = (text.clone(), 0..3_i64)
        .prop_map(|(effect, priority)| json!({"Effect": effect, "Priority": priority}));
    let tags = prop::collection::btree_map(text.clone(), text.clone(), 0..3).prop_map(|tags| {
        tags.into_iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect::<Value>()
    });
    (
        (prop::option::of(text.clone()), prop::option::of(0..3_i64), prop::option::of(text.clone())),
        prop::option::of(config),
        prop::option::of(prop::collection::btree_set(0..4_i64, 0..3)),
        prop::option::of(prop::collection::vec(rule, 0..3)),
        (prop::option::of(text.clone()), prop::option::of(text)),
        prop::option::of(tags),
    )
        .prop_map(|((name, size, label), config, ports, rules, (password, snapshot), tags)| {
            without_nulls(&json!({
                "Name": name, "Size": size, "Label": label, "Config": config, "Ports": ports, "Rules": rules,
                "Password": password, "Snapshot": snapshot, "Tags": tags,
            }))
        })
}

/// What a read returns of a document: no write-only property, some read-only ones, and a tag of AWS.
fn read_back(document: &Value) -> Value {
    let mut live = document.clone();
    for name in ["Password", "Snapshot"] {
        if let Some(members) = live.as_object_mut() {
            members.remove(name);
        }
    }
    live["Id"] = json!("thing-1");
    if live["Config"].is_object() {
        live["Config"]["Status"] = json!("ok");
    }
    if !live["Tags"].is_array() {
        live["Tags"] = json!([]);
    }
    if let Some(tags) = live["Tags"].as_array_mut() {
        tags.insert(0, json!({"Key": "aws:backup:source", "Value": "x"}));
    }
    live
}

fn has_reserved_tag(document: &Value) -> bool {
    document["Tags"].as_array().is_some_and(|tags| {
        tags.iter()
            .any(|tag| tag["Key"] == "aws:backup:source" && tag["Value"] == "x")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_patched_model_is_the_desired_one(before in document(), desired in document(), previous in document()) {
        let schema = schema();
        let live = read_back(&before);
        let operations = patch(&schema, &live, &desired, &previous);
        let after = apply(&live, &operations);
        let left: Vec<_> = differences(&schema, &desired, &after)
            .into_iter()
            // A create-only property is the plan's business. Its absence shows at the object around it.
            .filter(|difference| !is_forbidden(&schema, &difference.path) && difference.path.to_string() != "Config")
            .collect();
        prop_assert!(left.is_empty(), "{left:?} after {operations:?}");

        for operation in &operations {
            let path = PropertyPath::from_json_pointer(operation["path"].as_str().expect("a path"));
            prop_assert!(!is_forbidden(&schema, &path), "{path}");
            prop_assert!(operation["value"].get("Fixed").is_none() && operation["value"].get("Status").is_none());
        }
        for fixed in ["/Id", "/Name", "/Config/Fixed", "/Config/Status"] {
            prop_assert_eq!(after.pointer(fixed), live.pointer(fixed));
        }
        prop_assert!(has_reserved_tag(&after));
        // What was applied before and is wanted no more is gone; nothing else that was there is.
        for name in ["Size", "Label", "Ports", "Rules"] {
            if desired.get(name).is_none() {
                let stays = previous.get(name).is_none();
                prop_assert_eq!(after.get(name), live.get(name).filter(|_| stays), "{}", name);
            }
        }
        if !operations.is_empty() {
            prop_assert_eq!(after.get("Password"), desired.get("Password"));
            prop_assert!(after.get("Snapshot").is_none());
        }
    }

    #[test]
    fn a_patch_applied_leaves_nothing_to_do(before in document(), desired in document()) {
        let schema = schema();
        let live = read_back(&before);
        let after = read_back(&apply(&live, &patch(&schema, &live, &desired, &before)));
        let mut after = after;
        if let Some(tags) = after["Tags"].as_array_mut() {
            tags.remove(0);
        }
        let again = patch(&schema, &after, &desired, &desired);
        prop_assert!(again.is_empty(), "{again:?}");
    }
}

#[test]
fn a_secret_is_sent_again_whenever_something_changes_and_whenever_it_may_have() {
    let schema = schema();
    let live = json!({"Id": "i", "Size": 1});
    let desired = json!({"Size": 2, "Password": "p", "Snapshot": "s"});
    let operations = patch(&schema, &live, &desired, &desired);
    assert_eq!(paths(&operations), ["/Password", "/Size"]);

    let unchanged = json!({"Size": 1, "Password": "p"});
    assert!(patch(&schema, &live, &unchanged, &unchanged).is_empty());
    let reference = json!({"Size": 1, "Password": {"$secret": "redis/auth"}});
    assert_eq!(
        paths(&patch(&schema, &live, &unchanged, &reference)),
        ["/Password"]
    );
}

#[test]
fn real_types_are_patched_as_cloud_control_wants_it() {
    let group = catalog::schema(&catalog::TypeName::new(
        "AWS::ElastiCache::ReplicationGroup",
    ))
    .expect("in the catalog");
    let live = json!({"ReplicationGroupId": "shop-dev-redis", "CacheNodeType": "cache.t4g.small", "Tags": []});
    let desired = json!({
        "ReplicationGroupId": "shop-dev-redis", "CacheNodeType": "cache.t4g.medium", "AuthToken": "secret-token",
        "CacheSubnetGroupName": "shop-dev", "SecurityGroupIds": ["sg-1"], "EngineVersion": "7.1",
    });
    let operations = patch(group, &live, &desired, &desired);
    assert_eq!(
        paths(&operations),
        [
            "/AuthToken",
            "/CacheNodeType",
            "/EngineVersion",
            "/SecurityGroupIds"
        ],
        "CacheSubnetGroupName is write-only and create-only"
    );

    let cluster =
        catalog::schema(&catalog::TypeName::new("AWS::EKS::Cluster")).expect("in the catalog");
    let live = json!({
        "Name": "shop-dev", "Version": "1.33", "KubernetesNetworkConfig": {"IpFamily": "ipv4", "ServiceIpv4Cidr": "172.20.0.0/16"},
        "AccessConfig": {"AuthenticationMode": "API"},
    });
    let desired = json!({
        "Name": "shop-dev", "Version": "1.34", "KubernetesNetworkConfig": {"IpFamily": "ipv4"},
        "AccessConfig": {"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": false},
    });
    let operations = patch(cluster, &live, &desired, &desired);
    assert_eq!(
        operations,
        [json!({"op": "replace", "path": "/Version", "value": "1.34"})]
    );
}

#[test]
fn a_generated_secret_is_generated_once() {
    let secret = catalog::schema(&catalog::TypeName::new("AWS::SecretsManager::Secret"))
        .expect("in the catalog");
    let live = json!({"Id": "arn:x", "Name": "shop", "Description": "old"});
    let desired = |description: &str, length: u32| json!({"Name": "shop", "Description": description, "GenerateSecretString": {"PasswordLength": length}});
    let wanted = desired("new", 32);
    for previous in [desired("old", 32), json!({})] {
        assert_eq!(
            paths(&patch(secret, &live, &wanted, &previous)),
            ["/Description"]
        );
    }
    let unchanged = desired("old", 32);
    assert!(patch(secret, &live, &unchanged, &json!(null)).is_empty());
    assert_eq!(
        paths(&patch(secret, &live, &unchanged, &desired("old", 16))),
        ["/GenerateSecretString"]
    );
}
