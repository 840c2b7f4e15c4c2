//! `AWS::S3::Bucket`, `AWS::S3::BucketPolicy`.
//!
//! Objects are not modelled. A bucket counts as empty unless something of this account delivers logs to it, or its private
//! property `__Objects` says how many there are.

use catalog::names::NameKind;
use catalog::{TypeName, regions};
use serde_json::{Value, json};

use super::document::{at, flag, has, items, number, put, put_default, text, text_or};
use super::iam_role::check_name;
use super::kms::check_key;
use super::policy::{Purpose, check_principals, parse, size};
use super::reference::{created, deleted, updated};
use super::{Context, Effect, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const BUCKET: TypeName = TypeName::new("AWS::S3::Bucket");
const BUCKET_POLICY: TypeName = TypeName::new("AWS::S3::BucketPolicy");

/// The longest bucket policy (S3 user guide, "Bucket policies").
const POLICY_SIZE: usize = 20 * 1024;

pub(super) fn create_bucket(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "BucketName",
        format!("bucket-{}", ids.lower_alnum(12)),
    );
    let name = text_or(&model, "BucketName", "").to_owned();
    check_name("S3", NameKind::S3Bucket, &name)?;
    if cx.world.get(&BUCKET, &name).is_some() {
        return Err(failure::exists(
            "S3",
            "Your previous request to create the named bucket succeeded and you already own it.",
        ));
    }
    if cx.is_full("L-DC2B2D3D", cx.world.of_type(&BUCKET).count()) {
        return Err(failure::limit(
            "S3",
            "You have attempted to create more buckets than allowed",
        ));
    }
    check_bucket(cx, &model)?;
    let region = cx.world.region();
    let suffix = regions::dns_suffix(region);
    put(&mut model, "Arn", arn(cx, &name));
    put(&mut model, "DomainName", format!("{name}.s3.{suffix}"));
    put(
        &mut model,
        "RegionalDomainName",
        format!("{name}.s3.{region}.{suffix}"),
    );
    put(
        &mut model,
        "DualStackDomainName",
        format!("{name}.s3.dualstack.{region}.{suffix}"),
    );
    put(
        &mut model,
        "WebsiteURL",
        format!("http://{name}.s3-website.{region}.{suffix}"),
    );
    defaults(&mut model);
    created(cx, &BUCKET, model)
}

fn arn(cx: &Context<'_>, bucket: &str) -> String {
    format!("arn:{}:s3:::{bucket}", cx.world.partition())
}

/// What every bucket has since 2023 (S3 user guide, "Default settings for new S3 buckets").
fn defaults(model: &mut Value) {
    put_default(
        model,
        "BucketEncryption",
        json!({"ServerSideEncryptionConfiguration": [{
            "BucketKeyEnabled": false, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        }]}),
    );
    // The four are one setting: who gives some of them leaves the others off.
    let blocks = !has(model, "PublicAccessBlockConfiguration");
    for block in [
        "BlockPublicAcls",
        "BlockPublicPolicy",
        "IgnorePublicAcls",
        "RestrictPublicBuckets",
    ] {
        put_default(
            model,
            &format!("PublicAccessBlockConfiguration/{block}"),
            blocks,
        );
    }
    put_default(
        model,
        "OwnershipControls",
        json!({"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}),
    );
    if has(model, "LifecycleConfiguration") {
        put_default(
            model,
            "LifecycleConfiguration/TransitionDefaultMinimumObjectSize",
            "all_storage_classes_128K",
        );
    }
    put_default(model, "Tags", json!([]));
}

fn check_bucket(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    for rule in items(model, "BucketEncryption/ServerSideEncryptionConfiguration") {
        // S3 finds out about the key when the first object is written.
        if let Some(key) = text(rule, "ServerSideEncryptionByDefault/KMSMasterKeyID") {
            if text(rule, "ServerSideEncryptionByDefault/SSEAlgorithm") == Some("AES256") {
                return Err(failure::invalid(
                    "S3",
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms",
                ));
            }
            check_key(cx, "S3", key)?;
        }
    }
    check_lifecycle(items(model, "LifecycleConfiguration/Rules"))?;
    if has(model, "ReplicationConfiguration")
        && text(model, "VersioningConfiguration/Status") != Some("Enabled")
    {
        return Err(failure::invalid(
            "S3",
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
        ));
    }
    if let Some(target) = text(model, "LoggingConfiguration/DestinationBucketName")
        && cx.live(BUCKET.as_str(), target).is_none()
        && text(model, "BucketName") != Some(target)
    {
        return Err(failure::invalid(
            "S3",
            "The target bucket for logging does not exist",
        ));
    }
    for (list, property, type_name) in [
        ("QueueConfigurations", "Queue", "AWS::SQS::Queue"),
        ("TopicConfigurations", "Topic", "AWS::SNS::Topic"),
    ] {
        for destination in items(model, &format!("NotificationConfiguration/{list}")) {
            let arn = text_or(destination, property, "");
            let identifier = if list == "TopicConfigurations" {
                "TopicArn"
            } else {
                "Arn"
            };
            if cx.live_with(type_name, identifier, arn).is_none() {
                return Err(failure::invalid(
                    "S3",
                    "Unable to validate the following destination configurations",
                ));
            }
        }
    }
    Ok(())
}

/// What a lifecycle rule does; one of them must be there.
const LIFECYCLE_ACTIONS: [&str; 9] = [
    "AbortIncompleteMultipartUpload",
    "ExpirationDate",
    "ExpirationInDays",
    "ExpiredObjectDeleteMarker",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionExpirationInDays",
    "NoncurrentVersionTransitions",
    "Transition",
    "Transitions",
];

fn check_lifecycle(rules: &[Value]) -> Result<(), Failure> {
    let mut seen: Vec<&str> = Vec::new();
    for rule in rules {
        if !LIFECYCLE_ACTIONS.iter().any(|action| has(rule, action))
            && !has(rule, "NoncurrentVersionTransition")
        {
            return Err(failure::invalid(
                "S3",
                "At least one action needs to be specified in a rule",
            ));
        }
        if let Some(id) = text(rule, "Id") {
            if seen.contains(&id) {
                return Err(failure::invalid(
                    "S3",
                    format!("Rule ID must be unique. Found same ID for more than one rule: {id}"),
                ));
            }
            seen.push(id);
        }
        let expiry = number(rule, "ExpirationInDays");
        if expiry.is_some_and(|days| days < 1) {
            return Err(failure::invalid(
                "S3",
                "'Days' for Expiration action must be a positive integer",
            ));
        }
        for transition in items(rule, "Transitions") {
            if let (Some(moved), Some(expired)) = (number(transition, "TransitionInDays"), expiry)
                && moved >= expired
            {
                return Err(failure::invalid(
                    "S3",
                    "'Days' in the Expiration action must be greater than 'Days' in the Transition action",
                ));
            }
        }
    }
    Ok(())
}

pub(super) fn update_bucket(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_bucket(cx, proposed)?;
    let was_versioned = has(&entry.model, "VersioningConfiguration/Status");
    if was_versioned && !has(proposed, "VersioningConfiguration/Status") {
        // Versioning cannot be taken off a bucket again: the handler suspends it.
        let mut model = proposed.clone();
        put(&mut model, "VersioningConfiguration/Status", "Suspended");
        return Ok(finish_update(cx, entry, model));
    }
    Ok(finish_update(cx, entry, proposed.clone()))
}

fn finish_update(cx: &Context<'_>, entry: &Entry, mut model: Value) -> Outcome {
    defaults(&mut model);
    updated(cx, entry, model)
}

pub(super) fn delete_bucket(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let name = &entry.identifier;
    let log_prefix = format!("{}/", arn(cx, name));
    let delivers = |other: &&Entry| {
        text(&other.model, "S3BucketName") == Some(name)
            || text(&other.model, "LogDestination")
                .is_some_and(|target| target == arn(cx, name) || target.starts_with(&log_prefix))
    };
    let has_logs = cx
        .world
        .of_type("AWS::CloudTrail::Trail")
        .any(|trail| delivers(&trail))
        || cx
            .world
            .of_type("AWS::EC2::FlowLog")
            .any(|log| delivers(&log));
    if has_logs || number(&entry.model, "__Objects").is_some_and(|count| count > 0) {
        return Err(failure::general(
            "S3",
            "The bucket you tried to delete is not empty",
        ));
    }
    let mut outcome = deleted(cx, entry);
    // The policy is a part of the bucket.
    if cx.world.get(&BUCKET_POLICY, name).is_some() {
        outcome.effects.push(Effect::Remove {
            type_name: BUCKET_POLICY,
            identifier: name.clone(),
        });
    }
    Ok(outcome)
}

pub(super) fn create_policy(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let bucket = text_or(desired, "Bucket", "");
    if cx.world.get(&BUCKET_POLICY, bucket).is_some() {
        return Err(failure::exists(
            "S3",
            format!("The bucket policy already exists on bucket {bucket}."),
        ));
    }
    check_policy(cx, bucket, desired)?;
    created(cx, &BUCKET_POLICY, desired.clone())
}

pub(super) fn update_policy(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_policy(cx, &entry.identifier, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

fn check_policy(cx: &Context<'_>, name: &str, model: &Value) -> Result<(), Failure> {
    let Some(bucket) = cx.live(BUCKET.as_str(), name) else {
        return Err(failure::not_found(
            "S3",
            "The specified bucket does not exist",
        ));
    };
    let document = at(model, "PolicyDocument").unwrap_or(&Value::Null);
    let statements = parse("S3", document, Purpose::Resource)?;
    check_principals(cx, "S3", &statements, "")?;
    if size(document) > POLICY_SIZE {
        return Err(failure::invalid(
            "S3",
            "Normalized policy document exceeds the maximum allowed size of 20480 bytes.",
        ));
    }
    let whole = arn(cx, name);
    let inside = format!("{whole}/");
    for statement in &statements {
        let resources = match &statement["Resource"] {
            Value::String(resource) => vec![resource.as_str()],
            Value::Array(resources) => resources.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if resources.iter().any(|resource| {
            *resource != "*" && *resource != whole && !resource.starts_with(&inside)
        }) {
            return Err(failure::invalid("S3", "Policy has invalid resource"));
        }
        let anybody = statement["Principal"] == "*"
            || super::policy::principals(statement, "AWS").contains(&"*");
        let public = statement["Effect"] == "Allow" && anybody && !has(statement, "Condition");
        if public
            && flag(
                &bucket.model,
                "PublicAccessBlockConfiguration/BlockPublicPolicy",
            )
        {
            return Err(failure::denied(
                "S3",
                format!(
                    "User: {} is not authorized to perform: s3:PutBucketPolicy on resource: \"{whole}\" because public policies are \
                     prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
                    cx.caller_arn
                ),
            ));
        }
    }
    Ok(())
}
