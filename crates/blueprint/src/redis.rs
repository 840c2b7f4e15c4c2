//! ElastiCache: cache, sessions, Celery's results. Encrypted at rest and on the way, behind an AUTH token that nobody has
//! seen.

use catalog::data_services::elasticache::{Engine, PORT};
use graph::value;
use spec::model::RedisEngine;

use crate::data_services;
use crate::draft::{Draft, Drawing};
use crate::network::Network;
use crate::{secrets, types};

pub(crate) fn draw(drawing: &mut Drawing<'_>, network: &Network) {
    let redis = &drawing.spec().redis;
    if !redis.enabled {
        return;
    }
    let (engine, title) = match redis.engine {
        RedisEngine::Redis => (Engine::Redis, "Redis"),
        RedisEngine::Valkey => (Engine::Valkey, "Valkey"),
    };
    // ElastiCache knows one user with the token: `default`
    // (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html; tokens have 16 to 128 characters).
    let secret = secrets::credentials(
        drawing,
        "redis",
        "default",
        64,
        &format!("AUTH token of {title}"),
    );
    let security_group = data_services::security_group(
        drawing,
        network,
        "redis",
        title,
        &[(PORT, "Redis over TLS")],
    );
    let subnet_group = drawing.add(Draft::new(
        "redis/subnet-group",
        types::CACHE_SUBNET_GROUP,
        value!({
            "CacheSubnetGroupName": drawing.name("redis"),
            "Description": format!("Private subnets of {}", drawing.scope_name()),
            "SubnetIds": network.private_ids(),
        }),
    ));
    let version = redis
        .engine_version
        .as_deref()
        .or_else(|| engine.versions().first().copied());
    let replicated = redis.replicas > 0;
    let draft = Draft::new(
        "redis/replication-group",
        types::REPLICATION_GROUP,
        value!({
            "ReplicationGroupId": drawing.name("redis"),
            "ReplicationGroupDescription": format!("{title} of {}", drawing.scope_name()),
            "Engine": engine.as_str(),
            "CacheNodeType": redis.node_type.as_str(),
            "NumCacheClusters": redis.replicas + 1,
            "AutomaticFailoverEnabled": replicated,
            "MultiAZEnabled": replicated,
            "Port": u32::from(PORT),
            "CacheSubnetGroupName": subnet_group.get("CacheSubnetGroupName"),
            "SecurityGroupIds": [security_group.get("GroupId")],
            "TransitEncryptionEnabled": true,
            "TransitEncryptionMode": "required",
            "AtRestEncryptionEnabled": true,
            "AuthToken": secret.secret("password"),
            "SnapshotRetentionLimit": redis.snapshot_retention_days,
            "AutoMinorVersionUpgrade": true,
        }),
    );
    drawing.add(draft.with_some("EngineVersion", version));
}
