//! The services that the platform's client calls beside Cloud Control, as far as it calls them.

pub(crate) mod acm;
pub(crate) mod budgets;
pub(crate) mod cloudformation;
pub(crate) mod ec2;
pub(crate) mod ec2_instances;
pub(crate) mod events;
pub(crate) mod route53;
pub(crate) mod secretsmanager;
pub(crate) mod servicequotas;
pub(crate) mod sqs;
pub(crate) mod sts;
pub(crate) mod tagging;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::wire::{Input, ServiceError};

/// One page of a list whose items have keys in ascending order: the items after `token`, at most `limit`, and the token of
/// the next page if there is one.
fn page<T>(
    items: Vec<(String, T)>,
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<String>), ServiceError> {
    let after = match token.filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let decoded = STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Some(decoded.ok_or_else(|| {
                ServiceError::bad_request(
                    "InvalidNextTokenException",
                    "The token is not one of this list",
                )
            })?)
        }
    };
    let mut rest: Vec<_> = items
        .into_iter()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest
        .last()
        .filter(|_| more)
        .map(|(key, _)| STANDARD.encode(key));
    Ok((rest.into_iter().map(|(_, item)| item).collect(), next))
}

/// A member that must be there, with the service's own code for what is wrong.
fn required<'a>(
    input: &'a Value,
    member: &str,
    code: &'static str,
) -> Result<&'a Value, ServiceError> {
    input.get(member).filter(|value| !value.is_null()).ok_or_else(|| {
        ServiceError::bad_request(code, format!("1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"))
    })
}

/// A text that must be there, with the service's own code for what is wrong.
fn required_text<'a>(
    input: &'a Value,
    member: &str,
    code: &'static str,
) -> Result<&'a str, ServiceError> {
    required(input, member, code)?;
    Input(input).text(member).map(Option::unwrap_or_default)
}

/// A time in seconds since 1970 as the XML services write it.
fn timestamp(epoch_seconds: f64) -> String {
    // Milliseconds are all that is written.
    #[allow(clippy::cast_possible_truncation)]
    let milliseconds = (epoch_seconds * 1000.0) as i64;
    let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
