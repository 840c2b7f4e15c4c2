//! `AWS::ECR::Repository`.
//!
//! Images are not modelled; how many there are is the private property `__Images`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, flag, has, items, number, put, put_default, text, text_or};
use super::iam_role::check_name;
use super::kms::check_key;
use super::policy::{Purpose, check_principals, parse};
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const REPOSITORY: TypeName = TypeName::new("AWS::ECR::Repository");

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "RepositoryName",
        format!("repository-{}", ids.lower_alnum(12)),
    );
    let name = text_or(&model, "RepositoryName", "").to_owned();
    let account = cx.world.account();
    check_name("Ecr", NameKind::EcrRepository, &name)?;
    if cx.world.get(&REPOSITORY, &name).is_some() {
        return Err(failure::exists(
            "Ecr",
            format!(
                "The repository with name '{name}' already exists in the registry with id '{account}'"
            ),
        ));
    }
    if cx.is_full("L-CFEB8E8D", cx.world.of_type(&REPOSITORY).count()) {
        return Err(failure::limit(
            "Ecr",
            format!(
                "The repository with name '{name}' in registry with id '{account}' cannot be created because the limit of {} \
                 repositories is reached",
                cx.quota("L-CFEB8E8D")
            ),
        ));
    }
    if let Some(key) = text(&model, "EncryptionConfiguration/KmsKey") {
        check_key(cx, "Ecr", key)?;
    }
    check(cx, &model)?;
    let region = cx.world.region();
    let suffix = catalog::regions::dns_suffix(region);
    put(
        &mut model,
        "Arn",
        cx.arn("ecr", &format!("repository/{name}")),
    );
    put(
        &mut model,
        "RepositoryUri",
        format!("{account}.dkr.ecr.{region}.{suffix}/{name}"),
    );
    put_default(
        &mut model,
        "EncryptionConfiguration",
        json!({"EncryptionType": "AES256"}),
    );
    defaults(&mut model);
    created(cx, &REPOSITORY, model)
}

fn defaults(model: &mut Value) {
    put_default(model, "ImageTagMutability", "MUTABLE");
    put_default(model, "ImageScanningConfiguration/ScanOnPush", false);
    put_default(model, "Tags", json!([]));
}

fn check(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let excludes = text_or(model, "ImageTagMutability", "").ends_with("_WITH_EXCLUSION");
    if excludes == items(model, "ImageTagMutabilityExclusionFilters").is_empty() {
        return Err(failure::invalid(
            "Ecr",
            "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'filters are given with the \
             mutability *_WITH_EXCLUSION, and only with it'",
        ));
    }
    if let Some(policy) = text(model, "LifecyclePolicy/LifecyclePolicyText") {
        check_lifecycle(policy).map_err(|reason| {
            failure::invalid(
                "Ecr",
                format!(
                    "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: \
                     {reason}'"
                ),
            )
        })?;
    }
    if let Some(policy) = at(model, "RepositoryPolicyText") {
        let statements = parse("Ecr", &with_resources(policy), Purpose::Resource)?;
        check_principals(cx, "Ecr", &statements, "")?;
    }
    Ok(())
}

/// A repository's policy names no resource: it is the repository.
fn with_resources(policy: &Value) -> Value {
    let mut policy = match policy {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| policy.clone()),
        _ => policy.clone(),
    };
    let statements = match policy.get_mut("Statement") {
        Some(Value::Array(statements)) => statements.as_mut_slice(),
        Some(statement) => std::slice::from_mut(statement),
        None => &mut [],
    };
    for statement in statements
        .iter_mut()
        .filter(|statement| statement.is_object())
    {
        put_default(statement, "Resource", "*");
    }
    policy
}

/// The rules of a lifecycle policy (ECR user guide, "Lifecycle policy parameters").
fn check_lifecycle(text_of_policy: &str) -> Result<(), String> {
    let policy: Value =
        serde_json::from_str(text_of_policy).map_err(|error| format!("not JSON: {error}"))?;
    let rules = items(&policy, "rules");
    if rules.is_empty() {
        return Err("object has missing required properties ([\"rules\"])".to_owned());
    }
    let mut priorities: Vec<i64> = Vec::new();
    for rule in rules {
        let priority = number(rule, "rulePriority")
            .filter(|priority| *priority > 0)
            .ok_or("a rule has no rulePriority")?;
        if priorities.contains(&priority) {
            return Err(format!(
                "rule priorities must be unique; {priority} is there twice"
            ));
        }
        priorities.push(priority);
        if text(rule, "action/type")
            .is_none_or(|action| action != "expire" && action != "transition")
        {
            return Err(format!("rule {priority}: the action's type is expire"));
        }
        let listed = |list: &str| !items(rule, &format!("selection/{list}")).is_empty();
        match text(rule, "selection/tagStatus") {
            Some("tagged") if !listed("tagPrefixList") && !listed("tagPatternList") => {
                return Err(format!(
                    "rule {priority}: tagStatus tagged needs tagPrefixList or tagPatternList"
                ));
            }
            Some("tagged" | "untagged" | "any") => {}
            _ => {
                return Err(format!(
                    "rule {priority}: tagStatus is tagged, untagged or any"
                ));
            }
        }
        let by_age = match text(rule, "selection/countType") {
            Some("imageCountMoreThan") => false,
            Some("sinceImagePushed" | "sinceImagePulled" | "sinceImageTransitioned") => true,
            _ => return Err(format!("rule {priority}: the countType is not known")),
        };
        if by_age != (text(rule, "selection/countUnit") == Some("days")) {
            return Err(format!(
                "rule {priority}: the countUnit days belongs to the countTypes since…, and only to them"
            ));
        }
        if number(rule, "selection/countNumber").is_none_or(|count| count < 1) {
            return Err(format!(
                "rule {priority}: the countNumber is a positive number"
            ));
        }
    }
    let last = priorities.iter().max();
    let any = rules
        .iter()
        .find(|rule| text(rule, "selection/tagStatus") == Some("any"));
    if any.is_some_and(|rule| number(rule, "rulePriority").as_ref() != last) {
        return Err("a rule with tagStatus any has the highest rulePriority".to_owned());
    }
    Ok(())
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check(cx, proposed)?;
    let mut model = proposed.clone();
    defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let has_images = has(&entry.model, "__Images") && number(&entry.model, "__Images") != Some(0);
    if has_images && !flag(&entry.model, "EmptyOnDelete") {
        return Err(failure::general(
            "Ecr",
            format!(
                "The repository with name '{}' in registry with id '{}' cannot be deleted because it still contains images",
                entry.identifier,
                cx.world.account()
            ),
        ));
    }
    Ok(deleted(cx, entry))
}
