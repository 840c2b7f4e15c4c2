//! AWS Certificate Manager: how far a certificate's validation is and which DNS records it looks for. The certificates
//! themselves are resources of Cloud Control.
//!
//! The rule of the type keeps the records in the model under `__ValidationRecords`, a list of objects with `DomainName`, `Name`
//! and `Value`.

use catalog::TypeName;
use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::operation::Status;
use super::super::wire::{Input, ServiceError};
use super::super::world::{Entry, Phase};
use super::{page, required_text};

pub(crate) const OPERATIONS: &[&str] = &["DescribeCertificate", "ListCertificates"];

const CERTIFICATE: TypeName = TypeName::new("AWS::CertificateManager::Certificate");

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    Some(match operation {
        "DescribeCertificate" => account.session(|session| describe(session, input)),
        "ListCertificates" => account.session(|session| list(session, input)),
        _ => return None,
    })
}

/// A certificate can be described while it waits for its validation, unlike through Cloud Control.
fn status(session: &Session<'_>, entry: &Entry) -> &'static str {
    match entry.phase {
        Phase::Creating => "PENDING_VALIDATION",
        Phase::Remnant => {
            let cancelled = session.state.operations().any(|operation| {
                operation.identifier.as_deref() == Some(&*entry.identifier)
                    && operation.status == Status::CancelComplete
            });
            if cancelled {
                "PENDING_VALIDATION"
            } else {
                "VALIDATION_TIMED_OUT"
            }
        }
        Phase::Ready | Phase::Updating | Phase::Deleting => "ISSUED",
    }
}

fn describe(session: &Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let arn = required_text(input, "CertificateArn", "ValidationException")?;
    let entry = session.world().get(&CERTIFICATE, arn).ok_or_else(|| {
        let message = format!("Could not find certificate {arn}.");
        ServiceError::bad_request("ResourceNotFoundException", message)
    })?;
    let status = status(session, entry);
    let validation = match status {
        "ISSUED" => "SUCCESS",
        "VALIDATION_TIMED_OUT" => "FAILED",
        _ => "PENDING_VALIDATION",
    };
    let records = entry.model["__ValidationRecords"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let options: Vec<_> = records
        .iter()
        .map(|record| {
            json!({
                "DomainName": record["DomainName"],
                "ValidationDomain": record["DomainName"],
                "ValidationStatus": validation,
                "ValidationMethod": "DNS",
                "ResourceRecord": { "Name": record["Name"], "Type": "CNAME", "Value": record["Value"] },
            })
        })
        .collect();
    let mut certificate = json!({
        "CertificateArn": arn,
        "DomainName": entry.model["DomainName"],
        "SubjectAlternativeNames": names(entry),
        "DomainValidationOptions": options,
        "Status": status,
        "Type": "AMAZON_ISSUED",
        "KeyAlgorithm": entry.model.get("KeyAlgorithm").cloned().unwrap_or_else(|| json!("RSA_2048")),
        "CreatedAt": session.clock.epoch_seconds_at(entry.created_at),
        "InUseBy": [],
        "RenewalEligibility": "INELIGIBLE",
    });
    if status == "ISSUED" {
        certificate["IssuedAt"] = json!(session.clock.epoch_seconds_at(entry.ready_at));
        certificate["RenewalEligibility"] = json!("ELIGIBLE");
    }
    Ok(json!({ "Certificate": certificate }))
}

/// The domain itself and the other names.
fn names(entry: &Entry) -> Vec<Value> {
    let mut names = vec![entry.model["DomainName"].clone()];
    let others = entry.model["SubjectAlternativeNames"]
        .as_array()
        .into_iter()
        .flatten();
    names.extend(
        others
            .filter(|name| **name != entry.model["DomainName"])
            .cloned(),
    );
    names
}

fn list(session: &Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let wanted: Option<Vec<&str>> = input["CertificateStatuses"]
        .as_array()
        .map(|statuses| statuses.iter().filter_map(Value::as_str).collect());
    let limit = Input(input).number("MaxItems", 1..=1000)?.unwrap_or(100);
    let all = session.world().of_type(&CERTIFICATE);
    let all = all.map(|entry| (entry, status(session, entry)));
    let all = all.filter(|(_, status)| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.is_empty() || wanted.contains(status))
    });
    let all = all
        .map(|(entry, status)| {
            let summary = json!({
                "CertificateArn": entry.identifier,
                "DomainName": entry.model["DomainName"],
                "SubjectAlternativeNameSummaries": names(entry),
                "Status": status,
                "Type": "AMAZON_ISSUED",
                "CreatedAt": session.clock.epoch_seconds_at(entry.created_at),
            });
            (entry.identifier.clone(), summary)
        })
        .collect();
    let (summaries, next) = page(all, Input(input).text("NextToken")?, limit)?;
    let mut answer = json!({ "CertificateSummaryList": summaries });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}
