//! `AWS::ElastiCache::SubnetGroup`, `AWS::ElastiCache::ParameterGroup`, `AWS::ElastiCache::ReplicationGroup`,
//! `AWS::ElastiCache::ServerlessCache`.

use catalog::data_services::elasticache::{Engine, Group, check, check_auth_token};
use catalog::names::NameKind;
use catalog::{TypeName, regions};
use serde_json::{Value, json};

use super::document::{
    at, carry, flag, has, items, number, put, put_default, same, text, text_or, texts,
};
use super::iam_role::check_name;
use super::kms::check_key;
use super::reference::{created, deleted, updated};
use super::usage::{security_groups_in, subnets_of_one_vpc, user_of, zones_of};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const SUBNET_GROUP: TypeName = TypeName::new("AWS::ElastiCache::SubnetGroup");
const PARAMETER_GROUP: TypeName = TypeName::new("AWS::ElastiCache::ParameterGroup");
const REPLICATION_GROUP: TypeName = TypeName::new("AWS::ElastiCache::ReplicationGroup");
const SERVERLESS: TypeName = TypeName::new("AWS::ElastiCache::ServerlessCache");

fn invalid(message: impl AsRef<str>) -> Failure {
    failure::invalid("ElastiCache", message)
}

pub(super) fn create_subnet_group(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "CacheSubnetGroupName",
        format!("subnetgroup-{}", ids.lower_alnum(12)),
    );
    let name = text_or(&model, "CacheSubnetGroupName", "").to_lowercase();
    check_name("ElastiCache", NameKind::ElastiCacheSubnetGroup, &name)?;
    if cx.world.get(&SUBNET_GROUP, &name).is_some() {
        return Err(failure::exists(
            "ElastiCache",
            format!("Cache subnet group {name} already exists."),
        ));
    }
    if cx.is_full("L-3E7F7726", cx.world.of_type(&SUBNET_GROUP).count()) {
        return Err(failure::limit(
            "ElastiCache",
            "The number of cache subnet groups would exceed the quota of the account.",
        ));
    }
    subnets_of_one_vpc(cx, "ElastiCache", &texts(&model, "SubnetIds"))?;
    put(&mut model, "CacheSubnetGroupName", name);
    put_default(&mut model, "Tags", json!([]));
    created(cx, &SUBNET_GROUP, model)
}

fn groups_in<'a>(cx: &Context<'a>, subnet_group: &str) -> Option<&'a Entry> {
    cx.any_with(
        REPLICATION_GROUP.as_str(),
        "__CacheSubnetGroupName",
        subnet_group,
    )
    .next()
}

pub(super) fn update_subnet_group(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let after = texts(proposed, "SubnetIds");
    subnets_of_one_vpc(cx, "ElastiCache", &after)?;
    let removed = texts(&entry.model, "SubnetIds")
        .into_iter()
        .find(|id| !after.contains(id));
    if let (Some(subnet), Some(group)) = (removed, groups_in(cx, &entry.identifier)) {
        return Err(invalid(format!(
            "The subnet ID {subnet} is in use by {}.",
            group.identifier
        )));
    }
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn delete_subnet_group(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match groups_in(cx, &entry.identifier) {
        Some(group) => Err(invalid(format!(
            "Cache subnet group {} is currently in use by a cache cluster. [{}]",
            entry.identifier, group.identifier
        ))),
        None => Ok(deleted(cx, entry)),
    }
}

/// `redis7`, `valkey8`: families of parameter groups.
const FAMILIES: [&str; 9] = [
    "redis2.6", "redis2.8", "redis3.2", "redis4.0", "redis5.0", "redis6.x", "redis7", "valkey7",
    "valkey8",
];

pub(super) fn create_parameter_group(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let family = text_or(desired, "CacheParameterGroupFamily", "");
    if !FAMILIES.contains(&family) {
        return Err(invalid(format!(
            "CacheParameterGroupFamily {family} is not a valid parameter group family."
        )));
    }
    let mut model = desired.clone();
    // The handler names it: the property is read-only.
    put(
        &mut model,
        "CacheParameterGroupName",
        format!("parametergroup-{}", ids.lower_alnum(12)),
    );
    put_default(&mut model, "Tags", json!([]));
    created(cx, &PARAMETER_GROUP, model)
}

pub(super) fn delete_parameter_group(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(invalid(format!(
            "One or more cache clusters are still members of this parameter group {}, so the group cannot be deleted. [{}]",
            entry.identifier, user.identifier
        ))),
        None => Ok(deleted(cx, entry)),
    }
}

/// What is never read back and still known to ElastiCache.
const KEPT: [&str; 6] = [
    "CacheParameterGroupName",
    "CacheSubnetGroupName",
    "EngineVersion",
    "KmsKeyId",
    "NumNodeGroups",
    "SecurityGroupIds",
];

fn keep(model: &mut Value) {
    for property in KEPT {
        if let Some(value) = at(model, property).cloned() {
            put(model, &format!("__{property}"), value);
        }
    }
    if has(model, "AuthToken") {
        put(model, "__AuthTokenEnabled", true);
    }
}

/// The model with what an earlier request said of the properties that are never read back.
fn completed(entry: &Entry, proposed: &Value) -> Value {
    let mut whole = proposed.clone();
    for property in KEPT {
        if let Some(value) = at(&entry.model, &format!("__{property}")).cloned() {
            put_default(&mut whole, property, value);
        }
    }
    whole
}

pub(super) fn create_group(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "ReplicationGroupId",
        format!("rg{}", ids.lower_alnum(14)),
    );
    let id = text_or(&model, "ReplicationGroupId", "").to_lowercase();
    check_name("ElastiCache", NameKind::ElastiCacheReplicationGroup, &id)?;
    if cx.world.get(&REPLICATION_GROUP, &id).is_some() {
        return Err(failure::exists(
            "ElastiCache",
            format!("Replication group {id} already exists"),
        ));
    }
    put(&mut model, "ReplicationGroupId", id.as_str());
    group_defaults(&mut model);
    let nodes = check_group(cx, &model)?;
    let taken: i64 = cx
        .world
        .of_type(&REPLICATION_GROUP)
        .map(|group| nodes_of(&group.model))
        .sum();
    if (taken + nodes) as f64 > cx.quota("L-DFE45DF3") {
        return Err(failure::limit(
            "ElastiCache",
            "The request cannot be processed because it would exceed the allowed number of nodes per region.",
        ));
    }
    endpoints(cx, &mut model, &id, ids);
    keep(&mut model);
    created(cx, &REPLICATION_GROUP, model)
}

fn engine_of(model: &Value) -> Option<Engine> {
    match text_or(model, "Engine", "redis").to_lowercase().as_str() {
        "redis" => Some(Engine::Redis),
        "valkey" => Some(Engine::Valkey),
        _ => None,
    }
}

fn group_defaults(model: &mut Value) {
    put_default(model, "Engine", "redis");
    if let Some(version) = engine_of(model).and_then(|engine| engine.versions().first().copied()) {
        put_default(model, "EngineVersion", version);
    }
    put_default(model, "Port", 6379);
    put_default(model, "AtRestEncryptionEnabled", false);
    put_default(model, "TransitEncryptionEnabled", false);
    put_default(model, "AutomaticFailoverEnabled", false);
    put_default(model, "MultiAZEnabled", false);
    put_default(model, "AutoMinorVersionUpgrade", true);
    put_default(model, "ClusterMode", "disabled");
    put_default(model, "NetworkType", "ipv4");
    put_default(model, "IpDiscovery", "ipv4");
    put_default(model, "SnapshotRetentionLimit", 0);
    put_default(model, "SnapshotWindow", "03:00-04:00");
    put_default(model, "Tags", json!([]));
    if !has(model, "NumCacheClusters")
        && !has(model, "NumNodeGroups")
        && !has(model, "ReplicasPerNodeGroup")
    {
        put(model, "NumCacheClusters", 1);
    }
}

fn nodes_of(model: &Value) -> i64 {
    let shards = number(model, "NumNodeGroups").or(number(model, "__NumNodeGroups"));
    match (
        number(model, "NumCacheClusters"),
        shards,
        number(model, "ReplicasPerNodeGroup"),
    ) {
        (Some(nodes), None, None) => nodes,
        (_, shards, replicas) => shards.unwrap_or(1) * (1 + replicas.unwrap_or(0)),
    }
}

/// Checks a replication group; returned is how many nodes it has.
fn check_group(cx: &Context<'_>, model: &Value) -> Result<i64, Failure> {
    let engine = engine_of(model).ok_or_else(|| {
        invalid(format!(
            "Invalid engine {} for a replication group",
            text_or(model, "Engine", "")
        ))
    })?;
    let version = text_or(model, "EngineVersion", "");
    let nodes = nodes_of(model);
    let clustered = number(model, "NumNodeGroups").is_some_and(|shards| shards > 1)
        || text(model, "ClusterMode") == Some("enabled");
    let auth = text(model, "AuthToken");
    check(Group {
        engine,
        version,
        node_type: text_or(model, "CacheNodeType", ""),
        nodes: u8::try_from(nodes).unwrap_or(u8::MAX),
        multi_az: flag(model, "MultiAZEnabled"),
        automatic_failover: flag(model, "AutomaticFailoverEnabled"),
        transit_encryption: flag(model, "TransitEncryptionEnabled"),
        auth: auth.is_some(),
    })
    .map_err(|error| invalid(error.to_string()))?;
    if let Some(token) = auth {
        check_auth_token(token).map_err(|error| invalid(error.to_string()))?;
    }
    if !(1..=500).contains(&nodes) || (!clustered && nodes > 6) {
        return Err(invalid(
            "A replication group has one primary and at most five replicas a shard",
        ));
    }
    if clustered && !flag(model, "AutomaticFailoverEnabled") {
        return Err(invalid(
            "Redis with cluster mode enabled cannot be created with auto failover turned off.",
        ));
    }
    if number(model, "SnapshotRetentionLimit").is_some_and(|days| !(0..=35).contains(&days)) {
        return Err(invalid("SnapshotRetentionLimit must be between 0 and 35"));
    }
    let Some(name) = text(model, "CacheSubnetGroupName") else {
        return Err(invalid(
            "Use of cache security groups is not permitted in this API version for your account: CacheSubnetGroupName is needed.",
        ));
    };
    let group = cx
        .live(SUBNET_GROUP.as_str(), &name.to_lowercase())
        .ok_or_else(|| {
            failure::not_found(
                "ElastiCache",
                format!("Cache Subnet Group {name} does not exist."),
            )
        })?;
    let (subnets, vpc) = subnets_of_one_vpc(cx, "ElastiCache", &texts(&group.model, "SubnetIds"))?;
    if flag(model, "MultiAZEnabled") && zones_of(&subnets).len() < 2 {
        return Err(invalid(format!(
            "The subnet group {name} has subnets in one Availability Zone only: Multi-AZ needs two or more"
        )));
    }
    security_groups_in(cx, "ElastiCache", &texts(model, "SecurityGroupIds"), vpc)?;
    check_parameters(cx, model, engine, version)?;
    if let Some(key) = text(model, "KmsKeyId") {
        if !flag(model, "AtRestEncryptionEnabled") {
            return Err(invalid("KmsKeyId needs AtRestEncryptionEnabled"));
        }
        check_key(cx, "ElastiCache", key)?;
    }
    for delivery in items(model, "LogDeliveryConfigurations") {
        if let Some(group) = text(
            delivery,
            "DestinationDetails/CloudWatchLogsDetails/LogGroup",
        ) && cx.live("AWS::Logs::LogGroup", group).is_none()
        {
            return Err(invalid(format!(
                "The log group {group} of the log delivery does not exist."
            )));
        }
    }
    Ok(nodes)
}

fn check_parameters(
    cx: &Context<'_>,
    model: &Value,
    engine: Engine,
    version: &str,
) -> Result<(), Failure> {
    let Some(name) = text(model, "CacheParameterGroupName") else {
        return Ok(());
    };
    let default = engine.default_parameter_group(version);
    if name.starts_with(&default) {
        return Ok(());
    }
    let family = default.trim_start_matches("default.");
    let group = cx.live(PARAMETER_GROUP.as_str(), name).ok_or_else(|| {
        failure::not_found(
            "ElastiCache",
            format!("CacheParameterGroup {name} not found."),
        )
    })?;
    let of_group = text_or(&group.model, "CacheParameterGroupFamily", "");
    if of_group == family {
        Ok(())
    } else {
        Err(invalid(format!(
            "Expected a parameter group of family {family} but found one of family {of_group}"
        )))
    }
}

fn endpoints(cx: &Context<'_>, model: &mut Value, id: &str, ids: &mut Ids) {
    let region = cx.world.region();
    let short = regions::short_code(region);
    let suffix = regions::dns_suffix(region);
    let mark = ids.lower_alnum(6);
    let port = number(model, "Port").unwrap_or(6379).to_string();
    let tls = flag(model, "TransitEncryptionEnabled");
    let name = |with_tls: &str, without: &str| {
        if tls {
            format!("{with_tls}.{id}.{mark}.{short}.cache.{suffix}")
        } else {
            format!("{id}{without}.{mark}.ng.0001.{short}.cache.{suffix}")
        }
    };
    let clustered = number(model, "NumNodeGroups").is_some_and(|shards| shards > 1)
        || text(model, "ClusterMode") == Some("enabled");
    if clustered {
        let address = if tls {
            name("clustercfg", "")
        } else {
            format!("{id}.{mark}.clustercfg.{short}.cache.{suffix}")
        };
        put(
            model,
            "ConfigurationEndPoint",
            json!({"Address": address, "Port": port}),
        );
        return;
    }
    put(
        model,
        "PrimaryEndPoint",
        json!({"Address": name("master", ""), "Port": port}),
    );
    put(
        model,
        "ReaderEndPoint",
        json!({"Address": name("replica", "-ro"), "Port": port}),
    );
    let nodes: Vec<String> = (1..=nodes_of(model))
        .map(|node| {
            if tls {
                format!("{id}-{node:03}.{id}.{mark}.{short}.cache.{suffix}")
            } else {
                format!("{id}-{node:03}.{mark}.0001.{short}.cache.{suffix}")
            }
        })
        .collect();
    let ports = vec![port; nodes.len()];
    put(
        model,
        "ReadEndPoint",
        json!({
            "Addresses": format!("[{}]", nodes.join(", ")), "AddressesList": nodes,
            "Ports": format!("[{}]", ports.join(", ")), "PortsList": ports,
        }),
    );
}

pub(super) fn update_group(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let whole = completed(entry, proposed);
    check_group(cx, &whole)?;
    let before = text_or(&entry.model, "__EngineVersion", "");
    let after = text_or(&whole, "EngineVersion", "");
    if same(&entry.model, &whole, "Engine") && version_numbers(after) < version_numbers(before) {
        return Err(invalid(format!(
            "Cannot upgrade the engine version from {before} to {after}: it is older"
        )));
    }
    let was_encrypted = flag(&entry.model, "TransitEncryptionEnabled");
    if was_encrypted != flag(proposed, "TransitEncryptionEnabled")
        && !has(proposed, "TransitEncryptionMode")
    {
        return Err(failure::not_updatable(
            REPLICATION_GROUP.as_str(),
            "TransitEncryptionEnabled",
        ));
    }
    if flag(&entry.model, "__AuthTokenEnabled") && !was_encrypted && has(proposed, "AuthToken") {
        return Err(failure::not_updatable(
            REPLICATION_GROUP.as_str(),
            "AuthToken",
        ));
    }
    let mut model = proposed.clone();
    carry(
        &entry.model,
        &mut model,
        &[
            "SnapshotWindow",
            "ClusterMode",
            "NetworkType",
            "IpDiscovery",
        ],
    );
    keep(&mut model);
    Ok(updated(cx, entry, model))
}

fn version_numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .take(2)
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

pub(super) fn create_serverless(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let name = text_or(desired, "ServerlessCacheName", "").to_lowercase();
    check_name("ElastiCache", NameKind::ElastiCacheReplicationGroup, &name)?;
    if cx.world.get(&SERVERLESS, &name).is_some() {
        return Err(failure::exists(
            "ElastiCache",
            format!("Serverless cache {name} already exists."),
        ));
    }
    if engine_of(desired).is_none() {
        return Err(invalid(format!(
            "Invalid engine {}",
            text_or(desired, "Engine", "")
        )));
    }
    let (_, vpc) = subnets_of_one_vpc(cx, "ElastiCache", &texts(desired, "SubnetIds"))?;
    security_groups_in(cx, "ElastiCache", &texts(desired, "SecurityGroupIds"), vpc)?;
    if let Some(key) = text(desired, "KmsKeyId") {
        check_key(cx, "ElastiCache", key)?;
    }
    let region = cx.world.region();
    let host = format!(
        "{name}-{}.serverless.{}.cache.{}",
        ids.lower_alnum(6),
        regions::short_code(region),
        regions::dns_suffix(region)
    );
    put(&mut model, "ServerlessCacheName", name.as_str());
    put(
        &mut model,
        "ARN",
        cx.arn("elasticache", &format!("serverlesscache:{name}")),
    );
    put(
        &mut model,
        "Endpoint",
        json!({"Address": host, "Port": "6379"}),
    );
    put(
        &mut model,
        "ReaderEndpoint",
        json!({"Address": host, "Port": "6380"}),
    );
    put(&mut model, "Status", "available");
    put(&mut model, "CreateTime", cx.timestamp());
    created(cx, &SERVERLESS, model)
}
