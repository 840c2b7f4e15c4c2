//! `AWS::SQS::Queue`, `AWS::SQS::QueueInlinePolicy`, `AWS::SNS::Topic`, `AWS::SNS::TopicInlinePolicy`,
//! `AWS::SNS::Subscription`, `AWS::Events::Rule`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, carry, flag, has, items, number, put, put_default, text, text_or};
use super::iam_role::check_name;
use super::kms::check_key;
use super::policy::{Purpose, check_principals, parse};
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::{Entry, Phase};

const QUEUE: TypeName = TypeName::new("AWS::SQS::Queue");
const QUEUE_POLICY: TypeName = TypeName::new("AWS::SQS::QueueInlinePolicy");
const TOPIC: TypeName = TypeName::new("AWS::SNS::Topic");
const TOPIC_POLICY: TypeName = TypeName::new("AWS::SNS::TopicInlinePolicy");
const SUBSCRIPTION: TypeName = TypeName::new("AWS::SNS::Subscription");
const RULE: TypeName = TypeName::new("AWS::Events::Rule");

pub(super) fn create_queue(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let fifo = flag(desired, "FifoQueue");
    let suffix = if fifo { ".fifo" } else { "" };
    put_default(
        &mut model,
        "QueueName",
        format!("Queue-{}{suffix}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "QueueName", "").to_owned();
    let base = name.strip_suffix(".fifo").unwrap_or(&name);
    if fifo != name.ends_with(".fifo") || name.len() > 80 {
        return Err(failure::invalid(
            "Sqs",
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and \
             be 1 to 80 in length.",
        ));
    }
    check_name("Sqs", NameKind::SqsQueue, base)?;
    let region = cx.world.region();
    let suffix = catalog::regions::dns_suffix(region);
    let url = format!(
        "https://sqs.{region}.{suffix}/{}/{name}",
        cx.world.account()
    );
    match cx.world.get(&QUEUE, &url) {
        // SQS keeps the name for 60 seconds; that is why the delete handler takes as long.
        Some(other) if other.phase == Phase::Deleting => {
            return Err(failure::invalid(
                "Sqs",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            ));
        }
        Some(_) => return Err(failure::resource_exists(QUEUE.as_str(), &name)),
        None => {}
    }
    check_queue(cx, &model)?;
    put(&mut model, "Arn", cx.arn("sqs", &name));
    put(&mut model, "QueueUrl", url);
    queue_defaults(&mut model);
    created(cx, &QUEUE, model)
}

fn queue_defaults(model: &mut Value) {
    for (property, default) in [
        ("DelaySeconds", 0),
        ("MaximumMessageSize", 1_048_576),
        ("MessageRetentionPeriod", 345_600),
        ("ReceiveMessageWaitTimeSeconds", 0),
        ("VisibilityTimeout", 30),
    ] {
        put_default(model, property, default);
    }
    let managed = !has(model, "KmsMasterKeyId");
    put_default(model, "SqsManagedSseEnabled", managed);
    put_default(model, "Tags", json!([]));
}

fn check_queue(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    // SQS API reference, `CreateQueue`.
    for (property, range) in [
        ("DelaySeconds", 0..=900),
        ("MaximumMessageSize", 1024..=1_048_576),
        ("MessageRetentionPeriod", 60..=1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0..=20),
        ("VisibilityTimeout", 0..=43_200),
        ("KmsDataKeyReusePeriodSeconds", 60..=86_400),
    ] {
        if number(model, property).is_some_and(|value| !range.contains(&value)) {
            return Err(failure::invalid(
                "Sqs",
                format!("Invalid value for the parameter {property}."),
            ));
        }
    }
    if let Some(key) = text(model, "KmsMasterKeyId") {
        if flag(model, "SqsManagedSseEnabled") {
            return Err(failure::invalid(
                "Sqs",
                "You can use one type of server-side encryption (SSE) at one time.",
            ));
        }
        check_key(cx, "Sqs", key)?;
    }
    if let Some(target) = text(model, "RedrivePolicy/deadLetterTargetArn")
        && cx.live_with(QUEUE.as_str(), "Arn", target).is_none()
    {
        return Err(failure::invalid(
            "Sqs",
            format!(
                "Value {} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.",
                model["RedrivePolicy"]
            ),
        ));
    }
    Ok(())
}

pub(super) fn update_queue(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_queue(cx, proposed)?;
    let mut model = proposed.clone();
    queue_defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_queue(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let arn = text_or(&entry.model, "Arn", "");
    // SQS lets it go, and what sends to it loses its messages.
    let user = super::usage::user_of(cx, entry, arn)
        .or_else(|| super::usage::user_of(cx, entry, &entry.identifier));
    if let Some(user) = user {
        return Err(failure::invalid(
            "Sqs",
            format!(
                "Queue {arn} is in use by {} {}",
                user.type_name, user.identifier
            ),
        ));
    }
    let mut outcome = deleted(cx, entry);
    if outcome.duration > 0.0 {
        outcome.duration = outcome.duration.max(60.0);
    }
    Ok(outcome)
}

fn check_queue_policy(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let statements = parse(
        "Sqs",
        at(model, "PolicyDocument").unwrap_or(&Value::Null),
        Purpose::Resource,
    )?;
    check_principals(
        cx,
        "Sqs",
        &statements,
        "Invalid value for the parameter Policy. ",
    )
}

pub(super) fn create_queue_policy(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let url = text_or(desired, "Queue", "");
    if cx.live(QUEUE.as_str(), url).is_none() {
        return Err(failure::invalid(
            "Sqs",
            "The specified queue does not exist.",
        ));
    }
    check_queue_policy(cx, desired)?;
    created(cx, &QUEUE_POLICY, desired.clone())
}

pub(super) fn update_queue_policy(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_queue_policy(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn create_topic(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let fifo = flag(desired, "FifoTopic");
    let suffix = if fifo { ".fifo" } else { "" };
    put_default(
        &mut model,
        "TopicName",
        format!("Topic-{}{suffix}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "TopicName", "").to_owned();
    if fifo != name.ends_with(".fifo") {
        return Err(failure::invalid(
            "Sns",
            "Invalid parameter: Topic Name: a FIFO topic, and no other, ends with .fifo",
        ));
    }
    check_name(
        "Sns",
        NameKind::SnsTopic,
        name.strip_suffix(".fifo").unwrap_or(&name),
    )?;
    check_topic(cx, &model)?;
    put(&mut model, "TopicArn", cx.arn("sns", &name));
    created(cx, &TOPIC, model)
}

fn check_topic(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    if let Some(key) = text(model, "KmsMasterKeyId") {
        check_key(cx, "Sns", key)?;
    }
    for subscription in items(model, "Subscription") {
        check_endpoint(cx, subscription)?;
    }
    Ok(())
}

fn check_endpoint(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let endpoint = text_or(model, "Endpoint", "");
    let fits = match text_or(model, "Protocol", "") {
        "sqs" => cx.live_with(QUEUE.as_str(), "Arn", endpoint).is_some(),
        "email" | "email-json" => endpoint.contains('@'),
        "https" => endpoint.starts_with("https://"),
        "http" => endpoint.starts_with("http://"),
        "sms" => endpoint.starts_with('+'),
        "lambda" | "firehose" | "application" => endpoint.starts_with("arn:"),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(failure::invalid(
            "Sns",
            format!(
                "Invalid parameter: Endpoint {endpoint} of protocol {}",
                text_or(model, "Protocol", "")
            ),
        ))
    }
}

pub(super) fn update_topic(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_topic(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn delete_topic(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match super::usage::user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(failure::invalid(
            "Sns",
            format!(
                "Topic {} is in use by {} {}",
                entry.identifier, user.type_name, user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}

fn topic_of<'a>(cx: &Context<'a>, model: &Value) -> Result<&'a Entry, Failure> {
    cx.live(TOPIC.as_str(), text_or(model, "TopicArn", ""))
        .ok_or_else(|| failure::not_found("Sns", "Topic does not exist"))
}

fn check_topic_policy(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    topic_of(cx, model)?;
    let statements = parse(
        "Sns",
        at(model, "PolicyDocument").unwrap_or(&Value::Null),
        Purpose::Resource,
    )?;
    check_principals(
        cx,
        "Sns",
        &statements,
        "Invalid parameter: Policy Error: PrincipalNotFound. ",
    )
}

pub(super) fn create_topic_policy(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_topic_policy(cx, desired)?;
    created(cx, &TOPIC_POLICY, desired.clone())
}

pub(super) fn update_topic_policy(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_topic_policy(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn create_subscription(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let topic = topic_of(cx, desired)?;
    check_endpoint(cx, desired)?;
    let same = cx
        .any_with(SUBSCRIPTION.as_str(), "TopicArn", &topic.identifier)
        .any(|other| {
            ["Protocol", "Endpoint"]
                .iter()
                .all(|property| other.model[*property] == desired[*property])
        });
    if same {
        return Err(failure::exists(
            "Sns",
            "Invalid parameter: Subscription already exists with different attributes",
        ));
    }
    let mut model = desired.clone();
    put(
        &mut model,
        "Arn",
        format!("{}:{}", topic.identifier, ids.uuid()),
    );
    put_default(&mut model, "RawMessageDelivery", false);
    created(cx, &SUBSCRIPTION, model)
}

pub(super) fn create_rule(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(&mut model, "Name", format!("Rule-{}", ids.mixed_alnum(12)));
    put_default(&mut model, "EventBusName", "default");
    let name = text_or(&model, "Name", "").to_owned();
    check_name("EventBridge", NameKind::EventsRule, &name)?;
    let bus = text_or(&model, "EventBusName", "");
    if bus != "default" && bus != cx.arn("events", "event-bus/default") {
        return Err(failure::not_found(
            "EventBridge",
            format!("Event bus {bus} does not exist."),
        ));
    }
    let arn = cx.arn("events", &format!("rule/{name}"));
    if cx.world.get(&RULE, &arn).is_some() {
        return Err(failure::resource_exists(RULE.as_str(), &arn));
    }
    check_rule(cx, &model)?;
    put(&mut model, "Arn", arn);
    put(&mut model, "RuleName", name);
    put_default(&mut model, "State", "ENABLED");
    put_default(&mut model, "Targets", json!([]));
    created(cx, &RULE, model)
}

fn check_rule(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let refuse = |message: String| Err(failure::invalid("EventBridge", message));
    if !has(model, "EventPattern") && !has(model, "ScheduleExpression") {
        return refuse(
            "Parameter(s) EventPattern or ScheduleExpression must be specified.".to_owned(),
        );
    }
    if let Some(pattern) = at(model, "EventPattern") {
        let parsed = match pattern {
            Value::String(text) => serde_json::from_str::<Value>(text).ok(),
            other => Some(other.clone()),
        };
        let formed = parsed
            .as_ref()
            .and_then(Value::as_object)
            .is_some_and(|object| {
                !object.is_empty()
                    && object.values().all(|value| {
                        value.is_object() || value.as_array().is_some_and(|list| !list.is_empty())
                    })
            });
        if !formed {
            return refuse(
                "Event pattern is not valid. Reason: Event pattern contains invalid value"
                    .to_owned(),
            );
        }
    }
    if let Some(schedule) = text(model, "ScheduleExpression")
        && !(schedule.ends_with(')')
            && (schedule.starts_with("rate(") || schedule.starts_with("cron(")))
    {
        return refuse("Parameter ScheduleExpression is not valid.".to_owned());
    }
    let targets = items(model, "Targets");
    // EventBridge user guide, "Amazon EventBridge quotas".
    if targets.len() as f64 > cx.settings.quota_override("L-9ED1A3BD").unwrap_or(5.0) {
        return Err(failure::limit(
            "EventBridge",
            "The requested resource exceeds the maximum number allowed: 5 targets per rule.",
        ));
    }
    let mut seen: Vec<&str> = Vec::new();
    for target in targets {
        let (id, arn) = (text_or(target, "Id", ""), text_or(target, "Arn", ""));
        if seen.contains(&id) {
            return refuse(format!("Duplicate target id {id}"));
        }
        seen.push(id);
        let there = match arn.split(':').nth(2) {
            Some("sqs") => cx.live_with(QUEUE.as_str(), "Arn", arn).is_some(),
            Some("sns") => cx.live(TOPIC.as_str(), arn).is_some(),
            Some("logs") => cx
                .live_with(
                    "AWS::Logs::LogGroup",
                    "Arn",
                    &format!("{}:*", arn.trim_end_matches(":*")),
                )
                .is_some(),
            Some(_) => true,
            None => false,
        };
        if !there {
            return refuse(format!(
                "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format or its target does not exist."
            ));
        }
        if let Some(role) = text(target, "RoleArn")
            && policy::assumable(cx, role, "events.amazonaws.com", &["sts:AssumeRole"]).is_none()
        {
            return refuse(format!(
                "Provided role '{role}' cannot be assumed by principal 'events.amazonaws.com'."
            ));
        }
    }
    Ok(())
}

pub(super) fn update_rule(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_rule(cx, proposed)?;
    let mut model = proposed.clone();
    carry(&entry.model, &mut model, &["RuleName", "State"]);
    Ok(updated(cx, entry, model))
}
