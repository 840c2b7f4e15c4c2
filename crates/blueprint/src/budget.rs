//! A monthly budget, and who is told.

use graph::{Value, value};

use crate::draft::{Draft, Drawing};
use crate::types;

/// When somebody is told: which cost, at how many percent of the limit.
const THRESHOLDS: [(&str, u32); 2] = [("ACTUAL", 80), ("FORECASTED", 100)];

/// The budget is the whole account's. One by tag would count nothing until somebody activates the tag for cost allocation
/// in the billing console of the organisation, and an alarm that cannot ring is worse than one that rings early.
pub(crate) fn draw(drawing: &mut Drawing<'_>) {
    let budget = &drawing.spec().budget;
    let Some(limit) = budget.monthly_usd else {
        return;
    };
    let subscribers: Vec<Value> = budget
        .emails
        .iter()
        .map(|email| value!({ "SubscriptionType": "EMAIL", "Address": email.as_str() }))
        .collect();
    let notifications: Vec<Value> = THRESHOLDS
        .iter()
        .map(|(kind, percent)| {
            value!({
                "Notification": {
                    "NotificationType": *kind,
                    "ComparisonOperator": "GREATER_THAN",
                    "Threshold": *percent,
                    "ThresholdType": "PERCENTAGE",
                },
                "Subscribers": subscribers.clone(),
            })
        })
        .collect();
    drawing.add(
        Draft::new(
            "budget/budget",
            types::BUDGET,
            value!({
                "Budget": {
                    "BudgetName": drawing.name("monthly"),
                    "BudgetType": "COST",
                    "TimeUnit": "MONTHLY",
                    "BudgetLimit": { "Amount": limit, "Unit": "USD" },
                },
            }),
        )
        .with_some(
            "NotificationsWithSubscribers",
            (!subscribers.is_empty()).then_some(notifications),
        ),
    );
}
