//! Roles of what runs in the cluster: `iam.podIdentityAssociations` and `iam.serviceAccounts`.
//!
//! eksctl writes the trust of these roles. With the OIDC provider it is the one of the graph: this service account of this
//! cluster. With Pod Identity it is the service alone, so that any association in the account may use the role: the
//! conditions of the graph's trust are lost, and the file says so.

use std::collections::BTreeMap;

use graph::{Lifecycle, Resource, Value};
use serde_json::Value as Json;

use super::config::{PodIdentityAssociation, ServiceAccount, ServiceAccountMetadata};
use super::ledger::{Fate, Reader, items, literal, property};
use super::text::referred;
use super::{Scene, Sheet};
use crate::Module;

/// Who may assume a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// An AWS service, by the first part of its principal's name: `ec2`.
    Service(String),
    /// Pods of a service account, by way of EKS Pod Identity.
    Pods(Account),
    /// Pods of a service account, by way of the cluster's OIDC provider.
    WebIdentity(Account),
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Who may assume a role, as its trust policy says it. None for any other policy than the platform's.
pub(super) fn trust(role: &Resource) -> Option<Trust> {
    let document = match role.properties.get("AssumeRolePolicyDocument")? {
        // Where the condition's keys hold the issuer, the document is a text, which is the same for any issuer.
        Value::Join(parts) => {
            let text: String = parts
                .iter()
                .map(|part| literal(part).unwrap_or("x"))
                .collect();
            serde_json::from_str(&text).ok()?
        }
        document => plain(document),
    };
    let [statement] = document.get("Statement")?.as_array()?.as_slice() else {
        return None;
    };
    let principal = statement.get("Principal")?;
    let equals = statement.pointer("/Condition/StringEquals");
    if principal.get("Federated").is_some() {
        let subject = equals?
            .as_object()?
            .iter()
            .find_map(|(key, value)| key.ends_with(":sub").then(|| value.as_str())?)?;
        let (namespace, name) = subject
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        return Some(Trust::WebIdentity(Account {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }));
    }
    match principal.get("Service")?.as_str()? {
        "pods.eks.amazonaws.com" => {
            let tag = |name: &str| -> Option<String> {
                let value = equals?.get(format!("aws:RequestTag/kubernetes-{name}"))?;
                Some(value.as_str()?.to_owned())
            };
            Some(Trust::Pods(Account {
                namespace: tag("namespace")?,
                name: tag("service-account")?,
            }))
        }
        service => Some(Trust::Service(service.split('.').next()?.to_owned())),
    }
}

/// A value with `x` for all that is not written out.
fn plain(value: &Value) -> Json {
    match value {
        Value::Object(properties) => {
            let properties: BTreeMap<&str, Json> = properties
                .iter()
                .map(|(key, value)| (key.as_str(), plain(value)))
                .collect();
            serde_json::json!(properties)
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::String(text) => Json::from(text.as_str()),
        Value::Bool(value) => Json::from(*value),
        _ => Json::from("x"),
    }
}

/// What a role may do, as eksctl takes it.
#[derive(Debug, Default)]
pub(super) struct Rights {
    pub(super) policy_arns: Vec<String>,
    pub(super) policy: Option<Json>,
}

/// Reads a role's rights.
///
/// # Errors
///
/// What eksctl has no words for.
pub(super) fn rights(scene: &Scene<'_>, role: &mut Reader<'_>) -> Result<Rights, String> {
    let mut rights = Rights::default();
    for arn in items(role.get("ManagedPolicyArns")) {
        rights.policy_arns.push(scene.text(arn)?);
    }
    match items(role.resource.properties.get("Policies")) {
        [] => {}
        [_] => {
            if let Some(document) = role.get("Policies.PolicyDocument") {
                rights.policy = Some(scene.document(document)?);
            }
        }
        several => {
            return Err(format!(
                "eksctl gives a role one inline policy, and this one has {}",
                several.len()
            ));
        }
    }
    Ok(rights)
}

/// The association of a role with a service account; the role is entered.
pub(super) fn association(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    arn: &Value,
    account: Account,
    field: &'static str,
) -> Result<PodIdentityAssociation, String> {
    let mut association = PodIdentityAssociation {
        namespace: account.namespace,
        service_account_name: account.name,
        role_arn: None,
        role_name: None,
        permission_policy_arns: Vec::new(),
        permission_policy: None,
    };
    let role = referred(arn).and_then(|address| scene.graph.get(address));
    let Some(role) = role.filter(|role| !matches!(role.lifecycle, Lifecycle::Existing(_))) else {
        association.role_arn = Some(scene.text(arn)?);
        if let Some(role) = role.filter(|role| sheet.ledger.fate(&role.address).is_none()) {
            sheet
                .ledger
                .enter(&role.address, Fate::Referenced { field });
        }
        return Ok(association);
    };
    if sheet.ledger.fate(&role.address).is_some() {
        return Err(format!(
            "eksctl makes a role for each association, but `{}` is that of two",
            role.address
        ));
    }
    let mut reader = Reader::new(role);
    let rights = rights(scene, &mut reader)?;
    association.role_name = reader.string("RoleName").map(str::to_owned);
    association.permission_policy_arns = rights.policy_arns;
    association.permission_policy = rights.policy;
    sheet.ledger.expressed(field, reader);
    Ok(association)
}

/// Draws what is not an add-on's.
pub(super) fn draw(scene: &Scene<'_>, sheet: &mut Sheet) {
    let associations = scene
        .of_type("AWS::EKS::PodIdentityAssociation")
        .filter(|association| !scene.is_of(association, Module::Karpenter));
    for resource in associations {
        let mut reader = Reader::new(resource);
        reader.get("ClusterName");
        let mut text = |name| reader.string(name).map(str::to_owned).unwrap_or_default();
        let account = Account {
            namespace: text("Namespace"),
            name: text("ServiceAccount"),
        };
        let field = "iam.podIdentityAssociations";
        let arn = reader
            .get("RoleArn")
            .ok_or("an association has a role".to_owned());
        let drawn = arn.and_then(|arn| association(scene, sheet, arn, account, field));
        let drawn = sheet.accept(&resource.address, drawn);
        sheet.ledger.expressed(field, reader);
        let iam = sheet.config.iam.get_or_insert_default();
        iam.pod_identity_associations.extend(drawn);
    }
    for role in scene.of_type("AWS::IAM::Role") {
        let of_karpenter = scene.is_of(role, Module::Karpenter);
        let exists = matches!(role.lifecycle, Lifecycle::Existing(_));
        if of_karpenter || exists || sheet.ledger.fate(&role.address).is_some() {
            continue;
        }
        if let Some(Trust::WebIdentity(account)) = trust(role) {
            draw_service_account(scene, sheet, role, account);
        }
    }
}

fn draw_service_account(scene: &Scene<'_>, sheet: &mut Sheet, role: &Resource, account: Account) {
    let mut reader = Reader::new(role);
    let rights = rights(scene, &mut reader);
    let Some(rights) = sheet.accept(&role.address, rights) else {
        return;
    };
    reader.get("AssumeRolePolicyDocument");
    let service_account = ServiceAccount {
        metadata: ServiceAccountMetadata {
            namespace: account.namespace,
            name: account.name,
        },
        role_name: reader.string("RoleName").map(str::to_owned),
        role_only: true,
        attach_policy_arns: rights.policy_arns,
        attach_policy: rights.policy,
    };
    sheet.ledger.expressed("iam.serviceAccounts", reader);
    let iam = sheet.config.iam.get_or_insert_default();
    iam.service_accounts.push(service_account);
}

/// The service account that an add-on's role trusts, when its name is this.
pub(super) fn trusted(scene: &Scene<'_>, arn: &Value, name: &str) -> Option<Account> {
    let role = scene.graph.get(referred(arn)?)?;
    match trust(role)? {
        Trust::Pods(account) | Trust::WebIdentity(account) => {
            (account.name == name).then_some(account)
        }
        Trust::Service(_) => None,
    }
}

/// A text property of a list's entry.
pub(super) fn entry_text<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    property(entry, name).and_then(literal)
}
