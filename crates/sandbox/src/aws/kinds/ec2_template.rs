//! `AWS::EC2::LaunchTemplate`, `AWS::EC2::FlowLog`.

use base64::Engine as _;
use catalog::TypeName;
use serde_json::{Value, json};

use super::document::{
    at, carry, has, items, number, put, put_default, same, text, text_or, texts,
};
use super::reference::{created, deleted, updated};
use super::usage::{dependency_violation, security_group, subnet, user_of, vpc};
use super::{Context, Failure, Outcome, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const LAUNCH_TEMPLATE: TypeName = TypeName::new("AWS::EC2::LaunchTemplate");
const FLOW_LOG: TypeName = TypeName::new("AWS::EC2::FlowLog");

pub(super) fn create_template(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "LaunchTemplateName",
        format!("LaunchTemplate-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "LaunchTemplateName", "").to_owned();
    let is_name = (3..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"().-/_".contains(&byte));
    if !is_name {
        return Err(failure::invalid(
            "Ec2",
            "Launch template names must be between 3 and 128 characters long and may contain letters, numbers, and the following \
             characters: - ( ) . / _",
        ));
    }
    if cx.is_taken(LAUNCH_TEMPLATE.as_str(), "LaunchTemplateName", &name) {
        return Err(failure::exists(
            "Ec2",
            "Launch template name already in use.",
        ));
    }
    check_template(cx, &model)?;
    put(&mut model, "LaunchTemplateId", ids.hex17("lt"));
    put(&mut model, "LatestVersionNumber", "1");
    put(&mut model, "DefaultVersionNumber", "1");
    created(cx, &LAUNCH_TEMPLATE, model)
}

fn check_template(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let Some(data) = at(model, "LaunchTemplateData").filter(|data| data.is_object()) else {
        return Err(failure::invalid(
            "Ec2",
            "The request must contain the parameter LaunchTemplateData",
        ));
    };
    if data.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(failure::invalid(
            "Ec2",
            "You must include at least one launch template parameter.",
        ));
    }
    for specification in items(model, "TagSpecifications") {
        let of = text_or(specification, "ResourceType", "");
        if of != "launch-template" {
            return Err(failure::invalid(
                "Ec2",
                format!("'{of}' is not a valid taggable resource type for this operation."),
            ));
        }
    }
    for id in texts(data, "SecurityGroupIds") {
        security_group(cx, "Ec2", id)?;
    }
    for interface in items(data, "NetworkInterfaces") {
        for id in texts(interface, "Groups") {
            security_group(cx, "Ec2", id)?;
        }
        if has(data, "SecurityGroupIds") {
            return Err(failure::invalid(
                "Ec2",
                "Network interfaces and an instance-level security groups may not be specified on the same request",
            ));
        }
    }
    let profile = at(data, "IamInstanceProfile");
    if let Some(profile) = profile {
        let by_name =
            text(profile, "Name").and_then(|name| cx.live("AWS::IAM::InstanceProfile", name));
        let by_arn = text(profile, "Arn")
            .and_then(|arn| cx.live_with("AWS::IAM::InstanceProfile", "Arn", arn));
        if by_name.or(by_arn).is_none() {
            let asked = text(profile, "Name")
                .or(text(profile, "Arn"))
                .unwrap_or_default();
            return Err(failure::invalid(
                "Ec2",
                format!(
                    "Value ({asked}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                ),
            ));
        }
    }
    if let Some(user_data) = text(data, "UserData")
        && base64::engine::general_purpose::STANDARD
            .decode(user_data)
            .is_err()
    {
        return Err(failure::invalid(
            "Ec2",
            "Invalid BASE64 encoding of user data.",
        ));
    }
    for mapping in items(data, "BlockDeviceMappings") {
        if let Some(key) = text(mapping, "Ebs/KmsKeyId") {
            super::kms::usable_key(cx, "Ec2", key)?;
        }
    }
    if let Some(hops) = number(data, "MetadataOptions/HttpPutResponseHopLimit")
        && !(1..=64).contains(&hops)
    {
        return Err(failure::invalid(
            "Ec2",
            "HttpPutResponseHopLimit must be between 1 and 64",
        ));
    }
    Ok(())
}

pub(super) fn update_template(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_template(cx, proposed)?;
    let mut model = proposed.clone();
    let latest = text_or(&entry.model, "LatestVersionNumber", "1")
        .parse()
        .unwrap_or(1_u64);
    // A version is never changed: other data is the next one. The default stays where it was.
    let next = if same(&entry.model, proposed, "LaunchTemplateData") {
        latest
    } else {
        latest + 1
    };
    put(&mut model, "LatestVersionNumber", next.to_string());
    carry(
        &entry.model,
        &mut model,
        &["DefaultVersionNumber", "LaunchTemplateName"],
    );
    Ok(updated(cx, entry, model))
}

/// The template and version that a launch template specification means, if they are there.
/// The data of the launch template that a node group names.
pub(super) fn data_of_group<'a>(cx: &Context<'a>, group: &Value) -> Option<&'a Value> {
    let (template, _) = referenced(cx, "Eks", group.get("LaunchTemplate")?).ok()?;
    template.model.get("LaunchTemplateData")
}

pub(super) fn referenced<'a>(
    cx: &Context<'a>,
    service: &str,
    specification: &Value,
) -> Result<(&'a Entry, u64), Failure> {
    let by_id = text(specification, "Id").and_then(|id| cx.live(LAUNCH_TEMPLATE.as_str(), id));
    let by_name = text(specification, "Name")
        .and_then(|name| cx.live_with(LAUNCH_TEMPLATE.as_str(), "LaunchTemplateName", name));
    let asked = text(specification, "Id")
        .or(text(specification, "Name"))
        .unwrap_or_default();
    let template = by_id.or(by_name).ok_or_else(|| {
        failure::invalid(
            service,
            format!(
                "Launch template details not found: the launch template {asked} does not exist."
            ),
        )
    })?;
    let latest: u64 = text_or(&template.model, "LatestVersionNumber", "1")
        .parse()
        .unwrap_or(1);
    let version = match text_or(specification, "Version", "$Default") {
        "$Latest" => latest,
        "$Default" => text_or(&template.model, "DefaultVersionNumber", "1")
            .parse()
            .unwrap_or(1),
        number => number.parse().unwrap_or(0),
    };
    if (1..=latest).contains(&version) {
        Ok((template, version))
    } else {
        Err(failure::invalid(
            service,
            format!(
                "Could not find the specified version {} for the launch template with ID {}.",
                text_or(specification, "Version", ""),
                template.identifier
            ),
        ))
    }
}

pub(super) fn delete_template(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    // AWS deletes it and the node group is degraded from then on.
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(dependency_violation(
            "launchTemplate",
            &entry.identifier,
            user,
        )),
        None => Ok(deleted(cx, entry)),
    }
}

/// What a flow log records unless it is told otherwise (VPC user guide, "Flow log records").
const DEFAULT_FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} \
    ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

pub(super) fn create_flow_log(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let resource = text_or(desired, "ResourceId", "");
    match text_or(desired, "ResourceType", "") {
        "VPC" => {
            vpc(cx, "Ec2", resource)?;
        }
        "Subnet" => {
            subnet(cx, "Ec2", resource)?;
        }
        _ => {
            return Err(failure::invalid(
                "Ec2",
                format!("Invalid resource ID: {resource}"),
            ));
        }
    }
    if !has(desired, "TrafficType") {
        return Err(failure::invalid(
            "Ec2",
            "The request must contain the parameter trafficType",
        ));
    }
    let mut model = desired.clone();
    put_default(&mut model, "LogDestinationType", "cloud-watch-logs");
    put_default(&mut model, "MaxAggregationInterval", 600);
    put_default(&mut model, "LogFormat", DEFAULT_FORMAT);
    put_default(&mut model, "Tags", json!([]));
    match text_or(&model, "LogDestinationType", "") {
        "cloud-watch-logs" => check_log_group(cx, &model)?,
        "s3" => {
            let arn = text_or(&model, "LogDestination", "");
            let bucket = arn
                .rsplit(":::")
                .next()
                .unwrap_or_default()
                .split('/')
                .next()
                .unwrap_or_default();
            if cx.live("AWS::S3::Bucket", bucket).is_none() {
                return Err(failure::invalid(
                    "Ec2",
                    format!("LogDestination: {arn} does not exist."),
                ));
            }
            if has(&model, "DeliverLogsPermissionArn") {
                return Err(failure::invalid(
                    "Ec2",
                    "DeliverLogsPermissionArn is not applicable for s3 LogDestinationType",
                ));
            }
        }
        other => {
            return Err(failure::invalid(
                "Ec2",
                format!("LogDestinationType {other} has no destination in this account"),
            ));
        }
    }
    let same_log = cx
        .any_with(FLOW_LOG.as_str(), "ResourceId", resource)
        .any(|other| {
            ["LogDestination", "LogGroupName", "TrafficType"]
                .iter()
                .all(|path| same(&other.model, &model, path))
        });
    if same_log {
        return Err(failure::exists(
            "Ec2",
            "There is an existing Flow Log with the same configuration and log destination.",
        ));
    }
    put(&mut model, "Id", ids.hex17("fl"));
    created(cx, &FLOW_LOG, model)
}

fn check_log_group(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let name = match (text(model, "LogGroupName"), text(model, "LogDestination")) {
        (Some(name), None) => name,
        (None, Some(arn)) => arn
            .split(":log-group:")
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches(":*"),
        _ => {
            return Err(failure::invalid(
                "Ec2",
                "LogDestination and LogGroupName: exactly one must be provided",
            ));
        }
    };
    // AWS would make the log group, without a retention and owned by nobody.
    if cx.live("AWS::Logs::LogGroup", name).is_none() {
        return Err(failure::invalid(
            "Ec2",
            format!("LogDestination: log group {name} does not exist."),
        ));
    }
    let Some(role) = text(model, "DeliverLogsPermissionArn") else {
        return Err(failure::invalid(
            "Ec2",
            "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs",
        ));
    };
    if policy::assumable(cx, role, "vpc-flow-logs.amazonaws.com", &["sts:AssumeRole"]).is_none() {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "Unable to assume given IAM role: {role}. Access denied: the role cannot be assumed by vpc-flow-logs.amazonaws.com"
            ),
        ));
    }
    Ok(())
}
