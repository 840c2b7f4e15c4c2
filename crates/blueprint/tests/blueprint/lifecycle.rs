//! The spec's say about single resources, and what is refused.

use blueprint::Error;
use catalog::ids::Identifier;
use graph::Lifecycle;
use serde_json::json;

use crate::fixtures::{everything, platform};
use crate::render::{address, environment};

fn errors(overlay: serde_json::Value) -> Vec<String> {
    blueprint::environment(&platform("prod", overlay))
        .unwrap_err()
        .iter()
        .map(Error::to_string)
        .collect()
}

#[test]
fn rules_apply_by_address_and_by_scope() {
    let mut overlay = everything();
    overlay["lifecycle"] = json!({
        "backup/vault": "managed",
        "redis/replication-group": "retain",
        "cluster/secrets-key": { "existing": "01234567-89ab-cdef-0123-456789abcdef" },
        "shared/state-bucket": "managed",
    });
    let platform = platform("prod", overlay);
    let graph = environment("rules", &platform);
    let lifecycle = |text: &str| graph.get(&address(text)).unwrap().lifecycle.clone();
    assert_eq!(lifecycle("backup/vault"), Lifecycle::Managed);
    assert_eq!(lifecycle("redis/replication-group"), Lifecycle::Retain);
    let key = Identifier::new("01234567-89ab-cdef-0123-456789abcdef").unwrap();
    assert_eq!(lifecycle("cluster/secrets-key"), Lifecycle::Existing(key));
    let key = graph.get(&address("cluster/secrets-key")).unwrap();
    assert!(
        !key.properties.contains_key("Tags"),
        "what is somebody else's is not tagged as ours"
    );

    let shared = blueprint::shared(&platform).unwrap();
    assert_eq!(
        shared
            .get(&address("shared/state-bucket"))
            .unwrap()
            .lifecycle,
        Lifecycle::Managed
    );
}

#[test]
fn data_is_retained_and_the_spot_role_is_not_owned() {
    let platform = platform("prod", everything());
    let retained = |graph: &graph::Graph| -> Vec<String> {
        let retained = graph
            .resources()
            .filter(|it| it.lifecycle == Lifecycle::Retain);
        retained.map(|it| it.address.to_string()).collect()
    };
    assert_eq!(
        retained(&environment("everything", &platform)),
        [
            "audit/bucket",
            "audit/bucket-policy",
            "backup/vault",
            "dns/hosted-zone"
        ]
    );
    let shared = blueprint::shared(&platform).unwrap();
    assert_eq!(
        retained(&shared),
        [
            "shared/lock-table",
            "shared/repository/api",
            "shared/repository/web",
            "shared/state-bucket",
            "shared/state-bucket-policy"
        ]
    );
    let spot = shared
        .get(&address("shared/spot-service-linked-role"))
        .unwrap();
    assert_eq!(spot.lifecycle, Lifecycle::Ensure);
}

#[test]
fn an_unknown_address_is_refused_with_the_one_that_was_meant() {
    let errors =
        errors(json!({ "lifecycle": { "network/nat-gatway/a": "retain", "zzz": "retain" } }));
    assert_eq!(errors.len(), 2);
    assert!(
        errors[0].ends_with("did you mean `network/nat-gateway/a`?"),
        "{errors:?}"
    );
    assert!(!errors[1].contains("did you mean"), "{errors:?}");
}

#[test]
fn what_cannot_be_built_is_refused_all_at_once() {
    let errors = errors(json!({
        "platform": "a-platform-of-rather-a-long-name",
        "network": { "cidr": "10.0.0.0/24" },
        "systemNodes": { "instanceTypes": ["t3.medium", "t4g.medium"] },
        "certificate": { "mode": "wildcard" },
        "redis": { "enabled": true },
        "addons": { "versions": { "core-dns": "v1" } },
        "aws": { "tags": { "team": "" } },
    }));
    for part in [
        "`core-dns`",
        "`team`",
        "10.0.0.0/24",
        "one architecture",
        "dns.domain",
        "redis/replication-group",
    ] {
        assert!(
            errors.iter().any(|error| error.contains(part)),
            "{part}: {errors:#?}"
        );
    }
}
