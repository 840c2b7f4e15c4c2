//! `AWS::EKS::Addon`.

use catalog::addons::{self, Addon};
use catalog::{TypeName, regions};
use serde_json::{Value, json};

use super::document::{at, flag, has, items, put, put_default, text, text_or};
use super::eks_cluster::{active, version_of};
use super::eks_nodegroup::ready_groups;
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

pub(super) const ADDON: TypeName = TypeName::new("AWS::EKS::Addon");

/// An add-on of this name that is active.
pub(super) fn is_active(cx: &Context<'_>, cluster: &str, name: &str) -> bool {
    cx.live(ADDON.as_str(), &format!("{cluster}|{name}"))
        .is_some()
}

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let cluster_name = text_or(desired, "ClusterName", "");
    let name = text_or(desired, "AddonName", "");
    let cluster = active(cx, cluster_name)?;
    if cx
        .world
        .get(&ADDON, &format!("{cluster_name}|{name}"))
        .is_some()
    {
        return Err(failure::exists("Eks", "Addon already exists."));
    }
    let addon = check(cx, cluster, None, desired)?;
    check_administrator(cx, cluster)?;
    if addon.needs_nodes {
        check_nodes(cx, cluster, addon, desired)?;
    }
    let mut model = desired.clone();
    put(
        &mut model,
        "Arn",
        cx.arn(
            "eks",
            &format!("addon/{cluster_name}/{name}/{}", ids.uuid()),
        ),
    );
    defaults(cluster, addon, &mut model);
    created(cx, &ADDON, model)
}

fn defaults(cluster: &Entry, addon: &Addon, model: &mut Value) {
    let known = version_of(cluster).and_then(|version| addons::known_version(addon.name, version));
    if let Some(version) = known {
        put_default(model, "AddonVersion", version);
    }
    let namespace = addon
        .service_accounts
        .first()
        .and_then(|account| account.split('/').next())
        .unwrap_or("kube-system");
    put_default(model, "NamespaceConfig", json!({"Namespace": namespace}));
    put_default(model, "Tags", json!([]));
    // Never read back, and still known to EKS.
    if let Some(associations) = at(model, "PodIdentityAssociations").cloned() {
        put(model, "__PodIdentityAssociations", associations);
    }
}

/// Checks a request; `running` is the version that the add-on has: it outlives an upgrade of the cluster.
fn check(
    cx: &Context<'_>,
    cluster: &Entry,
    running: Option<&str>,
    model: &Value,
) -> Result<&'static Addon, Failure> {
    let name = text_or(model, "AddonName", "");
    let version = text_or(&cluster.model, "Version", "");
    let addon = addons::addon(name).ok_or_else(|| {
        failure::invalid(
            "Eks",
            format!("Addon {name} specified is not supported in {version} kubernetes version"),
        )
    })?;
    if let Some(asked) = text(model, "AddonVersion")
        && running != Some(asked)
        && !is_version(name, asked, version)
    {
        return Err(failure::invalid(
            "Eks",
            format!("Addon version specified is not supported: {asked} of {name} for {version}"),
        ));
    }
    if let Some(values) = text(model, "ConfigurationValues") {
        let is_object = serde_json::from_str::<Value>(values).is_ok_and(|value| value.is_object());
        // The other form is YAML.
        if !is_object && (values.trim_start().starts_with(['{', '[', '"']) || !values.contains(':'))
        {
            return Err(failure::invalid(
                "Eks",
                "ConfigurationValue provided in request is not supported: it is no JSON or YAML object",
            ));
        }
    }
    let has_accounts = !addon.service_accounts.is_empty();
    if let Some(arn) = text(model, "ServiceAccountRoleArn") {
        if !has_accounts {
            return Err(failure::invalid(
                "Eks",
                format!("Addon {name} does not support a service account role"),
            ));
        }
        if policy::known_role(cx, arn).is_none() {
            return Err(failure::invalid(
                "Eks",
                format!("Role with arn: {arn}, could not be assumed because it does not exist"),
            ));
        }
        check_irsa(cx, cluster, arn)?;
    }
    for association in items(model, "PodIdentityAssociations") {
        let account = text_or(association, "ServiceAccount", "");
        let known = addon
            .service_accounts
            .iter()
            .any(|known| known.rsplit('/').next() == Some(account));
        if !known {
            return Err(failure::invalid(
                "Eks",
                format!("Addon {name} does not support the service account {account}"),
            ));
        }
        check_pod_role(cx, text_or(association, "RoleArn", ""))?;
    }
    if has(model, "ServiceAccountRoleArn") && !items(model, "PodIdentityAssociations").is_empty() {
        return Err(failure::invalid(
            "Eks",
            "serviceAccountRoleArn and podIdentityAssociations can not both be set",
        ));
    }
    Ok(addon)
}

/// The role trusts the cluster's identity provider, which is there.
fn check_irsa(cx: &Context<'_>, cluster: &Entry, arn: &str) -> Result<(), Failure> {
    let issuer = text_or(&cluster.model, "OpenIdConnectIssuerUrl", "");
    let provider = cx
        .live_with("AWS::IAM::OIDCProvider", "Url", issuer)
        .map(|provider| provider.identifier.as_str());
    let role = cx.live_with("AWS::IAM::Role", "Arn", arn);
    let trusts = role.zip(provider).is_some_and(|(role, provider)| {
        policy::parse(
            "Iam",
            &role.model["AssumeRolePolicyDocument"],
            policy::Purpose::Trust,
        )
        .is_ok_and(|statements| {
            statements
                .iter()
                .any(|statement| policy::principals(statement, "Federated").contains(&provider))
        })
    });
    if trusts {
        return Ok(());
    }
    Err(failure::invalid(
        "Eks",
        format!(
            "The role {arn} does not trust the OIDC identity provider of cluster {}",
            cluster.identifier
        ),
    ))
}

/// A role that pods can be given.
pub(super) fn check_pod_role(cx: &Context<'_>, arn: &str) -> Result<(), Failure> {
    let Some(role) = policy::known_role(cx, arn) else {
        return Err(failure::invalid(
            "Eks",
            "Role provided in the request does not exist.",
        ));
    };
    if !policy::trusts(
        role,
        "pods.eks.amazonaws.com",
        &["sts:AssumeRole", "sts:TagSession"],
    ) {
        return Err(failure::invalid(
            "Eks",
            "Trust policy of the role provided is invalid. Follow the official documentation to resolve the issue.",
        ));
    }
    Ok(())
}

/// `v1.21.1-eksbuild.3`; of kube-proxy, the cluster's own minor version or an older one.
fn is_version(name: &str, version: &str, kubernetes: &str) -> bool {
    let Some((numbers, build)) = version
        .strip_prefix('v')
        .and_then(|rest| rest.split_once("-eksbuild."))
    else {
        return false;
    };
    let numbers: Vec<&str> = numbers.split('.').collect();
    let all_numbers = numbers.len() == 3
        && numbers
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        && !build.is_empty()
        && build.bytes().all(|byte| byte.is_ascii_digit());
    all_numbers && (name != "kube-proxy" || kubernetes == format!("{}.{}", numbers[0], numbers[1]))
}

/// Somebody can administer the cluster before anything is put in it. AWS does not mind; nobody would get in.
fn check_administrator(cx: &Context<'_>, cluster: &Entry) -> Result<(), Failure> {
    let by_entries = text(&cluster.model, "AccessConfig/AuthenticationMode") != Some("CONFIG_MAP");
    let policy = format!(
        "arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        regions::partition(cx.world.region())
    );
    let administrator = cx.all_live("AWS::EKS::AccessEntry").any(|entry| {
        text(&entry.model, "ClusterName") == Some(&cluster.identifier)
            && items(&entry.model, "AccessPolicies")
                .iter()
                .any(|held| text(held, "PolicyArn") == Some(&policy))
    });
    let bootstrap = flag(
        &cluster.model,
        "AccessConfig/BootstrapClusterCreatorAdminPermissions",
    );
    if by_entries && !bootstrap && !administrator {
        return Err(failure::invalid(
            "Eks",
            format!(
                "No access entry of cluster {} has AmazonEKSClusterAdminPolicy and the cluster's creator has no access: nobody could \
                 administer what is installed",
                cluster.identifier
            ),
        ));
    }
    Ok(())
}

/// Taints that add-ons bear by themselves (their Helm charts' defaults).
fn tolerates_by_itself(addon: &str, taint: &str) -> bool {
    taint == "CriticalAddonsOnly" && ["coredns", "aws-ebs-csi-driver"].contains(&addon)
}

/// There are nodes on which the add-on's pods can run. On AWS it would stay `DEGRADED` until there are.
fn check_nodes(
    cx: &Context<'_>,
    cluster: &Entry,
    addon: &Addon,
    model: &Value,
) -> Result<(), Failure> {
    let name = addon.name;
    let degraded = |why: &str| {
        Err(failure::not_stabilized(
            format!(
                "Addon {name} is DEGRADED: InsufficientNumberOfReplicas: The add-on is unhealthy because it doesn't have the desired number \
                 of replicas. ({why})"
            ),
            None,
        ))
    };
    let groups = ready_groups(cx, &cluster.identifier);
    if groups.is_empty() {
        return degraded("no node group of the cluster is ACTIVE");
    }
    let values = text_or(model, "ConfigurationValues", "");
    let tolerates_all = values.contains("\"tolerations\":[{\"operator\":\"Exists\"}]");
    let bears = |taint: &Value| {
        let key = text_or(taint, "Key", "");
        text(taint, "Effect") == Some("PREFER_NO_SCHEDULE")
            || tolerates_by_itself(name, key)
            || tolerates_all
            || values.contains(key)
    };
    if !groups
        .iter()
        .any(|group| items(&group.model, "Taints").iter().all(bears))
    {
        return degraded("its pods do not tolerate the taints of any node group");
    }
    Ok(())
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let cluster = active(cx, text_or(&entry.model, "ClusterName", ""))?;
    let addon = check(cx, cluster, text(&entry.model, "AddonVersion"), proposed)?;
    if addon.needs_nodes {
        check_nodes(cx, cluster, addon, proposed)?;
    }
    let mut model = proposed.clone();
    defaults(cluster, addon, &mut model);
    Ok(updated(cx, entry, model))
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let cluster = text_or(&entry.model, "ClusterName", "");
    let name = text_or(&entry.model, "AddonName", "");
    // AWS lets them go, and the nodes or pods that need them fail at their next start.
    let user = match name {
        "vpc-cni" | "kube-proxy" => cx
            .any_with("AWS::EKS::Nodegroup", "ClusterName", cluster)
            .next(),
        "eks-pod-identity-agent" => cx
            .any_with("AWS::EKS::PodIdentityAssociation", "ClusterName", cluster)
            .next(),
        _ => None,
    };
    match user {
        Some(user) => Err(failure::invalid(
            "Eks",
            format!(
                "Addon {name} cannot be deleted while {} {} needs it",
                user.type_name, user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}
