//! `AWS::Budgets::Budget` by the Budgets API, since Cloud Control does not take it.
//!
//! The identifier is the budget's name, which is what CloudFormation's `Ref` of it is. Every call is done when it returns.

use catalog::ids::{AccountId, Identifier};
use engine::provider::{ErrorClass, Progress, ProviderError};
use serde_json::{Map, Value, json};

use crate::cloud_control::done;
use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::CallError;

pub(crate) async fn create(
    session: &Session,
    account: &AccountId,
    desired: &Value,
) -> Result<Progress, ProviderError> {
    let identifier = identifier(desired)?;
    let mut input = json!({"AccountId": account, "Budget": to_api(&desired["Budget"])});
    for name in ["NotificationsWithSubscribers", "ResourceTags"] {
        if let Some(value) = desired.get(name) {
            input[name] = value.clone();
        }
    }
    session
        .json(Service::Budgets, "CreateBudget", &input)
        .await?;
    Ok(done(Some(identifier)))
}

pub(crate) async fn update(
    session: &Session,
    account: &AccountId,
    identifier: &Identifier,
    desired: &Value,
) -> Result<Progress, ProviderError> {
    let input = json!({"AccountId": account, "NewBudget": to_api(&desired["Budget"])});
    session
        .json(Service::Budgets, "UpdateBudget", &input)
        .await?;
    update_notifications(session, account, identifier, desired).await?;
    update_tags(session, account, identifier, desired).await?;
    Ok(done(Some(identifier.clone())))
}

pub(crate) async fn delete(
    session: &Session,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<Progress, ProviderError> {
    let input = json!({"AccountId": account, "BudgetName": identifier});
    match session.json(Service::Budgets, "DeleteBudget", &input).await {
        Err(error) if error.code() != Some("NotFoundException") => Err(error.into()),
        _ => Ok(done(Some(identifier.clone()))),
    }
}

pub(crate) async fn read(
    session: &Session,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<Option<Value>, ProviderError> {
    let name = json!({"AccountId": account, "BudgetName": identifier});
    let answer = match session
        .json(Service::Budgets, "DescribeBudget", &name)
        .await
    {
        Ok(answer) => answer,
        Err(error) if error.code() == Some("NotFoundException") => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut model = json!({"Id": identifier, "Budget": from_api(&answer["Budget"])});
    let notifications = notifications(session, account, identifier).await?;
    if !notifications.is_empty() {
        model["NotificationsWithSubscribers"] = Value::Array(notifications);
    }
    let input = json!({"ResourceARN": arn(session, account, identifier)});
    let tags = session
        .json(Service::Budgets, "ListTagsForResource", &input)
        .await?;
    if let Some(tags) = tags["ResourceTags"]
        .as_array()
        .filter(|tags| !tags.is_empty())
    {
        model["ResourceTags"] = json!(tags);
    }
    Ok(Some(model))
}

/// The identifier of the budget that `desired` describes.
pub(crate) fn identifier(desired: &Value) -> Result<Identifier, ProviderError> {
    let name = desired["Budget"]["BudgetName"].as_str().unwrap_or_default();
    Identifier::new(name).map_err(|_| ProviderError {
        class: ErrorClass::Terminal,
        code: "InvalidRequest".to_owned(),
        message: "a budget has no Budget.BudgetName".to_owned(),
    })
}

fn arn(session: &Session, account: &AccountId, identifier: &Identifier) -> String {
    let partition = catalog::regions::partition(session.region().as_str());
    format!("arn:{partition}:budgets::{account}:budget/{identifier}")
}

/// Everything that a paged call returns under a name.
async fn pages(
    session: &Session,
    operation: &str,
    mut input: Value,
    list: &str,
) -> Result<Vec<Value>, CallError> {
    let mut found = Vec::new();
    loop {
        let answer = match session.json(Service::Budgets, operation, &input).await {
            Ok(answer) => answer,
            // A notification without subscribers, or one that was just removed.
            Err(error) if error.code() == Some("NotFoundException") => return Ok(found),
            Err(error) => return Err(error),
        };
        found.extend(answer[list].as_array().into_iter().flatten().cloned());
        match answer["NextToken"]
            .as_str()
            .filter(|token| !token.is_empty())
        {
            Some(token) => input["NextToken"] = token.into(),
            None => return Ok(found),
        }
    }
}

async fn notifications(
    session: &Session,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<Vec<Value>, CallError> {
    let input = json!({"AccountId": account, "BudgetName": identifier});
    let list = pages(
        session,
        "DescribeNotificationsForBudget",
        input,
        "Notifications",
    )
    .await?;
    let mut found = Vec::new();
    for mut notification in list {
        if let Some(fields) = notification.as_object_mut() {
            // A state of the moment, not a property.
            fields.remove("NotificationState");
        }
        let input =
            json!({"AccountId": account, "BudgetName": identifier, "Notification": notification});
        let subscribers = pages(
            session,
            "DescribeSubscribersForNotification",
            input,
            "Subscribers",
        )
        .await?;
        found.push(json!({"Notification": notification, "Subscribers": subscribers}));
    }
    Ok(found)
}

/// By the schema, a change of the notifications replaces the budget. A budget that is taken over after a lost call is
/// brought to what is wanted all the same.
async fn update_notifications(
    session: &Session,
    account: &AccountId,
    identifier: &Identifier,
    desired: &Value,
) -> Result<(), CallError> {
    let live = notifications(session, account, identifier).await?;
    let wanted = desired["NotificationsWithSubscribers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let same = |one: &Value, other: &Value| comparable(one) == comparable(other);
    for gone in live
        .iter()
        .filter(|live| !wanted.iter().any(|wanted| same(live, wanted)))
    {
        let input = json!({"AccountId": account, "BudgetName": identifier, "Notification": gone["Notification"]});
        session
            .json(Service::Budgets, "DeleteNotification", &input)
            .await?;
    }
    for new in wanted
        .iter()
        .filter(|wanted| !live.iter().any(|live| same(live, wanted)))
    {
        let input = json!({
            "AccountId": account, "BudgetName": identifier,
            "Notification": new["Notification"], "Subscribers": new["Subscribers"],
        });
        session
            .json(Service::Budgets, "CreateNotification", &input)
            .await?;
    }
    Ok(())
}

/// A notification in a form that can be compared: numbers as floats, subscribers in order.
fn comparable(entry: &Value) -> (String, Vec<String>) {
    let notification = &entry["Notification"];
    let text = |name: &str| notification[name].as_str().unwrap_or_default().to_owned();
    let threshold = notification["Threshold"].as_f64().unwrap_or_default();
    let kind = match text("ThresholdType") {
        // The API's default.
        kind if kind.is_empty() => "PERCENTAGE".to_owned(),
        kind => kind,
    };
    let mut subscribers: Vec<String> = entry["Subscribers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| format!("{} {}", one["SubscriptionType"], one["Address"]))
        .collect();
    subscribers.sort_unstable();
    (
        format!(
            "{} {} {threshold} {kind}",
            text("NotificationType"),
            text("ComparisonOperator")
        ),
        subscribers,
    )
}

async fn update_tags(
    session: &Session,
    account: &AccountId,
    identifier: &Identifier,
    desired: &Value,
) -> Result<(), CallError> {
    let arn = arn(session, account, identifier);
    let Some(tags) = desired.get("ResourceTags").and_then(Value::as_array) else {
        return Ok(());
    };
    let live = session
        .json(
            Service::Budgets,
            "ListTagsForResource",
            &json!({"ResourceARN": arn}),
        )
        .await?;
    let gone: Vec<&Value> = live["ResourceTags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| &tag["Key"])
        .filter(|key| !tags.iter().any(|tag| tag["Key"] == **key))
        .filter(|key| {
            key.as_str()
                .is_some_and(|key| !key.starts_with(catalog::RESERVED_PREFIX))
        })
        .collect();
    if !gone.is_empty() {
        let input = json!({"ResourceARN": arn, "ResourceTagKeys": gone});
        session
            .json(Service::Budgets, "UntagResource", &input)
            .await?;
    }
    let present = live["ResourceTags"].as_array();
    let new: Vec<&Value> = tags
        .iter()
        .filter(|tag| !present.is_some_and(|present| present.contains(tag)))
        .collect();
    if !new.is_empty() {
        let input = json!({"ResourceARN": arn, "ResourceTags": new});
        session
            .json(Service::Budgets, "TagResource", &input)
            .await?;
    }
    Ok(())
}

/// The API takes amounts as text, the resource type's schema as numbers.
fn to_api(budget: &Value) -> Value {
    amounts(budget, &|amount| match amount {
        Value::Number(number) => Value::String(number.to_string()),
        other => other.clone(),
    })
}

fn from_api(budget: &Value) -> Value {
    let mut budget = amounts(budget, &|amount| {
        amount
            .as_str()
            .and_then(|text| {
                let whole = text.parse::<i64>().map(Value::from).ok();
                whole.or_else(|| text.parse::<f64>().ok().map(Value::from))
            })
            .unwrap_or_else(|| amount.clone())
    });
    if let Some(fields) = budget.as_object_mut() {
        // What AWS counts, not what was set.
        for name in [
            "CalculatedSpend",
            "LastUpdatedTime",
            "HealthStatus",
            "BudgetStatus",
        ] {
            fields.remove(name);
        }
    }
    budget
}

fn amounts(value: &Value, convert: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, inner)| {
                let inner = if name == "Amount" {
                    convert(inner)
                } else {
                    amounts(inner, convert)
                };
                (name.clone(), inner)
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_text_on_the_wire_and_numbers_in_the_model() {
        let budget = json!({"BudgetName": "b", "BudgetLimit": {"Amount": 250, "Unit": "USD"}});
        let wire = to_api(&budget);
        assert_eq!(wire["BudgetLimit"]["Amount"], "250");
        assert_eq!(from_api(&wire), budget);
        let read = json!({"BudgetLimit": {"Amount": "99.5", "Unit": "USD"}, "CalculatedSpend": {"ActualSpend": {"Amount": "1", "Unit": "USD"}}});
        assert_eq!(
            from_api(&read),
            json!({"BudgetLimit": {"Amount": 99.5, "Unit": "USD"}})
        );
    }

    #[test]
    fn notifications_are_compared_by_meaning() {
        let one = json!({"Notification": {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80},
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "a"}, {"SubscriptionType": "EMAIL", "Address": "b"}]});
        let mut other = json!({"Notification": {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0, "ThresholdType": "PERCENTAGE"},
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "b"}, {"SubscriptionType": "EMAIL", "Address": "a"}]});
        assert_eq!(comparable(&one), comparable(&other));
        other["Notification"]["Threshold"] = json!(90);
        assert_ne!(comparable(&one), comparable(&other));
    }
}
