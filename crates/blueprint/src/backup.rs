//! AWS Backup of the volumes that the EBS CSI driver makes, which it tags for it.

use graph::{Value, value};

use crate::draft::{Draft, Drawing};
use crate::{policy, tags, types};

pub(crate) fn draw(drawing: &mut Drawing<'_>) {
    let backup = &drawing.spec().backup;
    if !backup.enabled {
        return;
    }
    // Retained: AWS deletes no vault with recovery points in it, and those are the point of it.
    let vault = drawing.add(
        Draft::new(
            "backup/vault",
            types::BACKUP_VAULT,
            value!({ "BackupVaultName": drawing.name("backup") }),
        )
        .retain(),
    );
    // Both ways: what is saved must be restorable by the same role.
    let policies: Vec<Value> = [
        "AWSBackupServiceRolePolicyForBackup",
        "AWSBackupServiceRolePolicyForRestores",
    ]
    .iter()
    .map(|name| drawing.managed_policy(&format!("service-role/{name}")))
    .collect();
    let role = drawing.add(Draft::new(
        "backup/role",
        types::ROLE,
        value!({
            "RoleName": drawing.name("backup"),
            "Description": "AWS Backup: saves and restores volumes",
            "AssumeRolePolicyDocument": policy::assumed_by("backup.amazonaws.com"),
            "ManagedPolicyArns": policies,
        }),
    ));
    let plan = drawing.add(Draft::new(
        "backup/plan",
        types::BACKUP_PLAN,
        value!({
            "BackupPlan": {
                "BackupPlanName": drawing.name("backup"),
                "BackupPlanRule": [{
                    "RuleName": "volumes",
                    "TargetBackupVault": vault.get("BackupVaultName"),
                    "ScheduleExpression": backup.schedule.as_str(),
                    "StartWindowMinutes": 60,
                    "CompletionWindowMinutes": 360,
                    "Lifecycle": { "DeleteAfterDays": backup.retention_days },
                }],
            },
        }),
    ));
    drawing.add(Draft::new(
        "backup/selection",
        types::BACKUP_SELECTION,
        value!({
            "BackupPlanId": plan.get("BackupPlanId"),
            "BackupSelection": {
                "SelectionName": "volumes",
                "IamRoleArn": role.arn(),
                "ListOfTags": [{
                    "ConditionType": "STRINGEQUALS",
                    "ConditionKey": tags::BACKUP,
                    "ConditionValue": drawing.scope_name(),
                }],
            },
        }),
    ));
}
