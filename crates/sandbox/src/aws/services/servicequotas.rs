//! Service Quotas: the limits of the account, from the catalog and from what the sandbox was told.

use catalog::quotas::{QUOTAS, Quota, Scope};
use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::wire::{Input, ServiceError};
use super::{page, required_text};

pub(crate) const OPERATIONS: &[&str] = &[
    "GetAWSDefaultServiceQuota",
    "GetServiceQuota",
    "ListServiceQuotas",
];

const ILLEGAL: &str = "IllegalArgumentException";

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    Some(match operation {
        "GetServiceQuota" => get(account, input, true),
        "GetAWSDefaultServiceQuota" => get(account, input, false),
        "ListServiceQuotas" => list(account, input),
        _ => return None,
    })
}

fn get(account: &Account, input: &Value, applied: bool) -> Result<Value, ServiceError> {
    let service = required_text(input, "ServiceCode", ILLEGAL)?;
    let code = required_text(input, "QuotaCode", ILLEGAL)?;
    let found = QUOTAS
        .iter()
        .find(|quota| quota.service == service && quota.code == code);
    let quota = found.ok_or_else(|| {
        ServiceError::bad_request("NoSuchResourceException", format!("The request failed because the specified quota {code} of service {service} does not exist."))
    })?;
    account.session(|session| Ok(json!({ "Quota": shown(session, quota, applied) })))
}

fn list(account: &Account, input: &Value) -> Result<Value, ServiceError> {
    let service = required_text(input, "ServiceCode", ILLEGAL)?;
    let limit = Input(input).number("MaxResults", 1..=100)?.unwrap_or(100);
    let token = Input(input).text("NextToken")?;
    let only = Input(input).text("QuotaCode")?;
    if !QUOTAS.iter().any(|quota| quota.service == service) {
        return Err(ServiceError::bad_request(
            "NoSuchResourceException",
            format!("The sandbox knows no quota of the service {service}."),
        ));
    }
    account.session(|session| {
        let of_service = QUOTAS
            .iter()
            .filter(|quota| quota.service == service && only.is_none_or(|only| only == quota.code));
        let mut quotas: Vec<_> = of_service
            .map(|quota| (quota.code.to_owned(), shown(session, quota, true)))
            .collect();
        quotas.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (quotas, next) = page(quotas, token, limit)?;
        let mut answer = json!({ "Quotas": quotas });
        if let Some(next) = next {
            answer["NextToken"] = json!(next);
        }
        Ok(answer)
    })
}

fn shown(session: &Session<'_>, quota: &Quota, applied: bool) -> Value {
    let value = session
        .settings
        .quota_override(quota.code)
        .filter(|_| applied)
        .unwrap_or(quota.default);
    let world = session.world();
    let arn = format!(
        "arn:{}:servicequotas:{}:{}:{}/{}",
        world.partition(),
        world.region(),
        world.account(),
        quota.service,
        quota.code
    );
    json!({
        "ServiceCode": quota.service,
        "ServiceName": quota.service,
        "QuotaArn": arn,
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": value,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": quota.scope == Scope::Account,
        "QuotaAppliedAtLevel": if matches!(quota.scope, Scope::Parent(_)) { "RESOURCE" } else { "ACCOUNT" },
    })
}
