//! `AWS::IAM::Role`.

use catalog::TypeName;
use catalog::names::{self, NameKind};
use serde_json::{Value, json};

use super::document::{at, carry, items, number, put, put_default, text, text_or, texts};
use super::policy::{Purpose, check_principals, parse, size};
use super::reference::{created, deleted, updated};
use super::usage::user_apart_from;
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

pub(super) const ROLE: TypeName = TypeName::new("AWS::IAM::Role");
const ROLE_POLICY: TypeName = TypeName::new("AWS::IAM::RolePolicy");

/// Policies of AWS's own, by what follows `policy/` in their ARNs (AWS managed policy reference).
const AWS_MANAGED: [&str; 45] = [
    "AdministratorAccess",
    "AmazonDynamoDBFullAccess",
    "AmazonDynamoDBReadOnlyAccess",
    "AmazonEC2ContainerRegistryPowerUser",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2FullAccess",
    "AmazonEC2ReadOnlyAccess",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSFargatePodExecutionRolePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSServicePolicy",
    "AmazonEKSVPCResourceController",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonElasticFileSystemClientReadWriteAccess",
    "AmazonPrometheusRemoteWriteAccess",
    "AmazonRoute53FullAccess",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "AmazonSQSFullAccess",
    "AmazonSSMManagedInstanceCore",
    "AmazonSSMPatchAssociation",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
    "CloudWatchAgentServerPolicy",
    "CloudWatchFullAccess",
    "CloudWatchLogsFullAccess",
    "ElasticLoadBalancingFullAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "SecretsManagerReadWrite",
    "SecurityAudit",
    "ViewOnlyAccess",
    "service-role/AmazonEBSCSIDriverPolicy",
    "service-role/AmazonEBSCSIDriverPolicyV2",
    "service-role/AmazonEFSCSIDriverPolicy",
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
];

/// Checks a name; IAM's own words say which pattern it breaks, the catalog's say it better.
pub(super) fn check_name(service: &str, kind: NameKind, name: &str) -> Result<(), Failure> {
    names::check(kind, name).map_err(|error| failure::invalid(service, error.to_string()))
}

/// The policy of this ARN is there and can be attached.
pub(super) fn check_attachable(cx: &Context<'_>, arn: &str) -> Result<(), Failure> {
    let of_aws = format!("arn:{}:iam::aws:policy/", cx.world.partition());
    let known = match arn.strip_prefix(&of_aws) {
        Some(name) => AWS_MANAGED.contains(&name),
        None => cx.live("AWS::IAM::ManagedPolicy", arn).is_some(),
    };
    if known {
        Ok(())
    } else {
        Err(failure::not_found(
            "Iam",
            format!("Policy {arn} does not exist or is not attachable."),
        ))
    }
}

/// The role of this name, if it can be referenced.
pub(super) fn role_named<'a>(cx: &Context<'a>, name: &str) -> Result<&'a Entry, Failure> {
    cx.live(ROLE.as_str(), name).ok_or_else(|| {
        failure::not_found("Iam", format!("The role with name {name} cannot be found."))
    })
}

/// The path that an entity of IAM has, between slashes.
pub(super) fn check_path(model: &Value) -> Result<(), Failure> {
    let path = text_or(model, "Path", "/");
    let is_path = path == "/"
        || (path.len() <= 512
            && path.starts_with('/')
            && path.ends_with('/')
            && !path.contains("//"));
    if is_path {
        Ok(())
    } else {
        Err(failure::invalid(
            "Iam",
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / \
             characters.",
        ))
    }
}

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "RoleName",
        format!("Role-{}", ids.mixed_alnum(12)),
    );
    put_default(&mut model, "Path", "/");
    put_default(&mut model, "MaxSessionDuration", 3600);
    let name = text_or(&model, "RoleName", "").to_owned();
    check_name("Iam", NameKind::IamRole, &name)?;
    check_path(&model)?;
    // Names of IAM differ by more than their case.
    if cx
        .world
        .of_type(&ROLE)
        .any(|role| role.identifier.eq_ignore_ascii_case(&name))
    {
        return Err(failure::exists(
            "Iam",
            format!("Role with name {name} already exists."),
        ));
    }
    if cx.is_full("L-FE177D64", cx.world.of_type(&ROLE).count()) {
        return Err(failure::limit(
            "Iam",
            format!(
                "Cannot exceed quota for RolesPerAccount: {}",
                cx.quota("L-FE177D64")
            ),
        ));
    }
    check(cx, &model, &name)?;
    let path = text_or(&model, "Path", "/").to_owned();
    put(
        &mut model,
        "Arn",
        cx.global_arn("iam", &format!("role{path}{name}")),
    );
    put(&mut model, "RoleId", ids.iam("AROA"));
    defaults(&mut model);
    created(cx, &ROLE, model)
}

fn defaults(model: &mut Value) {
    for list in ["ManagedPolicyArns", "Policies", "Tags"] {
        put_default(model, list, json!([]));
    }
    put_default(model, "Description", "");
}

fn check(cx: &Context<'_>, model: &Value, name: &str) -> Result<(), Failure> {
    let trust = at(model, "AssumeRolePolicyDocument").unwrap_or(&Value::Null);
    let statements = parse("Iam", trust, Purpose::Trust)?;
    check_principals(cx, "Iam", &statements, "")?;
    if size(trust) as f64 > cx.quota("L-C07B4B0D") {
        return Err(failure::limit(
            "Iam",
            format!(
                "Cannot exceed quota for ACLSizePerRole: {}",
                cx.quota("L-C07B4B0D")
            ),
        ));
    }
    if let Some(seconds) = number(model, "MaxSessionDuration")
        && !(3600..=43_200).contains(&seconds)
    {
        return Err(failure::invalid(
            "Iam",
            format!(
                "1 validation error detected: Value '{seconds}' at 'maxSessionDuration' failed to satisfy constraint"
            ),
        ));
    }
    let arns = texts(model, "ManagedPolicyArns");
    for arn in arns
        .iter()
        .copied()
        .chain(text(model, "PermissionsBoundary"))
    {
        check_attachable(cx, arn)?;
    }
    if arns.len() as f64 > cx.quota("L-0DA4ABF3") {
        return Err(failure::limit(
            "Iam",
            format!(
                "Cannot exceed quota for PoliciesPerRole: {}",
                cx.quota("L-0DA4ABF3")
            ),
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    for policy in items(model, "Policies") {
        let policy_name = text_or(policy, "PolicyName", "");
        check_name("Iam", NameKind::IamPolicy, policy_name)?;
        if names.contains(&policy_name) {
            return Err(failure::invalid(
                "Iam",
                format!("Policy name {policy_name} is used twice in role {name}"),
            ));
        }
        names.push(policy_name);
        parse("Iam", &policy["PolicyDocument"], Purpose::Identity)?;
    }
    check_inline_size(cx, name, model, None)
}

/// What a role's inline policies may have in sum (IAM user guide, "IAM and AWS STS quotas").
const INLINE: usize = 10_240;

/// Checks the sum of a role's inline policies: its own, and those of `AWS::IAM::RolePolicy`, `more` in place of the one
/// of its name.
pub(super) fn check_inline_size(
    cx: &Context<'_>,
    role: &str,
    model: &Value,
    more: Option<&Value>,
) -> Result<(), Failure> {
    let replaced = more.and_then(|policy| text(policy, "PolicyName"));
    let own: usize = items(model, "Policies")
        .iter()
        .map(|policy| size(&policy["PolicyDocument"]))
        .sum();
    let beside: usize = cx
        .any_with(ROLE_POLICY.as_str(), "RoleName", role)
        .filter(|entry| text(&entry.model, "PolicyName") != replaced)
        .map(|entry| size(&entry.model["PolicyDocument"]))
        .sum();
    let new = more.map_or(0, |policy| size(&policy["PolicyDocument"]));
    if own + beside + new > INLINE {
        return Err(failure::limit(
            "Iam",
            format!("Maximum policy size of {INLINE} bytes exceeded for role {role}"),
        ));
    }
    Ok(())
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    check(cx, &model, &entry.identifier)?;
    // The handler does nothing where the property is left out.
    carry(&entry.model, &mut model, &["MaxSessionDuration"]);
    defaults(&mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let name = &entry.identifier;
    let arn = text_or(&entry.model, "Arn", "");
    let refuse = |message: String| Err(failure::invalid("Iam", message));
    if let Some(policy) = cx.any_with(ROLE_POLICY.as_str(), "RoleName", name).next() {
        return refuse(format!(
            "Cannot delete entity, must delete policies first. [{}]",
            policy.identifier
        ));
    }
    let attached = cx
        .world
        .of_type("AWS::IAM::ManagedPolicy")
        .find(|policy| texts(&policy.model, "Roles").contains(&name.as_str()));
    if let Some(policy) = attached {
        return refuse(format!(
            "Cannot delete entity, must detach all policies first. [{}]",
            policy.identifier
        ));
    }
    let profile = cx
        .world
        .of_type("AWS::IAM::InstanceProfile")
        .find(|profile| texts(&profile.model, "Roles").contains(&name.as_str()));
    if let Some(profile) = profile {
        return refuse(format!(
            "Cannot delete entity, must remove roles from instance profile first. [{}]",
            profile.identifier
        ));
    }
    // AWS lets it go and what uses it breaks later.
    if let Some(user) = user_apart_from(cx, entry, arn, |other| {
        super::kms::is_pending_deletion(other)
    }) {
        return refuse(format!(
            "Cannot delete entity, role {name} is in use by {} {}",
            user.type_name, user.identifier
        ));
    }
    Ok(deleted(cx, entry))
}
