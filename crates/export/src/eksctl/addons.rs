//! `addons`: the EKS add-ons with their versions, values and roles.

use graph::{Lifecycle, Resource};
use serde_json::Value as Json;

use super::config::Addon;
use super::identity::{association, entry_text, rights, trusted};
use super::ledger::{self, Fate, Reader, items, property};
use super::text::referred;
use super::{Scene, Sheet};

/// The only add-on whose service account eksctl knows, so that a role that it makes for it trusts that one and no other
/// (`getKnownServiceAccountLocation` in `pkg/actions/addon/create.go` of eksctl 0.230.0). It is also made before
/// `iam.serviceAccounts` are.
const VPC_CNI: &str = "vpc-cni";

pub(super) fn draw(scene: &Scene<'_>, sheet: &mut Sheet) {
    for resource in scene.of_type("AWS::EKS::Addon") {
        let mut reader = Reader::new(resource);
        reader.get("ClusterName");
        let mut text = |name| reader.string(name).map(str::to_owned);
        let mut addon = Addon {
            name: text("AddonName").unwrap_or_default(),
            version: text("AddonVersion"),
            resolve_conflicts: text("ResolveConflicts"),
            configuration_values: text("ConfigurationValues").map(|text| without_owner(&text)),
            service_account_role_arn: None,
            attach_policy_arns: Vec::new(),
            attach_policy: None,
            pod_identity_associations: Vec::new(),
            tags: ledger::tags(resource.properties.get("Tags")),
        };
        let drawn = draw_role(scene, sheet, &mut reader, &mut addon)
            .and_then(|()| draw_associations(scene, sheet, &mut reader, &mut addon));
        sheet.accept(&resource.address, drawn);
        sheet.ledger.expressed("addons", reader);
        sheet.config.addons.push(addon);
    }
}

fn draw_role(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    reader: &mut Reader<'_>,
    addon: &mut Addon,
) -> Result<(), String> {
    let Some(arn) = reader.get("ServiceAccountRoleArn") else {
        return Ok(());
    };
    let role = referred(arn).and_then(|address| scene.graph.get(address));
    let exists = |role: &&Resource| matches!(role.lifecycle, Lifecycle::Existing(_));
    match role {
        Some(role) if !exists(&role) && addon.name == VPC_CNI => {
            let mut reader = Reader::new(role);
            let rights = rights(scene, &mut reader)?;
            if !rights.policy_arns.is_empty() && rights.policy.is_some() {
                return Err(
                    "eksctl gives an add-on's role policies by ARN or one inline, but not both"
                        .to_owned(),
                );
            }
            reader.get("AssumeRolePolicyDocument");
            addon.attach_policy_arns = rights.policy_arns;
            addon.attach_policy = rights.policy;
            sheet.ledger.expressed("addons[].attachPolicyARNs", reader);
        }
        role => {
            // Made by `iam.serviceAccounts`, before the add-ons that need nodes.
            addon.service_account_role_arn = Some(scene.text(arn)?);
            if let Some(role) = role.filter(exists) {
                let field = "addons[].serviceAccountRoleARN";
                sheet
                    .ledger
                    .enter(&role.address, Fate::Referenced { field });
            }
        }
    }
    Ok(())
}

fn draw_associations(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    reader: &mut Reader<'_>,
    addon: &mut Addon,
) -> Result<(), String> {
    for entry in items(reader.get("PodIdentityAssociations")) {
        let missing = || "an add-on's association without a role or a service account".to_owned();
        let arn = property(entry, "RoleArn").ok_or_else(missing)?;
        let name = entry_text(entry, "ServiceAccount").ok_or_else(missing)?;
        let account = trusted(scene, arn, name)
            .ok_or_else(|| format!("eksctl asks for the namespace of the service account `{name}`, and its role's trust tells none"))?;
        let field = "addons[].podIdentityAssociations";
        let drawn = association(scene, sheet, arn, account, field)?;
        addon.pod_identity_associations.push(drawn);
    }
    Ok(())
}

/// Values without the tags that say that the platform's own tool made what carries them.
fn without_owner(values: &str) -> String {
    match serde_json::from_str::<Json>(values) {
        Ok(mut document) => {
            strip(&mut document);
            document.to_string()
        }
        Err(_) => values.to_owned(),
    }
}

fn strip(document: &mut Json) {
    match document {
        Json::Object(object) => {
            object.retain(|key, _| !ledger::is_owner(key));
            object.values_mut().for_each(strip);
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_tags_leave_the_values_and_nothing_else_does() {
        let values = r#"{"controller":{"extraVolumeTags":{"seaworthy:address":"a","seaworthy:backup":"b","team":"c"}}}"#;
        assert_eq!(
            without_owner(values),
            r#"{"controller":{"extraVolumeTags":{"seaworthy:backup":"b","team":"c"}}}"#
        );
        assert_eq!(without_owner("no JSON"), "no JSON");
    }
}
