//! `AWS::Backup::BackupVault`, `AWS::Backup::BackupPlan`, `AWS::Backup::BackupSelection`.
//!
//! No backup job runs here; how many recovery points a vault has is its private property `__RecoveryPoints`.

use base64::Engine as _;
use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::Value;

use super::document::{at, flag, has, items, number, put, same, text, text_or};
use super::iam_role::check_name;
use super::kms::check_key;
use super::policy::{Purpose, assumable, check_principals, parse};
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const VAULT: TypeName = TypeName::new("AWS::Backup::BackupVault");
const PLAN: TypeName = TypeName::new("AWS::Backup::BackupPlan");
const SELECTION: TypeName = TypeName::new("AWS::Backup::BackupSelection");

fn invalid(message: impl AsRef<str>) -> Failure {
    failure::invalid("Backup", message)
}

pub(super) fn create_vault(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let name = text_or(desired, "BackupVaultName", "");
    check_name("Backup", NameKind::BackupVault, name)?;
    if cx.world.get(&VAULT, name).is_some() {
        return Err(failure::exists(
            "Backup",
            "Backup vault with the same name already exists",
        ));
    }
    if let Some(key) = text(desired, "EncryptionKeyArn") {
        check_key(cx, "Backup", key)?;
    }
    check_vault(cx, desired)?;
    // Unless it is told a key, Backup takes its own of the account, whose id nobody chose.
    put(
        &mut model,
        "BackupVaultArn",
        cx.arn("backup", &format!("backup-vault:{name}")),
    );
    created(cx, &VAULT, model)
}

fn check_vault(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    if let Some(policy) = at(model, "AccessPolicy") {
        let statements = parse("Backup", policy, Purpose::Resource)?;
        check_principals(cx, "Backup", &statements, "")?;
    }
    if let Some(topic) = text(model, "Notifications/SNSTopicArn")
        && cx.live("AWS::SNS::Topic", topic).is_none()
    {
        return Err(invalid(format!("SNS topic {topic} does not exist")));
    }
    let days = |name: &str| number(model, &format!("LockConfiguration/{name}"));
    if let (Some(least), Some(most)) = (days("MinRetentionDays"), days("MaxRetentionDays"))
        && least > most
    {
        return Err(invalid(
            "MinRetentionDays must not be greater than MaxRetentionDays",
        ));
    }
    // AWS Backup API reference, `PutBackupVaultLockConfiguration`.
    if days("ChangeableForDays").is_some_and(|days| days < 3) {
        return Err(invalid(
            "ChangeableForDays must be greater than or equal to 3",
        ));
    }
    Ok(())
}

pub(super) fn update_vault(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_vault(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn delete_vault(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let name = entry.identifier.as_str();
    if number(&entry.model, "__RecoveryPoints").is_some_and(|points| points > 0) {
        return Err(invalid(format!(
            "Backup vault {name} cannot be deleted because it contains recovery points"
        )));
    }
    // AWS lets it go, and the plan's jobs fail from then on.
    let targets = |plan: &Entry| {
        items(&plan.model, "BackupPlan/BackupPlanRule")
            .iter()
            .any(|rule| text(rule, "TargetBackupVault") == Some(name))
    };
    match cx.world.of_type(&PLAN).find(|plan| targets(plan)) {
        Some(plan) => Err(invalid(format!(
            "Backup vault {name} is in use [{PLAN} {}]",
            plan.identifier
        ))),
        None => Ok(deleted(cx, entry)),
    }
}

pub(super) fn create_plan(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    check_plan(cx, desired)?;
    if cx
        .world
        .of_type(&PLAN)
        .any(|other| same(&other.model, desired, "BackupPlan"))
    {
        return Err(failure::exists(
            "Backup",
            "Backup plan with the same plan document already exists",
        ));
    }
    let mut model = desired.clone();
    let id = ids.uuid();
    put(
        &mut model,
        "BackupPlanArn",
        cx.arn("backup", &format!("backup-plan:{id}")),
    );
    put(&mut model, "BackupPlanId", id);
    put(&mut model, "VersionId", version(ids));
    created(cx, &PLAN, model)
}

/// A version is a UUID in Base64.
fn version(ids: &mut Ids) -> String {
    base64::engine::general_purpose::STANDARD.encode(ids.uuid())
}

/// Whether a name of a plan, rule or selection is one: 1 to 50 letters, digits and `-_.` (AWS Backup API reference).
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=50).contains(&name.len()) && name.bytes().all(allowed)
}

fn check_plan(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let rules = items(model, "BackupPlan/BackupPlanRule");
    let plan_name = text_or(model, "BackupPlan/BackupPlanName", "");
    if !is_name(plan_name) {
        return Err(invalid(format!(
            "Invalid plan name {plan_name}: it must contain 1 to 50 alphanumeric or '-_.' characters."
        )));
    }
    if rules.is_empty() {
        return Err(invalid("Backup plan must have at least one rule"));
    }
    let mut names: Vec<&str> = Vec::new();
    for rule in rules {
        let name = text_or(rule, "RuleName", "");
        if !is_name(name) {
            return Err(invalid(format!(
                "Invalid rule name {name}: it must contain 1 to 50 alphanumeric or '-_.' characters."
            )));
        }
        if names.contains(&name) {
            return Err(invalid(format!(
                "Backup plan has more than one rule with the name {name}"
            )));
        }
        names.push(name);
        let target = text_or(rule, "TargetBackupVault", "");
        let vault = cx.live(VAULT.as_str(), target);
        // Every account has the vault `Default`, made by nobody.
        if vault.is_none() && target != "Default" {
            return Err(invalid(format!("Backup vault {target} does not exist")));
        }
        check_schedule(text_or(rule, "ScheduleExpression", "cron(0 5 ? * * *)"))?;
        check_window(rule)?;
        check_lifecycle(rule, vault)?;
        for copy in items(rule, "CopyActions") {
            check_lifecycle(copy, None)?;
        }
    }
    Ok(())
}

/// `cron(minutes hours day-of-month month day-of-week year)`; of the two days one is `?` (AWS Backup developer guide,
/// "Schedule and backup frequency options").
fn check_schedule(expression: &str) -> Result<(), Failure> {
    let wrong = || {
        invalid(format!(
            "Invalid schedule expression: {expression}. Supported is cron(…) of six fields."
        ))
    };
    let inner = expression
        .strip_prefix("cron(")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(wrong)?;
    let fields: Vec<&str> = inner.split_whitespace().collect();
    let [minutes, hours, day_of_month, _, day_of_week, _] = fields[..] else {
        return Err(wrong());
    };
    let is_below = |field: &str, bound: u32| {
        field
            .split(['/', '-', ','])
            .all(|part| part == "*" || part.parse::<u32>().is_ok_and(|number| number < bound))
    };
    let one_open = (day_of_month == "?") != (day_of_week == "?");
    let plain = fields.iter().all(|field| {
        field
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"*?/-,#".contains(&byte))
    });
    if one_open && plain && is_below(minutes, 60) && is_below(hours, 24) {
        Ok(())
    } else {
        Err(wrong())
    }
}

fn check_window(rule: &Value) -> Result<(), Failure> {
    // Of a rule that leaves them open: 8 hours and 7 days (AWS Backup API reference, `BackupRule`).
    let start = number(rule, "StartWindowMinutes").unwrap_or(480);
    let completion = number(rule, "CompletionWindowMinutes").unwrap_or(10_080);
    if start < 60 {
        return Err(invalid(
            "Invalid start window: StartWindowMinutes must be at least 60 minutes",
        ));
    }
    if completion < start + 60 {
        return Err(invalid(
            "Invalid completion window: CompletionWindowMinutes must be at least 60 minutes greater than StartWindowMinutes",
        ));
    }
    Ok(())
}

fn check_lifecycle(rule: &Value, vault: Option<&Entry>) -> Result<(), Failure> {
    let delete_after = number(rule, "Lifecycle/DeleteAfterDays");
    let to_cold = number(rule, "Lifecycle/MoveToColdStorageAfterDays");
    if let (Some(delete), Some(cold)) = (delete_after, to_cold)
        && delete < cold + 90
    {
        return Err(invalid(
            "Invalid lifecycle. DeleteAfterDays cannot be less than 90 days apart from MoveToColdStorageAfterDays",
        ));
    }
    if delete_after.is_some_and(|days| days < 1) {
        return Err(invalid(
            "Invalid lifecycle. DeleteAfterDays must be at least 1",
        ));
    }
    if flag(rule, "EnableContinuousBackup")
        && !delete_after.is_some_and(|days| (1..=35).contains(&days))
    {
        return Err(invalid(
            "Invalid lifecycle. EnableContinuousBackup needs DeleteAfterDays from 1 to 35",
        ));
    }
    let bound = |name: &str| number(&vault?.model, &format!("LockConfiguration/{name}"));
    let too_short = bound("MinRetentionDays")
        .is_some_and(|least| delete_after.is_some_and(|days| days < least));
    let too_long =
        bound("MaxRetentionDays").is_some_and(|most| delete_after.is_none_or(|days| days > most));
    if too_short || too_long {
        return Err(invalid(
            "Invalid lifecycle. The retention is outside of what the lock of the vault allows",
        ));
    }
    Ok(())
}

pub(super) fn update_plan(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    check_plan(cx, proposed)?;
    let mut model = proposed.clone();
    if !same(&entry.model, proposed, "BackupPlan") {
        put(&mut model, "VersionId", version(ids));
    }
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_plan(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match cx
        .any_with(SELECTION.as_str(), "BackupPlanId", &entry.identifier)
        .next()
    {
        Some(selection) => Err(invalid(format!(
            "Related backup plan selections must be deleted prior to backup plan deletion. [{}]",
            selection.identifier
        ))),
        None => Ok(deleted(cx, entry)),
    }
}

pub(super) fn create_selection(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let plan = text_or(desired, "BackupPlanId", "");
    if cx.live(PLAN.as_str(), plan).is_none() {
        return Err(failure::not_found(
            "Backup",
            format!("Cannot find Backup plan with ID {plan}"),
        ));
    }
    let selection = at(desired, "BackupSelection").unwrap_or(&Value::Null);
    let name = text_or(selection, "SelectionName", "");
    if !is_name(name) {
        return Err(invalid(format!(
            "Invalid selection name {name}: it must contain 1 to 50 alphanumeric or '-_.' characters."
        )));
    }
    let taken = cx
        .any_with(SELECTION.as_str(), "BackupPlanId", plan)
        .any(|other| text(&other.model, "BackupSelection/SelectionName") == Some(name));
    if taken {
        return Err(failure::exists(
            "Backup",
            format!("Backup selection {name} already exists in the plan {plan}"),
        ));
    }
    let listed = |list: &str| !items(selection, list).is_empty();
    if !listed("Resources") && !listed("ListOfTags") && !has(selection, "Conditions") {
        return Err(invalid(
            "Invalid selection: Resources, ListOfTags or Conditions must be specified",
        ));
    }
    let role = text_or(selection, "IamRoleArn", "");
    if assumable(cx, role, "backup.amazonaws.com", &["sts:AssumeRole"]).is_none() {
        return Err(invalid(format!(
            "IAM Role {role} cannot be assumed by AWS Backup"
        )));
    }
    let mut model = desired.clone();
    let id = ids.uuid();
    put(&mut model, "Id", format!("{id}_{plan}"));
    put(&mut model, "SelectionId", id);
    created(cx, &SELECTION, model)
}
