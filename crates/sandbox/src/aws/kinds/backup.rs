//! `AWS::Backup::BackupVault`, `AWS::Backup::BackupPlan`, `AWS::Backup::BackupSelection`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, has, items, number, put, put_default, same, text, text_or, texts};
use super::iam_role::check_name;
use super::kms::check_key;
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure, policy};
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
    let name = text_or(desired, "BackupVaultName", "").to_owned();
    check_name("Backup", NameKind::BackupVault, &name)?;
    if cx.world.get(&VAULT, &name).is_some() {
        return Err(failure::exists(
            "Backup",
            "Backup vault with the same name already exists",
        ));
    }
    check_vault(cx, desired)?;
    put(
        &mut model,
        "BackupVaultArn",
        cx.arn("backup", &format!("backup-vault:{name}")),
    );
    // Unless it is told a key, Backup takes its own of the account, whose id nobody chose.
    created(cx, &VAULT, model)
}

fn check_vault(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    if let Some(key) = text(model, "EncryptionKeyArn") {
        check_key(cx, "Backup", key)?;
    }
    if let Some(topic) = text(model, "Notifications/SNSTopicArn")
        && cx.live("AWS::SNS::Topic", topic).is_none()
    {
        return Err(invalid(format!("Topic {topic} does not exist")));
    }
    let (least, most) = (
        number(model, "LockConfiguration/MinRetentionDays"),
        number(model, "LockConfiguration/MaxRetentionDays"),
    );
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        return Err(invalid(
            "MinRetentionDays must not be greater than MaxRetentionDays",
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
    let name = &entry.identifier;
    if number(&entry.model, "__RecoveryPoints").is_some_and(|points| points > 0) {
        return Err(invalid(format!(
            "Backup vault {name} cannot be deleted because it contains recovery points"
        )));
    }
    let plan = cx.world.of_type(&PLAN).find(|plan| {
        items(&plan.model, "BackupPlan/BackupPlanRule")
            .iter()
            .any(|rule| text(rule, "TargetBackupVault") == Some(name))
    });
    match plan {
        Some(plan) => Err(invalid(format!(
            "Backup vault {name} is in use by backup plan {}",
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
    let mut model = desired.clone();
    check_plan(cx, desired)?;
    let same_plan = cx
        .world
        .of_type(&PLAN)
        .any(|other| same(&other.model, desired, "BackupPlan"));
    if same_plan {
        return Err(failure::exists(
            "Backup",
            "Backup plan with the same plan document already exists",
        ));
    }
    let id = ids.uuid();
    put(
        &mut model,
        "BackupPlanArn",
        cx.arn("backup", &format!("backup-plan:{id}")),
    );
    put(&mut model, "BackupPlanId", id);
    put(&mut model, "VersionId", ids.mixed_alnum(48));
    created(cx, &PLAN, model)
}

fn check_plan(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let plan = at(model, "BackupPlan").unwrap_or(&Value::Null);
    let rules = items(plan, "BackupPlanRule");
    if rules.is_empty() {
        return Err(invalid(
            "Error validating backup plan: at least one rule is required",
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    for rule in rules {
        let name = text_or(rule, "RuleName", "");
        if names.contains(&name) {
            return Err(invalid(format!(
                "Error validating backup plan: duplicate rule name {name}"
            )));
        }
        names.push(name);
        let vault = text_or(rule, "TargetBackupVault", "");
        if vault != "Default" && cx.live(VAULT.as_str(), vault).is_none() {
            return Err(invalid(format!("Cannot find backup vault {vault}")));
        }
        if let Some(schedule) = text(rule, "ScheduleExpression")
            && !(schedule.starts_with("cron(")
                && schedule.ends_with(')')
                && schedule.split_whitespace().count() == 6)
        {
            return Err(invalid(format!("Invalid schedule expression {schedule}")));
        }
        let (cold, delete) = (
            number(rule, "Lifecycle/MoveToColdStorageAfterDays"),
            number(rule, "Lifecycle/DeleteAfterDays"),
        );
        if let (Some(cold), Some(delete)) = (cold, delete)
            && delete < cold + 90
        {
            return Err(invalid(
                "Invalid lifecycle. DeleteAfterDays cannot be less than 90 days apart from MoveToColdStorageAfterDays",
            ));
        }
        let (start, end) = (
            number(rule, "StartWindowMinutes"),
            number(rule, "CompletionWindowMinutes"),
        );
        if start.is_some_and(|start| start < 60)
            || matches!((start, end), (Some(start), Some(end)) if end < start + 60)
        {
            return Err(invalid(
                "Invalid backup window: it starts within 60 minutes or more and ends 60 minutes after that or later",
            ));
        }
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
        put(&mut model, "VersionId", ids.mixed_alnum(48));
    }
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_plan(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match cx
        .any_with(SELECTION.as_str(), "BackupPlanId", &entry.identifier)
        .next()
    {
        Some(selection) => Err(invalid(format!(
            "Related backup plan selections must be deleted prior to backup plan deletion [{}]",
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
    let mut model = desired.clone();
    let plan = text_or(desired, "BackupPlanId", "");
    if cx.live(PLAN.as_str(), plan).is_none() {
        return Err(failure::not_found(
            "Backup",
            format!("Cannot find Backup plan with ID {plan}"),
        ));
    }
    let selection = at(desired, "BackupSelection").unwrap_or(&Value::Null);
    let name = text_or(selection, "SelectionName", "");
    let taken = cx
        .any_with(SELECTION.as_str(), "BackupPlanId", plan)
        .any(|other| text(&other.model, "BackupSelection/SelectionName") == Some(name));
    if taken {
        return Err(failure::exists(
            "Backup",
            format!("Backup selection {name} already exists in plan {plan}"),
        ));
    }
    let role = text_or(selection, "IamRoleArn", "");
    let own = role.ends_with("service-role/AWSBackupDefaultServiceRole");
    if !own && policy::assumable(cx, role, "backup.amazonaws.com", &["sts:AssumeRole"]).is_none() {
        return Err(invalid(format!(
            "IAM Role {role} cannot be assumed by AWS Backup"
        )));
    }
    if texts(selection, "Resources").is_empty()
        && !has(selection, "ListOfTags")
        && !has(selection, "Conditions")
    {
        return Err(invalid(
            "Either Resources, ListOfTags or Conditions must be specified in a backup selection",
        ));
    }
    let id = ids.uuid();
    put(&mut model, "Id", format!("{id}_{plan}"));
    put(&mut model, "SelectionId", id);
    put_default(&mut model, "BackupSelection/NotResources", json!([]));
    created(cx, &SELECTION, model)
}
