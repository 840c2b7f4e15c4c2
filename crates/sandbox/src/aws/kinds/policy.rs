//! Policy documents: whether they are well-formed as IAM sees it, whom they name, how long they are.

use serde_json::Value;

use super::document::text;
use super::{Context, Failure, failure};
use crate::aws::world::Entry;

/// What a document is for; each has its own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Who may assume a role.
    Trust,
    /// What an identity may do.
    Identity,
    /// Who may do what with one resource.
    Resource,
}

/// The statements of a document, one object each.
pub(super) fn parse(
    service: &str,
    document: &Value,
    purpose: Purpose,
) -> Result<Vec<Value>, Failure> {
    let syntax = || failure::invalid(service, "Syntax errors in policy.");
    let parsed;
    let document = match document {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text)
                .map_err(|_| failure::invalid(service, "This policy contains invalid Json"))?;
            &parsed
        }
        other => other,
    };
    let object = document.as_object().ok_or_else(syntax)?;
    if object
        .keys()
        .any(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
    {
        return Err(syntax());
    }
    if let Some(version) = object.get("Version")
        && !["2012-10-17", "2008-10-17"]
            .iter()
            .any(|known| version == known)
    {
        return Err(failure::invalid(
            service,
            "The policy must contain a valid version string",
        ));
    }
    let statements = match object.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.clone(),
        Some(statement @ Value::Object(_)) => vec![statement.clone()],
        _ => return Err(syntax()),
    };
    let mut sids: Vec<&str> = Vec::new();
    for statement in &statements {
        check_statement(service, statement, purpose)?;
        if let Some(sid) = text(statement, "Sid").filter(|sid| !sid.is_empty()) {
            if purpose == Purpose::Identity && !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())
            {
                return Err(failure::invalid(
                    service,
                    "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
                ));
            }
            if sids.contains(&sid) {
                return Err(failure::invalid(
                    service,
                    "Statement IDs (SID) in a single policy must be unique.",
                ));
            }
            sids.push(sid);
        }
    }
    Ok(statements)
}

const KEYS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

fn check_statement(service: &str, statement: &Value, purpose: Purpose) -> Result<(), Failure> {
    let invalid = |message: &str| Err(failure::invalid(service, message));
    let Some(object) = statement.as_object() else {
        return invalid("Syntax errors in policy.");
    };
    if object.keys().any(|key| !KEYS.contains(&key.as_str()))
        || !["Allow", "Deny"].contains(&text(statement, "Effect").unwrap_or_default())
        || object
            .get("Condition")
            .is_some_and(|condition| !condition.is_object())
    {
        return invalid("Syntax errors in policy.");
    }
    let actions = strings(statement.get("Action").or(statement.get("NotAction")));
    if actions.is_empty() {
        return invalid("Policy statement must contain actions.");
    }
    for action in &actions {
        if *action != "*"
            && !action
                .split_once(':')
                .is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
        {
            return invalid(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            );
        }
    }
    let has_principal = object.contains_key("Principal") || object.contains_key("NotPrincipal");
    let resources = strings(statement.get("Resource").or(statement.get("NotResource")));
    match purpose {
        Purpose::Trust => {
            if !resources.is_empty() {
                return invalid("Has prohibited field Resource");
            }
            if !has_principal {
                return invalid("Missing required field Principal");
            }
            if actions.iter().any(|action| !action.starts_with("sts:")) {
                return invalid("AssumeRole policy may only specify STS AssumeRole actions.");
            }
        }
        Purpose::Identity => {
            if has_principal {
                return invalid("Policy document should not specify a principal.");
            }
            if resources.is_empty() {
                return invalid("Policy statement must contain resources.");
            }
            for resource in resources {
                if resource != "*"
                    && !(resource.starts_with("arn:") && resource.matches(':').count() >= 5)
                {
                    return invalid(&format!(
                        "Resource {resource} must be in ARN format or \"*\"."
                    ));
                }
            }
        }
        Purpose::Resource => {
            if !has_principal {
                return invalid("Missing required field Principal");
            }
            if resources.is_empty() {
                return invalid("Policy statement must contain resources.");
            }
        }
    }
    Ok(())
}

/// The texts of a value that is one text or a list of them.
fn strings(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The principals of one kind (`Service`, `AWS`, `Federated`) in a statement.
pub(super) fn principals<'a>(statement: &'a Value, kind: &str) -> Vec<&'a str> {
    statement
        .get("Principal")
        .map(|principal| strings(principal.get(kind)))
        .unwrap_or_default()
}

/// The services of AWS that a platform's policies name. IAM knows them all and refuses a name that is none.
const SERVICES: [&str; 33] = [
    "apigateway",
    "application-autoscaling",
    "autoscaling",
    "backup",
    "budgets",
    "capabilities.eks",
    "cloudformation",
    "cloudfront",
    "cloudtrail",
    "cloudwatch",
    "codebuild",
    "config",
    "delivery.logs",
    "dynamodb",
    "ec2",
    "ecs-tasks",
    "ecr",
    "eks",
    "eks-fargate-pods",
    "eks-nodegroup",
    "elasticache",
    "elasticloadbalancing",
    "events",
    "firehose",
    "guardduty",
    "lambda",
    "mq",
    "pods.eks",
    "rds",
    "s3",
    "scheduler",
    "spot",
    "sqs",
];
const MORE_SERVICES: [&str; 10] = [
    "logs",
    "monitoring.rds",
    "route53",
    "secretsmanager",
    "sns",
    "ssm",
    "states",
    "transitgateway",
    "vpc-flow-logs",
    "wafv2",
];

fn is_service(name: &str, region: &str) -> bool {
    let Some(short) = name
        .strip_suffix(".amazonaws.com")
        .or(name.strip_suffix(".amazonaws.com.cn"))
    else {
        return false;
    };
    let regional = format!(".{region}");
    let short = short.strip_suffix(&regional).unwrap_or(short);
    SERVICES.contains(&short) || MORE_SERVICES.contains(&short) || short == "kms"
}

/// Checks that whom the statements name is there: services of AWS, roles that exist for long enough to be known
/// everywhere, identity providers. `prefix` is the service's way to begin the sentence.
pub(super) fn check_principals(
    cx: &Context<'_>,
    service: &str,
    statements: &[Value],
    prefix: &str,
) -> Result<(), Failure> {
    for statement in statements {
        for name in principals(statement, "Service") {
            if !is_service(name, cx.world.region()) {
                return Err(failure::invalid(
                    service,
                    format!("{prefix}Invalid principal in policy: \"SERVICE\":\"{name}\""),
                ));
            }
        }
        for arn in principals(statement, "AWS") {
            if !is_known_principal(cx, arn) {
                return Err(failure::invalid(
                    service,
                    format!("{prefix}Invalid principal in policy: \"AWS\":\"{arn}\""),
                ));
            }
        }
        for arn in principals(statement, "Federated") {
            // IAM takes any; a role that nobody can assume is found out much later.
            let known =
                !arn.starts_with("arn:") || cx.live("AWS::IAM::OIDCProvider", arn).is_some();
            if !known {
                return Err(failure::invalid(
                    service,
                    format!("{prefix}Invalid principal in policy: \"FEDERATED\":\"{arn}\""),
                ));
            }
        }
    }
    Ok(())
}

/// Whether a policy can name this principal: anybody, an account, another account's identity, the caller's own, or a role
/// of this account that IAM has spread.
fn is_known_principal(cx: &Context<'_>, arn: &str) -> bool {
    let account = cx.world.account();
    let is_account = arn.len() == 12 && arn.bytes().all(|byte| byte.is_ascii_digit());
    if arn == "*" || is_account || arn.ends_with(":root") || arn == cx.caller_arn {
        return true;
    }
    if !arn.starts_with("arn:") {
        return false;
    }
    let ours = format!("::{account}:");
    if !arn.contains(&ours) {
        return true;
    }
    let is_role = arn.contains(":role/");
    !is_role
        || cx
            .live_with("AWS::IAM::Role", "Arn", arn)
            .is_some_and(|role| is_spread(cx, role))
}

/// Whether a role is old enough to be known to the services that assume it.
pub(super) fn is_spread(cx: &Context<'_>, role: &Entry) -> bool {
    cx.now - role.ready_at >= cx.settings.iam_propagation_seconds
}

/// The length that IAM counts: without white space.
pub(super) fn size(document: &Value) -> usize {
    let count = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
    match document {
        Value::String(text) => count(text),
        other => count(&other.to_string()),
    }
}

/// The role of this ARN, if a service can assume it: it is there, spread, and its trust policy lets the service do all
/// of these actions. AWS does not say which of these fails, and neither do its words.
pub(super) fn assumable<'a>(
    cx: &Context<'a>,
    arn: &str,
    service: &str,
    actions: &[&str],
) -> Option<&'a Entry> {
    known_role(cx, arn).filter(|role| trusts(role, service, actions))
}

/// The role of this ARN, if it is there and known to the services.
pub(super) fn known_role<'a>(cx: &Context<'a>, arn: &str) -> Option<&'a Entry> {
    cx.live_with("AWS::IAM::Role", "Arn", arn)
        .filter(|role| is_spread(cx, role))
}

/// Whether a role's trust policy lets a service do all of these actions (with conditions or without: a condition is not
/// looked into).
pub(super) fn trusts(role: &Entry, service: &str, actions: &[&str]) -> bool {
    let Ok(statements) = parse(
        "Iam",
        &role.model["AssumeRolePolicyDocument"],
        Purpose::Trust,
    ) else {
        return false;
    };
    actions.iter().all(|action| {
        statements.iter().any(|statement| {
            text(statement, "Effect") == Some("Allow")
                && principals(statement, "Service").contains(&service)
                && strings(statement.get("Action"))
                    .iter()
                    .any(|allowed| matches(allowed, action))
        })
    })
}

/// Whether an action pattern of a policy covers an action.
pub(super) fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    match pattern.split_once('*') {
        None => pattern == action,
        Some((head, "")) => action.starts_with(head),
        Some((head, tail)) => {
            action.len() >= head.len() + tail.len()
                && action.starts_with(head)
                && action.ends_with(tail)
        }
    }
}

/// Whether the statements let this AWS service do one of these actions.
pub(super) fn allows_service(statements: &[Value], service: &str, action: &str) -> bool {
    statements.iter().any(|statement| {
        text(statement, "Effect") == Some("Allow")
            && principals(statement, "Service").contains(&service)
            && strings(statement.get("Action"))
                .iter()
                .any(|allowed| matches(allowed, action))
    })
}
