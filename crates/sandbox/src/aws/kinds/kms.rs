//! `AWS::KMS::Key`, `AWS::KMS::Alias`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, flag, has, number, put, put_default, text, text_or};
use super::iam_role::check_name;
use super::policy::{Purpose, parse, principals};
use super::reference::{created, deleted, updated};
use super::usage::user_apart_from;
use super::{Context, Effect, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::{Entry, Phase};

pub(super) const KEY: TypeName = TypeName::new("AWS::KMS::Key");
const ALIAS: TypeName = TypeName::new("AWS::KMS::Alias");

/// Whether a key waits for its deletion: no handler takes it any more, and KMS
/// still has it.
pub(super) fn is_pending_deletion(entry: &Entry) -> bool {
    entry.type_name == KEY && has(&entry.model, "__DeletionDate")
}

/// The key of this id, ARN or alias, if it can be used.
pub(super) fn usable_key<'a>(
    cx: &Context<'a>,
    service: &str,
    id: &str,
) -> Result<&'a Entry, Failure> {
    let missing = || failure::invalid(service, format!("Key '{id}' does not exist"));
    let name = id.split_once(":alias/").map_or(id, |(_, name)| name);
    let by_alias = |name: &str| {
        let alias = cx.live(
            ALIAS.as_str(),
            &format!("alias/{}", name.trim_start_matches("alias/")),
        )?;
        cx.live(
            KEY.as_str(),
            text(&alias.model, "TargetKeyId")?.rsplit('/').next()?,
        )
    };
    let is_alias = id.starts_with("alias/") || id.contains(":alias/");
    let key = if is_alias {
        by_alias(name)
    } else {
        cx.live(KEY.as_str(), id.rsplit('/').next().unwrap_or_default())
    };
    let key = key
        .filter(|key| !is_pending_deletion(key))
        .ok_or_else(missing)?;
    if id.starts_with("arn:") && !is_alias && text(&key.model, "Arn") != Some(id) {
        return Err(missing());
    }
    if at(&key.model, "Enabled") == Some(&Value::Bool(false)) {
        return Err(failure::invalid(
            service,
            format!("{} is disabled.", text_or(&key.model, "Arn", id)),
        ));
    }
    Ok(key)
}

/// As [`usable_key`], and AWS's own keys (`alias/aws/sqs`) are there, too.
pub(super) fn check_key(cx: &Context<'_>, service: &str, id: &str) -> Result<(), Failure> {
    if id.starts_with("alias/aws/") || id.contains(":alias/aws/") {
        return Ok(());
    }
    usable_key(cx, service, id).map(|_| ())
}

pub(super) fn create_key(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    check(cx, &model)?;
    let id = ids.uuid();
    put(&mut model, "Arn", cx.arn("kms", &format!("key/{id}")));
    put(&mut model, "KeyId", id);
    put_default(
        &mut model,
        "KeyPolicy",
        json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [{
            "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
            "Principal": {"AWS": cx.global_arn("iam", "root")},
        }]}),
    );
    defaults(&mut model);
    created(cx, &KEY, model)
}

fn defaults(model: &mut Value) {
    put_default(model, "Description", "");
    put_default(model, "Enabled", true);
    put_default(model, "EnableKeyRotation", false);
    put_default(model, "KeySpec", "SYMMETRIC_DEFAULT");
    put_default(model, "KeyUsage", "ENCRYPT_DECRYPT");
    put_default(model, "MultiRegion", false);
    put_default(model, "Origin", "AWS_KMS");
    put_default(model, "Tags", json!([]));
}

fn check(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    if flag(model, "EnableKeyRotation")
        && text_or(model, "KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT"
    {
        return Err(failure::invalid(
            "Kms",
            "You cannot enable automatic rotation of an asymmetric or HMAC key.",
        ));
    }
    if number(model, "PendingWindowInDays").is_some_and(|days| !(7..=30).contains(&days)) {
        return Err(failure::invalid(
            "Kms",
            "PendingWindowInDays must be between 7 and 30 (inclusive)",
        ));
    }
    let Some(policy) = at(model, "KeyPolicy") else {
        return Ok(());
    };
    let statements = parse("Kms", policy, Purpose::Resource)?;
    super::policy::check_principals(cx, "Kms", &statements, "").map_err(|_| {
        failure::invalid(
            "Kms",
            "Policy contains a statement with one or more invalid principals.",
        )
    })?;
    // Who can change the policy must be in it: KMS has no way back from a locked key.
    let root = cx.global_arn("iam", "root");
    let administered = statements.iter().any(|statement| {
        let who = principals(statement, "AWS");
        let named = statement["Principal"] == "*"
            || who.iter().any(|arn| {
                *arn == root || *arn == cx.world.account() || *arn == "*" || *arn == cx.caller_arn
            });
        let actions = match &statement["Action"] {
            Value::String(action) => vec![action.as_str()],
            Value::Array(actions) => actions.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        statement["Effect"] == "Allow"
            && named
            && actions
                .iter()
                .any(|action| super::policy::matches(action, "kms:PutKeyPolicy"))
    });
    if !administered && !flag(model, "BypassPolicyLockoutSafetyCheck") {
        return Err(failure::invalid(
            "Kms",
            "The new key policy will not allow you to update the key policy in the future.",
        ));
    }
    Ok(())
}

pub(super) fn update_key(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    if is_pending_deletion(entry) {
        return Err(failure::resource_not_found(KEY.as_str(), &entry.identifier));
    }
    check(cx, proposed)?;
    for property in ["KeySpec", "KeyUsage", "MultiRegion", "Origin"] {
        if has(proposed, property) && !super::document::same(&entry.model, proposed, property) {
            return Err(failure::invalid(
                "Kms",
                format!("You cannot change the property {property} of a key after it was created."),
            ));
        }
    }
    let mut model = proposed.clone();
    defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_key(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    if is_pending_deletion(entry) {
        return Err(failure::resource_not_found(KEY.as_str(), &entry.identifier));
    }
    let arn = text_or(&entry.model, "Arn", "");
    // KMS would take the key away from what is encrypted with it.
    for id in [arn, entry.identifier.as_str()] {
        let user = user_apart_from(cx, entry, id, |other| {
            other.type_name == ALIAS || is_pending_deletion(other)
        });
        if let Some(user) = user {
            return Err(failure::invalid(
                "Kms",
                format!(
                    "Key {arn} is in use by {} {}",
                    user.type_name, user.identifier
                ),
            ));
        }
    }
    let mut outcome = deleted(cx, entry);
    let days = number(&entry.model, "PendingWindowInDays").unwrap_or(30);
    let mut model = entry.model.clone();
    put(&mut model, "Enabled", false);
    put(
        &mut model,
        "__DeletionDate",
        cx.now + days as f64 * 86_400.0,
    );
    outcome.effects = cx
        .world
        .of_type(&ALIAS)
        .filter(|alias| {
            text(&alias.model, "TargetKeyId")
                .is_some_and(|target| target.rsplit('/').next() == Some(&entry.identifier))
        })
        .map(|alias| Effect::Remove {
            type_name: ALIAS,
            identifier: alias.identifier.clone(),
        })
        .collect();
    outcome.effects.push(Effect::Put(Entry {
        model,
        phase: Phase::Remnant,
        ..entry.clone()
    }));
    Ok(outcome)
}

pub(super) fn create_alias(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let name = text_or(desired, "AliasName", "");
    check_name("Kms", NameKind::KmsAlias, name)?;
    if name.starts_with("alias/aws/") {
        return Err(failure::invalid(
            "Kms",
            "Alias name must not begin with alias/aws/",
        ));
    }
    if cx.world.get(&ALIAS, name).is_some() {
        return Err(failure::exists(
            "Kms",
            format!(
                "An alias with the name {} already exists",
                cx.arn("kms", name)
            ),
        ));
    }
    usable_key(cx, "Kms", text_or(desired, "TargetKeyId", ""))?;
    created(cx, &ALIAS, desired.clone())
}

pub(super) fn update_alias(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    usable_key(cx, "Kms", text_or(proposed, "TargetKeyId", ""))?;
    Ok(updated(cx, entry, proposed.clone()))
}
