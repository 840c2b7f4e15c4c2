//! `AWS::CertificateManager::Certificate`.
//!
//! What the validation looks for is kept in the private property `__ValidationRecords`, where ACM's own API reads it.

use catalog::TypeName;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::document::{items, put, put_default, text, text_or, texts};
use super::ec2_network::side_entry;
use super::reference::{created, deleted, updated};
use super::route53::{RECORD_SET, absolute, zone};
use super::usage::user_of;
use super::{Context, Effect, Failure, Outcome, Wait, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

pub(super) const CERTIFICATE: TypeName = TypeName::new("AWS::CertificateManager::Certificate");

/// What ACM issues (API reference, `RequestCertificate`).
const KEY_ALGORITHMS: [&str; 3] = ["RSA_2048", "EC_prime256v1", "EC_secp384r1"];
const PATTERN: &str =
    r"^(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])$";

/// A name and the record that proves it; a wildcard is proved by its base domain's.
struct Proof {
    domain: String,
    name: String,
    value: String,
}

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let domain = text_or(desired, "DomainName", "");
    let mut names = vec![domain];
    for name in texts(desired, "SubjectAlternativeNames") {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in &names {
        check_domain(name)?;
    }
    // ACM API reference, `RequestCertificate`: the first name has 63 characters and its dot at most.
    if domain.len() > 64 {
        return Err(failure::invalid(
            "Acm",
            "The first domain name can be a maximum of 64 bytes in length.",
        ));
    }
    let algorithm = text_or(desired, "KeyAlgorithm", "RSA_2048");
    if !KEY_ALGORITHMS.contains(&algorithm) {
        return Err(failure::invalid(
            "Acm",
            format!("Key algorithm {algorithm} is not supported for public certificates."),
        ));
    }
    if cx.is_full("L-F141DD1D", cx.world.of_type(&CERTIFICATE).count()) {
        return Err(failure::limit(
            "Acm",
            format!(
                "Error: you have reached your limit of {} certificates.",
                cx.quota("L-F141DD1D")
            ),
        ));
    }
    if names.len() as f64 > cx.quota("L-FB94F0B0") {
        return Err(failure::limit(
            "Acm",
            format!(
                "Maximum number of domain names per certificate exceeded: {}",
                cx.quota("L-FB94F0B0")
            ),
        ));
    }
    let by_dns = match text_or(desired, "ValidationMethod", "EMAIL") {
        "DNS" => true,
        "EMAIL" => false,
        other => {
            return Err(failure::invalid(
                "Acm",
                format!("Validation method {other} is none of DNS, EMAIL"),
            ));
        }
    };
    let proofs = if by_dns {
        proofs(cx, &names)
    } else {
        Vec::new()
    };
    let records: Vec<Value> = proofs
        .iter()
        .map(|proof| json!({"DomainName": proof.domain, "Name": proof.name, "Value": proof.value}))
        .collect();
    let effects = own_records(cx, desired, &names, &proofs, by_dns)?;

    put(
        &mut model,
        "CertificateArn",
        cx.arn("acm", &format!("certificate/{}", ids.uuid())),
    );
    put(&mut model, "__ValidationRecords", records);
    put_default(&mut model, "KeyAlgorithm", algorithm);
    put_default(
        &mut model,
        "CertificateTransparencyLoggingPreference",
        "ENABLED",
    );
    let mut outcome = created(cx, &CERTIFICATE, model)?;
    let written = |proof: &Proof| {
        effects.iter().any(|effect| matches!(effect, Effect::Put(record) if text(&record.model, "Name") == Some(&proof.name)))
    };
    let mut open: Vec<(String, String)> = Vec::new();
    for proof in proofs.iter().filter(|proof| !written(proof)) {
        let record = (proof.name.clone(), proof.value.clone());
        if !open.contains(&record) {
            open.push(record);
        }
    }
    outcome.effects = effects;
    if !by_dns && !cx.settings.external_dns {
        // Nobody is there to follow the link of the mail.
        return Err(failure::not_stabilized(
            "Exceeded attempts to wait",
            Some(outcome),
        ));
    }
    outcome.waits_for = (!open.is_empty()).then_some(Wait::DnsRecords(open));
    Ok(outcome)
}

fn check_domain(name: &str) -> Result<(), Failure> {
    let base = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = base.rsplit('.').next().unwrap_or_default();
    if base.contains('.') && name.len() <= 253 && last.len() >= 2 && base.split('.').all(is_label) {
        return Ok(());
    }
    Err(failure::invalid(
        "Acm",
        format!(
            "1 validation error detected: Value '{name}' at 'domainName' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: {PATTERN}"
        ),
    ))
}

/// The record of a domain is the same for all certificates of an account (ACM user guide, "DNS validation").
fn proofs(cx: &Context<'_>, names: &[&str]) -> Vec<Proof> {
    names
        .iter()
        .map(|name| {
            let base = name.strip_prefix("*.").unwrap_or(name).to_ascii_lowercase();
            let token = |part: &str| {
                hex::encode(Sha256::digest(format!(
                    "{part}\n{}\n{base}",
                    cx.world.account()
                )))[..32]
                    .to_owned()
            };
            Proof {
                domain: (*name).to_owned(),
                name: format!("_{}.{base}.", token("name")),
                value: format!("_{}.acm-validations.aws.", token("value")),
            }
        })
        .collect()
}

/// The records that the handler writes itself, for the domains with a hosted zone. They stay when the certificate goes
/// (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1603).
fn own_records(
    cx: &Context<'_>,
    desired: &Value,
    names: &[&str],
    proofs: &[Proof],
    by_dns: bool,
) -> Result<Vec<Effect>, Failure> {
    let mut effects = Vec::new();
    for option in items(desired, "DomainValidationOptions") {
        let domain = text_or(option, "DomainName", "");
        if !names.contains(&domain) {
            return Err(failure::invalid(
                "Acm",
                format!(
                    "DomainValidationOptions has {domain}, which is not among the names of the certificate."
                ),
            ));
        }
        let Some(zone_id) = text(option, "HostedZoneId") else {
            continue;
        };
        if !by_dns {
            return Err(failure::invalid(
                "Acm",
                "HostedZoneId is for the validation method DNS only.",
            ));
        }
        let zone = zone(cx, zone_id)?;
        let apex = absolute(text_or(&zone.model, "Name", ""));
        let Some(proof) = proofs.iter().find(|proof| proof.domain == domain) else {
            continue;
        };
        if !proof.name.ends_with(&format!(".{apex}")) {
            return Err(failure::invalid(
                "Route53",
                format!(
                    "[RRSet with DNS name {} is not permitted in zone {apex}]",
                    proof.name
                ),
            ));
        }
        let identifier = format!("{zone_id}|{}|CNAME", proof.name);
        let record = json!({
            "HostedZoneId": zone_id, "Name": proof.name, "Type": "CNAME", "TTL": "300", "ResourceRecords": [proof.value],
        });
        effects.push(Effect::Put(side_entry(cx, RECORD_SET, &identifier, record)));
    }
    Ok(effects)
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    put_default(
        &mut model,
        "CertificateTransparencyLoggingPreference",
        "ENABLED",
    );
    Ok(updated(cx, entry, model))
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(failure::conflict(
            "Acm",
            format!(
                "Certificate {} in account {} is in use. [{} {}]",
                entry.identifier,
                cx.world.account(),
                user.type_name,
                user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}
