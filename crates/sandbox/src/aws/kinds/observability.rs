//! `AWS::Logs::LogGroup`, `AWS::CloudWatch::Alarm`, `AWS::CloudTrail::Trail`, `AWS::SSM::Parameter`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, flag, has, number, put, put_default, text, text_or, texts};
use super::iam_role::check_name;
use super::kms::{check_key, usable_key};
use super::policy::{Purpose, allows_service, parse};
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const LOG_GROUP: TypeName = TypeName::new("AWS::Logs::LogGroup");
const ALARM: TypeName = TypeName::new("AWS::CloudWatch::Alarm");
const TRAIL: TypeName = TypeName::new("AWS::CloudTrail::Trail");
const PARAMETER: TypeName = TypeName::new("AWS::SSM::Parameter");

pub(super) fn create_log_group(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "LogGroupName",
        format!("LogGroup-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "LogGroupName", "").to_owned();
    check_name("CloudWatchLogs", NameKind::LogGroup, &name)?;
    if cx.world.get(&LOG_GROUP, &name).is_some() {
        return Err(failure::exists(
            "CloudWatchLogs",
            "The specified log group already exists",
        ));
    }
    check_log_key(cx, &model)?;
    put(
        &mut model,
        "Arn",
        cx.arn("logs", &format!("log-group:{name}:*")),
    );
    put_default(&mut model, "LogGroupClass", "STANDARD");
    put_default(&mut model, "Tags", json!([]));
    created(cx, &LOG_GROUP, model)
}

/// The key lets CloudWatch Logs of the region use it.
fn check_log_key(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let Some(id) = text(model, "KmsKeyId") else {
        return Ok(());
    };
    let key = usable_key(cx, "CloudWatchLogs", id)?;
    let statements = parse("Kms", &key.model["KeyPolicy"], Purpose::Resource)?;
    let regional = format!(
        "logs.{}.{}",
        cx.world.region(),
        catalog::regions::dns_suffix(cx.world.region())
    );
    let allowed = [regional.as_str(), "logs.amazonaws.com"]
        .iter()
        .any(|service| allows_service(&statements, service, "kms:Encrypt"));
    if allowed {
        Ok(())
    } else {
        Err(failure::invalid(
            "CloudWatchLogs",
            format!(
                "The specified KMS key does not exist or is not allowed to be used with Arn '{id}'"
            ),
        ))
    }
}

pub(super) fn update_log_group(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_log_key(cx, proposed)?;
    let class = |model: &Value| text_or(model, "LogGroupClass", "STANDARD").to_owned();
    if class(&entry.model) != class(proposed) {
        return Err(failure::not_updatable(LOG_GROUP.as_str(), "LogGroupClass"));
    }
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn delete_log_group(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    if flag(&entry.model, "DeletionProtectionEnabled") {
        return Err(failure::invalid(
            "CloudWatchLogs",
            "Cannot delete log group with deletion protection enabled",
        ));
    }
    let name = &entry.identifier;
    // The service would make the group again, without a retention.
    let cluster = name
        .strip_prefix("/aws/eks/")
        .and_then(|rest| rest.strip_suffix("/cluster"));
    let writer = cluster
        .and_then(|cluster| cx.world.get("AWS::EKS::Cluster", cluster))
        .filter(|cluster| {
            !super::document::items(&cluster.model, "Logging/ClusterLogging/EnabledTypes")
                .is_empty()
        });
    let arn = text_or(&entry.model, "Arn", "");
    let writer = writer
        .or_else(|| {
            cx.any_with("AWS::EC2::FlowLog", "LogGroupName", name)
                .next()
        })
        .or_else(|| super::usage::user_of(cx, entry, arn))
        .or_else(|| super::usage::user_of(cx, entry, arn.trim_end_matches(":*")));
    match writer {
        Some(writer) => Err(failure::invalid(
            "CloudWatchLogs",
            format!(
                "Log group {name} is in use by {} {}, which writes to it",
                writer.type_name, writer.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}

pub(super) fn create_alarm(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "AlarmName",
        format!("Alarm-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "AlarmName", "").to_owned();
    if cx.world.get(&ALARM, &name).is_some() {
        return Err(failure::resource_exists(ALARM.as_str(), &name));
    }
    check_alarm(cx, &model)?;
    put(
        &mut model,
        "Arn",
        cx.arn("cloudwatch", &format!("alarm:{name}")),
    );
    put_default(&mut model, "ActionsEnabled", true);
    put_default(&mut model, "TreatMissingData", "missing");
    created(cx, &ALARM, model)
}

fn check_alarm(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let kinds = [
        has(model, "MetricName"),
        has(model, "Metrics"),
        has(model, "EvaluationCriteria"),
    ];
    if kinds.iter().filter(|is| **is).count() != 1 {
        return Err(failure::invalid(
            "CloudWatch",
            "Exactly one of MetricName and Metrics must be specified",
        ));
    }
    if has(model, "MetricName") {
        if let Some(missing) = ["Namespace", "Period", "EvaluationPeriods"]
            .iter()
            .find(|name| !has(model, name))
        {
            return Err(failure::invalid(
                "CloudWatch",
                format!("{missing} must be specified with MetricName"),
            ));
        }
        if has(model, "Statistic") == has(model, "ExtendedStatistic") {
            return Err(failure::invalid(
                "CloudWatch",
                "Exactly one of Statistic and ExtendedStatistic must be specified",
            ));
        }
        let period = number(model, "Period").unwrap_or(0);
        if ![10, 20, 30].contains(&period) && (period <= 0 || period % 60 != 0) {
            return Err(failure::invalid(
                "CloudWatch",
                format!("Period must be 10, 20, 30 or a multiple of 60, not {period}"),
            ));
        }
    }
    if number(model, "DatapointsToAlarm") > number(model, "EvaluationPeriods") {
        return Err(failure::invalid(
            "CloudWatch",
            "DatapointsToAlarm must not be greater than EvaluationPeriods",
        ));
    }
    for list in ["AlarmActions", "OKActions", "InsufficientDataActions"] {
        for arn in texts(model, list) {
            let topic = arn.split(':').nth(2) == Some("sns");
            if topic && cx.live("AWS::SNS::Topic", arn).is_none() {
                return Err(failure::invalid(
                    "CloudWatch",
                    format!("Invalid SNS topic ARN: {arn} does not exist"),
                ));
            }
        }
    }
    Ok(())
}

pub(super) fn update_alarm(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_alarm(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn create_trail(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "TrailName",
        format!("Trail-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "TrailName", "").to_owned();
    check_name("CloudTrail", NameKind::Trail, &name)?;
    if cx.is_taken(TRAIL.as_str(), "TrailName", &name) {
        return Err(failure::exists(
            "CloudTrail",
            format!(
                "Trail {name} already exists for customer: {}",
                cx.world.account()
            ),
        ));
    }
    // CloudTrail user guide, "Quotas in AWS CloudTrail".
    if cx.world.of_type(&TRAIL).count() as f64
        >= cx.settings.quota_override("L-4B0EBD45").unwrap_or(5.0)
    {
        return Err(failure::limit(
            "CloudTrail",
            format!(
                "User: {} already has 5 trails in {}.",
                cx.world.account(),
                cx.world.region()
            ),
        ));
    }
    check_trail(cx, &model)?;
    put(
        &mut model,
        "Arn",
        cx.arn("cloudtrail", &format!("trail/{name}")),
    );
    if let Some(topic) = text(desired, "SnsTopicName").map(str::to_owned) {
        let arn = if topic.starts_with("arn:") {
            topic
        } else {
            cx.arn("sns", &topic)
        };
        put(&mut model, "SnsTopicArn", arn);
    }
    for (property, default) in [
        ("EnableLogFileValidation", false),
        ("IncludeGlobalServiceEvents", true),
        ("IsMultiRegionTrail", false),
        ("IsOrganizationTrail", false),
    ] {
        put_default(&mut model, property, default);
    }
    created(cx, &TRAIL, model)
}

fn check_trail(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let bucket = text_or(model, "S3BucketName", "");
    if cx.live("AWS::S3::Bucket", bucket).is_none() {
        return Err(failure::invalid(
            "CloudTrail",
            format!("S3 bucket {bucket} does not exist!"),
        ));
    }
    let policy = cx.live("AWS::S3::BucketPolicy", bucket);
    let statements = match policy {
        Some(policy) => parse("S3", &policy.model["PolicyDocument"], Purpose::Resource)?,
        None => Vec::new(),
    };
    let allowed = ["s3:GetBucketAcl", "s3:PutObject"]
        .iter()
        .all(|action| allows_service(&statements, "cloudtrail.amazonaws.com", action));
    if !allowed {
        return Err(failure::invalid(
            "CloudTrail",
            format!("Incorrect S3 bucket policy is detected for bucket: {bucket}"),
        ));
    }
    if let Some(key) = text(model, "KMSKeyId") {
        check_key(cx, "CloudTrail", key)?;
    }
    if has(model, "CloudWatchLogsLogGroupArn") || has(model, "CloudWatchLogsRoleArn") {
        let group = text_or(model, "CloudWatchLogsLogGroupArn", "");
        if cx.live_with(LOG_GROUP.as_str(), "Arn", group).is_none() {
            return Err(failure::invalid(
                "CloudTrail",
                format!("CloudTrail cannot validate the specified log group ARN {group}."),
            ));
        }
        let role = text_or(model, "CloudWatchLogsRoleArn", "");
        if policy::assumable(cx, role, "cloudtrail.amazonaws.com", &["sts:AssumeRole"]).is_none() {
            return Err(failure::invalid(
                "CloudTrail",
                "Access denied. Check the trust relationships for your role.",
            ));
        }
    }
    Ok(())
}

pub(super) fn update_trail(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_trail(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn create_parameter(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "Name",
        format!("Parameter-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "Name", "").to_owned();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
    let reserved = name.trim_start_matches('/').to_ascii_lowercase();
    if name.len() > 1011
        || !name.bytes().all(allowed)
        || reserved.starts_with("aws")
        || reserved.starts_with("ssm")
    {
        return Err(failure::invalid(
            "Ssm",
            format!(
                "Parameter name {name}: only a mix of letters, numbers and /_.- is allowed, and no prefix aws or ssm"
            ),
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(failure::invalid(
            "Ssm",
            "Parameter name must be a fully qualified name.",
        ));
    }
    if cx.world.get(&PARAMETER, &name).is_some() {
        return Err(failure::exists(
            "Ssm",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    check_parameter(&model)?;
    put(
        &mut model,
        "Arn",
        cx.arn(
            "ssm",
            &format!("parameter/{}", name.trim_start_matches('/')),
        ),
    );
    put_default(&mut model, "DataType", "text");
    put_default(&mut model, "Tier", "Standard");
    created(cx, &PARAMETER, model)
}

fn check_parameter(model: &Value) -> Result<(), Failure> {
    let longest = if text(model, "Tier") == Some("Advanced") {
        8192
    } else {
        4096
    };
    let value = text_or(model, "Value", "");
    if value.is_empty() || value.len() > longest {
        return Err(failure::invalid(
            "Ssm",
            format!("A parameter's value has 1 to {longest} characters"),
        ));
    }
    if at(model, "Type") == Some(&json!("SecureString")) {
        return Err(failure::invalid(
            "Ssm",
            "SecureString is not supported as a parameter type by CloudFormation",
        ));
    }
    Ok(())
}

pub(super) fn update_parameter(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_parameter(proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}
