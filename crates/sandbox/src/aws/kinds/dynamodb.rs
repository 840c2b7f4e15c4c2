//! `AWS::DynamoDB::Table`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, carry, flag, has, items, put, put_default, same, take, text, text_or};
use super::iam_role::check_name;
use super::kms::check_key;
use super::policy::{Purpose, check_principals, parse};
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const TABLE: TypeName = TypeName::new("AWS::DynamoDB::Table");
const WRONG: &str = "One or more parameter values were invalid";

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "TableName",
        format!("Table-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "TableName", "").to_owned();
    check_name("DynamoDb", NameKind::DynamoDbTable, &name)?;
    if cx.world.get(&TABLE, &name).is_some() {
        return Err(failure::exists(
            "DynamoDb",
            format!("Table already exists: {name}"),
        ));
    }
    if cx.is_full("L-F98FE922", cx.world.of_type(&TABLE).count()) {
        return Err(failure::limit(
            "DynamoDb",
            format!(
                "Subscriber limit exceeded: Account maximum of {} tables",
                cx.quota("L-F98FE922")
            ),
        ));
    }
    check(cx, &model)?;
    put(
        &mut model,
        "Arn",
        cx.arn("dynamodb", &format!("table/{name}")),
    );
    if has(&model, "StreamSpecification") {
        put(&mut model, "StreamArn", stream_arn(cx, &name));
    }
    defaults(&mut model);
    created(cx, &TABLE, model)
}

/// A stream is named by the time when it was switched on.
fn stream_arn(cx: &Context<'_>, table: &str) -> String {
    let label = cx.timestamp();
    cx.arn(
        "dynamodb",
        &format!("table/{table}/stream/{}", label.trim_end_matches('Z')),
    )
}

fn defaults(model: &mut Value) {
    put_default(model, "BillingMode", "PROVISIONED");
    put_default(model, "TableClass", "STANDARD");
    put_default(model, "DeletionProtectionEnabled", false);
    put_default(model, "ContributorInsightsSpecification/Enabled", false);
    put_default(
        model,
        "PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled",
        false,
    );
    if flag(
        model,
        "PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled",
    ) {
        put_default(
            model,
            "PointInTimeRecoverySpecification/RecoveryPeriodInDays",
            35,
        );
    }
    put_default(model, "SSESpecification/SSEEnabled", false);
    put_default(model, "Tags", json!([]));
}

/// The names in a key schema, the hash key's first.
fn key_names(model: &Value) -> Vec<&str> {
    items(model, "KeySchema")
        .iter()
        .filter_map(|key| text(key, "AttributeName"))
        .collect()
}

fn check(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let wrong = |what: String| Err(failure::invalid("DynamoDb", format!("{WRONG}: {what}")));
    let global = items(model, "GlobalSecondaryIndexes");
    let local = items(model, "LocalSecondaryIndexes");
    let provisioned = text_or(model, "BillingMode", "PROVISIONED") == "PROVISIONED";
    let defined: Vec<&str> = items(model, "AttributeDefinitions")
        .iter()
        .filter_map(|attribute| text(attribute, "AttributeName"))
        .collect();
    let mut used: Vec<&str> = Vec::new();
    for keyed in std::iter::once(model).chain(global).chain(local) {
        let keys = items(keyed, "KeySchema");
        if keys
            .first()
            .is_some_and(|key| text(key, "KeyType") != Some("HASH"))
        {
            return Err(failure::invalid(
                "DynamoDb",
                "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
            ));
        }
        let names = key_names(keyed);
        if names.iter().any(|name| !defined.contains(name)) {
            return wrong(format!(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: {names:?}, AttributeDefinitions: {defined:?}"
            ));
        }
        used.extend(names);
    }
    if defined.iter().any(|name| !used.contains(name)) {
        return wrong(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions".to_owned(),
        );
    }
    for capacity in std::iter::once(model).chain(global) {
        if provisioned && !has(capacity, "ProvisionedThroughput") {
            return wrong("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED".to_owned());
        }
        if !provisioned && has(capacity, "ProvisionedThroughput") {
            return wrong(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST".to_owned(),
            );
        }
    }
    // DynamoDB developer guide, "Quotas in Amazon DynamoDB".
    if global.len() > 20 || local.len() > 5 {
        return Err(failure::limit(
            "DynamoDb",
            "A table has at most 20 global and 5 local secondary indexes",
        ));
    }
    if let Some(key) = text(model, "SSESpecification/KMSMasterKeyId") {
        check_key(cx, "DynamoDb", key)?;
    }
    if flag(model, "TimeToLiveSpecification/Enabled")
        && !has(model, "TimeToLiveSpecification/AttributeName")
    {
        return wrong("TimeToLiveSpecification has no AttributeName".to_owned());
    }
    if let Some(policy) = at(model, "ResourcePolicy/PolicyDocument") {
        let statements = parse("DynamoDb", policy, Purpose::Resource)?;
        check_principals(cx, "DynamoDb", &statements, "")?;
    }
    Ok(())
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    for property in ["KeySchema", "LocalSecondaryIndexes"] {
        if !same(&entry.model, proposed, property) {
            return Err(failure::not_updatable(TABLE.as_str(), property));
        }
    }
    check(cx, proposed)?;
    let names = |model: &Value| -> Vec<String> {
        let indexes = items(model, "GlobalSecondaryIndexes").iter();
        indexes
            .filter_map(|index| text(index, "IndexName"))
            .map(str::to_owned)
            .collect()
    };
    let (before, after) = (names(&entry.model), names(proposed));
    let changed = before.iter().filter(|name| !after.contains(name)).count()
        + after.iter().filter(|name| !before.contains(name)).count();
    if changed > 1 {
        return Err(failure::invalid(
            "DynamoDb",
            "Cannot perform more than one GSI creation or deletion in a single update",
        ));
    }
    let mut model = proposed.clone();
    let view = "StreamSpecification/StreamViewType";
    if !has(&model, view) {
        take(&mut model, "StreamArn");
    } else if same(&entry.model, &model, view) {
        carry(&entry.model, &mut model, &["StreamArn"]);
    } else {
        put(&mut model, "StreamArn", stream_arn(cx, &entry.identifier));
    }
    defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    if flag(&entry.model, "DeletionProtectionEnabled") {
        return Err(failure::invalid(
            "DynamoDb",
            "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
        ));
    }
    Ok(deleted(cx, entry))
}
