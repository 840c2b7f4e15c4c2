//! `AWS::WAFv2::WebACL`, `AWS::WAFv2::WebACLAssociation`, `AWS::WAFv2::LoggingConfiguration`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, has, items, number, put, put_default, text, text_or, texts};
use super::iam_role::check_name;
use super::reference::{created, deleted, updated};
use super::usage::user_apart_from;
use super::{Context, Effect, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const WEB_ACL: TypeName = TypeName::new("AWS::WAFv2::WebACL");
const ASSOCIATION: TypeName = TypeName::new("AWS::WAFv2::WebACLAssociation");
const LOGGING: TypeName = TypeName::new("AWS::WAFv2::LoggingConfiguration");

/// AWS's rule groups and the capacity units that they take (WAF developer guide, "AWS Managed Rules rule groups list").
const MANAGED_GROUPS: [(&str, i64); 14] = [
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
    ("AWSManagedRulesWindowsRuleSet", 200),
    ("AWSManagedRulesWordPressRuleSet", 100),
];

/// Capacity units of a web ACL (WAF developer guide, "AWS WAF quotas").
const CAPACITY: i64 = 5000;

const NONE_OR_SEVERAL: &str =
    "You have used none or multiple values for a field that requires exactly one value.";
const NO_ARN: &str = "The ARN isn't valid. A valid ARN begins with arn: and includes other information separated by colons or slashes.";

fn wrong(reason: impl AsRef<str>, field: &str, parameter: &str) -> Failure {
    failure::invalid(
        "Wafv2",
        format!(
            "Error reason: {}, field: {field}, parameter: {parameter}",
            reason.as_ref()
        ),
    )
}

fn missing() -> Failure {
    failure::not_found(
        "Wafv2",
        "AWS WAF couldn’t perform the operation because your resource doesn’t exist.",
    )
}

fn too_much(what: impl AsRef<str>) -> Failure {
    failure::limit(
        "Wafv2",
        format!(
            "AWS WAF couldn’t perform the operation because you exceeded your resource limit: {}",
            what.as_ref()
        ),
    )
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
    let scope = text_or(desired, "Scope", "");
    let place = match scope {
        "REGIONAL" => "regional",
        "CLOUDFRONT" if cx.world.region() == "us-east-1" => "global",
        _ => return Err(wrong("The scope is not valid.", "SCOPE_VALUE", scope)),
    };
    let in_scope = || cx.any_with(WEB_ACL.as_str(), "Scope", scope);
    if in_scope().any(|other| text(&other.model, "Name") == Some(&name)) {
        return Err(failure::exists(
            "Wafv2",
            "AWS WAF couldn’t perform the operation because some resource in your request is a duplicate of an existing one.",
        ));
    }
    if scope == "REGIONAL" && cx.is_full("L-2EC3DE7B", in_scope().count()) {
        return Err(too_much(format!("{} web ACLs", cx.quota("L-2EC3DE7B"))));
    }
    let capacity = check_acl(&model)?;
    let id = ids.uuid();
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
    created(cx, &WEB_ACL, model)
}

/// Checks the rules; gives the capacity units that they take.
fn check_acl(model: &Value) -> Result<i64, Failure> {
    if has(model, "DefaultAction/Allow") == has(model, "DefaultAction/Block") {
        return Err(wrong(NONE_OR_SEVERAL, "DEFAULT_ACTION", "DefaultAction"));
    }
    let mut names: Vec<&str> = Vec::new();
    let mut priorities: Vec<i64> = Vec::new();
    let mut capacity = 0;
    for rule in items(model, "Rules") {
        let name = text_or(rule, "Name", "");
        let priority = number(rule, "Priority").unwrap_or(0);
        if names.contains(&name) {
            return Err(wrong("Two rules have the same name.", "RULE", name));
        }
        if priorities.contains(&priority) {
            return Err(wrong(
                "Two rules have the same priority.",
                "RULE",
                &priority.to_string(),
            ));
        }
        names.push(name);
        priorities.push(priority);
        // The rules of a group have actions; the group has what overrides them.
        let is_group = ["ManagedRuleGroupStatement", "RuleGroupReferenceStatement"]
            .iter()
            .any(|kind| has(rule, &format!("Statement/{kind}")));
        if is_group != has(rule, "OverrideAction") || is_group == has(rule, "Action") {
            return Err(wrong(NONE_OR_SEVERAL, "RULE_ACTION", name));
        }
        capacity += units(at(rule, "Statement").unwrap_or(&Value::Null))?;
    }
    if capacity > CAPACITY {
        return Err(too_much(format!("{capacity} of {CAPACITY} capacity units")));
    }
    Ok(capacity)
}

/// Capacity units of a statement (WAF developer guide, "Rule statements list"): the base costs, without those of text
/// transformations and of components that cost double.
fn units(statement: &Value) -> Result<i64, Failure> {
    let nested = |owner: &Value, path: &str| at(owner, path).map_or(Ok(0), units);
    let Some((kind, inner)) = statement
        .as_object()
        .and_then(|object| object.iter().next())
    else {
        return Err(wrong(NONE_OR_SEVERAL, "STATEMENT", "Statement"));
    };
    match kind.as_str() {
        "ManagedRuleGroupStatement" => {
            let name = text_or(inner, "Name", "");
            let known = MANAGED_GROUPS.iter().find(|(group, _)| *group == name);
            match (text_or(inner, "VendorName", ""), known) {
                // The groups of the marketplace need a subscription, and this account has none.
                ("AWS", Some((_, units))) => Ok(units + nested(inner, "ScopeDownStatement")?),
                _ => Err(missing()),
            }
        }
        "RateBasedStatement" => {
            let keys = i64::try_from(items(inner, "CustomKeys").len()).unwrap_or(0);
            Ok(2 + 30 * keys + nested(inner, "ScopeDownStatement")?)
        }
        "AndStatement" | "OrStatement" => items(inner, "Statements").iter().map(units).sum(),
        "NotStatement" => nested(inner, "Statement"),
        "ByteMatchStatement" => Ok(match text_or(inner, "PositionalConstraint", "") {
            "EXACTLY" | "STARTS_WITH" | "ENDS_WITH" => 2,
            _ => 10,
        }),
        "SqliMatchStatement" => Ok(if text(inner, "SensitivityLevel") == Some("HIGH") {
            30
        } else {
            20
        }),
        "XssMatchStatement" => Ok(40),
        "RegexMatchStatement" => Ok(3),
        "GeoMatchStatement"
        | "SizeConstraintStatement"
        | "LabelMatchStatement"
        | "AsnMatchStatement" => Ok(1),
        // What they refer to is of no type that this world has.
        "IPSetReferenceStatement"
        | "RegexPatternSetReferenceStatement"
        | "RuleGroupReferenceStatement" => Err(missing()),
        _ => Err(wrong("The statement is not known.", "STATEMENT", kind)),
    }
}

pub(super) fn update_acl(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    put(&mut model, "Capacity", check_acl(proposed)?);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_acl(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let arn = text_or(&entry.model, "Arn", "");
    if let Some(user) = user_apart_from(cx, entry, arn, |other| other.type_name == LOGGING) {
        return Err(failure::invalid(
            "Wafv2",
            format!(
                "AWS WAF couldn’t perform the operation because your resource is being used by another resource or it’s associated \
                 with another resource. [{} {}]",
                user.type_name, user.identifier
            ),
        ));
    }
    let mut outcome = deleted(cx, entry);
    // The logging configuration is a part of the web ACL.
    if cx.world.get(&LOGGING, arn).is_some() {
        outcome.effects.push(Effect::Remove {
            type_name: LOGGING,
            identifier: arn.to_owned(),
        });
    }
    Ok(outcome)
}

pub(super) fn create_association(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let resource = text_or(desired, "ResourceArn", "");
    let acl = cx
        .live_with(WEB_ACL.as_str(), "Arn", text_or(desired, "WebACLArn", ""))
        .ok_or_else(missing)?;
    if text(&acl.model, "Scope") != Some("REGIONAL") {
        return Err(wrong(NO_ARN, "RESOURCE_ARN", resource));
    }
    // Of what WAF protects, the load balancers are what this world has.
    if cx
        .live("AWS::ElasticLoadBalancingV2::LoadBalancer", resource)
        .is_none()
    {
        return Err(failure::invalid(
            "Wafv2",
            "AWS WAF couldn’t retrieve the resource that you requested. Retry your request.",
        ));
    }
    if cx.is_taken(ASSOCIATION.as_str(), "ResourceArn", resource) {
        return Err(failure::exists(
            "Wafv2",
            format!("The resource {resource} is associated with a web ACL already."),
        ));
    }
    created(cx, &ASSOCIATION, desired.clone())
}

pub(super) fn create_logging(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let acl = text_or(desired, "ResourceArn", "");
    cx.live_with(WEB_ACL.as_str(), "Arn", acl)
        .ok_or_else(missing)?;
    check_destination(cx, desired)?;
    let mut model = desired.clone();
    put(&mut model, "ManagedByFirewallManager", false);
    created(cx, &LOGGING, model)
}

/// One destination whose name begins with `aws-waf-logs-`: a log group, a bucket or a delivery stream (WAF developer guide,
/// "Logging destinations").
fn check_destination(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let destinations = texts(model, "LogDestinationConfigs");
    let [arn] = destinations[..] else {
        return Err(wrong(
            NONE_OR_SEVERAL,
            "LOG_DESTINATION",
            "LogDestinationConfigs",
        ));
    };
    let mut parts = arn.splitn(6, ':');
    let service = parts.nth(2).unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default().trim_end_matches(":*");
    let (name, is_there): (&str, bool) = match service {
        "logs" => {
            let name = resource.strip_prefix("log-group:").unwrap_or_default();
            (name, cx.live("AWS::Logs::LogGroup", name).is_some())
        }
        "s3" => {
            let name = resource.split('/').next().unwrap_or_default();
            (name, cx.live("AWS::S3::Bucket", name).is_some())
        }
        // Delivery streams are of no type that this world has.
        _ => (
            resource.strip_prefix("deliverystream/").unwrap_or_default(),
            false,
        ),
    };
    if !name.starts_with("aws-waf-logs-") {
        return Err(wrong(NO_ARN, "LOG_DESTINATION", arn));
    }
    if is_there { Ok(()) } else { Err(missing()) }
}

pub(super) fn update_logging(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_destination(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}
