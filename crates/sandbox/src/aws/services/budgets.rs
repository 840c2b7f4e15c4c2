//! AWS Budgets: budgets with their notifications. A budget is an entry of the world of type `AWS::Budgets::Budget`, identified
//! by its name.

use std::collections::BTreeSet;

use catalog::TypeName;
use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::state::Mutation;
use super::super::wire::{Input, ServiceError};
use super::super::world::Entry;
use super::{page, required, required_text};

pub(crate) const OPERATIONS: &[&str] = &[
    "CreateBudget",
    "CreateNotification",
    "CreateSubscriber",
    "DeleteBudget",
    "DeleteNotification",
    "DescribeBudget",
    "DescribeBudgets",
    "DescribeNotificationsForBudget",
    "DescribeSubscribersForNotification",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
    "UpdateBudget",
];

const BUDGET: TypeName = TypeName::new("AWS::Budgets::Budget");
const INVALID: &str = "InvalidParameterException";

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    if !OPERATIONS.contains(&operation) {
        return None;
    }
    Some(account.session(|session| {
        // These name the resource by its ARN, with the account in it.
        if !["ListTagsForResource", "TagResource", "UntagResource"].contains(&operation) {
            own_account(session, input)?;
        }
        match operation {
            "CreateBudget" => create(session, input),
            "UpdateBudget" => update(session, input),
            "DeleteBudget" => {
                let identifier = find(session, input)?.identifier.clone();
                session.change(Mutation::Remove {
                    type_name: BUDGET,
                    identifier,
                });
                Ok(json!({}))
            }
            "DescribeBudget" => Ok(json!({ "Budget": find(session, input)?.model["Budget"] })),
            "DescribeBudgets" => {
                let limit = Input(input).number("MaxResults", 1..=1000)?.unwrap_or(100);
                let all = session.world().of_type(&BUDGET);
                let all = all
                    .map(|entry| (entry.identifier.clone(), entry.model["Budget"].clone()))
                    .collect();
                let (budgets, next) = page(all, Input(input).text("NextToken")?, limit)?;
                Ok(json!({ "Budgets": budgets, "NextToken": next }))
            }
            "CreateNotification" => create_notification(session, input),
            "DeleteNotification" => {
                let (entry, at) = find_notification(session, input)?;
                let mut model = entry.model.clone();
                if let Some(notifications) = model["NotificationsWithSubscribers"].as_array_mut() {
                    notifications.remove(at);
                }
                session.put(BUDGET, entry.identifier.clone(), model);
                Ok(json!({}))
            }
            "DescribeNotificationsForBudget" => {
                let notifications = notifications(find(session, input)?);
                let notifications: Vec<_> = notifications
                    .iter()
                    .map(|one| with_state(&one["Notification"]))
                    .collect();
                Ok(json!({ "Notifications": notifications }))
            }
            "CreateSubscriber" => create_subscriber(session, input),
            "DescribeSubscribersForNotification" => {
                let (entry, at) = find_notification(session, input)?;
                Ok(json!({ "Subscribers": notifications(entry)[at]["Subscribers"] }))
            }
            "TagResource" => tag(session, input),
            "UntagResource" => untag(session, input),
            _ => Ok(json!({ "ResourceTags": tags_of(by_arn(session, input)?) })),
        }
    }))
}

fn own_account(session: &Session<'_>, input: &Value) -> Result<(), ServiceError> {
    let asked = required_text(input, "AccountId", INVALID)?;
    if asked == session.world().account() {
        return Ok(());
    }
    Err(ServiceError::bad_request(
        "AccessDeniedException",
        format!(
            "Account {} is not authorized to access the budgets of account {asked}",
            session.world().account()
        ),
    ))
}

fn find<'a>(session: &Session<'a>, input: &Value) -> Result<&'a Entry, ServiceError> {
    by_name(session, required_text(input, "BudgetName", INVALID)?)
}

fn by_name<'a>(session: &Session<'a>, name: &str) -> Result<&'a Entry, ServiceError> {
    session.state.world.get(&BUDGET, name).ok_or_else(|| {
        let account = session.world().account();
        ServiceError::bad_request(
            "NotFoundException",
            format!("Unable to get budget: {name} - the budget doesn't exist. Account: {account}"),
        )
    })
}

/// A budget as the service keeps it, with what it fills in.
fn checked(session: &Session<'_>, budget: &Value) -> Result<(String, Value), ServiceError> {
    let invalid = |reason: String| ServiceError::bad_request(INVALID, reason);
    let name = required_text(budget, "BudgetName", INVALID)?;
    if name.is_empty() || name.chars().count() > 100 || name.contains([':', '\\']) {
        return Err(invalid(format!(
            "Budget name '{name}' is not 1 to 100 characters without : and \\"
        )));
    }
    let unit = required_text(budget, "TimeUnit", INVALID)?;
    if !["DAILY", "MONTHLY", "QUARTERLY", "ANNUALLY", "CUSTOM"].contains(&unit) {
        return Err(invalid(format!("'{unit}' is no TimeUnit")));
    }
    let kind = required_text(budget, "BudgetType", INVALID)?;
    if kind == "COST" {
        let amount = budget["BudgetLimit"]["Amount"]
            .as_str()
            .and_then(|amount| amount.parse::<f64>().ok());
        let planned =
            budget.get("PlannedBudgetLimits").is_some() || budget.get("AutoAdjustData").is_some();
        if !planned && amount.is_none_or(|amount| amount <= 0.0) {
            return Err(invalid(
                "BudgetLimit must have a positive Amount and a Unit".to_owned(),
            ));
        }
    }
    let mut kept = budget.clone();
    let zero = json!({ "ActualSpend": { "Amount": "0.0", "Unit": "USD" } });
    if let Value::Object(members) = &mut kept {
        members.entry("CalculatedSpend").or_insert(zero);
        members.insert(
            "LastUpdatedTime".to_owned(),
            json!(session.clock.epoch_seconds()),
        );
    }
    Ok((name.to_owned(), kept))
}

fn create(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let (name, budget) = checked(session, required(input, "Budget", INVALID)?)?;
    if session.world().get(&BUDGET, &name).is_some() {
        return Err(ServiceError::bad_request(
            "DuplicateRecordException",
            format!("Error creating budget: {name} - the budget already exists."),
        ));
    }
    let given = |member: &str| {
        input
            .get(member)
            .filter(|value| value.is_array())
            .cloned()
            .unwrap_or_else(|| json!([]))
    };
    let (notifications, tags) = (given("NotificationsWithSubscribers"), given("ResourceTags"));
    for one in notifications.as_array().into_iter().flatten() {
        checked_notification(&one["Notification"])?;
        checked_subscribers(&one["Subscribers"])?;
    }
    checked_tags(tags.as_array().map_or(&[][..], Vec::as_slice))?;
    let model = json!({ "Budget": budget, "NotificationsWithSubscribers": notifications, "ResourceTags": tags });
    session.put(BUDGET, name, model);
    Ok(json!({}))
}

fn update(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let (name, budget) = checked(session, required(input, "NewBudget", INVALID)?)?;
    let mut model = by_name(session, &name)?.model.clone();
    model["Budget"] = budget;
    session.put(BUDGET, name, model);
    Ok(json!({}))
}

fn notifications(entry: &Entry) -> Vec<Value> {
    entry.model["NotificationsWithSubscribers"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn with_state(notification: &Value) -> Value {
    let mut notification = notification.clone();
    notification["NotificationState"] = json!("OK");
    notification
}

/// What makes a notification the same as another.
fn key(notification: &Value) -> (Value, Value, Option<u64>, Value) {
    let threshold_type = notification
        .get("ThresholdType")
        .cloned()
        .unwrap_or_else(|| json!("PERCENTAGE"));
    let threshold = notification["Threshold"].as_f64().map(f64::to_bits);
    (
        notification["NotificationType"].clone(),
        notification["ComparisonOperator"].clone(),
        threshold,
        threshold_type,
    )
}

fn checked_notification(notification: &Value) -> Result<(), ServiceError> {
    let is = |member: &str, allowed: &[&str]| {
        notification[member]
            .as_str()
            .is_some_and(|text| allowed.contains(&text))
    };
    let valid = is("NotificationType", &["ACTUAL", "FORECASTED"])
        && is(
            "ComparisonOperator",
            &["GREATER_THAN", "LESS_THAN", "EQUAL_TO"],
        )
        && notification["Threshold"]
            .as_f64()
            .is_some_and(|threshold| threshold > 0.0);
    if valid {
        Ok(())
    } else {
        Err(ServiceError::bad_request(
            INVALID,
            format!("{notification} is no notification"),
        ))
    }
}

fn checked_subscribers(subscribers: &Value) -> Result<(), ServiceError> {
    let subscribers = subscribers.as_array().map_or(&[][..], Vec::as_slice);
    let valid = |one: &Value| {
        matches!(one["SubscriptionType"].as_str(), Some("EMAIL" | "SNS"))
            && one["Address"]
                .as_str()
                .is_some_and(|address| !address.is_empty())
    };
    if subscribers.is_empty() || subscribers.len() > 11 || !subscribers.iter().all(valid) {
        return Err(ServiceError::bad_request(
            INVALID,
            "A notification needs 1 to 11 subscribers with SubscriptionType and Address",
        ));
    }
    Ok(())
}

fn create_notification(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = find(session, input)?;
    let notification = required(input, "Notification", INVALID)?;
    let subscribers = required(input, "Subscribers", INVALID)?;
    checked_notification(notification)?;
    checked_subscribers(subscribers)?;
    let mut all = notifications(entry);
    if all
        .iter()
        .any(|one| key(&one["Notification"]) == key(notification))
    {
        return Err(ServiceError::bad_request(
            "DuplicateRecordException",
            "The notification already exists.",
        ));
    }
    // Five a budget (Budgets' quotas).
    if all.len() >= 5 {
        return Err(ServiceError::bad_request(
            "CreationLimitExceededException",
            "A budget can have at most 5 notifications.",
        ));
    }
    all.push(json!({ "Notification": notification, "Subscribers": subscribers }));
    let mut model = entry.model.clone();
    model["NotificationsWithSubscribers"] = json!(all);
    session.put(BUDGET, entry.identifier.clone(), model);
    Ok(json!({}))
}

fn find_notification<'a>(
    session: &Session<'a>,
    input: &Value,
) -> Result<(&'a Entry, usize), ServiceError> {
    let entry = find(session, input)?;
    let wanted = key(required(input, "Notification", INVALID)?);
    let at = notifications(entry)
        .iter()
        .position(|one| key(&one["Notification"]) == wanted);
    let at = at.ok_or_else(|| {
        ServiceError::bad_request("NotFoundException", "The notification doesn't exist.")
    })?;
    Ok((entry, at))
}

fn create_subscriber(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let (entry, at) = find_notification(session, input)?;
    let subscriber = required(input, "Subscriber", INVALID)?;
    let mut model = entry.model.clone();
    let subscribers = &mut model["NotificationsWithSubscribers"][at]["Subscribers"];
    if subscribers
        .as_array()
        .is_some_and(|all| all.contains(subscriber))
    {
        return Err(ServiceError::bad_request(
            "DuplicateRecordException",
            "The subscriber already exists.",
        ));
    }
    if let Value::Array(all) = subscribers {
        all.push(subscriber.clone());
    }
    checked_subscribers(subscribers)?;
    session.put(BUDGET, entry.identifier.clone(), model);
    Ok(json!({}))
}

/// The budget that `ResourceARN` names.
fn by_arn<'a>(session: &Session<'a>, input: &Value) -> Result<&'a Entry, ServiceError> {
    let arn = required_text(input, "ResourceARN", INVALID)?;
    let world = session.world();
    let prefix = format!(
        "arn:{}:budgets::{}:budget/",
        world.partition(),
        world.account()
    );
    let name = arn.strip_prefix(&prefix).ok_or_else(|| {
        ServiceError::bad_request(
            INVALID,
            format!("{arn} is not the ARN of a budget of this account ({prefix}…)"),
        )
    })?;
    by_name(session, name)
}

fn tags_of(entry: &Entry) -> Vec<Value> {
    entry.model["ResourceTags"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Tags as the service takes them: a key once, at most 200 (API reference, `ResourceTags`).
fn checked_tags(tags: &[Value]) -> Result<(), ServiceError> {
    let keys: BTreeSet<&str> = tags.iter().filter_map(|tag| tag["Key"].as_str()).collect();
    let valid = |tag: &Value| {
        let key = tag["Key"].as_str().unwrap_or_default();
        (1..=128).contains(&key.chars().count())
            && !key.starts_with(catalog::RESERVED_PREFIX)
            && tag["Value"]
                .as_str()
                .is_some_and(|value| value.chars().count() <= 256)
    };
    if keys.len() != tags.len() || !tags.iter().all(valid) {
        return Err(ServiceError::bad_request(
            INVALID,
            "A tag needs a Key of 1 to 128 characters that is there once and is not reserved, and a Value of at most 256",
        ));
    }
    if tags.len() > 200 {
        return Err(ServiceError::bad_request(
            "ServiceQuotaExceededException",
            "A budget can have at most 200 tags.",
        ));
    }
    Ok(())
}

fn tag(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = by_arn(session, input)?;
    let given = required(input, "ResourceTags", INVALID)?;
    let given = given.as_array().map_or(&[][..], Vec::as_slice);
    checked_tags(given)?;
    let mut tags = tags_of(entry);
    tags.retain(|old| given.iter().all(|new| new["Key"] != old["Key"]));
    tags.extend(given.iter().cloned());
    checked_tags(&tags)?;
    put_tags(session, entry, &tags);
    Ok(json!({}))
}

/// Keys that are not there are no error.
fn untag(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = by_arn(session, input)?;
    let gone = required(input, "ResourceTagKeys", INVALID)?;
    let gone = gone.as_array().map_or(&[][..], Vec::as_slice);
    let mut tags = tags_of(entry);
    tags.retain(|tag| !gone.contains(&tag["Key"]));
    put_tags(session, entry, &tags);
    Ok(json!({}))
}

fn put_tags(session: &mut Session<'_>, entry: &Entry, tags: &[Value]) {
    let mut model = entry.model.clone();
    model["ResourceTags"] = json!(tags);
    session.put(BUDGET, entry.identifier.clone(), model);
}
