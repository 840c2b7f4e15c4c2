//! `AWS::Route53::HostedZone`, `AWS::Route53::HealthCheck`. Record sets are not Cloud Control's; Route 53's own API keeps
//! them as entries of [`RECORD_SET`].

use catalog::{TypeName, regions};
use serde_json::{Value, json};

use super::document::{at, has, items, put, put_default, text, text_or, texts};
use super::reference::{created, deleted, updated};
use super::{Context, Effect, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const HOSTED_ZONE: TypeName = TypeName::new("AWS::Route53::HostedZone");
const HEALTH_CHECK: TypeName = TypeName::new("AWS::Route53::HealthCheck");
/// Of the entries in which the records are kept, identified by `zone|name|type`.
pub(super) const RECORD_SET: TypeName = TypeName::new("AWS::Route53::RecordSet");

/// A DNS name in lower case with its final dot, as Route 53 keeps it.
pub(super) fn absolute(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// The zone, if it can be referenced.
pub(super) fn zone<'a>(cx: &Context<'a>, id: &str) -> Result<&'a Entry, Failure> {
    cx.live(HOSTED_ZONE.as_str(), id)
        .ok_or_else(|| failure::not_found("Route53", format!("No hosted zone found with ID: {id}")))
}

pub(super) fn create_zone(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let name = absolute(text_or(desired, "Name", ""));
    check_domain(&name)?;
    check_zone(cx, &model, &name, None)?;
    put(&mut model, "Id", format!("Z{}", ids.upper_alnum(20)));
    put(&mut model, "Name", name);
    let servers = if items(&model, "VPCs").is_empty() {
        name_servers(ids)
    } else {
        Vec::new()
    };
    put(&mut model, "NameServers", servers);
    put_default(&mut model, "HostedZoneTags", json!([]));
    created(cx, &HOSTED_ZONE, model)
}

/// Four servers under four top-level domains, each with its range of numbers.
fn name_servers(ids: &mut Ids) -> Vec<String> {
    [(0, "com"), (512, "net"), (1024, "org"), (1536, "co.uk")]
        .iter()
        .map(|(first, domain)| {
            format!(
                "ns-{}.awsdns-{:02}.{domain}",
                first + ids.below(512),
                ids.below(64)
            )
        })
        .collect()
}

fn check_domain(name: &str) -> Result<(), Failure> {
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let labels = name.trim_end_matches('.');
    if name.len() <= 255 && !labels.is_empty() && labels.split('.').all(is_label) {
        Ok(())
    } else {
        Err(failure::invalid(
            "Route53",
            format!("{name} is not a valid domain name"),
        ))
    }
}

fn check_zone(
    cx: &Context<'_>,
    model: &Value,
    name: &str,
    own: Option<&str>,
) -> Result<(), Failure> {
    for network in items(model, "VPCs") {
        let id = text_or(network, "VPCId", "");
        let region = text_or(network, "VPCRegion", "");
        if cx.live("AWS::EC2::VPC", id).is_none() || region != cx.world.region() {
            return Err(failure::invalid(
                "Route53",
                format!(
                    "The VPC: {id} in region {region} that you provided is not authorized to make the association."
                ),
            ));
        }
        let conflict = cx.world.of_type(&HOSTED_ZONE).find(|other| {
            own != Some(&other.identifier)
                && text(&other.model, "Name") == Some(name)
                && items(&other.model, "VPCs")
                    .iter()
                    .any(|network| text(network, "VPCId") == Some(id))
        });
        if let Some(other) = conflict {
            return Err(failure::invalid(
                "Route53",
                format!(
                    "The VPC {id} in region {region} has already been associated with the hosted zone {} with the same domain name.",
                    other.identifier
                ),
            ));
        }
    }
    if let Some(group) = text(model, "QueryLoggingConfig/CloudWatchLogsLogGroupArn") {
        let arn = group.trim_end_matches(":*");
        let found = cx.all_live("AWS::Logs::LogGroup").any(|other| {
            text(&other.model, "Arn").is_some_and(|other| other.trim_end_matches(":*") == arn)
        });
        if !found {
            return Err(failure::invalid(
                "Route53",
                "The specified CloudWatch Logs log group doesn't exist.",
            ));
        }
    }
    Ok(())
}

pub(super) fn update_zone(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let name = text_or(&entry.model, "Name", "");
    if items(&entry.model, "VPCs").is_empty() != items(proposed, "VPCs").is_empty() {
        return Err(failure::invalid(
            "Route53",
            "A public hosted zone can't be made private, nor a private one public: a private hosted zone has at least one VPC.",
        ));
    }
    check_zone(cx, proposed, name, Some(&entry.identifier))?;
    let mut model = proposed.clone();
    put_default(&mut model, "HostedZoneTags", json!([]));
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_zone(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let apex = text_or(&entry.model, "Name", "");
    let mut effects = Vec::new();
    for record in cx.any_with(RECORD_SET.as_str(), "HostedZoneId", &entry.identifier) {
        let required = matches!(text(&record.model, "Type"), Some("NS" | "SOA"))
            && text(&record.model, "Name") == Some(apex);
        if !required {
            return Err(failure::invalid(
                "Route53",
                format!(
                    "The specified hosted zone contains non-required resource record sets and so cannot be deleted. [{}]",
                    record.identifier
                ),
            ));
        }
        effects.push(Effect::Remove {
            type_name: RECORD_SET,
            identifier: record.identifier.clone(),
        });
    }
    let mut outcome = deleted(cx, entry);
    outcome.effects = effects;
    Ok(outcome)
}

pub(super) fn create_health_check(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    check_health(cx, &model)?;
    put(&mut model, "HealthCheckId", ids.uuid());
    health_defaults(&mut model);
    created(cx, &HEALTH_CHECK, model)
}

/// What a read says of what was left open (Route 53 API reference, `HealthCheckConfig`).
fn health_defaults(model: &mut Value) {
    let kind = text_or(model, "HealthCheckConfig/Type", "").to_owned();
    put_default(model, "HealthCheckConfig/Inverted", false);
    if is_endpoint(&kind) {
        put_default(model, "HealthCheckConfig/RequestInterval", 30);
        put_default(model, "HealthCheckConfig/FailureThreshold", 3);
        put_default(model, "HealthCheckConfig/MeasureLatency", false);
        put_default(
            model,
            "HealthCheckConfig/EnableSNI",
            kind.starts_with("HTTPS"),
        );
    }
    match kind.as_str() {
        "HTTP" | "HTTP_STR_MATCH" => put_default(model, "HealthCheckConfig/Port", 80),
        "HTTPS" | "HTTPS_STR_MATCH" => put_default(model, "HealthCheckConfig/Port", 443),
        _ => {}
    }
    put_default(model, "HealthCheckTags", json!([]));
}

fn is_endpoint(kind: &str) -> bool {
    kind.starts_with("HTTP") || kind == "TCP"
}

fn check_health(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let config = at(model, "HealthCheckConfig").unwrap_or(&Value::Null);
    let kind = text_or(config, "Type", "");
    let refuse = |message: String| Err(failure::invalid("Route53", message));
    if is_endpoint(kind) && !has(config, "IPAddress") && !has(config, "FullyQualifiedDomainName") {
        return refuse(format!(
            "Invalid parameter : Either IPAddress or FullyQualifiedDomainName must be given for type {kind}."
        ));
    }
    if kind == "TCP" && !has(config, "Port") {
        return refuse("Invalid parameter : Port must be specified for type TCP.".to_owned());
    }
    if kind.ends_with("STR_MATCH") != has(config, "SearchString") {
        return refuse(format!(
            "Invalid parameter : SearchString is for the types *_STR_MATCH, and they need it; this is {kind}."
        ));
    }
    match kind {
        "CALCULATED" => {
            for child in texts(config, "ChildHealthChecks") {
                if cx.live(HEALTH_CHECK.as_str(), child).is_none() {
                    return refuse(format!(
                        "Invalid parameter : The health check {child} does not exist."
                    ));
                }
            }
        }
        "CLOUDWATCH_METRIC" => {
            let alarm = text_or(config, "AlarmIdentifier/Name", "");
            let region = text_or(config, "AlarmIdentifier/Region", "");
            let here = region == cx.world.region();
            let known = !regions::zones(region).is_empty();
            if !known || (here && cx.live("AWS::CloudWatch::Alarm", alarm).is_none()) {
                return refuse(format!(
                    "Invalid parameter : Could not find the metric details of the alarm {alarm} in {region}."
                ));
            }
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn update_health_check(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_health(cx, proposed)?;
    let mut model = proposed.clone();
    health_defaults(&mut model);
    Ok(updated(cx, entry, model))
}
