//! What a person has to do while ACM waits for a domain to be proved.

use catalog::ids::Identifier;
use serde_json::{Value, json};

use crate::endpoint::Service;
use crate::session::Session;

/// The DNS records that prove the certificate's names and that ACM has not seen yet, as lines for a person. None when there
/// is none, or when ACM can't be asked: the wait goes on either way.
pub(crate) async fn note(session: &Session, certificate: &Identifier) -> Option<String> {
    let input = json!({"CertificateArn": certificate});
    match session
        .json(Service::Acm, "DescribeCertificate", &input)
        .await
    {
        Ok(answer) => records(&answer),
        Err(error) => {
            tracing::debug!(%certificate, %error, "the certificate's validation records are not known");
            None
        }
    }
}

fn records(answer: &Value) -> Option<String> {
    let mut lines: Vec<String> = answer["Certificate"]["DomainValidationOptions"]
        .as_array()?
        .iter()
        .filter(|option| option["ValidationStatus"] != "SUCCESS")
        .filter_map(|option| {
            let record = &option["ResourceRecord"];
            Some(format!(
                "{} {} {}",
                record["Name"].as_str()?,
                record["Type"].as_str()?,
                record["Value"].as_str()?
            ))
        })
        .collect();
    // A name and its wildcard have the same record.
    lines.sort_unstable();
    lines.dedup();
    if lines.is_empty() {
        return None;
    }
    Some(format!(
        "the certificate waits for DNS records; where Route 53 does not answer for the domain, create:\n{}",
        lines.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_record_is_named_once() {
        let option = |domain: &str, status: &str| {
            json!({"DomainName": domain, "ValidationStatus": status,
            "ResourceRecord": {"Name": "_a.example.com.", "Type": "CNAME", "Value": "_b.acm-validations.aws."}})
        };
        let answer = json!({"Certificate": {"DomainValidationOptions": [
            option("example.com", "PENDING_VALIDATION"), option("*.example.com", "PENDING_VALIDATION")]}});
        let note = records(&answer).unwrap();
        assert!(
            note.ends_with("create:\n_a.example.com. CNAME _b.acm-validations.aws."),
            "{note}"
        );
        let answer =
            json!({"Certificate": {"DomainValidationOptions": [option("example.com", "SUCCESS")]}});
        assert_eq!(records(&answer), None);
    }
}
