//! `AWS::IAM::ManagedPolicy`, `AWS::IAM::RolePolicy`, `AWS::IAM::InstanceProfile`, `AWS::IAM::OIDCProvider`,
//! `AWS::IAM::ServiceLinkedRole`.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, carry, put, put_default, same, text, text_or, texts};
use super::iam_role::{check_inline_size, check_name, check_path, role_named};
use super::policy::{Purpose, parse, principals, size};
use super::reference::{created, deleted, updated};
use super::usage::user_of;
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const MANAGED_POLICY: TypeName = TypeName::new("AWS::IAM::ManagedPolicy");
const ROLE_POLICY: TypeName = TypeName::new("AWS::IAM::RolePolicy");
const INSTANCE_PROFILE: TypeName = TypeName::new("AWS::IAM::InstanceProfile");
const OIDC_PROVIDER: TypeName = TypeName::new("AWS::IAM::OIDCProvider");
const SERVICE_LINKED_ROLE: TypeName = TypeName::new("AWS::IAM::ServiceLinkedRole");

/// Characters of a managed policy, white space aside (IAM user guide, "IAM and AWS STS quotas").
const POLICY_SIZE: usize = 6144;

pub(super) fn create_policy(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "ManagedPolicyName",
        format!("ManagedPolicy-{}", ids.mixed_alnum(12)),
    );
    put_default(&mut model, "Path", "/");
    put_default(&mut model, "Description", "");
    let name = text_or(&model, "ManagedPolicyName", "").to_owned();
    check_name("Iam", NameKind::IamPolicy, &name)?;
    check_path(&model)?;
    let taken = cx.world.of_type(&MANAGED_POLICY).any(|other| {
        text(&other.model, "ManagedPolicyName")
            .is_some_and(|taken| taken.eq_ignore_ascii_case(&name))
    });
    if taken {
        return Err(failure::exists(
            "Iam",
            format!("A policy called {name} already exists. Duplicate names are not allowed."),
        ));
    }
    if cx.is_full("L-E95E4862", cx.world.of_type(&MANAGED_POLICY).count()) {
        return Err(failure::limit(
            "Iam",
            format!(
                "Cannot exceed quota for PoliciesPerAccount: {}",
                cx.quota("L-E95E4862")
            ),
        ));
    }
    check_policy(cx, &model)?;
    let path = text_or(&model, "Path", "/").to_owned();
    put(
        &mut model,
        "PolicyArn",
        cx.global_arn("iam", &format!("policy{path}{name}")),
    );
    put(&mut model, "PolicyId", ids.iam("ANPA"));
    put(&mut model, "DefaultVersionId", "v1");
    put(&mut model, "CreateDate", cx.timestamp());
    put(&mut model, "UpdateDate", cx.timestamp());
    put(&mut model, "IsAttachable", true);
    put(&mut model, "PermissionsBoundaryUsageCount", 0);
    policy_defaults(&mut model);
    created(cx, &MANAGED_POLICY, model)
}

fn policy_defaults(model: &mut Value) {
    for list in ["Roles", "Users", "Groups"] {
        put_default(model, list, json!([]));
    }
    let attached = texts(model, "Roles").len();
    put(model, "AttachmentCount", attached);
}

fn check_policy(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let document = at(model, "PolicyDocument").unwrap_or(&Value::Null);
    parse("Iam", document, Purpose::Identity)?;
    if size(document) > POLICY_SIZE {
        return Err(failure::limit(
            "Iam",
            format!("Cannot exceed quota for PolicySize: {POLICY_SIZE}"),
        ));
    }
    for role in texts(model, "Roles") {
        role_named(cx, role)?;
    }
    if let Some(user) = texts(model, "Users").first() {
        return Err(failure::not_found(
            "Iam",
            format!("The user with name {user} cannot be found."),
        ));
    }
    if let Some(group) = texts(model, "Groups").first() {
        return Err(failure::not_found(
            "Iam",
            format!("The group with name {group} cannot be found."),
        ));
    }
    Ok(())
}

pub(super) fn update_policy(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_policy(cx, proposed)?;
    let mut model = proposed.clone();
    if !same(&entry.model, proposed, "PolicyDocument") {
        // Another document is another version; the handler makes it the default and drops the oldest of five.
        let version: u64 = text_or(&entry.model, "DefaultVersionId", "v1")
            .trim_start_matches('v')
            .parse()
            .unwrap_or(1);
        put(&mut model, "DefaultVersionId", format!("v{}", version + 1));
        put(&mut model, "UpdateDate", cx.timestamp());
    }
    policy_defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_policy(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    // Its own `Roles` are detached by the handler; a role's `ManagedPolicyArns` are not.
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(failure::invalid(
            "Iam",
            format!(
                "Cannot delete a policy attached to entities. [{}]",
                user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}

pub(super) fn create_role_policy(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let role = role_named(cx, text_or(desired, "RoleName", ""))?;
    check_name(
        "Iam",
        NameKind::IamPolicy,
        text_or(desired, "PolicyName", ""),
    )?;
    check_role_policy(cx, role, desired)?;
    created(cx, &ROLE_POLICY, desired.clone())
}

fn check_role_policy(cx: &Context<'_>, role: &Entry, model: &Value) -> Result<(), Failure> {
    parse(
        "Iam",
        at(model, "PolicyDocument").unwrap_or(&Value::Null),
        Purpose::Identity,
    )?;
    check_inline_size(cx, &role.identifier, &role.model, Some(model))
}

pub(super) fn update_role_policy(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let role = role_named(cx, text_or(proposed, "RoleName", ""))?;
    check_role_policy(cx, role, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn create_profile(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "InstanceProfileName",
        format!("InstanceProfile-{}", ids.mixed_alnum(12)),
    );
    put_default(&mut model, "Path", "/");
    let name = text_or(&model, "InstanceProfileName", "").to_owned();
    check_name("Iam", NameKind::IamInstanceProfile, &name)?;
    check_path(&model)?;
    if cx
        .world
        .of_type(&INSTANCE_PROFILE)
        .any(|other| other.identifier.eq_ignore_ascii_case(&name))
    {
        return Err(failure::exists(
            "Iam",
            format!("Instance Profile {name} already exists."),
        ));
    }
    if cx.is_full("L-6E65F664", cx.world.of_type(&INSTANCE_PROFILE).count()) {
        return Err(failure::limit(
            "Iam",
            format!(
                "Cannot exceed quota for InstanceProfilesPerAccount: {}",
                cx.quota("L-6E65F664")
            ),
        ));
    }
    check_profile(cx, &model)?;
    let path = text_or(&model, "Path", "/").to_owned();
    put(
        &mut model,
        "Arn",
        cx.global_arn("iam", &format!("instance-profile{path}{name}")),
    );
    created(cx, &INSTANCE_PROFILE, model)
}

fn check_profile(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let roles = texts(model, "Roles");
    if roles.len() > 1 {
        return Err(failure::limit(
            "Iam",
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        ));
    }
    for role in roles {
        let role = role_named(cx, role)?;
        if !super::policy::trusts(role, "ec2.amazonaws.com", &["sts:AssumeRole"]) {
            return Err(failure::invalid(
                "Iam",
                format!(
                    "The role {} of the instance profile does not trust ec2.amazonaws.com",
                    role.identifier
                ),
            ));
        }
    }
    Ok(())
}

pub(super) fn update_profile(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_profile(cx, proposed)?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn delete_profile(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let names = |template: &&Entry| {
        let profile =
            at(&template.model, "LaunchTemplateData/IamInstanceProfile").unwrap_or(&Value::Null);
        text(profile, "Name") == Some(&entry.identifier)
            || text(profile, "Arn") == text(&entry.model, "Arn")
    };
    match cx.world.of_type("AWS::EC2::LaunchTemplate").find(names) {
        Some(template) => Err(failure::invalid(
            "Iam",
            format!(
                "Cannot delete entity, instance profile {} is in use by {}",
                entry.identifier, template.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}

pub(super) fn create_oidc_provider(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let url = text_or(desired, "Url", "");
    let Some(rest) = url.strip_prefix("https://").filter(|rest| !rest.is_empty()) else {
        return Err(failure::invalid(
            "Iam",
            format!("Invalid Open ID Connect Provider URL: {url}"),
        ));
    };
    if rest.starts_with("oidc.eks.")
        && cx
            .live_with("AWS::EKS::Cluster", "OpenIdConnectIssuerUrl", url)
            .is_none()
    {
        return Err(failure::invalid(
            "Iam",
            format!(
                "Please check .well-known/openid-configuration of provider: {url} is not valid."
            ),
        ));
    }
    let arn = cx.global_arn("iam", &format!("oidc-provider/{rest}"));
    if cx.world.get(&OIDC_PROVIDER, &arn).is_some() {
        return Err(failure::exists(
            "Iam",
            format!("Provider with url {url} already exists."),
        ));
    }
    if cx.is_full("L-858F3967", cx.world.of_type(&OIDC_PROVIDER).count()) {
        return Err(failure::limit(
            "Iam",
            format!(
                "Cannot exceed quota for OpenIdConnectProvidersPerAccount: {}",
                cx.quota("L-858F3967")
            ),
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "Arn", arn);
    put_default(&mut model, "ClientIdList", json!([]));
    put_default(&mut model, "ThumbprintList", json!([ids.hex(40)]));
    put_default(&mut model, "Tags", json!([]));
    created(cx, &OIDC_PROVIDER, model)
}

pub(super) fn update_oidc_provider(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    carry(
        &entry.model,
        &mut model,
        &["ThumbprintList", "ClientIdList"],
    );
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_oidc_provider(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    // AWS lets it go; the roles that trust it can't be assumed any more.
    let trusts = |role: &&Entry| {
        parse(
            "Iam",
            &role.model["AssumeRolePolicyDocument"],
            Purpose::Trust,
        )
        .is_ok_and(|statements| {
            statements.iter().any(|statement| {
                principals(statement, "Federated").contains(&entry.identifier.as_str())
            })
        })
    };
    match cx.world.of_type("AWS::IAM::Role").find(trusts) {
        Some(user) => Err(failure::invalid(
            "Iam",
            format!(
                "Cannot delete entity, the provider is in use by {} {}",
                user.type_name, user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}

/// Service-linked roles by their services (IAM user guide, "AWS services that work with IAM").
const LINKED: [(&str, &str); 12] = [
    ("autoscaling", "AWSServiceRoleForAutoScaling"),
    ("backup", "AWSServiceRoleForBackup"),
    ("ec2fleet", "AWSServiceRoleForEC2Fleet"),
    ("eks", "AWSServiceRoleForAmazonEKS"),
    ("eks-nodegroup", "AWSServiceRoleForAmazonEKSNodegroup"),
    ("elasticache", "AWSServiceRoleForElastiCache"),
    (
        "elasticloadbalancing",
        "AWSServiceRoleForElasticLoadBalancing",
    ),
    ("mq", "AWSServiceRoleForAmazonMQ"),
    ("rds", "AWSServiceRoleForRDS"),
    ("spot", "AWSServiceRoleForEC2Spot"),
    ("spotfleet", "AWSServiceRoleForEC2SpotFleet"),
    ("wafv2", "AWSServiceRoleForWAFV2Logging"),
];

pub(super) fn create_linked_role(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let service = text_or(desired, "AWSServiceName", "");
    let Some((_, name)) = service
        .strip_suffix(".amazonaws.com")
        .and_then(|short| LINKED.iter().find(|(known, _)| *known == short))
    else {
        return Err(failure::invalid(
            "Iam",
            format!(
                "AWS service name {service} is not valid or does not support service-linked roles"
            ),
        ));
    };
    let name = match text(desired, "CustomSuffix") {
        Some(suffix) if ["autoscaling.amazonaws.com"].contains(&service) => {
            format!("{name}_{suffix}")
        }
        Some(_) => {
            return Err(failure::invalid(
                "Iam",
                format!("Custom suffix is not allowed for {service}"),
            ));
        }
        None => (*name).to_owned(),
    };
    if cx.world.get(&SERVICE_LINKED_ROLE, &name).is_some() {
        return Err(failure::invalid(
            "Iam",
            format!(
                "Service role name {name} has been taken in this account, please try a different suffix."
            ),
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "RoleName", name);
    created(cx, &SERVICE_LINKED_ROLE, model)
}
