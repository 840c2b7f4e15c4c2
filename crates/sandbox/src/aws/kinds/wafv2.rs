//! `AWS::WAFv2::WebACL`, `AWS::WAFv2::WebACLAssociation`, `AWS::WAFv2::LoggingConfiguration`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, has, items, number, put, put_default, text, text_or, texts};
use super::iam_role::check_name;
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const WEB_ACL: TypeName = TypeName::new("AWS::WAFv2::WebACL");
const ASSOCIATION: TypeName = TypeName::new("AWS::WAFv2::WebACLAssociation");
const LOGGING: TypeName = TypeName::new("AWS::WAFv2::LoggingConfiguration");

/// AWS's rule groups and the capacity units that they take (WAF developer guide, "AWS Managed Rules rule groups list").
const MANAGED: [(&str, i64); 13] = [
    ("AWSManagedRulesACFPRuleSet", 50),
    ("AWSManagedRulesATPRuleSet", 50),
    ("AWSManagedRulesAdminProtectionRuleSet", 100),
    ("AWSManagedRulesAmazonIpReputationList", 25),
    ("AWSManagedRulesAnonymousIpList", 50),
    ("AWSManagedRulesBotControlRuleSet", 50),
    ("AWSManagedRulesCommonRuleSet", 700),
    ("AWSManagedRulesKnownBadInputsRuleSet", 200),
    ("AWSManagedRulesLinuxRuleSet", 200),
    ("AWSManagedRulesPHPRuleSet", 100),
    ("AWSManagedRulesSQLiRuleSet", 200),
    ("AWSManagedRulesUnixRuleSet", 100),
    ("AWSManagedRulesWordPressRuleSet", 100),
];

/// Capacity units of a web ACL (WAF developer guide, "AWS WAF quotas").
const LARGEST: i64 = 5000;

fn invalid(message: impl AsRef<str>) -> Failure {
    failure::invalid("Wafv2", message)
}

pub(super) fn create_acl(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "Name",
        format!("WebACL-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "Name", "").to_owned();
    check_name("Wafv2", NameKind::WebAcl, &name)?;
    let scope = text_or(desired, "Scope", "").to_owned();
    if scope == "CLOUDFRONT" && cx.world.region() != "us-east-1" {
        return Err(invalid(
            "Error reason: The scope is not valid., field: SCOPE_VALUE, parameter: CLOUDFRONT",
        ));
    }
    let mut of_scope = cx.any_with(WEB_ACL.as_str(), "Scope", &scope);
    if of_scope.any(|other| text(&other.model, "Name") == Some(&name)) {
        return Err(failure::exists(
            "Wafv2",
            "AWS WAF couldn't perform the operation because some resource in your request is a duplicate of an existing one.",
        ));
    }
    let there_are = cx.any_with(WEB_ACL.as_str(), "Scope", &scope).count();
    if scope == "REGIONAL" && cx.is_full("L-2EC3DE7B", there_are) {
        return Err(failure::limit(
            "Wafv2",
            "AWS WAF couldn't perform the operation because you exceeded your resource limit.",
        ));
    }
    let capacity = check_rules(&model)?;
    let id = ids.uuid();
    let place = if scope == "CLOUDFRONT" {
        "global"
    } else {
        "regional"
    };
    put(
        &mut model,
        "Arn",
        cx.arn("wafv2", &format!("{place}/webacl/{name}/{id}")),
    );
    put(&mut model, "Id", id);
    put(&mut model, "Capacity", capacity);
    put(
        &mut model,
        "LabelNamespace",
        format!("awswaf:{}:webacl:{name}:", cx.world.account()),
    );
    put_default(&mut model, "Rules", json!([]));
    put_default(&mut model, "Tags", json!([]));
    created(cx, &WEB_ACL, model)
}

/// Checks the rules; returned is the capacity that they take.
fn check_rules(model: &Value) -> Result<i64, Failure> {
    let mut capacity = 0;
    let (mut names, mut priorities): (Vec<&str>, Vec<i64>) = (Vec::new(), Vec::new());
    for rule in items(model, "Rules") {
        let (name, priority) = (
            text_or(rule, "Name", ""),
            number(rule, "Priority").unwrap_or(0),
        );
        if names.contains(&name) || priorities.contains(&priority) {
            return Err(invalid(format!(
                "Error reason: You have used none or multiple values for a field that requires exactly one value., field: RULE, parameter: {name}"
            )));
        }
        names.push(name);
        priorities.push(priority);
        let statement = at(rule, "Statement").unwrap_or(&Value::Null);
        let group = has(statement, "ManagedRuleGroupStatement")
            || has(statement, "RuleGroupReferenceStatement");
        // A group's rules have actions; the group has what overrides them.
        if group != has(rule, "OverrideAction") || group == has(rule, "Action") {
            return Err(invalid(format!(
                "Error reason: A reference in your rule statement is not valid., field: RULE_ACTION, parameter: {name}"
            )));
        }
        capacity += match text(statement, "ManagedRuleGroupStatement/Name") {
            Some(managed) => {
                let vendor = text_or(statement, "ManagedRuleGroupStatement/VendorName", "");
                let known = MANAGED
                    .iter()
                    .find(|(known, _)| *known == managed && vendor == "AWS");
                let (_, units) = known.ok_or_else(|| {
                    failure::not_found("Wafv2", format!("AWS WAF couldn't perform the operation because your resource doesn't exist: {vendor} {managed}"))
                })?;
                *units
            }
            // Rate-based rules take two; what a statement of another kind takes, only WAF's CheckCapacity knows.
            None => 2,
        };
    }
    if capacity > LARGEST {
        return Err(failure::limit(
            "Wafv2",
            format!(
                "AWS WAF couldn't perform the operation because you exceeded your resource limit: {capacity} of {LARGEST} WCUs"
            ),
        ));
    }
    Ok(capacity)
}

pub(super) fn update_acl(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    let capacity = check_rules(&model)?;
    put(&mut model, "Capacity", capacity);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_acl(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let arn = text_or(&entry.model, "Arn", "");
    match super::usage::user_of(cx, entry, arn) {
        Some(user) => Err(invalid(format!(
            "AWS WAF couldn't perform the operation because your resource is being used by another resource or it's associated with another \
             resource. [{} {}]",
            user.type_name, user.identifier
        ))),
        None => Ok(deleted(cx, entry)),
    }
}

fn acl_of<'a>(cx: &Context<'a>, arn: &str) -> Result<&'a Entry, Failure> {
    cx.live_with(WEB_ACL.as_str(), "Arn", arn).ok_or_else(|| {
        failure::not_found(
            "Wafv2",
            "AWS WAF couldn't perform the operation because your resource doesn't exist.",
        )
    })
}

pub(super) fn create_association(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    acl_of(cx, text_or(desired, "WebACLArn", ""))?;
    let resource = text_or(desired, "ResourceArn", "");
    let balancer = resource.contains(":loadbalancer/");
    if balancer
        && cx
            .live("AWS::ElasticLoadBalancingV2::LoadBalancer", resource)
            .is_none()
    {
        return Err(failure::not_found(
            "Wafv2",
            "AWS WAF couldn't perform the operation because your resource doesn't exist.",
        ));
    }
    if cx.is_taken(ASSOCIATION.as_str(), "ResourceArn", resource) {
        return Err(failure::exists(
            "Wafv2",
            format!("The resource {resource} already has a web ACL"),
        ));
    }
    created(cx, &ASSOCIATION, desired.clone())
}

pub(super) fn create_logging(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    acl_of(cx, text_or(desired, "ResourceArn", ""))?;
    check_logging(cx, desired)?;
    created(cx, &LOGGING, desired.clone())
}

fn check_logging(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let destinations = texts(model, "LogDestinationConfigs");
    let [arn] = destinations[..] else {
        return Err(invalid(
            "Error reason: exactly one log destination is needed, field: LOG_DESTINATION",
        ));
    };
    let name = arn
        .rsplit(':')
        .find(|part| part.contains("aws-waf-logs-"))
        .unwrap_or_default();
    let there = match arn.split(':').nth(2) {
        Some("logs") => cx.live("AWS::Logs::LogGroup", name).is_some(),
        Some("s3") => cx
            .live(
                "AWS::S3::Bucket",
                name.split('/').next().unwrap_or_default(),
            )
            .is_some(),
        Some("firehose") => true,
        _ => false,
    };
    if !there || !name.starts_with("aws-waf-logs-") {
        return Err(invalid(format!(
            "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information separated by colons or slashes., \
             field: LOG_DESTINATION, parameter: {arn}"
        )));
    }
    Ok(())
}

pub(super) fn update_logging(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_logging(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}
