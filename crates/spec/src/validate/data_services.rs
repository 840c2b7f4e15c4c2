//! Redis and RabbitMQ: versions, sizes and modes that go together, and what losing a zone does to them.

use catalog::data_services::elasticache::{self, CacheError, Engine, Group};
use catalog::data_services::rabbitmq::{self, BrokerError, DeploymentMode};
use catalog::regions;

use super::{Check, nearest};
use crate::model::{RabbitMqDeploymentMode, RedisEngine, Spec};

/// The engine as the catalog calls it.
pub(crate) fn engine(engine: RedisEngine) -> Engine {
    match engine {
        RedisEngine::Redis => Engine::Redis,
        RedisEngine::Valkey => Engine::Valkey,
    }
}

/// Fills in the engine versions that the spec leaves to the catalog: the newest.
pub(crate) fn complete(spec: &mut Spec) {
    let newest = |versions: &[&str]| versions.first().map(|version| (*version).to_owned());
    let redis = &mut spec.redis;
    if redis.engine_version.is_none() {
        redis.engine_version = newest(engine(redis.engine).versions());
    }
    if spec.rabbitmq.engine_version.is_none() {
        spec.rabbitmq.engine_version = newest(&rabbitmq::VERSIONS);
    }
}

pub(super) fn check(check: &mut Check<'_>) {
    if check.spec.redis.enabled {
        redis(check);
    }
    if check.spec.rabbitmq.enabled {
        broker(check);
    }
}

fn redis(check: &mut Check<'_>) {
    let redis = &check.spec.redis;
    let engine = engine(redis.engine);
    let version = redis
        .engine_version
        .as_deref()
        .or(engine.versions().first().copied())
        .unwrap_or_default();
    let group = |version, node_type| Group {
        engine,
        version,
        node_type,
        nodes: u8::try_from(redis.replicas + 1).unwrap_or(u8::MAX),
        multi_az: redis.replicas > 0,
        automatic_failover: redis.replicas > 0,
        transit_encryption: true,
        auth: true,
    };
    // One at a time, so that both are said.
    if let Err(error @ CacheError::Version { .. }) =
        elasticache::check(group(version, "cache.t4g.micro"))
    {
        let help = nearest(version, engine.versions().iter().copied())
            .or(engine.versions().first().copied());
        check.error(
            &["redis", "engineVersion"],
            "engine-version",
            error.to_string(),
            format!("take \"{}\"", help.unwrap_or_default()),
        );
    }
    let newest = engine.versions().first().copied().unwrap_or_default();
    if let Err(error) = elasticache::check(group(newest, &redis.node_type)) {
        let path = if matches!(error, CacheError::NodeType(_)) {
            ["redis", "nodeType"]
        } else {
            ["redis", "replicas"]
        };
        check.error(
            &path,
            "node-type",
            error.to_string(),
            "as cache.t4g.small for little, cache.r7g.large for much",
        );
    }
    if check.production && redis.replicas == 0 {
        check.warn(
            &["redis", "replicas"],
            "one-zone-redis",
            "Redis has no replica: it stands in one availability zone, and neither fails over nor survives the zone's loss (\"all stateful services span AZs\" is not met)",
            "write `replicas: 1` or more",
        );
    }
    if check.production && redis.snapshot_retention_days == 0 {
        check.warn(
            &["redis", "snapshotRetentionDays"],
            "no-snapshots",
            "no snapshots of Redis are kept: what is lost stays lost",
            "write `snapshotRetentionDays: 7`",
        );
    }
}

fn broker(check: &mut Check<'_>) {
    let broker = &check.spec.rabbitmq;
    let mode = match broker.deployment_mode {
        RabbitMqDeploymentMode::SingleInstance => DeploymentMode::SingleInstance,
        RabbitMqDeploymentMode::ClusterMultiAz => DeploymentMode::ClusterMultiAz,
    };
    let newest = rabbitmq::VERSIONS[0];
    let version = broker.engine_version.as_deref().unwrap_or(newest);
    match rabbitmq::check(version, mode, &broker.instance_type) {
        Ok(()) => {}
        Err(error @ (BrokerError::Retired { .. } | BrokerError::UnknownVersion { .. })) => {
            check.error(
                &["rabbitmq", "engineVersion"],
                "engine-version",
                error.to_string(),
                format!("take \"{newest}\""),
            );
            if let Err(error @ BrokerError::InstanceType { .. }) =
                rabbitmq::check(newest, mode, &broker.instance_type)
            {
                instance_type(check, &error);
            }
        }
        Err(error) => instance_type(check, &error),
    }
    let aws = &check.spec.aws;
    let zones = aws
        .availability_zones
        .as_ref()
        .map_or_else(|| regions::default_zones(&aws.region, 3).len(), Vec::len);
    if mode == DeploymentMode::ClusterMultiAz
        && zones < 3
        && check.knows(&["aws"])
        && regions::is_known(&aws.region)
    {
        let message = format!(
            "a RabbitMQ cluster stands in three availability zones, and the platform in {zones}"
        );
        check.error(
            &["rabbitmq", "deploymentMode"],
            "cluster-zones",
            message,
            "take a third zone, or `single-instance`",
        );
    }
    if check.production && mode == DeploymentMode::SingleInstance {
        check.warn(
            &["rabbitmq", "deploymentMode"],
            "one-zone-rabbitmq",
            "RabbitMQ is one broker in one availability zone: its loss stops all queues (\"all stateful services span AZs\" is not met)",
            "write `deploymentMode: cluster-multi-az`",
        );
    }
    if check.production && broker.instance_type == "mq.m7g.medium" {
        check.warn(
            &["rabbitmq", "instanceType"],
            "test-size-rabbitmq",
            "mq.m7g.medium is for tests: Amazon MQ's sizing guidelines begin with mq.m7g.large for production",
            "write `instanceType: mq.m7g.large`",
        );
    }
}

fn instance_type(check: &mut Check<'_>, error: &BrokerError) {
    let given = check.spec.rabbitmq.instance_type.as_str();
    let help = match error {
        // Its own size first: `mq.m5.large` becomes `mq.m7g.large`.
        BrokerError::InstanceType { allowed, .. } => {
            let size = given.rsplit('.').next().unwrap_or_default();
            let same = allowed
                .split(", ")
                .find(|allowed| allowed.rsplit('.').next() == Some(size));
            let first = allowed
                .split(", ")
                .find(|allowed| allowed.starts_with("mq.m"));
            same.or(first).map_or_else(
                || "take another type".to_owned(),
                |meant| format!("take {meant}"),
            )
        }
        _ => "take another type".to_owned(),
    };
    check.error(
        &["rabbitmq", "instanceType"],
        "instance-type",
        error.to_string(),
        help,
    );
}
