//! `AWS::AmazonMQ::Broker` (RabbitMQ), `AWS::AmazonMQ::Configuration`.

use catalog::TypeName;
use catalog::data_services::rabbitmq::{self, DeploymentMode};
use catalog::names::NameKind;
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

const BROKER: TypeName = TypeName::new("AWS::AmazonMQ::Broker");
const CONFIGURATION: TypeName = TypeName::new("AWS::AmazonMQ::Configuration");

fn invalid(message: impl AsRef<str>) -> Failure {
    failure::invalid("Mq", message)
}

pub(super) fn create_broker(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let name = text_or(desired, "BrokerName", "").to_owned();
    check_name("Mq", NameKind::MqBroker, &name)?;
    if cx.is_taken(BROKER.as_str(), "BrokerName", &name) {
        return Err(failure::exists(
            "Mq",
            format!("Broker name [{name}] is already in use."),
        ));
    }
    if cx.is_full("L-4D525FD5", cx.world.of_type(&BROKER).count()) {
        return Err(failure::limit(
            "Mq",
            format!(
                "You have reached the maximum number of brokers: {}",
                cx.quota("L-4D525FD5")
            ),
        ));
    }
    // Reads give them in capitals.
    for property in ["EngineType", "DeploymentMode"] {
        put(
            &mut model,
            property,
            text_or(desired, property, "").to_uppercase(),
        );
    }
    put_default(&mut model, "EngineVersion", rabbitmq::VERSIONS[0]);
    let mode = check_machine(&model)?;
    check_network(cx, &model, mode)?;
    check_options(cx, &model)?;
    check_users(&model)?;
    let id = format!("b-{}", ids.uuid());
    let host = format!("{id}.mq.{}.on.aws", cx.world.region());
    put(
        &mut model,
        "Arn",
        cx.arn("mq", &format!("broker:{name}:{id}")),
    );
    put(
        &mut model,
        "AmqpEndpoints",
        json!([format!("amqps://{host}:5671")]),
    );
    put(
        &mut model,
        "ConsoleURLs",
        json!([format!("https://{host}")]),
    );
    let version = text_or(&model, "EngineVersion", "").to_owned();
    put(&mut model, "EngineVersionCurrent", version);
    let (configuration, revision) = match at(&model, "Configuration") {
        Some(given) => (
            text_or(given, "Id", "").to_owned(),
            number(given, "Revision").unwrap_or(1),
        ),
        None => (format!("c-{}", ids.uuid()), 1),
    };
    put(&mut model, "ConfigurationId", configuration);
    put(&mut model, "ConfigurationRevision", revision.to_string());
    put(&mut model, "Id", id);
    let day = [
        "MONDAY",
        "TUESDAY",
        "WEDNESDAY",
        "THURSDAY",
        "FRIDAY",
        "SATURDAY",
        "SUNDAY",
    ][usize::try_from(ids.below(7)).unwrap_or(0)];
    put_default(
        &mut model,
        "MaintenanceWindowStartTime",
        json!({"DayOfWeek": day, "TimeOfDay": "04:00", "TimeZone": "UTC"}),
    );
    defaults(&mut model);
    created(cx, &BROKER, model)
}

fn defaults(model: &mut Value) {
    put_default(model, "AuthenticationStrategy", "SIMPLE");
    put_default(model, "AutoMinorVersionUpgrade", false);
    put_default(model, "StorageType", "EBS");
    put_default(model, "EncryptionOptions", json!({"UseAwsOwnedKey": true}));
    put_default(model, "Logs", json!({"General": false}));
    put_default(model, "DataReplicationMode", "NONE");
    put_default(model, "SubnetIds", json!([]));
    put_default(model, "SecurityGroups", json!([]));
    put_default(model, "Tags", json!([]));
    if let Some(version) = text(model, "EngineVersion").map(str::to_owned) {
        put(model, "__EngineVersion", version);
    }
}

/// Engine, version, mode and instance type together.
fn check_machine(model: &Value) -> Result<DeploymentMode, Failure> {
    let engine = text_or(model, "EngineType", "");
    if engine != "RABBITMQ" {
        return Err(invalid(format!(
            "Engine type [{engine}] is not modelled here: RABBITMQ is"
        )));
    }
    let mode = match text_or(model, "DeploymentMode", "") {
        "SINGLE_INSTANCE" => DeploymentMode::SingleInstance,
        "CLUSTER_MULTI_AZ" => DeploymentMode::ClusterMultiAz,
        other => {
            return Err(invalid(format!(
                "Deployment mode [{other}] is not supported by RabbitMQ: SINGLE_INSTANCE and CLUSTER_MULTI_AZ are"
            )));
        }
    };
    rabbitmq::check(
        text_or(model, "EngineVersion", ""),
        mode,
        text_or(model, "HostInstanceType", ""),
    )
    .map_err(|error| invalid(error.to_string()))?;
    // Amazon MQ developer guide, "Managing Amazon MQ for RabbitMQ engine versions": from 3.13 on patches are automatic.
    if !flag(model, "AutoMinorVersionUpgrade") {
        return Err(invalid(
            "AutoMinorVersionUpgrade must be set to true for RabbitMQ 3.13 and above",
        ));
    }
    if text(model, "StorageType").is_some_and(|storage| !storage.eq_ignore_ascii_case("EBS")) {
        return Err(invalid("RabbitMQ brokers support EBS storage only"));
    }
    Ok(mode)
}

fn check_network(cx: &Context<'_>, model: &Value, mode: DeploymentMode) -> Result<(), Failure> {
    let subnet_ids = texts(model, "SubnetIds");
    let groups = texts(model, "SecurityGroups");
    if flag(model, "PubliclyAccessible") {
        if !groups.is_empty() {
            return Err(invalid(
                "You cannot specify security groups for RabbitMQ brokers with public accessibility.",
            ));
        }
        if subnet_ids.is_empty() {
            return Ok(());
        }
    }
    let (subnets, vpc) = subnets_of_one_vpc(cx, "Mq", &subnet_ids)?;
    let zones = zones_of(&subnets).len();
    match mode {
        DeploymentMode::SingleInstance if subnets.len() != 1 => {
            return Err(invalid(format!(
                "Specify exactly 1 subnet for deployment mode [SINGLE_INSTANCE], not {}.",
                subnets.len()
            )));
        }
        // Three nodes over as many zones as there are subnets; one zone would be no cluster over zones.
        DeploymentMode::ClusterMultiAz if zones < 2 || zones < subnets.len() => {
            return Err(invalid(
                "Deployment mode [CLUSTER_MULTI_AZ] needs subnets in at least two Availability Zones, each in one of its own.",
            ));
        }
        _ => {}
    }
    security_groups_in(cx, "Mq", &groups, vpc)
}

fn check_options(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    if flag(model, "Logs/Audit") {
        return Err(invalid(
            "Audit logging is not supported for RabbitMQ brokers.",
        ));
    }
    if let Some(key) = text(model, "EncryptionOptions/KmsKeyId") {
        if flag(model, "EncryptionOptions/UseAwsOwnedKey") {
            return Err(invalid("KmsKeyId can not be specified with UseAwsOwnedKey"));
        }
        check_key(cx, "Mq", key)?;
    }
    if let Some(configuration) = at(model, "Configuration") {
        let id = text_or(configuration, "Id", "");
        let known = cx.live_with(CONFIGURATION.as_str(), "Id", id);
        let revisions = known
            .and_then(|known| number(&known.model, "__Revision"))
            .unwrap_or(0);
        if !(1..=revisions).contains(&number(configuration, "Revision").unwrap_or(1)) {
            return Err(failure::not_found(
                "Mq",
                format!("Can't find requested configuration [{id}] or its revision."),
            ));
        }
    }
    Ok(())
}

/// RabbitMQ brokers are made with one user; the others are RabbitMQ's own.
fn check_users(model: &Value) -> Result<(), Failure> {
    let [user] = items(model, "Users") else {
        return Err(invalid(
            "RabbitMQ brokers must be created with exactly one user.",
        ));
    };
    rabbitmq::check_user(text_or(user, "Username", ""), text_or(user, "Password", ""))
        .map_err(|error| invalid(error.to_string()))?;
    if has(user, "Groups") || flag(user, "ConsoleAccess") || flag(user, "ReplicationUser") {
        return Err(invalid(
            "Groups, ConsoleAccess and ReplicationUser are not supported for users of RabbitMQ brokers.",
        ));
    }
    Ok(())
}

pub(super) fn update_broker(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    // What is never read back is as it was unless it is sent.
    if let Some(version) = text(&entry.model, "__EngineVersion") {
        put_default(&mut model, "EngineVersion", version);
    }
    check_machine(&model)?;
    check_options(cx, &model)?;
    if has(&model, "Users") {
        check_users(&model)?;
    }
    if !same(&entry.model, &model, "SecurityGroups")
        && !texts(&entry.model, "SecurityGroups").is_empty()
    {
        return Err(invalid(
            "Security groups of RabbitMQ brokers can not be changed.",
        ));
    }
    carry(&entry.model, &mut model, &["MaintenanceWindowStartTime"]);
    let version = text_or(&model, "EngineVersion", "").to_owned();
    put(&mut model, "EngineVersionCurrent", version);
    defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn create_configuration(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let name = text_or(desired, "Name", "");
    if cx.is_taken(CONFIGURATION.as_str(), "Name", name) {
        return Err(failure::exists(
            "Mq",
            format!("Configuration name [{name}] is already in use."),
        ));
    }
    let id = format!("c-{}", ids.uuid());
    put(
        &mut model,
        "Arn",
        cx.arn("mq", &format!("configuration:{id}")),
    );
    put(&mut model, "Id", id);
    put(&mut model, "Revision", "1");
    put(&mut model, "__Revision", 1);
    put_default(&mut model, "AuthenticationStrategy", "SIMPLE");
    created(cx, &CONFIGURATION, model)
}

pub(super) fn update_configuration(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    let next = number(&entry.model, "__Revision").unwrap_or(1) + 1;
    put(&mut model, "Revision", next.to_string());
    put(&mut model, "__Revision", next);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_configuration(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match user_of(cx, entry, text_or(&entry.model, "Id", "")) {
        Some(user) => Err(invalid(format!(
            "Configuration [{}] is in use by {}.",
            entry.identifier, user.identifier
        ))),
        None => Ok(deleted(cx, entry)),
    }
}
