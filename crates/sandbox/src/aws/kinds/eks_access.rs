//! `AWS::EKS::AccessEntry`, `AWS::EKS::PodIdentityAssociation`, `AWS::EKS::Capability`.

use catalog::TypeName;
use catalog::names::{self, NameKind};
use serde_json::{Value, json};

use super::document::{carry, has, items, put, put_default, text, text_or, texts};
use super::ec2_network::side_entry;
use super::eks_addon::{check_pod_role, is_active};
use super::eks_cluster::{active, ownership};
use super::eks_nodegroup::ready_groups;
use super::reference::{created, updated};
use super::{Context, Failure, Outcome, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const ACCESS_ENTRY: TypeName = TypeName::new("AWS::EKS::AccessEntry");
const ASSOCIATION: TypeName = TypeName::new("AWS::EKS::PodIdentityAssociation");
const CAPABILITY: TypeName = TypeName::new("AWS::EKS::Capability");

/// Access policies of EKS (EKS user guide, "Review access policy permissions").
const ACCESS_POLICIES: [&str; 16] = [
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStorageClusterPolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSClusterInsightsPolicy",
    "AmazonEKSComputeClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSHybridPolicy",
    "AmazonEKSLoadBalancingClusterPolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingClusterPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSViewPolicy",
];

pub(super) fn create_entry(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let cluster_name = text_or(desired, "ClusterName", "");
    let cluster = active(cx, cluster_name)?;
    if text(&cluster.model, "AccessConfig/AuthenticationMode") == Some("CONFIG_MAP") {
        return Err(failure::invalid(
            "Eks",
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
        ));
    }
    let principal = text_or(desired, "PrincipalArn", "");
    check_principal(cx, principal)?;
    if cx
        .world
        .get(&ACCESS_ENTRY, &format!("{principal}|{cluster_name}"))
        .is_some()
    {
        return Err(failure::exists(
            "Eks",
            "The specified access entry resource is already in use on this cluster.",
        ));
    }
    check_entry(cx, desired)?;
    let mut model = desired.clone();
    fill_entry(cx, &mut model, ids);
    created(cx, &ACCESS_ENTRY, model)
}

fn fill_entry(cx: &Context<'_>, model: &mut Value, ids: &mut Ids) {
    let principal = text_or(model, "PrincipalArn", "").to_owned();
    let cluster = text_or(model, "ClusterName", "").to_owned();
    let mut parts = principal.splitn(6, ':').skip(4);
    let account = parts.next().unwrap_or_default().to_owned();
    let resource = parts.next().unwrap_or_default();
    let kind = resource.split('/').next().unwrap_or_default();
    let name = resource.rsplit('/').next().unwrap_or_default();
    put(
        model,
        "AccessEntryArn",
        cx.arn(
            "eks",
            &format!(
                "access-entry/{cluster}/{kind}/{account}/{name}/{}",
                ids.uuid()
            ),
        ),
    );
    put_default(model, "Type", "STANDARD");
    let is_node = text(model, "Type") != Some("STANDARD");
    let user_name = match (is_node, kind) {
        (true, _) => "system:node:{{EC2PrivateDNSName}}".to_owned(),
        (false, "role") => format!(
            "arn:{}:sts::{account}:assumed-role/{name}/{{{{SessionName}}}}",
            cx.world.partition()
        ),
        (false, _) => principal.clone(),
    };
    put_default(model, "Username", user_name);
    put_default(
        model,
        "KubernetesGroups",
        if is_node {
            json!(["system:nodes"])
        } else {
            json!([])
        },
    );
    put_default(model, "AccessPolicies", json!([]));
    put_default(model, "Tags", json!([]));
}

fn check_principal(cx: &Context<'_>, arn: &str) -> Result<(), Failure> {
    let invalid = || {
        failure::invalid(
            "Eks",
            "The specified principalArn is invalid: invalid principal.",
        )
    };
    let account = cx.world.account();
    let of_iam = arn
        .strip_prefix(&format!("arn:{}:iam::", cx.world.partition()))
        .ok_or_else(invalid)?;
    let (of, resource) = of_iam.split_once(':').ok_or_else(invalid)?;
    let known = match resource.split_once('/') {
        // Who calls is there, though nothing in this account made them.
        Some(("role", _)) if of == account => {
            policy::known_role(cx, arn).is_some() || is_caller(cx, arn)
        }
        Some(("role" | "user", name)) => !name.is_empty(),
        _ => resource == "root",
    };
    if known { Ok(()) } else { Err(invalid()) }
}

/// Whether this role is the one in whose session the caller acts.
fn is_caller(cx: &Context<'_>, role: &str) -> bool {
    let name = role.rsplit('/').next().unwrap_or_default();
    role == cx.caller_arn || cx.caller_arn.contains(&format!(":assumed-role/{name}/"))
}

fn check_entry(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let kind = text_or(model, "Type", "STANDARD");
    if ![
        "STANDARD",
        "EC2_LINUX",
        "EC2_WINDOWS",
        "FARGATE_LINUX",
        "EC2",
        "HYBRID_LINUX",
        "HYPERPOD_LINUX",
    ]
    .contains(&kind)
    {
        return Err(failure::invalid(
            "Eks",
            format!("The specified type {kind} is invalid"),
        ));
    }
    let policies = items(model, "AccessPolicies");
    let groups = texts(model, "KubernetesGroups");
    // What a read says of a node's entry may stand in an update.
    let of_node = policies.is_empty()
        && (groups == ["system:nodes"] || groups.is_empty() && !has(model, "Username"));
    if !["STANDARD", "EC2"].contains(&kind) && !of_node {
        return Err(failure::invalid(
            "Eks",
            format!(
                "The access entry type {kind} does not support access policies, Kubernetes groups or a user name"
            ),
        ));
    }
    if let Some(group) = groups.iter().find(|group| {
        kind == "STANDARD"
            && ["system:", "eks:", "aws:", "amazon:", "iam:"]
                .iter()
                .any(|prefix| group.starts_with(prefix))
    }) {
        return Err(failure::invalid(
            "Eks",
            format!("The kubernetes group name {group} is invalid, it cannot start with system:"),
        ));
    }
    let prefix = format!(
        "arn:{}:eks::aws:cluster-access-policy/",
        cx.world.partition()
    );
    let mut seen: Vec<&str> = Vec::new();
    for policy in policies {
        let arn = text_or(policy, "PolicyArn", "");
        if !arn
            .strip_prefix(&prefix)
            .is_some_and(|name| ACCESS_POLICIES.contains(&name))
        {
            return Err(failure::invalid(
                "Eks",
                format!("The policyArn {arn} parameter format is not valid"),
            ));
        }
        if seen.contains(&arn) {
            return Err(failure::invalid(
                "Eks",
                format!("The policy {arn} is associated twice"),
            ));
        }
        seen.push(arn);
        let namespaces = texts(policy, "AccessScope/Namespaces");
        let fits = match text_or(policy, "AccessScope/Type", "") {
            "cluster" => namespaces.is_empty(),
            "namespace" => !namespaces.is_empty(),
            _ => false,
        };
        if !fits {
            return Err(failure::invalid(
                "Eks",
                "The access scope must be cluster, or namespace with the namespaces",
            ));
        }
    }
    Ok(())
}

pub(super) fn update_entry(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_entry(cx, proposed)?;
    let mut model = proposed.clone();
    carry(&entry.model, &mut model, &["Username"]);
    put_default(&mut model, "KubernetesGroups", json!([]));
    put_default(&mut model, "AccessPolicies", json!([]));
    Ok(updated(cx, entry, model))
}

/// The entry that EKS makes for a cluster's creator, where it is asked to.
pub(super) fn creator_entry(cx: &Context<'_>, cluster: &str, ids: &mut Ids) -> Entry {
    let policy = format!(
        "arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        cx.world.partition()
    );
    let mut model = json!({
        "ClusterName": cluster, "PrincipalArn": principal_of(cx.caller_arn), "__OwnedBy": ownership(cluster),
        "AccessPolicies": [{"PolicyArn": policy, "AccessScope": {"Type": "cluster"}}],
    });
    fill_entry(cx, &mut model, ids);
    let identifier = format!("{}|{cluster}", text_or(&model, "PrincipalArn", ""));
    side_entry(cx, ACCESS_ENTRY, &identifier, model)
}

/// The role of a session's ARN; any other principal is itself.
fn principal_of(caller: &str) -> String {
    match caller.split_once(":assumed-role/") {
        Some((head, rest)) => {
            let role = rest.split('/').next().unwrap_or_default();
            format!("{}:role/{role}", head.replacen(":sts:", ":iam:", 1))
        }
        None => caller.to_owned(),
    }
}

/// The entry that EKS makes for the nodes of a managed node group, unless there is one.
pub(super) fn node_entry(
    cx: &Context<'_>,
    cluster: &Entry,
    role: &str,
    ids: &mut Ids,
) -> Option<Entry> {
    let name = &cluster.identifier;
    let identifier = format!("{role}|{name}");
    let by_entries = text(&cluster.model, "AccessConfig/AuthenticationMode") != Some("CONFIG_MAP");
    if !by_entries || cx.world.get(&ACCESS_ENTRY, &identifier).is_some() {
        return None;
    }
    let mut model = json!({"ClusterName": name, "PrincipalArn": role, "Type": "EC2_LINUX", "__OwnedBy": ownership(name)});
    fill_entry(cx, &mut model, ids);
    Some(side_entry(cx, ACCESS_ENTRY, &identifier, model))
}

pub(super) fn create_association(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let cluster_name = text_or(desired, "ClusterName", "");
    let cluster = active(cx, cluster_name)?;
    let (namespace, account) = (
        text_or(desired, "Namespace", ""),
        text_or(desired, "ServiceAccount", ""),
    );
    for name in [namespace, account] {
        names::check(NameKind::KubernetesLabel, name)
            .map_err(|error| failure::invalid("Eks", error.to_string()))?;
    }
    let taken = cx
        .any_with(ASSOCIATION.as_str(), "ClusterName", cluster_name)
        .find(|other| {
            text(&other.model, "Namespace") == Some(namespace)
                && text(&other.model, "ServiceAccount") == Some(account)
        });
    if let Some(other) = taken {
        return Err(failure::exists(
            "Eks",
            format!(
                "Association already exists: {}",
                text_or(&other.model, "AssociationId", "")
            ),
        ));
    }
    check_association(cx, cluster, desired)?;
    let id = format!("a-{}", ids.lower_alnum(17));
    let mut model = desired.clone();
    put(
        &mut model,
        "AssociationArn",
        cx.arn(
            "eks",
            &format!("podidentityassociation/{cluster_name}/{id}"),
        ),
    );
    put(&mut model, "AssociationId", id);
    if has(desired, "TargetRoleArn") {
        put(&mut model, "ExternalId", ids.uuid());
    }
    put_default(&mut model, "DisableSessionTags", false);
    put_default(&mut model, "Tags", json!([]));
    created(cx, &ASSOCIATION, model)
}

fn check_association(cx: &Context<'_>, cluster: &Entry, model: &Value) -> Result<(), Failure> {
    let name = &cluster.identifier;
    // AWS takes an association whose pods get no credentials, since no agent runs that would hand them out.
    if !is_active(cx, name, "eks-pod-identity-agent") || ready_groups(cx, name).is_empty() {
        return Err(failure::invalid(
            "Eks",
            format!(
                "The EKS Pod Identity Agent does not run on cluster {name}: its add-on and a node group must be ACTIVE"
            ),
        ));
    }
    let account = format!(
        "{}/{}",
        text_or(model, "Namespace", ""),
        text_or(model, "ServiceAccount", "")
    );
    let addon = catalog::addons::ADDONS
        .iter()
        .find(|addon| addon.service_accounts.contains(&account.as_str()));
    if let Some(addon) = addon.filter(|addon| !is_active(cx, name, addon.name)) {
        return Err(failure::invalid(
            "Eks",
            format!(
                "The service account {account} of cluster {name} does not exist: add-on {} is not ACTIVE",
                addon.name
            ),
        ));
    }
    check_pod_role(cx, text_or(model, "RoleArn", ""))
}

pub(super) fn update_association(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_pod_role(cx, text_or(proposed, "RoleArn", ""))?;
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn create_capability(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let cluster = text_or(desired, "ClusterName", "");
    active(cx, cluster)?;
    let (name, kind) = (
        text_or(desired, "CapabilityName", ""),
        text_or(desired, "Type", ""),
    );
    let taken = cx
        .any_with(CAPABILITY.as_str(), "ClusterName", cluster)
        .any(|other| {
            text(&other.model, "CapabilityName") == Some(name)
                || text(&other.model, "Type") == Some(kind)
        });
    if taken {
        return Err(failure::exists(
            "Eks",
            format!("Capability already exists with name {name} or type {kind}"),
        ));
    }
    let role = text_or(desired, "RoleArn", "");
    if policy::assumable(
        cx,
        role,
        "capabilities.eks.amazonaws.com",
        &["sts:AssumeRole", "sts:TagSession"],
    )
    .is_none()
    {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Role with arn: {role}, could not be assumed because it does not exist or the trusted entity is not correct"
            ),
        ));
    }
    let mut model = desired.clone();
    let path = format!(
        "capability/{cluster}/{}/{name}/{}",
        kind.to_lowercase(),
        ids.uuid()
    );
    put(&mut model, "Arn", cx.arn("eks", &path));
    put(&mut model, "Status", "ACTIVE");
    put(&mut model, "CreatedAt", cx.timestamp());
    put(&mut model, "ModifiedAt", cx.timestamp());
    put_default(&mut model, "Tags", json!([]));
    created(cx, &CAPABILITY, model)
}

pub(super) fn update_capability(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    put(&mut model, "ModifiedAt", cx.timestamp());
    Ok(updated(cx, entry, model))
}
